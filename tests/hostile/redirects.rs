//! 3xx to everywhere: to itself, in circles, without end, to nowhere, to thousands.

use super::{BOUND, Case, OK, Piece, whole};

const LOOP: &str = "Misbehaved(RedirectLoop)";
const TOO_MANY: &str = "Misbehaved(TooManyRedirects)";

pub fn all() -> Vec<Case> {
    let mut all = vec![to_all(301), to_all(399)];
    for status in [300, 301, 302, 305, 380, 399] {
        all.extend([
            Case::answering(&format!("{status} to itself"), (LOOP, &status.to_string(), 1), move |_| {
                format!("{status} Moved|Contact: <sip:x~$0>;expires=9")
            }),
            circle(status),
            chain(status),
        ]);
    }
    all.extend(nowhere());
    all.extend(odd());
    all
}

fn results(status: u16, count: usize) -> String {
    vec![status.to_string(); count].join(" ")
}

/// Two servers that name each other.
///
/// RSP-007
fn circle(status: u16) -> Case {
    let name = format!("{status} to each other");
    Case::new(&name, (LOOP, &results(status, 2), 2), move |asked| {
        vec![whole(asked.answer(&format!("{status} Moved|Contact: <sip:${}>", 1 - asked.at)))]
    })
    .servers(2)
}

/// Each names the next.
///
/// RSP-007 DES-027
fn chain(status: u16) -> Case {
    let name = format!("{status} to ever new targets");
    Case::new(&name, (TOO_MANY, &results(status, 6), 6), move |asked| {
        vec![whole(asked.answer(&format!("{status} Moved|Contact: <sip:${}>", (asked.at + 1) % 7)))]
    })
    .servers(7)
}

/// Each names all the others: what came up once is not followed again.
fn to_all(status: u16) -> Case {
    let name = format!("{status} to everybody");
    Case::new(&name, (LOOP, &results(status, 4), 4), move |asked| {
        vec![whole(asked.answer(&format!("{status} Moved|Contact: <sip:$0>, <sip:$1>, <sip:$2>, <sip:$3>")))]
    })
    .servers(4)
}

/// RSP-006 COD-003
fn nowhere() -> Vec<Case> {
    let mut all = Vec::new();
    for status in [300, 301, 302, 305, 380, 399] {
        let end = match status {
            300 => "Refused(NoTarget(300))",
            301 => "Refused(NoTarget(301))",
            302 => "Refused(NoTarget(302))",
            305 => "Refused(NoTarget(305))",
            399 => "Refused(NoTarget(399))",
            _ => "Refused(NoTarget(380))",
        };
        let text = format!("{status} Moved");
        all.push(Case::saying(&format!("{status} without Contact"), (end, &text[..3], 1), &[&text]));
    }
    for contact in [
        "*",
        "<mailto:a~b>",
        "<tel:+49>",
        "<sips:$0;transport=udp>",
        "<sip:$0;transport=sctp>",
        "<sip:",
        "\"",
        "<>",
        "",
        "<sip:$0",
        "<sip:a b>",
        "<sip:$0:x>",
    ] {
        let text = format!("302 Moved|Contact: {contact}");
        all.push(Case::saying(&format!("302 to {contact}"), ("Refused(NoTarget(302))", "302", 1), &[&text]));
    }
    all
}

/// RSP-006 RSP-008 RSP-013
fn odd() -> Vec<Case> {
    let of_two = |name: &str, contact: &'static str| {
        Case::new(name, (BOUND, "302 200", 2), move |asked| {
            let text = if asked.at == 0 { format!("302 Moved|Contact: {contact}") } else { OK.to_owned() };
            vec![whole(asked.answer(&text))]
        })
        .servers(2)
    };
    let many = |each: fn(usize) -> String| {
        let contacts: Vec<String> = (0..2000).map(each).collect();
        format!("302 Moved|m:{}", contacts.join(","))
    };
    let (same, names) = (many(|_| "<sip:$0>".to_owned()), many(|n| format!("<sip:$0;ttl={n}>")));
    vec![
        of_two("302 to a target among junk", "<mailto:a~b>, <sip:bro ken>, <sip:$1>, \"<sip:"),
        of_two("302 to a target beside a star", "*, <sip:$1>"),
        of_two(
            "302 to a target with everything",
            "\"a, b\" <sip:u:p~$1;method=INVITE?Route=%3Csip:e%3E&From=x>",
        ),
        of_two("302 by q", "<sip:$0;ttl=1>;q=0, <sip:$1>;q=0.001"),
        of_two("302 with a q that is none", "<sip:$1>;q=high;expires=-1"),
        Case::saying(
            "302 to itself under another name",
            (LOOP, "302 302", 2),
            &["302 Moved|Contact: <sip:$0;ttl=1>"],
        ),
        Case::answering("302 to itself under ever new names", (TOO_MANY, &results(302, 6), 6), |n| {
            format!("302 Moved|Contact: <sip:$0;ttl={n}>")
        }),
        Case::new("302 to itself 2000 times", (LOOP, "302", 1), move |asked| {
            vec![whole(asked.answer(&same))]
        }),
        Case::new(
            "302 to 2000 targets that refuse",
            ("Refused(Status(404))", &format!("302 {}", results(404, 15)), 16),
            move |asked| vec![whole(asked.answer(if asked.n == 0 { &names } else { "404 Not Found" }))],
        ),
        Case::saying(
            "302 and then 423 for ever",
            ("Refused(TooBrief { min_expires: Some(900) })", "302 423", 3),
            &["302 Moved|Contact: <sip:$0;ttl=1>", "423 T|Min-Expires: 900"],
        ),
        Case::saying(
            "302 and then 200 without us",
            ("Misbehaved(NotBound)", "302 200", 2),
            &["302 Moved|Contact: <sip:$0;ttl=1>", "200 OK"],
        ),
        Case::new("302 and then closed", ("Unreachable(Closed)", "302 closed", 2), |asked| match asked.n {
            0 => vec![whole(asked.answer("302 Moved|Contact: <sip:$0;ttl=1>"))],
            _ => vec![Piece::Close],
        })
        .streams(),
    ]
}
