//! The endpoint's transactions: from a request to send to what its registration hears of it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::Endpoint;
use super::flows::Flow;
use crate::proto::client::registration::Outgoing;
use crate::proto::ids::{Branch, Tag};
use crate::proto::locate::Transport;
use crate::proto::transaction::{Client, Effect, Input, Tell, Timer};
use crate::proto::{Action, Cause, Checkpoint, Direction, FlowId, Notice, RegistrationId, Time, TimerKey};
use crate::sip::{CSeq, HeaderName, Headers, Host, Response, Via};

/// A client transaction with what its responses must fit.
pub(super) struct Transaction {
    pub(super) registration: RegistrationId,
    pub(super) flow: FlowId,
    machine: Client,
    sends: u32,
    branch: Branch,
    /// Until the final response: a copy of that is absorbed, whatever it says.
    asked: Option<Box<Asked>>,
}

/// What was asked, and what its answer must say of it.
struct Asked {
    bytes: Bytes,
    peer: SocketAddr,
    /// When Timer F fires. It is set with the first copy that Timer E sends, where there is one: most never need it.
    gives_up: Option<Time>,
    sent_by: (Host, u16),
    from_tag: Tag,
    call_id: Arc<str>,
    cseq: u32,
}

impl Transaction {
    /// Whether it has no final response yet.
    pub(super) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether it waits for an answer from there.
    pub(super) fn waits_for(&self, flow: FlowId, peer: SocketAddr) -> bool {
        self.flow == flow && self.asked.as_ref().is_some_and(|asked| asked.peer == peer)
    }

    /// Whether a response with our branch, with this Via and CSeq, really answers this request.
    pub(super) fn fits(&self, response: &Response, via: &Via, cseq: &CSeq) -> bool {
        let Some(asked) = &self.asked else { return true };
        let headers = &response.headers;
        let sent_by = via.host == asked.sent_by.0 && via.port.unwrap_or(5060) == asked.sent_by.1;
        let cseq = cseq.number == asked.cseq;
        let call_id = headers.call_id().is_ok_and(|id| *id == *asked.call_id);
        sent_by && cseq && call_id && has_tag(headers, asked.from_tag)
    }
}

/// Whether From has this tag. Mostly it comes back as it was sent, the tag last: then it is not read further.
fn has_tag(headers: &Headers, tag: Tag) -> bool {
    let Ok(row) = headers.required(&HeaderName::From) else { return false };
    let last = row.value().rsplit(|octet| *octet == b';').next().and_then(|last| last.strip_prefix(b"tag="));
    last.and_then(|last| str::from_utf8(last).ok()).is_some_and(|last| tag.is(last))
        || headers.from().is_ok_and(|from| from.tag().is_some_and(|other| tag.is(other)))
}

impl Endpoint {
    pub(super) fn send(&mut self, id: RegistrationId, transport: Transport, outgoing: Outgoing, now: Time) {
        let found = self.flows.of(id).rev().find_map(|flow| {
            let Flow { destination, local, .. } = self.flows.get(flow)?;
            (destination.transport == transport).then_some((flow, destination.address, (*local)?))
        });
        let Some((flow, peer, local)) = found else {
            self.on_registration(id, now, |r, random| r.on_flow_lost(None, random, now));
            return;
        };
        let Some(registration) = self.registration(id) else { return };
        let (timing, remembers) = (registration.plan().timing, registration.plan().resume.is_some());
        if remembers {
            self.actions.push_back(Action::Checkpoint(Checkpoint {
                registration: id,
                call_id: outgoing.call_id.to_string(),
                cseq: outgoing.cseq,
                local,
                contacts: outgoing.binds,
            }));
        }
        let (machine, effects) = Client::start(transport.is_reliable(), timing);
        let number = self.new_id();
        if let Some(entry) = self.registrations.get_mut(&id) {
            entry.waits = Some(number);
        }
        self.branches.insert(outgoing.branch.0, number);
        self.transactions.insert(
            number,
            Transaction {
                registration: id,
                flow,
                machine,
                sends: 0,
                branch: outgoing.branch,
                asked: Some(Box::new(Asked {
                    bytes: outgoing.bytes,
                    peer,
                    gives_up: None,
                    sent_by: outgoing.sent_by,
                    from_tag: outgoing.from_tag,
                    call_id: outgoing.call_id,
                    cseq: outgoing.cseq,
                })),
            },
        );
        self.effects(number, effects, None, None, now);
    }

    pub(super) fn input(
        &mut self,
        number: u64,
        input: Input,
        response: Option<(Response, Via)>,
        cause: Option<Cause>,
        now: Time,
    ) {
        let Some(transaction) = self.transactions.get_mut(&number) else { return };
        let effects = transaction.machine.on(input);
        self.effects(number, effects, response, cause, now);
    }

