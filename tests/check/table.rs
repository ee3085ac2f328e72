//! The table: worlds that are broken, and what must be found in each. What isn't named must not be found.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use serde_json::Value;

use crate::authority::Authority;
use crate::message::Message;
use crate::nameserver::{Play, alias, naptr, srv};
use crate::registrar::{Domain, Nonces, Registrar, Say, date};
use crate::relay::Heading;
use crate::world::{Host, Six, Tcp, Tls, Udp, World, isolated};
use crate::{report, screens, traces};

/// One world.
struct Row {
    name: &'static str,
    world: fn() -> World,
    exit: i32,
    /// What must be found: step, result, cause; `|` stands between words of which each is right, `*` for any cause.
    must: &'static [&'static str],
    /// What may be found besides.
    may: &'static [&'static str],
    /// What `register` ends with there, and the cause it names.
    register: Option<(i32, &'static str)>,
    /// Our binding stays, because the registrar wants it so.
    leaves: bool,
    /// Takes several seconds, and begins before the others for that.
    long: bool,
    /// Takes too long for every day.
    slow: bool,
}

impl Row {
    const fn may(self, may: &'static [&'static str]) -> Row {
        Row { may, ..self }
    }

    const fn register(self, exit: i32, cause: &'static str) -> Row {
        Row { register: Some((exit, cause)), ..self }
    }

    const fn leaves(self) -> Row {
        Row { leaves: true, ..self }
    }

    const fn long(self) -> Row {
        Row { long: true, ..self }
    }

    const fn slow(self) -> Row {
        Row { slow: true, ..self }
    }
}

