//! What each final response to a REGISTER leads to (RFC 3261 §8.1.3, §10.2.4, §10.2.8).

use std::net::SocketAddr;
use std::time::Duration;

use super::bindings::{self, Expected};
use super::nat::{Sight, seen_at};
use super::outcome::{AttemptResult, CredentialsFailure, Failure, Misbehaviour, Refusal, Success, Warning};
use super::plan::Purpose;
use super::registration::{Await, Registrant, Registration, Step, Tally, Try, Turn, Visit};
use super::targets::Redirect;
use crate::proto::digest::{self, ChallengeOutcome, Credential, Hidden, Secret, Sessions, Trust};
use crate::proto::ids::{self, Random};
use crate::proto::{Destination, Time};
use crate::sip::{Date, Header, HeaderName, Headers, Response, Uri, Via};

// One destination never sees more than 8 requests: the first, and after it those for 3 challenges, 2 raises,
// one 420 (there is one tag to drop) and one new Call-ID. One that is repeated without the credentials at
// hand has to do with what these leave.

/// Most challenges that one destination gets answered.
const MOST_CHALLENGES: u8 = 3;
/// After that long a registrar whose nonces are made of the second has another one.
const NONCE: Duration = Duration::from_millis(1100);
/// Most raises after 423 at one destination.
const MOST_RAISES: u8 = 2;
/// Longest lifetime that a 423 can make us ask for, if no longer one was asked anyway: a day.
const LONGEST_RAISE: u32 = 86_400;

impl Registration {
    /// The final response to the request under way. Provisional ones don't come here: they change nothing.
    /// `via` is the one Via of it, `peer` who sent it.
    pub fn on_final(
        &mut self,
        response: Response,
        via: &Via,
        peer: SocketAddr,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else { return Step::Wait };
        let Await::Response = visit.awaits else { return Step::Wait };
        attempt.tally.on_response(&response, via, visit.flow.local, peer, now);
        let turn = registrant.on_final(attempt, visit, &response, random, now);
        self.settle(turn, now)
    }

    /// The user told the password, or could not. How long that took does not count towards any time limit.
    pub fn on_password(&mut self, password: Option<Hidden>, random: &mut dyn Random, now: Time) -> Step {
        let Some((registrant, attempt, visit)) = self.visit() else { return Step::Wait };
        let Await::Password(challenge, _) = &visit.awaits else { return Step::Wait };
        let challenge = challenge.clone();
        let username = registrant.plan.keyring.ask.take();
        if let (Some(username), Some(password)) = (username, password) {
            let secret = Secret::Password(password);
            registrant.plan.keyring.credentials.push(Credential { realm: None, username, secret });
        }
        let turn = registrant.challenged(attempt, visit, &challenge, random, now);
        self.settle(turn, now)
    }
}

impl Registrant {
    fn on_final(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let is_sent_ahead = self.sessions.used_known_nonce() && attempt.outdated.is_none();
        if response.status == 403 && is_sent_ahead {
            let otherwise = self.forbidden(attempt).unwrap_or_else(|| refusal(response));
            return self.send_bare(attempt, visit, 403, otherwise, random, now);
        }
        if !matches!(response.status, 401 | 407) {
            self.sessions.on_accepted();
        }
        match response.status {
            ..=299 => self.accepted(attempt, visit, response, now),
            300..=399 => self.redirected(attempt, visit, response, now),
            401 | 407 => self.challenged(attempt, visit, response, random, now),
            420 => self.bad_extension(attempt, visit, response, random, now),
            // All that the client has is offered from the start, or was refused by a 420.
            421 => {
                let tags = response.headers.option_tags(&HeaderName::Require);
                attempt.refuse(visit, 421, extension(421, tags));
                self.next_target(attempt, now).into()
            }
            423 => self.too_brief(attempt, visit, response, random, now),
            400 | 500 if self.plan.resume.is_some() && !attempt.tally.renewed && blames_cseq(response) => {
                // What was remembered is older than what the registrar knows (RFC 3261 §10.3): begin anew.
                attempt.tally.renewed = true;
                (self.call_id, self.cseq) = (ids::call_id(random).into(), 0);
                self.send_again(attempt, visit, response.status, refusal(response), random, now)
            }
            503 => {
                attempt.refuse(visit, 503, refusal(response));
                self.set_aside(visit, now);
                self.next_destination(attempt, now).into()
            }
            403 if let Some(failure) = self.forbidden(attempt) => {
                attempt.refuse(visit, 403, failure);
                Turn::Fail
            }
            408 => {
                attempt.refuse(visit, 408, Failure::Timeout);
                self.next_target(attempt, now).into()
            }
            status if status < 600 => {
                attempt.refuse(visit, status, refusal(response));
                self.next_target(attempt, now).into()
            }
            // Global failures say that no other target will do (RFC 3261 §21.6).
            status => {
                attempt.refuse(visit, status, refusal(response));
                Turn::Fail
            }
        }
    }

