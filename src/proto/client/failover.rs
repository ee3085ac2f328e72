//! Where a registration goes next: to the next destination (RFC 3263 §4.3), to the next target (RFC 3261
//! §8.1.3.4), to another try after a pause; and what it failed by when nothing is left.

use std::time::Duration;

use super::outcome::{Attempt, AttemptResult, Failure, Refusal, Remote, Unreachable};
use super::plan::Plan;
use super::refresh::AWAY;
use super::registration::{FlowTo, Phase, Registrant, Review, Step, Tally, Try, Turn, Visit};
use super::request::MOST_REQUESTS;
use super::schedule::{BELIEVED, SPREAD};
use super::targets::{MOST_DESTINATIONS, Targets};
use crate::proto::digest::Sessions;
use crate::proto::identity::UpgradeFault;
use crate::proto::ids::Random;
use crate::proto::locate::{Destination, Found, Locate, LocateError, Next};
use crate::proto::{Cause, Time, in_zone};
use crate::sip::Host;

/// The pause after the first try; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most addresses and realms of named hosts that are remembered.
const MOST_NAMED: usize = 16;
/// The shortest pause that a Retry-After can ask for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

impl Registrant {
    /// Goes to the next target; `None` when there is none.
    pub(super) fn next_target(&mut self, attempt: &mut Try, now: Time) -> Option<(Phase, Step)> {
        while attempt.visits < MOST_DESTINATIONS
            && let Some(target) = attempt.targets.next()
        {
            // Another server has not issued the nonces we hold: it asks for itself.
            self.sessions = Sessions::new();
            attempt.locate = None;
            attempt.later.clear();
            self.target = target;
            match self.locate() {
                Ok(locate) => {
                    attempt.locate = Some(Box::new(locate));
                    if let Some(next) = self.next_located(attempt, now) {
                        return Some(next);
                    }
                }
                Err(error) => attempt.unreachable = Some(unlocatable(error)),
            }
        }
        None
    }

    /// Goes to the next destination of this target, else to the next target.
    pub(super) fn next_destination(&mut self, attempt: &mut Try, now: Time) -> Option<(Phase, Step)> {
        if attempt.visits >= MOST_DESTINATIONS || attempt.requests >= MOST_REQUESTS {
            return None;
        }
        self.next_located(attempt, now).or_else(|| self.next_target(attempt, now))
    }

    /// Goes to the next destination of this target, or asks the name service for it; `None` when there is none.
    fn next_located(&mut self, attempt: &mut Try, now: Time) -> Option<(Phase, Step)> {
        let zone = self.plan.zone;
        while attempt.visits < MOST_DESTINATIONS {
            match attempt.locate.as_mut()?.next(now) {
                Next::Found(mut found) => {
                    found.destination.address = in_zone(found.destination.address, zone);
                    if !self.is_aside(&found.destination, now) {
                        return Some(self.go_to(attempt, found));
                    }
                    attempt.passed_over = true;
                    attempt.later.push_back(found);
                }
                Next::Wait { questions, until } => {
                    return Some((Phase::Locating, Step::Resolve { questions, until }));
                }
                Next::Unresolved { name, error } => {
                    attempt.visits += 1;
                    attempt.unresolved(name, error);
                }
                Next::NotOffered { name } => attempt.unreachable = Some(Unreachable::NotOffered { name }),
                Next::NoService { name, lacks_tls } => {
                    attempt.visits += 1;
                    attempt.unresolved(name.clone(), None);
                    attempt.unreachable = Some(Unreachable::NoService { name, lacks_tls });
                }
                Next::Over => return attempt.later.pop_front().map(|found| self.go_to(attempt, found)),
            }
        }
        None
    }

    /// Looks whether the flow at hand still leads where the name service says. If it does, or nobody knows, it is used: a
    /// binding that works is not moved for better records.
    pub(super) fn review(
        &mut self,
        attempt: &mut Try,
        review: &mut Review,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let stays = loop {
            let Some(locate) = &mut attempt.locate else { break true };
            match locate.next(now) {
                Next::Found(mut found) => {
                    found.destination.address = in_zone(found.destination.address, self.plan.zone);
                    if found.destination == review.flow.address() {
                        break true;
                    }
                    review.found.push_back(found);
                }
                Next::Wait { questions, until } if now < review.until => {
                    return Turn::Stay(Step::Resolve { questions, until: until.min(review.until) });
                }
                Next::Wait { .. } => break true,
                Next::Unresolved { .. } | Next::NotOffered { .. } | Next::NoService { .. } => {}
                Next::Over => break review.found.is_empty(),
            }
        };
        attempt.later = std::mem::take(&mut review.found);
        if let Some(local) = review.flow.local.filter(|_| stays) {
            let mut visit = Visit::on(review.flow.clone());
            return match self.send(attempt, &mut visit, local, random, now) {
                Turn::Stay(step) => Turn::Move(Phase::Visiting(visit), step),
                turn @ (Turn::Move(..) | Turn::Fail | Turn::Finish(_)) => turn,
            };
        }
        (attempt.visits, attempt.tally.began_at_first) = (0, true);
        self.next_destination(attempt, now).into()
    }

