//! The lock that lets in one process at a time per AOR and registrar. It is the operating system's: it goes
//! with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::file;

/// Pauses between two tries to take a lock that another process holds.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Says it, and does not only close: a process that is just being started may hold a copy of the
    /// descriptor for an instant.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// A lock that is still to be taken.
#[derive(Debug)]
pub struct LockRequest {
    file: File,
}

impl LockRequest {
    pub(super) fn at(path: &Path) -> Result<LockRequest, String> {
        file::open(path, OpenOptions::new().write(true).create(true).truncate(false))
            .map(|file| LockRequest { file })
            .map_err(|error| format!("{} can't be opened: {error}", path.display()))
    }

    /// Takes it at once, if nobody holds it.
    ///
    /// # Errors
    /// The file system knows no locks, in words for a warning.
    pub fn try_now(self) -> Result<Result<Lock, LockRequest>, String> {
        match self.file.try_lock() {
            Ok(()) => Ok(Ok(Lock { file: self.file })),
            Err(TryLockError::WouldBlock) => Ok(Err(self)),
            Err(TryLockError::Error(error)) => Err(format!("the state can't be locked: {error}")),
        }
    }

    /// Takes it as soon as it is free. Dropping the future gives up.
    ///
    /// # Errors
    /// As [`LockRequest::try_now`].
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
