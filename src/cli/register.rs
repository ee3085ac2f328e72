//! `sipreg register`, `list` and `unregister`: does what an [`Account`] asks for, once. Drives the core until
//! it has finished, and ends at once when a signal comes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::account::{Account, Consent};
use super::exit::{Exit, Fault};
use super::explain;
use super::prompt::{self, Confirmation};
use super::report::Reporter;
use super::session::{self, Input, Session, Setup};
use super::signals::{Listens, Signal, Stop};
use super::state::{self, Slot};
use super::usage::UsageError;
use crate::net::{Clock, SystemRandom};
use crate::proto::client::contact::is_same;
use crate::proto::client::outcome::{Listed, Report, Warning};
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::ids::Random;
use crate::proto::{Command, Direction, Notice, RegistrationId};
use crate::sip::NameAddr;

/// There is one registration in the life of this process.
const ONE: RegistrationId = RegistrationId(1);

/// Time for the core to report when a signal ends the command.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// The end of a command.
pub(super) enum Outcome {
    /// With a report.
    Finished(Box<Report>),
    /// By a signal, with what was known by then.
    Stopped(Stop, Option<Box<Report>>),
    /// With the request that would have been sent.
    Rehearsed(Bytes),
}

/// The cause of a timeout before anything could be sent.
#[derive(Clone, Copy)]
enum WaitedFor {
    /// Another process, which holds the lock.
    Lock,
    /// The password, from a file that is a pipe, or from a program.
    Secret,
}

/// Does what an account asks for, once, and reports the outcome.
pub fn run(account: Account, reporter: &mut Reporter<'_, '_>) -> Exit {
    let required = account.required.clone();
    let mut unlisted = Vec::new();
    account.exposures().iter().for_each(|warning| reporter.warning(warning));
    account.connections.alarm().iter().for_each(|alarm| reporter.alarm(alarm));
    let ended = session::run(Listens::Stop, async |setup| {
        carry_out(account, setup, &mut *reporter, &mut unlisted).await
    });
    match ended {
        Ok(Outcome::Finished(report)) => match missing(&required, &report) {
            Some(missing) => reporter.unmet(&report, &missing, unlisted.first()),
            None => {
                if let Some(contact) = unlisted.first() {
                    reporter.warning(&explain::unlisted(&contact.uri.to_string()));
                }
                reporter.finished(&report)
            }
        },
        Ok(Outcome::Stopped(signal, report)) => reporter.interrupted(signal, report.as_deref()),
        Ok(Outcome::Rehearsed(request)) => reporter.request(&request),
        Err(fault) => reporter.fail(fault),
    }
}

/// The first contact that should be bound and is not (RFC 3261 §19.1.4).
fn missing(required: &[NameAddr], report: &Report) -> Option<String> {
    let bindings = &report.result.as_ref().ok()?.bindings;
    required.iter().find(|contact| !is_listed(contact, bindings)).map(|contact| contact.uri.to_string())
}

fn is_listed(contact: &NameAddr, bindings: &[Listed]) -> bool {
    bindings.iter().any(|binding| binding.expires > 0 && is_same(&contact.uri, &binding.contact.uri))
}

async fn carry_out(
    mut account: Account,
    mut setup: Setup,
    reporter: &mut Reporter<'_, '_>,
    unlisted: &mut Vec<NameAddr>,
) -> Result<Outcome, Fault> {
    let copies = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(Outcome::Stopped(signal, None)),
        copies = account.copies.begin(account.net.dry_run) => copies?,
    };
    let memory = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(Outcome::Stopped(signal, None)),
        memory = prepare(&mut account, &mut setup.random, setup.clock, reporter) => memory?,
    };
    let memory = memory.map(|Memory { slot, left, live }| (Rc::new(RefCell::new(slot)), left, live));
    let (purpose, contacts) = (account.plan.purpose, account.plan.contacts.clone());
    let mut session = setup.begin(account.net, None)?;
    session.copy(copies, reporter);
    if let Some((slot, ..)) = &memory {
        let slot = Rc::clone(slot);
        session.driver.remember_with(Box::new(move |what| slot.borrow_mut().remember(what)));
    }
    let outcome = drive(&mut session, account.plan, reporter).await?;
    session.end(reporter).await;
    let Some((slot, mut left, live)) = memory else { return Ok(outcome) };
    let mut slot = slot.borrow_mut();
    if let Outcome::Finished(report) = &outcome {
        match &report.result {
            Ok(success) => {
                for slot in left.iter_mut().chain([&mut *slot]) {
                    slot.settle(purpose, &contacts, success, report.sent);
                }
                // One that the registrar has moved may be any of them.
                let is_moved =
                    |one: &Listed| one.own && !live.iter().any(|live| is_same(&live.uri, &one.contact.uri));
                let is_unreadable = |warning: &Warning| matches!(warning, Warning::UnreadableContacts(_));
                if !success.bindings.iter().any(is_moved) && !report.warnings.iter().any(is_unreadable) {
                    unlisted.extend(live.into_iter().filter(|live| !is_listed(live, &success.bindings)));
                }
            }
            Err(_) if !report.took_effect => slot.restore(),
            Err(_) => {}
        }
    }
    for complaint in left.iter_mut().chain([&mut *slot]).filter_map(Slot::complaint) {
        reporter.warning(&complaint);
    }
    Ok(outcome)
}

