//! Signals end a command at once, whatever it waits for.

use crate::endings::ends_at_once;
use crate::peer;
use crate::run::command;

#[test]
fn signals_end_a_command_that_waits_for_an_answer() {
    let mut held = Vec::new();
    ends_at_once("register", 1, || {
        let (socket, address) = peer::silent();
        let child =
            command(&["register", "bob@munich.de", "--registrar", &address, "--json"]).spawn().unwrap();
        peer::receive(&socket);
        held.push(socket);
        child
    });
}

/// Waiting for a password on a pipe that stays open.
#[cfg(target_os = "linux")]
#[test]
fn signals_end_a_command_that_waits_for_its_password() {
    let args = ["register", "bob@munich.de", "--registrar", "127.0.0.1:9", "--password-file", "-", "--json"];
    let mut held = Vec::new();
    ends_at_once("password", 0, || {
        let mut child = command(&args).stdin(std::process::Stdio::piped()).spawn().unwrap();
        held.push(child.stdin.take());
        crate::endings::listens(&child);
        child
    });
}
