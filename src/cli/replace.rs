//! A file that others read is replaced as a whole: they see what was, or what is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside, and puts it in the place of whatever has that name in the folder.
///
/// # Errors
/// The file can't be made, written or moved; nothing is left of it then.
pub fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
    let written = file.write_all(content).and_then(|()| fs::rename(&fresh, dir.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}
