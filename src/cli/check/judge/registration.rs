//! Whether a registrar is there, whether it lets us in, and what becomes of a binding.

use super::network::{at, is_up, stranger};
use super::{Facts, is_spoilt};
use crate::cli::diagnose::diagnose;
use crate::cli::exit::{Exit, Fault, FaultCause};
use crate::cli::explain;
use crate::cli::finding::{Finding, Step, Verdict};
use crate::cli::text::{self, escape, seconds, shown};
use crate::proto::Cause;
use crate::proto::check::{Contacted, End, Ending, Life, Sighting};
use crate::proto::client::contact::is_same;
use crate::proto::client::outcome::{
    AttemptResult, CredentialsFailure, Failure, Granted, Listed, Misbehaviour, Refusal, Report,
};
use crate::sip::{AnyUri, HeaderName, NameAddr};

/// The port of SIP over TLS (RFC 3261 §19.1.2).
const TLS_PORT: u16 = 5061;

/// A lifetime that was granted may have shrunk by so many seconds on the way.
const SLACK: u32 = 2;

/// What a registration says of each step.
pub(super) struct Verdicts {
    pub account: Vec<Finding>,
    pub registrar: Vec<Finding>,
    pub credentials: Vec<Finding>,
    /// `None`: more is going to be looked at.
    pub binding: Option<Vec<Finding>>,
}

/// Somebody is there, and nobody has answered: what came instead. `None`: there is an answer to go by.
pub(super) fn unanswered(facts: &Facts) -> Option<Vec<Finding>> {
    let contacts = facts.contacts.as_ref()?;
    if contacts.chosen.is_some() {
        return None;
    }
    let offered = contacts.contacts.iter().filter(|contact| contact.is_offered && is_up(contact));
    let met: Vec<&Contacted> = offered.filter(|contact| !failed_in_tls(&contact.sighting)).collect();
    let Some(first) = met.first() else {
        let all = &contacts.contacts;
        let is_there = all.iter().any(|contact| contact.is_offered && is_up(contact));
        return Some(vec![if is_there {
            Finding::skipped(
                Step::Registrar,
                "nobody was asked: no TLS session came about with whoever is there",
            )
        } else {
            Finding::skipped(Step::Registrar, "nobody is there to be asked")
        }]);
    };
    // Who speaks something else than SIP says more than who is silent.
    let strange = met.iter().find_map(|contact| stranger(&contact.sighting));
    Some(vec![strange.unwrap_or_else(|| silent(facts, &first.sighting))])
}

fn failed_in_tls(sighting: &Sighting) -> bool {
    // A server may find fault with us only after the handshake, by our side of it (RFC 8446 §4.4.2).
    let is_refused = matches!(sighting.end, End::Failed(Cause::Untrusted(_)));
    let is_open = sighting.session.is_some() && !is_refused;
    sighting.destination.transport.is_secure() && !is_open && sighting.answer.is_none()
}

fn silent(facts: &Facts, sighting: &Sighting) -> Finding {
    let at = at(sighting);
    let (exit, message, case) = match (sighting.end, sighting.unusable.most()) {
        (_, Some((_, count, fault))) => {
            let answers = text::count(count, "answer");
            let case = if is_spoilt(fault) { explain::SPOILT } else { explain::UNUSABLE };
            (Exit::Timeout, format!("{answers} came from {at}, none usable: {fault}"), case)
        }
        (End::Closed | End::Failed(_), None) => {
            let case = if may_want_tls(facts, sighting) {
                explain::CLOSED_AT_TLS_PORT
            } else {
                explain::CONNECTION_CLOSED
            };
            let message = format!("{at} takes the connection, and closes it without an answer");
            (Exit::Timeout, message, case)
        }
        (End::Connected | End::Answered | End::Silent | End::OutOfStep(_), None)
            if sighting.sent.is_none() && sighting.destination.transport.is_websocket() =>
        {
            let seconds = sighting.elapsed.as_secs_f64();
            let message = format!("{at} does not answer the WebSocket handshake within {seconds:.1} s");
            (Exit::Timeout, message, explain::SILENT_WEBSOCKET)
        }
        (End::Connected | End::Answered | End::Silent | End::OutOfStep(_), None) => {
            let seconds = sighting.elapsed.as_secs_f64();
            let message = format!("{at} is there, but does not answer REGISTER within {seconds:.1} s");
            (Exit::Timeout, message, explain::SILENT_TCP)
        }
    };
    Finding::failed(Step::Registrar, FaultCause::Silent, exit, message).hinting(case.hint)
}

