//! The servers that share the store, in a hash of it: each says once a second where it is.
//!
//! The key of the hash is [`KEY`], a field is a process (`run`), and its value the time of the store when it was there last with
//! what it says: a JSON object of `v`, `name`, `at` (`transport:address:port`), `key`, and by how much the clock of the store is
//! ahead of its own (`offset`, in milliseconds). One call of a script says that and reads what the others have said. Only the
//! store's clock says how old that is; a process whose value is older than [`STALE`] twice in a row is dead. Its connections
//! are gone with it, and its number is never given to another.
//!
//! While the store can't be asked, nodes are what they were; when it is back, they have some time to say that they live.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::proto::node::{Key, Peer, Presence};
use crate::proto::{NodeId, Time, Transport};
use crate::store::StoreEvent;

/// Between two signs of life.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// A sign of life is that old at most, in milliseconds.
const STALE: u64 = 3000;

/// What is not there so often in a row is dead.
const MISSES: u32 = 2;

/// How long nodes have when the store is back: they connect again in pauses.
const GRACE: Duration = Duration::from_secs(8);

/// A dead process is forgotten after this time, in milliseconds.
const FORGOTTEN: u64 = 60_000;

/// Clocks that have moved by so much have moved, in milliseconds.
const TREMOR: u64 = 2000;

/// The highest version of a value that can be read.
const VERSION: u32 = 1;

/// Where nodes say where they are.
pub(super) const KEY: &str = "sipreg:nodes";

