//! Whole messages: reading, writing, framing.

use super::datagram;
use crate::sip::{
    Frame, FramingError, Header, HeaderName, Message, Method, ParseError, Request, Response, StreamFramer,
    Version,
};

fn row(name: HeaderName, value: &str) -> Header {
    Header::new(name, value.to_owned()).unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap().replace("\r\n", "\n")
}

/// TRN-022, HDR-003, HDR-004: long names, one space, nothing folded, Content-Length last.
#[test]
fn a_request_is_written_plainly() {
    let mut request = Request::new(Method::Register, "sip:example.com");
    request.headers.push(row(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport"));
    request.headers.push(row(HeaderName::parse(b"f").unwrap(), "<sip:alice@example.com>;tag=1"));
    request.headers.push(row(HeaderName::Contact, "<sip:alice@192.0.2.1>;expires=3600"));
    insta::assert_snapshot!(text(&request.to_bytes()), @r"
    REGISTER sip:example.com SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport
    From: <sip:alice@example.com>;tag=1
    Contact: <sip:alice@192.0.2.1>;expires=3600
    Content-Length: 0
    ");
}

#[test]
fn a_response_is_written_plainly() {
    let mut response = Response::new(423);
    response.headers.push(row(HeaderName::MinExpires, "60"));
    response.body = "body".into();
    insta::assert_snapshot!(text(&response.to_bytes()), @r"
    SIP/2.0 423 Interval Too Brief
    Min-Expires: 60
    Content-Length: 4

    body
    ");
}

/// TRN-022
#[test]
fn a_right_content_length_stays_where_it_is_and_a_wrong_one_goes() {
    let written = |lengths: &[&str]| {
        let mut response = Response::new(200);
        for length in lengths {
            response.headers.push(row(HeaderName::ContentLength, length));
        }
        response.headers.push(row(HeaderName::Server, "x"));
        response.body = "body".into();
        text(&response.to_bytes())
    };
    let first = "SIP/2.0 200 OK\nContent-Length: 4\nServer: x\n\nbody";
    let last = "SIP/2.0 200 OK\nServer: x\nContent-Length: 4\n\nbody";
    assert_eq!(written(&["4"]), first);
    for wrong in [&["5"][..], &["x"], &["4", "5"], &[]] {
        assert_eq!(written(wrong), last, "{wrong:?}");
    }
}

/// HDR-011, HDR-017
#[test]
fn a_start_line_cannot_be_broken_out_of() {
    let mut request = Request::new(Method::Other("A\r\nB".to_owned()), "sip:a\r\nVia: x\0");
    request.version = Version::Other("SIP/3.0\n".to_owned());
    insta::assert_snapshot!(text(&request.to_bytes()), @r"
    A%0D%0AB sip:a%0D%0AVia: x%00 SIP/3.0%0A
    Content-Length: 0
    ");
    let mut response = Response::new(200);
    response.reason = "fine\r\nVia: x".to_owned();
    assert!(text(&response.to_bytes()).starts_with("SIP/2.0 200 fine  Via: x\n"));
}

/// HDR-020, HDR-015, COD-025
#[test]
fn status_lines_are_read() {
    let status = |line: &str| match datagram(&format!("{line}\n\n")) {
        Ok(Message::Response(response)) => Ok((response.status, response.reason)),
        Ok(Message::Request(_)) => panic!("{line} is a request"),
        Err(error) => Err(error),
    };
    assert_eq!(status("sip/2.0 200 OK"), Ok((200, "OK".to_owned())));
    assert_eq!(status("SIP/2.0 100 "), Ok((100, String::new())));
    assert_eq!(status("SIP/2.0 699"), Ok((699, String::new())));
    assert_eq!(status("SIP/2.0 200 a  b "), Ok((200, "a  b ".to_owned())));
    for (line, error) in [
        ("SIP/2.0 099 x", ParseError::Status),
        ("SIP/2.0 700 x", ParseError::Status),
        ("SIP/2.0 4294967301 x", ParseError::Status),
        ("SIP/2.0 2OO x", ParseError::StartLine),
        ("SIP/2.0  200 x", ParseError::StartLine),
        ("SIP/2.0", ParseError::StartLine),
        ("SIP/3.0 200 OK", ParseError::Version),
    ] {
        assert_eq!(status(line), Err(error), "{line}");
    }
}

#[test]
fn request_lines_are_read() {
    let version = |line: &str| match datagram(&format!("{line}\n\n")) {
        Ok(Message::Request(request)) => Ok(request.version),
        Ok(Message::Response(_)) => panic!("{line} is a response"),
        Err(error) => Err(error),
    };
    assert_eq!(version("OPTIONS sip:a sip/2.0"), Ok(Version::V2));
    assert_eq!(version("OPTIONS sip:a SIP/7.0"), Ok(Version::Other("SIP/7.0".to_owned())));
    assert_eq!(version("OPTIONS nobodyKnowsThisScheme:x SIP/2.0"), Ok(Version::V2));
    for (line, error) in [
        ("OPTIONS sip:a HTTP/1.1", ParseError::Version),
        ("OPTIONS sip:a SIP/2", ParseError::Version),
        ("OPTIONS sip:a SIP/2.0.1", ParseError::Version),
        ("OPTIONS sip:a", ParseError::StartLine),
        ("OPTIONS  sip:a SIP/2.0", ParseError::StartLine),
        ("OPTIONS sip:a SIP/2.0 ", ParseError::StartLine),
        ("OPT:ONS sip:a SIP/2.0", ParseError::Method),
    ] {
        assert_eq!(version(line), Err(error), "{line}");
    }
}

#[test]
fn broken_heads_are_refused() {
    let start = "OPTIONS sip:a SIP/2.0\r\n";
    for (rest, error) in [
        ("", ParseError::Unterminated),
        ("To: a\r\n", ParseError::Unterminated),
        ("To: a\r\n\r", ParseError::Unterminated),
        ("To: a\n\r\n", ParseError::BareLineEnd),
        ("To: a\rb\r\n\r\n", ParseError::BareLineEnd),
        ("To: a\0b\r\n\r\n", ParseError::Nul),
        ("To: \"a\\\0b\"\0\r\n\r\n", ParseError::Nul),
        ("To\r\n\r\n", ParseError::HeaderName),
        (": a\r\n\r\n", ParseError::HeaderName),
        ("T o: a\r\n\r\n", ParseError::HeaderName),
        (" To: a\r\n\r\n", ParseError::HeaderName),
        ("l: -1\r\n\r\n", ParseError::ContentLength),
        ("l: \r\n\r\n", ParseError::ContentLength),
        ("l: 1 \r\nContent-Length: 2\r\n\r\nab", ParseError::ContradictoryLength),
        ("l: 3\r\n\r\nab", ParseError::BodyLength),
        ("l: 99999999999999999999999\r\n\r\nab", ParseError::BodyLength),
    ] {
        let octets = format!("{start}{rest}");
        assert_eq!(Message::parse_datagram(octets.into()), Err(error), "{rest:?}");
    }
    for octets in ["", "\r\n", "\r\n\r\n"] {
        assert_eq!(Message::parse_datagram(octets.into()), Err(ParseError::Empty));
    }
}

/// TRN-019, TRN-020, TRN-021, TRN-024
#[test]
fn a_datagram_ends_where_its_length_says() {
    let body = |rest: &str| {
        let octets = format!("\r\n\r\nSIP/2.0 200 OK\r\n{rest}");
        Message::parse_datagram(octets.into()).map(|message| match message {
            Message::Response(response) => String::from_utf8(response.body.to_vec()).unwrap(),
            Message::Request(_) => panic!("a request"),
        })
    };
    assert_eq!(body("l: 2\r\n\r\nabSIP/2.0 401 Unauthorized\r\n\r\n").as_deref(), Ok("ab"));
    assert_eq!(body("l: 2\r\nL: 002\r\n\r\nab").as_deref(), Ok("ab"));
    assert_eq!(body("\r\nall of it").as_deref(), Ok("all of it"));
    assert_eq!(body("l: 50\r\n\r\n0123456789"), Err(ParseError::BodyLength));
    let surplus = "SIP/2.0 200 OK\r\nl: 1\r\n\r\nab";
    assert_eq!(Message::parse_framed(surplus.into()), Err(ParseError::BodyLength));
}

/// HDR-004: headers share the memory of the datagram unless folded.
#[test]
fn values_are_not_copied() {
    let octets = bytes::Bytes::from("SIP/2.0 200 OK\r\nServer : a \r\nX: b\r\n\tc\r\n \r\n d\r\n\r\n");
    let message = Message::parse_datagram(octets.clone()).unwrap();
    let rows: Vec<_> = message.headers().iter().map(|row| row.text().unwrap()).collect();
    assert_eq!(rows, ["a", "b c d"]);
    let shared = octets.as_ptr_range().contains(&rows[0].as_ptr());
    let copied = !octets.as_ptr_range().contains(&rows[1].as_ptr());
    assert!(shared && copied);
}

/// INC-007, STX-030
#[test]
fn a_broken_request_is_salvaged_for_its_response() {
    let salvage = |text: &str| Request::salvage(&text.replace('\n', "\r\n").into());
    let request =
        salvage("OPTIONS  sip:a b  SIP/7.0 \nVia: SIP/2.0/UDP a\nno colon\nTo: a\0\nCSeq: 1\nl: x").unwrap();
    assert_eq!((request.method, request.uri.as_str()), (Method::Options, "sip:a b"));
    assert_eq!(request.version, Version::Other("SIP/7.0".to_owned()));
    let rows: Vec<_> = request.headers.iter().map(|row| row.name().as_str()).collect();
    assert_eq!(rows, ["Via", "CSeq"]);
    for text in ["", "x", "SIP/2.0 200 OK\n\n", "ACK sip:a SIP/2.0\n\n", "GET / HTTP/1.1\n\n", "\n\n"] {
        assert_eq!(salvage(text), None, "{text}");
    }
}

/// TRN-024, TRN-025: keep-alives, in both roles.
#[test]
fn keep_alives_come_between_messages() {
    let take = |framer: &mut StreamFramer, octets: &str| {
        framer.push(octets.as_bytes());
        std::iter::from_fn(|| framer.next().unwrap()).collect::<Vec<_>>()
    };
    let message = "SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
    let frame = || Frame::Message(message.into());

    let mut opened = StreamFramer::new();
    assert_eq!(take(&mut opened, "\r\n"), [Frame::Pong]);
    assert_eq!(take(&mut opened, "\r\n"), [Frame::Pong]);
    assert_eq!(take(&mut opened, "\r\n\r\n"), [Frame::Ping]);
    assert_eq!(take(&mut opened, &format!("\r\n{message}\r")), [Frame::Pong, frame()]);
    assert_eq!(take(&mut opened, "\n"), [Frame::Pong]);

    let mut accepted = StreamFramer::accepting();
    assert_eq!(take(&mut accepted, "\r\n"), []);
    assert!(!accepted.partial());
    assert_eq!(take(&mut accepted, "\r"), []);
    assert_eq!(take(&mut accepted, "\n\r\n"), [Frame::Ping]);
    assert_eq!(take(&mut accepted, message), [Frame::Pong, frame()]);
    assert_eq!(take(&mut accepted, "SIP"), []);
    assert!(accepted.partial());
}

/// What is said without having been agreed on is named as what it is, as soon as it can be known.
#[test]
fn tls_and_http_are_known_on_a_plain_stream() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00".as_slice();
    for (octets, error) in [
        (hello, FramingError::Tls),
        (b"\x15\x03", FramingError::Tls),
        (b"\x15\x03\x03\x00\x02\x02\x0a", FramingError::Tls),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", FramingError::Http),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", FramingError::Http),
        (b"GET / HTTP/1.1\r\nHost: munich.de\r\n\r\n", FramingError::Http),
        (b"\r\n\r\nHTTP/1.0 200\r\n\r\n", FramingError::Http),
    ] {
        for mut framer in [StreamFramer::new(), StreamFramer::accepting()] {
            let last = octets.iter().map(|octet| {
                framer.push(&[*octet]);
                while let Ok(Some(_)) = framer.next() {}
                framer.next()
            });
            assert_eq!(last.last(), Some(Err(error)), "{octets:?}");
        }
    }
    let mut framer = StreamFramer::new();
    framer.push(b"HTTP/1.1 200 OK\r\nVia: SIP/2.0/TCP a\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
}

/// TRN-025, TRN-027
#[test]
fn a_stream_out_of_step_stays_so() {
    for (head, error) in [
        ("", FramingError::NoLength),
        ("Content-Length: -1\r\n", FramingError::BadLength),
        ("Content-Length:\r\n 1x\r\n", FramingError::BadLength),
        ("l: 1\r\nContent-Length: 2\r\n", FramingError::Contradictory),
        ("l: 65535\r\n", FramingError::TooLarge),
        ("l: 18446744073709551615\r\n", FramingError::TooLarge),
    ] {
        let mut framer = StreamFramer::new();
        framer.push(format!("OPTIONS sip:a SIP/2.0\r\n{head}\r\n").as_bytes());
        assert_eq!(framer.next(), Err(error), "{head}");
        framer.push(b"OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n");
        assert_eq!(framer.next(), Err(error), "{head}");
    }
    let mut framer = StreamFramer::new();
    framer.push(b"OPTIONS sip:a SIP/2.0\r\nno colon\r\nl: 1\r\nContent-Length:\r\n 1\r\n\r\nab");
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
}
