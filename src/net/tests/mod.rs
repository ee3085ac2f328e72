//! The driver against real sockets on loopback.
