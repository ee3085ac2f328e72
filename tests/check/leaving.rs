//! However `check` ends, its own binding is gone, and others are as they were.

use std::process::Command;

use crate::registrar::{Registrar, Say};
use crate::run::{finish, wait_until};
use crate::table::{new, usual};
use crate::world::World;

/// A registrar that is silent to calls: `check` waits for them while it is bound.
fn waiting() -> (World, Registrar) {
    let registrar = new().holds("sip:werner@{9}:5060").says(|it, _| {
        let is_call = !it.is("REGISTER") && it.target().contains('@');
        is_call.then_some(Say::Nothing)
    });
    (usual(registrar.clone()).t1("500ms"), registrar)
}

/// Ctrl-C, the system's wish and a terminal that is closed: the binding is removed before the end.
#[test]
fn a_signal_in_the_middle_leaves_no_binding() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (world, registrar) = waiting();
        let before = registrar.bound();
        let child = world.start(&["check", "--json"]);
        wait_until("it is bound", || registrar.bound().len() == 2);
        // The program is the child of the session's leader.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let own = std::fs::read_to_string(children).unwrap();
        let own = own.split_whitespace().next().map_or(child.id().to_string(), str::to_owned);
        assert!(Command::new("kill").args([signal, &own]).status().unwrap().success());
        let ran = finish(child);
        assert_eq!(ran.code, Some(code), "{}", ran.all());
        assert_eq!(registrar.bound(), before, "{}", ran.all());
        let object = ran.json();
        assert_eq!((&object["outcome"], &object["error"]["kind"]), (&"failed".into(), &"interrupted".into()));
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
