//! Text that somebody else wrote, made safe for a terminal; and small things said the same way everywhere.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::proto::Time;

/// `text` with everything escaped that could move the cursor, change colours or reorder what a person reads:
/// control characters, line and paragraph separators, direction overrides, characters without width. A peer writes reason phrases,
/// realms and URIs, and a terminal obeys what it is sent.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_harmful(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// `text` with the names of hosts as people write them: U-labels in place of A-labels (RFC 5890 §2.3.2.1), where they are
/// valid. What machines read keeps the A-labels.
#[must_use]
pub fn readable(text: &str) -> Cow<'_, str> {
    const MARK: &str = "xn--";
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_of_host) {
        let (before, name) = rest.split_at(at);
        let (name, behind) = name.split_at(name.find(|c| !is_of_host(c)).unwrap_or(name.len()));
        shown.push_str(before);
        match idna::domain_to_unicode(name) {
            (unicode, Ok(())) if name.contains(MARK) => shown.push_str(&unicode),
            _ => shown.push_str(name),
        }
        rest = behind;
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Controls, separators, what reorders, and what is not seen at all: tags, fillers, annotations and the like.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// A value as one line of JSON with its line end, in which all that [`escape`] escapes is written as `\uXXXX`: whoever
/// reads it gets the same text, and a terminal that shows it obeys nothing.
#[must_use]
pub fn json_line(value: &impl Serialize) -> String {
    let mut line = Vec::with_capacity(1024);
    // What is written here is strings, numbers and string keys only: there is nothing that JSON can't hold.
    match value.serialize(&mut Serializer::with_formatter(&mut line, Harmless)) {
        Ok(()) => {
            line.push(b'\n');
            String::from_utf8(line).unwrap_or_default()
        }
        Err(_) => String::new(),
    }
}

/// Compact JSON without harmful characters.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_harmful) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = after.chars();
            if let Some(c) = characters.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Octets as text: what is no UTF-8 becomes `\xNN`, what could harm is escaped.
#[must_use]
pub fn octets(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&escape(chunk.valid()));
        for octet in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

/// What is wrong with a file whose octets are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct NoText {
    /// What is wrong, said of the file.
    pub fault: TextFault,
    /// The octet that shows it, counted from 0 behind a byte order mark.
    pub at: usize,
}

/// How a file can be no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Two octets or more a character, as some editors of Windows and its shell's `>` write.
    #[error("is UTF-16 and no UTF-8: save it as UTF-8")]
    Utf16,
    /// An octet that no text has; perhaps UTF-16 without its mark.
    #[error("holds an octet 0, which no text does: save it as UTF-8")]
    Zero,
    /// An older encoding, or no text at all.
    #[error("is not UTF-8")]
    NotUtf8,
}

/// The byte order mark, which some editors of Windows begin a file with.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a small file that a person wrote, without its byte order mark.
/// Every file that is read as text, or its first line, goes through this.
///
/// # Errors
/// The octets are in another encoding.
pub fn decode(octets: &[u8]) -> Result<&str, NoText> {
    let octets = octets.strip_prefix(MARK).unwrap_or(octets);
    if octets.starts_with(b"\xff\xfe") || octets.starts_with(b"\xfe\xff") {
        return Err(NoText { fault: TextFault::Utf16, at: 0 });
    }
    if let Some(at) = octets.iter().position(|octet| *octet == 0) {
        return Err(NoText { fault: TextFault::Zero, at });
    }
    std::str::from_utf8(octets).map_err(|error| NoText { fault: TextFault::NotUtf8, at: error.valid_up_to() })
}

/// A value of the command line as it may be repeated: in quotes, escaped, not endless, without the password
/// that a URI may hold.
#[must_use]
pub fn shown(value: &str) -> String {
    const LONGEST: usize = 100;
    let masked = without_password(value);
    let mut text: String = escape(&masked).chars().take(LONGEST).collect();
    if text.chars().count() == LONGEST {
        text.push_str("...");
    }
    format!("\"{text}\"")
}

/// `sip:user:password@host` with `***` for the password, wherever in the value it stands.
fn without_password(value: &str) -> Cow<'_, str> {
    let Some((before, after)) = value.rsplit_once('@') else { return Cow::Borrowed(value) };
    let start = before.rfind(['<', ' ', '"']).map_or(0, |at| at + 1);
    let (lead, userinfo) = before.split_at(start);
    let scheme = ["sip:", "sips:"]
        .iter()
        .find(|scheme| userinfo.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
        .map_or(0, |scheme| scheme.len());
    let (scheme, userinfo) = userinfo.split_at(scheme);
    match userinfo.split_once(':') {
        Some((user, _)) => Cow::Owned(format!("{lead}{scheme}{user}:***@{after}")),
        None => Cow::Borrowed(value),
    }
}

