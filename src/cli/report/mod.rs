//! What is shown, and where. Nothing else in the program writes to stdout.
//!
//! Data go to stdout: the report, the JSON object, the schema, the request of a dry run. What is about the data goes
//! to stderr: errors, warnings, hints, the ladder.

mod board;
pub mod demo;
pub mod fault;
pub mod human;
pub mod json;
pub mod keeping;
pub mod ladder;
mod mask;
pub mod paint;
pub mod serving;
pub mod text;

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::exit::Exit;
use super::usage::UsageError;
use super::values::ColorChoice;
use super::{Environment, Signal};
use crate::proto::Dropped;
use crate::proto::diagnose::{Diagnosis, diagnose};
use crate::proto::outcome::{Failure, Report, Success, Warning};
use crate::proto::plan::Purpose;

use crate::sip::AnyUri;

use fault::Kind;
use json::{CommandName, Object};
use paint::Paint;

/// What the user wants to see.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The AOR as reports name it.
    pub aor: Option<String>,
    /// `--json`.
    pub json: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// How often `-v`.
    pub verbosity: u8,
    /// `--show-secrets`.
    pub show_secrets: bool,
    /// `--color`.
    pub color: ColorChoice,
    /// This device itself is bound, and nobody answers there once the command has ended.
    pub ends_unanswered: bool,
}

/// What a command waited for when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Another process.
    Lock,
    /// The password, from a file that is a pipe, or from a program.
    Secret,
}

/// Where output goes.
pub struct Streams<'a> {
    /// Data.
    pub stdout: &'a mut dyn Write,
    /// What is about the data.
    pub stderr: &'a mut dyn Write,
    /// Whether a person looks at stdout.
    pub stdout_is_terminal: bool,
    /// Whether a person looks at stderr.
    pub stderr_is_terminal: bool,
}

/// Writes reports; each final one says how the process is to exit.
pub struct Reporter<'s, 'a> {
    streams: &'s mut Streams<'a>,
    settings: Settings,
    command: Option<CommandName>,
    /// For stdout.
    out: Paint,
    /// For stderr.
    err: Paint,
    is_dumb: bool,
    /// Lines of the board that stand on the terminal.
    drawn: Vec<String>,
}

impl<'s, 'a> Reporter<'s, 'a> {
    /// `command` is null in JSON as long as none is recognised.
    pub fn new(
        streams: &'s mut Streams<'a>,
        settings: Settings,
        command: Option<CommandName>,
        environment: &Environment,
    ) -> Reporter<'s, 'a> {
        let out = Paint::new(settings.color, environment, streams.stdout_is_terminal);
        let err = Paint::new(settings.color, environment, streams.stderr_is_terminal);
        Reporter {
            streams,
            settings,
            command,
            out,
            err,
            is_dumb: environment.dumb_terminal,
            drawn: Vec::new(),
        }
    }

    /// A message passed.
    pub fn message(&mut self, passing: &ladder::Passing<'_>) {
        if self.settings.verbosity > 0 {
            let mut text = ladder::line(passing, self.err);
            if self.settings.verbosity > 1 {
                text += &ladder::whole(passing.bytes, self.settings.show_secrets);
            }
            self.stderr(&text);
        }
    }

    /// Something that arrived was not used.
    pub fn dropped(&mut self, at: Duration, peer: SocketAddr, reason: Dropped) {
        if self.settings.verbosity > 0 {
            let text = ladder::dropped(at, peer, reason, self.err);
            self.stderr(&text);
        }
    }

    /// The registration is over.
    pub fn finished(&mut self, report: &Report) -> Exit {
        if !self.settings.quiet {
            let warnings = human::warnings(report, self.err);
            self.stderr(&warnings);
        }
        match &report.result {
            Ok(success) => {
                let written = self.success(report, success);
                self.advise(report);
                self.written(written, Exit::Done)
            }
            Err(failure) => self.failure(report, failure, &diagnose(failure, report)),
        }
    }

