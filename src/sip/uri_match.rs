//! Comparison of SIP URIs (RFC 3261 §19.1.4).

use super::uri::{Spelling, Uri, decode};

/// Parameters that make a difference even when only one URI has them: their default does not stand for absence.
const DECISIVE: [&str; 5] = ["maddr", "method", "transport", "ttl", "user"];

/// Text in a form that is equal exactly when RFC 3261 §19.1.4 says so: escapes of unreserved characters undone,
/// escapes of reserved ones kept apart from the character itself.
type Key = Vec<(u8, Spelling)>;

impl Uri {
    /// Whether both URIs name the same resource (RFC 3261 §19.1.4, addresses by RFC 5954 §4.2).
    ///
    /// Symmetric but not transitive: a parameter that only one side has is ignored unless it is `user`, `ttl`,
    /// `method`, `maddr` or `transport`. A public GRUU therefore matches its address of record (RFC 5627 §5.4).
    /// Header parts compare without letter case, except Call-ID.
    pub fn matches(&self, other: &Uri) -> bool {
        self.scheme == other.scheme
            && self.host == other.host
            && self.port == other.port
            && same_text(self.user.as_deref(), other.user.as_deref())
            && same_text(self.password.as_deref(), other.password.as_deref())
            && same_params(self, other)
            && header_keys(self) == header_keys(other)
    }
}

fn keyed(text: &str) -> impl Iterator<Item = (u8, Spelling)> {
    decode(text.as_bytes()).map(|(octet, spelling)| {
        let reserved = matches!(octet, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',');
        (octet, if reserved { spelling } else { Spelling::Plain })
    })
}

fn caseless(text: &str) -> Key {
    keyed(text).map(|(octet, spelling)| (octet.to_ascii_lowercase(), spelling)).collect()
}

fn same_text(one: Option<&str>, two: Option<&str>) -> bool {
    match (one, two) {
        (None, None) => true,
        (Some(one), Some(two)) => keyed(one).eq(keyed(two)),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Parameters by name, the first of each name.
fn param_keys(uri: &Uri) -> Vec<(Key, Option<Key>)> {
    let mut keys: Vec<_> =
        uri.params.iter().map(|(name, value)| (caseless(name), value.map(caseless))).collect();
    keys.sort_by(|(one, _), (two, _)| one.cmp(two));
    keys.dedup_by(|(later, _), (first, _)| later == first);
    keys
}

fn is_decisive(name: &Key) -> bool {
    DECISIVE.iter().any(|decisive| is(name, decisive))
}

fn is(name: &Key, text: &str) -> bool {
    name.iter().map(|(octet, _)| *octet).eq(text.bytes())
}

fn same_params(one: &Uri, two: &Uri) -> bool {
    if one.params.is_empty() && two.params.is_empty() {
        return true;
    }
    let (one, two) = (param_keys(one), param_keys(two));
    let (mut ones, mut twos) = (one.iter().peekable(), two.iter().peekable());
    loop {
        let alone = match (ones.peek(), twos.peek()) {
            (None, None) => return true,
            (Some((name, _)), None) => {
                ones.next();
                name
            }
            (None, Some((name, _))) => {
                twos.next();
                name
            }
            (Some((left, value)), Some((right, other))) => match left.cmp(right) {
                std::cmp::Ordering::Equal if value != other => return false,
                std::cmp::Ordering::Equal => {
                    ones.next();
                    twos.next();
                    continue;
                }
                std::cmp::Ordering::Less => {
                    ones.next();
                    left
                }
                std::cmp::Ordering::Greater => {
                    twos.next();
                    right
                }
            },
        };
        if is_decisive(alone) {
            return false;
        }
    }
}

fn header_keys(uri: &Uri) -> Vec<(Key, Key)> {
    let mut keys: Vec<_> = uri
        .headers
        .iter()
        .map(|(name, value)| {
            let name = caseless(name);
            let value = if is(&name, "call-id") { keyed(value).collect() } else { caseless(value) };
            (name, value)
        })
        .collect();
    keys.sort();
    keys
}
