//! TLS between the two ends that are ours, and against peers of rustls that are not as they should be. It is long because all of
//! it stands on the same few peers.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::net::stream::Handshakes;
use crate::net::tls::{self, Handshake, Identity, ProfileSettings, ServerSettings};
use crate::proto::Cause;
use crate::proto::identity::{Alert, TlsSession, Untrusted, Wildcards};

const DOMAIN: &str = "munich.de";
const VERSIONS: [(&SupportedProtocolVersion, &str); 2] = [(&TLS12, "1.2"), (&TLS13, "1.3")];

/// A certificate with its key: an authority's, or one of those that it signs.
struct Made {
    pem: String,
    key: String,
}

impl Made {
    fn identity(&self) -> Identity {
        self.with(&[])
    }

    /// With those between it and its root.
    fn with(&self, between: &[&str]) -> Identity {
        Identity::of((self.pem.clone() + &between.concat()).as_bytes(), self.key.as_bytes()).unwrap()
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.pem.as_bytes()).map(Result::unwrap);
        (chain.collect(), PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }

    /// Signed by itself.
    fn alone(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = named("itself", names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Made { pem: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let (params, key) = (Authority::params(name), KeyPair::generate().unwrap());
        Authority { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// An authority below this one.
    fn delegates(&self, name: &str) -> Authority {
        let (params, key) = (Authority::params(name), KeyPair::generate().unwrap());
        Authority {
            pem: params.signed_by(&key, &self.issuer).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    fn signs(&self, names: &[&str]) -> Made {
        self.signs_with(names, |_| {})
    }

    fn signs_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let mut params = named("somebody", names);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Made { pem: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        Arc::new(store)
    }
}

fn named(subject: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    let san = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
        Err(_) => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(san).collect();
    params
}

/// A client that trusts this root.
fn trusts(root: &str) -> ProfileSettings {
    ProfileSettings { roots: Some(root.as_bytes().to_vec()), ..ProfileSettings::default() }
}

fn shows(identity: Identity) -> ServerSettings {
    ServerSettings { identity: Some(identity), ..ServerSettings::default() }
}

/// A server of other software, which speaks one version only.
fn speaks(
    version: &'static SupportedProtocolVersion,
    made: &Made,
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(clients.store(), provider).build().unwrap(),
        ),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = made.parts();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// A client of other software, which speaks one version only.
fn caller(
    version: &'static SupportedProtocolVersion,
    roots: &Authority,
    shown: Option<&Made>,
) -> TlsConnector {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots.store());
    let config = match shown.map(Made::parts) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

/// The ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (one, two) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.unwrap(), two.unwrap().0)
}

/// A destination over TLS. An empty name: it is known by its address.
fn towards(name: &str, address: SocketAddr) -> Destination {
    let name = (!name.is_empty()).then(|| name.into());
    Destination { name, ..to(Transport::Tls, address) }
}

type Accepted = Result<(server::TlsStream<TcpStream>, TlsSession), Cause>;

/// A handshake of our two ends.
async fn meet(name: &str, ours: &ProfileSettings, theirs: &ServerSettings) -> (Handshake, Accepted) {
    let (near, far) = pair().await;
    let destination = towards(name, near.peer_addr().unwrap());
    soon(async { tokio::join!(tls::connect(near, &destination, ours), tls::accept(far, theirs)) }).await
}

/// What a client has against a server.
async fn objection(name: &str, ours: &ProfileSettings, theirs: Identity) -> Result<TlsSession, Untrusted> {
    let (Handshake { session, stream }, accepted) = meet(name, ours, &shows(theirs)).await;
    match stream {
        Ok(Some(_)) => {
            assert!(accepted.is_ok());
            Ok(session.unwrap())
        }
        Err(Cause::Untrusted(why)) => {
            assert!(accepted.is_err(), "nothing can be said to a server that is not verified");
            assert!(session.is_none_or(|session| !session.verified));
            Err(why)
        }
        Ok(None) => panic!("closed"),
        Err(other) => panic!("{other:?}"),
    }
}

/// A client's stream to a server that it takes.
fn taken(handshake: Handshake) -> (client::TlsStream<TcpStream>, TlsSession) {
    let Ok(Some((stream, _))) = handshake.stream else { panic!("it was not taken") };
    (stream, handshake.session.unwrap())
}

/// Listens, and gives a network that is opening a connection to that, with a message that waits for it.
async fn calling(name: &str, ours: ProfileSettings) -> (Network, TcpListener) {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut network = network(Config { profiles: vec![Arc::new(ours)], ..Config::default() });
    open(&mut network, ONE, towards(name, address));
    transmit(&mut network, ONE, address, "REGISTER");
    (network, listener)
}

/// A network that is connected over TLS with a server, to which it has said REGISTER.
async fn connected(version: &'static SupportedProtocolVersion) -> (Network, server::TlsStream<TcpStream>) {
    let authority = Authority::new("Root");
    let config = speaks(version, &authority.signs(&[DOMAIN]), None);
    let (mut network, listener) = calling(DOMAIN, trusts(&authority.pem)).await;
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
        let mut said = [0; 8];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"REGISTER");
        stream
    });
    assert!(matches!(event(&mut network).await, Event::Secured { flow: ONE, .. }));
    assert!(matches!(event(&mut network).await, Event::Opened { flow: ONE, .. }));
    let stream = meanwhile(&mut network, served).await.unwrap();
    (network, stream)
}

/// A network that listens over TLS, its address, and the authority of its certificate and of its clients.
async fn serving() -> (Network, SocketAddr, Authority) {
    let authority = Authority::new("Root");
    let settings = ServerSettings {
        identity: Some(authority.signs(&[DOMAIN]).identity()),
        client_roots: Some(authority.pem.clone().into_bytes()),
        ..ServerSettings::default()
    };
    let mut network = network(Config { server: Some(Arc::new(settings)), ..Config::default() });
    let local = listening(&mut network, ONE, to(Transport::Tls, SocketAddr::new(V4, 0))).await;
    (network, local, authority)
}

async fn fails(network: &mut Network) -> Cause {
    loop {
        match event(network).await {
            Event::Failed { flow: ONE, cause, .. } => return cause,
            Event::Secured { session, .. } => assert!(!session.verified),
            other => panic!("{other:?}"),
        }
    }
}

async fn handshake_fails(network: &mut Network) -> Cause {
    match event(network).await {
        Event::HandshakeFailed { listener: ONE, cause, .. } => cause,
        other => panic!("{other:?}"),
    }
}

/// The session of a client that has come in, with its flow.
async fn comes_in(network: &mut Network) -> (FlowId, Arc<TlsSession>) {
    let Event::Accepted { listener: ONE, flow, .. } = event(network).await else { panic!("nobody came in") };
    match event(network).await {
        Event::Secured { flow: of, session } if of == flow => (flow, session),
        other => panic!("{other:?}"),
    }
}

/// SEC-002, SEC-003, SEC-011: each thing that can be wrong with a certificate has its word, and is found whatever else there is.
#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    let middle = root.delegates("Middle");
    let good = root.signs(&[DOMAIN]);
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let below = middle.signs(&[DOMAIN]);
    for (what, identity, expected) in [
        ("good", good.identity(), None),
        ("its root too", good.with(&[&root.pem]), None),
        ("a chain", below.with(&[&middle.pem]), None),
        ("expired", root.signs_with(&[DOMAIN], past).identity(), Some(Untrusted::Expired)),
        ("not yet valid", root.signs_with(&[DOMAIN], future).identity(), Some(Untrusted::NotYetValid)),
        ("signed by itself", Made::alone(&[DOMAIN], |_| {}).identity(), Some(Untrusted::SelfSigned)),
        ("expired, by itself", Made::alone(&[DOMAIN], past).identity(), Some(Untrusted::SelfSigned)),
        ("unknown", stranger.signs(&[DOMAIN]).with(&[&stranger.pem]), Some(Untrusted::Issuer)),
        ("a part", below.identity(), Some(Untrusted::Incomplete)),
        ("for clients", root.signs_with(&[DOMAIN], for_clients).identity(), Some(Untrusted::Purpose)),
        ("for another", root.signs(&["leipzig.de"]).identity(), Some(Untrusted::Name)),
        ("for a part of it", root.signs(&["sip.munich.de"]).identity(), Some(Untrusted::Name)),
    ] {
        let judged = objection(DOMAIN, &trusts(&root.pem), identity).await;
        assert_eq!(judged.map(|session| session.verified).err(), expected, "{what}");
    }
}

/// SEC-003: an authority with the name of its server is no reason to say that the server's certificate is signed by itself.
#[tokio::test]
async fn a_namesake_has_not_signed_itself() {
    let namesake = Authority::new("somebody");
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let old = namesake.signs_with(&[DOMAIN], past);
    let judged = objection(DOMAIN, &trusts(&namesake.pem), old.identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::Expired));
    let stranger = Authority::new("Stranger");
    let judged = objection(DOMAIN, &trusts(&stranger.pem), namesake.signs(&[DOMAIN]).identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::Incomplete));
}

