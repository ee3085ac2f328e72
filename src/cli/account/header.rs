//! `--header` and `--user-agent`: what a user may add to the request, and what the protocol keeps to itself.

use crate::cli::usage::UsageError;
use crate::sip::{Header, HeaderName};

const OPTION: &str = "--header";

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
        return Err(UsageError::new(format!("{OPTION}: there is no colon behind the name"))
            .hint("write it as --header 'X-Tenant: 42'"));
    };
    let trimmed = name.trim_end_matches([' ', '\t']);
    let name = HeaderName::parse(trimmed.as_bytes())
        .map_err(|error| UsageError::value(OPTION, trimmed, format_args!("is no header name: {error}")))?;
    if let Some(reason) = reserved(&name) {
        return Err(UsageError::new(format!("{OPTION}: {} {reason}", name.as_str())));
    }
    Header::new(name, value.to_owned()).map_err(|error| {
        UsageError::new(format!("{OPTION}: the value of {} holds a line end or NUL", error.header.as_str()))
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
