//! What a failure means for a person, and what to do about it: all hints live here, not at the failing line.

use super::exit::{Exit, Fault};
use crate::proto::client::outcome::{
    AttemptResult, CredentialsFailure, Failure, Misbehaviour, Refusal, Remote, Report, Skipped, Unreachable,
    WhySkipped,
};
use crate::proto::client::plan::Purpose;
use crate::proto::{Cause, ResolveError, Transport};

/// Explains a failure: what happened, in one sentence without full stop, and what to do about it if there is anything to
/// do.
#[must_use]
pub fn diagnose(failure: &Failure, report: &Report) -> Fault {
    let (message, hint) = match failure {
        Failure::Refused(refusal) if refusal.status() == 404 && report.purpose == Purpose::Fetch => {
            (refused(refusal, report), Some(NOTHING_LISTED.to_owned()))
        }
        Failure::Refused(refusal) => (refused(refusal, report), refusal_hint(refusal)),
        Failure::Credentials(failure) => (credentials(failure, report), Some(credentials_hint(failure))),
        Failure::Timeout => (timeout(report), Some(timeout_hint(report))),
        Failure::Unreachable(why) => (unreachable(why, report), Some(unreachable_hint(why))),
        Failure::Misbehaved(how) => (misbehaved(*how, report), Some(misbehaved_hint(*how))),
    };
    Fault { kind: Exit::from(failure), message, hint }
}

const NOTHING_LISTED: &str = "some registrars say this when nothing is bound; or there is no such user or domain: check \
     the AOR, and name the registrar with --registrar";

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

