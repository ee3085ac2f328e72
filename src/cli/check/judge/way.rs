//! What is changed on the way, what gets lost, whether a call would arrive; clocks, and the others.

use super::{Facts, is_spoilt};
use crate::cli::diagnose::diagnose;
use crate::cli::exit::{Exit, FaultCause};
use crate::cli::finding::{Finding, Step, Verdict};
use crate::cli::text::{escape, milliseconds, readable, seconds, shown};
use crate::proto::check::{Call, Change, Dated, End, Knowledge, Later, Others, Passage, Sighting, Size};
use crate::proto::{Cause, Transport};
use crate::sip::AnyUri;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What is not measured of servers that share their bindings.
const NONCES: &str = "whether they share nonces was not measured: the password goes to one server only";

/// What a request that has not come back can't show.
const NOT_COMPARED: &str = "Via, Contact, Call-ID and body were not compared, as no request came back";

/// Message Too Large (RFC 3261 §21.5.7).
const TOO_LARGE: u16 = 513;

/// Clocks that differ by so many seconds are told of.
const CLOCKS: u64 = 300;

/// The way there and back.
pub(super) fn way(facts: &Facts) -> Vec<Finding> {
    let Some(passage) = &facts.passage else { return Vec::new() };
    let mut found = Vec::new();
    found.extend(tampered(facts, passage));
    let size = passage.size.as_ref();
    found.extend(size.filter(|size| are_small_answered(facts, size)).and_then(size_lost));
    found.extend(nat(facts));
    found.sort_by_key(|finding| finding.verdict != Verdict::Failed);
    let is_compared = passage.call.as_ref().is_some_and(|call| call.arrival.is_some());
    let is_tampered = found.iter().any(|finding| finding.cause == Some(FaultCause::Tampered));
    if let Some(last) = found.last_mut() {
        if !is_compared && !is_tampered {
            last.message += &format!(" ({NOT_COMPARED})");
        }
        return found;
    }
    let mut parts = Vec::new();
    if seen(facts).is_some() {
        parts.push("no NAT".to_owned());
    }
    if is_compared {
        parts.push("Via, Contact, Call-ID and body come through unchanged".to_owned());
    }
    if let Some(octets) = size.and_then(passed) {
        parts.push(format!("a request of {octets} octets passes"));
    }
    if parts.is_empty() {
        return vec![Finding::skipped(Step::Way, "nobody answers who could say how we are seen")];
    }
    if !is_compared {
        parts.push(NOT_COMPARED.to_owned());
    }
    if size.and_then(passed).is_none() {
        let what = if size.is_some() { "shown" } else { "measured" };
        parts.push(format!("whether large requests pass was not {what}"));
    }
    vec![Finding::ok(Step::Way, parts.join("; "))]
}

/// How the other side sees us, and our own address: by the registration, else by the first answer.
fn seen(facts: &Facts) -> Option<(SocketAddr, SocketAddr)> {
    if let Some(report) = facts.login.as_deref()
        && let Some(hop) = report.hop
        && report.response.is_some()
    {
        return Some((hop.local, report.received.unwrap_or(hop.local)));
    }
    let contacts = facts.contacts.as_ref()?;
    let sighting = &contacts.contacts.get(contacts.chosen?)?.sighting;
    let local = sighting.local?;
    Some((local, sighting.answer.as_ref()?.seen.unwrap_or(local)))
}

fn nat(facts: &Facts) -> Option<Finding> {
    let (local, seen) = seen(facts)?;
    if (local.ip(), local.port()) == (seen.ip(), seen.port()) {
        return None;
    }
    let message = format!("the registrar sees us at {seen}, not {local}: a NAT is in between");
    Some(Finding::warning(Step::Way, FaultCause::BehindNat, message))
}

