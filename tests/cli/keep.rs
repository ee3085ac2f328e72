//! `sipreg keep`, as it is started, with `sipreg serve` as its registrar.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use serde_json::Value;

use crate::run::{Ran, command, finish, wait_until};
use crate::serve::Server;

/// A registrar that anybody may use; leases from a second on.
pub fn serve() -> Server {
    serve_at("127.0.0.1:0", "127.0.0.1:0")
}

fn serve_at(udp: &str, tcp: &str) -> Server {
    let (udp, tcp) = (format!("udp:{udp}"), format!("tcp:{tcp}"));
    let options = ["--no-auth", "--min-expires", "1", "--listen", &udp, "--listen", &tcp];
    Server::started(command(&[&["serve", "--json"], &options[..]].concat()), 2)
}

/// A `keep` at work, and what it tells.
pub struct Keep {
    child: Child,
    told: BufReader<ChildStdout>,
}

pub fn keep(at: &str, home: &Path, args: &[&str]) -> Keep {
    keep_with(at, home, args, &[])
}

/// With more in its environment.
pub fn keep_with(at: &str, home: &Path, args: &[&str], environment: &[(&str, &str)]) -> Keep {
    let mut command = keeping(at, home, &[&["--json"], args].concat());
    let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    Keep { child, told }
}

fn keeping(at: &str, home: &Path, args: &[&str]) -> Command {
    let mut command = command(&[&["keep", "--registrar", at], args].concat());
    command.env("HOME", home);
    command
}

pub fn client(verb: &str, at: &str, home: &Path, args: &[&str]) -> Ran {
    let mut command = command(&[&[verb, "alice@localhost", "--registrar", at], args].concat());
    command.env("HOME", home);
    finish(command.spawn().unwrap())
}

pub fn name(event: &Value) -> &str {
    event["event"].as_str().unwrap()
}

impl Keep {
    pub fn next(&mut self) -> Value {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next event, which must be this.
    pub fn tells(&mut self, wanted: &str) -> Value {
        let event = self.next();
        assert_eq!(name(&event), wanted, "{event}");
        event
    }

    /// Its process, which `setsid` has become.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid()]).status().unwrap().success());
    }

    /// Names of the events that are left, stderr, and the exit status.
    pub fn end(mut self) -> (Vec<String>, String, Option<i32>) {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).unwrap();
        let events = rest.lines().map(|line| name(&serde_json::from_str(line).unwrap()).to_owned()).collect();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (events, stderr, self.child.wait().unwrap().code())
    }
}

/// DES-012 DES-018: the registrar is killed and starts again, without what it knew. It is bound again within the lease and the
/// pause after the first failure.
#[test]
fn a_registrar_that_is_killed_and_started_again_is_found() {
    let home = tempfile::tempdir().unwrap();
    for (n, transport) in ["udp", "tcp"].iter().enumerate() {
        let mut server = serve();
        let [udp, tcp] = [server.at[0].clone(), server.at[1].clone()];
        let args = ["alice@localhost", "-e", "3", "--transport", transport];
        let mut keep = keep(&server.at[n].clone(), home.path(), &args);
        keep.tells("registering");
        let before = keep.tells("registered");
        drop(server);
        let lost = keep.next();
        assert!(["failed", "flow_failed"].contains(&name(&lost)), "{lost}");
        server = serve_at(&udp, &tcp);
        let again = loop {
            let event = keep.next();
            match name(&event) {
                "registered" | "refreshed" => break event,
                "failed" | "registering" => {}
                other => panic!("{other}: {event}"),
            }
        };
        assert_eq!(again["call_id"], before["call_id"]);
        assert_eq!(name(&server.next()), "bound");
        keep.signal("-TERM");
        assert_eq!(keep.end().2, Some(0));
        server.stop();
    }
}

