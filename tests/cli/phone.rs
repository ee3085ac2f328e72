//! A user agent with a socket, over UDP or TCP: it registers, calls, and is called, a message at a time.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use md5::{Digest, Md5};

/// A way to a server.
enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// A user agent that talks to one server.
pub struct Phone {
    line: Line,
    /// `host:port` that it talks from.
    pub at: String,
    /// The user part of its address.
    pub user: &'static str,
    branch: u32,
}

impl Phone {
    /// One that talks over `udp` or `tcp` to the server at `at`.
    pub fn new(transport: &str, at: &str, user: &'static str) -> Phone {
        let own = if at.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        Phone::from(own, transport, at, user)
    }

    /// The same, from an address of this host; over TCP that does not count.
    pub fn from(own: &str, transport: &str, at: &str, user: &'static str) -> Phone {
        let patience = Some(Duration::from_secs(10));
        let (line, own) = if transport == "udp" {
            let socket = UdpSocket::bind(own).unwrap();
            socket.set_read_timeout(patience).unwrap();
            socket.connect(at).unwrap();
            let own = socket.local_addr().unwrap();
            (Line::Udp(socket), own)
        } else {
            let stream = TcpStream::connect(at).unwrap();
            stream.set_read_timeout(patience).unwrap();
            let own = stream.local_addr().unwrap();
            (Line::Tcp(stream, Vec::new()), own)
        };
        Phone { line, at: own.to_string(), user, branch: 0 }
    }

