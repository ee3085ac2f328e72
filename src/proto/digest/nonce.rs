//! The server's nonces (RFC 7616 §3.3) and the counts they were used with (§3.4 `nc`).
//!
//! Handing one out costs no memory: it says when it was made, and an HMAC over that and the realm says that
//! it was made here. Memory is spent only on those that came back with the right digest, on so many at most.
//! What had to be forgotten counts as stale, and so does everything older: a request that was accepted once
//! is not accepted again.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hash::Hex;
use crate::proto::Time;
use crate::proto::ids::Random;

/// How long a nonce is good for: as long as the usual registration, so that a refresh needs one exchange.
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);

/// How many nonces are remembered with their counts, at about 60 octets each.
pub(super) const REMEMBERED: usize = 131_072;

/// Octets of the time, of what is random, and of the MAC (cut to 96 bits, RFC 2104 §5).
const TIME: usize = 6;
const SALT: usize = 6;
const MAC: usize = 12;
const LENGTH: usize = TIME + SALT + MAC;

/// Makes nonces, knows its own again, and remembers their counts.
pub(super) struct Nonces {
    key: Hmac<Sha256>,
    /// Makes the marks of users, such that nobody outside can tell which would share one.
    marks: [u8; 32],
    lifetime: Duration,
    capacity: usize,
    counts: BTreeMap<Id, Counts>,
    /// The youngest that was forgotten before its time.
    forgotten: Option<Id>,
}

/// The time and salt in a nonce. Older ones are less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    issued: Time,
    salt: [u8; SALT],
}

/// Whether a nonce is worth something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Made here, and young enough.
    Good(Id),
    /// Too old, forgotten, made for another realm, by another server, or by this one before it was started
    /// again.
    Stale,
}

/// What a use of a good nonce is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The first with its count.
    First,
    /// Another with a count that was used before, or is too old to tell.
    Again,
    /// One by another user than its own.
    Foreign,
}

/// Whose a nonce is, and which counts were used: the highest, and of the 64 up to it those whose bit is set. Datagrams may overtake
/// each other; what is further behind counts as used.
#[derive(Clone, Copy, Debug)]
struct Counts {
    user: u64,
    highest: u32,
    /// Bit n stands for the highest less n.
    used: u64,
}

impl Nonces {
    /// Nonces by a new key.
    pub fn new(lifetime: Duration, capacity: usize, random: &mut dyn Random) -> Nonces {
        let mut key = [0; 64];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&random.next().to_be_bytes());
        }
        let key = Hmac::<Sha256>::new(&key.into());
        Nonces {
            marks: key.clone().chain_update("marks of users").finalize().into_bytes().into(),
            key,
            lifetime,
            capacity: capacity.max(1),
            counts: BTreeMap::new(),
            forgotten: None,
        }
    }

    /// A new nonce for that realm.
    pub fn issue(&self, realm: &str, random: &mut dyn Random, now: Time) -> Hex {
        let mut octets = [0; LENGTH];
        let (said, mac) = octets.split_at_mut(TIME + SALT);
        said[..TIME].copy_from_slice(&now.as_millis().to_be_bytes()[8 - TIME..]);
        said[TIME..].copy_from_slice(&random.next().to_be_bytes()[8 - SALT..]);
        mac.copy_from_slice(&self.mac(said, realm).finalize().into_bytes()[..MAC]);
        Hex::of(&octets)
    }

    /// What that nonce is worth for that realm.
    pub fn judge(&self, nonce: &str, realm: &str, now: Time) -> Standing {
        let Some(octets) = octets(nonce) else { return Standing::Stale };
        let (said, mac) = octets.split_at(TIME + SALT);
        if self.mac(said, realm).verify_truncated_left(mac).is_err() {
            return Standing::Stale;
        }
        let (mut ms, mut salt) = ([0; 8], [0; SALT]);
        ms[8 - TIME..].copy_from_slice(&said[..TIME]);
        salt.copy_from_slice(&said[TIME..]);
        let id = Id { issued: Time::from_millis(u64::from_be_bytes(ms)), salt };
        if id.is_over(self.lifetime, now) || self.forgotten.is_some_and(|youngest| id <= youngest) {
            return Standing::Stale;
        }
        Standing::Good(id)
    }

    /// Notes a use of a good nonce, and says what it is. Only for who has shown to know the password: otherwise anybody
    /// could use up the counts of others. A nonce belongs to the user who is the first to use it.
    pub fn count(&mut self, id: Id, user: &str, nc: u32, now: Time) -> Use {
        let user = self.mark(user);
        if let Some(counts) = self.counts.get_mut(&id) {
            return match counts.user == user {
                true if counts.note(nc) => Use::First,
                true => Use::Again,
                false => Use::Foreign,
            };
        }
        // Two for one that comes: the old ones go, and no request pays for many.
        for _ in 0..2 {
            match self.counts.first_entry() {
                Some(oldest) if oldest.key().is_over(self.lifetime, now) => drop(oldest.remove()),
                Some(_) | None => break,
            }
        }
        self.counts.insert(id, Counts { user, highest: nc, used: 1 });
        if self.counts.len() > self.capacity {
            self.forgotten = self.counts.pop_first().map(|(oldest, _)| oldest);
        }
        Use::First
    }

    /// By what a user is known again, in few octets.
    fn mark(&self, user: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.marks, user).hash(&mut hasher);
        hasher.finish()
    }

    fn mac(&self, said: &[u8], realm: &str) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(said);
        mac.update(realm.as_bytes());
        mac
    }
}

impl Id {
    fn is_over(&self, lifetime: Duration, now: Time) -> bool {
        now.since(self.issued) >= lifetime
    }
}

impl Counts {
    fn note(&mut self, nc: u32) -> bool {
        if let Some(ahead) = nc.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = nc;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - nc).unwrap_or(0);
        let is_new = bit != 0 && self.used & bit == 0;
        self.used |= bit;
        is_new
    }
}

/// Reads what [`Nonces::issue`] writes, and no other spelling of it.
fn octets(nonce: &str) -> Option<[u8; LENGTH]> {
    let digits = nonce.as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; LENGTH];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(octets)
}

impl fmt::Debug for Nonces {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces")
            .field("lifetime", &self.lifetime)
            .field("remembered", &self.counts.len())
            .field("forgotten", &self.forgotten)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
