//! The events of `keep` and `serve`: each as a line for people, and what of it `--quiet` shows.

use std::sync::Arc;

use super::*;
use crate::cli::report::events::{ForPeople, KeepEvent, Rate, ServeEvent, Throttle, Weight};
use crate::cli::report::zone::Zone;
use crate::proto::binding::{Aor, Effect, Fate};
use crate::proto::client::schedule::{AccountEvent, Departure};
use crate::proto::digest::Algorithm;
use crate::proto::identity::{Alert, LastWords, Untrusted, UpgradeFault};
use crate::proto::registrar::service::{AuthFailure, Crowd, Overload, ServerEvent};
use crate::sip::Method;

fn text(event: &impl ForPeople) -> String {
    event.text(Paint::plain(), &Zone::new(&Environment::default()))
}

fn going_away() -> LastWords {
    LastWords::Close { code: 1001, reason: "restart\u{1b}[2J".into() }
}

fn later(seconds: u64) -> Time {
    SENT + Duration::from_secs(seconds)
}

/// Everything that can happen to an account. What a peer wrote can't command the terminal.
#[test]
fn events_of_keep_are_lines_for_people() {
    let success = || Box::new(report(Ok(bound()), Some((200, "OK"))));
    let refused =
        |status, reason| Box::new(failed(Failure::Refused(Refusal::Status(status)), Some((status, reason))));
    let until = Some(later(3600));
    let remapped = Cause::Keepalive(KeepaliveFault::Remapped);
    let seen = Some("203.0.113.9:62011".parse().unwrap());
    let events = [
        (AccountEvent::Registering, None),
        (AccountEvent::Registered { report: success(), until: later(3600), next: later(3078) }, until),
        (AccountEvent::Refreshed { report: success(), until: later(3600), next: later(3078) }, until),
        (AccountEvent::Failed { report: refused(503, "Busy\u{1b}[2J"), until, next: Some(later(20)) }, until),
        (AccountEvent::Failed { report: refused(404, "Not Found"), until: None, next: None }, None),
        (AccountEvent::FlowFailed { cause: Some(Cause::Reset), words: None, next: later(1) }, until),
        (AccountEvent::FlowFailed { cause: None, words: None, next: later(1) }, until),
        (AccountEvent::FlowFailed { cause: None, words: Some(going_away()), next: later(1) }, until),
        (AccountEvent::FlowFailed { cause: Some(remapped), words: None, next: later(1) }, until),
        (AccountEvent::NetworkChanged, until),
        (AccountEvent::Nat { seen, interval: Some(Duration::from_secs(29)) }, until),
        (AccountEvent::Nat { seen: None, interval: None }, until),
        (
            AccountEvent::Incoming { method: "INVITE".into(), from: "sip:bob@\u{7}".into(), status: 480 },
            until,
        ),
        (AccountEvent::Unregistered(success()), None),
        (AccountEvent::Stopped(Departure::Removed), None),
        (AccountEvent::Stopped(Departure::Unconfirmed), until),
    ];
    let (mut lines, mut loud) = (String::new(), Vec::new());
    for (what, until) in &events {
        let event = KeepEvent::of(AOR, what, *until, SENT);
        lines += &text(&event);
        if event.weight() == Weight::Failure {
            loud.push(event.name());
        }
    }
    assert_eq!(loud, ["failed", "failed", "stopped"], "what --quiet shows");
    let report = refused(500, "Oops");
    let failure = report.result.as_ref().unwrap_err();
    lines += &text(&KeepEvent::not_removed(AOR, failure, &report, until, SENT));
    insta::assert_snapshot!(lines, @r#"
    13:03:12 UTC  registering   werner.heisenberg@munich.de
    13:03:12 UTC  registered    werner.heisenberg@munich.de for 1h, next in 51m 18s
    13:03:12 UTC  refreshed     werner.heisenberg@munich.de for 1h, next in 51m 18s
    13:03:12 UTC  failed        werner.heisenberg@munich.de: the registrar refused: 503 Busy\u{1b}[2J; bound for 1h more; next try in 20s
    13:03:12 UTC  failed        werner.heisenberg@munich.de: the registrar refused: 404 Not Found; not tried again
    hint: no such user or domain there: check the AOR, and name the registrar with --registrar
    13:03:12 UTC  flow failed   werner.heisenberg@munich.de: the connection broke: connection reset; next try in 1s
    13:03:12 UTC  flow failed   werner.heisenberg@munich.de: the registrar closed the connection; next try in 1s
    13:03:12 UTC  flow failed   werner.heisenberg@munich.de: the registrar closed the connection: WebSocket close code 1001 (going away), "restart\u{1b}[2J"; next try in 1s
    13:03:12 UTC  flow failed   werner.heisenberg@munich.de: keep-alives come from another address than before; next try in 1s
    13:03:12 UTC  moved         werner.heisenberg@munich.de: the network has changed
    13:03:12 UTC  behind a NAT  werner.heisenberg@munich.de: seen as 203.0.113.9:62011, kept open every 29s
    13:03:12 UTC  no NAT        werner.heisenberg@munich.de: seen where it is
    13:03:12 UTC  incoming      werner.heisenberg@munich.de: INVITE from sip:bob@\u{7}: 480
    13:03:12 UTC  unregistered  werner.heisenberg@munich.de
    13:03:12 UTC  stopped       werner.heisenberg@munich.de
    13:03:12 UTC  stopped       werner.heisenberg@munich.de: no answer in time: the binding may be there still
    13:03:12 UTC  stopped       werner.heisenberg@munich.de: the binding may be there still: the registrar refused: 500 Oops
    "#);
}

/// Where no keep-alives are sent, a warning says it, and the line would say it twice.
#[test]
fn a_nat_is_told_with_how_often_the_way_through_it_is_kept_open() {
    let seen = Some("203.0.113.9:62011".parse().unwrap());
    for (interval, weight, json) in [
        (Some(Duration::from_secs(29)), Weight::News, r#""address":"203.0.113.9:62011","interval":29.0"#),
        (Some(Duration::from_millis(1500)), Weight::News, r#""address":"203.0.113.9:62011","interval":1.5"#),
        (None, Weight::Warned, r#""address":"203.0.113.9:62011","interval":null"#),
    ] {
        let event = KeepEvent::of(AOR, &AccountEvent::Nat { seen, interval }, Some(later(60)), SENT);
        assert_eq!((event.name().as_str(), event.weight()), ("nat", weight));
        assert!(event.line(0).contains(json), "{}", event.line(0));
    }
}

#[test]
fn other_devices_that_come_and_go_are_named() {
    let mut lines = String::new();
    for others in [0, 1, 2, 6] {
        let mut success = bound();
        success.bindings.extend((0..others).map(|n| listed(&format!("<sip:w{n}@192.0.2.9>"), 60, false)));
        success.bindings.push(listed("<sip:gone@192.0.2.9>", 0, false));
        let report = Box::new(report(Ok(success), Some((200, "OK"))));
        let what = AccountEvent::Refreshed { report, until: later(60), next: later(30) };
        let event = KeepEvent::of(AOR, &what, Some(later(60)), SENT).into_bindings_changed();
        assert_eq!(event.name(), "bindings_changed");
        lines += &text(&event);
    }
    insta::assert_snapshot!(lines, @r#"
    13:03:12 UTC  changed       werner.heisenberg@munich.de: no other device is bound any more
    13:03:12 UTC  changed       werner.heisenberg@munich.de: also bound: sip:w0@192.0.2.9
    13:03:12 UTC  changed       werner.heisenberg@munich.de: 2 others are bound: sip:w0@192.0.2.9, sip:w1@192.0.2.9
    13:03:12 UTC  changed       werner.heisenberg@munich.de: 6 others are bound: sip:w0@192.0.2.9, sip:w1@192.0.2.9, sip:w2@192.0.2.9, sip:w3@192.0.2.9, sip:w4@192.0.2.9, ...
    "#);
}

#[test]
fn events_of_serve_are_lines_for_people() {
    let peer = "192.0.2.7:5060".parse().unwrap();
    let aor = Aor::of(&Uri::parse(AOR).unwrap());
    let changed = |fate, expires: Option<u64>| ServerEvent::Changed {
        effect: Effect { aor: aor.clone(), contact: "<sip:w@192.0.2.8>;q=0.5".into(), fate },
        expires: expires.map(later),
        peer: Some(peer),
    };
    let auth_failed = |username: &str| ServerEvent::AuthFailed {
        peer,
        aor: aor.clone(),
        username: Arc::from(username),
        why: AuthFailure::Wrong,
    };
    let unanswered = |offers: &[Algorithm]| {
        let (aor, offers) = (aor.clone(), offers.to_vec());
        ServerEvent::Unanswered { peer, aor, offers }
    };
    let routed = |targets: &[&str], status| ServerEvent::Routed {
        aor: aor.clone(),
        method: Method::Invite,
        from: "sip:niels\u{7}@copenhagen.dk".into(),
        targets: targets.iter().map(|target| Arc::from(*target)).collect(),
        status,
    };
    let malformed = |status| ServerEvent::Malformed { peer, what: "a \u{1b} in it".into(), status };
    let events = [
        ServerEvent::Listening { transport: Transport::Udp, address: "127.0.0.1:5060".parse().unwrap() },
        changed(Fate::Bound, Some(3600)),
        changed(Fate::Refreshed, Some(3600)),
        changed(Fate::Removed, None),
        changed(Fate::Expired, None),
        routed(&["<sip:werner.heisenberg@192.0.2.8>;q=0.5", "sip:w@192.0.2.9"], None),
        routed(&["sip:w@192.0.2.9"; 6], None),
        routed(&["sip:w@192.0.2.9"], Some(200)),
        routed(&[], Some(480)),
        routed(&[], Some(499)),
        ServerEvent::Overload { what: Crowd::Calls, refused: 1 },
        ServerEvent::Overload { what: Crowd::Memory, refused: 31 },
        auth_failed("mallory\u{7}"),
        auth_failed(""),
        unanswered(&Algorithm::OFFERED),
        unanswered(&[Algorithm::Md5]),
        unanswered(&[Algorithm::Sha256]),
        malformed(Some(400)),
        malformed(None),
        ServerEvent::Dropped { peer, why: Overload::Idle },
        ServerEvent::RateLimited { source: "::ffff:192.0.2.7".parse().unwrap(), unanswered: 250, logins: 0 },
        ServerEvent::RateLimited { source: "2001:db8:0:1::".parse().unwrap(), unanswered: 1, logins: 2 },
        ServerEvent::Stopped,
    ];
    let lines: String = events.iter().filter_map(|what| Some(text(&ServeEvent::of(what, SENT)?))).collect();
    insta::assert_snapshot!(lines, @r#"
    Listening on udp 127.0.0.1:5060
    13:03:12 UTC  bound      werner.heisenberg@munich.de for 1h: sip:w@192.0.2.8
    13:03:12 UTC  refreshed  werner.heisenberg@munich.de for 1h: sip:w@192.0.2.8
    13:03:12 UTC  removed    werner.heisenberg@munich.de: sip:w@192.0.2.8
    13:03:12 UTC  expired    werner.heisenberg@munich.de: sip:w@192.0.2.8
    13:03:12 UTC  routed     werner.heisenberg@munich.de: INVITE from niels\u{7}@copenhagen.dk to 192.0.2.8, w@192.0.2.9
    13:03:12 UTC  routed     werner.heisenberg@munich.de: INVITE from niels\u{7}@copenhagen.dk to w@192.0.2.9, w@192.0.2.9, w@192.0.2.9, w@192.0.2.9, w@192.0.2.9, ...
    13:03:12 UTC  answered   werner.heisenberg@munich.de: INVITE from niels\u{7}@copenhagen.dk: 200 OK
    13:03:12 UTC  ended      werner.heisenberg@munich.de: INVITE from niels\u{7}@copenhagen.dk: 480 Temporarily Unavailable
    13:03:12 UTC  ended      werner.heisenberg@munich.de: INVITE from niels\u{7}@copenhagen.dk: 499 Bad Request
    13:03:12 UTC  overload   too many calls in progress: 1 request got 503
    13:03:12 UTC  overload   too much memory taken by requests in progress: 31 requests got 503
    13:03:12 UTC  refused    sip:werner.heisenberg@munich.de as "mallory\u{7}", from 192.0.2.7:5060: unknown user or wrong password
    13:03:12 UTC  refused    sip:werner.heisenberg@munich.de, from 192.0.2.7:5060: unknown user or wrong password
    13:03:12 UTC  unanswered  sip:werner.heisenberg@munich.de, from 192.0.2.7:5060: challenged three times with SHA-256, SHA-512-256, MD5, and never answers
    hint: old devices read the first challenge only, and know MD5: --algorithms MD5 suits them, or MD5,SHA-256 for all
    13:03:12 UTC  unanswered  sip:werner.heisenberg@munich.de, from 192.0.2.7:5060: challenged three times with MD5, and never answers
    hint: the device has no password, or not for this realm: see what is configured there
    13:03:12 UTC  unanswered  sip:werner.heisenberg@munich.de, from 192.0.2.7:5060: challenged three times with SHA-256, and never answers
    hint: old devices know MD5 only: --algorithms MD5 suits them, where the users file has their HA1 for it
    13:03:12 UTC  malformed  from 192.0.2.7:5060: a \u{1b} in it, answered with 400
    13:03:12 UTC  malformed  from 192.0.2.7:5060: a \u{1b} in it
    13:03:12 UTC  dropped    the connection of 192.0.2.7:5060: silent for too long
    13:03:12 UTC  limited    192.0.2.7: 250 requests beyond --rate got no answer
    13:03:12 UTC  limited    2001:db8:0:1::/64: 1 requests beyond --rate got no answer, 2 logins beyond --login-failures got 503
    Stopped
    "#);
}

/// A call is told twice: with no status, and with the final one. What does not apply is null.
#[test]
fn a_routed_request_is_an_object_for_scripts() {
    let what = |status| ServerEvent::Routed {
        aor: Aor::of(&Uri::parse(AOR).unwrap()),
        method: Method::Message,
        from: "sip:niels@copenhagen.dk".into(),
        targets: vec!["<sip:w@192.0.2.8>;q=0.5".into(), "sip:w@192.0.2.9;transport=tcp".into()],
        status,
    };
    let line = |what| ServeEvent::of(&what, SENT).unwrap().line(0);
    insta::assert_snapshot!(line(what(None)), @r#"{"event":"routed","time":"2026-11-22T13:03:12Z","dropped_events":0,"transport":null,"address":null,"aor":"sip:werner.heisenberg@munich.de","contact":null,"expires":null,"method":"MESSAGE","from":"sip:niels@copenhagen.dk","targets":["sip:w@192.0.2.8","sip:w@192.0.2.9;transport=tcp"],"limit":null,"peer":null,"source":null,"cause":null,"username":null,"file":null,"status":null,"message":null,"hint":null,"count":1}"#);
    assert!(line(what(Some(202))).contains("\"status\":202,"));
    let overload = line(ServerEvent::Overload { what: Crowd::Memory, refused: 7 });
    assert!(overload.contains("\"limit\":\"memory\"") && overload.contains("\"count\":7"), "{overload}");
    assert!(overload.contains("\"targets\":null"), "{overload}");
}

/// Twenty of a kind in a second pass; the next that passes, and the end, say how many did not.
#[test]
fn a_flood_is_counted_instead_of_shown() {
    let peer = "192.0.2.7:5060".parse().unwrap();
    let dropped = |at| ServeEvent::of(&ServerEvent::Dropped { peer, why: Overload::Idle }, at).unwrap();
    let mut throttle = Throttle::default();
    let passed = (0..50).filter_map(|_| throttle.admit(dropped(SENT))).count();
    assert_eq!(passed, 20);
    let next = throttle.admit(dropped(later(1))).unwrap();
    assert!(text(&next).ends_with("(31 times)\n"), "{}", text(&next));
    let held_back = (0..25).filter(|_| throttle.admit(dropped(later(1))).is_none()).count();
    let rest: Vec<ServeEvent> = throttle.rest(later(9)).collect();
    assert_eq!((held_back, rest.len()), (6, 1));
    assert!(text(&rest[0]).starts_with("13:03:21 UTC") && text(&rest[0]).ends_with("(6 times)\n"));
}

/// Calls that reach somebody are always told; those that reach nobody, as often as other things that strangers can do.
#[test]
fn a_flood_of_calls_to_nobody_is_counted() {
    let routed = |targets: &[&str], status| {
        let what = ServerEvent::Routed {
            aor: Aor::of(&Uri::parse(AOR).unwrap()),
            method: Method::Invite,
            from: "sip:niels@copenhagen.dk".into(),
            targets: targets.iter().map(|target| Arc::from(*target)).collect(),
            status,
        };
        ServeEvent::of(&what, SENT).unwrap()
    };
    let mut throttle = Throttle::default();
    let passed = (0..50).filter_map(|_| throttle.admit(routed(&[], Some(404)))).count();
    assert_eq!(passed, 20);
    for status in [None, Some(200)] {
        assert_eq!((0..50).filter_map(|_| throttle.admit(routed(&["sip:w@192.0.2.9"], status))).count(), 50);
    }
    let rest: Vec<ServeEvent> = throttle.rest(later(9)).collect();
    assert!(
        rest.len() == 1 && text(&rest[0]).ends_with(": 404 Not Found (30 times)\n"),
        "{}",
        text(&rest[0])
    );
}

/// What strangers ask of an account is told so often in a second; an event for many says how many.
#[test]
fn requests_of_strangers_pass_at_a_rate() {
    let mut rate = Rate::default();
    assert_eq!((0..50).filter(|_| rate.admits(SENT)).count(), 20);
    assert_eq!((0..50).filter(|_| rate.admits(later(1))).count(), 20);
    let what =
        AccountEvent::Incoming { method: "OPTIONS".into(), from: "sip:bob@munich.de".into(), status: 200 };
    let event = KeepEvent::of(AOR, &what, None, SENT);
    assert!(event.is_of_strangers() && event.line(0).contains("\"count\":1"));
    let many = event.counted(31, later(9));
    assert!(
        text(&many).starts_with("13:03:21 UTC") && text(&many).ends_with(": 200 (31 times)\n"),
        "{}",
        text(&many)
    );
    assert!(!KeepEvent::of(AOR, &AccountEvent::Registering, None, SENT).is_of_strangers());
}

/// WSS-002: what came in over TLS or WebSocket and was never usable is told with who it was and why, so many times a second.
#[test]
fn a_handshake_that_failed_is_told_with_its_cause() {
    let failed = |cause| ServerEvent::HandshakeFailed {
        transport: Transport::Wss,
        source: "[::ffff:192.0.2.7]:40000".parse().unwrap(),
        cause,
        count: 3,
    };
    let causes = [
        Cause::Untrusted(Untrusted::NotTls),
        Cause::Untrusted(Untrusted::Version),
        Cause::Untrusted(Untrusted::Issuer),
        Cause::Untrusted(Untrusted::Authority),
        Cause::Untrusted(Untrusted::ClientCertificateRefused(Alert(48))),
        Cause::Untrusted(Untrusted::Alert(Alert(40))),
        Cause::Upgrade(UpgradeFault::Subprotocol),
        Cause::Upgrade(UpgradeFault::Origin),
        Cause::TimedOut,
        Cause::Reset,
        Cause::Exhausted,
    ];
    let mut lines = String::new();
    let mut words = Vec::new();
    for cause in causes {
        let event = ServeEvent::of(&failed(cause), SENT).unwrap();
        lines += &text(&event);
        let json: serde_json::Value = serde_json::from_str(&event.line(0)).unwrap();
        assert_eq!(
            (&json["event"], &json["transport"], &json["source"], &json["count"]),
            (&"handshake_failed".into(), &"wss".into(), &"192.0.2.7".into(), &3.into())
        );
        words.push(json["cause"].as_str().unwrap().to_owned());
    }
    insta::assert_snapshot!(lines, @r"
    13:03:12 UTC  handshake  over wss from 192.0.2.7: not TLS (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: no common version of TLS (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the certificate's issuer is not trusted (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the certificate is an authority's own (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the other side does not trust our certificate: unknown_ca (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the other side ended TLS with the alert handshake_failure (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: no WebSocket subprotocol sip (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the origin is not allowed (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: it did not come to an end in time (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: the other side went away (3 times)
    13:03:12 UTC  handshake  over wss from 192.0.2.7: too many are under way (3 times)
    ");
    insta::assert_snapshot!(words.join(" "), @r"not_tls tls_version certificate_issuer certificate_unusable certificate_refused tls no_subprotocol origin silent closed too_many");
}

/// RGR-008: that changes are refused is told with the reason, and when they are taken again.
#[test]
fn a_store_that_fails_is_told_with_its_reason() {
    let failed = ServerEvent::StoreFailed { why: "bindings.db: No space left on device".into() };
    let events = [failed, ServerEvent::StoreBack].map(|what| ServeEvent::of(&what, SENT).unwrap());
    insta::assert_snapshot!(events.iter().map(text).collect::<String>(), @r"
    13:03:12 UTC  store      bindings.db: No space left on device: changes get 503
    13:03:12 UTC  store      bindings can be changed again
    ");
    let named = events.map(|event| serde_json::from_str::<serde_json::Value>(&event.line(0)).unwrap());
    let named = named.map(|json| (json["event"].clone(), json["message"].clone()));
    assert_eq!(
        named,
        [
            ("store_failed".into(), "bindings.db: No space left on device".into()),
            ("store_back".into(), serde_json::Value::Null)
        ]
    );
}
