//! Transactions (RFC 3261 §17): what makes one request and its responses a unit over an unreliable network.
//!
//! [`client`], [`invite_client`], [`server`] and [`invite_server`] are the machines of one transaction each.
//! `Transactions` holds all that are alive and knows whose each is: it sends requests, finds the one that a response
//! answers, knows requests that come again, and repeats what has to be repeated.
//!
//! A response reaches its owner only if everything in it fits the request it claims to answer: branch and CSeq method
//! (§17.1.3), sent-by (§18.1.2), and Call-ID, From tag and CSeq number, which a stranger who saw only the branch would
//! not know. It has a single Via where the request was ours (§8.1.3.3), and more where the proxy forwarded it (§16.7).
//! Where it came from does not count: answers may come from another address or port.
//!
//! Server transactions that have been answered all live equally long, so that they end in the order in which they were
//! answered: a queue serves as timer, and the endpoint is asked to wake up for its head only. When the answers kept for
//! repeating outgrow their limit, the oldest go early: a copy of such a request is then served anew, which the
//! registrar's own rules make harmless (the nonce count is used up, the CSeq is not higher). Those of INVITEs stay: there
//! are as many as a server takes calls.
//!
//! Of a call that was accepted both sides live on for 64·T1 (RFC 6026), with next to nothing: no request, no answer, no
//! flow. Queues serve as their timers, too.
//!
//! The file is long because a response, a copy of a request and a flow that fails all end at the same table.

mod absorbing;
pub mod client;
pub mod invite_client;
pub mod invite_server;
mod key;
mod replay;
pub mod server;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::context::Context;
use super::flow::{Flows, ReturnPath, Side};
use super::ids::{Branch, Random, Tag};
use super::timers::{Timing, TransactionTimer};
use super::{AnswerFault, Cause, ContextId, Direction, FlowId, RegistrationId, Time};
use crate::sip::{CSeq, HeaderName, Headers, Host, Method, Request, Response, Via};
use absorbing::Absorbing;
use invite_client::InviteClient;
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

/// A request to be sent, and by what its responses are known.
#[derive(Debug)]
pub struct Outgoing {
    /// The request as it goes on the wire.
    pub bytes: Bytes,
    /// The method of the request.
    pub method: Method,
    /// Of its Via.
    pub branch: Branch,
    /// Host and port of its Via, where one is written.
    pub sent_by: (Host, Option<u16>),
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
    /// A 1xx, 100 too. Told of branches of the proxy only.
    Provisional(Response),
    /// The final response, with its Via, and who sent it. To an INVITE every 2xx comes, copies too, until
    /// [`Heard::Over`]. After any other final response nothing more is heard.
    Final(Response, Via, SocketAddr),
    /// Timer F, or B: as if a 408 had come (§8.1.3.1). Nothing more is heard.
    Timeout,
    /// The request does not arrive: as if a 503 had come (§8.1.3.1). Nothing more is heard.
    Undeliverable(Cause),
    /// Timer M: no further 2xx comes. Told of branches of the proxy only.
    Over,
}

/// What an ACK is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// A refusal, or nothing that waits for it: the transaction has taken it.
    Absorbed,
    /// A 2xx: it is for the transaction user (RFC 6026 §7.1).
    Accepted,
    /// No INVITE is known that it could belong to.
    Unknown,
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

/// Which client transaction. A CANCEL has the branch of its INVITE (§9.1); no other two have one in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKey(Branch, Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Request,
    Invite,
}

impl ClientKey {
    fn of(branch: Branch, method: &Method) -> ClientKey {
        let is_invite = *method == Method::Invite;
        ClientKey(branch, if is_invite { Kind::Invite } else { Kind::Request })
    }

    /// Whose timer it is.
    fn timed(branch: Branch, timer: Timer) -> ClientKey {
        match timer {
            Timer::A | Timer::B | Timer::D | Timer::M => ClientKey(branch, Kind::Invite),
            Timer::E | Timer::F | Timer::K => ClientKey(branch, Kind::Request),
        }
    }

    /// All that may have this branch.
    fn all(branch: Branch) -> [ClientKey; 2] {
        [Kind::Request, Kind::Invite].map(|kind| ClientKey(branch, kind))
    }
}

struct ClientTransaction {
    /// `None`: a CANCEL, of whose fate nobody hears.
    owner: Option<Owner>,
    flow: FlowId,
    peer: SocketAddr,
    method: Method,
    machine: ClientMachine,
    sends: u32,
    stage: Stage,
}

enum ClientMachine {
    Request(Client),
    Invite(InviteClient),
}

impl ClientMachine {
    /// Starts the one that the method needs, with its first effects.
    fn start(method: &Method, reliable: bool, timing: Timing) -> (ClientMachine, Vec<Effect>) {
        if *method == Method::Invite {
            let (machine, effects) = InviteClient::start(reliable, timing);
            (ClientMachine::Invite(machine), effects)
        } else {
            let (machine, effects) = Client::start(reliable, timing);
            (ClientMachine::Request(machine), effects)
        }
    }

