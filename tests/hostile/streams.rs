//! Streams that are dribbled, glued, cut, out of step, or full of keepalives.

use super::{Asked, BOUND, Case, OK, Piece, REALM, REJECTED, whole};

pub fn all() -> Vec<Case> {
    let all = [sound(), cut(), lengths()].into_iter().flatten();
    all.map(Case::streams).collect()
}

/// Every octet by itself.
fn dribbled(text: &str) -> Vec<Piece> {
    text.bytes().map(|octet| whole([octet])).collect()
}

fn challenge(asked: &Asked<'_>) -> String {
    asked.answer(&format!("{REALM}, nonce=\"n\""))
}

/// TRN-012 TRN-023 TRN-024 HDR-018
fn sound() -> Vec<Case> {
    let once = (BOUND, "200", 1);
    vec![
        Case::new("an octet at a time", once, |asked| dribbled(&asked.answer(OK))),
        Case::new("an octet at a time, each answer", (BOUND, "200", 2), |asked| {
            dribbled(&if asked.n == 0 { challenge(asked) } else { asked.answer(OK) })
        }),
        Case::new("cut inside the empty line", once, |asked| {
            let text = asked.answer(OK);
            let (before, end) = text.split_at(text.len() - 1);
            vec![whole(before), whole(end)]
        }),
        Case::new("everything at once", once, |asked| {
            let early = asked.answer("100 Trying");
            vec![whole(format!("\r\n\r\n{early}\r\n{early}\r\n\r\n{}\r\n{early}", asked.answer(OK)))]
        }),
        Case::new("a challenge glued to its repetition", (BOUND, "200", 2), |asked| match asked.n {
            0 => vec![whole(challenge(asked).repeat(3))],
            _ => vec![whole(asked.answer(OK))],
        }),
        Case::new("a message and a half, then the rest", once, |asked| {
            let text = asked.answer("100 Trying") + &asked.answer(OK);
            let (before, behind) = text.split_at(text.len() - 40);
            vec![whole(before), whole(behind)]
        }),
        Case::new("keepalives between, before and behind", once, |asked| {
            let ping = || whole("\r\n\r\n");
            let pong = || whole("\r\n");
            let (early, late) = (whole(asked.answer("100 Trying")), whole(asked.answer(OK)));
            vec![ping(), pong(), whole("\r"), whole("\n"), early, pong(), ping(), late, ping(), pong()]
        }),
        Case::new("20000 keepalives before the answer", once, |asked| {
            vec![whole("\r\n\r\n".repeat(20_000)), whole(asked.answer(OK))]
        }),
        Case::new("a body with a message in it", once, |asked| {
            let body = asked.answer("603 Decline");
            let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
            let early = asked.answer("100 Trying").replace("Content-Length: 0\r\n\r\n", &length);
            vec![whole(early), whole(asked.answer(OK))]
        }),
        Case::new("a request in front of the answer", once, |asked| {
            let request = "OPTIONS sip:x SIP/2.0\r\nContent-Length: 4\r\n\r\n\r\n\r\n";
            vec![whole(request.to_owned() + &asked.answer(OK))]
        }),
        Case::new("the connection closed behind the answer", once, |asked| {
            vec![whole(asked.answer(OK)), Piece::Close]
        }),
        Case::new("the connection closed behind half of a repetition", once, |asked| {
            vec![whole(asked.answer(OK) + "SIP/2.0 200 OK\r\nVia"), Piece::Close]
        }),
    ]
}

