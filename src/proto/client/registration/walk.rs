//! Sending, and moving on: to the next destination, to the next target, to the end.

use std::net::SocketAddr;
use std::sync::Arc;

use super::request::{self, Draft};
use super::{Registration, SizeRule, State, Step, Visit};
use crate::proto::client::outcome::{
    Attempt, AttemptResult, Failure, Hop, Refusal, Remote, Report, Success, Unreachable,
};
use crate::proto::digest::Sessions;
use crate::proto::ids::{Branch, Random};
use crate::proto::locate::{Destination, Locate, LocateError, Start, Transport};
use crate::proto::transaction::Outgoing;
use crate::proto::{Cause, Time};
use crate::sip::{Method, NameAddr};

/// Above this size a request goes over TCP (RFC 3261 §18.1.1: 200 bytes below an MTU of 1500).
const LARGEST_DATAGRAM: usize = 1300;
/// Most requests of one try.
const MOST_REQUESTS: u32 = 40;
/// Most destinations of one try.
pub(super) const MOST_DESTINATIONS: usize = 16;

impl Registration {
    /// Sends the mended request to the same destination, or ends the visit with `otherwise` at a limit.
    pub(super) fn again(
        &mut self,
        visit: Visit,
        status: u16,
        otherwise: Failure,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        if self.tally.requests_of_try >= MOST_REQUESTS {
            self.hold(&visit, status, otherwise);
            return self.fail(now);
        }
        match visit.local {
            Some(local) => self.send(visit, local, random, now),
            None => {
                let destination = visit.destination.clone();
                self.state = State::Opening(visit);
                Step::Visit(destination)
            }
        }
    }

    pub(super) fn send(
        &mut self,
        mut visit: Visit,
        local: SocketAddr,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let transport = visit.destination.transport;
        // Measuring must not count a use of a nonce: the request may yet leave over another transport.
        let mut sessions = self.sessions.clone();
        let way = self.way();
        let uri = way.uri.to_string();
        let before = (self.plan.contacts.is_empty() || self.removes_others).then_some(&self.bound);
        let contacts = request::asked_contacts(&self.plan, transport, local, self.floor, before);
        let branch = Branch(random.next());
        let draft = Draft {
            plan: &self.plan,
            uri: &uri,
            route: way.route,
            transport,
            local,
            branch,
            call_id: &self.call_id,
            from_tag: self.from_tag,
            cseq: self.cseq + 1,
            contacts: &contacts,
            floor: self.floor,
            offered: &self.offered,
            credentials: sessions.authorize("REGISTER", &uri, b""),
        };
        let sent_by = draft.sent_by();
        let Ok(bytes) = draft.build() else {
            // The plan's texts were checked when it was made: Header refuses the rest.
            self.tally.unreachable =
                Some(Unreachable::Network(Cause::Other(std::io::ErrorKind::InvalidInput)));
            return self.fail(now);
        };
        let switch = match (transport, visit.size) {
            (Transport::Udp, SizeRule::Unneeded) => bytes.len() > LARGEST_DATAGRAM,
            (Transport::Udp, SizeRule::Switched { .. } | SizeRule::Refused) | (Transport::Tcp, _) => false,
        };
        if switch {
            visit.size = SizeRule::Switched { udp_local: local };
            visit.destination.transport = Transport::Tcp;
            visit.local = None;
            let destination = visit.destination.clone();
            self.state = State::Opening(visit);
            return Step::Switch(destination);
        }
        let lasts = |contact: &&NameAddr| request::asked_lifetime(&self.plan, contact, self.floor) != Some(0);
        let remembered = if self.plan.resume.is_some() { &contacts[..] } else { &[] };
        let binds = remembered.iter().filter(lasts).cloned().collect();
        self.sessions = sessions;
        self.tally.contacts = contacts;
        self.cseq += 1;
        self.tally.sent(Hop { transport, remote: visit.destination.address, local }, now);
        self.state = State::Waiting(visit);
        let outgoing = Outgoing {
            bytes,
            method: Method::Register,
            branch,
            sent_by,
            from_tag: self.from_tag,
            call_id: self.call_id.clone(),
            cseq: self.cseq,
        };
        Step::Send { transport, outgoing: Box::new(outgoing), binds }
    }

