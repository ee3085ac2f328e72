//! When to register again: the timetable of one account that is to stay bound (RFC 3261 §10.2.4, RFC 5626
//! §4.5).
//!
//! ```text
//!            due                    2xx: due before the lease ends
//!  Waiting ───────▶ Trying ───────────────────────────────────────▶ Waiting
//!     ▲               │ failure that may pass, or of an account that   │
//!     ├───────────────┤ was bound and whose refusal hasn't stood long  │ flow lost, network changed: soon
//!     │               │ enough: backoff, or what Retry-After says      │
//!     │               │ failure for good ──▶ Resigned ──▶ (probe) ─────┤
//!     │               │                                                │
//!     └───────────────┴───────────── stop ──▶ Leaving ──▶ Over ◀───────┘
//! ```
//!
//! The machine is pure and knows no message: it is told how each try ended, and says when the next is due. At
//! most one is under way; what asks for another in the meantime is not lost, and makes one. It lives in
//! [`crate::proto::endpoint`], which has the tries carried out by a [`super::registration::Registration`].

use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use super::outcome::{CredentialsFailure, Failure, Refusal, Report};
use crate::proto::identity::LastWords;
use crate::proto::ids::{Random, jitter};
use crate::proto::{Cause, Time};

/// The shortest time from one try to the next.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// RFC 5626 §4.5: base-time and max-time.
const BASE: Duration = Duration::from_secs(30);
const CAP: Duration = Duration::from_secs(1800);

/// The longest Retry-After that is obeyed: nobody wants to be away for a day because a server once said so.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Retry-After is believed so often in a row. A registrar that goes on asking for the same short time is then
/// met with the backoff, if that is longer.
pub(super) const BELIEVED: u32 = 5;

/// The part of a Retry-After by which a wait is longer at most, so that not all come back at once (DES-008).
pub(super) const SPREAD: u32 = 5;

/// An account that was bound before is good: a refusal of it has to stand for so many tries in a row, and for
/// so long, before it is given up (DES-009). A registrar that restarts may refuse everybody for a moment.
const STANDING_TRIES: u32 = 3;
const STANDING_TIME: Duration = Duration::from_secs(120);

/// The first try after a failure of something that worked comes within that time.
const SOON: Duration = Duration::from_secs(2);

/// A timer that fires so much later than it was set for was delayed by suspend, or by a process that was
/// stopped.
const LATE: Duration = Duration::from_secs(1);

/// The timetable of one account.
#[derive(Debug)]
pub struct Schedule {
    state: State,
    /// The last lease, also when it has run out: the account was bound before.
    lease: Option<Lease>,
    /// Failures, without those before a lease that has lived.
    failures: u32,
    /// The last answers in a row that said by Retry-After how long to wait.
    believed: u32,
    /// Since when, and for how many tries in a row, the registrar has refused.
    refused: Option<(Time, u32)>,
    /// News of the network caused the try that is due or under way, or disturbed it.
    news: bool,
    /// When the last try began.
    began: Option<Time>,
    probe: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is under way until the next try.
    Waiting(Time),
    /// A try is under way, and this follows it.
    Trying(After),
    /// It has failed for good.
    Resigned,
    /// The binding is being removed.
    Leaving,
    /// It is over, and nothing follows.
    Over,
}

/// What follows the try under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Wait,
    Again,
    Leave,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Come back with [`Schedule::on_due`] at that time.
    Wait(Time),
    /// Bind, and tell how that ended by [`Schedule::on_bound`] or [`Schedule::on_failed`].
    Bind,
    /// Remove what is bound, and tell by [`Schedule::on_left`].
    Remove,
    /// Wait for what is under way.
    Busy,
    /// Nothing more will be tried, unless the user says so.
    Resigned,
    /// The account is kept no longer.
    Over,
}

impl Schedule {
    /// A timetable whose first try is due at once or, when there are many, a random time later. `probe`: how
    /// often an account that failed for good is tried again.
    #[must_use]
    pub fn new(first: Time, probe: Option<Duration>) -> Schedule {
        Schedule {
            state: State::Waiting(first),
            lease: None,
            failures: 0,
            believed: 0,
            refused: None,
            news: false,
            began: None,
            probe,
        }
    }

