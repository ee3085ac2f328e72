//! Registrations over TLS and WebSocket, and what `sips` asks for.

use sipreg::proto::client::outcome::{CredentialsFailure, Failure, Report};
use sipreg::proto::client::plan::{Plan, Purpose, Resume};
use sipreg::proto::identity::{Untrusted, UpgradeFault};
use sipreg::proto::locate::Transport;
use sipreg::proto::{Cause, DnsAnswer, Profile, Question, Srv};

use crate::keep_world::{self, Reply};
use crate::world::*;

const SIPS: &str = "sips:werner.heisenberg~munich.de";

/// A plan for an AOR at a registrar.
fn to(aor: &str, registrar: &str) -> Plan {
    Plan { aor: uri(aor), registrar: uri(registrar).into(), ..plan() }
}

/// One header of each request.
fn all(course: &Course, name: &str) -> Vec<String> {
    course.sent.iter().map(|sent| sent.headers(name).join(", ")).collect()
}

/// Who the other end proved to be, as the report says.
fn proven(report: &Report) -> Option<&str> {
    report.tls.as_ref().and_then(|session| session.name.as_deref())
}

/// SEC-001 SEC-018 SEC-024 WSS-007 WSS-008 WSS-009 WSS-010 WSS-011 WSS-012 REG-028 REQ-025: what Via and Contact say, by transport; over reliable ones
/// nothing is repeated.
#[test]
fn via_and_contact_say_the_transport_and_what_is_sips_says_so() {
    let here = "werner.heisenberg@192.0.2.99:5070";
    let nowhere = "werner.heisenberg@475fb748d1313462.invalid;transport=ws";
    let plain = "sip:werner.heisenberg~munich.de";
    for (aor, registrar, via, contact, way) in [
        (plain, "sip:192.0.2.1", "UDP 192.0.2.99:5070", format!("sip:{here}"), "udp 192.0.2.1:5060"),
        (
            plain,
            "sip:192.0.2.1;transport=tcp",
            "TCP 192.0.2.99:5070",
            format!("sip:{here};transport=tcp"),
            "tcp 192.0.2.1:5060",
        ),
        (
            plain,
            "sip:192.0.2.1;transport=tls",
            "TLS 192.0.2.99:5070",
            format!("sip:{here};transport=tls"),
            "tls 192.0.2.1:5061",
        ),
        (
            plain,
            "sip:192.0.2.1;transport=ws",
            "WS 475fb748d1313462.invalid",
            format!("sip:{nowhere}"),
            "ws 192.0.2.1:80",
        ),
        (
            plain,
            "sip:192.0.2.1;transport=wss",
            "WSS 475fb748d1313462.invalid",
            format!("sip:{nowhere}"),
            "wss 192.0.2.1:443",
        ),
        (SIPS, "sips:192.0.2.1", "TLS 192.0.2.99:5070", format!("sips:{here}"), "tls 192.0.2.1:5061"),
        (
            SIPS,
            "sips:192.0.2.1:5071;transport=tcp",
            "TLS 192.0.2.99:5070",
            format!("sips:{here}"),
            "tls 192.0.2.1:5071",
        ),
        (
            SIPS,
            "sips:192.0.2.1;transport=ws",
            "WSS 475fb748d1313462.invalid",
            format!("sips:{nowhere}"),
            "wss 192.0.2.1:443",
        ),
        (plain, "sips:192.0.2.1", "TLS 192.0.2.99:5070", format!("sips:{here}"), "tls 192.0.2.1:5061"),
    ] {
        let course = World::answering(&[MD5, OK]).run(to(aor, registrar));
        assert_eq!(verdict(&course), format!("ok: {contact} for 3600"), "{registrar}");
        assert_eq!(all(&course, "Contact"), vec![format!("<{contact}>"); 2]);
        assert!(
            all(&course, "Via").iter().all(|row| row.starts_with(&format!("SIP/2.0/{via};branch="))),
            "{registrar}"
        );
        assert_eq!(course.way(), format!("0 {way}, 10 {way}"));
        assert_eq!((course.opened.len(), course.copies.len()), (1, 0));
        // From and To stay what they are.
        for name in ["From", "To"] {
            assert!(
                all(&course, name).iter().all(|row| row.starts_with(&format!("<{}>", aor.replace('~', "@"))))
            );
        }
        assert_eq!(course.request_uris(), vec![registrar; 2]);
        assert!(course.report.warnings.is_empty() && course.report.received.is_none());
        let is_secure = way.starts_with("tls") || way.starts_with("wss");
        assert_eq!(proven(&course.report), is_secure.then_some("192.0.2.1"));
    }
}

