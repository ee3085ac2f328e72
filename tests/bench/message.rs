//! What a message costs to read and to write, and hostile ones to read.

use bytes::Bytes;
use sipreg::sip::{Contacts, HeaderName, MAX_MESSAGE, Message, StreamFramer, Uri};
use std::hint::black_box;

use crate::Case;

/// 580 octets, as a device behind NAT sends it.
const REGISTER: &str = "REGISTER sip:example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.168.178.20:5060;branch=z9hG4bK776asdhds7f2b;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice Smith\" <sip:alice@example.com>;tag=456248ae1f\r\n\
    To: \"Alice Smith\" <sip:alice@example.com>\r\n\
    Call-ID: 843817637684230@998sdasdh09\r\n\
    CSeq: 1826 REGISTER\r\n\
    Contact: <sip:alice@192.168.178.20:5060;ob>;reg-id=1;\
    +sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\"\r\n\
    Expires: 3600\r\n\
    Supported: path, outbound, gruu\r\n\
    Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, NOTIFY, MESSAGE, REFER, INFO, SUBSCRIBE\r\n\
    User-Agent: sipreg/0.1\r\n\
    Content-Length: 0\r\n\r\n";

/// On the heap and shared, as a socket's buffer is.
fn received() -> Bytes {
    Bytes::copy_from_slice(REGISTER.as_bytes())
}

/// Reads the message and the five fields a registrar looks at first.
fn read(datagram: &Bytes) {
    let message = Message::parse_datagram(datagram.clone()).unwrap();
    let headers = message.headers();
    black_box(&headers.top_via().unwrap());
    black_box(&headers.from().unwrap());
    black_box(&headers.to().unwrap());
    black_box(&headers.cseq().unwrap());
    let Contacts::List(contacts) = headers.contacts().unwrap() else { panic!("star") };
    assert!(black_box(&contacts).iter().all(Result::is_ok));
}

/// `unit` as often as fits into a message of `size` octets behind `head`.
fn shape(head: &str, unit: &str, size: usize) -> Bytes {
    let start = format!("REGISTER sip:example.com SIP/2.0\r\nContent-Length: 0\r\n{head}");
    let room = size - start.len() - 4;
    format!("{start}{}\r\n\r\n", unit.repeat(room / unit.len())).into()
}

/// Inputs made to find a square: name, what stands before, what is repeated.
pub const SHAPES: &[(&str, &str, &str)] = &[
    ("routes", "Route: ", "<sip:a>,"),
    ("brackets", "Contact: ", "<"),
    ("bracket-commas", "Contact: ", "<,"),
    ("bracket-many-commas", "Contact: ", "<,,,,,,,,,,,,,,,,"),
    ("quotes", "Contact: ", "\""),
    ("open-quotes", "Contact: ", "\"\"\","),
    ("backslashes", "Contact: \"", "\\"),
    ("contact-params", "Contact: <sip:a>", ";a"),
    ("uri-params", "Contact: <sip:a", ";a=%61"),
    ("vias", "Via: ", "SIP/2.0/UDP a,"),
    ("credentials", "Authorization: Digest ", "a=b,"),
    ("schemes", "WWW-Authenticate: ", "a b=c, "),
    ("words", "WWW-Authenticate: Digest a=b", ", c"),
    ("spaces", "Contact: <sip:a> ", " "),
    ("folding", "Subject: a", "\r\n b"),
    ("rows", "", "y:\r\n"),
    ("route-rows", "", "Route:<sip:a>\r\n"),
    ("comments", "Retry-After: 1 ", "("),
    ("stray-params", "Contact: <sip:a>", ";=a"),
    ("stray-quotes", "Contact: <sip:a>;;x=", "\""),
    ("stray-quoted", "Contact: <sip:a>;", ";x=\"\\"),
    ("stray-ats", "Contact: <sip:", "@["),
    ("stray-uri-params", "Contact: <sip:a#@b", ";\"=\""),
    ("stray-vias", "Via: ", "SIP/2.0/UDP a;;,"),
    ("commas", "Contact: ", ","),
];

/// Reads with every reader that takes its time over lists.
fn read_hostile(datagram: &Bytes) {
    let message = Message::parse_datagram(datagram.clone()).unwrap();
    let headers = message.headers();
    let _ = black_box((headers.contacts(), headers.listed(&HeaderName::Contact)));
    let _ = black_box((headers.surplus_commas(), headers.tag(&HeaderName::Contact)));
    let _ = black_box((headers.vias(), headers.top_via(), headers.via_count()));
    let _ = black_box(headers.name_addrs(&HeaderName::Route));
    let _ = black_box(headers.option_tags(&HeaderName::Subject));
    let _ = black_box(headers.challenges(&HeaderName::WwwAuthenticate));
    let _ = black_box(headers.credentials(&HeaderName::Authorization));
    let _ = black_box(headers.retry_after());
}

/// The URI with as many parameters as fit, compared with itself.
fn match_uris(size: usize) {
    let uri = Uri::parse(format!("sip:a{}", ";a=%61".repeat(size / 6))).unwrap();
    assert!(black_box(uri.matches(&uri)));
}

/// A message of `size` octets through the framer, one octet at a time.
fn frame(size: usize) {
    let message = shape("Subject: ", "a", size);
    let mut framer = StreamFramer::new();
    for octet in &message {
        framer.push(std::slice::from_ref(octet));
        let _ = black_box(framer.next());
    }
}

/// An eighth of the largest message, so many times, in the shape or by the reader of this name.
pub fn hostile(name: &str, eighths: usize) {
    let size = MAX_MESSAGE / 8 * eighths;
    match name {
        "matches" => match_uris(size),
        "framer" => frame(size),
        shape_name => {
            let found = SHAPES.iter().find(|(name, ..)| *name == shape_name);
            let Some((_, head, unit)) = found else { panic!("no such thing to count: {shape_name}") };
            read_hostile(&shape(head, unit, size));
        }
    }
}

pub fn cases() -> Vec<Case> {
    assert_eq!(REGISTER.len(), 580);
    let datagram = received();
    let message = Message::parse_datagram(datagram.clone()).unwrap();
    let reading = move |times| (0..times).for_each(|_| read(black_box(&datagram)));
    let writing = move |times| {
        let mut out = Vec::with_capacity(1024);
        for _ in 0..times {
            out.clear();
            black_box(&message).write(&mut out);
        }
        black_box(&out);
    };
    vec![("read", Box::new(reading)), ("write", Box::new(writing))]
}
