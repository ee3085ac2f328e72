//! What strays from the grammar and is read all the same: by whom, and with which blemish.

use crate::sip::{Contacts, Header, HeaderName, Headers, Message, ParseError, Problem, UriError};

fn row(name: HeaderName, value: &[u8]) -> Headers {
    [Header::new(name, value.to_vec()).unwrap()].into_iter().collect()
}

/// What a client reads in a list, and the blemish.
fn listed(value: &[u8]) -> Vec<Result<(String, Option<Problem>), Problem>> {
    let all = row(HeaderName::Contact, value).listed(&HeaderName::Contact).into_iter();
    all.map(|value| {
        value.map(|reading| (reading.address.to_string(), reading.blemish)).map_err(|error| error.problem)
    })
    .collect()
}

/// What a server takes as a contact.
fn taken(value: &[u8]) -> Result<String, Problem> {
    match row(HeaderName::Contact, value).contacts().unwrap() {
        Contacts::Star => Ok("*".to_owned()),
        Contacts::List(mut list) => {
            assert_eq!(list.len(), 1);
            list.remove(0).map(|address| address.to_string()).map_err(|error| error.problem)
        }
    }
}

const PARAMETER: Problem = Problem::Parameter;
const CHARACTER: Problem = Problem::Uri(UriError::Character);

/// HDR-009 REG-036: scheme, user, host, port and lifetime are found; what goes around the URI a server takes, too.
#[test]
fn one_blemish_does_not_spoil_an_address() {
    let long = format!("<sip:{}h>;expires=60", "a@".repeat(8));
    for (value, read, blemish, is_taken) in [
        (&b"<sip:u@h:5>;expires=60;"[..], "<sip:u@h:5>;expires=60", PARAMETER, true),
        (b"<sip:u@h>;;expires=60; ;", "<sip:u@h>;expires=60", PARAMETER, true),
        (b"<sip:u@h>;x=VG8+==;expires=60", "<sip:u@h>;x=\"VG8+==\";expires=60", PARAMETER, true),
        (
            b"<sip:u@h>;+sip.instance=<urn:uuid:1>;expires=60",
            "<sip:u@h>;+sip.instance=\"<urn:uuid:1>\";expires=60",
            PARAMETER,
            true,
        ),
        (b"<sip:u@h>;x=\"a;b\"c;expires=60", "<sip:u@h>;x=\"\\\"a;b\\\"c\";expires=60", PARAMETER, false),
        (b"<sip:u@h>;x=a b;expires=60", "<sip:u@h>;x=\"a b\";expires=60", PARAMETER, false),
        (
            b"<sip:u@h>;x=\"a;expires=60",
            "<sip:u@h>;x=\"\\\"a\";expires=60",
            Problem::UnterminatedQuote,
            false,
        ),
        (b"<sip:u@h>;<x>=1;=2;expires=60", "<sip:u@h>;expires=60", PARAMETER, false),
        (b"<sip:u@h>expires=60", "<sip:u@h>;expires=60", PARAMETER, false),
        (b"a@b.c <sip:u@h>;expires=60", "\"a@b.c\" <sip:u@h>;expires=60", Problem::DisplayName, true),
        (b"B\xfcro <sip:u@h>;expires=60", "\"B\u{fffd}ro\" <sip:u@h>;expires=60", Problem::NotUtf8, true),
        (b"\"B\xfc, ro\" <sip:u@h>", "\"B\u{fffd}, ro\" <sip:u@h>", Problem::NotUtf8, true),
        (b"<sip:u@h>;x=\"\xfc\"", "<sip:u@h>;x=\"\u{fffd}\"", Problem::NotUtf8, true),
        (b"\"a <sip:u@h>;expires=60", "\"\\\"a\" <sip:u@h>;expires=60", Problem::UnterminatedQuote, false),
        (b"\"a\" b <sip:u@h>", "\"\\\"a\\\" b\" <sip:u@h>", Problem::BareUri, false),
        (b"< sip:u@h >;expires=60", "<sip:u@h>;expires=60", CHARACTER, false),
        (b"<sip:u@h;expires=60", "<sip:u@h>;expires=60", Problem::UnterminatedBracket, false),
        (b"sip:u@h>;expires=60", "<sip:u@h>;expires=60", CHARACTER, false),
        (b"sip:u@h?x=y;expires=60", "<sip:u@h?x=y>;expires=60", Problem::BareUri, false),
        (b"<sip:u@h;t=\"VG8+==\">", "<sip:u@h;t=\"VG8+==\">", CHARACTER, false),
        (b"<sip:u@h:5;;x;?a=b&c>", "<sip:u@h:5;;x;?a=b&c=>", Problem::Uri(UriError::Parameter), false),
        (b"<sip:9#1@h:5>;expires=60", "<sip:9#1@h:5>;expires=60", Problem::Uri(UriError::User), false),
        (b"<sip:u@dom@h:5>", "<sip:u@dom@h:5>", Problem::Uri(UriError::Host), false),
        (b"<sip:u:p w@h>", "<sip:u:p w@h>", Problem::Uri(UriError::Password), false),
        (b"<sip:u@h : 5;x>", "<sip:u@h:5;x>", CHARACTER, false),
        (b"<sip:u\xfc@h>", "<sip:u\u{fffd}@h>", Problem::NotUtf8, false),
        (long.as_bytes(), &long, Problem::Uri(UriError::Host), false),
    ] {
        let shown = String::from_utf8_lossy(value);
        let [Ok((address, found))] = &listed(value)[..] else { panic!("{shown}: {:?}", listed(value)) };
        if !matches!(blemish, Problem::Uri(_)) {
            assert_eq!(*found, Some(blemish), "{shown}");
        }
        assert!(found.is_some(), "{shown}");
        assert_eq!(address, read, "{shown}");
        match taken(value) {
            Ok(address) => assert!(is_taken && address == read, "{shown} is taken as {address}"),
            Err(problem) => assert!(!is_taken, "{shown}: {problem}"),
        }
    }
}

