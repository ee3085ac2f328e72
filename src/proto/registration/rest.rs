//! Between two tries of a registration that is kept: it rests on the flow it is bound over.

use std::mem;

use super::tally::Tally;
use super::targets::Targets;
use super::{Registration, State, Step, Visit};
use crate::proto::Time;
use crate::proto::ids::Random;
use crate::proto::plan::Purpose;

impl Registration {
    /// Registers again after [`Step::Finish`]: with the same Call-ID, the next CSeq, and the nonces at hand, over the
    /// flow it is bound over; without one, from the first destination on. Only with [`Plan::keep`]; the first time it
    /// starts.
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
                match visit {
                    Some(Visit { local: Some(local), destination, size, .. }) => {
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
