//! What a response says in words: the texts of Warning (RFC 3261 §20.43) and of Reason (RFC 3326 §2).

use super::header::List;
use super::headers::Headers;
use super::name::HeaderName;
use super::scan::{self, Cursor};

/// The most texts of one message.
const MOST_TEXTS: usize = 16;
/// The most characters of one text.
const LONGEST_TEXT: usize = 500;

impl Headers {
    /// The texts of the Warning rows, then those of the Reason rows, in order: at most 16, each of at most 500
    /// characters. Octets that are no UTF-8 are replaced; a value that can't be taken apart is given whole, and one
    /// without a text is left out.
    pub fn remarks(&self) -> Vec<String> {
        let warnings = self.all(&HeaderName::Warning).flat_map(|row| values(row.value(), warning));
        let reasons = self.all(&HeaderName::Reason).flat_map(|row| values(row.value(), reason));
        let texts = warnings.chain(reasons).filter(|text| !text.is_empty()).take(MOST_TEXTS);
        texts.map(|text| text.chars().take(LONGEST_TEXT).collect()).collect()
    }
}

fn values(row: &[u8], read: fn(&str) -> String) -> Vec<String> {
    List::new(row).take(MOST_TEXTS).map(|value| read(&String::from_utf8_lossy(value))).collect()
}

/// The text of `399 munich.de "the text"`.
fn warning(value: &str) -> String {
    let mut cursor = Cursor::new(value);
    let code = cursor.run(|octet| octet.is_ascii_digit());
    let follows = cursor.peek().is_some_and(scan::is_space);
    cursor.skip_space();
    let agent = cursor.run(|octet| !scan::is_space(octet) && octet != b'"');
    cursor.skip_space();
    if code.len() != 3 || !follows || agent.is_empty() {
        return unquoted(value);
    }
    unquoted(cursor.take(value.len()))
}

/// The text of `SIP;cause=580;text="the text"`.
fn reason(value: &str) -> String {
    let mut cursor = Cursor::new(value);
    loop {
        cursor.until([b';', b'"']);
        match cursor.peek() {
            None => return String::new(),
            Some(b'"') => drop(cursor.quoted()),
            Some(_) => {
                cursor.separator(b';');
                let name = cursor.token();
                if name.eq_ignore_ascii_case("text") && cursor.separator(b'=') {
                    let is_quoted = cursor.peek() == Some(b'"');
                    let text = if is_quoted { cursor.take(value.len()) } else { cursor.until([b';']) };
                    return unquoted(text);
                }
            }
        }
    }
}

/// The text in quotes; without them, or with one only, all of it.
fn unquoted(text: &str) -> String {
    let quoted = Cursor::new(text).quoted();
    quoted.map_or_else(|_| text.trim_matches('"').trim().to_owned(), |inside| inside.trim().to_owned())
}
