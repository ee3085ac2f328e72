//! The name service, every destination, and who they prove to be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Facts;
use crate::cli::diagnose;
use crate::cli::exit::{Exit, FaultCause};
use crate::cli::explain;
use crate::cli::finding::{Finding, Step, Verdict};
use crate::cli::text::{count, day, escape, milliseconds};
use crate::proto::check::{Contacted, End, Names, Sighting};
use crate::proto::identity::TlsSession;
use crate::proto::locate::Families;
use crate::proto::{AnswerFault, Cause, Lookup, Question, Record, ResolveError, Transport};
use crate::sip::FramingError;

/// A certificate that runs out within that is worth a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Destinations that one line names.
const NAMED: usize = 3;

/// What the name service comes to.
pub(super) fn names(facts: &Facts) -> Vec<Finding> {
    let Some(names) = &facts.names else { return Vec::new() };
    if names.name.is_empty() && names.unlocatable.is_none() {
        return vec![Finding::skipped(Step::Dns, "the next hop is an address: no name server is asked")];
    }
    let name = escape(&names.name);
    let is_found = !names.found.is_empty();
    let mut found = servers(facts, is_found);
    if is_found {
        let is_target = |unresolved: &(String, Option<ResolveError>)| unresolved.0 != names.name;
        for (target, error) in names.unresolved.iter().filter(|one| is_target(one)) {
            let message = format!("{name} names the server {}, {}", escape(target), unresolved(*error));
            found.push(Finding::warning(Step::Dns, FaultCause::SrvTargetUnknown, message));
        }
        if found.is_empty() {
            found.push(Finding::ok(Step::Dns, tree(names)));
        }
        return found;
    }
    if found.iter().any(|finding| finding.verdict == Verdict::Failed) {
        return found;
    }
    let why = if names.is_not_offered {
        let message = format!("{name} says that it offers no SIP: an SRV target of \".\"");
        Finding::failed(Step::Dns, FaultCause::ServiceNotOffered, Exit::Unreachable, message)
    } else {
        nothing_found(facts, names, &name)
    };
    found.retain(|finding| finding.cause != why.cause);
    found.insert(0, why);
    found
}

/// Why there is no destination.
fn nothing_found(facts: &Facts, names: &Names, name: &str) -> Finding {
    let failed = |cause, message: String| Finding::failed(Step::Dns, cause, Exit::Unreachable, message);
    if let Some(lacks_tls) = names.no_service {
        let what = if lacks_tls {
            "offers SIP, but not over TLS, which a sips: address needs"
        } else {
            "offers SIP, but by no transport that sipreg has"
        };
        let case = if lacks_tls { explain::NO_TLS_SERVICE } else { explain::NO_KNOWN_SERVICE };
        return failed(FaultCause::NoRecords, format!("{name} {what}")).hinting(case.hint);
    }
    if let Some(error) = &names.unlocatable {
        return failed(FaultCause::NoRecords, format!("nothing can be looked up: {error}"));
    }
    match names.unresolved.first() {
        Some((target, None)) if facts.intent.families != Families::Both => {
            let is_v6 = facts.intent.families == Families::V6;
            let (option, version) = if is_v6 { ("-6", "IPv6") } else { ("-4", "IPv4") };
            let message =
                format!("{} has no {version} address, and {option} asks for no other", escape(target));
            failed(FaultCause::NoRecords, message)
                .hinting(format!("leave {option} out to use the other family"))
        }
        Some((target, error @ (None | Some(ResolveError::NoSuchName)))) if *target != names.name => {
            let message = format!("{name} names the server {}, {}", escape(target), unresolved(*error));
            failed(FaultCause::SrvTargetUnknown, message)
        }
        Some((_, Some(ResolveError::NoSuchName))) => match contradiction(facts) {
            Some((denies, knows)) => failed(
                FaultCause::NameUnknown,
                format!("the name server {denies} says that {name} does not exist, but {knows} knows it"),
            )
            .hinting(format!(
                "ask whoever runs them which one is right; --nameserver {knows} asks that one alone"
            )),
            None => failed(FaultCause::NameUnknown, format!("the name {name} does not exist")),
        },
        Some((_, Some(ResolveError::ServerFailed))) => {
            failed(FaultCause::NameserverFailed, format!("the name server failed to look {name} up"))
        }
        Some((_, Some(ResolveError::TimedOut))) => {
            failed(FaultCause::NameserverSilent, format!("no name server says where {name} is"))
        }
        Some((_, None)) | None => {
            failed(FaultCause::NoRecords, format!("{name} has no address that may be used"))
        }
    }
}

