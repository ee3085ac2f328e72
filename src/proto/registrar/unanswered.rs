//! Devices that are challenged and don't answer. Some read the first challenge of a response only, and give up without
//! a word where they don't know its algorithm; nobody would hear of it.

use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};

use crate::proto::binding::Aor;
use crate::proto::transaction::{Keys, TransactionKey};

/// A device that let so many challenges pass does not answer.
const ENOUGH: u8 = 3;

/// Devices that are remembered, in each of two halves: those heard of lately, and those before. The older half is
/// forgotten whenever the younger is full.
const REMEMBERED: usize = 4096;

/// The devices that have let challenges pass, by a keyed hash of who they are.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    young: BTreeMap<u64, Device>,
    old: BTreeMap<u64, Device>,
}

/// A device that was challenged.
#[derive(Clone, Copy, Debug)]
struct Device {
    /// Challenges that it has let pass, at most [`ENOUGH`]: then it was told.
    passed: u8,
    /// The request that was challenged last.
    last: TransactionKey,
}

impl Unanswered {
    /// Notes that a request was challenged. True when the device is to be told of: it has let enough challenges pass, and
    /// was not told before. Copies of a request don't count.
    pub(super) fn challenge(&mut self, device: u64, request: TransactionKey) -> bool {
        let before = self.take(device);
        let passed = match before {
            None => 1,
            Some(before) if before.last == request => before.passed,
            Some(before) => before.passed.saturating_add(1).min(ENOUGH),
        };
        self.keep(device, Device { passed, last: request });
        passed == ENOUGH && before.is_none_or(|before| before.passed < ENOUGH)
    }

    /// Notes that a device has answered, whatever came of it.
    pub(super) fn answer(&mut self, device: u64) {
        if let Some(told) = self.take(device).filter(|device| device.passed == ENOUGH) {
            self.keep(device, told);
        }
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
    let source = match source.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64),
    };
    keys.of_any((aor, source))
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

    /// RAU-004
    #[test]
    fn a_device_is_told_of_once_at_its_third_challenge_in_a_row() {
        let mut devices = Unanswered::default();
        let told: Vec<bool> = [1, 1, 2, 2, 3, 3, 4, 5].map(|n| devices.challenge(7, key(n))).to_vec();
        assert_eq!(told, [false, false, false, false, true, false, false, false]);
        devices.answer(7);
        assert!((6..20).all(|n| !devices.challenge(7, key(n))), "once for each device");
    }

    #[test]
    fn an_answer_in_between_begins_a_new_count() {
        let mut devices = Unanswered::default();
        for n in 0..100 {
            assert!(!devices.challenge(7, key(2 * n)) && !devices.challenge(7, key(2 * n + 1)));
            devices.answer(7);
        }
        assert!(devices.young.is_empty() && devices.old.is_empty());
    }

    /// However many come, so many are remembered; those heard of lately stay.
    #[test]
    fn memory_is_bounded() {
        let mut devices = Unanswered::default();
        devices.challenge(0, key(1));
        devices.challenge(0, key(2));
        for device in 1..100_000 {
            assert!(!devices.challenge(device, key(device)));
            assert!(devices.young.len() <= REMEMBERED && devices.old.len() <= REMEMBERED);
            if device % 2000 == 0 {
                devices.challenge(0, key(2));
            }
        }
        assert!(devices.challenge(0, key(3)));
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
