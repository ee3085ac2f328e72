//! The server transactions that are alive: found by their request (RFC 3261 §17.2.3), ended by Timer J, and bounded in
//! memory.
//!
//! All of them live equally long, so that they end in the order in which they were answered: a queue serves as timer,
//! and the endpoint is asked to wake up for its head only. When the answers kept for repeating outgrow their limit, the
//! oldest go early: a copy of such a request is then served anew, which the registrar's own rules make harmless (the
//! nonce count is used up, the CSeq is not higher).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;

use super::replay::{Replay, Span};
use super::server::{Effect, Input, Server, State};
use crate::proto::client::plan::Timing;
use crate::proto::{FlowId, Time};
use crate::sip::{FieldError, Header, HeaderName, Host, Method, Request, Via};

/// What a transaction is found by: a keyed hash of what RFC 3261 §17.2.3 compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionKey(u64);

/// A table whose keys are keyed hashes already, so that it needs none of its own. It is asked by key and never gone
/// through: there may be a hundred thousand transactions, and a tree of them costs a cache miss per level.
type Table<K, V> = HashMap<K, V, BuildHasherDefault<AsItIs>>;

/// The number itself.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
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

/// Makes keys, such that nobody outside can tell which requests would share one.
#[derive(Clone, Copy, Debug)]
pub struct Keys(u64);

impl Keys {
    /// Keys of their own; `secret` is random.
    #[must_use]
    pub fn new(secret: u64) -> Keys {
        Keys(secret)
    }

    /// The key of a request: branch, sent-by and method; for a client of RFC 2543, whose branch says nothing, all that
    /// its copies have in common (§17.2.3).
    ///
    /// # Errors
    /// A header that is needed for it and cannot be read.
    pub fn of(&self, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        self.of_method(&request.method, request, via)
    }

    /// The key of the INVITE that an ACK or a CANCEL is about (§17.2.3, §9.2): all but the method is the same.
    ///
    /// # Errors
    /// As [`Keys::of`].
    pub fn of_invite(&self, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        self.of_method(&Method::Invite, request, via)
    }

    fn of_method(&self, method: &Method, request: &Request, via: &Via) -> Result<TransactionKey, FieldError> {
        let mut hasher = self.hasher();
        method.hash(&mut hasher);
        sent_by(via, &mut hasher);
        match via.branch() {
            // The cookie alone names nothing (RFC 4475 §3.3.1).
            Some(branch) if branch.len() > MAGIC.len() && branch.starts_with(MAGIC) => {
                branch.hash(&mut hasher)
            }
            Some(_) | None => {
                let headers = &request.headers;
                request.uri.hash(&mut hasher);
                headers.to()?.tag().hash(&mut hasher);
                headers.from()?.tag().hash(&mut hasher);
                headers.call_id()?.hash(&mut hasher);
                headers.cseq()?.number.hash(&mut hasher);
                via.branch().hash(&mut hasher);
            }
        }
        Ok(TransactionKey(hasher.finish()))
    }

    /// What two requests share that reached us on two ways (§8.2.2.2).
    #[must_use]
    pub fn of_merged(&self, from_tag: Option<&str>, call_id: &str, cseq: u32, method: &Method) -> u64 {
        let mut hasher = self.hasher();
        (from_tag, call_id, cseq, method).hash(&mut hasher);
        hasher.finish()
    }

    /// A To tag that is the same for every copy of a request, with nothing kept (§8.2.7).
    #[must_use]
    pub fn tag(&self, request: &Request) -> String {
        let mut hasher = self.hasher();
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            request.headers.get(&name).map(Header::value).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    fn hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }
}

/// Begins every branch since RFC 3261 (§8.1.1.7).
const MAGIC: &str = "z9hG4bK";

fn sent_by(via: &Via, hasher: &mut DefaultHasher) {
    match &via.host {
        Host::Name(name) => name.bytes().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase())),
        Host::V4(address) => address.hash(hasher),
        Host::V6(address) => address.hash(hasher),
    }
    via.port.hash(hasher);
}

/// Where the answers of a request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPath {
    /// The socket or connection that the request came in on.
    pub flow: FlowId,
    /// To whom.
    pub peer: SocketAddr,
    /// Where the client listens, by its Via: for when the connection is gone (§18.2.2).
    pub listens: SocketAddr,
}

#[derive(Debug)]
struct Live {
    machine: Server,
    merged: u64,
    way: ReturnPath,
    last: Last,
    /// When Timer J runs out.
    over: Time,
}

/// The last answer.
#[derive(Debug)]
enum Last {
    None,
    /// The 100: there are few.
    Trying(Bytes),
    /// The final one.
    Final(Span),
}

impl Last {
    fn len(&self) -> usize {
        match self {
            Last::None => 0,
            Last::Trying(trying) => trying.len(),
            Last::Final(place) => place.len(),
        }
    }
}

/// What one transaction costs besides its answer, in octets, about.
const OVERHEAD: usize = 250;

/// All server transactions that are alive.
#[derive(Debug)]
pub struct Transactions {
    live: Table<TransactionKey, Live>,
    merged: Table<u64, TransactionKey>,
    /// Those for which 100 comes due, in this order.
    slow: VecDeque<(Time, TransactionKey)>,
    /// Those that are kept until Timer J, in this order.
    kept: VecDeque<(Time, TransactionKey)>,
    answers: Replay,
    timing: Timing,
    octets: usize,
    limit: usize,
}