    /// Until when it is bound, as far as is known.
    #[must_use]
    pub fn bound_until(&self) -> Option<Time> {
        self.lease.map(Lease::end)
    }

    /// Whether it is bound at `now`, as far as is known.
    #[must_use]
    pub fn is_bound(&self, now: Time) -> bool {
        self.bound_until().is_some_and(|until| now < until)
    }

    /// Whether the removal of the binding is under way, or done.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving | State::Over | State::Trying(After::Leave))
    }

    /// Whether a try is due.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        matches!(self.state, State::Waiting(at) if at <= now)
    }

    /// Whether what is due is no more than the refresh of a binding in its time. Leases spread their
    /// refreshes by themselves; whatever else makes an account try may make many of them try at once
    /// (DES-010).
    #[must_use]
    pub fn is_plain_refresh(&self, now: Time) -> bool {
        let State::Waiting(at) = self.state else { return false };
        let planned = self.lease.is_some_and(|lease| at == lease.refresh && now < lease.end());
        planned && now.since(at) < LATE
    }

    /// The time of [`Due::Wait`] has come.
    pub fn on_due(&mut self, now: Time) -> Due {
        match self.state {
            State::Waiting(at) if at > now => Due::Wait(at),
            State::Waiting(_) => {
                self.began = Some(now);
                self.state = State::Trying(After::Wait);
                Due::Bind
            }
            State::Trying(_) | State::Leaving => Due::Busy,
            State::Resigned => Due::Resigned,
            State::Over => Due::Over,
        }
    }

    /// The try ended with a binding: for `granted` seconds from when its request was `sent`.
    pub fn on_bound(&mut self, sent: Time, granted: u32, random: &mut dyn Random, now: Time) -> Due {
        let State::Trying(after) = self.state else { return self.next() };
        // A lease that follows one that lived, or was refreshed without a failure in between, begins a new count.
        self.forgive(now);
        if self.lease.is_some_and(|lease| now < lease.end() && !lease.disturbed) {
            self.failures = 0;
        }
        (self.believed, self.refused) = (0, None);
        self.news &= after == After::Again;
        let mut lease = Lease::granted(granted, sent, random);
        lease.refresh = self.not_before(lease.refresh);
        lease.failures_before = self.failures;
        self.lease = Some(lease);
        match after {
            After::Wait => self.wait(lease.refresh),
            After::Again => self.wait(now),
            After::Leave => self.leave(),
        }
    }

    /// Moves the refresh that is planned, within the times that are right for it, to a beat that counts from
    /// `origin`: of many accounts several are refreshed at once then, and wake the process once.
    pub fn align(&mut self, origin: Time) -> Due {
        if let (State::Waiting(at), Some(lease)) = (self.state, self.lease)
            && at == lease.refresh
        {
            let at = lease.aligned(origin, self.not_before(lease.from));
            self.lease = Some(Lease { refresh: at, ..lease });
            self.state = State::Waiting(at);
        }
        self.next()
    }

    /// The try failed.
    pub fn on_failed(
        &mut self,
        failure: &Failure,
        may_be_bound: bool,
        random: &mut dyn Random,
        now: Time,
    ) -> Due {
        let State::Trying(after) = self.state else { return self.next() };
        let is_for_good = self.is_for_good(failure, now);
        match after {
            After::Leave if may_be_bound => return self.leave(),
            After::Leave => return self.over(),
            After::Again => {
                self.failures = self.failures.saturating_add(u32::from(!self.news));
                return self.wait(now);
            }
            After::Wait => {}
        }
        let news = mem::take(&mut self.news);
        if is_for_good {
            return match self.probe {
                Some(probe) => self.wait(now + probe),
                None => {
                    self.state = State::Resigned;
                    Due::Resigned
                }
            };
        }
        let setback = if news { Setback::News } else { Setback::Try };
        let backoff = self.backoff(setback, random, now);
        let wait = match failure {
            Failure::Refused(Refusal::RetryAfter { seconds, .. }) => {
                self.believed = self.believed.saturating_add(1);
                let least = Duration::from_secs((*seconds).into()).min(LONGEST_RETRY_AFTER);
                let wanted = least + jitter(least / SPREAD, random);
                if self.believed <= BELIEVED { wanted } else { backoff.max(wanted) }
            }
            Failure::Refused(_)
            | Failure::Credentials(_)
            | Failure::Timeout
            | Failure::Unreachable(_)
            | Failure::Misbehaved(_) => {
                self.believed = 0;
                backoff
            }
        };
        self.wait(now + wait)
    }

    /// The connection broke over which it was bound: what was sent there does not arrive any more.
    pub fn on_flow_lost(&mut self, random: &mut dyn Random, now: Time) -> Due {
        match self.state {
            State::Waiting(at) => {
                let wait = self.backoff(Setback::Flow, random, now);
                self.wait(at.min(now + wait))
            }
            State::Trying(_) | State::Resigned | State::Leaving | State::Over => self.next(),
        }
    }

    /// A keep-alive has shown at that time that the flow still led where it did: what failed before the lease is forgotten (RFC
    /// 5626 §4.5).
    pub fn on_flow_proven(&mut self, at: Time) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| !lease.disturbed && lease.from <= at) {
            self.failures = self.failures.saturating_sub(mem::take(&mut lease.failures_before));
        }
    }

    /// Something has changed that makes a try worthwhile: now, or after the one under way.
    pub fn on_refresh_requested(&mut self, now: Time) -> Due {
        match self.state {
            State::Waiting(_) | State::Resigned => {
                self.news = false;
                self.wait(now)
            }
            State::Trying(After::Wait) => {
                self.state = State::Trying(After::Again);
                Due::Busy
            }
            State::Trying(_) | State::Leaving | State::Over => self.next(),
        }
    }

    /// Whether the last try failed, and the next is still to come.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let failed = self.lease.map_or(self.failures > 0, |lease| lease.disturbed);
        matches!(self.state, State::Waiting(_)) && failed
    }

    /// The network has changed: what failed may work now, and what worked may not. A try comes within a
    /// second, and no failure is counted: neither this one, nor that of the try if it fails, too (DES-016,
    /// DES-017).
    pub fn on_network_changed(&mut self, random: &mut dyn Random, now: Time) -> Due {
        match self.state {
            State::Waiting(at) => {
                let soon = now + jitter(SHORTEST_GAP, random);
                self.news |= soon < at;
                self.wait(at.min(soon))
            }
            State::Trying(_) => {
                self.news = true;
                self.on_refresh_requested(now)
            }
            State::Resigned | State::Leaving | State::Over => self.next(),
        }
    }

    /// The user wants it to end.
    pub fn on_stop(&mut self, may_be_bound: bool) -> Due {
        match self.state {
            State::Trying(_) => {
                self.state = State::Trying(After::Leave);
                Due::Busy
            }
            State::Waiting(_) | State::Resigned if may_be_bound => self.leave(),
            State::Waiting(_) | State::Resigned => self.over(),
            State::Leaving | State::Over => self.next(),
        }
    }

    /// The removal has ended, however.
    pub fn on_left(&mut self) -> Due {
        self.lease = None;
        self.over()
    }

    fn next(&self) -> Due {
        match self.state {
            State::Waiting(at) => Due::Wait(at),
            State::Trying(_) | State::Leaving => Due::Busy,
            State::Resigned => Due::Resigned,
            State::Over => Due::Over,
        }
    }

    fn wait(&mut self, at: Time) -> Due {
        let at = self.not_before(at);
        self.state = State::Waiting(at);
        Due::Wait(at)
    }

    fn not_before(&self, at: Time) -> Time {
        self.began.map_or(at, |began| at.max(began + SHORTEST_GAP))
    }

    fn leave(&mut self) -> Due {
        self.state = State::Leaving;
        Due::Remove
    }

    fn over(&mut self) -> Due {
        self.state = State::Over;
        Due::Over
    }

    /// Counts a setback, and says how long to wait after it: what worked is tried again soon, once (DES-006).
    /// That holds as well when the lease ran out meanwhile: a device that slept wakes to a flow that may lead
    /// nowhere (DES-015). A lost flow is excused so only where nothing failed before: a server may let
    /// everybody in and break down at once (DES-018).
    fn backoff(&mut self, setback: Setback, random: &mut dyn Random, now: Time) -> Duration {
        self.forgive(now);
        let (before, is_excused) = match setback {
            Setback::Try => (self.failures, true),
            Setback::Flow => (self.failures, self.failures == 0),
            Setback::News => (self.failures.saturating_sub(1), true),
        };
        if setback != Setback::News {
            self.failures = self.failures.saturating_add(1);
        }
        let is_first = self.lease.as_mut().is_some_and(|lease| !mem::replace(&mut lease.disturbed, true));
        if is_first && is_excused {
            return jitter(SOON, random);
        }
        let doublings = before.saturating_sub(u32::from(self.lease.is_some()));
        let longest = BASE.saturating_mul(1 << doublings.min(10)).min(CAP);
        longest / 2 + jitter(longest / 2, random)
    }

    /// What failed before a lease is forgotten when that has lived until its refresh, or for half its time
    /// (DES-007): a server that lets one in and breaks down at once does not start a fast cycle.
    fn forgive(&mut self, now: Time) {
        if let Some(lease) = &mut self.lease
            && (now >= lease.refresh || now.since(lease.from) >= lease.length / 2)
        {
            self.failures = self.failures.saturating_sub(mem::take(&mut lease.failures_before));
        }
    }

    /// Whether a failure is one for good. Of a refusal it counts how long it stands.
    fn is_for_good(&mut self, failure: &Failure, now: Time) -> bool {
        match Prospect::of(failure) {
            Prospect::Open => {
                self.refused = None;
                false
            }
            Prospect::Refused => {
                let (since, before) = self.refused.unwrap_or((now, 0));
                let tries = before.saturating_add(1);
                self.refused = Some((since, tries));
                let has_stood = tries >= STANDING_TRIES && now.since(since) >= STANDING_TIME;
                self.lease.is_none() || has_stood
            }
            Prospect::Hopeless => true,
        }
    }
}

