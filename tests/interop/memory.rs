//! State between runs, against a real registrar: each command a process of its own.

use std::net::UdpSocket;

use serde_json::Value;

use crate::device::{Device, uris};
use crate::lab::{Port, has_ipv6};
use crate::table::Transport;

fn cseq(json: &Value) -> u64 {
    json["cseq"].as_u64().unwrap()
}

fn port_of(contact: &Value) -> u16 {
    let contact = contact.as_str().unwrap();
    contact.split(';').next().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// WSS-007, WSS-012, SEC-025,
/// REG-001, REG-006, REG-009, REG-010, REG-034, DES-024, DES-025: one Call-ID, a CSeq that rises over all of them, one binding.
#[test]
fn register_list_and_unregister_in_four_processes_speak_of_one_binding() {
    for transport in Transport::usable().iter().chain(Transport::usable_secure()) {
        // Each over TLS and WebSocket has a domain of its own: they share a laboratory and a person.
        let domain =
            if transport.is_plain() { "four".to_owned() } else { format!("four-{}", transport.name()) };
        let device = Device::over(*transport, &domain);
        let runs: Vec<Value> = [["register"], ["register"], ["list"], ["unregister"]]
            .iter()
            .map(|run| device.does(run))
            .collect();
        for pair in runs.windows(2) {
            assert_eq!(pair[0]["call_id"], pair[1]["call_id"]);
            assert_eq!(cseq(&pair[0]) + 2, cseq(&pair[1]), "a request, and one after the challenge");
        }
        for json in &runs[..3] {
            assert_eq!(json["bindings"].as_array().unwrap().len(), 1, "{json}");
            assert_eq!(json["bindings"][0]["own"], true);
        }
        // A TCP port may linger from the connection before; then the new contact takes the old one's place. The name of a
        // WebSocket has no port.
        if ["udp", "ws", "wss"].contains(&transport.option()) {
            assert_eq!(runs[0]["contact"], runs[1]["contact"]);
        }
        if transport.option() == "udp" {
            assert_eq!(runs[0]["registrar"]["local"], runs[1]["registrar"]["local"]);
        }
        assert_eq!(runs[2]["bindings"][0]["uri"], runs[1]["contact"]);
        assert_eq!((&runs[3]["outcome"], &runs[3]["contact"]), (&"unregistered".into(), &runs[1]["contact"]));
        assert_eq!(device.bound(), [""; 0]);
        assert_eq!(device.record()["own"], Value::Array(vec![]));
    }
}

/// REG-011: the old contact goes in the request that brings the new one.
#[test]
fn where_the_port_is_taken_the_new_contact_replaces_the_remembered_one() {
    for (transport, domain) in [(Transport::Udp, "taken"), (Transport::Udp6, "taken6")] {
        if transport.host() == "[::1]" && !has_ipv6() {
            continue;
        }
        let device = Device::over(transport, domain);
        let first = device.does(&["register"]);
        let host = transport.host().trim_matches(['[', ']']);
        let squatter = UdpSocket::bind((host, port_of(&first["contact"]))).unwrap();
        let second = device.does(&["register"]);
        assert_ne!(second["contact"], first["contact"]);
        assert_eq!(second["requests"], 2, "one request, and the one with credentials");
        assert_eq!(second["contacts"][1]["uri"], first["contact"]);
        assert_eq!(second["contacts"][1]["expires"], 0);
        assert_eq!(device.bound(), [second["contact"].as_str().unwrap()]);
        drop(squatter);
        let third = device.does(&["register"]);
        assert_eq!(third["contact"], second["contact"], "the last port counts");
    }
}

/// DES-020: own contacts are told apart although they look much alike.
#[test]
fn another_transport_replaces_the_contact() {
    let mut device = Device::at("change");
    device.does(&["register"]);
    for transport in [Transport::Tcp, Transport::Udp] {
        device.switch_to(transport);
        let json = device.does(&["register"]);
        let contact = json["contact"].as_str().unwrap();
        assert_eq!(contact.contains(";transport=tcp"), transport.option() == "tcp");
        assert_eq!(device.bound(), [contact]);
    }
}

/// REG-018: they queue at the lock.
#[test]
fn ten_processes_at_once_end_with_one_binding() {
    for device in Device::everywhere("ten") {
        let running: Vec<_> = (0..10).map(|_| device.start(&["register"])).collect();
        let mut numbers = Vec::new();
        for one in running {
            let ran = one.finish();
            assert_eq!(ran.code, Some(0), "{}", ran.all());
            numbers.push(cseq(&ran.json()));
        }
        numbers.sort_unstable();
        let expected: Vec<u64> = (1..=10).map(|n| 2 * n).collect();
        assert_eq!(numbers, expected, "no number was used twice");
        assert_eq!(device.bound().len(), 1);
    }
}

/// DES-024: whatever the process that was killed had sent, the next one goes on from there.
#[test]
fn kill_9_leaves_a_state_that_the_next_run_goes_on_with() {
    for sent in [1, 2] {
        let device = Device::at("slow300");
        let mut victim = device.start(&["register"]);
        victim.sends(sent);
        victim.kill();
        let left = device.record();
        assert_eq!(left["cseq"], sent, "on disk before it is on the wire");
        let json = device.does(&["register"]);
        assert_eq!(json["call_id"], left["call_id"]);
        assert_eq!(cseq(&json), sent as u64 + 2);
        assert_eq!(uris(&json), [json["contact"].as_str().unwrap()]);
        device.does(&["unregister"]);
        assert_eq!(device.bound(), [""; 0]);
    }
}

/// DES-024: the victim had not even come in.
#[test]
fn kill_9_at_the_lock_leaves_a_state_that_the_next_run_goes_on_with() {
    for device in Device::everywhere("queue") {
        let first = device.does(&["register"]);
        let before = device.record();
        let lock = std::fs::File::open(device.file("lock")).unwrap();
        lock.lock().unwrap();
        let victim = device.start(&["register"]);
        victim.opens("lock");
        victim.kill();
        assert_eq!(device.record(), before);
        lock.unlock().unwrap();
        let second = device.does(&["register"]);
        assert_eq!((&second["contact"], cseq(&second)), (&first["contact"], cseq(&first) + 2));
    }
}

#[test]
fn waiting_for_another_process_counts_towards_the_timeout() {
    for device in Device::everywhere("patience") {
        device.does(&["register"]);
        let lock = std::fs::File::open(device.file("lock")).unwrap();
        lock.lock().unwrap();
        for verb in ["register", "list", "unregister"] {
            let json = device.ends(4, &[verb, "--timeout", "50ms"]);
            assert_eq!((&json["error"]["kind"], &json["requests"]), (&"timeout".into(), &0.into()));
        }
        device.does(&["list", "--stateless", "--timeout", "20s"]);
    }
}

/// REG-011, DES-021, DES-023: neither binding nor removing touches what another device has bound.
#[test]
fn the_binding_of_a_second_device_is_never_touched() {
    for one in Device::everywhere("second") {
        let two = one.sibling();
        let (first, second) = (one.does(&["register"]), two.does(&["register"]));
        assert_ne!(first["call_id"], second["call_id"]);
        for device in [&one, &two] {
            let json = device.does(&["list"]);
            let own: Vec<_> = json["bindings"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|binding| binding["own"] == true)
                .collect();
            let wanted = if std::ptr::eq(device, &one) { &first } else { &second };
            assert_eq!((own.len(), &own[0]["uri"]), (1, &wanted["contact"]));
        }
        one.does(&["register"]);
        one.does(&["unregister"]);
        assert_eq!(two.bound(), [second["contact"].as_str().unwrap()]);
        assert_eq!(
            two.does(&["list", "--contact", second["contact"].as_str().unwrap()])["bindings"][0]["own"],
            true
        );
    }
}

/// DES-024: each registrar has a Call-ID and a number of its own.
#[test]
fn two_registrars_are_remembered_apart() {
    let mut device = Device::at("apart");
    let first = device.does(&["register"]);
    device.go_to(Port::Alt);
    let ran = device.run(&["unregister", "--json"]);
    assert_eq!(ran.code, Some(2), "nothing of that one is remembered: {}", ran.all());
    let second = device.does(&["register"]);
    assert_ne!(first["call_id"], second["call_id"]);
    assert_eq!((cseq(&first), cseq(&second)), (2, 2));
    assert_eq!(device.files("json").len(), 2);
    device.does(&["unregister"]);
    device.go_to(Port::Sip);
    assert_eq!(device.does(&["register"])["call_id"], first["call_id"]);
}

/// DES-024: a new Call-ID each time.
#[test]
fn stateless_reads_and_writes_nothing() {
    for device in Device::everywhere("forgetful") {
        device.does(&["register", "--stateless"]);
        assert!(!device.state().exists());
        let kept = device.does(&["register"]);
        let before = std::fs::read(device.file("json")).unwrap();
        let other = device.does(&["register", "--stateless"]);
        assert_ne!(other["call_id"], kept["call_id"]);
        assert_ne!(other["contact"], kept["contact"]);
        let ran = device.run(&["unregister", "--stateless", "--json"]);
        assert_eq!((ran.code, &ran.json()["requests"]), (Some(2), &0.into()), "{}", ran.all());
        assert!(
            device.does(&["list", "--stateless"])["bindings"].to_string().matches("\"own\":true").count()
                == 0
        );
        assert_eq!(std::fs::read(device.file("json")).unwrap(), before);
        assert_eq!(device.bound().len(), 3);
    }
}

/// REG-033, DES-024: the registrar refuses a CSeq that is too low; the client begins anew and is bound.
#[test]
fn a_state_that_is_too_old_or_gone_does_not_keep_it_from_registering() {
    for device in Device::everywhere("restored") {
        device.does(&["register"]);
        let old = std::fs::read(device.file("json")).unwrap();
        device.does(&["register"]);
        device.does(&["register"]);
        std::fs::write(device.file("json"), &old).unwrap();
        let json = device.does(&["register"]);
        assert_ne!(json["call_id"], serde_json::from_slice::<Value>(&old).unwrap()["call_id"]);
        assert_eq!(device.bound(), [json["contact"].as_str().unwrap()], "the port was remembered");
        assert_eq!(device.record()["call_id"], json["call_id"]);
        assert_eq!(device.does(&["register"])["call_id"], json["call_id"]);

        // Removing with an old number works the same way.
        std::fs::write(device.file("json"), &old).unwrap();
        device.does(&["unregister"]);
        assert_eq!(device.bound(), [""; 0]);

        device.does(&["register"]);
        std::fs::remove_dir_all(device.state()).unwrap();
        let json = device.does(&["register"]);
        assert!(uris(&json).contains(&json["contact"].as_str().unwrap().to_owned()));
        assert_eq!(device.run(&["unregister", "--all", "--yes"]).code, Some(0));
    }
}

/// Even root can make no folder inside a file.
#[test]
fn a_state_that_is_damaged_or_cannot_be_written_is_a_warning() {
    for device in Device::everywhere("damaged") {
        device.does(&["register"]);
        std::fs::write(device.file("json"), "{ \"schema\": 1, ").unwrap();
        let ran = device.run(&["register"]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        assert!(
            ran.stderr.starts_with("warning: the state in ") && ran.stderr.contains("damaged"),
            "{}",
            ran.all()
        );
        assert_eq!(device.files("damaged").len(), 1);
        let ran = device.run(&["unregister"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());

        let elsewhere = device.state().join("file");
        std::fs::write(&elsewhere, "").unwrap();
        let path = elsewhere.to_str().unwrap();
        for (verb, quiet) in [("register", false), ("register", true), ("list", false)] {
            let more: &[&str] = if quiet { &["--quiet"] } else { &[] };
            let ran = device.run(&[&[verb, "--state-dir", path], more].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.all());
            assert_eq!(ran.stderr.contains("warning: the state directory "), !quiet, "{}", ran.all());
        }
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"");
    }
}