/// Whether something speaks for a port of TLS that was asked without: its number, or a destination over TLS at that place.
fn may_want_tls(facts: &Facts, sighting: &Sighting) -> bool {
    let there = &sighting.destination;
    let contacts = facts.contacts.iter().flat_map(|contacts| &contacts.contacts);
    let mut others = contacts.map(|contact| &contact.sighting.destination);
    let is_secure_there = others.any(|other| other.transport.is_secure() && other.address == there.address);
    !there.transport.is_secure() && (there.address.port() == TLS_PORT || is_secure_there)
}

/// The registrar has shown that it is one, without a registration.
pub(super) fn speaks(facts: &Facts) -> Vec<Finding> {
    vec![Finding::ok(Step::Registrar, software(facts))]
}

/// What the registrar says of itself.
fn software(facts: &Facts) -> String {
    let contacts = facts.contacts.as_ref();
    let chosen = contacts.and_then(|contacts| contacts.contacts.get(contacts.chosen?));
    let Some(answer) = chosen.and_then(|contact| contact.sighting.answer.as_ref()) else {
        return "speaks SIP".to_owned();
    };
    let headers = &answer.response.headers;
    let text = |name: &[u8]| {
        let row = HeaderName::parse(name).ok().and_then(|name| headers.get(&name))?;
        Some(escape(&row.text_lossy()).into_owned())
    };
    let mut parts = vec![format!("answers REGISTER with {}", answer.response.status)];
    if let Some(software) = text(b"Server").or_else(|| text(b"User-Agent")) {
        parts.push(software);
    }
    if let Some(supported) = text(b"Supported").filter(|supported| !supported.is_empty()) {
        parts.push(format!("supports {supported}"));
    }
    parts.join(", ")
}

/// What the registration at one server says.
pub(super) fn login(facts: &Facts) -> Verdicts {
    let Some(report) = facts.login.as_deref() else {
        return Verdicts { account: vec![], registrar: vec![], credentials: vec![], binding: None };
    };
    match &report.result {
        Ok(_) => Verdicts {
            account: Vec::new(),
            registrar: redirects(facts, report),
            credentials: credentials(facts, report),
            binding: None,
        },
        Err(failure) => failed(facts, failure, report),
    }
}

/// A registrar that lets us in, and where it sent us before.
fn redirects(facts: &Facts, report: &Report) -> Vec<Finding> {
    if !was_redirected(report) {
        return speaks(facts);
    }
    let to = shown(&report.request_uri.to_string());
    let message = format!("the registrar sends us on, to {to}");
    let hint = match report.result {
        Ok(_) => format!("it works; if the account is there for good, --registrar {to} saves the detour"),
        Err(_) => "what fails, fails there".to_owned(),
    };
    vec![Finding::warning(Step::Registrar, FaultCause::Redirected, message).hinting(hint)]
}

fn was_redirected(report: &Report) -> bool {
    let is_redirect = |result: AttemptResult| matches!(result, AttemptResult::Status(300..=399));
    report.attempts.iter().any(|attempt| is_redirect(attempt.result))
}

