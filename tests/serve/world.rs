//! A registrar, whoever talks to it, and a location service that can be slow or broken.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::binding::{Operation, StoreFailure, Stored};
use sipreg::proto::client::plan::Timing;
use sipreg::proto::digest::{Algorithm, Users, Verifier};
use sipreg::proto::ids::Counting;
use sipreg::proto::registrar::service::{
    Counters, Fork, Limits, Listen, Nodes, Policy, ServerEvent, Service,
};
use sipreg::proto::{
    Action, AskId, Cause, Command, Endpoint, Event, FlowId, Notice, Question, Record, Time, Transport,
};
use sipreg::sip::{HeaderName, Host, Message, Response};
use sipreg::store::Memory;

/// The device that every test has.
pub const DEVICE: &str = "192.0.2.7:5070";

/// What the location service does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Answers at once.
    Quick,
    /// Answers when [`World::answer_store`] says so.
    Slow,
    /// Fails.
    Broken(StoreFailure),
}

/// Something that left the registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub flow: FlowId,
    pub peer: SocketAddr,
    pub bytes: Bytes,
}

impl Sent {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).unwrap()
    }

    pub fn response(&self) -> Response {
        match Message::parse_datagram(self.bytes.clone()) {
            Ok(Message::Response(response)) => response,
            other => panic!("no response: {other:?}"),
        }
    }

    pub fn status(&self) -> u16 {
        self.response().status
    }

    /// The first row of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        let name = HeaderName::parse(name.as_bytes()).unwrap();
        self.response().headers.get(&name).map(|row| row.text().unwrap().to_owned())
    }

    /// All rows of that name.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let name = HeaderName::parse(name.as_bytes()).unwrap();
        self.response().headers.all(&name).map(|row| row.text().unwrap().to_owned()).collect()
    }
}

pub struct World {
    pub endpoint: Endpoint,
    pub store: Memory,
    pub shelf: Shelf,
    pub now: Time,
    /// What was told since the last look.
    pub told: Vec<ServerEvent>,
    /// What the store was asked, in words, since the last look.
    pub asked: Vec<String>,
    pub sent: Vec<Sent>,
    pub closed: Vec<FlowId>,
    pub opened: Vec<(FlowId, SocketAddr)>,
    /// Whom the system was asked the way to.
    pub sought: Vec<IpAddr>,
    waiting: VecDeque<(AskId, Operation)>,
    /// IPv4 addresses of names; there are no others.
    pub zone: Vec<(&'static str, [u8; 4])>,
    pub udp: FlowId,
    pub tcp: FlowId,
    /// All listeners.
    pub listeners: Vec<(Transport, FlowId)>,
    accepted: u64,
}

/// Munich, with anybody welcome.
pub fn service() -> Service {
    let at = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
    Service {
        listen: vec![
            Listen { transport: Transport::Udp, address: at(5060) },
            Listen { transport: Transport::Tcp, address: at(5060) },
        ],
        domains: vec![Host::parse("munich.de").unwrap()],
        policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 10 },
        verifier: None,
        fork: Fork::default(),
        auth_calls: false,
        limits: limits(),
        timing: Timing::default(),
        pinned: Vec::new(),
        tell_messages: false,
        nodes: Nodes::default(),
    }
}

/// The usual limits, but those of one source: nearly all comes from the device.
pub fn limits() -> Limits {
    Limits { rate: u32::MAX, login_failures: u32::MAX, ..Limits::default() }
}

/// Users as the file has them: name, realm, password, and whom they may register besides.
pub fn users(list: &[(&str, &str, &str, &str)]) -> Users {
    let mut text = String::new();
    for (name, realm, password, may) in list {
        let password = sipreg::proto::digest::Hidden::new((*password).to_owned());
        let line = sipreg::proto::digest::User::line(name, realm, &password).unwrap();
        let line = line.reveal().trim_end_matches(':');
        text += &if may.is_empty() { format!("{line}\n") } else { format!("{line}:{may}\n") };
    }
    Users::parse(&text).unwrap()
}