/// What went wrong, as far as the backoff asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setback {
    /// A try failed.
    Try,
    /// A try failed that news of the network caused: it does not raise the backoff.
    News,
    /// The flow was lost over which the registrar reaches us.
    Flow,
}

/// Whether another try may do better after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prospect {
    /// It may pass by itself.
    Open,
    /// The registrar refused. Trying again, as it is, would only annoy it, unless it errs for the moment,
    /// which is likely where it has bound the account before (DES-009).
    Refused,
    /// Trying again, as it is, may lock the account, or can't change anything.
    Hopeless,
}

impl Prospect {
    fn of(failure: &Failure) -> Prospect {
        match failure {
            Failure::Refused(Refusal::RetryAfter { .. }) => Prospect::Open,
            Failure::Refused(Refusal::TooBrief { .. } | Refusal::Extension { .. }) => Prospect::Hopeless,
            Failure::Refused(Refusal::Status(status) | Refusal::NoTarget(status)) => match status {
                408 | 429 | 480 | 486 | 491 | 494 => Prospect::Open,
                400..=499 | 501 | 505 | 600.. => Prospect::Refused,
                _ => Prospect::Open,
            },
            Failure::Credentials(CredentialsFailure::Endless) => Prospect::Open,
            // What came was no answer to a password of ours, or a 403, which says nothing of it.
            Failure::Credentials(
                CredentialsFailure::Missing { .. }
                | CredentialsFailure::Forbidden { .. }
                | CredentialsFailure::Unservable { .. }
                | CredentialsFailure::Strange { .. }
                | CredentialsFailure::NoChallenge,
            ) => Prospect::Refused,
            Failure::Credentials(CredentialsFailure::Rejected { .. }) => Prospect::Hopeless,
            Failure::Timeout | Failure::Unreachable(_) | Failure::Misbehaved(_) => Prospect::Open,
        }
    }
}

