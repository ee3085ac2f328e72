//! Locating the server (RFC 3263): from a URI to the destinations to try, in order.
//!
//! One [`Locate`] serves one next hop for as long as its destinations are tried. Whoever goes there asks it by
//! [`Locate::next`] for the next one, and gives it the answers of the name service, in any order, by [`Locate::answer`].
//!
//! ```text
//!  numeric host ─────────────────────────────────────────────────────────────▶ address
//!  name with a port ────────────────────────────────────────▶ A, AAAA ───────▶ addresses
//!  name with a transport ───────────▶ SRV of that ──▶ for each server: A, AAAA
//!  name alone ──▶ NAPTR ──▶ for each service: SRV     │ none: A, AAAA of the name, the default port
//!                   │ none: SRV of UDP, then of TCP ──┤
//!                   │       neither: SRV of TLS ──────┘
//! ```
//!
//! `sips` is gone to over TLS alone, whatever the name service offers (§4.1). Over TLS and WebSocket a destination keeps
//! the host of the URI: that is who the other end has to be, wherever the name service leads.
//!
//! The next service is looked at when all destinations of the one before have failed (§4.3), and so is the next server of
//! a service; the questions about several of them go out together all the same. What is known of one address family is
//! tried while the other is still asked for ([`RESOLUTION_DELAY`]).
//!
//! The file is long because the steps of RFC 3263 lead into each other.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::ids::Random;
pub use super::transport::{Destination, Transport};
use super::{DnsAnswer, Naptr, Profile, Question, Record, ResolveError, Srv, Time};
use crate::sip::{Host, Scheme, Uri};

/// How long an IPv6 address is waited for when an IPv4 address is known (RFC 8305 §3: resolution delay).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The longest time without a new destination, all questions together. Those that are open then count as unanswered.
const PATIENCE: Duration = Duration::from_secs(14);

/// Most destinations that are found.
const MOST_DESTINATIONS: usize = 16;
/// Most questions that are asked.
const MOST_QUESTIONS: usize = 64;
/// Most records of one answer that are looked at.
const MOST_RECORDS: usize = 256;
/// Most servers of one service, and most services, that are gone through.
const MOST_SERVERS: usize = 32;
/// So many servers are asked about at a time.
const SERVERS_AT_ONCE: usize = 8;

/// Which address families may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv6 first, then IPv4.
    #[default]
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Families {
    fn allow(self, ip: IpAddr) -> bool {
        match self {
            Families::Both => true,
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
        }
    }
}

/// An address that the user gives a host at one port, in place of what its A and AAAA records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The name of the host, in any case.
    pub host: String,
    /// The port: where the host is asked for by another one, its records count.
    pub port: u16,
    /// Where it is.
    pub address: IpAddr,
}

/// Where the address of a destination came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the host that has the address.
    pub name: String,
    /// Priority and weight of the SRV record that names the host; `None`: no such record led there.
    pub srv: Option<(u16, u16)>,
}

/// As in `sip1.munich.de, SRV 10 60`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.srv.map_or(Ok(()), |(priority, weight)| write!(f, ", SRV {priority} {weight}"))
    }
}

/// A destination, and where its address came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where to go.
    pub destination: Destination,
    /// Where the address came from; `None`: it stood in the URI.
    pub origin: Option<Arc<Origin>>,
}

/// Why a URI can't be located at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Its `transport` is not one of ours.
    #[error("transport {0} is not supported")]
    Transport(String),
    /// `sips` over datagrams, which have no TLS (RFC 3261 §26.2.2).
    #[error("sips does not go over udp")]
    SipsOverUdp,
    /// A numeric host of a family that may not be used.
    #[error("{0} is of an address family that was excluded")]
    Family(IpAddr),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this one.
    Found(Found),
    /// A host has no address that may be used. Go on by [`Locate::next`].
    Unresolved {
        /// Its name.
        name: String,
        /// What the name service said; `None`: it exists.
        error: Option<ResolveError>,
    },
    /// The domain says by an SRV target of "." that it does not offer the service (RFC 2782). Go on by [`Locate::next`].
    NotOffered {
        /// The domain.
        name: String,
    },
    /// The domain's NAPTR records name services, and none that can be used. Go on by [`Locate::next`].
    NoService {
        /// The domain.
        name: String,
        /// One would do, were it over TLS: `sips` goes over nothing else.
        lacks_tls: bool,
    },
    /// Ask these, if any, and come back with an answer or at that time.
    Wait {
        /// None of them was asked before.
        questions: Vec<Question>,
        /// When it has waited for long enough.
        until: Time,
    },
    /// Nothing is left.
    Over,
}

