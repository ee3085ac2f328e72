//! The message language of SIP: messages, header fields, URIs, framing (RFC 3261 §7, §18.3, §19, §20, §25).
//!
//! Reading order: a [`Message`] arrives or leaves; [`Headers`] are its rows, with a typed reader for each
//! field; [`Uri`], [`NameAddr`], [`Via`] and [`Challenge`] are values that those readers give.
//! [`StreamFramer`] cuts byte streams into messages.
//!
//! - Reading is in two steps. [`Message::parse_datagram`] checks the structure and keeps every row as it
//!   came, in order, sharing the memory of the datagram. A typed reader looks into a header when it is asked,
//!   and its error ([`FieldError`]) concerns that header alone: a header that nobody needs may be broken
//!   (RFC 3261 §8.2.2).
//! - Unknown methods, headers, URI schemes and versions are kept, so that they can be passed on or answered.
//! - Nothing with a line end or NUL in it gets into a header ([`Header::new`]) or out of a message.
//! - All scanning is over octets, forward only, and linear in the size of the message, which is at most
//!   [`MAX_MESSAGE`].
//!
//! ```
//! use sipreg::sip::{Header, HeaderName, Message, Method, NameAddr, Request, Uri};
//!
//! let aor = Uri::parse("sip:alice@example.com")?;
//! let mut request = Request::new(Method::Register, "sip:example.com");
//! request.headers.push(Header::new(HeaderName::To, NameAddr::new(aor).to_string())?);
//!
//! let Message::Request(read) = Message::parse_datagram(request.to_bytes())? else { unreachable!() };
//! assert_eq!(read.headers.to()?.to_string(), "<sip:alice@example.com>");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The types of the `rsip` crate appear in the conversions (`From`, `TryFrom`) to and from its messages, URIs
//! and methods, and nowhere else.

mod auth;
mod convert;
mod date;
mod error;
mod framing;
mod header;
mod headers;
mod host;
mod lenient;
mod mask;
mod message;
mod method;
mod name;
mod name_addr;
mod params;
mod scan;
mod status;
mod terms;
#[cfg(test)]
mod tests;
mod uri;
mod via;
mod warning;
mod write;

pub use auth::{AuthenticationInfo, Challenge, Credentials};
pub use convert::ConvertError;
pub use date::Date;
pub use error::{Problem, UriError};
pub use framing::{Frame, FramingError, MAX_MESSAGE, StreamFramer};
pub use header::{FieldError, Header, InjectionError};
pub use headers::{CSeq, Headers, Reading, RetryAfter};
pub use host::Host;
pub use mask::{cover_secrets, mask_secrets};
pub use message::{Message, ParseError, Request, Response, Version};
pub use method::{Method, MethodError};
pub use name::{HeaderName, HeaderNameError};
pub use name_addr::{AnyUri, Contacts, NameAddr, Q};
pub use params::{Param, ParamValue, Params};
pub use status::reason_phrase;
pub use uri::{Scheme, Uri, escape_user};
pub use via::Via;
pub use write::RequestWriter;
pub(crate) use write::has_length_of;
