//! `sipreg check`: goes the whole way that a call to an account depends on, tells each step as soon as it is known, and
//! what to mend first.
//!
//! The core measures ([`crate::proto::check`]), [`judge`] says what it means, and [`super::report`] tells it.

pub mod judge;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;
use super::environment::Environment;
use super::exit::{Exit, Fault};
use super::finding::{Finding, Verdict};
use super::options::{Check as Args, Looking, Request};
use super::register::secrets;
use super::replace::replace;
use super::report::check as text;
use super::report::json::{CommandName, Object};
use super::report::paint::Paint;
use super::report::spinner::Spinner;
use super::report::{Reporter, Settings, Streams};
use super::session::{self, Input, Session, Setup};
use super::signals::{Listens, Signal, Stop};
use super::text::{escape, readable, shown};
use super::trace::Trace;
use super::usage::UsageError;
use super::values::Span;
use crate::proto::check::{CheckPlan, Ending, Measured};
use crate::proto::client::outcome::Report;
use crate::proto::{Command, Direction, Notice};
use judge::{Intent, Judge, WITHDRAWING};

/// The time that all of it may take, unless the user says another.
const LIMIT: Duration = Duration::from_secs(60);

/// The names of the files of `--report`.
const REPORT: [&str; 3] = ["check.txt", "check.json", "check.pcapng"];

/// How it ended.
enum Outcome {
    /// To its end.
    Checked(Box<Course>),
    /// By a signal; what was bound is removed, or not; with what was found by then, unless the user would not wait for that.
    Stopped(Stop, bool, Option<Box<Course>>),
    /// With the request that would have been sent first.
    Rehearsed(bytes::Bytes),
}

/// All that was found.
struct Course {
    judge: Judge,
    findings: Vec<Finding>,
    ending: Ending,
    elapsed: Duration,
    at: u64,
}

/// Carries `sipreg check` out.
pub fn run(args: Args, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let command = Some(CommandName::Check);
    let output = &args.options.output;
    if output.format.json_schema {
        let settings = Settings { color: output.display.color.unwrap_or_default(), ..Settings::default() };
        return Reporter::new(streams, settings, command, environment).data(&text::schema());
    }
    let (request, looking) = args.request();
    match resolve(request, &looking, environment) {
        Ok(account) => {
            // Nagios reads one line.
            let settings =
                Settings { quiet: account.settings.quiet || looking.nagios, ..account.settings.clone() };
            let mut reporter = Reporter::new(streams, settings, command, environment);
            check(account, &looking, &mut reporter)
        }
        Err(refused) => {
            let (settings, error) = *refused;
            let mut reporter = Reporter::new(streams, settings, command, environment);
            ended_early(error.into(), &looking, &mut reporter)
        }
    }
}

fn resolve(
    request: Request,
    looking: &Looking,
    environment: &Environment,
) -> Result<Account, Box<(Settings, UsageError)>> {
    let mut account = Account::resolve(request, environment)?;
    if let Some(dir) = &looking.report {
        let made = std::fs::create_dir_all(dir).map_err(|error| {
            let what = format_args!("can't be made: {error}");
            UsageError::value("--report", &dir.to_string_lossy(), what)
        });
        made.and_then(|()| REPORT.iter().try_for_each(|name| place_of_report(dir, name)))
            .map_err(|error| Box::new((account.settings.clone(), error)))?;
        account.copies = std::mem::take(&mut account.copies).and_masked(dir.join(REPORT[2]));
    }
    // What can't be written at the end is known before anything is sent.
    if let Some(path) = &looking.textfile {
        place_of_textfile(path).map_err(|error| Box::new((account.settings.clone(), error)))?;
    }
    // Several sockets are open at a time: the one that is bound gets the port that is asked for, if it can.
    if let Some((ip, Some(port))) = account.net.bind {
        account.net.bind = Some((ip, None));
        account.net.port = Some(port);
    }
    account.net.asks_every_nameserver = true;
    Ok(account)
}

/// A failure before anything was found. Nagios knows it as unknown.
fn ended_early(fault: Fault, looking: &Looking, reporter: &mut Reporter<'_, '_>) -> Exit {
    if looking.nagios {
        let line = format!("SIPREG UNKNOWN - {}\n", escape(&fault.message).replace('|', " "));
        reporter.data(&line);
        return Exit::OfCommand(3);
    }
    reporter.fail(fault)
}

