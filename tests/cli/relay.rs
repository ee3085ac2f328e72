//! A NAT for datagrams that needs no rights: it hands on what devices send from sockets of its own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A NAT that a relay plays, with a socket of its own for each device.
pub struct Relay {
    /// Where devices send to.
    pub address: SocketAddr,
    /// How many times it is to forget all mappings; the last one ends it.
    restarts: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

const END: u32 = u32::MAX;

impl Relay {
    /// Mappings end after so many milliseconds, or a little more, without a datagram from inside.
    pub fn start(server: SocketAddr, timeout: u64) -> Relay {
        let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
        inside.set_nonblocking(true).unwrap();
        let (address, restarts) = (inside.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let told = Arc::clone(&restarts);
        let thread = std::thread::spawn(move || {
            let mut mappings: BTreeMap<SocketAddr, (UdpSocket, u64)> = BTreeMap::new();
            let (mut known, mut passed, mut room) = (0, 0, [0; 65_535]);
            loop {
                match told.load(Ordering::SeqCst) {
                    END => return,
                    now if now != known => {
                        known = now;
                        mappings.clear();
                    }
                    _ => {}
                }
                mappings.retain(|_, (_, last)| passed < *last + timeout);
                while let Ok((length, device)) = inside.recv_from(&mut room) {
                    let (socket, last) = mappings.entry(device).or_insert_with(|| {
                        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                        socket.set_nonblocking(true).unwrap();
                        (socket, passed)
                    });
                    *last = passed;
                    socket.send_to(&room[..length], server).unwrap();
                }
                for (device, (socket, _)) in &mappings {
                    while let Ok((length, _)) = socket.recv_from(&mut room) {
                        inside.send_to(&room[..length], device).unwrap();
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
                passed += 5;
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
