//! The message for every failure of a registration, and the hint that goes with it: the texts of the hints are
//! [`super::explain`]'s.

mod certificate;

use super::exit::{Exit, Fault, FaultCause};
use super::explain::{self, Case};
use super::text::{self, shown};
use crate::proto::client::outcome::{
    AttemptResult, Claimant, CredentialsFailure, Failure, Misbehaviour, Proof, Refusal, Remote, Report,
    Skipped, Unreachable, Unusable, WhySkipped,
};
use crate::proto::client::plan::Purpose;
use crate::proto::identity::{LastWords, TlsSession, Untrusted, UpgradeFault};
use crate::proto::{Cause, ResolveError, Transport};
use crate::sip::{FramingError, Host};

/// Explains a failure: what happened, in one sentence without full stop, and what to do about it if there is
/// anything to do.
#[must_use]
pub fn diagnose(failure: &Failure, report: &Report) -> Fault {
    let hint = |case: Case| Some(case.hint.to_owned());
    let (message, hint) = match failure {
        Failure::Refused(refusal) => (refused(refusal, report), refusal_hint(refusal, report)),
        Failure::Credentials(failure @ CredentialsFailure::Forbidden { .. }) if says_too_many(report) => {
            (credentials(failure, report), hint(explain::TOO_MANY_BINDINGS))
        }
        Failure::Credentials(failure @ CredentialsFailure::Forbidden { .. }) if report.domain.is_some() => {
            let hint = format!("{}; {}", credentials_hint(failure, report), explain::ADDRESSED.hint);
            (credentials(failure, report), Some(hint))
        }
        Failure::Credentials(failure) => {
            (credentials(failure, report), Some(credentials_hint(failure, report)))
        }
        Failure::Timeout => (timeout(report), hint(timeout_case(report))),
        Failure::Unreachable(Unreachable::Network(Cause::Untrusted(why))) => {
            (untrusted(*why, report), hint(untrusted_case(*why, report)))
        }
        Failure::Unreachable(why) => {
            let hint = unreachable_case(why, report).map_or("-v shows how far it got", |case| case.hint);
            let more = if names_port(why, report) {
                format!("; {}", explain::PORT_NAMED.hint)
            } else {
                String::new()
            };
            (unreachable(why, report), Some(format!("{hint}{more}")))
        }
        Failure::Misbehaved(how) => (misbehaved(*how, report), hint(misbehaved_case(*how))),
    };
    let warnings = report.remarks.clone();
    Fault { kind: Exit::from(failure), message, hint, cause: cause(failure, report), warnings }
}

/// What is wrong with the other end of a TLS connection that has to be for the name `wanted`: the word for it, the message
/// that follows the name of the server, and what to do.
#[must_use]
pub fn certificate(
    why: Untrusted,
    session: Option<&TlsSession>,
    wanted: &str,
) -> (Option<FaultCause>, String, &'static str) {
    let case = certificate::case(why, session, wanted);
    (certificate::cause(why), certificate::message(why, session, wanted), case.hint)
}

