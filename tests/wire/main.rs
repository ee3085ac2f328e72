//! The message language against messages from outside: torture sets, random and mutated octets, streams in pieces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod again;
mod answers;
mod hostile;
#[path = "../fuzz/laws/mod.rs"]
mod laws;
mod linear;
mod properties;
mod readers;
mod streams;
mod torture;
