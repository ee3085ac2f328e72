//! The end of a command: its exit status and, where it failed, the reason. `error.kind` of JSON is the exit
//! status by its name.

use std::io;

use schemars::JsonSchema;
use serde::Serialize;

use super::signals::Stop;
use super::usage::UsageError;
use crate::net::NoEntropy;
use crate::proto::client::outcome::Failure;

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
    /// 6: the registrar broke the protocol.
    Misbehaved,
    /// 7: a `--contact` of `list` is not bound.
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
            Exit::Unreachable => 5,
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
}

impl Fault {
    /// A failure that nobody foresaw: a bug, or a system that has run out of something.
    #[must_use]
    pub fn internal(what: impl std::fmt::Display) -> Fault {
        let hint = "this is a bug in sipreg; please report it with the command line (without the password) and what -vv shows";
        Fault {
            kind: Exit::Internal,
            message: format!("internal error: {what}"),
            hint: Some(hint.to_owned()),
        }
    }
}

impl From<UsageError> for Fault {
    fn from(error: UsageError) -> Fault {
        Fault { kind: Exit::Usage, message: error.message(), hint: error.hint }
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
        Fault::internal(format_args!("the system gives no event loop: {error}"))
    }
}
