//! SIGHUP has `sipreg keep` read its configuration again.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::keep::{Keep, client, keep, name, serve};
use crate::registrar::Registrar;

/// An event in one line.
fn line(event: &Value) -> String {
    let aor = event["aor"].as_str().unwrap_or_default().trim_start_matches("sip:");
    format!("{} {aor} {}", name(event), event["expires"])
}

/// SIGHUP: an account whose file says something else goes on with that, one that is gone is removed, and another begins. A file
/// that makes no sense changes nothing.
#[test]
fn a_hangup_has_the_configuration_read_again() {
    let home = tempfile::tempdir().unwrap();
    let server = serve();
    let config = home.path().join("config.toml");
    let write = |work: &str, home: &str| {
        let text = format!(
            "[accounts.work]\naor = 'sip:alice@localhost'\n{work}\n[accounts.home]\naor = '{home}'\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    write("expires = '40m'", "sip:bob@localhost");
    let mut keep = keep(&server.at[0], home.path(), &["work", "home", "--config", config.to_str().unwrap()]);
    let mut events = |signal: bool, many: usize| {
        if signal {
            keep.signal("-HUP");
        }
        let mut events: Vec<String> = (0..many).map(|_| line(&keep.next())).collect();
        events.sort();
        events
    };
    let first = events(false, 4);
    assert_eq!(first[0], "registered alice@localhost 2400");
    let same = events(true, 2);
    assert_eq!(same, ["refreshed alice@localhost 2400", "refreshed bob@localhost 3600"]);
    write("expires = '20m'", "sip:carol@localhost");
    let other = events(true, 5);
    assert_eq!(
        other,
        [
            "refreshed alice@localhost 1200",
            "registered carol@localhost 3600",
            "registering carol@localhost null",
            "stopped bob@localhost null",
            "unregistered bob@localhost 0",
        ]
    );
    std::fs::write(&config, "[accounts.work\n").unwrap();
    let kept = ["refreshed alice@localhost 1200", "refreshed carol@localhost 3600", "reload_failed  null"];
    assert_eq!(events(true, 3), kept);
    // Nobody waits for a pipe that nobody writes to.
    std::fs::remove_file(&config).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
    assert_eq!(events(true, 3), kept);
    let listed = client("list", &server.at[0], home.path(), &["--json"]).json();
    assert_eq!(listed["bindings"].as_array().unwrap().len(), 1);
    keep.signal("-TERM");
    let (_, stderr, code) = keep.end();
    assert_eq!(code, Some(0));
    assert!(stderr.contains("warning: what is configured stays as it was: "), "{stderr}");
    assert!(stderr.contains("config.toml:1:"), "{stderr}");
    server.stop();
}

fn one_account(config: &Path, aor: &str, more: &str) {
    std::fs::write(config, format!("[accounts.work]\naor = 'sip:{aor}'\n{more}\n")).unwrap();
}

fn until(keep: &mut Keep, wanted: &str) {
    while line(&keep.next()) != wanted {}
}

/// An account that is wanted again while it is still being removed begins anew once that is done, although it was the last; and
/// what can't change while it runs is said.
#[test]
fn an_account_that_is_wanted_again_while_it_is_removed_begins_anew() {
    let home = tempfile::tempdir().unwrap();
    let registrar = Registrar::udp(|_, request| {
        if request.all("Expires") == ["0"] {
            std::thread::sleep(Duration::from_millis(700));
        }
        request.as_asked()
    });
    let config = home.path().join("config.toml");
    one_account(&config, "alice@localhost", "");
    let args = ["work", "--config", config.to_str().unwrap()];
    let mut keep = keep(&registrar.address, home.path(), &args);
    until(&mut keep, "registered alice@localhost 3600");
    one_account(&config, "bob@localhost", "");
    keep.signal("-HUP");
    until(&mut keep, "registering bob@localhost null");
    one_account(&config, "alice@localhost", "nameserver = ['127.0.0.9']");
    keep.signal("-HUP");
    until(&mut keep, "registered alice@localhost 3600");
    keep.signal("-TERM");
    let (events, stderr, code) = keep.end();
    assert_eq!((events.last().map(String::as_str), code), (Some("stopped"), Some(0)));
    assert!(stderr.contains("bind and nameserver stay as they are"), "{stderr}");
}
