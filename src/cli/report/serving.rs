//! What a server tells: lines for people, or one JSON object per event.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Reporter;
use super::paint::Paint;
use super::text::{escape, rfc3339, seconds};
use crate::proto::Time;
use crate::proto::binding::Fate;
use crate::proto::registrar::service::ServerEvent;

/// One event of `sipreg serve --json`. Every key is always there; what does not apply is null.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg serve --json")]
pub struct Event {
    /// What happened.
    event: Name,
    /// When: RFC 3339, UTC.
    time: String,
    /// `listening`: `udp` or `tcp`.
    transport: Option<String>,
    /// `listening`: address and port; IPv6 in brackets.
    address: Option<String>,
    /// Whose bindings it is about.
    aor: Option<String>,
    /// The URI that was bound, refreshed or removed, or that ran out.
    contact: Option<String>,
    /// Seconds that it is bound for.
    expires: Option<u32>,
    /// Address and port of who sent it.
    peer: Option<String>,
    /// `auth_failed`: as whom.
    username: Option<String>,
    /// `malformed`: the status it was answered with; null if it was not.
    status: Option<u16>,
    /// What is wrong, in words.
    message: Option<String>,
    /// How many events like this one there were since the last that was told; 1 unless there are too many to tell each.
    count: u64,
}

/// What can happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// It listens: the first events, one per listener.
    Listening,
    /// A contact was bound.
    Bound,
    /// A contact is bound for longer.
    Refreshed,
    /// A request removed a contact.
    Removed,
    /// A contact ran out.
    Expired,
    /// Credentials were refused.
    AuthFailed,
    /// Something came that could not be served.
    Malformed,
    /// A connection was closed because it was silent, slow, or one too many.
    Dropped,
    /// It serves no more: the last event.
    Stopped,
}

/// Tells of floods once in a while, and how much it left out.
#[derive(Debug, Default)]
pub struct Throttle {
    second: u64,
    told: [u32; 3],
    /// What was not told since: how often, and the last of them.
    left_out: [(u64, Option<ServerEvent>); 3],
}

/// Events of one kind that are told within a second.
const PER_SECOND: u32 = 20;

impl Throttle {
    /// How many events this one stands for; `None`: it is not told.
    fn admit(&mut self, what: &ServerEvent, now: Time) -> Option<u64> {
        let kind = match what {
            ServerEvent::AuthFailed { .. } => 0,
            ServerEvent::Malformed { .. } => 1,
            ServerEvent::Dropped { .. } => 2,
            ServerEvent::Listening { .. }
            | ServerEvent::CannotListen { .. }
            | ServerEvent::Changed { .. }
            | ServerEvent::Stopped => return Some(1),
        };
        let second = now.as_millis() / 1000;
        if second != self.second {
            self.second = second;
            self.told = [0; 3];
        }
        let (told, left_out) = (self.told.get_mut(kind)?, self.left_out.get_mut(kind)?);
        if *told >= PER_SECOND {
            *left_out = (left_out.0 + 1, Some(what.clone()));
            return None;
        }
        *told += 1;
        Some(std::mem::take(left_out).0 + 1)
    }

    /// What was not told yet, with its counts; nothing comes after it.
    fn rest(&mut self) -> impl Iterator<Item = (ServerEvent, u64)> {
        std::mem::take(&mut self.left_out).into_iter().filter_map(|(count, last)| Some((last?, count)))
    }
}

/// What there is to say before anything happens.
#[derive(Debug)]
pub struct Banner {
    /// The domains.
    pub domains: Vec<String>,
    /// Who may register, in words.
    pub access: String,
    /// What to type next.
    pub next: String,
    /// Where the metrics are.
    pub metrics: Option<SocketAddr>,
}

impl Reporter<'_, '_> {
    /// Something happened. `Err`: nobody reads it any more.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn served(&mut self, what: &ServerEvent, throttle: &mut Throttle, now: Time) -> io::Result<()> {
        if self.settings.quiet && !self.settings.json {
            return Ok(());
        }
        if *what == ServerEvent::Stopped {
            for (last, count) in throttle.rest() {
                self.one_served(&last, count, now)?;
            }
        }
        let Some(count) = throttle.admit(what, now) else { return Ok(()) };
        self.one_served(what, count, now)
    }

    fn one_served(&mut self, what: &ServerEvent, count: u64, now: Time) -> io::Result<()> {
        let text = if self.settings.json {
            Event::of(what, count, now).map(|event| event.line())
        } else {
            line(what, count, now, self.out)
        };
        match text {
            Some(text) => self.stdout(text.as_bytes()),
            None => Ok(()),
        }
    }

    /// Says who is served, and what to do next.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn banner(&mut self, banner: &Banner) -> io::Result<()> {
        if self.settings.quiet || self.settings.json {
            return Ok(());
        }
        let Banner { domains, access, next, metrics } = banner;
        let metrics = metrics.map(|at| format!("Metrics at http://{at}/metrics\n")).unwrap_or_default();
        let text = format!(
            "{metrics}Registrar for {}; {access}\nTry it, in another terminal:\n  {}\n",
            domains.join(", "),
            self.out.strong(next)
        );
        self.stdout(text.as_bytes())
    }
}

