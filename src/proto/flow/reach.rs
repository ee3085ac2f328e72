//! How requests of the server reach their next hop, and what we are called there (RFC 3261 §16.6 steps 4, 7 and 8, §18.1.1).
//!
//! Datagrams leave from a listener's own socket: the holes that devices have made in their NATs lead to it, and responses
//! come back to an address that we say is ours. A connection is used as long as it lives, whoever has opened it; where
//! there is none, one is opened, and serves all that go there.

use std::net::{IpAddr, SocketAddr};

use super::sources::Source;
use super::{CONNECTING, Flow, Flows, Role};
use crate::proto::context::Context;
use crate::proto::timers::FlowTimer;
use crate::proto::transport::{Destination, Transport};
use crate::proto::{Action, FlowId};
use crate::sip::Host;

/// What we are called on a flow: in the Via and the Record-Route of the requests that are forwarded there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBy {
    /// Over what.
    pub transport: Transport,
    /// Our address there, or a name of ours.
    pub host: Host,
    /// Where we listen.
    pub port: u16,
}

/// How a request reaches its next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proto) enum Reach {
    /// It can be sent now, on this flow and to that peer.
    Ready { flow: FlowId, peer: SocketAddr, sent_by: SentBy },
    /// This connection is being opened for it. It opens, fails, or is closed within 32 s.
    Opening(FlowId),
    /// The system has been asked for our address on the way there.
    Asking(IpAddr),
    /// There is no listener, or no way, for it.
    Unreachable,
}

/// Why it is not known which address of ours leads to a peer.
enum NoSource {
    /// The system has been asked.
    Asked(IpAddr),
    /// None does.
    Nowhere,
}

impl From<NoSource> for Reach {
    fn from(unknown: NoSource) -> Reach {
        match unknown {
            NoSource::Asked(peer) => Reach::Asking(peer),
            NoSource::Nowhere => Reach::Unreachable,
        }
    }
}

/// Who is reached, by which flow, and who we are there.
impl Flows {
    /// How a request of the server reaches that destination. `by` is the flow of a binding: a connection that is still
    /// open is used whatever the destination says, and a UDP listener is the one to send from.
    pub fn reach(&mut self, destination: &Destination, by: Option<FlowId>, context: &mut Context) -> Reach {
        if let Some(ready) = by.and_then(|by| self.by_connection(by, context)) {
            return ready;
        }
        let key = (destination.transport, destination.address);
        match destination.transport {
            Transport::Udp => {
                let reached = self.by_listener(destination.address, by, context);
                reached.unwrap_or_else(Reach::from)
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                let accepted = || self.accepted.get(&key).filter(|_| destination.name.is_none());
                match self.forward.get(destination).or_else(accepted).copied() {
                    Some(id) => self.by_connection(id, context).unwrap_or(Reach::Opening(id)),
                    None => self.forward(destination, context),
                }
            }
        }
    }

    /// By a connection of the server that is open.
    fn by_connection(&mut self, id: FlowId, context: &Context) -> Option<Reach> {
        let flow = self.all.get(&id)?;
        let peer = match &flow.role {
            Role::Accepted { peer, .. } => *peer,
            Role::Forward { destination, .. } => destination.address,
            Role::Client(_) | Role::Listener | Role::Return(..) => return None,
        };
        let sent_by = self.of_connection(flow)?;
        self.keep(id, context.now + self.bounds.idle);
        Some(Reach::Ready { flow: id, peer, sent_by })
    }

    /// By a new connection.
    fn forward(&mut self, destination: &Destination, context: &mut Context) -> Reach {
        if self.bounds.connections == 0 {
            return Reach::Unreachable;
        }
        let (id, until) = (FlowId(context.new_id()), context.now + self.bounds.idle);
        let role = Role::Forward { destination: destination.clone(), until };
        self.all.insert(id, self.of_role(role, destination.transport, None));
        self.forward.insert(destination.clone(), id);
        self.silent.insert((until, id));
        context.wake(FlowTimer::Idle, Some(until));
        context.timers.set(FlowTimer::Incomplete(id), context.now + CONNECTING);
        context.push(Action::Open { flow: id, destination: destination.clone() });
        Reach::Opening(id)
    }

