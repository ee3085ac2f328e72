//! What a check has found: a line for each step as soon as it is known, with what it means and what to do under those that
//! need it, and at the end what to mend first; or one JSON object; or a line for Nagios, or text for Prometheus.

use std::fmt::Write;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;

use super::json::{Object, schema_of};
use super::paint::Paint;
use crate::cli::exit::{Fault, FaultCause};
use crate::cli::finding::{Finding, Step, Verdict};
use crate::cli::text::{count, escape, json_line, milliseconds, readable, tenths};

/// Where messages begin, in columns.
const MESSAGE: usize = 23;
/// Where what is below a message begins to continue.
const COLUMNS: usize = 80;

/// What `sipreg check --json` prints: the object of the other commands, and the steps.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg check --json")]
pub struct CheckObject {
    #[serde(flatten)]
    object: Object,
    /// What was found, in the order of the steps. Several findings of a step are several entries.
    steps: Vec<StepFields>,
}

/// One finding of a step.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct StepFields {
    /// The step that it is of.
    step: Step,
    /// How it went.
    result: Verdict,
    /// The word for what is wrong. Null if nothing is.
    cause: Option<FaultCause>,
    /// What was seen, for people.
    message: String,
    /// What to do about it, for people.
    hint: Option<String>,
    /// Milliseconds that the step took, with at most one decimal.
    elapsed_ms: f64,
}

impl CheckObject {
    /// The object with what was found.
    #[must_use]
    pub fn new(object: Object, findings: &[Finding]) -> CheckObject {
        let step = |finding: &Finding| StepFields {
            step: finding.step,
            result: finding.verdict,
            cause: finding.cause,
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            elapsed_ms: tenths(finding.elapsed),
        };
        CheckObject { object, steps: findings.iter().map(step).collect() }
    }

    /// One line, with its line end.
    #[must_use]
    pub fn line(&self) -> String {
        json_line(self)
    }
}

/// The JSON Schema of [`CheckObject`], as text.
#[must_use]
pub fn schema() -> String {
    schema_of::<CheckObject>()
}

/// A step: its line, and below it what it means and what to do.
#[must_use]
pub fn step(finding: &Finding, paint: Paint) -> String {
    let word = finding.verdict.word();
    let label = match finding.verdict {
        Verdict::Ok => paint.good(word),
        Verdict::Skipped => paint.faint(word),
        Verdict::Warning => paint.odd(word),
        Verdict::Failed => paint.bad(word),
    };
    let pad = " ".repeat(9_usize.saturating_sub(word.len()));
    let name = format!("{:<13} ", finding.step.name());
    let mut text = format!("{label}{pad}{name}");
    text += &paragraph(&escape(&readable(&finding.message)), MESSAGE);
    if finding.verdict < Verdict::Warning {
        return text;
    }
    let entry = finding.entry();
    let mut row = |label: String, width: usize, said: &str| {
        let _ = write!(text, "{:MESSAGE$}{label} ", "");
        text += &paragraph(&escape(&readable(said)), MESSAGE + width + 1);
    };
    if let Some(entry) = entry {
        row(paint.faint("means:"), 6, entry.meaning);
    }
    if let Some(hint) = &finding.hint {
        row(paint.advice("hint:"), 5, hint);
    }
    if let Some(vain) = entry.and_then(|entry| entry.vain.first()) {
        row(paint.faint("don't:"), 6, vain);
    }
    if let Some(word) = finding.word() {
        row(paint.faint("more:"), 5, &format!("sipreg explain {word}"));
    }
    text
}