/// What is known of a request that has just come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It is new.
    New,
    /// It is a copy of one that waits for its answer.
    Waiting,
    /// It is a copy of one that has this answer.
    Answered(ReturnPath, Bytes),
    /// It is another's copy that came another way: 482 (§8.2.2.2).
    Merged,
}

impl Transactions {
    /// None yet. Answers of up to `limit` octets in all are kept for repeating.
    #[must_use]
    pub fn new(timing: Timing, limit: usize) -> Transactions {
        Transactions {
            live: Table::default(),
            merged: Table::default(),
            slow: VecDeque::new(),
            kept: VecDeque::new(),
            answers: Replay::default(),
            timing,
            octets: 0,
            limit,
        }
    }

    /// Whether a request was seen before.
    pub fn look_up(&mut self, key: TransactionKey, merged: u64) -> Lookup {
        match self.live.get_mut(&key) {
            Some(live) => match live.machine.on(Input::Copy) {
                Effect::Repeat => {
                    let answer = match &live.last {
                        Last::None => Bytes::new(),
                        Last::Trying(trying) => trying.clone(),
                        Last::Final(place) => Bytes::copy_from_slice(self.answers.get(*place)),
                    };
                    Lookup::Answered(live.way, answer)
                }
                Effect::Absorb | Effect::Trying | Effect::Keep(_) | Effect::Finish | Effect::Terminate => {
                    Lookup::Waiting
                }
            },
            None if self.merged.contains_key(&merged) => Lookup::Merged,
            None => Lookup::New,
        }
    }

    /// Begins a transaction for a request that is new.
    pub fn begin(&mut self, key: TransactionKey, merged: u64, reliable: bool, way: ReturnPath, now: Time) {
        let machine = Server::start(reliable, self.timing);
        self.live.insert(key, Live { machine, merged, way, last: Last::None, over: now });
        self.merged.insert(merged, key);
        self.slow.push_back((now + Server::patience(self.timing), key));
        self.octets += OVERHEAD;
    }

    /// The transaction user answers. Where the answer goes; `None`: it was answered before, or is no more.
    pub fn answer(&mut self, key: TransactionKey, answer: &[u8], now: Time) -> Option<ReturnPath> {
        let live = self.live.get_mut(&key)?;
        let way = live.way;
        match live.machine.on(Input::Final) {
            Effect::Keep(time) => {
                self.octets = self.octets + answer.len() - live.last.len();
                live.last = Last::Final(self.answers.keep(answer));
                live.over = now + time;
                self.kept.push_back((live.over, key));
                self.shrink();
                Some(way)
            }
            Effect::Finish => {
                self.forget(key);
                Some(way)
            }
            Effect::Absorb | Effect::Trying | Effect::Repeat | Effect::Terminate => None,
        }
    }

    /// Where the answers of a transaction go.
    #[must_use]
    pub fn way(&self, key: TransactionKey) -> Option<ReturnPath> {
        self.live.get(&key).map(|live| live.way)
    }

    /// A transaction that has kept its client waiting so long that it gets a 100 now, and where that goes.
    pub fn next_slow(&mut self, now: Time) -> Option<(TransactionKey, ReturnPath)> {
        while let Some((_, key)) = self.slow.pop_front_if(|(due, _)| *due <= now) {
            if let Some(live) = self.live.get_mut(&key)
                && live.machine.on(Input::Slow) == Effect::Trying
            {
                return Some((key, live.way));
            }
        }
        None
    }

    /// Keeps the 100 for copies of the request.
    pub fn trying(&mut self, key: TransactionKey, answer: Bytes) {
        if let Some(live) = self.live.get_mut(&key) {
            self.octets = self.octets + answer.len() - live.last.len();
            live.last = Last::Trying(answer);
        }
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: Time) {
        while let Some((over, key)) = self.kept.pop_front_if(|(over, _)| *over <= now) {
            self.end(key, over);
        }
    }

    /// When [`Transactions::expire`] or [`Transactions::next_slow`] has something to do next.
    pub fn next_due(&mut self) -> Option<Time> {
        while self.slow.front().is_some_and(|(_, key)| !self.is_trying(*key)) {
            self.slow.pop_front();
        }
        let heads = [self.slow.front(), self.kept.front()];
        heads.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    fn is_trying(&self, key: TransactionKey) -> bool {
        self.live.get(&key).is_some_and(|live| live.machine.state() == State::Trying)
    }

    /// Lets the oldest answers go until the rest fits.
    fn shrink(&mut self) {
        while self.octets > self.limit
            && let Some((over, key)) = self.kept.pop_front()
        {
            self.end(key, over);
        }
    }

    /// Ends a transaction, unless its key is that of a later one by now.
    fn end(&mut self, key: TransactionKey, over: Time) {
        if self.live.get(&key).is_some_and(|live| live.over == over) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: TransactionKey) {
        if let Some(live) = self.live.remove(&key) {
            self.octets -= OVERHEAD + live.last.len();
            if let Last::Final(place) = live.last {
                self.answers.release(place);
            }
            self.merged.remove(&live.merged);
        }
    }
}

#[cfg(test)]
mod tests;