    /// Begins with the first destination of the first target: the flow is lost that it would have been asked over.
    pub(super) fn begin_anew(&mut self, attempt: &mut Try, now: Time) -> Option<(Phase, Step)> {
        (attempt.visits, attempt.tally.began_at_first) = (0, true);
        attempt.targets = Targets::default();
        if let Some(target) = self.target.take().filter(|target| target.is_for_good) {
            attempt.targets.put_first(target);
        }
        self.next_target(attempt, now)
    }

    /// What finds the way to where requests go now.
    pub(super) fn locate(&self) -> Result<Locate, LocateError> {
        match &self.plan.destination {
            Some(destination) if self.target.is_none() => Ok(Locate::at((**destination).clone())),
            Some(_) | None => self.next_hop().locate(&self.plan),
        }
    }

    fn go_to(&mut self, attempt: &mut Try, found: Found) -> (Phase, Step) {
        let Found { destination, origin } = found;
        self.sessions = Sessions::new();
        self.last_words = None;
        attempt.visits += 1;
        let flow = FlowTo::new(destination.clone(), origin);
        (Phase::Visiting(Visit::on(flow)), Step::Visit(destination))
    }

    /// Sets a destination that failed aside for a while: until then others come first (RFC 3263 §4.3).
    pub(super) fn set_aside(&mut self, visit: &Visit, now: Time) {
        if !self.plan.keep {
            return;
        }
        let failed = visit.flow.address();
        self.aside.retain(|(known, until)| now < *until && *known != failed);
        if self.aside.len() == MOST_DESTINATIONS {
            self.aside.remove(0);
        }
        self.aside.push((failed, now + AWAY));
    }

    fn is_aside(&self, destination: &Destination, now: Time) -> bool {
        self.aside.iter().any(|(known, until)| known == destination && now < *until)
    }

    /// Leaves a destination whose flow is lost.
    pub(super) fn lose(
        &mut self,
        attempt: &mut Try,
        visit: &Visit,
        cause: Option<Cause>,
        now: Time,
    ) -> Option<(Phase, Step)> {
        if let (Some(Cause::Upgrade(UpgradeFault::Status(401))), Some(failure)) = (cause, &visit.unauthorized)
        {
            attempt.leave(visit, AttemptResult::Failed(Cause::Upgrade(UpgradeFault::Status(401))));
            attempt.refusal = Some(Failure::Credentials((**failure).clone()));
            // Another destination would only be shown the same credentials (RFC 3261 §22.1).
            return None;
        }
        let (result, unreachable) = match cause {
            Some(cause) => (AttemptResult::Failed(cause), Unreachable::Network(cause)),
            None => (AttemptResult::Closed, Unreachable::Closed),
        };
        if cause.is_none_or(may_have_arrived) {
            self.leave_unsettled(attempt, visit, result);
        } else {
            attempt.leave(visit, result);
        }
        if let Some(Cause::Untrusted(why)) = cause {
            attempt.untrusted = Some((why, visit.flow.session.clone()));
        }
        attempt.unreachable = Some(unreachable);
        self.set_aside(visit, now);
        self.next_destination(attempt, now)
    }

    /// Leaves a destination that may have obeyed the last request without our hearing of it: what that binds
    /// is not forgotten.
    pub(super) fn leave_unsettled(&mut self, attempt: &mut Try, visit: &Visit, result: AttemptResult) {
        attempt.leave(visit, result);
        if visit.requests > 0 {
            self.suppose_bound(attempt);
        }
    }

    /// Notes that what the last request binds may be bound: the device's own contact, and whatever is kept.
    pub(super) fn suppose_bound(&mut self, attempt: &mut Try) {
        attempt.tally.took_effect = true;
        let Registrant { plan, min_expires, own, .. } = self;
        let binds = plan.binds(&attempt.contacts, *min_expires);
        binds.filter(|contact| plan.keep || plan.is_own(contact)).for_each(|contact| own.add(contact));
    }
}

