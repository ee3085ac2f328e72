//! `-v`: one line per message, as it passes. `-vv`: the message too.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::{Direction, Dropped, Transport};

use super::paint::Paint;
use crate::cli::text::{octets, tenths};

/// A message that passed.
pub struct Passage<'a> {
    /// Time since the command started.
    pub at: Duration,
    /// The direction, as this side sees it.
    pub direction: Direction,
    /// The transport that carried it.
    pub transport: Transport,
    /// The other end.
    pub remote: SocketAddr,
    /// The octets on the wire.
    pub bytes: &'a [u8],
}

/// Time, direction, start line, peer, transport and size, in one line.
#[must_use]
pub fn line(passage: &Passage<'_>, paint: Paint) -> String {
    let (arrow, mark) = match passage.direction {
        Direction::Sent => ("-->", ""),
        Direction::SentAgain => ("-->", " again"),
        Direction::Received => ("<--", ""),
    };
    let start = start_line(passage.bytes);
    let rest = format!("{} {} {} B{mark}", passage.remote, passage.transport, passage.bytes.len());
    format!(
        "{} {arrow} {}  {}\n",
        time(passage.at),
        paint.strong(&format!("{start:<28}")),
        paint.faint(&rest)
    )
}

/// A message that was dropped, and the reason.
#[must_use]
pub fn dropped(at: Duration, peer: SocketAddr, reason: Dropped, paint: Paint) -> String {
    format!("{}  x  {}\n", time(at), paint.odd(&format!("dropped: {reason}, from {peer}")))
}

/// The whole message, indented; digest responses masked unless `show_secrets`.
#[must_use]
pub fn whole(bytes: &[u8], show_secrets: bool) -> String {
    let masked;
    let bytes = if show_secrets {
        bytes
    } else {
        masked = crate::sip::mask_secrets(bytes);
        &masked
    };
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 4);
    for row in bytes.trim_ascii_end().split(|&octet| octet == b'\n') {
        let row = octets(row.strip_suffix(b"\r").unwrap_or(row));
        // Writing to a String can't fail.
        let _ = writeln!(text, "                {row}");
    }
    text
}

fn time(at: Duration) -> String {
    format!("{:>8.1} ms", tenths(at))
}

/// The start line without what every message says: `REGISTER sip:munich.de`, `401 Unauthorized`.
fn start_line(bytes: &[u8]) -> String {
    let first = bytes.split(|&octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let text = octets(first);
    text.strip_prefix("SIP/2.0 ").or_else(|| text.strip_suffix(" SIP/2.0")).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage<'a>(direction: Direction, bytes: &'a [u8]) -> Passage<'a> {
        Passage {
            at: Duration::from_millis(12),
            direction,
            transport: Transport::Udp,
            remote: "192.0.2.1:5060".parse().unwrap(),
            bytes,
        }
    }

    #[test]
    fn a_message_is_one_line_of_a_ladder() {
        let request = b"REGISTER sip:munich.de SIP/2.0\r\nVia: x\r\n\r\n";
        let mut ladder = line(&passage(Direction::Sent, request), Paint::plain());
        ladder += &line(&passage(Direction::SentAgain, request), Paint::plain());
        ladder +=
            &line(&passage(Direction::Received, b"SIP/2.0 401 Un\x1bauthorized\r\n\r\n"), Paint::plain());
        ladder += &dropped(
            Duration::from_millis(1500),
            "[::1]:5060".parse().unwrap(),
            Dropped::Stray,
            Paint::plain(),
        );
        insta::assert_snapshot!(ladder, @r#"
      12.0 ms --> REGISTER sip:munich.de        192.0.2.1:5060 udp 42 B
      12.0 ms --> REGISTER sip:munich.de        192.0.2.1:5060 udp 42 B again
      12.0 ms <-- 401 Un\u{1b}authorized        192.0.2.1:5060 udp 29 B
    1500.0 ms  x  dropped: belongs to no transaction, from [::1]:5060
    "#);
        assert!(ladder.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_whole_message_is_masked_escaped_and_indented() {
        let message = b"SIP/2.0 200 OK\r\nAuthentication-Info: rspauth=\"66\"\r\nX: \x1b\xff\r\n\r\n";
        insta::assert_snapshot!(whole(message, false), @r#"
    SIP/2.0 200 OK
    Authentication-Info: rspauth="***"
    X: \u{1b}\xff
    "#);
        assert!(whole(message, true).contains("rspauth=\"66\""));
    }
}