    /// By the UDP listener that the datagram is to leave from.
    fn by_listener(
        &mut self,
        peer: SocketAddr,
        by: Option<FlowId>,
        context: &mut Context,
    ) -> Result<Reach, NoSource> {
        let is_fit = |(_, transport, local): &&(FlowId, Transport, SocketAddr)| {
            *transport == Transport::Udp && local.is_ipv4() == peer.is_ipv4()
        };
        let mut fit = self.listeners.iter().filter(is_fit);
        let mut all = fit.clone().chain(self.for_nodes.iter().filter(is_fit));
        let by = all.find(|(id, ..)| Some(*id) == by);
        let (flow, transport, local) = match (by, fit.next(), fit.next()) {
            (Some(only), ..) | (None, Some(only), None) => *only,
            (None, None, _) => return Ok(Reach::Unreachable),
            (None, Some(first), Some(_)) => {
                let first = *first;
                let source = self.source(peer.ip(), context)?;
                let rank = |(.., local): &&(FlowId, Transport, SocketAddr)| match local.ip() {
                    ip if ip == source => 0,
                    ip if ip.is_unspecified() => 1,
                    ip if ip.is_loopback() == source.is_loopback() => 2,
                    _ => 3,
                };
                self.listeners.iter().filter(is_fit).min_by_key(rank).copied().unwrap_or(first)
            }
        };
        let host = self.called(local.ip(), peer, context)?;
        Ok(Reach::Ready { flow, peer, sent_by: SentBy { transport, host, port: local.port() } })
    }

    /// What we are called on the side a request came from.
    ///
    /// # Errors
    /// The system has been asked for our address on the way to that peer. `None`: there is no way, or the flow is gone.
    pub fn sent_by(
        &mut self,
        flow: FlowId,
        peer: SocketAddr,
        context: &mut Context,
    ) -> Result<SentBy, Option<IpAddr>> {
        let flow = self.all.get(&flow).ok_or(None)?;
        let (transport, local) = (flow.transport, flow.local.ok_or(None)?);
        if transport.is_reliable() {
            return self.of_connection(flow).ok_or(None);
        }
        let host = self.called(local.ip(), peer, context).map_err(|unknown| match unknown {
            NoSource::Asked(peer) => Some(peer),
            NoSource::Nowhere => None,
        })?;
        Ok(SentBy { transport, host, port: local.port() })
    }

    /// The host of a listener at that address, to that peer.
    fn called(&mut self, local: IpAddr, peer: SocketAddr, context: &mut Context) -> Result<Host, NoSource> {
        if local.is_unspecified() {
            self.source(peer.ip(), context).map(Host::from)
        } else {
            Ok(local.into())
        }
    }

    /// The system has found our address on the way to that peer, or no way.
    pub fn source_found(&mut self, peer: IpAddr, local: Option<IpAddr>, context: &Context) {
        let source = local.map_or(Source::Nowhere, Source::Found);
        self.sources.note(peer, source, context.now);
    }

    /// Our address on the way to that peer. The system is asked once where it is not known.
    fn source(&mut self, peer: IpAddr, context: &mut Context) -> Result<IpAddr, NoSource> {
        match self.sources.get(peer, context.now) {
            Source::Found(source) => Ok(source),
            Source::Nowhere => Err(NoSource::Nowhere),
            Source::Asked => Err(NoSource::Asked(peer)),
            Source::Unknown => {
                self.sources.note(peer, Source::Asked, context.now);
                context.push(Action::FindSource { peer });
                Err(NoSource::Asked(peer))
            }
        }
    }

    /// What we are called over that transport, to one side, who are called so to the other.
    pub fn sent_over(&self, transport: Transport, other: &SentBy) -> SentBy {
        match other.host.ip() {
            Some(ip) if other.transport != transport => {
                self.named(transport, SocketAddr::new(ip, other.port))
            }
            Some(_) | None => other.clone(),
        }
    }

    /// How others who want to come back to that side find us (RFC 3261 §16.6 step 4), over TLS if the request `is_secure`.
    /// Where nothing listens for its transport, what does is named.
    pub fn recorded(&self, side: &SentBy, is_secure: bool) -> SentBy {
        let transport = match side.transport {
            plain if is_secure && !plain.is_secure() => plain.secured().unwrap_or(Transport::Tls),
            transport => transport,
        };
        let serves = |transport: Transport| self.listeners.iter().any(|(_, over, _)| *over == transport);
        match (transport, side.host.ip()) {
            (Transport::Udp | Transport::Tcp, _) | (_, None) => side.clone(),
            (_, Some(ip)) if serves(transport) && transport != side.transport => {
                self.named(transport, SocketAddr::new(ip, side.port))
            }
            (_, Some(_)) if serves(transport) => side.clone(),
            (_, Some(_)) => {
                let at = self.listeners.iter().find(|(.., at)| at.port() == side.port);
                SentBy { transport: at.map_or(side.transport, |(_, over, _)| *over), ..side.clone() }
            }
        }
    }

