//! Devices behind a NAT: how they are called, how they hear the rest of the call, and who keeps the way open.

use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::binding::Fate;
use sipreg::proto::registrar::service::{Limits, Listen, ServerEvent, Service};
use sipreg::proto::{Event, FlowId, Transport};

use crate::transports::{Party, route, rows};
use crate::world::*;

const BOHR: &str = "<sip:bohr~munich.de>;tag=b";
const HEISENBERG: &str = "<sip:heisenberg~munich.de>";
const CALLED: &str = "sip:heisenberg~munich.de";

impl Party {
    /// Somebody at `inside`, whom a NAT shows as `outside`.
    fn behind_nat(
        world: &mut World,
        user: &'static str,
        (inside, outside): (&str, &str),
        transport: Transport,
    ) -> Party {
        let flow = match transport {
            Transport::Udp => world.udp,
            other => world.connect_over(other, outside),
        };
        let param = if transport == Transport::Udp { "" } else { ";transport=tcp" };
        Party {
            user,
            transport,
            peer: outside.to_owned(),
            flow,
            via: format!("SIP/2.0/{} {inside}", transport.as_via()),
            contact: format!("sip:{user}@{inside}{param}"),
        }
    }

    /// A REGISTER with that Contact, and further rows.
    fn binds(&self, world: &mut World, n: u32, contact: &str, rest: &str) -> Vec<Sent> {
        let Party { user, via, .. } = self;
        let to = format!("<sip:{user}~munich.de>");
        let text = format!(
            "REGISTER sip:munich.de SIP/2.0|Via: {via};rport;branch=z9hG4bKr{user}{n}|Max-Forwards: 70|From: {to};tag=f|To: {to}|\
             Call-ID: r{user}|CSeq: {n} REGISTER|Contact: {contact}{rest}|Content-Length: 0"
        );
        self.says(world, &text)
    }
}

/// Where each request went, in the order they left: the flow and the address.
fn requests(sent: &[Sent]) -> Vec<(FlowId, String)> {
    let is_request = |one: &&Sent| !one.text().starts_with("SIP/2.0 ");
    sent.iter().filter(is_request).map(|one| (one.flow, one.peer.to_string())).collect()
}

/// A whole call, with a BYE of either side, every message of which arrives where its party is seen.
fn talk(world: &mut World, caller: &Party, callee: &Party) -> Vec<String> {
    let sent = caller.asks(world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, &format!("INVITE {} SIP/2.0\r\n", callee.contact)).clone();
    let recorded = rows(&rings, "Record-Route");
    let taken = callee.answers(world, &rings, 200);
    caller.hears(&taken, "SIP/2.0 200 ");
    let back: Vec<String> = recorded.iter().rev().cloned().collect();
    let tagged = format!("{HEISENBERG};tag=d");
    let ack = caller.asks(world, "ACK", &callee.contact, 2, (BOHR, &tagged), &route(&back));
    let ack = callee.hears(&ack, &format!("ACK {} SIP/2.0", callee.contact));
    assert!(rows(ack, "Route").is_empty());
    let info = callee.asks(world, "INFO", &caller.contact, 8, (&tagged, BOHR), &route(&recorded));
    let info = caller.hears(&info, &format!("INFO {} SIP/2.0", caller.contact)).clone();
    let answered = caller.answers(world, &info, 200);
    callee.hears(&answered, "SIP/2.0 200 ");
    let bye = callee.asks(world, "BYE", &caller.contact, 9, (&tagged, BOHR), &route(&recorded));
    let bye = caller.hears(&bye, &format!("BYE {} SIP/2.0", caller.contact)).clone();
    let answered = caller.answers(world, &bye, 200);
    callee.hears(&answered, "SIP/2.0 200 ");
    let bye = caller.asks(world, "BYE", &callee.contact, 3, (BOHR, &tagged), &route(&back));
    callee.hears(&bye, &format!("BYE {} SIP/2.0", callee.contact));
    assert!(world.opened.is_empty() && world.closed.is_empty());
    recorded
}

/// Two listeners for UDP, so that it shows which one a datagram leaves from, and one for TCP.
fn two_ports() -> Service {
    let at = |transport, text: &str| Listen { transport, address: text.parse().unwrap() };
    let listen = vec![
        at(Transport::Udp, "192.0.2.1:5060"),
        at(Transport::Udp, "192.0.2.1:5080"),
        at(Transport::Tcp, "192.0.2.1:5060"),
    ];
    Service { listen, ..service() }
}

