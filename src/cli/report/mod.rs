//! All output. Nothing else in the program writes to stdout.
//!
//! Data go to stdout: the report, the JSON object, the schema, the request of a dry run. What is about the
//! data goes to stderr: errors, warnings, hints, the ladder.

pub mod board;
pub mod check;
pub mod demo;
pub mod events;
pub mod human;
pub mod json;
pub mod ladder;
pub mod paint;
pub mod spinner;
pub mod writer;
mod zone;

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::diagnose::diagnose;
use super::environment::Environment;
use super::exit::{Exit, Fault, FaultCause};
use super::explain;
use super::finding::Finding;
use super::signals::Stop;
use super::text;
use super::values::ColorChoice;
use crate::proto::client::outcome::{Failure, Report, Success, Unusable, Warning};
use crate::proto::client::plan::Purpose;
use crate::proto::{Dropped, Lookup};

use crate::sip::{AnyUri, NameAddr};

use check::CheckObject;
use json::{CommandName, Object};
use paint::Paint;
use writer::{Put, Stream, Writer};
use zone::Zone;

/// The options of output, and what else shapes it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The AOR as reports name it.
    pub aor: Option<String>,
    /// `--json`: objects for scripts.
    pub json: bool,
    /// `--quiet`: nothing but errors.
    pub quiet: bool,
    /// The number of `-v`.
    pub verbosity: u8,
    /// `--show-secrets`: digest responses are not masked.
    pub show_secrets: bool,
    /// `--color`: when there are colours.
    pub color: ColorChoice,
    /// This device itself is bound, and nobody answers there once the command has ended.
    pub ends_unanswered: bool,
}

/// The streams of the process.
pub struct Streams<'a> {
    /// The stream for data.
    pub stdout: &'a mut dyn Write,
    /// For what is about the data: errors, warnings, hints, messages.
    pub stderr: &'a mut dyn Write,
    /// Stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Writes to both beside the loop, once a command has begun that goes on for long.
    pub writer: Option<Writer>,
}

impl Streams<'_> {
    /// The writer, once it has begun.
    fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref().filter(|writer| writer.is_running())
    }

    /// Writes a text whole, or, beside the loop, leaves it out.
    fn put(&mut self, stream: Stream, text: &[u8]) -> io::Result<Put> {
        if let Some(writer) = self.writer() {
            return writer.put(stream, text);
        }
        match stream {
            Stream::Data => {
                self.stdout.write_all(text)?;
                self.stdout.flush()?;
            }
            Stream::Messages => self.stderr.write_all(text)?,
        }
        Ok(Put::Taken)
    }

    /// Gives what waits to be written a short time at the end.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn finish(&self) -> io::Result<()> {
        self.writer().map_or(Ok(()), Writer::finish)
    }
}

/// Texts that were left out because nobody reads a stream.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    /// Since the last one that was not.
    lately: u64,
    /// All of them.
    ever: u64,
}

impl LeftOut {
    fn count(&mut self, put: Put) {
        match put {
            Put::Taken => self.lately = 0,
            Put::LeftOut => (self.lately, self.ever) = (self.lately + 1, self.ever + 1),
        }
    }

    /// A line that says how many there were lately; empty for none.
    fn remark(self) -> String {
        match self.lately {
            0 => String::new(),
            many => format!("({many} left out here: nobody read them)\n"),
        }
    }
}

