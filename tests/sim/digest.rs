//! Digest at work: which challenge is answered, how often, and when to stop.

use sipreg::proto::digest::{Algorithm, Credential, Hidden, Secret, Trust};

use crate::world::*;

fn answers(challenges: &[&str]) -> Vec<String> {
    challenges.iter().map(|c| format!("401 Unauthorized|{c}")).collect()
}

fn course(answers: &[&str], keyring: sipreg::proto::digest::Keyring) -> Course {
    let mut plan = plan();
    plan.keyring = keyring;
    World::answering(answers).run(plan)
}

/// The realm, algorithm and qop of each credentials row of a request.
fn answered(sent: &Sent) -> String {
    let mut out = Vec::new();
    for name in ["Proxy-Authorization", "Authorization"] {
        for row in sent.headers(name) {
            let part = |key: &str| {
                let rest = row.split_once(&format!(" {key}="))?.1;
                Some(rest.split(',').next()?.trim_matches('"').to_owned())
            };
            out.push(format!(
                "{name} {} {} {} {} {}",
                part("realm").unwrap(),
                part("nonce").unwrap(),
                part("algorithm").unwrap_or("-".into()),
                part("qop").unwrap_or("-".into()),
                part("nc").unwrap_or("-".into()),
            ));
        }
    }
    out.join(" + ")
}

const A: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\"";

/// AUT-005 AUT-013..015 AUT-017..019 AUT-023..025 AUT-043 AUT-044 HDR-007
#[test]
fn the_topmost_challenge_that_can_be_served_is_answered() {
    let w = "WWW-Authenticate: ";
    for (challenge, minimum, expected) in [
        (A.to_owned(), Algorithm::Md5, "Authorization r n1 - - -"),
        (format!("{A}, qop=\"auth\""), Algorithm::Md5, "Authorization r n1 - auth 00000001"),
        (format!("{A}, qop=auth"), Algorithm::Md5, "Authorization r n1 - auth 00000001"),
        (format!("{A}, qop=\"auth-int\""), Algorithm::Md5, "Authorization r n1 - auth-int 00000001"),
        (
            format!("{A}, qop=\"auth-conf, auth-int,auth\""),
            Algorithm::Md5,
            "Authorization r n1 - auth 00000001",
        ),
        (
            format!("{A}, QOP=\"auth\", Algorithm=md5, foo=\"bar\", domain=\"x y\""),
            Algorithm::Md5,
            "Authorization r n1 md5 auth 00000001",
        ),
        (
            format!("{A}, algorithm=SHA-256, qop=\"auth\"|{A}, algorithm=MD5, qop=\"auth\""),
            Algorithm::Md5,
            "Authorization r n1 SHA-256 auth 00000001",
        ),
        (
            format!("{A}, algorithm=MD5, qop=\"auth\"|{A}, algorithm=SHA-256, qop=\"auth\""),
            Algorithm::Md5,
            "Authorization r n1 MD5 auth 00000001",
        ),
        (
            format!("{A}, algorithm=MD5, qop=\"auth\"|{A}, algorithm=SHA-512-256, qop=\"auth\""),
            Algorithm::Sha256,
            "Authorization r n1 SHA-512-256 auth 00000001",
        ),
        (
            format!(
                "{A}, algorithm=SHA3|{w}Basic realm=\"r\"|{A}, qop=\"x\"|{A}, algorithm=SHA-256-sess, qop=\"auth\""
            ),
            Algorithm::Md5,
            "Authorization r n1 SHA-256-sess auth 00000001",
        ),
        (
            format!("{A}, algorithm=WHIRLPOOL, Digest realm=\"r\", nonce=\"n2\", qop=\"auth\""),
            Algorithm::Md5,
            "Authorization r n2 - auth 00000001",
        ),
    ] {
        let mut ring = keyring("uncertainty");
        ring.minimum = minimum;
        let first = format!("401 Unauthorized|{challenge}");
        let course = course(&[&first, OK], ring);
        assert_eq!(course.sent.len(), 2, "{challenge}: {}", verdict(&course));
        assert_eq!(answered(&course.sent[1]), expected, "{challenge}");
    }
}

