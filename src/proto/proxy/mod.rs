//! The proxy (RFC 3261 §16): how a request finds the devices that are bound to its address, and how their responses find
//! the way back.
//!
//! Life of a request: the server has read it and knows that it may pass → `Proxy::forward` → the location service is asked
//! (§16.5) → `context` says which branches begin → each is given its next hop ([`forward`]), its address (RFC 3263), a flow and a
//! client transaction → what comes of them goes back there → a 1xx and every 2xx go up at once, else the best of the
//! final responses ([`best`]) does.
//!
//! Whatever can be refused without asking a device is refused without state by the server. The proxy is stateful for all else,
//! but for the ACK of a 2xx, which has no transaction (§17.1.1.3) and only waits for its way.
//!
//! Whoever has come by TLS or WebSocket is found by that connection as long as a dialog lasts, and who is behind a NAT by the
//! connection or the address from which they came: our Record-Route names it, so that nobody else can (RFC 5626 §5.3).
//!
//! A device whose connection another node has is reached by that (`nodes`): a branch goes there like any other, with a Route
//! that names the connection. What another node hands over so goes by that connection, or is answered with 430 (RFC 5626
//! §5.3.1); it goes nowhere else, and to no third node.
//!
//! The file is long because all that a branch can meet ends at the same context.

pub mod best;
mod context;
pub mod forward;
mod nodes;
mod targets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::binding::{Aor, Operation, Source, StoreFailure, Stored};
use super::flow::{Flows, Reach, ReturnPath, SentBy};
use super::ids;
use super::locate::{Families, Locate, Next, Pinned};
use super::names::Asker;
use super::nat::{self, Sender};
use super::node::{self, Key, Peer, Place, Proof};
use super::timers::ProxyTimer;
use super::transaction::{Heard, Keys, Outgoing, Owner, TransactionKey, Transactions};
use super::uas::{self, Domains, Head, Incoming, Reply};
use super::{
    Action, AskId, Cause, ContextId, Destination, Direction, DnsAnswer, FlowId, NodeId, Profile, Question,
    Time, Timing, Transport,
};
use crate::sip::{AnyUri, HeaderName, Headers, Host, Method, NameAddr, Request, Response, Scheme, Uri};
use best::{Best, Final};
use context::{Effect, Input, ResponseContext, State};
use forward::{Forwarded, Heading};
use nodes::{Handover, Nodes};
use targets::{Target, Targets};

pub(super) use forward::{Own, Routing, refuse, route};

/// How a request reaches several contacts of the same preference (RFC 3261 §16.6); those of a lower one come after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fork {
    /// All at once.
    #[default]
    Parallel,
    /// One after another, the one that was refreshed last in front.
    Sequential,
}

/// What there can be too much of, while requests are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowd {
    /// More calls in progress than there may be.
    #[error("too many calls in progress")]
    Calls,
    /// More memory taken by requests in progress than there may be.
    #[error("too much memory taken by requests in progress")]
    Memory,
}

/// Timer C (§16.6 step 11): longer than three minutes.
const TIMER_C: Duration = Duration::from_secs(181);

/// How long a caller is asked to wait when too much is in progress, in seconds.
const RETRY_AFTER: &str = "5";

/// Addresses of one target that are tried.
const MOST_ADDRESSES: usize = 16;

/// The Reason of a CANCEL that goes to the others when one has answered (RFC 3326 §3.1): they have missed no call.
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

/// What a context costs besides its messages, and each of its branches, in octets, about.
const CONTEXT: usize = 3000;
const BRANCH: usize = 1500;

/// How much is borne.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub fork: Fork,
    /// Calls in progress.
    pub calls: usize,
    /// Octets of requests in progress, with what keeping them costs.
    pub octets: usize,
    pub timing: Timing,
}

/// What the server is told.
pub(super) enum Told {
    /// A request is refused after all, without state.
    Refused(Box<Incoming>, Reply),
    /// A request that is not within a dialog was forwarded, or its final status is decided.
    Routed { aor: Aor, method: Method, from: Arc<str>, targets: Vec<Arc<str>>, status: Option<u16> },
    /// A response was sent.
    Answered(u16),
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Calls in progress now.
    pub calls: usize,
    /// Calls whose final status is decided, by its class.
    pub ended: [u64; 6],
    pub branches: u64,
    pub cancelled: u64,
    /// Branches that went to other nodes.
    pub handed: u64,
}

/// Who has sent a request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Anybody.
    Outside,
    /// Another node: it is within a dialog.
    Node,
    /// Another node, for a connection that this one has: [`Routing::by`].
    Handed,
}

/// A request that may be forwarded.
pub(super) struct Passing {
    pub incoming: Incoming,
    pub origin: Origin,
    pub head: Head,
    pub routing: Routing,
    /// The address-of-record that is looked up; `None`: it goes where its Request-URI says.
    pub aor: Option<Aor>,
    /// The answer if nobody is bound there.
    pub unbound: Reply,
    /// The realms of ours that it has credentials for: they are ours to take off.
    pub realms: Vec<String>,
}

/// All requests that are being forwarded.
pub(super) struct Proxy {
    bounds: Bounds,
    contexts: BTreeMap<ContextId, Box<Context>>,
    domains: Domains,
    nodes: Nodes,
    pinned: Vec<Pinned>,
    /// Questions to the location service: for a request, or for a branch whose target is an address of ours.
    asks: BTreeMap<AskId, (ContextId, Option<u16>)>,
    /// Branches that wait for a connection.
    opening: BTreeSet<(FlowId, ContextId, u16)>,
    /// Branches that wait to know which address of ours they leave from.
    sourcing: BTreeSet<(IpAddr, ContextId, u16)>,
    octets: usize,
    told: Vec<Told>,
    pub counts: Counts,
}

/// One request with all that comes of it.
struct Context {
    machine: ResponseContext,
    /// Its server transaction; `None`: it is an ACK.
    key: Option<TransactionKey>,
    path: ReturnPath,
    is_invite: bool,
    branches: Vec<Branch>,
    /// Why branches are cancelled (RFC 3326).
    reason: Option<Bytes>,
    /// What is needed until the final response has gone up.
    work: Option<Box<Work>>,
    octets: usize,
}

/// What is known of a request while branches may still begin.
struct Work {
    incoming: Incoming,
    origin: Origin,
    routing: Routing,
    spiral: u64,
    aor: Aor,
    /// Every address that was looked up for it.
    aors: Vec<Aor>,
    from: Arc<str>,
    call_id: Arc<str>,
    cseq: u32,
    is_secure: bool,
    /// It is not within a dialog, so that its way is told.
    is_initial: bool,
    unbound: Reply,
    realms: Vec<String>,
    best: Best,
    /// The caller has hung up.
    is_cancelled: bool,
    /// What responses and targets take in memory, in octets.
    octets: usize,
}

/// The request as it is forwarded to one target.
#[derive(Default)]
struct Branch {
    /// Until the final response of the request has gone up.
    heading: Option<Box<Heading>>,
    /// The flow that the target was registered over.
    by: Option<FlowId>,
    /// Where it was registered from, if it is not what the target says.
    hidden_at: Option<Source>,
    /// The connection that it was registered over is closed.
    is_severed: bool,
    /// The status where it goes by that connection alone, and can't.
    unless: Option<u16>,
    /// The other node that it goes to.
    over: Option<Box<Handover>>,
    is_own: bool,
    /// What finds further addresses of the target.
    locate: Option<Box<Locate>>,
    /// Addresses of the target that are known and left, the one in use in front.
    addresses: VecDeque<Destination>,
    tried: usize,
    /// The flow that it was sent on last.
    flow: Option<FlowId>,
    transaction: Option<ids::Branch>,
}