/// Where a failure comes from, where nothing else can be meant.
fn cause(failure: &Failure, report: &Report) -> Option<FaultCause> {
    match failure {
        Failure::Refused(refusal) => refusal_cause(refusal, report),
        Failure::Credentials(failure) => match failure {
            CredentialsFailure::Strange { .. } => Some(FaultCause::RealmUnserved),
            CredentialsFailure::Missing { has_others: true, .. } => Some(FaultCause::RealmUnserved),
            CredentialsFailure::Missing { has_others: false, .. } => Some(FaultCause::PasswordMissing),
            CredentialsFailure::Rejected { .. } => Some(FaultCause::PasswordWrong),
            CredentialsFailure::Forbidden { .. } if says_too_many(report) => {
                Some(FaultCause::TooManyBindings)
            }
            CredentialsFailure::Forbidden { .. } => Some(FaultCause::Forbidden),
            CredentialsFailure::Unservable { offered } => match decisive(offered) {
                Some(WhySkipped::Realm) => Some(FaultCause::RealmUnserved),
                Some(WhySkipped::Algorithm | WhySkipped::TooWeak | WhySkipped::Ha1Algorithm) => {
                    Some(FaultCause::AlgorithmUnserved)
                }
                Some(WhySkipped::Scheme | WhySkipped::Qop | WhySkipped::Incomplete) | None => None,
            },
            CredentialsFailure::NoChallenge | CredentialsFailure::Endless => None,
        },
        Failure::Timeout => is_silence(report).then_some(FaultCause::Silent),
        Failure::Unreachable(Unreachable::Name { error, .. }) => Some(match error {
            Some(ResolveError::NoSuchName) => FaultCause::NameUnknown,
            Some(ResolveError::ServerFailed) => FaultCause::NameserverFailed,
            Some(ResolveError::TimedOut) => FaultCause::NameserverSilent,
            None => FaultCause::NoRecords,
        }),
        Failure::Unreachable(Unreachable::Network(Cause::Refused)) => Some(FaultCause::Refused),
        Failure::Unreachable(Unreachable::Network(Cause::Unreachable)) => Some(FaultCause::Unreachable),
        Failure::Unreachable(Unreachable::Network(Cause::TimedOut)) => Some(FaultCause::Silent),
        Failure::Unreachable(Unreachable::Network(Cause::Untrusted(why))) => certificate::cause(*why),
        Failure::Unreachable(Unreachable::NotOffered { .. }) => Some(FaultCause::ServiceNotOffered),
        Failure::Unreachable(Unreachable::NoService { .. }) => Some(FaultCause::NoRecords),
        Failure::Unreachable(Unreachable::Network(_) | Unreachable::Closed) => None,
        Failure::Misbehaved(how) => match how {
            Misbehaviour::NotBound => Some(FaultCause::NotBound),
            Misbehaviour::StillBound => Some(FaultCause::NotRemoved),
            Misbehaviour::RedirectLoop | Misbehaviour::TooManyRedirects => Some(FaultCause::Redirected),
            Misbehaviour::Framing(_) => Some(FaultCause::NotSip),
            Misbehaviour::FalseServer => None,
        },
    }
}

fn refusal_cause(refusal: &Refusal, report: &Report) -> Option<FaultCause> {
    let binds = matches!(report.purpose, Purpose::Bind { .. });
    match refusal {
        Refusal::NoTarget(_) => Some(FaultCause::Redirected),
        Refusal::Extension { status: 421, .. } => Some(FaultCause::ExtensionRequired),
        Refusal::Extension { .. } | Refusal::TooBrief { .. } => None,
        Refusal::Status(status) | Refusal::RetryAfter { status, .. } => match status {
            403 | 503 if says_too_many(report) => Some(FaultCause::TooManyBindings),
            503 => Some(FaultCause::Overloaded),
            405 | 501 => Some(FaultCause::NoRegistrar),
            404 if !report.auth.is_empty() => Some(FaultCause::UserUnknown),
            404 if binds && !was_challenged(report) => Some(FaultCause::DomainNotServed),
            _ => None,
        },
    }
}

/// Whether credentials were asked for, in this try or before it.
fn was_challenged(report: &Report) -> bool {
    report.challenged || !report.auth.is_empty()
}

/// Whether the registrar says that more is bound than it allows. No RFC gives this a status of its own.
fn says_too_many(report: &Report) -> bool {
    let reason = report.response.iter().map(|(_, reason)| reason);
    let mut texts = reason.chain(&report.remarks).map(|text| text.to_ascii_lowercase());
    texts.any(|text| text.contains("too many") && (text.contains("binding") || text.contains("contact")))
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
        Refusal::Status(403 | 503) if says_too_many(report) => {
            Some(explain::TOO_MANY_BINDINGS.hint.to_owned())
        }
        Refusal::RetryAfter { status: 403 | 503, seconds } if says_too_many(report) => {
            Some(format!("{}; it asks to wait {seconds} s", explain::TOO_MANY_BINDINGS.hint))
        }
        Refusal::Status(404) if shows && has_domain => Some(explain::NOTHING_LISTED.hint.to_owned()),
        Refusal::Status(404) if shows => {
            Some(format!("{}; {}", explain::NOTHING_LISTED.hint, explain::ADDRESSED.hint))
        }
        Refusal::Status(403) if !has_domain && !was_challenged(report) => {
            Some(format!("{}; {}", explain::ADDRESSED.hint, explain::NOT_ASKED.hint))
        }
        Refusal::Status(403 | 404) if !has_domain => Some(explain::ADDRESSED_OR_WRONG.join("; ")),
        Refusal::Status(403) if !was_challenged(report) => Some(explain::NOT_ASKED.hint.to_owned()),
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
        CredentialsFailure::Missing { realm, .. } => {
            format!("a password is needed for realm \"{realm}\", and none was given for it")
        }
        CredentialsFailure::Rejected { realm, username } => {
            let secret = match made_of_ha1(failure, report) {
                Some(_) => "HA1",
                None => "password",
            };
            format!("user name or {secret} is wrong: realm \"{realm}\" did not accept user \"{username}\"")
        }
        CredentialsFailure::Forbidden { username } => {
            format!("the registrar refused user \"{username}\": {}", answer(report))
        }
        CredentialsFailure::Unservable { offered } => {
            let all: Vec<String> = offered.iter().map(|skipped| offer(skipped, report)).collect();
            format!("no challenge that can be answered: {}", all.join("; "))
        }
        CredentialsFailure::NoChallenge => match report.unreadable.first() {
            Some(row) => format!("{} with a challenge that is unreadable: \"{row}\"", answer(report)),
            None => format!("{} without a challenge", answer(report)),
        },
        CredentialsFailure::Strange { realm, host, .. } => {
            format!("{host}, which only a redirect named, asks for the password of realm \"{realm}\"")
        }
        CredentialsFailure::Endless => {
            format!("the registrar asks for credentials again and again: {}", answer(report))
        }
    }
}

