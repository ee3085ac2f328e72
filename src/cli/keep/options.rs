//! What the command line of `keep` means, and what its accounts need before they begin.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::hook::Hook;
use crate::cli::account::Account;
use crate::cli::certificates::Files;
use crate::cli::config::Configuration;
use crate::cli::exit::Exit;
use crate::cli::options::Keep as Args;
use crate::cli::report::Reporter;
use crate::cli::secret::Secrets;
use crate::cli::state::{self, ProcessSlot, Slot};
use crate::cli::usage::UsageError;
use crate::cli::values::{KeepaliveName, Refusal, SocketAddress, Span};
use crate::cli::{Environment, register};
use crate::net::SystemRandom;
use crate::proto::client::device::Device;
use crate::proto::client::nat::Keepalive;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::digest::Secret;
use crate::proto::ids::Random;

/// What else the command line says.
pub(super) struct Options {
    pub(super) stop_after: Option<Duration>,
    pub(super) probe: Option<Duration>,
    pub(super) callee: Device,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) hook: Option<Hook>,
    pub(super) command: Vec<std::ffi::OsString>,
}

/// What each address, and the rest, means.
pub(super) fn resolve(args: &Args, environment: &Environment) -> Result<(Vec<Account>, Options), UsageError> {
    let life = &args.life;
    let options = Options {
        stop_after: life.stop_after.map(|Span(span)| span),
        probe: life.probe.unwrap_or_default().0,
        callee: life.on_invite.map_or_else(Device::default, |Refusal(on_invite)| Device { on_invite }),
        metrics: life.metrics.map(|SocketAddress(address)| address),
        hook: life.on_event.clone().map(Hook::new),
        command: args.command.clone(),
    };
    Ok((accounts(args, environment, &mut Files::default())?, options))
}

/// What each address means, with what the configuration file says of it now. What is the same for many is held once.
pub(super) fn accounts(
    args: &Args,
    environment: &Environment,
    files: &mut Files,
) -> Result<Vec<Account>, UsageError> {
    let configuration = Configuration::read(args.options.network.config.as_deref(), environment)?;
    let mut accounts: Vec<Account> = Vec::with_capacity(args.aor.len());
    for aor in &args.aor {
        let mut account = Account::configured(&mut args.request(aor), &configuration, environment, files)?;
        if !matches!(account.plan.purpose, Purpose::Bind { expires } if expires != Some(0)) {
            return Err(UsageError::value("--expires", "0", "binds nothing that could be kept")
                .hint("'sipreg unregister' removes a binding"));
        }
        account.plan.keepalive =
            args.life.keepalive.map_or(Keepalive::Auto, |KeepaliveName(keepalive)| keepalive);
        if let Some(first) = accounts.first()
            && (first.net.bind != account.net.bind || first.net.nameservers != account.net.nameservers)
        {
            let message = format!("{} and {} differ in bind or nameserver", first.plan.aor, account.plan.aor);
            return Err(UsageError::new(message).hint("keep them with a 'sipreg keep' each"));
        }
        if let Some(before) = accounts.last() {
            share(&mut account.plan, &before.plan);
        }
        accounts.push(account);
    }
    // Not while they are made: what this takes is given back in one piece.
    let mut keys = BTreeSet::new();
    match accounts.iter().find(|account| !keys.insert(state::key(&account.plan.aor))) {
        Some(twice) => Err(UsageError::new(format!("{} is there twice", twice.plan.aor))),
        None => Ok(accounts),
    }
}

/// The accounts with what files hold of their secrets. May take as long as a disk does.
pub(super) fn load(mut accounts: Vec<Account>) -> Result<Vec<Account>, UsageError> {
    let mut read = Secrets::default();
    accounts.iter_mut().try_for_each(|account| account.load_secrets(&mut read))?;
    Ok(accounts)
}

/// There may be ten thousand accounts of one domain.
fn share(plan: &mut Plan, other: &Plan) {
    if plan.registrar.to_string() == other.registrar.to_string() {
        plan.registrar = Arc::clone(&other.registrar);
    }
    if plan.user_agent == other.user_agent {
        plan.user_agent.clone_from(&other.user_agent);
    }
}

/// Reads what unlocks the accounts. One secret that was typed is for all of them, and is read once; it comes back, and where it
/// was read from somebody who tells it only once, it is `known` the next time.
pub(super) async fn secrets(
    accounts: &mut [Account],
    known: Option<&Secret>,
) -> Result<Option<Secret>, UsageError> {
    let mut typed: Option<Secret> = None;
    for account in accounts {
        if let Some(source) = account.secret() {
            let secret = match (&typed, known) {
                (Some(secret), _) => secret.clone(),
                (None, Some(secret)) if source.may_wait() => secret.clone(),
                (None, _) => source.fetch().await?,
            };
            account.unlock(secret.clone());
            typed = Some(secret);
        }
        for locked in account.locked() {
            let credential = locked.open(account.username(), false).await?;
            account.plan.keyring.credentials.extend(credential);
        }
    }
    Ok(typed)
}

/// The place of this process in the state directory of the first account: all have the same.
pub(super) fn place(accounts: &[Account], reporter: &mut Reporter<'_, '_>) -> Option<ProcessSlot> {
    let state = accounts.first()?.state.as_ref()?;
    match state.process_slot() {
        Ok(place) => Some(place),
        Err(warning) => {
            reporter.warning(&warning);
            None
        }
    }
}

/// Puts what an earlier `keep` left into the plan.
pub(super) fn enter(
    account: &mut Account,
    place: &ProcessSlot,
    random: &mut SystemRandom,
    reporter: &mut Reporter<'_, '_>,
) -> Option<Slot> {
    let state = account.state.take()?;
    let (aor, registrar) = (state::key(&account.plan.aor), state::key(&account.plan.registrar));
    let (mut slot, warning) = state.enter_for_keep(&aor, &registrar, place);
    let instance = state.instance(&mut || random.next()).err();
    if let Some(warning) = warning.or(instance) {
        reporter.warning(&warning);
    }
    slot.begin(account.plan.has_own());
    account.remember(slot.record());
    Some(slot)
}

/// `--dry-run`: the first request of each.
pub(super) fn rehearse(accounts: Vec<Account>, reporter: &mut Reporter<'_, '_>) -> Exit {
    let mut exits = accounts.into_iter().map(|account| register::run(account, reporter));
    exits.find(|exit| *exit != Exit::Done).unwrap_or(Exit::Done)
}
