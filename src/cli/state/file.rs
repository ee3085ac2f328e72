//! Files that only their owner can read, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Replaces a file, so that everybody sees the old content or the new.
pub(in crate::cli) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let mut file = open(&fresh, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(content)?;
    drop(file);
    fs::rename(&fresh, path)
}

/// Makes a file that is not there yet, or whose content is not `good`. Of several processes at once the first
/// one wins, and nobody sees half of it.
pub(super) fn create(path: &Path, content: &[u8], good: impl Fn(&str) -> bool) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{count}", std::process::id()));
    let mut file = open(&fresh, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(content)?;
    drop(file);
    if fs::hard_link(&fresh, path).is_ok() || read(path).is_ok_and(|held| good(&held)) {
        return fs::remove_file(&fresh);
    }
    // The file that is there is damaged, or the file system has no hard links.
    fs::rename(&fresh, path)
}

/// Moves a file that makes no sense out of the way, for whoever wants to look at it. If that fails, it is
/// overwritten.
pub(super) fn set_aside(path: &Path) {
    let _ = fs::rename(path, path.with_extension("damaged"));
}