/// Whoever is behind a NAT is called where the REGISTER came from, by the socket it came to, and so are those who call from there;
/// the list says what the device says.
///
/// DSR-004 OBS-019
#[test]
fn a_device_behind_a_nat_is_called_where_its_register_came_from() {
    for transport in [Transport::Udp, Transport::Tcp] {
        for is_caller_behind in [false, true] {
            let mut world = World::new(two_ports());
            let address = ("10.0.0.7:5060", "198.51.100.7:40001");
            let callee = Party::behind_nat(&mut world, "heisenberg", address, transport);
            let caller = if is_caller_behind {
                Party::behind_nat(&mut world, "bohr", ("10.0.0.7:5060", "203.0.113.9:1024"), transport)
            } else {
                // To whom nobody has said by which socket, the system does.
                let (peer, local) = ("192.0.2.99".parse().unwrap(), "192.0.2.1".parse().ok());
                world.event(Event::SourceFound { peer, local });
                let flow = world.listeners[0].1;
                Party { flow, ..Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp) }
            };
            callee.registers(&mut world);
            let recorded = talk(&mut world, &caller, &callee);
            let tokens: Vec<bool> = recorded.iter().map(|value| value.contains(";flow=")).collect();
            assert_eq!(tokens, [true, is_caller_behind], "{recorded:?}");
            world.pass(Duration::from_secs(40));
            world.stop();
        }
    }
}

/// After a restart by the same listener, and where the listeners are others, by one that can.
///
/// DSR-004
#[test]
fn a_device_behind_a_nat_is_called_there_by_the_next_process() {
    let one_port = || Service { listen: two_ports().listen.split_off(1), ..service() };
    for (service, by) in [(two_ports(), 1), (one_port(), 0)] {
        let mut world = World::new(two_ports());
        let callee = Party::behind_nat(
            &mut world,
            "heisenberg",
            ("10.0.0.7:5060", "198.51.100.7:40001"),
            Transport::Udp,
        );
        callee.registers(&mut world);
        let store = std::mem::take(&mut world.store);
        world.stop();

        let mut world = World::new(service);
        world.store = store;
        let caller = ("10.0.0.7:5060", "203.0.113.9:1024");
        let caller = Party::behind_nat(&mut world, "bohr", caller, Transport::Udp);
        let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
        let (transport, by) = world.listeners[by];
        assert_eq!(transport, Transport::Udp);
        assert_eq!(requests(&sent), [(by, "198.51.100.7:40001".to_owned())]);
        world.pass(Duration::from_secs(200));
        world.stop();
    }
}