    /// What a 403 means where credentials were sent in this try.
    fn forbidden(&self, attempt: &Try) -> Option<Failure> {
        let username = self.sessions.username().or(attempt.outdated.as_deref())?.to_owned();
        Some(Failure::Credentials(CredentialsFailure::Forbidden { username }))
    }

    /// Repeats a request without the credentials at hand, which were refused. What comes back to that decides.
    fn send_bare(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        status: u16,
        otherwise: Failure,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        attempt.outdated = self.sessions.username().map(str::to_owned);
        self.sessions = Sessions::new();
        self.send_again(attempt, visit, status, otherwise, random, now)
    }

    fn accepted(&mut self, attempt: &mut Try, visit: &Visit, response: &Response, now: Time) -> Turn {
        attempt.leave(visit, AttemptResult::Status(response.status));
        // Whatever it says of it: a 2xx has bound something.
        self.suppose_bound(attempt);
        // Without a session nobody reads it.
        let uri = if self.sessions.is_empty() { String::new() } else { self.next_hop().uri.to_string() };
        if self.sessions.on_success(&response.headers, &uri, &response.body).is_err() {
            attempt.refusal = Some(Failure::Misbehaved(Misbehaviour::FalseServer));
            return Turn::Fail;
        }
        let expected = Expected {
            plan: &self.plan,
            contacts: &attempt.contacts,
            min_expires: self.min_expires,
            offered: &self.offered,
            seen: attempt.tally.seen,
            keep: attempt.tally.keep,
        };
        let (result, warnings) = bindings::read(response, &expected);
        attempt.tally.warnings.extend(warnings);
        if result.is_err() {
            attempt.tally.listed = response.headers.contact_values().into_iter().flatten().collect();
        }
        if result.is_ok() && self.plan.keep {
            if let Some(until) = attempt.locate.as_ref().and_then(|locate| locate.good_until()) {
                self.good_until = Some(until);
            }
            let served = visit.flow.address();
            self.aside.retain(|(failed, _)| *failed != served);
            match (attempt.visits > 1, attempt.tally.began_at_first) {
                (true, _) => self.failed_over_since = Some(now),
                (false, _) if attempt.passed_over => _ = self.failed_over_since.get_or_insert(now),
                (false, true) => self.failed_over_since = None,
                (false, false) => {}
            }
            if self.plan.purpose != Purpose::Fetch {
                self.own.replace(self.plan.binds(&attempt.contacts, self.min_expires));
            }
            self.follow_sight(attempt, visit, result.as_ref().ok());
        }
        Turn::Finish(result)
    }

