//! Durations: `3600`, `1h`, `90s`, `1h 30m`, and `20ms` where less than a second makes sense.

use std::time::Duration;

use crate::cli::usage::UsageError;

const FORM: &str = "write whole seconds (3600) or numbers with units (90s, 1h, '1h 30m')";

/// A lifetime for Expires: whole seconds, up to 2^32-1 (RFC 3261 §20.19).
///
/// # Errors
/// No duration, a fraction of a second, or too long.
pub fn lifetime(option: &str, text: &str) -> Result<u32, UsageError> {
    let span = parse(option, text)?;
    if span.subsec_nanos() > 0 {
        return Err(UsageError::value(option, text, "is not a whole number of seconds").hint(FORM));
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
    let span = parse(option, text)?;
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
    if parse(option, text)?.is_zero() { Ok(Duration::ZERO) } else { positive(option, text) }
}

fn parse(option: &str, text: &str) -> Result<Duration, UsageError> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| UsageError::value(option, text, "is too long").hint(FORM));
    }
    humantime::parse_duration(text).map_err(|error| {
        UsageError::value(option, text, format_args!("is not a duration: {error}")).hint(FORM)
    })
}