/// Whether what was typed, whatever is wrong with it, is for Nagios.
#[must_use]
pub fn is_for_nagios(arguments: &[std::ffi::OsString]) -> bool {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    arguments.get(1).is_some_and(|command| command == "check")
        && options.any(|argument| argument == "--nagios")
}

/// The end of a command line that can't be read.
pub fn unreadable(fault: Fault, reporter: &mut Reporter<'_, '_>) -> Exit {
    ended_early(fault, &Looking { nagios: true, ..Looking::default() }, reporter)
}

fn check(account: Account, looking: &Looking, reporter: &mut Reporter<'_, '_>) -> Exit {
    account.exposures().iter().for_each(|warning| reporter.warning(warning));
    account.connections.alarm().iter().for_each(|alarm| reporter.alarm(alarm));
    let aor = account.plan.aor.to_string();
    let ended =
        session::run(Listens::Stop, async |setup| carry_out(account, looking, setup, &mut *reporter).await);
    reporter.erase();
    match ended {
        Ok(Outcome::Checked(course)) => tell(&course, &aor, looking, reporter),
        Ok(Outcome::Rehearsed(request)) => reporter.request(&request),
        Ok(Outcome::Stopped(signal, is_removed, course)) => {
            if looking.nagios {
                return ended_early(Fault::new(signal.into(), signal.done(), None), looking, reporter);
            }
            if !is_removed {
                reporter.warning(
                    "the removal of what was bound is not confirmed; it ends by itself within minutes",
                );
            }
            match course {
                Some(course) if reporter.is_json() => {
                    let fault = Fault::new(signal.into(), signal.done(), None);
                    let object = known(&course, &aor).with_error(fault.clone());
                    let object = text::CheckObject::new(object, &course.findings);
                    reporter.checked(&object, |_| String::new(), Some(&fault), signal.into())
                }
                Some(_) | None => reporter.interrupted(signal, None),
            }
        }
        Err(fault) => ended_early(fault, looking, reporter),
    }
}

async fn carry_out(
    mut account: Account,
    looking: &Looking,
    mut setup: Setup,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Outcome, Fault> {
    let mut copies = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(Outcome::Stopped(signal, true, None)),
        copies = account.copies.begin(account.net.dry_run) => copies?,
    };
    let limit = account.plan.command_limit.unwrap_or(LIMIT);
    let account_text = described(&account);
    let read = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(Outcome::Stopped(signal, true, None)),
        read = tokio::time::timeout(limit, secrets(&mut account)) => read,
    };
    match read {
        Ok(read) => read?,
        Err(_) => {
            return Err(Fault::new(
                Exit::Timeout,
                "the password did not come in time; nothing was sent",
                None,
            ));
        }
    }
    let patience = looking.patience.map(|Span(patience)| patience);
    let plan = CheckPlan { plan: account.plan, limit, patience };
    let intent = Intent {
        account: account_text,
        user: plan.plan.aor.user.as_deref().map(str::to_owned),
        lifetime: plan.lifetime(),
        families: plan.plan.families,
        shows_certificate: account.connections.settings.identity.is_some(),
        patience,
    };
    let mut session = setup.begin(account.net, None)?;
    let masked = copies.masked.take();
    session.copy(copies, reporter);
    let outcome = follow(plan, Judge::new(intent), &mut session, reporter).await?;
    session.end(reporter).await;
    if let Some(warning) = masked.as_ref().and_then(Trace::finish) {
        reporter.warning(&warning);
    }
    Ok(outcome)
}

/// What is going to be used, for people.
fn described(account: &Account) -> String {
    let plan = &account.plan;
    let mut parts = vec![readable(&plan.aor.to_string()).into_owned()];
    parts.push(format!("as \"{}\", {}", account.username(), account.secret_origin()));
    let registrar = plan.registrar.to_string();
    parts.push(format!("registrar {}", shown(&registrar)));
    if let Some(proxy) = plan.route.first() {
        parts.push(format!("through {}", shown(&proxy.to_string())));
    }
    parts.join(", ")
}

