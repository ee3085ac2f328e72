//! The best response (RFC 3261 §16.7 step 6).
