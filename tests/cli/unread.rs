//! Nobody reads what `serve` and `keep` tell: they go on, and signals end them in their time.
#![cfg(target_os = "linux")]

use std::io::{PipeReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::keep::{keep, name, serve};
use crate::run::{command, wait_until};

/// A command whose stdout, a pipe, is full from now on.
struct Unread {
    child: Child,
    pipe: PipeReader,
}

/// Starts it, reads its first events, and fills the pipe.
fn unread(mut command: Command, events: usize) -> (Unread, Vec<Value>) {
    let (mut pipe, mut filler) = std::io::pipe().unwrap();
    // More of stderr than a pipe holds is not read either.
    let child = command.stdout(filler.try_clone().unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let told = (0..events).map(|_| next(&mut pipe)).collect();
    filler.write_all(format!("{:>65535}\n", "").as_bytes()).unwrap();
    (Unread { child, pipe }, told)
}

/// The next event, and not an octet more.
fn next(pipe: &mut PipeReader) -> Value {
    let (mut line, mut octet) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') {
        pipe.read_exact(&mut octet).unwrap();
        line.extend(octet);
    }
    serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

impl Unread {
    /// Its process: the program's own, not that of `setsid`.
    fn pid(&self) -> String {
        let pid = self.child.id();
        let own = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        own.split_whitespace().next().map_or(pid.to_string(), str::to_owned)
    }

    /// A signal ends it in its time; what the pipe holds are whole lines.
    #[allow(clippy::disallowed_methods, reason = "measures the program from outside")]
    fn ends(mut self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid()]).status().unwrap().success());
        let start = Instant::now();
        let code = self.child.wait().unwrap().code();
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert_eq!(code, Some(0));
        let mut rest = String::new();
        self.pipe.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.ends_with('\n'), "{rest:?}");
        for line in rest.lines().filter(|line| !line.trim().is_empty()) {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

/// A device beside a server, or a caller.
struct Peer(UdpSocket);

impl Peer {
    fn new(to: &str) -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Peer(socket)
    }

    /// A request; the status of its answer.
    fn ask(&self, method: &str, uri: &str, n: usize, more: &str) -> String {
        self.tries(method, uri, n, more).unwrap_or_else(|error| panic!("{method} {n}: {error}"))
    }

    /// A request to somebody who may be gone.
    fn tries(&self, method: &str, uri: &str, n: usize, more: &str) -> std::io::Result<String> {
        let at = self.0.local_addr().unwrap();
        let request = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:a{n}@localhost>;tag={n}\r\nTo: <sip:a{n}@localhost>\r\nCall-ID: {method}{n}@unread\r\n\
             CSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.0.send(request.as_bytes())?;
        let mut answer = [0; 65_536];
        let length = self.0.recv(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).split(' ').nth(1).unwrap_or_default().to_owned())
    }

    /// It is answered at once. A busy machine may be slow for a while, not always.
    #[allow(clippy::disallowed_methods, reason = "measures the program from outside")]
    fn is_answered(&self, uri: &str, n: usize) {
        let spans = (0..5).map(|again| {
            let start = Instant::now();
            assert_eq!(self.ask("OPTIONS", uri, n * 10 + again, ""), "200");
            start.elapsed()
        });
        let best = spans.min().unwrap();
        assert!(best < Duration::from_millis(100), "{best:?}");
    }
}

fn server(options: &[&str]) -> (Unread, Vec<String>) {
    let words = ["serve", "--json", "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
    let (server, told) = unread(command(&[&words, options].concat()), 2);
    let at = told.iter().map(|event| event["address"].as_str().unwrap().to_owned()).collect();
    assert!(told.iter().all(|event| event["dropped_events"] == 0));
    (server, at)
}

/// Unauthenticated rubbish over both transports, told on both streams.
#[test]
fn a_server_whose_output_nobody_reads_serves_and_ends() {
    for (signal, options) in [("-TERM", &["--no-auth"][..]), ("-INT", &["--no-auth", "-vv"])] {
        let (server, at) = server(options);
        let (babbler, peer) = (Peer::new(&at[0]), Peer::new(&at[0]));
        for n in 0..3 {
            for _ in 0..300 {
                babbler.0.send(b"REGISTER sip:localhost SIP/2.0\r\nno colon\r\n\r\n").unwrap();
                let mut stream = TcpStream::connect(&at[1]).unwrap();
                let _ = stream.write_all(b"no SIP at all\r\n\r\n\x80\x80\r\n\r\n");
            }
            peer.is_answered("sip:localhost", n);
        }
        server.ends(signal);
    }
}

/// What was left out is counted, by the next event and in the metrics, and nothing is told twice.
#[test]
fn a_reader_that_comes_back_learns_how_many_events_are_missing() {
    // Somebody else may have got the port meanwhile.
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (mut server, at) = server(&["--no-auth", "--max-contacts", "5", "--metrics", &metrics]);
    let peer = Peer::new(&at[0]);
    let bind = |n: usize| {
        let contact = format!("Contact: <sip:alice@127.0.0.1:9;n={n};x={:x>9000}>\r\nExpires: 600\r\n", "");
        let uri = "sip:localhost";
        assert_eq!(peer.ask("REGISTER", uri, n, &contact), "200");
    };
    let many = 200;
    (0..many).for_each(bind);
    peer.is_answered("sip:localhost", 1);
    let mut scrape = TcpStream::connect(&metrics).unwrap();
    scrape.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    scrape.read_to_string(&mut text).unwrap();
    let counted = text.lines().find_map(|line| line.strip_prefix("sipreg_dropped_events_total "));
    let counted: u64 = counted.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!((50..150).contains(&counted), "{counted}");
    // The filling; then what waited, and what comes now.
    std::io::copy(&mut (&mut server.pipe).take(65_536), &mut std::io::sink()).unwrap();
    let waited = many as u64 - counted;
    for _ in 0..waited {
        assert_eq!(next(&mut server.pipe)["dropped_events"], 0);
    }
    bind(many);
    let event = next(&mut server.pipe);
    assert_eq!((name(&event), &event["dropped_events"]), ("bound", &counted.into()));
    bind(many + 1);
    assert_eq!(next(&mut server.pipe)["dropped_events"], 0);
    server.ends("-TERM");
}

#[test]
fn an_account_whose_events_nobody_reads_is_kept_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let mut registrar = serve();
    for (signal, verbose) in [("-TERM", &[][..]), ("-INT", &["-vv"])] {
        let words = ["keep", "alice@localhost", "--registrar", &registrar.at[0], "--json"];
        let mut command = command(&[&words, verbose].concat());
        command.env("HOME", home.path());
        let (keep, told) = unread(command, 2);
        assert_eq!(name(&told[1]), "registered");
        let contact = told[1]["contact"].as_str().unwrap();
        let at = contact.trim_start_matches("sip:").split(['@', ';']).nth(1).unwrap();
        let peer = Peer::new(at);
        for n in 0..1000 {
            assert_eq!(peer.ask("OPTIONS", contact, n + 1000, ""), "200");
        }
        peer.is_answered(contact, 1);
        keep.ends(signal);
        assert_eq!(name(&registrar.next()), "bound");
        assert_eq!(name(&registrar.next()), "removed");
    }
    registrar.stop();
}

