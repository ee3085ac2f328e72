//! The smallest user agent that can call and be called, over UDP on loopback (RFC 3261 §8, §12, §13). It does what it is
//! told and decides nothing; the demonstration has three of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use tokio::net::UdpSocket;

use crate::proto::ids::Random;
use crate::sip::{
    AnyUri, Header, HeaderName, Headers, MAX_MESSAGE, Message, Method, NameAddr, Request, Response,
};

/// A user agent.
pub(super) struct Phone {
    socket: UdpSocket,
    address: SocketAddr,
    /// The URI that it is called by: its user's address, or a contact bound to that.
    uri: &'static str,
    tag: String,
    /// What it sent last, and where to: sent again when nothing comes.
    last: Option<(Bytes, SocketAddr)>,
    /// What it has heard, by which it knows copies.
    heard: Vec<Bytes>,
}

/// A dialog that a caller has (RFC 3261 §12.1.2), as far as requests within it need it.
pub(super) struct Dialog {
    target: String,
    routes: Vec<String>,
    /// From, To and Call-ID, as they stand in its requests.
    names: Vec<Header>,
}

impl Phone {
    /// A phone with a socket of its own. Needs the runtime.
    ///
    /// # Errors
    /// There is no port on the loopback interface.
    pub async fn open(uri: &'static str, random: &mut impl Random) -> io::Result<Phone> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let tag = format!("{:016x}", random.next());
        Ok(Phone { socket, address, uri, tag, last: None, heard: Vec::new() })
    }

    /// Where it is really.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URI that it is called by.
    pub fn uri(&self) -> &'static str {
        self.uri
    }

    /// An INVITE for an address-of-record.
    pub fn invite(&self, callee: &str, random: &mut impl Random) -> Request {
        let mut request = Request::new(Method::Invite, callee);
        let rows = &mut request.headers;
        add(rows, HeaderName::Via, self.via(random));
        add(rows, HeaderName::MaxForwards, "70");
        add(rows, HeaderName::From, format!("<{}>;tag={}", self.uri, self.tag));
        add(rows, HeaderName::To, format!("<{callee}>"));
        add(rows, HeaderName::CallId, format!("{:016x}", random.next()));
        add(rows, HeaderName::CSeq, "1 INVITE");
        add(rows, HeaderName::Contact, self.contact());
        request
    }

    /// The ACK of a final response that is no 2xx, which belongs to the INVITE (RFC 3261 §17.1.1.3).
    pub fn acknowledgement(invite: &Request, refusal: &Response) -> Request {
        let mut request = Request::new(Method::Ack, invite.uri.clone());
        let rows = &mut request.headers;
        for name in [HeaderName::Via, HeaderName::MaxForwards, HeaderName::From, HeaderName::CallId] {
            copy(rows, &name, &invite.headers);
        }
        copy(rows, &HeaderName::To, &refusal.headers);
        add(rows, HeaderName::CSeq, "1 ACK");
        request
    }

    /// A request within a dialog: the ACK of its 2xx, or BYE.
    pub fn within(&self, dialog: &Dialog, method: &Method, cseq: u32, random: &mut impl Random) -> Request {
        let mut request = Request::new(method.clone(), dialog.target.clone());
        let rows = &mut request.headers;
        add(rows, HeaderName::Via, self.via(random));
        dialog.routes.iter().for_each(|route| add(rows, HeaderName::Route, route.clone()));
        add(rows, HeaderName::MaxForwards, "70");
        dialog.names.iter().for_each(|name| rows.push(name.clone()));
        add(rows, HeaderName::CSeq, format!("{cseq} {method}"));
        request
    }

    /// The answer to a request (RFC 3261 §8.2.6), with a Contact where it makes a dialog.
    pub fn response(&self, request: &Request, status: u16) -> Response {
        let mut response = Response::new(status);
        let rows = &mut response.headers;
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            copy(rows, &name, &request.headers);
        }
        match request.headers.get(&HeaderName::To) {
            Some(to) if request.headers.tag(&HeaderName::To).is_none() => {
                add(rows, HeaderName::To, format!("{};tag={}", to.text_lossy(), self.tag));
            }
            Some(_) | None => copy(rows, &HeaderName::To, &request.headers),
        }
        if request.method == Method::Invite && status < 300 {
            copy(rows, &HeaderName::RecordRoute, &request.headers);
            add(rows, HeaderName::Contact, self.contact());
        }
        response
    }

    /// Sends a message, which is sent again as long as nothing comes.
    pub async fn send(&mut self, message: impl Into<Message>, to: SocketAddr) -> io::Result<Bytes> {
        let mut octets = Vec::with_capacity(1024);
        message.into().write(&mut octets);
        let octets = Bytes::from(octets);
        self.socket.send_to(&octets, to).await?;
        self.last = Some((octets.clone(), to));
        Ok(octets)
    }

    /// Sends what it sent last again.
    pub async fn send_again(&self) -> io::Result<()> {
        if let Some((octets, to)) = &self.last {
            self.socket.send_to(octets, to).await?;
        }
        Ok(())
    }

    /// The next message that is no copy. Can be dropped at any time.
    pub async fn receive(&mut self) -> io::Result<Bytes> {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let (length, _) = self.socket.recv_from(&mut buffer).await?;
            let octets = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            if !self.heard.contains(&octets) {
                self.heard.push(octets.clone());
                return Ok(octets);
            }
        }
    }

    fn via(&self, random: &mut impl Random) -> String {
        format!("SIP/2.0/UDP {};branch=z9hG4bK{:016x};rport", self.address, random.next())
    }

    /// Its own address, for those who talk to it already.
    fn contact(&self) -> String {
        format!("<{}@{}>", self.uri.split('@').next().unwrap_or_default(), self.address)
    }
}

impl Dialog {
    /// The dialog that a 2xx makes for the caller; `None` if it names nobody to talk to.
    pub fn of(answer: &Response) -> Option<Dialog> {
        let contacts = answer.headers.contact_values();
        let AnyUri::Sip(target) = &contacts.first()?.as_ref().ok()?.uri else { return None };
        let mut routes = answer.headers.name_addrs(&HeaderName::RecordRoute).ok()?;
        routes.reverse();
        let names = [HeaderName::From, HeaderName::To, HeaderName::CallId];
        Some(Dialog {
            target: target.to_string(),
            routes: routes.iter().map(NameAddr::to_string).collect(),
            names: names.iter().filter_map(|name| answer.headers.get(name).cloned()).collect(),
        })
    }
}

/// Adds a row. Its value comes from here or from a row that was read, so that it has no line end, for which it would be
/// left out.
fn add(rows: &mut Headers, name: HeaderName, value: impl Into<Bytes>) {
    Header::new(name, value).into_iter().for_each(|row| rows.push(row));
}

/// Copies all rows of a name.
fn copy(rows: &mut Headers, name: &HeaderName, from: &Headers) {
    from.all(name).for_each(|row| rows.push(row.clone()));
}
