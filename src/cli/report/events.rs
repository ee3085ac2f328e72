//! The events of `keep` and `serve`. An event is one struct, made of an event of the core; from it come the
//! line of JSON, which scripts and `--on-event` get, and the line for people. The file is long because the name of an
//! event, its fields, its line and how often it is told belong together.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::json::{Binding, RegistrationFields, schema_of};
use super::paint::Paint;
use super::writer::Stream;
use super::zone::Zone;
use super::{Reporter, human};
use crate::cli::diagnose::{diagnose, last_words};
use crate::cli::exit::{Exit, Fault};
use crate::cli::explain;
use crate::cli::text::{escape, json_line, rfc3339, rounded_seconds, seconds};
use crate::proto::binding::Fate;
use crate::proto::client::outcome::{Failure, Report};
use crate::proto::client::schedule::{AccountEvent, Departure};
use crate::proto::digest::Algorithm;
use crate::proto::identity::{Untrusted, UpgradeFault};
use crate::proto::registrar::service::{Crowd, ServerEvent};
use crate::proto::{Cause, Time};
use crate::sip::reason_phrase;

/// So many bindings are named in the line for people.
const OTHERS_SHOWN: usize = 5;

// The description of the schema is that of the details.
#[allow(missing_docs, reason = "it would stand in the schema, where that of the details belongs")]
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event<N, D> {
    /// What happened.
    event: N,
    /// When: RFC 3339, UTC.
    #[serde(serialize_with = "utc")]
    #[schemars(with = "String")]
    time: Time,
    /// How many events were left out before this one because nobody read them; 0 as long as somebody does.
    dropped_events: u64,
    #[serde(flatten)]
    details: D,
}

/// An event of `sipreg keep`.
pub type KeepEvent = Event<KeepEventName, KeepDetails>;

/// An event of `sipreg serve`.
pub type ServeEvent = Event<ServeEventName, ServeDetails>;

/// The rule by which an event is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Unless the board shows its outcome, or with `--quiet`.
    Routine,
    /// Unless with `--quiet`.
    News,
    /// Also with `--quiet`, on stderr.
    Failure,
    /// Never: a warning says it.
    Warned,
}

/// An event as people get it.
pub trait ForPeople {
    /// The line with its line end, and a hint below it for a failure that is not tried again.
    fn text(&self, paint: Paint, zone: &Zone) -> String;

    /// The rule by which it is shown.
    fn weight(&self) -> Weight;
}

impl<N: Serialize, D: Serialize> Event<N, D> {
    /// One line of JSON, with its line end, for a reader that did not get so many events before it.
    #[must_use]
    pub fn line(&self, dropped_events: u64) -> String {
        json_line(&Event { event: &self.event, time: self.time, dropped_events, details: &self.details })
    }

    /// `10:20:59 CET  mark  text`; the text may hold what somebody else wrote.
    fn row(&self, mark: &str, text: &str, zone: &Zone) -> String {
        format!("{}  {mark}  {}\n", zone.clock(self.time), escape(text))
    }
}

fn utc<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

impl Reporter<'_, '_> {
    /// Reports an event. An error means that nobody reads events any more.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn event<N, D>(&mut self, event: &Event<N, D>) -> io::Result<()>
    where
        N: Serialize,
        D: Serialize,
        Event<N, D>: ForPeople,
    {
        if self.settings.json {
            let line = event.line(self.events_left_out.lately);
            return self.event_text(&line);
        }
        match event.weight() {
            Weight::Failure if self.settings.quiet => {
                let text = event.text(self.err, &self.zone);
                self.stderr(&text);
                Ok(())
            }
            Weight::Warned => Ok(()),
            Weight::Failure | Weight::News | Weight::Routine if self.settings.quiet => Ok(()),
            Weight::Routine if !self.drawn.is_empty() => Ok(()),
            Weight::Failure | Weight::News | Weight::Routine => {
                let text = event.text(self.out, &self.zone);
                let text = super::fit(&text, self.streams.stdout_is_terminal);
                let text = self.events_left_out.remark() + &text;
                self.event_text(&text)
            }
        }
    }

    /// Writes an event, or counts that it is left out.
    fn event_text(&mut self, text: &str) -> io::Result<()> {
        self.erase();
        let put = self.streams.put(Stream::Data, text.as_bytes())?;
        self.events_left_out.count(put);
        Ok(())
    }
}

// --- keep -----------------------------------------------------------------------------------------

