//! One registration: from a [`Plan`] to a [`Report`], over as many requests as it takes (RFC 3261 §10.2,
//! §8.1.3).
//!
//! ```text
//!                     ┌─ 3xx, or a failure while targets are left: the next target
//!                     ▼
//!  Fresh ─▶ Trying: Locating ─▶ Visiting, which awaits a flow ─▶ a response ─▶ Over
//!             ▲                    ▲          ▲                   │  │
//!             │                    │          └───────────────────┤  │ 401 407 420 421 423: the next request,
//!             │                    │                              │  │ perhaps after a password was asked for
//!             │                    └──────────────────────────────┤  │ 503, timeout, broken flow: the next
//!             │ the next try                                      │  │ destination (RFC 3263 §4.3)
//!          Pausing ◀── all have failed, and may do better ────────┘  │
//!                                                                    ▼
//!                                                            Resting, with Plan::keep
//! ```
//!
//! A request that is sent ahead with a nonce at hand and refused, by 403 or without a challenge, is repeated
//! without credentials, once a try: the registrar may have forgotten the nonce, and not the user.
//!
//! A nonce that has served before, and is refused and offered again at once, is waited out, once a destination ([`Step::Rest`]). A
//! connection that the server closes behind a challenge is opened once more ([`Step::Reopen`]).
//!
//! With [`Plan::keep`] it does not end but rests, and [`Registration::again_for`] has it register once more.
//!
//! The machine is pure. Every input returns one [`Step`], the thing to do next; [`crate::proto::endpoint`]
//! does it. To, From (tag included) and Call-ID stay the same over all requests, CSeq rises by one with each
//! (§10.2).
//!
//! The file is long because every phase stands in it with all that can happen to it. What a response leads to is in
//! `response`, where the next request goes in `failover`, the request itself
//! in `request`, and what happens between two registrations in `refresh`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::bindings::OwnContacts;
use super::nat::Sight;
use super::outcome::{
    Attempt, AttemptResult, CredentialsFailure, Failure, Hop, Misbehaviour, Remote, Report, Success,
    Unreachable, Unusable, Warning,
};
use super::plan::Plan;
use super::targets::{MOST_DESTINATIONS, NextHop, Target, Targets};
use crate::proto::digest::Sessions;
use crate::proto::identity::{LastWords, TlsSession, Untrusted};
use crate::proto::ids::{self, Random, Tag};
use crate::proto::locate::{Destination, Found, Locate, Origin, Transport};
use crate::proto::transaction::Outgoing;
use crate::proto::{AnswerFault, Cause, DnsAnswer, Question, RegistrationId, ResolveError, Time};
use crate::sip::{FramingError, Host, NameAddr, Response};

/// The option-tags that the client can use at all.
pub(super) const KNOWN_TAGS: [&str; 1] = ["path"];

/// A remembered CSeq above this begins a new Call-ID: the numbers of one run must stay below 2^31 (RFC 3261
/// §8.1.1.5).
const LAST_CSEQ: u32 = (1 << 31) - 10_000;

/// The next thing to do.
#[derive(Debug)]
pub enum Step {
    /// Ask the name service; every answer comes back by [`Registration::on_resolved`]. With or without, there is something
    /// to do at that time, by [`Registration::on_lookup_due`].
    Resolve {
        /// What to ask, if anything.
        questions: Vec<Question>,
        /// When that was waited for long enough.
        until: Time,
    },
    /// Open a flow to a new destination; flows to earlier ones are no longer needed.
    Visit(Destination),
    /// Open another connection to the same destination, in what is left of its time: the server has closed the one before.
    Reopen(Destination),
    /// Open a second flow to the same address: the request is too large for a datagram.
    Switch(Destination),
    /// Send a request in a new transaction.
    Send {
        /// Which flow to the destination it leaves on.
        transport: Transport,
        /// The request with what its response must fit.
        outgoing: Box<Outgoing>,
        /// The contacts it asks to be bound for more than 0 seconds, if the plan has a memory.
        binds: Vec<NameAddr>,
    },
    /// Ask the user; the answer comes back by [`Registration::on_password`].
    AskPassword {
        /// The user whose password is missing.
        username: String,
        /// The protection domain it is for.
        realm: String,
        /// Who asks.
        host: String,
    },
    /// Send nothing for so long; then there is something to do by [`Registration::on_rested_nonce`].
    Rest(Duration),
    /// Wait for what is under way.
    Wait,
    /// This try failed. Begin the next by [`Registration::on_retry`] after `wait` and a random part of
    /// `spread`.
    Pause {
        /// Why it failed.
        failure: Failure,
        /// The shortest pause.
        wait: Duration,
        /// How much longer it may be, so that not all clients come back at once.
        spread: Duration,
    },
    /// It is over; with [`Plan::keep`], for now.
    Finish(Box<Report>),
    /// The flow broke over which the registrar reaches us.
    Stranded(Option<Cause>),
}

