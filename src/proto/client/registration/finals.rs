//! What each final response leads to.

use std::mem;

use super::answer;
use super::request;
use super::targets::{Redirected, Targets};
use super::{Registration, State, Step, Visit};
use crate::proto::Time;
use crate::proto::client::outcome::{AttemptResult, CredentialsFailure, Failure, Misbehaviour, Refusal};
use crate::proto::client::plan::Purpose;
use crate::proto::digest::{ChallengeOutcome, Credential, Hidden, Secret};
use crate::proto::ids::{self, Random};
use crate::sip::{HeaderName, NameAddr, Response, Via};

// One destination never sees more than 8 requests: the first, and after it those for 3 challenges, 2 raises, one 420
// (there is one tag to drop) and one new Call-ID.

/// Most challenges that one destination gets answered.
const MOST_CHALLENGES: u8 = 3;
/// Most raises after 423 at one destination.
const MOST_RAISES: u8 = 2;
/// Longest lifetime that a 423 can make us ask for, if no longer one was asked anyway: a day.
const LONGEST_RAISE: u32 = 86_400;

impl Registration {
    /// The final response to the request under way. Provisional ones don't come here: they change nothing.
    /// `via` is the one Via of it.
    pub fn on_final(&mut self, response: Response, via: &Via, random: &mut dyn Random, now: Time) -> Step {
        let visit = match mem::replace(&mut self.state, State::Done) {
            State::Waiting(visit) => visit,
            other @ (State::Fresh
            | State::Locating(_)
            | State::Opening(_)
            | State::Asking(..)
            | State::Pausing
            | State::Resting(_)
            | State::Done) => {
                return self.stay(other);
            }
        };
        self.tally.answered(&response, via, visit.local, visit.destination.address, now);
        if !matches!(response.status, 401 | 407) {
            self.sessions.on_accepted();
        }
        match response.status {
            ..=299 => self.accepted(visit, &response, now),
            300..=399 => self.redirected(&visit, &response, now),
            401 | 407 => self.challenged(visit, &response, random, now),
            420 => self.bad_extension(visit, &response, random, now),
            // All that the client has is offered from the start, or was refused by a 420.
            421 => {
                let tags = response.headers.option_tags(&HeaderName::Require);
                self.refuse(&visit, extension(421, tags));
                self.next_target(now)
            }
            423 => self.too_brief(visit, &response, random, now),
            400 | 500 if self.plan.resume.is_some() && !self.renewed && blames_cseq(&response) => {
                // What was remembered is older than what the registrar knows (RFC 3261 §10.3): begin anew.
                self.renewed = true;
                (self.call_id, self.cseq) = (ids::call_id(random).into(), 0);
                let otherwise = Failure::Refused(refusal(&response));
                self.again(visit, response.status, otherwise, random, now)
            }
            503 => {
                self.refuse(&visit, refusal(&response));
                self.next_destination(now)
            }
            403 if self.sessions.username().is_some() => {
                let username = self.sessions.username().unwrap_or_default().to_owned();
                self.hold(&visit, 403, Failure::Credentials(CredentialsFailure::Forbidden { username }));
                self.fail(now)
            }
            408 => {
                self.hold(&visit, 408, Failure::Timeout);
                self.next_target(now)
            }
            _ if response.status < 600 => {
                self.refuse(&visit, refusal(&response));
                self.next_target(now)
            }
            // Global failures say that no other target will do (RFC 3261 §21.6).
            _ => {
                self.refuse(&visit, refusal(&response));
                self.fail(now)
            }
        }
    }

    fn accepted(&mut self, visit: Visit, response: &Response, now: Time) -> Step {
        self.leave(&visit, AttemptResult::Status(response.status));
        // Without a session nobody reads it.
        let uri = if self.sessions.is_empty() { String::new() } else { self.way().uri.to_string() };
        if self.sessions.on_success(&response.headers, &uri, &response.body).is_err() {
            self.tally.held = Some(Failure::Misbehaved(Misbehaviour::FalseServer));
            return self.fail(now);
        }
        let asked = answer::Asked {
            plan: &self.plan,
            contacts: &self.tally.contacts,
            floor: self.floor,
            offered: &self.offered,
            seen: self.tally.seen,
        };
        let (result, warnings) = answer::read(response, &asked);
        self.tally.warnings.extend(warnings);
        if result.is_ok() && self.plan.keep {
            match (self.tally.visits > 1, self.from_the_first) {
                (true, _) => self.elsewhere = Some(now),
                (false, true) => self.elsewhere = None,
                (false, false) => {}
            }
            let lasts =
                |contact: &&NameAddr| request::asked_lifetime(&self.plan, contact, self.floor) != Some(0);
            self.bound.replace(self.tally.contacts.iter().filter(lasts));
            let step = self.finish(result.map_err(Failure::Misbehaved), now);
            self.state = State::Resting(Some(visit));
            return step;
        }
        self.finish(result.map_err(Failure::Misbehaved), now)
    }

