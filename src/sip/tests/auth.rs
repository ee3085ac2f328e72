//! Challenges, credentials, Authentication-Info.

use super::headers;
use crate::sip::{AuthenticationInfo, Challenge, Credentials, HeaderName, Problem};

fn challenges(rows: &[&str]) -> Vec<String> {
    let rows: Vec<_> = rows.iter().map(|row| format!("WWW-Authenticate: {row}")).collect();
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    headers(&rows).challenges(&HeaderName::WwwAuthenticate).iter().map(ToString::to_string).collect()
}

fn one(row: &str) -> Challenge {
    Challenge::parse_all(row.as_bytes()).remove(0)
}

#[test]
fn a_challenge_is_read_whole() {
    let challenge = one(
        "Digest realm=\"example.com\",\tdomain=\"sip:a\", nonce = \"n/=\" ,qop=\"auth, auth-int\",opaque=\"\", \
         stale=TRUE, algorithm=SHA-256, userhash=\"true\", charset=UTF-8, foo=\"bar\"",
    );
    assert!(challenge.is_digest());
    assert_eq!(challenge.realm(), Some("example.com"));
    assert_eq!(challenge.nonce(), Some("n/="));
    assert_eq!(challenge.opaque(), Some(""));
    assert_eq!(challenge.algorithm(), Some("SHA-256"));
    assert_eq!(challenge.qops(), Some(vec!["auth", "auth-int"]));
    assert!(challenge.stale() && challenge.userhash());
    assert_eq!(challenge.charset(), Some("UTF-8"));
    assert_eq!(challenge.get("FOO"), Some("bar"));
    assert_eq!((challenge.scheme(), challenge.params().iter().count()), ("Digest", 10));
    let basic = one("Basic realm=\"a\"");
    assert_eq!((basic.scheme(), basic.is_digest()), ("Basic", false));
}

/// AUT-010, AUT-018, AUT-034: an absent parameter differs from an empty one.
#[test]
fn absent_parameters_are_absent() {
    let challenge = one("digest realm=\"a\", nonce=\"b\"");
    assert!(challenge.is_digest());
    assert_eq!((challenge.opaque(), challenge.algorithm(), challenge.qops()), (None, None, None));
    assert!(!challenge.stale() && !challenge.userhash());
    for (value, stale) in [("true", true), ("\"True\"", true), ("false", false), ("yes", false)] {
        assert_eq!(one(&format!("Digest stale={value}")).stale(), stale, "{value}");
    }
    for row in
        ["Digest qop=\"\", algorithm=\"\"", "Digest qop=, algorithm=", "Digest qop=\" ,\", algorithm=\" \""]
    {
        assert_eq!((one(row).qops(), one(row).algorithm()), (None, None), "{row}");
    }
}

/// AUT-025
#[test]
fn an_unquoted_qop_list_is_one_value() {
    for row in [
        "Digest qop=\"auth-conf,auth\", nonce=\"n\"",
        "Digest qop=auth-conf,auth, nonce=\"n\"",
        "Digest qop=auth-conf, auth, nonce=\"n\"",
    ] {
        let read = Challenge::parse_all(row.as_bytes());
        assert_eq!(read.len(), 1, "{row}");
        assert_eq!(read[0].qops(), Some(vec!["auth-conf", "auth"]), "{row}");
        assert_eq!(read[0].nonce(), Some("n"), "{row}");
    }
    assert_eq!(one("Digest qop=auth").qops(), Some(vec!["auth"]));
}

/// HDR-006, HDR-007, AUT-014
#[test]
fn challenges_in_one_row_are_separated() {
    let expected = ["Digest realm=\"a\", nonce=\"b\"", "Digest realm=\"c\", nonce=\"d\""];
    assert_eq!(challenges(&expected), expected);
    assert_eq!(challenges(&["Digest realm=\"a\", nonce=\"b\", Digest realm=\"c\", nonce=\"d\""]), expected);
    assert_eq!(
        challenges(&["Digest realm=\"a\" nonce=\"b\" Digest  realm = \"c\" , ,nonce=\"d\","]),
        expected
    );
    assert_eq!(
        challenges(&["Bearer authz_server=\"https://a\", Digest realm=\"c\", nonce=\"d\""]),
        ["Bearer authz_server=\"https://a\"", expected[1]]
    );
}

