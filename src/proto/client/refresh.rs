//! Registering again: over the flow that the registration rests on, or from the start; to refresh what is
//! bound, to bind something else by another plan, or to remove it (RFC 3261 §10.2.2, §10.2.4).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use super::contact;
use super::plan::{Plan, Purpose, stands_here};
use super::registration::{
    KNOWN_TAGS, Phase, Registrant, Registration, Review, State, Step, Tally, Try, Visit,
};
use super::request::suffix;
use crate::proto::digest::Sessions;
use crate::proto::ids::Random;
use crate::proto::{Cause, Time};
use crate::sip::NameAddr;

/// How long another destination serves before the first is tried again.
pub const AWAY: Duration = Duration::from_secs(600);

/// How long a refresh waits for the name service, while the flow is there that it would go over.
const REVIEW: Duration = Duration::from_secs(2);

/// A lease of no more seconds would end before the silence of the first destination does.
const LONG: u32 = 300;

impl Registration {
    /// Registers again after [`Step::Finish`]: with the same Call-ID, the next CSeq, and the nonces at hand,
    /// over the flow it is bound over; without one, from the first destination on. Only with
    /// [`Plan::keep`](super::plan::Plan::keep); the first time it starts.
    pub fn again_for(&mut self, purpose: Purpose, random: &mut dyn Random, now: Time) -> Step {
        let mut flow = match &mut self.state {
            State::Fresh => None,
            State::Resting(flow) => flow.take(),
            State::Trying(..) | State::Pausing(_) | State::Over => return Step::Wait,
        };
        let registrant = &mut self.registrant;
        // What is bound is what the plan before asked for: that is removed.
        if let Some(plan) = self.revised.take().filter(|_| purpose != Purpose::Remove) {
            flow = flow.filter(|_| leads_the_same_way(&plan, &registrant.plan));
            registrant.adopt(plan);
        }
        registrant.pursue(purpose);
        let mut attempt = Try::new(Tally::new(now));
        let flow = flow.filter(|_| !registrant.returns_to_first(now));
        if let Some(flow) = flow
            && let Some(local) = flow.local
        {
            registrant.resume(&mut attempt);
            let is_outdated = registrant.good_until.is_some_and(|until| until <= now);
            if is_outdated
                && purpose != Purpose::Remove
                && let Ok(locate) = registrant.locate()
            {
                attempt.locate = Some(Box::new(locate));
                let review = Review { flow, found: VecDeque::new(), until: now + REVIEW };
                self.state = State::Trying(Box::new((Phase::Reviewing(review), attempt)));
                return self.on_lookup_due(random, now);
            }
            let mut visit = Visit::on(flow);
            let turn = registrant.send(&mut attempt, &mut visit, local, random, now);
            self.state = State::Trying(Box::new((Phase::Visiting(visit), attempt)));
            return self.settle(turn, now);
        }
        // RSP-015: where it was told to go for good, and only then where the plan says.
        if let Some(target) = registrant.target.take().filter(|target| target.is_for_good) {
            attempt.targets.put_first(target);
        }
        self.begin(attempt, now)
    }

    /// Another plan, of the same AOR at the same registrar, counts from the next try on. What is bound and is
    /// not asked for any more is removed by the request that binds the rest; a password that the user typed
    /// is not asked for again if something was bound with it. Only with
    /// [`Plan::keep`](super::plan::Plan::keep).
    pub fn revise(&mut self, plan: Box<Plan>) {
        self.revised = Some(plan);
    }

    /// The system would send from another address now: the flow is gone, and what is under way on it with it.
    pub fn on_moved(&mut self, random: &mut dyn Random, now: Time) -> Step {
        self.registrant.is_blind = false;
        if let State::Resting(flow) = &mut self.state {
            *flow = None;
            return Step::Wait;
        }
        self.on_flow_lost(Some(Cause::LocalAddress), random, now)
    }

    /// The lifetime that is asked for, in seconds; it does not shrink with what is granted.
    #[must_use]
    pub fn lifetime(&self) -> Option<u32> {
        self.next_plan().lifetime()
    }

    /// Whether it rests, with a flow that it is bound over.
    #[must_use]
    pub fn rests_on_a_flow(&self) -> bool {
        matches!(self.state, State::Resting(Some(_)))
    }

    /// The plan of the next try.
    #[must_use]
    pub fn next_plan(&self) -> &Plan {
        self.revised.as_ref().unwrap_or(&self.registrant.plan)
    }