/// The client's wish to be bound, with its state.
#[derive(Debug)]
pub struct Registration {
    pub(super) registrant: Registrant,
    /// The plan of the next registration, if it is another.
    pub(super) revised: Option<Box<Plan>>,
    pub(super) state: State,
}

/// Who registers: what one request hands on to the next, from try to try.
#[derive(Debug)]
pub(super) struct Registrant {
    id: RegistrationId,
    pub plan: Box<Plan>,
    pub call_id: Arc<str>,
    pub from_tag: Tag,
    pub cseq: u32,
    /// Option-tags of Supported: the known ones that no 420 has refused.
    pub offered: Cow<'static, [&'static str]>,
    /// The lifetime in seconds that a 423 has raised ours to.
    pub min_expires: Option<u32>,
    pub sessions: Sessions,
    /// Where a 3xx led; `None`: where the plan says.
    pub target: Option<Box<Target>>,
    /// What is known of the hosts that the user named, once one of them has sent us elsewhere.
    pub named: Option<Box<Named>>,
    /// Contacts of this device that may be bound: remembered ones, and those of requests whose answer never
    /// came.
    pub own: OwnContacts,
    /// Tells its own contact from those of other accounts with the same user part on the same flow.
    pub namesake: u16,
    /// How the other end of the flow sees us, and so what the own contact says; `None`: what the flow says.
    pub sight: Option<Box<Sight>>,
    /// The own contact is to be bound once more, with the address that was seen.
    pub corrects: bool,
    /// To bind what was seen has failed, as where a NAT writes that over our own address: it is not tried again.
    pub is_blind: bool,
    /// The plan has been replaced by another, so that contacts that the user named before are removed like
    /// the device's own.
    pub drop_stale: bool,
    /// Since when another destination than the first has served (RFC 3263 §4.3).
    pub failed_over_since: Option<Time>,
    /// Destinations that failed, and until when others are tried before them.
    pub aside: Vec<(Destination, Time)>,
    /// When the last try failed: what the name service said before that is not relied on.
    pub failed: Option<Time>,
    /// Until when what the name service said is good.
    pub good_until: Option<Time>,
    /// What the server said as it closed the last flow, or in place of opening it.
    pub last_words: Option<Box<LastWords>>,
}

/// What hosts that the user named were reached by and asked for: those of a redirect are held against it.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub addresses: Vec<IpAddr>,
    pub realms: Vec<String>,
}

/// Where a registration stands.
#[derive(Debug)]
pub(super) enum State {
    /// It has not begun.
    Fresh,
    /// A try is under way. Ten thousand accounts rest most of the time: what only a try needs takes no room then.
    Trying(Box<(Phase, Try)>),
    /// Between two tries.
    Pausing(Box<Pause>),
    /// Finished, for now: with the flow it is bound over, if that is still there (RFC 5626 §4.2).
    Resting(Option<FlowTo>),
    /// Finished for good.
    Over,
}

/// The stage of a try.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits for the name service.
    Locating,
    /// It asks the name service whether the flow that it rests on still leads to the registrar.
    Reviewing(Review),
    /// It is at a destination.
    Visiting(Visit),
}

/// A flow whose address was looked up so long ago that the answer is not good any more.
#[derive(Debug)]
pub(super) struct Review {
    pub flow: FlowTo,
    /// Other destinations, found before it.
    pub found: VecDeque<Found>,
    /// When that was waited for long enough: what works is used.
    pub until: Time,
}

/// A flow to one destination.
#[derive(Clone, Debug)]
pub(super) struct FlowTo {
    pub destination: Destination,
    /// Where its address came from.
    pub origin: Option<Arc<Origin>>,
    /// Our address, once it is open. Of two flows it is the one in use.
    pub local: Option<SocketAddr>,
    /// Its TLS session, as far as that came.
    pub session: Option<Arc<TlsSession>>,
    pub size: SizeRule,
}

