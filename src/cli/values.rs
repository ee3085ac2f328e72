//! What the values of options mean, wherever they stand: addresses, contacts, headers, durations, names. Each type is
//! read from one text; the option or key that it belongs to is known to who reads it. The file is long because whoever
//! looks for what a value may be looks in one place.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::text::shown;
use super::usage::Invalid;
use crate::proto::client::nat::Keepalive;
use crate::proto::client::plan::OWN_ADDRESS;
use crate::proto::digest::{Algorithm, Hidden, Secret, Variant};
use crate::proto::locate::Pinned;
use crate::proto::registrar::service::{Fork, Full, Listen};
use crate::proto::{Transport, in_zone};
use crate::sip::{AnyUri, Header, HeaderName, Host, NameAddr, Q, Scheme, Uri, UriError, escape_user};

/// Declares types that are read from one text, each with the function that reads it.
macro_rules! read_from_text {
    ($($(#[$meta:meta])* $name:ident($($inner:ty),*) = $read:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name($(pub $inner),*);

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<$name, Invalid> {
                $read(text)
            }
        }
    )*};
}

read_from_text! {
    /// Who registers the AOR of somebody else: what goes into From.
    Registrant(Uri) = registrant;
    /// The Request-URI: it has no user part (RFC 3261 §10.2) and no headers (§19.1.1).
    Registrar(Uri, Option<Zone>) = registrar;
    /// A route of a loose router (RFC 3261 §16.4), whatever the user wrote.
    Proxy(Uri, Option<Zone>) = proxy;
    /// An IP address, and perhaps a port.
    #[derive(Copy)]
    Address(IpAddr, Option<u16>, Option<Zone>) = ip_address;
    /// Where a host is at one port, whatever the name service says.
    Resolve(Pinned) = resolve;
    /// A host that others reach, and perhaps a port.
    Advertised(Host, Option<u16>) = advertised;
    /// Where something of ours listens.
    #[derive(Copy)]
    SocketAddress(SocketAddr) = socket_address;
    /// Who collects copies of messages: a host and its port.
    Collector(Host, u16, Option<Zone>) = collector;
    /// A transport, and where the server listens for it.
    #[derive(Copy)]
    Listener(Listen) = listener;
    /// The name of a server among those that share a store.
    NodeName(String) = node_name;
    /// The address of another server that shares the store.
    #[derive(Copy)]
    NodeAddress(IpAddr) = node_address;
    /// A domain that the server is responsible for.
    Domain(Host) = domain;
    /// The name that a certificate has to be for: a host, or an address.
    VerifiedName(Arc<str>) = verified_name;
    /// Path and query of a WebSocket request.
    WebSocketPath(String) = websocket_path;
    /// The origin of a page (RFC 6454 §6.1), in lower case.
    WebOrigin(String) = web_origin;
    /// A contact: a bare URI, or a Contact value as on the wire.
    Contact(NameAddr) = contact;
    /// A preference among the devices of an AOR.
    #[derive(Copy)]
    Preference(Q) = preference;
    /// A header that the user adds to requests.
    AddedHeader(Header) = added_header;
    /// The status that calls are refused with.
    #[derive(Copy)]
    Refusal(u16) = refusal;
    /// A lifetime for Expires: whole seconds, up to 2^32-1 (RFC 3261 §20.19).
    #[derive(Copy)]
    Lifetime(u32) = lifetime;
    /// A time above zero.
    #[derive(Copy)]
    Span(Duration) = span;
    /// Octets, above zero.
    #[derive(Copy)]
    Size(usize) = size;
    /// A time, or 0 for none: that undoes what a file says.
    #[derive(Copy, Default)]
    SpanOrNone(Duration) = span_or_none;
    /// A time, or `never`.
    #[derive(Copy, Default)]
    SpanOrNever(Option<Duration>) = span_or_never;
    /// When keep-alives are sent.
    #[derive(Copy)]
    KeepaliveName(Keepalive) = keepalive;
    /// The name that goes with a password.
    UserName(String) = user_name;
    /// Where a password holds.
    #[derive(PartialEq, Eq)]
    Realm(String) = realm;
    /// A password as it is typed: any text, which no message repeats.
    Password(Hidden) = password;
    /// A digest algorithm, by its name in any case.
    #[derive(Copy, PartialEq, Eq)]
    AlgorithmName(Algorithm) = algorithm_name;
}

