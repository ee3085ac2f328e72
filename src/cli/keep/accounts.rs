//! The accounts of this process: the status of each, and the slots in which their bindings are remembered.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::options::{enter, place};
use crate::cli::account::Account;
use crate::cli::certificates::ConnectionSettings;
use crate::cli::diagnose::diagnose;
use crate::cli::exit::Exit;
use crate::cli::report::Reporter;
use crate::cli::report::board::AccountStatus;
use crate::cli::report::events::{KeepEvent, Rate};
use crate::cli::state::{self, ProcessSlot, Slot};
use crate::net::{Config, Driver, ProfileSettings, SystemRandom};
use crate::proto::client::outcome::Success;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::client::schedule::AccountEvent;
use crate::proto::ids::Random;
use crate::proto::{Command, Profile, RegistrationId, Time};

/// Accounts that start together begin within this time for each of them, at random moments, and within the longest
/// for all.
const SPREAD: Duration = Duration::from_millis(20);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// The accounts that are kept, by the id under which the core knows them.
pub(super) struct Accounts {
    pub(super) all: BTreeMap<RegistrationId, Box<Member>>,
    slots: Rc<RefCell<BTreeMap<RegistrationId, Slot>>>,
    place: Option<ProcessSlot>,
    probe: Option<Duration>,
    random: SystemRandom,
    last: u64,
    /// The network options of the first account: they hold for all, as long as the process runs.
    net: Option<Config>,
    /// The settings of connections over TLS and WebSocket, each once, in the order of [`Profile`]; there are more of them
    /// when the configuration has changed.
    connections: Vec<ConnectionSettings>,
    /// Accounts that are being removed since the configuration no longer has them.
    leaving: BTreeSet<RegistrationId>,
    /// The configuration has one of those again by now.
    wanted_again: bool,
}

impl Accounts {
    /// No account yet; bindings will be remembered in the state directory of the first.
    pub(super) fn new(
        first: &[Account],
        probe: Option<Duration>,
        random: SystemRandom,
        reporter: &mut Reporter<'_, '_>,
    ) -> Accounts {
        let place = place(first, reporter);
        Accounts {
            all: BTreeMap::new(),
            slots: Rc::default(),
            place,
            probe,
            random,
            last: 0,
            net: None,
            connections: Vec::new(),
            leaving: BTreeSet::new(),
            wanted_again: false,
        }
    }

    /// Has the driver write to the slots before each request that makes it true.
    pub(super) fn remember(&self, driver: &mut Driver) {
        let slots = Rc::clone(&self.slots);
        driver.remember_with(Box::new(move |what| {
            if let Some(slot) = slots.borrow_mut().get_mut(&what.registration) {
                slot.remember(what);
            }
        }));
    }

    /// Calls `what` with the slot of an account, if it has one.
    pub(super) fn with_slot<T>(&self, id: RegistrationId, what: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.slots.borrow_mut().get_mut(&id).map(what)
    }

    /// The status of each account.
    pub(super) fn statuses(&self) -> impl Iterator<Item = &AccountStatus> + Clone {
        self.all.values().map(|member| &member.status)
    }

    /// The network options, once an account has begun.
    pub(super) fn net(&self) -> Config {
        Config { profiles: self.profiles(), ..self.net.clone().unwrap_or_default() }
    }

    /// The settings of connections, for the driver.
    fn profiles(&self) -> Vec<Arc<ProfileSettings>> {
        self.connections.iter().map(|connections| Arc::clone(&connections.settings)).collect()
    }

