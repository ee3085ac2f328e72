//! Typed header values: addresses, Via, CSeq, q, Retry-After, Date.

use super::headers;
use crate::sip::{
    CSeq, Date, Header, HeaderName, Headers, Method, NameAddr, Problem, Q, RetryAfter, UriError, Via,
};

/// An address, read and written again.
fn address(text: &str) -> Result<String, Problem> {
    NameAddr::parse(text).map(|address| address.to_string())
}

/// HDR-008, HDR-009, HDR-010, HDR-011, HDR-016
#[test]
fn addresses_are_read_in_every_shape_and_written_in_one() {
    for (text, written) in [
        ("sip:a@b", "<sip:a@b>"),
        ("sip:a@b;tag=1", "<sip:a@b>;tag=1"),
        ("sip:a@b ; tag = 1 ; x", "<sip:a@b>;tag=1;x"),
        ("<sip:a@b;lr>;tag=1", "<sip:a@b;lr>;tag=1"),
        ("  <sip:a@b>\t", "<sip:a@b>"),
        ("Bob <sip:a@b>", "Bob <sip:a@b>"),
        ("Bob<sip:a@b>", "Bob <sip:a@b>"),
        ("The  Boss <sip:a@b>", "\"The  Boss\" <sip:a@b>"),
        ("\"Bob\"<sip:a@b>", "Bob <sip:a@b>"),
        ("\"\" <sip:a@b>", "\"\" <sip:a@b>"),
        (r#""a\"b\\c, d;<x>" <sip:a@b>"#, r#""a\"b\\c, d;<x>" <sip:a@b>"#),
        (r#""\a\b" <sip:a@b>"#, "ab <sip:a@b>"),
        ("Jörg <sip:a@b>", "\"Jörg\" <sip:a@b>"),
        ("<tel:+1;phone-context=x>;q=1", "<tel:+1;phone-context=x>;q=1"),
        ("isbn:2983792873", "<isbn:2983792873>"),
        (
            "<sip:a@b>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            "<sip:a@b>;+sip.instance=\"<urn:uuid:1>\";reg-id=1",
        ),
        ("<sip:a@b>;received=[::1]", "<sip:a@b>;received=[::1]"),
        ("<sip:a,b@c?x=y>", "<sip:a,b@c?x=y>"),
    ] {
        assert_eq!(address(text).as_deref(), Ok(written), "{text}");
    }
}

/// HDR-009, RFC 8217 §3
#[test]
fn a_broken_address_says_what_is_broken() {
    for (text, problem) in [
        ("", Problem::Empty),
        ("\"Bob <sip:a@b>", Problem::UnterminatedQuote),
        ("\"Bob\\", Problem::UnterminatedQuote),
        ("\"Bob\" sip:a@b", Problem::BareUri),
        ("<sip:a@b", Problem::UnterminatedBracket),
        ("Bell, Alexander <sip:a@b>", Problem::DisplayName),
        ("sip:a@b?x=y", Problem::BareUri),
        ("sip:user;par=u@example.com", Problem::BareUri),
        ("Bob", Problem::Uri(UriError::Scheme)),
        ("< sip:a@b >", Problem::Uri(UriError::Scheme)),
        ("<sip:a b@c>", Problem::Uri(UriError::User)),
        ("<sip:a@b>;;x", Problem::Parameter),
        ("<sip:a@b>;=x", Problem::Parameter),
        ("<sip:a@b>;x==", Problem::Parameter),
        ("<sip:a@b> x", Problem::Parameter),
        ("<sip:a@b>;x=\"y", Problem::UnterminatedQuote),
        ("<sip:a@b>;tag=a, <sip:c@d>", Problem::Parameter),
        ("<mailto:a b>", Problem::Uri(UriError::Character)),
    ] {
        assert_eq!(address(text), Err(problem), "{text}");
    }
}

/// REG-014, REG-015, HDR-013: the lifetime that a contact asks for.
#[test]
fn a_malformed_lifetime_counts_as_an_hour() {
    for (params, seconds) in [
        ("", None),
        (";expires=60", Some(60)),
        (";Expires= 60 ", Some(60)),
        (";expires=0", Some(0)),
        (";expires=", Some(3600)),
        (";expires= ;q=1", Some(3600)),
        (";expires=0060", Some(60)),
        (";expires=4294967296", Some(u32::MAX)),
        (";expires=99999999999999999999999999", Some(u32::MAX)),
        (";expires=abc", Some(3600)),
        (";expires=-5", Some(3600)),
        (";expires=+60", Some(3600)),
        (";expires=6.5", Some(3600)),
        (";expires=\"60\"", Some(3600)),
        (";expires", Some(3600)),
    ] {
        let contact = NameAddr::parse(format!("<sip:a@b>{params}")).unwrap();
        assert_eq!(contact.expires(), seconds, "{params}");
    }
}

#[test]
fn preferences_are_thousandths() {
    for (text, thousandths) in [
        ("1", Some(1000)),
        ("1.0", Some(1000)),
        ("1.000", Some(1000)),
        ("0.5", Some(500)),
        (".5", Some(500)),
        ("0.", Some(0)),
        ("0", Some(0)),
        ("0.123", Some(123)),
        ("0.12399", Some(123)),
        ("1.001", None),
        ("2", None),
        ("", None),
        (".", None),
        ("-0.5", None),
        ("0.5x", None),
        ("0.5.5", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(Q::parse(text).map(Q::thousandths), thousandths, "{text}");
    }
    let written: Vec<_> =
        [0, 1, 10, 500, 120, 999, 1000].into_iter().map(|q| Q::new(q).unwrap().to_string()).collect();
    assert_eq!(written, ["0", "0.001", "0.01", "0.5", "0.12", "0.999", "1"]);
    assert_eq!(Q::new(1001), None);
    assert_eq!(NameAddr::parse("<sip:a@b>;q=0.7").unwrap().q(), Q::new(700));
}

#[test]
fn via_values_are_read_and_written() {
    for (text, written) in [
        ("SIP/2.0/UDP a", "SIP/2.0/UDP a"),
        ("SIP / 2.0 / tcp  a : 5070 ; branch = z9 ; rport", "SIP/2.0/tcp a:5070;branch=z9;rport"),
        ("sip/2.0/TLS [::1]:5061;received=::2", "SIP/2.0/TLS [::1]:5061;received=::2"),
        ("SIP/7.0/UDP a", "SIP/2.0/UDP a"),
        ("SIP/2.0/X-NEW 192.0.2.1;x=\"a;b\"", "SIP/2.0/X-NEW 192.0.2.1;x=\"a;b\""),
    ] {
        assert_eq!(Via::parse(text.as_bytes()).map(|via| via.to_string()).as_deref(), Ok(written), "{text}");
    }
    for (text, problem) in [
        ("", Problem::Empty),
        ("SIP/2.0", Problem::Protocol),
        ("SIP/2.0/UDP", Problem::Protocol),
        ("HTTP/1.1/TCP a", Problem::Protocol),
        ("SIP/2.0/UDP ;branch=a", Problem::Uri(UriError::Host)),
        ("SIP/2.0/UDP a:x", Problem::Uri(UriError::Port)),
        ("SIP/2.0/UDP a b", Problem::Parameter),
        ("SIP/2.0/UDP a;;,;,,", Problem::Parameter),
    ] {
        assert_eq!(Via::parse(text.as_bytes()), Err(problem), "{text}");
    }
}

/// RFC 3581 §3, RFC 5118 §4.5
#[test]
fn via_gives_the_address_that_the_message_came_from() {
    let via = |params: &str| Via::parse(format!("SIP/2.0/UDP a{params}").as_bytes()).unwrap();
    assert_eq!(via("").rport(), None);
    assert_eq!(via(";rport").rport(), Some(None));
    assert_eq!(via(";rport=5060").rport(), Some(Some(5060)));
    assert_eq!(via(";rport=99999").rport(), Some(None));
    assert_eq!(via(";received=192.0.2.1").received(), "192.0.2.1".parse().ok());
    assert_eq!(via(";received=2001:db8::1").received(), "2001:db8::1".parse().ok());
    assert_eq!(via(";received=[2001:db8::1]").received(), "2001:db8::1".parse().ok());
    assert_eq!(via(";received=a.example").received(), None);
    assert_eq!(via(";Branch=z9hG4bKx").branch(), Some("z9hG4bKx"));
}

#[test]
fn cseq_is_a_number_below_two_to_the_31_and_a_method() {
    let number = |text: &str| CSeq::parse(text.as_bytes()).map(|cseq| (cseq.number, cseq.method));
    assert_eq!(number("0009  INVITE"), Ok((9, Method::Invite)));
    assert_eq!(number("2147483647 REGISTER"), Ok((2_147_483_647, Method::Register)));
    for text in
        ["2147483648 REGISTER", "-1 REGISTER", "REGISTER", "1REGISTER", "", "99999999999999999999 ACK"]
    {
        assert_eq!(number(text), Err(Problem::Number), "{text}");
    }
    for text in ["1 ", "1 A B", "1 A,"] {
        assert!(number(text).is_err(), "{text}");
    }
    assert_eq!(CSeq { number: 1, method: Method::Bye }.to_string(), "1 BYE");
}

/// RSP-027
#[test]
fn retry_after_has_a_comment_and_a_duration() {
    let read = |text: &str| {
        RetryAfter::parse(text.as_bytes()).map(|after| (after.seconds, after.comment, after.duration))
    };
    assert_eq!(read("120"), Some((120, None, None)));
    assert_eq!(read("120 (maintenance);duration=60"), Some((120, Some("maintenance".to_owned()), Some(60))));
    assert_eq!(read("5(a (b) \\) c) ; duration=7;x"), Some((5, Some("a (b) ) c".to_owned()), Some(7))));
    assert_eq!(read("949302838503028349304023988"), Some((u32::MAX, None, None)));
    assert_eq!(read("18 (never closed"), Some((18, None, None)));
    assert_eq!(read("18;duration=x"), Some((18, None, None)));
    for text in ["", "soon", "-1", "1.5", "Fri, 31 Dec 1999"] {
        assert_eq!(read(text), None, "{text}");
    }
    let latin_1 = RetryAfter::parse(b"7 (M\xfcnchen);duration=9").unwrap();
    assert_eq!((latin_1.seconds, latin_1.duration), (7, Some(9)));
}

/// HDR-014
#[test]
fn dates_are_rfc_1123_in_gmt() {
    for (text, epoch) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 15 Oct 2005 04:44:56 GMT", 1_129_351_496),
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
        ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
        ("Sat, 31 Dec 2072 00:00:00 GMT", 3_250_368_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ] {
        assert_eq!(Date::parse(text).map(Date::epoch), Some(epoch), "{text}");
        assert_eq!(Date::from_epoch(epoch).to_string(), text);
    }
    for text in [
        "Fri, 01 Jan 2010 16:00:00 EST",
        "Fri, 01 Jan 2010 16:00:00",
        "Fri, 32 Jan 2010 16:00:00 GMT",
        "Mon, 29 Feb 2100 00:00:00 GMT",
        "Fri, 1 Jan 2010 16:00:00 GMT",
        "Friday, 01-Jan-10 16:00:00 GMT",
        "Fri, 01 Jan 2010 24:00:00 GMT",
        "Fri, 01 Jan 2010 16:60:00 GMT",
        "2010-01-01T16:00:00Z",
        "",
    ] {
        assert_eq!(Date::parse(text), None, "{text}");
    }
    for days in (0..1_000_000).step_by(97) {
        let date = Date::from_epoch(days * 86_400 + 4321);
        assert_eq!(Date::parse(&date.to_string()), Some(date));
    }
    assert_eq!(Date::from_epoch(u64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
}

/// HDR-012: built parameters occur once; quoting is kept.
#[test]
fn parameters_keep_order_and_quotes() {
    let mut contact = NameAddr::parse("<sip:a@b>;x=\"1\";Y=2;z").unwrap();
    assert_eq!(contact.params.get("X"), Some(Some("1")));
    assert_eq!(contact.params.get("z"), Some(None));
    assert_eq!(contact.params.get("w"), None);
    assert_eq!((contact.params.has("Z"), contact.params.has("w")), (true, false));
    assert_eq!(contact.params.token("x"), None);
    contact.params.set("y", Some("3"));
    contact.params.set_quoted("+sip.instance", "<urn:uuid:\"x\">");
    assert_eq!(contact.to_string(), r#"<sip:a@b>;x="1";Y=3;z;+sip.instance="<urn:uuid:\"x\">""#);
    let names: Vec<_> = contact.params.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["x", "Y", "z", "+sip.instance"]);
}

#[test]
fn text_that_is_not_utf_8_is_an_error_of_its_header_alone() {
    let row = Header::new(HeaderName::Server, b"\xFF".to_vec()).unwrap();
    assert_eq!(row.text().unwrap_err().to_string(), "Server: is not UTF-8");
    assert_eq!(row.value(), b"\xFF");
    assert!(NameAddr::parse(b"\"\xFF\" <sip:a@b>").is_err());
}

#[test]
fn what_a_response_says_in_words_is_read_whatever_its_form() {
    let long = format!("Warning: 399 a \"{}\"", "x".repeat(600));
    for (rows, texts) in [
        (&["Warning: 399 munich.de \"No such user\""][..], &["No such user"][..]),
        (
            &["Warning: 399 a \"one, two\", 301 b:5060 \"three\"", "Warning: 399 c \"4\""],
            &["one, two", "three", "4"],
        ),
        (&["Reason: SIP ;cause=580 ;text=\"Precondition; Failure\""], &["Precondition; Failure"]),
        (&["Reason: Q.850;cause=21;x=\";text=no\";TEXT=Call rejected;a=b"], &["Call rejected"]),
        (&["Reason: Q.850;cause=21", "Warning: 399 a \"w\"", "Reason: SIP;text=\"r\""], &["w", "r"]),
        (&["Warning: 399 a \"say \\\"friend\\\"\""], &["say \"friend\""]),
        (
            &["Warning: 399 a no quotes", "Warning: all of it", "Warning: 399 a \"open"],
            &["no quotes", "all of it", "open"],
        ),
        (&["Warning: ", "Warning: 399 a \"\"", "Warning: 399", "Reason:"], &["399"]),
        (&["Warning: 399 [2001:db8::1]:5060 \"six\"", "Subject: no"], &["six"]),
    ] {
        assert_eq!(headers(rows).remarks(), texts, "{rows:?}");
    }
    assert_eq!(headers(&[&long]).remarks()[0].len(), 500);
    assert_eq!(headers(&["Warning: 399 a \"x\""; 100]).remarks().len(), 16);
    let latin1 = Header::new(HeaderName::Warning, b"399 a \"Gesch\xfctzt\"".to_vec()).unwrap();
    assert_eq!(Headers::from_iter([latin1]).remarks(), ["Gesch\u{fffd}tzt"]);
}