/// The transports that can be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransportName {
    /// Datagrams
    Udp,
    /// A connection
    Tcp,
    /// A connection over TLS
    Tls,
    /// WebSocket
    Ws,
    /// WebSocket over TLS
    Wss,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Transport {
        match name {
            TransportName::Udp => Transport::Udp,
            TransportName::Tcp => Transport::Tcp,
            TransportName::Tls => Transport::Tls,
            TransportName::Ws => Transport::Ws,
            TransportName::Wss => Transport::Wss,
        }
    }
}

/// What a registrar does about one binding too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ContactsPolicy {
    /// Answer 503, with Retry-After until the first of them ends
    #[default]
    Refuse,
    /// Drop the one that was refreshed longest ago
    ReplaceOldest,
}

impl From<ContactsPolicy> for Full {
    fn from(policy: ContactsPolicy) -> Full {
        match policy {
            ContactsPolicy::Refuse => Full::Refuse,
            ContactsPolicy::ReplaceOldest => Full::ReplaceOldest,
        }
    }
}

/// The order in which devices of the same preference are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ForkName {
    /// All at once
    #[default]
    Parallel,
    /// One after another, the one that was refreshed last in front
    Sequential,
}

impl From<ForkName> for Fork {
    fn from(name: ForkName) -> Fork {
        match name {
            ForkName::Parallel => Fork::Parallel,
            ForkName::Sequential => Fork::Sequential,
        }
    }
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
    Powershell,
    /// The elvish shell
    Elvish,
}

/// Reads one of a closed list, in any case.
///
/// # Errors
/// It is none of them, with all that there are.
pub fn choice<T: ValueEnum>(text: &str) -> Result<T, Invalid> {
    T::from_str(text, true).map_err(|_| {
        let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let known = known.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ");
        Invalid::new(format_args!("is not one of {known}"))
    })
}

// --- addresses ------------------------------------------------------------------------------------

/// The interface by which a link-local address is reached (RFC 4007 §11): its index. Written as `%eth0` behind the
/// address, it is this host's affair and in no message.
pub type Zone = u32;

/// A text with an address, without the zone that may stand behind the address: `[fe80::1%eth0]:5060`, `fe80::1%2`,
/// and with the `%25` of a URI (RFC 6874 §2). The other `%` of a text are its own.
fn without_zone(text: &str) -> Result<(Cow<'_, str>, Option<Zone>), Invalid> {
    let bracket = text.find('[').map_or(0, |at| at + 1);
    let end = text.find(']').unwrap_or(text.len());
    let inside = text.get(bracket..end).unwrap_or_default();
    let Some((address, name)) = inside.split_once('%') else { return Ok((text.into(), None)) };
    if address.parse::<Ipv6Addr>().is_err() {
        return Ok((text.into(), None));
    }
    let zone = interface(name).or_else(|| interface(name.strip_prefix("25")?)).ok_or_else(|| {
        Invalid::new(format_args!("names the interface {}, which this host does not have", shown(name)))
            .hint("'ip link' shows those that there are; write [fe80::1%eth0]")
    })?;
    let (before, behind) = (text.get(..bracket).unwrap_or_default(), text.get(end..).unwrap_or_default());
    Ok((format!("{before}{address}{behind}").into(), Some(zone)))
}

/// The index of an interface, by its name where the system can be asked, or as it is.
fn interface(name: &str) -> Option<Zone> {
    #[cfg(unix)]
    if let Ok(index) = nix::net::if_::if_nametoindex(name) {
        return Some(index);
    }
    name.parse().ok().filter(|index| *index != 0)
}

/// The address of record: its two parts.
#[derive(Clone, Debug)]
pub struct Aor {
    /// Goes into To: no port, no transport, no password, no headers (RFC 3261 §19.1.1, table 1).
    pub uri: Uri,
    /// The Request-URI if nothing else is said: the domain, with the AOR's port and transport.
    pub target: Uri,
}

impl FromStr for Aor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Aor, Invalid> {
        let uri = person(text)?;
        let mut target = Uri::new(uri.scheme, uri.host.clone());
        target.port = uri.port;
        if let Some(transport) = uri.transport() {
            target.params.set("transport", Some(transport));
        }
        Ok(Aor { uri: bare(uri), target })
    }
}

