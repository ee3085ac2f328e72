//! Those who call a `sipreg keep`: each is answered, and told.
#![cfg(unix)]

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value;

use crate::keep::{Keep, keep, serve};

/// Somebody with a socket, who calls the contact of a binding.
struct Caller {
    socket: UdpSocket,
    contact: String,
}

impl Caller {
    /// Calls where that event says that it is bound.
    fn of(event: &Value) -> Caller {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let contact = event["contact"].as_str().unwrap().to_owned();
        socket.connect(contact.rsplit('@').next().unwrap()).unwrap();
        Caller { socket, contact }
    }

    fn text(&self, method: &str, branch: &str, rest: &str) -> String {
        let at = self.socket.local_addr().unwrap();
        let contact = &self.contact;
        format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{branch};rport\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@example.com>;tag=b\r\nTo: <sip:alice@localhost>\r\nCall-ID: {branch}@caller\r\n\
             CSeq: 1 {method}\r\n{rest}Content-Length: 0\r\n\r\n"
        )
    }

    fn send(&self, method: &str, branch: &str, rest: &str) {
        self.socket.send(self.text(method, branch, rest).as_bytes()).unwrap();
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The status that comes back.
    fn asks(&self, method: &str, branch: &str, rest: &str) -> (String, String) {
        self.send(method, branch, rest);
        let answer = self.receive();
        let status = answer.split(' ').nth(1).unwrap().to_owned();
        (status, answer)
    }
}

fn row<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
}

fn incoming(keep: &mut Keep, method: &str, status: u16) {
    let event = keep.tells("incoming");
    assert_eq!((&event["method"], &event["status"]), (&method.into(), &status.into()), "{event}");
    assert_eq!(
        (&event["from"], &event["aor"]),
        (&"sip:bob@example.com".into(), &"sip:alice@localhost".into())
    );
}

/// INC-007 TRN-020: what can't be read is told so, once each; an ACK and a response get nothing.
#[test]
fn a_request_whose_length_is_wrong_gets_400() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let mut keep = keep(&server.at[0].clone(), home.path(), &["alice@localhost"]);
    keep.tells("registering");
    let caller = Caller::of(&keep.tells("registered"));
    let spoiled = |method: &str, branch: &str, length: &str| {
        caller.text(method, branch, "").replace("Content-Length: 0", &format!("Content-Length: {length}"))
    };
    for (n, length) in ["99", "-1", "x", "", "0\r\nl: 1"].into_iter().enumerate() {
        // No more than 20 are told a second.
        std::thread::sleep(Duration::from_millis(if n % 3 == 2 { 1100 } else { 0 }));
        for method in ["OPTIONS", "INVITE", "MESSAGE", "NOTIFY", "BYE", "CANCEL"] {
            let branch = format!("{method}{n}");
            for text in [spoiled("ACK", &format!("ack{branch}"), length), spoiled(method, &branch, length)] {
                caller.socket.send(text.as_bytes()).unwrap();
            }
            let mut answer = caller.receive();
            if answer.starts_with("SIP/2.0 100 ") {
                answer = caller.receive();
            }
            assert!(answer.starts_with("SIP/2.0 400 Bad Request: "), "{method} {length:?}: {answer}");
            assert_eq!(row(&answer, "CSeq"), format!("1 {method}"));
            incoming(&mut keep, method, 400);
            if method == "INVITE" {
                caller.send("ACK", &branch, "");
            }
        }
    }
    caller.socket.send(b"SIP/2.0 200 OK\r\nContent-Length: 99\r\n\r\n").unwrap();
    let zone = caller.text("OPTIONS", "zone", "").replacen("UDP 127.0.0.1:", "UDP [fe80::1%eth0]:", 1);
    caller.socket.send(zone.as_bytes()).unwrap();
    assert!(caller.receive().starts_with("SIP/2.0 200 "));
    incoming(&mut keep, "OPTIONS", 200);
    let broken = caller.text("OPTIONS", "via", "").replacen("UDP 127.0.0.1:", "UDP 127.0.0.1:x", 1);
    caller.socket.send(broken.as_bytes()).unwrap();
    assert!(caller.receive().starts_with("SIP/2.0 400 Bad Request: Via: has a bad URI: malformed port"));
    incoming(&mut keep, "OPTIONS", 400);
    keep.signal("-TERM");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}