/// Somebody on the way has changed what we sent.
fn tampered(facts: &Facts, passage: &Passage) -> Option<Finding> {
    let changes = passage.call.as_ref().map(Call::changes).unwrap_or_default();
    let failed = |message| Finding::failed(Step::Way, FaultCause::Tampered, Exit::Unmet, message);
    if let Some(text) = diff(&changes) {
        return Some(failed(format!("an application layer gateway changes what we send: {text}")));
    }
    // Answers that are ours by their branch, and name another sender than was asked for.
    let contacts = facts.contacts.as_ref()?;
    let of_sighting = |sighting: &Sighting| sighting.unusable.most();
    let call = passage.call.as_ref().and_then(|call| of_sighting(&call.sighting));
    let others = contacts.contacts.iter().find_map(|contact| of_sighting(&contact.sighting));
    let (.., fault) = call.or(others).filter(|(.., fault)| is_spoilt(*fault))?;
    Some(failed(format!("an application layer gateway changes what we send: in the answers, {fault}")))
}

/// What answers show of a gateway, where nothing else could be looked at.
pub(super) fn tampered_in_answers(facts: &Facts) -> Vec<Finding> {
    tampered(facts, &Passage::default()).into_iter().collect()
}

/// What was changed, as a diff.
fn diff(changes: &[Change]) -> Option<String> {
    if changes.is_empty() {
        return None;
    }
    let line = |change: &Change| {
        format!("{} was \"{}\", arrived \"{}\"", change.field, escape(&change.sent), escape(&change.arrived))
    };
    Some(changes.iter().map(line).collect::<Vec<_>>().join("; "))
}

fn is_lost(sighting: &Sighting) -> bool {
    matches!(sighting.end, End::Silent | End::Failed(Cause::TooLarge))
}

/// The octets of a large request that got an answer.
fn passed(size: &Size) -> Option<usize> {
    let answered = size.again.as_ref().or(Some(&size.first)).filter(|sighting| sighting.answer.is_some())?;
    answered.sent.as_ref().map(|request| request.to_bytes().len())
}

/// Whether small requests get an answer by the way of the large ones.
fn are_small_answered(facts: &Facts, size: &Size) -> bool {
    let contacts = facts.contacts.as_ref();
    let chosen = contacts.and_then(|contacts| contacts.contacts.get(contacts.chosen?));
    let is_before = chosen.is_some_and(|chosen| chosen.sighting.answer.is_some());
    let is_after = size.small.as_ref().is_none_or(|small| small.answer.is_some());
    is_before && is_after
}

/// Large requests get no answer, where small ones do.
fn size_lost(size: &Size) -> Option<Finding> {
    let octets = size.first.sent.as_ref().map_or(0, |request| request.to_bytes().len());
    let transport = size.first.destination.transport;
    if size.first.status() == Some(TOO_LARGE) {
        let message = format!("a request of {octets} octets is refused for its size, with {TOO_LARGE}");
        return Some(
            Finding::warning(Step::Way, FaultCause::SizeLost, message).hinting(
                "the server takes only smaller requests: keep headers and session descriptions short",
            ),
        );
    }
    let last = size.again.as_ref().unwrap_or(&size.first);
    // Where small ones get lost, too, only a second large one shows anything.
    let is_doubtful = size.again.is_none() && size.small.as_ref().is_some_and(|small| small.copies > 0);
    if !is_lost(last) || is_doubtful {
        return None;
    }
    if size.stream.as_ref().is_some_and(|stream| stream.answer.is_some()) {
        let message = format!("a request of {octets} octets gets no answer over UDP; over TCP it does");
        return Some(Finding::warning(Step::Way, FaultCause::SizeLost, message));
    }
    let nor = if transport == Transport::Udp { ", nor over TCP" } else { "" };
    let over = transport.as_via();
    let message = format!("a request of {octets} octets gets no answer over {over}{nor}; a small one does");
    let hint = "the server, or something on the way such as a firewall or a tunnel with a small MTU, drops long requests: \
                the server's log tells which";
    Some(Finding::failed(Step::Way, FaultCause::SizeLost, Exit::Unmet, message).hinting(hint))
}

