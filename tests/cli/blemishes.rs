//! Answers that are not quite SIP: read for what they must mean, or told about when they can't be used.

use serde_json::Value;

use crate::registrar::{Answer, Registrar, Request};
use crate::run::{Ran, command, finish, sipreg};

const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

fn registrar(
    transport: &str,
    script: impl FnMut(usize, &Request) -> Vec<Answer> + Send + 'static,
) -> Registrar {
    if transport == "udp" { Registrar::udp(script) } else { Registrar::tcp(script) }
}

/// The contact that a request binds, between its brackets.
fn uri(request: &Request) -> String {
    request.header("Contact").split(['<', '>']).nth(1).unwrap().to_owned()
}

/// Text as ISO 8859-1.
fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// A command of this user against a registrar that answers 200 with these rows (lines joined by `|`; `@` stands for the
/// request's Contact).
fn run(transport: &str, user: &str, words: &[&str], rows: &'static str) -> Ran {
    let registrar = registrar(transport, move |_, request| {
        let contact = request.all("Contact").first().map(|_| uri(request)).unwrap_or_default();
        let rows = rows.replace('@', &contact).replace('~', "@");
        let text =
            String::from_utf8(request.response("200 OK", &rows.split('|').collect::<Vec<_>>())).unwrap();
        vec![Answer::Octets(latin_1(&text))]
    });
    let aor = format!("sip:{user}@munich.de");
    let (verb, options) = words.split_first().unwrap();
    let fixed = [verb, &*aor, "--stateless", "--registrar", &registrar.address, "--transport", transport];
    sipreg(&[&fixed[..], options].concat())
}

/// HDR-009 REG-010 REG-030 REG-036
#[test]
fn one_blemish_does_not_spoil_the_whole() {
    for transport in TRANSPORTS {
        for (rows, blemish) in [
            ("Contact: <@;thinfo=\"VG8+==\">;expires=60", "Contact: has a bad URI"),
            ("Contact: <@>;thinfo=VG8+==;expires=60", "Contact: has a malformed parameter"),
            ("Contact: <@>;+sip.instance=<urn:uuid:1>;expires=60", "Contact: has a malformed parameter"),
            ("Contact: <@>;expires=60;", "Contact: has a malformed parameter"),
            ("Contact: <@>;;expires=60", "Contact: has a malformed parameter"),
            ("Contact: B\u{fc}ro <@>;expires=60", "Contact: is not UTF-8"),
            ("Contact: \"B\u{fc}ro\" <@>;expires=60", "Contact: is not UTF-8"),
            ("Contact: ,<@>;expires=60,", "Contact: has an empty value"),
            ("Contact: <@>;expires=60|Supported: ,path", "Supported: has an empty value"),
            ("Contact: <@>;expires=60|Service-Route: <sip:a;lr>, nonsense", "Service-Route: has a bad URI"),
        ] {
            let ran = run(transport, "bob", &["register", "--json"], rows);
            assert_eq!(ran.code, Some(0), "{rows}: {}", ran.all());
            assert_eq!(ran.json()["expires"], 60, "{}", ran.all());
            assert!(
                ran.stderr.contains("warning: ") && ran.stderr.contains(blemish),
                "{rows}: {}",
                ran.all()
            );
            let text = run(transport, "bob", &["register"], rows);
            assert!(text.stderr.contains(blemish) && text.stdout.contains("for 1m"), "{}", text.all());
        }
        let rows = "Contact: <@>;expires=60|Service-Route: <sip:a;lr>,|Path: ,<sip:b;lr>,,<sip:c>";
        let ran = run(transport, "bob", &["register", "--json"], rows);
        assert_eq!(ran.json()["service_route"], serde_json::json!(["<sip:a;lr>"]));
        assert_eq!(ran.json()["path"], serde_json::json!(["<sip:b;lr>", "<sip:c>"]));
        for header in ["Service-Route", "Path"] {
            assert!(ran.stderr.contains(&format!("{header}: has an empty value")), "{}", ran.all());
        }
    }
}

