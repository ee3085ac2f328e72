//! The loop of `keep`: what the core tells, what signals say, and what is read again.

use std::cell::LazyCell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::accounts::Accounts;
use super::child::Child;
use super::counted;
use super::hook::Hook;
use super::reread::Reread;
use super::signals::Also;
use super::systemd::Manager;
use crate::cli::account::Account;
use crate::cli::exit::Exit;
use crate::cli::metrics::{Metrics, Reader};
use crate::cli::prompt::{Prompt, Typed};
use crate::cli::report::Reporter;
use crate::cli::report::keeping::Event;
use crate::cli::run::{self, Signals};
use crate::cli::state::Slot;
use crate::cli::usage::UsageError;
use crate::cli::{Signal, crash};
use crate::net::{Clock, Driver};
use crate::proto::client::plan::Purpose;
use crate::proto::client::schedule::{AccountEvent, Departure};
use crate::proto::{Command, Notice, RegistrationId, Time};

/// Everything that goes on.
pub(super) struct Work<'a> {
    pub(super) driver: Driver,
    pub(super) clock: Clock,
    pub(super) accounts: Accounts,
    pub(super) reread: Reread<'a>,
    pub(super) hook: Option<Hook>,
    pub(super) child: Child,
    pub(super) metrics: Option<Metrics>,
    pub(super) manager: Manager,
    pub(super) stopping: bool,
    /// How it will end, once nothing is kept any more.
    pub(super) outcome: Option<Exit>,
}

/// What comes next.
enum Next {
    Notice(Notice),
    Stop(Signal),
    Hangup,
    Reread(Result<Vec<Account>, UsageError>),
    Status,
    Over,
    Typed(Typed),
    Ended(Exit),
    Complaint(String),
    Scraped(Reader),
    Crashed,
}

