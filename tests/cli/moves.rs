//! Networks that loopback can't stand for, each in a namespace of its own: a device that gets another address while it
//! is kept bound, or whose links come and go, and link-local addresses.
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

/// A link with a registrar at one end and devices at the other, which know it by its link-local address alone.
const LINK: &str = r#"
set -e
ip link add near type veth peer name far
ip link set near addrgenmode none
ip link set far addrgenmode none
ip address add fe80::aa/64 dev near nodad
ip address add fe80::bb/64 dev far nodad
ip link set near up
ip link set far up
"$SIPREG" serve --no-auth --yes --domain localhost --json \
    --listen 'udp:[fe80::bb%far]:5060' --listen 'tcp:[fe80::bb%far]:5060' >"$FOLDER/served" &
server=$!
until [ "$(wc -l <"$FOLDER/served")" = 2 ]; do sleep 0.05; done
for transport in udp tcp; do
    for command in register list unregister "keep --for 1s"; do
        "$SIPREG" $command alice@localhost --registrar '[fe80::bb%near]:5060' --transport $transport \
            --state-dir "$FOLDER/state" --json -vv >>"$FOLDER/said" 2>>"$FOLDER/wire"
    done
done
"$SIPREG" list alice@localhost --proxy '[fe80::bb]' --bind fe80::aa%near --stateless --json >>"$FOLDER/said"
kill $server
wait $server
"#;

/// A zone is this host's name for one of its links (RFC 4007 §11): it chooses the link and is in no message, and an
/// address with one is no other than the one that the registrar sees (NAT-002).
#[test]
fn a_link_local_registrar_is_reached_by_its_zone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = in_namespace(LINK, folder.path()) else { return };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let all = format!("{ran:?}\n{}\n{}\n{}", read("said"), read("wire"), read("served"));
    assert!(ran.status.success(), "{all}");
    let said: Vec<serde_json::Value> =
        read("said").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends = said.iter().filter(|object| !object["status"].is_null());
    assert_eq!(ends.clone().filter(|object| object["status"] == 200).count(), 11, "{all}");
    for object in ends {
        assert!(object["registrar"]["local"].as_str().unwrap().starts_with("[fe80::aa%"), "{object}");
        let contact = object["contact"].as_str().unwrap_or("sip:alice@[fe80::aa]:");
        assert!(contact.starts_with("sip:alice@[fe80::aa]:"), "{object}");
    }
    // Whole messages are further to the right than the line that names the peer.
    let messages: Vec<_> =
        read("wire").lines().filter(|line| line.starts_with("        ")).map(str::to_owned).collect();
    assert!(messages.len() > 100 && !messages.iter().any(|line| line.contains('%')), "{all}");
    assert!(!read("wire").contains("NAT"), "{all}");
}

/// Others than this host, who guess passwords and ask without end: each is its own address.
const GUESSES: &str = r#"
set -e
ip link set lo up
for last in 1 2 3 4; do ip address add 10.9.0.$last/32 dev lo; done
export SIPREG_PASSWORD=uncertainty
"$SIPREG" serve --add-user alice@localhost --users "$FOLDER/users"
"$SIPREG" serve --users "$FOLDER/users" --listen udp:10.9.0.1:5060 --listen tcp:10.9.0.1:5060 --json     --login-failures 2 --rate 6 >"$FOLDER/served" &
server=$!
until [ "$(wc -l <"$FOLDER/served")" = 2 ]; do sleep 0.05; done
try() {
    status=0
    "$SIPREG" register alice@localhost --registrar 10.9.0.1 --stateless --json "$@" >>"$FOLDER/said" || status=$?
    echo $status >>"$FOLDER/status"
}
SIPREG_PASSWORD=wrong try --bind 10.9.0.2
SIPREG_PASSWORD=wrong try --bind 10.9.0.2 --transport tcp
sleep 1.1
try --bind 10.9.0.2
try --bind 10.9.0.2 --transport tcp
try --bind 10.9.0.3
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    ( status=0; unset SIPREG_PASSWORD
      "$SIPREG" list alice@localhost --registrar 10.9.0.1 --stateless --bind 10.9.0.4 --timeout 400ms           --json >/dev/null || status=$?
      echo $status >>"$FOLDER/flood" ) &
    pids="$pids $!"
done
wait $pids
kill $server
wait $server
"#;

/// DSR-002: failed logins stop those of their source, over any transport, and nobody elsewhere; who asks without end gets
/// silence; both are told.
#[test]
fn sources_are_limited_and_users_are_not_locked_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = in_namespace(GUESSES, folder.path()) else { return };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let all = format!("{ran:?}\n{}\n{}\n{}", read("said"), read("served"), read("flood"));
    assert!(ran.status.success(), "{all}");
    assert_eq!(read("status").lines().collect::<Vec<_>>(), ["3", "3", "1", "1", "0"], "{all}");
    let json = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let said = json(&read("said"));
    assert_eq!((&said[2]["status"], &said[3]["status"]), (&503.into(), &503.into()), "{all}");
    let flood = read("flood");
    assert!(flood.contains('3') && flood.contains('4'), "{all}");
    let limited: Vec<_> =
        json(&read("served")).into_iter().filter(|event| event["event"] == "rate_limited").collect();
    let source = |address: &str| limited.iter().filter(|event| event["source"] == address).count();
    assert_eq!((source("10.9.0.2"), source("10.9.0.3"), source("10.9.0.4")), (1, 0, 1), "{all}");
    let logins = limited.iter().find(|event| event["source"] == "10.9.0.2").unwrap();
    assert_eq!((&logins["count"], &logins["aor"]), (&2.into(), &serde_json::Value::Null), "{all}");
}

/// Runs a script in a network namespace of its own. `None` where there is none to be had, which is said.
fn in_namespace(script: &str, folder: &Path) -> Option<Output> {
    let works = |how: &&str| {
        let mut tried = Command::new("unshare");
        tried.args([how, "ip", "link"]).stdout(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    };
    let Some(namespace) = ["-rn", "-n"].into_iter().find(works) else {
        println!("skipped: no network namespace here, or no ip");
        return None;
    };
    let mut shell = Command::new("unshare");
    shell.args([namespace, "sh", "-c", script]);
    shell.env("SIPREG", env!("CARGO_BIN_EXE_sipreg")).env("FOLDER", folder);
    Some(shell.output().unwrap())
}

/// DES-016: the old contact goes with the request that brings the new one.
#[test]
fn another_address_is_bound_and_the_old_one_removed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(ran) = in_namespace(SCRIPT, folder.path()) else { return };
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
        let Some(ran) = in_namespace(&script, folder.path()) else { return };
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
            // It is told some moments after it was set.
            assert!((14.9..=30.0).contains(&wait), "{all}");
        }
    }
}