fn credentials(facts: &Facts, report: &Report) -> Vec<Finding> {
    let is_secure = report.hop.is_some_and(|hop| hop.transport.is_secure());
    let Some(first) = report.auth.first() else {
        if is_secure && facts.intent.shows_certificate {
            return vec![Finding::ok(Step::Credentials, "let in by our certificate, without a password")];
        }
        let message = "the registrar lets anybody in: it asked for no password";
        return vec![Finding::warning(Step::Credentials, FaultCause::OpenRegistrar, message)];
    };
    let realm = escape(&first.realm);
    let text = format!("{} {}, realm \"{realm}\": accepted", first.scheme, escape(&first.algorithm));
    vec![in_the_clear(report, &text).unwrap_or_else(|| Finding::ok(Step::Credentials, text))]
}

/// Which step a registration has failed at.
fn failed(facts: &Facts, failure: &Failure, report: &Report) -> Verdicts {
    let fault = diagnose(failure, report);
    let of = |step, fault: Fault, otherwise| vec![Finding::of_fault(step, fault, otherwise)];
    let after = |step, failed| vec![Finding::after(step, failed)];
    let at_registrar = |mut registrar: Vec<Finding>| {
        // Who has failed is not who was asked.
        let is_told = registrar.iter().any(|finding| finding.cause == Some(FaultCause::Redirected));
        if was_redirected(report) && !is_told {
            registrar.extend(redirects(facts, report));
        }
        Verdicts {
            account: Vec::new(),
            registrar,
            credentials: after(Step::Credentials, Step::Registrar),
            binding: Some(after(Step::Binding, Step::Registrar)),
        }
    };
    let at_credentials = |credentials| Verdicts {
        account: Vec::new(),
        registrar: redirects(facts, report),
        credentials,
        binding: Some(after(Step::Binding, Step::Credentials)),
    };
    let was_asked = report.challenged || !report.auth.is_empty();
    let at_binding = |binding| Verdicts {
        account: Vec::new(),
        registrar: redirects(facts, report),
        credentials: if was_asked { let_in(report) } else { credentials(facts, report) },
        binding: Some(binding),
    };
    match failure {
        Failure::Credentials(CredentialsFailure::Missing { has_others: false, .. }) => Verdicts {
            account: of(Step::Account, fault, FaultCause::PasswordMissing),
            binding: Some(after(Step::Binding, Step::Account)),
            ..at_credentials(after(Step::Credentials, Step::Account))
        },
        // Asked once more after the answer, or for nothing that could be answered.
        Failure::Credentials(CredentialsFailure::NoChallenge | CredentialsFailure::Endless)
            if !report.auth.is_empty() =>
        {
            let hint = fault
                .hint
                .map(|hint| format!("check the password and the user name first; if they are right: {hint}"));
            at_credentials(of(Step::Credentials, Fault { hint, ..fault }, FaultCause::PasswordWrong))
        }
        Failure::Credentials(_) if fault.cause == Some(FaultCause::TooManyBindings) => {
            let fault = Fault { kind: Exit::Refused, ..fault };
            at_binding(of(Step::Binding, fault, FaultCause::TooManyBindings))
        }
        Failure::Credentials(_) => {
            at_credentials(of(Step::Credentials, fault, FaultCause::AlgorithmUnserved))
        }
        Failure::Refused(refusal) => match fault.cause {
            Some(FaultCause::TooManyBindings) => at_binding(of(Step::Binding, fault, FaultCause::NotBound)),
            Some(FaultCause::UserUnknown) => {
                at_credentials(of(Step::Credentials, fault, FaultCause::UserUnknown))
            }
            Some(FaultCause::Redirected) => {
                let fault = Fault { kind: Exit::Misbehaved, ..fault };
                let fault = if report.auth.is_empty() { fault } else { sent_on(fault) };
                at_registrar(of(Step::Registrar, fault, FaultCause::Redirected))
            }
            None if was_asked || matches!(refusal, Refusal::TooBrief { .. }) => {
                let hint = match refusal {
                    Refusal::TooBrief { min_expires: Some(min) } => Some(format!(
                        "'sipreg register' and 'keep' can ask for that much, with --expires {min}"
                    )),
                    Refusal::TooBrief { min_expires: None } => {
                        Some("'sipreg register' and 'keep' can ask for more, with --expires".to_owned())
                    }
                    Refusal::RetryAfter { .. }
                    | Refusal::NoTarget(_)
                    | Refusal::Extension { .. }
                    | Refusal::Status(_) => fault.hint,
                };
                at_binding(of(Step::Binding, Fault { hint, ..fault }, FaultCause::NotBound))
            }
            Some(_) | None => at_registrar(of(Step::Registrar, fault, FaultCause::RegistrarError)),
        },
        Failure::Timeout | Failure::Unreachable(_) if was_redirected(report) => {
            let to = shown(&report.request_uri.to_string());
            let message = format!("the registrar sends us on to {to}, and there: {}", fault.message);
            let fault = Fault { cause: Some(FaultCause::Redirected), message, hint: None, ..fault };
            at_registrar(of(Step::Registrar, fault, FaultCause::Redirected))
        }
        Failure::Timeout => {
            let is_silent = fault.cause == Some(FaultCause::Silent);
            let hint = if is_silent && answers_lists(facts) {
                Some(explain::SILENT_TO_BINDING.hint.to_owned())
            } else if is_silent && answers_others(facts) {
                Some(explain::SILENT_TO_REGISTER.hint.to_owned())
            } else {
                fault.hint
            };
            at_registrar(of(Step::Registrar, Fault { hint, ..fault }, FaultCause::Silent))
        }
        Failure::Unreachable(_) => {
            // Somebody was there a moment ago.
            let fault = Fault { cause: None, kind: Exit::Timeout, ..fault };
            at_registrar(of(Step::Registrar, fault, FaultCause::Silent))
        }
        Failure::Misbehaved(how) => match how {
            Misbehaviour::NotBound | Misbehaviour::StillBound => at_binding(vec![
                rewritten(facts, report)
                    .unwrap_or_else(|| Finding::of_fault(Step::Binding, fault, FaultCause::NotBound)),
            ]),
            Misbehaviour::RedirectLoop | Misbehaviour::TooManyRedirects => {
                at_registrar(of(Step::Registrar, fault, FaultCause::Redirected))
            }
            Misbehaviour::Framing(_) => at_registrar(of(Step::Registrar, fault, FaultCause::NotSip)),
            Misbehaviour::FalseServer => at_binding(of(Step::Binding, fault, FaultCause::NotBound)),
        },
    }
}

