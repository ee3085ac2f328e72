//! Many operations under way at a time.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sipreg::proto::binding::{Fate, Operation};
use sipreg::proto::{AskId, Time};
use sipreg::store::{Answer, Memory, Store, StoreEvent};

use crate::script::{Said, assert_ends_empty, at, fetch, next_event, register, said};

/// A store that is slow, and answers in no order.
pub struct Late {
    memory: Memory,
    waiting: Vec<(AskId, Operation, Time)>,
    random: StdRng,
    /// The times that it is asked before it says something.
    delay: u32,
}

impl Default for Late {
    fn default() -> Late {
        Late { memory: Memory::default(), waiting: Vec::new(), random: StdRng::seed_from_u64(3), delay: 2 }
    }
}

impl Store for Late {
    fn submit(&mut self, ask: AskId, operation: Operation, now: Time) -> Option<Answer> {
        self.waiting.push((ask, operation, now));
        None
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent> {
        if self.waiting.is_empty() {
            return Poll::Pending;
        }
        self.delay = self.delay.checked_sub(1).unwrap_or(2);
        if self.delay > 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let at = self.random.random_range(0..self.waiting.len());
        let (ask, operation, now) = self.waiting.swap_remove(at);
        Poll::Ready(StoreEvent::Answered { ask, answer: self.memory.perform(operation, now) })
    }

    fn len(&self) -> usize {
        self.memory.len()
    }
}

const USERS: u64 = 50;

/// RGR-007, RGR-008: each operation is answered once, as if it were the only one, and what is asked of one address-of-record when
/// the answer before is there finds what that left.
pub fn changes_of_many_addresses_at_once_do_not_touch_each_other(store: &mut dyn Store) {
    let user = |n: u64| format!("sip:u{n}@h");
    let mut answers = BTreeMap::new();
    let mut queues: Vec<VecDeque<u32>> = (0..USERS).map(|_| (1..=20).collect()).collect();
    let ask = |n: u64, cseq: u32| AskId(n * 1000 + u64::from(cseq));
    let mut open = 0;
    let mut submit =
        |store: &mut dyn Store, n: u64, open: &mut u32, answers: &mut BTreeMap<AskId, Answer>| {
            let queue = &mut queues[usize::try_from(n).unwrap()];
            while let Some(cseq) = queue.pop_front() {
                // The last one unbinds.
                let lifetime = if cseq == 20 { 0 } else { 60 + cseq };
                let change =
                    register(&user(n), &format!("call{n} {cseq}"), &[&format!("<sip:u{n}@h> {lifetime}")]);
                match store.submit(ask(n, cseq), Operation::Change(change), at(0)) {
                    Some(answer) => assert!(answers.insert(ask(n, cseq), answer).is_none()),
                    None => {
                        *open += 1;
                        break;
                    }
                }
            }
        };
    for n in 0..USERS {
        submit(store, n, &mut open, &mut answers);
    }
    while open > 0 {
        let StoreEvent::Answered { ask, answer } = next_event(store) else { panic!("it is sound") };
        assert!(answers.insert(ask, answer).is_none());
        open -= 1;
        submit(store, ask.0 / 1000, &mut open, &mut answers);
    }
    assert_eq!(answers.len(), 20 * usize::try_from(USERS).unwrap());
    for (AskId(id), answer) in answers {
        let (n, cseq) = (id / 1000, id % 1000);
        let contact = format!("<sip:u{n}@h>");
        let bound = format!("{contact} {} call{n} {cseq}", 60 + cseq);
        let expected = match cseq {
            1 => said(&[&bound], &[(Fate::Bound, &contact)]),
            20 => said(&[], &[(Fate::Removed, &contact)]),
            _ => said(&[&bound], &[(Fate::Refreshed, &contact)]),
        };
        assert_eq!(answer.map(|stored| Said::of(&stored, at(0))), Ok(expected), "{id}");
    }
    assert_eq!(fetch(store, &user(1), at(0)), Said::default());
    assert_ends_empty(store);
}