/// One event of `sipreg keep --json`. Every key is always there; what does not apply is null, [] or 0.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg keep --json")]
pub struct KeepDetails {
    /// What `sipreg register` would say.
    #[serde(flatten)]
    registration: RegistrationFields,
    /// Seconds until the next try. Null if there is none.
    next_attempt_in: Option<f64>,
    /// Seconds that it is still bound, as far as is known. Null if it is not.
    bound_for: Option<f64>,
    /// `incoming`: what somebody wanted.
    method: Option<String>,
    /// `incoming`: who they said they are; their URI.
    from: Option<String>,
    /// `incoming`: how many requests it stands for, of which this is the last; 1 unless there are too many to tell each.
    /// 0 for every other event.
    count: u64,
    /// `registered`, `refreshed`: where the registrar is from now on, if it said so; its URI.
    moved_to: Option<String>,
    /// `nat`: the address and port that the registrar sees us at; null if there is no NAT any more.
    address: Option<String>,
    /// `nat`: the longest time between two keep-alives, in seconds. Null if none are sent.
    interval: Option<f64>,
    /// `reload_failed`: the configuration file. `error` says what is wrong with it.
    file: Option<String>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Name")]
pub enum KeepEventName {
    /// A try begins, and nothing is bound yet or any more.
    Registering,
    /// It is bound.
    Registered,
    /// It is bound for longer.
    Refreshed,
    /// A try failed.
    Failed,
    /// The connection broke over which it was bound.
    FlowFailed,
    /// The address of this device has changed: it is bound anew.
    NetworkChanged,
    /// There is a NAT between this device and the registrar, or something about it has changed: `address`, `interval`.
    Nat,
    /// Somebody called, and was answered with `status`.
    Incoming,
    /// Another device was bound or is no longer: `bindings` has all.
    BindingsChanged,
    /// The binding is removed.
    Unregistered,
    /// It is kept no longer: the last event of this account. `error` says why it may be bound still.
    Stopped,
    /// The configuration could not be read again: all stays as it was, of every account.
    ReloadFailed,
}

impl fmt::Display for KeepEventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The JSON Schema of [`KeepEvent`].
#[must_use]
pub fn keep_schema() -> String {
    schema_of::<KeepEvent>()
}

impl KeepEvent {
    /// An event of the account `aor`, which is bound `until` then.
    #[must_use]
    pub fn of(aor: &str, what: &AccountEvent, until: Option<Time>, now: Time) -> KeepEvent {
        use KeepEventName as Name;
        let bare = || RegistrationFields::of_aor(aor.to_owned());
        let full = |report: &Report| {
            let fields = RegistrationFields::of(report, Some(aor.to_owned()));
            match &report.result {
                Ok(_) => fields,
                Err(failure) => fields.with_error(diagnose(failure, report)),
            }
        };
        let failed = |kind, message| bare().with_error(Fault::new(kind, message, None));
        let event = |event, registration, next: Option<Time>| {
            let span = |at: Time| rounded_seconds(at.since(now));
            let bound_for = until.filter(|until| now < *until).map(span);
            let next_attempt_in = next.map(span);
            let details = KeepDetails {
                registration,
                next_attempt_in,
                bound_for,
                method: None,
                from: None,
                count: 0,
                moved_to: None,
                address: None,
                interval: None,
                file: None,
            };
            Event { event, time: now, dropped_events: 0, details }
        };
        match what {
            AccountEvent::Registering => event(Name::Registering, bare(), None),
            AccountEvent::Registered { report, next, .. } => {
                event(Name::Registered, full(report), Some(*next)).moved_by(report)
            }
            AccountEvent::Refreshed { report, next, .. } => {
                event(Name::Refreshed, full(report), Some(*next)).moved_by(report)
            }
            AccountEvent::Failed { report, next, .. } => event(Name::Failed, full(report), *next),
            AccountEvent::FlowFailed { cause, words, next } => {
                let message = broken(*cause) + &words.as_ref().map(last_words).unwrap_or_default();
                event(Name::FlowFailed, failed(Exit::Unreachable, message), Some(*next))
            }
            AccountEvent::NetworkChanged => event(Name::NetworkChanged, bare(), None),
            AccountEvent::Nat { seen, interval } => {
                let mut event = event(Name::Nat, bare(), None);
                event.details.address = seen.map(|seen| seen.to_string());
                event.details.interval = interval.map(rounded_seconds);
                event
            }
            AccountEvent::Incoming { method, from, status } => {
                let mut event = event(Name::Incoming, bare().with_status(*status), None);
                event.details.method = Some(method.clone());
                event.details.from = Some(from.clone());
                event.details.count = 1;
                event
            }
            AccountEvent::Unregistered(report) => event(Name::Unregistered, full(report), None),
            AccountEvent::Stopped(Departure::Unconfirmed) => {
                let message = "no answer in time: the binding may be there still".to_owned();
                event(Name::Stopped, failed(Exit::Timeout, message), None)
            }
            AccountEvent::Stopped(Departure::Unbound | Departure::Removed) => {
                event(Name::Stopped, bare(), None)
            }
        }
    }

    fn moved_by(mut self, report: &Report) -> KeepEvent {
        self.details.moved_to = report.moved_to.as_ref().map(ToString::to_string);
        self
    }

