//! What `keep` tells: lines for people, or one JSON object per event.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::Reporter;
use super::fault::Kind;
use super::json::Told;
use super::paint::Paint;
use super::text::{escape, rfc3339, seconds};
use crate::cli::diagnose::{Diagnosis, diagnose};
use crate::proto::Time;
use crate::proto::client::outcome::{Report, Success};
use crate::proto::client::schedule::{AccountEvent, Departure};

/// So many bindings of others are named.
const OTHERS_SHOWN: usize = 5;

/// One event of `sipreg keep --json`. Every key is always there; what does not apply is null, [] or 0.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg keep --json")]
pub struct Event {
    /// What happened.
    event: Name,
    /// When: RFC 3339, UTC.
    time: String,
    /// What `sipreg register` would say.
    #[serde(flatten)]
    told: Told,
    /// Seconds until the next try. Null if there is none.
    next_attempt_in: Option<f64>,
    /// Seconds that it is still bound, as far as is known. Null if it is not.
    bound_for: Option<f64>,
    /// `incoming`: what somebody wanted.
    method: Option<String>,
    /// `incoming`: who they said they are; their URI.
    from: Option<String>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// A try begins, and nothing is bound yet or any more.
    Registering,
    /// It is bound.
    Registered,
    /// It is bound for longer.
    Refreshed,
    /// A try failed.
    Failed,
    /// The connection broke over which it was bound.
    FlowFailed,
    /// The address of this device has changed: it is bound anew.
    NetworkChanged,
    /// Somebody called, and was answered with `status`.
    Incoming,
    /// Another device was bound or is no longer: `bindings` has all.
    BindingsChanged,
    /// The removal has ended; `error` says whether it failed.
    Unregistered,
    /// It is kept no longer: the last event of this account.
    Stopped,
}

impl Name {
    fn of(what: &AccountEvent) -> Name {
        match what {
            AccountEvent::Registering => Name::Registering,
            AccountEvent::Registered { .. } => Name::Registered,
            AccountEvent::Refreshed { .. } => Name::Refreshed,
            AccountEvent::Failed { .. } => Name::Failed,
            AccountEvent::FlowFailed { .. } => Name::FlowFailed,
            AccountEvent::NetworkChanged => Name::NetworkChanged,
            AccountEvent::Incoming { .. } => Name::Incoming,
            AccountEvent::Unregistered(_) => Name::Unregistered,
            AccountEvent::Stopped(_) => Name::Stopped,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Name::Registering => "registering",
            Name::Registered => "registered",
            Name::Refreshed => "refreshed",
            Name::Failed => "failed",
            Name::FlowFailed => "flow_failed",
            Name::NetworkChanged => "network_changed",
            Name::Incoming => "incoming",
            Name::BindingsChanged => "bindings_changed",
            Name::Unregistered => "unregistered",
            Name::Stopped => "stopped",
        }
    }
}

/// How one account stands.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// Whose.
    pub aor: &'a str,
    /// Until when it is bound, if it is.
    pub until: Option<Time>,
    /// When the next try is due, if one is.
    pub next: Option<Time>,
    /// The last failure since it was bound.
    pub failure: Option<&'a str>,
}

