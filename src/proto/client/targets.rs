//! Where REGISTER may go: the registrar of the plan, and what 3xx responses add to it (RFC 3261 §8.1.3.4).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;

use super::plan::Plan;
use crate::proto::locate::{Locate, LocateError, Transport};
use crate::sip::{AnyUri, NameAddr, Q, Response, Scheme, Uri};

/// Most destinations of one try.
pub(super) const MOST_DESTINATIONS: usize = 16;
/// Most targets that wait at a time: no more destinations are ever tried.
const MOST_WAITING: usize = MOST_DESTINATIONS;
/// Most 3xx responses that are followed.
const MOST_REDIRECTS: u32 = 5;

/// A Request-URI that a 3xx led to, with the way to it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub uri: Uri,
    pub route: Vec<Uri>,
    /// Overrides RFC 3263's choice for the next hop.
    pub transport: Option<Transport>,
    /// Nothing but 301 led here: it is where the registrar is from now on (RFC 3261 §21.3.2).
    pub is_for_good: bool,
}

/// Where requests go: the Request-URI and the way to it, of a [`Target`] or of the plan.
#[derive(Clone, Copy)]
pub(super) struct NextHop<'a> {
    pub uri: &'a Uri,
    pub route: &'a [Uri],
    pub transport: Option<Transport>,
    pub is_for_good: bool,
}

impl<'a> NextHop<'a> {
    /// Where a plan says that requests go.
    pub fn of(plan: &'a Plan) -> NextHop<'a> {
        let Plan { registrar, route, transport, .. } = plan;
        NextHop { uri: registrar, route, transport: *transport, is_for_good: true }
    }

    /// What finds the way there (RFC 3263).
    pub fn locate(&self, plan: &Plan) -> Result<Locate, LocateError> {
        let Plan { families, pinned, profile, .. } = plan;
        Locate::start(&self.uri_to_locate(plan), self.transport, *families, pinned, *profile)
    }

    /// Whether requests have to be secure on their whole way: their Request-URI says so, or what they are about
    /// (RFC 3261 §8.1.1.8, §26.2.2, RFC 5630 §3.1). Such a registration never goes on without TLS.
    pub fn is_secure(&self, plan: &Plan) -> bool {
        plan.aor.scheme == Scheme::Sips || self.uri.scheme == Scheme::Sips
    }

    /// The same, or their first hop has to be.
    pub fn is_sips(&self, plan: &Plan) -> bool {
        self.is_secure(plan) || self.route.first().is_some_and(|first| first.scheme == Scheme::Sips)
    }

    /// The Route entries as they are written: all of them `sips` where the request has to be secure (RFC 5630 §5.1.1).
    pub fn route(&self, plan: &Plan) -> Cow<'a, [Uri]> {
        if self.is_secure(plan) && !self.route.is_empty() {
            Cow::Owned(self.route.iter().map(as_sips).collect())
        } else {
            Cow::Borrowed(self.route)
        }
    }

    /// The URI that RFC 3263 is applied to (RFC 3261 §8.1.2): a `sips` URI where the request has to be secure, whatever the
    /// Route says.
    pub fn uri_to_locate(&self, plan: &Plan) -> Cow<'a, Uri> {
        let first = self.route.first().unwrap_or(self.uri);
        if self.is_secure(plan) { Cow::Owned(as_sips(first)) } else { Cow::Borrowed(first) }
    }
}

impl Plan {
    /// What finds the servers that its requests can go to first.
    pub(in crate::proto) fn locate(&self) -> Result<Locate, LocateError> {
        NextHop::of(self).locate(self)
    }

    /// The Route entries of its requests, as they are written.
    pub(in crate::proto) fn route(&self) -> Cow<'_, [Uri]> {
        NextHop::of(self).route(self)
    }

    /// Whether its first hop has to be one over TLS.
    pub(in crate::proto) fn is_sips(&self) -> bool {
        NextHop::of(self).is_sips(self)
    }
}

/// The URI with the scheme `sips`, which says all that `transport=tls` does.
fn as_sips(uri: &Uri) -> Uri {
    let mut uri = Uri { scheme: Scheme::Sips, ..uri.clone() };
    if uri.transport().and_then(Transport::parse) == Some(Transport::Tls) {
        uri.params.remove("transport");
    }
    uri
}

/// The target set. A URI enters it once; the original Request-URI is the first.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// The plan's own has been handed out.
    begun: bool,
    waiting: VecDeque<Box<Target>>,
    seen: Vec<Uri>,
    redirects: u32,
}

