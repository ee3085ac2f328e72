//! Who may change whose bindings: digest before the location service (RFC 3261 §10.3 steps 3 to 5, §22).

use std::time::Duration;

use sipreg::proto::digest::hash::{Exchange, Protection, ha1};
use sipreg::proto::digest::{Algorithm, Qop, Variant, Verifier};
use sipreg::proto::ids::Counting;
use sipreg::proto::registrar::service::{AuthFailure, ServerEvent, Service};
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

pub fn nonce_of(challenge: &Sent, algorithm: Algorithm) -> String {
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
    assert_eq!(algorithms, ["SHA-256", "SHA-512-256", "MD5"]);
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

/// RAU-004: the order is the server's, and one row each.
#[test]
fn the_order_of_the_challenges_is_that_of_the_options() {
    for order in [&[Algorithm::Md5, Algorithm::Sha512_256][..], &[Algorithm::Sha512_256, Algorithm::Md5], &[]]
    {
        let users = users(&[("heisenberg", "munich.de", "uncertainty", "")]);
        let verifier = Verifier::new(users, order, &mut Counting::default());
        let mut world = World::new(Service { verifier: Some(verifier), ..service() });
        let challenges =
            world.ask(&register(1, "")).response().headers.challenges(&HeaderName::WwwAuthenticate);
        let offered: Vec<_> = challenges.iter().filter_map(Challenge::algorithm).collect();
        let wanted = if order.is_empty() { &Algorithm::OFFERED[..] } else { order };
        assert_eq!(offered, wanted.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>());
    }
}

/// A device without a password asks again and again; over UDP, and over a connection each.
///
/// RAU-004
#[test]
fn a_device_that_lets_three_challenges_pass_is_told_of_once() {
    for over_tcp in [false, true] {
        let mut world = World::new(guarded());
        let mut told = Vec::new();
        for n in 1..=6 {
            let text = register(n, "Contact: <sip:a~b>");
            // A copy is no other request.
            for _ in 0..2 {
                let answer = if over_tcp {
                    let peer = format!("192.0.2.7:{}", 40_000 + n);
                    let flow = world.connect(&peer);
                    world.stream(flow, &peer, &wire(&text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"))).remove(0)
                } else {
                    world.ask(&text)
                };
                assert_eq!(answer.status(), 401);
                world.pass(Duration::from_secs(3));
                told.push(world.news().len());
            }
        }
        assert_eq!(told, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(world.asked.len(), 0);
        world.stop();
    }
}

#[test]
fn what_is_told_of_a_device_that_never_answers() {
    let mut world = World::new(guarded());
    for n in 1..=3 {
        // Begun without an answer, as IMS devices do: that is none.
        let begin = "Authorization: Digest username=\"h\", realm=\"munich.de\", nonce=\"\", uri=\"sip:munich.de\", \
                     response=\"\"";
        assert_eq!(world.ask(&register(n, begin)).status(), 401);
    }
    assert_eq!(world.news(), [], "the third may still be answered");
    world.pass(Duration::from_secs(2));
    match world.news().as_slice() {
        [ServerEvent::Unanswered { peer, aor, offers }] => {
            assert_eq!(
                (peer.to_string().as_str(), aor.to_string().as_str()),
                (DEVICE, "sip:heisenberg@munich.de")
            );
            assert_eq!(offers, &Algorithm::OFFERED);
        }
        other => panic!("{other:?}"),
    }
    world.stop();
}

/// Whatever came of the answer: right, wrong, stale, for another realm, or unreadable.
#[test]
fn a_device_that_answered_in_between_is_not_told_of() {
    let nonce = |world: &mut World, n: u32| nonce_of(&world.ask(&register(n, "")), Algorithm::Md5);
    type Reply = fn(&str) -> String;
    let answers: [(Reply, u16); 4] = [
        (|nonce| answer(&register(90, ""), nonce, "heisenberg", "uncertainty", Algorithm::Md5, 1), 200),
        (|nonce| answer(&register(90, ""), nonce, "heisenberg", "certainty", Algorithm::Md5, 1), 401),
        (|_| answer(&register(90, ""), "0123", "heisenberg", "uncertainty", Algorithm::Md5, 1), 401),
        (|_| register(90, "Authorization: Digest username=\"a\", realm=\"other\", response=\"1\""), 401),
    ];
    for (reply, status) in answers {
        let mut world = World::new(guarded());
        nonce(&mut world, 1);
        nonce(&mut world, 2);
        let nonce_of_third = nonce(&mut world, 3);
        assert_eq!(world.ask(&reply(&nonce_of_third)).status(), status);
        nonce(&mut world, 4);
        nonce(&mut world, 5);
        world.pass(Duration::from_secs(60));
        let unanswered = |what: &ServerEvent| matches!(what, ServerEvent::Unanswered { .. });
        assert!(!world.news().iter().any(unanswered));
        nonce(&mut world, 6);
        world.pass(Duration::from_secs(60));
        assert_eq!(world.news().iter().filter(|what| unanswered(what)).count(), 1);
        world.stop();
    }
}

/// `username="heisenberg@munich.de"` where Heisenberg of munich.de is meant.
#[test]
fn the_whole_address_as_user_name_is_the_user_and_nobody_else() {
    let sign_in = |world: &mut World, n: u32, user: &str, hashed: &str, password: &str| {
        let text = register(n, "Contact: <sip:a~b>");
        let nonce = nonce_of(&world.ask(&text), Algorithm::Sha256);
        let signed = answer(&text, &nonce, hashed, password, Algorithm::Sha256, n);
        world
            .ask(&signed.replace(&format!("username=\"{hashed}\""), &format!("username=\"{user}\"")))
            .status()
    };
    let mut world = World::new(guarded());
    let (long, short) = ("heisenberg@munich.de", "heisenberg");
    // Made with the HA1 of the short name, under the long one, in any letter case of the domain.
    assert_eq!(sign_in(&mut world, 1, long, short, "uncertainty"), 200);
    assert_eq!(sign_in(&mut world, 2, "heisenberg@MUNICH.de", short, "uncertainty"), 200);
    assert_eq!(sign_in(&mut world, 3, long, short, "certainty"), 401);
    // Made with an HA1 of the long name, of which nothing is known here.
    assert_eq!(sign_in(&mut world, 4, long, long, "uncertainty"), 401);
    // Others: of another domain, and another user under this address.
    assert_eq!(sign_in(&mut world, 5, "heisenberg@berlin.de", short, "uncertainty"), 401);
    assert_eq!(sign_in(&mut world, 6, "born@munich.de", "born", "probability"), 403);
    assert_eq!(sign_in(&mut world, 7, "@munich.de", short, "uncertainty"), 401);
    world.stop();
    // With a line for the whole address either works, and both are Heisenberg.
    let both = [
        (short, "munich.de", "uncertainty", ""),
        (long, "munich.de", "principle", ""),
        ("born", "munich.de", "probability", ""),
    ];
    let verifier = Verifier::new(users(&both), &Algorithm::OFFERED, &mut Counting::default());
    let mut world = World::new(Service { verifier: Some(verifier), ..service() });
    assert_eq!(sign_in(&mut world, 1, long, long, "principle"), 200);
    assert_eq!(sign_in(&mut world, 2, long, short, "uncertainty"), 200);
    assert_eq!(sign_in(&mut world, 3, short, short, "uncertainty"), 200);
    assert_eq!(sign_in(&mut world, 4, short, long, "principle"), 401);
    world.stop();
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
