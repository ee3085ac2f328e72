//! How a command ends and what it leaves on its streams, for each command: signals at every stage, readers that go
//! away, quiet, colours, wide characters.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peer::{self, CHALLENGE, dead};
use crate::registrar::{Registrar, Request};
use crate::run::{Ran, command, finish, wait_until, with_environment};

/// What a person feels as at once.
const AT_ONCE: Duration = Duration::from_millis(250);

/// How long anything may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command line with a state of its own.
fn words(verb: &str, address: &str, state: &TempDir, more: &[&str]) -> Vec<String> {
    let state = state.path().to_str().unwrap();
    [verb, "sip:bob@munich.de", "--registrar", address, "--state-dir", state]
        .iter()
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

fn start(words: &[String]) -> Child {
    command(&words.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
}

/// Waits until a line of the ladder has this in it; the rest of it goes on to be read by somebody.
fn until(child: &mut Child, text: &'static str) {
    let ladder = BufReader::new(child.stderr.take().unwrap());
    let (found, find) = channel();
    std::thread::spawn(move || {
        for line in ladder.lines().map_while(Result::ok).filter(|line| line.contains(text)) {
            let _ = found.send(line);
        }
    });
    find.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not say \"{text}\", or ended before"));
}

/// Sends a signal to it: how it ended, and how long that took.
#[allow(clippy::disallowed_methods, reason = "measures the program from outside")]
fn end(child: Child, signal: &str) -> (Ran, Duration) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let start = Instant::now();
    (finish(child), start.elapsed())
}

/// Until it hears of signals (SIGINT is bit 1 of SigCgt, SIGTERM bit 14): before that, they would simply kill.
#[cfg(target_os = "linux")]
pub fn listens(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    wait_until("the command catches signals", || {
        let status = std::fs::read_to_string(&path).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x4002 == 0x4002
    });
}

/// Both signals end what `stage` has brought to where it waits. A busy machine may be slow once, not three times.
pub fn ends_at_once(name: &str, requests: u64, mut stage: impl FnMut() -> Child) {
    for (signal, code, word) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let mut took = Duration::MAX;
        for _ in 0..3 {
            let (ran, time) = end(stage(), signal);
            assert_eq!(ran.code, Some(code), "{name}: {}", ran.all());
            let json = ran.json();
            assert_eq!(json["error"]["kind"], "interrupted", "{name}");
            assert_eq!((&json["error"]["message"], &json["ok"]), (&word.into(), &false.into()), "{name}");
            assert_eq!((&json["outcome"], &json["requests"]), (&"failed".into(), &requests.into()), "{name}");
            took = took.min(time);
            if took < AT_ONCE {
                break;
            }
        }
        assert!(took < AT_ONCE, "{name}: {took:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn signals_end_a_command_that_waits_for_the_lock() {
    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| request.as_asked());
    assert_eq!(finish(start(&words("register", &registrar.address, &state, &[]))).code, Some(0));
    let folder = std::fs::read_dir(state.path().join("registrations")).unwrap();
    let lock = folder
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "lock"));
    let lock = std::fs::File::open(lock.unwrap()).unwrap();
    lock.lock().unwrap();
    for verb in ["register", "list", "unregister"] {
        ends_at_once(verb, 0, || {
            let child = start(&words(verb, &registrar.address, &state, &["--json"]));
            listens(&child);
            child
        });
    }
    assert_eq!(registrar.requests().len(), 1);
}

/// LOC-026
#[test]
fn signals_end_a_command_that_waits_for_the_name_service() {
    let mut held = Vec::new();
    ends_at_once("DNS", 0, || {
        let state = tempfile::tempdir().unwrap();
        let (silent, server) = peer::silent();
        let child =
            start(&words("list", "sip:registrar.example", &state, &["--nameserver", &server, "--json"]));
        silent.recv_from(&mut [0; 512]).unwrap();
        held.push(silent);
        child
    });
}

/// A connection that is never accepted: the queue of the listener is full, and the system keeps trying.
#[cfg(target_os = "linux")]
#[test]
fn signals_end_a_command_that_waits_for_a_connection() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _waiting = std::net::TcpStream::connect(address).unwrap();
    ends_at_once("connecting", 0, || {
        let state = tempfile::tempdir().unwrap();
        let child =
            start(&words("register", &address.to_string(), &state, &["--transport", "tcp", "--json"]));
        listens(&child);
        child
    });
}

