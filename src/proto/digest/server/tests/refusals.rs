use super::*;
use crate::proto::digest::hash::Protection;

/// Credentials that werner's client would make for that nonce, as texts that can be changed.
fn fields(nonce: &str) -> Vec<(&'static str, String)> {
    counted(nonce, "00000001")
}

/// As [`fields`], with that count.
fn counted(nonce: &str, nc: &str) -> Vec<(&'static str, String)> {
    let ha1 = hash::ha1(Algorithm::Md5, "werner", REALM, PASSWORD.as_bytes());
    let exchange = Exchange {
        algorithm: Algorithm::Md5,
        variant: Variant::Plain,
        nonce,
        session_cnonce: "",
        protection: Some(Protection { qop: Qop::Auth, nc, cnonce: "0a4f113b" }),
        uri: URI,
        body: b"",
    };
    [
        ("username", "werner"),
        ("realm", REALM),
        ("nonce", nonce),
        ("uri", URI),
        ("response", &exchange.response(&ha1, "REGISTER")),
        ("algorithm", "MD5"),
        ("qop", "auth"),
        ("nc", nc),
        ("cnonce", "0a4f113b"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn credentials(fields: &[(&str, String)]) -> Credentials {
    fields.iter().fold(Credentials::new("Digest"), |made, (name, value)| made.quoted(name, value))
}

/// The fields with some set, or left out.
fn changed(nonce: &str, changes: &[(&'static str, Option<&str>)]) -> Credentials {
    let mut fields = fields(nonce);
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value.to_owned())));
    }
    credentials(&fields)
}

fn nonce(server: &mut Server) -> String {
    let row = server.challenges(false, START).remove(0);
    Challenge::parse_all(row.as_bytes())[0].nonce().unwrap().to_owned()
}

fn wrong(username: &str) -> Verdict {
    Verdict::Refused { username: username.into(), why: AuthFailure::Wrong }
}

/// RAU-009, RAU-019: refused alike, and the client, challenged without `stale`, stops.
#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    for algorithm in Algorithm::ALL {
        for (username, password) in [("werner", "certainty"), ("niels", PASSWORD), ("niels", "")] {
            let mut server = Server::new(&[algorithm]);
            let mut client = Client::new(username, password);
            let rows = server.challenges(false, START);
            let plain: Vec<_> = rows.iter().map(|row| row.replace(", userhash=true", "")).collect();
            assert!(client.challenged(&plain));
            assert_eq!(server.check(&client.answer(b""), b"", START), wrong(username));
            assert!(!client.challenged(&server.challenges(false, START)), "gives up");

            // Also when the nonce is too old: that says nothing about the password.
            let later = START + Duration::from_secs(3600);
            assert_eq!(server.check(&client.answer(b""), b"", later), wrong(username));
        }
        // Whose name is hashed is known when there is such a user.
        for (username, password, told) in [
            ("werner", "certainty", None),
            ("niels", PASSWORD, Some(hash::userhash(algorithm, "niels", REALM))),
        ] {
            let mut server = Server::new(&[algorithm]);
            let mut client = Client::new(username, password);
            assert!(client.challenged(&server.challenges(false, START)));
            let told = told.unwrap_or(username.to_owned());
            assert_eq!(server.check(&client.answer(b""), b"", START), wrong(&told));
        }
    }
}

/// RAU-011: who does not know the password uses up nothing.
#[test]
fn a_wrong_digest_with_a_high_count_locks_nobody_out() {
    let mut server = Server::new(&[]);
    let nonce = nonce(&mut server);
    for nc in ["00000001", "ffffffff"] {
        let forged = changed(&nonce, &[("nc", Some(nc)), ("response", Some(&"0".repeat(32)))]);
        assert_eq!(server.check(&[forged], b"", START), wrong("werner"));
    }
    assert_eq!(name(&server.check(&[changed(&nonce, &[])], b"", START)), Some("werner"));
}

