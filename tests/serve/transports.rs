//! All transports of a server beside each other: who registers by which, who is called by which, and who shows a
//! certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sipreg::proto::identity::{Certificate, TlsSession, Untrusted, UpgradeFault};
use sipreg::proto::registrar::service::{Listen, Overload, ServerEvent, Service};
use sipreg::proto::{Cause, Event, FlowId, Time, Transport};

use crate::world::*;

const SERVER: &str = "192.0.2.1";

/// A server that listens for everything.
fn everywhere(service: Service) -> Service {
    let port = |transport: Transport| match transport {
        Transport::Tcp => 5060,
        other => other.default_port(),
    };
    let listen = Transport::ALL.map(|transport| Listen {
        transport,
        address: (SERVER.parse::<std::net::IpAddr>().unwrap(), port(transport)).into(),
    });
    Service { listen: listen.into(), ..service }
}

/// Servers that octets can be given to.
pub trait Served {
    /// What leaves at once.
    fn receives(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Vec<Sent>;
}

impl Served for World {
    fn receives(&mut self, flow: FlowId, peer: SocketAddr, bytes: Bytes) -> Vec<Sent> {
        self.sent.clear();
        self.event(Event::Received { flow, peer, bytes });
        std::mem::take(&mut self.sent)
    }
}

/// Somebody who calls or is called, with the connection where there is one.
pub struct Party {
    pub user: &'static str,
    pub transport: Transport,
    pub peer: String,
    pub flow: FlowId,
    /// What stands in Via and in Contact.
    pub via: String,
    pub contact: String,
}

impl Party {
    pub fn new(world: &mut World, user: &'static str, ip: &str, transport: Transport) -> Party {
        let port = if transport.is_secure() { 5061 } else { 5060 };
        let peer = format!("{ip}:{port}");
        let flow = match transport {
            Transport::Udp => world.udp,
            other => world.connect_over(other, &peer),
        };
        let nowhere = format!("{user}.invalid");
        let (sent_by, param) = match transport {
            Transport::Udp => (peer.clone(), ""),
            Transport::Tcp => (peer.clone(), ";transport=tcp"),
            // It is behind a NAT.
            Transport::Tls => (format!("10.0.0.1:{port}"), ";transport=tls"),
            Transport::Ws | Transport::Wss => (nowhere, ";transport=ws"),
        };
        let via = format!("SIP/2.0/{} {sent_by}", transport.as_via());
        Party { user, transport, peer, flow, via, contact: format!("sip:{user}@{sent_by}{param}") }
    }

    pub fn says(&self, world: &mut impl Served, text: &str) -> Vec<Sent> {
        world.receives(self.flow, self.peer.parse().unwrap(), Bytes::from(wire(text)))
    }

    pub fn registers(&self, world: &mut impl Served) {
        let Party { user, via, contact, .. } = self;
        let to = format!("<sip:{user}~munich.de>");
        let sent = self.says(
            world,
            &format!(
                "REGISTER sip:munich.de SIP/2.0|Via: {via};branch=z9hG4bKr{user}|Max-Forwards: 70|From: {to};tag=f|To: {to}|\
                 Call-ID: r{user}|CSeq: 1 REGISTER|Contact: <{contact}>|Content-Length: 0"
            ),
        );
        assert_eq!(bound(&sent[0]), [format!("<{contact}>;expires=3600")], "{}", sent[0].text());
    }

    /// A request within the call or before it; `n` is CSeq number and branch.
    pub fn asks(
        &self,
        world: &mut impl Served,
        method: &str,
        uri: &str,
        n: u32,
        (from, to): (&str, &str),
        rest: &str,
    ) -> Vec<Sent> {
        let Party { via, contact, .. } = self;
        let rest = if rest.is_empty() { String::new() } else { format!("|{rest}") };
        self.says(
            world,
            &format!(
                "{method} {uri} SIP/2.0|Via: {via};branch=z9hG4bKq{n};rport|Max-Forwards: 70|From: {from}|To: {to}|\
                 Call-ID: call|CSeq: {n} {method}|Contact: <{contact}>{rest}|Content-Length: 0"
            ),
        )
    }

