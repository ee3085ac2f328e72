//! Transactions (RFC 3261 §17): what makes one request and its answers a unit over an unreliable network.
//!
//! [`client`], [`server`] and [`invited`] are the machines of one transaction each; [`served`] holds those of a server.

pub mod client;
pub mod invited;
pub mod served;
pub mod server;

pub use client::{Client, Effect, Input, State, Tell, Timer};
