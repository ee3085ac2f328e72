//! Challenges that are broken in each of their parts, and successes that give themselves away.

use super::{BOUND, Case, OK, REALM, whole};

pub fn all() -> Vec<Case> {
    [served(), unserved(), beyond(), proofs()].into_iter().flatten().collect()
}

const NONE: &str = "Credentials(NoChallenge)";

/// Odd, but there is a challenge in it that can be answered.
///
/// AUT-014 AUT-025 AUT-043..045 HDR-002 HDR-004 HDR-007
fn served() -> Vec<Case> {
    [
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        "www-authenticate\t:dIGEST   REALM = \"r\" ,NONCE=\"n\" , QOP = \"AUTH\",ALGORITHM=mD5",
        "WWW-Authenticate: Digest\r\n realm=\"r\",\r\n\tnonce=\"n\"\r\n ,qop=auth",
        "WWW-Authenticate: Digest realm=\"\", nonce=\"\"",
        "WWW-Authenticate: Digest realm=r, nonce=n, qop=auth,auth-int, stale=FALSE",
        "WWW-Authenticate: Digest ,, realm=\"r\",,nonce=\"n\" ,",
        "WWW-Authenticate: Digest realm=\"r\" nonce=\"n\" qop=\"auth\"",
        "WWW-Authenticate: Digest nonce=\"n\", x=y, z=\"a, b=\\\"c\\\"\", domain=\"\", realm=\"r\", lone",
        "WWW-Authenticate: Digest realm=\"r\", realm=\"s\", nonce=\"n\", nonce=\"m\", qop=\"auth\", qop=\"x\"",
        "WWW-Authenticate: Digest realm=\"a\\\"b\\\\, c\", nonce=\"\\n\\\"\", opaque=\"\"",
        "WWW-Authenticate: Digest realm=\"山田 ☎ \u{202e}\", nonce=\"ñ\", opaque=\"é\"",
        "WWW-Authenticate: Digest realm=\"a\u{7}\tb\u{1b}[1m\u{7f}\", nonce=\"n\u{1}\", qop=\"auth\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"x,,auth-conf auth\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=\"SHA-256-sess\", userhash=TRUE, charset=utf-8",
        // What is empty says as much as what is absent.
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=, algorithm=",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\" , \", algorithm=\" \"",
        "WWW-Authenticate: Digest algorithm=\"\", qop=\"\", opaque=\"\", realm=\"r\", nonce=\"n\"",
        "WWW-Authenticate: ,Digest realm=\"r\",, nonce=\"n\",",
        // The one that serves comes last.
        "WWW-Authenticate: Basic realm=\"r\"|WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        "WWW-Authenticate: Basic realm=\"r\", Bearer x, Digest realm=\"r\", nonce=\"n\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"|WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=X|WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        "WWW-Authenticate:|WWW-Authenticate: ,|WWW-Authenticate: =|WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        // In the other header: it is answered where it asks.
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"",
        "Proxy-Authenticate: Basic realm=\"r\"|WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"",
    ]
    .into_iter()
    .flat_map(|rows| {
        ["401 U", "407 P"].map(|status| {
            let first = format!("{status}|{rows}");
            Case::saying(&format!("served: {first}"), (BOUND, "200", 2), &[&first, OK])
        })
    })
    .collect()
}

macro_rules! skipped {
    ($offer:literal, $realm:literal, $why:literal) => {
        concat!(
            "Credentials(Unservable { offered: [Skipped { offer: \"",
            $offer,
            "\", realm: ",
            $realm,
            ", why: ",
            $why,
            " }] })"
        )
    };
}

