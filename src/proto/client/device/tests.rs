use bytes::Bytes;

use super::*;
use crate::sip::Message;

fn request(method: &str, rest: &str) -> Request {
    let text = format!(
        "{method} sip:alice@192.0.2.7 SIP/2.0|Via: SIP/2.0/UDP b;branch=z9hG4bK1|From: <sip:b@b>;tag=1|To: <sip:a@b>|\
         Call-ID: c|CSeq: 1 {method}|{rest}Content-Length: 0||"
    );
    match Message::parse_datagram(Bytes::from(text.replace('|', "\r\n"))) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn answer(method: &str, rest: &str) -> String {
    let Some(answer) = Device::default().answer(&request(method, rest)) else { return "-".to_owned() };
    let rows = answer.rows.iter().map(|row| format!("; {}: {}", row.name(), row.text().unwrap()));
    format!("{}{}", answer.status, rows.collect::<String>())
}

/// INC-003 INC-004 INC-005 INC-009 INC-010 INC-011 INC-012 INC-013 INC-014
#[test]
fn every_method_has_its_answer() {
    let cases = [
        ("INVITE", ""),
        ("OPTIONS", ""),
        ("OPTIONS", "Max-Forwards: 0|"),
        ("OPTIONS", "Require: 100rel|"),
        ("CANCEL", "Require: 100rel|"),
        ("ACK", ""),
        ("BYE", ""),
        ("NOTIFY", "Event: message-summary;x=y|"),
        ("NOTIFY", "Event: presence|"),
        ("NOTIFY", "Event: x|"),
        ("NOTIFY", ""),
        ("MESSAGE", ""),
        ("REGISTER", ""),
        ("DANCE", ""),
    ];
    let all: Vec<String> =
        cases.iter().map(|(method, rest)| format!("{method} {rest} -> {}", answer(method, rest))).collect();
    insta::assert_snapshot!(all.join("\n"), @r"
    INVITE  -> 480
    OPTIONS  -> 200; Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY; Accept: application/sdp, application/simple-message-summary; Supported: 
    OPTIONS Max-Forwards: 0| -> 200; Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY; Accept: application/sdp, application/simple-message-summary; Supported: 
    OPTIONS Require: 100rel| -> 420; Unsupported: 100rel
    CANCEL Require: 100rel| -> 481
    ACK  -> -
    BYE  -> 481
    NOTIFY Event: message-summary;x=y| -> 200
    NOTIFY Event: presence| -> 481
    NOTIFY Event: x| -> 489; Allow-Events: message-summary
    NOTIFY  -> 489; Allow-Events: message-summary
    MESSAGE  -> 405; Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY
    REGISTER  -> 405; Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY
    DANCE  -> 501; Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY
    ");
}

/// INC-006 INC-007
#[test]
fn broken_requests_are_refused() {
    let mut other = request("OPTIONS", "");
    other.uri = "soap.beep://192.0.2.7".into();
    assert_eq!(Device::default().answer(&other).unwrap().status, 416);
    let mut other = request("OPTIONS", "");
    other.method = Method::Bye;
    assert_eq!(Device::default().answer(&other).unwrap().status, 400);
}

#[test]
fn another_refusal_may_be_chosen() {
    let busy = Device { on_invite: 486 };
    assert_eq!(busy.answer(&request("INVITE", "")).unwrap().status, 486);
}
