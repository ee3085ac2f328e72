//! Transactions (RFC 3261 §17): what makes one request and its responses a unit over an unreliable network.
//!
//! [`client`], [`server`] and [`invite_server`] are the machines of one transaction each. `Transactions` holds all
//! that are alive and knows whose each is: it sends requests, finds the one that a response answers, knows requests
//! that come again, and repeats what has to be repeated.
//!
//! A response reaches its owner only if everything in it fits the request it claims to answer: branch and CSeq method
//! (§17.1.3), sent-by (§18.1.2), a single Via (§8.1.3.3), and Call-ID, From tag and CSeq number, which a stranger who
//! saw only the branch would not know. Where it came from does not count: answers may come from another address or
//! port.
//!
//! Server transactions that have been answered all live equally long, so that they end in the order in which they were
//! answered: a queue serves as timer, and the endpoint is asked to wake up for its head only. When the answers kept for
//! repeating outgrow their limit, the oldest go early: a copy of such a request is then served anew, which the
//! registrar's own rules make harmless (the nonce count is used up, the CSeq is not higher).
//!
//! The file is long because a response, a copy of a request and a flow that fails all end at the same table.

pub mod client;
pub mod invite_server;
mod key;
mod replay;
pub mod server;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::context::Context;
use super::flow::{Flows, ReturnPath};
use super::ids::{Branch, Random, Tag};
use super::timers::{Timing, TransactionTimer};
use super::{AnswerFault, Cause, Direction, FlowId, RegistrationId, Time};
use crate::sip::{CSeq, HeaderName, Headers, Host, Method, Response, Via};
use invite_server::InviteServer;
use replay::{Replay, Span};
use server::Server;

pub use super::timers::Timer;
pub use client::{Client, Effect, Input, State, Tell};
pub use key::{Keys, TransactionKey};

/// Whose a transaction is: who hears of its responses, or makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Registration(RegistrationId),
    Registrar,
    /// The device that is bound where a registration's flow leads.
    Device,
    /// The proxy's: a request that it forwards.
    Proxy(ContextId),
    /// The proxy's: a request as it was forwarded, by the number of the branch.
    Branch(ContextId, u16),
}

/// Names one request that the proxy forwards, with all that comes of it (RFC 3261 §16: a response context).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContextId(pub u64);

/// A request to be sent, and by what its responses are known.
#[derive(Debug)]
pub struct Outgoing {
    /// The request as it goes on the wire.
    pub bytes: Bytes,
    /// The method of the request.
    pub method: Method,
    /// Of its Via.
    pub branch: Branch,
    /// Host and port of its Via.
    pub sent_by: (Host, u16),
    /// Of its From; `None`: it is somebody else's, and the branch has to do.
    pub from_tag: Option<Tag>,
    /// Of its Call-ID header.
    pub call_id: Arc<str>,
    /// Of its CSeq header.
    pub cseq: u32,
}

/// What the owner of a client transaction hears of it.
pub(super) enum Heard {
    /// The request was sent once more.
    Copy,
    /// The final response, with its Via, and who sent it.
    Final(Response, Via, SocketAddr),
    /// Timer F: as if a 408 had come (§8.1.3.1).
    Timeout,
    /// The request does not arrive: as if a 503 had come (§8.1.3.1).
    Undeliverable(Cause),
}

/// An answer that cannot be used.
#[derive(Debug)]
pub(super) struct UnusableAnswer {
    /// What keeps it from being used.
    pub fault: AnswerFault,
    /// The registrations that it must have been for.
    pub concerns: Vec<RegistrationId>,
}

/// So many registrations hear of an answer on their flow that can't be used and says nothing about whose it is: ten
/// thousand may share that flow.
const MOST_CONCERNED: usize = 64;

struct ClientTransaction {
    owner: Owner,
    flow: FlowId,
    method: Method,
    machine: Client,
    sends: u32,
    /// Until the final response: a copy of that is absorbed, whatever it says.
    pending: Option<Box<Pending>>,
}

