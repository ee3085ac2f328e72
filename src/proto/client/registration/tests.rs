use std::fmt::Write;
use std::time::Duration;

use super::*;
use crate::proto::client::plan::{Purpose, Timing};
use crate::proto::digest::{Algorithm, Hidden, Keyring};
use crate::proto::ids::Counting;
use crate::proto::locate::Families;
use crate::sip::{Message, Uri};

fn plan(host: &str) -> Box<Plan> {
    Box::new(Plan {
        purpose: Purpose::Bind { expires: Some(60) },
        aor: Uri::parse("sip:werner@munich.de").unwrap(),
        from: None,
        registrar: Uri::parse(format!("sip:{host}")).unwrap().into(),
        route: Vec::new(),
        transport: None,
        profile: crate::proto::Profile::default(),
        destination: None,
        families: Families::V4,
        pinned: Vec::new(),
        zone: None,
        contacts: Vec::new(),
        q: None,
        advertise: None,
        user_agent: None,
        headers: Vec::new(),
        keyring: Keyring {
            credentials: Vec::new(),
            ask: Some("werner".to_owned()),
            realm: None,
            minimum: Algorithm::Md5,
        },
        timing: Timing::default(),
        try_limit: Duration::from_secs(128),
        command_limit: None,
        retry_for: Duration::from_secs(60),
        keep: false,
        keepalive: crate::proto::client::nat::Keepalive::Off,
        resume: None,
    })
}

/// Who answers.
const PEER: &str = "192.0.2.1:5060";

/// Everything that can be told to a registration.
const INPUTS: [&str; 21] = [
    "start",
    "resolved",
    "unresolved",
    "opened",
    "refused",
    "closed",
    "framing",
    "timeout",
    "try over",
    "retry",
    "give up",
    "password",
    "no password",
    "rested",
    "200",
    "302",
    "401",
    "stale",
    "423",
    "503",
    "603",
];

fn response(registration: &Registration, input: &str) -> Response {
    let more = match input {
        "200" => "Contact: <sip:werner@192.0.2.99:5070>;expires=60\r\n",
        "302" => "Contact: <sip:192.0.2.8>\r\n",
        "401" => "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
        "stale" => "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", stale=true\r\n",
        "423" => "Min-Expires: 90\r\n",
        _ => "",
    };
    read(registration, if input == "stale" { "401" } else { input }, more)
}

fn read(registration: &Registration, status: &str, more: &str) -> Response {
    let via = "SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK1";
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: {via}\r\nCSeq: {} REGISTER\r\n{more}\r\n",
        registration.registrant.cseq
    );
    match Message::parse_datagram(text.into_bytes().into()) {
        Ok(Message::Response(response)) => response,
        Ok(Message::Request(_)) | Err(_) => panic!("the test's own response can be read"),
    }
}

fn feed(registration: &mut Registration, input: &str) -> Step {
    let (now, random) = (Time::from_millis(1000), &mut Counting::default());
    let question = Question::A("munich.de".to_owned());
    match input {
        "start" => registration.start(now),
        "resolved" => {
            let found = [1, 2].map(|n| crate::proto::Record::A([192, 0, 2, n].into())).to_vec();
            registration.on_resolved(&question, Ok(found), 60, random, now)
        }
        "unresolved" => registration.on_resolved(&question, Err(ResolveError::NoSuchName), 60, random, now),
        "opened" => registration.on_opened("192.0.2.99:5070".parse().unwrap(), random, now),
        "refused" => registration.on_flow_lost(Some(Cause::Refused), random, now),
        "closed" => registration.on_flow_lost(None, random, now),
        "framing" => registration.on_framing_lost(FramingError::NoLength, now),
        "timeout" => registration.on_timeout(now),
        "try over" => registration.on_try_over(now),
        "retry" => registration.on_retry(now),
        "give up" => registration.on_give_up(now),
        "password" => registration.on_password(Some(Hidden::new("x".to_owned())), random, now),
        "no password" => registration.on_password(None, random, now),
        "again" => registration.again_for(Purpose::Remove, random, now),
        "rested" => registration.on_rested_nonce(random, now),
        status => {
            let response = response(registration, status);
            let via = response.headers.top_via().unwrap();
            registration.on_final(response, &via, PEER.parse().unwrap(), random, now)
        }
    }
}

