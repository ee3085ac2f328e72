//! What may be bound, whatever an answer says of it; and the accounts that requests are for.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use sipreg::proto::client::plan::Plan;
use sipreg::proto::client::schedule::Departure;
use sipreg::proto::{Command, Event, Transport};

use crate::keep_world::{Reply, World};
use crate::world::{contact, plan, tcp, uri};

const MINUTE: u64 = 60_000;

/// The values of all Contact rows.
fn contacts(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("Contact: ")).map(str::to_owned).collect()
}

/// REG-010 REG-016 COD-002 DES-019: the end removes what was asked for, be it the own contact or one that is named, and whatever
/// failed in between; and tells a removal that was confirmed, or a failure.
#[test]
fn what_a_2xx_or_silence_may_have_bound_is_removed_at_the_end() {
    let elsewhere = "200 OK|Contact: <sip:werner.heisenberg~192.0.2.50:9>;expires=3600";
    for bind in [
        elsewhere,
        "202 Accepted",
        "299 Fine|Contact: <sip:bro ken>;expires=60",
        "200 OK|Contact: <@>;expires=0",
        "",
    ] {
        for named in [&[][..], &["<sip:desk~192.0.2.7>"]] {
            for (removal, left) in [
                ("200 OK", Departure::Removed),
                (elsewhere, Departure::Removed),
                ("200 OK|Contact: <@>;expires=9", Departure::Unconfirmed),
                ("403 No", Departure::Unconfirmed),
                ("", Departure::Unconfirmed),
            ] {
                let say =
                    |text: &str| if text.is_empty() { Reply::Silent } else { Reply::Say(text.to_owned()) };
                let first = Rc::new(RefCell::new(String::new()));
                let seen = Rc::clone(&first);
                let mut world = World::new(move |asked| match asked.text.contains("\r\nExpires: 0\r\n") {
                    true => say(removal),
                    // Later ones are refused: that takes nothing back.
                    false if asked.at > 35_000 => say("503 Busy"),
                    false => {
                        seen.borrow_mut().clone_from(&contacts(asked.text).join(" "));
                        say(bind)
                    }
                });
                let contacts_of_plan = named.iter().map(|text| contact(text)).collect();
                world.keep(1, Plan { contacts: contacts_of_plan, ..plan() }, 0);
                world.run(10 * MINUTE);
                world.command(Command::StopKeeping(None));
                world.run(11 * MINUTE);
                assert_eq!(world.left, [left], "{bind} {removal}");
                assert!(world.text.contains("\r\nExpires: 0\r\n"), "{}", world.text);
                assert_eq!(contacts(&world.text), [first.borrow().clone()], "{bind} {removal}");
                let told: Vec<&str> = world
                    .told
                    .iter()
                    .rev()
                    .take(2)
                    .map(|(_, told)| told.split(' ').next().unwrap())
                    .collect();
                let before = if left == Departure::Removed { "unregistered" } else { "failed" };
                assert_eq!(told, ["stopped", before], "{bind} {removal}");
                world.engine.assert_over("left");
            }
        }
    }
}

/// DES-019: what was never accepted, and never unanswered, is not bound.
#[test]
fn what_was_refused_is_not_removed() {
    for refusal in [Reply::Refuse, Reply::Say("503 Busy".to_owned()), Reply::Say("403 No".to_owned())] {
        let mut refusal = Some(refusal);
        let mut world = World::one(move |_| refusal.take().unwrap_or(Reply::Say("503 Busy".to_owned())));
        world.run(10 * MINUTE);
        world.command(Command::StopKeeping(None));
        assert_eq!(world.left, [Departure::Unbound]);
    }
}

/// What may be bound is bounded, however often a registrar forgets it: each connection brings another port.
#[test]
fn a_registrar_that_never_lists_it_is_not_asked_to_remove_ever_more() {
    let longest = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&longest);
    let mut world = World::new(move |asked| {
        let count = contacts(asked.text).len();
        seen.replace_with(|longest| count.max(*longest));
        Reply::Say("200 OK".to_owned())
    });
    world.keep(1, tcp(plan()), 0);
    for n in 1..200 {
        world.run(n * MINUTE);
        world.move_to(&format!("192.0.2.99:{}", 6000 + n));
    }
    assert!((10..=18).contains(&*longest.borrow()), "{}", longest.borrow());
    world.end("nothing is ever listed");
}

