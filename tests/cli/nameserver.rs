//! A name server that does what a script says, over UDP and TCP, and notes what it was asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};

/// What it does with one question.
#[derive(Clone)]
pub enum Play {
    /// Answers with these records of the name that was asked for.
    Say(Vec<RData>),
    /// Answers with records of other names, too.
    Chain(Vec<(&'static str, RData)>),
    /// Says that it does not fit; over TCP these.
    Cut(Vec<RData>),
    Fail(ResponseCode),
    Silence,
}

/// The running server; it ends with the test.
pub struct NameServer {
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub fn new(script: impl Fn(&str, &str) -> Play + Send + Sync + 'static) -> NameServer {
        // A port that is free for TCP may be taken for UDP.
        let pair = |_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Some((UdpSocket::bind(listener.local_addr().unwrap()).ok()?, listener))
        };
        let (socket, listener) = (0..100).find_map(pair).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let (log, by_datagram) = (Arc::clone(&asked), Arc::clone(&script));
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(reply) = answer(&*by_datagram, &buffer[..length], &log, false) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut query).unwrap();
                if let Some(reply) = answer(&*script, &query, &log, true) {
                    let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[&length[..], &reply].concat());
                }
            }
        });
        NameServer { address, asked }
    }

    /// The questions so far, as in `SRV _sip._udp.munich.de`, each once.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

fn answer(
    script: &(impl Fn(&str, &str) -> Play + ?Sized),
    query: &[u8],
    log: &Mutex<Vec<String>>,
    is_tcp: bool,
) -> Option<Vec<u8>> {
    // What is meant for somebody who had this port before is no question.
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?;
    let name = question.name().to_ascii().trim_end_matches('.').to_lowercase();
    log.lock().unwrap().push(format!("{} {name}", question.query_type()));
    let mut reply = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    reply.add_query(question.clone());
    let own = |data| Record::from_rdata(question.name().clone(), 60, data);
    match script(&name, &question.query_type().to_string()) {
        Play::Say(records) => reply.add_answers(records.into_iter().map(own)),
        Play::Chain(records) => reply
            .add_answers(records.into_iter().map(|(name, data)| Record::from_rdata(fqdn(name), 60, data))),
        Play::Cut(records) if is_tcp => reply.add_answers(records.into_iter().map(own)),
        Play::Cut(_) => {
            reply.metadata.truncation = true;
            &mut reply
        }
        Play::Fail(code) => {
            reply.metadata.response_code = code;
            &mut reply
        }
        Play::Silence => return None,
    };
    Some(reply.to_vec().unwrap())
}

fn fqdn(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

pub fn a(last: u8) -> RData {
    RData::A(Ipv4Addr::new(127, 0, 0, last).into())
}

/// A server at a port of the loopback address: `ADDRESS:PORT` gives the port.
pub fn srv(priority: u16, weight: u16, at: &str, target: &str) -> RData {
    let port = at.rsplit(':').next().unwrap().parse().unwrap();
    RData::SRV(SRV::new(priority, weight, port, fqdn(target)))
}

pub fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let octets = |text: &str| text.as_bytes().into();
    RData::NAPTR(NAPTR::new(order, 50, octets("s"), octets(service), octets(""), fqdn(replacement)))
}

pub fn alias(to: &str) -> RData {
    RData::CNAME(CNAME(fqdn(to)))
}
