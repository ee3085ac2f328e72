mod refusals;
mod vectors;

use std::time::Duration;

use super::*;
use crate::proto::digest::{ChallengeOutcome, Credential, Keyring, Qop, Secret, Sessions, Trust};
use crate::proto::ids::Counting;
use crate::sip::{Challenge, Header, HeaderName, Headers};

const REALM: &str = "munich.de";
const URI: &str = "sip:munich.de";
const PASSWORD: &str = "uncertainty";
const START: Time = Time::from_millis(1_700_000_000_000);
const REGISTER: Method = Method::Register;

/// A server with two users, one of them with a name beyond ASCII.
struct Server {
    verifier: Verifier,
    random: Counting,
}

impl Server {
    fn new(algorithms: &[Algorithm]) -> Server {
        let password = Hidden::new(PASSWORD.to_owned());
        let mut text = Hidden::new(String::new());
        for name in ["werner", "jürgen"] {
            text = Users::put(text.reveal(), name, REALM, &password).unwrap();
        }
        Server::of(Users::parse(text.reveal()).unwrap(), algorithms)
    }

    fn of(users: Users, algorithms: &[Algorithm]) -> Server {
        let mut random = Counting::default();
        Server { verifier: Verifier::new(users, algorithms, &mut random), random }
    }

    fn challenges(&mut self, stale: bool, now: Time) -> Vec<String> {
        self.verifier.challenges(REALM, stale, &mut self.random, now)
    }

    fn check(&mut self, credentials: &[Credentials], body: &[u8], now: Time) -> Verdict {
        let asked = Presented { realm: REALM, method: &REGISTER, uri: URI, body, credentials };
        self.verifier.check(asked, now)
    }
}

/// Our own client.
struct Client {
    sessions: Sessions,
    keyring: Keyring,
    random: Counting,
}

impl Client {
    fn new(username: &str, password: &str) -> Client {
        let secret = Secret::Password(Hidden::new(password.to_owned()));
        let credential = Credential { realm: None, username: username.to_owned(), secret };
        Client {
            sessions: Sessions::new(),
            keyring: Keyring {
                credentials: vec![credential],
                ask: None,
                realm: None,
                minimum: Algorithm::Md5,
            },
            random: Counting::default(),
        }
    }

    /// Reads a 401; whether it would send again.
    fn challenged(&mut self, rows: &[String]) -> bool {
        let mut headers = Headers::new();
        for row in rows {
            headers.push(Header::new(HeaderName::WwwAuthenticate, row.clone()).unwrap());
        }
        let challenged = self.sessions.on_challenge(&headers, &self.keyring, Trust::Named, &mut self.random);
        challenged == ChallengeOutcome::Answer
    }

    fn answer(&mut self, body: &[u8]) -> Vec<Credentials> {
        let rows = self.sessions.authorize(REGISTER.as_str(), URI, body);
        rows.iter().map(|row| Credentials::parse(row.value()).unwrap()).collect()
    }
}

/// Who was proven.
fn name(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Proven(user) => Some(&user.name),
        Verdict::Unproven | Verdict::Stale(_) | Verdict::Refused { .. } | Verdict::Malformed(_) => None,
    }
}

/// RAU-001, RAU-003, RAU-004, RAU-015, RAU-018: one row for each algorithm, in the order of the
/// options, all with qop and userhash.
#[test]
fn a_challenge_offers_each_algorithm_once_and_in_order() {
    use Algorithm::{Md5, Sha256, Sha512_256};
    let mut server = Server::new(&[Sha256, Sha512_256, Sha256, Md5]);
    let rows = server.challenges(false, START);
    let read: Vec<Challenge> = rows.iter().flat_map(|row| Challenge::parse_all(row.as_bytes())).collect();
    let nonce = read[0].nonce().unwrap().to_owned();
    let expected: Vec<String> = ["SHA-256", "SHA-512-256", "MD5"]
        .iter()
        .map(|algorithm| {
            format!(
                "Digest realm=\"munich.de\", nonce=\"{nonce}\", qop=\"auth,auth-int\", algorithm={algorithm}, \
                 userhash=true, charset=UTF-8"
            )
        })
        .collect();
    assert_eq!(rows, expected);
    for challenge in read {
        assert_eq!(challenge.qops(), Some(vec!["auth", "auth-int"]));
        assert!(challenge.userhash() && !challenge.stale());
    }
    let again = server.challenges(true, START);
    assert!(again.iter().all(|row| row.ends_with(", stale=true") && !row.contains(&nonce)));
    // Everything when nothing is said: those that read the first only know SHA-256.
    let mut server = Server::new(&[]);
    let named = |row: &String| Challenge::parse_all(row.as_bytes())[0].algorithm().map(str::to_owned);
    let offered: Vec<_> = server.challenges(false, START).iter().filter_map(named).collect();
    assert_eq!(offered, ["SHA-256", "SHA-512-256", "MD5"]);
}

