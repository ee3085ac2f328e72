//! sipreg: a SIP user agent for registration, as a library.

pub mod net;
