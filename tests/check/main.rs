//! `sipreg check` from outside, in worlds that are broken in one way or two, and in healthy ones: what it finds, what it
//! must not make up, and what it leaves behind. The worlds are on loopback, each at addresses of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

#[allow(dead_code, reason = "what the other tests of the program use")]
#[path = "../cli/authority.rs"]
mod authority;
mod formats;
mod healthy;
mod leaving;
mod message;
#[allow(dead_code, reason = "what the other tests of the program use")]
#[path = "../cli/nameserver.rs"]
mod nameserver;
mod privacy;
mod registrar;
#[allow(dead_code, reason = "what the other tests of the program use")]
#[path = "../cli/relay.rs"]
mod relay;
mod report;
#[allow(dead_code, reason = "what the other tests of the program use")]
#[path = "../cli/run.rs"]
mod run;
mod screens;
#[allow(dead_code, reason = "what the other tests of the program use")]
#[path = "../cli/server.rs"]
mod server;
mod table;
mod terminal;
mod traces;
mod world;
