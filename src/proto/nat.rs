//! Devices behind a NAT, as a server sees them: they call themselves by an address that is theirs alone, and are reached only where
//! their requests came from (row DSR-004; RFC 3581 §4, RFC 5626 §5.3).
//!
//! Nothing is concluded from an address alone: a private one is as good as any other where the server is in the same network. A
//! device is behind a NAT if its request came directly, and from elsewhere than its Via says; and it is the device itself that
//! is bound if the Contact names the same place as the Via. Whoever registers somebody else, or by way of a proxy, gets what the
//! Contact says.

use std::net::SocketAddr;

use super::transport::Transport;
use crate::sip::{Host, Request, Scheme, Uri, Via};

/// The other end of a flow, as it calls itself and as it is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    /// The topmost Via of its request.
    via: &'a Via,
    peer: SocketAddr,
    transport: Transport,
    /// Whether the request came from there without anybody between.
    is_direct: bool,
}

impl<'a> Sender<'a> {
    /// Who sent a request, whose topmost Via is `via`, from `peer`.
    pub fn of(request: &Request, via: &'a Via, peer: SocketAddr, transport: Transport) -> Sender<'a> {
        Sender { via, peer, transport, is_direct: request.headers.via_count() == 1 }
    }

    /// Whether requests for that contact go back the way by which the request came: it is the sender's own, and the sender is behind a
    /// NAT, or has a connection, which is a way whether there is a NAT or not.
    pub fn is_way_to(&self, contact: &Uri) -> bool {
        if !self.is_direct {
            return self.transport.is_reliable() && is_by_connection(contact);
        }
        if self.transport.is_reliable() { self.has_connected(contact) } else { self.is_behind_nat(contact) }
    }

    /// Over UDP: the contact is what the Via says, and that is not where the request came from. If host names or ports alone differ
    /// from that, the sender has to ask for answers there besides (RFC 3581 §3): a host without a NAT may send from one port and
    /// listen at another (RFC 3261 §18.1.1).
    fn is_behind_nat(&self, contact: &Uri) -> bool {
        let source = self.peer.ip().to_canonical();
        let (port, default) = (self.via.port, Transport::Udp.default_port());
        let is_named = contact.host == self.via.host
            && contact.port.unwrap_or(default) == port.unwrap_or(default)
            && contact.scheme == Scheme::Sip
            && contact.param("maddr").is_none()
            && contact.transport().is_none_or(|over| Transport::parse(over) == Some(Transport::Udp));
        let is_elsewhere = match self.via.host.ip() {
            Some(ip) if ip.is_ipv4() != source.is_ipv4() => false,
            Some(ip) if ip != source => true,
            Some(_) => port.unwrap_or(default) != self.peer.port() && self.via.params.has("rport"),
            None => self.via.params.has("rport"),
        };
        is_named && is_elsewhere
    }

    /// Over a connection: the contact is what the Via says, or where the request came from. Where the Via says another host than
    /// that, ports mean nothing, since they are those of two sides of a NAT.
    fn has_connected(&self, contact: &Uri) -> bool {
        let source = self.peer.ip().to_canonical();
        let is_here = contact.host == self.via.host || contact.host.ip() == Some(source);
        let default = match contact.scheme {
            Scheme::Sip => self.transport.default_port(),
            Scheme::Sips => self.transport.secured().unwrap_or(self.transport).default_port(),
        };
        let port = contact.port.unwrap_or(default);
        let is_port =
            || [self.via.port.unwrap_or(self.transport.default_port()), self.peer.port()].contains(&port);
        is_by_connection(contact) || is_here && (self.via.host.ip() != Some(source) || is_port())
    }
}

/// Whether a device with that contact is reached by its own connection alone: the host leads nowhere, or it is a WebSocket's
/// (RFC 7118 §5, §8.1).
pub(super) fn is_by_connection(contact: &Uri) -> bool {
    leads_nowhere(contact)
        || contact.transport().and_then(Transport::parse).is_some_and(Transport::is_websocket)
}

/// Whether the host is made to lead nowhere (RFC 2606 §2).
pub(super) fn leads_nowhere(uri: &Uri) -> bool {
    match &uri.host {
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            name == "invalid" || name.ends_with(".invalid")
        }
        Host::V4(_) | Host::V6(_) => false,
    }
}

