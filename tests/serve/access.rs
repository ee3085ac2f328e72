//! Who may change whose bindings: digest before the location service (RFC 3261 §10.3 steps 3 to 5, §22).

use std::time::Duration;

use sipreg::proto::digest::hash::{Exchange, Protection, ha1};
use sipreg::proto::digest::{Algorithm, Qop, Variant};
use sipreg::proto::registrar::service::{AuthFailure, ServerEvent};
use sipreg::proto::{Command, Event};
use sipreg::sip::{Challenge, HeaderName};

use crate::world::*;

/// Signs a request as a client would: the first challenge of that algorithm.
pub fn signed(
    world: &mut World,
    text: &str,
    user: &str,
    password: &str,
    algorithm: Algorithm,
    nc: u32,
) -> String {
    let challenge = world.ask(text);
    assert_eq!(challenge.status(), 401, "{}", challenge.text());
    answer(text, &nonce_of(&challenge, algorithm), user, password, algorithm, nc)
}

fn nonce_of(challenge: &Sent, algorithm: Algorithm) -> String {
    let challenges: Vec<Challenge> = challenge.response().headers.challenges(&HeaderName::WwwAuthenticate);
    let wanted = challenges.iter().find(|challenge| challenge.algorithm() == Some(algorithm.as_str()));
    wanted.expect("the algorithm is offered").nonce().unwrap().to_owned()
}

/// The request with an Authorization row.
pub fn answer(text: &str, nonce: &str, user: &str, password: &str, algorithm: Algorithm, nc: u32) -> String {
    let (nc, uri) = (format!("{nc:08x}"), text.split(' ').nth(1).unwrap());
    let exchange = Exchange {
        algorithm,
        variant: Variant::Plain,
        nonce,
        session_cnonce: "",
        protection: Some(Protection { qop: Qop::Auth, nc: &nc, cnonce: "me" }),
        uri,
        body: b"",
    };
    let response = exchange.response(&ha1(algorithm, user, "munich.de", password.as_bytes()), "REGISTER");
    let row = format!(
        "Authorization: Digest username=\"{user}\", realm=\"munich.de\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={}, qop=auth, nc={nc}, cnonce=\"me\"|Call-ID",
        algorithm.as_str()
    );
    text.replacen("Call-ID", &row, 1).replacen("branch=z9hG4bK", &format!("branch=z9hG4bKauth{nc}"), 1)
}

const ALL: [Algorithm; 3] = [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];

/// RGR-011 RGR-012 RAU-001 RAU-003 RAU-004 RAU-005 RAU-018
#[test]
fn a_stranger_is_challenged_once_per_algorithm_and_leaves_no_trace() {
    let mut world = World::new(guarded());
    let first = world.ask(&register(1, "Contact: <sip:a~b>"));
    assert_eq!(first.status(), 401);
    let rows = first.headers("WWW-Authenticate");
    let algorithms: Vec<_> =
        rows.iter().map(|row| row.split("algorithm=").nth(1).unwrap().split(',').next().unwrap()).collect();
    assert_eq!(algorithms, ["SHA-512-256", "SHA-256", "MD5"]);
    for row in &rows {
        assert!(
            row.starts_with("Digest ") && row.contains("realm=\"munich.de\"") && row.contains("qop=\""),
            "{row}"
        );
        assert!(!row.contains("stale"), "{row}");
    }
    let again = world.ask(&register(1, "Contact: <sip:a~b>"));
    assert_eq!(again.header("To"), first.header("To"));
    assert_ne!(again.headers("WWW-Authenticate"), rows);
    assert_eq!((world.asked.len(), world.news().len()), (0, 0));
    assert_eq!(world.endpoint.next_timeout(), None);
    world.stop();
}

/// RGR-011 RAU-004
#[test]
fn a_user_with_the_password_is_let_through_with_every_algorithm() {
    for algorithm in ALL {
        let mut world = World::new(guarded());
        let text =
            signed(&mut world, &register(1, "Contact: <sip:a~b>"), "heisenberg", "uncertainty", algorithm, 1);
        assert_eq!(bound(&world.ask(&text)).len(), 1, "{algorithm:?}");
        world.stop();
    }
}

