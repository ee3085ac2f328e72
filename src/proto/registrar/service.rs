//! A server at work, from the first listener to the last answer: the registrar, and the proxy for all that is not for it.
//! What it is to do is completely said by a [`Service`]; what it tells is a [`ServerEvent`].
//!
//! An incoming REGISTER, walked: octets → message (unanswerable: dropped and told; else 400) → `received` and `rport`
//! → is it a copy? then its answer again → [`Registrar`] → transaction → [`Action::Store`] → 200.
//!
//! Whatever is refused before the location service is asked is answered without any state (RFC 3261 §8.2.7): the same
//! request gets the same answer, To tag included, and a flood of them costs no memory. Only a REGISTER that the
//! registrar lets through makes a transaction, and what the proxy passes on.
//!
//! The file is long because every request comes in at one place, which has to know all that may become of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::handshakes::{Failed, Handshakes};
use super::location::{Location, Pending};
use super::retry_after::Line;
use super::sources::{Answers, Limit, Stretch, Stretches};
use super::unanswered::{Unanswered, Who, device};
use super::{Asker, Dater, Refusal, Registrar, SUPPORTED, Standing, busy, failed, full, granted};
use crate::proto::binding::{Aor, Effect, Fate, Operation, Source, StoreFailure, Stored};
use crate::proto::digest::{Algorithm, Users, Verifier};
use crate::proto::flow::{Bounds, Flows, ReturnPath, SentBy};
use crate::proto::identity::WebSocketFault;
use crate::proto::locate::Pinned;
use crate::proto::node::{Key, Peer, Place, Presence, Proof};
use crate::proto::proxy::{self, Origin, Own, Passing, Proxy, Refused, Routing, Told};
use crate::proto::timers::RegistrarTimer;
use crate::proto::transaction::{Acknowledged, Heard, Keys, Lookup, Owner, TransactionKey, Transactions};
use crate::proto::uas::{self, Domains, Head, Incoming, Reply};
use crate::proto::{
    Action, AskId, Cause, ContextId, DnsAnswer, FlowId, NodeId, Notice, Question, Time, Timing, Transport,
};
use crate::sip::{Credentials, FramingError, HeaderName, Host, Method, NameAddr, ParseError, Request, Uri};

pub use crate::proto::digest::AuthFailure;
pub use crate::proto::flow::Overload;
pub use crate::proto::proxy::{Crowd, Fork};

/// A registrar with its listeners.
#[derive(Debug)]
pub struct Service {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The domains it is responsible for. The addresses it listens on always count.
    pub domains: Vec<Host>,
    /// What it grants.
    pub policy: Policy,
    /// Who may register; `None`: anybody.
    pub verifier: Option<Verifier>,
    /// How calls reach several devices of the same preference.
    pub fork: Fork,
    /// Callers have to prove who they are also where they call somebody of a domain of ours.
    pub auth_calls: bool,
    /// How much of others it bears.
    pub limits: Limits,
    /// The timers of RFC 3261 table 4.
    pub timing: Timing,
    /// Addresses of hosts that the user knows better than the name service.
    pub pinned: Vec<Pinned>,
    /// Tell every message that passes ([`Notice::Message`]).
    pub tell_messages: bool,
    /// Where other nodes hand requests over.
    pub nodes: Nodes,
}

/// What a server needs to be a node among others that share its location service.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// Where they hand over requests for the connections of this one: at an address by which they reach it, no wildcard.
    /// `None`: they can't.
    pub listen: Option<Listen>,
    /// Their addresses; what comes from elsewhere is not heard. Empty: any.
    pub peers: Vec<IpAddr>,
    /// What they know besides what is in the location service.
    pub secret: Option<Key>,
}

/// A place to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The transport to listen for.
    pub transport: Transport,
    /// Where; port 0 lets the system choose.
    pub address: SocketAddr,
}

/// What a registrar grants (RFC 3261 §10.3 step 7). Lifetimes are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A shorter wish gets 423, unless it is an hour or more.
    pub min_expires: u32,
    /// The most that is granted.
    pub max_expires: u32,
    /// Granted when none is asked for.
    pub default_expires: u32,
    /// Bindings per address-of-record; [`Limits::full`] says what becomes of one more.
    pub max_contacts: usize,
}

/// What a registrar does about one binding more than [`Policy::max_contacts`]. Those that are there may always be
/// refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Full {
    /// It answers 503, with Retry-After until the first of them ends.
    #[default]
    Refuse,
    /// It drops the one that was refreshed longest ago.
    ReplaceOldest,
}

/// How much of others a server bears before it lets go of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. When all are taken, the one that has been silent longest makes room; those without a
    /// registration go first.
    pub connections: usize,
    /// How long a connection without a registration may be silent.
    pub idle: Duration,
    /// How long a message may take from its first octet to its last.
    pub incomplete: Duration,
    /// Octets of messages that are not complete, of all connections together. When there are more, the connection with
    /// the longest is closed.
    pub unfinished: usize,
    /// Octets of answers that are kept to be repeated.
    pub replay: usize,
    /// Requests that may wait for the location service.
    pub pending: usize,
    /// What becomes of a binding for which there is no room.
    pub full: Full,
    /// Answers a second for one source that has not proven who it is; requests beyond get none. A source is an IPv4
    /// address or the /64 network of an IPv6 address; loopback is exempt, here and below.
    pub rate: u32,
    /// Logins a minute that may fail for one source; those beyond get 503, with Retry-After.
    pub login_failures: u32,
    /// Calls in progress; one more gets 503, with Retry-After.
    pub calls: usize,
    /// Octets of requests that are being forwarded, with what keeping them costs; one more gets 503, with Retry-After.
    pub forwarded: usize,
    /// How often devices that offer keep-alives are asked to send them (RFC 6223), in whole seconds, above zero.
    pub keepalive: Duration,
}

impl Default for Limits {
    /// Enough for a test or a small office: 8192 connections, 16 MiB of unfinished messages, 64 MiB of answers, 100 answers
    /// a second and 30 failed logins a minute for one source; a keep-alive at least every 30 seconds, which NATs remember.
    fn default() -> Limits {
        Limits {
            connections: 8192,
            idle: Duration::from_secs(120),
            incomplete: Duration::from_secs(10),
            unfinished: 16 << 20,
            replay: 64 << 20,
            pending: 10_000,
            full: Full::Refuse,
            rate: 100,
            login_failures: 30,
            calls: 20_000,
            forwarded: 512 << 20,
            keepalive: Duration::from_secs(30),
        }
    }
}

