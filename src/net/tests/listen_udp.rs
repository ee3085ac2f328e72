use tokio::net::UdpSocket;

use super::*;
use crate::proto::{Cause, Time};

async fn peer(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn take(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let (n, from) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    (String::from_utf8(buffer[..n].to_vec()).unwrap(), from)
}

/// A network that listens at this address.
async fn serving(ip: IpAddr) -> (Network, SocketAddr) {
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Udp, SocketAddr::new(ip, 0))).await;
    (network, local)
}

/// Takes one datagram and answers it with this text.
async fn answer(network: &mut Network, text: &'static str) {
    match event(network).await {
        Event::Received { flow, peer, .. } => transmit(network, flow, peer, text),
        other => panic!("{other:?}"),
    }
}

/// TRN-001
#[tokio::test]
async fn two_listeners_answer_each_from_its_own_port_in_either_family() {
    for ip in [V4, V6] {
        let (mut network, one) = serving(ip).await;
        let two = listening(&mut network, TWO, to(Transport::Udp, SocketAddr::new(ip, 0))).await;
        let (socket, from) = peer(ip).await;
        for (flow, local) in [(ONE, one), (TWO, two)] {
            socket.send_to(b"REGISTER", local).await.unwrap();
            assert_eq!(received(&event(&mut network).await), (flow, from, &b"REGISTER"[..]));
            transmit(&mut network, flow, from, "200");
            assert_eq!(meanwhile(&mut network, take(&socket)).await, ("200".into(), local));
        }
    }
}

/// RFC 3581 §4: the address that the request was sent to is the one that a NAT lets an answer in from.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_answer_leaves_from_the_address_that_the_request_came_to() {
    let (mut network, any) = serving(Ipv4Addr::UNSPECIFIED.into()).await;
    let (socket, _) = peer(V4).await;
    let ours = [1, 2, 3].map(|n| SocketAddr::new(Ipv4Addr::new(127, 0, 0, n).into(), any.port()));
    for local in ours {
        for _ in 0..2 {
            socket.send_to(b"REGISTER", local).await.unwrap();
        }
    }
    for _ in 0..6 {
        answer(&mut network, "200").await;
    }
    for local in [ours[0], ours[0], ours[1], ours[1], ours[2], ours[2]] {
        assert_eq!(meanwhile(&mut network, take(&socket)).await, ("200".into(), local));
    }
    // Another peer's answer leaves from the address that the routing table gives.
    let (other, elsewhere) = (UdpSocket::bind("127.0.0.9:0").await.unwrap(), "its own");
    transmit(&mut network, ONE, other.local_addr().unwrap(), elsewhere);
    assert_eq!(meanwhile(&mut network, take(&other)).await.0, elsewhere);

    let (mut network, any) = serving(Ipv6Addr::UNSPECIFIED.into()).await;
    let (socket, _) = peer(V6).await;
    let local = SocketAddr::new(V6, any.port());
    socket.send_to(b"REGISTER", local).await.unwrap();
    answer(&mut network, "200").await;
    assert_eq!(meanwhile(&mut network, take(&socket)).await, ("200".into(), local));
}

/// TRN-006
#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_largest_datagram_passes_both_ways_among_small_ones() {
    let (mut network, local) = serving(V4).await;
    let (socket, from) = peer(V4).await;
    let largest = vec![b'x'; 65_507];
    for datagram in [&b"small"[..], &largest, b"", b"small"] {
        socket.send_to(datagram, local).await.unwrap();
        assert_eq!(received(&event(&mut network).await), (ONE, from, datagram));
        network.perform(Action::Transmit { flow: ONE, peer: from, bytes: Bytes::copy_from_slice(datagram) });
        assert_eq!(meanwhile(&mut network, take(&socket)).await.0.as_bytes(), datagram);
    }
}

#[tokio::test]
async fn a_refused_datagram_fails_for_its_own_peer_only() {
    let (mut network, _) = serving(V4).await;
    let (socket, good) = peer(V4).await;
    let bad = SocketAddr::new(V4, 0);
    let rounds = 40;
    for _ in 0..rounds {
        transmit(&mut network, ONE, bad, "lost");
        transmit(&mut network, ONE, good, "kept");
    }
    for _ in 0..rounds {
        let event = event(&mut network).await;
        assert!(matches!(event, Event::Failed { flow: ONE, peer, .. } if peer == bad), "{event:?}");
    }
    for _ in 0..rounds {
        assert_eq!(meanwhile(&mut network, take(&socket)).await.0, "kept");
    }
    let largest = vec![0; 65_508].into();
    network.perform(Action::Transmit { flow: ONE, peer: good, bytes: largest });
    let event = event(&mut network).await;
    assert!(matches!(event, Event::Failed { flow: ONE, cause: Cause::TooLarge, .. }), "{event:?}");
}