/// How far a branch has come.
enum Step {
    /// It waits for the name service, a connection, or an address of ours.
    Waits,
    Sent,
    Failed(Reply),
}

impl Context {
    fn branch(&mut self, n: u16) -> Option<&mut Branch> {
        self.branches.get_mut(usize::from(n))
    }
}

/// A request that cannot be forwarded.
pub(super) struct Refused {
    pub incoming: Box<Incoming>,
    pub reply: Reply,
    /// What there is too much of, if that is why.
    pub crowd: Option<Crowd>,
}

/// From a request to its targets.
impl Proxy {
    pub fn new(bounds: Bounds, pinned: Vec<Pinned>) -> Proxy {
        Proxy {
            bounds,
            contexts: BTreeMap::new(),
            domains: Domains::default(),
            nodes: Nodes::default(),
            pinned,
            asks: BTreeMap::new(),
            opening: BTreeSet::new(),
            sourcing: BTreeSet::new(),
            octets: 0,
            told: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The domains whose addresses are looked up.
    pub fn serve(&mut self, domains: Domains) {
        self.domains = domains;
    }

    /// What nodes know besides the location service.
    pub fn share(&mut self, secret: Option<Key>) {
        self.nodes.secret = secret;
    }

    /// Whether a URI leads to another node.
    pub fn is_node(&self, uri: &Uri) -> bool {
        self.nodes.at(uri).is_some()
    }

    /// How many other nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Another node is there, or is no more: then what waits for it has failed.
    pub fn node(&mut self, node: NodeId, peer: Option<Peer>, stack: &mut Transactions) {
        let is_there = peer.is_some();
        self.nodes.set(node, peer);
        if is_there {
            return;
        }
        let mut waiting = Vec::new();
        for (id, context) in &self.contexts {
            for (n, branch) in (0..).zip(&context.branches) {
                if branch.over.as_ref().is_some_and(|over| over.node == node) {
                    waiting.push((*id, n, branch.transaction));
                }
            }
        }
        for (id, n, transaction) in waiting {
            match transaction {
                Some(transaction) => {
                    if let Some((_, heard)) = stack.fail(transaction, Cause::TimedOut) {
                        self.hear(id, n, heard, stack);
                    }
                }
                None if self.opening_branch(id, n).is_some() => {
                    self.opening.retain(|(_, of, branch)| (*of, *branch) != (id, n));
                    let effects = self.fail(id, n, Final::Made(Reply::new(503)), stack);
                    self.run(id, effects, None, stack);
                }
                None => {}
            }
        }
    }

    /// What there is to tell since the last time.
    pub fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// How many requests are being forwarded, and what they take in memory, in octets, about.
    pub fn load(&self) -> (usize, usize) {
        (self.contexts.len(), self.octets)
    }

    /// Forwards a request that is no copy and may pass.
    ///
    /// # Errors
    /// It loops (RFC 5393 §4.2), may not take a single branch (§5.3.3), or there is too much in progress.
    pub fn forward(&mut self, passing: Passing, stack: &mut Transactions) -> Result<(), Refused> {
        let spiral = forward::spiral(&passing.incoming.request, &passing.routing, &stack.keys());
        let (key, call_id) = match self.admit(&passing, spiral, stack) {
            Ok(admitted) => admitted,
            Err((reply, crowd)) => {
                return Err(Refused { incoming: Box::new(passing.incoming), reply, crowd });
            }
        };
        let Passing { incoming, origin, head, routing, aor, unbound, realms } = passing;
        let source = routing.by;
        let request = &incoming.request;
        let is_invite = request.method == Method::Invite;
        let (path, now) = (incoming.path, stack.context.now);
        let id = ContextId(stack.context.new_id());
        let key = (request.method != Method::Ack).then_some(key);
        match key {
            Some(key) if is_invite => stack.begin_invite(Owner::Proxy(id), key, path),
            Some(key) => stack.begin(Owner::Proxy(id), key, None, path),
            None => {}
        }
        if is_invite {
            self.counts.calls += 1;
            stack.flows.keep(path.flow, now + TIMER_C + self.bounds.timing.patience());
        }
        let octets = CONTEXT + held(request, &routing);
        self.octets += octets;
        let machine = ResponseContext::new(is_invite, forward::breadth(request));
        let uri = routing.uri.clone();
        let work = Work {
            from: request.headers.from().map(|from| shown(&from.uri)).unwrap_or_default().into(),
            aors: aor.clone().into_iter().collect(),
            aor: aor.clone().unwrap_or_else(|| Aor::of(&uri)),
            is_secure: uri.scheme == Scheme::Sips,
            is_initial: head.to.tag().is_none() && origin != Origin::Handed,
            cseq: head.cseq.number,
            best: Best::default(),
            is_cancelled: false,
            octets: 0,
            call_id,
            spiral,
            unbound,
            realms,
            routing,
            origin,
            incoming,
        };
        let work = Some(Box::new(work));
        let (branches, reason) = (Vec::new(), None);
        let context = Context { machine, key, path, is_invite, branches, reason, work, octets };
        self.contexts.insert(id, Box::new(context));
        match aor {
            Some(aor) => self.ask(id, None, aor, stack),
            None => self.located(id, Targets::only(uri, source), stack),
        }
        Ok(())
    }

    /// What a request is known by, if it can be taken; else its answer, and what there is too much of if that is why.
    fn admit(
        &self,
        passing: &Passing,
        spiral: u64,
        stack: &mut Transactions,
    ) -> Result<(TransactionKey, Arc<str>), (Reply, Option<Crowd>)> {
        let Incoming { request, via, .. } = &passing.incoming;
        let is_own = |host: &Host, port: Option<u16>| stack.flows.is_own(host, port, None);
        if forward::is_loop(request, spiral, &is_own) {
            return Err((Reply::new(482), None));
        }
        if forward::breadth(request) == 0 {
            return Err((Reply::new(440), None));
        }
        let needed = CONTEXT + BRANCH + 3 * octets(request) + routes(&passing.routing);
        if let Some(crowd) = self.crowd(request.method == Method::Invite, needed) {
            let reply = Reply::new(503).with(HeaderName::RetryAfter, RETRY_AFTER);
            return Err((reply, Some(crowd)));
        }
        let read = stack.keys().of(request, via).and_then(|key| Ok((key, request.headers.call_id()?.into())));
        read.map_err(|error| (error.into(), None))
    }

    fn crowd(&self, is_invite: bool, needed: usize) -> Option<Crowd> {
        if is_invite && self.counts.calls >= self.bounds.calls {
            Some(Crowd::Calls)
        } else if self.octets + needed > self.bounds.octets {
            Some(Crowd::Memory)
        } else {
            None
        }
    }

    fn ask(&mut self, id: ContextId, branch: Option<u16>, aor: Aor, stack: &mut Transactions) {
        let ask = AskId(stack.context.new_id());
        self.asks.insert(ask, (id, branch));
        stack.context.push(Action::Store { ask, operation: Operation::Fetch(aor) });
    }

    /// The location service has answered. Whether it was asked for this.
    pub fn stored(
        &mut self,
        ask: AskId,
        answer: &Result<Stored, StoreFailure>,
        stack: &mut Transactions,
    ) -> bool {
        let Some((id, branch)) = self.asks.remove(&ask) else { return false };
        if let Some(n) = branch {
            self.relocated(id, n, answer, stack);
            return true;
        }
        let Some(work) = self.contexts.get(&id).and_then(|context| context.work.as_deref()) else {
            return true;
        };
        let Ok(Stored { bindings, .. }) = answer else {
            let reply = Reply::new(503).with(HeaderName::RetryAfter, RETRY_AFTER);
            self.refuse(id, reply, stack);
            return true;
        };
        let targets = Targets::bound(bindings, work.is_secure, self.bounds.fork, stack.context.now);
        if !targets.known().is_empty() {
            self.located(id, targets, stack);
            return true;
        }
        let reply = if work.is_secure && !bindings.is_empty() {
            // RFC 5630 §5.3: somebody is there, who can't be reached by TLS.
            let warning = format!("380 {} \"SIPS Not Allowed\"", work.aor.host());
            Reply::new(480).with(HeaderName::Warning, warning)
        } else if bindings.is_empty() {
            work.unbound.clone()
        } else {
            Reply::new(480)
        };
        self.refuse(id, reply, stack);
        true
    }

    /// The target of a branch is an address of ours: what is bound there takes its place.
    fn relocated(
        &mut self,
        id: ContextId,
        n: u16,
        answer: &Result<Stored, StoreFailure>,
        stack: &mut Transactions,
    ) {
        if self.opening_branch(id, n).is_none() {
            return;
        }
        let (fork, now) = (self.bounds.fork, stack.context.now);
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let is_secure = context.work.as_ref().is_some_and(|work| work.is_secure);
        let bindings = answer.as_ref().map(|stored| &*stored.bindings).unwrap_or_default();
        if context.machine.targets().replace(bindings, is_secure, fork, now) == 0 {
            self.add(id, Final::Made(Reply::new(if answer.is_ok() { 480 } else { 503 })));
        }
        let effects = self.on(id, Input::Refused(n));
        self.run(id, effects, None, stack);
    }

    /// Refuses a request of which nothing was forwarded: without state, so that a flood of them leaves none.
    fn refuse(&mut self, id: ContextId, reply: Reply, stack: &mut Transactions) {
        if let Some(key) = self.contexts.get(&id).and_then(|context| context.key) {
            stack.drop_server(key);
        }
        let refused = self.settle(id, Some(reply.status));
        self.end(id, stack);
        if let Some(work) = refused {
            self.told.push(Told::Refused(Box::new(work.incoming), reply));
        }
    }

    /// The targets are known: the request is under way.
    fn located(&mut self, id: ContextId, targets: Targets, stack: &mut Transactions) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        if let (Some(key), Some(work), true) = (context.key, &context.work, context.is_invite) {
            // RFC 3261 §17.2.1: its sender need not repeat it any more.
            let trying = uas::respond(&work.incoming.request, Reply::new(100), "");
            let bytes = stack.context.write(&trying);
            stack.provisional(key, bytes);
            self.told.push(Told::Answered(100));
        }
        if let Some(work) = context.work.as_ref().filter(|work| work.is_initial && context.key.is_some()) {
            self.told.push(Told::Routed {
                aor: work.aor.clone(),
                method: work.incoming.request.method.clone(),
                from: Arc::clone(&work.from),
                targets: texts(targets.known()),
                status: None,
            });
        }
        let effects = context.machine.located(targets);
        self.run(id, effects, None, stack);
    }
}

/// What the context of a request says is done.
impl Proxy {
    /// Does it in its order. `response` is what goes up, if anything does.
    fn run(
        &mut self,
        id: ContextId,
        effects: Vec<Effect>,
        mut response: Option<Response>,
        stack: &mut Transactions,
    ) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Fork(_) => queue.extend(self.begin(id, stack)),
                Effect::Cancel(n) => {
                    if let Some(transaction) = self.branch(id, n).and_then(|branch| branch.transaction) {
                        self.counts.cancelled += 1;
                        let reason = self.contexts.get(&id).and_then(|context| context.reason.as_ref());
                        stack.cancel_invite(transaction, reason);
                    }
                }
                Effect::Abandon(n) => {
                    stack.context.timers.cancel(ProxyTimer::C(id, n));
                    if let Some(transaction) = self.branch(id, n).and_then(|branch| branch.transaction.take())
                    {
                        stack.cancel(transaction);
                    }
                }
                Effect::Relay => {
                    if let Some(response) = response.take() {
                        self.relay(id, response, stack);
                    }
                }
                Effect::Silence => self.add(id, Final::Made(Reply::new(408))),
                Effect::Choose => self.choose(id, stack),
                Effect::TimerC(n) => {
                    stack.context.timers.set(ProxyTimer::C(id, n), stack.context.now + TIMER_C);
                    self.keep_flows(id, n, stack);
                }
                Effect::Patience(n) => {
                    let patience = self.bounds.timing.patience();
                    stack.context.timers.set(ProxyTimer::C(id, n), stack.context.now + patience);
                }
                Effect::Stop(n) => stack.context.timers.cancel(ProxyTimer::C(id, n)),
                Effect::End => self.end(id, stack),
            }
        }
    }

    /// The connections of a call that rings live as long as that, however silent they are.
    fn keep_flows(&self, id: ContextId, n: u16, stack: &mut Transactions) {
        let Some(context) = self.contexts.get(&id) else { return };
        // Flows are kept by the second.
        let until = stack.context.now + TIMER_C + self.bounds.timing.patience() + Duration::from_secs(1);
        let of_branch = context.branches.get(usize::from(n)).and_then(|branch| branch.flow);
        for flow in of_branch.into_iter().chain([context.path.flow]) {
            stack.flows.keep(flow, until);
        }
    }

    fn branch(&mut self, id: ContextId, n: u16) -> Option<&mut Branch> {
        self.contexts.get_mut(&id)?.branch(n)
    }

    fn on(&mut self, id: ContextId, input: Input) -> Vec<Effect> {
        self.contexts.get_mut(&id).map(|context| context.machine.on(input)).unwrap_or_default()
    }

    fn add(&mut self, id: ContextId, one: Final) {
        let taken = match &one {
            Final::Received(response) => response.body.len() + rows(&response.headers),
            Final::Made(_) => 0,
        };
        // Where there is no room for a response, its status has to do.
        let one = match one {
            Final::Received(response) if self.octets + taken > self.bounds.octets => {
                Final::Made(Reply::new(response.status))
            }
            Final::Received(_) | Final::Made(_) => one,
        };
        let Some(work) = self.contexts.get_mut(&id).and_then(|context| context.work.as_mut()) else { return };
        if !work.is_cancelled {
            work.best.add(one);
            self.take(id, taken);
        }
    }

    /// Counts memory that is taken until the final response has gone up.
    fn take(&mut self, id: ContextId, octets: usize) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let Some(work) = context.work.as_mut() else { return };
        work.octets += octets;
        context.octets += octets;
        self.octets += octets;
    }

    /// A 1xx or 2xx goes up as it came (§16.7 steps 3, 5 and 9).
    fn relay(&mut self, id: ContextId, mut response: Response, stack: &mut Transactions) {
        let Some(context) = self.contexts.get(&id) else { return };
        let (Some(key), path, is_invite) = (context.key, context.path, context.is_invite) else { return };
        if !forward::strip(&mut response) {
            return;
        }
        let status = response.status;
        let bytes = stack.context.write(&response);
        if status < 200 {
            stack.provisional(key, bytes);
        } else if !is_invite {
            stack.complete(key, bytes);
        } else if !stack.accept(key, bytes.clone()) {
            // Its transaction is gone; a 2xx goes up all the same.
            stack.flows.respond(path, bytes, Direction::Sent, &mut stack.context);
        }
        self.told.push(Told::Answered(status));
        if status >= 200 {
            self.settle(id, Some(status));
        }
    }

    /// The best of the final responses goes up (§16.7 steps 6, 7 and 9). Nobody hears that another method than INVITE got no
    /// answer: its sender has given up by then (RFC 4320 §4.2).
    fn choose(&mut self, id: ContextId, stack: &mut Transactions) {
        let Some(work) = self.contexts.get_mut(&id).and_then(|context| context.work.as_mut()) else { return };
        let best = std::mem::take(&mut work.best).choose();
        self.answer(id, best.unwrap_or_else(|| Final::Made(Reply::new(480))), stack);
    }

    fn answer(&mut self, id: ContextId, best: Final, stack: &mut Transactions) {
        let Some(work) = self.contexts.get(&id).and_then(|context| context.work.as_ref()) else { return };
        let response = match best {
            Final::Received(response) => response,
            Final::Made(reply) => {
                let tag = stack.keys().tag(&work.incoming.request);
                uas::respond(&work.incoming.request, reply, &tag)
            }
        };
        let Some(context) = self.contexts.get(&id) else { return };
        let (Some(key), is_invite) = (context.key, context.is_invite) else { return };
        if response.status == 408 && !is_invite {
            stack.pass_over(key);
            self.settle(id, Some(408));
            return;
        }
        let bytes = stack.context.write(&response);
        let is_sent =
            if is_invite { stack.complete_invite_final(key, bytes) } else { stack.complete(key, bytes) };
        if is_sent {
            self.told.push(Told::Answered(response.status));
        }
        self.settle(id, Some(response.status));
    }

    /// The final response has gone up, or never will: what was needed until then is let go.
    fn settle(&mut self, id: ContextId, status: Option<u16>) -> Option<Box<Work>> {
        let context = self.contexts.get_mut(&id)?;
        let work = context.work.take()?;
        if context.is_invite {
            self.counts.calls = self.counts.calls.saturating_sub(1);
            let class = usize::from(status.unwrap_or_default() / 100).checked_sub(1);
            // An INVITE within a dialog changes a call, and is none of its own.
            let class = class.filter(|_| work.is_initial);
            if let Some(count) = class.and_then(|class| self.counts.ended.get_mut(class)) {
                *count += 1;
            }
        }
        let held = held(&work.incoming.request, &work.routing) + work.octets;
        context.octets = context.octets.saturating_sub(held);
        self.octets = self.octets.saturating_sub(held);
        for branch in &mut context.branches {
            branch.heading = None;
            branch.addresses = VecDeque::new();
            branch.locate = None;
        }
        if work.is_initial && context.key.is_some() {
            self.told.push(Told::Routed {
                aor: work.aor.clone(),
                method: work.incoming.request.method.clone(),
                from: Arc::clone(&work.from),
                targets: texts(context.machine.targets().known()),
                status,
            });
        }
        Some(work)
    }

    fn end(&mut self, id: ContextId, stack: &mut Transactions) {
        self.settle(id, None);
        let Some(context) = self.contexts.remove(&id) else { return };
        self.octets -= context.octets;
        for n in (0..).take(context.branches.len()) {
            stack.context.timers.cancel(ProxyTimer::Lookup(id, n));
        }
        if context.is_invite {
            for n in (0..).take(context.branches.len()) {
                stack.context.timers.cancel(ProxyTimer::C(id, n));
            }
        }
    }
}