/// What a server tells its user. Each is something that happened; counts are in [`Counters`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// It listens here; one for each of [`Service::listen`], in their order.
    Listening {
        /// The transport that was listened for.
        transport: Transport,
        /// Where, with the port that the system chose.
        address: SocketAddr,
    },
    /// It cannot listen there, and therefore does not serve.
    CannotListen {
        /// The transport that was listened for.
        transport: Transport,
        /// The address that could not be had.
        address: SocketAddr,
        /// What the network said.
        cause: Cause,
    },
    /// A contact was bound, refreshed or removed, or ran out.
    Changed {
        /// Which, and what became of it.
        effect: Effect,
        /// Until when it is bound; `None` when it no longer is.
        expires: Option<Time>,
        /// Who asked for it; `None` when its time was over.
        peer: Option<SocketAddr>,
    },
    /// A request without the credentials it needs was refused: wrong ones, or somebody else's.
    AuthFailed {
        /// Who sent it.
        peer: SocketAddr,
        /// Whose bindings it was about, or who the caller said to be.
        aor: Aor,
        /// As whom; empty when it didn't say.
        username: Arc<str>,
        /// Why it was refused.
        why: AuthFailure,
    },
    /// A device lets every challenge pass. Told once for each.
    Unanswered {
        /// Who sent the request that was challenged last.
        peer: SocketAddr,
        /// Whose bindings it is about.
        aor: Aor,
        /// What it was offered, in this order.
        offers: Vec<Algorithm>,
    },
    /// Something came that is no SIP, or cannot be served as it is.
    Malformed {
        /// Who sent it.
        peer: SocketAddr,
        /// What is wrong with it.
        what: String,
        /// The status it was answered with; `None`: not answered.
        status: Option<u16>,
    },
    /// A connection was closed because it was silent, slow, or one too many.
    Dropped {
        /// The address of the other side.
        peer: SocketAddr,
        /// The limit that was reached.
        why: Overload,
    },
    /// A source has had as much as it may have. Told once for each stretch of that.
    RateLimited {
        /// Its IPv4 address, mapped, or the first address of its /64 network.
        source: Ipv6Addr,
        /// Requests that got no answer.
        unanswered: u64,
        /// Logins that got 503.
        logins: u64,
    },
    /// A request for an address-of-record, or for another domain, was forwarded, or its final status is decided. A request
    /// within a dialog is not told.
    Routed {
        /// Whom it is for.
        aor: Aor,
        /// The method of the request.
        method: Method,
        /// The URI of its From.
        from: Arc<str>,
        /// The contacts that it goes to, or went to, in their order.
        targets: Vec<Arc<str>>,
        /// What its sender hears in the end; `None`: it has just been forwarded.
        status: Option<u16>,
    },
    /// Requests could not be forwarded, because too much is in progress. The first is told at once, more of them at most once a
    /// second.
    Overload {
        /// What there is too much of.
        what: Crowd,
        /// How many requests got 503 since that was told last.
        refused: u64,
    },
    /// Connections came in that never were usable. The first of a source is told at once, more of them at most once a
    /// second.
    HandshakeFailed {
        /// The transport that the last of them was for.
        transport: Transport,
        /// Who began it.
        source: SocketAddr,
        /// What was wrong with it.
        cause: Cause,
        /// How many there were since that was told last.
        count: u64,
    },
    /// The location service takes no changes: they get 503 until [`ServerEvent::StoreBack`].
    StoreFailed {
        /// Which it is, and what the matter is.
        why: Arc<str>,
    },
    /// The location service takes changes again.
    StoreBack,
    /// It serves no more; nothing follows.
    Stopped,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by what was done with them.
    pub requests: u64,
    /// Copies of requests, answered from memory.
    pub retransmissions: u64,
    /// Answers sent, by class: 1xx to 6xx.
    pub responses: [u64; 6],
    /// Contacts that were not bound before.
    pub bound: u64,
    /// Contacts that are bound for longer now.
    pub refreshed: u64,
    /// Contacts removed by a request.
    pub removed: u64,
    /// Contacts that ran out.
    pub expired: u64,
    /// Requests whose credentials were not accepted.
    pub auth_failed: u64,
    /// Requests without an answer, and logins that got 503, because their source has had too many.
    pub rate_limited: u64,
    /// Messages that were no SIP or could not be served.
    pub malformed: u64,
    /// Responses that nobody waits for.
    pub stray: u64,
    /// Connections that came in.
    pub accepted: u64,
    /// Connections closed by a limit.
    pub dropped: u64,
    /// Connections that came in and never were usable.
    pub handshakes_failed: u64,
    /// Calls in progress now.
    pub calls: u64,
    /// Calls whose final status is decided, by its class: 1xx (none) to 6xx.
    pub calls_ended: [u64; 6],
    /// Requests that are being forwarded now, answered calls among them to which another device may still say yes.
    pub forwarding: u64,
    /// What those take in memory, in octets, about.
    pub forwarding_octets: u64,
    /// Branches that requests were forwarded on.
    pub branches: u64,
    /// Branches that were cancelled.
    pub cancelled: u64,
    /// Requests that were not forwarded, because too much was in progress.
    pub overload: u64,
    /// Other nodes that are there now.
    pub nodes: u64,
    /// Branches that went to other nodes.
    pub handed_over: u64,
    /// Requests that other nodes have sent.
    pub from_nodes: u64,
    /// Those of them that were answered with 430: the connection is gone.
    pub flows_failed: u64,
    /// Messages at the listener for other nodes that no node has sent, and connections that were refused there.
    pub strangers: u64,
}

/// What is served.
const ALLOW: &str = "REGISTER, OPTIONS";

/// Where a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stage {
    /// Not all listeners are there yet.
    Opening,
    /// It listens and answers.
    Serving,
    /// What has come is answered, nothing new is taken.
    Stopping,
    /// All is answered and closed.
    Over,
}

/// Requests that may wait at a time to know whether an address is ours; to those beyond it is not.
const UNCLEAR: usize = 256;

/// A location service that could not drop what has run out is asked again after this time.
const EXPIRE_AGAIN: Duration = Duration::from_secs(1);

/// More requests that were refused for the same reason are told after this time.
const CROWDED: Duration = Duration::from_secs(1);

/// A registrar with its listeners, at work.
pub(in crate::proto) struct Server {
    stage: Stage,
    listeners: Vec<(FlowId, Listen)>,
    registrar: Registrar,
    location: Location,
    /// Those who were refused because the location service has no time.
    line: Line,
    proxy: Proxy,
    /// Requests that wait to know whether an address that they name is ours.
    unclear: Vec<(IpAddr, Box<Incoming>, Origin)>,
    nodes: Nodes,
    /// What the proofs of other nodes are made with.
    key: Key,
    auth_calls: bool,
    /// What there is too much of, with the requests that were refused since that was told last.
    crowds: Vec<(Crowd, u64)>,
    unanswered: Unanswered,
    answers: Answers,
    stretches: Stretches,
    handshakes: Handshakes,
    dater: Dater,
    limits: Limits,
    pub counters: Counters,
}