    fn on_response(&mut self, status: u16) -> Vec<Effect> {
        match self {
            ClientMachine::Request(client) if status < 200 => client.on(Input::Provisional),
            ClientMachine::Request(client) => client.on(Input::Final),
            ClientMachine::Invite(invite) => invite.on(match status {
                ..200 => invite_client::Input::Provisional,
                200..300 => invite_client::Input::Success,
                300.. => invite_client::Input::Failure,
            }),
        }
    }

    fn on_timer(&mut self, timer: Timer) -> Vec<Effect> {
        match self {
            ClientMachine::Request(client) => client.on(Input::Fired(timer)),
            ClientMachine::Invite(invite) => invite.on(invite_client::Input::Fired(timer)),
        }
    }

    fn on_error(&mut self) -> Vec<Effect> {
        match self {
            ClientMachine::Request(client) => client.on(Input::TransportError),
            ClientMachine::Invite(invite) => invite.on(invite_client::Input::TransportError),
        }
    }

    /// Only an INVITE is cancelled.
    fn on_cancel(&mut self) -> Vec<Effect> {
        match self {
            ClientMachine::Request(_) => Vec::new(),
            ClientMachine::Invite(invite) => invite.on(invite_client::Input::Cancel),
        }
    }

    /// Whether what leaves for the other side now can be its request.
    fn is_sending(&self) -> bool {
        match self {
            ClientMachine::Request(_) => true,
            ClientMachine::Invite(invite) => matches!(invite.state(), invite_client::State::Calling { .. }),
        }
    }

    fn sends_copies(&self) -> bool {
        match self {
            ClientMachine::Request(client) => client.sends_copies(),
            ClientMachine::Invite(invite) => invite.sends_copies(),
        }
    }
}

/// What is kept of a request, and for what.
enum Stage {
    /// It waits for its response.
    Pending(Box<Pending>),
    /// It has its final response: a copy of that is absorbed, whatever it says.
    Answered,
    /// An INVITE was refused: this ACK goes with each copy of the refusal.
    Refused(Bytes),
    /// An INVITE was accepted: by this every other 2xx to it is known.
    Accepted { call_id: Arc<str>, cseq: u32 },
}

/// A request that waits for its response.
struct Pending {
    outgoing: Outgoing,
    /// The Reason of the CANCEL, should there be one.
    reason: Option<Bytes>,
    /// When Timer F or B fires. It is set with the first copy that Timer E or A sends, where there is one: most never need it.
    gives_up: Option<Time>,
}

impl Pending {
    /// Whether a response with our branch, with this Via and CSeq, really answers this request. A server that drops the
    /// port from our Via, or adds one, is forgiven: what else has to fit, nobody guesses.
    fn fits(&self, response: &Response, via: &Via, cseq: &CSeq) -> Result<(), AnswerFault> {
        let Outgoing { sent_by: (host, port), from_tag, call_id, cseq: number, .. } = &self.outgoing;
        if via.host != *host || via.port.is_some() && port.is_some() && via.port != *port {
            return Err(AnswerFault::SentBy);
        }
        is_of_call(&response.headers, call_id, (*number, cseq.number))?;
        let is_of = |tag: Tag| has_tag(&response.headers, tag);
        if from_tag.is_none_or(is_of) { Ok(()) } else { Err(AnswerFault::FromTag) }
    }
}

/// Whether Call-ID and CSeq number are those of the request.
fn is_of_call(headers: &Headers, call_id: &str, (ours, theirs): (u32, u32)) -> Result<(), AnswerFault> {
    if ours != theirs {
        return Err(AnswerFault::Number);
    }
    if headers.call_id().is_ok_and(|id| id == call_id) { Ok(()) } else { Err(AnswerFault::CallId) }
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
    /// When its 100 is due, then when it ends (Timer J); or when an INVITE's next timer fires.
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
    Client(ClientKey),
    Server(TransactionKey),
}

/// All transactions that are alive, on the layers below them: what their users stand on.
pub(super) struct Transactions {
    pub flows: Flows,
    pub context: Context,
    clients: BTreeMap<ClientKey, ClientTransaction>,
    /// Client transactions that have their final response, and until when.
    absorbing: Absorbing,
    servers: Table<TransactionKey, ServerTransaction>,
    merged: Table<u64, TransactionKey>,
    /// Server transactions for which 100 comes due, in this order.
    slow: VecDeque<(Time, TransactionKey)>,
    /// Those that are kept until Timer J, in this order.
    answered: VecDeque<(Time, TransactionKey)>,
    /// INVITEs that were refused, by when their next timer fires.
    invites: BTreeSet<(Time, TransactionKey)>,
    /// INVITEs that were accepted, until Timer L, in this order.
    accepted: VecDeque<(Time, TransactionKey)>,
    by_flow: BTreeSet<(FlowId, SocketAddr, OfFlow)>,
    keys: Option<Keys>,
    /// Whether a server is at work. A device answers at once and seldom: what it keeps goes when it answers the next
    /// request, and wakes nobody.
    serves: bool,
    timing: Timing,
    replay: Replay,
    /// Octets of answers that are kept, with what their transactions cost, and how many there may be.
    octets: usize,
    limit: usize,
    /// Of those octets, the ones of answers to INVITEs that wait for another answer, or for their ACK.
    pinned: usize,
}

