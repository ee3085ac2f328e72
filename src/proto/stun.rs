//! STUN as far as a keep-alive needs it (RFC 5626 §4.4.2, §8): a Binding request without credentials, and its answer, which
//! says how the other side sees us (RFC 5389). It shares a socket with SIP, and its first octet tells it from that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

/// The second word of every message (RFC 5389 §6).
const COOKIE: u32 = 0x2112_A442;

const HEADER: usize = 20;

/// The types of message (§6).
const REQUEST: u16 = 0x0001;
const INDICATION: u16 = 0x0011;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;

/// The attributes that are written (§15).
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// What a request may have in it though nothing is made of it: an address, and credentials, which nobody asks for here.
const UNDERSTOOD: [u16; 8] =
    [MAPPED_ADDRESS, 0x0006, 0x0008, ERROR_CODE, UNKNOWN_ATTRIBUTES, 0x0014, 0x0015, XOR_MAPPED_ADDRESS];

/// Attributes of one request that are looked at.
const MOST_ATTRIBUTES: usize = 64;

/// What pairs an answer with its request (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StunId(pub [u8; 12]);

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stun {
    /// Somebody asks how they are seen. `unknown`: attributes that would have to be understood, and are not (§7.3.1).
    Request {
        /// Goes back in the answer.
        id: StunId,
        /// The types of those attributes.
        unknown: Vec<u16>,
    },
    /// We are seen at that address.
    Mapped(StunId, SocketAddr),
    /// The request was refused, or its answer says no address.
    Refused(StunId),
}

/// Whether a datagram is meant as STUN and not as SIP (RFC 5626 §8, RFC 5389 §6): the first octet is 0 or 1, and there is a
/// whole header.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && matches!(datagram.first(), Some(0 | 1))
}

/// Reads a datagram; `None`: it is no Binding request, no answer to one, or broken. An indication needs no answer.
#[must_use]
pub fn read(datagram: &[u8]) -> Option<Stun> {
    let (header, body) = datagram.split_at_checked(HEADER)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let cookie = u32::from_be_bytes(header[4..8].try_into().ok()?);
    if cookie != COOKIE || usize::from(word(2)) != body.len() || body.len() % 4 != 0 {
        return None;
    }
    let id = StunId(header[8..].try_into().ok()?);
    match word(0) {
        REQUEST => {
            let mut unknown = Vec::new();
            for attribute in attributes(body) {
                let (kind, _) = attribute?;
                if kind < 0x8000 && !UNDERSTOOD.contains(&kind) && !unknown.contains(&kind) {
                    unknown.push(kind);
                }
            }
            Some(Stun::Request { id, unknown })
        }
        SUCCESS => {
            let found = |wanted: u16| attributes(body).flatten().find(|(kind, _)| *kind == wanted);
            let mapped = found(XOR_MAPPED_ADDRESS).and_then(|(_, value)| address(value, Some(id)));
            // Servers from before RFC 5389 have the plain one alone.
            let mapped = mapped.or_else(|| found(MAPPED_ADDRESS).and_then(|(_, value)| address(value, None)));
            Some(mapped.map_or(Stun::Refused(id), |mapped| Stun::Mapped(id, mapped)))
        }
        ERROR => Some(Stun::Refused(id)),
        INDICATION => None,
        _ => None,
    }
}

/// The attributes of a message, each with its type; `None` where they can't be told apart any more.
fn attributes(body: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    let mut rest = body;
    let next = move || {
        if rest.is_empty() {
            return None;
        }
        let one = take(&mut rest);
        if one.is_none() {
            rest = &[];
        }
        Some(one)
    };
    std::iter::from_fn(next).take(MOST_ATTRIBUTES)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let (head, tail) = rest.split_at_checked(4)?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = tail.get(..length)?;
    *rest = tail.get(length.next_multiple_of(4)..)?;
    Some((kind, value))
}

/// The address in a MAPPED-ADDRESS or, with the id that hides it from what rewrites addresses, in an XOR-MAPPED-ADDRESS
/// (§15.1, §15.2).
fn address(value: &[u8], hidden_by: Option<StunId>) -> Option<SocketAddr> {
    let (head, octets) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2], head[3]]);
    let plain: IpAddr = match head[1] {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into(),
        _ => return None,
    };
    Some(match hidden_by {
        Some(id) => exclusive_or(SocketAddr::new(plain, port), id),
        None => SocketAddr::new(plain, port),
    })
}

