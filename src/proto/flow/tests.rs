//! Flows that are shared and bounded; whom a server reaches by which flow, and what it is called there.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test names the one action that it expects")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::proto::ids::Counting;
use crate::sip::Host;
use Transport::{Tcp, Udp};

const PEER: &str = "192.0.2.1:5060";

fn context() -> Context {
    Context::new(Box::new(Counting::default()))
}

fn opened(context: &mut Context) -> usize {
    let opens = |action: &Action| matches!(action, Action::Open { .. });
    context.actions.drain(..).filter(opens).count()
}

/// TRN-014: who shows another name is somebody else, even at the same address.
#[test]
fn accounts_share_a_flow_if_transport_address_and_name_are_the_same() {
    let (mut flows, mut context) = (Flows::default(), context());
    let to = |name: Option<&str>| Destination {
        name: name.map(Arc::from),
        ..Destination::new(Transport::Tcp, PEER.parse().unwrap())
    };
    let all = [to(None), to(None), to(Some("munich.de")), to(Some("berlin.de")), to(Some("munich.de"))];
    for (n, destination) in (0..).zip(all) {
        flows.open(destination, RegistrationId(n), true, Duration::ZERO, &mut context);
    }
    assert_eq!(opened(&mut context), 3);
    let one_shot = flows.open(to(None), RegistrationId(9), false, Duration::ZERO, &mut context);
    assert_eq!((one_shot, opened(&mut context)), (FlowId(4), 1));
}

/// TRN-026: each message has the whole time, also if the one before was slow.
#[test]
fn the_time_for_a_message_begins_with_its_first_octet() {
    let (mut flows, mut context) = (Flows::default(), context());
    let (peer, patience) = (PEER.parse().unwrap(), Duration::from_secs(10));
    let destination = Destination::new(Transport::Tcp, peer);
    flows.open(destination, RegistrationId(1), true, patience, &mut context);
    let id = FlowId(1);
    flows.opened(id, PEER.parse().unwrap(), &mut context);
    let mut push = |ms: u64, text: &'static str| {
        context.now = Time::from_millis(ms);
        let mut octets = Some(Bytes::from_static(text.as_bytes()));
        while flows.next(id, peer, &mut octets, &mut context).is_some() {}
        context.timers.due(FlowTimer::Incomplete(id)).map(Time::as_millis)
    };
    assert_eq!(push(0, "SIP/2.0 200 OK\r\n"), Some(10_000));
    assert_eq!(push(9000, "Content-Length: 0\r\n"), Some(10_000));
    assert_eq!(push(9500, "\r\nSIP/2.0 "), Some(19_500));
    assert_eq!(push(9600, "200 OK\r\nContent-Length: 0\r\n\r\n"), None);
    flows.close(id, &mut context);
    assert!(flows.is_empty() && flows.octets == 0 && flows.unfinished.is_empty());
}

const LIMIT: Duration = Duration::from_secs(120);
const TCP: u64 = FlowId::ACCEPTED.0;

/// The flows of a server with these listeners, numbered from 1.
struct Server {
    flows: Flows,
    context: Context,
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn to(transport: Transport, address: &str) -> Destination {
    Destination::new(transport, at(address))
}

impl Server {
    fn new(listeners: &[(Transport, &str)]) -> Server {
        let mut context = Context::new(Box::new(Counting::default()));
        let mut flows = Flows::default();
        let (incomplete, unfinished) = (Duration::from_secs(10), 1 << 20);
        flows.bound(Bounds { connections: 3, idle: LIMIT, incomplete, unfinished, tells: false });
        for (transport, address) in listeners {
            let id = flows.listen(*transport, at(address), &mut context);
            flows.opened(id, at(address), &mut context);
        }
        context.actions.clear();
        Server { flows, context }
    }

    fn accept(&mut self, listener: u64, id: u64, local: &str, peer: &str) -> FlowId {
        self.flows.accept(FlowId(listener), FlowId(id), at(local), at(peer), &mut self.context);
        FlowId(id)
    }

    fn opened(&mut self, id: FlowId, local: &str) {
        self.flows.opened(id, at(local), &mut self.context);
    }

    fn found(&mut self, peer: &str, local: Option<&str>) {
        let local = local.map(|local| local.parse().unwrap());
        self.flows.source_found(peer.parse().unwrap(), local, &self.context);
    }

