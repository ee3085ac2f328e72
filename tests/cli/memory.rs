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
