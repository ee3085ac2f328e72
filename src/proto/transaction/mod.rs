//! Transactions (RFC 3261 §17): what makes one request and its answers a unit over an unreliable network.
//!
//! [`client`], [`server`] and [`invite_server`] are the machines of one transaction each; [`server_table`] holds those of a server.

pub mod client;
pub mod invite_server;
mod replay;
pub mod server;
pub mod server_table;

pub use client::{Client, Effect, Input, State, Tell, Timer};