fn offer(skipped: &Skipped, report: &Report) -> String {
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
        WhySkipped::Incomplete => {
            let row = report.unreadable.first().map_or("Digest", String::as_str);
            format!("\"{row}\" is unreadable, without realm or nonce")
        }
    }
}

fn credentials_hint(failure: &CredentialsFailure, report: &Report) -> String {
    match (made_of_ha1(failure, report), failure) {
        (Some(Claimant { realm, username, .. }), CredentialsFailure::Rejected { .. }) => {
            explain::HA1_WRONG.hint_about(&[username, realm])
        }
        (Some(Claimant { realm, username, .. }), CredentialsFailure::Forbidden { .. }) => {
            explain::FORBIDDEN_HA1.hint_about(&[username, realm])
        }
        (_, CredentialsFailure::NoChallenge) if !report.unreadable.is_empty() => {
            explain::UNREADABLE.hint.to_owned()
        }
        (_, CredentialsFailure::Strange { realm, host, named }) => {
            let (named, host) = (named.to_string(), host.to_string());
            explain::STRANGE.hint_about(&[&named, &host, &host, realm])
        }
        (_, failure) => credentials_case(failure).hint.to_owned(),
    }
}

/// Who was refused with an answer that was made of an HA1.
fn made_of_ha1<'a>(failure: &CredentialsFailure, report: &'a Report) -> Option<&'a Claimant> {
    let mut by_ha1 = report.claimants.iter().filter(|claimant| claimant.proof == Proof::Ha1);
    match failure {
        CredentialsFailure::Rejected { realm, username } => {
            by_ha1.find(|claimant| claimant.realm == *realm && claimant.username == *username)
        }
        CredentialsFailure::Forbidden { username } => by_ha1.find(|claimant| claimant.username == *username),
        CredentialsFailure::Missing { .. }
        | CredentialsFailure::Unservable { .. }
        | CredentialsFailure::Strange { .. }
        | CredentialsFailure::NoChallenge
        | CredentialsFailure::Endless => None,
    }
}

/// Why none of these was answered: of several reasons that of a Digest challenge.
fn decisive(offered: &[Skipped]) -> Option<WhySkipped> {
    let mut reasons = offered.iter().map(|skipped| skipped.why);
    reasons.find(|why| *why != WhySkipped::Scheme).or(offered.first().map(|skipped| skipped.why))
}

