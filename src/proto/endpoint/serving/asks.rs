//! Questions to the location service, and what comes of them: one open per address-of-record, the others in a queue.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::{Context, Serving};
use crate::proto::binding::{Aor, Effect, Fate, Operation, StoreFailure, Stored};
use crate::proto::registrar::service::ServerEvent;
use crate::proto::registrar::{failed, granted};
use crate::proto::transaction::server_table::TransactionKey;
use crate::proto::{Action, AskId, TimerKey};
use crate::sip::Request;

/// A request that waits for the location service.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) peer: SocketAddr,
    pub(super) aor: Aor,
}

/// All questions that are open.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Boxed, because mostly there is one or none, and a node of the map has room for eleven.
    waiting: BTreeMap<TransactionKey, Box<Pending>>,
    open: BTreeMap<AskId, TransactionKey>,
    /// The addresses that have a question open, with the requests that wait for that.
    busy: BTreeMap<Aor, VecDeque<(TransactionKey, Operation)>>,
    /// The question that drops what has run out.
    expiring: Option<AskId>,
}

impl Asks {
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
}

impl Serving {
    /// Asks, or waits until the question before is answered.
    pub(super) fn ask(
        &mut self,
        key: TransactionKey,
        pending: Pending,
        operation: Operation,
        outside: &mut Context<'_>,
    ) {
        match self.asks.busy.get_mut(&pending.aor) {
            Some(queue) => queue.push_back((key, operation)),
            None => {
                self.asks.busy.insert(pending.aor.clone(), VecDeque::new());
                self.put(key, operation, outside);
            }
        }
        self.asks.waiting.insert(key, Box::new(pending));
    }

    fn put(&mut self, key: TransactionKey, operation: Operation, outside: &mut Context<'_>) {
        let ask = AskId(outside.new_id());
        self.asks.open.insert(ask, key);
        outside.act(Action::Store { ask, operation });
    }

    pub(in crate::proto::endpoint) fn stored(
        &mut self,
        ask: AskId,
        answer: Result<Stored, StoreFailure>,
        outside: &mut Context<'_>,
    ) {
        if let Ok(stored) = &answer {
            outside.wake(TimerKey::Bindings, stored.next_expiry);
        }
        if self.asks.expiring == Some(ask) {
            self.asks.expiring = None;
            if let Ok(stored) = answer {
                self.tell_effects(&stored, None, outside);
            }
            return;
        }
        let Some(key) = self.asks.open.remove(&ask) else { return };
        let Some(pending) = self.asks.waiting.remove(&key) else { return };
        let Pending { request, peer, aor } = *pending;
        let reply = match &answer {
            Ok(stored) => granted(&request, stored, &mut self.dater, outside.now),
            Err(failure) => failed(*failure),
        };
        if let Ok(stored) = &answer {
            self.keep_connection(key, stored, outside);
            self.tell_effects(stored, Some(peer), outside);
        }
        self.answer(key, &request, reply, outside);
        self.next_for(&aor, outside);
        self.finish(outside);
    }

    /// The request that has waited longest for this address.
    fn next_for(&mut self, aor: &Aor, outside: &mut Context<'_>) {
        let Some(queue) = self.asks.busy.get_mut(aor) else { return };
        match queue.pop_front() {
            Some((key, operation)) => self.put(key, operation, outside),
            None => {
                self.asks.busy.remove(aor);
            }
        }
    }

    /// A connection lives as long as what was registered over it.
    fn keep_connection(&mut self, key: TransactionKey, stored: &Stored, outside: &Context<'_>) {
        let Some(way) = self.transactions.way(key) else { return };
        if !self.connections.has(way.flow) {
            return;
        }
        let mine = stored.bindings.iter().filter(|binding| binding.source.flow == way.flow);
        if let Some(last) = mine.map(|binding| binding.expires).max() {
            self.connections.keep(way.flow, (last + self.limits.idle).max(outside.now));
        }
    }

    fn tell_effects(&mut self, stored: &Stored, peer: Option<SocketAddr>, outside: &mut Context<'_>) {
        for effect in &stored.effects {
            let count = match effect.fate {
                Fate::Bound => &mut self.counters.bound,
                Fate::Refreshed => &mut self.counters.refreshed,
                Fate::Removed => &mut self.counters.removed,
                Fate::Expired => &mut self.counters.expired,
            };
            *count += 1;
            let expires = expires_of(stored, effect);
            let peer = peer.filter(|_| effect.fate != Fate::Expired);
            outside.tell(ServerEvent::Changed { effect: effect.clone(), expires, peer });
        }
    }

    /// Has the store drop what has run out.
    pub(super) fn bindings_due(&mut self, outside: &mut Context<'_>) {
        if self.asks.expiring.is_none() {
            let ask = AskId(outside.new_id());
            self.asks.expiring = Some(ask);
            outside.act(Action::Store { ask, operation: Operation::Expire });
        }
    }
}

fn expires_of(stored: &Stored, effect: &Effect) -> Option<crate::proto::Time> {
    match effect.fate {
        Fate::Removed | Fate::Expired => None,
        Fate::Bound | Fate::Refreshed => {
            let mut bindings = stored.bindings.iter();
            bindings.find(|binding| binding.contact() == &*effect.contact).map(|binding| binding.expires)
        }
    }
}
