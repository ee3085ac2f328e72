//! One header field: its name and its value as it travels (RFC 3261 §7.3).

use super::field::{FieldError, Problem};
use super::list::List;
use super::name::HeaderName;
use super::scan;
use bytes::Bytes;

/// A header value that would break out of its line. Nothing with CR, LF or NUL goes on the wire as a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of {header} holds a line end or NUL at octet {at}")]
pub struct InjectionError {
    /// The header that was to be made.
    pub header: HeaderName,
    /// Offset of the octet in the given value.
    pub at: usize,
}

/// A header field row. Several values in one row stay together as they came; the typed readers of
/// [`Headers`](super::Headers) take them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
    value: Bytes,
}

impl Header {
    /// Makes a header row; white space round the value is dropped.
    ///
    /// # Errors
    /// The value holds CR, LF or NUL. A NUL behind a backslash in a quoted string is legal (RFC 3261 §25.1).
    pub fn new(name: HeaderName, value: impl Into<Bytes>) -> Result<Header, InjectionError> {
        let value = value.into();
        if let Err(at) = check(&value) {
            return Err(InjectionError { header: name, at });
        }
        let trimmed = value.slice_ref(scan::trim(&value));
        Ok(Header { name, value: trimmed })
    }

    /// A row whose value the scanner has already unfolded, trimmed and checked.
    pub(super) fn checked(name: HeaderName, value: Bytes) -> Header {
        Header { name, value }
    }

    /// The name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The value: unfolded (RFC 3261 §7.3.1), no white space at its ends, otherwise as it came.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`Problem::NotUtf8`].
    pub fn text(&self) -> Result<&str, FieldError> {
        scan::text(&self.value).map_err(|problem| self.error(problem))
    }

    /// The values of this row when its grammar is a comma list.
    pub(super) fn list(&self) -> List<'_> {
        List::new(&self.value)
    }

    /// The row without its first value; `None` when that is the only one.
    pub(super) fn without_first_value(&self) -> Option<Header> {
        let mut list = self.list();
        list.next();
        let others = list.rest()?;
        Some(Header::checked(self.name.clone(), self.value.slice_ref(scan::trim(others))))
    }

    /// `problem` in this header.
    pub(super) fn error(&self, problem: Problem) -> FieldError {
        FieldError { header: self.name.clone(), problem }
    }
}

/// Whether `value` may be that of a row; else where the first octet is that may not.
pub(super) fn check(value: &[u8]) -> Result<(), usize> {
    match scan::find_line_control(value) {
        Some(at) if !(value.get(at) == Some(&0) && is_safe(value)) => Err(at),
        Some(_) | None => Ok(()),
    }
}

/// Whether `value` may stand in one line: no CR or LF, and NUL only as a quoted-pair.
fn is_safe(value: &[u8]) -> bool {
    !value.iter().any(|octet| matches!(octet, b'\r' | b'\n')) && scan::nul_is_quoted(value)
}
