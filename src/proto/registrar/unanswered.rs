//! Devices that are challenged and don't answer. Some read the first challenge of a response only, and give up without
//! a word where they don't know its algorithm; nobody would hear of it.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::sources::network;
use crate::proto::Time;
use crate::proto::binding::Aor;
use crate::proto::transaction::{Keys, TransactionKey};

/// A device that let so many challenges pass does not answer.
const ENOUGH: u8 = 3;

/// How long the last of them may still be answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// Devices that are remembered, in each of two halves: those heard of lately, and those before. The older half is
/// forgotten whenever the younger is full.
const REMEMBERED: usize = 4096;

/// Devices whose last answer is waited for. When there are more, the first is told of at once.
const AWAITED: usize = 64;

/// The devices that have let challenges pass, by a keyed hash of who they are.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    young: BTreeMap<u64, Device>,
    old: BTreeMap<u64, Device>,
    awaited: VecDeque<Awaited>,
}

/// A device that was challenged.
#[derive(Clone, Copy, Debug)]
struct Device {
    standing: Standing,
    /// The request that was challenged last.
    last: TransactionKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has got so many challenges, fewer than [`ENOUGH`].
    Challenged(u8),
    /// It has got enough, and may still answer.
    Awaited,
    /// It was told of.
    Told,
}

#[derive(Debug)]
struct Awaited {
    due: Time,
    device: u64,
    who: Who,
}

/// A device as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// Who sent the request that was challenged last.
    pub(super) peer: SocketAddr,
    /// Whose bindings it is about.
    pub(super) aor: Aor,
}

impl Unanswered {
    /// Notes that a request was challenged. Copies of a request don't count.
    pub(super) fn challenge(&mut self, device: u64, who: Who, request: TransactionKey, now: Time) {
        let before = self.take(device);
        let standing = match before.map(|before| (before.standing, before.last == request)) {
            Some((standing, true)) => standing,
            None => Standing::Challenged(1),
            Some((Standing::Challenged(before), _)) if before + 1 < ENOUGH => {
                Standing::Challenged(before + 1)
            }
            Some((Standing::Challenged(_), _)) => {
                self.wait_for(Awaited { due: now + PATIENCE, device, who }, now);
                Standing::Awaited
            }
            Some((Standing::Awaited, _)) => {
                // It has begun anew instead.
                self.awaited.iter_mut().filter(|one| one.device == device).for_each(|one| one.due = now);
                Standing::Awaited
            }
            Some((Standing::Told, _)) => Standing::Told,
        };
        self.keep(device, Device { standing, last: request });
    }

    /// Notes that a device has answered, whatever came of it.
    pub(super) fn answer(&mut self, device: u64) {
        let Some(before) = self.take(device) else { return };
        match before.standing {
            Standing::Challenged(_) => {}
            Standing::Awaited => self.awaited.retain(|one| one.device != device),
            Standing::Told => self.keep(device, before),
        }
    }

    /// Those that have not answered by `now`: each is told of once.
    pub(super) fn due(&mut self, now: Time) -> Vec<Who> {
        let mut due = Vec::new();
        while let Some(at) = self.awaited.iter().position(|one| one.due <= now)
            && let Some(Awaited { device, who, .. }) = self.awaited.remove(at)
        {
            if let Some(known) = self.take(device) {
                self.keep(device, Device { standing: Standing::Told, ..known });
            }
            due.push(who);
        }
        due
    }

    /// When to ask for [`Unanswered::due`] next.
    pub(super) fn next(&self) -> Option<Time> {
        self.awaited.iter().map(|one| one.due).min()
    }

    fn wait_for(&mut self, one: Awaited, now: Time) {
        if self.awaited.len() >= AWAITED
            && let Some(first) = self.awaited.front_mut()
        {
            first.due = now;
        }
        self.awaited.push_back(one);
    }

    fn take(&mut self, device: u64) -> Option<Device> {
        self.young.remove(&device).or_else(|| self.old.remove(&device))
    }

