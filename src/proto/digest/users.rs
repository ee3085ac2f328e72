//! The users of a registrar, by realm and name, with their HA1s, and the file in which they stand:
//! `user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]`, one a line, comments behind `#`.
//!
//! The three hashes are of user:realm:password by MD5, SHA-256 and SHA-512-256; each may be missing.
//! `may-register` is a list with commas of whose addresses the user may register besides the own. Errors
//! never repeat what was read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::hash;
use super::{Algorithm, Hidden};

/// One user of one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The realm: the domain of the user's address, in lower case.
    pub realm: String,
    /// The user name, not escaped.
    pub name: String,
    /// Whose addresses the user may register besides the own: user parts in the own realm, addresses
    /// (`user@domain`), or `*` for any.
    pub may_register: Vec<String>,
}

impl User {
    /// The user part of the own address: the name, without the domain where it is the whole address, as many phones
    /// sign in: `alice` for `alice@munich.de` of realm `munich.de`. With another domain it is a name like any other.
    #[must_use]
    pub fn own_part(&self) -> &str {
        local_part(&self.name, &self.realm).unwrap_or(&self.name)
    }

    /// Whether that is the user's own address. The user part is not escaped.
    #[must_use]
    pub fn owns(&self, aor_user: &str, aor_domain: &str) -> bool {
        [self.name.as_str(), self.own_part()].contains(&aor_user)
            && aor_domain.eq_ignore_ascii_case(&self.realm)
    }

    /// Whether the user may change the bindings of that address: the own one, or one that was allowed (RFC
    /// 3261 §10.3 step 4). The user part is not escaped; the domain is compared in any letter case.
    #[must_use]
    pub fn may(&self, aor_user: &str, aor_domain: &str) -> bool {
        let is = |user: &str, domain: &str| user == aor_user && domain.eq_ignore_ascii_case(aor_domain);
        let allows = |entry: &String| match entry.rsplit_once('@') {
            None => entry == "*" || is(entry, &self.realm),
            Some((user, domain)) => is(user, domain),
        };
        self.owns(aor_user, aor_domain) || self.may_register.iter().any(allows)
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
    entries: Vec<UserEntry>,
    names: BTreeMap<String, usize>,
    /// By H(name:realm), as far as [`hash_key`] keeps it (RFC 7616 §3.4.4).
    hashes: BTreeMap<(Algorithm, u128), usize>,
    /// The same of names with the domain behind them.
    whole: BTreeMap<(Algorithm, u128), usize>,
    /// How many have an HA1 of each algorithm.
    having: PerAlgorithm<usize>,
}

/// A user with what proves who it is.
pub(super) struct UserEntry {
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

/// What stands before the realm in a name that is a whole address of that realm.
pub(super) fn local_part<'a>(name: &'a str, realm: &str) -> Option<&'a str> {
    let (user, domain) = name.rsplit_once('@')?;
    (!user.is_empty() && domain.eq_ignore_ascii_case(realm)).then_some(user)
}

impl UserEntry {
    pub fn ha1(&self, algorithm: Algorithm) -> Option<&Hidden> {
        self.ha1s[place(algorithm)].as_ref()
    }
}

impl Users {
    /// Whether there is a user of that name in that realm, or one whose name is the whole address.
    #[must_use]
    pub fn has(&self, realm: &str, name: &str) -> bool {
        self.named(realm, name).is_some() || self.named(realm, &format!("{name}@{}", lower(realm))).is_some()
    }

