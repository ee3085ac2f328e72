//! `sipreg keep`: accounts that stay bound until a signal, a time, or the end of a program.

mod accounts;
pub(super) mod child;
mod hook;
mod metrics;
mod options;
mod reload;
mod run;
mod systemd;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::Account;
use super::environment::Environment;
use super::exit::{Exit, Fault};
use super::options::{Keep as Args, Output};
use super::report::events::{Rate, keep_schema};
use super::report::json::CommandName;
use super::report::{Reporter, Settings, Streams};
use super::session::{self, Setup};
use super::signals::Listens;
use super::thread::beside;
use super::usage::UsageError;
use super::values;
use crate::proto::Command;
use crate::proto::digest::Secret;
use accounts::Accounts;
use child::Child;
use options::{Options, load, rehearse, resolve, secrets};
use reload::Reload;
use systemd::Manager;

/// Carries `sipreg keep` out.
pub fn run(args: Args, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let Output { format, display, .. } = &args.options.output;
    let aor = args.aor.first().and_then(|aor| values::aor_of(aor));
    let settings = Settings { aor, ..display.settings(format) };
    if format.json_schema {
        return Reporter::new(streams, settings, Some(CommandName::Keep), environment).data(&keep_schema());
    }
    let (args, environment) = (Arc::new(args), Arc::new(environment.clone()));
    let meant = resolve(&args, &environment);
    // The options of output in the configuration file hold for all accounts.
    let settings = match &meant {
        Ok((accounts, _)) => accounts.first().map_or(settings, |first| first.settings.clone()),
        Err(_) => settings,
    };
    let mut reporter = Reporter::new(streams, settings, Some(CommandName::Keep), &environment);
    match meant {
        Ok((accounts, _)) if args.options.output.dry_run => rehearse(accounts, &mut reporter),
        Ok((accounts, life)) => start(accounts, life, (args, environment), &mut reporter),
        Err(error) => reporter.fail(error),
    }
}

fn start(
    accounts: Vec<Account>,
    life: Options,
    again: (Arc<Args>, Arc<Environment>),
    reporter: &mut Reporter<'_, '_>,
) -> Exit {
    let ended =
        session::run(Listens::Status, async |setup| keep(accounts, life, setup, again, &mut *reporter).await);
    ended.unwrap_or_else(|fault| reporter.fail(fault))
}

async fn keep(
    mut accounts: Vec<Account>,
    life: Options,
    mut setup: Setup,
    again: (Arc<Args>, Arc<Environment>),
    reporter: &mut Reporter<'_, '_>,
) -> Result<Exit, Fault> {
    // Many accounts may have the same file.
    let exposures: BTreeSet<String> = accounts.iter().flat_map(Account::exposures).collect();
    exposures.iter().for_each(|warning| reporter.warning(warning));
    let alarms: BTreeSet<String> =
        accounts.iter().filter_map(|account| account.connections.alarm()).collect();
    alarms.iter().for_each(|alarm| reporter.alarm(alarm));
    // As the other options of output, those of the first account hold for all.
    let wish = accounts.first().map(|first| first.copies.clone()).unwrap_or_default();
    let copies = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(reporter.interrupted(signal, None)),
        copies = wish.begin(false) => copies?,
    };
    let typed = tokio::select! {
        biased;
        signal = setup.signals.stop() => return Ok(reporter.interrupted(signal, None)),
        typed = unlock(&mut accounts) => typed?,
    };
    reporter.write_beside();
    let mut all = Accounts::new(&accounts, life.probe, session::randomness()?, reporter);
    let begin = all.begin(accounts, reporter);
    let mut session = setup.begin(all.net(), life.metrics)?;
    session.copy(copies, reporter);
    all.remember(&mut session.driver);
    // Where the system does not report changes of the network, refreshes find them out.
    let _ = session.driver.watch_network();
    session.driver.command(Command::Answer(life.callee));
    begin.into_iter().for_each(|command| session.driver.command(command));
    let keep = run::Loop {
        session,
        accounts: all,
        reload: Reload::new(again.0, again.1, typed),
        hook: life.hook,
        child: Child::new(life.command),
        manager: Manager::of_environment(),
        incoming: Rate::default(),
        stopping: false,
        outcome: None,
    };
    keep.run(life.stop_after, reporter).await
}

/// Reads what unlocks the accounts; what was typed for all of them comes back.
async fn unlock(accounts: &mut Vec<Account>) -> Result<Option<Secret>, UsageError> {
    let locked = std::mem::take(accounts);
    let unread = || Err(UsageError::new("the passwords could not be read"));
    *accounts = beside(move || load(locked)).await.unwrap_or_else(unread)?;
    secrets(accounts, None).await
}
