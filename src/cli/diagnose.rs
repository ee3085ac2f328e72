//! The message for every failure of a registration, and the hint that goes with it: the texts of the hints are
//! [`super::explain`]'s.

use super::exit::{Exit, Fault};
use super::explain::{self, Case};
use crate::proto::client::outcome::{
    AttemptResult, CredentialsFailure, Failure, Misbehaviour, Refusal, Remote, Report, Skipped, Unreachable,
    WhySkipped,
};
use crate::proto::client::plan::Purpose;
use crate::proto::{Cause, ResolveError, Transport};

/// Explains a failure: what happened, in one sentence without full stop, and what to do about it if there is
/// anything to do.
#[must_use]
pub fn diagnose(failure: &Failure, report: &Report) -> Fault {
    let hint = |case: Case| Some(case.hint.to_owned());
    let (message, hint) = match failure {
        Failure::Refused(refusal) => (refused(refusal, report), refusal_hint(refusal, report)),
        Failure::Credentials(failure @ CredentialsFailure::Forbidden { .. }) if report.domain.is_some() => {
            let hint = format!("{}; {}", explain::FORBIDDEN.hint, explain::ADDRESSED.hint);
            (credentials(failure, report), Some(hint))
        }
        Failure::Credentials(failure) => (credentials(failure, report), hint(credentials_case(failure))),
        Failure::Timeout => (timeout(report), hint(timeout_case(report))),
        Failure::Unreachable(why) => {
            let hint = unreachable_case(why).map_or("-v shows how far it got", |case| case.hint);
            (unreachable(why, report), Some(hint.to_owned()))
        }
        Failure::Misbehaved(how) => (misbehaved(*how, report), hint(misbehaved_case(*how))),
    };
    Fault { kind: Exit::from(failure), message, hint }
}

fn answer(report: &Report) -> String {
    match &report.response {
        Some((status, reason)) if reason.is_empty() => status.to_string(),
        Some((status, reason)) => format!("{status} {reason}"),
        None => "no answer".to_owned(),
    }
}

fn refused(refusal: &Refusal, report: &Report) -> String {
    let answer = answer(report);
    match refusal {
        Refusal::Status(_) | Refusal::RetryAfter { .. } => format!("the registrar refused: {answer}"),
        Refusal::TooBrief { min_expires: Some(min) } => {
            format!("the registrar wants a lifetime of at least {min} s: {answer}")
        }
        Refusal::TooBrief { min_expires: None } => {
            format!("the registrar calls the lifetime too brief without saying what it wants: {answer}")
        }
        Refusal::NoTarget(_) => format!("redirected, but to nothing that can be tried: {answer}"),
        Refusal::Extension { status: 421, tags } => {
            format!("the registrar insists on {}: {answer}", extensions(tags))
        }
        Refusal::Extension { tags, .. } => {
            format!("the registrar does not accept {}: {answer}", extensions(tags))
        }
    }
}

fn extensions(tags: &[String]) -> String {
    match tags {
        [] => "an extension that it does not name".to_owned(),
        [tag] => format!("the extension \"{tag}\""),
        tags => format!("the extensions \"{}\"", tags.join("\", \"")),
    }
}

fn refusal_hint(refusal: &Refusal, report: &Report) -> Option<String> {
    let shows = matches!(report.purpose, Purpose::Fetch | Purpose::Remove | Purpose::RemoveAll);
    let has_domain = report.domain.is_none();
    match refusal {
        Refusal::Status(404) if shows && has_domain => Some(explain::NOTHING_LISTED.hint.to_owned()),
        Refusal::Status(404) if shows => {
            Some(format!("{}; {}", explain::NOTHING_LISTED.hint, explain::ADDRESSED.hint))
        }
        Refusal::Status(403 | 404) if !has_domain => Some(explain::ADDRESSED_OR_WRONG.join("; ")),
        Refusal::RetryAfter { seconds, .. } => {
            Some(format!("it asks to wait {seconds} s before the next attempt"))
        }
        Refusal::TooBrief { min_expires: Some(min) } => {
            Some(format!("ask for that much with --expires {min}"))
        }
        Refusal::TooBrief { min_expires: None }
        | Refusal::NoTarget(_)
        | Refusal::Extension { .. }
        | Refusal::Status(_) => explain::status_hint(refusal.status()).map(str::to_owned),
    }
}