const fn row(name: &'static str, world: fn() -> World, exit: i32, must: &'static [&'static str]) -> Row {
    Row { name, world, exit, must, may: &[], register: None, leaves: false, long: false, slow: false }
}

pub fn new() -> Registrar {
    Registrar::new()
}

pub fn usual(registrar: Registrar) -> World {
    World::new().usual(&registrar)
}

/// A registrar that is reached by UDP alone.
pub fn by_udp(registrar: Registrar) -> World {
    World::new().sip(Host(1), &[Udp], &registrar).srv(&[Udp], 1)
}

/// A registrar behind a NAT that leaves datagrams alone but for this change.
pub fn behind(
    registrar: Registrar,
    change: impl Fn(Heading, &[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> World {
    World::new().sip(Host(2), &[Udp], &registrar).relay(Host(1), Host(2), 60_000, change).srv(&[Udp], 1)
}

/// A registrar behind a NAT that forgets a mapping so many milliseconds after it was used.
fn forgetful(after: u64) -> World {
    World::new()
        .sip(Host(2), &[Udp], &new().follows_source())
        .relay(Host(1), Host(2), after, |_, datagram| Some(datagram.to_vec()))
        .srv(&[Udp], 1)
}

/// A NAT that forgets before a keep-alive comes.
pub fn forgetful_soon() -> World {
    forgetful(300).checked_with(&["--patience", "4s"])
}

/// A NAT that forgets later than the keep-alives come that are tried, by two seconds, and sooner than is waited for, by as many.
pub fn forgetful_later() -> World {
    forgetful(6000).checked_with(&["--patience", "8s"])
}

/// A registrar that passes on the first request for the AOR only, and so little time that no keep-alive comes before the second.
pub fn called_once() -> World {
    calls_then("480 Temporarily Unavailable")
}

/// A registrar that answers every request for the AOR but the first one itself.
fn calls_then(status: &'static str) -> World {
    let calls = AtomicUsize::new(0);
    let registrar = new().says(move |it, _| {
        let is_call = !it.is("REGISTER") && it.target().contains('@');
        let is_later = is_call && calls.fetch_add(1, Ordering::Relaxed) > 0;
        is_later.then(|| Say::Response(it.response(status)))
    });
    usual(registrar).checked_with(&["--patience", "1ms"])
}

/// Changes the text of what goes out.
fn rewriting(from: &'static str, to: &'static str) -> impl Fn(Heading, &[u8]) -> Option<Vec<u8>> {
    move |heading, datagram| {
        let Ok(text) = std::str::from_utf8(datagram) else { return Some(datagram.to_vec()) };
        match heading {
            Heading::Out => Some(text.replace(from, to).into_bytes()),
            Heading::In => Some(datagram.to_vec()),
        }
    }
}

/// Writes another address of the same length into what goes out, bodies and, if they are meant, too, heads; of what comes in
/// it puts back the heads.
pub fn gateway(heading: Heading, datagram: &[u8], has_heads: bool) -> Vec<u8> {
    let end = datagram.windows(4).position(|four| four == b"\r\n\r\n").map_or(datagram.len(), |end| end + 4);
    let Ok(text) = std::str::from_utf8(datagram) else { return datagram.to_vec() };
    let (head, body) = text.split_at(end);
    match heading {
        Heading::Out if has_heads => text.replace("127.0.0.1", "192.0.2.9").into_bytes(),
        Heading::Out => [head, &body.replace("127.0.0.1", "192.0.2.9")].concat().into_bytes(),
        Heading::In => [&head.replace("192.0.2.9", "127.0.0.1"), body].concat().into_bytes(),
    }
}

/// Drops what is longer than a link of 1300 octets takes.
fn short_link(_: Heading, datagram: &[u8]) -> Option<Vec<u8>> {
    (datagram.len() <= 1300).then(|| datagram.to_vec())
}

pub fn good(authority: &Authority) -> String {
    authority.signs("good.pem", &["munich.de"])
}

/// A certificate that is good between these days, counted from now.
fn dated(authority: &Authority, from: i64, until: i64) -> String {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let day = |days: i64| {
        let seconds = u64::try_from(now + days * 86_400).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    authority.signs_with("dated.pem", &["munich.de"], |params| {
        (params.not_before, params.not_after) = (day(from), day(until));
    })
}

pub fn expired(authority: &Authority) -> String {
    dated(authority, -800, -400)
}

fn of_a_stranger(authority: &Authority) -> String {
    let other = Authority::of("Other Root");
    let made = std::fs::read_to_string(other.signs("good.pem", &["munich.de"])).unwrap();
    authority.write("stranger.pem", &made)
}

fn is_removal(request: &Message) -> bool {
    request.is("REGISTER")
        && (request.get("Expires") == Some("0")
            || request.all("Contact").any(|one| one.contains("expires=0")))
}

fn is_fetch(request: &Message) -> bool {
    request.is("REGISTER") && request.get("Contact").is_none()
}

/// A registrar that answers lists so, whoever asks for one.
fn without_lists(status: &'static str) -> Registrar {
    new().says(move |it, _| is_fetch(it).then(|| Say::Response(it.response(status))))
}

/// Servers that share all, at so many hosts from the second on.
fn crowd(world: World, hosts: std::ops::RangeInclusive<u8>) -> World {
    let domain = Domain::default();
    hosts.fold(world, |world, host| world.sip(Host(host), &[Udp], &Registrar::of(&domain)).srv(&[Udp], host))
}

/// Somebody who answers everything with 200.
pub fn phone() -> Registrar {
    new().says(|it, _| Some(Say::Response(it.response("200 OK"))))
}

pub const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html></html>";
const SIP_400: &[u8] = b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
/// protocol_version, fatal.
const TLS_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
const NAT: &str = "way warning behind_nat";

fn rows() -> Vec<Row> {
    vec![
        // --- account ---------------------------------------------------------------------------------------------------
        row("no password", || usual(new()).without_password(), 3, &["account failed password_missing"])
            .register(3, "password_missing"),
        // --- dns -------------------------------------------------------------------------------------------------------
        row(
            "a name that does not exist",
            || World::new().name_server(Play::Fail(ResponseCode::NXDomain)),
            5,
            &["dns failed name_unknown"],
        )
        .register(5, "name_unknown"),
        row("a name without records", World::new, 5, &["dns failed no_records"]).register(5, "no_records"),
        row(
            "only a service that can't be used",
            || {
                World::new()
                    .zone("NAPTR munich.de", vec![naptr(10, "SIP+D2S", "_sip._sctp.munich.de")])
                    .zone("SRV _sip._sctp.munich.de", vec![srv(10, 0, ":5060", "sip1.munich.de")])
            },
            5,
            &["dns failed no_records"],
        )
        .register(5, "no_records"),
        row(
            "a name server that is silent",
            || World::new().name_server(Play::Silence).timeout("3s"),
            5,
            &["dns failed nameserver_silent"],
        )
        .register(5, "nameserver_silent"),
        row(
            "a name server that fails",
            || World::new().name_server(Play::Fail(ResponseCode::ServFail)),
            5,
            &["dns failed nameserver_failed"],
        )
        .register(5, "nameserver_failed"),
        row(
            "a name server that refuses",
            || World::new().name_server(Play::Fail(ResponseCode::Refused)),
            5,
            &["dns failed nameserver_failed"],
        )
        .register(5, "nameserver_failed"),
        row(
            "one of two name servers is silent",
            || usual(new()).name_server_before(Play::Silence),
            0,
            &["dns warning nameserver_silent"],
        ),
        row(
            "one of two name servers fails",
            || usual(new()).name_server_before(Play::Fail(ResponseCode::ServFail)),
            0,
            &["dns warning nameserver_failed"],
        ),
        row(
            "a name that does not exist, and one of two name servers that is silent",
            || {
                World::new()
                    .without_services()
                    .plays("A munich.de", Play::Fail(ResponseCode::NXDomain))
                    .plays("AAAA munich.de", Play::Fail(ResponseCode::NXDomain))
                    .name_server_before(Play::Silence)
            },
            5,
            &["dns failed name_unknown", "dns warning nameserver_silent"],
        )
        .long(),
        row(
            "a name server that is silent to one question",
            || usual(new()).plays("NAPTR munich.de", Play::Silence),
            0,
            &["dns warning nameserver_silent"],
        )
        .long(),
        row(
            "the target of the only service is unknown",
            || World::new().srv_to(&[Udp], "gone.munich.de"),
            5,
            &["dns failed srv_target_unknown"],
        ),
        row(
            "the target of one of two services is unknown",
            || World::new().srv_to(&[Udp], "gone.munich.de").sip(Host(1), &[Udp], &new()).srv(&[Udp], 1),
            0,
            &["dns warning srv_target_unknown"],
        ),
        row(
            "the service is not offered",
            || {
                let nowhere = || vec![srv(0, 0, ":5060", ".")];
                World::new()
                    .zone("SRV _sip._udp.munich.de", nowhere())
                    .zone("SRV _sip._tcp.munich.de", nowhere())
            },
            5,
            &["dns failed service_not_offered"],
        )
        .register(5, "service_not_offered"),
        // --- network ---------------------------------------------------------------------------------------------------
        row("nobody is there", || World::new().srv(&[Udp, Tcp], 1), 5, &["network failed refused"])
            .register(5, "refused"),
        row("nobody is there over TLS", || World::new().srv(&[Tls], 1), 5, &["network failed refused"])
            .register(5, "refused"),
        row(
            "a port that takes all and says nothing",
            || World::new().silent(Host(1), &[Udp]).filtered(Host(1), Tcp).srv(&[Udp, Tcp], 1),
            4,
            &["network failed silent"],
        )
        .register(4, "silent"),
        row(
            "silence, with the usual timers",
            || {
                let world = World::new().silent(Host(1), &[Udp]).filtered(Host(1), Tcp).srv(&[Udp], 1);
                world.t1("500ms").timeout("60s")
            },
            4,
            &["network failed silent"],
        )
        .slow(),
        row(
            "UDP is silent, and TCP not in the name service",
            || World::new().silent(Host(1), &[Udp]).sip(Host(1), &[Tcp], &new()).srv(&[Udp], 1),
            4,
            &["network|registrar failed silent"],
        )
        .may(&["network warning udp_blocked"])
        .register(4, "silent"),
        row(
            "the first of two servers is down",
            || World::new().srv(&[Udp], 2).sip(Host(1), &[Udp], &new()).srv(&[Udp], 1),
            0,
            &["network warning destination_down"],
        ),
        row(
            "the second of two servers is down",
            || by_udp(new()).srv(&[Udp], 2),
            0,
            &["network warning destination_down"],
        ),
        row(
            "one of two addresses of a server is silent",
            || {
                let world = World::new().silent(Host(2), &[Udp]).sip(Host(1), &[Udp], &new()).srv(&[Udp], 1);
                let addresses = [2, 1].map(|host| RData::A(world.host(host).into()));
                world.zone("A sip1.munich.de", addresses.to_vec())
            },
            0,
            &["network warning destination_down"],
        ),
        row(
            "an address where UDP is silent",
            || {
                let world = World::new().silent(Host(1), &[Udp]).sip(Host(1), &[Tcp], &new());
                world.options(&["--registrar", "sip:{1}"])
            },
            4,
            &["network failed silent"],
        )
        .may(&["network warning udp_blocked"])
        .register(4, "silent"),
        row(
            "an address where nobody is",
            || World::new().options(&["--registrar", "sip:{1}"]),
            5,
            &["network failed refused"],
        )
        .register(5, "refused"),
        row(
            "the second of two servers is silent",
            || by_udp(new()).silent(Host(2), &[Udp]).srv(&[Udp], 2),
            0,
            &["network warning destination_down"],
        ),
        row(
            "the second of two servers takes connections, and is silent",
            || by_udp(new()).silent(Host(2), &[Udp, Tcp]).srv(&[Udp, Tcp], 2),
            0,
            &["network warning destination_down"],
        ),
        row(
            "the second of two servers is busy",
            || {
                let registrar = new();
                let busy = Registrar::of(&registrar.domain).refuses("503 Service Unavailable");
                by_udp(registrar).sip(Host(2), &[Udp], &busy).srv(&[Udp], 2)
            },
            0,
            &["network warning destination_down"],
        ),
        row(
            "addresses of the family alone that is left out",
            || by_udp(new()).options(&["-6"]),
            5,
            &["dns failed no_records"],
        ),
        row(
            "UDP is blocked",
            || World::new().silent(Host(1), &[Udp]).sip(Host(1), &[Tcp], &new()).srv(&[Udp, Tcp], 1),
            0,
            &["network warning udp_blocked"],
        ),
        row(
            "UDP is refused",
            || World::new().sip(Host(1), &[Tcp], &new()).srv(&[Udp, Tcp], 1),
            0,
            &["network warning udp_blocked|destination_down"],
        ),
        row(
            "TCP is blocked",
            || by_udp(new()).filtered(Host(1), Tcp).srv(&[Tcp], 1),
            0,
            &["network warning tcp_blocked"],
        ),
        row(
            "TCP is refused",
            || by_udp(new()).srv(&[Tcp], 1),
            0,
            &["network warning tcp_blocked|destination_down"],
        ),
        row(
            "IPv6 is silent",
            || World::new().with_ipv6().silent(Six, &[Udp]).sip(Host(1), &[Udp], &new()).srv(&[Udp], 1),
            0,
            &["network warning ipv6_broken"],
        ),
        row(
            "IPv6 is refused",
            || World::new().with_ipv6().sip(Host(1), &[Udp], &new()).srv(&[Udp], 1),
            0,
            &["network warning ipv6_broken"],
        ),
        row(
            "IPv4 is silent",
            || World::new().with_ipv6().silent(Host(1), &[Udp]).sip(Six, &[Udp], &new()).srv(&[Udp], 1),
            0,
            &["network warning ipv4_broken"],
        ),
        // --- tls -------------------------------------------------------------------------------------------------------
        row(
            "a certificate that has run out",
            || World::new().secure(&new(), expired),
            5,
            &["tls failed certificate_expired"],
        )
        .register(5, "certificate_expired"),
        row(
            "a certificate that is not good yet",
            || World::new().secure(&new(), |all| dated(all, 400, 800)),
            5,
            &["tls failed certificate_not_yet_valid"],
        )
        .register(5, "certificate_not_yet_valid"),
        row(
            "a certificate for another name",
            || World::new().secure(&new(), |all| all.signs("name.pem", &["berlin.de"])),
            5,
            &["tls failed certificate_name"],
        )
        .register(5, "certificate_name"),
        row(
            "a certificate of an issuer whom nobody trusts",
            || World::new().secure(&new(), of_a_stranger),
            5,
            &["tls failed certificate_issuer"],
        )
        .register(5, "certificate_issuer"),
        row(
            "a certificate that is signed by itself",
            || World::new().secure(&new(), |all| all.self_signed("self.pem", &["munich.de"])),
            5,
            &["tls failed certificate_self_signed"],
        )
        .register(5, "certificate_self_signed"),
        row(
            "a server that wants a certificate of ours",
            || World::new().tls_with(Host(1), &new(), good, true).srv(&[Tls], 1),
            5,
            &["tls failed client_certificate_wanted"],
        )
        .register(5, "client_certificate_wanted"),
        row(
            "a port of TLS that speaks SIP in the clear",
            || World::new().junk(Host(1), Tls, SIP_400).srv(&[Tls], 1),
            5,
            &["tls failed not_tls"],
        )
        .register(5, "not_tls"),
        row(
            "a port of TLS that speaks HTTP",
            || World::new().junk(Host(1), Tls, HTTP).srv(&[Tls], 1),
            5,
            &["tls failed not_tls"],
        )
        .register(5, "not_tls"),
        row(
            "no version of TLS in common",
            || World::new().junk(Host(1), Tls, TLS_ALERT).srv(&[Tls], 1),
            5,
            &["tls failed tls_version"],
        )
        .register(5, "tls_version"),
        row(
            "a port of TLS that says nothing",
            || World::new().silent(Host(1), &[Tls]).srv(&[Tls], 1).timeout("4s"),
            4,
            &["tls failed silent"],
        )
        .register(4, "silent"),
        row(
            "a certificate that runs out in five days",
            || World::new().secure(&new(), |all| dated(all, -400, 5)),
            0,
            &["tls warning certificate_expires_soon"],
        ),
        row(
            "a certificate that has run out at the second server",
            || World::new().secure(&new(), good).tls(Host(2), &new(), expired).srv(&[Tls], 2),
            5,
            &["tls failed certificate_expired"],
        )
        .may(&["others warning servers_differ", "network warning destination_down"]),
        // --- registrar -------------------------------------------------------------------------------------------------
        row(
            "an HTTP server",
            || World::new().junk(Host(1), Tcp, HTTP).srv(&[Tcp], 1),
            6,
            &["registrar failed not_sip"],
        )
        .register(6, "not_sip"),
        row(
            "a web server that takes no WebSocket",
            || World::new().junk(Host(1), Tcp, HTTP).options(&["--registrar", "sip:{1}:5060;transport=ws"]),
            6,
            &["registrar failed not_sip"],
        ),
        row(
            "a port that is silent to the handshake of a WebSocket",
            || {
                let options = ["--registrar", "sip:{1}:5060;transport=ws"];
                World::new().silent(Host(1), &[Tcp]).options(&options).timeout("2s")
            },
            4,
            &["registrar failed silent"],
        ),
        row(
            "a server of SIP over TLS, asked for a WebSocket",
            || {
                let options =
                    ["--registrar", "sips:munich.de:5061;transport=ws", "--resolve", "munich.de:5061:{1}"];
                World::new().secure(&new(), good).options(&options).timeout("2s")
            },
            6,
            &["registrar failed not_sip"],
        ),
        row(
            "a plain port that speaks TLS",
            || World::new().junk(Host(1), Tcp, TLS_ALERT).srv(&[Tcp], 1),
            6,
            &["registrar failed not_sip"],
        )
        .register(6, "not_sip"),
        row(
            "an SSH server",
            || World::new().junk(Host(1), Tcp, b"SSH-2.0-OpenSSH_9.2p1\r\n").srv(&[Tcp], 1),
            6,
            &["registrar failed not_sip"],
        ),
        row(
            "connections on which nothing comes",
            || World::new().silent(Host(1), &[Tcp]).srv(&[Tcp], 1).timeout("10s"),
            4,
            &["registrar failed silent"],
        )
        .long()
        .register(4, "silent"),
        row(
            "connections on which nothing comes, and little time",
            || World::new().silent(Host(1), &[Tcp]).srv(&[Tcp], 1).timeout("2s"),
            4,
            &["registrar failed silent"],
        )
        .long(),
        row(
            "silence to the password, and little time",
            || by_udp(new().says(|it, _| it.is_proven().then_some(Say::Nothing))).timeout("2s"),
            4,
            &["registrar failed silent"],
        )
        .long(),
        row(
            "a registrar that closes each connection behind its answer",
            || World::new().sip(Host(1), &[Tcp], &new().closes()).srv(&[Tcp], 1),
            7,
            &["reach failed not_reachable"],
        ),
        row(
            "a server that closes each connection at once",
            || World::new().junk(Host(1), Tcp, b"").srv(&[Tcp], 1),
            4,
            &["registrar failed silent"],
        )
        .register(5, "none"),
        row(
            "a server that sends back whatever it hears",
            || World::new().echo(Host(1)).srv(&[Tcp], 1).timeout("6s"),
            4,
            &["registrar failed silent"],
        )
        .long(),
        row(
            "an HTTP server beside a registrar",
            || {
                World::new()
                    .junk(Host(1), Tcp, HTTP)
                    .srv(&[Tcp], 1)
                    .sip(Host(2), &[Tcp], &new())
                    .srv(&[Tcp], 2)
            },
            0,
            &["network warning destination_down"],
        ),
        row(
            "a server beside a registrar that answers all but REGISTER",
            || {
                let deaf = new().says(|it, _| it.is("REGISTER").then_some(Say::Nothing));
                by_udp(new()).sip(Host(2), &[Udp], &deaf).srv(&[Udp], 2)
            },
            0,
            &["network warning destination_down"],
        )
        .long(),
        row(
            "no answer to REGISTER alone",
            || by_udp(new().says(|it, _| it.is("REGISTER").then_some(Say::Nothing))).timeout("10s"),
            4,
            &["registrar failed silent"],
        )
        .long()
        .register(4, "silent"),
        row(
            "405 to REGISTER",
            || usual(new().refuses("405 Method Not Allowed")),
            1,
            &["registrar failed no_registrar"],
        )
        .register(1, "no_registrar"),
        row(
            "501 to REGISTER",
            || usual(new().refuses("501 Not Implemented")),
            1,
            &["registrar failed no_registrar"],
        )
        .register(1, "no_registrar"),
        row(
            "404 before any challenge",
            || usual(new().refuses("404 Not Found")),
            1,
            &["registrar failed domain_not_served"],
        )
        .register(1, "domain_not_served"),
        row("503", || usual(new().refuses("503 Service Unavailable")), 1, &["registrar failed overloaded"])
            .register(1, "overloaded"),
        row(
            "an extension that is insisted on",
            || {
                usual(new().refuses("421 Extension Required").changes(|it, answer| {
                    if it.is("REGISTER") {
                        answer.add("Require", "sec-agree");
                    }
                }))
            },
            1,
            &["registrar failed extension_required"],
        )
        .register(1, "extension_required"),
        row(
            "an extension that is never good",
            || {
                usual(new().refuses("420 Bad Extension").changes(|it, answer| {
                    if it.is("REGISTER") {
                        answer.add("Unsupported", "path");
                    }
                }))
            },
            1,
            &["registrar failed registrar_error|extension_required"],
        ),
        row(
            "a redirection that leads to the registrar",
            || {
                let domain = Domain::default();
                let moved = Registrar::of(&domain).says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", "<sip:sip2.munich.de>");
                    it.is("REGISTER").then_some(Say::Response(response))
                });
                by_udp(moved).sip(Host(2), &[Udp], &Registrar::of(&domain))
            },
            0,
            &["registrar warning redirected"],
        ),
        row(
            "a redirection that comes to the password",
            || {
                let moved = new().says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", "<sip:sip2.munich.de>");
                    (it.is("REGISTER") && it.is_proven()).then_some(Say::Response(response))
                });
                by_udp(moved).sip(Host(2), &[Udp], &new())
            },
            6,
            &["registrar failed redirected"],
        ),
        row(
            "a redirection to a server that does not know the domain",
            || {
                let moved = new().says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", "<sip:sip2.munich.de>");
                    it.is("REGISTER").then_some(Say::Response(response))
                });
                by_udp(moved).sip(Host(2), &[Udp], &new().refuses("404 Not Found"))
            },
            1,
            &["registrar failed domain_not_served", "registrar warning redirected"],
        ),
        row(
            "a name server that says nothing of what it does not know",
            || {
                by_udp(new())
                    .plays("SRV _sip._tcp.munich.de", Play::Silence)
                    .plays("NAPTR munich.de", Play::Silence)
            },
            0,
            &[],
        )
        .may(&["dns warning nameserver_silent"])
        .long(),
        row(
            "a redirection to nowhere",
            || usual(new().refuses("302 Moved Temporarily")),
            6,
            &["registrar failed redirected"],
        )
        .register(1, "redirected"),
        row(
            "a redirection in a circle",
            || {
                usual(new().says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", format!("<{}>", it.target()));
                    it.is("REGISTER").then_some(Say::Response(response))
                }))
            },
            6,
            &["registrar failed redirected"],
        )
        .register(6, "redirected"),
        row(
            "redirections without an end",
            || {
                usual(new().says(|it, count| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", format!("<sip:munich.de;hop={count}>"));
                    it.is("REGISTER").then_some(Say::Response(response))
                }))
            },
            6,
            &["registrar failed redirected"],
        )
        .register(6, "redirected"),
        row(
            "a redirection to what is no registrar",
            || {
                usual(new().says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", "<mailto:werner@munich.de>");
                    it.is("REGISTER").then_some(Say::Response(response))
                }))
            },
            6,
            &["registrar failed redirected"],
        )
        .register(1, "redirected"),
        row(
            "a redirection to where nobody is",
            || {
                usual(new().says(|it, _| {
                    let mut response = it.response("302 Moved Temporarily");
                    response.add("Contact", "<sip:sip8.munich.de>");
                    it.is("REGISTER").then_some(Say::Response(response))
                }))
            },
            5,
            &["registrar|network failed redirected|refused"],
        )
        .may(&["registrar warning redirected"]),
        row(
            "500 to REGISTER",
            || usual(new().refuses("500 Server Internal Error")),
            1,
            &["registrar failed registrar_error"],
        ),
        row(
            "606 to REGISTER",
            || usual(new().refuses("606 Not Acceptable")),
            1,
            &["registrar failed registrar_error"],
        ),
        row(
            "480 to REGISTER",
            || usual(new().refuses("480 Sleeping")),
            1,
            &["registrar failed registrar_error"],
        ),
        // --- credentials -----------------------------------------------------------------------------------------------
        row(
            "a wrong password",
            || usual(new().password("certainty")),
            3,
            &["credentials failed password_wrong"],
        )
        .register(3, "password_wrong"),
        row(
            "404 after our answer",
            || usual(new().refuses_proven("404 Not Found")),
            1,
            &["credentials failed user_unknown"],
        )
        .register(1, "user_unknown"),
        row(
            "403 after our answer",
            || usual(new().refuses_proven("403 Forbidden")),
            3,
            &["credentials failed forbidden"],
        )
        .register(3, "forbidden"),
        row(
            "407 after our answer",
            || usual(new().refuses_proven("407 Proxy Authentication Required")),
            3,
            &["credentials failed *"],
        )
        .register(3, "none"),
        row(
            "nonces that are never good",
            || usual(new().nonces(Nonces::Stale)),
            3,
            &["credentials failed *"],
        )
        .register(3, "none"),
        row(
            "503 after our answer",
            || usual(new().refuses_proven("503 Service Unavailable")),
            1,
            &["registrar|binding failed overloaded|not_bound"],
        )
        .register(1, "overloaded"),
        row(
            "silence after our answer",
            || usual(new().says(|it, _| (it.is("REGISTER") && it.is_proven()).then_some(Say::Nothing))),
            4,
            &["registrar|credentials|binding failed *"],
        )
        .long()
        .register(4, "none"),
        row(
            "a credential for another realm",
            || usual(new()).options(&["--realm", "berlin.de"]),
            3,
            &["credentials failed realm_unserved"],
        )
        .register(3, "realm_unserved"),
        row(
            "an algorithm that nobody knows",
            || usual(new().algorithm("WHIRLPOOL")),
            3,
            &["credentials failed algorithm_unserved"],
        )
        .register(3, "algorithm_unserved"),
        row(
            "an algorithm that is too weak for us",
            || usual(new().algorithm("MD5")).options(&["--min-algorithm", "SHA-256"]),
            3,
            &["credentials failed algorithm_unserved"],
        )
        .may(&["credentials warning clear_md5"])
        .register(3, "algorithm_unserved"),
        row(
            "anybody may register",
            || usual(new().algorithm("")),
            0,
            &["credentials warning open_registrar"],
        ),
        row("MD5 without TLS", || usual(new().algorithm("MD5")), 0, &["credentials warning clear_md5"]),
        // --- binding ---------------------------------------------------------------------------------------------------
        row(
            "a 200 without our contact",
            || {
                usual(new().changes(|it, answer| {
                    if it.is("REGISTER") {
                        answer.remove("Contact")
                    }
                }))
            },
            6,
            &["binding failed not_bound"],
        )
        .may(&["binding failed not_listed"])
        .register(6, "not_bound"),
        row(
            "a fetch lacks our contact",
            || {
                usual(new().changes(|it, answer| {
                    if it.is("REGISTER") && it.get("Contact").is_none() {
                        answer.remove("Contact");
                    }
                }))
            },
            7,
            &["binding failed not_listed"],
        ),
        row(
            "a registrar that falls silent once something is bound",
            || {
                by_udp(
                    new().says(|it, _| {
                        (is_fetch(it) && it.is_proven() || is_removal(it)).then_some(Say::Nothing)
                    }),
                )
                .timeout("6s")
            },
            6,
            &["binding failed not_removed"],
        )
        .leaves()
        .long(),
        row(
            "MD5 without TLS, and no binding",
            || usual(new().algorithm("MD5").refuses_proven("500 Server Internal Error")),
            1,
            &["credentials warning clear_md5", "binding failed not_bound"],
        ),
        row(
            "a registrar that binds once",
            || usual(binds_once("500 Server Internal Error")),
            1,
            &["binding failed not_bound"],
        ),
        row(
            "a registrar that knows the password once",
            || usual(binds_once("403 Forbidden")),
            3,
            &["binding failed not_bound"],
        ),
        row(
            "a registrar that rewrites the ports of contacts",
            || {
                usual(new().changes(|it, answer| {
                    for (name, value) in &mut answer.rows {
                        if it.is("REGISTER") && name == "Contact" {
                            let (before, rest) = value.split_once("@127.0.0.1:").unwrap();
                            let behind = &rest[rest.find(['>', ';']).unwrap()..];
                            *value = format!("{before}@127.0.0.1:9{behind}");
                        }
                    }
                }))
            },
            6,
            &["binding failed contact_rewritten"],
        )
        .may(&["binding failed not_removed"])
        .leaves(),
        row(
            "a registrar that rewrites contacts",
            || {
                usual(new().changes(|it, answer| {
                    for (name, value) in &mut answer.rows {
                        if it.is("REGISTER") && name == "Contact" {
                            *value = value.replace("@127.0.0.1", "@192.0.2.7");
                        }
                    }
                }))
            },
            6,
            &["binding failed contact_rewritten"],
        ),
        row(
            "too many bindings, says 503",
            || usual(new().refuses_proven("503 Too many bindings")),
            1,
            &["binding failed too_many_bindings"],
        )
        .register(1, "too_many_bindings"),
        row(
            "too many bindings, says 403",
            || usual(new().refuses_proven("403 Too many contacts")),
            1,
            &["binding failed too_many_bindings"],
        ),
        row(
            "too many bindings, says a Warning",
            || {
                usual(new().refuses_proven("503 Service Unavailable").changes(|it, answer| {
                    if it.is_proven() {
                        answer.add("Warning", "399 munich.de \"Too many bindings for this address\"");
                    }
                }))
            },
            1,
            &["binding failed too_many_bindings"],
        )
        .register(1, "too_many_bindings"),
        row(
            "a refusal without a word of its own",
            || usual(new().refuses_proven("480 Temporarily Unavailable")),
            1,
            &["binding|registrar failed not_bound|registrar_error"],
        ),
        row(
            "a binding that stays",
            || {
                usual(new().says(|it, _| {
                    let mut response = it.response("200 OK");
                    let contact = it.get("Contact").unwrap_or("").split(";expires").next().unwrap();
                    response.add("Contact", format!("{contact};expires=60"));
                    (is_removal(it) && it.is_proven()).then_some(Say::Response(response))
                }))
            },
            6,
            &["binding failed not_removed"],
        )
        .leaves(),
        row(
            "a removal that is refused",
            || {
                let refusal = |it: &Message| Say::Response(it.response("500 Server Internal Error"));
                usual(new().says(move |it, _| is_removal(it).then(|| refusal(it))))
            },
            6,
            &["binding failed not_removed"],
        )
        .leaves(),
        row(
            "a shorter lifetime than asked",
            || usual(new().lifetime(|asked| asked / 2)),
            0,
            &["binding warning lifetime_changed"],
        ),
        row(
            "a longer lifetime than asked",
            || usual(new().lifetime(|_| 7200)),
            0,
            &["binding warning lifetime_changed"],
        ),
        // --- way -------------------------------------------------------------------------------------------------------
        row("a NAT", || behind(new().follows_source(), |_, datagram| Some(datagram.to_vec())), 0, &[NAT]),
        row(
            "a gateway that rewrites bodies",
            || behind(new().follows_source(), |heading, datagram| Some(gateway(heading, datagram, false))),
            7,
            &["way failed tampered", NAT],
        ),
        row(
            "a gateway that puts all back but bodies",
            || behind(new().follows_source(), |heading, datagram| Some(gateway(heading, datagram, true))),
            7,
            &["way failed tampered"],
        )
        .may(&[NAT]),
        row(
            "a gateway that rewrites Via and not back",
            || behind(new().follows_source(), rewriting("SIP/2.0/UDP 127.0.0.1", "SIP/2.0/UDP 192.0.2.9")),
            4,
            &["network|registrar failed silent"],
        )
        .may(&["way failed tampered", NAT]),
        row(
            "a gateway that rewrites Contact and not back",
            || behind(new().follows_source(), rewriting("<sip:werner@127.0.0.1", "<sip:werner@192.0.2.9")),
            6,
            &["binding failed contact_rewritten|not_bound"],
        )
        .may(&[NAT, "way failed tampered", "binding failed *"]),
        row(
            "large requests get lost",
            || behind(new().follows_source(), short_link),
            7,
            &["way failed size_lost", NAT],
        ),
        row(
            "large requests get lost over UDP only",
            || {
                let registrar = new().follows_source();
                behind(registrar.clone(), short_link).sip(Host(1), &[Tcp], &registrar).srv(&[Tcp], 1)
            },
            0,
            &["way warning size_lost", NAT],
        ),
        row(
            "a server that refuses large requests",
            || {
                let is_large = |it: &Message| it.write().len() > 1300;
                let refuse = |it: &Message| Say::Response(it.response("513 Message Too Large"));
                usual(new().says(move |it, _| is_large(it).then(|| refuse(it))))
            },
            0,
            &["way warning size_lost"],
        ),
        row(
            "a server that is silent to large requests over UDP and TCP",
            || {
                let is_large = |it: &Message| it.write().len() > 1300;
                usual(new().says(move |it, _| is_large(it).then_some(Say::Nothing)))
            },
            7,
            &["way failed size_lost"],
        )
        .long(),
        row(
            "a server that is silent to large requests over TCP",
            || {
                let registrar = new().says(|it, _| (it.write().len() > 1300).then_some(Say::Nothing));
                World::new().sip(Host(1), &[Tcp], &registrar).srv(&[Tcp], 1)
            },
            7,
            &["way failed size_lost"],
        ),
        // --- reach -----------------------------------------------------------------------------------------------------
        row(
            "480 to calls",
            || usual(new().refuses_calls("480 Temporarily Unavailable")),
            7,
            &["reach failed not_reachable"],
        ),
        row(
            "404 to calls",
            || usual(new().refuses_calls("404 Not Found")),
            7,
            &["reach failed not_reachable"],
        ),
        row(
            "405 to calls",
            || usual(new().refuses_calls("405 Method Not Allowed")),
            7,
            &["reach failed not_reachable"],
        ),
        row(
            "calls go into silence",
            || {
                let is_call = |it: &Message| !it.is("REGISTER") && it.target().contains('@');
                usual(new().says(move |it, _| is_call(it).then_some(Say::Nothing)))
            },
            7,
            &["reach failed not_reachable"],
        )
        .long(),
        row(
            "a proxy that answers calls itself",
            || usual(new().refuses_calls("200 OK")),
            0,
            &["reach warning answered_by_other"],
        ),
        row(
            "a call that is busy elsewhere",
            || {
                let busy = new().says(|it, _| Some(Say::Response(it.response("486 Busy Here"))));
                let registrar = new().holds("sip:phone@{9}:5060").calls(|contact| contact.contains("phone@"));
                usual(registrar).sip(Host(9), &[Udp], &busy)
            },
            7,
            &["reach failed not_reachable"],
        ),
        row(
            "an address that nobody can call",
            || usual(new()).options(&["--advertise", "192.0.2.77:5060"]),
            7,
            &["reach failed not_reachable"],
        )
        .may(&[NAT]),
        row(
            "a call that somebody else takes",
            || {
                let registrar = new().holds("sip:phone@{9}:5060").calls(|contact| contact.contains("phone@"));
                usual(registrar).sip(Host(9), &[Udp], &phone())
            },
            0,
            &["reach warning answered_by_other"],
        ),
        row(
            "a call that somebody else takes later",
            || calls_then("200 OK"),
            0,
            &["reach warning answered_by_other"],
        ),
        row("a NAT that forgets soon", forgetful_soon, 7, &["reach failed nat_mapping_short", NAT]).long(),
        row("a NAT that keep-alives keep open", forgetful_later, 7, &["reach failed nat_mapping_short", NAT])
            .long(),
        // --- clock -----------------------------------------------------------------------------------------------------
        row(
            "a clock that is an hour behind",
            || usual(new().changes(|_, answer| answer.set("Date", date(-3600)))),
            0,
            &["clock warning clock_off"],
        ),
        row(
            "a clock that is an hour ahead",
            || usual(new().changes(|_, answer| answer.set("Date", date(3600)))),
            0,
            &["clock warning clock_off"],
        ),
        row(
            "a clock that is an hour behind at the second server",
            || {
                let domain = Domain::default();
                let behind = Registrar::of(&domain).changes(|_, answer| answer.set("Date", date(-3600)));
                by_udp(Registrar::of(&domain)).sip(Host(2), &[Udp], &behind).srv(&[Udp], 2)
            },
            0,
            &["clock warning clock_off"],
        ),
        // --- others ----------------------------------------------------------------------------------------------------
        row(
            "two servers that share nothing",
            || by_udp(new()).sip(Host(2), &[Udp], &new()).srv(&[Udp], 2),
            0,
            &["others warning servers_differ"],
        ),
        row(
            "three servers that share nothing, by two transports",
            || {
                let both = &[Udp, Tcp];
                let world = usual(new()).sip(Host(2), both, &new()).sip(Host(3), both, &new());
                world.srv(both, 2).srv(both, 3)
            },
            0,
            &["others warning servers_differ"],
        ),
        row(
            "two servers, of which one takes no REGISTER",
            || by_udp(new()).sip(Host(2), &[Udp], &new().refuses("404 Not Found")).srv(&[Udp], 2),
            0,
            &["others warning servers_differ"],
        ),
        row(
            "a binding of this host that nobody keeps",
            || usual(new().holds("sip:werner@127.0.0.1:9")),
            0,
            &["others warning leftovers"],
        ),
        row(
            "three servers, of which one is down and one shares nothing",
            || by_udp(new()).srv(&[Udp], 2).sip(Host(3), &[Udp], &new()).srv(&[Udp], 3),
            0,
            &["network warning destination_down", "others warning servers_differ"],
        ),
        row(
            "servers that share nothing, and a wrong password at the first",
            || by_udp(new().password("certainty")).sip(Host(2), &[Udp], &new()).srv(&[Udp], 2),
            3,
            &["credentials failed password_wrong"],
        ),
        row(
            "the first of two servers is overloaded after our answer",
            || {
                by_udp(new().refuses_proven("503 Service Unavailable"))
                    .sip(Host(2), &[Udp], &new())
                    .srv(&[Udp], 2)
            },
            1,
            &["registrar|binding failed overloaded|not_bound"],
        ),
        row(
            "the first of two servers is silent after our answer",
            || {
                let silent = new().says(|it, _| it.is_proven().then_some(Say::Nothing));
                by_udp(silent).sip(Host(2), &[Udp], &new()).srv(&[Udp], 2)
            },
            4,
            &["registrar|credentials|binding failed *"],
        )
        .long(),
        row(
            "a hash of another password",
            || {
                // Of no password that anybody has.
                let hash = "7a3a8b2b0fbc0d6d1bb1ee55d1e2c3c0";
                usual(new().algorithm("MD5")).without_password().options(&["--ha1", hash])
            },
            3,
            &["credentials failed password_wrong"],
        )
        .may(&["credentials warning clear_md5"]),
        row(
            "the first of two servers is overloaded",
            || by_udp(new().refuses("503 Service Unavailable")).sip(Host(2), &[Udp], &new()).srv(&[Udp], 2),
            0,
            &[],
        )
        .may(&["network warning destination_down", "others warning servers_differ"]),
        // --- two faults ------------------------------------------------------------------------------------------------
        row(
            "an old certificate before a wrong password",
            || World::new().secure(&new().password("certainty"), expired),
            5,
            &["tls failed certificate_expired"],
        ),
        row(
            "an unknown target and a wrong password",
            || {
                let registrar = new().password("certainty");
                World::new().srv_to(&[Udp], "gone.munich.de").sip(Host(1), &[Udp], &registrar).srv(&[Udp], 1)
            },
            3,
            &["dns warning srv_target_unknown", "credentials failed password_wrong"],
        ),
        row(
            "UDP is blocked, and no registrar",
            || {
                let registrar = new().refuses("405 Method Not Allowed");
                World::new().silent(Host(1), &[Udp]).sip(Host(1), &[Tcp], &registrar).srv(&[Udp, Tcp], 1)
            },
            1,
            &["network warning udp_blocked", "registrar failed no_registrar"],
        ),
        row(
            "a clock that is off, and calls that don't arrive",
            || {
                let registrar = new().refuses_calls("480 Temporarily Unavailable");
                usual(registrar.changes(|_, answer| answer.set("Date", date(3600))))
            },
            7,
            &["reach failed not_reachable", "clock warning clock_off"],
        ),
        row(
            "a fetch that lacks us, and leftovers",
            || {
                usual(new().holds("sip:werner@127.0.0.1:9").changes(|it, answer| {
                    if it.is("REGISTER") && it.get("Contact").is_none() {
                        answer
                            .rows
                            .retain(|(_, value)| !value.contains("werner@127") || value.contains(":9>"));
                    }
                }))
            },
            7,
            &["binding failed not_listed", "others warning leftovers"],
        ),
        row(
            "MD5 without TLS and a wrong password",
            || usual(new().algorithm("MD5").password("certainty")),
            3,
            &["credentials failed password_wrong"],
        )
        .may(&["credentials warning clear_md5"]),
        row(
            "a silent name server and a lifetime that is changed",
            || usual(new().lifetime(|_| 7200)).name_server_before(Play::Silence),
            0,
            &["dns warning nameserver_silent", "binding warning lifetime_changed"],
        ),
        // --- what looks broken and isn't -------------------------------------------------------------------------------
        row("a healthy world", || usual(new()), 0, &[]),
        row(
            "a domain that has an address only",
            || usual(new()).without_services().address("A munich.de", 1),
            0,
            &[],
        ),
        row(
            "an alias of a server",
            || {
                by_udp(new())
                    .srv_to(&[Udp], "alias.munich.de")
                    .plays("A alias.munich.de", Play::Say(vec![alias("sip1.munich.de")]))
            },
            0,
            &[],
        ),
        row(
            "UDP is not offered, and TCP is",
            || {
                World::new()
                    .zone("SRV _sip._udp.munich.de", vec![srv(0, 0, ":5060", ".")])
                    .sip(Host(1), &[Tcp], &new())
                    .srv(&[Tcp], 1)
            },
            0,
            &[],
        )
        .may(&["dns warning service_not_offered"]),
        row(
            "IPv6 is silent, and not to be used",
            || {
                World::new()
                    .with_ipv6()
                    .silent(Six, &[Udp])
                    .sip(Host(1), &[Udp], &new())
                    .srv(&[Udp], 1)
                    .options(&["-4"])
            },
            0,
            &[],
        ),
        row(
            "UDP is blocked, and not to be used",
            || {
                World::new()
                    .silent(Host(1), &[Udp])
                    .sip(Host(1), &[Tcp], &new())
                    .srv(&[Udp, Tcp], 1)
                    .options(&["--transport", "tcp"])
            },
            0,
            &[],
        ),
        row("a proxy that asks for a proof", || usual(new().asks_as_proxy()), 0, &[]),
        row(
            "a registrar that writes out what is usual",
            || {
                usual(new().changes(|_, answer| {
                    for (_, value) in answer.rows.iter_mut().filter(|(name, _)| name == "Contact") {
                        *value = value.replace(">;", ";transport=udp>;");
                    }
                }))
            },
            0,
            &[],
        ),
        row(
            "fifty bindings of other devices",
            || {
                usual(new().changes(|it, answer| {
                    for number in 0..if it.is("REGISTER") { 50 } else { 0 } {
                        answer.add("Contact", format!("<sip:werner@192.0.2.{number}>;expires=1800"));
                    }
                }))
            },
            0,
            &[],
        ),
        row(
            "a NAT that remembers",
            || {
                behind(new().follows_source(), |_, datagram| Some(datagram.to_vec()))
                    .checked_with(&["--patience", "1s"])
            },
            0,
            &[NAT],
        ),
        row(
            "a name that is resolved by hand",
            || {
                let by_hand = ["--registrar", "sip:munich.de:5060", "--resolve", "munich.de:5060:{1}"];
                World::new().name_server(Play::Silence).sip(Host(1), &[Udp], &new()).options(&by_hand)
            },
            0,
            &[],
        ),
        row("a proxy that is named", || by_udp(new()).options(&["--proxy", "sip:sip1.munich.de"]), 0, &[]),
        row("a registrar that gives no lists", || usual(without_lists("403 Forbidden")), 0, &[]),
        row(
            "a registrar that takes a list for a mistake",
            || usual(without_lists("400 Bad Request")),
            0,
            &[],
        ),
        row("a registrar that knows no lists", || usual(without_lists("405 Method Not Allowed")), 0, &[]),
        row(
            "a registrar that is silent to lists",
            || usual(new().says(|it, _| is_fetch(it).then_some(Say::Nothing))).timeout("10s"),
            0,
            &[],
        )
        .long(),
        row(
            "a registrar that shows lists to anybody",
            || {
                usual(new().says(|it, _| {
                    (is_fetch(it) && !it.is_proven()).then(|| Say::Response(it.response("200 OK")))
                }))
            },
            0,
            &[],
        ),
        row("a registrar that thinks", || usual(new().slow(400)), 0, &[]),
        row(
            "every fifth datagram is lost",
            || {
                let count = AtomicUsize::new(0);
                behind(new().follows_source(), move |_, datagram| {
                    (count.fetch_add(1, Ordering::Relaxed) % 5 != 4).then(|| datagram.to_vec())
                })
            },
            0,
            &[NAT],
        )
        .long(),
        row(
            "a proxy that hands on and says 500",
            || {
                usual(new().changes(|it, answer| {
                    if !it.is("REGISTER") && it.target().contains('@') {
                        answer.start = "SIP/2.0 500 Server Internal Error".to_owned();
                    }
                }))
            },
            0,
            &[],
        ),
        row(
            "a name server that is silent about IPv6",
            || by_udp(new()).plays("AAAA sip1.munich.de", Play::Silence),
            0,
            &[],
        )
        .may(&["dns warning nameserver_silent"]),
        row("twelve servers", || crowd(World::new(), 1..=12), 0, &[]),
        row(
            "eleven servers that are down before one that isn't",
            || crowd((1..=11).fold(World::new(), |world, host| world.srv(&[Udp], host)), 12..=12),
            0,
            &["network warning destination_down"],
        ),
        row(
            "a date that is none",
            || usual(new().changes(|_, answer| answer.set("Date", "the day after tomorrow"))),
            0,
            &[],
        ),
        row(
            "an address in place of a name",
            || World::new().sip(Host(1), &[Udp], &new()).options(&["--registrar", "sip:{1}"]),
            0,
            &[],
        ),
        row(
            "an address in place of a name, over TCP",
            || World::new().sip(Host(1), &[Tcp], &new()).options(&["--registrar", "sip:{1};transport=tcp"]),
            0,
            &[],
        ),
        row(
            "an address in place of a name, over TLS",
            || {
                let certificate = |all: &Authority| all.signs("name.pem", &["munich.de"]);
                let world = World::new().tls(Host(1), &new(), certificate);
                world.options(&["--registrar", "sip:{1}", "--transport", "tls", "--tls-name", "munich.de"])
            },
            0,
            &[],
        ),
        row("a healthy world over UDP", || by_udp(new()), 0, &[]),
        row("a healthy world over TCP", || World::new().sip(Host(1), &[Tcp], &new()).srv(&[Tcp], 1), 0, &[]),
        row("a healthy world over TLS", || World::new().secure(&new(), good), 0, &[]),
        row("MD5 over TLS", || World::new().secure(&new().algorithm("MD5"), good), 0, &[]),
        row(
            "a healthy world over IPv6 alone",
            || {
                World::new()
                    .with_ipv6()
                    .zone("A sip1.munich.de", vec![])
                    .sip(Six, &[Udp], &new())
                    .srv(&[Udp], 1)
            },
            0,
            &[],
        ),
        row(
            "two servers that share all",
            || {
                let domain = Domain::default();
                by_udp(Registrar::of(&domain)).sip(Host(2), &[Udp], &Registrar::of(&domain)).srv(&[Udp], 2)
            },
            0,
            &[],
        ),
        row(
            "a server that knows no OPTIONS of its own",
            || {
                usual(new().says(|it, _| {
                    let is_meant = it.is("OPTIONS") && !it.target().contains('@');
                    is_meant.then(|| Say::Response(it.response("405 Method Not Allowed")))
                }))
            },
            0,
            &[],
        ),
        row(
            "a server that is silent to OPTIONS of its own",
            || {
                let is_meant = |it: &Message| it.is("OPTIONS") && !it.target().contains('@');
                usual(new().says(move |it, _| is_meant(it).then_some(Say::Nothing)))
            },
            0,
            &[],
        ),
        row("a server without a clock", || usual(new().changes(|_, answer| answer.remove("Date"))), 0, &[]),
        row(
            "a clock that is a minute off",
            || usual(new().changes(|_, answer| answer.set("Date", date(60)))),
            0,
            &[],
        ),
        row(
            "a lifetime that has to be longer",
            || {
                usual(new().says(|it, _| {
                    let asked = it.get("Expires").and_then(|asked| asked.parse::<u32>().ok());
                    let mut response = it.response("423 Interval Too Brief");
                    response.add("Min-Expires", "90");
                    let is_brief = it.is_proven() && it.get("Contact").is_some() && !is_removal(it);
                    (is_brief && asked.is_some_and(|asked| asked < 90)).then_some(Say::Response(response))
                }))
            },
            0,
            &[],
        ),
        row(
            "a call that two devices take",
            || usual(new().holds("sip:phone@{9}:5060")).sip(Host(9), &[Udp], &phone()),
            0,
            &[],
        ),
        row(
            "a call that another device takes before it comes here",
            || {
                usual(new().holds("sip:phone@{9}:5060").calls_late(100))
                    .sip(Host(9), &[Udp], &phone())
                    .t1("500ms")
            },
            0,
            &[],
        ),
        row("a nonce that is stale once", || usual(new().nonces(Nonces::StaleOnce)), 0, &[]),
        row("nonces that are for one use", || usual(new().nonces(Nonces::ForOneUse)), 0, &[]),
        row(
            "a clock that is off at another device",
            || {
                let phone = phone().changes(|_, answer| answer.set("Date", date(3600)));
                usual(new().holds("sip:phone@{9}:5060")).sip(Host(9), &[Udp], &phone)
            },
            0,
            &[],
        ),
    ]
}

