use super::*;

/// 2001-09-09 01:46:40.123456789 UTC.
const AT: Duration = Duration::new(1_000_000_000, 123_456_789);

fn passage<'a>(transport: Transport, direction: Direction, message: &'a [u8]) -> Passage<'a> {
    Passage {
        at: AT,
        direction,
        transport,
        local: "192.0.2.1:5062".parse().unwrap(),
        remote: "192.0.2.2:5060".parse().unwrap(),
        message,
    }
}

/// Octets as they are typed: hexadecimal, with spaces.
fn octets(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_head_of_a_file_is_a_section_and_an_interface() {
    let version = format!("sipreg {}", env!("CARGO_PKG_VERSION"));
    let padding = version.len().next_multiple_of(4) - version.len();
    let length = u32::try_from(28 + 4 + version.len() + padding + 4).unwrap();
    let mut expected = octets("0a0d0d0a");
    expected.extend(length.to_le_bytes());
    expected.extend(octets("4d3c2b1a 0100 0000 ffffffffffffffff 0400"));
    expected.extend(u16::try_from(version.len()).unwrap().to_le_bytes());
    expected.extend(version.as_bytes());
    expected.resize(expected.len() + padding, 0);
    expected.extend(octets("0000 0000"));
    expected.extend(length.to_le_bytes());
    expected.extend(octets("01000000 20000000 fc00 0000 00000000 0900 0100 09000000 0000 0000 20000000"));
    assert_eq!(pcapng::head(), expected);
}

#[test]
fn a_message_is_an_exported_pdu_in_an_enhanced_packet() {
    let sent = passage(Transport::Udp, Direction::Sent, b"A sip:b SIP/2.0\r\n\r\n");
    let expected = octets(
        "06000000 74000000 00000000
         b3b6e00d 15cdbfae 47000000 47000000
         000c 0004 73697000
         0014 0004 c0000201  0015 0004 c0000202
         0018 0004 00000003  0019 0004 000013c6  001a 0004 000013c4
         0000 0000
         41207369703a62205349502f322e300d0a0d0a 00
         0200 0400 02000000  0000 0000
         74000000",
    );
    assert_eq!(pcapng::packet(&sent, 0), expected);
}

/// What came goes the other way; addresses of two families are written as IPv6; transports over TCP say so, and what
/// wraps the messages is a comment.
#[test]
fn packets_say_direction_family_transport_and_gaps() {
    let came = Passage {
        local: "[2001:db8::1]:5061".parse().unwrap(),
        remote: "192.0.2.2:40000".parse().unwrap(),
        ..passage(Transport::Wss, Direction::Received, b"SIP/2.0 200 OK\r\n\r\n")
    };
    let pdu = octets(
        "000c 0004 73697000
         0016 0010 00000000000000000000ffffc0000202  0017 0010 20010db8000000000000000000000001
         0018 0004 00000002  0019 0004 00009c40  001a 0004 000013c5
         0000 0000",
    );
    let packet = pcapng::packet(&came, 258);
    assert_eq!(packet[28..28 + pdu.len()], pdu);
    let options = octets(
        "0100 0800 6f76657220575353
         0200 0400 01000000
         0400 0800 0201000000000000
         0000 0000",
    );
    assert_eq!(packet[packet.len() - 4 - options.len()..packet.len() - 4], options);
    let again = pcapng::packet(&passage(Transport::Udp, Direction::SentAgain, b"A"), 0);
    assert!(again.windows(10).any(|found| found == b"sent again"));
}

/// Octets that Wireshark would take for SigComp are data; a message may be as long as SIP allows, and every length fits.
#[test]
fn any_octets_make_a_whole_packet() {
    for message in [&b""[..], b"\xff\xfe", b"x", &[b'x'; 65_535]] {
        let packet = pcapng::packet(&passage(Transport::Tcp, Direction::Received, message), 0);
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        assert_eq!((&packet[4..8], &packet[packet.len() - 4..]), (&length[..], &length[..]));
        assert_eq!(packet.len() % 4, 0);
        let name = if message.first() == Some(&0xff) { b"data" } else { b"sip\0" };
        assert_eq!(packet[32..36], *name);
    }
}

#[test]
fn a_hep_datagram_has_the_chunks_of_a_message() {
    let sent = passage(Transport::Udp, Direction::Sent, b"A sip:b SIP/2.0\r\n\r\n");
    let expected = octets(
        "48455033 0082
         0000 0001 0007 02        0000 0002 0007 11
         0000 0003 000a c0000201  0000 0004 000a c0000202
         0000 0007 0008 13c6      0000 0008 0008 13c4
         0000 0009 000a 3b9aca00  0000 000a 000a 0001e240
         0000 000b 0007 01        0000 000c 000a 00000001
         0000 0013 000c 736970726567
         0000 000f 0019 41207369703a62205349502f322e300d0a0d0a",
    );
    assert_eq!(hep::datagram(&sent).unwrap(), expected);
}

#[test]
fn a_hep_datagram_over_ipv6_and_tcp_goes_the_way_of_the_message() {
    let came = Passage {
        local: "[2001:db8::1]:5061".parse().unwrap(),
        remote: "[2001:db8::2]:40000".parse().unwrap(),
        ..passage(Transport::Tls, Direction::Received, b"A")
    };
    let expected = octets(
        "48455033 0088
         0000 0001 0007 0a        0000 0002 0007 06
         0000 0005 0016 20010db8000000000000000000000002
         0000 0006 0016 20010db8000000000000000000000001
         0000 0007 0008 9c40      0000 0008 0008 13c5
         0000 0009 000a 3b9aca00  0000 000a 000a 0001e240
         0000 000b 0007 01        0000 000c 000a 00000001
         0000 0013 000c 736970726567
         0000 000f 0007 41",
    );
    assert_eq!(hep::datagram(&came).unwrap(), expected);
    // One that no datagram can hold is not sent.
    assert_eq!(hep::datagram(&Passage { message: &[b'x'; 65_535], ..came }), None);
}

/// AUT-047: copies have no digest response, unless it is wanted.
#[test]
fn copies_are_masked() {
    let message = b"A sip:b SIP/2.0\r\nAuthorization: Digest response=\"6629fae4\"\r\n\r\n";
    for (secrets, shown) in [(Secrets::Covered, "********"), (Secrets::Shown, "6629fae4")] {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let file = TraceFile::create(&path).unwrap();
        let capture = Capture::new(secrets).write_to(file.clone());
        let mut capture = capture.send_to(collector.local_addr().unwrap()).unwrap();
        capture.take(&passage(Transport::Udp, Direction::Sent, message));
        let mut datagram = [0; 1000];
        let length = collector.recv(&mut datagram).unwrap();
        assert_eq!(file.finish().messages, 0);
        for copy in [&datagram[..length], &std::fs::read(&path).unwrap()] {
            let copy = String::from_utf8_lossy(copy);
            assert!(copy.contains(&format!("response=\"{shown}\"\r\n\r\n")), "{copy}");
        }
    }
}

/// Nothing is taken any more at the end, and what came after it is counted.
#[test]
fn a_file_that_is_finished_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let file = TraceFile::create(&path).unwrap();
    assert_eq!(file.finish().messages, 0);
    file.put(&passage(Transport::Udp, Direction::Sent, b"A"));
    assert_eq!(file.finish().messages, 1);
    assert_eq!(std::fs::read(&path).unwrap(), pcapng::head());
}

