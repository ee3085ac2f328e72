//! `sipreg serve --store FILE.db`: what was confirmed is there after a crash, and files that can't be used are told.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use std::io::{Read, Write};

use crate::run::{Ran, finish, sipreg, wait_until, with_environment};
use crate::serve::{Server, name};

const OPTIONS: [&str; 3] = ["--no-auth", "--listen", "udp:127.0.0.1:0"];

/// A server whose bindings are in that file.
fn start(path: &Path, more: &[&str]) -> Server {
    let mut options = OPTIONS.to_vec();
    options.extend(["--store", path.to_str().unwrap()]);
    options.extend(more);
    Server::start(&options, 1 + more.iter().filter(|word| **word == "--listen").count())
}

fn client(words: &[&str], server: &Server, state: &Path) -> Ran {
    let mut all = words.to_vec();
    all.extend(["--registrar", &server.at[0], "--state-dir", state.to_str().unwrap()]);
    with_environment(&all, &[])
}

/// The contacts that a list shows.
fn listed(aor: &str, server: &Server, state: &Path) -> Vec<String> {
    let ran = client(&["list", aor, "--json"], server, state);
    let json = ran.json();
    let bindings = json["bindings"].as_array().unwrap_or_else(|| panic!("{}", ran.all()));
    bindings.iter().map(|binding| binding["uri"].as_str().unwrap().to_owned()).collect()
}

/// RGR-034, RGR-044: and what runs out then is told.
#[test]
fn what_was_confirmed_is_there_when_the_server_was_killed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bindings.db");
    let server = start(&path, &[]);
    let words = ["register", "alice@localhost", "--contact", "sip:alice@192.0.2.7"];
    assert_eq!(client(&words, &server, home.path()).code, Some(0));
    let words = ["register", "bob@localhost", "--contact", "sip:bob@192.0.2.8", "--expires", "61"];
    assert_eq!(client(&words, &server, home.path()).code, Some(0));
    drop(server);

    let server = start(&path, &[]);
    assert_eq!(listed("alice@localhost", &server, home.path()), ["sip:alice@192.0.2.7"]);
    let (events, code) = server.stop();
    assert_eq!((name(events.last().unwrap()), code), ("stopped", Some(0)));

    let checked = sipreg(&["serve", "--store-check", path.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{}", checked.all());
    assert!(checked.stdout.contains("is sound: 2 bindings of 2 addresses\n"), "{}", checked.stdout);
}

/// Mistakes, and files that can't be used: told with the file, which is left as it was.
#[test]
fn a_file_that_can_not_be_used_is_told_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = home.path().join("good.db");
    let server = start(&good, &[]);
    let words = ["register", "alice@localhost", "--contact", "sip:alice@192.0.2.7"];
    assert_eq!(client(&words, &server, home.path()).code, Some(0));
    let in_use = good.to_str().unwrap().to_owned();
    let refused = |path: &str, what: &str| {
        let before = fs::read(path).ok();
        for option in ["--store", "--store-check"] {
            let mut words = vec!["serve", option, path];
            words.extend(if option == "--store" { &OPTIONS[..] } else { &[] });
            let ran = sipreg(&words);
            let starts = format!("error: {option}: \"{path}\" ");
            let is_told = ran.stderr.starts_with(&starts) && ran.stderr.contains(what);
            assert!(ran.code == Some(2) && is_told && ran.stdout.is_empty(), "{}", ran.all());
        }
        assert!(fs::read(path).ok() == before, "{path}: it was changed");
    };
    refused(&in_use, "is in use by another server");
    server.stop();
    let mut octets = fs::read(&good).unwrap();
    refused(&file("users.db", b"alice:localhost:0123\n"), "is no store of sipreg");
    refused(&file("empty.db", b""), "is damaged: it is empty");
    refused(&file("cut.db", &octets[..5000]), "is damaged: ");
    octets[64..320].iter_mut().for_each(|octet| *octet ^= 1);
    refused(&file("damaged.db", &octets), "is damaged: ");
    refused(&home.path().join("no/folder.db").to_string_lossy(), "can't be used: No such file or directory");
    for (name, why) in [("bindings", "is no store"), (".db", "is no store"), ("", "is no store")] {
        let ran = sipreg(&["serve", "--no-auth", "--store", name]);
        let hint = "memory, a file whose name ends in .db, or redis://HOST";
        assert!(
            ran.code == Some(2) && ran.stderr.contains(why) && ran.stderr.contains(hint),
            "{}",
            ran.all()
        );
    }
}

