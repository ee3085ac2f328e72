//! TLS (RFC 5246, RFC 8446) over the connections of [`super::stream`], and who the other end is (RFC 5922).
//!
//! [`ProfileSettings`] are what a client's connections are made with, [`ServerSettings`] what a server's listeners show and
//! ask for. Both are made once, of the octets of PEM files; what only a connection over TLS needs (the system's trusted
//! roots, the cryptography) is made when the first one is opened, and kept: sessions are resumed.
//!
//! A chain of certificates is verified by webpki; the names are SIP's own business ([`Certificate::is_for`]). A
//! certificate that is trusted by itself, because it stands among the roots, is good without any chain.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, CommonState, DigitallySignedStruct, Error,
    HandshakeType, InvalidMessage, OtherError, PeerIncompatible, ProtocolVersion, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::certificate;
use super::sockets;
use crate::proto::identity::{Alert, Certificate, TlsSession, Untrusted, Wildcards};
use crate::proto::{Cause, Destination, Time};

/// Roots of one file that are read.
const MOST_ROOTS: usize = 10_000;

/// A certificate with those between it and its root, and its private key.
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Of PEM texts, which may be the same one: the certificate first, then those between it and its root.
    ///
    /// # Errors
    /// They don't hold what they should.
    pub fn of(certificates: &[u8], key: &[u8]) -> Result<Identity, TlsSettingsError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).take(MOST_ROOTS).collect();
        if chain.is_empty() {
            return Err(TlsSettingsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            let is_locked = key.windows(9).any(|window| window == b"ENCRYPTED");
            if is_locked { TlsSettingsError::UnusableKey } else { TlsSettingsError::NoKey }
        })?;
        let identity = CertifiedKey::from_der(chain, key, &provider());
        #[allow(clippy::wildcard_enum_match_arm, reason = "a list of rustls' that grows")]
        identity.map(|identity| Identity(Arc::new(identity))).map_err(|error| match error {
            Error::InconsistentKeys(_) => TlsSettingsError::OtherKey,
            Error::InvalidCertificate(_) => TlsSettingsError::NoCertificate,
            _ => TlsSettingsError::UnusableKey,
        })
    }

    /// What its certificate says; `None`: it can't be read.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        certificate::read(self.0.cert.first()?)
    }
}

/// Keys are not shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// What the connections of a client over TLS and WebSocket are made with. Begin with the default, and set what differs.
#[derive(Debug, Default)]
pub struct ProfileSettings {
    /// PEM texts of the roots that are trusted; `None`: those of the system. A server's own certificate may be among them.
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
    /// What is made of them for the first connection.
    pub(super) ready: Ready,
}

/// What a connection over TLS needs, made once.
#[derive(Default)]
pub(super) struct Ready(OnceLock<Result<Arc<ClientConfig>, Untrusted>>);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

/// What the listeners of a server for TLS and WebSocket show and ask for. Begin with the default, and set what differs.
#[derive(Debug, Default)]
pub struct ServerSettings {
    /// What is shown to clients; needed for TLS.
    pub identity: Option<Identity>,
    /// PEM texts of the authorities whose clients prove by a certificate who they are.
    pub client_roots: Option<Vec<u8>>,
    /// The origins whose pages may connect by WebSocket; empty: all.
    pub origins: Vec<String>,
    /// What is made of them for the first connection.
    pub(super) ready: ServerReady,
}

/// What a connection of a client over TLS needs, made once.
#[derive(Default)]
pub(super) struct ServerReady {
    config: OnceLock<Option<Arc<ServerConfig>>>,
    clients: OnceLock<Option<Arc<dyn ClientCertVerifier>>>,
}

impl fmt::Debug for ServerReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerReady")
    }
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

/// The cryptography of all connections, made once.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// The trusted certificates of PEM texts: as roots of chains, and as they are.
fn roots_of(pem: &[u8]) -> (RootCertStore, Vec<CertificateDer<'static>>) {
    let all = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).take(MOST_ROOTS);
    trusting(all.collect())
}

fn trusting(all: Vec<CertificateDer<'static>>) -> (RootCertStore, Vec<CertificateDer<'static>>) {
    let mut roots = RootCertStore::empty();
    let good = all.into_iter().filter(|root| roots.add(root.clone()).is_ok()).collect();
    (roots, good)
}

