//! The driver: carries out the core's actions on real sockets and brings back events. All of the outside is in here:
//! tokio, UDP and TCP (RFC 3261 §18), the name service, the one clock and the one source of randomness.
//!
//! ```no_run
//! use sipreg::net::{Clock, Config, Driver, SystemRandom};
//! use sipreg::proto::{Command, Endpoint, Notice};
//!
//! # fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::new(Box::new(SystemRandom::new()?));
//! let mut driver = Driver::new(Config::default(), endpoint, Clock::start());
//! driver.command(command);
//! sipreg::net::runtime()?.block_on(async {
//!     while !matches!(driver.next().await, Notice::Finished(_)) {}
//! });
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`Driver`] is the loop; `network` what it does between two events; `sockets` the UDP sockets, which it
//! polls itself, `udp` one of them, and `datagrams` their batches; `accept` what takes connections in; `flow` a task per
//! connection, `stream` what the task does, `outbox` what waits for it; `icmp` and `cause` what errors mean; `local` the
//! address to send from; `dns` the name service. Everything runs in one thread. Every queue is bounded, and the loop waits
//! for none of them.

mod accept;
mod alarm;
mod cause;
mod changes;
mod clock;
mod datagrams;
mod dns;
mod dry;
mod flow;
#[cfg(target_os = "linux")]
mod icmp;
mod local;
mod network;
mod outbox;
mod random;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod udp;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::{Checkpoint, Command, Endpoint, Event, Notice, Time};
use crate::store::Store;

pub use clock::Clock;
pub use local::Bind;
pub use random::{NoEntropy, SystemRandom};

use network::{Network, Waits};

/// What the user says about the network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Send from this address, and this port; `None` leaves both to the system.
    pub bind: Option<Bind>,
    /// Send from this port if it is free and [`Config::bind`] asks for no other: where a binding is that is to be
    /// refreshed.
    pub port: Option<u16>,
    /// Ask these name servers, in place of the system's; empty: the system's.
    pub nameservers: Vec<SocketAddr>,
    /// Bound on each question to the name service.
    pub dns_timeout: Duration,
    /// Open sockets without connecting, and send nothing: what would be sent comes back as
    /// [`Notice::Message`] with [`Direction::Sent`](crate::proto::Direction::Sent), and no answer ever follows.
    /// Names are resolved all the same.
    pub dry_run: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            bind: None,
            port: None,
            nameservers: Vec::new(),
            dns_timeout: Duration::from_secs(5),
            dry_run: false,
        }
    }
}

/// Keeps what must outlive the process. It is called before the request that makes it true is sent, so it must be quick.
pub type Keeper = Box<dyn FnMut(&Checkpoint)>;

/// Room for so many notices is kept; what more of them took is given back.
const AT_ONCE: usize = 64;

/// The loop around an [`Endpoint`]: events in, actions out, notices to the caller.
///
/// [`Driver::command`] at any time, then [`Driver::next`] until [`Notice::Finished`]; a server gets its location
/// service by [`Driver::store_with`] first, and runs until it has stopped, as
/// [`Command::StopServing`] asks it to. Needs a tokio runtime with I/O and time, as [`runtime`] makes it. Dropping it
/// closes everything; what the system has not taken by then is lost.
pub struct Driver {
    endpoint: Endpoint,
    network: Network,
    waits: Waits,
    notices: VecDeque<Notice>,
}

impl Driver {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(config: Config, endpoint: Endpoint, clock: Clock) -> Driver {
        Driver {
            endpoint,
            network: Network::new(config, clock),
            waits: Waits::default(),
            notices: VecDeque::new(),
        }
    }

    /// Hands a command over; it is carried out by [`Driver::next`].
    pub fn command(&mut self, command: Command) {
        self.network.push(Event::Command(command));
    }

    /// Carries out [`Action::Checkpoint`](crate::proto::Action::Checkpoint); without a keeper nothing is remembered.
    pub fn remember_with(&mut self, keeper: Keeper) {
        self.network.remember_with(keeper);
    }

    /// Carries out [`Action::Store`](crate::proto::Action::Store); without a store every answer is
    /// [`StoreFailure::Unavailable`](crate::proto::binding::StoreFailure::Unavailable).
    pub fn store_with(&mut self, store: Box<dyn Store>) {
        self.network.store_with(store);
    }

    /// Tells the core from now on when an address, a route or an interface has changed. Needs the runtime.
    ///
    /// # Errors
    /// The system does not say it.
    pub fn watch_network(&mut self) -> io::Result<()> {
        self.waits.changes.watch()
    }

    /// The core, to read its counters.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs until the core has something to tell. Can be dropped at any time, as `tokio::select!` does, and called
    /// again: nothing is lost. Without a command it waits for ever.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return notice;
            }
            self.notices.shrink_to(AT_ONCE);
            let due = self.endpoint.next_timeout().map(|(due, _)| due);
            let event = self.network.event_with(due, &mut self.waits).await;
            self.handle(event);
            // What has come with it is told with it: whoever waits for this waits for much else, and that takes time.
            while let Some(event) = self.network.at_hand() {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        for action in self.endpoint.handle(event, self.network.now()) {
            self.notices.extend(self.network.perform(action));
        }
    }

    /// What the core has told already, without waiting for more; the rest comes by [`Driver::next`].
    pub fn told(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// The current time, as the core is told it.
    #[must_use]
    pub fn now(&self) -> Time {
        self.network.now()
    }
}

/// A runtime as the driver needs it: one thread, no workers.
///
/// # Errors
/// Those of the operating system, when it has no descriptors left for it.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