/// How a branch finds its way (§16.6 steps 6 to 10).
impl Proxy {
    /// Begins the branch that was forked next.
    fn begin(&mut self, id: ContextId, stack: &mut Transactions) -> Vec<Effect> {
        let Some(context) = self.contexts.get_mut(&id) else { return Vec::new() };
        let (Some(target), Some(work)) = (context.machine.take_target(), &context.work) else {
            return Vec::new();
        };
        let n = u16::try_from(context.branches.len()).unwrap_or(u16::MAX);
        let paths = 3 * target.path.len();
        let is_hidden =
            |source: &Source| source.is_way && !nat::is_at(&target.uri, source.peer, source.transport);
        let hidden_at = target.source.filter(is_hidden);
        // Behind a NAT a device may well have an address that is ours on this side of it.
        if target.is_own
            && target.path.is_empty()
            && hidden_at.is_none()
            && is_own(&self.domains, &stack.flows, &target.uri, true)
        {
            return self.relocate(id, &target.uri, stack);
        }
        let heading = Some(Box::new(heading(&target, work)));
        // A Route leads elsewhere first; but a request within a dialog goes by the connection where it came from, whatever
        // is behind that.
        let is_direct = target.path.is_empty() && (work.routing.routes.is_empty() || !target.is_own);
        let is_secure = work.is_secure || target.uri.scheme == Scheme::Sips;
        let is_fit = |source: &Source| !is_secure || source.transport.is_secure();
        let source = target.source.filter(|source| is_direct && is_fit(source));
        let (source, elsewhere) = match source {
            Some(source) if source.node != NodeId::LOCAL => {
                (None, Some(source).filter(|source| source.is_way))
            }
            source => (source.map(|source| stack.flows.standing(source)), None),
        };
        if elsewhere.is_some() || source.is_none() && work.routing.is_known {
            // Only who comes from outside is handed over, so that nothing goes round.
            let nodes = Some(&self.nodes).filter(|_| work.origin == Origin::Outside);
            let over = match elsewhere {
                Some(elsewhere) => nodes.and_then(|nodes| nodes.to_device(&elsewhere, is_secure)),
                None if target.path.is_empty() => nodes.and_then(|nodes| nodes.along(&work.routing.routes)),
                None => None,
            };
            let peer = over.as_ref().and_then(|over| self.nodes.get(over.node));
            if let (Some(over), Some(peer)) = (over, peer) {
                let by = stack.flows.for_nodes().map(|(flow, _)| flow);
                context.branches.push(Branch {
                    heading,
                    by: by.filter(|_| !peer.presence.transport.is_reliable()),
                    is_own: target.is_own,
                    addresses: [peer.destination()].into(),
                    over: Some(Box::new(over)),
                    ..Branch::default()
                });
                self.take(id, paths);
                return self.advance(id, n, stack);
            }
        }
        let is_alive = source.is_some_and(|source| stack.flows.has(source.flow));
        let way = source.filter(|source| source.is_way);
        let addresses = way
            .filter(|_| is_alive)
            .map(|source| Destination::new(source.transport, source.peer))
            .into_iter()
            .collect();
        let unless = match elsewhere {
            _ if work.origin == Origin::Handed => Some(430),
            // The NAT lets in nobody but the node that is no more.
            Some(elsewhere) if !elsewhere.transport.is_reliable() => Some(480),
            Some(_) | None => None,
        };
        // Datagrams leave from the socket where the target is used to hear from us, wherever they go.
        let by = source.filter(|source| is_alive && (source.is_way || !source.transport.is_reliable()));
        context.branches.push(Branch {
            heading,
            by: by.map(|source| source.flow),
            hidden_at,
            is_severed: way.is_some() && !is_alive || elsewhere.is_some(),
            unless,
            is_own: target.is_own,
            addresses,
            ..Branch::default()
        });
        self.take(id, paths);
        self.advance(id, n, stack)
    }