    pub(super) fn effects(
        &mut self,
        number: u64,
        effects: Vec<Effect>,
        mut response: Option<(Response, Via)>,
        cause: Option<Cause>,
        now: Time,
    ) {
        let Some(id) = self.transactions.get(&number).map(|t| t.registration) else { return };
        let mut tell = None;
        for effect in effects {
            match effect {
                Effect::Transmit => self.transmit(number),
                Effect::Start(timer, wait) => self.start_timer(number, timer, now + wait),
                Effect::Stop(timer) => self.timers.cancel(TimerKey::Transaction(number, timer)),
                Effect::Tell(what) => tell = Some(what),
                Effect::Terminate => self.terminate(number),
            }
        }
        if tell == Some(Tell::Final)
            && let Some(transaction) = self.transactions.get_mut(&number)
        {
            transaction.asked = None;
        }
        // Last, so that the transaction is settled before the registration starts the next one.
        match tell {
            None | Some(Tell::Provisional) => {}
            Some(Tell::Final) => {
                if let Some((response, via)) = response.take() {
                    self.on_registration(id, now, |r, random| r.on_final(response, &via, random, now));
                }
            }
            Some(Tell::Timeout) => self.on_registration(id, now, |r, _| r.on_timeout(now)),
            Some(Tell::TransportError) => {
                self.on_registration(id, now, |r, random| r.on_flow_lost(cause, random, now));
            }
        }
    }

    fn start_timer(&mut self, number: u64, timer: Timer, at: Time) {
        let Some(transaction) = self.transactions.get_mut(&number) else { return };
        let at = match (timer, &mut transaction.asked) {
            (Timer::F, Some(asked)) if transaction.machine.sends_copies() => {
                asked.gives_up = Some(at);
                return;
            }
            (Timer::E, Some(asked)) if transaction.sends > 1 => {
                if let Some(at) = asked.gives_up.take() {
                    self.timers.set(TimerKey::Transaction(number, Timer::F), at);
                }
                at
            }
            (Timer::K, _) => return self.absorb(number, at),
            (Timer::E | Timer::F, _) => at,
        };
        self.timers.set(TimerKey::Transaction(number, timer), at);
    }

    /// Timer K of one begins. All take T4, so that they fire in the order they were set in, and one timer does for all of them:
    /// there may be a thousand a second.
    fn absorb(&mut self, number: u64, at: Time) {
        let last = self.absorbing.back().map_or(at, |(last, _)| *last);
        let at = self.rounded(number, at).max(last);
        if self.absorbing.is_empty() {
            self.timers.set(TimerKey::Absorbing, at);
        }
        self.absorbing.push_back((at, number));
    }

    /// Timer K has fired for the first of them, at least.
    pub(super) fn absorbed(&mut self, now: Time) {
        while let Some((_, number)) = self.absorbing.pop_front_if(|(at, _)| *at <= now) {
            self.input(number, Input::Fired(Timer::K), None, None, now);
        }
        self.wake_absorbing();
    }

    /// Some transactions have ended before their time.
    pub(super) fn forget_absorbing(&mut self) {
        self.absorbing.retain(|(_, number)| self.transactions.contains_key(number));
        self.wake_absorbing();
    }

    fn wake_absorbing(&mut self) {
        match self.absorbing.front() {
            Some((at, _)) => self.timers.set(TimerKey::Absorbing, *at),
            None => {
                self.absorbing.shrink_to(0);
                self.timers.cancel(TimerKey::Absorbing);
            }
        }
    }

    /// When Timer K fires. It only lets go of what is over: for accounts that rest it does so at full seconds, so that it wakes
    /// nobody for each of them.
    fn rounded(&self, number: u64, at: Time) -> Time {
        let registration = self.transactions.get(&number).and_then(|t| self.registration(t.registration));
        if registration.is_some_and(|registration| registration.plan().keep) {
            Time::from_millis(at.as_millis().div_ceil(1000).saturating_mul(1000))
        } else {
            at
        }
    }

    pub(super) fn transmit(&mut self, number: u64) {
        let Some(transaction) = self.transactions.get_mut(&number) else { return };
        transaction.sends += 1;
        let direction = if transaction.sends == 1 { Direction::Sent } else { Direction::SentAgain };
        let Some(asked) = &transaction.asked else { return };
        let (flow, peer, bytes) = (transaction.flow, asked.peer, asked.bytes.clone());
        if direction == Direction::SentAgain
            && let Some(entry) = self.registrations.get_mut(&transaction.registration)
        {
            entry.registration.on_retransmission();
        }
        self.actions.push_back(Action::Transmit { flow, peer, bytes: bytes.clone() });
        self.notify_message(flow, direction, peer, bytes);
    }

    pub(super) fn notify_message(
        &mut self,
        flow: FlowId,
        direction: Direction,
        remote: SocketAddr,
        bytes: Bytes,
    ) {
        let Some(Flow { destination, local: Some(local), .. }) = self.flows.get(flow) else { return };
        let (transport, local) = (destination.transport, *local);
        self.notify(Notice::Message { direction, transport, local, remote, bytes });
    }

    pub(super) fn terminate(&mut self, number: u64) {
        if let Some(transaction) = self.transactions.remove(&number) {
            self.branches.remove(&transaction.branch.0);
        }
        for timer in [Timer::E, Timer::F] {
            self.timers.cancel(TimerKey::Transaction(number, timer));
        }
    }
}