/// A redirect that comes only to the password.
fn sent_on(fault: Fault) -> Fault {
    let hint = "check shows the password to one server only, and this one has seen it: 'sipreg register -v' follows, and says \
                where to; --registrar names that server, to check it";
    let message =
        "the registrar answers the password with a redirect to another server, which is not followed";
    Fault { message: message.to_owned(), hint: Some(hint.to_owned()), ..fault }
}

/// Whether the server that was registered at has answered a REGISTER that binds nothing.
fn answers_lists(facts: &Facts) -> bool {
    let contacts = facts.contacts.as_ref();
    let chosen = contacts.and_then(|contacts| contacts.contacts.get(contacts.chosen?));
    chosen.is_some_and(|chosen| chosen.sighting.answer.is_some())
}

/// Whether the server that was registered at has answered another request than REGISTER.
fn answers_others(facts: &Facts) -> bool {
    let contacts = facts.contacts.as_ref();
    let chosen = contacts.and_then(|contacts| contacts.contacts.get(contacts.chosen?));
    chosen.is_some_and(|chosen| chosen.sighting.aside.is_some())
}

/// The credentials were good, whatever came after.
fn let_in(report: &Report) -> Vec<Finding> {
    match report.auth.first() {
        Some(first) => {
            let text = format!("{} {}: not refused", first.scheme, escape(&first.algorithm));
            vec![in_the_clear(report, &text).unwrap_or_else(|| Finding::ok(Step::Credentials, text))]
        }
        None => vec![Finding::ok(Step::Credentials, "not refused")],
    }
}

