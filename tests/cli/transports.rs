//! The one list that every transport passes, in both families: what `sipreg serve` does for who comes over it, and what
//! `sipreg register` does with who is there. Nothing here names a transport: what differs follows from what [`Transport`] says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Child;
use std::thread::{Builder, scope};

use serde_json::Value;
use sipreg::proto::Transport;
use sipreg::proto::digest::hash::{Exchange, Protection, ha1};
use sipreg::proto::digest::{Algorithm, Qop, Variant};

use crate::authority::Authority;
use crate::keep::keep_with;
use crate::line::{Door, End, Line};
use crate::peer::{header, response};
use crate::run::{Ran, command, finish, sipreg, with_environment};
use crate::serve::{Server, name};

const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

const PASSWORD: &str = "uncertainty";

/// One transport in one family, with a user of its own.
struct Way {
    transport: Transport,
    /// Where the server listens.
    at: SocketAddr,
    user: String,
    ca: String,
    certificate: String,
}

type Case = fn(&Way);

/// What a server does for who comes.
const SERVED: [Case; 6] = [
    Way::a_device_binds_lists_and_removes,
    Way::a_device_that_is_kept_is_refreshed_and_called,
    Way::two_who_came_talk_until_one_hangs_up,
    Way::messages_are_told_apart_however_they_come,
    Way::line_ends_keep_a_connection_alive,
    Way::what_cannot_be_served_spoils_nothing,
];

/// What a client does with who is there.
const ASKING: [Case; 6] = [
    Way::an_answer_counts_however_it_comes,
    Way::an_answer_that_cannot_be_read_spoils_nothing,
    Way::an_answer_without_end_is_given_up,
    Way::silence_has_its_time,
    Way::nobody_there_is_told_at_once,
    Way::a_server_that_leaves_is_told_at_once,
];

/// Every way there is.
fn ways(authority: &Authority) -> Vec<Way> {
    let (ca, certificate) = (authority.ca(), authority.signs("server.pem", &["127.0.0.1", "::1"]));
    let both = |transport: Transport| FAMILIES.map(|ip| (transport, ip));
    let way = |(transport, ip): (Transport, IpAddr)| {
        let user = format!("{transport}{}", if ip.is_ipv4() { 4 } else { 6 });
        Way { transport, at: (ip, 0).into(), user, ca: ca.clone(), certificate: certificate.clone() }
    };
    Transport::ALL.into_iter().flat_map(both).map(way).collect()
}

/// Goes all ways beside each other, for most of it is waiting: what each of them leaves.
fn each<T: Send>(ways: &[Way], goes: impl Fn(&Way) -> T + Sync) -> Vec<T> {
    scope(|scope| {
        let start = |way| {
            let goes = &goes;
            Builder::new().name(way_name(way)).spawn_scoped(scope, move || goes(way)).unwrap()
        };
        let running: Vec<_> = ways.iter().map(start).collect();
        running.into_iter().map(|way| way.join().expect("a way passes the list")).collect()
    })
}

fn way_name(way: &Way) -> String {
    format!("{} {}", way.transport, way.at)
}

