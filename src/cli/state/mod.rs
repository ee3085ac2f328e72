//! The memory between runs: one small file per AOR and registrar, and a lock beside it.
//!
//! ```text
//! STATE/instance                           one URN for this device, made once (RFC 5626 §4.1)
//! STATE/registrations/bob@munich.de-3f2a9c1b.json   Call-ID, CSeq, contacts, port
//! STATE/registrations/bob@munich.de-3f2a9c1b.lock   held from reading the file to writing the result
//! STATE/registrations/bob@munich.de-3f2a9c1b.keep-1.json   the same for the first 'sipreg keep'
//! STATE/keep-1.lock                        held as long as that runs
//! ```
//!
//! Life of a [`Slot`]: [`State::enter`] reads, under the lock; [`Record::memory`] goes into the plan;
//! [`Slot::remember`] writes before each request leaves; [`Slot::settle`] writes what came of it; dropping it
//! lets the next process in. Nothing of this can make a command fail: what can't be read or written is a
//! warning.
//!
//! A file is replaced by rename, so that a reader sees the old one or the new one. It is not forced to the
//! disk first: after a power failure an older CSeq may come back, which the registrar refuses and the core
//! answers with a new Call-ID.

pub(super) mod file;
mod lock;
mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use lock::LockRequest;
pub use record::Record;

use crate::cli::exposure::{Right, others_may};
use crate::cli::text::shown;
use crate::proto::client::outcome::Success;
use crate::proto::client::plan::Purpose;
use crate::proto::{Checkpoint, Time};
use crate::sip::{Host, NameAddr, Uri};

/// `sipreg keep` processes that can use the state at a time.
const PLACES: u32 = 64;

/// The slot of a `sipreg keep` process, held until this is dropped.
#[derive(Debug)]
pub struct ProcessSlot {
    number: u32,
    _lock: lock::Lock,
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// The memory of one AOR at one registrar, locked for this process.
#[derive(Debug)]
pub struct Slot {
    path: PathBuf,
    record: Record,
    /// The contacts of the plan are this device's own.
    own: bool,
    /// The contacts of the last request that left.
    asked: Vec<String>,
    complaint: Option<String>,
    /// Own and named contacts as they were before this process.
    before: (Vec<String>, Vec<String>),
    /// `None` where the lock of the whole process holds.
    _lock: Option<lock::Lock>,
}

impl State {
    /// The state in `dir`, which need not exist yet.
    #[must_use]
    pub fn in_dir(dir: &Path) -> State {
        State { dir: dir.to_owned() }
    }

    /// A warning for a folder that others may write: what they put there is removed, or kept from being.
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        let is_open = |dir: &Path| others_may(Right::Write, dir);
        let dir = [self.dir.clone(), self.registrations()].into_iter().find(|dir| is_open(dir))?;
        let name = shown(&dir.to_string_lossy());
        Some(format!("others may write the state directory {name}: chmod go-w it"))
    }

    fn registrations(&self) -> PathBuf {
        self.dir.join("registrations")
    }

    /// The lock of one AOR at one registrar, not yet taken.
    ///
    /// # Errors
    /// The directory can't be made or written to, in words for a warning.
    pub fn approach(&self, aor: &str, registrar: &str) -> Result<LockRequest, String> {
        self.make_dirs()?;
        LockRequest::at(&self.registrations().join(format!("{}.lock", file_name(aor, registrar))))
    }

    /// Reads what is remembered, under the lock. A damaged file is set aside and told of.
    #[must_use]
    pub fn enter(&self, aor: &str, registrar: &str, lock: lock::Lock) -> (Slot, Option<String>) {
        self.enter_file(&format!("{}.json", file_name(aor, registrar)), aor, registrar, Some(lock))
    }

    /// Takes the first slot that no other `sipreg keep` holds. It is free again when the process ends, in
    /// whatever way, and the next process goes on with what this one has bound.
    ///
    /// # Errors
    /// The directory can't be used, or all slots are taken, in words for a warning.
    pub fn process_slot(&self) -> Result<ProcessSlot, String> {
        self.make_dirs()?;
        for number in 1..=PLACES {
            let waiting = LockRequest::at(&self.dir.join(format!("keep-{number}.lock")))?;
            if let Ok(lock) = waiting.try_now()? {
                return Ok(ProcessSlot { number, _lock: lock });
            }
        }
        Err(format!("{PLACES} other 'sipreg keep' use the state directory {}", self.dir.display()))
    }