/// Seconds as a person says them: `1h`, `23m 10s`.
#[must_use]
pub fn seconds(seconds: u32) -> String {
    humantime::format_duration(Duration::from_secs(u64::from(seconds))).to_string()
}

/// A number of things: `1 request`, `2 requests`.
#[must_use]
pub fn count(number: impl Into<u64>, what: &str) -> String {
    let number = number.into();
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A measured time in milliseconds, with one decimal below 100. What the core has measured has whole ones: none is less than one.
#[must_use]
pub fn milliseconds(span: Duration) -> String {
    if span.is_zero() {
        return "under 1 ms".to_owned();
    }
    let ms = tenths(span);
    if ms < 100.0 { format!("{ms} ms") } else { format!("{ms:.0} ms") }
}

/// Milliseconds rounded to tenths.
#[must_use]
pub fn tenths(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Seconds rounded to milliseconds, as JSON has them.
#[must_use]
pub fn rounded_seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The time in UTC, to the second, as JSON has it.
#[must_use]
pub fn rfc3339(at: Time) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_millis(at.as_millis());
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The time in UTC for people, to the second: `2027-01-01 00:00:00 UTC`.
#[must_use]
pub fn utc(at: Time) -> String {
    rfc3339(at).replace('T', " ").replace('Z', " UTC")
}

/// The day in UTC: `2027-01-01`.
#[must_use]
pub fn day(at: Time) -> String {
    rfc3339(at).chars().take_while(|c| *c != 'T').collect()
}

/// Columns of the terminal that stderr is; `None` where it does not say, or says nonsense.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(std::io::stderr())?;
    Some(usize::from(columns)).filter(|columns| *columns >= 40)
}

/// Rows of the terminal; `None` where it does not say.
#[must_use]
pub fn terminal_height() -> Option<usize> {
    let (_, terminal_size::Height(rows)) = terminal_size::terminal_size()?;
    Some(usize::from(rows)).filter(|rows| *rows > 0)
}

/// Breaks errors, warnings and hints between words, so that the terminal does not break them within one.
/// Whatever else there is, such as messages, stays as it is.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        if visible(line) <= columns || !is_labelled(line) {
            wrapped += line;
            continue;
        }
        let mut used = 0;
        for word in line.trim_end().split(' ') {
            let length = visible(word);
            if used > 0 && used + 1 + length > columns {
                wrapped += "\n  ";
                used = 2;
            } else if used > 0 {
                wrapped.push(' ');
                used += 1;
            }
            wrapped += word;
            used += length;
        }
        wrapped.push('\n');
    }
    wrapped
}

fn is_labelled(line: &str) -> bool {
    let first: String = uncoloured(line).take_while(|c| *c != ' ').collect();
    ["error:", "warning:", "hint:", "retry:"].contains(&first.as_str())
}

fn visible(text: &str) -> usize {
    uncoloured(text).filter(|c| *c != '\n').count()
}

