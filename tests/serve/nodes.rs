//! Two servers with one location service: each reaches the devices of the other through it, and nobody else does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::binding::{Binding, ContactChange, Operation, Stored};
use sipreg::proto::ids::{Counting, Random};
use sipreg::proto::node::{Key, Peer, Place, Presence, Proof};
use sipreg::proto::registrar::service::{Counters, Listen, Nodes, Service};
use sipreg::proto::{Action, Cause, Command, Endpoint, Event, FlowId, NodeId, Notice, Time, Transport};
use sipreg::sip::{Host, Method};
use sipreg::store::Memory;

use crate::transports::{Party, Served, route, rows};
use crate::world::{Sent, guarded, register, service, wire};

const BOHR: &str = "<sip:bohr~munich.de>;tag=b";
const HEISENBERG: &str = "<sip:heisenberg~munich.de>";
const CALLED: &str = "sip:heisenberg~munich.de";

/// The number of a server in the names of its flows, as these tests have them.
const SITE: u64 = 1 << 40;

/// One server.
struct Site {
    endpoint: Endpoint,
    /// Its number in the location service; another one after a restart.
    id: NodeId,
    presence: Option<Presence>,
    listeners: Vec<(Transport, SocketAddr, FlowId)>,
    accepted: u64,
    is_dead: bool,
    /// By how much its clock is ahead, in milliseconds.
    ahead: i64,
}

/// Servers, the location service that they share, and the network between them.
struct Cluster {
    sites: Vec<Site>,
    store: Memory,
    now: Time,
    /// The other ends of connections between servers.
    between: BTreeMap<(usize, FlowId), (usize, FlowId)>,
    events: VecDeque<(usize, Event)>,
    /// What went to devices, or to addresses where nobody is.
    sent: Vec<Sent>,
    /// What went from server to server.
    handed: Vec<String>,
    opened: Vec<SocketAddr>,
    ports: u16,
    ids: u32,
}

/// The public address of a server, and the one for nodes.
fn address(site: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + site as u8], port))
}

fn inside(site: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + site as u8], 5070))
}

/// A server that listens for nodes over that transport, and for devices over all.
fn node(service: Service, site: usize, transport: Transport) -> Service {
    let port = |transport: Transport| match transport {
        Transport::Tcp => 5060,
        other => other.default_port(),
    };
    let at = |transport| Listen { transport, address: address(site, port(transport)) };
    let nodes = Nodes {
        listen: Some(Listen { transport, address: inside(site) }),
        peers: vec![inside(0).ip(), inside(1).ip()],
        secret: Some(Key::of(b"psi")),
    };
    Service { listen: Transport::ALL.map(at).into(), nodes, ..service }
}

/// Two with different random numbers: their keys differ.
struct Other(Counting, u64);

impl Random for Other {
    fn next(&mut self) -> u64 {
        self.0.next() ^ self.1
    }
}

impl Cluster {
    fn new(services: Vec<Service>) -> Cluster {
        let mut cluster = Cluster {
            sites: Vec::new(),
            store: Memory::default(),
            now: Time::from_millis(1_792_000_000_000),
            between: BTreeMap::new(),
            events: VecDeque::new(),
            sent: Vec::new(),
            handed: Vec::new(),
            opened: Vec::new(),
            ports: 30_000,
            ids: 0,
        };
        for (at, service) in services.into_iter().enumerate() {
            cluster.sites.push(cluster.site(0));
            cluster.start(at, service);
        }
        cluster
    }

    /// Two nodes that hand requests over by that transport.
    fn over(transport: Transport) -> Cluster {
        Cluster::new((0..2).map(|site| node(service(), site, transport)).collect())
    }

    fn site(&self, ahead: i64) -> Site {
        let salt = u64::from(self.ids + 1) << 32;
        Site {
            endpoint: Endpoint::new(Box::new(Other(Counting::default(), salt))),
            id: NodeId(0),
            presence: None,
            listeners: Vec::new(),
            accepted: 0,
            is_dead: false,
            ahead,
        }
    }

    fn start(&mut self, at: usize, service: Service) {
        self.ids += 1;
        self.sites[at].id = NodeId(self.ids);
        self.event(at, Event::Command(Command::Serve(Box::new(service))));
        self.introduce();
    }

    /// All know all that live.
    fn introduce(&mut self) {
        let all = || 0..self.sites.len();
        let pairs: Vec<_> =
            all().flat_map(|to| all().map(move |of| (to, of))).filter(|(to, of)| to != of).collect();
        for (to, of) in pairs {
            let site = &self.sites[of];
            let presence = site.presence.clone().filter(|_| !site.is_dead);
            let ahead = site.ahead - self.sites[to].ahead;
            let host = format!("n{of}.munich.de").into();
            let peer = presence.map(|presence| Box::new(Peer { presence, host, ahead }));
            self.event(to, Event::Node { id: site.id, peer });
        }
    }

    /// It ends without a word. The others know by its connections; and if they miss its heartbeat.
    fn kill(&mut self, at: usize) {
        self.sites[at].is_dead = true;
        let all: Vec<_> = self.between.iter().map(|(one, other)| (*one, *other)).collect();
        for ((from, _), (to, flow)) in all {
            if from == at {
                self.event(to, Event::Closed { flow });
            }
        }
    }

    /// A new process in its place.
    fn restart(&mut self, at: usize, service: Service) {
        self.kill(at);
        self.introduce();
        self.sites[at] = self.site(self.sites[at].ahead);
        self.start(at, service);
    }

