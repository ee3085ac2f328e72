//! Request methods (RFC 3261 §7.1 and the extensions registered with IANA).

use super::scan;
use std::fmt;

/// The method of a request. Methods are case-sensitive (RFC 3261 §7.1): `register` is [`Method::Other`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Bind contacts to an address of record (RFC 3261 §10).
    Register,
    /// Set up a session (RFC 3261 §13).
    Invite,
    /// Confirm the final response to an INVITE (RFC 3261 §17.1.1.3).
    Ack,
    /// End a session (RFC 3261 §15).
    Bye,
    /// Give up a pending request (RFC 3261 §9).
    Cancel,
    /// Ask for capabilities (RFC 3261 §11).
    Options,
    /// Ask for notifications (RFC 6665).
    Subscribe,
    /// Notify of an event (RFC 6665).
    Notify,
    /// Publish event state (RFC 3903).
    Publish,
    /// Instant message (RFC 3428).
    Message,
    /// Information within a session (RFC 6086).
    Info,
    /// Acknowledge a reliable provisional response (RFC 3262).
    Prack,
    /// Refer the recipient to a third party (RFC 3515).
    Refer,
    /// Change a session before it is accepted (RFC 3311).
    Update,
    /// Any other token, spelled as it came.
    Other(String),
}

/// The text is no `token` (RFC 3261 §25.1), so it cannot be a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a method is a token: letters, digits and -.!%*_+`'~ only")]
pub struct MethodError;

impl Method {
    /// The method's name as it stands in the request line.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Register => "REGISTER",
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Subscribe => "SUBSCRIBE",
            Method::Notify => "NOTIFY",
            Method::Publish => "PUBLISH",
            Method::Message => "MESSAGE",
            Method::Info => "INFO",
            Method::Prack => "PRACK",
            Method::Refer => "REFER",
            Method::Update => "UPDATE",
            Method::Other(name) => name,
        }
    }

    /// Reads a method. Unknown ones are kept, so that they can be answered with 501 or passed on.
    pub fn parse(name: &[u8]) -> Result<Method, MethodError> {
        Ok(match name {
            b"REGISTER" => Method::Register,
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            b"PUBLISH" => Method::Publish,
            b"MESSAGE" => Method::Message,
            b"INFO" => Method::Info,
            b"PRACK" => Method::Prack,
            b"REFER" => Method::Refer,
            b"UPDATE" => Method::Update,
            other if scan::is_token(other) => {
                Method::Other(scan::text(other).map_err(|_| MethodError)?.to_owned())
            }
            _ => return Err(MethodError),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
