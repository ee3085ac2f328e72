//! The two ends of a connection: [`Flow`] is the driver's, [`Task`] that of the connection's own task, which does what
//! [`super::stream`] and [`super::websocket`] say. Between them is a bounded queue in each direction, and the driver never
//! waits for a connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::tls::{Proof, ServerSettings};
use crate::proto::identity::{LastWords, TlsSession};
use crate::proto::{Cause, Destination, Event, FlowId, Time};

/// The time that a connection which the core has closed may take to send the messages that it was given
/// before.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Messages that may wait for a flow to take them. A REGISTER needs one, a trunk that has paused for a moment hundreds; more
/// means that the other side stalls.
const MESSAGES: usize = 1024;

/// Octets that may wait. One message may always.
const OCTETS: usize = 256 * 1024;

/// The driver's end of a connection. Dropping it closes the flow: the task sends what is queued and ends.
pub(super) struct Flow {
    /// The destination that it was opened to, or the peer that opened it.
    pub destination: Destination,
    /// The address that it sends from, once it is open.
    pub local: Option<SocketAddr>,
    /// How the peer that opened it has proven who it is, if it has.
    proof: Arc<OnceLock<Proof>>,
    queue: OutboxSender,
    authorization: Option<oneshot::Sender<Option<String>>>,
}

/// The task's end of a connection.
pub(super) struct Task {
    /// The destination to connect to.
    pub(super) destination: Destination,
    /// Messages to be sent; closed when the flow is.
    pub(super) outbox: Arc<Outbox>,
    /// The way back to the driver.
    pub(super) report: Report,
    /// What the server of a WebSocket is answered that asks for a password.
    pub(super) authorization: oneshot::Receiver<Option<String>>,
    /// How a peer has proven who it is; before it is told that the flow is there.
    pub(super) proof: Arc<OnceLock<Proof>>,
}

/// Reports to the driver on one flow. It waits while the driver has more than enough to do, so that the
/// kernel's buffers hold the rest.
pub(super) struct Report {
    pub(super) flow: FlowId,
    pub(super) remote: SocketAddr,
    events: mpsc::Sender<Event>,
}

impl Flow {
    /// Starts a task for a new flow.
    pub(super) fn start<F>(
        flow: FlowId,
        destination: Destination,
        events: mpsc::Sender<Event>,
        run: impl FnOnce(Task) -> F,
    ) -> Flow
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, outbox) = outbox();
        let (authorize, authorization) = oneshot::channel();
        let report = Report { flow, remote: destination.address, events };
        let proof = Arc::default();
        let shared = Arc::clone(&proof);
        tokio::spawn(run(Task {
            destination: destination.clone(),
            outbox,
            report,
            authorization,
            proof: shared,
        }));
        Flow { destination, local: None, proof, queue, authorization: Some(authorize) }
    }

    /// Whether what the peer has proven, if anything, is good by these settings.
    pub(super) fn is_proven_by(&self, settings: &Arc<ServerSettings>, now: Time) -> bool {
        self.proof.get().is_none_or(|proof| proof.holds(settings, now))
    }

    /// Answers the server of a WebSocket that asks for a password, once.
    pub(super) fn authorize(&mut self, authorization: Option<String>) {
        if let Some(waiting) = self.authorization.take() {
            // The connection may be gone by now.
            let _ = waiting.send(authorization);
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// The cause to report when too much waits already.
    pub(super) fn send(&self, bytes: Bytes) -> Result<(), Cause> {
        if self.queue.send(bytes) { Ok(()) } else { Err(Cause::Other(ErrorKind::WouldBlock)) }
    }
}

impl Report {
    pub(super) async fn opened(&self, local: SocketAddr) {
        self.send(Event::Opened { flow: self.flow, local }).await;
    }

    pub(super) async fn secured(&self, session: TlsSession) {
        self.send(Event::Secured { flow: self.flow, session: Arc::new(session) }).await;
    }

    pub(super) async fn challenged(&self, path: String, challenges: Vec<String>) {
        self.send(Event::Challenged { flow: self.flow, path, challenges }).await;
    }

    pub(super) async fn last_words(&self, words: LastWords) {
        self.send(Event::LastWords { flow: self.flow, words }).await;
    }

    pub(super) async fn received(&self, bytes: Bytes) {
        self.send(Event::Received { flow: self.flow, peer: self.remote, bytes }).await;
    }

    pub(super) async fn closed(&self) {
        self.send(Event::Closed { flow: self.flow }).await;
    }

    pub(super) async fn failed(&self, cause: Cause) {
        self.send(Event::Failed { flow: self.flow, peer: self.remote, cause }).await;
    }

    pub(super) async fn send(&self, event: Event) {
        // Without a driver the flow is about to end.
        let _ = self.events.send(event).await;
    }
}

/// The driver's end of an [`Outbox`]. Dropping it closes the queue: the task still takes the messages in it.
struct OutboxSender(Arc<Outbox>);

/// The messages to be sent on one connection: a queue from the driver to the connection's task that is
/// bounded in messages and in octets, and costs nothing while it is empty. No message waits that the system
/// takes at once.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    stream: OnceLock<TcpStream>,
    more: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    octets: usize,
    closed: bool,
}

