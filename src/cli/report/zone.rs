//! Times for people: in the zone of `TZ` or of the system, with its name. JSON has UTC ([`crate::cli::text::rfc3339`]).

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::cli::environment::{Environment, ZoneName};
use crate::proto::Time;

/// The zone that times are said in. It is looked up when the first time is said: most commands say none.
pub struct Zone {
    name: ZoneName,
    zone: OnceCell<TimeZone>,
}

/// The folders that may hold the zones of the world, in files of RFC 9636.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];

/// No zone has a file of this size, in octets.
const LARGEST: u64 = 1 << 20;

const DAY: Duration = Duration::from_secs(86_400);

impl Zone {
    /// The zone of the environment.
    #[must_use]
    pub fn new(environment: &Environment) -> Zone {
        Zone { name: environment.zone.clone(), zone: OnceCell::new() }
    }

    /// A time of the day with its zone: `14:03:12 CET`.
    #[must_use]
    pub fn clock(&self, at: Time) -> String {
        format!("{} {}", time_of_day(self.read(at)), self.name(at))
    }

    /// The time so long after another: `14:03:12 CET`, with the date when that is a day or more.
    #[must_use]
    pub fn after(&self, from: Time, span: Duration) -> String {
        let at = from + span;
        let date = if span < DAY { String::new() } else { format!("{} ", date(self.read(at))) };
        date + &self.clock(at)
    }

    /// A time in a table whose head names the zone: `14:03:12`, or the date and `14:03` if that is not within
    /// a day.
    #[must_use]
    pub fn cell(&self, at: Time, now: Time) -> String {
        let read = self.read(at);
        if at.since(now) < DAY {
            return time_of_day(read);
        }
        format!("{} {:02}:{:02}", date(read), read.hour(), read.minute())
    }

    /// The name of the zone at that time, such as `CET` or `CEST`; `UTC` where the system does not know the
    /// zone.
    #[must_use]
    pub fn name(&self, at: Time) -> String {
        self.zone().to_offset_info(timestamp(at)).abbreviation().to_owned()
    }

    fn read(&self, at: Time) -> DateTime {
        self.zone().to_datetime(timestamp(at))
    }

    fn zone(&self) -> &TimeZone {
        self.zone.get_or_init(|| find(&self.name).unwrap_or(TimeZone::UTC))
    }
}

/// A name in `TZ` is that of a file, or a rule such as `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX, chapter 8.3).
fn find(name: &ZoneName) -> Option<TimeZone> {
    match name {
        ZoneName::Utc => None,
        ZoneName::System => read(Path::new("/etc/localtime")),
        ZoneName::Named(name) => {
            let name = name.strip_prefix(':').unwrap_or(name);
            let file = || FOLDERS.iter().find_map(|folder| read(&Path::new(folder).join(name)));
            (!name.is_empty()).then(file)?.or_else(|| TimeZone::posix(name).ok())
        }
    }
}

fn read(path: &Path) -> Option<TimeZone> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut content).ok()?;
    TimeZone::tzif("", &content).ok()
}

fn time_of_day(at: DateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

fn date(at: DateTime) -> String {
    format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
}

fn timestamp(at: Time) -> Timestamp {
    let milliseconds = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOON: Time = Time::from_millis(1_795_348_800_000);

    fn zone(name: &str) -> Zone {
        Zone { name: ZoneName::Named(name.to_owned()), zone: OnceCell::new() }
    }

    #[test]
    fn times_are_said_in_a_zone_that_is_named() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(berlin.clock(NOON), "13:00:00 CET");
        let summer = NOON + DAY * 180;
        assert_eq!(berlin.clock(summer), "14:00:00 CEST");
        assert_eq!(berlin.after(NOON, DAY * 180), "2027-05-21 14:00:00 CEST");
        assert_eq!(zone("Asia/Kolkata").clock(NOON), "17:30:00 IST");
        assert_eq!(zone("America/Sao_Paulo").clock(NOON), "09:00:00 -03");
        assert_eq!(zone(":/usr/share/zoneinfo/Europe/Berlin").clock(NOON), "13:00:00 CET");
        assert_eq!(zone("CET-1CEST,M3.5.0,M10.5.0/3").clock(summer), "14:00:00 CEST");
        for unknown in ["", ":", "UTC", "Nobody/Knows", "../../../etc/passwd", "/dev/null", "/dev/zero"] {
            assert_eq!(zone(unknown).clock(NOON), "12:00:00 UTC", "{unknown}");
        }
        assert_eq!(Zone::new(&Environment::default()).clock(NOON), "12:00:00 UTC");
    }

    #[test]
    fn what_is_a_day_away_has_its_date() {
        let utc = Zone::new(&Environment::default());
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(utc.after(NOON, hours(1)), "13:00:00 UTC");
        assert_eq!(utc.after(NOON, hours(12)), "00:00:00 UTC", "tomorrow, as no other is within a day");
        assert_eq!(utc.after(NOON, hours(24)), "2026-11-23 12:00:00 UTC");
        assert!(utc.after(NOON, Duration::from_secs(u32::MAX.into())).starts_with("21"));
        assert_eq!(utc.cell(NOON + hours(1), NOON), "13:00:00");
        assert_eq!(utc.cell(NOON + hours(48), NOON), "2026-11-24 12:00");
    }

    #[test]
    fn no_time_is_too_far_away() {
        let utc = Zone::new(&Environment::default());
        assert_eq!(utc.clock(Time::from_millis(u64::MAX)).len(), "00:00:00 UTC".len());
    }
}
