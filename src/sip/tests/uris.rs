//! URIs and hosts: reading, writing, comparing.

use crate::sip::{AnyUri, Host, NameAddr, Scheme, Uri, UriError, escape_user};
use std::net::{IpAddr, Ipv4Addr};

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Both ways round, as the rule is symmetric.
fn same(one: &str, two: &str) -> bool {
    let (one, two) = (uri(one), uri(two));
    assert_eq!(one.matches(&two), two.matches(&one), "{one} and {two}");
    one.matches(&two)
}

#[test]
fn a_uri_is_written_as_it_was_read() {
    for text in [
        "sip:example.com",
        "sips:alice@example.com",
        "sip:alice:secret@example.com:5070",
        "sip:alice:@example.com",
        "sip:%61lice@192.0.2.1;transport=tcp;lr?Subject=a%20b&Priority=",
        "sip:[2001:db8::1]:5060;maddr=[::1]",
        "sip:user;par=u%40example.net@example.com",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:a?b@c;x=",
        "sip:host_with_underscore.",
    ] {
        assert_eq!(uri(text).to_string(), text);
    }
    assert_eq!(uri("SIP:A@B").to_string(), "sip:A@B");
    assert_eq!(uri("sip:a:05060").port, Some(5060));
}

#[test]
fn a_uri_of_another_scheme_is_kept_and_compared_as_it_is() {
    let any = |text: &str| AnyUri::parse(text);
    let tel = any("tel:+1").unwrap();
    assert!(tel.matches(&any("tel:+1").unwrap()));
    for other in ["tel:+2", "TEL:+1", "sip:+1@a"] {
        assert!(!tel.matches(&any(other).unwrap()) && !any(other).unwrap().matches(&tel), "{other}");
    }
    for text in ["1tel:+1", "tel/+1", "tel:", ":+1", "tel"] {
        assert_eq!(any(text).unwrap_err(), UriError::Scheme, "{text}");
    }
}

/// URI-015, URI-020
#[test]
fn a_malformed_uri_names_its_malformed_part() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("example.com", UriError::Scheme),
        ("tel:+1", UriError::Scheme),
        ("sipx:a", UriError::Scheme),
        ("sip:@example.com", UriError::User),
        ("sip:a b@example.com", UriError::User),
        ("sip:a%4@example.com", UriError::User),
        ("sip:a%zz@example.com", UriError::User),
        ("sip:ü@example.com", UriError::User),
        ("sip:a:b;c@example.com", UriError::Password),
        ("sip:", UriError::Host),
        ("sip:a@b@c", UriError::Character),
        ("sip:a@ex%61mple.com", UriError::Character),
        ("sip:2001:db8::10", UriError::Host),
        ("sip:1.2.3.256", UriError::Host),
        ("sip:1.2.3", UriError::Host),
        ("sip:a..b", UriError::Host),
        ("sip:[1::2::3]", UriError::Host),
        ("sip:[fe80::1%25eth0]", UriError::Host),
        ("sip:[::1", UriError::Host),
        ("sip:[::1]x", UriError::Character),
        ("sip:a:", UriError::Port),
        ("sip:a:65536", UriError::Port),
        ("sip:a:+1", UriError::Port),
        ("sip:a;", UriError::Parameter),
        ("sip:a;;lr", UriError::Parameter),
        ("sip:a;=x", UriError::Parameter),
        ("sip:a;x=\"y\"", UriError::Character),
        ("sip:a?", UriError::Header),
        ("sip:a?x", UriError::Header),
        ("sip:a?x=y&", UriError::Header),
        ("sip:a b", UriError::Character),
        ("sip:a\r\n", UriError::Character),
        ("<sip:a>", UriError::Scheme),
    ] {
        assert_eq!(Uri::parse(text).map(|uri| uri.to_string()), Err(error), "{text}");
    }
}