/// What the user is told of an account that is kept bound (DES-029).
#[derive(Debug)]
pub enum AccountEvent {
    /// A try begins that would bind what is not bound.
    Registering,
    /// It is bound, and was not before.
    Registered {
        /// The try that ended so.
        report: Box<Report>,
        /// When the binding runs out, unless it is refreshed.
        until: Time,
        /// When the next try is due.
        next: Time,
    },
    /// It was bound, and is for longer.
    Refreshed {
        /// The try that ended so.
        report: Box<Report>,
        /// When the binding runs out, unless it is refreshed.
        until: Time,
        /// When the next try is due.
        next: Time,
    },
    /// A try failed, or the removal at the end.
    Failed {
        /// The try that ended so.
        report: Box<Report>,
        /// When the binding runs out that is there nevertheless.
        until: Option<Time>,
        /// When the next try is due; `None`: it failed for good.
        next: Option<Time>,
    },
    /// The connection broke over which it was bound.
    FlowFailed {
        /// What the network said; `None`: the other side closed it.
        cause: Option<Cause>,
        /// What the other side said as it closed it.
        words: Option<LastWords>,
        /// When the next try is due.
        next: Time,
    },
    /// The system would send from another address now, so that it is bound anew.
    NetworkChanged,
    /// A NAT is between the device and the registrar, or it has changed what is known of that.
    Nat {
        /// Where the other side sees the device; `None`: where it is, so that there is none any more.
        seen: Option<SocketAddr>,
        /// The longest time between two keep-alives; `None`: none are sent.
        interval: Option<Duration>,
    },
    /// Somebody called, and was answered.
    Incoming {
        /// The method of the request.
        method: String,
        /// The URI of From: who they said they are.
        from: String,
        /// The status of the answer.
        status: u16,
    },
    /// The binding is removed. A removal that failed is [`AccountEvent::Failed`].
    Unregistered(Box<Report>),
    /// It is kept no longer; nothing follows.
    Stopped(Departure),
}

