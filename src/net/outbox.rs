//! What waits to be sent on one flow: a queue from the driver to the flow's task that is bounded in messages and in
//! octets, and costs nothing while it is empty. On a connection nothing waits that the system takes at once.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Messages that may wait for a flow to take them. A REGISTER needs one; more means that the other side stalls.
const MESSAGES: usize = 64;

/// Octets that may wait. One message may always.
const OCTETS: usize = 256 * 1024;

/// A message and whom it is for.
pub(super) type Outgoing = (SocketAddr, Bytes);

/// The driver's end. Dropping it closes the queue: what is in it can still be taken.
pub(super) struct Sender(Arc<Outbox>);

/// The task's end.
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    stream: OnceLock<TcpStream>,
    more: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Outgoing>,
    octets: usize,
    closed: bool,
}

/// The two ends of a queue.
pub(super) fn outbox() -> (Sender, Arc<Outbox>) {
    let outbox = Arc::new(Outbox {
        waiting: Mutex::default(),
        stream: OnceLock::new(),
        more: Notify::new(),
        closed: Notify::new(),
    });
    (Sender(Arc::clone(&outbox)), outbox)
}

impl Sender {
    /// Sends or queues a message. False: too much waits already. (Of a flow that has ended the core knows already.)
    pub(super) fn send(&self, peer: SocketAddr, mut bytes: Bytes) -> bool {
        if Arc::strong_count(&self.0) == 1 {
            return true;
        }
        let mut waiting = self.0.lock();
        if let Some(stream) = self.0.stream.get().filter(|_| waiting.messages.is_empty()) {
            // An error shows itself again to the task, which reports it.
            let _ = write(stream, &mut bytes);
            if bytes.is_empty() {
                return true;
            }
        }
        let octets = waiting.octets + bytes.len();
        let fits = waiting.messages.len() < MESSAGES && octets <= OCTETS;
        if !fits && !waiting.messages.is_empty() {
            return false;
        }
        waiting.octets = octets;
        waiting.messages.push_back((peer, bytes));
        drop(waiting);
        self.0.more.notify_one();
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.more.notify_one();
        self.0.closed.notify_one();
    }
}

impl Outbox {
    /// The next message, when there is one; `None` when there will be none any more. Can be dropped at any time.
    pub(super) async fn next(&self) -> Option<Outgoing> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.lock().closed {
                return None;
            }
            self.more.notified().await;
        }
    }

    /// The next message, if there is one now.
    pub(super) fn take(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        let message = waiting.pop()?;
        waiting.octets -= message.1.len();
        Some(message)
    }

    /// From now on messages go to this connection.
    pub(super) fn carry(&self, stream: TcpStream) -> &TcpStream {
        self.stream.get_or_init(|| stream)
    }

    /// Writes what waits; ends with `Ok` when nothing more will come.
    pub(super) async fn write_to(&self, stream: &TcpStream) -> io::Result<()> {
        loop {
            match self.flush(stream) {
                Ok(()) if self.lock().closed => return Ok(()),
                Ok(()) => self.more.notified().await,
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&self, stream: &TcpStream) -> io::Result<()> {
        let mut waiting = self.lock();
        while let Some((_, bytes)) = waiting.messages.front_mut() {
            let before = bytes.len();
            let written = write(stream, bytes);
            let left = bytes.len();
            waiting.octets -= before - left;
            written?;
            waiting.pop();
        }
        Ok(())
    }

    /// Resolves, once, when the driver has closed the queue.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Outgoing> {
        let message = self.messages.pop_front();
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        message
    }
}

/// Writes what the system takes at once, and leaves the rest.
fn write(stream: &TcpStream, bytes: &mut Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = stream.try_write(bytes)?;
        bytes.advance(n);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5060);

    fn send(sender: &Sender, size: usize) -> bool {
        sender.send(PEER, vec![0; size].into())
    }

    #[test]
    fn it_is_bounded_in_messages_and_octets_but_takes_one_of_any_size() {
        let (sender, outbox) = outbox();
        assert!(send(&sender, 2 * OCTETS));
        assert!(!send(&sender, 1));
        assert_eq!(outbox.take().unwrap().1.len(), 2 * OCTETS);
        assert!(send(&sender, OCTETS - 1));
        assert!(send(&sender, 1));
        assert!(!send(&sender, 1));
        while outbox.take().is_some() {}
        for _ in 0..MESSAGES {
            assert!(send(&sender, 1));
        }
        assert!(!send(&sender, 0));
        drop(outbox);
        assert!(send(&sender, 1), "nobody is there, and nobody is told");
    }

    #[tokio::test]
    async fn what_is_in_it_outlives_the_senders_end() {
        let (sender, outbox) = outbox();
        assert!(send(&sender, 1));
        assert!(send(&sender, 2));
        drop(sender);
        outbox.closed().await;
        assert_eq!(outbox.next().await.unwrap().1.len(), 1);
        assert_eq!(outbox.next().await.unwrap().1.len(), 2);
        assert!(outbox.next().await.is_none());
    }
}
