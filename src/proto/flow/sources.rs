//! Our own addresses, as the system chooses them for those we send to: a listener at a wildcard address does not know
//! what it is called.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::Time;

/// How long an answer of the system is good.
const FRESH: Duration = Duration::from_secs(60);

/// Peers whose answers are kept.
const PEERS: usize = 4096;

/// Addresses of ours that are kept.
const OURS: usize = 256;

/// What is known of the way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing, and nobody has asked.
    Unknown,
    /// The system has been asked.
    Asked,
    /// The address we send from.
    Found(IpAddr),
    /// There is no way.
    Nowhere,
}

/// The answers of the system, for a while each.
#[derive(Debug, Default)]
pub(super) struct Sources {
    known: BTreeMap<IpAddr, (Source, Time)>,
    /// When the answers are too old, in that order: all are good for the same time. One that was replaced stands here twice.
    ends: VecDeque<(Time, IpAddr)>,
    /// All addresses that were found to be ours.
    ours: BTreeSet<IpAddr>,
}

impl Sources {
    /// What is known now.
    pub fn get(&self, peer: IpAddr, now: Time) -> Source {
        match self.known.get(&peer) {
            Some((source, until)) if *until > now => *source,
            Some(_) | None => Source::Unknown,
        }
    }

    /// Notes what is known of the way to that peer, and forgets what is too old, or too much.
    pub fn note(&mut self, peer: IpAddr, source: Source, now: Time) {
        if let Source::Found(local) = source {
            self.note_own(local);
        }
        let until = now + FRESH;
        self.known.insert(peer, (source, until));
        self.ends.push_back((until, peer));
        while let Some((end, peer)) = self.ends.front().copied()
            && (end <= now || self.ends.len() > PEERS)
        {
            self.ends.pop_front();
            if self.known.get(&peer).is_some_and(|(_, until)| *until == end) {
                self.known.remove(&peer);
            }
        }
    }

    /// This address is ours.
    pub fn note_own(&mut self, local: IpAddr) {
        if self.ours.len() < OURS {
            self.ours.insert(local);
        }
    }

    /// Whether it is known that this address is ours.
    pub fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.ours.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_good_for_a_minute_and_bounded() {
        let (mut sources, at) = (Sources::default(), Time::from_millis);
        let found = Source::Found("192.0.2.1".parse().unwrap());
        let peer: IpAddr = "192.0.2.9".parse().unwrap();
        sources.note(peer, Source::Asked, at(0));
        sources.note(peer, found, at(0));
        assert_eq!((sources.get(peer, at(59_999)), sources.get(peer, at(60_000))), (found, Source::Unknown));
        for n in 0..100_000 {
            sources.note(IpAddr::V4(n.into()), found, at(30_000));
        }
        assert_eq!((sources.known.len(), sources.ends.len(), sources.ours.len()), (PEERS, PEERS, 1));
        assert_eq!(sources.get(IpAddr::V4(99_999.into()), at(30_001)), found);
        sources.note(peer, Source::Nowhere, at(90_000));
        assert_eq!((sources.known.len(), sources.ends.len()), (1, 1));
        let own =
            ["192.0.2.1", "127.0.0.1", "::1", "192.0.2.9"].map(|own| sources.is_own(own.parse().unwrap()));
        assert_eq!(own, [true, true, true, false]);
    }
}
