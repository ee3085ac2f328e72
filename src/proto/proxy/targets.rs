//! Where a request goes (RFC 3261 §16.5).
