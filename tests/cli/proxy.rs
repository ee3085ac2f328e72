//! Calls through `sipreg serve`, as it is started: which devices they reach, who may call, and what is told.
#![cfg(unix)]

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::keep::keep;
use crate::nameserver::{NameServer, Play, srv};
use crate::phone::{Phone, proof, row_of, rows_of};
use crate::run::{sipreg, with_environment};
use crate::serve::{Server, name};

const BOTH: [&str; 4] = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
const BOTH_OF_IPV6: [&str; 4] = ["--listen", "udp:[::1]:0", "--listen", "tcp:[::1]:0"];

/// A server for both transports that wants no passwords.
fn open(more: &[&str]) -> Server {
    Server::start(&[&BOTH[..], &["--no-auth"], more].concat(), 2)
}

/// A server with users of munich.de, whose password is `uncertainty`.
fn guarded(folder: &Path, users: &[&str], more: &[&str]) -> Server {
    let file = folder.join("users.txt");
    let file = file.to_str().unwrap();
    for user in users {
        let words = ["serve", "--add-user", user, "--users", file];
        let ran = with_environment(&words, &[("SIPREG_PASSWORD", "uncertainty")]);
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }
    let access = ["--users", file, "--domain", "munich.de", "--algorithms", "MD5"];
    Server::start(&[&BOTH[..], &access, more].concat(), 2)
}

/// The next event about a request.
fn routed(server: &mut Server) -> Value {
    loop {
        let event = server.next();
        if !["bound", "refreshed"].contains(&name(&event)) {
            assert_eq!(name(&event), "routed", "{event}");
            return event;
        }
    }
}

