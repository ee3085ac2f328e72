//! The driver: carries out the core's actions on real sockets and brings back events. The world outside is in
//! here: tokio, UDP, TCP, TLS and WebSocket (RFC 3261 §18, RFC 7118), the name service, the one clock and the one
//! source of randomness.
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
//! Reading order: [`Driver`] is the loop; `udp` and `stream` are the sockets and connections that it drives,
//! `connection` the two ends of a connection, `tls` and `websocket` what is spoken over one, `certificate` what
//! is read of the other end's; `sockets` the addresses that they send from and what their errors mean, `batch`
//! datagrams by the batch, `icmp` the errors that the network gives back; `dns` is the name service, `netwatch`
//! notices changes of addresses and routes; `capture` keeps copies of what passes. Everything runs in one
//! thread. Every queue is bounded, and the loop waits for none of them.

mod alarm;
mod batch;
mod capture;
mod certificate;
mod clock;
mod connection;
mod dns;
mod driver;
#[cfg(target_os = "linux")]
mod icmp;
mod nameserver;
mod netwatch;
mod random;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod udp;
mod websocket;

use std::io;

pub use capture::{Capture, Missing, Secrets, TraceFile};
pub use clock::Clock;
pub use driver::{Config, DNS_PATIENCE, Driver, Keeper, Latency, StoreLoad};
pub use random::{NoEntropy, SystemRandom};
pub use sockets::{Bind, cause};
pub use tls::{Identity, ProfileSettings, ServerSettings, TlsSettingsError};
pub use websocket::upgrade;

/// A runtime as the driver needs it: one thread, no workers.
///
/// # Errors
/// Those of the operating system, when it has no descriptors left for it.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