    pub fn answers(&self, world: &mut impl Served, to: &Sent, status: u16) -> Vec<Sent> {
        let mut text = format!("SIP/2.0 {status} Whatever");
        for line in to.text().split("\r\n\r\n").next().unwrap().split("\r\n").skip(1) {
            let is_kept = ["Via: ", "From: ", "Call-ID: ", "CSeq: ", "Record-Route: "];
            if is_kept.iter().any(|name| line.starts_with(name)) {
                text += &format!("|{line}");
            } else if line.starts_with("To: ") {
                let tag = if line.contains(";tag=") { "" } else { ";tag=d" };
                text += &format!("|{line}{tag}");
            }
        }
        self.says(world, &format!("{text}|Contact: <{}>|Content-Length: 0", self.contact))
    }

    /// The one that came to this party: nothing went anywhere else.
    pub fn hears<'a>(&self, sent: &'a [Sent], start: &str) -> &'a Sent {
        let to_me: Vec<&Sent> =
            sent.iter().filter(|one| one.flow == self.flow && one.peer.to_string() == self.peer).collect();
        let text = || sent.iter().map(Sent::text).collect::<Vec<_>>().join("\n");
        assert_eq!(to_me.len(), 1, "{} over {}: {}", start, self.transport, text());
        assert!(to_me[0].text().starts_with(start), "{start}, not {}", to_me[0].text());
        to_me[0]
    }
}

pub fn rows(sent: &Sent, name: &str) -> Vec<String> {
    let text = sent.text();
    text.split("\r\n")
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::to_owned)
        .collect()
}

/// A Route row of these values.
pub fn route(values: &[String]) -> String {
    format!("Route: {}", values.join(", "))
}

/// A Record-Route without what only we understand.
fn plain(value: &str) -> String {
    let uri = value.trim_start_matches('<').trim_end_matches('>');
    uri.split(';')
        .filter(|param| !param.starts_with("did=") && !param.starts_with("flow="))
        .collect::<Vec<_>>()
        .join(";")
}

const BOHR: &str = "<sip:bohr~munich.de>;tag=b";
const HEISENBERG: &str = "<sip:heisenberg~munich.de>";

/// What a side is called in a Record-Route.
fn side(transport: Transport, is_double: bool) -> &'static str {
    match (transport, is_double) {
        (Transport::Udp, false) => "sip:192.0.2.1:5060;lr",
        (Transport::Udp, true) => "sip:192.0.2.1:5060;transport=udp;lr",
        (Transport::Tcp, _) => "sip:192.0.2.1:5060;transport=tcp;lr",
        (Transport::Tls, _) => "sips:192.0.2.1:5061;lr",
        (Transport::Ws, _) => "sip:192.0.2.1:80;transport=ws;lr",
        (Transport::Wss, _) => "sips:192.0.2.1:443;transport=ws;lr",
    }
}

/// Every pair of transports: a call, and a BYE of either side. Who is behind a WebSocket, or has connected by TLS from an
/// address that leads nowhere, is found by the own connection.
///
/// PRX-021 PRX-030 PRX-032 SEC-018 WSS-007 WSS-008 TRN-001
#[test]
fn everybody_calls_everybody_over_every_transport_and_each_side_can_hang_up() {
    for from in Transport::ALL {
        for to in Transport::ALL {
            let mut world = World::new(everywhere(service()));
            let caller = Party::new(&mut world, "bohr", "192.0.2.99", from);
            let callee = Party::new(&mut world, "heisenberg", "192.0.2.11", to);
            callee.registers(&mut world);
            let uri = "sip:heisenberg~munich.de";
            let sent = caller.asks(&mut world, "INVITE", uri, 1, (BOHR, HEISENBERG), "");
            let rings = callee.hears(&sent, &format!("INVITE {} SIP/2.0\r\n", callee.contact));
            let via = &rows(rings, "Via")[0];
            assert!(via.starts_with(&format!("SIP/2.0/{} 192.0.2.1:", to.as_via())), "{via}");
            let recorded = rows(rings, "Record-Route");
            let by_connection = |over: Transport| over.is_secure() || over.is_websocket();
            let is_double = from != to || by_connection(from);
            let sides =
                if is_double { vec![side(to, true), side(from, true)] } else { vec![side(to, false)] };
            assert_eq!(
                recorded.iter().map(|value| plain(value)).collect::<Vec<_>>(),
                sides,
                "{from} to {to}"
            );
            let taken = callee.answers(&mut world, rings, 200);
            let ok = caller.hears(&taken, "SIP/2.0 200 ");
            assert_eq!(rows(ok, "Record-Route"), recorded);
            // The caller goes by the routes from the other end.
            let back: Vec<String> = recorded.iter().rev().cloned().collect();
            let tagged = format!("{HEISENBERG};tag=d");
            let ack = caller.asks(&mut world, "ACK", &callee.contact, 2, (BOHR, &tagged), &route(&back));
            let ack = callee.hears(&ack, &format!("ACK {} SIP/2.0", callee.contact));
            assert!(rows(ack, "Route").is_empty());
            let info = caller.asks(&mut world, "INFO", &callee.contact, 3, (BOHR, &tagged), &route(&back));
            let info = callee.hears(&info, "INFO ");
            let answered = callee.answers(&mut world, info, 200);
            caller.hears(&answered, "SIP/2.0 200 ");
            let bye = callee.asks(&mut world, "BYE", &caller.contact, 9, (&tagged, BOHR), &route(&recorded));
            let bye = caller.hears(&bye, &format!("BYE {} SIP/2.0", caller.contact));
            let answered = caller.answers(&mut world, bye, 200);
            callee.hears(&answered, "SIP/2.0 200 ");
            assert!(world.opened.is_empty() && world.closed.is_empty(), "{from} to {to}");
            world.pass(Duration::from_secs(40));
            world.stop();
        }
    }
}