/// TRN-026 TRN-028 TRN-030 TRN-031
fn cut() -> Vec<Case> {
    let closed = ("Unreachable(Closed)", "closed", 1);
    vec![
        Case::new("closed without a word", closed, |_| vec![Piece::Close]),
        Case::new("closed behind a keepalive", closed, |_| vec![whole("\r\n"), Piece::Close]),
        Case::new("closed behind a 100", closed, |asked| vec![whole(asked.answer("100 x")), Piece::Close]),
        Case::new("closed in the start line", closed, |_| vec![whole("SIP/2.0 2"), Piece::Close]),
        Case::new("closed before the empty line", closed, |asked| {
            let text = asked.answer(OK);
            vec![whole(&text[..text.len() - 2]), Piece::Close]
        }),
        Case::new("closed in the body", closed, |asked| {
            let text = asked.answer(OK).replace("Content-Length: 0", "Content-Length: 9");
            vec![whole(text + "half"), Piece::Close]
        }),
        // The next request is on its way when that is heard of; once more it is sent over another connection.
        Case::new("closed behind a challenge", (REJECTED, "401", 3), |asked| {
            vec![whole(challenge(asked)), Piece::Close]
        }),
        Case::new("closed behind the second request", ("Unreachable(Closed)", "closed", 3), |asked| {
            match asked.n {
                0 => vec![whole(challenge(asked))],
                _ => vec![Piece::Close],
            }
        }),
        Case::new("never completed", ("Timeout", "timeout", 1), |asked| {
            let text = asked.answer(OK);
            vec![whole(&text[..text.len() - 1])]
        })
        .silent(),
        Case::new("a start line without end", ("Timeout", "timeout", 1), |_| {
            vec![whole("SIP/2.0 200 "), whole("x".repeat(60_000))]
        })
        .silent(),
        Case::new("more than any message", ("Misbehaved(Framing)", "closed", 1), |_| {
            vec![whole(vec![b'x'; 70_000])]
        }),
        Case::new("an answer of 70000 octets", ("Misbehaved(Framing)", "closed", 1), |asked| {
            vec![whole(asked.answer(&format!("{OK}|X: {}", "x".repeat(70_000))))]
        }),
    ]
}

/// TRN-025 TRN-031
fn lengths() -> Vec<Case> {
    let with = |name: &str, end: (&'static str, &str, u32), length: &'static str| {
        Case::new(name, end, move |asked| {
            let early = asked.answer("100 Trying").replace("Content-Length: 0\r\n", length);
            vec![whole(early), whole(asked.answer(OK))]
        })
    };
    let lost = ("Misbehaved(Framing)", "closed", 1);
    let silence = ("Timeout", "timeout", 1);
    let mut all: Vec<Case> = [
        "",
        "Content-Length:\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 0.0\r\n",
        "Content-Length: \"0\"\r\n",
        "Content-Length: 0, 0\r\n",
        "Content-Length: 0;x\r\n",
        "Content-Length: 0 0\r\n",
        "Content-Length: none\r\n",
        "Content-Length: 0\r\nl: 1\r\n",
        "Content-Length: 65536\r\n",
        "Content-Length: 4294967296\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "X-Content-Length: 0\r\n",
        "Content-Length\u{a0}: 0\r\n",
    ]
    .into_iter()
    .map(|length| with(&format!("length {length:?}"), lost, length))
    .collect();
    all.extend([
        with("a length that takes in the next answer", silence, "Content-Length: 9999\r\n").silent(),
        with("a length that takes in half of the next answer", silence, "Content-Length: 40\r\n").silent(),
        Case::new("a body behind a length of 0", silence, |asked| {
            vec![whole(asked.answer("100 Trying") + "body"), whole(asked.answer(OK))]
        })
        .silent(),
        Case::new("line ends of LF alone", lost, |asked| {
            vec![whole(asked.answer(OK).replace("\r\n", "\n")), whole("\r\n\r\n")]
        }),
        Case::new("junk instead of an answer", lost, |_| vec![whole("220 mail ready\r\n\r\n")]),
        Case::new("a 401 without length", lost, |asked| {
            vec![whole(challenge(asked).replace("Content-Length: 0\r\n", ""))]
        }),
        Case::new(
            "no length behind a challenge",
            ("Misbehaved(Framing)", "closed", 2),
            |asked| match asked.n {
                0 => vec![whole(challenge(asked))],
                _ => vec![whole(asked.answer(OK).replace("Content-Length: 0\r\n", ""))],
            },
        ),
    ]);
    all
}