#[test]
fn signals_end_a_command_that_waits_for_an_answer_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut held = Vec::new();
    ends_at_once("TCP", 1, || {
        let state = tempfile::tempdir().unwrap();
        let child = start(&words("list", &address, &state, &["--transport", "tcp", "--json"]));
        let mut accepted = None;
        wait_until("the command connects", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (mut stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        held.push(stream);
        child
    });
}

#[test]
fn signals_end_a_command_that_waits_for_an_answer_to_its_credentials() {
    ends_at_once("401", 2, || {
        let state = tempfile::tempdir().unwrap();
        let (socket, address) = peer::silent();
        let more = ["--contact", "sip:x@192.0.2.7", "--password", "uncertainty", "--json"];
        let child = start(&words("unregister", &address, &state, &more));
        let (request, from) = peer::receive(&socket);
        peer::answer(&socket, from, &request, "401 Unauthorized", &[CHALLENGE]);
        peer::receive(&socket);
        child
    });
}

#[test]
fn signals_end_a_command_that_waits_to_try_again() {
    let refusing =
        Registrar::udp(|_, request| request.answer("503 Service Unavailable", &["Retry-After: 600"]));
    ends_at_once("retry", 1, || {
        let state = tempfile::tempdir().unwrap();
        let mut child =
            start(&words("register", &refusing.address, &state, &["--retry-for", "1h", "--json"]));
        until(&mut child, "retry: answered 503");
        child
    });
}

/// DES-024: what a request that was interrupted may have bound is remembered, and the next `unregister` removes it.
#[test]
fn what_an_interrupted_register_may_have_bound_can_be_removed() {
    let state = tempfile::tempdir().unwrap();
    let (socket, address) = peer::silent();
    let child = start(&words("register", &address, &state, &["--json"]));
    let (request, _) = peer::receive(&socket);
    assert_eq!(end(child, "-INT").0.code, Some(130));
    let registrar = Registrar::on(socket, |_, request| request.as_asked());
    assert_eq!(finish(start(&words("unregister", &address, &state, &[]))).code, Some(0));
    let came = registrar.requests();
    let last = came.last().unwrap();
    assert_eq!(last.header("Contact"), peer::header(&request, "Contact"));
    assert_eq!((last.header("Expires"), last.cseq()), ("0", 2));
}

/// One run of each command that succeeds, and what the registrar says to it.
const EACH: [(&str, &[&str]); 4] = [
    ("register", &[]),
    ("list", &[]),
    ("unregister", &["--contact", "sip:x@192.0.2.7"]),
    ("unregister", &["--all", "--yes"]),
];

fn obliging() -> Registrar {
    Registrar::udp(|_, request: &Request| request.as_asked())
}

#[test]
fn a_reader_that_goes_away_ends_every_command_quietly() {
    let registrar = obliging();
    for (verb, options) in EACH {
        for extra in [&[][..], &["--json"], &["--dry-run"], &["--json-schema"]] {
            let state = tempfile::tempdir().unwrap();
            let words = words(verb, &registrar.address, &state, &[options, extra].concat());
            let mut child = start(&words);
            drop(child.stdout.take());
            let ran = finish(child);
            assert_eq!(ran.code, Some(0), "{words:?} {}", ran.all());
            assert!(ran.stderr.lines().all(|line| line.starts_with("hint: ")), "{words:?} {}", ran.all());

            // Closed before it began.
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_sipreg")])
                .args(&words)
                .env_clear();
            let ran = finish(
                shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(),
            );
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{words:?} {}", ran.all());
        }
    }
    // A list of which nobody reads more than the beginning.
    let many = Registrar::udp(|_, request| {
        let rows: Vec<String> = (0..400).map(|n| format!("<sip:{n}@192.0.2.1>;expires=60")).collect();
        request.ok(&[&rows.join(", ")])
    });
    let state = tempfile::tempdir().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", "set -o pipefail; \"$0\" \"$@\" | head -c 1", env!("CARGO_BIN_EXE_sipreg")]);
    shell.args(words("list", &many.address, &state, &["--json"])).env_clear().env("PATH", "/usr/bin:/bin");
    let ran =
        finish(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "{", ""), "{}", ran.all());
}