    fn success(&mut self, report: &Report, success: &Success) -> io::Result<()> {
        let aor = self.settings.aor.clone();
        if self.settings.json {
            return self.stdout(Object::of(self.command, report, aor).line().as_bytes());
        }
        if self.settings.quiet {
            return Ok(());
        }
        let aor = aor.unwrap_or_default();
        let text = match report.purpose {
            Purpose::Fetch => human::list(&aor, report, success, self.out),
            Purpose::Bind { .. } | Purpose::Remove | Purpose::RemoveAll => {
                human::success(&aor, report, success, self.settings.ends_unanswered, self.out)
            }
        };
        self.stdout(text.as_bytes())
    }

    fn failure(&mut self, report: &Report, failure: &Failure, diagnosis: &Diagnosis) -> Exit {
        let mut written = Ok(());
        if self.settings.json {
            let object = Object::of(self.command, report, self.settings.aor.clone());
            let (message, hint) = (diagnosis.message.clone(), diagnosis.hint.clone());
            written = self.stdout(object.with_error(Kind::from(failure), message, hint).line().as_bytes());
        }
        let text = human::failure(report, diagnosis, self.err);
        self.stderr(&text);
        self.written(written, Exit::from(failure))
    }

    /// What somebody should know who thinks that all is well.
    fn advise(&mut self, report: &Report) {
        if self.settings.quiet || self.settings.json || !self.settings.ends_unanswered {
            return;
        }
        let mut text = String::new();
        if let Some(seen) = report.received.filter(|seen| !is_registered(report, *seen)) {
            let message =
                format!("behind a NAT, '--advertise {seen}' binds the address that the registrar sees");
            text += &human::hint(&message, self.err);
        }
        let message = "nobody answers there once sipreg has ended; 'sipreg keep' stays";
        text += &human::hint(message, self.err);
        self.stderr(&text);
    }

    /// Something that is no reason to fail.
    pub fn warning(&mut self, message: &str) {
        if !self.settings.quiet {
            let text = human::warning(message, self.err);
            self.stderr(&text);
        }
    }

    /// This try failed, and another follows.
    pub fn retrying(&mut self, failure: &Failure, wait: Duration) {
        if !self.settings.quiet {
            let text = human::retrying(failure, wait, self.err);
            self.stderr(&text);
        }
    }

    /// The registrar answered, but this is not bound.
    pub fn unmet(&mut self, report: &Report, missing: &str) -> Exit {
        if !self.settings.quiet
            && !self.settings.json
            && let Ok(success) = &report.result
        {
            let warnings = human::warnings(report, self.err);
            self.stderr(&warnings);
            let _ = self.success(report, success);
        }
        let unreadable = |warning: &Warning| matches!(warning, Warning::UnreadableContacts(_));
        let hint = if report.warnings.iter().any(unreadable) {
            "not every binding in the answer could be read: -vv shows them"
        } else {
            "the list is complete: whatever was bound there has run out or was removed"
        };
        let message = format!("{} is not bound", text::shown(missing));
        self.fault(Kind::Unmet, &message, Some(hint), Some(report), Exit::Unmet)
    }

    /// The command line is wrong; nothing was sent.
    pub fn usage(&mut self, error: &UsageError) -> Exit {
        self.fault(Kind::Usage, &error.message(), error.hint.as_deref(), None, Exit::Usage)
    }

    /// A signal ended it, with what is known until now.
    pub fn interrupted(&mut self, signal: Signal, report: Option<&Report>) -> Exit {
        let (message, exit) = match signal {
            Signal::Interrupt => ("interrupted", Exit::Interrupted),
            Signal::Terminate => ("terminated", Exit::Terminated),
        };
        let unanswered = report.filter(|report| report.requests > 0 && report.round_trip.is_none());
        let hint = unanswered.and_then(|report| match report.purpose {
            Purpose::Fetch => None,
            Purpose::Bind { .. } => Some("the registrar may have bound the contact all the same"),
            Purpose::Remove | Purpose::RemoveAll => Some("the registrar may have removed it all the same"),
        });
        self.fault(Kind::Interrupted, message, hint, report, exit)
    }

    /// A second signal, while a server was still answering.
    pub fn stopped_by(&mut self, signal: Signal) -> Exit {
        match signal {
            Signal::Interrupt => Exit::Interrupted,
            Signal::Terminate => Exit::Terminated,
        }
    }

