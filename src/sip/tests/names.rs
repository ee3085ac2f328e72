//! Methods, header names, status codes.

use crate::sip::{Header, HeaderName, Method, reason_phrase};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// HDR-002: methods keep their letter case.
#[test]
fn methods_are_case_sensitive() {
    assert_eq!(Method::parse(b"REGISTER"), Ok(Method::Register));
    assert_eq!(Method::parse(b"register"), Ok(Method::Other("register".to_owned())));
    assert_eq!(Method::parse(b"NEWMETHOD").unwrap().to_string(), "NEWMETHOD");
    for text in ["", "A B", "A\r\n", "A:", "Ä"] {
        assert!(Method::parse(text.as_bytes()).is_err(), "{text}");
    }
}

/// HDR-001
#[test]
fn compact_names_become_long_ones() {
    for (compact, long) in [
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("e", "Content-Encoding"),
        ("l", "Content-Length"),
        ("c", "Content-Type"),
        ("f", "From"),
        ("s", "Subject"),
        ("k", "Supported"),
        ("t", "To"),
        ("v", "Via"),
        ("o", "Event"),
        ("u", "Allow-Events"),
        ("r", "Refer-To"),
        ("x", "Session-Expires"),
    ] {
        for spelled in [compact.to_owned(), compact.to_uppercase(), long.to_owned(), long.to_uppercase()] {
            assert_eq!(HeaderName::parse(spelled.as_bytes()).unwrap().as_str(), long);
        }
    }
}

/// HDR-002
#[test]
fn names_are_equal_in_any_letter_case() {
    let hash = |name: &HeaderName| {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish()
    };
    let one = HeaderName::parse(b"X-Odd-Name").unwrap();
    let two = HeaderName::parse(b"x-odd-NAME").unwrap();
    assert_eq!((one.as_str(), two.as_str()), ("X-Odd-Name", "x-odd-NAME"));
    assert_eq!(one, two);
    assert_eq!(hash(&one), hash(&two));
    let by_hand = HeaderName::Other("via".to_owned());
    assert_eq!(by_hand, HeaderName::Via);
    assert_eq!(hash(&by_hand), hash(&HeaderName::Via));
    assert_ne!(HeaderName::To, HeaderName::From);
    assert!(HeaderName::parse(b"").is_err() && HeaderName::parse(b"A B").is_err());
    assert!(HeaderName::parse(&[b'a'; 100]).is_ok());
}

/// HDR-011, HDR-017: a value that would break out of its line makes no header.
#[test]
fn line_ends_and_nul_are_refused_in_values() {
    for (value, at) in [("a\r\nVia: x", 1), ("a\nb", 1), ("\rb", 0), ("0123456789\0", 10), ("\"\\\r\"", 2)] {
        let error = Header::new(HeaderName::Subject, value).unwrap_err();
        assert_eq!(error.at, at, "{value:?}");
    }
    assert!(Header::new(HeaderName::To, "\"a\\\0\" <sip:a>").is_ok());
    assert!(Header::new(HeaderName::To, "\"a\\\0\n\" <sip:a>").is_err());
    assert_eq!(Header::new(HeaderName::Subject, " \t a b ").unwrap().value(), b"a b");
}

/// COD-025: every code rsip knows has a phrase of its own, in words.
#[test]
fn status_codes_have_reason_phrases() {
    let phrases: HashSet<_> = (100..700)
        .filter(|code| !matches!(rsip::StatusCode::from(*code), rsip::StatusCode::Other(..)))
        // 201 is a slip of rsip's for 202, 409 and 411 are RFC 2543's, and a 606 says the same as a 406.
        .filter(|code| !matches!(code, 201 | 409 | 411 | 606))
        .map(|code| {
            let ours = reason_phrase(code);
            let name = rsip::StatusCode::from(code).to_string();
            let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>();
            let corrected = [414, 437, 481].contains(&code);
            assert!(
                corrected || letters(ours).eq_ignore_ascii_case(&letters(&name)),
                "{code} {ours}, {name}"
            );
            ours
        })
        .collect();
    assert!(phrases.len() > 60);
    assert_eq!(reason_phrase(423), "Interval Too Brief");
    assert_eq!(reason_phrase(499), "Bad Request");
    assert_eq!(reason_phrase(99), "");
}