/// RFC 5118 §4.10, RFC 5954 §4.1: read with three colons, written with two.
#[test]
fn hosts_are_names_or_addresses() {
    for (text, written) in [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::0:1]", "[2001:db8::1]"),
        ("[2001:db8:::192.0.2.1]", "[2001:db8::c000:201]"),
        ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
        ("Example.COM", "Example.COM"),
        ("4f3c2a1b", "4f3c2a1b"),
        ("3402000000", "3402000000"),
        ("34020000002000000001", "34020000002000000001"),
        ("34020000.spvmn.cn", "34020000.spvmn.cn"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(Host::parse(text).map(|host| host.to_string()), Ok(written.to_owned()), "{text}");
    }
    for text in [
        "",
        ".",
        "a.",
        "..",
        "2001:db8::1",
        "[]",
        "[192.0.2.1]",
        "[1:::2]",
        "010.0.0.1",
        "a.1",
        "1.2",
        "1.",
        "a b",
        "a/b",
    ] {
        let readable = Host::parse(text).is_ok();
        assert_eq!(readable, text == "a." || text == "1.", "{text}");
    }
    assert_eq!(Host::parse("192.0.2.1").unwrap().ip(), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(Host::parse("a").unwrap().ip(), None);
}

/// URI-001..013, URI-016, URI-021, with the examples of RFC 3261 §19.1.4.
#[test]
fn uris_match_by_the_rules_of_rfc_3261() {
    for (one, two) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::9:1]", "sip:a@[2001:db8::9:01]"),
        ("sip:a@[::ffff:192.0.2.1]", "sip:a@[::FFFF:c000:201]"),
        ("sip:a@b;ob", "sip:a@b"),
        ("sip:a@b;lr;rinstance=1", "sip:a@b;x"),
        ("sip:alice@example.com", "sip:alice@example.com;gr=kjh29x97us97d"),
        ("sip:a@b;%6Cr;%75ser=phone", "sip:a@b;user=%70hone"),
        ("sip:a%3bb@c", "sip:a%3Bb@c"),
        ("sip:a%22@c", "sip:a%22@c"),
        ("sip:a:p%61ss@c", "sip:a:pass@c"),
        ("sip:a?Call-ID=X", "sip:a?%43all-ID=X"),
    ] {
        assert!(same(one, two), "{one} and {two} are the same");
    }
    for (one, two) in [
        ("sip:a@b", "sips:a@b"),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:Bob@EX.com", "sip:bob@ex.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@b", "sip:b"),
        ("sip:a@b", "sip:a:@b"),
        ("sip:a:p@b", "sip:a:P@b"),
        ("sip:a%3bb@c", "sip:a;b@c"),
        ("sip:a@b;security=on", "sip:a@b;security=off"),
        ("sip:a@b;security", "sip:a@b;security=off"),
        ("sip:a@b;user=ip", "sip:a@b"),
        ("sip:a@b;ttl=1", "sip:a@b"),
        ("sip:a@b;method=INVITE", "sip:a@b"),
        ("sip:a@b;maddr=239.255.255.1", "sip:a@b"),
        ("sip:a@b;maddr=1.1.1.1", "sip:a@b;maddr=1.1.1.2"),
        ("sip:a@b;%74ransport=udp", "sip:a@b"),
        ("sip:a@b?x=1", "sip:a@b?x=2"),
        ("sip:a@b?x=1&x=1", "sip:a@b?x=1"),
        ("sip:a@b?Call-ID=a", "sip:a@b?call-id=A"),
        ("sip:a@b?%43all-ID=a", "sip:a@b?%43all-ID=A"),
        ("sip:a@[::ffff:192.0.2.1]", "sip:a@192.0.2.1"),
        ("sip:%00@b", "sip:%00%00@b"),
    ] {
        assert!(!same(one, two), "{one} and {two} differ");
    }
}

/// URI-014, URI-021: a URI may match two that don't match each other; a public GRUU matches its AOR.
#[test]
fn matching_is_not_transitive() {
    let aor = "sip:carol@chicago.com";
    let (on, off) = ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off");
    assert!(same(on, aor) && same(aor, off) && !same(on, off));
    let gruu = "sip:carol@chicago.com;gr=urn:uuid:1";
    assert!(same(gruu, aor) && uri(gruu).params.has("gr"));
}

/// URI-017, HDR-012: a parameter that comes twice is tolerated, and the first counts; a built one is there
/// once.
#[test]
fn of_a_repeated_parameter_the_first_counts() {
    let read = uri("sip:a;x=1;lr;X=2;lr");
    assert_eq!((read.params.get("lr"), read.params.get("x")), (Some(None), Some(Some("1"))));
    assert_eq!(read.params.len(), 4);
    assert!(same("sip:a;x=1;x=2", "sip:a;x=1"));
    let mut built = uri("sip:h;x=1");
    built.params.set("X", Some("2"));
    built.params.set("lr", None);
    built.params.set("lr", None);
    assert_eq!(built.to_string(), "sip:h;x=2;lr");
}

/// URI-018, URI-019
#[test]
fn user_names_are_escaped_and_decoded_once() {
    assert_eq!(escape_user("a b@c/%\0ü;"), "a%20b%40c/%25%00%C3%BC;");
    assert_eq!(uri("sip:%2541@a").user_decoded().as_deref(), Some("%41"));
    assert_eq!(uri("sip:%FF@a").user_decoded(), None);
    assert_eq!(uri("sip:%FF@a").user_octets(), Some(vec![0xFF]));
    assert_eq!(uri("sip:a").user_decoded(), None);
}

#[test]
fn a_uri_is_built_from_its_parts() {
    let mut uri = Uri::new(Scheme::Sips, Host::parse("example.com").unwrap());
    uri.user = Some(escape_user("alice smith"));
    uri.params.set("transport", Some("tcp"));
    uri.params.set("lr", None);
    uri.params.set("Transport", Some("ws"));
    assert_eq!(uri.to_string(), "sips:alice%20smith@example.com;transport=ws;lr");
    assert_eq!(uri.transport(), Some("ws"));
    assert!(uri.params.remove("LR") && !uri.params.remove("lr"));
    assert_eq!(NameAddr::new(uri).to_string(), "<sips:alice%20smith@example.com;transport=ws>");
}

/// URIs with so many headers that comparing them would take long are the same only as they stand.
#[test]
fn of_many_headers_no_order_is_made() {
    let uri = |numbers: Vec<usize>| {
        let headers: Vec<String> = numbers.iter().map(|n| format!("X{n}=a")).collect();
        Uri::parse(format!("sip:a@b?{}", headers.join("&"))).unwrap()
    };
    for (many, same) in [(64, true), (65, false)] {
        let (one, other) = (uri((0..many).collect()), uri((0..many).rev().collect()));
        assert!(one.matches(&one) && other.matches(&other), "{many}");
        assert_eq!((one.matches(&other), other.matches(&one)), (same, same), "{many}");
    }
}
