//! What the options about other nodes mean.

use std::net::IpAddr;
use std::path::Path;

use crate::cli::exposure::{Right, others_may};
use crate::cli::options::Cluster;
use crate::cli::secret;
use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::cli::values::{Listener, NodeAddress, NodeName, StoreName};
use crate::proto::Transport;
use crate::proto::node::Key;
use crate::proto::registrar::service::{Listen, Nodes};

/// A secret is no shorter than that, in octets: whoever can read the store may try as many as he likes.
const SHORTEST: usize = 16;

/// Reads the options; `listen` is where devices come.
///
/// # Errors
/// The first options that don't go together, or a secret that can't be had.
pub(super) fn nodes(args: &Cluster, store: &StoreName, listen: &[Listen]) -> Result<Nodes, UsageError> {
    let Cluster { node, peer_listen, peer, peer_secret_file } = args;
    let given = [
        ("--peer-listen", peer_listen.is_some()),
        ("--peer", !peer.is_empty()),
        ("--peer-secret-file", peer_secret_file.is_some()),
        ("--node", node.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given)
        && !store.is_shared()
    {
        return Err(UsageError::option(option, "is for servers that share a store, and --store names none")
            .hint("--store redis://HOST is one that several servers can share"));
    }
    if peer_listen.is_some() && peer.is_empty() && peer_secret_file.is_none() {
        return Err(UsageError::option(
            "--peer-listen",
            "who is another node? Neither --peer nor --peer-secret-file says it",
        )
        .hint(
            "--peer 10.0.0.2 takes what comes from there; --peer-secret-file FILE holds what all nodes know",
        ));
    }
    if peer_listen.is_none() && !peer.is_empty() {
        return Err(UsageError::option("--peer", "goes with --peer-listen only")
            .hint("--peer-listen tcp:10.0.0.1:5070 is where other nodes reach this one"));
    }
    Ok(Nodes {
        listen: peer_listen.map(|Listener(at)| reachable(at, listen)).transpose()?,
        peers: peer.iter().map(|NodeAddress(address)| *address).collect(),
        secret: peer_secret_file.as_deref().map(key).transpose()?,
    })
}

/// Refuses a place to listen that other nodes could not use.
fn reachable(at: Listen, listen: &[Listen]) -> Result<Listen, UsageError> {
    let Listen { transport, address } = at;
    let text = format!("{transport}:{address}");
    let refused = |what: &str| UsageError::value("--peer-listen", &text, what);
    match transport {
        Transport::Udp | Transport::Tcp | Transport::Tls => {}
        Transport::Ws | Transport::Wss => {
            return Err(refused("is for browsers").hint("udp:, tcp: and tls: go between nodes"));
        }
    }
    if address.ip().is_unspecified() {
        return Err(refused("is no address that other nodes could reach")
            .hint("it takes the very address by which they reach this server: tcp:10.0.0.1:5070"));
    }
    if address.port() != 0 && listen.contains(&at) {
        return Err(refused("is where --listen has devices come").hint("nodes need a port of their own"));
    }
    Ok(at)
}

/// The key that a secret makes.
fn key(path: &Path) -> Result<Key, UsageError> {
    let secret = secret::between_nodes(path)?;
    let octets = secret.reveal().trim().as_bytes();
    if octets.len() < SHORTEST {
        return Err(UsageError::option(
            "--peer-secret-file",
            format_args!(
                "{} has a secret of less than {SHORTEST} characters",
                shown(&path.to_string_lossy())
            ),
        )
        .hint("head -c 32 /dev/urandom | base64 makes one; every node needs the same"));
    }
    Ok(Key::of(octets))
}

/// A warning of a secret that others can read.
pub(super) fn exposure(path: &Path) -> Option<String> {
    let warning = || {
        let name = shown(&path.to_string_lossy());
        format!("--peer-secret-file: others may read {name}, and so pose as a node: chmod 600 it")
    };
    others_may(Right::Read, path).then(warning)
}

/// The name of this server in a store that it shares: by default that of its host, with the port of its first listener.
pub(super) fn name(args: &Cluster, listen: &[Listen]) -> String {
    match &args.node {
        Some(NodeName(name)) => name.clone(),
        None => {
            let port = listen.first().map_or(5060, |listen| listen.address.port());
            format!("{}:{port}", host_name())
        }
    }
}

/// The name of this host; what is none in a name of a node is left out.
fn host_name() -> String {
    let name = system_name().unwrap_or_default();
    let name: String = name.chars().filter(|c| NodeName::may_have(*c)).collect();
    if name.is_empty() { IpAddr::from([127, 0, 0, 1]).to_string() } else { name }
}

#[cfg(unix)]
fn system_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn system_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}