    fn event(&mut self, site: usize, event: Event) {
        self.events.push_back((site, event));
        while let Some((site, event)) = self.events.pop_front() {
            if self.sites[site].is_dead {
                continue;
            }
            let now = self.clock(site);
            let actions: Vec<Action> = self.sites[site].endpoint.handle(event, now).collect();
            actions.into_iter().for_each(|action| self.perform(site, action));
        }
    }

    fn clock(&self, site: usize) -> Time {
        Time::from_millis(self.now.as_millis().saturating_add_signed(self.sites[site].ahead))
    }

    fn perform(&mut self, site: usize, action: Action) {
        match action {
            Action::Listen { flow, transport, address } => {
                self.sites[site].listeners.push((transport, address, flow));
                self.events.push_back((site, Event::Opened { flow, local: address }));
            }
            Action::Transmit { flow, peer, bytes } => self.transmit(site, flow, peer, bytes),
            Action::Store { ask, operation } => {
                let Site { id, ahead, .. } = self.sites[site];
                let answer = self.store.perform(stamped(operation, id), self.now);
                let answer = answer.map(|stored| seen(stored, id, ahead));
                self.events.push_back((site, Event::Stored { ask, answer }));
            }
            Action::Present(presence) => self.sites[site].presence = Some(presence),
            Action::Open { flow, destination } => {
                let at = destination.address;
                let meets = |(over, local, _): &&(Transport, SocketAddr, FlowId)| {
                    *local == at && *over == destination.transport
                };
                let alive = (0..self.sites.len()).filter(|to| !self.sites[*to].is_dead);
                let met =
                    alive.filter_map(|to| Some((to, self.sites[to].listeners.iter().find(meets)?.2))).next();
                match met {
                    Some((to, listener)) => {
                        let name = destination.transport.is_secure().then(|| format!("n{to}.munich.de"));
                        assert_eq!(destination.name.as_deref(), name.as_deref());
                        self.connects(site, flow, (to, listener), at);
                    }
                    None => {
                        self.opened.push(at);
                        let refused = Event::Failed { flow, peer: at, cause: Cause::Refused };
                        self.events.push_back((site, refused));
                    }
                }
            }
            Action::FindSource { peer } => {
                let of =
                    |ip: SocketAddr| if peer.to_string().starts_with("10.0.0.") { inside(site) } else { ip };
                let local = Some(of(address(site, 0)).ip());
                self.events.push_back((site, Event::SourceFound { peer, local }));
            }
            Action::Close { .. } | Action::Notify(Notice::Server(_) | Notice::Message { .. }) => {}
            other => panic!("a server: {other:?}"),
        }
    }

    fn connects(&mut self, site: usize, flow: FlowId, (to, listener): (usize, FlowId), at: SocketAddr) {
        self.ports += 1;
        let there = FlowId(FlowId::ACCEPTED.0 + self.sites[to].accepted);
        self.sites[to].accepted += 1;
        self.between.insert((site, flow), (to, there));
        self.between.insert((to, there), (site, flow));
        let local = SocketAddr::new(inside(site).ip(), self.ports);
        self.events.push_back((to, Event::Accepted { listener, flow: there, local: at, remote: local }));
        self.events.push_back((site, Event::Opened { flow, local }));
    }

    fn transmit(&mut self, site: usize, flow: FlowId, peer: SocketAddr, bytes: Bytes) {
        let text = || String::from_utf8(bytes.to_vec()).unwrap();
        if let Some((to, there)) = self.between.get(&(site, flow)).copied() {
            self.handed.push(text());
            let from = SocketAddr::new(inside(site).ip(), self.ports);
            return self.events.push_back((to, Event::Received { flow: there, peer: from, bytes }));
        }
        let socket = self.sites[site].listeners.iter().find(|(.., id)| *id == flow).map(|(_, at, _)| *at);
        let to = (0..self.sites.len()).find_map(|to| {
            let there = self.sites[to].listeners.iter().find(|(_, at, _)| *at == peer)?;
            Some((to, there.2))
        });
        match (socket, to) {
            (Some(from), Some((to, there))) => {
                self.handed.push(text());
                self.events.push_back((to, Event::Received { flow: there, peer: from, bytes }));
            }
            _ => self.sent.push(Sent { flow: FlowId(flow.0 + SITE * site as u64), peer, bytes }),
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = |(at, site): (usize, &Site)| {
                let due = site.endpoint.next_timeout().filter(|_| !site.is_dead)?.0;
                Some((Time::from_millis(due.as_millis().saturating_add_signed(-site.ahead)), at))
            };
            let next = self.sites.iter().enumerate().filter_map(due).min();
            let Some((due, at)) = next.filter(|(due, _)| *due <= end) else { break };
            self.now = self.now.max(due);
            self.event(at, Event::Timeout);
        }
        self.now = end;
    }

    fn listener(&self, site: usize, transport: Transport) -> FlowId {
        self.sites[site].listeners.iter().find(|(over, ..)| *over == transport).unwrap().2
    }

    /// A connection of a device.
    fn connect(&mut self, site: usize, transport: Transport, peer: &str) -> FlowId {
        let flow = FlowId(FlowId::ACCEPTED.0 + self.sites[site].accepted);
        self.sites[site].accepted += 1;
        let (_, local, listener) =
            *self.sites[site].listeners.iter().find(|(over, ..)| *over == transport).unwrap();
        self.event(site, Event::Accepted { listener, flow, local, remote: peer.parse().unwrap() });
        FlowId(flow.0 + SITE * site as u64)
    }

