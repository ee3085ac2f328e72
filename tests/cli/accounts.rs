//! Several accounts of one `sipreg keep` at one server, and how an account ends.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

use crate::keep::{keep, name};
use crate::registrar::{Answer, Registrar, Request};

const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

fn over(transport: &str, script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static) -> Registrar {
    match transport {
        "udp" => Registrar::udp(script),
        _ => Registrar::tcp(script),
    }
}

const METHODS: [(&str, u16); 5] =
    [("INVITE", 480), ("OPTIONS", 200), ("MESSAGE", 405), ("SUBSCRIBE", 405), ("NOTIFY", 200)];

/// A request of each method.
fn calls(caller: usize, uri: &str, to: &str, transport: &str) -> Vec<Answer> {
    let via = transport.to_uppercase();
    let call = |method: &str| {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} 192.0.2.1;rport;branch=z9hG4bK{method}{caller}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:carol@example.com>;tag=c\r\nTo: <{to}>\r\nCall-ID: {method}{caller}\r\n\
             CSeq: 1 {method}\r\nEvent: message-summary\r\nContent-Length: 0\r\n\r\n"
        )
    };
    METHODS.iter().map(|(method, _)| Answer::Octets(call(method).into_bytes())).collect()
}

/// INC-003 INC-009 INC-010 INC-016: each account hears what is for it, by its contact or, where that is the same, by To; what
/// is for nobody gets 404, and nobody hears of it.
#[test]
fn each_account_of_the_same_name_gets_what_is_for_it() {
    for transport in TRANSPORTS {
        for (contact, differ) in [(&[][..], true), (&["--contact", "<sip:desk@{addr}>"], false)] {
            let home = tempfile::tempdir().unwrap();
            let (sender, answers) = channel();
            let mut bound: Vec<(String, String)> = Vec::new();
            let registrar = over(transport, move |_, request| {
                if request.text.starts_with("SIP/2.0") {
                    let _ = sender.send(request.text.clone());
                    return Vec::new();
                }
                let mut sent = request.as_asked();
                if request.header("Expires") != "0" {
                    let inside = |row: &str| request.header(row).trim_matches(['<', '>']).to_owned();
                    bound.push((inside("Contact"), inside("To")));
                }
                if let [one, other] = &bound[..] {
                    let uri = one.0.replace("alice", "nobody").replace("desk", "nobody");
                    let strange = (uri, one.1.clone());
                    let all = [one, other, &strange].into_iter().enumerate();
                    sent.extend(all.flat_map(|(n, (uri, to))| calls(n, uri, to, transport)));
                    bound.clear();
                }
                sent
            });
            let accounts = ["alice@a.example", "alice@b.example", "--transport", transport];
            let mut keep = keep(&registrar.address, home.path(), &[&accounts[..], contact].concat());
            let mut contacts = Vec::new();
            let mut heard: Vec<(String, String, u16)> = Vec::new();
            while heard.len() < 2 * METHODS.len() {
                let event = keep.next();
                let text = |key: &str| event[key].as_str().unwrap().to_owned();
                match name(&event) {
                    "registering" => {}
                    "registered" => contacts.push(text("contact")),
                    "incoming" => {
                        heard.push((text("aor"), text("method"), event["status"].as_u64().unwrap() as u16))
                    }
                    other => panic!("{other}"),
                }
            }
            assert_eq!(contacts[0] != contacts[1], differ, "{contacts:?}");
            // One of them is as if it were alone.
            assert!(
                !differ || contacts.iter().any(|contact| contact.starts_with("sip:alice@")),
                "{contacts:?}"
            );
            heard.sort();
            let mut expected: Vec<_> = ["sip:alice@a.example", "sip:alice@b.example"]
                .iter()
                .flat_map(|aor| {
                    METHODS.map(|(method, status)| ((*aor).to_owned(), method.to_owned(), status))
                })
                .collect();
            expected.sort();
            assert_eq!(heard, expected, "{transport}");
            let refused = (0..15).map(|_| answers.recv_timeout(Duration::from_secs(5)).unwrap());
            let refused = refused.filter(|text| text.starts_with("SIP/2.0 404 Not Found\r\n")).count();
            // All but the INVITE, of which only the 100 is taken for new.
            assert_eq!(refused, METHODS.len() - 1);
            keep.signal("-TERM");
            let (events, _, code) = keep.end();
            assert_eq!((events.len(), code), (4, Some(0)), "{events:?}");
        }
    }
}