    /// The number that tells its own contact from those of its namesakes on the same flow; 0 for one of them.
    #[must_use]
    pub(in crate::proto) fn namesake(&self) -> u16 {
        self.registrant.namesake
    }

    /// Takes another such number from the next request on.
    pub(in crate::proto) fn set_namesake(&mut self, number: u16) {
        self.registrant.namesake = number;
    }

    /// The user part of its own contact with such a number, its escapes undone; empty where there is none.
    #[must_use]
    pub(in crate::proto) fn own_user(&self, number: u16) -> Box<[u8]> {
        let aor = self.plan().aor.user_octets().unwrap_or_default();
        [aor.as_slice(), suffix(number).as_bytes()].concat().into()
    }

    /// Whether the contacts that it asks for have this user part, its escapes undone (RFC 3261 §8.2.2.1). Hosts don't
    /// count: what is between may have another one for us.
    #[must_use]
    pub fn is_called(&self, user: Option<&[u8]>) -> bool {
        let plan = self.plan();
        if plan.contacts.is_empty() {
            return *self.own_user(self.registrant.namesake) == *user.unwrap_or_default();
        }
        let mut uris = plan.contacts.iter().filter_map(|contact| contact.uri.sip());
        uris.any(|uri| uri.user_octets().as_deref() == user)
    }

    /// Whether its own contact is to be bound once more, with the address that the other side has seen; asked once.
    pub(in crate::proto) fn takes_correction(&mut self) -> bool {
        std::mem::take(&mut self.registrant.corrects)
    }

    /// Whether something of it may be bound: by a 2xx, or by a request whose answer never came.
    #[must_use]
    pub fn may_be_bound(&self) -> bool {
        !self.registrant.own.is_empty()
    }
}

impl Registrant {
    fn adopt(&mut self, mut plan: Box<Plan>) {
        let typed = plan.keyring.ask.is_some() && self.plan.keyring.ask.is_none();
        if typed && !self.own.is_empty() {
            plan.keyring = self.plan.keyring.clone();
        }
        plan.keep = true;
        plan.resume = self.plan.resume.take();
        self.plan = plan;
        self.target = None;
        self.sessions = Sessions::new();
        self.offered = Cow::Borrowed(&KNOWN_TAGS);
        (self.min_expires, self.failed_over_since, self.good_until) = (None, None, None);
        self.drop_stale = true;
    }

    fn pursue(&mut self, purpose: Purpose) {
        self.plan.purpose = purpose;
        if purpose == Purpose::Remove {
            self.plan.contacts = self.removable();
            self.plan.resume.get_or_insert_default().own = self.own.contacts();
        }
    }

    /// The contacts to remove: those that the user named, else those that may be bound; and these as well,
    /// where the user named something else before.
    fn removable(&self) -> Vec<NameAddr> {
        let mut contacts = self.plan.contacts.clone();
        contacts.retain(|contact| !stands_here(contact));
        if self.plan.has_own() || self.drop_stale {
            for own in self.own.contacts() {
                if !contacts.iter().any(|contact| contact::is_same(&contact.uri, &own.uri)) {
                    contacts.push(own);
                }
            }
        }
        contacts
    }

    /// Whether it is time to see if the first destination serves again: after a while elsewhere, at a refresh
    /// of a lease that outlives its silence, so that nothing is lost (DES-034).
    fn returns_to_first(&self, now: Time) -> bool {
        let is_long = self.plan.lifetime().is_none_or(|seconds| seconds > LONG);
        is_long && self.failed_over_since.is_some_and(|since| now.since(since) >= AWAY)
    }

    /// Begins a try where the last one ended. A target that fails is not gone to once more in the same try.
    fn resume(&self, attempt: &mut Try) {
        attempt.tally.began_at_first = false;
        match &self.target {
            Some(target) if !target.uri.matches(&self.plan.registrar) => {
                attempt.targets.begun_with(&target.uri);
            }
            Some(_) | None => drop(attempt.targets.next()),
        }
        attempt.visits += 1;
    }
}

/// Whether two plans send their requests over the same flow.
fn leads_the_same_way(one: &Plan, other: &Plan) -> bool {
    let hops = |plan: &Plan| {
        let hops = plan.route.iter().chain([&*plan.registrar]);
        hops.map(ToString::to_string).collect::<Vec<_>>()
    };
    let ways = |plan: &Plan| (plan.transport, plan.profile, plan.families, plan.zone, plan.aor.scheme);
    ways(one) == ways(other) && hops(one) == hops(other)
}
