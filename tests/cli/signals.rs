//! Signals end a command at once, whatever it waits for.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::peer;
use crate::run::{Ran, command, finish};

/// Sends the signal and waits; how long that took. Reading the clock is what this test is about.
#[allow(clippy::disallowed_methods, reason = "measures the program from outside")]
fn end(child: Child, signal: &str) -> (Ran, Duration) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let start = Instant::now();
    assert!(sent.success());
    (finish(child), start.elapsed())
}

#[test]
fn signals_end_a_command_that_waits_for_an_answer() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (socket, address) = peer::silent();
        let child =
            command(&["register", "bob@munich.de", "--registrar", &address, "--json"]).spawn().unwrap();
        peer::receive(&socket);
        let (ran, took) = end(child, signal);
        assert_eq!(ran.code, Some(code), "{}", ran.all());
        assert!(took < Duration::from_millis(250), "{took:?}");
        let json = ran.json();
        assert_eq!(json["error"]["kind"], "interrupted");
        assert_eq!((&json["ok"], &json["requests"]), (&false.into(), &1.into()));
    }
}

/// Waiting for a password on a pipe that stays open.
#[test]
fn signals_end_a_command_that_waits_for_its_password() {
    let args = ["register", "bob@munich.de", "--registrar", "127.0.0.1:9", "--password-file", "-", "--json"];
    let mut child = command(&args).stdin(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdin.take();
    let status = format!("/proc/{}/status", child.id());
    // Until the handler is there (SIGINT is bit 1 of SigCgt): before that, the signal would simply kill.
    while !std::fs::read_to_string(&status).is_ok_and(|status| catches_interrupts(&status)) {
        std::thread::yield_now();
    }
    let (ran, _) = end(child, "-INT");
    drop(pipe);
    assert_eq!(ran.code, Some(130), "{}", ran.all());
    assert_eq!(ran.json()["requests"], 0);
}

fn catches_interrupts(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 0x4002 == 0x4002)
}
