//! Redirects through the program: whom the password is shown to, and where a registrar has gone for good.

use std::path::Path;

use crate::registrar::{Answer, Registrar, Request};
use crate::run::with_environment;

const STRANGE: &str = "WWW-Authenticate: Digest realm=\"evil\", nonce=\"n\"";

fn has_answer(request: &Request) -> bool {
    !request.all("Authorization").is_empty()
}

/// Asks for a realm, and binds whoever answers.
fn asking(challenge: &'static str) -> impl FnMut(usize, &Request) -> Vec<Answer> + Send {
    move |_, request| match has_answer(request) {
        true => request.as_asked(),
        false => request.answer("401 Unauthorized", &[challenge]),
    }
}

/// Sends everybody to another host: a name, where the first was an address.
fn sending(
    status: &'static str,
    to: &Registrar,
) -> impl FnMut(usize, &Request) -> Vec<Answer> + Send + use<> {
    let port = to.address.rsplit(':').next().unwrap().to_owned();
    move |_, request| request.answer(status, &[&format!("Contact: <sip:localhost:{port}>")])
}

/// A host that only a redirect named is answered for what belongs to the account, with a warning; for anything else the
/// hint names both hosts.
#[test]
fn another_host_does_not_get_the_password_for_a_realm_of_its_own() {
    const DOMAIN: &str = "WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n\"";
    for (challenge, more, code) in
        [(STRANGE, &[][..], 3), (DOMAIN, &[], 0), (STRANGE, &["--realm", "evil"], 0)]
    {
        for transport in ["udp", "tcp"] {
            let other = if transport == "udp" {
                Registrar::udp(asking(challenge))
            } else {
                Registrar::tcp(asking(challenge))
            };
            let first = sending("302 Moved", &other);
            let first = if transport == "udp" { Registrar::udp(first) } else { Registrar::tcp(first) };
            let args = ["register", "bob@munich.de", "--registrar", &first.address, "--transport", transport];
            let args = [&args[..], &["-4", "--stateless", "--json"], more].concat();
            let ran = with_environment(&args, &[("SIPREG_PASSWORD", "uncertainty")]);
            assert_eq!(ran.code, Some(code), "{}", ran.all());
            let answered = other.requests().iter().any(has_answer);
            assert_eq!(answered, code == 0, "{}", ran.all());
            if code == 3 {
                let error = &ran.json()["error"];
                let hint = error["hint"].as_str().unwrap();
                assert_eq!(
                    (&error["kind"], &error["cause"]),
                    (&"credentials".into(), &"realm_unserved".into())
                );
                assert!(hint.contains("127.0.0.1") && hint.contains("localhost"), "{hint}");
                assert!(hint.contains("--registrar"), "{hint}");
            } else {
                assert!(ran.stderr.contains("warning: localhost asked for the password"), "{}", ran.all());
            }
        }
    }
}

/// RSP-015: a registrar that has moved for good is where `keep` goes on, and it says so.
#[test]
#[cfg(unix)]
fn keep_says_where_the_registrar_has_gone_for_good() {
    let home = tempfile::tempdir().unwrap();
    for (status, is_for_good) in [("301 Moved", true), ("302 Moved", false)] {
        let other = Registrar::udp(|_, request| request.as_asked());
        let first = Registrar::udp(sending(status, &other));
        let mut keep = crate::keep::keep(
            &first.address,
            Path::new(home.path()),
            &["alice@localhost", "-4", "--stateless"],
        );
        keep.tells("registering");
        let moved = keep.tells("registered")["moved_to"].as_str().map(str::to_owned);
        keep.signal("-TERM");
        let (_, stderr, code) = keep.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(moved.is_some_and(|uri| uri.starts_with("sip:localhost:")), is_for_good);
        assert_eq!(stderr.contains("the registrar is sip:localhost:"), is_for_good, "{stderr}");
    }
}
