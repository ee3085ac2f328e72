//! The whole way that a call to an AOR depends on, looked at step by step: the experiments of `sipreg check`.
//!
//! A check goes through a table of experiments, one after the other. Each is a machine of its own
//! that orders what it needs (probes, registrations, questions to the name service), hears what came of that, and tells
//! what it has measured as [`Measured`]: facts, which somebody else judges. What one has found the next ones go on with.
//! Adding one is a file here, and a line in the table.
//!
//! ```text
//!  dns ─▶ network ─▶ credentials ─▶ binding ─▶ way ─▶ reach ─▶ clock ─▶ others ─▶ what is bound is removed
//! ```
//!
//! What it promises, whatever it meets: the password goes to one server, and after a refusal nowhere; what is bound is one
//! contact of its own at a time, removed at the end, also when the time is over or the user stops it; nobody else's
//! binding is touched; it sends 40 requests at most, and every experiment has a bound.

mod bench;
mod binding;
mod clock;
mod credentials;
mod dns;
mod network;
mod others;
mod probe;
mod reach;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::client::outcome::Report;
use super::client::plan::{Plan, Purpose};
use super::identity::{LastWords, TlsSession};
use super::ids::Random;
use super::{AnswerFault, Cause, DnsAnswer, Question, RegistrationId, Time};
use crate::sip::{FramingError, Request, Response, Via};
use bench::{Alarm, Bench, Input, LOGIN};
use probe::{Move, Probe};

pub(super) use bench::{Order, is_of_check};

pub use binding::Life;
pub use dns::Names;
pub use network::{Contacted, Contacts};
pub use others::{Knowledge, Others};
pub use probe::{Answer, End, Sighting};
pub use reach::Later;
pub use way::{Arrival, Call, Change, Passage, Size};

/// The time that the removal of what is bound may take.
const WITHDRAWAL: Duration = Duration::from_secs(4);

/// The shortest lifetime that is asked for, in seconds: should this process end in the middle, the binding does soon. Most
/// registrars grant it; those that don't say what they do.
const LIFETIME: u32 = 60;

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    /// How the account registers. Purpose, contacts and memory don't count: it binds a contact of its own for as short as
    /// the registrar allows.
    pub plan: Plan,
    /// Bound on the whole, without [`CheckPlan::patience`], which may pass twice.
    pub limit: Duration,
    /// How long after the way is looked at again, without traffic before; `None`: not at all.
    pub patience: Option<Duration>,
}

impl CheckPlan {
    /// The lifetime that is asked for, in seconds.
    #[must_use]
    pub fn lifetime(&self) -> u32 {
        let longer = self.patience.map_or(0, |pause| u32::try_from(pause.as_secs()).unwrap_or(u32::MAX));
        LIFETIME.saturating_add(longer)
    }
}

/// What an experiment has measured.
#[derive(Debug)]
pub enum Measured {
    /// The name service was asked for everything.
    Names(Names),
    /// Every destination was looked at.
    Contacts(Contacts),
    /// The registrar speaks SIP: it has asked for credentials, or answered with a list, before anything else was sent.
    Speaks,
    /// It was registered at one server, or tried to.
    Login(Box<Report>),
    /// What was bound was fetched and removed.
    Life(Life),
    /// A request went to ourselves, and large ones to the registrar.
    Passage(Box<Passage>),
    /// The request to ourselves after a time without traffic; `None`: that was not asked for, or not possible.
    Reached(Option<Box<Later>>),
    /// What answers say of the time.
    Dates(Vec<Dated>),
    /// The other servers and bindings were looked at.
    Others(Box<Others>),
    /// It is over.
    End(Ending),
}

/// An answer with a Date, both times in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Who has sent it.
    pub server: SocketAddr,
    /// When it came.
    pub at: u64,
    /// What its Date says.
    pub date: u64,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Requests sent by all experiments, copies not counted.
    pub requests: u32,
    /// Copies that were sent because no answer came.
    pub copies: u32,
    /// The time was over before all experiments were.
    pub is_cut_short: bool,
    /// What was bound last was removed, as the registrar has confirmed, or nothing was bound.
    pub is_removed: bool,
}

