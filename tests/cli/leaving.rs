//! How `sipreg keep` leaves: registrars that are slow, and such as fall silent.
#![cfg(unix)]

use std::net::UdpSocket;
use std::time::Duration;

use crate::keep::{keep, keep_with};
use crate::peer::CHALLENGE;
use crate::registrar::Registrar;

/// DES-019: who is slow to challenge, and slow to answer, is heard out within the four seconds.
#[test]
fn leaving_a_slow_registrar_takes_what_it_takes() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| {
        if request.all("Expires") != ["0"] {
            return request.as_asked();
        }
        std::thread::sleep(Duration::from_millis(1200));
        match request.all("Authorization").len() {
            0 => request.answer("401 Unauthorized", &[CHALLENGE]),
            _ => request.as_asked(),
        }
    });
    let environment = [("SIPREG_PASSWORD", "uncertainty")];
    let mut keep = keep_with(&registrar.address, home.path(), &["alice@localhost"], &environment);
    keep.tells("registering");
    keep.tells("registered");
    let start = sipreg::net::Clock::start();
    keep.signal("-TERM");
    let (events, _, code) = keep.end();
    let took = start.elapsed().as_millis();
    assert_eq!((events, code), (vec!["unregistered".to_owned(), "stopped".to_owned()], Some(0)));
    assert!((2400..4000).contains(&took), "{took}");
    assert_eq!(registrar.requests().len(), 3);
}

/// DES-019: a registrar that does not answer any more costs four seconds, and a second signal none.
#[test]
fn leaving_a_silent_registrar_takes_four_seconds_or_a_second_signal() {
    for (signals, least, most, wanted) in [(1, 3900, 8000, 4), (2, 0, 3000, 143)] {
        let home = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let rows: String = request
                .lines()
                .filter(|row| {
                    ["Via", "From", "To", "Call-ID", "CSeq", "Contact"]
                        .iter()
                        .any(|name| row.starts_with(name))
                })
                .map(|row| format!("{row}\r\n"))
                .collect();
            socket
                .send_to(format!("SIP/2.0 200 OK\r\n{rows}Expires: 3600\r\n\r\n").as_bytes(), from)
                .unwrap();
            socket
        });
        let mut keep = keep(&at, home.path(), &["alice@localhost"]);
        keep.tells("registering");
        keep.tells("registered");
        let _silent = answering.join().unwrap();
        let start = sipreg::net::Clock::start();
        keep.signal("-TERM");
        if signals == 2 {
            std::thread::sleep(Duration::from_millis(200));
            keep.signal("-TERM");
        }
        let (events, _, code) = keep.end();
        assert_eq!(code, Some(wanted), "{events:?}");
        let took = start.elapsed().as_millis();
        assert!((least..most).contains(&took), "{took} ms");
    }
}