/// AUT-007 AUT-008 AUT-015 AUT-017
#[test]
fn what_cannot_or_may_not_be_served_is_never_answered() {
    let mut sha = keyring("x");
    sha.minimum = Algorithm::Sha256;
    let mut other_realm = keyring("x");
    other_realm.realm = Some("R".to_owned());
    let mut of_other_realm = keyring("x");
    of_other_realm.credentials[0].realm = Some("R".to_owned());
    let mut ha1 = keyring("x");
    ha1.credentials[0].secret = Secret::Ha1 { algorithm: Algorithm::Md5, hex: Hidden::new("0".repeat(32)) };
    let mut nobody = keyring("x");
    nobody.credentials.clear();
    for (challenge, ring, expected) in [
        (format!("{A}, algorithm=MD5"), sha, "TooWeak"),
        (A.to_owned(), other_realm, "Realm"),
        (format!("{A}, algorithm=SHA-256"), ha1, "Ha1Algorithm"),
        (A.to_owned(), of_other_realm, "Missing { realm: \"r\", has_others: true }"),
        (A.to_owned(), nobody, "Missing { realm: \"r\", has_others: false }"),
    ] {
        let first = format!("401 Unauthorized|{challenge}");
        let course = course(&[&first], ring);
        assert_eq!(course.report.requests, 1, "{challenge}");
        let shown = verdict(&course);
        assert!(shown.starts_with("Credentials(") && shown.contains(expected), "{challenge}: {shown}");
    }
}