/// A request is told twice; `targets` in any order.
fn told(server: &mut Server, method: &str, aor: &str, mut targets: Vec<String>, status: u16) {
    for expected in [Value::Null, status.into()] {
        let event = routed(server);
        assert_eq!(
            (&event["status"], &event["method"], &event["aor"]),
            (&expected, &method.into(), &aor.into())
        );
        assert!(event["from"].as_str().unwrap().starts_with("sip:"), "{event}");
        let mut found: Vec<_> =
            event["targets"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
        found.sort_unstable();
        targets.sort_unstable();
        assert_eq!(found, targets, "{event}");
    }
}

/// FRK-001 FRK-004 FRK-018 FRK-019 FRK-027 PRX-005 PRX-025 PRX-030: both devices ring, over the transport and the family by
/// which each registered; one answers, the other is cancelled; requests within the dialog go through the server.
#[test]
fn both_devices_ring_and_one_answers() {
    for (transport, listen) in [("udp", BOTH), ("tcp", BOTH), ("udp", BOTH_OF_IPV6), ("tcp", BOTH_OF_IPV6)] {
        let mut server = Server::start(&[&listen[..], &["--no-auth"]].concat(), 2);
        let host = server.at[0].rsplit_once(':').unwrap().0.to_owned();
        let at = |name: &str| server.at[usize::from(name == "tcp")].clone();
        let mut caller = Phone::new(transport, &at(transport), "caller");
        let mut desk = Phone::new("udp", &at("udp"), "alice");
        let mut home = Phone::new("tcp", &at("tcp"), "alice");
        desk.register("", "");
        home.register("", "");
        let invite = caller.calls("sip:alice@localhost");
        let at_desk = desk.hears(&format!("INVITE sip:alice@{} SIP/2.0\r\n", desk.at));
        let at_home = home.hears(&format!("INVITE sip:alice@{};transport=tcp SIP/2.0\r\n", home.at));
        for (came, own) in [(&at_desk, "UDP"), (&at_home, "TCP")] {
            assert_eq!(row_of(came, "Max-Forwards"), "69");
            assert_eq!(rows_of(came, "Via").len(), 2, "{came}");
            assert!(row_of(came, "Via").starts_with(&format!("SIP/2.0/{own} {host}:")), "{came}");
            let bridged = own.to_lowercase() != transport;
            assert_eq!(rows_of(came, "Record-Route").len(), if bridged { 2 } else { 1 }, "{came}");
        }
        desk.answer(&at_desk, "180 Ringing");
        caller.hears("SIP/2.0 100 ");
        let ringing = caller.hears("SIP/2.0 180 ");
        assert_eq!(rows_of(&ringing, "Via").len(), 1, "{ringing}");
        home.answer(&at_home, "200 OK");
        let answer = caller.status(200);
        assert_eq!(row_of(&answer, "Call-ID"), row_of(&invite, "Call-ID"));
        let cancel = desk.hears(&format!("CANCEL sip:alice@{} SIP/2.0\r\n", desk.at));
        assert_eq!(row_of(&cancel, "Via"), row_of(&at_desk, "Via"));
        desk.answer(&cancel, "200 OK");
        desk.answer(&at_desk, "487 Request Terminated");
        desk.hears("ACK ");
        caller.within(&answer, "ACK", 1);
        home.hears(&format!("ACK sip:alice@{};transport=tcp SIP/2.0\r\n", home.at));
        home.within_call(&at_home, "INFO", 7);
        let info = caller.hears(&format!("INFO {} SIP/2.0\r\n", caller.contact()));
        caller.answer(&info, "200 OK");
        home.status(200);
        caller.within(&answer, "BYE", 2);
        let bye = home.hears("BYE ");
        home.answer(&bye, "200 OK");
        caller.status(200);
        let targets = vec![format!("sip:alice@{}", desk.at), format!("sip:alice@{};transport=tcp", home.at)];
        told(&mut server, "INVITE", "sip:alice@localhost", targets, 200);
        let (rest, code) = server.stop();
        assert_eq!((rest.iter().map(name).collect::<Vec<_>>(), code), (vec!["stopped"], Some(0)));
    }
}

/// FRK-001 FRK-008: those of a lower preference come after all others, and of several refusals the best is passed on.
#[test]
fn preferences_and_fork_say_who_rings_when() {
    for (fork, q) in [("parallel", ["", ";q=0.5"]), ("sequential", ["", ""])] {
        let mut server = open(&["--fork", fork]);
        let at = server.at[0].clone();
        let mut caller = Phone::new("udp", &at, "caller");
        let mut desk = Phone::new("udp", &at, "alice");
        let mut home = Phone::new("udp", &at, "alice");
        // With --fork sequential the one that was refreshed last is in front.
        home.register(q[1], "");
        std::thread::sleep(Duration::from_millis(5));
        desk.register(q[0], "");
        for ends in ["480 Temporarily Unavailable", "200 OK"] {
            let invite = caller.calls("sip:alice@localhost");
            let came = desk.hears("INVITE ");
            home.hears_nothing();
            desk.answer(&came, "486 Busy Here");
            desk.hears("ACK ");
            let came = home.hears("INVITE ");
            home.answer(&came, ends);
            if ends == "200 OK" {
                let answer = caller.status(200);
                caller.within(&answer, "ACK", 1);
                home.hears("ACK ");
            } else {
                home.hears("ACK ");
                let refusal = caller.status(486);
                caller.acknowledge(&invite, &refusal);
            }
        }
        let targets: Vec<_> = routed(&mut server)["targets"].as_array().unwrap().clone();
        assert_eq!(targets, [&desk, &home].map(|device| json!(format!("sip:alice@{}", device.at))));
        server.stop();
    }
}

/// PRX-016: nobody who is bound, nobody at all. Without a users file nobody is known to be nobody.
#[test]
fn who_is_not_bound_gets_480_and_who_is_nobody_404() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = guarded(folder.path(), &["alice@munich.de"], &[]);
    for (transport, at) in ["udp", "tcp"].iter().zip(server.at.clone()) {
        let mut caller = Phone::new(transport, &at, "caller");
        for (method, user, status) in [
            ("INVITE", "alice", 480),
            ("INVITE", "nobody", 404),
            ("MESSAGE", "alice", 480),
            ("OPTIONS", "nobody", 404),
            ("FROBNICATE", "alice", 480),
        ] {
            let uri = format!("sip:{user}@munich.de");
            let request = caller.request(method, &uri, "sip:bob@example.net", "");
            caller.send(&request);
            let refusal = caller.status(status);
            assert_eq!(row_of(&refusal, "CSeq"), format!("1 {method}"));
            if method == "INVITE" {
                caller.acknowledge(&request, &refusal);
            }
        }
    }
    let (_, code) = server.stop();
    assert_eq!(code, Some(0));
    server = open(&[]);
    let mut caller = Phone::new("udp", &server.at[0], "caller");
    let invite = caller.calls("sip:alice@localhost");
    let refusal = caller.status(480);
    caller.acknowledge(&invite, &refusal);
    server.stop();
}

