//! Several servers with one location service: each is a node of it. A device has its connection with one node, or has made a
//! hole in its NAT for that node's socket; whoever calls the device by another one is handed over to that node.
//!
//! A node tells the others by the location service where it listens for them, with a key of its process ([`Presence`]). A
//! request is handed over with a Route that leads there: its user part names the flow, as RFC 5626 §5.2 has it, and its
//! parameter `node` proves that a node has sent it ([`Proof`]). Requests within a dialog have a Route that the node has
//! recorded itself, and get that parameter only.
//!
//! The proof is an HMAC-SHA-256 of 128 bits over the Route and all by which a request is known (method, Request-URI, Call-ID,
//! CSeq, branch and sender of the topmost Via), and the time. Its key is that of the process, which is in the location service
//! alone, mixed with a secret that is not, where there is one. So nobody can forge it without both, nobody can name another
//! flow, another call or another device with one that was seen, and what is sent once more is a copy, or too old. Bodies are
//! not covered: whoever can change what passes between nodes is kept out by TLS.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ids::Random;
use super::{Destination, FlowId, Time, Transport};
use crate::sip::{FieldError, Host, Method, Request, Scheme, Uri, Via};

/// A process of a server that shares the location service, by a number that this process gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// This process.
    pub const LOCAL: NodeId = NodeId(0);

    /// A process that is no more, or has never said where it is.
    pub const GONE: NodeId = NodeId(u32::MAX);
}

/// A key of 256 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// A new one.
    pub fn random(random: &mut dyn Random) -> Key {
        let mut key = [0; 32];
        for eight in key.as_chunks_mut::<8>().0 {
            *eight = random.next().to_be_bytes();
        }
        Key(key)
    }

    /// A key from a secret of any length.
    #[must_use]
    pub fn of(secret: &[u8]) -> Key {
        Key(mac(&Key([0; 32]), [secret].into_iter()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What a node tells the others of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Over what they hand requests over.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// What their proofs are made with.
    pub key: Key,
}

/// Another node, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it tells of itself.
    pub presence: Presence,
    /// The host that its certificate has to be for, over TLS.
    pub host: Arc<str>,
    /// By how much its clock is ahead of ours, in milliseconds.
    pub ahead: i64,
}

/// Where a device is, on the node that it is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The connection; of datagrams the socket.
    pub flow: FlowId,
    /// Whom datagrams go to.
    pub peer: Option<SocketAddr>,
}

impl Place {
    /// Reads what [`Display`](fmt::Display) wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Place> {
        let (flow, address) = text.split_at_checked(16)?;
        let flow = FlowId(u64::from_str_radix(flow, 16).ok()?);
        let peer = if address.is_empty() { None } else { Some(address_named(address)?) };
        Some(Place { flow, peer })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.flow.0)?;
        self.peer.map_or(Ok(()), |peer| f.write_str(&name_of(peer)))
    }
}

/// An address as hexadecimal digits: four of its port, then those of the IP address.
#[must_use]
pub fn name_of(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => format!("{port:04x}{:08x}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{port:04x}{:032x}", ip.to_bits()),
    }
}

