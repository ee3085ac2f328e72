//! The flows of a dry run: each holds the port that a real one would have, and sends nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::local::{self, Bind};
use crate::proto::{Destination, FlowId, Transport};

/// All of them.
#[derive(Default)]
pub(super) struct DryFlows(BTreeMap<FlowId, (Transport, SocketAddr, Socket)>);

impl DryFlows {
    /// Opens one, by the first wish that can be met, and tells its address.
    pub(super) fn open(
        &mut self,
        flow: FlowId,
        Destination { transport, address, .. }: Destination,
        wishes: Vec<Option<Bind>>,
    ) -> io::Result<SocketAddr> {
        let open = |bind| {
            let source = local::source(address, bind)?;
            let socket = local::socket(transport, address)?;
            local::bind(&socket, transport, source)?;
            Ok((local::address(&socket)?, socket))
        };
        let mut bound: io::Result<_> = Err(io::ErrorKind::AddrNotAvailable.into());
        for wish in wishes {
            bound = open(wish);
            if !bound.as_ref().is_err_and(local::is_taken) {
                break;
            }
        }
        let (local, socket) = bound?;
        self.0.insert(flow, (transport, local, socket));
        Ok(local)
    }

    /// Over what, and from where, it would send; `None`: it is none of these.
    pub(super) fn source(&self, flow: FlowId) -> Option<(Transport, SocketAddr)> {
        self.0.get(&flow).map(|(transport, local, _)| (*transport, *local))
    }

    /// Lets go of its port, if it is one of these.
    pub(super) fn close(&mut self, flow: FlowId) {
        self.0.remove(&flow);
    }
}
