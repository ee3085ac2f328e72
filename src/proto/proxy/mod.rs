//! The proxy (RFC 3261 §16): what comes of a request between the caller and the devices.

mod best;
mod forward;
mod targets;