/// A name server that says of a name that it does not exist, and another one that has records for it.
fn contradiction(facts: &Facts) -> Option<(SocketAddr, SocketAddr)> {
    let is_denied = |lookup: &&Lookup| matches!(lookup.answer, Err(ResolveError::NoSuchName));
    facts.lookups.iter().filter(is_denied).find_map(|denied| {
        let knows = |other: &&Lookup| {
            let has_records = other.answer.as_ref().is_ok_and(|records| !records.is_empty());
            other.question == denied.question && has_records
        };
        let other = facts.lookups.iter().find(knows)?;
        Some((denied.server?, other.server?))
    })
}

fn unresolved(error: Option<ResolveError>) -> &'static str {
    match error {
        Some(ResolveError::NoSuchName) => "which does not exist",
        Some(ResolveError::ServerFailed) => "which the name server fails to look up",
        Some(ResolveError::TimedOut) => "which no name server says anything of",
        None => "which has no address that may be used",
    }
}

/// What is wrong with single name servers.
fn servers(facts: &Facts, is_found: bool) -> Vec<Finding> {
    let mut said: BTreeMap<SocketAddr, (bool, bool, bool)> = BTreeMap::new();
    for lookup in &facts.lookups {
        let Some(server) = lookup.server else { continue };
        let (answered, silent, failed) = said.entry(server).or_default();
        match lookup.answer {
            Ok(_) | Err(ResolveError::NoSuchName) => *answered = true,
            Err(ResolveError::TimedOut) => *silent = true,
            Err(ResolveError::ServerFailed) => *failed = true,
        }
    }
    let mut found = Vec::new();
    for (server, (answered, silent, failed)) in &said {
        let (cause, what, another) = if *failed {
            (FaultCause::NameserverFailed, "answers with a failure", "does not")
        } else if *silent {
            (FaultCause::NameserverSilent, "does not answer", "does")
        } else {
            continue;
        };
        let message = format!("the name server {server} {what}");
        let has_another = said.iter().any(|(other, (answered, ..))| other != server && *answered);
        found.push(if has_another {
            Finding::warning(Step::Dns, cause, format!("{message}, another {another}"))
                .hinting("whoever runs it should know; until it is mended, --nameserver can leave it out")
        } else if *answered {
            Finding::warning(Step::Dns, cause, format!("{message} to {}", missed(facts, *server)))
                .hinting("whoever runs it, or the zone, should know; --nameserver asks another one")
        } else if is_found {
            Finding::warning(Step::Dns, cause, message + " to every question")
        } else {
            Finding::failed(Step::Dns, cause, Exit::Unreachable, message)
        });
    }
    found
}

/// What a name server was asked without getting an answer out of it.
fn missed(facts: &Facts, server: SocketAddr) -> String {
    let is_missed = |lookup: &&Lookup| {
        let failed = matches!(lookup.answer, Err(ResolveError::ServerFailed | ResolveError::TimedOut));
        lookup.server == Some(server) && failed
    };
    let asked = |lookup: &Lookup| {
        let (kind, name) = lookup.question.parts();
        format!("{kind} {}", escape(name))
    };
    "the question for ".to_owned() + &places(facts.lookups.iter().filter(is_missed).map(asked))
}

