//! Refusals of the torture requests that this layer alone suffices for: the status that `torture/index.json`
//! expects, and an answer that finds its way back.

use crate::torture::{torture, torture_file};
use bytes::Bytes;
use sipreg::sip::{
    AnyUri, Contacts, FieldError, Header, HeaderName, Message, Method, Request, Response, Version,
};
use std::fmt::Write as _;

/// The headers of a request that its response repeats (RFC 3261 §8.2.6.2).
const REPEATED: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// Refusals by layers above this one: credentials, bodies, extensions. Here such a request is served.
const ABOVE: [u16; 4] = [401, 406, 415, 420];

/// The request and the status that refuses it; no status for one that can be served, nothing for what has no
/// answer.
fn verdict(octets: &Bytes) -> Option<(Request, Option<u16>)> {
    match Message::parse_datagram(octets.clone()) {
        Ok(Message::Request(request)) => {
            let status = refusal(&request);
            Some((request, status))
        }
        Ok(Message::Response(_)) => None,
        Err(_) => Request::salvage(octets).map(|request| (request, Some(400))),
    }
}

fn refusal(request: &Request) -> Option<u16> {
    if request.version != Version::V2 {
        return Some(505);
    }
    if let Method::Other(_) = request.method {
        return Some(501);
    }
    match AnyUri::parse(&request.uri) {
        Ok(AnyUri::Sip(uri)) if !uri.headers.is_empty() => return Some(400),
        Ok(AnyUri::Sip(_)) => {}
        Ok(AnyUri::Other(_)) => return Some(416),
        Err(_) => return Some(400),
    }
    match fields_are_sound(request) {
        Ok(true) => None,
        Ok(false) | Err(_) => Some(400),
    }
}

fn fields_are_sound(request: &Request) -> Result<bool, FieldError> {
    let headers = &request.headers;
    headers.from()?;
    headers.call_id()?;
    headers.max_forwards()?;
    for via in headers.vias()? {
        if via.branch() == Some("z9hG4bK") {
            return Ok(false);
        }
    }
    if let Contacts::List(list) = headers.contacts()? {
        list.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    let to = headers.to()?;
    let is_known = request.method != Method::Register || to.uri.sip().is_some();
    Ok(is_known && headers.cseq()?.method == request.method)
}

fn response(request: &Request, status: u16) -> Response {
    let mut response = Response::new(status);
    for row in request.headers.iter().filter(|row| REPEATED.contains(row.name())) {
        response.headers.push(row.clone());
    }
    response
}

/// The repeated headers that can be read.
fn readable(response: &Response) -> String {
    let headers = &response.headers;
    let read = [
        ("Via", headers.top_via().is_ok()),
        ("From", headers.from().is_ok()),
        ("To", headers.to().is_ok()),
        ("Call-ID", headers.call_id().is_ok()),
        ("CSeq", headers.cseq().is_ok()),
    ];
    read.iter().filter(|(_, sound)| *sound).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// INC-004, INC-007, STX-030, DSR-003: every request of the torture set is refused with the status that it
/// deserves, or not at all, and the rows that an answer repeats are there as they came.
#[test]
fn every_torture_request_is_answered_as_it_deserves() {
    let mut table = String::new();
    for message in torture().iter().filter(|message| message.kind == "request") {
        let expected = message.status.filter(|status| !ABOVE.contains(status));
        let Some((request, status)) = verdict(&message.octets) else {
            writeln!(table, "{}: nothing", message.file).unwrap();
            continue;
        };
        assert_eq!(status, expected, "{}", message.file);
        let Some(status) = status else { continue };
        let response = response(&request, status);
        let Message::Response(read) = Message::parse_framed(response.to_bytes()).unwrap() else {
            panic!("request")
        };
        let rows = |name: &HeaderName, response: &Response| -> Vec<Header> {
            response.headers.all(name).cloned().collect()
        };
        for name in &REPEATED {
            assert_eq!(rows(name, &read), rows(name, &response), "{}: {name}", message.file);
        }
        writeln!(table, "{}: {status} with {}", message.file, readable(&read)).unwrap();
    }
    insta::assert_snapshot!(table, @r"
    intmeth.sip: 501 with Via From To Call-ID CSeq
    esc02.sip: 501 with Via From To Call-ID CSeq
    badinv01.sip: 400 with From To Call-ID CSeq
    clerr.sip: 400 with Via From To Call-ID CSeq
    ncl.sip: 400 with Via From To Call-ID CSeq
    scalar02.sip: 400 with Via From To Call-ID
    quotbal.sip: 400 with Via From Call-ID CSeq
    ltgtruri.sip: 400 with Via From To Call-ID CSeq
    lwsruri.sip: 400 with Via From To Call-ID CSeq
    lwsstart.sip: 400 with Via From To Call-ID CSeq
    trws.sip: 400 with Via From To Call-ID CSeq
    escruri.sip: 400 with Via From To Call-ID CSeq
    regbadct.sip: 400 with Via From To Call-ID CSeq
    badaspec.sip: 400 with Via From Call-ID CSeq
    baddn-terminated.sip: 400 with Via Call-ID CSeq
    baddn.sip: 400 with Via Call-ID CSeq
    badvers.sip: 505 with Via From To Call-ID CSeq
    mismatch01.sip: 400 with Via From To Call-ID CSeq
    mismatch02.sip: 501 with Via From To Call-ID CSeq
    badbranch.sip: 400 with Via From To Call-ID CSeq
    insuf.sip: 400 with Via CSeq
    unkscm.sip: 416 with Via From To Call-ID CSeq
    novelsc.sip: 416 with Via From To Call-ID CSeq
    unksm2.sip: 400 with Via From To Call-ID CSeq
    multi01.sip: 400 with Via
    mcl01.sip: 400 with Via From To Call-ID CSeq
    test.sip: nothing
    ipv6-bad.sip: 400 with Via From To Call-ID CSeq
    ipv6-in-sdp-published-length.sip: 400 with Via From To Call-ID CSeq
    ");
}

/// 405 needs the method whole: one that is known is not mistaken for one that is not.
#[test]
fn known_methods_differ_from_unknown_ones() {
    let method = |file: &str| match Message::parse_datagram(torture_file(file)).unwrap() {
        Message::Request(request) => request.method,
        Message::Response(_) => panic!("{file} is a response"),
    };
    assert_eq!(method("cparam01.sip"), Method::Register);
    assert_eq!(method("mpart01.sip"), Method::Message);
    assert_eq!(method("esc02.sip"), Method::Other("RE%47IST%45R".to_owned()));
    assert_eq!(method("mismatch02.sip"), Method::Other("NEWMETHOD".to_owned()));
}
