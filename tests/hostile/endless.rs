//! Registrars that never come to an end: every kind of answer that asks for another request, for ever.

use super::{Case, REALM, REJECTED};

pub fn all() -> Vec<Case> {
    [challenges(), lifetimes(), extensions(), later()].into_iter().flatten().collect()
}

const ENDLESS: &str = "Credentials(Endless)";
const NONE: &str = "Credentials(NoChallenge)";

fn proxy(n: usize) -> String {
    format!("407 Proxy|Proxy-Authenticate: Digest realm=\"edge\", nonce=\"p{n}\", qop=\"auth\"")
}

fn origin(n: usize) -> String {
    format!("{REALM}, nonce=\"n{n}\", qop=\"auth\"")
}

/// AUT-009..012 AUT-046 DES-027
fn challenges() -> Vec<Case> {
    vec![
        Case::answering("401 with a new nonce each", (REJECTED, "401", 2), origin),
        Case::answering("401 with the same nonce", (REJECTED, "401", 2), |_| origin(0)),
        Case::answering("401 with a new nonce and stale=false", (REJECTED, "401", 2), |n| {
            format!("{}, stale=false", origin(n))
        }),
        Case::answering("stale nonces for ever", (ENDLESS, "401", 4), |n| {
            format!("{}, stale=true", origin(n))
        }),
        Case::answering("the same nonce stale for ever", (ENDLESS, "401", 4), |_| {
            format!("{}, stale=\"TRUE\"", origin(0))
        }),
        Case::answering("401 with a new realm each", (ENDLESS, "401", 4), |n| {
            format!("401 U|WWW-Authenticate: Digest realm=\"{n}\", nonce=\"n\"")
        }),
        Case::answering("401 with a new algorithm each", (REJECTED, "401", 2), |n| {
            format!("{}, algorithm={}", origin(n), ["MD5", "SHA-256", "SHA-512-256", "MD5-sess"][n % 4])
        }),
        Case::answering(
            "407 for ever",
            ("Credentials(Rejected { realm: \"edge\", username: \"heisenberg\" })", "407", 2),
            proxy,
        ),
        Case::answering("401 and 407 in turn", (ENDLESS, "407", 4), |n| {
            if n % 2 == 0 { origin(n) } else { proxy(n) }
        }),
        Case::answering("407 and 401 in turn", (ENDLESS, "401", 4), |n| {
            if n % 2 == 0 { proxy(n) } else { origin(n) }
        }),
        Case::answering(
            "challenge and 423 in turn",
            ("Refused(TooBrief { min_expires: Some(1005) })", "423", 6),
            |n| {
                if n % 2 == 0 { origin(n) } else { format!("423 T|Min-Expires: {}", 1000 + n) }
            },
        ),
        Case::answering(
            "a registrar that wants everything",
            ("Refused(TooBrief { min_expires: Some(1006) })", "423", 7),
            |n| match n {
                0 => proxy(n),
                1 => "420 B|Unsupported: path".to_owned(),
                2 | 4 | 6 => format!("423 T|Min-Expires: {}", 1000 + n),
                _ => origin(n),
            },
        ),
        Case::saying("401 without a challenge", (NONE, "401", 1), &["401 Unauthorized"]),
        Case::saying("407 without a challenge", (NONE, "407", 1), &["407 Proxy"]),
        Case::answering("a challenge and then 401 without one", (NONE, "401", 2), |n| match n {
            0 => origin(n),
            _ => "401 Unauthorized".to_owned(),
        }),
        Case::answering(
            "a challenge and then 403",
            ("Credentials(Forbidden { username: \"heisenberg\" })", "403", 2),
            |n| if n == 0 { origin(n) } else { "403 Forbidden".to_owned() },
        ),
        // A nonce that has served, refused: once it is done without.
        Case::answering(
            "a nonce that served, and then 403 for ever",
            ("Credentials(Forbidden { username: \"heisenberg\" })", "403", 4),
            |n| match n {
                0 => origin(n),
                1 => "423 T|Min-Expires: 1000".to_owned(),
                _ => "403 Forbidden".to_owned(),
            },
        ),
        Case::answering("a nonce that served, and then 401 without one for ever", (NONE, "401", 4), |n| {
            match n {
                0 => origin(n),
                1 => "423 T|Min-Expires: 1000".to_owned(),
                _ => "401 Unauthorized".to_owned(),
            }
        }),
        Case::answering(
            "a nonce that served and is refused again and again",
            ("Credentials(Forbidden { username: \"heisenberg\" })", "403", 7),
            |n| match n {
                0 | 4 => origin(n),
                1 | 5 => format!("423 T|Min-Expires: {}", 1000 + n),
                2 => "420 B|Unsupported: path".to_owned(),
                _ => "403 Forbidden".to_owned(),
            },
        ),
        Case::answering("everything, and nonces that are forgotten", (ENDLESS, "401", 8), |n| match n {
            1 | 6 => format!("423 T|Min-Expires: {}", 1000 + n),
            2 => "420 B|Unsupported: path".to_owned(),
            3 => "403 Forbidden".to_owned(),
            _ => format!("{}, stale=true", origin(n)),
        }),
    ]
}

