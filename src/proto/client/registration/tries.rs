//! Tries: going through all targets once is one; how it ends without an answer, and whether another follows.

use std::mem;
use std::time::Duration;

use super::{Registration, State, Step};
use crate::proto::client::outcome::{Attempt, AttemptResult, Failure, Refusal, Remote, Unreachable};
use crate::proto::{ResolveError, Time};

/// The pause after the first try; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Registration {
    /// The time for everything is over, or the user gave up: no other try.
    pub fn on_give_up(&mut self, now: Time) -> Step {
        if self.end_try() { self.end(now) } else { Step::Wait }
    }

    /// The time for this try is over.
    pub fn on_try_over(&mut self, now: Time) -> Step {
        if self.end_try() { self.fail(now) } else { Step::Wait }
    }

    /// The next try is due.
    pub fn on_retry(&mut self, now: Time) -> Step {
        match self.state {
            State::Pausing => {
                self.tally.begin_try();
                self.next_target(now)
            }
            State::Fresh | State::Locating(_) | State::Opening(_) | State::Waiting(_) => Step::Wait,
            State::Asking(..) | State::Resting(_) | State::Done => Step::Wait,
        }
    }

    /// Notes how far this try has come; false when nothing is under way.
    fn end_try(&mut self) -> bool {
        match mem::replace(&mut self.state, State::Done) {
            State::Opening(visit) | State::Waiting(visit) | State::Asking(visit, _, _) => {
                self.tally.silent = true;
                self.leave(&visit, AttemptResult::Timeout);
                self.unsettled();
            }
            State::Locating(locate) => {
                let name = locate.name().to_owned();
                self.tally.attempts.push(Attempt {
                    transport: None,
                    remote: Remote::Name(name.clone()),
                    result: AttemptResult::Dns(ResolveError::TimedOut),
                });
                let error = Some(ResolveError::TimedOut);
                self.tally.unreachable = Some(Unreachable::Name { name, error });
            }
            // What the last try came to still stands in the tally.
            State::Fresh | State::Pausing => {}
            state @ (State::Resting(_) | State::Done) => {
                self.state = state;
                return false;
            }
        }
        true
    }

    /// This try has failed: another follows if there is time for it and it could end otherwise.
    pub(super) fn fail(&mut self, now: Time) -> Step {
        let failure = self.tally.verdict();
        let Some(least) = worth_another(&failure) else { return self.finish(Err(failure), now) };
        let backoff = FIRST_PAUSE.saturating_mul(1 << self.tally.tries.min(8)).min(LONGEST_PAUSE);
        let (wait, spread) = if least > backoff { (least, least / 10) } else { (backoff / 2, backoff / 2) };
        let wait = wait.max(least);
        if now.since(self.tally.started) + wait > self.plan.retry_for {
            return self.finish(Err(failure), now);
        }
        self.tally.held = Some(failure.clone());
        self.state = State::Pausing;
        Step::Pause { failure, wait, spread }
    }

    /// Over, without another try.
    pub(super) fn end(&mut self, now: Time) -> Step {
        let failure = self.tally.verdict();
        self.finish(Err(failure), now)
    }
}

/// Whether a failure may pass by itself, and how long the other side wants to be left alone.
fn worth_another(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Timeout | Failure::Unreachable(_) | Failure::Refused(Refusal::Status(503)) => {
            Some(Duration::ZERO)
        }
        Failure::Refused(Refusal::RetryAfter { status: 503, seconds }) => {
            Some(Duration::from_secs(u64::from(*seconds)))
        }
        Failure::Refused(_) | Failure::Credentials(_) | Failure::Misbehaved(_) => None,
    }
}
