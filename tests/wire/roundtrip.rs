//! Torture messages that are good, taken apart into typed fields, made anew from them, and read again.

use crate::torture::torture;
use sipreg::sip::{
    AnyUri, Contacts, Header, HeaderName, Headers, Message, NameAddr, Request, Response, StreamFramer, Via,
};
use std::fmt::{Debug, Display, Write as _};

/// Every typed field and the body, one a line, also those that are missing or broken.
fn fields(message: &Message) -> String {
    let mut lines = String::new();
    let mut write = |name: &str, value: &dyn Debug| writeln!(lines, "{name}: {value:?}").unwrap();
    let (headers, body) = match message {
        Message::Request(request) => {
            write("request", &(&request.method, AnyUri::parse(&request.uri), &request.uri, &request.version));
            (&request.headers, &request.body)
        }
        Message::Response(response) => {
            write("response", &(response.status, &response.reason));
            (&response.headers, &response.body)
        }
    };
    write("vias", &headers.vias());
    write("from", &headers.from());
    write("to", &headers.to());
    write("call-id", &headers.call_id());
    write("cseq", &headers.cseq());
    write("contacts", &headers.contacts());
    for name in [HeaderName::Route, HeaderName::RecordRoute, HeaderName::Path] {
        write(name.as_str(), &headers.name_addrs(&name));
    }
    for name in [HeaderName::Supported, HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Allow] {
        write(name.as_str(), &headers.option_tags(&name));
    }
    write("hops", &headers.max_forwards());
    write(
        "seconds",
        &(headers.expires(), headers.min_expires(), headers.retry_after(), headers.flow_timer()),
    );
    write("date", &headers.date());
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        write(name.as_str(), &headers.credentials(&name));
    }
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        write(name.as_str(), &headers.challenges(&name));
    }
    let typed = |row: &&Header| *row.name() != HeaderName::ContentLength && !TYPED.contains(row.name());
    let others: Vec<_> = headers.iter().filter(typed).map(|row| (row.name().as_str(), row.value())).collect();
    write("others", &others);
    write("body", body);
    lines
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
fn rebuilt(message: &Message) -> Message {
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

/// DSR-003, HDR-012, COD-025: field by field, as it came and as it is rebuilt from its fields.
#[test]
fn good_torture_messages_are_written_and_read_again_the_same() {
    let mut count = 0;
    for file in torture().iter().filter(|message| message.verdict != "invalid") {
        let message = Message::parse_datagram(file.octets.clone()).unwrap();
        let expected = fields(&message);
        assert_eq!(fields(&written_and_read(&message)), expected, "{}", file.file);
        assert_eq!(fields(&written_and_read(&rebuilt(&message))), expected, "{}, rebuilt", file.file);
        count += 1;
    }
    assert_eq!(count, 39);
}