/// One experiment, or some that need the same requests.
trait Experiment: fmt::Debug + Send {
    /// Begins, once.
    fn begin(&mut self, bench: &mut Bench, random: &mut dyn Random, now: Time);
    /// Something came of what it ordered.
    fn on(&mut self, input: Input, bench: &mut Bench, random: &mut dyn Random, now: Time);
    /// Whether it has told what it has measured.
    fn is_over(&self) -> bool;
    /// The time is over: tells what is known by now.
    fn cut(&mut self, bench: &mut Bench);
}

/// All experiments, in their order.
fn experiments() -> VecDeque<Box<dyn Experiment>> {
    let all: [Box<dyn Experiment>; 8] = [
        Box::<dns::Dns>::default(),
        Box::<network::Network>::default(),
        Box::<credentials::Credentials>::default(),
        Box::<binding::Binding>::default(),
        Box::<way::Way>::default(),
        Box::<reach::Reach>::default(),
        Box::<clock::Clock>::default(),
        Box::<others::Rest>::default(),
    ];
    all.into()
}

/// A check under way. See the module.
#[derive(Debug)]
pub(super) struct Check {
    bench: Bench,
    /// The one under way is the first.
    experiments: VecDeque<Box<dyn Experiment>>,
    /// When no more experiments are made.
    until: Time,
    /// When all has to be over, removals included.
    end: Time,
    /// Registrations that may have something bound.
    alive: BTreeSet<RegistrationId>,
    /// Everything is removed: until then.
    leaves: Option<Time>,
    is_cut_short: bool,
    is_removed: bool,
    is_over: bool,
}

impl Check {
    pub fn new(plan: CheckPlan, random: &mut dyn Random, now: Time) -> Check {
        let lifetime = plan.lifetime();
        let CheckPlan { mut plan, limit, patience: pause } = plan;
        plan.purpose = Purpose::Bind { expires: Some(lifetime) };
        plan.contacts.clear();
        plan.resume = None;
        plan.retry_for = Duration::ZERO;
        plan.command_limit = None;
        let patience = plan.timing.patience();
        plan.try_limit = patience.min(limit / 2);
        // A time without traffic, and, where that has shown something, as long a time with keep-alives.
        let pauses = pause.unwrap_or_default() * 2;
        let until = now + limit.saturating_sub(WITHDRAWAL.min(limit / 4)) + pauses;
        let mut check = Check {
            // Eight copies of a datagram within a third of a minute: not all of them get lost.
            bench: Bench::new(plan, pause, patience.min(limit / 3)),
            experiments: experiments(),
            until,
            end: now + limit + pauses,
            alive: BTreeSet::new(),
            leaves: None,
            is_cut_short: false,
            is_removed: true,
            is_over: false,
        };
        if let Some(first) = check.experiments.front_mut() {
            first.begin(&mut check.bench, random, now);
        }
        check.go_on(random, now);
        check
    }

    /// The next thing to be done, if there is one.
    pub fn next_order(&mut self) -> Option<Order> {
        let order = self.bench.orders.pop_front()?;
        match &order {
            Order::Register(id, _) => _ = self.alive.insert(*id),
            Order::Drop(id) => _ = self.alive.remove(id),
            Order::Open(..)
            | Order::Send(..)
            | Order::Leave(_)
            | Order::Again(..)
            | Order::Ping(_)
            | Order::Withdraw(_)
            | Order::Resolve(_)
            | Order::Tell(_)
            | Order::Close => {}
        }
        Some(order)
    }

    /// Whether nothing is to come any more, once all orders are carried out.
    pub fn is_over(&self) -> bool {
        self.is_over && self.bench.orders.is_empty()
    }

    /// When something is due.
    pub fn due(&self) -> Option<Time> {
        let first = self.bench.alarms.first().map(|(at, _)| *at);
        let end = if self.is_over { None } else { Some(self.leaves.unwrap_or(self.until)) };
        first.into_iter().chain(end).min()
    }

    /// How the account registers; for a name service that is asked by us.
    pub fn plan(&self) -> &Plan {
        &self.bench.plan
    }

    /// The user has thought for so long about a password: no limit has come closer.
    pub fn extend(&mut self, thought: Duration) {
        self.until = self.until + thought;
        self.end = self.end + thought;
    }

