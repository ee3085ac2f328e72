//! `sipreg keep` against a real registrar, in situations of the laboratory.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::device::Device;
use crate::lab::{Lab, Port};
use crate::relay::Relay;
use crate::table::Transport;

/// What a `keep` of so many seconds tells.
fn events(device: &Device, seconds: &str, code: i32) -> Vec<Value> {
    let ran = device.run(&["keep", "--json", "--for", seconds]);
    assert_eq!(ran.code, Some(code), "{}", ran.all());
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// REG-016 AUT-041: leases of 20 s, refreshed with one request each while the nonce is good.
#[test]
fn leases_of_twenty_seconds_are_refreshed_with_one_request() {
    let told = events(&Device::at("grant20"), "11s", 0);
    assert_eq!(names(&told), ["registering", "registered", "refreshed", "unregistered", "stopped"]);
    assert_eq!((&told[1]["expires"], &told[1]["requests"]), (&20.into(), &2.into()));
    assert_eq!((&told[2]["expires"], &told[2]["requests"]), (&20.into(), &1.into()));
    assert_eq!(told[1]["contact"], told[2]["contact"]);
}

/// Nonces that are good for one request, that the answer replaces, or that are stale at once: each is bound, and left.
#[test]
fn nonces_of_every_kind_are_lived_with() {
    for (domain, requests) in [("once", 2), ("nextnonce", 2), ("stale1", 3), ("svc", 2)] {
        let device = Device::at(domain);
        let told = events(&device, "1s", 0);
        assert_eq!(names(&told), ["registering", "registered", "unregistered", "stopped"], "{domain}");
        assert_eq!(told[1]["requests"], requests, "{domain}: {}", told[1]);
        // The removal uses the nonce at hand. A nonce for one use only is stale by then; so is what the laboratory calls
        // the next one, which it does not know itself.
        let more = if matches!(domain, "once" | "nextnonce") { 2 } else { 1 };
        assert_eq!(told[2]["requests"], more, "{domain}: {}", told[2]);
        // Others may be bound there.
        let own = told[1]["contact"].as_str().unwrap();
        assert!(!device.bound().iter().any(|bound| bound == own), "{domain}");
    }
}

/// DES-018: the connection is closed behind every answer. It is bound all the same, soon tried again, and then less often.
#[test]
fn a_connection_that_is_closed_behind_each_answer_is_not_hammered() {
    let told = events(&Device::over(Transport::Tcp, "hangafter"), "5s", 0);
    let bound = of(&told, "registered").len() + of(&told, "refreshed").len();
    assert!((2..=3).contains(&bound), "{:?}", names(&told));
    let lost = of(&told, "flow_failed");
    assert!(!lost.is_empty(), "{:?}", names(&told));
    let last = lost[lost.len() - 1]["next_attempt_in"].as_f64().unwrap();
    assert!(last >= 10.0, "{last}");
}

/// DES-008 DES-029: what is busy is tried again after what it asks for.
#[test]
fn a_busy_registrar_is_waited_for() {
    let told = events(&Device::at("busy5"), "1s", 0);
    let failed = of(&told, "failed");
    assert_eq!(failed.len(), 1, "{:?}", names(&told));
    assert_eq!((&failed[0]["status"], &failed[0]["error"]["kind"]), (&503.into(), &"refused".into()));
    assert!(failed[0]["next_attempt_in"].as_f64().unwrap() >= 5.0, "{}", failed[0]);
    assert_eq!(told.last().unwrap()["event"], "stopped");
}

/// Nobody listens there: nothing can have been bound, so that there is nothing to remove.
#[test]
fn where_nobody_listens_there_is_nothing_to_remove() {
    let told = events(&Device::at("dead").towards(Port::Dead), "1s", 0);
    assert_eq!(names(&told), ["registering", "failed", "stopped"]);
    assert_eq!(told[1]["error"]["kind"], "unreachable");
}

/// REG-018 DES-023: ten that stay and others that come and go, at one address: each has a binding of its own.
#[test]
fn ten_that_stay_and_others_beside_them_keep_out_of_each_others_way() {
    let device = Device::at("crowd");
    let running: Vec<_> = (0..10).map(|_| device.start(&["keep", "--for", "6s"])).collect();
    let beside = device.sibling();
    let mut most = 0;
    for _ in 0..3 {
        beside.does(&["register"]);
        most = most.max(device.bound().len());
        beside.does(&["unregister"]);
    }
    assert!(most >= 2, "{most}");
    for keep in running {
        let ran = keep.finish();
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }
    assert_eq!(device.bound(), [""; 0]);
}

/// Calls the device by way of Kamailio. The status that the caller hears.
fn call(device: &Device) -> u16 {
    let to = format!("127.0.0.1:{}", Lab::shared().port(Port::Sip));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let at = socket.local_addr().unwrap();
    let aor = device.aor();
    let send = |method: &str, branch: &str, tag: &str| {
        let text = format!(
            "{method} {aor} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:bohr@copenhagen.dk>;tag=b\r\nTo: <{aor}>{tag}\r\nCall-ID: {branch}@{at}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:bohr@{at}>\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(text.as_bytes(), &to).unwrap();
    };
    send("INVITE", "call", "");
    let (mut status, mut tag) = (0, String::new());
    while status < 200 {
        let mut buffer = [0; 8192];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let row = text.lines().find(|row| row.starts_with("To:")).unwrap();
        tag = row.split_once(";tag=").map(|(_, tag)| format!(";tag={tag}")).unwrap_or_default();
    }
    send("ACK", "call", &tag);
    status
}

/// INC-009 STX-008: a call goes through Kamailio to where the binding says, and comes back refused; OPTIONS answered.
#[test]
fn a_call_through_the_proxy_is_answered() {
    let device = Device::at("called");
    let mut keep = device.start(&["keep", "--for", "8s"]);
    // The one with credentials is the second.
    keep.sends(2);
    assert!((0..100).any(|_| !device.bound().is_empty()), "it is bound");
    assert_eq!(call(&device), 480);
    let ran = keep.finish();
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls = of(&told, "incoming");
    assert!(
        calls.iter().any(|call| call["method"] == "INVITE" && call["status"] == 480),
        "{:?}",
        names(&told)
    );
    assert_eq!(calls[0]["from"], "sip:bohr@copenhagen.dk");
}

/// A call as SIPp makes it: the refusal comes, is acknowledged, and is not repeated.
const CALL: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="a call that is refused">
  <send retrans="500"><![CDATA[
INVITE sip:[service] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:bohr@copenhagen.dk>;tag=[pid]SIPp[call_number]
To: <sip:[service]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:bohr@[local_ip]:[local_port]>
Content-Length: 0

  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="480" rrs="true"/>
  <send><![CDATA[
ACK sip:[service] SIP/2.0
[last_Via:]
Max-Forwards: 70
From: <sip:bohr@copenhagen.dk>;tag=[pid]SIPp[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

  ]]></send>
  <timewait milliseconds="1200"/>
</scenario>
"#;

/// INC-009: SIPp and sipsak call through Kamailio. Run by `tests/run --long`, which installs them.
#[test]
#[ignore = "needs SIPp and sipsak"]
fn other_programs_that_call_through_the_proxy_are_answered() {
    let device = Device::at("callers");
    let mut keep = device.start(&["keep", "--for", "15s"]);
    keep.sends(2);
    assert!((0..100).any(|_| !device.bound().is_empty()), "it is bound");
    let to = format!("127.0.0.1:{}", Lab::shared().port(Port::Sip));
    let aor = device.aor().trim_start_matches("sip:");
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("call.xml");
    std::fs::write(&scenario, CALL).unwrap();
    let called = Command::new("sipp")
        .current_dir(folder.path())
        .args([to.as_str(), "-sf", scenario.to_str().unwrap(), "-s", aor, "-i", "127.0.0.1"])
        .args(["-m", "20", "-r", "20", "-nostdin", "-timeout", "20s", "-timeout_error"])
        .output()
        .unwrap();
    assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stdout));
    // It adds its Via; the domain is known to the laboratory only, not to the name service.
    let (request, uri) = (folder.path().join("options"), device.aor());
    let text = format!(
        "OPTIONS {uri} SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:bohr@copenhagen.dk>;tag=sipsak\r\nTo: <{uri}>\r\n\
         Call-ID: sipsak@127.0.0.1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    std::fs::write(&request, text).unwrap();
    let proxy = format!("sip:{to}");
    let asked =
        Command::new("sipsak").args(["-s", &proxy, "-f", request.to_str().unwrap(), "-vv"]).output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stdout));
    let ran = keep.finish();
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let came = |method: &str, status: u16| {
        let calls = of(&told, "incoming").into_iter();
        calls.filter(|call| call["method"] == method && call["status"] == status).count()
    };
    assert_eq!((came("INVITE", 480), came("OPTIONS", 200)), (20, 1), "{:?}", names(&told));
}

/// NAT-004 NAT-005 NAT-011: Kamailio calls the Contact, which says where the device is seen; what never answers STUN is kept open by
/// line ends.
#[test]
fn a_device_behind_a_nat_is_called_by_a_registrar_that_knows_nothing_of_nats() {
    let device = Device::at("behindnat");
    let at = format!("127.0.0.1:{}", Lab::shared().port(Port::Sip));
    let relay = Relay::start(at.parse().unwrap(), 2500);
    let proxy = format!("sip:{}", relay.address);
    let mut keep = device.start(&["keep", "--for", "10s", "--proxy", &proxy, "--keepalive", "1s"]);
    // The second has credentials, the third another contact.
    keep.sends(3);
    assert!((0..200).any(|_| device.bound().len() == 1 && !device.bound().is_empty()), "it is bound once");
    // Longer than a mapping lives.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(call(&device), 480);
    let ran = keep.finish();
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let told: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls = of(&told, "incoming");
    assert!(calls.iter().any(|call| call["method"] == "INVITE"), "{:?}", names(&told));
    assert_eq!(device.bound(), [""; 0], "nothing is left");
}
