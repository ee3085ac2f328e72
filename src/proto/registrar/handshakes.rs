//! Handshakes that failed: of TLS, or of a WebSocket. Whoever scans a port makes thousands of them, so each source is told
//! of at most once a second, with how many there were.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::sources::network;
use crate::proto::{Cause, Time, Transport};

/// What came of the others is told after this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Sources at a time. What comes from others meanwhile is told together.
const SOURCES: usize = 64;

/// Handshakes that failed, of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// What the last of them was for.
    pub(super) transport: Transport,
    /// Who began it.
    pub(super) source: SocketAddr,
    /// What was wrong with it.
    pub(super) cause: Cause,
    /// How many there were since the source was told of last.
    pub(super) count: u64,
}

/// A source, with what is not told yet.
#[derive(Debug)]
struct Stretch {
    /// `None`: those for which there was no room.
    source: Option<Ipv6Addr>,
    last: Failed,
    since: Time,
}

/// The sources of which handshakes failed lately.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Vec<Stretch>);

impl Handshakes {
    /// One more has failed. What is to be told now.
    pub(super) fn note(
        &mut self,
        transport: Transport,
        peer: SocketAddr,
        cause: Cause,
        now: Time,
    ) -> Option<Failed> {
        let mut source = Some(network(peer.ip()));
        let has_room = self.0.len() < SOURCES || self.0.iter().any(|stretch| stretch.source == source);
        if !has_room {
            source = None;
        }
        let last = Failed { transport, source: peer, cause, count: 1 };
        if let Some(stretch) = self.0.iter_mut().find(|stretch| stretch.source == source) {
            stretch.last = Failed { count: stretch.last.count + 1, ..last };
            return None;
        }
        self.0.push(Stretch { source, last: Failed { count: 0, ..last }, since: now });
        Some(last)
    }

    /// What is to be told by `now`. A second without any ends a stretch.
    pub(super) fn due(&mut self, now: Time) -> Vec<Failed> {
        let mut told = Vec::new();
        self.0.retain_mut(|stretch| {
            if now < stretch.since + PAUSE {
                return true;
            }
            let last = stretch.last;
            told.extend((last.count > 0).then_some(last));
            (stretch.since, stretch.last.count) = (now, 0);
            last.count > 0
        });
        told
    }

    /// All of it: nothing follows.
    pub(super) fn rest(&mut self) -> Vec<Failed> {
        std::mem::take(&mut self.0).into_iter().map(|it| it.last).filter(|last| last.count > 0).collect()
    }

    /// When to ask for [`Handshakes::due`] next.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.iter().map(|stretch| stretch.since + PAUSE).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(0x0a00_0000 + n), 40_000).into()
    }

    /// DES-012: the first is told at once, the others a second later, and whoever is quiet for a second begins anew.
    #[test]
    fn each_source_is_told_of_once_a_second() {
        let mut handshakes = Handshakes::default();
        let at = Time::from_millis;
        let note = |handshakes: &mut Handshakes, n, ms| {
            handshakes.note(Transport::Tls, peer(n), Cause::Reset, at(ms)).map(|told| told.count)
        };
        assert_eq!([0, 10, 20].map(|ms| note(&mut handshakes, 1, ms)), [Some(1), None, None]);
        assert_eq!(note(&mut handshakes, 2, 500), Some(1));
        assert_eq!(handshakes.next(), Some(at(1000)));
        assert_eq!(handshakes.due(at(999)), []);
        let told: Vec<_> = handshakes.due(at(1000)).iter().map(|told| (told.source, told.count)).collect();
        assert_eq!(told, [(peer(1), 2)]);
        assert_eq!(handshakes.due(at(2000)), []);
        assert_eq!(handshakes.next(), None);
        assert_eq!(note(&mut handshakes, 1, 2000), Some(1));
    }

    /// However many sources there are: so many are told of by themselves, and all others together.
    #[test]
    fn a_thousand_sources_are_told_of_in_bounds() {
        let mut handshakes = Handshakes::default();
        let note = |n| handshakes.note(Transport::Wss, peer(n), Cause::Reset, Time::from_millis(0));
        assert_eq!((0..1000).filter_map(note).count(), SOURCES + 1);
        let rest: Vec<_> = handshakes.rest().iter().map(|told| (told.source, told.count)).collect();
        assert_eq!(rest, [(peer(999), 1000 - SOURCES as u64 - 1)]);
    }
}
