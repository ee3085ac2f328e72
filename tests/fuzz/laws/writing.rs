//! A message built from whatever texts is written as one message and read back the same.

use super::input::Input;
use super::message::comparable;
use sipreg::sip::{Credentials, NameAddr, Uri};
use sipreg::sip::{Header, HeaderName, Headers, Message, Method, Request, Response, escape_user};

const NAMES: [HeaderName; 6] = [
    HeaderName::Subject,
    HeaderName::Contact,
    HeaderName::ContentLength,
    HeaderName::Via,
    HeaderName::Authorization,
    HeaderName::CallId,
];

/// Method, URI, status, reason, header rows and body are taken from `octets`.
pub fn a_built_message_reads_back(octets: &[u8]) {
    let mut input = Input::new(octets);
    let (method, uri, reason) = (input.octets(), input.text(), input.text());
    let status = 100 + input.number() % 600;
    let mut headers = Headers::new();
    for _ in 0..input.below(8) {
        let own = HeaderName::parse(input.octets());
        let name = own.unwrap_or_else(|_| NAMES[input.below(NAMES.len())].clone());
        if let Ok(row) = Header::new(name, input.octets().to_vec()) {
            headers.push(row);
        }
    }
    texts_come_back(&uri, &reason);
    let body = bytes::Bytes::copy_from_slice(input.rest());
    let mut request = Request::new(Method::parse(method).unwrap_or(Method::Options), uri.clone());
    (request.headers, request.body) = (headers.clone(), body.clone());
    let mut response = Response::new(status);
    response.reason = reason.clone();
    (response.headers, response.body) = (headers, body);
    let readable = !uri.is_empty() && !uri.contains([' ', '\r', '\n', '\0']);
    // A method that begins like a status line is one to the reader.
    let readable = readable && !request.method.as_str().to_ascii_uppercase().starts_with("SIP/");
    one_message(&request.into(), readable);
    one_message(&response.into(), !reason.contains(['\r', '\n', '\0']));
}

/// No text breaks out of its line, and one that may stand in its place comes back as it was.
fn one_message(message: &Message, readable: bool) {
    let mut octets = Vec::new();
    message.write(&mut octets);
    let head = octets.windows(4).position(|four| four == b"\r\n\r\n").expect("the head ends") + 2;
    let lines = octets[..head].windows(2).filter(|pair| pair == b"\r\n").count();
    let rows = comparable(message).1.len();
    let lengths = message.headers().all(&HeaderName::ContentLength).count();
    assert!((rows + 2..=rows + 1 + lengths.max(1)).contains(&lines), "{lines} lines of {rows} headers");
    assert!(!octets[..head].contains(&0) || comparable(message).1.iter().any(|row| row.1.contains(&0)));
    match Message::parse_framed(octets.into()) {
        Ok(again) if readable => assert_eq!(comparable(&again), comparable(message)),
        Ok(again) => assert_eq!(comparable(&again).1, comparable(message).1),
        Err(error) => assert!(!readable, "{error}"),
    }
}

/// Display names, user names and quoted parameters hold any text.
fn texts_come_back(one: &str, two: &str) {
    let mut address = NameAddr::new(Uri::parse("sip:a@example.com").unwrap());
    address.display = Some(one.to_owned());
    match Header::new(HeaderName::From, address.to_string()) {
        Ok(row) => {
            let again = NameAddr::parse(row.value()).unwrap();
            assert_eq!(again.display.unwrap_or_default(), one);
        }
        Err(_) => assert!(one.contains(['\r', '\n'])),
    }
    let made = Credentials::new("Digest").quoted("username", one).token("nc", two);
    if let Ok(row) = Header::new(HeaderName::Authorization, made.to_string()) {
        let read = Credentials::parse(row.value()).unwrap();
        assert_eq!((read.get("username"), read.get("nc")), (Some(one), Some(two)));
    }
    if !one.is_empty() {
        let uri = Uri::parse(format!("sip:{}@example.com", escape_user(one))).unwrap();
        assert_eq!(uri.user_decoded().as_deref(), Some(one));
    }
}