/// DES-024: whoever was killed is followed by one that takes the same binding over.
#[test]
fn after_a_kill_the_same_binding_is_taken_over() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let at = server.at[0].clone();
    let mut first = keep(&at, home.path(), &["alice@localhost"]);
    first.tells("registering");
    let before = first.tells("registered");
    first.signal("-KILL");
    first.child.wait().unwrap();
    let mut second = keep(&at, home.path(), &["alice@localhost"]);
    second.tells("registering");
    let after = second.tells("registered");
    assert_eq!((&after["contact"], &after["call_id"]), (&before["contact"], &before["call_id"]));
    assert_eq!(after["bindings"].as_array().unwrap().len(), 1, "{after}");
    // Others beside it make bindings of their own, and leave this one alone.
    let mut third = keep(&at, home.path(), &["alice@localhost"]);
    third.tells("registering");
    assert_eq!(third.tells("registered")["bindings"].as_array().unwrap().len(), 2);
    let beside = client("unregister", &at, home.path(), &["--json"]);
    assert_eq!(beside.code, Some(2), "{}", beside.all());
    assert!(beside.json()["error"]["message"].as_str().unwrap().contains("keep"), "{}", beside.all());
    assert_eq!(client("register", &at, home.path(), &[]).code, Some(0));
    assert_eq!(client("unregister", &at, home.path(), &[]).code, Some(0));
    for keep in [second, third] {
        keep.signal("-INT");
        let (events, _, code) = keep.end();
        assert_eq!((events, code), (vec!["unregistered".to_owned(), "stopped".to_owned()], Some(0)));
    }
    let listed = client("list", &at, home.path(), &["--json", "--stateless"]).json();
    assert_eq!(listed["bindings"], serde_json::json!([]));
    server.stop();
}

#[test]
fn a_program_runs_while_all_are_bound_and_its_status_is_ours() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let script = "echo $SIPREG_AOR $SIPREG_CONTACT; exit 9";
    let args = ["alice@localhost", "bob@localhost", "--quiet", "--", "sh", "-c", script];
    let ran = finish(keeping(&server.at[0], home.path(), &args).spawn().unwrap());
    assert_eq!(ran.code, Some(9), "{}", ran.all());
    assert!(ran.stdout.starts_with("sip:alice@localhost sip:alice@127.0.0.1:"), "{}", ran.all());
    let args = ["alice@localhost", "--", "/nowhere/at/all"];
    let ran = finish(keeping(&server.at[0], home.path(), &args).spawn().unwrap());
    assert_eq!(ran.code, Some(127), "{}", ran.all());
    let listed = client("list", &server.at[0], home.path(), &["--json"]).json();
    assert_eq!(listed["bindings"], serde_json::json!([]));
    server.stop();
}

/// A program is told to end by the signal that ends us, with all that it started, and its status is ours however it ends;
/// the binding goes after it.
#[cfg(target_os = "linux")]
#[test]
fn a_program_ends_before_its_binding_and_within_its_time() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let file = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    for (n, (script, signals, expected)) in [
        ("trap 'echo cleaned > CLEAN; exit 5' TERM; echo > UP; sleep 60 & wait", &["-TERM"][..], 5),
        ("trap 'echo cleaned > CLEAN; exit 6' INT; echo > UP; sleep 60 & wait", &["-INT"], 6),
        ("echo > UP; exec sleep 60", &["-TERM"], 143),
        ("trap '' TERM; echo > UP; sleep 60", &["-TERM"], 137),
        ("trap '' TERM; echo > UP; sleep 60 & wait; wait", &["-TERM", "-TERM"], 143),
    ]
    .into_iter()
    .enumerate()
    {
        let (up, clean) = (file(&format!("up{n}")), file(&format!("clean{n}")));
        let script = script.replace("UP", &up).replace("CLEAN", &clean);
        let args = ["alice@localhost", "--", "sh", "-c", &script];
        let keep = keep(&server.at[0], home.path(), &args);
        wait_until("the program runs", || std::path::Path::new(&up).exists());
        let group = program(&keep);
        for signal in signals {
            keep.signal(signal);
            // The first one has been heard by then.
            std::thread::sleep(Duration::from_millis(300));
        }
        let (events, stderr, code) = keep.end();
        assert_eq!(code, Some(expected), "{script}: {events:?} {stderr}");
        assert_eq!(std::path::Path::new(&clean).exists(), script.contains("cleaned"), "{script}");
        if signals.len() == 1 {
            assert!(events.contains(&"unregistered".to_owned()), "{script}: {events:?}");
        }
        wait_until("all of its group have ended", || !is_there(&group));
    }
    server.stop();
}

/// Nobody is left behind by a death that can't be caught.
#[cfg(target_os = "linux")]
#[test]
fn a_program_ends_with_a_keep_that_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let up = home.path().join("up");
    let script = format!("trap '' TERM INT HUP; echo > {}; while :; do sleep 0.1; done", up.display());
    let keep = keep(&server.at[0], home.path(), &["alice@localhost", "--", "sh", "-c", &script]);
    wait_until("the program runs", || up.exists());
    let group = program(&keep);
    keep.signal("-KILL");
    wait_until("the program has ended", || !is_there(&group));
    server.stop();
}

