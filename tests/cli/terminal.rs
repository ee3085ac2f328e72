//! Asking for a password: on the terminal, whatever the streams are, without echo, and undone afterwards.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::peer::{self, CHALLENGE};
use crate::registrar::Registrar;
use crate::run::{finish, wait_until};

/// A terminal, and the program in a session that it controls. Standard streams are no terminal.
fn on_a_terminal(args: &[&str]) -> (Child, File, File) {
    in_a_session("exec \"$0\" \"$@\" </dev/null", args)
}

/// The same, started by this shell command.
fn in_a_session(script: &str, args: &[&str]) -> (Child, File, File) {
    let pair = openpty(None, None).unwrap();
    let (keyboard, terminal) = (File::from(pair.master), File::from(pair.slave));
    // `setsid --ctty` makes its standard input the session's terminal; the shell then takes it away from the program.
    let child = Command::new("setsid")
        .args(["--ctty", "--wait", "sh", "-c", script, env!("CARGO_BIN_EXE_sipreg")])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "Asia/Kolkata")
        .stdin(Stdio::from(terminal.try_clone().unwrap()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, keyboard, terminal)
}

/// Reads what the terminal shows until it shows this; nothing new for 20 s is a failure.
fn wait_for(keyboard: &mut File, text: &str) -> String {
    let mut shown = String::new();
    while !shown.contains(text) {
        let mut ready = [PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)];
        let found = poll(&mut ready, PollTimeout::from(20_000_u16)).unwrap();
        assert!(found > 0, "no \"{text}\" on the terminal, only \"{shown}\"");
        let mut buffer = [0; 256];
        let length = keyboard.read(&mut buffer).unwrap();
        shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    shown
}

fn echoes(terminal: &File) -> bool {
    tcgetattr(terminal).unwrap().local_flags.contains(LocalFlags::ECHO)
}

fn wait_for_silence(terminal: &File) {
    wait_until("the terminal no longer echoes", || !echoes(terminal));
}

/// AUT-049: the question has user and realm; the password is neither shown nor in any output.
#[test]
fn a_password_is_asked_for_after_a_challenge() {
    let (socket, address) = peer::silent();
    let (child, mut keyboard, terminal) =
        on_a_terminal(&["register", "bob@munich.de", "--registrar", &address, "--json"]);
    let (request, peer) = peer::receive(&socket);
    assert!(echoes(&terminal), "nobody is asked before a challenge");
    peer::answer(&socket, peer, &request, "401 Unauthorized", &[CHALLENGE]);
    wait_for(&mut keyboard, "Password for bob at realm \"munich.de\" (asked by 127.0.0.1): ");
    wait_for_silence(&terminal);
    keyboard.write_all(b"uncertainty\r").unwrap();
    let (request, peer) = peer::receive(&socket);
    assert!(peer::header(&request, "Authorization").contains("username=\"bob\""));
    peer::answer(&socket, peer, &request, "403 Forbidden", &[]);
    let ran = finish(child);
    assert_eq!(ran.code, Some(3), "{}", ran.all());
    assert!(!ran.all().contains("uncertainty"));
    assert!(echoes(&terminal));
}

/// What comes through a pipe is no answer: somebody at the terminal is asked.
#[test]
fn a_pipe_on_stdin_is_not_read_for_the_password() {
    let (socket, address) = peer::silent();
    let (child, mut keyboard, terminal) = in_a_session(
        "echo piped | \"$0\" \"$@\"",
        &["register", "bob@munich.de", "--registrar", &address, "-q"],
    );
    let (request, peer) = peer::receive(&socket);
    peer::answer(&socket, peer, &request, "401 Unauthorized", &[CHALLENGE]);
    wait_for(&mut keyboard, "Password for bob at realm \"munich.de\" (asked by 127.0.0.1): ");
    wait_for_silence(&terminal);
    keyboard.write_all(b"uncertainty\r").unwrap();
    let (request, peer) = peer::receive(&socket);
    assert!(peer::header(&request, "Authorization").contains("username=\"bob\""));
    peer::answer(&socket, peer, &request, "403 Forbidden", &[]);
    assert_eq!(finish(child).code, Some(3));
    assert!(echoes(&terminal));
}

