//! sipreg: a SIP user agent for registration, as a library.
//!
//! The layers, in reading order; each uses only those above it:
//!
//! - [`sip`]: the message language: framing, scanning, typed fields, URIs, writing.
//! - [`proto`]: the protocol as sans-IO state machines.

pub mod proto;
pub mod sip;
