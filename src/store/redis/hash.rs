//! The hash of one address-of-record: what was read of it, and how a change is written.
//!
//! Its key is `sipreg:{AOR}`; the braces keep all that belongs to one AOR in one slot of a cluster. A field whose name is a
//! number is a binding, and the order of the numbers is the order in which they were added. `rev` is another number after every
//! change. Other fields, and bindings that can't be read here, are a newer version's and are left alone.

use std::sync::Arc;
use std::time::Duration;

use super::node::{Node, Nodes, Offset};
use super::record::{self, Record, Unknown};
use crate::proto::Time;
use crate::proto::binding::{Aor, Applied, Binding, Change, Effect, Fate, StoreFailure, apply, expired};

/// What is cleaned up is cleaned up so much later than it runs out: until then whoever has taken a binding finds that it ran
/// out by itself, and nobody has removed it; and clocks may differ a little.
pub(super) const SLACK: Duration = Duration::from_secs(60);

/// The part of [`SLACK`] in which a binding that has run out is left to the server that took it.
const COURTESY: Duration = Duration::from_secs(30);

/// The field that has the number of the last change.
pub(super) const REV: &str = "rev";

/// The key of an address-of-record.
pub(super) fn key(aor: &Aor) -> Vec<u8> {
    [b"sipreg:{", aor.as_octets(), b"}"].concat()
}

/// The state of a hash: another one after every change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rev {
    /// There is none.
    Absent,
    /// It has no field `rev`, or one that is none of ours: 0.
    Number(u64),
}

impl Rev {
    /// As the script compares it.
    pub fn text(self) -> String {
        match self {
            Rev::Absent => String::new(),
            Rev::Number(number) => number.to_string(),
        }
    }

    /// What comes after this one: never what was there before, also where a hash was removed, or its last changes were
    /// lost. `now` is the time of the store; `salt` differs from server to server and from change to change.
    pub fn next(self, now: u64, salt: u64) -> Rev {
        /// So many bits tell changes of the same millisecond apart.
        const SALT: u32 = 20;
        let fresh = (now << SALT) | (salt & ((1 << SALT) - 1));
        match self {
            Rev::Absent => Rev::Number(fresh),
            Rev::Number(before) => Rev::Number(fresh.max(before.saturating_add(1))),
        }
    }
}

/// All of a hash but its bindings themselves.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub rev: Rev,
    /// Of each binding, in their order.
    pub places: Vec<Place>,
    /// Bindings that have run out and are in the hash all the same, with the time from when they may be removed.
    dead: Vec<(u64, Time)>,
    /// The next binding's field.
    next: u64,
    /// There are bindings that can't be read here.
    has_more: bool,
}

/// The field of a binding.
#[derive(Clone, Debug)]
pub(super) struct Place {
    number: u64,
    /// This server has taken it, and tells its end.
    pub is_own: bool,
    unknown: Option<Box<Unknown>>,
}

/// What is in a hash.
#[derive(Clone, Debug)]
pub(super) struct Hash {
    pub frame: Frame,
    pub bindings: Arc<[Binding]>,
}

impl Default for Hash {
    /// None that is there.
    fn default() -> Hash {
        let frame =
            Frame { rev: Rev::Absent, places: Vec::new(), dead: Vec::new(), next: 0, has_more: false };
        Hash { frame, bindings: Arc::default() }
    }
}