/// SEC-005: the last of many names counts as the first does.
#[tokio::test]
async fn many_names_are_read() {
    let root = Authority::new("Root");
    let names: Vec<String> = (0..200).map(|n| format!("h{n}.munich.de")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let judged = objection("h199.munich.de", &trusts(&root.pem), root.signs(&names).identity()).await;
    assert!(judged.unwrap().verified);
}

/// SEC-003: an authority that has run out, or is none, vouches for nobody.
#[tokio::test]
async fn who_vouches_has_to_be_good_too() {
    let root = Authority::new("Root");
    let key = KeyPair::generate().unwrap();
    let mut params = Authority::params("Middle");
    params.not_after = date_time_ymd(2020, 1, 1);
    let pem = params.signed_by(&key, &root.issuer).unwrap().pem();
    let expired = Authority { pem, issuer: Issuer::new(params, key) };
    let identity = expired.signs(&[DOMAIN]).with(&[&expired.pem]);
    assert_eq!(objection(DOMAIN, &trusts(&root.pem), identity).await.err(), Some(Untrusted::Expired));

    let key = KeyPair::generate().unwrap();
    let params = named("No authority", &[]);
    let pem = params.signed_by(&key, &root.issuer).unwrap().pem();
    let none = Authority { pem, issuer: Issuer::new(params, key) };
    let identity = none.signs(&[DOMAIN]).with(&[&none.pem]);
    assert_eq!(objection(DOMAIN, &trusts(&root.pem), identity).await.err(), Some(Untrusted::Broken));
}

/// SEC-002: the server's own certificate among the roots is good by itself, be it an authority's (as openssl makes it) or not;
/// its time and its name count all the same, and its key has to be there.
#[tokio::test]
async fn a_certificate_that_is_trusted_itself_is_good() {
    let as_authority =
        |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let as_none = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
    let leaf = Authority::new("Stranger").signs(&[DOMAIN]);
    for (what, own) in [
        ("CA:TRUE", Made::alone(&[DOMAIN], as_authority)),
        ("CA:FALSE", Made::alone(&[DOMAIN], as_none)),
        ("nothing said", Made::alone(&[DOMAIN], |_| {})),
        ("of a stranger", leaf),
    ] {
        println!("{what}");
        let session = objection(DOMAIN, &trusts(&own.pem), own.identity()).await.unwrap();
        assert!(session.verified);
        assert_eq!(session.name.as_deref(), Some(DOMAIN));
        let other = objection("leipzig.de", &trusts(&own.pem), own.identity()).await;
        assert_eq!(other.err(), Some(Untrusted::Name));
        let another = Made::alone(&[DOMAIN], as_authority);
        let other = objection(DOMAIN, &trusts(&own.pem), another.identity()).await;
        assert_eq!(other.err(), Some(Untrusted::SelfSigned));
    }
    let old = Made::alone(&[DOMAIN], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let judged = objection(DOMAIN, &trusts(&old.pem), old.identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::Expired));
    let young = Made::alone(&[DOMAIN], |params| params.not_before = date_time_ymd(2090, 1, 1));
    let judged = objection(DOMAIN, &trusts(&young.pem), young.identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::NotYetValid));
}

