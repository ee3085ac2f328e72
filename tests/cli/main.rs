//! The program as it is started: arguments, environment and signals in, streams and exit status out. Nothing here
//! needs a server; where somebody has to answer, the test itself does.

mod peer;
mod run;
mod signals;
mod usage;

#[cfg(target_os = "linux")]
mod terminal;
mod wire;
