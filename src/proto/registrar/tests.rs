//! The steps of RFC 3261 §10.3 on a request, without a store.