/// From the first listener to the last.
impl Server {
    /// Begins to listen.
    pub fn start(service: Service, stack: &mut Transactions) -> Server {
        let Service { listen, domains, policy, verifier, fork, auth_calls, limits, .. } = service;
        let Service { timing, pinned, tell_messages, mut nodes, .. } = service;
        let Limits { connections, idle, incomplete, unfinished, replay, full, rate, login_failures, .. } =
            limits;
        stack.bound(timing, replay);
        stack.flows.bound(Bounds { connections, idle, incomplete, unfinished, tells: tell_messages });
        let open = |listen: Listen| {
            (stack.flows.listen(listen.transport, listen.address, &mut stack.context), listen)
        };
        let mut listeners: Vec<(FlowId, Listen)> = listen.into_iter().map(open).collect();
        let for_nodes = nodes.listen.take().map(|listen| {
            let Listen { transport, address } = listen;
            (stack.flows.listen_for_nodes(transport, address, &mut stack.context), listen)
        });
        listeners.extend(for_nodes);
        nodes.peers.iter_mut().for_each(|peer| *peer = peer.to_canonical());
        let mut proxy =
            Proxy::new(proxy::Bounds { fork, calls: limits.calls, octets: limits.forwarded, timing }, pinned);
        proxy.share(nodes.secret);
        let registrar = Registrar::new(domains, policy, verifier).when_full(full);
        Server {
            stage: Stage::Opening,
            listeners,
            registrar: registrar.with_login_failures(login_failures, stack.keys()),
            location: Location::default(),
            line: Line::default(),
            proxy,
            unclear: Vec::new(),
            nodes,
            key: Key::random(&mut *stack.context.random),
            auth_calls,
            crowds: Vec::new(),
            unanswered: Unanswered::default(),
            answers: Answers::new(rate),
            stretches: Stretches::default(),
            handshakes: Handshakes::default(),
            dater: Dater::default(),
            limits,
            counters: Counters::default(),
        }
    }

    /// Other users, for the requests that come from now on.
    pub fn replace_users(&mut self, users: Users) {
        self.registrar.replace_users(users);
    }

    /// A flow of the server is open.
    pub fn opened(&mut self, flow: FlowId, local: SocketAddr, stack: &mut Transactions) {
        if !self.listeners.iter().any(|(id, _)| *id == flow) {
            self.proxy.opened(flow, stack);
            return self.tell_proxied(stack);
        }
        if stack.flows.is_for_nodes(flow) {
            if let Some((_, SentBy { transport, .. })) = stack.flows.for_nodes() {
                let presence = Presence { transport, address: local, key: self.key };
                stack.context.push(Action::Present(presence));
            }
        } else if local.ip().is_unspecified() {
            self.registrar.domains_mut().add_all_addresses();
        } else {
            self.registrar.domains_mut().add(Host::from(local.ip()));
        }
        self.proxy.serve(self.registrar.domains().clone());
        let listening = |(id, Listen { transport, .. }): &(FlowId, Listen)| {
            Some(ServerEvent::Listening { transport: *transport, address: stack.flows.get(*id)?.local? })
        };
        let all: Option<Vec<_>> = self.listeners.iter().map(listening).collect();
        if let Some(all) = all {
            self.stage = Stage::Serving;
            // What was there before may run out without anybody asking for anything.
            self.location.expire(&mut stack.context);
            all.into_iter().for_each(|event| tell(event, stack));
        }
    }

    /// A connection came in.
    pub fn accepted(
        &mut self,
        listener: FlowId,
        flow: FlowId,
        local: SocketAddr,
        peer: SocketAddr,
        stack: &mut Transactions,
    ) {
        if !stack.flows.has(listener) || self.limits.connections == 0 {
            return stack.context.push(Action::Close { flow });
        }
        if stack.flows.is_for_nodes(listener) && !self.may_be_node(peer.ip()) {
            self.counters.strangers += 1;
            return stack.context.push(Action::Close { flow });
        }
        self.counters.accepted += 1;
        while let Some(first) = stack.flows.crowded() {
            self.drop_flow(first, Overload::Connections, stack);
        }
        stack.flows.accept(listener, flow, local, peer, &mut stack.context);
    }

    /// A connection came in and never was usable.
    pub fn handshake_failed(
        &mut self,
        listener: FlowId,
        peer: SocketAddr,
        cause: Cause,
        stack: &mut Transactions,
    ) {
        let Some(transport) = stack.flows.get(listener).map(|flow| flow.transport) else { return };
        self.counters.handshakes_failed += 1;
        let told = self.handshakes.note(transport, peer, cause, stack.context.now);
        told.into_iter().for_each(|failed| tell_handshakes(failed, stack));
        stack.context.wake(RegistrarTimer::Handshakes, self.handshakes.next());
    }

    /// Tells how many handshakes have failed meanwhile.
    pub fn handshakes_due(&mut self, stack: &mut Transactions) {
        for failed in self.handshakes.due(stack.context.now) {
            tell_handshakes(failed, stack);
        }
        stack.context.wake(RegistrarTimer::Handshakes, self.handshakes.next());
    }

    /// Closes a connection that has reached a limit.
    pub fn drop_flow(&mut self, flow: FlowId, why: Overload, stack: &mut Transactions) {
        if let Some(peer) = stack.flows.get(flow).and_then(|flow| flow.remote()) {
            self.counters.dropped += 1;
            tell(ServerEvent::Dropped { peer, why }, stack);
        }
        stack.flows.close(flow, &mut stack.context);
        self.severed(flow, Cause::Reset, stack);
    }

    /// A connection to forward requests has not opened in time.
    pub fn unconnected(&mut self, flow: FlowId, stack: &mut Transactions) {
        stack.flows.close(flow, &mut stack.context);
        self.severed(flow, Cause::TimedOut, stack);
    }

    /// A flow is gone: requests that were forwarded on it don't arrive, or their responses don't.
    fn severed(&mut self, flow: FlowId, cause: Cause, stack: &mut Transactions) {
        self.proxy.lost(flow, cause, stack);
        self.tell_proxied(stack);
    }

    /// The other side closed, or the network gave up. One listener that cannot be had ends the service before it begins;
    /// one that breaks later is not missed: the others go on.
    pub fn lost(&mut self, id: FlowId, cause: Option<Cause>, stack: &mut Transactions) {
        let Some(flow) = stack.flows.get(id) else { return };
        let is_open = flow.local.is_some();
        match cause {
            Some(cause) if flow.is_listener() && !is_open => {
                stack.flows.forget(id, &mut stack.context);
                if let Some((_, listen)) = self.listeners.iter().find(|(listener, _)| *listener == id) {
                    let Listen { transport, address } = *listen;
                    tell(ServerEvent::CannotListen { transport, address, cause }, stack);
                }
                self.stop(stack);
            }
            Some(_) | None if flow.is_listener() => {}
            Some(Cause::Other(std::io::ErrorKind::WouldBlock)) if is_open => {
                self.drop_flow(id, Overload::Stalled, stack);
            }
            Some(Cause::WebSocket(fault)) if is_open => match fault {
                WebSocketFault::Slow => self.drop_flow(id, Overload::Slow, stack),
                WebSocketFault::Flood => self.drop_flow(id, Overload::Flood, stack),
                WebSocketFault::TooLong | WebSocketFault::Broken => {
                    if let Some(peer) = flow.remote() {
                        self.malformed(peer, fault.to_string(), None, stack);
                    }
                    self.drop_flow(id, Overload::Framing, stack);
                }
            },
            // What the core has not closed itself, the driver has.
            Some(_) | None => {
                stack.flows.forget(id, &mut stack.context);
                self.severed(id, cause.unwrap_or(Cause::Reset), stack);
            }
        }
    }

