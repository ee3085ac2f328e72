//! The opening handshake of a WebSocket, octet for octet.

use crate::net::websocket::upgrade::{self, Declined, LIMIT};
use crate::proto::identity::UpgradeFault;

/// The key of RFC 6455 §1.3, and what proves that it was read.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request that is served.
const REQUEST: &str = "GET /ws?x=1 HTTP/1.1\r\nHost: munich.de\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// An answer that opens a WebSocket.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

fn origins(list: &[&str]) -> Vec<String> {
    list.iter().map(|origin| (*origin).to_owned()).collect()
}

/// The status of the answer to a request, and what is wrong with that.
fn answered(request: &str, origins: &[String]) -> (String, Option<UpgradeFault>) {
    let (answer, fault) = match upgrade::read_request(request.as_bytes(), origins) {
        Ok(Some(welcome)) => (welcome.answer, None),
        Ok(None) => return (String::new(), None),
        Err(refusal) => (refusal.answer, Some(refusal.fault)),
    };
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if let Some(length) = head.split("Content-Length: ").nth(1) {
        assert_eq!(length.split("\r\n").next(), Some(body.len().to_string().as_str()));
        assert!(head.contains("\r\nConnection: close") && body.ends_with('\n'), "{answer}");
    }
    (head.split("\r\n").next().unwrap().to_owned(), fault)
}

/// WSS-001 WSS-013: what a client asks.
#[test]
fn the_request_of_a_client_offers_sip() {
    let request = |path, authorization| {
        String::from_utf8(upgrade::request("munich.de:8080", path, KEY, authorization)).unwrap()
    };
    let head = "GET /sip?a=1 HTTP/1.1\r\nHost: munich.de:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Protocol: sip\r\n";
    assert_eq!(request("/sip?a=1", None), format!("{head}\r\n"));
    assert_eq!(request("sip?a=1", Some("Digest a=b")), format!("{head}Authorization: Digest a=b\r\n\r\n"));
    assert!(request("", None).starts_with("GET / HTTP/1.1\r\n"));
}

/// WSS-001 WSS-002: the server picks sip, and proves that it has read the key.
#[test]
fn a_good_request_is_answered_whatever_its_spelling() {
    let welcome = upgrade::read_request(REQUEST.as_bytes(), &[]).unwrap().unwrap();
    assert_eq!(
        (welcome.length, String::from_utf8(welcome.answer).unwrap()),
        (REQUEST.len(), ANSWER.to_owned())
    );
    for (from, to) in [
        ("Upgrade: websocket", "UPGRADE:WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: Upgrade", "Connection: keep-alive,upgrade"),
        ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        ("Protocol: sip", "Protocol: chat, sip, xmpp"),
        ("Protocol: sip", "Protocol: chat\r\nSec-WebSocket-Protocol: sip"),
        ("Host: munich.de", "Host: munich.de\r\nSec-WebSocket-Extensions: permessage-deflate"),
        ("Host: munich.de", "Host: munich.de\r\nOrigin: https://anywhere.net"),
        ("/ws?x=1", "*"),
    ] {
        let request = REQUEST.replacen(from, to, 1);
        assert_eq!(answered(&request, &[]), ("HTTP/1.1 101 Switching Protocols".to_owned(), None), "{to}");
    }
}

