//! The loop of `keep`: what the core says, what signals ask for, and what is read again.

use std::io;
use std::time::Duration;

use super::accounts::{Accounts, Others};
use super::child::Child;
use super::hook::Hook;
use super::metrics;
use super::reload::Reload;
use super::systemd::Manager;
use crate::cli::account::Account;
use crate::cli::exit::{Exit, Fault};
use crate::cli::report::events::{KeepEvent, Rate};
use crate::cli::report::{Reporter, human};
use crate::cli::session::{Input, Session};
use crate::cli::signals::{Signal, Stop};
use crate::cli::state::Slot;
use crate::cli::usage::UsageError;
use crate::proto::client::outcome::Report;
use crate::proto::client::plan::Purpose;
use crate::proto::client::schedule::{AccountEvent, Departure};
use crate::proto::{Command, Notice, RegistrationId, Time};

/// The accounts that are kept, and everything that runs beside them.
pub(super) struct Loop {
    pub(super) session: Session,
    pub(super) accounts: Accounts,
    pub(super) reload: Reload,
    pub(super) hook: Option<Hook>,
    pub(super) child: Child,
    pub(super) manager: Manager,
    /// What strangers ask of all accounts is told at this rate.
    pub(super) incoming: Rate,
    pub(super) stopping: bool,
    /// The exit status, once nothing is kept any more.
    pub(super) outcome: Option<Exit>,
}

/// The next thing to act upon.
enum Next {
    Input(Input),
    /// The configuration was read again.
    Read(Result<Vec<Account>, UsageError>),
    /// The time of `--for` is over.
    Over,
    /// The program has ended.
    Ended(Exit),
    /// The program of `--on-event` fails, or is too slow.
    Complaint(String),
    /// A binding may have run out, or the watchdog was fed: the status is shown again.
    Nothing,
}

