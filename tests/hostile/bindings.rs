//! What a 200 says of bindings: every lifetime, and ours among thousands.

use super::{BOUND, Case};

pub fn all() -> Vec<Case> {
    [lifetimes(), spellings(), crowds()].into_iter().flatten().collect()
}

const NOT_BOUND: &str = "Misbehaved(NotBound)";
/// What was asked for.
const ASKED: &str = "ok 600";
/// What a lifetime that can't be read counts as (RFC 3261 §10.2).
const HOUR: &str = "ok 3600";
const MOST: &str = "ok 4294967295";

/// REG-010 REG-013..015 REG-030 HDR-013
fn lifetimes() -> Vec<Case> {
    [
        (ASKED, "Contact: <@>"),
        (BOUND, "Contact: <@>;expires=60"),
        (NOT_BOUND, "Contact: <@>;expires=0"),
        (NOT_BOUND, "Contact: <@>;expires=000"),
        (BOUND, "Contact: <@>;expires=0060"),
        (BOUND, "Contact: <@> ; EXPIRES = 60 "),
        (HOUR, "Contact: <@>;expires=-1"),
        (HOUR, "Contact: <@>;expires=+60"),
        (HOUR, "Contact: <@>;expires=60.5"),
        (HOUR, "Contact: <@>;expires=6e1"),
        (HOUR, "Contact: <@>;expires=0x3c"),
        (HOUR, "Contact: <@>;expires=60s"),
        (HOUR, "Contact: <@>;expires=soon"),
        (HOUR, "Contact: <@>;expires="),
        (HOUR, "Contact: <@>;expires"),
        (HOUR, "Contact: <@>;expires=\"60\""),
        (HOUR, "Contact: <@>;expires=\"\""),
        (HOUR, "Contact: <@>;expires=６０"),
        (HOUR, "Contact: <@>;expires=\"Sat, 13 Nov 2010 23:29:00 GMT\""),
        (HOUR, "Contact: <@>;expires=Sat, 13 Nov 2010 23:29:00 GMT"),
        (MOST, "Contact: <@>;expires=4294967295"),
        (MOST, "Contact: <@>;expires=4294967296"),
        (MOST, "Contact: <@>;expires=99999999999999999999999999999999"),
        (BOUND, "Contact: <@>;expires=60;expires=70"),
        (BOUND, "Contact: <@>|Expires: 60"),
        (NOT_BOUND, "Contact: <@>|Expires: 0"),
        (HOUR, "Contact: <@>|Expires: -1"),
        (HOUR, "Contact: <@>|Expires: soon"),
        (HOUR, "Contact: <@>|Expires: \"60\""),
        (HOUR, "Contact: <@>|Expires:"),
        (HOUR, "Contact: <@>|Expires: Sat, 13 Nov 2010 23:29:00 GMT"),
        (MOST, "Contact: <@>|Expires: 99999999999999999999999999999999"),
        (BOUND, "Contact: <@>|Expires: 60|Expires: 70"),
        (BOUND, "Expires: 5|Contact: <@>;expires=60"),
        (BOUND, "Contact: <@>;expires=60|Expires: 0"),
        (BOUND, "Contact: <@>;expires=60|Expires: soon"),
        (NOT_BOUND, "Contact: <@>;expires=0|Expires: 60"),
        (HOUR, "Contact: <@>;expires=soon|Expires: 60"),
        (BOUND, "Min-Expires: 9999|Contact: <@>;expires=60"),
        // In the URI it says nothing about the binding.
        (ASKED, "Contact: <@;expires=60>"),
        // Two that are equal: the longer one.
        (BOUND, "Contact: <@>;expires=0, <@>;expires=60"),
        (BOUND, "Contact: <@>;expires=60|Contact: <@>;expires=0"),
    ]
    .into_iter()
    .map(|(end, rows)| Case::saying(rows, (end, "200", 1), &[&format!("200 OK|{rows}")]))
    .collect()
}

/// DES-020 REG-012 URI-012: what goes without saying may be added; whatever else differs is another contact.
fn spellings() -> Vec<Case> {
    let cases = [
        (BOUND, "<@;transport=udp>"),
        (BOUND, "<@;TRANSPORT=UDP;ob>"),
        (NOT_BOUND, "<@;transport=tcp>"),
        (NOT_BOUND, "<@;transport=tls>"),
        (NOT_BOUND, "<@;transport=>"),
        (NOT_BOUND, "<@;transport>"),
        (NOT_BOUND, "<@;maddr=192.0.2.1>"),
        (NOT_BOUND, "<@;user=phone>"),
        (NOT_BOUND, "<@;method=INVITE>"),
        (NOT_BOUND, "<@?Subject=x>"),
    ];
    let case = |(end, contact): (&'static str, &str)| {
        let rows = format!("200 OK|Contact: {contact};expires=60");
        Case::saying(contact, (end, "200", 1), &[&rows]).datagrams()
    };
    cases.into_iter().map(case).collect()
}

/// REG-010 REG-012 REG-035 REG-036 TRN-006
fn crowds() -> Vec<Case> {
    let many = |count: usize, one: fn(usize) -> String| (0..count).map(one).collect::<String>();
    [
        (
            BOUND,
            "2500 rows before ours",
            many(2500, |n| format!("|m:<sip:x~a:{n}>;q=.1")) + "|m:<@>;expires=60",
        ),
        (BOUND, "4000 in a row before ours", {
            format!("|m:{}<@>;expires=60", many(4000, |n| format!("<sip:a:{n}>,")))
        }),
        (
            BOUND,
            "ours before 2500 rows",
            "|m:<@>;expires=60".to_owned() + &many(2500, |n| format!("|m:<sip:x~a:{n}>")),
        ),
        (BOUND, "5000 broken ones before ours", many(5000, |_| "|m:<sip:".to_owned()) + "|m:<@>;expires=60"),
        (BOUND, "60000 commas before ours", format!("|m:{}<@>;expires=60", ",".repeat(60_000))),
        (BOUND, "ours six hundred times", many(600, |n| format!("|m:<@>;expires={}", n % 61))),
        (NOT_BOUND, "2500 rows without ours", many(2500, |n| format!("|m:<sip:x~a:{n}>"))),
        (NOT_BOUND, "no binding", String::new()),
        (NOT_BOUND, "a star", "|m:*".to_owned()),
        (NOT_BOUND, "another user at our address", "|m:<sip:other~127.0.0.1>;expires=60".to_owned()),
        (BOUND, "ours behind a quote that does not end", "|m:\"<@>;expires=60".to_owned()),
        (NOT_BOUND, "ours as a name", "|m:\"<@>\" <sip:x~y>;expires=60".to_owned()),
        (
            BOUND,
            "ours with parameters of its own",
            "|m:<@;rinstance=1;ob>;expires=60;pub-gruu=\"sip:x\"".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(end, name, rows)| Case::saying(name, (end, "200", 1), &[&format!("200 OK{rows}")]))
    .collect()
}
