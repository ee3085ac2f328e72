use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::*;
use crate::proto::Cause;

/// A network that listens at this address.
async fn serving(ip: IpAddr) -> (Network, SocketAddr) {
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Tcp, SocketAddr::new(ip, 0))).await;
    (network, local)
}

/// Connects, and gives the connection with the flow that the driver numbered it with.
async fn connect(network: &mut Network, at: SocketAddr) -> (TcpStream, FlowId) {
    let stream = soon(TcpStream::connect(at)).await.unwrap();
    match event(network).await {
        Event::Accepted { listener: ONE, flow, local, remote } => {
            assert_eq!((local, remote), (at, stream.local_addr().unwrap()));
            (stream, flow)
        }
        other => panic!("{other:?}"),
    }
}

/// The text that comes in at the other end before it is closed or reset, while the network runs.
async fn rest(network: &mut Network, mut stream: TcpStream) -> String {
    let mut all = String::new();
    tokio::select! {
        biased;
        _ = soon(stream.read_to_string(&mut all)) => {}
        event = network.event_by(None) => panic!("{event:?}"),
    }
    all
}

/// The next event is the last of this flow.
async fn assert_silent_since(network: &mut Network, flow: FlowId, at: SocketAddr) {
    let peer = at;
    transmit(network, flow, peer, "nobody is there, and no error comes twice");
    connect(network, at).await;
}

/// TRN-001, TRN-012
#[tokio::test]
async fn an_accepted_connection_carries_octets_both_ways_in_either_family() {
    for ip in [V4, V6] {
        let (mut network, local) = serving(ip).await;
        for n in 0..3 {
            let (mut stream, flow) = connect(&mut network, local).await;
            assert_eq!(flow, FlowId(FlowId::ACCEPTED.0 + n));
            let remote = stream.local_addr().unwrap();
            stream.write_all(b"REGISTER").await.unwrap();
            assert_eq!(received(&event(&mut network).await), (flow, remote, &b"REGISTER"[..]));
            transmit(&mut network, flow, remote, "200");
            let mut buffer = [0; 3];
            soon(stream.read_exact(&mut buffer)).await.unwrap();
            assert_eq!(&buffer, b"200");
            close(&mut network, flow);
        }
    }
}

/// TRN-031
#[tokio::test]
async fn a_peer_that_closes_is_reported_once_after_its_last_octets() {
    let (mut network, local) = serving(V4).await;
    let (mut stream, flow) = connect(&mut network, local).await;
    let remote = stream.local_addr().unwrap();
    stream.write_all(b"REGISTER").await.unwrap();
    drop(stream);
    assert_eq!(received(&event(&mut network).await), (flow, remote, &b"REGISTER"[..]));
    let end = event(&mut network).await;
    assert!(matches!(end, Event::Closed { flow: of } if of == flow), "{end:?}");
    assert_silent_since(&mut network, flow, local).await;
}

/// TRN-031
#[tokio::test]
async fn a_reset_is_a_failure_that_is_reported_once() {
    let (mut network, local) = serving(V4).await;
    let (stream, flow) = connect(&mut network, local).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let end = event(&mut network).await;
    assert!(matches!(end, Event::Failed { flow: of, cause: Cause::Reset, .. } if of == flow), "{end:?}");
    assert_silent_since(&mut network, flow, local).await;
}

#[tokio::test]
async fn messages_queued_before_closing_are_sent_and_nothing_is_reported() {
    let (mut network, local) = serving(V4).await;
    let (stream, flow) = connect(&mut network, local).await;
    let remote = stream.local_addr().unwrap();
    transmit(&mut network, flow, remote, "last ");
    transmit(&mut network, flow, remote, "words");
    close(&mut network, flow);
    assert_eq!(rest(&mut network, stream).await, "last words");
    assert_silent_since(&mut network, flow, local).await;
}

