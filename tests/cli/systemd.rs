//! `sipreg keep` as a service of systemd: what it tells, and the unit of the README.
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::keep::{keep_with, serve};

/// What the manager was told next.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
}

#[test]
fn the_manager_is_told_how_things_stand() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let server = serve();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let mut keep = keep_with(&server.at[0], home.path(), &["alice@localhost"], &environment);
    let mut all = Vec::new();
    let mut until = |wanted: &str| {
        while !all.iter().any(|text: &String| text.starts_with(wanted)) {
            all.push(told(&socket));
        }
        std::mem::take(&mut all)
    };
    // A manager who has not read what it was told before hears of the status a moment later.
    if !until("READY=1").contains(&"STATUS=1 of 1 bound".to_owned()) {
        until("STATUS=1 of 1 bound");
    }
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    keep.tells("registering");
    keep.tells("registered");
    keep.signal("-HUP");
    let reloading = until("RELOADING=1");
    assert!(reloading.last().unwrap().contains("MONOTONIC_USEC="), "{reloading:?}");
    until("READY=1");
    keep.tells("refreshed");
    keep.signal("-TERM");
    until("STOPPING=1");
    assert_eq!(keep.end().2, Some(0));
    server.stop();
}

/// A manager that reads nothing keeps nobody from being bound, and nobody from stopping.
#[test]
fn a_manager_that_does_not_read_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    // As full as it gets.
    let filler = UnixDatagram::unbound().unwrap();
    filler.connect(&path).unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send(b"STATUS=full").is_ok() {}
    let server = serve();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "20000")];
    let mut keep = keep_with(&server.at[0], home.path(), &["alice@localhost"], &environment);
    keep.tells("registering");
    keep.tells("registered");
    // Time for the watchdog to want to be fed, more often than may wait to be told.
    std::thread::sleep(Duration::from_secs(1));
    // Once it reads, it hears how things stand.
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!((0..2000).any(|_| told(&socket) == "STATUS=1 of 1 bound"), "the status never comes");
    keep.signal("-TERM");
    assert_eq!(keep.end().2, Some(0));
    drop(socket);
    server.stop();
}

/// Where systemd is.
#[test]
fn the_unit_of_the_readme_is_one() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let unit = readme.split("```ini\n").find(|part| part.starts_with("[Unit]")).expect("a unit");
    let unit = unit.split("```").next().unwrap();
    assert!(unit.contains("Type=notify") && unit.contains("ExecStart="), "{unit}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sipreg.service");
    let here = unit.replace("/usr/local/bin/sipreg", env!("CARGO_BIN_EXE_sipreg"));
    std::fs::write(&path, here).unwrap();
    match Command::new("systemd-analyze").args(["verify", path.to_str().unwrap()]).output() {
        Ok(ran) => assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}"),
        Err(error) => println!("not verified: no systemd-analyze here: {error}"),
    }
}
