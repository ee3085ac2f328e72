//! The users of a registrar, by realm and name, with their HA1s. How they stand in a file is in [`super::users_file`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::hash;
use super::{Algorithm, Hidden};

/// One user of one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The realm: the domain of the user's address, in lower case.
    pub realm: String,
    /// The user name, not escaped.
    pub name: String,
    /// Whose addresses the user may register besides the own: user parts in the own realm, addresses (`user@domain`),
    /// or `*` for any.
    pub may_register: Vec<String>,
}

impl User {
    /// Whether the user may change the bindings of that address: the own one, or one that was allowed (RFC 3261 §10.3
    /// step 4). The user part is not escaped; the domain is compared in any letter case.
    #[must_use]
    pub fn may(&self, aor_user: &str, aor_domain: &str) -> bool {
        let is = |user: &str, domain: &str| user == aor_user && domain.eq_ignore_ascii_case(aor_domain);
        let allows = |entry: &String| match entry.rsplit_once('@') {
            None => entry == "*" || is(entry, &self.realm),
            Some((user, domain)) => is(user, domain),
        };
        is(&self.name, &self.realm) || self.may_register.iter().any(allows)
    }
}

/// All users of a registrar.
#[derive(Default)]
pub struct Users {
    realms: BTreeMap<String, Realm>,
}

/// The users of one realm.
#[derive(Default)]
struct Realm {
    known: Vec<Known>,
    names: BTreeMap<String, usize>,
    /// By H(name:realm), as far as [`hash_key`] keeps it (RFC 7616 §3.4.4).
    hashes: BTreeMap<(Algorithm, u128), usize>,
    /// How many have an HA1 of each algorithm.
    having: PerAlgorithm<usize>,
}

/// A user with what proves who it is.
pub(super) struct Known {
    pub user: Arc<User>,
    ha1s: Ha1s,
}

/// One of each algorithm, in the order of [`Algorithm::ALL`].
pub(super) type PerAlgorithm<T> = [T; 3];

/// HA1s in lower-case hex.
pub(super) type Ha1s = PerAlgorithm<Option<Hidden>>;

/// The place of an algorithm in a [`PerAlgorithm`].
pub(super) fn place(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Md5 => 0,
        Algorithm::Sha256 => 1,
        Algorithm::Sha512_256 => 2,
    }
}

/// A realm as it is looked up, hashed and written: in lower case, since it is a domain.
pub(super) fn lower(realm: &str) -> Cow<'_, str> {
    if realm.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(realm.to_ascii_lowercase())
    } else {
        Cow::Borrowed(realm)
    }
}

impl Known {
    pub fn ha1(&self, algorithm: Algorithm) -> Option<&Hidden> {
        self.ha1s[place(algorithm)].as_ref()
    }
}

impl Users {
    /// Whether there is a user of that name in that realm.
    #[must_use]
    pub fn has(&self, realm: &str, name: &str) -> bool {
        self.named(realm, name).is_some()
    }

    /// One of them, for an example.
    #[must_use]
    pub fn first(&self) -> Option<&User> {
        let realm = self.realms.values().next()?;
        realm.known.first().map(|known| &*known.user)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.realms.values().map(|realm| realm.known.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.realms.is_empty()
    }

    /// Adds one whose realm is in lower case. `false`: there is one of that name, which stays.
    pub(super) fn add(&mut self, user: User, ha1s: Ha1s) -> bool {
        let realm = self.realms.entry(user.realm.clone()).or_default();
        let at = realm.known.len();
        if realm.names.contains_key(&user.name) {
            return false;
        }
        realm.names.insert(user.name.clone(), at);
        for algorithm in Algorithm::ALL {
            if ha1s[place(algorithm)].is_some() {
                realm.having[place(algorithm)] += 1;
                let hash = hash::hash(algorithm, &[user.name.as_bytes(), user.realm.as_bytes()]);
                if let Some(key) = hash_key(algorithm, hash.as_str()) {
                    realm.hashes.insert((algorithm, key), at);
                }
            }
        }
        realm.known.push(Known { user: Arc::new(user), ha1s });
        true
    }

    pub(super) fn named(&self, realm: &str, name: &str) -> Option<&Known> {
        let realm = self.realms.get(lower(realm).as_ref())?;
        realm.known.get(*realm.names.get(name)?)
    }

    /// By the hash of the name.
    pub(super) fn hashed(&self, realm: &str, algorithm: Algorithm, userhash: &str) -> Option<&Known> {
        let realm = self.realms.get(lower(realm).as_ref())?;
        realm.known.get(*realm.hashes.get(&(algorithm, hash_key(algorithm, userhash)?))?)
    }

    /// Of these algorithms those to offer in that realm: what all its users can do, else what any can, else all. The
    /// same whoever asks, so that it tells nothing about a user.
    pub(super) fn offered(&self, realm: &str, among: &[Algorithm]) -> impl Iterator<Item = Algorithm> {
        let realm = self.realms.get(lower(realm).as_ref());
        let (having, all) = realm.map_or(([0; 3], 0), |realm| (realm.having, realm.known.len()));
        let some_have = |least: &usize| among.iter().any(|algorithm| having[place(*algorithm)] >= *least);
        let least = [all, 1].into_iter().find(some_have).unwrap_or(0);
        among.iter().copied().filter(move |algorithm| having[place(*algorithm)] >= least)
    }
}

impl fmt::Debug for Users {
    /// How many; there may be a million.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.len()).finish()
    }
}

/// The first 128 bits of a hash: what all algorithms have, and enough to tell names apart.
fn hash_key(algorithm: Algorithm, hex: &str) -> Option<u128> {
    let digits = hex.as_bytes();
    if digits.len() != algorithm.digits() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(hex.get(..32)?, 16).ok()
}