/// How a handshake went: what the other end has shown, and the stream. `None` in its place: the other end has closed the
/// connection.
pub(super) struct Handshake {
    pub(super) session: Option<TlsSession>,
    pub(super) stream: Result<Option<(client::TlsStream<TcpStream>, Doubt)>, Cause>,
}

tokio::task_local! {
    /// Whether the server has asked for a certificate in the handshake that is under way.
    static ASKED: Arc<AtomicBool>;
}

/// What is known of a server that may yet refuse us: over TLS 1.3 it says so when the handshake is done.
pub(super) struct Doubt {
    is_asked: bool,
    has_identity: bool,
}

impl Doubt {
    /// The cause that an error of the connection is.
    pub(super) fn cause(&self, error: &io::Error) -> Cause {
        let refused = |what: AlertDescription| {
            let what = Alert(what.into());
            Cause::Untrusted(match self.has_identity {
                true => Untrusted::ClientCertificateRefused(what),
                false => Untrusted::ClientCertificateWanted(what),
            })
        };
        match alert(error) {
            Some(what @ AlertDescription::CertificateRequired) => refused(what),
            Some(
                what @ (AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::HandshakeFailure),
            ) if self.is_asked => refused(what),
            Some(_) | None => cause(error),
        }
    }
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match of_tls(error) {
        Some(Error::AlertReceived(alert)) => Some(*alert),
        Some(_) | None => None,
    }
}

fn of_tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref::<Error>()
}

/// Does the handshake with a server. Nothing of ours has been sent when it fails.
pub(super) async fn connect(stream: TcpStream, to: &Destination, settings: &ProfileSettings) -> Handshake {
    let failed = |why| Handshake { session: None, stream: Err(Cause::Untrusted(why)) };
    let config = match settings.client() {
        Ok(config) => config,
        Err(why) => return failed(why),
    };
    let address = to.address.ip().to_string();
    let wanted = settings.name.as_deref().or(to.name.as_deref()).unwrap_or(&address);
    let wanted = wanted.strip_suffix('.').unwrap_or(wanted);
    let Ok(name) = ServerName::try_from(wanted.to_owned()) else { return failed(Untrusted::Name) };
    let asked = Arc::new(AtomicBool::new(false));
    let connecting = TlsConnector::from(config).connect(name, stream);
    let connected = ASKED.scope(Arc::clone(&asked), connecting).await;
    let doubt = Doubt { is_asked: asked.load(Ordering::Relaxed), has_identity: settings.identity.is_some() };
    match connected {
        Ok(stream) => {
            let verified = !settings.insecure;
            let name = verified.then(|| Arc::from(wanted));
            let session = session(stream.get_ref().1, name, verified);
            Handshake { session: Some(session), stream: Ok(Some((stream, doubt))) }
        }
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Handshake { session: None, stream: Ok(None) }
        }
        Err(error) => {
            let objection = of_tls(&error).and_then(Objection::of);
            let certificate = objection.and_then(|objection| objection.certificate.clone());
            let session = certificate.map(|certificate| TlsSession {
                version: None,
                cipher: None,
                certificate: Some(certificate),
                name: Some(Arc::from(wanted)),
                verified: false,
            });
            Handshake { session, stream: Err(doubt.cause(&error)) }
        }
    }
}

/// Does the handshake with a client.
///
/// # Errors
/// What went wrong.
pub(super) async fn accept(
    stream: TcpStream,
    settings: &ServerSettings,
) -> Result<(server::TlsStream<TcpStream>, TlsSession), Cause> {
    let config = settings.server().ok_or(Cause::Untrusted(Untrusted::Handshake))?;
    let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|error| match alert(&error) {
        // Whatever a client complains of, it is our certificate.
        Some(
            what @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => Cause::Untrusted(Untrusted::ClientCertificateRefused(Alert(what.into()))),
        Some(_) | None => cause(&error),
    })?;
    let connection = stream.get_ref().1;
    let verified = connection.peer_certificates().is_some();
    let session = session(connection, None, verified);
    Ok((stream, session))
}

