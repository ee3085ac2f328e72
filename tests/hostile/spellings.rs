//! The same 200 in every spelling.

use super::{BOUND, Case, OK, whole};

pub fn all() -> Vec<Case> {
    [legal(), blemished(), not_utf_8(), broken(), large()].into_iter().flatten().collect()
}

/// A right 200 in which the first `part` is replaced.
fn spelled(part: &'static str, by: String) -> Case {
    Case::new(&format!("{part:?} as {by:?}"), (BOUND, "200", 1), move |asked| {
        let right = asked.answer(OK);
        assert!(right.contains(part), "{part} is not in {right}");
        vec![whole(right.replacen(part, &by, 1))]
    })
}

/// HDR-001..005 HDR-011 HDR-015 HDR-016 HDR-019 HDR-020 RSP-029 RSP-030 REG-035
fn legal() -> Vec<Case> {
    [
        ("SIP/2.0 200 OK", "sip/2.0 200 OK"),
        ("SIP/2.0 200 OK", "SIP/2.0 200 "),
        ("SIP/2.0 200 OK", "SIP/2.0 200"),
        ("SIP/2.0 200 OK", "SIP/2.0 200 Ça va: ☎, \"so\"; 401"),
        ("SIP/2.0 200 OK", "SIP/2.0 200 \tOK\t "),
        ("Via:", "v:"),
        ("Via: ", "vIA\t :"),
        ("Via: ", "Via:\r\n \r\n\t"),
        ("Via: SIP/2.0/", "Via: sip / 2.0 / "),
        (";branch=", " ; BRANCH = "),
        (";branch=", ";ttl=1;x=\"a,b;branch=c\";branch="),
        (";rport", ";rport=5071;received=203.0.113.5"),
        (";rport", ";rport=x;received=nowhere"),
        (";rport", ""),
        ("From:", "f:"),
        ("From: ", "FROM:"),
        ("From: <", "From: \"Heisenberg, W. <x>; \\\"\\\\\" <"),
        ("To:", "t:"),
        (";tag=t", ""),
        (";tag=t", " ; x ; TAG = t"),
        ("Call-ID:", "i:"),
        ("Call-ID: ", "CALL-ID :\t"),
        ("CSeq: 1", "cseq:0001"),
        ("CSeq: 1 ", "CSeq: \t1\t "),
        ("Contact:", "m:"),
        ("Contact: ", "cOnTaCt \t :"),
        ("Contact: <", "Contact: \"a <b>, \\\" ;\" <"),
        ("Contact: <", "Contact: Werner H <"),
        ("Contact: ", "Contact: , ,"),
        ("Contact: <sip:", "Contact: <SIP:"),
        ("Contact: <sip:werner", "Contact: <sip:%77ern%65r"),
        ("Contact: <", "Contact: <mailto:a@b>, <sip:bro ken>, *, ;;, <"),
        (";expires=60", "\r\n\t; \r\n expires\r\n =60"),
        (";expires=60", ";q=0.5;+x=\"a, b;c\";y;expires=60,"),
        ("Content-Length: 0", "l: 0"),
        ("Content-Length: 0", "CONTENT-LENGTH\t:\r\n 000"),
        ("Content-Length: 0", "Content-Length: 0\r\nl:0"),
        ("Content-Length: 0\r\n\r\n", "Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nSIP/2.0 4"),
        ("SIP/2.0", "\r\n\r\n\r\nSIP/2.0"),
        ("Content-", "X:\r\n!%*_+`'~: \r\nSubject: \r\nRoute: <sip:x>\r\nMax-Forwards: -1\r\nContent-"),
        ("Content-", "Date: never\r\nServer: (((\r\nWarning: \"\r\nAllow: ,,\r\nPath: \"\r\nContent-"),
        ("Content-", "Require: x, y\r\nUnsupported: path\r\nP-Associated-URI: <\r\nContent-"),
    ]
    .into_iter()
    .map(|(part, by)| spelled(part, by.to_owned()))
    .chain([
        // The addr-spec form: what follows belongs to the header (RFC 8217 §3).
        Case::saying("Contact without brackets", (BOUND, "200", 1), &["200 OK|Contact: @;expires=60"]),
        spelled("Content-Length: 0\r\n", String::new()).datagrams(),
        spelled("Content-Length: 0\r\n\r\n", "\r\nSIP/2.0 603 Decline\r\n\r\n".to_owned()).datagrams(),
        spelled("\r\n\r\n", "\r\n\r\nSIP/2.0 603 Decline\r\n\r\n\0".to_owned()).datagrams(),
    ])
    .collect()
}