/// Locating one next hop. See the module.
#[derive(Clone, Debug)]
pub struct Locate {
    domain: String,
    /// The URI is a `sips` URI.
    is_sips: bool,
    /// The host of the URI, for destinations over TLS and WebSocket; and the settings of those connections.
    name: Arc<str>,
    profile: Profile,
    families: Families,
    pinned: Vec<Pinned>,
    /// What is still to be gone through, in order.
    ways: VecDeque<Way>,
    lookups: Vec<(Question, Lookup)>,
    /// Questions that have to be asked.
    outbox: Vec<Question>,
    /// Destinations that were handed out.
    found: Vec<Destination>,
    /// Since when no destination is known.
    waits: Option<Time>,
    /// Nothing more is asked until there is another destination.
    is_late: bool,
    /// An SRV record was seen.
    has_servers: bool,
    /// An SRV target of "." was seen.
    is_refused: bool,
    /// Hosts without an address that were told.
    unresolved: Vec<String>,
    /// What kept NAPTR or SRV records from being known.
    trouble: Option<ResolveError>,
    good_until: Option<Time>,
}

/// One entry of what is still to be gone through.
#[derive(Clone, Debug)]
enum Way {
    /// The services of the domain, by NAPTR.
    Domain,
    /// The servers of a service, by SRV.
    Service {
        name: String,
        transport: Transport,
    },
    /// The servers of TLS, should those of UDP and TCP have no SRV record.
    Secure,
    /// The domain itself, should it have no SRV record.
    Itself(Transport),
    /// The addresses of a host.
    Host(Server),
    Address(Found),
}

/// A host whose addresses are looked up.
#[derive(Clone, Debug)]
struct Server {
    origin: Arc<Origin>,
    transport: Transport,
    port: u16,
    /// The families that are still to come.
    aaaa: bool,
    a: bool,
    has_address: bool,
    /// An answer says that the name exists.
    is_known: bool,
    error: Option<ResolveError>,
    /// It is the domain, which no SRV record names.
    is_domain: bool,
}

/// Where a question stands.
#[derive(Clone, Debug)]
enum Lookup {
    Asked,
    Answered(DnsAnswer, Time),
}

impl Locate {
    /// Starts locating `hop`: the first Route, else the Request-URI (RFC 3261 §8.1.2). `forced` overrides the
    /// transport that the URI and RFC 3263 would choose. `maddr` replaces the host (RFC 3263 §4), but not in the name
    /// that a destination has to show. `profile` is for the connections that have settings.
    ///
    /// # Errors
    ///
    /// A transport, scheme or address family that can't be used.
    pub fn start(
        hop: &Uri,
        forced: Option<Transport>,
        families: Families,
        pinned: &[Pinned],
        profile: Profile,
    ) -> Result<Locate, LocateError> {
        let is_sips = hop.scheme == Scheme::Sips;
        let named = named_transport(hop, forced)?;
        let transport = named.unwrap_or(if is_sips { Transport::Tls } else { Transport::Udp });
        let port = hop.port.unwrap_or_else(|| transport.default_port());
        let maddr = hop.params.get("maddr").flatten().and_then(|text| Host::parse(text).ok());
        let host = maddr.as_ref().unwrap_or(&hop.host);
        let ip = match host {
            Host::V4(ip) => Some(IpAddr::V4(*ip)),
            // An IPv4-mapped address is reached by IPv4.
            Host::V6(ip) => Some(IpAddr::V6(*ip).to_canonical()),
            Host::Name(_) => None,
        };
        if let Some(ip) = ip.filter(|ip| !families.allow(*ip)) {
            return Err(LocateError::Family(ip));
        }
        let mut locate = Locate {
            domain: if ip.is_some() { String::new() } else { canonical(&host.to_string()) },
            is_sips,
            families,
            pinned: if ip.is_some() { Vec::new() } else { pinned.to_vec() },
            ..Locate::nowhere(name_of(&hop.host), profile)
        };
        match (ip, hop.port, named) {
            (Some(ip), _, _) => {
                let destination = locate.destination(transport, SocketAddr::new(ip, port));
                locate.ways.push_back(Way::Address(Found { destination, origin: None }));
            }
            (None, Some(_), _) => locate.ways.push_back(Way::Host(locate.itself(transport, port))),
            (None, None, Some(transport)) => locate.guess(&[transport]),
            (None, None, None) => locate.ways.push_back(Way::Domain),
        }
        Ok(locate)
    }