    /// Looks up a target that is an address of ours itself, once for each request: more often is a loop.
    fn relocate(&mut self, id: ContextId, uri: &Uri, stack: &mut Transactions) -> Vec<Effect> {
        let Some(context) = self.contexts.get_mut(&id) else { return Vec::new() };
        let n = u16::try_from(context.branches.len()).unwrap_or(u16::MAX);
        context.branches.push(Branch::default());
        let Some(work) = &mut context.work else { return Vec::new() };
        let aor = Aor::of(uri);
        if work.aors.contains(&aor) {
            work.best.add(Final::Made(Reply::new(482)));
            return context.machine.on(Input::Refused(n));
        }
        work.aors.push(aor.clone());
        self.ask(id, Some(n), aor, stack);
        Vec::new()
    }

    /// Takes a branch as far as it can go now.
    fn advance(&mut self, id: ContextId, n: u16, stack: &mut Transactions) -> Vec<Effect> {
        let step = self.step(id, n, stack);
        let Some(context) = self.contexts.get(&id) else { return Vec::new() };
        match step {
            Step::Waits => Vec::new(),
            Step::Sent | Step::Failed(_) if context.key.is_none() => vec![Effect::End],
            Step::Sent => self.on(id, Input::Sent(n)),
            Step::Failed(reply) => {
                self.add(id, Final::Made(reply));
                self.on(id, Input::Refused(n))
            }
        }
    }

