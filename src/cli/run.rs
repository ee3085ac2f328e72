//! Carries an [`Account`] out: drives the core until it has finished, asks for the password if it has to, and ends
//! at once when a signal comes.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::account::{Account, Consent};
use super::exit::Exit;
use super::prompt::{self, Confirmed, Prompt, Typed};
use super::report::ladder::Passing;
use super::report::{Late, Reporter};
use super::state::{self, Slot};
use super::usage::UsageError;
use super::{Signal, crash};
use crate::net::{self, Clock, Driver, SystemRandom};
use crate::proto::client::outcome::{AttemptResult, Report};
use crate::proto::client::plan::Purpose;
use crate::proto::ids::Random;
use crate::proto::{Cause, Command, Direction, Endpoint, Notice, RegistrationId};
use crate::sip::NameAddr;

/// There is one registration in the life of this process.
const ONE: RegistrationId = RegistrationId(1);

/// How long the core may take to say what it knows when a signal ends the command.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// How a command ended.
enum Ending {
    /// With a report.
    Finished(Box<Report>),
    /// By a signal, with what was known by then.
    Signal(Signal, Option<Box<Report>>),
    /// With the request that would have been sent.
    Rehearsed(Bytes),
    /// Before anything was sent.
    Usage(UsageError),
    /// The time was over before anything could be sent.
    Late(Late),
    /// By a bug of ours.
    Crashed,
}

/// Runs it to its end and shows what came of it.
pub fn run(account: Account, reporter: &mut Reporter<'_, '_>) -> Exit {
    let clock = Clock::start();
    let random = match SystemRandom::new() {
        Ok(random) => random,
        Err(error) => return reporter.internal(&error.to_string()),
    };
    let required = account.required.clone();
    let ending =
        net::runtime().and_then(|runtime| runtime.block_on(carry_out(account, random, clock, reporter)));
    match ending {
        Ok(Ending::Finished(report)) => match missing(&required, &report) {
            Some(missing) => reporter.unmet(&report, &missing),
            None => reporter.finished(&report),
        },
        Ok(Ending::Signal(signal, report)) => reporter.interrupted(signal, report.as_deref()),
        Ok(Ending::Rehearsed(request)) => reporter.request(&request),
        Ok(Ending::Usage(error)) => reporter.usage(&error),
        Ok(Ending::Late(late)) => reporter.late(late),
        Ok(Ending::Crashed) => reporter.internal(&crash::last_words()),
        Err(error) => reporter.internal(&format!("the system gives no event loop: {error}")),
    }
}

/// The first contact that should be bound and is not (RFC 3261 §19.1.4).
fn missing(required: &[NameAddr], report: &Report) -> Option<String> {
    let bindings = &report.result.as_ref().ok()?.bindings;
    let is_bound = |wanted: &&NameAddr| {
        bindings.iter().any(|binding| binding.expires > 0 && wanted.uri.matches(&binding.contact.uri))
    };
    required.iter().find(|wanted| !is_bound(wanted)).map(|wanted| wanted.uri.to_string())
}

async fn carry_out(
    mut account: Account,
    mut random: SystemRandom,
    clock: Clock,
    reporter: &mut Reporter<'_, '_>,
) -> io::Result<Ending> {
    let mut signals = Signals::new()?;
    let prepared = tokio::select! {
        biased;
        signal = signals.next() => return Ok(Ending::Signal(signal, None)),
        prepared = prepare(&mut account, &mut random, clock, reporter) => prepared,
    };
    let slot = match prepared {
        Ok(slot) => slot.map(|slot| Rc::new(RefCell::new(slot))),
        Err(ending) => return Ok(ending),
    };
    let rehearsal = account.net.dry_run;
    let (purpose, named) = (account.plan.purpose, account.plan.contacts.clone());
    let mut driver = Driver::new(account.net, Endpoint::new(Box::new(random)), clock);
    if let Some(slot) = &slot {
        let slot = Rc::clone(slot);
        driver.remember_with(Box::new(move |what| slot.borrow_mut().remember(what)));
    }
    driver.command(Command::Register { registration: ONE, plan: Box::new(account.plan) });
    let ending = match drive(&mut driver, &mut signals, clock, rehearsal, reporter).await {
        Ok(ending) => ending,
        Err(signal) => Ending::Signal(signal, last_words(&mut driver).await),
    };
    if let Some(slot) = slot {
        let mut slot = slot.borrow_mut();
        if let Ending::Finished(report) = &ending {
            match &report.result {
                Ok(success) => slot.settle(purpose, &named, success),
                Err(_) if changed_nothing(report) => slot.restore(),
                Err(_) => {}
            }
        }
        if let Some(complaint) = slot.complaint() {
            reporter.warning(&complaint);
        }
    }
    Ok(ending)
}

