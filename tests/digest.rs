//! All digest vectors, computed by our arithmetic and read by our parser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use serde_json::Value;
use sipreg::proto::digest::hash::{self, Exchange, Protection};
use sipreg::proto::digest::{Algorithm, Qop};
use sipreg::sip::Credentials;

fn text<'a>(vector: &'a Value, key: &str) -> Option<&'a str> {
    vector.get(key).and_then(Value::as_str)
}

/// Base64 without padding rules: the vectors hold short octet strings only.
fn octets(base64: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for octet in base64.bytes().filter(|octet| *octet != b'=') {
        let value = ALPHABET.iter().position(|known| *known == octet).expect("base64");
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn check(vector: &Value) {
    let id = text(vector, "id").unwrap();
    let get = |key: &str| text(vector, key).unwrap_or_else(|| panic!("{id} has no {key}"));
    // AKA hashes with plain MD5: what differs is where its password comes from.
    let (algorithm, variant) = Algorithm::parse(get("algorithm_effective")).unwrap_or_else(|| panic!("{id}"));
    let password = match text(vector, "password_b64") {
        Some(base64) => octets(base64),
        None => get("password").as_bytes().to_vec(),
    };
    let body = text(vector, "body_b64").map(octets).unwrap_or_default();
    let qop = text(vector, "qop").map(|qop| match qop {
        "auth" => Qop::Auth,
        "auth-int" => Qop::AuthInt,
        other => panic!("{id}: qop {other}"),
    });
    let protection = qop.map(|qop| Protection { qop, nc: get("nc"), cnonce: get("cnonce") });
    let exchange = Exchange {
        algorithm,
        variant,
        nonce: get("nonce"),
        session_cnonce: text(vector, "session_cnonce").or(text(vector, "cnonce")).unwrap_or_default(),
        protection,
        uri: get("uri"),
        body: &body,
    };
    let expect = &vector["expect"];
    let user_ha1 = hash::ha1(algorithm, get("username"), get("realm"), &password);
    assert_eq!(exchange.response(&user_ha1, get("method")), text(expect, "response").unwrap(), "{id}");
    assert_eq!(exchange.ha2(get("method")), text(expect, "ha2").unwrap(), "{id} ha2");
    if let Some(hashed) = text(expect, "username_hashed") {
        assert_eq!(hash::userhash(algorithm, get("username"), get("realm")), hashed, "{id}");
    }
    if let Some(rspauth) = text(expect, "rspauth") {
        // The vectors' responses have no body.
        let answer = Exchange { body: b"", ..exchange };
        assert_eq!(answer.rspauth(&user_ha1), rspauth, "{id} rspauth");
    }

    let read = Credentials::parse(get("authorization").as_bytes()).unwrap_or_else(|_| panic!("{id}"));
    assert_eq!(read.get("response"), text(expect, "response"), "{id}");
    assert_eq!(read.get("nonce"), Some(get("nonce")), "{id}");
    assert_eq!(read.get("uri"), Some(get("uri")), "{id}");
    assert_eq!(read.get("realm"), Some(get("realm")), "{id}");
    assert_eq!(read.get("opaque"), text(vector, "opaque"), "{id}");
    if text(expect, "username_hashed").is_none() && text(vector, "username_star").is_none() {
        assert_eq!(read.get("username"), Some(get("username")), "{id}");
    }
}

/// AUT-018..022 AUT-024 AUT-026 AUT-027 AUT-035 AUT-036 AUT-040
#[test]
fn all_forty_six_vectors_give_the_expected_values() {
    let all: Value = serde_json::from_str(include_str!("vectors/digest.json")).unwrap();
    let vectors = all["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 46);
    for vector in vectors {
        check(vector);
    }
    for (name, expected) in all["empty_body_hash"].as_object().unwrap() {
        let (algorithm, _) = Algorithm::parse(name).unwrap();
        assert_eq!(hash::hex_of(algorithm, &[b""]), expected.as_str().unwrap());
    }
}
