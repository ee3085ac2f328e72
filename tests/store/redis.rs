//! What only a store that is shared can get wrong: two servers that write at once, and one that is away.

pub mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use sipreg::proto::binding::{Fate, Operation, StoreFailure};
use sipreg::proto::{AskId, FlowId, Time, Transport};
use sipreg::store::{Facts, Node, Redis, RedisSettings, Store, StoreClock, StoreEvent, Trouble};

use crate::script::{
    ALICE, BOB, Said, aor, at, change, expire, fetch, next_event, perform, register, said, wanted,
};
use server::{Relay, Server, database, shared};

/// What a server is that is called so.
pub fn settings(url: &str, name: &str) -> RedisSettings {
    RedisSettings {
        address: url.parse().unwrap(),
        roots: None,
        node: Node { name: name.to_owned(), run: "1".to_owned() },
        replicas: 0,
        limit: 128 << 20,
        seed: u64::from(name.as_bytes()[0]),
        clock: StoreClock::Asker,
    }
}

fn open(url: &str, name: &str) -> Redis {
    Redis::open(settings(url, name), at(0)).unwrap().0
}

/// A store in a database of its own, with the time of the tests.
pub fn fresh() -> Redis {
    open(&database(shared()), "a")
}

/// Has a server carry out one command.
fn ask(url: &str, words: &[&str]) -> redis::Value {
    let mut link = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| drop(command.arg(*word).clone()));
    command.query(&mut link).unwrap()
}

fn text(value: &redis::Value) -> String {
    let redis::Value::BulkString(octets) = value else { panic!("no text: {value:?}") };
    String::from_utf8(octets.clone()).unwrap()
}

fn bind(store: &mut dyn Store, uri: &str, request: &str, contacts: &[&str]) -> Result<Said, StoreFailure> {
    change(store, register(uri, request, contacts), at(0))
}

#[track_caller]
fn until_back(store: &mut dyn Store) {
    match next_event(store) {
        StoreEvent::Back => {}
        other @ (StoreEvent::Answered { .. } | StoreEvent::Failed { .. } | StoreEvent::Node { .. }) => {
            panic!("it is not back: {other:?}")
        }
    }
}

/// A change that is not made, because the store is away: what was told of that, if it had not been told before.
#[track_caller]
fn refused(store: &mut dyn Store, uri: &str, request: &str) -> Option<String> {
    let change = register(uri, request, &["<sip:d@x> 60"]);
    if let Some(answer) = store.submit(AskId(7), Operation::Change(change), at(0)) {
        assert_eq!(answer.unwrap_err(), StoreFailure::Unavailable);
        return None;
    }
    let (mut told, mut answered) = (None, false);
    while !answered {
        match next_event(store) {
            StoreEvent::Failed { why } => assert!(told.replace(why.to_string()).is_none()),
            StoreEvent::Answered { answer, .. } => {
                assert_eq!(answer.map(|stored| Said::of(&stored, at(0))), Err(StoreFailure::Unavailable));
                answered = true;
            }
            other @ (StoreEvent::Back | StoreEvent::Node { .. }) => panic!("it is not: {other:?}"),
        }
    }
    told
}

