//! The endpoint: hands each event to the layer that owns it. Flows carry messages, transactions pair them, and their
//! users decide: registrations, the device that is bound, and the server with its registrar and proxy. The file is long
//! because every event comes in here.
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

mod check;
mod client;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::check::{Check, is_of_check};
use super::client::device::Device;
use super::client::nat::{Keepalives, Need};
use super::client::pacing::Pacing;
use super::client::plan::Plan;
use super::client::registration::{Registration, Step};
use super::client::schedule::Schedule;
use super::flow::{Arrival, Flow, Overload, Side};
use super::identity::TlsSession;
use super::ids::{Branch, Random, jitter};
use super::names::Asker;
use super::registrar::service::{Counters, Server, ServerEvent};
use super::timers::{CheckTimer, ClientTimer, FlowTimer, ProxyTimer, RegistrarTimer, TransactionTimer};
use super::transaction::{Heard, Outgoing, Owner, Transactions, UnusableAnswer};
use super::{
    Action, AnswerFault, Cause, Checkpoint, Command, Destination, DnsAnswer, Dropped, Event, FlowId, Notice,
    QueryId, Question, RegistrationId, Time, TimerKey, Transport,
};
use crate::sip::{AnyUri, Message, NameAddr, ParseError, Request};

/// Room for so many actions is kept; what an event with more of them took is given back.
const AT_ONCE: usize = 64;

/// Everything the core keeps. See the module.
pub struct Endpoint {
    /// Transactions, the flows that carry them, and the queue.
    stack: Transactions,
    registrations: BTreeMap<RegistrationId, Box<Entry>>,
    pacing: Pacing,
    /// The accounts that are kept, by the user part of their AOR, its escapes undone.
    namesakes: BTreeSet<(Box<[u8]>, RegistrationId)>,
    device: Device,
    server: Option<Box<Server>>,
    check: Option<Box<Check>>,
    /// The keep-alives of flows that accounts are bound over.
    keepalives: BTreeMap<FlowId, Keepalives>,
    /// Limits that stand still while a user thinks, with the time they were due.
    stopped: BTreeMap<ClientTimer, Time>,
}

/// A registration and, if it is kept, its timetable.
struct Entry {
    registration: Registration,
    keep: Option<Schedule>,
    /// The transaction whose answer it waits for: one at a time. Those before may still absorb copies of theirs.
    waits: Option<Branch>,
    /// When its current destination has had all the time that one may take.
    patience_ends: Option<Time>,
    /// The keep-alives that it needs, and of which flow.
    need: Option<(FlowId, Need)>,
    /// What its user knows: where it is seen behind a NAT, and how often it sends keep-alives there.
    nat: Option<Box<(SocketAddr, Option<Duration>)>>,
}