/// REG-016 DES-019 DES-029 TRN-001 TRN-012 WSS-004 WSS-007 WSS-008 WSS-012 PRX-021 RGR-011: who is too slow is closed, and who
/// is there when the server ends hears of it.
#[test]
fn a_server_does_the_same_over_every_transport() {
    let authority = Authority::new();
    let mut ways = ways(&authority);
    let users = authority.path("users.txt");
    for way in &ways {
        let added = ["serve", "--add-user", &way.aor(), "--users", &users];
        assert_eq!(with_environment(&added, &[("SIPREG_PASSWORD", PASSWORD)]).code, Some(0));
    }
    let listen: Vec<String> = ways.iter().map(|way| format!("{}:{}", way.transport, way.at)).collect();
    let mut options = vec![
        "--domain",
        "munich.de",
        "--min-expires",
        "1",
        "--users",
        &users,
        "--tls-cert",
        &ways[0].certificate,
    ];
    options.extend(listen.iter().flat_map(|at| ["--listen", at]));
    let server = Server::start(&options, ways.len());
    for (way, at) in ways.iter_mut().zip(&server.at) {
        way.at = at.parse().unwrap();
    }
    let stay = each(&ways, |way| {
        let slow = way.slow_ones();
        for case in SERVED {
            case(way);
        }
        for (mut line, what) in slow {
            while line.octets().is_ok() {}
            println!("{what} was closed");
        }
        let mut line = way.line();
        way.is_served(&mut line);
        line
    });
    let (events, code) = scope(|scope| {
        for mut line in stay.into_iter().filter(|line| line.transport.is_reliable()) {
            scope.spawn(move || assert_eq!(line.octets(), Err(End::Orderly), "{}", line.transport));
        }
        server.stop()
    });
    let told = |event: &str, words: &str| {
        let is_it =
            |one: &&Value| name(one) == event && one["message"].as_str().unwrap_or_default().contains(words);
        events.iter().filter(is_it).count()
    };
    // By `register`, by `keep`, and by hand, as long as nobody is held up for seconds.
    assert!(told("bound", "") >= 3 * ways.len(), "{events:#?}");
    assert_eq!(told("removed", ""), 2 * ways.len(), "{events:#?}");
    let connections = ways.iter().filter(|way| way.transport.is_reliable()).count();
    assert_eq!(told("dropped", "too slow with a message"), connections, "{events:#?}");
    assert!(events.iter().all(|event| event["dropped_events"] == 0));
    assert_eq!((name(events.last().unwrap()), code), ("stopped", Some(0)));
}

/// The demonstration, which is a server and its clients in one process.
#[test]
fn the_demonstration_is_played_over_every_transport() {
    for transport in Transport::ALL {
        let ran = sipreg(&["demo", "--transport", transport.as_str()]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
        let words = format!("listens on {transport} 127.0.0.1:");
        assert!(ran.stdout.contains(&words), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("over {} in", transport.as_via())), "{}", ran.stdout);
    }
}

/// TRN-001 TRN-012 TRN-028 TRN-030 TRN-031 TXN-003 WSS-004 WSS-007 WSS-009
#[test]
fn a_client_does_the_same_over_every_transport() {
    let authority = Authority::new();
    each(&ways(&authority), |way| {
        for case in ASKING {
            case(way);
        }
    });
}

impl Way {
    fn aor(&self) -> String {
        format!("{}@munich.de", self.user)
    }

    fn line(&self) -> Line {
        Line::connect(self.transport, self.at, &self.ca)
    }

    /// A command for the own address, which goes this way.
    fn words<'a>(&'a self, verb: &'a str, aor: &'a str, at: &'a str) -> Vec<&'a str> {
        vec![
            verb,
            aor,
            "--registrar",
            at,
            "--transport",
            self.transport.as_str(),
            "--tls-ca",
            &self.ca,
            "--json",
        ]
    }

    /// A request of who holds this end; `n` is its CSeq number, with its Call-ID and branch.
    fn request(&self, line: &Line, method: &str, uri: &str, n: u32, rows: &[&str]) -> String {
        let (via, user, own) = (self.transport.as_via(), &self.user, own(line));
        let mut text =
            format!("{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} {own};branch=z9hG4bK{user}{n};rport\r\n");
        for row in ["Max-Forwards: 70", &format!("CSeq: {n} {method}")].iter().chain(rows) {
            text += &format!("{row}\r\n");
        }
        for (name, row) in [
            ("From", format!("<sip:hand@munich.de>;tag=hand{n}")),
            ("To", "<sip:munich.de>".to_owned()),
            ("Call-ID", format!("{user}{n}@hand")),
            ("Contact", format!("<{}>", contact(line))),
        ] {
            if !rows.iter().any(|given| given.starts_with(&format!("{name}:"))) {
                text += &format!("{name}: {row}\r\n");
            }
        }
        text + "Content-Length: 0\r\n\r\n"
    }

