//! `sipreg keep`: accounts that stay bound until a signal, a time, or the end of a program.

mod child;
mod counted;
mod hook;
mod meant;
mod one;
mod signals;
mod systemd;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::account::Account;
use super::args::keep::Keep as Args;
use super::exit::Exit;
use super::metrics::{Metrics, Reader};
use super::prompt::{Prompt, Typed};
use super::report::json::CommandName;
use super::report::keeping::{Event, schema};
use super::report::{Reporter, Settings, Streams};
use super::run::Signals;
use super::state::{Place, Slot};
use super::usage::UsageError;
use super::{Environment, Signal, account, crash, run};
use crate::net::{self, Clock, Driver, SystemRandom};
use crate::proto::diagnose::diagnose;
use crate::proto::ids::Random;
use crate::proto::keep::{Kept, Left};
use crate::proto::plan::Purpose;
use crate::proto::{Command, Endpoint, Notice, RegistrationId};
use child::Child;
use hook::Hook;
use meant::{Life, enter, mean, place, rehearse, secrets};
use one::One;
use signals::Also;
use systemd::Manager;

/// Accounts that start together begin within that time, each at a moment of its own.
const SPREAD: Duration = Duration::from_millis(20);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// Carries it out.
pub fn run(args: Args, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let settings = Settings {
        aor: args.aor.first().and_then(|aor| account::aor_of(aor)),
        json: args.output.json,
        color: args.output.color.unwrap_or_default(),
        ..Settings::default()
    };
    if args.output.json_schema {
        return Reporter::new(streams, settings, Some(CommandName::Keep), environment).data(&schema());
    }
    let meant = mean(&args, environment);
    // What the configuration file says of output holds for all.
    let settings = match &meant {
        Ok((accounts, _)) => accounts.first().map_or(settings, |first| first.settings.clone()),
        Err(_) => settings,
    };
    let mut reporter = Reporter::new(streams, settings, Some(CommandName::Keep), environment);
    match meant {
        Ok((accounts, _)) if args.output.dry_run => rehearse(accounts, &mut reporter),
        Ok((accounts, life)) => start(accounts, life, &mut reporter),
        Err(error) => reporter.usage(&error),
    }
}

fn start(accounts: Vec<Account>, life: Life, reporter: &mut Reporter<'_, '_>) -> Exit {
    let clock = Clock::start();
    let random = match SystemRandom::new() {
        Ok(random) => random,
        Err(error) => return reporter.internal(&error.to_string()),
    };
    let ended =
        net::runtime().and_then(|runtime| runtime.block_on(keep(accounts, life, random, clock, reporter)));
    match ended {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => reporter.usage(&error),
        Err(error) => reporter.internal(&format!("the system gives no event loop: {error}")),
    }
}

type Slots = Rc<RefCell<BTreeMap<RegistrationId, Slot>>>;

