//! What a failure is told as: its hint claims what is known, its cause is a word where one is known for certain, and what
//! the registrar says in words is passed on.

use serde_json::{Value, json};

use crate::peer::{CHALLENGE, dead};
use crate::registrar::{Answer, Registrar, Request, ask, must};
use crate::run::{Ran, command, finish, sipreg};

type Script = fn(usize, &Request) -> Vec<Answer>;

/// Runs a command against a script, over each transport, for people and for scripts.
fn over_both(words: &[&str], script: Script) -> Vec<(Ran, Value)> {
    ["udp", "tcp"].map(|transport| over(transport, words, script)).into_iter().collect()
}

fn over(transport: &str, words: &[&str], script: Script) -> (Ran, Value) {
    let run = |more: &[&str]| {
        let registrar = if transport == "udp" { Registrar::udp(script) } else { Registrar::tcp(script) };
        let state = tempfile::tempdir().unwrap();
        ask(&registrar.address, state.path(), &[words, &["--transport", transport], more].concat())
    };
    let (people, scripts) = (run(&[]), run(&["--json"]));
    assert_eq!(people.code, scripts.code, "{}", people.all());
    assert!(!people.all().contains("uncertainty") && !scripts.all().contains("uncertainty"));
    let json = scripts.json();
    (people, json)
}

fn challenged(n: usize, request: &Request, then: (&str, &[&str])) -> Vec<Answer> {
    match n {
        1 => request.answer("401 Unauthorized", &[CHALLENGE]),
        _ => request.answer(then.0, then.1),
    }
}

