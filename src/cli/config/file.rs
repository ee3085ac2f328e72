//! Reading the file, and saying where in it something stands.

use std::fs::File as Handle;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::Environment;
use crate::cli::table::Base;
use crate::cli::text::{MARK, decode, escape};
use crate::cli::usage::UsageError;

/// A longer file is no configuration, but the wrong file.
const LONGEST: u64 = 1024 * 1024;

/// A configuration file, read and wiped when dropped: it may hold passwords.
pub struct File {
    path: PathBuf,
    text: Zeroizing<String>,
    access: Access,
}

/// What others may do with a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access {
    /// Its permissions, if everybody may read it.
    pub readable: Option<u32>,
    /// Its permissions, if others may write it.
    pub writable: Option<u32>,
    /// Its owner, if that is somebody else, who is not root.
    pub foreign: Option<u32>,
}

/// Where the file is that nobody named.
#[must_use]
pub fn default_path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.config_home()?.join("config.toml"))
}

impl File {
    /// Reads the file that the user named, else the usual one, which need not exist.
    ///
    /// # Errors
    /// It can't be read, is too long or not UTF-8.
    pub fn read(named: Option<&Path>, environment: &Environment) -> Result<Option<File>, UsageError> {
        let Some(path) = named.map(Path::to_owned).or_else(|| default_path(environment)) else {
            return Ok(None);
        };
        let shown = shown(&path);
        let unreadable = |error: io::Error| {
            UsageError::new(format!("the configuration file {shown} can't be read: {error}"))
        };
        let handle = match Handle::open(&path) {
            Ok(handle) => handle,
            // A folder on the way that is none, as below HOME=/dev/null, is as good as no file.
            Err(error)
                if named.is_none()
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) if named.is_some() => {
                return Err(unreadable(error).hint("--config takes the name of a file"));
            }
            Err(error) => {
                return Err(unreadable(error).hint("--config FILE names another one, /dev/null none"));
            }
        };
        let access = access(&handle).map_err(unreadable)?;
        // As long as it is, so that no copy is left behind by growing.
        let length = handle.metadata().map_or(0, |found| found.len()).min(LONGEST);
        let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
        handle.take(LONGEST + 1).read_to_end(&mut octets).map_err(unreadable)?;
        if octets.len() as u64 > LONGEST {
            return Err(UsageError::new(format!("the configuration file {shown} is longer than 1 MiB")));
        }
        let text = match decode(&octets) {
            Ok(text) => Zeroizing::new(text.to_owned()),
            Err(error) => {
                let octets = octets.strip_prefix(MARK).unwrap_or(&octets);
                let sound = String::from_utf8_lossy(octets.get(..error.at).unwrap_or_default());
                let (line, column) = position(&sound, sound.len());
                return Err(UsageError::new(format!("this {error}")).at(format!("{shown}:{line}:{column}")));
            }
        };
        Ok(Some(File { path, text, access }))
    }

    /// What it holds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name as it may be shown.
    pub fn name(&self) -> String {
        shown(&self.path)
    }

    /// What others may do with it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// `FILE:LINE:COLUMN` of an octet, counted from 1 in characters.
    pub fn place(&self, offset: usize) -> String {
        let (line, column) = position(&self.text, offset);
        format!("{}:{line}:{column}", self.name())
    }

    /// From where the files are meant that it names.
    pub fn base(&self, environment: &Environment) -> Base {
        let folder = self.path.parent().map(Path::to_owned).unwrap_or_default();
        Base { folder, home: environment.home.clone() }
    }
}

/// A path for a message.
pub fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|octet| *octet == b'\n').count() + 1;
    (line, before.get(start..).unwrap_or_default().chars().count() + 1)
}

#[cfg(unix)]
fn access(handle: &Handle) -> io::Result<Access> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let found = handle.metadata()?;
    let mode = found.mode() & 0o7777;
    // The pipe of a shell's <(...) may be its group's in name, and nobody else finds it.
    let others = if found.file_type().is_fifo() { 0o002 } else { 0o022 };
    Ok(Access {
        readable: (mode & 0o004 != 0).then_some(mode),
        writable: (mode & others != 0).then_some(mode),
        foreign: Some(found.uid()).filter(|owner| *owner != 0 && user().is_some_and(|user| user != *owner)),
    })
}

#[cfg(not(unix))]
fn access(_handle: &Handle) -> io::Result<Access> {
    Ok(Access::default())
}

/// Who we are, where that can be told.
#[cfg(target_os = "linux")]
fn user() -> Option<u32> {
    Some(nix::sys::socket::UnixCredentials::new().uid())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn user() -> Option<u32> {
    None
}
