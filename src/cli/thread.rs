//! Work that may have to wait for a disk or for somebody: in a thread of its own, beside the event loop.

use std::path::Path;

use tokio::sync::oneshot;

use super::text::shown;
use super::usage::UsageError;

/// Does the work in a thread that nobody waits for when the future is dropped, or the process ends. `None`: the thread
/// could not be had, or its work panicked.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("reader".to_owned());
    thread.spawn(move || drop(done.send(work()))).ok()?;
    result.await.ok()
}

/// Refuses a pipe in the place of a file that is to be read again: whoever wrote to it has most likely gone, and nobody
/// would notice the wait. What is not there is for the reader to say; `/dev/null` stands for no file.
///
/// # Errors
/// It is there, and no regular file.
pub fn regular(path: &Path) -> Result<(), UsageError> {
    let is_other = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
    if is_other && path != Path::new("/dev/null") {
        let name = shown(&path.to_string_lossy());
        return Err(UsageError::new(format!("{name} is no regular file, and only those are read again")));
    }
    Ok(())
}
