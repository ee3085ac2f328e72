use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
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