/// RGR-030..032: a client that goes to another server in the middle is told the truth by both.
#[test]
fn servers_agree_on_what_is_bound_and_on_the_order_of_requests() {
    let url = database(shared());
    let (mut a, mut b) = (open(&url, "a"), open(&url, "b"));
    bind(&mut a, ALICE, "one 5", &["<sip:u@a> 60"]).unwrap();
    bind(&mut b, ALICE, "one 7", &["<sip:u@a> 90"]).unwrap();
    // The first server knew of 5.
    assert_eq!(bind(&mut a, ALICE, "one 6", &["<sip:u@a> 60"]), Err(StoreFailure::OutOfOrder));
    assert_eq!(bind(&mut a, ALICE, "one 7", &["*"]), Err(StoreFailure::OutOfOrder));
    let bound = said(&["<sip:u@a> 60 one 8"], &[(Fate::Refreshed, "<sip:u@a>")]);
    assert_eq!(bind(&mut a, ALICE, "one 8", &["<sip:u@a> 60"]), Ok(bound));
    assert_eq!(fetch(&mut b, ALICE, at(0)).bindings, ["<sip:u@a> 60 one 8"]);
    bind(&mut b, ALICE, "two 1", &["*"]).unwrap();
    assert_eq!(fetch(&mut a, ALICE, at(0)), Said::default());
    // What was removed and comes again is new, whatever the first server knew.
    bind(&mut b, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap();
    assert_eq!(bind(&mut a, ALICE, "one 1", &["<sip:u@a> 60"]), Err(StoreFailure::OutOfOrder));
    assert_eq!((a.conflicts() > 0, b.conflicts()), (true, 0));
}

/// RGR-044: the end of a binding is told by the server that has taken it last, and by no other.
#[test]
fn the_end_of_a_binding_is_told_by_the_server_that_took_it() {
    let url = database(shared());
    let (mut a, mut b) = (open(&url, "a"), open(&url, "b"));
    bind(&mut a, ALICE, "one 1", &["<sip:moves> 60", "<sip:stays> 60"]).unwrap();
    fetch(&mut b, ALICE, at(0));
    bind(&mut b, ALICE, "one 2", &["<sip:moves> 90"]).unwrap();
    bind(&mut a, BOB, "one 1", &["<sip:removed> 60"]).unwrap();
    bind(&mut b, BOB, "one 2", &["<sip:removed> 0"]).unwrap();
    assert_eq!(expire(&mut b, at(60_000)), (vec![], Some(at(90_000))));
    assert_eq!(expire(&mut a, at(60_000)).0, [(Fate::Expired, "<sip:stays>".to_owned())]);
    assert_eq!(expire(&mut b, at(90_000)).0, [(Fate::Expired, "<sip:moves>".to_owned())]);
    assert_eq!(expire(&mut a, at(90_000)), (vec![], None));
    assert_eq!((a.len(), b.len()), (0, 0));
}

/// OBS-020: a flow of another server that is no node is none of this one's; nor is a connection of the same before it was started
/// again, where datagrams go by the same listener as then.
#[test]
fn a_flow_of_another_process_is_gone_but_for_the_datagrams_of_the_same_server() {
    let url = database(shared());
    let mut a = open(&url, "a");
    let mut request = register(ALICE, "one 1", &[]);
    let reached = |text: &str, transport| {
        let mut wanted = wanted(text);
        wanted.source.transport = transport;
        wanted.source.flow = FlowId(3);
        wanted
    };
    let contacts = vec![reached("<sip:t> 60", Transport::Tcp), reached("<sip:u> 60", Transport::Udp)];
    request.contacts = sipreg::proto::binding::ContactChange::Contacts(contacts);
    change(&mut a, request, at(0)).unwrap();
    let flows = |store: &mut Redis| {
        let stored = perform(store, Operation::Fetch(aor(ALICE)), at(0)).unwrap();
        stored.bindings.iter().map(|binding| binding.source.flow).collect::<Vec<_>>()
    };
    assert_eq!(flows(&mut a), [FlowId(3), FlowId(3)]);
    assert_eq!(flows(&mut open(&url, "b")), [FlowId::GONE, FlowId::GONE]);
    let mut again = settings(&url, "a");
    again.node.run = "2".to_owned();
    assert_eq!(flows(&mut Redis::open(again, at(0)).unwrap().0), [FlowId::GONE, FlowId(3)]);
    // A refresh of one does not touch what is said of the other.
    bind(&mut open(&url, "b"), ALICE, "two 1", &["<sip:u> 60"]).unwrap();
    assert_eq!(flows(&mut a), [FlowId(3), FlowId::GONE]);
}

/// A server of an older version erases nothing that a newer one wrote.
#[test]
fn what_a_newer_version_wrote_is_kept() {
    let url = database(shared());
    let mut a = open(&url, "a");
    bind(&mut a, ALICE, "one 1", &["<sip:u@a> 60", "<sip:u@b> 60"]).unwrap();
    let key = "sipreg:{alice@example.com}";
    let written = text(&ask(&url, &["HGET", key, "0"]));
    let newer = written.replacen('{', "{\"agent\":{\"name\":\"x\"},", 1);
    ask(&url, &["HSET", key, "0", &newer, "7", "{\"v\":2,\"contact\":7}", "since", "then", "rev", "1"]);
    let told = bind(&mut a, ALICE, "one 2", &["<sip:u@a> 70", "<sip:u@b> 0", "<sip:u@c> 60"]).unwrap();
    assert_eq!(told.bindings, ["<sip:u@a> 70 one 2", "<sip:u@c> 60 one 2"]);
    bind(&mut a, ALICE, "one 3", &["<sip:u@a> 80"]).unwrap();
    let object: serde_json::Value = serde_json::from_str(&text(&ask(&url, &["HGET", key, "0"]))).unwrap();
    assert_eq!((&object["agent"]["name"], &object["cseq"]), (&"x".into(), &3.into()));
    assert_eq!(text(&ask(&url, &["HGET", key, "7"])), "{\"v\":2,\"contact\":7}");
    assert_eq!(text(&ask(&url, &["HGET", key, "since"])), "then");
    assert_eq!(ask(&url, &["HLEN", key]), redis::Value::Int(5));
    bind(&mut a, ALICE, "one 4", &["*"]).unwrap();
    assert_eq!(ask(&url, &["HLEN", key]), redis::Value::Int(3), "what is not ours stays");
}

/// Nothing is left of what was removed, and what runs out is cleaned up by the store itself.
#[test]
fn what_ends_is_cleaned_up() {
    let url = database(shared());
    let mut a = open(&url, "a");
    let key = "sipreg:{alice@example.com}";
    bind(&mut a, ALICE, "one 1", &["<sip:u@a> 60", "<sip:u@b> 600"]).unwrap();
    let redis::Value::Int(left) = ask(&url, &["PTTL", key]) else { panic!() };
    assert!((650_000..=660_000).contains(&left), "{left}");
    // A refresh takes away what has run out.
    change(&mut a, register(ALICE, "one 2", &["<sip:u@b> 600"]), at(60_000)).unwrap();
    assert_eq!(ask(&url, &["HLEN", key]), redis::Value::Int(2));
    change(&mut a, register(ALICE, "one 3", &["*"]), at(60_000)).unwrap();
    assert_eq!(ask(&url, &["DBSIZE"]), redis::Value::Int(0));
}

/// RGR-051, DSR-005: bindings run out by the clock of the store, so that servers agree whose clocks do not.
#[test]
fn servers_whose_clocks_differ_agree_on_how_long_a_binding_lasts() {
    let url = database(shared());
    let opened = |name: &str, now: Time| {
        Redis::open(RedisSettings { clock: StoreClock::Own, ..settings(&url, name) }, now).unwrap().0
    };
    let (early, late) = (at(0), at(86_400_000));
    let (mut a, mut b) = (opened("a", early), opened("b", late));
    change(&mut a, register(ALICE, "one 1", &["<sip:u@a> 3600"]), early).unwrap();
    let left = fetch(&mut b, ALICE, late + Duration::from_secs(1)).bindings;
    let left: u32 = left[0].split(' ').nth(1).unwrap().parse().unwrap();
    assert!((3595..=3601).contains(&left), "{left}");
}

/// Two servers change the same addresses at once, each after the answer to its last.
fn write_at_once(addresses: u64, times: u32) {
    let url = database(shared());
    // What each of them has seen of the other at each of its changes.
    let work = |name: &'static str| {
        let mut store = open(&url, name);
        move || {
            let mut seen: BTreeMap<(u64, u32), u32> = BTreeMap::new();
            let mut open = 0;
            let ask = |store: &mut Redis, n: u64, k: u32| {
                let change = register(
                    &format!("sip:u{n}@h"),
                    &format!("{name} {k}"),
                    &[&format!("<sip:{name}> {}", 600 + k)],
                );
                assert!(
                    store.submit(AskId(n * 1000 + u64::from(k)), Operation::Change(change), at(0)).is_none()
                );
            };
            let mut next = 0;
            while next < addresses || open > 0 {
                while open < 500 && next < addresses {
                    ask(&mut store, next, 1);
                    (next, open) = (next + 1, open + 1);
                }
                let StoreEvent::Answered { ask: AskId(id), answer } = next_event(&mut store) else {
                    panic!()
                };
                let (n, k) = (id / 1000, u32::try_from(id % 1000).unwrap());
                let bindings = answer.unwrap().bindings;
                let told = |mine: bool| {
                    bindings
                        .iter()
                        .find(|binding| (binding.call_id() == name) == mine)
                        .map_or(0, |binding| binding.cseq)
                };
                assert_eq!(told(true), k, "its own change is there");
                seen.insert((n, k), told(false));
                if k < times {
                    ask(&mut store, n, k + 1);
                } else {
                    open -= 1;
                }
            }
            (store, seen)
        }
    };
    let (a, b) = (work("a"), work("b"));
    let other = std::thread::spawn(b);
    let (mut store, by_a) = a();
    let (b, by_b) = other.join().unwrap();
    // There is an order in which all of them happened: whoever has seen a change came after it, and before the next.
    for n in 0..addresses {
        for k in 1..=times {
            for (mine, others) in [(&by_a, &by_b), (&by_b, &by_a)] {
                let seen = mine[&(n, k)];
                assert!(seen == 0 || others[&(n, seen)] < k, "u{n}: {k} and {seen} are before each other");
                assert!(seen == times || others[&(n, seen + 1)] >= k, "u{n}: {k} was lost");
            }
        }
        let bindings = fetch(&mut store, &format!("sip:u{n}@h"), at(0)).bindings;
        assert_eq!(bindings.len(), 2, "u{n}: {bindings:?}");
        assert!(bindings.iter().all(|text| text.ends_with(&format!(" {times}"))), "u{n}: {bindings:?}");
    }
    assert!(store.conflicts() + b.conflicts() > 0);
}