    /// As [`State::enter`], for a `sipreg keep`.
    #[must_use]
    pub fn enter_for_keep(&self, aor: &str, registrar: &str, place: &ProcessSlot) -> (Slot, Option<String>) {
        self.enter_file(&keep_file_name(aor, registrar, place.number), aor, registrar, None)
    }

    /// Whether a running `sipreg keep` has bound this address.
    #[must_use]
    pub fn is_bound_by_keep(&self, aor: &str, registrar: &str) -> bool {
        self.files_of_keep(aor, registrar).any(|(number, name)| {
            let path = self.registrations().join(name);
            !Record::read(&path, aor, registrar).0.bound().is_empty()
                && LockRequest::at(&self.dir.join(format!("keep-{number}.lock")))
                    .and_then(LockRequest::try_now)
                    .is_ok_and(|taken| taken.is_err())
        })
    }

    fn enter_file(
        &self,
        name: &str,
        aor: &str,
        registrar: &str,
        lock: Option<lock::Lock>,
    ) -> (Slot, Option<String>) {
        let path = self.registrations().join(name);
        let (record, warning) = Record::read(&path, aor, registrar);
        if warning.is_some() {
            file::set_aside(&path);
        }
        let before = (record.own.clone(), record.named.clone());
        let slot = Slot { path, record, own: false, asked: Vec::new(), complaint: None, before, _lock: lock };
        (slot, warning)
    }

    fn make_dirs(&self) -> Result<(), String> {
        file::make_dir(&self.dir)
            .and_then(|()| file::make_dir(&self.registrations()))
            .map_err(|error| format!("the state directory {} can't be used: {error}", self.dir.display()))
    }

    /// What `sipreg keep` processes that have ended may have left bound: a slot for each, locked.
    #[must_use]
    pub fn left_by_keep(&self, aor: &str, registrar: &str) -> Vec<Slot> {
        let take = |(number, name): (u32, String)| {
            let lock =
                LockRequest::at(&self.dir.join(format!("keep-{number}.lock"))).ok()?.try_now().ok()?.ok()?;
            Some(self.enter_file(&name, aor, registrar, Some(lock)).0)
        };
        let slots = self.files_of_keep(aor, registrar).filter_map(take);
        slots.filter(|slot| !slot.record.bound().is_empty()).collect()
    }

    /// The contacts that this device has bound, with `sipreg register` or `sipreg keep`, and whose lifetime has not ended.
    #[must_use]
    pub fn live(&self, aor: &str, registrar: &str, now: Time) -> Vec<NameAddr> {
        let name = format!("{}.json", file_name(aor, registrar));
        let names = self.files_of_keep(aor, registrar).map(|(_, name)| name).chain([name]);
        let records = names.map(|name| Record::read(&self.registrations().join(name), aor, registrar).0);
        records.flat_map(|record| record.live(now)).collect()
    }

    /// The files of `sipreg keep` that are there, each with the number of its process.
    fn files_of_keep(&self, aor: &str, registrar: &str) -> impl Iterator<Item = (u32, String)> {
        let name = |number| (number, keep_file_name(aor, registrar, number));
        (1..=PLACES).map(name).filter(|(_, name)| self.registrations().join(name).exists())
    }

    /// The record, without lock and without touching anything: for `--dry-run`.
    #[must_use]
    pub fn peek(&self, aor: &str, registrar: &str) -> Record {
        let path = self.registrations().join(format!("{}.json", file_name(aor, registrar)));
        Record::read(&path, aor, registrar).0
    }