#[tokio::test]
async fn connections_outlive_their_listener() {
    let (mut network, local) = serving(V4).await;
    let (mut stream, flow) = connect(&mut network, local).await;
    close(&mut network, ONE);
    stream.write_all(b"REGISTER").await.unwrap();
    assert_eq!(received(&event(&mut network).await).0, flow);
    assert_eq!(
        soon(TcpStream::connect(local)).await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up_and_reported_once() {
    let (mut network, local) = serving(V4).await;
    let (stream, flow) = connect(&mut network, local).await;
    let remote = stream.local_addr().unwrap();
    let bytes = Bytes::from(vec![b'x'; 60_000]);
    let mut sent = 0;
    let end = loop {
        network.perform(Action::Transmit { flow, peer: remote, bytes: bytes.clone() });
        sent += 1;
        assert!(sent < 2000, "the queue has no end");
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(1), network.event_by(None)).await {
            break event;
        }
    };
    match end {
        Event::Failed { flow: of, peer, cause: Cause::Other(std::io::ErrorKind::WouldBlock) } => {
            assert_eq!((of, peer), (flow, remote));
        }
        other => panic!("{other:?}"),
    }
    assert_silent_since(&mut network, flow, local).await;
}

/// The kernel's buffers hold the octets that the core has no time for, and they are full one day.
#[tokio::test]
async fn a_peer_that_sends_without_end_is_held_back() {
    let (mut network, local) = serving(V4).await;
    let (stream, flow) = connect(&mut network, local).await;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // Nobody asks for events; the connection's task runs whenever this one waits.
    while soon_or_never(stream.writable()).await {
        sent += stream.try_write(&piece).unwrap_or(0);
        assert!(sent < 1 << 30, "nobody holds it back");
    }
    let mut got = 0;
    while got < sent {
        let event = event(&mut network).await;
        let (of, _, bytes) = received(&event);
        assert_eq!(of, flow);
        got += bytes.len();
    }
    assert_eq!(got, sent);
}

async fn soon_or_never<T>(future: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), future).await.is_ok()
}

/// Runs one of the tests below in a process of its own, which may have this many descriptors.
#[cfg(target_os = "linux")]
fn alone(descriptors: u32, test: &str) {
    let own = std::env::current_exe().unwrap();
    let script =
        format!("ulimit -n {descriptors} && exec \"$0\" --exact net::tests::listen_tcp::{test} --ignored");
    let output = std::process::Command::new("sh").args(["-c", &script]).arg(own).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn thousands_of_silent_connections_leave_datagrams_alone() {
    alone(4096 + 128, "with_thousands_of_silent_connections");
}

#[tokio::test]
#[ignore = "needs a process of its own"]
async fn with_thousands_of_silent_connections() {
    let (mut network, local) = serving(V4).await;
    let udp = listening(&mut network, TWO, to(Transport::Udp, SocketAddr::new(V4, 0))).await;
    let client = UdpSocket::bind((V4, 0)).await.unwrap();
    let (mut silent, mut accepted) = (Vec::new(), 0);
    for _ in 0..20 {
        for _ in 0..100 {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&local.into());
            silent.push(socket);
        }
        client.send_to(b"REGISTER", udp).await.unwrap();
        loop {
            match event(&mut network).await {
                Event::Received { flow: TWO, .. } => break,
                Event::Accepted { listener: ONE, .. } => accepted += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    while accepted < silent.len() {
        let event = event(&mut network).await;
        assert!(matches!(event, Event::Accepted { listener: ONE, .. }), "{event:?}");
        accepted += 1;
    }
}

#[test]
#[cfg(target_os = "linux")]
fn running_out_of_descriptors_is_survived() {
    alone(64, "with_few_descriptors");
}

#[tokio::test]
#[ignore = "needs a process of its own"]
async fn with_few_descriptors() {
    let (mut network, local) = serving(V4).await;
    let (mut stream, flow) = connect(&mut network, local).await;
    let mut others: Vec<std::net::TcpStream> = Vec::new();
    while let Ok(other) = std::net::TcpStream::connect(local) {
        others.push(other);
    }
    assert!(others.len() > 10);
    stream.write_all(b"REGISTER").await.unwrap();
    assert_eq!(received(&event(&mut network).await).0, flow, "those that are open live on");
    // Half of the others go, and make room for the rest.
    others.truncate(others.len() / 2);
    for _ in 0..others.len() {
        let event = event(&mut network).await;
        assert!(matches!(event, Event::Accepted { listener: ONE, .. }), "{event:?}");
    }
}
