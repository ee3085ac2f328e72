//! The simulated world: the whole protocol core against scripted peers, with a clock that the test moves. No socket,
//! no real time, no real randomness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod challenges;
mod forgeries;
#[path = "../hostile/mod.rs"]
mod hostile;
mod hostility;
mod limits;
mod locating;
mod memory;
mod outcomes;
mod redirects;
mod requests;
mod retries;
mod transports;
mod world;
