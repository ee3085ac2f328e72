//! The contacts of this device that may be bound.

use std::fmt::{self, Write as _};

use crate::sip::NameAddr;

/// Each as a text: ten thousand accounts rest most of the time, and a text takes a fifth of the room.
#[derive(Debug, Default)]
pub(super) struct Bound(Vec<Box<str>>);

impl Bound {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn contacts(&self) -> Vec<NameAddr> {
        self.0.iter().filter_map(|text| read(text)).collect()
    }

    /// Those that are none of the `others`.
    pub fn beside(&self, others: &[NameAddr]) -> Vec<NameAddr> {
        let strange = self.0.iter().filter(|text| !others.iter().any(|other| is(text, other)));
        let strange = strange.filter_map(|text| read(text));
        strange.filter(|contact| !others.iter().any(|other| other.uri.matches(&contact.uri))).collect()
    }

    /// Now it is these.
    pub fn replace<'a>(&mut self, contacts: impl Iterator<Item = &'a NameAddr>) {
        let mut count = 0;
        for contact in contacts {
            match self.0.get_mut(count) {
                Some(text) if is(text, contact) => {}
                Some(text) => *text = contact.to_string().into(),
                None => {
                    self.0.reserve_exact(1);
                    self.0.push(contact.to_string().into());
                }
            }
            count += 1;
        }
        self.0.truncate(count);
    }

    /// This as well, if it is new.
    pub fn add(&mut self, contact: &NameAddr) {
        if !self.contacts().iter().any(|known| known.uri.matches(&contact.uri)) {
            self.0.push(contact.to_string().into());
        }
    }
}

impl FromIterator<NameAddr> for Bound {
    fn from_iter<T: IntoIterator<Item = NameAddr>>(contacts: T) -> Bound {
        Bound(contacts.into_iter().map(|contact| contact.to_string().into()).collect())
    }
}

/// What [`Display`](fmt::Display) has written of a contact can be read again.
fn read(text: &str) -> Option<NameAddr> {
    NameAddr::parse(text).ok()
}

/// Whether the text is of that very contact, without making another one of it.
fn is(text: &str, contact: &NameAddr) -> bool {
    let mut rest = Rest(text);
    write!(rest, "{contact}").is_ok() && rest.0.is_empty()
}

/// What of a text has not been written again.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
        Ok(())
    }
}