/// The certificates by which a client has proven who it is, and the settings by which they were good.
pub(super) struct Proof {
    chain: Vec<CertificateDer<'static>>,
    by: Arc<ServerSettings>,
}

impl Proof {
    /// That of a client whose handshake is done; `None`: it has shown no certificate.
    pub(super) fn of(stream: &server::TlsStream<TcpStream>, by: &Arc<ServerSettings>) -> Option<Proof> {
        let chain = stream.get_ref().1.peer_certificates()?.to_vec();
        Some(Proof { chain, by: Arc::clone(by) })
    }

    /// Whether they are good by these settings as well.
    pub(super) fn holds(&self, settings: &Arc<ServerSettings>, now: Time) -> bool {
        Arc::ptr_eq(&self.by, settings) || settings.vouches(&self.chain, now)
    }
}

/// What is known of the other end of a connection whose handshake is done.
fn session(connection: &CommonState, name: Option<Arc<str>>, verified: bool) -> TlsSession {
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    TlsSession {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
            Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
            Some(_) | None => None,
        },
        // The registered names have no number of a version.
        cipher: suite.map(|suite| suite.replacen("TLS13_", "TLS_", 1)),
        certificate: shown.and_then(|shown| certificate::read(shown)),
        name,
        verified,
    }
}

/// The cause that an error of a connection over TLS is.
pub(super) fn cause(error: &io::Error) -> Cause {
    match of_tls(error) {
        Some(fault) => Cause::Untrusted(untrusted(fault)),
        None if error.kind() == ErrorKind::UnexpectedEof => Cause::Reset,
        None => sockets::cause(error),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a list of rustls' that grows")]
fn untrusted(error: &Error) -> Untrusted {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )
        // What we said ourselves, from somebody who echoes.
        | Error::InappropriateHandshakeMessage { got_type: HandshakeType::ClientHello, .. } => Untrusted::NotTls,
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            // Clients of before 1.2 don't have it, and this is looked at before the version is.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls13RequiredForQuic,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => Untrusted::Version,
        Error::AlertReceived(alert) => Untrusted::Alert(Alert((*alert).into())),
        Error::InvalidCertificate(fault) => {
            Objection::of(error).map_or_else(|| complaint(fault), |it| it.why)
        }
        _ => Untrusted::Handshake,
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a list of rustls' that grows")]
fn complaint(fault: &CertificateError) -> Untrusted {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Untrusted::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Untrusted::NotYetValid,
        CertificateError::UnknownIssuer => Untrusted::Issuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Untrusted::Name
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Untrusted::Purpose
        }
        CertificateError::Other(OtherError(other))
            if matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
        {
            Untrusted::Authority
        }
        _ => Untrusted::Broken,
    }
}

impl ProfileSettings {
    /// Path and query of WebSocket requests.
    pub(super) fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// What connections are made with, made when the first one is opened.
    fn client(&self) -> Result<Arc<ClientConfig>, Untrusted> {
        self.ready.0.get_or_init(|| self.make_client()).clone()
    }

    fn make_client(&self) -> Result<Arc<ClientConfig>, Untrusted> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| Untrusted::Handshake)?;
        let (roots, trusted) = match &self.roots {
            _ if self.insecure => trusting(Vec::new()),
            Some(pem) => roots_of(pem),
            None => trusting(rustls_native_certs::load_native_certs().certs),
        };
        let verifier = Arc::new(Verifier {
            roots,
            trusted,
            wildcards: self.wildcards,
            insecure: self.insecure,
            provider: provider(),
        });
        let identity = self.identity.as_ref().map(|identity| Arc::clone(&identity.0));
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(Shown(identity)));
        config.resumption = Resumption::in_memory_sessions(256);
        config.key_log = Arc::new(rustls::KeyLogFile::new());
        Ok(Arc::new(config))
    }
}

impl ServerSettings {
    /// What connections are made with, made when the first one comes in; `None`: there is no certificate.
    fn server(&self) -> Option<Arc<ServerConfig>> {
        self.ready.config.get_or_init(|| self.make_server()).clone()
    }

