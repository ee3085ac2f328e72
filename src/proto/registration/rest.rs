//! Between two tries of a registration that is kept: it rests on the flow it is bound over.

use std::mem;
use std::time::Duration;

use super::tally::Tally;
use super::targets::Targets;
use super::{Registration, State, Step, Visit};
use crate::proto::ids::Random;
use crate::proto::plan::Purpose;
use crate::proto::{Cause, Time};

/// How long another destination serves before the first is tried again.
const AWAY: Duration = Duration::from_secs(600);

/// Seconds; a shorter lease would end before the silence of the first destination does.
const LONG: u32 = 300;

impl Registration {
    /// Registers again after [`Step::Finish`]: with the same Call-ID, the next CSeq, and the nonces at hand, over the
    /// flow it is bound over; without one, from the first destination on. Only with
    /// [`Plan::keep`](super::Plan::keep); the first time it starts.
    pub fn again_for(&mut self, purpose: Purpose, random: &mut dyn Random, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Fresh => {
                self.state = State::Fresh;
                self.start(now)
            }
            State::Resting(visit) => {
                self.plan.purpose = purpose;
                if purpose == Purpose::Remove && self.plan.contacts.is_empty() {
                    self.plan.contacts.clone_from(&self.bound);
                    self.plan.memory.get_or_insert_default().own.clone_from(&self.bound);
                }
                self.tally = Tally::new(now);
                self.renewed = false;
                self.targets = Targets::new(&self.plan);
                let returns = self.returns(now);
                self.from_the_first = true;
                match visit {
                    Some(Visit { local: Some(local), destination, size, .. }) if !returns => {
                        self.from_the_first = false;
                        if self.target.uri.matches(&self.plan.registrar) {
                            // The way that failed is not gone once more in the same try.
                            let _ = self.targets.next();
                        }
                        self.tally.begin_visit();
                        let visit = Visit { destination, local: Some(local), size, challenges: 0, raises: 0 };
                        self.send(visit, local, random, now)
                    }
                    Some(_) | None => self.next_target(now),
                }
            }
            other @ (State::Locating(_)
            | State::Opening(_)
            | State::Waiting(_)
            | State::Asking(..)
            | State::Pausing
            | State::Done) => self.stay(other),
        }
    }

    /// Whether it is time to see if the first destination serves again: after a while elsewhere, at a refresh of a lease that
    /// outlives its silence, so that nothing is lost (DES-034).
    fn returns(&self, now: Time) -> bool {
        let is_long = self.lifetime().is_none_or(|seconds| seconds > LONG);
        is_long && self.elsewhere.is_some_and(|since| now.since(since) >= AWAY)
    }

    /// The system would send from another address now: the flow is gone, and what is under way on it with it.
    pub fn on_moved(&mut self, random: &mut dyn Random, now: Time) -> Step {
        match self.state {
            State::Resting(_) => {
                self.state = State::Resting(None);
                Step::Wait
            }
            State::Fresh
            | State::Locating(_)
            | State::Opening(_)
            | State::Waiting(_)
            | State::Asking(..)
            | State::Pausing
            | State::Done => self.on_flow_lost(Some(Cause::LocalAddress), random, now),
        }
    }

    /// The lifetime that is asked for, in seconds; it does not shrink with what is granted.
    #[must_use]
    pub fn lifetime(&self) -> Option<u32> {
        match self.plan.purpose {
            Purpose::Bind { expires } => expires,
            Purpose::Remove | Purpose::RemoveAll | Purpose::Fetch => None,
        }
    }

    /// Whether it rests, with a flow that it is bound over.
    #[must_use]
    pub fn rests_on_a_flow(&self) -> bool {
        matches!(self.state, State::Resting(Some(_)))
    }

    /// Whether something of it may be bound: by a 2xx, or by a request whose answer never came.
    #[must_use]
    pub fn may_be_bound(&self) -> bool {
        !self.bound.is_empty()
    }
}
