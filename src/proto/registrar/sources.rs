//! How much one source may have of a server: answers before it has proven who it is, and logins that fail. A source is an
//! IPv4 address or the /64 network of an IPv6 address, for whoever has one address of that has them all. This host is
//! none: loopback is exempt.
//!
//! A limit is never one of a user alone: a stranger who guesses the password of somebody must not lock him out elsewhere.
//!
//! The machines are pure and of a fixed size. Who sends from so many sources that they don't fit makes those forgotten
//! that have had least.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::proto::Time;
use crate::proto::transaction::Keys;

/// Slots that one key may be in, and how many times as many there are: 32,768 sources at 24 octets each.
const WAYS: usize = 4;
const SETS: usize = 8192;

/// A minute: that of `login_failures`.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a user counts as known at a source after a login: the longest usual registration, and as much again.
const KNOWN: Duration = Duration::from_secs(2 * 7200);

/// A stretch is over when nothing was left out for so long, or when it has lasted so long.
const QUIET: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(30);

/// Stretches at a time. When there are more, the first is told of at once.
const STRETCHES: usize = 64;

/// Counts events of many keys, each in windows of its own: the first event begins one.
#[derive(Debug)]
struct Windows {
    span: Duration,
    most: u32,
    /// Empty until the first event.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    since: u64,
    count: u32,
}

impl Windows {
    fn new(span: Duration, most: u32) -> Windows {
        Windows { span, most, slots: Vec::new() }
    }

    /// How long it takes until the key may have another one; `None`: it may now.
    fn spent(&self, key: u64, now: Time) -> Option<Duration> {
        let is_full = |slot: &&Slot| slot.key == key && slot.count >= self.most;
        self.set(key).iter().filter(is_full).find_map(|slot| self.left(slot, now))
    }

    /// One more of that key.
    fn note(&mut self, key: u64, now: Time) {
        if let Some(slot) = self.slot(key, now) {
            slot.count = slot.count.saturating_add(1);
        }
    }

    /// One of that key, which begins a window whether one was open or not.
    fn renew(&mut self, key: u64, now: Time) {
        if let Some(slot) = self.slot(key, now) {
            *slot = Slot { key, since: now.as_millis(), count: 1 };
        }
    }

    /// What is left of the window of a slot; `None`: it is over.
    fn left(&self, slot: &Slot, now: Time) -> Option<Duration> {
        let end = Time::from_millis(slot.since) + self.span;
        (slot.count > 0 && now < end).then(|| end.since(now))
    }

    fn set(&self, key: u64) -> &[Slot] {
        self.slots.get(place(key)..place(key) + WAYS).unwrap_or_default()
    }

    /// The slot of a key with its window open, in place of the one that has had least if there was none.
    fn slot(&mut self, key: u64, now: Time) -> Option<&mut Slot> {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); WAYS * SETS];
        }
        let weight = |slot: &Slot| {
            let is_open = self.left(slot, now).is_some();
            (is_open && slot.key == key, is_open, slot.count, slot.since)
        };
        let set = self.set(key).iter().enumerate();
        let own = set.clone().find(|(_, slot)| weight(slot).0).map(|(way, _)| way);
        let least = || set.min_by_key(|(_, slot)| weight(slot)).map(|(way, _)| way);
        let is_new = own.is_none();
        let way = own.or_else(least)?;
        let slot = self.slots.get_mut(place(key) + way)?;
        if is_new {
            *slot = Slot { key, since: now.as_millis(), count: 0 };
        }
        Some(slot)
    }
}

/// The first slot of a key.
fn place(key: u64) -> usize {
    // The remainder is below the number of sets.
    (key % SETS as u64) as usize * WAYS
}

/// The source that an address belongs to; `None`: it is of this host, and exempt.
fn source(address: IpAddr) -> Option<Ipv6Addr> {
    (!address.to_canonical().is_loopback()).then(|| network(address))
}

/// An IPv4 address, and of an IPv6 address its network.
pub(super) fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64),
    }
}