/// The password was answered in a way that whoever listens can guess at.
fn in_the_clear(report: &Report, text: &str) -> Option<Finding> {
    let is_md5 = report.auth.first()?.algorithm.to_ascii_uppercase().starts_with("MD5");
    let is_secure = report.hop.is_some_and(|hop| hop.transport.is_secure());
    let message = format!("{text}, but MD5 without TLS");
    (is_md5 && !is_secure).then(|| Finding::warning(Step::Credentials, FaultCause::ClearMd5, message))
}

/// A 2xx that lists our contact as another one than it is: at the same port of another host; or by the same user or at the same
/// host, and for just as long as was asked for, which what others have bound before is not.
fn rewritten(facts: &Facts, report: &Report) -> Option<Finding> {
    let local = report.hop?.local;
    let asked = report.raised_to.unwrap_or_default().max(facts.intent.lifetime);
    let is_moved = |contact: &&NameAddr| {
        let uri = contact.uri.sip();
        uri.is_some_and(|uri| uri.port == Some(local.port()) && uri.host.ip() != Some(local.ip()))
    };
    let is_altered = |contact: &&NameAddr| {
        let is_new = contact.expires() == Some(asked);
        let is_alike = contact.uri.sip().is_some_and(|uri| {
            uri.host.ip() == Some(local.ip()) || uri.user.is_some() && uri.user == facts.intent.user
        });
        is_new && is_alike
    };
    let listed = report.listed.iter().find(is_moved).or_else(|| report.listed.iter().find(is_altered))?;
    let message = format!("the 200 lists our contact as {}, not at {local}", shown(&listed.uri.to_string()));
    Some(Finding::failed(Step::Binding, FaultCause::ContactRewritten, Exit::Misbehaved, message))
}

/// What became of a binding.
pub(super) fn life(facts: &Facts) -> Vec<Finding> {
    let (Some(report), Some(life)) = (facts.login.as_deref(), &facts.life) else { return Vec::new() };
    let Ok(success) = &report.result else { return Vec::new() };
    let Some(granted) = success.contacts.first() else { return Vec::new() };
    let mut found = Vec::new();
    found.extend(untouched(granted));
    found.extend(listed(granted, &life.fetched));
    if let Some(removed) = &life.removed {
        found.extend(not_removed(removed));
    }
    found.extend(lifetime(facts, granted));
    found.sort_by_key(|finding| finding.verdict != Verdict::Failed);
    if !found.is_empty() {
        return found;
    }
    let mut text = format!("bound for {}", seconds(granted.expires));
    text += match &life.fetched.result {
        Ok(_) => ", listed",
        Err(Failure::Refused(_)) => ", not listed to us (the registrar refuses lists)",
        Err(Failure::Timeout) => ", not listed to us (no answer to the question for the list)",
        Err(Failure::Credentials(_) | Failure::Unreachable(_) | Failure::Misbehaved(_)) => {
            ", not listed to us (no usable answer to the question for the list)"
        }
    };
    text += if life.removed.is_some() { ", removed again" } else { ", not yet removed when the time was up" };
    let others = facts.life.as_ref().and_then(|life| life.fetched.result.as_ref().ok());
    let others = others.map_or(0, |success| success.bindings.len().saturating_sub(1));
    if let Ok(others @ 1..) = u64::try_from(others) {
        text += &format!("; {}", text::count(others, "other binding"));
    }
    vec![Finding::ok(Step::Binding, text)]
}

