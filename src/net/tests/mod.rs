//! The driver's outside against real sockets on loopback. Every wait is bounded, and for an event, never for
//! a timer.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test names the one event that it expects")]

mod cost;
mod dns;
mod drive;
mod listen;
mod listen_tcp;
mod listen_udp;
mod tcp;
mod tls;
mod udp;
mod upgrade;
mod websocket;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::driver::{Network, Waits};
use super::{Clock, Config};
use crate::proto::{Action, Destination, Event, FlowId, Time, Transport};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ONE: FlowId = FlowId(1);
const TWO: FlowId = FlowId(2);

fn network(config: Config) -> Network {
    Network::new(config, Clock::start())
}

/// The next event, which has to come.
async fn event(network: &mut Network) -> Event {
    soon(network.event_by(None)).await
}

impl Network {
    /// The next event; a timeout at `due`.
    async fn event_by(&mut self, due: Option<Time>) -> Event {
        self.event(due, &mut Waits::default()).await
    }
}

/// Awaits something that loopback does within a moment.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("nothing happened")
}

/// Runs the network until something comes in elsewhere; nothing may come in here.
async fn meanwhile<T>(network: &mut Network, other: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = soon(other) => done,
        event = network.event_by(None) => panic!("{event:?}"),
    }
}

fn to(transport: Transport, address: SocketAddr) -> Destination {
    Destination::new(transport, address)
}

fn open(network: &mut Network, flow: FlowId, destination: Destination) {
    assert!(network.perform(Action::Open { flow, destination }).is_none());
}

/// Opens and gives the local address.
async fn opened(network: &mut Network, flow: FlowId, destination: Destination) -> SocketAddr {
    open(network, flow, destination);
    match event(network).await {
        Event::Opened { flow: of, local } if of == flow => local,
        other => panic!("{other:?}"),
    }
}

/// Listens and gives the local address.
async fn listening(network: &mut Network, flow: FlowId, at: Destination) -> SocketAddr {
    let Destination { transport, address, .. } = at;
    assert!(network.perform(Action::Listen { flow, transport, address }).is_none());
    match event(network).await {
        Event::Opened { flow: of, local } if of == flow => local,
        other => panic!("{other:?}"),
    }
}

fn transmit(network: &mut Network, flow: FlowId, peer: SocketAddr, text: &'static str) {
    let bytes = Bytes::from_static(text.as_bytes());
    assert!(network.perform(Action::Transmit { flow, peer, bytes }).is_none());
}

fn close(network: &mut Network, flow: FlowId) {
    assert!(network.perform(Action::Close { flow }).is_none());
}

fn received(event: &Event) -> (FlowId, SocketAddr, &[u8]) {
    match event {
        Event::Received { flow, peer, bytes } => (*flow, *peer, bytes),
        other => panic!("{other:?}"),
    }
}
