//! The file of an [`Embedded`](super::Embedded) store: made, judged, read.
//!
//! A file is judged before anything is written to it: it is opened with whatever repair it needs, but what that writes goes
//! to memory ([`Overlay`]). Only a file that proves sound there is opened for writing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{
    BackendError, Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError, TableDefinition, TableError,
};

use super::record;
use crate::proto::Time;
use crate::proto::binding::{Aor, Binding};

/// Bindings by address-of-record, as [`record`] writes them.
pub(super) const BINDINGS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bindings");

/// What the file says of itself.
pub(super) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("sipreg");

/// In [`ABOUT`]: the version of the format.
const FORMAT: &str = "format";

/// In [`ABOUT`]: how often it was put right, after changes had failed or at a start.
pub(super) const RECOVERED: &str = "recovered";

/// The version of the format that is read and written here.
const CURRENT: u64 = 1;

/// Octets of the file that are kept in memory besides the bindings.
const CACHE: usize = 64 << 20;

/// The first octets of every file of redb.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// Why a file is not opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("is in use by another server")]
    InUse,
    /// It may be read only.
    #[error("is not writable: {0}")]
    NotWritable(io::Error),
    /// It was made by something else.
    #[error("is no store of sipreg")]
    Foreign,
    /// It was made by a sipreg that is newer than this one.
    #[error("was written by a newer sipreg (format {0})")]
    Newer(u64),
    /// What is in it can't be trusted.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The system did not let it be read or made.
    #[error("can't be used: {0}")]
    Io(#[from] io::Error),
}

/// What is in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The version of its format.
    pub format: u64,
    /// Addresses-of-record that have bindings.
    pub aors: usize,
    /// Bindings that have not run out.
    pub live: usize,
    /// Bindings that have.
    pub expired: usize,
    /// Octets of the file.
    pub octets: u64,
    /// The file is shorter than it was; what is in it is whole all the same.
    pub is_cut: bool,
}

/// A store that was judged sound.
pub(super) struct Judged {
    pub contents: Contents,
    /// What has not run out.
    pub bindings: Vec<(Aor, Arc<[Binding]>)>,
    /// Records of which nothing is left.
    pub stale: Vec<Aor>,
}

/// Opens a file for reading and writing and locks it; makes one if there is none, which nobody else may read.
pub(super) fn open(path: &Path) -> Result<Storage, OpenError> {
    let file = loop {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => break file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => {
                let kinds = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
                return Err(match kinds.contains(&error.kind()) {
                    true => OpenError::NotWritable(error),
                    false => error.into(),
                });
            }
        }
    };
    held(file, File::try_lock)
}

/// Opens a file for reading, while nobody writes.
pub(super) fn open_read_only(path: &Path) -> Result<Storage, OpenError> {
    held(File::open(path)?, File::try_lock_shared)
}

fn held(file: File, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Storage, OpenError> {
    if !file.metadata()?.is_file() {
        return Err(OpenError::Foreign);
    }
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if file.metadata()?.len() == 0 {
        return Err(OpenError::Damaged("it is empty".to_owned()));
    }
    let backend = FileBackend::new(file).map_err(judge)?;
    Ok(Storage(Arc::new(backend)))
}

/// Makes a file with no bindings. It appears under its name when it is whole, and survives power loss then.
fn make(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let file = tempfile::Builder::new().prefix(".sipreg-").tempfile_in(&folder)?;
    let backend = FileBackend::new(file.reopen()?).map_err(judge)?;
    begin(&Storage(Arc::new(backend))).map_err(judge)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        // Somebody else was quicker.
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(failed) => return Err(failed.error.into()),
    }
    #[cfg(unix)]
    File::open(&folder)?.sync_all()?;
    Ok(())
}

/// Writes what is in an empty store.
pub(super) fn begin(storage: &Storage) -> Result<(), DatabaseError> {
    let database = builder().create_with_backend(storage.clone())?;
    let begun = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(ABOUT)?.insert(FORMAT, CURRENT)?;
        transaction.open_table(BINDINGS)?;
        Ok(transaction.commit()?)
    };
    begun().map_err(|error| DatabaseError::Storage(storage_error(error)))?;
    database.close()
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Opens for writing what was judged sound.
pub(super) fn open_database(storage: &Storage) -> Result<Database, OpenError> {
    let mut magic = [0; MAGIC.len()];
    storage.read(0, &mut magic)?;
    if magic != MAGIC {
        return Err(OpenError::Foreign);
    }
    let database = builder().create_with_backend(storage.clone()).map_err(judge)?;
    match format(&database)? {
        CURRENT => Ok(database),
        newer => Err(OpenError::Newer(newer)),
    }
}

/// Reads a whole store without changing it, and says whether it is sound. What had run out at `now` is counted only.
pub(super) fn read(storage: &Storage, now: Time) -> Result<Judged, OpenError> {
    let octets = storage.len()?;
    let mut header = [0; 64];
    let known = usize::try_from(octets).unwrap_or(usize::MAX).min(header.len());
    storage.read(0, &mut header[..known])?;
    if !header.starts_with(&MAGIC) {
        return Err(OpenError::Foreign);
    }
    let overlay = Overlay::over(storage.clone(), octets);
    let mut builder = builder();
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(overlay).map_err(judge)?;
    let format = format(&database)?;
    if format != CURRENT {
        return Err(OpenError::Newer(format));
    }
    let is_cut = stated_length(&header).is_some_and(|stated| octets < stated);
    let mut judged = Judged {
        contents: Contents { format, octets, is_cut, ..Contents::default() },
        bindings: Vec::new(),
        stale: Vec::new(),
    };
    let transaction = database.begin_read().map_err(damaged)?;
    let table = transaction.open_table(BINDINGS).map_err(damaged)?;
    for entry in table.iter().map_err(damaged)? {
        let (key, value) = entry.map_err(damaged)?;
        let read = Aor::from_octets(key.value()).zip(record::read(value.value()));
        let (aor, bindings) = read.ok_or_else(|| OpenError::Damaged("a record makes no sense".to_owned()))?;
        judged.take(aor, bindings, now);
    }
    Ok(judged)
}

