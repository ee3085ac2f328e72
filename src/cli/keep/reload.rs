//! SIGHUP: reads the configuration file and the files of passwords and certificates again.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::options::{accounts, load, secrets};
use crate::cli::Environment;
use crate::cli::account::Account;
use crate::cli::certificates::Files;
use crate::cli::config::file::default_path;
use crate::cli::options::Keep as Args;
use crate::cli::thread::{beside, regular};
use crate::cli::usage::UsageError;
use crate::proto::digest::Secret;

type Reading = Pin<Box<dyn Future<Output = Result<Vec<Account>, UsageError>>>>;

/// The configuration and its secrets, read again while everything else goes on.
pub(super) struct Reload {
    args: Arc<Args>,
    environment: Arc<Environment>,
    typed: Option<Secret>,
    under_way: Option<Reading>,
}

impl Reload {
    /// `typed`: the secret of the command line.
    pub(super) fn new(args: Arc<Args>, environment: Arc<Environment>, typed: Option<Secret>) -> Reload {
        Reload { args, environment, typed, under_way: None }
    }

    /// Begins to read; from the start if it was under way.
    pub(super) fn begin(&mut self) {
        let (args, environment, typed) =
            (Arc::clone(&self.args), Arc::clone(&self.environment), self.typed.clone());
        self.under_way = Some(Box::pin(async move {
            // Thousands of accounts take their time, and a disk may take for ever.
            let read = beside(move || {
                configured(&args, &environment).as_deref().map_or(Ok(()), regular)?;
                load(accounts(&args, &environment, &mut Files::again())?)
            });
            let unread = || Err(UsageError::new("the configuration could not be read"));
            let mut accounts = read.await.unwrap_or_else(unread)?;
            secrets(&mut accounts, typed.as_ref()).await?;
            Ok(accounts)
        }));
    }

    /// The file that is read, if there is one.
    pub(super) fn file(&self) -> Option<PathBuf> {
        configured(&self.args, &self.environment)
    }

    /// Stops the reading that is under way.
    pub(super) fn end(&mut self) {
        self.under_way = None;
    }

    /// Whether the configuration is being read.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// The accounts that were read, or the first mistake; never ends while nothing is read. Can be dropped at
    /// any time.
    pub(super) async fn read(&mut self) -> Result<Vec<Account>, UsageError> {
        let Some(reading) = &mut self.under_way else { return std::future::pending().await };
        let read = reading.await;
        self.under_way = None;
        read
    }
}

/// The configuration file.
fn configured(args: &Args, environment: &Environment) -> Option<PathBuf> {
    args.options.network.config.clone().or_else(|| default_path(environment))
}