    fn step(&mut self, id: ContextId, n: u16, stack: &mut Transactions) -> Step {
        let context = self.contexts.get_mut(&id);
        let Some(branch) = context.and_then(|context| context.branch(n)) else { return Step::Waits };
        if branch.by.is_some_and(|by| !stack.flows.has(by)) {
            // The connection was there when the branch began: now the target itself is tried.
            (branch.by, branch.is_severed) = (None, true);
            branch.addresses.clear();
        }
        if branch.addresses.is_empty() && branch.tried == 0 && branch.locate.is_none() {
            let Some(heading) = &branch.heading else { return Step::Waits };
            let is_by_connection = branch.is_own && nat::is_by_connection(&heading.hop);
            if branch.unless.is_some() || is_by_connection || nat::leads_nowhere(&heading.hop) {
                branch.is_severed = true;
                return Step::Failed(failure(branch));
            }
            match Locate::start(&heading.hop, None, Families::Both, &self.pinned, Profile::default()) {
                Ok(locate) => branch.locate = Some(Box::new(locate)),
                Err(_) => return Step::Failed(failure(branch)),
            }
        }
        loop {
            if self.awaits_address(id, n, stack) {
                return Step::Waits;
            }
            let Some(branch) = self.branch(id, n) else { return Step::Waits };
            let Some(destination) = branch.addresses.front().cloned() else {
                return Step::Failed(failure(branch));
            };
            let by = branch.by;
            match stack.flows.reach(&destination, by, &mut stack.context) {
                Reach::Ready { flow, peer, sent_by } => {
                    return self.transmit(id, n, (flow, peer), &sent_by, stack);
                }
                Reach::Opening(flow) => {
                    self.opening.insert((flow, id, n));
                    return Step::Waits;
                }
                Reach::Asking(address) => {
                    self.sourcing.insert((address, id, n));
                    return Step::Waits;
                }
                Reach::Unreachable => {
                    branch.addresses.pop_front();
                    branch.tried += 1;
                }
            }
        }
    }

    /// Finds the address to try next, unless it is known. Whether the name service has to answer first.
    fn awaits_address(&mut self, id: ContextId, n: u16, stack: &mut Transactions) -> bool {
        let now = stack.context.now;
        let Some(branch) = self.branch(id, n) else { return false };
        while branch.addresses.is_empty()
            && branch.tried < MOST_ADDRESSES
            && let Some(locate) = &mut branch.locate
        {
            match locate.next(now) {
                Next::Found(found) => branch.addresses.push_back(found.destination),
                Next::Unresolved { .. } | Next::NotOffered { .. } | Next::NoService { .. } => {}
                Next::Wait { questions, until } => {
                    let mut is_known = false;
                    for question in questions {
                        let asker = Asker::Branch(id, n);
                        let known = stack.context.resolve(&question, asker, Time::default());
                        let Some((answer, ttl)) = known else { continue };
                        is_known = true;
                        locate.answer(&question, answer, ttl, &mut *stack.context.random, now);
                    }
                    if !is_known {
                        stack.context.timers.set(ProxyTimer::Lookup(id, n), until);
                        return true;
                    }
                }
                Next::Over => break,
            }
        }
        stack.context.timers.cancel(ProxyTimer::Lookup(id, n));
        false
    }

    fn transmit(
        &mut self,
        id: ContextId,
        n: u16,
        (flow, peer): (FlowId, SocketAddr),
        sent_by: &SentBy,
        stack: &mut Transactions,
    ) -> Step {
        let Some(context) = self.contexts.get_mut(&id) else { return Step::Waits };
        let Some(work) = context.work.as_deref() else { return Step::Waits };
        let request = &work.incoming.request;
        let mut record = Vec::new();
        let for_nodes = stack.flows.for_nodes().map(|(_, for_nodes)| for_nodes);
        let over = context.branches.get(usize::from(n)).and_then(|branch| branch.over.as_deref());
        let peer_node = over.and_then(|over| self.nodes.get(over.node));
        if over.is_some() && peer_node.is_none() {
            return Step::Failed(Reply::new(480));
        }
        if forward::forms_dialog(request) {
            let path = context.path;
            let side = match stack.flows.sent_by(path.flow, path.peer, &mut stack.context) {
                Ok(side) => side,
                // Its client is found where it listens, by another connection.
                Err(None) => stack.flows.sent_over(path.transport, sent_by),
                Err(Some(address)) => {
                    self.sourcing.insert((address, id, n));
                    return Step::Waits;
                }
            };
            let keys = stack.keys();
            let hidden_at = context.branches.get(usize::from(n)).and_then(|branch| branch.hidden_at);
            let is_hidden = hidden_at.is_some_and(|at| (at.flow, at.peer) == (flow, peer));
            let callee = (sent_by, (flow, peer), is_hidden);
            let caller = (&side, (path.flow, work.incoming.peer), is_hidden_caller(&work.incoming));
            let is_node = [over.is_some(), work.origin != Origin::Outside];
            let sides =
                [(callee, is_node[0]), (caller, is_node[1])].map(|((side, way, is_hidden), is_node)| {
                    // Other nodes come back by where they hand over, and know the way themselves.
                    match for_nodes.as_ref().filter(|_| is_node) {
                        Some(for_nodes) => Side { sent_by: for_nodes.clone(), flow: None },
                        None => Side {
                            sent_by: stack.flows.recorded(side, work.is_secure),
                            flow: flow_token(&work.call_id, way, is_hidden, &keys, &stack.flows),
                        },
                    }
                });
            record = record_routes(sides, token(&work.call_id, stack));
        }
        let Some(branch) = context.branches.get_mut(usize::from(n)) else { return Step::Waits };
        let Some(heading) = branch.heading.as_deref() else { return Step::Waits };
        let number = ids::Branch(stack.context.random.next());
        let proven;
        let (heading, sent_by) = match (&branch.over, peer_node) {
            (Some(over), Some(peer)) => {
                let of_transport = |side: &&SentBy| side.transport == sent_by.transport;
                let sent_by = for_nodes.as_ref().filter(of_transport).unwrap_or(sent_by);
                let via = format!("{number}.{:016x}", work.spiral);
                let proof = Proof {
                    key: &peer.presence.key,
                    secret: self.nodes.secret.as_ref(),
                    method: &request.method,
                    uri: &heading.uri,
                    call_id: &work.call_id,
                    cseq: work.cseq,
                    branch: &via,
                    sent_by: (&sent_by.host, Some(sent_by.port)),
                };
                let route = proof.put_in(&over.route, peer.clock(stack.context.now));
                let others =
                    over.others.iter().fold(String::new(), |list, route| list + ", " + &route.to_string());
                let routes = Some(format!("<{route}>{others}"));
                proven = Heading { uri: heading.uri.clone(), routes, hop: heading.hop.clone() };
                self.counts.handed += 1;
                (&proven, sent_by)
            }
            (Some(_), None) | (None, _) => (heading, sent_by),
        };
        let is_own_realm = |realm: &str| work.realms.iter().any(|own| own.eq_ignore_ascii_case(realm));
        let forwarded = Forwarded {
            request,
            heading,
            sent_by,
            branch: number,
            spiral: work.spiral,
            record: &record,
            breadth: context.machine.breadth(n),
            is_own_realm: &is_own_realm,
        };
        let bytes = forwarded.write();
        let Some(_) = context.key else {
            stack.flows.send(flow, peer, bytes, Direction::Sent, &mut stack.context);
            return Step::Sent;
        };
        let octets = BRANCH + bytes.len();
        if self.octets + octets > self.bounds.octets {
            return Step::Failed(Reply::new(503));
        }
        self.octets += octets;
        context.octets += octets;
        branch.transaction = Some(number);
        branch.flow = Some(flow);
        let outgoing = Outgoing {
            bytes,
            method: request.method.clone(),
            branch: number,
            sent_by: (sent_by.host.clone(), Some(sent_by.port)),
            from_tag: None,
            call_id: Arc::clone(&work.call_id),
            cseq: work.cseq,
        };
        self.counts.branches += 1;
        stack.send(Owner::Branch(id, n), outgoing, (flow, peer), self.bounds.timing);
        Step::Sent
    }