    /// Whether it is a connection that came in, from somebody who may not be reached otherwise.
    pub fn came_in(&self, id: FlowId) -> bool {
        self.all.get(&id).is_some_and(|flow| matches!(flow.role, Role::Accepted { .. }))
    }

    /// Whether it is the listener for other nodes, or has come in there.
    pub fn is_for_nodes(&self, id: FlowId) -> bool {
        self.all.get(&id).is_some_and(|flow| flow.is_for_nodes)
    }

    /// What we are called by other nodes, if they hand requests over to us.
    pub fn for_nodes(&self) -> Option<(FlowId, SentBy)> {
        let (id, transport, at) = self.for_nodes?;
        Some((id, SentBy { transport, host: Host::from(at.ip()), port: at.port() }))
    }

    /// What we are called on a connection.
    fn of_connection(&self, flow: &Flow) -> Option<SentBy> {
        let local = flow.local?;
        let of_node = self.for_nodes().filter(|_| flow.is_for_nodes);
        Some(of_node.map_or_else(|| self.named(flow.transport, local), |(_, sent_by)| sent_by))
    }

    /// What a connection is called: by where others can connect to us.
    fn named(&self, transport: Transport, local: SocketAddr) -> SentBy {
        let rank = |(_, over, at): &&(FlowId, Transport, SocketAddr)| {
            let place = if at.ip() == local.ip() {
                u8::from(at.port() != local.port())
            } else if at.ip().is_unspecified() && at.is_ipv4() == local.is_ipv4() {
                2
            } else {
                3
            };
            (*over != transport, place)
        };
        let at = match self.listeners.iter().min_by_key(rank) {
            Some((.., at)) if at.ip().is_unspecified() => SocketAddr::new(local.ip(), at.port()),
            Some((.., at)) => *at,
            None => local,
        };
        SentBy { transport, host: Host::from(at.ip()), port: at.port() }
    }

    /// Whether a listener at a wildcard address is known to be meant by this one.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        self.has_wildcard(ip, None) && self.sources.is_own(ip)
    }

    /// Whether there is any listener at a wildcard address.
    pub fn has_wildcards(&self) -> bool {
        self.listeners.iter().any(|(.., at)| at.ip().is_unspecified())
    }

    fn has_wildcard(&self, ip: IpAddr, port: Option<u16>) -> bool {
        self.listeners.iter().any(|(.., at)| {
            at.ip().is_unspecified()
                && at.is_ipv4() == ip.is_ipv4()
                && port.is_none_or(|port| port == at.port())
        })
    }

    /// Whether nobody knows yet if this host and port mean a listener at a wildcard address. Then the system has been asked:
    /// an address of ours is its own source.
    pub fn is_unclear(&mut self, host: &Host, port: Option<u16>, context: &mut Context) -> Option<IpAddr> {
        let ip = host.ip().filter(|ip| self.has_wildcard(*ip, port) && !self.sources.is_own(*ip))?;
        match self.source(ip, context) {
            Err(NoSource::Asked(peer)) => Some(peer),
            Err(NoSource::Nowhere) | Ok(_) => None,
        }
    }

    /// Whether something listens at this port.
    pub fn has_port(&self, port: u16) -> bool {
        self.listeners.iter().any(|(_, _, at)| at.port() == port)
    }

    /// Whether somebody who says this host and port, and perhaps this transport, means us: one of the listeners. A
    /// listener at a wildcard address is meant by each address that is known to be ours.
    pub fn is_own(&self, host: &Host, port: Option<u16>, transport: Option<Transport>) -> bool {
        let Some(ip) = host.ip() else { return false };
        // In a URI, `ws` stands for both kinds of WebSocket, and devices say it so.
        let is_of = |over: Transport, transport: Transport| over.as_param() == transport.as_param();
        let serves = |transport| self.listeners.iter().any(|(_, over, _)| is_of(*over, transport));
        // Where nothing listens for a transport, connections that we open are named by what listens for another.
        let transport = transport.filter(|transport| serves(*transport));
        let of_node = |(_, over, at): &(FlowId, Transport, SocketAddr)| {
            port.unwrap_or(over.default_port()) == at.port() && at.ip() == ip
        };
        self.for_nodes.as_ref().is_some_and(of_node)
            || self.listeners.iter().any(|(_, over, at)| {
                transport.is_none_or(|transport| is_of(*over, transport))
                    && port.unwrap_or(over.default_port()) == at.port()
                    && (at.ip() == ip
                        || at.ip().is_unspecified()
                            && at.is_ipv4() == ip.is_ipv4()
                            && self.sources.is_own(ip))
            })
    }
}