/// RAU-001, RAU-004: what all users of the realm can do; never nothing; the same for a realm that has no
/// users.
#[test]
fn algorithms_are_offered_as_far_as_the_users_have_them() {
    use Algorithm::{Md5, Sha256, Sha512_256};
    let (md5, sha) = ("0".repeat(32), "0".repeat(64));
    let text = format!(
        "a:all.de:{md5}:{sha}:{sha}\nb:all.de:{md5}:{sha}\nc:none.de:{md5}\nd:none.de::{sha}\ne:one.de:{md5}\n"
    );
    let users = Users::parse(&text).unwrap();
    let every = [Sha512_256, Sha256, Md5];
    for (realm, among, expected) in [
        ("all.de", &every[..], &[Sha256, Md5][..]),
        ("ALL.de", &every, &[Sha256, Md5]),
        ("all.de", &[Sha512_256], &[Sha512_256]),
        ("none.de", &every, &[Sha256, Md5]),
        ("one.de", &every, &[Md5]),
        ("one.de", &[Sha256], &[Sha256]),
        ("else.de", &every, &every),
    ] {
        let offered: Vec<_> = users.offered(realm, among).collect();
        assert_eq!(offered, expected, "{realm} {among:?}");
    }
}

/// RAU-010, RAU-015: whatever a client makes of the challenge, and with every count once.
#[test]
fn our_own_client_proves_itself_by_every_algorithm_qop_and_form_of_its_name() {
    for algorithm in Algorithm::ALL {
        for qop in [Qop::Auth, Qop::AuthInt] {
            for (username, left_out) in [
                ("werner", ""),
                ("werner", ", userhash=true"),
                ("jürgen", ""),
                ("jürgen", ", userhash=true"),
                ("jürgen", ", userhash=true, charset=UTF-8"),
            ] {
                for body in [&b""[..], b"v=0\r\n"] {
                    let case = format!("{algorithm:?} {qop:?} {username} {left_out} {}", body.len());
                    let mut server = Server::new(&[algorithm]);
                    let mut client = Client::new(username, PASSWORD);
                    let mut row = server.challenges(false, START).remove(0);
                    row = row.replace("\"auth,auth-int\"", qop.as_str()).replace(left_out, "");
                    assert!(client.challenged(&[row]));
                    let first = client.answer(body);
                    let second = client.answer(body);
                    assert_eq!(name(&server.check(&second, body, START)), Some(username), "{case}");
                    assert_eq!(name(&server.check(&first, body, START)), Some(username), "{case}");
                    let why = AuthFailure::Replayed;
                    let replayed = Verdict::Refused { username: username.into(), why };
                    assert_eq!(server.check(&first, body, START), replayed, "{case}");
                    let third = client.answer(body);
                    let changed = server.check(&third, b"changed", START);
                    assert_eq!(name(&changed).is_some(), qop == Qop::Auth, "{case}");
                }
            }
        }
    }
}

/// Phones sign in with the whole address, in any form of the name: with the HA1 of the short name, or one of the long.
#[test]
fn the_whole_address_is_the_name_of_its_user() {
    const WHOLE: &str = "werner@munich.de";
    let line = |name: &str, password: &str| {
        User::line(name, REALM, &Hidden::new(password.to_owned())).unwrap().reveal().to_owned()
    };
    let short = line("werner", PASSWORD);
    let both = format!("{short}\n{}", line(WHOLE, "principle"));
    for (file, secret_of, password, expected) in [
        (&short, "werner", PASSWORD, Some("werner")),
        (&short, "werner", "wrong", None),
        (&short, WHOLE, PASSWORD, None),
        (&both, "werner", PASSWORD, Some("werner")),
        (&both, WHOLE, "principle", Some(WHOLE)),
        (&both, "werner", "principle", None),
        (&both, WHOLE, PASSWORD, None),
    ] {
        for (username, left_out) in
            [(WHOLE, ""), (WHOLE, ", userhash=true"), ("werner@MUNICH.de", ", userhash=true")]
        {
            for algorithm in Algorithm::ALL {
                let mut server = Server::of(Users::parse(file).unwrap(), &[algorithm]);
                let mut client = Client::new(username, "");
                let hex = Hidden::new(hash::ha1(algorithm, secret_of, REALM, password.as_bytes()));
                client.keyring.credentials[0].secret = Secret::Ha1 { algorithm, hex };
                let rows = server
                    .challenges(false, START)
                    .iter()
                    .map(|row| row.replace(left_out, ""))
                    .collect::<Vec<_>>();
                assert!(client.challenged(&rows));
                let verdict = server.check(&client.answer(b""), b"", START);
                // The long name's own line is found in its own spelling only.
                let expected = expected.filter(|name| *name != WHOLE || username == WHOLE);
                assert_eq!(name(&verdict), expected, "{username} {left_out} {secret_of} {password}");
            }
        }
    }
}

