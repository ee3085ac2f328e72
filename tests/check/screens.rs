//! What people read: the whole output of twelve worlds, with what differs from run to run masked.

use crate::world::World;

/// The output of `check` for people, as it comes in a pipe.
fn screen(world: &World) -> String {
    let ran = world.run(&["check"]);
    assert_eq!(ran.stderr, "", "{}", ran.all());
    let wide: Vec<_> = ran.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, [""; 0], "more than 80 columns");
    masked(&ran.stdout, &world.host(0).to_string())
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
