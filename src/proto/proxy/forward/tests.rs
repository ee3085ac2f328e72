//! Requests on their way: what is read, what is left alone, and the octets that leave.

use super::*;
use crate::proto::{FlowId, NodeId, Transport};
use crate::sip::Message;

/// The proxy of these tests: `p.example.com` and `192.0.2.1`, ports 5060 and 5080, and its Record-Routes have `did=ours`.
struct Proxy;

impl Own for Proxy {
    fn flow(&self, token: &str) -> Option<Source> {
        let (flow, peer) = (FlowId(token.parse().ok()?), "192.0.2.7:5060".parse().unwrap());
        Some(Source { flow, peer, transport: Transport::Tcp, is_way: true, node: NodeId::LOCAL })
    }

    fn is_own(&self, uri: &Uri) -> bool {
        let host = uri.host.to_string();
        let is_host = host.eq_ignore_ascii_case("p.example.com") || host == "192.0.2.1";
        let is_served = uri.transport().is_none_or(|name| Transport::parse(name).is_some());
        is_host && is_served && matches!(uri.port, None | Some(5060 | 5080))
    }

    fn is_token(&self, token: &str) -> bool {
        token == "ours"
    }
}

fn read(text: &str) -> Request {
    let octets = Bytes::from(text.replace('\n', "\r\n"));
    match Message::parse_datagram(octets) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}: {text}"),
    }
}

