//! Octets from the network: framed, read, and matched to the request they answer.

use std::net::SocketAddr;

use bytes::Bytes;

use super::Endpoint;
use crate::proto::ids::Branch;
use crate::proto::transaction::Input;
use crate::proto::{Direction, Dropped, FlowId, Notice, Time, TimerKey};
use crate::sip::{Frame, Message, Method, Response, Via};

impl Endpoint {
    pub(super) fn received(&mut self, id: FlowId, peer: SocketAddr, bytes: Bytes, now: Time) {
        let Some(flow) = self.flows.get_mut(id) else {
            self.serve(now, |serving, outside| serving.received(id, peer, bytes, outside));
            return;
        };
        let Some(framer) = &mut flow.framer else {
            self.datagram(id, peer, bytes, now);
            return;
        };
        framer.push(&bytes);
        // One message can close the flow: it is looked up again for each.
        while let Some(framer) = self.flows.get_mut(id).and_then(|flow| flow.framer.as_mut()) {
            match framer.next() {
                Ok(Some(Frame::Message(bytes))) => {
                    self.timers.cancel(TimerKey::Incomplete(id));
                    self.notify_message(id, Direction::Received, peer, bytes.clone());
                    match Message::parse_framed(bytes) {
                        Ok(message) => self.message(message, id, peer, now),
                        Err(_) => self.notify(Notice::Dropped { peer, reason: Dropped::Malformed }),
                    }
                }
                // RFC 5626 §3.5.1: a pong needs no answer; pings only go from client to server.
                Ok(Some(Frame::Ping | Frame::Pong)) => {}
                Ok(None) => {
                    let partial = framer.partial();
                    self.bound_incomplete(id, partial, now);
                    return;
                }
                Err(_) => {
                    self.notify(Notice::Dropped { peer, reason: Dropped::Malformed });
                    let users = self.flows.users(id);
                    self.close(id);
                    for user in users {
                        self.on_registration(user, now, |r, _| r.on_framing_lost(now));
                    }
                    return;
                }
            }
        }
    }

    /// A message that has begun must be complete within 64·T1, so that a silent sender holds nothing for ever. What
    /// waits for the rest of it has begun to wait earlier: to it, this is silence.
    fn bound_incomplete(&mut self, id: FlowId, partial: bool, now: Time) {
        let key = TimerKey::Incomplete(id);
        let registration = self.flows.user(id).and_then(|user| self.registration(user));
        match registration.map(|registration| registration.plan().timing.patience()) {
            Some(patience) if partial && self.timers.due(key).is_none() => {
                self.timers.set(key, now + patience)
            }
            Some(_) if partial => {}
            Some(_) | None => self.timers.cancel(key),
        }
    }

    fn datagram(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes, now: Time) {
        // Keep-alives of CRLFs and STUN packets (first octet 0 or 1) are no SIP; nobody asked for them here.
        self.notify_message(flow, Direction::Received, peer, bytes.clone());
        match Message::parse_datagram(bytes) {
            Ok(message) => self.message(message, flow, peer, now),
            Err(_) => self.notify(Notice::Dropped { peer, reason: Dropped::Malformed }),
        }
    }

    fn message(&mut self, message: Message, flow: FlowId, peer: SocketAddr, now: Time) {
        let reason = match message {
            Message::Request(request) => return self.called(request, flow, peer, now),
            Message::Response(response) => match self.matching(&response) {
                Ok((number, via)) => {
                    let input = if response.status < 200 { Input::Provisional } else { Input::Final };
                    self.input(number, input, Some((response, via)), None, now);
                    return;
                }
                Err(reason) => reason,
            },
        };
        self.notify(Notice::Dropped { peer, reason });
    }

    /// RFC 3261 §17.1.3, and the checks of the module's head.
    fn matching(&self, response: &Response) -> Result<(u64, Via), Dropped> {
        let via = response.headers.top_via().map_err(|_| Dropped::Malformed)?;
        let number = via.branch().and_then(Branch::parse).and_then(|branch| self.branches.get(&branch.0));
        let number = number.ok_or(Dropped::Stray)?;
        let cseq = response.headers.cseq().map_err(|_| Dropped::Malformed)?;
        let transaction = self.transactions.get(number).ok_or(Dropped::Stray)?;
        if cseq.method != Method::Register {
            return Err(Dropped::Stray);
        }
        if response.headers.via_count() > 1 {
            return Err(Dropped::Misrouted);
        }
        if transaction.fits(response, &via, &cseq) { Ok((*number, via)) } else { Err(Dropped::Forged) }
    }
}