/// Writes reports; each final one says how the process is to exit.
pub struct Reporter<'s, 'a> {
    streams: &'s mut Streams<'a>,
    settings: Settings,
    command: Option<CommandName>,
    /// The colours of stdout.
    out: Paint,
    /// The colours of stderr.
    err: Paint,
    is_dumb: bool,
    zone: Zone,
    /// Lines of the board, or of the spinner, that stand on the terminal.
    drawn: Vec<String>,
    /// Events that nobody read, and what nobody read on stderr.
    events_left_out: LeftOut,
    messages_left_out: LeftOut,
    /// What a check has found by now.
    findings: Vec<Finding>,
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
            zone: Zone::new(environment),
            drawn: Vec::new(),
            events_left_out: LeftOut::default(),
            messages_left_out: LeftOut::default(),
            findings: Vec::new(),
        }
    }

    /// From now on a writer beside the loop writes: nobody waits for a reader any more.
    pub fn write_beside(&mut self) {
        if let Some(writer) = &mut self.streams.writer {
            writer.begin();
        }
    }

    /// Waits a moment for what was said to be written, before somebody else uses the terminal.
    pub fn settle(&mut self) {
        self.erase();
        if let Some(writer) = self.streams.writer() {
            writer.settle();
        }
    }

    /// Ends when nobody reads stdout any more, once; never ends where that is found when something is written. Can be
    /// dropped at any time.
    pub async fn unread(&self) {
        match self.streams.writer() {
            Some(writer) => writer.failed().await,
            None => std::future::pending().await,
        }
    }

    /// How many events were left out until now, and how many texts on stderr, because nobody read them.
    #[must_use]
    pub fn left_out(&self) -> (u64, u64) {
        (self.events_left_out.ever, self.messages_left_out.ever)
    }

    /// A message passed.
    pub fn message(&mut self, passage: &ladder::Passage<'_>) {
        if self.command == Some(CommandName::Demo) {
            self.arrow(passage.direction, passage.bytes);
        } else if self.settings.verbosity > 0 {
            let columns = self.streams.stderr_is_terminal.then(text::terminal_width).flatten();
            let mut text = ladder::line(passage, columns, self.err);
            if self.settings.verbosity > 1 {
                text += &ladder::whole(passage.bytes, self.settings.show_secrets);
            }
            self.stderr(&text);
        }
    }

    /// A name server was asked.
    pub fn lookup(&mut self, at: Duration, lookup: &Lookup) {
        if self.settings.verbosity > 0 && self.command != Some(CommandName::Demo) {
            let text = ladder::lookup(at, lookup, self.err);
            self.stderr(&text);
        }
    }

    /// A message that arrived was dropped.
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
            // A failure after several tells them itself.
            if self.settings.verbosity > 0 && (report.result.is_ok() || report.attempts.len() == 1) {
                self.stderr(&human::attempts(report));
            }
        }
        match &report.result {
            Ok(success) => {
                let written = self.success(report, success);
                self.advise(report);
                self.exit_after(written, Exit::Done)
            }
            Err(failure) => self.failure(report, diagnose(failure, report)),
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
        let text = self.success_text(report, success, &aor.unwrap_or_default());
        self.stdout(text.as_bytes())
    }

    fn success_text(&self, report: &Report, success: &Success, aor: &str) -> String {
        match report.purpose {
            Purpose::Fetch => human::list(aor, report, success, self.out),
            Purpose::Bind { .. } | Purpose::Remove | Purpose::RemoveAll => {
                human::success(aor, report, success, self.settings.ends_unanswered, self.out, &self.zone)
            }
        }
    }

    fn failure(&mut self, report: &Report, fault: Fault) -> Exit {
        let text = human::failure(report, &fault, self.err);
        self.failed(fault, Some(report), &text)
    }

    /// Hints for a success that is not yet what the user may think.
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

    /// Warns of something that is no reason to fail.
    pub fn warning(&mut self, message: &str) {
        if !self.settings.quiet {
            self.alarm(message);
        }
    }

    /// Warns of something that nobody may miss, also with `--quiet`.
    pub fn alarm(&mut self, message: &str) {
        let text = human::warning(message, self.err);
        self.stderr(&text);
    }

    /// This try failed, and another follows.
    pub fn retrying(&mut self, failure: &Failure, unusable: &Unusable, wait: Duration) {
        if !self.settings.quiet {
            let text = human::retrying(failure, unusable, wait, self.err);
            self.stderr(&text);
        }
    }

    /// The registrar answered, but this is not bound.
    /// `unlisted` is a contact that should be in the list by what is remembered, and is not.
    pub fn unmet(&mut self, report: &Report, missing: &str, unlisted: Option<&NameAddr>) -> Exit {
        if !self.settings.quiet
            && !self.settings.json
            && let Ok(success) = &report.result
        {
            let warnings = human::warnings(report, self.err);
            self.stderr(&warnings);
            let _ = self.success(report, success);
        }
        let unreadable = |warning: &Warning| matches!(warning, Warning::UnreadableContacts(_));
        let (cause, hint) = match unlisted {
            _ if report.warnings.iter().any(unreadable) => (None, explain::UNREADABLE_LIST.hint.to_owned()),
            Some(contact) => (None, explain::unlisted(&contact.uri.to_string())),
            None => (Some(FaultCause::NotListed), explain::COMPLETE_LIST.hint.to_owned()),
        };
        let message = format!("{} is not bound", text::shown(missing));
        let fault = Fault::new(Exit::Unmet, message, Some(hint));
        self.fault(Fault { cause, warnings: report.remarks.clone(), ..fault }, Some(report))
    }

    /// Whether everything is told as one object.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.settings.json
    }

    /// A check has found something: it is told at once, unless everything is told as one object.
    pub fn found(&mut self, finding: &Finding) {
        if !self.settings.json && !self.settings.quiet {
            let text = check::step(finding, self.out);
            // Whoever has gone does not keep the rest from being looked at.
            let _ = self.stdout(text.as_bytes());
        }
        self.findings.push(finding.clone());
    }

    /// A check is over; `verdict` says in a line what to make of it, and `last_word` why it has not ended well, where people are
    /// told nothing else.
    pub fn checked(
        &mut self,
        object: &CheckObject,
        verdict: impl Fn(Paint) -> String,
        last_word: Option<&Fault>,
        exit: Exit,
    ) -> Exit {
        let mut written = Ok(());
        if self.settings.json {
            written = self.stdout(object.line().as_bytes());
        } else if !self.settings.quiet {
            let text = format!("\n{}", verdict(self.out));
            written = self.stdout(text.as_bytes());
        }
        if let Some(fault) = last_word.filter(|_| self.settings.json || self.settings.quiet) {
            let text = human::fault(fault, self.err);
            self.stderr(&text);
        }
        self.exit_after(written, exit)
    }

    /// A signal ended it, with what is known until now.
    pub fn interrupted(&mut self, signal: Stop, report: Option<&Report>) -> Exit {
        let message = signal.done();
        let unanswered = report.filter(|report| report.requests > 0 && report.round_trip.is_none());
        let hint = unanswered.and_then(|report| match report.purpose {
            Purpose::Fetch => None,
            Purpose::Bind { .. } => Some("the registrar may have bound the contact all the same"),
            Purpose::Remove | Purpose::RemoveAll => Some("the registrar may have removed it all the same"),
        });
        let hint = hint.map(str::to_owned);
        self.fault(Fault::new(Exit::from(signal), message, hint), report)
    }

    /// The command failed before there was a report.
    pub fn fail(&mut self, fault: impl Into<Fault>) -> Exit {
        self.fault(fault.into(), None)
    }

    fn fault(&mut self, fault: Fault, report: Option<&Report>) -> Exit {
        let text = human::fault(&fault, self.err);
        self.failed(fault, report, &text)
    }

    /// `text` says it to people.
    fn failed(&mut self, fault: Fault, report: Option<&Report>, text: &str) -> Exit {
        let exit = fault.kind;
        let mut written = Ok(());
        if self.settings.json {
            let aor = self.settings.aor.clone();
            let object = match report {
                Some(report) => Object::of(self.command, report, aor),
                None => Object::without_report(self.command, aor),
            };
            let object = object.with_error(fault);
            let line = match self.command {
                Some(CommandName::Check) => CheckObject::new(object, &self.findings).line(),
                Some(_) | None => object.line(),
            };
            written = self.stdout(line.as_bytes());
        }
        self.stderr(text);
        self.exit_after(written, exit)
    }

    /// Octets of a message that was not sent.
    pub fn request(&mut self, bytes: &[u8]) -> Exit {
        let written = self.stdout(bytes);
        self.exit_after(written, Exit::Done)
    }

    /// Help, version or schema.
    pub fn data(&mut self, text: &str) -> Exit {
        let written = self.stdout(text.as_bytes());
        self.exit_after(written, Exit::Done)
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
        self.streams.put(Stream::Data, bytes).map(drop)
    }

    /// Nobody can be told when stderr fails.
    fn stderr(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.erase();
        let text = fit(text, self.streams.stderr_is_terminal);
        let text = self.messages_left_out.remark() + &text;
        if let Ok(put) = self.streams.put(Stream::Messages, text.as_bytes()) {
            self.messages_left_out.count(put);
        }
    }

    /// A reader that has gone is no fault; a disk that is full is, for the report is lost.
    fn exit_after(&mut self, written: io::Result<()>, exit: Exit) -> Exit {
        match written.and_then(|()| self.streams.finish()) {
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

/// The text with hints and the like broken between words, for a terminal.
fn fit(text: &str, is_terminal: bool) -> Cow<'_, str> {
    match is_terminal.then(text::terminal_width).flatten() {
        Some(width) => Cow::Owned(text::wrap(text, width)),
        None => Cow::Borrowed(text),
    }
}

/// Whether the contact is already at the address that the registrar sees.
fn is_registered(report: &Report, seen: SocketAddr) -> bool {
    let contacts = report.result.as_ref().map(|success| success.contacts.as_slice()).unwrap_or_default();
    contacts.iter().any(|granted| match &granted.uri {
        AnyUri::Sip(uri) => uri.host.ip() == Some(seen.ip()) && uri.port.unwrap_or(5060) == seen.port(),
        AnyUri::Other(_) => false,
    })
}

#[cfg(test)]
mod tests;