/// A request that waits for its response.
struct Pending {
    outgoing: Outgoing,
    peer: SocketAddr,
    /// When Timer F fires. It is set with the first copy that Timer E sends, where there is one: most never need it.
    gives_up: Option<Time>,
}

impl Pending {
    /// Whether a response with our branch, with this Via and CSeq, really answers this request. A server that drops the
    /// port from our Via is forgiven: what else has to fit, nobody guesses.
    fn fits(&self, response: &Response, via: &Via, cseq: &CSeq) -> Result<(), AnswerFault> {
        let Outgoing { sent_by: (host, port), from_tag, call_id, cseq: number, .. } = &self.outgoing;
        if via.host != *host || via.port.is_some_and(|other| other != *port) {
            return Err(AnswerFault::SentBy);
        }
        if cseq.number != *number {
            return Err(AnswerFault::Number);
        }
        if !response.headers.call_id().is_ok_and(|id| *id == **call_id) {
            return Err(AnswerFault::CallId);
        }
        let is_of = |tag: Tag| has_tag(&response.headers, tag);
        if from_tag.is_none_or(is_of) { Ok(()) } else { Err(AnswerFault::FromTag) }
    }
}

/// Whether From has this tag. Mostly it comes back as it was sent, the tag last: then it is not read further.
fn has_tag(headers: &Headers, tag: Tag) -> bool {
    let Ok(row) = headers.required(&HeaderName::From) else { return false };
    let last = row.value().rsplit(|octet| *octet == b';').next().and_then(|last| last.strip_prefix(b"tag="));
    last.and_then(|last| str::from_utf8(last).ok()).is_some_and(|last| tag.is(last))
        || headers.tag(&HeaderName::From).is_some_and(|other| tag.is(&other))
}

struct ServerTransaction {
    owner: Owner,
    machine: Machine,
    /// What it shares with copies of its request that come another way.
    merged: Option<u64>,
    path: ReturnPath,
    last: Last,
    /// When it ends (Timer J), or an INVITE's next timer fires.
    due: Time,
}

enum Machine {
    Request(Server),
    /// Boxed, because there are few.
    Invite(Box<InviteServer>),
}

/// The last answer of a server transaction.
enum Last {
    None,
    /// The 100, or the refusal of an INVITE: there are few.
    Alone(Bytes),
    /// The final one.
    Final(Span),
}

impl Last {
    fn len(&self) -> usize {
        match self {
            Last::None => 0,
            Last::Alone(bytes) => bytes.len(),
            Last::Final(span) => span.len(),
        }
    }
}

/// What is known of a request that has just come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It is new.
    New,
    /// It is a copy, which has got the answer of the first again. `None`: that has none yet, or its answer has arrived.
    Copy(Option<Bytes>),
    /// It is another's copy that came another way: 482 (§8.2.2.2).
    Merged,
}

/// What a server transaction costs besides its answer, in octets, about.
const OVERHEAD: usize = 250;

/// Answers that are kept for repeating, in octets, where no server says more.
const REPLAY: usize = 256 << 10;

/// INVITEs that wait for their ACK at a time; those beyond get their answer once.
const INVITES: usize = 64;

/// A table whose keys are keyed hashes already, so that it needs none of its own. It is asked by key and never gone
/// through: there may be a hundred thousand transactions, and a tree of them costs a cache miss per level.
type Table<K, V> = HashMap<K, V, BuildHasherDefault<Identity>>;

/// The hash of a hash: the number itself.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A transaction that ends with its flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OfFlow {
    Client(Branch),
    Server(TransactionKey),
}

