//! Building the REGISTER request (RFC 3261 §8.1.1, §10.2).

use std::fmt::{self, Display};
use std::net::SocketAddr;

use bytes::Bytes;

use super::bound::Bound;
use crate::proto::client::plan::{Plan, Purpose};
use crate::proto::ids::{Branch, Tag};
use crate::proto::locate::Transport;
use crate::sip::{
    AnyUri, Header, HeaderName, Host, InjectionError, Method, NameAddr, Params, RequestWriter, Uri,
};

/// What changes from request to request.
pub(super) struct Draft<'a> {
    pub plan: &'a Plan,
    /// The Request-URI as it is sent.
    pub uri: &'a str,
    pub route: &'a [Uri],
    pub transport: Transport,
    pub local: SocketAddr,
    pub branch: Branch,
    pub call_id: &'a str,
    pub from_tag: Tag,
    pub cseq: u32,
    /// From [`asked_contacts`].
    pub contacts: &'a [NameAddr],
    /// Lifetime raised by a 423.
    pub floor: Option<u32>,
    /// Option-tags for Supported.
    pub offered: &'a [&'static str],
    /// Authorization and Proxy-Authorization rows.
    pub credentials: Vec<Header>,
}

/// The contacts as they are asked for: the plan's, else the device's own at `local`; with the plan's q where they
/// have none, and lifetimes below a 423's Min-Expires raised (RFC 3261 §10.2.8). Contacts of `before` that are not asked for
/// again are removed.
pub(super) fn asked_contacts(
    plan: &Plan,
    transport: Transport,
    local: SocketAddr,
    floor: Option<u32>,
    before: Option<&Bound>,
) -> Vec<NameAddr> {
    let mut contacts = match plan.purpose {
        Purpose::Fetch | Purpose::RemoveAll => return Vec::new(),
        Purpose::Bind { .. } | Purpose::Remove if !plan.contacts.is_empty() => plan.contacts.clone(),
        Purpose::Bind { .. } | Purpose::Remove => vec![own_contact(plan, transport, local)],
    };
    for contact in &mut contacts {
        if let (Some(q), None) = (plan.q, contact.q()) {
            contact.params.set("q", Some(&q.to_string()));
        }
        match plan.purpose {
            Purpose::Remove | Purpose::RemoveAll | Purpose::Fetch => {
                contact.params.remove("expires");
            }
            Purpose::Bind { .. } => {
                if let (Some(floor), Some(asked)) = (floor, contact.expires())
                    && asked > 0
                    && asked < floor
                {
                    contact.params.set("expires", Some(&floor.to_string()));
                }
            }
        }
    }
    if matches!(plan.purpose, Purpose::Bind { .. }) {
        let removed = before.map(|before| before.beside(&contacts)).unwrap_or_default();
        contacts.extend(removed.into_iter().map(left_behind));
    }
    contacts
}

/// A contact that this device may have bound as its own earlier and that it no longer has: removed in the request that
/// binds the new one (RFC 3261 §10.2.2), so that nobody calls where it was.
fn left_behind(old: NameAddr) -> NameAddr {
    let mut params = Params::new();
    params.set("expires", Some("0"));
    NameAddr { display: None, uri: old.uri, params }
}

/// The lifetime that `contact` asks for: its own, else the Expires header's; `None` leaves it to the registrar.
pub(super) fn asked_lifetime(plan: &Plan, contact: &NameAddr, floor: Option<u32>) -> Option<u32> {
    contact.expires().or_else(|| expires_header(plan, floor))
}

fn expires_header(plan: &Plan, floor: Option<u32>) -> Option<u32> {
    match plan.purpose {
        Purpose::Remove | Purpose::RemoveAll => Some(0),
        Purpose::Fetch => None,
        Purpose::Bind { expires } => match (expires, floor) {
            (Some(asked), Some(floor)) if asked > 0 => Some(asked.max(floor)),
            (None, Some(floor)) => Some(floor),
            (expires, _) => expires,
        },
    }
}

/// Host and port that Via and Contact say: the advertised ones, else the flow's.
fn sent_by(plan: &Plan, local: SocketAddr) -> (Host, u16) {
    match &plan.advertise {
        Some(said) => (said.0.clone(), said.1.unwrap_or(local.port())),
        None => (Host::from(local.ip()), local.port()),
    }
}

fn own_contact(plan: &Plan, transport: Transport, local: SocketAddr) -> NameAddr {
    let (host, port) = sent_by(plan, local);
    let mut params = Params::new();
    match transport {
        Transport::Udp => {}
        Transport::Tcp => params.set("transport", Some(transport.as_str())),
    }
    let uri = Uri {
        scheme: plan.aor.scheme,
        user: plan.aor.user.clone(),
        password: None,
        host,
        port: Some(port),
        params,
        headers: Vec::new(),
    };
    NameAddr { display: None, uri: AnyUri::Sip(uri), params: Params::new() }
}

impl Draft<'_> {
    /// Host and port of our Via, by which a response is known to be meant for us (RFC 3261 §18.1.2).
    pub fn sent_by(&self) -> (Host, u16) {
        sent_by(self.plan, self.local)
    }

    /// The request as it goes on the wire. The headers that proxies read come first (RFC 3261 §7.3.1).
    ///
    /// # Errors
    ///
    /// A text of the plan holds CR, LF or NUL.
    pub fn build(self) -> Result<Bytes, InjectionError> {
        let plan = self.plan;
        let mut out = RequestWriter::new(&Method::Register, self.uri);
        let (host, port) = self.sent_by();
        let (via, branch) = (self.transport.as_via(), self.branch);
        out.row(HeaderName::Via, format_args!("SIP/2.0/{via} {host}:{port};branch={branch};rport"))?;
        for hop in self.route {
            out.row(HeaderName::Route, Bare(hop))?;
        }
        out.row(HeaderName::MaxForwards, "70")?;
        let is_proxys = |row: &&Header| *row.name() == HeaderName::ProxyAuthorization;
        self.credentials.iter().filter(is_proxys).for_each(|row| out.copy(row));
        let from = Bare(plan.from.as_deref().unwrap_or(&plan.aor));
        out.row(HeaderName::From, format_args!("{from};tag={}", self.from_tag))?;
        out.row(HeaderName::To, Bare(&plan.aor))?;
        out.row(HeaderName::CallId, self.call_id)?;
        out.row(HeaderName::CSeq, format_args!("{} REGISTER", self.cseq))?;
        if plan.purpose == Purpose::RemoveAll {
            out.row(HeaderName::Contact, "*")?;
        }
        for contact in self.contacts {
            out.row(HeaderName::Contact, contact)?;
        }
        if let Some(seconds) = expires_header(plan, self.floor) {
            out.row(HeaderName::Expires, seconds)?;
        }
        if !self.offered.is_empty() {
            out.row(HeaderName::Supported, self.offered.join(", "))?;
        }
        if let Some(text) = &plan.user_agent {
            out.row(HeaderName::UserAgent, text)?;
        }
        self.credentials.iter().filter(|row| !is_proxys(row)).for_each(|row| out.copy(row));
        plan.headers.iter().for_each(|row| out.copy(row));
        Ok(out.finish())
    }
}

/// A URI in brackets.
struct Bare<'a>(&'a Uri);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<")?;
        self.0.fmt(f)?;
        f.write_str(">")
    }
}
