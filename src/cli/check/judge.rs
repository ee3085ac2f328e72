//! What the facts of a check mean: each step is judged as soon as what it needs is known, in the order of the steps.
//!
//! Facts come as [`Measured`]; what leaves is a list of [`Finding`]s. A word is given only to what was shown: by what came
//! back, or by a second experiment; what may be otherwise is said to be so ("probably"), and what was not measured is said
//! to be skipped.

mod network;
mod registration;
mod way;

use crate::cli::finding::{Finding, Step, Verdict};
use crate::cli::text::seconds;
use crate::proto::check::{
    Contacts, Dated, End, Ending, Later, Life, Measured, Names, Others, Passage, Sighting,
};
use crate::proto::client::outcome::{Attempt, AttemptResult, Remote, Report};
use crate::proto::locate::Families;
use crate::proto::{AnswerFault, Lookup, Time};

/// What is done at the end, in words.
pub const WITHDRAWING: &str = "removing what was bound";

/// What is known of an account before anything is sent.
#[derive(Clone, Debug, Default)]
pub struct Intent {
    /// The first step, in words.
    pub account: String,
    /// The user part of the AOR, which the contact has, too.
    pub user: Option<String>,
    /// The lifetime that is asked for, in seconds.
    pub lifetime: u32,
    /// Which addresses may be used.
    pub families: Families,
    /// A certificate of ours may take the place of a password.
    pub shows_certificate: bool,
    /// How long the way was left without traffic.
    pub patience: Option<std::time::Duration>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub intent: Intent,
    /// What each name server said.
    pub lookups: Vec<Lookup>,
    pub names: Option<Names>,
    pub contacts: Option<Contacts>,
    pub login: Option<Box<Report>>,
    pub life: Option<Life>,
    pub passage: Option<Box<Passage>>,
    pub reached: Option<Option<Box<Later>>>,
    pub dates: Vec<Dated>,
    pub others: Option<Box<Others>>,
    pub now: Time,
}

/// Judges the facts as they come.
#[derive(Debug, Default)]
pub struct Judge {
    facts: Facts,
    /// The steps that were told, until this one.
    told: Vec<Step>,
    /// Those of them that failed.
    failed: Vec<Step>,
    ending: Option<Ending>,
}

impl Judge {
    /// A judge who knows what is going to be used.
    #[must_use]
    pub fn new(intent: Intent) -> Judge {
        Judge { facts: Facts { intent, ..Facts::default() }, ..Judge::default() }
    }

    /// The first step: what is going to be used.
    #[must_use]
    pub fn begin(&mut self) -> Vec<Finding> {
        self.told.push(Step::Account);
        vec![Finding::ok(Step::Account, self.facts.intent.account.clone())]
    }

    /// A name server said something.
    pub fn on_lookup(&mut self, lookup: Lookup) {
        self.facts.lookups.push(lookup);
    }

    /// What a fact means, with all facts before it.
    #[must_use]
    pub fn on(&mut self, measured: Measured, now: Time) -> Vec<Finding> {
        self.facts.now = now;
        let mut found = Vec::new();
        match measured {
            Measured::Names(names) => {
                self.facts.names = Some(names);
                self.tell(Step::Dns, network::names(&self.facts), &mut found);
            }
            Measured::Contacts(contacts) => {
                self.facts.contacts = Some(contacts);
                self.tell(Step::Network, network::destinations(&self.facts), &mut found);
                self.tell(Step::Tls, network::sessions(&self.facts), &mut found);
                if let Some(unanswered) = registration::unanswered(&self.facts) {
                    self.tell(Step::Registrar, unanswered, &mut found);
                }
            }
            Measured::Speaks => self.tell(Step::Registrar, registration::speaks(&self.facts), &mut found),
            Measured::Login(report) => {
                self.facts.login = Some(report);
                let verdicts = registration::login(&self.facts);
                // The word for a password that nobody gave belongs to a step that was told already.
                self.tell(Step::Account, verdicts.account, &mut found);
                self.tell(Step::Registrar, verdicts.registrar, &mut found);
                self.tell(Step::Credentials, verdicts.credentials, &mut found);
                if let Some(binding) = verdicts.binding {
                    self.tell(Step::Binding, binding, &mut found);
                }
            }
            Measured::Life(life) => {
                self.facts.life = Some(life);
                self.tell(Step::Binding, registration::life(&self.facts), &mut found);
            }
            Measured::Passage(passage) => {
                self.facts.passage = Some(passage);
                self.tell(Step::Binding, registration::bound_again(&self.facts), &mut found);
                self.tell(Step::Way, way::way(&self.facts), &mut found);
            }
            Measured::Reached(call) => {
                self.facts.reached = Some(call);
                self.tell(Step::Reach, way::reach(&self.facts), &mut found);
            }
            Measured::Dates(dates) => {
                self.facts.dates = dates;
                self.tell(Step::Clock, way::clock(&self.facts), &mut found);
            }
            Measured::Others(others) => {
                self.facts.others = Some(others);
                self.tell(Step::Others, way::others(&self.facts), &mut found);
            }
            Measured::End(ending) => {
                self.ending = Some(ending);
                self.tell(Step::Binding, registration::unfinished(&self.facts, ending), &mut found);
                if ending.is_cut_short && self.facts.passage.is_none() {
                    self.tell(Step::Way, way::tampered_in_answers(&self.facts), &mut found);
                }
                for step in Step::all().iter().copied() {
                    let skipped = if ending.is_cut_short {
                        Finding::skipped(step, "not looked at: the time was up")
                    } else {
                        self.passed_by(step)
                    };
                    self.tell(step, vec![skipped], &mut found);
                }
            }
        }
        found
    }