    /// Somebody at that server, whom a NAT shows elsewhere if there is `outside`.
    fn party(
        &mut self,
        site: usize,
        user: &'static str,
        (inside, outside): (&str, &str),
        transport: Transport,
    ) -> Party {
        let flow = match transport {
            Transport::Udp => FlowId(self.listener(site, transport).0 + SITE * site as u64),
            other => self.connect(site, other, outside),
        };
        let (sent_by, param) = match transport {
            Transport::Udp => (inside.to_owned(), ""),
            Transport::Tcp => (inside.to_owned(), ";transport=tcp"),
            Transport::Tls => (inside.to_owned(), ";transport=tls"),
            Transport::Ws | Transport::Wss => (format!("{user}.invalid"), ";transport=ws"),
        };
        Party {
            user,
            transport,
            peer: outside.to_owned(),
            flow,
            via: format!("SIP/2.0/{} {sent_by}", transport.as_via()),
            contact: format!("sip:{user}@{sent_by}{param}"),
        }
    }

    fn closes(&mut self, of: &Party) {
        let (site, flow) = inner(of.flow);
        self.event(site, Event::Closed { flow });
    }

    fn counters(&self, site: usize) -> Counters {
        self.sites[site].endpoint.counters().unwrap()
    }

    /// What nodes have sent each other since the last look, by the first words of each.
    fn handed(&mut self) -> Vec<String> {
        let start = |text: String| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        std::mem::take(&mut self.handed).into_iter().map(start).collect()
    }

    /// What somebody sends to the listener for nodes.
    fn strange(&mut self, site: usize, peer: &str, text: &str) -> Vec<Sent> {
        let flow = self.sites[site].listeners.last().unwrap().2;
        self.receives(FlowId(flow.0 + SITE * site as u64), peer.parse().unwrap(), wire(text).into())
    }

    fn stop(mut self) {
        self.pass(Duration::from_secs(400));
        for (at, site) in self.sites.iter_mut().enumerate().filter(|(_, site)| !site.is_dead) {
            let counters = site.endpoint.counters().unwrap();
            assert_eq!((counters.calls, counters.forwarding, counters.forwarding_octets), (0, 0, 0), "{at}");
            site.endpoint.handle(Event::Command(Command::StopServing), self.now).for_each(drop);
            assert!(site.endpoint.is_idle(), "{at}: something is left: {:?}", site.endpoint.next_timeout());
        }
    }
}

impl Served for Cluster {
    fn receives(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Vec<Sent> {
        self.sent.clear();
        let (site, flow) = inner(flow);
        self.event(site, Event::Received { flow, peer, bytes });
        std::mem::take(&mut self.sent)
    }
}

/// Whose flow that is, and how that one names it.
fn inner(flow: FlowId) -> (usize, FlowId) {
    let site = (flow.0 & !FlowId::ACCEPTED.0) / SITE;
    (site as usize, FlowId(flow.0 - SITE * site))
}

/// The location service knows which server's flows they are.
fn stamped(mut operation: Operation, id: NodeId) -> Operation {
    if let Operation::Change(change) = &mut operation
        && let ContactChange::Contacts(wanted) | ContactChange::Displacing(wanted) = &mut change.contacts
    {
        wanted.iter_mut().for_each(|one| one.source.node = id);
    }
    operation
}

/// What a server whose clock is so far ahead sees of it.
fn seen(stored: Stored, id: NodeId, ahead: i64) -> Stored {
    let later = |time: Time| Time::from_millis(time.as_millis().saturating_add_signed(ahead));
    let bindings = stored.bindings.iter().cloned().map(|mut binding: Binding| {
        if binding.source.node == id {
            binding.source.node = NodeId::LOCAL;
        }
        Binding { expires: later(binding.expires), refreshed: later(binding.refreshed), ..binding }
    });
    Stored { bindings: bindings.collect(), next_expiry: stored.next_expiry.map(later), ..stored }
}

/// A whole call, every message of which arrives where its party is: with an INFO and a BYE of either side.
fn talk(world: &mut Cluster, caller: &Party, callee: &Party) {
    let sent = caller.asks(world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, &format!("INVITE {} SIP/2.0\r\n", callee.contact)).clone();
    assert!(rows(&rings, "Route").is_empty() && !rings.text().contains("node="), "{}", rings.text());
    let recorded = rows(&rings, "Record-Route");
    let ringing = callee.answers(world, &rings, 180);
    caller.hears(&ringing, "SIP/2.0 180 ");
    let taken = callee.answers(world, &rings, 200);
    let ok = caller.hears(&taken, "SIP/2.0 200 ");
    assert_eq!(rows(ok, "Record-Route"), recorded);
    let back: Vec<String> = recorded.iter().rev().cloned().collect();
    let tagged = format!("{HEISENBERG};tag=d");
    let ack = caller.asks(world, "ACK", &callee.contact, 2, (BOHR, &tagged), &route(&back));
    let ack = callee.hears(&ack, &format!("ACK {} SIP/2.0", callee.contact));
    assert!(rows(ack, "Route").is_empty() && !ack.text().contains("node="), "{}", ack.text());
    for (n, method) in [(8, "INFO"), (9, "INVITE"), (10, "BYE")] {
        let asked = callee.asks(world, method, &caller.contact, n, (&tagged, BOHR), &route(&recorded));
        let asked = caller.hears(&asked, &format!("{method} {} SIP/2.0", caller.contact)).clone();
        assert!(!asked.text().contains("node="), "{}", asked.text());
        let answered = caller.answers(world, &asked, 200);
        callee.hears(&answered, "SIP/2.0 200 ");
        let asked = caller.asks(world, method, &callee.contact, n + 20, (BOHR, &tagged), &route(&back));
        let asked = callee.hears(&asked, &format!("{method} {} SIP/2.0", callee.contact)).clone();
        let answered = callee.answers(world, &asked, 200);
        caller.hears(&answered, "SIP/2.0 200 ");
    }
    assert!(world.opened.is_empty());
}

const NATS: [(&str, &str); 2] =
    [("10.0.9.7:5060", "198.51.100.7:40001"), ("10.0.9.7:5060", "203.0.113.9:1024")];

/// Whoever is called by one server, and is connected to the other, or has a NAT that lets in the other alone: both can say
/// everything in the call, over whichever transports, and nobody reads a proof but the nodes.
///
/// OBS-003 OBS-019
#[test]
fn a_device_of_another_node_is_called_through_it() {
    for between in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        for called in Transport::ALL {
            for calling in Transport::ALL {
                let mut world = Cluster::over(between);
                let callee = world.party(1, "heisenberg", NATS[0], called);
                let caller = world.party(0, "bohr", NATS[1], calling);
                callee.registers(&mut world);
                talk(&mut world, &caller, &callee);
                assert!(world.handed().len() >= 10, "{between}: {calling} to {called}");
                assert_eq!((world.counters(0).nodes, world.counters(0).strangers), (1, 0));
                assert_eq!(world.counters(1).strangers, 0);
                assert!(world.counters(1).from_nodes >= 5 && world.counters(0).from_nodes >= 3);
                world.stop();
            }
        }
    }
}

