//! Requests on their way through a proxy, and the responses that come back: whatever a request holds, what is written for it
//! is one request with exactly one Via more, and all that is not the proxy's goes on as it came.

use bytes::Bytes;
use sipreg::proto::binding::Source;
use sipreg::proto::ids::Branch;
use sipreg::proto::proxy::best::{Best, Final};
use sipreg::proto::proxy::forward::{self, Forwarded, Heading, Own, Routing};
use sipreg::proto::transaction::Keys;
use sipreg::proto::uas::{Head, Reply};
use sipreg::proto::{SentBy, Transport};
use sipreg::sip::{AnyUri, Header, HeaderName, Headers, Host, Message, NameAddr, Request, Response, Uri};

use super::input::Input;

/// What of all that is named in a request is the proxy's.
#[derive(Clone, Copy)]
enum Ours {
    Nothing,
    Some,
    Everything,
}

impl Own for Ours {
    fn flow(&self, _: &str) -> Option<Source> {
        None
    }

    fn is_own(&self, uri: &Uri) -> bool {
        match self {
            Ours::Nothing => false,
            Ours::Some => is_some(&uri.host.to_string()),
            Ours::Everything => true,
        }
    }

    fn is_token(&self, token: &str) -> bool {
        self.is_realm(token)
    }
}

impl Ours {
    fn is_realm(&self, realm: &str) -> bool {
        match self {
            Ours::Nothing => false,
            Ours::Some => is_some(realm),
            Ours::Everything => true,
        }
    }
}

/// About a half, and the same half each time.
fn is_some(text: &str) -> bool {
    text.bytes().fold(0u8, u8::wrapping_add) & 1 == 0
}

/// The ways that devices registered on.
const PATHS: [&str; 6] = [
    "",
    "<sip:edge.example.net;lr>",
    "<sip:e@[2001:db8::1];lr;ob> , \"Q, P\" <sip:f>;x",
    "<sip:strict.example.net>,<sip:edge.example.net;lr>",
    "<tel:1>",
    "junk",
];

/// The rows that a proxy writes anew.
const CHANGED: [HeaderName; 5] = [
    HeaderName::Route,
    HeaderName::MaxForwards,
    HeaderName::MaxBreadth,
    HeaderName::ProxyAuthorization,
    HeaderName::ContentLength,
];

/// A message that comes by a proxy.
pub fn nothing_else_changes(octets: &[u8]) {
    let mut input = Input::new(octets);
    let ours = input.one(&[Ours::Nothing, Ours::Some, Ours::Everything]);
    let path = input.one(&PATHS);
    let records = input.below(3);
    let statuses: Vec<u16> = (0..input.below(6)).map(|_| 200 + input.number() % 500).collect();
    match Message::parse_datagram(Bytes::copy_from_slice(input.rest())) {
        Ok(Message::Request(request)) => passes(&request, ours, path, records),
        Ok(Message::Response(response)) => comes_back(response, &statuses),
        Err(_) => {}
    }
}

fn passes(request: &Request, ours: Ours, path: &str, records: usize) {
    assert!(!forward::forms_dialog(request) || request.headers.tag(&HeaderName::To).is_none());
    let Ok(head) = Head::read(request) else { return };
    let AnyUri::Sip(uri) = &head.uri else { panic!("no 416") };
    if let Some(refusal) = forward::refuse(request, &head) {
        return assert!(matches!(refusal.status, 420 | 483), "{refusal:?}");
    }
    let routing = match forward::route(request, uri, &ours) {
        Ok(routing) => routing,
        Err(refusal) => return assert!(matches!(refusal.status, 400 | 416), "{refusal:?}"),
    };
    let contacts = request.headers.contact_values().into_iter().flatten();
    let target = contacts.filter_map(|contact| contact.uri.sip().cloned()).next();
    let target = target.unwrap_or(routing.uri.clone());
    let heading = forward::head(&target, path, &routing);
    let to = Uri::parse(&heading.uri).expect("a Request-URI");
    assert!(to.headers.is_empty() && !to.params.has("method"));

    let record: Vec<_> = (0..records).map(|n| format!("<sip:192.0.2.{n};lr>")).collect();
    let sent_by = SentBy { transport: Transport::Udp, host: Host::parse("192.0.2.1").unwrap(), port: 5070 };
    let spiral = forward::spiral(request, &routing, &Keys::new(1));
    let breadth = forward::breadth(request);
    assert!(breadth <= 60);
    let forwarded = Forwarded {
        request,
        heading: &heading,
        sent_by: &sent_by,
        branch: Branch(7),
        spiral,
        record: &record,
        breadth,
        is_own_realm: &|realm| ours.is_realm(realm),
    };
    let Ok(Message::Request(sent)) = Message::parse_framed(forwarded.write()) else {
        panic!("no request is written");
    };
    is_as_it_came(request, &sent, &record);
    is_changed_as_it_should(request, &sent, &heading, &head, breadth);
    credentials_of_others_are_left(request, &sent, ours);
    it_is_known_again(request, &sent, spiral);
    let again = forward::spiral(request, &routing, &Keys::new(1));
    assert_eq!(spiral, again);
    a_route_of_ours_is_gone(&routing, ours);
}