    fn redirected(&mut self, visit: &Visit, response: &Response, now: Time) -> Step {
        let status = response.status;
        let mut targets = mem::replace(&mut self.tally.targets, Targets::new());
        let redirected = targets.redirect(response, self.way(), &self.plan);
        self.tally.targets = targets;
        match redirected {
            Redirected::Followed => self.leave(visit, AttemptResult::Status(status)),
            Redirected::NoTarget => self.refuse(visit, Refusal::NoTarget(status)),
            Redirected::Loop => {
                self.hold(visit, status, Failure::Misbehaved(Misbehaviour::RedirectLoop));
            }
            Redirected::TooMany => {
                self.hold(visit, status, Failure::Misbehaved(Misbehaviour::TooManyRedirects));
            }
        }
        self.next_target(now)
    }

    pub(super) fn challenged(
        &mut self,
        mut visit: Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let failure = match self.sessions.on_challenge(&response.headers, &self.plan.keyring, random) {
            ChallengeOutcome::Answer if visit.challenges < MOST_CHALLENGES => {
                visit.challenges += 1;
                let otherwise = Failure::Credentials(CredentialsFailure::Endless);
                return self.again(visit, response.status, otherwise, random, now);
            }
            ChallengeOutcome::Answer => CredentialsFailure::Endless,
            ChallengeOutcome::PasswordWanted { username, realm } => {
                self.state = State::Asking(visit, Box::new(response.clone()), now);
                return Step::AskPassword { username, realm };
            }
            ChallengeOutcome::Fail(failure) => failure,
        };
        // Another target would only be shown the same credentials (RFC 3261 §22.1).
        self.hold(&visit, response.status, Failure::Credentials(failure));
        self.fail(now)
    }

    /// The user told the password, or could not. How long that took does not count towards any time limit.
    pub fn on_password(&mut self, password: Option<Hidden>, random: &mut dyn Random, now: Time) -> Step {
        match mem::replace(&mut self.state, State::Done) {
            State::Asking(visit, response, _) => {
                let username = self.plan.keyring.ask.take();
                if let (Some(username), Some(password)) = (username, password) {
                    self.plan.keyring.credentials.push(Credential {
                        realm: None,
                        username,
                        secret: Secret::Password(password),
                    });
                }
                self.challenged(visit, &response, random, now)
            }
            other @ (State::Fresh
            | State::Locating(_)
            | State::Opening(_)
            | State::Waiting(_)
            | State::Pausing
            | State::Resting(_)
            | State::Done) => self.stay(other),
        }
    }

    /// 420 drops the tags it names: each once.
    fn bad_extension(
        &mut self,
        visit: Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let tags = response.headers.option_tags(&HeaderName::Unsupported);
        let before = self.offered.len();
        self.offered.to_mut().retain(|offered| !tags.iter().any(|tag| tag.eq_ignore_ascii_case(offered)));
        let refusal = extension(420, tags);
        if self.offered.len() == before {
            self.refuse(&visit, refusal);
            return self.next_target(now);
        }
        self.again(visit, 420, Failure::Refused(refusal), random, now)
    }

    /// 423 raises every lifetime to its Min-Expires (RFC 3261 §10.2.8). Never for a removal.
    fn too_brief(
        &mut self,
        mut visit: Visit,
        response: &Response,
        random: &mut dyn Random,
        now: Time,
    ) -> Step {
        let min_expires = response.headers.min_expires();
        let refusal = Refusal::TooBrief { min_expires };
        let asked: Vec<u32> = self
            .tally
            .contacts
            .iter()
            .filter_map(|contact| request::asked_lifetime(&self.plan, contact, self.floor))
            .filter(|seconds| *seconds > 0)
            .collect();
        let longest = asked.iter().copied().max().unwrap_or(0);
        let useful = min_expires.filter(|min| {
            let raises = asked.iter().any(|seconds| seconds < min);
            raises && *min <= LONGEST_RAISE.max(longest) && matches!(self.plan.purpose, Purpose::Bind { .. })
        });
        if let Some(min) = useful.filter(|_| visit.raises < MOST_RAISES) {
            visit.raises += 1;
            self.floor = Some(min);
            return self.again(visit, response.status, Failure::Refused(refusal), random, now);
        }
        self.refuse(&visit, refusal);
        self.next_target(now)
    }
}

/// Whether the registrar says that the CSeq was not higher than the last one. No RFC gives this a status or a header
/// of its own: the reason phrase, Warning, or what Kamailio adds tells it.
fn blames_cseq(response: &Response) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains("cseq");
    let row = |name: &[u8]| {
        let name = HeaderName::parse(name).ok()?;
        response.headers.get(&name)?.text().ok()
    };
    says(&response.reason) || row(b"Warning").is_some_and(says) || row(b"P-Registrar-Error").is_some_and(says)
}

fn extension(status: u16, tags: Vec<String>) -> Refusal {
    Refusal::Extension { status, tags: tags.into_iter().map(|tag| tag.to_ascii_lowercase()).collect() }
}

fn refusal(response: &Response) -> Refusal {
    let status = response.status;
    match response.headers.retry_after() {
        Some(after) => Refusal::RetryAfter { status, seconds: after.seconds },
        None => Refusal::Status(status),
    }
}