/// RAU-014: with another domain it is another name, and one user is never another.
#[test]
fn an_address_of_another_domain_is_nobody_elses_name() {
    let password = Hidden::new(PASSWORD.to_owned());
    let text = ["werner", "werner@berlin.de"]
        .map(|name| User::line(name, REALM, &password).unwrap().reveal().to_owned())
        .join("\n");
    let sign_in = |username: &str, secret_of: &str| {
        let mut server = Server::of(Users::parse(&text).unwrap(), &[Algorithm::Md5]);
        let mut client = Client::new(username, "");
        let hex = Hidden::new(hash::ha1(Algorithm::Md5, secret_of, REALM, PASSWORD.as_bytes()));
        client.keyring.credentials[0].secret = Secret::Ha1 { algorithm: Algorithm::Md5, hex };
        assert!(client.challenged(&server.challenges(false, START)));
        match server.check(&client.answer(b""), b"", START) {
            Verdict::Proven(user) => Some((user.name.clone(), user.may("werner", REALM))),
            Verdict::Refused { .. } => None,
            other @ (Verdict::Unproven | Verdict::Stale(_) | Verdict::Malformed(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!(sign_in("werner@berlin.de", "werner@berlin.de"), Some(("werner@berlin.de".to_owned(), false)));
    for name in
        ["werner@berlin.de", "werner@", "@munich.de", "werner@munich.de@munich.de", "werner@sub.munich.de"]
    {
        assert_eq!(sign_in(name, "werner"), None, "{name}");
    }
}

/// RAU-007, RAU-008: an old nonce, or one from before a restart, with the right digest.
#[test]
fn a_client_goes_on_after_its_nonce_became_stale() {
    let mut server = Server::new(&[]);
    let mut client = Client::new("werner", PASSWORD);
    assert!(client.challenged(&server.challenges(false, START)));
    assert_eq!(name(&server.check(&client.answer(b""), b"", START)), Some("werner"));
    let later = START + Duration::from_secs(3600);
    assert!(matches!(server.check(&client.answer(b""), b"", later), Verdict::Stale(_)));
    assert!(client.challenged(&server.challenges(true, later)));
    assert_eq!(name(&server.check(&client.answer(b""), b"", later)), Some("werner"));

    let mut random = Counting::default();
    random.next();
    server.verifier = Verifier::new(std::mem::take(&mut server.verifier.users), &[], &mut random);
    assert!(matches!(server.check(&client.answer(b""), b"", later), Verdict::Stale(_)));
    assert!(client.challenged(&server.challenges(true, later)));
    assert_eq!(name(&server.check(&client.answer(b""), b"", later)), Some("werner"));
}

/// A changed file counts from the next request on; who is known still needs no new nonce.
#[test]
fn users_are_replaced_while_nonces_stay_good() {
    let mut server = Server::new(&[]);
    let mut client = Client::new("werner", PASSWORD);
    assert!(client.challenged(&server.challenges(false, START)));
    let other = Server::new(&[]).verifier;
    server.verifier.replace_users(other.users);
    assert!(server.verifier.users().has(REALM, "werner"));
    assert_eq!(name(&server.check(&client.answer(b""), b"", START)), Some("werner"));
    server.verifier.replace_users(Users::default());
    let gone = server.check(&client.answer(b""), b"", START);
    assert!(matches!(gone, Verdict::Refused { why: AuthFailure::Wrong, .. }), "{gone:?}");
}

/// Of the realms of one response the first sixteen are answered.
#[test]
fn at_most_sixteen_realms_of_one_response_are_answered() {
    let mut client = Client::new("werner", PASSWORD);
    let rows: Vec<String> = (0..100)
        .map(|n| format!("Digest realm=\"r{n}\", nonce=\"n\", algorithm=MD5, qop=\"auth\""))
        .collect();
    assert!(client.challenged(&rows));
    let answers = client.answer(b"");
    assert_eq!(answers.len(), 16);
    assert_eq!(answers.last().and_then(|answer| answer.get("realm")), Some("r15"));
}