/// HDR-019, AUT-014
#[test]
fn a_broken_challenge_is_left_out() {
    let sound = "Digest realm=\"c\"";
    assert_eq!(challenges(&["Digest realm=\"a, nonce=b", sound]), [sound]);
    assert_eq!(challenges(&["Digest realm=\"a\", =\"x, y\", nonce=\"b\", Digest realm=\"c\""]), [sound]);
    assert_eq!(challenges(&["", ",", "\"", "=", "(x)"]), Vec::<String>::new());
    assert_eq!(challenges(&["realm=\"x\", nonce=\"y\"", "realm=, Digest realm=\"c\""]), [sound]);
    assert_eq!(
        challenges(&["Digest opaque=, realm=\"c\"", "Digest x, a=="]),
        ["Digest opaque=\"\", realm=\"c\"", "Digest a=\"=\"",]
    );
    assert_eq!(challenges(&["NTLM", "Negotiate YII+/b=="]), ["NTLM", "Negotiate YII+/b=="]);
}

/// AUT-045, RFC 7616 §3.4.5
#[test]
fn quoted_pairs_are_undone_once_and_made_again() {
    let nonce = format!("{}\\\"\\\\\\\\", "a".repeat(4096));
    let challenge = one(&format!("Digest nonce=\"{nonce}\", realm=\"\\a\""));
    let plain = format!("{}\"\\\\", "a".repeat(4096));
    assert_eq!(challenge.nonce(), Some(plain.as_str()));
    assert_eq!(challenge.realm(), Some("a"));
    let answer = Credentials::new("Digest").quoted("nonce", &plain);
    assert_eq!(answer.to_string(), format!("Digest nonce=\"{nonce}\""));
}

/// AUT-028, AUT-029: some parameters are quoted and others are not.
#[test]
fn credentials_are_written_in_the_order_they_were_made() {
    let credentials = Credentials::new("Digest")
        .quoted("username", "al\"i\\ce")
        .quoted("uri", "sip:example.com")
        .token("algorithm", "SHA-256")
        .token("nc", "00000001")
        .token("qop", "auth");
    let text = credentials.to_string();
    insta::assert_snapshot!(text, @r#"Digest username="al\"i\\ce", uri="sip:example.com", algorithm=SHA-256, nc=00000001, qop=auth"#);
    assert_eq!(Credentials::parse(text.as_bytes()), Ok(credentials));
    assert_eq!(Credentials::new("Digest").token("nc", "1, x=2").to_string(), "Digest nc=\"1, x=2\"");
}

/// RAU-016
#[test]
fn credentials_are_read_or_refused() {
    let read = Credentials::parse(b"Digest username=\"bob\",response=abc,Username=eve").unwrap();
    assert!(read.is_digest());
    assert_eq!(read.get("USERNAME"), Some("bob"));
    assert_eq!(read.get("response"), Some("abc"));
    assert_eq!(read.get("nc"), None);
    assert_eq!(Credentials::parse(b" "), Err(Problem::Empty));
    assert_eq!(Credentials::parse(b"Digest username=\"bob"), Err(Problem::Parameter));
    let bearer = Credentials::parse(b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x-_~+/==").unwrap();
    assert_eq!(bearer.token68(), Some("eyJhbGciOiJIUzI1NiJ9.e30.x-_~+/=="));
    let unknown = Credentials::parse(b"NoOneKnowsThisScheme opaque-data=here").unwrap();
    assert_eq!((unknown.is_digest(), unknown.params().iter().count()), (false, 1));
    assert_eq!((unknown.scheme(), unknown.get("opaque-data")), ("NoOneKnowsThisScheme", Some("here")));
    let rows = headers(&[
        "Authorization: Digest a=1",
        "Authorization: Digest a=2",
        "Proxy-Authorization: Digest a=3",
    ]);
    assert_eq!(rows.credentials(&HeaderName::Authorization).len(), 2);
}

/// AUT-039, AUT-040
#[test]
fn authentication_info_is_read_and_written() {
    let text = "nextnonce=\"a\\\"b\", qop=auth, rspauth=\"6629\", cnonce=\"x\", nc=00000001";
    let rows = headers(&[&format!("Authentication-Info: {text}")]);
    let info = rows.authentication_info(&HeaderName::AuthenticationInfo).unwrap();
    assert_eq!(info.nextnonce.as_deref(), Some("a\"b"));
    assert_eq!(info.to_string(), text);
    assert_eq!(AuthenticationInfo::parse(b"nextnonce=\"a"), None);
    assert_eq!(AuthenticationInfo::parse(b"new=1").unwrap(), AuthenticationInfo::default());
    assert_eq!(rows.authentication_info(&HeaderName::ProxyAuthenticationInfo), None);
}
