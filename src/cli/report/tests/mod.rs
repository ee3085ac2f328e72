//! Whole outputs for whole reports.

mod events;
mod json;
mod streams;
mod tls;
mod writer;

use super::*;
use crate::proto::client::outcome::*;
use crate::proto::locate::{Origin, Transport};
use crate::proto::{Cause, KeepaliveFault, RegistrationId, ResolveError, Time};
use crate::sip::{NameAddr, Q, Uri};

const AOR: &str = "sip:werner.heisenberg@munich.de";
const OWN: &str = "sip:werner.heisenberg@200.201.202.203:5060";

/// 2026-11-22 13:03:12 UTC.
const SENT: Time = Time::from_millis(1_795_352_592_000);

fn hop() -> Hop {
    Hop {
        transport: Transport::Udp,
        remote: "192.0.2.1:5060".parse().unwrap(),
        local: "200.201.202.203:5060".parse().unwrap(),
    }
}

fn listed(contact: &str, expires: u32, own: bool) -> Listed {
    let contact = NameAddr::parse(contact.as_bytes()).unwrap();
    let q = contact.params.token("q").and_then(Q::parse);
    Listed { contact, expires, q, own }
}

fn granted(contact: &str, expires: u32) -> Granted {
    let uri = NameAddr::parse(contact.as_bytes()).unwrap().uri;
    Granted { asked: uri.clone(), uri, expires }
}

fn bound() -> Success {
    Success {
        contacts: vec![granted(&format!("<{OWN}>"), 3600)],
        bindings: vec![listed(&format!("<{OWN}>"), 3600, true)],
        service_route: Vec::new(),
        path: Vec::new(),
        asked: crate::proto::client::nat::Asked::default(),
    }
}

fn attempt(result: AttemptResult) -> Attempt {
    let remote = Remote::Address(hop().remote);
    Attempt { transport: Some(Transport::Udp), remote, origin: None, result }
}

fn report(result: Result<Success, Failure>, response: Option<(u16, &str)>) -> Report {
    let status = response.map_or(AttemptResult::Timeout, |(status, _)| AttemptResult::Status(status));
    Report {
        registration: RegistrationId(1),
        purpose: Purpose::Bind { expires: Some(3600) },
        result,
        response: response.map(|(status, reason)| (status, reason.to_owned())),
        date: None,
        remarks: Vec::new(),
        challenged: true,
        unreadable: Vec::new(),
        request_uri: Uri::parse("sip:munich.de").unwrap().into(),
        tls: None,
        last_words: None,
        hop: Some(hop()),
        auth: vec![Answered {
            scheme: "Digest",
            algorithm: "SHA-256".into(),
            qop: Some("auth"),
            realm: "munich.de".into(),
        }],
        domain: None,
        moved_to: None,
        took_effect: true,
        raised_to: None,
        listed: Vec::new(),
        claimants: Vec::new(),
        received: None,
        call_id: "5b2b4c7a9e1f".into(),
        cseq: 2,
        requests: 2,
        retransmissions: 0,
        sent: Some(SENT),
        elapsed: Duration::from_micros(12_340),
        round_trip: Some(Duration::from_micros(1_234)),
        attempts: vec![attempt(status)],
        warnings: Vec::new(),
        unusable: Default::default(),
    }
}

fn failed(failure: Failure, response: Option<(u16, &str)>) -> Report {
    report(Err(failure), response)
}