/// A registrar that binds the first time, and never again.
fn binds_once(refusal: &'static str) -> Registrar {
    let bindings = AtomicUsize::new(0);
    new().says(move |it, _| {
        let is_binding = it.is_proven() && it.get("Contact").is_some() && !is_removal(it);
        let is_later = is_binding && bindings.fetch_add(1, Ordering::Relaxed) > 0;
        is_later.then(|| Say::Response(it.response(refusal)))
    })
}

// --- how it is run -------------------------------------------------------------------------------------------------------

/// How many worlds there are at a time: most of them wait.
const WORKERS: usize = 16;

/// Every world that is not slow, or those that are; `SIPREG_WORLD` names some by a part of their name.
fn each_world(is_meant: impl Fn(&Row) -> bool, judge: impl Fn(&Row) -> Result<(), String> + Sync) {
    let wanted = std::env::var("SIPREG_WORLD").unwrap_or_default();
    let mut rows = rows();
    rows.retain(|row| row.name.contains(&wanted) && is_meant(row));
    rows.sort_by_key(|row| !row.long);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(text) = judge(row) {
                        failures.lock().unwrap().push(format!("== {}\n{text}\n", row.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} worlds:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// Each world is told as what it is, and nothing is made up.
#[test]
fn every_world_is_told_as_what_it_is() {
    each_world(|row| !row.slow, check);
}

/// People see every step in order, in 80 columns and without colours in a pipe; what is to be mended first stands last.
#[test]
fn people_read_at_the_end_what_to_mend_first() {
    each_world(
        |row| row.must.len() > 1 || row.name.starts_with("a healthy world"),
        |row| {
            let ran = (row.world)().run(&["check"]);
            let mut wrong = screens::faults(&ran);
            if ran.code != Some(row.exit) {
                wrong.push(format!("exit status: expected {}, got {:?}", row.exit, ran.code));
            }
            if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", wrong.join("\n"), ran.all())) }
        },
    );
}

/// A network without a way to the registrar.
#[test]
fn an_address_without_a_way_is_unreachable() {
    if isolated(&[]).is_none() {
        println!("skipped: no network namespace here");
        return;
    }
    let world = || World::new().isolated().options(&["--registrar", "sip:192.0.2.1"]);
    let row =
        row("an address without a way", world, 5, &["network failed unreachable"]).register(5, "unreachable");
    check(&row).and_then(|()| register(&row)).unwrap_or_else(|text| panic!("{text}"));
}

/// The same of those that take long.
#[test]
#[ignore = "silence takes its time; tests/run --long runs it"]
fn slow_worlds_are_told_as_what_they_are() {
    each_world(|row| row.slow, check);
}

/// Where `register` knows the cause without an experiment, it says the same word; what only `check` minds does not keep it
/// from registering.
#[test]
fn register_names_the_cause_that_it_knows() {
    each_world(|row| row.register.is_some() || [0, 7].contains(&row.exit), register);
}

fn register(row: &Row) -> Result<(), String> {
    let wanted = row.register.unwrap_or((0, "none"));
    let ran = (row.world)().run(&["register", "--json"]);
    match (ran.code, ran.json()["error"]["cause"].as_str().unwrap_or("none")) {
        found if found == (Some(wanted.0), wanted.1) => Ok(()),
        _ => Err(format!("register: expected {wanted:?}\n{}", ran.all())),
    }
}

fn check(row: &Row) -> Result<(), String> {
    let world = (row.world)();
    let before: Vec<_> = world.registrars().iter().map(Registrar::bound).collect();
    let ran = world.run(&["check", "--json"]);
    let mut wrong = Vec::new();
    let Ok(object) = serde_json::from_str::<Value>(&ran.stdout) else {
        return Err(format!("no JSON\n{}", ran.all()));
    };
    wrong.extend(report::faults(&object, ran.code));
    wrong.extend(report::differences(&object, ran.code, row.exit, row.must, row.may));
    wrong.extend(traces::faults(world.registrars(), &ran));
    let came = traces::requests(world.registrars());
    let sent = object["requests"].as_u64().unwrap_or(0);
    if sent < came || row.name.starts_with("a healthy world") && sent > came {
        wrong.push(format!("{came} requests came, and {sent} were sent"));
    }
    let said = object["steps"].as_array().into_iter().flatten().map(|step| (&step["step"], &step["message"]));
    let said: Vec<_> = said.collect();
    let twice = said.iter().enumerate().filter(|(n, one)| said[..*n].contains(one));
    wrong.extend(twice.map(|(_, (step, message))| format!("said twice: {step} {message}")));
    let proofs = traces::proofs(world.registrars());
    if row.must.contains(&"credentials failed password_wrong") && proofs != 1 {
        wrong.push(format!("a wrong password was sent {proofs} times"));
    }
    for (registrar, before) in world.registrars().iter().zip(before) {
        if !row.leaves && registrar.bound() != before {
            wrong.push(format!("bound at the end: {:?}, and before: {before:?}", registrar.bound()));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{}", wrong.join("\n"), report::shown(&object))),
    }
}