/// What a 3xx adds to the target set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It has new targets.
    Followed,
    /// No contact, or none that REGISTER can be sent to.
    NoTarget,
    /// All its contacts have been tried before.
    Loop,
    /// So many redirects were followed before that no more are.
    TooMany,
}

impl Targets {
    /// Puts a target before the plan's.
    pub fn put_first(&mut self, target: Box<Target>) {
        self.begun_with(&target.uri);
        self.waiting.push_front(target);
    }

    /// Notes that the try has begun with this URI.
    pub fn begun_with(&mut self, uri: &Uri) {
        self.seen.push(uri.clone());
    }

    /// The next target, if there is one; within it `None` is where the plan says.
    pub fn next(&mut self) -> Option<Option<Box<Target>>> {
        match self.waiting.pop_front() {
            Some(target) => Some(Some(target)),
            None => (!mem::replace(&mut self.begun, true)).then_some(None),
        }
    }

    /// How many there are still.
    pub fn left(&self) -> usize {
        self.waiting.len() + usize::from(!self.begun)
    }

    /// Puts the contacts of a 3xx before the targets that still wait, by falling q. What is too many is
    /// forgotten.
    pub fn redirect(&mut self, response: &Response, from: NextHop<'_>, plan: &Plan) -> Redirect {
        let mut offers = offers(response, from.is_secure(plan));
        if offers.is_empty() {
            return Redirect::NoTarget;
        }
        if self.redirects >= MOST_REDIRECTS {
            return Redirect::TooMany;
        }
        // Stable: equal q keep the order of the response.
        offers.sort_by_key(|(_, q)| std::cmp::Reverse(*q));
        let mut fresh = Vec::new();
        for (uri, _) in offers {
            if fresh.len() == MOST_WAITING {
                break;
            }
            if self.seen.iter().chain([&*plan.registrar]).any(|old| old.matches(&uri)) {
                continue;
            }
            self.seen.push(uri.clone());
            let mut target = if response.status == 305 { through(uri, from) } else { at(uri, from, plan) };
            target.is_for_good = response.status == 301 && from.is_for_good;
            fresh.push(Box::new(target));
        }
        if fresh.is_empty() {
            return Redirect::Loop;
        }
        self.redirects += 1;
        for target in fresh.into_iter().rev() {
            self.waiting.push_front(target);
        }
        self.waiting.truncate(MOST_WAITING);
        Redirect::Followed
    }
}

/// The contacts of a 3xx that REGISTER can be sent to, each as a Request-URI: without user, password, method
/// and headers (RFC 3261 §10.2, §19.1.5), and its q, 1 if it says none (§20.10). Who `is_secure` goes to `sips` ones alone
/// (RFC 5630 §5.1.1).
fn offers(response: &Response, is_secure: bool) -> Vec<(Uri, Q)> {
    let contacts = response.headers.contact_values().into_iter().flatten();
    contacts.filter_map(|contact| offer(contact, is_secure)).collect()
}

fn offer(contact: NameAddr, is_secure: bool) -> Option<(Uri, Q)> {
    let q = contact.q().unwrap_or(Q::ONE);
    let AnyUri::Sip(mut uri) = contact.uri else { return None };
    let is_sips = uri.scheme == Scheme::Sips;
    let is_fit = |transport: Transport| !is_sips || transport.secured().is_some();
    let reachable = uri.transport().is_none_or(|token| Transport::parse(token).is_some_and(is_fit));
    if is_secure && !is_sips || !reachable {
        return None;
    }
    uri.user = None;
    uri.password = None;
    uri.headers.clear();
    uri.params.remove("method");
    Some((uri, q))
}

fn at(uri: Uri, from: NextHop<'_>, plan: &Plan) -> Target {
    // The target's own transport decides; one without keeps what the user forced. Behind a preloaded route
    // the next hop is still the proxy.
    let own = uri.transport().is_some() && from.route.is_empty();
    let is_fit = |transport: &Transport| uri.scheme == Scheme::Sip || transport.secured().is_some();
    let transport = if own { None } else { plan.transport.filter(is_fit) };
    Target { transport, route: from.route.to_vec(), uri, is_for_good: false }
}

/// 305: the same request, through the proxy of the Contact (RFC 3261 §21.3.4).
fn through(mut proxy: Uri, from: NextHop<'_>) -> Target {
    let transport = if proxy.transport().is_some() { None } else { from.transport };
    proxy.params.set("lr", None);
    Target { uri: from.uri.clone(), route: vec![proxy], transport, is_for_good: false }
}
