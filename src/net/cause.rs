//! What an error of the operating system means to the core (RFC 3261 §18.4).

use std::io::{self, ErrorKind};

use crate::proto::Cause;

/// Sorts an error of opening, sending or receiving.
pub(super) fn of(error: &io::Error) -> Cause {
    if let Some(cause) = error.raw_os_error().and_then(of_errno) {
        return cause;
    }
    #[allow(clippy::wildcard_enum_match_arm, reason = "a list of the standard library's that grows")]
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Cause::Unreachable
        }
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Cause::Reset,
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Cause::LocalAddress,
        ErrorKind::PermissionDenied => Cause::Denied,
        other => Cause::Other(other),
    }
}

/// Whether the socket told of a datagram sent earlier. It tells once, whichever call comes next, and not whom that
/// was for; the error queue does.
pub(super) fn is_of_a_datagram(error: &io::Error) -> bool {
    match of(error) {
        Cause::Refused
        | Cause::Unreachable
        | Cause::ProtocolUnreachable
        | Cause::TooLarge
        | Cause::Denied => true,
        // Windows' word for port unreachable. (Aborted is what an administrator does to a socket.)
        Cause::Reset => error.kind() == ErrorKind::ConnectionReset,
        Cause::Other(kind) => matches!(kind, ErrorKind::InvalidInput | ErrorKind::Interrupted),
        Cause::TimedOut | Cause::LocalAddress => false,
    }
}

/// Whether the datagram was lost on the way out, as it could be anywhere else: Timer E sends it again. Linux tells of
/// a full interface queue only because of `IP_RECVERR`.
#[cfg(target_os = "linux")]
pub(super) fn is_loss(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENOBUFS)
}

/// No system but Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_loss(_error: &io::Error) -> bool {
    false
}

/// Errors for which the standard library has no word.
#[cfg(target_os = "linux")]
fn of_errno(code: i32) -> Option<Cause> {
    use nix::libc;
    match code {
        libc::EMSGSIZE => Some(Cause::TooLarge),
        libc::ENOPROTOOPT => Some(Cause::ProtocolUnreachable),
        libc::EHOSTDOWN | libc::ENONET | libc::EAFNOSUPPORT | libc::EPFNOSUPPORT => Some(Cause::Unreachable),
        libc::EPROTO => Some(Cause::Other(ErrorKind::InvalidInput)),
        _ => None,
    }
}

/// Errors for which the standard library has no word (BSD's numbers, macOS included).
#[cfg(all(unix, not(target_os = "linux")))]
fn of_errno(code: i32) -> Option<Cause> {
    match code {
        40 => Some(Cause::TooLarge),
        47 | 64 => Some(Cause::Unreachable),
        _ => None,
    }
}

/// Errors for which the standard library has no word (Winsock's numbers).
#[cfg(windows)]
fn of_errno(code: i32) -> Option<Cause> {
    match code {
        10040 => Some(Cause::TooLarge),
        10047 | 10064 => Some(Cause::Unreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_cause() {
        for (kind, cause) in [
            (ErrorKind::ConnectionRefused, Cause::Refused),
            (ErrorKind::NetworkUnreachable, Cause::Unreachable),
            (ErrorKind::HostUnreachable, Cause::Unreachable),
            (ErrorKind::TimedOut, Cause::TimedOut),
            (ErrorKind::BrokenPipe, Cause::Reset),
            (ErrorKind::AddrInUse, Cause::LocalAddress),
            (ErrorKind::AddrNotAvailable, Cause::LocalAddress),
            (ErrorKind::PermissionDenied, Cause::Denied),
            (ErrorKind::OutOfMemory, Cause::Other(ErrorKind::OutOfMemory)),
        ] {
            assert_eq!(of(&kind.into()), cause, "{kind}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_without_a_kind_have_theirs() {
        use nix::libc;
        for (code, cause) in [
            (libc::EMSGSIZE, Cause::TooLarge),
            (libc::ENOPROTOOPT, Cause::ProtocolUnreachable),
            (libc::EAFNOSUPPORT, Cause::Unreachable),
            (libc::EPERM, Cause::Denied),
            (libc::EACCES, Cause::Denied),
            (libc::ECONNRESET, Cause::Reset),
            (libc::ENETDOWN, Cause::Unreachable),
        ] {
            assert_eq!(of(&io::Error::from_raw_os_error(code)), cause, "{code}");
        }
        assert!(is_loss(&io::Error::from_raw_os_error(libc::ENOBUFS)));
    }
}
