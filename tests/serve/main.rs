//! The registrar in a simulated world: requests go in as octets, the location service and the clock are the test's.
//! No socket, no real time, no real randomness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod agent;
mod bindings;
mod calls;
mod connections;
mod floods;
mod nat;
mod nodes;
mod transactions;
mod transports;
mod world;
