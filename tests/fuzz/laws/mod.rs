//! Laws that hold for any octets whatsoever. Each law takes octets, from a fuzzer or from proptest
//! (`tests/wire` includes this module), and panics where it is broken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken law is a panic")]

pub mod auth;
pub mod endpoint;
pub mod fields;
pub mod forwarding;
pub mod framing;
pub mod identity;
mod input;
pub mod locate;
pub mod message;
pub mod server;
pub mod timetable;
pub mod upgrade;
pub mod uris;
pub mod writing;