/// An INVITE with these rows besides those that all have.
fn invite(uri: &str, rows: &str) -> Request {
    read(&format!(
        "INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa\n{rows}From: <sip:a@example.com>;tag=1\n\
         To: <sip:b@example.com>\nCall-ID: c1\nCSeq: 7 INVITE\nContent-Length: 0\n\n"
    ))
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// [`route`] with the Request-URI as the request has it.
fn routing(request: &Request) -> Result<Routing, Reply> {
    route(request, &uri(&request.uri), &Proxy)
}

/// How a request goes to its own Request-URI.
fn heading(request: &Request) -> Heading {
    let routing = routing(request).unwrap();
    head(&routing.uri, "", &routing)
}

fn sent_by() -> SentBy {
    SentBy { transport: Transport::Udp, host: Host::parse("192.0.2.1").unwrap(), port: 5060 }
}

/// What leaves, with one Record-Route; `example.com` is a realm of ours.
fn written(request: &Request, heading: &Heading, record: &[String]) -> String {
    let forwarded = Forwarded {
        request,
        heading,
        sent_by: &sent_by(),
        branch: Branch(0xAB),
        spiral: 0xCD,
        record,
        breadth: breadth(request),
        is_own_realm: &|realm| realm == "example.com",
    };
    let octets = forwarded.write();
    assert!(octets.len() <= forwarded.room(), "{} > {}", octets.len(), forwarded.room());
    String::from_utf8(octets.to_vec()).unwrap()
}

/// PRX-001, PRX-002, PRX-005, PRX-017, PRX-019, PRX-025, LOP-005
#[test]
fn a_request_leaves_with_our_rows_on_top_and_all_others_as_they_came() {
    let request = read(concat!(
        "NEWMETHOD sip:Bob%20@192.0.2.7:5070;ob SIP/2.0\n",
        "v: SIP/2.0/UDP 192.0.2.9 ;branch=z9hG4bKa;odd;x=\"y\",SIP/2.0/TCP h\n",
        "X-Twice: 1,, 2\n",
        "Max-Forwards: 70\n",
        "f: \"A. \\\"B\\\"\"   <sip:a@example.com>;tag=1\n",
        "To: <sip:b@example.com>\n",
        "Call-ID: c1\n",
        "CSeq: 7 NEWMETHOD\n",
        "Date: Fri, 01 Jan 2010 16:00:00 EST\n",
        "x-twice: ,\n",
        "Record-Route: <sip:192.0.2.9;lr>\n",
        "Path: <sip:path.example.com;lr>\n",
        "Service-Route: not even one\n",
        "Require: everything\n",
        "Authorization: Digest realm=\"example.com\", nonce=\"n\"\n",
        "Contact: <sip:a@192.0.2.9>;q=.5\n",
        "Content-Length: 7\n\n",
        "a\n\0ü\r",
    ));
    let record =
        ["<sip:192.0.2.1;transport=tcp;lr;did=ours>", "<sip:192.0.2.1;lr;did=ours>"].map(String::from);
    assert_eq!(
        written(&request, &heading(&request), &record),
        concat!(
            "NEWMETHOD sip:Bob%20@192.0.2.7:5070;ob SIP/2.0\n",
            "Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK00000000000000ab.00000000000000cd\n",
            "Record-Route: <sip:192.0.2.1;transport=tcp;lr;did=ours>\n",
            "Record-Route: <sip:192.0.2.1;lr;did=ours>\n",
            "Via: SIP/2.0/UDP 192.0.2.9 ;branch=z9hG4bKa;odd;x=\"y\",SIP/2.0/TCP h\n",
            "X-Twice: 1,, 2\n",
            "Max-Forwards: 69\n",
            "From: \"A. \\\"B\\\"\"   <sip:a@example.com>;tag=1\n",
            "To: <sip:b@example.com>\n",
            "Call-ID: c1\n",
            "CSeq: 7 NEWMETHOD\n",
            "Date: Fri, 01 Jan 2010 16:00:00 EST\n",
            "x-twice: ,\n",
            "Record-Route: <sip:192.0.2.9;lr>\n",
            "Path: <sip:path.example.com;lr>\n",
            "Service-Route: not even one\n",
            "Require: everything\n",
            "Authorization: Digest realm=\"example.com\", nonce=\"n\"\n",
            "Contact: <sip:a@192.0.2.9>;q=.5\n",
            "Content-Length: 7\n",
            "Max-Breadth: 60\n\n",
            "a\n\0ü\r",
        )
        .replace('\n', "\r\n"),
    );
}

/// PRX-001, PRX-002, PRX-017, PRX-025, LOP-004
#[test]
fn what_torture_messages_hold_goes_on_untouched() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/torture");
    let mut forwarded = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "sip") {
            continue;
        }
        let octets = Bytes::from(std::fs::read(&file).unwrap());
        let Ok(Message::Request(request)) = Message::parse_datagram(octets) else { continue };
        let Ok(Head { uri: AnyUri::Sip(uri), .. }) = Head::read(&request) else { continue };
        let routing = route(&request, &uri, &Proxy).unwrap();
        let heading = head(&routing.uri, "", &routing);
        let all = Forwarded {
            request: &request,
            heading: &heading,
            sent_by: &sent_by(),
            branch: Branch(1),
            spiral: 2,
            record: &[],
            breadth: 60,
            is_own_realm: &|_| false,
        };
        let Ok(Message::Request(mut read)) = Message::parse_framed(all.write()) else { panic!("{file:?}") };
        assert!(read.headers.remove_first_value(&HeaderName::Via));
        let mut wanted = request.clone();
        let is_strict = heading.routes.is_some().then_some(HeaderName::Route);
        let changed = [HeaderName::MaxForwards, HeaderName::MaxBreadth, HeaderName::ContentLength];
        for name in changed.into_iter().chain(is_strict) {
            read.headers.remove(&name);
            wanted.headers.remove(&name);
        }
        assert_eq!(
            (&read.method, &read.headers, &read.body),
            (&wanted.method, &wanted.headers, &wanted.body)
        );
        forwarded += 1;
    }
    assert!(forwarded > 25, "{forwarded}");
}

