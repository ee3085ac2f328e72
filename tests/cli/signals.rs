//! Signals end a command at once, whatever it waits for.

use std::process::{Command, Stdio};

use crate::endings::ends_at_once;
use crate::peer;
use crate::registrar::Registrar;
use crate::run::{command, finish};

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

/// SIGXFSZ: a limit on the size of files is told as a full disk is.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_grow_ends_nothing() {
    let registrar = Registrar::udp(|_, request| request.as_asked());
    let state = tempfile::tempdir().unwrap();
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_sipreg")]).env_clear();
        shell.args(["register", "bob@munich.de", "--registrar", &registrar.address, "--state-dir"]);
        shell.arg(state.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(shell.spawn().unwrap())
    };
    let ran = run("ulimit -f 0; exec \"$0\" \"$@\"");
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("too large"), "{}", ran.all());
    // Nor does it where the report goes to such a file; that it is lost is said.
    let file = state.path().join("report");
    let ran = run(&format!("ulimit -f 0; exec \"$0\" \"$@\" > {}", file.display()));
    assert_eq!(ran.code, Some(70), "{}", ran.all());
    assert!(ran.stderr.contains("error: the report can't be written"), "{}", ran.all());
}
