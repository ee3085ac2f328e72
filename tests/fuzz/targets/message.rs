//! Datagrams: nothing panics, and a message that was read is written and read back the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sipreg::sip::{Header, HeaderName, Headers, Message, NameAddr, Request, Via};

fuzz_target!(|octets: &[u8]| {
    let octets = Bytes::copy_from_slice(octets);
    if let Some(request) = Request::salvage(&octets) {
        read(&request.headers);
    }
    let Ok(message) = Message::parse_datagram(octets) else { return };
    read(message.headers());
    let mut written = Vec::new();
    message.write(&mut written);
    let again = Message::parse_framed(written.into()).expect("what was written is one message");
    assert_eq!(body(&again), body(&message));
    let rows = |message: &Message| rows(message.headers());
    assert_eq!(rows(&again), rows(&message));
});

fn body(message: &Message) -> Bytes {
    match message {
        Message::Request(request) => request.body.clone(),
        Message::Response(response) => response.body.clone(),
    }
}

/// All but Content-Length, which is the writer's.
fn rows(headers: &Headers) -> Vec<Header> {
    headers.iter().filter(|row| *row.name() != HeaderName::ContentLength).cloned().collect()
}

fn read(headers: &Headers) {
    let _ = (headers.top_via(), headers.vias(), headers.via_count(), headers.from(), headers.to());
    let _ = (headers.call_id(), headers.cseq(), headers.max_forwards(), headers.contacts(), headers.date());
    let _ = (headers.expires(), headers.min_expires(), headers.retry_after(), headers.flow_timer());
    for row in headers {
        if let Ok(via) = Via::parse(row.value()) {
            assert_eq!(Via::parse(via.to_string().as_bytes()), Ok(via));
        }
        if let Ok(address) = NameAddr::parse(row.value()) {
            let again = NameAddr::parse(address.to_string()).expect("a written address reads");
            assert_eq!(format!("{again:?}"), format!("{address:?}"));
        }
    }
    let mut shorter = headers.clone();
    let before = shorter.via_count();
    if shorter.remove_first_value(&HeaderName::Via) {
        assert_eq!(shorter.via_count() + 1, before);
    }
}