fn in_order(text: &str, words: &[&str]) -> bool {
    let places: Vec<_> = words.iter().map(|word| text.find(word)).collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

/// COD-006: a wrong password that is answered with 403.
#[test]
fn a_403_after_the_password_names_password_user_and_from() {
    for words in [&["register"][..], &["list"], &["unregister", "--all", "--yes"]] {
        for (people, json) in over_both(words, |n, request| challenged(n, request, ("403 Forbidden", &[]))) {
            assert_eq!(people.code, Some(3), "{}", people.all());
            let hint = json["error"]["hint"].as_str().unwrap();
            assert!(in_order(hint, &["password", "--username", "--from"]), "{hint}");
            assert!(people.stderr.contains(hint), "{}", people.all());
            assert_eq!(json["error"]["cause"], "forbidden");
        }
    }
}

#[test]
fn a_403_without_a_challenge_says_that_no_password_was_asked_for() {
    const NOT_ASKED: &str = "it asked for no password";
    for (people, json) in over_both(&["register"], |_, request| request.answer("403 Forbidden", &[])) {
        assert_eq!((people.code, &json["error"]["cause"]), (Some(1), &Value::Null), "{}", people.all());
        assert!(people.stderr.contains(NOT_ASKED), "{}", people.all());
    }
    // One that brings a challenge along does ask.
    for (people, _) in over_both(&["register"], |_, request| request.answer("403 Forbidden", &[CHALLENGE])) {
        assert!(!people.stderr.contains(NOT_ASKED), "{}", people.all());
    }
}

/// RFC 3261 §20.43, RFC 3326.
#[test]
fn what_the_registrar_says_in_words_is_shown_and_stands_in_json() {
    const ROWS: [&str; 3] = [
        "Reason: SIP;cause=403;text=\"Account locked\"",
        "Warning: 399 munich.de \"Call, please\", 399 b \"0800\"",
        "Warning: 399 c Gesch\u{e4}ftszeiten",
    ];
    let texts = json!(["Call, please", "0800", "Gesch\u{e4}ftszeiten", "Account locked"]);
    let scripts: [(Script, i32); 3] = [
        (|_, request| request.answer("403 Forbidden", &ROWS), 1),
        (|n, request| challenged(n, request, ("403 Forbidden", &ROWS)), 3),
        (|_, request| request.answer("500 Oops", &ROWS), 1),
    ];
    for (script, code) in scripts {
        for (people, json) in over_both(&["register"], script) {
            assert_eq!((people.code, &json["error"]["warnings"]), (Some(code), &texts), "{}", people.all());
            for text in texts.as_array().unwrap() {
                let line = format!("warning: the registrar says: {}\n", text.as_str().unwrap());
                assert!(people.stderr.contains(&line), "{}", people.all());
            }
        }
    }
    // No failure: then it is a warning, and no word of it in JSON.
    for (people, json) in over_both(&["list"], |_, request| request.answer("200 OK", &ROWS)) {
        assert_eq!((people.code, &json["error"]), (Some(0), &Value::Null));
        assert!(people.stderr.contains("warning: the registrar says: Account locked\n"), "{}", people.all());
    }
}

/// The keys of an error, in their order, whatever failed.
#[test]
fn an_error_has_five_keys_in_their_order() {
    let registrar = dead();
    let usage = [&["register"][..], &["keep", "bob@munich.de", "--expires", "soon"], &["list", "a@b@c"]];
    let network = ["register", "list"].map(|verb| vec![verb, "bob@munich.de", "--registrar", &registrar]);
    for words in usage.into_iter().map(<[&str]>::to_vec).chain(network) {
        let ran = sipreg(&[&words[..], &["--json"]].concat());
        let error = ran.stdout.rsplit_once("\"error\":").unwrap().1;
        assert!(in_order(
            error,
            &["{\"kind\":", ",\"message\":", ",\"hint\":", ",\"cause\":", ",\"warnings\":[]}"]
        ));
        let cause = &ran.json()["error"]["cause"];
        assert_eq!(*cause, if ran.code == Some(5) { json!("refused") } else { Value::Null }, "{}", ran.all());
    }
    let (ran, _) = over("udp", &["list", "--contact", "sip:x@192.0.2.1"], |_, request| request.ok(&[]));
    assert!(ran.code == Some(7), "{}", ran.all());
}

#[test]
fn an_unreadable_challenge_is_called_so() {
    let scripts: [Script; 4] = [
        |_, request| request.answer("401 Unauthorized", &["WWW-Authenticate: Digest realm"]),
        |_, request| request.answer("401 Unauthorized", &["WWW-Authenticate: Digest realm=\"a"]),
        |_, request| request.answer("407 Proxy", &["Proxy-Authenticate: =\"\", ="]),
        |_, request| request.answer("401 Unauthorized", &["WWW-Authenticate: Digest nonce=\"1\""]),
    ];
    for script in scripts {
        for (people, json) in over_both(&["register"], script) {
            let message = json["error"]["message"].as_str().unwrap();
            assert!(message.contains("unreadable") && !message.contains("without a challenge"), "{message}");
            let hint = json["error"]["hint"].as_str().unwrap();
            assert!(hint.contains("-vv") && !hint.contains("removes"), "{hint}");
            assert_eq!((people.code, &json["error"]["cause"]), (Some(3), &Value::Null));
        }
    }
    for (_, json) in over_both(&["register"], |_, request| request.answer("401 Unauthorized", &[])) {
        assert!(json["error"]["message"].as_str().unwrap().contains("without a challenge"), "{json}");
    }
}

/// What can't be answered is named for what it is.
#[test]
fn a_challenge_that_nobody_knows_is_named() {
    for (row, said, cause) in [
        ("Basic realm=\"r\"", "scheme Basic", Value::Null),
        ("NTLM", "scheme NTLM", Value::Null),
        ("Digest realm=\"r\", nonce=\"n\", algorithm=MD6", "algorithm MD6", json!("algorithm_unserved")),
        ("Digest realm=\"r\", nonce=\"n\", qop=\"auth-conf\"", "qop", Value::Null),
    ] {
        let row = format!("WWW-Authenticate: {row}");
        let registrar = Registrar::udp(move |_, request| request.answer("401 Unauthorized", &[&row]));
        let json =
            must(&ask(&registrar.address, tempfile::tempdir().unwrap().path(), &["register", "--json"]), 3);
        assert!(json["error"]["message"].as_str().unwrap().contains(said), "{json}");
        assert_eq!(json["error"]["cause"], cause, "{json}");
    }
}

#[test]
fn a_wrong_ha1_is_told_as_one_of_another_realm_or_user() {
    const HA1: &str = "0123456789abcdef0123456789abcdef";
    for (status, message) in [("401 Unauthorized", "HA1"), ("403 Forbidden", "403")] {
        for by_file in [false, true] {
            let registrar = Registrar::udp(move |n, request| challenged(n, request, (status, &[CHALLENGE])));
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, HA1).unwrap();
            let secret = if by_file { ["--ha1-file", file.path().to_str().unwrap()] } else { ["--ha1", HA1] };
            let words =
                ["register", "bob@example.org", "--stateless", "--json", "--registrar", &registrar.address];
            let ran = finish(command(&[&words[..], &secret].concat()).spawn().unwrap());
            let json = must(&ran, 3);
            let hint = json["error"]["hint"].as_str().unwrap();
            assert!(hint.contains("one realm and one user") && !ran.all().contains(HA1), "{}", ran.all());
            assert!(hint.contains("\"bob\"") && hint.contains("\"munich.de\""), "{hint}");
            assert!(json["error"]["message"].as_str().unwrap().contains(message), "{json}");
        }
    }
}

