//! Questions to the location service: one open per address-of-record, the others in a queue, so that requests take effect
//! in the order they came (RFC 3261 §10.3).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use crate::proto::binding::{Aor, Operation};
use crate::proto::context::Context;
use crate::proto::transaction::TransactionKey;
use crate::proto::{Action, AskId};
use crate::sip::Request;

/// A request that waits for the location service.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) peer: SocketAddr,
    pub(super) aor: Aor,
    /// There is no room for what it would bind: only what is bound is asked for any more.
    pub(super) is_refused: bool,
}

/// All questions that are open.
#[derive(Debug, Default)]
pub(super) struct Location {
    /// Boxed, because mostly there is one or none, and a node of the map has room for eleven.
    waiting: BTreeMap<TransactionKey, Box<Pending>>,
    open: BTreeMap<AskId, TransactionKey>,
    /// The addresses that have a question open, with the requests that wait for that.
    busy: BTreeMap<Aor, VecDeque<(TransactionKey, Operation)>>,
    /// The question that drops what has run out.
    expiring: Option<AskId>,
}

impl Location {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The request of a transaction that waits.
    pub(super) fn request(&self, key: TransactionKey) -> Option<&Request> {
        self.waiting.get(&key).map(|pending| &pending.request)
    }

    /// Asks, or waits until the question before is answered.
    pub(super) fn ask(
        &mut self,
        key: TransactionKey,
        pending: Pending,
        operation: Operation,
        context: &mut Context,
    ) {
        match self.busy.get_mut(&pending.aor) {
            Some(queue) => queue.push_back((key, operation)),
            None => {
                self.busy.insert(pending.aor.clone(), VecDeque::new());
                self.put(key, operation, context);
            }
        }
        self.waiting.insert(key, Box::new(pending));
    }

    /// Asks what is bound, in place of the question that was just answered: there was no room.
    pub(super) fn ask_room(&mut self, key: TransactionKey, pending: Pending, context: &mut Context) {
        self.put(key, Operation::Fetch(pending.aor.clone()), context);
        self.waiting.insert(key, Box::new(Pending { is_refused: true, ..pending }));
    }

    fn put(&mut self, key: TransactionKey, operation: Operation, context: &mut Context) {
        let ask = AskId(context.new_id());
        self.open.insert(ask, key);
        context.push(Action::Store { ask, operation });
    }

    /// The request whose question was answered. The next for its address is asked by [`Location::ask_next`].
    pub(super) fn answered(&mut self, ask: AskId) -> Option<(TransactionKey, Pending)> {
        let key = self.open.remove(&ask)?;
        Some((key, *self.waiting.remove(&key)?))
    }

    /// Asks for the request that has waited longest for this address.
    pub(super) fn ask_next(&mut self, aor: &Aor, context: &mut Context) {
        let Some(queue) = self.busy.get_mut(aor) else { return };
        match queue.pop_front() {
            Some((key, operation)) => self.put(key, operation, context),
            None => {
                self.busy.remove(aor);
            }
        }
    }

    /// Has the location service drop what has run out.
    pub(super) fn expire(&mut self, context: &mut Context) {
        if self.expiring.is_none() {
            let ask = AskId(context.new_id());
            self.expiring = Some(ask);
            context.push(Action::Store { ask, operation: Operation::Expire });
        }
    }

    /// Whether this is the answer to [`Location::expire`].
    pub(super) fn has_expired(&mut self, ask: AskId) -> bool {
        self.expiring.take_if(|expiring| *expiring == ask).is_some()
    }
}
