//! What a registrar refuses to an account that it had bound: credentials that it has forgotten, and everything for a moment.

use std::cell::Cell;
use std::rc::Rc;

use sipreg::proto::client::plan::Plan;
use sipreg::proto::client::schedule::Departure;
use sipreg::proto::{Command, Transport};

use crate::keep_world::{Ended, Reply, World};
use crate::world::{MD5, plan};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const TRANSPORTS: [Option<Transport>; 2] = [None, Some(Transport::Tcp)];

/// The requests of a registrar, each as `what` it is and which nonce it shows.
type Log = Rc<std::cell::RefCell<Vec<String>>>;

fn row(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
}

fn nonce(text: &str) -> Option<String> {
    let row = row(text, "Authorization").or_else(|| row(text, "Proxy-Authorization"))?;
    row.split_once("nonce=\"")?.1.split_once('"').map(|(nonce, _)| nonce.to_owned())
}

/// A registrar whose nonce is good for ten minutes. It refuses one that is older by `refusal`, and knows no `stale`.
fn forgetful(refusal: &'static str, proxy: bool) -> (World, Log) {
    let log = Log::default();
    let seen = Rc::clone(&log);
    let world = World::new(move |asked| {
        let epoch = format!("{}", asked.at / (10 * MINUTE));
        let removal = if asked.text.contains("\r\nExpires: 0\r\n") { "-" } else { "" };
        seen.borrow_mut().push(format!("{removal}{}", nonce(asked.text).unwrap_or_default()));
        let (status, name) = if proxy { ("407", "Proxy-Authenticate") } else { ("401", "WWW-Authenticate") };
        match nonce(asked.text) {
            None => Reply::Say(format!(
                "{status} Prove It|{name}: Digest realm=\"munich.de\", qop=\"auth\", nonce=\"{epoch}\""
            )),
            Some(known) if known == epoch => Reply::Grant(600),
            Some(_) => Reply::Say(refusal.to_owned()),
        }
    });
    (world, log)
}

/// RSP-023 COD-005 COD-006 COD-009 AUT-009 DES-019: with a nonce that the registrar has forgotten a refresh and a removal are
/// repeated without it, and the new challenge is answered.
#[test]
fn credentials_at_hand_that_are_refused_are_not_the_account_refused() {
    for (refusal, proxy) in [
        ("401 Unauthorized", false),
        ("403 Forbidden", false),
        ("407 Proxy Authentication Required", true),
        ("403 Forbidden", true),
        ("401 Unauthorized|WWW-Authenticate: Basic realm=\"munich.de\"", false),
        ("401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\"", false),
    ] {
        for transport in TRANSPORTS {
            let (mut world, log) = forgetful(refusal, proxy);
            world.keep(1, Plan { transport, ..plan() }, 0);
            world.run(9 * MINUTE);
            world.command(Command::Refresh(None));
            world.run(9 * MINUTE + 5000);
            log.borrow_mut().clear();
            world.command(Command::StopKeeping(None));
            world.run(25 * MINUTE);
            assert_eq!(*log.borrow(), ["-0"], "{refusal}");

            let (mut world, log) = forgetful(refusal, proxy);
            world.keep(1, Plan { transport, ..plan() }, 0);
            world.run(11 * MINUTE);
            world.command(Command::Refresh(None));
            world.run(12 * MINUTE);
            world.command(Command::Refresh(None));
            world.run(19 * MINUTE);
            world.command(Command::Refresh(None));
            world.run(20 * MINUTE + 1000);
            log.borrow_mut().clear();
            world.command(Command::StopKeeping(None));
            world.run(25 * MINUTE);
            assert_eq!(*log.borrow(), ["-1", "-", "-2"], "{refusal}");
            let ended = world.end(refusal);
            assert_eq!(ended.left, [Departure::Removed], "{refusal}");
            assert_eq!(ended.count("failed"), 0, "{refusal} {:?}", ended.told);
            assert!(ended.share > 79.0, "{}", ended.share);
        }
    }
}

