//! The faults of URIs and of header values. The typed readers give them; [`FieldError`](super::FieldError)
//! adds the header.

/// A fault of a URI: the part that does not follow RFC 3261 §25.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No scheme, or not one this reader is for.
    #[error("unknown or missing scheme")]
    Scheme,
    /// An empty user part, or a character in it that has to be escaped.
    #[error("malformed user part")]
    User,
    /// A character in the password that has to be escaped.
    #[error("malformed password")]
    Password,
    /// Neither a host name nor an IPv4 address nor an IPv6 address in brackets.
    #[error("malformed host")]
    Host,
    /// Not a number up to 65535.
    #[error("malformed port")]
    Port,
    /// A parameter outside the grammar.
    #[error("malformed URI parameter")]
    Parameter,
    /// A header part (`?name=value`) outside the grammar.
    #[error("malformed URI header")]
    Header,
    /// White space, control or non-ASCII characters, or characters no URI may hold.
    #[error("a character that no URI holds")]
    Character,
}

/// A fault of a header value, or of the header as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The header is needed and not there.
    #[error("is missing")]
    Missing,
    /// A header that may occur once occurs again (RFC 4475 §3.3.8).
    #[error("occurs more than once")]
    Repeated,
    /// No value, or an empty element in a list.
    #[error("has an empty value")]
    Empty,
    /// Octets that are not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A quote without its second one.
    #[error("has an unterminated quote")]
    UnterminatedQuote,
    /// `<` without `>`.
    #[error("has an unterminated angle bracket")]
    UnterminatedBracket,
    /// A display name that is neither quoted nor made of tokens (RFC 4475 §3.1.2.15).
    #[error("has a display name that needs quotes")]
    DisplayName,
    /// No URI, or a broken one.
    #[error("has a bad URI: {0}")]
    Uri(#[from] UriError),
    /// A URI that needs angle brackets and has none (RFC 3261 §20, RFC 8217 §3).
    #[error("has a URI that needs angle brackets")]
    BareUri,
    /// A parameter outside the grammar, or something else behind the value.
    #[error("has a malformed parameter")]
    Parameter,
    /// No number where one belongs, or one out of its range.
    #[error("has a malformed number or one out of range")]
    Number,
    /// No method where one belongs.
    #[error("has a malformed method")]
    Method,
    /// The protocol part of a Via value.
    #[error("has a malformed protocol")]
    Protocol,
    /// A Call-ID with white space in it.
    #[error("is not one word")]
    Word,
    /// A date in another form than RFC 1123 with GMT.
    #[error("has a malformed date")]
    Date,
    /// `*` with parameters (RFC 3261 §10.2.2): `*;expires=0`.
    #[error("has `*` with parameters, which takes none: an Expires header of 0 goes with it")]
    StarParameters,
    /// `*` beside other contacts (RFC 3261 §10.2.2).
    #[error("has `*` beside other values")]
    StarAmongOthers,
}