    /// The address in use has failed: the next one is tried (RFC 3263 §4.3), or the branch has failed with that.
    fn fail(&mut self, id: ContextId, n: u16, with: Final, stack: &mut Transactions) -> Vec<Effect> {
        let Some(context) = self.contexts.get_mut(&id) else { return Vec::new() };
        let is_ack = context.key.is_none();
        let Some(branch) = context.branches.get_mut(usize::from(n)) else { return Vec::new() };
        let is_unreached = matches!(&with, Final::Made(reply) if reply.status == 503);
        if is_unreached && branch.over.as_ref().is_some_and(|over| over.place.is_some()) {
            return self.cut_off(id, n, stack);
        }
        branch.transaction = None;
        branch.addresses.pop_front();
        branch.tried += 1;
        let may_go_on = branch.tried < MOST_ADDRESSES && branch.heading.is_some();
        let may_go_on = may_go_on && (self.awaits_address(id, n, stack) || self.has_address(id, n));
        let Some(context) = self.contexts.get_mut(&id) else { return Vec::new() };
        if may_go_on && context.machine.reopen(n) {
            return self.advance(id, n, stack);
        }
        stack.context.timers.cancel(ProxyTimer::Lookup(id, n));
        let Some(branch) = context.branches.get_mut(usize::from(n)) else { return Vec::new() };
        if is_ack {
            return vec![Effect::End];
        }
        let with = match with {
            Final::Made(_) if is_unreached && branch.unless.is_some() => Final::Made(failure(branch)),
            Final::Made(_) if branch.is_severed || branch.tried > 1 => Final::Made(failure(branch)),
            Final::Made(_) | Final::Received(_) => with,
        };
        self.add(id, with);
        self.on(id, Input::Refused(n))
    }
}

/// The way by other nodes.
impl Proxy {
    /// The node that a branch went to can't be reached, or has not the connection any more: to this request the device has none.
    /// Where it may listen, it is tried there.
    fn cut_off(&mut self, id: ContextId, n: u16, stack: &mut Transactions) -> Vec<Effect> {
        let Some(context) = self.contexts.get_mut(&id) else { return Vec::new() };
        if context.key.is_none() {
            return vec![Effect::End];
        }
        let Some(branch) = context.branches.get_mut(usize::from(n)) else { return Vec::new() };
        let place = branch.over.take().and_then(|over| over.place);
        (branch.transaction, branch.by, branch.is_severed) = (None, None, true);
        branch.addresses.clear();
        if place.is_some_and(|place| place.peer.is_none())
            && branch.heading.is_some()
            && context.machine.reopen(n)
        {
            return self.advance(id, n, stack);
        }
        self.add(id, Final::Made(Reply::new(480)));
        self.on(id, Input::Refused(n))
    }

    /// The other node has not the connection any more.
    fn flow_failed(&mut self, id: ContextId, n: u16, stack: &mut Transactions) -> Vec<Effect> {
        let over = self.branch(id, n).and_then(|branch| branch.over.as_ref());
        if let Some((node, Place { flow, peer: None })) = over.and_then(|over| Some((over.node, over.place?)))
        {
            self.nodes.note_gone(node, flow);
        }
        self.cut_off(id, n, stack)
    }
}

/// What comes of branches.
impl Proxy {
    /// Something came of a branch.
    pub fn hear(&mut self, id: ContextId, n: u16, heard: Heard, stack: &mut Transactions) {
        let Some(context) = self.contexts.get_mut(&id) else { return };
        let mut relayed = None;
        let effects = match heard {
            Heard::Copy => return,
            Heard::Provisional(response) => {
                let input = if response.status == 100 { Input::Trying(n) } else { Input::Progress(n) };
                relayed = Some(response);
                context.machine.on(input)
            }
            Heard::Final(response, ..) if response.status < 300 => {
                relayed = Some(response);
                context.reason.get_or_insert(Bytes::from_static(ELSEWHERE));
                context.machine.on(Input::Success(n))
            }
            Heard::Final(response, ..) => self.refused(id, n, response, stack),
            Heard::Timeout => self.fail(id, n, Final::Made(Reply::new(408)), stack),
            Heard::Undeliverable(_) => self.fail(id, n, Final::Made(Reply::new(503)), stack),
            Heard::Over => context.machine.on(Input::Ended(n)),
        };
        self.run(id, effects, relayed, stack);
    }

    /// A final response that is no success: it waits for those of the others (§16.7 step 4).
    fn refused(
        &mut self,
        id: ContextId,
        n: u16,
        mut response: Response,
        stack: &mut Transactions,
    ) -> Vec<Effect> {
        if !forward::strip(&mut response) {
            return self.fail(id, n, Final::Made(Reply::new(503)), stack);
        }
        if response.status == 503 {
            return self.fail(id, n, Final::Received(response), stack);
        }
        let over = self.branch(id, n).and_then(|branch| branch.over.as_ref());
        if response.status == 430 && over.is_some_and(|over| over.place.is_some()) {
            return self.flow_failed(id, n, stack);
        }
        let status = response.status;
        if !self.redirected(id, n, &mut response) {
            self.add(id, Final::Received(response));
        }
        self.on(id, if status >= 600 { Input::Declined(n) } else { Input::Refused(n) })
    }

