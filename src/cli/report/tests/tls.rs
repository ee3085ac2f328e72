//! What is said of a TLS session, good or bad.

use std::sync::Arc;

use super::*;
use crate::proto::identity::{Alert, Certificate, LastWords, TlsSession, Untrusted, UpgradeFault};
use crate::sip::FramingError;

/// 2027-01-01 and a month before that.
const NOT_AFTER: Time = Time::from_millis(1_798_761_600_000);
const NOT_BEFORE: Time = Time::from_millis(1_796_083_200_000);

fn session(verified: bool, name: Option<&str>) -> Option<Arc<TlsSession>> {
    let certificate = Certificate {
        subject: "CN=munich.de,O=LMU".into(),
        issuer: "CN=Quantum Root".into(),
        not_before: NOT_BEFORE,
        not_after: NOT_AFTER,
        uris: Vec::new(),
        hosts: vec!["munich.de".into(), "*.munich.de".into()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
        has_alternatives: true,
        common_name: Some("munich.de".into()),
    };
    Some(Arc::new(TlsSession {
        version: Some("1.3"),
        cipher: Some("TLS13_AES_256_GCM_SHA384".into()),
        certificate: Some(certificate),
        name: name.map(Into::into),
        verified,
    }))
}

fn over_tls(report: Report) -> Report {
    let hop = report.hop.map(|hop| Hop { transport: Transport::Tls, ..hop });
    let attempts = report.attempts.into_iter();
    let attempts = attempts.map(|attempt| Attempt { transport: Some(Transport::Tls), ..attempt }).collect();
    Report { hop, attempts, ..report }
}

/// SEC-003: who was there is told, and so is where nobody looked.
#[test]
fn a_session_is_told_with_its_certificate() {
    let good = Report { tls: session(true, Some("munich.de")), ..report(Ok(bound()), Some((200, "OK"))) };
    insta::assert_snapshot!(human(&over_tls(good)), @r#"
    Registered sip:werner.heisenberg@munich.de for 1h, until 14:03:12 UTC
      this device  1h  sip:werner.heisenberg@200.201.202.203:5060
      answered by  192.0.2.1:5060 over TLS in 1.2 ms, 2 requests
      proven by    TLS 1.3, certificate until 2027-01-01, of CN=munich.de,O=LMU
      signed in    Digest SHA-256, realm "munich.de"
    --- stderr
    hint: nobody answers there once sipreg has ended; 'sipreg keep' stays
    --- exit 0
    "#);
    let good = Report { tls: session(true, Some("munich.de")), ..report(Ok(bound()), Some((200, "OK"))) };
    let told = json(&over_tls(good))["registrar"]["tls"].to_string();
    insta::assert_snapshot!(told, @r#"{"cipher":"TLS13_AES_256_GCM_SHA384","issuer":"CN=Quantum Root","name":"munich.de","not_after":"2027-01-01T00:00:00Z","subject":"CN=munich.de,O=LMU","verified":true,"version":"1.3"}"#);
    let blind = Report { tls: session(false, None), ..report(Ok(bound()), Some((200, "OK"))) };
    let text = human(&blind);
    assert!(text.contains("  not proven   TLS 1.3, certificate until 2027-01-01"), "{text}");
    let told = json(&blind)["registrar"]["tls"].clone();
    assert_eq!((&told["verified"], &told["name"]), (&false.into(), &serde_json::Value::Null));
}

/// SEC-003, SEC-012: each way in which a server is not the one that was meant says what is wrong with which certificate, with a
/// word for scripts and what to do.
#[test]
fn what_is_wrong_with_a_certificate() {
    use Untrusted as Why;
    let whys = [
        Why::Expired,
        Why::NotYetValid,
        Why::Name,
        Why::Issuer,
        Why::SelfSigned,
        Why::Incomplete,
        Why::Purpose,
        Why::Authority,
        Why::Broken,
        Why::ClientCertificateWanted(Alert::CERTIFICATE_REQUIRED),
        Why::ClientCertificateRefused(Alert(48)),
        Why::Version,
        Why::NotTls,
        Why::Alert(Alert::HANDSHAKE_FAILURE),
        Why::Handshake,
    ];
    let mut said = String::new();
    for why in whys {
        let cause = Cause::Untrusted(why);
        let failure = Failure::Unreachable(Unreachable::Network(cause));
        let attempts = vec![attempt(AttemptResult::Failed(cause))];
        let known = !matches!(why, Why::Version | Why::NotTls | Why::Alert(_) | Why::Handshake);
        let tls = if known { session(false, Some("sip.munich.de")) } else { None };
        let report = over_tls(Report { tls, attempts, requests: 0, hop: None, ..failed(failure, None) });
        let (exit, _, stderr) = shown(&report, Settings::default());
        let json = json(&report);
        assert_eq!((exit.code(), &json["error"]["kind"]), (5, &"untrusted".into()));
        assert_eq!(json["attempts"][0]["result"], "tls");
        assert_eq!(json["registrar"]["tls"].is_object(), known);
        said += &format!("{}\n{stderr}", json["error"]["cause"]);
    }
    insta::assert_snapshot!(said.replace("192.0.2.1:5060 over TLS", "WHO"), @r#"
    "certificate_expired"
    error: WHO: the certificate of CN=munich.de,O=LMU ran out, or one above it: it was good until 2027-01-01 00:00:00 UTC
    hint: it has to be renewed there, unless the clock of this machine is wrong: 'date' shows it
    hint: 'sipreg explain certificate_expired' says more, 'sipreg check' finds out
    "certificate_not_yet_valid"
    error: WHO: the certificate of CN=munich.de,O=LMU is not good yet, or one above it: it begins at 2026-12-01 00:00:00 UTC
    hint: is the clock of this machine right? 'date' shows it; else the certificate is there too early
    hint: 'sipreg explain certificate_not_yet_valid' says more, 'sipreg check' finds out
    "certificate_name"
    error: WHO: the certificate is for munich.de, *.munich.de, 192.0.2.1, not for sip.munich.de
    hint: a * counts for nothing in SIP (RFC 5922 §7.2): --tls-wildcard lets it count for one label
    hint: 'sipreg explain certificate_name' says more, 'sipreg check' finds out
    "certificate_issuer"
    error: WHO: the certificate of CN=munich.de,O=LMU was issued by CN=Quantum Root, who is not trusted
    hint: --tls-ca FILE trusts that issuer alone, where FILE holds its certificate as PEM
    hint: 'sipreg explain certificate_issuer' says more, 'sipreg check' finds out
    "certificate_self_signed"
    error: WHO: the certificate of CN=munich.de,O=LMU is signed by itself, and not one that is trusted
    hint: --tls-ca FILE trusts it, where FILE holds that certificate as PEM: from whoever runs the server, not from the network
    hint: 'sipreg explain certificate_self_signed' says more, 'sipreg check' finds out
    "certificate_issuer"
    error: WHO: the certificate of CN=munich.de,O=LMU was issued by CN=Quantum Root, who is not trusted, and whose certificate was not sent along
    hint: --tls-ca FILE trusts that issuer, where FILE holds its certificate as PEM; if that stands between the server's own and a root that is trusted already, the server has to send it along
    hint: 'sipreg explain certificate_issuer' says more, 'sipreg check' finds out
    null
    error: WHO: the certificate of CN=munich.de,O=LMU is not for servers
    hint: its extended key usage lacks serverAuth: the server needs another one
    hint: 'sipreg check' finds out
    null
    error: WHO: the certificate of CN=munich.de,O=LMU is that of an authority, and no server's own
    hint: it is made to sign others (basicConstraints CA), not to prove who a server is: the server has to show one of its own; --tls-ca FILE trusts it as it is, where FILE holds it as PEM
    hint: 'sipreg check' finds out
    null
    error: WHO: the certificate is broken
    hint: it can't be read, a signature is wrong, or it breaks a rule of its authority: somebody may be in between, or the server has mixed files up
    hint: 'sipreg check' finds out
    "client_certificate_wanted"
    error: WHO: the server wants a certificate of ours: certificate_required
    hint: --tls-cert FILE shows one, with --tls-key FILE where its key is in another file
    hint: 'sipreg explain client_certificate_wanted' says more, 'sipreg check' finds out
    "client_certificate_wanted"
    error: WHO: the server did not accept our certificate: unknown_ca
    hint: is that of --tls-cert from an authority that the server trusts, with those in between, and not run out?
    hint: 'sipreg explain client_certificate_wanted' says more, 'sipreg check' finds out
    "tls_version"
    error: WHO: no common version of TLS: sipreg speaks 1.2 and 1.3
    hint: sipreg speaks TLS 1.2 and 1.3; the server has only older ones, which are broken
    hint: 'sipreg explain tls_version' says more, 'sipreg check' finds out
    "not_tls"
    error: WHO: what answers is not TLS
    hint: perhaps a port of plain SIP: TLS is usually at 5061; a sip: address with --transport tcp goes without it
    hint: 'sipreg explain not_tls' says more, 'sipreg check' finds out
    null
    error: WHO: the server ended TLS with the alert handshake_failure
    hint: it finds no cipher suite, group or signature algorithm that both sides have and that is good enough for it: its log tells more
    hint: 'sipreg check' finds out
    null
    error: WHO: the TLS handshake failed
    hint: both sides have nothing in common, or one of them broke it off: the server's log tells more
    hint: 'sipreg check' finds out
    "#);
}

/// WSS-002, WSS-003: a WebSocket that is refused is told with the status.
#[test]
fn what_is_wrong_with_a_websocket() {
    let mut said = String::new();
    for fault in [
        UpgradeFault::Status(302),
        UpgradeFault::Status(400),
        UpgradeFault::Status(426),
        UpgradeFault::Status(401),
        UpgradeFault::Status(403),
        UpgradeFault::Status(404),
        UpgradeFault::Status(410),
        UpgradeFault::Status(405),
        UpgradeFault::Status(503),
        UpgradeFault::Status(200),
        UpgradeFault::Subprotocol,
        UpgradeFault::NotWebSocket,
        UpgradeFault::TooLong,
    ] {
        let failure = Failure::Unreachable(Unreachable::Network(Cause::Upgrade(fault)));
        let attempts = vec![attempt(AttemptResult::Failed(Cause::Upgrade(fault)))];
        let report = Report { attempts, requests: 0, hop: None, ..failed(failure, None) };
        let (exit, _, stderr) = shown(&report, Settings::default());
        let json = json(&report);
        assert_eq!((exit.code(), &json["error"]["kind"]), (5, &"unreachable".into()));
        assert_eq!(json["attempts"][0]["result"], "handshake");
        said += &stderr;
    }
    insta::assert_snapshot!(said, @r"
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 302
    hint: it points to another place, where sipreg does not follow: name that with --proxy, --transport and --ws-path
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 400
    hint: it does not take the request for a WebSocket (version 13): is that a place for WebSockets? Check port and path (--ws-path)
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 426
    hint: it does not take the request for a WebSocket (version 13): is that a place for WebSockets? Check port and path (--ws-path)
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 401
    hint: it wants to know who asks, and does not say how: some servers take a token in the path (--ws-path '/ws?token=...')
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 403
    hint: perhaps it lets in only pages of certain origins (sipreg is no page, and sends no Origin), or nobody from here
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 404
    hint: there is nothing at that path: --ws-path names another, / is asked for without it
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 410
    hint: there is nothing at that path: --ws-path names another, / is asked for without it
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 405
    hint: check host, port and path (--ws-path); the server's log tells more
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 503
    hint: the server, or one behind it, has failed or is overloaded: its log tells more, and --retry-for 5m tries again
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 200
    hint: check host, port and path (--ws-path); the server's log tells more
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: no WebSocket subprotocol sip
    hint: there is a WebSocket, but not one for SIP (RFC 7118): check port and path (--ws-path)
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: not a WebSocket handshake
    hint: something else listens there: check the port; ws is plain, and wss goes over TLS
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the WebSocket handshake is too long
    hint: something else listens there: check the port; ws is plain, and wss goes over TLS
    hint: 'sipreg check' finds out
    ");
}

/// The code and the reason by which a WebSocket is closed are told, and where one is instead; nothing in them commands
/// the terminal.
#[test]
fn the_last_words_of_a_websocket_are_told() {
    let mut said = String::new();
    let close = |code, reason: &str| LastWords::Close { code, reason: reason.to_owned() };
    for words in [
        close(1008, "no such user\u{1b}[2J"),
        close(1001, ""),
        close(4403, &"x".repeat(123)),
        LastWords::Location("wss://bob:secret@ws.munich.de/sip".into()),
    ] {
        let (result, why) = match words {
            LastWords::Close { .. } => (AttemptResult::Closed, Unreachable::Closed),
            LastWords::Location(_) => {
                let cause = Cause::Upgrade(UpgradeFault::Status(302));
                (AttemptResult::Failed(cause), Unreachable::Network(cause))
            }
        };
        let failed = failed(Failure::Unreachable(why), None);
        let report = Report { attempts: vec![attempt(result)], last_words: Some(words), ..failed };
        said += &shown(&report, Settings::default()).2;
    }
    insta::assert_snapshot!(said, @r#"
    error: 192.0.2.1:5060 over UDP closed the connection without an answer: WebSocket close code 1008 (policy violation), "no such user\u{1b}[2J"
    hint: it may not serve this domain, or not over this transport; -v shows how far it got
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP closed the connection without an answer: WebSocket close code 1001 (going away)
    hint: it may not serve this domain, or not over this transport; -v shows how far it got
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP closed the connection without an answer: WebSocket close code 4403, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    hint: it may not serve this domain, or not over this transport; -v shows how far it got
    hint: 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP: the server answered the WebSocket handshake with 302: it points to "wss:***@ws.munich.de/sip"
    hint: it points to another place, where sipreg does not follow: name that with --proxy, --transport and --ws-path
    hint: 'sipreg check' finds out
    "#);
}

/// A server that speaks something else on a port for plain SIP is named as what it is; one that is silent where a handshake
/// was begun, too.
#[test]
fn what_else_answers_or_does_not() {
    let mut said = String::new();
    for error in [FramingError::Tls, FramingError::Http, FramingError::NoLength] {
        let report = failed(Failure::Misbehaved(Misbehaviour::Framing(error)), None);
        let attempts = vec![attempt(AttemptResult::Closed)];
        let report = Report { attempts, ..report };
        let (exit, _, stderr) = shown(&report, Settings::default());
        assert_eq!((exit.code(), &json(&report)["error"]["cause"]), (6, &"not_sip".into()));
        said += &stderr;
    }
    for transport in [Transport::Tls, Transport::Ws] {
        let attempts = vec![Attempt { transport: Some(transport), ..attempt(AttemptResult::Timeout) }];
        let report =
            Report { attempts, requests: 0, retransmissions: 0, hop: None, ..failed(Failure::Timeout, None) };
        let (exit, _, stderr) = shown(&report, Settings::default());
        assert_eq!((exit.code(), &json(&report)["error"]["cause"]), (4, &"silent".into()));
        said += &stderr;
    }
    insta::assert_snapshot!(said, @"
    error: 192.0.2.1:5060 over UDP answers in TLS
    hint: that port is one for TLS: --transport tls, or a sips: address; SIP without TLS is usually at 5060
    hint: 'sipreg explain not_sip' says more, 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP answers in HTTP
    hint: a web server, or one for WebSocket: --transport ws or wss, with --ws-path, or another port
    hint: 'sipreg explain not_sip' says more, 'sipreg check' finds out
    error: 192.0.2.1:5060 over UDP sends something that is not SIP
    hint: check the port: is it plain SIP, not TLS or HTTP?
    hint: 'sipreg explain not_sip' says more, 'sipreg check' finds out
    error: no answer from 192.0.2.1:5060 over TLS within 0.0 s (0 requests sent)
    hint: nobody answers the TLS handshake: is it a port for TLS? One of plain SIP waits for a request and says nothing; a sip: address with --transport tcp may tell more
    hint: 'sipreg explain silent' says more, 'sipreg check' finds out
    error: no answer from 192.0.2.1:5060 over WS within 0.0 s (0 requests sent)
    hint: nobody answers the WebSocket handshake: check the port; ws is plain, and wss goes over TLS
    hint: 'sipreg explain silent' says more, 'sipreg check' finds out
    ");
}