    /// How a destination is reached, on a line, and what is done for it.
    fn reach(&mut self, transport: Transport, address: &str, by: Option<u64>) -> String {
        let reach = self.flows.reach(&to(transport, address), by.map(FlowId), &mut self.context);
        let mut line = match reach {
            Reach::Ready { flow: FlowId(flow), peer, sent_by } if flow >= TCP => {
                format!("accepted {} to {peer} as {}", flow - TCP, named(&sent_by))
            }
            Reach::Ready { flow, peer, sent_by } => format!("{flow} to {peer} as {}", named(&sent_by)),
            Reach::Opening(flow) => format!("opening {flow}"),
            Reach::Asking(peer) => format!("asking {peer}"),
            Reach::Unreachable => "unreachable".into(),
        };
        for action in self.context.actions.drain(..) {
            line += &match action {
                Action::Open { flow, destination } => format!("; open {flow} to {}", destination.address),
                Action::FindSource { peer } => format!("; find {peer}"),
                other => panic!("{other:?}"),
            };
        }
        line
    }

    fn sent_by(&mut self, flow: u64, peer: &str) -> Result<String, Option<IpAddr>> {
        let sent_by = self.flows.sent_by(FlowId(flow), at(peer), &mut self.context);
        sent_by.map(|sent_by| named(&sent_by))
    }

    fn is_own(&self, host: &str, port: Option<u16>, transport: Option<Transport>) -> bool {
        self.flows.is_own(&Host::parse(host).unwrap(), port, transport)
    }

