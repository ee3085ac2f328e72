//! Accounts that are kept bound: days in seconds, with registrars that do what registrars do. For each scenario the
//! share of time is printed in which the registrar holds a binding, and held against what is possible.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use sipreg::proto::client::plan::{OWN_ADDRESS, Plan, Purpose};
use sipreg::proto::client::schedule::Departure;
use sipreg::proto::{Command, Event, RegistrationId, Transport};
use sipreg::sip::{AnyUri, Host};

use crate::keep_world::{Reply, World};
use crate::world::{contact, keyring, plan, uri};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// DES-035: and nothing grows.
#[test]
fn thirty_days_with_one_datagram_of_a_thousand_lost() {
    let mut world = World::one(|_| Reply::Grant(3600));
    world.loss = 1;
    world.run(30 * DAY);
    let ended = world.end("30 days at 0.1 % loss");
    assert!(ended.share > 99.999, "{}", ended.share);
    assert_eq!(
        (ended.count("registered"), ended.count("failed"), ended.left),
        (1, 0, vec![Departure::Removed])
    );
    assert!((700..1000).contains(&ended.requests), "{}", ended.requests);
}

/// DES-001 DES-004
#[test]
fn short_leases_are_kept_too() {
    for (seconds, least) in [(60, 99.99), (20, 99.99), (4, 99.9)] {
        let mut world = World::one(move |_| Reply::Grant(seconds));
        world.run(HOUR);
        let ended = world.end(&format!("leases of {seconds} s"));
        assert!(ended.share > least, "{seconds}: {}", ended.share);
        assert_eq!(ended.count("registered"), 1);
    }
}

/// AUT-041: a refresh with a nonce at hand is one request; one that has become stale costs a second.
#[test]
fn a_nonce_is_used_until_the_registrar_calls_it_stale() {
    let mut world = World::one(|asked| {
        let epoch = asked.at / (4 * HOUR);
        let nonce = format!("nonce=\"{epoch}\"");
        let challenge = |stale: &str| {
            Reply::Say(format!(
                "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", qop=\"auth\", {nonce}{stale}"
            ))
        };
        match asked.text.lines().find(|line| line.starts_with("Authorization: ")) {
            None => challenge(""),
            Some(row) if !row.contains(&nonce) => challenge(", stale=true"),
            Some(_) => Reply::Grant(3600),
        }
    });
    world.run(DAY);
    let ended = world.end("nonces that change every four hours");
    assert!(ended.share > 99.99);
    // 24 to 31 refreshes, and a challenge for each nonce.
    assert!((30..=42).contains(&ended.requests), "{}", ended.requests);
    assert_eq!(ended.count("failed"), 0);
}

/// DES-006 DES-017: an hour of silence costs the hour, and what the last pause was.
#[test]
fn an_hour_of_silence_is_survived() {
    let mut world = World::one(|asked| match asked.at / HOUR {
        3 => Reply::Silent,
        _ => Reply::Grant(600),
    });
    world.run(DAY);
    let ended = world.end("an hour of silence");
    // An hour is 4.2 % of the day; at most 30 minutes and a transaction more until it is tried again, less the lease.
    assert!(ended.share > 93.5, "{}", ended.share);
    assert!((5..20).contains(&ended.count("failed")), "{}", ended.count("failed"));
    assert_eq!(ended.count("registered"), 2);
}

/// DES-015: a device that slept for two hours registers as soon as it wakes; if nothing comes of that, for the way it had leads
/// nowhere any more, within moments again.
#[test]
fn two_hours_of_suspend_cost_two_hours() {
    for (silent, took) in [(0, 100), (33_000, 36_000)] {
        let mut world = World::one(move |asked| match asked.at {
            at if (2 * HOUR..3 * HOUR + silent).contains(&at) => Reply::Silent,
            _ => Reply::Grant(600),
        });
        world.run(HOUR);
        let before = world.told.len();
        world.sleep(3 * HOUR);
        world.run(4 * HOUR);
        let back = world.told[before..].iter().find(|(_, told)| told == "registered").unwrap().0;
        assert!((3 * HOUR..3 * HOUR + took).contains(&back), "{back}");
        let ended = world.end("two hours of suspend");
        assert!(ended.share > 49.0, "{}", ended.share);
        assert_eq!(ended.left, [Departure::Removed]);
    }
}