/// RGR-008: a file that can't grow: changes get 503, what is there is listed, and it comes back by itself.
#[cfg(target_os = "linux")]
#[test]
fn a_store_that_can_not_be_written_refuses_changes_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bindings.db");
    start(&path, &[]).stop();
    let blocks = fs::metadata(&path).unwrap().len() / 512 + 64;
    // A file that is to be larger than allowed is an error, and no signal.
    let script = format!(
        "trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" serve --json --no-auth --listen udp:127.0.0.1:0 --store \"$1\""
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_sipreg"), path.to_str().unwrap()]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut server = Server::started(command, 1);
    let mut load = Load::new(200);
    let failed = loop {
        load.run(&server.at[0], Duration::from_millis(200), &AtomicBool::new(false));
        if load.refused > 0 {
            break server.until("store_failed");
        }
    };
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("bindings.db: ") && message.contains("File too large"), "{message}");
    let confirmed = load.confirmed.clone();
    load.must_be_bound(&server.at[0]);
    let raised = std::process::Command::new("prlimit")
        .args(["--pid", &server.pid(), "--fsize=unlimited:"])
        .status()
        .unwrap();
    assert!(raised.success());
    assert_eq!(server.until("store_back")["message"], serde_json::Value::Null);
    load.refused = 0;
    load.run(&server.at[0], Duration::from_millis(300), &AtomicBool::new(false));
    assert_eq!(load.refused, 0);
    assert!(load.confirmed.iter().any(|(user, version)| confirmed.get(user) != Some(version)));
    drop(server);
    let server = start(&path, &[]);
    load.must_be_bound(&server.at[0]);
    server.stop();
}

/// DSR-001: a connection of before is not the one that has its number now.
#[test]
fn a_binding_whose_connection_is_gone_is_listed_and_gets_no_calls() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bindings.db");
    let connect = |server: &Server| {
        let stream = TcpStream::connect(&server.at[1]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let say = |mut stream: &TcpStream, text: &str| {
        stream.write_all(text.replace('|', "\r\n").as_bytes()).unwrap();
        let mut octets = [0; 4096];
        let length = stream.read(&mut octets).unwrap();
        String::from_utf8_lossy(&octets[..length]).into_owned()
    };
    let register = |user: &str| {
        format!(
            "REGISTER sip:localhost SIP/2.0|Via: SIP/2.0/TCP x.invalid;branch=z9hG4bK{user};rport|Max-Forwards: 70|\
             From: <sip:{user}@localhost>;tag=1|To: <sip:{user}@localhost>|Call-ID: {user}|CSeq: 1 REGISTER|\
             Contact: <sip:{user}@x.invalid;transport=tcp>|Content-Length: 0||"
        )
    };
    let tcp = ["--listen", "tcp:127.0.0.1:0"];
    let server = start(&path, &tcp);
    let alice = connect(&server);
    assert!(say(&alice, &register("alice")).starts_with("SIP/2.0 200 "));
    drop(server);

    let server = start(&path, &tcp);
    let bob = connect(&server);
    assert!(say(&bob, &register("bob")).starts_with("SIP/2.0 200 "));
    assert_eq!(listed("alice@localhost", &server, home.path()), ["sip:alice@x.invalid;transport=tcp"]);
    let caller = connect(&server);
    let call = |user: &str| {
        format!(
            "MESSAGE sip:{user}@localhost SIP/2.0|Via: SIP/2.0/TCP y.invalid;branch=z9hG4bKm{user};rport|Max-Forwards: 70|\
             From: <sip:carol@localhost>;tag=1|To: <sip:{user}@localhost>|Call-ID: m{user}|CSeq: 1 MESSAGE|Content-Length: 0||"
        )
    };
    assert!(say(&caller, &call("alice")).starts_with("SIP/2.0 480 "));
    // Who has connected since is called.
    (&caller).write_all(call("bob").replace('|', "\r\n").as_bytes()).unwrap();
    let mut octets = [0; 4096];
    let length = (&bob).read(&mut octets).unwrap();
    assert!(octets[..length].starts_with(b"MESSAGE sip:bob@x.invalid"));
    server.stop();
}

/// Devices that register as fast as they can, each after the answer to its last REGISTER.
struct Load {
    socket: UdpSocket,
    users: u32,
    /// The number of the REGISTER that was confirmed last, by user.
    confirmed: BTreeMap<u32, u32>,
    /// Of the last one that was sent.
    asked: BTreeMap<u32, u32>,
    last: u32,
    refused: u32,
}

impl Load {
    fn new(users: u32) -> Load {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (confirmed, asked) = (BTreeMap::new(), BTreeMap::new());
        Load { socket, users, confirmed, asked, last: 0, refused: 0 }
    }

    fn send(&mut self, user: u32, binds: bool, at: &str) {
        self.last += 1;
        let n = self.last;
        let port = self.socket.local_addr().unwrap().port();
        let contact = match binds {
            true => format!("Contact: <sip:u{user}@127.0.0.1:9>;v={n};expires=3600\r\n"),
            false => String::new(),
        };
        let text = format!(
            "REGISTER sip:localhost SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}u{user}\r\nMax-Forwards: 70\r\n\
             From: <sip:u{user}@localhost>;tag=1\r\nTo: <sip:u{user}@localhost>\r\nCall-ID: u{user}\r\nCSeq: {n} REGISTER\r\n\
             {contact}Content-Length: 0\r\n\r\n"
        );
        if binds {
            self.asked.insert(user, n);
        }
        let _ = self.socket.send_to(text.as_bytes(), at);
    }

    /// The next answer: user, CSeq, status, and the bindings in it.
    fn receive(&self, within: Duration) -> Option<(u32, u32, u16, Vec<u32>)> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut octets = [0; 4096];
        let length = self.socket.recv(&mut octets).ok()?;
        let text = std::str::from_utf8(&octets[..length]).unwrap();
        let row = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let versions = text.lines().filter(|line| line.starts_with("Contact: "));
        let version =
            |line: &str| line.split(";v=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        Some((
            row("Call-ID: u").parse().unwrap(),
            row("CSeq: ").split(' ').next().unwrap().parse().unwrap(),
            text[8..11].parse().unwrap(),
            versions.map(version).collect(),
        ))
    }

    /// Goes on for so long after the first answer, which has half a minute.
    #[allow(clippy::disallowed_methods, reason = "it measures the time that a load lasts")]
    fn run(&mut self, at: &str, span: Duration, answered: &AtomicBool) {
        let mut end = Instant::now() + Duration::from_secs(30);
        for user in 0..self.users {
            self.send(user, true, at);
        }
        while Instant::now() < end {
            let Some((user, cseq, status, _)) = self.receive(Duration::from_millis(20)) else { continue };
            if !answered.swap(true, Ordering::Relaxed) {
                end = Instant::now() + span;
            }
            if status == 200 {
                let confirmed = self.confirmed.entry(user).or_default();
                *confirmed = cseq.max(*confirmed);
            } else {
                self.refused += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            self.send(user, true, at);
        }
        // What is on its way counts, too.
        while let Some((user, cseq, status, _)) = self.receive(Duration::from_millis(50)) {
            if status == 200 {
                let confirmed = self.confirmed.entry(user).or_default();
                *confirmed = cseq.max(*confirmed);
            }
        }
    }

    /// Everybody is bound as was confirmed last, or as was asked for after that.
    fn must_be_bound(&mut self, at: &str) {
        for user in 0..self.users {
            let confirmed = self.confirmed.get(&user).copied();
            let asked = self.asked.get(&user).copied().unwrap_or(0);
            let found = loop {
                self.send(user, false, at);
                let n = self.last;
                let answer = std::iter::from_fn(|| self.receive(Duration::from_millis(500)));
                if let Some((.., versions)) = answer.into_iter().find(|(_, cseq, ..)| *cseq == n) {
                    break versions;
                }
            };
            match (confirmed, &found[..]) {
                (None, []) => {}
                (_, [found]) => {
                    let confirmed = confirmed.unwrap_or(0);
                    assert!(
                        (confirmed..=asked).contains(found),
                        "u{user}: {found}, not {confirmed}..={asked}"
                    );
                    self.confirmed.insert(user, *found);
                }
                _ => panic!("u{user}: {found:?}, confirmed is {confirmed:?}"),
            }
        }
    }
}

