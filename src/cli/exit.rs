//! What the process tells who started it.

use crate::proto::client::outcome::Failure;

/// The exit status, as the command line promises it. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the registrar confirmed it.
    Done,
    /// 1: a final response that no other code covers.
    Refused,
    /// 2: the command line is wrong; nothing was sent.
    Usage,
    /// 3: credentials are missing or were not accepted.
    Credentials,
    /// 4: no final answer in time.
    Timeout,
    /// 5: could not be reached.
    Unreachable,
    /// 6: the registrar broke the protocol.
    Misbehaved,
    /// 7: the condition that was asked for does not hold.
    Unmet,
    /// 70: a bug of ours, or the report could not be written.
    Internal,
    /// What the program ended with that ran while everything was bound.
    OfCommand(u8),
    /// 130: ended by SIGINT.
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// The number.
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
            Exit::OfCommand(code) => code,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
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
