//! The pcapng format (draft-ietf-opsawg-pcapng), little-endian: a Section Header, one Interface Description, then an
//! Enhanced Packet for each message. A packet is an Exported PDU of Wireshark (link type 252): tags say that SIP follows,
//! and between whom, so that it is read as SIP over whatever transport and port it came.

use super::{Ends, Passage};
use crate::proto::{Direction, Transport};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const UPPER_PDU: u16 = 252;

/// Options of blocks. The numbers of the last three are those of the Enhanced Packet.
const END: u16 = 0;
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const TIME_RESOLUTION: u16 = 9;
const FLAGS: u16 = 2;
const DROP_COUNT: u16 = 4;

/// Tags of an Exported PDU, big-endian.
const DISSECTOR: u16 = 12;
const IPV4_SOURCE: u16 = 20;
const IPV4_DESTINATION: u16 = 21;
const IPV6_SOURCE: u16 = 22;
const IPV6_DESTINATION: u16 = 23;
const PORT_TYPE: u16 = 24;
const SOURCE_PORT: u16 = 25;
const DESTINATION_PORT: u16 = 26;

/// What a file begins with: times are nanoseconds, and a packet may have any length.
pub(super) fn head() -> Vec<u8> {
    let mut section = Vec::new();
    section.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    // The length of the section is not known.
    section.extend((-1_i64).to_le_bytes());
    option(APPLICATION, concat!("sipreg ", env!("CARGO_PKG_VERSION")).as_bytes(), &mut section);
    option(END, &[], &mut section);
    let mut interface = Vec::new();
    interface.extend(UPPER_PDU.to_le_bytes());
    interface.extend(0_u16.to_le_bytes());
    interface.extend(0_u32.to_le_bytes());
    option(TIME_RESOLUTION, &[9], &mut interface);
    option(END, &[], &mut interface);
    let mut head = block(SECTION_HEADER, &section);
    head.extend(block(INTERFACE_DESCRIPTION, &interface));
    head
}

/// The block of a message, and how many before it are missing.
pub(super) fn packet(passage: &Passage<'_>, missing: u64) -> Vec<u8> {
    let nanoseconds = u64::try_from(passage.at.as_nanos()).unwrap_or(u64::MAX);
    let pdu = exported_pdu(passage);
    let length = size(pdu.len()).to_le_bytes();
    let mut body = Vec::with_capacity(pdu.len() + 96);
    body.extend(0_u32.to_le_bytes());
    body.extend(upper(nanoseconds).to_le_bytes());
    body.extend(lower(nanoseconds).to_le_bytes());
    body.extend(length);
    body.extend(length);
    body.extend(&pdu);
    pad(&mut body, pdu.len());
    if let Some(comment) = comment(passage) {
        option(COMMENT, comment.as_bytes(), &mut body);
    }
    let direction: u32 = match passage.direction {
        Direction::Received => 1,
        Direction::Sent | Direction::SentAgain => 2,
    };
    option(FLAGS, &direction.to_le_bytes(), &mut body);
    if missing > 0 {
        option(DROP_COUNT, &missing.to_le_bytes(), &mut body);
    }
    option(END, &[], &mut body);
    block(ENHANCED_PACKET, &body)
}

/// What the tags have no room for.
fn comment(passage: &Passage<'_>) -> Option<String> {
    let is_again = passage.direction == Direction::SentAgain;
    match passage.transport {
        Transport::Udp | Transport::Tcp => is_again.then(|| "sent again".to_owned()),
        wrapped @ (Transport::Tls | Transport::Ws | Transport::Wss) => {
            let again = if is_again { ", sent again" } else { "" };
            Some(format!("over {}{again}", wrapped.as_str().to_uppercase()))
        }
    }
}

fn exported_pdu(passage: &Passage<'_>) -> Vec<u8> {
    let (source, destination) = passage.source_and_destination();
    let mut pdu = Vec::with_capacity(passage.message.len() + 96);
    tag(DISSECTOR, dissector(passage.message), &mut pdu);
    match passage.ends() {
        Ends::V4(source, destination) => {
            tag(IPV4_SOURCE, &source.octets(), &mut pdu);
            tag(IPV4_DESTINATION, &destination.octets(), &mut pdu);
        }
        Ends::V6(source, destination) => {
            tag(IPV6_SOURCE, &source.octets(), &mut pdu);
            tag(IPV6_DESTINATION, &destination.octets(), &mut pdu);
        }
    }
    let port_type: u32 = match passage.transport {
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => 2,
        Transport::Udp => 3,
    };
    tag(PORT_TYPE, &port_type.to_be_bytes(), &mut pdu);
    tag(SOURCE_PORT, &u32::from(source.port()).to_be_bytes(), &mut pdu);
    tag(DESTINATION_PORT, &u32::from(destination.port()).to_be_bytes(), &mut pdu);
    tag(END, &[], &mut pdu);
    pdu.extend(passage.message);
    pdu
}

/// Who reads the message. Octets that begin as SigComp does (RFC 3320 §7) are no SIP of ours, and would be read as that.
fn dissector(message: &[u8]) -> &'static [u8] {
    match message.first() {
        Some(first) if *first >= 0xf8 => b"data",
        Some(_) | None => b"sip\0",
    }
}

fn tag(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(code.to_be_bytes());
    out.extend(short(value.len()).to_be_bytes());
    out.extend(value);
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(code.to_le_bytes());
    out.extend(short(value.len()).to_le_bytes());
    out.extend(value);
    pad(out, value.len());
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = size(body.len() + 12).to_le_bytes();
    let mut block = Vec::with_capacity(body.len() + 12);
    block.extend(kind.to_le_bytes());
    block.extend(length);
    block.extend(body);
    block.extend(length);
    block
}

/// Fills up to a multiple of four octets.
fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}

/// A length of ours, which are all far shorter than that.
fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "it is the upper half")]
fn upper(number: u64) -> u32 {
    (number >> 32) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "it is the lower half")]
fn lower(number: u64) -> u32 {
    number as u32
}
