//! What the registrar granted, and when it is to be refreshed.

use std::time::Duration;

use super::part;
use crate::proto::Time;
use crate::proto::ids::Random;

/// Leases above this are refreshed so long before their end that a transaction that runs into Timer F (32 s) is over
/// before it, and a second try can still leave.
const SHORT: Duration = Duration::from_secs(74);
const MARGIN: Duration = Duration::from_secs(37);

/// What a longer lease counts as.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The longest time between two beats, and the part of the time to a refresh that it is at most.
const BEAT: Duration = Duration::from_millis(256);
const BEATS: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// When the request left that was answered: the lifetime counts from there (RFC 3261 §20.19, DES-003).
    pub from: Time,
    pub length: Duration,
    /// When it is to be refreshed, if nothing comes in between.
    pub refresh: Time,
    /// It has lived so long that failures before it no longer count. They are forgotten once.
    pub proved: bool,
}

impl Lease {
    /// For `granted` seconds; refreshed at a random time of those that are right (DES-001, DES-002).
    pub fn granted(granted: u32, from: Time, random: &mut dyn Random) -> Lease {
        let length = Duration::from_secs(granted.into()).min(LONGEST);
        let after = due_after(length);
        let refresh = from + (after - part(after / 10, random));
        Lease { from, length, refresh, proved: false }
    }

    pub fn end(self) -> Time {
        self.from + self.length
    }

    /// The refresh at a beat that is also right, and not before `least`: counted from `origin`, one every so often, as long as
    /// the lease allows. Leases of one length have the same beats, and those of a longer one some of them.
    pub fn at_a_beat(self, origin: Time, least: Time) -> Time {
        let after = due_after(self.length);
        let ms = u64::try_from((after / BEATS).min(BEAT).as_millis()).unwrap_or(0);
        let Some(beat) = ms.checked_ilog2().map(|log| 1 << log) else { return self.refresh };
        let since = u64::try_from(self.refresh.since(origin).as_millis()).unwrap_or(0) % beat;
        let before = Time::from_millis(self.refresh.as_millis() - since);
        let (first, last) = (least.max(self.from + after * 9 / 10), self.from + after);
        let at = if before >= first { before } else { before + Duration::from_millis(beat) };
        if (first..=last).contains(&at) { at } else { self.refresh }
    }
}

/// How long after it was asked for a lease is refreshed, at the latest.
fn due_after(length: Duration) -> Duration {
    if length > SHORT { (length * 9 / 10).min(length - MARGIN) } else { length / 2 }
}
