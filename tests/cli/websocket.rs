//! WebSocket as it is asked for on the command line, and as it is told: the server is the program itself, or one that refuses.

use std::io::{Read, Write};
use std::net::TcpListener;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::run::{Ran, sipreg};
use crate::serve::{Server, name};

fn by(transport: &str, command: &str, at: &str, more: &[&str]) -> Ran {
    let all = [command, "w@munich.de", "--registrar", at, "--transport", transport, "--stateless", "--json"];
    sipreg(&[&all, more].concat())
}

/// A server that answers whatever asks with these octets; the head of what asked first comes back.
fn answering(octets: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or_default();
            let _ = tell.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
            let _ = stream.write_all(octets.as_bytes());
        }
    });
    (at, told)
}

/// WSS-001, WSS-002, WSS-003: a handshake that is refused is told with its status, and so is what is no WebSocket for SIP.
#[test]
fn a_refused_handshake_is_told() {
    const OTHER: &str =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for (answer, said, advised) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403", "sends no Origin"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404", "--ws-path"),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://ws.munich.de/sip\r\nContent-Length: 0\r\n\r\n",
            "302: it points to \"https://ws.munich.de/sip\"",
            "does not follow",
        ),
        ("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", "426", "version 13"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503", "--retry-for"),
        (OTHER, "WebSocket", "check the port"),
        (
            "SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "not a WebSocket handshake",
            "check the port",
        ),
    ] {
        let (at, told) = answering(answer);
        let ran = by("ws", "list", &at, &["--ws-path", "/sip?room=1"]);
        let object = ran.json();
        assert_eq!((ran.code, &object["error"]["kind"]), (Some(5), &"unreachable".into()), "{}", ran.all());
        assert_eq!(object["attempts"][0]["result"], "handshake", "{}", ran.all());
        assert!(object["error"]["message"].as_str().unwrap().contains(said), "{}", ran.all());
        assert!(object["error"]["hint"].as_str().unwrap().contains(advised), "{}", ran.all());
        let request = told.recv().unwrap();
        assert!(request.starts_with("GET /sip?room=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.to_ascii_lowercase().contains("\r\nsec-websocket-protocol: sip\r\n"), "{request}");
    }
}

/// A server that opens a WebSocket, and closes it by a frame with this payload once something comes.
fn closing(payload: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut octet = [0];
                stream.read_exact(&mut octet).unwrap();
                head.extend(octet);
            }
            let head = String::from_utf8(head).unwrap();
            let (_, rest) = head.split_once("Sec-WebSocket-Key: ").unwrap();
            let accept = derive_accept_key(rest.split_once("\r\n").unwrap().0.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = u8::try_from(payload.len()).unwrap();
            stream.write_all(&[&[0x88, length], payload].concat()).unwrap();
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    at
}

/// A WebSocket that the server closes is told with its code, by name, and its reason, by every command.
#[test]
fn the_reason_of_a_close_is_told() {
    let at = closing(b"\x03\xf0no such user\x1b[2J");
    let said = "without an answer: WebSocket close code 1008 (policy violation), \"no such user\\u{1b}[2J\"";
    let error = by("ws", "list", &at, &[]).json()["error"].clone();
    assert_eq!(error["kind"], "unreachable", "{error}");
    assert!(error["message"].as_str().unwrap().ends_with(said), "{error}");
    let ran = by("ws", "keep", &at, &["--for", "1s"]);
    let failed = ran.stdout.lines().find(|line| line.contains("\"failed\"")).unwrap();
    assert!(failed.contains("close code 1008 (policy violation)"), "{failed}");
    let silent = closing(b"");
    let error = by("ws", "list", &silent, &[]).json()["error"].clone();
    assert!(error["message"].as_str().unwrap().ends_with("without an answer"), "{error}");
}

/// A page that is not one of `--ws-origin` is refused, and told; what is no browser has no origin.
#[test]
fn only_the_pages_that_are_named_may_connect() {
    let options = [
        "--no-auth",
        "--domain",
        "munich.de",
        "--listen",
        "ws:127.0.0.1:0",
        "--ws-origin",
        "https://phone.munich.de",
    ];
    let mut server = Server::start(&options, 1);
    let at = server.at[0].clone();
    let ask = |origin: &str| {
        let mut stream = std::net::TcpStream::connect(&at).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nOrigin: {origin}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    assert!(ask("https://phone.munich.de").starts_with("HTTP/1.1 101 "));
    assert!(ask("https://evil.example").starts_with("HTTP/1.1 403 "));
    let failed = server.next();
    assert_eq!((name(&failed), &failed["cause"]), ("handshake_failed", &"origin".into()), "{failed}");
    assert_eq!(by("ws", "list", &at, &[]).code, Some(0));
}