fn credentials(failure: &CredentialsFailure, report: &Report) -> String {
    match failure {
        CredentialsFailure::Missing { realm } => {
            format!("a password is needed for realm \"{realm}\", and none was given")
        }
        CredentialsFailure::Rejected { realm, username } => {
            format!("user name or password is wrong: realm \"{realm}\" did not accept user \"{username}\"")
        }
        CredentialsFailure::Forbidden { username } => {
            format!("user \"{username}\" may not do this: {}", answer(report))
        }
        CredentialsFailure::Unservable { offered } => {
            let all: Vec<String> = offered.iter().map(offer).collect();
            format!("no challenge that can be answered: {}", all.join("; "))
        }
        CredentialsFailure::NoChallenge => format!("{} without a challenge", answer(report)),
        CredentialsFailure::Endless => {
            format!("the registrar asks for credentials again and again: {}", answer(report))
        }
    }
}

fn offer(skipped: &Skipped) -> String {
    let name = &skipped.offer;
    match skipped.why {
        WhySkipped::Scheme => format!("scheme {name} is not Digest"),
        WhySkipped::Algorithm => format!("algorithm {name} is unknown"),
        WhySkipped::TooWeak => format!("algorithm {name} is weaker than --min-algorithm"),
        WhySkipped::Qop => format!("{name} without a qop that is known"),
        WhySkipped::Realm => {
            format!("realm \"{}\" is not the one of --realm", skipped.realm.as_deref().unwrap_or_default())
        }
        WhySkipped::Ha1Algorithm => format!("algorithm {name} is not that of the HA1"),
        WhySkipped::Incomplete => format!("{name} without realm or nonce"),
    }
}

fn credentials_case(failure: &CredentialsFailure) -> Case {
    match failure {
        CredentialsFailure::Missing { .. } => explain::PASSWORD_MISSING,
        CredentialsFailure::Rejected { .. } => explain::PASSWORD_WRONG,
        CredentialsFailure::Forbidden { .. } => explain::FORBIDDEN,
        CredentialsFailure::Unservable { offered } => match offered.first().map(|skipped| skipped.why) {
            Some(WhySkipped::Scheme) => explain::NO_DIGEST,
            Some(WhySkipped::TooWeak) => explain::TOO_WEAK,
            Some(WhySkipped::Realm) => explain::OTHER_REALM,
            Some(WhySkipped::Ha1Algorithm) => explain::OTHER_HA1,
            Some(WhySkipped::Algorithm | WhySkipped::Qop | WhySkipped::Incomplete) | None => {
                explain::UNKNOWN_ALGORITHM
            }
        },
        CredentialsFailure::NoChallenge => explain::NO_CHALLENGE,
        CredentialsFailure::Endless => explain::ENDLESS,
    }
}

/// The address that an end is about, with its transport.
fn end(report: &Report, wanted: impl Fn(AttemptResult) -> bool) -> String {
    let attempt = report.attempts.iter().rev().find(|attempt| wanted(attempt.result));
    match attempt.map(|attempt| (attempt.transport, &attempt.remote)) {
        Some((Some(transport), Remote::Address(address))) => format!("{address} over {}", transport.as_via()),
        Some((None, Remote::Address(address))) => address.to_string(),
        Some((_, Remote::Name(name))) => name.clone(),
        None => "the registrar".to_owned(),
    }
}

fn timeout(report: &Report) -> String {
    if let Some((408, _)) = report.response {
        return format!("a server on the way gave up waiting: {}", answer(report));
    }
    let who = end(report, |result| result == AttemptResult::Timeout);
    let seconds = report.elapsed.as_secs_f64();
    if report.response.is_some() {
        return format!("{who} answered once, then fell silent for the rest of {seconds:.1} s");
    }
    let sent = report.requests + report.retransmissions;
    format!(
        "no answer from {who} within {seconds:.1} s ({sent} {} sent)",
        plural(sent, "request", "requests")
    )
}

