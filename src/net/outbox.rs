//! What waits to be sent on one connection: a queue from the driver to the connection's task that is bounded in messages
//! and in octets, and costs nothing while it is empty. Nothing waits that the system takes at once.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Messages that may wait for a flow to take them. A REGISTER needs one; more means that the other side stalls.
const MESSAGES: usize = 64;

/// Octets that may wait. One message may always.
const OCTETS: usize = 256 * 1024;

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
    messages: VecDeque<Bytes>,
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
    pub(super) fn send(&self, mut bytes: Bytes) -> bool {
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
        waiting.messages.push_back(bytes);
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
        while let Some(bytes) = waiting.messages.front_mut() {
            let before = bytes.len();
            let written = write(stream, bytes);
            let left = bytes.len();
            waiting.octets -= before - left;
            written?;
            waiting.messages.pop_front();
        }
        waiting.messages = VecDeque::new();
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
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    fn send(sender: &Sender, size: usize) -> bool {
        sender.send(vec![0; size].into())
    }

    fn take(outbox: &Outbox) -> Option<usize> {
        let mut waiting = outbox.lock();
        let size = waiting.messages.pop_front()?.len();
        waiting.octets -= size;
        Some(size)
    }

    #[test]
    fn it_is_bounded_in_messages_and_octets_but_takes_one_of_any_size() {
        let (sender, outbox) = outbox();
        assert!(send(&sender, 2 * OCTETS));
        assert!(!send(&sender, 1));
        assert_eq!(take(&outbox), Some(2 * OCTETS));
        assert!(send(&sender, OCTETS - 1));
        assert!(send(&sender, 1));
        assert!(!send(&sender, 1));
        while take(&outbox).is_some() {}
        for _ in 0..MESSAGES {
            assert!(send(&sender, 1));
        }
        assert!(!send(&sender, 0));
        drop(outbox);
        assert!(send(&sender, 1), "nobody is there, and nobody is told");
    }

    #[tokio::test]
    async fn what_is_in_it_outlives_the_senders_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        let (sender, outbox) = outbox();
        assert!(send(&sender, 1));
        assert!(send(&sender, 2));
        drop(sender);
        outbox.closed().await;
        outbox.write_to(&stream).await.unwrap();
        drop(stream);
        let mut read = Vec::new();
        assert_eq!(other.read_to_end(&mut read).await.unwrap(), 3);
    }
}
