//! One request of `register`, `list` or `unregister`, and its answer: noise, silence, challenges, other transports, refusals
//! that pass.

use std::net::{TcpListener, UdpSocket};

use crate::peer::{self, CHALLENGE, dead};
use crate::registrar::{Answer, Registrar, against, ask, must};
use crate::run::{command, finish, sipreg, with_stdin};

#[test]
fn a_port_where_nobody_listens_ends_with_5() {
    for transport in ["udp", "tcp"] {
        let ran = sipreg(&[
            "register",
            "bob@munich.de",
            "--registrar",
            &peer::dead(),
            "--transport",
            transport,
            "--json",
        ]);
        assert_eq!(ran.code, Some(5), "{}", ran.all());
        let json = ran.json();
        assert_eq!(json["error"]["kind"], "unreachable");
        assert_eq!(json["attempts"][0]["result"], "refused");
        assert_eq!(json["attempts"][0]["transport"], transport);
    }
}

#[test]
fn a_silent_registrar_ends_it_with_4() {
    let (_socket, address) = peer::silent();
    let ran = sipreg(&["register", "bob@munich.de", "--registrar", &address, "--t1", "5ms", "--json"]);
    assert_eq!(ran.code, Some(4), "{}", ran.all());
    let json = ran.json();
    assert_eq!(json["error"]["kind"], "timeout");
    assert_eq!((&json["requests"], &json["status"]), (&1.into(), &().into()));
    assert!(json["retransmissions"].as_u64().unwrap() > 0);
}

#[test]
fn the_whole_command_has_a_bound() {
    let (_socket, address) = peer::silent();
    let ran = sipreg(&["register", "bob@munich.de", "--registrar", &address, "--timeout", "100ms", "--json"]);
    assert_eq!(ran.code, Some(4), "{}", ran.all());
    assert!(ran.json()["elapsed_ms"].as_f64().unwrap() < 1000.0);
}

/// Without a terminal nobody is asked: no password, exit 3.
#[test]
fn without_a_password_nobody_is_asked_in_a_script() {
    let (socket, address) = peer::silent();
    let child = command(&["register", "bob@munich.de", "--registrar", &address, "--json"]).spawn().unwrap();
    let (request, peer) = peer::receive(&socket);
    peer::answer(&socket, peer, &request, "401 Unauthorized", &[CHALLENGE]);
    let ran = finish(child);
    assert_eq!(ran.code, Some(3), "{}", ran.all());
    assert_eq!(ran.json()["error"]["kind"], "credentials");
}

/// AUT-047: neither the password nor what proves it is in any output, unless that was asked for.
#[test]
fn secrets_stay_out_of_every_output() {
    for (extra, shown) in
        [(&["-vv"][..], false), (&["-vv", "--json"], false), (&["-vv", "--show-secrets"], true)]
    {
        let (socket, address) = peer::silent();
        let args = ["register", "bob@munich.de", "--registrar", &address, "--password-file", "-"];
        let args: Vec<String> = [&args[..], extra].concat().into_iter().map(str::to_owned).collect();
        let runner = std::thread::spawn(move || {
            with_stdin(&args.iter().map(String::as_str).collect::<Vec<_>>(), b"uncertainty\r\nmore\n")
        });
        let (request, peer) = peer::receive(&socket);
        peer::answer(&socket, peer, &request, "401 Unauthorized", &[CHALLENGE]);
        let (request, peer) = peer::receive(&socket);
        let credentials = peer::header(&request, "Authorization").to_owned();
        let response = credentials.split("response=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        peer::answer(&socket, peer, &request, "403 Forbidden", &[&format!("Authorization: {credentials}")]);
        let ran = runner.join().unwrap();
        assert_eq!(ran.code, Some(3), "{}", ran.all());
        assert!(!ran.all().contains("uncertainty"), "{}", ran.all());
        assert_eq!(ran.all().contains(&response), shown, "{}", ran.all());
        assert_eq!(ran.all().contains("response=\"***\""), !shown);
    }
}

/// The happy end for people: what was granted on stdout, the advice on stderr.
#[test]
fn a_success_is_told_to_people_and_to_scripts() {
    let (socket, address) = peer::silent();
    let child = command(&["register", "bob@munich.de", "--registrar", &address, "-v"]).spawn().unwrap();
    let (request, peer) = peer::receive(&socket);
    let contact = format!("Contact: {};expires=1800", peer::header(&request, "Contact"));
    peer::answer(&socket, peer, &request, "200 OK", &[&contact]);
    let ran = finish(child);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    assert!(ran.stdout.starts_with("Registered sip:bob@munich.de for 30m, until "), "{}", ran.all());
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("sipreg keep"), "{}", ran.all());
    assert!(ran.stderr.contains("--> REGISTER ") && ran.stderr.contains("<-- 200 OK"), "{}", ran.all());
}

fn large() -> Vec<String> {
    (0..40).flat_map(|n| ["--contact".to_owned(), format!("sip:device{n}@192.0.2.{n}:5060")]).collect()
}

