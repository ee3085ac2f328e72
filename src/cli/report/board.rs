//! How all accounts of `keep` stand, below everything else on the terminal, and drawn anew when that changes. Times are those of
//! the clock, so that nothing has to be drawn while nothing happens.

use std::fmt::Write;

use super::Reporter;
use super::keeping::Standing;
use super::paint::Paint;
use crate::cli::text::{escape, rfc3339};
use crate::proto::Time;

/// Lines that are left to what scrolls above, and the most that are drawn.
const ABOVE: usize = 4;
const MOST: usize = 40;

/// Columns for the AOR.
const WIDEST: usize = 34;

impl Reporter<'_, '_> {
    /// Whether somebody looks who wants to see how things stand.
    #[must_use]
    pub fn has_board(&self) -> bool {
        let Self { streams, settings, .. } = self;
        let plain = !settings.json && !settings.quiet && settings.verbosity == 0;
        streams.stdout_is_terminal && plain && !self.is_dumb
    }

    /// Draws it, in place of what was drawn before.
    pub fn draw<'a>(&mut self, all: impl Iterator<Item = Standing<'a>> + Clone, now: Time) {
        let rows = crate::cli::text::terminal_height().unwrap_or(24).saturating_sub(ABOVE).clamp(2, MOST);
        let lines = lines(all, now, rows, self.out);
        if lines == self.drawn {
            return;
        }
        // What is too long for the terminal is cut by it: a line that it broke would be two to erase.
        let mut text = "\u{1b}[?7l".to_owned();
        for line in &lines {
            text += line;
            text.push('\n');
        }
        text += "\u{1b}[?7h";
        self.erase();
        // Nobody looks any more if it fails; events say so.
        if self.streams.stdout.write_all(text.as_bytes()).and_then(|()| self.streams.stdout.flush()).is_ok() {
            self.drawn = lines;
        }
    }

    /// Takes it away, for something else to be shown.
    pub fn erase(&mut self) {
        let drawn = std::mem::take(&mut self.drawn).len();
        if drawn > 0 {
            let _ = write!(self.streams.stdout, "\u{1b}[{drawn}A\r\u{1b}[J");
            let _ = self.streams.stdout.flush();
        }
    }
}

/// A line for each account, and one for all; when there are too many, those first that are not as they should be.
fn lines<'a>(
    all: impl Iterator<Item = Standing<'a>> + Clone,
    now: Time,
    rows: usize,
    paint: Paint,
) -> Vec<String> {
    let many = all.clone().count();
    let bound = all.clone().filter(|one| one.is_bound(now)).count();
    let is_well = |one: &Standing<'_>| one.is_bound(now) && one.failure.is_none();
    let shown: Vec<Standing<'_>> = if many < rows {
        all.collect()
    } else {
        let ill = all.clone().filter(|one| !is_well(one));
        ill.chain(all.filter(is_well)).take(rows - 1).collect()
    };
    let width = shown.iter().map(|one| name(one).chars().count()).max().unwrap_or(0).min(WIDEST);
    let mut head = format!("{bound} of {many} bound, times in UTC");
    if shown.len() < many {
        // Writing to a String can't fail.
        let _ = write!(head, ", {} of them not shown", many - shown.len());
    }
    let mut lines = vec![paint.faint(&head)];
    lines.extend(shown.iter().map(|one| line(one, width, now, paint)));
    lines
}

fn name(one: &Standing<'_>) -> String {
    escape(one.aor.strip_prefix("sip:").unwrap_or(one.aor)).into_owned()
}

fn line(one: &Standing<'_>, width: usize, now: Time, paint: Paint) -> String {
    // As wide as `until 10:20:59`.
    let (state, gap) = match one.until.filter(|until| now < *until) {
        Some(until) => (paint.good(&format!("until {}", clock(until, now))), ""),
        None if one.failure.is_some() => (paint.bad("not bound"), "     "),
        None => (paint.odd("not bound"), "     "),
    };
    let next = match (one.next, one.failure) {
        (Some(next), _) => format!("{gap}  next {}", clock(next, now)),
        (None, Some(_)) => format!("{gap}  not tried again"),
        (None, None) => String::new(),
    };
    let failure = one.failure.map(|text| format!("  {}", escape(text))).unwrap_or_default();
    format!("{:width$}  {state}{next}{failure}", name(one))
}

/// `10:20:59`, with the date if that is not within a day.
fn clock(at: Time, now: Time) -> String {
    let text = rfc3339(at);
    let part = if at.since(now).as_secs() < 86_400 { text.get(11..19) } else { text.get(..16) };
    part.unwrap_or_default().replace('T', " ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_millis(1_795_348_800_000);

    fn standing<'a>(
        aor: &'a str,
        until: Option<u64>,
        next: Option<u64>,
        failure: Option<&'a str>,
    ) -> Standing<'a> {
        let at = |seconds: Option<u64>| seconds.map(|seconds| NOW + Duration::from_secs(seconds));
        Standing { aor, until: at(until), next: at(next), failure }
    }

    fn shown(all: &[Standing<'_>], rows: usize) -> Vec<String> {
        lines(all.iter().copied(), NOW, rows, Paint::plain())
    }

    #[test]
    fn it_says_until_when_each_is_bound_and_what_comes_next() {
        let all = [
            standing("sip:alice@munich.de", Some(3600), Some(3200), None),
            standing("sip:bob@munich.de", Some(20), Some(30), Some("503 Service Unavailable")),
            standing(
                "sip:carol@munich.de",
                None,
                None,
                Some("the registrar does not accept the password\u{7}"),
            ),
            standing("sip:dave@munich.de", None, Some(1), None),
            standing("sip:erin@munich.de", Some(200_000), Some(190_000), None),
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

    /// Twenty are readable in a small terminal too: what is not as it should be comes first.
    #[test]
    fn when_there_are_too_many_those_in_trouble_are_shown() {
        let mut all = vec![standing("sip:a@munich.de", Some(3600), Some(3200), None); 20];
        all.push(standing("sip:z@munich.de", None, Some(5), Some("503 Busy")));
        let lines = shown(&all, 6);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "20 of 21 bound, times in UTC, 16 of them not shown");
        assert!(
            lines[1].starts_with("z@munich.de  not bound") && lines[2].starts_with("a@munich.de  until"),
            "{lines:?}"
        );
    }
}
