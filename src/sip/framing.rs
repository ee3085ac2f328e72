//! Messages and keep-alives out of a byte stream (RFC 3261 §7.5 and §18.3, RFC 5626 §3.5.1 and §4.4.1).

use super::head::{self, Length, Lines, MAX_MESSAGE};
use bytes::{Buf, Bytes, BytesMut};

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, for [`Message::parse_framed`](super::Message::parse_framed).
    Message(Bytes),
    /// CRLF CRLF between messages: the peer asks for a pong.
    Ping,
    /// A single CRLF between messages: the answer to a ping.
    Pong,
}

/// The stream is out of step and has to be closed (RFC 4475 §3.1.2.3, §3.3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A message without Content-Length.
    #[error("a message without Content-Length on a stream")]
    NoLength,
    /// A Content-Length that is no number.
    #[error("a Content-Length that is no number")]
    BadLength,
    /// Two Content-Length rows that differ.
    #[error("contradictory Content-Length rows")]
    Contradictory,
    /// Head and body together are larger than [`MAX_MESSAGE`].
    #[error("a message larger than 65535 octets")]
    TooLarge,
}

/// What a single CRLF at the end of the octets at hand means, which depends on who opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lone {
    /// A pong, and it counts now: the keep-alive timer waits for it.
    Pong,
    /// Perhaps the first half of a ping: wait for what follows.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    /// In a head of which so many octets hold no end.
    Head {
        scanned: usize,
    },
    /// In a message of this many octets, head and body.
    Body {
        total: usize,
    },
    Lost(FramingError),
}

/// Cuts a stream into frames, whatever its segmentation. [`push`](StreamFramer::push) what was read, then call
/// [`next`](StreamFramer::next) until it gives `None`. After an error it gives the same error for ever.
///
/// A message that never completes holds at most [`MAX_MESSAGE`] octets and what was pushed last; bound it in time
/// with a timer that runs while [`partial`](StreamFramer::partial).
#[derive(Debug)]
pub struct StreamFramer {
    buffer: BytesMut,
    place: Place,
    lone: Lone,
}

impl StreamFramer {
    /// For the side that opened the connection and sends the pings: a single CRLF is a pong as soon as it is there.
    pub fn new() -> StreamFramer {
        StreamFramer { buffer: BytesMut::new(), place: Place::Between, lone: Lone::Pong }
    }

    /// For the side that accepted the connection and answers pings: a single CRLF waits for what follows, so that a
    /// ping is seen also when it comes in two pieces.
    pub fn accepting() -> StreamFramer {
        StreamFramer { lone: Lone::Wait, ..StreamFramer::new() }
    }

    /// Takes octets as they were read.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Whether a message has begun and is not complete.
    pub fn partial(&self) -> bool {
        match self.place {
            Place::Between => !matches!(*self.buffer, [] | [b'\r', ..]),
            Place::Head { .. } | Place::Body { .. } => true,
            Place::Lost(_) => false,
        }
    }

    /// How many octets wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame; `None` when more octets are needed.
    ///
    /// # Errors
    /// The stream is out of step: no frame will come any more.
    #[expect(clippy::should_implement_trait, reason = "it is fallible, and more may come after None")]
    pub fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        let frame = self.step();
        if let Err(error) = frame {
            self.place = Place::Lost(error);
            self.buffer = BytesMut::new();
        }
        frame
    }

    fn step(&mut self) -> Result<Option<Frame>, FramingError> {
        loop {
            match self.place {
                Place::Between => match (&*self.buffer, self.lone) {
                    ([b'\r', b'\n', b'\r', b'\n', ..], _) => return Ok(self.keepalive(4, Frame::Ping)),
                    ([] | [b'\r'], _) | ([b'\r', b'\n'] | [b'\r', b'\n', b'\r'], Lone::Wait) => {
                        return Ok(None);
                    }
                    ([b'\r', b'\n', ..], _) => return Ok(self.keepalive(2, Frame::Pong)),
                    _ => self.place = Place::Head { scanned: 0 },
                },
                Place::Head { scanned } => match self.head_end(scanned) {
                    Some(end) => self.place = Place::Body { total: self.total(end)? },
                    None if self.buffer.len() >= MAX_MESSAGE => return Err(FramingError::TooLarge),
                    None => {
                        // An end may be cut in two after three of its octets.
                        self.place = Place::Head { scanned: self.buffer.len().saturating_sub(3) };
                        return Ok(None);
                    }
                },
                Place::Body { total } if self.buffer.len() >= total => {
                    self.place = Place::Between;
                    return Ok(Some(Frame::Message(self.buffer.split_to(total).freeze())));
                }
                Place::Body { .. } => return Ok(None),
                Place::Lost(error) => return Err(error),
            }
        }
    }

    fn keepalive(&mut self, octets: usize, frame: Frame) -> Option<Frame> {
        self.buffer.advance(octets);
        Some(frame)
    }

    /// Where the head ends, behind its empty line, looked for from `scanned` on.
    fn head_end(&self, scanned: usize) -> Option<usize> {
        let fresh = self.buffer.get(scanned..)?;
        fresh.windows(4).position(|four| four == b"\r\n\r\n").map(|at| scanned + at + 4)
    }

    /// Octets of the message whose head is the first `head` octets of the buffer.
    fn total(&self, head: usize) -> Result<usize, FramingError> {
        let mut lines = Lines::new(self.buffer.get(..head).unwrap_or_default());
        let mut length = Length::Absent;
        // A broken line is the parser's to report; the stream stays in step as long as the length is sound.
        let _start = lines.line();
        while let Some(row) = lines.row() {
            if lines.rest.is_empty() {
                break;
            }
            if let Ok(row) = row
                && head::is_content_length(row.name)
            {
                length = length.and(row.value.octets());
            }
        }
        let body = match length {
            Length::Octets(octets) => octets,
            Length::Absent => return Err(FramingError::NoLength),
            Length::Malformed => return Err(FramingError::BadLength),
            Length::Contradictory => return Err(FramingError::Contradictory),
        };
        usize::try_from(body)
            .ok()
            .and_then(|body| body.checked_add(head))
            .filter(|&total| total <= MAX_MESSAGE)
            .ok_or(FramingError::TooLarge)
    }
}

impl Default for StreamFramer {
    fn default() -> StreamFramer {
        StreamFramer::new()
    }
}