/// What RFC 3261 §18.1.1 has come to at this destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SizeRule {
    /// No request was too large yet.
    Unneeded,
    /// TCP is used instead; a datagram would leave from here.
    Switched { udp_local: SocketAddr },
    /// TCP was refused: datagrams, whatever their size.
    Refused,
}

/// One destination while it is tried.
#[derive(Debug)]
pub(super) struct Visit {
    pub flow: FlowTo,
    pub awaits: Await,
    /// Requests to this destination, the challenges of it that were answered, and the 423s.
    pub requests: u32,
    pub challenges: u8,
    pub raises: u8,
    /// What it means if the server of a WebSocket, which has challenged, opens none.
    pub unauthorized: Option<Box<CredentialsFailure>>,
    /// It has waited for another nonce.
    pub has_rested: bool,
    /// Its connection was opened once more, after the server had closed it.
    pub is_reopened: bool,
}

/// The event that a visit waits for.
#[derive(Debug)]
pub(super) enum Await {
    /// A flow is being opened.
    Flow,
    /// A request has been sent.
    Response,
    /// The user is asked for the password that this 401 or 407 needs, since then.
    Password(Box<Response>, Time),
    /// The registrar has refused a nonce as used, with that status, and offered it again: it has another one a moment later.
    Nonce(u16),
}

/// One try: all targets, gone through once. Its counts and findings don't speak for the next.
#[derive(Debug)]
pub(super) struct Try {
    /// The targets that are left, and the way to the current one.
    pub targets: Targets,
    pub locate: Option<Box<Locate>>,
    /// Destinations of the current target that come after all others, because they failed not long ago.
    pub later: VecDeque<Found>,
    /// There were some of those.
    pub passed_over: bool,
    /// Destinations that were tried, and requests to all of them.
    pub visits: usize,
    pub requests: u32,
    /// The contacts of the last request.
    pub contacts: Vec<NameAddr>,
    /// The user whose credentials at hand were refused, so that a request was repeated without any.
    pub outdated: Option<String>,
    /// The last final answer that was not acted upon.
    pub refusal: Option<Failure>,
    pub misbehaved: Option<Misbehaviour>,
    /// A destination gave no final answer in time.
    pub silent: bool,
    pub unreachable: Option<Unreachable>,
    /// What was wrong with the TLS of the last destination where something was, and what is known of that.
    pub untrusted: Option<(Untrusted, Option<Arc<TlsSession>>)>,
    pub tally: Tally,
}

/// The time between two tries.
#[derive(Debug)]
pub(super) struct Pause {
    /// How the last try ended.
    pub failure: Failure,
    pub tally: Tally,
}

/// All tries since the registration began, or rested: what the report will tell of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub started: Time,
    /// Tries that are over.
    pub tries: u32,
    /// The last of them in a row that ended with a Retry-After.
    pub believed: u32,
    /// The first of them did not begin on the flow of an earlier registration, but with the first
    /// destination.
    pub began_at_first: bool,
    /// A registrar that found the CSeq too low got a new Call-ID.
    pub renewed: bool,
    pub requests: u32,
    pub retransmissions: u32,
    /// One for each destination of the last try.
    pub attempts: Vec<Attempt>,
    /// Where the last request went, when, and how long the answer took.
    pub hop: Option<Hop>,
    /// As [`Report::tls`].
    pub tls: Option<Arc<TlsSession>>,
    pub sent: Option<Time>,
    pub round_trip: Option<Duration>,
    /// The last final response, and what its Warning and Reason rows say.
    pub response: Option<(u16, String)>,
    pub remarks: Vec<String>,
    /// As [`Report::date`].
    pub date: Option<u64>,
    /// A final response asked for credentials; and as [`Report::unreadable`].
    pub challenged: bool,
    pub unreadable: Vec<String>,
    /// Our address as the other side saw it, and whether it said the port.
    pub seen: Option<SocketAddr>,
    pub is_port_seen: bool,
    /// The value of `keep` in the Via of the last final response (RFC 6223 §4.3).
    pub keep: Option<u32>,
    pub warnings: Vec<Warning>,
    /// As [`Report::took_effect`].
    pub took_effect: bool,
    /// As [`Report::listed`].
    pub listed: Vec<NameAddr>,
    /// The last redirect that was followed was for good.
    pub moved: bool,
    /// Answers to the last request that could not be used.
    pub unusable: Unusable,
}

