//! What every layer needs while it handles one event: the time, chance, the timers, and the queue of what is to be done.

use std::collections::VecDeque;

use bytes::Bytes;

use super::ids::Random;
use super::names::{Asked, Asker, Names};
use super::timers::Timers;
use super::{Action, DnsAnswer, Notice, QueryId, Question, Time, TimerKey};
use crate::sip::Response;

/// The endpoint's queue with its clock, its timers and its randomness. The endpoint has one, and lends it to its layers.
pub(super) struct Context {
    /// When the event came that is handled.
    pub now: Time,
    pub random: Box<dyn Random + Send>,
    pub timers: Timers,
    pub names: Names,
    pub actions: VecDeque<Action>,
    last_id: u64,
    /// Responses are written here first.
    scratch: Vec<u8>,
}

impl Context {
    pub fn new(random: Box<dyn Random + Send>) -> Context {
        Context {
            now: Time::from_millis(0),
            random,
            timers: Timers::default(),
            names: Names::default(),
            actions: VecDeque::new(),
            last_id: 0,
            scratch: Vec::new(),
        }
    }

    /// A number that was never given before.
    pub fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub fn notify(&mut self, notice: Notice) {
        self.push(Action::Notify(notice));
    }

    /// Asks the name service, unless an answer is known that is no older than `since`: that is returned, with the seconds
    /// that it is good for.
    pub fn resolve(&mut self, question: &Question, asker: Asker, since: Time) -> Option<(DnsAnswer, u32)> {
        let id = QueryId(self.last_id + 1);
        match self.names.ask(question, asker, since, id, self.now) {
            Asked::Known(answer, ttl) => Some((answer, ttl)),
            Asked::New(query) => {
                self.last_id = query.0;
                self.push(Action::Resolve { query, question: question.clone() });
                None
            }
            Asked::Under => None,
        }
    }

    /// Has this timer fire at `at`, or earlier: whoever it wakes looks what is due.
    pub fn wake(&mut self, key: impl Into<TimerKey>, at: Option<Time>) {
        let key = key.into();
        if let Some(at) = at
            && self.timers.due(key).is_none_or(|due| due > at)
        {
            self.timers.set(key, at);
        }
    }

    /// The octets of a response, in memory of just that size.
    pub fn write(&mut self, response: &Response) -> Bytes {
        self.scratch.clear();
        response.write(&mut self.scratch);
        Bytes::copy_from_slice(&self.scratch)
    }
}
