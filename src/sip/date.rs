//! Dates as SIP writes them: RFC 1123 form, always GMT (RFC 3261 §20.17).

use std::fmt;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in whole seconds since 1970-01-01 00:00:00 UTC, written as `Sat, 15 Oct 2005 04:44:56 GMT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u64);

/// The last second of the year 9999, the last one the form can tell.
const LAST: u64 = 253_402_300_799;

impl Date {
    /// The moment `seconds` after the epoch; held at the end of the year 9999.
    pub fn from_epoch(seconds: u64) -> Date {
        Date(seconds.min(LAST))
    }

    /// Seconds since the epoch.
    pub fn epoch(self) -> u64 {
        self.0
    }

    /// Reads a date. The zone must be `GMT`; the name of the day must be one but is not checked against the
    /// date. `None` for any other form and for years before 1970.
    pub fn parse(text: &str) -> Option<Date> {
        let (day_name, rest) = text.trim().split_once(',')?;
        DAYS.iter().find(|name| name.eq_ignore_ascii_case(day_name))?;
        let mut words = rest.split_ascii_whitespace();
        let day = number(words.next()?, 2)?;
        let name = words.next()?;
        let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        let year = number(words.next()?, 4)?;
        let mut clock = words.next()?.split(':');
        let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
        let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
        let whole = words.next() == Some("GMT") && words.next().is_none() && clock.next().is_none();
        let month = month as u64 + 1;
        let real = (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        if !whole || !real || year < 1970 {
            return None;
        }
        Some(Date::from_epoch(days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second))
    }
}

/// `text` as a number of exactly `digits` digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    if text.len() == digits { super::scan::number(text.as_bytes()) } else { None }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Leap days of the years before `year`, counted from year 1.
fn leaps_before(year: u64) -> u64 {
    let years = year - 1;
    years / 4 - years / 100 + years / 400
}

/// Days from 1970-01-01 to the given day, for years from 1970 on.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years = (year - 1970) * 365 + leaps_before(year) - leaps_before(1970);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>() + day - 1
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.0 / 86_400, self.0 % 86_400);
        // 146 097 days make 400 years; the guess is at most one year too late or too early.
        let mut year = 1970 + days * 400 / 146_097;
        if days_before(year, 1, 1) > days {
            year -= 1;
        } else if days_before(year + 1, 1, 1) <= days {
            year += 1;
        }
        let mut day = days - days_before(year, 1, 1);
        let mut month = 1;
        while day >= days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        let pick = |names: &'static [&'static str], at: u64| names.get(at as usize).copied().unwrap_or("");
        write!(
            f,
            "{}, {:02} {} {year:04} {:02}:{:02}:{:02} GMT",
            pick(&DAYS, (days + 3) % 7),
            day + 1,
            pick(&MONTHS, month - 1),
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        )
    }
}
