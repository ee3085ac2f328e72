//! The status of all accounts of `keep`: below everything else on the terminal, drawn anew when it changes,
//! and on SIGUSR1. The board shows times of the clock, so that nothing has to be drawn while nothing happens.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::Reporter;
use super::events::{seconds_until, short, span};
use super::paint::Paint;
use super::writer::{Put, Stream};
use super::zone::Zone;
use crate::cli::text::{self, escape, seconds};
use crate::proto::Time;

/// Lines that are left to what scrolls above, and the most that are drawn.
const ABOVE: usize = 4;
const MOST: usize = 40;

/// Columns for the AOR.
const WIDEST: usize = 34;

/// The status of one account.
#[derive(Clone, Debug, Default)]
pub struct AccountStatus {
    /// The address of record.
    pub aor: Box<str>,
    /// The end of its binding, if it is bound.
    pub until: Option<Time>,
    /// The time of the next try, if one is due.
    pub next: Option<Time>,
    /// The last failure since it was bound.
    pub failure: Option<Box<str>>,
    /// Tries that have ended.
    pub tries: u32,
    /// Tries that failed.
    pub failures: u32,
    /// Requests of others that were answered.
    pub calls: u32,
    /// Where the registrar sees it behind a NAT, and how often keep-alives are sent there.
    pub nat: Option<Box<(SocketAddr, Option<Duration>)>>,
}

impl AccountStatus {
    /// Whether the account is bound.
    #[must_use]
    pub fn is_bound(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// What is known of the NAT that it is behind, while it is bound.
    fn nat(&self, now: Time) -> Option<String> {
        let (seen, interval) = self.nat.as_deref().filter(|_| self.is_bound(now))?;
        Some(seen_as(*seen, *interval))
    }
}

/// Where a device behind a NAT is seen, and whether the way there is kept open.
pub(super) fn seen_as(seen: SocketAddr, interval: Option<Duration>) -> String {
    match interval {
        Some(interval) => format!("seen as {seen}, kept open every {}", span(interval.as_secs_f64())),
        None => format!("seen as {seen}, keepalives are off"),
    }
}

impl Reporter<'_, '_> {
    /// Whether the board is shown: on a terminal, unless something else was asked for.
    #[must_use]
    pub fn has_board(&self) -> bool {
        let Self { streams, settings, .. } = self;
        let plain = !settings.json && !settings.quiet && settings.verbosity == 0;
        streams.stdout_is_terminal && plain && !self.is_dumb
    }

    /// Prints the status of all accounts on stderr.
    pub fn standings<'a>(&mut self, all: impl Iterator<Item = &'a AccountStatus>, now: Time) {
        let text: String = all.map(|account| standing(account, now, self.err)).collect();
        self.stderr(&text);
    }

    /// Draws the board, in place of what was drawn before.
    pub fn draw<'a>(&mut self, all: impl Iterator<Item = &'a AccountStatus> + Clone, now: Time) {
        let rows = text::terminal_height().unwrap_or(24).saturating_sub(ABOVE).clamp(2, MOST);
        let lines = lines(all, now, rows, self.out, &self.zone);
        self.place(lines);
    }

    /// Places these lines below everything else, in place of what was drawn before.
    pub(super) fn place(&mut self, lines: Vec<String>) {
        if lines == self.drawn {
            return;
        }
        let mut drawing = erasing(self.drawn.len());
        // A line that the terminal broke would be two to erase; wide characters may still make one too long.
        drawing += "\u{1b}[?7l";
        let width = text::terminal_width().unwrap_or(80);
        for line in &lines {
            drawing += &cut(line, width);
            drawing.push('\n');
        }
        drawing += "\u{1b}[?7h";
        // Nobody looks any more if it fails; events say so.
        if let Ok(Put::Taken) = self.streams.put(Stream::Data, drawing.as_bytes()) {
            self.drawn = lines;
        }
    }

    /// Takes away what was drawn, for something else to be shown.
    pub fn erase(&mut self) {
        let erasing = erasing(self.drawn.len());
        // It stands there still if nobody looks.
        if !erasing.is_empty()
            && !matches!(self.streams.put(Stream::Data, erasing.as_bytes()), Ok(Put::LeftOut))
        {
            self.drawn.clear();
        }
    }
}

