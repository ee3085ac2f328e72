//! What digest costs a server. `tests/bench/instructions` runs this program under callgrind as
//! `digest --count <what> <times>`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use sipreg::proto::Time;
use sipreg::proto::digest::hash::{self, Exchange, Protection};
use sipreg::proto::digest::{Algorithm, Hidden, Presented, Qop, Users, Variant, Verdict, Verifier};
use sipreg::proto::ids::{Counting, Random};
use sipreg::sip::{Challenge, Credentials, Method};
use std::hint::black_box;

const REALM: &str = "example.com";
const URI: &str = "sip:example.com";
const USERS: usize = 1000;
const NOW: Time = Time::from_millis(1_700_000_000_000);

/// One HA1 for all users: only the cost counts.
fn users(algorithm: Algorithm, ha1: &str) -> Users {
    let colons = ":".repeat(1 + Algorithm::ALL.iter().position(|known| *known == algorithm).unwrap());
    let line = |n: usize| format!("user{n}:{REALM}{colons}{ha1}\n");
    Users::parse(&(0..USERS).map(line).collect::<String>()).unwrap()
}

/// What a client of `user` sends after a challenge of its own.
fn answer(
    verifier: &Verifier,
    algorithm: Algorithm,
    ha1: &str,
    user: usize,
    random: &mut dyn Random,
) -> Credentials {
    let row = verifier.challenges(REALM, false, random, NOW).remove(0);
    let challenge = Challenge::parse_all(row.as_bytes()).remove(0);
    let nonce = challenge.nonce().unwrap();
    let cnonce = "0123456789abcdef0123456789abcdef";
    let exchange = Exchange {
        algorithm,
        variant: Variant::Plain,
        nonce,
        session_cnonce: cnonce,
        protection: Some(Protection { qop: Qop::Auth, nc: "00000001", cnonce }),
        uri: URI,
        body: b"",
    };
    Credentials::new("Digest")
        .quoted("username", &format!("user{user}"))
        .quoted("realm", REALM)
        .quoted("nonce", nonce)
        .quoted("uri", URI)
        .quoted("response", &exchange.response(ha1, "REGISTER"))
        .token("algorithm", algorithm.as_str())
        .quoted("cnonce", cnonce)
        .token("qop", "auth")
        .token("nc", "00000001")
}

fn count(what: &str, times: usize) {
    let (what, algorithm) = what.split_once('-').unwrap();
    let (algorithm, _) = Algorithm::parse(algorithm).unwrap();
    let ha1 = Hidden::new(hash::ha1(algorithm, "user", REALM, b"secret"));
    let ha1 = ha1.reveal();
    let mut random = Counting::default();
    let mut verifier = Verifier::new(users(algorithm, ha1), &[algorithm], &mut random);
    for n in 0..times {
        let credentials = [answer(&verifier, algorithm, ha1, n % USERS, &mut random)];
        let presented = Presented {
            realm: REALM,
            method: &Method::Register,
            uri: URI,
            body: b"",
            credentials: black_box(&credentials),
        };
        match what {
            "answer" => {}
            "challenge" => drop(black_box(verifier.challenges(REALM, false, &mut random, NOW))),
            "check" => assert!(matches!(verifier.check(presented, NOW), Verdict::Proven(_))),
            other => panic!("no such count: {other}"),
        }
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, _, what, times] = &arguments[..] else {
        return eprintln!("digest --count check-MD5|challenge-MD5|answer-MD5 TIMES; or another algorithm");
    };
    count(what, times.parse().unwrap());
}
