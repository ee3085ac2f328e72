//! Requests on their way (RFC 3261 §16.3, §16.4 and §16.6): where the next hop is, and the octets that go there.
//!
//! Life of a request: [`refuse`] says whether it may go on at all, [`route`] undoes what was done to reach this proxy,
//! [`spiral`] and [`is_loop`] tell whether it was here before, [`head`] finds the next hop for one target, and
//! [`Forwarded::write`] gives the octets. All that is not this proxy's to change goes on octet by octet.

use std::fmt::{Display, Write as _};
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::proto::binding::Source;
use crate::proto::flow::SentBy;
use crate::proto::ids::{Branch, hex};
use crate::proto::transaction::Keys;
use crate::proto::uas::{Head, Reply};
use crate::sip::{
    AnyUri, Credentials, Header, HeaderName, Headers, Host, Method, NameAddr, Request, RequestWriter,
    Response, Scheme, Uri, has_length_of,
};

/// The Max-Forwards of a request that came without (RFC 3261 §16.6 step 3).
const MAX_FORWARDS: u32 = 70;

/// The Max-Breadth of a request that came without, and the highest that is let through (RFC 5393 §5.3.3).
const MAX_BREADTH: u32 = 60;

/// Where a request is to go, once the traces of its way to this proxy are taken off (RFC 3261 §16.4).
#[derive(Clone, Debug)]
pub struct Routing {
    /// The Request-URI.
    pub uri: Uri,
    /// The Routes that are left, topmost first. Values behind one that nobody needs and that can't be read are missing,
    /// and then nothing is changed.
    pub routes: Vec<NameAddr>,
    /// Whether these are others than those of the request.
    pub is_changed: bool,
    /// Whether a Record-Route of this proxy led here: the request is within a dialog that it knows.
    pub is_known: bool,
    /// The way by which the party came that the request is for, as the last of those Record-Routes says.
    pub by: Option<Source>,
}

/// How the proxy knows itself.
pub trait Own {
    /// Whether requests for that host, port and transport come to this proxy.
    fn is_own(&self, uri: &Uri) -> bool;
    /// Whether this proxy wrote that `did` parameter into a Record-Route.
    fn is_token(&self, token: &str) -> bool;
    /// The way that a `flow` parameter of a Record-Route names, if this proxy wrote it.
    fn flow(&self, token: &str) -> Option<Source>;
}

/// Undoes what was done to reach this proxy (§16.4): a strict router before it put the proxy's Record-Route into the
/// Request-URI, a `maddr` names it, and the topmost Routes do. Several of those are taken off in one step (RFC 5658 §5).
///
/// # Errors
/// 400 where a Route is needed and can't be read; 416 where the last one has to be the Request-URI and is no SIP URI.
pub fn route(request: &Request, uri: &Uri, own: &dyn Own) -> Result<Routing, Reply> {
    let (mut routes, fault) = routes_of(&request.headers);
    let mut is_known = has_token(uri, own);
    let mut by = flow_of(uri, own);
    let mut is_changed = false;
    let mut uri = uri.clone();
    if !routes.is_empty() && is_record(&uri) && own.is_own(&uri) {
        if let Some(fault) = fault {
            return Err(fault);
        }
        match routes.pop().map(|last| last.uri) {
            Some(AnyUri::Sip(last)) => uri = last,
            Some(AnyUri::Other(_)) | None => return Err(Reply::new(416)),
        }
        is_changed = true;
    }
    strip_maddr(&mut uri, own);
    let is_own = |route: &NameAddr| route.uri.sip().is_some_and(|uri| own.is_own(uri));
    let ours = routes.iter().take_while(|route| is_own(route)).count();
    is_changed |= ours > 0;
    for route in routes.drain(..ours) {
        let Some(uri) = route.uri.sip() else { continue };
        if has_token(uri, own) {
            // Of two, that of the side where the request goes is the last.
            (is_known, by) = (true, flow_of(uri, own));
        }
    }
    let is_followed = routes.first().is_some_and(|first| first.uri.sip().is_some());
    match fault {
        Some(fault) if is_changed || !routes.first().is_some_and(is_loose) => Err(fault),
        Some(_) | None if !routes.is_empty() && !is_followed => Err(Reply::bad("Route", "is no SIP URI")),
        Some(_) | None => Ok(Routing { uri, routes, is_changed, is_known, by }),
    }
}

/// The Routes up to the first one that can't be read, and the answer if one of the others is needed.
fn routes_of(headers: &Headers) -> (Vec<NameAddr>, Option<Reply>) {
    if let Ok(routes) = headers.name_addrs(&HeaderName::Route) {
        return (routes, None);
    }
    let mut routes = Vec::new();
    for route in headers.listed(&HeaderName::Route) {
        match route {
            // It may become a Request-URI.
            Ok(reading) => match AnyUri::parse(reading.address.uri.to_string()) {
                Ok(_) => routes.push(reading.address),
                Err(error) => return (routes, Some(Reply::bad("Route", error))),
            },
            Err(error) => return (routes, Some(error.into())),
        }
    }
    (routes, None)
}

