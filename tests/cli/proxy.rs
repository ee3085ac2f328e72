//! Calls through `sipreg serve`, as it is started: which devices they reach, who may call, and what is told.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::keep::keep;
use crate::phone::{Phone, proof, row_of, rows_of};
use crate::run::{sipreg, with_environment};
use crate::serve::{Server, name};

const BOTH: [&str; 4] = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];

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
        assert_eq!((&event["status"], &event["method"], &event["aor"]), (&expected, &method.into(), &aor.into()));
        assert!(event["from"].as_str().unwrap().starts_with("sip:"), "{event}");
        let mut found: Vec<_> = event["targets"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
        found.sort_unstable();
        targets.sort_unstable();
        assert_eq!(found, targets, "{event}");
    }
}

/// PRX-001 FRK-001 FRK-014 FRK-019 FRK-027: both devices ring, over the transport by which each registered; one answers, the other is
/// cancelled; requests within the dialog go through the server.
#[test]
fn both_devices_ring_and_one_answers() {
    for transport in ["udp", "tcp"] {
        let mut server = open(&[]);
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
            assert!(row_of(came, "Via").starts_with(&format!("SIP/2.0/{own} 127.0.0.1:")), "{came}");
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

/// FRK-007: those of a lower preference come after all others, and of several refusals the best is passed on.
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
            let status = ends[..3].parse::<u16>().unwrap();
            if status == 200 {
                let answer = caller.status(200);
                caller.within(&answer, "ACK", 1);
            } else {
                home.hears("ACK ");
                let refusal = caller.hears("SIP/2.0 4");
                caller.acknowledge(&invite, &refusal);
            }
            home.hears("ACK ".get(..if status == 200 { 4 } else { 0 }).unwrap_or_default().trim_end_matches('x')).len();
        }
        server.stop();
    }
}
