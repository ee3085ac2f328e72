//! The hostile registrars over loopback sockets: what the program says of each.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::hostile::{self, Asked, Case, Over, Piece};
use crate::registrar::{Answer, Registrar, Request};
use crate::run::{Ran, sipreg};

/// Most of them wait for each other's time to pass.
const AT_ONCE: usize = 12;

/// TRN-001
#[test]
fn every_hostile_registrar_ends_as_the_table_says() {
    let all = hostile::all().into_iter().map(Arc::new);
    let runs: Vec<(Arc<Case>, Over)> = all
        .flat_map(|case| [Over::Datagrams, Over::Streams].map(|over| (Arc::clone(&case), over)))
        .filter(|(case, over)| case.over == Over::Both || case.over == *over)
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((case, over)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The list is locked only once the run is over, or they would go one by one.
                    let found = run(case, *over);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), runs.len(), wrong.join("\n"));
}

/// What is not as the table says.
fn run(case: &Arc<Case>, over: Over) -> Option<String> {
    let registrars = serve(case, over);
    let mut words = vec!["register", "sip:werner.heisenberg@munich.de", "--stateless", "--json"];
    words.extend(["--registrar", &registrars[0].address, "--expires", "600"]);
    words.extend(["--username", "heisenberg", "--password", "uncertainty"]);
    words.extend(["--transport", if over == Over::Streams { "tcp" } else { "udp" }]);
    if case.silent {
        words.extend(["--t1", "40ms"]);
    }
    let ran = sipreg(&words);
    let got = said(&ran);
    let expected = expected(case);
    // What still was under way when a connection was closed never came.
    let came: usize = registrars.into_iter().map(|registrar| registrar.requests().len()).sum();
    let lost = over == Over::Datagrams && came != case.requests as usize;
    (got != expected || lost).then(|| {
        format!("{} ({over:?}):\n  {got}\n  not {expected}; {came} came\n{:.2000}", case.name, ran.all())
    })
}

/// Exit status, kind of error, lifetime, requests and results.
fn said(ran: &Ran) -> String {
    let json = ran.json();
    let attempts: Vec<&str> =
        json["attempts"].as_array().unwrap().iter().map(|a| a["result"].as_str().unwrap()).collect();
    let (code, kind) = (ran.code.unwrap(), json["error"]["kind"].as_str().unwrap_or("none"));
    let (expires, requests) = (json["expires"].as_u64(), &json["requests"]);
    format!("exit {code}, error {kind}, expires {expires:?}, {requests} requests: {}", attempts.join(" "))
}

fn expected(case: &Case) -> String {
    let granted = case.end.strip_prefix("ok ").map(|seconds| seconds.parse().unwrap());
    let family = case.end.split(['(', ' ']).next().unwrap();
    let (code, kind) = match family {
        "ok" => (0, "none"),
        "Refused" => (1, "refused"),
        "Credentials" => (3, "credentials"),
        "Timeout" => (4, "timeout"),
        "Unreachable" => (5, "unreachable"),
        "Misbehaved" => (6, "misbehaved"),
        other => panic!("{other} has no exit status"),
    };
    let expires: Option<u64> = granted;
    format!("exit {code}, error {kind}, expires {expires:?}, {} requests: {}", case.requests, case.attempts)
}

/// The servers of a case: all addresses are known before the first request comes.
fn serve(case: &Arc<Case>, over: Over) -> Vec<Registrar> {
    let asked = Arc::new(AtomicUsize::new(0));
    let script = |at: usize, servers: &[SocketAddr]| {
        let (case, asked, servers) = (Arc::clone(case), Arc::clone(&asked), servers.to_vec());
        move |_, request: &Request| {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            let pieces = (case.script)(&Asked { text: &request.text, n, at, servers: &servers });
            pieces.into_iter().map(answer).collect()
        }
    };
    if over == Over::Streams {
        let all: Vec<TcpListener> =
            (0..case.servers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> = all.iter().map(|one| one.local_addr().unwrap()).collect();
        let serve = |(at, one)| Registrar::listening(one, script(at, &addresses));
        all.into_iter().enumerate().map(serve).collect()
    } else {
        let all: Vec<UdpSocket> =
            (0..case.servers).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> = all.iter().map(|one| one.local_addr().unwrap()).collect();
        let serve = |(at, one)| Registrar::on(one, script(at, &addresses));
        all.into_iter().enumerate().map(serve).collect()
    }
}

fn answer(piece: Piece) -> Answer {
    match piece {
        Piece::Octets(octets) => Answer::Octets(octets),
        Piece::Elsewhere(octets) => Answer::Elsewhere(octets),
        Piece::Close => Answer::Close,
    }
}
