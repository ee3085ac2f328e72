//! Devices behind a real NAT: one of nftables between network namespaces, with mappings that end after seconds. Where that is not
//! permitted, a relay of the test plays it.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::keep::{keep, name, serve};
use crate::relay::Relay;

/// A NAT between two networks; devices inside, a registrar outside. `MAPPING`: the seconds that a mapping lives; `EVERY`: the
/// seconds between two keep-alives; `WAIT`: those after which a call has to arrive, or not.
const SCRIPT: &str = r#"
set -e
unshare -n sleep 200 & inside=$!
unshare -n sleep 200 & outside=$!
trap 'kill $inside $outside $devices $server 2>/dev/null || true' EXIT
until [ "$(readlink /proc/$inside/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
until [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
within() { nsenter -t $inside -n "$@"; }
without() { nsenter -t $outside -n "$@"; }
ip link add in0 type veth peer name eth0 netns $inside
ip link add out0 type veth peer name eth0 netns $outside
ip address add 10.0.0.1/24 dev in0
ip address add 203.0.113.9/24 dev out0
ip link set in0 up
ip link set out0 up
within ip address add 10.0.0.2/24 dev eth0
within ip link set lo up
within ip link set eth0 up
within ip route add default via 10.0.0.1
without ip address add 203.0.113.1/24 dev eth0
without ip link set lo up
without ip link set eth0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo $MAPPING >/proc/sys/net/netfilter/nf_conntrack_udp_timeout
echo $MAPPING >/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream
echo $MAPPING >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established
nft add table ip nat
nft add chain ip nat leaving '{ type nat hook postrouting priority 100; }'
nft add rule ip nat leaving oifname out0 masquerade random
# Only what a device has begun comes in.
nft add chain ip nat entering '{ type filter hook forward priority 0; }'
nft add rule ip nat entering iifname out0 ct state new drop
echo "the NAT is there"

nsenter -t $outside -n "$SIPREG" serve --no-auth --yes --domain localhost --json \
    --listen udp:203.0.113.1:5060 --listen tcp:203.0.113.1:5060 >"$FOLDER/served" &
server=$!
until [ "$(wc -l <"$FOLDER/served")" = 2 ]; do sleep 0.05; done
device() {
    user=$1
    shift
    nsenter -t $inside -n "$SIPREG" keep $user@localhost --registrar 203.0.113.1 --stateless --json "$@" \
        >"$FOLDER/$user" 2>"$FOLDER/$user.said" &
    devices="$devices $!"
}
device alice --keepalive $EVERY
device bob --keepalive off
device carol --keepalive $EVERY --transport tcp
for user in alice bob carol; do
    until grep -q '"nat"' "$FOLDER/$user"; do sleep 0.05; done
done

# The status that somebody outside hears who asks for a user.
call() {
    printf 'OPTIONS sip:%s@localhost SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1:9;rport;branch=z9hG4bK%s\r\nMax-Forwards: 9\r\nFrom: <sip:x@localhost>;tag=1\r\nTo: <sip:%s@localhost>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n' \
        $1 $1$2 $1 $1$2 >"$FOLDER/request"
    without bash -c 'exec 3<>/dev/udp/203.0.113.1/5060; cat "$FOLDER/request" >&3; timeout 5 head -c 11 <&3 | tail -c 3'
}
sleep $WAIT
for user in alice bob carol; do
    echo "$user $(call $user kept)" >>"$FOLDER/calls"
done

# The NAT restarts: it forgets all mappings, and gives others.
ip link set out0 down
ip link set out0 up
until grep -q '"flow_failed"' "$FOLDER/alice"; do sleep 0.05; done
until [ "$(sed -n '/"flow_failed"/,$p' "$FOLDER/alice" | grep -c '"refreshed"\|"registered"')" -ge 2 ]; do sleep 0.05; done
echo "alice $(call alice restarted)" >>"$FOLDER/calls"

kill -INT $devices
wait $devices
kill -INT $server
wait $server
"#;

/// What came of a NAT with mappings of so many seconds, for devices that send keep-alives that often; `None`: it can't be had here.
fn behind_nat(folder: &Path, mapping: u32, every: u32, wait: u32) -> Option<String> {
    let works = |how: &&str| {
        let mut tried = Command::new("unshare");
        tried.args([
            how,
            "sh",
            "-c",
            "nft list ruleset && ip link && test -w /proc/sys/net/netfilter/nf_conntrack_udp_timeout",
        ]);
        tried.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let Some(namespace) = ["-rn", "-n"].into_iter().find(works) else {
        println!("skipped: no network namespace here, or no ip or nft");
        return None;
    };
    let mut shell = Command::new("unshare");
    shell.args([namespace, "sh", "-c", SCRIPT]).env("SIPREG", env!("CARGO_BIN_EXE_sipreg"));
    shell.env("FOLDER", folder).env("MAPPING", mapping.to_string());
    shell.env("EVERY", every.to_string()).env("WAIT", wait.to_string());
    let ran = shell.output().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let files = ["alice", "alice.said", "bob", "bob.said", "carol", "served"];
    let all = files.map(|name| format!("--- {name}\n{}", read(name))).concat();
    assert!(ran.status.success(), "{ran:?}\n{all}");
    Some(all)
}

fn calls(folder: &Path) -> Vec<String> {
    let calls = std::fs::read_to_string(folder.join("calls")).unwrap();
    calls.lines().map(str::to_owned).collect()
}

fn holds(mapping: u32, every: u32, wait: u32) {
    let folder = tempfile::tempdir().unwrap();
    let Some(all) = behind_nat(folder.path(), mapping, every, wait) else { return };
    let calls = calls(folder.path());
    assert_eq!(calls[0], "alice 200", "{all}");
    assert!(calls[1].starts_with("bob") && calls[1] != "bob 200", "{all}");
    assert_eq!(calls[2..], ["carol 200", "alice 200"], "{all}");
    let said = std::fs::read_to_string(folder.path().join("bob.said")).unwrap();
    let warning = "behind a NAT (seen as 203.0.113.9:";
    assert!(
        said.contains(warning) && said.contains("keepalives are off: calls may stop to arrive"),
        "{said}"
    );
}

/// NAT-002 NAT-004 NAT-007 OUT-033 OUT-034 DSR-004
#[test]
fn a_call_finds_the_way_through_a_nat_that_keep_alives_keep_open() {
    holds(3, 1, 7);
}

/// As long as real NATs take: a call after a minute.
#[test]
#[ignore = "takes a minute and a half"]
fn a_call_arrives_after_a_minute_behind_a_nat_that_forgets_after_ten_seconds() {
    holds(10, 8, 60);
}

/// NAT-004 NAT-005 NAT-006 NAT-007 OUT-033: also without nftables.
#[test]
fn what_a_nat_forgets_is_bound_anew_where_it_is_seen_then() {
    let server = serve();
    let relay = Relay::start(server.at[0].parse().unwrap(), 2000);
    let home = tempfile::tempdir().unwrap();
    let proxy = format!("sip:{}", relay.address);
    let mut keep =
        keep("localhost", home.path(), &["alice@localhost", "--proxy", &proxy, "--keepalive", "1s"]);
    let address_of = |contact: &str| contact.split_once('@').unwrap().1.to_owned();
    keep.tells("registering");
    let inside = address_of(keep.tells("registered")["contact"].as_str().unwrap());
    let nat = keep.tells("nat");
    let seen = nat["address"].as_str().unwrap().to_owned();
    assert_eq!(nat["interval"], 1.0, "{nat}");
    let refreshed = keep.tells("refreshed");
    assert_eq!(address_of(refreshed["contact"].as_str().unwrap()), seen, "{refreshed}");
    assert_ne!(inside, seen);
    // Longer than mappings live.
    std::thread::sleep(Duration::from_secs(5));
    relay.restart();
    let failed = keep.tells("flow_failed");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("keep-alives come from another address than before"), "{failed}");
    keep.tells("refreshed");
    let now = keep.tells("nat")["address"].as_str().unwrap().to_owned();
    let refreshed = keep.tells("refreshed");
    assert_ne!(now, seen);
    assert_eq!(address_of(refreshed["contact"].as_str().unwrap()), now, "{refreshed}");
    // The old contacts are gone: of this device one is bound.
    assert_eq!(refreshed["bindings"].as_array().unwrap().len(), 1, "{refreshed}");
    keep.signal("-INT");
    let unregistered = keep.next();
    assert_eq!(name(&unregistered), "unregistered", "{unregistered}");
    keep.tells("stopped");
}