    fn keep(&mut self, id: u64, device: Device) {
        if self.young.len() >= REMEMBERED {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(id, device);
    }
}

/// A device: who is to be bound, and the address that the request comes from, of IPv6 its network.
pub(super) fn device(keys: &Keys, aor: &Aor, source: IpAddr) -> u64 {
    keys.of_any((aor, network(source)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Uri;

    fn key(number: u64) -> TransactionKey {
        let via = crate::sip::Via::parse(format!("SIP/2.0/UDP a;branch=z9hG4bK{number}").as_bytes()).unwrap();
        let request = crate::sip::Request::new(crate::sip::Method::Register, "sip:a");
        Keys::new(1).of(&request, &via).unwrap()
    }

    fn who() -> Who {
        let aor = Aor::of(&Uri::parse("sip:alice@munich.de").unwrap());
        Who { peer: "192.0.2.7:5060".parse().unwrap(), aor }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(1000 * seconds)
    }

    /// Challenges with these requests, a minute apart; how many were told of by the next.
    fn told(devices: &mut Unanswered, requests: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let of_one = |n| {
            devices.challenge(7, who(), key(n), at(60 * n));
            devices.due(at(60 * n + 59)).len()
        };
        requests.into_iter().map(of_one).collect()
    }

    /// RAU-004
    #[test]
    fn a_device_is_told_of_once_when_its_third_challenge_has_passed() {
        let mut devices = Unanswered::default();
        assert_eq!(told(&mut devices, [1, 1, 2, 2, 3, 3, 4, 5]), [0, 0, 0, 0, 1, 0, 0, 0]);
        devices.answer(7);
        assert_eq!(told(&mut devices, 6..20).iter().sum::<usize>(), 0, "once for each device");
        assert_eq!((devices.next(), devices.awaited.len()), (None, 0));
    }

    /// RAU-004: an answer in time is one, and a new request in its place is none.
    #[test]
    fn the_third_challenge_may_still_be_answered() {
        let mut devices = Unanswered::default();
        (1..=3).for_each(|n| devices.challenge(7, who(), key(n), at(9)));
        assert_eq!((devices.due(at(10)), devices.next()), (vec![], Some(at(11))));
        devices.answer(7);
        assert_eq!((devices.due(at(99)), devices.next()), (vec![], None));
        (4..=6).for_each(|n| devices.challenge(7, who(), key(n), at(100)));
        assert_eq!(devices.due(at(100)), []);
        devices.challenge(7, who(), key(7), at(100));
        assert_eq!((devices.due(at(100)), devices.next()), (vec![who()], None));
    }

    #[test]
    fn an_answer_in_between_begins_a_new_count() {
        let mut devices = Unanswered::default();
        for n in 0..100 {
            assert_eq!(told(&mut devices, [2 * n, 2 * n + 1]), [0, 0]);
            devices.answer(7);
        }
        assert!(devices.young.is_empty() && devices.old.is_empty());
    }

    /// However many come, so many are remembered and waited for; those heard of lately stay.
    #[test]
    fn memory_is_bounded() {
        let mut devices = Unanswered::default();
        devices.challenge(0, who(), key(1), at(0));
        devices.challenge(0, who(), key(2), at(0));
        for device in 1..50_000 {
            devices.challenge(device, who(), key(device), at(0));
            assert!(devices.young.len() <= REMEMBERED && devices.old.len() <= REMEMBERED);
            if device % 2000 == 0 {
                devices.challenge(0, who(), key(2), at(0));
            }
        }
        devices.challenge(0, who(), key(3), at(0));
        assert_eq!(devices.due(at(2)), [who()]);
        let mut early = 0;
        for device in 1..1000 {
            (1..=3).for_each(|n| devices.challenge(device, who(), key(n), at(3)));
            early += devices.due(at(3)).len();
            assert!(devices.awaited.len() <= AWAITED);
        }
        assert_eq!((early, devices.due(at(5)).len()), (999 - AWAITED, AWAITED));
    }

    #[test]
    fn a_device_is_an_address_of_record_at_a_source() {
        let aor = |text: &str| Aor::of(&Uri::parse(text).unwrap());
        let keys = Keys::new(1);
        let device = |user: &str, source: &str| device(&keys, &aor(user), source.parse().unwrap());
        let alice = device("sip:alice@munich.de", "192.0.2.7");
        assert_eq!(alice, device("sip:alice@MUNICH.de;x=1", "::ffff:192.0.2.7"));
        assert_ne!(alice, device("sip:bob@munich.de", "192.0.2.7"));
        assert_ne!(alice, device("sip:alice@munich.de", "192.0.2.8"));
        let six = device("sip:alice@munich.de", "2001:db8::1");
        assert_eq!(six, device("sip:alice@munich.de", "2001:db8::ffff:2"));
        assert_ne!(six, device("sip:alice@munich.de", "2001:db8:0:1::1"));
    }
}
