//! What a registrar says of bindings: rewritten, spelled otherwise, contradictory; and what is asked of it.

use serde_json::json;

use crate::registrar::{Answer, Registrar, against, ask, must};
use crate::run::{command, finish};

/// The host and port of a contact row.
fn place(contact: &str) -> String {
    contact.split_once('@').unwrap().1.split(['>', ';']).next().unwrap().to_owned()
}

/// REG-012, DES-020: found by comparing URIs, else by looking away a little, never by the user part alone.
#[test]
fn the_own_contact_is_found_however_it_is_spelled() {
    // What the registrar makes of ours, given its host and port; whether it is ours still; whether that is odd.
    for (spelling, bound, odd) in [
        ("<sip:bob@PLACE>;expires=1800", true, false),
        ("\"Bob, of \\\"here\\\"\" <SIP:%62ob@PLACE>;+x=\"a;b,c\";expires=1800", true, false),
        ("<sip:bob@PLACE;transport=udp>;expires=1800", true, true),
        ("<sip:bob@PLACE;ob>;EXPIRES=1800", true, false),
        ("<sip:bob@198.51.100.7:5060>;expires=1800", false, false),
        ("<sip:alice@PLACE>;expires=1800", false, false),
        ("<sip:bob@PLACE>;expires=0", false, false),
    ] {
        let (ran, came) = against(&["register", "--json"], move |_, request| {
            let own = spelling.replace("PLACE", &place(request.header("Contact")));
            request.ok(&["<sip:bob@192.0.2.99:5060>;expires=7", &own, "<mailto:bob@munich.de>;q=0.1"])
        });
        let json = must(&ran, if bound { 0 } else { 6 });
        assert_eq!(came.len(), 1);
        if bound {
            assert_eq!(
                (&json["expires"], &json["bindings"][1]["own"]),
                (&1800.into(), &true.into()),
                "{spelling}"
            );
            assert_eq!(json["bindings"].as_array().unwrap().len(), 3);
            assert_eq!(
                ran.stderr.contains("warning: the registrar changed the contact"),
                odd,
                "{}",
                ran.all()
            );
        } else {
            assert_eq!(json["error"]["kind"], "misbehaved");
        }
    }
}

/// DES-020: rewritten to where the registrar saw us.
#[test]
fn a_contact_rewritten_to_the_address_seen_is_the_own_one() {
    let (ran, _) = against(&["register", "--json"], |_, request| {
        let via = request.header("Via").replace(";rport", ";received=203.0.113.9;rport=40000");
        let mut text = String::from_utf8(
            request.response("200 OK", &["Contact: <sip:bob@203.0.113.9:40000>;expires=60"]),
        )
        .unwrap();
        text = text.replace(request.header("Via"), &via);
        vec![Answer::Octets(text.into_bytes())]
    });
    let json = must(&ran, 0);
    assert_eq!((&json["expires"], &json["received"]), (&60.into(), &"203.0.113.9:40000".into()));
    assert!(ran.stderr.contains("changed the contact"), "{}", ran.all());
}

/// REG-013, REG-014, REG-015, REG-030, REG-036.
#[test]
fn the_lifetime_is_what_the_answer_says() {
    for (rows, granted) in [
        (&["Contact: OWN;expires=60", "Expires: 900"][..], 60),
        (&["Contact: OWN", "Expires: 900"], 900),
        (&["Contact: OWN;expires=abc"], 3600),
        (&["Contact: OWN;expires=99999999999"], u32::MAX),
        (
            &["Contact: <sip:x@192.0.2.9>;expires=-1", "Contact: *, <sip:broken", "Contact: OWN;expires=120"],
            120,
        ),
    ] {
        let (ran, _) = against(&["register", "--json"], move |_, request| {
            let rows: Vec<String> =
                rows.iter().map(|row| row.replace("OWN", request.header("Contact"))).collect();
            request.answer("200 OK", &rows.iter().map(String::as_str).collect::<Vec<_>>())
        });
        assert_eq!(must(&ran, 0)["expires"], granted, "{rows:?}");
    }
}

