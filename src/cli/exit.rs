//! The end of a command: its exit status and, where it failed, the reason. `error.kind` of JSON is the exit
//! status by its name.

use std::io;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::explain;
use super::signals::Stop;
use super::usage::UsageError;
use crate::net::{self, NoEntropy};
use crate::proto::Cause;
use crate::proto::client::outcome::{Failure, Unreachable};

/// The kinds of failure and their exit status.
// Scripts rely on the names and on the numbers. Those that are no failure have no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Kind")]
pub enum Exit {
    /// 0: the registrar confirmed it.
    #[serde(skip)]
    Done,
    /// 1: a final response that no other kind covers.
    Refused,
    /// 2: the command line is wrong; nothing was sent.
    Usage,
    /// 3: credentials are missing or were not accepted.
    Credentials,
    /// 4: no final answer in time.
    Timeout,
    /// 5: nobody could be reached.
    Unreachable,
    /// 5: who is there could not prove to be the one that was meant, or TLS failed.
    Untrusted,
    /// 6: the registrar broke the protocol.
    Misbehaved,
    /// 7: what was asked about does not hold: a `--contact` of `list` is not bound, a step of `check` failed that lets
    /// registrations through.
    Unmet,
    /// 70: a bug.
    Internal,
    /// 130 or 143: ended by SIGINT or SIGTERM.
    Interrupted,
    /// 143: ended by SIGTERM.
    #[serde(rename = "interrupted")]
    #[schemars(skip)]
    Terminated,
    /// The exit status of the program that ran while everything was bound.
    #[serde(skip)]
    OfCommand(u8),
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Credentials => 3,
            Exit::Timeout => 4,
            Exit::Unreachable | Exit::Untrusted => 5,
            Exit::Misbehaved => 6,
            Exit::Unmet => 7,
            Exit::Internal => 70,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
            Exit::OfCommand(code) => code,
        }
    }
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Exit {
        match failure {
            Failure::Refused(_) => Exit::Refused,
            Failure::Credentials(_) => Exit::Credentials,
            Failure::Timeout => Exit::Timeout,
            Failure::Unreachable(Unreachable::Network(Cause::Untrusted(_))) => Exit::Untrusted,
            Failure::Unreachable(_) => Exit::Unreachable,
            Failure::Misbehaved(_) => Exit::Misbehaved,
        }
    }
}

impl From<Stop> for Exit {
    fn from(signal: Stop) -> Exit {
        match signal {
            Stop::Interrupt => Exit::Interrupted,
            Stop::Terminate => Exit::Terminated,
        }
    }
}

