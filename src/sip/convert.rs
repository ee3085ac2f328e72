//! To and from the types of the `rsip` crate, for users of the library who work with those.
//!
//! A message that rsip 0.4 cannot hold is an error and never cut silently: methods, versions and URI schemes
//! it does not know, header parts of a URI, header values and reasons that are not UTF-8. Types of rsip that
//! differ from ours:
//!
//! - the status is always `StatusCode::Other(code, reason)`, because rsip writes its named ones without
//!   spaces;
//! - IPv6 hosts are `Host::Domain("[…]")`, because rsip writes addresses without brackets;
//! - URI parameters are `Param::Other`, because rsip upper-cases transports;
//! - bodies that are not UTF-8 survive in rsip's types but not in its `Display`.
//!
//! Header values travel as text, untyped. Values from rsip are checked like any others: line ends and NUL are
//! refused.

use super::error::UriError;
use super::header::{Header, InjectionError};
use super::headers::Headers;
use super::host::Host;
use super::message::{Message, Request, Response, Version};
use super::method::Method;
use super::name::HeaderName;
use super::scan;
use super::status::reason_phrase;
use super::uri::{Scheme, Uri};
use rsip::headers::UntypedHeader as _;

/// Why a message cannot be turned into the other crate's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// rsip does not know the method.
    #[error("rsip has no method of this name")]
    Method,
    /// The version is not SIP/2.0.
    #[error("only SIP/2.0 can be converted")]
    Version,
    /// The status code is outside 100 to 699.
    #[error("status code outside 100 to 699")]
    Status,
    /// The reason holds a line end or NUL.
    #[error("the reason phrase holds a line end or NUL")]
    Reason,
    /// The URI is malformed or of a scheme that is not converted.
    #[error("{0}")]
    Uri(#[from] UriError),
    /// The URI has header parts (`?name=value`), for which rsip has no place.
    #[error("rsip has no place for the header parts of a URI")]
    UriHeaders,
    /// A header name from rsip that is no token.
    #[error("a header name that is no token")]
    HeaderName,
    /// A header value that is not UTF-8.
    #[error("the value of {0} is not UTF-8")]
    NotUtf8(HeaderName),
    /// A header value from rsip with a line end or NUL in it.
    #[error("{0}")]
    Injection(#[from] InjectionError),
}

/// The headers that both sides know, under the same names.
macro_rules! shared_headers {
    ($($name:ident)*) => {
        fn header_to_rsip(name: &HeaderName, text: &str) -> rsip::Header {
            $(if *name == HeaderName::$name {
                return rsip::Header::$name(rsip::headers::$name::new(text));
            })*
            rsip::Header::Other(name.to_string(), text.to_owned())
        }

        fn header_from_rsip(header: &rsip::Header) -> Result<Header, ConvertError> {
            let (name, value) = match header {
                $(rsip::Header::$name(header) => (HeaderName::$name, header.value()),)*
                rsip::Header::Other(name, value) => {
                    let name = HeaderName::parse(name.as_bytes()).map_err(|_| ConvertError::HeaderName)?;
                    (name, value.as_str())
                }
            };
            Ok(Header::new(name, value.to_owned())?)
        }
    };
}

shared_headers! {
    Accept AcceptEncoding AcceptLanguage AlertInfo Allow AuthenticationInfo Authorization CSeq CallId CallInfo
    Contact ContentDisposition ContentEncoding ContentLanguage ContentLength ContentType Date ErrorInfo Event
    Expires From InReplyTo MaxForwards MimeVersion MinExpires Organization Priority ProxyAuthenticate
    ProxyAuthorization ProxyRequire RecordRoute ReplyTo Require RetryAfter Route Server Subject SubscriptionState
    Supported Timestamp To Unsupported UserAgent Via Warning WwwAuthenticate
}

fn headers_to_rsip(headers: &Headers) -> Result<rsip::Headers, ConvertError> {
    let mut converted = rsip::Headers::default();
    for header in headers {
        let text = header.text().map_err(|error| ConvertError::NotUtf8(error.header))?;
        converted.push(header_to_rsip(header.name(), text));
    }
    Ok(converted)
}

fn headers_from_rsip(headers: &rsip::Headers) -> Result<Headers, ConvertError> {
    headers.iter().map(header_from_rsip).collect()
}

fn version_from_rsip(version: &rsip::Version) -> Result<Version, ConvertError> {
    match version {
        rsip::Version::V2 => Ok(Version::V2),
        rsip::Version::V1 => Err(ConvertError::Version),
    }
}

impl TryFrom<&Method> for rsip::Method {
    type Error = ConvertError;

    fn try_from(method: &Method) -> Result<rsip::Method, ConvertError> {
        Ok(match method {
            Method::Register => rsip::Method::Register,
            Method::Invite => rsip::Method::Invite,
            Method::Ack => rsip::Method::Ack,
            Method::Bye => rsip::Method::Bye,
            Method::Cancel => rsip::Method::Cancel,
            Method::Options => rsip::Method::Options,
            Method::Subscribe => rsip::Method::Subscribe,
            Method::Notify => rsip::Method::Notify,
            Method::Publish => rsip::Method::Publish,
            Method::Message => rsip::Method::Message,
            Method::Info => rsip::Method::Info,
            Method::Prack => rsip::Method::PRack,
            Method::Refer => rsip::Method::Refer,
            Method::Update => rsip::Method::Update,
            Method::Other(_) => return Err(ConvertError::Method),
        })
    }
}

impl From<rsip::Method> for Method {
    fn from(method: rsip::Method) -> Method {
        match method {
            rsip::Method::Register => Method::Register,
            rsip::Method::Invite => Method::Invite,
            rsip::Method::Ack => Method::Ack,
            rsip::Method::Bye => Method::Bye,
            rsip::Method::Cancel => Method::Cancel,
            rsip::Method::Options => Method::Options,
            rsip::Method::Subscribe => Method::Subscribe,
            rsip::Method::Notify => Method::Notify,
            rsip::Method::Publish => Method::Publish,
            rsip::Method::Message => Method::Message,
            rsip::Method::Info => Method::Info,
            rsip::Method::PRack => Method::Prack,
            rsip::Method::Refer => Method::Refer,
            rsip::Method::Update => Method::Update,
        }
    }
}

impl TryFrom<&Uri> for rsip::Uri {
    type Error = ConvertError;

    fn try_from(uri: &Uri) -> Result<rsip::Uri, ConvertError> {
        if !uri.headers.is_empty() {
            return Err(ConvertError::UriHeaders);
        }
        let host = match &uri.host {
            Host::V4(address) => rsip::Host::IpAddr((*address).into()),
            Host::Name(_) | Host::V6(_) => rsip::Host::Domain(uri.host.to_string().into()),
        };
        let param = |(name, value): (&str, Option<&str>)| {
            rsip::Param::Other(name.to_owned().into(), value.map(|value| value.to_owned().into()))
        };
        Ok(rsip::Uri {
            scheme: Some(match uri.scheme {
                Scheme::Sip => rsip::Scheme::Sip,
                Scheme::Sips => rsip::Scheme::Sips,
            }),
            auth: uri.user.clone().map(|user| rsip::Auth { user, password: uri.password.clone() }),
            host_with_port: rsip::HostWithPort { host, port: uri.port.map(Into::into) },
            params: uri.params.iter().map(param).collect(),
            headers: Vec::new(),
        })
    }
}

impl TryFrom<&rsip::Uri> for Uri {
    type Error = ConvertError;

    /// The parts are put together as text and read again, so that none of them reaches beyond its place.
    fn try_from(uri: &rsip::Uri) -> Result<Uri, ConvertError> {
        if !uri.headers.is_empty() {
            return Err(ConvertError::UriHeaders);
        }
        let scheme = match &uri.scheme {
            Some(rsip::Scheme::Sip) => Scheme::Sip,
            Some(rsip::Scheme::Sips) => Scheme::Sips,
            Some(rsip::Scheme::Other(_)) | None => return Err(UriError::Scheme.into()),
        };
        let host = match &uri.host_with_port.host {
            rsip::Host::Domain(domain) => Host::parse(domain.to_string())?,
            rsip::Host::IpAddr(address) => Host::from(*address),
        };
        let mut text = format!("{}:", scheme.as_str());
        if let Some(auth) = &uri.auth {
            text.push_str(&format!("{auth}@"));
        }
        text.push_str(&host.to_string());
        if let Some(port) = &uri.host_with_port.port {
            text.push_str(&format!(":{}", port.value()));
        }
        for param in &uri.params {
            text.push_str(&match param {
                rsip::Param::Transport(transport) => {
                    format!(";transport={}", transport.to_string().to_ascii_lowercase())
                }
                rsip::Param::User(_)
                | rsip::Param::Method(_)
                | rsip::Param::Ttl(_)
                | rsip::Param::Maddr(_)
                | rsip::Param::Lr
                | rsip::Param::Branch(_)
                | rsip::Param::Received(_)
                | rsip::Param::Tag(_)
                | rsip::Param::Expires(_)
                | rsip::Param::Q(_)
                | rsip::Param::Other(..) => param.to_string(),
            });
        }
        Ok(Uri::parse(text)?)
    }
}

impl TryFrom<&Request> for rsip::Request {
    type Error = ConvertError;

    fn try_from(request: &Request) -> Result<rsip::Request, ConvertError> {
        if request.version != Version::V2 {
            return Err(ConvertError::Version);
        }
        Ok(rsip::Request {
            method: rsip::Method::try_from(&request.method)?,
            uri: rsip::Uri::try_from(&Uri::parse(&request.uri)?)?,
            version: rsip::Version::V2,
            headers: headers_to_rsip(&request.headers)?,
            body: request.body.to_vec(),
        })
    }
}

impl TryFrom<&rsip::Request> for Request {
    type Error = ConvertError;

    fn try_from(request: &rsip::Request) -> Result<Request, ConvertError> {
        Ok(Request {
            method: request.method.into(),
            uri: Uri::try_from(&request.uri)?.to_string(),
            version: version_from_rsip(&request.version)?,
            headers: headers_from_rsip(&request.headers)?,
            body: request.body.clone().into(),
        })
    }
}

impl TryFrom<&Response> for rsip::Response {
    type Error = ConvertError;

    fn try_from(response: &Response) -> Result<rsip::Response, ConvertError> {
        Ok(rsip::Response {
            status_code: rsip::StatusCode::Other(response.status, response.reason.clone()),
            version: rsip::Version::V2,
            headers: headers_to_rsip(&response.headers)?,
            body: response.body.to_vec(),
        })
    }
}

impl TryFrom<&rsip::Response> for Response {
    type Error = ConvertError;

    fn try_from(response: &rsip::Response) -> Result<Response, ConvertError> {
        let status = response.status_code.code();
        if !(100..=699).contains(&status) {
            return Err(ConvertError::Status);
        }
        version_from_rsip(&response.version)?;
        let reason = if let rsip::StatusCode::Other(_, reason) = &response.status_code {
            reason.clone()
        } else {
            reason_phrase(status).to_owned()
        };
        if scan::find_line_control(reason.as_bytes()).is_some() {
            return Err(ConvertError::Reason);
        }
        Ok(Response {
            status,
            reason,
            headers: headers_from_rsip(&response.headers)?,
            body: response.body.clone().into(),
        })
    }
}

impl TryFrom<&Message> for rsip::SipMessage {
    type Error = ConvertError;

    fn try_from(message: &Message) -> Result<rsip::SipMessage, ConvertError> {
        match message {
            Message::Request(request) => Ok(rsip::SipMessage::Request(request.try_into()?)),
            Message::Response(response) => Ok(rsip::SipMessage::Response(response.try_into()?)),
        }
    }
}

impl TryFrom<&rsip::SipMessage> for Message {
    type Error = ConvertError;

    fn try_from(message: &rsip::SipMessage) -> Result<Message, ConvertError> {
        match message {
            rsip::SipMessage::Request(request) => Ok(Message::Request(request.try_into()?)),
            rsip::SipMessage::Response(response) => Ok(Message::Response(response.try_into()?)),
        }
    }
}
