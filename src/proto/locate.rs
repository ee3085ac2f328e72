//! Locating the server (RFC 3263): from a URI to the addresses to try, in order.
//!
//! One [`Locate`] serves one next hop. It says what to ask, takes the answers in any order, and ends with the list of
//! [`Destination`]s. Numeric hosts need no question (§4.1, §4.2). A name is asked for AAAA and A with the port of the
//! URI or the transport's default; NAPTR and SRV will come before that, as further questions of the same machine.

use std::net::{IpAddr, SocketAddr};

pub use super::transport::{Destination, Transport};
use super::{DnsAnswer, Question, Record, ResolveError};
use crate::sip::{Host, Uri};

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

/// Why a URI can't be located at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Its `transport` is not one of ours.
    #[error("transport {0} is not supported")]
    Transport(String),
    /// `sips:` needs TLS.
    #[error("sips needs TLS, which is not supported")]
    Sips,
    /// A numeric host of a family that may not be used.
    #[error("{0} is of an address family that was excluded")]
    Family(IpAddr),
}

/// The first result of [`Locate::start`].
#[derive(Debug)]
pub enum Start {
    /// A numeric host: no question needed.
    Found(Vec<Destination>),
    /// Ask these; give each answer to [`Locate::answer`].
    Ask(Locate, Vec<Question>),
}

/// Locating one next hop; lives until all its questions are answered.
#[derive(Clone, Debug)]
pub struct Locate {
    name: String,
    transport: Transport,
    port: u16,
    aaaa: Lookup,
    a: Lookup,
}

/// Where the question for one record type stands.
#[derive(Clone, Debug)]
enum Lookup {
    NotWanted,
    Asked,
    Answered(DnsAnswer),
}

impl Locate {
    /// Starts locating `hop`: the first Route, else the Request-URI (RFC 3261 §8.1.2). `forced` overrides the
    /// transport that the URI and RFC 3263 would choose. `maddr` replaces the host (RFC 3263 §4).
    ///
    /// # Errors
    ///
    /// A transport, scheme or address family that can't be used.
    pub fn start(hop: &Uri, forced: Option<Transport>, families: Families) -> Result<Start, LocateError> {
        if hop.scheme == crate::sip::Scheme::Sips {
            return Err(LocateError::Sips);
        }
        let transport = match (forced, hop.transport()) {
            (Some(transport), _) => transport,
            (None, Some(token)) => {
                Transport::parse(token).ok_or_else(|| LocateError::Transport(token.to_owned()))?
            }
            (None, None) => Transport::Udp,
        };
        let port = hop.port.unwrap_or_else(|| transport.default_port());
        let maddr = hop.params.get("maddr").flatten().and_then(|text| Host::parse(text).ok());
        let host = maddr.as_ref().unwrap_or(&hop.host);
        let ip = match host {
            Host::V4(ip) => IpAddr::V4(*ip),
            // An IPv4-mapped address is reached by IPv4.
            Host::V6(ip) => IpAddr::V6(*ip).to_canonical(),
            Host::Name(name) => {
                return Ok(Locate::by_name(name.clone(), transport, port, families));
            }
        };
        match (families, ip) {
            (Families::Both, _) | (Families::V4, IpAddr::V4(_)) | (Families::V6, IpAddr::V6(_)) => {
                Ok(Start::Found(vec![Destination::new(transport, SocketAddr::new(ip, port))]))
            }
            (Families::V4, IpAddr::V6(_)) | (Families::V6, IpAddr::V4(_)) => Err(LocateError::Family(ip)),
        }
    }

    fn by_name(name: String, transport: Transport, port: u16, families: Families) -> Start {
        let (aaaa, a) = match families {
            Families::Both => (Lookup::Asked, Lookup::Asked),
            Families::V4 => (Lookup::NotWanted, Lookup::Asked),
            Families::V6 => (Lookup::Asked, Lookup::NotWanted),
        };
        let mut questions = Vec::new();
        if matches!(aaaa, Lookup::Asked) {
            questions.push(Question::Aaaa(name.clone()));
        }
        if matches!(a, Lookup::Asked) {
            questions.push(Question::A(name.clone()));
        }
        Start::Ask(Locate { name, transport, port, aaaa, a }, questions)
    }

    /// The name that is looked up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the answer to one of the questions. `None`: more answers are awaited. The addresses come IPv6 first;
    /// those of one family in the order of the answer. One family's failure does not spoil the other's addresses
    /// (RFC 7984 §3.1).
    ///
    /// # Errors
    ///
    /// No address of either family; the worst that the name service said, `None` when the name exists.
    pub fn answer(
        &mut self,
        question: &Question,
        answer: DnsAnswer,
    ) -> Option<Result<Vec<Destination>, Option<ResolveError>>> {
        match question {
            Question::Aaaa(_) => self.aaaa = Lookup::Answered(answer),
            Question::A(_) => self.a = Lookup::Answered(answer),
            Question::Srv(_) | Question::Naptr(_) => {}
        }
        let mut found = Vec::new();
        let mut error = None;
        for lookup in [&self.aaaa, &self.a] {
            match lookup {
                Lookup::NotWanted => {}
                Lookup::Asked => return None,
                Lookup::Answered(Ok(records)) => {
                    let address = |ip| SocketAddr::new(ip, self.port);
                    let destination = |ip| Destination::new(self.transport, address(ip));
                    found.extend(records.iter().filter_map(Record::address).map(destination));
                }
                Lookup::Answered(Err(cause)) => error = error.or(Some(*cause)),
            }
        }
        if found.is_empty() { Some(Err(error)) } else { Some(Ok(found)) }
    }
}

#[cfg(test)]
mod tests;
