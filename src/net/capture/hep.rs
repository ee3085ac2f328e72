//! HEP3, the Homer Encapsulation Protocol: a datagram of chunks, each with vendor, type and length, big-endian. All of
//! these are generic chunks, whose vendor is 0.

use super::{Ends, Passage};
use crate::proto::Transport;

const FAMILY: u16 = 1;
const PROTOCOL: u16 = 2;
const IPV4_SOURCE: u16 = 3;
const IPV4_DESTINATION: u16 = 4;
const IPV6_SOURCE: u16 = 5;
const IPV6_DESTINATION: u16 = 6;
const SOURCE_PORT: u16 = 7;
const DESTINATION_PORT: u16 = 8;
const SECONDS: u16 = 9;
const MICROSECONDS: u16 = 10;
const CONTENT: u16 = 11;
const AGENT: u16 = 12;
const PAYLOAD: u16 = 15;
const NODE: u16 = 19;

/// The numbers that say what a chunk has: address families as Linux counts them, IP protocols, and SIP.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SIP: u8 = 1;

/// The number of this agent; a Homer tells agents apart by it, and by their names.
const NUMBER: u32 = 1;
const NAME: &[u8] = b"sipreg";

/// The datagram for a message; `None` if the message is too long for one.
pub(super) fn datagram(passage: &Passage<'_>) -> Option<Vec<u8>> {
    let (source, destination) = passage.source_and_destination();
    let mut out = Vec::with_capacity(passage.message.len() + 128);
    out.extend(b"HEP3\0\0");
    let ends = passage.ends();
    let family = match ends {
        Ends::V4(..) => INET,
        Ends::V6(..) => INET6,
    };
    let protocol = match passage.transport {
        Transport::Udp => UDP,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => TCP,
    };
    chunk(FAMILY, &[family], &mut out)?;
    chunk(PROTOCOL, &[protocol], &mut out)?;
    match ends {
        Ends::V4(source, destination) => {
            chunk(IPV4_SOURCE, &source.octets(), &mut out)?;
            chunk(IPV4_DESTINATION, &destination.octets(), &mut out)?;
        }
        Ends::V6(source, destination) => {
            chunk(IPV6_SOURCE, &source.octets(), &mut out)?;
            chunk(IPV6_DESTINATION, &destination.octets(), &mut out)?;
        }
    }
    chunk(SOURCE_PORT, &source.port().to_be_bytes(), &mut out)?;
    chunk(DESTINATION_PORT, &destination.port().to_be_bytes(), &mut out)?;
    let seconds = u32::try_from(passage.at.as_secs()).unwrap_or(u32::MAX);
    chunk(SECONDS, &seconds.to_be_bytes(), &mut out)?;
    chunk(MICROSECONDS, &passage.at.subsec_micros().to_be_bytes(), &mut out)?;
    chunk(CONTENT, &[SIP], &mut out)?;
    chunk(AGENT, &NUMBER.to_be_bytes(), &mut out)?;
    chunk(NODE, NAME, &mut out)?;
    chunk(PAYLOAD, passage.message, &mut out)?;
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    out.get_mut(4..6)?.copy_from_slice(&length);
    Some(out)
}

fn chunk(kind: u16, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = u16::try_from(value.len() + 6).ok()?;
    out.extend(0_u16.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(value);
    Some(())
}