/// What takes so many lines away, with all that was echoed below them.
fn erasing(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\u{1b}[{lines}A\r\u{1b}[J") }
}

/// A line with what does not fit left out, which three dots say. Colours take no room.
fn cut(line: &str, width: usize) -> Cow<'_, str> {
    let (mut shown, mut end, mut is_colour) = (0, None, false);
    for (at, letter) in line.char_indices() {
        match letter {
            '\u{1b}' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            _ => {
                if shown + 3 == width {
                    end = Some(at);
                }
                shown += 1;
            }
        }
    }
    match end.and_then(|end| line.get(..end)).filter(|_| shown > width) {
        Some(kept) if kept.contains('\u{1b}') => Cow::Owned(format!("{kept}\u{1b}[0m...")),
        Some(kept) => Cow::Owned(format!("{kept}...")),
        None => Cow::Borrowed(line),
    }
}

fn standing(account: &AccountStatus, now: Time, paint: Paint) -> String {
    let state = match account.until.filter(|until| now < *until) {
        Some(until) => paint.good(&format!("bound for {}", seconds(seconds_until(until, now)))),
        None => paint.bad("not bound"),
    };
    let next = account.next.map(|next| format!(", next in {}", seconds(seconds_until(next, now))));
    let failure = account.failure.as_ref().map(|text| format!("; {}", escape(text)));
    let nat = account.nat(now).map(|nat| format!("; {nat}"));
    let rest: String = [next, nat, failure].into_iter().flatten().collect();
    format!("{}: {state}{rest}\n", name(account))
}

/// A line for each account, and one for all; when there are too many, those first that are not as they should
/// be.
fn lines<'a>(
    all: impl Iterator<Item = &'a AccountStatus> + Clone,
    now: Time,
    rows: usize,
    paint: Paint,
    zone: &Zone,
) -> Vec<String> {
    let many = all.clone().count();
    let bound = all.clone().filter(|account| account.is_bound(now)).count();
    let is_well = |account: &&AccountStatus| account.is_bound(now) && account.failure.is_none();
    let shown: Vec<&AccountStatus> = if many < rows {
        all.collect()
    } else {
        let ill = all.clone().filter(|account| !is_well(account));
        ill.chain(all.filter(is_well)).take(rows - 1).collect()
    };
    let width = shown.iter().map(|account| name(account).chars().count()).max().unwrap_or(0).min(WIDEST);
    let mut head = format!("{bound} of {many} bound, times in {}", zone.name(now));
    if shown.len() < many {
        // Writing to a String can't fail.
        let _ = write!(head, ", {} of them not shown", many - shown.len());
    }
    let mut lines = vec![paint.faint(&head)];
    lines.extend(shown.iter().map(|account| line(account, width, now, paint, zone)));
    lines
}

fn name(account: &AccountStatus) -> String {
    escape(short(&account.aor)).into_owned()
}