/// DES-008
#[test]
fn a_503_with_retry_after_is_obeyed() {
    let mut world = World::one(|asked| match asked.at {
        HOUR..5_400_000 => Reply::Say("503 Busy|Retry-After: 120".to_owned()),
        _ => Reply::Grant(300),
    });
    world.run(DAY);
    let ended = world.end("half an hour of 503 with Retry-After");
    assert!(ended.share > 96.0, "{}", ended.share);
    let failures: Vec<u64> =
        ended.told.iter().filter(|(_, t)| t.starts_with("failed")).map(|(at, _)| *at).collect();
    assert!(
        failures.len() > 3 && failures.windows(2).all(|pair| pair[1] - pair[0] >= 120_000),
        "{failures:?}"
    );
}

/// REG-032: a refresh that fails takes nothing away before the lease ends, and each failure says what is left.
#[test]
fn a_failed_refresh_leaves_the_binding_until_its_end() {
    let mut world = World::one(|asked| match asked.at {
        ..1000 => Reply::Grant(600),
        1000..1_200_000 => Reply::Say("503 Busy".to_owned()),
        _ => Reply::Grant(600),
    });
    world.run(DAY);
    let failures: Vec<(u64, bool)> = world
        .told
        .iter()
        .filter(|(_, told)| told.starts_with("failed"))
        .map(|(at, told)| (*at, told.ends_with("bound until Some(600001)")))
        .collect();
    assert!(failures.iter().all(|(at, bound)| *bound == (*at < 600_001)), "{failures:?}");
    assert!(
        failures.iter().any(|(_, bound)| *bound) && failures.iter().any(|(_, bound)| !bound),
        "{failures:?}"
    );
    let told = |what: &str| world.told.iter().position(|(_, told)| told == what);
    let again = world.told.iter().rposition(|(_, told)| told == "registered").unwrap();
    assert!(told("registered") < told("refreshed") || told("refreshed").is_none_or(|at| at > again));
    world.end("503 for ten minutes longer than the lease");
}

/// DES-018: backoff on repeats, and no fast cycle.
#[test]
fn a_server_that_closes_every_connection_after_a_second_is_not_hammered() {
    let mut world = World::new(|_| Reply::GrantAndClose(3600, 1000));
    world.keep(1, Plan { transport: Some(Transport::Tcp), ..plan() }, 0);
    world.run(DAY);
    let ended = world.end("connections that are closed after a second");
    assert!(ended.share > 99.9, "{}", ended.share);
    assert!((20..200).contains(&ended.requests), "{}", ended.requests);
}

/// TRN-015: a connection over which an account is bound stays open between two refreshes, and for the next.
#[test]
fn a_connection_stays_open_between_refreshes() {
    let mut world = World::new(|_| Reply::Grant(3600));
    world.keep(1, Plan { transport: Some(Transport::Tcp), ..plan() }, 0);
    world.run(40 * MINUTE);
    assert_eq!((world.rate.len(), world.engine.stage.flows.len()), (1, 1));
    world.run(DAY);
    assert_eq!((world.opened, world.engine.stage.flows.len()), (1, 1));
    world.end("a day over one connection");
}

/// DES-012: a registrar that restarts is refused at for a while, over UDP (ICMP).
#[test]
fn a_registrar_that_restarts_and_forgets_is_found_again() {
    let mut world = World::one(|asked| match asked.at {
        7_200_000..7_260_000 => Reply::Refuse,
        _ => Reply::Grant(120),
    });
    world.run(DAY);
    let ended = world.end("a restart of a minute");
    assert!(ended.share > 99.8, "{}", ended.share);
}

/// DES-034: the next destination serves, and the first again at a refresh; while that is away nothing is lost.
#[test]
fn the_second_address_serves_and_the_first_is_returned_to() {
    let log: Rc<RefCell<Vec<(u64, bool)>>> = Rc::default();
    let seen = Rc::clone(&log);
    let mut world = World::new(move |asked| {
        let is_first = asked.to.ip() == IpAddr::from([192, 0, 2, 1]);
        if is_first && (HOUR..3 * HOUR).contains(&asked.at) {
            return Reply::Silent;
        }
        seen.borrow_mut().push((asked.at, is_first));
        Reply::Grant(600)
    });
    world.keep(1, Plan { registrar: uri("sip:munich.de").into(), ..plan() }, 0);
    world.run(6 * HOUR);
    let ended = world.end("the first address silent for two hours");
    assert!(ended.share > 99.99, "{}", ended.share);
    let served = |from: u64, to: u64| -> Vec<bool> {
        log.borrow().iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, is_first)| *is_first).collect()
    };
    assert!(served(0, HOUR).iter().all(|is_first| *is_first));
    assert!(served(HOUR, 3 * HOUR).iter().all(|is_first| !is_first));
    let after = served(3 * HOUR + 20 * MINUTE, 6 * HOUR);
    assert!(after.len() > 10 && after.iter().all(|is_first| *is_first), "{after:?}");
}

