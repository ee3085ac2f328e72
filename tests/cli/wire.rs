//! What comes of a registration: nobody there, silence, a challenge.

use crate::peer::{self, CHALLENGE};
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
