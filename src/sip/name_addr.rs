//! Addresses in headers: To, From, Contact, Route and their kin (RFC 3261 §20.10 and §25.1, RFC 8217).

use super::error::{Problem, UriError};
use super::header::FieldError;
use super::params::{ParamValue, Params};
use super::scan::{self, Cursor};
use super::uri::Uri;
use std::fmt;

/// The lifetime that stands in for a malformed one, in seconds (RFC 3261 §10.2).
pub(super) const DEFAULT_EXPIRES: u32 = 3600;

/// A URI of any scheme.
#[derive(Debug, Clone)]
pub enum AnyUri {
    /// `sip:` or `sips:`.
    Sip(Uri),
    /// Any other scheme (`tel:`, `mailto:` …), the whole URI as it came.
    Other(String),
}

impl AnyUri {
    /// Whether both name the same resource: [`Uri::matches`] for SIP and SIPS, letter by letter for other
    /// schemes.
    pub fn matches(&self, other: &AnyUri) -> bool {
        match (self, other) {
            (AnyUri::Sip(one), AnyUri::Sip(two)) => one.matches(two),
            (AnyUri::Other(one), AnyUri::Other(two)) => one == two,
            (AnyUri::Sip(_), AnyUri::Other(_)) | (AnyUri::Other(_), AnyUri::Sip(_)) => false,
        }
    }

    /// Reads a URI without angle brackets.
    ///
    /// # Errors
    /// Those of [`Uri::parse`] for SIP and SIPS; otherwise [`UriError::Scheme`] when there is no scheme and
    /// [`UriError::Character`] for octets that no URI holds.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<AnyUri, UriError> {
        scan::text(text.as_ref()).map_err(|_| UriError::Character).and_then(AnyUri::read)
    }

    pub(super) fn read(text: &str) -> Result<AnyUri, UriError> {
        match Uri::read(text) {
            Ok(uri) => return Ok(AnyUri::Sip(uri)),
            Err(UriError::Scheme) => {}
            Err(error) => return Err(error),
        }
        let mut cursor = Cursor::new(text);
        let scheme = cursor.run(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'));
        let is_scheme = scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        if !is_scheme || !cursor.eat(b':') || cursor.is_at_end() {
            return Err(UriError::Scheme);
        }
        let foreign = |octet: u8| !octet.is_ascii_graphic() || matches!(octet, b'<' | b'>' | b'"');
        if cursor.octets().iter().any(|&octet| foreign(octet)) {
            return Err(UriError::Character);
        }
        Ok(AnyUri::Other(text.to_owned()))
    }

    /// The SIP or SIPS URI, if it is one.
    pub fn sip(&self) -> Option<&Uri> {
        match self {
            AnyUri::Sip(uri) => Some(uri),
            AnyUri::Other(_) => None,
        }
    }
}

impl fmt::Display for AnyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyUri::Sip(uri) => uri.fmt(f),
            AnyUri::Other(text) => f.write_str(text),
        }
    }
}

impl From<Uri> for AnyUri {
    fn from(uri: Uri) -> AnyUri {
        AnyUri::Sip(uri)
    }
}

/// An address with its display name and header parameters.
#[derive(Debug, Clone)]
pub struct NameAddr {
    /// The display name, quotes and quoted-pairs undone.
    pub display: Option<String>,
    /// The URI between the brackets.
    pub uri: AnyUri,
    /// Parameters of the header (`tag`, `expires`, `q`, `+sip.instance` …), not those of the URI.
    pub params: Params,
}

impl NameAddr {
    /// `<uri>` without display name and parameters.
    pub fn new(uri: impl Into<AnyUri>) -> NameAddr {
        NameAddr { display: None, uri: uri.into(), params: Params::new() }
    }

    /// Reads one value, without its neighbours in a list.
    ///
    /// Without angle brackets everything from the first `;` on belongs to the header (RFC 8217 §3); a URI
    /// that makes no sense that way, because of a `?` or of an `@` behind the `;`, is refused.
    ///
    /// # Errors
    /// Any [`Problem`] of names, URIs and parameters.
    pub fn parse(value: impl AsRef<[u8]>) -> Result<NameAddr, Problem> {
        let mut cursor = Cursor::of(value.as_ref())?;
        if cursor.is_at_end() {
            return Err(Problem::Empty);
        }
        if cursor.peek() == Some(b'"') {
            let display = cursor.quoted()?.into_owned();
            cursor.skip_space();
            return if cursor.eat(b'<') { bracketed(Some(display), cursor) } else { Err(Problem::BareUri) };
        }
        let mut ahead = cursor;
        let words = ahead.run(|octet| scan::is(octet, scan::TOKEN) || scan::is_space(octet) || octet >= 0x80);
        if ahead.eat(b'<') {
            let words = words.trim_matches([' ', '\t']);
            return bracketed((!words.is_empty()).then(|| words.to_owned()), ahead);
        }
        bare(cursor)
    }