impl Transactions {
    pub fn new(random: Box<dyn Random + Send>) -> Transactions {
        Transactions {
            flows: Flows::default(),
            context: Context::new(random),
            clients: BTreeMap::new(),
            absorbing: Absorbing::default(),
            servers: Table::default(),
            merged: Table::default(),
            slow: VecDeque::new(),
            answered: VecDeque::new(),
            invites: BTreeSet::new(),
            accepted: VecDeque::new(),
            by_flow: BTreeSet::new(),
            keys: None,
            serves: false,
            timing: Timing::default(),
            replay: Replay::default(),
            octets: 0,
            limit: REPLAY,
            pinned: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.absorbing.is_empty()
            && self.servers.is_empty()
            && self.by_flow.is_empty()
    }

    /// A flow is gone: what was to be sent on it is forgotten. An INVITE that was accepted needs none: another 2xx may come
    /// on any.
    pub fn end(&mut self, flow: FlowId) {
        let of_flow: Vec<OfFlow> = self.of_flow(flow).map(|(_, row)| row).collect();
        for row in of_flow {
            match row {
                OfFlow::Client(key) => self.terminate(key),
                OfFlow::Server(key) => self.forget(key),
            }
        }
        self.absorbing.prune(|key| !self.clients.contains_key(&key));
        self.wake_absorbing();
        self.wake_invites();
        if self.servers.is_empty() {
            self.slow.clear();
            self.answered.clear();
            self.context.timers.cancel(TransactionTimer::Server);
        }
    }

    fn of_flow(&self, flow: FlowId) -> impl Iterator<Item = (SocketAddr, OfFlow)> {
        let first = (flow, LOWEST, OfFlow::Client(ClientKey(Branch(0), Kind::Request)));
        let of_flow = self.by_flow.range(first..).take_while(move |(of, ..)| *of == flow);
        of_flow.map(|(_, peer, row)| (*peer, *row))
    }
}

/// No address comes before this one.
const LOWEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

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
        self.start(Some(owner), outgoing, (flow, peer), timing);
    }

    fn start(
        &mut self,
        owner: Option<Owner>,
        outgoing: Outgoing,
        (flow, peer): (FlowId, SocketAddr),
        timing: Timing,
    ) {
        let reliable = self.flows.get(flow).is_some_and(|flow| flow.transport.is_reliable());
        let method = outgoing.method.clone();
        let (machine, effects) = ClientMachine::start(&method, reliable, timing);
        let key = ClientKey::of(outgoing.branch, &method);
        let stage = Stage::Pending(Box::new(Pending { outgoing, reason: None, gives_up: None }));
        self.clients.insert(key, ClientTransaction { owner, flow, peer, method, machine, sends: 0, stage });
        self.by_flow.insert((flow, peer, OfFlow::Client(key)));
        self.carry_out(key, effects, None);
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
        let (owner, key, via) = match self.recognise(&response) {
            Ok(known) => known,
            Err(fault) => return Err(self.refuse_answer(flow, &response, fault)),
        };
        let effects = self.clients.get_mut(&key).map(|known| known.machine.on_response(response.status));
        let tell = self.carry_out(key, effects.unwrap_or_default(), Some(&response));
        let heard = match (owner, tell) {
            (Some(_), Some(Tell::Final)) => Heard::Final(response, via, peer),
            (Some(Owner::Branch(..)), Some(Tell::Provisional)) => Heard::Provisional(response),
            (_, None | Some(_)) => return Ok(None),
        };
        Ok(owner.map(|owner| (owner, heard)))
    }

    /// Whether a request is one of ours that comes back as it was sent, from somebody who echoes: its topmost Via is that of
    /// a client transaction.
    pub fn is_echo(&self, request: &Request) -> bool {
        let via = request.headers.top_via().ok();
        let branch = via.and_then(|via| Branch::parse(via.branch()?));
        branch.is_some_and(|branch| self.clients.contains_key(&ClientKey::of(branch, &request.method)))
    }

    /// The transaction that a response belongs to.
    fn recognise(&self, response: &Response) -> Result<(Option<Owner>, ClientKey, Via), AnswerFault> {
        let headers = &response.headers;
        let via = headers.top_via().map_err(|error| AnswerFault::Via(error.problem))?;
        let branch = via.branch().and_then(Branch::parse).ok_or(AnswerFault::Branch)?;
        if !ClientKey::all(branch).iter().any(|key| self.clients.contains_key(key)) {
            return Err(AnswerFault::Branch);
        }
        let cseq = headers.cseq().map_err(|error| AnswerFault::CSeq(error.problem))?;
        let key = ClientKey::of(branch, &cseq.method);
        let transaction = self.clients.get(&key).filter(|known| known.method == cseq.method);
        let transaction = transaction.ok_or(AnswerFault::Method)?;
        let is_ours = !matches!(transaction.owner, Some(Owner::Branch(..)));
        if is_ours != (headers.via_count() == 1) {
            return Err(AnswerFault::Vias);
        }
        match &transaction.stage {
            Stage::Pending(pending) => pending.fits(response, &via, &cseq)?,
            Stage::Accepted { call_id, cseq: number } => {
                is_of_call(headers, call_id, (*number, cseq.number))?;
            }
            Stage::Answered | Stage::Refused(_) => {}
        }
        Ok((transaction.owner, key, via))
    }

    /// Whose request an answer must have meant that can't be used: by its branch, else by its Call-ID, else any that waits.
    #[cold]
    fn refuse_answer(&self, flow: FlowId, response: &Response, fault: AnswerFault) -> UnusableAnswer {
        let headers = &response.headers;
        let branch = headers.top_via().ok().and_then(|via| Branch::parse(via.branch()?));
        let mut concerns = self.waiting_on(flow);
        let is_known =
            |branch: Branch| ClientKey::all(branch).iter().any(|key| self.clients.contains_key(key));
        if let Some(known) = branch.filter(|branch| is_known(*branch)) {
            concerns.retain(|branch| *branch == known);
        } else if let Ok(id) = headers.call_id() {
            let is_of = |branch: &Branch| {
                let pending = ClientKey::all(*branch).into_iter().find_map(|key| self.pending(key));
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

    /// The first of the requests on a flow that wait for an answer. Those of a server are none of a registration, and too
    /// many to be gone through.
    fn waiting_on(&self, flow: FlowId) -> Vec<Branch> {
        if self.flows.get(flow).is_some_and(|flow| flow.side() == Side::Server) {
            return Vec::new();
        }
        let waits = |key: &ClientKey| self.pending(*key).is_some();
        self.clients_of(flow).filter(waits).map(|ClientKey(branch, _)| branch).take(MOST_CONCERNED).collect()
    }

    fn owners(&self, branches: &[Branch]) -> Vec<RegistrationId> {
        let owner = |branch: &Branch| match self.clients.get(&ClientKey(*branch, Kind::Request))?.owner? {
            Owner::Registration(id) => Some(id),
            Owner::Registrar | Owner::Device | Owner::Proxy(_) | Owner::Branch(..) => None,
        };
        branches.iter().filter_map(owner).collect()
    }

    fn clients_of(&self, flow: FlowId) -> impl Iterator<Item = ClientKey> {
        self.of_flow(flow).filter_map(|(_, row)| match row {
            OfFlow::Client(key) => Some(key),
            OfFlow::Server(_) => None,
        })
    }

    fn pending(&self, key: ClientKey) -> Option<&Pending> {
        match &self.clients.get(&key)?.stage {
            Stage::Pending(pending) => Some(pending),
            Stage::Answered | Stage::Refused(_) | Stage::Accepted { .. } => None,
        }
    }

    /// The requests on a flow that wait for an answer from there. Mostly there is one: a request and the one it repeats
    /// with credentials go to the same peer, and only the second still waits. An INVITE that rings is not among them where
    /// messages may be lost: what did not arrive was another message.
    pub fn waiting(&self, flow: FlowId, peer: SocketAddr) -> Vec<Branch> {
        let first = (flow, peer, OfFlow::Client(ClientKey(Branch(0), Kind::Request)));
        let there = self.by_flow.range(first..).take_while(|(of, to, _)| (*of, *to) == (flow, peer));
        let mut waiting: Vec<Branch> = there
            .filter_map(|(.., row)| match row {
                OfFlow::Client(key) => self.pending(*key).map(|_| *key),
                OfFlow::Server(_) => None,
            })
            .filter(|key| self.clients.get(key).is_some_and(|known| known.machine.is_sending()))
            .map(|ClientKey(branch, _)| branch)
            .collect();
        waiting.dedup();
        waiting
    }

    /// The branches of the proxy on a flow that wait for an answer: when the flow is lost, each is to [`fail`](Self::fail).
    pub fn clients_on(&self, flow: FlowId) -> Vec<Branch> {
        let waits = |key: &ClientKey| {
            let is_branch = |known: &ClientTransaction| matches!(known.owner, Some(Owner::Branch(..)));
            self.clients.get(key).is_some_and(is_branch) && self.pending(*key).is_some()
        };
        self.clients_of(flow).filter(waits).map(|ClientKey(branch, _)| branch).collect()
    }

    /// The network says that a request does not arrive.
    pub fn fail(&mut self, branch: Branch, cause: Cause) -> Option<(Owner, Heard)> {
        let mut heard = None;
        for key in ClientKey::all(branch) {
            let Some(transaction) = self.clients.get_mut(&key) else { continue };
            let (owner, effects) = (transaction.owner, transaction.machine.on_error());
            if self.carry_out(key, effects, None) == Some(Tell::TransportError) {
                heard = owner.or(heard);
            }
        }
        heard.map(|owner| (owner, Heard::Undeliverable(cause)))
    }

    /// One of its timers has fired.
    pub fn fired(&mut self, branch: Branch, timer: Timer) -> Option<(Owner, Heard)> {
        let key = ClientKey::timed(branch, timer);
        let transaction = self.clients.get_mut(&key)?;
        let (owner, effects) = (transaction.owner, transaction.machine.on_timer(timer));
        let heard = match self.carry_out(key, effects, None) {
            Some(Tell::Timeout) => Heard::Timeout,
            Some(Tell::Over) => Heard::Over,
            None if matches!(timer, Timer::A | Timer::E) => Heard::Copy,
            None | Some(Tell::Provisional | Tell::Final | Tell::TransportError) => return None,
        };
        owner.map(|owner| (owner, heard))
    }

    /// Nobody waits for the response of this request any more, and nobody is told: it is not cancelled. What has its final
    /// response goes on doing what that takes.
    pub fn cancel(&mut self, branch: Branch) {
        for key in ClientKey::all(branch) {
            let is_owned = self.clients.get(&key).is_some_and(|transaction| transaction.owner.is_some());
            if is_owned && self.pending(key).is_some() {
                self.terminate(key);
            }
        }
    }

    /// Nobody wants the call any more: the CANCEL of an INVITE that has no final response leaves at once, or with the
    /// first 1xx (§9.1). `reason` is the value of its Reason header (RFC 3326), which tells a device whether the call was
    /// missed. Its owner hears the final response, or a timeout where none comes for 64·T1.
    pub fn cancel_invite(&mut self, branch: Branch, reason: Option<&Bytes>) {
        let key = ClientKey(branch, Kind::Invite);
        if let Some(transaction) = self.clients.get_mut(&key) {
            if let Stage::Pending(pending) = &mut transaction.stage {
                pending.reason = reason.cloned();
            }
            let effects = transaction.machine.on_cancel();
            self.carry_out(key, effects, None);
        }
    }

    /// Sends the CANCEL of an INVITE, in a transaction of its own.
    fn send_cancel(&mut self, ClientKey(branch, kind): ClientKey) {
        let Some(ClientTransaction { flow, peer, machine: ClientMachine::Invite(invite), stage, .. }) =
            self.clients.get(&ClientKey(branch, kind))
        else {
            return;
        };
        let Stage::Pending(pending) = stage else { return };
        let Outgoing { bytes, sent_by, call_id, cseq, .. } = &pending.outgoing;
        let reason = pending.reason.as_ref();
        let Some(bytes) = invite_client::cancel(bytes, reason).filter(|_| self.flows.has(*flow)) else {
            return;
        };
        let outgoing = Outgoing {
            bytes,
            method: Method::Cancel,
            branch,
            sent_by: sent_by.clone(),
            from_tag: None,
            call_id: call_id.clone(),
            cseq: *cseq,
        };
        let (to, timing) = ((*flow, *peer), invite.timing());
        self.start(None, outgoing, to, timing);
    }

    /// Does what the machine says; `response` is what it was told of. What is to be told is told last, so that the
    /// transaction is settled before its owner starts the next one.
    fn carry_out(
        &mut self,
        key: ClientKey,
        effects: Vec<Effect>,
        response: Option<&Response>,
    ) -> Option<Tell> {
        let mut tell = None;
        for effect in effects {
            match effect {
                Effect::Transmit => self.transmit(key),
                Effect::Start(timer, wait) => self.start_timer(key, timer, self.context.now + wait),
                Effect::Stop(timer) => self.context.timers.cancel(TransactionTimer::Client(key.0, timer)),
                Effect::Tell(what) => {
                    tell = Some(what);
                    if what == Tell::Final {
                        self.settle(key);
                    }
                }
                Effect::Acknowledge => self.acknowledge_refusal(key, response),
                Effect::Cancel => self.send_cancel(key),
                Effect::Terminate => self.terminate(key),
            }
        }
        tell
    }

    /// The final response is there, and the request is needed no more.
    fn settle(&mut self, key: ClientKey) {
        let Some(transaction) = self.clients.get_mut(&key) else { return };
        let Stage::Pending(pending) = &transaction.stage else { return };
        transaction.stage = match &transaction.machine {
            ClientMachine::Request(_) => Stage::Answered,
            ClientMachine::Invite(_) => {
                self.by_flow.remove(&(transaction.flow, transaction.peer, OfFlow::Client(key)));
                Stage::Accepted { call_id: pending.outgoing.call_id.clone(), cseq: pending.outgoing.cseq }
            }
        };
    }

    /// Sends the ACK for a refusal: made for the first, repeated for copies of it.
    fn acknowledge_refusal(&mut self, key: ClientKey, response: Option<&Response>) {
        let Some(transaction) = self.clients.get_mut(&key) else { return };
        let mut direction = Direction::SentAgain;
        if let Stage::Pending(pending) = &transaction.stage {
            let invite = &pending.outgoing.bytes;
            let ack = response.and_then(|response| invite_client::acknowledge(invite, response));
            transaction.stage = ack.map_or(Stage::Answered, Stage::Refused);
            direction = Direction::Sent;
        }
        let (flow, peer) = (transaction.flow, transaction.peer);
        if let Stage::Refused(ack) = &transaction.stage
            && self.flows.has(flow)
        {
            self.flows.send(flow, peer, ack.clone(), direction, &mut self.context);
        }
    }

    fn start_timer(&mut self, key: ClientKey, timer: Timer, at: Time) {
        let Some(transaction) = self.clients.get_mut(&key) else { return };
        match (timer, &mut transaction.stage) {
            (Timer::F | Timer::B, Stage::Pending(pending)) if transaction.machine.sends_copies() => {
                pending.gives_up = Some(at);
                return;
            }
            (Timer::E | Timer::A, Stage::Pending(pending)) if transaction.sends > 1 => {
                if let Some(at) = pending.gives_up.take() {
                    let gives_up = if timer == Timer::E { Timer::F } else { Timer::B };
                    self.context.timers.set(TransactionTimer::Client(key.0, gives_up), at);
                }
            }
            (Timer::K | Timer::D | Timer::M, _) => {
                self.absorbing.push(timer, at, key);
                return self.wake_absorbing();
            }
            (Timer::A | Timer::B | Timer::E | Timer::F, _) => {}
        }
        self.context.timers.set(TransactionTimer::Client(key.0, timer), at);
    }

    fn transmit(&mut self, key: ClientKey) {
        let Some(transaction) = self.clients.get_mut(&key) else { return };
        transaction.sends += 1;
        let direction = if transaction.sends == 1 { Direction::Sent } else { Direction::SentAgain };
        if let Stage::Pending(pending) = &transaction.stage {
            let bytes = pending.outgoing.bytes.clone();
            self.flows.send(transaction.flow, transaction.peer, bytes, direction, &mut self.context);
        }
    }

    fn terminate(&mut self, key: ClientKey) {
        let ClientKey(branch, kind) = key;
        if let Some(transaction) = self.clients.remove(&key) {
            self.by_flow.remove(&(transaction.flow, transaction.peer, OfFlow::Client(key)));
        }
        let timers = match kind {
            Kind::Request => [Timer::E, Timer::F],
            Kind::Invite => [Timer::A, Timer::B],
        };
        for timer in timers {
            self.context.timers.cancel(TransactionTimer::Client(branch, timer));
        }
    }

    /// Timer K, D or M has fired for the first of them, at least. Whose INVITEs have had their time, and that it is so.
    pub fn absorbed(&mut self) -> Vec<(Owner, Heard)> {
        let mut over = Vec::new();
        while let Some((timer, ClientKey(branch, _))) = self.absorbing.pop(self.context.now) {
            over.extend(self.fired(branch, timer));
        }
        self.wake_absorbing();
        over
    }

    fn wake_absorbing(&mut self) {
        match self.absorbing.next() {
            Some(at) if self.context.timers.due(TransactionTimer::Absorbing) == Some(at) => {}
            Some(at) => self.context.timers.set(TransactionTimer::Absorbing, at),
            None => {
                self.absorbing.give_back();
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

    /// Forgets all server transactions, and the requests that were forwarded.
    pub fn stop_serving(&mut self) {
        self.serves = false;
        let is_forwarded = |(key, known): (&ClientKey, &ClientTransaction)| match known.owner {
            Some(Owner::Branch(..)) | None => Some(*key),
            Some(Owner::Registration(_) | Owner::Registrar | Owner::Device | Owner::Proxy(_)) => None,
        };
        let forwarded: Vec<ClientKey> = self.clients.iter().filter_map(is_forwarded).collect();
        forwarded.into_iter().for_each(|key| self.terminate(key));
        self.absorbing.prune(|key| !self.clients.contains_key(&key));
        self.wake_absorbing();
        self.servers = Table::default();
        self.merged = Table::default();
        self.slow = VecDeque::new();
        self.answered = VecDeque::new();
        self.invites = BTreeSet::new();
        self.accepted = VecDeque::new();
        self.by_flow.retain(|(.., row)| matches!(row, OfFlow::Client(_)));
        self.replay = Replay::default();
        self.octets = 0;
        self.pinned = 0;
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
        let due = self.context.now + Server::patience(self.timing);
        self.insert(key, ServerTransaction { owner, machine, merged, path, last: Last::None, due });
        self.slow.push_back((due, key));
        self.wake();
    }

    fn insert(&mut self, key: TransactionKey, transaction: ServerTransaction) {
        if let Some(merged) = transaction.merged {
            self.merged.insert(merged, key);
        }
        match transaction.owner {
            Owner::Device => {
                let ReturnPath { flow, peer, .. } = transaction.path;
                self.by_flow.insert((flow, peer, OfFlow::Server(key)));
            }
            // A server answers also when the connection is gone.
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

    /// A request that is no INVITE gets no final answer: its client has given up by now, and copies that are still on their
    /// way are absorbed.
    pub fn pass_over(&mut self, key: TransactionKey) {
        let Some(ServerTransaction { machine: Machine::Request(server), last, due, .. }) =
            self.servers.get_mut(&key)
        else {
            return;
        };
        match server.on(server::Input::Final) {
            server::Effect::Keep(time) => {
                self.octets -= last.len();
                *last = Last::None;
                *due = self.context.now + time;
                self.answered.push_back((*due, key));
            }
            server::Effect::Finish => self.forget(key),
            server::Effect::Absorb
            | server::Effect::Trying
            | server::Effect::Repeat
            | server::Effect::Terminate => {}
        }
        self.wake();
    }

    /// The path of a transaction's answers.
    pub fn path(&self, key: TransactionKey) -> Option<ReturnPath> {
        self.servers.get(&key).map(|transaction| transaction.path)
    }

    /// A transaction that has kept its client waiting so long that it gets a 100 now, from its owner.
    pub fn next_slow(&mut self) -> Option<(Owner, TransactionKey)> {
        while let Some((at, key)) = self.slow.pop_front_if(|(due, _)| *due <= self.context.now) {
            if let Some(ServerTransaction { machine: Machine::Request(server), owner, due, .. }) =
                self.servers.get_mut(&key)
                && *due == at
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
        while self.slow.front().is_some_and(|(due, key)| !self.is_trying(*key, *due)) {
            self.slow.pop_front();
        }
        let heads = [self.slow.front(), self.answered.front()];
        let first = heads.into_iter().flatten().map(|(due, _)| *due).min();
        self.context.wake(TransactionTimer::Server, first.filter(|_| self.serves));
    }

    fn is_trying(&self, key: TransactionKey, due: Time) -> bool {
        let transaction = self.servers.get(&key);
        transaction.filter(|transaction| transaction.due == due).is_some_and(|transaction| match &transaction
            .machine
        {
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
        if let Machine::Invite(_) = transaction.machine {
            self.pinned -= transaction.last.len();
        }
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
            let ReturnPath { flow, peer, .. } = transaction.path;
            self.by_flow.remove(&(flow, peer, OfFlow::Server(key)));
        }
    }
}

/// INVITE server transactions.
impl Transactions {
    /// Whether an INVITE is known by this key.
    pub fn has(&self, key: TransactionKey) -> bool {
        self.servers.contains_key(&key)
    }

    /// Whose the server transaction of this key is.
    pub fn owner_of(&self, key: TransactionKey) -> Option<Owner> {
        self.servers.get(&key).map(|transaction| transaction.owner)
    }

    /// Begins a transaction for an INVITE that is new; nothing is sent.
    pub fn begin_invite(&mut self, owner: Owner, key: TransactionKey, path: ReturnPath) {
        let machine = InviteServer::start(path.transport.is_reliable(), self.timing);
        let (machine, due) = (Machine::Invite(Box::new(machine)), self.context.now);
        self.insert(key, ServerTransaction { owner, machine, merged: None, path, last: Last::None, due });
    }

    /// A 1xx to an INVITE: sent, and kept for copies of the request. Whether that is so; it has its final answer, or is
    /// no more, if not.
    pub fn provisional(&mut self, key: TransactionKey, bytes: Bytes) -> bool {
        self.invite(key, invite_server::Input::Provisional, Some(bytes)) == invite_server::Effect::Send
    }

    /// A 2xx to an INVITE: sent, and not kept, since whoever accepts repeats it end to end; it may be another one, or a
    /// copy. Whether that is so; it was refused, or is no more, if not.
    pub fn accept(&mut self, key: TransactionKey, bytes: Bytes) -> bool {
        self.invite(key, invite_server::Input::Success, Some(bytes)) == invite_server::Effect::Send
    }

    /// The refusal of an INVITE, 300 to 699: sent, and repeated until it is acknowledged. Whether that is so; it has a
    /// final answer, or is no more, if not.
    pub fn complete_invite_final(&mut self, key: TransactionKey, bytes: Bytes) -> bool {
        self.invite(key, invite_server::Input::Failure, Some(bytes)) == invite_server::Effect::Send
    }

    /// The refusal of an INVITE that is new: sent, and kept for copies of the request. It is repeated until it is acknowledged.
    pub fn complete_invite(&mut self, owner: Owner, key: TransactionKey, path: ReturnPath, bytes: Bytes) {
        if owner == Owner::Device && self.invites.len() >= INVITES {
            return self.flows.respond(path, bytes, Direction::Sent, &mut self.context);
        }
        self.begin_invite(owner, key, path);
        self.complete_invite_final(key, bytes);
    }

    /// Forgets a transaction that has begun, as if its request had never come.
    pub fn drop_server(&mut self, key: TransactionKey) {
        self.forget(key);
        self.wake();
        self.wake_invites();
    }

    /// An ACK came for the INVITE of this key.
    pub fn acknowledge(&mut self, key: TransactionKey) -> Acknowledged {
        if !self.servers.contains_key(&key) {
            return Acknowledged::Unknown;
        }
        match self.invite(key, invite_server::Input::Ack, None) {
            invite_server::Effect::Pass => Acknowledged::Accepted,
            invite_server::Effect::Absorb
            | invite_server::Effect::Send
            | invite_server::Effect::Repeat
            | invite_server::Effect::Terminate => Acknowledged::Absorbed,
        }
    }

    /// The timer of an INVITE has fired, at least.
    pub fn invites_due(&mut self) {
        let now = self.context.now;
        while let Some((_, key)) = self.invites.first().copied().filter(|(due, _)| *due <= now) {
            self.invite(key, invite_server::Input::Due, None);
        }
        while let Some((due, key)) = self.accepted.pop_front_if(|(due, _)| *due <= now) {
            self.forget_of(key, due);
        }
        self.wake_invites();
    }

    /// Something happened to an INVITE; `answer` is what its transaction user answers, if it does.
    fn invite(
        &mut self,
        key: TransactionKey,
        input: invite_server::Input,
        answer: Option<Bytes>,
    ) -> invite_server::Effect {
        let Some(ServerTransaction { machine: Machine::Invite(invite), path, last, .. }) =
            self.servers.get_mut(&key)
        else {
            return invite_server::Effect::Absorb;
        };
        let before = invite.state();
        let effect = invite.on(input, self.context.now);
        let (path, after) = (*path, invite.state());
        match (effect, answer, &*last) {
            (invite_server::Effect::Send, Some(bytes), _) => {
                // Whoever accepts repeats that end to end.
                let is_accepted = matches!(after, invite_server::State::Accepted { .. });
                // What can't go early must leave room for the answers that can: others need theirs.
                let has_room = self.pinned + bytes.len() - last.len() <= self.limit / 2;
                let is_kept = !is_accepted && has_room;
                let kept = if is_kept { Last::Alone(bytes.clone()) } else { Last::None };
                self.octets = self.octets + kept.len() - last.len();
                self.pinned = self.pinned + kept.len() - last.len();
                *last = kept;
                self.flows.respond(path, bytes, Direction::Sent, &mut self.context);
                self.shrink();
            }
            (invite_server::Effect::Repeat, _, Last::Alone(bytes)) => {
                self.flows.respond(path, bytes.clone(), Direction::SentAgain, &mut self.context);
            }
            (invite_server::Effect::Terminate, ..) => self.forget(key),
            (
                invite_server::Effect::Absorb
                | invite_server::Effect::Pass
                | invite_server::Effect::Send
                | invite_server::Effect::Repeat,
                ..,
            ) => {}
        }
        if before != after {
            self.time_invite(key);
        }
        effect
    }

    /// Notes when the next timer of an INVITE fires. Timer L takes the same time for all, and a queue does for it.
    fn time_invite(&mut self, key: TransactionKey) {
        if let Some(ServerTransaction { machine: Machine::Invite(invite), due, .. }) =
            self.servers.get_mut(&key)
        {
            match (invite.state(), invite.due()) {
                (invite_server::State::Accepted { .. }, Some(over)) => {
                    *due = over.full_second();
                    self.accepted.push_back((*due, key));
                }
                (
                    invite_server::State::Completed { .. } | invite_server::State::Confirmed { .. },
                    Some(next),
                ) => {
                    self.invites.remove(&(*due, key));
                    *due = next;
                    self.invites.insert((next, key));
                }
                (_, None) | (invite_server::State::Proceeding | invite_server::State::Terminated, _) => {}
            }
        }
        self.wake_invites();
    }

    fn wake_invites(&mut self) {
        let heads = [self.invites.first(), self.accepted.front()];
        match heads.into_iter().flatten().map(|(due, _)| *due).min() {
            Some(due) if self.context.timers.due(TransactionTimer::Invite) == Some(due) => {}
            Some(due) => self.context.timers.set(TransactionTimer::Invite, due),
            None => {
                self.accepted.shrink_to(0);
                self.context.timers.cancel(TransactionTimer::Invite);
            }
        }
    }
}

#[cfg(test)]
mod tests;
