//! What every server does with a request: versions, methods, extensions, what is broken (RFC 3261 §8.2, §11, §21).

use bytes::Bytes;
use sipreg::proto::registrar::service::ServerEvent;

use crate::world::*;

/// What an answer says, in a line.
fn said(sent: &Sent) -> String {
    let response = sent.response();
    let mut line = format!("{} {}", response.status, response.reason);
    for name in ["Allow", "Unsupported", "Supported", "Accept", "Min-Expires"] {
        if let Some(value) = sent.header(name) {
            line += &format!("; {name}: {value}");
        }
    }
    line
}

/// What callers of other domains hear where nobody has a password.
const NO_RELAY: &str = "403 Forbidden: calls to other domains need a user, and there are none";

/// RGR-002 RGR-010 RGR-048 INC-004 PRX-003
#[test]
fn requests_are_refused_as_rfc_3261_says() {
    for (text, expected) in [
        (
            request("OPTIONS", "sip:munich.de", 1, ""),
            "200 OK; Allow: REGISTER, OPTIONS; Supported: path; Accept: ",
        ),
        (request("OPTIONS", "sip:munich.de", 1, "Require: 100rel"), "420 Bad Extension; Unsupported: 100rel"),
        (request("OPTIONS", "sip:berlin.de", 1, ""), NO_RELAY),
        (
            request("OPTIONS", "sip:berlin.de", 1, "").replace("Max-Forwards: 70", "Max-Forwards: 0"),
            "483 Too Many Hops",
        ),
        (request("INVITE", "sip:munich.de", 1, ""), "405 Method Not Allowed; Allow: REGISTER, OPTIONS"),
        (request("MESSAGE", "sip:munich.de", 1, ""), "405 Method Not Allowed; Allow: REGISTER, OPTIONS"),
        (request("INVITE", "sip:born~munich.de", 1, ""), "480 Temporarily Unavailable"),
        (request("INVITE", "tel:+49", 1, ""), "416 Unsupported URI Scheme"),
        (request("CANCEL", "sip:born~munich.de", 1, ""), "481 Call/Transaction Does Not Exist"),
        (request("register", "sip:munich.de", 1, ""), "501 Not Implemented; Allow: REGISTER, OPTIONS"),
        (request("REGISTER", "tel:+49", 1, ""), "416 Unsupported URI Scheme"),
        (request("REGISTER", "nobodyKnowsThisScheme:x", 1, ""), "416 Unsupported URI Scheme"),
        (
            request("REGISTER", "sip:munich.de", 1, "").replace("SIP/2.0|Via", "SIP/7.0|Via"),
            "505 Version Not Supported",
        ),
        (register(1, "Require: path, outbound, gruu"), "420 Bad Extension; Unsupported: outbound, gruu"),
        (register(1, "Proxy-Require: privacy|Require: PATH"), "200 OK"),
        (
            register(1, "").replace("CSeq: 1 REGISTER", "CSeq: 1 INVITE"),
            "400 Bad Request: CSeq: has another method than the request",
        ),
        (register(1, "").replace("Call-ID: c|", ""), "400 Bad Request: Call-ID: is missing"),
        (register(1, "").replace("To: <sip:heisenberg~munich.de>|", ""), "400 Bad Request: To: is missing"),
        (register(1, "To: <sip:x~munich.de>"), "400 Bad Request: To: occurs more than once"),
        (
            register(1, "").replace("Max-Forwards: 70", "Max-Forwards: 999"),
            "400 Bad Request: Max-Forwards: has a malformed number or one out of range",
        ),
        (
            register(1, "Contact: <sip:a b>"),
            "400 Bad Request: Contact: has a bad URI: a character that no URI holds",
        ),
        (
            register(1, "").replace("Content-Length: 0", "Content-Length: 10"),
            "400 Bad Request: the body is not as long as Content-Length says",
        ),
        (register(1, "no colon here"), "400 Bad Request: malformed header name"),
    ] {
        let mut world = World::new(service());
        let answer = world.ask(&text);
        assert_eq!(said(&answer), expected, "{text}");
        let malformed = world
            .news()
            .iter()
            .filter(|what| matches!(what, ServerEvent::Malformed { status: Some(400), .. }))
            .count();
        assert_eq!(malformed, usize::from(answer.status() == 400), "{text}");
        if text.contains("To: ") && answer.header("To").is_some() {
            assert!(answer.header("To").unwrap().contains(";tag="), "{}", answer.text());
        }
        assert_eq!(world.ask(&text), answer, "the same request gets the same answer");
        world.stop();
    }
}