/// What an input to a try leads to.
pub(super) enum Turn {
    /// The phase goes on.
    Stay(Step),
    /// Another phase begins.
    Move(Phase, Step),
    /// Nothing is left to try: [`Try::verdict`] says why.
    Fail,
    /// A 2xx: what it confirms, or what is wrong with it.
    Finish(Result<Success, Misbehaviour>),
}

impl From<Option<(Phase, Step)>> for Turn {
    fn from(next: Option<(Phase, Step)>) -> Turn {
        next.map_or(Turn::Fail, |(phase, step)| Turn::Move(phase, step))
    }
}

impl Registration {
    /// A registration that has not begun.
    #[must_use]
    pub fn new(id: RegistrationId, plan: Box<Plan>, random: &mut dyn Random) -> Registration {
        let known = plan.resume.as_ref().and_then(|resume| resume.dialogue.clone());
        let (call_id, cseq) =
            known.filter(|(_, cseq)| *cseq < LAST_CSEQ).unwrap_or_else(|| (ids::call_id(random), 0));
        let registrant = Registrant {
            id,
            call_id: call_id.into(),
            from_tag: Tag(random.next()),
            cseq,
            offered: Cow::Borrowed(&KNOWN_TAGS),
            min_expires: None,
            sessions: Sessions::new(),
            named: None,
            target: None,
            own: plan.resume.iter().flat_map(|resume| resume.own.clone()).collect(),
            namesake: 0,
            sight: None,
            corrects: false,
            is_blind: false,
            drop_stale: false,
            failed_over_since: None,
            aside: Vec::new(),
            failed: None,
            good_until: None,
            last_words: None,
            plan,
        };
        Registration { registrant, revised: None, state: State::Fresh }
    }

    /// The id that reports carry.
    #[must_use]
    pub fn id(&self) -> RegistrationId {
        self.registrant.id
    }