/// One Via on top, then our Record-Routes, and all other rows and the body.
fn is_as_it_came(request: &Request, sent: &Request, record: &[String]) {
    assert_eq!((&sent.method, &sent.version, &sent.body), (&request.method, &request.version, &request.body));
    let mut rows = sent.headers.iter();
    let via = rows.next().expect("our Via");
    let top = "SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK0000000000000007.";
    assert!(*via.name() == HeaderName::Via && via.value().starts_with(top.as_bytes()));
    for value in record {
        let row = rows.next().expect("our Record-Route");
        assert!(*row.name() == HeaderName::RecordRoute && row.value() == value.as_bytes());
    }
    let others = |row: &&Header| !CHANGED.contains(row.name());
    let came: Vec<_> = request.headers.iter().filter(others).collect();
    assert_eq!(rows.filter(others).collect::<Vec<_>>(), came);
    assert_eq!(sent.headers.via_count(), request.headers.via_count() + 1);
}

fn is_changed_as_it_should(request: &Request, sent: &Request, heading: &Heading, head: &Head, breadth: u32) {
    assert_eq!(sent.uri, heading.uri);
    let hops = head.max_forwards.map_or(70, |hops| hops - 1);
    assert_eq!(sent.headers.max_forwards(), Ok(Some(hops)));
    let values =
        |headers: &Headers, name| headers.all(&name).map(|row| row.value().to_vec()).collect::<Vec<_>>();
    assert_eq!(values(&sent.headers, HeaderName::MaxBreadth), [breadth.to_string().into_bytes()]);
    let routes = values(&sent.headers, HeaderName::Route);
    match &heading.routes {
        None => assert_eq!(routes, values(&request.headers, HeaderName::Route)),
        Some(none) if none.is_empty() => assert!(routes.is_empty()),
        Some(text) => assert_eq!(routes, [text.trim_matches([' ', '\t']).as_bytes()]),
    }
    // A loose router finds itself on top.
    let is_loose = heading.hop.param("lr").is_some();
    if heading.routes.as_deref().is_some_and(|routes| is_loose && !routes.is_empty()) {
        let first = sent.headers.name_addrs(&HeaderName::Route).expect("Routes that can be read");
        assert_eq!(first.first().map(|first| first.uri.to_string()), Some(heading.hop.to_string()));
    }
}

fn credentials_of_others_are_left(request: &Request, sent: &Request, ours: Ours) {
    let all = |request: &Request| request.headers.credentials(&HeaderName::ProxyAuthorization);
    let foreign: Vec<_> = all(request)
        .into_iter()
        .filter(|one| !one.get("realm").is_some_and(|realm| ours.is_realm(realm)))
        .collect();
    let left = all(sent);
    assert_eq!(left.len(), foreign.len());
    for (one, other) in left.iter().zip(&foreign) {
        assert_eq!((one.scheme(), one.token68()), (other.scheme(), other.token68()));
        assert!(one.params().iter().eq(other.params().iter()), "{one} {other}");
    }
}

/// When it comes back as it was sent, it is a loop; without our mark in a Via it is none.
fn it_is_known_again(request: &Request, sent: &Request, spiral: u64) {
    let is_ours = |host: &Host, port: Option<u16>| host.to_string() == "192.0.2.1" && port == Some(5070);
    assert!(forward::is_loop(sent, spiral, &is_ours));
    for mark in [spiral, !spiral] {
        let text = format!(".{mark:016x}");
        let has_mark = |row: &Header| row.text_lossy().contains(&text);
        let may_be = request.headers.all(&HeaderName::Via).any(has_mark);
        assert!(may_be || !forward::is_loop(request, mark, &is_ours));
    }
}

fn a_route_of_ours_is_gone(routing: &Routing, ours: Ours) {
    let top = routing.routes.first().and_then(|first: &NameAddr| first.uri.sip());
    assert!(!top.is_some_and(|uri| ours.is_own(uri)));
}

/// A response that comes from several branches, each time with another status.
fn comes_back(mut response: Response, statuses: &[u16]) {
    let vias = response.headers.via_count();
    assert_eq!(forward::strip(&mut response), vias > 1);
    assert_eq!(response.headers.via_count(), vias.saturating_sub(1));
    let mut best = Best::default();
    for status in statuses {
        best.add(if status % 2 == 0 {
            Final::Received(Response { status: *status, ..response.clone() })
        } else {
            Final::Made(Reply::new(*status))
        });
    }
    let status = match best.choose() {
        None => return assert!(statuses.is_empty()),
        Some(Final::Received(chosen)) => {
            assert_eq!((&chosen.reason, &chosen.body), (&response.reason, &response.body));
            let challenges = usize::from(matches!(chosen.status, 401 | 407)) * (statuses.len() - 1);
            assert!(chosen.headers.len() <= response.headers.len() * (1 + challenges));
            assert!(chosen.headers.iter().zip(&response.headers).all(|(one, other)| one == other));
            chosen.status
        }
        Some(Final::Made(reply)) => reply.status,
    };
    let has = |class: u16| statuses.iter().any(|status| status / 100 == class);
    let class = [2, 6, 3, 4, 5].into_iter().find(|class| has(*class));
    assert_eq!(class, Some(status / 100), "{statuses:?}");
    assert!(status != 503 && (status == 500 || statuses.contains(&status)), "{statuses:?}");
}