impl Judged {
    fn take(&mut self, aor: Aor, bindings: Arc<[Binding]>, now: Time) {
        let live = bindings.iter().filter(|binding| binding.is_live(now)).count();
        self.contents.aors += 1;
        self.contents.live += live;
        self.contents.expired += bindings.len() - live;
        if live == 0 {
            self.stale.push(aor);
        } else if live == bindings.len() {
            self.bindings.push((aor, bindings));
        } else {
            let live = bindings.iter().filter(|binding| binding.is_live(now)).cloned().collect();
            self.bindings.push((aor, live));
        }
    }
}

/// The version of the format, if it is a store of ours.
fn format(database: &Database) -> Result<u64, OpenError> {
    let transaction = database.begin_read().map_err(damaged)?;
    let table = match transaction.open_table(ABOUT) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(judge(DatabaseError::Storage(error))),
        Err(_) => return Err(OpenError::Foreign),
    };
    let format = table.get(FORMAT).map_err(damaged)?.map(|value| value.value());
    format.ok_or(OpenError::Foreign)
}

/// The length that the head of a file of redb says it has.
fn stated_length(header: &[u8; 64]) -> Option<u64> {
    let field = |at: usize| {
        let octets = header.get(at..)?.first_chunk()?;
        Some(u64::from(u32::from_le_bytes(*octets)))
    };
    let (page, head, most) = (field(12)?, field(16)?, field(20)?);
    let (regions, rest) = (field(24)?, field(28)?);
    let pages = regions * (head + most) + if rest == 0 { 0 } else { head + rest };
    page.checked_mul(pages)?.checked_add(page)
}

fn damaged(error: impl Into<redb::Error>) -> OpenError {
    judge(DatabaseError::Storage(storage_error(error.into())))
}

fn storage_error(error: redb::Error) -> StorageError {
    if let redb::Error::Io(error) = error {
        return StorageError::Io(error);
    }
    StorageError::Corrupted(error.to_string())
}

/// What an error of redb means for the file.
pub(super) fn judge(error: DatabaseError) -> OpenError {
    const BROKEN: [io::ErrorKind; 2] = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    if let DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch = error {
        return OpenError::InUse;
    }
    if let DatabaseError::Storage(StorageError::Io(error)) = error {
        let is_broken = BROKEN.contains(&error.kind());
        return if is_broken { OpenError::Damaged(error.to_string()) } else { OpenError::Io(error) };
    }
    OpenError::Damaged(error.to_string())
}

/// Where a store is kept: a file, whose lock is held as long as this lives, however often the database in it is closed.
#[derive(Clone, Debug)]
pub(super) struct Storage(pub Arc<dyn StorageBackend>);

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

/// A store as it would be if it were written to.
#[derive(Debug)]
struct Overlay {
    under: Storage,
    written: Mutex<Written>,
}

/// Blocks of an [`Overlay`] that differ from what is under it.
#[derive(Debug)]
struct Written {
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
    len: u64,
    /// Behind that nothing is left of what is under it.
    end: u64,
}

const BLOCK: usize = 4096;

impl Overlay {
    fn over(under: Storage, len: u64) -> Overlay {
        Overlay { under, written: Mutex::new(Written { blocks: BTreeMap::new(), len, end: len }) }
    }

    /// One block as it is now.
    fn block(&self, written: &Written, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        if let Some(block) = written.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK]);
        let start = number * BLOCK as u64;
        let known = usize::try_from(written.end.saturating_sub(start)).unwrap_or(BLOCK).min(BLOCK);
        self.under.read(start, &mut block[..known])?;
        Ok(block)
    }
}

/// The blocks that a stretch touches, each with where it begins and ends in the stretch and where it begins in the block.
fn blocks(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        let inside = usize::try_from(at % BLOCK as u64).unwrap_or_default();
        let end = length.min(done + BLOCK - inside);
        let found = (at / BLOCK as u64, done, end, inside);
        done = end;
        Some(found)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.lock().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset.saturating_add(out.len() as u64);
        if end > written.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let touched = offset / BLOCK as u64..end.div_ceil(BLOCK as u64);
        if end <= written.end && written.blocks.range(touched).next().is_none() {
            return self.under.read(offset, out);
        }
        for (number, from, to, inside) in blocks(offset, out.len()) {
            let block = self.block(&written, number)?;
            out[from..to].copy_from_slice(&block[inside..inside + to - from]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let last = len / BLOCK as u64;
        let inside = usize::try_from(len % BLOCK as u64).unwrap_or_default();
        if len < written.len {
            if inside > 0 {
                let mut block = self.block(&written, last)?;
                block[inside..].fill(0);
                written.blocks.insert(last, block);
            }
            let gone = written.blocks.split_off(&len.div_ceil(BLOCK as u64));
            drop(gone);
        }
        written.end = written.end.min(len);
        written.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, from, to, inside) in blocks(offset, data.len()) {
            let mut block = self.block(&written, number)?;
            block[inside..inside + to - from].copy_from_slice(&data[from..to]);
            written.blocks.insert(number, block);
        }
        written.len = written.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
