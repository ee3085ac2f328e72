//! Those who mean harm, from a process of their own, over sockets: `serve` is flooded, and a good client is served
//! meanwhile, in memory that stays bounded. How each limit works is shown in the simulated world (`tests/serve`).

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::run::with_environment;
use crate::serve::{Server, name};

/// What the server may have resident at its worst here, in KiB; the README says so.
const BOUND: usize = 48 * 1024;

/// A server with one user, whose limit of open files is this; its second listener is TCP.
fn guarded(files: usize, folder: &Path) -> Server {
    let users = folder.join("users.txt");
    let users = users.to_str().unwrap();
    let added = with_environment(&["serve", "--add-user", "alice@munich.de", "--users", users], &PASSWORD);
    assert_eq!(added.code, Some(0), "{}", added.all());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n \"$0\" && exec setsid --wait \"$@\"", &files.to_string()]);
    command.args([
        env!("CARGO_BIN_EXE_sipreg"),
        "serve",
        "--json",
        "--domain",
        "munich.de",
        "--users",
        users,
    ]);
    command.args(["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"]);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Server::started(command, 2)
}

const PASSWORD: [(&str, &str); 1] = [("SIPREG_PASSWORD", "uncertainty")];

/// The good client: a registration over each transport, as if nothing was.
fn is_served(server: &Server) {
    for (transport, at) in ["udp", "tcp"].iter().zip(&server.at) {
        let ran = with_environment(
            &[
                "register",
                "alice@munich.de",
                "--stateless",
                "--contact",
                "sip:alice@127.0.0.1:9",
                "--registrar",
                at,
                "--transport",
                transport,
            ],
            &PASSWORD,
        );
        assert_eq!(ran.code, Some(0), "{transport}: {}", ran.all());
    }
}

fn peak(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Ends the server, whose peak was bounded, and gives what it told.
fn was_bounded(server: Server) -> Vec<Value> {
    let peak = peak(&server);
    let (events, code) = server.stop();
    assert_eq!(code, Some(0));
    assert!(peak < BOUND, "{peak} KiB");
    events
}

/// How many things of this kind were told, some of them in one event.
fn count(events: &[Value], kind: &str) -> u64 {
    events.iter().filter(|event| name(event) == kind).map(|event| event["count"].as_u64().unwrap_or(1)).sum()
}

fn register(n: usize, more: &str) -> String {
    format!(
        "REGISTER sip:munich.de SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@munich.de>;tag={n}\r\nTo: <sip:alice@munich.de>\r\nCall-ID: {n}@flood\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:alice@127.0.0.1:9>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Runs the flood until the good client was served, and to its end.
fn among(server: &Server, flood: impl FnOnce() + Send) {
    let flooding = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            flood();
            flooding.store(false, Ordering::Relaxed);
        });
        let mut served = 0;
        while served == 0 || (served < 10 && flooding.load(Ordering::Relaxed)) {
            is_served(server);
            served += 1;
        }
    });
    is_served(server);
}

/// Each spoofed source sends one request; the answers go nowhere.
#[test]
fn a_hundred_thousand_sources() {
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(1024, folder.path());
    let to = server.at[0].clone();
    among(&server, || {
        for n in 0..100_000 {
            let from = format!("127.{}.{}.{}:0", 1 + n / 62_500, n / 250 % 250, 1 + n % 250);
            let socket = UdpSocket::bind(from).unwrap();
            // A full buffer of the server is its answer to a flood.
            let _ = socket.send_to(register(n, "").as_bytes(), &to);
        }
    });
    let events = was_bounded(server);
    assert_eq!((count(&events, "auth_failed"), count(&events, "malformed")), (0, 0));
}

/// RAU-018: from one source, without a pause: wrong passwords and things that are no SIP.
#[test]
fn one_source_guesses_and_babbles() {
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(1024, folder.path());
    let to = server.at[0].clone();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut answer = [0; 4096];
    socket.send_to(register(0, "").as_bytes(), &to).unwrap();
    let length = socket.recv(&mut answer).unwrap();
    let challenge = String::from_utf8_lossy(&answer[..length]).into_owned();
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let guess = |n: usize| {
        format!(
            "Authorization: Digest username=\"alice\", realm=\"munich.de\", nonce=\"{nonce}\", uri=\"sip:munich.de\", \
             algorithm=SHA-512-256, response=\"{n:064x}\", qop=auth, nc={n:08x}, cnonce=\"c\"\r\n"
        )
    };
    socket.set_nonblocking(true).unwrap();
    among(&server, || {
        for n in 1..=50_000 {
            let text = if n % 2 == 0 { register(n, &guess(n)) } else { register(n, "no colon\r\n") };
            let _ = socket.send_to(text.as_bytes(), &to);
            while socket.recv_from(&mut [0; 2048]).is_ok() {}
        }
    });
    let events = was_bounded(server);
    for kind in ["auth_failed", "malformed"] {
        assert!(count(&events, kind) > 1000, "{kind}: {}", count(&events, kind));
    }
    assert!(events.len() < 1000, "{} events are a flood of their own", events.len());
}

/// TRN-028: what never ends and what is too large, over both transports.
#[test]
fn giants() {
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(1024, folder.path());
    let (udp, tcp) = (server.at[0].clone(), server.at[1].clone());
    among(&server, || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let giant = register(1, &format!("X: {}\r\n", "x".repeat(64_000)));
        for _ in 0..2000 {
            let _ = socket.send_to(giant.as_bytes(), &udp);
        }
        let endless = [
            register(2, "").replace("Content-Length: 0", "Content-Length: 4000000000"),
            register(3, "X: ").trim_end().to_owned(),
            "\r".to_owned(),
            "x".to_owned(),
        ];
        for start in endless.iter().cycle().take(100) {
            let mut stream = TcpStream::connect(&tcp).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            let refused = stream
                .write_all(start.as_bytes())
                .and_then(|()| (0..1000).try_for_each(|_| stream.write_all("x".repeat(16_384).as_bytes())));
            let refused = refused.expect_err("16 MB were taken for one message").kind();
            assert!(matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{refused}");
        }
    });
    let events = was_bounded(server);
    assert_eq!(count(&events, "dropped"), 100);
}

/// TRN-028: ten thousand connections, each with half a message, at a server that may have a thousand files open.
#[test]
fn ten_thousand_halves_of_messages() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let all = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(1000).min(10_000);
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(1024, folder.path());
    let to = server.at[1].clone();
    let mut halves = Vec::new();
    among(&server, || {
        for n in 0..all {
            let mut stream = TcpStream::connect(&to).unwrap();
            stream.write_all(&register(n, "").as_bytes()[..200]).unwrap();
            halves.push(stream);
        }
    });
    // The oldest made room.
    let mut first = halves.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let ended = first.read(&mut [0; 100]);
    assert!(matches!(&ended, Ok(0)) || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    let events = was_bounded(server);
    let first = events.iter().find(|event| name(event) == "dropped").unwrap();
    let why = first["message"].as_str().unwrap();
    assert!(why.contains("connections"), "made room at once, not when a message was late: {why}");
    let dropped = usize::try_from(count(&events, "dropped")).unwrap();
    assert!(dropped >= all - 1024, "{dropped} of {all}");
}