/// SEC-004, SEC-005, SEC-006, SEC-007, SEC-008, SEC-009, SEC-010, SEC-014: real certificates are read and compared as RFC 5922
/// has it: the name is that of the URI, or the one that the settings want.
#[tokio::test]
async fn names_are_those_of_sip() {
    let root = Authority::new("Root");
    let (all, relaxed) = (Wildcards::Refused, Wildcards::Accepted);
    for (name, wanted, names, wildcards, is_good) in [
        (DOMAIN, None, &["sip:munich.de"][..], all, true),
        (DOMAIN, None, &["sip:munich.de", "leipzig.de"], all, true),
        ("leipzig.de", None, &["sip:munich.de", "leipzig.de"], all, false),
        (DOMAIN, None, &["sip:bob@munich.de"], all, false),
        (DOMAIN, None, &["sips:munich.de"], all, false),
        (DOMAIN, None, &["sip:bob@leipzig.de", "MUNICH.de"], all, true),
        ("munich.de.", None, &["munich.de"], all, true),
        ("sip.munich.de", None, &["munich.de"], all, false),
        ("sip.munich.de", None, &["*.munich.de"], all, false),
        ("sip.munich.de", None, &["*.munich.de"], relaxed, true),
        ("a.sip.munich.de", None, &["*.munich.de"], relaxed, false),
        (DOMAIN, None, &["*.munich.de"], relaxed, false),
        // By the address: 127.0.0.1.
        ("", None, &["127.0.0.1"], all, true),
        ("", None, &["127.0.0.2", "munich.de"], all, false),
        ("127.0.0.1", None, &["sip:munich.de", "127.0.0.1"], all, true),
        ("::1", None, &["::1"], all, true),
        ("::1", None, &["127.0.0.1"], all, false),
        // The settings want another name.
        (DOMAIN, Some("leipzig.de"), &["leipzig.de"], all, true),
        (DOMAIN, Some("leipzig.de"), &["munich.de"], all, false),
        ("", Some(DOMAIN), &["munich.de"], all, true),
        // The common name is `somebody`.
        ("somebody", None, &[], all, true),
        ("somebody", None, &["munich.de"], all, false),
    ] {
        let ours = ProfileSettings { name: wanted.map(Arc::from), wildcards, ..trusts(&root.pem) };
        let judged = objection(name, &ours, root.signs(names).identity()).await;
        let expected = if is_good { None } else { Some(Untrusted::Name) };
        assert_eq!(judged.err(), expected, "{name} ({wanted:?}) for {names:?}");
    }
    let judged = objection("no name", &trusts(&root.pem), root.signs(&[DOMAIN]).identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::Name));
}

/// Who doesn't care gets through, and is told that nothing was verified.
#[tokio::test]
async fn without_verification_anybody_is_taken() {
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let ours = ProfileSettings { insecure: true, ..ProfileSettings::default() };
    let session = objection(DOMAIN, &ours, Made::alone(&["leipzig.de"], past).identity()).await.unwrap();
    assert_eq!((session.verified, session.name), (false, None));
    assert_eq!(session.certificate.unwrap().names(), ["leipzig.de"]);
}

/// SEC-016: 1.3 where both have it, else 1.2; the cipher has its registered name.
#[tokio::test]
async fn the_newest_common_version_is_spoken() {
    let root = Authority::new("Root");
    let made = root.signs(&[DOMAIN]);
    let (handshake, accepted) = meet(DOMAIN, &trusts(&root.pem), &shows(made.identity())).await;
    let ((_, near), (_, far)) = (taken(handshake), accepted.unwrap());
    assert_eq!((near.version, far.version), (Some("1.3"), Some("1.3")));
    for (version, text) in VERSIONS {
        let (near, far) = pair().await;
        let destination = towards(DOMAIN, near.peer_addr().unwrap());
        let (settings, acceptor) = (trusts(&root.pem), TlsAcceptor::from(speaks(version, &made, None)));
        let (handshake, far) =
            tokio::join!(tls::connect(near, &destination, &settings), acceptor.accept(far));
        far.unwrap();
        let (_, session) = taken(handshake);
        assert_eq!(session.version, Some(text));
        let cipher = session.cipher.unwrap();
        let family = if text == "1.2" { "TLS_ECDHE_ECDSA_WITH_AES_" } else { "TLS_AES_" };
        assert!(cipher.starts_with(family), "{cipher}");

        let (near, far) = pair().await;
        let settings = shows(made.identity());
        let connecting = caller(version, &root, None).connect(ServerName::try_from(DOMAIN).unwrap(), near);
        let (near, accepted) = tokio::join!(connecting, tls::accept(far, &settings));
        near.unwrap();
        assert_eq!(accepted.unwrap().1.version, Some(text));
    }
}