    /// Answers what has come, and takes nothing more.
    pub fn stop(&mut self, stack: &mut Transactions) {
        if self.stage == Stage::Serving {
            self.unclear.clear();
            self.proxy.stop(stack);
            self.tell_proxied(stack);
        }
        self.stage = Stage::Stopping;
        self.finish(stack);
    }

    /// Closes everything once nobody waits for an answer any more.
    fn finish(&mut self, stack: &mut Transactions) {
        if self.stage != Stage::Stopping || !self.location.is_empty() {
            return;
        }
        for flow in stack.flows.of_server() {
            stack.flows.close(flow, &mut stack.context);
        }
        stack.stop_serving();
        let rest = self.stretches.rest();
        rest.into_iter().for_each(|stretch| tell_stretch(stretch, stack));
        self.handshakes.rest().into_iter().for_each(|failed| tell_handshakes(failed, stack));
        stack.context.timers.cancel(RegistrarTimer::Handshakes);
        stack.context.timers.cancel(RegistrarTimer::Bindings);
        stack.context.timers.cancel(RegistrarTimer::Unanswered);
        stack.context.timers.cancel(RegistrarTimer::RateLimited);
        stack.context.timers.cancel(RegistrarTimer::Crowded);
        self.stage = Stage::Over;
    }

    /// Whether it is at work: else what comes is not heard.
    pub fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    /// Whether everything is answered and closed.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

/// One request after the other: read, recognised, dispatched by its method, answered.
impl Server {
    /// What cannot be parsed is answered if it can be told what to (RFC 3261 §18.3, §21.4.1).
    pub fn unreadable(
        &mut self,
        octets: &Bytes,
        error: &ParseError,
        flow: FlowId,
        peer: SocketAddr,
        stack: &mut Transactions,
    ) {
        if stack.flows.is_for_nodes(flow) {
            self.counters.strangers += 1;
            return;
        }
        let request = Request::salvage(octets);
        match request.and_then(|request| stack.incoming(request, flow, peer)) {
            Some(mut incoming) => self.refuse(&mut incoming, Reply::because(400, error.to_string()), stack),
            None => self.malformed(peer, error.to_string(), None, stack),
        }
    }

    /// The messages of a stream cannot be told apart any more.
    pub fn out_of_step(
        &mut self,
        error: FramingError,
        flow: FlowId,
        peer: SocketAddr,
        stack: &mut Transactions,
    ) {
        self.malformed(peer, error.to_string(), None, stack);
        self.drop_flow(flow, Overload::Framing, stack);
    }

    fn malformed(&mut self, peer: SocketAddr, what: String, status: Option<u16>, stack: &mut Transactions) {
        self.counters.malformed += 1;
        tell(ServerEvent::Malformed { peer, what, status }, stack);
    }

    /// A request came in.
    pub fn request(&mut self, request: Request, flow: FlowId, peer: SocketAddr, stack: &mut Transactions) {
        self.counters.requests += 1;
        if stack.flows.is_for_nodes(flow) {
            return self.hear_node(request, flow, peer, stack);
        }
        let Some(mut incoming) = stack.incoming(request, flow, peer) else {
            return self.malformed(peer, "Via: is missing or malformed".to_owned(), None, stack);
        };
        // Of a login it shows later whose it is; all else costs nothing more where it gets no answer. Nor does what is forwarded:
        // who is called answers that.
        let is_register = incoming.request.method == Method::Register;
        if is_register && !self.is_login(&incoming, stack) && !self.admit(&mut incoming, stack) {
            return;
        }
        if let Some(fault) = incoming.fault.clone() {
            return self.refuse(&mut incoming, fault.into(), stack);
        }
        let head = match Head::read(&incoming.request) {
            Ok(head) => head,
            Err(reply) => return self.refuse(&mut incoming, reply, stack),
        };
        match incoming.request.method {
            Method::Register => self.register(incoming, &head, stack),
            Method::Cancel => self.cancel(incoming, stack),
            Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Options
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Message
            | Method::Info
            | Method::Prack
            | Method::Refer
            | Method::Update
            | Method::Other(_) => {
                if !self.is_known(&incoming, stack) {
                    self.pass(incoming, head, Origin::Outside, stack);
                }
            }
        }
    }

    /// Whether a request has credentials that are looked at, or comes from somebody who has shown a certificate.
    fn is_login(&self, incoming: &Incoming, stack: &Transactions) -> bool {
        let request = &incoming.request;
        let has_proof = request.headers.get(&HeaderName::Authorization).is_some()
            || !stack.flows.proven(incoming.path.flow).is_empty();
        request.method == Method::Register && self.registrar.is_guarded() && has_proof
    }

    /// Whether the source of a request may have an answer. Then it counts among those that it may have, once.
    fn admit(&mut self, incoming: &mut Incoming, stack: &mut Transactions) -> bool {
        let (address, now) = (incoming.peer.ip(), stack.context.now);
        if !incoming.is_admitted {
            let keys = stack.keys();
            incoming.is_admitted = self.answers.admit(address, keys, now);
            if !incoming.is_admitted {
                self.left_out(address, Limit::Answer, stack);
            }
        }
        incoming.is_admitted
    }

    /// Something was left out, and is told when no more has been for a while.
    fn left_out(&mut self, source: IpAddr, what: Limit, stack: &mut Transactions) {
        self.counters.rate_limited += 1;
        self.stretches.note(source, what, stack.context.now);
        self.stretches_due(stack);
    }

    /// Tells of the sources that were limited, and are no more or have long been.
    pub fn stretches_due(&mut self, stack: &mut Transactions) {
        for stretch in self.stretches.over(stack.context.now) {
            tell_stretch(stretch, stack);
        }
        stack.context.wake(RegistrarTimer::RateLimited, self.stretches.next());
    }

    /// OPTIONS (RFC 3261 §11.2): what this server can do.
    fn capabilities(request: &Request) -> Reply {
        uas::refuse_extensions(request, &SUPPORTED).unwrap_or_else(|| {
            Reply::new(200)
                .with(HeaderName::Allow, ALLOW)
                .with(HeaderName::Accept, "")
                .with(HeaderName::Supported, SUPPORTED.join(", "))
        })
    }

