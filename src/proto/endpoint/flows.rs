//! The flows that the endpoint has opened, and who uses them.
//!
//! A one-shot registration has flows of its own. Accounts that are kept bound share one for each destination: ten
//! thousand of them need one socket. It is closed when the last one leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Endpoint, Transaction};
use crate::proto::locate::Destination;
use crate::proto::transaction::Input;
use crate::proto::{Action, Cause, FlowId, RegistrationId, Time, TimerKey};
use crate::sip::StreamFramer;

/// A socket, or a connection.
pub(super) struct Flow {
    pub(super) destination: Destination,
    pub(super) local: Option<SocketAddr>,
    pub(super) framer: Option<StreamFramer>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Flows {
    all: BTreeMap<FlowId, Flow>,
    users: BTreeSet<(FlowId, RegistrationId)>,
    used: BTreeSet<(RegistrationId, FlowId)>,
    /// Those that the next account with that destination joins.
    shared: BTreeMap<Destination, FlowId>,
}

impl Flows {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn has(&self, id: FlowId) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&Flow> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.all.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: FlowId, flow: Flow) {
        self.all.insert(id, flow);
    }

    /// Who uses a flow, in the order of their numbers.
    pub(super) fn users(&self, flow: FlowId) -> Vec<RegistrationId> {
        let range = (flow, RegistrationId(0))..=(flow, RegistrationId(u64::MAX));
        self.users.range(range).map(|(_, user)| *user).collect()
    }

    /// The first of those who use it.
    pub(super) fn user(&self, flow: FlowId) -> Option<RegistrationId> {
        self.users
            .range((flow, RegistrationId(0))..)
            .next()
            .filter(|(of, _)| *of == flow)
            .map(|(_, user)| *user)
    }

    /// The flows of a registration, in the order they were opened.
    pub(super) fn of(&self, user: RegistrationId) -> impl DoubleEndedIterator<Item = FlowId> {
        let range = (user, FlowId(0))..=(user, FlowId(u64::MAX));
        self.used.range(range).map(|(_, flow)| *flow)
    }

    fn join(&mut self, flow: FlowId, user: RegistrationId) {
        self.users.insert((flow, user));
        self.used.insert((user, flow));
    }

    /// Whether nobody uses the flow any more.
    fn leave(&mut self, flow: FlowId, user: RegistrationId) -> bool {
        self.users.remove(&(flow, user));
        self.used.remove(&(user, flow));
        self.user(flow).is_none()
    }

    /// Nobody joins it any more.
    pub(super) fn retire(&mut self, id: FlowId) {
        if let Some(flow) = self.all.get(&id)
            && self.shared.get(&flow.destination) == Some(&id)
        {
            self.shared.remove(&flow.destination);
        }
    }

    fn remove(&mut self, id: FlowId) {
        self.retire(id);
        for user in self.users(id) {
            self.leave(id, user);
        }
        self.all.remove(&id);
    }
}

impl Endpoint {
    /// Leaves the flows of a registration, and ends what it has under way on them. What only absorbs copies of an answer may go
    /// on doing so where others stay.
    pub(super) fn leave_destination(&mut self, id: RegistrationId) {
        self.leave_for(id, None);
    }

    /// As [`Endpoint::leave_destination`], but stays on a flow that it will want in a moment.
    pub(super) fn leave_for(&mut self, id: RegistrationId, next: Option<Destination>) {
        self.timers.cancel(TimerKey::Destination(id));
        let wanted = next.and_then(|next| self.flows.shared.get(&next)).copied();
        let waits = self.registrations.get_mut(&id).and_then(|entry| entry.waits.take());
        if let Some(number) = waits.filter(|n| self.transactions.get(n).is_some_and(Transaction::waits)) {
            self.terminate(number);
        }
        for flow in self.flows.of(id).collect::<Vec<_>>() {
            if wanted != Some(flow) && self.flows.leave(flow, id) {
                self.close(flow);
            }
        }
    }

    /// Opens a flow, or joins one that leads there.
    pub(super) fn open(&mut self, id: RegistrationId, destination: Destination, now: Time) {
        let shares = self.registration(id).is_some_and(|registration| registration.plan().keep);
        if shares && let Some(flow) = self.flows.shared.get(&destination).copied() {
            self.flows.join(flow, id);
            if let Some(local) = self.flows.get(flow).and_then(|flow| flow.local) {
                self.on_registration(id, now, |r, random| r.on_opened(local, random, now));
            }
            return;
        }
        let flow = FlowId(self.new_id());
        self.flows.insert(flow, Flow { destination, local: None, framer: None });
        self.flows.join(flow, id);
        if shares {
            self.flows.shared.insert(destination, flow);
        }
        self.actions.push_back(Action::Open { flow, destination });
    }

    pub(super) fn close(&mut self, flow: FlowId) {
        self.flows.remove(flow);
        self.timers.cancel(TimerKey::Incomplete(flow));
        self.end_all(flow);
        self.forget_calls(flow);
        self.actions.push_back(Action::Close { flow });
    }

    /// Ends the transactions of a flow.
    fn end_all(&mut self, flow: FlowId) {
        let all = self.transactions.iter();
        let over: Vec<u64> = all.filter(|(_, one)| one.flow == flow).map(|(number, _)| *number).collect();
        if over.is_empty() {
            return;
        }
        for id in over {
            self.terminate(id);
        }
        self.forget_absorbing();
    }

    pub(super) fn opened(&mut self, id: FlowId, local: SocketAddr, now: Time) {
        let Some(flow) = self.flows.get_mut(id) else {
            self.serve(now, |serving, outside| serving.opened(id, local, outside));
            return;
        };
        flow.local = Some(local);
        if flow.destination.transport.is_reliable() {
            flow.framer = Some(StreamFramer::new());
        }
        for user in self.flows.users(id) {
            self.on_registration(user, now, |r, random| r.on_opened(local, random, now));
        }
    }

    /// A datagram that can't be delivered concerns the transaction with that peer only; a stream is lost as a whole.
    pub(super) fn failed(&mut self, id: FlowId, peer: SocketAddr, cause: Cause, now: Time) {
        let Some(flow) = self.flows.get(id) else {
            self.serve(now, |serving, outside| serving.lost(id, Some(cause), outside));
            return;
        };
        if flow.framer.is_some() || flow.local.is_none() {
            self.flow_lost(id, Some(cause), now);
            return;
        }
        // A request and the one it repeats with credentials go to the same peer: the one that still waits is meant.
        let hits = self.transactions.iter().filter(|(_, t)| t.waits_for(id, peer)).map(|(n, _)| *n);
        let hits: Vec<u64> = hits.collect();
        for transaction in hits {
            self.input(transaction, Input::TransportError, None, Some(cause), now);
        }
    }

    pub(super) fn flow_lost(&mut self, id: FlowId, cause: Option<Cause>, now: Time) {
        if !self.flows.has(id) {
            self.serve(now, |serving, outside| serving.lost(id, cause, outside));
            return;
        }
        let users = self.flows.users(id);
        self.close(id);
        for user in users {
            self.on_registration(user, now, |r, random| r.on_flow_lost(cause, random, now));
        }
    }
}