/// Whether a contact says where its device is seen. The port that a connection comes from is none where anybody listens, and
/// says nothing of a NAT.
pub(super) fn is_at(uri: &Uri, address: SocketAddr, transport: Transport) -> bool {
    uri.host.ip() == Some(address.ip().to_canonical())
        && (transport.is_reliable() || uri.port.unwrap_or(transport.default_port()) == address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    /// Whether the way back is the way to that contact.
    fn is_way(vias: &str, peer: &str, contact: &str) -> bool {
        let rows: String =
            vias.split(" | ").map(|via| format!("Via: SIP/2.0/{via};branch=z9hG4bK1\r\n")).collect();
        let octets = format!("REGISTER sip:munich.de SIP/2.0\r\n{rows}\r\n");
        let request = match Message::parse_datagram(octets.into()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        };
        let via = request.headers.top_via().unwrap();
        let transport = Transport::parse(&via.transport).unwrap();
        let sender = Sender::of(&request, &via, peer.parse().unwrap(), transport);
        sender.is_way_to(&Uri::parse(contact).unwrap())
    }

    /// DSR-004
    #[test]
    fn a_device_is_behind_a_nat_where_its_own_contact_is_not_the_source() {
        for (vias, peer, contact) in [
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.7:5060"),
            ("UDP 10.0.0.7", "192.0.2.7:40000", "sip:a@10.0.0.7:5060"),
            ("UDP 10.0.0.7:5060;rport", "192.0.2.7:5060", "sip:a@10.0.0.7;transport=udp"),
            ("UDP 10.0.0.7:5062", "[::ffff:192.0.2.7]:40000", "sip:10.0.0.7:5062"),
            ("UDP [fd00::7]:5060", "[2001:db8::7]:40000", "sip:a@[FD00::7]"),
            ("UDP Phone.local;rport", "192.0.2.7:40000", "sip:a@phone.local"),
            ("UDP 192.0.2.7;rport", "192.0.2.7:40000", "sip:a@192.0.2.7"),
        ] {
            assert!(is_way(vias, peer, contact), "{vias}, {peer}, {contact}");
        }
        for (vias, peer, contact) in [
            // There is no NAT, or it can't be told from a host with two ports.
            ("UDP 192.0.2.7:5070;rport", "192.0.2.7:5070", "sip:a@192.0.2.7:5070"),
            ("UDP 192.0.2.7:5070;rport", "[::ffff:192.0.2.7]:5070", "sip:a@192.0.2.7:5070"),
            ("UDP 192.0.2.7", "192.0.2.7:40000", "sip:a@192.0.2.7"),
            ("UDP phone.local", "192.0.2.7:40000", "sip:a@phone.local"),
            // The contact is another one, or reached otherwise.
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.8:5060"),
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.7:5062"),
            ("UDP 10.0.0.7:5062", "192.0.2.7:40000", "sip:a@10.0.0.7"),
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@192.0.2.7:40000"),
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@[fd00::7]:5060"),
            ("UDP [fd00::7]:5060", "192.0.2.7:40000", "sip:a@[fd00::7]:5060"),
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.7:5060;transport=tcp"),
            ("UDP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.7:5060;maddr=10.0.0.8"),
            ("UDP 10.0.0.7:5061", "192.0.2.7:40000", "sips:a@10.0.0.7:5061"),
            // Somebody else has sent it on.
            ("UDP 10.0.0.7:5060 | UDP 10.0.0.9", "192.0.2.7:40000", "sip:a@10.0.0.7:5060"),
            ("UDP 10.0.0.7:5060, SIP/2.0/UDP 10.0.0.9", "192.0.2.7:40000", "sip:a@10.0.0.7:5060"),
            ("UDP a.invalid", "192.0.2.7:40000", "sip:a@a.invalid"),
        ] {
            assert!(!is_way(vias, peer, contact), "{vias}, {peer}, {contact}");
        }
    }

    /// DSR-004 OBS-019
    #[test]
    fn a_connection_is_the_way_to_the_own_contact_of_who_has_connected() {
        for (vias, peer, contact) in [
            ("TCP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.7:5060;transport=tcp"),
            ("TCP 10.0.0.7:49152", "192.0.2.7:40000", "sip:a@10.0.0.7;transport=tcp"),
            ("TLS 10.0.0.7:49152", "192.0.2.7:40000", "sips:a@10.0.0.7"),
            ("TCP 10.0.0.7:49152", "192.0.2.7:40000", "sip:a@192.0.2.7:40000"),
            ("TCP 192.0.2.7:5070", "192.0.2.7:40000", "sip:a@192.0.2.7:5070;transport=tcp"),
            ("TCP 192.0.2.7", "192.0.2.7:40000", "sip:a@192.0.2.7:40000;transport=tcp"),
            ("TLS 192.0.2.7", "192.0.2.7:40000", "sips:a@192.0.2.7"),
            ("WSS x.invalid", "192.0.2.7:40000", "sip:a@y.invalid;transport=ws"),
            ("WS x.invalid", "192.0.2.7:40000", "sip:a@10.0.0.7;transport=ws"),
            ("TCP 192.0.2.9 | WS x.invalid", "192.0.2.9:40000", "sip:a@x.invalid;transport=ws"),
        ] {
            assert!(is_way(vias, peer, contact), "{vias}, {peer}, {contact}");
        }
        for (vias, peer, contact) in [
            ("TCP 10.0.0.7:5060", "192.0.2.7:40000", "sip:a@10.0.0.8:5060;transport=tcp"),
            ("TLS 192.0.2.7:5061", "192.0.2.7:40000", "sip:a@vm.munich.de"),
            ("TCP 192.0.2.7:5070", "192.0.2.7:40000", "sip:b@192.0.2.7:5080;transport=tcp"),
            ("TCP 192.0.2.7:5070", "192.0.2.7:40000", "sip:a@[2001:db8::7]:5070;transport=tcp"),
            ("TCP 10.0.0.7:5060 | TCP 10.0.0.9", "192.0.2.7:40000", "sip:a@10.0.0.7:5060;transport=tcp"),
        ] {
            assert!(!is_way(vias, peer, contact), "{vias}, {peer}, {contact}");
        }
    }
}
