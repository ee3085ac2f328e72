//! Random and mutated octets, and the rule that what was written is read back the same.

use crate::readers::{read_all, torture, uri_readers};
use bytes::Bytes;
use proptest::prelude::*;
use sipreg::sip::{
    AnyUri, AuthenticationInfo, Challenge, Credentials, Header, HeaderName, Headers, Message, Method,
    NameAddr, Request, Response, Uri, Via,
};

/// Headers as written and read: Content-Length is the writer's.
fn comparable(message: &Message) -> (String, Vec<(String, Vec<u8>)>, Bytes) {
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
fn read_write_read(octets: Vec<u8>) {
    let octets = Bytes::from(octets);
    let _ = Request::salvage(&octets).map(|request| read_all(&request.headers));
    let _ = Message::parse_framed(octets.clone());
    let Ok(message) = Message::parse_datagram(octets) else { return };
    read_all(message.headers());
    let mut written = Vec::new();
    message.write(&mut written);
    let again = Message::parse_framed(written.into()).expect("what was written is one message");
    assert_eq!(comparable(&again), comparable(&message));
    for row in message.headers() {
        values_read_back(row);
    }
}

/// Each typed value of a row, written and read, says the same.
fn values_read_back(row: &Header) {
    if let Ok(via) = Via::parse(row.value()) {
        assert_eq!(Via::parse(via.to_string().as_bytes()), Ok(via));
    }
    if let Ok(address) = NameAddr::parse(row.value()) {
        let again = NameAddr::parse(address.to_string()).expect("a written address reads");
        assert_eq!(format!("{again:?}"), format!("{address:?}"));
    }
    for challenge in Challenge::parse_all(row.value()) {
        assert_eq!(Challenge::parse_all(challenge.to_string().as_bytes()), [challenge]);
    }
    if let Ok(credentials) = Credentials::parse(row.value()) {
        assert_eq!(Credentials::parse(credentials.to_string().as_bytes()), Ok(credentials));
    }
    if let Some(info) = AuthenticationInfo::parse(row.value())
        && info != AuthenticationInfo::default()
    {
        assert_eq!(AuthenticationInfo::parse(info.to_string().as_bytes()), Some(info));
    }
}

/// Octets that mean something to a SIP parser more often than others.
fn telling_octet() -> impl Strategy<Value = u8> {
    const TELLING: &[u8] = b"\r\n\r\n \t:;,=\"\"\\<>@%[]*?/()0az\0\xFF";
    (any::<u8>(), any::<bool>()).prop_map(|(octet, telling)| match telling {
        true => TELLING[usize::from(octet) % TELLING.len()],
        false => octet,
    })
}

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, u8),
    Cut(usize, usize),
    Copy(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    prop_oneof![
        (place.clone(), telling_octet()).prop_map(|(at, octet)| Change::Set(at, octet)),
        (place.clone(), telling_octet()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        (place.clone(), 1usize..30).prop_map(|(at, length)| Change::Cut(at, length)),
        (place.clone(), place, 1usize..30).prop_map(|(from, to, length)| Change::Copy(from, to, length)),
    ]
}

fn changed(mut octets: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let size = octets.len().max(1);
        match *change {
            Change::Set(at, octet) => {
                if let Some(place) = octets.get_mut(at % size) {
                    *place = octet;
                }
            }
            Change::Insert(at, octet) => octets.insert((at % size).min(octets.len()), octet),
            Change::Cut(at, length) => {
                let start = (at % size).min(octets.len());
                let end = (start + length).min(octets.len());
                octets.drain(start..end);
            }
            Change::Copy(from, to, length) => {
                let start = (from % size).min(octets.len());
                let end = (start + length).min(octets.len());
                let piece = octets[start..end].to_vec();
                let to = (to % size).min(octets.len());
                octets.splice(to..to, piece);
            }
        }
    }
    octets
}