/// Leniency that costs nothing: what is meant is plain, and what is kept is sound.
///
/// RGR-020 RGR-047 STX-024
#[test]
fn slips_that_change_nothing_are_taken() {
    for (row, kept) in [
        (&b"Contact: <sip:a~b>;expires=60;"[..], "<sip:a@b>"),
        (
            b"Contact: <sip:a~b>;;+sip.instance=<urn:uuid:1>;expires=60",
            "<sip:a@b>;+sip.instance=\"<urn:uuid:1>\"",
        ),
        (b"Contact: a~b.c <sip:a~b>;x=y==", "<sip:a@b>;x=\"y==\""),
        (b"Contact: B\xfcro <sip:a~b>", "<sip:a@b>"),
        (b"Contact: \"B\xfcro\" <sip:a~b>", "<sip:a@b>"),
        (b"Contact: ,<sip:a~b>,", "<sip:a@b>"),
    ] {
        let mut world = World::new(service());
        let text = wire(&register(1, "ROW"));
        let octets: Vec<u8> = row.iter().map(|octet| if *octet == b'~' { b'@' } else { *octet }).collect();
        let (before, after) = text.split_once("ROW").unwrap();
        let sent = world.octets(DEVICE, [before.as_bytes(), &octets, after.as_bytes()].concat().into());
        let contact = sent[0].header("Contact").unwrap_or_else(|| panic!("{}", sent[0].text()));
        assert!(contact.starts_with(&format!("{kept};expires=")), "{contact}");
        world.stop();
    }
    for (part, by) in [
        ("From: <sip:heisenberg~munich.de>", "From: heisenberg~munich.de W. <sip:heisenberg~munich.de>"),
        ("To: <sip:heisenberg~munich.de>", "To: heisenberg~munich.de <sip:heisenberg~munich.de>"),
        (";branch=z9hG4bK1", ";;branch=z9hG4bK1;"),
        ("UDP 192.0.2.7:5070", "UDP [fe80::1%eth0]:5070;rport"),
        ("UDP 192.0.2.7:5070", "UDP [fe80::1%25en1]:5070"),
        ("Via: ", "Via: ,"),
    ] {
        let mut world = World::new(service());
        let text = register(1, "Contact: <sip:a~b>");
        assert!(text.contains(part), "{text}");
        let answer = world.ask(&text.replacen(part, by, 1));
        assert_eq!(answer.status(), 200, "{by}: {}", answer.text());
        assert!(answer.header("Via").unwrap().contains("branch=z9hG4bK1"), "{}", answer.text());
        assert!(answer.header("To").unwrap().contains(";tag="), "{}", answer.text());
        if by.contains('%') {
            let sent_by = by.trim_end_matches(";rport");
            assert!(answer.header("Via").unwrap().contains(sent_by), "{}", answer.text());
        }
        world.stop();
    }
}

/// RGR-021 RGR-047: never silent, and the reason names the header.
#[test]
fn what_is_not_taken_is_answered_with_its_header_and_the_reason() {
    for (part, by, reason) in [
        (
            "Contact: x",
            "Contact: *;expires=0",
            "Contact: has `*` with parameters, which takes none: an Expires header of 0 goes with it",
        ),
        ("Contact: x", "Contact: *", "Contact: `*` goes with Expires: 0 only"),
        ("Contact: x", "Contact: <sip:9#1~b>", "Contact: has a bad URI: malformed user part"),
        ("Contact: x", "Contact: <sip:a~b", "Contact: has an unterminated angle bracket"),
        ("Contact: x", "Contact: \"a <sip:a~b>", "Contact: has an unterminated quote"),
        ("Contact: x", "Contact: ,", "Contact: has an empty value"),
        ("192.0.2.7:5070", "192.0.2.7:x", "Via: has a bad URI: malformed port"),
        ("192.0.2.7:5070", "[::1%a b]:5070", "Via: has a bad URI: malformed host"),
        ("192.0.2.7:5070", "192.0.2.7 5070", "Via: has a malformed parameter"),
        ("CSeq: 1 ", "CSeq: x ", "CSeq: has a malformed number or one out of range"),
    ] {
        let mut world = World::new(service());
        let text = register(1, "Contact: x");
        assert!(text.contains(part), "{text}");
        let sent = world.datagram(DEVICE, &text.replacen(part, by, 1));
        assert_eq!(sent.len(), 1, "{by}");
        assert_eq!(said(&sent[0]), format!("400 Bad Request: {reason}"), "{by}");
        assert_eq!(sent[0].peer.to_string(), DEVICE, "{by}");
        let malformed =
            |what: &&ServerEvent| matches!(what, ServerEvent::Malformed { status: Some(400), .. });
        assert_eq!(world.news().iter().filter(malformed).count(), 1, "{by}");
        let ack = text.replacen(part, by, 1).replace("REGISTER", "ACK");
        assert_eq!(world.datagram(DEVICE, &ack), [], "an ACK has no answer");
        world.stop();
    }
}