    /// Notes how a request that has bound the own contact was seen, and whether that says where we are.
    fn follow_sight(&mut self, attempt: &Try, visit: &Visit, success: Option<&Success>) {
        let Destination { transport, address: remote, .. } = visit.flow.destination;
        let binds = matches!(self.plan.purpose, Purpose::Bind { .. });
        // Nobody connects to who is behind a WebSocket, wherever that is.
        if !binds || self.is_blind || !self.plan.follows_sight() || transport.is_websocket() {
            self.sight = None;
            return;
        }
        let Some(seen) = attempt.tally.seen.filter(|_| attempt.tally.is_port_seen) else { return };
        let Some(local) = visit.flow.local else { return };
        let mut granted = success.iter().flat_map(|success| &success.contacts).filter(|one| one.expires > 0);
        let is_there = |uri: &Uri| {
            (uri.host.ip(), uri.port) == (Some(seen.ip()), Some(seen.port())) && self.sight.is_none()
        };
        if granted.any(|granted| granted.uri.sip().is_some_and(is_there)) {
            // The registrar, or what stands between, has bound that address by itself.
            return;
        }
        let (sight, corrects) = Sight::after(self.sight.take().map(|sight| *sight), (local, remote), seen);
        (self.sight, self.corrects) = (sight.map(Box::new), corrects);
    }

    /// A try has failed. If the registrar has not taken the address that was seen, that is not asked for again.
    pub(super) fn doubt_sight(&mut self, failure: &Failure) {
        let is_refused = match failure {
            Failure::Misbehaved(Misbehaviour::NotBound | Misbehaviour::StillBound) => true,
            Failure::Refused(Refusal::Status(status)) => matches!(status, 400..=499 | 600..),
            Failure::Refused(_)
            | Failure::Misbehaved(_)
            | Failure::Credentials(_)
            | Failure::Timeout
            | Failure::Unreachable(_) => false,
        };
        if let Some(sight) = self.sight.take_if(|sight| is_refused && sight.is_new()) {
            self.is_blind = true;
            // Its removal would be that of our own address, where a NAT writes the one over the other.
            self.own.forget(sight.address());
        }
    }

    fn redirected(&mut self, attempt: &mut Try, visit: &Visit, response: &Response, now: Time) -> Turn {
        let status = response.status;
        self.note_named(visit);
        let is_for_good = status == 301 && self.next_hop().is_for_good;
        // A check registers at one destination, and has shown the password there: nobody else gets to see it.
        let is_bound_here = self.plan.destination.is_some() && !self.sessions.is_empty();
        let redirect = if is_bound_here {
            Redirect::NoTarget
        } else {
            attempt.targets.redirect(response, self.next_hop(), &self.plan)
        };
        let failure = match redirect {
            Redirect::Followed => {
                attempt.tally.moved = is_for_good;
                attempt.leave(visit, AttemptResult::Status(status));
                return self.next_target(attempt, now).into();
            }
            Redirect::NoTarget => Failure::Refused(Refusal::NoTarget(status)),
            Redirect::Loop => Failure::Misbehaved(Misbehaviour::RedirectLoop),
            Redirect::TooMany => Failure::Misbehaved(Misbehaviour::TooManyRedirects),
        };
        attempt.refuse(visit, status, failure);
        self.next_target(attempt, now).into()
    }

    /// What the challenges of a response come to, which a stranger may have sent.
    fn judged(&mut self, response: &Response, is_strange: bool, random: &mut dyn Random) -> ChallengeOutcome {
        let mut sessions = std::mem::take(&mut self.sessions);
        let outcome = self.judge(&mut sessions, &response.headers, is_strange, random);
        self.sessions = sessions;
        outcome
    }

    fn judge(
        &self,
        sessions: &mut Sessions,
        headers: &Headers,
        is_strange: bool,
        random: &mut dyn Random,
    ) -> ChallengeOutcome {
        let domain = if is_strange { self.plan.aor.host.to_string() } else { String::new() };
        let trust = if is_strange {
            let proven = self.named.as_ref().map(|named| named.realms.as_slice()).unwrap_or_default();
            Trust::Strange { domain: &domain, proven }
        } else {
            Trust::Named
        };
        sessions.on_challenge(headers, &self.plan.keyring, trust, random)
    }

