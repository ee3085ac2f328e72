//! What a datagram and its answer cost the driver, beside a bare loop over the same kind of socket in the
//! same run:
//!
//! `cargo test --release --lib net::tests::cost -- --ignored --nocapture`
#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::thread::JoinHandle;

use nix::time::{ClockId, clock_gettime};

use super::*;

/// Datagrams of a run, and how many are under way at a time.
const COUNT: usize = 200_000;
const WINDOW: usize = 500;
const SIZE: usize = 600;

/// Sends to the address from a thread of its own until as many answers have come. What is lost is sent again.
fn load(to: SocketAddr) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let socket = UdpSocket::bind((V4, 0)).unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.connect(to).unwrap();
        let (message, mut buffer) = ([b'x'; SIZE], [0; 2 * SIZE]);
        let (mut answers, mut underway) = (0, 0);
        while answers < COUNT {
            while underway < WINDOW {
                socket.send(&message).unwrap();
                underway += 1;
            }
            if socket.recv(&mut buffer).is_ok() {
                answers += 1;
                underway -= 1;
            } else {
                underway = 0;
            }
        }
    })
}

/// CPU time of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn show(name: &str, before: Duration, count: usize) -> f64 {
    let each = (cpu() - before).as_secs_f64() * 1e6 / count as f64;
    println!("{name:<8} {each:6.2} µs of CPU for each of {count} datagrams and its answer");
    each
}

fn bare() -> f64 {
    let socket = UdpSocket::bind((V4, 0)).unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let load = load(socket.local_addr().unwrap());
    let (before, mut buffer, mut count) = (cpu(), [0; 65_535], 0);
    while !load.is_finished() {
        if let Ok((n, peer)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..n], peer).unwrap();
            count += 1;
        }
    }
    load.join().unwrap();
    show("bare", before, count)
}

/// Answers from a flow or from a listener.
async fn driver(name: &str, mut network: Network, local: SocketAddr) -> f64 {
    let load = load(local);
    let (before, mut count) = (cpu(), 0);
    while !load.is_finished() {
        let due = network.now() + Duration::from_millis(50);
        match network.event_by(Some(due)).await {
            Event::Received { flow, peer, bytes } => {
                assert!(network.perform(Action::Transmit { flow, peer, bytes }).is_none());
                count += 1;
            }
            Event::Timeout => {}
            other => panic!("{other:?}"),
        }
    }
    load.join().unwrap();
    show(name, before, count)
}

async fn flow() -> f64 {
    let mut network = network(Config::default());
    let peer = UdpSocket::bind((V4, 0)).unwrap().local_addr().unwrap();
    let local = opened(&mut network, ONE, to(Transport::Udp, peer)).await;
    driver("flow", network, local).await
}

async fn listener() -> f64 {
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Udp, SocketAddr::new(V4, 0))).await;
    driver("listener", network, local).await
}

#[test]
#[ignore = "a measurement"]
fn an_echo() {
    let runtime = crate::net::runtime().unwrap();
    for _ in 0..5 {
        let bare = bare();
        let flow = runtime.block_on(flow());
        let listener = runtime.block_on(listener());
        println!(
            "beyond the bare loop: {:.2} µs by a flow, {:.2} µs by a listener\n",
            flow - bare,
            listener - bare
        );
    }
}

/// Resident memory of this process, in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Needs a limit of 18,100 descriptors: both ends are here.
#[tokio::test]
#[ignore = "a measurement"]
async fn silent_connections() {
    const CONNECTIONS: usize = 9000;
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Tcp, SocketAddr::new(V4, 0))).await;
    let mut theirs = Vec::with_capacity(CONNECTIONS);
    let mut before = 0;
    for n in 0..CONNECTIONS {
        if n == 100 {
            before = resident();
        }
        theirs.push(std::net::TcpStream::connect(local).unwrap());
        assert!(matches!(event(&mut network).await, Event::Accepted { .. }));
    }
    let each = |now: usize| (now - before) / (CONNECTIONS - 100);
    println!("a silent connection: {} octets", each(resident()));
    for stream in &mut theirs {
        std::io::Write::write_all(stream, &[b'x'; 4000]).unwrap();
        let event = event(&mut network).await;
        let (flow, peer, bytes) = received(&event);
        assert!(
            network.perform(Action::Transmit { flow, peer, bytes: Bytes::copy_from_slice(bytes) }).is_none()
        );
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), network.event_by(None)).await.is_err());
    for stream in &mut theirs {
        let mut answer = [0; 4000];
        std::io::Read::read_exact(stream, &mut answer).unwrap();
    }
    println!("after a message each way: {} octets", each(resident()));
}