/// The program that a keep has started, whose process group has its id.
#[cfg(target_os = "linux")]
fn program(keep: &Keep) -> String {
    let pid = keep.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

/// Whether any process of that group lives; whoever waits to be waited for does not.
#[cfg(target_os = "linux")]
fn is_there(group: &str) -> bool {
    let lives = |stat: String| {
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let (state, own_group) = (fields.next(), fields.nth(1));
        own_group == Some(group) && state != Some("Z")
    };
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok());
    let mut stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.any(lives)
}

#[test]
fn signals_refresh_and_say_how_things_stand_and_a_program_hears_of_events() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let heard = home.path().join("heard");
    let hook = format!("echo $SIPREG_EVENT $SIPREG_AOR $(wc -l) >> {}", heard.to_str().unwrap());
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost", "--on-event", &hook]);
    keep.tells("registering");
    keep.tells("registered");
    keep.signal("-HUP");
    keep.tells("refreshed");
    keep.signal("-USR1");
    // Both signals were heard before the third is: they are looked for in this order.
    std::thread::sleep(Duration::from_millis(300));
    keep.signal("-TERM");
    let (events, stderr, code) = keep.end();
    assert_eq!((events, code), (vec!["unregistered".to_owned(), "stopped".to_owned()], Some(0)));
    assert!(stderr.starts_with("alice@localhost: bound for 1h, next in "), "{stderr}");
    let heard = std::fs::read_to_string(heard).unwrap();
    let lines: Vec<&str> = heard.lines().collect();
    let expected = ["registering", "registered", "refreshed", "unregistered", "stopped"]
        .map(|event| format!("{event} sip:alice@localhost 1"));
    assert_eq!(lines, expected);
    server.stop();
}

/// What other devices do to the list is an event of its own, and each event says for how long the account is still bound.
#[test]
fn bindings_of_others_that_come_and_go_are_told() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost", "-e", "4"]);
    assert_eq!(keep.tells("registering")["bound_for"], Value::Null);
    let bound = keep.tells("registered")["bound_for"].as_f64().unwrap();
    assert!((3.0..=4.0).contains(&bound), "{bound}");
    let other = ["--contact", "sip:alice@192.0.2.9"];
    assert_eq!(client("register", &server.at[0], home.path(), &other).code, Some(0));
    keep.tells("refreshed");
    let changed = keep.tells("bindings_changed");
    let uris: Vec<&str> =
        changed["bindings"].as_array().unwrap().iter().map(|one| one["uri"].as_str().unwrap()).collect();
    assert!(uris.len() == 2 && uris.contains(&"sip:alice@192.0.2.9"), "{changed}");
    keep.tells("refreshed");
    assert_eq!(client("unregister", &server.at[0], home.path(), &other).code, Some(0));
    keep.tells("refreshed");
    assert_eq!(keep.tells("bindings_changed")["bindings"].as_array().unwrap().len(), 1);
    keep.signal("-TERM");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}

/// DES-009
#[test]
fn what_failed_for_good_ends_it_as_it_would_end_register() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let ran = finish(keeping(&server.at[0], home.path(), &["alice@elsewhere", "--json"]).spawn().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    let names: Vec<String> =
        ran.stdout.lines().map(|line| name(&serde_json::from_str(line).unwrap()).to_owned()).collect();
    assert_eq!(names, ["registering", "failed", "stopped"]);
    // One that works goes on.
    let mut keep = keep(&server.at[0], home.path(), &["alice@elsewhere", "bob@localhost", "--for", "1s"]);
    let (mut seen, mut failed) = (Vec::new(), Value::Null);
    for _ in 0..4 {
        let event = keep.next();
        if name(&event) == "failed" {
            failed = event.clone();
        }
        seen.push(name(&event).to_owned());
    }
    assert_eq!((&failed["next_attempt_in"], &failed["error"]["kind"]), (&Value::Null, &"refused".into()));
    assert!(seen.contains(&"registered".to_owned()), "{seen:?}");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_sent() {
    let home = tempfile::tempdir().unwrap();
    for (args, wanted) in [
        (&["alice@localhost", "-e", "0"][..], "binds nothing that could be kept"),
        (&["alice@localhost", "sip:alice@LOCALHOST"], "is there twice"),
        (&["alice@localhost", "--for", "0"], "--for"),
        (&["alice@localhost", "--probe", "x"], "--probe"),
        (&[], "AOR"),
    ] {
        let ran = finish(keeping("127.0.0.1:9", home.path(), args).spawn().unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?} {}", ran.all());
        assert!(ran.stderr.contains(wanted), "{args:?} {}", ran.all());
    }
    let schema = finish(keeping("127.0.0.1:9", home.path(), &["--json-schema"]).spawn().unwrap());
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(schema["properties"]["next_attempt_in"].is_object());
}