/// `KEYS[1]` is the hash. The arguments: the process, what it says (nothing: it only asks), and after which time processes are
/// forgotten, in milliseconds. The answer is process, age in milliseconds, and what it says, of all that are known.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now, ARGV[2]))
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local all, said = redis.call('HGETALL', KEYS[1]), {}
for n = 1, #all, 2 do
    local at, what = string.match(all[n + 1], '^(%d+) (.*)$')
    local age = at and now - tonumber(at)
    if age and age <= tonumber(ARGV[3]) then
        said[#said + 1] = all[n]
        said[#said + 1] = string.format('%.0f', math.max(age, 0))
        said[#said + 1] = what
    elseif ARGV[2] ~= '' then
        redis.call('HDEL', KEYS[1], all[n])
    end
end
return said
";

/// A server in the shared store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name: each has another.
    pub name: String,
    /// Which process it is: each has another.
    pub run: String,
}

/// How the clock of the store is ahead of that of this process, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(pub i64);

impl Offset {
    /// The time of the store.
    pub fn there(self, time: Time) -> u64 {
        time.as_millis().saturating_add_signed(self.0)
    }

    /// The time of this process.
    pub fn here(self, ms: u64) -> Time {
        Time::from_millis(ms.saturating_add_signed(self.0.saturating_neg()))
    }
}

/// What a process says of itself.
#[derive(Serialize, Deserialize)]
struct Object {
    v: u32,
    name: String,
    at: String,
    key: String,
    offset: i64,
}

/// A process that lives, as far as is known.
#[derive(Debug)]
struct Known {
    id: NodeId,
    name: String,
    peer: Peer,
    /// How often in a row there was no sign of life.
    misses: u32,
}

/// The nodes, as this one knows them.
#[derive(Debug)]
pub(super) struct Nodes {
    own: Node,
    /// By their processes.
    known: BTreeMap<String, Known>,
    /// The number that was given last.
    last: u32,
    /// Until then nobody is dead.
    grace: Instant,
}

impl Nodes {
    pub fn new(own: Node) -> Nodes {
        Nodes { own, known: BTreeMap::new(), last: 0, grace: Instant::now() }
    }

    /// This process.
    pub fn own(&self) -> &Node {
        &self.own
    }

    /// Whose flow that is. A socket for datagrams is one of whichever process of that server lives now.
    pub fn id_of(&self, name: &str, run: &str, is_datagrams: bool) -> NodeId {
        if name == self.own.name && (is_datagrams || run == self.own.run) {
            return NodeId::LOCAL;
        }
        let of_name = || self.known.values().rfind(|known| is_datagrams && known.name == name);
        self.known.get(run).or_else(of_name).map_or(NodeId::GONE, |known| known.id)
    }

    /// The store is back.
    pub fn spare(&mut self) {
        self.grace = Instant::now() + GRACE;
    }

    /// Says where this one is, if it says so, and asks for the others.
    pub fn beat(&self, presence: Option<&Presence>, offset: Offset) -> Cmd {
        let said = presence.map(|presence| {
            let Presence { transport, address, key: Key(key) } = presence;
            let key = key.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"));
            let (name, at) = (self.own.name.clone(), format!("{transport}:{address}"));
            // Nothing in it can't be written.
            serde_json::to_string(&Object { v: VERSION, name, at, key, offset: offset.0 }).unwrap_or_default()
        });
        let said = said.unwrap_or_default();
        cmd("EVAL").arg(SCRIPT).arg(1).arg(KEY).arg(&self.own.run).arg(said).arg(FORGOTTEN).take()
    }

    /// Says that this one is no more.
    pub fn leave(&self) -> Cmd {
        cmd("HDEL").arg(KEY).arg(&self.own.run).take()
    }

    /// What the others have said, by a store whose clock is so far ahead: what is new of that. What can't be read is of a
    /// newer version.
    pub fn heard(&mut self, answer: &Value, offset: Offset) -> Vec<StoreEvent> {
        let Value::Array(all) = answer else { return Vec::new() };
        let mut events = Vec::new();
        let mut missed: Vec<String> = self.known.keys().cloned().collect();
        for one in all.chunks(3) {
            let texts: Option<Vec<&str>> = one.iter().map(text).collect();
            let Some(&[run, age, said]) = texts.as_deref() else { continue };
            if run == self.own.run || age.parse().is_ok_and(|age: u64| age > STALE) {
                continue;
            }
            let Some((name, peer)) = read(said, offset) else { continue };
            missed.retain(|known| known != run);
            let id = match self.known.get_mut(run) {
                Some(known) => {
                    known.misses = 0;
                    let has_moved = known.peer.ahead.abs_diff(peer.ahead) > TREMOR;
                    if known.peer.presence == peer.presence && !has_moved {
                        continue;
                    }
                    known.peer = peer.clone();
                    known.id
                }
                None => {
                    self.last = self.last.saturating_add(1);
                    let id = NodeId(self.last);
                    let known = Known { id, name, peer: peer.clone(), misses: 0 };
                    self.known.insert(run.to_owned(), known);
                    id
                }
            };
            events.push(StoreEvent::Node { id, peer: Some(Box::new(peer)) });
        }
        if Instant::now() < self.grace {
            return events;
        }
        for run in missed {
            let Some(known) = self.known.get_mut(&run) else { continue };
            known.misses += 1;
            if known.misses >= MISSES {
                events.push(StoreEvent::Node { id: known.id, peer: None });
                self.known.remove(&run);
            }
        }
        events
    }
}

fn text(value: &Value) -> Option<&str> {
    let Value::BulkString(octets) = value else { return None };
    std::str::from_utf8(octets).ok()
}

/// The name of a node, and where it is.
fn read(said: &str, offset: Offset) -> Option<(String, Peer)> {
    let object: Object = serde_json::from_str(said).ok()?;
    let (transport, address) = object.at.split_once(':')?;
    let (transport, address) = (Transport::parse(transport)?, address.parse().ok()?);
    let mut key = [0; 32];
    for (at, octet) in key.iter_mut().enumerate() {
        *octet = u8::from_str_radix(object.key.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    let is_readable = object.v <= VERSION && object.key.len() == 64;
    let presence = Presence { transport, address, key: Key(key) };
    // Its clock is behind that of the store by its offset, and ours by our own.
    let ahead = offset.0.saturating_sub(object.offset);
    let peer = Peer { presence, host: host_of(&object.name).into(), ahead };
    is_readable.then_some((object.name, peer))
}

/// The host in the name of a node: what is before its port, without brackets.
fn host_of(name: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    let host = match name.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        Some(_) | None => name,
    };
    host.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, run: &str) -> Node {
        Node { name: name.to_owned(), run: run.to_owned() }
    }

    fn presence(port: u16) -> Presence {
        let address = ([10, 0, 0, 2], port).into();
        Presence { transport: Transport::Tcp, address, key: Key([0xab; 32]) }
    }

    /// What a node says, as the script would give it.
    fn said(of: &Nodes, age: u64, offset: i64) -> [Value; 3] {
        let command = of.beat(Some(&presence(5070)), Offset(offset));
        let arguments: Vec<Vec<u8>> = command
            .args_iter()
            .filter_map(|argument| {
                let redis::Arg::Simple(octets) = argument else { return None };
                Some(octets.to_vec())
            })
            .collect();
        let [run, text] = [arguments[4].clone(), arguments[5].clone()];
        [run, age.to_string().into(), text].map(Value::BulkString)
    }

    fn ids(events: Vec<StoreEvent>) -> Vec<(u32, Option<i64>)> {
        let id = |event| {
            let StoreEvent::Node { id, peer } = event else { panic!("{event:?}") };
            (id.0, peer.map(|peer| peer.ahead))
        };
        events.into_iter().map(id).collect()
    }

    /// OBS-020: dead is who gives no sign of life twice; but not while all come back.
    #[test]
    fn a_node_lives_as_long_as_it_says_so() {
        let mut nodes = Nodes::new(node("a:5060", "1"));
        let other = Nodes::new(node("b.munich.de:5060", "2"));
        let mut hear = |values: &[[Value; 3]]| {
            let all = values.iter().flatten().cloned().collect();
            let events = nodes.heard(&Value::Array(all), Offset(500));
            (ids(events), nodes.id_of("b.munich.de:5060", "2", false).0)
        };
        let own = said(&Nodes::new(node("a:5060", "1")), 0, 0);
        assert_eq!(hear(std::slice::from_ref(&own)), (vec![], NodeId::GONE.0));
        assert_eq!(hear(&[own, said(&other, 3000, 200)]), (vec![(1, Some(300))], 1));
        assert_eq!(hear(&[said(&other, 0, 1000)]), (vec![], 1), "clocks tremble");
        assert_eq!(hear(&[said(&other, 0, 9000)]), (vec![(1, Some(-8500))], 1));
        assert_eq!(hear(&[said(&other, 3001, 9000)]), (vec![], 1));
        assert_eq!(hear(&[said(&other, 0, 9000)]), (vec![], 1));
        assert_eq!(hear(&[]), (vec![], 1));
        assert_eq!(hear(&[said(&other, 4000, 9000)]), (vec![(1, None)], NodeId::GONE.0));
        assert_eq!(hear(&[said(&other, 1, 9000)]), (vec![(2, Some(-8500))], 2), "as another one");
        assert_eq!(nodes.known["2"].peer.presence, presence(5070));
        assert_eq!(&*nodes.known["2"].peer.host, "b.munich.de");
        nodes.spare();
        for _ in 0..5 {
            assert!(nodes.heard(&Value::Array(Vec::new()), Offset(0)).is_empty());
        }
    }

    /// Connections are of one process, and end with it; datagrams go to whoever has the socket now.
    #[test]
    fn a_flow_is_that_of_a_process_or_of_a_server() {
        let mut nodes = Nodes::new(node("a", "1"));
        let all = said(&Nodes::new(node("b", "3")), 0, 0);
        nodes.heard(&Value::Array(all.into()), Offset(0));
        for (name, run, is_datagrams, id) in [
            ("a", "1", false, NodeId::LOCAL),
            ("a", "1", true, NodeId::LOCAL),
            ("a", "0", false, NodeId::GONE),
            ("a", "0", true, NodeId::LOCAL),
            ("b", "3", false, NodeId(1)),
            ("b", "2", false, NodeId::GONE),
            ("b", "2", true, NodeId(1)),
            ("c", "4", true, NodeId::GONE),
        ] {
            assert_eq!(nodes.id_of(name, run, is_datagrams), id, "{name} {run} {is_datagrams}");
        }
    }

    /// Whatever others have written there.
    #[test]
    fn what_cannot_be_read_is_nobody() {
        let mut nodes = Nodes::new(node("a", "1"));
        let good = r#"{"v":1,"name":"b","at":"udp:[::1]:5070","key":"KEY","offset":0}"#;
        let good = good.replace("KEY", &"0".repeat(64));
        for (part, by) in [
            ("\"v\":1", "\"v\":2"),
            ("udp", "sctp"),
            ("[::1]", "::1"),
            ("00\"", "0\""),
            ("00\"", "0x\""),
            ("00\"", "000\""),
            ("\"offset\":0", "\"offset\":0.5"),
            ("}", ""),
        ] {
            let all = ["2", "0", &good.replacen(part, by, 1)].map(|text| Value::BulkString(text.into()));
            assert!(nodes.heard(&Value::Array(all.into()), Offset(0)).is_empty(), "{by}");
        }
        let all = ["2", "0", &good].map(|text| Value::BulkString(text.into()));
        assert_eq!(ids(nodes.heard(&Value::Array(all.into()), Offset(0))).len(), 1);
        for odd in [Value::Nil, Value::Int(1), Value::Array(vec![Value::Int(1); 4])] {
            assert!(nodes.heard(&odd, Offset(0)).is_empty());
        }
    }

    #[test]
    fn the_host_of_a_node_is_its_name_without_a_port() {
        for (name, host) in [
            ("sip1.munich.de:5060", "sip1.munich.de"),
            ("sip1", "sip1"),
            ("[2001:db8::1]:5060", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("10.0.0.1:5060", "10.0.0.1"),
            ("a:b", "a:b"),
        ] {
            assert_eq!(host_of(name), host);
        }
    }
}