/// REG-002, REG-004: for all by the header, for one by its own parameter, which wins.
#[test]
fn a_lifetime_is_asked_for_all_contacts_or_for_one() {
    let contacts = ["--contact", "<sip:a@192.0.2.1>;expires=60;q=0.2", "--contact", "sip:b@192.0.2.2"];
    let more = ["--expires", "10m", "--q", "0.7", "--json"];
    let (ran, came) = against(&[&["register"], &contacts[..], &more].concat(), |_, request| {
        request.ok(&["<sip:b@192.0.2.2>;expires=500;q=0.7", "<sip:a@192.0.2.1>;expires=50;q=0.2"])
    });
    assert_eq!(came[0].all("Expires"), ["600"]);
    let asked = came[0].all("Contact");
    assert_eq!(asked, ["<sip:a@192.0.2.1>;expires=60;q=0.2", "<sip:b@192.0.2.2>;q=0.7"]);
    let granted =
        json!([{"uri": "sip:a@192.0.2.1", "expires": 50}, {"uri": "sip:b@192.0.2.2", "expires": 500}]);
    assert_eq!(must(&ran, 0)["contacts"], granted);
}

/// REG-006, REG-010, DES-030: gone is gone, however the 200 says so.
#[test]
fn a_removal_is_confirmed_by_absence_or_zero_and_by_nothing_else() {
    const DESK: &str = "sip:desk@192.0.2.7:5070";
    for (contacts, code) in [
        (&[][..], 0),
        (&["<sip:other@192.0.2.8>;expires=100"], 0),
        (&["<sip:desk@192.0.2.7:5070>;expires=0", "<sip:other@192.0.2.8>;expires=100"], 0),
        (&["<sip:desk@192.0.2.7:5070>;expires=100"], 6),
        (&["<SIP:%64esk@192.0.2.7:5070>;expires=100"], 6),
        (&["<sip:desk@192.0.2.7:5070>"], 6),
    ] {
        for words in [&["unregister"][..], &["register", "-e", "0"]] {
            let (ran, came) =
                against(&[words, &["--contact", DESK, "--json"]].concat(), |_, request| request.ok(contacts));
            let json = must(&ran, code);
            assert_eq!(json["outcome"], if code == 0 { "unregistered" } else { "failed" });
            assert_eq!(
                (came[0].all("Contact"), came[0].all("Expires")),
                (vec!["<sip:desk@192.0.2.7:5070>"], vec!["0"])
            );
        }
    }
    for (contacts, code) in
        [(&[][..], 0), (&["<sip:other@192.0.2.8>;expires=0"], 0), (&["<sip:other@192.0.2.8>;expires=9"], 6)]
    {
        let (ran, came) =
            against(&["unregister", "--all", "--yes", "--json"], |_, request| request.ok(contacts));
        assert_eq!(must(&ran, code)["ok"], code == 0);
        assert_eq!((came[0].all("Contact"), came[0].all("Expires")), (vec!["*"], vec!["0"]));
    }
}

/// DES-022, REG-007: refused is refused; nothing else is tried in its place.
#[test]
fn a_registrar_that_knows_no_star_refuses_it() {
    let (ran, came) = against(&["unregister", "--all", "--yes", "--json"], |_, request| {
        request.answer("400 Wildcards not allowed", &[])
    });
    assert_eq!(must(&ran, 1)["reason"], "Wildcards not allowed");
    assert_eq!(came.len(), 1);
}

/// REG-026: a removal is never made an adding.
#[test]
fn a_423_to_a_removal_is_an_error() {
    let (ran, came) = against(&["unregister", "--contact", "sip:x@192.0.2.7", "--json"], |_, request| {
        request.answer("423 Interval Too Brief", &["Min-Expires: 600"])
    });
    assert_eq!(must(&ran, 1)["status"], 423);
    assert_eq!(came.len(), 1);
}