impl Work<'_> {
    /// Goes on until nothing is kept any more.
    pub(super) async fn run(
        mut self,
        mut signals: Signals,
        stop_after: Option<Duration>,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<Exit> {
        let mut hangup = Also::hangup()?;
        let mut status = Also::user1()?;
        let mut prompts: VecDeque<(RegistrationId, String, String)> = VecDeque::new();
        let mut prompt: Option<Prompt> = None;
        let over = async {
            match stop_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut is_over = false;
        // A program may want the terminal for itself.
        let has_board = reporter.has_board() && !self.child.waits();
        loop {
            if prompt.is_none()
                && let Some((_, username, realm)) = prompts.front()
            {
                reporter.erase();
                prompt = Some(Prompt::ask(username, realm));
            }
            let lapse = self.show(has_board && prompt.is_none(), reporter);
            let lapse = lapse.map(|at| at.since(self.driver.now()));
            let next = tokio::select! {
                biased;
                // It is the most frequent, and lets the others have their turn.
                notice = self.driver.next() => Next::Notice(notice),
                signal = signals.next() => Next::Stop(signal),
                () = crash::happened() => Next::Crashed,
                () = hangup.next() => Next::Hangup,
                read = self.reread.read() => Next::Reread(read),
                () = status.next() => Next::Status,
                () = self.manager.beat() => continue,
                () = &mut over, if !is_over => Next::Over,
                typed = run::answer(&mut prompt) => Next::Typed(typed),
                exit = self.child.ended() => Next::Ended(exit),
                complaint = Hook::complaint(&mut self.hook) => Next::Complaint(complaint),
                reader = Metrics::next(self.metrics.as_ref()) => Next::Scraped(reader),
                () = tokio::time::sleep(lapse.unwrap_or_default()), if lapse.is_some() => continue,
            };
            match next {
                Next::Crashed => return Ok(reporter.internal(&crash::last_words())),
                Next::Stop(signal) if self.stopping => return Ok(reporter.stopped_by(signal)),
                Next::Stop(_) => self.stop(),
                Next::Hangup if self.stopping => {}
                Next::Hangup => {
                    self.manager.reloads();
                    self.reread.begin();
                }
                Next::Reread(read) => {
                    self.revise(read, reporter);
                    self.manager.reloaded();
                }
                Next::Status => self.status(reporter),
                Next::Scraped(reader) => reader
                    .answer(counted::text(self.accounts.all.values().map(|one| &**one), self.driver.now())),
                Next::Complaint(complaint) => reporter.warning(&complaint),
                Next::Over => {
                    is_over = true;
                    self.stop();
                }
                Next::Ended(exit) => {
                    self.outcome = Some(exit);
                    self.stop();
                }
                Next::Typed(typed) => {
                    prompt = None;
                    let asked = prompts.pop_front();
                    let password = match typed {
                        Typed::Interrupted => {
                            self.stop();
                            None
                        }
                        Typed::Password(password) => Some(password),
                        Typed::Nothing => None,
                    };
                    if let Some((registration, ..)) = asked {
                        self.driver.command(Command::Password { registration, password });
                    }
                }
                Next::Notice(first) => {
                    let mut notice = Some(first);
                    while let Some(one) = notice {
                        prompts.extend(self.notice(one, reporter));
                        notice = self.driver.try_next();
                    }
                }
            }
            if self.accounts.all.is_empty() && !self.reread.is_under_way() {
                if let Some(hook) = self.hook.take() {
                    hook.finish().await;
                }
                return Ok(self.outcome.unwrap_or(Exit::Done));
            }
        }
    }

    /// Takes what the core tells. A password that it wants comes back.
    fn notice(
        &mut self,
        notice: Notice,
        reporter: &mut Reporter<'_, '_>,
    ) -> Option<(RegistrationId, String, String)> {
        match notice {
            Notice::PasswordWanted { registration, username, realm } => {
                return Some((registration, username, realm));
            }
            Notice::Account { registration, what } => {
                if self.kept(registration, &what, reporter).is_err() {
                    // Nobody reads what is told; that ends it as a signal would.
                    self.stop();
                }
            }
            Notice::Finished(_)
            | Notice::Retrying { .. }
            | Notice::Message { .. }
            | Notice::Dropped { .. }
            | Notice::Server(_) => run::show(&notice, self.clock.elapsed(), reporter),
        }
        None
    }

    /// Has the bindings removed; nothing is started any more.
    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.reread.end();
            self.manager.stops();
            self.child.stop();
            self.driver.command(Command::StopKeeping(None));
        }
    }

    /// Goes on with what the configuration says now. What can't be read changes nothing; everything is bound again all the same.
    fn revise(&mut self, read: Result<Vec<Account>, UsageError>, reporter: &mut Reporter<'_, '_>) {
        let commands = match read {
            Ok(accounts) => self.accounts.revise(accounts, &self.driver, reporter),
            Err(error) => {
                reporter.warning(&format!("what is configured stays as it was: {}", error.message));
                vec![Command::Refresh(None)]
            }
        };
        commands.into_iter().for_each(|command| self.driver.command(command));
    }

    fn kept(
        &mut self,
        registration: RegistrationId,
        what: &AccountEvent,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<()> {
        let now = self.driver.now();
        let Some(one) = self.accounts.all.get_mut(&registration) else { return Ok(()) };
        one.count(what);
        let changed = match what {
            AccountEvent::Registered { report, .. } | AccountEvent::Refreshed { report, .. } => report
                .result
                .as_ref()
                .ok()
                .filter(|success| one.sees(success))
                .map(|success| (report, success)),
            AccountEvent::Registering
            | AccountEvent::NetworkChanged
            | AccountEvent::Incoming { .. }
            | AccountEvent::Failed { .. }
            | AccountEvent::FlowFailed { .. }
            | AccountEvent::Unregistered(_)
            | AccountEvent::Stopped(_) => None,
        };
        // Made for those only who read it.
        let event = LazyCell::new(|| Event::of(&one.aor, what, one.until, now));
        let mut told = reporter.kept(&one.aor, what, || event.line(), now);
        if let Some(hook) = &mut self.hook {
            hook.tell(event.name(), &one.aor, event.line());
        }
        if let (Some((report, success)), Some(until)) = (changed, one.until) {
            let event = LazyCell::new(|| Event::bindings_changed(&one.aor, report, until, now));
            told = told.and(reporter.bindings_changed(&one.aor, success, || event.line(), now));
            if let Some(hook) = &mut self.hook {
                hook.tell(event.name(), &one.aor, event.line());
            }
        }
        match what {
            AccountEvent::Registering
            | AccountEvent::NetworkChanged
            | AccountEvent::Incoming { .. }
            | AccountEvent::FlowFailed { .. } => {}
            AccountEvent::Registered { report, .. } | AccountEvent::Refreshed { report, .. } => {
                if let Ok(success) = &report.result {
                    if self.child.waits() {
                        one.contact = success.contacts.first().map(|granted| granted.uri.to_string().into());
                    }
                    self.accounts.with_slot(registration, |slot| slot.settle(report.purpose, &[], success));
                }
                self.start_child(reporter);
            }
            AccountEvent::Failed { report, until, next } => {
                if let Err(failure) = &report.result {
                    if next.is_none() && !self.stopping {
                        one.gave_up = Some(Exit::from(failure));
                    }
                    if until.is_none() && run::changed_nothing(report) {
                        self.accounts.with_slot(registration, Slot::restore);
                    }
                }
                self.give_up();
            }
            AccountEvent::Unregistered(report) => {
                if let Ok(success) = &report.result {
                    self.accounts.with_slot(registration, |slot| {
                        let bound = slot.record().bound();
                        slot.settle(Purpose::Remove, &bound, success);
                    });
                }
            }
            AccountEvent::Stopped(left) => {
                if *left == Departure::Unconfirmed && self.outcome.is_none_or(|exit| exit == Exit::Done) {
                    self.outcome = Some(Exit::Timeout);
                }
            }
        }
        if let Some(complaint) = self.accounts.with_slot(registration, Slot::complaint).flatten() {
            reporter.warning(&complaint);
        }
        if let AccountEvent::Stopped(_) = what
            && self.accounts.end(registration)
            && !self.stopping
        {
            self.reread.begin();
        }
        told
    }

    /// Shows how things stand, where somebody looks all the time. Until when that is so comes back: then a binding runs out.
    fn show(&mut self, draws: bool, reporter: &mut Reporter<'_, '_>) -> Option<Time> {
        // There may be ten thousand accounts: they are not gone through for nothing.
        if !draws && !self.manager.listens() {
            return None;
        }
        let now = self.driver.now();
        let all = &self.accounts.all;
        if draws && !all.is_empty() {
            reporter.draw(all.values().map(|one| one.standing()), now);
        }
        let bound = || all.values().filter_map(|one| one.until).filter(|until| now < *until);
        let tried = all.values().all(|one| one.tries > 0);
        self.manager.stands(bound().count(), all.len(), tried);
        bound().min()
    }

    /// The program starts when all are bound.
    fn start_child(&mut self, reporter: &mut Reporter<'_, '_>) {
        if self.stopping || !self.child.waits() || self.accounts.all.values().any(|one| one.contact.is_none())
        {
            return;
        }
        if let Some(first) = self.accounts.all.values().next() {
            let contact = first.contact.clone().unwrap_or_default();
            if let Err((exit, message)) = self.child.start(&first.aor, &contact) {
                reporter.warning(&message);
                self.outcome = Some(exit);
                self.stop();
            }
        }
    }

    /// When every account has failed for good, or the program that waits for all of them can't start any more.
    fn give_up(&mut self) {
        let ones = || self.accounts.all.values();
        if (self.child.waits() || ones().all(|one| one.gave_up.is_some()))
            && let Some(exit) = ones().find_map(|one| one.gave_up)
        {
            self.outcome = Some(exit);
            self.stop();
        }
    }

    fn status(&self, reporter: &mut Reporter<'_, '_>) {
        reporter.standings(self.accounts.all.values().map(|one| one.standing()), self.driver.now());
    }
}
