//! The file of a trace, and the thread that writes it: the loop puts blocks into a queue, and never waits for the disk.
//!
//! A block is written whole or not at all, and each as soon as it comes: whoever kills the process leaves a file that can
//! be read. What is missing is counted, and the next block says how many messages before it are.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Passage, pcapng};

/// Octets that may wait in the queue. A block may be longer where nothing else waits.
const LONGEST: usize = 4 << 20;

/// The time that the disk gets at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A pipe that cannot take more right now is tried again after this time.
const AGAIN: Duration = Duration::from_millis(10);

/// A file that messages are written to. Copies lead to the same file.
#[derive(Clone, Debug)]
pub struct TraceFile(Arc<Queue>);

/// What is not in the file, unless [`TraceFile::failed`] has said so before.
#[derive(Debug, Default)]
pub struct Missing {
    /// The number of messages.
    pub messages: u64,
    /// Why they could not be written; `None` if there was no time for it.
    pub error: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Notified when writing has failed for the first time.
    failed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    blocks: VecDeque<Vec<u8>>,
    /// The octets of those, and of the one that is being written.
    octets: usize,
    /// Messages that are in no block.
    missing: u64,
    /// Those of them that no block has counted yet.
    uncounted: u64,
    /// The first error, until somebody asks for it.
    error: Option<io::Error>,
    has_failed: bool,
    /// Nothing is taken any more, nor waited for.
    is_over: bool,
}

impl TraceFile {
    /// Makes the file, which only its owner can read, or empties the one that is there, and begins to write it. Others who
    /// might read that lose the right to, as far as the system takes it from them. A pipe that somebody reads will do, too.
    ///
    /// # Errors
    /// It can't be made or written, or something else than a file or a pipe is there.
    pub fn create(path: &Path) -> io::Result<TraceFile> {
        refuse_others(path)?;
        let mut file = open(path).map_err(unread)?;
        let is_regular = file.metadata()?.is_file();
        if is_regular {
            keep_to_owner(&file)?;
            file.set_len(0)?;
        }
        let head = pcapng::head();
        file.write_all(&head)?;
        let output = Output { file, is_regular, length: head.len() as u64, is_dead: false };
        let queue = Arc::<Queue>::default();
        let writer = Arc::clone(&queue);
        thread::Builder::new().name("trace".to_owned()).spawn(move || writer.work(output))?;
        Ok(TraceFile(queue))
    }

    /// Ends when writing has failed, once. Can be dropped at any time.
    pub async fn failed(&self) -> io::Error {
        loop {
            self.0.failed.notified().await;
            if let Some(error) = self.0.lock().error.take() {
                return error;
            }
        }
    }

    /// Waits until everything is written, but not longer than two seconds. What is missing then comes back, and nothing
    /// is taken any more.
    pub fn finish(&self) -> Missing {
        let mut waiting = self.end();
        let error = waiting.error.take();
        let was_told = waiting.has_failed && error.is_none();
        Missing { messages: if was_told { 0 } else { waiting.missing }, error }
    }

    /// The same, but that what is missing is left for [`TraceFile::finish`] to tell.
    pub(super) fn close(&self) {
        drop(self.end());
    }

    fn end(&self) -> MutexGuard<'_, Waiting> {
        let mut waiting = self.0.until_empty(LAST_WORDS);
        if !waiting.is_over {
            waiting.is_over = true;
            let is_writing = waiting.octets > waiting.blocks.iter().map(Vec::len).sum();
            waiting.missing += waiting.blocks.len() as u64 + u64::from(is_writing);
            self.0.changed.notify_all();
        }
        waiting
    }

    /// Puts a message into the queue, if there is room.
    pub(super) fn put(&self, passage: &Passage<'_>) {
        let mut waiting = self.0.lock();
        let block = pcapng::packet(passage, waiting.uncounted);
        if waiting.is_over || (waiting.octets > 0 && waiting.octets + block.len() > LONGEST) {
            waiting.miss();
            return;
        }
        waiting.uncounted = 0;
        waiting.octets += block.len();
        waiting.blocks.push_back(block);
        drop(waiting);
        self.0.changed.notify_all();
    }
}

impl Waiting {
    fn miss(&mut self) {
        self.missing += 1;
        self.uncounted += 1;
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_empty(&self, longest: Duration) -> MutexGuard<'_, Waiting> {
        let busy = |waiting: &mut Waiting| waiting.octets > 0 && !waiting.is_over;
        let waited = self.changed.wait_timeout_while(self.lock(), longest, busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The next block to be written, when there is one; `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        let mut waiting = self.lock();
        loop {
            let block = waiting.blocks.pop_front();
            if block.is_some() || waiting.is_over {
                return block;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes until the end.
    fn work(&self, mut output: Output) {
        while let Some(block) = self.next() {
            let written = output.write(&block);
            let mut waiting = self.lock();
            waiting.octets -= block.len();
            if let Err(error) = written {
                waiting.miss();
                if !waiting.has_failed {
                    waiting.has_failed = true;
                    waiting.error = Some(error);
                    self.failed.notify_one();
                }
            }
            self.changed.notify_all();
        }
    }
}

/// The file, as its thread has it.
struct Output {
    file: File,
    is_regular: bool,
    /// The octets that are in it, all of them of whole blocks.
    length: u64,
    /// A block was cut off, and could not be taken back.
    is_dead: bool,
}

impl Output {
    /// Writes a block. On an error the file ends with the last whole one.
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        if self.is_dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = self.write_all(block);
        if written.is_ok() {
            self.length += block.len() as u64;
        } else {
            self.is_dead = !self.is_regular
                || self.file.set_len(self.length).is_err()
                || self.file.seek(SeekFrom::Start(self.length)).is_err();
        }
        written
    }

    fn write_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            match self.file.write(octets) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => octets = octets.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Refuses what is there and is neither a file nor a pipe, before it is opened.
fn refuse_others(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if found.is_file() || is_pipe(&found) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a pipe"))
}

#[cfg(unix)]
fn is_pipe(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_found: &std::fs::Metadata) -> bool {
    false
}

/// Says of a pipe that nobody reads what is wrong with it.
fn unread(error: io::Error) -> io::Error {
    #[cfg(unix)]
    if error.raw_os_error() == Some(nix::libc::ENXIO) {
        return io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe that nobody reads");
    }
    error
}

/// Takes from all but its owner every right to the file. Those of a file that belongs to somebody else, or stands where
/// there are none, stay as they are.
#[cfg(unix)]
fn keep_to_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = file.metadata()?.permissions();
    let own = permissions.mode() & 0o700;
    if permissions.mode() & 0o777 != own {
        permissions.set_mode(own);
        let _ = file.set_permissions(permissions);
    }
    Ok(())
}

/// Elsewhere there are no such rights.
#[cfg(not(unix))]
fn keep_to_owner(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Opens the file, and leaves in it what is there. A pipe that nobody reads is an error, not a reason to wait.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(nix::libc::O_NONBLOCK);
    }
    options.open(path)
}