fn brought_to(inputs: &[&str]) -> Registration {
    let (id, random) = (RegistrationId(1), &mut Counting::default());
    let mut plan = plan("munich.de:5060");
    plan.keep = inputs.contains(&"again");
    let mut registration = Registration::new(id, plan, random);
    for input in inputs {
        let _ = feed(&mut registration, input);
    }
    registration
}

fn state(registration: &Registration) -> &'static str {
    match &registration.state {
        State::Fresh => "Fresh",
        State::Trying(trying) => match &trying.0 {
            Phase::Locating => "Locating",
            Phase::Reviewing(_) => "Reviewing",
            Phase::Visiting(visit) => match visit.awaits {
                Await::Flow => "Opening",
                Await::Response => "Waiting",
                Await::Password(..) => "Asking",
                Await::Nonce(_) => "Idling",
            },
        },
        State::Pausing(_) => "Pausing",
        State::Resting(_) => "Resting",
        State::Over => "Over",
    }
}

fn shown(step: &Step) -> String {
    match step {
        Step::Resolve { questions, .. } => format!("Resolve {questions:?}"),
        Step::Visit(to) => format!("Visit {} {}", to.transport, to.address),
        Step::Reopen(to) => format!("Reopen {} {}", to.transport, to.address),
        Step::Switch(to) => format!("Switch {} {}", to.transport, to.address),
        Step::Send { transport, outgoing, .. } => format!("Send {transport} CSeq {}", outgoing.cseq),
        Step::AskPassword { username, realm, .. } => format!("AskPassword {username} {realm}"),
        Step::Rest(pause) => format!("Rest {pause:?}"),
        Step::Wait => "-".to_owned(),
        Step::Stranded(cause) => format!("Stranded {cause:?}"),
        Step::Pause { wait, spread, .. } => format!("Pause {wait:?} + {spread:?}"),
        Step::Finish(report) => match &report.result {
            Ok(_) => "Finish ok".to_owned(),
            Err(failure) => format!("Finish {failure:?}"),
        },
    }
}