    pub(super) fn next_target(&mut self, now: Time) -> Step {
        while self.tally.visits < MOST_DESTINATIONS
            && let Some(target) = self.tally.targets.next()
        {
            // Another server has not issued the nonces we hold: it asks for itself.
            self.sessions = Sessions::new();
            self.tally.destinations.clear();
            self.target = target;
            let way = self.way();
            let started = Locate::start(way.hop(), way.transport, self.plan.families);
            match started {
                Ok(Start::Found(found)) => return self.walk(found, now),
                Ok(Start::Ask(locate, questions)) => {
                    self.state = State::Locating(Box::new(locate));
                    return Step::Resolve(questions);
                }
                Err(error) => self.tally.unreachable = Some(unlocatable(error)),
            }
        }
        self.fail(now)
    }

    pub(super) fn walk(&mut self, found: Vec<Destination>, now: Time) -> Step {
        self.tally.destinations = found.into();
        self.next_destination(now)
    }

    pub(super) fn next_destination(&mut self, now: Time) -> Step {
        if self.tally.visits >= MOST_DESTINATIONS || self.tally.requests_of_try >= MOST_REQUESTS {
            return self.fail(now);
        }
        let Some(destination) = self.tally.destinations.pop_front() else { return self.next_target(now) };
        self.sessions = Sessions::new();
        self.tally.begin_visit();
        self.state = State::Opening(Visit {
            destination: destination.clone(),
            local: None,
            size: SizeRule::Unneeded,
            challenges: 0,
            raises: 0,
        });
        Step::Visit(destination)
    }

    pub(super) fn lost(&mut self, visit: &Visit, cause: Option<Cause>, now: Time) -> Step {
        let (result, unreachable) = match cause {
            Some(cause) => (AttemptResult::Failed(cause), Unreachable::Network(cause)),
            None => (AttemptResult::Closed, Unreachable::Closed),
        };
        self.leave(visit, result);
        if cause.is_none_or(may_have_arrived) {
            self.unsettled();
        }
        self.tally.unreachable = Some(unreachable);
        self.next_destination(now)
    }

    /// The request under way may have been obeyed without our hearing of it: what it binds is not forgotten.
    pub(super) fn unsettled(&mut self) {
        if !self.plan.contacts.is_empty() || self.tally.requests_of_visit == 0 {
            return;
        }
        for contact in &self.tally.contacts {
            let lives = request::asked_lifetime(&self.plan, contact, self.floor) != Some(0);
            if lives {
                self.bound.add(contact);
            }
        }
    }

    pub(super) fn refuse(&mut self, visit: &Visit, refusal: Refusal) {
        let status = refusal.status();
        self.hold(visit, status, Failure::Refused(refusal));
    }

    /// Ends the visit with a final answer that is not acted upon: the last of these decides.
    pub(super) fn hold(&mut self, visit: &Visit, status: u16, failure: Failure) {
        self.leave(visit, AttemptResult::Status(status));
        self.tally.held = Some(failure);
    }

    pub(super) fn leave(&mut self, visit: &Visit, result: AttemptResult) {
        self.tally.attempts.push(Attempt {
            transport: Some(visit.destination.transport),
            remote: Remote::Address(visit.destination.address),
            result,
        });
    }

    pub(super) fn finish(&mut self, result: Result<Success, Failure>, now: Time) -> Step {
        self.state = if self.plan.keep { State::Resting(None) } else { State::Done };
        let tally = self.tally.take();
        let request_uri = match &self.target {
            Some(target) => Arc::new(target.uri.clone()),
            None => Arc::clone(&self.plan.registrar),
        };
        if result.is_err() {
            // A way that led nowhere is not begun with again.
            self.target = None;
        }
        Step::Finish(Box::new(Report {
            registration: self.id,
            purpose: self.plan.purpose,
            result,
            response: tally.response,
            request_uri,
            received: tally.seen.filter(|seen| tally.hop.is_none_or(|hop| hop.local != *seen)),
            hop: tally.hop,
            auth: self.sessions.answered(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            requests: tally.requests,
            retransmissions: tally.retransmissions,
            sent: tally.sent,
            elapsed: now.since(tally.started),
            round_trip: tally.round_trip,
            attempts: tally.attempts,
            warnings: tally.warnings,
        }))
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
        | Cause::Denied => false,
        Cause::TimedOut | Cause::Reset | Cause::Other(_) => true,
    }
}

fn unlocatable(error: LocateError) -> Unreachable {
    match error {
        LocateError::Family(ip) => Unreachable::Name { name: ip.to_string(), error: None },
        LocateError::Transport(_) | LocateError::Sips => Unreachable::Network(Cause::ProtocolUnreachable),
    }
}
