use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::*;
use crate::proto::{DnsAnswer, QueryId, Question, Record, ResolveError};

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// What a name server says: a code and addresses; `None`: nothing.
type Reply = Option<(u8, Vec<IpAddr>)>;

/// A name server that says the same to everybody and notes the names it was asked for.
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn name_server(reply: Reply) -> NameServer {
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            let (name, question) = question(&buffer[..n]);
            log.lock().unwrap().push(name);
            if let Some((code, addresses)) = &reply {
                socket.send_to(&respond(&buffer, question, *code, addresses), from).await.unwrap();
            }
        }
    });
    NameServer { address, asked, task }
}

/// The name asked for, and the octets of the question section (RFC 1035 §4.1.2).
fn question(query: &[u8]) -> (String, &[u8]) {
    let (mut at, mut name) = (12, String::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name += std::str::from_utf8(&query[at + 1..end]).unwrap();
        name.push('.');
        at = end;
    }
    (name, &query[12..at + 5])
}

fn respond(query: &[u8], question: &[u8], code: u8, addresses: &[IpAddr]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).unwrap();
    let mut message = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    message.extend(question);
    for address in addresses {
        let (kind, octets) = match address {
            IpAddr::V4(v4) => (1, v4.octets().to_vec()),
            IpAddr::V6(v6) => (28, v6.octets().to_vec()),
        };
        message.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(octets.len()).unwrap()]);
        message.extend(octets);
    }
    message
}

fn config(server: &NameServer) -> Config {
    Config { nameservers: vec![server.address], ..Config::default() }
}

