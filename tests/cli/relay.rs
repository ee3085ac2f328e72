//! A NAT for datagrams that needs no rights: it hands on what devices send from sockets of its own, and may change or drop it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A NAT that a relay plays, with a socket of its own for each device.
pub struct Relay {
    /// Where devices send to.
    pub address: SocketAddr,
    /// How many times it is to forget all mappings; the last one ends it.
    restarts: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

const END: u32 = u32::MAX;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// From a device to the server.
    Out,
    /// Back.
    In,
}

impl Relay {
    /// Mappings end after so many milliseconds, or a little more, without a datagram from inside.
    pub fn start(server: SocketAddr, timeout: u64) -> Relay {
        let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
        Relay::on(inside, server, timeout, |_, datagram| Some(datagram.to_vec()))
    }

    /// The same at a socket that devices know; each datagram goes on as `change` makes it, or not at all.
    #[allow(clippy::disallowed_methods, reason = "has the program's clock, however slow its own turns are")]
    pub fn on(
        inside: UdpSocket,
        server: SocketAddr,
        timeout: u64,
        mut change: impl FnMut(Heading, &[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Relay {
        inside.set_nonblocking(true).unwrap();
        let (address, restarts) = (inside.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let told = Arc::clone(&restarts);
        let thread = std::thread::spawn(move || {
            let mut mappings: BTreeMap<SocketAddr, (UdpSocket, Instant)> = BTreeMap::new();
            let (mut known, mut room) = (0, [0; 65_535]);
            let timeout = Duration::from_millis(timeout);
            loop {
                match told.load(Ordering::SeqCst) {
                    END => return,
                    now if now != known => {
                        known = now;
                        mappings.clear();
                    }
                    _ => {}
                }
                let now = Instant::now();
                mappings.retain(|_, (_, last)| now < *last + timeout);
                while let Ok((length, device)) = inside.recv_from(&mut room) {
                    let (socket, last) = mappings.entry(device).or_insert_with(|| {
                        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                        socket.set_nonblocking(true).unwrap();
                        (socket, now)
                    });
                    *last = now;
                    if let Some(datagram) = change(Heading::Out, &room[..length]) {
                        socket.send_to(&datagram, server).unwrap();
                    }
                }
                for (device, (socket, _)) in &mappings {
                    while let Ok((length, _)) = socket.recv_from(&mut room) {
                        if let Some(datagram) = change(Heading::In, &room[..length]) {
                            inside.send_to(&datagram, device).unwrap();
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Relay { address, restarts, thread: Some(thread) }
    }

    /// It forgets all mappings, and gives others.
    pub fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.restarts.store(END, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}