    fn register(&mut self, mut incoming: Incoming, head: &Head, stack: &mut Transactions) {
        // Where passwords are wanted, nothing without credentials has ever begun a transaction.
        let keys = if self.is_login(&incoming, stack) || !self.registrar.is_guarded() {
            match self.recognise(&mut incoming, head, stack) {
                Some(keys) => Some(keys),
                None => return,
            }
        } else {
            None
        };
        let answers = self.answers_challenge(&incoming, head, stack);
        let ReturnPath { flow, transport, .. } = incoming.path;
        let source = Source { flow, peer: incoming.peer, transport, is_way: false, node: NodeId::LOCAL };
        let (random, now) = (&mut *stack.context.random, stack.context.now);
        let proven = stack.flows.proven(source.flow);
        match (self.registrar.on_register(&incoming.request, head, source, proven, random, now), keys) {
            (Ok(_), _) if self.location.len() >= self.limits.pending => {
                incoming.is_admitted = true;
                let reply = busy(self.line.turn(random, now));
                self.refuse(&mut incoming, reply, stack);
            }
            (Ok(operation), Some((key, merged))) => {
                let Some(aor) = aor_of(&operation) else { return };
                let Incoming { request, peer, path, .. } = incoming;
                stack.begin(Owner::Registrar, key, Some(merged), path);
                let pending = Pending { request, peer, aor, is_refused: false };
                self.location.ask(key, pending, operation, &mut stack.context);
            }
            (Ok(_), None) => {}
            (Err(Refusal { answer, auth, standing }), _) => {
                self.note_login(&mut incoming, head.to.uri.sip(), (auth, standing), stack);
                if answer.status == 401 && !answers {
                    self.challenged(&incoming, head, stack);
                }
                self.refuse(&mut incoming, answer, stack);
            }
        }
    }

    /// Notes what is known of the sender of a request that is refused, and tells of credentials that were not accepted, for
    /// that address.
    fn note_login(
        &mut self,
        incoming: &mut Incoming,
        address: Option<&Uri>,
        (auth, standing): (Option<(Arc<str>, AuthFailure)>, Standing),
        stack: &mut Transactions,
    ) {
        match standing {
            Standing::Unproven => {}
            Standing::Proven => incoming.is_admitted = true,
            Standing::Limited => self.left_out(incoming.peer.ip(), Limit::Login, stack),
        }
        if let (Some((username, why)), Some(address)) = (auth, address) {
            self.counters.auth_failed += 1;
            let (peer, aor) = (incoming.peer, Aor::of(address));
            tell(ServerEvent::AuthFailed { peer, aor, username, why }, stack);
        }
    }

    /// Whether a REGISTER answers a challenge, rightly or not. Credentials without a digest are none, as IMS devices begin
    /// with them (3GPP TS 24.229 §5.1.1.2).
    fn answers_challenge(&mut self, incoming: &Incoming, head: &Head, stack: &mut Transactions) -> bool {
        let headers = &incoming.request.headers;
        if !self.registrar.is_guarded() || headers.get(&HeaderName::Authorization).is_none() {
            return false;
        }
        let credentials = headers.credentials(&HeaderName::Authorization);
        let is_begin = |one: &Credentials| one.is_digest() && one.get("response").is_none_or(str::is_empty);
        if !credentials.is_empty() && credentials.iter().all(is_begin) {
            return false;
        }
        if let Some(to) = head.to.uri.sip() {
            self.unanswered.answer(device(&stack.keys(), &Aor::of(to), incoming.peer.ip()));
        }
        true
    }

    /// A REGISTER is challenged that answers none.
    fn challenged(&mut self, incoming: &Incoming, head: &Head, stack: &mut Transactions) {
        let keys = stack.keys();
        let (Some(to), Ok(request)) = (head.to.uri.sip(), keys.of(&incoming.request, &incoming.via)) else {
            return;
        };
        let (peer, aor) = (incoming.peer, Aor::of(to));
        let device = device(&keys, &aor, peer.ip());
        self.unanswered.challenge(device, Who { peer, aor }, request, stack.context.now);
        self.unanswered_due(stack);
    }

    /// Tells of the devices that let all their challenges pass.
    pub fn unanswered_due(&mut self, stack: &mut Transactions) {
        for Who { peer, aor } in self.unanswered.due(stack.context.now) {
            let offers = self.registrar.offers(aor.host());
            tell(ServerEvent::Unanswered { peer, aor, offers }, stack);
        }
        stack.context.wake(RegistrarTimer::Unanswered, self.unanswered.next());
    }

    /// The keys of a REGISTER that is new; `None`: it is a copy, or cannot be told from one, and has its answer.
    fn recognise(
        &mut self,
        incoming: &mut Incoming,
        head: &Head,
        stack: &mut Transactions,
    ) -> Option<(TransactionKey, u64)> {
        let (keys, headers) = (stack.keys(), &incoming.request.headers);
        let made = keys.of(&incoming.request, &incoming.via).and_then(|key| {
            let (call_id, method) = (headers.call_id()?, &incoming.request.method);
            Ok((key, keys.of_merged(head.from_tag.as_deref(), call_id, head.cseq.number, method)))
        });
        let refusal = match made {
            Err(error) => error.into(),
            Ok((key, merged)) => match stack.look_up(key, Some(merged)) {
                Lookup::New => return Some((key, merged)),
                Lookup::Merged => Reply::new(482),
                Lookup::Copy(answer) => {
                    self.counters.retransmissions += 1;
                    answer.iter().for_each(|bytes| self.count(uas::status(bytes)));
                    return None;
                }
            },
        };
        self.refuse(incoming, refusal, stack);
        None
    }

    /// Answers without a transaction, if the source may have an answer.
    fn refuse(&mut self, incoming: &mut Incoming, reply: Reply, stack: &mut Transactions) {
        // An ACK has no answer.
        let is_admitted = incoming.request.method != Method::Ack && self.admit(incoming, stack);
        if reply.status == 400 {
            let what = reply.detail.as_deref().unwrap_or_default().to_owned();
            self.malformed(incoming.peer, what, is_admitted.then_some(reply.status), stack);
        }
        if is_admitted {
            self.count(stack.refuse(incoming, reply));
        }
    }

    fn count(&mut self, status: u16) {
        let class = usize::from(status / 100);
        if let Some(count) = class.checked_sub(1).and_then(|class| self.counters.responses.get_mut(class)) {
            *count += 1;
        }
    }

    /// A transaction has kept its client waiting so long that it gets a 100.
    pub fn slow(&mut self, key: TransactionKey, stack: &mut Transactions) {
        if let Some(request) = self.location.request(key) {
            let status = stack.trying(key, request);
            self.count(status);
        }
    }
}

/// What the location service says.
impl Server {
    /// The location service answered.
    pub fn stored(&mut self, ask: AskId, answer: Result<Stored, StoreFailure>, stack: &mut Transactions) {
        if let Ok(stored) = &answer {
            stack.context.wake(RegistrarTimer::Bindings, stored.next_expiry);
        }
        if self.proxy.stored(ask, &answer, stack) {
            if let Ok(stored) = &answer {
                self.tell_effects(stored, None, stack);
            }
            return self.tell_proxied(stack);
        }
        if self.location.has_expired(ask) {
            match answer {
                Ok(stored) => self.tell_effects(&stored, None, stack),
                Err(_) => {
                    stack.context.wake(RegistrarTimer::Bindings, Some(stack.context.now + EXPIRE_AGAIN));
                }
            }
            return;
        }
        let Some((key, pending)) = self.location.answered(ask) else { return };
        if answer.as_ref().is_err_and(|failure| *failure == StoreFailure::TooMany) && !pending.is_refused {
            // Its answer says when there will be room.
            return self.location.ask_room(key, pending, &mut stack.context);
        }
        let Pending { mut request, peer, aor, is_refused } = pending;
        let reply = match &answer {
            Ok(stored) if is_refused => full(&stored.bindings, stack.context.now),
            Ok(stored) => granted(&request, stored, &mut self.dater, stack.context.now),
            Err(failure) => {
                failed(*failure, || self.line.turn(&mut *stack.context.random, stack.context.now))
            }
        };
        if let Ok(stored) = &answer {
            // Lists go on while a store takes no changes.
            if !stored.effects.is_empty() {
                self.line.served(stack.context.now);
            }
            self.keep_connection(key, stored, stack);
            self.tell_effects(stored, Some(peer), stack);
        }
        if reply.status == 200 {
            ask_to_keep(&mut request, self.limits.keepalive);
        }
        if let Some(status) = stack.answer(key, &request, reply) {
            self.count(status);
        }
        self.location.ask_next(&aor, &mut stack.context);
        self.finish(stack);
    }

