//! `--bind`, `--advertise`, `--nameserver`, `-4`, `-6`: addresses of our own side.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::cli::args::Network;
use crate::cli::usage::UsageError;
use crate::net;
use crate::proto::locate::Families;
use crate::sip::Host;

use super::host_port;

/// What to say instead of the local address.
type Advertised = Option<(Host, Option<u16>)>;

/// Reads them all. The driver's configuration lacks only the patience with name servers.
///
/// # Errors
/// An address that can't be read, or families that exclude each other.
pub fn network(args: &Network, dry_run: bool) -> Result<(net::Config, Families, Advertised), UsageError> {
    let bind = args.bind.as_deref().map(|text| address("--bind", text)).transpose()?;
    let nameservers = args
        .nameserver
        .iter()
        .map(|text| address("--nameserver", text).map(|(ip, port)| SocketAddr::new(ip, port.unwrap_or(53))))
        .collect::<Result<Vec<_>, _>>()?;
    let families = families(args, bind)?;
    let advertise = args.advertise.as_deref().map(advertise).transpose()?;
    let bind = bind.map(|(ip, port)| (ip, port.filter(|port| *port != 0)));
    let config = net::Config { bind, port: None, nameservers, dns_timeout: Duration::ZERO, dry_run };
    Ok((config, families, advertise))
}

/// What can be sent from the bound address, and what the user allows.
fn families(args: &Network, bind: Option<(IpAddr, Option<u16>)>) -> Result<Families, UsageError> {
    let clash = |option: &str, ip: IpAddr| {
        Err(UsageError::new(format!("--bind {ip} can't be used with {option}"))
            .hint("leave one of them out, or bind an address of the other family"))
    };
    match (args.ipv4, args.ipv6, bind) {
        (true, _, Some((ip @ IpAddr::V6(_), _))) => clash("-4", ip),
        (_, true, Some((ip @ IpAddr::V4(_), _))) => clash("-6", ip),
        (true, _, _) | (_, _, Some((IpAddr::V4(_), _))) => Ok(Families::V4),
        (_, true, _) | (_, _, Some((IpAddr::V6(_), _))) => Ok(Families::V6),
        (false, false, None) => Ok(Families::Both),
    }
}

/// `192.0.2.1`, `192.0.2.1:5060`, `::1`, `[::1]`, `[::1]:5060`.
///
/// # Errors
/// No address.
pub fn address(option: &str, text: &str) -> Result<(IpAddr, Option<u16>), UsageError> {
    host_port(text).and_then(|(host, port)| Some((host.ip()?, port))).ok_or_else(|| {
        UsageError::value(option, text, "is not an IP address, with or without a port")
            .hint("write 192.0.2.7, 192.0.2.7:5070, ::1 or [::1]:5070")
    })
}

/// `HOST[:PORT]` that others reach.
///
/// # Errors
/// No host, or none that can be reached.
pub fn advertise(text: &str) -> Result<(Host, Option<u16>), UsageError> {
    const OPTION: &str = "--advertise";
    let form =
        "write the address that others reach you at: 192.0.2.7, phone.example.com:5060 or [2001:db8::7]:5060";
    let (host, port) = host_port(text)
        .ok_or_else(|| UsageError::value(OPTION, text, "is not a host, with or without a port").hint(form))?;
    if port == Some(0) || host.ip().is_some_and(|ip| ip.is_unspecified()) {
        return Err(UsageError::value(OPTION, text, "is not an address that anybody can reach").hint(form));
    }
    Ok((host, port))
}
