//! The location service in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Answer, Store, StoreEvent};
use crate::proto::binding::{
    Aor, Applied, Binding, Change, Effect, Operation, StoreFailure, Stored, apply, expired,
};
use crate::proto::{AskId, Time};

/// How many addresses-of-record one [`Operation::Expire`] looks at.
const AT_A_TIME: usize = 1000;

/// Bindings in memory: gone with the process.
///
/// Each address-of-record that has bindings is due once in a queue, when the first of them runs out or before: a refresh
/// leaves it there, and it is put off when its turn comes. So a refresh costs the queue nothing, and the queue is never
/// longer than the table.
#[derive(Debug, Default)]
pub struct Memory {
    /// Keyed with a secret of this process: nobody can choose names that collide.
    table: HashMap<Aor, Record>,
    queue: Queue,
    /// The bindings in `table`.
    len: usize,
    /// What they take, in octets, and how much they may; `None`: any number.
    octets: usize,
    limit: Option<usize>,
}

/// What one address-of-record takes in memory besides its name and its bindings, in octets, about: its places in the table
/// and in the queue.
const PER_RECORD: usize = 160;

/// A refresh may make a binding so large, in octets, also where no memory is left: it may say other words than before.
const ORDINARY: usize = 1024;

/// [`Record::due`] of every record.
#[derive(Debug, Default)]
struct Queue {
    all: BTreeSet<(Time, Aor)>,
    /// Of the first: it is asked for with every operation, and the way to it is longer the more there are.
    next: Option<Time>,
}

impl Queue {
    fn insert(&mut self, due: Time, aor: Aor) {
        self.all.insert((due, aor));
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    fn remove(&mut self, due: Time, aor: Aor) {
        self.all.remove(&(due, aor));
        if self.next == Some(due) {
            self.next = self.all.first().map(|(due, _)| *due);
        }
    }
}

/// The bindings of one address-of-record; never none.
#[derive(Debug)]
struct Record {
    bindings: Arc<[Binding]>,
    /// Not later than the first of them runs out.
    due: Time,
}

impl Store for Memory {
    fn submit(&mut self, _ask: AskId, operation: Operation, now: Time) -> Option<Answer> {
        Some(self.perform(operation, now))
    }

