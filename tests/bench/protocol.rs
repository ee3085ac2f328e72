//! What digest costs, a transaction, and a whole registration from the command to the end of its last timer.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use sipreg::proto::client::plan::{Plan, Timing};
use sipreg::proto::digest::{Credential, Hidden, Secret, Sessions, Trust};
use sipreg::proto::ids::Counting;
use sipreg::proto::transaction::{Client, Input, Timer};
use sipreg::proto::{Action, Command, Endpoint, Event, Notice, RegistrationId, Time};
use sipreg::sip::{Header, HeaderName, Headers, Message, Request, Uri};

use crate::Case;

fn plan() -> Plan {
    let mut plan = Plan::new(Uri::parse("sip:heisenberg@munich.de").unwrap());
    plan.registrar = Uri::parse("sip:192.0.2.1").unwrap().into();
    plan.keyring.credentials.push(Credential {
        realm: None,
        username: "heisenberg".into(),
        secret: Secret::Password(Hidden::new("uncertainty".into())),
    });
    plan
}

fn challenge(algorithm: &str) -> String {
    let nonce = "Y29udGFpbnMgdGhlIHRpbWUgYW5kIGEgc2VjcmV0";
    format!("Digest realm=\"munich.de\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"")
}

/// Reads a challenge and makes the credentials for it.
fn digest(algorithm: &str) -> Box<dyn Fn(usize)> {
    let mut headers = Headers::new();
    headers.push(Header::new(HeaderName::WwwAuthenticate, challenge(algorithm)).unwrap());
    let keyring = plan().keyring;
    Box::new(move |times| {
        for _ in 0..times {
            let mut sessions = Sessions::new();
            sessions.on_challenge(black_box(&headers), &keyring, Trust::Named, &mut Counting::default());
            let rows = sessions.authorize("REGISTER", "sip:munich.de", b"");
            assert_eq!(black_box(rows).len(), 1);
        }
    })
}

/// A request over UDP, its 200, and the end of Timer K: the state machine alone.
fn transaction(times: usize) {
    for _ in 0..times {
        let (mut client, started) = Client::start(false, Timing::default());
        let ended = [Input::Final, Input::Fired(Timer::K)].map(|input| client.on(input));
        black_box((started, ended));
    }
}

/// The whole exchange through the endpoint: `answer` says what comes back for the n-th request.
fn exchange(plan: Plan, mut answer: impl FnMut(usize, Bytes) -> Bytes) {
    let mut endpoint = Endpoint::new(Box::new(Counting::default()));
    let mut now = Time::from_millis(1_792_000_000_000);
    let command = Command::Register { registration: RegistrationId(1), plan: Box::new(plan) };
    let mut events = VecDeque::from([Event::Command(command)]);
    let (mut requests, mut bound) = (0, false);
    loop {
        let Some(event) = events.pop_front() else {
            let Some((at, _)) = endpoint.next_timeout() else { break };
            now = at;
            events.push_back(Event::Timeout);
            continue;
        };
        for action in endpoint.handle(event, now) {
            match action {
                Action::Open { flow, .. } => {
                    events.push_back(Event::Opened { flow, local: ([192, 0, 2, 99], 5070).into() });
                }
                Action::Transmit { flow, peer, bytes } => {
                    events.push_back(Event::Received { flow, peer, bytes: answer(requests, bytes) });
                    requests += 1;
                }
                Action::Notify(Notice::Finished(report)) => bound = report.result.is_ok(),
                Action::Notify(_)
                | Action::Close { .. }
                | Action::Authorize { .. }
                | Action::Checkpoint(_)
                | Action::Resolve { .. }
                | Action::Listen { .. }
                | Action::FindSource { .. }
                | Action::Present(_)
                | Action::Store { .. } => {}
            }
        }
    }
    assert!(bound && requests == 2 && endpoint.is_idle());
}

/// What Kamailio would say to the n-th request: a challenge, then the binding.
fn response(n: usize, request: &Request) -> Bytes {
    let row = |name| request.headers.get(&name).unwrap().text().unwrap();
    let (status, last) = match n {
        0 => ("401 Unauthorized", format!("WWW-Authenticate: {}", challenge("MD5"))),
        _ => ("200 OK", format!("Contact: {};expires=3600", row(HeaderName::Contact))),
    };
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        let tag = if name == HeaderName::To { ";tag=b27e1a1d33761e85" } else { "" };
        text += &format!("{name}: {}{tag}\r\n", row(name.clone()));
    }
    format!("{text}{last}\r\nServer: kamailio\r\nContent-Length: 0\r\n\r\n").into()
}

/// The answers are made once: the endpoint's random numbers are counted, so that each run sends the same octets.
fn register() -> Box<dyn Fn(usize)> {
    let mut answers = Vec::new();
    exchange(plan(), |n, bytes| {
        let Ok(Message::Request(request)) = Message::parse_datagram(bytes) else { panic!("no request") };
        answers.push(response(n, &request));
        answers[n].clone()
    });
    Box::new(move |times| (0..times).for_each(|_| exchange(plan(), |n, _| answers[n].clone())))
}

pub fn cases() -> Vec<Case> {
    vec![
        ("digest-md5", digest("MD5")),
        ("digest-sha-256", digest("SHA-256")),
        ("digest-sha-512-256", digest("SHA-512-256")),
        ("transaction", Box::new(transaction)),
        ("register", register()),
    ]
}
