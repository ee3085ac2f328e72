use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::proto::{Command, Direction, Notice, RegistrationId, Time};

const DRY: Config = Config {
    bind: None,
    port: None,
    nameservers: Vec::new(),
    dns_timeout: Duration::from_secs(1),
    asks_every_nameserver: false,
    profiles: Vec::new(),
    server: None,
    dry_run: true,
};

fn give_up(n: u64) -> Event {
    Event::Command(Command::GiveUp { registration: RegistrationId(n) })
}

/// Opens a flow of a dry run and transmits on it: the message comes back as a notice. Gives the flow's
/// address.
async fn assert_dry(network: &mut Network, destination: Destination) -> SocketAddr {
    let local = opened(network, ONE, destination.clone()).await;
    assert_eq!(local.ip(), destination.address.ip());
    assert_ne!(local.port(), 0);
    let (peer, bytes) = (destination.address, Bytes::from_static(b"REGISTER"));
    let notice = network.perform(Action::Transmit { flow: ONE, peer, bytes: bytes.clone() });
    let (direction, transport) = (Direction::Sent, destination.transport);
    let expected = Notice::Message { direction, transport, local, remote: peer, bytes };
    assert_eq!(format!("{notice:?}"), format!("{:?}", Some(expected)));
    local
}

#[tokio::test]
async fn a_dry_run_over_udp_sends_nothing() {
    let server = UdpSocket::bind((V4, 0)).await.unwrap();
    let mut network = network(DRY);
    let local = assert_dry(&mut network, to(Transport::Udp, server.local_addr().unwrap())).await;
    // A datagram of the dry run would come before this one.
    let other = UdpSocket::bind((V4, 0)).await.unwrap();
    other.send_to(b"mark", server.local_addr().unwrap()).await.unwrap();
    let mut buffer = [0; 100];
    let (n, from) = soon(server.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..n], from), (&b"mark"[..], other.local_addr().unwrap()));
    close(&mut network, ONE);
    UdpSocket::bind(local).await.expect("closed, and its port free");
}

#[tokio::test]
async fn a_dry_run_over_tcp_does_not_connect() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut network = network(DRY);
    assert_dry(&mut network, to(Transport::Tcp, address)).await;
    let mark = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_, from) = soon(listener.accept()).await.unwrap();
    assert_eq!(from, mark.local_addr().unwrap());
}

#[tokio::test]
async fn a_due_timer_fires_at_once_and_a_later_one_at_its_time() {
    let mut network = network(Config::default());
    assert!(matches!(soon(network.event_by(Some(Time::default()))).await, Event::Timeout));
    let due = network.now() + Duration::from_millis(5);
    assert!(matches!(soon(network.event_by(Some(due))).await, Event::Timeout));
    assert!(network.now() >= due);
}

#[tokio::test]
async fn commands_come_in_order_and_before_events_of_the_network() {
    let mut network = network(Config::default());
    for n in 0..3 {
        network.push(give_up(n));
    }
    for n in 0..3 {
        match soon(network.event_by(Some(Time::default()))).await {
            Event::Command(Command::GiveUp { registration }) => assert_eq!(registration.0, n),
            other => panic!("{other:?}"),
        }
    }
}

/// A flood must not hold up Timer F.
#[tokio::test]
async fn a_timer_comes_through_a_flood() {
    let server = UdpSocket::bind((V4, 0)).await.unwrap();
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, server.local_addr().unwrap())).await;
    let mut before = 0;
    loop {
        for _ in 0..4 {
            server.send_to(b"junk", local).await.unwrap();
        }
        match soon(network.event_by(Some(Time::default()))).await {
            Event::Timeout => break,
            _ => before += 1,
        }
        assert!(before < 100, "the flood came first all the time");
    }
}

/// `tokio::select!` drops the loser.
#[tokio::test]
async fn a_dropped_wait_loses_no_event() {
    let server = UdpSocket::bind((V4, 0)).await.unwrap();
    let peer = server.local_addr().unwrap();
    let mut network = network(Config::default());
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    for n in 0..50_u8 {
        server.send_to(&[n], local).await.unwrap();
        for _ in 0..3 {
            let given_up = tokio::time::timeout(Duration::ZERO, network.event_by(None)).await;
            if let Ok(event) = given_up {
                network.push(event);
            }
        }
        assert_eq!(received(&event(&mut network).await), (ONE, peer, &[n][..]));
    }
}

/// Timers that are always due must not hold up signals, programs and readers, for which the same task waits.
#[tokio::test]
async fn other_tasks_have_their_turn_while_timers_are_always_due() {
    let mut network = network(Config::default());
    let due = Some(Time::from_millis(0));
    let timers = async {
        for _ in 0..1000 {
            assert!(matches!(network.event_by(due).await, Event::Timeout));
        }
    };
    tokio::select! {
        biased;
        () = timers => panic!("nobody else had a turn"),
        () = std::future::ready(()) => {}
    }
}