/// Reads a record of TLS.
async fn record(stream: &mut TcpStream) -> Vec<u8> {
    let mut record = vec![0; 5];
    soon(stream.read_exact(&mut record)).await.unwrap();
    record.resize(5 + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
    soon(stream.read_exact(&mut record[5..])).await.unwrap();
    record
}

/// Everything that comes until the connection ends, however.
async fn all(mut stream: impl AsyncReadExt + Unpin) -> Vec<u8> {
    let mut octets = Vec::new();
    let _ = soon(stream.read_to_end(&mut octets)).await;
    octets
}

/// SEC-015: a server of TLS 1.1 is refused, whether it says that it can't do better or just answers; and so is a client.
#[tokio::test]
async fn old_versions_are_refused() {
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    for answer in [vec![21, 3, 2, 0, 2, 2, 70], hello] {
        let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        let hello = meanwhile(&mut network, record(&mut stream)).await;
        assert_eq!(hello[0], 22);
        stream.write_all(&answer).await.unwrap();
        assert_eq!(fails(&mut network).await, Cause::Untrusted(Untrusted::Version));
        assert!(all(stream).await.len() <= 7, "an alert at most");
    }

    // Clients of TLS 1.1 with one cipher; those of before 1.2 know no signature_algorithms.
    let (mut network, local, _) = serving().await;
    for (extensions, alert) in [(&[][..], 40), (&[0, 8, 0, 13, 0, 4, 0, 2, 4, 3][..], 70)] {
        let length = 41 + extensions.len() as u8;
        let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length, 3, 2];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
        hello.extend(extensions);
        let mut stream = TcpStream::connect(local).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        assert_eq!(handshake_fails(&mut network).await, Cause::Untrusted(Untrusted::Version));
        assert_eq!(record(&mut stream).await[5..], [2, alert]);
    }
}

/// SEC-012: who isn't the one that was meant hears no SIP, though a message waits; the connection is closed at once.
#[tokio::test]
async fn nothing_is_said_to_a_stranger() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    for (version, _) in VERSIONS {
        let (mut network, listener) = calling(DOMAIN, trusts(&root.pem)).await;
        let config = speaks(version, &stranger.signs(&[DOMAIN]), None);
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
        let failing = async { soon(accepting).await.expect_err("the client leaves").1 };
        let (cause, stream) = tokio::join!(fails(&mut network), failing);
        assert_eq!(cause, Cause::Untrusted(Untrusted::Incomplete));
        assert_eq!(all(stream).await, b"", "closed");
    }
}

/// SEC-013: the ClientHello has the name of the URI, or the one that is wanted; addresses are no names there.
#[tokio::test]
async fn the_name_is_indicated() {
    for (name, wanted, indicated) in [
        (DOMAIN, None, Some(DOMAIN)),
        ("munich.de.", None, Some(DOMAIN)),
        (DOMAIN, Some("leipzig.de"), Some("leipzig.de")),
        ("", None, None),
        ("::1", None, None),
    ] {
        let ours =
            ProfileSettings { name: wanted.map(Arc::from), insecure: true, ..ProfileSettings::default() };
        let (mut network, listener) = calling(name, ours).await;
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let acceptor = LazyConfigAcceptor::new(Default::default(), stream);
        let start = meanwhile(&mut network, acceptor).await.unwrap();
        assert_eq!(start.client_hello().server_name(), indicated, "{name}");
    }
}

/// SEC-026: a certificate of ours is shown to a server that asks; over both versions it is told when it is not accepted, or
/// none is there, although over 1.3 that comes after the handshake.
#[tokio::test]
async fn our_certificate_is_shown() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    let server = root.signs(&[DOMAIN]);
    for (version, text) in VERSIONS {
        let config = speaks(version, &server, Some(&root));
        for (identity, expected) in [
            (Some(root.signs(&["sip:bob@munich.de"]).identity()), None),
            (
                Some(stranger.signs(&["sip:bob@munich.de"]).identity()),
                Some(Untrusted::ClientCertificateRefused(Alert(48))),
            ),
            (None, Some(Untrusted::ClientCertificateWanted(Alert::CERTIFICATE_REQUIRED))),
        ] {
            let (mut network, listener) =
                calling(DOMAIN, ProfileSettings { identity, ..trusts(&root.pem) }).await;
            let acceptor = TlsAcceptor::from(Arc::clone(&config));
            let served = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await?;
                stream.write_all(b"200").await?;
                Ok::<_, std::io::Error>(stream)
            });
            let end = loop {
                match event(&mut network).await {
                    Event::Secured { session, .. } => assert!(session.verified),
                    Event::Opened { .. } => assert!(expected.is_none() || text == "1.3"),
                    end => break end,
                }
            };
            match (expected, end) {
                (None, Event::Received { bytes, .. }) => {
                    assert_eq!(&bytes[..], b"200");
                    let stream = served.await.unwrap().unwrap();
                    assert!(stream.get_ref().1.peer_certificates().is_some());
                }
                (Some(why), Event::Failed { cause, .. }) => {
                    assert_eq!(cause, Cause::Untrusted(why), "{text}");
                    assert!(served.await.unwrap().is_err());
                }
                (_, other) => panic!("{text} {expected:?}: {other:?}"),
            }
        }
    }
}

/// SEC-026: below a WebSocket too it is told, in place of an answer to the upgrade.
#[tokio::test]
async fn our_certificate_is_wanted_below_a_websocket() {
    let (root, stranger) = (Authority::new("Root"), Authority::new("Stranger"));
    let server = root.signs(&[DOMAIN]);
    for (version, text) in VERSIONS {
        let config = speaks(version, &server, Some(&root));
        for (identity, expected) in [
            (Some(stranger.signs(&[DOMAIN]).identity()), Untrusted::ClientCertificateRefused(Alert(48))),
            (None, Untrusted::ClientCertificateWanted(Alert::CERTIFICATE_REQUIRED)),
        ] {
            let listener = TcpListener::bind((V4, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let ours = ProfileSettings { identity, ..trusts(&root.pem) };
            let mut network = network(Config { profiles: vec![Arc::new(ours)], ..Config::default() });
            let destination = Destination { transport: Transport::Wss, ..towards(DOMAIN, address) };
            open(&mut network, ONE, destination);
            let acceptor = TlsAcceptor::from(Arc::clone(&config));
            let served = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                acceptor.accept(stream).await.is_ok()
            });
            let cause = loop {
                match event(&mut network).await {
                    Event::Secured { session, .. } => assert!(session.verified),
                    Event::Failed { flow: ONE, cause, .. } => break cause,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(cause, Cause::Untrusted(expected), "{text}");
            assert!(!served.await.unwrap());
        }
    }
}

/// SEC-026: a client is known by the certificate that it shows; a stranger's ends the handshake, and none is no harm.
#[tokio::test]
async fn a_client_proves_who_it_is() {
    let (mut network, local, root) = serving().await;
    let stranger = Authority::new("Stranger");
    for (version, _) in VERSIONS {
        for shown in [Some(root.signs(&["sip:bob@munich.de", "sips:bob@munich.de"])), None] {
            let connector = caller(version, &root, shown.as_ref());
            let client = tokio::spawn(async move {
                let stream = TcpStream::connect(local).await.unwrap();
                connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await.unwrap()
            });
            let (flow, session) = comes_in(&mut network).await;
            assert_eq!((session.verified, &session.name), (shown.is_some(), &None));
            let users = session.certificate.as_ref().map(|certificate| certificate.users().len());
            assert_eq!(users, shown.map(|_| 2));
            client.await.unwrap();
            close(&mut network, flow);
        }
        let connector = caller(version, &root, Some(&stranger.signs(&["sip:bob@munich.de"])));
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(local).await.unwrap();
            let mut stream = connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await?;
            stream.read(&mut [0]).await
        });
        assert_eq!(handshake_fails(&mut network).await, Cause::Untrusted(Untrusted::Issuer));
        assert!(client.await.unwrap().is_err());
    }
}