/// REG-030: what a registrar that undoes escapes makes of our contact is recognised.
#[test]
fn other_escapes_are_the_same_user() {
    for (user, spelled) in
        [("9901%231", "9901#1"), ("9901+1", "9901%2B1"), ("9901%2B1", "9901+1"), ("a%40b", "a@b")]
    {
        for transport in TRANSPORTS {
            let registrar = registrar(transport, move |_, request| {
                let contact = uri(request).replacen(&format!("sip:{user}@"), &format!("sip:{spelled}@"), 1);
                request.answer("200 OK", &[&format!("Contact: <{contact}>;expires=60")])
            });
            let aor = format!("sip:{user}@munich.de");
            let words = ["register", &aor, "--stateless", "--json", "--registrar", &registrar.address];
            let ran = sipreg(&[&words[..], &["--transport", transport]].concat());
            assert_eq!(ran.code, Some(0), "{spelled}: {}", ran.all());
            let shown = ran.json()["bindings"][0]["uri"].as_str().unwrap().to_owned();
            assert!(shown.starts_with(&format!("sip:{spelled}@127.0.0.1:")), "{}", ran.all());
            assert!(ran.stderr.contains("warning: "), "{}", ran.all());
        }
    }
}

/// HDR-001: `list` shows the text as it came, in JSON as UTF-8.
#[test]
fn a_list_shows_what_came() {
    const ROWS: &str =
        "Contact: <sip:9#1~h:5;t=\"VG8+==\">;x=\"\u{fc}\";expires=60;, B\u{fc}ro <sip:b~h;;y>;expires=70,";
    for transport in TRANSPORTS {
        let text = run(transport, "bob", &["list"], ROWS);
        assert_eq!(text.code, Some(0), "{}", text.all());
        for shown in ["2 bindings", "sip:9#1@h:5;t=\"VG8+==\"", "sip:b@h;;y"] {
            assert!(text.stdout.contains(shown), "{}", text.all());
        }
        assert!(text.stderr.contains("warning: ") && text.stderr.contains("Contact: "), "{}", text.all());
        let json = run(transport, "bob", &["list", "--json"], ROWS).json();
        assert_eq!(json["bindings"][0]["uri"], "sip:9#1@h:5;t=\"VG8+==\"");
        assert_eq!(json["bindings"][0]["params"]["x"], "\u{fffd}");
        assert_eq!(json["bindings"][1]["expires"], 70);
    }
}

/// HDR-020 RSP-029: a reason and texts in another charset.
#[test]
fn a_reason_that_is_not_utf_8_is_read() {
    for transport in TRANSPORTS {
        let registrar = registrar(transport, |_, request| {
            let rows = ["Server: \u{fc}", "Warning: 399 a \"\u{fc}\"", "Subject: \u{fc}"];
            let text = String::from_utf8(request.response("403 Gesch\u{fc}tzt", &rows)).unwrap();
            vec![Answer::Octets(latin_1(&text))]
        });
        let words = ["register", "bob@munich.de", "--stateless", "--json", "--registrar", &registrar.address];
        let ran = sipreg(&[&words[..], &["--transport", transport]].concat());
        assert_eq!((ran.code, &ran.json()["status"]), (Some(1), &403.into()), "{}", ran.all());
        assert_eq!(ran.json()["reason"], "Gesch\u{fffd}tzt");
    }
}

type Spoil = fn(String) -> String;

/// How it ends with a registrar that spoils every answer.
fn spoiled(transport: &str, words: &[&str], spoil: Spoil) -> Ran {
    let registrar = registrar(transport, move |_, request| {
        let right = request.response("200 OK", &[&format!("Contact: <{}>;expires=60", uri(request))]);
        vec![Answer::Octets(spoil(String::from_utf8(right).unwrap()).into_bytes())]
    });
    let fixed = ["--stateless", "--t1", "5ms", "--registrar", &registrar.address, "--transport", transport];
    finish(command(&[words, &fixed].concat()).spawn().unwrap())
}

fn replace(text: &str, part: &str, by: &str) -> String {
    assert!(text.contains(part), "{part} is not in {text}");
    text.replacen(part, by, 1)
}