/// The way from the name to its addresses, on a line.
fn tree(names: &Names) -> String {
    let records = |is_meant: fn(&Question) -> bool| {
        let answers = names.answers.iter().filter(move |(question, _)| is_meant(question));
        answers.filter_map(|(_, answer)| answer.as_ref().ok()).flatten()
    };
    let naptr = records(|question| matches!(question, Question::Naptr(_))).count();
    let srv = records(|question| matches!(question, Question::Srv(_)));
    let targets: Vec<String> = srv
        .filter_map(|record| match record {
            // "." stands for a service that is not offered.
            Record::Srv(srv) if srv.target.trim_end_matches('.').is_empty() => None,
            Record::Srv(srv) => Some(format!("{}:{}", srv.target, srv.port)),
            Record::A(_) | Record::Aaaa(_) | Record::Naptr(_) => None,
        })
        .collect();
    let mut steps = Vec::new();
    if naptr > 0 {
        steps.push("NAPTR".to_owned());
    }
    if !targets.is_empty() {
        let more = if targets.len() > 1 { format!(" and {} more", targets.len() - 1) } else { String::new() };
        steps.push(format!("SRV {}{more}", targets.first().map_or("", String::as_str)));
    }
    steps.push(places(names.found.iter().map(|found| found.destination.address.ip().to_string())));
    format!("{}: {}", escape(&names.name), escape(&steps.join(", ")))
}

/// A few of them, each once, and how many more there are.
fn places(all: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    let more = distinct.len().saturating_sub(NAMED);
    distinct.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    distinct.join(", ") + &more
}

/// Whether somebody is at a destination, whatever is wrong with what is said there.
pub(super) fn is_up(contact: &Contacted) -> bool {
    let sighting = &contact.sighting;
    let is_met = sighting.session.is_some()
        || matches!(sighting.end, End::Failed(Cause::Untrusted(_) | Cause::Upgrade(_)));
    sighting.is_somebody_there() || contact.connected.is_some() || is_met
}

/// Whether a destination has answered a request.
pub(super) fn is_answering(contact: &Contacted) -> bool {
    contact.sighting.answer.is_some() || contact.sighting.aside.is_some()
}

/// Whether somebody takes connections at a destination, and says nothing by them.
fn is_hung(contact: &Contacted) -> bool {
    let Sighting { destination, end, session, opened, .. } = &contact.sighting;
    let is_ended = matches!(end, End::Silent | End::Closed | End::Failed(Cause::Reset | Cause::TimedOut));
    // The step of TLS tells of what does not come to a session.
    let is_open = opened.is_some() && (session.is_some() || !destination.transport.is_secure());
    let is_mute = !is_answering(contact) && contact.sighting.unusable.most().is_none();
    is_open && is_ended && is_mute && destination.transport.is_reliable()
}

/// Where somebody was asked.
pub(super) fn at(sighting: &Sighting) -> String {
    format!("{} over {}", sighting.destination.address, sighting.destination.transport.as_via())
}

/// Somebody who speaks something else than SIP.
pub(super) fn stranger(sighting: &Sighting) -> Option<Finding> {
    let at = at(sighting);
    let what = match (sighting.end, sighting.unusable.most()) {
        (End::OutOfStep(FramingError::Http), _) => format!("{at} answers in HTTP"),
        (End::OutOfStep(FramingError::Greeting), _) => format!("{at} greets in another protocol than SIP"),
        (End::OutOfStep(FramingError::Tls), _) => {
            format!("{at} answers in TLS, where it was asked without")
        }
        (End::OutOfStep(_), _) => format!("{at} sends something that is not SIP"),
        (End::Failed(Cause::Upgrade(fault)), _) => format!("{at} opens no WebSocket for SIP: {fault}"),
        (_, Some((_, number, AnswerFault::Unreadable(error)))) => {
            format!("{} came from {at}, none of them SIP: {error}", count(number, "answer"))
        }
        (_, _) => return None,
    };
    let finding = Finding::failed(Step::Registrar, FaultCause::NotSip, Exit::Misbehaved, what);
    Some(match sighting.end {
        End::OutOfStep(error) => finding.hinting(diagnose::not_sip(error).hint),
        End::Failed(Cause::Upgrade(fault)) => finding.hinting(diagnose::upgrade(fault).hint),
        End::Connected | End::Answered | End::Silent | End::Failed(_) | End::Closed => finding,
    })
}

/// Whether somebody is at a destination who can't be registered with: who speaks something else, or nothing to REGISTER. The
/// step of TLS tells of what does not come to a session.
fn is_useless(contact: &Contacted) -> bool {
    let Sighting { destination, session, answer, end, .. } = &contact.sighting;
    let is_refused = matches!(end, End::Failed(Cause::Untrusted(_)));
    let is_open = session.is_some() && !is_refused || !destination.transport.is_secure();
    is_open && answer.is_none() && !is_hung(contact)
}

