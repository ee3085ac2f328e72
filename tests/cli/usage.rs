//! Command lines that send nothing: help, mistakes, the dry run.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use crate::peer;
use crate::run::{command, sipreg, with_environment, with_stdin};

#[test]
fn without_a_command_or_a_password_file_it_ends_with_2() {
    for args in [
        &[][..],
        &["register", "bob@munich.de", "--password-file", "/does/not/exist"],
        &["register", "bob@munich.de", "--password-file", "/"],
    ] {
        let ran = sipreg(args);
        assert_eq!(ran.code, Some(2), "{args:?} {}", ran.all());
        assert!(!ran.stderr.is_empty());
    }
}

/// A secret that can't be read is found before anything is sent; a line with nothing in it is an empty password.
#[test]
fn a_password_that_is_not_on_stdin_sends_nothing() {
    let (socket, address) = peer::silent();
    let ran =
        with_stdin(&["register", "bob@munich.de", "--registrar", &address, "--password-file", "-"], b"");
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(socket.recv_from(&mut [0; 10]).is_err());
}

/// REQ-005, REQ-010: the exact request on stdout, nothing on the wire.
#[test]
fn a_dry_run_prints_the_request_and_sends_nothing() {
    let (socket, address) = peer::silent();
    let ran = sipreg(&[
        "register",
        "sip:bob@munich.de:5070;transport=udp",
        "--proxy",
        &address,
        "--dry-run",
        "--user-agent",
        "none",
        "-H",
        "X-Tenant: 42",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
    let request = ran.stdout;
    assert!(request.starts_with("REGISTER sip:munich.de:5070;transport=udp SIP/2.0\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n"));
    assert_eq!(request.matches('\n').count(), request.matches("\r\n").count());
    assert_eq!(peer::header(&request, "To"), "<sip:bob@munich.de>");
    assert!(peer::header(&request, "From").starts_with("<sip:bob@munich.de>;tag="));
    assert_eq!(peer::header(&request, "Route"), format!("<sip:{address};lr>"));
    assert_eq!(peer::header(&request, "Expires"), "3600");
    assert_eq!(peer::header(&request, "X-Tenant"), "42");
    assert!(!request.contains("User-Agent"));
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(socket.recv_from(&mut [0; 10]).is_err());
}

/// A reader that goes away is no fault of anybody.
#[test]
fn a_closed_stdout_ends_quietly() {
    let (_socket, address) = peer::silent();
    for args in [
        &["register", "--help"][..],
        &["register", "--json-schema"],
        &["register", "bob@munich.de", "--registrar", &address, "--dry-run"],
    ] {
        let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn colours_are_for_those_who_want_them() {
    for (variables, extra, colored) in [
        (&[][..], &[][..], false),
        (&[("CLICOLOR_FORCE", "1")], &[], true),
        (&[("CLICOLOR_FORCE", "0")], &[], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[], false),
        (&[("NO_COLOR", "1")], &["--color", "always"], true),
        (&[("CLICOLOR_FORCE", "1")], &["--color", "never"], false),
    ] {
        for wrong in ["bob", "--nope"] {
            let ran = with_environment(&[&["register"], extra, &[wrong]].concat(), variables);
            assert_eq!(ran.stderr.contains('\u{1b}'), colored, "{variables:?} {extra:?}");
        }
    }
}

/// AUT-047: the value of the variable is not in the help.
#[test]
fn help_does_not_tell_the_password() {
    let ran = with_environment(&["register", "--help"], &[("SIPREG_PASSWORD", "hunter2")]);
    assert!(ran.stdout.contains("SIPREG_PASSWORD") && !ran.stdout.contains("hunter2"));
}