fn credentials_case(failure: &CredentialsFailure) -> Case {
    match failure {
        CredentialsFailure::Missing { .. } => explain::PASSWORD_MISSING,
        CredentialsFailure::Rejected { .. } => explain::PASSWORD_WRONG,
        CredentialsFailure::Forbidden { .. } => explain::FORBIDDEN,
        CredentialsFailure::Unservable { offered } => match decisive(offered) {
            Some(WhySkipped::Scheme) => explain::NO_DIGEST,
            Some(WhySkipped::TooWeak) => explain::TOO_WEAK,
            Some(WhySkipped::Realm) => explain::OTHER_REALM,
            Some(WhySkipped::Ha1Algorithm) => explain::OTHER_HA1,
            Some(WhySkipped::Qop) => explain::UNKNOWN_QOP,
            Some(WhySkipped::Incomplete) => explain::UNREADABLE,
            Some(WhySkipped::Algorithm) | None => explain::UNKNOWN_ALGORITHM,
        },
        CredentialsFailure::Strange { .. } => explain::STRANGE,
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
    if let Some(answers) = unusable(&report.unusable) {
        return answers;
    }
    let who = end(report, |result| result == AttemptResult::Timeout);
    let seconds = report.elapsed.as_secs_f64();
    if fell_silent(report) {
        return format!("{who} answered once, then fell silent for the rest of {seconds:.1} s");
    }
    let sent = report.requests + report.retransmissions;
    format!("no answer from {who} within {seconds:.1} s ({} sent)", text::count(sent, "request"))
}

/// What came and could not be used, if anything did.
#[must_use]
pub fn unusable(answers: &Unusable) -> Option<String> {
    let (peer, count, fault) = answers.most()?;
    Some(format!("{} came from {peer}, none usable: {fault}", text::count(count, "answer")))
}

/// Whether the one that is silent answered before: the last answer is not that of another destination.
fn fell_silent(report: &Report) -> bool {
    let of_another = |status| report.attempts.iter().any(|a| a.result == AttemptResult::Status(status));
    report.response.as_ref().is_some_and(|(status, _)| !of_another(*status))
}

/// Whether nothing at all came from the one that is silent.
fn is_silence(report: &Report) -> bool {
    let gave_up = matches!(report.response, Some((408, _)));
    !gave_up && report.unusable.most().is_none() && !fell_silent(report)
}

fn timeout_case(report: &Report) -> Case {
    match report.hop.map(|hop| hop.transport) {
        _ if matches!(report.response, Some((408, _))) => explain::FELL_SILENT,
        _ if report.unusable.most().is_some() => explain::UNUSABLE,
        _ if fell_silent(report) => explain::FELL_SILENT,
        Some(Transport::Udp) => explain::SILENT_UDP,
        Some(Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss) => explain::SILENT_TCP,
        None => match silent_transport(report) {
            Some(Transport::Tls | Transport::Wss) => explain::SILENT_TLS,
            Some(Transport::Ws) => explain::SILENT_WEBSOCKET,
            Some(Transport::Udp | Transport::Tcp) | None => explain::NOT_CONNECTED,
        },
    }
}

/// The transport by which nobody answered.
fn silent_transport(report: &Report) -> Option<Transport> {
    let mut attempts = report.attempts.iter().rev();
    attempts.find(|attempt| attempt.result == AttemptResult::Timeout)?.transport
}

/// The name that a certificate has to be for: that of the session, else the host that was asked for.
fn wanted_name(report: &Report) -> String {
    let of_session = report.tls.as_ref().and_then(|session| session.name.as_deref());
    of_session.map_or_else(|| report.request_uri.host.to_string(), str::to_owned)
}

fn untrusted(why: Untrusted, report: &Report) -> String {
    let who = end(report, |result| result == AttemptResult::Failed(Cause::Untrusted(why)));
    format!("{who}: {}", certificate::message(why, report.tls.as_deref(), &wanted_name(report)))
}

fn untrusted_case(why: Untrusted, report: &Report) -> Case {
    certificate::case(why, report.tls.as_deref(), &wanted_name(report))
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
        Unreachable::NotOffered { name } => format!("\"{name}\" says that it offers no SIP"),
        Unreachable::NoService { name, lacks_tls: true } => {
            format!("\"{name}\" offers SIP, but not over TLS, which a sips: address needs")
        }
        Unreachable::NoService { name, lacks_tls: false } => {
            format!("\"{name}\" offers SIP, but by no transport that sipreg has")
        }
        Unreachable::Network(cause) => {
            let who = end(report, |result| result == AttemptResult::Failed(*cause));
            format!("{who}: {cause}{}", said(report))
        }
        Unreachable::Closed => {
            let who = end(report, |result| result == AttemptResult::Closed);
            match unusable(&report.unusable) {
                Some(answers) => format!("{who} closed the connection; {answers}"),
                None if closed_in_handshake(report) => {
                    format!("{who} closed the connection in the TLS handshake")
                }
                None => format!("{who} closed the connection without an answer{}", said(report)),
            }
        }
    }
}

/// What the other end said as it went, behind what it did.
fn said(report: &Report) -> String {
    report.last_words.as_ref().map(last_words).unwrap_or_default()
}

/// The same, of these words.
#[must_use]
pub fn last_words(words: &LastWords) -> String {
    match words {
        LastWords::Close { code, reason } => {
            let name = close_code(*code).map(|name| format!(" ({name})")).unwrap_or_default();
            let reason = if reason.is_empty() { String::new() } else { format!(", {}", shown(reason)) };
            format!(": WebSocket close code {code}{name}{reason}")
        }
        LastWords::Location(location) => format!(": it points to {}", shown(location)),
    }
}