    fn poll(&mut self, _context: &mut Context<'_>) -> Poll<StoreEvent> {
        Poll::Pending
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// Bindings of one address-of-record that are live, and what became of others.
type Told = (Arc<[Binding]>, Vec<Effect>);

impl Memory {
    /// Bindings that take so many octets at most, their addresses-of-record included. What would take more is refused with
    /// [`StoreFailure::Full`]; refreshes and removals still go.
    #[must_use]
    pub fn bounded(limit: usize) -> Memory {
        Memory { limit: Some(limit), ..Memory::default() }
    }

    /// Carries out one operation at the time `now`, which never goes back.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn perform(&mut self, operation: Operation, now: Time) -> Answer {
        let (bindings, effects) = match operation {
            Operation::Change(change) => self.change(&change, now)?,
            Operation::Fetch(aor) => self.fetch(aor, now),
            Operation::Expire => (Arc::default(), self.expire(now)),
        };
        Ok(Stored { bindings, effects, next_expiry: self.next_expiry(now) })
    }

    /// As [`Stored::next_expiry`].
    pub(super) fn next_expiry(&self, now: Time) -> Option<Time> {
        self.queue.next.map(|due| now.max(due))
    }

    /// What all bindings take, in octets.
    #[cfg(feature = "redis")]
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Addresses-of-record of which something has run out at `now`, those first that were due first, a bounded number. Nothing is
    /// dropped.
    #[cfg(feature = "redis")]
    pub(super) fn due(&mut self, now: Time) -> Vec<Aor> {
        loop {
            let due = self.queue.all.iter().take_while(|(due, _)| *due <= now).take(AT_A_TIME);
            let due: Vec<Aor> = due.map(|(_, aor)| aor.clone()).collect();
            let is_over = due.is_empty();
            let mut found = Vec::new();
            for aor in due {
                let bindings = self.bindings(&aor);
                if bindings.iter().all(|binding| binding.is_live(now)) {
                    self.put(aor, bindings, now);
                } else {
                    found.push(aor);
                }
            }
            if is_over || !found.is_empty() {
                return found;
            }
        }
    }

    /// What is held for an address-of-record, also what has run out.
    pub(super) fn bindings(&self, aor: &Aor) -> Arc<[Binding]> {
        self.table.get(aor).map(|record| record.bindings.clone()).unwrap_or_default()
    }

    /// Holds these bindings of an address-of-record, and no others, whatever they take.
    pub(super) fn put(&mut self, aor: Aor, bindings: Arc<[Binding]>, now: Time) {
        let entry = self.table.entry(aor);
        let (before, after) = match &entry {
            Entry::Occupied(record) => {
                let held = &record.get().bindings;
                self.len -= held.len();
                (octets(record.key(), held), octets(record.key(), &bindings))
            }
            Entry::Vacant(place) => (0, octets(place.key(), &bindings)),
        };
        self.len += bindings.len();
        self.octets = self.octets - before + after;
        keep(entry, bindings, now, &mut self.queue);
    }

    fn change(&mut self, change: &Change, now: Time) -> Result<Told, StoreFailure> {
        let entry = self.table.entry(change.aor.clone());
        let held: &[Binding] = match &entry {
            Entry::Occupied(record) => &record.get().bindings,
            Entry::Vacant(_) => &[],
        };
        let Applied { bindings, effects } = apply(held, change, now)?;
        let (before, after) = (octets(&change.aor, held), octets(&change.aor, &bindings));
        let all = self.octets - before + after;
        let is_more = after > before && (bindings.len() > held.len() || is_large(&bindings));
        if is_more && self.limit.is_some_and(|limit| all > limit) {
            return Err(StoreFailure::Full);
        }
        self.octets = all;
        self.len = self.len - held.len() + bindings.len();
        keep(entry, bindings.clone(), now, &mut self.queue);
        Ok((bindings, effects))
    }

    fn fetch(&mut self, aor: Aor, now: Time) -> Told {
        match self.table.get(&aor) {
            None => Told::default(),
            Some(record) if now < record.due => (record.bindings.clone(), Vec::new()),
            Some(_) => self.drop_expired(aor, now),
        }
    }

    fn expire(&mut self, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some((_, aor)) = self.queue.all.first().filter(|(due, _)| *due <= now) else { break };
            effects.extend(self.drop_expired(aor.clone(), now).1);
        }
        effects
    }

    /// Drops what has run out of one address-of-record, and puts it off to when the next does.
    fn drop_expired(&mut self, aor: Aor, now: Time) -> Told {
        let Entry::Occupied(record) = self.table.entry(aor) else { return Told::default() };
        let effects = expired(record.key(), &record.get().bindings, now);
        let live = if effects.is_empty() {
            record.get().bindings.clone()
        } else {
            record.get().bindings.iter().filter(|binding| binding.is_live(now)).cloned().collect()
        };
        self.len -= effects.len();
        self.octets -= octets(record.key(), &record.get().bindings);
        self.octets += octets(record.key(), &live);
        keep(Entry::Occupied(record), Arc::clone(&live), now, &mut self.queue);
        (live, effects)
    }
}

/// What an address-of-record takes with its bindings, in octets.
fn octets(aor: &Aor, bindings: &[Binding]) -> usize {
    match bindings {
        [] => 0,
        some => PER_RECORD + aor.octets() + some.iter().map(Binding::octets).sum::<usize>(),
    }
}

fn is_large(bindings: &[Binding]) -> bool {
    bindings.iter().any(|binding| binding.octets() > ORDINARY)
}

/// Makes these the bindings of a record, drops it when there are none, and has it queued.
fn keep(entry: Entry<'_, Aor, Record>, bindings: Arc<[Binding]>, now: Time, queue: &mut Queue) {
    let first = bindings.iter().map(|binding| binding.expires).min();
    match (entry, first) {
        (Entry::Vacant(_), None) => {}
        (Entry::Vacant(place), Some(due)) => {
            queue.insert(due, place.key().clone());
            place.insert(Record { bindings, due });
        }
        (Entry::Occupied(record), None) => {
            let (aor, Record { due, .. }) = record.remove_entry();
            queue.remove(due, aor);
        }
        (Entry::Occupied(mut record), Some(first)) => {
            let due = record.get().due;
            if first < due || due <= now {
                let aor = record.key().clone();
                queue.remove(due, aor.clone());
                queue.insert(first, aor);
                record.get_mut().due = first;
            }
            record.get_mut().bindings = bindings;
        }
    }
}