fn useless(contact: &Contacted) -> Finding {
    let what = stranger(&contact.sighting).map(|finding| finding.message).unwrap_or_else(|| {
        let what = if contact.sighting.aside.is_some() {
            "answers, but not REGISTER"
        } else {
            "sends nothing that can be used"
        };
        format!("{} {what}", at(&contact.sighting))
    });
    let message = format!("{what}; another one answers REGISTER");
    Finding::warning(Step::Network, FaultCause::DestinationDown, message)
}

fn hung(contact: &Contacted) -> Finding {
    let Sighting { end, elapsed, .. } = &contact.sighting;
    let at = at(&contact.sighting);
    let what = match end {
        End::Silent | End::Failed(Cause::TimedOut) => {
            format!("but says nothing within {:.1} s", elapsed.as_secs_f64())
        }
        End::Connected | End::Answered | End::Failed(_) | End::Closed | End::OutOfStep(_) => {
            "but closes them without an answer".to_owned()
        }
    };
    let message = format!("{at} takes connections, {what}; another one answers");
    Finding::warning(Step::Network, FaultCause::DestinationDown, message)
}

/// Whether a destination refuses for now, so that it is passed by as if it were down (RFC 3263 §4.3), and another does not.
fn is_passed_by(contact: &Contacted, offered: &[&Contacted]) -> bool {
    let serves = |contact: &Contacted| contact.sighting.status().is_some_and(|status| status != 503);
    contact.sighting.status() == Some(503) && offered.iter().any(|other| serves(other))
}

fn busy(contact: &Contacted) -> Finding {
    let at = at(&contact.sighting);
    let message = format!("{at} answers 503 Service Unavailable; another one does not");
    Finding::warning(Step::Network, FaultCause::DestinationDown, message)
}

/// How nobody was there.
fn absence(sighting: &Sighting) -> (FaultCause, Exit, String) {
    let at = at(sighting);
    match sighting.end {
        End::Failed(Cause::Refused) => {
            (FaultCause::Refused, Exit::Unreachable, format!("nobody listens at {at}"))
        }
        End::Failed(Cause::TimedOut) | End::Silent | End::Connected | End::Answered => (
            FaultCause::Silent,
            Exit::Timeout,
            format!("no answer from {at} within {:.1} s", sighting.elapsed.as_secs_f64()),
        ),
        End::Failed(cause) => (FaultCause::Unreachable, Exit::Unreachable, format!("{at}: {cause}")),
        End::Closed | End::OutOfStep(_) => {
            (FaultCause::Unreachable, Exit::Unreachable, format!("{at} closed the connection at once"))
        }
    }
}

/// What the destinations come to.
pub(super) fn destinations(facts: &Facts) -> Vec<Finding> {
    let Some(contacts) = &facts.contacts else { return Vec::new() };
    let all = &contacts.contacts;
    let offered: Vec<&Contacted> = all.iter().filter(|contact| contact.is_offered).collect();
    if offered.is_empty() {
        return vec![Finding::skipped(Step::Network, "there is no address to go to")];
    }
    let (up, down): (Vec<&Contacted>, Vec<&Contacted>) =
        offered.iter().copied().partition(|contact| is_up(contact));
    if up.is_empty() {
        return nobody(&down, all);
    }
    let answers = offered.iter().any(|contact| is_answering(contact));
    let mut found: Vec<Finding> = down.iter().map(|contact| beside(contact, &offered)).collect();
    // Where nobody answers, the step of the registrar says so.
    found.extend(up.iter().filter(|contact| answers && is_hung(contact)).map(|contact| hung(contact)));
    found.extend(up.iter().filter(|contact| answers && is_passed_by(contact, &offered)).map(|one| busy(one)));
    if offered.iter().any(|contact| contact.sighting.answer.is_some()) {
        found.extend(up.iter().filter(|contact| is_useless(contact)).map(|contact| useless(contact)));
    }
    if found.is_empty() {
        found.push(Finding::ok(Step::Network, times(&up)));
    }
    found
}

