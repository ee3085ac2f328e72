//! `-v`: one line per message, as it passes. `-vv`: the message too.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::paint::Paint;
use crate::cli::text::{escape, octets, readable, tenths};
use crate::proto::locate::is_usable;
use crate::proto::{Direction, Dropped, Lookup, Naptr, Record, ResolveError, Srv, Transport};
use crate::sip::{Message, Method};

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

/// Columns that a start line takes at least.
const START: usize = 28;

/// Time, direction, start line, peer, transport and size, in one line. On a terminal of so many columns a long start line is
/// cut to fit.
#[must_use]
pub fn line(passage: &Passage<'_>, columns: Option<usize>, paint: Paint) -> String {
    let (arrow, mark) = match passage.direction {
        Direction::Sent => ("-->", ""),
        Direction::SentAgain => ("-->", " again"),
        Direction::Received => ("<--", ""),
    };
    let (time, mut start) = (time(passage.at), start_line(passage.bytes));
    let rest = format!("{} {} {} B{mark}", passage.remote, passage.transport, passage.bytes.len());
    // What is between them takes seven columns.
    let room = columns.map(|columns| columns.saturating_sub(time.len() + rest.len() + 7).max(START));
    if let Some(room) = room.filter(|room| start.chars().count() > *room) {
        start = start.chars().take(room - 3).collect::<String>() + "...";
    }
    format!("{time} {arrow} {}  {}\n", paint.strong(&format!("{start:<START$}")), paint.faint(&rest))
}

/// A message that was dropped, and the reason.
#[must_use]
pub fn dropped(at: Duration, peer: SocketAddr, reason: Dropped, paint: Paint) -> String {
    format!("{}  x  {}\n", time(at), paint.odd(&format!("dropped: {reason}, from {peer}")))
}

/// Records of one answer that are shown; the others are counted.
const RECORDS: usize = 4;

/// A question to the name service, the answer, and who gave it.
#[must_use]
pub fn lookup(at: Duration, lookup: &Lookup, paint: Paint) -> String {
    let (kind, name) = lookup.question.parts();
    let name = readable(name);
    let answer = match &lookup.answer {
        Ok(records) if records.is_empty() => "no such record".to_owned(),
        Ok(records) => {
            let mut shown: Vec<String> = records.iter().take(RECORDS).map(record).collect();
            if let Some(more) = records.len().checked_sub(RECORDS).filter(|more| *more > 0) {
                shown.push(format!("and {more} more"));
            }
            shown.join(", ")
        }
        Err(error) => error.to_string(),
    };
    let text = escape(&format!("{kind} {name}: {answer}")).into_owned();
    let server = match (lookup.server, &lookup.answer) {
        // It has said nothing.
        (Some(silent), Err(ResolveError::TimedOut)) => format!(", {silent}"),
        (Some(server), _) => format!(", said {server}"),
        (None, _) => ", known here".to_owned(),
    };
    format!("{}  ?  {text}{}\n", time(at), paint.faint(&server))
}