/// Whether a Request-URI looks like a Record-Route of a proxy: users have none of these.
fn is_record(uri: &Uri) -> bool {
    uri.user.is_none() && (uri.param("did").is_some() || uri.param("lr").is_some())
}

fn has_token(uri: &Uri, own: &dyn Own) -> bool {
    uri.param("did").flatten().is_some_and(|token| own.is_token(token)) && own.is_own(uri)
}

fn flow_of(uri: &Uri, own: &dyn Own) -> Option<Source> {
    uri.param("flow").flatten().filter(|_| has_token(uri, own)).and_then(|token| own.flow(token))
}

/// Whether a router of this URI leaves the Request-URI alone (§19.1.1 `lr`). Without brackets the parameter is the
/// header's, and means the same.
fn is_loose(route: &NameAddr) -> bool {
    route.uri.sip().is_some_and(|uri| uri.param("lr").is_some()) || route.params.has("lr")
}

/// Takes off a `maddr` that names this proxy, with the port and transport that led here (§16.4).
fn strip_maddr(uri: &mut Uri, own: &dyn Own) {
    let Some(Ok(host)) = uri.param("maddr").flatten().map(Host::parse) else { return };
    let mut named = Uri { port: uri.port, ..Uri::new(uri.scheme, host) };
    if let Some(transport) = uri.transport() {
        named.params.set("transport", Some(transport));
    }
    if !own.is_own(&named) {
        return;
    }
    uri.params.remove("maddr");
    uri.params.remove("transport");
    let default = match uri.scheme {
        Scheme::Sip => 5060,
        Scheme::Sips => 5061,
    };
    uri.port = uri.port.filter(|port| *port == default);
}

/// What makes a request go one way.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The Request-URI to write.
    pub uri: String,
    /// The Route values to write instead of all that are there; `Some("")`: none. `None`: those stay as they are.
    pub routes: Option<String>,
    /// What the next hop is found by (RFC 3263).
    pub hop: Uri,
}

/// How a request goes to a target (§16.6 steps 2, 4, 6 and 7; RFC 3327 §5.4). `path` is that of the target's binding, a
/// comma list or empty; it comes ahead of all other Routes. The first of them is the next hop. Where it has no `lr` it is
/// a strict router, which takes its own URI for the Request-URI and the target from the end of the Routes.
#[must_use]
pub fn head(target: &Uri, path: &str, routing: &Routing) -> Heading {
    let path_values = values_of(path);
    let first = path_values.first().or(routing.routes.first());
    let Some((first, AnyUri::Sip(hop))) = first.map(|first| (first, &first.uri)) else {
        let routes = routing.is_changed.then(String::new);
        return Heading { uri: request_uri(target), routes, hop: target.clone() };
    };
    if is_loose(first) {
        let routes = match (path_values.is_empty(), routing.is_changed) {
            (true, false) => None,
            (true, true) => Some(joined(&routing.routes)),
            (false, _) if routing.routes.is_empty() => Some(path.to_owned()),
            (false, _) => Some(format!("{path}, {}", joined(&routing.routes))),
        };
        return Heading { uri: request_uri(target), routes, hop: hop.clone() };
    }
    let mut others =
        path_values.iter().chain(&routing.routes).skip(1).fold(String::new(), |mut list, value| {
            // Writing to a String cannot fail.
            let _ = write!(list, "{value}, ");
            list
        });
    let _ = write!(others, "<{}>", request_uri(target));
    Heading { uri: request_uri(hop), routes: Some(others), hop: hop.clone() }
}

/// The values of a Path, if all can be read and the first one can be followed.
fn values_of(path: &str) -> Vec<NameAddr> {
    if path.is_empty() {
        return Vec::new();
    }
    let rows: Headers = Header::new(HeaderName::Path, path.to_owned()).into_iter().collect();
    let mut values = rows.name_addrs(&HeaderName::Path).unwrap_or_default();
    if values.first().is_some_and(|first| first.uri.sip().is_none()) {
        values.clear();
    }
    values
}

fn joined(routes: &[NameAddr]) -> String {
    let mut list = String::with_capacity(routes.len() * 48);
    for (at, route) in routes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(list, "{}{route}", if at == 0 { "" } else { ", " });
    }
    list
}