/// How soon those answered who did.
fn times(up: &[&Contacted]) -> String {
    let line = |contact: &&Contacted| {
        let Sighting { destination, answer, opened, .. } = &contact.sighting;
        let at = format!("{} over {}", destination.address, destination.transport.as_via());
        let time = match (answer, contact.connected.or(*opened)) {
            (Some(answer), _) => format!(" answers in {}", milliseconds(answer.after)),
            (None, Some(connected)) if destination.transport.is_reliable() => {
                format!(" takes connections, in {}", milliseconds(connected))
            }
            (None, _) => " is there".to_owned(),
        };
        at + &time
    };
    let more = up.len().saturating_sub(NAMED);
    let lines: Vec<String> = up.iter().take(NAMED).map(line).collect();
    lines.join("; ") + &if more > 0 { format!("; and {more} more") } else { String::new() }
}

/// Nobody is anywhere: the first of each kind is told, silence before all, since that is what a registration ends with.
fn nobody(down: &[&Contacted], all: &[Contacted]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut absences: Vec<_> = down.iter().map(|contact| absence(&contact.sighting)).collect();
    absences.sort_by_key(|(cause, ..)| *cause != FaultCause::Silent);
    for (cause, exit, message) in absences {
        match found.iter_mut().find(|known| known.cause == Some(cause)) {
            Some(known) if known.message.len() < 200 => known.message += &format!("; {message}"),
            Some(_) => {}
            None => {
                let finding = Finding::failed(Step::Network, cause, exit, message);
                // Every transport that could tell more was tried.
                let is_silent = cause == FaultCause::Silent;
                found.push(if is_silent {
                    finding.hinting(explain::SILENT_ALTOGETHER.hint)
                } else {
                    finding
                });
            }
        }
    }
    for other in all.iter().filter(|contact| !contact.is_offered && is_up(contact)) {
        let does = if is_answering(other) { "does answer" } else { "takes connections" };
        let destination = &other.sighting.destination;
        let (cause, over) = match destination.transport {
            Transport::Udp => (FaultCause::TcpBlocked, "udp"),
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                (FaultCause::UdpBlocked, "tcp")
            }
        };
        let via = destination.transport.as_via();
        let message =
            format!("{} {does} over {via}, though no record and no URI leads there", destination.address);
        let hint = format!("--transport {over} goes there; the name service should name it, too");
        found.push(Finding::warning(Step::Network, cause, message).hinting(hint));
    }
    found
}

/// What it means that one does not answer where another does.
fn beside(contact: &Contacted, offered: &[&Contacted]) -> Finding {
    let (.., message) = absence(&contact.sighting);
    let destination = &contact.sighting.destination;
    let is_up_with = |wanted: &dyn Fn(&Contacted) -> bool| {
        offered.iter().any(|other| is_answering(other) && wanted(other))
    };
    let ip = destination.address.ip();
    let is_here_by = |transport: Transport| {
        is_up_with(&|other| {
            let there = &other.sighting.destination;
            there.transport == transport && there.address.ip() == ip
        })
    };
    match destination.transport {
        Transport::Udp if is_here_by(Transport::Tcp) => {
            let message = format!("{message}; TCP answers there");
            return Finding::warning(Step::Network, FaultCause::UdpBlocked, message);
        }
        Transport::Tcp if is_here_by(Transport::Udp) => {
            let message = format!("{message}; UDP answers there");
            return Finding::warning(Step::Network, FaultCause::TcpBlocked, message);
        }
        Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {}
    }
    // A host that is there by one family and nobody anywhere by the other: the family, not the host.
    let name = |contact: &Contacted| contact.sighting.origin.as_ref().map(|origin| origin.name.clone());
    let other_family = is_up_with(&|other| {
        other.sighting.destination.address.is_ipv4() != ip.is_ipv4() && name(other) == name(contact)
    });
    let own_family = is_up_with(&|other| other.sighting.destination.address.is_ipv4() == ip.is_ipv4());
    if other_family && !own_family {
        let (cause, other) =
            if ip.is_ipv6() { (FaultCause::Ipv6Broken, "IPv4") } else { (FaultCause::Ipv4Broken, "IPv6") };
        return Finding::warning(Step::Network, cause, format!("{message}; {other} answers there"));
    }
    let another = if is_up_with(&|_| true) { "another one answers" } else { "somebody is at another one" };
    Finding::warning(Step::Network, FaultCause::DestinationDown, format!("{message}; {another}"))
}

