//! The server half of the endpoint: requests in, answers out.
//!
//! An incoming REGISTER, walked: octets → message (unanswerable: dropped and told; else 400) → `received` and `rport`
//! → is it a copy? then its answer again → [`Registrar`] → transaction → [`Action::Store`] → 200.
//!
//! Whatever is refused before the location service is asked is answered without any state (RFC 3261 §8.2.7): the same
//! request gets the same answer, To tag included, and a flood of them costs no memory. Only a REGISTER that the
//! registrar lets through makes a transaction. One question per address-of-record is open at a time, so that requests
//! take effect in the order they came (§10.3).

mod asks;
mod connections;
mod lifecycle;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;

use super::Endpoint;
use crate::proto::ids::Random;
use crate::proto::registrar::service::{Counters, Limits, ServerEvent, Service};
use crate::proto::registrar::{Dater, Registrar};
use crate::proto::timers::Timers;
use crate::proto::transaction::server_table::{Keys, Transactions};
use crate::proto::{Action, Direction, FlowId, Notice, Time, TimerKey, Transport};
use asks::Asks;
use connections::Connections;
use lifecycle::{Listener, Stage};

/// A registrar at work.
pub(super) struct Serving {
    stage: Stage,
    listeners: BTreeMap<FlowId, Listener>,
    connections: Connections,
    /// Answers whose connection was gone, with the connection that is opened for each (RFC 3261 §18.2.2).
    late: BTreeMap<FlowId, (SocketAddr, Bytes)>,
    registrar: Registrar,
    keys: Keys,
    transactions: Transactions,
    asks: Asks,
    dater: Dater,
    limits: Limits,
    tell_messages: bool,
    /// Responses are written here first.
    scratch: Vec<u8>,
    pub(super) counters: Counters,
}

/// What a server needs of the endpoint while it handles one event.
pub(super) struct Context<'a> {
    actions: &'a mut VecDeque<Action>,
    timers: &'a mut Timers,
    random: &'a mut dyn Random,
    last_id: &'a mut u64,
    now: Time,
}

impl Context<'_> {
    fn new_id(&mut self) -> u64 {
        *self.last_id += 1;
        *self.last_id
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn tell(&mut self, what: ServerEvent) {
        self.act(Action::Notify(Notice::Server(what)));
    }

    /// Has this timer fire at `at`, or earlier: whoever it wakes looks what is due.
    fn wake(&mut self, key: TimerKey, at: Option<Time>) {
        if let Some(at) = at
            && self.timers.due(key).is_none_or(|due| due > at)
        {
            self.timers.set(key, at);
        }
    }
}

impl Endpoint {
    /// Hands something to the server, if this endpoint is one. Whether it is.
    pub(super) fn serve(&mut self, now: Time, work: impl FnOnce(&mut Serving, &mut Context<'_>)) -> bool {
        let Some(serving) = &mut self.serving else { return false };
        let mut outside = Context {
            actions: &mut self.actions,
            timers: &mut self.timers,
            random: &mut *self.random,
            last_id: &mut self.last_id,
            now,
        };
        work(serving, &mut outside);
        if serving.is_over() {
            self.serving = None;
            self.notify(Notice::Server(ServerEvent::Stopped));
        }
        true
    }

    pub(super) fn begin_serving(&mut self, service: Service, now: Time) {
        self.serving = Some(Box::new(Serving::new(service, self.random.next())));
        self.serve(now, |serving, outside| serving.listen(outside));
    }
}

impl Serving {
    fn new(service: Service, secret: u64) -> Serving {
        let Service { listen, domains, policy, verifier, limits, timing, tell_messages } = service;
        Serving {
            stage: Stage::Opening(listen),
            listeners: BTreeMap::new(),
            connections: Connections::default(),
            late: BTreeMap::new(),
            registrar: Registrar::new(domains, policy, verifier),
            keys: Keys::new(secret),
            transactions: Transactions::new(timing, limits.replay),
            asks: Asks::default(),
            dater: Dater::default(),
            limits,
            tell_messages,
            scratch: Vec::with_capacity(1024),
            counters: Counters::default(),
        }
    }

    pub(super) fn replace_users(&mut self, users: crate::proto::digest::Users) {
        self.registrar.replace_users(users);
    }

    /// The transport and the local address of a flow of ours.
    fn ends(&self, flow: FlowId) -> Option<(Transport, SocketAddr)> {
        let listener = self.listeners.get(&flow).and_then(|l| Some((l.listen.transport, l.local?)));
        listener.or_else(|| Some((Transport::Tcp, self.connections.local(flow)?)))
    }

    fn tell_message(
        &self,
        direction: Direction,
        flow: FlowId,
        remote: SocketAddr,
        bytes: &Bytes,
        outside: &mut Context<'_>,
    ) {
        if self.tell_messages
            && let Some((transport, local)) = self.ends(flow)
        {
            let bytes = bytes.clone();
            outside.act(Action::Notify(Notice::Message { direction, transport, local, remote, bytes }));
        }
    }

    /// Something that is due by now: whichever timer it was, each looks for itself.
    pub(super) fn fired(&mut self, key: TimerKey, outside: &mut Context<'_>) {
        match key {
            TimerKey::Served => self.transactions_due(outside),
            TimerKey::Bindings => self.bindings_due(outside),
            TimerKey::Silent => self.silent_due(outside),
            TimerKey::Incomplete(flow) => self.too_slow(flow, outside),
            TimerKey::Transaction(..)
            | TimerKey::Destination(_)
            | TimerKey::TryLimit(_)
            | TimerKey::CommandLimit(_)
            | TimerKey::Retry(_)
            | TimerKey::Keep(_)
            | TimerKey::Leave(_)
            | TimerKey::Pace
            | TimerKey::Called
            | TimerKey::Absorbing => {}
        }
    }
}