/// The AOR as it goes into reports, as far as it can be read.
#[must_use]
pub fn aor_of(text: &str) -> Option<String> {
    let uri = Uri::parse(with_scheme(&with_ascii_host(text))?).ok()?;
    uri.user.is_some().then(|| bare(uri).to_string())
}

/// Whether a word in the place of the AOR is the name of an account: it is no URI, of whatever scheme, and has no @.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && !has_scheme(text) && foreign(text).is_none() && !text.contains('@')
}

fn registrant(text: &str) -> Result<Registrant, Invalid> {
    person(text).map(|uri| Registrant(bare(uri)))
}

fn registrar(text: &str) -> Result<Registrar, Invalid> {
    let (text, zone) = without_zone(text)?;
    Ok(Registrar(Uri { user: None, password: None, ..server(&text)? }, zone))
}

fn proxy(text: &str) -> Result<Proxy, Invalid> {
    let (text, zone) = without_zone(text)?;
    let mut uri = server(&text)?;
    uri.password = None;
    if !uri.params.has("lr") {
        uri.params.set("lr", None);
    }
    Ok(Proxy(uri, zone))
}

/// How an address of somebody is written.
const PERSON: &str = "write it as sip:user@domain, or user@domain for short";

/// How a server is written.
const SERVER: &str = "write a host, host:port or sip:host:port;transport=tcp";

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

/// A URI, or a host, with the name of its host in A-labels (RFC 5891 §4.4): names are sent and asked for so. A name that
/// has no such form stays, and is refused with everything else that is no host.
fn with_ascii_host(text: &str) -> Cow<'_, str> {
    let scheme = if has_scheme(text) { text.find(':').map_or(0, |at| at + 1) } else { 0 };
    let start = text.rfind('@').map_or(scheme, |at| at + 1);
    let (before, rest) = text.split_at_checked(start).unwrap_or(("", text));
    let (host, behind) = rest.split_at(rest.find([':', ';', '?', '/', '>']).unwrap_or(rest.len()));
    if host.is_ascii() {
        return text.into();
    }
    idna::domain_to_ascii(host).map_or(text.into(), |host| format!("{before}{host}{behind}").into())
}

/// A URI of somebody: scheme optional, user part required, no password.
fn person(text: &str) -> Result<Uri, Invalid> {
    let text = &*with_ascii_host(text);
    if let Some(scheme) = foreign(text) {
        let reason = format_args!("is a {scheme}: URI, which no registrar binds");
        return Err(Invalid::new(reason).hint(PERSON));
    }
    let Some(spelled) = with_scheme(text) else {
        let reason = if text.is_empty() { "is empty" } else { "is not an address: it has no @" };
        return Err(Invalid::new(reason).hint(PERSON));
    };
    let uri = Uri::parse(&spelled).map_err(|error| malformed(error).hint(person_hint(text)))?;
    if uri.user.is_none() {
        return Err(Invalid::new("has no user part").hint(PERSON));
    }
    if uri.password.is_some() {
        return Err(Invalid::new("holds a password, which would travel unprotected")
            .hint("leave it out and give it with --password-file or SIPREG_PASSWORD"));
    }
    Ok(uri)
}

/// How an address has to be written whose user part holds what no URI may hold as it is, such as `#` or a second `@`.
fn person_hint(text: &str) -> Cow<'static, str> {
    let Some((user, right)) = escaped(text) else { return PERSON.into() };
    let (right, login) = (typed(&right), typed(user));
    format!(
        "write it as {right}; if {login} is only the name to sign in with, give that with --username {login}"
    )
    .into()
}

/// The user part of a URI, and the URI with that part escaped, where nothing else is wrong with it. No password is
/// repeated.
fn escaped(text: &str) -> Option<(&str, String)> {
    const LONGEST: usize = 200;
    if text.len() > LONGEST {
        return None;
    }
    let start = if has_scheme(text) { text.find(':')? + 1 } else { 0 };
    let (scheme, rest) = text.split_at_checked(start)?;
    let (user, rest) = rest.rsplit_once('@')?;
    let mut right = scheme.to_owned();
    let mut pieces = user.split('%');
    right.push_str(&escape_user(pieces.next()?));
    for piece in pieces {
        let is_escape = piece.len() >= 2 && piece.bytes().take(2).all(|octet| octet.is_ascii_hexdigit());
        right.push_str(if is_escape { "%" } else { "%25" });
        right.push_str(&escape_user(piece));
    }
    right = format!("{right}@{rest}");
    let reads = !user.contains(':') && Uri::parse(with_scheme(&right)?).is_ok();
    reads.then_some((user, right))
}