impl Standing<'_> {
    /// Whether it is bound.
    #[must_use]
    pub fn is_bound(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Event {
    /// What happened to the account of `aor`, which is bound `until` then.
    #[must_use]
    pub fn of(aor: &str, what: &AccountEvent, until: Option<Time>, now: Time) -> Event {
        let told = |report: &Report| {
            let told = Told::of(report, Some(aor.to_owned()));
            match &report.result {
                Ok(_) => told,
                Err(failure) => {
                    let Diagnosis { message, hint, .. } = diagnose(failure, report);
                    told.with_error(Kind::from(failure), message, hint)
                }
            }
        };
        let bare = || Told::of_aor(aor.to_owned());
        let (told, next) = match what {
            AccountEvent::Registering | AccountEvent::NetworkChanged => (bare(), None),
            AccountEvent::Registered { report, next, .. } | AccountEvent::Refreshed { report, next, .. } => {
                (told(report), Some(*next))
            }
            AccountEvent::Failed { report, next, .. } => (told(report), *next),
            AccountEvent::FlowFailed { cause, next } => {
                (bare().with_error(Kind::Unreachable, flow_failed(*cause), None), Some(*next))
            }
            AccountEvent::Incoming { status, .. } => (bare().with_status(*status), None),
            AccountEvent::Unregistered(report) => (told(report), None),
            AccountEvent::Stopped(Departure::Unconfirmed) => {
                let message = "the registrar did not confirm in time that the binding is removed".to_owned();
                (bare().with_error(Kind::Timeout, message, None), None)
            }
            AccountEvent::Stopped(Departure::Unbound | Departure::Removed) => (bare(), None),
        };
        let wait = |next: Time| next.since(now).as_secs_f64();
        let (method, from) = match what {
            AccountEvent::Incoming { method, from, .. } => (Some(method.clone()), Some(from.clone())),
            AccountEvent::Registering
            | AccountEvent::Registered { .. }
            | AccountEvent::Refreshed { .. }
            | AccountEvent::Failed { .. }
            | AccountEvent::FlowFailed { .. }
            | AccountEvent::NetworkChanged
            | AccountEvent::Unregistered(_)
            | AccountEvent::Stopped(_) => (None, None),
        };
        let next_attempt_in = next.map(wait);
        let bound_for = until.filter(|until| now < *until).map(wait);
        Event { event: Name::of(what), time: rfc3339(now), told, next_attempt_in, bound_for, method, from }
    }

    /// The answer that bound the account has other bindings of other devices than the one before.
    #[must_use]
    pub fn bindings_changed(aor: &str, report: &Report, until: Time, now: Time) -> Event {
        Event {
            event: Name::BindingsChanged,
            time: rfc3339(now),
            told: Told::of(report, Some(aor.to_owned())),
            next_attempt_in: None,
            bound_for: Some(until.since(now).as_secs_f64()),
            method: None,
            from: None,
        }
    }

    /// Its name, as scripts know it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.event.as_str()
    }

    /// One line, with its line end.
    #[must_use]
    pub fn line(&self) -> String {
        // Strings, numbers and string keys only: there is nothing that JSON can't hold.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// The JSON Schema of [`Event`].
#[must_use]
pub fn schema() -> String {
    super::json::schema_of::<Event>()
}

impl Reporter<'_, '_> {
    /// Something happened to an account; `event` is the line of JSON that says it. `Err`: nobody reads it any more.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn kept(
        &mut self,
        aor: &str,
        what: &AccountEvent,
        event: impl FnOnce() -> String,
        now: Time,
    ) -> io::Result<()> {
        if self.settings.json {
            return self.stdout(event().as_bytes());
        }
        let is_failure =
            matches!(what, AccountEvent::Failed { .. } | AccountEvent::Stopped(Departure::Unconfirmed));
        if self.settings.quiet {
            if is_failure {
                let text = line(aor, what, now, self.err);
                self.stderr(&text);
            }
            return Ok(());
        }
        if !self.drawn.is_empty()
            && matches!(what, AccountEvent::Registering | AccountEvent::Refreshed { .. })
        {
            return Ok(());
        }
        let text = line(aor, what, now, self.out);
        let text = super::fitted(&text, self.streams.stdout_is_terminal);
        self.stdout(text.as_bytes())
    }

    /// The bindings of other devices are no longer those of the answer before.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn bindings_changed(
        &mut self,
        aor: &str,
        success: &Success,
        event: impl FnOnce() -> String,
        now: Time,
    ) -> io::Result<()> {
        if self.settings.json {
            return self.stdout(event().as_bytes());
        }
        if self.settings.quiet {
            return Ok(());
        }
        let others: Vec<String> = others(success).map(|uri| escape(&uri).into_owned()).collect();
        let text = match others.len() {
            0 => "no other device is bound any more".to_owned(),
            1 => format!("also bound: {}", others.join("")),
            many => {
                let shown: Vec<&str> = others.iter().take(OTHERS_SHOWN).map(String::as_str).collect();
                let more = if many > shown.len() { ", ..." } else { "" };
                format!("{many} others are bound: {}{more}", shown.join(", "))
            }
        };
        let aor = escape(aor.strip_prefix("sip:").unwrap_or(aor)).into_owned();
        let text = format!("{}  {}  {aor}: {text}\n", clock(now), self.out.strong("changed     "));
        self.stdout(text.as_bytes())
    }

    /// How all accounts stand, on stderr.
    pub fn standings<'a>(&mut self, all: impl Iterator<Item = Standing<'a>>, now: Time) {
        let text: String = all.map(|standing| standing_line(&standing, now, self.err)).collect();
        self.stderr(&text);
    }
}