impl Hash {
    /// The fields and values of a hash, as HGETALL lists them. What has run out at `now` is not told.
    pub fn read<'a>(
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        nodes: &Nodes,
        offset: Offset,
        now: Time,
    ) -> Hash {
        let Hash { mut frame, .. } = Hash::default();
        let mut records: Vec<(u64, Record)> = Vec::new();
        for (name, value) in fields {
            if frame.rev == Rev::Absent {
                frame.rev = Rev::Number(0);
            }
            let name = std::str::from_utf8(name).unwrap_or_default();
            if name == REV {
                frame.rev = Rev::Number(
                    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
                );
            } else if let Ok(number) = name.parse::<u64>() {
                frame.next = frame.next.max(number.saturating_add(1));
                match record::read(value, nodes, offset) {
                    Some(record) => records.push((number, record)),
                    None => frame.has_more = true,
                }
            }
        }
        records.sort_unstable_by_key(|(number, _)| *number);
        let mut bindings = Vec::with_capacity(records.len());
        for (number, Record { binding, is_own, unknown }) in records {
            frame.places.push(Place { number, is_own, unknown });
            bindings.push(binding);
        }
        let mut hash = Hash { frame, bindings: bindings.into() };
        // Who does not know them has nothing to tell of their end.
        let _ = hash.drop_expired(None, now);
        hash
    }

    /// Lets go of what has run out at `now`. Told is the end of those that this server has taken.
    pub fn drop_expired(&mut self, aor: Option<&Aor>, now: Time) -> Vec<Effect> {
        if self.bindings.iter().all(|binding| binding.is_live(now)) {
            return Vec::new();
        }
        let (mut ends, mut kept) = (Vec::new(), Vec::new());
        let places = std::mem::take(&mut self.frame.places);
        for (place, binding) in places.into_iter().zip(self.bindings.iter()) {
            if binding.is_live(now) {
                self.frame.places.push(place);
                kept.push(binding.clone());
                continue;
            }
            let from = if place.is_own { binding.expires } else { binding.expires + COURTESY };
            self.frame.dead.push((place.number, from));
            if let Some(aor) = aor.filter(|_| place.is_own) {
                ends.extend(expired(aor, std::slice::from_ref(binding), now));
            }
        }
        self.bindings = kept.into();
        ends
    }

    /// The ends that are to be told of what was known as `known` and has run out at `now`, where the truth is this: but not of
    /// what was refreshed or removed elsewhere meanwhile.
    pub fn ends_since(&self, known: &Hash, aor: &Aor, now: Time) -> Vec<Effect> {
        let mut ends = Vec::new();
        for (place, binding) in known.frame.places.iter().zip(known.bindings.iter()) {
            let is_dead = self.frame.dead.iter().any(|(number, _)| *number == place.number);
            // It may have been cleaned up by now.
            let is_gone = !self.frame.places.iter().any(|live| live.number == place.number)
                && now.since(binding.expires) > COURTESY;
            if place.is_own && (is_dead || is_gone) {
                ends.extend(expired(aor, std::slice::from_ref(binding), now));
            }
        }
        ends
    }

    /// What a change makes of it at `now`; all its bindings are live. Told first is what has ended.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn apply(&self, change: &Change, ends: Vec<Effect>, now: Time) -> Result<Plan, StoreFailure> {
        let Applied { bindings, mut effects } = apply(&self.bindings, change, now)?;
        let mut frame = self.frame.clone();
        let mut removed: Vec<u64> = Vec::new();
        // What stays has the order that it had, and what is new is behind it.
        let mut after = bindings.iter();
        let mut written = Vec::new();
        frame.places.clear();
        for (place, before) in self.frame.places.iter().zip(self.bindings.iter()) {
            let is_removed = effects
                .iter()
                .any(|effect| effect.fate == Fate::Removed && *effect.contact == *before.contact());
            if is_removed {
                removed.push(place.number);
            } else if after.next() == Some(before) {
                frame.places.push(place.clone());
            } else {
                written.push(frame.places.len());
                frame.places.push(Place { is_own: true, ..place.clone() });
            }
        }
        while frame.places.len() < bindings.len() {
            written.push(frame.places.len());
            frame.places.push(Place { number: frame.next, is_own: true, unknown: None });
            frame.next += 1;
        }
        let is_change = !written.is_empty() || !removed.is_empty();
        if is_change {
            frame.dead.retain(|(number, from)| {
                let goes = *from <= now;
                removed.extend(goes.then_some(*number));
                !goes
            });
        }
        effects.splice(0..0, ends);
        Ok(Plan { hash: Hash { frame, bindings }, effects, written, removed, is_change })
    }
}

/// How a hash is to be changed.
#[derive(Debug)]
pub(super) struct Plan {
    /// What it is afterwards, but for its `rev`.
    pub hash: Hash,
    pub effects: Vec<Effect>,
    /// Which of its bindings are written.
    pub written: Vec<usize>,
    /// The fields that are removed.
    pub removed: Vec<u64>,
    /// Something is written or removed that is not only cleaned up.
    pub is_change: bool,
}

impl Plan {
    /// The fields that are written, each with its value and the time that it is kept, in milliseconds.
    pub fn fields(&self, node: &Node, offset: Offset, now: Time) -> Vec<(String, String, u64)> {
        let all = self.hash.frame.places.iter().zip(self.hash.bindings.iter()).enumerate();
        let written = all.filter(|(at, _)| self.written.contains(at));
        written
            .map(|(_, (place, binding))| {
                let text = record::write(binding, place.unknown.as_deref(), node, offset);
                (place.number.to_string(), text, kept(binding, now))
            })
            .collect()
    }

    /// How long the hash is kept, in milliseconds.
    pub fn kept(&self, now: Time) -> u64 {
        let all = self.hash.bindings.iter().map(|binding| kept(binding, now));
        all.max().unwrap_or_else(|| in_milliseconds(SLACK))
    }

    /// It holds bindings that can't be read here, which may be kept for longer.
    pub fn has_more(&self) -> bool {
        self.hash.frame.has_more
    }
}

/// How long a binding is kept.
fn kept(binding: &Binding, now: Time) -> u64 {
    in_milliseconds(binding.expires.since(now) + SLACK)
}

fn in_milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