/// PRX-007 PRX-012 RAU-006: no open relay. To another domain only users call, from their own address; what proves it stays here.
#[test]
#[cfg(target_os = "linux")]
fn other_domains_are_for_users_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(folder.path(), &["alice@munich.de", "bob@munich.de"], &[]);
    for (transport, at) in ["udp", "tcp"].iter().zip(server.at.clone()) {
        let mut caller = Phone::new(transport, &at, "caller");
        let mut other = Phone::from("127.0.0.2:0", "udp", &server.at[0], "other");
        let uri = format!("sip:other@{}", other.at);
        let ask = |caller: &mut Phone, from: &str, rest: &str| {
            let invite = caller.request("INVITE", &uri, from, rest);
            caller.send(&invite);
            invite
        };
        let invite = ask(&mut caller, "sip:mallory@example.net", "");
        let refusal = caller.status(403);
        caller.acknowledge(&invite, &refusal);
        let invite = ask(&mut caller, "sip:alice@munich.de", "");
        let challenged = caller.status(407);
        caller.acknowledge(&invite, &challenged);
        let bobs = proof(&challenged, "INVITE", &uri, "bob", "uncertainty");
        let invite = ask(&mut caller, "sip:alice@munich.de", &bobs);
        let refusal = caller.status(403);
        caller.acknowledge(&invite, &refusal);
        let invite = ask(&mut caller, "sip:alice@munich.de", "");
        let challenged = caller.status(407);
        caller.acknowledge(&invite, &challenged);
        let own = proof(&challenged, "INVITE", &uri, "alice", "uncertainty");
        let foreign = "Proxy-Authorization: Digest username=\"x\", realm=\"elsewhere\", nonce=\"n\", uri=\"u\", response=\"r\"\r\n";
        ask(&mut caller, "sip:alice@munich.de", &format!("{own}{foreign}"));
        let came = other.hears(&format!("INVITE {uri} SIP/2.0\r\n"));
        let proofs = rows_of(&came, "Proxy-Authorization");
        assert!(proofs.len() == 1 && proofs[0].contains("elsewhere"), "{came}");
        other.answer(&came, "200 OK");
        let answer = caller.status(200);
        caller.within(&answer, "ACK", 1);
        other.hears("ACK ");
    }
    server.stop();
    // Where nobody can prove anything, nobody goes out, nor by a Route to an address of ours.
    let server = open(&[]);
    let mut caller = Phone::new("udp", &server.at[0], "caller");
    let mut other = Phone::from("127.0.0.2:0", "udp", &server.at[0], "other");
    let mut device = Phone::new("udp", &server.at[0], "alice");
    device.register("", "");
    let (foreign, forged) =
        (format!("sip:other@{}", other.at), format!("{};lr;did=0123456789abcdef", server.at[0]));
    for (uri, route) in [
        (foreign.as_str(), String::new()),
        ("sip:alice@localhost", format!("Route: <sip:{};lr>\r\n", other.at)),
        ("sip:alice@localhost", format!("Route: <sip:{};lr>, <sip:{};lr>\r\n", server.at[0], other.at)),
        (foreign.as_str(), format!("Route: <sip:{forged}>\r\n")),
    ] {
        for method in ["INVITE", "MESSAGE"] {
            let request = caller.request(method, uri, "sip:alice@localhost", &route);
            caller.send(&request);
            let refusal = caller.status(403);
            if method == "INVITE" {
                caller.acknowledge(&request, &refusal);
            }
        }
    }
    other.hears_nothing();
    device.hears_nothing();
    server.stop();
}

/// A name server that gives this address for every name.
fn name_server(address: [u8; 4]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let question = &buffer[12..length];
            let end = question.iter().position(|octet| *octet == 0).unwrap() + 5;
            let is_for_an_address = question[end - 4..end] == [0, 1, 0, 1];
            let mut answer = buffer[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_for_an_address), 0, 0, 0, 0]);
            answer.extend(&question[..end]);
            if is_for_an_address {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address);
            }
            let _ = socket.send_to(&answer, peer);
        }
    });
    at
}

