//! A device whose network changes, or seems to, while it is kept bound, in a network of its own.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

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

/// Runs a script in a network of its own, where there can be one.
fn run(script: &str, folder: &Path) -> Option<Output> {
    let works = |how: &&str| {
        let mut tried = Command::new("unshare");
        tried.args([how, "ip", "link"]).stdout(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let Some(namespace) = ["-rn", "-n"].into_iter().find(works) else {
        println!("skipped: no network namespace here, or no ip");
        return None;
    };
    let mut command = Command::new("unshare");
    command.args([namespace, "sh", "-c", script]).env("FOLDER", folder);
    Some(command.env("SIPREG", env!("CARGO_BIN_EXE_sipreg")).output().unwrap())
}

/// DES-016: the old contact goes with the request that brings the new one.
#[test]
fn another_address_is_bound_and_the_old_one_removed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = run(SCRIPT, folder.path()) else { return };
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

/// Nobody listens where the registrar should be. Links come and go, as those of containers and captures do; then there is an
/// address more, and a route.
const NEWS: &str = r#"
set -e
ip link set lo up
ip address add 10.9.0.1/32 dev lo
"$SIPREG" keep alice@localhost --registrar 10.9.0.1 $TRANSPORT --for 12s --json --stateless >"$FOLDER/kept" &
keep=$!
until grep -q failed "$FOLDER/kept"; do sleep 0.05; done
ip link add box type bridge
ip link set box up
ip link set box promisc on
ip link add here type veth peer name there
ip link set here up
ip link set there up
sleep 2
ip link del here
ip link del box
sleep 2.5
grep -c failed "$FOLDER/kept" >"$FOLDER/quiet"
ip address add 10.9.1.2/32 dev lo
sleep 3
grep -c failed "$FOLDER/kept" >"$FOLDER/address"
ip link set lo mtu 60000
ip route add blackhole 10.10.0.0/16
wait $keep
"#;

/// DES-016 DES-017: a link whose coming and going changes neither addresses nor routes is no news; what does change them makes
/// what fails be tried at once, and the wait after that is no longer than before.
#[test]
fn links_that_come_and_go_are_no_news_and_addresses_and_routes_are() {
    for transport in ["udp", "tcp"] {
        let folder = tempfile::tempdir().unwrap();
        let script = NEWS.replace("$TRANSPORT", &format!("--transport {transport}"));
        let Some(ran) = run(&script, folder.path()) else { return };
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let all = format!("{ran:?}\n{}", read("kept"));
        assert!(ran.status.success(), "{all}");
        assert_eq!((read("quiet").trim(), read("address").trim()), ("1", "2"), "{all}");
        let kept = read("kept");
        let events = kept.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let failed: Vec<_> = events.filter(|event| event["event"] == "failed").collect();
        assert_eq!(failed.len(), 3, "{all}");
        for event in failed {
            let wait = event["next_attempt_in"].as_f64().unwrap();
            assert!((15.0..=30.0).contains(&wait), "{all}");
        }
    }
}
