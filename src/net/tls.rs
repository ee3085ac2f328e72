//! TLS (RFC 5246, RFC 8446) over the connections of [`super::stream`], and who the other end is (RFC 5922).
//!
//! [`ProfileSettings`] are what a client's connections are made with, [`ServerSettings`] what a server's listeners show and
//! ask for. Both are made once, of the octets of PEM files; what only a connection over TLS needs (the system's trusted
//! roots, the cryptography) is made when the first one is opened.

use std::sync::Arc;

use crate::proto::identity::{Certificate, Wildcards};

/// A certificate with those between it and its root, and its private key.
#[derive(Debug)]
pub struct Identity {}

impl Identity {
    /// Of PEM texts.
    ///
    /// # Errors
    /// They don't hold what they should.
    pub fn of(_certificates: &[u8], _key: &[u8]) -> Result<Identity, TlsSettingsError> {
        Ok(Identity {})
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        None
    }
}

/// What the connections of a client over TLS and WebSocket are made with.
#[derive(Debug, Default)]
pub struct ProfileSettings {
    /// PEM texts of the roots that are trusted; `None`: those of the system.
    pub roots: Option<Vec<u8>>,
    /// What is shown to servers that ask for a certificate.
    pub identity: Option<Identity>,
    /// The name that certificates have to be for, whatever the URI says.
    pub name: Option<Arc<str>>,
    /// Whether wildcards in certificates count.
    pub wildcards: Wildcards,
    /// Certificates are not verified at all.
    pub insecure: bool,
    /// Path and query of WebSocket requests; empty: `/`.
    pub path: String,
}

/// What the listeners of a server for TLS and WebSocket show and ask for.
#[derive(Debug, Default)]
pub struct ServerSettings {
    /// What is shown to clients; needed for TLS.
    pub identity: Option<Identity>,
    /// PEM texts of the authorities whose clients prove by a certificate who they are.
    pub client_roots: Option<Vec<u8>>,
    /// The origins whose pages may connect by WebSocket; empty: all.
    pub origins: Vec<String>,
}

/// What is wrong with the files that settings are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsSettingsError {
    /// There is no certificate in it.
    #[error("has no certificate (PEM)")]
    NoCertificate,
    /// There is no private key in it.
    #[error("has no private key (PEM)")]
    NoKey,
    /// The private key is not that of the certificate.
    #[error("is not the key of the certificate")]
    OtherKey,
    /// The private key is of a kind that can't be used, or is protected by a password.
    #[error("has a key that can't be used")]
    UnusableKey,
}
