//! To rsip and back.

use super::datagram;
use crate::sip::{ConvertError, HeaderName, Message, Method, Request, Response, Uri, UriError};

const REGISTER: &str = "REGISTER sip:[2001:db8::1]:5070;transport=tcp;lr SIP/2.0
Via: SIP/2.0/TCP [2001:db8::2];branch=z9hG4bK1;odd=\"x\"
From: \"a, b\" <sip:a@b>;tag=1
Contact: <sip:a@b>;+sip.instance=\"<urn:uuid:1>\"
CSeq: 1 REGISTER
Call-ID: x
X-Odd: one
X-Odd: two
Content-Length: 3

abc";

#[test]
fn a_message_survives_the_way_there_and_back() {
    let message = datagram(REGISTER).unwrap();
    let theirs = rsip::SipMessage::try_from(&message).unwrap();
    assert_eq!(Message::try_from(&theirs), Ok(message));
    insta::assert_snapshot!(theirs.to_string().replace("\r\n", "\n"), @r#"
    REGISTER sip:[2001:db8::1]:5070;transport=tcp;lr SIP/2.0
    Via: SIP/2.0/TCP [2001:db8::2];branch=z9hG4bK1;odd="x"
    From: "a, b" <sip:a@b>;tag=1
    Contact: <sip:a@b>;+sip.instance="<urn:uuid:1>"
    CSeq: 1 REGISTER
    Call-ID: x
    X-Odd: one
    X-Odd: two
    Content-Length: 3

    abc
    "#);
}

#[test]
fn a_reason_phrase_survives() {
    let mut ours = Response::new(423);
    let theirs = rsip::Response::try_from(&ours).unwrap();
    assert_eq!(theirs.to_string(), "SIP/2.0 423 Interval Too Brief\r\n\r\n");
    assert_eq!(Response::try_from(&theirs).as_ref(), Ok(&ours));
    ours.reason = "Too short, friend".to_owned();
    let theirs = rsip::Response::try_from(&ours).unwrap();
    assert_eq!(Response::try_from(&theirs), Ok(ours));
    let named = rsip::Response { status_code: rsip::StatusCode::IntervalTooBrief, ..Default::default() };
    assert_eq!(Response::try_from(&named).unwrap().reason, "Interval Too Brief");
}

#[test]
fn a_message_that_rsip_cannot_hold_is_an_error() {
    let request = |text: &str| rsip::SipMessage::try_from(&datagram(text).unwrap()).map(drop);
    assert_eq!(request("FOO sip:a SIP/2.0\n\n"), Err(ConvertError::Method));
    assert_eq!(request("ACK sip:a SIP/3.0\n\n"), Err(ConvertError::Version));
    assert_eq!(request("ACK tel:1 SIP/2.0\n\n"), Err(ConvertError::Uri(UriError::Scheme)));
    assert_eq!(request("ACK sip:a?x=y SIP/2.0\n\n"), Err(ConvertError::UriHeaders));
    let octets = b"SIP/2.0 200 OK\r\nServer: \xFF\r\n\r\n".to_vec();
    let response = Message::parse_datagram(octets.into()).unwrap();
    assert_eq!(rsip::SipMessage::try_from(&response), Err(ConvertError::NotUtf8(HeaderName::Server)));
}

#[test]
fn nothing_from_rsip_breaks_out_of_its_place() {
    let theirs = rsip::Request::try_from(&Request::new(Method::Options, "sip:a@b")).unwrap();
    let mut injected = theirs.clone();
    injected.headers.push(rsip::Header::Other("X".into(), "a\r\nVia: b".into()));
    assert!(matches!(Request::try_from(&injected), Err(ConvertError::Injection(_))));
    let mut injected = theirs.clone();
    injected.headers.push(rsip::Header::Other("X: y\r\nZ".into(), "a".into()));
    assert_eq!(Request::try_from(&injected), Err(ConvertError::HeaderName));
    for user in ["a@evil", "a>", "a\r\n", "a b", ""] {
        let mut injected = theirs.clone();
        injected.uri.auth = Some(rsip::Auth { user: user.into(), password: None });
        assert!(matches!(Request::try_from(&injected), Err(ConvertError::Uri(_))), "{user:?}");
    }
    let mut injected =
        rsip::Response { status_code: rsip::StatusCode::Other(200, "a\nb".into()), ..Default::default() };
    assert_eq!(Response::try_from(&injected), Err(ConvertError::Reason));
    injected.status_code = rsip::StatusCode::Other(99, "x".into());
    assert_eq!(Response::try_from(&injected), Err(ConvertError::Status));
}

#[test]
fn uris_from_rsip_are_written_the_way_of_the_rfc() {
    let theirs = rsip::Uri {
        scheme: Some(rsip::Scheme::Sips),
        auth: None,
        host_with_port: std::net::SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], 5061)).into(),
        params: vec![rsip::Param::Transport(rsip::Transport::Tcp), rsip::Param::Lr],
        headers: Vec::new(),
    };
    let ours = Uri::try_from(&theirs).unwrap();
    assert_eq!(ours.to_string(), "sips:[::1]:5061;transport=tcp;lr");
}

#[test]
fn every_method_rsip_knows_is_known() {
    for theirs in rsip::Method::all() {
        let ours = Method::from(theirs);
        assert_eq!(rsip::Method::try_from(&ours), Ok(theirs));
        assert_eq!(ours.as_str(), theirs.to_string());
    }
}