/// Errors are told; nothing else is.
#[test]
fn quiet_prints_nothing_but_errors() {
    let registrar = obliging();
    for (verb, options) in EACH {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("registrations"), "in the way").unwrap();
        let ran = finish(start(&words(verb, &registrar.address, &state, &[options, &["-q"]].concat())));
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{verb}");
        let ran = finish(start(&words(verb, &dead(), &state, &[options, &["-q"]].concat())));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{verb}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.all());
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_force_them() {
    let registrar = obliging();
    for (verb, options) in EACH {
        for (variables, extra, colored) in [
            (&[][..], &[][..], false),
            (&[("CLICOLOR_FORCE", "1")], &[], true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[], false),
            (&[("NO_COLOR", "1")], &["--color", "always"], true),
            (&[("CLICOLOR_FORCE", "1")], &["--color", "never"], false),
            (&[("CLICOLOR_FORCE", "1")], &["--json"], false),
        ] {
            let state = tempfile::tempdir().unwrap();
            let words = words(verb, &registrar.address, &state, &[options, extra].concat());
            let ran = with_environment(&words.iter().map(String::as_str).collect::<Vec<_>>(), variables);
            assert_eq!(ran.code, Some(0), "{}", ran.all());
            assert_eq!(ran.stdout.contains('\u{1b}'), colored, "{words:?} {variables:?}");
        }
    }
}

/// How many columns a terminal needs for it: two for what East Asian fonts and emoji draw wide.
fn width(text: &str) -> usize {
    let is_wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}')
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// What others wrote stands last in its line, so that no width of theirs moves ours.
#[test]
fn wide_characters_leave_the_columns_where_they_are() {
    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|n, request| match n {
        1 => {
            let challenge = CHALLENGE.replace("munich.de", "東京の電話局 ☎️📞");
            request.answer("401 Unauthorized", &[&challenge])
        }
        _ => request.ok(&[
            "\"山田 太郎 📞\" <sip:yamada@192.0.2.1>;q=0.5;expires=60",
            "\"שלום\u{202e}\" <sip:%E5%B1%B1%E7%94%B0@192.0.2.2;x=%F0%9F%93%9E>;expires=3600",
            "<sip:x@192.0.2.3>;q=0.125;expires=5400;note=\"山\"",
        ]),
    });
    let ran = finish(start(&words("list", &registrar.address, &state, &["--password", "x"])));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let column = |text: &str| {
        let line = lines
            .iter()
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("{text} in {}", ran.all()));
        width(&line[..line.find(text).unwrap()])
    };
    assert_eq!(column("sip:yamada@"), column("sip:%E5%B1%B1"));
    assert_eq!(column("sip:yamada@"), column("sip:x@"));
    assert_eq!(column("Digest MD5"), column("127.0.0.1:"));
    assert!(ran.stdout.contains("realm \"東京の電話局 ☎️📞\""), "{}", ran.all());
    assert!(lines.iter().all(|line| width(line) <= 80), "{}", ran.all());
    assert!(!ran.stdout.contains('\u{202e}'));
}

/// Too few descriptors are told as what they are, by whoever needs them: 5 for a client, 2 for a server that begins; and
/// never as a bug.
#[cfg(target_os = "linux")]
#[test]
fn too_few_descriptors_are_no_bug() {
    let limited = |many: u32, args: &[&str]| {
        let script = format!("ulimit -n {many} && exec timeout 5 \"$0\" \"$@\"");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_sipreg")]).args(args).env_clear();
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let mut seen = [0, 0];
    for many in 4..12 {
        let register = ["register", "bob@munich.de", "--registrar", "127.0.0.1:9", "--stateless"];
        let serve = ["serve", "--no-auth", "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
        for (which, (args, code)) in [(&register[..], 5), (&serve, 2)].into_iter().enumerate() {
            let ran = limited(many, args);
            let said = String::from_utf8_lossy(&ran.stderr);
            // With so many that it works, the registrar refuses, or the server is ended.
            let works = said.contains("connection refused") || ran.status.code() == Some(124);
            if works || ran.status.code() == Some(127) {
                continue;
            }
            assert_eq!(ran.status.code(), Some(code), "{many}: {said}");
            assert!(said.contains("too many open files") && said.contains("ulimit -n"), "{many}: {said}");
            seen[which] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}