impl Registrant {
    /// The host that is asked now, or that passes it on, if it is one that only a redirect named. Another port or
    /// transport makes no other host, and an address that a named one was reached by is that one.
    pub(super) fn stranger(&self) -> Option<&Host> {
        let target = self.target.as_deref()?;
        let Plan { aor, registrar, route, .. } = &*self.plan;
        let is_named = |host: &Host| {
            let mut hosts = route.iter().map(|uri| &uri.host).chain([&aor.host, &registrar.host]);
            let addresses = self.named.iter().flat_map(|named| &named.addresses);
            hosts.any(|named| named == host) || addresses.copied().map(Host::from).any(|named| named == *host)
        };
        let through = target.route.first().map(|uri| &uri.host);
        [Some(&target.uri.host), through].into_iter().flatten().find(|host| !is_named(host))
    }

    /// A redirect came: notes what a named host was reached by and asked for.
    pub(super) fn note_named(&mut self, visit: &Visit) {
        if self.stranger().is_some() {
            return;
        }
        let named = self.named.get_or_insert_default();
        let address = visit.flow.destination.address.ip();
        if named.addresses.len() < MOST_NAMED && !named.addresses.contains(&address) {
            named.addresses.push(address);
        }
        for realm in self.sessions.realms() {
            if named.realms.len() < MOST_NAMED && !named.realms.iter().any(|known| known == realm) {
                named.realms.push(realm.to_owned());
            }
        }
    }
}

impl Try {
    /// Ends a visit with a final answer that is not acted upon: the last of these decides.
    pub(super) fn refuse(&mut self, visit: &Visit, status: u16, failure: Failure) {
        self.leave(visit, AttemptResult::Status(status));
        self.refusal = Some(failure);
    }

    /// Notes how a visit ended.
    pub(super) fn leave(&mut self, visit: &Visit, result: AttemptResult) {
        self.tally.attempts.push(Attempt {
            transport: Some(visit.flow.destination.transport),
            remote: Remote::Address(visit.flow.destination.address),
            origin: visit.flow.origin.clone(),
            result,
        });
    }

    /// Why the try failed. The last final answer that was not acted upon decides; without one misbehaviour, then who
    /// could not prove to be the one that was meant, then silence, then what the network said.
    pub(super) fn verdict(&mut self) -> Failure {
        if let Some(failure) = self.refusal.take() {
            return failure;
        }
        if let (None, Some((why, session))) = (self.misbehaved, self.untrusted.take()) {
            self.tally.tls = session;
            return Failure::Unreachable(Unreachable::Network(Cause::Untrusted(why)));
        }
        match (self.misbehaved, self.silent, self.unreachable.take()) {
            (Some(how), _, _) => Failure::Misbehaved(how),
            (None, true, _) | (None, false, None) => Failure::Timeout,
            (None, false, Some(why)) => Failure::Unreachable(why),
        }
    }
}

impl Tally {
    /// The pause after a try that ended so, and how much longer it may be; `None`: another would end as this
    /// one. A 503 that says by Retry-After how long to wait is believed a few times in a row, then the longer
    /// of both counts (DES-008).
    pub(super) fn pause(&mut self, failure: &Failure) -> Option<(Duration, Duration)> {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.tries.min(8)).min(LONGEST_PAUSE);
        let least = longest / 2;
        match failure {
            Failure::Timeout | Failure::Unreachable(_) | Failure::Refused(Refusal::Status(503)) => {
                self.believed = 0;
                Some((least, longest - least))
            }
            Failure::Refused(Refusal::RetryAfter { status: 503, seconds }) => {
                self.believed = self.believed.saturating_add(1);
                let wanted = Duration::from_secs((*seconds).into()).max(SHORTEST_PAUSE);
                let (most, spread) = (wanted + wanted / SPREAD, wanted / SPREAD);
                if self.believed <= BELIEVED {
                    return Some((wanted, spread));
                }
                let least = least.max(wanted);
                Some((least, longest.max(most) - least))
            }
            Failure::Refused(_) | Failure::Credentials(_) | Failure::Misbehaved(_) => None,
        }
    }
}

/// Whether something that was sent may have arrived although the network complains.
fn may_have_arrived(cause: Cause) -> bool {
    match cause {
        Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TooLarge
        | Cause::LocalAddress
        | Cause::Exhausted
        | Cause::Untrusted(_)
        | Cause::Upgrade(_)
        | Cause::Denied => false,
        Cause::TimedOut | Cause::Reset | Cause::WebSocket(_) | Cause::Keepalive(_) | Cause::Other(_) => true,
    }
}

fn unlocatable(error: LocateError) -> Unreachable {
    match error {
        LocateError::Family(ip) => Unreachable::Name { name: ip.to_string(), error: None },
        LocateError::Transport(_) | LocateError::SipsOverUdp => {
            Unreachable::Network(Cause::ProtocolUnreachable)
        }
    }
}