impl Loop {
    /// Goes on until nothing is kept any more.
    pub(super) async fn run(
        mut self,
        stop_after: Option<Duration>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Exit, Fault> {
        let ended = self.go_on(stop_after, reporter).await;
        self.session.end(reporter).await;
        ended
    }

    async fn go_on(
        &mut self,
        stop_after: Option<Duration>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Exit, Fault> {
        let over = async {
            match stop_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let mut is_over = false;
        // A program may use the terminal.
        let has_board = reporter.has_board() && !self.child.waits();
        loop {
            let lapse = self.show(has_board && !self.session.is_asking(), reporter);
            let lapse = lapse.map(|at| at.since(self.session.driver.now()));
            let next = tokio::select! {
                biased;
                input = self.session.next(reporter) => Next::Input(input?),
                read = self.reload.read() => Next::Read(read),
                () = self.manager.beat() => Next::Nothing,
                () = &mut over, if !is_over => Next::Over,
                exit = self.child.ended() => Next::Ended(exit),
                complaint = Hook::complaint(&mut self.hook) => Next::Complaint(complaint),
                () = tokio::time::sleep(lapse.unwrap_or_default()), if lapse.is_some() => Next::Nothing,
            };
            match next {
                Next::Input(Input::Signal(Signal::Stop(signal))) if self.stopping => {
                    self.child.kill();
                    return Ok(signal.into());
                }
                Next::Input(input) => self.input(input, reporter),
                Next::Read(read) => {
                    self.revise(read, reporter);
                    self.manager.reloaded();
                }
                Next::Complaint(complaint) => reporter.warning(&complaint),
                Next::Over => {
                    is_over = true;
                    self.stop(None);
                }
                Next::Ended(exit) => {
                    self.outcome.get_or_insert(exit);
                    self.end();
                }
                Next::Nothing => {}
            }
            if self.accounts.all.is_empty() && !self.reload.is_under_way() {
                if self.child.is_running() {
                    self.stop(None);
                    continue;
                }
                if let Some(hook) = self.hook.take() {
                    tokio::select! {
                        () = hook.finish() => {}
                        signal = self.session.stop() => return Ok(signal.into()),
                    }
                }
                return Ok(self.outcome.unwrap_or(Exit::Done));
            }
        }
    }

    fn input(&mut self, input: Input, reporter: &mut Reporter<'_, '_>) {
        match input {
            Input::Notice(first) => {
                let mut notice = Some(first);
                while let Some(one) = notice {
                    self.notice(&one, reporter);
                    notice = self.session.at_hand();
                }
            }
            Input::Signal(Signal::Stop(signal)) => self.stop(Some(signal)),
            Input::Signal(Signal::Reload) if self.stopping => {}
            Input::Signal(Signal::Reload) => {
                self.manager.reloads();
                self.reload.begin();
            }
            Input::Signal(Signal::Status) => self.status(reporter),
            Input::Reader(reader) => {
                let all = self.accounts.statuses();
                reader.answer(metrics::text(all, reporter.left_out(), self.session.driver.now()));
            }
            // That ends it as a signal would.
            Input::Unread => self.stop(None),
        }
    }

    fn notice(&mut self, notice: &Notice, reporter: &mut Reporter<'_, '_>) {
        match notice {
            Notice::Account { registration, what } => {
                if self.account(*registration, what, reporter).is_err() {
                    // Nobody reads the events any more; that ends it as a signal would.
                    self.stop(None);
                }
            }
            Notice::Finished(_)
            | Notice::PasswordWanted { .. }
            | Notice::Retrying { .. }
            | Notice::Message { .. }
            | Notice::Lookup(_)
            | Notice::Dropped { .. }
            | Notice::Check(_)
            | Notice::Server(_) => self.session.show(notice, reporter),
        }
    }

    /// Has the program end, which was perhaps told to by that signal, and then the bindings removed; nothing is started
    /// any more.
    fn stop(&mut self, signal: Option<Stop>) {
        if !self.stopping {
            self.stopping = true;
            self.reload.end();
            self.manager.stops();
            if !self.child.stop(signal) {
                self.session.driver.command(Command::StopKeeping(None));
            }
        }
    }

    /// The program has ended: has the bindings removed.
    fn end(&mut self) {
        if self.stopping {
            self.session.driver.command(Command::StopKeeping(None));
        } else {
            self.stop(None);
        }
    }

    /// Goes on with the configuration as it is now. If it can't be read nothing changes, but everything is
    /// bound again.
    fn revise(&mut self, read: Result<Vec<Account>, UsageError>, reporter: &mut Reporter<'_, '_>) {
        let commands = match read {
            Ok(accounts) => self.accounts.revise(accounts, &mut self.session.driver, reporter),
            Err(error) => {
                reporter.warning(&format!("what is configured stays as it was: {}", error.message()));
                let file = self.reload.file().map(|path| path.display().to_string());
                let event = KeepEvent::reload_failed(file, error.into(), self.session.driver.now());
                if self.tell(&event, reporter).is_err() {
                    // Nobody reads the events any more; that ends it as a signal would.
                    self.stop(None);
                    return;
                }
                vec![Command::Refresh(None)]
            }
        };
        commands.into_iter().for_each(|command| self.session.driver.command(command));
    }

    /// Says what happened to an account, and does what follows from it. `Err`: nobody reads it any more.
    fn account(
        &mut self,
        registration: RegistrationId,
        what: &AccountEvent,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<()> {
        let now = self.session.driver.now();
        let Some(member) = self.accounts.all.get_mut(&registration) else { return Ok(()) };
        let others = member.update(what);
        let rest = match what {
            AccountEvent::Stopped(_) => member.rest(now),
            AccountEvent::Registering
            | AccountEvent::NetworkChanged
            | AccountEvent::Incoming { .. }
            | AccountEvent::FlowFailed { .. }
            | AccountEvent::Nat { .. }
            | AccountEvent::Registered { .. }
            | AccountEvent::Refreshed { .. }
            | AccountEvent::Failed { .. }
            | AccountEvent::Unregistered(_) => None,
        };
        let Some(mut event) = member.event(what, now) else { return Ok(()) };
        if event.is_of_strangers() {
            let Some(admitted) = member.admit(event, &mut self.incoming, now) else { return Ok(()) };
            event = admitted;
        }
        let aor = event.aor().to_owned();
        let mut read = rest.map_or(Ok(()), |rest| self.tell(&rest, reporter));
        read = read.and(self.tell(&event, reporter));
        if others == Others::Changed {
            read = read.and(self.tell(&event.into_bindings_changed(), reporter));
        }
        match what {
            AccountEvent::Registering
            | AccountEvent::NetworkChanged
            | AccountEvent::Incoming { .. }
            | AccountEvent::FlowFailed { .. }
            | AccountEvent::Nat { interval: Some(_), .. }
            | AccountEvent::Nat { seen: None, .. } => {}
            AccountEvent::Nat { seen: Some(seen), interval: None } => reporter.warning(&format!(
                "{aor}: behind a NAT (seen as {seen}), and keepalives are off: calls may stop to arrive"
            )),
            AccountEvent::Registered { report, .. } => {
                for blemish in human::blemishes(report) {
                    reporter.warning(&format!("{aor}: {blemish}"));
                }
                self.bound(registration, report, reporter);
            }
            AccountEvent::Refreshed { report, .. } => self.bound(registration, report, reporter),
            AccountEvent::Failed { report, until, next } => {
                match report.took_effect {
                    true => self.accounts.with_slot(registration, Slot::hold),
                    false if until.is_none() => self.accounts.with_slot(registration, Slot::restore),
                    false => None,
                };
                if let (Err(failure), None, false) = (&report.result, next, self.stopping)
                    && let Some(member) = self.accounts.all.get_mut(&registration)
                {
                    member.gave_up = Some(Exit::from(failure));
                }
                self.give_up();
            }
            AccountEvent::Unregistered(report) => {
                if let Ok(success) = &report.result {
                    self.accounts.with_slot(registration, |slot| {
                        let bound = slot.record().bound();
                        slot.settle(Purpose::Remove, &bound, success, report.sent);
                    });
                }
            }
            AccountEvent::Stopped(Departure::Unconfirmed)
                if self.outcome.is_none_or(|exit| exit == Exit::Done) =>
            {
                self.outcome = Some(Exit::Timeout);
            }
            AccountEvent::Stopped(_) => {}
        }
        if let Some(complaint) = self.accounts.with_slot(registration, Slot::complaint).flatten() {
            reporter.warning(&complaint);
        }
        if let AccountEvent::Stopped(_) = what
            && self.accounts.end(registration)
            && !self.stopping
        {
            self.reload.begin();
        }
        read
    }

    /// An account is bound, or for longer.
    fn bound(&mut self, registration: RegistrationId, report: &Report, reporter: &mut Reporter<'_, '_>) {
        if let (Some(uri), Some(member)) = (&report.moved_to, self.accounts.all.get(&registration)) {
            let aor = &member.status.aor;
            reporter.warning(&format!("{aor}: the registrar is {uri} from now on: name it with --registrar"));
        }
        if let Ok(success) = &report.result {
            self.accounts
                .with_slot(registration, |slot| slot.settle(report.purpose, &[], success, report.sent));
            if self.child.waits()
                && let Some(member) = self.accounts.all.get_mut(&registration)
            {
                member.contact = success.contacts.first().map(|granted| granted.uri.to_string().into());
            }
        }
        self.start_child(reporter);
    }

    /// Reports an event on stdout, and to the program of `--on-event`.
    fn tell(&mut self, event: &KeepEvent, reporter: &mut Reporter<'_, '_>) -> io::Result<()> {
        let read = reporter.event(event);
        if let Some(hook) = &mut self.hook {
            hook.tell(event);
        }
        read
    }

    /// Shows the status of the accounts on the terminal and to the service manager. Returns when the next
    /// binding runs out, which changes it.
    fn show(&mut self, draws: bool, reporter: &mut Reporter<'_, '_>) -> Option<Time> {
        // There may be ten thousand accounts: nobody goes through them for nothing.
        if !draws && !self.manager.listens() {
            return None;
        }
        let now = self.session.driver.now();
        let accounts = &self.accounts;
        if draws && !accounts.all.is_empty() {
            reporter.draw(accounts.statuses(), now);
        }
        let bound = || accounts.statuses().filter_map(|status| status.until).filter(|until| now < *until);
        let tried = accounts.statuses().all(|status| status.tries > 0);
        self.manager.stands(bound().count(), accounts.all.len(), tried);
        bound().min()
    }

    /// Starts the program when all accounts are bound.
    fn start_child(&mut self, reporter: &mut Reporter<'_, '_>) {
        let mut members = self.accounts.all.values();
        if self.stopping || !self.child.waits() || members.any(|member| member.contact.is_none()) {
            return;
        }
        if let Some(first) = self.accounts.all.values().next() {
            let contact = first.contact.clone().unwrap_or_default();
            reporter.settle();
            if let Err((exit, message)) = self.child.start(&first.status.aor, &contact) {
                reporter.warning(&message);
                self.outcome = Some(exit);
                self.stop(None);
            }
        }
    }

    /// Stops when every account has failed for good, or when one has and the program waits for all of them.
    fn give_up(&mut self) {
        let members = || self.accounts.all.values();
        if (self.child.waits() || members().all(|member| member.gave_up.is_some()))
            && let Some(exit) = members().find_map(|member| member.gave_up)
        {
            self.outcome = Some(exit);
            self.stop(None);
        }
    }

    fn status(&self, reporter: &mut Reporter<'_, '_>) {
        reporter.standings(self.accounts.statuses(), self.session.driver.now());
    }
}