/// A second binding, for what is sent to it, where the first one held: a registrar that refuses it is not one to rely on.
pub(super) fn bound_again(facts: &Facts) -> Vec<Finding> {
    let bound = facts.passage.as_ref().and_then(|passage| passage.bound.as_deref());
    let Some((failure, report)) = bound.and_then(|report| Some((report.result.as_ref().err()?, report)))
    else {
        return Vec::new();
    };
    let fault = diagnose(failure, report);
    let message = format!("bound once, but not again a moment later: {}", fault.message);
    let cause = fault.cause.filter(|cause| matches!(cause, FaultCause::TooManyBindings | FaultCause::Silent));
    vec![Finding::of_fault(Step::Binding, Fault { cause, message, ..fault }, FaultCause::NotBound)]
}

fn untouched(granted: &Granted) -> Option<Finding> {
    if is_same(&granted.asked, &granted.uri) {
        return None;
    }
    let message = format!(
        "the contact that was asked for, {}, is listed as {}",
        shown(&granted.asked.to_string()),
        shown(&granted.uri.to_string())
    );
    Some(Finding::failed(Step::Binding, FaultCause::ContactRewritten, Exit::Unmet, message))
}

fn listed(granted: &Granted, fetched: &Report) -> Option<Finding> {
    let success = fetched.result.as_ref().ok()?;
    let is_it = |listed: &Listed| is_same(&granted.uri, &listed.contact.uri);
    if success.bindings.iter().any(is_it) {
        return None;
    }
    let message =
        format!("the list of bindings lacks {}, which was just bound", shown(&granted.uri.to_string()));
    Some(Finding::failed(Step::Binding, FaultCause::NotListed, Exit::Unmet, message))
}

/// What the end says of a binding that was made: the time was up before anything more was known of it, or it may be there still.
pub(super) fn unfinished(facts: &Facts, ending: Ending) -> Vec<Finding> {
    if facts.login.as_ref().is_none_or(|login| login.result.is_err()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let is_told = |life: &Life| life.removed.as_ref().is_some_and(|removed| removed.result.is_err());
    if !ending.is_removed && !facts.life.as_ref().is_some_and(is_told) {
        let message = "the removal of what was bound was not confirmed";
        found.push(Finding::failed(Step::Binding, FaultCause::NotRemoved, Exit::Misbehaved, message));
    } else if ending.is_cut_short && facts.life.is_none() {
        let message = "bound, and not listed before the time was up";
        let finding = Finding::failed(Step::Binding, FaultCause::Silent, Exit::Timeout, message);
        found.push(finding.hinting("is the registrar slow? --timeout gives it more time"));
    }
    found
}

fn not_removed(removed: &Report) -> Option<Finding> {
    let failure = removed.result.as_ref().err()?;
    let fault = diagnose(failure, removed);
    let message = format!("the binding could not be removed: {}", fault.message);
    let finding = Finding::failed(Step::Binding, FaultCause::NotRemoved, Exit::Misbehaved, message);
    Some(match fault.hint {
        Some(hint) => finding.hinting(hint),
        None => finding,
    })
}

fn lifetime(facts: &Facts, granted: &Granted) -> Option<Finding> {
    let raised = facts.login.as_deref().and_then(|report| report.raised_to);
    let asked = raised.unwrap_or_default().max(facts.intent.lifetime);
    let is_kept = granted.expires <= asked && granted.expires.saturating_add(SLACK) >= asked;
    if is_kept {
        return None;
    }
    let message = format!("asked for {}, granted {}", seconds(asked), seconds(granted.expires));
    Some(Finding::warning(Step::Binding, FaultCause::LifetimeChanged, message))
}

/// Whether a URI is one of ours, as far as a report shows.
#[must_use]
pub(super) fn is_own(uri: &AnyUri, report: &Report) -> bool {
    let success = report.result.as_ref().ok();
    success.is_some_and(|success| success.contacts.iter().any(|granted| is_same(&granted.uri, uri)))
}