/// Reads what [`name_of`] wrote.
#[must_use]
pub fn address_named(digits: &str) -> Option<SocketAddr> {
    let (port, ip) = digits.split_at_checked(4)?;
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from_bits(u32::from_str_radix(ip, 16).ok()?).into(),
        32 => Ipv6Addr::from_bits(u128::from_str_radix(ip, 16).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

impl Peer {
    /// Where requests for it go.
    #[must_use]
    pub fn destination(&self) -> Destination {
        let Presence { transport, address, .. } = self.presence;
        let name = transport.is_secure().then(|| Arc::clone(&self.host));
        Destination { name, ..Destination::new(transport, address) }
    }

    /// The time by its clock, when it is `now` by ours.
    #[must_use]
    pub fn clock(&self, now: Time) -> Time {
        Time::from_millis(now.as_millis().saturating_add_signed(self.ahead))
    }

    /// The Route that hands a request over to whoever is at that place.
    #[must_use]
    pub fn route(&self, place: Place) -> Uri {
        let Presence { transport, address, .. } = self.presence;
        let scheme = if transport.is_secure() { Scheme::Sips } else { Scheme::Sip };
        let mut uri = Uri::new(scheme, Host::from(address.ip()));
        (uri.user, uri.port) = (Some(place.to_string()), Some(address.port()));
        if !transport.is_secure() {
            uri.params.set("transport", Some(transport.as_param()));
        }
        uri.params.set("lr", None);
        uri
    }
}

/// The parameter of a Route URI that proves that a node has sent the request.
const PROOF: &str = "node";

/// A proof may be so old, or from so far ahead, in seconds: what clocks may differ, with the time that a request takes.
const FRESH: u64 = 60;

/// What a proof is made of.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// The key of the process that it is for.
    pub key: &'a Key,
    /// What nodes know besides, where there is such a secret.
    pub secret: Option<&'a Key>,
    /// The method of the request.
    pub method: &'a Method,
    /// Its Request-URI, as it is written.
    pub uri: &'a str,
    /// Its Call-ID.
    pub call_id: &'a str,
    /// The number of its CSeq.
    pub cseq: u32,
    /// The branch of its topmost Via.
    pub branch: &'a str,
    /// Who that says has sent it.
    pub sent_by: (&'a Host, Option<u16>),
}

impl<'a> Proof<'a> {
    /// That of a request which has come in with this topmost Via.
    ///
    /// # Errors
    /// A header that can't be read.
    pub fn of(
        request: &'a Request,
        via: &'a Via,
        key: &'a Key,
        secret: Option<&'a Key>,
    ) -> Result<Proof<'a>, FieldError> {
        let (call_id, cseq) = (request.headers.call_id()?, request.headers.cseq()?.number);
        let (method, uri, sent_by) = (&request.method, &*request.uri, (&via.host, via.port));
        let branch = via.branch().unwrap_or_default();
        Ok(Proof { key, secret, method, uri, call_id, cseq, branch, sent_by })
    }

    /// The Route with the proof in it, by the clock of the other node.
    #[must_use]
    pub fn put_in(&self, route: &Uri, now: Time) -> Uri {
        let mut route = route.clone();
        route.params.remove(PROOF);
        let at = now.as_millis() / 1000;
        let mut value = format!("{at:x}-");
        for octet in self.made(&route, at) {
            // Writing to a String cannot fail.
            let _ = write!(value, "{octet:02x}");
        }
        route.params.set(PROOF, Some(&value));
        route
    }

    /// Whether the Route has the proof that belongs there, and a fresh one.
    #[must_use]
    pub fn is_in(&self, route: &Uri, now: Time) -> bool {
        let Some((at, digits)) = route.param(PROOF).flatten().and_then(|value| value.split_once('-')) else {
            return false;
        };
        let Ok(at) = u64::from_str_radix(at, 16) else { return false };
        if at.abs_diff(now.as_millis() / 1000) > FRESH {
            return false;
        }
        let mut bare = route.clone();
        bare.params.remove(PROOF);
        let made = self.made(&bare, at).into_iter().fold(String::with_capacity(32), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        });
        subtle::ConstantTimeEq::ct_eq(made.as_bytes(), digits.as_bytes()).into()
    }

    fn made(&self, route: &Uri, at: u64) -> [u8; 16] {
        let Proof { key, secret, method, uri, call_id, cseq, branch, sent_by: (host, port) } = *self;
        let key = secret.map_or(*key, |secret| Key(mac(secret, [&key.0[..]].into_iter())));
        let (numbers, port) = (format!("{at} {cseq}"), port.map(|port| port.to_string()));
        let (route, host) = (route.to_string(), host.to_string());
        let port = port.unwrap_or_default();
        let parts = [&route, method.as_str(), uri, call_id, &numbers, branch, &host, &port];
        let whole = mac(&key, parts.into_iter().map(str::as_bytes));
        std::array::from_fn(|at| whole.get(at).copied().unwrap_or_default())
    }
}