    /// The plan it carries out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.registrant.plan
    }

    /// Begins. Only once, before any other input.
    pub fn start(&mut self, now: Time) -> Step {
        match self.state {
            State::Fresh => self.begin(Try::new(Tally::new(now)), now),
            State::Trying(..) | State::Pausing(_) | State::Resting(_) | State::Over => Step::Wait,
        }
    }

    /// The name service answered one question.
    pub fn on_resolved(
        &mut self,
        question: &Question,
        answer: DnsAnswer,
        ttl: u32,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let State::Trying(trying) = &mut self.state else { return Step::Wait };
        let Some(locate) = &mut trying.1.locate else { return Step::Wait };
        // Also while a destination is tried: the next one may depend on it.
        locate.answer(question, answer, ttl, random, now);
        self.on_lookup_due(random, now)
    }

    /// The time of [`Step::Resolve`] has come.
    pub fn on_lookup_due(&mut self, random: &mut dyn Random, now: Time) -> Step {
        let State::Trying(trying) = &mut self.state else { return Step::Wait };
        let turn = match &mut **trying {
            (Phase::Locating, attempt) => self.registrant.next_destination(attempt, now).into(),
            (Phase::Reviewing(review), attempt) => self.registrant.review(attempt, review, random, now),
            (Phase::Visiting(_), _) => return Step::Wait,
        };
        self.settle(turn, now)
    }

    /// The flow asked for by [`Step::Visit`] or [`Step::Switch`] is open.
    pub fn on_opened(&mut self, local: SocketAddr, random: &mut dyn Random, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else { return Step::Wait };
        let Await::Flow = visit.awaits else { return Step::Wait };
        visit.flow.local = Some(local);
        let turn = registrant.send(attempt, visit, local, random, now);
        self.settle(turn, now)
    }

    /// The server of a WebSocket at that path challenges so: the Authorization that answers it, if anything at hand does.
    pub fn on_upgrade_challenged(
        &mut self,
        path: &str,
        challenges: &[String],
        random: &mut dyn Random,
    ) -> Option<String> {
        let (authorization, otherwise) = self.registrant.authorize_upgrade(path, challenges, random);
        if let Some((.., visit)) = self.visit() {
            visit.unauthorized = Some(Box::new(otherwise));
        }
        authorization
    }

    /// The TLS session of that flow, before it is open, or fails.
    pub fn on_secured(&mut self, session: &Arc<TlsSession>) {
        if let Some((.., visit @ Visit { awaits: Await::Flow, .. })) = self.visit() {
            visit.flow.session = Some(Arc::clone(session));
        }
    }

    /// What the server of a WebSocket says of its end, before that comes.
    pub fn on_last_words(&mut self, words: LastWords) {
        self.registrant.last_words = Some(Box::new(words));
    }

    /// Takes the last words of the flow that it was bound over.
    pub fn take_last_words(&mut self) -> Option<LastWords> {
        self.registrant.last_words.take().map(|words| *words)
    }

    /// The flow could not be opened, broke, or was closed without an answer (`cause` is `None` then).
    pub fn on_flow_lost(&mut self, cause: Option<Cause>, random: &mut dyn Random, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else {
            return self.on_resting_flow_lost(cause, now);
        };
        let no_tcp = matches!(cause, Some(Cause::Refused | Cause::ProtocolUnreachable));
        let turn = match (&visit.awaits, visit.flow.size) {
            (Await::Flow, SizeRule::Switched { udp_local }) if no_tcp => {
                // RFC 3261 §18.1.1: the request is repeated over UDP.
                visit.flow.size = SizeRule::Refused;
                visit.flow.destination.transport = Transport::Udp;
                visit.flow.local = Some(udp_local);
                registrant.send(attempt, visit, udp_local, random, now)
            }
            (Await::Response, _) if visit.may_reopen(cause) && Registrant::has_room(attempt, visit) => {
                visit.is_reopened = true;
                registrant.suppose_bound(attempt);
                visit.flow.forget();
                visit.awaits = Await::Flow;
                Turn::Stay(Step::Reopen(visit.flow.destination.clone()))
            }
            (Await::Flow | Await::Response, _) => registrant.lose(attempt, visit, cause, now).into(),
            (Await::Password(..) | Await::Nonce(_), _) => {
                visit.flow.forget();
                Turn::Stay(Step::Wait)
            }
        };
        self.settle(turn, now)
    }

    /// The messages of the stream can't be told apart any more.
    pub fn on_framing_lost(&mut self, error: FramingError, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else {
            return self.on_resting_flow_lost(None, now);
        };
        let turn = match &visit.awaits {
            Await::Flow => Turn::Stay(Step::Wait),
            Await::Response => {
                attempt.misbehaved = Some(Misbehaviour::Framing(error));
                registrant.leave_unsettled(attempt, visit, AttemptResult::Closed);
                registrant.set_aside(visit, now);
                registrant.next_destination(attempt, now).into()
            }
            Await::Password(..) | Await::Nonce(_) => {
                visit.flow.forget();
                Turn::Stay(Step::Wait)
            }
        };
        self.settle(turn, now)
    }

    /// A registrar whose nonces hold for one request has had the time to make another one ([`Step::Rest`]).
    pub fn on_rested_nonce(&mut self, random: &mut dyn Random, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else { return Step::Wait };
        let Await::Nonce(status) = visit.awaits else { return Step::Wait };
        let otherwise = Failure::Credentials(CredentialsFailure::Endless);
        let turn = registrant.send_again(attempt, visit, status, otherwise, random, now);
        self.settle(turn, now)
    }

    fn on_resting_flow_lost(&mut self, cause: Option<Cause>, now: Time) -> Step {
        if let State::Trying(trying) = &mut self.state
            && let (Phase::Reviewing(_), attempt) = &mut **trying
        {
            let next = self.registrant.begin_anew(attempt, now);
            return self.settle(next.into(), now);
        }
        let State::Resting(flow) = &mut self.state else { return Step::Wait };
        if flow.take().is_some() { Step::Stranded(cause) } else { Step::Wait }
    }

    /// Timer F, or the time of the destination is over.
    pub fn on_timeout(&mut self, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else { return Step::Wait };
        match visit.awaits {
            Await::Flow | Await::Response => {}
            Await::Password(..) => return Step::Wait,
            Await::Nonce(status) => {
                attempt.refuse(visit, status, Failure::Credentials(CredentialsFailure::Endless));
                return self.settle(Turn::Fail, now);
            }
        }
        attempt.silent = true;
        registrant.leave_unsettled(attempt, visit, AttemptResult::Timeout);
        registrant.set_aside(visit, now);
        let next = registrant.next_destination(attempt, now);
        self.settle(next.into(), now)
    }

    /// The time for everything is over, or the user gave up: no other try.
    pub fn on_give_up(&mut self, now: Time) -> Step {
        let Some((failure, tally)) = self.cut_short(now) else { return Step::Wait };
        self.finish(Err(failure), tally, None, now)
    }

    /// The time for this try is over.
    pub fn on_try_over(&mut self, now: Time) -> Step {
        let Some((failure, tally)) = self.cut_short(now) else { return Step::Wait };
        self.fail(failure, tally, now)
    }

    /// The next try is due.
    pub fn on_retry(&mut self, now: Time) -> Step {
        let State::Pausing(pause) = &mut self.state else { return Step::Wait };
        let mut tally = mem::take(&mut pause.tally);
        tally.tries += 1;
        tally.attempts.clear();
        tally.unusable.clear();
        self.begin(Try::new(tally), now)
    }

    /// How long the user has been asked for a password, if so.
    #[must_use]
    pub fn asking_since(&self) -> Option<Time> {
        let State::Trying(trying) = &self.state else { return None };
        let (Phase::Visiting(visit), _) = &**trying else { return None };
        let Await::Password(_, since) = &visit.awaits else { return None };
        Some(*since)
    }

    /// An answer came that can't be used.
    pub fn on_unusable(&mut self, peer: SocketAddr, fault: AnswerFault) {
        if let Some((_, attempt, Visit { awaits: Await::Response, .. })) = self.visit() {
            attempt.tally.unusable.add(peer, fault);
        }
    }

    /// The answers to the last request of the try before this pause that could not be used.
    #[must_use]
    pub fn unusable(&self) -> Unusable {
        match &self.state {
            State::Pausing(pause) => pause.tally.unusable.clone(),
            State::Fresh | State::Trying(_) | State::Resting(_) | State::Over => Unusable::default(),
        }
    }

    /// Timer E sent a copy.
    pub fn on_retransmission(&mut self) {
        if let State::Trying(trying) = &mut self.state {
            trying.1.tally.retransmissions += 1;
        }
    }

    /// The visit under way, with all that an input to it concerns.
    pub(super) fn visit(&mut self) -> Option<(&mut Registrant, &mut Try, &mut Visit)> {
        let State::Trying(trying) = &mut self.state else { return None };
        let (Phase::Visiting(visit), attempt) = &mut **trying else { return None };
        Some((&mut self.registrant, attempt, visit))
    }

    /// Begins a try with its first target.
    pub(super) fn begin(&mut self, mut attempt: Try, now: Time) -> Step {
        match self.registrant.next_target(&mut attempt, now) {
            Some((phase, step)) => {
                self.state = State::Trying(Box::new((phase, attempt)));
                step
            }
            None => self.fail(attempt.verdict(), attempt.tally, now),
        }
    }

    pub(super) fn settle(&mut self, turn: Turn, now: Time) -> Step {
        let State::Trying(trying) = &mut self.state else { return Step::Wait };
        let (phase, attempt) = &mut **trying;
        match turn {
            Turn::Stay(step) => step,
            Turn::Move(next, step) => {
                *phase = next;
                step
            }
            Turn::Fail => {
                let (failure, tally) = (attempt.verdict(), mem::take(&mut attempt.tally));
                self.fail(failure, tally, now)
            }
            Turn::Finish(result) => {
                let flow = match phase {
                    Phase::Visiting(visit) if result.is_ok() => Some(visit.flow.clone()),
                    Phase::Visiting(_) | Phase::Locating | Phase::Reviewing(_) => None,
                };
                let tally = mem::take(&mut attempt.tally);
                self.finish(result.map_err(Failure::Misbehaved), tally, flow, now)
            }
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub(in crate::proto) fn rests(&self) -> bool {
        match &self.state {
            State::Resting(_) | State::Over => true,
            State::Fresh | State::Trying(_) | State::Pausing(_) => false,
        }
    }

    /// How many destinations are left for this try, as far as is known, without the one that is tried.
    #[must_use]
    pub(in crate::proto) fn destinations_left(&self) -> usize {
        let State::Trying(trying) = &self.state else { return 0 };
        let Try { locate, later, targets, visits, .. } = &trying.1;
        let left = locate.as_ref().map_or(0, |locate| locate.left()) + later.len() + targets.left();
        left.min(MOST_DESTINATIONS.saturating_sub(*visits))
    }

    /// Whether it asks for names while it rests on a flow.
    #[must_use]
    pub(in crate::proto) fn is_reviewing(&self) -> bool {
        matches!(&self.state, State::Trying(trying) if matches!(trying.0, Phase::Reviewing(_)))
    }

    /// The age that an answer of the name service may have at most: what it said before every destination failed may have
    /// been the reason.
    #[must_use]
    pub(in crate::proto) fn doubts_since(&self) -> Time {
        self.registrant.failed.unwrap_or_default()
    }

    /// The network has changed: what failed before may work.
    pub(in crate::proto) fn forget_failures(&mut self) {
        self.registrant.aside.clear();
    }

    /// What has come of it so far; `None` when nothing is under way.
    fn cut_short(&mut self, now: Time) -> Option<(Failure, Tally)> {
        match &mut self.state {
            State::Fresh => Some((Failure::Timeout, Tally::new(now))),
            State::Trying(trying) => {
                let (phase, attempt) = &mut **trying;
                match phase {
                    Phase::Visiting(visit) => {
                        if let Await::Nonce(status) = visit.awaits {
                            let failure = Failure::Credentials(CredentialsFailure::Endless);
                            attempt.refuse(visit, status, failure);
                        } else {
                            attempt.silent = true;
                            self.registrant.leave_unsettled(attempt, visit, AttemptResult::Timeout);
                        }
                    }
                    Phase::Locating | Phase::Reviewing(_) => {
                        let name = attempt.locate.as_ref().map(|locate| locate.name().to_owned());
                        attempt.unresolved(name.unwrap_or_default(), Some(ResolveError::TimedOut));
                    }
                }
                Some((attempt.verdict(), mem::take(&mut attempt.tally)))
            }
            State::Pausing(pause) => Some((pause.failure.clone(), mem::take(&mut pause.tally))),
            State::Resting(_) | State::Over => None,
        }
    }

    /// This try has failed: another follows if there is time for it and it could end otherwise.
    fn fail(&mut self, failure: Failure, mut tally: Tally, now: Time) -> Step {
        self.registrant.failed = Some(now);
        let left = self.plan().retry_for.saturating_sub(now.since(tally.started));
        match tally.pause(&failure) {
            Some((wait, spread)) if wait <= left => {
                self.state = State::Pausing(Box::new(Pause { failure: failure.clone(), tally }));
                Step::Pause { failure, wait, spread }
            }
            Some(_) | None => self.finish(Err(failure), tally, None, now),
        }
    }

    /// Ends, and reports how. With [`Plan::keep`] it rests on `flow`.
    fn finish(
        &mut self,
        result: Result<Success, Failure>,
        tally: Tally,
        flow: Option<FlowTo>,
        now: Time,
    ) -> Step {
        let registrant = &mut self.registrant;
        self.state = if registrant.plan.keep { State::Resting(flow) } else { State::Over };
        let domain = registrant.hidden_domain();
        let moved_to = tally.moved.then(|| registrant.next_hop().uri.clone()).filter(|_| result.is_ok());
        let request_uri = match &registrant.target {
            Some(target) => Arc::new(target.uri.clone()),
            None => Arc::clone(&registrant.plan.registrar),
        };
        if let Err(failure) = &result {
            // A target that led nowhere is not begun with again.
            registrant.target = None;
            registrant.doubt_sight(failure);
        }
        Step::Finish(Box::new(Report {
            registration: registrant.id,
            purpose: registrant.plan.purpose,
            result,
            response: tally.response,
            date: tally.date,
            remarks: tally.remarks,
            challenged: tally.challenged,
            unreadable: tally.unreadable,
            request_uri,
            domain,
            received: tally
                .seen
                .filter(|seen| tally.hop.is_none_or(|hop| ip_and_port(hop.local) != ip_and_port(*seen))),
            hop: tally.hop,
            tls: tally.tls,
            last_words: registrant.last_words.take().map(|words| *words),
            auth: registrant.sessions.answered(),
            claimants: registrant.sessions.claimants(),
            call_id: registrant.call_id.clone(),
            cseq: registrant.cseq,
            requests: tally.requests,
            retransmissions: tally.retransmissions,
            sent: tally.sent,
            elapsed: now.since(tally.started),
            round_trip: tally.round_trip,
            attempts: tally.attempts,
            took_effect: tally.took_effect,
            raised_to: registrant.min_expires,
            listed: tally.listed,
            warnings: tally.warnings,
            unusable: tally.unusable,
            moved_to,
        }))
    }
}

impl Registrant {
    /// The domain of the AOR, where the plan has an address in its place in the Request-URI. Who has bound something by
    /// that Request-URI takes it.
    fn hidden_domain(&self) -> Option<Host> {
        let Plan { aor, registrar, .. } = &*self.plan;
        let is_hidden = self.target.is_none() && registrar.host.ip().is_some() && aor.host.ip().is_none();
        let is_taken = self.plan.keep && !self.own.is_empty();
        (is_hidden && !is_taken).then(|| aor.host.clone())
    }

    /// Where the requests of this moment go.
    pub(super) fn next_hop(&self) -> NextHop<'_> {
        match &self.target {
            Some(target) => {
                let Target { uri, route, transport, is_for_good } = &**target;
                NextHop { uri, route, transport: *transport, is_for_good: *is_for_good }
            }
            None => NextHop::of(&self.plan),
        }
    }
}