    /// A connection lives as long as what was registered over it.
    fn keep_connection(&self, key: TransactionKey, stored: &Stored, stack: &mut Transactions) {
        let Some(path) = stack.path(key).filter(|path| path.transport.is_reliable()) else {
            return;
        };
        let is_mine = |source: &Source| source.flow == path.flow && source.node == NodeId::LOCAL;
        let mine = stored.bindings.iter().filter(|binding| is_mine(&binding.source));
        if let Some(last) = mine.map(|binding| binding.expires).max() {
            let until = (last + self.limits.idle).max(stack.context.now);
            stack.flows.keep(path.flow, until);
        }
    }

    fn tell_effects(&mut self, stored: &Stored, peer: Option<SocketAddr>, stack: &mut Transactions) {
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
            tell(ServerEvent::Changed { effect: effect.clone(), expires, peer }, stack);
        }
    }

    /// A binding has run out.
    pub fn bindings_due(&mut self, stack: &mut Transactions) {
        self.location.expire(&mut stack.context);
    }
}

/// Requests for others, on their way through the proxy.
impl Server {
    /// A request that is not for the registrar: the server answers it itself, or passes it on (RFC 3261 §16.3 to §16.5).
    fn pass(&mut self, mut incoming: Incoming, head: Head, origin: Origin, stack: &mut Transactions) {
        let request = &incoming.request;
        let Some(uri) = head.uri.sip() else { return };
        if self.unclear.len() < UNCLEAR
            && let Some(address) = unclear(request, uri, stack)
        {
            return self.unclear.push((address, Box::new(incoming), origin));
        }
        let mut routing = match self.routing(request, uri, stack) {
            Ok(routing) => routing,
            Err(reply) => return self.refuse(&mut incoming, reply, stack),
        };
        // Whoever has called once knows a right token: only within the dialog that was recorded it is a pass.
        routing.is_known &= head.to.tag().is_some();
        routing.by = routing.by.filter(|_| routing.is_known);
        if origin == Origin::Node
            && !(routing.is_known && routing.routes.first().is_none_or(|route| !self.is_node(route)))
        {
            return self.refuse_stranger(incoming, stack);
        }
        let is_ours = proxy::is_own(self.registrar.domains(), &stack.flows, &routing.uri, routing.is_known);
        let is_last = routing.routes.is_empty();
        let is_for_us = is_ours && is_last && routing.uri.user.is_none();
        if request.method == Method::Options && is_for_us {
            let reply = Self::capabilities(request);
            return self.refuse(&mut incoming, reply, stack);
        }
        if let Some(reply) = proxy::refuse(request, &head) {
            return self.refuse(&mut incoming, reply, stack);
        }
        // A Route that leads elsewhere would make us send to whom a stranger names.
        let stays = is_ours && is_last;
        let is_free = routing.is_known || stays && !self.auth_calls;
        // It can't be asked for a password, and what it is about is record-routed.
        if request.method == Method::Ack && !routing.is_known {
            return;
        }
        if !is_free && let Err(refusal) = self.authorise(&incoming, &routing.uri, stays, stack) {
            return self.refuse_caller(incoming, refusal, stack);
        }
        let aor = (is_ours && routing.by.is_none()).then(|| Aor::of(&routing.uri));
        let unbound = match is_for_us {
            true => uas::refuse_method(&request.method, ALLOW),
            false => Reply::new(self.registrar.unbound(&routing.uri)),
        };
        let realms = self.own_realms(&incoming.request);
        self.forward(Passing { incoming, origin, head, routing, aor, unbound, realms }, stack);
    }

    fn forward(&mut self, passing: Passing, stack: &mut Transactions) {
        if let Err(Refused { mut incoming, reply, crowd }) = self.proxy.forward(passing, stack) {
            if let Some(what) = crowd {
                self.note_crowd(what, stack);
            }
            self.refuse(&mut incoming, reply, stack);
        }
        self.tell_proxied(stack);
    }

    /// Where a request is to go, once the traces of its way to here are taken off.
    fn routing(&self, request: &Request, uri: &Uri, stack: &mut Transactions) -> Result<Routing, Reply> {
        let call_id = request.headers.call_id().unwrap_or_default();
        let token = proxy::token(call_id, stack);
        let (domains, keys) = (self.registrar.domains(), stack.keys());
        proxy::route(request, uri, &OwnAddresses { domains, flows: &stack.flows, token, call_id, keys })
    }

    /// Whether a request is a copy, which has its answer again, or the ACK of a refusal.
    fn is_known(&mut self, incoming: &Incoming, stack: &mut Transactions) -> bool {
        let keys = stack.keys();
        if incoming.request.method == Method::Ack {
            let Ok(key) = keys.of_invite(&incoming.request, &incoming.via) else { return true };
            return stack.acknowledge(key) == Acknowledged::Absorbed;
        }
        let Ok(key) = keys.of(&incoming.request, &incoming.via) else { return false };
        match stack.look_up(key, None) {
            // RFC 3261 §16.3 step 4: that it came another way, too, is no error for a proxy.
            Lookup::New | Lookup::Merged => false,
            Lookup::Copy(answer) => {
                self.counters.retransmissions += 1;
                answer.iter().for_each(|bytes| self.count(uas::status(bytes)));
                true
            }
        }
    }

    /// Who may reach others by this server: for a domain of ours everybody, unless callers have to prove who they are; for
    /// another domain only who proves to be the user that From names.
    fn authorise(
        &mut self,
        incoming: &Incoming,
        uri: &Uri,
        is_ours: bool,
        stack: &mut Transactions,
    ) -> Result<(), Refusal> {
        let from = incoming.request.headers.from().map_err(Reply::from)?;
        let caller = from.uri.sip().filter(|from| self.registrar.serves(&from.host));
        if !self.registrar.is_guarded() {
            let reply = Reply::because(403, "calls to other domains need a user, and there are none");
            return if is_ours { Ok(()) } else { Err(reply.into()) };
        }
        let realm = match caller {
            Some(caller) => &caller.host,
            None if is_ours => &uri.host,
            None => return Err(Reply::because(403, "From is of no domain that is served here").into()),
        };
        if caller.is_some_and(|caller| stack.flows.proven(incoming.path.flow).contains(&Aor::of(caller))) {
            return Ok(());
        }
        let realm = realm.to_string().to_ascii_lowercase();
        let (random, now) = (&mut *stack.context.random, stack.context.now);
        let source = incoming.peer.ip();
        let user =
            self.registrar.authenticate(&incoming.request, &realm, Asker::Proxy, source, random, now)?;
        let Some(caller) = caller else { return Ok(()) };
        let name = caller.user_decoded().unwrap_or_default();
        if user.is_none_or(|user| user.owns(&name, &realm)) {
            return Ok(());
        }
        Err(Refusal::from(Reply::because(403, "From is somebody else's address")).proven())
    }

