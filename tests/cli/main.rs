//! The program as it is started: arguments, environment and signals in, streams and exit status out. Nothing here
//! needs a server; where somebody has to answer, the test itself does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

#[cfg(unix)]
mod accounts;
mod authority;
mod bindings;
mod blemishes;
mod calls;
mod clocks;
mod config;
#[cfg(unix)]
mod endings;
mod files;
#[cfg(target_os = "linux")]
mod floods;
// Other systems take no datagram of 64 KB.
mod hints;
#[cfg(target_os = "linux")]
#[path = "../hostile/mod.rs"]
mod hostile;
#[cfg(target_os = "linux")]
mod hostility;
mod keep;
mod leaving;
#[cfg(unix)]
mod line;
mod locating;
mod memory;
mod moves;
mod nameserver;
mod nat;
mod nodes;
mod peer;
mod phone;
mod proxy;
mod recognised;
mod redirected;
#[cfg(feature = "redis")]
#[path = "../store/redis/server.rs"]
#[allow(dead_code, reason = "the tests of stores use more of it")]
mod redis_server;
mod refusals;
mod register;
mod registrar;
#[cfg(target_os = "linux")]
mod relay;
mod reload;
mod run;
mod serve;
mod server;
#[cfg(feature = "redis")]
mod shared;
#[cfg(unix)]
mod signals;
mod store;
mod systemd;
#[cfg(target_os = "linux")]
mod terminal;
mod tls;
#[cfg(unix)]
mod traces;
#[cfg(unix)]
mod transports;
mod unread;
mod usage;
mod websocket;