/// RGR-007.
#[test]
fn what_two_servers_write_at_once_has_an_order_and_nothing_is_lost() {
    write_at_once(300, 4);
}

/// RGR-007.
#[test]
#[ignore = "takes a minute"]
fn what_two_servers_write_at_once_to_ten_thousand_addresses_has_an_order_and_nothing_is_lost() {
    write_at_once(10_000, 5);
}

/// RGR-008: calls go by what is known, and nobody is told that nothing is bound.
#[test]
fn a_store_that_is_killed_is_told_and_comes_back_with_its_file() {
    let home = tempfile::tempdir().unwrap();
    let options = ["--appendonly", "yes", "--appendfsync", "always", "--dir", home.path().to_str().unwrap()];
    let server = Server::start(&options);
    let mut store = open(&server.url(), "a");
    bind(&mut store, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap();
    let port = server.port();
    drop(server);
    let why = refused(&mut store, ALICE, "one 2").unwrap();
    assert!(why.starts_with(&format!("redis://127.0.0.1:{port}: ")), "{why}");
    assert_eq!(refused(&mut store, BOB, "two 1"), None);
    assert_eq!(fetch(&mut store, ALICE, at(59_999)).bindings, ["<sip:u@a> 1 one 1"]);
    for (uri, now) in [(BOB, at(0)), (ALICE, at(60_000))] {
        let unknown = perform(&mut store, Operation::Fetch(aor(uri)), now);
        assert_eq!(unknown.unwrap_err(), StoreFailure::Unavailable);
    }
    // What runs out is told when it can be looked at.
    assert_eq!(expire(&mut store, at(60_000)), (vec![], Some(at(61_000))));
    let _again = Server::start_at(port, &options);
    until_back(&mut store);
    assert_eq!(fetch(&mut store, ALICE, at(59_999)).bindings, ["<sip:u@a> 1 one 1"]);
    assert_eq!(expire(&mut store, at(60_000)).0, [(Fate::Expired, "<sip:u@a>".to_owned())]);
    bind(&mut store, ALICE, "one 3", &["<sip:u@b> 60"]).unwrap();
}

/// RGR-008: a change that was refused for silence is not made later, however late the store reads it.
#[test]
fn a_store_that_is_stopped_makes_no_change_afterwards_that_was_refused() {
    let server = Server::start(&[]);
    let mut store = open(&server.url(), "a");
    bind(&mut store, BOB, "one 1", &["<sip:u@a> 60"]).unwrap();
    server.signal("STOP");
    let why = refused(&mut store, ALICE, "one 1").unwrap();
    assert!(why.ends_with(": no answer within 2 s"), "{why}");
    assert_eq!(refused(&mut store, ALICE, "one 2"), None);
    assert_eq!(fetch(&mut store, BOB, at(0)).bindings, ["<sip:u@a> 60 one 1"]);
    std::thread::sleep(Duration::from_millis(500));
    server.signal("CONT");
    until_back(&mut store);
    assert_eq!(fetch(&mut store, ALICE, at(0)), Said::default());
    assert_eq!(bind(&mut store, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap().bindings.len(), 1);
}

/// RGR-008: a change may be made though its answer was lost. The next one of the device finds that.
#[test]
fn a_change_whose_answer_is_lost_on_the_way_is_refused_and_may_be_there() {
    let relay = Relay::start(shared().port());
    let url = database(shared()).replace(&shared().port().to_string(), &relay.port().to_string());
    let mut store = open(&url, "a");
    bind(&mut store, ALICE, "one 1", &["<sip:d@x> 60"]).unwrap();
    relay.lose_answers(true);
    assert!(refused(&mut store, ALICE, "one 2").is_some());
    relay.lose_answers(false);
    until_back(&mut store);
    assert_eq!(fetch(&mut store, ALICE, at(0)).bindings, ["<sip:d@x> 60 one 2"]);
    assert_eq!(bind(&mut store, ALICE, "one 2", &["<sip:d@x> 60"]), Err(StoreFailure::OutOfOrder));
    assert!(bind(&mut store, ALICE, "one 3", &["<sip:d@x> 60"]).is_ok());
    // The network is cut altogether.
    relay.cut(true);
    assert!(refused(&mut store, ALICE, "one 4").is_some());
    relay.cut(false);
    until_back(&mut store);
    assert!(bind(&mut store, ALICE, "one 4", &["<sip:d@x> 60"]).is_ok());
}

/// RGR-008: a store whose memory is full is still read.
#[test]
fn a_store_whose_memory_is_full_takes_no_changes_and_is_read() {
    let server = Server::start(&[]);
    let (mut a, mut b) = (open(&server.url(), "a"), open(&server.url(), "b"));
    bind(&mut b, BOB, "one 1", &["<sip:u@a> 60"]).unwrap();
    ask(&server.url(), &["CONFIG", "SET", "maxmemory", "1"]);
    let why = refused(&mut a, ALICE, "one 1").unwrap();
    assert!(why.contains(": OOM "), "{why}");
    assert_eq!(refused(&mut a, ALICE, "one 1"), None);
    assert_eq!(fetch(&mut a, BOB, at(0)).bindings, ["<sip:u@a> 60 one 1"]);
    assert_eq!(fetch(&mut a, ALICE, at(0)), Said::default());
    ask(&server.url(), &["CONFIG", "SET", "maxmemory", "0"]);
    until_back(&mut a);
    bind(&mut a, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap();
}

/// A server that has forgotten the script, as after SCRIPT FLUSH, is told it again, and nobody notices. What is no hash is
/// nobody's binding.
#[test]
fn a_forgotten_script_and_a_key_of_somebody_else_hold_up_nobody() {
    let url = database(shared());
    let mut store = open(&url, "a");
    bind(&mut store, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap();
    ask(&url, &["SCRIPT", "FLUSH"]);
    bind(&mut store, ALICE, "one 2", &["<sip:u@a> 60"]).unwrap();
    ask(&url, &["SET", "sipreg:{bob@example.com}", "x"]);
    assert_eq!(bind(&mut store, BOB, "one 1", &["<sip:u@a> 60"]), Err(StoreFailure::Failed));
    let listed = perform(&mut store, Operation::Fetch(aor(BOB)), at(0));
    assert_eq!(listed.unwrap_err(), StoreFailure::Failed);
    bind(&mut store, ALICE, "one 3", &["<sip:u@a> 60"]).unwrap();
}

/// A store that has failed over to its replica is used again under the same name.
#[test]
fn a_store_that_fails_over_to_its_replica_comes_back() {
    let (first, second) = (Server::start(&[]), Server::start(&[]));
    let relay = Relay::start(first.port());
    let mut store = open(&format!("redis://127.0.0.1:{}", relay.port()), "a");
    let follow = |server: &Server, main: &str| {
        ask(
            &server.url(),
            &[
                "REPLICAOF",
                if main.is_empty() { "NO" } else { "127.0.0.1" },
                if main.is_empty() { "ONE" } else { main },
            ],
        );
    };
    follow(&second, &first.port().to_string());
    bind(&mut store, ALICE, "one 1", &["<sip:u@a> 60"]).unwrap();
    ask(&first.url(), &["WAIT", "1", "5000"]);
    server::until(|| text(&ask(&second.url(), &["INFO", "replication"])).contains("master_link_status:up"));
    server::until(|| ask(&second.url(), &["DBSIZE"]) == redis::Value::Int(1));
    follow(&second, "");
    follow(&first, &second.port().to_string());
    let why = refused(&mut store, ALICE, "one 2").unwrap();
    assert!(why.contains("a replica, which takes no changes"), "{why}");
    relay.lead_to(second.port());
    until_back(&mut store);
    assert_eq!(bind(&mut store, ALICE, "one 2", &["<sip:u@a> 60"]).unwrap().bindings.len(), 1);
    let replica = Redis::open(settings(&first.url(), "b"), at(0)).unwrap_err();
    assert_eq!(replica, Trouble::Replica);
}

/// `--store-wait`: a change that too few replicas have is refused, and is there all the same.
#[test]
fn a_change_waits_until_enough_replicas_have_it() {
    let (main, replica) = (Server::start(&[]), Server::start(&[]));
    let mut store =
        Redis::open(RedisSettings { replicas: 1, ..settings(&main.url(), "a") }, at(0)).unwrap().0;
    let why = refused(&mut store, ALICE, "one 1").unwrap();
    assert!(why.ends_with("0 of 1 replicas have the last change"), "{why}");
    assert_eq!(fetch(&mut store, ALICE, at(0)).bindings, ["<sip:d@x> 60 one 1"]);
    ask(&replica.url(), &["REPLICAOF", "127.0.0.1", &main.port().to_string()]);
    until_back(&mut store);
    bind(&mut store, ALICE, "one 2", &["<sip:d@x> 60"]).unwrap();
    assert_eq!(ask(&replica.url(), &["EXISTS", "sipreg:{alice@example.com}"]), redis::Value::Int(1));
}

/// What keeps a store from being used is told at the start.
#[test]
fn a_store_that_can_not_be_used_is_told_at_the_start() {
    let server = Server::start(&["--requirepass", "secret", "--maxmemory-policy", "allkeys-lru"]);
    let at_start = |url: &str| Redis::open(settings(url, "a"), at(0)).map(|(_, facts)| facts);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port());
    assert!(matches!(at_start(&url("")), Err(Trouble::Denied(_))));
    assert!(matches!(at_start(&url(":wrong@")), Err(Trouble::Denied(_))));
    assert!(matches!(at_start(&url("nobody:secret@")), Err(Trouble::Denied(_))));
    let facts = Facts { eviction: "allkeys-lru".to_owned(), is_kept: false };
    assert_eq!(at_start(&url(":secret@")), Ok(facts));
    let port = server.port();
    drop(server);
    assert!(matches!(at_start(&format!("redis://127.0.0.1:{port}")), Err(Trouble::Unreachable(_))));
    let shared = shared().url().replace("redis://", "redis+cluster://");
    assert!(matches!(at_start(&shared), Err(Trouble::NoClusterNode)));
}

/// Three servers that share all slots among them, each with what it is called by.
fn cluster() -> Vec<Server> {
    let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--databases", "1"];
    let more = ["--cluster-require-full-coverage", "no", "--appendonly", "yes"];
    let all: Vec<Server> = (0..3).map(|_| Server::start(&[&options[..], &more[..]].concat())).collect();
    for (server, range) in all.iter().zip([("0", "5000"), ("5001", "11000"), ("11001", "16383")]) {
        ask(&server.url(), &["CLUSTER", "ADDSLOTSRANGE", range.0, range.1]);
        ask(&server.url(), &["CLUSTER", "MEET", "127.0.0.1", &all[0].port().to_string()]);
    }
    for server in &all {
        server::until(|| {
            let info = text(&ask(&server.url(), &["CLUSTER", "INFO"]));
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        });
    }
    all
}

/// Each address-of-record is at the server that has its slot, also where that moves, and one server that is away takes nothing
/// from the others.
#[test]
#[ignore = "starts a cluster"]
fn a_cluster_is_one_store() {
    let mut all = cluster();
    let url = format!("redis+cluster://127.0.0.1:{}", all[1].port());
    let mut store = open(&url, "a");
    let user = |n: u32| format!("sip:u{n}@h");
    for n in 0..300 {
        bind(&mut store, &user(n), "one 1", &["<sip:u@a> 60"]).unwrap();
    }
    for server in &all {
        let redis::Value::Int(count) = ask(&server.url(), &["DBSIZE"]) else { panic!() };
        assert!((50..200).contains(&count), "{count}");
    }
    let mut other = open(&url, "b");
    for n in 0..300 {
        assert_eq!(fetch(&mut other, &user(n), at(0)).bindings, ["<sip:u@a> 60 one 1"], "{n}");
    }

    // One slot goes to another server.
    let key = "sipreg:{u7@h}";
    let redis::Value::Int(slot) = ask(&all[0].url(), &["CLUSTER", "KEYSLOT", key]) else { panic!() };
    let slot = slot.to_string();
    let has = |server: &Server| {
        let link = redis::Client::open(server.url()).unwrap().get_connection();
        redis::cmd("EXISTS").arg(key).query::<i64>(&mut link.unwrap()) == Ok(1)
    };
    let from = all.iter().position(has).unwrap();
    let to = (from + 1) % 3;
    let name = |server: &Server| text(&ask(&server.url(), &["CLUSTER", "MYID"]));
    ask(&all[to].url(), &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &name(&all[from])]);
    ask(&all[from].url(), &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &name(&all[to])]);
    ask(&all[from].url(), &["MIGRATE", "127.0.0.1", &all[to].port().to_string(), key, "0", "5000"]);
    for server in [&all[to], &all[from]] {
        ask(&server.url(), &["CLUSTER", "SETSLOT", &slot, "NODE", &name(&all[to])]);
    }
    for store in [&mut store, &mut other] {
        assert_eq!(fetch(store, &user(7), at(0)).bindings, ["<sip:u@a> 60 one 1"]);
    }
    bind(&mut store, &user(7), "one 2", &["<sip:u@a> 60"]).unwrap();

    // One server is killed.
    let of = |server: &Server, n: u32| {
        let mut link = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
        redis::cmd("EXISTS").arg(format!("sipreg:{{u{n}@h}}")).query::<i64>(&mut link) == Ok(1)
    };
    let there: Vec<u32> = (10..300).filter(|n| of(&all[2], *n)).take(3).collect();
    let elsewhere: Vec<u32> = (10..300).filter(|n| of(&all[0], *n)).take(3).collect();
    let gone = all.remove(2);
    gone.signal("STOP");
    assert!(refused(&mut store, &user(there[0]), "one 2").is_some());
    assert_eq!(refused(&mut store, &user(there[1]), "one 2"), None);
    assert_eq!(fetch(&mut store, &user(there[2]), at(0)).bindings, ["<sip:u@a> 60 one 1"]);
    for n in elsewhere {
        bind(&mut store, &user(n), "one 2", &["<sip:u@a> 60"]).unwrap();
    }
    gone.signal("CONT");
    until_back(&mut store);
    server::until(|| bind(&mut open(&url, "d"), &user(there[0]), "one 5", &["<sip:u@a> 60"]).is_ok());
    bind(&mut store, &user(there[1]), "one 6", &["<sip:u@a> 60"]).unwrap();
    let other = Redis::open(settings(&all[0].url(), "c"), at(0)).unwrap_err();
    assert_eq!(other, Trouble::ClusterNode);
}
