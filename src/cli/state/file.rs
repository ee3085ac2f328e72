//! Files that only their owner can read, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

/// No file of ours comes near this size: what is larger was not written by us.
const LARGEST: u64 = 1024 * 1024;

/// Makes a directory for its owner alone (0700), with those above it. One that exists stays as it is.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A pipe in the place of a file would make opening wait, perhaps for ever.
fn refuse_pipes(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(io::Error::other("it is not a regular file")),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Opens for writing, 0600 if it is new.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    refuse_pipes(path)?;
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Reads a text of bounded size.
pub(super) fn read(path: &Path) -> io::Result<String> {
    refuse_pipes(path)?;
    let mut text = String::new();
    File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// Replaces a file, so that everybody sees the old content or the new, also after a loss of power. Behind a link it is
/// the linked file that is replaced. A file that was there keeps its owner and permissions; a new one is its owner's
/// alone (0600).
///
/// # Errors
/// It can't be written, or not with the owner that it has; the old one is left then.
pub(in crate::cli) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = written(path, content)?;
    fresh.file.as_file().sync_all()?;
    settle(&fresh.persist()?)
}

/// The same, but that after a loss of power the old content may be back: thousands of times a second nobody can wait for the
/// disk.
///
/// # Errors
/// As [`replace`].
pub(super) fn exchange(path: &Path, content: &[u8]) -> io::Result<()> {
    written(path, content)?.persist().map(drop)
}

/// A file with its new content, which has not got its name yet.
struct Written {
    file: NamedTempFile,
    path: PathBuf,
}

impl Written {
    /// Takes the place of the old one. Where that is.
    fn persist(self) -> io::Result<PathBuf> {
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(self.path)
    }
}

fn written(path: &Path, content: &[u8]) -> io::Result<Written> {
    let path = resolved(path)?;
    refuse_pipes(&path)?;
    let file = fresh(&path, content)?;
    if let Ok(old) = fs::metadata(&path) {
        keep_owner(file.as_file(), &old)?;
    }
    Ok(Written { file, path })
}

/// The one who may replace a file, among all who ask for that: the operating system's lock of the file itself, which
/// is made if it is not there yet.
///
/// # Errors
/// It can't be opened or locked, or somebody else has it for ten seconds.
pub(in crate::cli) fn lock(path: &Path) -> io::Result<File> {
    const PATIENCE: u32 = 1000;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..PATIENCE {
        let file = open(path, OpenOptions::new().read(true).append(true).create(true))?;
        match file.try_lock() {
            // Another one may have replaced it since it was opened.
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "somebody else is writing it"))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let (held, there) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    held.is_ok_and(|held| there.is_ok_and(|there| held == there))
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// Makes a file that is not there yet, or whose content is not `good`. Of several processes at once the first
/// one wins, and nobody sees half of it.
pub(super) fn create(path: &Path, content: &[u8], good: impl Fn(&str) -> bool) -> io::Result<()> {
    let file = fresh(path, content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => settle(path),
        Err(_) if read(path).is_ok_and(|held| good(&held)) => Ok(()),
        // The file that is there is damaged, or the file system has no hard links.
        Err(error) => {
            error.file.persist(path).map_err(|error| error.error)?;
            settle(path)
        }
    }
}

/// A file beside that one, of a name that nobody can guess and none had, for its owner alone, with that content. It goes when it
/// is dropped before it has got its name.
fn fresh(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".sipreg-").tempfile_in(folder(path))?;
    file.write_all(content)?;
    Ok(file)
}

/// The place that a chain of links leads to, which need not exist.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("it is a link that leads nowhere"))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Gives the new file what the old one had. Without the right to give it to another owner nothing is changed at all.
#[cfg(unix)]
fn keep_owner(fresh: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = fresh.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(fresh, Some(old.uid()), Some(old.gid()))?;
    }
    fresh.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep_owner(_fresh: &File, _old: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Waits until the folder, too, would have the file after a loss of power. A file system that can't do that for
/// folders has done what it can.
fn settle(path: &Path) -> io::Result<()> {
    match File::open(folder(path)).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Moves a file that makes no sense out of the way, for whoever wants to look at it. If that fails, it is
/// overwritten.
pub(super) fn set_aside(path: &Path) {
    let _ = fs::rename(path, path.with_extension("damaged"));
}