/// A word as a shell takes it.
pub fn typed(word: &str) -> Cow<'_, str> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&octet);
    if word.bytes().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// A URI of a server: scheme optional, so that `host`, `host:port` and `[::1]:5060` do.
fn server(text: &str) -> Result<Uri, Invalid> {
    let text = &*with_ascii_host(text);
    let mut uri = if has_scheme(text) {
        Uri::parse(text).map_err(|error| malformed(error).hint(SERVER))?
    } else if let Some(scheme) = foreign(text) {
        return Err(Invalid::new(format_args!("is a {scheme}: URI and no SIP server")).hint(SERVER));
    } else if let Some((host, port)) = host_port(text) {
        Uri { port, ..Uri::new(Scheme::Sip, host) }
    } else {
        Uri::parse(format!("sip:{text}")).map_err(|error| malformed(error).hint(SERVER))?
    };
    uri.headers.clear();
    Ok(uri)
}

fn malformed(error: UriError) -> Invalid {
    Invalid::new(format_args!("is not a SIP URI: {error}"))
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

/// A host and perhaps a port: `munich.de`, `192.0.2.1:5060`, `[::1]:5060`, and bare `::1`.
fn host_port(text: &str) -> Option<(Host, Option<u16>)> {
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

fn ip_address(text: &str) -> Result<Address, Invalid> {
    let (text, zone) = without_zone(text)?;
    host_port(&text).and_then(|(host, port)| Some(Address(host.ip()?, port, zone))).ok_or_else(|| {
        Invalid::new("is not an IP address, with or without a port")
            .hint("write 192.0.2.7, 192.0.2.7:5070, ::1 or [::1]:5070")
    })
}

fn resolve(text: &str) -> Result<Resolve, Invalid> {
    const FORM: &str = "write sip.example.com:5060:192.0.2.7 or sip.example.com:5060:[2001:db8::7]";
    let invalid = |reason: &str| Invalid::new(reason).hint(FORM);
    let mut parts = text.splitn(3, ':');
    let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(invalid("is not a host, a port and an address"));
    };
    let host = match Host::parse(&*with_ascii_host(host)) {
        Ok(Host::Name(name)) => name,
        Ok(Host::V4(_) | Host::V6(_)) => {
            return Err(invalid("has an address for a host, which is not looked up"));
        }
        Err(_) => return Err(invalid("has no host that can be looked up")),
    };
    let is_number = port.bytes().all(|octet| octet.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && *port != 0);
    let port = port.ok_or_else(|| invalid("has no port from 1 to 65535"))?;
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    let address = match bare {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => address.parse().ok(),
    };
    let address = address.ok_or_else(|| invalid("has no IP address"))?;
    Ok(Resolve(Pinned { host, port, address }))
}

fn advertised(text: &str) -> Result<Advertised, Invalid> {
    const FORM: &str =
        "write the address that others reach you at: 192.0.2.7, phone.example.com:5060 or [2001:db8::7]:5060";
    let (host, port) =
        host_port(text).ok_or_else(|| Invalid::new("is not a host, with or without a port").hint(FORM))?;
    if port == Some(0) || host.ip().is_some_and(|ip| ip.is_unspecified()) {
        return Err(Invalid::new("is not an address that anybody can reach").hint(FORM));
    }
    Ok(Advertised(host, port))
}

/// An address with a port, and perhaps a zone, that something can be bound to; `None` if it is none.
fn address_in_zone(text: &str) -> Result<Option<SocketAddr>, Invalid> {
    let (text, zone) = without_zone(text)?;
    Ok(text.parse().ok().map(|address| in_zone(address, zone)))
}

fn socket_address(text: &str) -> Result<SocketAddress, Invalid> {
    address_in_zone(text)?
        .map(SocketAddress)
        .ok_or_else(|| Invalid::new("is no address with a port").hint("write 127.0.0.1:9060"))
}

fn collector(text: &str) -> Result<Collector, Invalid> {
    let (text, zone) = without_zone(text)?;
    match host_port(&text) {
        Some((host, Some(port))) if port != 0 => Ok(Collector(host, port, zone)),
        Some(_) | None => Err(Invalid::new("is not a host and a port")
            .hint("write homer.example.com:9060, 192.0.2.7:9060 or [2001:db8::7]:9060")),
    }
}

fn listener(text: &str) -> Result<Listener, Invalid> {
    let invalid = |reason: &str| {
        Invalid::new(reason).hint(
            "write udp:127.0.0.1:5060, tcp:[::1]:5060 or tls:0.0.0.0:5061; ws: and wss: are served, too",
        )
    };
    let (transport, address) = text.split_once(':').ok_or_else(|| invalid("has no transport and address"))?;
    let transport =
        Transport::parse(transport).ok_or_else(|| invalid("has a transport that can't be served"))?;
    let address = address_in_zone(address)?.ok_or_else(|| invalid("has no address with a port"))?;
    Ok(Listener(Listen { transport, address }))
}

/// Names of nodes are no longer than that.
const LONGEST_NODE_NAME: usize = 64;

impl NodeName {
    /// Whether a name may have that in it.
    pub fn may_have(character: char) -> bool {
        character.is_ascii_alphanumeric() || ".-_:[]".contains(character)
    }
}

fn node_name(text: &str) -> Result<NodeName, Invalid> {
    let is_name = !text.is_empty() && text.len() <= LONGEST_NODE_NAME && text.chars().all(NodeName::may_have);
    is_name.then(|| NodeName(text.to_owned())).ok_or_else(|| {
        Invalid::new("is no name of a node")
            .hint("letters, digits, and .-_:[] make one of up to 64: sip1.example.com:5060")
    })
}

fn node_address(text: &str) -> Result<NodeAddress, Invalid> {
    let address = text.trim_matches(['[', ']']).parse().map(NodeAddress);
    address
        .map_err(|_| Invalid::new("is no address").hint("write 10.0.0.2, or 2001:db8::2; ports don't matter"))
}

fn verified_name(text: &str) -> Result<VerifiedName, Invalid> {
    let host = Host::parse(&*with_ascii_host(text)).ok();
    let name = host.map(|host| host.ip().map_or_else(|| host.to_string(), |address| address.to_string()));
    let name = name.or_else(|| Some(text.parse::<IpAddr>().ok()?.to_string()));
    name.map(|name| VerifiedName(name.into())).ok_or_else(|| {
        Invalid::new("is no name that a certificate could be for").hint("write the SIP domain: example.com")
    })
}

/// What a request line of HTTP can hold (RFC 9112 §3.2.1).
fn websocket_path(text: &str) -> Result<WebSocketPath, Invalid> {
    const FORM: &str = "write it as in the server's address: /ws, or /sip?token=1";
    let is_plain = |octet: u8| octet.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&octet);
    if !text.starts_with('/') {
        return Err(Invalid::new("does not begin with /").hint(FORM));
    }
    if !text.bytes().all(is_plain) {
        return Err(Invalid::new("holds what no path may have as it is").hint(FORM));
    }
    Ok(WebSocketPath(text.to_owned()))
}