fn plural(n: u32, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

fn timeout_case(report: &Report) -> Case {
    match report.hop.map(|hop| hop.transport) {
        _ if report.response.is_some() => explain::FELL_SILENT,
        Some(Transport::Udp) => explain::SILENT_UDP,
        Some(Transport::Tcp) => explain::SILENT_TCP,
        None => explain::NOT_CONNECTED,
    }
}

fn unreachable(why: &Unreachable, report: &Report) -> String {
    match why {
        Unreachable::Name { name, error: Some(ResolveError::NoSuchName) } => {
            format!("the name \"{name}\" does not exist")
        }
        Unreachable::Name { name, error: Some(ResolveError::ServerFailed) } => {
            format!("the name \"{name}\" could not be looked up: the name server failed")
        }
        Unreachable::Name { name, error: Some(ResolveError::TimedOut) } => {
            format!("the name \"{name}\" could not be looked up: no name server answered")
        }
        Unreachable::Name { name, error: None } => format!("\"{name}\" has no address that may be used"),
        Unreachable::Network(cause) => {
            let who = end(report, |result| result == AttemptResult::Failed(*cause));
            format!("{who}: {cause}")
        }
        Unreachable::Closed => {
            let who = end(report, |result| result == AttemptResult::Closed);
            format!("{who} closed the connection without an answer")
        }
    }
}

fn unreachable_case(why: &Unreachable) -> Option<Case> {
    Some(match why {
        Unreachable::Name { error: Some(ResolveError::NoSuchName), .. } => explain::NAME_UNKNOWN,
        Unreachable::Name { error: Some(ResolveError::ServerFailed | ResolveError::TimedOut), .. } => {
            explain::NAME_SERVER_FAILED
        }
        Unreachable::Name { error: None, .. } => explain::NO_ADDRESS,
        Unreachable::Network(cause) => match cause {
            Cause::Refused => explain::CONNECTION_REFUSED,
            Cause::Unreachable => explain::NETWORK_UNREACHABLE,
            Cause::ProtocolUnreachable => explain::TRANSPORT_UNSUPPORTED,
            Cause::TimedOut => explain::CONNECTING_TIMED_OUT,
            Cause::Reset => explain::CONNECTION_RESET,
            Cause::TooLarge => explain::TOO_LARGE,
            Cause::LocalAddress => explain::LOCAL_ADDRESS,
            Cause::Denied => explain::NOT_PERMITTED,
            Cause::Other(_) => return None,
        },
        Unreachable::Closed => explain::CONNECTION_CLOSED,
    })
}

fn misbehaved(how: Misbehaviour, report: &Report) -> String {
    let answer = answer(report);
    match how {
        Misbehaviour::NotBound => format!("the registrar answered {answer}, but does not list our contact"),
        Misbehaviour::StillBound => {
            format!("the registrar answered {answer}, but the contact is still bound")
        }
        Misbehaviour::RedirectLoop => format!("redirected in a circle: {answer}"),
        Misbehaviour::TooManyRedirects => format!("redirected too often: {answer}"),
        Misbehaviour::Framing => {
            let who = end(report, |result| result == AttemptResult::Closed);
            format!("{who} sends something that is not SIP")
        }
        Misbehaviour::FalseServer => {
            "the server does not know the password itself: its rspauth is wrong".to_owned()
        }
    }
}

fn misbehaved_case(how: Misbehaviour) -> Case {
    match how {
        Misbehaviour::NotBound => explain::NOT_BOUND,
        Misbehaviour::StillBound => explain::STILL_BOUND,
        Misbehaviour::RedirectLoop | Misbehaviour::TooManyRedirects => explain::REDIRECTED,
        Misbehaviour::Framing => explain::NOT_SIP,
        Misbehaviour::FalseServer => explain::FALSE_SERVER,
    }
}