/// A client whose authority is trusted no longer is closed, also one whose handshake was under way; who has proven
/// nothing, and whose authority is still there, stays.
#[tokio::test]
async fn a_client_whose_authority_is_gone_is_closed() {
    let other = Authority::new("Other");
    for (version, _) in VERSIONS {
        for (shows_one, roots, stays) in [(true, &[0, 1][..], true), (true, &[1], false), (false, &[1], true)]
        {
            let (mut network, local, root) = serving().await;
            let pem = [&root.pem, &other.pem];
            let pem: String = roots.iter().map(|at: &usize| pem[*at].as_str()).collect();
            let after = || ServerSettings {
                client_roots: Some(pem.clone().into_bytes()),
                ..shows(root.signs(&[DOMAIN]).identity())
            };
            let shown = root.signs(&["sip:bob@munich.de"]);
            let connector = caller(version, &root, shows_one.then_some(&shown));
            let connect = async |stream| {
                let name = ServerName::try_from(DOMAIN).unwrap();
                connector.connect(name, stream).await.unwrap()
            };
            let (mut client, (flow, _)) = tokio::join!(
                async { connect(TcpStream::connect(local).await.unwrap()).await },
                comes_in(&mut network)
            );
            // One more is accepted with the settings as they were, and begins its handshake later.
            let late = meanwhile(&mut network, TcpStream::connect(local)).await.unwrap();
            while network.connection_count() < 2 {
                meanwhile(&mut network, tokio::task::yield_now()).await;
            }
            network.set_server(Arc::new(after()));
            if !stays {
                assert!(matches!(event(&mut network).await, Event::Closed { flow: of } if of == flow));
                let mut late = meanwhile(&mut network, connect(late)).await;
                for client in [&mut client, &mut late] {
                    assert_eq!(meanwhile(&mut network, client.read(&mut [0])).await.unwrap_or(0), 0);
                }
                assert_eq!(network.connection_count(), 0);
                continue;
            }
            let (mut late, (second, _)) = tokio::join!(connect(late), comes_in(&mut network));
            for (client, flow) in [(&mut client, flow), (&mut late, second)] {
                client.write_all(b"REGISTER").await.unwrap();
                assert_eq!(received(&event(&mut network).await).0, flow);
            }
        }
    }
}

/// The second connection with the same settings goes on with the session of the first, and knows the same of the other end;
/// other settings begin anew.
#[tokio::test]
async fn sessions_are_resumed() {
    let root = Authority::new("Root");
    let device = root.signs(&["sip:bob@munich.de"]);
    let ours = || ProfileSettings { identity: Some(device.identity()), ..trusts(&root.pem) };
    let theirs = ServerSettings {
        client_roots: Some(root.pem.clone().into_bytes()),
        ..shows(root.signs(&[DOMAIN]).identity())
    };
    let (first, other) = (ours(), ours());
    let mut known = None;
    for (settings, name, kind) in [
        (&first, DOMAIN, HandshakeKind::Full),
        (&first, DOMAIN, HandshakeKind::Resumed),
        (&other, DOMAIN, HandshakeKind::Full),
    ] {
        let (handshake, accepted) = meet(name, settings, &theirs).await;
        let ((mut near, ours), (mut far, theirs)) = (taken(handshake), accepted.unwrap());
        assert_eq!(near.get_ref().1.handshake_kind(), Some(kind));
        assert_eq!(far.get_ref().1.handshake_kind(), Some(kind));
        assert!(ours.verified && theirs.verified);
        assert_eq!(theirs.certificate.as_ref().unwrap().users().len(), 1);
        let session = (ours, theirs);
        assert_eq!(known.get_or_insert_with(|| session.clone()), &session);
        // The ticket comes before this.
        far.write_all(b"200").await.unwrap();
        soon(near.read_exact(&mut [0; 3])).await.unwrap();
    }
    // With another name nothing is resumed, and the certificate is looked at.
    let (handshake, _) = meet("leipzig.de", &first, &theirs).await;
    assert_eq!(handshake.stream.err(), Some(Cause::Untrusted(Untrusted::Name)));
}

/// A server that speaks SIP, or anything, in the clear is named as that; and one that closes at once has closed.
#[tokio::test]
async fn a_server_without_tls_is_named() {
    for said in ["SIP/2.0 400 Bad Request\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n\r\n\r\n\r\n"] {
        let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        meanwhile(&mut network, record(&mut stream)).await;
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(fails(&mut network).await, Cause::Untrusted(Untrusted::NotTls), "{said}");
    }
    // One that sends back what it hears.
    let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let hello = meanwhile(&mut network, record(&mut stream)).await;
    stream.write_all(&hello).await.unwrap();
    assert_eq!(fails(&mut network).await, Cause::Untrusted(Untrusted::NotTls));
    let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    meanwhile(&mut network, record(&mut stream)).await;
    drop(stream);
    assert!(matches!(event(&mut network).await, Event::Closed { flow: ONE }));
}

