//! Files of certificates and keys, and the settings of connections over TLS and WebSocket that are made of them. Each file
//! is read once, whoever names it; a mistake is told with the option and the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::exposure::{Right, others_may};
use super::options::{Security, Showing};
use super::text::{shown, utc};
use super::thread::regular;
use super::usage::UsageError;
use super::values::{VerifiedName, WebOrigin, WebSocketPath, typed};
use crate::net::{Identity, ProfileSettings, ServerSettings, TlsSettingsError};
use crate::proto::Time;
use crate::proto::identity::{Certificate, Wildcards};
use crate::proto::registrar::service::Listen;

/// The largest file: that of all authorities of a system is a tenth of it.
const LARGEST: u64 = 4 << 20;

/// How to make a certificate for a server, for whoever has none.
pub const MAKE_ONE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj \
     /CN=example.com -addext subjectAltName=DNS:example.com -keyout key.pem -out cert.pem";

/// The settings of the connections of an account. Those with the same mark are the same.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// For the driver.
    pub settings: Arc<ProfileSettings>,
    mark: [u8; 32],
}

impl ConnectionSettings {
    /// Whether both lead to connections that may be shared.
    #[must_use]
    pub fn is_same(&self, other: &ConnectionSettings) -> bool {
        self.mark == other.mark
    }

    /// What has to be said of them each time, with `--quiet` too.
    #[must_use]
    pub fn alarm(&self) -> Option<String> {
        self.settings.insecure.then(|| {
            "--tls-insecure: no certificate is verified, so that anybody on the way may pose as the registrar and read \
             along"
                .to_owned()
        })
    }
}

/// The files that have been read, and what was made of them.
#[derive(Default)]
pub struct Files {
    read: BTreeMap<PathBuf, Content>,
    made: BTreeMap<[u8; 32], ConnectionSettings>,
    plain: ConnectionSettings,
    /// They are read again, by a process that runs: a pipe would hold it up.
    is_again: bool,
}

/// What a file holds.
#[derive(Clone)]
struct Content {
    octets: Arc<Zeroizing<Vec<u8>>>,
    mark: [u8; 32],
}

impl Files {
    /// Those of a process that has read them before.
    #[must_use]
    pub fn again() -> Files {
        Files { is_again: true, ..Files::default() }
    }

    /// The settings of a client's connections.
    ///
    /// # Errors
    /// A file can't be read, or does not hold what it should.
    pub fn client(&mut self, options: &Security) -> Result<ConnectionSettings, UsageError> {
        let Security { tls_ca, tls_cert, tls_key, tls_name, tls_wildcard, tls_insecure, ws_path } = options;
        let is_plain = tls_ca.is_none() && tls_cert.is_none() && tls_key.is_none() && tls_name.is_none();
        let (wildcard, insecure) = (*tls_wildcard == Some(true), *tls_insecure == Some(true));
        if is_plain && !wildcard && !insecure && ws_path.is_none() {
            return Ok(self.plain.clone());
        }
        let roots = tls_ca.as_deref().map(|path| self.roots("--tls-ca", path)).transpose()?;
        let shown = self.shown(tls_cert.as_deref(), tls_key.as_deref())?;
        let name = tls_name.as_ref().map(|VerifiedName(name)| Arc::clone(name));
        let path = ws_path.as_ref().map(|WebSocketPath(path)| path.clone()).unwrap_or_default();
        let mut hash = Sha256::new();
        for file in [
            &roots,
            &shown.as_ref().map(|shown| shown.0.clone()),
            &shown.as_ref().map(|shown| shown.1.clone()),
        ] {
            hash.update(file.as_ref().map_or([0; 32], |file| file.mark));
        }
        // No name has an octet 0.
        hash.update([u8::from(wildcard), u8::from(insecure)]);
        hash.update(name.as_deref().unwrap_or_default());
        hash.update([0]);
        hash.update(&path);
        let mark: [u8; 32] = hash.finalize().into();
        if let Some(made) = self.made.get(&mark) {
            return Ok(made.clone());
        }
        let mut settings = ProfileSettings::default();
        settings.roots = roots.map(|roots| roots.octets.to_vec());
        settings.identity = self.identity(tls_cert.as_deref(), tls_key.as_deref())?;
        settings.name = name;
        settings.wildcards = if wildcard { Wildcards::Accepted } else { Wildcards::Refused };
        settings.insecure = insecure;
        settings.path = path;
        let made = ConnectionSettings { settings: Arc::new(settings), mark };
        self.made.insert(mark, made.clone());
        Ok(made)
    }