    /// A request that a server answers itself, always with 200.
    fn options(&self, line: &Line, n: u32) -> String {
        self.request(line, "OPTIONS", "sip:munich.de", n, &[])
    }

    fn is_served(&self, line: &mut Line) {
        let text = self.options(line, 99);
        assert_eq!(asks(line, &text).0, "200");
    }

    /// Those that begin something and don't end it, in whatever layer it is.
    fn slow_ones(&self) -> Vec<(Line, &'static str)> {
        let mut slow = Vec::new();
        let mut begun = |transport: Transport, octets: &str, what| {
            let mut line = Line::connect(transport, self.at, &self.ca);
            line.begin(octets);
            slow.push((line, what));
        };
        if self.transport.is_reliable() {
            begun(self.transport, "OPTIONS sip:munich.de SIP/2.0\r\nVia: ", "half a message");
        }
        if self.transport.is_websocket() {
            let under = if self.transport.is_secure() { Transport::Tls } else { Transport::Tcp };
            begun(under, "GET / HTTP/1.1\r\nHost: munich.de\r\n", "half a handshake of WebSocket");
        }
        if self.transport.is_secure() {
            begun(Transport::Tcp, "\x16\x03\x01\x02\x00\x01", "half a handshake of TLS");
        }
        slow
    }
}

/// Host and port of this end, as others are told: behind a WebSocket there is none (RFC 7118 §5).
fn own(line: &Line) -> String {
    if line.transport.is_websocket() { "hand.invalid".to_owned() } else { line.local.to_string() }
}

fn contact(line: &Line) -> String {
    format!("sip:hand@{};transport={}", own(line), line.transport.as_param())
}

/// Asks, and waits for the answer that is not provisional: its status, and all of it.
fn asks(line: &mut Line, request: &str) -> (String, String) {
    line.say(request);
    answer_to(line, request)
}

fn answer_to(line: &mut Line, request: &str) -> (String, String) {
    loop {
        let text = line.hear().unwrap();
        let is_it = text.starts_with("SIP/2.0 ") && header(&text, "CSeq") == header(request, "CSeq");
        if is_it && !text.starts_with("SIP/2.0 1") {
            return (text["SIP/2.0 ".len()..][..3].to_owned(), text);
        }
    }
}

/// The next request of this method: copies of others may come before.
fn comes(line: &mut Line, method: &str) -> String {
    loop {
        let text = line.hear().unwrap();
        if text.starts_with(&format!("{method} ")) {
            return text;
        }
    }
}