/// The URI as a Request-URI may be: without headers and method (§19.1.1, table 1).
fn request_uri(uri: &Uri) -> String {
    let mut text = String::with_capacity(96);
    // Writing to a String cannot fail.
    let _ = if uri.headers.is_empty() && !uri.params.has("method") {
        write!(text, "{uri}")
    } else {
        let mut bare = Uri { headers: Vec::new(), ..uri.clone() };
        bare.params.remove("method");
        write!(text, "{bare}")
    };
    text
}

/// A request as it leaves for one target.
pub struct Forwarded<'a> {
    /// As it came, with `received` in its topmost Via.
    pub request: &'a Request,
    /// Where it goes.
    pub heading: &'a Heading,
    /// What this proxy is called on the way there.
    pub sent_by: &'a SentBy,
    /// The number of the branch.
    pub branch: Branch,
    /// What [`spiral`] gave.
    pub spiral: u64,
    /// Record-Route values of this proxy, topmost first.
    pub record: &'a [String],
    /// Max-Breadth.
    pub breadth: u32,
    /// Whether credentials for that realm were for this proxy, and stay here.
    pub is_own_realm: &'a dyn Fn(&str) -> bool,
}

impl Forwarded<'_> {
    /// The octets (§16.6): our Via and Record-Route on top; then all rows as they came, but for Route, Max-Forwards,
    /// Max-Breadth and the credentials for this proxy; Content-Length where it was missing; the body.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let Forwarded { request, heading, .. } = self;
        let headers = &request.headers;
        let mut out = RequestWriter::with_room(self.room(), &request.method, &heading.uri);
        self.write_top(&mut out);
        let hops = match headers.max_forwards() {
            Ok(Some(hops)) => u32::from(hops.saturating_sub(1)),
            Ok(None) | Err(_) => MAX_FORWARDS,
        };
        let has_length = has_length_of(headers, &request.body);
        let mut routes = heading.routes.as_deref().filter(|routes| !routes.is_empty());
        let (mut hops, mut breadth) = (Some(hops), Some(self.breadth));
        if routes.is_some() && headers.get(&HeaderName::Route).is_none() {
            put(&mut out, &HeaderName::Route, routes.take());
        }
        for row in headers {
            let name = row.name();
            if matches!(name, HeaderName::Route) && heading.routes.is_some() {
                put(&mut out, name, routes.take());
            } else if matches!(name, HeaderName::MaxForwards) {
                count(&mut out, name, hops.take());
            } else if matches!(name, HeaderName::MaxBreadth) {
                count(&mut out, name, breadth.take());
            } else if matches!(name, HeaderName::ProxyAuthorization) {
                self.write_credentials(row, &mut out);
            } else if has_length || !matches!(name, HeaderName::ContentLength) {
                out.copy(row);
            }
        }
        count(&mut out, &HeaderName::MaxForwards, hops);
        count(&mut out, &HeaderName::MaxBreadth, breadth);
        out.finish_with(&request.body, has_length)
    }

    /// Our Via and our Record-Routes.
    fn write_top(&self, out: &mut RequestWriter) {
        let SentBy { transport, host, port } = self.sent_by;
        let (transport, branch, mut room) = (transport.as_via(), self.branch, [0; 16]);
        let spiral = hex(self.spiral, &mut room);
        let via = format_args!("SIP/2.0/{transport} {host}:{port};rport;branch={branch}.{spiral}");
        put(out, &HeaderName::Via, Some(via));
        for value in self.record {
            out.pieces(&HeaderName::RecordRoute, &[value]);
        }
    }

    /// The credentials of a row that are not for this proxy (RFC 3261 §22.3): mostly all of it, or nothing.
    fn write_credentials(&self, row: &Header, out: &mut RequestWriter) {
        let all = Credentials::parse_all(row.value());
        let is_own = |one: &Credentials| one.get("realm").is_some_and(self.is_own_realm);
        if !all.iter().any(is_own) {
            return out.copy(row);
        }
        for foreign in all.iter().filter(|one| !is_own(one)) {
            put(out, &HeaderName::ProxyAuthorization, Some(foreign));
        }
    }

    /// As many octets as are written, or some more, so that they are written to one place.
    fn room(&self) -> usize {
        let Forwarded { request, heading, .. } = self;
        let of_row = |row: &Header| row.name().as_str().len() + row.value().len() + 4;
        let ours = self.record.iter().map(|value| value.len() + 16).sum::<usize>();
        request.headers.iter().map(of_row).sum::<usize>()
            + ours
            + request.method.as_str().len()
            + heading.uri.len()
            + heading.routes.as_deref().map_or(0, str::len)
            + request.body.len()
            + 256
    }
}

/// Writes a row if there is a value. One that would break out of its line is left out: it came from a row, so it can't.
fn put(out: &mut RequestWriter, name: &HeaderName, value: Option<impl Display>) {
    if let Some(value) = value {
        let _ = out.row(name.clone(), value);
    }
}

