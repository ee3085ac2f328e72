//! Between two tries of a registration that is kept: it rests on the flow it is bound over.

use std::borrow::Cow;
use std::mem;
use std::time::Duration;

use super::tally::Slip;
use super::{KNOWN_TAGS, Registration, State, Step, Visit};
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::digest::Sessions;
use crate::proto::ids::Random;
use crate::proto::{Cause, Time};
use crate::sip::NameAddr;

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
                if let Some(plan) = self.revised.take().filter(|_| purpose != Purpose::Remove) {
                    self.adopt(plan);
                }
                self.pursue(purpose);
                self.start(now)
            }
            State::Resting(mut visit) => {
                // What is bound is what the plan before asked for: that is removed.
                if let Some(plan) = self.revised.take().filter(|_| purpose != Purpose::Remove) {
                    visit = visit.filter(|_| leads_the_same_way(&plan, &self.plan));
                    self.adopt(plan);
                }
                self.pursue(purpose);
                self.tally = Slip::begun(now);
                self.renewed = false;
                let returns = self.returns(now);
                self.from_the_first = true;
                match visit {
                    Some(Visit { local: Some(local), destination, size, .. }) if !returns => {
                        self.from_the_first = false;
                        // A way that fails is not gone once more in the same try.
                        match &self.target {
                            Some(target) if !target.uri.matches(&self.plan.registrar) => {
                                self.tally.targets.begun_with(&target.uri);
                            }
                            Some(_) | None => drop(self.tally.targets.next()),
                        }
                        self.tally.begin_visit();
                        let visit = Visit { destination, local: Some(local), size, challenges: 0, raises: 0 };
                        self.send(visit, local, random, now)
                    }
                    Some(_) | None => {
                        // RSP-015: where it was told to go for good, and only then where the plan says.
                        if let Some(target) = self.target.take().filter(|target| target.is_for_good) {
                            self.tally.targets.put_first(target);
                        }
                        self.next_target(now)
                    }
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

    /// Another plan, of the same AOR at the same registrar, counts from the next try on. What is bound and is not asked for any
    /// more is removed by the request that binds the rest; a password that the user typed is not asked for again if something
    /// was bound with it. Only with [`Plan::keep`](super::Plan::keep).
    pub fn revise(&mut self, plan: Box<Plan>) {
        self.revised = Some(plan);
    }

    fn adopt(&mut self, mut plan: Box<Plan>) {
        let typed = plan.keyring.ask.is_some() && self.plan.keyring.ask.is_none();
        if typed && !self.bound.is_empty() {
            plan.keyring = self.plan.keyring.clone();
        }
        plan.keep = true;
        plan.resume = self.plan.resume.take();
        self.plan = plan;
        self.target = None;
        self.sessions = Sessions::new();
        self.offered = Cow::Borrowed(&KNOWN_TAGS);
        (self.floor, self.elsewhere) = (None, None);
        self.removes_others = true;
    }

    fn pursue(&mut self, purpose: Purpose) {
        self.plan.purpose = purpose;
        if purpose == Purpose::Remove {
            self.plan.contacts = self.removable();
            self.plan.resume.get_or_insert_default().own = self.bound.contacts();
        }
    }

    /// What the user named, else what may be bound; and that as well, where the user named something else before.
    fn removable(&self) -> Vec<NameAddr> {
        let mut contacts = self.plan.contacts.clone();
        if contacts.is_empty() || self.removes_others {
            for bound in self.bound.contacts() {
                if !contacts.iter().any(|one| one.uri.matches(&bound.uri)) {
                    contacts.push(bound);
                }
            }
        }
        contacts
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
        match self.revised.as_ref().unwrap_or(&self.plan).purpose {
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

/// Whether two plans send their requests over the same flow.
fn leads_the_same_way(one: &Plan, other: &Plan) -> bool {
    let hops = |plan: &Plan| {
        let hops = plan.route.iter().chain([&*plan.registrar]);
        hops.map(ToString::to_string).collect::<Vec<_>>()
    };
    one.transport == other.transport && one.families == other.families && hops(one) == hops(other)
}