#[test]
fn ctrl_c_at_the_question_gives_the_terminal_back() {
    let (socket, address) = peer::silent();
    let (child, mut keyboard, terminal) =
        on_a_terminal(&["register", "bob@munich.de", "--registrar", &address, "--json"]);
    let (request, peer) = peer::receive(&socket);
    peer::answer(&socket, peer, &request, "401 Unauthorized", &[CHALLENGE]);
    wait_for(&mut keyboard, "Password for");
    wait_for_silence(&terminal);
    keyboard.write_all(b"unc\x03").unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, Some(130), "{}", ran.all());
    assert_eq!(ran.json()["error"]["kind"], "interrupted");
    assert!(echoes(&terminal));
}

/// DES-022: --all asks, and only y does it.
#[test]
fn all_is_removed_only_when_the_person_says_yes() {
    for (typed, code, sent) in
        [("y\r", 0, 1), ("yes\r", 0, 1), ("n\r", 2, 0), ("\r", 2, 0), ("\x04", 2, 0), ("\x03", 130, 0)]
    {
        let state = tempfile::tempdir().unwrap();
        let registrar = Registrar::udp(|_, request| request.as_asked());
        let folder = state.path().to_str().unwrap();
        let args = [
            "unregister",
            "bob@munich.de",
            "--registrar",
            &registrar.address,
            "--all",
            "--json",
            "--state-dir",
            folder,
        ];
        let (child, mut keyboard, _terminal) = on_a_terminal(&args);
        let asked = wait_for(&mut keyboard, "other devices' too?");
        assert!(asked.contains("Remove every binding of sip:bob@munich.de"), "{asked}");
        keyboard.write_all(typed.as_bytes()).unwrap();
        let ran = finish(child);
        assert_eq!(ran.code, Some(code), "{typed:?}: {}", ran.all());
        assert_eq!(ran.json()["ok"], code == 0);
        assert_eq!(registrar.requests().len(), sent, "{typed:?}");
    }
}

/// What `keep` shows on a terminal: what happened scrolls by, and below it stands how things are, drawn anew when that changes.
#[test]
fn how_things_stand_is_drawn_anew_on_a_terminal() {
    const ERASED: &str = "\u{1b}[3A\r\u{1b}[J";
    let server = crate::keep::serve();
    let args = [
        "keep",
        "--stateless",
        "--registrar",
        &server.at[0],
        "alice@localhost",
        "bob@elsewhere",
        "-e",
        "4",
        "--color",
        "never",
    ];
    let (mut child, mut keyboard, _terminal) = in_a_session("exec \"$0\" \"$@\" >/dev/tty 2>/dev/tty", &args);
    let shown = wait_for(&mut keyboard, "hint:");
    assert!(shown.contains("0 of 2 bound, times in IST"), "{shown}");
    let mut shown = String::new();
    while !(shown.contains("alice@localhost  until ")
        && shown.contains("bob@elsewhere    not bound       not tried again"))
    {
        shown = wait_for(&mut keyboard, ERASED);
    }
    // Refreshes change the lines, and add none.
    let shown =
        wait_for(&mut keyboard, "\u{1b}[3A\r\u{1b}[J") + &wait_for(&mut keyboard, "\u{1b}[3A\r\u{1b}[J");
    assert!(!shown.contains("refreshed"), "{shown}");
    keyboard.write_all(b"\x03").unwrap();
    let shown = wait_for(&mut keyboard, "stopped       alice@localhost");
    assert!(shown.contains("unregistered"), "{shown}");
    let below = shown.rsplit("unregistered").next().unwrap();
    assert!(!below.contains("until"), "nothing comes next: {shown}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    server.stop();
}