/// Exit, stdout, stderr.
fn shown(report: &Report, settings: Settings) -> (Exit, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        writer: None,
    };
    let settings = Settings { aor: Some(AOR.into()), ..settings };
    let command = Some(CommandName::Register);
    let mut reporter = Reporter::new(&mut streams, settings, command, &Environment::default());
    let exit = reporter.finished(report);
    (exit, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn human(report: &Report) -> String {
    let settings = Settings { ends_unanswered: true, ..Settings::default() };
    let (exit, stdout, stderr) = shown(report, settings);
    format!("{stdout}--- stderr\n{stderr}--- exit {}", exit.code())
}

fn json(report: &Report) -> serde_json::Value {
    let (_, stdout, _) = shown(report, Settings { json: true, ..Settings::default() });
    assert_eq!(stdout.matches('\n').count(), 1, "one object on one line: {stdout}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn one_binding_is_told_with_lifetime_and_who_answered() {
    insta::assert_snapshot!(human(&report(Ok(bound()), Some((200, "OK")))), @r#"
    Registered sip:werner.heisenberg@munich.de for 1h, until 14:03:12 UTC
      this device  1h  sip:werner.heisenberg@200.201.202.203:5060
      answered by  192.0.2.1:5060 over UDP in 1.2 ms, 2 requests
      signed in    Digest SHA-256, realm "munich.de"
    --- stderr
    hint: nobody answers there once sipreg has ended; 'sipreg keep' stays
    --- exit 0
    "#);
}

#[test]
fn several_devices_are_listed_in_aligned_columns() {
    let mut success = bound();
    success
        .bindings
        .insert(0, listed("<sip:werner.heisenberg@192.0.2.7:5062;transport=tcp>;q=0.5", 1390, false));
    success.bindings.push(listed("\"Desk\" <sip:w@[2001:db8::9]>;q=1", 60, false));
    success.bindings.extend((0..12).map(|n| listed(&format!("<sip:w{n}@192.0.2.9>"), 7200, false)));
    insta::assert_snapshot!(human(&report(Ok(success), Some((200, "OK")))), @r#"
    Registered sip:werner.heisenberg@munich.de for 1h, until 14:03:12 UTC
      this device  1h              sip:werner.heisenberg@200.201.202.203:5060
      also bound   23m 10s  q=0.5  sip:werner.heisenberg@192.0.2.7:5062;transport=tcp
                   1m       q=1    sip:w@[2001:db8::9]
                   2h              sip:w0@192.0.2.9
                   2h              sip:w1@192.0.2.9
                   2h              sip:w2@192.0.2.9
                   2h              sip:w3@192.0.2.9
                   2h              sip:w4@192.0.2.9
                   2h              sip:w5@192.0.2.9
                   2h              sip:w6@192.0.2.9
                   2h              sip:w7@192.0.2.9
                   ... and 4 more, which --json lists
      answered by  192.0.2.1:5060 over UDP in 1.2 ms, 2 requests
      signed in    Digest SHA-256, realm "munich.de"
    --- stderr
    hint: nobody answers there once sipreg has ended; 'sipreg keep' stays
    --- exit 0
    "#);
}

#[test]
fn routes_a_nat_and_retransmissions() {
    let success = Success {
        service_route: vec![NameAddr::parse(b"<sip:orig@scscf.munich.de;lr>").unwrap()],
        path: vec![
            NameAddr::parse(b"<sip:edge1.munich.de;lr>").unwrap(),
            NameAddr::parse(b"<sip:edge2.munich.de;lr>").unwrap(),
        ],
        ..bound()
    };
    let report = Report {
        received: Some("198.51.100.7:40512".parse().unwrap()),
        retransmissions: 1,
        warnings: vec![
            Warning::Lengthened { asked: 60, granted: 3600 },
            Warning::UnknownRequire("x\u{1b}y".into()),
            Warning::NoLifetime,
            Warning::UnreadableContacts(2),
            Warning::Rewritten,
        ],
        ..report(Ok(success), Some((200, "OK")))
    };
    insta::assert_snapshot!(human(&report), @r#"
    Registered sip:werner.heisenberg@munich.de for 1h, until 14:03:12 UTC
      this device    1h  sip:werner.heisenberg@200.201.202.203:5060
      answered by    192.0.2.1:5060 over UDP in 1.2 ms, 2 requests and 1 retransmission
      seen as        198.51.100.7:40512, not 200.201.202.203:5060: there is a NAT between
      signed in      Digest SHA-256, realm "munich.de"
      service route  <sip:orig@scscf.munich.de;lr>
      path           <sip:edge1.munich.de;lr>
                     <sip:edge2.munich.de;lr>
    --- stderr
    warning: the registrar granted 1h where 1m were asked for; trust the shorter one
    warning: the answer requires the extension "x\u{1b}y", which sipreg never offered
    warning: the registrar does not say for how long the binding holds; the time asked for is taken
    warning: 2 bindings in the answer can't be read and are left out
    warning: the registrar changed the contact; it was recognised by its address
    hint: behind a NAT, '--advertise 198.51.100.7:40512' binds the address that the registrar sees
    hint: nobody answers there once sipreg has ended; 'sipreg keep' stays
    --- exit 0
    "#);
    assert_eq!(json(&report)["received"], "198.51.100.7:40512");
}

#[test]
fn a_removal_beside_a_binding_that_stays() {
    let success = Success {
        contacts: vec![granted("<sip:w@192.0.2.7>", 0)],
        bindings: vec![listed("<sip:w@192.0.2.8>", 1800, false)],
        ..bound()
    };
    let report = report(Ok(success), Some((200, "OK")));
    let (exit, stdout, stderr) = shown(&report, Settings::default());
    insta::assert_snapshot!(stdout, @r#"
    Unregistered sip:werner.heisenberg@munich.de
      removed      sip:w@192.0.2.7
      still bound  30m  sip:w@192.0.2.8
      answered by  192.0.2.1:5060 over UDP in 1.2 ms, 2 requests
      signed in    Digest SHA-256, realm "munich.de"
    "#);
    assert_eq!((exit, stderr.as_str()), (Exit::Done, ""));
    let json = json(&report);
    assert_eq!(json["outcome"], "unregistered");
    assert_eq!(json["expires"], 0);
    assert_eq!(json["contact"], "sip:w@192.0.2.7");
}

/// What a peer writes can't command the terminal, wherever it is shown.
#[test]
fn a_hostile_registrar_is_quoted_not_obeyed() {
    let mut hostile = report(Ok(bound()), Some((200, "O\u{1b}[2JK")));
    hostile.auth = vec![Answered {
        scheme: "Digest",
        algorithm: "MD5\u{1b}".into(),
        qop: None,
        realm: "\u{1b}]0;x\u{7}".into(),
    }];
    let output = human(&hostile);
    assert!(!output.contains(['\u{1b}', '\u{7}']), "{output}");
    assert_eq!(json(&hostile)["reason"], "O\u{1b}[2JK");
}

#[test]
fn several_destinations_are_told_one_by_one() {
    let attempts = vec![
        Attempt {
            transport: None,
            remote: Remote::Name("sip1.munich.de".into()),
            origin: None,
            result: AttemptResult::Dns(Some(ResolveError::NoSuchName)),
        },
        attempt(AttemptResult::Failed(Cause::Refused)),
        attempt(AttemptResult::Closed),
        Attempt {
            origin: Some(Origin { name: "sip2.munich.de".into(), srv: Some((10, 60)) }.into()),
            ..attempt(AttemptResult::Status(503))
        },
        attempt(AttemptResult::Timeout),
    ];
    let report = Report { attempts, ..failed(Failure::Timeout, None) };
    let hint = Some("is the address right?".into());
    let fault = Fault::new(Exit::Timeout, "nobody answered for munich.de", hint);
    insta::assert_snapshot!(human::failure(&report, &fault, Paint::plain()), @r"
    error: nobody answered for munich.de
      tried sip1.munich.de: no such name
      tried 192.0.2.1:5060 over UDP: connection refused
      tried 192.0.2.1:5060 over UDP: closed the connection
      tried 192.0.2.1:5060 over UDP (sip2.munich.de, SRV 10 60): answered 503
      tried 192.0.2.1:5060 over UDP: no answer
    hint: is the address right?
    hint: 'sipreg check' finds out
    ");
    let told = json(&report)["attempts"].clone();
    assert_eq!(
        told[0].to_string(),
        r#"{"remote":null,"result":"no_such_name","target":"sip1.munich.de","transport":null}"#
    );
    assert!(told[1]["target"].is_null());
    assert_eq!(
        (&told[3]["target"], &told[3]["remote"]),
        (&"sip2.munich.de".into(), &"192.0.2.1:5060".into())
    );
    let results: Vec<_> =
        json(&report)["attempts"].as_array().unwrap().iter().map(|a| a["result"].clone()).collect();
    assert_eq!(results, ["no_such_name", "refused", "closed", "503", "timeout"]);
}

/// Every failure: its kind, its exit status, a message on stderr, and nothing that can be taken for a
/// success.
#[test]
fn failures_say_the_same_in_json_and_to_people() {
    let realm = || "munich.de".to_owned();
    let username = || "werner.heisenberg".to_owned();
    let unservable = CredentialsFailure::Unservable {
        offered: vec![Skipped {
            offer: "WHIRLPOOL".into(),
            realm: Some(realm()),
            why: WhySkipped::Algorithm,
        }],
    };
    let name = Unreachable::Name { name: "munich.de".into(), error: Some(ResolveError::NoSuchName) };
    let rejected = CredentialsFailure::Rejected { realm: realm(), username: username() };
    let refused = |refusal| Failure::Refused(refusal);
    let table = [
        (refused(Refusal::Status(404)), Some((404, "Not Found")), 1, "refused"),
        (refused(Refusal::RetryAfter { status: 503, seconds: 30 }), Some((503, "Busy")), 1, "refused"),
        (refused(Refusal::TooBrief { min_expires: Some(90_000) }), Some((423, "Too Brief")), 1, "refused"),
        (refused(Refusal::NoTarget(302)), Some((302, "Moved")), 1, "refused"),
        (Failure::Credentials(rejected), Some((401, "Unauthorized")), 3, "credentials"),
        (
            Failure::Credentials(CredentialsFailure::Missing { realm: realm(), has_others: false }),
            Some((401, "Unauthorized")),
            3,
            "credentials",
        ),
        (
            Failure::Credentials(CredentialsFailure::Forbidden { username: username() }),
            Some((403, "Forbidden")),
            3,
            "credentials",
        ),
        (Failure::Credentials(unservable), Some((401, "Unauthorized")), 3, "credentials"),
        (Failure::Timeout, None, 4, "timeout"),
        (Failure::Unreachable(Unreachable::Network(Cause::Refused)), None, 5, "unreachable"),
        (Failure::Unreachable(name), None, 5, "unreachable"),
        (Failure::Misbehaved(Misbehaviour::NotBound), Some((200, "OK")), 6, "misbehaved"),
    ];
    for (failure, response, code, kind) in table {
        let report = failed(failure, response);
        let (exit, stdout, stderr) = shown(&report, Settings::default());
        assert_eq!((exit.code(), stdout.as_str()), (code, ""), "{report:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        let (exit, stdout, quiet) = shown(&report, Settings { quiet: true, ..Settings::default() });
        assert_eq!((exit.code(), stdout.as_str(), quiet), (code, "", stderr), "-q still says errors");
        let json = json(&report);
        assert_eq!(json["error"]["kind"], kind);
        assert_eq!(json["outcome"], "failed");
        assert_eq!(json["ok"], false);
        assert_eq!(json["status"], serde_json::json!(response.map(|(status, _)| status)));
        assert_eq!(json["expires"], serde_json::Value::Null);
    }
}