    /// Some user, for an example.
    #[must_use]
    pub fn first(&self) -> Option<&User> {
        let realm = self.realms.values().next()?;
        realm.entries.first().map(|entry| &*entry.user)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.realms.values().map(|realm| realm.entries.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.realms.is_empty()
    }

    /// Adds one whose realm is in lower case. `false`: there is one of that name, which stays.
    pub(super) fn add(&mut self, user: User, ha1s: Ha1s) -> bool {
        let realm = self.realms.entry(user.realm.clone()).or_default();
        let at = realm.entries.len();
        if realm.names.contains_key(&user.name) {
            return false;
        }
        realm.names.insert(user.name.clone(), at);
        for algorithm in Algorithm::ALL {
            if ha1s[place(algorithm)].is_some() {
                realm.having[place(algorithm)] += 1;
                let whole = format!("{}@{}", user.name, user.realm);
                for (name, hashes) in [(&user.name, &mut realm.hashes), (&whole, &mut realm.whole)] {
                    let hash = hash::hash(algorithm, &[name.as_bytes(), user.realm.as_bytes()]);
                    if let Some(key) = hash_key(algorithm, hash.as_str()) {
                        hashes.insert((algorithm, key), at);
                    }
                }
            }
        }
        realm.entries.push(UserEntry { user: Arc::new(user), ha1s });
        true
    }

    pub(super) fn named(&self, realm: &str, name: &str) -> Option<&UserEntry> {
        let realm = self.realms.get(lower(realm).as_ref())?;
        realm.entries.get(*realm.names.get(name)?)
    }

    /// The user with that hash of the name (RFC 7616 §3.4.4), and the one with that of the whole address.
    pub(super) fn hashed(
        &self,
        realm: &str,
        algorithm: Algorithm,
        userhash: &str,
    ) -> (Option<&UserEntry>, Option<&UserEntry>) {
        let key = hash_key(algorithm, userhash).map(|key| (algorithm, key));
        let (Some(realm), Some(key)) = (self.realms.get(lower(realm).as_ref()), key) else {
            return (None, None);
        };
        let entry = |hashes: &BTreeMap<_, usize>| hashes.get(&key).and_then(|at| realm.entries.get(*at));
        (entry(&realm.hashes), entry(&realm.whole))
    }

    /// Of these algorithms those to offer in that realm: what all its users can do, else what any can, else
    /// all. The same whoever asks, so that it tells nothing about a user.
    pub(super) fn offered(&self, realm: &str, among: &[Algorithm]) -> impl Iterator<Item = Algorithm> {
        let realm = self.realms.get(lower(realm).as_ref());
        let (having, all) = realm.map_or(([0; 3], 0), |realm| (realm.having, realm.entries.len()));
        let some_have = |least: &usize| among.iter().any(|algorithm| having[place(*algorithm)] >= *least);
        let least = [all, 1].into_iter().find(some_have).unwrap_or(0);
        among.iter().copied().filter(move |algorithm| having[place(*algorithm)] >= least)
    }
}

impl fmt::Debug for Users {
    /// Says how many there are: it may be a million.
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

/// What is wrong with a file of users, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct UsersError {
    /// The line, the first is 1.
    pub line: usize,
    /// What is wrong with it, and what to do.
    pub what: UsersFault,
}

/// What is wrong with a line of a file of users, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersFault {
    /// There is nothing before the first colon, or what can't be written there.
    #[error("the user name is missing, or holds a colon or a control character; write user:realm:HA1")]
    Name,
    /// There is no realm, or what can't be written there.
    #[error("the realm is missing, or is no domain; write user:realm:HA1, an IPv6 address in brackets")]
    Realm,
    /// The HA1s, made with the realm as it is spelled, would not fit a realm in lower case.
    #[error(
        "the realm has capital letters; make the line anew with the realm in lower case, its hashes hold it"
    )]
    RealmCase,
    /// All three fields are empty.
    #[error("there is no HA1; make the line with sipreg serve --add-user")]
    NoHa1,
    /// An HA1 has another number of hex digits.
    #[error("the {} HA1 is not {} hex digits; make the line with sipreg serve --add-user", .0.as_str(), .0.digits())]
    Ha1(Algorithm),
    /// An entry of the last field is no address.
    #[error(
        "the last field is no list of addresses; write user parts, user@domain or *, with commas between, without sip:"
    )]
    MayRegister,
    /// An entry of the last field is an address of another realm, where the user has no password.
    #[error(
        "the last field names an address of another realm, where this user can't sign in; give the user a line in that realm"
    )]
    OtherRealm,
    /// Another line is for the same user.
    #[error("line {first} is for the same user and realm; remove one of the two")]
    Duplicate {
        /// The number of that line.
        first: usize,
    },
}

/// The fields of a line, without the white space around them.
struct Fields<'a> {
    name: &'a str,
    realm: &'a str,
    /// What follows: three hashes and the list, as far as they are there.
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// `None`: nothing but white space or a comment.
    fn of(line: &'a str) -> Option<Fields<'a>> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (name, rest) = line.split_once(':').unwrap_or((line, ""));
        // The colons of an IPv6 address are within its brackets.
        let rest = rest.trim_start();
        let address = if rest.starts_with('[') { rest.find(']').unwrap_or(0) } else { 0 };
        let (realm, rest) = match rest[address..].find(':') {
            Some(at) => (&rest[..address + at], Some(&rest[address + at + 1..])),
            None => (rest, None),
        };
        Some(Fields { name: name.trim(), realm: realm.trim(), rest })
    }

    fn user(&self) -> Result<(User, Ha1s), UsersFault> {
        if self.name.is_empty() || self.name.contains(char::is_control) {
            return Err(UsersFault::Name);
        }
        let is_cut = self.realm.starts_with('[') && !self.realm.ends_with(']');
        if self.realm.is_empty()
            || is_cut
            || self.realm.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            return Err(UsersFault::Realm);
        }
        if self.realm.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(UsersFault::RealmCase);
        }
        let mut fields = self.rest.unwrap_or_default().splitn(4, ':').map(str::trim);
        let mut ha1s = Ha1s::default();
        for (algorithm, place) in Algorithm::ALL.into_iter().zip(&mut ha1s) {
            *place = ha1(algorithm, fields.next().unwrap_or_default())?;
        }
        if ha1s.iter().all(Option::is_none) {
            return Err(UsersFault::NoHa1);
        }
        let may_register = may_register(fields.next().unwrap_or_default())?;
        // Who registers an address is challenged for the realm of its domain.
        let is_foreign = |entry: &String| {
            entry.rsplit_once('@').is_some_and(|(_, domain)| !domain.eq_ignore_ascii_case(self.realm))
        };
        if may_register.iter().any(is_foreign) {
            return Err(UsersFault::OtherRealm);
        }
        Ok((User { realm: self.realm.to_owned(), name: self.name.to_owned(), may_register }, ha1s))
    }
}