/// TRN-028: the device that a request was forwarded to is gone. A stranger who makes us answer to a port where nobody
/// listens must not end the service.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn icmp_errors_are_told_and_never_close_a_listener() {
    for (at, from) in
        [(V4, V4), (V6, V6), (Ipv4Addr::UNSPECIFIED.into(), V4), (Ipv6Addr::UNSPECIFIED.into(), V6)]
    {
        let (mut network, local) = serving(at).await;
        let local = SocketAddr::new(from, local.port());
        let (socket, good) = peer(from).await;
        let dead = peer(from).await.1;
        // Not more: the system limits how many of these it sends.
        for _ in 0..5 {
            transmit(&mut network, ONE, dead, "lost");
            match event(&mut network).await {
                Event::Failed { flow: ONE, peer, cause: Cause::Refused } => assert_eq!(peer, dead),
                other => panic!("{other:?}"),
            }
            socket.send_to(b"REGISTER", local).await.unwrap();
            assert_eq!(received(&event(&mut network).await), (ONE, good, &b"REGISTER"[..]));
            transmit(&mut network, ONE, good, "200");
            assert_eq!(meanwhile(&mut network, take(&socket)).await.0, "200");
        }
    }
}

#[tokio::test]
async fn a_source_is_found_for_each_peer_that_there_is_a_way_to() {
    let mut network = network(Config::default());
    for (peer, ours) in [("127.0.0.9", Some("127.0.0.1")), ("::1", Some("::1")), ("255.255.255.255", None)] {
        let peer: IpAddr = peer.parse().unwrap();
        assert!(network.perform(Action::FindSource { peer }).is_none());
        match event(&mut network).await {
            Event::SourceFound { peer: of, local } => {
                assert_eq!((of, local), (peer, ours.map(|ours| ours.parse().unwrap())));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn datagrams_queued_before_closing_are_sent() {
    let (mut network, local) = serving(V4).await;
    let (socket, from) = peer(V4).await;
    socket.send_to(b"REGISTER", local).await.unwrap();
    answer(&mut network, "last ").await;
    transmit(&mut network, ONE, from, "words");
    close(&mut network, ONE);
    assert_eq!(take(&socket).await.0, "last ");
    assert_eq!(take(&socket).await.0, "words");
}

/// Keeps datagrams of a flood waiting at this address.
async fn flood(socket: &UdpSocket, at: SocketAddr) {
    for _ in 0..64 {
        socket.send_to(b"junk", at).await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_on_one_listener_holds_up_neither_another_nor_a_timer_nor_a_connection() {
    let (mut network, flooded) = serving(V4).await;
    let quiet = listening(&mut network, TWO, to(Transport::Udp, SocketAddr::new(V4, 0))).await;
    let tcp = FlowId(3);
    let stream_at = listening(&mut network, tcp, to(Transport::Tcp, SocketAddr::new(V4, 0))).await;
    let (stranger, _) = peer(V4).await;
    let (socket, from) = peer(V4).await;
    flood(&stranger, flooded).await;
    socket.send_to(b"REGISTER", quiet).await.unwrap();
    let stream = tokio::net::TcpStream::connect(stream_at).await.unwrap();
    stream.try_write(b"REGISTER").unwrap();

    let (mut timer, mut datagram, mut connection, mut octets) = (false, false, false, false);
    let mut before = 0;
    while !(timer && datagram && connection && octets) {
        flood(&stranger, flooded).await;
        for _ in 0..32 {
            match event_by(&mut network, Time::default()).await {
                Event::Timeout => timer = true,
                Event::Accepted { .. } => connection = true,
                Event::Received { flow: ONE, .. } => before += 1,
                Event::Received { flow: TWO, peer, .. } => datagram = peer == from,
                Event::Received { flow: FlowId::ACCEPTED, .. } => octets = true,
                other => panic!("{other:?}"),
            }
        }
        assert!(before < 2000, "the flood came first all the time");
    }
}

async fn event_by(network: &mut Network, due: Time) -> Event {
    soon(network.event_by(Some(due))).await
}

/// A signal, for example, has to end a program under a flood.
#[tokio::test]
async fn other_futures_get_their_turn_in_a_flood() {
    let (mut network, local) = serving(V4).await;
    let (stranger, _) = peer(V4).await;
    let (mut before, mut beside) = (0, tokio::spawn(async {}));
    loop {
        flood(&stranger, local).await;
        let run = async {
            for _ in 0..64 {
                network.event_by(None).await;
                before += 1;
            }
        };
        tokio::select! {
            biased;
            () = run => {}
            _ = &mut beside => break,
        }
        assert!(before < 2000, "the flood came first all the time");
    }
}

#[tokio::test]
async fn a_dropped_wait_loses_no_datagram() {
    let (mut network, local) = serving(V4).await;
    let (socket, from) = peer(V4).await;
    for n in 0..100_u8 {
        socket.send_to(&[n], local).await.unwrap();
        for _ in 0..3 {
            let given_up = tokio::time::timeout(Duration::ZERO, network.event_by(None)).await;
            if let Ok(event) = given_up {
                network.push(event);
            }
        }
        assert_eq!(received(&event(&mut network).await), (ONE, from, &[n][..]));
    }
}
