//! What a registrar refuses to an account that it had bound: credentials that it has forgotten, and everything for a moment;
//! over both transports, as the program tells it.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::keep::{Keep, client, keep_with};
use crate::peer::{header, response};

/// What was asked: a nonce or none, and for how many seconds.
type Asked = Arc<Mutex<Vec<String>>>;

/// A registrar whose answer to each request is made from the request and how many came before: status and rows.
fn registrar(
    transport: &str,
    mut answer: impl FnMut(&str, usize) -> String + Send + 'static,
) -> (String, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let mut respond = move |request: &str| {
        let mut log = log.lock().unwrap();
        let nonce = request.split_once("nonce=\"").map_or("", |(_, rest)| rest.split('"').next().unwrap());
        log.push(format!("{nonce} {}", header(request, "Expires")));
        let said = answer(request, log.len() - 1);
        let (status, rows) = said.split_once('|').unwrap_or((&said, ""));
        response(request, status, &rows.split('|').filter(|row| !row.is_empty()).collect::<Vec<_>>())
    };
    let at = match transport {
        "udp" => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let at = socket.local_addr().unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    let request = std::str::from_utf8(&buffer[..length]).unwrap();
                    socket.send_to(respond(request).as_bytes(), peer).unwrap();
                }
            });
            at
        }
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let (mut text, mut buffer) = (String::new(), [0; 65_536]);
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        text += std::str::from_utf8(&buffer[..length]).unwrap();
                        while let Some((request, rest)) = text.split_once("\r\n\r\n") {
                            let said = respond(request);
                            text = rest.to_owned();
                            let _ = stream.write_all(said.as_bytes());
                        }
                    }
                }
            });
            at
        }
    };
    (at.to_string(), asked)
}

/// Runs every case beside the others: each of them waits most of the time.
fn beside<T: Send>(cases: impl IntoIterator<Item = T>, run: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            let run = &run;
            scope.spawn(move || run(case));
        }
    });
}

/// Each of the transports with each of those.
fn by_each_transport<T: Copy>(those: &[T]) -> Vec<(&'static str, T)> {
    ["udp", "tcp"].into_iter().flat_map(|transport| those.iter().map(move |one| (transport, *one))).collect()
}

/// The binding that is asked for, for so many seconds.
fn grant(request: &str, seconds: u32) -> String {
    match header(request, "Expires") {
        "0" => "200 OK".to_owned(),
        _ => format!("200 OK|Contact: {};expires={seconds}", header(request, "Contact")),
    }
}

fn kept(transport: &str, at: &str, more: &[&str]) -> (tempfile::TempDir, Keep) {
    let home = tempfile::tempdir().unwrap();
    let args = [&["alice@munich.de", "-e", "4", "--transport", transport], more].concat();
    let keep = keep_with(at, home.path(), &args, &[("SIPREG_PASSWORD", "x")]);
    (home, keep)
}

fn next_attempt(event: &Value) -> f64 {
    event["next_attempt_in"].as_f64().unwrap_or_else(|| panic!("{event}"))
}

/// AUT-009 COD-005 COD-006 COD-009 DES-019: a nonce that is refused, without a challenge or by 403, is done without: at a refresh
/// and when the binding is removed.
#[test]
fn a_nonce_that_the_registrar_has_forgotten_costs_no_account() {
    let refusals = ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"];
    beside(by_each_transport(&refusals), |(transport, refusal)| {
        // Each nonce is good for one use.
        let mut last = 0;
        let (at, asked) = registrar(transport, move |request, before| {
            let good = format!("nonce=\"n{last}\"");
            if !request.contains("Authorization:") {
                last = before;
                return format!(
                    "401 Prove It|WWW-Authenticate: Digest realm=\"r\", qop=\"auth\", nonce=\"n{before}\""
                );
            }
            let is_good = request.contains(&good);
            last = usize::MAX;
            if is_good { grant(request, 4) } else { refusal.to_owned() }
        });
        let (_home, mut keep) = kept(transport, &at, &[]);
        keep.tells("registering");
        assert_eq!(keep.tells("registered")["requests"], 2);
        let refreshed = keep.tells("refreshed");
        assert_eq!(refreshed["requests"], 3, "{refreshed}");
        keep.signal("-TERM");
        let (events, stderr, code) = keep.end();
        assert_eq!(
            (events, code),
            (vec!["unregistered".to_owned(), "stopped".to_owned()], Some(0)),
            "{stderr}"
        );
        let asked = asked.lock().unwrap();
        let expected = [" 4", "n0 4", "n0 4", " 4", "n3 4", "n3 0", " 0", "n6 0"];
        assert_eq!(*asked, expected, "{transport} {refusal}");
    });
}