/// Writes a row if there is a number.
fn count(out: &mut RequestWriter, name: &HeaderName, number: Option<u32>) {
    if let Some(number) = number {
        out.number(name, number);
    }
}

/// By what a request is known again that comes back unchanged (RFC 5393 §4.2.1): all that decides where it goes. The method
/// is not among it.
#[must_use]
pub fn spiral(request: &Request, routing: &Routing, keys: &Keys) -> u64 {
    keys.of_any(Trace { request, routing })
}

/// What a request has that decides where it goes.
struct Trace<'a> {
    request: &'a Request,
    routing: &'a Routing,
}

impl Hash for Trace<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let headers = &self.request.headers;
        let cseq = headers.get(&HeaderName::CSeq).map_or(&[][..], Header::value);
        cseq.split(|octet| !octet.is_ascii_digit()).next().hash(state);
        // With the tags in them: who changed the rest would do so once, not in each round.
        for name in [HeaderName::CallId, HeaderName::From, HeaderName::To] {
            headers.get(&name).map(Header::value).hash(state);
        }
        let Routing { uri, routes, .. } = self.routing;
        hash_uri(uri, state);
        for route in routes {
            match &route.uri {
                AnyUri::Sip(uri) => hash_uri(uri, state),
                AnyUri::Other(text) => text.hash(state),
            }
        }
    }
}

/// Hashes a URI as it is spelled, without its headers, which go nowhere.
fn hash_uri(uri: &Uri, state: &mut impl Hasher) {
    uri.scheme.hash(state);
    (&uri.user, &uri.password, uri.port).hash(state);
    match &uri.host {
        Host::Name(name) => name.hash(state),
        Host::V4(address) => address.hash(state),
        Host::V6(address) => address.hash(state),
    }
    uri.params.iter().for_each(|param| param.hash(state));
    uri.params.len().hash(state);
}

/// Whether a request has passed here before with that [`spiral`] (RFC 5393 §4.2.2): one of its Vias is ours and says so.
/// Other parameters of Vias are nobody's business (§4.2.4).
#[must_use]
pub fn is_loop(request: &Request, spiral: u64, is_own: &dyn Fn(&Host, Option<u16>) -> bool) -> bool {
    let mut room = [0; 16];
    let mark = hex(spiral, &mut room);
    let has_mark = |row: &Header| {
        row.value().split(|octet| *octet == b'.').skip(1).any(|part| part.starts_with(mark.as_bytes()))
    };
    if !request.headers.all(&HeaderName::Via).any(has_mark) {
        return false;
    }
    match request.headers.vias() {
        Ok(vias) => vias.iter().any(|via| {
            let second = via.branch().and_then(|branch| branch.rsplit_once('.')).map(|(_, second)| second);
            second == Some(mark) && is_own(&via.host, via.port)
        }),
        // Nobody else makes that mark. What spoils a Via on the way would spoil it in each round.
        Err(_) => true,
    }
}

/// Max-Breadth (RFC 5393 §5.3.3): how many branches may be under way at a time because of this request.
#[must_use]
pub fn breadth(request: &Request) -> u32 {
    let row = request.headers.get(&HeaderName::MaxBreadth);
    let digits = row.and_then(|row| row.text().ok()).filter(|text| text.bytes().all(|o| o.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map_or(MAX_BREADTH, |breadth: u32| breadth.min(MAX_BREADTH))
}

/// Takes our Via off a response (RFC 3261 §16.7 step 3). False: there is no other, so it was for this proxy itself.
#[must_use]
pub fn strip(response: &mut Response) -> bool {
    response.headers.remove_first_value(&HeaderName::Via) && response.headers.via_count() > 0
}

/// What a request is refused with before anything is looked up (§16.3 steps 3 and 5): its hops are used up, or it asks
/// proxies for an extension; this one has none.
#[must_use]
pub fn refuse(request: &Request, head: &Head) -> Option<Reply> {
    if head.max_forwards == Some(0) {
        return Some(Reply::new(483));
    }
    let asked = request.headers.option_tags(&HeaderName::ProxyRequire);
    (!asked.is_empty()).then(|| Reply::new(420).with(HeaderName::Unsupported, asked.join(", ")))
}

/// Whether a request may begin a dialog, whose later requests are to come by here (§16.6 step 4).
#[must_use]
pub fn forms_dialog(request: &Request) -> bool {
    // Mostly a look at the octets is enough, and To need not be read.
    let may_be_tag = |octets: &[u8]| octets.eq_ignore_ascii_case(b"tag");
    let may_have_tag = |row: &Header| row.value().windows(3).any(may_be_tag);
    matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer)
        && !(request.headers.get(&HeaderName::To).is_some_and(may_have_tag)
            && request.headers.tag(&HeaderName::To).is_some())
}

#[cfg(test)]
mod tests;