/// What says where it is needs no other node, and neither do the devices of this one.
#[test]
fn nobody_is_handed_over_who_can_be_reached_from_here() {
    let mut world = Cluster::over(Transport::Tcp);
    let caller = world.party(0, "bohr", ("192.0.2.99:5060", "192.0.2.99:5060"), Transport::Udp);
    let plain = world.party(1, "heisenberg", ("192.0.2.11:5060", "192.0.2.11:5060"), Transport::Udp);
    plain.registers(&mut world);
    let sent = caller.asks(&mut world, "MESSAGE", CALLED, 1, (BOHR, HEISENBERG), "");
    let here = Party { flow: caller.flow, ..plain };
    here.hears(&sent, "MESSAGE sip:heisenberg@192.0.2.11:5060");
    let born = world.party(0, "born", NATS[0], Transport::Tcp);
    born.registers(&mut world);
    let sent =
        caller.asks(&mut world, "MESSAGE", "sip:born~munich.de", 2, (BOHR, "<sip:born~munich.de>"), "");
    born.hears(&sent, "MESSAGE ");
    assert_eq!(world.handed(), [""; 0]);
    world.stop();
}

/// FRK-009: the caller hangs up, and the device of the other node stops ringing.
#[test]
fn a_cancelled_call_stops_ringing_on_the_other_node() {
    for between in [Transport::Udp, Transport::Tcp] {
        let mut world = Cluster::over(between);
        let callee = world.party(1, "heisenberg", NATS[0], Transport::Tls);
        let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
        callee.registers(&mut world);
        let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
        let rings = callee.hears(&sent, "INVITE ").clone();
        callee.answers(&mut world, &rings, 180);
        // Long after its proof was fresh.
        world.pass(Duration::from_secs(150));
        let cancel = caller.asks(&mut world, "CANCEL", CALLED, 1, (BOHR, HEISENBERG), "");
        let cancel = callee.hears(&cancel, "CANCEL ").clone();
        callee.answers(&mut world, &cancel, 200);
        let over = callee.answers(&mut world, &rings, 487);
        caller.hears(&over, "SIP/2.0 487 ");
        callee.hears(&over, "ACK ");
        let ack = caller.asks(&mut world, "ACK", CALLED, 1, (BOHR, &format!("{HEISENBERG};tag=d")), "");
        assert_eq!(ack, []);
        assert_eq!(world.counters(1).strangers, 0);
        world.stop();
    }
}

/// FRK-001 FRK-010: one address, devices at both.
#[test]
fn a_call_forks_to_the_devices_of_both_nodes() {
    let mut world = Cluster::over(Transport::Tcp);
    let far = world.party(1, "heisenberg", NATS[0], Transport::Wss);
    far.registers(&mut world);
    let near = world.party(0, "heisenberg", ("192.0.2.11:5060", "192.0.2.11:5060"), Transport::Udp);
    let near = Party { contact: "sip:other@192.0.2.11:5060".to_owned(), ..near };
    near.registers_beside(&mut world, "");
    let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
    let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let (far_rings, near_rings) = (far.hears(&sent, "INVITE ").clone(), near.hears(&sent, "INVITE ").clone());
    far.answers(&mut world, &far_rings, 180);
    let taken = near.answers(&mut world, &near_rings, 200);
    caller.hears(&taken, "SIP/2.0 200 ");
    let cancel = far.hears(&taken, "CANCEL ").clone();
    assert!(cancel.text().contains("Call completed elsewhere"), "{}", cancel.text());
    far.answers(&mut world, &cancel, 200);
    let over = far.answers(&mut world, &far_rings, 487);
    far.hears(&over, "ACK ");
    world.stop();
}