/// LOC-025, REG-019: records that have changed are noticed at the refresh after they have run out; a binding that works is not moved
/// for better ones.
#[test]
fn a_refresh_goes_where_the_name_service_says_now_unless_it_still_names_where_it_is() {
    let log: Rc<RefCell<Vec<u8>>> = Rc::default();
    let seen = Rc::clone(&log);
    let mut world = World::new(move |asked| {
        let IpAddr::V4(to) = asked.to.ip() else { panic!("it has no other addresses") };
        seen.borrow_mut().push(to.octets()[3]);
        Reply::Grant(600)
    });
    world.keep(1, Plan { registrar: uri("sip:munich.de").into(), ..plan() }, 0);
    world.run(HOUR);
    world.hosts = vec![9, 1, 2];
    world.run(2 * HOUR);
    assert!(log.borrow().iter().all(|to| *to == 1), "{:?}", log.borrow());
    world.hosts = vec![3, 4];
    world.run(3 * HOUR);
    let all = log.borrow().clone();
    assert!(all.ends_with(&[3, 3, 3]) && all.iter().all(|to| [1, 3].contains(to)), "{all:?}");
    assert_eq!(world.end("the records change").count("failed"), 0);
}

/// LOC-025: many accounts of one domain ask once.
#[test]
fn accounts_of_one_domain_ask_once() {
    let mut world = World::new(|_| Reply::Grant(3600));
    for number in 1..=50 {
        world.keep(number, Plan { registrar: uri("sip:munich.de").into(), ..plan() }, number * 10);
    }
    world.run(MINUTE / 2);
    assert_eq!(world.questions, 6);
}

/// LOC-027: a destination that failed comes after the others for a while, also when the flow to these is lost.
#[test]
fn a_destination_that_failed_is_set_aside() {
    let log: Rc<RefCell<Vec<(u64, u8)>>> = Rc::default();
    let seen = Rc::clone(&log);
    let mut world = World::new(move |asked| {
        let IpAddr::V4(to) = asked.to.ip() else { panic!("it has no other addresses") };
        seen.borrow_mut().push((asked.at, to.octets()[3]));
        match to.octets()[3] {
            1 => Reply::Say("503 Busy".to_owned()),
            _ => Reply::GrantAndClose(120, 5000),
        }
    });
    let registrar = uri("sip:munich.de;transport=tcp").into();
    world.keep(1, Plan { registrar, ..plan() }, 0);
    world.run(5 * MINUTE);
    let to_first = log.borrow().iter().filter(|(_, to)| *to == 1).count();
    assert_eq!((to_first, log.borrow().len() > 3), (1, true), "{:?}", log.borrow());
}

/// DES-016 DES-020: the request that brings the new contact removes the old one, whether one was under way or not.
#[test]
fn a_change_of_address_is_followed_within_a_second() {
    for silent in [false, true] {
        let mut world = World::one(move |asked| {
            // The refresh before the change meets silence.
            if silent && (2_900_000..HOUR).contains(&asked.at) { Reply::Silent } else { Reply::Grant(3600) }
        });
        world.run(HOUR - 5000);
        let before = world.text.clone();
        world.run(HOUR);
        world.move_to("198.51.100.9:5070");
        world.run(HOUR + 1100);
        assert_ne!(world.text, before);
        let contact =
            |host: &str, rest: &str| format!("Contact: <sip:werner.heisenberg@{host}:5070>{rest}\r\n");
        assert!(world.text.contains(&contact("198.51.100.9", "")), "{}", world.text);
        assert!(world.text.contains(&contact("192.0.2.99", ";expires=0")), "{}", world.text);
        world.run(DAY);
        assert!(!world.text.contains("192.0.2.99"), "{}", world.text);
        let ended = world.end("another address");
        assert_eq!(ended.count("network changed"), 1);
        assert!(ended.share > 99.9, "{}", ended.share);
    }
}

