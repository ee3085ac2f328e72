//! What one process leaves to the next, and the commands that list and remove.

use sipreg::proto::client::outcome::Success;
use sipreg::proto::client::plan::{Plan, Purpose, Resume};
use sipreg::proto::client::schedule::Departure;
use sipreg::proto::{Cause, Command, Question};

use crate::keep_world;
use crate::world::*;

const CALL_ID: &str = "remembered";

fn remembering(own: &[&str]) -> sipreg::proto::client::plan::Plan {
    let mut plan = plan();
    let own = own.iter().map(|text| contact(text)).collect();
    plan.resume = Some(Box::new(Resume { dialogue: Some((CALL_ID.to_owned(), 41)), own }));
    plan
}

fn contacts(course: &Course, n: usize) -> String {
    course.sent[n].headers("Contact").join(", ")
}

/// REQ-013 REQ-014 REQ-015 DES-024 DES-025 REG-011
#[test]
fn call_id_and_cseq_go_on_from_where_the_last_process_stood() {
    let course = World::answering(&[MD5, OK]).run(remembering(&[]));
    assert_eq!(course.sent[0].header("Call-ID").unwrap(), CALL_ID);
    let cseq: Vec<String> = course.sent.iter().map(|s| s.header("CSeq").unwrap()).collect();
    assert_eq!(cseq, ["42 REGISTER", "43 REGISTER"]);
    assert_eq!(
        course.remembered,
        [
            "remembered 42 sip:werner.heisenberg@192.0.2.99:5070",
            "remembered 43 sip:werner.heisenberg@192.0.2.99:5070"
        ]
    );
    let mut late = remembering(&[]);
    late.resume.as_mut().unwrap().dialogue = Some((CALL_ID.to_owned(), (1 << 31) - 10_001));
    assert_eq!(World::answering(&[OK]).run(late).report.cseq, (1 << 31) - 10_000);
    let mut last = remembering(&[]);
    last.resume.as_mut().unwrap().dialogue = Some((CALL_ID.to_owned(), u32::MAX >> 1));
    let course = World::answering(&[OK]).run(last);
    assert_ne!(&*course.report.call_id, CALL_ID);
    assert_eq!(course.report.cseq, 1);
    // A plan without memory asks for nothing to be kept.
    assert!(World::answering(&[OK]).run(plan()).remembered.is_empty());
}

/// REG-011 DES-020 DES-023 NAT-005 DES-021
#[test]
fn the_same_contact_is_refreshed_and_another_own_one_is_removed_in_the_same_request() {
    let here = "<sip:werner.heisenberg~192.0.2.99:5070>";
    let course = World::answering(&[OK]).run(remembering(&[here]));
    assert_eq!(contacts(&course, 0), here.replace('~', "@"));
    // The port is the same, the transport another: the new binding is not taken for the one left behind.
    let there =
        ["<sip:werner.heisenberg~192.0.2.99:5070;transport=tcp>", "<sip:werner.heisenberg~192.0.2.3:5070>"];
    let course = World::answering(&[OK]).run(remembering(&there));
    assert_eq!(
        contacts(&course, 0).replace('@', "~"),
        format!("{here}, {};expires=0, {};expires=0", there[0], there[1])
    );
    assert_eq!(
        verdict(&course),
        "ok: sip:werner.heisenberg@192.0.2.99:5070 for 3600, \
         sip:werner.heisenberg@192.0.2.99:5070;transport=tcp for 0, sip:werner.heisenberg@192.0.2.3:5070 for 0"
    );
    let still = format!("{OK}, {};expires=60", there[1]);
    let course = World::answering(&[&still]).run(remembering(&there));
    assert_eq!(verdict(&course), "Misbehaved(StillBound)");
    // Contacts that the user names are another matter: nothing is removed beside them.
    let mut named = remembering(&there);
    named.contacts = vec![contact("<sip:desk~192.0.2.20>")];
    let course = World::answering(&["200 OK|Contact: <@>;expires=9"]).run(named);
    assert_eq!(contacts(&course, 0), "<sip:desk@192.0.2.20>");
}