    /// The number of an account's settings, which others may have, too.
    fn profile(&mut self, connections: &ConnectionSettings) -> Profile {
        let known = self.connections.iter().rposition(|known| known.is_same(connections));
        let number = known.unwrap_or_else(|| {
            self.connections.push(connections.clone());
            self.connections.len() - 1
        });
        Profile(u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// The commands that begin to keep these accounts.
    pub(super) fn begin(&mut self, accounts: Vec<Account>, reporter: &mut Reporter<'_, '_>) -> Vec<Command> {
        let many = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(many.saturating_sub(1)).min(LONGEST_SPREAD);
        let mut commands = Vec::with_capacity(accounts.len());
        for mut account in accounts {
            self.last += 1;
            let registration = RegistrationId(self.last);
            let aor = account.settings.aor.take().unwrap_or_else(|| account.plan.aor.to_string()).into();
            if let Some(place) = &self.place
                && let Some(slot) = enter(&mut account, place, &mut self.random, reporter)
            {
                self.slots.borrow_mut().insert(registration, slot);
            }
            self.net.get_or_insert_with(|| account.net.clone());
            account.plan.profile = self.profile(&account.connections);
            let delay = spread.mul_f64((self.random.next() % 1001) as f64 / 1000.0);
            let plan = Box::new(account.plan);
            commands.push(Command::Keep { registration, plan, delay, probe: self.probe });
            let status = AccountStatus { aor, ..AccountStatus::default() };
            self.all.insert(registration, Box::new(Member { status, ..Member::default() }));
        }
        commands
    }

    /// The commands that bring what is kept to what is wanted now: an account with the same AOR and registrar as one that is kept
    /// goes on with its new plan, others begin, and those that are no longer there end.
    pub(super) fn revise(
        &mut self,
        accounts: Vec<Account>,
        driver: &mut Driver,
        reporter: &mut Reporter<'_, '_>,
    ) -> Vec<Command> {
        let key = |plan: &Plan| (state::key(&plan.aor), state::key(&plan.registrar));
        let plans = self.all.keys().filter_map(|id| Some((key(driver.endpoint().plan(*id)?), *id)));
        let mut kept: BTreeMap<_, _> = plans.collect();
        let (mut commands, mut fresh) = (Vec::new(), Vec::new());
        if let (Some(then), Some(now)) = (&self.net, accounts.first().map(|first| &first.net))
            && (then.bind != now.bind || then.nameservers != now.nameservers)
        {
            reporter.warning("bind and nameserver stay as they are until keep is started again");
        }
        let settings_before = self.connections.len();
        for mut account in accounts {
            let Some(registration) = kept.remove(&key(&account.plan)) else {
                fresh.push(account);
                continue;
            };
            if self.leaving.contains(&registration) {
                self.wanted_again = true;
                continue;
            }
            self.with_slot(registration, |slot| slot.begin(account.plan.has_own()));
            if let Some(member) = self.all.get_mut(&registration) {
                member.gave_up = None;
            }
            account.plan.profile = self.profile(&account.connections);
            commands.push(Command::Revise { registration, plan: Box::new(account.plan) });
            commands.push(Command::Refresh(Some(registration)));
        }
        self.leaving.extend(kept.values());
        commands.extend(kept.into_values().map(|gone| Command::StopKeeping(Some(gone))));
        commands.extend(self.begin(fresh, reporter));
        if let Some(fresh) = self.connections.get(settings_before..).filter(|fresh| !fresh.is_empty()) {
            fresh.iter().filter_map(ConnectionSettings::alarm).for_each(|alarm| reporter.alarm(&alarm));
            driver.set_profiles(self.profiles());
        }
        commands
    }

    /// An account is kept no longer. Whether the configuration has it again: it may begin, now that nobody else writes to
    /// its record.
    pub(super) fn end(&mut self, id: RegistrationId) -> bool {
        self.all.remove(&id);
        self.slots.borrow_mut().remove(&id);
        self.leaving.remove(&id) && self.leaving.is_empty() && std::mem::take(&mut self.wanted_again)
    }
}

/// An account that is kept.
#[derive(Default)]
pub(super) struct Member {
    pub(super) status: AccountStatus,
    /// The contact that is bound, as long as a program waits for it.
    pub(super) contact: Option<Box<str>>,
    /// A hash of the bindings of other devices in the last answer.
    others: Option<u64>,
    /// The last event of this account, once the removal of its binding has failed.
    pub(super) not_removed: Option<Box<KeepEvent>>,
    /// The requests of others that were not told yet, since there were too many: how many, and the last of them.
    untold: Option<(u64, Box<KeepEvent>)>,
    /// The exit status for a failure that is not tried again.
    pub(super) gave_up: Option<Exit>,
}

/// Whether other devices are bound than the answer before said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Same,
    Changed,
}

impl Member {
    /// Brings the status up to date with an event.
    pub(super) fn update(&mut self, what: &AccountEvent) -> Others {
        let status = &mut self.status;
        match what {
            AccountEvent::Registered { report, until, next }
            | AccountEvent::Refreshed { report, until, next } => {
                status.tries += 1;
                (status.until, status.next, status.failure) = (Some(*until), Some(*next), None);
                self.gave_up = None;
                if let Ok(success) = &report.result {
                    return self.compare(success);
                }
            }
            AccountEvent::Failed { report, until, next } => {
                (status.tries, status.failures) = (status.tries + 1, status.failures + 1);
                (status.until, status.next) = (*until, *next);
                let failure = report.result.as_ref().err();
                status.failure = failure.map(|failure| diagnose(failure, report).message.into());
            }
            AccountEvent::FlowFailed { next, .. } => status.next = Some(*next),
            AccountEvent::Nat { seen, interval } => status.nat = seen.map(|seen| Box::new((seen, *interval))),
            AccountEvent::Incoming { .. } => status.calls += 1,
            AccountEvent::Unregistered(report) => {
                status.next = None;
                status.until = status.until.filter(|_| report.result.is_err());
            }
            AccountEvent::Registering | AccountEvent::NetworkChanged | AccountEvent::Stopped(_) => {}
        }
        Others::Same
    }

