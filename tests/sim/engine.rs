//! The one loop of every simulated world: a clock that jumps to what is next, an endpoint, and the others.

use std::collections::BTreeMap;
use std::time::Duration;

use sipreg::proto::client::plan::Plan;
use sipreg::proto::ids::Random;
use sipreg::proto::locate::Destination;
use sipreg::proto::{Action, Command, Endpoint, Event, FlowId, Notice, RegistrationId, Time};

pub const ID: RegistrationId = RegistrationId(1);

/// Everything outside the endpoint.
pub trait Others {
    /// What can happen out there without the endpoint's noticing, such as a datagram that arrives somewhere.
    type Incident;

    /// Carries out one action; puts what follows from it on the stage's agenda.
    fn act(&mut self, action: Action, stage: &mut Stage<Self::Incident>);

    /// It has happened.
    fn happen(&mut self, incident: Self::Incident, stage: &mut Stage<Self::Incident>);
}

/// What comes next: to the endpoint or to the others.
enum Next<I> {
    Event(Event),
    Incident(I),
}

/// The clock, what is to come, and the flows that are open.
pub struct Stage<I> {
    start: Time,
    pub now: Time,
    order: u64,
    agenda: BTreeMap<(Time, u64), Next<I>>,
    pub flows: BTreeMap<FlowId, Destination>,
}

impl<I> Stage<I> {
    /// Milliseconds since the command.
    pub fn at(&self) -> u64 {
        self.now.since(self.start).as_millis() as u64
    }

    /// The endpoint will get the event after so many milliseconds.
    pub fn event(&mut self, after: u64, event: Event) {
        self.put(after, Next::Event(event));
    }

    /// It will happen to the others after so many milliseconds.
    pub fn incident(&mut self, after: u64, incident: I) {
        self.put(after, Next::Incident(incident));
    }

    fn put(&mut self, after: u64, next: Next<I>) {
        self.order += 1;
        self.agenda.insert((self.now + Duration::from_millis(after), self.order), next);
    }

    /// Moves the clock to what comes first; what happens goes before a timer that is due at the same time.
    fn next(&mut self, timeout: Option<Time>) -> Option<Next<I>> {
        match (self.agenda.first_key_value().map(|((at, _), _)| *at), timeout) {
            (Some(at), timeout) if timeout.is_none_or(|timeout| at <= timeout) => {
                self.now = self.now.max(at);
                self.agenda.pop_first().map(|(_, next)| next)
            }
            (_, Some(timeout)) => {
                self.now = self.now.max(timeout);
                Some(Next::Event(Event::Timeout))
            }
            (_, None) => None,
        }
    }

    /// Holds the driver's side of the contract: a flow is opened once, used while it is open, and closed once.
    fn watch(&mut self, action: &Action, finished: &mut u32) {
        match action {
            Action::Open { flow, destination } => {
                assert!(self.flows.insert(*flow, destination.clone()).is_none(), "{flow} is opened twice");
            }
            Action::Transmit { flow, peer, .. } => {
                assert_eq!(self.flows.get(flow).map(|to| to.address), Some(*peer), "{flow} goes elsewhere");
            }
            Action::Notify(Notice::Finished(_)) => *finished += 1,
            Action::Listen { .. } | Action::Store { .. } => panic!("a client serves nobody: {action:?}"),
            Action::Close { .. } | Action::Resolve { .. } | Action::Checkpoint(_) | Action::Notify(_) => {}
        }
    }
}

/// Carries out one plan from `start` on, until nothing is to come any more. Returns when that was.
pub fn run<O: Others>(plan: Plan, random: Box<dyn Random + Send>, start: Time, others: &mut O) -> Time {
    let mut endpoint = Endpoint::new(random);
    let mut stage = Stage { start, now: start, order: 0, agenda: BTreeMap::new(), flows: BTreeMap::new() };
    let mut finished = 0;
    stage.event(0, Event::Command(Command::Register { registration: ID, plan: Box::new(plan) }));
    for _ in 0..20_000 {
        let event = match stage.next(endpoint.next_timeout().map(|(at, _)| at)) {
            Some(Next::Event(event)) => event,
            Some(Next::Incident(incident)) => {
                others.happen(incident, &mut stage);
                continue;
            }
            None => {
                assert!(endpoint.is_idle(), "something is left");
                assert!(stage.flows.is_empty(), "flows are left open");
                assert_eq!(finished, 1, "one end");
                return stage.now;
            }
        };
        for action in endpoint.handle(event, stage.now) {
            stage.watch(&action, &mut finished);
            let closed = if let Action::Close { flow } = &action { Some(*flow) } else { None };
            others.act(action, &mut stage);
            if let Some(flow) = closed {
                assert!(stage.flows.remove(&flow).is_some(), "{flow} is closed twice");
            }
        }
    }
    panic!("the world does not come to an end");
}
