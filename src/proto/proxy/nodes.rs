//! The other nodes that share the location service, as the proxy knows them: where each is, and which of their connections
//! are gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::proto::binding::Source;
use crate::proto::node::{Key, Peer, Place};
use crate::proto::{FlowId, NodeId};
use crate::sip::{NameAddr, Uri};

/// Connections that are known to be gone, of all nodes; more than that are asked for once more.
const MOST_GONE: usize = 4096;

/// How a request goes to another node.
#[derive(Clone, Debug)]
pub(super) struct Handover {
    pub node: NodeId,
    /// The place of the device there; `None`: the node has recorded the Route itself, and knows.
    pub place: Option<Place>,
    /// The topmost Route, which leads there; it has no proof yet.
    pub route: Uri,
    /// The other Routes.
    pub others: Vec<NameAddr>,
}

/// All other nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// What nodes know besides the location service.
    pub secret: Option<Key>,
    peers: BTreeMap<NodeId, Peer>,
    by_address: BTreeMap<SocketAddr, NodeId>,
    gone: BTreeSet<(NodeId, FlowId)>,
    /// The same, in the order they were noted.
    noted: VecDeque<(NodeId, FlowId)>,
}

impl Nodes {
    /// Where a node is, from now on; `None`: it is no more.
    pub fn set(&mut self, id: NodeId, peer: Option<Peer>) {
        if let Some(known) = self.peers.remove(&id) {
            let address = known.presence.address;
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        if let Some(peer) = peer {
            self.by_address.insert(peer.presence.address, id);
            self.peers.insert(id, peer);
        }
    }

    pub fn get(&self, id: NodeId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// How a request reaches a device by the node that it is connected to, over TLS if it `is_secure`. `None`: it does not.
    pub fn to_device(&self, source: &Source, is_secure: bool) -> Option<Handover> {
        let peer = self.peers.get(&source.node)?;
        let is_fit = !is_secure || peer.presence.transport.is_secure();
        if !is_fit || self.gone.contains(&(source.node, source.flow)) {
            return None;
        }
        let peer_of_datagrams = (!source.transport.is_reliable()).then_some(source.peer);
        let place = Place { flow: source.flow, peer: peer_of_datagrams };
        let route = peer.route(place);
        Some(Handover { node: source.node, place: Some(place), route, others: Vec::new() })
    }

    /// How a request follows a Route that another node has recorded. Only these are followed with a proof: one with a user
    /// part would name a flow, and is made by nobody but us.
    pub fn along(&self, routes: &[NameAddr]) -> Option<Handover> {
        let (first, others) = routes.split_first()?;
        let route = first.uri.sip().filter(|uri| uri.user.is_none() && uri.param("did").is_some())?;
        let node = self.at(route)?;
        Some(Handover { node, place: None, route: route.clone(), others: others.to_vec() })
    }

    /// The node that a URI leads to.
    pub fn at(&self, uri: &Uri) -> Option<NodeId> {
        let address = SocketAddr::new(uri.host.ip()?, uri.port?);
        self.by_address.get(&address).copied()
    }

    /// A connection of that node is gone, and never comes back: each process numbers its own, and none twice.
    pub fn note_gone(&mut self, node: NodeId, flow: FlowId) {
        if self.gone.insert((node, flow)) {
            self.noted.push_back((node, flow));
        }
        if self.noted.len() > MOST_GONE
            && let Some(first) = self.noted.pop_front()
        {
            self.gone.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Transport;
    use crate::proto::node::Presence;

    fn peer(address: &str) -> Peer {
        let presence =
            Presence { transport: Transport::Tcp, address: address.parse().unwrap(), key: Key([1; 32]) };
        Peer { presence, host: "b.munich.de".into(), ahead: 0 }
    }

    fn route(text: &str) -> NameAddr {
        NameAddr::parse(text).unwrap()
    }

    #[test]
    fn a_node_that_began_anew_takes_the_address_of_the_one_before() {
        let mut nodes = Nodes::default();
        let at = |nodes: &Nodes| nodes.at(&Uri::parse("sip:10.0.0.2:5070").unwrap());
        nodes.set(NodeId(1), Some(peer("10.0.0.2:5070")));
        nodes.set(NodeId(2), Some(peer("10.0.0.2:5070")));
        assert_eq!((at(&nodes), nodes.len()), (Some(NodeId(2)), 2));
        nodes.set(NodeId(1), None);
        assert_eq!((at(&nodes), nodes.len()), (Some(NodeId(2)), 1));
        nodes.set(NodeId(2), None);
        assert_eq!((at(&nodes), nodes.len()), (None, 0));
    }

    /// OBS-003: who is in a dialog can't have us prove that some flow is meant.
    #[test]
    fn only_what_a_node_has_recorded_is_followed_to_it() {
        let mut nodes = Nodes::default();
        nodes.set(NodeId(1), Some(peer("10.0.0.2:5070")));
        let follows =
            |text: &str| nodes.along(&[route(text), route("<sip:p;lr>")]).map(|over| over.others.len());
        assert_eq!(follows("<sip:10.0.0.2:5070;transport=tcp;lr;did=1>"), Some(1));
        for other in [
            "<sip:8000000000000001@10.0.0.2:5070;transport=tcp;lr;did=1>",
            "<sip:10.0.0.2:5070;lr>",
            "<sip:10.0.0.2:5071;lr;did=1>",
            "<sip:10.0.0.2;lr;did=1>",
            "<sip:node.munich.de:5070;lr;did=1>",
            "<tel:+49>",
        ] {
            assert_eq!(follows(other), None, "{other}");
        }
        assert!(nodes.along(&[]).is_none());
    }

    #[test]
    fn connections_that_are_gone_are_remembered_and_bounded() {
        let mut nodes = Nodes::default();
        nodes.set(NodeId(1), Some(peer("10.0.0.2:5070")));
        let reaches = |nodes: &Nodes, flow| {
            let peer = "192.0.2.7:40000".parse().unwrap();
            let source =
                Source { flow: FlowId(flow), peer, transport: Transport::Tcp, is_way: true, node: NodeId(1) };
            nodes.to_device(&source, false).is_some()
        };
        assert!(reaches(&nodes, 1));
        for flow in [1, 1, 2] {
            nodes.note_gone(NodeId(1), FlowId(flow));
        }
        assert_eq!([1, 2, 3].map(|flow| reaches(&nodes, flow)), [false, false, true]);
        (10..20_000).for_each(|flow| nodes.note_gone(NodeId(1), FlowId(flow)));
        assert_eq!((nodes.gone.len(), nodes.noted.len()), (MOST_GONE, MOST_GONE));
        assert!(reaches(&nodes, 1) && !reaches(&nodes, 19_999));
    }
}