/// STX-027: whoever is named in `maddr` hears nothing, of `keep` or of `serve`: not even who stands at the same port.
#[test]
#[cfg(target_os = "linux")]
fn nobody_can_make_us_send_to_somebody_else() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost"]);
    keep.tells("registering");
    let kept = Caller::of(&keep.tells("registered"));
    let served = Caller::of(&serde_json::json!({ "contact": format!("sip:localhost@{}", server.at[0]) }));
    for (caller, method) in [(&kept, "OPTIONS"), (&kept, "INVITE"), (&served, "OPTIONS"), (&served, "INVITE")]
    {
        let own = caller.socket.local_addr().unwrap();
        let victim = UdpSocket::bind(("127.0.0.2", own.port())).unwrap();
        for (n, params) in
            ["maddr=127.0.0.2", "maddr=127.0.0.2;rport", "received=127.0.0.2;rport=1;maddr=[::1]"]
                .iter()
                .enumerate()
        {
            let text = caller.text(method, &format!("{method}{n}"), "").replacen("rport", params, 1);
            caller.socket.send(text.as_bytes()).unwrap();
            let answer = caller.receive();
            assert!(row(&answer, "Via").contains("maddr="), "{answer}");
        }
        victim.set_nonblocking(true).unwrap();
        let came = victim.recv(&mut [0; 2000]).map_err(|error| error.kind());
        assert_eq!(came, Err(std::io::ErrorKind::WouldBlock), "{method}");
    }
    keep.signal("-TERM");
    keep.end();
    server.stop();
}

/// INC-001 INC-002 INC-008 INC-009 INC-010 INC-015: and a copy of a request gets the same answer, and is told once.
#[test]
fn requests_are_answered_and_told_once() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost"]);
    keep.tells("registering");
    let caller = Caller::of(&keep.tells("registered"));
    let (status, first) = caller.asks("OPTIONS", "o1", "");
    assert_eq!(status, "200");
    assert!(row(&first, "Allow").contains("INVITE") && row(&first, "Accept").contains("application/sdp"));
    assert!(first.contains("\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother\r\n"), "{first}");
    assert!(row(&first, "To").starts_with("<sip:alice@localhost>;tag="), "{first}");
    assert_eq!(caller.asks("OPTIONS", "o1", "").1, first);
    incoming(&mut keep, "OPTIONS", 200);
    assert_eq!(caller.asks("NOTIFY", "n1", "Event: message-summary\r\n").0, "200");
    incoming(&mut keep, "NOTIFY", 200);
    assert_eq!(caller.asks("BYE", "b1", "").0, "481");
    incoming(&mut keep, "BYE", 481);
    assert_eq!(caller.asks("MESSAGE", "m1", "").0, "405");
    incoming(&mut keep, "MESSAGE", 405);
    keep.signal("-TERM");
    let (events, _, code) = keep.end();
    assert_eq!((events, code), (vec!["unregistered".to_owned(), "stopped".to_owned()], Some(0)));
    server.stop();
}

/// STX-009 STX-011 INC-013 INC-014: a call hears that nobody is there, until it has acknowledged that.
#[test]
fn a_call_is_refused_until_that_is_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost", "--on-invite", "486"]);
    keep.tells("registering");
    let caller = Caller::of(&keep.tells("registered"));
    assert_eq!(caller.asks("CANCEL", "c0", "").0, "481");
    incoming(&mut keep, "CANCEL", 481);
    assert_eq!(caller.asks("INVITE", "i1", "").0, "100");
    let refusal = caller.receive();
    assert!(refusal.starts_with("SIP/2.0 486 Busy Here\r\n"), "{refusal}");
    incoming(&mut keep, "INVITE", 486);
    // Timer G, and a copy.
    assert_eq!(caller.receive(), refusal);
    assert_eq!(caller.asks("INVITE", "i1", "").1, refusal);
    assert_eq!(caller.asks("CANCEL", "i1", "").0, "200");
    incoming(&mut keep, "CANCEL", 200);
    caller.send("ACK", "i1", "");
    // Nothing follows: what comes next is the answer to the next question.
    std::thread::sleep(Duration::from_millis(1200));
    let (status, answer) = caller.asks("OPTIONS", "o2", "");
    assert_eq!(status, "200", "{answer}");
    incoming(&mut keep, "OPTIONS", 200);
    keep.signal("-TERM");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}
