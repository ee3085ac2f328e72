//! The JSON object. Names, order and types are a promise to scripts; `--json-schema` is made of the same
//! structs, so that it can't say anything else. Absent values are null, never left out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use crate::proto::client::outcome::{self, AttemptResult, Listed, Remote, Report, Success};
use crate::proto::client::plan::Purpose;
use crate::proto::identity::TlsSession;
use crate::proto::{Cause, ResolveError};
use crate::sip::NameAddr;

use crate::cli::exit::Fault;
use crate::cli::text::{json_line, rfc3339, tenths};

/// What came of one `sipreg` command. Every key is always there; what is not known is null, [] or 0.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "sipreg --json")]
pub struct Object {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    schema: u8,
    /// The command, null if none was recognised.
    command: Option<CommandName>,
    /// Whether the registrar confirmed what was asked for. The exit status is 0 exactly then.
    ok: bool,
    /// What was achieved.
    outcome: Outcome,
    /// What there is to say of it.
    #[serde(flatten)]
    registration: RegistrationFields,
}

/// What there is to say of a registration.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct RegistrationFields {
    /// The address of record. Null if it could not be read.
    pub(super) aor: Option<String>,
    /// Status code of the last final response. Null if there was none.
    pub(super) status: Option<u16>,
    /// Reason phrase of that response, as it came.
    reason: Option<String>,
    /// Seconds granted to the first contact that was asked for; 0 if it was removed. Null for `list` and `--all`.
    expires: Option<u32>,
    /// The first contact that was asked for, as the registrar lists it.
    contact: Option<String>,
    /// What each contact that was asked for was granted, in the order of the command line. Empty for `list` and `--all`.
    contacts: Vec<Contact>,
    /// Every binding of the AOR, as the registrar lists them.
    pub(super) bindings: Vec<Binding>,
    /// Where the last request went.
    registrar: Registrar,
    /// The challenges that the last request answered.
    auth: Vec<Auth>,
    /// Service-Route in order (RFC 3608), each with its angle brackets.
    service_route: Vec<String>,
    /// Path in order (RFC 3327), each with its angle brackets.
    path: Vec<String>,
    /// Public GRUU of the own binding (RFC 5627).
    pub_gruu: Option<String>,
    /// Temporary GRUU of the own binding (RFC 5627).
    temp_gruu: Option<String>,
    /// The address and port that the other side saw, if it is not the local one: a NAT is in between.
    received: Option<String>,
    /// Call-ID of all requests. Null if none was sent.
    call_id: Option<String>,
    /// CSeq number of the last request. Null if none was sent.
    cseq: Option<u32>,
    /// Requests sent, without retransmissions.
    requests: u32,
    /// Requests sent once more because no answer came.
    retransmissions: u32,
    /// Milliseconds from start to outcome, with at most one decimal.
    elapsed_ms: f64,
    /// One entry per destination, in the order they were tried.
    attempts: Vec<Attempt>,
    /// Why it failed. Null if it did not.
    pub(super) error: Option<Fault>,
}

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum CommandName {
    /// `sipreg register`.
    Register,
    /// `sipreg keep`.
    Keep,
    /// `sipreg list`.
    List,
    /// `sipreg unregister`.
    Unregister,
    /// `sipreg check`.
    Check,
    /// `sipreg serve`.
    Serve,
    /// `sipreg demo`.
    Demo,
}

/// What was achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The contacts are bound.
    Registered,
    /// The contacts are gone.
    Unregistered,
    /// The bindings are listed.
    Listed,
    /// The whole way was looked at, and nothing failed.
    Checked,
    /// None of these.
    Failed,
}

/// A contact that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct Contact {
    /// Its URI, as the registrar lists it.
    uri: String,
    /// Seconds granted; 0 if it was removed.
    expires: u32,
}

