//! How servers that share a store find each other, and whose flows the bindings have that they read.

use std::net::SocketAddr;
use std::time::Duration;

use sipreg::proto::binding::{Binding, Operation, Source};
use sipreg::proto::node::{Key, Presence};
use sipreg::proto::{FlowId, NodeId, Transport};
use sipreg::store::{Node, Redis, RedisSettings, Store, StoreEvent};

use crate::redis::server::{Server, database, shared};
use crate::redis::settings;
use crate::script::{ALICE, at, next_event, perform, register};

/// A process of a server.
fn open(url: &str, name: &str, run: &str) -> Redis {
    let node = Node { name: name.to_owned(), run: run.to_owned() };
    Redis::open(RedisSettings { node, ..settings(url, name) }, at(0)).unwrap().0
}

fn presence(host: u8) -> Presence {
    let address = SocketAddr::from(([10, 0, 0, host], 5070));
    Presence { transport: Transport::Tcp, address, key: Key([host; 32]) }
}

/// The next node that is heard of, and where it is.
fn heard(store: &mut Redis) -> (NodeId, Option<Presence>) {
    let event = next_event(store);
    let StoreEvent::Node { id, peer } = event else { panic!("{event:?}") };
    (id, peer.map(|peer| peer.presence))
}

/// Alice's device, bound by that way.
fn bind(store: &mut Redis, call_id: &str, transport: Transport, flow: u64) {
    let mut change = register(ALICE, &format!("{call_id} 1"), &[&format!("<sip:{call_id}> 3600")]);
    let peer = "192.0.2.7:40000".parse().unwrap();
    let source = Source { flow: FlowId(flow), peer, transport, is_way: true, node: NodeId::LOCAL };
    let sipreg::proto::binding::ContactChange::Contacts(wanted) = &mut change.contacts else { panic!() };
    wanted[0].source = source;
    perform(store, Operation::Change(change), at(0)).unwrap();
}

/// Whose flows the bindings are, in their order.
fn ways(store: &mut Redis) -> Vec<(NodeId, FlowId)> {
    let fetch = Operation::Fetch(crate::script::aor(ALICE));
    store.submit(sipreg::proto::AskId(1), fetch, at(1));
    let stored = loop {
        match next_event(store) {
            StoreEvent::Answered { answer, .. } => break answer.unwrap(),
            StoreEvent::Node { .. } => {}
            other @ (StoreEvent::Failed { .. } | StoreEvent::Back) => panic!("{other:?}"),
        }
    };
    let way = |binding: &Binding| (binding.source.node, binding.source.flow);
    stored.bindings.iter().map(way).collect()
}

/// Each hears of the other, which takes leave when it ends; one that began a moment ago is known to whoever comes upon its
/// bindings.
///
/// OBS-003
#[test]
fn servers_find_each_other_by_the_store() {
    let url = database(shared());
    let (mut a, mut b) = (open(&url, "a", "1"), open(&url, "b", "2"));
    a.present(presence(1));
    assert_eq!(heard(&mut b), (NodeId(1), Some(presence(1))));
    bind(&mut a, "one", Transport::Tcp, 5);
    bind(&mut a, "two", Transport::Udp, 6);
    bind(&mut b, "three", Transport::Tcp, 7);
    let first = (NodeId(1), FlowId(5));
    assert_eq!(ways(&mut b), [first, (NodeId(1), FlowId(6)), (NodeId::LOCAL, FlowId(7))]);
    // This one has said nothing of itself.
    let own = [(NodeId::LOCAL, FlowId(5)), (NodeId::LOCAL, FlowId(6))];
    assert_eq!(ways(&mut a)[..2], own);
    assert_eq!(ways(&mut a)[2], (NodeId::GONE, FlowId::GONE));
    b.present(presence(2));
    // Nobody waits for the next second.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ways(&mut a)[2], (NodeId(1), FlowId(7)));
    drop(a);
    assert_eq!(heard(&mut b), (NodeId(1), None));
    // Its datagrams go to the process that has its socket now; its connections are gone.
    let mut a = open(&url, "a", "3");
    assert_eq!(ways(&mut a)[..2], [(NodeId::GONE, FlowId::GONE), (NodeId::LOCAL, FlowId(6))]);
    a.present(presence(1));
    assert_eq!(heard(&mut b), (NodeId(2), Some(presence(1))));
    let all = [(NodeId::GONE, FlowId::GONE), (NodeId(2), FlowId(6)), (NodeId::LOCAL, FlowId(7))];
    assert_eq!(ways(&mut b), all);
}

/// OBS-020: a store that is away says nothing of who lives.
#[test]
fn nobody_is_dead_because_the_store_is_away() {
    let server = Server::start(&[]);
    let url = server.url();
    let (mut a, mut b) = (open(&url, "a", "1"), open(&url, "b", "2"));
    b.present(presence(2));
    assert_eq!(heard(&mut a), (NodeId(1), Some(presence(2))));
    let mut client = redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
    let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(5000).query(&mut client).unwrap();
    drop(client);
    std::thread::sleep(Duration::from_secs(9));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(event) = a.poll(&mut context) {
        assert!(!matches!(event, StoreEvent::Node { .. }), "{event:?}");
    }
}
