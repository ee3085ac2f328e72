//! One registration: from a [`Plan`] to a [`Report`], over as many requests as it takes (RFC 3261 §10.2, §8.1.3).
//!
//! ```text
//!  start ─▶ Locating ─▶ Opening ─▶ Waiting ─▶ Done
//!              ▲           ▲  ▲       │ 401 407 420 421 423: the next request on the same flow
//!              │           │  └───────┤ 503, timeout, broken flow: the next destination (RFC 3263 §4.3)
//!              └───────────┼──────────┤ 3xx, or a failure while targets are left: the next target
//!                          │          ▼
//!                          └─────── Asking: for a password
//! ```
//!
//! With [`Plan::keep`] it does not end in Done but rests, and [`Registration::again_for`] has it register once more.
//!
//! The machine is pure. Every input returns one [`Step`], the thing to do next; [`crate::proto::endpoint`] does it. To, From
//! (tag included) and Call-ID stay the same over all requests, CSeq rises by one with each (§10.2).

mod answer;
mod bound;
mod finals;
mod request;
mod rest;
mod tally;
mod targets;
#[cfg(test)]
mod tests;
mod tries;
mod walk;

use std::borrow::Cow;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::outcome::{Attempt, AttemptResult, Failure, Misbehaviour, Remote, Report, Unreachable};
use super::plan::Plan;
use crate::proto::digest::Sessions;
use crate::proto::ids::{self, Random, Tag};
use crate::proto::locate::{Destination, Locate, Transport};
use crate::proto::transaction::Outgoing;
use crate::proto::{Cause, DnsAnswer, Question, RegistrationId, ResolveError, Time};
use crate::sip::{NameAddr, Response};
use bound::Bound;
use tally::Slip;
use targets::{Target, Way};

/// The option-tags that the client can use at all.
const KNOWN_TAGS: [&str; 1] = ["path"];

/// A remembered CSeq above this begins a new Call-ID: the numbers of one run must stay below 2^31 (RFC 3261 §8.1.1.5).
const LAST_CSEQ: u32 = (1 << 31) - 10_000;

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask the name service; every answer comes back by [`Registration::on_resolved`].
    Resolve(Vec<Question>),
    /// Open a flow to a new destination; flows to earlier ones are no longer needed.
    Visit(Destination),
    /// Open a second flow to the same address: the request is too large for a datagram.
    Switch(Destination),
    /// Send a request in a new transaction.
    Send {
        /// Which flow to the destination it leaves on.
        transport: Transport,
        /// The request.
        outgoing: Box<Outgoing>,
        /// The contacts it asks to be bound for more than 0 seconds, if the plan has a memory.
        binds: Vec<NameAddr>,
    },
    /// Ask the user; the answer comes back by [`Registration::on_password`].
    AskPassword {
        /// Whose.
        username: String,
        /// Of which protection domain.
        realm: String,
    },
    /// Wait for what is under way.
    Wait,
    /// This try failed. Begin the next by [`Registration::on_retry`] after `wait` and a random part of `spread`.
    Pause {
        /// Why.
        failure: Failure,
        /// At least this long.
        wait: Duration,
        /// And at most this much longer, so that not all clients come back at once.
        spread: Duration,
    },
    /// It is over; with [`Plan::keep`], for now.
    Finish(Box<Report>),
    /// The flow broke over which the registrar reaches us.
    Stranded(Option<Cause>),
}

/// One destination while it is tried.
#[derive(Debug)]
struct Visit {
    destination: Destination,
    /// Source address of each flow that is open: UDP first.
    local: Option<SocketAddr>,
    size: SizeRule,
    challenges: u8,
    raises: u8,
}

impl Visit {
    /// Begins anew with opening flows, the datagram's first if there was one.
    fn forget_flows(&mut self) {
        self.local = None;
        if let SizeRule::Switched { .. } = self.size {
            self.size = SizeRule::Unneeded;
            self.destination.transport = Transport::Udp;
        }
    }
}

