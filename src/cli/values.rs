//! What the values of options mean, wherever they stand: addresses, contacts, headers, durations, names.

use std::net::IpAddr;
use std::time::Duration;

use clap::ValueEnum;

use super::text::shown;
use super::usage::UsageError;
use crate::proto::digest::{Algorithm, Hidden};
use crate::sip::{Header, HeaderName, Host, NameAddr, Q, Scheme, Uri, UriError};

/// The transports that can be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransportName {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// When a person looks.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A text that no message repeats. Any text is one.
///
/// # Errors
/// None.
pub fn hidden(text: &str) -> Result<Hidden, std::convert::Infallible> {
    Ok(Hidden::new(text.to_owned()))
}

/// The shells that can be taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
    /// PowerShell, on Windows and elsewhere
    #[value(name = "powershell", alias = "pwsh")]
    PowerShell,
    /// The elvish shell
    Elvish,
}

/// An AOR taken apart.
pub struct Address {
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
pub fn aor(text: &str) -> Result<Address, UsageError> {
    let uri = person("AOR", text)?;
    let mut target = domain_of(&uri);
    target.port = uri.port;
    if let Some(transport) = uri.transport() {
        target.params.set("transport", Some(transport));
    }
    Ok(Address { aor: bare(uri), target })
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

const CONTACT: &str = "--contact";

/// Reads all of them.
///
/// # Errors
/// The first that is no URI, has a parameter out of range, or is there already.
pub fn contacts(texts: &[String]) -> Result<Vec<NameAddr>, UsageError> {
    let mut contacts: Vec<NameAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let contact = contact(text)?;
        if contacts.iter().any(|other| other.uri.matches(&contact.uri)) {
            return Err(UsageError::new(format!("{CONTACT} {} is given twice", quoted(&contact.uri)))
                .hint("one binding has one lifetime and one preference: give it once"));
        }
        contacts.push(contact);
    }
    Ok(contacts)
}

/// Whether this contact says itself that it wants to stay, whatever `--expires` says.
pub fn is_kept(contact: &NameAddr) -> bool {
    contact.params.token("expires").is_some_and(|seconds| seconds != "0")
}

/// Whether these may be bound. What is to be removed may be as odd as somebody else made it.
///
/// # Errors
/// The first with a URI parameter that no Contact has (RFC 3261 §19.1.1, table 1).
pub fn bindable(contacts: &[NameAddr]) -> Result<(), UsageError> {
    for contact in contacts {
        let has = |name: &str| contact.uri.sip().is_some_and(|uri| uri.param(name).is_some());
        if let Some(name) = ["lr", "method"].into_iter().find(|name| has(name)) {
            let what = format_args!("has the {name} parameter, which no Contact may have");
            return Err(UsageError::value(CONTACT, &contact.uri.to_string(), what));
        }
    }
    Ok(())
}

fn contact(text: &str) -> Result<NameAddr, UsageError> {
    if text.trim() == "*" {
        return Err(UsageError::value(
            CONTACT,
            text,
            "means the bindings of every device of the AOR, and names none",
        )
        .hint("'sipreg unregister AOR --all' removes every one, 'sipreg list AOR' shows them"));
    }
    if text.contains(char::is_control) {
        return Err(UsageError::value(CONTACT, text, "holds a control character"));
    }
    // A bare URI goes in brackets, so that its parameters stay its own (RFC 3261 §20.10).
    let spelled = if text.contains('<') { text.to_owned() } else { format!("<{text}>") };
    let contact = NameAddr::parse(&spelled).map_err(|problem| {
        UsageError::value(CONTACT, text, format_args!("is not a contact: it {problem}"))
            .hint("write sip:you@192.0.2.7:5060, or '<sip:you@192.0.2.7:5060>;q=0.5' with Contact parameters")
    })?;
    if let Some(value) = contact.params.get("expires")
        && !value.is_some_and(is_lifetime)
    {
        return Err(UsageError::value(
            CONTACT,
            text,
            "has an expires that is not whole seconds up to 4294967295",
        ));
    }
    if let Some(value) = contact.params.get("q")
        && value.and_then(Q::parse).is_none()
    {
        return Err(UsageError::value(CONTACT, text, "has a q that is not a number from 0 to 1"));
    }
    Ok(contact)
}

fn is_lifetime(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u32>().is_ok()
}

const HEADER: &str = "--header";

/// Reads all added headers, in order.
///
/// # Errors
/// The first that is no header, is not the user's to write, or would break out of its line.
pub fn headers(texts: &[String]) -> Result<Vec<Header>, UsageError> {
    texts.iter().map(|text| header(text)).collect()
}

/// What User-Agent says: our name, the user's text, or (`none`) nothing.
///
/// # Errors
/// The text is empty or would break out of its line.
pub fn user_agent(text: Option<String>) -> Result<Option<String>, UsageError> {
    match text {
        None => Ok(Some(concat!("sipreg/", env!("CARGO_PKG_VERSION")).to_owned())),
        Some(text) if text == "none" => Ok(None),
        Some(text) if text.trim().is_empty() => {
            Err(UsageError::new("--user-agent is empty").hint("'none' leaves the header out"))
        }
        Some(text) if text.contains(char::is_control) => {
            Err(UsageError::value("--user-agent", &text, "holds a control character"))
        }
        Some(text) => Ok(Some(text)),
    }
}

/// Values are not repeated in complaints: people put tokens and keys in headers.
fn header(text: &str) -> Result<Header, UsageError> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(UsageError::new(format!("{HEADER}: there is no colon behind the name"))
            .hint("write it as --header 'X-Tenant: 42'"));
    };
    let trimmed = name.trim_end_matches([' ', '\t']);
    let name = HeaderName::parse(trimmed.as_bytes())
        .map_err(|error| UsageError::value(HEADER, trimmed, format_args!("is no header name: {error}")))?;
    if let Some(reason) = reserved(&name) {
        return Err(UsageError::new(format!("{HEADER}: {} {reason}", name.as_str())));
    }
    Header::new(name, value.to_owned()).map_err(|error| {
        UsageError::new(format!("{HEADER}: the value of {} holds a line end or NUL", error.header.as_str()))
            .hint("one --header is one line")
    })
}