/// RAU-009 RAU-019 RAU-002
#[test]
fn who_does_not_know_the_password_is_challenged_again_and_told() {
    let mut world = World::new(guarded());
    let text = register(1, "Contact: <sip:a~b>");
    for (user, password) in [("heisenberg", "certainty"), ("nobody", "uncertainty")] {
        let wrong = signed(&mut world, &text, user, password, Algorithm::Sha256, 1);
        let refused = world.ask(&wrong);
        assert_eq!((refused.status(), refused.text().contains("stale")), (401, false));
        match world.news().as_slice() {
            [ServerEvent::AuthFailed { username, why, aor, .. }] => {
                assert_eq!(
                    (&**username, *why, aor.to_string().as_str()),
                    (user, AuthFailure::Wrong, "sip:heisenberg@munich.de")
                );
            }
            other => panic!("{other:?}"),
        }
    }
    for row in [
        "Authorization: Basic aGVpc2VuYmVyZzp1bmNlcnRhaW50eQ==",
        "Authorization: NoOneKnowsThisScheme opaque-data=here",
    ] {
        assert_eq!(world.ask(&register(9, row)).status(), 401, "{row}");
    }
    assert_eq!((world.asked.len(), world.counters().auth_failed), (0, 2));
    world.stop();
}

/// RAU-008 RAU-010
#[test]
fn an_old_nonce_is_stale_and_a_used_count_is_no_good() {
    let mut world = World::new(guarded());
    let text = register(1, "Contact: <sip:a~b>");
    let first = signed(&mut world, &text, "heisenberg", "uncertainty", Algorithm::Md5, 1);
    assert_eq!(world.ask(&first).status(), 200);
    let nonce = first.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let with =
        |n: u32, nc: u32| answer(&register(n, ""), &nonce, "heisenberg", "uncertainty", Algorithm::Md5, nc);
    assert_eq!(world.ask(&with(2, 2)).status(), 200);
    let replayed = world.ask(&with(3, 2));
    assert!(replayed.status() == 401 && replayed.text().contains("stale=true"), "{}", replayed.text());
    assert!(matches!(world.news().last(), Some(ServerEvent::AuthFailed { why: AuthFailure::Replayed, .. })));
    world.pass(Duration::from_secs(3 * 3600));
    world.news();
    let old = world.ask(&with(4, 3));
    assert!(old.status() == 401 && old.text().contains("stale=true"), "{}", old.text());
    assert_eq!(world.news(), []);
    world.stop();
}

/// RGR-013 RGR-014 RAU-014 RGR-015
#[test]
fn only_those_who_may_touch_another_address() {
    let mut world = World::new(guarded());
    let other = register(1, "Contact: <sip:a~b>").replace("To: <sip:heisenberg", "To: <sip:born");
    let denied = signed(&mut world, &other, "heisenberg", "uncertainty", Algorithm::Sha256, 1);
    assert_eq!(world.ask(&denied).status(), 403);
    assert!(matches!(
        world.news().as_slice(),
        [ServerEvent::AuthFailed { why: AuthFailure::NotAllowed, .. }]
    ));
    assert_eq!(world.asked, [""; 0]);
    let allowed = signed(&mut world, &other, "admin", "root", Algorithm::Sha256, 1);
    assert_eq!(bound(&world.ask(&allowed)).len(), 1);
    let nobody = register(2, "Contact: <sip:a~b>").replace("To: <sip:heisenberg", "To: <sip:nobody");
    let unknown = signed(&mut world, &nobody, "admin", "root", Algorithm::Sha256, 1);
    assert_eq!(world.ask(&unknown).status(), 404);
    world.stop();
}

/// RAU-016
#[test]
fn credentials_that_contradict_themselves_are_a_bad_request() {
    let mut world = World::new(guarded());
    let good = signed(&mut world, &register(1, ""), "heisenberg", "uncertainty", Algorithm::Sha256, 1);
    for (n, cut) in [", nc=00000001", ", cnonce=\"me\"", "username=\"heisenberg\", "].iter().enumerate() {
        let broken = good.replace(cut, "").replace("z9hG4bKauth", &format!("z9hG4bKcut{n}"));
        assert_eq!(world.ask(&broken).status(), 400, "{cut}");
    }
    world.stop();
}

/// The users file is read again while the server runs; nonces stay good.
#[test]
fn new_users_count_from_the_next_request_on() {
    let mut world = World::new(guarded());
    let text = register(1, "Contact: <sip:a~b>");
    let before = signed(&mut world, &text, "heisenberg", "uncertainty", Algorithm::Md5, 1);
    let changed = users(&[("heisenberg", "munich.de", "changed", "")]);
    world.event(Event::Command(Command::Users(Box::new(changed))));
    assert_eq!(world.ask(&before).status(), 401);
    let after = signed(&mut world, &text, "heisenberg", "changed", Algorithm::Md5, 2);
    assert_eq!(world.ask(&after).status(), 200);
    world.stop();
}