fn refusal_hint(refusal: &Refusal) -> Option<String> {
    let text = match refusal {
        Refusal::RetryAfter { seconds, .. } => {
            return Some(format!("it asks to wait {seconds} s before the next attempt"));
        }
        Refusal::TooBrief { min_expires: Some(min) } => {
            return Some(format!("ask for that much with --expires {min}"));
        }
        Refusal::TooBrief { min_expires: None } => "try a longer --expires",
        Refusal::NoTarget(_) => "-vv shows its Contact; a target over TLS or WebSocket can't be tried yet",
        Refusal::Extension { status: 421, .. } => "sipreg does not have it yet",
        Refusal::Extension { .. } => "a proxy or registrar on the way is very strict; -vv shows its answer",
        Refusal::Status(status) => match status {
            400 => "something in the request is not to its taste; -vv shows both messages",
            403 => {
                "it asked for no password: perhaps it lets nobody register from this address, or not this AOR"
            }
            404 => "no such user or domain there: check the AOR, and name the registrar with --registrar",
            405 | 501 => "that server takes no registrations: name the registrar with --registrar",
            410 => "the user has moved away for good: check the AOR",
            416 => "it does not accept the scheme of the request: check the AOR and --registrar",
            430 | 439 => "the first hop does not support outbound: try another --proxy",
            480 => "temporarily unavailable: try again later",
            482 | 483 | 440 => {
                "the request went round in a loop between proxies: check --proxy and --registrar"
            }
            494 => "it demands a security agreement (RFC 3329), which sipreg does not have",
            503 => "overloaded or in maintenance: try again later, or another server with --proxy",
            502 | 504 => "a server behind the one that answered failed: try again later",
            513 => "the request is too large for it: fewer contacts or headers",
            500..600 => "a fault on the registrar's side: its log tells more",
            600..700 => "no registrar should answer this: is it one? Name the registrar with --registrar",
            _ => return None,
        },
    };
    Some(text.to_owned())
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

fn credentials_hint(failure: &CredentialsFailure) -> String {
    let text = match failure {
        CredentialsFailure::Missing { .. } => {
            "give it with SIPREG_PASSWORD or --password-file; --username names another user"
        }
        CredentialsFailure::Rejected { .. } => {
            "check the password, and --username if the digest user differs from the AOR's; \
             many registrars answer unknown users in the same way"
        }
        CredentialsFailure::Forbidden { .. } => {
            "the password was not the problem; where the answer gives no other reason, the AOR must be that user's own, \
             or --from and --username name somebody who may register others"
        }
        CredentialsFailure::Unservable { offered } => unservable_hint(offered),
        CredentialsFailure::NoChallenge => {
            "the server is broken, or a proxy on the way removes the challenge"
        }
        CredentialsFailure::Endless => {
            "its nonces are stale at once: is its clock right, and do all its nodes share their nonces?"
        }
    };
    text.to_owned()
}

fn unservable_hint(offered: &[Skipped]) -> &'static str {
    match offered.first().map(|skipped| skipped.why) {
        Some(WhySkipped::Scheme) => {
            "Basic shows the password to everybody on the way and is never answered: have it offer Digest"
        }
        Some(WhySkipped::TooWeak) => "a lower --min-algorithm lets sipreg answer",
        Some(WhySkipped::Realm) => "leave --realm out, or name the realm that the registrar uses",
        Some(WhySkipped::Ha1Algorithm) => {
            "an HA1 serves one algorithm only: give the password instead, or the HA1 of that algorithm"
        }
        Some(WhySkipped::Algorithm | WhySkipped::Qop | WhySkipped::Incomplete) | None => {
            "sipreg answers MD5, SHA-256 and SHA-512-256, each with -sess, qop auth, auth-int or none"
        }
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

fn timeout_hint(report: &Report) -> String {
    if report.response.is_some() {
        return "a server that dies or hangs at the password: its log tells more, -v shows how far it got"
            .to_owned();
    }
    let transport = report.hop.map(|hop| hop.transport);
    let text = match transport {
        Some(Transport::Udp) => {
            "is a registrar there at all? Firewalls drop silently; --transport tcp may tell more, -v shows what \
             was sent"
        }
        Some(Transport::Tcp) => {
            "the connection stands, but nothing comes back: is it a SIP port? -v shows what was sent"
        }
        None => "a firewall may drop the connection; check host and port, or raise --timeout",
    };
    text.to_owned()
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

fn unreachable_hint(why: &Unreachable) -> String {
    let text = match why {
        Unreachable::Name { error: Some(ResolveError::NoSuchName), .. } => {
            "check its spelling, or name the server with --registrar or --proxy"
        }
        Unreachable::Name { error: Some(ResolveError::ServerFailed | ResolveError::TimedOut), .. } => {
            "--nameserver asks another one; --registrar and --proxy also take an IP address"
        }
        Unreachable::Name { error: None, .. } => "check -4 and -6, or name the server with --proxy",
        Unreachable::Network(cause) => match cause {
            Cause::Refused => "nobody listens there: check host, port and --transport",
            Cause::Unreachable => "there is no way to that address: check the network, --bind, -4 and -6",
            Cause::ProtocolUnreachable => "that host does not speak this transport: try another --transport",
            Cause::TimedOut => "the host does not react: check the address; a firewall may be in between",
            Cause::Reset => "it speaks TCP there, but perhaps no SIP: check the port",
            Cause::TooLarge => "the request is too large for UDP: use --transport tcp, or fewer headers",
            Cause::LocalAddress => "--bind must name an address of this machine and a port that is free",
            Cause::Denied => "the operating system forbids it: a firewall rule, or a port that needs root",
            Cause::Other(_) => "-v shows how far it got",
        },
        Unreachable::Closed => {
            "it may not serve this domain, or not over this transport; -v shows how far it got"
        }
    };
    text.to_owned()
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

fn misbehaved_hint(how: Misbehaviour) -> String {
    let text = match how {
        Misbehaviour::NotBound => {
            "calls won't arrive; -vv shows what it lists. A proxy may rewrite the Contact: try --advertise"
        }
        Misbehaviour::StillBound => "-vv shows what it lists",
        Misbehaviour::RedirectLoop | Misbehaviour::TooManyRedirects => {
            "-v shows the way; name the registrar that should answer with --registrar"
        }
        Misbehaviour::Framing => "check the port: is it plain SIP, not TLS or HTTP?",
        Misbehaviour::FalseServer => "somebody may pose as the registrar: do not trust this registration",
    };
    text.to_owned()
}