/// TRN-001 TRN-010 TRN-014 TRN-030 TRN-031: one battery for every transport, over IPv4 and IPv6.
#[test]
fn every_transport_registers_and_fails_alike_over_both_families() {
    for transport in Transport::ALL {
        for host in ["192.0.2.1", "[2001:db8::1]"] {
            let what = format!("{transport} {host}");
            let forced =
                || Plan { transport: Some(transport), ..to("sip:werner~munich.de", &format!("sip:{host}")) };
            let port = transport.default_port();
            let course =
                World::answering(&[MD5, "423 Brief|Min-Expires: 7200", "200 OK|Contact: <@>;expires=7200"])
                    .run(forced());
            assert!(course.report.result.is_ok(), "{what}: {}", verdict(&course));
            let step = format!("{transport} {host}:{port}");
            assert_eq!(course.way(), format!("0 {step}, 10 {step}, 20 {step}"));
            assert_eq!(course.opened, [step]);
            let course = World::answering(&["403 Forbidden"]).run(forced());
            assert_eq!(verdict(&course), "Refused(Status(403))", "{what}");
            // Silence is borne for 64·T1, and only datagrams are repeated.
            let course = World::new(|_, _, _| Vec::new()).run(forced());
            assert_eq!(
                (verdict(&course).as_str(), course.report.elapsed.as_secs()),
                ("Timeout", 32),
                "{what}"
            );
            assert_eq!(course.copies.is_empty(), transport.is_reliable(), "{what}");
            let mut world = World::answering(&[OK]);
            world.open = Box::new(|_| Err(Cause::Refused));
            assert_eq!(verdict(&world.run(forced())), "Unreachable(Network(Refused))", "{what}");
            let course = World::new(|_, _, _| vec![(10, Reaction::Fail(Cause::Reset))]).run(forced());
            assert_eq!(verdict(&course), "Unreachable(Network(Reset))", "{what}");
            if transport.is_reliable() {
                let course = World::new(|_, _, _| vec![(10, Reaction::Close)]).run(forced());
                assert_eq!(verdict(&course), "Unreachable(Closed)", "{what}");
            }
            if transport.is_framed() && transport.is_reliable() {
                // WSS-011: each message says by itself where it ends.
                let course = World::new(|request, _, _| {
                    let text = String::from_utf8(answer(request, OK).to_vec()).unwrap();
                    vec![(10, Reaction::Send(text.replace("Content-Length: 0\r\n", "").into()))]
                });
                assert!(course.run(forced()).report.result.is_ok(), "{what}");
            }
        }
    }
}

/// `--advertise` says who we are, over WebSocket too; without a port there is none.
#[test]
fn an_advertised_host_stands_before_one_that_leads_nowhere() {
    for (port, sent_by) in [(None, "phone.munich.de"), (Some(5099), "phone.munich.de:5099")] {
        let mut plan = to("sip:werner~munich.de", "sip:192.0.2.1;transport=ws");
        plan.advertise = Some(Box::new((uri("sip:phone.munich.de").host, port)));
        let course = World::answering(&[OK]).run(plan);
        assert_eq!(verdict(&course), format!("ok: sip:werner@{sent_by};transport=ws for 3600"));
        assert!(all(&course, "Via")[0].starts_with(&format!("SIP/2.0/WS {sent_by};")));
    }
}

