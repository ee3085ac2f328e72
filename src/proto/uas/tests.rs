//! Answers, and where they go.

use super::*;

/// STX-025 STX-026 STX-027
#[test]
fn an_answer_goes_to_nobody_but_its_source_or_a_multicast_group() {
    let v4 = "198.51.100.9:40000";
    let v6 = "[2001:db8::9]:40000";
    let mapped = "[::ffff:198.51.100.9]:40000";
    let link = "[fe80::9%3]:40000";
    for (via, peer, to) in [
        // Elsewhere: this host, a network of ours, the whole link, another family, a name.
        ("192.0.2.7;maddr=203.0.113.5", v4, "198.51.100.9:5060"),
        ("192.0.2.7:5070;maddr=203.0.113.5", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=203.0.113.5;rport", v4, v4),
        ("192.0.2.7:5070;maddr=127.0.0.1", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;MADDR=127.0.0.1;rport=9", v4, v4),
        ("192.0.2.7:5070;maddr=10.0.0.1", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=0.0.0.0", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=255.255.255.255", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=[2001:db8::1]", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=ff0e::1", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr=victim.example", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;maddr", v4, "198.51.100.9:5070"),
        ("192.0.2.7;maddr=\"203.0.113.5\"", v4, "198.51.100.9:5060"),
        ("[2001:db8::7];maddr=2001:db8::1", v6, "[2001:db8::9]:5060"),
        ("[2001:db8::7];maddr=[::1];rport", v6, v6),
        ("192.0.2.7:5070;maddr=203.0.113.5", mapped, "[::ffff:198.51.100.9]:5070"),
        ("192.0.2.7:5070;maddr=::ffff:203.0.113.5", v4, "198.51.100.9:5070"),
        ("192.0.2.7:5070;received=203.0.113.5", v4, "198.51.100.9:5070"),
        ("203.0.113.5:5070;received=203.0.113.5;rport=9", v4, v4),
        ("[fe80::7]:5070;maddr=fe80::1", link, "[fe80::9%3]:5070"),
        // The source itself (RFC 3581 §4: rport is for requests without maddr).
        ("192.0.2.7:5070;maddr=198.51.100.9", v4, "198.51.100.9:5070"),
        ("192.0.2.7;maddr=198.51.100.9;rport", v4, "198.51.100.9:5060"),
        ("192.0.2.7:5070;maddr=198.51.100.9", mapped, "[::ffff:198.51.100.9]:5070"),
        ("[2001:db8::7]:5070;maddr=[2001:db8:0::9]", v6, "[2001:db8::9]:5070"),
        ("[fe80::7]:5070;maddr=fe80::9", link, "[fe80::9%3]:5070"),
        // Multicast.
        ("192.0.2.7;maddr=224.0.1.75", v4, "224.0.1.75:5060"),
        ("192.0.2.7:5070;maddr=239.1.2.3;rport", v4, "239.1.2.3:5070"),
        ("[2001:db8::7];maddr=[ff0e::1]", v6, "[ff0e::1]:5060"),
    ] {
        let text = format!("SIP/2.0/UDP {via};branch=z9hG4bK1");
        let read = Via::parse(text.as_bytes()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        assert_eq!(return_address(&read, peer, Transport::Udp).to_string(), to, "{via}");
        assert_eq!(return_address(&read, peer, Transport::Tcp), peer, "{via}");
    }
}