/// One blemish doesn't spoil the whole: what is looked for is found all the same.
///
/// HDR-009 HDR-011 REG-010 REG-030 TXN-012 RSP-029 TRN-016 TRN-021
fn blemished() -> Vec<Case> {
    let anywhere = [
        (">;expires=60", ";thinfo=\"VG8+==\">;expires=60"),
        (">;expires=60", ";a=\"b;c\";d=e f>;expires=60"),
        (">;expires=60", ";;x;>;expires=60"),
        (">;expires=60", "?>;expires=60"),
        (">;expires=60", " > ; expires = 60"),
        (">;expires=60", ";expires=60"),
        (">;expires=60", ">expires=60"),
        (";expires=60", ";expires=60;"),
        (";expires=60", ";;expires=60; ;"),
        (";expires=60", ";x=VG8+==;expires=60"),
        (";expires=60", ";x=\"y;expires=60"),
        (";expires=60", ";<x>=1;=2;expires=60"),
        (";expires=60", ";+sip.instance=<urn:uuid:1>;expires=60"),
        ("Contact: <", "Contact: < "),
        ("Contact: <", "Contact: <<"),
        ("Contact: <", "Contact: a@b.c <"),
        ("Contact: <", "Contact: Bell, A. <"),
        ("Contact: <", "Contact: \"a <"),
        ("Contact: <", "Contact: \"a\" b <"),
        ("Contact: <sip:", "Contact: <sip: "),
        ("Contact: <sip:", "Contact: <sip :"),
        ("Contact: ", "Contact: ,"),
        (";expires=60", ";expires=60,,"),
        ("\r\nFrom:", ";\r\nFrom:"),
        ("\r\nFrom:", ",\r\nFrom:"),
        (";branch=", ";;branch="),
        (";branch=", ";x==;branch="),
        ("Via: ", "Via: ,"),
        ("From: <", "From: a@b, c <"),
        ("Content-", "Service-Route: <sip:a;lr>,\r\nPath: ,<sip:b>,,<\r\nSupported: ,path,\r\nContent-"),
    ];
    let in_datagrams = [
        ("\r\n\r\n", "\r\n"),
        ("\r\n\r\n", ""),
        ("\r\n\r\n", "\r\n\r"),
        ("Content-Length: 0", "Content-Length:"),
        ("Content-Length: 0\r\n\r\n", "l: \r\n"),
    ];
    let without_port = Case::new("a sent-by without our port", (BOUND, "200", 1), |asked| {
        let right = asked.answer(OK);
        let (before, behind) = right.split_once(";branch").unwrap();
        vec![whole(format!("{};branch{behind}", before.rsplit_once(':').unwrap().0))]
    });
    anywhere
        .into_iter()
        .map(|(part, by)| spelled(part, by.to_owned()))
        .chain(in_datagrams.into_iter().map(|(part, by)| spelled(part, by.to_owned()).datagrams()))
        .chain([without_port])
        .collect()
}

/// A right 200 in which the first `part` is replaced, in ISO 8859-1.
fn latin_1(part: &'static str, by: &'static str) -> Case {
    Case::new(&format!("{part:?} as {by:?} in Latin-1"), (BOUND, "200", 1), move |asked| {
        let right = asked.answer(OK);
        assert!(right.contains(part), "{part} is not in {right}");
        let text = right.replacen(part, by, 1);
        vec![whole(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>())]
    })
}