/// STX-001: what has no answer gets none.
#[test]
fn acks_responses_keep_alives_and_noise_get_no_answer() {
    let mut world = World::new(service());
    let via = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1";
    for text in [
        wire(&request("ACK", "sip:munich.de", 1, "")),
        wire(&format!("SIP/2.0 200 OK|{via}|CSeq: 1 REGISTER")),
        wire(&register(1, "").replace("Via: ", "Vial: ")),
        wire(&register(1, "").replace("SIP/2.0/UDP", "HTTP")),
        "\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\0\x01\x02".to_owned(),
        "x".repeat(60_000),
        String::new(),
    ] {
        assert_eq!(world.octets(DEVICE, Bytes::from(text.clone())), [], "{text}");
    }
    let malformed = world.news().len();
    assert_eq!((malformed, world.counters().malformed, world.counters().stray), (5, 5, 1));
    world.stop();
}

/// DSR-003 RGR-018 RGR-047 PRX-034: the torture messages of RFC 4475 and RFC 5118, each answered or not, none harmful.
#[test]
fn the_torture_messages_are_answered_where_they_can_be() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/torture");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sip"));
    files.sort();
    let mut table = String::new();
    for file in &files {
        let domains = ["example.com", "example.net", "bar.example", "cs.tu-berlin.de"];
        let domains = domains.map(|name| sipreg::sip::Host::parse(name).unwrap()).to_vec();
        let mut world = World::new(sipreg::proto::registrar::service::Service { domains, ..service() });
        let sent = world.octets(DEVICE, std::fs::read(file).unwrap().into());
        let statuses: Vec<String> = sent.iter().map(|sent| sent.status().to_string()).collect();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        table +=
            &format!("{name}: {}\n", if statuses.is_empty() { "-".to_owned() } else { statuses.join(" ") });
        world.stop();
    }
    insta::assert_snapshot!(table, @r"
    badaspec.sip: 400
    badbranch.sip: 480
    baddate.sip: 480
    baddn-terminated.sip: 400
    baddn.sip: 400
    badinv01.sip: 400
    badvers.sip: 505
    bcast.sip: -
    bext01.sip: 420
    bigcode.sip: -
    clerr.sip: 400
    cparam01.sip: 200
    cparam02.sip: 200
    dblreq.sip: 200
    esc01.sip: 480
    esc02.sip: 403
    escnull.sip: 200
    escruri.sip: 480
    insuf.sip: 400
    intmeth.sip: 480
    inv2543.sip: 480
    invut.sip: 480
    ipv4-mapped-ipv6-published-length.sip: 480
    ipv4-mapped-ipv6.sip: 480
    ipv6-bad.sip: 400
    ipv6-bug-abnf-3-colons.sip: 403
    ipv6-correct-abnf-2-colons.sip: 403
    ipv6-good.sip: 404
    ipv6-in-sdp-published-length.sip: 400
    ipv6-in-sdp.sip: 403
    longreq.sip: 480
    ltgtruri.sip: 400
    lwsdisp.sip: 480
    lwsruri.sip: 400
    lwsstart.sip: 400
    mcl01.sip: 400
    mismatch01.sip: 400
    mismatch02.sip: 400
    mpart01.sip: 403
    mult-ip-in-header.sip: 403
    mult-ip-in-sdp-published-length.sip: 403
    mult-ip-in-sdp.sip: 403
    multi01.sip: 400
    ncl.sip: 400
    noreason.sip: -
    novelsc.sip: 416
    port-ambiguous.sip: 404
    port-unambiguous.sip: 404
    quotbal.sip: 400
    regaut01.sip: 200
    regbadct.sip: 400
    regescrt.sip: 200
    scalar02.sip: 400
    scalarlg.sip: -
    sdp01.sip: 480
    semiuri.sip: 480
    test.sip: -
    transports.sip: 480
    trws.sip: 400
    unkscm.sip: 416
    unksm2.sip: 400
    unreason.sip: -
    via-received-param-no-delim.sip: 403
    via-received-param-with-delim.sip: 403
    wsinv.sip: 403
    zeromf.sip: 483
    ");
}

/// A registrar of a domain stops when it is told to, and answers what has come.
#[test]
fn stopping_waits_for_what_has_come_and_takes_nothing_more() {
    let mut world = World::new(service());
    world.shelf = Shelf::Slow;
    assert_eq!(world.datagram(DEVICE, &register(1, "Contact: <sip:a~b>")), []);
    world.event(sipreg::proto::Event::Command(sipreg::proto::Command::StopServing));
    assert_eq!(world.news(), []);
    assert_eq!(world.datagram(DEVICE, &register(2, "")), []);
    world.answer_store();
    assert_eq!(world.sent.iter().map(Sent::status).collect::<Vec<_>>(), [200]);
    assert!(matches!(world.news().as_slice(), [ServerEvent::Changed { .. }, ServerEvent::Stopped]));
    assert!(world.endpoint.is_idle());
}