/// WSS-015: who speaks is not silent, over WebSocket as little as over TCP; and a binding holds its connection.
#[test]
fn a_connection_lives_while_it_is_used_or_bound_over_whatever_it_is() {
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        let mut world = World::new(everywhere(service()));
        let silent = Party::new(&mut world, "born", "192.0.2.12", transport);
        let caller = Party::new(&mut world, "bohr", "192.0.2.99", transport);
        let callee = Party::new(&mut world, "heisenberg", "192.0.2.11", transport);
        callee.registers(&mut world);
        for n in 1..=4 {
            world.pass(Duration::from_secs(100));
            let sent = caller.asks(&mut world, "OPTIONS", "sip:munich.de", n, (BOHR, "<sip:munich.de>"), "");
            caller.hears(&sent, "SIP/2.0 200 ");
        }
        assert_eq!(world.closed, [silent.flow], "{transport}");
        world.pass(Duration::from_secs(200));
        assert_eq!(world.closed, [silent.flow, caller.flow], "{transport}");
        world.pass(Duration::from_secs(3600));
        assert_eq!(world.closed.len(), 3, "{transport}");
        world.stop();
    }
}

/// Devices say the way to the server in a Route of their own; `transport=ws` there is right for both kinds of WebSocket.
///
/// WSS-008
#[test]
fn a_route_that_names_any_listener_of_ours_leads_nowhere_else() {
    let mut world = World::new(everywhere(service()));
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Wss);
    for (n, route) in (1..).zip([
        "sip:192.0.2.1:443;transport=ws",
        "sips:192.0.2.1:443;transport=ws",
        "sips:192.0.2.1;transport=ws",
        "sip:192.0.2.1;transport=wss",
        "sip:192.0.2.1:80;transport=ws",
        "sip:192.0.2.1;transport=ws",
        "sips:192.0.2.1",
        "sips:192.0.2.1:5061;transport=tcp",
        "sip:192.0.2.1:5061;transport=tls",
        "sip:munich.de;transport=ws",
        "sips:munich.de:443;transport=ws",
    ]) {
        let of = format!("Route: <{route};lr>");
        let sent = caller.asks(&mut world, "OPTIONS", "sip:munich.de", n, (BOHR, "<sip:munich.de>"), &of);
        caller.hears(&sent, "SIP/2.0 200 ");
    }
    for (n, route) in (20..).zip([
        "sips:192.0.2.1:5060",
        "sip:192.0.2.1:443;transport=tcp",
        "sip:192.0.2.1:81;transport=ws",
    ]) {
        let of = format!("Route: <{route};lr>");
        let sent = caller.asks(&mut world, "OPTIONS", "sip:munich.de", n, (BOHR, "<sip:munich.de>"), &of);
        caller.hears(&sent, "SIP/2.0 403 ");
    }
    world.stop();
}

