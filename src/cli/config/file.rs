//! Reading the file, and saying where in it something stands.

use std::fs::File as Handle;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::Environment;
use crate::cli::report::text::escape;
use crate::cli::usage::UsageError;

/// A longer file is no configuration, but the wrong file.
const LONGEST: u64 = 1024 * 1024;

/// A configuration file, read and wiped when dropped: it may hold passwords.
pub struct File {
    path: PathBuf,
    text: Zeroizing<String>,
    /// Its permissions, where others may read it.
    open_to: Option<u32>,
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
        let open_to = open_to(&handle).map_err(unreadable)?;
        // As long as it is, so that no copy is left behind by growing.
        let length = handle.metadata().map_or(0, |found| found.len()).min(LONGEST);
        let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
        handle.take(LONGEST + 1).read_to_end(&mut octets).map_err(unreadable)?;
        if octets.len() as u64 > LONGEST {
            return Err(UsageError::new(format!("the configuration file {shown} is longer than 1 MiB")));
        }
        let text = match std::str::from_utf8(&octets) {
            Ok(text) => Zeroizing::new(text.to_owned()),
            Err(error) => {
                let sound = String::from_utf8_lossy(octets.get(..error.valid_up_to()).unwrap_or_default());
                let (line, column) = position(&sound, sound.len());
                return Err(UsageError::new(format!("{shown}:{line}:{column}: this is not UTF-8")));
            }
        };
        Ok(Some(File { path, text, open_to }))
    }

    /// What it holds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name as it may be shown.
    pub fn name(&self) -> String {
        shown(&self.path)
    }

    /// Its permissions, if its group or others may read it.
    pub fn open_to(&self) -> Option<u32> {
        self.open_to
    }

    /// `FILE:LINE:COLUMN` of an octet, counted from 1 in characters.
    pub fn place(&self, offset: usize) -> String {
        let (line, column) = position(&self.text, offset);
        format!("{}:{line}:{column}", self.name())
    }

    /// A file that the configuration names: `~/` is the user's home, and what is not absolute is meant from the folder
    /// of the configuration.
    pub fn beside(&self, text: &str, environment: &Environment) -> PathBuf {
        if let (Some(rest), Some(home)) = (text.strip_prefix("~/"), &environment.home) {
            return home.join(rest);
        }
        // Standard input, as on the command line.
        if text == "-" {
            return PathBuf::from(text);
        }
        self.path.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
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
fn open_to(handle: &Handle) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = handle.metadata()?.permissions().mode() & 0o7777;
    Ok((mode & 0o044 != 0).then_some(mode))
}

#[cfg(not(unix))]
fn open_to(_handle: &Handle) -> io::Result<Option<u32>> {
    Ok(None)
}
