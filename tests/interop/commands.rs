//! `list`, `unregister` and `--retry-for` against a real registrar.

use serde_json::{Value, json};

use crate::device::{Device, uris};
use crate::lab::Port;

const DESK: &str = "sip:desk@192.0.2.7:5070;transport=tcp";

/// REG-004, REG-009, REG-010, REG-012.
#[test]
fn every_binding_is_listed_and_the_own_one_marked() {
    for device in Device::everywhere("listed") {
        let own = device.does(&["register"]);
        let soft = format!("<{DESK}>;q=0.25;expires=1200");
        device.does(&["register", "--contact", &soft, "--contact", "<sip:hall@192.0.2.8>;q=0.5"]);
        let json = device.does(&["list"]);
        assert_eq!(
            (&json["command"], &json["outcome"], &json["contact"]),
            (&"list".into(), &"listed".into(), &Value::Null)
        );
        assert_eq!((&json["expires"], &json["contacts"]), (&Value::Null, &json!([])));
        let mut bindings = json["bindings"].as_array().unwrap().clone();
        bindings.sort_by_key(|binding| binding["uri"].to_string());
        for binding in &mut bindings {
            let left = binding["expires"].as_u64().unwrap();
            binding["expires"] = (left.div_ceil(60) * 60).into();
        }
        let expected = json!([
            {"uri": DESK, "expires": 1200, "q": 0.25, "own": false, "params": {}},
            {"uri": "sip:hall@192.0.2.8", "expires": 3600, "q": 0.5, "own": false, "params": {}},
            {"uri": own["contact"], "expires": 3600, "q": null, "own": true, "params": {}},
        ]);
        assert_eq!(Value::Array(bindings), expected);

        // People see the most wanted first. Without a q, a contact is wanted most.
        let ran = device.run(&["list"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
        let order = [
            "has 3 bindings",
            "this device",
            own["contact"].as_str().unwrap(),
            "q=0.5",
            "q=0.25",
            DESK,
            "answered by",
        ];
        let places: Vec<_> = order.iter().map(|text| ran.stdout.find(text).unwrap()).collect();
        assert!(places.is_sorted(), "{}", ran.stdout);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);

        // Nothing was changed by looking.
        assert_eq!(uris(&device.does(&["query"])).len(), 3);
        assert_eq!(device.does(&["query"])["command"], "list");
    }
}

/// REG-012: by RFC 3261 §19.1.4, not by text.
#[test]
fn list_with_a_contact_ends_with_7_when_that_is_not_bound() {
    for device in Device::everywhere("unmet") {
        device.does(&["register", "--contact", DESK]);
        let spelled = "<sip:%64esk@192.0.2.7:5070;Transport=TCP>";
        for (contacts, code) in [
            (&[DESK][..], 0),
            (&[spelled], 0),
            (&["sip:desk@192.0.2.7:5070"], 7),
            (&["sip:DESK@192.0.2.7:5070;transport=tcp"], 7),
            (&[DESK, "sip:nobody@192.0.2.9"], 7),
        ] {
            let args: Vec<&str> = contacts.iter().flat_map(|contact| ["--contact", *contact]).collect();
            let json = device.ends(code, &[&["list"], &args[..]].concat());
            assert_eq!(json["ok"], code == 0);
            assert_eq!(uris(&json), [DESK], "the list is there in any case");
            if code == 7 {
                assert_eq!((&json["error"]["kind"], &json["outcome"]), (&"unmet".into(), &"failed".into()));
            }
            let ran = device.run(&[&["list", "--quiet"], &args[..]].concat());
            assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.is_empty()), (Some(code), "", code == 0));
        }
    }
}

/// REG-010.
#[test]
fn an_empty_list_is_a_success_and_404_is_none() {
    let device = Device::at("empty");
    assert_eq!(device.does(&["list"])["bindings"], json!([]));
    assert!(
        device.run(&["list"]).stdout.starts_with("sip:heisenberg@empty.munich.de is not bound to anything\n")
    );
    assert_eq!(device.ends(7, &["list", "--contact", DESK])["error"]["kind"], "unmet");
    let json = Device::at("e404").ends(1, &["list"]);
    assert_eq!((&json["error"]["kind"], &json["status"]), (&"refused".into(), &404.into()));
    assert!(json["error"]["hint"].as_str().unwrap().contains("when nothing is bound"), "{json}");
}

/// TRN-006, REG-010: one datagram of more than four kilobytes.
#[test]
fn many_bindings_are_all_listed() {
    let device = Device::at("many");
    let own = device.does(&["register"])["contact"].clone();
    let json = device.does(&["list"]);
    let bindings = json["bindings"].as_array().unwrap();
    // The first of fifty has no time left; the table's own row may be among them.
    assert!((50..=51).contains(&bindings.len()), "{}", bindings.len());
    let mine: Vec<_> = bindings.iter().filter(|binding| binding["own"] == true).collect();
    assert_eq!((mine.len(), &mine[0]["uri"]), (1, &own));
    let ran = device.run(&["list"]);
    // A line for each, below the headline.
    let lines = ran.stdout.lines().filter(|line| line.contains("sip:heisenberg@")).count();
    assert_eq!(lines, 1 + bindings.len(), "{}", ran.all());
}