/// Where a failure comes from, as far as that is known for certain.
// Scripts rely on the names: they are those that `check` has for its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[schemars(rename = "Cause")]
pub enum FaultCause {
    /// The registrar asks for a password, and there is none.
    PasswordMissing,
    /// Asked again after the answer: the password is wrong, or the user.
    PasswordWrong,
    /// 404 after the answer: the registrar does not know the user.
    UserUnknown,
    /// 403 after the answer: may be the password, too.
    Forbidden,
    /// A credential is there, for another realm.
    RealmUnserved,
    /// Only algorithms are offered that can't or may not be answered.
    AlgorithmUnserved,
    /// The name does not exist.
    NameUnknown,
    /// The name has no address that may be used.
    NoRecords,
    /// A server that the domain names has no address.
    SrvTargetUnknown,
    /// The domain says that it does not offer the service: an SRV target of ".".
    ServiceNotOffered,
    /// No name server answered.
    NameserverSilent,
    /// The name server failed.
    NameserverFailed,
    /// Nobody listens there.
    Refused,
    /// There is no way to that address.
    Unreachable,
    /// No answer at all.
    Silent,
    /// One destination does not answer, and another does.
    DestinationDown,
    /// No answer over UDP where TCP has one.
    UdpBlocked,
    /// No answer over TCP where UDP has one.
    TcpBlocked,
    /// No answer over IPv6 where IPv4 has one.
    Ipv6Broken,
    /// No answer over IPv4 where IPv6 has one.
    Ipv4Broken,
    /// The certificate, or one above it, has run out; or our clock is wrong.
    CertificateExpired,
    /// The certificate, or one above it, is not good yet; or our clock is wrong.
    CertificateNotYetValid,
    /// The certificate is for another name.
    CertificateName,
    /// Nobody who is trusted vouches for the certificate.
    CertificateIssuer,
    /// The certificate is signed by itself.
    CertificateSelfSigned,
    /// The server wants a certificate of ours, or another than we have.
    ClientCertificateWanted,
    /// Something else than TLS answers.
    NotTls,
    /// There is no version of TLS that both sides speak.
    TlsVersion,
    /// The certificate runs out within two weeks.
    CertificateExpiresSoon,
    /// Something else than SIP comes back.
    NotSip,
    /// 405 or 501: the server takes no REGISTER.
    NoRegistrar,
    /// 404 to a registration that no challenge came before: the server does not serve this domain, or user.
    DomainNotServed,
    /// 503: overloaded or in maintenance.
    Overloaded,
    /// 421: the registrar insists on an extension.
    ExtensionRequired,
    /// Redirected in a circle, too often, or to nothing that can be tried.
    Redirected,
    /// A final answer that has no word of its own.
    RegistrarError,
    /// Anybody may register: no password was asked for.
    OpenRegistrar,
    /// The password is proven by MD5, and not over TLS.
    ClearMd5,
    /// A 2xx that does not list the contact.
    NotBound,
    /// `list --contact`: the contact is not in the list.
    NotListed,
    /// The registrar says that there are too many bindings.
    TooManyBindings,
    /// The contact that is listed is not the one that was asked for.
    ContactRewritten,
    /// A 2xx to a removal that still lists the contact.
    NotRemoved,
    /// Another lifetime was granted than was asked for.
    LifetimeChanged,
    /// Something on the way has changed headers or the body.
    Tampered,
    /// Large requests get no answer.
    SizeLost,
    /// The other side sees us at another address than ours.
    BehindNat,
    /// A request for the AOR does not arrive where it is bound.
    NotReachable,
    /// It does not arrive any more after a time without traffic.
    NatMappingShort,
    /// Another device, or the server itself, has answered it.
    AnsweredByOther,
    /// The clock of the server and ours differ.
    ClockOff,
    /// What is bound at one server is not known at another.
    ServersDiffer,
    /// Bindings of this host that nobody keeps.
    Leftovers,
}

impl FaultCause {
    /// The word that scripts know it by.
    #[must_use]
    pub fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct Fault {
    /// What kind of failure; it goes with the exit status.
    pub kind: Exit,
    /// What happened, for people.
    pub message: String,
    /// What to do about it, for people.
    pub hint: Option<String>,
    /// Where it comes from. Null unless that is known for certain.
    pub cause: Option<FaultCause>,
    /// The texts of the Warning and Reason headers of the last answer, in this order.
    pub warnings: Vec<String>,
}

impl Fault {
    /// A failure without anything else that is known of it.
    #[must_use]
    pub fn new(kind: Exit, message: impl Into<String>, hint: Option<String>) -> Fault {
        Fault { kind, message: message.into(), hint, cause: None, warnings: Vec::new() }
    }

    /// A failure that nobody foresaw: a bug, or a system that has run out of something.
    #[must_use]
    pub fn internal(what: impl std::fmt::Display) -> Fault {
        let hint = "this is a bug in sipreg; please report it with the command line (without the password) and what -vv shows";
        Fault::new(Exit::Internal, format!("internal error: {what}"), Some(hint.to_owned()))
    }
}

impl From<UsageError> for Fault {
    fn from(error: UsageError) -> Fault {
        Fault::new(Exit::Usage, error.message(), error.hint)
    }
}

impl From<NoEntropy> for Fault {
    fn from(error: NoEntropy) -> Fault {
        Fault::internal(error)
    }
}

/// The system gave no runtime, or no signals.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        if net::cause(&error) == Cause::Exhausted {
            let message = format!("the system gives no event loop: {}", Cause::Exhausted);
            return Fault::new(Exit::Unreachable, message, Some(explain::EXHAUSTED.hint.to_owned()));
        }
        Fault::internal(format_args!("the system gives no event loop: {error}"))
    }
}