/// PRX-012 PRX-023: the name of another domain is asked for where `--nameserver` says.
#[test]
#[cfg(target_os = "linux")]
fn other_domains_are_looked_up_at_the_name_server() {
    let folder = tempfile::tempdir().unwrap();
    let names = name_server([127, 0, 0, 2]);
    let server = guarded(folder.path(), &["alice@munich.de"], &["--nameserver", &names]);
    let mut caller = Phone::new("udp", &server.at[0], "caller");
    let mut other = Phone::from("127.0.0.2:0", "udp", &server.at[0], "other");
    let uri = format!("sip:other@copenhagen.dk:{}", other.at.rsplit(':').next().unwrap());
    let request = caller.request("MESSAGE", &uri, "sip:alice@munich.de", "");
    caller.send(&request);
    let proof = proof(&caller.status(407), "MESSAGE", &uri, "alice", "uncertainty");
    let request = caller.request("MESSAGE", &uri, "sip:alice@munich.de", &proof);
    caller.send(&request);
    let came = other.hears(&format!("MESSAGE {uri} SIP/2.0\r\n"));
    other.answer(&came, "200 OK");
    caller.status(200);
    server.stop();
}

/// PRX-012 LOC-011 LOC-023: a domain's SRV record says which server and port; `--resolve` says where that server is.
#[test]
#[cfg(target_os = "linux")]
fn other_domains_are_found_by_srv_and_their_servers_by_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let at = UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().to_string();
    let (port, own) = (at.rsplit(':').next().unwrap().to_owned(), at.clone());
    let names = NameServer::new(move |name, kind| match (kind, name) {
        ("SRV", "_sip._udp.copenhagen.dk") => Play::Say(vec![srv(10, 60, &at, "sip.copenhagen.dk")]),
        _ => Play::Say(vec![]),
    });
    let pinned = format!("sip.copenhagen.dk:{port}:127.0.0.2");
    let more = ["--nameserver", &names.address, "--resolve", &pinned];
    let server = guarded(folder.path(), &["alice@munich.de"], &more);
    let mut phone = Phone::from(&own, "udp", &server.at[0], "other");
    let mut caller = Phone::new("udp", &server.at[0], "caller");
    let uri = "sip:other@copenhagen.dk";
    let request = caller.request("MESSAGE", uri, "sip:alice@munich.de", "");
    caller.send(&request);
    let proof = proof(&caller.status(407), "MESSAGE", uri, "alice", "uncertainty");
    let request = caller.request("MESSAGE", uri, "sip:alice@munich.de", &proof);
    caller.send(&request);
    let came = phone.hears(&format!("MESSAGE {uri} SIP/2.0\r\n"));
    phone.answer(&came, "200 OK");
    caller.status(200);
    assert!(!names.asked().iter().any(|asked| asked.ends_with(" sip.copenhagen.dk")), "{:?}", names.asked());
    server.stop();
}

/// PRX-007: every caller is asked where that is wished; the proof does not go on to the device.
#[test]
fn every_caller_may_be_asked_for_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = guarded(folder.path(), &["alice@munich.de", "bob@munich.de"], &["--auth-calls"]);
    let state = folder.path().join("state");
    for (transport, at) in ["udp", "tcp"].iter().zip(server.at.clone()) {
        let mut device = Phone::new("udp", &server.at[0], "alice");
        let contact = format!("sip:alice@{}", device.at);
        let words = ["register", "alice@munich.de", "--registrar", &server.at[0], "--contact", &contact];
        let words =
            [&words[..], &["--password", "uncertainty", "--state-dir", state.to_str().unwrap()]].concat();
        assert_eq!(sipreg(&words).code, Some(0));
        let mut caller = Phone::new(transport, &at, "bob");
        let uri = "sip:alice@munich.de";
        let invite = caller.request("INVITE", uri, "sip:bob@munich.de", "");
        caller.send(&invite);
        let challenged = caller.status(407);
        caller.acknowledge(&invite, &challenged);
        device.hears_nothing();
        let proof = proof(&challenged, "INVITE", uri, "bob", "uncertainty");
        let invite = caller.request("INVITE", uri, "sip:bob@munich.de", &proof);
        caller.send(&invite);
        let came = device.hears("INVITE ");
        assert!(!came.contains("Proxy-Authorization"), "{came}");
        device.answer(&came, "603 Decline");
        device.hears("ACK ");
        let refusal = caller.status(603);
        caller.acknowledge(&invite, &refusal);
        let words = ["unregister", "alice@munich.de", "--registrar", &server.at[0], "--all", "--yes"];
        assert_eq!(
            sipreg(&[&words[..], &["--password", "uncertainty", "--stateless"]].concat()).code,
            Some(0)
        );
    }
    server.stop();
}