/// A client in the clear, one that leaves, and one that resets don't come in.
#[tokio::test]
async fn a_client_without_tls_is_named() {
    let (mut network, local, _) = serving().await;
    let mut stream = TcpStream::connect(local).await.unwrap();
    stream.write_all(b"REGISTER sip:munich.de SIP/2.0\r\n\r\n").await.unwrap();
    assert_eq!(handshake_fails(&mut network).await, Cause::Untrusted(Untrusted::NotTls));
    drop(TcpStream::connect(local).await.unwrap());
    assert_eq!(handshake_fails(&mut network).await, Cause::Reset);
    let stream = TcpStream::connect(local).await.unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(handshake_fails(&mut network).await, Cause::Reset);
}

/// Who shows the certificate of an authority as its own is told as that, on either side.
#[tokio::test]
async fn an_authority_is_nobody_itself() {
    let root = Authority::new("Root");
    let is_authority =
        |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = root.signs_with(&[DOMAIN, "sip:bob@munich.de"], is_authority);
    let judged = objection(DOMAIN, &trusts(&root.pem), middle.identity()).await;
    assert_eq!(judged.err(), Some(Untrusted::Authority));
    let ours = ProfileSettings { identity: Some(middle.identity()), ..trusts(&root.pem) };
    let theirs = ServerSettings {
        client_roots: Some(root.pem.clone().into_bytes()),
        ..shows(root.signs(&[DOMAIN]).identity())
    };
    let (_, accepted) = meet(DOMAIN, &ours, &theirs).await;
    assert_eq!(accepted.err(), Some(Cause::Untrusted(Untrusted::Authority)));
    // One that is trusted as it is needs no chain.
    assert!(objection(DOMAIN, &trusts(&middle.pem), middle.identity()).await.unwrap().verified);
}

/// What a server breaks the handshake off with is told, by its name where it has one.
#[tokio::test]
async fn the_alert_of_a_server_is_told() {
    for (alert, expected) in [
        (40, Untrusted::Alert(Alert::HANDSHAKE_FAILURE)),
        // Nobody has asked for a certificate of ours.
        (42, Untrusted::Alert(Alert(42))),
        (70, Untrusted::Version),
        (112, Untrusted::Alert(Alert::UNRECOGNIZED_NAME)),
        (116, Untrusted::ClientCertificateWanted(Alert::CERTIFICATE_REQUIRED)),
        (120, Untrusted::Alert(Alert::NO_APPLICATION_PROTOCOL)),
        (199, Untrusted::Alert(Alert(199))),
    ] {
        let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
        let (mut stream, _) = soon(listener.accept()).await.unwrap();
        meanwhile(&mut network, record(&mut stream)).await;
        stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).await.unwrap();
        assert_eq!(fails(&mut network).await, Cause::Untrusted(expected), "{alert}");
    }
}

/// A client that doesn't take our certificate says so.
#[tokio::test]
async fn a_client_that_does_not_trust_us_is_told() {
    let (mut network, local, _) = serving().await;
    for (version, _) in VERSIONS {
        let connector = caller(version, &Authority::new("Stranger"), None);
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(local).await.unwrap();
            connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await
        });
        let cause = handshake_fails(&mut network).await;
        assert_eq!(cause, Cause::Untrusted(Untrusted::ClientCertificateRefused(Alert(48))));
        assert!(client.await.unwrap().is_err());
    }
}

/// A listener without a certificate takes nobody.
#[tokio::test]
async fn without_a_certificate_nobody_comes_in() {
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Tls, SocketAddr::new(V4, 0))).await;
    let stream = TcpStream::connect(local).await.unwrap();
    assert_eq!(handshake_fails(&mut network).await, Cause::Untrusted(Untrusted::Handshake));
    assert_eq!(all(stream).await, b"");
}

/// SEC-031: what the other end says before its close_notify is heard; then the flow is over, though the connection is there
/// still, and nothing more is said over it. A connection that ends without one is over as well.
#[tokio::test]
async fn a_close_notify_ends_a_flow() {
    for (version, _) in VERSIONS {
        for is_polite in [true, false] {
            let (mut network, mut stream) = connected(version).await;
            stream.write_all(b"200").await.unwrap();
            stream.flush().await.unwrap();
            let stream = if is_polite {
                stream.get_mut().1.send_close_notify();
                stream.flush().await.unwrap();
                Some(stream)
            } else {
                drop(stream);
                None
            };
            assert_eq!(received(&event(&mut network).await).2, b"200");
            assert!(matches!(event(&mut network).await, Event::Closed { flow: ONE }));
            transmit(&mut network, ONE, SocketAddr::new(V4, 9), "REGISTER again");
            if let Some(stream) = stream {
                assert_eq!(meanwhile(&mut network, all(stream)).await, b"");
            }
        }
    }
}

/// SEC-031: the same of a client.
#[tokio::test]
async fn a_client_leaves_with_or_without_a_word() {
    let (mut network, local, root) = serving().await;
    for is_polite in [true, false] {
        let connector = caller(&TLS13, &root, None);
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(local).await.unwrap();
            let mut stream = connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await.unwrap();
            stream.write_all(b"REGISTER").await.unwrap();
            if is_polite {
                stream.shutdown().await.unwrap();
            }
        });
        let (flow, _) = comes_in(&mut network).await;
        assert_eq!(received(&event(&mut network).await).2, b"REGISTER");
        client.await.unwrap();
        assert!(matches!(event(&mut network).await, Event::Closed { flow: of } if of == flow));
    }
}

/// SEC-030: what was given to a connection is sent before it is closed, and then the other end is told that no more comes.
#[tokio::test]
async fn what_waits_is_sent_before_closing() {
    for (version, _) in VERSIONS {
        let (mut network, mut stream) = connected(version).await;
        transmit(&mut network, ONE, SocketAddr::new(V4, 9), "last ");
        transmit(&mut network, ONE, SocketAddr::new(V4, 9), "words");
        close(&mut network, ONE);
        let mut said = String::new();
        let read = meanwhile(&mut network, stream.read_to_string(&mut said)).await;
        assert_eq!(read.expect("a close_notify"), 10);
        assert_eq!(said, "last words");
    }
}

