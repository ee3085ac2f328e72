//! What each key does.

use super::*;
use crate::proto::Transport;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::digest::Algorithm;
use crate::proto::identity::Wildcards;
use crate::proto::locate::Families;

const ALL: &str = r#"
[accounts.work]
aor = "sip:werner@munich.de:5070"
registrar = "registrar.munich.de"
proxy = ["p1", "p2"]
transport = "TCP"
username = "w"
realm = "munich.de"
min_algorithm = "sha-256"
from = "office@munich.de"
contact = "sip:werner@192.0.2.7"
expires = "30m"
q = 0.5
header = ["X-A: 1", "X-B: 2"]
user_agent = "none"
bind = "127.0.0.1:5090"
advertise = "phone.munich.de"
nameserver = "192.0.2.53"
resolve = ["p1:5060:192.0.2.1", "p1:5060:[2001:db8::7]"]
ipv4 = true
timeout = 5
t1 = "100ms"
retry_for = "1m"
state_dir = "state"
json = true
verbose = 2
color = "always"
trace = "last.pcapng"
hep = "homer.munich.de:9060"
"#;

fn wire(plan: &Plan) -> Vec<String> {
    let contacts = plan.contacts.iter().map(ToString::to_string);
    let headers = plan.headers.iter().map(|header| header.name().as_str().to_owned());
    [plan.aor.to_string(), plan.registrar.to_string()]
        .into_iter()
        .chain(plan.route.iter().map(ToString::to_string))
        .chain(contacts)
        .chain(headers)
        .collect()
}

#[test]
fn every_key_counts() {
    let account = account(ALL, &["register", "work"]);
    let plan = &account.plan;
    assert_eq!(
        wire(plan),
        [
            "sip:werner@munich.de",
            "sip:registrar.munich.de",
            "sip:p1;lr",
            "sip:p2;lr",
            "<sip:werner@192.0.2.7>",
            "X-A",
            "X-B"
        ]
    );
    assert_eq!((plan.transport, plan.families), (Some(Transport::Tcp), Families::V4));
    assert_eq!(plan.purpose, Purpose::Bind { expires: Some(1800) });
    assert_eq!(plan.q.map(|q| q.thousandths()), Some(500));
    assert_eq!(plan.from.as_ref().map(ToString::to_string).as_deref(), Some("sip:office@munich.de"));
    assert_eq!((plan.keyring.realm.as_deref(), plan.keyring.minimum), (Some("munich.de"), Algorithm::Sha256));
    assert_eq!((account.username(), plan.user_agent.as_deref()), ("w", None));
    assert_eq!(plan.timing.t1.as_millis(), 100);
    assert_eq!((plan.try_limit.as_secs(), plan.retry_for.as_secs()), (5, 60));
    assert_eq!(account.net.bind, Some(("127.0.0.1".parse().unwrap(), Some(5090))));
    assert_eq!(account.net.nameservers, ["192.0.2.53:53".parse().unwrap()]);
    let pinned: Vec<_> = plan.pinned.iter().map(|pinned| pinned.address.to_string()).collect();
    assert_eq!(pinned, ["192.0.2.1", "2001:db8::7"]);
    assert!(plan.advertise.is_some() && account.settings.json);
    assert_eq!(account.settings.verbosity, 2);
    let copies = format!("{:?}", account.copies);
    assert!(copies.contains("/last.pcapng\"") && copies.contains("homer.munich.de"), "{copies}");
    // A folder that is not absolute is meant from that of the file.
    assert!(format!("{:?}", account.state).contains("/state\""), "{:?}", account.state);
}

/// Every key stands in the list above, or in one of the tests below.
#[test]
fn no_key_is_forgotten() {
    let elsewhere = ["password", "no_password", "password_file", "password_command", "ha1", "ha1_file"];
    let elsewhere = elsewhere.into_iter().chain(["credentials", "ipv6", "stateless", "quiet", "config"]);
    let elsewhere = elsewhere.chain([
        "tls_ca",
        "tls_cert",
        "tls_key",
        "tls_name",
        "tls_wildcard",
        "tls_insecure",
        "ws_path",
    ]);
    let elsewhere: Vec<_> = elsewhere.collect();
    for key in keys() {
        let there = ALL.contains(&format!("\n{key} = "));
        assert!(there != elsewhere.contains(&key), "{key}");
    }
}