/// Why a header is not the user's to add. Names come in their long form here.
fn reserved(name: &HeaderName) -> Option<&'static str> {
    const OPTIONS: [(&str, &str); 9] = [
        ("Contact", "is written by sipreg; --contact says what it holds"),
        ("Expires", "is written by sipreg; --expires says what it holds"),
        ("From", "is written by sipreg; --from says what it holds"),
        ("Route", "is written by sipreg; --proxy says what it holds"),
        ("To", "is written by sipreg: it is the AOR"),
        ("User-Agent", "is written by sipreg; --user-agent says what it holds"),
        ("Via", "is written by sipreg; --advertise changes the address in it"),
        ("Authorization", "is computed from the challenge; give a password or --ha1"),
        ("Proxy-Authorization", "is computed from the challenge; give a password or --ha1"),
    ];
    const OWNED: [&str; 6] =
        ["Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Supported", "Max-Breadth"];
    const BODY: [&str; 4] = ["Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language"];
    const ELSEWHERE: [&str; 6] =
        ["Alert-Info", "In-Reply-To", "Priority", "Record-Route", "Reply-To", "Subject"];
    const RESPONSES: [&str; 12] = [
        "Authentication-Info",
        "Error-Info",
        "Flow-Timer",
        "Min-Expires",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Retry-After",
        "Server",
        "Service-Route",
        "Unsupported",
        "Warning",
        "WWW-Authenticate",
    ];
    let is = |other: &&str| name.as_str().eq_ignore_ascii_case(other);
    if let Some((_, reason)) = OPTIONS.iter().find(|(other, _)| is(other)) {
        return Some(reason);
    }
    if OWNED.iter().any(&is) {
        Some("belongs to the protocol: sipreg writes it")
    } else if BODY.iter().any(&is) {
        Some("describes a body, and a REGISTER of sipreg has none")
    } else if ELSEWHERE.iter().any(&is) {
        Some("does not belong in a REGISTER (RFC 3261 §20)")
    } else if RESPONSES.iter().any(is) {
        Some("belongs in responses only")
    } else {
        None
    }
}

const DURATION: &str = "write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m')";

/// A lifetime for Expires: whole seconds, up to 2^32-1 (RFC 3261 §20.19).
///
/// # Errors
/// No duration, a fraction of a second, or too long.
pub fn lifetime(option: &str, text: &str) -> Result<u32, UsageError> {
    let span = duration(option, text)?;
    if span.subsec_nanos() > 0 {
        return Err(UsageError::value(option, text, "is not a whole number of seconds").hint(DURATION));
    }
    u32::try_from(span.as_secs()).map_err(|_| {
        UsageError::value(option, text, "is longer than SIP can say")
            .hint("the longest lifetime is 4294967295 seconds, which is 136 years")
    })
}

/// A time to wait, above zero.
///
/// # Errors
/// No duration, or none above zero.
pub fn positive(option: &str, text: &str) -> Result<Duration, UsageError> {
    let span = duration(option, text)?;
    // Timers count milliseconds; less would be no time at all.
    if span < Duration::from_millis(1) {
        return Err(UsageError::value(option, text, "is no time to wait").hint("write 20ms, 1s or more"));
    }
    Ok(span)
}

