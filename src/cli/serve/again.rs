//! SIGHUP: reads the users and the certificates of a server again, beside everything else.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::users;
use crate::cli::certificates::Files;
use crate::cli::options::Showing;
use crate::cli::thread::beside;
use crate::cli::usage::UsageError;
use crate::net::{ProfileSettings, ServerSettings};
use crate::proto::digest::Users;

/// What was read again. What there is no file of, or what has a mistake in it, is not there.
#[derive(Default)]
pub(super) struct Again {
    pub(super) users: Option<Users>,
    pub(super) shown: Option<ServerSettings>,
    pub(super) forwarding: Option<Arc<ProfileSettings>>,
    pub(super) failed: Vec<Failed>,
}

/// A mistake in a file.
pub(super) struct Failed {
    /// What stays as it was.
    pub(super) what: &'static str,
    pub(super) file: String,
    pub(super) error: UsageError,
}

type Reading = Pin<Box<dyn Future<Output = Option<Again>>>>;

/// The files of a server, and their reading when it is under way.
pub(super) struct Reload {
    users: Option<PathBuf>,
    showing: Showing,
    under_way: Option<Reading>,
}

impl Reload {
    pub(super) fn new(users: Option<PathBuf>, showing: Showing) -> Reload {
        Reload { users, showing, under_way: None }
    }

    /// Begins to read; from the start if that was under way.
    pub(super) fn begin(&mut self) {
        let (users, showing) = (self.users.clone(), self.showing.clone());
        self.under_way = Some(Box::pin(beside(move || Again::read(users, &showing))));
    }

    /// What was read again; never ends while nothing is. Can be dropped at any time.
    pub(super) async fn read(&mut self) -> Again {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let read = under_way.await;
        self.under_way = None;
        read.unwrap_or_else(|| {
            let error = UsageError::new("they could not be read");
            let file = self.users.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            Again { failed: vec![Failed { what: "users", file, error }], ..Again::default() }
        })
    }
}

impl Again {
    fn read(users: Option<PathBuf>, showing: &Showing) -> Again {
        let mut again = Again::default();
        if let Some(path) = users {
            match users::read_again(&path) {
                Ok(users) => again.users = Some(users),
                Err(error) => {
                    again.failed.push(Failed { what: "users", file: path.display().to_string(), error });
                }
            }
        }
        let mut files = Files::again();
        let mistaken =
            |error: UsageError| Failed { what: "certificates", file: showing.file_of(&error), error };
        if showing.tls_cert.is_some() {
            match files.server(showing) {
                Ok(shown) => again.shown = Some(shown),
                Err(error) => again.failed.push(mistaken(error)),
            }
        }
        if showing.tls_ca.is_some() {
            match files.forwarding(showing) {
                Ok(forwarding) => again.forwarding = Some(forwarding),
                Err(error) => again.failed.push(mistaken(error)),
            }
        }
        again
    }
}

impl Showing {
    /// The file that a mistake is about.
    fn file_of(&self, error: &UsageError) -> String {
        let file = match error.option.as_deref() {
            Some("--tls-key") => &self.tls_key,
            Some("--tls-client-ca") => &self.tls_client_ca,
            Some("--tls-ca") => &self.tls_ca,
            Some(_) | None => &self.tls_cert,
        };
        file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}
