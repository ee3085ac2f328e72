//! The messages of RFC 4475 and RFC 5118 as data, each with the verdict of `torture/index.json`, and what
//! they read as.

use bytes::Bytes;
use sipreg::sip::{
    AnyUri, Contacts, Frame, FramingError, HeaderName, Message, ParseError, Request, Response, StreamFramer,
};
use std::path::PathBuf;
use std::sync::LazyLock;

/// A message of the torture set, as `index.json` describes it.
pub struct Torture {
    pub file: String,
    pub kind: String,
    pub verdict: String,
    /// The status that refuses it: a registrar's, or where there is none another server's.
    pub status: Option<u16>,
    pub octets: Bytes,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/torture")
}

/// All messages of `index.json`, in its order.
pub fn torture() -> &'static [Torture] {
    static SET: LazyLock<Vec<Torture>> = LazyLock::new(read_index);
    &SET
}

fn read_index() -> Vec<Torture> {
    let index = std::fs::read_to_string(folder().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let messages = index["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| {
            let file = text(&message["file"]);
            let octets = Bytes::from(std::fs::read(folder().join(&file)).unwrap());
            assert_eq!(octets.len() as u64, message["octets"].as_u64().unwrap(), "{file}");
            let (kind, verdict) = (text(&message["kind"]), text(&message["verdict"]));
            let expected = |who: &str| message["expect"][who].as_str().and_then(first_status);
            Torture { file, kind, verdict, status: expected("registrar").or_else(|| expected("uas")), octets }
        })
        .collect()
}

fn first_status(text: &str) -> Option<u16> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.filter(|word| word.len() == 3).find_map(|word| word.parse().ok().filter(|status| *status >= 400))
}

pub fn torture_file(name: &str) -> Bytes {
    std::fs::read(folder().join(name)).unwrap().into()
}

/// The first fault in the parts of a message that every receiver needs, in words.
fn first_fault(octets: &Bytes) -> Option<String> {
    let message = match Message::parse_datagram(octets.clone()) {
        Ok(message) => message,
        Err(error) => return Some(error.to_string()),
    };
    let headers = message.headers();
    if let Message::Request(request) = &message {
        if request.version != sipreg::sip::Version::V2 {
            return Some("another SIP version".to_owned());
        }
        if let Err(error) = AnyUri::parse(&request.uri) {
            return Some(format!("Request-URI: {error}"));
        }
    }
    let contacts = || match headers.contacts()? {
        Contacts::Star => Ok(()),
        Contacts::List(list) => list.into_iter().try_for_each(|contact| contact.map(drop)),
    };
    let fault = headers
        .vias()
        .map(drop)
        .and_then(|()| headers.top_via().map(drop))
        .and_then(|()| headers.to().map(drop))
        .and_then(|()| headers.from().map(drop))
        .and_then(|()| headers.call_id().map(drop))
        .and_then(|()| headers.cseq().map(drop))
        .and_then(|()| headers.max_forwards().map(drop))
        .and_then(|()| headers.name_addrs(&HeaderName::Route).map(drop))
        .and_then(|()| headers.name_addrs(&HeaderName::RecordRoute).map(drop))
        .and_then(|()| contacts())
        .and_then(|()| headers.date().map(drop));
    if let Err(error) = fault {
        return Some(error.to_string());
    }
    match &message {
        Message::Request(request) if headers.cseq().unwrap().method != request.method => {
            Some("CSeq: another method".to_owned())
        }
        Message::Request(_) | Message::Response(_) => None,
    }
}

fn request(file: &str) -> Request {
    match Message::parse_datagram(torture_file(file)).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{file} is a response"),
    }
}

fn response(file: &str) -> Response {
    match Message::parse_datagram(torture_file(file)).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("{file} is a request"),
    }
}