fn ha1(algorithm: Algorithm, hex: &str) -> Result<Option<Hidden>, UsersFault> {
    if hex.is_empty() {
        return Ok(None);
    }
    if hex.len() != algorithm.digits() || !hex.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Err(UsersFault::Ha1(algorithm));
    }
    Ok(Some(Hidden::new(hex.to_ascii_lowercase())))
}

fn may_register(list: &str) -> Result<Vec<String>, UsersFault> {
    let entry = |entry: &str| {
        let (user, domain) = match entry.rsplit_once('@') {
            Some((user, domain)) => (user, Some(domain)),
            None => (entry, None),
        };
        let fits = |part: &str| !part.is_empty() && !part.contains(char::is_control);
        let address = domain.is_none_or(|d| fits(d) && (d.starts_with('[') || !d.contains(':')));
        if fits(user) && !user.contains(':') && address {
            Ok(entry.to_owned())
        } else {
            Err(UsersFault::MayRegister)
        }
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(entry).collect()
}

impl Users {
    /// Reads a file. Line ends may be those of Windows.
    ///
    /// # Errors
    /// The first line that is no user, no comment and not empty, or that repeats a user.
    pub fn parse(text: &str) -> Result<Users, UsersError> {
        let mut users = Users::default();
        for (at, fields) in lines(text) {
            let line = at + 1;
            let (user, ha1s) = fields.user().map_err(|what| UsersError { line, what })?;
            if !users.add(user, ha1s) {
                let same = |other: &Fields<'_>| other.name == fields.name && other.realm == fields.realm;
                let first = lines(text).find(|(_, other)| same(other)).map_or(line, |(at, _)| at + 1);
                return Err(UsersError { line, what: UsersFault::Duplicate { first } });
            }
        }
        Ok(users)
    }

    /// A file with that user in it, with new HA1s: in the line that the user has, whose `may-register` stays,
    /// else in a new one at the end. All other lines stay as they are.
    ///
    /// # Errors
    /// As [`User::line`].
    pub fn put(text: &str, name: &str, realm: &str, password: &Hidden) -> Result<Hidden, UsersFault> {
        let line = User::line(name, realm, password)?;
        let (name, realm) = (normal(name), realm.to_ascii_lowercase());
        let mut out = Zeroizing::new(String::with_capacity(text.len() + line.reveal().len() + 2));
        let mut there = false;
        for row in text.split_inclusive('\n') {
            let row_text = row.trim_end_matches(['\r', '\n']);
            match Fields::of(row_text) {
                Some(fields) if fields.name == name.as_str() && fields.realm.eq_ignore_ascii_case(&realm) => {
                    there = true;
                    out.push_str(line.reveal());
                    if let Some(may) = fields.rest.and_then(|rest| rest.splitn(4, ':').nth(3)) {
                        out.push(':');
                        out.push_str(may);
                    }
                    out.push_str(&row[row_text.len()..]);
                }
                Some(_) | None => out.push_str(row),
            }
        }
        if !there {
            let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
            if !out.is_empty() && !out.ends_with('\n') {
                out.push_str(ending);
            }
            out.push_str(line.reveal());
            out.push_str(ending);
        }
        Ok(Hidden::new(std::mem::take(&mut *out)))
    }
}

impl User {
    /// The line of a user in a file, without line end, with all three HA1s; name and password are normalized
    /// as a client does that is told `charset=UTF-8` (RFC 7616 §4), the realm is written in lower case.
    ///
    /// # Errors
    /// A name or realm that can't stand in such a line.
    pub fn line(name: &str, realm: &str, password: &Hidden) -> Result<Hidden, UsersFault> {
        let (name, realm) = (normal(name), realm.to_ascii_lowercase());
        let password = normal(password.reveal());
        let [md5, sha256, sha512_256] = Algorithm::ALL
            .map(|algorithm| Zeroizing::new(hash::ha1(algorithm, &name, &realm, password.as_bytes())));
        let line = Hidden::new(format!("{}:{realm}:{}:{}:{}", *name, *md5, *sha256, *sha512_256));
        let fields =
            Fields::of(line.reveal()).filter(|fields| fields.name == *name).ok_or(UsersFault::Name)?;
        if fields.realm != realm {
            return Err(UsersFault::Realm);
        }
        fields.user()?;
        Ok(line)
    }
}

fn normal(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfc().collect())
}

/// The lines that are users, counted from 0.
fn lines(text: &str) -> impl Iterator<Item = (usize, Fields<'_>)> {
    text.lines().enumerate().filter_map(|(at, row)| Some((at, Fields::of(row)?)))
}

#[cfg(test)]
mod tests;