    /// The Authorization of a request for a WebSocket at that path that was challenged so (RFC 7118 §7). Who asks may be
    /// answered what it could be by SIP. `None`: nothing at hand answers it. With it comes what another 401 means.
    pub(super) fn authorize_upgrade(
        &self,
        path: &str,
        challenges: &[String],
        random: &mut dyn Random,
    ) -> (Option<String>, CredentialsFailure) {
        let row = |text: &String| Header::new(HeaderName::WwwAuthenticate, text.clone()).ok();
        let headers: Headers = challenges.iter().filter_map(row).collect();
        let mut sessions = Sessions::new();
        let failure = match self.judge(&mut sessions, &headers, self.stranger().is_some(), random) {
            ChallengeOutcome::Answer => {
                let rows = sessions.authorize("GET", path, b"");
                let claimant = sessions.claimants().into_iter().next();
                let otherwise = claimant.map_or(CredentialsFailure::Endless, |claimant| {
                    CredentialsFailure::Rejected { realm: claimant.realm, username: claimant.username }
                });
                return (rows.first().map(|row| row.text_lossy().into_owned()), otherwise);
            }
            ChallengeOutcome::PasswordWanted { realm, .. } => {
                CredentialsFailure::Missing { realm, has_others: false }
            }
            ChallengeOutcome::Strange { realm } => {
                let named = self.plan.registrar.host.clone();
                let host = self.stranger().cloned().unwrap_or_else(|| named.clone());
                CredentialsFailure::Strange { realm, host, named }
            }
            ChallengeOutcome::Fail(failure) => failure,
        };
        (None, failure)
    }

    fn challenged(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let stranger = self.stranger().cloned();
        let outcome = self.judged(response, stranger.is_some(), random);
        if matches!(outcome, ChallengeOutcome::Fail(_)) {
            attempt.tally.unreadable = digest::unreadable(&response.headers);
        }
        let failure = match outcome {
            ChallengeOutcome::Answer if visit.challenges < MOST_CHALLENGES => {
                visit.challenges += 1;
                if let Some(host) = stranger {
                    for realm in self.sessions.asked() {
                        let warning = Warning::Strange { host: host.clone(), realm: realm.to_owned() };
                        bindings::warn_once(warning, &mut attempt.tally.warnings);
                    }
                }
                if self.sessions.is_worn() && !std::mem::replace(&mut visit.has_rested, true) {
                    visit.awaits = Await::Nonce(response.status);
                    return Turn::Stay(Step::Rest(NONCE));
                }
                let otherwise = Failure::Credentials(CredentialsFailure::Endless);
                return self.send_again(attempt, visit, response.status, otherwise, random, now);
            }
            ChallengeOutcome::Answer => CredentialsFailure::Endless,
            ChallengeOutcome::PasswordWanted { username, realm } => {
                visit.awaits = Await::Password(Box::new(response.clone()), now);
                let host = self.next_hop().uri.host.to_string();
                return Turn::Stay(Step::AskPassword { username, realm, host });
            }
            ChallengeOutcome::Strange { realm } => {
                let named = self.plan.registrar.host.clone();
                let host = stranger.unwrap_or_else(|| named.clone());
                CredentialsFailure::Strange { realm, host, named }
            }
            ChallengeOutcome::Fail(
                failure @ (CredentialsFailure::NoChallenge | CredentialsFailure::Unservable { .. }),
            ) if self.sessions.used_known_nonce() && attempt.outdated.is_none() => {
                let otherwise = Failure::Credentials(failure);
                return self.send_bare(attempt, visit, response.status, otherwise, random, now);
            }
            ChallengeOutcome::Fail(failure) => failure,
        };
        // Another target would only be shown the same credentials (RFC 3261 §22.1).
        attempt.refuse(visit, response.status, Failure::Credentials(failure));
        Turn::Fail
    }