/// PRX-004, PRX-005, LOP-005, LOP-006, LOP-009
#[test]
fn hops_count_down_and_breadth_stays_as_it_is() {
    for (rows, hops, wide) in [
        ("", "70", "60"),
        ("Max-Forwards: 70\n", "69", "60"),
        ("Max-Forwards: 1\nMax-Breadth: 60\n", "0", "60"),
        ("max-forwards: 255\nMax-Breadth: 1000\n", "254", "60"),
        ("Max-Forwards: 010\nMax-Breadth: 7\n", "9", "7"),
        ("Max-Breadth: 1\n", "70", "1"),
        ("Max-Breadth: 0\n", "70", "0"),
        ("Max-Breadth: -1\n", "70", "60"),
        ("Max-Breadth: +1\n", "70", "60"),
        ("Max-Breadth:\n", "70", "60"),
        ("Max-Breadth: 99999999999999999999\n", "70", "60"),
        ("Max-Breadth: 3\nMax-Breadth: 4\n", "70", "3"),
    ] {
        let request = invite("sip:b@192.0.2.7", rows);
        let sent = read(&written(&request, &heading(&request), &[]).replace("\r\n", "\n"));
        let values = |name| sent.headers.all(&name).map(Header::text_lossy).collect::<Vec<_>>();
        assert_eq!(
            (values(HeaderName::MaxForwards), values(HeaderName::MaxBreadth)),
            (vec![hops.into()], vec![wide.into()])
        );
    }
}

/// PRX-026
#[test]
fn a_length_is_added_where_none_was_or_it_was_wrong() {
    for (length, wanted) in [
        ("", "Max-Forwards: 70\r\nMax-Breadth: 60\r\nContent-Length: 4\r\n\r\nbody"),
        ("Content-Length: 4\n", "Content-Length: 4\r\nMax-Forwards: 70\r\nMax-Breadth: 60\r\n\r\nbody"),
        ("l: 04\n", "Content-Length: 04\r\nMax-Forwards: 70\r\nMax-Breadth: 60\r\n\r\nbody"),
    ] {
        let request = read(&format!(
            "MESSAGE sip:b@192.0.2.7 SIP/2.0\nVia: SIP/2.0/UDP h\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: c1\n\
             CSeq: 7 MESSAGE\n{length}\nbody"
        ));
        let octets = written(&request, &heading(&request), &[]);
        assert!(octets.ends_with(wanted), "{octets}");
        assert!(Message::parse_framed(octets.into()).is_ok());
    }
}

#[test]
fn credentials_for_this_proxy_stay_here_and_others_go_on() {
    let ours = "Digest username=\"a\", realm=\"example.com\", nonce=\"n\", uri=\"sip:x\", response=\"0\"";
    let theirs = "Digest  username=\"a\",realm=\"else.example.net\", nonce=\"n\"";
    for (rows, left) in [
        (&[ours][..], &[][..]),
        (&[theirs], &[theirs]),
        (&[theirs, ours], &[theirs]),
        (&[ours, theirs, ours], &[theirs]),
        // Wrongly joined in one row.
        (
            &[&format!("{ours}, {theirs}")],
            &["Digest username=\"a\", realm=\"else.example.net\", nonce=\"n\""],
        ),
        (&["Bearer abc"], &["Bearer abc"]),
        (&["Digest realm=\"EXAMPLE.COM\""], &["Digest realm=\"EXAMPLE.COM\""]),
        (&["digest REALM=\"exampl\\e.com\""], &[]),
        (&["junk, , ="], &["junk, , ="]),
    ] {
        let rows: String = rows.iter().map(|row| format!("Proxy-Authorization: {row}\n")).collect();
        let request = invite("sip:b@192.0.2.7", &format!("{rows}Authorization: {ours}\n"));
        let sent = read(&written(&request, &heading(&request), &[]).replace("\r\n", "\n"));
        let found: Vec<_> =
            sent.headers.all(&HeaderName::ProxyAuthorization).map(Header::text_lossy).collect();
        assert_eq!(found, left, "{rows}");
        assert_eq!(sent.headers.get(&HeaderName::Authorization).unwrap().value(), ours.as_bytes());
    }
}