/// TRN-001, TRN-002, TRN-004, TRN-005: RFC 3261 §18.1.1 over real sockets.
#[test]
fn a_large_request_goes_over_tcp_and_where_nobody_takes_that_over_udp() {
    let contacts = large();
    let words: Vec<&str> =
        ["register", "--json"].into_iter().chain(contacts.iter().map(String::as_str)).collect();
    let (ran, came) = against(&words, |_, request| request.as_asked());
    let json = must(&ran, 0);
    assert_eq!((&json["registrar"]["transport"], &json["requests"]), (&"udp".into(), &1.into()));
    assert!(came[0].text.len() > 1300 && came[0].header("Via").starts_with("SIP/2.0/UDP "));

    // A port that is free for datagrams may be a connection's.
    let (socket, listener) = (0..100)
        .find_map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            TcpListener::bind(socket.local_addr().unwrap()).ok().map(|listener| (socket, listener))
        })
        .unwrap();
    let datagrams = Registrar::on(socket, |_, request| request.as_asked());
    let stream = Registrar::listening(listener, |_, request| request.as_asked());
    let state = tempfile::tempdir().unwrap();
    let ran = ask(&stream.address, state.path(), &words);
    assert_eq!(must(&ran, 0)["registrar"]["transport"], "tcp");
    let came = stream.requests();
    assert!(came[0].header("Via").starts_with("SIP/2.0/TCP "));
    assert_eq!(datagrams.requests().len(), 0);
}

/// TXN-014, TRN-028, TRN-031: the system says that nobody is there any more, in the middle of it.
#[test]
fn a_registrar_that_goes_away_after_the_challenge_ends_with_5() {
    let (ran, came) = against(&["register", "--json"], |_, request| {
        request.answer("401 Unauthorized", &[CHALLENGE]).into_iter().chain([Answer::Close]).collect()
    });
    let json = must(&ran, 5);
    assert_eq!(
        (&json["error"]["kind"], &json["attempts"][0]["result"]),
        (&"unreachable".into(), &"refused".into())
    );
    assert_eq!((&json["requests"], came.len()), (&2.into(), 1));

    let state = tempfile::tempdir().unwrap();
    let registrar = Registrar::tcp(|n, request| match n {
        1 => request.answer("401 Unauthorized", &[CHALLENGE]),
        _ => vec![Answer::Close],
    });
    let ran = ask(&registrar.address, state.path(), &["list", "--transport", "tcp", "--json"]);
    assert_eq!(must(&ran, 5)["attempts"][0]["result"], "closed");
}

/// REG-023: junk and then silence is silence.
#[test]
fn silence_ends_with_4_and_is_tried_again_only_if_asked_for() {
    for verb in ["register", "list"] {
        let (ran, came) =
            against(&[verb, "--t1", "4ms", "--json"], |_, _| vec![Answer::Octets(b"junk\r\n\r\n".to_vec())]);
        let json = must(&ran, 4);
        assert_eq!(
            (&json["error"]["kind"], &json["attempts"][0]["result"]),
            (&"timeout".into(), &"timeout".into())
        );
        assert_eq!(came.len(), 1);
    }
    let (ran, came) = against(&["register", "--t1", "4ms", "--retry-for", "30s", "--json"], |n, request| {
        if n == 1 { vec![] } else { request.as_asked() }
    });
    let json = must(&ran, 0);
    assert_eq!(json["requests"], 2);
    assert_eq!((came[0].header("Call-ID"), came[0].cseq() + 1), (came[1].header("Call-ID"), came[1].cseq()));
    assert!(ran.stderr.starts_with("retry: no answer; trying again in "), "{}", ran.all());
}

/// DES-008: Retry-After is a lower bound.
#[test]
fn retry_after_is_obeyed() {
    let (ran, came) = against(&["register", "--retry-for", "30s", "--json"], |n, request| match n {
        1 => request.answer("503 Service Unavailable", &["Retry-After: 1 (moment);duration=9"]),
        _ => request.as_asked(),
    });
    let json = must(&ran, 0);
    assert!(json["elapsed_ms"].as_f64().unwrap() >= 1000.0, "{json}");
    assert_eq!(came.len(), 2);
    let (ran, came) = against(&["register", "--retry-for", "30s", "--json"], |_, request| {
        request.answer("503 Service Unavailable", &["Retry-After: 31"])
    });
    assert_eq!((must(&ran, 1)["status"].clone(), came.len()), (503.into(), 1));
    assert!(ran.stderr.contains("wait 31 s"), "{}", ran.all());
}

/// TRN-028
#[test]
fn list_and_unregister_end_with_5_where_nobody_is() {
    let state = tempfile::tempdir().unwrap();
    for words in
        [&["list"][..], &["unregister", "--contact", "sip:x@192.0.2.1"], &["unregister", "--all", "--yes"]]
    {
        let ran = ask(&dead(), state.path(), &[words, &["--json"]].concat());
        assert_eq!(must(&ran, 5)["command"], words[0]);
    }
}