/// Whoever is behind a connection that is gone is nowhere: the caller hears that at once, and nobody is looked for.
#[test]
fn a_device_whose_websocket_is_gone_is_not_looked_for_elsewhere() {
    for transport in [Transport::Ws, Transport::Wss] {
        let mut world = World::new(everywhere(service()));
        let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
        let callee = Party::new(&mut world, "heisenberg", "192.0.2.11", transport);
        callee.registers(&mut world);
        let sent = caller.asks(&mut world, "INVITE", "sip:heisenberg~munich.de", 1, (BOHR, HEISENBERG), "");
        let rings = callee.hears(&sent, "INVITE ").clone();
        callee.answers(&mut world, &rings, 200);
        world.event(Event::Closed { flow: callee.flow });
        let mut route = rows(&rings, "Record-Route");
        route.reverse();
        let (tagged, route) = (format!("{HEISENBERG};tag=d"), format!("Route: {}", route.join(", ")));
        let ack = caller.asks(&mut world, "ACK", &callee.contact, 2, (BOHR, &tagged), &route);
        assert_eq!(ack, []);
        let bye = caller.asks(&mut world, "BYE", &callee.contact, 3, (BOHR, &tagged), &route);
        caller.hears(&bye, "SIP/2.0 480 ");
        let call = caller.asks(&mut world, "INVITE", "sip:heisenberg~munich.de", 4, (BOHR, HEISENBERG), "");
        assert!(call.last().unwrap().text().starts_with("SIP/2.0 480 "), "{}", call.last().unwrap().text());
        // Another one that comes from the same address is somebody else.
        let other = world.connect_over(transport, &callee.peer);
        let bye = caller.asks(&mut world, "BYE", &callee.contact, 5, (BOHR, &tagged), &route);
        caller.hears(&bye, "SIP/2.0 480 ");
        assert!(bye.iter().all(|sent| sent.flow != other) && world.opened.is_empty());
        world.pass(Duration::from_secs(40));
        world.stop();
    }
}

/// Only who has seen our Record-Route of that very call knows a connection by it: no other call, and no flow of choice.
#[test]
fn a_connection_is_named_by_nobody_but_us_and_for_one_call_alone() {
    let mut world = World::new(everywhere(service()));
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Udp);
    let callee = Party::new(&mut world, "heisenberg", "192.0.2.11", Transport::Ws);
    let victim = Party::new(&mut world, "born", "192.0.2.12", Transport::Ws);
    callee.registers(&mut world);
    let sent = caller.asks(&mut world, "INVITE", "sip:heisenberg~munich.de", 1, (BOHR, HEISENBERG), "");
    let rings = callee.hears(&sent, "INVITE ").clone();
    callee.answers(&mut world, &rings, 200);
    let route = rows(&rings, "Record-Route")[0].clone();
    let tagged = format!("{HEISENBERG};tag=d");
    let named = |flow: FlowId| format!("{:016x}", flow.0);
    assert!(route.contains(&format!(";flow={}", named(callee.flow))), "{route}");
    let forged = route.replace(&named(callee.flow), &named(victim.flow));
    for route in [forged, route.split(";flow=").next().unwrap().to_owned() + ";flow=x>"] {
        let bye =
            caller.asks(&mut world, "BYE", &callee.contact, 7, (BOHR, &tagged), &format!("Route: {route}"));
        caller.hears(&bye, "SIP/2.0 480 ");
        world.pass(Duration::from_secs(40));
    }
    // In another call neither token is worth anything: the request is one to a foreign domain.
    let other = format!(
        "BYE {} SIP/2.0|Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKo|Max-Forwards: 70|From: {BOHR}|To: {tagged}|Call-ID: other|\
         CSeq: 1 BYE|Route: {route}|Content-Length: 0",
        callee.contact
    );
    let sent = caller.says(&mut world, &other);
    assert!(sent[0].text().starts_with("SIP/2.0 403 "), "{}", sent[0].text());
    world.pass(Duration::from_secs(40));
    world.stop();
}