/// WSS-001 WSS-003: who asks for something else hears what is served.
#[test]
fn a_bad_request_is_refused_with_the_reason() {
    use UpgradeFault::{NotWebSocket, Subprotocol, TooLong};
    let endless = format!("X: {}", "x".repeat(LIMIT));
    let many = "X: y\r\n".repeat(100);
    for (from, to, status, fault) in [
        ("Protocol: sip", "Protocol: chat", "400 Bad Request", Subprotocol),
        ("Protocol: sip", "Protocol: SIP", "400 Bad Request", Subprotocol),
        ("Sec-WebSocket-Protocol: sip\r\n", "", "400 Bad Request", Subprotocol),
        ("Version: 13", "Version: 8", "426 Upgrade Required", NotWebSocket),
        ("Sec-WebSocket-Version: 13\r\n", "", "426 Upgrade Required", NotWebSocket),
        ("websocket", "h2c", "426 Upgrade Required", NotWebSocket),
        ("Connection: Upgrade", "Connection: close", "426 Upgrade Required", NotWebSocket),
        ("GET", "POST", "405 Method Not Allowed", NotWebSocket),
        ("HTTP/1.1", "HTTP/1.0", "400 Bad Request", NotWebSocket),
        ("Host: munich.de\r\n", "", "400 Bad Request", NotWebSocket),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "400 Bad Request", NotWebSocket),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", "400 Bad Request", NotWebSocket),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub2?jZQ==", "400 Bad Request", NotWebSocket),
        ("Host: munich.de", &endless, "431 Request Header Fields Too Large", TooLong),
        ("Host: munich.de\r\n", &many, "431 Request Header Fields Too Large", TooLong),
    ] {
        let request = REQUEST.replacen(from, to, 1);
        assert_eq!(answered(&request, &[]), (format!("HTTP/1.1 {status}"), Some(fault)), "{to:.40}");
    }
    let old = REQUEST.replace("Version: 13", "Version: 8");
    let refusal = upgrade::read_request(old.as_bytes(), &[]).unwrap_err();
    assert!(String::from_utf8(refusal.answer).unwrap().contains("\r\nSec-WebSocket-Version: 13\r\n"));
}

/// WSS-003: what does not speak HTTP is known by its first line, or by its first octet.
#[test]
fn sip_or_tls_on_the_port_of_a_websocket_is_known_at_once() {
    for octets in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"REGISTER sip:munich.de SIP/2.0\r\n",
        b"\x00",
        b"GET / HTTP/2.0\r\n",
    ] {
        let refusal = upgrade::read_request(octets, &[]).unwrap_err();
        assert_eq!(refusal.fault, UpgradeFault::NotWebSocket);
    }
    for octets in [&b"\x15\x03\x01\x00\x02\x02\x46"[..], b"SIP/2.0 400 Bad Request\r\n", b"SSH-2.0-x\r\n"] {
        let declined = upgrade::read_answer(octets, KEY).unwrap_err();
        assert_eq!(declined, Declined::Fault(UpgradeFault::NotWebSocket));
    }
}

/// A page of another origin may not make its visitor's browser connect.
#[test]
fn pages_connect_from_origins_that_are_allowed() {
    let allowed = origins(&["https://munich.de", "http://localhost:8080"]);
    let with = |row: &str| REQUEST.replacen("Host: munich.de", &format!("Host: munich.de{row}"), 1);
    let refused = ("HTTP/1.1 403 Forbidden".to_owned(), Some(UpgradeFault::Origin));
    for (row, is_welcome) in [
        ("", true),
        ("\r\nOrigin: https://munich.de", true),
        ("\r\nOrigin: HTTPS://MUNICH.DE", true),
        ("\r\nOrigin: http://localhost:8080", true),
        ("\r\nOrigin: http://munich.de", false),
        ("\r\nOrigin: https://munich.de.net", false),
        ("\r\nOrigin: https://munich.de:444", false),
        ("\r\nOrigin: null", false),
        ("\r\nOrigin:", false),
        ("\r\nOrigin: https://munich.de\r\nOrigin: https://net.net", false),
    ] {
        let answer = answered(&with(row), &allowed);
        assert_eq!(answer.1.is_none(), is_welcome, "{row}");
        assert!(is_welcome || answer == refused, "{row}");
        assert_eq!(answered(&with(row), &[]).1, None, "{row}");
    }
}