    /// Tries the contacts that one of our users names in place of a device, and takes them out of the response. Whether none is
    /// left in it.
    fn redirected(&mut self, id: ContextId, n: u16, response: &mut Response) -> bool {
        let fork = self.bounds.fork;
        let Some(context) = self.contexts.get_mut(&id) else { return false };
        let is_own = context.branches.get(usize::from(n)).is_some_and(|branch| branch.is_own);
        let is_secure = context.work.as_ref().is_some_and(|work| work.is_secure);
        if !is_own || !matches!(response.status, 300..=302) || context.machine.state() != State::Forking {
            return false;
        }
        let contacts: Vec<_> = response.headers.contact_values().into_iter().flatten().collect();
        context.machine.targets().redirect(&contacts, is_secure, fork);
        let known = context.machine.targets().known();
        let is_tried = |uri: &Uri| known.iter().any(|known| known.matches(uri));
        let is_left = |contact: &&NameAddr| !contact.uri.sip().is_some_and(is_tried);
        let rest: Vec<String> = contacts.iter().filter(is_left).map(ToString::to_string).collect();
        if rest.len() == contacts.len() {
            return false;
        }
        response.headers.remove(&HeaderName::Contact);
        response.headers.extend(crate::sip::Header::new(HeaderName::Contact, rest.join(", ")));
        rest.is_empty()
    }

    /// The caller cancels (§16.10), and says why, or not.
    pub fn cancel(&mut self, id: ContextId, reason: Option<Bytes>, stack: &mut Transactions) {
        if let Some(context) = self.contexts.get_mut(&id) {
            context.reason = context.reason.take().or(reason);
        }
        // Whatever devices have said, or say yet: who has hung up wants to hear no more than that.
        if let Some(work) = self.contexts.get_mut(&id).and_then(|context| context.work.as_mut()) {
            (work.best, work.is_cancelled) = (Best::default(), true);
            work.best.add(Final::Made(Reply::new(487)));
        }
        let effects = self.on(id, Input::Cancelled);
        self.run(id, effects, None, stack);
    }

    /// Timer C has fired.
    pub fn timer_c(&mut self, id: ContextId, n: u16, stack: &mut Transactions) {
        let effects = self.on(id, Input::TimerC(n));
        self.run(id, effects, None, stack);
    }

    /// The name service has answered a question of a branch.
    pub fn resolved(
        &mut self,
        (id, n): (ContextId, u16),
        question: &Question,
        answer: DnsAnswer,
        ttl: u32,
        stack: &mut Transactions,
    ) {
        if let Some(locate) = self.branch(id, n).and_then(|branch| branch.locate.as_mut()) {
            // Also while an address is tried: the next one may depend on it.
            let now = stack.context.now;
            locate.answer(question, answer, ttl, &mut *stack.context.random, now);
            self.lookup_due(id, n, stack);
        }
    }

    /// A branch that waits for the name service may go on, or has waited long enough.
    pub fn lookup_due(&mut self, id: ContextId, n: u16, stack: &mut Transactions) {
        let Some(branch) = self.opening_branch(id, n) else { return };
        if branch.addresses.is_empty() {
            let effects = self.advance(id, n, stack);
            self.run(id, effects, None, stack);
        }
    }

    fn has_address(&mut self, id: ContextId, n: u16) -> bool {
        self.branch(id, n).is_some_and(|branch| !branch.addresses.is_empty())
    }

    /// A connection is open.
    pub fn opened(&mut self, flow: FlowId, stack: &mut Transactions) {
        for (id, n) in self.waiting_for(flow) {
            if self.opening_branch(id, n).is_some() {
                let effects = self.advance(id, n, stack);
                self.run(id, effects, None, stack);
            }
        }
    }

    /// A flow is gone: those on it have failed.
    pub fn lost(&mut self, flow: FlowId, cause: Cause, stack: &mut Transactions) {
        for (id, n) in self.waiting_for(flow) {
            if self.opening_branch(id, n).is_some() {
                let effects = self.fail(id, n, Final::Made(Reply::new(503)), stack);
                self.run(id, effects, None, stack);
            }
        }
        for branch in stack.clients_on(flow) {
            if let Some((Owner::Branch(id, n), heard)) = stack.fail(branch, cause) {
                self.hear(id, n, heard, stack);
            }
        }
    }

    fn waiting_for(&mut self, flow: FlowId) -> Vec<(ContextId, u16)> {
        let range = (flow, ContextId(0), 0)..=(flow, ContextId(u64::MAX), u16::MAX);
        let waiting: Vec<_> = self.opening.range(range).copied().collect();
        waiting.iter().for_each(|row| _ = self.opening.remove(row));
        waiting.into_iter().map(|(_, id, n)| (id, n)).collect()
    }

    /// It is known which address of ours leads there.
    pub fn source_found(&mut self, peer: IpAddr, stack: &mut Transactions) {
        let range = (peer, ContextId(0), 0)..=(peer, ContextId(u64::MAX), u16::MAX);
        let waiting: Vec<_> = self.sourcing.range(range).copied().collect();
        for row @ (_, id, n) in waiting {
            self.sourcing.remove(&row);
            if self.opening_branch(id, n).is_some() {
                let effects = self.advance(id, n, stack);
                self.run(id, effects, None, stack);
            }
        }
    }

    /// A branch of which nothing was sent yet, and still may be.
    fn opening_branch(&mut self, id: ContextId, n: u16) -> Option<&mut Branch> {
        let context = self.contexts.get_mut(&id)?;
        if context.machine.is_opening(n) { context.branch(n) } else { None }
    }

    /// The request of a server transaction that has kept its client waiting.
    pub fn request(&self, id: ContextId) -> Option<&Request> {
        self.contexts.get(&id)?.work.as_ref().map(|work| &work.incoming.request)
    }

    /// The server ends: whoever waits hears that, and whoever rings stops.
    pub fn stop(&mut self, stack: &mut Transactions) {
        let all: Vec<ContextId> = self.contexts.keys().copied().collect();
        for id in all {
            self.answer(id, Final::Made(Reply::new(503)), stack);
            let effects = self.on(id, Input::Cancelled);
            self.run(id, effects, None, stack);
            self.end(id, stack);
        }
        self.asks.clear();
        stack.context.names.leave(|asker| matches!(asker, Asker::Branch(..)));
        self.opening.clear();
        self.sourcing.clear();
    }
}

/// What a branch has failed with of which no response came: 408 when several addresses were tried in vain (§16.6 step 7), 480
/// where the device had a connection and does not answer elsewhere (RFC 5626 §7), 430 where another node has handed it over for
/// that connection (§5.3.1), else 503 (§16.9).
fn failure(branch: &Branch) -> Reply {
    Reply::new(match branch {
        Branch { unless: Some(status), .. } => *status,
        Branch { is_severed: true, .. } => 480,
        Branch { tried: 2.., .. } => 408,
        Branch { .. } => 503,
    })
}