/// All transactions that are alive, on the layers below them: what their users stand on.
pub(super) struct Transactions {
    pub flows: Flows,
    pub context: Context,
    clients: BTreeMap<Branch, ClientTransaction>,
    /// Client transactions that only absorb copies of their response, and until when.
    absorbing: VecDeque<(Time, Branch)>,
    servers: Table<TransactionKey, ServerTransaction>,
    merged: Table<u64, TransactionKey>,
    /// Server transactions for which 100 comes due, in this order.
    slow: VecDeque<(Time, TransactionKey)>,
    /// Those that are kept until Timer J, in this order.
    answered: VecDeque<(Time, TransactionKey)>,
    /// INVITEs that were refused, by when their next timer fires.
    invites: BTreeSet<(Time, TransactionKey)>,
    by_flow: BTreeSet<(FlowId, OfFlow)>,
    keys: Option<Keys>,
    /// Whether a server is at work. A device answers at once and seldom: what it keeps goes when it answers the next
    /// request, and wakes nobody.
    serves: bool,
    timing: Timing,
    replay: Replay,
    /// Octets of answers that are kept, with what their transactions cost, and how many there may be.
    octets: usize,
    limit: usize,
}

impl Transactions {
    pub fn new(random: Box<dyn Random + Send>) -> Transactions {
        Transactions {
            flows: Flows::default(),
            context: Context::new(random),
            clients: BTreeMap::new(),
            absorbing: VecDeque::new(),
            servers: Table::default(),
            merged: Table::default(),
            slow: VecDeque::new(),
            answered: VecDeque::new(),
            invites: BTreeSet::new(),
            by_flow: BTreeSet::new(),
            keys: None,
            serves: false,
            timing: Timing::default(),
            replay: Replay::default(),
            octets: 0,
            limit: REPLAY,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.absorbing.is_empty()
            && self.servers.is_empty()
            && self.by_flow.is_empty()
    }

    /// A flow is gone: what was to be sent on it is forgotten.
    pub fn end(&mut self, flow: FlowId) {
        let first = (flow, OfFlow::Client(Branch(0)));
        let of_flow: Vec<OfFlow> =
            self.by_flow.range(first..).take_while(|(of, _)| *of == flow).map(|(_, row)| *row).collect();
        for row in of_flow {
            match row {
                OfFlow::Client(branch) => self.terminate(branch),
                OfFlow::Server(key) => self.forget(key),
            }
        }
        while self.absorbing.pop_front_if(|(_, branch)| !self.clients.contains_key(branch)).is_some() {}
        self.wake_absorbing();
        self.wake_invites();
        if self.servers.is_empty() {
            self.slow.clear();
            self.answered.clear();
            self.context.timers.cancel(TransactionTimer::Server);
        }
    }
}

/// What becomes of requests that are sent.
impl Transactions {
    /// Sends a request.
    pub fn send(
        &mut self,
        owner: Owner,
        outgoing: Outgoing,
        (flow, peer): (FlowId, SocketAddr),
        timing: Timing,
    ) {
        let reliable = self.flows.get(flow).is_some_and(|flow| flow.transport.is_reliable());
        let (machine, effects) = Client::start(reliable, timing);
        let (branch, method) = (outgoing.branch, outgoing.method.clone());
        let pending = Some(Box::new(Pending { outgoing, peer, gives_up: None }));
        self.clients.insert(branch, ClientTransaction { owner, flow, method, machine, sends: 0, pending });
        self.by_flow.insert((flow, OfFlow::Client(branch)));
        self.carry_out(branch, effects);
    }

    /// A response came: whose it is and what the owner hears of it, if anything.
    ///
    /// # Errors
    /// It belongs to no transaction, or does not fit the one it claims to.
    pub fn receive(
        &mut self,
        flow: FlowId,
        response: Response,
        peer: SocketAddr,
    ) -> Result<Option<(Owner, Heard)>, UnusableAnswer> {
        let (owner, branch, via) = match self.recognise(&response) {
            Ok(known) => known,
            Err(fault) => return Err(self.refuse_answer(flow, &response, fault)),
        };
        let input = if response.status < 200 { Input::Provisional } else { Input::Final };
        let tell = self.input(branch, input);
        Ok((tell == Some(Tell::Final)).then_some((owner, Heard::Final(response, via, peer))))
    }