fn outbox() -> (OutboxSender, Arc<Outbox>) {
    let outbox = Arc::new(Outbox {
        queue: Mutex::default(),
        stream: OnceLock::new(),
        more: Notify::new(),
        closed: Notify::new(),
    });
    (OutboxSender(Arc::clone(&outbox)), outbox)
}

impl OutboxSender {
    /// Sends or queues a message; false when too much waits already. (That a flow has ended, the core knows
    /// already.)
    fn send(&self, mut bytes: Bytes) -> bool {
        if Arc::strong_count(&self.0) == 1 {
            return true;
        }
        let mut queue = self.0.lock();
        if let Some(stream) = self.0.stream.get().filter(|_| queue.messages.is_empty()) {
            // The task meets the error again, and reports it.
            let _ = write(stream, &mut bytes);
            if bytes.is_empty() {
                return true;
            }
        }
        let octets = queue.octets + bytes.len();
        let fits = queue.messages.len() < MESSAGES && octets <= OCTETS;
        if !fits && !queue.messages.is_empty() {
            return false;
        }
        queue.octets = octets;
        queue.messages.push_back(bytes);
        drop(queue);
        self.0.more.notify_one();
        true
    }
}

impl Drop for OutboxSender {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.more.notify_one();
        self.0.closed.notify_one();
    }
}

impl Outbox {
    /// Sends messages to this connection from now on.
    pub(super) fn attach(&self, stream: TcpStream) -> &TcpStream {
        self.stream.get_or_init(|| stream)
    }

    /// Writes the messages that wait and those to come, until the queue is closed, which is `Ok`.
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
        let mut queue = self.lock();
        while let Some(bytes) = queue.messages.front_mut() {
            let before = bytes.len();
            let written = write(stream, bytes);
            let left = bytes.len();
            queue.octets -= before - left;
            written?;
            queue.messages.pop_front();
        }
        queue.messages = VecDeque::new();
        Ok(())
    }

    /// The message that waits longest, if any. It counts as waiting until [`Outbox::written`].
    pub(super) fn next(&self) -> Option<Bytes> {
        self.lock().messages.pop_front()
    }

    /// A message of that many octets, which [`Outbox::next`] gave, has been written.
    pub(super) fn written(&self, octets: usize) {
        let mut queue = self.lock();
        queue.octets = queue.octets.saturating_sub(octets);
        if queue.messages.is_empty() {
            queue.messages = VecDeque::new();
        }
    }

    /// Waits for more messages; false: there will be none.
    pub(super) async fn more(&self) -> bool {
        loop {
            {
                let queue = self.lock();
                if !queue.messages.is_empty() {
                    return true;
                }
                if queue.closed {
                    return false;
                }
            }
            self.more.notified().await;
        }
    }

    /// Writes the messages that wait and those to come, until the queue is closed; then the other side is told that no more
    /// will come, which is `Ok`.
    pub(super) async fn write_into(&self, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
        while self.more().await {
            while let Some(bytes) = self.next() {
                writer.write_all(&bytes).await?;
                self.written(bytes.len());
            }
            writer.flush().await?;
        }
        writer.shutdown().await
    }

    /// Resolves, once, when the driver has closed the queue.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the octets that the system takes at once, and leaves the rest.
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

    fn send(sender: &OutboxSender, size: usize) -> bool {
        sender.send(vec![0; size].into())
    }

    fn take(outbox: &Outbox) -> Option<usize> {
        let mut queue = outbox.lock();
        let size = queue.messages.pop_front()?.len();
        queue.octets -= size;
        Some(size)
    }

    #[test]
    fn an_outbox_is_bounded_in_messages_and_octets_but_takes_one_of_any_size() {
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
        assert!(send(&sender, 1), "nobody is there, and no error comes");
    }

    #[tokio::test]
    async fn messages_in_an_outbox_outlive_its_sender() {
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