    fn refuse_caller(&mut self, mut incoming: Incoming, refusal: Refusal, stack: &mut Transactions) {
        let Refusal { answer, auth, standing } = refusal;
        let from = incoming.request.headers.from().ok();
        let from = from.as_ref().and_then(|from| from.uri.sip());
        self.note_login(&mut incoming, from, (auth, standing), stack);
        self.refuse(&mut incoming, answer, stack);
    }

    /// The realms of ours that a request has credentials for.
    fn own_realms(&self, request: &Request) -> Vec<String> {
        if request.headers.get(&HeaderName::ProxyAuthorization).is_none() {
            return Vec::new();
        }
        let credentials = request.headers.credentials(&HeaderName::ProxyAuthorization);
        let realms = credentials.iter().filter_map(|one| one.get("realm"));
        let is_own = |realm: &&str| Host::parse(realm).is_ok_and(|host| self.registrar.serves(&host));
        realms.filter(is_own).map(str::to_owned).collect()
    }

    /// CANCEL (RFC 3261 §9.2, §16.10): the request itself is fine if there is something to cancel.
    fn cancel(&mut self, mut incoming: Incoming, stack: &mut Transactions) {
        let invite = stack.keys().of_invite(&incoming.request, &incoming.via).ok();
        let owner = invite.and_then(|key| stack.owner_of(key));
        let Some(Owner::Proxy(id)) = owner else {
            return self.refuse(&mut incoming, Reply::new(481), stack);
        };
        let reason =
            incoming.request.headers.get(&HeaderName::Reason).map(|row| Bytes::copy_from_slice(row.value()));
        self.refuse(&mut incoming, Reply::new(200), stack);
        self.proxy.cancel(id, reason, stack);
        self.tell_proxied(stack);
    }

    /// Something came of a request that was forwarded.
    pub fn heard(&mut self, id: ContextId, branch: u16, heard: Heard, stack: &mut Transactions) {
        self.proxy.hear(id, branch, heard, stack);
        self.tell_proxied(stack);
    }

    /// Timer C of a branch has fired.
    pub fn branch_due(&mut self, id: ContextId, branch: u16, stack: &mut Transactions) {
        self.proxy.timer_c(id, branch, stack);
        self.tell_proxied(stack);
    }

    /// The name service has answered.
    pub fn resolved(
        &mut self,
        branch: (ContextId, u16),
        question: &Question,
        answer: DnsAnswer,
        ttl: u32,
        stack: &mut Transactions,
    ) {
        self.proxy.resolved(branch, question, answer, ttl, stack);
        self.tell_proxied(stack);
    }

    /// A branch has waited for the name service long enough.
    pub fn lookup_due(&mut self, id: ContextId, branch: u16, stack: &mut Transactions) {
        self.proxy.lookup_due(id, branch, stack);
        self.tell_proxied(stack);
    }

    /// The system has said which address of ours leads there.
    pub fn source_found(&mut self, peer: IpAddr, local: Option<IpAddr>, stack: &mut Transactions) {
        stack.flows.source_found(peer, local, &stack.context);
        let clear = self.unclear.extract_if(.., |(address, ..)| *address == peer);
        for (_, incoming, origin) in clear.collect::<Vec<_>>() {
            match Head::read(&incoming.request) {
                Ok(head) => self.pass(*incoming, head, origin, stack),
                Err(reply) => self.refuse(&mut { *incoming }, reply, stack),
            }
        }
        self.proxy.source_found(peer, stack);
        self.tell_proxied(stack);
    }

    /// A transaction of the proxy has kept its client waiting so long that it gets a 100.
    pub fn slow_forward(&mut self, id: ContextId, key: TransactionKey, stack: &mut Transactions) {
        if let Some(request) = self.proxy.request(id) {
            let status = stack.trying(key, request);
            self.count(status);
        }
    }

    /// Passes on what the proxy has to tell.
    fn tell_proxied(&mut self, stack: &mut Transactions) {
        for told in self.proxy.told() {
            match told {
                Told::Refused(mut incoming, reply) => self.refuse(&mut incoming, reply, stack),
                Told::Routed { aor, method, from, targets, status } => {
                    tell(ServerEvent::Routed { aor, method, from, targets, status }, stack);
                }
                Told::Answered(status) => self.count(status),
            }
        }
        while let Some(first) = stack.flows.overcrowded() {
            self.drop_flow(first, Overload::Connections, stack);
        }
        let counts = self.proxy.counts;
        self.counters.calls = u64::try_from(counts.calls).unwrap_or(u64::MAX);
        self.counters.calls_ended = counts.ended;
        let (requests, octets) = self.proxy.load();
        self.counters.forwarding = u64::try_from(requests).unwrap_or(u64::MAX);
        self.counters.forwarding_octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.counters.branches = counts.branches;
        self.counters.handed_over = counts.handed;
        self.counters.cancelled = counts.cancelled;
    }

    /// A request could not be taken: the first is told at once, the others after a while.
    fn note_crowd(&mut self, what: Crowd, stack: &mut Transactions) {
        self.counters.overload += 1;
        match self.crowds.iter_mut().find(|(known, _)| *known == what) {
            Some((_, refused)) => *refused += 1,
            None => {
                self.crowds.push((what, 0));
                tell(ServerEvent::Overload { what, refused: 1 }, stack);
                stack.context.wake(RegistrarTimer::Crowded, Some(stack.context.now + CROWDED));
            }
        }
    }

    /// Tells how many requests could not be taken meanwhile. A second without any ends the stretch.
    pub fn crowd_due(&mut self, stack: &mut Transactions) {
        self.crowds.retain(|(_, refused)| *refused > 0);
        for (what, refused) in &mut self.crowds {
            tell(ServerEvent::Overload { what: *what, refused: std::mem::take(refused) }, stack);
        }
        let next = (!self.crowds.is_empty()).then(|| stack.context.now + CROWDED);
        stack.context.wake(RegistrarTimer::Crowded, next);
    }
}

/// Requests of other nodes.
impl Server {
    /// Another node is there, or is no more.
    pub fn node(&mut self, id: NodeId, peer: Option<Box<Peer>>, stack: &mut Transactions) {
        if self.stage <= Stage::Serving {
            self.proxy.node(id, peer.map(|peer| *peer), stack);
            self.counters.nodes = u64::try_from(self.proxy.nodes()).unwrap_or(u64::MAX);
            self.tell_proxied(stack);
        }
    }