/// RAU-002, RAU-006: other realms, schemes and algorithms are left alone, whether or not ours is beside them.
#[test]
fn credentials_that_are_not_for_us_count_as_none() {
    let others = |nonce: &str| {
        vec![
            Credentials::parse(b"Basic d2VybmVyOnVuY2VydGFpbnR5").unwrap(),
            Credentials::parse(b"Bearer abc").unwrap(),
            Credentials::parse(b"Digest realm=\"copenhagen.dk\", username=\"niels\"").unwrap(),
            changed(nonce, &[("realm", Some("copenhagen.dk"))]),
            changed(nonce, &[("algorithm", Some("MD5-sess"))]),
            changed(nonce, &[("algorithm", Some("SHA-256"))]),
            changed(nonce, &[("algorithm", Some("AKAv1-MD5"))]),
            // What an IMS device begins with.
            changed("", &[("response", Some(""))]),
        ]
    };
    let mut server = Server::new(&[Algorithm::Md5]);
    let nonce = nonce(&mut server);
    assert_eq!(server.check(&[], b"", START), Verdict::Unproven);
    for other in others(&nonce) {
        assert_eq!(server.check(std::slice::from_ref(&other), b"", START), Verdict::Unproven, "{other}");
    }
    let mut all = others(&nonce);
    all.pop();
    all.push(changed(&nonce, &[]));
    assert_eq!(name(&server.check(&all, b"", START)), Some("werner"));
}

/// RAU-012: by choice only, and then once for each nonce.
#[test]
fn a_digest_without_qop_is_taken_only_when_that_is_allowed() {
    let mut server = Server::new(&[]);
    let nonce = nonce(&mut server);
    let ha1 = hash::ha1(Algorithm::Md5, "werner", REALM, PASSWORD.as_bytes());
    let ha2 = hash::hex_of(Algorithm::Md5, &[b"REGISTER", URI.as_bytes()]);
    let response = hash::hex_of(Algorithm::Md5, &[ha1.as_bytes(), nonce.as_bytes(), ha2.as_bytes()]);
    let old = changed(
        &nonce,
        &[("qop", None), ("nc", None), ("cnonce", None), ("algorithm", None), ("response", Some(&response))],
    );
    let old = std::slice::from_ref(&old);
    assert_eq!(server.check(old, b"", START), Verdict::Unproven);
    server.verifier = server.verifier.without_qop(true);
    assert_eq!(name(&server.check(old, b"", START)), Some("werner"));
    let replayed = Verdict::Refused { username: "werner".into(), why: AuthFailure::Replayed };
    assert_eq!(server.check(old, b"", START), replayed);
}

/// RAU-013: the client's `uri` is hashed; it may differ as proxies and devices make it differ, and not
/// otherwise.
#[test]
fn a_uri_that_is_not_the_request_uri_is_tolerated_when_it_means_us() {
    const OTHER: Verdict = Verdict::Malformed("credentials for another Request-URI");
    for (request_uri, tolerated) in
        [(URI, true), ("sip:10.0.0.1:5060", true), ("sip:werner@munich.de;transport=tcp", true)]
    {
        let mut server = Server::new(&[Algorithm::Md5]);
        let credentials = [changed(&nonce(&mut server), &[])];
        let asked = Presented {
            realm: REALM,
            method: &REGISTER,
            uri: request_uri,
            body: b"",
            credentials: &credentials,
        };
        let verdict = server.verifier.check(asked, START);
        assert_eq!(name(&verdict).is_some(), tolerated, "{request_uri}");
    }
    for (uri, request_uri, expected) in [
        // Tolerated; that is not what was hashed.
        ("sip:MUNICH.de:5060", "sip:10.0.0.1", wrong("werner")),
        ("sip:10.0.0.1;transport=udp", "sip:10.0.0.1", wrong("werner")),
        ("sips:10.0.0.1", "sip:werner@10.0.0.1:5070", wrong("werner")),
        ("/index.html", "/index.html", wrong("werner")),
        ("sip:192.0.2.9:5060", URI, wrong("werner")),
        ("sip:copenhagen.dk", URI, OTHER),
        ("sip:copenhagen.dk", "sip:10.0.0.1", OTHER),
        ("munich.de", URI, OTHER),
        ("", URI, OTHER),
        ("/index.html", URI, OTHER),
    ] {
        let mut server = Server::new(&[Algorithm::Md5]);
        let credentials = [changed(&nonce(&mut server), &[("uri", Some(uri))])];
        let asked = Presented {
            realm: REALM,
            method: &REGISTER,
            uri: request_uri,
            body: b"",
            credentials: &credentials,
        };
        assert_eq!(server.verifier.check(asked, START), expected, "{uri} {request_uri}");
    }
}