/// Kills the server under load, again and again.
fn kill(rounds: u64) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("bindings.db");
    let mut load = Load::new(200);
    for round in 0..rounds {
        let server = start(&path, &["--quiet"]);
        load.must_be_bound(&server.at[0]);
        // The load ends before the server, or after it.
        let (at, span) = (server.at[0].clone(), Duration::from_millis(20 + round * 37 % 200));
        let answered = Arc::new(AtomicBool::new(false));
        if round % 2 == 0 {
            load.run(&at, span, &answered);
            for user in 0..load.users {
                load.send(user, true, &at);
            }
            drop(server);
        } else {
            let seen = Arc::clone(&answered);
            let killed = std::thread::spawn(move || {
                wait_until("something is answered", || seen.load(Ordering::Relaxed));
                std::thread::sleep(span);
                drop(server);
            });
            load.run(&at, span + Duration::from_millis(50), &answered);
            killed.join().unwrap();
        }
        assert!(answered.load(Ordering::Relaxed), "round {round}: nothing was answered");
    }
    let server = start(&path, &[]);
    load.must_be_bound(&server.at[0]);
    server.stop();
    let checked = sipreg(&["serve", "--store-check", path.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{}", checked.all());
}

/// RGR-008.
#[test]
fn what_was_confirmed_survives_kills_under_load() {
    kill(5);
}

/// RGR-008.
#[test]
#[ignore = "takes a minute"]
fn what_was_confirmed_survives_a_hundred_kills_under_load() {
    kill(100);
}

/// The demonstration goes the same with a store in a file.
#[test]
fn the_demonstration_keeps_its_bindings_where_it_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("demo.db");
    let ran =
        finish(crate::run::command(&["demo", "--quiet", "--store", path.to_str().unwrap()]).spawn().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert_eq!(sipreg(&["serve", "--store-check", path.to_str().unwrap()]).code, Some(0));
}