/// The last line: what was proved, or what to mend first.
#[must_use]
pub fn verdict(aor: &str, findings: &[Finding], requests: u32, elapsed: Duration, paint: Paint) -> String {
    let aor = escape(&readable(aor)).into_owned();
    let took = format!("{}, {}", count(requests, "request"), milliseconds(elapsed));
    let Some(worst) = worst(findings) else {
        return format!("{} {}", paint.good("Proved:"), hanging(&proved(&aor, findings, &took), 8, 8));
    };
    let what = worst.hint.as_deref().unwrap_or(&worst.message);
    let (label, lead) = if worst.verdict == Verdict::Failed {
        (paint.bad("Mend first:"), "")
    } else {
        (paint.odd(works(findings)), "To look at first: ")
    };
    let text = format!("{lead}{}: {}", name(worst), escape(&readable(what)));
    let indent = if worst.verdict == Verdict::Failed { 12 } else { works(findings).len() + 1 };
    let looked = format!("Checked with {} in {}.", count(requests, "request"), milliseconds(elapsed));
    let head = format!("{}\n", paint.faint(&looked));
    head + &format!("{label} {}", hanging(&text, indent, 2))
}

/// What holds where there are warnings only.
fn works(findings: &[Finding]) -> &'static str {
    if holds(findings, Step::Reach) {
        "It works."
    } else if holds(findings, Step::Binding) {
        "It can register."
    } else {
        "Nothing failed, and not much could be looked at."
    }
}

/// Whether a step was looked at, and holds, whatever is odd about it. Of what warns at `reach` nothing has arrived.
fn holds(findings: &[Finding], step: Step) -> bool {
    let enough = if step == Step::Reach { Verdict::Ok } else { Verdict::Warning };
    findings.iter().any(|one| one.step == step && (one.verdict == Verdict::Ok || one.verdict == enough))
}

/// What is to be mended first, or, where nothing failed, looked at: the first of its kind.
fn worst(findings: &[Finding]) -> Option<&Finding> {
    let first = |verdict| findings.iter().find(|finding| finding.verdict == verdict);
    first(Verdict::Failed).or_else(|| first(Verdict::Warning))
}

/// The step and the cause of a finding: `network (silent)`.
fn name(finding: &Finding) -> String {
    let word = finding.cause.map(FaultCause::word).unwrap_or_default();
    format!("{} ({word})", finding.step.name())
}

/// What a check without a finding has shown.
fn proved(aor: &str, findings: &[Finding], took: &str) -> String {
    let mut text = if holds(findings, Step::Reach) {
        format!("{aor} can register, and a call to it arrives here")
    } else if holds(findings, Step::Binding) {
        format!("{aor} can register; whether a call arrives was not measured")
    } else {
        format!("nothing failed for {aor}, and not much could be looked at")
    };
    let _ = write!(text, " ({took}).");
    text
}

/// The text broken before column 80, whose first line begins at that column, as do the others.
fn paragraph(text: &str, column: usize) -> String {
    hanging(text, column, column)
}

/// The same, with the column of the other lines.
fn hanging(text: &str, column: usize, rest: usize) -> String {
    let mut broken = String::new();
    let mut used = column;
    let mut is_first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !is_first && used + 1 + length > COLUMNS {
            let _ = write!(broken, "\n{:rest$}", "");
            used = rest;
        } else if !is_first {
            broken.push(' ');
            used += 1;
        }
        broken += word;
        used += length;
        is_first = false;
    }
    broken.push('\n');
    broken
}

/// The state for Nagios, and the exit status that stands for it.
#[must_use]
pub fn nagios_state(findings: &[Finding]) -> (&'static str, u8) {
    let is = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    if is(Verdict::Failed) {
        ("CRITICAL", 2)
    } else if !holds(findings, Step::Binding) {
        ("UNKNOWN", 3)
    } else if is(Verdict::Warning) {
        ("WARNING", 1)
    } else {
        ("OK", 0)
    }
}

