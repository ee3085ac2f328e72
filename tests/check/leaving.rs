//! However `check` ends, its own binding is gone, and others are as they were.

use std::process::{Child, Command};
use std::time::Duration;

use crate::registrar::{Registrar, Say};
use crate::report::{findings, shown};
use crate::run::{finish, wait_until};
use crate::table::{new, usual};
use crate::world::{Host, Udp, World};

/// A registrar that is silent to calls: `check` waits for them while it is bound.
fn waiting() -> (World, Registrar) {
    let registrar = new().holds("sip:werner@{9}:5060").says(|it, _| {
        let is_call = !it.is("REGISTER") && it.target().contains('@');
        is_call.then_some(Say::Nothing)
    });
    (usual(registrar.clone()).t1("500ms"), registrar)
}

/// Sends a signal to the program, which is the child of its session's leader.
pub fn interrupt(child: &Child, signal: &str) {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let own = std::fs::read_to_string(children).unwrap();
    let own = own.split_whitespace().next().map_or(child.id().to_string(), str::to_owned);
    assert!(Command::new("kill").args([signal, &own]).status().unwrap().success());
}

/// Ctrl-C, the system's wish and a terminal that is closed: the binding is removed before the end.
#[test]
fn a_signal_in_the_middle_leaves_no_binding() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (world, registrar) = waiting();
        let before = registrar.bound();
        let child = world.start(&["check", "--json"]);
        wait_until("it is bound", || registrar.bound().len() == 2);
        interrupt(&child, signal);
        let ran = finish(child);
        assert_eq!(ran.code, Some(code), "{}", ran.all());
        assert_eq!(registrar.bound(), before, "{}", ran.all());
        let object = ran.json();
        assert_eq!((&object["outcome"], &object["error"]["kind"]), (&"failed".into(), &"interrupted".into()));
        // What was done by then is told.
        assert!(object["requests"].as_u64() > Some(6), "{}", ran.all());
        assert_eq!(object["attempts"][0]["result"], "401", "{}", ran.all());
        assert_eq!(object["auth"][0]["realm"], "munich.de", "{}", ran.all());
    }
}

/// A bound on the whole command ends it with its binding removed, and what wasn't looked at is said to be so.
#[test]
fn a_timeout_in_the_middle_leaves_no_binding() {
    let (world, registrar) = waiting();
    let before = registrar.bound();
    let ran = world.timeout("2s").run(&["check", "--json"]);
    assert_eq!(registrar.bound(), before, "{}", ran.all());
    let object = ran.json();
    assert!(object["elapsed_ms"].as_f64().unwrap() < 4000.0, "{}", ran.all());
    let steps = object["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["result"] == "skipped"), "{}", ran.all());
}

/// What wasn't confirmed may be bound all the same: a 200 that got lost.
#[test]
fn a_binding_whose_answer_was_lost_is_removed() {
    let registrar = new().changes(|it, answer| {
        // What comes is nothing that belongs to a request of ours.
        let is_binding = it.is_proven() && it.get("Contact").is_some() && it.get("Expires") != Some("0");
        if is_binding && !it.all("Contact").any(|contact| contact.contains("expires=0")) {
            answer.set("CSeq", "1 INVITE");
        }
    });
    let world = usual(registrar.clone());
    let ran = world.timeout("8s").run(&["check", "--json"]);
    assert_ne!(ran.code, Some(0), "{}", ran.all());
    assert_eq!(registrar.bound(), [""; 0], "{}", ran.all());
}

/// Nothing is bound yet, and nobody answers: it ends at once.
#[test]
fn a_signal_in_the_beginning_ends_it() {
    let world = World::new().silent(Host(1), &[Udp]).srv(&[Udp], 1).t1("500ms");
    let child = world.start(&["check", "--json"]);
    std::thread::sleep(Duration::from_millis(700));
    interrupt(&child, "-INT");
    let ran = finish(child);
    assert_eq!(ran.code, Some(130), "{}", ran.all());
    assert!(ran.json()["elapsed_ms"].as_f64().unwrap() < 3000.0, "{}", ran.all());
}

/// Whoever reads has gone, as with `| head -1`: the binding goes all the same, and nothing is said of it.
#[test]
fn a_closed_output_leaves_no_binding() {
    let registrar = new().slow(100);
    let world = usual(registrar.clone());
    let mut child = world.start(&["check"]);
    drop(child.stdout.take());
    let ran = finish(child);
    assert_eq!((registrar.bound(), ran.stderr.as_str()), (Vec::new(), ""), "{:?}", ran.code);
}

/// What `register` has bound and remembers is left alone; that nobody keeps it is said.
#[test]
fn what_register_remembers_is_left_alone() {
    let registrar = new();
    let world = usual(registrar.clone());
    assert_eq!(world.run(&["register"]).code, Some(0));
    let before = registrar.bound();
    assert_eq!(before.len(), 1);
    let object = world.run(&["check", "--json"]).json();
    assert_eq!(findings(&object), ["others warning leftovers"], "{}", shown(&object));
    assert_eq!(registrar.bound(), before);
    let ran = world.run(&["unregister", "--json"]);
    assert_eq!((ran.code, registrar.bound()), (Some(0), Vec::new()), "{}", ran.all());
}

/// Several at a time for one account, as a monitoring may have it, don't take each other's binding.
#[test]
fn checks_beside_each_other_leave_each_other_alone() {
    let registrar = new().slow(30);
    let world = usual(registrar.clone());
    let all: Vec<_> = (0..4).map(|_| world.start(&["check", "--json"])).collect();
    for child in all {
        let ran = finish(child);
        let object = ran.json();
        let found = findings(&object);
        // One that has just ended looks like one that nobody keeps.
        let only_that = found.iter().all(|found| found == "others warning leftovers");
        assert!(ran.code == Some(0) && only_that, "{}", shown(&object));
    }
    assert_eq!(registrar.bound(), [""; 0]);
}