fn contacts(request: &Request) -> Vec<String> {
    match request.headers.contacts().unwrap() {
        Contacts::Star => vec!["*".to_owned()],
        Contacts::List(list) => list.into_iter().map(|contact| contact.unwrap().to_string()).collect(),
    }
}

/// Wrong by a rule that stands above the grammar, so that the layers above have to see it.
const ABOVE_THE_GRAMMAR: [&str; 2] = ["escruri.sip", "badbranch.sip"];

/// DSR-003, INC-007, COD-025, URI-015, URI-020, HDR-014: what is valid or lenient reads whole, what is
/// invalid has a fault with a name.
#[test]
fn every_torture_message_gets_its_verdict() {
    let mut faults = String::new();
    for message in torture() {
        let fault = first_fault(&message.octets);
        let invalid = message.verdict == "invalid" && !ABOVE_THE_GRAMMAR.contains(&message.file.as_str());
        assert_eq!(fault.is_some(), invalid, "{}: {fault:?}", message.file);
        if let Some(fault) = fault {
            faults.push_str(&format!("{}: {fault}\n", message.file));
        }
    }
    insta::assert_snapshot!(faults, @r"
    badinv01.sip: Via: has a malformed parameter
    clerr.sip: the body is not as long as Content-Length says
    ncl.sip: Content-Length is no number
    scalar02.sip: CSeq: has a malformed number or one out of range
    scalarlg.sip: CSeq: has a malformed number or one out of range
    quotbal.sip: To: has an unterminated quote
    ltgtruri.sip: Request-URI: unknown or missing scheme
    lwsruri.sip: malformed start line
    lwsstart.sip: malformed start line
    trws.sip: malformed start line
    baddate.sip: Date: has a malformed date
    regbadct.sip: Contact: has a URI that needs angle brackets
    badaspec.sip: To: has a bad URI: unknown or missing scheme
    baddn-terminated.sip: To: has a display name that needs quotes
    baddn.sip: the empty line behind the headers is missing
    badvers.sip: another SIP version
    mismatch01.sip: CSeq: another method
    mismatch02.sip: CSeq: another method
    bigcode.sip: status code outside 100 to 699
    insuf.sip: To: is missing
    multi01.sip: To: occurs more than once
    mcl01.sip: contradictory Content-Length rows
    test.sip: malformed start line
    ipv6-bad.sip: Request-URI: malformed host
    ipv6-in-sdp-published-length.sip: the body is not as long as Content-Length says
    ");
}

/// HDR-003, HDR-004, HDR-001: white space, folding and compact names of wsinv.
#[test]
fn heavy_folding_reads_like_plain_text() {
    let request = request("wsinv.sip");
    let headers = &request.headers;
    assert_eq!(headers.max_forwards(), Ok(Some(68)));
    assert_eq!(headers.cseq().unwrap().number, 9);
    let vias: Vec<_> = headers.vias().unwrap().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(vias.join("\n"), @r"
    SIP/2.0/UDP 192.0.2.2;branch=390skdjuw
    SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8
    SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239
    ");
    assert_eq!(headers.get(&HeaderName::Subject).unwrap().value(), b"");
    assert_eq!(headers.to().unwrap().tag(), Some("1918181833n"));
    assert_eq!(headers.from().unwrap().display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(
        headers.get(&HeaderName::parse(b"NewFangledHeader").unwrap()).unwrap().value(),
        b"newfangled value continued newfangled value"
    );
    assert_eq!(
        contacts(&request),
        [r#""Quoted string \"\"" <sip:jdrosen@example.com>;newparam=newvalue;secondparam;q=0.33"#]
    );
    assert_eq!(request.body.len(), 150);
}

/// HDR-016, INC-004: every character a grammar allows, a NUL in a quoted-pair included.
#[test]
fn the_widest_characters_of_the_grammar_read() {
    let request = request("intmeth.sip");
    assert_eq!(request.method.as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    let to = request.headers.to().unwrap();
    assert_eq!(to.display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    let uri = AnyUri::parse(&request.uri).unwrap();
    let uri = uri.sip().unwrap();
    assert_eq!(uri.user.as_deref(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password.as_deref(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(request.headers.call_id(), Ok("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"));
    let from = request.headers.from().unwrap();
    assert_eq!(from.params.get("fromParam''~+*_!.-%"), Some(Some("работающий")));
}

/// URI-018: escapes are undone once.
#[test]
fn an_escaped_escape_is_undone_once() {
    let request = request("esc01.sip");
    let Contacts::List(list) = request.headers.contacts().unwrap() else { panic!("star") };
    let contact = list[0].as_ref().unwrap();
    let uri = contact.uri.sip().unwrap();
    assert_eq!(uri.user_decoded().as_deref(), Some("caller"));
    assert_eq!(uri.param("lr"), Some(None));
    assert_eq!(uri.param("name"), Some(Some("v%61lue%25%34%31")));
    assert_eq!(request.headers.to().unwrap().uri.sip().unwrap().user_decoded().as_deref(), Some("user"));
}

/// URI-019: an escaped NUL is data, and one NUL is not two.
#[test]
fn an_escaped_nul_stays_in_the_user_part() {
    let request = request("escnull.sip");
    let to = request.headers.to().unwrap();
    assert_eq!(to.uri.sip().unwrap().user_decoded().as_deref(), Some("null-\0-null"));
    let Contacts::List(list) = request.headers.contacts().unwrap() else { panic!("star") };
    let uris: Vec<_> = list.iter().map(|contact| contact.as_ref().unwrap().uri.sip().unwrap()).collect();
    assert_eq!(uris.len(), 2);
    assert!(!uris[0].matches(uris[1]));
}

/// INC-004: a percent sign is no escape in methods and header names.
#[test]
fn a_percent_sign_in_a_token_is_a_character() {
    let request = request("esc02.sip");
    assert_eq!(request.method.as_str(), "RE%47IST%45R");
    assert_eq!(contacts(&request).len(), 2);
    assert_eq!(request.headers.to().unwrap().display.as_deref(), Some("%Z%45"));
}

/// HDR-005: the order of 34 Via rows in every spelling.
#[test]
fn via_rows_keep_their_order() {
    let request = request("longreq.sip");
    assert_eq!(request.headers.via_count(), 34);
    let vias = request.headers.vias().unwrap();
    let hosts: Vec<_> = vias.iter().take(33).map(|via| via.host.to_string()).collect();
    let expected: Vec<_> = (1..=33).rev().map(|n| format!("sip{n}.example.com")).collect();
    assert_eq!(hosts, expected);
}

/// TRN-019: octets behind the body are thrown away.
#[test]
fn a_second_request_in_the_datagram_is_dropped() {
    assert!(request("dblreq.sip").body.is_empty());
    assert_eq!(request("mult-ip-in-sdp-published-length.sip").body.len(), 181);
}

/// TRN-021: without Content-Length the body runs to the end.
#[test]
fn without_content_length_the_body_is_the_rest() {
    assert_eq!(request("inv2543.sip").body.len(), 105);
}

/// HDR-018: NUL and bare LF in a body are octets like any other.
#[test]
fn a_binary_body_is_kept_whole() {
    let request = request("mpart01.sip");
    assert_eq!(request.body.len(), 553);
    assert!(request.body.contains(&0));
}

/// URI-016: what looks like a parameter before the `@` belongs to the user part.
#[test]
fn a_semicolon_in_the_user_part_begins_no_parameter() {
    let uri = AnyUri::parse(request("semiuri.sip").uri).unwrap();
    let uri = uri.sip().unwrap();
    assert_eq!(uri.user_decoded().as_deref(), Some("user;par=u@example.net"));
    assert!(uri.params.is_empty());
}

/// HDR-015: a reason may be empty or not ASCII.
#[test]
fn reasons_may_be_empty_or_foreign() {
    assert_eq!(response("noreason.sip").reason, "");
    assert!(response("unreason.sip").reason.starts_with("= 2**3 * 5**2"));
}

/// HDR-009, RGR-038: without brackets the parameter is the header's.
#[test]
fn brackets_decide_whose_a_parameter_is() {
    let bare = contacts(&request("cparam01.sip"));
    let bracketed = contacts(&request("cparam02.sip"));
    assert_eq!(bare, ["<sip:+19725552222@gw1.example.net>;unknownparam"]);
    assert_eq!(bracketed, ["<sip:+19725552222@gw1.example.net;unknownparam>"]);
}

/// RGR-039: header parts of a contact stay in it.
#[test]
fn an_escaped_route_stays_in_the_contact() {
    let contacts = contacts(&request("regescrt.sip"));
    assert_eq!(contacts, ["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]);
}

/// URI-006, URI-020: IPv6 in its tolerated and its right spellings.
#[test]
fn ipv6_spellings_read_as_rfc_5118_wants() {
    let host = |file: &str| {
        let uri = AnyUri::parse(request(file).uri).unwrap();
        let uri = uri.sip().unwrap();
        (uri.host.to_string(), uri.port)
    };
    assert_eq!(host("port-ambiguous.sip"), ("[2001:db8::10:5070]".to_owned(), None));
    assert_eq!(host("port-unambiguous.sip"), ("[2001:db8::10]".to_owned(), Some(5070)));
    let tolerated = request("ipv6-bug-abnf-3-colons.sip").headers.top_via().unwrap();
    let right = request("ipv6-correct-abnf-2-colons.sip").headers.top_via().unwrap();
    assert_eq!(tolerated.received(), right.received());
    let with = request("via-received-param-with-delim.sip").headers.top_via().unwrap();
    let without = request("via-received-param-no-delim.sip").headers.top_via().unwrap();
    assert!(with.received().is_some());
    assert_eq!(with.received(), without.received());
}

/// TRN-025: a length that cannot be used closes a stream; TRN-026: one that is too large waits.
#[test]
fn broken_lengths_end_a_stream() {
    let frame = |file: &str| {
        let mut framer = StreamFramer::new();
        framer.push(&torture_file(file));
        (framer.next(), framer.partial())
    };
    assert_eq!(frame("ncl.sip"), (Err(FramingError::BadLength), false));
    assert_eq!(frame("mcl01.sip"), (Err(FramingError::Contradictory), false));
    assert_eq!(frame("inv2543.sip"), (Err(FramingError::NoLength), false));
    assert_eq!(frame("clerr.sip"), (Ok(None), true));
    let whole = torture_file("wsinv.sip");
    assert_eq!(frame("wsinv.sip"), (Ok(Some(Frame::Message(whole))), false));
}

/// INC-007, STX-030: what is broken can still be answered when its head can be read.
#[test]
fn a_broken_request_is_salvaged_for_its_answer() {
    for file in ["clerr.sip", "ncl.sip", "mcl01.sip", "lwsstart.sip", "trws.sip", "lwsruri.sip", "baddn.sip"]
    {
        let request = Request::salvage(&torture_file(file)).expect(file);
        assert!(request.headers.top_via().is_ok(), "{file}");
        assert!(request.headers.call_id().is_ok(), "{file}");
        assert!(request.headers.cseq().is_ok(), "{file}");
    }
    assert_eq!(Request::salvage(&torture_file("bigcode.sip")), None);
    assert_eq!(Request::salvage(&torture_file("test.sip")), None);
}

/// The archive of RFC 5118 has LF line ends: no SIP.
#[test]
fn line_feeds_alone_end_no_lines() {
    for entry in std::fs::read_dir(folder().join("rfc5118-archive")).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(Message::parse_datagram(octets.into()), Err(ParseError::BareLineEnd));
    }
}