/// The line for Nagios: state, what was found first, and performance data.
#[must_use]
pub fn nagios(aor: &str, findings: &[Finding], requests: u32, elapsed: Duration) -> String {
    let number = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warned) = (number(Verdict::Failed), number(Verdict::Warning));
    let (state, _) = nagios_state(findings);
    let worst = findings.iter().max_by_key(|finding| (finding.verdict, std::cmp::Reverse(finding.step)));
    let what = match worst.filter(|worst| worst.verdict >= Verdict::Warning) {
        Some(worst) => {
            let word = worst.cause.map(FaultCause::word).unwrap_or_default();
            format!("{aor}: {} {word}: {}", worst.step.name(), worst.message)
        }
        None if holds(findings, Step::Reach) => format!("{aor} can register and be called"),
        None if holds(findings, Step::Binding) => format!("{aor} can register"),
        None => format!("{aor}: nothing failed, but it was not bound either"),
    };
    // A bar would begin the performance data.
    let what = escape(&what).replace(['|', '\n'], " ");
    let mut line = format!(
        "SIPREG {state} - {what} | time={:.3}s requests={requests} failed={failed} warnings={warned}",
        elapsed.as_secs_f64()
    );
    for step in Step::all() {
        let of_step = findings.iter().filter(|finding| finding.step == *step);
        let measured = of_step.filter(|finding| finding.verdict != Verdict::Skipped);
        if let Some(longest) = measured.map(|finding| finding.elapsed).max() {
            let _ = write!(line, " {}={:.3}s", step.name(), longest.as_secs_f64());
        }
    }
    line.push('\n');
    line
}

type Labels = Vec<(&'static str, String)>;

/// What Prometheus reads.
#[must_use]
pub fn prometheus(aor: &str, findings: &[Finding], requests: u32, elapsed: Duration, now: u64) -> String {
    let mut registry = Registry::with_prefix("sipreg_check");
    let aor = || vec![("aor", aor.to_owned())];
    let is_bad = |finding: &Finding| finding.verdict >= Verdict::Warning;
    let gauges = || Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    let (ok, steps, causes, sent) = (gauges(), gauges(), gauges(), gauges());
    let (took, at) = (gauges(), gauges());
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    ok.get_or_create(&aor()).set(if failed { 0.0 } else { 1.0 });
    for finding in findings {
        let step = ("step", finding.step.name());
        let value: f64 = match finding.verdict {
            Verdict::Ok => 0.0,
            Verdict::Warning => 1.0,
            Verdict::Failed => 2.0,
            // What was not measured is left out, and never told as zero.
            Verdict::Skipped => continue,
        };
        let labels = [aor(), vec![step.clone()]].concat();
        let before = steps.get_or_create(&labels).get();
        steps.get_or_create(&labels).set(value.max(before));
        if let Some(cause) = finding.cause.filter(|_| is_bad(finding)) {
            let labels = [aor(), vec![step, ("cause", cause.word())]].concat();
            causes.get_or_create(&labels).set(value);
        }
    }
    sent.get_or_create(&aor()).set(f64::from(requests));
    took.get_or_create(&aor()).set(elapsed.as_secs_f64());
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit into the digits of a float")]
    at.get_or_create(&aor()).set(now as f64);
    registry.register("ok", "Whether nothing failed", ok);
    registry.register("step", "0: ok, 1: warning, 2: failed; absent: not looked at", steps);
    registry.register("cause", "What was found: 1 as a warning, 2 as a failure", causes);
    registry.register("requests", "Requests sent", sent);
    registry.register("duration_seconds", "Time that it took", took);
    registry.register("time_seconds", "When it ended, in seconds since 1970", at);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    // The end mark is OpenMetrics', and none of the text format.
    text.truncate(text.rfind("# EOF").unwrap_or(text.len()));
    in_order(&text)
}

/// The samples of each metric in their order: the registry has them in any.
fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for samples in lines.split_mut(|line| line.starts_with('#')) {
        samples.sort_unstable();
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Why a check failed: its first failed step.
#[must_use]
pub fn fault(findings: &[Finding], warnings: Vec<String>) -> Option<Fault> {
    let failed = findings.iter().find(|finding| finding.verdict == Verdict::Failed)?;
    let fault = Fault::new(failed.exit, failed.message.clone(), failed.hint.clone());
    Some(Fault { cause: failed.cause, warnings, ..fault })
}

/// The one thing that is said where nothing else is: what decides how the check ends.
#[must_use]
pub fn last_word(findings: &[Finding], warnings: Vec<String>) -> Option<Fault> {
    let worst = worst(findings)?;
    let message = format!("{}: {}", name(worst), worst.message);
    Some(Fault { cause: worst.cause, warnings, ..Fault::new(worst.exit, message, worst.hint.clone()) })
}
