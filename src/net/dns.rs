//! The name service (RFC 3263 §4, as far as it is asked): one question per record type, each within a bounded
//! time.
//!
//! The hosts file and `localhost` (RFC 6761 §6.3) answer first and without any name server. A SIP domain is
//! always fully qualified: no search list is tried, whatever the system is configured for. Nothing is read or
//! built before the first question comes, because numeric targets (RFC 3263 §4.1) never ask one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

use crate::proto::{DnsAnswer, Question, Record, ResolveError};

/// The time that one try waits for a name server; there are two tries.
const TRY: Duration = Duration::from_secs(2);

/// The resolver, which makes its parts when the first question comes.
pub(super) struct Resolver {
    nameservers: Vec<SocketAddr>,
    timeout: Duration,
    hosts: Option<Hosts>,
    servers: Option<Result<TokioResolver, ResolveError>>,
}

impl Resolver {
    /// A resolver that asks these name servers, or those of the system when there are none, and spends no
    /// more than `timeout` on each question.
    pub(super) fn new(nameservers: Vec<SocketAddr>, timeout: Duration) -> Resolver {
        Resolver { nameservers, timeout, hosts: None, servers: None }
    }

    /// Starts a question. The future owns all it needs and ends within the bound.
    pub(super) fn ask(&mut self, question: &Question) -> impl Future<Output = DnsAnswer> + Send + use<> {
        let (text, kind) = match question {
            Question::A(name) => (name, RecordType::A),
            Question::Aaaa(name) => (name, RecordType::AAAA),
            Question::Srv(name) => (name, RecordType::SRV),
            Question::Naptr(name) => (name, RecordType::NAPTR),
        };
        let lookup = self.lookup(text, kind);
        let timeout = self.timeout;
        async move {
            let (resolver, name) = match lookup {
                Ok(lookup) => lookup,
                Err(answer) => return answer,
            };
            match tokio::time::timeout(timeout, resolver.lookup(name, kind)).await {
                Err(_) => Err(ResolveError::TimedOut),
                Ok(Err(error)) => failure(&error),
                Ok(Ok(found)) => {
                    let addresses = found.answers().iter().filter_map(|record| record.data.ip_addr());
                    Ok(addresses.map(Record::from).collect())
                }
            }
        }
    }

    /// The resolver to ask and the name to ask for, or the answer where no name server is needed.
    fn lookup(&mut self, text: &str, kind: RecordType) -> Result<(TokioResolver, Name), DnsAnswer> {
        let mut name = Name::from_ascii(text).map_err(|_| Err(ResolveError::NoSuchName))?;
        name.set_fqdn(true);
        let hosts = self.hosts.get_or_insert_with(|| Hosts::from_system().unwrap_or_default());
        if let Some(addresses) = in_hosts(hosts, &name, kind) {
            return Err(Ok(addresses.into_iter().map(Record::from).collect()));
        }
        if name.is_localhost() {
            return Err(Ok(vec![loopback(kind).into()]));
        }
        let nameservers = &self.nameservers;
        match self.servers.get_or_insert_with(|| build(nameservers)) {
            Ok(resolver) => Ok((resolver.clone(), name)),
            Err(error) => Err(Err(*error)),
        }
    }
}

/// The addresses of a name that the hosts file lists in any family: a name that it gives an IPv4 address is
/// not asked for on the network because of IPv6.
fn in_hosts(hosts: &Hosts, name: &Name, kind: RecordType) -> Option<Vec<IpAddr>> {
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let lookup = if kind == RecordType::A { v4 } else { v6 };
    let mut addresses = Vec::new();
    for address in
        lookup.iter().flat_map(|lookup| lookup.answers()).filter_map(|record| record.data.ip_addr())
    {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Some(addresses)
}

fn loopback(kind: RecordType) -> IpAddr {
    if kind == RecordType::A { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn build(nameservers: &[SocketAddr]) -> Result<TokioResolver, ResolveError> {
    let mut builder = if nameservers.is_empty() {
        TokioResolver::builder_tokio().map_err(|_| ResolveError::ServerFailed)?
    } else {
        let servers = nameservers.iter().map(server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = TRY;
    // The option counts retries, not tries.
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|_| ResolveError::ServerFailed)
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn failure(error: &NetError) -> DnsAnswer {
    if let NetError::Timeout = error {
        return Err(ResolveError::TimedOut);
    }
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return Err(ResolveError::ServerFailed) };
    if none.response_code == ResponseCode::NoError {
        Ok(vec![])
    } else if none.response_code == ResponseCode::NXDomain {
        Err(ResolveError::NoSuchName)
    } else {
        Err(ResolveError::ServerFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_answers_for_both_families_in_its_order() {
        let mut hosts = Hosts::default();
        let text = "10.0.0.2 pbx pbx.example.com # desk\n10.0.0.1 pbx\n10.0.0.2 pbx\n";
        hosts.read_hosts_conf(text.as_bytes()).unwrap();
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let v4: Vec<IpAddr> = ["10.0.0.2", "10.0.0.1"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(in_hosts(&hosts, &name("PBX."), RecordType::A), Some(v4));
        assert_eq!(in_hosts(&hosts, &name("pbx."), RecordType::AAAA), Some(vec![]));
        assert_eq!(in_hosts(&hosts, &name("other."), RecordType::A), None);
    }
}