/// What strangers ask is told at a rate, every request counted, until the stop; the account's own events are all told.
#[test]
fn requests_of_strangers_are_told_at_a_rate_with_their_count() {
    let home = tempfile::tempdir().unwrap();
    let registrar = serve();
    let mut keep = keep(&registrar.at[0], home.path(), &["alice@localhost"]);
    keep.tells("registering");
    let registered = keep.tells("registered");
    assert_eq!(registered["count"], 0);
    let contact = registered["contact"].as_str().unwrap();
    let peer = Peer::new(contact.trim_start_matches("sip:").split(['@', ';']).nth(1).unwrap());
    for n in 0..500 {
        assert_eq!(peer.ask("OPTIONS", contact, n, ""), "200");
    }
    keep.signal("-TERM");
    let (mut told, mut count) = (0, 0);
    loop {
        let event = keep.next();
        match name(&event) {
            "incoming" => (told, count) = (told + 1, count + event["count"].as_u64().unwrap()),
            "unregistered" => assert_eq!(event["count"], 0),
            "stopped" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!((count, keep.end().2), (500, Some(0)));
    assert!((20..200).contains(&told), "{told}");
    registrar.stop();
}

/// A hook that is slower than strangers ask gets the account's own events all the same, one complaint is made, and what it
/// has started ends with it.
#[test]
fn a_slow_hook_gets_the_events_of_the_account_and_ends_with_its_group() {
    let home = tempfile::tempdir().unwrap();
    let registrar = serve();
    let heard = home.path().join("heard");
    let pids = home.path().join("pids");
    let hook = format!(
        "echo $SIPREG_EVENT >> {}; case $SIPREG_EVENT in incoming) sleep 77 & echo $! >> {}; wait;; esac",
        heard.display(),
        pids.display()
    );
    let mut keep = keep(&registrar.at[0], home.path(), &["alice@localhost", "--on-event", &hook]);
    keep.tells("registering");
    let registered = keep.tells("registered");
    let contact = registered["contact"].as_str().unwrap();
    let peer = Peer::new(contact.trim_start_matches("sip:").split(['@', ';']).nth(1).unwrap());
    wait_until("the hook has heard of it", || {
        std::fs::read_to_string(&heard).unwrap_or_default().contains("registered")
    });
    for round in 0..7 {
        for n in 0..50 {
            assert_eq!(peer.ask("OPTIONS", contact, round * 50 + n, ""), "200");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let started = std::fs::read_to_string(&pids).unwrap();
    keep.signal("-TERM");
    let (events, stderr, code) = keep.end();
    assert_eq!((events.last().map(String::as_str), code), (Some("stopped"), Some(0)));
    assert_eq!(stderr.matches("--on-event is too slow").count(), 1, "{stderr}");
    let heard = std::fs::read_to_string(&heard).unwrap();
    assert!(heard.contains("unregistered\nstopped\n"), "{heard}");
    let pid = started.lines().next().unwrap();
    wait_until("what the hook has started has ended", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    registrar.stop();
}

/// Who reads slowly gets everything, and who goes away ends it.
#[test]
fn a_slow_reader_gets_everything_and_one_that_goes_ends_it() {
    let words = ["serve", "--json", "--no-auth", "--listen", "udp:127.0.0.1:0"];
    let (mut pipe, writer) = std::io::pipe().unwrap();
    let mut command = command(&words);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    let at = next(&mut pipe)["address"].as_str().unwrap().to_owned();
    let peer = Peer::new(&at);
    for n in 0..500 {
        let contact = "Contact: <sip:alice@127.0.0.1:9>\r\nExpires: 600\r\n";
        assert_eq!(peer.ask("REGISTER", "sip:localhost", n, contact), "200");
    }
    for _ in 0..500 {
        let event = next(&mut pipe);
        assert_eq!((name(&event), &event["dropped_events"]), ("bound", &0.into()));
    }
    drop(pipe);
    peer.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut n = 500;
    // A process that another test is about to start may hold the other end for a moment.
    wait_until("it ends", || {
        n += 1;
        let _ = peer.tries("REGISTER", "sip:localhost", n, "Contact: <sip:alice@127.0.0.1:9>\r\n");
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