/// The JSON Schema of [`Event`].
#[must_use]
pub fn schema() -> String {
    super::json::schema_of::<Event>()
}

impl Event {
    fn of(what: &ServerEvent, count: u64, now: Time) -> Option<Event> {
        let name = match what {
            ServerEvent::Listening { .. } => Name::Listening,
            ServerEvent::CannotListen { .. } => return None,
            ServerEvent::Changed { effect, .. } => match effect.fate {
                Fate::Bound => Name::Bound,
                Fate::Refreshed => Name::Refreshed,
                Fate::Removed => Name::Removed,
                Fate::Expired => Name::Expired,
            },
            ServerEvent::AuthFailed { .. } => Name::AuthFailed,
            ServerEvent::Malformed { .. } => Name::Malformed,
            ServerEvent::Dropped { .. } => Name::Dropped,
            ServerEvent::Stopped => Name::Stopped,
        };
        let empty = Event {
            event: name,
            time: rfc3339(now),
            transport: None,
            address: None,
            aor: None,
            contact: None,
            expires: None,
            peer: None,
            username: None,
            status: None,
            message: None,
            count,
        };
        let from = |peer: &SocketAddr| Some(peer.to_string());
        Some(match what {
            ServerEvent::Listening { transport, address } => {
                Event { transport: Some(transport.to_string()), address: Some(address.to_string()), ..empty }
            }
            ServerEvent::Changed { effect, expires, peer } => Event {
                aor: Some(effect.aor.to_string()),
                contact: Some(uri_of(&effect.contact).to_owned()),
                expires: expires.map(|at| left(at, now)),
                peer: peer.as_ref().and_then(from),
                ..empty
            },
            ServerEvent::AuthFailed { peer, aor, username, why } => Event {
                aor: Some(aor.to_string()),
                peer: from(peer),
                username: Some(username.to_string()),
                message: Some(why.to_string()),
                ..empty
            },
            ServerEvent::Malformed { peer, what, status } => {
                Event { peer: from(peer), status: *status, message: Some(what.clone()), ..empty }
            }
            ServerEvent::Dropped { peer, why } => {
                Event { peer: from(peer), message: Some(why.to_string()), ..empty }
            }
            ServerEvent::CannotListen { .. } | ServerEvent::Stopped => empty,
        })
    }

    fn line(&self) -> String {
        // Strings and numbers only: nothing that JSON could not say.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// One line for people; `None` for what is said elsewhere.
fn line(what: &ServerEvent, count: u64, now: Time, paint: Paint) -> Option<String> {
    let clock = clock(now);
    let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
    let told = |mark: String, text: String| Some(format!("{clock}  {mark}  {text}{times}\n"));
    match what {
        ServerEvent::Listening { transport, address } => {
            Some(format!("Listening on {} {}\n", transport, paint.strong(&address.to_string())))
        }
        ServerEvent::Changed { effect, expires, .. } => {
            let aor = effect.aor.to_string();
            let aor = aor.strip_prefix("sip:").unwrap_or(&aor);
            let contact = escape(uri_of(&effect.contact));
            let span = expires.map(|at| format!(" for {}", seconds(left(at, now)))).unwrap_or_default();
            let mark = match effect.fate {
                Fate::Bound => paint.good("bound    "),
                Fate::Refreshed => paint.good("refreshed"),
                Fate::Removed => paint.strong("removed  "),
                Fate::Expired => paint.strong("expired  "),
            };
            told(mark, format!("{}{span}: {contact}", escape(aor)))
        }
        ServerEvent::AuthFailed { peer, aor, username, why } => {
            let aor = aor.to_string();
            let who =
                if username.is_empty() { String::new() } else { format!(" as \"{}\"", escape(username)) };
            told(paint.bad("refused  "), format!("{}{who}, from {peer}: {why}", escape(&aor)))
        }
        ServerEvent::Malformed { peer, what, status } => {
            let answered = status.map(|status| format!(", answered with {status}")).unwrap_or_default();
            told(paint.odd("malformed"), format!("from {peer}: {}{answered}", escape(what)))
        }
        ServerEvent::Dropped { peer, why } => {
            told(paint.odd("dropped  "), format!("the connection of {peer}: {why}"))
        }
        ServerEvent::Stopped => Some("Stopped\n".to_owned()),
        ServerEvent::CannotListen { .. } => None,
    }
}

/// `10:20:59`, UTC.
fn clock(now: Time) -> String {
    let text = rfc3339(now);
    text.get(11..19).unwrap_or_default().to_owned()
}

fn left(at: Time, now: Time) -> u32 {
    u32::try_from((at.since(now) + Duration::from_millis(999)).as_secs()).unwrap_or(u32::MAX)
}

/// The URI of a contact as bindings hold it, which begins with its bracket.
fn uri_of(contact: &str) -> &str {
    let inside = contact.strip_prefix('<').unwrap_or(contact);
    inside.split_once('>').map_or(inside, |(uri, _)| uri)
}
