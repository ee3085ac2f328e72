use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::proto::Cause;

async fn listener(ip: IpAddr) -> (TcpListener, Destination) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, to(Transport::Tcp, address))
}

/// A network with one connection, and its other end.
async fn connected(config: Config) -> (Network, TcpStream, SocketAddr) {
    let (listener, destination) = listener(V4).await;
    let mut network = network(config);
    let local = opened(&mut network, ONE, destination.clone()).await;
    let (stream, from) = soon(listener.accept()).await.unwrap();
    assert_eq!(from, local);
    (network, stream, destination.address)
}

async fn take(stream: &mut TcpStream, text: &str) {
    let mut buffer = vec![0; text.len()];
    soon(stream.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer, text.as_bytes());
}

/// TRN-001, TRN-012, TRN-034
#[tokio::test]
async fn a_connection_carries_octets_both_ways_in_either_family() {
    for ip in [V4, V6] {
        let (listener, destination) = listener(ip).await;
        let mut network = network(Config::default());
        let local = opened(&mut network, ONE, destination.clone()).await;
        assert_eq!(local.ip(), ip);
        let (mut stream, from) = soon(listener.accept()).await.unwrap();
        assert_eq!(from, local);
        transmit(&mut network, ONE, destination.address, "REGISTER");
        take(&mut stream, "REGISTER").await;
        stream.write_all(b"200").await.unwrap();
        assert_eq!(received(&event(&mut network).await), (ONE, destination.address, &b"200"[..]));
    }
}

/// TRN-023: the driver passes pieces on; telling messages apart is the core's.
#[tokio::test]
async fn octets_come_up_in_order_whatever_their_pieces() {
    let (mut network, mut stream, peer) = connected(Config::default()).await;
    let text = "SIP/2.0 200 OK\r\n".repeat(40);
    let all = text.clone();
    let writer = tokio::spawn(async move {
        stream.set_nodelay(true).unwrap();
        for octet in all.as_bytes() {
            stream.write_all(&[*octet]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    });
    let mut got = Vec::new();
    while got.len() < text.len() {
        let event = event(&mut network).await;
        let (flow, from, bytes) = received(&event);
        assert_eq!((flow, from), (ONE, peer));
        got.extend_from_slice(bytes);
    }
    assert_eq!(got, text.as_bytes());
    drop(writer.await.unwrap());
    assert!(matches!(event(&mut network).await, Event::Closed { flow: ONE }));
}

/// TRN-030
#[tokio::test]
async fn a_closed_port_fails_at_once() {
    let (listener, destination) = listener(V4).await;
    drop(listener);
    let mut network = network(Config::default());
    open(&mut network, ONE, destination.clone());
    match event(&mut network).await {
        Event::Failed { flow: ONE, peer, cause: Cause::Refused } => assert_eq!(peer, destination.address),
        other => panic!("{other:?}"),
    }
}

/// TRN-031
#[tokio::test]
async fn the_end_of_the_connection_comes_after_its_last_octets() {
    let (mut network, mut stream, peer) = connected(Config::default()).await;
    stream.write_all(b"200").await.unwrap();
    drop(stream);
    assert_eq!(received(&event(&mut network).await), (ONE, peer, &b"200"[..]));
    assert!(matches!(event(&mut network).await, Event::Closed { flow: ONE }));
    transmit(&mut network, ONE, peer, "nobody is there, and no error comes twice");
}

/// TRN-031
#[tokio::test]
async fn a_reset_is_a_failure() {
    let (mut network, stream, remote) = connected(Config::default()).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    match event(&mut network).await {
        Event::Failed { flow: ONE, peer, cause: Cause::Reset } => assert_eq!(peer, remote),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_queued_before_closing_are_sent() {
    let (mut network, mut stream, peer) = connected(Config::default()).await;
    transmit(&mut network, ONE, peer, "last ");
    transmit(&mut network, ONE, peer, "words");
    close(&mut network, ONE);
    let mut all = String::new();
    soon(stream.read_to_string(&mut all)).await.unwrap();
    assert_eq!(all, "last words");
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_bounded_memory() {
    let (mut network, _stream, remote) = connected(Config::default()).await;
    let bytes = Bytes::from(vec![b'x'; 1 << 20]);
    let mut sent = 0;
    let failed = loop {
        network.perform(Action::Transmit { flow: ONE, peer: remote, bytes: bytes.clone() });
        sent += 1;
        assert!(sent < 200, "the queue has no end");
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(1), network.event_by(None)).await {
            break event;
        }
    };
    match failed {
        Event::Failed { flow: ONE, peer, cause: Cause::Other(std::io::ErrorKind::WouldBlock) } => {
            assert_eq!(peer, remote);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_asked_address_and_port_are_bound_and_can_be_bound_again() {
    let port = listener(V4).await.1.address.port();
    let bind = SocketAddr::new(V4, port);
    for _ in 0..2 {
        let config = Config { bind: Some((V4, Some(port))), ..Config::default() };
        let (mut network, mut stream, _) = connected(config).await;
        assert_eq!(stream.peer_addr().unwrap(), bind);
        close(&mut network, ONE);
        soon(stream.read(&mut [0; 1])).await.unwrap();
    }
}

#[tokio::test]
async fn a_port_in_use_fails_with_its_cause() {
    let ((_listener, destination), (_other, taken)) = (listener(V4).await, listener(V4).await);
    let bind = Some((V4, Some(taken.address.port())));
    let mut network = network(Config { bind, ..Config::default() });
    open(&mut network, ONE, destination.clone());
    let event = event(&mut network).await;
    assert!(matches!(event, Event::Failed { flow: ONE, cause: Cause::LocalAddress, .. }), "{event:?}");
}

#[tokio::test]
async fn closing_while_connecting_is_silent() {
    let ((_first, one), (second, two)) = (listener(V4).await, listener(V4).await);
    let mut network = network(Config::default());
    open(&mut network, ONE, one);
    close(&mut network, ONE);
    opened(&mut network, TWO, two).await;
    soon(second.accept()).await.unwrap();
}