proptest! {
    /// DSR-003
    #[test]
    fn random_octets_never_panic(octets in prop::collection::vec(telling_octet(), 0..300)) {
        read_write_read(octets);
    }

    /// DSR-003: torture messages with some octets changed.
    #[test]
    fn mutated_messages_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        read_write_read(changed(which.get(torture()).octets.to_vec(), &changes));
    }

    /// DSR-003: single values of random octets.
    #[test]
    fn random_values_never_panic(octets in prop::collection::vec(telling_octet(), 0..80)) {
        if let Ok(row) = Header::new(HeaderName::Contact, octets.clone()) {
            values_read_back(&row);
            let mut headers = Headers::new();
            headers.push(row);
            read_all(&headers);
        }
        if let Ok(uri) = Uri::parse(&octets) {
            uri_readers(&uri);
            let again = Uri::parse(uri.to_string()).unwrap();
            prop_assert!(again.matches(&uri));
            prop_assert_eq!(format!("{again:?}"), format!("{uri:?}"));
        }
        let _ = AnyUri::parse(&octets);
    }

    /// HDR-010, HDR-011: any display name comes back, unless it would break the line.
    #[test]
    fn display_names_come_back(name in any::<String>()) {
        let mut address = NameAddr::new(Uri::parse("sip:a@example.com").unwrap());
        address.display = Some(name.clone());
        match Header::new(HeaderName::From, address.to_string()) {
            Ok(row) => {
                let again = NameAddr::parse(row.value()).unwrap();
                prop_assert_eq!(again.display.unwrap_or_default(), name);
            }
            Err(_) => prop_assert!(name.contains(['\r', '\n'])),
        }
    }

    /// AUT-035: any text survives the quotes of an authentication parameter.
    #[test]
    fn quoted_parameters_come_back(text in "[^\r\n]*", token in "[^\r\n]*") {
        let made = Credentials::new("Digest").quoted("username", &text).token("nc", &token);
        let row = Header::new(HeaderName::Authorization, made.to_string()).unwrap();
        let read = Credentials::parse(row.value()).unwrap();
        prop_assert_eq!(read.get("username"), Some(text.as_str()));
        prop_assert_eq!(read.get("nc"), Some(token.as_str()));
    }

    /// URI-018: any user name survives escaping.
    #[test]
    fn escaped_users_come_back(user in any::<String>().prop_filter("not empty", |user| !user.is_empty())) {
        let uri = Uri::parse(format!("sip:{}@example.com", sipreg::sip::escape_user(&user))).unwrap();
        prop_assert_eq!(uri.user_decoded(), Some(user));
    }

    /// HDR-011, HDR-017: whatever is put into a message, it stays one message.
    #[test]
    fn what_is_built_is_read_back(
        method in "[A-Z]{1,9}",
        uri in "sip:[a-z]{1,9}(@[a-z]{1,9})?",
        values in prop::collection::vec("[^\r\n\0]*", 0..8),
        body in prop::collection::vec(any::<u8>(), 0..200),
        status in 100u16..700,
        reason in "[^\r\n\0]*",
    ) {
        let rows: Headers = values
            .iter()
            .map(|value| Header::new(HeaderName::Subject, value.trim_matches([' ', '\t']).to_owned()).unwrap())
            .collect();
        let mut request = Request::new(Method::parse(method.as_bytes()).unwrap(), uri);
        request.headers = rows.clone();
        request.body = body.clone().into();
        let mut response = Response::new(status);
        response.reason = reason;
        response.headers = rows;
        response.body = body.into();
        for message in [Message::from(request), Message::from(response)] {
            let mut octets = Vec::new();
            message.write(&mut octets);
            let again = Message::parse_framed(octets.into()).unwrap();
            prop_assert_eq!(comparable(&again), comparable(&message));
        }
    }

    /// A start line cannot be broken out of.
    #[test]
    fn start_lines_hold_what_is_put_into_them(uri in any::<String>(), reason in any::<String>()) {
        let mut response = Response::new(200);
        response.reason = reason;
        for octets in [Request::new(Method::Options, uri).to_bytes(), response.to_bytes()] {
            let ends = octets.windows(2).filter(|pair| pair == b"\r\n").count();
            prop_assert_eq!(ends, 3);
        }
    }
}