/// WSS-012 REG-011 DES-024: whoever goes on with a Call-ID is the same device, also without an address.
#[test]
fn over_websocket_another_process_refreshes_and_removes_the_same_binding() {
    let mut plan = to("sip:werner~munich.de", "sip:192.0.2.1;transport=ws");
    plan.resume = Some(Box::new(Resume::default()));
    let course = World::answering(&[OK]).run(plan.clone());
    let first = all(&course, "Contact");
    let dialogue = Some((course.report.call_id.to_string(), course.report.cseq));
    plan.resume = Some(Box::new(Resume { dialogue: dialogue.clone(), own: vec![contact(&first[0])] }));
    let mut world = World::answering(&[OK]);
    world.open = Box::new(|_| Ok((0, "192.0.2.98:6000".parse().unwrap())));
    let course = world.run(plan.clone());
    assert_eq!(all(&course, "Contact"), first);
    plan.purpose = Purpose::Remove;
    plan.contacts = vec![contact(&first[0])];
    let course = World::answering(&["200 OK"]).run(plan.clone());
    assert_eq!(all(&course, "Contact"), first);
    assert_eq!(course.sent[0].header("Expires").as_deref(), Some("0"));
    // Over another transport the one that leads nowhere is removed.
    plan = to("sip:werner~munich.de", "sip:192.0.2.1;transport=tls");
    plan.resume = Some(Box::new(Resume { dialogue, own: vec![contact(&first[0])] }));
    let course = World::answering(&[OK]).run(plan);
    assert_eq!(
        all(&course, "Contact"),
        [format!("<sip:werner@192.0.2.99:5070;transport=tls>, {};expires=0", first[0])]
    );
}

/// SEC-020 REQ-036 SEC-023: all Routes of what is sips are, and the first hop is found so.
#[test]
fn the_routes_of_a_sips_request_are_sips() {
    let mut plan = to(SIPS, "sips:munich.de");
    plan.route =
        vec![uri("sip:192.0.2.5:5066;transport=tls;lr"), uri("sips:192.0.2.6;lr"), uri("sip:p.de;lr")];
    let course = World::answering(&[OK]).run(plan.clone());
    assert_eq!(all(&course, "Route"), ["<sips:192.0.2.5:5066;lr>, <sips:192.0.2.6;lr>, <sips:p.de;lr>"]);
    assert_eq!((course.way().as_str(), proven(&course.report)), ("0 tls 192.0.2.5:5066", Some("192.0.2.5")));
    plan.route = vec![uri("sip:192.0.2.5;transport=udp;lr")];
    let course = World::answering(&[OK]).run(plan);
    assert_eq!(
        (course.sent.len(), verdict(&course).as_str()),
        (0, "Unreachable(Network(ProtocolUnreachable))")
    );
    // A sips Route alone makes the contact sips (RFC 3261 §8.1.1.8), and nothing else.
    let mut plan = to("sip:werner~munich.de", "sip:munich.de");
    plan.route = vec![uri("sips:192.0.2.5;lr"), uri("sip:p.de;lr")];
    let course = World::answering(&[OK]).run(plan);
    assert_eq!(all(&course, "Route"), ["<sips:192.0.2.5;lr>, <sip:p.de;lr>"]);
    assert_eq!(all(&course, "Contact"), ["<sips:werner@192.0.2.99:5070>"]);
    assert_eq!(course.request_uris(), ["sip:munich.de"]);
}

