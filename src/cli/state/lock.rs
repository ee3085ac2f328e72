//! One process at a time per AOR and registrar. The lock is the operating system's: it goes with the process, however
//! that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::file;

/// Gaps between two looks at a lock that somebody else holds.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Says it, and does not only close: a process that is just being started may hold a copy of the descriptor for
    /// an instant.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// A lock that is wanted.
#[derive(Debug)]
pub struct Waiting {
    file: File,
}

impl Waiting {
    pub(super) fn at(path: &Path) -> Result<Waiting, String> {
        file::open(path, OpenOptions::new().write(true).create(true).truncate(false))
            .map(|file| Waiting { file })
            .map_err(|error| format!("{} can't be opened: {error}", path.display()))
    }

    /// Takes it at once, if nobody holds it.
    ///
    /// # Errors
    /// The file system knows no locks, in words for a warning.
    pub fn try_now(self) -> Result<Result<Lock, Waiting>, String> {
        match self.file.try_lock() {
            Ok(()) => Ok(Ok(Lock { file: self.file })),
            Err(TryLockError::WouldBlock) => Ok(Err(self)),
            Err(TryLockError::Error(error)) => Err(format!("the state can't be locked: {error}")),
        }
    }

    /// Takes it as soon as it is free. Dropping the future gives up.
    ///
    /// # Errors
    /// As [`Waiting::try_now`].
    pub async fn wait(mut self) -> Result<Lock, String> {
        let mut pause = SHORTEST;
        loop {
            match self.try_now()? {
                Ok(lock) => return Ok(lock),
                Err(again) => self = again,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}