/// Whether a call would arrive.
pub(super) fn reach(facts: &Facts) -> Vec<Finding> {
    let Some(passage) = &facts.passage else { return Vec::new() };
    let Some(call) = &passage.call else {
        let why = match &passage.bound {
            Some(bound) => match &bound.result {
                Err(failure) => {
                    let why = diagnose(failure, bound).message;
                    format!("nothing could be called, as the second binding failed: {why}")
                }
                Ok(_) => "nothing is bound that a call could go to".to_owned(),
            },
            None => "nothing is bound that a call could go to".to_owned(),
        };
        return vec![Finding::skipped(Step::Reach, why)];
    };
    if call.arrival.is_none() {
        return vec![unreached(facts, call)];
    }
    let later = facts.reached.as_ref().and_then(|reached| reached.as_deref());
    match (later, facts.intent.patience) {
        // Somebody else has taken it, before and behind keep-alives: no mapping has run out.
        (Some(later), Some(_)) if is_taken(later) => vec![unreached(facts, &later.call)],
        (Some(later), Some(patience)) if later.call.arrival.is_none() => {
            let patience = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX);
            let message = format!(
                "a request for the AOR arrives at once, but no longer after {} without traffic ({})",
                seconds(patience),
                outcome(&later.call)
            );
            let hint = keeping(later, patience);
            vec![
                Finding::failed(Step::Reach, FaultCause::NatMappingShort, Exit::Unmet, message).hinting(hint),
            ]
        }
        (Some(_), Some(patience)) => {
            let patience = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX);
            let text = format!(
                "a request for the AOR arrives here, even after {} without traffic",
                seconds(patience)
            );
            vec![Finding::ok(Step::Reach, text)]
        }
        (_, _) => {
            let time = call.sighting.answer.as_ref().map(|answer| milliseconds(answer.after));
            let time = time.map(|time| format!(" (there and back in {time})")).unwrap_or_default();
            vec![Finding::ok(
                Step::Reach,
                format!("a request for the AOR arrives here{time}, and so would a call"),
            )]
        }
    }
}

/// Whether somebody else answers a request that arrived here before, also where keep-alives have kept the way open.
fn is_taken(later: &Later) -> bool {
    let is_answered =
        |call: &Call| call.arrival.is_none() && matches!(call.sighting.status(), Some(200..=299));
    is_answered(&later.call) && later.kept.as_ref().is_none_or(|(_, call)| is_answered(call))
}

/// What keeps the way open, by what was tried.
fn keeping(later: &Later, patience: u32) -> String {
    const TCP: &str = "--transport tcp, whose connections NATs remember longer";
    match &later.kept {
        Some((interval, call)) if call.arrival.is_some() => {
            let often = interval.as_secs().max(1);
            format!(
                "keep-alives every {often} s keep the way open, as was tried: 'sipreg keep' with --keepalive {often}s"
            )
        }
        Some((interval, _)) => {
            let often = interval.as_secs().max(1);
            format!(
                "not even keep-alives every {often} s keep the way open, as was tried: {TCP}, or more of them"
            )
        }
        None => {
            let often = (patience / 2).max(1);
            format!("'sipreg keep' with --keepalive {often}s over UDP, or with {TCP}")
        }
    }
}

fn outcome(call: &Call) -> String {
    match &call.sighting.answer {
        Some(answer) => {
            let reason = escape(&answer.response.reason).into_owned();
            format!("answered {} {reason}", answer.response.status).trim_end().to_owned()
        }
        None => format!("no answer within {:.1} s", call.sighting.elapsed.as_secs_f64()),
    }
}

fn unreached(facts: &Facts, call: &Call) -> Finding {
    if let Some(200..=299) = call.sighting.status() {
        let message = "a request for the AOR was answered, but did not arrive here: another device, or the server \
                       itself, has taken it";
        let finding = Finding::warning(Step::Reach, FaultCause::AnsweredByOther, message);
        // Who else is bound is known where the registrar has listed it.
        let listed = facts.life.as_ref().and_then(|life| life.fetched.result.as_ref().ok());
        return match listed {
            Some(listed) if listed.bindings.iter().all(|one| is_ours(facts, &one.contact.uri)) => finding.hinting(
                "no other device is bound, so a server has answered in its place, as many do for OPTIONS: place a real call \
                 to see whether it arrives",
            ),
            Some(_) | None => finding,
        };
    }
    let behind = nat(facts).is_some();
    let nat = if behind { "; a NAT is in between" } else { "" };
    let message = format!("a request for the AOR does not arrive where it is bound: {}{nat}", outcome(call));
    let finding = Finding::failed(Step::Reach, FaultCause::NotReachable, Exit::Unmet, message);
    match seen(facts) {
        Some((_, seen)) if behind => finding.hinting(format!(
            "'sipreg keep' binds the address that the registrar sees and keeps the way open; --advertise {seen} binds \
             it once"
        )),
        Some(_) | None => finding.hinting(astray(call)),
    }
}