    /// What is told of an event; `None`: it is told by the next one, for the removal of a binding has failed, and so the
    /// account ends.
    pub(super) fn event(&mut self, what: &AccountEvent, now: Time) -> Option<KeepEvent> {
        let (aor, until) = (&self.status.aor, self.status.until);
        if let AccountEvent::Failed { report, .. } = what
            && let (Purpose::Remove, Err(failure)) = (report.purpose, &report.result)
        {
            self.not_removed = Some(Box::new(KeepEvent::not_removed(aor, failure, report, until, now)));
            return None;
        }
        match self.not_removed.take() {
            Some(event) if matches!(what, AccountEvent::Stopped(_)) => Some(*event),
            Some(_) | None => Some(KeepEvent::of(aor, what, until, now)),
        }
    }

    /// The event of a request of somebody else with all that were not told before it, if it may be told now.
    pub(super) fn admit(&mut self, event: KeepEvent, rate: &mut Rate, now: Time) -> Option<KeepEvent> {
        let count = self.untold.take().map_or(0, |(count, _)| count) + 1;
        if rate.admits(now) {
            return Some(event.counted(count, now));
        }
        self.untold = Some((count, Box::new(event)));
        None
    }

    /// The requests of others that were not told, at the end.
    pub(super) fn rest(&mut self, now: Time) -> Option<KeepEvent> {
        self.untold.take().map(|(count, last)| last.counted(count, now))
    }

    fn compare(&mut self, success: &Success) -> Others {
        let live = success.bindings.iter().filter(|binding| !binding.own && binding.expires > 0);
        let mut uris: Vec<String> = live.map(|binding| binding.contact.uri.to_string()).collect();
        uris.sort_unstable();
        let mut hasher = DefaultHasher::new();
        uris.hash(&mut hasher);
        let now = hasher.finish();
        match self.others.replace(now) {
            Some(before) if before != now => Others::Changed,
            Some(_) | None => Others::Same,
        }
    }
}