/// A binding as the registrar lists it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Binding {
    /// Where calls go.
    pub(super) uri: String,
    /// Seconds it has left.
    pub(super) expires: u32,
    /// Preference from 0 to 1. Null if it says none.
    #[schemars(range(min = 0, max = 1))]
    q: Option<f64>,
    /// Whether it is one of the contacts that were asked for, or this device's.
    pub(super) own: bool,
    /// The Contact's other parameters, without quotes; null for those without a value.
    params: BTreeMap<String, Option<String>>,
}

/// Where the last request went.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Registrar {
    /// The Request-URI.
    uri: Option<String>,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    transport: Option<String>,
    /// Address and port that the answer came from; without an answer, where it was sent to. IPv6 in brackets.
    remote: Option<String>,
    /// Address and port it was sent from.
    local: Option<String>,
    /// Over TLS: who is there, and how sure that is; also where that is why it failed, as far as it is known. Else null.
    tls: Option<Tls>,
}

/// A TLS session, and the certificate that the server showed.
#[derive(Debug, Serialize, JsonSchema)]
struct Tls {
    /// `1.2` or `1.3`. Null if that was not agreed.
    version: Option<String>,
    /// The cipher suite by its registered name.
    cipher: Option<String>,
    /// Whom the certificate is for, as a distinguished name. Null if none was shown.
    subject: Option<String>,
    /// Who vouches for it.
    issuer: Option<String>,
    /// When it runs out: RFC 3339, UTC.
    not_after: Option<String>,
    /// The name that it was verified for, or had to be. Null with `--tls-insecure`.
    name: Option<String>,
    /// Whether the certificate is good, and that of the one who was meant. False with `--tls-insecure`.
    verified: bool,
}

/// A challenge that was answered.
#[derive(Debug, Serialize, JsonSchema)]
struct Auth {
    /// `Digest`.
    scheme: String,
    /// The hash algorithm, such as MD5 or SHA-256.
    algorithm: String,
    /// `auth`, `auth-int`, or null for a challenge without qop.
    qop: Option<String>,
    /// Protection domain.
    realm: String,
}

/// A destination that was tried.
#[derive(Debug, Serialize, JsonSchema)]
struct Attempt {
    /// `udp`, `tcp`, `tls`, `ws` or `wss`. Null when no address was found.
    transport: Option<String>,
    /// Address and port. Null when no address was found.
    remote: Option<String>,
    /// The status of the final response as text ("200"), or: `timeout`, nothing came in time; `refused`, nobody listens
    /// there, or the own system would not carry it there; `unreachable`, the network has no way there; `closed`, the
    /// connection ended without an answer; `tls`, TLS failed; `handshake`, a WebSocket was refused; and where the name service gave no address: `no_such_name`, there is no such
    /// name; `no_records`, it has no address that may be used; `dns_failed`, the name server failed; `dns_silent`, none
    /// answered.
    #[schemars(regex(
        pattern = r"^([1-6][0-9][0-9]|timeout|refused|unreachable|closed|tls|handshake|no_such_name|no_records|dns_failed|dns_silent)$"
    ))]
    result: String,
    /// The name of the host that has the address, or that has none. Null where the address itself was named.
    target: Option<String>,
}

impl Object {
    /// A command that ended before there was a report.
    #[must_use]
    pub fn without_report(command: Option<CommandName>, aor: Option<String>) -> Object {
        Object {
            schema: 1,
            command,
            ok: false,
            outcome: Outcome::Failed,
            registration: RegistrationFields { aor, ..RegistrationFields::default() },
        }
    }

    /// The object of a report. The reason for a failure is added by [`Object::with_error`].
    #[must_use]
    pub fn of(command: Option<CommandName>, report: &Report, aor: Option<String>) -> Object {
        let registration = RegistrationFields::of(report, aor);
        let (ok, outcome) = match &report.result {
            Err(_) => (false, Outcome::Failed),
            Ok(success) => match report.purpose {
                Purpose::Fetch => (true, Outcome::Listed),
                Purpose::Bind { .. } if !is_removal(success) => (true, Outcome::Registered),
                Purpose::Bind { .. } | Purpose::Remove | Purpose::RemoveAll => (true, Outcome::Unregistered),
            },
        };
        Object { schema: 1, command, ok, outcome, registration }
    }