impl Entry {
    fn new(registration: Registration, keep: Option<Schedule>) -> Box<Entry> {
        Box::new(Entry { registration, keep, waits: None, patience_ends: None, need: None, nat: None })
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
            stack: Transactions::new(random),
            registrations: BTreeMap::new(),
            pacing: Pacing::default(),
            namesakes: BTreeSet::new(),
            device: Device::default(),
            server: None,
            check: None,
            keepalives: BTreeMap::new(),
            stopped: BTreeMap::new(),
        }
    }

    /// Takes one event at a time that never goes backwards, and returns all that it leads to.
    #[must_use = "the actions have to be carried out"]
    pub fn handle(&mut self, event: Event, now: Time) -> Drain<'_> {
        self.stack.context.now = now;
        if self.stack.context.actions.is_empty() {
            self.stack.context.actions.shrink_to(AT_ONCE);
        }
        match event {
            Event::Command(command) => self.command(command, now),
            Event::Opened { flow, local } => self.opened(flow, local, now),
            Event::Accepted { listener, flow, local, remote } => {
                let is_served = self.serve(|server, stack| {
                    server.accepted(listener, flow, local, remote, stack);
                });
                if !is_served {
                    self.stack.context.push(Action::Close { flow });
                }
            }
            Event::Secured { flow, session } => self.secured(flow, session),
            Event::HandshakeFailed { listener, remote, cause } => {
                self.serve(|server, stack| server.handshake_failed(listener, remote, cause, stack));
            }
            Event::LastWords { flow, words } => {
                for user in self.stack.flows.users(flow) {
                    if let Some(entry) = self.registrations.get_mut(&user) {
                        entry.registration.on_last_words(words.clone());
                    } else if let Some(check) = &mut self.check {
                        check.on_last_words(user, words.clone());
                    }
                }
            }
            Event::Challenged { flow, path, challenges } => self.challenged(flow, &path, &challenges),
            Event::Closed { flow } => self.lost(flow, None, now),
            Event::Failed { flow, peer, cause } => self.failed(flow, peer, cause, now),
            Event::Received { flow, peer, bytes } => self.received(flow, peer, bytes, now),
            Event::Resolved { query, answer, ttl } => self.resolved(query, answer, ttl, now),
            Event::Stored { ask, answer } => {
                self.serve(|server, stack| server.stored(ask, answer, stack));
            }
            Event::Node { id, peer } => {
                self.serve(|server, stack| server.node(id, peer, stack));
            }
            Event::SourceFound { peer, local } => {
                self.serve(|server, stack| server.source_found(peer, local, stack));
            }
            Event::NetworkChanged { moved } => self.network_changed(moved, now),
            Event::Timeout => {
                while let Some(key) = self.stack.context.timers.pop_due(now) {
                    self.fired(key, now);
                }
            }
        }
        Drain(&mut self.stack.context.actions)
    }

    /// When [`Event::Timeout`] is due, and for which timer. O(1).
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Time, TimerKey)> {
        self.stack.context.timers.next()
    }

    /// What a server has counted; `None` when this endpoint is none.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        self.server.as_ref().map(|server| server.counters)
    }

    /// Whether nothing at all is kept: no registration, transaction, flow, question or timer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.registrations.is_empty()
            && self.stack.flows.is_empty()
            && self.stack.is_empty()
            && self.stack.context.names.is_idle()
            && self.stopped.is_empty()
            && self.keepalives.is_empty()
            && self.server.is_none()
            && self.check.is_none()
            && self.pacing.is_empty()
            && self.namesakes.is_empty()
            && self.stack.context.timers.next().is_none()
    }

    fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(&id).map(|entry| &entry.registration)
    }

    fn notify(&mut self, notice: Notice) {
        self.stack.context.notify(notice);
    }

    /// Hands something to the server, if this endpoint is one. Whether it is.
    fn serve(&mut self, work: impl FnOnce(&mut Server, &mut Transactions)) -> bool {
        let Some(server) = &mut self.server else { return false };
        work(server, &mut self.stack);
        if server.is_over() {
            self.server = None;
            self.notify(Notice::Server(ServerEvent::Stopped));
        }
        true
    }

    fn command(&mut self, command: Command, now: Time) {
        match command {
            Command::Register { registration: id, plan } => {
                self.stack.context.timers.set(ClientTimer::TryLimit(id), now + plan.try_limit);
                if let Some(whole) = plan.command_limit {
                    self.stack.context.timers.set(ClientTimer::CommandLimit(id), now + whole);
                }
                let mut registration = Registration::new(id, plan, &mut *self.stack.context.random);
                let step = registration.start(now);
                self.registrations.insert(id, Entry::new(registration, None));
                self.apply(id, step, now);
            }
            Command::Password { registration: id, password } => {
                let Some(since) = self.registration(id).and_then(Registration::asking_since) else { return };
                // Thinking is not waiting for the network: no limit has come closer.
                let thought = now.since(since);
                for key in limits(id) {
                    if let Some(due) = self.stopped.remove(&key) {
                        self.stack.context.timers.set(key, due + thought);
                    }
                }
                self.extend_check(id, thought, now);
                self.on_registration(id, now, |r, random| r.on_password(password, random, now));
            }
            Command::GiveUp { registration: id } => {
                self.miss_unfinished(id);
                self.on_registration(id, now, |r, _| r.on_give_up(now));
            }
            Command::Keep { registration, plan, delay, probe } => {
                self.begin_keeping(registration, plan, delay, probe, now);
            }
            Command::Revise { registration: id, plan } => {
                if let Some(entry) = self.registrations.get_mut(&id) {
                    entry.registration.revise(plan);
                }
            }
            Command::Check(plan) => self.begin_check(*plan, now),
            Command::StopCheck => self.on_check(now, |check, _| check.stop(now)),
            Command::Answer(device) => self.device = device,
            Command::Refresh(which) => self.refresh(which, now),
            Command::StopKeeping(which) => self.stop_keeping(which, now),
            Command::Serve(service) => {
                let server = Server::start(*service, &mut self.stack);
                self.server = Some(Box::new(server));
            }
            Command::Users(users) => {
                self.serve(|server, _| server.replace_users(*users));
            }
            Command::StopServing => {
                self.serve(|server, stack| server.stop(stack));
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
        let step = input(&mut entry.registration, &mut *self.stack.context.random);
        self.apply(id, step, now);
    }

    fn apply(&mut self, id: RegistrationId, step: Step, now: Time) {
        match step {
            Step::Wait => {}
            Step::Resolve { questions, until } => {
                if self.registration(id).is_none_or(|registration| !registration.is_reviewing()) {
                    self.leave_destination(id);
                }
                self.stack.context.timers.set(ClientTimer::Lookup(id), until);
                self.resolve(id, questions, now);
            }
            Step::Visit(destination) => {
                self.leave_for(id, Some(&destination));
                self.begin_patience(id, now);
                self.open(id, destination, now);
            }
            Step::Reopen(destination) => {
                let end = self.stack.context.timers.due(ClientTimer::Destination(id));
                self.leave_for(id, Some(&destination));
                if let Some(end) = end {
                    self.stack.context.timers.set(ClientTimer::Destination(id), end);
                }
                self.open(id, destination, now);
            }
            Step::Switch(destination) => self.open(id, destination, now),
            Step::Send { transport, outgoing, binds } => self.send(id, transport, *outgoing, binds, now),
            Step::AskPassword { username, realm, host } => {
                for key in limits(id) {
                    if let Some(due) = self.stack.context.timers.due(key) {
                        self.stack.context.timers.cancel(key);
                        self.stopped.insert(key, due);
                    }
                }
                self.notify(Notice::PasswordWanted { registration: id, username, realm, host });
            }
            Step::Pause { failure, wait, spread } => {
                self.leave_destination(id);
                self.ask_no_more(id);
                self.stack.context.timers.cancel(ClientTimer::TryLimit(id));
                let wait = wait + jitter(spread, &mut *self.stack.context.random);
                self.stack.context.timers.set(ClientTimer::Retry(id), now + wait);
                let unusable = self.registration(id).map(Registration::unusable).unwrap_or_default();
                self.notify(Notice::Retrying { registration: id, failure, unusable, wait });
            }
            Step::Rest(pause) => self.stack.context.timers.set(ClientTimer::Nonce(id), now + pause),
            Step::Stranded(cause) => self.stranded(id, cause, now),
            Step::Finish(report) => {
                let keeps = self.registration(id).is_some_and(|registration| registration.plan().keep);
                if !keeps {
                    self.leave_destination(id);
                }
                for key in [
                    ClientTimer::TryLimit(id),
                    ClientTimer::CommandLimit(id),
                    ClientTimer::Lookup(id),
                    ClientTimer::Nonce(id),
                    ClientTimer::Retry(id),
                ] {
                    self.stack.context.timers.cancel(key);
                }
                for key in limits(id) {
                    self.stopped.remove(&key);
                }
                self.ask_no_more(id);
                if keeps {
                    self.stack.context.timers.cancel(ClientTimer::Destination(id));
                    if is_of_check(id) {
                        return self.registered_for_check(id, report, now);
                    }
                    return self.ended(id, report, now);
                }
                self.registrations.remove(&id);
                self.notify(Notice::Finished(report));
            }
        }
    }

    /// Gives a destination its time: no more than its fair part of what is left for all of them.
    fn begin_patience(&mut self, id: RegistrationId, now: Time) {
        let limits = [ClientTimer::TryLimit(id), ClientTimer::CommandLimit(id)];
        let end = limits.into_iter().filter_map(|key| self.stack.context.timers.due(key)).min();
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        let patience = entry.registration.plan().timing.patience();
        let others = u32::try_from(entry.registration.destinations_left()).unwrap_or(u32::MAX);
        let part = end.map(|end| end.since(now) / others.saturating_add(1));
        entry.patience_ends = Some(now + patience);
        let patience = part.map_or(patience, |part| part.min(patience));
        self.stack.context.timers.set(ClientTimer::Destination(id), now + patience);
    }

    /// A destination that has answered may take all the time that one may, though others are left.
    fn extend_patience(&mut self, id: RegistrationId) {
        let key = ClientTimer::Destination(id);
        let end = self.registrations.get(&id).and_then(|entry| entry.patience_ends);
        if let Some(end) = end.filter(|_| self.stack.context.timers.due(key).is_some()) {
            self.stack.context.timers.set(key, end);
        }
    }

    fn resolved(&mut self, query: QueryId, answer: DnsAnswer, ttl: u32, now: Time) {
        let Some((question, askers)) = self.stack.context.names.answered(query, &answer, ttl, now) else {
            return;
        };
        for asker in askers {
            let answer = answer.clone();
            match asker {
                Asker::Registration(id) => {
                    let told = |r: &mut Registration, random: &mut dyn Random| {
                        r.on_resolved(&question, answer, ttl, random, now)
                    };
                    self.on_registration(id, now, told);
                }
                Asker::Check => {
                    self.on_check(now, |check, random| {
                        check.on_resolved(&question, answer, ttl, random, now);
                    });
                }
                Asker::Branch(id, n) => {
                    self.serve(|server, stack| server.resolved((id, n), &question, answer, ttl, stack));
                }
            }
        }
    }

    /// Asks the name service for a registration. What is known already it is told at once.
    fn resolve(&mut self, id: RegistrationId, questions: Vec<Question>, now: Time) {
        let Some(entry) = self.registrations.get(&id) else { return };
        let since = entry.registration.doubts_since();
        let mut known = Vec::new();
        for question in questions {
            let asker = Asker::Registration(id);
            if let Some((answer, ttl)) = self.stack.context.resolve(&question, asker, since) {
                known.push((question, answer, ttl));
            }
        }
        for (question, answer, ttl) in known {
            self.on_registration(id, now, |r, random| r.on_resolved(&question, answer, ttl, random, now));
        }
    }

    fn ask_no_more(&mut self, id: RegistrationId) {
        self.stack.context.names.leave(|asker| asker == Asker::Registration(id));
    }

    fn fired(&mut self, key: TimerKey, now: Time) {
        match key {
            TimerKey::Transaction(timer) => self.transaction_due(timer, now),
            TimerKey::Flow(FlowTimer::Incomplete(flow)) => self.overload(flow, Overload::Slow, now),
            TimerKey::Flow(FlowTimer::Idle) => {
                while let Some(flow) = self.stack.flows.idle(&mut self.stack.context) {
                    self.overload(flow, Overload::Idle, now);
                }
            }
            TimerKey::Flow(FlowTimer::Keepalive(flow)) => self.keepalive_due(flow, now),
            TimerKey::Client(timer) => self.client_due(timer, now),
            TimerKey::Check(CheckTimer::Due) => self.check_due(now),
            TimerKey::Registrar(RegistrarTimer::Bindings) => {
                self.serve(|server, stack| server.bindings_due(stack));
            }
            TimerKey::Registrar(RegistrarTimer::Unanswered) => {
                self.serve(|server, stack| server.unanswered_due(stack));
            }
            TimerKey::Registrar(RegistrarTimer::RateLimited) => {
                self.serve(|server, stack| server.stretches_due(stack));
            }
            TimerKey::Registrar(RegistrarTimer::Handshakes) => {
                self.serve(|server, stack| server.handshakes_due(stack));
            }
            TimerKey::Registrar(RegistrarTimer::Crowded) => {
                self.serve(|server, stack| server.crowd_due(stack));
            }
            TimerKey::Proxy(ProxyTimer::C(context, branch)) => {
                self.serve(|server, stack| server.branch_due(context, branch, stack));
            }
            TimerKey::Proxy(ProxyTimer::Lookup(context, branch)) => {
                self.serve(|server, stack| server.lookup_due(context, branch, stack));
            }
        }
    }

    fn client_due(&mut self, timer: ClientTimer, now: Time) {
        match timer {
            ClientTimer::Destination(id) => {
                self.miss_unfinished(id);
                self.on_registration(id, now, |r, _| r.on_timeout(now));
            }
            ClientTimer::TryLimit(id) => {
                self.miss_unfinished(id);
                self.on_registration(id, now, |r, _| r.on_try_over(now));
            }
            ClientTimer::CommandLimit(id) => {
                self.miss_unfinished(id);
                self.on_registration(id, now, |r, _| r.on_give_up(now));
            }
            ClientTimer::Lookup(id) => {
                self.on_registration(id, now, |r, random| r.on_lookup_due(random, now))
            }
            ClientTimer::Retry(id) => {
                let Some(registration) = self.registration(id) else { return };
                self.stack.context.timers.set(ClientTimer::TryLimit(id), now + registration.plan().try_limit);
                self.on_registration(id, now, |r, _| r.on_retry(now));
            }
            ClientTimer::Nonce(id) => {
                self.on_registration(id, now, |r, random| r.on_rested_nonce(random, now))
            }
            ClientTimer::Keep(id) => self.keep_due(id, now),
            ClientTimer::Leave(id) => self.leave_over(id, now),
            ClientTimer::Pace => self.pace_due(now),
        }
    }

    fn transaction_due(&mut self, timer: TransactionTimer, now: Time) {
        match timer {
            TransactionTimer::Client(branch, timer) => {
                let heard = self.stack.fired(branch, timer);
                self.hear(heard, now);
            }
            TransactionTimer::Absorbing => {
                for heard in self.stack.absorbed() {
                    self.hear(Some(heard), now);
                }
            }
            TransactionTimer::Server => {
                while let Some((owner, key)) = self.stack.next_slow() {
                    match owner {
                        Owner::Registrar => {
                            self.serve(|server, stack| server.slow(key, stack));
                        }
                        // They answer at once.
                        Owner::Registration(_) | Owner::Device | Owner::Branch(..) => {}
                        Owner::Proxy(id) => {
                            self.serve(|server, stack| server.slow_forward(id, key, stack));
                        }
                    }
                }
                self.stack.expire();
            }
            TransactionTimer::Invite => self.stack.invites_due(),
        }
    }

    /// Tells the owner of a client transaction what came of it.
    fn hear(&mut self, heard: Option<(Owner, Heard)>, now: Time) {
        let (id, heard) = match heard {
            Some((Owner::Registration(id), heard)) => (id, heard),
            Some((Owner::Branch(context, branch), heard)) => {
                self.serve(|server, stack| server.heard(context, branch, heard, stack));
                return;
            }
            Some((Owner::Registrar | Owner::Device | Owner::Proxy(_), _)) | None => return,
        };
        if self.is_probe(id) {
            return self.probe_heard(id, heard, now);
        }
        match heard {
            Heard::Timeout => self.miss_unfinished(id),
            Heard::Final(..) => self.extend_patience(id),
            Heard::Copy | Heard::Provisional(_) | Heard::Undeliverable(_) | Heard::Over => {}
        }
        self.on_registration(id, now, |registration, random| match heard {
            Heard::Copy => {
                registration.on_retransmission();
                Step::Wait
            }
            Heard::Final(response, via, peer) => registration.on_final(response, &via, peer, random, now),
            Heard::Timeout => registration.on_timeout(now),
            Heard::Undeliverable(cause) => registration.on_flow_lost(Some(cause), random, now),
            // Branches of the proxy alone hear them.
            Heard::Provisional(_) | Heard::Over => Step::Wait,
        });
    }
}

/// What becomes of events that are about flows.
impl Endpoint {
    fn opened(&mut self, id: FlowId, local: SocketAddr, now: Time) {
        self.stack.flows.opened(id, local, &mut self.stack.context);
        match self.stack.flows.get(id).map(Flow::side) {
            Some(Side::Client) => {
                for user in self.stack.flows.users(id) {
                    if self.is_probe(user) {
                        self.on_check(now, |check, random| check.on_opened(user, local, random, now));
                        continue;
                    }
                    self.number(user);
                    self.on_registration(user, now, |r, random| r.on_opened(local, random, now));
                }
            }
            Some(Side::Server) => {
                self.serve(|server, stack| server.opened(id, local, stack));
            }
            None => {}
        }
    }

    /// It is known who the other end of a connection is.
    fn secured(&mut self, id: FlowId, session: Arc<TlsSession>) {
        for user in self.stack.flows.users(id) {
            if let Some(entry) = self.registrations.get_mut(&user) {
                entry.registration.on_secured(&session);
            } else if let Some(check) = &mut self.check {
                check.on_secured(user, &session);
            }
        }
        self.stack.flows.secured(id, session);
    }

    /// The server of a WebSocket wants to know who asks for it. Of several accounts the first says so.
    fn challenged(&mut self, id: FlowId, path: &str, challenges: &[String]) {
        let user = self.stack.flows.users(id).first().copied();
        let authorization = user.and_then(|user| {
            let entry = self.registrations.get_mut(&user)?;
            let random = &mut *self.stack.context.random;
            entry.registration.on_upgrade_challenged(path, challenges, random)
        });
        self.stack.context.push(Action::Authorize { flow: id, authorization });
    }

    /// A response belongs to the transaction it fits, and everything else to the side that the flow is of.
    fn received(&mut self, id: FlowId, peer: SocketAddr, bytes: Bytes, now: Time) {
        let Some(side) = self.stack.flows.get(id).map(Flow::side) else { return };
        let is_heard = side == Side::Client || self.server.as_ref().is_some_and(|server| server.is_serving());
        let mut octets = Some(bytes).filter(|_| is_heard);
        while let Some(arrival) = self.stack.flows.next(id, peer, &mut octets, &mut self.stack.context) {
            match (arrival, side) {
                (Arrival::Message(Message::Response(response)), _) => {
                    match (self.stack.receive(id, response, peer), side) {
                        (Ok(heard), _) => self.hear(heard, now),
                        (Err(UnusableAnswer { fault, concerns }), Side::Client) => {
                            self.unusable(peer, fault, &concerns);
                        }
                        (Err(_), Side::Server) => {
                            self.serve(|server, _| server.counters.stray += 1);
                        }
                    }
                }
                // Whoever answers an echo finds the answer come back, too.
                (Arrival::Message(Message::Request(request)), Side::Client)
                    if self.stack.is_echo(&request) =>
                {
                    self.notify(Notice::Dropped { peer, reason: Dropped::Request });
                }
                (Arrival::Message(Message::Request(request)), Side::Client) => {
                    self.call(request, None, id, peer);
                }
                (Arrival::Message(Message::Request(request)), Side::Server) => {
                    self.serve(|server, stack| server.request(request, id, peer, stack));
                }
                (Arrival::Unreadable(octets, error), Side::Client) => {
                    self.unreadable(&octets, error, id, peer)
                }
                (Arrival::Unreadable(octets, error), Side::Server) => {
                    self.serve(|server, stack| server.unreadable(&octets, &error, id, peer, stack));
                }
                (Arrival::Pong, _) => self.ponged(id, false),
                (Arrival::Pongs, _) => self.ponged(id, true),
                (Arrival::Stun(message), _) => self.stun_received(id, peer, &message, now),
                (Arrival::OutOfStep(error), Side::Client) => {
                    self.notify(Notice::Dropped { peer, reason: Dropped::Malformed });
                    for user in self.close(id) {
                        if self.is_probe(user) {
                            self.on_check(now, |check, random| {
                                check.on_out_of_step(user, error, random, now);
                            });
                        }
                        self.on_registration(user, now, |r, _| r.on_framing_lost(error, now));
                    }
                }
                (Arrival::OutOfStep(error), Side::Server) => {
                    self.serve(|server, stack| server.out_of_step(error, id, peer, stack));
                }
            }
        }
        while let Some(longest) = self.stack.flows.overflowing() {
            self.overload(longest, Overload::Unfinished, now);
        }
    }

    /// An answer came that can't be used: should no better one come, its registration can tell.
    fn unusable(&mut self, peer: SocketAddr, fault: AnswerFault, concerns: &[RegistrationId]) {
        for id in concerns {
            if let Some(entry) = self.registrations.get_mut(id) {
                entry.registration.on_unusable(peer, fault);
            } else if let Some(check) = &mut self.check {
                check.on_unusable(*id, peer, fault);
            }
        }
        self.notify(Notice::Dropped { peer, reason: fault.into() });
    }

    /// Something came that can't be read: a request, which is told so, or an answer.
    fn unreadable(&mut self, octets: &Bytes, error: ParseError, flow: FlowId, peer: SocketAddr) {
        if let Some(request) = Request::salvage(octets) {
            return self.call(request, Some(error), flow, peer);
        }
        // A keep-alive answers nothing.
        let concerns = if error == ParseError::Empty { Vec::new() } else { self.stack.concerned(flow) };
        self.unusable(peer, AnswerFault::Unreadable(error), &concerns);
    }

    /// The registration goes on without what its connection has brought of an answer so far.
    fn miss_unfinished(&mut self, id: RegistrationId) {
        let flow = |id| self.stack.flows.get(id).filter(|flow| flow.is_unfinished())?.remote();
        let peers: Vec<SocketAddr> = self.stack.flows.of(id).filter_map(flow).collect();
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        peers.into_iter().for_each(|peer| entry.registration.on_unusable(peer, AnswerFault::Incomplete));
    }

    /// A datagram that can't be delivered concerns the transactions with that peer only; anything else is lost as a
    /// whole.
    fn failed(&mut self, id: FlowId, peer: SocketAddr, cause: Cause, now: Time) {
        let Some(flow) = self.stack.flows.get(id) else { return };
        if flow.transport.is_reliable() || flow.local.is_none() {
            return self.lost(id, Some(cause), now);
        }
        for branch in self.stack.waiting(id, peer) {
            let heard = self.stack.fail(branch, cause);
            self.hear(heard, now);
        }
    }

    /// A flow could not be opened, broke, or was closed by the other side.
    fn lost(&mut self, id: FlowId, cause: Option<Cause>, now: Time) {
        match self.stack.flows.get(id).map(Flow::side) {
            Some(Side::Client) => {
                self.prove(id);
                for user in self.stack.concerned(id) {
                    self.miss_unfinished(user);
                }
                for user in self.close(id) {
                    if self.is_probe(user) {
                        self.on_check(now, |check, random| check.on_lost(user, cause, random, now));
                    }
                    self.on_registration(user, now, |r, random| r.on_flow_lost(cause, random, now));
                }
            }
            Some(Side::Server) => {
                self.serve(|server, stack| server.lost(id, cause, stack));
            }
            None => {}
        }
    }

    /// A flow has reached a limit, and goes.
    fn overload(&mut self, id: FlowId, why: Overload, now: Time) {
        let Some(flow) = self.stack.flows.get(id) else { return };
        match flow.side() {
            Side::Client => {
                if let Some(peer) = flow.remote() {
                    self.notify(Notice::Dropped { peer, reason: Dropped::Incomplete });
                }
                self.lost(id, None, now);
            }
            Side::Server if flow.local.is_none() && why == Overload::Slow => {
                self.serve(|server, stack| server.unconnected(id, stack));
            }
            Side::Server => {
                self.serve(|server, stack| server.drop_flow(id, why, stack));
            }
        }
    }

    /// Closes a flow, and ends what was under way on it. Who used it.
    fn close(&mut self, id: FlowId) -> Vec<RegistrationId> {
        self.keepalives.remove(&id);
        self.stack.context.timers.cancel(FlowTimer::Keepalive(id));
        self.stack.end(id);
        self.stack.flows.close(id, &mut self.stack.context)
    }

    /// Opens a flow for a registration, or joins one that leads there.
    fn open(&mut self, id: RegistrationId, destination: Destination, now: Time) {
        let Some(plan) = self.registrations.get(&id).map(|entry| entry.registration.plan()) else { return };
        let (shares, patience) = (plan.keep, plan.timing.patience());
        let flow = self.stack.flows.open(destination, id, shares, patience, &mut self.stack.context);
        if let Some(session) = self.stack.flows.session(flow).cloned()
            && let Some(entry) = self.registrations.get_mut(&id)
        {
            entry.registration.on_secured(&session);
        }
        if let Some(local) = self.stack.flows.get(flow).and_then(|flow| flow.local) {
            self.number(id);
            self.on_registration(id, now, |r, random| r.on_opened(local, random, now));
        }
    }

    /// Leaves the flows of a registration, and ends what it has under way on them. What only absorbs copies of an answer may go
    /// on doing so where others stay.
    fn leave_destination(&mut self, id: RegistrationId) {
        self.leave_for(id, None);
    }

    /// As [`Endpoint::leave_destination`], but stays on a flow that it will want in a moment.
    fn leave_for(&mut self, id: RegistrationId, next: Option<&Destination>) {
        self.stack.context.timers.cancel(ClientTimer::Destination(id));
        self.stack.context.timers.cancel(ClientTimer::Lookup(id));
        self.stack.context.timers.cancel(ClientTimer::Nonce(id));
        let next = next.and_then(|next| self.stack.flows.shared(next));
        if let Some(branch) = self.registrations.get_mut(&id).and_then(|entry| entry.waits.take()) {
            self.stack.cancel(branch);
        }
        for flow in self.stack.flows.of(id).collect::<Vec<_>>() {
            if next != Some(flow) {
                self.need_no_keepalives(id, flow);
            }
            if next != Some(flow) && self.stack.flows.leave(flow, id) {
                self.close(flow);
            }
        }
    }
}

/// Requests: those of registrations, and those of others to the device.
impl Endpoint {
    fn send(
        &mut self,
        id: RegistrationId,
        transport: Transport,
        outgoing: Outgoing,
        binds: Vec<NameAddr>,
        now: Time,
    ) {
        let found = self.stack.flows.of(id).rev().find_map(|id| {
            let flow = self.stack.flows.get(id).filter(|flow| flow.transport == transport)?;
            Some((id, flow.remote()?, flow.local?))
        });
        let Some((flow, peer, local)) = found else {
            return self.on_registration(id, now, |r, random| r.on_flow_lost(None, random, now));
        };
        let Some(entry) = self.registrations.get_mut(&id) else { return };
        entry.waits = Some(outgoing.branch);
        let Plan { timing, resume, .. } = entry.registration.plan();
        if resume.is_some() {
            self.stack.context.push(Action::Checkpoint(Checkpoint {
                registration: id,
                call_id: outgoing.call_id.to_string(),
                cseq: outgoing.cseq,
                local,
                contacts: binds,
            }));
        }
        self.stack.send(Owner::Registration(id), outgoing, (flow, peer), *timing);
    }

    /// A request came in on a flow that registrations have opened.
    /// With `fault` no more of it could be read than what an answer needs.
    fn call(&mut self, request: Request, fault: Option<ParseError>, flow: FlowId, peer: SocketAddr) {
        let is_kept = |id: &RegistrationId| self.registration(*id).is_some_and(|r| r.plan().keep);
        let mut accounts = self.stack.flows.users(flow);
        accounts.retain(is_kept);
        if accounts.is_empty() {
            return self.notify(Notice::Dropped { peer, reason: Dropped::Request });
        }
        let now = self.stack.context.now;
        self.called_for_check(&accounts, &request, peer, now);
        // One that can't be read is told whomever it is for.
        let first = accounts.first().copied().filter(|_| fault.is_some());
        let called = self.callee(&accounts, &request).or(first);
        self.device.receive(called, (request, fault), flow, peer, &mut self.stack);
    }

    /// Which of the accounts on a flow is called: the one whose contact has the user part of the Request-URI (RFC 3261
    /// §8.2.2.1), if any. Where several have, To decides, and else the first is called; so it is with a Request-URI that
    /// can't be read, which is refused.
    fn callee(&self, accounts: &[RegistrationId], request: &Request) -> Option<RegistrationId> {
        let mut called = accounts.to_vec();
        if let Ok(AnyUri::Sip(uri)) = AnyUri::parse(&request.uri) {
            let user = uri.user_octets();
            called.retain(|id| self.registration(*id).is_some_and(|r| r.is_called(user.as_deref())));
        }
        let to = request.headers.to().ok().filter(|_| called.len() > 1);
        if let Some(to) = to.as_ref().and_then(|to| to.uri.sip()) {
            let aor = |id: &RegistrationId| self.registration(*id).map(|r| &r.plan().aor);
            let is_at = |id: &&RegistrationId| aor(id).is_some_and(|aor| aor.host == to.host);
            let is_of =
                |id: &&RegistrationId| aor(id).is_some_and(|aor| aor.user_octets() == to.user_octets());
            let of_domain = || called.iter().filter(is_at);
            if let Some(meant) = of_domain().find(is_of).or_else(|| of_domain().next()) {
                return Some(*meant);
            }
        }
        called.first().copied()
    }
}

/// The limits of a registration that stand still while a user thinks.
fn limits(id: RegistrationId) -> [ClientTimer; 3] {
    [ClientTimer::TryLimit(id), ClientTimer::CommandLimit(id), ClientTimer::Destination(id)]
}