impl Party {
    /// One more contact of the same address.
    fn registers_beside(&self, world: &mut Cluster, q: &str) {
        let text =
            register(1, &format!("Contact: <{}>{q}", self.contact)).replace("Call-ID: c", "Call-ID: beside");
        let sent = self.says(world, &text.replace("SIP/2.0/UDP 192.0.2.7:5070", &self.via));
        assert_eq!(sent[0].status(), 200, "{}", sent[0].text());
    }
}

/// OBS-004 OBS-020: the node says 430, which its caller never hears; nobody asks it for that connection again.
#[test]
fn a_connection_of_another_node_that_is_closed_gets_no_calls() {
    for called in [Transport::Tls, Transport::Ws] {
        let mut world = Cluster::over(Transport::Tcp);
        let callee = world.party(1, "heisenberg", NATS[0], called);
        let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
        callee.registers(&mut world);
        world.closes(&callee);
        for n in 1..=2 {
            let sent = caller.asks(&mut world, "INVITE", CALLED, n, (BOHR, HEISENBERG), "");
            let last = sent.last().unwrap();
            if called == Transport::Ws {
                assert!(last.text().starts_with("SIP/2.0 480 "), "{}", last.text());
            }
            let expected: &[&str] = if n == 1 { &["INVITE", "SIP/2.0 430", "ACK"] } else { &[] };
            let handed = world.handed();
            assert_eq!(handed.len(), expected.len(), "{handed:?}");
            assert!(handed.iter().zip(expected).all(|(one, start)| one.starts_with(start)), "{handed:?}");
        }
        // Where it may listen, it was tried.
        let tried =
            if called == Transport::Tls { vec!["10.0.9.7:5060".parse().unwrap(); 2] } else { Vec::new() };
        assert_eq!(world.opened, tried);
        assert_eq!(world.counters(1).flows_failed, 1);
        world.stop();
    }
}

/// After the 430 the next binding is called, and the caller hears what comes of that.
#[test]
fn after_a_connection_that_is_gone_the_next_binding_is_called() {
    let mut world = Cluster::over(Transport::Tls);
    let far = world.party(1, "heisenberg", NATS[0], Transport::Ws);
    far.registers(&mut world);
    let next = world.party(1, "heisenberg", ("10.0.9.8:5060", "198.51.100.8:40001"), Transport::Udp);
    let next = Party { contact: "sip:next@10.0.9.8:5060".to_owned(), ..next };
    next.registers_beside(&mut world, ";q=0.5");
    world.closes(&far);
    let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
    let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let rings = next.hears(&sent, "INVITE ").clone();
    let taken = next.answers(&mut world, &rings, 200);
    caller.hears(&taken, "SIP/2.0 200 ");
    world.stop();
}

/// PRX-028: a request that is to be secure on its whole way does not go from node to node in the clear.
#[test]
fn a_secure_call_goes_to_another_node_by_tls_alone() {
    for between in [Transport::Tcp, Transport::Tls] {
        let mut world = Cluster::over(between);
        let callee = world.party(1, "heisenberg", NATS[0], Transport::Tls);
        let contact = "sips:heisenberg@10.0.9.7:5060".to_owned();
        let callee = Party { contact, ..callee };
        let text = again(&callee).replace("REGISTER sip:", "REGISTER sips:");
        let sent = callee.says(&mut world, &text.replace("<sip:", "<sips:"));
        assert_eq!(sent[0].status(), 200, "{}", sent[0].text());
        let caller = world.party(0, "bohr", NATS[1], Transport::Tls);
        let (from, to) = ("<sips:bohr~munich.de>;tag=b", "<sips:heisenberg~munich.de>");
        let sent = caller.asks(&mut world, "MESSAGE", "sips:heisenberg~munich.de", 1, (from, to), "");
        if between == Transport::Tls {
            callee.hears(&sent, "MESSAGE sips:heisenberg@10.0.9.7:5060 ");
        } else {
            caller.hears(&sent, "SIP/2.0 480 ");
            assert_eq!(world.handed(), [""; 0]);
        }
        world.stop();
    }
}

/// OBS-004: it closes while it rings.
#[test]
fn a_connection_that_closes_while_its_device_rings_ends_that_branch() {
    let mut world = Cluster::over(Transport::Udp);
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Wss);
    let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
    callee.registers(&mut world);
    let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, "INVITE ").clone();
    callee.answers(&mut world, &rings, 180);
    world.sent.clear();
    world.closes(&callee);
    let sent = std::mem::take(&mut world.sent);
    caller.hears(&sent, "SIP/2.0 480 ");
    world.stop();
}