fn call(method: &str, uri: &str, to: &str, number: usize, transport: Transport) -> Bytes {
    let via = transport.as_via();
    Bytes::from(format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} 192.0.2.1:5060;branch=z9hG4bK{number}\r\nFrom: <sip:c@c>;tag=c\r\n\
         To: <{to}>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// INC-016: the contacts of namesakes on one flow differ, and go on doing so; whoever is alone on a flow is called by its own
/// name alone. A request finds the account whose contact it names.
#[test]
fn namesakes_on_one_flow_are_told_apart_by_their_contacts() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let bound = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&bound);
        let mut world = World::new(move |asked| {
            let to = asked.text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
            seen.borrow_mut().push((to, asked.to, contacts(asked.text)));
            Reply::Grant(600)
        });
        let places = [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.1"), ("d", "192.0.2.7")];
        for (n, (domain, at)) in places.iter().enumerate() {
            let aor = uri(&format!("sip:alice~{domain}.example"));
            let plan = Plan {
                aor,
                registrar: uri(&format!("sip:{at}")).into(),
                transport: Some(transport),
                ..plan()
            };
            world.keep(n as u64 + 1, plan, n as u64);
        }
        world.run(MINUTE);
        let users = |bound: &[(String, std::net::SocketAddr, Vec<String>)]| -> Vec<String> {
            bound
                .iter()
                .map(|(.., contacts)| contacts[0][5..].split('@').next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(users(&bound.borrow()), ["alice", "alice-2", "alice-3", "alice"]);
        // Each stays as it is, refreshed many times.
        world.run(60 * MINUTE);
        for (to, _, contacts) in bound.borrow().iter() {
            let first = bound.borrow().iter().find(|(other, ..)| other == to).unwrap().2.clone();
            assert_eq!(&first, contacts);
        }
        // Elsewhere, too.
        bound.borrow_mut().clear();
        world.move_to("198.51.100.9:5070");
        world.run(62 * MINUTE);
        let mut names = users(&bound.borrow());
        names.sort();
        assert_eq!(names, ["alice", "alice", "alice-2", "alice-3"]);
        let near = "192.0.2.1:5060".parse().unwrap();
        let shared = *world.engine.stage.flows.iter().find(|(_, to)| to.address == near).unwrap().0;
        let called = bound.borrow().clone();
        let mut number = 0;
        for (_, at, contacts) in called.iter().filter(|(_, at, _)| *at == near) {
            let contact = contacts[0].trim_matches(['<', '>']);
            for (name, status) in
                [(contact, "200"), ("sip:nobody@198.51.100.9:5070", "404"), ("sip:198.51.100.9", "404")]
            {
                number += 1;
                world.told.clear();
                let bytes = call("OPTIONS", name, "sip:alice@a.example", number, transport);
                world.handle(Event::Received { flow: shared, peer: *at, bytes });
                assert!(world.text.starts_with(&format!("SIP/2.0 {status} ")), "{}", world.text);
                assert_eq!(world.told.len(), usize::from(status == "200"), "{:?}", world.told);
            }
        }
        let ended = world.end("namesakes");
        assert_eq!(ended.left, [Departure::Removed; 4]);
    }
}

/// INC-016: a name with a number that is somebody else's name is passed over; contacts that are the same by the user's wish
/// are told apart by To, by its user and domain or else by its domain.
#[test]
fn a_name_is_given_once_and_to_decides_between_contacts_that_are_the_same() {
    let bound = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&bound);
    let mut world = World::new(move |asked| {
        if !asked.text.starts_with("REGISTER") {
            return Reply::Silent;
        }
        seen.borrow_mut().push(contacts(asked.text)[0].split(['@', ':']).nth(1).unwrap().to_owned());
        Reply::Grant(600)
    });
    let account = |aor: &str, named: &[&str]| Plan {
        aor: uri(aor),
        contacts: named.iter().map(|text| contact(text)).collect(),
        ..plan()
    };
    let desk = ["<sip:desk~192.0.2.99:5070>"];
    let all = [
        account("sip:alice~a.example", &[]),
        account("sip:alice~b.example", &[]),
        account("sip:alice-2~a.example", &[]),
        account("sip:carol~a.example", &desk),
        account("sip:carol~b.example", &desk),
        account("sip:dave~b.example", &desk),
    ];
    for (n, plan) in all.into_iter().enumerate() {
        world.keep(n as u64 + 1, plan, n as u64);
    }
    world.run(MINUTE);
    assert_eq!(*bound.borrow(), ["alice", "alice-3", "alice-2", "desk", "desk", "desk"]);
    let (flow, to) =
        world.engine.stage.flows.first_key_value().map(|(flow, to)| (*flow, to.address)).unwrap();
    let cases = [
        ("carol@a.example", 4),
        ("carol@b.example:5060", 5),
        ("dave@b.example", 6),
        ("+49@b.example", 5),
        ("+49@example.com", 4),
    ];
    for (number, (called, account)) in cases.into_iter().enumerate() {
        let bytes = call("OPTIONS", "sip:desk@x", &format!("sip:{called}"), number, Transport::Udp);
        world.called.clear();
        world.handle(Event::Received { flow, peer: to, bytes });
        assert_eq!(world.called, [account], "{called}");
    }
    world.end("names");
}