    /// Whether somebody at that address may be a node.
    fn may_be_node(&self, address: IpAddr) -> bool {
        self.nodes.peers.is_empty() || self.nodes.peers.contains(&address.to_canonical())
    }

    /// A request at the listener for other nodes. Only what a node has sent is heard: it goes by the connection that it names,
    /// which is ours, or is within a dialog that was recorded here.
    fn hear_node(&mut self, request: Request, flow: FlowId, peer: SocketAddr, stack: &mut Transactions) {
        if !self.may_be_node(peer.ip()) {
            self.counters.strangers += 1;
            return;
        }
        let Some(mut incoming) = stack.incoming(request, flow, peer).filter(|it| it.fault.is_none()) else {
            self.counters.strangers += 1;
            return;
        };
        // These are known by the transaction that they belong to, whose request was proven.
        if incoming.request.method == Method::Cancel {
            let invite = stack.keys().of_invite(&incoming.request, &incoming.via).ok();
            return match invite.and_then(|key| stack.owner_of(key)) {
                Some(_) => self.cancel(incoming, stack),
                None => self.refuse_stranger(incoming, stack),
            };
        }
        if self.is_known(&incoming, stack) {
            return;
        }
        let head = match Head::read(&incoming.request) {
            Ok(head) if incoming.request.method != Method::Register => head,
            Ok(_) | Err(_) => return self.refuse_stranger(incoming, stack),
        };
        let routes = incoming.request.headers.listed(&HeaderName::Route);
        let route = match routes.into_iter().next() {
            Some(Ok(reading)) => reading.address.uri.sip().cloned(),
            Some(Err(_)) | None => None,
        };
        let (secret, now) = (self.nodes.secret.as_ref(), stack.context.now);
        let proof = Proof::of(&incoming.request, &incoming.via, &self.key, secret);
        let route = route.filter(|route| proof.is_ok_and(|proof| proof.is_in(route, now)));
        let Some(route) = route else { return self.refuse_stranger(incoming, stack) };
        self.counters.from_nodes += 1;
        incoming.is_admitted = true;
        match &route.user {
            None => self.pass(incoming, head, Origin::Node, stack),
            Some(place) => match Place::parse(place) {
                Some(place) => self.handed(incoming, head, place, stack),
                None => self.refuse_stranger(incoming, stack),
            },
        }
    }

    /// A request that another node has handed over: for whoever is at that place, and nobody else (RFC 5626 §5.3.1).
    fn handed(&mut self, mut incoming: Incoming, head: Head, place: Place, stack: &mut Transactions) {
        let Some(uri) = head.uri.sip() else { return };
        let mut routing = match self.routing(&incoming.request, uri, stack) {
            Ok(routing) if routing.routes.is_empty() => routing,
            Ok(_) | Err(_) => return self.refuse_stranger(incoming, stack),
        };
        let is_there = match place.peer {
            Some(_) => true,
            None => stack.flows.came_in(place.flow) && !stack.flows.is_for_nodes(place.flow),
        };
        let reply = match proxy::refuse(&incoming.request, &head) {
            Some(reply) => Some(reply),
            None if !is_there => {
                self.counters.flows_failed += 1;
                Some(Reply::new(430))
            }
            None => None,
        };
        if let Some(reply) = reply {
            return self.refuse(&mut incoming, reply, stack);
        }
        routing.by = Some(proxy::way_to(place, &stack.flows));
        let (aor, unbound, realms) = (None, Reply::new(430), Vec::new());
        self.forward(
            Passing { incoming, origin: Origin::Handed, head, routing, aor, unbound, realms },
            stack,
        );
    }

    fn is_node(&self, route: &NameAddr) -> bool {
        route.uri.sip().is_some_and(|uri| self.proxy.is_node(uri))
    }

    /// No node has sent it, or it asks for what no node may.
    fn refuse_stranger(&mut self, mut incoming: Incoming, stack: &mut Transactions) {
        self.counters.strangers += 1;
        self.refuse(&mut incoming, Reply::new(403), stack);
    }
}

/// An address that a request names, of which nobody knows yet whether it is ours: in its Request-URI, or in its first Route.
fn unclear(request: &Request, uri: &Uri, stack: &mut Transactions) -> Option<IpAddr> {
    if !stack.flows.has_wildcards() {
        return None;
    }
    let mut ask = |uri: &Uri| stack.flows.is_unclear(&uri.host, uri.port, &mut stack.context);
    ask(uri).or_else(|| {
        let route = request.headers.listed(&HeaderName::Route).into_iter().next()?.ok()?;
        ask(route.address.uri.sip()?)
    })
}

/// Where who sent a REGISTER offers to send keep-alives, its Via, which the answer has, says how often (RFC 6223 §4.4). Who
/// has it only passed on offers nothing: keep-alives go one hop.
fn ask_to_keep(request: &mut Request, interval: Duration) {
    let Ok(mut via) = request.headers.top_via() else { return };
    if via.params.get("keep") == Some(None) && request.headers.via_count() == 1 {
        via.params.set("keep", Some(&interval.as_secs().to_string()));
        // What was a Via can't break out of its line.
        let _ = request.headers.set_first_value(&HeaderName::Via, &via.to_string());
    }
}

/// The addresses that stand for this server.
struct OwnAddresses<'a> {
    domains: &'a Domains,
    flows: &'a Flows,
    token: u64,
    call_id: &'a str,
    keys: Keys,
}

impl Own for OwnAddresses<'_> {
    fn is_own(&self, uri: &Uri) -> bool {
        proxy::is_own(self.domains, self.flows, uri, true)
    }

    fn is_token(&self, token: &str) -> bool {
        token == format!("{:016x}", self.token)
    }

    fn flow(&self, token: &str) -> Option<Source> {
        proxy::way_named(token, self.call_id, &self.keys, self.flows)
    }
}

fn tell(what: ServerEvent, stack: &mut Transactions) {
    stack.context.notify(Notice::Server(what));
}

fn tell_stretch(stretch: Stretch, stack: &mut Transactions) {
    let Stretch { source, answers, logins, .. } = stretch;
    tell(ServerEvent::RateLimited { source, unanswered: answers, logins }, stack);
}

fn tell_handshakes(failed: Failed, stack: &mut Transactions) {
    let Failed { transport, source, cause, count } = failed;
    tell(ServerEvent::HandshakeFailed { transport, source, cause, count }, stack);
}

fn expires_of(stored: &Stored, effect: &Effect) -> Option<Time> {
    match effect.fate {
        Fate::Removed | Fate::Expired => None,
        Fate::Bound | Fate::Refreshed => {
            let mut bindings = stored.bindings.iter();
            bindings.find(|binding| binding.contact() == &*effect.contact).map(|binding| binding.expires)
        }
    }
}

fn aor_of(operation: &Operation) -> Option<Aor> {
    match operation {
        Operation::Change(change) => Some(change.aor.clone()),
        Operation::Fetch(aor) => Some(aor.clone()),
        Operation::Expire => None,
    }
}