    /// The URN of this device: made on first use, the same ever after (RFC 5626 §4.1, RFC 4122 version 4).
    ///
    /// # Errors
    /// It can't be read or written, in words for a warning.
    pub fn instance(&self, random: &mut dyn FnMut() -> u64) -> Result<String, String> {
        let path = self.dir.join("instance");
        let known = || file::read(&path).ok().map(|text| text.trim().to_owned());
        if let Some(urn) = known().filter(|urn| is_urn(urn)) {
            return Ok(urn);
        }
        let urn = urn(random(), random());
        file::make_dir(&self.dir)
            .and_then(|()| file::create(&path, format!("{urn}\n").as_bytes(), |held| is_urn(held.trim())))
            .map_err(|error| format!("{} can't be used: {error}", path.display()))?;
        // Another process may have been first.
        Ok(known().filter(|urn| is_urn(urn)).unwrap_or(urn))
    }
}

/// A random UUID as a URN.
fn urn(high: u64, low: u64) -> String {
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("urn:uuid:{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

/// The key of an AOR or a registrar: its text, without regard to the letter case of its host.
#[must_use]
pub fn key(uri: &Uri) -> String {
    let mut uri = uri.clone();
    if let Host::Name(name) = &mut uri.host {
        name.make_ascii_lowercase();
    }
    uri.to_string()
}

fn is_urn(text: &str) -> bool {
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        let dash = |n| matches!(n, 8 | 13 | 18 | 23);
        uuid.len() == 36
            && uuid.bytes().enumerate().all(|(n, octet)| match octet {
                b'-' => dash(n),
                octet => !dash(n) && octet.is_ascii_hexdigit(),
            })
    })
}

/// Readable, safe on every file system, and different for every pair.
fn file_name(aor: &str, registrar: &str) -> String {
    let plain: String = aor
        .trim_start_matches("sip:")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' })
        .take(80)
        .collect();
    let mut hash = Sha256::new();
    hash.update(aor.as_bytes());
    hash.update(b"\n");
    hash.update(registrar.as_bytes());
    let short: String = hash.finalize().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    format!("{}-{short}", plain.trim_start_matches('.'))
}

fn keep_file_name(aor: &str, registrar: &str, place: u32) -> String {
    format!("{}.keep-{place}.json", file_name(aor, registrar))
}

impl Slot {
    /// Says whether the contacts that follow are this device's own, or named by the user.
    pub fn begin(&mut self, own: bool) {
        self.own = own;
    }

    /// The record as it stands.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Writes what the request that leaves next makes true.
    pub fn remember(&mut self, what: &Checkpoint) {
        self.asked = what.contacts.iter().map(record::bare).collect();
        self.record.remember(what, self.own);
        self.write();
    }

    /// Writes what the registrar confirmed.
    ///
    /// Lifetimes count from when the request was `sent`.
    pub fn settle(&mut self, purpose: Purpose, named: &[NameAddr], success: &Success, sent: Option<Time>) {
        match purpose {
            Purpose::Fetch => return,
            Purpose::RemoveAll => self.record.forget_all(),
            Purpose::Remove => {
                let gone: Vec<String> = named.iter().map(record::bare).collect();
                self.record.forget(&gone);
            }
            Purpose::Bind { .. } => {
                let removed = success.contacts.iter().filter(|contact| contact.expires == 0);
                let gone: Vec<String> = removed.map(|contact| format!("<{}>", contact.uri)).collect();
                self.record.forget(&gone);
                let granted = success.contacts.iter().map(|contact| contact.expires).filter(|left| *left > 0);
                if let (Some(sent), Some(shortest)) = (sent, granted.min()) {
                    let until = sent + Duration::from_secs(shortest.into());
                    self.record.extend(&self.asked, until);
                }
                if self.own {
                    self.record.own = std::mem::take(&mut self.asked);
                }
            }
        }
        self.hold();
        self.write();
    }

    /// What is remembered now may be bound, whatever becomes of the requests that follow.
    pub fn hold(&mut self) {
        self.before = (self.record.own.clone(), self.record.named.clone());
    }

    /// Nothing came of it: what was bound before is bound now.
    pub fn restore(&mut self) {
        (self.record.own, self.record.named) = self.before.clone();
        if !self.asked.is_empty() {
            self.write();
        }
    }

    /// The first thing that went wrong with writing, if any did.
    pub fn complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }

    fn write(&mut self) {
        if let Err(error) = self.record.write(&self.path)
            && self.complaint.is_none()
        {
            self.complaint = Some(format!("{} can't be written: {error}", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests;
