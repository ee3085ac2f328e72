//! What one process leaves to the next, where a script plays the registrar.

use std::path::Path;

use crate::registrar::{Registrar, Request, against, must};
use crate::run::{Ran, command, finish};

const MD5: &str = "WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n\", qop=\"auth\"";

fn run(registrar: &Registrar, home: &Path, args: &[&str]) -> Ran {
    let registrar = format!("sip:{}", registrar.address);
    let all = [args, &["--registrar", &registrar, "--json"]].concat();
    finish(command(&all).env("HOME", home).env("SIPREG_PASSWORD", "x").spawn().unwrap())
}

fn contacts(request: &Request) -> Vec<&str> {
    request.all("Contact")
}

/// REQ-009 REQ-011 REQ-012 REQ-021: of two devices, and of two starts of one that remembers nothing.
#[test]
fn no_two_processes_share_a_call_id_a_tag_or_a_branch_unless_they_share_a_state() {
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for home in &homes {
        must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), 0);
        must(&run(&registrar, home.path(), &["register", "bob@munich.de", "--stateless"]), 0);
    }
    let came = registrar.requests();
    for name in ["Call-ID", "From", "Via"] {
        let values: std::collections::BTreeSet<&str> =
            came.iter().map(|request| request.header(name)).collect();
        assert_eq!(values.len(), 4, "{name}: {values:?}");
    }
}

/// RSP-014 RSP-006: a 302 without a lifetime serves one request.
#[test]
fn the_next_process_asks_the_registrar_itself_again_after_a_redirect() {
    let home = tempfile::tempdir().unwrap();
    let target = Registrar::udp(|_, request| request.as_asked());
    let contact = format!("Contact: <sip:{}>", target.address);
    let registrar = Registrar::udp(move |_, request| request.answer("302 Moved Temporarily", &[&contact]));
    for _ in 0..2 {
        must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), 0);
    }
    let cseq = |came: Vec<Request>| came.iter().map(Request::cseq).collect::<Vec<_>>();
    assert_eq!((cseq(registrar.requests()), cseq(target.requests())), (vec![1, 3], vec![2, 4]));
}

/// REG-017
#[test]
fn several_contacts_are_refreshed_in_one_request() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let both = ["-c", "sip:bob@192.0.2.7", "-c", "sip:bob@192.0.2.8"];
    for _ in 0..2 {
        must(&run(&registrar, home.path(), &[&["register", "bob@munich.de"][..], &both].concat()), 0);
    }
    let came = registrar.requests();
    assert_eq!(came.len(), 2);
    assert_eq!(contacts(&came[0]), ["<sip:bob@192.0.2.7>", "<sip:bob@192.0.2.8>"]);
    assert_eq!(contacts(&came[0]), contacts(&came[1]));
    assert_eq!((came[0].header("Call-ID"), came[1].cseq()), (came[1].header("Call-ID"), 2));
}

/// DES-024 REG-011
#[test]
fn what_was_refused_is_not_remembered_as_bound() {
    for refusal in [("404 Not Found", 1), ("401 Unauthorized", 3)] {
        let home = tempfile::tempdir().unwrap();
        let registrar = Registrar::udp(move |_, request| request.answer(refusal.0, &[MD5]));
        must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), refusal.1);
        let before = must(&run(&registrar, home.path(), &["unregister", "bob@munich.de"]), 2);
        assert_eq!(before["requests"], 0);
        registrar.requests();
    }
}

/// DES-024 REG-011
#[test]
fn a_binding_whose_confirmation_was_lost_is_removed_by_the_next_request() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|n, request| if n == 1 { vec![] } else { request.as_asked() });
    must(&run(&registrar, home.path(), &["register", "bob@munich.de", "--t1", "4ms"]), 4);
    // The port of the lost binding is taken by somebody else now.
    let state = std::fs::read_dir(home.path().join(".local/state/sipreg/registrations")).unwrap();
    let file =
        state.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "json"));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file.unwrap()).unwrap()).unwrap();
    let port = record["port"].as_u64().unwrap();
    // If this fails, somebody else has taken it already.
    let taken = std::net::UdpSocket::bind(format!("127.0.0.1:{port}"));
    must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), 0);
    drop(taken);
    let came = registrar.requests();
    let lost = contacts(&came[0])[0].to_owned();
    assert_eq!(contacts(&came[1]).len(), 2);
    assert_eq!(contacts(&came[1])[1], format!("{lost};expires=0"));
    assert_eq!(came[0].header("Call-ID"), came[1].header("Call-ID"));
}

/// REG-012 URI-002
#[test]
fn a_host_in_another_letter_case_is_the_same_address() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), 0);
    must(&run(&registrar, home.path(), &["unregister", "bob@Munich.DE"]), 0);
    let came = registrar.requests();
    assert_eq!(contacts(&came[0]), contacts(&came[1]));
}

/// DES-024
#[test]
fn a_state_that_cannot_be_locked_is_used_all_the_same_with_a_call_id_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    must(&run(&registrar, home.path(), &["register", "bob@munich.de"]), 0);
    let folder = home.path().join(".local/state/sipreg/registrations");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
        }
    }
    let ran = run(&registrar, home.path(), &["unregister", "bob@munich.de"]);
    must(&ran, 0);
    assert!(ran.stderr.starts_with("warning: "), "{}", ran.all());
    let came = registrar.requests();
    assert_eq!(contacts(&came[0]), contacts(&came[1]));
    assert_ne!(came[0].header("Call-ID"), came[1].header("Call-ID"));
}

/// REG-009
#[test]
fn a_binding_that_has_run_out_does_not_meet_a_condition() {
    let (ran, _) = against(&["list", "--contact", "sip:x@192.0.2.7", "--json"], |_, request| {
        request.ok(&["<sip:x@192.0.2.7>;expires=0"])
    });
    assert_eq!(must(&ran, 7)["error"]["kind"], "unmet");
}

/// A pipe that nobody writes into does not hold the command longer than it was given.
#[cfg(unix)]
#[test]
fn the_wait_for_a_password_counts_towards_the_timeout() {
    let args = ["register", "bob@munich.de", "--registrar", "sip:127.0.0.1:9", "--stateless", "--json"];
    let mut child = command(&[&args[..], &["--password-file", "-", "--timeout", "200ms"]].concat())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let open = child.stdin.take();
    let json = must(&finish(child), 4);
    drop(open);
    assert_eq!((&json["error"]["kind"], &json["requests"]), (&"timeout".into(), &0.into()));
}