    /// Closes all, and nothing is left.
    fn end(mut self) {
        for flow in self.flows.of_server() {
            self.flows.close(flow, &mut self.context);
        }
        assert!(self.flows.is_empty() && self.flows.silent.is_empty() && self.flows.listeners.is_empty());
        assert!(self.flows.forward.is_empty() && self.flows.accepted.is_empty());
        assert_eq!(self.context.timers.next(), None);
    }
}

fn named(sent_by: &SentBy) -> String {
    format!("{}:{}/{}", sent_by.host, sent_by.port, sent_by.transport)
}

/// TRN-011: the one listener of the family is what requests leave by, and what Via says.
#[test]
fn datagrams_leave_by_the_listener_of_their_family() {
    let mut server =
        Server::new(&[(Tcp, "192.0.2.1:5060"), (Udp, "192.0.2.1:5060"), (Udp, "[2001:db8::1]:5070")]);
    for (address, expected) in [
        ("198.51.100.7:5062", "flow 2 to 198.51.100.7:5062 as 192.0.2.1:5060/udp"),
        ("[2001:db8::7]:5062", "flow 3 to [2001:db8::7]:5062 as [2001:db8::1]:5070/udp"),
    ] {
        assert_eq!(server.reach(Udp, address, None), expected);
        assert_eq!(server.reach(Udp, address, Some(1)), expected);
        assert_eq!(server.reach(Udp, address, Some(99)), expected);
    }
    let mut streams = Server::new(&[(Tcp, "192.0.2.1:5060")]);
    assert_eq!(streams.reach(Udp, "198.51.100.7:5062", None), "unreachable");
    server.end();
    streams.end();
}

/// A device behind a NAT is reached from the listener that it registered at, whatever the routes say.
#[test]
fn a_binding_is_reached_from_the_udp_listener_that_it_came_in_at() {
    let mut server = Server::new(&[(Udp, "192.0.2.1:5060"), (Udp, "192.0.2.1:5070")]);
    let expected = "flow 2 to 198.51.100.7:4000 as 192.0.2.1:5070/udp";
    assert_eq!(server.reach(Udp, "198.51.100.7:4000", Some(2)), expected);
    // One of the other family is none.
    assert_eq!(server.reach(Udp, "[2001:db8::7]:4000", Some(2)), "unreachable");
    server.end();
}

#[test]
fn of_several_listeners_the_one_at_the_systems_own_source_is_taken() {
    let mut server =
        Server::new(&[(Udp, "127.0.0.1:5060"), (Udp, "192.0.2.1:5060"), (Udp, "203.0.113.1:5060")]);
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", None), "asking 198.51.100.7; find 198.51.100.7");
    // Asked once, however many wait for it.
    assert_eq!(server.reach(Udp, "198.51.100.7:5062", None), "asking 198.51.100.7");
    server.found("198.51.100.7", Some("203.0.113.1"));
    let expected = "flow 3 to 198.51.100.7:5060 as 203.0.113.1:5060/udp";
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", None), expected);
    // None is at that address: never one at loopback.
    server.found("198.51.100.7", Some("10.0.0.1"));
    let expected = "flow 2 to 198.51.100.7:5060 as 192.0.2.1:5060/udp";
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", None), expected);
    server.found("127.0.0.9", Some("127.0.0.1"));
    let expected = "flow 1 to 127.0.0.9:5060 as 127.0.0.1:5060/udp";
    assert_eq!(server.reach(Udp, "127.0.0.9:5060", None), expected);
    server.found("198.51.100.7", None);
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", None), "unreachable");
    server.end();
}

/// A wildcard is never written, and an answer of the system is good for a minute.
#[test]
fn a_wildcard_listener_is_called_by_the_address_that_the_peer_sees() {
    let mut server = Server::new(&[(Udp, "0.0.0.0:5060"), (Tcp, "0.0.0.0:5060")]);
    assert_eq!(server.sent_by(1, "198.51.100.7:5060"), Err(Some("198.51.100.7".parse().unwrap())));
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", Some(1)), "asking 198.51.100.7; find 198.51.100.7");
    assert!(!server.is_own("192.0.2.1", Some(5060), Some(Udp)));
    server.found("198.51.100.7", Some("192.0.2.1"));
    let expected = "flow 1 to 198.51.100.7:5060 as 192.0.2.1:5060/udp";
    assert_eq!(server.reach(Udp, "198.51.100.7:5060", Some(1)), expected);
    assert_eq!(server.sent_by(1, "198.51.100.7:9"), Ok("192.0.2.1:5060/udp".into()));
    server.context.now = Time::from_millis(60_000);
    assert_eq!(server.sent_by(1, "198.51.100.7:9"), Err(Some("198.51.100.7".parse().unwrap())));
    // It stays known that the address is ours: dialogs last longer.
    assert!(server.is_own("192.0.2.1", Some(5060), Some(Udp)) && server.is_own("192.0.2.1", None, None));
    assert_eq!(server.sent_by(99, "198.51.100.7:9"), Err(None));
    server.context.actions.clear();
    server.end();
}

/// The connection of a binding is used as long as it lives, whatever its Contact says; then another is opened.
#[test]
fn a_binding_is_reached_by_its_own_connection_while_that_lives() {
    let mut server = Server::new(&[(Udp, "192.0.2.1:5060"), (Tcp, "0.0.0.0:5070")]);
    let own = server.accept(2, TCP, "192.0.2.1:5070", "198.51.100.7:40000");
    let expected = "accepted 0 to 198.51.100.7:40000 as 192.0.2.1:5070/tcp";
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", Some(TCP)), expected);
    assert_eq!(server.reach(Udp, "10.0.0.7:5060", Some(TCP)), expected);
    // Somebody's Contact is just that connection's other end.
    assert_eq!(server.reach(Tcp, "198.51.100.7:40000", None), expected);
    assert_eq!(server.sent_by(TCP, "198.51.100.7:40000"), Ok("192.0.2.1:5070/tcp".into()));
    server.flows.forget(own, &mut server.context);
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", Some(TCP)), "opening flow 3; open flow 3 to 10.0.0.7:5060");
    let expected = "flow 1 to 10.0.0.7:5060 as 192.0.2.1:5060/udp";
    assert_eq!(server.reach(Udp, "10.0.0.7:5060", Some(TCP)), expected);
    server.end();
}

/// TRN-014: one connection for all that goes there, which a listener gives its name.
#[test]
fn a_connection_that_is_opened_serves_all_that_goes_there() {
    let mut server = Server::new(&[(Udp, "192.0.2.1:5080"), (Tcp, "0.0.0.0:5070")]);
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", None), "opening flow 3; open flow 3 to 10.0.0.7:5060");
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", Some(1)), "opening flow 3");
    // What shows another certificate is somebody else.
    let name = Some(Arc::from("munich.de"));
    let other = Destination { name, ..to(Tcp, "10.0.0.7:5060") };
    assert_eq!(server.flows.reach(&other, None, &mut server.context), Reach::Opening(FlowId(4)));
    server.context.actions.clear();
    server.opened(FlowId(3), "192.0.2.1:40000");
    let expected = "flow 3 to 10.0.0.7:5060 as 192.0.2.1:5070/tcp";
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", None), expected);
    assert!(
        server.is_own("192.0.2.1", Some(5070), Some(Tcp)) && !server.is_own("192.0.2.1", Some(40000), None)
    );
    // One that failed is not missed.
    server.flows.forget(FlowId(3), &mut server.context);
    assert_eq!(server.reach(Tcp, "10.0.0.7:5060", None), "opening flow 5; open flow 5 to 10.0.0.7:5060");
    server.end();
}

/// What comes in on it is read like on any other: responses, and requests of whoever answered.
#[test]
fn messages_are_told_apart_on_a_connection_that_was_opened() {
    let mut server = Server::new(&[(Tcp, "192.0.2.1:5060")]);
    server.reach(Tcp, "10.0.0.7:5060", None);
    let (id, peer) = (FlowId(2), at("10.0.0.7:5060"));
    server.opened(id, "192.0.2.1:40000");
    assert_eq!(server.flows.get(id).map(Flow::side), Some(Side::Server));
    let mut octets = Some(Bytes::from_static(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\nSIP/2.0 "));
    let mut count = 0;
    while server.flows.next(id, peer, &mut octets, &mut server.context).is_some() {
        count += 1;
    }
    assert_eq!(count, 1);
    let due = server.context.timers.due(FlowTimer::Incomplete(id));
    assert_eq!(due, Some(Time::from_millis(10_000)));
    server.end();
}

#[test]
fn opened_connections_count_and_end_as_accepted_ones_do() {
    let mut server = Server::new(&[(Tcp, "192.0.2.1:5060")]);
    let (first, second) = ("10.0.0.1:5060", "10.0.0.2:5060");
    server.accept(1, TCP, "192.0.2.1:5060", "198.51.100.7:40000");
    server.context.now = Time::from_millis(1000);
    server.reach(Tcp, first, None);
    server.reach(Tcp, second, None);
    assert_eq!((server.flows.crowded(), server.flows.overcrowded()), (Some(FlowId(TCP)), None));
    server.context.now = Time::from_millis(2000);
    server.reach(Tcp, "10.0.0.3:5060", None);
    // The one that has been silent longest makes room.
    assert_eq!(server.flows.overcrowded(), Some(FlowId(TCP)));
    server.flows.close(FlowId(TCP), &mut server.context);
    assert_eq!(server.flows.overcrowded(), None);
    // Nobody waits for ever until it is open.
    let due = |server: &Server, timer| server.context.timers.due(timer).map(Time::as_millis);
    assert_eq!(due(&server, FlowTimer::Incomplete(FlowId(3))), Some(33_000));
    server.opened(FlowId(3), "192.0.2.1:40000");
    assert_eq!(due(&server, FlowTimer::Incomplete(FlowId(3))), None);
    server.flows.close(FlowId(4), &mut server.context);
    assert_eq!(due(&server, FlowTimer::Incomplete(FlowId(4))), None);
    // One that is used has its time from then on.
    server.context.now = Time::from_millis(33_000);
    server.context.actions.clear();
    assert_eq!(server.reach(Tcp, second, None), "flow 3 to 10.0.0.2:5060 as 192.0.2.1:5060/tcp");
    server.context.now = Time::from_millis(121_000);
    assert_eq!(server.flows.idle(&mut server.context), Some(FlowId(2)));
    server.flows.close(FlowId(2), &mut server.context);
    server.context.timers.cancel(FlowTimer::Idle);
    assert_eq!(
        (server.flows.idle(&mut server.context), due(&server, FlowTimer::Idle)),
        (None, Some(153_000))
    );
    server.end();

    let mut none = Server::new(&[(Tcp, "192.0.2.1:5060")]);
    none.flows.bounds.connections = 0;
    assert_eq!(none.reach(Tcp, first, None), "unreachable");
    none.end();
}

/// By a Via or a Route we know ourselves, and nobody else.
#[test]
fn hosts_and_ports_of_ours_are_those_of_listeners() {
    let mut server = Server::new(&[(Udp, "192.0.2.1:5060"), (Tcp, "[::]:5070"), (Udp, "0.0.0.0:5090")]);
    server.found("198.51.100.7", Some("203.0.113.1"));
    for (host, port, transport, expected) in [
        ("192.0.2.1", None, None, true),
        ("192.0.2.1", Some(5060), Some(Udp), true),
        ("192.0.2.1", Some(5060), Some(Tcp), false),
        ("192.0.2.1", Some(5061), None, false),
        ("192.0.2.2", Some(5060), None, false),
        ("munich.de", Some(5060), None, false),
        ("[::1]", Some(5070), Some(Tcp), true),
        ("[::1]", None, None, false),
        ("[2001:db8::1]", Some(5070), None, false),
        ("127.0.0.1", Some(5070), None, false),
        ("127.0.0.1", Some(5090), Some(Udp), true),
        ("203.0.113.1", Some(5090), None, true),
        ("203.0.113.1", Some(5060), None, false),
        ("203.0.113.2", Some(5090), None, false),
    ] {
        assert_eq!(server.is_own(host, port, transport), expected, "{host} {port:?} {transport:?}");
    }
    server.end();
}

/// A connection that we open has no listener's address where there is none for its transport: it takes the name of one
/// that is.
#[test]
fn what_a_connection_is_called_is_always_ours() {
    for listeners in [
        &[(Udp, "192.0.2.1:5060")][..],
        &[(Udp, "0.0.0.0:5080")],
        &[(Udp, "192.0.2.9:5060"), (Tcp, "192.0.2.8:5090")],
        &[(Tcp, "192.0.2.9:5090"), (Tcp, "192.0.2.1:5091")],
        &[(Tcp, "192.0.2.1:5090"), (Tcp, "192.0.2.1:5091"), (Udp, "0.0.0.0:5060")],
    ] {
        let mut server = Server::new(listeners);
        let Reach::Opening(id) = server.flows.reach(&to(Tcp, "10.0.0.7:5060"), None, &mut server.context)
        else {
            panic!("{listeners:?}")
        };
        server.opened(id, "192.0.2.1:40000");
        let sent_by = server.flows.sent_by(id, at("10.0.0.7:5060"), &mut server.context).unwrap();
        assert!(
            server.flows.is_own(&sent_by.host, Some(sent_by.port), Some(sent_by.transport)),
            "{sent_by:?}"
        );
        server.context.actions.clear();
        server.end();
    }
}

/// WSS-015: line ends keep a WebSocket alive as they do a stream: a message of CRLFCRLF is answered with CRLF by the server, and
/// nothing else is. To a client they are what it may wait for.
#[test]
fn line_ends_keep_a_websocket_alive() {
    let mut server = Server::new(&[(Transport::Ws, "192.0.2.1:80"), (Udp, "192.0.2.1:5060")]);
    let peer = at("198.51.100.7:40000");
    let accepted = server.accept(1, TCP, "192.0.2.1:80", "198.51.100.7:40000");
    let client = to(Transport::Ws, "192.0.2.2:80");
    let patience = Duration::from_secs(32);
    let client = server.flows.open(client, RegistrationId(1), true, patience, &mut server.context);
    server.context.actions.clear();
    for (id, octets, pong) in [
        (accepted, "\r\n\r\n", Some("\r\n")),
        (accepted, "\r\n", None),
        (accepted, "\r\n\r\n\r\n", None),
        (client, "\r\n\r\n", None),
        (client, "\r\n", None),
        (FlowId(2), "\r\n\r\n", None),
    ] {
        let mut bytes = Some(Bytes::from_static(octets.as_bytes()));
        let arrival = server.flows.next(id, peer, &mut bytes, &mut server.context);
        let is_told = matches!(arrival, Some(Arrival::Pong | Arrival::Pongs));
        assert_eq!((is_told, arrival.is_some()), (id == client, id == client));
        let sent: Vec<_> = server.context.actions.drain(..).collect();
        match (sent.as_slice(), pong) {
            ([], None) => {}
            ([Action::Transmit { flow, peer: to, bytes }], Some(pong)) => {
                assert_eq!((*flow, *to, &**bytes), (id, peer, pong.as_bytes()));
            }
            other => panic!("{id} {octets:?}: {other:?}"),
        }
    }
    server.flows.close(client, &mut server.context);
    server.context.actions.clear();
    server.end();
}