    /// The first step that nothing is said of yet, and what is done for it right now; without a step: what is done when all
    /// of them are told.
    #[must_use]
    pub fn under_way(&self) -> (Option<Step>, String) {
        let step = Step::all().iter().copied().find(|step| !self.told.contains(step));
        let what = match (step, self.facts.intent.patience) {
            (Some(Step::Reach), Some(patience)) => {
                let patience = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX);
                format!("waiting for {} without traffic, to be called again then", seconds(patience))
            }
            (Some(step), _) => step.work().to_owned(),
            (None, _) => WITHDRAWING.to_owned(),
        };
        (step, what)
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The registration that was made; `None`: it never came to that.
    #[must_use]
    pub fn login(&self) -> Option<&Report> {
        self.facts.login.as_deref()
    }

    /// What was measured of every destination.
    #[must_use]
    pub fn contacts(&self) -> Option<&Contacts> {
        self.facts.contacts.as_ref()
    }

    /// What the name service said.
    #[must_use]
    pub fn names(&self) -> Option<&Names> {
        self.facts.names.as_ref()
    }

    /// Tells a step, once, and before it those that were passed by.
    fn tell(&mut self, step: Step, findings: Vec<Finding>, found: &mut Vec<Finding>) {
        if findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
            self.failed.push(step);
        }
        if self.told.contains(&step) {
            // What is wrong after all is told as well.
            found.extend(findings.into_iter().filter(|finding| finding.verdict >= Verdict::Warning));
            return;
        }
        if findings.is_empty() {
            return;
        }
        for before in Step::all().iter().copied().filter(|before| *before < step) {
            if !self.told.contains(&before) {
                self.told.push(before);
                found.push(self.passed_by(before));
            }
        }
        self.told.push(step);
        found.extend(findings);
    }

    /// A step that nobody came to: the last one before it that failed is why.
    fn passed_by(&self, step: Step) -> Finding {
        match self.failed.iter().copied().filter(|failed| *failed < step).max() {
            Some(failed) => Finding::after(step, failed),
            None => Finding::skipped(step, "not looked at: there was nothing to go on from"),
        }
    }
}

/// Whether somebody on the way has changed what makes an answer ours.
pub(super) fn is_spoilt(fault: AnswerFault) -> bool {
    match fault {
        AnswerFault::SentBy | AnswerFault::CallId | AnswerFault::FromTag => true,
        AnswerFault::Unreadable(_)
        | AnswerFault::Via(_)
        | AnswerFault::CSeq(_)
        | AnswerFault::Branch
        | AnswerFault::Vias
        | AnswerFault::Number
        | AnswerFault::Method
        | AnswerFault::Incomplete => false,
    }
}

/// One attempt for each destination that a check has looked at, and for each name that it has not found.
#[must_use]
pub fn attempts(judge: &Judge) -> Vec<Attempt> {
    let unresolved = judge.names().into_iter().flat_map(|names| &names.unresolved);
    let mut attempts: Vec<Attempt> = unresolved
        .map(|(name, error)| Attempt {
            transport: None,
            remote: Remote::Name(name.clone()),
            origin: None,
            result: AttemptResult::Dns(*error),
        })
        .collect();
    let contacts = judge.contacts().into_iter().flat_map(|contacts| &contacts.contacts);
    attempts.extend(contacts.filter(|contact| contact.is_offered).map(|contact| {
        let Sighting { destination, origin, end, .. } = &contact.sighting;
        Attempt {
            transport: Some(destination.transport),
            remote: Remote::Address(destination.address),
            origin: origin.clone(),
            result: match (contact.sighting.status(), end) {
                (Some(status), _) => AttemptResult::Status(status),
                (None, End::Failed(cause)) => AttemptResult::Failed(*cause),
                (None, End::Closed | End::OutOfStep(_)) => AttemptResult::Closed,
                (None, End::Silent | End::Connected | End::Answered) => AttemptResult::Timeout,
            },
        }
    }));
    attempts
}