/// The characters outside of colour sequences, which are ours: those from elsewhere are escaped.
fn uncoloured(text: &str) -> impl Iterator<Item = char> {
    let mut within = false;
    text.chars().filter(move |c| {
        let hidden = within || *c == '\u{1b}';
        within = hidden && *c != 'm';
        !hidden
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_hints_are_broken_between_words_and_messages_are_left_alone() {
        let text = "\u{1b}[31merror:\u{1b}[0m one two three four five six seven eight nine ten\n     0.7 ms --> REGISTER and so on beyond forty columns\nhint: short\n";
        assert_eq!(
            wrap(text, 40),
            "\u{1b}[31merror:\u{1b}[0m one two three four five six seven\n  eight nine ten\n     0.7 ms --> REGISTER and so on beyond forty columns\nhint: short\n"
        );
        assert_eq!(wrap(text, 80), text);
    }

    /// Names of hosts are shown as people write them; what only looks like one stays as it is.
    #[test]
    fn a_labels_are_shown_as_u_labels() {
        for (text, shown) in [
            ("sip:w@munich.de", "sip:w@munich.de"),
            ("sip:w@xn--mnchen-3ya.de:5070", "sip:w@münchen.de:5070"),
            ("\"xn--mnchen-3ya.de\" and Sip1.xn--mnchen-3ya.de", "\"münchen.de\" and sip1.münchen.de"),
            ("Munich.DE and xn--mnchen-3ya.de", "Munich.DE and münchen.de"),
            ("xn--a", "xn--a"),
            ("xn--", "xn--"),
        ] {
            assert_eq!(readable(text), shown);
        }
    }

    /// Nothing that a peer or a user wrote reaches the terminal as a control character.
    #[test]
    fn harmful_characters_are_escaped_and_others_left_alone() {
        for (text, safe) in [
            ("munich.de", "munich.de"),
            ("Kernspaltüng€", "Kernspaltüng€"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("right\u{202e}to left", "right\\u{202e}to left"),
        ] {
            assert_eq!(escape(text), safe);
        }
        assert_eq!(octets(b"a\xff\x1bb"), "a\\xff\\u{1b}b");
    }

    /// JSON says the same without a character that a terminal obeys or nobody sees.
    #[test]
    fn json_has_no_harmful_character_and_loses_none() {
        for (text, line) in [
            ("munich.de", r#""munich.de""#),
            ("Kernspaltüng€ ☎️📞 東京", r#""Kernspaltüng€ ☎️📞 東京""#),
            ("\"\\\u{1b}\r\n", r#""\"\\\u001b\r\n""#),
            ("\u{7f}\u{80}\u{9b}31m\u{9f}\u{a0}", "\"\\u007f\\u0080\\u009b31m\\u009f\u{a0}\""),
            ("a\u{202e}b\u{2066}\u{61c}", r#""a\u202eb\u2066\u061c""#),
            ("\u{200b}\u{200d}\u{feff}\u{2060}\u{ad}\u{180e}", r#""\u200b\u200d\ufeff\u2060\u00ad\u180e""#),
            ("\u{2028}\u{2029}x\u{fff9}", r#""\u2028\u2029x\ufff9""#),
            ("\u{e0001}\u{e0041}", r#""\udb40\udc01\udb40\udc41""#),
        ] {
            let made = json_line(&text);
            assert_eq!(made, format!("{line}\n"));
            assert_eq!(serde_json::from_str::<String>(&made).unwrap(), text);
            let made = json_line(&std::collections::BTreeMap::from([(text, [text])]));
            assert_eq!(made, format!("{{{line}:[{line}]}}\n"), "keys too");
        }
    }

    /// The mark of an editor goes; what is no UTF-8 is named.
    #[test]
    fn a_byte_order_mark_is_no_text_and_other_encodings_are_refused() {
        for (file, expected) in [
            (&b""[..], Ok("")),
            (b"\xef\xbb\xbf", Ok("")),
            (b"\xef\xbb\xbfbob\r\n", Ok("bob\r\n")),
            ("ü\u{feff}€".as_bytes(), Ok("ü\u{feff}€")),
            (b"\xff\xfeb\0o\0b\0", Err((TextFault::Utf16, 0))),
            (b"\xfe\xff\0b\0o\0b", Err((TextFault::Utf16, 0))),
            (b"\xff\xfe\0\0b\0\0\0", Err((TextFault::Utf16, 0))),
            (b"b\0o\0b\0", Err((TextFault::Zero, 1))),
            (b"\xef\xbb\xbfG\xfcnter", Err((TextFault::NotUtf8, 1))),
            (b"\xef\xbb", Err((TextFault::NotUtf8, 0))),
        ] {
            assert_eq!(decode(file).map_err(|error| (error.fault, error.at)), expected, "{file:?}");
        }
    }

    /// A password in a URI is never repeated.
    #[test]
    fn passwords_in_uris_are_masked() {
        for (value, expected) in [
            ("sip:bob@munich.de:5060", "\"sip:bob@munich.de:5060\""),
            ("sip:bob:secret@munich.de", "\"sip:bob:***@munich.de\""),
            ("SIPS:bob:se:cr@et@munich.de", "\"SIPS:bob:***@munich.de\""),
            ("bob:secret@munich.de", "\"bob:***@munich.de\""),
            ("\"Bob\" <sip:bob:secret@munich.de>;q=1", "\"\"Bob\" <sip:bob:***@munich.de>;q=1\""),
            ("[::1]:5060", "\"[::1]:5060\""),
        ] {
            assert_eq!(shown(value), expected);
        }
        assert!(shown(&"x".repeat(500)).len() < 110);
    }

    #[test]
    fn spans_are_said_as_a_person_says_them() {
        assert_eq!(seconds(1390), "23m 10s");
        assert_eq!(milliseconds(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(milliseconds(Duration::from_millis(500)), "500 ms");
        for ms in (0..10_000).chain([86_399_999, 604_799_887]) {
            let shown = rounded_seconds(Duration::from_millis(ms)).to_string();
            assert!(shown.split('.').nth(1).is_none_or(|decimals| decimals.len() <= 3), "{shown}");
        }
    }
}