/// DES-016: a contact that is made for this device's address goes where that goes, and is removed at the end.
#[test]
fn a_contact_at_the_own_address_follows_it() {
    let mut contact = contact("<sip:4930123456~own.invalid;line=abc>");
    let AnyUri::Sip(uri) = &mut contact.uri else { panic!("a SIP URI") };
    uri.host = Host::Name(OWN_ADDRESS.to_owned());
    let mut world = World::new(|_| Reply::Grant(3600));
    world.keep(1, Plan { contacts: vec![contact], ..plan() }, 0);
    let row = |host: &str, rest: &str| format!("Contact: <sip:4930123456@{host}:5070;line=abc>{rest}\r\n");
    world.run(HOUR);
    assert!(world.text.contains(&row("192.0.2.99", "")), "{}", world.text);
    world.move_to("198.51.100.9:5070");
    world.run(HOUR + 1100);
    assert!(world.text.contains(&row("198.51.100.9", "")), "{}", world.text);
    assert!(world.text.contains(&row("192.0.2.99", ";expires=0")), "{}", world.text);
    world.command(Command::StopKeeping(None));
    world.run(HOUR + 5000);
    assert!(world.text.contains(&row("198.51.100.9", "")), "{}", world.text);
    assert!(world.text.contains("\r\nExpires: 0\r\n") && !world.text.contains(OWN_ADDRESS), "{}", world.text);
    assert_eq!(world.left, [Departure::Removed]);
}

/// DES-017: what could not be reached is tried as soon as the network has changed, and the wait has not grown.
#[test]
fn a_network_that_comes_back_is_used_at_once() {
    let mut world = World::one(|asked| match asked.at / HOUR {
        1..3 => Reply::Refuse,
        _ => Reply::Grant(600),
    });
    world.run(3 * HOUR);
    world.move_to("192.0.2.99:5070");
    world.run(3 * HOUR + 1100);
    assert_eq!(world.told.last().unwrap().1, "registered");
    world.end("a network that was away for two hours");
}

/// DES-009
#[test]
fn a_wrong_password_is_tried_once() {
    let challenge =
        "401 Unauthorized|WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n\", qop=\"auth\"";
    let mut world = World::one(move |_| Reply::Say(challenge.to_owned()));
    world.run(30 * DAY);
    let ended = world.end("a wrong password");
    assert_eq!((ended.requests, ended.count("failed")), (2, 1));
    assert_eq!(ended.left, [Departure::Unbound]);
}

/// DES-019: confirmed, in time or not, or nothing to remove.
#[test]
fn leaving_takes_four_seconds_at_most() {
    for (answers, left, took) in [(true, Departure::Removed, 20), (false, Departure::Unconfirmed, 4000)] {
        let mut world = World::one(move |asked| match asked.text.contains("\r\nExpires: 0\r\n") {
            true if !answers => Reply::Silent,
            _ => Reply::Grant(3600),
        });
        world.run(HOUR);
        world.command(Command::StopKeeping(None));
        world.run(2 * HOUR);
        assert_eq!(world.left, [left]);
        assert_eq!(world.told.last().unwrap().0, HOUR + took);
        world.engine.assert_over("left");
    }
}

/// DES-035 OUT-016: a hundred thousand refreshes leave nothing behind.
#[test]
#[ignore = "takes 20 seconds"]
fn a_hundred_thousand_refreshes_need_one_flow() {
    let mut world = World::one(|_| Reply::Grant(4));
    world.run(56 * HOUR);
    assert_eq!((world.engine.stage.flows.len(), world.opened), (1, 1));
    assert!(world.engine.stage.pending() <= 2);
    world.told.clear();
    let ended = world.end("100,000 refreshes");
    assert!(ended.requests > 100_000, "{}", ended.requests);
}

fn revise(world: &mut World, plan: Plan) {
    let registration = RegistrationId(1);
    world.command(Command::Revise { registration, plan: Box::new(plan) });
    world.command(Command::Refresh(Some(registration)));
}

/// DES-023: contacts of the old plan are removed by the request that brings those of the new one, whether they were named by
/// the user or not; at the end only those of the new one are left, and removed.
#[test]
fn another_plan_takes_the_old_contacts_with_it() {
    let mut world = World::one(|_| Reply::Grant(3600));
    world.run(MINUTE);
    for (named, new, gone) in [
        (
            vec!["<sip:a~192.0.2.7>"],
            "Contact: <sip:a@192.0.2.7>\r\n",
            "<sip:werner.heisenberg@192.0.2.99:5070>;expires=0",
        ),
        (vec!["<sip:b~192.0.2.7>"], "Contact: <sip:b@192.0.2.7>\r\n", "<sip:a@192.0.2.7>;expires=0"),
        (vec![], "Contact: <sip:werner.heisenberg@192.0.2.99:5070>\r\n", "<sip:b@192.0.2.7>;expires=0"),
    ] {
        let contacts: Vec<_> = named.into_iter().map(contact).collect();
        let purpose = Purpose::Bind { expires: Some(1800) };
        revise(&mut world, Plan { contacts, purpose, ..plan() });
        world.run(world.at() + 2000);
        assert!(world.text.contains(new) && world.text.contains(gone), "{}", world.text);
        assert!(world.text.contains("Expires: 1800"), "{}", world.text);
        let contacts = world.engine.endpoint.plan(RegistrationId(1)).unwrap().contacts.clone();
        revise(&mut world, Plan { contacts, ..plan() });
        world.run(world.at() + 2000);
        assert!(world.text.contains(new) && !world.text.contains("expires=0"), "{}", world.text);
    }
    assert_eq!(world.opened, 1, "the flow stays");
    let ended = world.end("other plans");
    assert_eq!(
        (ended.count("registered"), ended.count("refreshed"), ended.left),
        (1, 6, vec![Departure::Removed])
    );
}