/// PRX-009, PRX-010, PRX-011, PRX-031
#[test]
fn what_was_done_to_reach_this_proxy_is_undone() {
    let ours = "<sip:192.0.2.1;lr;did=ours>";
    // Request-URI and Route rows, then Request-URI and Routes, whether they changed, and whether we know the dialog.
    for (before, rows, after, routes, is_changed, is_known) in [
        ("sip:b@example.com", &[][..], "sip:b@example.com", &[][..], false, false),
        ("sip:b@p.example.com", &[], "sip:b@p.example.com", &[], false, false),
        // Routes of ours: one, two for two transports, one of an earlier start, a preloaded one.
        ("sip:b@192.0.2.7", &[ours], "sip:b@192.0.2.7", &[], true, true),
        (
            "sip:b@192.0.2.7",
            &["<sip:192.0.2.1;transport=tcp;lr;did=ours>, <sip:192.0.2.1;transport=udp;lr;did=ours>"],
            "sip:b@192.0.2.7",
            &[],
            true,
            true,
        ),
        ("sip:b@192.0.2.7", &["<sip:192.0.2.1;lr;did=old>"], "sip:b@192.0.2.7", &[], true, false),
        ("sip:b@192.0.2.7", &["<sip:P.example.com:5080;lr>"], "sip:b@192.0.2.7", &[], true, false),
        (
            "sip:b@192.0.2.7",
            &[ours, "<sip:next.example.com;lr;x>", "\"Q, P\" <sip:last.example.com>;y"],
            "sip:b@192.0.2.7",
            &["<sip:next.example.com;lr;x>", "\"Q, P\" <sip:last.example.com>;y"],
            true,
            true,
        ),
        // Only what is on top.
        (
            "sip:b@192.0.2.7",
            &["<sip:next.example.com;lr>", ours],
            "sip:b@192.0.2.7",
            &["<sip:next.example.com;lr>", "<sip:192.0.2.1;lr;did=ours>"],
            false,
            false,
        ),
        // Somebody else's token, or ours at another host.
        (
            "sip:b@192.0.2.7",
            &["<sip:192.0.2.8;lr;did=ours>"],
            "sip:b@192.0.2.7",
            &["<sip:192.0.2.8;lr;did=ours>"],
            false,
            false,
        ),
        // A strict router before us.
        ("sip:192.0.2.1;lr;did=ours", &["<sip:b@192.0.2.7>"], "sip:b@192.0.2.7", &[], true, true),
        (
            "sip:192.0.2.1;lr;did=ours",
            &["<sip:192.0.2.1;transport=tcp;lr;did=ours>, <sip:next.example.com;lr>", "<sip:b@192.0.2.7>"],
            "sip:b@192.0.2.7",
            &["<sip:next.example.com;lr>"],
            true,
            true,
        ),
        ("sip:192.0.2.1;lr;did=old", &["<sip:b@192.0.2.7>"], "sip:b@192.0.2.7", &[], true, false),
        // No strict router: nothing to put there, a user of ours, another host, a domain that is called directly.
        ("sip:192.0.2.1;lr;did=ours", &[], "sip:192.0.2.1;lr;did=ours", &[], false, true),
        (
            "sip:b@192.0.2.1;lr",
            &["<sip:n.example.com;lr>"],
            "sip:b@192.0.2.1;lr",
            &["<sip:n.example.com;lr>"],
            false,
            false,
        ),
        ("sip:192.0.2.7;lr", &[ours], "sip:192.0.2.7;lr", &[], true, true),
        (
            "sip:p.example.com",
            &["<sip:n.example.com;lr>"],
            "sip:p.example.com",
            &["<sip:n.example.com;lr>"],
            false,
            false,
        ),
        // maddr, with the port and transport that it came in on.
        ("sip:b@example.com;maddr=192.0.2.1", &[], "sip:b@example.com", &[], false, false),
        (
            "sip:b@example.com:5080;maddr=p.example.com;transport=tcp;x",
            &[],
            "sip:b@example.com;x",
            &[],
            false,
            false,
        ),
        ("sip:b@example.com:5060;maddr=192.0.2.1", &[], "sip:b@example.com:5060", &[], false, false),
        (
            "sip:b@example.com:5099;maddr=192.0.2.1",
            &[],
            "sip:b@example.com:5099;maddr=192.0.2.1",
            &[],
            false,
            false,
        ),
        (
            "sip:b@example.com;maddr=192.0.2.1;transport=sctp",
            &[],
            "sip:b@example.com;maddr=192.0.2.1;transport=sctp",
            &[],
            false,
            false,
        ),
        ("sip:b@example.com;maddr=192.0.2.7", &[], "sip:b@example.com;maddr=192.0.2.7", &[], false, false),
        (
            "sip:b@p.example.com;maddr=239.0.0.1",
            &[],
            "sip:b@p.example.com;maddr=239.0.0.1",
            &[],
            false,
            false,
        ),
    ] {
        let rows: String = rows.iter().map(|row| format!("Route: {row}\n")).collect();
        let found = routing(&invite(before, &rows)).unwrap();
        let texts: Vec<_> = found.routes.iter().map(NameAddr::to_string).collect();
        assert_eq!(
            (&*found.uri.to_string(), &*texts),
            (after, &*routes.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "{before} {rows}"
        );
        assert_eq!((found.is_changed, found.is_known), (is_changed, is_known), "{before} {rows}");
    }
}

/// PRX-001
#[test]
fn a_route_that_cannot_be_read_is_refused_where_it_is_needed() {
    let status = |before, rows| {
        routing(&invite(before, rows)).map_err(|reply| reply.status).map(|found| found.routes.len())
    };
    let uri = "sip:b@192.0.2.7";
    assert_eq!(status(uri, "Route: <junk\n"), Err(400));
    assert_eq!(status(uri, "Route: <sip:192.0.2.1;lr>, <junk\n"), Err(400));
    assert_eq!(status(uri, "Route: <sip:n.example.com>\nRoute: <junk\n"), Err(400));
    assert_eq!(status("sip:192.0.2.1;lr;did=ours", "Route: <sip:n.example.com;lr>, <junk\n"), Err(400));
    assert_eq!(status("sip:192.0.2.1;lr;did=ours", "Route: <tel:1>\n"), Err(416));
    assert_eq!(status(uri, "Route: <tel:1>\n"), Err(400));
    assert_eq!(status(uri, "Route: <sip:a b@n.example.com>\n"), Err(400));
    // Somebody else's business.
    assert_eq!(status(uri, "Route: <sip:n.example.com;lr>\nRoute: <junk\n"), Ok(1));
    assert_eq!(status(uri, "Route: <sip:n.example.com;lr>, <tel:1>\n"), Ok(2));
    // Without brackets, with a comma too many, or with nothing at all.
    assert_eq!(status(uri, "Route: sip:192.0.2.1;lr,\n"), Ok(0));
    assert_eq!(status(uri, "Route: sip:n.example.com;lr\n"), Ok(1));
    assert_eq!(status(uri, "Route:\n"), Ok(0));
    // It goes on as it is.
    let request = invite(uri, "Route: <sip:n.example.com;lr>\nRoute: <junk\n");
    assert!(
        written(&request, &heading(&request), &[])
            .contains("\r\nRoute: <sip:n.example.com;lr>\r\nRoute: <junk\r\n")
    );
}

/// PRX-018, PRX-022, PRX-023, PTH-004
#[test]
fn the_next_hop_is_the_first_route_or_else_the_target() {
    // Target, Path, Route row; then Request-URI, Routes, next hop.
    for (target, path, rows, to, routes, hop) in [
        ("sip:b@192.0.2.7:5070;ob", "", "", "sip:b@192.0.2.7:5070;ob", None, "sip:b@192.0.2.7:5070;ob"),
        // A contact with what no Request-URI has.
        (
            "sip:b:pw@192.0.2.7;method=BYE;transport=tcp;lr;maddr=192.0.2.8;ttl=1;user=phone;z=?Route=%3Csip:x%3E&a=b",
            "",
            "",
            "sip:b:pw@192.0.2.7;transport=tcp;lr;maddr=192.0.2.8;ttl=1;user=phone;z=",
            None,
            "sip:b:pw@192.0.2.7;method=BYE;transport=tcp;lr;maddr=192.0.2.8;ttl=1;user=phone;z=?Route=%3Csip:x%3E&a=b",
        ),
        // Routes: ours alone, ours and others, others alone.
        ("sip:b@h", "", "<sip:192.0.2.1;lr>", "sip:b@h", Some(""), "sip:b@h"),
        (
            "sip:b@h",
            "",
            "<sip:192.0.2.1;lr>, <sip:n;lr>, <sip:m>",
            "sip:b@h",
            Some("<sip:n;lr>, <sip:m>"),
            "sip:n;lr",
        ),
        ("sip:b@h", "", "<sip:n:5070;lr=on>, <sip:m>", "sip:b@h", None, "sip:n:5070;lr=on"),
        // The way the device registered.
        ("sip:b@h", "<sip:e@edge;lr;ob>", "", "sip:b@h", Some("<sip:e@edge;lr;ob>"), "sip:e@edge;lr;ob"),
        (
            "sip:b@h",
            "<sip:e;lr>,<sip:f;lr>",
            "<sip:192.0.2.1;lr>",
            "sip:b@h",
            Some("<sip:e;lr>,<sip:f;lr>"),
            "sip:e;lr",
        ),
        ("sip:b@h", "<sip:e;lr>", "<sip:n;lr>", "sip:b@h", Some("<sip:e;lr>, <sip:n;lr>"), "sip:e;lr"),
        ("sip:b@h", "<tel:1>", "", "sip:b@h", None, "sip:b@h"),
        // Strict routers.
        ("sip:b@h?x=y", "", "<sip:s;method=BYE>", "sip:s", Some("<sip:b@h>"), "sip:s;method=BYE"),
        ("sip:b@h", "", "<sip:s>, <sip:n;lr>", "sip:s", Some("<sip:n;lr>, <sip:b@h>"), "sip:s"),
        ("sip:b@h", "", "<sip:192.0.2.1;lr>, <sip:s>", "sip:s", Some("<sip:b@h>"), "sip:s"),
        (
            "sip:b@h",
            "<sip:s>, <sip:e;lr>",
            "<sip:n>",
            "sip:s",
            Some("<sip:e;lr>, <sip:n>, <sip:b@h>"),
            "sip:s",
        ),
    ] {
        let rows = if rows.is_empty() { String::new() } else { format!("Route: {rows}\n") };
        let request = invite("sip:b@example.com", &rows);
        let found = head(&uri(target), path, &routing(&request).unwrap());
        assert_eq!((&*found.uri, found.routes.as_deref(), &*found.hop.to_string()), (to, routes, hop));
        // What is written says the same.
        let octets = written(&request, &found, &[]).replace("\r\n", "\n");
        let sent = read(&octets);
        assert_eq!(sent.uri, to);
        let sent: Vec<_> = sent.headers.all(&HeaderName::Route).map(Header::text_lossy).collect();
        let as_it_was = rows.trim_end().strip_prefix("Route: ");
        let wanted = routes.or(as_it_was).filter(|routes| !routes.is_empty());
        assert_eq!(sent, wanted.into_iter().collect::<Vec<_>>(), "{octets}");
    }
}

/// PRX-017, PRX-022, PTH-004
#[test]
fn routes_stand_where_they_stood() {
    let request = invite("sip:b@h", "Subject: 1\nRoute: <sip:192.0.2.1;lr>\nSubject: 2\nRoute: <sip:n;lr>\n");
    let octets = written(&request, &heading(&request), &[]);
    assert!(octets.contains("Subject: 1\r\nRoute: <sip:n;lr>\r\nSubject: 2\r\nFrom: "), "{octets}");
    let request = invite("sip:b@example.com", "Subject: 1\n");
    let octets = written(&request, &head(&uri("sip:b@h"), "<sip:e;lr>", &routing(&request).unwrap()), &[]);
    let top = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK00000000000000ab.00000000000000cd\r\nRoute: <sip:e;lr>\r\nVia: ";
    assert!(octets.starts_with(top), "{octets}");
}

/// LOP-002
#[test]
fn a_request_is_known_again_by_what_decides_where_it_goes() {
    let text = |uri: &str, route: &str, from: &str, to: &str, call_id: &str, cseq: &str| {
        read(&format!(
            "{} {uri} SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK{}\n{route}From: {from}\nTo: {to}\nCall-ID: {call_id}\n\
             CSeq: {cseq}\nMax-Forwards: {}\n\n",
            cseq.split_once(' ').unwrap().1,
            uri.len() + route.len(),
            call_id.len(),
        ))
    };
    let (uri, from, to) = ("sip:b@p.example.com", "<sip:a@b>;tag=1", "<sip:b@p.example.com>");
    let mark = |request: &Request| spiral(request, &routing(request).unwrap(), &Keys::new(5));
    let first = mark(&text(uri, "", from, to, "c1", "7 INVITE"));
    assert_eq!(first, mark(&text(uri, "", from, to, "c1", "7 INVITE")));
    assert_eq!(first, mark(&text(uri, "", from, to, "c1", "7 CANCEL")), "the method");
    assert_eq!(
        first,
        mark(&text(uri, "Route: <sip:192.0.2.1;lr>\n", from, to, "c1", "7 INVITE")),
        "our own Route"
    );
    assert_eq!(first, mark(&text(uri, "X: y\n", from, to, "c1", "7 INVITE")));
    for other in [
        text("sip:c@p.example.com", "", from, to, "c1", "7 INVITE"),
        text("sip:b@p.example.com;x", "", from, to, "c1", "7 INVITE"),
        text(uri, "Route: <sip:n;lr>\n", from, to, "c1", "7 INVITE"),
        text(uri, "Route: <sip:n;lr>, <sip:m;lr>\n", from, to, "c1", "7 INVITE"),
        text(uri, "", "<sip:a@b>;tag=2", to, "c1", "7 INVITE"),
        text(uri, "", from, "<sip:b@p.example.com>;tag=1", "c1", "7 INVITE"),
        text(uri, "", from, to, "c2", "7 INVITE"),
        text(uri, "", from, to, "c1", "8 INVITE"),
        text(uri, "", from, to, "c1", "77 INVITE"),
    ] {
        assert_ne!(first, mark(&other), "{other:?}");
    }
    assert_ne!(
        first,
        spiral(
            &text(uri, "", from, to, "c1", "7 INVITE"),
            &routing(&invite(uri, "")).unwrap(),
            &Keys::new(6)
        )
    );
}

/// LOP-002, LOP-004
#[test]
fn a_loop_is_one_of_our_vias_with_the_same_mark() {
    let is_own = |host: &Host, port: Option<u16>| host.to_string() == "192.0.2.1" && port == Some(5060);
    for (vias, is_back) in [
        ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa", false),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000ab.00000000000000cd", true),
        (
            "SIP/2.0/TCP 192.0.2.9;x;y=\"a,b\";branch=z9hG4bKa;,SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000ab.00000000000000cd;rport=1",
            true,
        ),
        (
            "SIP/2.0/UDP 192.0.2.9\nVia: SIP/2.0/UDP 192.0.2.1:5060 ; branch = z9hG4bK0000000000000001.00000000000000cd",
            true,
        ),
        // A spiral: it passed here, on its way elsewhere.
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000ab.00000000000000ce", false),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000cd", false),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000ab.00000000000000cd.1", false),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;x=z9hG4bK00000000000000ab.00000000000000cd", false),
        // Another proxy.
        ("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK00000000000000ab.00000000000000cd", false),
        ("SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK00000000000000ab.00000000000000cd", false),
        // A Via that nobody can read must not hide ours.
        ("junk, SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK00000000000000ab.00000000000000cd", true),
        ("junk", false),
        ("00000000000000cd junk", false),
        ("junk\nVia: 00000000000000cd.junk", false),
    ] {
        let request = read(&format!("OPTIONS sip:b@h SIP/2.0\nVia: {vias}\n\n"));
        assert_eq!(is_loop(&request, 0xCD, &is_own), is_back, "{vias}");
    }
    // It finds again what is written.
    let request = invite("sip:b@p.example.com", "");
    let sent = written(&request, &heading(&request), &[]);
    let back = read(&sent.replace("\r\n", "\n"));
    assert!(
        is_loop(&back, 0xCD, &is_own) && !is_loop(&back, 0xCE, &is_own) && !is_loop(&request, 0xCD, &is_own)
    );
}

