//! Reports for people: the outcome, at a glance; then who else is bound, who answered, and what was odd.
//!
//! 80 columns as far as URIs allow: what can be long stands last in its line.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::Duration;

use crate::cli::diagnose;
use crate::cli::exit::Fault;
use crate::cli::explain;
use crate::proto::Time;
use crate::proto::client::outcome::{
    Attempt, AttemptResult, Failure, Granted, Listed, Remote, Report, Success, Unreachable, Unusable, Warning,
};
use crate::proto::client::plan::Purpose;
use crate::proto::identity::TlsSession;

use crate::sip::Q;

use super::json::is_removal;
use super::paint::Paint;
use super::zone::Zone;
use crate::cli::text::{count, day, escape, milliseconds, readable, seconds};

/// Bindings of other devices beyond this number are counted, not listed.
const OTHERS_SHOWN: usize = 10;

/// The lines below the headline: a label, and what it labels.
struct Rows {
    rows: Vec<(&'static str, String)>,
}

/// The text for bindings or removals that the registrar confirmed.
#[must_use]
pub fn success(
    aor: &str,
    report: &Report,
    success: &Success,
    own_device: bool,
    paint: Paint,
    zone: &Zone,
) -> String {
    let mut rows = Rows { rows: Vec::new() };
    rows.bindings(success, own_device);
    rows.answered(report);
    rows.routes(success);
    let mut text = headline(aor, report, success, paint, zone);
    text.push('\n');
    rows.write(&mut text, paint);
    text
}

/// The bindings that `list` found: the most preferred first, and among equals the one that holds longest.
#[must_use]
pub fn list(aor: &str, report: &Report, success: &Success, paint: Paint) -> String {
    let mut sorted: Vec<&Listed> = success.bindings.iter().filter(|binding| binding.expires > 0).collect();
    sorted.sort_by_key(|binding| Reverse((binding.q.unwrap_or(Q::ONE), binding.expires)));
    let aor = paint.strong(&escape(&readable(aor)));
    let mut text = match sorted.len() {
        0 => format!("{aor} is not bound to anything\n"),
        1 => format!("{aor} has 1 binding\n"),
        more => format!("{aor} has {more} bindings\n"),
    };
    let mut rows = Rows { rows: Vec::new() };
    for (binding, line) in sorted.iter().zip(lines(&sorted)) {
        rows.push(if binding.own { "this device" } else { "bound" }, line);
    }
    rows.answered(report);
    rows.write(&mut text, paint);
    text
}

/// One line per binding, aligned. URIs stand last, since nobody can say how long they are.
fn lines(bindings: &[&Listed]) -> Vec<String> {
    let lifetimes = bindings.iter().map(|binding| seconds(binding.expires).len()).max().unwrap_or(0);
    let preferences = bindings.iter().filter_map(|binding| binding.q).map(|q| q.to_string().len() + 2).max();
    let line = |binding: &&Listed| {
        let mut line = format!("{:<lifetimes$}  ", seconds(binding.expires));
        if let Some(width) = preferences {
            let q = binding.q.map(|q| format!("q={q}")).unwrap_or_default();
            let _ = write!(line, "{q:<width$}  ");
        }
        line + &escape(&readable(&binding.contact.uri.to_string()))
    };
    bindings.iter().map(line).collect()
}

fn headline(aor: &str, report: &Report, success: &Success, paint: Paint, zone: &Zone) -> String {
    let aor = paint.strong(&escape(&readable(aor)));
    if report.purpose == Purpose::RemoveAll {
        return format!("{} {aor} from everywhere", paint.good("Unregistered"));
    }
    if is_removal(success) {
        return format!("{} {aor}", paint.good("Unregistered"));
    }
    // Every contact that was asked a lifetime for is live, or this were no success.
    let lifetime = success.contacts.iter().map(|granted| granted.expires).find(|&seconds| seconds > 0);
    let mut text = format!("{} {aor}", paint.good("Registered"));
    if let Some(granted) = lifetime {
        let _ = write!(text, " for {}", seconds(granted));
        if let Some(sent) = report.sent.filter(|&sent| sent > Time::from_millis(0)) {
            let span = Duration::from_secs(granted.into());
            let _ = write!(text, ", until {}", zone.after(sent, span));
        }
    }
    text
}

impl Rows {
    fn push(&mut self, label: &'static str, text: String) {
        self.rows.push((label, text));
    }

