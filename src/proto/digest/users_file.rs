//! The file of users: `user:realm:HA1:[SHA-256]:[SHA-512-256]:[may-register]`, one a line, comments behind `#`.
//!
//! The three hashes are of user:realm:password by MD5, SHA-256 and SHA-512-256; each may be missing. `may-register` is
//! a list with commas of whose addresses the user may register besides the own. Nothing here repeats what it read.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::hash;
use super::users::{Ha1s, User, Users};
use super::{Algorithm, Hidden};

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
    /// Nothing before the first colon, or what can't be written there.
    #[error("the user name is missing, or holds a colon or a control character; write user:realm:HA1")]
    Name,
    /// No realm, or what can't be written there.
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
    /// Not so many hex digits.
    #[error("the {} HA1 is not {} hex digits; make the line with sipreg serve --add-user", .0.as_str(), .0.digits())]
    Ha1(Algorithm),
    /// An entry of the last field is no address.
    #[error(
        "the last field is no list of addresses; write user parts, user@domain or *, with commas between, without sip:"
    )]
    MayRegister,
    /// There is a line for that user.
    #[error("line {first} is for the same user and realm; remove one of the two")]
    Duplicate {
        /// Which.
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

    /// A file with that user in it, with new HA1s: in the line that the user has, whose `may-register` stays, else in
    /// a new one at the end. All other lines stay as they are.
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
            match Fields::of(row_text.trim_start_matches(BOM)) {
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
    /// The line of a user in a file, without line end, with all three HA1s; name and password are normalized as a
    /// client does that is told `charset=UTF-8` (RFC 7616 §4), the realm is written in lower case.
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

/// What editors of Windows put before the first line.
const BOM: char = '\u{feff}';

fn normal(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfc().collect())
}

/// The lines that are users, counted from 0.
fn lines(text: &str) -> impl Iterator<Item = (usize, Fields<'_>)> {
    let rows = text.strip_prefix(BOM).unwrap_or(text).lines().enumerate();
    rows.filter_map(|(at, row)| Some((at, Fields::of(row)?)))
}

#[cfg(test)]
mod tests;
