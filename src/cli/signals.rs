//! The signals that a command listens to. A signal that it doesn't listen to does what the system does with
//! it, which for all of these is to end the process.

use std::io;

/// A signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM, which service managers send.
    Terminate,
}

impl Stop {
    /// What it has done to a command.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Stop::Interrupt => "interrupted",
            Stop::Terminate => "terminated",
        }
    }
}

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT or SIGTERM: end.
    Stop(Stop),
    /// SIGHUP: read the files again.
    Reload,
    /// SIGUSR1: say how things stand.
    Status,
}

/// Which signals a command listens to: each adds one to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listens {
    /// SIGINT and SIGTERM.
    Stop,
    /// And SIGHUP.
    Reload,
    /// And SIGUSR1.
    Status,
}

#[cfg(unix)]
pub use unix::{Signals, outlive_file_limit};

/// Files have no limit of size here.
#[cfg(not(unix))]
pub fn outlive_file_limit() {}

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::{Listens, Signal, Stop, io};

    /// From now on a file that may not grow any more (SIGXFSZ) does not end the process: writing to it fails, as on a full
    /// disk. Programs that are started are not affected.
    pub fn outlive_file_limit() {
        use nix::sys::signal::{SigSet, Signal};

        // Threads that begin later inherit it; programs begin with none blocked. Where it can't be had, nothing is worse
        // than before.
        let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    }

    /// The signals that have been asked for.
    pub struct Signals {
        interrupt: Stream,
        terminate: Stream,
        hangup: Option<Stream>,
        user1: Option<Stream>,
    }

    impl Signals {
        /// Listens from now on. Needs the runtime.
        ///
        /// # Errors
        /// The system lets nobody listen.
        pub fn new(listens: Listens) -> io::Result<Signals> {
            let reloads = listens >= Listens::Reload;
            let reports = listens >= Listens::Status;
            Ok(Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: reloads.then(|| signal(SignalKind::hangup())).transpose()?,
                user1: reports.then(|| signal(SignalKind::user_defined1())).transpose()?,
            })
        }

        /// The next signal. Can be dropped at any time.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => Signal::Stop(Stop::Interrupt),
                _ = self.terminate.recv() => Signal::Stop(Stop::Terminate),
                () = next(&mut self.hangup) => Signal::Reload,
                () = next(&mut self.user1) => Signal::Status,
            }
        }
    }

    async fn next(stream: &mut Option<Stream>) {
        match stream {
            Some(stream) => drop(stream.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// Ctrl-C, which is all that this system has.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// There are no signals on this system.
    pub fn new(_listens: Listens) -> io::Result<Signals> {
        Ok(Signals)
    }

    /// The next signal. Can be dropped at any time.
    pub async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Stop(Stop::Interrupt),
            // Without a way to hear of it, it never comes.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Signals {
    /// The next signal that ends a command; others are not heeded. Can be dropped at any time.
    pub async fn stop(&mut self) -> Stop {
        loop {
            if let Signal::Stop(stop) = self.next().await {
                return stop;
            }
        }
    }
}