/// REG-024 REG-025 DES-026
fn lifetimes() -> Vec<Case> {
    let mut all = vec![
        Case::answering(
            "423 with rising Min-Expires",
            ("Refused(TooBrief { min_expires: Some(1002) })", "423", 3),
            |n| format!("423 T|Min-Expires: {}", 1000 + n),
        ),
        Case::answering(
            "423 with falling Min-Expires",
            ("Refused(TooBrief { min_expires: Some(899) })", "423", 2),
            |n| format!("423 T|Min-Expires: {}", 900 - n),
        ),
        Case::saying(
            "423 and then 200",
            ("ok 1800", "200", 2),
            &["423 T|Min-Expires: 1800", "200 OK|Contact: <@>"],
        ),
    ];
    for (row, end, requests) in [
        ("X: 1", "Refused(TooBrief { min_expires: None })", 1),
        ("Min-Expires: soon", "Refused(TooBrief { min_expires: None })", 1),
        ("Min-Expires: -1", "Refused(TooBrief { min_expires: None })", 1),
        ("Min-Expires: \"900\"", "Refused(TooBrief { min_expires: None })", 1),
        ("Min-Expires: 0", "Refused(TooBrief { min_expires: Some(0) })", 1),
        ("Min-Expires: 599", "Refused(TooBrief { min_expires: Some(599) })", 1),
        ("Min-Expires: 600", "Refused(TooBrief { min_expires: Some(600) })", 1),
        ("Min-Expires: 601", "Refused(TooBrief { min_expires: Some(601) })", 2),
        ("Min-Expires: 86400", "Refused(TooBrief { min_expires: Some(86400) })", 2),
        ("Min-Expires: 86401", "Refused(TooBrief { min_expires: Some(86401) })", 1),
        ("Min-Expires: 99999999999999", "Refused(TooBrief { min_expires: Some(4294967295) })", 1),
        ("Min-Expires: 900|Min-Expires: 1", "Refused(TooBrief { min_expires: Some(900) })", 2),
    ] {
        all.push(Case::saying(
            &format!("423 with {row}"),
            (end, "423", requests),
            &[&format!("423 T|{row}")],
        ));
    }
    all
}

/// RSP-021 COD-013 COD-014
fn extensions() -> Vec<Case> {
    const PATH_420: &str = "Refused(Extension { status: 420, tags: [\"path\"] })";
    const PATH_421: &str = "Refused(Extension { status: 421, tags: [\"path\"] })";
    const NEW: &str = "Refused(Extension { status: 420, tags: [\"x1\"] })";
    let (drop, add) = ("420 B|Unsupported: path", "421 E|Require: path");
    vec![
        Case::saying("420 for ever", (PATH_420, "420", 2), &[drop]),
        Case::saying("420 and 421 in turn", (PATH_421, "421", 2), &[drop, add, drop, add]),
        Case::saying("421 for what we offer", (PATH_421, "421", 1), &[add]),
        Case::answering("420 with a new tag each", (NEW, "420", 2), |n| match n {
            0 => "420 B|Unsupported: PATH, x".to_owned(),
            n => format!("420 B|Unsupported: x{n}"),
        }),
        Case::saying(
            "421 for what nobody has",
            ("Refused(Extension { status: 421, tags: [\"path\", \"x\"] })", "421", 1),
            &["421 E|Require: path, x"],
        ),
        Case::saying(
            "420 without a tag",
            ("Refused(Extension { status: 420, tags: [] })", "420", 1),
            &["420 B"],
        ),
        Case::saying(
            "420 with tags that are none",
            ("Refused(Extension { status: 420, tags: [] })", "420", 1),
            &["420 B|Unsupported: ,, \"path\", (path), "],
        ),
    ]
}

/// RSP-023 RSP-025..027 COD-020
fn later() -> Vec<Case> {
    [
        ("503 Busy", "Refused(Status(503))"),
        ("503 Busy|Retry-After: 0", "Refused(RetryAfter { status: 503, seconds: 0 })"),
        ("503 Busy|Retry-After: 99999999999", "Refused(RetryAfter { status: 503, seconds: 4294967295 })"),
        ("503 Busy|Retry-After: -5", "Refused(Status(503))"),
        ("503 Busy|Retry-After: soon", "Refused(Status(503))"),
        ("503 Busy|Retry-After: Sat, 13 Nov 2010 23:29:00 GMT", "Refused(Status(503))"),
        ("503 Busy|Retry-After: 9 (a (b) c);duration=1;x", "Refused(RetryAfter { status: 503, seconds: 9 })"),
        ("500 No|Retry-After: 1", "Refused(RetryAfter { status: 500, seconds: 1 })"),
        ("404 Not Found|Retry-After: 1", "Refused(RetryAfter { status: 404, seconds: 1 })"),
        ("491 Request Pending", "Refused(Status(491))"),
        ("600 Busy|Retry-After: 1", "Refused(RetryAfter { status: 600, seconds: 1 })"),
    ]
    .into_iter()
    .map(|(text, end)| Case::saying(text, (end, &text[..3], 1), &[text]))
    .collect()
}
