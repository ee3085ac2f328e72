//! A device that is a whole endpoint of ours: `sipreg keep` with one account over TCP, whose nodes the name service lists as
//! equals.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::client::plan::Plan;
use sipreg::proto::client::schedule::AccountEvent;
use sipreg::proto::{
    Action, Cause, Command, Destination, Endpoint, Event, FlowId, Notice, Question, Record, Srv, Time,
    Transport,
};

use crate::dice::Dice;
use crate::engine::ID;
use crate::herd::world::{Answer, Device, Input, LEASE, Move};
use crate::hostile;
use crate::world::{plan, uri};

pub struct Terminal {
    endpoint: Endpoint,
    /// The nodes that the name service lists.
    nodes: Range<u8>,
    /// The flow in use, and the node that it leads to.
    flow: Option<(FlowId, Destination)>,
    is_open: bool,
    /// What the next request is answered with, if that is known before it is sent: it follows on a connection that was opened
    /// for it.
    answer: Option<Answer>,
    /// The request that is not answered yet.
    asked: Bytes,
}

/// The address of a node.
fn address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, node + 1)
}

fn node(address: SocketAddr) -> u8 {
    let SocketAddr::V4(address) = address else { panic!("{address}: nobody's") };
    address.ip().octets()[3] - 1
}

impl Terminal {
    /// Hands an event over, and carries out what it leads to.
    fn handle(&mut self, event: Event, now: Time) -> Move {
        let mut events = vec![event];
        let mut next = Move::Stay;
        while !events.is_empty() {
            let actions: Vec<Action> = self.endpoint.handle(events.remove(0), now).collect();
            for action in actions {
                match action {
                    Action::Open { flow, destination } => {
                        next = Move::Visit { node: node(destination.address), connects: true };
                        (self.flow, self.is_open) = (Some((flow, destination)), false);
                    }
                    Action::Close { flow } => {
                        if self.flow.take_if(|(open, _)| *open == flow).is_some() {
                            next = Move::Rest;
                        }
                    }
                    Action::Transmit { flow, peer, bytes } => {
                        self.asked = bytes;
                        match self.answer.take() {
                            Some(answer) => events.push(self.answered(flow, peer, answer)),
                            // Over a connection that was there.
                            None => next = Move::Visit { node: node(peer), connects: false },
                        }
                    }
                    Action::Resolve { query, question } => {
                        let answer = Ok(self.records(&question));
                        events.push(Event::Resolved { query, answer, ttl: 0 });
                    }
                    Action::Notify(Notice::Account { what: AccountEvent::Failed { .. }, .. }) => {
                        next = Move::Rest;
                    }
                    Action::Checkpoint(_) | Action::Notify(_) => {}
                    Action::Authorize { .. }
                    | Action::Listen { .. }
                    | Action::FindSource { .. }
                    | Action::Present(_)
                    | Action::Store { .. } => panic!("{action:?}: a client serves nobody"),
                }
            }
        }
        next
    }

    fn answered(&self, flow: FlowId, peer: SocketAddr, answer: Answer) -> Event {
        let text = match answer {
            Answer::Bound => format!("200 OK|Contact: <@>;expires={LEASE}"),
            Answer::Refused(seconds) => format!("503 Busy|Retry-After: {seconds}"),
            Answer::Unreachable => panic!("nobody is there to send it to"),
        };
        let asked = std::str::from_utf8(&self.asked).unwrap();
        Event::Received { flow, peer, bytes: hostile::answer(asked, &text).into() }
    }

    fn records(&self, question: &Question) -> Vec<Record> {
        match question {
            Question::Srv(name) if name.starts_with("_sip._tcp.") => {
                let server =
                    |n| Srv { priority: 1, weight: 100, port: 5060, target: format!("n{n}.munich.de") };
                self.nodes.clone().map(|n| Record::Srv(server(n))).collect()
            }
            Question::A(name) => {
                let number = name.strip_prefix('n').and_then(|name| name.split('.').next());
                number.and_then(|n| n.parse().ok()).map(|n| Record::A(address(n))).into_iter().collect()
            }
            Question::Srv(_) | Question::Aaaa(_) | Question::Naptr(_) => Vec::new(),
        }
    }
}

impl Device for Terminal {
    fn new(first: Time, nodes: usize, dice: Dice) -> Terminal {
        let plan = Plan { registrar: uri("sip:munich.de").into(), transport: Some(Transport::Tcp), ..plan() };
        let mut endpoint = Endpoint::new(Box::new(dice));
        let delay = Duration::ZERO;
        let command = Command::Keep { registration: ID, plan: Box::new(plan), delay, probe: None };
        drop(endpoint.handle(Event::Command(command), first));
        let nodes = 0..u8::try_from(nodes).unwrap();
        Terminal { endpoint, nodes, flow: None, is_open: false, answer: None, asked: Bytes::new() }
    }

    fn bound(at: Time, home: usize, nodes: usize, dice: Dice) -> (Terminal, Option<Time>) {
        let mut terminal = Terminal::new(at, nodes, dice);
        let home = u8::try_from(home).unwrap();
        let all = std::mem::replace(&mut terminal.nodes, home..home + 1);
        assert_eq!(terminal.on(Input::Timer, at).0, Move::Visit { node: home, connects: true });
        let (_, due) = terminal.on(Input::Answer(Answer::Bound), at);
        terminal.nodes = all;
        (terminal, due)
    }

    fn on(&mut self, input: Input, now: Time) -> (Move, Option<Time>) {
        let next = match input {
            Input::Timer => self.handle(Event::Timeout, now),
            Input::Cut => match self.flow.take() {
                Some((flow, _)) => self.handle(Event::Closed { flow }, now),
                None => Move::Stay,
            },
            Input::Answer(answer) => {
                let (flow, destination) = self.flow.clone().expect("it has asked somebody");
                match (answer, self.is_open) {
                    (Answer::Unreachable, _) => {
                        self.flow = None;
                        let cause = Cause::Refused;
                        self.handle(Event::Failed { flow, peer: destination.address, cause }, now)
                    }
                    (answer, false) => {
                        (self.answer, self.is_open) = (Some(answer), true);
                        let local = "192.0.2.99:5070".parse().unwrap();
                        self.handle(Event::Opened { flow, local }, now)
                    }
                    (answer, true) => self.handle(self.answered(flow, destination.address, answer), now),
                }
            }
        };
        (next, self.endpoint.next_timeout().map(|(at, _)| at))
    }

    fn bound_until(&self) -> Option<Time> {
        self.endpoint.bound_until(ID)
    }
}
