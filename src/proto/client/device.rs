//! What a device that keeps itself bound answers to those who call: it takes no calls, and says so (RFC 3261 §8.2, §11.2,
//! RFC 3842).
//!
//! It keeps nothing: [`Device::answer`] makes the answer of the request alone. Transactions know who has called before,
//! so that each request is told once.

use std::net::SocketAddr;

use super::schedule::AccountEvent;
use crate::proto::transaction::{Lookup, Owner, Transactions};
use crate::proto::uas::{Head, Reply, refuse_extensions, refuse_method};
use crate::proto::{Dropped, FlowId, Notice, RegistrationId};
use crate::sip::{HeaderName, Method, ParseError, Request};

/// The methods that are understood, if not taken.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY";

/// The types that bodies may have.
const ACCEPT: &str = "application/sdp, application/simple-message-summary";

/// The one event package of which notices are taken without having been asked for (RFC 3842).
const SUMMARY: &str = "message-summary";

/// Answers for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The status that an INVITE is refused with, 300 to 699.
    pub on_invite: u16,
}

impl Default for Device {
    /// 480: nobody is there to take the call.
    fn default() -> Device {
        Device { on_invite: 480 }
    }
}

impl Device {
    /// Takes a request that came in on a flow of registrations, answers it and tells the one that is called. With `None`
    /// nobody is: the Request-URI is no contact of ours (RFC 3261 §8.2.2.1). With a fault it is what could be read of
    /// one, and gets 400 (§18.3, §21.4.1).
    pub(in crate::proto) fn receive(
        self,
        called: Option<RegistrationId>,
        (request, fault): (Request, Option<ParseError>),
        flow: FlowId,
        peer: SocketAddr,
        stack: &mut Transactions,
    ) {
        let Some(incoming) = stack.incoming(request, flow, peer) else {
            return stack.context.notify(Notice::Dropped { peer, reason: Dropped::Malformed });
        };
        let keys = stack.keys();
        let request = &incoming.request;
        let about_invite = matches!(request.method, Method::Ack | Method::Cancel);
        let invite = if about_invite { keys.of_invite(request, &incoming.via).ok() } else { None };
        if request.method == Method::Ack {
            if let Some(key) = invite {
                stack.acknowledge(key);
            }
            return;
        }
        let key = keys.of(request, &incoming.via).ok();
        match key.map(|key| stack.look_up(key, None)) {
            None | Some(Lookup::New | Lookup::Merged) => {}
            Some(Lookup::Copy(_)) => return,
        }
        // RFC 3261 §9.2: what is answered can't be cancelled any more, and the CANCEL itself is fine.
        let cancels = request.method == Method::Cancel && invite.is_some_and(|key| stack.has(key));
        let fault = fault.map(|error| Reply::because(400, error.to_string()));
        let reply = match fault.or_else(|| incoming.fault.clone().map(Reply::from)) {
            Some(fault) => Some(fault),
            None if cancels => Some(Reply::new(200)),
            None => self.reply(request, called.is_some()),
        };
        let Some(reply) = reply else { return };
        let from = request.headers.from().map(|from| from.uri.to_string()).unwrap_or_default();
        let (method, status) = (request.method.as_str().to_owned(), reply.status);
        if let Some(registration) = called {
            let what = AccountEvent::Incoming { method, from, status };
            stack.context.notify(Notice::Account { registration, what });
        }
        match key {
            Some(key) if request.method == Method::Invite => {
                stack.refuse_invite(Owner::Device, key, &incoming, reply);
            }
            Some(key) => {
                stack.begin(Owner::Device, key, None, incoming.path);
                stack.answer(key, request, reply);
            }
            None => {
                stack.refuse(&incoming, reply);
            }
        }
    }

    /// The answer to a request; `None` for an ACK, which gets none. A CANCEL that reaches this is about nothing that is
    /// under way.
    #[must_use]
    pub fn answer(self, request: &Request) -> Option<Reply> {
        self.reply(request, true)
    }

    /// The same for a request that is for one of our contacts, or for none.
    fn reply(self, request: &Request, is_ours: bool) -> Option<Reply> {
        if request.method == Method::Ack {
            return None;
        }
        Some(match Head::read(request) {
            Ok(_) if is_ours || is_within(&request.method) => self.decide(request),
            Ok(_) => Reply::new(404),
            Err(answer) => answer,
        })
    }

    fn decide(self, request: &Request) -> Reply {
        // RFC 3261 §8.2.2.3: Require in a CANCEL does not count.
        if request.method != Method::Cancel
            && let Some(refusal) = refuse_extensions(request, &[])
        {
            return refusal;
        }
        match request.method {
            Method::Invite => Reply::new(self.on_invite),
            Method::Options => Reply::new(200)
                .with(HeaderName::Allow, ALLOW)
                .with(HeaderName::Accept, ACCEPT)
                .with(HeaderName::Supported, ""),
            // There is no dialog, and no INVITE that was not answered.
            Method::Bye | Method::Cancel => Reply::new(481),
            Method::Notify => notified(request),
            Method::Register
            | Method::Ack
            | Method::Subscribe
            | Method::Publish
            | Method::Message
            | Method::Info
            | Method::Prack
            | Method::Refer
            | Method::Update
            | Method::Other(_) => refuse_method(&request.method, ALLOW),
        }
    }
}

/// Whether a request of this method is about another one or a call, and not for whoever its Request-URI names.
fn is_within(method: &Method) -> bool {
    matches!(method, Method::Ack | Method::Bye | Method::Cancel)
}

/// RFC 6665 §4.1.3: only the package that needs no subscription is taken without one.
fn notified(request: &Request) -> Reply {
    let package = request.headers.get(&HeaderName::Event).and_then(|row| row.text().ok()).unwrap_or_default();
    let package = package.split(';').next().unwrap_or_default().trim();
    // RFC 6665 §8.2.1: packages are compared octet by octet.
    match package {
        SUMMARY => Reply::new(200),
        "presence" | "dialog" | "reg" | "refer" => Reply::new(481),
        _ => Reply::new(489).with(HeaderName::AllowEvents, SUMMARY),
    }
}

#[cfg(test)]
mod tests;
