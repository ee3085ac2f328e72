//! The simulated world: the whole protocol core against scripted peers, with a clock that the test moves. No socket,
//! no real time, no real randomness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod challenges;
mod crowds;
mod dice;
mod engine;
mod forgeries;
#[path = "../hostile/mod.rs"]
mod hostile;
mod hostility;
mod internet;
mod keeping;
mod ladder;
mod laws;
mod limits;
mod links;
mod locating;
mod memory;
mod outcomes;
mod redirects;
mod registrar;
mod requests;
mod retries;
mod scenario;
mod script;
mod seeds;
mod transports;
mod world;
mod year;