    /// The `tag` parameter of To and From (RFC 3261 §19.3).
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").flatten()
    }

    /// The lifetime of a contact in seconds: `None` when absent, 3600 when malformed, held at `u32::MAX` when
    /// larger (RFC 3261 §10.2). In quotes it is malformed.
    pub fn expires(&self) -> Option<u32> {
        let param = self.params.find("expires")?;
        let seconds = match &param.value {
            Some(ParamValue::Token(text)) => scan::seconds(text.as_bytes()),
            Some(ParamValue::Quoted(_)) | None => None,
        };
        Some(seconds.unwrap_or(DEFAULT_EXPIRES))
    }

    /// The preference of a contact (RFC 3261 §20.10); `None` when absent or malformed.
    pub fn q(&self) -> Option<Q> {
        self.params.token("q").and_then(Q::parse)
    }
}

/// Reads an address from behind its `<` on.
fn bracketed(display: Option<String>, mut cursor: Cursor<'_>) -> Result<NameAddr, Problem> {
    let mut ahead = cursor;
    let uri = match Uri::prefix(&mut ahead) {
        Ok(uri) if ahead.eat(b'>') => {
            cursor = ahead;
            AnyUri::Sip(uri)
        }
        // Another scheme or a broken URI: which of them, the text between the brackets tells.
        Ok(_) | Err(_) => {
            let uri = cursor.until([b'>']);
            if !cursor.eat(b'>') {
                return Err(Problem::UnterminatedBracket);
            }
            AnyUri::read(uri)?
        }
    };
    Ok(NameAddr { display, uri, params: Params::parse(&mut cursor)? })
}

/// An `addr-spec`: a URI without brackets.
fn bare(mut cursor: Cursor<'_>) -> Result<NameAddr, Problem> {
    let uri = cursor.until([b';']).trim_matches([' ', '\t']);
    if uri.contains('<') {
        return Err(Problem::DisplayName);
    }
    if uri.contains(['?', ',']) {
        return Err(Problem::BareUri);
    }
    let uri = AnyUri::read(uri)?;
    let params = Params::parse(&mut cursor)?;
    let holds_at = |value: &Option<ParamValue>| match value {
        Some(ParamValue::Token(text)) => text.contains('@'),
        Some(ParamValue::Quoted(_)) | None => false,
    };
    if params.rows().iter().any(|param| holds_at(&param.value)) {
        return Err(Problem::BareUri);
    }
    Ok(NameAddr { display: None, uri, params })
}

impl fmt::Display for NameAddr {
    /// The URI always gets its brackets (RFC 8217 §3), the display name quotes when it is more than tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let tokens = display.split(' ').all(|word| scan::is_token(word.as_bytes()));
            if tokens {
                f.write_str(display)?;
            } else {
                let mut quoted = String::with_capacity(display.len() + 2);
                scan::push_quoted(&mut quoted, display);
                f.write_str(&quoted)?;
            }
            f.write_str(" ")?;
        }
        f.write_str("<")?;
        self.uri.fmt(f)?;
        f.write_str(">")?;
        self.params.fmt(f)
    }
}

/// A preference between 0 and 1 in thousandths (RFC 3261 §25.1 `qvalue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Q(u16);

impl Q {
    /// The highest preference, which also holds where none is given.
    pub const ONE: Q = Q(1000);

    /// `thousandths` of one; `None` above 1000.
    pub fn new(thousandths: u16) -> Option<Q> {
        (thousandths <= 1000).then_some(Q(thousandths))
    }

    /// The value in thousandths, 0 to 1000.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0.5`, `1`, `1.000`; also `.5` and more than three decimals, which the grammar does not know
    /// (the surplus is cut). `None` for anything else and for values above 1.
    pub fn parse(text: &str) -> Option<Q> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && decimals.is_empty() || !decimals.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { scan::number(whole.as_bytes())? };
        let digit = |place: usize| u16::from(decimals.as_bytes().get(place).map_or(0, |octet| octet - b'0'));
        let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
        Q::new(u16::try_from(whole.checked_mul(1000)?).ok()?.checked_add(thousandths)?)
    }
}

impl fmt::Display for Q {
    /// At most three decimals, no more than needed: `1`, `0.5`, `0.125`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 1000, self.0 % 1000);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{decimals:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// The Contact rows of a message taken together (RFC 3261 §10.2.2).
#[derive(Debug, Clone)]
pub enum Contacts {
    /// `*`, alone: all bindings.
    Star,
    /// The values in order. One that cannot be read is an error in its own place and does not spoil the
    /// others.
    List(Vec<Result<NameAddr, FieldError>>),
}