    /// The end of an account whose binding may be there still, for its removal ended so. Its time is that of the removal.
    #[must_use]
    pub fn not_removed(
        aor: &str,
        failure: &Failure,
        report: &Report,
        until: Option<Time>,
        now: Time,
    ) -> KeepEvent {
        let mut fault = diagnose(failure, report);
        fault.message = format!("the binding may be there still: {}", fault.message);
        let mut event = KeepEvent::of(aor, &AccountEvent::Stopped(Departure::Unconfirmed), until, now);
        event.details.registration = RegistrationFields::of(report, Some(aor.to_owned())).with_error(fault);
        event
    }

    /// The configuration in that file can't be read again.
    #[must_use]
    pub fn reload_failed(file: Option<String>, error: Fault, now: Time) -> KeepEvent {
        let mut event = KeepEvent::of("", &AccountEvent::NetworkChanged, None, now);
        event.event = KeepEventName::ReloadFailed;
        event.details.registration.aor = None;
        event.details.registration = event.details.registration.with_error(error);
        event.details.file = file;
        event
    }

    /// The event that other devices are bound than before, made of the event with the answer that says so.
    #[must_use]
    pub fn into_bindings_changed(mut self) -> KeepEvent {
        self.event = KeepEventName::BindingsChanged;
        self.details.next_attempt_in = None;
        self
    }

    /// The event for so many requests, at that time.
    #[must_use]
    pub fn counted(mut self, count: u64, now: Time) -> KeepEvent {
        (self.details.count, self.time) = (count, now);
        self
    }

    /// Whether it is told since somebody else wanted something, and not for what became of the account itself.
    #[must_use]
    pub fn is_of_strangers(&self) -> bool {
        self.event == KeepEventName::Incoming
    }

    /// The AOR of the account.
    #[must_use]
    pub fn aor(&self) -> &str {
        self.details.registration.aor.as_deref().unwrap_or_default()
    }

    /// The name of the event, as scripts know it.
    #[must_use]
    pub fn name(&self) -> String {
        self.event.to_string()
    }

    fn others(&self) -> String {
        let live = |binding: &&Binding| !binding.own && binding.expires > 0;
        let others: Vec<&str> =
            self.details.registration.bindings.iter().filter(live).map(|other| &*other.uri).collect();
        let named = others.iter().take(OTHERS_SHOWN).copied().collect::<Vec<_>>().join(", ");
        match others.len() {
            0 => "no other device is bound any more".to_owned(),
            1 => format!("also bound: {named}"),
            many => {
                format!("{many} others are bound: {named}{}", if many > OTHERS_SHOWN { ", ..." } else { "" })
            }
        }
    }
}

impl ForPeople for KeepEvent {
    fn text(&self, paint: Paint, zone: &Zone) -> String {
        use KeepEventName as Name;
        let KeepDetails { registration, next_attempt_in, bound_for, method, from, count, .. } = &self.details;
        let KeepDetails { address, interval, .. } = &self.details;
        let aor = short(self.aor());
        let error = registration.error.as_ref();
        let message = error.map(human::with_remarks).unwrap_or_default();
        let bound_for = bound_for.map(span);
        let next = next_attempt_in.map(span);
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        let (mark, text) = match self.event {
            Name::Registering => (paint.strong("registering "), aor.to_owned()),
            Name::Registered | Name::Refreshed => {
                let mark = if self.event == Name::Registered { "registered  " } else { "refreshed   " };
                let text = format!("{aor} for {}, next in {}", or_nothing(&bound_for), or_nothing(&next));
                (paint.good(mark), text)
            }
            Name::Failed => {
                let still = bound_for.map(|span| format!("; bound for {span} more")).unwrap_or_default();
                let then = match &next {
                    Some(next) => format!("; next try in {next}"),
                    None => "; not tried again".to_owned(),
                };
                (paint.bad("failed      "), format!("{aor}: {message}{still}{then}"))
            }
            Name::FlowFailed => {
                let text = format!("{aor}: {message}; next try in {}", or_nothing(&next));
                (paint.odd("flow failed "), text)
            }
            Name::NetworkChanged => (paint.odd("moved       "), format!("{aor}: the network has changed")),
            Name::Nat => {
                let seen = address
                    .as_ref()
                    .map_or_else(|| "seen where it is".to_owned(), |seen| format!("seen as {seen}"));
                let open = interval.map(|interval| format!(", kept open every {}", span(interval)));
                let mark = if address.is_some() { "behind a NAT" } else { "no NAT      " };
                (paint.odd(mark), format!("{aor}: {seen}{}", or_nothing(&open)))
            }
            Name::Incoming => {
                let (method, from) = (or_nothing(method), or_nothing(from));
                let status = registration.status.unwrap_or_default();
                let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
                (paint.strong("incoming    "), format!("{aor}: {method} from {from}: {status}{times}"))
            }
            Name::BindingsChanged => (paint.strong("changed     "), format!("{aor}: {}", self.others())),
            Name::Unregistered => (paint.good("unregistered"), aor.to_owned()),
            Name::Stopped => match error {
                Some(_) => (paint.bad("stopped     "), format!("{aor}: {message}")),
                None => (paint.strong("stopped     "), aor.to_owned()),
            },
            Name::ReloadFailed => (paint.bad("not reread  "), message),
        };
        let hint = error.and_then(|error| error.hint.as_deref());
        let hint = hint.filter(|_| self.event == Name::Failed && next.is_none());
        self.row(&mark, &text, zone) + &hint.map(|hint| human::hint(hint, paint)).unwrap_or_default()
    }