    /// The transaction that a response belongs to.
    fn recognise(&self, response: &Response) -> Result<(Owner, Branch, Via), AnswerFault> {
        let headers = &response.headers;
        let via = headers.top_via().map_err(|error| AnswerFault::Via(error.problem))?;
        let branch = via.branch().and_then(Branch::parse).ok_or(AnswerFault::Branch)?;
        let transaction = self.clients.get(&branch).ok_or(AnswerFault::Branch)?;
        let cseq = headers.cseq().map_err(|error| AnswerFault::CSeq(error.problem))?;
        if cseq.method != transaction.method {
            return Err(AnswerFault::Method);
        }
        if headers.via_count() > 1 {
            return Err(AnswerFault::Vias);
        }
        if let Some(pending) = &transaction.pending {
            pending.fits(response, &via, &cseq)?;
        }
        Ok((transaction.owner, branch, via))
    }

    /// Whose request an answer must have meant that can't be used: by its branch, else by its Call-ID, else any that waits.
    #[cold]
    fn refuse_answer(&self, flow: FlowId, response: &Response, fault: AnswerFault) -> UnusableAnswer {
        let headers = &response.headers;
        let branch = headers.top_via().ok().and_then(|via| Branch::parse(via.branch()?));
        let mut concerns = self.waiting_on(flow);
        if let Some(known) = branch.filter(|branch| self.clients.contains_key(branch)) {
            concerns.retain(|branch| *branch == known);
        } else if let Ok(id) = headers.call_id() {
            let is_of = |branch: &Branch| {
                let pending = self.clients.get(branch).and_then(|transaction| transaction.pending.as_ref());
                pending.is_some_and(|pending| *pending.outgoing.call_id == *id)
            };
            if concerns.iter().any(is_of) {
                concerns.retain(is_of);
            }
        }
        UnusableAnswer { fault, concerns: self.owners(&concerns) }
    }

    /// The registrations whose requests wait on a flow for an answer that something unreadable may have been.
    #[cold]
    pub fn concerned(&self, flow: FlowId) -> Vec<RegistrationId> {
        self.owners(&self.waiting_on(flow))
    }

    /// The first of the requests on a flow that wait for an answer.
    fn waiting_on(&self, flow: FlowId) -> Vec<Branch> {
        let waits = |branch: &Branch| {
            self.clients.get(branch).is_some_and(|transaction| transaction.pending.is_some())
        };
        self.clients_of(flow).filter(waits).take(MOST_CONCERNED).collect()
    }

    fn owners(&self, branches: &[Branch]) -> Vec<RegistrationId> {
        let owner = |branch: &Branch| match self.clients.get(branch)?.owner {
            Owner::Registration(id) => Some(id),
            Owner::Registrar | Owner::Device | Owner::Proxy(_) | Owner::Branch(..) => None,
        };
        branches.iter().filter_map(owner).collect()
    }

    fn clients_of(&self, flow: FlowId) -> impl Iterator<Item = Branch> {
        let first = (flow, OfFlow::Client(Branch(0)));
        let of_flow = self.by_flow.range(first..).take_while(move |(of, _)| *of == flow);
        of_flow.filter_map(|(_, row)| match row {
            OfFlow::Client(branch) => Some(*branch),
            OfFlow::Server(_) => None,
        })
    }

    /// The requests on a flow that wait for an answer from there. Mostly there is one: a request and the one it repeats
    /// with credentials go to the same peer, and only the second still waits.
    pub fn waiting(&self, flow: FlowId, peer: SocketAddr) -> Vec<Branch> {
        let waits = |branch: &Branch| {
            let pending = self.clients.get(branch).and_then(|transaction| transaction.pending.as_ref());
            pending.is_some_and(|pending| pending.peer == peer)
        };
        self.clients_of(flow).filter(waits).collect()
    }