/// AUT-005 AUT-014 AUT-017 AUT-046
fn unserved() -> Vec<Case> {
    [
        (NONE, "X: 1"),
        (NONE, "WWW-Authenticate:"),
        (NONE, "WWW-Authenticate: ,,,"),
        (NONE, "WWW-Authenticate: realm=\"r\", nonce=\"n\""),
        (NONE, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n"),
        (NONE, "WWW-Authenticate: Digest realm=\"r, nonce=n"),
        (
            skipped!("MD5", "Some(\"r\\\", nonce=\")", "Incomplete"),
            "WWW-Authenticate: Digest realm=\"r\\\", nonce=\"n",
        ),
        (NONE, "WWW-Authenticate: Digest realm=\"r\"x, nonce=(n)\""),
        (NONE, "Authorization: Digest realm=\"r\", nonce=\"n\""),
        (NONE, "Authentication-Info: nextnonce=\"n\""),
        (skipped!("Basic", "Some(\"r\")", "Scheme"), "WWW-Authenticate: Basic realm=\"r\""),
        (skipped!("Bearer", "None", "Scheme"), "WWW-Authenticate: Bearer abc=="),
        (
            skipped!("Bearer", "Some(\"r\")", "Scheme"),
            "WWW-Authenticate: Bearer realm=\"r\", error=\"invalid_token\"",
        ),
        (skipped!("NTLM", "None", "Scheme"), "WWW-Authenticate: NTLM"),
        (skipped!("MD5", "None", "Incomplete"), "WWW-Authenticate: Digest nonce=\"n\""),
        (skipped!("MD5", "Some(\"r\")", "Incomplete"), "WWW-Authenticate: Digest realm=\"r\""),
        (skipped!("MD5", "None", "Incomplete"), "WWW-Authenticate: Digest"),
        (
            skipped!("MD5", "Some(\"r\")", "Qop"),
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-conf\"",
        ),
        (
            skipped!("MD6", "Some(\"r\")", "Algorithm"),
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD6",
        ),
    ]
    .into_iter()
    .map(|(end, rows)| {
        let text = format!("401 U|{rows}");
        Case::saying(&format!("unserved: {rows}"), (end, "401", 1), &[&text])
    })
    .collect()
}

/// Octets that are no text, and sizes that nobody needs.
///
/// AUT-045 TRN-003 TRN-005 TRN-006
fn beyond() -> Vec<Case> {
    let raw = |name: &str, octet: u8| {
        Case::new(name, (NONE, "401", 1), move |asked| {
            let text = asked.answer(&format!("{REALM}, nonce=\"n\"")).replacen("\"munich", "\"m?nich", 1);
            let mut octets = text.into_bytes();
            let at = octets.iter().position(|octet| *octet == b'?').unwrap();
            octets[at] = octet;
            vec![whole(octets)]
        })
    };
    let nonce = |octets: usize| format!("{REALM}, nonce=\"{}\", qop=\"auth\"", "n".repeat(octets));
    let realms: String =
        (0..200).map(|n| format!("|WWW-Authenticate: Digest realm=\"{n}\", nonce=\"n\"")).collect();
    vec![
        raw("a realm that is not UTF-8", 0xe9),
        // Nobody computes over it.
        Case::new("a remark that is not UTF-8", (BOUND, "200", 2), |asked| {
            let text = asked.answer(&format!("{REALM}, nonce=\"n\", x=\"M?nchen\""));
            let octets = text.bytes().map(|octet| if octet == b'?' { 0xfc } else { octet });
            vec![whole(if asked.n == 0 { octets.collect() } else { asked.answer(OK).into_bytes() })]
        }),
        Case::saying("a nonce of 16 KB", (BOUND, "200", 2), &[&nonce(16_384), OK]),
        Case::saying("a nonce of 64000 octets", (BOUND, "200", 2), &[&nonce(64_000), OK]),
        Case::saying("200 realms", (BOUND, "200", 2), &[&format!("401 U{realms}"), OK]),
    ]
}

/// AUT-040
fn proofs() -> Vec<Case> {
    const FALSE: &str = "Misbehaved(FalseServer)";
    [
        (BOUND, "Authentication-Info: nextnonce=\"m\""),
        (BOUND, "Authentication-Info: nextnonce=\"\", qop=auth"),
        (BOUND, "Authentication-Info: \"|Authentication-Info:"),
        (BOUND, "Proxy-Authentication-Info: rspauth=\"00000000000000000000000000000000\""),
        (BOUND, "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\""),
        (FALSE, "Authentication-Info: qop=auth, rspauth=\"00000000000000000000000000000000\""),
        (FALSE, "Authentication-Info: rspauth=\"\""),
        (FALSE, "Authentication-Info: rspauth=é, nextnonce=\"m\""),
    ]
    .into_iter()
    .map(|(end, row)| {
        let challenge = format!("{REALM}, nonce=\"n\", qop=\"auth\"");
        Case::saying(&format!("200 with {row}"), (end, "200", 2), &[&challenge, &format!("{OK}|{row}")])
    })
    .collect()
}