/// What is known of the binding of an account that is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Nothing was bound.
    Unbound,
    /// The registrar confirmed that it is removed.
    Removed,
    /// The registrar did not, in time.
    Unconfirmed,
}

/// Leases above this are refreshed so long before their end that a transaction that runs into Timer F (32 s)
/// is over before it, and a second try can still leave.
const SHORT: Duration = Duration::from_secs(74);
const MARGIN: Duration = Duration::from_secs(37);

/// Longer leases count as this long.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The longest time between two beats, and the part of the time to a refresh that it is at most.
const BEAT: Duration = Duration::from_millis(256);
const BEATS: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    /// When the request left that was answered: the lifetime counts from there (RFC 3261 §20.19, DES-003).
    from: Time,
    length: Duration,
    /// When it is to be refreshed, if nothing comes in between.
    refresh: Time,
    /// How many of the failures that count were before it.
    failures_before: u32,
    /// A try has failed since, or the flow was lost.
    disturbed: bool,
}

impl Lease {
    /// For `granted` seconds; refreshed at a random time of those that are right (DES-001, DES-002).
    fn granted(granted: u32, from: Time, random: &mut dyn Random) -> Lease {
        let length = Duration::from_secs(granted.into()).min(LONGEST);
        let after = due_after(length);
        let refresh = from + (after - jitter(after / 10, random));
        Lease { from, length, refresh, failures_before: 0, disturbed: false }
    }

    fn end(self) -> Time {
        self.from + self.length
    }

    /// The refresh at a beat that is also right, and not before `least`: counted from `origin`, one every so
    /// often, as long as the lease allows. Leases of one length have the same beats, and those of a longer
    /// one some of them.
    fn aligned(self, origin: Time, least: Time) -> Time {
        let after = due_after(self.length);
        let ms = u64::try_from((after / BEATS).min(BEAT).as_millis()).unwrap_or(0);
        let Some(beat) = ms.checked_ilog2().map(|log| 1 << log) else { return self.refresh };
        let since = u64::try_from(self.refresh.since(origin).as_millis()).unwrap_or(0) % beat;
        let before = Time::from_millis(self.refresh.as_millis() - since);
        let (first, last) = (least.max(self.from + after * 9 / 10), self.from + after);
        let at = if before >= first { before } else { before + Duration::from_millis(beat) };
        if (first..=last).contains(&at) { at } else { self.refresh }
    }
}

/// How long after it was asked for a lease is refreshed, at the latest.
fn due_after(length: Duration) -> Duration {
    if length > SHORT { (length * 9 / 10).min(length - MARGIN) } else { length / 2 }
}

#[cfg(test)]
mod tests;