/// REG-010 DES-019 DES-024: a 2xx has bound something, whatever it lists. It is removed, or the end says that it was not; what
/// may be there still is removed by `unregister`.
#[test]
fn what_a_2xx_may_have_bound_is_removed_at_the_end() {
    for transport in TRANSPORTS {
        for contact in [&[][..], &["--contact", "sip:desk@192.0.2.7"]] {
            for (confirmed, code) in [(true, 0), (false, 4)] {
                let home = tempfile::tempdir().unwrap();
                let mut removals = 0;
                let registrar = over(transport, move |_, request| {
                    removals += usize::from(request.all("Expires") == ["0"]);
                    match removals {
                        1 if !confirmed => request.answer("500 Not now", &[]),
                        _ => request.ok(&["<sip:alice@127.0.0.1:9>;expires=3600"]),
                    }
                });
                let args = ["alice@localhost", "--transport", transport];
                let mut keep = keep(&registrar.address, home.path(), &[&args[..], contact].concat());
                keep.tells("registering");
                assert_eq!(keep.tells("failed")["error"]["kind"], "misbehaved");
                keep.signal("-TERM");
                let told = if confirmed { "unregistered stopped" } else { "stopped" };
                let (events, _, ended) = keep.end();
                assert_eq!((events.join(" "), ended), (told.to_owned(), Some(code)));
                let unregister = crate::keep::client(
                    "unregister",
                    &registrar.address,
                    home.path(),
                    &["--transport", transport],
                );
                assert_eq!(unregister.code, Some(if confirmed { 2 } else { 0 }), "{}", unregister.all());
                let came = registrar.requests();
                assert!(
                    came[1..].iter().all(|removal| removal.header("Contact") == came[0].header("Contact"))
                );
                assert_eq!(came.len(), if confirmed { 2 } else { 3 });
            }
        }
    }
}

/// DES-019 DES-029: the last event says what became of the removal.
#[test]
fn the_last_event_says_why_the_binding_may_be_there_still() {
    for transport in TRANSPORTS {
        for (answer, kind, status, words) in [
            ("403 Not you", "refused", Value::from(403), "403 Not you"),
            ("500 Oops", "refused", 500.into(), "500 Oops"),
            ("401 Unauthorized", "credentials", 401.into(), "401"),
            ("200 OK", "misbehaved", 200.into(), "still bound"),
            ("", "timeout", Value::Null, "no answer"),
        ] {
            let home = tempfile::tempdir().unwrap();
            let registrar =
                over(transport, move |_, request| match (request.all("Expires") == ["0"], answer) {
                    (false, _) => request.as_asked(),
                    (true, "") => Vec::new(),
                    (true, "200 OK") => request.ok(&[&format!("{};expires=60", request.header("Contact"))]),
                    (true, answer) => request.answer(answer, &[]),
                });
            let mut keep =
                keep(&registrar.address, home.path(), &["alice@localhost", "--transport", transport]);
            keep.tells("registering");
            let bound = keep.tells("registered");
            for key in ["next_attempt_in", "bound_for"] {
                let shown = bound[key].to_string();
                assert!(shown.split('.').nth(1).is_none_or(|decimals| decimals.len() <= 3), "{shown}");
            }
            keep.signal("-TERM");
            let stopped = keep.tells("stopped");
            let error = &stopped["error"];
            assert_eq!((&error["kind"], &stopped["status"]), (&kind.into(), &status), "{stopped}");
            assert!(error["message"].as_str().unwrap().contains(words), "{stopped}");
            let (events, _, code) = keep.end();
            assert_eq!((events.len(), code), (0, Some(4)));
        }
    }
}