/// OBS-020: what a dead node had is gone, at once where its own connection tells it, and by its heartbeat where none does.
#[test]
fn a_node_that_died_has_no_connections() {
    for between in [Transport::Udp, Transport::Tcp] {
        for called in [Transport::Udp, Transport::Wss] {
            let mut world = Cluster::over(between);
            let callee = world.party(1, "heisenberg", NATS[0], called);
            let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
            callee.registers(&mut world);
            let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
            let rings = callee.hears(&sent, "INVITE ").clone();
            callee.answers(&mut world, &rings, 180);
            world.sent.clear();
            world.kill(1);
            if between == Transport::Tcp {
                let sent = std::mem::take(&mut world.sent);
                caller.hears(&sent, "SIP/2.0 480 ");
            }
            world.introduce();
            if between == Transport::Udp {
                let sent = std::mem::take(&mut world.sent);
                caller.hears(&sent, "SIP/2.0 480 ");
            }
            let sent = caller.asks(&mut world, "INVITE", CALLED, 2, (BOHR, HEISENBERG), "");
            caller.hears(&sent[1..], "SIP/2.0 480 ");
            assert!(world.opened.is_empty());
            // It registers with the one that is left, and is called.
            let callee = world.party(0, "heisenberg", NATS[0], called);
            callee.says(&mut world, &again(&callee));
            let sent = caller.asks(&mut world, "INVITE", CALLED, 3, (BOHR, HEISENBERG), "");
            callee.hears(&sent, "INVITE ");
            world.stop();
        }
    }
}

/// A REGISTER of the same device once more.
fn again(of: &Party) -> String {
    let Party { user, via, contact, .. } = of;
    let to = format!("<sip:{user}~munich.de>");
    format!(
        "REGISTER sip:munich.de SIP/2.0|Via: {via};branch=z9hG4bKrr{user}|Max-Forwards: 70|From: {to};tag=f|To: {to}|\
         Call-ID: r{user}|CSeq: 2 REGISTER|Contact: <{contact}>|Content-Length: 0"
    )
}

/// A process counts its connections from the first: those of the one before are named with a proof of that one only.
#[test]
fn a_node_that_began_anew_has_none_of_the_connections_of_before() {
    let mut world = Cluster::over(Transport::Tcp);
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Wss);
    let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
    callee.registers(&mut world);
    world.restart(1, node(service(), 1, Transport::Tcp));
    // It would have that number.
    let other = world.party(1, "born", NATS[0], Transport::Wss);
    assert_eq!(other.flow, callee.flow);
    let sent = caller.asks(&mut world, "INVITE", CALLED, 1, (BOHR, HEISENBERG), "");
    caller.hears(&sent[1..], "SIP/2.0 480 ");
    assert_eq!(world.handed(), [""; 0]);
    // One who has not heard of that yet asks, and is refused.
    let site = &world.sites[1];
    let presence = Presence { key: Key([9; 32]), ..site.presence.clone().unwrap() };
    let peer = Some(Box::new(Peer { presence, host: "n1".into(), ahead: 0 }));
    world.event(0, Event::Node { id: NodeId(2), peer });
    let sent = caller.asks(&mut world, "INVITE", CALLED, 2, (BOHR, HEISENBERG), "");
    assert!(sent.iter().all(|sent| sent.flow != other.flow), "somebody else is called");
    // Its ACK is of the refusal.
    assert_eq!(world.counters(1).strangers, 2);
    world.stop();
}

/// Clocks of nodes may differ by any time that they know of.
#[test]
fn nodes_whose_clocks_differ_hand_over_all_the_same() {
    let mut world = Cluster::over(Transport::Tcp);
    world.sites[1].ahead = 86_400_000;
    world.introduce();
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Tcp);
    let caller = world.party(0, "bohr", NATS[1], Transport::Tcp);
    callee.registers(&mut world);
    talk(&mut world, &caller, &callee);
    assert_eq!((world.counters(0).strangers, world.counters(1).strangers), (0, 0));
    world.stop();
}

/// A caller proves who it is to the node that it has called, and to no other.
#[test]
fn a_caller_is_asked_for_a_password_once() {
    let with_passwords = || Service { auth_calls: true, ..guarded() };
    let mut world = Cluster::new((0..2).map(|site| node(with_passwords(), site, Transport::Tcp)).collect());
    let open = Cluster::over(Transport::Tcp).store;
    world.store = open;
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Tcp);
    let caller = world.party(0, "bohr", NATS[1], Transport::Tcp);
    // Nobody asks who is called.
    bind(&mut world, 1, &callee);
    let sent = caller.asks(&mut world, "MESSAGE", CALLED, 1, (BOHR, HEISENBERG), "");
    caller.hears(&sent, "SIP/2.0 407 ");
    assert_eq!(world.handed(), [""; 0]);
    world.stop();
    let free = node(guarded(), 0, Transport::Tcp);
    let mut world = Cluster::new(vec![free, node(with_passwords(), 1, Transport::Tcp)]);
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Tcp);
    let stranger = world.party(0, "bohr", NATS[1], Transport::Tcp);
    bind(&mut world, 1, &callee);
    let stranger_from = ("<sip:dirac~cambridge.uk>;tag=b", HEISENBERG);
    let sent = stranger.asks(&mut world, "MESSAGE", CALLED, 1, stranger_from, "");
    let hears = callee.hears(&sent, "MESSAGE ").clone();
    let answered = callee.answers(&mut world, &hears, 200);
    stranger.hears(&answered, "SIP/2.0 200 ");
    world.stop();
}