    /// The network says that a request does not arrive.
    pub fn fail(&mut self, branch: Branch, cause: Cause) -> Option<(Owner, Heard)> {
        let owner = self.clients.get(&branch)?.owner;
        let tell = self.input(branch, Input::TransportError)?;
        (tell == Tell::TransportError).then_some((owner, Heard::Undeliverable(cause)))
    }

    /// One of its timers has fired.
    pub fn fired(&mut self, branch: Branch, timer: Timer) -> Option<(Owner, Heard)> {
        let owner = self.clients.get(&branch)?.owner;
        match self.input(branch, Input::Fired(timer)) {
            Some(Tell::Timeout) => Some((owner, Heard::Timeout)),
            None if timer == Timer::E => Some((owner, Heard::Copy)),
            None | Some(Tell::Provisional | Tell::Final | Tell::TransportError) => None,
        }
    }

    /// Nobody waits for the response of this request any more. What only absorbs copies of one goes on doing so.
    pub fn cancel(&mut self, branch: Branch) {
        if self.clients.get(&branch).is_some_and(|transaction| transaction.pending.is_some()) {
            self.terminate(branch);
        }
    }

    fn input(&mut self, branch: Branch, input: Input) -> Option<Tell> {
        let effects = self.clients.get_mut(&branch)?.machine.on(input);
        self.carry_out(branch, effects)
    }

    /// Does what the machine says. What is to be told is told last, so that the transaction is settled before its owner
    /// starts the next one.
    fn carry_out(&mut self, branch: Branch, effects: Vec<Effect>) -> Option<Tell> {
        let mut tell = None;
        for effect in effects {
            match effect {
                Effect::Transmit => self.transmit(branch),
                Effect::Start(timer, wait) => self.start_timer(branch, timer, self.context.now + wait),
                Effect::Stop(timer) => self.context.timers.cancel(TransactionTimer::Client(branch, timer)),
                Effect::Tell(what) => tell = Some(what),
                Effect::Terminate => self.terminate(branch),
            }
        }
        if tell == Some(Tell::Final)
            && let Some(transaction) = self.clients.get_mut(&branch)
        {
            transaction.pending = None;
        }
        tell
    }

    fn start_timer(&mut self, branch: Branch, timer: Timer, at: Time) {
        let Some(transaction) = self.clients.get_mut(&branch) else { return };
        match (timer, &mut transaction.pending) {
            (Timer::F, Some(pending)) if transaction.machine.sends_copies() => {
                pending.gives_up = Some(at);
                return;
            }
            (Timer::E, Some(pending)) if transaction.sends > 1 => {
                if let Some(at) = pending.gives_up.take() {
                    self.context.timers.set(TransactionTimer::Client(branch, Timer::F), at);
                }
            }
            (Timer::K, _) => return self.absorb(branch, at),
            (Timer::E | Timer::F, _) => {}
        }
        self.context.timers.set(TransactionTimer::Client(branch, timer), at);
    }

    fn transmit(&mut self, branch: Branch) {
        let Some(transaction) = self.clients.get_mut(&branch) else { return };
        transaction.sends += 1;
        let direction = if transaction.sends == 1 { Direction::Sent } else { Direction::SentAgain };
        if let Some(Pending { outgoing, peer, .. }) = transaction.pending.as_deref() {
            self.flows.send(transaction.flow, *peer, outgoing.bytes.clone(), direction, &mut self.context);
        }
    }

    fn terminate(&mut self, branch: Branch) {
        if let Some(transaction) = self.clients.remove(&branch) {
            self.by_flow.remove(&(transaction.flow, OfFlow::Client(branch)));
        }
        for timer in [Timer::E, Timer::F] {
            self.context.timers.cancel(TransactionTimer::Client(branch, timer));
        }
    }

