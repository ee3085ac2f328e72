//! Datagrams: nothing panics, and a message that was read is written and read back the same.

use super::fields;
use bytes::Bytes;
use sipreg::sip::{HeaderName, Message, Request};

/// A message as written and read: Content-Length is the writer's.
pub fn comparable(message: &Message) -> (String, Vec<(String, Vec<u8>)>, Bytes) {
    let (start, body) = match message {
        Message::Request(request) => {
            (format!("{} {} {:?}", request.method, request.uri, request.version), &request.body)
        }
        Message::Response(response) => (format!("{} {}", response.status, response.reason), &response.body),
    };
    let rows = message.headers().iter().filter(|row| *row.name() != HeaderName::ContentLength);
    let rows = rows.map(|row| (row.name().to_string(), row.value().to_vec())).collect();
    (start, rows, body.clone())
}

/// Reads `octets`; if that gives a message, writes it and reads it again.
pub fn read_write_read(octets: &[u8]) {
    let octets = Bytes::copy_from_slice(octets);
    if let Some(request) = Request::salvage(&octets) {
        fields::read_all(&request.headers);
    }
    let framed = Message::parse_framed(octets.clone());
    let Ok(message) = Message::parse_datagram(octets) else {
        return assert!(framed.is_err(), "no datagram, and yet a frame");
    };
    if let Ok(framed) = framed {
        assert_eq!(framed, message);
    }
    fields::read_all(message.headers());
    let mut written = Vec::new();
    message.write(&mut written);
    let again = Message::parse_framed(written.clone().into()).expect("a written message is one message");
    assert_eq!(comparable(&again), comparable(&message));
    let mut twice = Vec::new();
    again.write(&mut twice);
    assert_eq!(twice, written);
    for row in message.headers() {
        fields::value_reads_back(row.value());
    }
}
