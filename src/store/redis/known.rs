//! What this server knows of the shared store: a hint for changes, which the script verifies, and all there is for calls while
//! the store is away.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Memory;
use super::hash::{Frame, Hash, Rev};
use crate::proto::Time;
use crate::proto::binding::{Aor, Binding};

/// What one address-of-record takes besides what [`Memory`] counts, in octets, about.
const PER_FRAME: usize = 160;

/// The hashes that were read or written last, without those that have no bindings.
#[derive(Debug)]
pub(super) struct Known {
    bindings: Memory,
    frames: HashMap<Aor, Frame>,
    /// In octets, about.
    limit: usize,
}

impl Known {
    /// What takes no more than so many octets, about. The rest is not known.
    pub fn bounded(limit: usize) -> Known {
        Known { bindings: Memory::default(), frames: HashMap::new(), limit }
    }

    /// What was known last, also bindings that have run out since. `None`: nothing is known.
    pub fn get(&self, aor: &Aor) -> Option<Hash> {
        let frame = self.frames.get(aor)?.clone();
        Some(Hash { frame, bindings: self.bindings.bindings(aor) })
    }

    /// Bindings that are known, also what has run out.
    pub fn bindings(&self, aor: &Aor) -> Arc<[Binding]> {
        self.bindings.bindings(aor)
    }

    /// Keeps what is in a hash now, if there is room.
    pub fn put(&mut self, aor: &Aor, hash: &Hash, now: Time) {
        let is_new = !self.frames.contains_key(aor);
        let is_full = self.bindings.octets() + self.frames.len() * PER_FRAME > self.limit;
        if hash.bindings.is_empty() {
            self.frames.remove(aor);
        } else if !(is_new && is_full) {
            self.frames.insert(aor.clone(), hash.frame.clone());
        } else {
            return;
        }
        self.bindings.put(aor.clone(), hash.bindings.clone(), now);
    }

    /// A change may have been made or not: what is there has to be read.
    pub fn doubt(&mut self, aor: &Aor) {
        if let Some(frame) = self.frames.get_mut(aor) {
            frame.rev = Rev::Number(0);
        }
    }

    /// Addresses-of-record of which something has run out at `now`: a bounded number.
    pub fn due(&mut self, now: Time) -> Vec<Aor> {
        self.bindings.due(now)
    }

    /// Not later than the next binding runs out.
    pub fn next_expiry(&self, now: Time) -> Option<Time> {
        self.bindings.next_expiry(now)
    }

    /// The number of bindings.
    pub fn len(&self) -> usize {
        super::super::Store::len(&self.bindings)
    }
}