    /// Timer K of one begins. All take T4, so that they fire in the order they were set in, and one timer does for all
    /// of them: there may be a thousand a second. It only lets go of what is over, and does so at full seconds, so that
    /// it wakes nobody for each.
    fn absorb(&mut self, branch: Branch, at: Time) {
        let second = Time::from_millis(at.as_millis().div_ceil(1000).saturating_mul(1000));
        let at = self.absorbing.back().map_or(second, |(last, _)| second.max(*last));
        self.absorbing.push_back((at, branch));
        self.wake_absorbing();
    }

    /// Timer K has fired for the first of them, at least.
    pub fn absorbed(&mut self) {
        while let Some((_, branch)) = self.absorbing.pop_front_if(|(at, _)| *at <= self.context.now) {
            self.input(branch, Input::Fired(Timer::K));
        }
        self.wake_absorbing();
    }

    fn wake_absorbing(&mut self) {
        let first = self.absorbing.front().map(|(at, _)| *at);
        match first {
            Some(at) if self.context.timers.due(TransactionTimer::Absorbing) == Some(at) => {}
            Some(at) => self.context.timers.set(TransactionTimer::Absorbing, at),
            None => {
                self.absorbing.shrink_to(0);
                self.context.timers.cancel(TransactionTimer::Absorbing);
            }
        }
    }
}

/// What becomes of requests that come in.
impl Transactions {
    /// What a server has to keep to: its times, and how many octets of answers it keeps for repeating.
    pub fn bound(&mut self, timing: Timing, limit: usize) {
        self.serves = true;
        self.timing = timing;
        self.limit = limit;
        self.keys();
    }

    /// Forgets all server transactions.
    pub fn stop_serving(&mut self) {
        self.serves = false;
        self.servers = Table::default();
        self.merged = Table::default();
        self.slow = VecDeque::new();
        self.answered = VecDeque::new();
        self.invites = BTreeSet::new();
        self.by_flow.retain(|(_, row)| matches!(row, OfFlow::Client(_)));
        self.replay = Replay::default();
        self.octets = 0;
        self.context.timers.cancel(TransactionTimer::Server);
        self.context.timers.cancel(TransactionTimer::Invite);
    }

    /// Makes the keys of requests.
    pub fn keys(&mut self) -> Keys {
        *self.keys.get_or_insert_with(|| Keys::new(self.context.random.next()))
    }

    /// Whether a request was seen before; `merged` is what it shares with copies that come another way. A copy gets the
    /// answer of the first.
    pub fn look_up(&mut self, key: TransactionKey, merged: Option<u64>) -> Lookup {
        let Some(transaction) = self.servers.get_mut(&key) else {
            let is_merged = merged.is_some_and(|merged| self.merged.contains_key(&merged));
            return if is_merged { Lookup::Merged } else { Lookup::New };
        };
        let repeats = match &mut transaction.machine {
            Machine::Request(server) => server.on(server::Input::Copy) == server::Effect::Repeat,
            Machine::Invite(invite) => {
                let now = self.context.now;
                invite.on(invite_server::Input::Copy, now) == invite_server::Effect::Repeat
            }
        };
        let answer = match &transaction.last {
            Last::Alone(bytes) if repeats => Some(bytes.clone()),
            Last::Final(span) if repeats => Some(Bytes::copy_from_slice(self.replay.get(*span))),
            Last::None | Last::Alone(_) | Last::Final(_) => None,
        };
        if let Some(bytes) = &answer {
            self.flows.respond(transaction.path, bytes.clone(), Direction::SentAgain, &mut self.context);
        }
        Lookup::Copy(answer)
    }