/// What RFC 3261 §18.1.1 has come to at this destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizeRule {
    /// No request was too large yet.
    Unneeded,
    /// TCP is used instead; a datagram would leave from here.
    Switched { udp_local: SocketAddr },
    /// TCP was refused: datagrams, whatever their size.
    Refused,
}

#[derive(Debug)]
enum State {
    Fresh,
    Locating(Box<Locate>),
    Opening(Visit),
    Waiting(Visit),
    /// The 401 or 407 waits for a password since then.
    Asking(Visit, Box<Response>, Time),
    /// Between two tries.
    Pausing,
    /// Finished, for now: with the flow it is bound over, if that is still there (RFC 5626 §4.2).
    Resting(Option<Visit>),
    Done,
}

/// The client's wish to be bound, with its state.
#[derive(Debug)]
pub struct Registration {
    id: RegistrationId,
    plan: Box<Plan>,
    call_id: Arc<str>,
    from_tag: Tag,
    cseq: u32,
    /// Option-tags of Supported: the known ones that no 420 has refused.
    offered: Cow<'static, [&'static str]>,
    floor: Option<u32>,
    /// A registrar that found the CSeq too low got a new Call-ID.
    renewed: bool,
    sessions: Sessions,
    /// Where a 3xx led; `None`: where the plan says.
    target: Option<Box<Target>>,
    /// Own contacts that may be bound: remembered ones, and those of requests whose answer never came.
    bound: Bound,
    /// The plan of the next try, if it is another; and whether one has been replaced, so that contacts that the user named are
    /// removed like the device's own.
    revised: Option<Box<Plan>>,
    removes_others: bool,
    tally: Slip,
    /// Whether this try began with the first destination, and since when a later one has served (RFC 3263 §4.3).
    from_the_first: bool,
    elsewhere: Option<Time>,
    state: State,
}

impl Registration {
    /// A registration that has not begun.
    #[must_use]
    pub fn new(id: RegistrationId, plan: Box<Plan>, random: &mut dyn Random) -> Registration {
        let known = plan.resume.as_ref().and_then(|memory| memory.dialogue.clone());
        let (call_id, cseq) =
            known.filter(|(_, cseq)| *cseq < LAST_CSEQ).unwrap_or_else(|| (ids::call_id(random), 0));
        Registration {
            id,
            call_id: call_id.into(),
            from_tag: Tag(random.next()),
            cseq,
            renewed: false,
            offered: Cow::Borrowed(&KNOWN_TAGS),
            floor: None,
            sessions: Sessions::new(),
            target: None,
            bound: plan.resume.iter().flat_map(|memory| memory.own.clone()).collect(),
            revised: None,
            removes_others: false,
            tally: Slip::default(),
            from_the_first: true,
            elsewhere: None,
            state: State::Fresh,
            plan,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RegistrationId {
        self.id
    }

    /// The plan it carries out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the requests of this moment go.
    fn way(&self) -> Way<'_> {
        match &self.target {
            Some(target) => {
                let Target { uri, route, transport, is_for_good } = &**target;
                Way { uri, route, transport: *transport, is_for_good: *is_for_good }
            }
            None => {
                let Plan { registrar, route, transport, .. } = &*self.plan;
                Way { uri: registrar, route, transport: *transport, is_for_good: true }
            }
        }
    }

    /// Begins. Only once, before any other input.
    pub fn start(&mut self, now: Time) -> Step {
        match self.state {
            State::Fresh => {
                self.tally = Slip::begun(now);
                self.next_target(now)
            }
            State::Locating(_)
            | State::Opening(_)
            | State::Waiting(_)
            | State::Asking(..)
            | State::Pausing
            | State::Resting(_)
            | State::Done => Step::Wait,
        }
    }

    /// The name service answered one question.
    pub fn on_resolved(&mut self, question: &Question, answer: DnsAnswer, now: Time) -> Step {
        let State::Locating(locate) = &mut self.state else { return Step::Wait };
        match locate.answer(question, answer) {
            None => Step::Wait,
            Some(Ok(found)) => self.walk(found, now),
            Some(Err(error)) => {
                let name = locate.name().to_owned();
                self.tally.begin_visit();
                let result = AttemptResult::Dns(error.unwrap_or(ResolveError::NoSuchName));
                self.tally.attempts.push(Attempt {
                    transport: None,
                    remote: Remote::Name(name.clone()),
                    result,
                });
                self.tally.unreachable = Some(Unreachable::Name { name, error });
                self.next_target(now)
            }
        }
    }

    /// The flow asked for by [`Step::Visit`] or [`Step::Switch`] is open.
    pub fn on_opened(&mut self, local: SocketAddr, random: &mut dyn Random, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Opening(mut visit) => {
                visit.local = Some(local);
                self.send(visit, local, random, now)
            }
            other @ (State::Fresh
            | State::Locating(_)
            | State::Waiting(_)
            | State::Asking(..)
            | State::Pausing
            | State::Resting(_)
            | State::Done) => self.stay(other),
        }
    }

