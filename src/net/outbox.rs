//! What waits to be sent on one flow: a queue from the driver to the flow's task that is bounded in messages and in
//! octets, and costs nothing while it is empty.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
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
    let outbox = Arc::new(Outbox { waiting: Mutex::default(), more: Notify::new(), closed: Notify::new() });
    (Sender(Arc::clone(&outbox)), outbox)
}

impl Sender {
    /// Queues a message. False: too much waits already. (Of a flow that has ended the core knows already.)
    pub(super) fn send(&self, peer: SocketAddr, bytes: Bytes) -> bool {
        if Arc::strong_count(&self.0) == 1 {
            return true;
        }
        let mut waiting = self.0.lock();
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
        let message = waiting.messages.pop_front()?;
        waiting.octets -= message.1.len();
        if waiting.messages.is_empty() {
            waiting.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Resolves, once, when the driver has closed the queue.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