    fn weight(&self) -> Weight {
        use KeepEventName as Name;
        match self.event {
            Name::Registering | Name::Refreshed => Weight::Routine,
            Name::Failed => Weight::Failure,
            Name::ReloadFailed => Weight::Warned,
            Name::Nat if self.details.interval.is_none() && self.details.address.is_some() => Weight::Warned,
            Name::Stopped if self.details.registration.error.is_some() => Weight::Failure,
            Name::Registered
            | Name::FlowFailed
            | Name::NetworkChanged
            | Name::Nat
            | Name::Incoming
            | Name::BindingsChanged
            | Name::Unregistered
            | Name::Stopped => Weight::News,
        }
    }
}

fn broken(cause: Option<Cause>) -> String {
    match cause {
        Some(Cause::Keepalive(fault)) => fault.to_string(),
        Some(cause) => format!("the connection broke: {cause}"),
        None => "the registrar closed the connection".to_owned(),
    }
}

/// An AOR without its scheme.
pub(super) fn short(aor: &str) -> &str {
    aor.strip_prefix("sip:").unwrap_or(aor)
}

/// As a person says it, in whole seconds, the last one counted.
pub(super) fn span(exact: f64) -> String {
    // A cast from float to integer saturates.
    seconds(exact.ceil() as u32)
}

/// Whole seconds until then, the last one counted.
pub(super) fn seconds_until(at: Time, now: Time) -> u32 {
    u32::try_from(at.since(now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

// --- serve ----------------------------------------------------------------------------------------

/// One event of `sipreg serve --json`. Every key is always there; what does not apply is null.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "sipreg serve --json")]
pub struct ServeDetails {
    /// `listening`: `udp`, `tcp`, `tls`, `ws` or `wss`. `handshake_failed`: `tls`, `ws` or `wss`.
    transport: Option<String>,
    /// `listening`: address and port; IPv6 in brackets.
    address: Option<String>,
    /// Whose bindings it is about; `routed`: whom the request is for; `auth_failed` of a call: who the caller said to be.
    aor: Option<String>,
    /// The URI that was bound, refreshed or removed, or that ran out.
    contact: Option<String>,
    /// Seconds that it is bound for.
    expires: Option<u32>,
    /// `routed`: what somebody wants.
    method: Option<String>,
    /// `routed`: who they say they are; their URI.
    from: Option<String>,
    /// `routed`: the URIs that it goes to, or went to, in their order.
    targets: Option<Vec<String>>,
    /// `overload`: what there is too much of.
    limit: Option<LimitName>,
    /// Address and port of who sent it.
    peer: Option<String>,
    /// `unanswered`, `handshake_failed`: the address that the other side sends from, without port. `rate_limited`: an IPv4
    /// address, or a network of IPv6 with its length.
    source: Option<String>,
    /// `handshake_failed`: what was wrong.
    cause: Option<HandshakeCause>,
    /// `auth_failed`: as whom.
    username: Option<String>,
    /// `reload_failed`: the file, of users or of certificates.
    file: Option<String>,
    /// `malformed`: the status it was answered with; null if it was not. `routed`: the final status; null when the
    /// request has just been forwarded.
    status: Option<u16>,
    /// What is wrong, in words.
    message: Option<String>,
    /// `unanswered`: what to do about it.
    hint: Option<String>,
    /// How many events like this one there were since the last that was told; 1 unless there are too many to tell each.
    /// `rate_limited`: requests without an answer and logins that got 503. `overload`: requests that got 503.
    count: u64,
}

/// What there can be too much of while calls are routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Limit")]
pub enum LimitName {
    /// Calls in progress: `--max-calls`.
    Calls,
    /// Memory for requests in progress.
    Memory,
}

impl From<Crowd> for LimitName {
    fn from(what: Crowd) -> LimitName {
        match what {
            Crowd::Calls => LimitName::Calls,
            Crowd::Memory => LimitName::Memory,
        }
    }
}

/// What kept a connection from being usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeCause {
    /// Something else than TLS came.
    NotTls,
    /// There is no version of TLS that both sides speak.
    TlsVersion,
    /// The client's certificate, or one above it, has run out.
    CertificateExpired,
    /// The client's certificate, or one above it, is not good yet.
    CertificateNotYetValid,
    /// Nobody of `--tls-client-ca` vouches for the client's certificate.
    CertificateIssuer,
    /// The client's certificate is signed by itself.
    CertificateSelfSigned,
    /// The client's certificate can't be used for another reason.
    CertificateUnusable,
    /// The client does not trust the certificate of this server.
    CertificateRefused,
    /// The TLS handshake failed otherwise.
    Tls,
    /// Something else than a WebSocket was asked for.
    NotWebsocket,
    /// A WebSocket was asked for, but not for `sip`.
    NoSubprotocol,
    /// The page is not one of `--ws-origin`.
    Origin,
    /// More came than a handshake may have.
    TooLong,
    /// Nothing came in time.
    Silent,
    /// The other side went away.
    Closed,
    /// Too many handshakes are under way, of all sources or of this one.
    TooMany,
    /// The network failed.
    Network,
}

impl From<Cause> for HandshakeCause {
    fn from(cause: Cause) -> HandshakeCause {
        match cause {
            Cause::Untrusted(why) => match why {
                Untrusted::NotTls => HandshakeCause::NotTls,
                Untrusted::Version => HandshakeCause::TlsVersion,
                Untrusted::Expired => HandshakeCause::CertificateExpired,
                Untrusted::NotYetValid => HandshakeCause::CertificateNotYetValid,
                Untrusted::Issuer | Untrusted::Incomplete => HandshakeCause::CertificateIssuer,
                Untrusted::SelfSigned => HandshakeCause::CertificateSelfSigned,
                Untrusted::Name | Untrusted::Purpose | Untrusted::Authority | Untrusted::Broken => {
                    HandshakeCause::CertificateUnusable
                }
                Untrusted::ClientCertificateRefused(_) => HandshakeCause::CertificateRefused,
                Untrusted::ClientCertificateWanted(_) | Untrusted::Alert(_) | Untrusted::Handshake => {
                    HandshakeCause::Tls
                }
            },
            Cause::Upgrade(fault) => match fault {
                UpgradeFault::Subprotocol => HandshakeCause::NoSubprotocol,
                UpgradeFault::NotWebSocket | UpgradeFault::Status(_) => HandshakeCause::NotWebsocket,
                UpgradeFault::TooLong => HandshakeCause::TooLong,
                UpgradeFault::Origin => HandshakeCause::Origin,
            },
            Cause::TimedOut => HandshakeCause::Silent,
            Cause::Reset => HandshakeCause::Closed,
            Cause::Exhausted => HandshakeCause::TooMany,
            Cause::Refused
            | Cause::Unreachable
            | Cause::ProtocolUnreachable
            | Cause::TooLarge
            | Cause::LocalAddress
            | Cause::Denied
            | Cause::WebSocket(_)
            | Cause::Keepalive(_)
            | Cause::Other(_) => HandshakeCause::Network,
        }
    }
}

/// What was wrong with a handshake, for people.
fn unusable(cause: Cause) -> String {
    match cause {
        Cause::Untrusted(Untrusted::ClientCertificateRefused(alert)) => {
            format!("the other side does not trust our certificate: {alert}")
        }
        Cause::TimedOut => "it did not come to an end in time".to_owned(),
        Cause::Reset => "the other side went away".to_owned(),
        Cause::Exhausted => "too many are under way".to_owned(),
        Cause::Untrusted(_)
        | Cause::Upgrade(_)
        | Cause::WebSocket(_)
        | Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TooLarge
        | Cause::LocalAddress
        | Cause::Denied
        | Cause::Keepalive(_)
        | Cause::Other(_) => cause.to_string(),
    }
}

/// What can happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Name")]
pub enum ServeEventName {
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
    /// A request for an address was forwarded; told again when its final status is decided.
    Routed,
    /// Credentials were refused.
    AuthFailed,
    /// A device was challenged three times and never answered: told once for each.
    Unanswered,
    /// Something came that could not be served.
    Malformed,
    /// A connection was closed because it was silent, slow, or one too many.
    Dropped,
    /// Requests were not forwarded but got 503, because too much is in progress.
    Overload,
    /// A connection over TLS or WebSocket came in and was never usable.
    HandshakeFailed,
    /// The users or certificates could not be read again: they stay as they were.
    ReloadFailed,
    /// The bindings can't be changed where they are kept: changes get 503, lists and calls go on.
    StoreFailed,
    /// The bindings can be changed again.
    StoreBack,
    /// A source has sent more than it may without proving who it is, or logins of it have failed too often: told when that is over, or goes on.
    RateLimited,
    /// It serves no more: the last event.
    Stopped,
}

/// The JSON Schema of [`ServeEvent`].
#[must_use]
pub fn serve_schema() -> String {
    schema_of::<ServeEvent>()
}

impl ServeEvent {
    /// An event of the server; `None` for the failure that ends it before it has begun.
    #[must_use]
    pub fn of(what: &ServerEvent, now: Time) -> Option<ServeEvent> {
        use ServeEventName as Name;
        let event = |event, details| Some(Event { event, time: now, dropped_events: 0, details });
        let none = ServeDetails { count: 1, ..ServeDetails::default() };
        let from = |peer: &SocketAddr| Some(peer.to_string());
        match what {
            ServerEvent::CannotListen { .. } => None,
            ServerEvent::Listening { transport, address } => {
                let (transport, address) = (Some(transport.to_string()), Some(address.to_string()));
                event(Name::Listening, ServeDetails { transport, address, ..none })
            }
            ServerEvent::Changed { effect, expires, peer } => {
                let name = match effect.fate {
                    Fate::Bound => Name::Bound,
                    Fate::Refreshed => Name::Refreshed,
                    Fate::Removed => Name::Removed,
                    Fate::Expired => Name::Expired,
                };
                let details = ServeDetails {
                    aor: Some(effect.aor.to_string()),
                    contact: Some(uri_of(&effect.contact).to_owned()),
                    expires: expires.map(|at| seconds_until(at, now)),
                    peer: peer.as_ref().and_then(from),
                    ..none
                };
                event(name, details)
            }
            ServerEvent::AuthFailed { peer, aor, username, why } => {
                let details = ServeDetails {
                    aor: Some(aor.to_string()),
                    peer: from(peer),
                    username: Some(username.to_string()),
                    message: Some(why.to_string()),
                    ..none
                };
                event(Name::AuthFailed, details)
            }
            ServerEvent::Unanswered { peer, aor, offers } => {
                let (message, hint) = unanswered(offers);
                let details = ServeDetails {
                    aor: Some(aor.to_string()),
                    peer: from(peer),
                    source: Some(peer.ip().to_canonical().to_string()),
                    message: Some(message),
                    hint: Some(hint),
                    ..none
                };
                event(Name::Unanswered, details)
            }
            ServerEvent::Malformed { peer, what, status } => {
                let (peer, message) = (from(peer), Some(what.clone()));
                event(Name::Malformed, ServeDetails { peer, message, status: *status, ..none })
            }
            ServerEvent::Dropped { peer, why } => {
                let (peer, message) = (from(peer), Some(why.to_string()));
                event(Name::Dropped, ServeDetails { peer, message, ..none })
            }
            ServerEvent::RateLimited { source, unanswered, logins } => {
                let (source, message) = (Some(network(*source)), Some(left_out(*unanswered, *logins)));
                let count = unanswered + logins;
                event(Name::RateLimited, ServeDetails { source, message, count, ..none })
            }
            ServerEvent::Routed { aor, method, from, targets, status } => {
                let details = ServeDetails {
                    aor: Some(aor.to_string()),
                    method: Some(method.to_string()),
                    from: Some(from.to_string()),
                    targets: Some(targets.iter().map(|target| uri_of(target).to_owned()).collect()),
                    status: *status,
                    ..none
                };
                event(Name::Routed, details)
            }
            ServerEvent::Overload { what, refused } => {
                let (limit, message) = (Some((*what).into()), Some(what.to_string()));
                event(Name::Overload, ServeDetails { limit, message, count: *refused, ..none })
            }
            ServerEvent::HandshakeFailed { transport, source, cause, count } => {
                let details = ServeDetails {
                    transport: Some(transport.to_string()),
                    source: Some(source.ip().to_canonical().to_string()),
                    cause: Some((*cause).into()),
                    message: Some(unusable(*cause)),
                    count: *count,
                    ..none
                };
                event(Name::HandshakeFailed, details)
            }
            ServerEvent::StoreFailed { why } => {
                event(Name::StoreFailed, ServeDetails { message: Some(why.to_string()), ..none })
            }
            ServerEvent::StoreBack => event(Name::StoreBack, none),
            ServerEvent::Stopped => event(Name::Stopped, none),
        }
    }
}

impl ServeEvent {
    /// The users in that file can't be read again.
    #[must_use]
    pub fn reload_failed(file: String, message: String, now: Time) -> ServeEvent {
        let (file, message) = (Some(file), Some(message));
        let details = ServeDetails { file, message, count: 1, ..ServeDetails::default() };
        Event { event: ServeEventName::ReloadFailed, time: now, dropped_events: 0, details }
    }
}

impl ServeEvent {
    /// Who wants what of whom, and, as long as that is open, where it goes.
    fn way(&self) -> String {
        let ServeDetails { aor, method, from, targets, status, .. } = &self.details;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (aor, method, from) = (text(aor), text(method), text(from));
        let way = format!("{}: {method} from {}", short(&aor), short(&from));
        let targets = targets.as_deref().unwrap_or_default();
        match (status, targets.len()) {
            (Some(_), _) | (None, 0) => way,
            (None, many) => {
                // The user of a contact is mostly that of the address.
                let user =
                    short(&aor).split_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
                let place = |uri| short(uri).strip_prefix(&user).unwrap_or(short(uri));
                let named =
                    targets.iter().take(OTHERS_SHOWN).map(|uri| place(uri)).collect::<Vec<_>>().join(", ");
                format!("{way} to {named}{}", if many > OTHERS_SHOWN { ", ..." } else { "" })
            }
        }
    }
}

impl ForPeople for ServeEvent {
    fn text(&self, paint: Paint, zone: &Zone) -> String {
        use ServeEventName as Name;
        let details = &self.details;
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        let (peer, message) = (or_nothing(&details.peer), or_nothing(&details.message));
        let change = || {
            let (aor, contact) = (or_nothing(&details.aor), or_nothing(&details.contact));
            let span = details.expires.map(|left| format!(" for {}", seconds(left))).unwrap_or_default();
            format!("{}{span}: {contact}", short(&aor))
        };
        let (mark, mut text) = match self.event {
            Name::Listening => {
                let (transport, address) = (or_nothing(&details.transport), or_nothing(&details.address));
                return format!("Listening on {transport} {}\n", paint.strong(&address));
            }
            Name::Stopped => return "Stopped\n".to_owned(),
            Name::Bound => (paint.good("bound    "), change()),
            Name::Refreshed => (paint.good("refreshed"), change()),
            Name::Removed => (paint.strong("removed  "), change()),
            Name::Expired => (paint.strong("expired  "), change()),
            Name::Routed => {
                let way = self.way();
                match details.status {
                    None => (paint.strong("routed   "), way),
                    Some(status @ 200..300) => (paint.good("answered "), format!("{way}: {}", said(status))),
                    Some(status) => (paint.odd("ended    "), format!("{way}: {}", said(status))),
                }
            }
            Name::Overload => {
                let requests = if details.count == 1 { "request" } else { "requests" };
                (paint.bad("overload "), format!("{message}: {} {requests} got 503", details.count))
            }
            Name::AuthFailed => {
                let named = details.username.as_ref().filter(|name| !name.is_empty());
                let who = named.map(|name| format!(" as \"{name}\"")).unwrap_or_default();
                let aor = or_nothing(&details.aor);
                (paint.bad("refused  "), format!("{aor}{who}, from {peer}: {message}"))
            }
            Name::Unanswered => {
                let aor = or_nothing(&details.aor);
                (paint.odd("unanswered"), format!("{aor}, from {peer}: {message}"))
            }
            Name::Malformed => {
                let status = details.status.map(|status| format!(", answered with {status}"));
                let status = status.unwrap_or_default();
                (paint.odd("malformed"), format!("from {peer}: {message}{status}"))
            }
            Name::Dropped => (paint.odd("dropped  "), format!("the connection of {peer}: {message}")),
            Name::ReloadFailed => (paint.bad("not reread"), message),
            Name::HandshakeFailed => {
                let (transport, source) = (or_nothing(&details.transport), or_nothing(&details.source));
                (paint.odd("handshake"), format!("over {transport} from {source}: {message}"))
            }
            Name::StoreFailed => (paint.bad("store    "), format!("{}: changes get 503", escape(&message))),
            Name::StoreBack => (paint.good("store    "), "bindings can be changed again".to_owned()),
            Name::RateLimited => {
                let source = or_nothing(&details.source);
                (paint.odd("limited  "), format!("{source}: {message}"))
            }
        };
        if details.count > 1 && !matches!(self.event, Name::RateLimited | Name::Overload) {
            text += &format!(" ({} times)", details.count);
        }
        let hint = details.hint.as_deref().map(|hint| human::hint(hint, paint));
        self.row(&mark, &text, zone) + &hint.unwrap_or_default()
    }

    fn weight(&self) -> Weight {
        if self.event == ServeEventName::ReloadFailed { Weight::Warned } else { Weight::News }
    }
}

/// A status as people know it.
fn said(status: u16) -> String {
    format!("{status} {}", reason_phrase(status)).trim_end().to_owned()
}

/// What is said of a device that lets challenges pass, and what to do: old ones read the first challenge only.
fn unanswered(offers: &[Algorithm]) -> (String, String) {
    let names: Vec<&str> = offers.iter().map(|algorithm| algorithm.as_str()).collect();
    let message = format!("challenged three times with {}, and never answers", names.join(", "));
    let hint = match offers.first() {
        Some(Algorithm::Md5) => explain::NEVER_ANSWERS.hint,
        Some(Algorithm::Sha256 | Algorithm::Sha512_256) | None if !offers.contains(&Algorithm::Md5) => {
            explain::OFFERS_NO_MD5.hint
        }
        Some(Algorithm::Sha256 | Algorithm::Sha512_256) | None => explain::KNOWS_NO_SHA.hint,
    };
    (message, hint.to_owned())
}

/// A source as it is written: an IPv4 address, or a network of IPv6 addresses.
fn network(source: Ipv6Addr) -> String {
    match source.to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None => format!("{source}/64"),
    }
}

/// What a source did not get.
fn left_out(unanswered: u64, logins: u64) -> String {
    let some = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let both = [
        some(unanswered, "requests beyond --rate got no answer"),
        some(logins, "logins beyond --login-failures got 503"),
    ];
    both.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The URI of a contact as bindings hold it, which begins with its bracket.
fn uri_of(contact: &str) -> &str {
    let inside = contact.strip_prefix('<').unwrap_or(contact);
    inside.split_once('>').map_or(inside, |(uri, _)| uri)
}

/// Lets so many events of a flood through in a second, and counts those that it holds back.
#[derive(Debug, Default)]
pub struct Throttle {
    second: u64,
    passed: [u32; KINDS],
    /// The number of those held back, and the last of them.
    held_back: [(u64, Option<ServeEvent>); KINDS],
}

/// Kinds of events that come in floods.
const KINDS: usize = 7;

/// Events of one kind that pass within a second.
const PER_SECOND: u32 = 20;

/// How many events of one kind have passed within this second.
#[derive(Debug, Default)]
pub struct Rate {
    second: u64,
    passed: u32,
}

impl Rate {
    /// Whether one more passes now.
    pub fn admits(&mut self, now: Time) -> bool {
        let second = now.as_millis() / 1000;
        if second != self.second {
            (self.second, self.passed) = (second, 0);
        }
        let admits = self.passed < PER_SECOND;
        self.passed += u32::from(admits);
        admits
    }
}

impl Throttle {
    /// The event with how many it stands for; `None`: it is held back.
    pub fn admit(&mut self, mut event: ServeEvent) -> Option<ServeEvent> {
        let kind = match event.event {
            ServeEventName::AuthFailed => 0,
            ServeEventName::Malformed => 1,
            ServeEventName::Dropped => 2,
            ServeEventName::Unanswered => 3,
            ServeEventName::RateLimited => 4,
            // It reached nobody: strangers can have any number of those.
            ServeEventName::Routed if event.details.targets.as_ref().is_some_and(Vec::is_empty) => 5,
            ServeEventName::HandshakeFailed => 6,
            ServeEventName::Listening
            | ServeEventName::Bound
            | ServeEventName::Refreshed
            | ServeEventName::Removed
            | ServeEventName::Expired
            | ServeEventName::Routed
            | ServeEventName::Overload
            | ServeEventName::ReloadFailed
            | ServeEventName::StoreFailed
            | ServeEventName::StoreBack
            | ServeEventName::Stopped => return Some(event),
        };
        let second = event.time.as_millis() / 1000;
        if second != self.second {
            self.second = second;
            self.passed = [0; KINDS];
        }
        let (passed, held_back) = (self.passed.get_mut(kind)?, self.held_back.get_mut(kind)?);
        if *passed >= PER_SECOND {
            *held_back = (held_back.0 + event.details.count, Some(event));
            return None;
        }
        *passed += 1;
        event.details.count += std::mem::take(held_back).0;
        Some(event)
    }

    /// The events that are still held back, with their counts. Nothing may come after them.
    pub fn rest(&mut self, now: Time) -> impl Iterator<Item = ServeEvent> {
        std::mem::take(&mut self.held_back).into_iter().filter_map(move |(count, last)| {
            let mut event = last?;
            (event.time, event.details.count) = (now, count);
            Some(event)
        })
    }
}

/// The introduction of a server, before anything happens.
#[derive(Debug)]
pub struct Banner {
    /// The domains that it serves.
    pub domains: Vec<String>,
    /// The users who may register, in words.
    pub access: String,
    /// Where bindings are kept and how many, in words, if they outlive the server.
    pub kept: Option<String>,
    /// What it is called among other servers, and the place where they reach it, in words.
    pub node: Option<String>,
    /// A command to try it with.
    pub next: String,
    /// The address of the metrics.
    pub metrics: Option<SocketAddr>,
}

impl Reporter<'_, '_> {
    /// Prints the introduction of a server.
    ///
    /// # Errors
    /// Those of writing to stdout.
    pub fn banner(&mut self, banner: &Banner) -> io::Result<()> {
        if self.settings.quiet || self.settings.json {
            return Ok(());
        }
        let Banner { domains, access, kept, node, next, metrics } = banner;
        let kept = kept.as_deref().map(|kept| format!("Bindings in {}\n", escape(kept))).unwrap_or_default();
        let node = node.as_deref().map(|node| format!("Node {node}\n")).unwrap_or_default();
        let metrics = metrics.map(|at| format!("Metrics at http://{at}/metrics\n")).unwrap_or_default();
        let text = format!(
            "{metrics}{kept}{node}Registrar for {}; {access}\nTry it, in another terminal:\n  {}\n",
            domains.join(", "),
            self.out.strong(next)
        );
        self.stdout(text.as_bytes())
    }
}