/// A flow that is closed in the middle of its handshake says nothing.
#[tokio::test]
async fn closing_during_a_handshake_is_silent() {
    let (mut network, listener) = calling(DOMAIN, ProfileSettings::default()).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    meanwhile(&mut network, record(&mut stream)).await;
    close(&mut network, ONE);
    assert_eq!(meanwhile(&mut network, all(stream)).await, b"");

    let (mut network, local, _) = serving().await;
    let stream = TcpStream::connect(local).await.unwrap();
    // It has been accepted by then.
    let waited = tokio::time::timeout(Duration::from_millis(50), network.event_by(None)).await;
    assert!(waited.is_err());
    close(&mut network, ONE);
    assert_eq!(meanwhile(&mut network, all(stream)).await, b"");
}

/// A new certificate serves those who come from then on; who is there stays.
#[tokio::test]
async fn a_new_certificate_serves_new_connections() {
    let (mut network, local, root) = serving().await;
    let ours = Arc::new(trusts(&root.pem));
    let visit = |name: &'static str| {
        let ours = Arc::clone(&ours);
        tokio::spawn(async move {
            let stream = TcpStream::connect(local).await.unwrap();
            tls::connect(stream, &towards(name, local), &ours).await
        })
    };
    let first = visit(DOMAIN);
    let (flow, _) = comes_in(&mut network).await;
    let (mut first, _) = taken(first.await.unwrap());
    network.set_server(Arc::new(shows(root.signs(&["leipzig.de"]).identity())));
    let second = visit("leipzig.de");
    comes_in(&mut network).await;
    let (_second, session) = taken(second.await.unwrap());
    assert_eq!(session.certificate.unwrap().names(), ["leipzig.de"]);
    let third = visit(DOMAIN);
    handshake_fails(&mut network).await;
    assert_eq!(third.await.unwrap().stream.err(), Some(Cause::Untrusted(Untrusted::Name)));
    first.write_all(b"REGISTER").await.unwrap();
    assert_eq!(received(&event(&mut network).await).0, flow);
}

fn source(n: u16, port: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([198, 51, high, low], port))
}

/// SEC-003: a signature that is wrong breaks a certificate, though its authority is known.
#[tokio::test]
async fn a_wrong_signature_is_a_broken_certificate() {
    let root = Authority::new("Root");
    let (mut chain, key) = root.signs(&[DOMAIN]).parts();
    let mut octets = chain.remove(0).to_vec();
    // The end of the signature.
    *octets.last_mut().unwrap() ^= 1;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![octets.into()], key).unwrap();
    let (near, far) = pair().await;
    let (destination, settings) = (towards(DOMAIN, near.peer_addr().unwrap()), trusts(&root.pem));
    let accepting = TlsAcceptor::from(Arc::new(config)).accept(far);
    let (handshake, _) = tokio::join!(tls::connect(near, &destination, &settings), accepting);
    assert_eq!(handshake.stream.err(), Some(Cause::Untrusted(Untrusted::Broken)));
}

/// SEC-013: names that DNS has though no host has them, and the longest ones, are names; what can be none is for nobody.
#[tokio::test]
async fn odd_names_are_compared_as_they_are() {
    let root = Authority::new("Root");
    let label = "a".repeat(63);
    let longest = [label.as_str(); 4].join(".")[..253].to_owned();
    for name in ["_sip.munich.de", "xn--mnchen-3ya.de", "munich", &longest] {
        let judged = objection(name, &trusts(&root.pem), root.signs(&[name]).identity()).await;
        assert_eq!(judged.map(|session| session.verified), Ok(true), "{name}");
    }
    for name in [".", "munich..de", "münchen.de", &format!("{label}a.de")] {
        let ours = trusts(&root.pem);
        let (near, _far) = pair().await;
        let destination = towards(name, near.peer_addr().unwrap());
        let handshake = soon(tls::connect(near, &destination, &ours)).await;
        assert_eq!(handshake.stream.err(), Some(Cause::Untrusted(Untrusted::Name)), "{name}");
    }
}

/// SEC-017: no cipher suite without forward secrecy is offered.
#[tokio::test]
async fn every_cipher_suite_has_forward_secrecy() {
    let ours = ProfileSettings { insecure: true, ..ProfileSettings::default() };
    let (mut network, listener) = calling(DOMAIN, ours).await;
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let start = meanwhile(&mut network, LazyConfigAcceptor::new(Default::default(), stream)).await.unwrap();
    for suite in start.client_hello().cipher_suites() {
        let Some(name) = suite.as_str() else { panic!("{suite:?}") };
        let is_good = name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_");
        // Not a cipher suite, but a sign (RFC 5746).
        assert!(is_good || name == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "{name}");
    }
}

/// A peer that does not read costs bounded memory over TLS too: its connection is given up.
#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let (mut network, _stream) = connected(&TLS13).await;
    let bytes = Bytes::from(vec![b'x'; 100_000]);
    let mut sent = 0;
    let failed = loop {
        network.perform(Action::Transmit { flow: ONE, peer: SocketAddr::new(V4, 9), bytes: bytes.clone() });
        sent += 1;
        assert!(sent < 2000, "the queue has no end");
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(1), network.event_by(None)).await {
            break event;
        }
    };
    let is_given_up = matches!(
        failed,
        Event::Failed { flow: ONE, cause: Cause::Other(std::io::ErrorKind::WouldBlock), .. }
    );
    assert!(is_given_up, "{failed:?}");
    assert_eq!(network.connection_count(), 0);
}

