//! A registrar that means to answer, and says what the input makes it say.

use super::super::input::Input;
use sipreg::sip::{Header, HeaderName, Request, Response};

const STATUSES: [u16; 24] = [
    200, 200, 401, 407, 100, 180, 301, 302, 305, 400, 403, 404, 408, 420, 421, 423, 480, 500, 503, 503, 600,
    603, 204, 699,
];

/// `@` is the request's Contact, `#` a number, `%` a word, both from the input.
const ROWS: [&str; 37] = [
    "Contact: <@>;expires=#",
    "Contact: <@>",
    "Contact: <@>, <sip:b@192.0.2.9>;expires=#;q=0.%",
    "Contact: *",
    "Contact: <sip:192.0.2.#>;q=0.5",
    "Contact: <sip:%.example.org>",
    "Contact: <sip:192.0.2.3;transport=tcp>, <sip:192.0.2.4;method=%>",
    "Contact: <sips:192.0.2.5>, %",
    "Contact: <sip:%@[2001:db8::#]>",
    "WWW-Authenticate: Digest realm=\"a\", nonce=\"%\", algorithm=MD5, qop=\"auth\"",
    "WWW-Authenticate: Digest realm=\"a\", nonce=\"%\", stale=true, qop=\"auth,auth-int\", opaque=\"%\"",
    "WWW-Authenticate: Digest realm=\"%\", nonce=\"#\", algorithm=SHA-256-sess, userhash=true, qop=auth-int",
    "WWW-Authenticate: Digest realm=\"b\", nonce=\"%\", charset=UTF-8, algorithm=SHA-512-256",
    "WWW-Authenticate: %, Digest realm=a",
    "Proxy-Authenticate: Digest realm=\"p\", nonce=\"%\"",
    "Proxy-Authenticate: Digest realm=\"p\", nonce=\"%\", stale=TRUE",
    "Authentication-Info: nextnonce=\"%\", rspauth=\"#\"",
    "Authentication-Info: nextnonce=\"%\"",
    "Retry-After: #",
    "Retry-After: #;duration=#",
    "Min-Expires: #",
    "Expires: #",
    "Unsupported: path, %",
    "Require: path",
    "Require: %",
    "Warning: 399 a \"CSeq %\"",
    "Service-Route: <sip:%;lr>",
    "Path: <sip:%;lr>, <sip:b;lr>",
    "Via: SIP/2.0/UDP %",
    "Date: %",
    "CSeq: # REGISTER",
    // Slips that are forgiven.
    "Contact: <@;t=\"%==\">;expires=#;",
    "Contact: %. <@>;;x=%==;+sip.instance=<urn:%>;expires=#,",
    "Contact: \"% <@;expires=#",
    "WWW-Authenticate: Digest realm=\"a\", nonce=\"%\", algorithm=\"\", qop=\"\",",
    "Service-Route: ,<sip:%;lr>,, %",
    "Content-Length: ",
];

/// The answer to `request`, a few octets of it perhaps changed.
pub fn response(input: &mut Input<'_>, request: &Request) -> Vec<u8> {
    let status = match input.below(STATUSES.len() + 4) {
        at if at < STATUSES.len() => STATUSES[at],
        _ => 100 + input.number() % 600,
    };
    let mut response = Response::new(status);
    if input.below(8) == 7 {
        response.reason = input.text();
    }
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        let row = request.headers.get(&name).expect("our requests have it");
        let mut text = row.text().expect("our requests are text").to_owned();
        if name == HeaderName::To {
            text.push_str(";tag=t");
        } else if name == HeaderName::Via && input.chance() {
            text.push_str(&format!("=6000;received=192.0.2.{}", input.octet()));
        }
        response.headers.push(Header::new(name, text).expect("one line"));
    }
    for _ in 0..input.below(5) {
        response.headers.extend(row(input, request));
    }
    let mut octets = response.to_bytes().to_vec();
    for _ in 0..input.below(16).saturating_sub(12) {
        let at = usize::from(input.number()) % octets.len();
        octets[at] = input.octet();
    }
    octets
}

fn row(input: &mut Input<'_>, request: &Request) -> Option<Header> {
    let template = match input.below(ROWS.len() + 2) {
        at if at < ROWS.len() => ROWS[at].to_owned(),
        // Credentials that make the next request too large for a datagram.
        at if at == ROWS.len() => {
            format!("WWW-Authenticate: Digest realm=\"a\", qop=\"auth\", nonce=\"{}\"", "n".repeat(1200))
        }
        _ => format!("{}: {}", input.text(), input.text()),
    };
    let contact = request.headers.get(&HeaderName::Contact).and_then(|row| row.text().ok()).unwrap_or("");
    let contact =
        contact.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("*", |(uri, _)| uri);
    let mut text = template.replace('@', contact);
    if text.contains('#') {
        text = text.replace('#', &input.number().to_string());
    }
    if text.contains('%') {
        let word = input.below(8);
        let word = if word == 7 { input.text() } else { "x".repeat(word) + "1" };
        text = text.replace('%', &word);
    }
    let (name, value) = text.split_once(':')?;
    Header::new(HeaderName::parse(name.as_bytes()).ok()?, value.to_owned()).ok()
}