    /// Something is due.
    pub fn on_due(&mut self, random: &mut dyn Random, now: Time) {
        while let Some((at, alarm)) = self.bench.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.bench.alarms.remove(&(at, alarm));
            match alarm {
                Alarm::Experiment => self.hear(Input::Due, random, now),
                // What is asked besides is not worth the requests that the rest needs.
                Alarm::Late(_) if !self.bench.has_left(1, network::RESERVE) => {}
                Alarm::Late(id) => {
                    self.on_probe(id, random, now, |probe, plan, random| probe.on_late(plan, random, now));
                }
                Alarm::End(id) => {
                    self.on_probe(id, random, now, |probe, _, _| probe.end(End::Silent, now));
                }
            }
        }
        match self.leaves {
            Some(until) if until <= now => self.end(),
            None if self.until <= now => self.stop(now),
            Some(_) | None => {}
        }
    }

    /// Ends what is under way, and has all removed that may be bound.
    pub fn stop(&mut self, now: Time) {
        if let Some(until) = self.leaves {
            // Who wants it to end does not wait for as long as it may take by itself.
            self.leaves = Some(until.min(now + WITHDRAWAL));
            return;
        }
        if let Some(mut current) = self.experiments.pop_front() {
            self.is_cut_short = true;
            self.bench.end_probes(now);
            current.cut(&mut self.bench);
        }
        self.experiments.clear();
        self.leave(WITHDRAWAL, now);
    }

    /// Has all removed that may be bound, within that time, and no longer than all may take.
    fn leave(&mut self, within: Duration, now: Time) {
        self.bench.abandon();
        self.leaves = Some((now + within).min(self.end.max(now)));
        self.bench.orders.extend(self.alive.iter().copied().map(Order::Withdraw));
        if self.alive.is_empty() {
            self.end();
        }
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.is_removed &= self.alive.is_empty();
        self.bench.orders.extend(self.alive.iter().copied().map(Order::Drop));
        self.bench.orders.push_back(Order::Close);
    }

    /// Tells how it ended, once every registration has said what it sent.
    pub fn close(&mut self) {
        let (requests, copies) = (self.bench.requests, self.bench.copies);
        let Check { is_cut_short, is_removed, .. } = *self;
        self.bench.tell(Measured::End(Ending { requests, copies, is_cut_short, is_removed }));
    }

    /// A registration was given up in the middle: what it has come to by then.
    pub fn on_given_up(&mut self, id: RegistrationId, report: Box<Report>) {
        self.bench.requests += report.requests;
        self.bench.copies += report.retransmissions;
        if id == LOGIN && !std::mem::replace(&mut self.bench.known.is_login_told, true) {
            self.bench.tell(Measured::Login(report));
        }
    }

    /// A registration has nothing that may be bound, and is gone.
    pub fn on_withdrawn(&mut self, id: RegistrationId) {
        self.alive.remove(&id);
        if self.leaves.is_some() && self.alive.is_empty() {
            self.end();
        }
    }

    /// A registration is over, for now.
    pub fn on_registered(
        &mut self,
        id: RegistrationId,
        report: Box<Report>,
        random: &mut dyn Random,
        now: Time,
    ) {
        self.bench.requests += report.requests;
        self.bench.copies += report.retransmissions;
        if let (Some(date), Some(sent), Some(took), Some(hop)) =
            (report.date, report.sent, report.round_trip, report.hop)
        {
            let at = (sent + took).as_millis() / 1000;
            self.bench.known.dates.push(Dated { server: hop.remote, at, date });
        }
        if self.leaves.is_some() {
            self.is_removed &= report.result.is_ok();
            self.bench.orders.push_back(Order::Drop(id));
            self.alive.remove(&id);
            if self.alive.is_empty() {
                self.end();
            }
            return;
        }
        self.hear(Input::Registered(id, report), random, now);
    }

    /// The credentials that a registrar has let us in with: a typed password is among them.
    pub fn on_let_in(&mut self, plan: &Plan) {
        self.bench.known.keyring = Some(plan.keyring.clone());
    }

    /// The name service answered.
    pub fn on_resolved(
        &mut self,
        question: &Question,
        answer: DnsAnswer,
        ttl: u32,
        random: &mut dyn Random,
        now: Time,
    ) {
        self.hear(Input::Resolved(question.clone(), answer, ttl), random, now);
    }

    /// A request came to a socket that is bound.
    pub fn on_called(&mut self, request: Request, peer: SocketAddr, random: &mut dyn Random, now: Time) {
        self.hear(Input::Called(Box::new(Arrival { request, peer, at: now })), random, now);
    }

    fn hear(&mut self, input: Input, random: &mut dyn Random, now: Time) {
        if let Some(current) = self.experiments.front_mut() {
            current.on(input, &mut self.bench, random, now);
        }
        self.go_on(random, now);
    }

    /// Hands on what probes have found, and begins the next experiment when one is over.
    fn go_on(&mut self, random: &mut dyn Random, now: Time) {
        if self.leaves.is_some() {
            return;
        }
        loop {
            let Some(current) = self.experiments.front_mut() else {
                // There is time left: copies that get lost are made good.
                return self.leave(self.bench.plan.timing.patience(), now);
            };
            if current.is_over() {
                self.experiments.pop_front();
                self.bench.alarms.retain(|(_, alarm)| *alarm != Alarm::Experiment);
                if let Some(next) = self.experiments.front_mut() {
                    next.begin(&mut self.bench, random, now);
                }
            } else if let Some((id, sighting)) = self.bench.over.pop_front() {
                current.on(Input::Probed(id, sighting), &mut self.bench, random, now);
            } else {
                return;
            }
        }
    }

    fn on_probe(
        &mut self,
        id: RegistrationId,
        random: &mut dyn Random,
        now: Time,
        input: impl FnOnce(&mut Probe, &Plan, &mut dyn Random) -> Move,
    ) {
        let Some(probe) = self.bench.probes.get_mut(&id) else { return };
        let next = input(probe, &self.bench.plan, random);
        self.bench.apply(id, next);
        self.go_on(random, now);
    }
}

