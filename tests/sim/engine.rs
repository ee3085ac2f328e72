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

    /// How much is to come.
    pub fn pending(&self) -> usize {
        self.agenda.len()
    }

    /// Moves the clock to what comes first, by `end`; what happens goes before a timer that is due at the same time.
    fn next(&mut self, timeout: Option<Time>, end: Time) -> Option<Next<I>> {
        let first = self.agenda.first_entry().filter(|first| {
            let at = first.key().0;
            at <= end && timeout.is_none_or(|timeout| at <= timeout)
        });
        match (first, timeout) {
            (Some(first), _) => {
                self.now = self.now.max(first.key().0);
                Some(first.remove())
            }
            (None, Some(timeout)) => {
                self.now = self.now.max(timeout);
                Some(Next::Event(Event::Timeout))
            }
            (None, None) => None,
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
            Action::Listen { .. } | Action::FindSource { .. } | Action::Present(_) | Action::Store { .. } => {
                panic!("a client serves nobody: {action:?}")
            }
            Action::Authorize { .. }
            | Action::Close { .. }
            | Action::Resolve { .. }
            | Action::Checkpoint(_)
            | Action::Notify(_) => {}
        }
    }
}

/// An endpoint on its stage.
pub struct Engine<I> {
    pub endpoint: Endpoint,
    pub stage: Stage<I>,
    finished: u32,
}

impl<I> Engine<I> {
    pub fn new(random: Box<dyn Random + Send>, start: Time) -> Engine<I> {
        let stage = Stage { start, now: start, order: 0, agenda: BTreeMap::new(), flows: BTreeMap::new() };
        Engine { endpoint: Endpoint::new(random), stage, finished: 0 }
    }

    /// Hands an event to the endpoint, and to the others what it leads to.
    pub fn handle(&mut self, event: Event, others: &mut impl Others<Incident = I>) {
        for action in self.endpoint.handle(event, self.stage.now) {
            self.stage.watch(&action, &mut self.finished);
            let closed = if let Action::Close { flow } = &action { Some(*flow) } else { None };
            others.act(action, &mut self.stage);
            if let Some(flow) = closed {
                assert!(self.stage.flows.remove(&flow).is_some(), "{flow} is closed twice");
            }
        }
    }

    /// Lets what is next happen, if it comes by `end`. Whether something did.
    pub fn step(&mut self, end: Time, others: &mut impl Others<Incident = I>) -> bool {
        let timeout = self.endpoint.next_timeout().map(|(at, _)| at);
        match self.stage.next(timeout.filter(|at| *at <= end), end) {
            Some(Next::Event(event)) => self.handle(event, others),
            Some(Next::Incident(incident)) => others.happen(incident, &mut self.stage),
            None => return false,
        }
        true
    }

    /// Nothing is left of anything.
    pub fn assert_over(&self, name: &str) {
        assert!(self.endpoint.is_idle(), "{name}: something is left");
        assert!(self.stage.flows.is_empty(), "{name}: flows are left open");
    }
}

/// Carries out one plan from `start` on, until nothing is to come any more. Returns when that was.
pub fn run<O: Others>(plan: Plan, random: Box<dyn Random + Send>, start: Time, others: &mut O) -> Time {
    let mut engine = Engine::new(random, start);
    engine.stage.event(0, Event::Command(Command::Register { registration: ID, plan: Box::new(plan) }));
    for _ in 0..20_000 {
        if !engine.step(Time::from_millis(u64::MAX), others) {
            engine.assert_over("the command");
            assert_eq!(engine.finished, 1, "one end");
            return engine.stage.now;
        }
    }
    panic!("the world does not come to an end");
}
