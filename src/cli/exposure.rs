//! Warnings for files and folders whose permissions give away more than their owner may think. Elsewhere than on Unix
//! there are no such bits.

use std::path::Path;

/// What others may do with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Its group or everybody may read it.
    Read,
    /// Its group or everybody may write it.
    Write,
}

/// Whether others have that right to what is at the path. What a pipe or a device holds is not there to be read.
#[cfg(unix)]
pub fn others_may(right: Right, path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let bits = match right {
        Right::Read => 0o044,
        Right::Write => 0o022,
    };
    std::fs::metadata(path)
        .is_ok_and(|found| (found.is_file() || found.is_dir()) && found.permissions().mode() & bits != 0)
}

/// Whether others have that right to what is at the path.
#[cfg(not(unix))]
pub fn others_may(_right: Right, _path: &Path) -> bool {
    false
}
