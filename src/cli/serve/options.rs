//! What the options of `sipreg serve` mean. Every complaint about them ends here, before anything listens.

use std::net::SocketAddr;

use crate::cli::metrics;
use crate::cli::options::{Access, Listening, Policy as Granting, Serve};
use crate::cli::usage::UsageError;
use crate::cli::values;
use crate::proto::Transport;
use crate::proto::digest::{Algorithm, Variant};
use crate::proto::registrar::service::{Limits, Listen, Policy};
use crate::sip::Host;

/// Connections at a time, where the system allows that many.
const CONNECTIONS: usize = 8192;

/// Open files that are not connections: listeners, the store, the metrics and their readers, what the runtime needs.
const OTHER_FILES: usize = 64;

/// A server as the user means it.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The domains.
    pub domains: Vec<Host>,
    /// What is granted.
    pub policy: Policy,
    /// How much is borne.
    pub limits: Limits,
    /// Digests to offer, best first.
    pub algorithms: Vec<Algorithm>,
    /// Where to serve the metrics.
    pub metrics: Option<SocketAddr>,
}

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// The first option that makes no sense.
    pub fn of(args: &Serve) -> Result<Options, UsageError> {
        let listen = listen(&args.listening)?;
        guarded(&args.access, &listen)?;
        store(args.policy.store.as_deref())?;
        Ok(Options {
            domains: domains(&args.access)?,
            policy: policy(&args.policy)?,
            limits: limits(&args.listening)?,
            algorithms: algorithms(&args.access.algorithms)?,
            metrics: args.listening.metrics.as_deref().map(metrics::address).transpose()?,
            listen,
        })
    }
}

/// The domains; the first is that of `--add-user`.
pub(super) fn domains(args: &Access) -> Result<Vec<Host>, UsageError> {
    if args.domain.is_empty() {
        return Ok(vec![Host::Name("localhost".to_owned())]);
    }
    let read = |name: &String| {
        let bad = |_| UsageError::value("--domain", name, "is no domain").hint("write example.com");
        Host::parse(name).map_err(bad)
    };
    args.domain.iter().map(read).collect()
}

fn listen(args: &Listening) -> Result<Vec<Listen>, UsageError> {
    if args.listen.is_empty() {
        let address = SocketAddr::from(([127, 0, 0, 1], 5060));
        return Ok([Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address }).to_vec());
    }
    let mut all = Vec::with_capacity(args.listen.len());
    for text in &args.listen {
        let one = one_listen(text)?;
        if one.address.port() != 0 && all.contains(&one) {
            return Err(UsageError::value("--listen", text, "is there twice"));
        }
        all.push(one);
    }
    Ok(all)
}

fn one_listen(text: &str) -> Result<Listen, UsageError> {
    let form = "write udp:127.0.0.1:5060, tcp:0.0.0.0:5060 or tcp:[::1]:5060";
    let (transport, address) = text
        .split_once(':')
        .ok_or_else(|| UsageError::value("--listen", text, "has no transport and address").hint(form))?;
    let transport = Transport::parse(transport).ok_or_else(|| {
        UsageError::value("--listen", text, "has a transport that can't be served").hint(form)
    })?;
    let address = address
        .parse()
        .map_err(|_| UsageError::value("--listen", text, "has no address with a port").hint(form))?;
    Ok(Listen { transport, address })
}

/// Refuses to take anybody where anybody can come.
fn guarded(args: &Access, listen: &[Listen]) -> Result<(), UsageError> {
    if !args.no_auth {
        if args.users.is_none() {
            return Err(UsageError::new("who may register? Neither --users nor --no-auth says it").hint(
                "'sipreg serve --add-user alice --users users.txt' makes a file of users; --no-auth takes anybody",
            ));
        }
        return Ok(());
    }
    match listen.iter().find(|listen| !listen.address.ip().is_loopback()) {
        Some(open) if !args.yes => Err(UsageError::new(format!(
            "--no-auth: anybody who reaches {} could take over any address",
            open.address
        ))
        .hint("--users FILE asks for passwords; --yes does it all the same")),
        Some(_) | None => Ok(()),
    }
}

fn store(name: Option<&str>) -> Result<(), UsageError> {
    match name {
        None | Some("memory") => Ok(()),
        Some(other) => {
            Err(UsageError::value("--store", other, "is no store").hint("memory is the one there is"))
        }
    }
}

fn policy(args: &Granting) -> Result<Policy, UsageError> {
    let lifetime = |option, text: &Option<String>, default| match text {
        Some(text) => values::lifetime(option, text),
        None => Ok(default),
    };
    let min_expires = lifetime("--min-expires", &args.min_expires, 60)?;
    let max_expires = lifetime("--max-expires", &args.max_expires, 7200.max(min_expires))?;
    let default_expires = lifetime(
        "--default-expires",
        &args.default_expires,
        3600.clamp(min_expires, max_expires.max(min_expires)),
    )?;
    let max_contacts = args.max_contacts.unwrap_or(10);
    if max_expires == 0 || min_expires > max_expires {
        return Err(UsageError::new(format!(
            "--max-expires: {max_expires} s is shorter than --min-expires, {min_expires} s"
        )));
    }
    if default_expires < min_expires.max(1) || default_expires > max_expires {
        return Err(UsageError::new(format!(
            "--default-expires: {default_expires} s is not between --min-expires, {min_expires} s, and --max-expires, \
             {max_expires} s"
        )));
    }
    if max_contacts == 0 {
        return Err(UsageError::new("--max-contacts: with 0 nobody could register"));
    }
    Ok(Policy { min_expires, max_expires, default_expires, max_contacts })
}

fn limits(args: &Listening) -> Result<Limits, UsageError> {
    let possible = open_files().saturating_sub(OTHER_FILES).max(1);
    let connections = match args.max_connections {
        Some(0) => return Err(UsageError::new("--max-connections: with 0 nobody could connect")),
        Some(wanted) if wanted > possible => {
            return Err(UsageError::new(format!(
                "--max-connections: the system allows {possible} beside what else is open, not {wanted}"
            ))
            .hint("'ulimit -n' shows and raises the limit of open files"));
        }
        Some(wanted) => wanted,
        None => CONNECTIONS.min(possible),
    };
    Ok(Limits { connections, ..Limits::default() })
}

/// How many files may be open: the soft limit of this process.
#[cfg(unix)]
fn open_files() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// Elsewhere sockets are not counted with files.
#[cfg(not(unix))]
fn open_files() -> usize {
    CONNECTIONS + OTHER_FILES
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, UsageError> {
    if names.is_empty() {
        return Ok(vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5]);
    }
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let algorithm = match Algorithm::parse(name.trim()) {
            Some((algorithm, Variant::Plain)) => algorithm,
            Some((_, Variant::Session)) | None => {
                return Err(UsageError::value("--algorithms", name, "is no digest that can be offered")
                    .hint("there are SHA-512-256, SHA-256 and MD5"));
            }
        };
        if all.contains(&algorithm) {
            return Err(UsageError::value("--algorithms", name, "is there twice"));
        }
        all.push(algorithm);
    }
    Ok(all)
}
