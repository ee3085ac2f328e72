//! The endpoint: owns flows, transactions and registrations, and is the only one that queues.
//!
//! One [`Event`] in, all its [`Action`]s out. The driver's whole duty is:
//!
//! ```no_run
//! # use sipreg::proto::{Action, Endpoint, Event, ids::Counting, Time};
//! # fn wait_for(_: Option<Time>) -> Event { Event::Timeout }
//! # fn clock() -> Time { Time::from_millis(0) }
//! # fn carry_out(_: Action) {}
//! let mut endpoint = Endpoint::new(Box::new(Counting::default()));
//! loop {
//!     let event = wait_for(endpoint.next_timeout().map(|(at, _)| at));
//!     for action in endpoint.handle(event, clock()) {
//!         carry_out(action);
//!     }
//! }
//! ```
//!
//! A response reaches its registration only if everything in it fits the request it claims to answer: branch and
//! CSeq method (RFC 3261 §17.1.3), sent-by (§18.1.2), a single Via (§8.1.3.3), and Call-ID, From tag and CSeq number,
//! which a stranger who saw only the branch would not know. Where it came from does not count: answers may come
//! from another address or port.

mod called;
mod client;
mod flows;
mod incoming;
mod serving;
mod transactions;

use std::collections::{BTreeMap, VecDeque};

use super::client::pacing::Pacing;
use super::client::registration::{Registration, Step};
use super::client::schedule::Schedule;
use super::ids::{Random, jitter};
use super::timers::Timers;
use super::transaction::Input;
use super::{
    Action, Command, DnsAnswer, Dropped, Event, Notice, QueryId, Question, RegistrationId, Time, TimerKey,
};
use crate::proto::registrar::service::Counters;
use called::Called;
use flows::Flows;
use serving::Serving;
use transactions::Transaction;

/// Room for so many actions is kept; what an event with more of them took is given back.
const AT_ONCE: usize = 64;

/// Everything the core keeps. See the module.
pub struct Endpoint {
    random: Box<dyn Random + Send>,
    registrations: BTreeMap<RegistrationId, Box<Entry>>,
    flows: Flows,
    transactions: BTreeMap<u64, Transaction>,
    /// The transaction of each branch, by the number the branch is made of.
    branches: BTreeMap<u64, u64>,
    /// Transactions that only absorb copies of their answer, and until when.
    absorbing: VecDeque<(Time, u64)>,
    queries: BTreeMap<QueryId, (RegistrationId, Question)>,
    serving: Option<Box<Serving>>,
    pacing: Pacing,
    called: Called,
    timers: Timers,
    /// Limits that stand still while a user thinks, with the time they were due.
    stopped: BTreeMap<TimerKey, Time>,
    last_id: u64,
    actions: VecDeque<Action>,
}

/// A registration and, if it is kept, its timetable.
struct Entry {
    registration: Registration,
    keep: Option<Schedule>,
    /// The transaction whose answer it waits for: one at a time. Those before may still absorb copies of theirs.
    waits: Option<u64>,
}

impl Entry {
    fn new(registration: Registration, keep: Option<Schedule>) -> Box<Entry> {
        Box::new(Entry { registration, keep, waits: None })
    }
}

/// The actions of one event, in order. What a dropped one still held comes with the next.
pub struct Drain<'a>(&'a mut VecDeque<Action>);

impl Iterator for Drain<'_> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        self.0.pop_front()
    }
}

impl Endpoint {
    /// An endpoint without any state. `random` is the only source of branches, tags, Call-IDs and cnonces.
    #[must_use]
    pub fn new(random: Box<dyn Random + Send>) -> Endpoint {
        Endpoint {
            random,
            registrations: BTreeMap::new(),
            flows: Flows::default(),
            transactions: BTreeMap::new(),
            branches: BTreeMap::new(),
            absorbing: VecDeque::new(),
            queries: BTreeMap::new(),
            serving: None,
            pacing: Pacing::default(),
            called: Called::default(),
            timers: Timers::default(),
            stopped: BTreeMap::new(),
            last_id: 0,
            actions: VecDeque::new(),
        }
    }