    /// Begins a transaction for a request that is new.
    pub fn begin(&mut self, owner: Owner, key: TransactionKey, merged: Option<u64>, path: ReturnPath) {
        if !self.serves {
            self.expire();
        }
        let machine = Machine::Request(Server::start(path.transport.is_reliable(), self.timing));
        let due = self.context.now;
        self.insert(key, ServerTransaction { owner, machine, merged, path, last: Last::None, due });
        self.slow.push_back((self.context.now + Server::patience(self.timing), key));
        self.wake();
    }

    fn insert(&mut self, key: TransactionKey, transaction: ServerTransaction) {
        if let Some(merged) = transaction.merged {
            self.merged.insert(merged, key);
        }
        match transaction.owner {
            Owner::Device => {
                self.by_flow.insert((transaction.path.flow, OfFlow::Server(key)));
            }
            // A registrar answers also when the connection is gone.
            Owner::Registrar | Owner::Registration(_) | Owner::Proxy(_) | Owner::Branch(..) => {}
        }
        self.octets += OVERHEAD + transaction.last.len();
        self.servers.insert(key, transaction);
    }

    /// The final answer of a transaction: sent, and kept for copies of the request. Whether that is so; it was
    /// answered before, or is no more, if not.
    pub fn complete(&mut self, key: TransactionKey, bytes: Bytes) -> bool {
        let Some(ServerTransaction { machine: Machine::Request(server), path, last, due, .. }) =
            self.servers.get_mut(&key)
        else {
            return false;
        };
        let path = *path;
        match server.on(server::Input::Final) {
            server::Effect::Keep(time) => {
                self.octets = self.octets + bytes.len() - last.len();
                *last = Last::Final(self.replay.keep(&bytes));
                *due = self.context.now + time;
                self.answered.push_back((*due, key));
                self.shrink();
            }
            server::Effect::Finish => self.forget(key),
            server::Effect::Absorb
            | server::Effect::Trying
            | server::Effect::Repeat
            | server::Effect::Terminate => return false,
        }
        self.wake();
        self.flows.respond(path, bytes, Direction::Sent, &mut self.context);
        true
    }

    /// The path of a transaction's answers.
    pub fn path(&self, key: TransactionKey) -> Option<ReturnPath> {
        self.servers.get(&key).map(|transaction| transaction.path)
    }

    /// A transaction that has kept its client waiting so long that it gets a 100 now, from its owner.
    pub fn next_slow(&mut self) -> Option<(Owner, TransactionKey)> {
        while let Some((_, key)) = self.slow.pop_front_if(|(due, _)| *due <= self.context.now) {
            if let Some(ServerTransaction { machine: Machine::Request(server), owner, .. }) =
                self.servers.get_mut(&key)
                && server.on(server::Input::Slow) == server::Effect::Trying
            {
                return Some((*owner, key));
            }
        }
        None
    }

    /// The 100 of a transaction: sent, and kept for copies of the request.
    pub fn proceed(&mut self, key: TransactionKey, bytes: Bytes) {
        if let Some(transaction) = self.servers.get_mut(&key) {
            self.octets = self.octets + bytes.len() - transaction.last.len();
            transaction.last = Last::Alone(bytes.clone());
            self.flows.respond(transaction.path, bytes, Direction::Sent, &mut self.context);
        }
    }

    /// Forgets the transactions whose Timer J has run out.
    pub fn expire(&mut self) {
        while let Some((due, key)) = self.answered.pop_front_if(|(due, _)| *due <= self.context.now) {
            self.forget_of(key, due);
        }
        self.wake();
    }

    /// Sets the timer for what comes first: a 100, or the end of a Timer J.
    fn wake(&mut self) {
        while self.slow.front().is_some_and(|(_, key)| !self.is_trying(*key)) {
            self.slow.pop_front();
        }
        let heads = [self.slow.front(), self.answered.front()];
        let first = heads.into_iter().flatten().map(|(due, _)| *due).min();
        self.context.wake(TransactionTimer::Server, first.filter(|_| self.serves));
    }