/// The name of a close code (RFC 6455 §7.4.1, and what is registered besides).
fn close_code(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}

/// Whether a name without an address was asked for with a port, so that its SRV records did not count.
fn names_port(why: &Unreachable, report: &Report) -> bool {
    let Unreachable::Name { name, error: None | Some(ResolveError::NoSuchName) } = why else { return false };
    let Host::Name(host) = &report.request_uri.host else { return false };
    report.request_uri.port.is_some()
        && host.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.'))
}

/// Whether the connection that was closed without an answer was to be one over TLS, and nothing was sent yet.
fn closed_in_handshake(report: &Report) -> bool {
    let closed = report.attempts.iter().rev().find(|attempt| attempt.result == AttemptResult::Closed);
    let transport = closed.and_then(|attempt| attempt.transport);
    report.requests == 0 && report.tls.is_none() && transport.is_some_and(Transport::is_secure)
}

fn unreachable_case(why: &Unreachable, report: &Report) -> Option<Case> {
    Some(match why {
        Unreachable::Name { error: Some(ResolveError::NoSuchName), .. } => explain::NAME_UNKNOWN,
        Unreachable::Name { error: Some(ResolveError::ServerFailed | ResolveError::TimedOut), .. } => {
            explain::NAME_SERVER_FAILED
        }
        Unreachable::Name { error: None, .. } => explain::NO_ADDRESS,
        Unreachable::NotOffered { .. } => explain::NOT_OFFERED,
        Unreachable::NoService { lacks_tls: true, .. } => explain::NO_TLS_SERVICE,
        Unreachable::NoService { lacks_tls: false, .. } => explain::NO_KNOWN_SERVICE,
        Unreachable::Network(cause) => match cause {
            Cause::Refused => explain::CONNECTION_REFUSED,
            Cause::Unreachable => explain::NETWORK_UNREACHABLE,
            Cause::ProtocolUnreachable => explain::TRANSPORT_UNSUPPORTED,
            Cause::TimedOut => explain::CONNECTING_TIMED_OUT,
            Cause::Reset => explain::CONNECTION_RESET,
            Cause::TooLarge => explain::TOO_LARGE,
            Cause::LocalAddress => explain::LOCAL_ADDRESS,
            Cause::Denied => explain::NOT_PERMITTED,
            Cause::Exhausted => explain::EXHAUSTED,
            Cause::Upgrade(fault) => upgrade(*fault),
            Cause::Untrusted(_) | Cause::WebSocket(_) | Cause::Keepalive(_) | Cause::Other(_) => return None,
        },
        Unreachable::Closed if closed_in_handshake(report) => explain::CLOSED_IN_HANDSHAKE,
        Unreachable::Closed => explain::CONNECTION_CLOSED,
    })
}

/// What to do about a WebSocket that does not come about.
#[must_use]
pub fn upgrade(fault: UpgradeFault) -> Case {
    match fault {
        UpgradeFault::Status(status) => explain::upgrade(status),
        UpgradeFault::Origin => explain::UPGRADE_FORBIDDEN,
        UpgradeFault::Subprotocol => explain::NO_SUBPROTOCOL,
        UpgradeFault::NotWebSocket | UpgradeFault::TooLong => explain::NOT_WEBSOCKET,
    }
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
        Misbehaviour::Framing(error) => {
            let who = end(report, |result| result == AttemptResult::Closed);
            match error {
                FramingError::Tls => format!("{who} answers in TLS"),
                FramingError::Http => format!("{who} answers in HTTP"),
                FramingError::Greeting => format!("{who} greets in another protocol than SIP"),
                FramingError::NoLength
                | FramingError::BadLength
                | FramingError::Contradictory
                | FramingError::TooLarge => format!("{who} sends something that is not SIP"),
            }
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
        Misbehaviour::Framing(error) => not_sip(error),
        Misbehaviour::FalseServer => explain::FALSE_SERVER,
    }
}

/// What to do about somebody who speaks something else than SIP.
#[must_use]
pub fn not_sip(error: FramingError) -> Case {
    match error {
        FramingError::Tls => explain::ANSWERS_TLS,
        FramingError::Http => explain::ANSWERS_HTTP,
        FramingError::Greeting
        | FramingError::NoLength
        | FramingError::BadLength
        | FramingError::Contradictory
        | FramingError::TooLarge => explain::NOT_SIP,
    }
}
