//! What a check has found: the steps, and how each went.

use std::time::Duration;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::exit::{Exit, Fault, FaultCause};
use crate::cli::explain::{self, Entry};

/// The steps, in their order.
// Scripts rely on the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[schemars(rename = "Step")]
pub enum Step {
    /// What is going to be used.
    Account,
    /// The name service.
    Dns,
    /// Whether every destination answers, and how soon.
    Network,
    /// Who they prove to be.
    Tls,
    /// Whether a registrar is there, for this domain.
    Registrar,
    /// Whether it lets us in.
    Credentials,
    /// What becomes of a binding.
    Binding,
    /// What is changed on the way, or gets lost.
    Way,
    /// Whether a call would arrive.
    Reach,
    /// Whose clock is right.
    Clock,
    /// The other servers and bindings.
    Others,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StepResult")]
pub enum Verdict {
    /// It was looked at, and holds.
    Ok,
    /// There was nothing to look at, or no way to.
    Skipped,
    /// It holds, and yet something is odd.
    Warning,
    /// It does not hold.
    Failed,
}

/// One thing that was found at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The step at which it was found.
    pub step: Step,
    /// How it went.
    pub verdict: Verdict,
    /// The word for what is wrong.
    pub cause: Option<FaultCause>,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What the command ends with because of it.
    pub exit: Exit,
    /// How long the step took.
    pub elapsed: Duration,
}

impl Step {
    /// Every step, in order.
    #[must_use]
    pub fn all() -> &'static [Step] {
        Step::value_variants()
    }

    /// Its name in every output.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What is done while it is under way, in words.
    #[must_use]
    pub fn work(self) -> &'static str {
        match self {
            Step::Account => "reading what is known of the account",
            Step::Dns => "asking the name servers",
            Step::Network => "waiting for every destination to answer",
            Step::Tls => "looking at certificates",
            Step::Registrar => "waiting for an answer to REGISTER",
            Step::Credentials => "registering",
            Step::Binding => "listing what is bound, and removing it",
            Step::Way => "sending a request to ourselves, and large ones to the registrar",
            Step::Reach => "waiting for a request for the AOR",
            Step::Clock => "comparing clocks",
            Step::Others => "asking the other servers, and at the other bindings",
        }
    }
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Skipped => "skipped",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        }
    }
}

impl Finding {
    fn new(step: Step, verdict: Verdict, message: impl Into<String>) -> Finding {
        let message = message.into();
        let elapsed = Duration::ZERO;
        Finding { step, verdict, cause: None, message, hint: None, exit: Exit::Done, elapsed }
    }

    /// A step that holds.
    #[must_use]
    pub fn ok(step: Step, message: impl Into<String>) -> Finding {
        Finding::new(step, Verdict::Ok, message)
    }

    /// A step that was not looked at.
    #[must_use]
    pub fn skipped(step: Step, message: impl Into<String>) -> Finding {
        Finding::new(step, Verdict::Skipped, message)
    }

    /// A step that was not looked at because another one has failed.
    #[must_use]
    pub fn after(step: Step, failed: Step) -> Finding {
        Finding::skipped(step, format!("not looked at: the {} step has failed", failed.name()))
    }

    /// Something odd; the hint is what is known of the cause.
    #[must_use]
    pub fn warning(step: Step, cause: FaultCause, message: impl Into<String>) -> Finding {
        Finding { cause: Some(cause), ..Finding::new(step, Verdict::Warning, message) }.with_usual_hint()
    }

    /// Something wrong; the hint is what is known of the cause.
    #[must_use]
    pub fn failed(step: Step, cause: FaultCause, exit: Exit, message: impl Into<String>) -> Finding {
        Finding { cause: Some(cause), exit, ..Finding::new(step, Verdict::Failed, message) }.with_usual_hint()
    }

    /// What a failure of a registration means for a step; `otherwise` is the word for one that has none of its own.
    #[must_use]
    pub fn of_fault(step: Step, fault: Fault, otherwise: FaultCause) -> Finding {
        let cause = fault.cause.unwrap_or(otherwise);
        let finding = Finding::failed(step, cause, fault.kind, fault.message);
        Finding { hint: fault.hint.or(finding.hint), ..finding }
    }

    /// The same, with another end of the command.
    #[must_use]
    pub fn ending(self, exit: Exit) -> Finding {
        Finding { exit, ..self }
    }

    /// The same, with this hint.
    #[must_use]
    pub fn hinting(self, hint: impl Into<String>) -> Finding {
        Finding { hint: Some(hint.into()), ..self }
    }

    /// What is known of its cause.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Entry> {
        explain::of_word(&self.word()?)
    }

    /// The word that `sipreg explain` knows its cause by: two of them are names of exit statuses, too.
    #[must_use]
    pub fn word(&self) -> Option<String> {
        Some(explain::cause_word(&self.cause?.word()))
    }

    fn with_usual_hint(self) -> Finding {
        let hint = self.entry().and_then(Entry::first_remedy);
        Finding { hint: hint.map(str::to_owned), ..self }
    }
}