    /// The settings of a server's listeners.
    ///
    /// # Errors
    /// As for [`Files::client`].
    pub fn server(&mut self, options: &Showing) -> Result<ServerSettings, UsageError> {
        let Showing { tls_cert, tls_key, tls_client_ca, ws_origin, tls_ca: _ } = options;
        let client_roots =
            tls_client_ca.as_deref().map(|path| self.roots("--tls-client-ca", path)).transpose()?;
        let mut settings = ServerSettings::default();
        settings.identity = self.identity(tls_cert.as_deref(), tls_key.as_deref())?;
        settings.client_roots = client_roots.map(|roots| roots.octets.to_vec());
        settings.origins = ws_origin.iter().map(|WebOrigin(origin)| origin.clone()).collect();
        Ok(settings)
    }

    /// The settings of a server's own connections to where its calls go on.
    ///
    /// # Errors
    /// As for [`Files::client`].
    pub fn forwarding(&mut self, options: &Showing) -> Result<Arc<ProfileSettings>, UsageError> {
        let trust = Security { tls_ca: options.tls_ca.clone(), ..Security::default() };
        self.client(&trust).map(|made| made.settings)
    }

    /// The files of a certificate and its key, which may be one.
    fn shown(
        &mut self,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<(Content, Content)>, UsageError> {
        let Some(certificate) = certificate else {
            return match key {
                Some(_) => Err(UsageError::option("--tls-key", "is the key of no certificate")
                    .hint("--tls-cert FILE names that")),
                None => Ok(None),
            };
        };
        let shown = self.read("--tls-cert", certificate)?;
        let key = key.map_or_else(|| Ok(shown.clone()), |key| self.read("--tls-key", key))?;
        Ok(Some((shown, key)))
    }

    fn identity(
        &mut self,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Identity>, UsageError> {
        let Some((shown_octets, key_octets)) = self.shown(certificate, key)? else { return Ok(None) };
        let made = Identity::of(&shown_octets.octets, &key_octets.octets);
        made.map(Some).map_err(|error| unusable(error, certificate.unwrap_or(Path::new("")), key))
    }

    /// A file of authorities.
    fn roots(&mut self, option: &str, path: &Path) -> Result<Content, UsageError> {
        let content = self.read(option, path)?;
        if !has_certificate(&content.octets) {
            return Err(about(option, path, TlsSettingsError::NoCertificate));
        }
        Ok(content)
    }

    fn read(&mut self, option: &str, path: &Path) -> Result<Content, UsageError> {
        if let Some(content) = self.read.get(path) {
            return Ok(content.clone());
        }
        if self.is_again {
            regular(path).map_err(|error| UsageError { option: Some(option.to_owned()), ..error })?;
        }
        let unreadable = |error: std::io::Error| about(option, path, format_args!("can't be read: {error}"));
        let mut octets = Zeroizing::new(Vec::new());
        let file = File::open(path).map_err(unreadable)?;
        file.take(LARGEST + 1).read_to_end(&mut octets).map_err(unreadable)?;
        if octets.len() as u64 > LARGEST {
            return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
        }
        let mark = Sha256::digest(octets.as_slice()).into();
        let content = Content { octets: Arc::new(octets), mark };
        self.read.insert(path.to_owned(), content.clone());
        Ok(content)
    }
}

/// A warning for a private key that others than its owner may read.
#[must_use]
pub fn exposure(certificate: Option<&Path>, key: Option<&Path>) -> Option<String> {
    let (option, path) = match (key, certificate) {
        (Some(key), _) => ("--tls-key", key),
        (None, Some(certificate)) => ("--tls-cert", certificate),
        (None, None) => return None,
    };
    others_may(Right::Read, path)
        .then(|| format!("{option}: others may read the private key in {}: chmod 600 it", named(path)))
}

/// What a server's own certificate says that keeps clients away, who serves these domains at these addresses.
#[must_use]
pub fn complaint(
    certificate: &Certificate,
    domains: &[String],
    listen: &[Listen],
    now: Time,
) -> Option<String> {
    let Certificate { subject, not_before, not_after, .. } = certificate;
    let of = format!("--tls-cert: the certificate of {subject}");
    if now >= *not_after {
        return Some(format!("{of} ran out at {}: clients refuse it", utc(*not_after)));
    }
    if now < *not_before {
        return Some(format!("{of} is not good before {}: clients refuse it", utc(*not_before)));
    }
    let is_for = |name: &str| certificate.is_for(name, Wildcards::Refused);
    let at_addresses = || listen.iter().any(|listen| is_for(&listen.address.ip().to_string()));
    (!domains.iter().any(|domain| is_for(domain)) && !at_addresses()).then(|| {
        let domains = domains.join(", ");
        format!("{of} is for none of the domains ({domains}): clients that ask for one of them refuse it")
    })
}

/// The options with which a client trusts a server that shows this certificate, of that file, at the address.
#[must_use]
pub fn trusting(certificate: Option<&Certificate>, file: &Path, domains: &[String], at: IpAddr) -> String {
    let is_for = |name: &str| certificate.is_none_or(|it| it.is_for(name, Wildcards::Refused));
    let mut options = String::new();
    // Nobody else vouches for one that is signed by itself; the authorities of others are not known here.
    if certificate.is_none_or(|certificate| certificate.subject == certificate.issuer) {
        options += &format!(" --tls-ca {}", typed(&file.to_string_lossy()));
    }
    if !is_for(&at.to_string())
        && let Some(domain) = domains.iter().find(|domain| is_for(domain))
    {
        options += &format!(" --tls-name {domain}");
    }
    options
}

/// Whether there is a certificate among the PEM texts.
fn has_certificate(octets: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    octets.windows(BEGIN.len()).any(|window| window == BEGIN)
}

fn named(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

fn about(option: &str, path: &Path, what: impl std::fmt::Display) -> UsageError {
    UsageError::option(option, format_args!("{} {what}", named(path)))
}

/// What is wrong with a certificate and its key, said of the file that it is wrong with.
fn unusable(error: TlsSettingsError, certificate: &Path, key: Option<&Path>) -> UsageError {
    const PEM: &str = "PEM is text that begins with -----BEGIN PRIVATE KEY-----";
    let (option, of_key) = key.map_or(("--tls-cert", certificate), |key| ("--tls-key", key));
    match (error, key) {
        (TlsSettingsError::NoCertificate, _) => about("--tls-cert", certificate, error)
            .hint("PEM is text that begins with -----BEGIN CERTIFICATE-----"),
        (TlsSettingsError::NoKey, None) => {
            let what = "holds no private key, and --tls-key names no other file";
            about("--tls-cert", certificate, what).hint("--tls-key FILE names the key of that certificate")
        }
        (TlsSettingsError::NoKey, Some(key)) => about("--tls-key", key, error).hint(PEM),
        (TlsSettingsError::OtherKey, _) => {
            let what = format!("is not the key of the certificate in {}", named(certificate));
            about(option, of_key, what).hint("the certificate of the server itself comes first in its file")
        }
        (TlsSettingsError::UnusableKey, _) => about(option, of_key, error).hint(
            "it takes RSA, P-256, P-384 and Ed25519, without a passphrase: 'openssl pkey' takes that off",
        ),
    }
}
