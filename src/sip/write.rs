//! Messages as they go on the wire (RFC 3261 §7): long names, one space, nothing folded, Content-Length
//! always right.

use std::fmt::{self, Display, Write as _};

use bytes::Bytes;

use super::framing::Length;
use super::header::{self, Header, InjectionError};
use super::headers::Headers;
use super::message::{Message, Request, Response};
use super::method::Method;
use super::name::HeaderName;
use super::scan;

impl Message {
    /// Appends the message as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Message::Request(request) => request.write(out),
            Message::Response(response) => response.write(out),
        }
    }
}

impl Request {
    /// Appends the request as it goes on the wire. Content-Length is computed and written last, unless a
    /// right one is among the headers. A line end or NUL in method or URI is written as an escape.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.uri.len() + 32 + self.body.len());
        push_start(out, self.method.as_str(), Substitute::Escape);
        out.push(b' ');
        push_start(out, &self.uri, Substitute::Escape);
        out.push(b' ');
        push_start(out, self.version.as_str(), Substitute::Escape);
        write_rest(out, &self.headers, &self.body);
    }

    /// The request as it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(1024);
        self.write(&mut out);
        out.into()
    }
}

impl Response {
    /// Appends the response as it goes on the wire; Content-Length as in [`Request::write`]. A line end or
    /// NUL in the reason is written as a space.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.reason.len() + 32 + self.body.len());
        push_start(out, "SIP/2.0 ", Substitute::Space);
        push_number(out, usize::from(self.status));
        out.push(b' ');
        push_start(out, &self.reason, Substitute::Space);
        write_rest(out, &self.headers, &self.body);
    }

    /// The response as it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(1024);
        self.write(&mut out);
        out.into()
    }
}

/// Room for a REGISTER with credentials, in octets. Allocators hand out less than a thousand octets faster
/// than more.
const REGISTER_SIZE: usize = 768;

/// A request that is written row by row, without a [`Request`] in between: for clients that send many. The
/// octets are those of [`Request::write`].
#[derive(Debug)]
pub struct RequestWriter(Vec<u8>);

impl RequestWriter {
    /// Begins with the request line. A line end or NUL in it is written as an escape.
    #[must_use]
    pub fn new(method: &Method, uri: &str) -> RequestWriter {
        RequestWriter::with_room(REGISTER_SIZE, method, uri)
    }

    /// Begins as [`RequestWriter::new`] does, with room for so many octets: where it suffices, nothing is moved.
    pub(crate) fn with_room(octets: usize, method: &Method, uri: &str) -> RequestWriter {
        let mut out = Vec::with_capacity(octets);
        push_start(&mut out, method.as_str(), Substitute::Escape);
        out.push(b' ');
        push_start(&mut out, uri, Substitute::Escape);
        out.extend_from_slice(b" SIP/2.0\r\n");
        RequestWriter(out)
    }

    /// Writes a header row; white space round the value is dropped.
    ///
    /// # Errors
    /// Those of [`Header::new`]; nothing is written then.
    pub fn row(&mut self, name: HeaderName, value: impl Display) -> Result<(), InjectionError> {
        let before = self.0.len();
        self.begin(&name);
        let start = self.0.len();
        // Writing to a Vec cannot fail.
        let _ = write!(Text(&mut self.0), "{value}");
        let written = self.0.get(start..).unwrap_or_default();
        if let Err(at) = header::check(written) {
            self.0.truncate(before);
            return Err(InjectionError { header: name, at });
        }
        let trimmed = scan::trim(written);
        if trimmed.len() < written.len() {
            let trimmed = trimmed.to_vec();
            self.0.truncate(start);
            self.0.extend_from_slice(&trimmed);
        }
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes a row of pieces that hold no line end, such as ours and those of rows: nothing is looked through.
    pub(crate) fn pieces(&mut self, name: &HeaderName, pieces: &[&str]) {
        self.begin(name);
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece.as_bytes()));
        self.0.extend_from_slice(b"\r\n");
    }

    /// Writes a row that is a number.
    pub(crate) fn number(&mut self, name: &HeaderName, number: u32) {
        self.pieces(name, &[scan::decimal(number, &mut [0; 10])]);
    }

    /// Writes a row as it is.
    pub fn copy(&mut self, row: &Header) {
        self.begin(row.name());
        self.0.extend_from_slice(row.value());
        self.0.extend_from_slice(b"\r\n");
    }

    /// Ends with Content-Length and no body.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.0.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        self.0.into()
    }

    /// Ends with that body, and with its Content-Length where no row has said it yet.
    pub(crate) fn finish_with(mut self, body: &[u8], has_length: bool) -> Bytes {
        write_end(&mut self.0, body, has_length);
        self.0.into()
    }

    fn begin(&mut self, name: &HeaderName) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
    }
}

/// A buffer that text is formatted onto.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The substitute for octets that would break the start line.
#[derive(Clone, Copy)]
enum Substitute {
    Escape,
    Space,
}

fn push_start(out: &mut Vec<u8>, text: &str, substitute: Substitute) {
    if scan::find_line_control(text.as_bytes()).is_none() {
        return out.extend_from_slice(text.as_bytes());
    }
    for octet in text.bytes() {
        match (octet, substitute) {
            (b'\r', Substitute::Escape) => out.extend_from_slice(b"%0D"),
            (b'\n', Substitute::Escape) => out.extend_from_slice(b"%0A"),
            (0, Substitute::Escape) => out.extend_from_slice(b"%00"),
            (b'\r' | b'\n' | 0, Substitute::Space) => out.push(b' '),
            _ => out.push(octet),
        }
    }
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    match u32::try_from(number) {
        Ok(number) => out.extend_from_slice(scan::decimal(number, &mut [0; 10]).as_bytes()),
        Err(_) => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

/// Writes the head from the end of the start line on, and the body.
fn write_rest(out: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    out.extend_from_slice(b"\r\n");
    let right = has_length_of(headers, body);
    for row in headers {
        if !right && *row.name() == HeaderName::ContentLength {
            continue;
        }
        out.extend_from_slice(row.name().as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(row.value());
        out.extend_from_slice(b"\r\n");
    }
    write_end(out, body, right);
}

/// Whether the rows say how long that body is, and say it right.
pub(crate) fn has_length_of(headers: &Headers, body: &[u8]) -> bool {
    let mut length = Length::Absent;
    for row in headers.all(&HeaderName::ContentLength) {
        length = length.and(row.value());
    }
    length == Length::Octets(body.len() as u64)
}

fn write_end(out: &mut Vec<u8>, body: &[u8], has_length: bool) {
    if !has_length {
        out.extend_from_slice(b"Content-Length: ");
        push_number(out, body.len());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}
