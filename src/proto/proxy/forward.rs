//! Requests on their way (RFC 3261 §16.3 to §16.6).