/// Munich, where Heisenberg, Born and an administrator have passwords.
pub fn guarded() -> Service {
    let users = users(&[
        ("heisenberg", "munich.de", "uncertainty", ""),
        ("born", "munich.de", "probability", ""),
        ("admin", "munich.de", "root", "*"),
    ]);
    let verifier = Verifier::new(users, &Algorithm::OFFERED, &mut Counting::default());
    Service { verifier: Some(verifier), ..service() }
}

impl World {
    pub fn new(service: Service) -> World {
        let mut world = World {
            endpoint: Endpoint::new(Box::new(Counting::default())),
            store: Memory::default(),
            shelf: Shelf::Quick,
            now: Time::from_millis(1_792_000_000_000),
            told: Vec::new(),
            asked: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            opened: Vec::new(),
            sought: Vec::new(),
            waiting: VecDeque::new(),
            zone: Vec::new(),
            udp: FlowId(0),
            tcp: FlowId(0),
            listeners: Vec::new(),
            accepted: 0,
        };
        world.event(Event::Command(Command::Serve(Box::new(service))));
        world.told.clear();
        world.asked.clear();
        world
    }

    /// One event, all that follows from it at once.
    pub fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions: Vec<Action> = self.endpoint.handle(event, self.now).collect();
            for action in actions {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Listen { flow, transport, address } => {
                match transport {
                    Transport::Udp => self.udp = flow,
                    Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => self.tcp = flow,
                }
                self.listeners.push((transport, flow));
                return Some(Event::Opened { flow, local: address });
            }
            Action::Transmit { flow, peer, bytes } => self.sent.push(Sent { flow, peer, bytes }),
            Action::Store { ask, operation } => {
                self.asked.push(match &operation {
                    Operation::Change(change) => format!("change {}", change.aor),
                    Operation::Fetch(aor) => format!("fetch {aor}"),
                    Operation::Expire => "expire".to_owned(),
                });
                match self.shelf {
                    Shelf::Quick => return Some(self.stored(ask, operation)),
                    Shelf::Slow => self.waiting.push_back((ask, operation)),
                    Shelf::Broken(failure) => return Some(Event::Stored { ask, answer: Err(failure) }),
                }
            }
            Action::Notify(Notice::Server(what)) => self.told.push(what),
            Action::Close { flow } => self.closed.push(flow),
            Action::Open { flow, destination } => self.opened.push((flow, destination.address)),
            Action::Notify(Notice::Message { .. }) => {}
            Action::Resolve { query, question } => {
                let records = match &question {
                    Question::A(name) => self.zone.iter().filter(|(known, _)| known == name).collect(),
                    Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Vec::new(),
                };
                let record = |(_, address): &(_, [u8; 4])| Record::A((*address).into());
                return Some(Event::Resolved {
                    query,
                    answer: Ok(records.into_iter().map(record).collect()),
                    ttl: 60,
                });
            }
            Action::FindSource { peer } => self.sought.push(peer),
            Action::Present(_) => {}
            Action::Authorize { .. } | Action::Checkpoint(_) | Action::Notify(_) => {
                panic!("a server: {action:?}")
            }
        }
        None
    }

    fn stored(&mut self, ask: AskId, operation: Operation) -> Event {
        let answer: Result<Stored, StoreFailure> = self.store.perform(operation, self.now);
        Event::Stored { ask, answer }
    }

    /// The slow location service answers its oldest question.
    pub fn answer_store(&mut self) {
        let (ask, operation) = self.waiting.pop_front().expect("a question is open");
        let event = self.stored(ask, operation);
        self.event(event);
    }

    /// Time passes, and every timer that comes due fires in its turn.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((due, _)) = self.endpoint.next_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.event(Event::Timeout);
        }
        self.now = end;
    }

    /// A datagram from `peer`; what leaves at once.
    pub fn datagram(&mut self, peer: &str, text: &str) -> Vec<Sent> {
        self.octets(peer, wire(text).into())
    }

    pub fn octets(&mut self, peer: &str, bytes: Bytes) -> Vec<Sent> {
        let (flow, peer) = (self.udp, peer.parse().unwrap());
        self.sent.clear();
        self.event(Event::Received { flow, peer, bytes });
        std::mem::take(&mut self.sent)
    }

    /// The one answer to a datagram of the device.
    pub fn ask(&mut self, text: &str) -> Sent {
        let sent = self.datagram(DEVICE, text);
        assert_eq!(sent.len(), 1, "{text}: {sent:?}");
        sent.into_iter().next().unwrap()
    }

    /// A connection from `peer`.
    pub fn connect(&mut self, peer: &str) -> FlowId {
        let flow = FlowId(FlowId::ACCEPTED.0 + self.accepted);
        self.accepted += 1;
        let (listener, remote) = (self.tcp, peer.parse().unwrap());
        self.event(Event::Accepted { listener, flow, local: "192.0.2.1:5060".parse().unwrap(), remote });
        flow
    }

    /// A connection over that transport from `peer`.
    pub fn connect_over(&mut self, transport: Transport, peer: &str) -> FlowId {
        self.tcp = self.listeners.iter().find(|(over, _)| *over == transport).unwrap().1;
        self.connect(peer)
    }

    /// Octets of a connection; what leaves at once.
    pub fn stream(&mut self, flow: FlowId, peer: &str, text: &str) -> Vec<Sent> {
        self.sent.clear();
        let bytes = Bytes::from(text.to_owned());
        self.event(Event::Received { flow, peer: peer.parse().unwrap(), bytes });
        std::mem::take(&mut self.sent)
    }

    pub fn lose(&mut self, flow: FlowId, cause: Option<Cause>) {
        let peer = DEVICE.parse().unwrap();
        self.event(match cause {
            Some(cause) => Event::Failed { flow, peer, cause },
            None => Event::Closed { flow },
        });
    }

    pub fn counters(&self) -> Counters {
        self.endpoint.counters().expect("it serves")
    }

    /// What was told since the last look.
    pub fn news(&mut self) -> Vec<ServerEvent> {
        std::mem::take(&mut self.told)
    }

    /// Stops it; nothing must be left.
    pub fn stop(mut self) {
        self.event(Event::Command(Command::StopServing));
        while !self.waiting.is_empty() {
            self.answer_store();
        }
        assert_eq!(self.told.last(), Some(&ServerEvent::Stopped));
        assert!(self.endpoint.is_idle(), "something is left: {:?}", self.endpoint.next_timeout());
    }
}

/// Lines joined by `|`, an empty line at the end unless there is a body; `~` stands for the at sign.
pub fn wire(text: &str) -> String {
    text.replace('|', "\r\n").replace('~', "@") + "\r\n\r\n"
}

/// A REGISTER for Heisenberg, of the device: `n` is CSeq number and branch, `rest` further rows with `|` between.
pub fn register(n: u32, rest: &str) -> String {
    request("REGISTER", "sip:munich.de", n, rest)
}

/// Any request of the device.
pub fn request(method: &str, uri: &str, n: u32, rest: &str) -> String {
    let rest = if rest.is_empty() { String::new() } else { format!("|{rest}") };
    format!(
        "{method} {uri} SIP/2.0|Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK{n}|Max-Forwards: 70|\
         From: <sip:heisenberg~munich.de>;tag=f|To: <sip:heisenberg~munich.de>|Call-ID: c|CSeq: {n} {method}{rest}|\
         Content-Length: 0"
    )
}

/// The Contact rows of an answer, in order.
pub fn bound(sent: &Sent) -> Vec<String> {
    assert_eq!(sent.status(), 200, "{}", sent.text());
    sent.headers("Contact")
}