/// DES-029 DES-012 REG-018 TXN-018 REG-027
#[test]
fn every_state_answers_every_input() {
    let ways: [&[&str]; 8] = [
        &[],
        &["start"],
        &["start", "resolved"],
        &["start", "resolved", "opened"],
        &["start", "resolved", "opened", "401"],
        &["start", "resolved", "opened", "401", "password", "200", "again", "stale"],
        &["start", "resolved", "opened", "try over"],
        &["start", "resolved", "opened", "200"],
    ];
    let mut out = String::new();
    for way in ways {
        for input in INPUTS {
            let mut registration = brought_to(way);
            let before = state(&registration);
            let step = feed(&mut registration, input);
            let _ = writeln!(out, "{before:<8} {input:<11} -> {:<8} {}", state(&registration), shown(&step));
        }
    }
    insta::assert_snapshot!(out, @r#"
    Fresh    start       -> Locating Resolve [A("munich.de")]
    Fresh    resolved    -> Fresh    -
    Fresh    unresolved  -> Fresh    -
    Fresh    opened      -> Fresh    -
    Fresh    refused     -> Fresh    -
    Fresh    closed      -> Fresh    -
    Fresh    framing     -> Fresh    -
    Fresh    timeout     -> Fresh    -
    Fresh    try over    -> Pausing  Pause 500ms + 500ms
    Fresh    retry       -> Fresh    -
    Fresh    give up     -> Over     Finish Timeout
    Fresh    password    -> Fresh    -
    Fresh    no password -> Fresh    -
    Fresh    rested      -> Fresh    -
    Fresh    200         -> Fresh    -
    Fresh    302         -> Fresh    -
    Fresh    401         -> Fresh    -
    Fresh    stale       -> Fresh    -
    Fresh    423         -> Fresh    -
    Fresh    503         -> Fresh    -
    Fresh    603         -> Fresh    -
    Locating start       -> Locating -
    Locating resolved    -> Opening  Visit udp 192.0.2.1:5060
    Locating unresolved  -> Pausing  Pause 500ms + 500ms
    Locating opened      -> Locating -
    Locating refused     -> Locating -
    Locating closed      -> Locating -
    Locating framing     -> Locating -
    Locating timeout     -> Locating -
    Locating try over    -> Pausing  Pause 500ms + 500ms
    Locating retry       -> Locating -
    Locating give up     -> Over     Finish Unreachable(Name { name: "munich.de", error: Some(TimedOut) })
    Locating password    -> Locating -
    Locating no password -> Locating -
    Locating rested      -> Locating -
    Locating 200         -> Locating -
    Locating 302         -> Locating -
    Locating 401         -> Locating -
    Locating stale       -> Locating -
    Locating 423         -> Locating -
    Locating 503         -> Locating -
    Locating 603         -> Locating -
    Opening  start       -> Opening  -
    Opening  resolved    -> Opening  -
    Opening  unresolved  -> Opening  -
    Opening  opened      -> Waiting  Send udp CSeq 1
    Opening  refused     -> Opening  Visit udp 192.0.2.2:5060
    Opening  closed      -> Opening  Visit udp 192.0.2.2:5060
    Opening  framing     -> Opening  -
    Opening  timeout     -> Opening  Visit udp 192.0.2.2:5060
    Opening  try over    -> Pausing  Pause 500ms + 500ms
    Opening  retry       -> Opening  -
    Opening  give up     -> Over     Finish Timeout
    Opening  password    -> Opening  -
    Opening  no password -> Opening  -
    Opening  rested      -> Opening  -
    Opening  200         -> Opening  -
    Opening  302         -> Opening  -
    Opening  401         -> Opening  -
    Opening  stale       -> Opening  -
    Opening  423         -> Opening  -
    Opening  503         -> Opening  -
    Opening  603         -> Opening  -
    Waiting  start       -> Waiting  -
    Waiting  resolved    -> Waiting  -
    Waiting  unresolved  -> Waiting  -
    Waiting  opened      -> Waiting  -
    Waiting  refused     -> Opening  Visit udp 192.0.2.2:5060
    Waiting  closed      -> Opening  Visit udp 192.0.2.2:5060
    Waiting  framing     -> Opening  Visit udp 192.0.2.2:5060
    Waiting  timeout     -> Opening  Visit udp 192.0.2.2:5060
    Waiting  try over    -> Pausing  Pause 500ms + 500ms
    Waiting  retry       -> Waiting  -
    Waiting  give up     -> Over     Finish Timeout
    Waiting  password    -> Waiting  -
    Waiting  no password -> Waiting  -
    Waiting  rested      -> Waiting  -
    Waiting  200         -> Over     Finish ok
    Waiting  302         -> Opening  Visit udp 192.0.2.8:5060
    Waiting  401         -> Asking   AskPassword werner r
    Waiting  stale       -> Asking   AskPassword werner r
    Waiting  423         -> Waiting  Send udp CSeq 2
    Waiting  503         -> Opening  Visit udp 192.0.2.2:5060
    Waiting  603         -> Over     Finish Refused(Status(603))
    Asking   start       -> Asking   -
    Asking   resolved    -> Asking   -
    Asking   unresolved  -> Asking   -
    Asking   opened      -> Asking   -
    Asking   refused     -> Asking   -
    Asking   closed      -> Asking   -
    Asking   framing     -> Asking   -
    Asking   timeout     -> Asking   -
    Asking   try over    -> Pausing  Pause 500ms + 500ms
    Asking   retry       -> Asking   -
    Asking   give up     -> Over     Finish Timeout
    Asking   password    -> Waiting  Send udp CSeq 2
    Asking   no password -> Over     Finish Credentials(Missing { realm: "r", has_others: false })
    Asking   rested      -> Asking   -
    Asking   200         -> Asking   -
    Asking   302         -> Asking   -
    Asking   401         -> Asking   -
    Asking   stale       -> Asking   -
    Asking   423         -> Asking   -
    Asking   503         -> Asking   -
    Asking   603         -> Asking   -
    Idling   start       -> Idling   -
    Idling   resolved    -> Idling   -
    Idling   unresolved  -> Idling   -
    Idling   opened      -> Idling   -
    Idling   refused     -> Idling   -
    Idling   closed      -> Idling   -
    Idling   framing     -> Idling   -
    Idling   timeout     -> Resting  Finish Credentials(Endless)
    Idling   try over    -> Resting  Finish Credentials(Endless)
    Idling   retry       -> Idling   -
    Idling   give up     -> Resting  Finish Credentials(Endless)
    Idling   password    -> Idling   -
    Idling   no password -> Idling   -
    Idling   rested      -> Waiting  Send udp CSeq 4
    Idling   200         -> Idling   -
    Idling   302         -> Idling   -
    Idling   401         -> Idling   -
    Idling   stale       -> Idling   -
    Idling   423         -> Idling   -
    Idling   503         -> Idling   -
    Idling   603         -> Idling   -
    Pausing  start       -> Pausing  -
    Pausing  resolved    -> Pausing  -
    Pausing  unresolved  -> Pausing  -
    Pausing  opened      -> Pausing  -
    Pausing  refused     -> Pausing  -
    Pausing  closed      -> Pausing  -
    Pausing  framing     -> Pausing  -
    Pausing  timeout     -> Pausing  -
    Pausing  try over    -> Pausing  Pause 500ms + 500ms
    Pausing  retry       -> Locating Resolve [A("munich.de")]
    Pausing  give up     -> Over     Finish Timeout
    Pausing  password    -> Pausing  -
    Pausing  no password -> Pausing  -
    Pausing  rested      -> Pausing  -
    Pausing  200         -> Pausing  -
    Pausing  302         -> Pausing  -
    Pausing  401         -> Pausing  -
    Pausing  stale       -> Pausing  -
    Pausing  423         -> Pausing  -
    Pausing  503         -> Pausing  -
    Pausing  603         -> Pausing  -
    Over     start       -> Over     -
    Over     resolved    -> Over     -
    Over     unresolved  -> Over     -
    Over     opened      -> Over     -
    Over     refused     -> Over     -
    Over     closed      -> Over     -
    Over     framing     -> Over     -
    Over     timeout     -> Over     -
    Over     try over    -> Over     -
    Over     retry       -> Over     -
    Over     give up     -> Over     -
    Over     password    -> Over     -
    Over     no password -> Over     -
    Over     rested      -> Over     -
    Over     200         -> Over     -
    Over     302         -> Over     -
    Over     401         -> Over     -
    Over     stale       -> Over     -
    Over     423         -> Over     -
    Over     503         -> Over     -
    Over     603         -> Over     -
    "#);
}

/// DES-006 DES-008
#[test]
fn a_503_sets_the_least_pause_and_the_time_for_retries_the_longest() {
    for (after, expected) in [
        (0, "Pause 500ms + 100ms"),
        (1, "Pause 1s + 200ms"),
        (2, "Pause 2s + 400ms"),
        // One second of the sixty has passed.
        (59, "Pause 59s + 11.8s"),
        (60, "Finish Refused(RetryAfter { status: 503, seconds: 60 })"),
    ] {
        let mut registration = brought_to(&["start", "resolved", "opened", "503", "opened"]);
        let busy = read(&registration, "503", &format!("Retry-After: {after}\r\n"));
        let via = busy.headers.top_via().unwrap();
        let (peer, now) = (PEER.parse().unwrap(), Time::from_millis(2000));
        let step = registration.on_final(busy, &via, peer, &mut Counting::default(), now);
        assert_eq!(shown(&step), expected, "{after}");
    }
}

/// AUT-009 COD-005 COD-006 COD-009: whatever is asked for, a nonce at hand that is refused is done without, once; then the fresh
/// challenge is answered, and what follows that is meant.
#[test]
fn a_nonce_that_is_refused_costs_one_request_more_for_every_purpose() {
    let (random, now) = (&mut Counting::default(), Time::from_millis(1000));
    let sent = |step: &Step| {
        let Step::Send { outgoing, .. } = step else { panic!("{step:?}") };
        String::from_utf8(outgoing.bytes.to_vec()).unwrap().contains("\r\nAuthorization: ")
    };
    for purpose in [Purpose::Bind { expires: Some(60) }, Purpose::Remove, Purpose::RemoveAll, Purpose::Fetch]
    {
        for refusal in ["401", "403", "407"] {
            for last in ["403", "200"] {
                let mut kept = plan("munich.de:5060");
                kept.keep = true;
                let mut registration = Registration::new(RegistrationId(1), kept, random);
                for input in ["start", "resolved", "opened", "401", "password", "200"] {
                    let _ = feed(&mut registration, input);
                }
                let mut answer = |registration: &mut Registration, status: &str, more: &str| {
                    let response = read(registration, status, more);
                    let via = response.headers.top_via().unwrap();
                    registration.on_final(response, &via, PEER.parse().unwrap(), random, now)
                };
                let ahead = registration.again_for(purpose, &mut Counting::default(), now);
                assert!(sent(&ahead), "{purpose:?}");
                let bare = answer(&mut registration, refusal, "");
                assert!(!sent(&bare), "{purpose:?} {refusal}");
                let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\"\r\n";
                assert!(sent(&answer(&mut registration, "401", challenge)), "{purpose:?} {refusal}");
                let bound = "Contact: <sip:werner@192.0.2.99:5070>;expires=60\r\n";
                let binds = matches!(purpose, Purpose::Bind { .. });
                let end = shown(&answer(&mut registration, last, if binds { bound } else { "" }));
                let expected =
                    if last == "200" { "Finish" } else { "Finish Credentials(Forbidden { username" };
                assert!(end.starts_with(expected) && (last == "403") == end.contains("Forbidden"), "{end}");
            }
        }
    }
}

/// AUT-009 AUT-041 DES-027: a registrar that makes its nonces of the second, and takes each for one request, refuses one and
/// offers it again: it is asked when it has another. The wait is made once, and for a nonce that has served before only.
#[test]
fn a_used_nonce_that_is_offered_again_is_waited_out_once() {
    // Who counts uses need not say that it is stale.
    for stale in ["", ", stale=true"] {
        let mut registration =
            brought_to(&["start", "resolved", "opened", "401", "password", "200", "again", "stale"]);
        let mut said = vec![shown(&feed(&mut registration, "rested"))];
        let other = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\"{stale}\r\n");
        let response = read(&registration, "401", &other);
        let via = response.headers.top_via().unwrap();
        let (peer, random) = (PEER.parse().unwrap(), &mut Counting::default());
        said.push(shown(&registration.on_final(response, &via, peer, random, Time::from_millis(3000))));
        assert_eq!(said, ["Send udp CSeq 4", "Send udp CSeq 5"], "{stale}");
    }
    let fresh = &mut brought_to(&["start", "resolved", "opened", "401", "password"]);
    assert_eq!(shown(&feed(fresh, "stale")), "Send udp CSeq 3");
}

/// The report names who answered, which may be another address than was asked (RFC 3581 §4), and what the answer says in
/// words (RFC 3261 §20.43).
#[test]
fn the_report_names_who_answered_and_what_was_said() {
    let mut registration = brought_to(&["start", "resolved", "opened"]);
    let rows =
        "Warning: 399 munich.de \"No\"\r\nReason: SIP;text=\"Never\"\r\nWWW-Authenticate: Digest realm\r\n";
    let refused = read(&registration, "401", rows);
    let (via, peer) = (refused.headers.top_via().unwrap(), "192.0.2.77:5080".parse().unwrap());
    let step = registration.on_final(refused, &via, peer, &mut Counting::default(), Time::from_millis(1));
    let Step::Finish(report) = step else { panic!("{step:?}") };
    assert_eq!(report.hop.map(|hop| hop.remote), Some(peer));
    assert_eq!(report.attempts[0].remote, Remote::Address("192.0.2.1:5060".parse().unwrap()));
    assert_eq!(report.remarks, ["No", "Never"]);
    assert!(report.challenged && report.claimants.is_empty());
    assert_eq!(report.unreadable, ["Digest realm"]);
}