/// FRK-003, PTH-005, FRK-016
#[test]
fn our_via_is_taken_off_a_response_and_nothing_else() {
    for (vias, is_passed, left) in [
        ("Via: SIP/2.0/UDP p\r\nVia: SIP/2.0/UDP a\r\n", true, "Via: SIP/2.0/UDP a\r\n"),
        (
            "Via: SIP/2.0/UDP p ,SIP/2.0/UDP a;x=\",\" , SIP/2.0/UDP b\r\n",
            true,
            "Via: SIP/2.0/UDP a;x=\",\" , SIP/2.0/UDP b\r\n",
        ),
        ("Via: SIP/2.0/UDP p\r\n", false, ""),
        ("Via: SIP/2.0/UDP p,\r\nVia: ,\r\n", false, "Via: ,\r\n"),
        ("Via: SIP/2.0/UDP p, ,\r\nVia: SIP/2.0/UDP a\r\n", true, "Via: SIP/2.0/UDP a\r\n"),
        ("", false, ""),
    ] {
        let rest = "To: \"B\"  <sip:b@h>;tag=2\r\nPath: <sip:e;lr>\r\nService-Route: <sip:f>\r\nX-Any: ,\r\nContent-Length: 1\r\n\r\n!";
        let octets = Bytes::from(format!("SIP/2.0 180 Ring  Ring\r\n{vias}{rest}"));
        let Ok(Message::Response(mut response)) = Message::parse_datagram(octets) else { panic!("{vias}") };
        assert_eq!(strip(&mut response), is_passed, "{vias}");
        let wanted = format!("SIP/2.0 180 Ring  Ring\r\n{left}{rest}");
        assert_eq!(response.to_bytes(), wanted);
    }
}

