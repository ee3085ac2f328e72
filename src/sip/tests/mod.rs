//! Tables and snapshots for each typed field, and the messages as they go on the wire.
//!
//! Hostile, random and torture input is in `tests/wire`.

mod auth;
mod convert;
mod fields;
mod headers;
mod lenient;
mod messages;
mod names;
mod uris;

use super::{Header, HeaderName, Headers, Message};

/// Headers from `Name: value` lines.
fn headers(lines: &[&str]) -> Headers {
    lines
        .iter()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            Header::new(HeaderName::parse(name.as_bytes()).unwrap(), value.to_owned()).unwrap()
        })
        .collect()
}

/// A datagram from text with LF line ends.
fn datagram(text: &str) -> Result<Message, super::ParseError> {
    Message::parse_datagram(text.replace('\n', "\r\n").into())
}