/// The logins that fail: so many a minute for a source, and for a user within it. A user who has logged in there lately is
/// bounded by the own failures alone: one device with a wrong password doesn't lock out all that share its address.
#[derive(Debug)]
pub(super) struct Logins {
    keys: Keys,
    /// By source, and by user within a source.
    failures: Windows,
    known: Windows,
}

impl Logins {
    /// So many failures a minute.
    pub(super) fn new(most: u32, keys: Keys) -> Logins {
        Logins { keys, failures: Windows::new(MINUTE, most), known: Windows::new(KNOWN, 1) }
    }

    /// How long the user has to wait until a login is looked at; `None`: not at all. Until then a right password is not told
    /// from a wrong one.
    pub(super) fn wait(&self, address: IpAddr, user: &str, now: Time) -> Option<Duration> {
        let source = source(address)?;
        let within = self.keys.of_any((source, user));
        self.failures.spent(within, now).or_else(|| {
            let of_all = self.failures.spent(self.keys.of_any(source), now)?;
            self.known.spent(within, now).is_none().then_some(of_all)
        })
    }

    /// A login has failed.
    pub(super) fn fail(&mut self, address: IpAddr, user: &str, now: Time) {
        let Some(source) = source(address) else { return };
        self.failures.note(self.keys.of_any(source), now);
        self.failures.note(self.keys.of_any((source, user)), now);
    }

    /// A user has logged in.
    pub(super) fn succeed(&mut self, address: IpAddr, user: &str, now: Time) {
        if let Some(source) = source(address) {
            self.known.renew(self.keys.of_any((source, user)), now);
        }
    }
}

/// The answers that sources get without having proven who they are: so many a second.
#[derive(Debug)]
pub(super) struct Answers(Windows);

impl Answers {
    /// So many a second for a source.
    pub(super) fn new(most: u32) -> Answers {
        Answers(Windows::new(Duration::from_secs(1), most))
    }

    /// Whether one more may be given, which counts then.
    pub(super) fn admit(&mut self, address: IpAddr, keys: Keys, now: Time) -> bool {
        let Some(source) = source(address) else { return true };
        let key = keys.of_any(source);
        let is_admitted = self.0.spent(key, now).is_none();
        if is_admitted {
            self.0.note(key, now);
        }
        is_admitted
    }
}

/// What was left out for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// An answer.
    Answer,
    /// A look at a login.
    Login,
}

/// What was left out for one source, in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// [`network`] of its addresses.
    pub(super) source: Ipv6Addr,
    /// Requests without an answer.
    pub(super) answers: u64,
    /// Logins that were not looked at.
    pub(super) logins: u64,
    since: Time,
    last: Time,
}

impl Stretch {
    fn due(&self) -> Time {
        (self.last + QUIET).min(self.since + LONGEST)
    }
}

/// The sources that were limited lately. Each is told of once for a stretch, with how much was left out.
#[derive(Debug, Default)]
pub(super) struct Stretches(Vec<Stretch>);

impl Stretches {
    /// Something was left out for the source of that address.
    pub(super) fn note(&mut self, address: IpAddr, what: Limit, now: Time) {
        let source = network(address);
        let known = self.0.iter().position(|stretch| stretch.source == source);
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= STRETCHES
                && let Some(first) = self.0.iter_mut().min_by_key(|stretch| stretch.due())
            {
                first.since = Time::from_millis(0);
            }
            self.0.push(Stretch { source, answers: 0, logins: 0, since: now, last: now });
            self.0.len() - 1
        });
        let Some(stretch) = self.0.get_mut(at) else { return };
        stretch.last = now;
        match what {
            Limit::Answer => stretch.answers += 1,
            Limit::Login => stretch.logins += 1,
        }
    }

    /// Those that are over by `now`.
    pub(super) fn over(&mut self, now: Time) -> Vec<Stretch> {
        let (over, open) = self.0.drain(..).partition(|stretch| stretch.due() <= now);
        self.0 = open;
        over
    }

    /// All of them: nothing follows.
    pub(super) fn rest(&mut self) -> Vec<Stretch> {
        std::mem::take(&mut self.0)
    }

    /// When to ask for [`Stretches::over`] next.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().map(Stretch::due).min()
    }
}

#[cfg(test)]
mod tests;