    /// Takes one event at a time that never goes backwards, and returns all that it leads to.
    #[must_use = "the actions have to be carried out"]
    pub fn handle(&mut self, event: Event, now: Time) -> Drain<'_> {
        if self.actions.is_empty() {
            self.actions.shrink_to(AT_ONCE);
        }
        match event {
            Event::Command(command) => self.command(command, now),
            Event::Opened { flow, local } => self.opened(flow, local, now),
            Event::Accepted { listener, flow, local, remote } => {
                let served = self.serve(now, |serving, outside| {
                    serving.accepted(listener, flow, local, remote, outside);
                });
                if !served {
                    self.actions.push_back(Action::Close { flow });
                }
            }
            Event::Closed { flow } => self.flow_lost(flow, None, now),
            Event::Failed { flow, peer, cause } => self.failed(flow, peer, cause, now),
            Event::Received { flow, peer, bytes } => self.received(flow, peer, bytes, now),
            Event::Resolved { query, answer } => self.resolved(query, answer, now),
            Event::Stored { ask, answer } => {
                self.serve(now, |serving, outside| serving.stored(ask, answer, outside));
            }
            Event::NetworkChanged { moved } => self.network_changed(moved, now),
            Event::Timeout => {
                while let Some(key) = self.timers.pop_due(now) {
                    self.fired(key, now);
                }
            }
        }
        Drain(&mut self.actions)
    }

    /// When [`Event::Timeout`] is due, and for which timer. O(1).
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Time, TimerKey)> {
        self.timers.next()
    }

    /// What a server has counted; `None` when this endpoint is none.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        self.serving.as_ref().map(|serving| serving.counters)
    }

    /// Whether nothing at all is kept: no registration, transaction, flow, question or timer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.registrations.is_empty()
            && self.flows.is_empty()
            && self.transactions.is_empty()
            && self.branches.is_empty()
            && self.absorbing.is_empty()
            && self.queries.is_empty()
            && self.stopped.is_empty()
            && self.serving.is_none()
            && self.pacing.is_empty()
            && self.called.is_empty()
            && self.timers.next().is_none()
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(&id).map(|entry| &entry.registration)
    }

    fn notify(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notify(notice));
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Register { registration: id, plan } => {
                self.timers.set(TimerKey::TryLimit(id), now + plan.try_limit);
                if let Some(whole) = plan.command_limit {
                    self.timers.set(TimerKey::CommandLimit(id), now + whole);
                }
                let mut registration = Registration::new(id, plan, &mut *self.random);
                let step = registration.start(now);
                self.registrations.insert(id, Entry::new(registration, None));
                self.take(id, step, now);
            }
            Command::Password { registration: id, password } => {
                let Some(Entry { registration, .. }) =
                    self.registrations.get_mut(&id).map(|entry| &mut **entry)
                else {
                    return;
                };
                let Some(since) = registration.asking_since() else { return };
                // Thinking is not waiting for the network: no limit has come closer.
                let thought = now.since(since);
                for key in [TimerKey::TryLimit(id), TimerKey::CommandLimit(id), TimerKey::Destination(id)] {
                    if let Some(due) = self.stopped.remove(&key) {
                        self.timers.set(key, due + thought);
                    }
                }
                let step = registration.on_password(password, &mut *self.random, now);
                self.take(id, step, now);
            }
            Command::GiveUp { registration: id } => self.on_registration(id, now, |r, _| r.on_give_up(now)),
            Command::Keep { registration, plan, delay, probe } => {
                self.begin_keeping(registration, plan, delay, probe, now);
            }
            Command::Revise { registration: id, plan } => {
                if let Some(entry) = self.registrations.get_mut(&id) {
                    entry.registration.revise(plan);
                }
            }
            Command::Answer(callee) => self.called.callee = callee,
            Command::Refresh(which) => self.refresh(which, now),
            Command::StopKeeping(which) => self.stop_keeping(which, now),
            Command::Serve(service) => self.begin_serving(*service, now),
            Command::Users(users) => {
                self.serve(now, |serving, _| serving.replace_users(*users));
            }
            Command::StopServing => {
                self.serve(now, |serving, outside| serving.stop(outside));
            }
        }
    }

    /// Gives an input to a registration, if it still lives, and does what it says next.
    fn on_registration(
        &mut self,
        id: RegistrationId,
        now: Time,
        input: impl FnOnce(&mut Registration, &mut dyn Random) -> Step,
    ) {
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        let step = input(&mut entry.registration, &mut *self.random);
        self.take(id, step, now);
    }

    fn take(&mut self, id: RegistrationId, step: Step, now: Time) {
        match step {
            Step::Wait => {}
            Step::Resolve(questions) => {
                self.leave_destination(id);
                for question in questions {
                    let query = QueryId(self.new_id());
                    self.queries.insert(query, (id, question.clone()));
                    self.actions.push_back(Action::Resolve { query, question });
                }
            }
            Step::Visit(destination) => {
                self.leave_for(id, Some(destination));
                if let Some(registration) = self.registration(id) {
                    let patience = registration.plan().timing.patience();
                    self.timers.set(TimerKey::Destination(id), now + patience);
                }
                self.open(id, destination, now);
            }
            Step::Switch(destination) => self.open(id, destination, now),
            Step::Send(transport, outgoing) => self.send(id, transport, *outgoing, now),
            Step::AskPassword { username, realm } => {
                for key in [TimerKey::TryLimit(id), TimerKey::CommandLimit(id), TimerKey::Destination(id)] {
                    if let Some(due) = self.timers.due(key) {
                        self.timers.cancel(key);
                        self.stopped.insert(key, due);
                    }
                }
                self.notify(Notice::PasswordWanted { registration: id, username, realm });
            }
            Step::Pause { failure, wait, spread } => {
                self.leave_destination(id);
                self.queries.retain(|_, (asker, _)| *asker != id);
                self.timers.cancel(TimerKey::TryLimit(id));
                let wait = wait + jitter(spread, &mut *self.random);
                self.timers.set(TimerKey::Retry(id), now + wait);
                self.notify(Notice::Retrying { registration: id, failure, wait });
            }
            Step::Stranded(cause) => self.stranded(id, cause, now),
            Step::Finish(report) => {
                let keeps = self.registration(id).is_some_and(|registration| registration.plan().keep);
                if !keeps {
                    self.leave_destination(id);
                }
                for key in [TimerKey::TryLimit(id), TimerKey::CommandLimit(id), TimerKey::Retry(id)] {
                    self.timers.cancel(key);
                    self.stopped.remove(&key);
                }
                self.stopped.remove(&TimerKey::Destination(id));
                self.queries.retain(|_, (asker, _)| *asker != id);
                if keeps {
                    self.timers.cancel(TimerKey::Destination(id));
                    return self.ended(id, report, now);
                }
                self.registrations.remove(&id);
                self.notify(Notice::Finished(report));
            }
        }
    }

    fn resolved(&mut self, query: QueryId, answer: DnsAnswer, now: Time) {
        let Some((id, question)) = self.queries.remove(&query) else { return };
        self.on_registration(id, now, |r, _| r.on_resolved(&question, answer, now));
    }

    fn fired(&mut self, key: TimerKey, now: Time) {
        match key {
            TimerKey::Transaction(number, timer) => {
                self.input(number, Input::Fired(timer), None, None, now);
            }
            TimerKey::Destination(id) => self.on_registration(id, now, |r, _| r.on_timeout(now)),
            TimerKey::TryLimit(id) => self.on_registration(id, now, |r, _| r.on_try_over(now)),
            TimerKey::CommandLimit(id) => self.on_registration(id, now, |r, _| r.on_give_up(now)),
            TimerKey::Retry(id) => {
                let Some(registration) = self.registration(id) else { return };
                self.timers.set(TimerKey::TryLimit(id), now + registration.plan().try_limit);
                self.on_registration(id, now, |r, _| r.on_retry(now));
            }
            TimerKey::Keep(id) => self.keep_due(id, now),
            TimerKey::Leave(id) => self.leave_over(id),
            TimerKey::Pace => self.pace_due(now),
            TimerKey::Called => self.called_due(now),
            TimerKey::Absorbing => self.absorbed(now),
            TimerKey::Served | TimerKey::Bindings | TimerKey::Silent => {
                self.serve(now, |serving, outside| serving.fired(key, outside));
            }
            TimerKey::Incomplete(flow) if !self.flows.has(flow) => {
                self.serve(now, |serving, outside| serving.fired(key, outside));
            }
            TimerKey::Incomplete(flow) => {
                if let Some(flow) = self.flows.get(flow) {
                    let (peer, reason) = (flow.destination.address, Dropped::Incomplete);
                    self.notify(Notice::Dropped { peer, reason });
                }
                self.flow_lost(flow, None, now);
            }
        }
    }
}