fn web_origin(text: &str) -> Result<WebOrigin, Invalid> {
    let invalid = |reason: &str| {
        Invalid::new(reason).hint("write what the browser sends, without a path: https://phone.example.com")
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("is not the origin of a page"))?;
    let is_scheme = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) || host_port(rest).is_none() {
        return Err(invalid("is not the origin of a page"));
    }
    Ok(WebOrigin(text.to_ascii_lowercase()))
}

fn domain(text: &str) -> Result<Domain, Invalid> {
    let host = Host::parse(&*with_ascii_host(text)).map(Domain);
    host.map_err(|_| Invalid::new("is no domain").hint("write example.com"))
}

// --- what is bound, and what is said --------------------------------------------------------------

fn contact(text: &str) -> Result<Contact, Invalid> {
    if text.trim() == "*" {
        return Err(Invalid::new("means the bindings of every device of the AOR, and names none")
            .hint("'sipreg unregister AOR --all' removes every one, 'sipreg list AOR' shows them"));
    }
    if text.contains(char::is_control) {
        return Err(Invalid::new("holds a control character"));
    }
    // A bare URI goes in brackets, so that its parameters stay its own (RFC 3261 §20.10).
    let spelled = if text.contains('<') { text.to_owned() } else { format!("<{text}>") };
    // The grammar knows no braces: the place is held by a name that nobody has (RFC 6761 §6.4).
    const PLACE: &str = "own-address.invalid";
    let stands_here = text.contains(OWN_ADDRESS);
    let spelled = if stands_here { spelled.replacen(OWN_ADDRESS, PLACE, 1) } else { spelled };
    let mut contact = NameAddr::parse(&spelled).map_err(|problem| {
        let invalid = Invalid::new(format_args!("is not a contact: it {problem}"));
        match escaped(text).filter(|_| !text.contains('<')) {
            Some((_, right)) => invalid.hint(format!("write it as {}", typed(&right))),
            None => invalid.hint(
                "write sip:you@192.0.2.7:5060, or '<sip:you@192.0.2.7:5060>;q=0.5' with Contact parameters",
            ),
        }
    })?;
    if stands_here {
        match &mut contact.uri {
            AnyUri::Sip(uri) if uri.host == Host::Name(PLACE.to_owned()) && uri.port.is_none() => {
                uri.host = Host::Name(OWN_ADDRESS.to_owned());
            }
            AnyUri::Sip(_) | AnyUri::Other(_) => {
                return Err(Invalid::new(format_args!("has {OWN_ADDRESS} where no host and port stand"))
                    .hint("it stands for both: '<sip:you@{addr};line=1>'"));
            }
        }
    }
    let is_lifetime =
        |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()) && text.parse::<u32>().is_ok();
    if contact.params.get("expires").is_some_and(|value| !value.is_some_and(is_lifetime)) {
        return Err(Invalid::new("has an expires that is not whole seconds up to 4294967295"));
    }
    if contact.params.get("q").is_some_and(|value| value.and_then(Q::parse).is_none()) {
        return Err(Invalid::new("has a q that is not a number from 0 to 1"));
    }
    Ok(Contact(contact))
}