async fn keep(
    mut accounts: Vec<Account>,
    life: Life,
    mut random: SystemRandom,
    clock: Clock,
    reporter: &mut Reporter<'_, '_>,
) -> io::Result<Result<Exit, UsageError>> {
    let mut signals = Signals::new()?;
    let prepared = tokio::select! {
        biased;
        signal = signals.next() => return Ok(Ok(reporter.interrupted(signal, None))),
        read = secrets(&mut accounts) => read,
    };
    if let Err(error) = prepared {
        return Ok(Err(error));
    }
    let place = place(&accounts, reporter);
    let mut slots = BTreeMap::new();
    let many = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
    let spread = SPREAD.saturating_mul(many - 1).min(LONGEST_SPREAD);
    let mut begin = Vec::new();
    let mut all = BTreeMap::new();
    let mut net = net::Config::default();
    for (number, mut account) in (1..).zip(accounts) {
        let registration = RegistrationId(number);
        let aor = account.plan.aor.to_string();
        if let Some(place) = &place
            && let Some(slot) = enter(&mut account, place, &mut random, reporter)
        {
            slots.insert(registration, slot);
        }
        if number == 1 {
            net = account.net.clone();
        }
        let delay = spread.mul_f64((random.next() % 1001) as f64 / 1000.0);
        begin.push(Command::Keep { registration, plan: Box::new(account.plan), delay, probe: life.probe });
        all.insert(registration, One { aor, ..One::default() });
    }
    let mut driver = Driver::new(net, Endpoint::new(Box::new(random)), clock);
    let slots = Rc::new(RefCell::new(slots));
    let remembering = Rc::clone(&slots);
    driver.remember_with(Box::new(move |what| {
        if let Some(slot) = remembering.borrow_mut().get_mut(&what.registration) {
            slot.remember(what);
        }
    }));
    // Where the system does not say it, refreshes find it out.
    let _ = driver.watch_network();
    driver.command(Command::Answer(life.callee));
    begin.into_iter().for_each(|command| driver.command(command));
    let metrics = match life.metrics.map(Metrics::listen).transpose() {
        Ok(metrics) => metrics,
        Err(error) => return Ok(Err(error)),
    };
    let Life { stop_after, hook, command, .. } = life;
    let child = Child::new(command);
    let work = Work {
        driver,
        clock,
        all,
        slots,
        hook,
        child,
        metrics,
        manager: Manager::of_environment(),
        stopping: false,
        outcome: None,
        _place: place,
    };
    work.run(signals, stop_after, reporter).await.map(Ok)
}

struct Work {
    driver: Driver,
    clock: Clock,
    all: BTreeMap<RegistrationId, One>,
    slots: Slots,
    hook: Option<Hook>,
    child: Child,
    metrics: Option<Metrics>,
    manager: Manager,
    stopping: bool,
    /// How it will end, once nothing is kept any more.
    outcome: Option<Exit>,
    _place: Option<Place>,
}

/// What comes next.
enum Next {
    Notice(Notice),
    Stop(Signal),
    Refresh,
    Status,
    Over,
    Typed(Typed),
    Ended(Exit),
    Complaint(String),
    Scraped(Reader),
    Crashed,
}

impl Work {
    async fn run(
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
        loop {
            if prompt.is_none()
                && let Some((_, username, realm)) = prompts.front()
            {
                prompt = Some(Prompt::ask(username, realm));
            }
            let next = tokio::select! {
                biased;
                signal = signals.next() => Next::Stop(signal),
                () = crash::happened() => Next::Crashed,
                () = hangup.next() => Next::Refresh,
                () = status.next() => Next::Status,
                () = self.manager.beat() => continue,
                () = &mut over, if !is_over => Next::Over,
                typed = run::answer(&mut prompt) => Next::Typed(typed),
                exit = self.child.ended() => Next::Ended(exit),
                complaint = Hook::complaint(&mut self.hook) => Next::Complaint(complaint),
                notice = self.driver.next() => Next::Notice(notice),
                reader = Metrics::next(self.metrics.as_ref()) => Next::Scraped(reader),
            };
            match next {
                Next::Crashed => return Ok(reporter.internal(&crash::last_words())),
                Next::Stop(signal) if self.stopping => return Ok(reporter.stopped_by(signal)),
                Next::Stop(_) => self.stop(),
                Next::Refresh => {
                    self.manager.reloads();
                    self.driver.command(Command::Refresh(None));
                }
                Next::Status => self.status(reporter),
                Next::Scraped(reader) => reader.answer(counted::text(self.all.values(), self.driver.now())),
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
                Next::Notice(Notice::PasswordWanted { registration, username, realm }) => {
                    prompts.push_back((registration, username, realm));
                }
                Next::Notice(Notice::Kept { registration, what }) => {
                    if self.kept(registration, &what, reporter).is_err() {
                        // Nobody reads what is told; that ends it as a signal would.
                        self.stop();
                    }
                    if self.all.is_empty() {
                        if let Some(hook) = self.hook.take() {
                            hook.finish().await;
                        }
                        return Ok(self.outcome.unwrap_or(Exit::Done));
                    }
                }
                Next::Notice(notice) => run::show(&notice, self.clock.elapsed(), reporter),
            }
        }
    }