/// Whether every request was refused, or never arrived: then nothing is bound that was not before.
pub(super) fn changed_nothing(report: &Report) -> bool {
    report.attempts.iter().all(|attempt| match attempt.result {
        AttemptResult::Status(status) => status >= 300,
        AttemptResult::Dns(_)
        | AttemptResult::Failed(
            Cause::Refused
            | Cause::Unreachable
            | Cause::ProtocolUnreachable
            | Cause::TooLarge
            | Cause::LocalAddress
            | Cause::Denied,
        ) => true,
        AttemptResult::Timeout
        | AttemptResult::Closed
        | AttemptResult::Failed(Cause::TimedOut | Cause::Reset | Cause::Other(_)) => false,
    })
}

/// Everything before the first request: the user's consent, the password, what is remembered.
async fn prepare(
    account: &mut Account,
    random: &mut SystemRandom,
    clock: Clock,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Option<Slot>, Ending> {
    if account.consent == Consent::Needed && !account.net.dry_run {
        consent(account).await?;
    }
    let limit = account.plan.command_limit.unwrap_or(account.plan.try_limit);
    let began = clock.elapsed();
    let left = || limit.saturating_sub(clock.elapsed().saturating_sub(began));
    let read = tokio::time::timeout(limit, secrets(account)).await;
    read.map_err(|_| Ending::Late(Late::Secret))?.map_err(Ending::Usage)?;
    let slot = remembered(account, random, left(), reporter).await?;
    // Waiting for a pipe or another process counts towards --timeout; for a person it does not.
    let waited = clock.elapsed().saturating_sub(began);
    account.plan.try_limit = account.plan.try_limit.saturating_sub(waited);
    account.plan.command_limit = account.plan.command_limit.map(|whole| whole.saturating_sub(waited));
    Ok(slot)
}

async fn secrets(account: &mut Account) -> Result<(), UsageError> {
    if let Some(source) = account.secret() {
        account.unlock(source.fetch().await?);
    }
    for locked in account.locked() {
        let credential = locked.open(account.username(), account.net.dry_run).await?;
        account.plan.keyring.credentials.extend(credential);
    }
    Ok(())
}

async fn consent(account: &Account) -> Result<(), Ending> {
    let aor = &account.plan.aor;
    let usage = |error: UsageError| Err(Ending::Usage(error));
    if !prompt::is_possible() {
        let message = format!("--all removes every binding of {aor}, other devices' too");
        return usage(UsageError::new(message).hint("there is no terminal to ask on: say --yes to do it"));
    }
    match prompt::confirm(&format!("Remove every binding of {aor}, other devices' too?")).await {
        Confirmed::Yes => Ok(()),
        Confirmed::No => usage(UsageError::new("nothing was removed: you did not agree")),
    }
}

/// Enters the state and puts what it knows into the plan.
async fn remembered(
    account: &mut Account,
    random: &mut SystemRandom,
    limit: Duration,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Option<Slot>, Ending> {
    let (aor, registrar) = (state::key(&account.plan.aor), state::key(&account.plan.registrar));
    let Some(state) = account.state.take() else { return Ok(None) };
    if account.net.dry_run {
        let record = state.peek(&aor, &registrar);
        account.recall(record.bound()).map_err(Ending::Usage)?;
        account.remember(&record);
        return Ok(None);
    }
    let lock = match state.approach(&aor, &registrar) {
        Ok(waiting) => {
            let lock = tokio::time::timeout(limit, waiting.wait()).await;
            lock.map_err(|_| Ending::Late(Late::Lock))?
        }
        Err(warning) => Err(warning),
    };
    let lock = match lock {
        Ok(lock) => lock,
        Err(warning) => {
            reporter.warning(&warning);
            let record = state.peek(&aor, &registrar);
            account.recall(record.bound()).map_err(Ending::Usage)?;
            account.remember(&record);
            account.begin_call();
            return Ok(None);
        }
    };
    let (mut slot, warning) = state.enter(&aor, &registrar, lock);
    // Made with the first binding, so that later ones of this device can be told to be its own.
    let instance = match account.plan.purpose {
        Purpose::Bind { .. } => state.instance(&mut || random.next()).err(),
        Purpose::Remove | Purpose::RemoveAll | Purpose::Fetch => None,
    };
    if let Some(warning) = warning.or(instance) {
        reporter.warning(&warning);
    }
    let bound = slot.record().bound();
    if bound.is_empty() && account.recalls() && state.is_kept(&aor, &registrar) {
        let message = format!("a 'sipreg keep' that is running has bound {}", account.plan.aor);
        let error = UsageError::new(message);
        return Err(Ending::Usage(
            error.hint("it removes its binding when it is stopped; --contact names another"),
        ));
    }
    account.recall(bound).map_err(Ending::Usage)?;
    slot.begin(account.plan.contacts.is_empty());
    account.remember(slot.record());
    Ok(Some(slot))
}

/// The loop: what the core tells, what the user types, what a signal says. `Err` is a signal.
async fn drive(
    driver: &mut Driver,
    signals: &mut Signals,
    clock: Clock,
    rehearsal: bool,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Ending, Signal> {
    let mut prompt: Option<Prompt> = None;
    let mut watch = Watch::default();
    loop {
        let notice = tokio::select! {
            biased;
            signal = signals.next() => return Err(signal),
            () = crash::happened() => return Ok(Ending::Crashed),
            typed = answer(&mut prompt) => {
                prompt = None;
                let password = match typed {
                    Typed::Interrupted => return Err(Signal::Interrupt),
                    Typed::Password(password) => Some(password),
                    Typed::Nothing => None,
                };
                driver.command(Command::Password { registration: ONE, password });
                continue;
            }
            notice = driver.next() => notice,
        };
        match notice {
            Notice::Message { direction: Direction::Sent, bytes, .. } if rehearsal => {
                return Ok(Ending::Rehearsed(bytes));
            }
            Notice::PasswordWanted { username, realm, .. } => prompt = Some(Prompt::ask(&username, &realm)),
            Notice::Finished(mut report) => {
                // The core counts whole milliseconds; people compare registrars by fractions.
                report.elapsed = clock.elapsed();
                report.round_trip = watch.round_trip.or(report.round_trip);
                return Ok(Ending::Finished(report));
            }
            Notice::Retrying { failure, wait, .. } => reporter.retrying(&failure, wait),
            passing @ (Notice::Message { .. } | Notice::Dropped { .. }) => {
                watch.saw(&passing, clock.elapsed());
                show(&passing, clock.elapsed(), reporter);
            }
            Notice::Server(_) | Notice::Account { .. } => {}
        }
    }
}

/// Times the last request and its answer.
#[derive(Default)]
struct Watch {
    sent: Duration,
    round_trip: Option<Duration>,
}

impl Watch {
    fn saw(&mut self, notice: &Notice, at: Duration) {
        if let Notice::Message { direction, .. } = notice {
            match direction {
                Direction::Sent => (self.sent, self.round_trip) = (at, None),
                Direction::SentAgain => {}
                Direction::Received => self.round_trip = Some(at.saturating_sub(self.sent)),
            }
        }
    }
}

/// Waits for the answer to the question on the terminal; for ever, if there is none.
pub(super) async fn answer(prompt: &mut Option<Prompt>) -> Typed {
    match prompt {
        Some(prompt) => prompt.answer().await,
        None => std::future::pending().await,
    }
}

/// What the core knows, if it says so at once.
async fn last_words(driver: &mut Driver) -> Option<Box<Report>> {
    driver.command(Command::GiveUp { registration: ONE });
    let finished = async {
        loop {
            if let Notice::Finished(report) = driver.next().await {
                return report;
            }
        }
    };
    tokio::time::timeout(LAST_WORDS, finished).await.ok()
}

pub(super) fn show(notice: &Notice, at: Duration, reporter: &mut Reporter<'_, '_>) {
    match notice {
        Notice::Message { direction, transport, remote, bytes, .. } => reporter.message(&Passing {
            at,
            direction: *direction,
            transport: *transport,
            remote: *remote,
            bytes,
        }),
        Notice::Dropped { peer, reason } => reporter.dropped(at, *peer, *reason),
        Notice::PasswordWanted { .. }
        | Notice::Retrying { .. }
        | Notice::Finished(_)
        | Notice::Server(_)
        | Notice::Account { .. } => {}
    }
}

/// The signals that end a command.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

/// The signals that end a command.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    pub(super) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            // Without a way to hear of it, it never comes.
            Err(_) => std::future::pending().await,
        }
    }
}
