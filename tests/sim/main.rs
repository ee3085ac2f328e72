//! The simulated world: the whole protocol core against scripted peers, with a clock that the test moves. No socket,
//! no real time, no real randomness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod calls;
mod check;
mod crowds;
mod dice;
mod digest;
mod engine;
mod final_responses;
mod forgeries;
mod herd;
#[path = "../hostile/mod.rs"]
mod hostile;
mod hostility;
mod internet;
mod keep;
mod keep_world;
mod ladder;
mod laws;
mod limits;
mod links;
mod locating;
mod memory;
mod nat;
mod perhaps;
mod redirects;
mod refusals;
mod registrar;
mod requests;
mod retries;
mod scenario;
mod script;
mod secure;
mod seeds;
mod transports;
mod unusable;
mod world;