    /// Locates nothing: there is this one destination.
    #[must_use]
    pub fn at(found: Found) -> Locate {
        let Destination { name, profile, .. } = &found.destination;
        let mut locate = Locate::nowhere(name.clone().unwrap_or_default(), *profile);
        locate.ways.push_back(Way::Address(found));
        locate
    }

    fn nowhere(name: Arc<str>, profile: Profile) -> Locate {
        Locate {
            domain: String::new(),
            is_sips: false,
            name,
            profile,
            families: Families::Both,
            pinned: Vec::new(),
            ways: VecDeque::new(),
            lookups: Vec::new(),
            outbox: Vec::new(),
            found: Vec::new(),
            waits: None,
            is_late: false,
            has_servers: false,
            is_refused: false,
            unresolved: Vec::new(),
            trouble: None,
            good_until: None,
        }
    }

    /// The name that is looked up; empty for a numeric host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.domain
    }

    /// How many destinations are left, as far as is known: a host whose addresses aren't counts as one.
    #[must_use]
    pub fn left(&self) -> usize {
        let of = |way: &Way| match way {
            Way::Itself(_) => usize::from(!self.has_servers),
            Way::Secure => 0,
            Way::Host(server) => usize::from(!server.has_address),
            Way::Domain | Way::Service { .. } | Way::Address(_) => 1,
        };
        self.ways.iter().map(of).sum::<usize>().min(MOST_DESTINATIONS.saturating_sub(self.found.len()))
    }

    /// Until when what is known is good: the first of the answers runs out then. `None`: nothing was asked.
    #[must_use]
    pub fn good_until(&self) -> Option<Time> {
        self.good_until
    }

    /// Takes the answer to a question, which is good for `ttl` seconds. Servers of the same priority are put in an order
    /// by chance (RFC 2782). An answer to what was not asked, or is answered, changes nothing.
    pub fn answer(
        &mut self,
        question: &Question,
        answer: DnsAnswer,
        ttl: u32,
        random: &mut dyn Random,
        now: Time,
    ) {
        let asked = self.lookups.iter_mut().find(|(asked, _)| asked == question);
        let Some((_, lookup @ Lookup::Asked)) = asked else { return };
        let answer = answer.map(|mut records| {
            records.truncate(MOST_RECORDS);
            if matches!(question, Question::Srv(_)) { by_chance(records, random) } else { records }
        });
        if !matches!(answer, Err(ResolveError::ServerFailed | ResolveError::TimedOut)) {
            let until = now + Duration::from_secs(ttl.into());
            self.good_until = Some(self.good_until.map_or(until, |good| good.min(until)));
        }
        *lookup = Lookup::Answered(answer, now);
    }

    /// The next thing to do. Only when what came of the one before is known.
    pub fn next(&mut self, now: Time) -> Next {
        self.lose_patience(now);
        while self.found.len() < MOST_DESTINATIONS
            && let Some(way) = self.ways.pop_front()
        {
            let next = match way {
                Way::Domain => self.domain(now),
                Way::Service { name, transport } => self.service(name, transport, now),
                Way::Secure => {
                    self.secure();
                    None
                }
                Way::Itself(transport) => {
                    if !self.has_servers {
                        self.ways.push_front(Way::Host(self.itself(transport, transport.default_port())));
                    }
                    None
                }
                Way::Host(server) => self.host(server, now),
                Way::Address(found) => self.address(found),
            };
            if let Some(next) = next {
                return next;
            }
        }
        if std::mem::take(&mut self.is_refused) && self.found.is_empty() && self.unresolved.is_empty() {
            return Next::NotOffered { name: self.domain.clone() };
        }
        Next::Over
    }
}

