//! A device that gets another address while it is kept bound, in a network of its own.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

/// The registrar sees the address that the routing table gives us; that is changed underneath. Needs a network namespace:
/// root, or user namespaces, and iproute2.
const SCRIPT: &str = r#"
set -e
ip link set lo up
ip address add 10.9.0.1/32 dev lo
ip address add 10.9.1.2/32 dev lo
ip address add 10.9.1.3/32 dev lo
ip route replace local 10.9.0.1 dev lo table local src 10.9.1.2
"$SIPREG" serve --no-auth --yes --listen udp:10.9.0.1:5060 --domain localhost --json >"$FOLDER/served" &
server=$!
until [ -s "$FOLDER/served" ]; do sleep 0.05; done
"$SIPREG" keep alice@localhost --registrar 10.9.0.1 --for 5s --json --stateless >"$FOLDER/kept" &
keep=$!
until grep -q registered "$FOLDER/kept"; do sleep 0.05; done
ip route replace local 10.9.0.1 dev lo table local src 10.9.1.3
wait $keep
kill $server
wait $server
"#;

/// DES-016: the old contact goes with the request that brings the new one.
#[test]
fn another_address_is_bound_and_the_old_one_removed() {
    let works = |how: &&str| {
        let mut tried = Command::new("unshare");
        tried.args([how, "ip", "link"]).stdout(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let namespace = ["-rn", "-n"].into_iter().find(works);
    let Some(namespace) = namespace else {
        println!("skipped: no network namespace here, or no ip");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("unshare")
        .args([namespace, "sh", "-c", SCRIPT])
        .env("SIPREG", env!("CARGO_BIN_EXE_sipreg"))
        .env("FOLDER", folder.path())
        .output()
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let (kept, served) = (read("kept"), read("served"));
    let all = format!("{ran:?}\n{kept}\n{served}");
    assert!(ran.status.success(), "{all}");
    let names = |text: &str| -> Vec<String> {
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let short = |event: serde_json::Value| {
            let contact = event["contact"].as_str().unwrap_or_default();
            let address = contact.split_once('@').map_or("", |(_, rest)| rest.split(':').next().unwrap());
            format!("{} {address}", event["event"].as_str().unwrap()).trim_end().to_owned()
        };
        events.map(short).collect()
    };
    assert_eq!(
        names(&kept),
        [
            "registering",
            "registered 10.9.1.2",
            "network_changed",
            "refreshed 10.9.1.3",
            "unregistered 10.9.1.3",
            "stopped"
        ],
        "{all}"
    );
    let mut told = names(&served);
    // The two of one request come in its order.
    told[2..4].sort();
    let expected =
        ["listening", "bound 10.9.1.2", "bound 10.9.1.3", "removed 10.9.1.2", "removed 10.9.1.3", "stopped"];
    assert_eq!(told, expected, "{all}");
}