#[test]
fn without_scheme_or_host_there_is_nothing_to_find() {
    for value in [
        "u@h",
        "<>",
        "\"a\"",
        "<sip:>",
        "<sip:@>",
        "<sip:u@>",
        "<sip:u@h h>",
        "<sip:u@h:99999>",
        "sip",
        ";x",
        "<sip:a@b@[::1>",
    ] {
        assert!(listed(value.as_bytes())[0].is_err(), "{value}: {:?}", listed(value.as_bytes()));
        assert!(taken(value.as_bytes()).is_err(), "{value}");
    }
    assert_eq!(taken(b"*;expires=0"), Err(Problem::StarParameters));
    assert_eq!(taken(b"* ; expires=0"), Err(Problem::StarParameters));
    assert_eq!(listed(b"*;expires=0"), [Err(Problem::StarParameters)]);
}

/// STX-024 TXN-012
#[test]
fn a_via_is_read_when_only_its_parameters_stray_or_its_address_has_a_zone() {
    for (value, read) in [
        (&b"SIP/2.0/UDP a:5;branch=z9;"[..], "SIP/2.0/UDP a:5;branch=z9"),
        (b"SIP/2.0/UDP a ;; branch = z9 ; ;rport", "SIP/2.0/UDP a;branch=z9;rport"),
        (b"SIP/2.0/UDP a;branch=z9=;x=a b", "SIP/2.0/UDP a;branch=z9=;x=a b"),
        (b"SIP/2.0/UDP a;x=\"\xfc\";branch=z9", "SIP/2.0/UDP a;x=\"\u{fffd}\";branch=z9"),
        (b",SIP/2.0/UDP a;branch=z9,", "SIP/2.0/UDP a;branch=z9"),
        (b"SIP/2.0/UDP [fe80::1%eth0]:5;branch=z9", "SIP/2.0/UDP [fe80::1%eth0]:5;branch=z9"),
        (b"SIP/2.0/UDP [fe80::1%25eth0];branch=z9", "SIP/2.0/UDP [fe80::1%25eth0];branch=z9"),
    ] {
        let headers = row(HeaderName::Via, value);
        let via = headers.top_via().unwrap();
        assert_eq!((via.to_string().as_str(), via.branch().unwrap().get(..2)), (read, Some("z9")));
        assert_eq!((headers.vias().unwrap(), headers.via_count()), (vec![via], 1));
    }
    for value in [
        "SIP/2.0/UDP a b;branch=z9",
        "SIP/2.0/UDP [fe80::1%];branch=z9",
        "SIP/2.0/UDP [::1%a b]",
        "SIP/2.0/UDP a:x;",
    ] {
        assert!(row(HeaderName::Via, value.as_bytes()).top_via().is_err(), "{value}");
    }
}