#[test]
fn switches() {
    let work = "[accounts.work]\naor = \"w@munich.de\"\n";
    let quiet = account(&format!("{work}quiet = true\nipv6 = true\nstateless = true"), &["register", "work"]);
    assert!(quiet.settings.quiet && quiet.state.is_none());
    assert_eq!(quiet.plan.families, Families::V6);
    let off = "quiet = false\nipv6 = false\nstateless = false\njson = false\nverbose = 0";
    let off = account(&format!("{work}{off}"), &["register", "work", "--state-dir", "x"]);
    assert!(!off.settings.quiet && off.state.is_some() && !off.settings.json);
    assert_eq!(off.plan.families, Families::Both);
}

/// Where nothing is said of TLS and WebSocket the settings are the plain ones; what the file says counts, and is warned of
/// where it makes TLS useless.
#[test]
fn what_connections_are_made_with() {
    let work = "[accounts.work]\naor = \"w@munich.de\"\n";
    let plain = account(work, &["register", "work"]);
    assert!(plain.connections.alarm().is_none() && plain.net.profiles.len() == 1);
    let keys = "tls_name = \"MUNICH.de\"\ntls_wildcard = true\ntls_insecure = true\nws_path = \"/ws?a=1\"";
    let told = account(&format!("{work}{keys}"), &["register", "work"]);
    let settings = &told.net.profiles[0];
    assert_eq!((settings.name.as_deref(), settings.path.as_str()), (Some("MUNICH.de"), "/ws?a=1"));
    assert_eq!((settings.wildcards, settings.insecure), (Wildcards::Accepted, true));
    assert!(told.connections.alarm().is_some_and(|alarm| alarm.contains("--tls-insecure")));
    assert!(!told.connections.is_same(&plain.connections));
    assert!(told.connections.is_same(&account(&format!("{work}{keys}"), &["list", "work"]).connections));
}

/// Numbers are as good as texts, whatever their base.
#[test]
fn numbers() {
    for (line, seconds) in [
        ("expires = 1800", 1800),
        ("expires = \"1800\"", 1800),
        ("expires = 1_800", 1800),
        ("expires = 0x708", 1800),
        ("expires = \"1h 30m\"", 5400),
    ] {
        let text = format!("[accounts.work]\naor = \"w@munich.de\"\n{line}");
        assert_eq!(
            account(&text, &["register", "work"]).plan.purpose,
            Purpose::Bind { expires: Some(seconds) }
        );
    }
    let one = account("[accounts.work]\naor = \"w@munich.de\"\nq = 1", &["register", "work"]);
    assert_eq!(one.plan.q.map(|q| q.thousandths()), Some(1000));
}

/// A contact is what is bound, and what is removed; as a condition for `list` nobody meant it.
#[test]
fn each_command_takes_what_it_has() {
    let text = "[accounts.work]\naor = \"w@munich.de\"\ncontact = \"sip:w@192.0.2.7\"\nexpires = 60\nq = 0.5";
    assert_eq!(account(text, &["register", "work"]).plan.contacts.len(), 1);
    let list = account(text, &["list", "work"]);
    assert!(list.plan.contacts.is_empty() && list.required.is_empty() && list.plan.q.is_none());
    let unregister = account(text, &["unregister", "work"]);
    assert_eq!((unregister.plan.purpose, unregister.plan.contacts.len()), (Purpose::Remove, 1));
    let all = account(text, &["unregister", "work", "--all", "--yes"]);
    assert_eq!((all.plan.purpose, all.plan.contacts.len()), (Purpose::RemoveAll, 0));
    // What a command does not have is looked at all the same.
    let soon = text.replace("60", "\"soon\"");
    assert!(Home::with(soon).complaint(&["list", "work"]).starts_with("FILE:4:11: expires: \"soon\""));
}

/// An address is an address, even that of an account: only the defaults go with it.
#[test]
fn an_address_is_no_account() {
    let text =
        "[defaults]\nexpires = 60\n[accounts.work]\naor = \"w@munich.de\"\nexpires = 120\nusername = \"x\"";
    for aor in ["w@munich.de", "sip:w@munich.de"] {
        let account = account(text, &["register", aor]);
        assert_eq!(account.plan.purpose, Purpose::Bind { expires: Some(60) });
        assert_eq!(account.username(), "w");
    }
}