/// Whether that was bound by this check, as far as its registration shows.
fn is_ours(facts: &Facts, uri: &AnyUri) -> bool {
    facts.login.as_deref().is_some_and(|login| super::registration::is_own(uri, login))
}

/// What to do about a request that did not arrive, by what became of it.
fn astray(call: &Call) -> String {
    match call.sighting.status() {
        Some(404 | 410 | 480 | 604) => {
            "whoever answers knows no binding, where the registrar has one: do proxy and registrar share \
                                        the location service? --proxy names another way in"
                .to_owned()
        }
        Some(405 | 501) => {
            "the server takes no OPTIONS for the AOR, so this says little about calls: place a real one"
                .to_owned()
        }
        Some(408) | None if call.sighting.destination.transport.is_reliable() => {
            "it, or the answer, got lost, probably on the way to us: a proxy that opens a connection of its own in place \
             of using ours meets our firewall; 'sipreg keep' keeps ours open"
                .to_owned()
        }
        Some(408) | None => {
            "it, or the answer, got lost, probably on the way to us: 'sipreg keep' keeps the way open; with \
                             --transport tcp calls come back over our own connection"
                .to_owned()
        }
        Some(status) => {
            format!(
                "'sipreg explain {status}' says what the status means; another device may have said it: 'sipreg list'"
            )
        }
    }
}

/// Whose clock is right.
pub(super) fn clock(facts: &Facts) -> Vec<Finding> {
    let apart = |dated: &Dated| dated.at.abs_diff(dated.date);
    let Some(nearest) = facts.dates.iter().min_by_key(|dated| apart(dated)) else {
        return vec![Finding::skipped(Step::Clock, "no answer came with a readable Date")];
    };
    // Dates have whole seconds, and answers take their time: minutes say enough.
    let minutes = |dated| seconds(u32::try_from((apart(dated) + 30) / 60 * 60).unwrap_or(u32::MAX));
    if apart(nearest) >= CLOCKS {
        let which = if nearest.date > nearest.at { "behind" } else { "ahead of" };
        let message = format!("our clock is {} {which} that of the registrar", minutes(nearest));
        return vec![Finding::warning(Step::Clock, FaultCause::ClockOff, message)];
    }
    // Of each server the answer that took the least time.
    let mut servers = BTreeMap::new();
    for dated in &facts.dates {
        let best = servers.entry(dated.server).or_insert(dated);
        if apart(dated) < apart(best) {
            *best = dated;
        }
    }
    let off = servers.into_values().filter(|dated| apart(dated) >= CLOCKS).map(|dated| {
        let which = if dated.date > dated.at { "ahead of" } else { "behind" };
        let message = format!(
            "the clock of {} is {} {which} ours, with which another server agrees",
            dated.server,
            minutes(dated)
        );
        let hint = "whoever runs that server has to set its clock";
        Finding::warning(Step::Clock, FaultCause::ClockOff, message).hinting(hint)
    });
    let off: Vec<Finding> = off.collect();
    if !off.is_empty() {
        return off;
    }
    let text = match apart(nearest) {
        0 | 1 => "the same as ours".to_owned(),
        apart => format!("{apart} s from ours"),
    };
    vec![Finding::ok(Step::Clock, format!("the clock of the registrar is {text}"))]
}

