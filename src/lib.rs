//! sipreg: a SIP user agent for registration, as a library.
//!
//! The layers, in reading order; each uses only those above it:
//!
//! - [`sip`]: the message language: framing, scanning, typed fields, URIs, writing.
//! - [`proto`]: the protocol as sans-IO state machines, and the contract between them and a driver.
//! - [`store`]: the location service: the bindings of a registrar.
//! - [`net`]: the driver: sockets, the name service, the one clock and the one source of randomness.
//! - [`cli`]: the command line: arguments, reports, exit statuses.

pub mod cli;
pub mod net;
pub mod proto;
pub mod sip;
pub mod store;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