/// Has the core check, until it has finished or a signal comes; tells each step as soon as it is known.
async fn follow(
    plan: CheckPlan,
    mut judge: Judge,
    session: &mut Session,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Outcome, Fault> {
    let mut findings = Vec::new();
    let mut last = Duration::ZERO;
    let begun = judge.begin();
    put(begun, &mut findings, &mut last, session, reporter);
    session.driver.command(Command::Check(Box::new(plan)));
    let mut stopped = None;
    let mut spinner = Spinner::new(reporter.has_spinner());
    loop {
        let input = tokio::select! {
            biased;
            input = session.next(reporter) => input?,
            letter = spinner.turn() => {
                let (step, what) = judge.under_way();
                match stopped {
                    // A question for the password has the terminal for itself.
                    _ if session.is_asking() => {}
                    Some(_) => reporter.spin(letter, None, WITHDRAWING),
                    None => reporter.spin(letter, step, &what),
                }
                continue;
            }
        };
        let notice = match input {
            Input::Notice(notice) => notice,
            Input::Signal(Signal::Stop(signal)) if stopped.is_some() => {
                return Ok(Outcome::Stopped(signal, false, None));
            }
            Input::Signal(Signal::Stop(signal)) => {
                stopped = Some(signal);
                session.driver.command(Command::StopCheck);
                continue;
            }
            Input::Signal(Signal::Reload | Signal::Status) | Input::Reader(_) | Input::Unread => continue,
        };
        match notice {
            Notice::Message { direction: Direction::Sent, bytes, .. } if session.rehearses => {
                return Ok(Outcome::Rehearsed(bytes));
            }
            Notice::Check(measured) => {
                let now = session.driver.now();
                let end = if let Measured::End(ending) = &*measured { Some(*ending) } else { None };
                if let (Some(signal), Some(ending)) = (stopped, end) {
                    let course = Box::new(course(judge, findings, ending, session));
                    return Ok(Outcome::Stopped(signal, ending.is_removed, Some(course)));
                }
                let found = judge.on(*measured, now);
                if stopped.is_none() {
                    put(found, &mut findings, &mut last, session, reporter);
                    spinner.restart();
                }
                if let Some(ending) = end {
                    return Ok(Outcome::Checked(Box::new(course(judge, findings, ending, session))));
                }
            }
            Notice::Lookup(lookup) => {
                session.show(&Notice::Lookup(lookup.clone()), reporter);
                judge.on_lookup(lookup);
            }
            notice @ (Notice::Message { .. }
            | Notice::Dropped { .. }
            | Notice::PasswordWanted { .. }
            | Notice::Retrying { .. }
            | Notice::Finished(_)
            | Notice::Server(_)
            | Notice::Account { .. }) => session.show(&notice, reporter),
        }
    }
}

fn course(judge: Judge, findings: Vec<Finding>, ending: Ending, session: &Session) -> Course {
    let (elapsed, at) = (session.clock.elapsed(), session.driver.now().as_millis() / 1000);
    Course { judge, findings, ending, elapsed, at }
}

/// Notes what was found, with the time since what was found before, and tells it.
fn put(
    found: Vec<Finding>,
    findings: &mut Vec<Finding>,
    last: &mut Duration,
    session: &Session,
    reporter: &mut Reporter<'_, '_>,
) {
    let now = session.clock.elapsed();
    let elapsed = now.saturating_sub(std::mem::replace(last, now));
    for finding in found {
        let is_measured = finding.verdict != Verdict::Skipped;
        let finding = Finding { elapsed: if is_measured { elapsed } else { Duration::ZERO }, ..finding };
        reporter.found(&finding);
        // A word for a step that was told before takes the place of its line.
        findings.retain(|known: &Finding| known.step != finding.step || known.verdict != Verdict::Ok);
        findings.push(finding);
    }
    findings.sort_by_key(|finding| finding.step);
}

/// Tells the end, in every way that is wanted.
fn tell(course: &Course, aor: &str, looking: &Looking, reporter: &mut Reporter<'_, '_>) -> Exit {
    let Course { findings, ending, elapsed, at, .. } = course;
    let (requests, elapsed) = (ending.requests, *elapsed);
    let object = object(course, aor, looking);
    let mut exit = exit(findings, looking);
    if let Some(dir) = &looking.report
        && let Err(error) = write_report(dir, course, aor, &object.line())
    {
        return reporter.fail(error);
    }
    if let Some(path) = &looking.textfile {
        let text = text::prometheus(aor, findings, requests, elapsed, *at);
        if let Err(error) = write_textfile(path, &text) {
            return reporter.fail(error);
        }
    }
    if looking.nagios {
        let line = text::nagios(&readable(aor), findings, requests, elapsed);
        exit = Exit::OfCommand(text::nagios_state(findings).1);
        let written = reporter.data(&line);
        return if written == Exit::Done { exit } else { written };
    }
    // What was bound for sure is told as a finding.
    let is_in = course.judge.login().is_some_and(|login| login.result.is_ok());
    if !ending.is_removed && !is_in {
        reporter.warning(
            "a request to bind got no answer: should it have bound all the same, that ends by itself within minutes",
        );
    }
    let last_word = text::last_word(findings, remarks(course)).filter(|_| exit != Exit::Done);
    let verdict = |paint| text::verdict(aor, findings, requests, elapsed, paint);
    reporter.checked(&object, verdict, last_word.as_ref(), exit)
}

/// The first step that failed decides.
fn exit(findings: &[Finding], looking: &Looking) -> Exit {
    let failed = findings.iter().find(|finding| finding.verdict == Verdict::Failed);
    let warned = findings.iter().any(|finding| finding.verdict == Verdict::Warning);
    match failed {
        Some(failed) => failed.exit,
        None if warned && looking.strict => Exit::Unmet,
        None => Exit::Done,
    }
}

/// What the registrar has said of the registration.
fn remarks(course: &Course) -> Vec<String> {
    course.judge.login().map(|report: &Report| report.remarks.clone()).unwrap_or_default()
}

/// What all that was sent has come to.
fn known(course: &Course, aor: &str) -> Object {
    let Course { judge, ending, elapsed, .. } = course;
    let aor = Some(aor.to_owned());
    let object = match judge.login() {
        Some(report) => Object::of(Some(CommandName::Check), report, aor),
        None => Object::without_report(Some(CommandName::Check), aor),
    };
    object.of_check(judge::attempts(judge), (ending.requests, ending.copies), *elapsed)
}

fn object(course: &Course, aor: &str, looking: &Looking) -> text::CheckObject {
    let findings = &course.findings;
    let object = known(course, aor);
    let object = match text::fault(findings, remarks(course)) {
        Some(fault) => object.with_error(fault),
        None => object.checked(exit(findings, looking) == Exit::Done),
    };
    text::CheckObject::new(object, findings)
}

/// The files of a ticket; the messages are there already.
fn write_report(dir: &Path, course: &Course, aor: &str, json: &str) -> Result<(), UsageError> {
    let Course { findings, ending, elapsed, .. } = course;
    let paint = Paint::plain();
    let mut all: String = findings.iter().map(|finding| text::step(finding, paint)).collect();
    all += "\n";
    all += &text::verdict(aor, findings, ending.requests, *elapsed, paint);
    for (name, content) in [(REPORT[0], all.as_str()), (REPORT[1], json)] {
        replace(dir, name, content.as_bytes()).map_err(|error| {
            let what = format_args!("{name} can't be written: {error}");
            UsageError::value("--report", &dir.to_string_lossy(), what)
        })?;
    }
    Ok(())
}

/// Whether a file of the report can be made in that folder, which is there.
fn place_of_report(dir: &Path, name: &str) -> Result<(), UsageError> {
    match is_something_else(&dir.join(name)) {
        true => {
            let what = format_args!("{name} in it is there already, and no file");
            Err(UsageError::value("--report", &dir.to_string_lossy(), what))
        }
        false => Ok(()),
    }
}

/// Whether a place is taken by what must not be replaced by a file: a folder, a device, a pipe.
fn is_something_else(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}

fn write_textfile(path: &Path, text: &str) -> Result<(), UsageError> {
    let (dir, name) = place_of_textfile(path)?;
    replace(&dir, &name, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> UsageError {
    UsageError::value("--textfile", &path.to_string_lossy(), format_args!("can't be written: {error}"))
}

/// The folder of the file and its name in there, behind a link if there is one, if a file can be made in that folder.
fn place_of_textfile(path: &Path) -> Result<(PathBuf, String), UsageError> {
    if is_something_else(path) {
        return Err(unwritable(path, &"it is there already, and no file"));
    }
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = target
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let name = target.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| unwritable(path, &"it has no name"))?;
    tempfile::tempfile_in(&dir).map_err(|error| unwritable(path, &error))?;
    Ok((dir, name.to_owned()))
}
