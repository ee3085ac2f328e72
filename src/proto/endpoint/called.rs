//! Requests that reach a device which keeps itself bound: each gets its answer, and is told once.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::Endpoint;
use crate::proto::client::device::Device;
use crate::proto::client::plan::Timing;
use crate::proto::client::schedule::AccountEvent;
use crate::proto::transaction::invite_server::{Effect, Input, InviteServer};
use crate::proto::transaction::server_table::{Keys, TransactionKey};
use crate::proto::uas::{self, Reply};
use crate::proto::{Action, Direction, Dropped, FlowId, Notice, RegistrationId, Time, TimerKey};
use crate::sip::{AnyUri, Method, Request, Via};

/// INVITEs that wait for their ACK at a time; those beyond get their answer once.
const INVITES: usize = 64;

/// Requests that are known again when they come once more: so that each is told once.
const KNOWN: usize = 256;
const KNOWN_FOR: Duration = Duration::from_secs(32);

/// Everything that is kept of those who called.
#[derive(Default)]
pub(super) struct Called {
    pub(super) callee: Device,
    keys: Option<Keys>,
    invites: BTreeMap<TransactionKey, Call>,
    known: VecDeque<(Time, TransactionKey)>,
}

/// An INVITE that was refused.
struct Call {
    machine: InviteServer,
    flow: FlowId,
    peer: SocketAddr,
    refusal: Bytes,
}

impl Called {
    pub(super) fn is_empty(&self) -> bool {
        self.invites.is_empty()
    }

    /// Whether it has not come before.
    fn is_new(&mut self, key: TransactionKey, now: Time) -> bool {
        while self.known.front().is_some_and(|(until, _)| *until <= now) || self.known.len() > KNOWN {
            self.known.pop_front();
        }
        let is_new = !self.known.iter().any(|(_, known)| *known == key);
        if is_new {
            self.known.push_back((now + KNOWN_FOR, key));
        }
        is_new
    }
}

impl Endpoint {
    /// A request came in on a flow of ours.
    pub(super) fn called(&mut self, request: Request, flow: FlowId, peer: SocketAddr, now: Time) {
        let Some(registration) = self.callee_of(flow, &request) else {
            return self.notify(Notice::Dropped { peer, reason: Dropped::Request });
        };
        let mut request = request;
        let Ok(via) = uas::receive(&mut request, peer) else {
            return self.notify(Notice::Dropped { peer, reason: Dropped::Malformed });
        };
        let random = &mut self.random;
        let keys = *self.called.keys.get_or_insert_with(|| Keys::new(random.next()));
        let about_invite = matches!(request.method, Method::Invite | Method::Ack | Method::Cancel);
        let invite = if about_invite { keys.of_invite(&request, &via).ok() } else { None };
        match (&request.method, invite) {
            (Method::Ack, Some(key)) => return self.invite_hears(key, Input::Ack, now),
            (Method::Invite, Some(key)) if self.called.invites.contains_key(&key) => {
                return self.invite_hears(key, Input::Copy, now);
            }
            _ => {}
        }
        // RFC 3261 §9.2: what is answered can't be cancelled any more, and the CANCEL itself is fine.
        let cancels = request.method == Method::Cancel
            && invite.is_some_and(|key| self.called.invites.contains_key(&key));
        let answer = if cancels { Some(Reply::new(200)) } else { self.called.callee.answer(&request) };
        let Some(answer) = answer else { return };
        let status = answer.status;
        let key = keys.of(&request, &via).ok();
        if key.is_none_or(|key| self.called.is_new(key, now)) {
            let from = request.headers.from().map(|from| from.uri.to_string()).unwrap_or_default();
            let method = request.method.as_str().to_owned();
            self.notify(Notice::Account {
                registration,
                what: AccountEvent::Incoming { method, from, status },
            });
        }
        self.reply(&request, answer, &keys, &via, (flow, peer), invite, now);
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is of the one request")]
    fn reply(
        &mut self,
        request: &Request,
        answer: Reply,
        keys: &Keys,
        via: &Via,
        (flow, peer): (FlowId, SocketAddr),
        invite: Option<TransactionKey>,
        now: Time,
    ) {
        let Some(transport) = self.flows.get(flow).map(|flow| flow.destination.transport) else { return };
        let to = uas::return_address(via, peer, transport);
        let tag = keys.tag(request);
        let refuses = request.method == Method::Invite && answer.status >= 300;
        if refuses {
            // RFC 3261 §17.2.1: the INVITE's client stops repeating it.
            let trying = uas::respond(request, Reply::new(100), "").to_bytes();
            self.answer_to(flow, to, trying, Direction::Sent);
        }
        let bytes = uas::respond(request, answer, &tag).to_bytes();
        self.answer_to(flow, to, bytes.clone(), Direction::Sent);
        if let Some(key) = invite.filter(|_| refuses && self.called.invites.len() < INVITES) {
            let machine = InviteServer::refused(transport.is_reliable(), Timing::default(), now);
            self.called.invites.insert(key, Call { machine, flow, peer: to, refusal: bytes });
            self.wake_called();
        }
    }

    fn answer_to(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes, direction: Direction) {
        self.actions.push_back(Action::Transmit { flow, peer, bytes: bytes.clone() });
        self.notify_message(flow, direction, peer, bytes);
    }

    fn invite_hears(&mut self, key: TransactionKey, input: Input, now: Time) {
        let Some(call) = self.called.invites.get_mut(&key) else { return };
        match call.machine.on(input, now) {
            Effect::Absorb => {}
            Effect::Repeat => {
                let (flow, peer, bytes) = (call.flow, call.peer, call.refusal.clone());
                self.answer_to(flow, peer, bytes, Direction::SentAgain);
            }
            Effect::Terminate => {
                self.called.invites.remove(&key);
            }
        }
        self.wake_called();
    }

    pub(super) fn called_due(&mut self, now: Time) {
        let due = |call: &Call| call.machine.due().is_some_and(|due| due <= now);
        let keys: Vec<_> =
            self.called.invites.iter().filter(|(_, call)| due(call)).map(|(key, _)| *key).collect();
        for key in keys {
            self.invite_hears(key, Input::Due, now);
        }
        self.wake_called();
    }

    /// There are few: the next is looked for.
    fn wake_called(&mut self) {
        match self.called.invites.values().filter_map(|call| call.machine.due()).min() {
            Some(due) => self.timers.set(TimerKey::Called, due),
            None => self.timers.cancel(TimerKey::Called),
        }
    }

    /// What was to be sent on a flow that is gone is forgotten.
    pub(super) fn forget_calls(&mut self, flow: FlowId) {
        if !self.called.invites.is_empty() {
            self.called.invites.retain(|_, call| call.flow != flow);
            self.wake_called();
        }
    }

    /// Who of those on the flow is meant: by the user part of the Request-URI, else the first (registrars rewrite it).
    fn callee_of(&self, flow: FlowId, request: &Request) -> Option<RegistrationId> {
        let users = self.flows.users(flow);
        let is_kept = |id: &&RegistrationId| self.registration(**id).is_some_and(|r| r.plan().keep);
        let uri = AnyUri::parse(&request.uri).ok();
        let wanted = uri.as_ref().and_then(AnyUri::sip).and_then(|uri| uri.user_octets());
        let is_meant = |id: &&RegistrationId| {
            let aor = self.registration(**id).map(|registration| &registration.plan().aor);
            wanted.is_some() && aor.is_some_and(|aor| aor.user_octets() == wanted)
        };
        let meant = users.iter().filter(is_kept).find(is_meant);
        meant.or_else(|| users.iter().find(is_kept)).copied()
    }
}