/// The time for a handshake is not made longer by octets that come one by one. It takes 10 seconds.
#[tokio::test]
async fn a_slow_handshake_is_ended() {
    let (mut network, local, _) = serving().await;
    let began = network.now();
    let (mut reader, mut writer) = TcpStream::connect(local).await.unwrap().into_split();
    let trickling = tokio::spawn(async move {
        // A record of 512 octets, of which a ClientHello is the beginning.
        for octet in [22, 3, 1, 2, 0, 1, 0, 1, 0xfc].into_iter().chain([3; 500]) {
            if writer.write_all(&[octet]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let ended = tokio::time::timeout(Duration::from_secs(20), network.event_by(None)).await.unwrap();
    let is_late = matches!(ended, Event::HandshakeFailed { listener: ONE, cause: Cause::TimedOut, .. });
    assert!(is_late, "{ended:?}");
    assert!(network.now().since(began) >= Duration::from_secs(10));
    assert_eq!(network.connection_count(), 0);
    let _ = soon(reader.read(&mut [0])).await;
    trickling.abort();
}

/// Handshakes that fail, and those that end with their listener, leave no flow behind; SEC-025: one that is done stays, until
/// it is closed.
#[tokio::test]
async fn failed_handshakes_leave_nothing_behind() {
    let (mut network, local, root) = serving().await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(local).await.unwrap();
        stream.write_all(b"OPTIONS sip:munich.de SIP/2.0\r\n\r\n").await.unwrap();
        assert_eq!(handshake_fails(&mut network).await, Cause::Untrusted(Untrusted::NotTls));
        assert_eq!(network.connection_count(), 0);
    }
    let connector = caller(&TLS13, &root, None);
    let client = tokio::spawn(async move {
        let stream = TcpStream::connect(local).await.unwrap();
        connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await.unwrap()
    });
    let (flow, _) = comes_in(&mut network).await;
    let mut client = client.await.unwrap();
    let waiting = TcpStream::connect(local).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), network.event_by(None)).await;
    assert!(waited.is_err());
    assert_eq!(network.connection_count(), 2);
    close(&mut network, ONE);
    assert_eq!(network.connection_count(), 1);
    assert_eq!(meanwhile(&mut network, all(waiting)).await, b"");
    transmit(&mut network, flow, client.get_ref().0.local_addr().unwrap(), "OPTIONS");
    let mut said = [0; 7];
    meanwhile(&mut network, client.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"OPTIONS");
    close(&mut network, flow);
    assert_eq!(network.connection_count(), 0);
}

/// A burst of connections that say nothing, more than are accepted in one turn, keeps nobody waiting behind it.
#[tokio::test]
async fn who_comes_behind_a_silent_burst_is_served_at_once() {
    let (mut network, local, root) = serving().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(local).await.unwrap());
    }
    let connector = caller(&TLS13, &root, None);
    let client = tokio::spawn(async move {
        let stream = TcpStream::connect(local).await.unwrap();
        connector.connect(ServerName::try_from(DOMAIN).unwrap(), stream).await.unwrap()
    });
    let served = tokio::time::timeout(Duration::from_secs(3), comes_in(&mut network)).await;
    assert!(served.is_ok());
    drop((client.await.unwrap(), silent));
}

/// Handshakes are bounded, and those of one source; who is done makes room. This host is nobody's flood.
#[test]
fn handshakes_are_bounded() {
    let mut handshakes = Handshakes::default();
    for port in 0..64 {
        assert!(handshakes.begin(ONE, FlowId(u64::from(port)), source(0, port)));
    }
    assert!(!handshakes.begin(ONE, FlowId(64), source(0, 64)), "one source");
    let mapped = "[::ffff:198.51.0.0]:64".parse().unwrap();
    assert!(!handshakes.begin(ONE, FlowId(64), mapped), "the same source");
    assert!(!handshakes.begin(TWO, FlowId(64), source(0, 64)), "at another listener too");
    assert!(handshakes.begin(ONE, FlowId(64), source(1, 1)), "another source");
    assert_eq!(handshakes.end(ONE, source(0, 5)), Some(FlowId(5)));
    assert_eq!(handshakes.end(ONE, source(0, 5)), None, "it ends once");
    assert_eq!(handshakes.end(TWO, source(0, 6)), None, "of another listener");
    assert!(handshakes.begin(ONE, FlowId(65), source(0, 64)), "there is room again");
    assert!(!handshakes.begin(ONE, FlowId(66), source(0, 65)));

    // 65 are there; this host's fill the rest.
    for port in 65..1024 {
        assert!(handshakes.begin(TWO, FlowId(1000 + u64::from(port)), SocketAddr::new(V4, port)));
    }
    assert!(!handshakes.begin(TWO, FlowId(1), SocketAddr::new(V4, 1024)), "all together");
    assert!(!handshakes.begin(ONE, FlowId(1), source(2, 1)));
    assert_eq!(handshakes.crowded(), Some((ONE, source(0, 0))), "the oldest makes room");
    assert_eq!(handshakes.close(TWO).len(), 1024 - 65);
    assert_eq!(handshakes.crowded(), None);
    assert_eq!(handshakes.close(TWO), []);
    assert!(handshakes.begin(ONE, FlowId(1), source(2, 1)));
    let mut rest = handshakes.close(ONE);
    rest.sort_unstable();
    assert_eq!(rest.len(), 66);
    for port in 0..64 {
        assert!(handshakes.begin(ONE, FlowId(u64::from(port)), source(0, port)), "nothing is left behind");
    }
}

/// A source that comes twice from one port, as to two addresses of ours or after a reset, leaves nothing behind: the second
/// one has to come again.
#[test]
fn one_port_of_a_source_has_one_handshake() {
    let mut handshakes = Handshakes::default();
    for _ in 0..200 {
        assert!(handshakes.begin(ONE, FlowId(1), source(0, 1)));
        assert!(!handshakes.begin(ONE, FlowId(2), source(0, 1)));
        assert_eq!(handshakes.end(ONE, source(0, 1)), Some(FlowId(1)));
        assert_eq!(handshakes.end(ONE, source(0, 1)), None);
    }
}