/// RAU-016: one fault each, told by what is wrong.
#[test]
fn credentials_with_missing_or_contradicting_parameters_are_malformed() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let nonce = nonce(&mut server);
    let coded = |value| [("username", None), ("username*", Some(value))];
    for (changes, expected) in [
        (&[("realm", None)][..], "credentials without a realm"),
        (&[("nonce", None)], "credentials without a nonce"),
        (&[("response", None)], "credentials without a response"),
        (&[("uri", None)], "credentials without a uri"),
        (&[("username", None)], "credentials without a username"),
        (&[("username*", Some("UTF-8''werner"))], "credentials with username and username*"),
        (&coded("werner"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (&coded("ISO-8859-1''werner"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (&coded("UTF-8''%FFwerner"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (&coded("UTF-8''wer%6"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (&coded("UTF-8''wer%+6ner"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (&coded("UTF-8''wer%ä"), "credentials with a username* that is not UTF-8 by RFC 5987"),
        (
            &[coded("UTF-8''werner")[0], coded("UTF-8''werner")[1], ("userhash", Some("true"))],
            "credentials with userhash and username*",
        ),
        (&[("userhash", Some("maybe"))], "credentials with a userhash that is neither true nor false"),
        (&[("qop", None)], "credentials with nc or cnonce and without qop"),
        (&[("qop", None), ("nc", None)], "credentials with nc or cnonce and without qop"),
        (&[("qop", Some("auth-conf"))], "credentials with a qop that was not offered"),
        (&[("nc", None)], "credentials with qop and without nc"),
        (&[("cnonce", None)], "credentials with qop and without cnonce"),
        (&[("nc", Some(""))], "credentials with an nc that is not 8 hex digits"),
        (&[("nc", Some("0000000g"))], "credentials with an nc that is not 8 hex digits"),
        (&[("nc", Some("+0000001"))], "credentials with an nc that is not 8 hex digits"),
        (&[("nc", Some("000000001"))], "credentials with an nc that is not 8 hex digits"),
    ] {
        let verdict = server.check(&[changed(&nonce, changes)], b"", START);
        assert_eq!(verdict, Verdict::Malformed(expected), "{changes:?}");
    }
    // None of it used up the count. Letter case of what is no text does not matter.
    let shouted =
        changed(&nonce, &[("realm", Some("MUNICH.DE")), ("algorithm", Some("md5")), ("qop", Some("AUTH"))]);
    assert_eq!(name(&server.check(&[shouted], b"", START)), Some("werner"));
}

/// RAU-009: some devices leave the leading zeros of the count out; what they sent is what the digest is over.
#[test]
fn a_short_count_counts() {
    let mut server = Server::new(&[]);
    let nonce = nonce(&mut server);
    let mut check = |nc| server.check(&[credentials(&counted(&nonce, nc))], b"", START);
    for nc in ["1", "02", "a", "0000000b"] {
        assert_eq!(name(&check(nc)), Some("werner"), "{nc}");
    }
    for used in ["2", "0000000a"] {
        let replayed = Verdict::Refused { username: "werner".into(), why: AuthFailure::Replayed };
        assert_eq!(check(used), replayed, "{used}");
    }
}

/// RAU-016: a response that can't be one is a wrong one.
#[test]
fn a_response_of_another_length_is_wrong() {
    let mut server = Server::new(&[Algorithm::Md5]);
    let nonce = nonce(&mut server);
    for response in ["0", "ä", &"0".repeat(31), &"0".repeat(64), &"0".repeat(65), &"0".repeat(4000)] {
        let verdict = server.check(&[changed(&nonce, &[("response", Some(response))])], b"", START);
        assert_eq!(verdict, wrong("werner"), "{response}");
    }
    let right = fields(&nonce).remove(4).1.to_uppercase();
    let verdict = server.check(&[changed(&nonce, &[("response", Some(&right))])], b"", START);
    assert_eq!(name(&verdict), Some("werner"));
}

/// RAU-018: a thousand strangers leave no trace.
#[test]
fn challenges_and_refusals_take_no_memory() {
    let mut server = Server::new(&[]);
    let before = format!("{:?}", server.verifier);
    for _ in 0..1_000 {
        let nonce = nonce(&mut server);
        let verdict = server.check(&[changed(&nonce, &[("response", Some("0"))])], b"", START);
        assert_eq!(verdict, wrong("werner"));
    }
    assert_eq!(format!("{:?}", server.verifier), before);
}

/// AUT-047 for the server: no key, no HA1.
#[test]
fn what_is_printed_of_a_verifier_holds_no_secret() {
    let said = format!("{:?}", Server::new(&[]).verifier);
    for algorithm in Algorithm::ALL {
        let ha1 = hash::ha1(algorithm, "werner", REALM, PASSWORD.as_bytes());
        assert!(!said.contains(&ha1), "{said}");
    }
    assert!(said.contains("decoys: [Hidden, Hidden, Hidden]"), "{said}");
    assert!(said.contains("users: Users { count: 2 }"), "{said}");
}