/// Whether a URI is an address that is looked up here (RFC 3261 §16.5). Within a dialog it may be that of a device on the same
/// host as the server, which is another one without a port, too.
pub(super) fn is_own(domains: &Domains, flows: &Flows, uri: &Uri, is_within: bool) -> bool {
    let transport = uri.transport().and_then(Transport::parse);
    let transport = match uri.scheme {
        Scheme::Sip => transport,
        Scheme::Sips => transport.unwrap_or(Transport::Tls).secured(),
    };
    match uri.host.ip() {
        Some(ip) if uri.port.is_none() && !is_within => domains.names(&uri.host) || flows.has_address(ip),
        Some(_) => flows.is_own(&uri.host, uri.port, transport),
        None => domains.serves(&uri.host) && uri.port.is_none_or(|port| flows.has_port(port)),
    }
}

/// What is recorded of one side of a dialog.
#[derive(PartialEq, Eq)]
struct Side {
    /// What we are called there.
    sent_by: SentBy,
    /// The way by which its party came, in a form that nobody else can make.
    flow: Option<String>,
}

/// The Record-Route values that lead back to us (§16.6 step 4): one, or one for each side where they differ, that of the
/// callee topmost (RFC 5658 §6.2). Over TLS they are `sips` URIs, and never say `transport=tls` (RFC 5658 §6.2).
fn record_routes([to, from]: [Side; 2], token: u64) -> Vec<String> {
    let is_double = from != to;
    let value = |side: &Side| {
        let Side { sent_by: SentBy { transport, host, port }, flow } = side;
        let scheme = if transport.is_secure() { Scheme::Sips } else { Scheme::Sip }.as_str();
        let transport = match (transport, is_double) {
            (Transport::Udp, false) | (Transport::Tls, _) => String::new(),
            (Transport::Udp, true) | (Transport::Tcp | Transport::Ws | Transport::Wss, _) => {
                format!(";transport={}", transport.as_param())
            }
        };
        let flow = flow.as_ref().map(|flow| format!(";flow={flow}")).unwrap_or_default();
        format!("<{scheme}:{host}:{port}{transport};lr;did={token:016x}{flow}>")
    };
    if is_double { vec![value(&to), value(&from)] } else { vec![value(&to)] }
}

/// Whether a caller came from elsewhere than its Contact says, which is its own: it is behind a NAT.
fn is_hidden_caller(incoming: &Incoming) -> bool {
    let Incoming { request, via, peer, path, .. } = incoming;
    let contact = request.headers.contact_values().into_iter().next();
    let Some(contact) = contact.and_then(Result::ok) else { return false };
    let sender = Sender::of(request, via, *peer, path.transport);
    let is_hidden = |uri: &Uri| sender.is_way_to(uri) && !nat::is_at(uri, *peer, path.transport);
    contact.uri.sip().is_some_and(is_hidden)
}

/// What names the way by which a party of a dialog came, as RFC 5626 §5.3 has it. Whoever is behind a WebSocket or has connected by
/// TLS stands in no name service: the way is the connection. Whoever `is_hidden` says to be elsewhere: it is the connection, or
/// over UDP the listener with the address of the party. `None`: the party is found where its Contact says.
fn flow_token(
    call_id: &str,
    (flow, peer): (FlowId, SocketAddr),
    is_hidden: bool,
    keys: &Keys,
    flows: &Flows,
) -> Option<String> {
    let is_needed = match flows.get(flow)?.transport {
        Transport::Tls | Transport::Ws | Transport::Wss => flows.came_in(flow),
        Transport::Tcp => is_hidden && flows.came_in(flow),
        Transport::Udp => {
            // One with a zone is of this host alone, and behind no NAT.
            let is_plain = peer == SocketAddr::new(peer.ip(), peer.port());
            return (is_hidden && is_plain).then(|| {
                let proof = keys.of_any(("datagrams", flow.0, peer, call_id));
                format!("{:016x}{proof:016x}{}", flow.0, node::name_of(peer))
            });
        }
    };
    is_needed.then(|| format!("{:016x}{:016x}", flow.0, keys.of_any(("flow", flow.0, call_id))))
}

/// The way that [`flow_token`] has named in that call. A connection may be gone.
pub(super) fn way_named(token: &str, call_id: &str, keys: &Keys, flows: &Flows) -> Option<Source> {
    let (flow, rest) = token.split_at_checked(16)?;
    let (proof, address) = rest.split_at_checked(16)?;
    let flow = FlowId(u64::from_str_radix(flow, 16).ok()?);
    let is_proof = |made: u64| proof == format!("{made:016x}");
    if address.is_empty() {
        let place = Place { flow, peer: None };
        return is_proof(keys.of_any(("flow", flow.0, call_id))).then(|| way_to(place, flows));
    }
    let peer = node::address_named(address)?;
    let place = Place { flow, peer: Some(peer) };
    is_proof(keys.of_any(("datagrams", flow.0, peer, call_id))).then(|| way_to(place, flows))
}

/// The way to a place here. A connection may be gone.
pub(super) fn way_to(place: Place, flows: &Flows) -> Source {
    let Place { flow, peer } = place;
    let open = || flows.get(flow).and_then(|open| Some((open.remote()?, open.transport)));
    let (peer, transport) = match peer {
        Some(peer) => (peer, Transport::Udp),
        None => open().unwrap_or((([0, 0, 0, 0], 0).into(), Transport::Wss)),
    };
    Source { flow, peer, transport, is_way: true, node: NodeId::LOCAL }
}

/// How a request goes to a target: a `sips` request over TLS on its whole way; another one to a `sips` contact as a `sip`
/// request, over TLS (RFC 5630 §5.3).
fn heading(target: &Target, work: &Work) -> Heading {
    let is_turned = !work.is_secure && target.uri.scheme == Scheme::Sips;
    let plain = is_turned.then(|| Uri { scheme: Scheme::Sip, ..target.uri.clone() });
    let uri = plain.as_ref().unwrap_or(&target.uri);
    let mut heading = forward::head(uri, &target.path, &work.routing);
    if is_turned && target.path.is_empty() && work.routing.routes.is_empty() {
        heading.hop.scheme = Scheme::Sips;
    }
    if work.is_secure {
        heading.hop.scheme = Scheme::Sips;
    }
    heading
}

/// What shows that a request is within a dialog that was recorded here: only who has seen its Record-Route knows it.
pub(super) fn token(call_id: &str, stack: &mut Transactions) -> u64 {
    stack.keys().of_any(("dialog", call_id))
}

/// The URIs as they are told.
fn texts(uris: &[Uri]) -> Vec<Arc<str>> {
    uris.iter().map(|uri| without_password(uri).into()).collect()
}

fn shown(uri: &AnyUri) -> String {
    match uri {
        AnyUri::Sip(uri) => without_password(uri),
        AnyUri::Other(text) => text.clone(),
    }
}

/// A URI may hold a password (RFC 3261 §19.1.1), which is told to nobody.
fn without_password(uri: &Uri) -> String {
    match uri.password {
        Some(_) => Uri { password: None, ..uri.clone() }.to_string(),
        None => uri.to_string(),
    }
}

/// What a request takes in memory, in octets, about.
fn octets(request: &Request) -> usize {
    request.uri.len() + rows(&request.headers) + request.body.len()
}

fn rows(headers: &Headers) -> usize {
    headers.iter().map(|row| row.value().len() + 64).sum()
}

/// What its Routes take, read.
fn routes(routing: &Routing) -> usize {
    routing.routes.len() * 2 * size_of::<NameAddr>()
}

/// What is held of a request until its final response has gone up.
fn held(request: &Request, routing: &Routing) -> usize {
    2 * octets(request) + routes(routing)
}
