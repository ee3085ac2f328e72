//! The other side, as far as these tests need one: a UDP socket that says nothing, and one that challenges.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A socket on loopback, which nobody else knows.
pub fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// A loopback address where nobody listens any more.
pub fn dead() -> String {
    silent().1
}

/// The next request and who sent it.
pub fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, peer) = loop {
        match socket.recv_from(&mut buffer) {
            Ok(came) => break came,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no request came: {error}"),
        }
    };
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), peer)
}

/// Answers a request: the rows that RFC 3261 §8.2.6.2 copies, and more.
pub fn answer(socket: &UdpSocket, peer: SocketAddr, request: &str, status: &str, more: &[&str]) {
    socket.send_to(response(request, status, more).as_bytes(), peer).unwrap();
}

/// The answer to a request.
pub fn response(request: &str, status: &str, more: &[&str]) -> String {
    let mut response = format!("SIP/2.0 {status}\r\n");
    for name in ["Via:", "From:", "To:", "Call-ID:", "CSeq:"] {
        for row in request.lines().filter(|row| row.starts_with(name)) {
            response += row;
            let is_tagged = name != "To:" || row.contains(";tag=");
            response += if is_tagged { "\r\n" } else { ";tag=peer\r\n" };
        }
    }
    for row in more {
        response += row;
        response += "\r\n";
    }
    response += "Content-Length: 0\r\n\r\n";
    response
}

/// A challenge that every client can answer.
pub const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"f84f1cec41e6cbe5\", qop=\"auth\"";

/// The value of a header of a request.
pub fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let row = request.lines().find(|row| row.starts_with(&format!("{name}:")));
    row.unwrap_or_else(|| panic!("no {name} in {request}")).split_once(": ").unwrap().1
}