/// The steps from the domain to its addresses. Each takes the first of the ways, and puts what it leads to in its place.
impl Locate {
    fn domain(&mut self, now: Time) -> Option<Next> {
        let Some((answer, _)) = self.lookup(Question::Naptr(self.domain.clone())) else {
            return Some(self.wait(Way::Domain, None, now));
        };
        let records = self.records(answer);
        let mut services: Vec<&Naptr> = records.iter().filter_map(naptr).filter(|it| is_sip(it)).collect();
        services.sort_by_key(|it| (it.order, it.preference));
        let known = !services.is_empty();
        let mut first = None;
        // RFC 3263 §4.1: for sips, services without TLS don't count.
        let mut usable: Vec<_> = services.into_iter().filter_map(usable).collect();
        let lacks_tls = !usable.is_empty();
        usable.retain(|(transport, _)| transport.is_secure() || !self.is_sips);
        for (transport, name) in usable.into_iter().take(MOST_SERVERS) {
            first.get_or_insert(transport);
            self.ways.push_back(Way::Service { name, transport });
        }
        match (known, first) {
            (false, _) if self.is_sips => self.guess(&[Transport::Tls]),
            (false, _) => self.guess(&[Transport::Udp, Transport::Tcp]),
            (true, Some(transport)) => self.ways.push_back(Way::Itself(transport)),
            (true, None) => return Some(Next::NoService { name: self.domain.clone(), lacks_tls }),
        }
        None
    }

    /// Without NAPTR records: the SRV records of these, all asked for at once (RFC 3263 §4.1, §4.2).
    fn guess(&mut self, transports: &[Transport]) {
        for transport in transports.iter().copied() {
            let name = service_name(transport, &self.domain);
            self.ask(Question::Srv(name.clone()));
            self.ways.push_back(Way::Service { name, transport });
        }
        if transports.len() > 1 {
            self.ways.push_back(Way::Secure);
        }
        let first = transports.first().copied().unwrap_or(Transport::Udp);
        if self.trouble == Some(ResolveError::TimedOut) {
            // A name server that is silent about NAPTR may be silent altogether: that is found out in one step.
            self.ask_for(&self.itself(first, first.default_port()));
        }
        self.ways.push_back(Way::Itself(first));
    }

    /// A domain that has servers of neither UDP nor TCP may have some of TLS. Should it not, it is a server itself: that is
    /// asked for with it.
    fn secure(&mut self) {
        if self.has_servers || self.trouble == Some(ResolveError::TimedOut) {
            return;
        }
        let name = service_name(Transport::Tls, &self.domain);
        self.ask(Question::Srv(name.clone()));
        self.ask_for(&self.itself(Transport::Udp, Transport::Udp.default_port()));
        self.ways.push_front(Way::Service { name, transport: Transport::Tls });
    }

    fn service(&mut self, name: String, transport: Transport, now: Time) -> Option<Next> {
        let Some((answer, _)) = self.lookup(Question::Srv(name.clone())) else {
            return Some(self.wait(Way::Service { name, transport }, None, now));
        };
        let records = self.records(answer);
        let mut servers: Vec<Way> = Vec::new();
        for srv in records.iter().filter_map(srv) {
            self.has_servers = true;
            let target = canonical(&srv.target);
            if target.is_empty() {
                self.is_refused = true;
            } else if servers.len() < MOST_SERVERS {
                let origin = Origin { name: target, srv: Some((srv.priority, srv.weight)) };
                servers.push(Way::Host(self.server(origin, transport, srv.port)));
            }
        }
        for way in servers.into_iter().rev() {
            self.ways.push_front(way);
        }
        None
    }

