//! What the options of `sipreg serve` mean. Every complaint about them ends here, before anything listens.

use std::net::SocketAddr;
use std::time::Duration;

use super::nodes;
use crate::cli::account;
use crate::cli::certificates::MAKE_ONE;
use crate::cli::options::{Access, Calls, Listening, Policy as Granting, Serve, Showing};
use crate::cli::usage::UsageError;
use crate::cli::values::{AlgorithmName, Domain, Lifetime, Listener, Size, SocketAddress, StoreName};
use crate::proto::Transport;
use crate::proto::digest::Algorithm;
use crate::proto::locate::Pinned;
use crate::proto::registrar::service::{Fork, Limits, Listen, Nodes, Policy};
use crate::sip::Host;

/// Connections at a time, where the system allows that many.
const CONNECTIONS: usize = 8192;

/// Octets that bindings may take, where nothing else is said.
pub(in crate::cli) const STORE: usize = 128 << 20;

/// Open files that are not connections: listeners, the store, the metrics and their readers, what the runtime needs.
const OTHER_FILES: usize = 64;

/// A server as the user means it.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The domains that it is responsible for.
    pub domains: Vec<Host>,
    /// What is granted.
    pub policy: Policy,
    /// How calls reach several devices of the same preference.
    pub fork: Fork,
    /// Every caller has to prove who it is.
    pub auth_calls: bool,
    /// How much is borne.
    pub limits: Limits,
    /// Where bindings are kept.
    pub store: StoreName,
    /// Octets that bindings may take.
    pub max_store: usize,
    /// Replicas that must have a binding before it is confirmed.
    pub replicas: u32,
    /// Digests to offer, in this order.
    pub algorithms: Vec<Algorithm>,
    /// The name servers to ask; empty for those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// Where hosts are, whatever the name service says.
    pub pinned: Vec<Pinned>,
    /// Where to serve the metrics.
    pub metrics: Option<SocketAddr>,
    /// The other servers that share the store.
    pub nodes: Nodes,
    /// The name of this one among them.
    pub node: String,
}

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// The first options that don't go together.
    pub fn of(args: &Serve) -> Result<Options, UsageError> {
        let listen = listen(&args.listening)?;
        let store = args.policy.storing.store.clone().unwrap_or_default();
        let nodes = nodes::nodes(&args.cluster, &store, &listen)?;
        let all: Vec<Listen> = listen.iter().copied().chain(nodes.listen).collect();
        proven(&args.showing, &all)?;
        guarded(&args.access, &listen)?;
        Ok(Options {
            domains: domains(&args.access),
            store,
            replicas: replicas(&args.policy)?,
            max_store: args.policy.max_store.map_or(STORE, |Size(octets)| octets),
            policy: policy(&args.policy)?,
            fork: args.calls.fork.unwrap_or_default().into(),
            auth_calls: args.calls.auth_calls,
            limits: Limits {
                full: args.policy.max_contacts_policy.unwrap_or_default().into(),
                calls: max_calls(&args.calls)?,
                ..limits(&args.listening)?
            },
            algorithms: algorithms(&args.access.algorithms)?,
            nameservers: account::nameservers(&args.calls.nameserver)?,
            pinned: account::pinned(&args.calls.resolve),
            metrics: args.listening.metrics.map(|SocketAddress(address)| address),
            nodes,
            node: nodes::name(&args.cluster, &listen),
            listen,
        })
    }
}

/// The domains; the first is that of `--add-user`.
pub(super) fn domains(args: &Access) -> Vec<Host> {
    if args.domain.is_empty() {
        return vec![Host::Name("localhost".to_owned())];
    }
    args.domain.iter().map(|Domain(host)| host.clone()).collect()
}

fn listen(args: &Listening) -> Result<Vec<Listen>, UsageError> {
    if args.listen.is_empty() {
        let address = SocketAddr::from(([127, 0, 0, 1], 5060));
        return Ok([Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address }).to_vec());
    }
    let mut all = Vec::with_capacity(args.listen.len());
    for Listener(listen) in &args.listen {
        if listen.address.port() != 0 && all.contains(listen) {
            let Listen { transport, address } = listen;
            let text = format!("{}:{address}", transport.to_string().to_lowercase());
            return Err(UsageError::value("--listen", &text, "is there twice"));
        }
        all.push(*listen);
    }
    Ok(all)
}

