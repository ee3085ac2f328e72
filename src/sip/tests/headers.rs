//! Rows taken together: lists, single values, edits.

use super::headers;
use crate::sip::{Contacts, FieldError, Header, HeaderName, Headers, Problem};

fn list(headers: &Headers) -> Vec<Result<String, Problem>> {
    match headers.contacts().unwrap() {
        Contacts::Star => vec![Ok("*".to_owned())],
        Contacts::List(list) => list
            .into_iter()
            .map(|contact| contact.map(|contact| contact.to_string()).map_err(|error| error.problem))
            .collect(),
    }
}

/// HDR-005
#[test]
fn a_comma_list_and_repeated_rows_mean_the_same() {
    let rows = headers(&["Path: <sip:a;lr>", "Path: <sip:b,c@d;lr>, \"x, y\" <sip:e>"]);
    let row = headers(&["Path: <sip:a;lr>,<sip:b,c@d;lr>,\"x, y\" <sip:e>"]);
    let written = |headers: &Headers| {
        let list = headers.name_addrs(&HeaderName::Path).unwrap();
        list.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(written(&rows), ["<sip:a;lr>", "<sip:b,c@d;lr>", "\"x, y\" <sip:e>"]);
    assert_eq!(written(&rows), written(&row));

    let tags = headers(&["Supported: path , outbound", "k: gruu", "Supported:", "Supported: ,,timer, a b"]);
    assert_eq!(tags.option_tags(&HeaderName::Supported), ["path", "outbound", "gruu", "timer"]);
    let vias = headers(&["Via: SIP/2.0/UDP a, SIP/2.0/UDP b", "v: SIP/2.0/TCP c"]);
    assert_eq!(vias.via_count(), 3);
    assert_eq!(vias.vias().unwrap().len(), 3);
    assert_eq!(vias.top_via().unwrap().host.to_string(), "a");
}

/// REG-035
#[test]
fn contact_lists_survive_commas_in_quotes_and_brackets() {
    let contacts = headers(&[
        "Contact: \"Doe, J\" <sip:x@y;a=b>;q=0.1, <mailto:a@b>",
        "Contact: \"a\\\"b, c\" <sip:q@y>, sip:z@y;expires=5",
    ]);
    assert_eq!(
        list(&contacts),
        [
            Ok("\"Doe, J\" <sip:x@y;a=b>;q=0.1".to_owned()),
            Ok("<mailto:a@b>".to_owned()),
            Ok("\"a\\\"b, c\" <sip:q@y>".to_owned()),
            Ok("<sip:z@y>;expires=5".to_owned()),
        ]
    );
    assert_eq!(list(&Headers::new()), []);
}

/// REG-036
#[test]
fn a_broken_foreign_contact_spoils_no_other() {
    let own = || Ok("<sip:own@a>;expires=60".to_owned());
    for (row, problem) in [
        ("Contact: <sip:bad host>, <sip:own@a>;expires=60", Problem::Uri(crate::sip::UriError::Character)),
        ("Contact: nonsense, <sip:own@a>;expires=60", Problem::Uri(crate::sip::UriError::Scheme)),
        ("Contact: <sip:x@y, <sip:own@a>;expires=60", Problem::UnterminatedBracket),
        ("Contact: \"open <sip:x@y>, <sip:own@a>;expires=60", Problem::UnterminatedQuote),
    ] {
        assert_eq!(list(&headers(&[row])), [Err(problem), own()], "{row}");
    }
}

/// A comma too many makes no contact; a row without any is broken.
#[test]
fn an_empty_value_spoils_no_other() {
    let own = || Ok("<sip:own@a>;expires=60".to_owned());
    for row in
        ["Contact: , <sip:own@a>;expires=60", "m: <sip:own@a>;expires=60,", "m: ,,<sip:own@a>;expires=60, ,"]
    {
        assert_eq!(list(&headers(&[row])), [own()], "{row}");
    }
    assert_eq!(list(&headers(&["Contact:"])), [Err(Problem::Empty)]);
    assert_eq!(list(&headers(&["Contact: ,"])), [Err(Problem::Empty)]);
    assert_eq!(list(&headers(&["Contact: ,", "Contact: <sip:own@a>;expires=60"])), [own()]);
}

/// RGR-021
#[test]
fn a_star_stands_alone() {
    assert_eq!(list(&headers(&["Contact: *"])), [Ok("*".to_owned())]);
    let error = FieldError { header: HeaderName::Contact, problem: Problem::StarAmongOthers };
    for rows in [&["Contact: *, <sip:a>"][..], &["Contact: <sip:a>", "m: *"], &["Contact: *", "Contact: *"]] {
        assert_eq!(headers(rows).contacts().unwrap_err(), error);
    }
    assert_eq!(list(&headers(&["Contact: *;expires=0"])).len(), 1);
}

/// HDR-019
#[test]
fn a_broken_header_concerns_its_own_reader_only() {
    let rows = headers(&["Date: yesterday", "Server: \"", "Warning: ,,", "CSeq: x", "To: <sip:a>;tag=1"]);
    assert_eq!(rows.to().unwrap().tag(), Some("1"));
    assert_eq!(rows.cseq().unwrap_err().to_string(), "CSeq: has a malformed number or one out of range");
    assert_eq!(rows.date().unwrap_err().problem, Problem::Date);
    assert_eq!(rows.from().unwrap_err().problem, Problem::Missing);
    assert_eq!(rows.top_via().unwrap_err().problem, Problem::Missing);
}

/// RFC 4475 §3.3.8
#[test]
fn a_single_header_may_not_be_repeated() {
    let rows =
        headers(&["To: <sip:a>", "t: <sip:a>", "Call-ID: a", "i: a", "Max-Forwards: 1", "Max-Forwards: 1"]);
    assert_eq!(rows.to().unwrap_err().problem, Problem::Repeated);
    assert_eq!(rows.call_id().unwrap_err().problem, Problem::Repeated);
    assert_eq!(rows.max_forwards().unwrap_err().problem, Problem::Repeated);
}

#[test]
fn numbers_have_their_own_rules_for_malformed_ones() {
    let of = |row: &str| headers(&[row]);
    assert_eq!(Headers::new().expires(), None);
    assert_eq!(of("Expires: 60").expires(), Some(60));
    assert_eq!(of("Expires: 99999999999").expires(), Some(u32::MAX));
    assert_eq!(of("Expires: Thu, 01 Dec 1994 16:00:00 GMT").expires(), Some(3600));
    assert_eq!(of("Expires:").expires(), Some(3600));
    assert_eq!(of("Min-Expires: 60").min_expires(), Some(60));
    assert_eq!(of("Min-Expires: x").min_expires(), None);
    assert_eq!(of("Flow-Timer: 99999999999").flow_timer(), Some(u32::MAX));
    assert_eq!(of("Max-Forwards: 255").max_forwards(), Ok(Some(255)));
    assert_eq!(of("Max-Forwards: 256").max_forwards().unwrap_err().problem, Problem::Number);
    assert_eq!(Headers::new().max_forwards(), Ok(None));
    assert_eq!(of("Call-ID: a b").call_id().unwrap_err().problem, Problem::Word);
    assert_eq!(of("Call-ID:").call_id().unwrap_err().problem, Problem::Empty);
}

#[test]
fn rows_are_edited_in_their_place() {
    let mut rows = headers(&[
        "Via: SIP/2.0/UDP a, SIP/2.0/UDP b",
        "To: <sip:a>",
        "X-A: 1",
        "Via: SIP/2.0/UDP c",
        "x-a: 2",
    ]);
    assert!(Headers::new().is_empty() && !rows.is_empty());
    let show = |rows: &Headers| {
        let line = |row: &Header| format!("{}: {}", row.name(), row.text().unwrap());
        rows.iter().map(line).collect::<Vec<_>>()
    };
    rows.set_first_value(&HeaderName::Via, "SIP/2.0/UDP a;received=192.0.2.1").unwrap();
    assert_eq!(show(&rows)[0], "Via: SIP/2.0/UDP a;received=192.0.2.1, SIP/2.0/UDP b");
    assert!(rows.set_first_value(&HeaderName::Via, "a\r\nb").is_err());
    assert!(rows.remove_first_value(&HeaderName::Via));
    assert_eq!(show(&rows)[0], "Via: SIP/2.0/UDP b");
    assert!(rows.remove_first_value(&HeaderName::Via));
    assert_eq!(show(&rows), ["To: <sip:a>", "X-A: 1", "Via: SIP/2.0/UDP c", "x-a: 2"]);

    rows.replace(Header::new(HeaderName::parse(b"X-A").unwrap(), "3").unwrap());
    rows.replace(Header::new(HeaderName::Expires, "60").unwrap());
    rows.push_top(Header::new(HeaderName::Via, "SIP/2.0/UDP top").unwrap());
    assert_eq!(
        show(&rows),
        ["Via: SIP/2.0/UDP top", "To: <sip:a>", "X-A: 3", "Via: SIP/2.0/UDP c", "Expires: 60"]
    );
    assert_eq!(rows.remove(&HeaderName::Via), 2);
    assert!(!rows.remove_first_value(&HeaderName::Via));
    rows.set_first_value(&HeaderName::Via, "SIP/2.0/UDP n").unwrap();
    assert_eq!(rows.len(), 4);
}

/// HDR-005: only the quote that is never closed loses its meaning, so that a list without its first value has
/// one value less. Found by a fuzzer.
#[test]
fn an_open_quote_leaves_the_closed_ones_before_it_as_they_are() {
    let mut headers = Headers::new();
    let row = r#"SIP/2.0/UDP a;x="1,2";y="3, SIP/2.0/UDP b;z=\"4, SIP/2.0/UDP c"#;
    headers.push(Header::new(HeaderName::Via, row).unwrap());
    assert_eq!(headers.via_count(), 3);
    assert!(headers.remove_first_value(&HeaderName::Via));
    assert_eq!(headers.via_count(), 2);
}
