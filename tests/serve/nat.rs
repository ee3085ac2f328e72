//! Devices behind a NAT: how they are called, how they hear the rest of the call, and who keeps the way open.

use bytes::Bytes;
use sipreg::proto::Transport;
use sipreg::proto::registrar::service::{Limits, Listen, Service};

use crate::world::*;

/// A Binding request, without attributes or with those.
fn binding(attributes: &[u8]) -> Bytes {
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&[0, 1], &length[..], b"\x21\x12\xa4\x42fluctuations", attributes].concat().into()
}

/// OBS-006 OUT-031
#[test]
fn stun_is_answered_where_sip_is_and_leaves_no_trace() {
    for listen in ["192.0.2.1:5060", "0.0.0.0:5060", "[2001:db8::1]:5060", "[::]:5060"] {
        let listen = vec![Listen { transport: Transport::Udp, address: listen.parse().unwrap() }];
        let limits = Limits { rate: 1, ..Limits::default() };
        let mut world = World::new(Service { listen, limits, ..service() });
        let v4 = b"\x01\x01\0\x0c\x21\x12\xa4\x42fluctuations\0\x20\0\x08\0\x01\x32\xdc\xe1\x12\xa6\x45";
        // However often, and from one source: nothing that counts for it.
        for _ in 0..5 {
            for peer in ["192.0.2.7:5070", "[::ffff:192.0.2.7]:5070"] {
                let sent = world.octets(peer, binding(b""));
                assert_eq!(sent.iter().map(|one| &one.bytes[..]).collect::<Vec<_>>(), [v4]);
                assert_eq!((sent[0].flow, sent[0].peer.to_string()), (world.udp, peer.to_owned()));
            }
        }
        let v6 = world.octets("[2001:db8::7]:5070", binding(b""));
        let hidden = b"\0\x20\0\x14\0\x02\x32\xdc\x01\x13\xa9\xfafluctuations";
        let hidden: Vec<u8> = hidden[..12].iter().chain(b"fluctuation").copied().chain([b's' ^ 7]).collect();
        assert_eq!(v6[0].bytes[20..], hidden[..]);
        let unknown = world.octets(DEVICE, binding(b"\0\x24\0\x04\0\0\0\0"));
        assert_eq!(unknown[0].bytes[..2], *b"\x01\x11");
        // An answer, an indication, and what is broken.
        let indication = [b"\0\x11", &binding(b"")[2..]].concat();
        let cut = binding(b"\0\x24\0\x08\0\0\0\0");
        for octets in [Bytes::from_static(v4), indication.into(), cut, Bytes::from_static(&[0; 40])] {
            assert_eq!(world.octets(DEVICE, octets), []);
        }
        assert_eq!((world.news(), world.counters().malformed, world.counters().rate_limited), (vec![], 0, 0));
        assert!(world.endpoint.next_timeout().is_none());
        world.stop();
    }
}
