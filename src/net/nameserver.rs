//! One question to one name server (RFC 1035 §4.2): a datagram, sent again while nothing comes, and a connection where
//! the answer does not fit into one.
//!
//! The socket is connected: only that server's datagrams arrive, and a port that nobody listens on is noticed at once.
//! Aliases (CNAME) are followed, by further questions where one answer does not hold the whole chain.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::proto::{DnsAnswer, Naptr, Record, ResolveError, Srv};

/// The pauses before a datagram is sent once more; after the last one, silence is all that is left.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Aliases that may follow one another. Longer chains are loops.
const ALIASES: usize = 16;
/// Records of one answer that are looked at.
const RECORDS: usize = 512;
/// The seconds that "no such record" is good for where no SOA says it (RFC 2308 §5 wants it forgotten soon): accounts
/// that start together ask once.
const NEGATIVE: u32 = 5;
/// Answers over UDP are no longer: nothing else was allowed (RFC 1035 §4.2.1), yet some send more.
const DATAGRAM: usize = 4096;

/// What one name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The records, or that the name does not exist.
    pub(super) answer: DnsAnswer,
    /// How long that is good, in seconds: the least of its records, aliases included.
    pub(super) ttl: u32,
}

/// Why one name server gave no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody is there: its port is closed, or there is no way to it.
    Absent,
    /// It answered with a failure, in a loop, or with something that can't be read.
    Failed,
}

impl From<Fault> for ResolveError {
    fn from(fault: Fault) -> ResolveError {
        match fault {
            Fault::Absent => ResolveError::TimedOut,
            Fault::Failed => ResolveError::ServerFailed,
        }
    }
}

/// Asks one name server. The future ends with an answer or a fault; from a server that is silent it never ends, so
/// its time is to be bounded by whoever waits for it.
pub(super) async fn ask(server: SocketAddr, mut name: Name, kind: RecordType) -> Result<Reply, Fault> {
    let mut ttl = u32::MAX;
    let mut aliases = 0;
    loop {
        let message = exchange(server, &name, kind).await?;
        let exists = message.metadata.response_code == ResponseCode::NoError;
        if !exists && message.metadata.response_code != ResponseCode::NXDomain {
            return Err(Fault::Failed);
        }
        let before = aliases;
        while let Some((target, seconds)) = alias(&message, &name) {
            (name, ttl, aliases) = (target, ttl.min(seconds), aliases + 1);
            if aliases > ALIASES {
                return Err(Fault::Failed);
            }
        }
        let of_kind = message.answers.iter().filter(|record| record.name == name);
        let mut records = Vec::new();
        for (record, seconds) in of_kind.filter_map(|record| Some((read(record, kind)?, record.ttl))) {
            if records.len() < RECORDS {
                records.push(record);
                ttl = ttl.min(seconds);
            }
        }
        let negative = negative_ttl(&message);
        if !records.is_empty() {
            return Ok(Reply { answer: Ok(records), ttl });
        } else if !exists || aliases == before || negative.is_some() {
            let answer = if exists { Ok(Vec::new()) } else { Err(ResolveError::NoSuchName) };
            return Ok(Reply { answer, ttl: ttl.min(negative.unwrap_or(NEGATIVE)) });
        }
    }
}

/// Where an alias leads, and how long that is good.
fn alias(message: &Message, name: &Name) -> Option<(Name, u32)> {
    message.answers.iter().find_map(|record| {
        let RData::CNAME(target) = &record.data else { return None };
        let mut target = target.0.clone();
        target.set_fqdn(true);
        (record.name == *name).then_some((target, record.ttl))
    })
}

/// How long it is good that there is no such name or record (RFC 2308 §5).
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.minimum.min(record.ttl))
    })
}

/// A record as the core knows it; `None` for another type than was asked for.
fn read(record: &DnsRecord, kind: RecordType) -> Option<Record> {
    let name = |name: &Name| name.to_ascii().trim_end_matches('.').to_owned();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if record.record_type() != kind {
        return None;
    }
    if let RData::SRV(srv) = &record.data {
        let target = name(&srv.target);
        return Some(Record::Srv(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target }));
    }
    if let RData::NAPTR(naptr) = &record.data {
        return Some(Record::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            service: text(&naptr.services),
            replacement: name(&naptr.replacement),
        }));
    }
    record.data.ip_addr().map(Record::from)
}

/// One message there and one back.
async fn exchange(server: SocketAddr, name: &Name, kind: RecordType) -> Result<Message, Fault> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), kind));
    let octets = query.to_vec().map_err(|_| Fault::Failed)?;
    match by_datagram(server, &query, &octets).await.map_err(|_| Fault::Absent)? {
        Some(Carried::Whole(message)) => Ok(*message),
        Some(Carried::Cut) => match by_connection(server, &octets).await {
            Ok(reply) => match carried(&reply, &query) {
                Some(Carried::Whole(message)) => Ok(*message),
                Some(Carried::Cut) | None => Err(Fault::Failed),
            },
            Err(_) => Err(Fault::Failed),
        },
        None => Err(Fault::Failed),
    }
}

/// How much of an answer came.
enum Carried {
    Whole(Box<Message>),
    /// It did not fit (RFC 1035 §4.1.1, TC): it is to be asked for over TCP.
    Cut,
}

/// Sends the question until something comes that belongs to it: `None` when it can't be read.
async fn by_datagram(server: SocketAddr, query: &Message, octets: &[u8]) -> io::Result<Option<Carried>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; DATAGRAM];
    let mut pauses = PAUSES.into_iter();
    loop {
        socket.send(octets).await?;
        let pause = pauses.next();
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                let reply = buffer.get(..length).unwrap_or_default();
                // Somebody who guesses ports does not guess this number, too.
                if reply.get(..2) == octets.get(..2) {
                    return Ok(carried(reply, query));
                }
            }
        };
        match pause {
            None => return answer.await,
            Some(pause) => {
                if let Ok(answer) = tokio::time::timeout(pause, answer).await {
                    return answer;
                }
            }
        }
    }
}

/// The octets of an answer as a message, if it is one and answers this question.
fn carried(reply: &[u8], query: &Message) -> Option<Carried> {
    if reply.get(2).is_some_and(|flags| flags & 0x82 == 0x82) {
        return Some(Carried::Cut);
    }
    let message = Message::from_vec(reply).ok()?;
    // A failure may come without the question.
    let is_ours = message.queries == query.queries
        || message.queries.is_empty() && message.metadata.response_code != ResponseCode::NoError;
    (message.metadata.id == query.metadata.id && is_ours).then(|| Carried::Whole(Box::new(message)))
}

/// The same over TCP: a length of two octets before each message (RFC 1035 §4.2.2).
async fn by_connection(server: SocketAddr, octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), octets].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