/// AUT-009..012 AUT-032 DES-027
#[test]
fn rejected_credentials_are_not_sent_again_but_a_stale_nonce_is_replaced_three_times() {
    let course = self::course(&[MD5], keyring("wrong"));
    assert_eq!(course.report.requests, 2);
    assert_eq!(verdict(&course), r#"Credentials(Rejected { realm: "munich.de", username: "heisenberg" })"#);
    let stale = ["n1", "n2", "n3", "n4"]
        .map(|nonce| format!("401 Unauthorized|WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\", stale=TRUE"));
    let answers: Vec<&str> = stale.iter().map(String::as_str).collect();
    let course = self::course(&answers, keyring("x"));
    let all: Vec<String> = course.sent[1..].iter().map(answered).collect();
    assert_eq!(all, ["n1", "n2", "n3"].map(|n| format!("Authorization r {n} - auth 00000001")));
    assert_eq!(verdict(&course), "Credentials(Endless)");
}

/// AUT-011 AUT-009
#[test]
fn a_nonce_that_was_good_once_may_be_replaced_without_saying_stale() {
    let raise = "423 Interval Too Brief|Min-Expires: 4000";
    let again = MD5.replace("n1", "n2");
    let course = self::course(&[MD5, raise, &again, OK], keyring("x"));
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(answered(&course.sent[3]), "Authorization munich.de n2 MD5 auth 00000001");
    let course = self::course(&[MD5, raise, &again, &again], keyring("x"));
    assert_eq!((course.report.requests, verdict(&course).contains("Rejected")), (4, true));
    // A proxy that let us through may change its nonce, too, while the registrar still asks.
    let proxy =
        |nonce| format!("407 P|Proxy-Authenticate: Digest realm=\"edge\", nonce=\"{nonce}\", qop=\"auth\"");
    let course = self::course(&[&proxy("p"), MD5, &proxy("q"), OK], keyring("x"));
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
}

/// AUT-033 TXN-010
#[test]
fn no_cnonce_and_no_branch_is_used_twice() {
    let stale = |n| format!("{MD5}, stale=true").replace("n1", n);
    let course = self::course(&[MD5, &stale("n2"), &stale("n3"), OK], keyring("x"));
    let part =
        |row: &str, key: &str| row.split_once(key).unwrap().1.split([',', ';']).next().unwrap().to_owned();
    let cnonces: std::collections::BTreeSet<String> =
        course.sent[1..].iter().map(|s| part(&s.header("Authorization").unwrap(), "cnonce=")).collect();
    let branches: std::collections::BTreeSet<String> =
        course.sent.iter().map(|s| part(&s.header("Via").unwrap(), "branch=")).collect();
    assert_eq!((cnonces.len(), branches.len()), (3, 4));
}

/// AUT-001 AUT-016 AUT-031 AUT-042 COD-009
#[test]
fn a_proxy_and_the_registrar_are_both_answered_in_the_last_request() {
    let proxy = "407 Proxy Authentication Required|Proxy-Authenticate: Digest realm=\"edge\", nonce=\"p\", qop=\"auth\"";
    let course = self::course(&[proxy, MD5, OK], keyring("x"));
    assert_eq!(answered(&course.sent[1]), "Proxy-Authorization edge p - auth 00000001");
    assert_eq!(
        answered(&course.sent[2]),
        "Proxy-Authorization edge p - auth 00000002 + Authorization munich.de n1 MD5 auth 00000001"
    );
    let said: Vec<String> = course
        .report
        .auth
        .iter()
        .map(|a| format!("{} {} {:?} {}", a.scheme, a.algorithm, a.qop, a.realm))
        .collect();
    assert_eq!(said, ["Digest MD5 Some(\"auth\") edge", "Digest MD5 Some(\"auth\") munich.de"]);
    // Two that call their realms the same are still two.
    let same = proxy.replace("edge", "munich.de");
    let course = self::course(&[&same, MD5, OK], keyring("x"));
    assert_eq!(
        answered(&course.sent[2]),
        "Proxy-Authorization munich.de p - auth 00000002 + Authorization munich.de n1 MD5 auth 00000001"
    );
    // Both in one response, two realms each.
    let both = format!(
        "407 Both|Proxy-Authenticate: Digest realm=\"e\", nonce=\"1\"|Proxy-Authenticate: Digest realm=\"f\", \
         nonce=\"2\"|{A}"
    );
    let course = self::course(&[&both, OK], keyring("x"));
    assert_eq!(
        answered(&course.sent[1]),
        "Proxy-Authorization e 1 - - - + Proxy-Authorization f 2 - - - + Authorization r n1 - - -"
    );
}

/// AUT-011 AUT-016
#[test]
fn a_new_realm_beside_a_stale_nonce_is_answered_too() {
    let proxy = |realm, nonce| format!("|Proxy-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\"");
    let first = format!("407 P{}", proxy("e", 1));
    let second = format!("407 P{}{}, stale=true", proxy("f", 2), proxy("e", 3));
    let course = self::course(&[&first, &second, OK], keyring("x"));
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    assert_eq!(answered(&course.sent[2]), "Proxy-Authorization f 2 - - - + Proxy-Authorization e 3 - - -");
}

/// AUT-006 HDR-006
#[test]
fn each_realm_gets_its_own_credentials() {
    let mut ring = keyring("fallback");
    ring.credentials.insert(
        0,
        Credential {
            realm: Some("r".to_owned()),
            username: "only-for-r".to_owned(),
            secret: Secret::Password(Hidden::new("secret".to_owned())),
        },
    );
    let two = answers(&[&format!("{A}|WWW-Authenticate: Digest realm=\"s\", nonce=\"n2\"")]);
    let course = self::course(&[&two[0], OK], ring);
    let rows = course.sent[1].headers("Authorization");
    assert!(rows[0].contains("username=\"only-for-r\", realm=\"r\""), "{}", rows[0]);
    assert!(rows[1].contains("username=\"heisenberg\", realm=\"s\""), "{}", rows[1]);
}

/// AUT-021 AUT-024
#[test]
fn without_qop_only_a_session_algorithm_brings_a_cnonce() {
    for (algorithm, cnonce) in [("MD5", false), ("MD5-sess", true)] {
        let course = self::course(&[&format!("401 U|{A}, algorithm={algorithm}"), OK], keyring("x"));
        let row = course.sent[1].header("Authorization").unwrap();
        assert_eq!((row.contains("cnonce="), row.contains("nc=0")), (cnonce, false), "{row}");
        assert_eq!(course.report.auth[0].algorithm, algorithm);
    }
}

/// AUT-034 AUT-035 AUT-045
#[test]
fn opaque_and_quoted_values_go_back_as_they_came() {
    let challenge = r#"401 U|WWW-Authenticate: Digest realm="a \"b\", c", nonce="n\\1", opaque="a\"b, c=d""#;
    let course = self::course(&[challenge, OK], keyring("x"));
    let row = course.sent[1].header("Authorization").unwrap();
    assert!(row.contains(r#"realm="a \"b\", c", nonce="n\\1""#), "{row}");
    assert!(row.contains(r#"opaque="a\"b, c=d""#), "{row}");
    let empty = self::course(&[&format!("401 U|{A}, opaque=\"\""), OK], keyring("x"));
    assert!(empty.sent[1].header("Authorization").unwrap().contains("opaque=\"\""));
    let none = self::course(&[&format!("401 U|{A}"), OK], keyring("x"));
    assert!(!none.sent[1].header("Authorization").unwrap().contains("opaque"));
    let long = format!("401 U|WWW-Authenticate: Digest realm=\"r\", nonce=\"{}\"", "n".repeat(4096));
    let course = self::course(&[&long, OK], keyring("x"));
    assert_eq!(course.opened, ["udp 192.0.2.1:5060", "tcp 192.0.2.1:5060"]);
    assert!(
        course.sent[1].header("Authorization").unwrap().contains(&format!("nonce=\"{}\"", "n".repeat(4096)))
    );
}

/// AUT-036 AUT-037 AUT-038
#[test]
fn user_names_are_hashed_or_written_in_utf_8_as_the_challenge_says() {
    let mut ring = keyring("x");
    ring.credentials[0].username = "Mu\u{308}ller".to_owned();
    ring.credentials[0].secret = Secret::Password(Hidden::new("Mu\u{308}nchen".to_owned()));
    let answered = |ring: &sipreg::proto::digest::Keyring, extra: &str| {
        let course = self::course(&[&format!("401 U|{A}{extra}"), OK], ring.clone());
        course.sent[1].header("Authorization").unwrap()
    };
    let form = |extra: &str| {
        let row = answered(&ring, extra);
        assert_eq!(row.matches("username").count(), 1, "{row}");
        row.split(", realm").next().unwrap().to_owned()
    };
    assert_eq!(form(""), "Digest username=\"Mu\u{308}ller\"");
    assert_eq!(form(", charset=UTF-8"), "Digest username*=UTF-8''M%C3%BCller");
    let hashed = answered(&ring, ", charset=UTF-8, userhash=true");
    let name = sipreg::proto::digest::hash::userhash(Algorithm::Md5, "M\u{fc}ller", "r");
    assert!(hashed.starts_with(&format!("Digest username=\"{name}\",")), "{hashed}");
    assert!(hashed.contains(", userhash=true"), "{hashed}");
    // Name and password are composed before anything is computed over them.
    let mut composed = ring.clone();
    composed.credentials[0].username = "M\u{fc}ller".to_owned();
    composed.credentials[0].secret = Secret::Password(Hidden::new("M\u{fc}nchen".to_owned()));
    assert_eq!(answered(&ring, ", charset=UTF-8"), answered(&composed, ", charset=UTF-8"));
    assert_ne!(answered(&ring, ""), answered(&composed, ""));
}

/// AUT-040
#[test]
fn a_wrong_rspauth_unmasks_the_server() {
    let ok = |info: &str| format!("{OK}|Authentication-Info: {info}");
    let course = self::course(&[MD5, &ok("nextnonce=\"n2\"")], keyring("x"));
    assert!(course.report.result.is_ok());
    assert_eq!(course.report.auth.len(), 1);
    let course =
        self::course(&[MD5, &ok("qop=auth, rspauth=\"00000000000000000000000000000000\"")], keyring("x"));
    assert_eq!(verdict(&course), "Misbehaved(FalseServer)");
    // MD5 over H(heisenberg:munich.de:x), the nonce n1, nc 1, the cnonce of two counted numbers, and ":sip:192.0.2.1".
    let right = "rspauth=\"RIGHT\", cnonce=\"00000000000000050000000000000006\", nc=00000001, qop=auth";
    let right = right.replace("RIGHT", &right_rspauth());
    let course = self::course(&[MD5, &ok(&right)], keyring("x"));
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
}

fn right_rspauth() -> String {
    use sipreg::proto::digest::hash::hex_of;
    let md5 = |text: &str| hex_of(Algorithm::Md5, &[text.as_bytes()]);
    let (a1, a2) = (md5("heisenberg:munich.de:x"), md5(":sip:192.0.2.1"));
    md5(&format!("{a1}:n1:00000001:00000000000000050000000000000006:auth:{a2}"))
}

/// AUT-049 COD-006
#[test]
fn a_password_is_asked_for_after_the_challenge_and_thinking_takes_no_time() {
    let mut plan = plan();
    plan.keyring.credentials.clear();
    plan.keyring.ask = Some("heisenberg".to_owned());
    let mut world = World::answering(&[MD5, OK]);
    world.password = Some("uncertainty");
    let course = world.run(plan.clone());
    assert_eq!(course.prompts, ["heisenberg at munich.de"]);
    assert!(course.report.result.is_ok(), "{}", verdict(&course));
    // Nobody answers the prompt.
    let course = World::answering(&[MD5, OK]).run(plan.clone());
    assert_eq!(verdict(&course), r#"Credentials(Missing { realm: "munich.de", has_others: false })"#);
    // What was left of the destination's time before the prompt is left after it.
    let mut world = World::new(|request, n, _| match n {
        0 => vec![(10, Reaction::Send(answer(request, MD5)))],
        _ => vec![],
    });
    world.password = Some("uncertainty");
    let course = world.run(plan.clone());
    assert_eq!((verdict(&course).as_str(), course.report.elapsed.as_millis()), ("Timeout", 632_000));
    // A wrong password is not asked for again.
    let mut world = World::answering(&[MD5]);
    world.password = Some("wrong");
    let course = world.run(plan);
    assert!(verdict(&course).starts_with("Credentials(Rejected"), "{}", verdict(&course));
    assert_eq!(course.prompts.len(), 1);
}

/// AUT-001
#[test]
fn a_403_after_our_answer_is_about_the_user() {
    let course = self::course(&[MD5, "403 Forbidden"], keyring("x"));
    assert_eq!(verdict(&course), r#"Credentials(Forbidden { username: "heisenberg" })"#);
}

/// AUT-039 AUT-031 AUT-032
#[test]
fn the_next_nonce_of_a_success_serves_the_next_request_with_a_count_of_1() {
    use sipreg::proto::digest::Sessions;
    use sipreg::proto::ids::Counting;
    use sipreg::sip::{Header, HeaderName, Headers};
    let headers = |name: &str, value: &str| {
        let mut headers = Headers::new();
        headers.push(Header::new(HeaderName::parse(name.as_bytes()).unwrap(), value.to_owned()).unwrap());
        headers
    };
    let mut sessions = Sessions::new();
    let challenge = headers("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"");
    sessions.on_challenge(&challenge, &keyring("x"), Trust::Named, &mut Counting::default());
    let mut row = || {
        let rows = sessions.authorize("REGISTER", "sip:munich.de", b"");
        let row = rows[0].text().unwrap().to_owned();
        (row.contains("nonce=\"n1\""), row.split("nc=").nth(1).unwrap()[..8].to_owned())
    };
    assert_eq!([row(), row()], [(true, "00000001".to_owned()), (true, "00000002".to_owned())]);
    let info = headers("Authentication-Info", "nextnonce=\"n2\"");
    sessions.on_success(&info, "sip:munich.de", b"").unwrap();
    let rows = sessions.authorize("REGISTER", "sip:munich.de", b"");
    let row = rows[0].text().unwrap();
    assert!(row.contains("nonce=\"n2\"") && row.contains("nc=00000001"), "{row}");
}
