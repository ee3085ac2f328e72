//! The name service (RFC 3263 §4): one question per record type, each within a bounded time.
//!
//! The hosts file and `localhost` (RFC 6761 §6.3) answer first and without any name server, for SRV and NAPTR too: who
//! gave a domain an address there has said where it is. A SIP domain is always fully qualified: no search list is
//! tried, whatever the system is configured for. Nothing is read or built before the first question comes, because
//! numeric targets (RFC 3263 §4.1) never ask one.
//!
//! Several name servers are asked one after the other, the one that answered last first: the next one at once where one
//! fails or is not there, and after [`STAGGER`] where it is silent, which is still listened to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::task::JoinSet;

use super::nameserver::{self, Reply};
use crate::proto::{DnsAnswer, Lookup, Question, Record, ResolveError};

/// The time that a silent name server costs before the next one is asked, at most.
const STAGGER: Duration = Duration::from_secs(1);

/// How long a name server is waited for when another has answered: its question is sent again once by then.
const COMPANY: Duration = Duration::from_millis(2500);

/// The seconds that an answer is good for which no name server gave: of the hosts file, or of this program.
const OWN_TTL: u32 = 60;

/// The resolver, which makes its parts when the first question comes.
pub(super) struct Resolver {
    nameservers: Vec<SocketAddr>,
    timeout: Duration,
    asks_every: bool,
    hosts: Option<Hosts>,
    servers: Option<Servers>,
}

/// An answer, and who said what on the way to it.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) lookups: Vec<Lookup>,
}

/// The name servers, in the order they are configured.
#[derive(Clone)]
struct Servers {
    addresses: Arc<[SocketAddr]>,
    /// The index of the one that answered last.
    first: Arc<AtomicUsize>,
    /// Of those that are all asked: one was silent, which need not be found out once more.
    is_one_silent: Arc<AtomicBool>,
}

impl Resolver {
    /// A resolver that asks these name servers, or those of the system when there are none, and spends no
    /// more than `timeout` on each question. With `asks_every` all of them are asked each question.
    pub(super) fn new(nameservers: Vec<SocketAddr>, timeout: Duration, asks_every: bool) -> Resolver {
        Resolver { nameservers, timeout, asks_every, hosts: None, servers: None }
    }

    /// Starts a question. The future owns all it needs and ends within the bound.
    pub(super) fn ask(&mut self, question: &Question) -> impl Future<Output = Answer> + Send + use<> {
        let kind = match question {
            Question::A(_) => RecordType::A,
            Question::Aaaa(_) => RecordType::AAAA,
            Question::Srv(_) => RecordType::SRV,
            Question::Naptr(_) => RecordType::NAPTR,
        };
        let lookup = self.lookup(question.parts().1, kind);
        let (timeout, asks_every, question) = (self.timeout, self.asks_every, question.clone());
        async move {
            let said = |(server, answer)| Lookup { question: question.clone(), server, answer };
            match lookup {
                Ok((servers, name)) => {
                    let (reply, said_by) = if asks_every {
                        servers.ask_every(&name, kind, timeout).await
                    } else {
                        servers.ask(&name, kind, timeout).await
                    };
                    let each = said_by.into_iter().map(|(server, answer)| (Some(server), answer));
                    Answer { reply, lookups: each.map(said).collect() }
                }
                Err(reply) => {
                    let lookups = vec![said((None, reply.answer.clone()))];
                    Answer { reply, lookups }
                }
            }
        }
    }

    /// The servers to ask and the name to ask for, or the answer where no name server is needed.
    fn lookup(&mut self, text: &str, kind: RecordType) -> Result<(Servers, Name), Reply> {
        let own = |answer| Err(Reply { answer, ttl: OWN_TTL });
        let Ok(mut name) = Name::from_ascii(text) else { return own(Err(ResolveError::NoSuchName)) };
        name.set_fqdn(true);
        let host = if kind == RecordType::SRV { name.base_name().base_name() } else { name.clone() };
        let hosts = self.hosts.get_or_insert_with(|| Hosts::from_system().unwrap_or_default());
        if let Some(addresses) = in_hosts(hosts, &host, kind) {
            return own(Ok(addresses.into_iter().map(Record::from).collect()));
        }
        if host.is_localhost() {
            return own(Ok(loopback(kind).map(Record::from).into_iter().collect()));
        }
        // RFC 6761 §6.4, RFC 7686 §2: no name server knows these.
        let last = host.iter().next_back().unwrap_or_default();
        if [b"invalid".as_slice(), b"onion"].iter().any(|special| last.eq_ignore_ascii_case(special)) {
            return own(Err(ResolveError::NoSuchName));
        }
        let nameservers = &self.nameservers;
        let servers = self.servers.get_or_insert_with(|| Servers::new(nameservers));
        Ok((servers.clone(), name))
    }
}

impl Servers {
    /// Those that are named, else those of the system.
    fn new(named: &[SocketAddr]) -> Servers {
        let addresses = if named.is_empty() { of_system() } else { named.into() };
        Servers { addresses, first: Arc::default(), is_one_silent: Arc::default() }
    }