fn preference(text: &str) -> Result<Preference, Invalid> {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let q = Q::parse(text).filter(|_| decimals <= 3 && text.starts_with(['0', '1']));
    let invalid = || Invalid::new("is not a number from 0 to 1 with at most three decimals");
    q.map(Preference).ok_or_else(invalid)
}

/// Values are not repeated in complaints: people put tokens and keys in headers.
fn added_header(text: &str) -> Result<AddedHeader, Invalid> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(
            Invalid::secret("there is no colon behind the name").hint("write it as --header 'X-Tenant: 42'")
        );
    };
    let trimmed = name.trim_end_matches([' ', '\t']);
    let name = HeaderName::parse(trimmed.as_bytes())
        .map_err(|error| Invalid::secret(format_args!("{} is no header name: {error}", shown(trimmed))))?;
    if let Some(reason) = reserved(&name) {
        return Err(Invalid::secret(format_args!("{} {reason}", name.as_str())));
    }
    Header::new(name, value.to_owned()).map(AddedHeader).map_err(|error| {
        let name = error.header.as_str();
        Invalid::secret(format_args!("the value of {name} holds a line end or NUL"))
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

/// The product in User-Agent; `None` leaves the header out.
#[derive(Clone, Debug)]
pub struct UserAgent(pub Option<String>);

impl Default for UserAgent {
    fn default() -> UserAgent {
        UserAgent(Some(concat!("sipreg/", env!("CARGO_PKG_VERSION")).to_owned()))
    }
}

impl FromStr for UserAgent {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<UserAgent, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new("is empty").hint("'none' leaves the header out"));
        }
        if text.contains(char::is_control) {
            return Err(Invalid::new("holds a control character"));
        }
        Ok(UserAgent((text != "none").then(|| text.to_owned())))
    }
}

fn refusal(text: &str) -> Result<Refusal, Invalid> {
    let status = text.parse().ok().filter(|status| (300..700).contains(status));
    status.map(Refusal).ok_or_else(|| {
        Invalid::new("is no status that refuses a call")
            .hint("480 is nobody there, 486 is busy, 603 is declined: 300 to 699")
    })
}

// --- durations ------------------------------------------------------------------------------------