    fn host(&mut self, mut server: Server, now: Time) -> Option<Next> {
        let pins = self.pins(&server);
        if !pins.is_empty() {
            (server.aaaa, server.a) = (false, false);
            self.settle(server, pins);
            return None;
        }
        self.ask_ahead(&server);
        let name = &server.origin.name;
        let aaaa = server.aaaa.then(|| self.lookup(Question::Aaaa(name.clone())));
        let a = server.a.then(|| self.lookup(Question::A(name.clone())));
        match (aaaa, a) {
            (Some(Some((answer, _))), _) => {
                server.aaaa = false;
                self.take(server, answer);
            }
            (Some(None), Some(Some((answer, at)))) => {
                let is_there =
                    answer.as_ref().is_ok_and(|records| records.iter().any(|it| it.address().is_some()));
                let until = at + RESOLUTION_DELAY;
                if !is_there || now < until {
                    return Some(self.wait(Way::Host(server), is_there.then_some(until), now));
                }
                server.a = false;
                self.take(server, answer);
            }
            (None, Some(Some((answer, _)))) => {
                server.a = false;
                self.take(server, answer);
            }
            (Some(None), _) | (None, Some(None)) => return Some(self.wait(Way::Host(server), None, now)),
            (None, None) => return self.leave(server),
        }
        None
    }

    /// Puts the addresses of an answer before what is left of their host.
    fn take(&mut self, mut server: Server, answer: DnsAnswer) {
        let mut addresses = Vec::new();
        match answer {
            Ok(records) => {
                server.is_known = true;
                addresses.extend(records.iter().filter_map(Record::address));
            }
            Err(error) => server.error = worse(server.error, error),
        }
        addresses.retain(|ip| self.families.allow(*ip));
        self.settle(server, addresses);
    }

    fn settle(&mut self, mut server: Server, addresses: Vec<IpAddr>) {
        server.has_address |= !addresses.is_empty();
        let Server { transport, port, .. } = server;
        let origin = Arc::clone(&server.origin);
        self.ways.push_front(Way::Host(server));
        for ip in addresses.into_iter().take(MOST_DESTINATIONS).rev() {
            let destination = self.destination(transport, SocketAddr::new(ip, port));
            self.ways.push_front(Way::Address(Found { destination, origin: Some(Arc::clone(&origin)) }));
        }
    }

    /// Leaves a host of which nothing is to come any more.
    fn leave(&mut self, server: Server) -> Option<Next> {
        if server.has_address {
            return None;
        }
        let error = match server.error {
            // The name exists.
            Some(ResolveError::NoSuchName) if server.is_known => None,
            error => error,
        };
        let error = if server.is_domain && error.is_none() { self.trouble } else { error };
        self.tell_unresolved(server.origin.name.clone(), error)
    }

    fn address(&mut self, found: Found) -> Option<Next> {
        if self.found.contains(&found.destination) {
            return None;
        }
        self.found.push(found.destination.clone());
        (self.waits, self.is_late) = (None, false);
        Some(Next::Found(found))
    }
}

/// Questions, and what is known of them.
impl Locate {
    /// A destination, with the name that the other end has to show and the settings of the connection, where it has any.
    fn destination(&self, transport: Transport, address: SocketAddr) -> Destination {
        match transport {
            Transport::Udp | Transport::Tcp => Destination::new(transport, address),
            Transport::Tls | Transport::Ws | Transport::Wss => {
                Destination { transport, address, name: Some(Arc::clone(&self.name)), profile: self.profile }
            }
        }
    }

    fn itself(&self, transport: Transport, port: u16) -> Server {
        let origin = Origin { name: self.domain.clone(), srv: None };
        Server { is_domain: true, ..self.server(origin, transport, port) }
    }

    fn server(&self, origin: Origin, transport: Transport, port: u16) -> Server {
        let (aaaa, a) = match self.families {
            Families::Both => (true, true),
            Families::V4 => (false, true),
            Families::V6 => (true, false),
        };
        let origin = Arc::new(origin);
        Server {
            origin,
            transport,
            port,
            aaaa,
            a,
            has_address: false,
            is_known: false,
            error: None,
            is_domain: false,
        }
    }

    fn pins(&self, server: &Server) -> Vec<IpAddr> {
        let is_meant = |pin: &&Pinned| pin.port == server.port && canonical(&pin.host) == server.origin.name;
        let is_open = server.aaaa || server.a;
        let pins = self.pinned.iter().filter(|_| is_open).filter(is_meant).map(|pin| pin.address);
        pins.filter(|ip| self.families.allow(*ip)).collect()
    }