    /// Makes it a failure, whatever it was.
    #[must_use]
    pub fn with_error(self, fault: Fault) -> Object {
        let registration = self.registration.with_error(fault);
        Object { ok: false, outcome: Outcome::Failed, registration, ..self }
    }

    /// With what all experiments of a check did: the destinations that were looked at, and the requests and copies.
    #[must_use]
    pub fn of_check(
        self,
        attempts: Vec<outcome::Attempt>,
        (requests, retransmissions): (u32, u32),
        elapsed: Duration,
    ) -> Object {
        let attempts = attempts.iter().map(Attempt::of).collect();
        let elapsed_ms = tenths(elapsed);
        let registration =
            RegistrationFields { attempts, requests, retransmissions, elapsed_ms, ..self.registration };
        Object { registration, ..self }
    }

    /// Makes it a check in which nothing failed.
    #[must_use]
    pub fn checked(self, ok: bool) -> Object {
        Object { ok, outcome: Outcome::Checked, ..self }
    }

    /// One line, with its line end.
    #[must_use]
    pub fn line(&self) -> String {
        json_line(self)
    }
}

impl RegistrationFields {
    /// The fields of a report. The reason for a failure is added by [`RegistrationFields::with_error`].
    #[must_use]
    pub fn of(report: &Report, aor: Option<String>) -> RegistrationFields {
        let address = |address: SocketAddr| address.to_string();
        let sent = report.requests > 0;
        let hop = report.hop.filter(|_| sent);
        let fields = RegistrationFields {
            status: report.response.as_ref().map(|(status, _)| *status),
            reason: report.response.as_ref().map(|(_, reason)| reason.clone()),
            registrar: Registrar {
                uri: Some(report.request_uri.to_string()),
                transport: hop.map(|hop| hop.transport.to_string()),
                remote: hop.map(|hop| address(hop.remote)),
                local: hop.map(|hop| address(hop.local)),
                tls: report.tls.as_deref().map(Tls::of),
            },
            auth: report.auth.iter().map(Auth::of).collect(),
            received: report.received.map(address),
            call_id: sent.then(|| report.call_id.to_string()),
            cseq: sent.then_some(report.cseq),
            requests: report.requests,
            retransmissions: report.retransmissions,
            elapsed_ms: tenths(report.elapsed),
            attempts: report.attempts.iter().map(Attempt::of).collect(),
            aor,
            ..RegistrationFields::default()
        };
        match &report.result {
            Ok(success) => fields.with_success(success),
            Err(_) => fields,
        }
    }

    fn with_success(self, success: &Success) -> RegistrationFields {
        let first = success.contacts.first();
        let own = success.bindings.iter().find(|binding| binding.own);
        let gruu = |name| own.and_then(|own| own.contact.params.get(name).flatten()).map(str::to_owned);
        RegistrationFields {
            expires: first.map(|granted| granted.expires),
            contact: first.map(|granted| granted.uri.to_string()),
            contacts: success
                .contacts
                .iter()
                .map(|granted| Contact { uri: granted.uri.to_string(), expires: granted.expires })
                .collect(),
            bindings: success.bindings.iter().map(Binding::of).collect(),
            service_route: success.service_route.iter().map(NameAddr::to_string).collect(),
            path: success.path.iter().map(NameAddr::to_string).collect(),
            pub_gruu: gruu("pub-gruu"),
            temp_gruu: gruu("temp-gruu"),
            ..self
        }
    }

    /// The fields when there is nothing but the address.
    #[must_use]
    pub fn of_aor(aor: String) -> RegistrationFields {
        RegistrationFields { aor: Some(aor), ..RegistrationFields::default() }
    }