/// An account that binds and is then asked for again a minute later, by a registrar that first binds it with digest and then
/// says the answers one after the other, and the last one for ever. Its requests after the first two, and the end.
fn refreshed(transport: Option<Transport>, answers: &[&'static str], until: u64) -> (Vec<String>, Ended) {
    let answers = answers.to_vec();
    let log = Log::default();
    let seen = Rc::clone(&log);
    let mut world = World::new(move |asked| {
        if asked.text.contains("\r\nExpires: 0\r\n") {
            return Reply::Grant(0);
        }
        let before = seen.borrow().len();
        seen.borrow_mut().push(nonce(asked.text).unwrap_or_default());
        match before {
            0 => Reply::Say(MD5.to_owned()),
            1 => Reply::Grant(3600),
            at => match answers[(at - 2).min(answers.len() - 1)] {
                "OK" => Reply::Grant(3600),
                answer => Reply::Say(answer.to_owned()),
            },
        }
    });
    world.keep(1, Plan { transport, ..plan() }, 0);
    world.run(MINUTE);
    world.command(Command::Refresh(None));
    world.run(until);
    let ended = world.end("a refresh");
    (log.take().split_off(2), ended)
}

const SECOND: &str =
    "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n2\", qop=\"auth\"";

/// AUT-009 DES-027 COD-006: once a try, within the 8 requests that a destination gets; and what follows a fresh challenge says
/// what it always said.
#[test]
fn a_request_is_repeated_without_credentials_once_a_try() {
    for transport in TRANSPORTS {
        let one = |answers: &[&'static str]| refreshed(transport, answers, MINUTE + 500);
        let (asked, ended) = one(&["403 Forbidden", SECOND, "403 Forbidden", "OK"]);
        assert_eq!(asked, ["n1", "", "n2"]);
        assert!(ended.told.iter().any(|(_, told)| told.contains("Forbidden { username")), "{:?}", ended.told);
        let (asked, ended) = one(&["403 Forbidden", SECOND, SECOND]);
        assert_eq!(asked, ["n1", "", "n2"]);
        let told = ended.told.iter().find(|(_, told)| told.starts_with("failed")).unwrap();
        assert!(told.1.contains("Rejected") && told.1.contains("None bound until"), "{told:?}");
        let (asked, ended) = one(&["403 Forbidden", "403 Forbidden"]);
        assert_eq!(asked, ["n1", ""]);
        assert!(ended.told.iter().any(|(_, told)| told.contains("Forbidden { username")), "{:?}", ended.told);
        let (asked, ended) = one(&["401 Unauthorized"]);
        assert_eq!(asked, ["n1", ""]);
        assert!(ended.told.iter().any(|(_, told)| told.contains("NoChallenge")), "{:?}", ended.told);
        // A nonce that served before a 423 is at hand, too.
        let brief = "423 Interval Too Brief|Min-Expires: 7200";
        let (asked, _) = one(&[SECOND, brief, "403 Forbidden", MD5, "403 Forbidden"]);
        assert_eq!(asked, ["n1", "n2", "n2", "", "n1"]);
        let longer = "423 Interval Too Brief|Min-Expires: 9000";
        let (asked, _) =
            one(&[SECOND, brief, "420 Bad Extension|Unsupported: path", "403 No", MD5, longer, "403 No"]);
        assert_eq!(asked, ["n1", "n2", "n2", "n2", "", "n1", "n1"]);
        let (asked, _) =
            one(&[SECOND, brief, "420 Bad Extension|Unsupported: path", "403 No", MD5, longer, MD5, MD5]);
        assert_eq!(asked.len(), 8, "{asked:?}");
    }
}

/// COD-004 COD-006 COD-007 COD-008 COD-011 COD-015 COD-024 DES-006 DES-009: one bad answer to an account that was bound is
/// followed by another try within two seconds, over the connection there is, and nothing is removed.
#[test]
fn a_good_account_is_not_given_up_after_one_bad_answer() {
    for transport in TRANSPORTS {
        for answers in [
            &["404 Not Found", SECOND, "OK"] as &[&str],
            &["481 Gone", SECOND, "OK"],
            &["430 Flow Failed", SECOND, "OK"],
            &["400 Bad Request", SECOND, "OK"],
            &["405 Method Not Allowed", SECOND, "OK"],
            &["410 Gone", SECOND, "OK"],
            &["600 Busy Everywhere", SECOND, "OK"],
            &["603 Decline", SECOND, "OK"],
            &["403 No", "403 No", SECOND, "OK"],
            &["403 No", SECOND, "403 No", SECOND, "OK"],
            &["401 Unauthorized", "401 Unauthorized", SECOND, "OK"],
        ] {
            let (asked, ended) = refreshed(transport, answers, MINUTE + 2500);
            assert_eq!(asked.len(), answers.len(), "{answers:?}: {asked:?}");
            assert_eq!((ended.count("failed"), ended.count("refreshed")), (1, 1), "{answers:?}");
            assert_eq!((ended.count("registered"), ended.left), (1, vec![Departure::Removed]), "{answers:?}");
        }
    }
}

/// DES-009 RSP-023: until the answer has stood for three tries over at least two minutes. All the time it is said when the
/// next try is due, and at the end what is bound is removed.
#[test]
fn a_refusal_that_stands_ends_it_as_ever() {
    for transport in TRANSPORTS {
        let (asked, ended) = refreshed(transport, &["404 Not Found"], 10 * MINUTE);
        let failed: Vec<_> = ended.told.iter().filter(|(_, told)| told.starts_with("failed")).collect();
        assert!((4..=6).contains(&failed.len()) && asked.len() == failed.len(), "{failed:?}");
        let (last, before) = failed.split_last().unwrap();
        assert!(last.0 - before[0].0 >= 2 * MINUTE && last.1.contains("404))) None"), "{failed:?}");
        for pair in failed.windows(2) {
            assert!(pair[0].1.contains("404))) Some(") && pair[0].1.contains("until Some"), "{failed:?}");
            let due: u64 =
                pair[0].1.split("Some(").nth(2).unwrap().split(')').next().unwrap().parse().unwrap();
            assert!((due..due + 100).contains(&pair[1].0), "{failed:?}");
        }
        assert!(before[1].0 - before[0].0 <= 2100, "{failed:?}");
        assert_eq!(ended.left, [Departure::Removed]);
    }
}

/// TRN-015 DES-009 OUT-017: a connection over which a refusal came, or a 503, is as good as before; what is bound over it stays
/// within reach.
#[test]
fn a_refusal_leaves_the_connection_open_over_which_it_is_bound() {
    for answer in ["404 Not Found", "503 Busy|Retry-After: 20"] {
        let refuses = Rc::new(Cell::new(false));
        let no = Rc::clone(&refuses);
        let mut world = World::new(move |_| match no.get() {
            true => Reply::Say(answer.to_owned()),
            false => Reply::Grant(3600),
        });
        world.keep(1, Plan { transport: Some(Transport::Tcp), ..plan() }, 0);
        world.run(MINUTE);
        refuses.set(true);
        world.command(Command::Refresh(None));
        world.run(MINUTE + 10_000);
        assert_eq!((world.opened, world.engine.stage.flows.len()), (1, 1), "{answer}");
        refuses.set(false);
        world.run(HOUR);
        assert_eq!(world.opened, 1, "{answer}");
        assert!(world.text.contains(":5070;transport=tcp>\r\n"), "{}", world.text);
        let ended = world.end(answer);
        assert_eq!(ended.left, [Departure::Removed]);
    }
}

/// DES-009 COD-006: what was never bound is given up at once, and so is what was given up before.
#[test]
fn a_first_registration_that_is_refused_ends_at_once() {
    for answer in ["400 No", "403 No", "404 No", "481 No", "600 No"] {
        let mut world = World::one(move |_| Reply::Say(answer.to_owned()));
        world.run(HOUR);
        let ended = world.end(answer);
        assert_eq!((ended.requests, ended.count("failed")), (1, 1), "{answer}");
        assert_eq!(ended.left, [Departure::Unbound]);
    }
}

/// DES-006 DES-007: a registrar that was away for 75 s at the start, then fails at each second refresh.
#[test]
fn a_registrar_that_flaps_is_met_with_patience_that_begins_anew() {
    for lease in [20, 60, 100] {
        let mut count = 0;
        let mut world = World::one(move |asked| {
            if asked.at < 75_000 {
                return Reply::Refuse;
            }
            count += 1;
            if count > 6 && count % 2 == 0 {
                Reply::Say("500 Broken".to_owned())
            } else {
                Reply::Grant(lease)
            }
        });
        world.run(HOUR);
        let ended = world.end(&format!("a flapping registrar with leases of {lease} s"));
        let bound = ended.told.iter().position(|(_, told)| told == "registered").unwrap();
        let late = &ended.told[bound..];
        let mut failures = 0;
        // The removal at the end may be the one that fails.
        let is_refresh = |pair: &&[(u64, String)]| pair[0].0 < HOUR && pair[0].1.starts_with("failed");
        for pair in late.windows(2).filter(is_refresh) {
            failures += 1;
            assert!(pair[1].1 == "refreshed" && pair[1].0 - pair[0].0 <= 2030, "{pair:?}");
        }
        assert!(failures > 20, "{failures}");
        assert_eq!(late.iter().filter(|(_, told)| told == "registered").count(), 1, "{late:?}");
        // No fast cycle: two requests for each time that a lease is refreshed.
        assert!(u64::from(ended.requests) < 2 * 3600 / (lease * 4 / 10), "{}", ended.requests);
    }
}

/// DES-008 COD-007 COD-018 COD-020 COD-024: with a binding that lives, and without one; five times, then the backoff.
#[test]
fn retry_after_is_waited_for_and_not_much_longer() {
    for status in ["404 No", "480 No", "486 No", "500 No", "503 No", "600 No", "603 No"] {
        for bound in [false, true] {
            let mut world = World::one(move |asked| match asked.at {
                ..1000 if bound => Reply::Grant(3600),
                _ => Reply::Say(format!("{status}|Retry-After: 5 (soon);duration=9")),
            });
            world.run(MINUTE);
            world.command(Command::Refresh(None));
            world.run(HOUR);
            let failed = world.told.iter().filter(|(_, told)| told.starts_with("failed"));
            let times: Vec<u64> = failed.map(|(at, _)| *at).collect();
            let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (first, rest) = waits.split_at(5);
            if bound {
                assert!(first.iter().all(|wait| (5000..=6030).contains(wait)), "{status}: {waits:?}");
                assert!(rest.iter().all(|wait| *wait > 60_000), "{status}: {waits:?}");
            }
            assert!(times.len() < 12, "{status}: {waits:?}");
            world.end(status);
        }
    }
}

/// DES-017: news of the network while nobody answers: each is followed by a try, and none of them makes the next wait longer.
#[test]
fn news_of_the_network_raise_no_backoff() {
    let mut world = World::one(|_| Reply::Refuse);
    world.run(25_000);
    for n in 0..10 {
        world.run(25_000 + n * 7000);
        world.handle(sipreg::proto::Event::NetworkChanged { moved: vec![] });
    }
    world.run(110_000);
    let failed: Vec<_> = world.told.iter().filter(|(_, told)| told.starts_with("failed")).collect();
    assert!(failed.len() >= 10, "{failed:?}");
    for (at, told) in failed {
        let due: u64 = told.split("Some(").nth(2).unwrap().split(')').next().unwrap().parse().unwrap();
        assert!(due - at <= 60_000, "{told}");
    }
    world.end("a network that tells much");
}