/// A sips request goes to sips contacts alone, over TLS; another one to such a contact as well, as a sip request.
///
/// PRX-021 PRX-028 PRX-029 FRK-015
#[test]
fn what_is_sips_stays_so_and_a_sips_contact_is_reached_over_tls() {
    let mut world = World::new(everywhere(service()));
    let caller = Party::new(&mut world, "bohr", "192.0.2.99", Transport::Tls);
    let desk = Party::new(&mut world, "heisenberg", "192.0.2.11", Transport::Tls);
    let sips = "sips:heisenberg~munich.de";
    let register = |contact: &str, n: u32| {
        format!(
            "REGISTER sips:munich.de SIP/2.0|Via: {};branch=z9hG4bKr{n}|Max-Forwards: 70|From: <{sips}>;tag=f|To: <{sips}>|\
             Call-ID: r{n}|CSeq: {n} REGISTER|Contact: {contact}|Content-Length: 0",
            desk.via
        )
    };
    // Who has a sip contact alone can't be called by sips.
    bound(&desk.says(&mut world, &register("<sip:heisenberg~10.0.0.1;transport=tls>", 1))[0]);
    let to = format!("<{sips}>");
    let refused = caller.asks(&mut world, "INVITE", sips, 1, (BOHR, &to), "");
    let refused = caller.hears(&refused, "SIP/2.0 480 ");
    assert_eq!(rows(refused, "Warning"), ["380 munich.de \"SIPS Not Allowed\""]);
    let two = "<sip:heisenberg~10.0.0.1;transport=tls>;expires=0, <sips:heisenberg~10.0.0.1>, <sip:heisenberg~192.0.2.13>";
    bound(&desk.says(&mut world, &register(two, 2))[0]);
    let sent = caller.asks(&mut world, "INVITE", sips, 2, (BOHR, &to), "");
    let rings = desk.hears(&sent, "INVITE sips:heisenberg@10.0.0.1 SIP/2.0\r\n").clone();
    assert_eq!(sent.len(), 2, "nobody else is called");
    let recorded = rows(&rings, "Record-Route");
    assert!(recorded.iter().all(|value| plain(value) == "sips:192.0.2.1:5061;lr"), "{recorded:?}");
    // One that is called names a sip contact in its place.
    let moved = "SIP/2.0 302 Moved|Contact: <sip:other~192.0.2.14>".to_owned();
    let mut answer = moved;
    for line in rings.text().split("\r\n").skip(1) {
        if ["Via: ", "From: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name)) {
            answer += &format!("|{line}");
        } else if line.starts_with("To: ") {
            answer += &format!("|{line};tag=d");
        }
    }
    let heard = desk.says(&mut world, &(answer + "|Content-Length: 0"));
    caller.hears(&heard, "SIP/2.0 302 ");
    assert!(world.opened.is_empty());
    // A sip request: both are called, the sips contact over its TLS.
    let sent = caller.asks(&mut world, "INVITE", "sip:heisenberg~munich.de", 3, (BOHR, HEISENBERG), "");
    assert!(sent.iter().any(|one| one.text().starts_with("INVITE sip:heisenberg@10.0.0.1 SIP/2.0\r\n")));
    assert!(sent.iter().any(|one| one.text().starts_with("INVITE sip:heisenberg@192.0.2.13 ")));
    // Without its connection it is connected to, by TLS.
    world.event(Event::Closed { flow: desk.flow });
    caller.asks(&mut world, "OPTIONS", "sip:heisenberg~munich.de", 4, (BOHR, HEISENBERG), "");
    assert_eq!(world.opened.iter().map(|(_, to)| to.to_string()).collect::<Vec<_>>(), ["10.0.0.1:5061"]);
    world.pass(Duration::from_secs(300));
    world.stop();
}

/// A session of somebody who has shown a certificate for these URIs.
fn session(uris: &[&str], verified: bool) -> Arc<TlsSession> {
    let now = Time::from_millis(1_792_000_000_000);
    Arc::new(TlsSession {
        version: Some("1.3"),
        cipher: None,
        certificate: Some(Certificate {
            subject: "CN=heisenberg".to_owned(),
            issuer: "CN=LMU".to_owned(),
            not_before: now,
            not_after: now,
            uris: uris.iter().map(|uri| uri.replace('~', "@")).collect(),
            hosts: vec!["munich.de".to_owned()],
            addresses: Vec::new(),
            has_alternatives: true,
            common_name: None,
        }),
        name: None,
        verified,
    })
}