/// REG-009, REG-035, REG-036, DES-022: nothing but the question. A second `list` and a broken foreign value change nothing.
#[test]
fn list_asks_and_changes_nothing() {
    let (ran, came) = against(&["list", "--json"], |_, request| {
        request.ok(&[
            "<sip:a@192.0.2.1>;expires=60, \"Doe, J\" <sip:x@192.0.2.2;a=b>;q=0.1;expires=0",
            "<sip:broken",
            "*",
        ])
    });
    let json = must(&ran, 0);
    assert_eq!((came[0].all("Contact"), came[0].all("Expires")), (vec![""; 0], vec![""; 0]));
    assert_eq!(
        json["bindings"][0],
        json!({"uri": "sip:a@192.0.2.1", "expires": 60, "q": null, "own": false, "params": {}})
    );
    assert!(ran.stderr.contains("warning: "), "{}", ran.all());
}

/// Nothing remembered, nothing named: nobody is asked.
#[test]
fn an_unregister_without_anything_to_remove_sends_nothing() {
    for words in [
        &["unregister"][..],
        &["unregister", "--stateless"],
        &["register", "-e", "0"],
        &["unregister", "--all"],
    ] {
        let state = tempfile::tempdir().unwrap();
        let registrar = Registrar::udp(|_, request| request.as_asked());
        let mut args = vec![words[0], "bob@munich.de", "--registrar", &registrar.address, "--json"];
        args.extend(&words[1..]);
        let mut program = command(&args);
        program.env("XDG_STATE_HOME", state.path());
        let ran = finish(program.spawn().unwrap());
        assert_eq!((ran.code, &ran.json()["error"]["kind"]), (Some(2), &"usage".into()), "{}", ran.all());
        assert_eq!(registrar.requests().len(), 0);
    }
}

/// DES-024: a contact with `{addr}` stands at this device's address, is refreshed from the same port, and is what
/// `unregister` removes; one that is named beside it stays.
#[test]
fn a_contact_at_the_own_address_counts_as_this_devices() {
    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let own = ["--contact", "<sip:4930123456@{addr};line=abc>", "--json"];
    let run = |words: &[&str]| must(&ask(&registrar.address, state.path(), words), 0)["contact"].clone();
    let first = run(&[&["register", "--contact", "sip:desk@192.0.2.7"], &own[..]].concat());
    assert_eq!(first, "sip:desk@192.0.2.7");
    let gone = must(&ask(&registrar.address, state.path(), &["unregister", "--json"]), 0)["contacts"].clone();
    assert_eq!(gone.as_array().unwrap().len(), 1, "{gone}");
    assert!(gone[0]["uri"].as_str().unwrap().starts_with("sip:4930123456@127.0.0.1:"), "{gone}");
    let (first, again) = (run(&[&["register"], &own[..]].concat()), run(&[&["register"], &own[..]].concat()));
    let uri = first.as_str().unwrap();
    assert!(uri.starts_with("sip:4930123456@127.0.0.1:") && uri.ends_with(";line=abc"), "{uri}");
    assert_eq!(first, again);
    for words in [&["unregister", "--json"][..], &[&["unregister"], &own[..]].concat()] {
        let bound = run(&[&["register"], &own[..]].concat());
        assert_eq!(run(words), bound, "{words:?}");
    }
    for wrong in ["<sip:x@h;a={addr}>", "sip:x@{addr}:5060", "sip:{addr}@h", "mailto:x@{addr}", "sip:x@{adr}"]
    {
        let ran = ask(&registrar.address, state.path(), &["register", "--contact", wrong]);
        assert!(ran.code == Some(2) && ran.stderr.contains("error: --contact: "), "{}", ran.all());
    }
}

/// DES-024: no file tells what was not sent, none is left by looking.
#[test]
fn a_dry_run_shows_the_next_request_and_changes_no_state() {
    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let first = must(&ask(&registrar.address, state.path(), &["register", "--json"]), 0);
    let folder = state.path().join("registrations");
    let look = || {
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = look();
    let ran = ask(&registrar.address, state.path(), &["unregister", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(
        ran.stdout.contains(&format!("Contact: <{}>\r\n", first["contact"].as_str().unwrap())),
        "{}",
        ran.all()
    );
    assert!(ran.stdout.contains("\r\nCSeq: 2 REGISTER\r\n") && ran.stdout.contains("\r\nExpires: 0\r\n"));
    assert_eq!(look(), before);
    assert_eq!(registrar.requests().len(), 1);
}
