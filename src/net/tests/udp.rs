use tokio::net::UdpSocket;

use super::*;
use crate::proto::client::schedule::AccountEvent;
use crate::proto::{Cause, KeepaliveFault, Notice, RegistrationId};

async fn server(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn take(server: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let (n, from) = soon(server.recv_from(&mut buffer)).await.unwrap();
    (String::from_utf8(buffer[..n].to_vec()).unwrap(), from)
}

/// The address of a port where nobody listens.
async fn nobody(ip: IpAddr) -> SocketAddr {
    server(ip).await.1
}

fn failed(event: Event) -> (SocketAddr, Cause) {
    match event {
        Event::Failed { peer, cause, .. } => (peer, cause),
        other => panic!("{other:?}"),
    }
}

/// TRN-001, TRN-034, NAT-002
#[tokio::test]
async fn one_socket_sends_and_receives_from_a_real_address_of_either_family() {
    for ip in [V4, V6] {
        let (server, peer) = server(ip).await;
        let mut network = network(Config::default());
        let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
        assert_eq!(local.ip(), ip);
        assert_ne!(local.port(), 0);
        transmit(&mut network, ONE, peer, "REGISTER");
        assert_eq!(meanwhile(&mut network, take(&server)).await, ("REGISTER".into(), local));
        server.send_to(b"200", local).await.unwrap();
        assert_eq!(received(&event(&mut network).await), (ONE, peer, &b"200"[..]));
    }
}

/// TRN-011, NAT-003
#[tokio::test]
async fn an_answer_from_another_port_comes_in() {
    let ((_server, peer), (other, elsewhere)) = (server(V4).await, server(V4).await);
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    other.send_to(b"200", local).await.unwrap();
    assert_eq!(received(&event(&mut network).await), (ONE, elsewhere, &b"200"[..]));
}

/// TRN-006. (Other systems send less than the protocol allows unless told otherwise.)
#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_largest_datagram_passes_both_ways_and_a_larger_one_fails_at_once() {
    let (server, peer) = server(V4).await;
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    let largest = vec![b'x'; 65_507];
    server.send_to(&largest, local).await.unwrap();
    assert_eq!(received(&event(&mut network).await), (ONE, peer, &largest[..]));
    network.perform(Action::Transmit { flow: ONE, peer, bytes: largest.into() });
    assert_eq!(meanwhile(&mut network, take(&server)).await.0.len(), 65_507);
    network.perform(Action::Transmit { flow: ONE, peer, bytes: vec![b'x'; 65_508].into() });
    assert_eq!(failed(event(&mut network).await), (peer, Cause::TooLarge));
    transmit(&mut network, ONE, peer, "goes on");
    assert_eq!(meanwhile(&mut network, take(&server)).await.0, "goes on");
}

#[tokio::test]
async fn an_empty_datagram_is_a_datagram() {
    let (server, peer) = server(V4).await;
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    server.send_to(b"", local).await.unwrap();
    server.send_to(b"200", local).await.unwrap();
    assert_eq!(received(&event(&mut network).await), (ONE, peer, &b""[..]));
    assert_eq!(received(&event(&mut network).await), (ONE, peer, &b"200"[..]));
}

/// TRN-028
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_closed_port_fails_at_once_and_for_its_own_peer_only() {
    for ip in [V4, V6] {
        let ((server, alive), dead) = (server(ip).await, nobody(ip).await);
        let mut network = network(Config::default());
        let local = opened(&mut network, ONE, to(Transport::Udp, alive)).await;
        transmit(&mut network, ONE, dead, "REGISTER");
        assert_eq!(failed(event(&mut network).await), (dead, Cause::Refused));
        transmit(&mut network, ONE, alive, "REGISTER");
        assert_eq!(meanwhile(&mut network, take(&server)).await, ("REGISTER".into(), local));
        server.send_to(b"200", local).await.unwrap();
        assert_eq!(received(&event(&mut network).await), (ONE, alive, &b"200"[..]));
    }
}

/// TRN-028: the socket hands the error of one datagram to whichever call comes next; no other peer must
/// suffer.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_pending_error_never_stops_a_datagram_to_another_peer() {
    let ((server, alive), dead) = (server(V4).await, nobody(V4).await);
    let mut network = network(Config::default());
    opened(&mut network, ONE, to(Transport::Udp, alive)).await;
    let rounds = 20;
    for _ in 0..rounds {
        transmit(&mut network, ONE, dead, "lost");
        transmit(&mut network, ONE, alive, "kept");
    }
    // The kernel may limit how many it sends.
    let mut errors = 0;
    while errors == 0 || !network_is_quiet(&mut network).await {
        assert_eq!(failed(event(&mut network).await), (dead, Cause::Refused));
        errors += 1;
    }
    for _ in 0..rounds {
        assert_eq!(take(&server).await.0, "kept");
    }
    assert!(errors <= rounds);
}

/// An error fails all datagrams that still wait, however many they are.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn answers_that_have_come_precede_an_error() {
    let (server, peer) = server(V4).await;
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    for _ in 0..20 {
        server.send_to(b"200", local).await.unwrap();
    }
    drop(server);
    transmit(&mut network, ONE, peer, "REGISTER");
    for _ in 0..20 {
        assert_eq!(received(&event(&mut network).await), (ONE, peer, &b"200"[..]));
    }
    assert_eq!(failed(event(&mut network).await), (peer, Cause::Refused));
}

