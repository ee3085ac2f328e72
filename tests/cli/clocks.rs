//! Zones; wall clocks that are set, and processes that are frozen, while something is bound.
#![cfg(target_os = "linux")]

use std::process::Command;

use crate::keep::{keep, keep_with, name, serve};
use crate::run::{command, finish};
use crate::serve::Server;

/// The library that shows a process another wall clock. `tests/run --long` installs it.
fn faketime() -> String {
    let mut folders = std::fs::read_dir("/usr/lib").unwrap();
    let library = folders.find_map(|folder| {
        let library = folder.unwrap().path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    library.expect("libfaketime").to_str().unwrap().to_owned()
}

/// DES-014: the wall clock of device and registrar goes a day ahead, and then two back. Nothing happens: refreshes come
/// when they were due, no binding runs out, and one that is no longer refreshed does.
#[test]
#[ignore = "needs libfaketime"]
fn a_wall_clock_that_is_set_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let offset = home.path().join("offset");
    let environment = [
        ("LD_PRELOAD", faketime()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // The wall clock only: nobody can set those that count from the start of the system.
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let set = |days: i64| {
        let shown = || {
            let date = Command::new("date").arg("+%s").envs(environment).output().unwrap();
            String::from_utf8(date.stdout).unwrap().trim().parse::<i64>().unwrap()
        };
        std::fs::write(&offset, "+0").unwrap();
        let before = shown();
        std::fs::write(&offset, format!("{days:+}d")).unwrap();
        let steps = shown() - before - days * 86_400;
        assert!((0..60).contains(&steps), "the wall clock is {steps} s off");
    };
    set(0);
    let mut serve =
        command(&["serve", "--json", "--no-auth", "--min-expires", "1", "--listen", "udp:127.0.0.1:0"]);
    serve.envs(environment);
    let mut server = Server::started(serve, 1);
    let args = ["alice@localhost", "-e", "4"];
    let mut keep = keep_with(&server.at[0], home.path(), &args, &environment);
    keep.tells("registering");
    keep.tells("registered");
    assert_eq!(name(&server.next()), "bound");
    for days in [1, -1] {
        set(days);
        for _ in 0..3 {
            let told = keep.tells("refreshed");
            let next = told["next_attempt_in"].as_f64().unwrap();
            assert!((1.0..=2.0).contains(&next), "{told}");
            assert_eq!((&told["expires"], &told["requests"]), (&4.into(), &1.into()), "{told}");
            assert_eq!(name(&server.next()), "refreshed");
        }
    }
    keep.signal("-KILL");
    assert_eq!(name(&server.next()), "expired");
    server.stop();
}

/// DES-015: a process that was frozen for longer than its lease registers again as soon as it runs.
#[test]
fn what_was_frozen_registers_as_soon_as_it_runs() {
    let home = tempfile::tempdir().unwrap();
    let mut server = serve();
    let mut keep = keep(&server.at[0], home.path(), &["alice@localhost", "-e", "2"]);
    keep.tells("registering");
    let before = keep.tells("registered");
    assert_eq!(name(&server.next()), "bound");
    keep.signal("-STOP");
    while name(&server.next()) != "expired" {}
    keep.signal("-CONT");
    assert_eq!(name(&server.next()), "bound");
    while name(&keep.next()) != "registering" {}
    let after = keep.tells("registered");
    assert_eq!((&after["contact"], &after["call_id"]), (&before["contact"], &before["call_id"]));
    keep.signal("-TERM");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}

/// Times for people are local and say of which zone; events for scripts are in UTC, whatever the zone.
#[test]
fn people_get_local_times_and_scripts_utc() {
    let server = serve();
    let run = |zone: &str, args: &[&str]| {
        let mut command = command(&[args, &["--stateless", "--registrar", &server.at[0]]].concat());
        let ran = finish(command.env("TZ", zone).spawn().unwrap());
        assert_eq!(ran.code, Some(0), "{zone}: {}", ran.all());
        ran
    };
    let until = |zone: &str| -> (u32, String) {
        let ran = run(zone, &["register", "alice@localhost"]);
        let headline = ran.stdout.lines().next().unwrap();
        let (clock, name) = headline.split_once("until ").unwrap().1.split_once(' ').unwrap();
        let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u32>().unwrap());
        (seconds, name.to_owned())
    };
    let (utc, name) = until("UTC");
    assert_eq!(name, "UTC");
    for (zone, name, ahead) in [
        ("Asia/Kolkata", "IST", 19_800),
        ("<-03>3", "-03", 86_400 - 3 * 3600),
        (":Asia/Kolkata", "IST", 19_800),
        ("Nobody/Knows", "UTC", 0),
        ("", "UTC", 0),
    ] {
        let (local, named) = until(zone);
        assert_eq!(named, name, "{zone}");
        let off = (local + 2 * 86_400 - utc - ahead) % 86_400;
        assert!(off < 60, "{zone}: {off} s off");
    }
    let keep = ["keep", "alice@localhost", "--for", "10ms"];
    let people = run("Asia/Kolkata", &keep);
    assert!(people.stdout.lines().all(|line| line.contains(" IST  ")), "{}", people.all());
    let scripts = run("Asia/Kolkata", &[&keep[..], &["--json"]].concat());
    let is_utc = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["time"].as_str().unwrap().ends_with('Z')
    };
    assert!(scripts.stdout.lines().all(is_utc), "{}", scripts.all());
    server.stop();
}