    /// Asks one server after the other until one has an answer; and what each of them said.
    async fn ask(
        self,
        name: &Name,
        kind: RecordType,
        timeout: Duration,
    ) -> (Reply, Vec<(SocketAddr, DnsAnswer)>) {
        let count = self.addresses.len();
        let first = self.first.load(Ordering::Relaxed);
        let order: Vec<_> = (0..count).map(|n| (first + n) % count).collect();
        let mut waiting = order.iter().filter_map(|n| Some((*n, *self.addresses.get(*n)?)));
        let mut silent = Vec::new();
        let mut said = Vec::new();
        let pause = STAGGER.min(timeout / u32::try_from(count + 1).unwrap_or(u32::MAX));
        let mut end = std::pin::pin!(tokio::time::sleep(timeout));
        let mut asked = JoinSet::new();
        loop {
            let next = waiting.next();
            if let Some((n, server)) = next {
                let name = name.clone();
                asked.spawn(async move { (n, server, nameserver::ask(server, name, kind).await) });
                silent.push(server);
            }
            tokio::select! {
                ended = asked.join_next() => match ended {
                    Some(Ok((n, server, Ok(reply)))) => {
                        self.first.store(n, Ordering::Relaxed);
                        said.push((server, reply.answer.clone()));
                        return (reply, said);
                    }
                    Some(Ok((_, server, Err(fault)))) => {
                        silent.retain(|silent| *silent != server);
                        said.push((server, Err(fault.into())));
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                () = tokio::time::sleep(pause), if next.is_some() => {}
                () = &mut end => break,
            }
        }
        said.extend(silent.into_iter().map(|server| (server, Err(ResolveError::TimedOut))));
        let failed = said.is_empty() || said.iter().any(|(_, said)| *said == Err(ResolveError::ServerFailed));
        let error = if failed { ResolveError::ServerFailed } else { ResolveError::TimedOut };
        (Reply { answer: Err(error), ttl: 0 }, said)
    }
}

impl Servers {
    /// Asks all servers, and takes the answer of the first of them, in their order, that has one; and what each of them
    /// said. One that is silent is waited for a while where another has answered: once.
    async fn ask_every(
        self,
        name: &Name,
        kind: RecordType,
        timeout: Duration,
    ) -> (Reply, Vec<(SocketAddr, DnsAnswer)>) {
        let mut asked = JoinSet::new();
        for (n, server) in self.addresses.iter().copied().enumerate() {
            let name = name.clone();
            asked.spawn(async move { (n, server, nameserver::ask(server, name, kind).await) });
        }
        let began = tokio::time::Instant::now();
        let mut end = began + timeout;
        let mut replies: Vec<(usize, SocketAddr, Result<Reply, ResolveError>)> = Vec::new();
        while let Ok(Some(ended)) = tokio::time::timeout_at(end, asked.join_next()).await {
            let Ok((n, server, said)) = ended else { continue };
            if said.is_ok() {
                let more = if self.is_one_silent.load(Ordering::Relaxed) { Duration::ZERO } else { COMPANY };
                end = end.min(began + more.max(began.elapsed()));
            }
            replies.push((n, server, said.map_err(ResolveError::from)));
        }
        let silent: Vec<usize> =
            (0..self.addresses.len()).filter(|n| replies.iter().all(|(known, ..)| known != n)).collect();
        let is_answered = replies.iter().any(|(.., said)| said.is_ok());
        if is_answered && !silent.is_empty() {
            self.is_one_silent.store(true, Ordering::Relaxed);
        }
        replies.sort_by_key(|(n, ..)| *n);
        let first = replies.iter().find_map(|(.., said)| said.as_ref().ok()).cloned();
        let is_failed = replies.iter().any(|(.., said)| *said == Err(ResolveError::ServerFailed));
        let error = if is_failed || self.addresses.is_empty() {
            ResolveError::ServerFailed
        } else {
            ResolveError::TimedOut
        };
        let answer = |said: Result<Reply, ResolveError>| said.and_then(|reply| reply.answer);
        let mut said: Vec<_> = replies.into_iter().map(|(_, server, said)| (server, answer(said))).collect();
        let silent = silent.into_iter().filter_map(|n| self.addresses.get(n));
        said.extend(silent.map(|server| (*server, Err(ResolveError::TimedOut))));
        (first.unwrap_or(Reply { answer: Err(error), ttl: 0 }), said)
    }
}

/// The name servers that the system is configured for; none where it isn't.
fn of_system() -> Arc<[SocketAddr]> {
    let Ok((config, _)) = read_system_conf() else { return Arc::default() };
    let servers = config.name_servers().iter();
    servers.filter_map(|server| Some(SocketAddr::new(server.ip, server.connections.first()?.port))).collect()
}

/// The addresses of a name that the hosts file lists in any family: a name that it gives an IPv4 address is
/// not asked for on the network because of IPv6, or of its services.
fn in_hosts(hosts: &Hosts, name: &Name, kind: RecordType) -> Option<Vec<IpAddr>> {
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let v6 = v6.filter(|_| kind == RecordType::AAAA);
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

/// The address of this host; `None` for questions that are not about addresses.
fn loopback(kind: RecordType) -> Option<IpAddr> {
    let v6 = (kind == RecordType::AAAA).then_some(Ipv6Addr::LOCALHOST.into());
    if kind == RecordType::A { Some(Ipv4Addr::LOCALHOST.into()) } else { v6 }
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