/// Whether every datagram that loopback brought is read.
#[cfg(target_os = "linux")]
async fn network_is_quiet(network: &mut Network) -> bool {
    let quiet = tokio::time::timeout(Duration::from_millis(20), network.event_by(None)).await;
    match quiet {
        Err(_) => true,
        Ok(event) => {
            network.push(event);
            false
        }
    }
}

/// TRN-028
#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_error_wakes_the_task_a_few_times_and_not_for_ever() {
    let dead = nobody(V4).await;
    let mut network = network(Config::default());
    opened(&mut network, ONE, to(Transport::Udp, dead)).await;
    let polls = std::cell::Cell::new(0);
    for _ in 0..3 {
        transmit(&mut network, ONE, dead, "REGISTER");
        let event = counted(&polls, network.event_by(None));
        assert_eq!(failed(soon(event).await), (dead, Cause::Refused));
    }
    assert!(polls.get() < 30, "{} polls for three errors", polls.get());
    polls.set(0);
    let nothing = tokio::time::timeout(Duration::from_millis(50), counted(&polls, network.event_by(None)));
    assert!(nothing.await.is_err());
    assert!(polls.get() <= 3, "{} polls for nothing", polls.get());
}

/// Counts how often a future is polled.
#[cfg(target_os = "linux")]
async fn counted<T>(polls: &std::cell::Cell<u32>, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context)
    })
    .await
}

/// TRN-028, TRN-029: ICMP as a router would send it. Needs the right to make raw sockets, and is silent
/// without.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn time_exceeded_is_ignored_and_host_unreachable_is_not() {
    use socket2::{Domain, Protocol, Socket, Type};
    let Ok(router) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else { return };
    let (_server, peer) = server(V4).await;
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    for (kind, code) in [(11, 0), (4, 0), (3, 4), (3, 1)] {
        let packet = icmp_error(kind, code, local, peer);
        if router.send_to(&packet, &SocketAddr::new(V4, 0).into()).is_err() {
            return;
        }
    }
    assert_eq!(failed(event(&mut network).await), (peer, Cause::Unreachable));
    assert!(network_is_quiet(&mut network).await);
}

/// RFC 792: type, code, checksum, unused, and the head of the datagram it is about.
#[cfg(target_os = "linux")]
fn icmp_error(kind: u8, code: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(target)) = (from.ip(), to.ip()) else { panic!("IPv4 only") };
    let mut packet = vec![kind, code, 0, 0, 0, 0, 0x05, 0xdc];
    packet.extend([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(target.octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend([0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let check = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[2..4].copy_from_slice(&check.to_be_bytes());
    packet
}

#[tokio::test]
async fn the_asked_port_is_bound_and_taken_again_by_the_next_flow() {
    let (server, peer) = server(V4).await;
    let port = nobody(V4).await.port();
    let mut network = network(Config { bind: Some((V4, Some(port))), ..Config::default() });
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    assert_eq!(local, SocketAddr::new(V4, port));
    transmit(&mut network, ONE, peer, "last words");
    close(&mut network, ONE);
    assert_eq!(opened(&mut network, TWO, to(Transport::Udp, peer)).await, local);
    assert_eq!(take(&server).await, ("last words".into(), local));
}

#[tokio::test]
async fn a_port_in_use_fails_with_its_cause() {
    let ((_server, peer), (_other, taken)) = (server(V4).await, server(V4).await);
    let mut network = network(Config { bind: Some((V4, Some(taken.port()))), ..Config::default() });
    open(&mut network, ONE, to(Transport::Udp, peer));
    assert_eq!(failed(event(&mut network).await), (peer, Cause::LocalAddress));
}

#[tokio::test]
async fn an_address_of_the_other_family_fails() {
    let mut network = network(Config { bind: Some((V4, None)), ..Config::default() });
    let peer = SocketAddr::new(V6, 5060);
    open(&mut network, ONE, to(Transport::Udp, peer));
    assert_eq!(failed(event(&mut network).await), (peer, Cause::LocalAddress));
}

#[tokio::test]
async fn a_closed_flow_is_silent() {
    let (server, peer) = server(V4).await;
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    let other = opened(&mut network, TWO, to(Transport::Udp, peer)).await;
    server.send_to(b"late", local).await.unwrap();
    close(&mut network, ONE);
    transmit(&mut network, ONE, peer, "nobody sends this");
    server.send_to(b"200", other).await.unwrap();
    assert_eq!(received(&event(&mut network).await), (TWO, peer, &b"200"[..]));
}

/// OUT-034: the next socket takes the port of the one before, so that the contact stays the same; unless keep-alives went unanswered.
#[tokio::test]
async fn a_way_that_keep_alives_have_lost_is_left_with_its_port() {
    let (_server, peer) = server(V4).await;
    let lost = |fault| {
        let cause = Some(Cause::Keepalive(fault));
        let what = AccountEvent::FlowFailed { cause, words: None, next: Time::from_millis(0) };
        Action::Notify(Notice::Account { registration: RegistrationId(1), what })
    };
    let mut network = network(Config::default());
    let mut ports = Vec::new();
    for (flow, fault) in [(1, KeepaliveFault::Remapped), (2, KeepaliveFault::Unanswered)] {
        ports.push(opened(&mut network, FlowId(flow), to(Transport::Udp, peer)).await.port());
        close(&mut network, FlowId(flow));
        assert!(network.perform(lost(fault)).is_some());
    }
    // Somebody else has the port that the system might give once more.
    let _holder = UdpSocket::bind((V4, ports[0])).await.unwrap();
    ports.push(opened(&mut network, FlowId(3), to(Transport::Udp, peer)).await.port());
    assert!(ports[0] == ports[1] && ports[1] != ports[2], "{ports:?}");
}