    /// Has the bindings removed; nothing is started any more.
    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.manager.stops();
            self.child.stop();
            self.driver.command(Command::StopKeeping(None));
        }
    }

    fn kept(
        &mut self,
        registration: RegistrationId,
        what: &Kept,
        reporter: &mut Reporter<'_, '_>,
    ) -> io::Result<()> {
        let now = self.driver.now();
        let Some(one) = self.all.get_mut(&registration) else { return Ok(()) };
        let event = Event::of(&one.aor, what, now);
        let told = reporter.kept(&one.aor, what, &event, now);
        if let Some(hook) = &mut self.hook {
            hook.tell(event.name(), &one.aor, event.line());
        }
        one.count(what);
        match what {
            Kept::Registering | Kept::NetworkChanged | Kept::Incoming { .. } => {}
            Kept::Registered { report, until, next } | Kept::Refreshed { report, until, next } => {
                (one.until, one.next, one.failure) = (Some(*until), Some(*next), None);
                one.gave_up = None;
                if let Ok(success) = &report.result {
                    one.contact = success.contacts.first().map(|granted| granted.uri.to_string());
                    if let Some(slot) = self.slots.borrow_mut().get_mut(&registration) {
                        slot.settle(report.purpose, &[], success);
                    }
                }
                self.start_child(reporter);
            }
            Kept::Failed { report, until, next } => {
                (one.until, one.next) = (*until, *next);
                if let Err(failure) = &report.result {
                    one.failure = Some(diagnose(failure, report).message);
                    if until.is_none()
                        && run::changed_nothing(report)
                        && let Some(slot) = self.slots.borrow_mut().get_mut(&registration)
                    {
                        slot.restore();
                    }
                    if next.is_none() && !self.stopping {
                        one.gave_up = Some(Exit::from(failure));
                    }
                }
                self.give_up();
            }
            Kept::FlowFailed { next, .. } => one.next = Some(*next),
            Kept::Unregistered(report) => {
                if let Ok(success) = &report.result
                    && let Some(slot) = self.slots.borrow_mut().get_mut(&registration)
                {
                    let bound = slot.record().bound();
                    slot.settle(Purpose::Remove, &bound, success);
                }
            }
            Kept::Stopped(left) => {
                if *left == Left::Unconfirmed && self.outcome.is_none_or(|exit| exit == Exit::Done) {
                    self.outcome = Some(Exit::Timeout);
                }
                self.all.remove(&registration);
            }
        }
        if self.manager.listens() {
            let bound = self.all.values().filter(|one| one.until.is_some_and(|until| now < until)).count();
            let tried = self.all.values().all(|one| one.tries > 0);
            self.manager.stands(bound, self.all.len(), tried);
        }
        if let Some(complaint) = self.slots.borrow_mut().get_mut(&registration).and_then(Slot::complaint) {
            reporter.warning(&complaint);
        }
        told
    }

    /// The program starts when all are bound.
    fn start_child(&mut self, reporter: &mut Reporter<'_, '_>) {
        // There may be ten thousand accounts: they are not gone through for nothing.
        if self.stopping || !self.child.waits() || self.all.values().any(|one| one.contact.is_none()) {
            return;
        }
        if let Some(first) = self.all.values().next() {
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
        let first = self.all.values().find_map(|one| one.gave_up);
        let all = self.all.values().all(|one| one.gave_up.is_some());
        if let Some(exit) = first
            && (all || self.child.waits())
        {
            self.outcome = Some(exit);
            self.stop();
        }
    }

    fn status(&self, reporter: &mut Reporter<'_, '_>) {
        reporter.standings(self.all.values().map(One::standing), self.driver.now());
    }
}
