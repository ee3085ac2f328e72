//! AOR, `--from`, `--registrar`, `--proxy`: what people write for them, and the URIs that are meant.

use crate::cli::text::shown;
use crate::cli::usage::UsageError;
use crate::sip::{Host, Scheme, Uri, UriError};

use super::host_port;

/// An AOR taken apart.
pub struct Meant {
    /// Goes into To: no port, no transport, no password, no headers (RFC 3261 §19.1.1, table 1).
    pub aor: Uri,
    /// The Request-URI if nothing else is said: the domain, with the AOR's port and transport.
    pub target: Uri,
}

/// What is missing in a word that is no address.
const FORM: &str = "write it as sip:user@domain, or user@domain for short";

/// Reads the AOR.
///
/// # Errors
/// It is no `sip:` URI with a user part, or holds a password.
pub fn aor(text: &str) -> Result<Meant, UsageError> {
    let uri = person("AOR", text)?;
    let mut target = domain_of(&uri);
    target.port = uri.port;
    if let Some(transport) = uri.transport() {
        target.params.set("transport", Some(transport));
    }
    Ok(Meant { aor: bare(uri), target })
}

/// Reads `--from`, the user on whose behalf nobody asks: who registers the AOR of somebody else.
///
/// # Errors
/// As for the AOR.
pub fn from(text: &str) -> Result<Uri, UsageError> {
    person("--from", text).map(bare)
}

/// An AOR for a report, as far as it can be read; `sips:` too, which [`aor`] refuses.
pub fn readable(text: &str) -> Option<Uri> {
    let uri = Uri::parse(with_scheme(text)?).ok()?;
    uri.user.is_some().then(|| bare(uri))
}

/// Reads `--registrar`: the Request-URI has no user part (RFC 3261 §10.2) and no headers (§19.1.1).
///
/// # Errors
/// Neither a `sip:` URI nor a host.
pub fn registrar(text: &str) -> Result<Uri, UsageError> {
    let mut uri = server("--registrar", text)?;
    uri.user = None;
    uri.password = None;
    Ok(uri)
}

/// Reads a `--proxy`: a route of a loose router (RFC 3261 §16.4), whatever the user wrote.
///
/// # Errors
/// Neither a `sip:` URI nor a host.
pub fn proxy(text: &str) -> Result<Uri, UsageError> {
    let mut uri = server("--proxy", text)?;
    uri.password = None;
    if !uri.params.has("lr") {
        uri.params.set("lr", None);
    }
    Ok(uri)
}

/// Schemes that people may try. What else stands before a colon is a host, or a user with a password.
const FOREIGN: [&str; 12] =
    ["tel", "mailto", "http", "https", "im", "pres", "xmpp", "urn", "ws", "wss", "h323", "callto"];

fn foreign(text: &str) -> Option<&'static str> {
    let (scheme, _) = text.split_once(':')?;
    FOREIGN.into_iter().find(|known| scheme.eq_ignore_ascii_case(known))
}

fn has_scheme(text: &str) -> bool {
    let starts =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    starts("sip:") || starts("sips:")
}

fn with_scheme(text: &str) -> Option<String> {
    if has_scheme(text) {
        Some(text.to_owned())
    } else if text.contains('@') && foreign(text).is_none() {
        Some(format!("sip:{text}"))
    } else {
        None
    }
}

/// Whether this is neither a URI nor `user@domain`.
pub fn is_word(text: &str) -> bool {
    !has_scheme(text) && foreign(text).is_none() && !text.contains('@')
}

/// A URI of somebody: scheme optional, user part required, no password.
fn person(option: &str, text: &str) -> Result<Uri, UsageError> {
    if let Some(scheme) = foreign(text) {
        return Err(UsageError::value(
            option,
            text,
            format_args!("is a {scheme}: URI, which no registrar binds"),
        )
        .hint(FORM));
    }
    let Some(spelled) = with_scheme(text) else {
        let reason = if text.is_empty() { "is empty" } else { "is not an address: it has no @" };
        return Err(UsageError::value(option, text, reason).hint(FORM));
    };
    let uri = Uri::parse(spelled).map_err(|error| malformed(option, text, error).hint(FORM))?;
    if uri.user.is_none() {
        return Err(UsageError::value(option, text, "has no user part").hint(FORM));
    }
    if uri.password.is_some() {
        return Err(UsageError::value(option, text, "holds a password, which would travel unprotected")
            .hint("leave it out and give it with --password-file or SIPREG_PASSWORD"));
    }
    plain_scheme(option, text, &uri)?;
    Ok(uri)
}

/// A URI of a server: scheme optional, so that `host`, `host:port` and `[::1]:5060` do.
fn server(option: &str, text: &str) -> Result<Uri, UsageError> {
    const SERVER: &str = "write a host, host:port or sip:host:port;transport=tcp";
    let mut uri = if has_scheme(text) {
        Uri::parse(text).map_err(|error| malformed(option, text, error).hint(SERVER))?
    } else if let Some(scheme) = foreign(text) {
        let reason = format_args!("is a {scheme}: URI and no SIP server");
        return Err(UsageError::value(option, text, reason).hint(SERVER));
    } else if let Some((host, port)) = host_port(text) {
        Uri { port, ..Uri::new(Scheme::Sip, host) }
    } else {
        Uri::parse(format!("sip:{text}")).map_err(|error| malformed(option, text, error).hint(SERVER))?
    };
    plain_scheme(option, text, &uri)?;
    uri.headers.clear();
    Ok(uri)
}

fn malformed(option: &str, text: &str, error: UriError) -> UsageError {
    UsageError::value(option, text, format_args!("is not a SIP URI: {error}"))
}

/// `sips:` promises TLS on every hop (RFC 5630 §3.1.1); nothing less will do.
fn plain_scheme(option: &str, text: &str, uri: &Uri) -> Result<(), UsageError> {
    match uri.scheme {
        Scheme::Sip => Ok(()),
        Scheme::Sips => Err(UsageError::value(option, text, "asks for TLS, which is not built yet")
            .hint("a sip: URI works, over udp and tcp")),
    }
}

/// The URI without what RFC 3261 §19.1.1, table 1, keeps out of To and From.
fn bare(mut uri: Uri) -> Uri {
    uri.password = None;
    uri.port = None;
    uri.headers.clear();
    for name in ["transport", "maddr", "ttl", "method", "lr"] {
        uri.params.remove(name);
    }
    uri
}

fn domain_of(uri: &Uri) -> Uri {
    let host: &Host = &uri.host;
    Uri::new(uri.scheme, host.clone())
}

/// A URI for a message.
pub fn quoted(uri: &impl std::fmt::Display) -> String {
    shown(&uri.to_string())
}