/// REG-006, DES-023.
#[test]
fn unregister_removes_what_it_is_told_to_and_nothing_else() {
    for device in Device::everywhere("remove") {
        let own = device.does(&["register"])["contact"].as_str().unwrap().to_owned();
        device.does(&["register", "--contact", DESK, "--contact", "sip:hall@192.0.2.8"]);
        let json = device.does(&["unregister", "--contact", DESK]);
        assert_eq!(json["contacts"], json!([{"uri": DESK, "expires": 0}]));
        assert_eq!((&json["outcome"], &json["expires"]), (&"unregistered".into(), &0.into()));
        assert_eq!(device.bound().len(), 2);
        device.does(&["unregister"]);
        assert_eq!(device.bound(), ["sip:hall@192.0.2.8"]);
        assert!(!device.bound().contains(&own));
    }
}

/// DES-022, REG-007, REG-008: never without consent.
#[test]
fn all_is_removed_only_with_consent() {
    for device in Device::everywhere("all") {
        device.does(&["register"]);
        device.does(&["register", "--contact", DESK]);
        let json = device.ends(2, &["unregister", "--all"]);
        assert_eq!((&json["error"]["kind"], &json["requests"]), (&"usage".into(), &0.into()));
        assert!(json["error"]["hint"].as_str().unwrap().contains("--yes"));
        assert_eq!(device.bound().len(), 2);
        let json = device.does(&["unregister", "--all", "--yes"]);
        assert_eq!((&json["outcome"], &json["bindings"]), (&"unregistered".into(), &json!([])));
        assert_eq!(device.bound(), [""; 0]);
        assert_eq!(device.ends(2, &["unregister"])["requests"], 0, "nothing is remembered any more");
        // Whether something was bound does not matter.
        device.does(&["unregister", "--all", "--yes"]);
    }
}

#[test]
fn unregister_with_nothing_remembered_sends_nothing() {
    for device in Device::everywhere("nothing") {
        for command in [&["unregister"][..], &["register", "-e", "0"]] {
            let json = device.ends(2, command);
            assert_eq!(
                (&json["error"]["kind"], &json["requests"], &json["attempts"]),
                (&"usage".into(), &0.into(), &json!([]))
            );
        }
        device.does(&["register"]);
        let json = device.does(&["register", "-e", "0"]);
        assert_eq!((&json["command"], &json["outcome"]), (&"register".into(), &"unregistered".into()));
        assert_eq!(device.bound(), [""; 0]);
    }
}

/// REG-010, DES-030: what a 200 without Contact means depends on what was asked.
#[test]
fn a_200_without_contact_is_no_binding_but_a_removal() {
    let device = Device::at("nocontact");
    assert_eq!(device.ends(6, &["register"])["error"]["kind"], "misbehaved");
    assert_eq!(device.does(&["list"])["bindings"], json!([]));
    assert_eq!(device.does(&["unregister"])["outcome"], "unregistered");
}

/// REG-034: what is bound stays remembered until its removal is confirmed.
#[test]
fn a_wrong_password_removes_nothing_and_forgets_nothing() {
    for device in Device::everywhere("password") {
        let own = device.does(&["register"])["contact"].clone();
        let ran = device.run_with(&["unregister", "--json"], Some("wrong"));
        assert_eq!(
            (ran.code, &ran.json()["error"]["kind"]),
            (Some(3), &"credentials".into()),
            "{}",
            ran.all()
        );
        let ran = device.run_with(&["unregister", "--json"], None);
        assert_eq!(ran.code, Some(3), "{}", ran.all());
        assert_eq!(device.bound(), [own.as_str().unwrap()]);
        assert_eq!(device.does(&["unregister"])["contact"], own);
        assert_eq!(device.bound(), [""; 0]);
    }
}

/// DES-008, REG-023.
#[test]
fn retrying_goes_on_until_it_works_or_the_time_is_over() {
    let json = Device::at("busy1").does(&["register", "--retry-for", "20s"]);
    assert_eq!(json["requests"], 3, "one of the first try, two of the second");
    assert!(json["elapsed_ms"].as_f64().unwrap() >= 1000.0, "Retry-After was 1 s: {json}");

    // Retry-After goes beyond the time: no use waiting for it.
    let json = Device::at("retry30").ends(1, &["register", "--retry-for", "5s"]);
    assert_eq!((&json["status"], &json["error"]["kind"]), (&503.into(), &"refused".into()));
    assert!(json["elapsed_ms"].as_f64().unwrap() < 2000.0, "{json}");

    for verb in ["register", "list"] {
        let device = Device::at("dead").towards(Port::Dead);
        let json = device.ends(5, &[verb, "--retry-for", "1100ms"]);
        assert_eq!(json["error"]["kind"], "unreachable");
        assert!(json["requests"].as_u64().unwrap() > 1, "{json}");
        assert!(json["elapsed_ms"].as_f64().unwrap() < 4000.0, "{json}");
    }

    // What would end the same way is not tried again.
    let json = Device::at("e404").ends(1, &["register", "--retry-for", "20s"]);
    assert_eq!(json["requests"], 1);
}