/// The other servers and bindings.
pub(super) fn others(facts: &Facts) -> Vec<Finding> {
    let Some(others) = &facts.others else { return Vec::new() };
    let mut found = Vec::new();
    for (server, knowledge) in &others.servers {
        if let Knowledge::Unknown(status) = knowledge {
            let message = format!(
                "what is bound at one server is not known at {} ({status})",
                server.destination.address
            );
            found.push(Finding::warning(Step::Others, FaultCause::ServersDiffer, message));
        }
    }
    found.extend(refusing(facts));
    // Who is silent listens all the same.
    let is_dead = |sighting: &Sighting| matches!(sighting.end, End::Failed(_));
    let left: Vec<String> = others
        .here
        .iter()
        .filter(|(_, sighting)| is_dead(sighting))
        .map(|(contact, _)| shown(&readable(&contact.uri.to_string())))
        .collect();
    if let Some(first) = left.first() {
        let more = left.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("bound at this host, but nobody answers there: {first}{more}");
        found.push(Finding::warning(Step::Others, FaultCause::Leftovers, message));
    }
    if !found.is_empty() {
        return found;
    }
    let bound = facts.passage.as_ref().and_then(|passage| passage.bound.as_deref());
    if bound.is_none_or(|bound| bound.result.is_err()) {
        return vec![Finding::skipped(Step::Others, "nothing is bound that other servers could know of")];
    }
    let mut parts = shared(facts, others);
    parts.push(match others.bindings.len() {
        0 => "no other binding".to_owned(),
        1 => format!("1 other binding{}", ages(facts)),
        many => format!("{many} other bindings{}", ages(facts)),
    });
    vec![Finding::ok(Step::Others, parts.join("; "))]
}

/// Servers that refuse a REGISTER that binds nothing, where the one that is registered at takes them.
fn refusing(facts: &Facts) -> Vec<Finding> {
    let contacts = facts.contacts.iter().flat_map(|contacts| &contacts.contacts);
    let chosen = facts.contacts.as_ref().and_then(|contacts| contacts.contacts.get(contacts.chosen?));
    let takes = |status: u16| matches!(status, 200..=399 | 401 | 407);
    let Some(taken) = chosen.and_then(|chosen| chosen.sighting.status()).filter(|status| takes(*status))
    else {
        return Vec::new();
    };
    let home = chosen.map(|chosen| chosen.sighting.destination.address);
    let mut seen: BTreeSet<SocketAddr> = home.into_iter().collect();
    let others = contacts.filter(|contact| {
        let is_refused = contact.sighting.status().is_some_and(|status| !takes(status));
        contact.is_offered && is_refused && seen.insert(contact.sighting.destination.address)
    });
    let refused = others.filter_map(|contact| {
        let status = contact.sighting.status().filter(|status| *status != 503)?;
        let at = contact.sighting.destination.address;
        let message = format!("{at} answers REGISTER with {status}, where another server answers {taken}");
        Some(Finding::warning(Step::Others, FaultCause::ServersDiffer, message))
    });
    refused.collect()
}

/// What the other servers of the name say of the binding, and how many of them were not asked.
fn shared(facts: &Facts, others: &Others) -> Vec<String> {
    let known = others.servers.iter().filter(|(_, knowledge)| *knowledge == Knowledge::Known).count();
    let untold = others.servers.len() - known;
    let contacts = facts.contacts.iter().flat_map(|contacts| &contacts.contacts);
    let offered = contacts.filter(|contact| contact.is_offered);
    let addresses: BTreeSet<SocketAddr> = offered.map(|one| one.sighting.destination.address).collect();
    let left_out = facts.contacts.as_ref().map_or(0, |contacts| contacts.left_out);
    let unasked = (addresses.len() + left_out).saturating_sub(1 + others.servers.len());
    let servers = |number: usize, what: &str| {
        let more = if number == 1 { "server" } else { "servers" };
        (number > 0).then(|| format!("{number} other {more} {what}"))
    };
    let knows = if known == 1 { "knows" } else { "know" };
    let does = if untold == 1 { "does" } else { "do" };
    let parts = [
        servers(known, &format!("{knows} the binding, too ({NONCES})")),
        servers(untold, &format!("{does} not say whether the binding is known there")),
        servers(unasked, if unasked == 1 { "was not asked" } else { "were not asked" }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { vec!["no other server".to_owned()] } else { parts }
}

/// How long the bindings of others still hold.
fn ages(facts: &Facts) -> String {
    let fetched = facts.life.as_ref().and_then(|life| life.fetched.result.as_ref().ok());
    let Some(login) = facts.login.as_deref() else { return String::new() };
    let is_other = |uri: &crate::sip::AnyUri| !super::registration::is_own(uri, login);
    let bindings = fetched.iter().flat_map(|success| &success.bindings);
    let longest = bindings.filter(|listed| is_other(&listed.contact.uri)).map(|listed| listed.expires).max();
    longest.map(|longest| format!(", for {} at most", seconds(longest))).unwrap_or_default()
}
