//! What people read: the whole output of twelve worlds, with what differs from run to run masked.

use hickory_resolver::proto::op::ResponseCode;
use insta::assert_snapshot;

use crate::message::Message;
use crate::nameserver::Play;
use crate::registrar::{Say, date};
use crate::report::{STEPS, shown};
use crate::run::Ran;
use crate::table::{
    HTTP, behind, by_udp, called_once, expired, forgetful_later, forgetful_soon, gateway, new, usual,
};
use crate::world::{Host, Tcp, Tls, Udp, World};

/// The output of `check` for people, as it comes in a pipe, with the lines of a sentence put together: where they break
/// depends on the length of addresses.
fn screen(world: &World) -> String {
    let ran = world.run(&["check"]);
    assert_eq!(ran.stderr, "", "{}", ran.all());
    let mut text = String::new();
    for line in ran.stdout.lines() {
        let words = line.trim_start();
        let goes_on = line.starts_with(' ') && !LABELS.iter().any(|label| words.starts_with(label));
        text += if goes_on && !words.is_empty() { " " } else { "\n" };
        text += if goes_on { words } else { line };
    }
    masked(text.trim_start(), &world.host(0).to_string())
}

/// What stands before the parts of a finding.
const LABELS: [&str; 4] = ["means:", "hint:", "don't:", "more:"];

/// Where it is not what the contract says of what people read.
pub fn faults(ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let wide = ran.stdout.lines().filter(|line| line.chars().count() > 80);
    wrong.extend(wide.map(|line| format!("too wide: {line}")));
    if ran.stdout.contains('\u{1b}') || ran.stdout.contains('\r') || !ran.stderr.is_empty() {
        wrong.push("something moves or has a colour, or is not on stdout".to_owned());
    }
    // Result, step, and the cause that stands below.
    let mut told: Vec<[&str; 3]> = Vec::new();
    for line in ran.stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.as_slice(), told.last_mut()) {
            ([result @ ("ok" | "warning" | "failed" | "skipped"), step, ..], _) if !line.starts_with(' ') => {
                told.push([result, step, ""]);
            }
            (["more:", "sipreg", "explain", cause], Some(last)) => last[2] = cause,
            _ => {}
        }
    }
    let mut steps: Vec<_> = told.iter().map(|[_, step, _]| *step).collect();
    steps.dedup();
    if steps != STEPS.map(|(name, _)| name) {
        wrong.push(format!("the steps: {steps:?}"));
    }
    let end = ran.stdout.trim_end().rsplit("\n\n").next().unwrap();
    let of = |result: &str| told.iter().find(|[found, ..]| *found == result);
    if let Some([_, step, cause]) = of("failed").or_else(|| of("warning")) {
        let others =
            told.iter().map(|[.., other]| other).filter(|other| !other.is_empty() && *other != cause);
        if !end.contains(&format!("{step} ({cause})")) || others.into_iter().any(|other| end.contains(other))
        {
            wrong.push(format!("the end does not name {step} ({cause}) alone: {end}"));
        }
    }
    wrong
}

/// The text with hosts as `HOST1`, ports of ours as `PORT`, what was measured as `TIME`, days as `DATE`, and numbers that are
/// taken at random as `NUMBER`; `net` is the address of host 0.
fn masked(text: &str, net: &str) -> String {
    let text = text.replace(net.trim_end_matches('0'), "HOST").replace("under 1 ms", "0 ms");
    let (mut masked, mut rest) = (String::new(), text.as_str());
    while let Some(start) = rest.find(|one: char| one.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        masked += before;
        let end = from.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(from.len());
        let number = from[..end].trim_end_matches('.');
        rest = &from[number.len()..];
        let unit = ["ms", "s"].into_iter().find(|unit| {
            let next = rest.trim_start_matches(' ').strip_prefix(unit);
            next.is_some_and(|next| !next.starts_with(|one: char| one.is_ascii_alphabetic()))
        });
        let is_port = number.len() == 5 && (before.ends_with(':') || before.ends_with("port "));
        let is_day = |day: &&str| [4, 7].iter().all(|place| day.as_bytes().get(*place) == Some(&b'-'));
        let day = from.get(..10).filter(is_day);
        match unit {
            Some(unit) if unit == "ms" || number.contains('.') => {
                masked += "TIME";
                rest = rest.trim_start_matches(' ').strip_prefix(unit).unwrap();
            }
            _ if day.is_some() => {
                masked += "DATE";
                rest = &from[10..];
                let is_time = rest.get(3..4) == Some(":") && rest.get(6..7) == Some(":");
                rest = if is_time { &rest[9..] } else { rest };
            }
            _ if is_port => masked += "PORT",
            _ if number.len() > 9 && !number.contains('.') => masked += "NUMBER",
            _ => masked += number,
        }
    }
    masked + rest
}