/// What a server does for who comes.
impl Way {
    fn a_device_binds_lists_and_removes(&self) {
        let state = tempfile::tempdir().unwrap();
        let (aor, at) = (self.aor(), self.at.to_string());
        let run = |verb: &str| {
            let mut words = self.words(verb, &aor, &at);
            words.extend(["--state-dir", state.path().to_str().unwrap()]);
            let ran = with_environment(&words, &[("SIPREG_PASSWORD", PASSWORD)]);
            assert_eq!(ran.code, Some(0), "{}", ran.all());
            ran.json()
        };
        let bound = run("register");
        assert_eq!(bound["auth"][0]["algorithm"], "SHA-256", "{bound}");
        let registrar = &bound["registrar"];
        assert_eq!(
            (&registrar["transport"], &registrar["remote"]),
            (&self.transport.as_str().into(), &at.as_str().into())
        );
        assert_eq!(registrar["tls"]["verified"] == true, self.transport.is_secure(), "{bound}");
        let contact = bound["contact"].as_str().unwrap();
        assert_eq!(contact.contains(".invalid"), self.transport.is_websocket(), "{contact}");
        let param = format!(";transport={}", self.transport.as_param());
        assert_eq!(contact.contains(&param), self.transport.is_reliable(), "{contact}");
        let listed = run("list")["bindings"].clone();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["uri"]), (1, &contact.into()), "{listed}");
        run("unregister");
        assert_eq!(run("list")["bindings"].as_array().unwrap().len(), 0);
    }

    /// It is bound, refreshed before its three seconds are over, called by somebody who came the same way, and removed at the end.
    fn a_device_that_is_kept_is_refreshed_and_called(&self) {
        let home = tempfile::tempdir().unwrap();
        let (aor, at) = (self.aor(), self.at.to_string());
        let words = [&aor, "-e", "3", "--transport", self.transport.as_str(), "--tls-ca", &self.ca];
        let mut keep = keep_with(&at, home.path(), &words, &[("SIPREG_PASSWORD", PASSWORD)]);
        keep.tells("registering");
        let bound = keep.tells("registered");
        assert_eq!((&bound["aor"], &bound["expires"]), (&format!("sip:{aor}").into(), &3.into()));
        assert!(bound["next_attempt_in"].as_f64().unwrap() < 3.0, "{bound}");
        let refreshed = keep.tells("refreshed");
        assert_eq!((&refreshed["contact"], &refreshed["call_id"]), (&bound["contact"], &bound["call_id"]));
        assert_eq!(refreshed["requests"], 1);
        let mut caller = self.line();
        let (uri, to) = (format!("sip:{aor}"), format!("To: <sip:{aor}>"));
        let invite = self.request(&caller, "INVITE", &uri, 1, &[&to]);
        let (status, refused) = asks(&mut caller, &invite);
        assert_eq!(status, "480", "{refused}");
        let to = format!("To: {}", header(&refused, "To"));
        caller.say(&self.request(&caller, "ACK", &uri, 1, &[&to]));
        let bye = self.request(&caller, "BYE", &uri, 2, &[&to]);
        assert_eq!(asks(&mut caller, &bye).0, "481");
        for (method, status) in [("INVITE", 480), ("BYE", 481)] {
            let event =
                std::iter::repeat_with(|| keep.next()).find(|event| name(event) != "refreshed").unwrap();
            assert_eq!(
                (name(&event), &event["method"], &event["status"]),
                ("incoming", &method.into(), &status.into())
            );
        }
        keep.signal("-TERM");
        let (mut events, stderr, code) = keep.end();
        events.retain(|event| event != "refreshed");
        assert_eq!(
            (events, stderr.as_str(), code),
            (vec!["unregistered".into(), "stopped".into()], "", Some(0))
        );
    }

    fn two_who_came_talk_until_one_hangs_up(&self) {
        let (mut caller, mut callee) = (self.line(), self.line());
        self.binds(&mut callee);
        let uri = format!("sip:{}", self.aor());
        let invite = self.request(&caller, "INVITE", &uri, 1, &[&format!("To: <{uri}>")]);
        caller.say(&invite);
        let rings = comes(&mut callee, "INVITE");
        assert!(rings.starts_with(&format!("INVITE {} SIP/2.0\r\n", contact(&callee))), "{rings}");
        assert!(
            header(&rings, "Via").starts_with(&format!("SIP/2.0/{} ", self.transport.as_via())),
            "{rings}"
        );
        let recorded: Vec<&str> = rings
            .lines()
            .filter_map(|row| row.strip_prefix("Record-Route: "))
            .flat_map(|row| row.split(", "))
            .collect();
        let row = |name: &str, value: &str| format!("{name}: {value}");
        let record = row("Record-Route", &recorded.join(", "));
        callee.say(&response(
            &rings,
            "200 OK",
            &[&record, &row("Contact", &format!("<{}>", contact(&callee)))],
        ));
        let (status, taken) = answer_to(&mut caller, &invite);
        assert_eq!(status, "200", "{taken}");

        let back: Vec<&str> = recorded.iter().rev().copied().collect();
        let (from, to) = (header(&invite, "From"), header(&taken, "To"));
        let call = row("Call-ID", header(&invite, "Call-ID"));
        let there = [row("Route", &back.join(", ")), row("From", from), row("To", to), call.clone()];
        let here = [row("Route", &recorded.join(", ")), row("From", to), row("To", from), call];
        let (there, here) = (there.each_ref().map(String::as_str), here.each_ref().map(String::as_str));
        caller.say(&self.request(&caller, "ACK", &contact(&callee), 2, &there));
        comes(&mut callee, "ACK");
        for (method, n, caller_asks) in [("INFO", 3, false), ("BYE", 4, true)] {
            let (asking, asked, rows) = if caller_asks {
                (&mut caller, &mut callee, &there)
            } else {
                (&mut callee, &mut caller, &here)
            };
            let request = self.request(asking, method, &contact(asked), n, rows);
            asking.say(&request);
            let came = comes(asked, method);
            assert!(!came.contains("\r\nRoute:"), "{came}");
            asked.say(&response(&came, "200 OK", &[]));
            assert_eq!(answer_to(asking, &request).0, "200", "{method}");
        }
    }

    /// Binds who holds this end, with the password.
    fn binds(&self, line: &mut Line) {
        let aor = format!("<sip:{}>", self.aor());
        let (from, to) = (format!("From: {aor};tag=f"), format!("To: {aor}"));
        let uri = "sip:munich.de";
        let bare = self.request(line, "REGISTER", uri, 20, &[&from, &to]);
        let (status, challenge) = asks(line, &bare);
        assert_eq!(status, "401");
        let row = challenge.lines().find(|row| row.contains("algorithm=MD5")).unwrap();
        let nonce = row.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let exchange = Exchange {
            algorithm: Algorithm::Md5,
            variant: Variant::Plain,
            nonce,
            session_cnonce: "",
            protection: Some(Protection { qop: Qop::Auth, nc: "00000001", cnonce: "me" }),
            uri,
            body: b"",
        };
        let user = &self.user;
        let proof =
            exchange.response(&ha1(Algorithm::Md5, user, "munich.de", PASSWORD.as_bytes()), "REGISTER");
        let proof = format!(
            "Authorization: Digest username=\"{user}\", realm=\"munich.de\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{proof}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"me\""
        );
        let request = self.request(line, "REGISTER", uri, 21, &[&from, &to, &proof]);
        let (status, bound) = asks(line, &request);
        assert_eq!(status, "200", "{bound}");
        assert!(header(&bound, "Contact").starts_with(&format!("<{}>", contact(line))), "{bound}");
    }

    fn messages_are_told_apart_however_they_come(&self) {
        let mut line = self.line();
        let request = self.options(&line, 1);
        line.say_in_pieces(&request);
        assert_eq!(answer_to(&mut line, &request).0, "200");
        let requests = [self.options(&line, 2), self.options(&line, 3), self.options(&line, 4)];
        line.say_at_once(&requests);
        for request in &requests {
            assert_eq!(answer_to(&mut line, request).0, "200");
        }
    }

    /// RFC 5626 §3.5.1, RFC 7118 §6: where there is a connection, that is; datagrams of line ends get no answer.
    fn line_ends_keep_a_connection_alive(&self) {
        let mut line = self.line();
        line.say("\r\n\r\n");
        if self.transport.is_reliable() {
            assert_eq!(line.octets().unwrap(), b"\r\n");
        }
        let request = self.options(&line, 1);
        line.say(&request);
        let answer = line.hear().unwrap();
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// Octets that are no SIP, a request that is wrong, a length that nobody has: as far as messages can still be told apart
    /// the next one is served, else the connection ends, and another one is served.
    fn what_cannot_be_served_spoils_nothing(&self) {
        let mut line = self.line();
        let wrong = self.options(&line, 1).replace("CSeq: 1 OPTIONS", "CSeq: one");
        line.say(&wrong);
        line.say("SIP/2.0 200 OK\r\nVia: nonsense\r\nContent-Length: 0\r\n\r\n");
        let answer = line.hear().unwrap();
        assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
        self.is_served(&mut line);

        let endless = self.options(&line, 2).replace("Content-Length: 0", "Content-Length: 99999999");
        let giant = self
            .options(&line, 3)
            .replace("Content-Length: 0", &format!("X: {}\r\nContent-Length: 0", "x".repeat(70_000)));
        for text in ["nonsense\r\n\r\n\0\r\n\r\n", &endless, &giant] {
            let mut line = self.line();
            // The system itself takes no datagram of that length, and a connection may be closed before all is said.
            let _ = line.try_say(text);
            if self.transport.is_framed() && text != giant {
                self.is_served(&mut line);
            } else if self.transport.is_reliable() {
                while line.octets().is_ok() {}
            }
            self.is_served(&mut self.line());
        }
    }
}