/// TXN-011 TXN-012 TXN-013 RSP-005 TRN-019: answers that were dropped are no silence.
#[test]
fn answers_that_cannot_be_used_are_told_at_the_end() {
    let everywhere: [(&str, Spoil); 6] = [
        ("the branch in Via is not ours", |text| replace(&text, "branch=z9hG4bK", "branch=z9hG4bKx")),
        ("the Call-ID is not ours", |text| replace(&text, "Call-ID: ", "Call-ID: x")),
        ("the number in CSeq is not ours", |text| replace(&text, "CSeq: 1 ", "CSeq: 7 ")),
        ("the tag in From is not ours", |text| replace(&text, ";tag=", ";tag=x")),
        ("there is more than one Via", |text| replace(&text, "From:", "Via: SIP/2.0/UDP a\r\nFrom:")),
        ("malformed header name", |text| replace(&text, "From:", "From")),
    ];
    let alone: [(&str, &str, Spoil); 4] = [
        ("udp", "the body is not as long as", |text| {
            replace(&text, "Content-Length: 0", "Content-Length: 9")
        }),
        ("udp", "a CR or LF that is no line end", |text| text.replace("\r\n", "\n")),
        ("tcp", "the message is not complete", |text| {
            replace(&text, "Content-Length: 0", "Content-Length: 9")
        }),
        ("tcp", "the message is not complete", |text| replace(&text, "\r\n\r\n", "\r\n")),
    ];
    let all = everywhere.into_iter().flat_map(|(why, spoil)| TRANSPORTS.map(|over| (over, why, spoil)));
    for (transport, why, spoil) in all.chain(alone) {
        let json = spoiled(transport, &["register", "bob@munich.de", "--json"], spoil);
        assert_eq!(json.code, Some(4), "{why}: {}", json.all());
        let said = "1 answer came from 127.0.0.1:";
        let object = json.json();
        let message = object["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(said), "{}", json.all());
        assert!(message.contains(&format!(", none usable: {why}")), "{}", json.all());
        assert_eq!(object["error"]["kind"], "timeout");
        let text = spoiled(transport, &["register", "bob@munich.de"], spoil);
        assert!(text.stderr.contains(said) && text.stderr.contains(why), "{}", text.all());
        assert!(!text.stderr.contains("is a registrar there at all"), "{}", text.all());
    }
}

/// So says what is shown between two tries.
#[test]
fn another_try_says_why() {
    let spoil: Spoil = |text| replace(&text, "Call-ID: ", "Call-ID: x");
    let ran = spoiled("udp", &["register", "bob@munich.de", "--retry-for", "2s", "--json"], spoil);
    assert_eq!(ran.code, Some(4), "{}", ran.all());
    assert!(ran.stderr.contains("none usable: the Call-ID is not ours; trying again in"), "{}", ran.all());
}

/// TRN-016 TRN-020 TRN-021 TXN-012: what can only be meant for us is used.
#[test]
fn answers_that_are_safe_to_use_are_used() {
    let port: Spoil = |text| {
        let (before, after) = text.split_once(";branch").unwrap();
        format!("{};branch{after}", before.rsplit_once(':').unwrap().0)
    };
    let all: [(&str, Spoil); 7] = [
        ("udp", port),
        ("tcp", port),
        ("udp", |text| replace(&text, "\r\nFrom:", ";\r\nFrom:")),
        ("tcp", |text| replace(&text, "\r\nFrom:", ";\r\nFrom:")),
        ("udp", |text| replace(&text, "\r\n\r\n", "\r\n")),
        ("udp", |text| replace(&text, "\r\n\r\n", "")),
        ("udp", |text| replace(&text, "Content-Length: 0", "Content-Length:")),
    ];
    for (transport, spoil) in all {
        let ran = spoiled(transport, &["register", "bob@munich.de", "--json"], spoil);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }
}

/// What `keep` tells says it as well; and of a blemish it warns once.
#[test]
fn keep_tells_the_same() {
    for transport in TRANSPORTS {
        let spoil: Spoil = |text| replace(&text, "Call-ID: ", "Call-ID: x");
        let ran = spoiled(transport, &["keep", "bob@munich.de", "--json", "--for", "900ms"], spoil);
        let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let failed = events.iter().find(|event| event["event"] == "failed");
        let failed = failed.unwrap_or_else(|| panic!("{}", ran.all()));
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.ends_with("none usable: the Call-ID is not ours"), "{message}");
        let spoil: Spoil = |text| replace(&text, ";expires=60", ";expires=2;");
        let ran = spoiled(transport, &["keep", "bob@munich.de", "--for", "2500ms"], spoil);
        assert!(ran.stdout.contains("refreshed"), "{}", ran.all());
        assert_eq!(ran.stderr.matches("Contact: has a malformed parameter").count(), 1, "{}", ran.all());
    }
}