    /// The time was over before anything could be sent.
    pub fn late(&mut self, late: Late) -> Exit {
        let aor = self.settings.aor.clone().unwrap_or_default();
        let (message, hint) = match late {
            Late::Lock => (
                format!("another sipreg has been busy with {aor} all the time; nothing was sent"),
                "a longer --timeout waits longer; --stateless does not wait",
            ),
            Late::Secret => (
                "the password did not come in time; nothing was sent".to_owned(),
                "a longer --timeout waits longer; is somebody to type something, or to write into the pipe?",
            ),
        };
        self.fault(Kind::Timeout, &message, Some(hint), None, Exit::Timeout)
    }

    /// A bug.
    pub fn internal(&mut self, what: &str) -> Exit {
        let message = format!("internal error: {what}");
        let hint = "this is a bug in sipreg; please report it with the command line (without the password) and what -vv shows";
        self.fault(Kind::Internal, &message, Some(hint), None, Exit::Internal)
    }

    fn fault(
        &mut self,
        kind: Kind,
        message: &str,
        hint: Option<&str>,
        report: Option<&Report>,
        exit: Exit,
    ) -> Exit {
        let written = if self.settings.json {
            let aor = self.settings.aor.clone();
            let object = match report {
                Some(report) => Object::of(self.command, report, aor),
                None => Object::without_report(self.command, aor),
            };
            let object = object.with_error(kind, message.to_owned(), hint.map(str::to_owned));
            self.stdout(object.line().as_bytes())
        } else {
            Ok(())
        };
        let mut text = human::error(message, self.err);
        if let Some(hint) = hint {
            text += &human::hint(hint, self.err);
        }
        self.stderr(&text);
        self.written(written, exit)
    }

    /// Octets of a message that was not sent.
    pub fn request(&mut self, bytes: &[u8]) -> Exit {
        let written = self.stdout(bytes);
        self.written(written, Exit::Done)
    }

    /// Help, version or schema.
    pub fn data(&mut self, text: &str) -> Exit {
        let written = self.stdout(text.as_bytes());
        self.written(written, Exit::Done)
    }

    /// Help for somebody who did not ask for it.
    pub fn usage_help(&mut self, text: &str) -> Exit {
        self.stderr(text);
        Exit::Usage
    }

    /// The colours of stdout and stderr.
    #[must_use]
    pub fn colors(&self) -> (Paint, Paint) {
        (self.out, self.err)
    }

    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.erase();
        self.streams.stdout.write_all(bytes)?;
        self.streams.stdout.flush()
    }

    /// Nobody can be told when stderr fails.
    fn stderr(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.erase();
        let text = fitted(text, self.streams.stderr_is_terminal);
        let _ = self.streams.stderr.write_all(text.as_bytes());
    }

    /// A reader that has gone is no fault; a disk that is full is, for the report is lost.
    fn written(&mut self, written: io::Result<()>, exit: Exit) -> Exit {
        match written {
            Ok(()) => exit,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
            Err(error) => {
                let text = human::error(&format!("the report can't be written: {error}"), self.err);
                self.stderr(&text);
                Exit::Internal
            }
        }
    }
}

/// Hints and the like broken between words, where a person reads them.
fn fitted(text: &str, is_terminal: bool) -> Cow<'_, str> {
    match is_terminal.then(text::terminal_width).flatten() {
        Some(width) => Cow::Owned(text::wrap(text, width)),
        None => Cow::Borrowed(text),
    }
}

/// Whether the contact is already where the registrar sees us.
fn is_registered(report: &Report, seen: SocketAddr) -> bool {
    let contacts = report.result.as_ref().map(|success| success.contacts.as_slice()).unwrap_or_default();
    contacts.iter().any(|granted| match &granted.uri {
        AnyUri::Sip(uri) => uri.host.ip() == Some(seen.ip()) && uri.port.unwrap_or(5060) == seen.port(),
        AnyUri::Other(_) => false,
    })
}

#[cfg(test)]
mod tests;