/// `3600`, `1h`, `90s`, `1h 30m`, and `20ms` where less than a second makes sense.
fn duration(text: &str) -> Result<Duration, Invalid> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
        let seconds = text.parse().map(Duration::from_secs);
        return seconds.map_err(|_| Invalid::new("is too long").hint(DURATION));
    }
    humantime::parse_duration(text)
        .map_err(|error| Invalid::new(format_args!("is not a duration: {error}")).hint(DURATION))
}

const DURATION: &str = "write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m')";

fn lifetime(text: &str) -> Result<Lifetime, Invalid> {
    let span = duration(text)?;
    if span.subsec_nanos() > 0 {
        return Err(Invalid::new("is not a whole number of seconds").hint(DURATION));
    }
    u32::try_from(span.as_secs()).map(Lifetime).map_err(|_| {
        Invalid::new("is longer than SIP can say")
            .hint("the longest lifetime is 4294967295 seconds, which is 136 years")
    })
}

fn span(text: &str) -> Result<Span, Invalid> {
    let span = duration(text)?;
    // Timers count milliseconds; less would be no time at all.
    if span < Duration::from_millis(1) {
        return Err(Invalid::new("is no time to wait").hint("write 20ms, 1s or more"));
    }
    Ok(Span(span))
}

fn span_or_none(text: &str) -> Result<SpanOrNone, Invalid> {
    if duration(text)?.is_zero() {
        return Ok(SpanOrNone(Duration::ZERO));
    }
    text.parse().map(|Span(span)| SpanOrNone(span))
}

fn span_or_never(text: &str) -> Result<SpanOrNever, Invalid> {
    if text == "never" {
        return Ok(SpanOrNever(None));
    }
    text.parse().map(|Span(span)| SpanOrNever(Some(span)))
}

fn keepalive(text: &str) -> Result<KeepaliveName, Invalid> {
    const HINT: &str = "write off, auto, or a time of 1s or more, such as 25s";
    let often = match text {
        "off" => return Ok(KeepaliveName(Keepalive::Off)),
        "auto" => return Ok(KeepaliveName(Keepalive::Auto)),
        _ => duration(text).map_err(|invalid| invalid.hint(HINT))?,
    };
    if often < Duration::from_secs(1) {
        return Err(Invalid::new("is too often").hint(HINT));
    }
    Ok(KeepaliveName(Keepalive::Every(often)))
}

const SIZE: &str = "write 128MiB, 64k or 1G; kB, MB and GB are powers of 1000";

fn size(text: &str) -> Result<Size, Invalid> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(Invalid::new("is not a size").hint(SIZE)),
    };
    if digits.is_empty() {
        return Err(Invalid::new("is not a size").hint(SIZE));
    }
    let octets = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match octets.and_then(|octets| usize::try_from(octets).ok()) {
        Some(0) => Err(Invalid::new("is no room at all").hint(SIZE)),
        Some(octets) => Ok(Size(octets)),
        None => Err(Invalid::new("is more than there can be").hint(SIZE)),
    }
}

// --- who proves what ------------------------------------------------------------------------------

fn user_name(text: &str) -> Result<UserName, Invalid> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(Invalid::new("is empty or holds a control character"));
    }
    Ok(UserName(text.to_owned()))
}

fn realm(text: &str) -> Result<Realm, Invalid> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(Invalid::new("holds a line end or NUL"));
    }
    Ok(Realm(text.to_owned()))
}

fn password(text: &str) -> Result<Password, Invalid> {
    Ok(Password(Hidden::new(text.to_owned())))
}

fn algorithm_name(text: &str) -> Result<AlgorithmName, Invalid> {
    match Algorithm::parse(text.trim()) {
        Some((algorithm, Variant::Plain)) => Ok(AlgorithmName(algorithm)),
        Some((_, Variant::Session)) | None => Err(Invalid::new("is not one of MD5, SHA-256, SHA-512-256")),
    }
}

/// `[ALGORITHM:]HEX`, the hash of `user:realm:password`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ha1 {
    /// The algorithm that it serves.
    pub algorithm: Algorithm,
    /// Hex digits, in lower case.
    pub hex: Hidden,
}

impl From<Ha1> for Secret {
    fn from(Ha1 { algorithm, hex }: Ha1) -> Secret {
        Secret::Ha1 { algorithm, hex }
    }
}

