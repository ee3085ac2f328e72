//! What registrars do, by name, and how a registration with each may end.

use std::fmt;

use sipreg::proto::client::outcome::{Failure, Report};
use sipreg::proto::client::plan::Purpose;

/// How a registration ends, as the exit statuses sort it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Done,
    Refused,
    Credentials,
    Timeout,
    Unreachable,
    Misbehaved,
}

impl Ending {
    pub const ALL: [Ending; 6] = [
        Ending::Done,
        Ending::Refused,
        Ending::Credentials,
        Ending::Timeout,
        Ending::Unreachable,
        Ending::Misbehaved,
    ];

    pub fn of(report: &Report) -> Ending {
        match &report.result {
            Ok(_) => Ending::Done,
            Err(Failure::Refused(_)) => Ending::Refused,
            Err(Failure::Credentials(_)) => Ending::Credentials,
            Err(Failure::Timeout) => Ending::Timeout,
            Err(Failure::Unreachable(_)) => Ending::Unreachable,
            Err(Failure::Misbehaved(_)) => Ending::Misbehaved,
        }
    }
}

/// Where a 302 leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    Nowhere,
    /// To another registrar of the same domain, which answers.
    Far,
    /// To the same server by another URI, again and again.
    Round,
}

/// What a registrar does with a request, from the first field that applies to the last.
pub struct Script {
    pub name: &'static str,
    pub silent: bool,
    /// A 100 at once, the final answer only seconds later.
    pub slow: bool,
    /// 503 for so many milliseconds after the first request.
    pub busy: u64,
    pub redirect: Redirect,
    /// Algorithms it challenges with, the preferred one first; none: everybody is let in.
    pub offers: &'static [&'static str],
    /// 407 instead of 401.
    pub proxy: bool,
    /// How often right credentials are called stale.
    pub stale: u32,
    /// Forgets nonces and transactions after its second request.
    pub restarts: bool,
    /// The user knows another password.
    pub mistyped: bool,
    pub refusal: Option<&'static str>,
    /// 423 below this lifetime.
    pub least: u32,
    /// 423 whatever the lifetime.
    pub rises: bool,
    /// Longest lifetime that is granted.
    pub most: u32,
    /// How binding ends, and removing, where nothing else goes wrong.
    pub bind: Ending,
    pub remove: Ending,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name, f)
    }
}

impl Script {
    pub fn ending(&self, purpose: Purpose) -> Ending {
        match purpose {
            Purpose::Bind { .. } => self.bind,
            Purpose::Remove | Purpose::RemoveAll => self.remove,
            Purpose::Fetch => Ending::Done,
        }
    }
}

const PLAIN: Script = Script {
    name: "plain",
    silent: false,
    slow: false,
    busy: 0,
    redirect: Redirect::Nowhere,
    offers: &[],
    proxy: false,
    stale: 0,
    restarts: false,
    mistyped: false,
    refusal: None,
    least: 0,
    rises: false,
    most: u32::MAX,
    bind: Ending::Done,
    remove: Ending::Done,
};

/// Ends otherwise than well, whatever is asked.
const fn ending(name: &'static str, ending: Ending) -> Script {
    Script { name, bind: ending, remove: ending, ..PLAIN }
}

const MD5: &[&str] = &["MD5"];
const SHA256: &[&str] = &["SHA-256"];

pub const SCRIPTS: &[Script] = &[
    PLAIN,
    Script { name: "shorter lifetime", most: 600, ..PLAIN },
    Script { name: "slow, 100 first", slow: true, ..PLAIN },
    Script { name: "MD5", offers: MD5, ..PLAIN },
    Script { name: "SHA-256", offers: SHA256, ..PLAIN },
    Script { name: "several algorithms", offers: &["X-1", "SHA-512-256", "SHA-256", "MD5"], ..PLAIN },
    Script { name: "proxy asks", offers: MD5, proxy: true, ..PLAIN },
    Script { name: "stale nonce", offers: MD5, stale: 1, ..PLAIN },
    Script { name: "restart in between", offers: SHA256, restarts: true, ..PLAIN },
    Script { name: "423 once", least: 7200, ..PLAIN },
    Script { name: "MD5 and 423", offers: MD5, least: 7200, ..PLAIN },
    Script { name: "302 elsewhere", redirect: Redirect::Far, ..PLAIN },
    Script { name: "503 for 20 s", busy: 20_000, ..PLAIN },
    Script { name: "423 for ever", rises: true, bind: Ending::Refused, ..PLAIN },
    Script { busy: u64::MAX, ..ending("503 for ever", Ending::Refused) },
    Script { refusal: Some("403 Forbidden"), ..ending("403", Ending::Refused) },
    Script { refusal: Some("404 Not Found"), ..ending("404", Ending::Refused) },
    Script { refusal: Some("403 No"), offers: MD5, ..ending("MD5, then 403", Ending::Credentials) },
    Script { offers: SHA256, mistyped: true, ..ending("wrong password", Ending::Credentials) },
    Script { offers: MD5, stale: u32::MAX, ..ending("challenges for ever", Ending::Credentials) },
    Script { redirect: Redirect::Round, ..ending("302 for ever", Ending::Misbehaved) },
    Script { silent: true, ..ending("silent", Ending::Timeout) },
];