/// Binds a device without a REGISTER.
fn bind(world: &mut Cluster, site: usize, device: &Party) {
    use sipreg::proto::binding::{Aor, Change, Source, WantedContact};
    use sipreg::sip::{AnyUri, Uri};
    let uri = Uri::parse(&device.contact).unwrap();
    let source = Source {
        flow: inner(device.flow).1,
        peer: device.peer.parse().unwrap(),
        transport: device.transport,
        is_way: true,
        node: world.sites[site].id,
    };
    let wanted = WantedContact {
        contact: format!("<{uri}>").into(),
        uri: AnyUri::Sip(uri),
        q: None,
        lifetime: 3600,
        path: "".into(),
        source,
    };
    let change = Change {
        aor: Aor::of(&Uri::parse("sip:heisenberg@munich.de").unwrap()),
        call_id: "bind".into(),
        cseq: 1,
        contacts: ContactChange::Contacts(vec![wanted]),
        limit: 10,
    };
    world.store.perform(Operation::Change(change), world.now).unwrap();
}

/// An INVITE as a node would send it for that place, and its Route with a proof.
struct Handing {
    place: String,
    method: Method,
    uri: String,
    branch: String,
    key: Key,
    secret: Option<Key>,
    /// What the Route has in place of what it should.
    forged: Option<(String, String)>,
    rest: String,
    at: Time,
}

impl Handing {
    fn text(&self) -> String {
        let Handing { place, method, uri, branch, key, secret, forged, rest, at } = self;
        let host = Host::parse("10.0.0.1").unwrap();
        let proof = Proof {
            key,
            secret: secret.as_ref(),
            method,
            uri,
            call_id: "h",
            cseq: 1,
            branch,
            sent_by: (&host, Some(5070)),
        };
        let route = sipreg::sip::Uri::parse(format!("sip:{place}10.0.0.2:5070;lr")).unwrap();
        let mut route = proof.put_in(&route, *at).to_string();
        if let Some((part, by)) = forged {
            assert!(route.contains(part), "{route}: {part}");
            route = route.replacen(part, by, 1);
        }
        format!(
            "{method} {uri} SIP/2.0|Via: SIP/2.0/UDP 10.0.0.1:5070;branch={branch};rport|Max-Forwards: 70|Route: <{route}>{rest}|\
             From: {BOHR}|To: {HEISENBERG}|Call-ID: h|CSeq: 1 {method}|Content-Length: 0"
        )
    }
}

/// OBS-003 OBS-004: whatever a stranger sends, a changed token among it, is 403, or silence where the address is no node's;
/// and what a node sends reaches connections of this one alone.
#[test]
fn nobody_but_a_node_reaches_a_connection_and_a_node_reaches_nothing_else() {
    let mut world = Cluster::over(Transport::Udp);
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Wss);
    let victim = world.party(1, "born", ("10.0.9.8:5060", "198.51.100.8:40001"), Transport::Wss);
    callee.registers(&mut world);
    let presence = world.sites[1].presence.clone().unwrap();
    let place = Place { flow: inner(callee.flow).1, peer: None };
    let mut branches = 0;
    let mut handing = |world: &Cluster| {
        branches += 1;
        Handing {
            place: format!("{place}@"),
            method: Method::Message,
            uri: callee.contact.clone(),
            branch: format!("z9hG4bK{branches}"),
            key: presence.key,
            secret: Some(Key::of(b"psi")),
            forged: None,
            rest: String::new(),
            at: world.now,
        }
    };
    // From another port, so that the answer is seen.
    let node_at = "10.0.0.1:9999";
    let good = handing(&world);
    let sent = world.strange(1, node_at, &good.text());
    let hears = callee.hears(&sent, "MESSAGE ").clone();
    // Once more is a copy; later it is too old.
    assert_eq!(world.strange(1, node_at, &good.text()), []);
    callee.answers(&mut world, &hears, 200);
    world.pass(Duration::from_secs(100));
    let text = good.text();
    let statuses = |world: &mut Cluster, peer: &str, text: &str| -> Vec<u16> {
        let before = world.counters(1).strangers;
        let sent = world.strange(1, peer, text);
        assert!(sent.iter().all(|one| one.flow != callee.flow && one.flow != victim.flow), "{text}");
        let is_counted = world.counters(1).strangers > before;
        let gone = sent.iter().any(|one| matches!(one.status(), 430 | 483));
        assert!(is_counted || gone, "{text}");
        sent.iter().map(Sent::status).collect()
    };
    assert_eq!(statuses(&mut world, node_at, &text), [403], "a copy from long ago");
    let named = |party: &Party| format!("{:016x}", inner(party.flow).1.0);
    let forge = |part: &str, by: &str| Some((part.to_owned(), by.to_owned()));
    for forged in [
        forge(&named(&callee), &named(&victim)),
        forge(";node=", ";nod="),
        forge(";lr", ""),
        forge(&format!("{}@", named(&callee)), ""),
        forge("@", "9c41c6336408@"),
    ] {
        let text = Handing { forged, ..handing(&world) }.text();
        assert_eq!(statuses(&mut world, node_at, &text), [403], "{text}");
    }
    let text = handing(&world).text();
    for (part, by) in [
        (format!("MESSAGE {}", callee.contact), format!("MESSAGE {}", victim.contact)),
        ("Call-ID: h".into(), "Call-ID: i".into()),
        ("CSeq: 1".into(), "CSeq: 2".into()),
        ("branch=z9hG4bK".into(), "branch=z9hG4bKx".into()),
        ("UDP 10.0.0.1:5070".into(), "UDP 10.0.0.1:5071".into()),
        ("MESSAGE".into(), "REGISTER".into()),
        ("MESSAGE".into(), "OPTIONS".into()),
        ("MESSAGE".into(), "CANCEL".into()),
        ("Max-Forwards: 70".into(), "Max-Forwards: x".into()),
        ("Route: ".into(), "Route: <sip:10.0.0.2:5070;lr>, ".into()),
        ("Route: ".into(), "Rout: ".into()),
    ] {
        assert!(text.contains(&part));
        let text = text.replace(&part, &by);
        assert_eq!(statuses(&mut world, node_at, &text), [403], "{text}");
    }
    // Neither the key nor the secret alone will do; nor will the key of another node.
    let of_other = world.sites[0].presence.clone().unwrap().key;
    for (key, secret) in
        [(presence.key, None), (of_other, Some(Key::of(b"psi"))), (presence.key, Some(Key::of(b"phi")))]
    {
        let text = Handing { key, secret, ..handing(&world) }.text();
        assert_eq!(statuses(&mut world, node_at, &text), [403]);
    }
    // No node is at that address: whatever it knows.
    let text = handing(&world).text();
    assert_eq!(statuses(&mut world, "192.0.2.66:5070", &text), [0; 0]);
    assert_eq!(statuses(&mut world, "10.0.0.3:5070", "x"), [0; 0]);
    assert_eq!(statuses(&mut world, node_at, "x"), [0; 0]);
    let ack = handing(&world).text().replace("MESSAGE", "ACK");
    assert_eq!(statuses(&mut world, node_at, &ack), [0; 0]);
    // A node may not go on from here, nor come as somebody within a dialog that was not recorded here.
    for (place, rest, status) in [
        (format!("{place}@"), ", <sip:192.0.2.66;lr>", 403),
        (String::new(), "", 403),
        ("x@".to_owned(), "", 403),
        ("8000000000000fff@".to_owned(), "", 430),
        ("0000000000000001@".to_owned(), "", 430),
    ] {
        let text = Handing { place, rest: rest.to_owned(), ..handing(&world) }.text();
        assert_eq!(statuses(&mut world, node_at, &text), [status], "{text}");
    }
    let tired = handing(&world).text().replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(statuses(&mut world, node_at, &tired), [483]);
    // At the other listeners a proof says nothing.
    let flow = FlowId(world.listener(1, Transport::Udp).0 + SITE);
    let text = wire(&handing(&world).text());
    let sent = world.receives(flow, node_at.parse().unwrap(), text.into());
    assert_eq!(sent.iter().map(Sent::status).collect::<Vec<_>>(), [403]);
    world.stop();
}