/// The URIs that other devices have bound.
pub fn others(success: &Success) -> impl Iterator<Item = String> {
    let live = success.bindings.iter().filter(|binding| !binding.own && binding.expires > 0);
    live.map(|binding| binding.contact.uri.to_string())
}

/// One line for people, and a hint below it where there is nothing but that to do.
fn line(aor: &str, what: &AccountEvent, now: Time, paint: Paint) -> String {
    let clock = clock(now);
    let aor = escape(aor.strip_prefix("sip:").unwrap_or(aor)).into_owned();
    let told = |mark: String, text: String| format!("{clock}  {mark}  {text}\n");
    let lasts = |until: Time, next: Time| {
        format!("{aor} for {}, next in {}", seconds(left(until, now)), seconds(left(next, now)))
    };
    match what {
        AccountEvent::Registering => told(paint.strong("registering "), aor),
        AccountEvent::Registered { until, next, .. } => {
            told(paint.good("registered  "), lasts(*until, *next))
        }
        AccountEvent::Refreshed { until, next, .. } => told(paint.good("refreshed   "), lasts(*until, *next)),
        AccountEvent::Failed { report, until, next } => {
            let Some(Diagnosis { message, hint, .. }) =
                report.result.as_ref().err().map(|failure| diagnose(failure, report))
            else {
                return String::new();
            };
            let still =
                until.map(|at| format!("; bound for {} more", seconds(left(at, now)))).unwrap_or_default();
            let then = match next {
                Some(next) => format!("; next try in {}", seconds(left(*next, now))),
                None => "; not tried again".to_owned(),
            };
            let hint = hint.filter(|_| next.is_none()).map(|hint| super::human::hint(&hint, paint));
            told(paint.bad("failed      "), format!("{aor}: {message}{still}{then}"))
                + &hint.unwrap_or_default()
        }
        AccountEvent::FlowFailed { cause, next } => {
            let then = seconds(left(*next, now));
            told(paint.odd("flow failed "), format!("{aor}: {}; next try in {then}", flow_failed(*cause)))
        }
        AccountEvent::NetworkChanged => {
            told(paint.odd("moved       "), format!("{aor}: the network has changed"))
        }
        AccountEvent::Incoming { method, from, status } => told(
            paint.strong("incoming    "),
            format!("{aor}: {} from {}: {status}", escape(method), escape(from)),
        ),
        AccountEvent::Unregistered(report) => match &report.result {
            Ok(_) => told(paint.good("unregistered"), aor),
            Err(failure) => {
                let message = diagnose(failure, report).message;
                told(paint.bad("unregistered"), format!("{aor}: not confirmed: {message}"))
            }
        },
        AccountEvent::Stopped(Departure::Unconfirmed) => told(
            paint.bad("stopped     "),
            format!("{aor}: the registrar did not confirm that it is removed"),
        ),
        AccountEvent::Stopped(Departure::Unbound | Departure::Removed) => {
            told(paint.strong("stopped     "), aor)
        }
    }
}

fn standing_line(standing: &Standing<'_>, now: Time, paint: Paint) -> String {
    let Standing { aor, until, next, failure } = standing;
    let aor = escape(aor.strip_prefix("sip:").unwrap_or(aor)).into_owned();
    let state = match until.filter(|until| now < *until) {
        Some(until) => paint.good(&format!("bound for {}", seconds(left(until, now)))),
        None => paint.bad("not bound"),
    };
    let then = match next {
        Some(next) => format!(", next in {}", seconds(left(*next, now))),
        None => String::new(),
    };
    let failure = failure.map(|text| format!("; {}", escape(text))).unwrap_or_default();
    format!("{aor}: {state}{then}{failure}\n")
}

fn flow_failed(cause: Option<crate::proto::Cause>) -> String {
    match cause {
        Some(cause) => format!("the connection broke: {cause}"),
        None => "the registrar closed the connection".to_owned(),
    }
}

/// `10:20:59`, UTC.
fn clock(now: Time) -> String {
    let text = rfc3339(now);
    text.get(11..19).unwrap_or_default().to_owned()
}

/// Whole seconds, the last one counted.
fn left(at: Time, now: Time) -> u32 {
    u32::try_from(at.since(now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