/// What is remembered of one AOR at one registrar.
struct Memory {
    slot: Slot,
    /// What `sipreg keep` processes that have ended have left: to be removed with the rest.
    left: Vec<Slot>,
    /// What `list` should find, if the registrar shows all.
    live: Vec<NameAddr>,
}

/// Everything before the first request: the user's consent, the password, what is remembered.
async fn prepare(
    account: &mut Account,
    random: &mut SystemRandom,
    clock: Clock,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Option<Memory>, Fault> {
    if account.consent == Consent::Needed && !account.net.dry_run {
        consent(account).await?;
    }
    let limit = account.plan.command_limit.unwrap_or(account.plan.try_limit);
    let began = clock.elapsed();
    let remaining = || limit.saturating_sub(clock.elapsed().saturating_sub(began));
    let Ok(read) = tokio::time::timeout(limit, secrets(account)).await else {
        return Err(late(WaitedFor::Secret, account));
    };
    read?;
    let memory = enter_state(account, random, (clock, remaining()), reporter).await?;
    // Waiting for a pipe or another process counts towards --timeout; for a person it does not.
    let waited = clock.elapsed().saturating_sub(began);
    account.plan.try_limit = account.plan.try_limit.saturating_sub(waited);
    account.plan.command_limit = account.plan.command_limit.map(|whole| whole.saturating_sub(waited));
    Ok(memory)
}

/// The time was over before anything could be sent.
fn late(waited_for: WaitedFor, account: &Account) -> Fault {
    let (message, hint) = match waited_for {
        WaitedFor::Lock => (
            format!(
                "another sipreg has been busy with {} all the time; nothing was sent",
                account.settings.aor.as_deref().unwrap_or_default()
            ),
            explain::BUSY.hint,
        ),
        WaitedFor::Secret => (
            "the password did not come in time; nothing was sent".to_owned(),
            "a longer --timeout waits longer; is somebody to type something, or to write into the pipe?",
        ),
    };
    Fault::new(Exit::Timeout, message, Some(hint.to_owned()))
}

pub(super) async fn secrets(account: &mut Account) -> Result<(), UsageError> {
    if let Some(source) = account.secret() {
        account.unlock(source.fetch().await?);
    }
    for locked in account.locked() {
        let credential = locked.open(account.username(), account.net.dry_run).await?;
        account.plan.keyring.credentials.extend(credential);
    }
    Ok(())
}

async fn consent(account: &Account) -> Result<(), UsageError> {
    let aor = &account.plan.aor;
    if !prompt::is_possible() {
        let message = format!("--all removes every binding of {aor}, other devices' too");
        return Err(UsageError::new(message).hint("there is no terminal to ask on: say --yes to do it"));
    }
    match prompt::confirm(&format!("Remove every binding of {aor}, other devices' too?")).await {
        Confirmation::Yes => Ok(()),
        Confirmation::No => Err(UsageError::new("nothing was removed: you did not agree")),
    }
}

/// Enters the state of this AOR and registrar, and puts what is remembered into the plan.
async fn enter_state(
    account: &mut Account,
    random: &mut SystemRandom,
    (clock, limit): (Clock, Duration),
    reporter: &mut Reporter<'_, '_>,
) -> Result<Option<Memory>, Fault> {
    let (aor, registrar) = (state::key(&account.plan.aor), state::key(&account.plan.registrar));
    let Some(state) = account.state.take() else { return Ok(None) };
    if account.net.dry_run {
        let record = state.peek(&aor, &registrar);
        account.recall(record.bound())?;
        account.remember(&record);
        return Ok(None);
    }
    let lock = match state.approach(&aor, &registrar) {
        Ok(waiting) => match tokio::time::timeout(limit, waiting.wait()).await {
            Ok(lock) => lock,
            Err(_) => return Err(late(WaitedFor::Lock, account)),
        },
        Err(warning) => Err(warning),
    };
    let lock = match lock {
        Ok(lock) => lock,
        Err(warning) => {
            reporter.warning(&warning);
            let record = state.peek(&aor, &registrar);
            account.recall(record.bound())?;
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
    let (left, live) = match account.plan.purpose {
        Purpose::Bind { .. } => (Vec::new(), Vec::new()),
        Purpose::Remove | Purpose::RemoveAll => (state.left_by_keep(&aor, &registrar), Vec::new()),
        Purpose::Fetch => (Vec::new(), state.live(&aor, &registrar, clock.now())),
    };
    let bound = all_bound(&slot, &left);
    if bound.is_empty() && account.recalls() && state.is_bound_by_keep(&aor, &registrar) {
        let error =
            UsageError::new(format!("a 'sipreg keep' that is running has bound {}", account.plan.aor));
        let hint = "it removes its binding when it is stopped; --contact names another";
        return Err(error.hint(hint).into());
    }
    account.recall(bound)?;
    slot.begin(account.plan.has_own());
    account.remember(slot.record());
    if let Some(memory) = &mut account.plan.resume {
        memory.own.extend(left.iter().flat_map(|slot| slot.record().memory().own));
    }
    Ok(Some(Memory { slot, left, live }))
}

/// The contacts that a slot and others remember, each of them once.
fn all_bound(slot: &Slot, others: &[Slot]) -> Vec<NameAddr> {
    let mut bound = slot.record().bound();
    for contact in others.iter().flat_map(|slot| slot.record().bound()) {
        if !bound.iter().any(|known| is_same(&known.uri, &contact.uri)) {
            bound.push(contact);
        }
    }
    bound
}

/// Has the core carry out a plan, until it has finished or a signal comes.
pub(super) async fn drive(
    session: &mut Session,
    plan: Plan,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Outcome, Fault> {
    session.driver.command(Command::Register { registration: ONE, plan: Box::new(plan) });
    let mut watch = Watch::default();
    loop {
        let notice = match session.next(reporter).await? {
            Input::Notice(notice) => notice,
            Input::Signal(Signal::Stop(signal)) => {
                return Ok(Outcome::Stopped(signal, last_words(session).await));
            }
            Input::Signal(Signal::Reload | Signal::Status) | Input::Reader(_) | Input::Unread => continue,
        };
        watch.see(&notice, session.clock);
        match notice {
            Notice::Message { direction: Direction::Sent, bytes, .. } if session.rehearses => {
                return Ok(Outcome::Rehearsed(bytes));
            }
            Notice::Finished(mut report) => {
                // The core counts whole milliseconds; people compare registrars by fractions.
                report.elapsed = session.clock.elapsed();
                report.round_trip = watch.round_trip.or(report.round_trip);
                return Ok(Outcome::Finished(report));
            }
            Notice::Retrying { failure, unusable, wait, .. } => reporter.retrying(&failure, &unusable, wait),
            notice @ (Notice::Message { .. }
            | Notice::Lookup(_)
            | Notice::Dropped { .. }
            | Notice::PasswordWanted { .. }
            | Notice::Server(_)
            | Notice::Check(_)
            | Notice::Account { .. }) => session.show(&notice, reporter),
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
    fn see(&mut self, notice: &Notice, clock: Clock) {
        if let Notice::Message { direction, .. } = notice {
            match direction {
                Direction::Sent => (self.sent, self.round_trip) = (clock.elapsed(), None),
                Direction::SentAgain => {}
                Direction::Received => {
                    self.round_trip = Some(clock.elapsed().saturating_sub(self.sent));
                }
            }
        }
    }
}

/// The report of the core about a registration that is given up, if it comes at once.
async fn last_words(session: &mut Session) -> Option<Box<Report>> {
    session.driver.command(Command::GiveUp { registration: ONE });
    let finished = async {
        loop {
            if let Notice::Finished(report) = session.driver.next().await {
                return report;
            }
        }
    };
    tokio::time::timeout(LAST_WORDS, finished).await.ok()
}
