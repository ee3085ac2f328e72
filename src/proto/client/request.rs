//! The REGISTER request: its contacts, its rows, and on which transport it leaves (RFC 3261 §8.1.1, §10.2,
//! §18.1.1).

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::SocketAddr;

use bytes::Bytes;

use super::bindings::OwnContacts;
use super::outcome::{Failure, Hop, Unreachable};
use super::plan::{Plan, Purpose, stands_here};
use super::registration::{Await, Registrant, SizeRule, Step, Try, Turn, Visit};
use crate::proto::digest::{Algorithm, hash};
use crate::proto::ids::{Branch, Random, Tag};
use crate::proto::locate::Transport;
use crate::proto::transaction::Outgoing;
use crate::proto::{Cause, Time};
use crate::sip::{
    AnyUri, Header, HeaderName, Host, InjectionError, Method, NameAddr, Params, RequestWriter, Scheme, Uri,
};

/// Above this size a request goes over TCP (RFC 3261 §18.1.1: 200 bytes below an MTU of 1500).
const LARGEST_DATAGRAM: usize = 1300;
/// Most requests of one try.
pub(super) const MOST_REQUESTS: u32 = 40;
/// Most requests to one destination (DES-027).
const MOST_OF_VISIT: u32 = 8;

impl Registrant {
    /// Whether another request may go to this destination, and in this try.
    pub(super) fn has_room(attempt: &Try, visit: &Visit) -> bool {
        attempt.requests < MOST_REQUESTS && visit.requests < MOST_OF_VISIT
    }

    /// Sends the mended request to the same destination, or ends the visit with `otherwise` at a limit.
    pub(super) fn send_again(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        status: u16,
        otherwise: Failure,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        if !Registrant::has_room(attempt, visit) {
            attempt.refuse(visit, status, otherwise);
            return Turn::Fail;
        }
        match visit.flow.local {
            Some(local) => self.send(attempt, visit, local, random, now),
            None => {
                visit.awaits = Await::Flow;
                Turn::Stay(Step::Visit(visit.flow.destination.clone()))
            }
        }
    }

    /// Sends a request on the visit's flow, whose own address is `local`; or has a flow opened for one that
    /// is too large for a datagram.
    pub(super) fn send(
        &mut self,
        attempt: &mut Try,
        visit: &mut Visit,
        local: SocketAddr,
        random: &mut dyn Random,
        now: Time,
    ) -> Turn {
        let transport = visit.flow.destination.transport;
        // Measuring must not count a use of a nonce: the request may yet leave over another transport.
        let mut sessions = self.sessions.clone();
        let next_hop = self.next_hop();
        let uri = next_hop.uri.to_string();
        let scheme = if next_hop.is_sips(&self.plan) { Scheme::Sips } else { Scheme::Sip };
        let remote = visit.flow.destination.address;
        let seen = self.sight.as_deref().and_then(|sight| sight.at(local, remote));
        let seen = seen.filter(|_| self.plan.follows_sight() && !transport.is_websocket());
        let own = Own { transport, local, seen, scheme, call_id: &self.call_id, namesake: self.namesake };
        let before = (self.plan.has_own() || self.drop_stale).then_some(&self.own);
        let contacts = requested_contacts(&self.plan, own, self.min_expires, before);
        let branch = Branch(random.next());
        let request = RegisterBuilder {
            plan: &self.plan,
            uri: &uri,
            route: next_hop.route(&self.plan),
            own,
            branch,
            from_tag: self.from_tag,
            cseq: self.cseq + 1,
            contacts: &contacts,
            min_expires: self.min_expires,
            offered: &self.offered,
            credentials: sessions.authorize("REGISTER", &uri, b""),
        };
        let sent_by = sent_by(&self.plan, own);
        let Ok(bytes) = request.build() else {
            // The plan's texts were checked when it was made: Header refuses the rest.
            attempt.unreachable = Some(Unreachable::Network(Cause::Other(std::io::ErrorKind::InvalidInput)));
            return Turn::Fail;
        };
        let switches = match (transport, visit.flow.size) {
            (Transport::Udp, SizeRule::Unneeded) => bytes.len() > LARGEST_DATAGRAM,
            (Transport::Udp, SizeRule::Switched { .. } | SizeRule::Refused)
            | (Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss, _) => false,
        };
        if switches {
            visit.flow.size = SizeRule::Switched { udp_local: local };
            visit.flow.destination.transport = Transport::Tcp;
            visit.flow.local = None;
            visit.awaits = Await::Flow;
            return Turn::Stay(Step::Switch(visit.flow.destination.clone()));
        }
        let binds = match self.plan.resume {
            Some(_) => {
                let binds = self.plan.binds(&contacts, self.min_expires);
                binds.filter(|contact| !self.plan.has_own() || self.plan.is_own(contact)).cloned().collect()
            }
            None => Vec::new(),
        };
        self.sessions = sessions;
        self.cseq += 1;
        attempt.contacts = contacts;
        attempt.requests += 1;
        let hop = Hop { transport, remote: visit.flow.destination.address, local };
        attempt.tally.on_sent(hop, visit.flow.session.clone(), now);
        visit.requests += 1;
        visit.awaits = Await::Response;
        let outgoing = Outgoing {
            bytes,
            method: Method::Register,
            branch,
            sent_by,
            from_tag: Some(self.from_tag),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
        };
        Turn::Stay(Step::Send { transport, outgoing: Box::new(outgoing), binds })
    }
}