    /// Adds a status that we answered with.
    #[must_use]
    pub fn with_status(self, status: u16) -> RegistrationFields {
        RegistrationFields { status: Some(status), ..self }
    }

    /// Adds the reason for a failure.
    #[must_use]
    pub fn with_error(self, fault: Fault) -> RegistrationFields {
        RegistrationFields { error: Some(fault), ..self }
    }
}

/// Whether every contact of the request was removed.
#[must_use]
pub fn is_removal(success: &Success) -> bool {
    !success.contacts.is_empty() && success.contacts.iter().all(|granted| granted.expires == 0)
}

/// The JSON Schema of [`Object`], as text.
#[must_use]
pub fn schema() -> String {
    schema_of::<Object>()
}

/// The JSON Schema of what is printed.
pub(super) fn schema_of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

impl Binding {
    fn of(listed: &Listed) -> Binding {
        let params = listed
            .contact
            .params
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("q") && !name.eq_ignore_ascii_case("expires"))
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect();
        Binding {
            uri: listed.contact.uri.to_string(),
            expires: listed.expires,
            q: listed.q.map(|q| f64::from(q.thousandths()) / 1000.0),
            own: listed.own,
            params,
        }
    }
}

impl Tls {
    fn of(session: &TlsSession) -> Tls {
        let certificate = session.certificate.as_ref();
        Tls {
            version: session.version.map(str::to_owned),
            cipher: session.cipher.clone(),
            subject: certificate.map(|certificate| certificate.subject.clone()),
            issuer: certificate.map(|certificate| certificate.issuer.clone()),
            not_after: certificate.map(|certificate| rfc3339(certificate.not_after)),
            name: session.name.as_deref().map(str::to_owned),
            verified: session.verified,
        }
    }
}

impl Auth {
    fn of(answered: &outcome::Answered) -> Auth {
        Auth {
            scheme: answered.scheme.to_owned(),
            algorithm: answered.algorithm.clone(),
            qop: answered.qop.map(str::to_owned),
            realm: answered.realm.clone(),
        }
    }
}

impl Attempt {
    fn of(attempt: &outcome::Attempt) -> Attempt {
        let result = match attempt.result {
            AttemptResult::Status(status) => status.to_string(),
            AttemptResult::Timeout | AttemptResult::Failed(Cause::TimedOut) => "timeout".to_owned(),
            AttemptResult::Closed
            | AttemptResult::Failed(Cause::Reset | Cause::WebSocket(_) | Cause::Keepalive(_)) => {
                "closed".to_owned()
            }
            AttemptResult::Failed(
                Cause::Refused
                | Cause::TooLarge
                | Cause::LocalAddress
                | Cause::Denied
                | Cause::Exhausted
                | Cause::Other(_),
            ) => "refused".to_owned(),
            AttemptResult::Failed(Cause::Untrusted(_)) => "tls".to_owned(),
            AttemptResult::Failed(Cause::Upgrade(_)) => "handshake".to_owned(),
            AttemptResult::Failed(Cause::Unreachable | Cause::ProtocolUnreachable) => {
                "unreachable".to_owned()
            }
            AttemptResult::Dns(Some(ResolveError::NoSuchName)) => "no_such_name".to_owned(),
            AttemptResult::Dns(None) => "no_records".to_owned(),
            AttemptResult::Dns(Some(ResolveError::ServerFailed)) => "dns_failed".to_owned(),
            AttemptResult::Dns(Some(ResolveError::TimedOut)) => "dns_silent".to_owned(),
        };
        let (remote, target) = match &attempt.remote {
            Remote::Address(address) => {
                (Some(address.to_string()), attempt.origin.as_ref().map(|origin| origin.name.clone()))
            }
            Remote::Name(name) => (None, Some(name.clone())),
        };
        let transport = attempt.transport.filter(|_| remote.is_some());
        Attempt { transport: transport.map(|transport| transport.to_string()), remote, result, target }
    }
}