/// A time to wait, or 0 for none: that undoes what a file says.
///
/// # Errors
/// No duration, or one that is nearly none.
pub fn or_none(option: &str, text: &str) -> Result<Duration, UsageError> {
    if duration(option, text)?.is_zero() { Ok(Duration::ZERO) } else { positive(option, text) }
}

fn duration(option: &str, text: &str) -> Result<Duration, UsageError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| UsageError::value(option, text, "is too long").hint(DURATION));
    }
    humantime::parse_duration(text).map_err(|error| {
        UsageError::value(option, text, format_args!("is not a duration: {error}")).hint(DURATION)
    })
}

/// `192.0.2.1`, `192.0.2.1:5060`, `::1`, `[::1]`, `[::1]:5060`.
///
/// # Errors
/// No address.
pub fn address(option: &str, text: &str) -> Result<(IpAddr, Option<u16>), UsageError> {
    host_port(text).and_then(|(host, port)| Some((host.ip()?, port))).ok_or_else(|| {
        UsageError::value(option, text, "is not an IP address, with or without a port")
            .hint("write 192.0.2.7, 192.0.2.7:5070, ::1 or [::1]:5070")
    })
}

/// `HOST[:PORT]` that others reach.
///
/// # Errors
/// No host, or none that can be reached.
pub fn advertise(text: &str) -> Result<(Host, Option<u16>), UsageError> {
    const OPTION: &str = "--advertise";
    let form =
        "write the address that others reach you at: 192.0.2.7, phone.example.com:5060 or [2001:db8::7]:5060";
    let (host, port) = host_port(text)
        .ok_or_else(|| UsageError::value(OPTION, text, "is not a host, with or without a port").hint(form))?;
    if port == Some(0) || host.ip().is_some_and(|ip| ip.is_unspecified()) {
        return Err(UsageError::value(OPTION, text, "is not an address that anybody can reach").hint(form));
    }
    Ok((host, port))
}

/// A host and perhaps a port: `munich.de`, `192.0.2.1:5060`, `[::1]:5060`, and bare `::1`.
pub fn host_port(text: &str) -> Option<(Host, Option<u16>)> {
    if let Ok(address) = text.parse() {
        return Some((Host::V6(address), None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
            (host, Some(port.parse().ok().filter(|_| digits)?))
        }
        Some(_) | None => (text, None),
    };
    Some((Host::parse(host).ok()?, port))
}

/// Reads `--q`.
///
/// # Errors
/// No number from 0 to 1, or more than three decimals.
pub fn preference(text: &str) -> Result<Q, UsageError> {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    Q::parse(text).filter(|_| decimals <= 3 && text.starts_with(['0', '1'])).ok_or_else(|| {
        UsageError::value("--q", text, "is not a number from 0 to 1 with at most three decimals")
    })
}

/// Checks `--username`.
///
/// # Errors
/// It is empty or would break out of its header.
pub fn plain_username(name: &str) -> Result<(), UsageError> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err(UsageError::value("--username", name, "is empty or holds a control character"));
    }
    Ok(())
}

/// Checks `--realm`.
///
/// # Errors
/// It would break out of its header.
pub fn plain_realm(realm: &str) -> Result<(), UsageError> {
    if realm.contains(['\r', '\n', '\0']) {
        return Err(UsageError::value("--realm", realm, "holds a line end or NUL"));
    }
    Ok(())
}

/// Checks `--state-dir`.
///
/// # Errors
/// It is empty.
pub fn plain_dir(is_empty: bool) -> Result<(), UsageError> {
    if is_empty { Err(UsageError::value("--state-dir", "", "names no folder")) } else { Ok(()) }
}

/// Reads `--min-algorithm`.
///
/// # Errors
/// No digest that is known here.
pub fn minimum(text: &str) -> Result<Algorithm, UsageError> {
    algorithm(text)
        .ok_or_else(|| UsageError::value("--min-algorithm", text, "is not one of MD5, SHA-256, SHA-512-256"))
}

/// The AOR as it goes into reports, as far as it can be read.
pub fn aor_of(text: &str) -> Option<String> {
    readable(text).map(|uri| uri.to_string())
}

/// Whether a word in the place of the AOR is the name of an account: it is no URI, of whatever scheme, and has no @.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && is_word(text)
}

/// Reads the name of a digest algorithm in any case.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    [("MD5", Algorithm::Md5), ("SHA-256", Algorithm::Sha256), ("SHA-512-256", Algorithm::Sha512_256)]
        .into_iter()
        .find_map(|(known, algorithm)| known.eq_ignore_ascii_case(name).then_some(algorithm))
}