impl FromStr for Ha1 {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Ha1, Invalid> {
        let invalid = |reason: &str| {
            Err(Invalid::secret(reason).hint(
                "write MD5:HEX (32 digits), SHA-256:HEX or SHA-512-256:HEX (64 digits), the hash of \
                 user:realm:password",
            ))
        };
        let (named, hex) = match text.rsplit_once(':') {
            Some((name, hex)) => match name.parse() {
                Ok(AlgorithmName(algorithm)) => (Some(algorithm), hex),
                Err(_) => {
                    return invalid("what stands before the colon is not one of MD5, SHA-256, SHA-512-256");
                }
            },
            None => (None, text),
        };
        if !hex.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return invalid("that is not a hash: it holds something else than hex digits");
        }
        let algorithm = match (named, hex.len()) {
            (Some(Algorithm::Md5) | None, 32) => Algorithm::Md5,
            (Some(Algorithm::Sha512_256), 64) => Algorithm::Sha512_256,
            (Some(Algorithm::Sha256) | None, 64) => Algorithm::Sha256,
            _ => return invalid("the number of hex digits does not fit the algorithm"),
        };
        Ok(Ha1 { algorithm, hex: Hidden::new(hex.to_ascii_lowercase()) })
    }
}

/// A program with its arguments.
#[derive(Clone)]
pub struct CommandLine {
    /// The program; found in the PATH if it is no path.
    pub program: OsString,
    /// What it is given; there may be secrets in it.
    pub arguments: Vec<String>,
}

/// The store of bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreName {
    /// The memory of the process.
    #[default]
    Memory,
    /// A file, which is made if it is not there.
    File(PathBuf),
    /// A Redis or Valkey.
    #[cfg(feature = "redis")]
    Shared(crate::store::Address),
}

impl StoreName {
    /// Whether other servers can have it, too.
    pub fn is_shared(&self) -> bool {
        match self {
            StoreName::Memory | StoreName::File(_) => false,
            #[cfg(feature = "redis")]
            StoreName::Shared(_) => true,
        }
    }

    /// How each kind of store is named.
    pub const KINDS: &'static [&'static str] = if cfg!(feature = "redis") {
        &["memory", "FILE.db", "redis://", "rediss://", "redis+cluster://"]
    } else {
        &["memory", "FILE.db"]
    };

    /// Which kind it is, as metrics say it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            StoreName::Memory => "memory",
            StoreName::File(_) => "file",
            #[cfg(feature = "redis")]
            StoreName::Shared(_) => "redis",
        }
    }
}

/// A Redis or Valkey. No message repeats the URL: there may be a password in it.
#[cfg(feature = "redis")]
fn shared(url: &str) -> Result<StoreName, Invalid> {
    const SHAPE: &str = "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// with TLS, or redis+cluster:// with some of its hosts; \
                         what is special in a password is escaped: %40 for @";
    url.parse().map(StoreName::Shared).map_err(|error: crate::store::AddressError| {
        Invalid::secret(format_args!("the URL {error}")).hint(SHAPE)
    })
}

/// Only where the feature `redis` is on.
#[cfg(not(feature = "redis"))]
fn shared(_url: &str) -> Result<StoreName, Invalid> {
    Err(Invalid::secret("Redis and Valkey were left out when this program was built")
        .hint("memory, or a file whose name ends in .db; 'cargo build --features redis' takes them in"))
}

impl FromStr for StoreName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<StoreName, Invalid> {
        match text {
            "memory" => Ok(StoreName::Memory),
            _ if text.to_ascii_lowercase().starts_with("redis") && text.contains("://") => shared(text),
            _ if text.len() > ".db".len() && text.ends_with(".db") => Ok(StoreName::File(text.into())),
            _ => {
                Err(Invalid::new("is no store")
                    .hint("memory, a file whose name ends in .db, or redis://HOST"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_of_octets_with_units() {
        for (text, octets) in [
            ("1", 1),
            ("128MiB", 128 << 20),
            ("64k", 64 << 10),
            ("64 KiB", 64 << 10),
            ("1G", 1 << 30),
            ("2m", 2 << 20),
            ("10kB", 10_000),
            ("512B", 512),
        ] {
            assert_eq!(text.parse::<Size>().map(|Size(octets)| octets).ok(), Some(octets), "{text}");
        }
        for text in
            ["", "k", "-1", "1.5G", "0", "0MiB", "1 X", "MiB1", "99999999999999999999", "99999999999T", "1e3"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