/// A connection from elsewhere than a node is not even taken.
#[test]
fn strangers_do_not_get_as_far_as_tls() {
    let mut world = Cluster::over(Transport::Tls);
    let (_, local, listener) = *world.sites[1].listeners.last().unwrap();
    let flow = FlowId(FlowId::ACCEPTED.0 + 77);
    let remote = "192.0.2.66:40000".parse().unwrap();
    let actions: Vec<Action> = world.sites[1]
        .endpoint
        .handle(Event::Accepted { listener, flow, local, remote }, world.now)
        .collect();
    assert!(matches!(actions[..], [Action::Close { flow: closed }] if closed == flow), "{actions:?}");
    assert_eq!(world.counters(1).strangers, 1);
    world.stop();
}

/// A caller can name no connection of another node by a Route of its own: neither before a call nor within it.
#[test]
fn no_caller_has_a_connection_of_its_choice_proven() {
    let mut world = Cluster::over(Transport::Tcp);
    let callee = world.party(1, "heisenberg", NATS[0], Transport::Wss);
    let victim = world.party(1, "born", ("10.0.9.8:5060", "198.51.100.8:40001"), Transport::Wss);
    let caller = world.party(0, "bohr", NATS[1], Transport::Udp);
    callee.registers(&mut world);
    let place = Place { flow: inner(victim.flow).1, peer: None };
    let to_victim = format!("<sip:{place}@10.0.0.2:5070;transport=tcp;lr>");
    let sent = caller.asks(
        &mut world,
        "INVITE",
        &victim.contact,
        1,
        (BOHR, HEISENBERG),
        &route(std::slice::from_ref(&to_victim)),
    );
    caller.hears(&sent, "SIP/2.0 403 ");
    let sent = caller.asks(&mut world, "INVITE", CALLED, 2, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, "INVITE ").clone();
    callee.answers(&mut world, &rings, 200);
    let mut back = rows(&rings, "Record-Route");
    back.reverse();
    let tagged = format!("{HEISENBERG};tag=d");
    let is_of_first = |value: &String| value.contains("192.0.2.1") || value.contains("10.0.0.1");
    let own: Vec<String> = back.iter().filter(|value| is_of_first(value)).cloned().collect();
    let recorded = back.iter().find(|value| value.contains("10.0.0.2")).unwrap();
    for (n, last) in (3..).zip([
        to_victim,
        recorded.replace("10.0.0.2", &format!("{place}@10.0.0.2")),
        recorded.replace(";did=", ";did=0"),
        recorded.split(";did=").next().unwrap().to_owned() + ">",
    ]) {
        let values: Vec<String> = own.iter().cloned().chain([last]).collect();
        let sent = caller.asks(&mut world, "INFO", &victim.contact, n, (BOHR, &tagged), &route(&values));
        assert!(sent.iter().all(|one| one.flow != victim.flow), "{values:?}");
        caller.hears(&sent, "SIP/2.0 403 ");
    }
    world.stop();
}
