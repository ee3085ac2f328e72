//! The store of `--store`: opened, checked, and what is said of it.

use std::path::Path;

use crate::cli::environment::Environment;
use crate::cli::exit::Fault;
use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::cli::values::StoreName;
use crate::net::Clock;
use crate::proto::Time;
use crate::proto::ids::Random;
use crate::store::{Contents, Embedded, Memory, OpenError, Store};

/// A store with what is to be said of it.
pub(in crate::cli) struct Opened {
    pub store: Box<dyn Store>,
    /// The place where bindings are kept, and how many there are, if that outlives the process.
    pub summary: Option<String>,
    pub warnings: Vec<String>,
}

/// What a store is opened with.
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "only a store that is shared asks for more than octets")
)]
pub(in crate::cli) struct Wish<'a> {
    /// Octets that bindings may take.
    pub octets: usize,
    /// Replicas that must have a binding before it is confirmed.
    pub replicas: u32,
    /// The name of this server among those that share it.
    pub node: String,
    /// Certificates of authorities, in PEM; `None`: those of the system.
    pub roots: Option<Vec<u8>>,
    /// Where a password may be.
    pub environment: &'a Environment,
    /// What tells this process from others.
    pub random: &'a mut dyn Random,
}

/// Opens a store.
///
/// # Errors
/// It can't be had; nothing was changed then.
pub(in crate::cli) fn open(name: &StoreName, wish: Wish<'_>, now: Time) -> Result<Opened, Fault> {
    let octets = wish.octets;
    match name {
        StoreName::Memory => {
            Ok(Opened { store: Box::new(Memory::bounded(octets)), summary: None, warnings: Vec::new() })
        }
        StoreName::File(path) => {
            let (store, contents) =
                Embedded::open(path, octets, now).map_err(|error| refused("--store", path, &error))?;
            let summary = Some(format!("{}: {}", path.display(), bindings(&contents)));
            let warnings = cut(path, &contents).into_iter().collect();
            Ok(Opened { store: Box::new(store), summary, warnings })
        }
        #[cfg(feature = "redis")]
        StoreName::Shared(address) => shared::open(address, wish, now),
    }
}

/// A store that is shared with other servers.
#[cfg(feature = "redis")]
mod shared {
    use super::{Opened, Wish};
    use crate::cli::exit::{Exit, Fault};
    use crate::cli::explain;
    use crate::cli::usage::UsageError;
    use crate::proto::Time;
    use crate::proto::digest::Hidden;
    use crate::store::{Address, Facts, Node, Redis, RedisSettings, StoreClock, Trouble};

    pub fn open(address: &Address, wish: Wish<'_>, now: Time) -> Result<Opened, Fault> {
        let mut address = address.clone();
        if address.password.is_none()
            && let Some(password) = &wish.environment.store_password
        {
            let password = password.to_str().ok_or_else(|| {
                UsageError::new("SIPREG_STORE_PASSWORD is not UTF-8")
                    .hint("the server would not get what it says")
            })?;
            address.password = Some(Hidden::new(password.to_owned()));
        }
        let seed = wish.random.next();
        let run = format!("{:016x}", wish.random.next());
        let settings = RedisSettings {
            address: address.clone(),
            roots: wish.roots,
            node: Node { name: wish.node, run },
            replicas: wish.replicas,
            limit: wish.octets,
            seed,
            clock: StoreClock::Own,
        };
        let (store, facts) = Redis::open(settings, now).map_err(|trouble| refused(&address, &trouble))?;
        let warnings = warnings(&address, &facts);
        Ok(Opened { store: Box::new(store), summary: Some(address.to_string()), warnings })
    }

    fn warnings(address: &Address, facts: &Facts) -> Vec<String> {
        let mut all = Vec::new();
        if !matches!(facts.eviction.as_str(), "noeviction" | "") {
            all.push(format!(
                "{address} throws bindings away when its memory is full (maxmemory-policy {}): it should be noeviction",
                facts.eviction
            ));
        }
        if !facts.is_kept {
            all.push(format!(
                "{address} writes changes to no file as they come: bindings end with it (appendonly yes keeps them)"
            ));
        }
        all
    }

    fn refused(address: &Address, trouble: &Trouble) -> Fault {
        let name = address.to_string();
        let because = |what: &str, case: explain::Case| {
            UsageError::option("--store", format_args!("\"{name}\" {what}: {trouble}")).hint(case.hint)
        };
        let (kind, error) = match trouble {
            Trouble::Unreachable(_) if address.is_tls => {
                (Exit::Unreachable, because("can't be reached", explain::STORE_TLS))
            }
            Trouble::Unreachable(_) | Trouble::Silent => {
                (Exit::Unreachable, because("can't be reached", explain::STORE_UNREACHABLE))
            }
            Trouble::Denied(_) => (Exit::Unreachable, because("refuses this server", explain::STORE_DENIED)),
            Trouble::Replica => (Exit::Unreachable, because("can't be used", explain::STORE_REPLICA)),
            Trouble::Loading | Trouble::ClusterDown | Trouble::Refused(_) => {
                (Exit::Unreachable, because("can't be used", explain::STORE_UNUSABLE))
            }
            Trouble::ClusterNode => (Exit::Usage, because("can't be used", explain::STORE_CLUSTER)),
            Trouble::NoClusterNode => (Exit::Usage, because("can't be used", explain::STORE_NO_CLUSTER)),
        };
        Fault { kind, ..error.into() }
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