fn listed(success: &Success) -> Vec<String> {
    success.bindings.iter().map(|b| format!("{} {} {}", b.contact.uri, b.expires, b.own)).collect()
}

/// REQ-024 REG-009 REG-010 REG-035 URI-003
#[test]
fn a_fetch_has_no_contact_and_no_lifetime_and_marks_what_is_ours() {
    let mut plan = remembering(&["<sip:werner~192.0.2.99:5070>"]);
    plan.purpose = Purpose::Fetch;
    let ok = "200 OK|Contact: <sip:x~y>;q=0.5;expires=10, <sip:werner~192.0.2.99:5070;ob>;expires=60|\
              Contact: <sip:werner~192.0.2.99:5071>;expires=5";
    let course = World::answering(&[MD5, ok]).run(plan.clone());
    for n in [0, 1] {
        assert!(course.sent[n].header("Contact").is_none() && course.sent[n].header("Expires").is_none());
    }
    assert_eq!(course.remembered, ["remembered 42 ", "remembered 43 "]);
    let success = course.report.result.unwrap();
    assert!(success.contacts.is_empty());
    assert_eq!(
        listed(&success),
        ["sip:x@y 10 false", "sip:werner@192.0.2.99:5070;ob 60 true", "sip:werner@192.0.2.99:5071 5 false"]
    );
    let course = World::answering(&["200 OK"]).run(plan);
    assert!(course.report.result.unwrap().bindings.is_empty());
}

/// REG-006..008 DES-022 OUT-019 REG-034
#[test]
fn all_bindings_go_with_a_star_alone_and_lifetime_0() {
    let mut plan = plan();
    plan.purpose = Purpose::RemoveAll;
    let course = World::answering(&[MD5, "200 OK"]).run(plan.clone());
    for n in [0, 1] {
        assert_eq!(course.sent[n].headers("Contact"), ["*"]);
        assert_eq!(course.sent[n].headers("Expires"), ["0"]);
    }
    assert!(course.report.result.is_ok());
    for (answer, expected) in [
        ("200 OK|Contact: <sip:x~y>;expires=10", "Misbehaved(StillBound)"),
        ("200 OK|Contact: <sip:x~y>;expires=0", "ok: "),
        ("423 T|Min-Expires: 60", "Refused(TooBrief { min_expires: Some(60) })"),
    ] {
        assert_eq!(verdict(&World::answering(&[answer]).run(plan.clone())), expected);
    }
}

/// REG-033 DES-024
#[test]
fn a_registrar_that_knows_a_higher_cseq_gets_a_new_call_id_once() {
    for low in
        ["500 CSeq too low", "400 Invalid CSeq", "400 Bad Request|P-Registrar-Error: Invalid CSEQ number"]
    {
        let course = World::answering(&[low, OK]).run(remembering(&[]));
        assert!(course.report.result.is_ok(), "{low}");
        assert_ne!(&*course.report.call_id, CALL_ID);
        assert_eq!((course.report.requests, course.report.cseq), (2, 1));
        let course = World::answering(&[low]).run(remembering(&[]));
        assert_eq!(course.report.requests, 2);
        // Without a memory there is nothing to be wrong about.
        assert_eq!(World::answering(&[low]).run(plan()).report.requests, 1);
    }
    assert_eq!(World::answering(&["500 Broken"]).run(remembering(&[])).report.requests, 1);
}