/// One call more than `--max-calls` gets 503, and is told; registrations go on, and so does the next call once the first has
/// ended.
#[test]
fn calls_in_progress_are_bounded() {
    for (n, transport) in ["udp", "tcp"].iter().enumerate() {
        let mut server = open(&["--max-calls", "1"]);
        let at = server.at[n].clone();
        let mut device = Phone::new(transport, &at, "alice");
        device.register("", "");
        let mut first = Phone::new(transport, &at, "first");
        let mut second = Phone::new(transport, &at, "second");
        let invite = first.calls("sip:alice@localhost");
        let came = device.hears("INVITE ");
        let refused = second.calls("sip:alice@localhost");
        let refusal = second.status(503);
        assert!(row_of(&refusal, "Retry-After").parse::<u32>().unwrap() > 0, "{refusal}");
        second.acknowledge(&refused, &refusal);
        second.register("", "");
        device.answer(&came, "486 Busy Here");
        device.hears("ACK ");
        let refusal = first.status(486);
        first.acknowledge(&invite, &refusal);
        second.calls("sip:alice@localhost");
        device.hears("INVITE ");
        assert_eq!(routed(&mut server)["status"], Value::Null);
        let event = server.next();
        assert_eq!(
            (name(&event), &event["limit"], &event["count"]),
            ("overload", &"calls".into(), &1.into())
        );
        server.stop();
    }
}

/// FRK-003 FRK-020: who gives up hears 487, and the device no more.
#[test]
fn a_caller_may_give_up() {
    for transport in ["udp", "tcp"] {
        let mut server = open(&[]);
        let at = server.at[usize::from(transport == "tcp")].clone();
        let mut caller = Phone::new(transport, &at, "caller");
        let mut device = Phone::new("udp", &server.at[0], "alice");
        device.register("", "");
        let invite = caller.calls("sip:alice@localhost");
        let came = device.hears("INVITE ");
        device.answer(&came, "180 Ringing");
        caller.hears("SIP/2.0 100 ");
        caller.hears("SIP/2.0 180 ");
        let cancel = invite.replacen("INVITE", "CANCEL", 1).replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL");
        caller.send(&cancel);
        let given_up = device.hears("CANCEL ");
        device.answer(&given_up, "200 OK");
        device.answer(&came, "487 Request Terminated");
        device.hears("ACK ");
        let confirmed = caller.status(200);
        assert_eq!(row_of(&confirmed, "CSeq"), "1 CANCEL");
        let refusal = caller.status(487);
        caller.acknowledge(&invite, &refusal);
        let targets = vec![format!("sip:alice@{}", device.at)];
        told(&mut server, "INVITE", "sip:alice@localhost", targets, 487);
        server.stop();
    }
}

/// PRX-002: every other method takes the same way, known or not, and comes as it was sent.
#[test]
fn other_requests_take_the_same_way() {
    let mut server = open(&[]);
    let at = server.at[0].clone();
    let mut caller = Phone::new("udp", &at, "caller");
    let mut device = Phone::new("tcp", &server.at[1], "alice");
    device.register("", "");
    for method in ["MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "INFO", "FROBNICATE"] {
        let rows = "X-Odd:  a ;b\r\nSubject: here\r\n";
        let request = caller.request(method, "sip:alice@localhost", "sip:bob@example.net", rows);
        caller.send(&request);
        let came = device.hears(&format!("{method} sip:alice@{};transport=tcp SIP/2.0\r\n", device.at));
        assert_eq!((row_of(&came, "X-Odd"), row_of(&came, "Subject")), ("a ;b", "here"));
        device.answer(&came, "202 Accepted");
        assert_eq!(row_of(&caller.status(202), "CSeq"), format!("1 {method}"));
        let targets = vec![format!("sip:alice@{};transport=tcp", device.at)];
        told(&mut server, method, "sip:alice@localhost", targets, 202);
    }
    server.stop();
}

