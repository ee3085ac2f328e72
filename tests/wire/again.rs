//! Torture messages that are good, taken apart into typed fields, made anew from them, and read again.

use crate::readers::torture;
use sipreg::sip::{
    AnyUri, Contacts, Header, HeaderName, Headers, Message, NameAddr, Request, Response, StreamFramer, Via,
};
use std::fmt::{Debug, Display, Write as _};

/// Every typed field and the body, one a line. What is not there or can't be read is told as such.
fn fields(message: &Message) -> String {
    let mut told = String::new();
    let mut tell = |name: &str, value: &dyn Debug| writeln!(told, "{name}: {value:?}").unwrap();
    let (headers, body) = match message {
        Message::Request(request) => {
            tell("request", &(&request.method, AnyUri::parse(&request.uri), &request.uri, &request.version));
            (&request.headers, &request.body)
        }
        Message::Response(response) => {
            tell("response", &(response.status, &response.reason));
            (&response.headers, &response.body)
        }
    };
    tell("vias", &headers.vias());
    tell("from", &headers.from());
    tell("to", &headers.to());
    tell("call-id", &headers.call_id());
    tell("cseq", &headers.cseq());
    tell("contacts", &headers.contacts());
    for name in [HeaderName::Route, HeaderName::RecordRoute, HeaderName::Path] {
        tell(name.as_str(), &headers.name_addrs(&name));
    }
    for name in [HeaderName::Supported, HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Allow] {
        tell(name.as_str(), &headers.option_tags(&name));
    }
    tell("hops", &headers.max_forwards());
    tell("seconds", &(headers.expires(), headers.min_expires(), headers.retry_after(), headers.flow_timer()));
    tell("date", &headers.date());
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        tell(name.as_str(), &headers.credentials(&name));
    }
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        tell(name.as_str(), &headers.challenges(&name));
    }
    let typed = |row: &&Header| *row.name() != HeaderName::ContentLength && !TYPED.contains(row.name());
    let others: Vec<_> = headers.iter().filter(typed).map(|row| (row.name().as_str(), row.value())).collect();
    tell("others", &others);
    tell("body", body);
    told
}

const TYPED: [HeaderName; 8] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CSeq,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::MaxForwards,
];

/// The same message with its typed headers as this program would write them.
fn made_anew(message: &Message) -> Message {
    let old = message.headers();
    let mut headers = Headers::new();
    let mut push = |name: HeaderName, value: &dyn Display| {
        headers.push(Header::new(name, value.to_string()).unwrap());
    };
    old.vias().unwrap().iter().for_each(|via: &Via| push(HeaderName::Via, via));
    push(HeaderName::From, &old.from().unwrap());
    push(HeaderName::To, &old.to().unwrap());
    push(HeaderName::CSeq, &old.cseq().unwrap());
    match old.contacts().unwrap() {
        Contacts::Star => push(HeaderName::Contact, &"*"),
        Contacts::List(list) => {
            list.into_iter().for_each(|contact| push(HeaderName::Contact, &contact.unwrap()))
        }
    }
    for name in [HeaderName::Route, HeaderName::RecordRoute] {
        let routes = old.name_addrs(&name).unwrap();
        routes.iter().for_each(|route: &NameAddr| push(name.clone(), route));
    }
    if let Some(hops) = old.max_forwards().unwrap() {
        push(HeaderName::MaxForwards, &hops);
    }
    headers.extend(old.iter().filter(|row| !TYPED.contains(row.name())).cloned());
    match message {
        Message::Request(request) => Message::Request(Request { headers, ..request.clone() }),
        Message::Response(response) => Message::Response(Response { headers, ..response.clone() }),
    }
}

fn written_and_read(message: &Message) -> Message {
    let mut octets = Vec::new();
    message.write(&mut octets);
    let mut framer = StreamFramer::new();
    framer.push(&octets);
    assert_eq!(framer.next(), Ok(Some(sipreg::sip::Frame::Message(octets.clone().into()))));
    assert_eq!((framer.next(), framer.partial()), (Ok(None), false));
    Message::parse_framed(octets.into()).unwrap()
}

/// DSR-003, HDR-012, COD-025: field by field, as it came and as it is made anew from what was read.
#[test]
fn good_torture_messages_are_written_and_read_again_the_same() {
    let mut seen = 0;
    for file in torture().iter().filter(|message| message.verdict != "invalid") {
        let message = Message::parse_datagram(file.octets.clone()).unwrap();
        let told = fields(&message);
        assert_eq!(fields(&written_and_read(&message)), told, "{}", file.file);
        assert_eq!(fields(&written_and_read(&made_anew(&message))), told, "{}, made anew", file.file);
        seen += 1;
    }
    assert_eq!(seen, 39);
}