/// A REGISTER request before it is written.
struct RegisterBuilder<'a> {
    plan: &'a Plan,
    /// The Request-URI as it is sent.
    uri: &'a str,
    route: Cow<'a, [Uri]>,
    own: Own<'a>,
    branch: Branch,
    from_tag: Tag,
    cseq: u32,
    /// From [`requested_contacts`].
    contacts: &'a [NameAddr],
    /// The lifetime that a 423 has raised ours to.
    min_expires: Option<u32>,
    /// Option-tags for Supported.
    offered: &'a [&'static str],
    /// Authorization and Proxy-Authorization rows.
    credentials: Vec<Header>,
}

/// The contacts as they are asked for: the plan's, else the device's own at `local`; with the own address where they
/// stand there, with the plan's q where
/// they have none, and lifetimes below a 423's Min-Expires raised (RFC 3261 §10.2.8). Contacts of `before`
/// that are not asked for again are removed.
fn requested_contacts(
    plan: &Plan,
    own: Own<'_>,
    min_expires: Option<u32>,
    before: Option<&OwnContacts>,
) -> Vec<NameAddr> {
    let mut contacts = match plan.purpose {
        Purpose::Fetch | Purpose::RemoveAll => return Vec::new(),
        Purpose::Bind { .. } | Purpose::Remove if !plan.contacts.is_empty() => plan.contacts.clone(),
        Purpose::Bind { .. } | Purpose::Remove => vec![own_contact(plan, own)],
    };
    for contact in &mut contacts {
        if stands_here(contact)
            && let AnyUri::Sip(uri) = &mut contact.uri
        {
            (uri.host, uri.port) = sent_by(plan, own);
        }
        if let (Some(q), None) = (plan.q, contact.q()) {
            contact.params.set("q", Some(&q.to_string()));
        }
        match plan.purpose {
            Purpose::Remove | Purpose::RemoveAll | Purpose::Fetch => {
                contact.params.remove("expires");
            }
            Purpose::Bind { .. } => {
                if let (Some(least), Some(asked)) = (min_expires, contact.expires())
                    && asked > 0
                    && asked < least
                {
                    contact.params.set("expires", Some(&least.to_string()));
                }
            }
        }
    }
    if matches!(plan.purpose, Purpose::Bind { .. }) {
        let stale = before.map(|before| before.beside(&contacts)).unwrap_or_default();
        contacts.extend(stale.into_iter().map(removal));
    }
    contacts
}

/// A contact that this device may have bound as its own earlier and that it no longer has: removed in the
/// request that binds the new one (RFC 3261 §10.2.2), so that nobody calls where it was.
fn removal(stale: NameAddr) -> NameAddr {
    let mut params = Params::new();
    params.set("expires", Some("0"));
    NameAddr { display: None, uri: stale.uri, params }
}

/// Host and port that Via and Contact say: the advertised ones, else the flow's. Nobody connects to the client of a
/// WebSocket: it has a name that leads nowhere, and no port (RFC 7118 §5, §8.1).
fn sent_by(plan: &Plan, own: Own<'_>) -> (Host, Option<u16>) {
    let port = (!own.transport.is_websocket()).then_some(own.local.port());
    match &plan.advertise {
        Some(said) => (said.0.clone(), said.1.or(port)),
        None if own.transport.is_websocket() => (nowhere(own.call_id), port),
        None => (Host::from(own.local.ip()), port),
    }
}

/// A name below `.invalid` (RFC 2606 §2) that is always the same for a Call-ID: whoever goes on with that has the same
/// contact again.
fn nowhere(call_id: &str) -> Host {
    let mut name = hash::hex_of(Algorithm::Sha256, &[b"sent-by", call_id.as_bytes()]);
    name.truncate(16);
    Host::Name(name + ".invalid")
}