    /// Asks for the addresses of a host and, with it, for those of the next ones of its service.
    fn ask_ahead(&mut self, server: &Server) {
        let is_asked = |question: &Question| self.lookups.iter().any(|(asked, _)| asked == question);
        let Some(question) = questions(server).next().filter(|question| !is_asked(question)) else { return };
        self.ask(question);
        self.ask_for(server);
        let next =
            self.ways.iter().map_while(|way| if let Way::Host(server) = way { Some(server) } else { None });
        let next: Vec<Server> = next.take(SERVERS_AT_ONCE - 1).cloned().collect();
        for server in &next {
            if self.pins(server).is_empty() {
                self.ask_for(server);
            }
        }
    }

    fn ask_for(&mut self, server: &Server) {
        for question in questions(server) {
            self.ask(question);
        }
    }

    /// Asks a question that was not asked before.
    fn ask(&mut self, question: Question) {
        let is_asked = self.lookups.iter().any(|(asked, _)| *asked == question);
        if !is_asked && !self.is_late && self.lookups.len() < MOST_QUESTIONS {
            self.outbox.push(question.clone());
            self.lookups.push((question, Lookup::Asked));
        }
    }

    /// The answer to a question, which is asked if it was not; `None`: it has yet to come.
    fn lookup(&mut self, question: Question) -> Option<(DnsAnswer, Time)> {
        self.ask(question.clone());
        match self.lookups.iter().find(|(asked, _)| *asked == question) {
            Some((_, Lookup::Asked)) => None,
            Some((_, Lookup::Answered(answer, at))) => Some((answer.clone(), *at)),
            // It is not asked any more.
            None => Some((Err(ResolveError::TimedOut), Time::from_millis(0))),
        }
    }

    /// The records of NAPTR or SRV. What keeps them from being known is remembered.
    fn records(&mut self, answer: DnsAnswer) -> Vec<Record> {
        answer.unwrap_or_else(|error| {
            match error {
                // Nothing of that kind has that name.
                ResolveError::NoSuchName => {}
                ResolveError::ServerFailed | ResolveError::TimedOut => {
                    self.trouble = worse(self.trouble, error)
                }
            }
            Vec::new()
        })
    }

    fn wait(&mut self, way: Way, until: Option<Time>, now: Time) -> Next {
        self.ways.push_front(way);
        let end = *self.waits.get_or_insert(now) + PATIENCE;
        let questions = std::mem::take(&mut self.outbox);
        Next::Wait { questions, until: until.map_or(end, |until| until.min(end)) }
    }

    /// Tells of a host without an address, once.
    fn tell_unresolved(&mut self, name: String, error: Option<ResolveError>) -> Option<Next> {
        if self.unresolved.contains(&name) {
            return None;
        }
        self.unresolved.push(name.clone());
        Some(Next::Unresolved { name, error })
    }

    /// Gives up what is not answered after so long a time.
    fn lose_patience(&mut self, now: Time) {
        if self.waits.is_none_or(|since| now < since + PATIENCE) {
            return;
        }
        self.is_late = true;
        self.outbox.clear();
        for (_, lookup) in &mut self.lookups {
            if let Lookup::Asked = lookup {
                *lookup = Lookup::Answered(Err(ResolveError::TimedOut), now);
            }
        }
    }
}

fn questions(server: &Server) -> impl Iterator<Item = Question> + use<> {
    let name = &server.origin.name;
    let aaaa = server.aaaa.then(|| Question::Aaaa(name.clone()));
    let a = server.a.then(|| Question::A(name.clone()));
    aaaa.into_iter().chain(a)
}

/// The worse of two things that the name service said.
fn worse(one: Option<ResolveError>, other: ResolveError) -> Option<ResolveError> {
    let rank = |error| match error {
        ResolveError::NoSuchName => 0,
        ResolveError::ServerFailed => 1,
        ResolveError::TimedOut => 2,
    };
    one.filter(|one| rank(*one) >= rank(other)).or(Some(other))
}