impl FlowTo {
    pub(super) fn new(destination: Destination, origin: Option<Arc<Origin>>) -> FlowTo {
        FlowTo { destination, origin, local: None, session: None, size: SizeRule::Unneeded }
    }

    /// What RFC 3263 found, though requests are too large for datagrams.
    pub(super) fn address(&self) -> Destination {
        match self.size {
            SizeRule::Unneeded => self.destination.clone(),
            SizeRule::Switched { .. } | SizeRule::Refused => {
                Destination { transport: Transport::Udp, ..self.destination.clone() }
            }
        }
    }

    /// Begins anew with opening flows, the datagram's first if there was one. An answer that needs a flow
    /// opens it again.
    fn forget(&mut self) {
        (self.local, self.session) = (None, None);
        if let SizeRule::Switched { .. } = self.size {
            self.size = SizeRule::Unneeded;
            self.destination.transport = Transport::Udp;
        }
    }
}

impl Visit {
    pub(super) fn on(flow: FlowTo) -> Visit {
        Visit {
            flow,
            awaits: Await::Flow,
            requests: 0,
            challenges: 0,
            raises: 0,
            unauthorized: None,
            has_rested: false,
            is_reopened: false,
        }
    }

    /// Whether a connection that was lost so is worth opening again: the server had answered on it, so it may be one that closes
    /// behind each answer.
    fn may_reopen(&self, cause: Option<Cause>) -> bool {
        let is_closed = matches!(cause, None | Some(Cause::Reset));
        let has_answered = self.challenges > 0 || self.raises > 0;
        is_closed && has_answered && !self.is_reopened && self.flow.destination.transport.is_reliable()
    }
}