/// Refuses to listen over TLS without a certificate, and options that no listener has a use for.
fn proven(args: &Showing, listen: &[Listen]) -> Result<(), UsageError> {
    let listens =
        |transports: &[Transport]| listen.iter().any(|listen| transports.contains(&listen.transport));
    if !args.ws_origin.is_empty() && !listens(&[Transport::Ws, Transport::Wss]) {
        return Err(UsageError::option("--ws-origin", "is for WebSocket, and --listen names no ws: or wss:")
            .hint("--listen ws:127.0.0.1:8080 listens there; wss: goes over TLS, with --tls-cert"));
    }
    let goes_with =
        [("--tls-key", args.tls_key.is_some()), ("--tls-client-ca", args.tls_client_ca.is_some())];
    if args.tls_cert.is_some() {
        if listens(&[Transport::Tls, Transport::Wss]) {
            return Ok(());
        }
        return Err(UsageError::option("--tls-cert", "is for TLS, and --listen names no tls: or wss:")
            .hint("--listen tls:127.0.0.1:5061 listens there; wss: is for browsers"));
    }
    if let Some((option, _)) = goes_with.iter().find(|(_, is_there)| *is_there) {
        return Err(UsageError::option(option, "goes with --tls-cert only")
            .hint("--tls-cert FILE is the certificate of this server"));
    }
    match listen.iter().find(|listen| listen.transport.is_secure()) {
        Some(Listen { transport, address }) => {
            let what = "needs a certificate, and --tls-cert names none";
            Err(UsageError::value("--listen", &format!("{transport}:{address}"), what).hint(format!(
                "--tls-cert cert.pem --tls-key key.pem; with the name of your domain this makes one: {MAKE_ONE}"
            )))
        }
        None => Ok(()),
    }
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
        Some(open) if !args.yes => Err(UsageError::option(
            "--no-auth",
            format_args!("anybody who reaches {} could take over any address", open.address),
        )
        .hint("--users FILE asks for passwords; --yes does it all the same")),
        Some(_) | None => Ok(()),
    }
}

fn policy(args: &Granting) -> Result<Policy, UsageError> {
    let seconds = |lifetime: Option<Lifetime>, default| lifetime.map_or(default, |Lifetime(seconds)| seconds);
    let min_expires = seconds(args.min_expires, 60);
    let max_expires = seconds(args.max_expires, 7200.max(min_expires));
    let usual = 3600.clamp(min_expires, max_expires.max(min_expires));
    let default_expires = seconds(args.default_expires, usual);
    let max_contacts = args.max_contacts.unwrap_or(10);
    if max_expires == 0 || min_expires > max_expires {
        return Err(UsageError::option(
            "--max-expires",
            format_args!("{max_expires} s is shorter than --min-expires, {min_expires} s"),
        ));
    }
    if default_expires < min_expires.max(1) || default_expires > max_expires {
        return Err(UsageError::option(
            "--default-expires",
            format_args!(
                "{default_expires} s is not between --min-expires, {min_expires} s, and --max-expires, \
             {max_expires} s"
            ),
        ));
    }
    if max_contacts == 0 {
        return Err(UsageError::option("--max-contacts", "with 0 nobody could register"));
    }
    Ok(Policy { min_expires, max_expires, default_expires, max_contacts })
}

fn replicas(args: &Granting) -> Result<u32, UsageError> {
    let is_shared = match args.storing.store {
        None | Some(StoreName::Memory | StoreName::File(_)) => false,
        #[cfg(feature = "redis")]
        Some(StoreName::Shared(_)) => true,
    };
    match args.store_wait {
        Some(_) if !is_shared => Err(UsageError::option("--store-wait", "is for a store that has replicas")
            .hint("--store redis://HOST names one")),
        Some(replicas) => Ok(replicas),
        None => Ok(0),
    }
}

fn limits(args: &Listening) -> Result<Limits, UsageError> {
    let possible = open_files().saturating_sub(OTHER_FILES).max(1);
    let connections = match args.max_connections {
        Some(0) => return Err(UsageError::option("--max-connections", "with 0 nobody could connect")),
        Some(wanted) if wanted > possible => {
            return Err(UsageError::option(
                "--max-connections",
                format_args!("the system allows {possible} beside what else is open, not {wanted}"),
            )
            .hint("'ulimit -n' shows and raises the limit of open files"));
        }
        Some(wanted) => wanted,
        None => CONNECTIONS.min(possible),
    };
    let default = Limits::default();
    let rate = args.rate.unwrap_or(default.rate);
    let login_failures = args.login_failures.unwrap_or(default.login_failures);
    if rate == 0 {
        return Err(UsageError::option("--rate", "with 0 nobody would get a challenge"));
    }
    if login_failures == 0 {
        return Err(UsageError::option("--login-failures", "with 0 nobody could sign in"));
    }
    let keepalive = args
        .keepalive_interval
        .map_or(default.keepalive, |Lifetime(seconds)| Duration::from_secs(seconds.into()));
    if keepalive.is_zero() {
        return Err(UsageError::option("--keepalive-interval", "with 0 devices would not hear how often")
            .hint("30s suits most NATs"));
    }
    Ok(Limits { connections, rate, login_failures, keepalive, ..default })
}

fn max_calls(args: &Calls) -> Result<usize, UsageError> {
    match args.max_calls {
        Some(0) => Err(UsageError::option("--max-calls", "with 0 nobody could call")),
        Some(wanted) => Ok(wanted),
        None => Ok(Limits::default().calls),
    }
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

fn algorithms(names: &[AlgorithmName]) -> Result<Vec<Algorithm>, UsageError> {
    if names.is_empty() {
        return Ok(Algorithm::OFFERED.to_vec());
    }
    let mut all = Vec::with_capacity(names.len());
    for AlgorithmName(algorithm) in names {
        if all.contains(algorithm) {
            return Err(UsageError::value("--algorithms", algorithm.as_str(), "is there twice"));
        }
        all.push(*algorithm);
    }
    Ok(all)
}
