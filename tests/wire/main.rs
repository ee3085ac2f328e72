//! The message language against messages from outside: torture sets, random and mutated octets, streams in
//! pieces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
#[path = "../fuzz/laws/mod.rs"]
mod laws;
mod linear;
mod properties;
mod refusals;
mod roundtrip;
mod streams;
mod torture;