    fn bindings(&mut self, success: &Success, own_device: bool) {
        let removed: Vec<&Granted> = success.contacts.iter().filter(|granted| granted.expires == 0).collect();
        let (own, others): (Vec<&Listed>, Vec<&Listed>) =
            success.bindings.iter().partition(|binding| binding.own && binding.expires > 0);
        let shown: Vec<&Listed> = own.iter().chain(others.iter().take(OTHERS_SHOWN)).copied().collect();
        let mut lines = lines(&shown).into_iter();
        let mine = if own_device { "this device" } else { "bound" };
        for line in lines.by_ref().take(own.len()) {
            self.push(mine, line);
        }
        for granted in removed {
            self.push("removed", escape(&readable(&granted.uri.to_string())).into_owned());
        }
        let still = if own.is_empty() { "still bound" } else { "also bound" };
        for line in lines {
            self.push(still, line);
        }
        if let Some(more) = others.len().checked_sub(OTHERS_SHOWN).filter(|&more| more > 0) {
            self.push(still, format!("... and {more} more, which --json lists"));
        }
    }

    fn answered(&mut self, report: &Report) {
        if let Some(hop) = report.hop {
            let mut text = format!("{} over {}", hop.remote, hop.transport.as_via());
            if let Some(time) = report.round_trip {
                let _ = write!(text, " in {}", milliseconds(time));
            }
            let _ = write!(text, ", {}", count(report.requests, "request"));
            if report.retransmissions > 0 {
                let _ = write!(text, " and {}", count(report.retransmissions, "retransmission"));
            }
            self.push("answered by", text);
            if let Some(session) = &report.tls {
                self.proven(session);
            }
            let origin = report.attempts.last().and_then(|attempt| attempt.origin.as_ref());
            if let Some(origin) = origin.filter(|origin| origin.srv.is_some()) {
                self.push("found as", escape(&readable(&origin.to_string())).into_owned());
            }
            if let Some(seen) = report.received {
                self.push("seen as", format!("{seen}, not {}: there is a NAT between", hop.local));
            }
        }
        for auth in &report.auth {
            self.push(
                "signed in",
                format!("{} {}, realm \"{}\"", auth.scheme, escape(&auth.algorithm), escape(&auth.realm)),
            );
        }
    }

    /// Who is there, by its certificate.
    fn proven(&mut self, session: &TlsSession) {
        let mut text = format!("TLS {}", session.version.unwrap_or_default());
        if let Some(certificate) = &session.certificate {
            let until = day(certificate.not_after);
            let _ =
                write!(text, ", certificate until {until}, of {}", escape(&readable(&certificate.subject)));
        }
        self.push(if session.verified { "proven by" } else { "not proven" }, text);
    }

    fn routes(&mut self, success: &Success) {
        for route in &success.service_route {
            self.push("service route", escape(&route.to_string()).into_owned());
        }
        for route in &success.path {
            self.push("path", escape(&route.to_string()).into_owned());
        }
    }