impl Try {
    /// A try that has been nowhere yet.
    pub(super) fn new(tally: Tally) -> Try {
        Try {
            targets: Targets::default(),
            locate: None,
            later: VecDeque::new(),
            passed_over: false,
            visits: 0,
            requests: 0,
            contacts: Vec::new(),
            outdated: None,
            refusal: None,
            misbehaved: None,
            silent: false,
            unreachable: None,
            untrusted: None,
            tally,
        }
    }

    /// Notes a name that has no address.
    pub(super) fn unresolved(&mut self, name: String, error: Option<ResolveError>) {
        self.tally.attempts.push(Attempt {
            transport: None,
            remote: Remote::Name(name.clone()),
            origin: None,
            result: AttemptResult::Dns(error),
        });
        self.unreachable = Some(Unreachable::Name { name, error });
    }
}

impl Tally {
    pub(super) fn new(started: Time) -> Tally {
        Tally { started, began_at_first: true, ..Tally::default() }
    }

    /// Counts a request.
    pub(super) fn on_sent(&mut self, hop: Hop, tls: Option<Arc<TlsSession>>, now: Time) {
        self.requests += 1;
        (self.hop, self.tls) = (Some(hop), tls);
        self.sent = Some(now);
        self.round_trip = None;
    }
}

/// An address without the zone by which this host alone knows it, so that it is the same as others see it.
fn ip_and_port(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip(), address.port())
}

#[cfg(test)]
mod tests;
