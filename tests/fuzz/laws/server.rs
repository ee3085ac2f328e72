//! The server endpoint, registrar and proxy, in a world that does as the octets say: whatever comes, each event leads to a
//! bounded number of actions, every message that leaves reads, a response goes to who has asked, a request has our Via on
//! top, and when the server is told to stop nothing is left.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::binding::{Operation, StoreFailure};
use sipreg::proto::client::plan::Timing;
use sipreg::proto::digest::{Algorithm, Hidden, User, Users, Verifier};
use sipreg::proto::identity::{Certificate, TlsSession, Untrusted};
use sipreg::proto::ids::Counting;
use sipreg::proto::registrar::service::{Fork, Full, Limits, Listen, Nodes, Policy, ServerEvent, Service};
use sipreg::proto::{
    Action, AskId, Cause, Command, Endpoint, Event, FlowId, Notice, QueryId, Record, ResolveError, Time,
    Transport,
};
use sipreg::sip::{Host, Message};
use sipreg::store::Memory;

use super::input::Input;

/// Connections at a time: few, so that the limit is met.
const CONNECTIONS: usize = 4;

/// All who ever send anything.
const PEERS: [IpAddr; 4] = [peer(0), peer(1), peer(2), peer(3)];

const fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

struct World<'a> {
    input: Input<'a>,
    endpoint: Endpoint,
    store: Memory,
    now: Time,
    listeners: Vec<FlowId>,
    connections: BTreeSet<FlowId>,
    /// Opened for late answers and for requests.
    late: VecDeque<(FlowId, SocketAddr)>,
    /// Of those, the ones that are open.
    outgoing: BTreeSet<FlowId>,
    asked: VecDeque<(AskId, Operation)>,
    questions: VecDeque<QueryId>,
    /// Requests that were forwarded, with where they went.
    forwarded: VecDeque<(FlowId, SocketAddr, Bytes)>,
    /// Messages that came in: each may lead to something later.
    came: usize,
    accepted: u64,
    stopped: bool,
}

/// A service, and what happens to it.
pub fn nothing_is_left(octets: &[u8]) {
    let mut input = Input::new(octets);
    let service = service(&mut input);
    let mut world = World {
        input,
        endpoint: Endpoint::new(Box::new(Counting::default())),
        store: Memory::default(),
        now: Time::from_millis(1_792_000_000_000),
        listeners: Vec::new(),
        connections: BTreeSet::new(),
        late: VecDeque::new(),
        outgoing: BTreeSet::new(),
        asked: VecDeque::new(),
        questions: VecDeque::new(),
        forwarded: VecDeque::new(),
        came: 0,
        accepted: 0,
        stopped: false,
    };
    world.happens(Event::Command(Command::Serve(Box::new(service))));
    while !world.input.is_empty() {
        world.one_thing();
    }
    world.happens(Event::Command(Command::StopServing));
    while let Some((ask, operation)) = world.asked.pop_front() {
        world.stored(ask, operation);
    }
    assert!(world.stopped, "it does not stop");
    assert!(world.endpoint.is_idle() && world.connections.is_empty() && world.listeners.is_empty());
}

fn service(input: &mut Input<'_>) -> Service {
    let at = |transport, port| Listen { transport, address: SocketAddr::from(([192, 0, 2, 1], port)) };
    let verifier = input.chance().then(|| {
        let line = User::line("alice", "example.com", &Hidden::new("secret".to_owned())).unwrap();
        let users = Users::parse(line.reveal()).unwrap();
        Verifier::new(users, &[Algorithm::Sha256, Algorithm::Md5], &mut Counting::default())
    });
    let full = input.one(&[Full::Refuse, Full::ReplaceOldest]);
    Service {
        listen: vec![
            at(Transport::Udp, 5060),
            at(Transport::Tcp, 5060),
            at(Transport::Tls, 5061),
            at(Transport::Ws, 80),
        ],
        domains: ["example.com", "example.net"].map(|name| Host::parse(name).unwrap()).to_vec(),
        policy: Policy { min_expires: 60, max_expires: 7200, default_expires: 3600, max_contacts: 3 },
        verifier,
        fork: input.one(&[Fork::Parallel, Fork::Sequential]),
        auth_calls: input.chance(),
        limits: Limits {
            connections: CONNECTIONS,
            replay: 5000,
            pending: 3,
            full,
            calls: 4,
            forwarded: 60_000,
            ..Limits::default()
        },
        timing: Timing::default(),
        pinned: Vec::new(),
        tell_messages: input.chance(),
        nodes: Nodes::default(),
    }
}

/// The session of somebody who has shown a certificate.
fn session() -> Arc<TlsSession> {
    let certificate = Certificate {
        subject: String::new(),
        issuer: String::new(),
        not_before: Time::from_millis(0),
        not_after: Time::from_millis(u64::MAX),
        uris: vec!["sip:alice@example.com".to_owned()],
        hosts: Vec::new(),
        addresses: Vec::new(),
        has_alternatives: true,
        common_name: None,
    };
    Arc::new(TlsSession {
        version: None,
        cipher: None,
        certificate: Some(certificate),
        name: None,
        verified: true,
    })
}