/// INC-013: `keep` refuses calls as it was told, and that reaches the caller through `serve`, both ways between two of them.
#[test]
fn what_keep_answers_reaches_the_caller() {
    let home = tempfile::tempdir().unwrap();
    for (n, transport) in ["udp", "tcp"].iter().enumerate() {
        let mut server = open(&[]);
        let at = server.at[n].clone();
        let ends = [("alice", "486", 486), ("bob", "603", 603)];
        let mut keeps = ends.map(|(user, status, _)| {
            let aor = format!("{user}@localhost");
            let mut keep = keep(&at, home.path(), &[&aor, "--on-invite", status, "--transport", transport]);
            keep.tells("registering");
            keep.tells("registered");
            keep
        });
        for caller_over in ["udp", "tcp"] {
            let mut caller = Phone::new(caller_over, &server.at[usize::from(caller_over == "tcp")], "caller");
            for (keep, (user, _, status)) in keeps.iter_mut().zip(ends) {
                let other = if user == "alice" { "sip:bob@localhost" } else { "sip:alice@localhost" };
                let uri = format!("sip:{user}@localhost");
                let invite = caller.request("INVITE", &uri, other, "");
                caller.send(&invite);
                let refusal = caller.status(status);
                caller.acknowledge(&invite, &refusal);
                let event = keep.tells("incoming");
                assert_eq!((&event["method"], &event["from"]), (&"INVITE".into(), &other.into()), "{event}");
                assert_eq!(
                    (&event["status"], &event["aor"]),
                    (&status.into(), &uri.clone().into()),
                    "{event}"
                );
                let question = caller.request("OPTIONS", &uri, other, "");
                caller.send(&question);
                assert!(row_of(&caller.status(200), "Allow").contains("INVITE"));
                keep.tells("incoming");
                let event = routed(&mut server);
                assert_eq!((&event["aor"], &event["from"]), (&uri.into(), &other.into()));
                assert_eq!(routed(&mut server)["status"], status);
                assert_eq!(
                    (routed(&mut server)["method"].as_str(), &routed(&mut server)["status"]),
                    (Some("OPTIONS"), &200.into())
                );
            }
        }
        for keep in keeps {
            keep.signal("-TERM");
            assert_eq!(keep.end().2, Some(0));
        }
        server.stop();
    }
}

/// The metrics count calls, how they ended, and their branches.
#[test]
fn the_metrics_count_calls() {
    use std::io::{Read, Write};
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = open(&["--metrics", &free]);
    let at = server.at[0].clone();
    let mut caller = Phone::new("udp", &at, "caller");
    let [mut desk, mut home] = ["alice", "alice"].map(|user| Phone::new("udp", &at, user));
    desk.register("", "");
    home.register("", "");
    let metrics = || {
        let mut stream = std::net::TcpStream::connect(&free).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let counts = |lines: &[&str]| {
        let text = metrics();
        lines.iter().for_each(|line| assert!(text.lines().any(|found| found == *line), "{line}: {text}"));
    };
    caller.calls("sip:alice@localhost");
    let (at_desk, at_home) = (desk.hears("INVITE "), home.hears("INVITE "));
    counts(&["sipreg_calls 1", "sipreg_branches_total 2", "sipreg_calls_ended_total{class=\"2xx\"} 0"]);
    desk.answer(&at_desk, "180 Ringing");
    home.answer(&at_home, "200 OK");
    let answer = caller.status(200);
    let cancel = desk.hears("CANCEL ");
    desk.answer(&cancel, "200 OK");
    desk.answer(&at_desk, "487 Request Terminated");
    desk.hears("ACK ");
    caller.within(&answer, "ACK", 1);
    home.hears("ACK ");
    counts(&[
        "sipreg_calls_ended_total{class=\"2xx\"} 1",
        "sipreg_branches_cancelled_total 1",
        "sipreg_overload_total 0",
    ]);
    server.stop();
}