#[test]
fn the_first_value_of_a_list_is_not_an_empty_one() {
    let via = HeaderName::Via;
    let mut headers = row(via.clone(), b", SIP/2.0/UDP a, SIP/2.0/UDP b");
    headers.set_first_value(&via, "SIP/2.0/UDP c").unwrap();
    assert_eq!(headers.get(&via).unwrap().text(), Ok("SIP/2.0/UDP c, SIP/2.0/UDP b"));
    let mut headers = row(via.clone(), b",, SIP/2.0/UDP a,");
    assert!(headers.remove_first_value(&via) && headers.via_count() == 0);
    assert!(!headers.remove_first_value(&via));
}

#[test]
fn a_comma_too_many_is_found_in_lists_alone() {
    for (name, value, is_surplus) in [
        (HeaderName::ServiceRoute, "<sip:a>,", true),
        (HeaderName::Path, ",<sip:a>", true),
        (HeaderName::Supported, "a, ,b", true),
        (HeaderName::WwwAuthenticate, "Digest realm=\"a,,b\", nonce=\",\"", false),
        (HeaderName::WwwAuthenticate, "Digest realm=\"a\",, nonce=\"b\"", true),
        (HeaderName::Contact, "\",,\" <sip:a,,b@c>, <sip:d>", false),
        (HeaderName::Subject, "a,,", false),
        (HeaderName::Via, "", false),
    ] {
        let found: Vec<String> =
            row(name.clone(), value.as_bytes()).surplus_commas().iter().map(ToString::to_string).collect();
        let expected = is_surplus.then(|| format!("{name}: has an empty value"));
        assert_eq!(found, Vec::from_iter(expected), "{value}");
    }
}

/// TRN-020 TRN-021: of a response in a datagram; a request is told, and a stream would lose its step.
#[test]
fn a_response_in_a_datagram_need_not_say_where_it_ends() {
    let head = "SIP/2.0 200 OK\r\nServer: a";
    for end in ["", "\r", "\r\n", "\r\n\r", "\r\nl:\r\n\r\n", "\r\nl: \r\nl: 0\r\n\r\n", "\r\nl:", "\r\nl: 0"]
    {
        let text = format!("{head}{end}");
        let Ok(Message::Response(response)) = Message::parse_datagram(text.clone().into()) else {
            panic!("{end:?}")
        };
        assert_eq!(
            (response.headers.get(&HeaderName::Server).unwrap().value(), &*response.body),
            (&b"a"[..], &b""[..])
        );
        assert!(Message::parse_framed(text.clone().into()).is_err(), "{end:?}");
        let request = text.replace("SIP/2.0 200 OK", "OPTIONS sip:a SIP/2.0");
        assert!(Message::parse_datagram(request.into()).is_err(), "{end:?}");
    }
    let body = Message::parse_datagram(format!("{head}\r\nl:\r\n\r\nbody").into());
    assert!(matches!(body, Ok(Message::Response(response)) if &*response.body == b"body"));
    for (end, fault) in [
        ("\r\nl: 4\r\n", ParseError::Unterminated),
        ("\r\nl: -1\r\n\r\n", ParseError::ContentLength),
        ("\r\nl:\r\nl: x\r\n\r\n", ParseError::ContentLength),
        ("\r\nl:\r\nl: 9\r\n\r\n", ParseError::ContentLength),
        ("\r\nno colon", ParseError::Unterminated),
        ("\n", ParseError::BareLineEnd),
    ] {
        let text = format!("{head}{end}");
        assert_eq!(Message::parse_datagram(text.into()), Err(fault), "{end:?}");
    }
}

/// HDR-020: reason phrases and texts in another charset are for people, and spoil nothing.
#[test]
fn text_that_is_not_utf_8_is_shown_as_far_as_it_goes() {
    let octets = b"SIP/2.0 403 Gesch\xfctzt\r\nServer: \xfc1\r\nl: 0\r\n\r\n";
    let Ok(Message::Response(response)) = Message::parse_framed(octets.to_vec().into()) else { panic!() };
    assert_eq!(response.reason, "Gesch\u{fffd}tzt");
    assert_eq!(response.headers.get(&HeaderName::Server).unwrap().text_lossy(), "\u{fffd}1");
    let from = |value: &[u8]| row(HeaderName::From, value);
    assert_eq!(from(b"B\xfcro <sip:a@b>;tag=1").from().unwrap().tag(), Some("1"));
    assert_eq!(from(b"<sip:9#1@b>;tag=1").tag(&HeaderName::From).as_deref(), Some("1"));
    assert!(from(b"<sip:9#1@b>;tag=1").from().is_err());
}
