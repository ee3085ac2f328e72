//! Transactions (RFC 3261 §17): what makes one request and its answers a unit over an unreliable network.

pub mod client;

pub use client::{Client, Effect, Input, State, Tell, Timer};
