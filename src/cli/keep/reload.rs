//! SIGHUP: reads the configuration file and the files of passwords again.

use std::pin::Pin;

use super::options::{accounts, secrets};
use crate::cli::Environment;
use crate::cli::account::Account;
use crate::cli::options::Keep as Args;
use crate::cli::usage::UsageError;
use crate::proto::digest::Secret;

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<Account>, UsageError>> + 'a>>;

/// The configuration and its secrets, read again while everything else goes on.
pub(super) struct Reload<'a> {
    args: &'a Args,
    environment: &'a Environment,
    typed: Option<Secret>,
    under_way: Option<Reading<'a>>,
}

impl<'a> Reload<'a> {
    /// `typed`: the secret of the command line.
    pub(super) fn new(args: &'a Args, environment: &'a Environment, typed: Option<Secret>) -> Reload<'a> {
        Reload { args, environment, typed, under_way: None }
    }

    /// Begins to read; from the start if it was under way.
    pub(super) fn begin(&mut self) {
        let (args, environment, typed) = (self.args, self.environment, self.typed.clone());
        self.under_way = Some(Box::pin(async move {
            let mut accounts = accounts(args, environment)?;
            secrets(&mut accounts, typed.as_ref()).await?;
            Ok(accounts)
        }));
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