/// REG-011 DES-024 DES-023
#[test]
fn what_a_request_without_answer_may_have_bound_is_removed_by_the_next_one() {
    let known = Resume { dialogue: None, own: vec![contact("<sip:werner.heisenberg~192.0.2.99:5070>")] };
    for memory in [None, Some(Resume::default()), Some(known)] {
        let mut plan = plan();
        plan.resume = memory.map(Box::new);
        plan.retry_for = std::time::Duration::from_secs(60);
        let mut world = World::new(|request, n, _| match n {
            0 => vec![],
            _ => vec![(10, Reaction::Send(answer(request, OK)))],
        });
        let mut port = 5069;
        world.open = Box::new(move |_| {
            port += 1;
            Ok((0, format!("192.0.2.99:{port}").parse().unwrap()))
        });
        let course = world.run(plan);
        assert_eq!(
            contacts(&course, 1).replace('@', "~"),
            "<sip:werner.heisenberg~192.0.2.99:5071>, <sip:werner.heisenberg~192.0.2.99:5070>;expires=0"
        );
        assert!(course.report.result.is_ok());
    }
}

/// REG-011 DES-023
#[test]
fn what_a_refused_request_asked_for_is_not_taken_for_bound() {
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de").into();
    let mut world = World::answering(&["503 Busy", OK]);
    world.names = Box::new(|question| {
        Some(match question {
            Question::A(_) => Ok((1..=3).map(|n| record(&format!("192.0.2.{n}"))).collect()),
            Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Ok(vec![]),
        })
    });
    // The first address answers, the second cannot be reached, the third sees us at another port.
    let mut port = 5069;
    world.open = Box::new(move |_| {
        port += 1;
        if port == 5071 {
            Err(Cause::Refused)
        } else {
            Ok((0, format!("192.0.2.99:{port}").parse().unwrap()))
        }
    });
    let course = world.run(plan);
    assert_eq!(course.attempts(), "Status(503), Failed(Refused), Status(200)");
    assert_eq!(contacts(&course, 1), "<sip:werner.heisenberg@192.0.2.99:5072>");
}

/// DES-020 REG-012 URI-011
#[test]
fn contacts_that_differ_by_transport_only_are_told_apart() {
    let (udp, tcp) = ("<sip:b~192.0.2.7:5060>", "<sip:b~192.0.2.7:5060;transport=tcp>");
    let mut remove = plan();
    remove.purpose = Purpose::Remove;
    remove.contacts = vec![contact(tcp)];
    let left = format!("200 OK|Contact: {udp};expires=60");
    assert_eq!(
        verdict(&World::answering(&[&left]).run(remove)),
        "ok: sip:b@192.0.2.7:5060;transport=tcp for 0"
    );
    let mut both = plan();
    both.contacts = vec![contact(udp), contact(tcp)];
    assert_eq!(verdict(&World::answering(&[&left]).run(both.clone())), "Misbehaved(NotBound)");
    let all = format!("200 OK|Contact: {tcp};expires=50, {udp};expires=60");
    assert_eq!(
        verdict(&World::answering(&[&all]).run(both)),
        "ok: sip:b@192.0.2.7:5060 for 60, sip:b@192.0.2.7:5060;transport=tcp for 50"
    );
}

/// DES-023: what an earlier process bound is removed also by one that is stopped before its first try, and once, however
/// it is spelt.
#[test]
fn what_is_remembered_is_removed_before_the_first_try() {
    let own = vec![contact("<sip:a~desk.munich.de>"), contact("<sip:a~DESK.munich.de>")];
    let memory = Resume { dialogue: Some((CALL_ID.to_owned(), 41)), own };
    let mut world = keep_world::World::new(|_| keep_world::Reply::Grant(3600));
    world.keep(1, Plan { resume: Some(Box::new(memory)), ..plan() }, 5000);
    world.run(1000);
    world.command(Command::StopKeeping(None));
    world.run(10_000);
    assert!(world.text.contains("\r\nExpires: 0\r\n"), "{}", world.text);
    assert_eq!(world.text.matches("Contact: <sip:a@").count(), 1, "{}", world.text);
    assert_eq!(world.left, [Departure::Removed]);
}