/// Without a NAT nothing is in the Record-Route but what always was.
#[test]
fn nobody_else_is_named_in_a_record_route() {
    let mut world = World::new(service());
    let callee = Party::new(&mut world, "heisenberg", "192.0.2.11", Transport::Udp);
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
    callee.registers(&mut world);
    let recorded = talk(&mut world, &caller, &callee);
    assert!(recorded.len() == 1 && !recorded[0].contains("flow="), "{recorded:?}");
    // A connection comes from a port of its own, and whoever has made it may well listen at another.
    let at = ("192.0.2.13:5060", "192.0.2.13:40000");
    let born = Party::behind_nat(&mut world, "born", at, Transport::Tcp);
    born.registers(&mut world);
    let sent =
        caller.asks(&mut world, "INVITE", "sip:born~munich.de", 20, (BOHR, "<sip:born~munich.de>"), "");
    let rings = born.hears(&sent, "INVITE ");
    assert!(!rings.text().contains(";flow="), "{}", rings.text());
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// Third parties, proxies, and contacts that are another place than where the device says to be: all called as their Contact says.
///
/// DSR-004 PTH-004
#[test]
fn everybody_else_is_called_at_the_contact() {
    let inside = "<sip:heisenberg~10.0.0.7:5060>";
    let path = "|Supported: path|Path: <sip:192.0.2.40;lr>";
    let second = "|Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bKx";
    for (contact, rest, called) in [
        (inside, "", Some("198.51.100.7:40001")),
        ("<sip:heisenberg~10.0.0.8:5060>", "", Some("10.0.0.8:5060")),
        ("<sip:heisenberg~10.0.0.7:5070>", "", Some("10.0.0.7:5070")),
        ("<sip:heisenberg~198.51.100.7:40001>", "", Some("198.51.100.7:40001")),
        (inside, path, Some("192.0.2.40:5060")),
        (inside, second, Some("10.0.0.7:5060")),
        // There is no listener for that family.
        ("<sip:heisenberg~[2001:db8::7]:5060>", "", None),
    ] {
        let mut world = World::new(service());
        let address = ("10.0.0.7:5060", "198.51.100.7:40001");
        let device = Party::behind_nat(&mut world, "heisenberg", address, Transport::Udp);
        let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
        let listed = bound(&device.binds(&mut world, 1, contact, rest)[0]);
        assert_eq!(listed, [format!("{};expires=3600", contact.replace('~', "@"))]);
        let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
        let called = called.map(|at| (world.udp, at.to_owned()));
        assert_eq!(requests(&sent), Vec::from_iter(called), "{contact} {rest}");
        world.pass(Duration::from_secs(300));
        world.stop();
    }
    // The same over TCP: what the connection belongs to is called by it, and nobody else.
    for (contact, opened) in [
        ("<sip:heisenberg~10.0.0.8:5060;transport=tcp>", true),
        ("<sip:heisenberg~10.0.0.7;transport=tcp>", false),
    ] {
        let mut world = World::new(service());
        let address = ("10.0.0.7:49152", "198.51.100.7:40001");
        let device = Party::behind_nat(&mut world, "heisenberg", address, Transport::Tcp);
        let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
        bound(&device.binds(&mut world, 1, contact, "")[0]);
        let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
        assert_eq!((requests(&sent).len(), world.opened.len()), if opened { (0, 1) } else { (1, 0) });
        world.pass(Duration::from_secs(300));
        world.stop();
    }
}

/// The NAT has forgotten the device and shows it elsewhere: the next REGISTER says so. One that removes it is told for the Contact.
///
/// DSR-004
#[test]
fn a_refresh_from_elsewhere_moves_the_way_and_leaves_the_contact() {
    let mut world = World::new(two_ports());
    let inside = "10.0.0.7:5060";
    let contact = "<sip:heisenberg~10.0.0.7:5060>";
    let device = |world: &mut World, outside| {
        Party::behind_nat(world, "heisenberg", (inside, outside), Transport::Udp)
    };
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
    for (n, outside) in (1..).zip(["198.51.100.7:40001", "198.51.100.7:40002", "198.51.100.8:5060"]) {
        let device = device(&mut world, outside);
        bound(&device.binds(&mut world, n, contact, "")[0]);
        let sent = caller.asks(&mut world, "MESSAGE", CALLED, n, (BOHR, HEISENBERG), "");
        device.hears(&sent[..], "MESSAGE sip:heisenberg@10.0.0.7:5060 SIP/2.0");
    }
    let last = device(&mut world, "198.51.100.9:5060");
    assert_eq!(bound(&last.binds(&mut world, 9, &format!("{contact};expires=0"), "")[0]), [""; 0]);
    let fates = world.news().into_iter().filter_map(|what| match what {
        ServerEvent::Changed { effect, .. } => Some((effect.fate, effect.contact.to_string())),
        _ => None,
    });
    let of = |fate| (fate, contact.replace('~', "@"));
    assert_eq!(
        fates.collect::<Vec<_>>(),
        [Fate::Bound, Fate::Refreshed, Fate::Refreshed, Fate::Removed].map(of)
    );
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// Behind its NAT a device may have the very address that is ours on this side of it.
#[test]
fn a_device_with_our_own_address_behind_a_nat_is_still_a_device() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::new(service());
        let callee =
            Party::behind_nat(&mut world, "heisenberg", ("192.0.2.1:5060", "198.51.100.7:40001"), transport);
        let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
        callee.registers(&mut world);
        talk(&mut world, &caller, &callee);
        world.pass(Duration::from_secs(40));
        world.stop();
    }
}