/// HDR-001 RSP-029
fn not_utf_8() -> Vec<Case> {
    [
        ("200 OK", "200 Gesch\u{fc}tzt"),
        ("Contact: <", "Contact: B\u{fc}ro <"),
        ("Contact: <", "Contact: \"B\u{fc}ro\" <"),
        (";expires=60", ";x=\"\u{fc}\";expires=60"),
        (">;expires=60", ";x=\u{fc}>;expires=60"),
        (";branch=", ";x=\"\u{fc}\";branch="),
        ("From: <", "From: \"B\u{fc}ro\" <"),
        ("To: <", "To: B\u{fc}ro <"),
        (
            "Content-",
            "Server: \u{fc}\r\nWarning: 399 a \"\u{fc}\"\r\nReason: SIP;text=\"\u{fc}\"\r\nContent-",
        ),
        ("Content-", "Subject: \u{fc}\r\nOrganization: \u{fc}\r\nDate: M\u{e4}rz\r\nContent-"),
        ("Content-", "Service-Route: \"\u{fc}\" <sip:a;lr>\r\nSupported: \u{fc}, path\r\nContent-"),
    ]
    .into_iter()
    .map(|(part, by)| latin_1(part, by))
    .collect()
}

/// What is no message is dropped, and the right one that comes after it counts.
///
/// HDR-002 TRN-019 TRN-020 TRN-021 COD-025
fn broken() -> Vec<Case> {
    [
        ("SIP/2.0 603 Decline", "SIP/2.0  603 Decline", false),
        ("SIP/2.0", "SIP/3.0", false),
        ("SIP/2.0", "HTTP/1.1", false),
        ("603", "099", false),
        ("603", "700", false),
        ("603", "66603", false),
        ("603", "-603", false),
        ("Decline", "\u{1}\0", false),
        ("Via: ", " Via: ", false),
        ("Via: ", "Via", false),
        ("Call-ID:", "Call ID:", false),
        ("To:", "To\u{e9}:", false),
        ("Contact: ", "Contact: \0", false),
        ("Contact: ", "Contact: \r", false),
        ("Contact: ", "Contact: \n", false),
        ("REGISTER", "", false),
        ("REGISTER", "register", false),
        ("CSeq: 1", "CSeq: -1", false),
        ("CSeq: 1", "CSeq: 4294967297", false),
        ("CSeq: ", "CSeq: 1 REGISTER\r\nCSeq: ", false),
        ("CSeq: ", "X-CSeq: ", false),
        ("Via: ", "X-Via: ", false),
        ("From: ", "X-From: ", false),
        ("Call-ID: ", "X-Call-ID: ", false),
        ("Call-ID: ", "Call-ID: x\r\nCall-ID: ", false),
        // On a stream these would shift or lose what follows: see `streams`.
        ("Content-Length: 0", "Content-Length: 9", true),
        ("Content-Length: 0", "Content-Length: -1", true),
        ("Content-Length: 0", "Content-Length: 0\r\nl: 1", true),
        ("\r\n", "\n", true),
    ]
    .into_iter()
    .map(|(part, by, datagrams)| {
        let case = Case::new(&format!("{part:?} broken as {by:?}"), (BOUND, "200", 1), move |asked| {
            let wrong = asked.answer("603 Decline|Contact: <@>");
            assert!(wrong.contains(part), "{part} is not in {wrong}");
            vec![whole(wrong.replacen(part, by, 1)), whole(asked.answer(OK))]
        });
        if datagrams { case.datagrams() } else { case }
    })
    .collect()
}

/// TRN-006 TRN-027
fn large() -> Vec<Case> {
    [
        ("a row of 60000 octets", format!("X: {}\r\nContent-", "x".repeat(60_000))),
        ("3000 rows", format!("{}Content-", "X-Another: a\r\n".repeat(3000))),
        ("a row of 20000 folds", format!("X: a{}\r\nContent-", "\r\n ".repeat(20_000))),
        ("a parameter of 60000 octets", format!("m: <sip:a@b>;x=\"{}\"\r\nContent-", "\\\"".repeat(30_000))),
    ]
    .into_iter()
    .map(|(name, by)| Case { name: name.to_owned(), ..spelled("Content-", by) })
    .collect()
}
