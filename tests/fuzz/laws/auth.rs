//! Challenges: read, written, and answered as digest wants it.

use super::fields;
use sipreg::proto::client::outcome::CredentialsFailure;
use sipreg::proto::digest::{
    Algorithm, ChallengeOutcome, Credential, Hidden, Keyring, Secret, Sessions, Trust,
};
use sipreg::proto::ids::Counting;
use sipreg::sip::{Challenge, Credentials, Header, HeaderName, Headers};

/// Takes one row in each line; a row behind a `P` comes from a proxy.
pub fn challenge(octets: &[u8]) {
    let mut headers = Headers::new();
    for row in octets.split(|&octet| octet == b'\n') {
        let (name, row) = match row.strip_prefix(b"P") {
            Some(row) => (HeaderName::ProxyAuthenticate, row),
            None => (HeaderName::WwwAuthenticate, row),
        };
        fields::value_reads_back(row);
        for challenge in Challenge::parse_all(row) {
            let _ = (challenge.qops(), challenge.stale(), challenge.userhash(), challenge.realm());
        }
        if let Ok(row) = Header::new(name, row.to_vec()) {
            headers.push(row);
        }
    }
    credentials_fit(&headers);
    a_stranger_gets_no_other_realm(&headers);
}

/// Whatever a host that only a redirect named asks for, it is answered for the domain of the address, or not at all.
fn a_stranger_gets_no_other_realm(headers: &Headers) {
    let (mut sessions, mut random) = (Sessions::new(), Counting::default());
    let trust = Trust::Strange { domain: "a", proven: &[] };
    let outcome = sessions.on_challenge(headers, &keyring(), trust, &mut random);
    assert!(sessions.asked().all(|realm| realm.eq_ignore_ascii_case("a")), "{outcome:?}: {headers:?}");
    let rows = sessions.authorize("REGISTER", "sip:a", b"");
    assert_eq!(rows.is_empty(), outcome != ChallengeOutcome::Answer);
    for row in &rows {
        let answer = Credentials::parse(row.value()).expect("an answer reads");
        assert!(answer.get("realm").is_some_and(|realm| realm.eq_ignore_ascii_case("a")), "{answer}");
    }
}

fn keyring() -> Keyring {
    Keyring {
        credentials: vec![Credential {
            realm: None,
            username: "h\u{e4}senberg \"\\".to_owned(),
            secret: Secret::Password(Hidden::new("uncertainty".to_owned())),
        }],
        ask: None,
        realm: None,
        minimum: Algorithm::Md5,
    }
}

/// The credentials repeat the parameters of the challenges, one for each realm and kind, and count; the same
/// challenge again means that they were wrong.
fn credentials_fit(headers: &Headers) {
    let (mut sessions, mut random) = (Sessions::new(), Counting::default());
    if sessions.on_challenge(headers, &keyring(), Trust::Named, &mut random) != ChallengeOutcome::Answer {
        assert!(sessions.authorize("REGISTER", "sip:a", b"").is_empty());
        return;
    }
    let offers: Vec<(HeaderName, Challenge)> = [
        (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        (HeaderName::WwwAuthenticate, HeaderName::Authorization),
    ]
    .into_iter()
    .flat_map(|(asks, answers)| headers.challenges(&asks).into_iter().map(move |c| (answers.clone(), c)))
    .collect();
    for count in ["00000001", "00000002"] {
        let rows = sessions.authorize("REGISTER", "sip:a", b"");
        assert_eq!(rows.len(), sessions.answered().len());
        assert!((1..=offers.len()).contains(&rows.len()));
        for row in &rows {
            let answer = Credentials::parse(row.value()).expect("an answer reads");
            let fits = |name: &str, challenge: &Challenge| answer.get(name) == challenge.get(name);
            let of = offers.iter().find(|(name, c)| {
                name == row.name() && c.is_digest() && ["realm", "nonce", "opaque"].iter().all(|n| fits(n, c))
            });
            assert!(of.is_some(), "{answer} answers none of {offers:?}");
            assert_eq!(answer.get("uri"), Some("sip:a"));
            assert!(answer.get("response").is_some_and(|hex| hex.bytes().all(|o| o.is_ascii_hexdigit())));
            assert!(answer.get("nc").is_none_or(|nc| nc == count));
        }
    }
    if offers.iter().all(|(_, challenge)| !challenge.stale()) {
        let again = sessions.clone().on_challenge(headers, &keyring(), Trust::Named, &mut random);
        assert!(matches!(again, ChallengeOutcome::Fail(CredentialsFailure::Rejected { .. })), "{again:?}");
    }
    let infos: Headers = headers
        .iter()
        .filter_map(|row| Header::new(HeaderName::AuthenticationInfo, row.value().to_vec()).ok())
        .collect();
    let _ = sessions.on_success(&infos, "sip:a", b"");
    sessions.on_accepted();
    assert!(!sessions.authorize("REGISTER", "sip:a", b"").is_empty());
}