/// What becomes of the flows and requests of probes.
impl Check {
    /// Whether this is a probe under way.
    pub fn has_probe(&self, id: RegistrationId) -> bool {
        self.bench.probes.contains_key(&id)
    }

    pub fn on_opened(&mut self, id: RegistrationId, local: SocketAddr, random: &mut dyn Random, now: Time) {
        self.on_probe(id, random, now, |probe, plan, random| probe.on_opened(local, plan, random, now));
    }

    pub fn on_final(
        &mut self,
        id: RegistrationId,
        (response, via): (Response, &Via),
        peer: SocketAddr,
        random: &mut dyn Random,
        now: Time,
    ) {
        self.on_probe(id, random, now, |probe, plan, random| {
            probe.on_final((response, via), peer, plan, random, now)
        });
    }

    /// The flow is gone: closed by the other side, if there is no cause.
    pub fn on_lost(&mut self, id: RegistrationId, cause: Option<Cause>, random: &mut dyn Random, now: Time) {
        let end = cause.map_or(End::Closed, End::Failed);
        self.on_probe(id, random, now, |probe, _, _| probe.end(end, now));
    }

    pub fn on_out_of_step(
        &mut self,
        id: RegistrationId,
        error: FramingError,
        random: &mut dyn Random,
        now: Time,
    ) {
        self.on_probe(id, random, now, |probe, _, _| probe.end(End::OutOfStep(error), now));
    }

    pub fn on_silence(&mut self, id: RegistrationId, random: &mut dyn Random, now: Time) {
        self.on_probe(id, random, now, |probe, _, _| probe.end(End::Silent, now));
    }

    pub fn on_copy(&mut self, id: RegistrationId) {
        if let Some(probe) = self.bench.probes.get_mut(&id) {
            probe.on_copy();
        }
    }

    pub fn on_secured(&mut self, id: RegistrationId, session: &Arc<TlsSession>) {
        if let Some(probe) = self.bench.probes.get_mut(&id) {
            probe.on_secured(Arc::clone(session));
        }
    }

    pub fn on_last_words(&mut self, id: RegistrationId, words: LastWords) {
        if let Some(probe) = self.bench.probes.get_mut(&id) {
            probe.on_last_words(words);
        }
    }

    pub fn on_unusable(&mut self, id: RegistrationId, peer: SocketAddr, fault: AnswerFault) {
        if let Some(probe) = self.bench.probes.get_mut(&id) {
            probe.on_unusable(peer, fault);
        }
    }
}
