//! The two ends of a connection's task: what the driver keeps, and what the task gets. Between them is a bounded queue in
//! each direction; the driver never waits for a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::outbox::{Outbox, Sender, outbox};
use crate::proto::{Cause, Destination, Event, FlowId};

/// How long a connection that the core has closed may take to send what it was given before.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The driver's end. Dropping it closes the flow: the task sends what is queued and ends.
pub(super) struct Flow {
    /// Where it was opened to, or who opened it.
    pub destination: Destination,
    /// Where it sends from, once it is open.
    pub local: Option<SocketAddr>,
    queue: Sender,
}

/// The task's end.
pub(super) struct Ends {
    /// Where it is to be opened to.
    pub destination: Destination,
    /// What is to be sent; ends when the flow is closed.
    pub queue: Arc<Outbox>,
    /// Tells the driver.
    pub report: Report,
}

/// Tells the driver what happens to one flow. Waits while the driver has more than enough to do, so that the kernel's
/// buffers hold the rest.
#[derive(Clone)]
pub(super) struct Report {
    flow: FlowId,
    remote: SocketAddr,
    events: mpsc::Sender<Event>,
}

impl Flow {
    /// Starts a task for a new flow.
    pub(super) fn start<F>(
        flow: FlowId,
        destination: Destination,
        events: mpsc::Sender<Event>,
        run: impl FnOnce(Ends) -> F,
    ) -> Flow
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, queued) = outbox();
        let report = Report { flow, remote: destination.address, events };
        tokio::spawn(run(Ends { destination: destination.clone(), queue: queued, report }));
        Flow { destination, local: None, queue }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// The cause to report when too much waits already.
    pub(super) fn send(&self, bytes: Bytes) -> Result<(), Cause> {
        if self.queue.send(bytes) { Ok(()) } else { Err(Cause::Other(std::io::ErrorKind::WouldBlock)) }
    }
}

impl Report {
    /// The flow is usable.
    pub(super) async fn opened(&self, local: SocketAddr) {
        self.tell(Event::Opened { flow: self.flow, local }).await;
    }

    /// Octets came in.
    pub(super) async fn received(&self, bytes: Bytes) {
        self.tell(Event::Received { flow: self.flow, peer: self.remote, bytes }).await;
    }

    /// The other side closed the connection.
    pub(super) async fn closed(&self) {
        self.tell(Event::Closed { flow: self.flow }).await;
    }

    /// The flow as a whole failed.
    pub(super) async fn failed(&self, cause: Cause) {
        self.tell(Event::Failed { flow: self.flow, peer: self.remote, cause }).await;
    }

    async fn tell(&self, event: Event) {
        // Without a driver there is nobody to tell, and the flow is about to end.
        let _ = self.events.send(event).await;
    }
}
