//! One request after the other: read, recognised, dispatched by its method, answered.

use std::net::SocketAddr;

use bytes::Bytes;

use super::asks::Pending;
use super::{Context, Serving};
use crate::proto::binding::{Aor, Operation, Source};
use crate::proto::registrar::service::ServerEvent;
use crate::proto::registrar::{Refusal, SUPPORTED};
use crate::proto::transaction::server_table::{Lookup, ReturnPath, TransactionKey};
use crate::proto::uas::{self, Head, Reply};
use crate::proto::{Action, Direction, FlowId, TimerKey, Transport};
use crate::sip::{HeaderName, Message, Method, ParseError, Request, Response, Via};

/// What is served.
const ALLOW: &str = "REGISTER, OPTIONS";

/// What a datagram can carry over IPv4, in octets.
const LARGEST: usize = 65_507;

/// A request with where it came from and where its answers go.
struct Incoming {
    request: Request,
    via: Via,
    peer: SocketAddr,
    transport: Transport,
    way: ReturnPath,
}

impl Serving {
    pub(in crate::proto::endpoint) fn received(
        &mut self,
        flow: FlowId,
        peer: SocketAddr,
        bytes: Bytes,
        outside: &mut Context<'_>,
    ) {
        if !self.takes_requests() {
            return;
        }
        if !self.listeners.contains_key(&flow) {
            return self.stream(flow, peer, &bytes, outside);
        }
        // A keep-alive of line ends needs no answer (RFC 5626 §4.4.1 has STUN for datagrams).
        if bytes.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
            return;
        }
        self.tell_message(Direction::Received, flow, peer, &bytes, outside);
        match Message::parse_datagram(bytes.clone()) {
            Ok(message) => self.message(message, flow, peer, outside),
            Err(error) => self.unreadable(&bytes, error, flow, peer, outside),
        }
    }

    pub(super) fn message(
        &mut self,
        message: Message,
        flow: FlowId,
        peer: SocketAddr,
        outside: &mut Context<'_>,
    ) {
        match message {
            Message::Request(request) => self.request(request, flow, peer, outside),
            Message::Response(_) => self.counters.stray += 1,
        }
    }

    /// What cannot be parsed is answered if it can be told what to (RFC 3261 §18.3, §21.4.1).
    pub(super) fn unreadable(
        &mut self,
        octets: &Bytes,
        error: ParseError,
        flow: FlowId,
        peer: SocketAddr,
        outside: &mut Context<'_>,
    ) {
        let incoming = Request::salvage(octets).and_then(|request| self.incoming(request, flow, peer));
        let what = error.to_string();
        match incoming {
            Some(incoming) => {
                let answer = Reply::because(400, format!("Bad Request: {what}"));
                self.refuse(&incoming, answer, outside);
            }
            None => self.malformed(peer, what, None, outside),
        }
    }

    fn malformed(&mut self, peer: SocketAddr, what: String, status: Option<u16>, outside: &mut Context<'_>) {
        self.counters.malformed += 1;
        outside.tell(ServerEvent::Malformed { peer, what, status });
    }

    fn incoming(&self, mut request: Request, flow: FlowId, peer: SocketAddr) -> Option<Incoming> {
        let (transport, _) = self.ends(flow)?;
        let via = uas::receive(&mut request, peer).ok()?;
        let listens = SocketAddr::new(peer.ip(), via.port.unwrap_or(transport.default_port()));
        let way = ReturnPath { flow, peer: uas::return_address(&via, peer, transport), listens };
        Some(Incoming { request, via, peer, transport, way })
    }

    fn request(&mut self, request: Request, flow: FlowId, peer: SocketAddr, outside: &mut Context<'_>) {
        self.counters.requests += 1;
        let Some(incoming) = self.incoming(request, flow, peer) else {
            return self.malformed(peer, "Via: is missing or malformed".to_owned(), None, outside);
        };
        // What it acknowledges was answered without a transaction: there is nothing to end.
        if incoming.request.method == Method::Ack {
            return;
        }
        let head = match Head::read(&incoming.request) {
            Ok(head) => head,
            Err(answer) => return self.refuse(&incoming, answer, outside),
        };
        match incoming.request.method {
            Method::Register => self.register(incoming, &head, outside),
            Method::Options => {
                let answer = self.capabilities(&incoming.request, &head);
                self.refuse(&incoming, answer, outside);
            }
            Method::Cancel => self.refuse(&incoming, Reply::new(481), outside),
            Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Message
            | Method::Info
            | Method::Prack
            | Method::Refer
            | Method::Update
            | Method::Other(_) => {
                let answer = uas::refuse_method(&incoming.request.method, ALLOW);
                self.refuse(&incoming, answer, outside);
            }
        }
    }

    /// OPTIONS (RFC 3261 §11.2): what this server can do.
    fn capabilities(&self, request: &Request, head: &Head) -> Reply {
        if !head.uri.sip().is_some_and(|uri| self.registrar.serves(&uri.host)) {
            return Reply::new(if head.max_forwards == Some(0) { 483 } else { 404 });
        }
        uas::refuse_extensions(request, &SUPPORTED).unwrap_or_else(|| {
            Reply::new(200)
                .with(HeaderName::Allow, ALLOW)
                .with(HeaderName::Accept, "")
                .with(HeaderName::Supported, SUPPORTED.join(", "))
        })
    }

    fn register(&mut self, incoming: Incoming, head: &Head, outside: &mut Context<'_>) {
        let headers = &incoming.request.headers;
        // Where passwords are wanted, nothing without credentials has ever begun a transaction.
        if self.registrar.is_guarded() && headers.get(&HeaderName::Authorization).is_none() {
            let source =
                Source { flow: incoming.way.flow, peer: incoming.peer, transport: incoming.transport };
            let wish =
                self.registrar.on_register(&incoming.request, head, source, outside.random, outside.now);
            if let Err(Refusal { answer, .. }) = wish {
                self.refuse(&incoming, answer, outside);
            }
            return;
        }
        let known = self.keys.of(&incoming.request, &incoming.via).and_then(|key| {
            let call_id = headers.call_id()?;
            let method = &incoming.request.method;
            Ok((key, self.keys.of_merged(head.from_tag.as_deref(), call_id, head.cseq.number, method)))
        });
        let (key, merged) = match known {
            Ok(keys) => keys,
            Err(error) => return self.refuse(&incoming, error.into(), outside),
        };
        match self.transactions.look_up(key, merged) {
            Lookup::New => {}
            Lookup::Waiting => return self.counters.retransmissions += 1,
            Lookup::Answered(way, bytes) => {
                self.counters.retransmissions += 1;
                return self.transmit(way, bytes, Direction::SentAgain, outside);
            }
            Lookup::Merged => return self.refuse(&incoming, Reply::new(482), outside),
        }
        let Incoming { peer, transport, way, .. } = incoming;
        let source = Source { flow: way.flow, peer, transport };
        let wish = self.registrar.on_register(&incoming.request, head, source, outside.random, outside.now);
        let full = self.asks.len() >= self.limits.pending;
        match wish {
            Ok(_) if full => {
                let busy = Reply::new(503).with(HeaderName::RetryAfter, "5");
                self.refuse(&incoming, busy, outside);
            }
            Ok(operation) => {
                let Some(aor) = aor_of(&operation) else { return };
                let request = incoming.request;
                self.transactions.begin(key, merged, transport.is_reliable(), way, outside.now);
                outside.wake(TimerKey::Served, self.transactions.next_due());
                self.ask(key, Pending { request, peer, aor }, operation, outside);
            }
            Err(Refusal { answer, auth }) => {
                if let (Some((username, why)), Some(to)) = (auth, head.to.uri.sip()) {
                    self.counters.auth_failed += 1;
                    outside.tell(ServerEvent::AuthFailed { peer, aor: Aor::of(to), username, why });
                }
                self.refuse(&incoming, answer, outside);
            }
        }
    }

    /// Answers and forgets: without a transaction, and with the same tag whenever the same request comes (§8.2.7).
    fn refuse(&mut self, incoming: &Incoming, answer: Reply, outside: &mut Context<'_>) {
        if answer.status == 400 {
            let what = answer.reason.as_deref().unwrap_or_default();
            let what = what.strip_prefix("Bad Request: ").unwrap_or(what).to_owned();
            self.malformed(incoming.peer, what, Some(answer.status), outside);
        }
        let response = uas::respond(&incoming.request, answer, &self.keys.tag(&incoming.request));
        let bytes = self.written(&response);
        self.transmit(incoming.way, bytes, Direction::Sent, outside);
    }

    /// Answers in a transaction.
    pub(super) fn answer(
        &mut self,
        key: TransactionKey,
        request: &Request,
        answer: Reply,
        outside: &mut Context<'_>,
    ) {
        let tag = self.keys.tag(request);
        let mut bytes = self.written(&uas::respond(request, answer, &tag));
        let Some(way) = self.transactions.way(key) else { return };
        // What no datagram can carry does not arrive; the client hears that much.
        let datagram = self.ends(way.flow).is_some_and(|(transport, _)| !transport.is_reliable());
        if datagram && bytes.len() > LARGEST {
            bytes = self.written(&uas::respond(request, Reply::new(513), &tag));
        }
        if self.transactions.answer(key, &bytes, outside.now).is_some() {
            outside.wake(TimerKey::Served, self.transactions.next_due());
            self.transmit(way, bytes, Direction::Sent, outside);
        }
    }

    /// The octets of a response, in memory of just that size.
    fn written(&mut self, response: &Response) -> Bytes {
        self.scratch.clear();
        response.write(&mut self.scratch);
        Bytes::copy_from_slice(&self.scratch)
    }

    fn transmit(&mut self, way: ReturnPath, bytes: Bytes, direction: Direction, outside: &mut Context<'_>) {
        let class = bytes.get(8).and_then(|digit| digit.checked_sub(b'1'));
        if let Some(count) = class.and_then(|class| self.counters.responses.get_mut(usize::from(class))) {
            *count += 1;
        }
        if self.ends(way.flow).is_none() {
            return self.open_for(way, bytes, outside);
        }
        self.tell_message(direction, way.flow, way.peer, &bytes, outside);
        outside.act(Action::Transmit { flow: way.flow, peer: way.peer, bytes });
    }

    /// Transactions whose client gets a 100 now, and those that are over.
    pub(super) fn transactions_due(&mut self, outside: &mut Context<'_>) {
        while let Some((key, way)) = self.transactions.next_slow(outside.now) {
            let Some(request) = self.asks.request(key) else { continue };
            // RFC 3261 §8.2.6.2: a 100 needs no tag.
            let trying = uas::respond(request, Reply::new(100), "");
            let bytes = self.written(&trying);
            self.transactions.trying(key, bytes.clone());
            self.transmit(way, bytes, Direction::Sent, outside);
        }
        self.transactions.expire(outside.now);
        outside.wake(TimerKey::Served, self.transactions.next_due());
    }
}

fn aor_of(operation: &Operation) -> Option<Aor> {
    match operation {
        Operation::Change(change) => Some(change.aor.clone()),
        Operation::Fetch(aor) => Some(aor.clone()),
        Operation::Expire => None,
    }
}