/// Whoever has shown a certificate is the user that it names, and signs in for everything else.
#[test]
fn a_client_certificate_stands_for_a_password_of_that_user_alone() {
    for (uris, verified, user, status) in [
        (["sip:heisenberg~munich.de"].as_slice(), true, "heisenberg", "200"),
        (&["sips:Heisenberg~munich.de", "sips:heisenberg~Munich.DE"], true, "heisenberg", "200"),
        (&["sip:heisenberg~munich.de"], true, "born", "401"),
        (&["sip:heisenberg~berlin.de"], true, "heisenberg", "401"),
        (&["sip:munich.de"], true, "heisenberg", "401"),
        (&["mailto:heisenberg~munich.de"], true, "heisenberg", "401"),
        (&["sip:heisenberg~munich.de"], false, "heisenberg", "401"),
        (&[], true, "heisenberg", "401"),
    ] {
        let mut world = World::new(everywhere(Service { auth_calls: true, ..guarded() }));
        let device = Party::new(&mut world, "heisenberg", "192.0.2.11", Transport::Tls);
        world.event(Event::Secured { flow: device.flow, session: session(uris, verified) });
        let to = format!("<sip:{user}~munich.de>");
        let register = |n: u32| {
            format!(
                "REGISTER sip:munich.de SIP/2.0|Via: {};branch=z9hG4bKr{n}|Max-Forwards: 70|From: {to};tag=f|To: {to}|\
                 Call-ID: r|CSeq: {n} REGISTER|Contact: <{}>|Content-Length: 0",
                device.via, device.contact
            )
        };
        let sent = device.says(&mut world, &register(1));
        device.hears(&sent, &format!("SIP/2.0 {status} "));
        for n in 2..=3 {
            let sent = device.says(&mut world, &register(n));
            device.hears(&sent, &format!("SIP/2.0 {status} "));
        }
        // Calls: here, where callers have to prove who they are, and to other domains.
        for uri in ["sip:born~munich.de", "sip:bohr~10.1.2.3"] {
            let from = format!("{to};tag=f");
            let sent = device.asks(&mut world, "MESSAGE", uri, 5, (&from, &format!("<{uri}>")), "");
            let is_asked = sent.iter().any(|one| one.text().starts_with("SIP/2.0 407 "));
            assert_eq!(is_asked, status != "200", "{uris:?} {uri}");
        }
        assert_eq!(world.counters().auth_failed, 0);
        world.pass(Duration::from_secs(40));
        world.stop();
    }
}

/// Handshakes that fail are told of, once a second for each source.
#[test]
fn handshakes_that_fail_are_told_once_a_second() {
    let mut world = World::new(everywhere(service()));
    let listener =
        |world: &World, transport| world.listeners.iter().find(|(over, _)| *over == transport).unwrap().1;
    let fail = |world: &mut World, transport, peer: &str, cause| {
        let listener = listener(world, transport);
        world.event(Event::HandshakeFailed { listener, remote: peer.parse().unwrap(), cause });
    };
    let not_tls = Cause::Untrusted(Untrusted::NotTls);
    for port in 1..=5 {
        fail(&mut world, Transport::Tls, &format!("192.0.2.8:{port}"), not_tls);
    }
    let subprotocol = Cause::Upgrade(UpgradeFault::Subprotocol);
    fail(&mut world, Transport::Wss, "192.0.2.9:1", subprotocol);
    let told = |transport, source: &str, cause, count| ServerEvent::HandshakeFailed {
        transport,
        source: source.parse().unwrap(),
        cause,
        count,
    };
    assert_eq!(
        world.news(),
        [
            told(Transport::Tls, "192.0.2.8:1", not_tls, 1),
            told(Transport::Wss, "192.0.2.9:1", subprotocol, 1)
        ]
    );
    world.pass(Duration::from_secs(2));
    assert_eq!(world.news(), [told(Transport::Tls, "192.0.2.8:5", not_tls, 4)]);
    assert_eq!((world.counters().handshakes_failed, world.counters().accepted), (6, 0));
    fail(&mut world, Transport::Tls, "192.0.2.8:9", not_tls);
    assert_eq!(world.news(), [told(Transport::Tls, "192.0.2.8:9", not_tls, 1)]);
    fail(&mut world, Transport::Tls, "192.0.2.8:9", not_tls);
    world.stop();
}

/// Who greets a plain port in TLS or HTTP is told as what it is.
#[test]
fn a_hello_of_tls_on_a_plain_port_is_named() {
    for (octets, what) in [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", "TLS on a plain connection"),
        ("GET / HTTP/1.1\r\n\r\n", "HTTP instead of SIP"),
    ] {
        let mut world = World::new(service());
        let flow = world.connect(DEVICE);
        assert_eq!(world.stream(flow, DEVICE, octets), []);
        let peer = DEVICE.parse().unwrap();
        assert_eq!(
            world.news(),
            [
                ServerEvent::Malformed { peer, what: what.to_owned(), status: None },
                ServerEvent::Dropped { peer, why: Overload::Framing }
            ]
        );
        assert_eq!(world.closed, [flow]);
        world.stop();
    }
}
