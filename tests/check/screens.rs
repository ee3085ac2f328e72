//! What people read: the whole output of twelve worlds, with what differs from run to run masked.

use crate::report::STEPS;
use crate::run::Ran;
use crate::world::World;

/// The output of `check` for people, as it comes in a pipe, with the lines of a sentence put together: where they break
/// depends on the length of addresses.
fn screen(world: &World) -> String {
    let ran = world.run(&["check"]);
    assert_eq!(ran.stderr, "", "{}", ran.all());
    let mut text = String::new();
    for line in ran.stdout.lines() {
        let words = line.trim_start();
        let goes_on = line.starts_with(' ') && !LABELS.iter().any(|label| words.starts_with(label));
        text += if goes_on && !words.is_empty() { " " } else { "\n" };
        text += if goes_on { words } else { line };
    }
    masked(text.trim_start(), &world.host(0).to_string())
}

/// What stands before the parts of a finding.
const LABELS: [&str; 4] = ["means:", "hint:", "don't:", "more:"];

/// Where it is not what the contract says of what people read.
pub fn faults(ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let wide = ran.stdout.lines().filter(|line| line.chars().count() > 80);
    wrong.extend(wide.map(|line| format!("too wide: {line}")));
    if ran.stdout.contains('\u{1b}') || ran.stdout.contains('\r') || !ran.stderr.is_empty() {
        wrong.push("something moves or has a colour, or is not on stdout".to_owned());
    }
    // Result, step, and the cause that stands below.
    let mut told: Vec<[&str; 3]> = Vec::new();
    for line in ran.stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.as_slice(), told.last_mut()) {
            ([result @ ("ok" | "warning" | "failed" | "skipped"), step, ..], _) if !line.starts_with(' ') => {
                told.push([result, step, ""]);
            }
            (["more:", "sipreg", "explain", cause], Some(last)) => last[2] = cause,
            _ => {}
        }
    }
    let mut steps: Vec<_> = told.iter().map(|[_, step, _]| *step).collect();
    steps.dedup();
    if steps != STEPS.map(|(name, _)| name) {
        wrong.push(format!("the steps: {steps:?}"));
    }
    let end = ran.stdout.trim_end().rsplit("\n\n").next().unwrap();
    let of = |result: &str| told.iter().find(|[found, ..]| *found == result);
    if let Some([_, step, cause]) = of("failed").or_else(|| of("warning")) {
        let others =
            told.iter().map(|[.., other]| other).filter(|other| !other.is_empty() && *other != cause);
        if !end.contains(&format!("{step} ({cause})")) || others.into_iter().any(|other| end.contains(other))
        {
            wrong.push(format!("the end does not name {step} ({cause}) alone: {end}"));
        }
    }
    wrong
}

/// The text with hosts as `HOST1`, ports of ours as `PORT`, durations as `N ms` and days as `DATE`; `net` is the address of
/// host 0. Columns move a little.
fn masked(text: &str, net: &str) -> String {
    let text = text.replace(net.trim_end_matches('0'), "HOST");
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|one: char| one.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        masked += before;
        let end = from.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        let unit = ["ms", "s", "min"].into_iter().find(|unit| {
            let next = after.trim_start_matches(' ').strip_prefix(unit);
            next.is_some_and(|next| !next.starts_with(|one: char| one.is_ascii_alphabetic()))
        });
        let is_port = number.len() == 5 && (before.ends_with(':') || before.ends_with("port "));
        masked += match () {
            () if is_port => "PORT",
            () if unit.is_some() && number.contains('.') || unit == Some("ms") => "N",
            () => number,
        };
        rest = after;
    }
    masked + rest
}

#[test]
fn what_differs_from_run_to_run_is_masked() {
    let text = "ok udp 127.16.4.1:5060 answered in 12.3 ms (from 127.0.0.1:40412), granted 60 s; RFC 5626";
    let expected = "ok udp HOST1:5060 answered in N ms (from 127.0.0.1:PORT), granted 60 s; RFC 5626";
    assert_eq!(masked(text, "127.16.4.0"), expected);
}
