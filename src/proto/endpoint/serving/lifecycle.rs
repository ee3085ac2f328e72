//! From the first listener to the last answer.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Context, Serving};
use crate::proto::registrar::service::{Listen, ServerEvent};
use crate::proto::transaction::server_table::ReturnPath;
use crate::proto::{Action, Cause, Destination, FlowId, TimerKey, Transport};
use crate::sip::Host;

/// Connections that may be under way at a time for answers whose own is gone.
const LATE: usize = 64;

/// Where a server stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Not all listeners are there yet; these are wanted, in this order.
    Opening(Vec<Listen>),
    /// At work.
    Serving,
    /// What has come is answered, nothing new is taken.
    Stopping,
}

/// A socket that waits for what comes.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) listen: Listen,
    pub(super) local: Option<SocketAddr>,
}

impl Serving {
    pub(super) fn listen(&mut self, outside: &mut Context<'_>) {
        let Stage::Opening(wanted) = &self.stage else { return };
        for listen in wanted.clone() {
            let flow = FlowId(outside.new_id());
            self.listeners.insert(flow, Listener { listen, local: None });
            outside.act(Action::Listen { flow, transport: listen.transport, address: listen.address });
        }
    }

    /// A listener is there, or a connection that was opened for a late answer. Whether it is one of ours.
    pub(in crate::proto::endpoint) fn opened(
        &mut self,
        flow: FlowId,
        local: SocketAddr,
        outside: &mut Context<'_>,
    ) {
        if let Some((peer, bytes)) = self.late.remove(&flow) {
            outside.act(Action::Transmit { flow, peer, bytes });
            return outside.act(Action::Close { flow });
        }
        let Some(listener) = self.listeners.get_mut(&flow) else { return };
        listener.local = Some(local);
        if local.ip().is_unspecified() {
            self.registrar.serve_all_addresses();
        } else {
            self.registrar.add_domain(Host::from(local.ip()));
        }
        if self.listeners.values().all(|listener| listener.local.is_some()) {
            self.stage = Stage::Serving;
            for listener in self.listeners.values() {
                if let Some(address) = listener.local {
                    outside.tell(ServerEvent::Listening { transport: listener.listen.transport, address });
                }
            }
        }
    }

    /// One listener that cannot be had ends the service before it begins.
    pub(super) fn cannot_listen(&mut self, flow: FlowId, cause: Cause, outside: &mut Context<'_>) {
        let Some(listener) = self.listeners.remove(&flow) else { return };
        let Listen { transport, address } = listener.listen;
        outside.tell(ServerEvent::CannotListen { transport, address, cause });
        self.stop(outside);
    }

    pub(in crate::proto::endpoint) fn stop(&mut self, outside: &mut Context<'_>) {
        self.stage = Stage::Stopping;
        self.finish(outside);
    }

    /// Closes everything once nobody waits for an answer any more.
    pub(super) fn finish(&mut self, outside: &mut Context<'_>) {
        if !matches!(self.stage, Stage::Stopping) || !self.asks.is_empty() {
            return;
        }
        for flow in self.connections.take_all() {
            outside.timers.cancel(TimerKey::Incomplete(flow));
            outside.act(Action::Close { flow });
        }
        let listeners = std::mem::take(&mut self.listeners);
        let late = std::mem::take(&mut self.late);
        for flow in listeners.into_keys().chain(late.into_keys()) {
            outside.act(Action::Close { flow });
        }
        for key in [TimerKey::Served, TimerKey::Bindings, TimerKey::Silent] {
            outside.timers.cancel(key);
        }
    }

    pub(super) fn takes_requests(&self) -> bool {
        matches!(self.stage, Stage::Serving)
    }

    /// Opens a connection for an answer whose own is gone. The answer is sent when it is there, and it is closed again.
    pub(super) fn open_for(&mut self, way: ReturnPath, bytes: Bytes, outside: &mut Context<'_>) {
        if self.late.len() >= LATE {
            return;
        }
        let flow = FlowId(outside.new_id());
        let destination = Destination { transport: Transport::Tcp, address: way.listens };
        self.late.insert(flow, (way.listens, bytes));
        outside.act(Action::Open { flow, destination });
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Stopping) && self.listeners.is_empty() && self.asks.is_empty()
    }
}