/// SEC-019 SEC-021 RSP-020: a registrar that has no use for sips has none for us.
#[test]
fn sips_is_never_turned_into_sip() {
    for (answers, expected, requests) in [
        (["416 Unsupported URI Scheme", OK], "Refused(Status(416))", 1),
        (["480 Unavailable|Warning: 380 munich.de \"SIPS Not Allowed\"", OK], "Refused(Status(480))", 1),
        (["302 Moved|Contact: <sip:192.0.2.8>", OK], "Refused(NoTarget(302))", 1),
        (["302 Moved|Contact: <sips:192.0.2.8;transport=udp>", OK], "Refused(NoTarget(302))", 1),
        (["305 Use Proxy|Contact: <sip:192.0.2.8>", OK], "Refused(NoTarget(305))", 1),
        (["302 Moved|Contact: <sip:192.0.2.8>, <sips:192.0.2.8>", OK], "ok", 2),
    ] {
        let course = World::answering(&answers).run(to(SIPS, "sips:192.0.2.1"));
        assert_eq!((verdict(&course).split(':').next(), course.sent.len()), (Some(expected), requests));
        assert!(course.sent.iter().all(|sent| sent.to.transport == Transport::Tls));
        assert!(course.sent.iter().all(|sent| sent.request.uri.starts_with("sips:")));
    }
}

/// RSP-006: where a redirect leads, its own transport counts, and the contact follows.
#[test]
fn a_redirect_leads_to_any_transport() {
    for (target, way, contact) in [
        ("sip:192.0.2.8;transport=tls", "tls 192.0.2.8:5061", "sip:werner@192.0.2.99:5070;transport=tls"),
        ("sip:192.0.2.8;transport=ws", "ws 192.0.2.8:80", "sip:werner@475fb748d1313462.invalid;transport=ws"),
        (
            "sip:192.0.2.8;transport=wss",
            "wss 192.0.2.8:443",
            "sip:werner@475fb748d1313462.invalid;transport=ws",
        ),
        ("sips:192.0.2.8:5099", "tls 192.0.2.8:5099", "sips:werner@192.0.2.99:5070"),
        (
            "sips:192.0.2.8;transport=ws",
            "wss 192.0.2.8:443",
            "sips:werner@475fb748d1313462.invalid;transport=ws",
        ),
    ] {
        let moved = format!("302 Moved|Contact: <{target}>");
        let mut plan = to("sip:werner~munich.de", "sip:192.0.2.1");
        plan.transport = Some(Transport::Udp);
        let course = World::answering(&[&moved, OK]).run(plan);
        assert_eq!(course.way(), format!("0 udp 192.0.2.1:5060, 10 {way}"));
        assert_eq!(verdict(&course), format!("ok: {contact} for 3600"));
    }
}

/// SEC-003 SEC-012: who can't prove to be the one that is meant gets nothing, and the next is tried; what such a failure comes
/// before and after.
#[test]
fn an_untrusted_destination_gets_nothing_and_counts_more_than_silence_and_less_than_an_answer() {
    // Three servers of a name; the first is somebody else.
    fn names(question: &Question) -> Option<DnsAnswer> {
        let server = |n: u16| Srv { priority: n, weight: 0, port: 5061, target: format!("s{n}.net") };
        Some(Ok(match question {
            Question::Srv(name) if name == "_sips._tcp.munich.de" => {
                [1, 2].map(|n| sipreg::proto::Record::Srv(server(n))).into()
            }
            Question::A(name) => vec![record(if name == "s1.net" { "192.0.2.1" } else { "192.0.2.2" })],
            Question::Aaaa(_) | Question::Srv(_) | Question::Naptr(_) => Vec::new(),
        }))
    }
    let untrusted = "Unreachable(Network(Untrusted(Name)))";
    for (second, answers, expected, name) in [
        (Ok(()), [OK].as_slice(), "ok: sips:werner.heisenberg@192.0.2.99:5070 for 3600", Some("munich.de")),
        (Ok(()), &[], untrusted, None),
        (Err(Cause::Refused), &[], untrusted, None),
        (Err(Cause::Upgrade(sipreg::proto::identity::UpgradeFault::Status(403))), &[], untrusted, None),
        (Ok(()), &["403 Forbidden"], "Refused(Status(403))", Some("munich.de")),
        (Ok(()), &["503 Later"], "Refused(Status(503))", Some("munich.de")),
    ] {
        let mut world = World::new(|request, _, _| {
            answers.iter().map(|text| (10, Reaction::Send(answer(request, text)))).collect()
        });
        world.names = Box::new(names);
        world.open = Box::new(move |to| match to.address.ip().to_string().as_str() {
            "192.0.2.1" => Err(Cause::Untrusted(Untrusted::Name)),
            _ => second.map(|()| (0, "192.0.2.99:5070".parse().unwrap())),
        });
        let course = world.run(to(SIPS, "sips:munich.de"));
        assert_eq!(verdict(&course), expected);
        assert_eq!(proven(&course.report), name);
        assert_eq!(course.opened, ["tls 192.0.2.1:5061", "tls 192.0.2.2:5061"]);
        assert!(course.sent.iter().all(|sent| sent.to.address.ip().to_string() == "192.0.2.2"));
        if name.is_none() {
            // What is known of the one that failed.
            let session = course.report.tls.as_ref().unwrap();
            assert!(!session.verified);
            assert_eq!(session.certificate.as_ref().unwrap().subject, "CN=192.0.2.1:5061");
        }
    }
}