/// A name as it is compared and asked for: lower case, without a dot at its end.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn naptr(record: &Record) -> Option<&Naptr> {
    match record {
        Record::Naptr(naptr) => Some(naptr),
        Record::A(_) | Record::Aaaa(_) | Record::Srv(_) => None,
    }
}

fn srv(record: &Record) -> Option<&Srv> {
    match record {
        Record::Srv(srv) => Some(srv),
        Record::A(_) | Record::Aaaa(_) | Record::Naptr(_) => None,
    }
}

/// Whether a NAPTR record is about SIP at all; a domain may have others (RFC 3263 §4.1).
fn is_sip(record: &Naptr) -> bool {
    let protocol = record.service.split('+').next().unwrap_or_default();
    let resolves =
        record.service.get(protocol.len()..).is_some_and(|rest| rest.to_ascii_uppercase().starts_with("+D2"));
    resolves && (protocol.eq_ignore_ascii_case("SIP") || protocol.eq_ignore_ascii_case("SIPS"))
}

/// The transport that a URI says, or that is forced; over TLS in a `sips` URI. `None`: neither does.
fn named_transport(hop: &Uri, forced: Option<Transport>) -> Result<Option<Transport>, LocateError> {
    let named = match (forced, hop.transport()) {
        (Some(transport), _) => transport,
        (None, Some(token)) => {
            Transport::parse(token).ok_or_else(|| LocateError::Transport(token.to_owned()))?
        }
        (None, None) => return Ok(None),
    };
    match hop.scheme {
        Scheme::Sip => Ok(Some(named)),
        Scheme::Sips => named.secured().map(Some).ok_or(LocateError::SipsOverUdp),
    }
}

/// The host of a URI, as a certificate has it: a name in lower case without a dot at its end, or an address as text.
fn name_of(host: &Host) -> Arc<str> {
    match host {
        Host::V4(ip) => ip.to_string().into(),
        Host::V6(ip) => ip.to_canonical().to_string().into(),
        Host::Name(name) => canonical(name).into(),
    }
}

/// The name that has the SRV records of a transport (RFC 3263 §4.1, RFC 7118 §5.5).
fn service_name(transport: Transport, domain: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    };
    format!("{service}.{domain}")
}

/// Whether this is a service that can be used, though perhaps not for `sips`.
#[must_use]
pub fn is_usable(record: &Naptr) -> bool {
    usable(record).is_some()
}

/// The transport of a service that we can do, and the name to ask SRV for.
fn usable(record: &Naptr) -> Option<(Transport, String)> {
    let transport = match record.service.to_ascii_uppercase().as_str() {
        "SIP+D2U" => Transport::Udp,
        "SIP+D2T" => Transport::Tcp,
        "SIPS+D2T" => Transport::Tls,
        "SIP+D2W" => Transport::Ws,
        "SIPS+D2W" => Transport::Wss,
        _ => return None,
    };
    let name = canonical(&record.replacement);
    (record.flags.eq_ignore_ascii_case("s") && !name.is_empty()).then_some((transport, name))
}

/// SRV records in the order in which their servers are tried (RFC 2782): by priority, and by chance within one, each as
/// often in front as its weight says. Those of weight 0 go to the front seldom, where others have more.
fn by_chance(records: Vec<Record>, random: &mut dyn Random) -> Vec<Record> {
    let mut left: Vec<Srv> = records.iter().filter_map(srv).cloned().collect();
    left.sort_by_key(|srv| (srv.priority, srv.weight > 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let same = left.iter().take_while(|srv| srv.priority == first.priority).count();
        let sum: u64 = left.iter().take(same).map(|srv| u64::from(srv.weight)).sum();
        let chosen = if same == 1 {
            0
        } else if sum == 0 {
            usize::try_from(random.next() % (same as u64)).unwrap_or(0)
        } else {
            let wanted = random.next() % (sum + 1);
            let mut running = 0;
            let reaches = |srv: &Srv| {
                running += u64::from(srv.weight);
                running >= wanted
            };
            left.iter().take(same).position(reaches).unwrap_or(0)
        };
        ordered.push(Record::Srv(left.remove(chosen)));
    }
    ordered
}

#[cfg(test)]
mod tests;