/// What failed for good is tried again with what another plan says; one that comes while a try is under way counts for the
/// next.
#[test]
fn another_plan_mends_a_wrong_password_and_leads_elsewhere() {
    let mut world = World::new(|asked| {
        let row = asked.text.lines().find(|line| line.starts_with("Authorization: "));
        match row {
            Some(row) if row.contains("username=\"right\"") => Reply::Grant(3600),
            _ => Reply::Say(crate::world::MD5.to_owned()),
        }
    });
    world.keep(1, plan(), 0);
    world.run(MINUTE);
    assert!(world.told.last().unwrap().1.starts_with("failed Some(Credentials"), "{:?}", world.told.last());
    let mut right = Plan { keyring: keyring("x"), ..plan() };
    right.keyring.credentials[0].username = "right".to_owned();
    revise(&mut world, Plan { keyring: right.keyring.clone(), ..plan() });
    world.run(2 * MINUTE);
    assert_eq!(world.told.last().unwrap().1, "registered");
    world.command(Command::Refresh(None));
    revise(&mut world, Plan { transport: Some(Transport::Tcp), ..right });
    world.run(3 * MINUTE);
    assert_eq!(
        (world.told.last().unwrap().1.as_str(), world.opened, world.engine.stage.flows.len()),
        ("refreshed", 2, 1)
    );
    assert!(world.text.contains("SIP/2.0/TCP"), "{}", world.text);
    assert!(
        world.text.contains(";transport=udp>;expires=0") || world.text.contains(":5070>;expires=0"),
        "{}",
        world.text
    );
    world.end("another password, another way");
}

/// DES-023: another plan that never came to bind anything takes nothing with it when everything ends.
#[test]
fn what_is_removed_is_what_was_bound_not_what_was_going_to_be() {
    let mut world = World::one(|_| Reply::Grant(3600));
    world.run(MINUTE);
    let contacts = vec![contact("<sip:desk~192.0.2.7>")];
    world.command(Command::Revise {
        registration: RegistrationId(1),
        plan: Box::new(Plan { contacts, ..plan() }),
    });
    world.command(Command::StopKeeping(None));
    world.run(2 * MINUTE);
    assert!(
        world.text.contains("\r\nExpires: 0\r\n") && world.text.contains("192.0.2.99:5070>"),
        "{}",
        world.text
    );
    assert!(!world.text.contains("desk"), "{}", world.text);
    assert_eq!(world.left, [Departure::Removed]);
}

/// INC-007 TRN-020: a request in a datagram whose length is wrong gets 400 while an account is kept bound; an ACK and a
/// response get nothing, and a one-shot command answers nobody.
#[test]
fn a_request_that_cannot_be_read_is_told_so() {
    let world = || {
        World::one(|asked| match asked.text.starts_with("SIP/2.0") {
            true => Reply::Silent,
            false => Reply::Grant(3600),
        })
    };
    for length in ["99", "-1", "x", ""] {
        for method in ["OPTIONS", "INVITE", "MESSAGE", "ACK", "SIP/2.0"] {
            let start = match method {
                "SIP/2.0" => "SIP/2.0 200 OK".to_owned(),
                method => format!("{method} sip:werner.heisenberg@192.0.2.99:5070 SIP/2.0"),
            };
            let mut world = world();
            world.run(1000);
            let flow = *world.engine.stage.flows.keys().next().unwrap();
            let text = format!(
                "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:b@b>;tag=1\r\n\
                 To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: {length}\r\n\r\n"
            );
            let peer = "192.0.2.1:5060".parse().unwrap();
            world.handle(Event::Received { flow, peer, bytes: text.into() });
            let is_answered = !matches!(method, "ACK" | "SIP/2.0");
            assert_eq!(
                world.text.starts_with("SIP/2.0 400 Bad Request: "),
                is_answered,
                "{method} {length:?}"
            );
            let told = format!("incoming {method} sip:b@b 400");
            assert_eq!(world.told.last().unwrap().1 == told, is_answered, "{:?}", world.told);
            world.end("a request that can't be read");
        }
    }
}