    /// The flow could not be opened, broke, or was closed without an answer (`cause` is `None` then).
    pub fn on_flow_lost(&mut self, cause: Option<Cause>, random: &mut dyn Random, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Opening(mut visit) => {
                let no_tcp = matches!(cause, Some(Cause::Refused | Cause::ProtocolUnreachable));
                if let (SizeRule::Switched { udp_local }, true) = (visit.size, no_tcp) {
                    // RFC 3261 §18.1.1: the request is repeated over UDP.
                    visit.size = SizeRule::Refused;
                    visit.destination.transport = Transport::Udp;
                    visit.local = Some(udp_local);
                    return self.send(visit, udp_local, random, now);
                }
                self.lost(&visit, cause, now)
            }
            State::Waiting(visit) => self.lost(&visit, cause, now),
            State::Asking(mut visit, response, since) => {
                // The answer needs a flow: it is opened again once the password is known.
                visit.forget_flows();
                self.stay(State::Asking(visit, response, since))
            }
            State::Resting(Some(_)) => {
                self.state = State::Resting(None);
                Step::Stranded(cause)
            }
            other @ (State::Fresh
            | State::Locating(_)
            | State::Pausing
            | State::Resting(None)
            | State::Done) => self.stay(other),
        }
    }

    /// The messages of the stream can't be told apart any more.
    pub fn on_framing_lost(&mut self, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Waiting(visit) => {
                self.tally.misbehaved = Some(Misbehaviour::Framing);
                self.leave(&visit, AttemptResult::Closed);
                self.unsettled();
                self.next_destination(now)
            }
            State::Asking(mut visit, response, since) => {
                visit.forget_flows();
                self.stay(State::Asking(visit, response, since))
            }
            State::Resting(Some(_)) => {
                self.state = State::Resting(None);
                Step::Stranded(None)
            }
            other @ (State::Fresh
            | State::Locating(_)
            | State::Opening(_)
            | State::Pausing
            | State::Resting(None)
            | State::Done) => self.stay(other),
        }
    }

    /// Timer F, or the time of the destination is over.
    pub fn on_timeout(&mut self, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Opening(visit) | State::Waiting(visit) => {
                self.tally.silent = true;
                self.leave(&visit, AttemptResult::Timeout);
                self.unsettled();
                self.next_destination(now)
            }
            other @ (State::Fresh
            | State::Locating(_)
            | State::Asking(..)
            | State::Pausing
            | State::Resting(_)
            | State::Done) => self.stay(other),
        }
    }

    /// How long the user has been asked for a password, if so.
    #[must_use]
    pub fn asking_since(&self) -> Option<Time> {
        match &self.state {
            State::Asking(_, _, since) => Some(*since),
            State::Fresh
            | State::Locating(_)
            | State::Opening(_)
            | State::Waiting(_)
            | State::Pausing
            | State::Resting(_)
            | State::Done => None,
        }
    }

    /// Timer E sent a copy.
    pub fn on_retransmission(&mut self) {
        self.tally.retransmissions += 1;
    }

    fn stay(&mut self, state: State) -> Step {
        self.state = state;
        Step::Wait
    }
}