/// What the sessions over TLS come to.
pub(super) fn sessions(facts: &Facts) -> Vec<Finding> {
    let Some(contacts) = &facts.contacts else { return Vec::new() };
    let is_secure = |contact: &&Contacted| contact.sighting.destination.transport.is_secure();
    let secure: Vec<&Contacted> =
        contacts.contacts.iter().filter(|contact| contact.is_offered).filter(is_secure).collect();
    if secure.is_empty() {
        return vec![Finding::skipped(Step::Tls, "no destination uses TLS")];
    }
    let met: Vec<&Contacted> = secure.into_iter().filter(|contact| is_up(contact)).collect();
    if met.is_empty() {
        return vec![Finding::skipped(Step::Tls, "no destination over TLS answers")];
    }
    let mut found: Vec<Finding> = met.iter().filter_map(|contact| session(contact, facts)).collect();
    if found.is_empty() {
        let session = met.iter().find_map(|contact| contact.sighting.session.as_deref());
        found.push(Finding::ok(Step::Tls, session.map_or_else(|| "TLS is agreed".to_owned(), proven)));
    }
    found
}

/// What is wrong with one session, if anything is.
fn session(contact: &Contacted, facts: &Facts) -> Option<Finding> {
    let Sighting { destination, end, session, elapsed, .. } = &contact.sighting;
    let at = format!("{} over {}", destination.address, destination.transport.as_via());
    let session = session.as_deref();
    match end {
        End::Failed(Cause::Untrusted(why)) => {
            let wanted = session.and_then(|session| session.name.as_deref());
            let wanted = wanted.or(destination.name.as_deref()).unwrap_or_default();
            let (cause, message, hint) = diagnose::certificate(*why, session, wanted);
            let clock = match cause {
                Some(FaultCause::CertificateExpired | FaultCause::CertificateNotYetValid) => {
                    format!("; our clock says {}", day(facts.now))
                }
                Some(_) | None => String::new(),
            };
            let cause = cause.unwrap_or(FaultCause::TlsVersion);
            let message = format!("{at}: {message}{clock}");
            Some(Finding::failed(Step::Tls, cause, Exit::Untrusted, message).hinting(hint))
        }
        End::Silent | End::Failed(Cause::TimedOut) if session.is_none() => {
            let seconds = elapsed.as_secs_f64();
            let message = format!(
                "{at} takes the connection, but does not answer the TLS handshake within {seconds:.1} s"
            );
            let finding = Finding::failed(Step::Tls, FaultCause::Silent, Exit::Timeout, message);
            Some(finding.hinting(explain::SILENT_TLS.hint))
        }
        End::Closed | End::Failed(Cause::Reset) if session.is_none() => {
            let message =
                format!("{at} closes the connection in the TLS handshake: it probably does not speak TLS");
            let finding = Finding::failed(Step::Tls, FaultCause::NotTls, Exit::Untrusted, message);
            Some(finding.hinting(explain::CLOSED_IN_HANDSHAKE.hint))
        }
        End::Connected | End::Answered | End::Silent | End::Failed(_) | End::Closed | End::OutOfStep(_) => {
            let certificate = session?.certificate.as_ref()?;
            let left = certificate.not_after.since(facts.now);
            (session?.verified && left < SOON).then(|| {
                let days = left.as_secs() / 86_400;
                let until = day(certificate.not_after);
                let days = if days == 0 { "less than a day".to_owned() } else { count(days, "day") };
                let message = format!("the certificate of {at} runs out in {days}, on {until}");
                Finding::warning(Step::Tls, FaultCause::CertificateExpiresSoon, message)
            })
        }
    }
}

/// Who is there, by a certificate that is good.
fn proven(session: &TlsSession) -> String {
    let version = session.version.unwrap_or_default();
    match &session.certificate {
        Some(certificate) if session.verified => format!(
            "TLS {version}, certificate of {} by {}, until {}",
            escape(&certificate.subject),
            escape(&certificate.issuer),
            day(certificate.not_after)
        ),
        Some(certificate) => {
            format!(
                "TLS {version}, with a certificate of {} that is not verified",
                escape(&certificate.subject)
            )
        }
        None => format!("TLS {version}"),
    }
}
