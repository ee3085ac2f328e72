//! How the bindings of one address-of-record are written in a file: everything little-endian, after a first octet that says
//! how to read the rest.
//!
//! | octets | what |
//! | --- | --- |
//! | 1 | [`VERSION`] |
//! | 2 | the number of bindings; for each: |
//! | 1 | flags: a preference is given, requests go to the source, the source is IPv6 |
//! | 1 | the transport of the source, as its place in [`Transport::ALL`] |
//! | 8 | the flow of the source |
//! | 4 or 16 + 4 | its address; of IPv6 with the number of its zone |
//! | 2 | its port |
//! | 2 | the preference in thousandths; 0 if none is given |
//! | 4 | CSeq |
//! | 8 | when it runs out, in milliseconds of the epoch |
//! | 8 | when it was refreshed, likewise |
//! | 3 × (4 + n) | Contact, Call-ID and Path, each behind its length |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use crate::proto::binding::{Binding, Source, Texts};
use crate::proto::{FlowId, NodeId, Time, Transport};
use crate::sip::Q;

/// The first octet of every record.
const VERSION: u8 = 1;

const HAS_Q: u8 = 1;
const IS_WAY: u8 = 2;
const IS_V6: u8 = 4;

/// Bindings as octets; `None` where there are none, and so no record.
pub(super) fn write(bindings: &[Binding]) -> Option<Vec<u8>> {
    if bindings.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(bindings.iter().map(|binding| 64 + binding.octets()).sum());
    out.push(VERSION);
    // No policy grants as many as that.
    let count = u16::try_from(bindings.len()).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    for binding in bindings.iter().take(usize::from(count)) {
        // Only this server has the file.
        let Source { flow, peer, transport, is_way, node: _ } = binding.source;
        let mut flags = 0;
        flags |= if binding.q.is_some() { HAS_Q } else { 0 };
        flags |= if is_way { IS_WAY } else { 0 };
        flags |= if peer.is_ipv6() { IS_V6 } else { 0 };
        let place = Transport::ALL.iter().position(|one| *one == transport).unwrap_or_default();
        out.extend([flags, u8::try_from(place).unwrap_or_default()]);
        out.extend(flow.0.to_le_bytes());
        match peer {
            SocketAddr::V4(peer) => out.extend(peer.ip().octets()),
            SocketAddr::V6(peer) => {
                out.extend(peer.ip().octets());
                out.extend(peer.scope_id().to_le_bytes());
            }
        }
        out.extend(peer.port().to_le_bytes());
        out.extend(binding.q.map_or(0, Q::thousandths).to_le_bytes());
        out.extend(binding.cseq.to_le_bytes());
        out.extend(binding.expires.as_millis().to_le_bytes());
        out.extend(binding.refreshed.as_millis().to_le_bytes());
        for text in [binding.contact(), binding.call_id(), binding.path()] {
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(text.as_bytes());
        }
    }
    Some(out)
}

/// Bindings as [`write`] wrote them; `None`: it did not write that. A connection of then is none of those that are open now.
pub(super) fn read(octets: &[u8]) -> Option<Arc<[Binding]>> {
    let mut rest = Rest(octets);
    let [VERSION] = rest.array()? else { return None };
    let count = u16::from_le_bytes(rest.array()?);
    let bindings: Option<Arc<[Binding]>> = (0..count).map(|_| read_one(&mut rest)).collect();
    bindings.filter(|bindings| rest.0.is_empty() && !bindings.is_empty())
}

fn read_one(rest: &mut Rest<'_>) -> Option<Binding> {
    let [flags, place] = rest.array()?;
    let transport = *Transport::ALL.get(usize::from(place))?;
    let flow = FlowId(u64::from_le_bytes(rest.array()?));
    let flow = if transport.is_reliable() { FlowId::GONE } else { flow };
    let (ip, zone): (IpAddr, u32) = if flags & IS_V6 == 0 {
        (Ipv4Addr::from(rest.array::<4>()?).into(), 0)
    } else {
        (Ipv6Addr::from(rest.array::<16>()?).into(), u32::from_le_bytes(rest.array()?))
    };
    let port = u16::from_le_bytes(rest.array()?);
    let peer = match ip {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, zone).into(),
    };
    let q = Q::new(u16::from_le_bytes(rest.array()?))?;
    let cseq = u32::from_le_bytes(rest.array()?);
    let expires = Time::from_millis(u64::from_le_bytes(rest.array()?));
    let refreshed = Time::from_millis(u64::from_le_bytes(rest.array()?));
    let (contact, call_id, path) = (rest.text()?, rest.text()?, rest.text()?);
    Some(Binding {
        texts: Texts::new(contact, call_id, path),
        q: (flags & HAS_Q != 0).then_some(q),
        cseq,
        expires,
        refreshed,
        source: Source { flow, peer, transport, is_way: flags & IS_WAY != 0, node: NodeId::LOCAL },
    })
}

/// Octets that are not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(head).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(peer: &str, transport: Transport, q: Option<Q>) -> Binding {
        Binding {
            texts: Texts::new("<sip:ä@h>;+x=\"y\"", "call@id", "<sip:p;lr>"),
            q,
            cseq: u32::MAX,
            expires: Time::from_millis(u64::MAX),
            refreshed: Time::from_millis(1_792_000_000_123),
            source: Source {
                flow: FlowId(3),
                peer: peer.parse().unwrap(),
                transport,
                is_way: transport == Transport::Udp,
                node: NodeId::LOCAL,
            },
        }
    }

    /// RGR-034: all that belongs to it; but no connection of then is open now.
    #[test]
    fn what_is_read_is_what_was_written() {
        let bindings = [
            binding("192.0.2.1:5060", Transport::Udp, None),
            binding("[2001:db8::1]:5061", Transport::Udp, Q::new(0)),
            binding("[fe80::1%7]:65535", Transport::Udp, Some(Q::ONE)),
        ];
        assert_eq!(read(&write(&bindings).unwrap()).unwrap()[..], bindings);
        assert_eq!(write(&[]), None);
        for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
            let connected = binding("192.0.2.1:40000", transport, None);
            let found = read(&write(std::slice::from_ref(&connected)).unwrap()).unwrap();
            let source = Source { flow: FlowId::GONE, ..connected.source };
            assert_eq!(found[..], [Binding { source, ..connected }]);
        }
    }

    /// However it is damaged, it is nothing, or bindings.
    #[test]
    fn what_was_not_written_is_not_read() {
        let octets = write(&[binding("[::1]:1", Transport::Udp, None)]).unwrap();
        for end in 0..octets.len() {
            assert_eq!(read(&octets[..end]), None, "{end}");
        }
        assert_eq!(read(&[&octets[..], &[0]].concat()), None);
        assert_eq!(read(&[&[2], &octets[1..]].concat()), None, "another version");
        for at in 0..octets.len() {
            for bit in 0..8 {
                let mut other = octets.clone();
                other[at] ^= 1 << bit;
                let _ = read(&other);
            }
        }
    }
}