async fn ask(network: &mut Network, question: Question) -> DnsAnswer {
    network.perform(Action::Resolve { query: QueryId(7), question });
    match event(network).await {
        Event::Resolved { query: QueryId(7), answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

fn a(name: &str) -> Question {
    Question::A(name.into())
}

fn records(addresses: &[IpAddr]) -> Vec<Record> {
    addresses.iter().copied().map(Record::from).collect()
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn addresses_come_in_the_servers_order() {
    let v4 = addresses(&["192.0.2.9", "192.0.2.1", "192.0.2.5"]);
    let server = name_server(Some((NOERROR, v4.clone()))).await;
    let mut network = network(config(&server));
    assert_eq!(ask(&mut network, a("example.com")).await, Ok(records(&v4)));

    let v6 = addresses(&["2001:db8::9", "2001:db8::1"]);
    let server = name_server(Some((NOERROR, v6.clone()))).await;
    let mut network = super::network(config(&server));
    assert_eq!(ask(&mut network, Question::Aaaa("example.com".into())).await, Ok(records(&v6)));
}

/// LOC-025
#[tokio::test]
async fn every_kind_of_failure_has_its_answer() {
    for (code, answer) in [
        (NXDOMAIN, Err(ResolveError::NoSuchName)),
        (NOERROR, Ok(vec![])),
        (SERVFAIL, Err(ResolveError::ServerFailed)),
        (REFUSED, Err(ResolveError::ServerFailed)),
    ] {
        let server = name_server(Some((code, vec![]))).await;
        let mut network = network(config(&server));
        assert_eq!(ask(&mut network, a("example.com")).await, answer, "{code}");
    }
}

/// LOC-026
#[tokio::test]
async fn silence_is_bounded() {
    let server = name_server(None).await;
    let timeout = Duration::from_millis(50);
    let mut network = network(Config { dns_timeout: timeout, ..config(&server) });
    assert_eq!(ask(&mut network, a("example.com")).await, Err(ResolveError::TimedOut));
    assert!(!server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_name_server_at_all_is_a_failure() {
    let gone = name_server(None).await;
    let nameservers = vec![gone.address];
    drop(gone);
    let dns_timeout = Duration::from_millis(200);
    let mut network = network(Config { nameservers, dns_timeout, ..Config::default() });
    assert!(ask(&mut network, a("example.com")).await.is_err());
}

#[tokio::test]
async fn a_name_is_asked_for_as_it_is_without_search_list() {
    let server = name_server(Some((NOERROR, addresses(&["192.0.2.1"])))).await;
    let mut network = network(config(&server));
    for name in ["pbx", "example.com", "example.com."] {
        assert!(ask(&mut network, a(name)).await.is_ok());
    }
    let asked = server.asked.lock().unwrap();
    assert!(asked.iter().all(|name| name == "pbx." || name == "example.com."), "{asked:?}");
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let server = name_server(None).await;
    let mut network = network(config(&server));
    assert_eq!(ask(&mut network, a("LocalHost")).await, Ok(records(&[V4])));
    assert_eq!(ask(&mut network, a("pbx.localhost")).await, Ok(records(&[V4])));
    assert_eq!(ask(&mut network, Question::Aaaa("pbx.localhost".into())).await, Ok(records(&[V6])));
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_a_name_does_not_exist() {
    let server = name_server(None).await;
    let mut network = network(config(&server));
    let label = "x".repeat(64);
    assert_eq!(ask(&mut network, a(&label)).await, Err(ResolveError::NoSuchName));
    assert_eq!(ask(&mut network, a("a..b")).await, Err(ResolveError::NoSuchName));
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn questions_beyond_the_limit_are_answered_with_a_failure() {
    let server = name_server(None).await;
    let mut network = network(config(&server));
    for _ in 0..300 {
        network.perform(Action::Resolve { query: QueryId(7), question: a("example.com") });
    }
    match event(&mut network).await {
        Event::Resolved { answer: Err(ResolveError::ServerFailed), .. } => {}
        other => panic!("{other:?}"),
    }
}

/// What a scripted name server does with a question.
enum Play {
    /// Answers with these records, in the same words over UDP and TCP.
    Say(ResponseCode, Vec<DnsRecord>),
    /// The same, with a SOA of that minimum.
    Deny(ResponseCode, u32),
    /// Over UDP only that it does not fit; over TCP these.
    Cut(Vec<DnsRecord>),
    Garbage,
    Silence,
}

/// A name server that acts as `script` says, over UDP and TCP.
async fn scripted(script: impl Fn(&str, RecordType) -> Play + Send + Sync + 'static) -> NameServer {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let (n, from) = received.unwrap();
                    if let Some(reply) = play(&script, &buffer[..n], false, &log) {
                        socket.send_to(&reply, from).await.unwrap();
                    }
                }
                accepted = listener.accept() => {
                    let (mut stream, _) = accepted.unwrap();
                    let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
                    stream.read_exact(&mut query).await.unwrap();
                    if let Some(reply) = play(&script, &query, true, &log) {
                        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                        stream.write_all(&reply).await.unwrap();
                    }
                }
            }
        }
    });
    NameServer { address, asked, task }
}

fn play(
    script: &impl Fn(&str, RecordType) -> Play,
    query: &[u8],
    is_tcp: bool,
    log: &Mutex<Vec<String>>,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).unwrap();
    let question = &query.queries[0];
    let name = question.name().to_string();
    let how = if is_tcp { " over TCP" } else { "" };
    log.lock().unwrap().push(format!("{} {name}{how}", question.query_type()));
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.add_query(question.clone());
    match script(&name, question.query_type()) {
        Play::Say(code, records) => {
            reply.metadata.response_code = code;
            reply.add_answers(records);
        }
        Play::Deny(code, minimum) => {
            reply.metadata.response_code = code;
            let soa = SOA::new(fqdn("ns"), fqdn("root"), 1, 1, 1, 1, minimum);
            reply.add_authority(DnsRecord::from_rdata(fqdn("example.com"), 600, RData::SOA(soa)));
        }
        Play::Cut(_) if !is_tcp => reply.metadata.truncation = true,
        Play::Cut(records) => {
            reply.add_answers(records);
        }
        Play::Garbage => return Some([&reply.to_vec().unwrap()[..2], b"\x81\x80\xff\xff\xff\xff"].concat()),
        Play::Silence => return None,
    }
    Some(reply.to_vec().unwrap())
}

fn fqdn(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn alias(from: &str, to: &str, ttl: u32) -> DnsRecord {
    DnsRecord::from_rdata(fqdn(from), ttl, RData::CNAME(CNAME(fqdn(to))))
}

fn address(name: &str, ip: &str, ttl: u32) -> DnsRecord {
    DnsRecord::from_rdata(fqdn(name), ttl, RData::A(ip.parse().unwrap()))
}

/// Asks and says what came: the answer, how long it is good, and how many milliseconds it took.
async fn timed(servers: Vec<SocketAddr>, question: Question) -> (DnsAnswer, u32, u128) {
    let mut network = network(Config { nameservers: servers, ..Config::default() });
    timed_by(&mut network, question).await
}

async fn timed_by(network: &mut Network, question: Question) -> (DnsAnswer, u32, u128) {
    let begin = network.now();
    network.perform(Action::Resolve { query: QueryId(7), question });
    match event(network).await {
        Event::Resolved { answer, ttl, .. } => (answer, ttl, network.now().since(begin).as_millis()),
        other => panic!("{other:?}"),
    }
}

/// A port that nobody listens on.
async fn closed() -> SocketAddr {
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    socket.local_addr().unwrap()
}

fn example() -> Play {
    Play::Say(ResponseCode::NoError, vec![address("example.com", "192.0.2.1", 60)])
}

/// LOC-005 LOC-009 LOC-023
#[tokio::test]
async fn services_and_their_servers_come_as_they_are() {
    let server = scripted(|name, kind| {
        let data = match kind {
            RecordType::SRV => vec![
                RData::SRV(SRV::new(10, 60, 5080, fqdn("Sip1.munich.de"))),
                RData::SRV(SRV::new(20, 0, 5060, Name::root())),
            ],
            _ => vec![RData::NAPTR(NAPTR::new(
                50,
                90,
                (*b"s").into(),
                (*b"SIP+D2U").into(),
                [].into(),
                fqdn("_sip._udp.munich.de"),
            ))],
        };
        let record = |data| DnsRecord::from_rdata(fqdn(name), 300, data);
        Play::Say(ResponseCode::NoError, data.into_iter().map(record).collect())
    })
    .await;
    let (answer, ttl, _) = timed(vec![server.address], Question::Srv("_sip._udp.munich.de".into())).await;
    let srv = |priority, weight, port, target: &str| {
        Record::Srv(crate::proto::Srv { priority, weight, port, target: target.into() })
    };
    assert_eq!(answer, Ok(vec![srv(10, 60, 5080, "Sip1.munich.de"), srv(20, 0, 5060, "")]));
    assert_eq!(ttl, 300);
    let (answer, ..) = timed(vec![server.address], Question::Naptr("munich.de".into())).await;
    let naptr = crate::proto::Naptr {
        order: 50,
        preference: 90,
        flags: "s".into(),
        service: "SIP+D2U".into(),
        replacement: "_sip._udp.munich.de".into(),
    };
    assert_eq!(answer, Ok(vec![Record::Naptr(naptr)]));
}

/// LOC-025: the least TTL of the chain counts, and that of the SOA where there is nothing.
#[tokio::test]
async fn an_answer_is_good_as_long_as_the_least_of_its_records() {
    let server = scripted(|name, _| match name {
        "chain.com." => Play::Say(
            ResponseCode::NoError,
            vec![
                alias("chain.com", "middle.com", 500),
                alias("middle.com", "END.com", 40),
                address("end.com", "192.0.2.1", 70),
            ],
        ),
        "halves.com." => Play::Say(ResponseCode::NoError, vec![alias("halves.com", "end.com", 500)]),
        "end.com." => Play::Say(ResponseCode::NoError, vec![address("end.com", "192.0.2.1", 70)]),
        "nothing.com." => Play::Deny(ResponseCode::NoError, 33),
        _ => Play::Deny(ResponseCode::NXDomain, 44),
    })
    .await;
    let one = Ok(records(&addresses(&["192.0.2.1"])));
    for (name, answer, ttl) in [
        ("chain.com", one.clone(), 40),
        ("halves.com", one, 70),
        ("nothing.com", Ok(vec![]), 33),
        ("nobody.com", Err(ResolveError::NoSuchName), 44),
    ] {
        let (found, seconds, _) = timed(vec![server.address], a(name)).await;
        assert_eq!((found, seconds), (answer, ttl), "{name}");
    }
}

/// LOC-026: a loop of aliases ends soon, within one answer and over several.
#[tokio::test]
async fn aliases_in_a_circle_are_a_failure() {
    let server = scripted(|name, _| match name {
        "one.com." => Play::Say(ResponseCode::NoError, vec![alias("one.com", "two.com", 60)]),
        "two.com." => Play::Say(ResponseCode::NoError, vec![alias("two.com", "one.com", 60)]),
        _ => Play::Say(ResponseCode::NoError, vec![alias("self.com", "self.com", 60)]),
    })
    .await;
    for name in ["one.com", "self.com"] {
        let (answer, _, took) = timed(vec![server.address], a(name)).await;
        assert_eq!(answer, Err(ResolveError::ServerFailed), "{name}");
        assert!(took < 2000, "{took} ms");
    }
    assert!(server.asked.lock().unwrap().len() < 40);
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_comes_over_tcp() {
    let many: Vec<_> = (0..200).map(|n| address("example.com", &format!("192.0.2.{n}"), 60)).collect();
    let server = scripted(move |_, _| Play::Cut(many.clone())).await;
    let (answer, ..) = timed(vec![server.address], a("example.com")).await;
    assert_eq!(answer.map(|records| records.len()), Ok(200));
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, ["A example.com.", "A example.com. over TCP"]);
}

/// LOC-026: a closed port is noticed at once.
#[tokio::test]
async fn a_name_server_that_is_not_there_costs_nothing() {
    let there = scripted(|_, _| example()).await;
    let (answer, _, took) = timed(vec![closed().await, there.address], a("example.com")).await;
    assert_eq!(answer, Ok(records(&addresses(&["192.0.2.1"]))));
    assert!(took < 500, "{took} ms");

    let (answer, _, took) = timed(vec![closed().await, closed().await], a("example.com")).await;
    assert_eq!(answer, Err(ResolveError::TimedOut));
    assert!(took < 500, "{took} ms");
}

/// LOC-026: a silent one costs a second once, and is asked last from then on.
#[tokio::test]
async fn a_silent_name_server_costs_a_second_once() {
    let silent = scripted(|_, _| Play::Silence).await;
    let there = scripted(|_, _| example()).await;
    let mut network = network(Config {
        nameservers: vec![silent.address, closed().await, there.address],
        ..Config::default()
    });
    let (answer, _, took) = timed_by(&mut network, a("example.com")).await;
    assert_eq!(answer, Ok(records(&addresses(&["192.0.2.1"]))));
    assert!((900..3000).contains(&took), "{took} ms");
    let before = silent.asked.lock().unwrap().len();
    let (_, _, took) = timed_by(&mut network, a("example.com")).await;
    assert!(took < 500, "{took} ms");
    assert_eq!(silent.asked.lock().unwrap().len(), before);
}

/// LOC-025: a failure of one name server is no answer while another has one.
#[tokio::test]
async fn a_name_server_that_fails_is_followed_by_the_next() {
    let there = scripted(|_, _| example()).await;
    for play in [
        || Play::Say(ResponseCode::ServFail, vec![]),
        || Play::Say(ResponseCode::Refused, vec![]),
        || Play::Say(ResponseCode::FormErr, vec![]),
        || Play::Garbage,
    ] {
        let broken = scripted(move |_, _| play()).await;
        let (answer, _, took) = timed(vec![broken.address, there.address], a("example.com")).await;
        assert_eq!(answer, Ok(records(&addresses(&["192.0.2.1"]))));
        assert!(took < 500, "{took} ms");
        let (answer, ..) = timed(vec![broken.address, closed().await], a("example.com")).await;
        assert_eq!(answer, Err(ResolveError::ServerFailed));
    }
    // NXDOMAIN and "no such record" are answers: nobody else is asked.
    let knows = scripted(|_, _| Play::Deny(ResponseCode::NXDomain, 5)).await;
    let (answer, ..) = timed(vec![knows.address, there.address], a("example.com")).await;
    assert_eq!(answer, Err(ResolveError::NoSuchName));
}

/// An answer to another question is none.
#[tokio::test]
async fn an_answer_to_another_question_is_not_taken() {
    let confused = UdpSocket::bind((V4, 0)).await.unwrap();
    let address = confused.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        let (n, from) = confused.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..n]).unwrap();
        let mut reply = Message::new(query.metadata.id ^ 1, MessageType::Response, query.metadata.op_code);
        reply.add_query(query.queries[0].clone());
        confused.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
        reply.add_query(Query::query(fqdn("other.com"), RecordType::A));
        confused.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
    });
    let (answer, ..) = timed(vec![address], a("example.com")).await;
    assert_eq!(answer, Err(ResolveError::ServerFailed));
    task.await.unwrap();
}

#[tokio::test]
async fn this_host_has_no_services_and_some_names_nobody_knows() {
    let server = name_server(None).await;
    let mut network = network(config(&server));
    for question in [Question::Naptr("localhost".into()), Question::Srv("_sip._udp.localhost".into())] {
        assert_eq!(ask(&mut network, question).await, Ok(vec![]));
    }
    for question in [a("pbx.invalid"), Question::Srv("_sip._udp.pbx.invalid".into())] {
        assert_eq!(ask(&mut network, question).await, Err(ResolveError::NoSuchName));
    }
    assert!(server.asked.lock().unwrap().is_empty());
}
