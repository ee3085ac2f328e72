//! Answers that are provisional, repeated, contradictory, late, or not for us; and none at all.

use super::{Asked, BOUND, Case, OK, Piece, REALM, whole};

pub fn all() -> Vec<Case> {
    [provisional(), repeated(), foreign(), none(), wordy()].into_iter().flatten().collect()
}

fn pieces(name: &str, end: (&'static str, &str, u32), texts: &'static [&'static str]) -> Case {
    Case::new(name, end, |asked| texts.iter().map(|text| whole(asked.answer(text))).collect())
}

/// TXN-004 TXN-006 TXN-016 RSP-004
fn provisional() -> Vec<Case> {
    let once = (BOUND, "200", 1);
    vec![
        pieces("100 first", once, &["100 Trying", OK]),
        pieces("180 first", once, &["180 Ringing", OK]),
        pieces("101, 183 and 199 first", once, &["101 x", "183 y|Contact: <@>;expires=5", "199 ", OK]),
        pieces("a challenge in a 1xx", once, &["100 |WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", OK]),
        pieces("a redirect in a 1xx", once, &["181 Forwarded|Contact: <sip:192.0.2.66>", OK]),
        pieces("a 1xx behind the final answer", once, &[OK, "100 Trying", "180 Ringing"]),
        Case::new("100 of 100 and then the answer", once, |asked| {
            let mut all = vec![whole(asked.answer("100 Trying")); 100];
            all.push(whole(asked.answer(OK)));
            all
        }),
        Case::new("100 for ever", ("Timeout", "timeout", 1), |asked| {
            vec![whole(asked.answer("100 Trying")); 200]
        })
        .silent(),
        Case::new("180 for ever behind a challenge", ("Timeout", "timeout", 2), |asked| match asked.n {
            0 => vec![whole(asked.answer(&format!("{REALM}, nonce=\"n\"")))],
            _ => vec![whole(asked.answer("180 Ringing")); 200],
        })
        .silent(),
    ]
}

/// TXN-007 TXN-009 TXN-011 RSP-028
fn repeated() -> Vec<Case> {
    const MD5: &str = "401 U|WWW-Authenticate: Digest realm=\"munich.de\", nonce=\"n\", qop=\"auth\"";
    let once = (BOUND, "200", 1);
    vec![
        Case::new("the answer fifty times", once, |asked| vec![whole(asked.answer(OK)); 50]),
        pieces("200 and then 500", once, &[OK, "500 No"]),
        pieces("200 and then 401", once, &[OK, MD5]),
        pieces("200 and then 302", once, &[OK, "302 Moved|Contact: <sip:192.0.2.66>"]),
        pieces("200 for 60 s and then 200 for none", once, &[OK, "200 OK"]),
        pieces("500 and then 200", ("Refused(Status(500))", "500", 1), &["500 No", OK]),
        Case::new("each challenge three times", (BOUND, "200", 2), |asked| {
            vec![whole(asked.answer(if asked.n == 0 { MD5 } else { OK })); 3]
        }),
        Case::new("a challenge and a 200 to one request", (BOUND, "200", 2), |asked| match asked.n {
            0 => vec![whole(asked.answer(MD5)), whole(asked.answer("200 OK|Contact: <@>;expires=7"))],
            _ => vec![whole(asked.answer(OK))],
        }),
        Case::new("an answer to the request before", (BOUND, "200", 2), |asked| {
            let before = asked.text.replace("CSeq: 2", "CSeq: 1");
            let late = Asked { text: &before, ..*asked };
            match asked.n {
                0 => vec![whole(asked.answer(MD5))],
                _ => vec![whole(late.answer("403 Forbidden")), whole(asked.answer(OK))],
            }
        }),
    ]
}

/// Answers that say more than anybody wants to read, or not in the way that RFC 3261 §20.43 and RFC 3326 have it.
fn wordy() -> Vec<Case> {
    let refused = |name: &str, rows: String| {
        Case::saying(name, ("Refused(Status(480))", "480", 1), &[&format!("480 No{rows}")])
    };
    vec![
        refused("a Warning that is never closed", "|Warning: 399 a \"b, 399 c \\".into()),
        refused("a Warning without code and agent", "|Warning: \"|Warning: ,,,|Warning: 399|Warning:".into()),
        refused("a Warning of 60 KB", format!("|Warning: 399 a \"{}\"", "x".repeat(60_000))),
        refused("9000 warnings", format!("|Warning: {}", "3 a b,".repeat(9000))),
        refused("a Reason without end", format!("|Reason: SIP{}", ";text=\";".repeat(6000))),
        refused("colours in a Warning", "|Warning: 399 a \"\u{1b}[2J\u{202e}\"".into()),
    ]
}

/// A 603 that has one thing wrong; then the right 200.
fn stranger(name: &str, spoil: fn(String) -> String) -> Case {
    Case::new(name, (BOUND, "200", 1), move |asked| {
        let (right, wrong) = (asked.answer("603 Decline"), spoil(asked.answer("603 Decline")));
        assert_ne!(right, wrong);
        vec![whole(wrong), whole(asked.answer(OK))]
    })
}

/// TXN-011 TXN-012 TXN-013 TRN-011 TRN-016 RSP-005 NAT-003
fn foreign() -> Vec<Case> {
    let mut all = vec![
        stranger("another branch", |text| text.replacen("branch=z9hG4bK", "branch=z9hG4bKx", 1)),
        stranger("the branch in capitals", |text| text.replacen("branch=z9hG4bK", "branch=Z9HG4BK", 1)),
        stranger("no branch", |text| text.replacen(";branch=", ";x=", 1)),
        stranger("another sent-by host", |text| {
            text.replacen("/UDP ", "/UDP x.", 1).replacen("/TCP ", "/TCP x.", 1)
        }),
        stranger("another sent-by port", |text| {
            let (before, behind) = text.split_once(";branch").unwrap();
            format!("{};branch{behind}", &before[..before.len() - 1])
        }),
        stranger("another Call-ID", |text| text.replacen("Call-ID: ", "Call-ID: x", 1)),
        stranger("another CSeq number", |text| text.replacen("CSeq: 1 ", "CSeq: 2 ", 1)),
        stranger("another CSeq method", |text| text.replacen(" REGISTER", " OPTIONS", 1)),
        stranger("another From tag", |text| text.replacen(";tag=", ";tag=x", 1)),
        stranger("no From tag", |text| text.replacen(";tag=", ";x=", 1)),
        stranger("a second Via row", |text| {
            text.replacen("From:", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom:", 1)
        }),
        stranger("a second Via in the row", |text| text.replacen("\r\nFrom:", ", SIP/2.0/UDP a\r\nFrom:", 1)),
        stranger("a foreign Via on top", |text| {
            text.replacen("Via:", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nVia:", 1)
        }),
    ];
    for start in
        ["OPTIONS sip:a SIP/2.0", "NOTIFY sip:a SIP/2.0", "CANCEL sip:a SIP/2.0", "BYE sip:a SIP/7.0"]
    {
        let name = format!("{start} before the answer");
        all.push(Case::new(&name, (BOUND, "200", 1), move |asked| {
            let request = asked.answer("603 Decline").replacen("SIP/2.0 603 Decline", start, 1);
            vec![whole(request), whole(asked.answer(OK))]
        }));
    }
    all.push(Case::new("our own request back", (BOUND, "200", 1), |asked| {
        vec![whole(asked.text), whole(asked.answer(OK))]
    }));
    all.push(
        Case::new("junk, STUN and keepalives before the answer", (BOUND, "200", 1), |asked| {
            let junk: [&[u8]; 5] = [b"\0\x01\0\0\x21\x12\xa4\x42", b"\r\n\r\n", b"\xff\xfe", b"jaK", b"\r\n"];
            junk.into_iter().map(whole).chain([whole(asked.answer(OK))]).collect()
        })
        .datagrams(),
    );
    all.push(Case::new("the answer from another port", (BOUND, "200", 1), |asked| {
        vec![Piece::Elsewhere(asked.answer(OK).into_bytes())]
    }));
    all
}

/// TXN-006 TXN-017 REG-023
fn none() -> Vec<Case> {
    let silence = ("Timeout", "timeout", 1);
    vec![
        Case::new("nothing", silence, |_| vec![]).silent(),
        Case::new("nothing but keepalives", silence, |_| vec![whole("\r\n\r\n"); 100]).silent(),
        Case::new("nothing but junk", silence, |_| vec![whole("junk\r\n\r\n")]).silent().datagrams(),
        Case::new("an empty datagram", silence, |_| vec![whole("")]).silent().datagrams(),
        Case::new("nothing behind a challenge", ("Timeout", "timeout", 2), |asked| match asked.n {
            0 => vec![whole(asked.answer(&format!("{REALM}, nonce=\"n\"")))],
            _ => vec![],
        })
        .silent(),
        Case::saying("408", ("Timeout", "408", 1), &["408 Request Timeout"]),
        Case::new("nothing but answers to somebody else", silence, |asked| {
            vec![whole(asked.answer(OK).replacen("Call-ID: ", "Call-ID: x", 1))]
        })
        .silent(),
    ]
}