/// SEC-016: a server of TLS on the plain port, or one of HTTP, is named as what it is.
#[test]
fn what_answers_in_tls_or_http_is_known() {
    for (octets, expected) in [
        (b"\x15\x03\x01\x00\x02\x02\x46".as_slice(), "Misbehaved(Framing(Tls))"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Misbehaved(Framing(Http))"),
    ] {
        let course = World::new(|_, _, _| vec![(10, Reaction::Send(octets.into())), (10, Reaction::Close)]);
        assert_eq!(verdict(&course.run(tcp(plan()))), expected);
    }
}

/// TRN-014 SEC-025 SEC-029 SEC-031: accounts share one connection if they have the same settings; one that was lost is opened anew, and nothing is
/// said over the one that is gone.
#[test]
fn accounts_share_a_tls_connection_and_bind_anew_when_it_is_lost() {
    for (second, opened) in [(Profile(0), 2), (Profile(1), 4)] {
        let mut world = keep_world::World::new(|asked| match asked.at {
            0..1000 => Reply::GrantAndClose(3600, 60_000),
            _ => Reply::Grant(3600),
        });
        let registrar = || uri("sip:munich.de;transport=tls").into();
        world.keep(1, Plan { registrar: registrar(), ..plan() }, 0);
        let aor = uri("sip:bohr~munich.de");
        world.keep(2, Plan { aor, registrar: registrar(), profile: second, ..plan() }, 0);
        world.run(4_000_000);
        assert_eq!(world.opened, opened);
        let ended = world.end("over TLS");
        assert_eq!((ended.count("registered at munich.de"), ended.count("flow failed None")), (2, 2));
        assert!(ended.count("refreshed at munich.de") >= 4, "{:?}", ended.told);
        assert_eq!(ended.count("failed"), 0);
    }
}

/// SEC-003: a certificate that has run out may be a new one soon.
#[test]
fn a_certificate_that_is_not_trusted_is_looked_at_again() {
    let mut world = keep_world::World::new(|_| Reply::Grant(3600));
    world.untrusted_until = 100_000;
    world.keep(1, Plan { registrar: uri("sips:munich.de").into(), aor: uri(SIPS), ..plan() }, 0);
    world.run(400_000);
    let ended = world.end("with a certificate that is renewed");
    assert!(
        (2..20).contains(&ended.count("failed Some(Unreachable(Network(Untrusted(Expired))))")),
        "{:?}",
        ended.told
    );
    assert_eq!(ended.count("registered at munich.de"), 1);
}

/// WSS-013: a challenge to the handshake of a WebSocket is answered as one by SIP is, for GET and the path; what can't be
/// answered is not. A 401 after that is the end, for want of the right credentials.
#[test]
fn a_challenge_to_the_handshake_is_answered_if_one_by_sip_would_be() {
    use sipreg::proto::digest::Keyring;
    use sipreg::proto::ids::Counting;
    use sipreg::proto::{Action, Command, Endpoint, Event, FlowId, Notice, RegistrationId, Time};
    const ONE: RegistrationId = RegistrationId(1);
    let digest = "Digest realm=\"munich.de\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    let without = || Keyring { credentials: Vec::new(), ..keyring("") };
    for (challenges, keyring, is_answered) in [
        (vec![digest], keyring("uncertainty"), true),
        (vec!["Basic realm=\"munich.de\"", digest], keyring("uncertainty"), true),
        (vec!["Basic realm=\"munich.de\""], keyring("uncertainty"), false),
        (vec!["Digest"], keyring("uncertainty"), false),
        (vec![], keyring("uncertainty"), false),
        (vec![digest], without(), false),
        (vec![digest], Keyring { realm: Some("berlin.de".to_owned()), ..keyring("uncertainty") }, false),
    ] {
        let now = Time::from_millis(1_792_000_000_000);
        let mut endpoint = Endpoint::new(Box::new(Counting::default()));
        let plan = Plan { keyring, ..to("sip:werner.heisenberg~munich.de", "sip:192.0.2.1;transport=ws") };
        let command = Command::Register { registration: ONE, plan: Box::new(plan) };
        let flow = endpoint
            .handle(Event::Command(command), now)
            .find_map(|action| if let Action::Open { flow, .. } = action { Some(flow) } else { None })
            .unwrap();
        let mut answer = |flow: FlowId| {
            let challenges = challenges.iter().map(|text| (*text).to_owned()).collect();
            let event = Event::Challenged { flow, path: "/sip?a".to_owned(), challenges };
            match endpoint.handle(event, now).collect::<Vec<_>>().as_slice() {
                [Action::Authorize { flow: of, authorization }] if *of == flow => authorization.clone(),
                other => panic!("{other:?}"),
            }
        };
        // Nobody uses this one.
        assert_eq!(answer(FlowId(99)), None);
        let authorization = answer(flow);
        assert_eq!(authorization.is_some(), is_answered, "{challenges:?}");
        if let Some(text) = authorization {
            assert!(text.starts_with("Digest ") && text.contains("uri=\"/sip?a\""), "{text}");
            assert!(text.contains("username=\"heisenberg\"") && !text.contains("uncertainty"), "{text}");
            let cnonce = text.split("cnonce=\"").nth(1).unwrap().split('"').next().unwrap();
            let expected = response_of("GET", "/sip?a", cnonce);
            assert!(text.contains(&format!("response=\"{expected}\"")), "{text}");
        }
        let cause = Cause::Upgrade(UpgradeFault::Status(401));
        let peer = "192.0.2.1:80".parse().unwrap();
        let report =
            endpoint
                .handle(Event::Failed { flow, peer, cause }, now)
                .find_map(|action| {
                    if let Action::Notify(Notice::Finished(report)) = action { Some(report) } else { None }
                })
                .unwrap();
        match (report.result, is_answered) {
            (Err(Failure::Credentials(CredentialsFailure::Rejected { realm, username })), true) => {
                assert_eq!((&*realm, &*username), ("munich.de", "heisenberg"));
            }
            (Err(Failure::Credentials(_)), false) => {}
            (result, _) => panic!("{challenges:?}: {result:?}"),
        }
    }
}

/// RFC 7616 §3.4.1 by hand: MD5 and qop auth, the first use of the nonce.
fn response_of(method: &str, uri: &str, cnonce: &str) -> String {
    use md5::{Digest, Md5};
    let hash =
        |text: String| Md5::digest(text).iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let secret = hash("heisenberg:munich.de:uncertainty".to_owned());
    let request = hash(format!("{method}:{uri}"));
    hash(format!("{secret}:n1:00000001:{cnonce}:auth:{request}"))
}
