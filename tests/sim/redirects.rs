//! Following 3xx responses.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use sipreg::proto::client::outcome::{Failure, Unreachable, Warning};
use sipreg::proto::client::plan::Plan;
use sipreg::proto::locate::Transport;
use sipreg::proto::{Cause, ResolveError};

use crate::keep_world;
use crate::world::*;

const HOUR: u64 = 3_600_000;

/// What each destination answers, by its port.
fn by_port(answers: &[(u16, &'static str)]) -> World<'static> {
    let answers = answers.to_vec();
    World::new(move |request, _, to| {
        let text = answers.iter().find(|(port, _)| *port == to.address.port()).unwrap().1;
        vec![(10, Reaction::Send(answer(request, text)))]
    })
}

fn uris(course: &Course) -> Vec<String> {
    course.sent.iter().map(|s| s.request.uri.clone()).collect()
}

/// RSP-006 RSP-009..012 REQ-001
#[test]
fn a_redirected_request_takes_the_contact_without_user_method_and_headers_and_keeps_who_asks() {
    let moved = "302 Moved|Contact: <sip:werner~192.0.2.8:5066;transport=tcp;method=INVITE;x=1?Route=%3Csip:evil%3E&From=x>";
    let course = by_port(&[(5060, moved), (5066, OK)]).run(plan());
    assert_eq!(uris(&course), ["sip:192.0.2.1", "sip:192.0.2.8:5066;transport=tcp;x=1"]);
    assert_eq!(course.way(), "0 udp 192.0.2.1:5060, 10 tcp 192.0.2.8:5066");
    let [first, second] =
        [0, 1].map(|n| ["From", "To", "Call-ID"].map(|name| course.sent[n].header(name).unwrap()).join(" "));
    assert_eq!(first, second);
    assert_eq!(course.sent[1].header("CSeq").unwrap(), "2 REGISTER");
    assert!(course.sent[1].header("Route").is_none());
    assert_ne!(course.sent[0].header("Via"), course.sent[1].header("Via"));
    assert_eq!(course.attempts(), "Status(302), Status(200)");
}

/// RSP-008 RSP-013 RSP-006 COD-003
#[test]
fn targets_are_tried_by_falling_q_until_one_serves() {
    let moved = "300 Choose|Contact: <sip:192.0.2.8:5061>;q=0.5, <sip:192.0.2.8:5062>|Contact: <sip:192.0.2.8:5063>;q=0.7";
    let answers: &[(u16, &str)] = &[(5060, moved), (5062, "500 Broken"), (5063, "404 Not Found"), (5061, OK)];
    let course = by_port(answers).run(plan());
    assert_eq!(
        course.way(),
        "0 udp 192.0.2.1:5060, 10 udp 192.0.2.8:5062, 20 udp 192.0.2.8:5063, 30 udp 192.0.2.8:5061"
    );
    assert!(course.report.result.is_ok());
    // A global failure ends the walk at once.
    let answers: &[(u16, &str)] = &[(5060, moved), (5062, "600 Busy Everywhere")];
    assert_eq!(verdict(&by_port(answers).run(plan())), "Refused(Status(600))");
}

/// A host that only a redirect named gets no answer for a realm of its own choice; ports, transports and the
/// address of a named host make no other host.
#[test]
fn a_redirect_does_not_borrow_the_password() {
    const ELSEWHERE: &str = "302 Moved|Contact: <sip:198.51.100.9>";
    const STRANGE: &str = "401 Who|WWW-Authenticate: Digest realm=\"evil\", nonce=\"n\"";
    const DOMAIN: &str = "401 Who|WWW-Authenticate: Digest realm=\"Munich.DE\", nonce=\"n\"";
    let of = |realm: &str| {
        let mut plan = plan();
        plan.keyring.credentials[0].realm = Some(realm.to_owned());
        plan
    };
    let only = |realm: &str| {
        let mut plan = plan();
        plan.keyring.realm = Some(realm.to_owned());
        plan
    };
    let named = |uri_text: &str| Plan { aor: uri(uri_text), ..plan() };
    // What the registrar answers first and with credentials, what the other host asks, whether it gets an answer, and
    // whether that is warned of.
    const PROXY: &str = "407 Who|Proxy-Authenticate: Digest realm=\"evil\", nonce=\"n\"";
    const PORT: &str = "302 Moved|Contact: <sip:192.0.2.1:5070>";
    const STREAM: &str = "302 Moved|Contact: <sip:192.0.2.1:5070;transport=tcp>";
    let table = [
        ("a realm of its own", plan(), [ELSEWHERE; 2], STRANGE, false, false),
        ("the same as a proxy", plan(), [ELSEWHERE; 2], PROXY, false, false),
        ("the domain of the address", plan(), [ELSEWHERE; 2], DOMAIN, true, true),
        ("a realm that a named host was answered for", plan(), [STRANGE, ELSEWHERE], STRANGE, true, true),
        ("the realm of the secret", of("evil"), [ELSEWHERE; 2], STRANGE, true, true),
        ("the realm of --realm", only("evil"), [ELSEWHERE; 2], STRANGE, true, true),
        ("another port", plan(), [PORT; 2], STRANGE, true, false),
        ("another transport", plan(), [STREAM; 2], STRANGE, true, false),
        ("the host of the address", named("sip:werner~198.51.100.9"), [ELSEWHERE; 2], STRANGE, true, false),
    ];
    for (what, plan, [first, then], challenge, answered, warned) in table {
        let world = World::new(move |request, _, to| {
            let answers = request
                .to_bytes()
                .windows(14)
                .any(|part| part == b"Authorization:" || part == b"-Authorization");
            let text = match (to.address.to_string().as_str(), answers) {
                ("192.0.2.1:5060", false) => first,
                ("192.0.2.1:5060", true) => then,
                (_, false) => challenge,
                (_, true) => OK,
            };
            vec![(10, Reaction::Send(answer(request, text)))]
        });
        let course = world.run(plan);
        let has =
            |sent: &&Sent| sent.header("Authorization").or(sent.header("Proxy-Authorization")).is_some();
        let there = course.sent.iter().filter(|sent| sent.to.address.to_string() != "192.0.2.1:5060");
        assert_eq!(there.filter(has).count(), usize::from(answered), "{what}");
        let is_warning = |warning: &Warning| matches!(warning, Warning::Strange { .. });
        assert_eq!(course.report.warnings.iter().any(is_warning), warned, "{what}");
        let verdict =
            course.report.result.map_or_else(|failure| format!("{failure:?}"), |_| "bound".to_owned());
        let expected = if answered { "bound" } else { "Credentials(Strange {" };
        assert!(verdict.starts_with(expected), "{what}: {verdict}");
    }
}

/// DES-027
#[test]
fn names_without_an_address_count_as_destinations() {
    let names: Vec<String> = (0..100).map(|n| format!("<sip:{n}.invalid>")).collect();
    let moved = format!("302 Moved|Contact: {}", names.join(", "));
    let mut world = World::new(|request, _, _| vec![(10, Reaction::Send(answer(request, &moved)))]);
    world.names = Box::new(|_| Some(Err(ResolveError::NoSuchName)));
    let course = world.run(plan());
    assert_eq!((course.report.attempts.len(), course.asked.len()), (16, 90));
    let error = Some(ResolveError::NoSuchName);
    let name = "14.invalid".to_owned();
    assert_eq!(course.report.result.unwrap_err(), Failure::Unreachable(Unreachable::Name { name, error }));
}

/// RSP-016
#[test]
fn a_305_repeats_the_request_through_the_proxy_it_names() {
    let course = by_port(&[(5060, "305 Use Proxy|Contact: <sip:192.0.2.9:5070>"), (5070, OK)]).run(plan());
    assert_eq!(uris(&course), ["sip:192.0.2.1", "sip:192.0.2.1"]);
    assert_eq!(course.sent[1].header("Route").unwrap(), "<sip:192.0.2.9:5070;lr>");
    assert_eq!(course.way(), "0 udp 192.0.2.1:5060, 10 udp 192.0.2.9:5070");
}

#[test]
fn a_targets_own_transport_decides_and_one_without_keeps_the_forced_one() {
    let mut forced = plan();
    forced.transport = Some(Transport::Tcp);
    let moved = "302 Moved|Contact: <sip:192.0.2.8:5061>;q=1, <sip:192.0.2.8:5062;transport=udp>;q=0.5";
    let course = by_port(&[(5060, moved), (5061, "500 No"), (5062, OK)]).run(forced);
    assert_eq!(course.way(), "0 tcp 192.0.2.1:5060, 10 tcp 192.0.2.8:5061, 20 udp 192.0.2.8:5062");
}

/// RSP-002 RSP-013
#[test]
fn the_last_answer_that_was_not_acted_upon_decides_over_dead_targets() {
    let moved = "302 Moved|Contact: <sip:192.0.2.8:5061>";
    let mut world = by_port(&[(5060, moved)]);
    world.open = Box::new(|to| match to.address.port() {
        5060 => Ok((0, "192.0.2.99:5070".parse().unwrap())),
        _ => Err(Cause::Refused),
    });
    assert_eq!(verdict(&world.run(plan())), "Unreachable(Network(Refused))");
    let two = "302 Moved|Contact: <sip:192.0.2.8:5062>, <sip:192.0.2.8:5061>";
    let mut world = by_port(&[(5060, two), (5062, "404 Not Found")]);
    world.open = Box::new(|to| match to.address.port() {
        5061 => Err(Cause::Refused),
        _ => Ok((0, "192.0.2.99:5070".parse().unwrap())),
    });
    let course = world.run(plan());
    assert_eq!(verdict(&course), "Refused(Status(404))");
    assert_eq!(course.attempts(), "Status(302), Status(404), Failed(Refused)");
}

/// AUT-008
#[test]
fn credentials_are_not_shown_to_a_redirect_target_that_did_not_ask() {
    let course = World::new(|request, n, _| {
        let text = match n {
            0 => MD5,
            1 => "302 Moved|Contact: <sip:192.0.2.8:5061>",
            _ => OK,
        };
        vec![(10, Reaction::Send(answer(request, text)))]
    })
    .run(plan());
    assert!(course.sent[1].header("Authorization").is_some());
    assert!(course.sent[2].header("Authorization").is_none());
    assert!(course.report.auth.is_empty());
}

/// RSP-015: after a 301 an account that is kept goes to the new place first, also over another flow, and back to the old one where
/// nobody is at the new; a 302 counts for the one request.
#[test]
fn what_moved_for_good_is_gone_to_first_from_then_on() {
    for (moved, from_then_on) in [("301 Moved Permanently", true), ("302 Moved", false)] {
        let log: Rc<RefCell<Vec<(u64, String)>>> = Rc::default();
        let seen = Rc::clone(&log);
        let mut world = keep_world::World::new(move |asked| {
            let uri = asked.text.split(' ').nth(1).unwrap_or_default().to_owned();
            seen.borrow_mut().push((asked.at, uri.clone()));
            match (uri == "sip:192.0.2.1", asked.at) {
                (true, _) if asked.at < 3 * HOUR => {
                    keep_world::Reply::Say(format!("{moved}|Contact: <sip:192.0.2.8>"))
                }
                (true, _) => keep_world::Reply::Grant(600),
                (false, _) if asked.at < 4 * HOUR => keep_world::Reply::Grant(600),
                (false, _) => keep_world::Reply::Say("404 Not Found".to_owned()),
            }
        });
        world.keep(1, plan(), 0);
        let uris = |from: u64| -> Vec<String> {
            log.borrow().iter().filter(|(at, _)| *at >= from).map(|(_, uri)| uri.clone()).collect()
        };
        world.run(HOUR);
        assert_eq!(uris(0)[..2], ["sip:192.0.2.1", "sip:192.0.2.8"]);
        // The one that moved for now is looked for where it was, now and then (DES-034).
        let asked_again = uris(1000).iter().any(|uri| uri == "sip:192.0.2.1");
        assert_eq!(asked_again, !from_then_on, "{:?}", log.borrow());
        world.move_to("192.0.2.99:5071");
        world.run(HOUR + 1100);
        let first = if from_then_on { "sip:192.0.2.8" } else { "sip:192.0.2.1" };
        assert_eq!(uris(HOUR)[0], first);
        // The new place has gone: the old one is asked again, and nothing of the 301 is left.
        world.run(5 * HOUR);
        world.move_to("192.0.2.99:5072");
        world.run(5 * HOUR + 1100);
        assert_eq!(uris(5 * HOUR)[0], "sip:192.0.2.1");
        assert!(world.end(moved).share > 99.0);
    }
}

/// RSP-010: where an account has moved to, it is sent on from before the old place is asked, and nothing is asked twice in a try.
#[test]
fn a_place_moved_to_for_good_redirects_like_any_other() {
    for is_silent in [false, true] {
        let log: Rc<RefCell<Vec<String>>> = Rc::default();
        let (seen, mut last) = (Rc::clone(&log), String::new());
        let mut world = keep_world::World::new(move |asked| {
            let uri = asked.text.split(' ').nth(1).unwrap_or_default().to_owned();
            let is_copy = mem::replace(&mut last, asked.text.to_owned()) == asked.text;
            if !is_copy {
                seen.borrow_mut().push(uri.clone());
            }
            match uri.as_str() {
                "sip:192.0.2.1" => keep_world::Reply::Say("301 Moved|Contact: <sip:192.0.2.8>".to_owned()),
                "sip:192.0.2.8" if asked.at < HOUR => keep_world::Reply::Grant(3600),
                "sip:192.0.2.8" if is_silent => keep_world::Reply::Silent,
                "sip:192.0.2.8" => keep_world::Reply::Say("302 Moved|Contact: <sip:192.0.2.9>".to_owned()),
                _ => keep_world::Reply::Grant(3600),
            }
        });
        world.keep(1, plan(), 0);
        world.run(HOUR - 1000);
        log.borrow_mut().clear();
        world.run(HOUR);
        world.move_to("192.0.2.99:5071");
        world.run(HOUR + 60_000);
        let tried = log.borrow().clone();
        if is_silent {
            // The second try begins with the old place, which is all that is known then.
            assert_eq!(tried[..3], ["sip:192.0.2.8", "sip:192.0.2.1", "sip:192.0.2.1"], "{tried:?}");
        } else {
            assert_eq!(tried, ["sip:192.0.2.8", "sip:192.0.2.9"]);
        }
    }
}