/// What a client does with who is there.
impl Way {
    /// Somebody who registers, who has come, and what was asked.
    fn comer(&self, more: &[&str]) -> (Child, Line, String) {
        let door = Door::open(self.transport, self.at.ip(), &self.certificate);
        let child = self.registering(door.at, more);
        let mut line = door.accept();
        let request = line.hear().unwrap();
        let via = format!("SIP/2.0/{} ", self.transport.as_via());
        assert!(header(&request, "Via").starts_with(&via), "{request}");
        (child, line, request)
    }

    fn registering(&self, at: SocketAddr, more: &[&str]) -> Child {
        let (aor, at) = (self.aor(), at.to_string());
        let mut words = self.words("register", &aor, &at);
        words.push("--stateless");
        command(&[&words[..], more].concat()).spawn().unwrap()
    }

    /// It is bound, and leaves as it should.
    fn is_bound(child: Child, mut line: Line) {
        let ran = finish(child);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
        if line.transport.is_reliable() {
            assert_eq!(line.octets(), Err(End::Orderly));
        }
    }

    fn an_answer_counts_however_it_comes(&self) {
        let (child, mut line, request) = self.comer(&[]);
        line.say_in_pieces(&bound(&request));
        Way::is_bound(child, line);
        let (child, mut line, request) = self.comer(&[]);
        line.say_at_once(&[response(&request, "100 Trying", &[]), bound(&request)]);
        Way::is_bound(child, line);
    }