#[test]
fn what_differs_from_run_to_run_is_masked() {
    let text = "ok udp 127.16.4.1:5060 answered in 12.3 ms (from 127.0.0.1:40412), granted 60 s; RFC 5626, within 3.2 s; \
                good until 2026-11-29 10:02:03 UTC, by 2026-11-30. o=- 203817298188863 1 IN IP4 127.0.0.1";
    let expected = "ok udp HOST1:5060 answered in TIME (from 127.0.0.1:PORT), granted 60 s; RFC 5626, within TIME; \
                    good until DATE UTC, by DATE. o=- NUMBER 1 IN IP4 127.0.0.1";
    assert_eq!(masked(text, "127.16.4.0"), expected);
}

#[test]
fn a_healthy_account() {
    assert_snapshot!(screen(&usual(new())), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME; HOST1:5060 over TCP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256, realm "munich.de": accepted
    ok       binding       bound for 1m, listed, removed again
    ok       way           no NAT; Via, Contact, Call-ID and body come through unchanged; a request of 1621 octets passes
    ok       reach         a request for the AOR arrives here (there and back in TIME), and so would a call
    ok       clock         the clock of the registrar is the same as ours
    ok       others        no other server; no other binding

    Proved: sip:werner@munich.de can register, and a call to it arrives here (11 requests, TIME).
    "#);
}

#[test]
fn a_name_that_does_not_exist() {
    let world = World::new().name_server(Play::Fail(ResponseCode::NXDomain));
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    failed   dns           the name munich.de does not exist
                           means: the name service does not know the name
                           hint: check its spelling, or name the server with --registrar or --proxy
                           more: sipreg explain name_unknown
    skipped  network       there is no address to go to
    skipped  tls           no destination uses TLS
    skipped  registrar     nobody is there to be asked
    skipped  credentials   not looked at: the dns step has failed
    skipped  binding       not looked at: the dns step has failed
    skipped  way           nobody answers who could say how we are seen
    skipped  reach         nothing is bound that a call could go to
    skipped  clock         no answer came with a readable Date
    skipped  others        nothing is bound that other servers could know of

    Checked with 0 requests in TIME.
    Mend first: dns (name_unknown): check its spelling, or name the server with --registrar or --proxy
    "#);
}

#[test]
fn a_port_that_says_nothing() {
    let world = World::new().silent(Host(1), &[Udp]).filtered(Host(1), Tcp).srv(&[Udp, Tcp], 1);
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    failed   network       no answer from HOST1:5060 over UDP within TIME; no answer from HOST1:5060 over TCP within TIME
                           means: no answer came that can be used
                           hint: is a registrar there at all? Check host and port; a firewall, here or there, drops silently; -v shows what was sent
                           more: sipreg explain silent
    skipped  tls           no destination uses TLS
    skipped  registrar     nobody is there to be asked
    skipped  credentials   not looked at: the network step has failed
    skipped  binding       not looked at: the network step has failed
    skipped  way           nobody answers who could say how we are seen
    skipped  reach         nothing is bound that a call could go to
    skipped  clock         no answer came with a readable Date
    skipped  others        nothing is bound that other servers could know of

    Checked with 2 requests in TIME.
    Mend first: network (silent): is a registrar there at all? Check host and port; a firewall, here or there, drops silently; -v shows what was sent
    "#);
}

#[test]
fn udp_that_is_blocked() {
    let world = World::new().silent(Host(1), &[Udp]).sip(Host(1), &[Tcp], &new()).srv(&[Udp, Tcp], 1);
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    warning  network       no answer from HOST1:5060 over UDP within TIME; TCP answers there
                           means: nothing comes back over UDP, where TCP answers
                           hint: --transport tcp goes the way that works; or let UDP to that port through
                           don't: raise --timeout, or change the password: neither helps
                           more: sipreg explain udp_blocked
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256, realm "munich.de": accepted
    ok       binding       bound for 1m, listed, removed again
    ok       way           no NAT; Via, Contact, Call-ID and body come through unchanged; a request of 1621 octets passes
    ok       reach         a request for the AOR arrives here (there and back in TIME), and so would a call
    ok       clock         the clock of the registrar is the same as ours
    ok       others        no other server; no other binding

    Checked with 12 requests in TIME.
    It works. To look at first: network (udp_blocked): --transport tcp goes the way that works; or let UDP to that port through
    "#);
}

#[test]
fn a_certificate_that_has_run_out() {
    assert_snapshot!(screen(&World::new().secure(&new(), expired)), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5061, HOST1
    ok       network       HOST1:5061 over TLS takes connections, in TIME
    failed   tls           HOST1:5061 over TLS: the certificate of CN=munich.de ran out, or one above it: it was good until DATE UTC; our clock says DATE
                           means: the certificate of the server, or one above it, has run out, or our clock is wrong
                           hint: it has to be renewed there, unless the clock of this machine is wrong: 'date' shows it
                           more: sipreg explain certificate_expired
    skipped  registrar     nobody was asked: no TLS session came about with whoever is there
    skipped  credentials   not looked at: the tls step has failed
    skipped  binding       not looked at: the tls step has failed
    skipped  way           nobody answers who could say how we are seen
    skipped  reach         nothing is bound that a call could go to
    skipped  clock         no answer came with a readable Date
    skipped  others        nothing is bound that other servers could know of

    Checked with 0 requests in TIME.
    Mend first: tls (certificate_expired): it has to be renewed there, unless the clock of this machine is wrong: 'date' shows it
    "#);
}

#[test]
fn an_http_server() {
    assert_snapshot!(screen(&World::new().junk(Host(1), Tcp, HTTP).srv(&[Tcp], 1)), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060, HOST1
    ok       network       HOST1:5060 over TCP takes connections, in TIME
    skipped  tls           no destination uses TLS
    failed   registrar     HOST1:5060 over TCP answers in HTTP
                           means: something else than SIP comes back
                           hint: a web server, or one for WebSocket: --transport ws or wss, with --ws-path, or another port
                           more: sipreg explain not_sip
    skipped  credentials   not looked at: the registrar step has failed
    skipped  binding       not looked at: the registrar step has failed
    skipped  way           nobody answers who could say how we are seen
    skipped  reach         nothing is bound that a call could go to
    skipped  clock         no answer came with a readable Date
    skipped  others        nothing is bound that other servers could know of

    Checked with 1 request in TIME.
    Mend first: registrar (not_sip): a web server, or one for WebSocket: --transport ws or wss, with --ws-path, or another port
    "#);
}

#[test]
fn a_domain_that_is_not_served() {
    assert_snapshot!(screen(&usual(new().refuses("404 Not Found"))), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME; HOST1:5060 over TCP answers in TIME
    skipped  tls           no destination uses TLS
    failed   registrar     the registrar refused: 404 Not Found
                           means: 404 before any challenge: the server does not serve the domain, or has no such user
                           hint: no such user or domain there: check the AOR, and name the registrar with --registrar
                           don't: change the password: it was not even asked for
                           more: sipreg explain domain_not_served
    skipped  credentials   not looked at: the registrar step has failed
    skipped  binding       not looked at: the registrar step has failed
    ok       way           no NAT; a request of 1621 octets passes; Via, Contact, Call-ID and body were not compared, as no request came back
    skipped  reach         nothing is bound that a call could go to
    ok       clock         the clock of the registrar is the same as ours
    skipped  others        nothing is bound that other servers could know of

    Checked with 4 requests in TIME.
    Mend first: registrar (domain_not_served): no such user or domain there: check the AOR, and name the registrar with --registrar
    "#);
}

#[test]
fn a_wrong_password() {
    assert_snapshot!(screen(&usual(new().password("certainty"))), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME; HOST1:5060 over TCP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    failed   credentials   user name or password is wrong: realm "munich.de" did not accept user "werner"
                           means: the registrar asks again after our answer: the password or the user name is wrong
                           hint: check the password, and --username if the digest user differs from the AOR's; many registrars answer unknown users in the same way
                           more: sipreg explain password_wrong
    skipped  binding       not looked at: the credentials step has failed
    ok       way           no NAT; a request of 1621 octets passes; Via, Contact, Call-ID and body were not compared, as no request came back
    skipped  reach         nothing is bound that a call could go to
    ok       clock         the clock of the registrar is the same as ours
    skipped  others        nothing is bound that other servers could know of

    Checked with 5 requests in TIME.
    Mend first: credentials (password_wrong): check the password, and --username if the digest user differs from the AOR's; many registrars answer unknown users in the same way
    "#);
}

#[test]
fn a_contact_that_is_rewritten() {
    let world = usual(new().changes(|it, answer| {
        for (_, value) in answer.rows.iter_mut().filter(|(name, _)| it.is("REGISTER") && name == "Contact") {
            *value = value.replace("@127.0.0.1", "@192.0.2.7");
        }
    }));
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME; HOST1:5060 over TCP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256: not refused
    failed   binding       the 200 lists our contact as "sip:werner@192.0.2.7:PORT", not at 127.0.0.1:PORT
                           means: the registrar lists the contact at another place than it was asked to bind
                           hint: --transport tls keeps gateways out, or switch the SIP ALG of the router off; where the registrar does it, --advertise names the address that it wants
                           don't: try STUN or keep-alives: they don't help against a gateway
                           more: sipreg explain contact_rewritten
    ok       way           no NAT; a request of 1621 octets passes; Via, Contact, Call-ID and body were not compared, as no request came back
    skipped  reach         nothing is bound that a call could go to
    ok       clock         the clock of the registrar is the same as ours
    skipped  others        nothing is bound that other servers could know of

    Checked with 7 requests in TIME.
    Mend first: binding (contact_rewritten): --transport tls keeps gateways out, or switch the SIP ALG of the router off; where the registrar does it, --advertise names the address that it wants
    "#);
}

#[test]
fn a_gateway_that_meddles() {
    let world = behind(new().follows_source(), |heading, datagram| Some(gateway(heading, datagram, false)));
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256, realm "munich.de": accepted
    ok       binding       bound for 1m, listed, removed again
    failed   way           an application layer gateway changes what we send: body was "o=- NUMBER 1 IN IP4 127.0.0.1", arrived "o=- NUMBER 1 IN IP4 192.0.2.9"; body was "c=IN IP4 127.0.0.1", arrived "c=IN IP4 192.0.2.9"
                           means: something on the way changes our headers or bodies: an application layer gateway
                           hint: switch the SIP ALG of the router off, or use --transport tls: what it can't read it can't change
                           don't: try STUN, keep-alives or --advertise: what they say is changed, too
                           more: sipreg explain tampered
    warning  way           the registrar sees us at 127.0.0.1:PORT, not 127.0.0.1:PORT: a NAT is in between
                           means: the server sees us at another address than ours
                           hint: 'sipreg keep' binds the address that is seen and keeps the way open; one-shot commands have --advertise
                           don't: take it for a fault: only what the reach step says counts
                           more: sipreg explain behind_nat
    ok       reach         a request for the AOR arrives here (there and back in TIME), and so would a call
    ok       clock         the clock of the registrar is the same as ours
    ok       others        no other server; no other binding

    Checked with 10 requests in TIME.
    Mend first: way (tampered): switch the SIP ALG of the router off, or use --transport tls: what it can't read it can't change
    "#);
}

#[test]
fn calls_that_do_not_arrive_and_a_clock_that_is_off() {
    let registrar = new().refuses_calls("480 Temporarily Unavailable");
    let world = usual(registrar.changes(|_, answer| answer.set("Date", date(3600))));
    assert_snapshot!(screen(&world), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1
    ok       network       HOST1:5060 over UDP answers in TIME; HOST1:5060 over TCP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256, realm "munich.de": accepted
    ok       binding       bound for 1m, listed, removed again
    ok       way           no NAT; a request of 1621 octets passes; Via, Contact, Call-ID and body were not compared, as no request came back
    failed   reach         a request for the AOR does not arrive where it is bound: answered 480 Temporarily Unavailable
                           means: a request for the AOR does not arrive where it is bound, so calls probably don't either
                           hint: whoever answers knows no binding, where the registrar has one: do proxy and registrar share the location service? --proxy names another way in
                           don't: change the password: it has let us in
                           more: sipreg explain not_reachable
    warning  clock         our clock is 1h behind that of the registrar
                           means: our clock and that of the server differ by five minutes or more
                           hint: set the clock that is wrong, by NTP: certificates and lifetimes depend on it
                           more: sipreg explain clock_off
    ok       others        no other server; no other binding

    Checked with 11 requests in TIME.
    Mend first: reach (not_reachable): whoever answers knows no binding, where the registrar has one: do proxy and registrar share the location service? --proxy names another way in
    "#);
}

#[test]
fn servers_that_share_nothing() {
    let world = World::new().sip(Host(1), &[Udp], &new()).srv(&[Udp], 1);
    assert_snapshot!(screen(&world.sip(Host(2), &[Udp], &new()).srv(&[Udp], 2)), @r#"
    ok       account       sip:werner@munich.de, as "werner", password given, registrar "sip:munich.de"
    ok       dns           munich.de: SRV sip1.munich.de:5060 and 1 more, HOST1, HOST2
    ok       network       HOST1:5060 over UDP answers in TIME; HOST2:5060 over UDP answers in TIME
    skipped  tls           no destination uses TLS
    ok       registrar     answers REGISTER with 401
    ok       credentials   Digest SHA-256, realm "munich.de": accepted
    ok       binding       bound for 1m, listed, removed again
    ok       way           no NAT; Via, Contact, Call-ID and body come through unchanged; a request of 1621 octets passes
    ok       reach         a request for the AOR arrives here (there and back in TIME), and so would a call
    ok       clock         the clock of the registrar is the same as ours
    warning  others        what is bound at one server is not known at HOST2:5060 (480)
                           means: the servers of the name do not do the same: what is bound or served at one is not at another
                           hint: whoever runs the servers has to have them share their bindings; --proxy names one of them until then
                           don't: register again: that only moves the trouble
                           more: sipreg explain servers_differ

    Checked with 12 requests in TIME.
    It works. To look at first: others (servers_differ): whoever runs the servers has to have them share their bindings; --proxy names one of them until then
    "#);
}

/// A world, the step and the cause that are found there, and what their hint says and does not say.
type Hinting = (fn() -> World, &'static str, &'static str, &'static str);

/// Hints fit what was tried, and what was seen: nothing is advised that was done already, nor claimed that is not known.
#[test]
fn hints_fit_what_was_found() {
    const CASES: [Hinting; 14] = [
        (
            forgetful_later,
            "reach nat_mapping_short",
            "every 4 s keep the way open, as was tried: 'sipreg keep' with --keepalive 4s",
            "tcp",
        ),
        (called_once, "reach nat_mapping_short", "'sipreg keep' with --keepalive 1s", "as was tried"),
        (forgetful_soon, "reach nat_mapping_short", "not even keep-alives every 2 s", "'sipreg keep'"),
        (
            || World::new().silent(Host(1), &[Udp]).srv(&[Udp], 1),
            "network silent",
            "host and port",
            "--transport",
        ),
        (
            || World::new().silent(Host(1), &[Tls]).srv(&[Tls], 1).timeout("6s"),
            "tls silent",
            "TLS handshake",
            "Firewalls",
        ),
        (
            || World::new().junk(Host(1), Tls, b"").srv(&[Tls], 1),
            "tls not_tls",
            "plain SIP closes",
            "Firewalls",
        ),
        (
            || by_udp(new().says(|it, _| it.is("REGISTER").then_some(Say::Nothing))),
            "registrar silent",
            "OPTIONS",
            "--transport tcp",
        ),
        (
            || World::new().junk(Host(1), Tcp, b"").options(&["--registrar", "sip:{1}:5060;transport=tcp"]),
            "registrar silent",
            "may not serve this domain",
            "TLS",
        ),
        (
            || World::new().junk(Host(1), Tls, b"").options(&["--registrar", "sip:{1}:5061;transport=tcp"]),
            "registrar silent",
            "may be a port for TLS",
            "that port is one",
        ),
        (
            || World::new().junk(Host(1), Tcp, HTTP).srv(&[Tcp], 1),
            "registrar not_sip",
            "web server",
            "not TLS",
        ),
        (
            || {
                let refuses = |it: &Message| it.is_proven().then(|| it.response("403 Too many contacts"));
                usual(new().says(move |it, _| refuses(it).map(Say::Response)))
            },
            "binding too_many_bindings",
            "allows no more",
            "password",
        ),
        (
            || usual(new().says(|it, _| it.is_proven().then(|| Say::Response(it.response("407 Again"))))),
            "credentials password_wrong",
            "password and the user name first",
            "--",
        ),
        (|| usual(new().refuses_calls("486 Busy Here")), "reach not_reachable", "explain 486", "480"),
        (|| usual(new().refuses_calls("480 Gone")), "reach not_reachable", "knows no binding", "408"),
    ];
    std::thread::scope(|scope| {
        for (world, wanted, has, lacks) in CASES {
            scope.spawn(move || {
                let object = world().run(&["check", "--json"]).json();
                let (name, cause) = wanted.split_once(' ').unwrap();
                let mut steps = object["steps"].as_array().unwrap().iter();
                let found = steps.find(|step| step["step"] == name && step["cause"] == cause);
                let found = found.unwrap_or_else(|| panic!("no {wanted}: {}", shown(&object)));
                let hint = found["hint"].as_str().unwrap();
                assert!(hint.contains(has) && !hint.contains(lacks), "{wanted}: {hint}");
            });
        }
    });
}

/// Name servers that contradict each other are named, and which of them knows the name.
#[test]
fn a_name_that_one_name_server_denies_and_another_knows_is_told_so() {
    let ran = usual(new()).name_server_before(Play::Fail(ResponseCode::NXDomain)).run(&["check"]);
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ran.code, Some(5), "{}", ran.all());
    assert!(
        said.contains("says that munich.de does not exist, but 127.") && said.contains(" knows it"),
        "{}",
        ran.all()
    );
}

/// What was not looked at says why, and what could not be measured is not passed over.
#[test]
fn what_was_not_measured_is_said_to_be_so() {
    let behind_nat = behind(new().refuses_calls("480 Gone"), |_, datagram| Some(datagram.to_vec()));
    for (world, lines) in [
        (usual(new()).without_password(), &["the account step has failed"][..]),
        (behind_nat, &["Call-ID and body were not compared, as no request came\n"]),
    ] {
        let ran = world.run(&["check"]);
        let wrong = lines.iter().find(|line| !ran.stdout.contains(**line));
        assert_eq!(wrong, None, "{}", ran.all());
    }
}