/// A record without its name. Services that can't be used are marked.
fn record(record: &Record) -> String {
    match record {
        Record::A(address) => address.to_string(),
        Record::Aaaa(address) => address.to_string(),
        Record::Srv(Srv { priority, weight, port, target }) if target.is_empty() => {
            format!("{priority} {weight} . port {port} (not offered)")
        }
        Record::Srv(Srv { priority, weight, port, target }) => {
            format!("{priority} {weight} {} port {port}", readable(target))
        }
        Record::Naptr(naptr @ Naptr { order, preference, service, replacement, .. }) => {
            let skipped = if is_usable(naptr) { "" } else { " (skipped)" };
            format!("{order} {preference} {service} {}{skipped}", readable(replacement))
        }
    }
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

/// The start line without what every message says: `REGISTER sip:munich.de`, `401 Unauthorized`. With the method that is
/// answered, unless it is REGISTER: `200 OK (BYE)`.
fn start_line(bytes: &[u8]) -> String {
    let first = bytes.split(|&octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let text = octets(first);
    match text.strip_prefix("SIP/2.0 ") {
        Some(status) => format!("{status}{}", answered(bytes).unwrap_or_default()),
        None => text.strip_suffix(" SIP/2.0").unwrap_or(&text).to_owned(),
    }
}

/// The method that a response answers, in brackets.
fn answered(response: &[u8]) -> Option<String> {
    let message = Message::parse_datagram(Bytes::copy_from_slice(response)).ok()?;
    let method = message.headers().cseq().ok()?.method;
    (method != Method::Register).then(|| format!(" ({})", escape(method.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Question;

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
        let response = b"SIP/2.0 401 Un\x1bauthorized\r\n\r\n";
        let mut ladder = String::new();
        for (direction, bytes) in [
            (Direction::Sent, &request[..]),
            (Direction::SentAgain, request),
            (Direction::Received, response),
        ] {
            ladder += &line(&passage(direction, bytes), None, Paint::plain());
        }
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

    /// Each name server that was asked has a line; services that can't be used are told.
    #[test]
    fn a_question_to_the_name_service_is_one_line() {
        let server = Some("127.0.0.1:53".parse().unwrap());
        let naptr = |order, service: &str, replacement: &str| {
            Record::Naptr(Naptr {
                order,
                preference: 50,
                flags: "s".into(),
                service: service.into(),
                replacement: replacement.into(),
            })
        };
        let srv =
            |target: &str| Record::Srv(Srv { priority: 10, weight: 60, port: 5070, target: target.into() });
        let name = || "xn--mnchen-3ya.de".to_owned();
        let many = (0..6).map(|n| Record::A([192, 0, 2, n].into())).collect();
        let services = vec![
            naptr(1, "SIP+D2S", "_sip._sctp.a.de"),
            naptr(2, "SIPS+D2T", "_sips._tcp.a.de"),
            naptr(3, "sip+d2u", "_sip._udp.a.de"),
        ];
        let lines: String = [
            Lookup { question: Question::Naptr(name()), server, answer: Ok(services) },
            Lookup {
                question: Question::Srv("_sip._udp.a.de".into()),
                server,
                answer: Ok(vec![srv("b.de"), srv("")]),
            },
            Lookup { question: Question::A("b.de".into()), server, answer: Ok(many) },
            Lookup { question: Question::Aaaa("b.de".into()), server: None, answer: Ok(vec![]) },
            Lookup { question: Question::A("\u{1b}".into()), server, answer: Err(ResolveError::NoSuchName) },
            Lookup { question: Question::A("c.de".into()), server, answer: Err(ResolveError::ServerFailed) },
            Lookup { question: Question::A("c.de".into()), server, answer: Err(ResolveError::TimedOut) },
        ]
        .iter()
        .map(|said| lookup(Duration::from_micros(700), said, Paint::plain()))
        .collect();
        insta::assert_snapshot!(lines, @r"
       0.7 ms  ?  NAPTR münchen.de: 1 50 SIP+D2S _sip._sctp.a.de (skipped), 2 50 SIPS+D2T _sips._tcp.a.de, 3 50 sip+d2u _sip._udp.a.de, said 127.0.0.1:53
       0.7 ms  ?  SRV _sip._udp.a.de: 10 60 b.de port 5070, 10 60 . port 5070 (not offered), said 127.0.0.1:53
       0.7 ms  ?  A b.de: 192.0.2.0, 192.0.2.1, 192.0.2.2, 192.0.2.3, and 2 more, said 127.0.0.1:53
       0.7 ms  ?  AAAA b.de: no such record, known here
       0.7 ms  ?  A \u{1b}: no such name, said 127.0.0.1:53
       0.7 ms  ?  A c.de: the name server failed, said 127.0.0.1:53
       0.7 ms  ?  A c.de: the name server did not answer, 127.0.0.1:53
    ");
    }

    /// Of a call the answers say what they answer; on a terminal the lines fit, in a pipe they are whole.
    #[test]
    fn the_messages_of_a_call_fit_a_terminal() {
        let request = b"INVITE sip:werner.heisenberg@200.201.202.203:5060;transport=tcp SIP/2.0\r\n\r\n";
        let messages = [
            (Direction::Received, &request[..]),
            (Direction::Sent, b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"),
            (Direction::Sent, b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n"),
            (Direction::SentAgain, b"SIP/2.0 487 Request Terminated\r\nCSeq: 1 INVITE\r\n\r\n"),
        ];
        let ladder = |columns| {
            let lines = messages
                .iter()
                .map(|(direction, bytes)| line(&passage(*direction, bytes), columns, Paint::plain()));
            lines.collect::<String>()
        };
        insta::assert_snapshot!(ladder(None) + &ladder(Some(80)) + &ladder(Some(20)), @r#"
      12.0 ms <-- INVITE sip:werner.heisenberg@200.201.202.203:5060;transport=tcp  192.0.2.1:5060 udp 75 B
      12.0 ms --> 180 Ringing (INVITE)          192.0.2.1:5060 udp 39 B
      12.0 ms --> 200 OK                        192.0.2.1:5060 udp 36 B
      12.0 ms --> 487 Request Terminated (INVITE)  192.0.2.1:5060 udp 50 B again
      12.0 ms <-- INVITE sip:werner.heisenberg@200.201...  192.0.2.1:5060 udp 75 B
      12.0 ms --> 180 Ringing (INVITE)          192.0.2.1:5060 udp 39 B
      12.0 ms --> 200 OK                        192.0.2.1:5060 udp 36 B
      12.0 ms --> 487 Request Terminated (INVITE)  192.0.2.1:5060 udp 50 B again
      12.0 ms <-- INVITE sip:werner.heisenb...  192.0.2.1:5060 udp 75 B
      12.0 ms --> 180 Ringing (INVITE)          192.0.2.1:5060 udp 39 B
      12.0 ms --> 200 OK                        192.0.2.1:5060 udp 36 B
      12.0 ms --> 487 Request Terminated (I...  192.0.2.1:5060 udp 50 B again
    "#);
        assert!(ladder(Some(80)).lines().all(|line| line.len() <= 80));
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
