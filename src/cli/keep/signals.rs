//! SIGHUP and SIGUSR1.

use std::io;

/// A signal that does not end it.
#[cfg(unix)]
pub(super) struct Also(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Also {
    pub(super) fn hangup() -> io::Result<Also> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Also)
    }

    pub(super) fn user1() -> io::Result<Also> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()).map(Also)
    }

    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Elsewhere nobody can say it.
#[cfg(not(unix))]
pub(super) struct Also;

#[cfg(not(unix))]
impl Also {
    pub(super) fn hangup() -> io::Result<Also> {
        Ok(Also)
    }

    pub(super) fn user1() -> io::Result<Also> {
        Ok(Also)
    }

    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}