/// TRN-004: over UDP an answer may come from another port.
#[test]
fn answered_by_is_who_answered() {
    for (transport, elsewhere) in [("udp", true), ("tcp", false)] {
        let script: Script = |_, request| {
            let row = format!("Contact: {};expires=60", request.header("Contact"));
            vec![Answer::Elsewhere(request.response("200 OK", &[&row]))]
        };
        let (people, json) = over(transport, &["register"], script);
        assert_eq!(people.code, Some(0), "{}", people.all());
        let (remote, tried) = (&json["registrar"]["remote"], &json["attempts"][0]["remote"]);
        assert_eq!(remote != tried, elsewhere, "{json}");
        assert!(people.stdout.contains("answered by  127.0.0.1:"), "{}", people.all());
    }
    let registrar = Registrar::udp(|n, request| match n {
        1 => vec![Answer::Elsewhere(request.response("401 Unauthorized", &[CHALLENGE]))],
        _ => request.answer("404 Not Found", &[]),
    });
    let json =
        must(&ask(&registrar.address, tempfile::tempdir().unwrap().path(), &["register", "--json"]), 1);
    assert_eq!(json["registrar"]["remote"], *registrar.address);
    assert_eq!(json["error"]["cause"], "user_unknown");
}

/// The causes that a status says for certain.
#[test]
fn causes_are_words_of_what_is_known() {
    let table: [(&[&str], Script, Value); 9] = [
        (&["register"], |_, request| request.answer("503 Busy", &[]), json!("overloaded")),
        (
            &["register"],
            |_, request| request.answer("503 Too many bindings", &[]),
            json!("too_many_bindings"),
        ),
        (&["register"], |_, request| request.answer("405 No", &[]), json!("no_registrar")),
        (&["list"], |_, request| request.answer("501 No", &[]), json!("no_registrar")),
        (&["register"], |_, request| request.answer("404 No", &[]), json!("domain_not_served")),
        (&["list"], |_, request| request.answer("404 No", &[]), Value::Null),
        (&["register"], |_, request| request.answer("500 No", &[]), Value::Null),
        (&["register"], |_, request| request.ok(&[]), json!("not_bound")),
        (
            &["register"],
            |_, request| request.answer("401 Unauthorized", &[CHALLENGE]),
            json!("password_wrong"),
        ),
    ];
    for (words, script, cause) in table {
        let (people, json) = over("udp", words, script);
        assert_eq!(json["error"]["cause"], cause, "{}", people.all());
    }
    let stray = |_: usize, request: &Request| {
        let answer = String::from_utf8(request.response("200 OK", &[])).unwrap();
        vec![Answer::Octets(answer.replace("CSeq: ", "CSeq: 9").into_bytes())]
    };
    let (_, json) = over("udp", &["register", "--timeout", "500ms"], stray);
    assert_eq!(json["error"]["cause"], Value::Null, "an answer that is of no use is no silence: {json}");
    let (_, json) = over("udp", &["register"], |_, request| request.answer("408 Request Timeout", &[]));
    assert_eq!((&json["error"]["kind"], &json["error"]["cause"]), (&json!("timeout"), &Value::Null));
    let (people, json) = over("udp", &["register", "--timeout", "300ms"], |_, _| Vec::new());
    assert_eq!((people.code, &json["error"]["cause"]), (Some(4), &json!("silent")));
}

/// An AOR that no URI can be is written as it has to be, ready to be copied.
#[test]
fn an_aor_with_odd_characters_is_written_rightly_in_the_hint() {
    for (aor, right) in [
        ("9901#1@host", "9901%231@host;"),
        ("sip:9901#1@host", "sip:9901%231@host;"),
        ("u@dom@host", "u%40dom@host;"),
        ("sip:u@dom@host", "sip:u%40dom@host;"),
        ("a%zz@host:5070;transport=tcp", "'a%25zz@host:5070;transport=tcp';"),
        ("a b%20c@host", "a%20b%20c@host;"),
    ] {
        for verb in ["register", "list", "unregister", "keep"] {
            let ran = sipreg(&[verb, aor, "--json"]);
            let hint = must(&ran, 2)["error"]["hint"].as_str().unwrap().to_owned();
            assert!(
                hint.starts_with(&format!("write it as {right}")) && hint.contains("--username"),
                "{hint}"
            );
        }
        let copied = right.trim_end_matches(';').trim_matches('\'');
        assert_eq!(
            sipreg(&["register", copied, "--registrar", "127.0.0.1", "--dry-run"]).code,
            Some(0),
            "{copied}"
        );
    }
    let ran = sipreg(&["register", "bob@munich.de", "--from", "9#1@host"]);
    assert!(ran.stderr.contains("9%231@host"), "{}", ran.all());
    let ran = sipreg(&["register", "a:secret#1@host"]);
    assert!(!ran.all().contains("secret"), "{}", ran.all());
}