/// An address as it stands in an XOR-MAPPED-ADDRESS, and back (§15.2).
fn exclusive_or(address: SocketAddr, id: StunId) -> SocketAddr {
    let port = address.port() ^ (COOKIE >> 16) as u16;
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() ^ COOKIE).into(),
        IpAddr::V6(ip) => {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&COOKIE.to_be_bytes());
            key[4..].copy_from_slice(&id.0);
            Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(key)).into()
        }
    };
    SocketAddr::new(ip, port)
}

/// A Binding request without attributes.
#[must_use]
pub fn request(id: StunId) -> Bytes {
    message(REQUEST, id, &[])
}

/// The answer to a request: it came from `peer`, or has attributes that would have to be `unknown` no more (§7.3.1).
#[must_use]
pub fn answer(id: StunId, peer: SocketAddr, unknown: &[u16]) -> Bytes {
    let mut body = BytesMut::new();
    if unknown.is_empty() {
        let hidden = exclusive_or(peer, id);
        let (family, octets) = match hidden.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        attribute(
            &mut body,
            XOR_MAPPED_ADDRESS,
            &[&[0, family], &hidden.port().to_be_bytes(), &*octets].concat(),
        );
        return message(SUCCESS, id, &body);
    }
    attribute(&mut body, ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
    let types: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    attribute(&mut body, UNKNOWN_ATTRIBUTES, &types);
    message(ERROR, id, &body)
}

fn attribute(body: &mut BytesMut, kind: u16, value: &[u8]) {
    body.put_u16(kind);
    body.put_u16(u16::try_from(value.len()).unwrap_or(0));
    body.put_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn message(kind: u16, id: StunId, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + body.len());
    out.put_u16(kind);
    out.put_u16(u16::try_from(body.len()).unwrap_or(0));
    out.put_u32(COOKIE);
    out.put_slice(&id.0);
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StunId = StunId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The addresses of the sample responses in RFC 5769 §2.2 and §2.3.
    #[test]
    fn addresses_are_hidden_as_the_rfc_shows() {
        let samples = [
            ("192.0.2.1:32853", "0020 0008 0001a147 e112a643"),
            (
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                "0020 0014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9",
            ),
        ];
        for (peer, attribute) in samples {
            let peer: SocketAddr = peer.parse().unwrap();
            let bytes = answer(ID, peer, &[]);
            assert_eq!(bytes[HEADER..], octets(attribute), "{peer}");
            assert_eq!(read(&bytes), Some(Stun::Mapped(ID, peer)));
        }
    }

    /// RFC 5769 §2.1: its attributes are understood or may be passed over.
    #[test]
    fn a_request_is_known_with_whatever_attributes_it_has() {
        let sample = octets(
            "0001 0058 2112a442 b7e7a701bc34d686fa87dfae 8022 0010 5354554e 20746573 7420636c 69656e74 0024 0004 6e0001ff \
             8029 0008 932ff9b1 51263b36 0006 0009 6576746a 3a683676 59202020 0008 0014 9aeaa70c bfd8cb56 781ef2b5 \
             b2d3f249 c1b571a2 8028 0004 e57a3bcf",
        );
        assert_eq!(read(&sample), Some(Stun::Request { id: ID, unknown: vec![0x0024] }));
        let refusal = answer(ID, "192.0.2.1:5060".parse().unwrap(), &[0x0024]);
        assert_eq!(read(&refusal), Some(Stun::Refused(ID)));
        assert_eq!(read(&request(ID)), Some(Stun::Request { id: ID, unknown: Vec::new() }));
        let plain = message(SUCCESS, ID, &octets("0001 0008 00011234 c0000201"));
        assert_eq!(read(&plain), Some(Stun::Mapped(ID, "192.0.2.1:4660".parse().unwrap())));
        assert_eq!(read(&message(SUCCESS, ID, &[])), Some(Stun::Refused(ID)));
        assert_eq!(read(&message(INDICATION, ID, &[])), None);
    }

    /// OUT-031
    #[test]
    fn what_is_cut_short_or_is_sip_is_no_stun() {
        let whole = answer(ID, "[2001:db8::1]:5060".parse().unwrap(), &[]);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None);
        }
        for at in 0..8 {
            let mut broken = whole.to_vec();
            broken[at] ^= 0x40;
            assert_eq!(read(&broken), None, "octet {at}");
        }
        let overlong = message(REQUEST, ID, &octets("0020 00ff 00000000"));
        assert_eq!(read(&overlong), None);
        assert!(is_stun(&whole) && is_stun(&request(ID)));
        assert!(!is_stun(b"SIP/2.0 200 OK") && !is_stun(b"\r\n\r\n") && !is_stun(&[0; HEADER - 1]));
    }
}
