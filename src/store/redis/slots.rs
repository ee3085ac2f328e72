//! Which server of a cluster has what.

use redis::Value;

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// A host and its port.
pub(super) type Host = (String, u16);

/// The slot of a key: of what stands in its first braces, if that is anything, else of all of it.
pub(super) fn slot(key: &[u8]) -> usize {
    let braced = key.iter().position(|&octet| octet == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        rest.get(..rest.iter().position(|&octet| octet == b'}')?)
    });
    let hashed = braced.filter(|braced| !braced.is_empty()).unwrap_or(key);
    // CRC16 in the variant of XMODEM.
    let crc = hashed.iter().fold(0_u16, |crc, &octet| {
        (0..8).fold(crc ^ (u16::from(octet) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    usize::from(crc) % SLOTS
}

/// The servers of a cluster that take changes, each with the first and last slot of what it has; a server may be there
/// several times. `asked`: the host that says it, which need not know its own name. `None`: it says something else.
pub(super) fn ranges(answer: &Value, asked: &Host) -> Option<Vec<(usize, usize, Host)>> {
    let Value::Array(all) = answer else { return None };
    all.iter()
        .map(|range| {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(main), ..] = range.as_slice() else {
                return None;
            };
            let [name, Value::Int(port), ..] = main.as_slice() else { return None };
            let name = if let Value::BulkString(name) = name { std::str::from_utf8(name).ok()? } else { "" };
            let name = if name.is_empty() { &asked.0 } else { name };
            let host = (name.to_owned(), u16::try_from(*port).ok()?);
            let last = usize::try_from(*last).ok().filter(|last| *last < SLOTS)?;
            Some((usize::try_from(*first).ok()?, last, host))
        })
        .collect()
}

/// For each slot the number of its server, if one has it.
#[derive(Debug)]
pub(super) struct Slots(Vec<Option<usize>>);

impl Slots {
    /// `number`: that of a server.
    pub fn of(ranges: &[(usize, usize, Host)], mut number: impl FnMut(&Host) -> usize) -> Slots {
        let mut slots = vec![None; SLOTS];
        for (first, last, host) in ranges {
            let number = number(host);
            slots.iter_mut().take(last + 1).skip(*first).for_each(|slot| *slot = Some(number));
        }
        Slots(slots)
    }

    /// The server that has a key.
    pub fn server(&self, key: &[u8]) -> Option<usize> {
        self.0.get(slot(key)).copied().flatten()
    }

    /// Whether a server has anything.
    pub fn has(&self, server: usize) -> bool {
        self.0.contains(&Some(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `CLUSTER KEYSLOT` says.
    #[test]
    fn the_slot_of_a_key_is_that_of_what_is_in_its_braces() {
        for (key, expected) in [
            (&b"123456789"[..], 12739),
            (b"sipreg:{alice@example.com}", slot(b"alice@example.com")),
            (b"sipreg:{alice@example.com}:probe", slot(b"alice@example.com")),
            (b"foo", 12182),
            (b"{}foo", slot(b"{}foo")),
            (b"a{b", slot(b"a{b")),
        ] {
            assert_eq!(slot(key), expected, "{}", String::from_utf8_lossy(key));
        }
    }
}