fn line(account: &AccountStatus, width: usize, now: Time, paint: Paint, zone: &Zone) -> String {
    let failure = account.failure.as_deref();
    // As wide as `until 10:20:59`.
    let (state, gap) = match account.until.filter(|until| now < *until) {
        Some(until) => (paint.good(&format!("until {}", zone.cell(until, now))), ""),
        None if failure.is_some() => (paint.bad("not bound"), "     "),
        None => (paint.odd("not bound"), "     "),
    };
    let next = match (account.next, failure) {
        (Some(next), _) => format!("{gap}  next {}", zone.cell(next, now)),
        (None, Some(_)) => format!("{gap}  not tried again"),
        (None, None) => String::new(),
    };
    let failure = failure.map(|text| format!("  {}", escape(text)));
    let rest = failure.or_else(|| Some(format!("  {}", account.nat(now)?))).unwrap_or_default();
    format!("{:width$}  {state}{next}{rest}", name(account))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::environment::Environment;

    const NOW: Time = Time::from_millis(1_795_348_800_000);

    fn status(aor: &str, until: Option<u64>, next: Option<u64>, failure: Option<&str>) -> AccountStatus {
        let at = |seconds: Option<u64>| seconds.map(|seconds| NOW + Duration::from_secs(seconds));
        let (until, next, failure) = (at(until), at(next), failure.map(Box::from));
        AccountStatus { aor: aor.into(), until, next, failure, ..AccountStatus::default() }
    }

    fn shown(all: &[AccountStatus], rows: usize) -> Vec<String> {
        lines(all.iter(), NOW, rows, Paint::plain(), &Zone::new(&Environment::default()))
    }

    #[test]
    fn it_says_until_when_each_is_bound_and_what_comes_next() {
        let all = [
            status("sip:alice@munich.de", Some(3600), Some(3200), None),
            status("sip:bob@munich.de", Some(20), Some(30), Some("503 Service Unavailable")),
            status(
                "sip:carol@munich.de",
                None,
                None,
                Some("the registrar does not accept the password\u{7}"),
            ),
            status("sip:dave@munich.de", None, Some(1), None),
            status("sip:erin@munich.de", Some(200_000), Some(190_000), None),
        ];
        insta::assert_snapshot!(shown(&all, 20).join("\n"), @r"
        3 of 5 bound, times in UTC
        alice@munich.de  until 13:00:00  next 12:53:20
        bob@munich.de    until 12:00:20  next 12:00:30  503 Service Unavailable
        carol@munich.de  not bound       not tried again  the registrar does not accept the password\u{7}
        dave@munich.de   not bound       next 12:00:01
        erin@munich.de   until 2026-11-24 19:33  next 2026-11-24 16:46
        ");
        assert!(shown(&all, 20).iter().take(3).all(|line| line.len() <= 80));
    }

    #[test]
    fn what_is_too_wide_for_the_terminal_is_cut_and_says_so() {
        for (line, expected) in [
            ("1234567890", "1234567890"),
            ("12345678901", "1234567..."),
            ("\u{1b}[32m1234567890\u{1b}[0m", "\u{1b}[32m1234567890\u{1b}[0m"),
            ("\u{1b}[32m12345678901\u{1b}[0m", "\u{1b}[32m1234567\u{1b}[0m..."),
            (
                "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
                "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}...",
            ),
            ("", ""),
        ] {
            assert_eq!(cut(line, 10), expected);
        }
    }

    #[test]
    fn it_says_where_a_device_behind_a_nat_is_seen() {
        let seen = "203.0.113.9:62011".parse().unwrap();
        let nat = |interval: Option<u64>| Some(Box::new((seen, interval.map(Duration::from_secs))));
        let mut all = [
            status("sip:a@munich.de", Some(3600), Some(3200), None),
            status("sip:b@munich.de", Some(3600), Some(3200), Some("503 Busy")),
            status("sip:c@munich.de", None, Some(5), None),
            status("sip:d@munich.de", Some(3600), Some(3200), None),
        ];
        for (account, interval) in all.iter_mut().zip([Some(29), Some(29), Some(29), None]) {
            account.nat = nat(interval);
        }
        insta::assert_snapshot!(shown(&all, 20).join("\n"), @r"
        3 of 4 bound, times in UTC
        a@munich.de  until 13:00:00  next 12:53:20  seen as 203.0.113.9:62011, kept open every 29s
        b@munich.de  until 13:00:00  next 12:53:20  503 Busy
        c@munich.de  not bound       next 12:00:05
        d@munich.de  until 13:00:00  next 12:53:20  seen as 203.0.113.9:62011, keepalives are off
        ");
        let all: String = all.iter().map(|account| standing(account, NOW, Paint::plain())).collect();
        insta::assert_snapshot!(all, @r"
        a@munich.de: bound for 1h, next in 53m 20s; seen as 203.0.113.9:62011, kept open every 29s
        b@munich.de: bound for 1h, next in 53m 20s; seen as 203.0.113.9:62011, kept open every 29s; 503 Busy
        c@munich.de: not bound, next in 5s
        d@munich.de: bound for 1h, next in 53m 20s; seen as 203.0.113.9:62011, keepalives are off
        ");
    }

    /// Twenty are readable in a small terminal too: what is not as it should be comes first.
    #[test]
    fn when_there_are_too_many_those_in_trouble_are_shown() {
        let mut all = vec![status("sip:a@munich.de", Some(3600), Some(3200), None); 20];
        all.push(status("sip:z@munich.de", None, Some(5), Some("503 Busy")));
        let lines = shown(&all, 6);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "20 of 21 bound, times in UTC, 16 of them not shown");
        assert!(
            lines[1].starts_with("z@munich.de  not bound") && lines[2].starts_with("a@munich.de  until"),
            "{lines:?}"
        );
    }
}