/// What the device's own contact is made of, besides the plan.
#[derive(Clone, Copy)]
struct Own<'a> {
    transport: Transport,
    local: SocketAddr,
    /// The address that it says instead.
    seen: Option<SocketAddr>,
    /// `sips` where the request has to be secure on its whole way: its contact is, too (RFC 3261 §8.1.1.8).
    scheme: Scheme,
    call_id: &'a str,
    namesake: u16,
}

/// The user part of the device's own contact: that of the AOR. Of accounts with the same one on one flow all but one have
/// a number behind it (`alice-2`), so that a request finds the account that it is for.
fn own_user(plan: &Plan, namesake: u16) -> Option<String> {
    let user = plan.aor.user.clone();
    if namesake == 0 { user } else { Some(user.unwrap_or_default() + &suffix(namesake)) }
}

/// The end of that user part: a number, from 2 on.
pub(super) fn suffix(namesake: u16) -> String {
    if namesake == 0 { String::new() } else { format!("-{}", u32::from(namesake) + 1) }
}

fn own_contact(plan: &Plan, own: Own<'_>) -> NameAddr {
    let (host, port) = match own.seen {
        Some(seen) => (Host::from(seen.ip()), Some(seen.port())),
        None => sent_by(plan, own),
    };
    let mut params = Params::new();
    match (own.transport, own.scheme) {
        // What goes without saying.
        (Transport::Udp, _) | (Transport::Tcp | Transport::Tls, Scheme::Sips) => {}
        (Transport::Tcp | Transport::Tls, Scheme::Sip) | (Transport::Ws | Transport::Wss, _) => {
            params.set("transport", Some(own.transport.as_param()));
        }
    }
    let uri = Uri {
        scheme: own.scheme,
        user: own_user(plan, own.namesake),
        password: None,
        host,
        port,
        params,
        headers: Vec::new(),
    };
    NameAddr { display: None, uri: AnyUri::Sip(uri), params: Params::new() }
}

impl RegisterBuilder<'_> {
    /// The request as it goes on the wire. The headers that proxies read come first (RFC 3261 §7.3.1).
    ///
    /// # Errors
    ///
    /// A text of the plan holds CR, LF or NUL.
    fn build(self) -> Result<Bytes, InjectionError> {
        let plan = self.plan;
        let mut out = RequestWriter::new(&Method::Register, self.uri);
        let (host, port) = sent_by(plan, self.own);
        let (via, branch) = (self.own.transport.as_via(), self.branch);
        let keep = if plan.offers_keepalives() { ";keep" } else { "" };
        match port {
            Some(port) => {
                let sent_by = format_args!("SIP/2.0/{via} {host}:{port}");
                out.row(HeaderName::Via, format_args!("{sent_by};branch={branch};rport{keep}"))?;
            }
            None => {
                out.row(HeaderName::Via, format_args!("SIP/2.0/{via} {host};branch={branch};rport{keep}"))?
            }
        }
        for hop in self.route.iter() {
            out.row(HeaderName::Route, Bare(hop))?;
        }
        out.row(HeaderName::MaxForwards, "70")?;
        let is_for_proxy = |row: &&Header| *row.name() == HeaderName::ProxyAuthorization;
        self.credentials.iter().filter(is_for_proxy).for_each(|row| out.copy(row));
        let from = Bare(plan.from.as_deref().unwrap_or(&plan.aor));
        out.row(HeaderName::From, format_args!("{from};tag={}", self.from_tag))?;
        out.row(HeaderName::To, Bare(&plan.aor))?;
        out.row(HeaderName::CallId, self.own.call_id)?;
        out.row(HeaderName::CSeq, format_args!("{} REGISTER", self.cseq))?;
        if plan.purpose == Purpose::RemoveAll {
            out.row(HeaderName::Contact, "*")?;
        }
        for contact in self.contacts {
            out.row(HeaderName::Contact, contact)?;
        }
        if let Some(seconds) = plan.expires_header(self.min_expires) {
            out.row(HeaderName::Expires, seconds)?;
        }
        if !self.offered.is_empty() {
            out.row(HeaderName::Supported, self.offered.join(", "))?;
        }
        if let Some(text) = &plan.user_agent {
            out.row(HeaderName::UserAgent, text)?;
        }
        self.credentials.iter().filter(|row| !is_for_proxy(row)).for_each(|row| out.copy(row));
        plan.headers.iter().for_each(|row| out.copy(row));
        Ok(out.finish())
    }
}

/// A URI in angle brackets.
struct Bare<'a>(&'a Uri);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<")?;
        self.0.fmt(f)?;
        f.write_str(">")
    }
}