    fn is_trying(&self, key: TransactionKey) -> bool {
        let transaction = self.servers.get(&key);
        transaction.is_some_and(|transaction| match &transaction.machine {
            Machine::Request(server) => server.state() == server::State::Trying,
            Machine::Invite(_) => false,
        })
    }

    /// Lets the oldest answers go until the rest fits.
    fn shrink(&mut self) {
        while self.octets > self.limit
            && let Some((due, key)) = self.answered.pop_front()
        {
            self.forget_of(key, due);
        }
    }

    /// Forgets a transaction, unless its key is that of a later one by now.
    fn forget_of(&mut self, key: TransactionKey, due: Time) {
        if self.servers.get(&key).is_some_and(|transaction| transaction.due == due) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: TransactionKey) {
        let Some(transaction) = self.servers.remove(&key) else { return };
        self.octets -= OVERHEAD + transaction.last.len();
        if let Last::Final(span) = transaction.last {
            self.replay.release(span);
        }
        if let Some(merged) = transaction.merged {
            self.merged.remove(&merged);
        }
        if let Machine::Invite(_) = transaction.machine {
            self.invites.remove(&(transaction.due, key));
        }
        if transaction.owner == Owner::Device {
            self.by_flow.remove(&(transaction.path.flow, OfFlow::Server(key)));
        }
    }
}

/// INVITE server transactions, of INVITEs that are refused.
impl Transactions {
    /// Whether an INVITE is known by this key.
    pub fn has(&self, key: TransactionKey) -> bool {
        self.servers.contains_key(&key)
    }

    /// The refusal of an INVITE that is new: sent, and kept for copies of the request. It is repeated until it is acknowledged.
    pub fn complete_invite(&mut self, owner: Owner, key: TransactionKey, path: ReturnPath, bytes: Bytes) {
        self.flows.respond(path, bytes.clone(), Direction::Sent, &mut self.context);
        if self.invites.len() >= INVITES {
            return;
        }
        let machine = InviteServer::refused(path.transport.is_reliable(), self.timing, self.context.now);
        if let Some(due) = machine.due() {
            let (machine, last) = (Machine::Invite(Box::new(machine)), Last::Alone(bytes));
            self.insert(key, ServerTransaction { owner, machine, merged: None, path, last, due });
            self.invites.insert((due, key));
            self.wake_invites();
        }
    }

    /// An ACK came for the INVITE of this key.
    pub fn acknowledge(&mut self, key: TransactionKey) {
        self.invite(key, invite_server::Input::Ack);
        self.wake_invites();
    }

    /// The timer of an INVITE has fired, at least.
    pub fn invites_due(&mut self) {
        while let Some((due, key)) = self.invites.first().copied()
            && due <= self.context.now
        {
            self.invite(key, invite_server::Input::Due);
        }
        self.wake_invites();
    }

    fn invite(&mut self, key: TransactionKey, input: invite_server::Input) {
        let Some(ServerTransaction { machine: Machine::Invite(invite), path, last, due, .. }) =
            self.servers.get_mut(&key)
        else {
            return;
        };
        match (invite.on(input, self.context.now), &*last) {
            (invite_server::Effect::Repeat, Last::Alone(bytes)) => {
                self.flows.respond(*path, bytes.clone(), Direction::SentAgain, &mut self.context);
            }
            (invite_server::Effect::Absorb | invite_server::Effect::Repeat, _) => {}
            (invite_server::Effect::Terminate, _) => return self.forget(key),
        }
        self.invites.remove(&(*due, key));
        *due = invite.due().unwrap_or(*due);
        self.invites.insert((*due, key));
    }

    fn wake_invites(&mut self) {
        match self.invites.first() {
            Some((due, _)) => self.context.timers.set(TransactionTimer::Invite, *due),
            None => self.context.timers.cancel(TransactionTimer::Invite),
        }
    }
}

#[cfg(test)]
mod tests;