/// COD-004 COD-006 COD-007 COD-015 COD-024 DES-006 DES-009: one bad answer is tried again within two seconds, and said so.
#[test]
fn one_bad_answer_ends_no_account_that_was_bound() {
    let refusals =
        ["404 Not Found", "403 Forbidden", "400 Bad Request", "481 Gone", "430 Flow Failed", "603 Decline"];
    beside(by_each_transport(&refusals), |(transport, refusal)| {
        let (at, asked) = registrar(transport, move |request, before| match before {
            1 => refusal.to_owned(),
            _ => grant(request, 4),
        });
        let (_home, mut keep) = kept(transport, &at, &[]);
        keep.tells("registering");
        let bound = keep.tells("registered");
        let failed = keep.tells("failed");
        assert_eq!(failed["error"]["kind"], "refused", "{failed}");
        assert!(next_attempt(&failed) <= 2.0, "{failed}");
        let refreshed = keep.tells("refreshed");
        assert_eq!(refreshed["contact"], bound["contact"], "the same connection");
        keep.signal("-TERM");
        let (_, stderr, code) = keep.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(*asked.lock().unwrap(), [" 4", " 4", " 4", " 0"], "{transport} {refusal}");
    });
}

/// DES-009 COD-006 COD-007: what was never bound ends at once, as it does for `register`.
#[test]
fn a_first_registration_that_is_refused_ends_at_once() {
    for transport in ["udp", "tcp"] {
        let (at, asked) = registrar(transport, |_, _| "404 Not Found".to_owned());
        let (_home, keep) = kept(transport, &at, &[]);
        let (events, stderr, code) = keep.end();
        assert_eq!(
            (events, code),
            (["registering", "failed", "stopped"].map(str::to_owned).to_vec(), Some(1)),
            "{stderr}"
        );
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}

/// DES-008 COD-007 COD-020 RSP-027: with a binding and without one it is waited for as long as the registrar asks, and up to a
/// fifth more.
#[test]
fn retry_after_is_believed() {
    let refusals = [("udp", "404 No"), ("udp", "503 No"), ("tcp", "480 No"), ("tcp", "600 No")];
    beside(refusals, |(transport, status)| {
        let (at, _) = registrar(transport, move |request, before| match before {
            0 | 2 => format!("{status}|Retry-After: 1 (a moment);duration=5"),
            _ => grant(request, 4),
        });
        let (_home, mut keep) = kept(transport, &at, &[]);
        for expected in ["registered", "refreshed"] {
            if expected == "registered" {
                keep.tells("registering");
            }
            let failed = keep.tells("failed");
            assert!((1.0..=1.21).contains(&next_attempt(&failed)), "{failed}");
            if expected == "registered" {
                keep.tells("registering");
            }
            keep.tells(expected);
        }
        keep.signal("-TERM");
        assert_eq!(keep.end().2, Some(0));
    });
    // `--retry-for` waits as long, after a 503.
    beside(["udp", "tcp"], |transport| {
        let (at, asked) = registrar(transport, move |request, before| match before {
            0..3 => "503 Busy|Retry-After: 1".to_owned(),
            _ => grant(request, 4),
        });
        let home = tempfile::tempdir().unwrap();
        let args = ["--retry-for", "20s", "--transport", transport, "--json"];
        let ran = client("register", &at, home.path(), &args);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        let took = ran.json()["elapsed_ms"].as_f64().unwrap();
        assert!((3000.0..4500.0).contains(&took), "{took}");
        assert_eq!(asked.lock().unwrap().len(), 4);
    });
}
