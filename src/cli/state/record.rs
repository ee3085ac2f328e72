//! The content of a state file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file;
use crate::cli::text::json_line;
use crate::proto::client::contact::is_same;
use crate::proto::client::plan::Resume;
use crate::proto::{Checkpoint, Time};
use crate::sip::NameAddr;

/// Contacts that are remembered at most; the oldest go first. Own ones are few: only those of runs that
/// nobody answered.
const MOST_NAMED: usize = 32;
const MOST_OWN: usize = 4;

/// Version of the format.
const SCHEMA: u32 = 1;

/// The content of the file of one AOR at one registrar. Contacts are written as in a Contact header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    aor: String,
    registrar: String,
    /// Of all requests; empty before the first.
    call_id: String,
    /// Of the last request.
    cseq: u32,
    /// Contacts that this device made for itself. More than one only while it is not known which of them is
    /// bound.
    pub(super) own: Vec<String>,
    /// Contacts that the user named with `--contact`.
    pub(super) named: Vec<String>,
    /// Local port of the own contact.
    port: Option<u16>,
    /// When the lifetime that was granted to a contact ends, in milliseconds since 1970, where that is known.
    #[serde(default)]
    until: BTreeMap<String, u64>,
}

impl Record {
    fn new(aor: &str, registrar: &str) -> Record {
        Record {
            schema: SCHEMA,
            aor: aor.to_owned(),
            registrar: registrar.to_owned(),
            call_id: String::new(),
            cseq: 0,
            own: Vec::new(),
            named: Vec::new(),
            port: None,
            until: BTreeMap::new(),
        }
    }

    /// Reads a file. What is not there is an empty record; what makes no sense is one, too, with a warning.
    pub(super) fn read(path: &Path, aor: &str, registrar: &str) -> (Record, Option<String>) {
        let empty = Record::new(aor, registrar);
        let damaged = |why: &str| {
            let warning = format!("the state in {} is damaged ({why}): beginning anew", path.display());
            (Record::new(aor, registrar), Some(warning))
        };
        match file::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (empty, None),
            Err(error) => (empty, Some(format!("the state in {} can't be read: {error}", path.display()))),
            Ok(text) => match serde_json::from_str::<Record>(&text) {
                Err(error) => damaged(&error.to_string()),
                Ok(record) if record.schema != SCHEMA => damaged("of another version"),
                Ok(record) if record.aor != aor || record.registrar != registrar => {
                    damaged("of another address")
                }
                Ok(record) if !record.is_sound() => {
                    damaged("not one of its contacts or its Call-ID can be sent")
                }
                Ok(record) => (record, None),
            },
        }
    }

    /// Everything in it can go into a header.
    fn is_sound(&self) -> bool {
        let plain = self.call_id.bytes().all(|octet| octet.is_ascii_graphic());
        let contact = |text: &String| NameAddr::parse(text).is_ok();
        plain && self.own.iter().all(contact) && self.named.iter().all(contact)
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        file::exchange(path, json_line(self).as_bytes())
    }

    /// For a plan.
    #[must_use]
    pub fn memory(&self) -> Resume {
        Resume {
            dialogue: (!self.call_id.is_empty()).then(|| (self.call_id.clone(), self.cseq)),
            own: self.own.iter().filter_map(|text| NameAddr::parse(text).ok()).collect(),
        }
    }

    /// The port to send from again.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        if self.own.is_empty() { None } else { self.port }
    }

    /// The contacts that `unregister` removes: this device's, else those that the user named.
    #[must_use]
    pub fn bound(&self) -> Vec<NameAddr> {
        let bound = if self.own.is_empty() { &self.named } else { &self.own };
        bound.iter().filter_map(|text| NameAddr::parse(text).ok()).collect()
    }

    /// The contacts whose lifetime has not ended.
    pub(super) fn live(&self, now: Time) -> Vec<NameAddr> {
        let is_live =
            |text: &&String| self.until.get(*text).is_some_and(|until| now < Time::from_millis(*until));
        let live = self.own.iter().chain(&self.named).filter(is_live);
        live.filter_map(|text| NameAddr::parse(text).ok()).collect()
    }

    /// Notes until when contacts are bound.
    pub(super) fn extend(&mut self, contacts: &[String], until: Time) {
        let Record { own, named, until: all, .. } = self;
        all.retain(|text, _| own.contains(text) || named.contains(text));
        all.extend(contacts.iter().map(|text| (text.clone(), until.as_millis())));
    }

    /// Adds what a request is about to make true; nothing is dropped before it is confirmed.
    pub(super) fn remember(&mut self, what: &Checkpoint, own: bool) {
        self.call_id.clone_from(&what.call_id);
        self.cseq = what.cseq;
        if own && !what.contacts.is_empty() {
            self.port = Some(what.local.port());
        }
        let list = if own { &mut self.own } else { &mut self.named };
        for contact in &what.contacts {
            let bare = bare(contact);
            if !list.contains(&bare) {
                list.push(bare);
            }
        }
        for (list, most) in [(&mut self.named, MOST_NAMED), (&mut self.own, MOST_OWN)] {
            list.drain(..list.len().saturating_sub(most));
        }
    }

    pub(super) fn forget(&mut self, gone: &[String]) {
        let gone: Vec<NameAddr> = gone.iter().filter_map(|text| NameAddr::parse(text).ok()).collect();
        let stays = |text: &String| {
            NameAddr::parse(text).is_ok_and(|kept| !gone.iter().any(|gone| is_same(&kept.uri, &gone.uri)))
        };
        self.own.retain(stays);
        self.named.retain(stays);
    }

    pub(super) fn forget_all(&mut self) {
        self.own.clear();
        self.named.clear();
    }
}

/// The address alone: lifetime and preference are said anew each time.
pub(super) fn bare(contact: &NameAddr) -> String {
    format!("<{}>", contact.uri)
}
