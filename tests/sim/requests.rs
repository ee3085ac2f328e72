//! Every kind of request that is sent, byte by byte.

use std::time::Duration;

use sipreg::proto::client::plan::Purpose;
use sipreg::proto::locate::Transport;
use sipreg::sip::{Header, HeaderName, Host, Q};

use crate::world::*;

fn shown(course: &Course, n: usize) -> String {
    course.sent[n].text.replace("\r\n", "\n")
}

/// REQ-001..003 REQ-005..009 REQ-012 REQ-015 REQ-017..020 REQ-026 REQ-029 REQ-030 REQ-039 REQ-042 TRN-007
/// TRN-009 NAT-001 EXT-001 HDR-008 DES-021 GRU-003
#[test]
fn the_first_request_binds_this_device_at_the_address_it_sends_from() {
    let course = World::answering(&[OK]).run(plan());
    insta::assert_snapshot!(shown(&course, 0), @"
    REGISTER sip:192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;rport
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 1 REGISTER
    Contact: <sip:werner.heisenberg@192.0.2.99:5070>
    Expires: 3600
    Supported: path
    User-Agent: sipreg/test
    Content-Length: 0
    ");
    assert_eq!(verdict(&course), "ok: sip:werner.heisenberg@192.0.2.99:5070 for 3600");
}

/// AUT-001..004 AUT-022 AUT-023 AUT-028..030 REQ-013 REQ-022 RSP-017 RSP-022 COD-005
#[test]
fn a_challenge_is_answered_with_the_next_cseq_and_the_same_call_id_and_tag() {
    let course = World::answering(&[MD5, OK]).run(plan());
    insta::assert_snapshot!(shown(&course, 1), @r#"
    REGISTER sip:192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000007;rport
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 2 REGISTER
    Contact: <sip:werner.heisenberg@192.0.2.99:5070>
    Expires: 3600
    Supported: path
    User-Agent: sipreg/test
    Authorization: Digest username="heisenberg", realm="munich.de", nonce="n1", uri="sip:192.0.2.1", response="10bef56eec86dbb10032a391f9c25f48", algorithm=MD5, cnonce="00000000000000050000000000000006", qop=auth, nc=00000001
    Content-Length: 0
    "#);
}

/// REQ-023 TRN-004 TRN-022
#[test]
fn over_tcp_via_and_contact_say_so() {
    let course = World::answering(&[OK]).run(tcp(plan()));
    insta::assert_snapshot!(shown(&course, 0), @"
    REGISTER sip:192.0.2.1 SIP/2.0
    Via: SIP/2.0/TCP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;rport
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 1 REGISTER
    Contact: <sip:werner.heisenberg@192.0.2.99:5070;transport=tcp>
    Expires: 3600
    Supported: path
    User-Agent: sipreg/test
    Content-Length: 0
    ");
}

/// REQ-032 REQ-034 REQ-035 EXT-003 DES-032
#[test]
fn proxies_are_a_preloaded_route_and_the_first_is_the_next_hop() {
    let mut plan = plan();
    plan.registrar = uri("sip:munich.de").into();
    plan.route = vec![uri("sip:192.0.2.7:5080;lr"), uri("sip:edge.munich.de;transport=tcp;lr")];
    plan.headers = vec![Header::new(HeaderName::parse(b"X-Lab").unwrap(), "1").unwrap()];
    plan.user_agent = None;
    let course = World::answering(&[OK]).run(plan);
    insta::assert_snapshot!(shown(&course, 0), @"
    REGISTER sip:munich.de SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;rport
    Route: <sip:192.0.2.7:5080;lr>
    Route: <sip:edge.munich.de;transport=tcp;lr>
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 1 REGISTER
    Contact: <sip:werner.heisenberg@192.0.2.99:5070>
    Expires: 3600
    Supported: path
    X-Lab: 1
    Content-Length: 0
    ");
    assert_eq!(course.way(), "0 udp 192.0.2.7:5080");
}

/// REQ-007 REG-002 REG-004 REG-005 REG-029 REQ-027 EXT-009
#[test]
fn a_third_party_registers_several_contacts_each_with_its_own_q_and_lifetime() {
    let mut plan = plan();
    plan.from = Some(Box::new(uri("sip:office~munich.de")));
    plan.contacts = vec![
        contact("<sip:werner~192.0.2.20:5062>;expires=60;audio"),
        contact("\"Desk, 2\" <sip:werner~[2001:db8::20];transport=tcp>;q=0.25"),
        contact("<mailto:werner~munich.de>"),
    ];
    plan.q = Some(Q::parse("0.7").unwrap());
    let ok = "200 OK|Contact: <sip:werner~192.0.2.20:5062>;expires=60|\
              Contact: <mailto:werner~munich.de>;expires=10, <sip:werner~[2001:db8::20];transport=tcp>;expires=5";
    let course = World::answering(&[ok]).run(plan);
    insta::assert_snapshot!(shown(&course, 0), @r#"
    REGISTER sip:192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000004;rport
    Max-Forwards: 70
    From: <sip:office@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 1 REGISTER
    Contact: <sip:werner@192.0.2.20:5062>;expires=60;audio;q=0.7
    Contact: "Desk, 2" <sip:werner@[2001:db8::20];transport=tcp>;q=0.25
    Contact: <mailto:werner@munich.de>;q=0.7
    Expires: 3600
    Supported: path
    User-Agent: sipreg/test
    Content-Length: 0
    "#);
    assert_eq!(
        verdict(&course),
        "ok: sip:werner@192.0.2.20:5062 for 60, sip:werner@[2001:db8::20];transport=tcp for 5, \
         mailto:werner@munich.de for 10"
    );
}

/// REG-006 REG-007 REG-034
#[test]
fn a_removal_asks_for_lifetime_0_also_after_a_challenge() {
    let mut plan = plan();
    plan.purpose = Purpose::Remove;
    plan.contacts = vec![contact("<sip:werner~192.0.2.20:5062>;expires=60")];
    let course = World::answering(&[MD5, "200 OK"]).run(plan);
    insta::assert_snapshot!(shown(&course, 1), @r#"
    REGISTER sip:192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK0000000000000007;rport
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 2 REGISTER
    Contact: <sip:werner@192.0.2.20:5062>
    Expires: 0
    Supported: path
    User-Agent: sipreg/test
    Authorization: Digest username="heisenberg", realm="munich.de", nonce="n1", uri="sip:192.0.2.1", response="10bef56eec86dbb10032a391f9c25f48", algorithm=MD5, cnonce="00000000000000050000000000000006", qop=auth, nc=00000001
    Content-Length: 0
    "#);
    assert_eq!(verdict(&course), "ok: sip:werner@192.0.2.20:5062 for 0");
}

/// TRN-010 REQ-041 REG-003 URI-006
#[test]
fn over_ipv6_addresses_are_in_brackets_and_what_is_not_wanted_is_left_out() {
    let mut plan = plan();
    plan.registrar = uri("sip:[2001:db8::1]:5080").into();
    plan.user_agent = None;
    plan.purpose = Purpose::Bind { expires: None };
    let course = World::answering(&[OK]).run(plan);
    insta::assert_snapshot!(shown(&course, 0), @"
    REGISTER sip:[2001:db8::1]:5080 SIP/2.0
    Via: SIP/2.0/UDP [2001:db8::99]:5070;branch=z9hG4bK0000000000000004;rport
    Max-Forwards: 70
    From: <sip:werner.heisenberg@munich.de>;tag=0000000000000003
    To: <sip:werner.heisenberg@munich.de>
    Call-ID: 00000000000000010000000000000002
    CSeq: 1 REGISTER
    Contact: <sip:werner.heisenberg@[2001:db8::99]:5070>
    Supported: path
    Content-Length: 0
    ");
}

/// TRN-008
#[test]
fn an_advertised_host_stands_in_via_and_contact_with_the_bound_port() {
    let mut plan = plan();
    plan.advertise = Some(Box::new((Host::parse("phone.munich.de").unwrap(), None)));
    let course = World::answering(&[OK]).run(plan);
    assert_eq!(course.sent[0].header("Contact").unwrap(), "<sip:werner.heisenberg@phone.munich.de:5070>");
    assert_eq!(
        course.sent[0].header("Via").unwrap(),
        "SIP/2.0/UDP phone.munich.de:5070;branch=z9hG4bK0000000000000004;rport"
    );
}

/// REQ-016 TXN-002
#[test]
fn a_retransmission_is_the_same_octets_and_stops_with_the_answer() {
    let course = World::new(|request, n, _| {
        assert_eq!(n, 0);
        vec![(2000, Reaction::Send(answer(request, OK)))]
    })
    .run(plan());
    assert_eq!(course.copies, [500, 1500]);
    assert_eq!((course.report.requests, course.report.retransmissions), (1, 2));
    assert_eq!(course.report.round_trip, Some(Duration::from_secs(2)));
}

/// REQ-009 REQ-021
#[test]
fn all_values_that_must_be_unpredictable_come_from_the_random_source() {
    let course = World::answering(&[MD5, OK]).run(plan());
    let [first, second] =
        [0, 1].map(|n| ["Via", "From", "Call-ID"].map(|name| course.sent[n].header(name).unwrap()).join(" "));
    assert_ne!(first, second);
    assert_eq!(first.replace("0000000000000004", "B"), second.replace("0000000000000007", "B"));
    assert_eq!(course.sent[1].to.transport, Transport::Udp);
}

/// REQ-028 REQ-031 REQ-037 RSP-029 REG-027 TRN-014 REQ-006
#[test]
fn nothing_of_an_answer_gets_into_the_next_request_and_the_connection_is_used_again() {
    let odd = format!(
        "{MD5}|Record-Route: <sip:evil;lr>|Route: <sip:evil;lr>|Service-Route: <sip:evil;lr>|Contact: <sip:evil>|Require: x"
    );
    let course = World::answering(&[&odd, OK]).run(tcp(plan()));
    assert!(course.report.result.is_ok());
    assert!(!course.sent[1].text.contains("evil"));
    for sent in &course.sent {
        assert!(sent.header("Require").is_none() && sent.header("Proxy-Require").is_none());
        assert!(!sent.header("To").unwrap().contains("tag="));
        assert!(!sent.header("Contact").unwrap().contains("action"));
    }
    assert_eq!(course.opened, ["tcp 192.0.2.1:5060"]);
}