impl World<'_> {
    fn happens(&mut self, event: Event) {
        let size = if let Event::Received { bytes, .. } = &event { bytes.len() } else { 0 };
        self.came += usize::from(size > 0);
        let was_timeout = matches!(event, Event::Timeout);
        let before = self.endpoint.next_timeout();
        let actions: Vec<_> = self.endpoint.handle(event, self.now).collect();
        let most = 64 + size + 8 * self.came;
        assert!(actions.len() <= most, "{} actions of one event", actions.len());
        for action in actions {
            self.carry_out(action);
        }
        if let Some((at, key)) = self.endpoint.next_timeout() {
            let late = was_timeout && at <= self.now && before == Some((at, key));
            assert!(!late, "{key:?} has fired and is due as before");
        }
        assert!(self.connections.len() <= CONNECTIONS, "too many connections");
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Listen { flow, address, .. } => {
                self.listeners.push(flow);
                self.happens(Event::Opened { flow, local: address });
            }
            Action::Transmit { flow, peer, bytes } => {
                let known = self.listeners.contains(&flow)
                    || self.connections.contains(&flow)
                    || self.late.iter().any(|(late, _)| *late == flow)
                    || self.outgoing.contains(&flow);
                assert!(known, "{flow} is not open");
                if bytes == b"\r\n"[..] {
                    return;
                }
                match Message::parse_framed(bytes.clone()).expect("what leaves can be read") {
                    Message::Response(_) => {
                        // RFC 3261 §18.2.2: whatever a Via says, nobody hears from us who has not asked, but a group.
                        let asked = PEERS.contains(&peer.ip()) || peer.ip().is_multicast();
                        assert!(asked, "an answer goes to {peer}, who has not asked");
                    }
                    Message::Request(request) => {
                        let via = request.headers.top_via().expect("a Via of ours");
                        assert_eq!(via.host.to_string(), "192.0.2.1");
                        assert!(
                            matches!(via.port, Some(5060 | 5061 | 80)),
                            "{:?} is no port of ours",
                            via.port
                        );
                        self.forwarded.push_back((flow, peer, bytes));
                    }
                }
            }
            Action::Close { flow } => {
                self.listeners.retain(|listener| *listener != flow);
                self.connections.remove(&flow);
                self.late.retain(|(late, _)| *late != flow);
                self.outgoing.remove(&flow);
            }
            Action::Open { flow, destination } => {
                self.late.push_back((flow, destination.address));
            }
            Action::Store { ask, operation } => self.asked.push_back((ask, operation)),
            Action::Notify(Notice::Server(what)) => self.stopped |= what == ServerEvent::Stopped,
            Action::Notify(Notice::Message { .. }) => {}
            Action::Resolve { query, .. } => self.questions.push_back(query),
            Action::Authorize { .. }
            | Action::FindSource { .. }
            | Action::Present(_)
            | Action::Checkpoint(_)
            | Action::Notify(_) => {
                panic!("a server: {action:?}")
            }
        }
    }

    fn stored(&mut self, ask: AskId, operation: Operation) {
        let failure = [
            StoreFailure::Unavailable,
            StoreFailure::Failed,
            StoreFailure::OutOfOrder,
            StoreFailure::TooMany,
        ];
        let answer = match self.input.below(8) {
            choice @ 4..8 => Err(failure[choice - 4]),
            _ => self.store.perform(operation, self.now),
        };
        self.happens(Event::Stored { ask, answer });
    }

    fn one_thing(&mut self) {
        let peer = SocketAddr::new(PEERS[self.input.below(PEERS.len())], 5060);
        match self.input.below(16) {
            0..=2 => {
                let bytes = Bytes::copy_from_slice(self.input.octets());
                let flow = self.listeners.first().copied().unwrap_or(FlowId(1));
                self.happens(Event::Received { flow, peer, bytes });
            }
            3 | 4 => self.segment(peer),
            5 => {
                let flow = FlowId(FlowId::ACCEPTED.0 + self.accepted);
                self.accepted += 1;
                let of_stream = 1 + self.input.below(3);
                if let Some(listener) = self.listeners.get(of_stream).copied() {
                    if self.input.below(4) == 3 {
                        let cause = Cause::Untrusted(Untrusted::NotTls);
                        return self.happens(Event::HandshakeFailed { listener, remote: peer, cause });
                    }
                    self.connections.insert(flow);
                    let local = SocketAddr::from(([192, 0, 2, 1], 5060));
                    self.accept(Event::Accepted { listener, flow, local, remote: peer });
                    if self.input.chance() {
                        self.happens(Event::Secured { flow, session: session() });
                    }
                }
            }
            6 | 7 => {
                if let Some((ask, operation)) = self.asked.pop_front() {
                    self.stored(ask, operation);
                }
            }
            8 => {
                if let Some(flow) = self.connections.pop_first() {
                    let cause =
                        [Cause::Reset, Cause::Other(std::io::ErrorKind::WouldBlock)][self.input.below(2)];
                    let event = match self.input.chance() {
                        true => Event::Closed { flow },
                        false => Event::Failed { flow, peer, cause },
                    };
                    self.happens(event);
                }
            }
            9 => {
                if let Some((flow, to)) = self.late.front().copied() {
                    let event = match self.input.chance() {
                        true => Event::Opened { flow, local: ([192, 0, 2, 1], 40_000).into() },
                        false => Event::Failed { flow, peer: to, cause: Cause::Refused },
                    };
                    self.late.pop_front();
                    if matches!(event, Event::Opened { .. }) {
                        self.outgoing.insert(flow);
                    }
                    self.happens(event);
                }
            }
            10 => {
                let span = Duration::from_millis(u64::from(self.input.number()) * 10);
                self.wait(span);
            }
            11 => self.happens(Event::Timeout),
            12 | 13 => self.respond(),
            14 => {
                if let Some(query) = self.questions.pop_front() {
                    let record = Record::A(Ipv4Addr::new(198, 51, 100, 9));
                    let answer = [Ok(vec![record]), Ok(Vec::new()), Err(ResolveError::TimedOut)];
                    let answer = answer[self.input.below(3)].clone();
                    self.happens(Event::Resolved { query, answer, ttl: 60 });
                }
            }
            _ => self.ordinary(peer),
        }
    }

    /// Somebody answers a request that was forwarded, as it came: once, twice, or when nobody waits any more.
    fn respond(&mut self) {
        let at = self.input.below(self.forwarded.len().max(1));
        let Some((flow, peer, bytes)) = self.forwarded.get(at).cloned() else { return };
        let status =
            [100, 180, 183, 200, 200, 202, 302, 401, 408, 486, 487, 500, 503, 603][self.input.below(14)];
        let rest = bytes.iter().position(|octet| *octet == b'\r').map_or(&[][..], |end| &bytes[end..]);
        let bytes = Bytes::from([format!("SIP/2.0 {status} X").as_bytes(), rest].concat());
        if self.input.chance() {
            self.forwarded.remove(at);
        }
        self.happens(Event::Received { flow, peer, bytes });
    }

    /// A request that makes sense: a device registers, somebody calls, cancels, acknowledges, hangs up.
    fn ordinary(&mut self, peer: SocketAddr) {
        let method =
            self.input.one(&["REGISTER", "INVITE", "INVITE", "CANCEL", "ACK", "BYE", "MESSAGE", "OPTIONS"]);
        let (user, number) = (self.input.one(&["alice", "bob"]), self.input.below(4));
        let uri = match method {
            "REGISTER" => "sip:example.com".to_owned(),
            _ => format!("sip:{user}@{}", self.input.one(&["example.com", "example.net", "elsewhere.net"])),
        };
        let contact = self.input.one(&[
            "<sip:x@198.51.100.8>",
            "<sip:y@198.51.100.9;transport=tcp>;q=0.5",
            "<sip:z@pc.elsewhere.net>",
            "<sip:bob@example.com>",
            "<sip:alice@example.com>;q=0.2",
            "<sip:w@x.invalid;transport=ws>",
            "<sips:s@198.51.100.7>",
        ]);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {peer};rport;branch=z9hG4bK{number}\r\n\
             From: <sip:alice@example.com>;tag=1\r\nTo: <sip:{user}@example.com>\r\nCall-ID: {number}\r\n\
             CSeq: {} {method}\r\nContact: {contact}\r\nContent-Length: 0\r\n\r\n",
            self.came + 1
        );
        let connection = self.connections.first().copied().filter(|_| self.input.chance());
        let flow = connection.or(self.listeners.first().copied()).unwrap_or(FlowId(1));
        self.happens(Event::Received { flow, peer, bytes: text.into() });
    }

    /// The newcomer counts only once the core has made room.
    fn accept(&mut self, event: Event) {
        let actions: Vec<_> = self.endpoint.handle(event, self.now).collect();
        actions.into_iter().for_each(|action| self.carry_out(action));
        assert!(self.connections.len() <= CONNECTIONS, "too many connections");
    }

    /// Octets of a connection, perhaps of one that is gone.
    fn segment(&mut self, peer: SocketAddr) {
        let at = self.input.below(CONNECTIONS + 1);
        let mut open = self.connections.iter().chain(&self.outgoing);
        let flow = open.nth(at).copied().unwrap_or(FlowId::ACCEPTED);
        let bytes = Bytes::copy_from_slice(self.input.octets());
        self.happens(Event::Received { flow, peer, bytes });
    }

    /// Time passes, and every timer fires in its turn.
    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.endpoint.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.happens(Event::Timeout);
        }
        self.now = end;
    }
}
