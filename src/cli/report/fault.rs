//! Why a command failed, as JSON says it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::proto::client::outcome::Failure;

/// Why it failed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct Fault {
    /// What kind of failure; it goes with the exit status.
    kind: Kind,
    /// What happened, for people.
    message: String,
    /// What to do about it, for people.
    hint: Option<String>,
}

/// The kinds of failure and their exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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
    /// 6: the registrar broke the protocol.
    Misbehaved,
    /// 7: a `--contact` of `list` is not bound.
    Unmet,
    /// 70: a bug.
    Internal,
    /// 130 or 143: ended by SIGINT or SIGTERM.
    Interrupted,
}

impl Fault {
    /// What happened, and what to do about it.
    #[must_use]
    pub fn new(kind: Kind, message: String, hint: Option<String>) -> Fault {
        Fault { kind, message, hint }
    }
}

impl From<&Failure> for Kind {
    fn from(failure: &Failure) -> Kind {
        match failure {
            Failure::Refused(_) => Kind::Refused,
            Failure::Credentials(_) => Kind::Credentials,
            Failure::Timeout => Kind::Timeout,
            Failure::Unreachable(_) => Kind::Unreachable,
            Failure::Misbehaved(_) => Kind::Misbehaved,
        }
    }
}
