//! `sipreg keep`: accounts that stay bound until a signal, a time, or the end of a program.

mod accounts;
mod child;
mod counted;
mod hook;
mod one;
mod options;
mod reread;
mod signals;
mod systemd;
mod work;

use std::io;

use super::account::Account;
use super::exit::Exit;
use super::metrics::Metrics;
use super::options::Keep as Args;
use super::report::json::CommandName;
use super::report::keeping::schema;
use super::report::{Reporter, Settings, Streams};
use super::run::Signals;
use super::usage::UsageError;
use super::{Environment, values};
use crate::net::{self, Clock, Driver, SystemRandom};
use crate::proto::{Command, Endpoint};
use accounts::Accounts;
use child::Child;
use options::{Options, rehearse, resolve, secrets};
use reread::Reread;
use systemd::Manager;
use work::Work;

/// Carries it out.
pub fn run(args: Args, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let settings = Settings {
        aor: args.aor.first().and_then(|aor| values::aor_of(aor)),
        json: args.options.output.format.json == Some(true),
        color: args.options.output.display.color.unwrap_or_default(),
        ..Settings::default()
    };
    if args.options.output.format.json_schema {
        return Reporter::new(streams, settings, Some(CommandName::Keep), environment).data(&schema());
    }
    let meant = resolve(&args, environment);
    // What the configuration file says of output holds for all.
    let settings = match &meant {
        Ok((accounts, _)) => accounts.first().map_or(settings, |first| first.settings.clone()),
        Err(_) => settings,
    };
    let mut reporter = Reporter::new(streams, settings, Some(CommandName::Keep), environment);
    match meant {
        Ok((accounts, _)) if args.options.output.dry_run => rehearse(accounts, &mut reporter),
        Ok((accounts, life)) => start(accounts, life, (&args, environment), &mut reporter),
        Err(error) => reporter.usage(&error),
    }
}

fn start(
    accounts: Vec<Account>,
    life: Options,
    again: (&Args, &Environment),
    reporter: &mut Reporter<'_, '_>,
) -> Exit {
    let clock = Clock::start();
    let random = match SystemRandom::new() {
        Ok(random) => random,
        Err(error) => return reporter.internal(&error.to_string()),
    };
    let ended = net::runtime()
        .and_then(|runtime| runtime.block_on(keep(accounts, life, random, clock, again, reporter)));
    match ended {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => reporter.usage(&error),
        Err(error) => reporter.internal(&format!("the system gives no event loop: {error}")),
    }
}

async fn keep(
    mut accounts: Vec<Account>,
    life: Options,
    random: SystemRandom,
    clock: Clock,
    again: (&Args, &Environment),
    reporter: &mut Reporter<'_, '_>,
) -> io::Result<Result<Exit, UsageError>> {
    let mut signals = Signals::new()?;
    let prepared = tokio::select! {
        biased;
        signal = signals.next() => return Ok(Ok(reporter.interrupted(signal, None))),
        read = secrets(&mut accounts, None) => read,
    };
    let typed = match prepared {
        Ok(typed) => typed,
        Err(error) => return Ok(Err(error)),
    };
    let endpoint = match SystemRandom::new() {
        Ok(random) => Endpoint::new(Box::new(random)),
        Err(error) => return Ok(Ok(reporter.internal(&error.to_string()))),
    };
    let mut all = Accounts::new(&accounts, life.probe, random, reporter);
    let begin = all.begin(accounts, reporter);
    let mut driver = Driver::new(all.net(), endpoint, clock);
    all.remember(&mut driver);
    // Where the system does not say it, refreshes find it out.
    let _ = driver.watch_network();
    driver.command(Command::Answer(life.callee));
    begin.into_iter().for_each(|command| driver.command(command));
    let metrics = match life.metrics.map(Metrics::listen).transpose() {
        Ok(metrics) => metrics,
        Err(error) => return Ok(Err(error)),
    };
    let work = Work {
        driver,
        clock,
        accounts: all,
        reread: Reread::new(again.0, again.1, typed),
        hook: life.hook,
        child: Child::new(life.command),
        metrics,
        manager: Manager::of_environment(),
        stopping: false,
        outcome: None,
    };
    work.run(signals, life.stop_after, reporter).await.map(Ok)
}
