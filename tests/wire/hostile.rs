//! Messages of 64 KiB made to hurt. `tests/bench/instructions` counts what they cost; here they only have to
//! end and to be judged right.

use crate::laws::fields::read_all;
use sipreg::sip::{HeaderName, MAX_MESSAGE, Message, NameAddr, ParseError, StreamFramer, Uri, Via};

fn request_with(rows: &str) -> Vec<u8> {
    format!("REGISTER sip:example.com SIP/2.0\r\n{rows}Content-Length: 0\r\n\r\n").into_bytes()
}

/// `unit` as often as it fits behind `head` into a message of `size` octets.
pub fn filled(head: &str, unit: &str, size: usize) -> Vec<u8> {
    let room = size - request_with(head).len() - 2;
    request_with(&format!("{head}{}\r\n", unit.repeat(room / unit.len())))
}

/// What stands before, and what is repeated.
pub const SHAPES: [(&str, &str); 27] = [
    ("Route: ", "<sip:a>,"),
    ("Route: ", "<"),
    ("Route: ", "<,"),
    ("Contact: ", "\""),
    ("Contact: ", "\"\\"),
    ("Contact: <sip:a>", ";a"),
    ("Contact: <sip:a>", ";=a"),
    ("Contact: <sip:a>;x=", ";\""),
    ("Contact: <sip:", "@["),
    ("Contact: <sip:a#@b", ";\"=\""),
    ("Via: SIP/2.0/UDP a", ";;x=="),
    ("Contact: <sip:a", ";a=%61"),
    ("Contact: <sip:a?b=", "%61"),
    ("Via: ", ","),
    ("Via: SIP/2.0/UDP a", " "),
    ("Via: ", "SIP/2.0/UDP a,"),
    ("Authorization: Digest ", "a=b,"),
    ("Authorization: ", "a "),
    ("Authorization: Digest ", "a=\"b\", c d=e, "),
    ("WWW-Authenticate: Digest qop=a", ",b"),
    ("Supported: ", "a,"),
    ("X: a", "\r\n b"),
    ("X: a\r\n", "y:\r\n"),
    ("Route: <sip:a>\r\n", "Route:<sip:a>\r\n"),
    ("Retry-After: 1", "("),
    ("Call-ID: ", "a"),
    ("CSeq: ", "9"),
];

/// DSR-003: every shape at full size, through every reader.
#[test]
fn full_size_messages_of_one_shape_are_read() {
    for (head, unit) in SHAPES {
        let octets = filled(head, unit, MAX_MESSAGE);
        match Message::parse_datagram(octets.into()) {
            Ok(message) => read_all_once(&message),
            Err(error) => panic!("{head}{unit}: {error}"),
        }
    }
}

/// Reading all rows of a many-row message through every row's name would be the test's own square.
pub fn read_all_once(message: &Message) {
    let mut few = sipreg::sip::Headers::new();
    for row in message.headers().iter().take(3) {
        few.push(row.clone());
    }
    read_all(&few);
    let _ = message.headers().via_count();
}

/// TRN-027: larger than 64 KiB is refused, in datagrams and streams.
#[test]
fn more_than_64_kib_is_refused() {
    let octets = filled("X: ", "a", MAX_MESSAGE);
    assert!(octets.len() <= MAX_MESSAGE);
    assert!(Message::parse_datagram(octets.into()).is_ok());
    assert_eq!(Message::parse_datagram(vec![b'a'; MAX_MESSAGE + 1].into()), Err(ParseError::TooLarge));

    let mut framer = StreamFramer::new();
    framer.push(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 1000000000\r\n\r\n");
    assert!(framer.next().is_err());
    let mut framer = StreamFramer::new();
    let ended = (0..=MAX_MESSAGE).find(|_| {
        framer.push(b"a");
        framer.next().is_err()
    });
    assert_eq!(ended, Some(MAX_MESSAGE - 1));
}

/// REG-036: an open quote or bracket costs its own value.
#[test]
fn an_open_bracket_ends_before_the_next_value() {
    let octets = request_with("Contact: <sip:broken, <sip:own@example.com>;expires=60\r\n");
    let message = Message::parse_datagram(octets.into()).unwrap();
    let values = message.headers().name_addrs(&HeaderName::Contact);
    assert!(values.is_err());
    let sipreg::sip::Contacts::List(list) = message.headers().contacts().unwrap() else { panic!("star") };
    assert!(list[0].is_err());
    assert_eq!(list[1].as_ref().unwrap().expires(), Some(60));
}

/// What comes out of a reader stays small.
#[test]
fn odd_ends_are_errors() {
    for value in
        ["", "<", "<sip:a", "\"", "\"\\", "\"a\"", "sip:", "sip:@", "a<", "<>", "<sip:a>;", "<sip:a>;=", "*"]
    {
        assert!(NameAddr::parse(value).is_err(), "{value}");
    }
    for value in ["", "SIP", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 UDP a", "SIP//UDP a", "HTTP/2.0/UDP a"] {
        assert!(Via::parse(value.as_bytes()).is_err(), "{value}");
    }
    for value in [
        "",
        "sip",
        ":",
        "sip:",
        "sip:a:",
        "sip:a:65536",
        "sip:a%41",
        "sip:a;",
        "sip:a?",
        "sip:a?b",
        "sip:[",
        "sip:[]",
    ] {
        assert!(Uri::parse(value).is_err(), "{value}");
    }
}