    /// 420 drops the tags it names: each once.
    fn bad_extension(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let tags = response.headers.option_tags(&HeaderName::Unsupported);
        let before = self.offered.len();
        self.offered.to_mut().retain(|offered| !tags.iter().any(|tag| tag.eq_ignore_ascii_case(offered)));
        let refusal = extension(420, tags);
        if self.offered.len() == before {
            attempt.refuse(visit, 420, refusal);
            return self.next_target(attempt, now).into();
        }
        self.send_again(attempt, visit, 420, refusal, random, now)
    }

    /// 423 raises every lifetime to its Min-Expires (RFC 3261 §10.2.8). Never for a removal.
    fn too_brief(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let min_expires = response.headers.min_expires();
        let refusal = Failure::Refused(Refusal::TooBrief { min_expires });
        let lifetimes =
            attempt.contacts.iter().filter_map(|one| self.plan.lifetime_of(one, self.min_expires));
        let asked: Vec<u32> = lifetimes.filter(|seconds| *seconds > 0).collect();
        let longest = asked.iter().copied().max().unwrap_or(0);
        let useful = min_expires.filter(|min| {
            let raises = asked.iter().any(|seconds| seconds < min);
            raises && *min <= LONGEST_RAISE.max(longest) && matches!(self.plan.purpose, Purpose::Bind { .. })
        });
        if let Some(min) = useful.filter(|_| visit.raises < MOST_RAISES) {
            visit.raises += 1;
            self.min_expires = Some(min);
            return self.send_again(attempt, visit, 423, refusal, random, now);
        }
        attempt.refuse(visit, 423, refusal);
        self.next_target(attempt, now).into()
    }
}

impl Tally {
    /// Notes a final response, who sent it, and from its Via the address that we were seen at.
    fn on_response(
        &mut self,
        response: &Response,
        via: &Via,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        now: Time,
    ) {
        self.response = Some((response.status, response.reason.clone()));
        self.remarks = response.headers.remarks();
        self.date = response.headers.date().ok().flatten().map(Date::epoch);
        let asks = |header: &HeaderName| response.headers.get(header).is_some();
        self.challenged |= [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate].iter().any(asks);
        self.unreadable.clear();
        if let Some(hop) = &mut self.hop {
            hop.remote = peer;
        }
        self.unusable.clear();
        for blemish in response.headers.surplus_commas() {
            bindings::warn_once(Warning::Blemish(blemish), &mut self.warnings);
        }
        self.round_trip = self.sent.map(|sent| now.since(sent));
        let Some(local) = local else { return };
        self.keep = via.params.get("keep").flatten().and_then(|seconds| seconds.parse().ok());
        let seen = seen_at(via, local, peer);
        self.is_port_seen = seen.is_some_and(|(_, is_port_seen)| is_port_seen);
        if let Some((seen, _)) = seen {
            self.seen = Some(seen);
        }
    }
}

/// Whether the registrar says that the CSeq was not higher than the last one. No RFC gives this a status or a
/// header of its own: the reason phrase, Warning, or what Kamailio adds tells it.
fn blames_cseq(response: &Response) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains("cseq");
    let row_says = |name: &[u8]| {
        let row = HeaderName::parse(name).ok().and_then(|name| response.headers.get(&name));
        row.is_some_and(|row| says(&row.text_lossy()))
    };
    says(&response.reason) || row_says(b"Warning") || row_says(b"P-Registrar-Error")
}

fn extension(status: u16, tags: Vec<String>) -> Failure {
    let tags = tags.into_iter().map(|tag| tag.to_ascii_lowercase()).collect();
    Failure::Refused(Refusal::Extension { status, tags })
}

fn refusal(response: &Response) -> Failure {
    let status = response.status;
    Failure::Refused(match response.headers.retry_after() {
        Some(after) => Refusal::RetryAfter { status, seconds: after.seconds },
        None => Refusal::Status(status),
    })
}