    fn an_answer_that_cannot_be_read_spoils_nothing(&self) {
        let (child, mut line, request) = self.comer(&[]);
        line.say(&bound(&request).replace("CSeq: ", "CSeq: x"));
        line.say("\r\n");
        line.say(&bound(&request).replace("branch=", "branch=other"));
        line.say(&bound(&request));
        Way::is_bound(child, line);
    }

    /// Longer than any message may be; the system itself takes no datagram of that length.
    fn an_answer_without_end_is_given_up(&self) {
        if self.transport.is_reliable() {
            let (child, mut line, request) = self.comer(&[]);
            let _ = line.try_say(
                &bound(&request).replace("Content-", &format!("X: {}\r\nContent-", "x".repeat(70_000))),
            );
            let ran = finish(child);
            assert!(matches!(ran.code, Some(5 | 6)), "{}", ran.all());
            while line.octets().is_ok() {}
        }
    }

    /// Only datagrams are sent again.
    fn silence_has_its_time(&self) {
        let (child, line, request) = self.comer(&["--timeout", "700ms"]);
        let ran = finish(child);
        assert_eq!((ran.code, &ran.json()["requests"]), (Some(4), &1.into()), "{}", ran.all());
        let again = if self.transport.is_reliable() { vec![] } else { vec![request] };
        assert_eq!(line.left(), again, "{}", ran.all());
    }

    fn nobody_there_is_told_at_once(&self) {
        let gone = Door::open(self.transport, self.at.ip(), &self.certificate).at;
        is_unreachable(&finish(self.registering(gone, &[])));
    }

    fn a_server_that_leaves_is_told_at_once(&self) {
        let (child, line, _) = self.comer(&[]);
        drop(line);
        is_unreachable(&finish(child));
    }
}

/// An answer that says that all is bound that was asked for.
fn bound(request: &str) -> String {
    let contact = format!("Contact: {};expires=3600", header(request, "Contact"));
    response(request, "200 OK", &[&contact])
}

fn is_unreachable(ran: &Ran) {
    let object = ran.json();
    assert_eq!((ran.code, &object["error"]["kind"]), (Some(5), &"unreachable".into()), "{}", ran.all());
    assert!(object["elapsed_ms"].as_f64().unwrap() < 10_000.0, "{object}");
}