/// PRX-003, PRX-004, PRX-006
#[test]
fn a_request_is_refused_that_has_no_hop_left_or_asks_for_what_no_proxy_here_does() {
    let torture = |name: &str| {
        let path = format!("{}/tests/wire/torture/{name}.sip", env!("CARGO_MANIFEST_DIR"));
        match Message::parse_datagram(std::fs::read(path).unwrap().into()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    };
    let refusal = |request: &Request| match Head::read(request) {
        Ok(head) => refuse(request, &head),
        Err(reply) => Some(reply),
    };
    let unsupported = |tags: &'static str| Reply::new(420).with(HeaderName::Unsupported, tags);
    for (request, wanted) in [
        (torture("zeromf"), Some(Reply::new(483))),
        (torture("bext01"), Some(unsupported("noProxiesSupportThis, norDoAnyProxiesSupportThis"))),
        (torture("unkscm"), Some(Reply::new(416))),
        (torture("novelsc"), Some(Reply::new(416))),
        (torture("baddate"), None),
        (torture("esc02"), None),
        (invite("sip:b@h", "Max-Forwards: 0\nProxy-Require: x\n"), Some(Reply::new(483))),
        (invite("sip:b@h", "Max-Forwards: 1\n"), None),
        (invite("sip:b@h", "Proxy-Require: a,\nProxy-Require: path\n"), Some(unsupported("a, path"))),
        (invite("sip:b@h", "Require: x\nProxy-Require:\n"), None),
    ] {
        assert_eq!(refusal(&request), wanted, "{request:?}");
    }
}

/// PRX-019, PRX-020
#[test]
fn only_what_may_begin_a_dialog_is_recorded() {
    for (method, to, forms) in [
        ("INVITE", "<sip:b@h>", true),
        ("SUBSCRIBE", "<sip:b@h>", true),
        ("REFER", "sip:b@h", true),
        ("INVITE", "<sip:b@h;tag=1>", true),
        ("INVITE", "<sip:b@h>;tag=1", false),
        ("INVITE", "sip:b@h;tag=1", false),
        ("SUBSCRIBE", "<sip:b@h>;x;tag=1", false),
        ("REGISTER", "<sip:b@h>", false),
        ("MESSAGE", "<sip:b@h>", false),
        ("OPTIONS", "<sip:b@h>", false),
        ("ACK", "<sip:b@h>", false),
        ("PUBLISH", "<sip:b@h>", false),
        ("invite", "<sip:b@h>", false),
    ] {
        let request = read(&format!("{method} sip:b@h SIP/2.0\nVia: SIP/2.0/UDP h\nTo: {to}\n\n"));
        assert_eq!(forms_dialog(&request), forms, "{method} {to}");
    }
}