/// What nobody reads fills the queue and no more; the loop goes on, the next message says how many are missing, and the
/// end does not wait for ever.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_nobody_reads_holds_nothing_up() {
    use std::io::Read;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let file = TraceFile::create(path.as_ref()).unwrap();
    let long = [b'x'; 65_000];
    (0..200).for_each(|_| file.put(&passage(Transport::Udp, Direction::Sent, &long)));
    let mut octets = vec![0; 3_000_000];
    reader.read_exact(&mut octets).unwrap();
    let last = passage(Transport::Udp, Direction::Sent, b"last");
    file.put(&last);
    let missing = file.finish();
    assert!(missing.messages > 30 && missing.error.is_none(), "{missing:?}");
    // The rest is read once it is too late to wait for it.
    drop((file, writer));
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    let dropped = pcapng::packet(&last, 1).len();
    let end = &rest[rest.len() - dropped..];
    assert_eq!(end[..4], 6_u32.to_le_bytes());
    let count = u64::from_le_bytes(end[end.len() - 16..end.len() - 8].try_into().unwrap());
    // One that found room before it has told of those before that.
    assert!((1..200).contains(&count), "{count}");
}

/// A driver that has ended has not taken the reason why messages are missing from who will ask for it.
#[cfg(target_os = "linux")]
#[test]
fn what_could_not_be_written_is_told_after_the_driver_has_ended() {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let file = TraceFile::create(path.as_ref()).unwrap();
    let mut capture = Capture::new(Secrets::Covered).write_to(file.clone());
    drop(reader);
    capture.take(&passage(Transport::Udp, Direction::Sent, b"REGISTER"));
    drop(capture);
    let missing = file.finish();
    assert!(missing.messages == 1 && missing.error.is_some(), "{missing:?}");
}