    /// Who verifies the certificates of clients; `None`: they are not asked for any.
    fn clients(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        let make = |pem: &Vec<u8>| {
            let roots = Arc::new(roots_of(pem).0);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            verifier.allow_unauthenticated().build().ok()
        };
        self.ready.clients.get_or_init(|| self.client_roots.as_ref().and_then(make)).clone()
    }

    /// Whether one of the authorities vouches for the client that has shown these certificates, its own first.
    fn vouches(&self, chain: &[CertificateDer<'_>], now: Time) -> bool {
        let (Some(clients), [own, between @ ..]) = (self.clients(), chain) else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.as_millis()));
        clients.verify_client_cert(own, between, now).is_ok()
    }

    fn make_server(&self) -> Option<Arc<ServerConfig>> {
        let identity = Arc::clone(&self.identity.as_ref()?.0);
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        let builder = match &self.client_roots {
            Some(_) => builder.with_client_cert_verifier(self.clients()?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)));
        config.ticketer = ring::Ticketer::new().ok()?;
        config.send_tls13_tickets = 1;
        config.key_log = Arc::new(rustls::KeyLogFile::new());
        Some(Arc::new(config))
    }
}

/// The certificate that is shown to servers that ask for one.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let _ = ASKED.try_with(|asked| asked.store(true, Ordering::Relaxed));
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a [`Verifier`] has against a certificate.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Objection {
    why: Untrusted,
    certificate: Option<Certificate>,
}

impl Objection {
    fn of(error: &Error) -> Option<&Objection> {
        if let Error::InvalidCertificate(CertificateError::Other(OtherError(other))) = error {
            return other.downcast_ref::<Objection>();
        }
        None
    }
}

/// Verifies chains as webpki does, and names as RFC 5922 has it.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    /// The same, as they are.
    trusted: Vec<CertificateDer<'static>>,
    wildcards: Wildcards,
    insecure: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Box<Objection>> {
        let Some(read) = certificate::read(leaf) else {
            return Err(Box::new(Objection { why: Untrusted::Broken, certificate: None }));
        };
        let judged = self.judge_chain(leaf, &read, between, now).and_then(|()| {
            let is_meant = read.is_for(&name.to_str(), self.wildcards);
            if is_meant { Ok(()) } else { Err(Untrusted::Name) }
        });
        judged.map_err(|why| Box::new(Objection { why, certificate: Some(read) }))
    }

    fn judge_chain(
        &self,
        leaf: &CertificateDer<'_>,
        read: &Certificate,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        if self.trusted.iter().any(|trusted| trusted == leaf) {
            let now = Time::from_millis(now.as_secs().saturating_mul(1000));
            return match () {
                () if now > read.not_after => Err(Untrusted::Expired),
                () if now < read.not_before => Err(Untrusted::NotYetValid),
                () => Ok(()),
            };
        }
        let verified = ParsedCertificate::try_from(leaf).and_then(|parsed| {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms)
        });
        match verified {
            Ok(()) => Ok(()),
            Err(_) if self.is_self_signed(leaf, read) => Err(Untrusted::SelfSigned),
            Err(error) => {
                let why = untrusted(&error);
                // Nothing but the certificate itself was sent, and it was not issued by a root that is trusted.
                let is_alone = why == Untrusted::Issuer && between.is_empty();
                Err(if is_alone { Untrusted::Incomplete } else { why })
            }
        }
    }

    /// Whether a certificate vouches for itself: it names itself as its issuer, and its own key has signed it. Authorities can
    /// have the name of a server that they sign.
    fn is_self_signed(&self, leaf: &CertificateDer<'_>, read: &Certificate) -> bool {
        if read.issuer != read.subject {
            return false;
        }
        let alone = trusting(vec![leaf.clone().into_owned()]).0;
        // Its time is not the question.
        let then = UnixTime::since_unix_epoch(Duration::from_millis(read.not_before.as_millis()));
        let verified = ParsedCertificate::try_from(leaf).and_then(|parsed| {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &alone, &[], then, algorithms)
        });
        !matches!(
            verified,
            Err(Error::InvalidCertificate(CertificateError::BadSignature | CertificateError::UnknownIssuer))
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.insecure {
            return Ok(ServerCertVerified::assertion());
        }
        self.judge(leaf, between, name, now).map(|()| ServerCertVerified::assertion()).map_err(|objection| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(*objection))))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