/// WSS-002: an answer needs all that RFC 6455 §4.1 wants, and sip.
#[test]
fn an_answer_without_what_it_needs_opens_nothing() {
    use UpgradeFault::{NotWebSocket, Subprotocol, TooLong};
    assert_eq!(upgrade::read_answer(ANSWER.as_bytes(), KEY), Ok(Some(ANSWER.len())));
    let spelled = ANSWER.replace("Upgrade: websocket", "upgrade:WEBSOCKET").replace(": Upgrade", ": UPGRADE");
    assert_eq!(upgrade::read_answer(spelled.as_bytes(), KEY), Ok(Some(spelled.len())));
    let endless = format!("X: {}\r\nUpgrade", "x".repeat(LIMIT));
    for (from, to, fault) in [
        ("Protocol: sip", "Protocol: chat", Subprotocol),
        ("Protocol: sip", "Protocol: sip, chat", Subprotocol),
        ("Sec-WebSocket-Protocol: sip\r\n", "", Subprotocol),
        (ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", NotWebSocket),
        ("Sec-WebSocket-Accept", "X", NotWebSocket),
        ("Upgrade: websocket", "Upgrade: h2c", NotWebSocket),
        ("Connection: Upgrade", "Connection: close", NotWebSocket),
        ("HTTP/1.1", "HTTP/1.0", NotWebSocket),
        ("Protocol: sip", "Protocol: sip\r\nSec-WebSocket-Extensions: permessage-deflate", NotWebSocket),
        ("Upgrade", &endless, TooLong),
    ] {
        let answer = ANSWER.replacen(from, to, 1);
        assert_eq!(upgrade::read_answer(answer.as_bytes(), KEY), Err(Declined::Fault(fault)), "{to:.40}");
    }
}

/// WSS-003 WSS-013: any other status is told; one that asks who we are, with how it asks.
#[test]
fn another_status_than_101_opens_nothing() {
    let declined = |answer: &str| upgrade::read_answer(answer.as_bytes(), KEY).unwrap_err();
    for (line, status) in [
        ("HTTP/1.1 403 Forbidden", 403),
        ("HTTP/1.0 404 Not Found", 404),
        ("HTTP/1.1 302 Found", 302),
        ("HTTP/1.1 403 Forbidden\r\nLocation: /there", 403),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 4", 503),
        ("HTTP/1.1 401 Who", 401),
    ] {
        let answer = format!("{line}\r\n\r\n");
        assert_eq!(declined(&answer), Declined::Fault(UpgradeFault::Status(status)), "{line}");
    }
    let elsewhere =
        |length: usize| format!("HTTP/1.1 302 Found\r\nLocation: /{}\r\n\r\n", "x".repeat(length));
    assert_eq!(declined(&elsewhere(5)), Declined::Elsewhere(302, "/xxxxx".to_owned()));
    assert_eq!(declined(&elsewhere(512)), Declined::Fault(UpgradeFault::Status(302)));
    let challenges = ["Digest realm=\"a\", nonce=\"b\"", "Basic realm=\"a\""].map(str::to_owned);
    let rows = challenges.clone().map(|row| format!("www-authenticate:  {row} \r\n")).concat();
    let answer = format!("HTTP/1.1 401 Who\r\n{rows}\r\n");
    assert_eq!(declined(&answer), Declined::Challenged(challenges.into()));
}

/// What is not complete is waited for, octet by octet, up to the bound.
#[test]
fn what_is_not_complete_is_waited_for() {
    for length in 0..REQUEST.len() {
        assert_eq!(upgrade::read_request(&REQUEST.as_bytes()[..length], &[]), Ok(None), "{length}");
    }
    for length in 0..ANSWER.len() {
        assert_eq!(upgrade::read_answer(&ANSWER.as_bytes()[..length], KEY), Ok(None), "{length}");
    }
    let mut octets = ANSWER.as_bytes().to_vec();
    octets.extend(b"\x81\x02OK");
    assert_eq!(upgrade::read_answer(&octets, KEY), Ok(Some(ANSWER.len())));
}