    /// A label that repeats the one above is left out.
    fn write(self, text: &mut String, paint: Paint) {
        let width = self.rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let mut above = "";
        for (label, row) in &self.rows {
            let shown = if *label == above { "" } else { label };
            let _ = writeln!(text, "  {}  {row}", paint.faint(&format!("{shown:<width$}")));
            above = label;
        }
    }
}

/// A failure with its hint, and every destination if there were several.
#[must_use]
pub fn failure(report: &Report, failure: &Fault, paint: Paint) -> String {
    let attempts = if report.attempts.len() > 1 { attempts(report) } else { String::new() };
    let remarks = remarks(&failure.warnings, paint);
    error(&failure.message, paint) + &attempts + &remarks + &advice(failure, paint) + &onward(failure, paint)
}

/// A failure with its hint.
#[must_use]
pub fn fault(fault: &Fault, paint: Paint) -> String {
    error(&fault.message, paint) + &remarks(&fault.warnings, paint) + &advice(fault, paint)
}

/// Every destination that was tried, and where its address came from.
#[must_use]
pub fn attempts(report: &Report) -> String {
    report.attempts.iter().map(|attempt| format!("  {}\n", tried(attempt))).collect()
}

fn advice(fault: &Fault, paint: Paint) -> String {
    fault.hint.as_ref().map(|text| hint(text, paint)).unwrap_or_default()
}

/// Where to go on from a failure of a registration: the word for its cause, if one is known, and the command that finds out
/// the rest.
fn onward(fault: &Fault, paint: Paint) -> String {
    match fault.cause {
        Some(cause) => {
            let word = explain::cause_word(&cause.word());
            hint(&format!("'sipreg explain {word}' says more, 'sipreg check' finds out"), paint)
        }
        None => hint("'sipreg check' finds out", paint),
    }
}

fn tried(attempt: &Attempt) -> String {
    let remote = match &attempt.remote {
        Remote::Address(address) => address.to_string(),
        Remote::Name(name) => escape(&readable(name)).into_owned(),
    };
    let over = attempt.transport.map(|transport| format!(" over {}", transport.as_via())).unwrap_or_default();
    let origin =
        attempt.origin.as_ref().map(|origin| format!(" ({})", escape(&readable(&origin.to_string()))));
    let origin = origin.unwrap_or_default();
    let result = match attempt.result {
        AttemptResult::Status(status) => format!("answered {status}"),
        AttemptResult::Timeout => "no answer".to_owned(),
        AttemptResult::Failed(cause) => cause.to_string(),
        AttemptResult::Closed => "closed the connection".to_owned(),
        AttemptResult::Dns(error) => {
            error.map_or_else(|| "no such record".to_owned(), |error| error.to_string())
        }
    };
    format!("tried {remote}{over}{origin}: {result}")
}

/// The warnings, a line for each. What the registrar says of a failure comes with that.
#[must_use]
pub fn warnings(report: &Report, paint: Paint) -> String {
    let own = report.warnings.iter().map(|warning| line(&paint.odd("warning:"), &said_of(warning)));
    let its = report.result.is_ok().then(|| remarks(&report.remarks, paint));
    own.chain(its).collect()
}

/// What the registrar says in Warning and Reason, a line for each.
fn remarks(texts: &[String], paint: Paint) -> String {
    texts.iter().map(|text| line(&paint.odd("warning:"), &format!("the registrar says: {text}"))).collect()
}

/// The message of a failure with what the registrar says of it, for a line of its own.
#[must_use]
pub fn with_remarks(fault: &Fault) -> String {
    let mut text = fault.message.clone();
    for remark in &fault.warnings {
        let _ = write!(text, "; the registrar says: {remark}");
    }
    text
}

/// What in the answer could not be read as it came, a sentence for each: for an account that is kept, whose other warnings
/// would come again with each refresh.
pub fn blemishes(report: &Report) -> impl Iterator<Item = String> {
    let is_blemish = |warning: &&Warning| match warning {
        Warning::Blemish(_)
        | Warning::LeftOut(_)
        | Warning::UnreadableContacts(_)
        | Warning::Strange { .. } => true,
        Warning::Lengthened { .. }
        | Warning::UnknownRequire(_)
        | Warning::NoLifetime
        | Warning::Rewritten => false,
    };
    report.warnings.iter().filter(is_blemish).map(said_of)
}

fn said_of(warning: &Warning) -> String {
    match warning {
        Warning::Lengthened { asked, granted } => format!(
            "the registrar granted {} where {} were asked for; trust the shorter one",
            seconds(*granted),
            seconds(*asked)
        ),
        Warning::UnknownRequire(tag) => {
            format!("the answer requires the extension \"{}\", which sipreg never offered", escape(tag))
        }
        Warning::NoLifetime => {
            "the registrar does not say for how long the binding holds; the time asked for is taken"
                .to_owned()
        }
        Warning::UnreadableContacts(1) => {
            "one binding in the answer can't be read and is left out".to_owned()
        }
        Warning::UnreadableContacts(number) => {
            format!("{number} bindings in the answer can't be read and are left out")
        }
        Warning::Blemish(error) => {
            format!("the answer has a blemish, and was read for what it must mean: {error}")
        }
        Warning::LeftOut(error) => format!("an entry of the answer can't be read and is left out: {error}"),
        Warning::Strange { host, realm } => format!(
            "{host} asked for the password, and only a redirect named it: it was answered for realm \"{}\"",
            escape(realm)
        ),
        Warning::Rewritten => {
            "the registrar changed the contact; it was recognised by its address".to_owned()
        }
    }
}

/// `warning: ...`, escaped.
#[must_use]
pub fn warning(message: &str, paint: Paint) -> String {
    line(&paint.odd("warning:"), message)
}

/// The reason for another try, and its time.
#[must_use]
pub fn retrying(failure: &Failure, unusable: &Unusable, wait: Duration, paint: Paint) -> String {
    let why = match failure {
        Failure::Timeout => diagnose::unusable(unusable).unwrap_or_else(|| "no answer".to_owned()),
        Failure::Unreachable(Unreachable::Name { name, .. }) => format!("\"{name}\" can't be resolved"),
        Failure::Unreachable(Unreachable::NotOffered { name }) => format!("\"{name}\" does not offer SIP"),
        Failure::Unreachable(Unreachable::NoService { name, .. }) => {
            format!("\"{name}\" offers no service that can be used")
        }
        Failure::Unreachable(Unreachable::Network(cause)) => cause.to_string(),
        Failure::Unreachable(Unreachable::Closed) => "the connection was closed".to_owned(),
        Failure::Refused(refusal) => format!("answered {}", refusal.status()),
        Failure::Credentials(_) | Failure::Misbehaved(_) => "failed".to_owned(),
    };
    line(&paint.faint("retry:"), &format!("{why}; trying again in {:.1} s", wait.as_secs_f64()))
}

/// `error: ...`, escaped.
#[must_use]
pub fn error(message: &str, paint: Paint) -> String {
    line(&paint.bad("error:"), message)
}

/// `hint: ...`, escaped.
#[must_use]
pub fn hint(message: &str, paint: Paint) -> String {
    line(&paint.advice("hint:"), message)
}

fn line(label: &str, message: &str) -> String {
    format!("{label} {}\n", escape(&readable(message)))
}