/// Nobody else can say where a party is: neither another address, nor another call.
#[test]
fn an_address_behind_a_nat_is_named_by_nobody_but_us_and_for_one_call_alone() {
    let mut world = World::new(service());
    let callee =
        Party::behind_nat(&mut world, "heisenberg", ("10.0.0.7:5060", "198.51.100.7:40001"), Transport::Udp);
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
    callee.registers(&mut world);
    let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, "INVITE ").clone();
    let recorded = rows(&rings, "Record-Route")[0].clone();
    callee.answers(&mut world, &rings, 200);
    let tagged = format!("{HEISENBERG};tag=d");
    let address = format!("{:04x}c6336407", 40001);
    assert!(recorded.contains(&format!("{address}>")), "{recorded}");
    let token = recorded.split(";flow=").nth(1).unwrap().trim_end_matches('>');
    for (n, forged) in (10..).zip([
        token.replace(&address, &format!("{:04x}c6336408", 40001)),
        token.replace(&address, &format!("{:04x}c6336407", 40002)),
        token.replace(&address, &format!("{:04x}{:032x}", 40001, 1)),
        token.replace(&address, "9c41"),
        token.replace(&address, ""),
        format!("{token}0"),
        "x".to_owned(),
    ]) {
        let value = recorded.replace(token, &forged);
        let sent = caller.asks(&mut world, "INFO", &callee.contact, n, (BOHR, &tagged), &route(&[value]));
        assert_eq!(requests(&sent), [(world.udp, "10.0.0.7:5060".to_owned())], "{forged}");
    }
    let other = format!(
        "INFO {} SIP/2.0|Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKo|Max-Forwards: 70|From: {BOHR}|To: {tagged}|\
         Call-ID: other|CSeq: 1 INFO|{}|Content-Length: 0",
        callee.contact,
        route(&[recorded])
    );
    let sent = caller.says(&mut world, &other);
    assert!(sent[0].text().starts_with("SIP/2.0 403 "), "{}", sent[0].text());
    world.pass(Duration::from_secs(40));
    world.stop();
}

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

/// The Via of the answer to a REGISTER whose own ends in that.
fn answered(world: &mut World, device: &Party, n: u32, end: &str, rest: &str) -> (u16, Vec<String>) {
    let to = "<sip:heisenberg~munich.de>";
    let text = format!(
        "REGISTER sip:munich.de SIP/2.0|Via: {}{end};branch=z9hG4bKk{n}|Max-Forwards: 70|From: {to};tag=f|To: {to}|\
         Call-ID: k|CSeq: {n} REGISTER{rest}|Content-Length: 0",
        device.via
    );
    let sent = device.says(world, &text);
    assert_eq!(sent.len(), 1);
    (sent[0].status(), sent[0].headers("Via"))
}

/// RFC 6223 §4.4: whoever offers keep-alives hears how often, by the answer of each REGISTER that is taken, over every
/// transport.
#[test]
fn keep_in_via_is_answered_with_the_interval() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let limits = Limits { keepalive: Duration::from_secs(90), ..limits() };
        let mut world = World::new(Service { limits, ..service() });
        let device = Party::new(&mut world, "heisenberg", "192.0.2.11", transport);
        let contact = format!("|Contact: <{}>", device.contact);
        let via = |end: &str| vec![format!("{}{end}", device.via)];
        let mut n = 0;
        for (end, rest, status, vias) in [
            (";keep", contact.as_str(), 200, via(";keep=90;branch=z9hG4bKk1")),
            (";KEEP", &contact, 200, via(";KEEP=90;branch=z9hG4bKk2")),
            ("", &contact, 200, via(";branch=z9hG4bKk3")),
            (";keep=7", &contact, 200, via(";keep=7;branch=z9hG4bKk4")),
            (";keep", "", 200, via(";keep=90;branch=z9hG4bKk5")),
            (";keep", "|Contact: *|Expires: 0", 200, via(";keep=90;branch=z9hG4bKk6")),
            // It is refused, or came by a proxy.
            (";keep", "|Contact: <sip:a~b>;expires=1", 423, via(";keep;branch=z9hG4bKk7")),
        ] {
            n += 1;
            assert_eq!(
                answered(&mut world, &device, n, end, rest),
                (status, vias),
                "{transport} {end} {rest}"
            );
        }
        let second = "|Via: SIP/2.0/UDP 10.0.0.7;keep;branch=z9hG4bKx";
        let (_, vias) = answered(&mut world, &device, 8, ";keep", &format!("{contact}{second}"));
        assert!(vias.iter().all(|via| !via.contains("keep=")), "{vias:?}");
        // A copy gets the same again.
        let first = answered(&mut world, &device, 9, ";keep", &contact);
        if transport == Transport::Udp {
            assert_eq!(answered(&mut world, &device, 9, ";keep", &contact), first);
        }
        // Nothing but a REGISTER: it is for the server alone.
        let options = device.says(
            &mut world,
            &format!(
                "OPTIONS sip:munich.de SIP/2.0|Via: {};keep;branch=z9hG4bKo|Max-Forwards: 70|From: <sip:a~b>;tag=f|\
                 To: <sip:munich.de>|Call-ID: o|CSeq: 1 OPTIONS|Content-Length: 0",
                device.via
            ),
        );
        assert_eq!(options[0].headers("Via"), via(";keep;branch=z9hG4bKo"));
        world.pass(Duration::from_secs(40));
        world.stop();
    }
}