    fn transport(&self) -> &'static str {
        match self.line {
            Line::Udp(_) => "UDP",
            Line::Tcp(..) => "TCP",
        }
    }

    pub fn send(&mut self, text: &str) {
        match &mut self.line {
            Line::Udp(socket) => drop(socket.send(text.as_bytes()).unwrap()),
            Line::Tcp(stream, _) => stream.write_all(text.as_bytes()).unwrap(),
        }
    }

    /// The next message; none within 10 s is a failure.
    pub fn receive(&mut self) -> String {
        let octets = match &mut self.line {
            Line::Udp(socket) => {
                let mut buffer = vec![0; 65_536];
                let length =
                    socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{}: {error}", self.user));
                buffer.truncate(length);
                buffer
            }
            Line::Tcp(stream, held) => loop {
                if let Some(end) = whole(held) {
                    break held.drain(..end).collect();
                }
                let mut buffer = [0; 4096];
                let length =
                    stream.read(&mut buffer).unwrap_or_else(|error| panic!("{}: {error}", self.user));
                assert!(length > 0, "{}: the connection was closed", self.user);
                held.extend_from_slice(&buffer[..length]);
            },
        };
        String::from_utf8(octets).unwrap()
    }

    /// Nothing comes for some time.
    pub fn hears_nothing(&mut self) {
        let moment = Some(Duration::from_millis(300));
        let patience = Some(Duration::from_secs(10));
        let came = match &mut self.line {
            Line::Udp(socket) => {
                socket.set_read_timeout(moment).unwrap();
                let came = socket.recv(&mut [0; 4096]).is_ok();
                socket.set_read_timeout(patience).unwrap();
                came
            }
            Line::Tcp(stream, held) => {
                stream.set_read_timeout(moment).unwrap();
                let came = !held.is_empty() || stream.read(&mut [0; 4096]).is_ok();
                stream.set_read_timeout(patience).unwrap();
                came
            }
        };
        assert!(!came, "{} hears something", self.user);
    }

    /// The next message, which begins like this; provisional ones in front of a final one pass.
    pub fn hears(&mut self, beginning: &str) -> String {
        let mut message = self.receive();
        while message.starts_with("SIP/2.0 1") && !beginning.starts_with("SIP/2.0 1") {
            message = self.receive();
        }
        assert!(message.starts_with(beginning), "{}: not {beginning}, but {message}", self.user);
        message
    }

    /// The next message is the response with this status.
    pub fn status(&mut self, status: u16) -> String {
        self.hears(&format!("SIP/2.0 {status} "))
    }

    /// Its own address, as a URI.
    pub fn contact(&self) -> String {
        let transport = if self.transport() == "TCP" { ";transport=tcp" } else { "" };
        format!("sip:{}@{}{transport}", self.user, self.at)
    }

    /// A request out of dialog; `rest` are whole rows.
    pub fn request(&mut self, method: &str, uri: &str, from: &str, rest: &str) -> String {
        self.branch += 1;
        let (at, transport, n) = (&self.at, self.transport(), self.branch);
        let to = uri.split(';').next().unwrap();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {at};branch=z9hG4bK{user}{n};rport\r\n\
             Max-Forwards: 70\r\nFrom: <{from}>;tag={user}\r\nTo: <{to}>\r\nCall-ID: {user}{n}@{at}\r\n\
             CSeq: 1 {method}\r\nContact: <{contact}>\r\n{rest}Content-Length: 0\r\n\r\n",
            user = self.user,
            contact = self.contact(),
        )
    }

    /// Registers this very address with a server that wants no password. `rest` as in [`Phone::request`], `params` belong to
    /// the Contact.
    pub fn register(&mut self, params: &str, rest: &str) {
        let aor = format!("sip:{}@localhost", self.user);
        let text = self.request("REGISTER", "sip:localhost", &aor, rest);
        let text = text.replace("To: <sip:localhost>", &format!("To: <{aor}>"));
        let contact = format!("Contact: <{}>", self.contact());
        let text = text.replace(&contact, &format!("{contact}{params}"));
        self.send(&text);
        self.status(200);
    }

    /// Calls, and gives the INVITE.
    pub fn calls(&mut self, uri: &str) -> String {
        let from = format!("sip:{}@example.net", self.user);
        let invite = self.request("INVITE", uri, &from, "");
        self.send(&invite);
        invite
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &str, status: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for row in request.lines() {
            let name = row.split(':').next().unwrap();
            match name {
                "To" if !row.contains(";tag=") => text += &format!("{row};tag={}\r\n", self.user),
                "Via" | "Record-Route" | "From" | "To" | "Call-ID" | "CSeq" => text += &format!("{row}\r\n"),
                _ => {}
            }
        }
        text += &format!("Contact: <{}>\r\nContent-Length: 0\r\n\r\n", self.contact());
        self.send(&text);
    }

    /// The ACK of a final response that is no 2xx.
    pub fn acknowledge(&mut self, invite: &str, refusal: &str) {
        let mut text = String::new();
        for row in invite.lines() {
            match row.split(':').next().unwrap() {
                "CSeq" => text += "CSeq: 1 ACK\r\n",
                "To" => text += &format!("To: {}\r\n", row_of(refusal, "To")),
                "Contact" | "Proxy-Authorization" => {}
                _ => text += &format!("{row}\r\n"),
            }
        }
        self.send(&text.replacen("INVITE", "ACK", 1));
    }

    /// A request of the caller within the dialog that an answer has made.
    pub fn within(&mut self, answer: &str, method: &str, cseq: u32) {
        let mut routes = rows_of(answer, "Record-Route");
        routes.reverse();
        let (from, to) = (row_of(answer, "From").to_owned(), row_of(answer, "To").to_owned());
        self.in_dialog(answer, &routes, (&from, &to), method, cseq);
    }

    /// A request of the one who was called, within the dialog that its answer to an INVITE has made.
    pub fn within_call(&mut self, invite: &str, method: &str, cseq: u32) {
        let from = format!("{};tag={}", row_of(invite, "To"), self.user);
        self.in_dialog(
            invite,
            &rows_of(invite, "Record-Route"),
            (&from, row_of(invite, "From")),
            method,
            cseq,
        );
    }

    fn in_dialog(&mut self, of: &str, routes: &[&str], (from, to): (&str, &str), method: &str, cseq: u32) {
        self.branch += 1;
        let (at, transport, n, user) = (&self.at, self.transport(), self.branch, self.user);
        let target = row_of(of, "Contact").trim_matches(['<', '>']);
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} {at};branch=z9hG4bK{user}{n};rport\r\n{routes}\
             Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            row_of(of, "Call-ID"),
        );
        self.send(&text);
    }
}

/// The octets of the first message, if it is whole.
fn whole(held: &[u8]) -> Option<usize> {
    let head = held.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&held[..head]).into_owned();
    let end = head + row_of(&text, "Content-Length").parse::<usize>().unwrap();
    (end <= held.len()).then_some(end)
}

/// The first value of a header.
pub fn row_of<'a>(message: &'a str, name: &str) -> &'a str {
    rows_of(message, name).first().copied().unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// The rows of a header, in their order.
pub fn rows_of<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    message.lines().filter_map(|row| row.strip_prefix(name)?.strip_prefix(": ")).collect()
}

/// A row that answers the challenge of a 407 with MD5.
pub fn proof(challenged: &str, method: &str, uri: &str, user: &str, password: &str) -> String {
    let challenge = row_of(challenged, "Proxy-Authenticate");
    let of = |name: &str| {
        let (_, value) = challenge.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{challenge}"));
        value.split('"').next().unwrap().to_owned()
    };
    let hash =
        |text: String| Md5::digest(text).iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let (realm, nonce) = (of("realm"), of("nonce"));
    let (ha1, ha2) = (hash(format!("{user}:{realm}:{password}")), hash(format!("{method}:{uri}")));
    let response = hash(format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
    format!(
        "Proxy-Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n"
    )
}
