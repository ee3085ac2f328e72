//! The store of `--store`: opened, checked, and what is said of it.

use std::path::Path;

use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::cli::values::StoreName;
use crate::net::Clock;
use crate::proto::Time;
use crate::store::{Contents, Embedded, Memory, OpenError, Store};

/// A store with what is to be said of it.
pub(in crate::cli) struct Opened {
    pub store: Box<dyn Store>,
    /// The place where bindings are kept, and how many there are, if that outlives the process.
    pub summary: Option<String>,
    pub warning: Option<String>,
}

/// Opens a store for bindings that may take `octets`.
///
/// # Errors
/// It can't be had; nothing was changed then.
pub(in crate::cli) fn open(name: &StoreName, octets: usize, now: Time) -> Result<Opened, UsageError> {
    match name {
        StoreName::Memory => {
            Ok(Opened { store: Box::new(Memory::bounded(octets)), summary: None, warning: None })
        }
        StoreName::File(path) => {
            let (store, contents) =
                Embedded::open(path, octets, now).map_err(|error| refused("--store", path, &error))?;
            let summary = Some(format!("{}: {}", path.display(), bindings(&contents)));
            Ok(Opened { store: Box::new(store), summary, warning: cut(path, &contents) })
        }
    }
}

/// What `--store-check` prints of a sound file, and a warning.
///
/// # Errors
/// It is not sound, or can't be read.
pub(super) fn check(path: &Path) -> Result<(String, Option<String>), UsageError> {
    let contents = Embedded::check(path, Clock::start().now())
        .map_err(|error| refused("--store-check", path, &error))?;
    let Contents { format, octets, .. } = contents;
    let name = path.display();
    let text = format!("{name} is sound: {}\n{octets} octets, format {format}\n", bindings(&contents));
    Ok((text, cut(path, &contents)))
}

/// How many bindings there are, in words.
fn bindings(contents: &Contents) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let all = format!(
        "{} of {}",
        count(contents.live, "binding", "bindings"),
        count(contents.aors, "address", "addresses")
    );
    match contents.expired {
        0 => all,
        expired => format!("{all}, and {expired} that ran out"),
    }
}

fn cut(path: &Path, contents: &Contents) -> Option<String> {
    let what = "is shorter than it was: somebody has cut it. All that was confirmed last is there";
    contents.is_cut.then(|| format!("{} {what}", shown(&path.to_string_lossy())))
}

fn refused(option: &str, path: &Path, error: &OpenError) -> UsageError {
    let name = path.to_string_lossy();
    let refused = UsageError::value(option, &name, error);
    match error {
        OpenError::InUse => refused.hint("each server needs a file of its own; the other one has to end first"),
        OpenError::NotWritable(_) => refused.hint("the server has to be allowed to write it"),
        OpenError::Foreign => refused.hint("it was left as it is; name a file that does not exist, and it is made"),
        OpenError::Newer(_) => refused.hint("it was left as it is; the newer sipreg can read it"),
        OpenError::Damaged(_) => refused.hint(
            "it was left as it is; put a copy back, or move it away: devices register again before their leases end",
        ),
        OpenError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => match option {
            "--store" => refused.hint("its folder has to exist; the file is made"),
            _ => refused.hint("'sipreg serve --store FILE.db' makes it"),
        },
        OpenError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            refused.hint("the disk is full")
        }
        OpenError::Io(_) => refused,
    }
}