/// The MAC of these parts, each with its length before it.
fn mac<'a>(key: &Key, parts: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    // HMAC fills a short key up with zeros (RFC 2104 §2).
    let mut block = [0; 64];
    block.iter_mut().zip(key.0).for_each(|(octet, of_key)| *octet = of_key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(&part.len().to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ids::Counting;

    fn peer(transport: Transport) -> Peer {
        let key = Key::random(&mut Counting::default());
        let presence = Presence { transport, address: "10.0.0.2:5070".parse().unwrap(), key };
        Peer { presence, host: "b.munich.de".into(), ahead: 0 }
    }

    #[test]
    fn a_route_names_a_place_on_the_other_node() {
        let place = Place { flow: FlowId(0x8000_0000_0000_0001), peer: None };
        let way = "sip:8000000000000001@10.0.0.2:5070;transport=tcp;lr";
        assert_eq!(peer(Transport::Tcp).route(place).to_string(), way);
        for (address, digits) in [
            ("198.51.100.7:40001", "9c41c6336407"),
            ("[2001:db8::7]:5060", "13c420010db8000000000000000000000007"),
        ] {
            let at = Place { flow: FlowId(3), peer: address.parse().ok() };
            let text = format!("0000000000000003{digits}");
            assert_eq!((at.to_string(), Place::parse(&text)), (text, Some(at)));
        }
        let secure = peer(Transport::Tls).route(place).to_string();
        assert_eq!(secure, "sips:8000000000000001@10.0.0.2:5070;lr");
        for broken in ["", "1", "800000000000000x", "0000000000000003c0", "00000000000000039c41c63364"] {
            assert_eq!(Place::parse(broken), None, "{broken}");
        }
    }

    /// OBS-003: it says where, and for which request; whatever else is said has another proof.
    #[test]
    fn a_proof_is_for_one_request_by_one_way_at_one_time() {
        let (peer, now) = (peer(Transport::Tcp), Time::from_millis(1_792_000_000_999));
        let route = peer.route(Place { flow: FlowId(7), peer: None });
        let (host, secret, other) = (Host::parse("10.0.0.1").unwrap(), Key([7; 32]), Key([8; 32]));
        let proof = Proof {
            key: &peer.presence.key,
            secret: Some(&secret),
            method: &Method::Invite,
            uri: "sip:a@10.0.0.7",
            call_id: "c1",
            cseq: 4,
            branch: "z9hG4bK1",
            sent_by: (&host, Some(5070)),
        };
        let made = proof.put_in(&route, now);
        assert!(proof.is_in(&made, now), "{made}");
        let again = Uri::parse(made.to_string()).unwrap();
        assert!(proof.is_in(&again, now), "as it is read: {again}");
        assert_eq!(proof.put_in(&made, now).to_string(), made.to_string(), "there is one at most");
        let later = |seconds: u64| Time::from_millis(now.as_millis() + seconds * 1000);
        assert!(proof.is_in(&made, later(60)) && !proof.is_in(&made, later(61)));
        assert!(proof.is_in(&proof.put_in(&route, later(60)), now));
        assert!(!proof.is_in(&proof.put_in(&route, later(61)), now), "from so far ahead");
        let elsewhere = Host::parse("10.0.0.3").unwrap();
        for (n, other) in [
            Proof { key: &other, ..proof },
            Proof { secret: Some(&other), ..proof },
            Proof { secret: None, ..proof },
            Proof { method: &Method::Bye, ..proof },
            Proof { uri: "sip:a@10.0.0.8", ..proof },
            Proof { call_id: "c2", ..proof },
            Proof { cseq: 5, ..proof },
            Proof { branch: "z9hG4bK2", ..proof },
            Proof { sent_by: (&elsewhere, Some(5070)), ..proof },
            Proof { sent_by: (&host, None), ..proof },
        ]
        .into_iter()
        .enumerate()
        {
            assert!(!other.is_in(&made, now), "{n}");
        }
        for (part, by) in [
            ("0000000000000007", "0000000000000008"),
            ("0000000000000007", "00000000000000079c41c6336407"),
            (":5070", ":5071"),
            (";lr", ""),
            ("-", ""),
            (";node=", ";nod="),
            (";node=", ";node=1"),
        ] {
            let text = made.to_string();
            assert!(text.contains(part), "{text}");
            let forged = Uri::parse(text.replacen(part, by, 1)).unwrap();
            assert!(!proof.is_in(&forged, now), "{forged}");
        }
        assert!(!proof.is_in(&route, now), "without one");
        assert_eq!(format!("{:?}", peer.presence.key), "Key(…)");
    }

    #[test]
    fn a_secret_of_any_length_is_a_key() {
        let keys = ["", "a", &"a".repeat(1000)].map(|secret| Key::of(secret.as_bytes()));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
