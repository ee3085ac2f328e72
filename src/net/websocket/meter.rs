//! What passes on a connection below its WebSocket, measured: a message that is not complete in time, and frames that cost work
//! and bring nothing.
//!
//! The frames themselves are read above; here only their ends are looked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::proto::identity::WebSocketFault;

/// Frames a second that bring nothing: pings, pongs, and empty ones.
const IDLE_FRAMES: u32 = 100;

/// The longest head of a frame (RFC 6455 §5.2).
const HEAD: usize = 14;

/// A connection whose frames are measured as they are read.
pub(super) struct Metered<S> {
    io: S,
    meter: Meter,
    /// The time from the first octet of a message to its last, fragments and all.
    patience: Duration,
    /// When the message that is under way has to be complete.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    /// `ahead` has been read already, and is measured too.
    ///
    /// # Errors
    /// The frames among it are too many.
    pub(super) fn new(io: S, ahead: &[u8], patience: Duration) -> io::Result<Metered<S>> {
        let mut metered = Metered { io, meter: Meter::default(), patience, due: None };
        metered.measure(ahead)?;
        Ok(metered)
    }

    /// The connection below.
    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }

    fn measure(&mut self, octets: &[u8]) -> io::Result<()> {
        let has_ended = self.meter.read(octets, Instant::now());
        if !self.meter.is_midway() {
            self.due = None;
        } else if has_ended || self.due.is_none() {
            self.due = Some(Box::pin(tokio::time::sleep(self.patience)));
        }
        if self.meter.count > IDLE_FRAMES { Err(io::Error::other(WebSocketFault::Flood)) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.measure(&buffer.filled()[before..])),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match &mut self.due {
                Some(due) => due.as_mut().poll(context).map(|()| Err(io::Error::other(WebSocketFault::Slow))),
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Finds where frames and messages end.
#[derive(Default)]
struct Meter {
    /// What there is of the head of a frame.
    head: [u8; HEAD],
    known: usize,
    /// Octets of its payload that are still to come.
    left: u64,
    /// A frame was not the last of its message.
    has_more: bool,
    /// Frames that bring nothing, since the second began.
    count: u32,
    second: Option<Instant>,
}

impl Meter {
    /// Whether anything is not complete.
    fn is_midway(&self) -> bool {
        self.known > 0 || self.has_more
    }

    /// Reads on. Whether anything was complete at a point on the way.
    fn read(&mut self, mut octets: &[u8], now: Instant) -> bool {
        let mut has_ended = false;
        while let Some((first, rest)) = octets.split_first() {
            if self.left > 0 {
                let taken = octets.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= taken as u64;
                octets = &octets[taken..];
            } else {
                self.head[self.known] = *first;
                self.known += 1;
                octets = rest;
                let Some(length) = length(&self.head[..self.known]) else { continue };
                self.left = length;
                self.note(length, now);
            }
            if self.left == 0 {
                self.known = 0;
                has_ended |= !self.has_more;
            }
        }
        has_ended
    }

    /// Notes a frame whose head is complete.
    fn note(&mut self, length: u64, now: Instant) {
        let is_control = self.head[0] & 0x08 != 0;
        if !is_control {
            self.has_more = self.head[0] & 0x80 == 0;
        }
        if is_control || length == 0 {
            if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
                self.second = Some(now);
                self.count = 0;
            }
            self.count += 1;
        }
    }
}

/// The length of the payload, once the head of its frame is complete.
fn length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if head.len() < 2 + extended + mask {
        return None;
    }
    let long = head[2..2 + extended].iter().fold(0, |length, octet| length << 8 | u64::from(*octet));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { long })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Two fragments with a ping between them, an empty message, and a masked one of 300 octets.
    fn frames() -> Vec<u8> {
        let mut frames = b"\x01\x02ab\x89\x01p\x80\x01c\x82\x00\x82\xfe\x01\x2cmask".to_vec();
        frames.extend([b'x'; 300]);
        frames
    }

    #[test]
    fn ends_of_messages_are_found_however_the_octets_come() {
        let now = Instant::now();
        let ends = [10, 12, 12 + 8 + 300];
        for size in [1, 2, 3, 7, 500] {
            let mut meter = Meter::default();
            let mut read = 0;
            for piece in frames().chunks(size) {
                let before = read;
                read += piece.len();
                let has_ended = meter.read(piece, now);
                assert_eq!(has_ended, ends.iter().any(|end| (before + 1..=read).contains(end)), "{read}");
                assert_eq!(meter.is_midway(), !ends.contains(&read), "{read}");
            }
            assert_eq!(meter.count, 2);
        }
    }

    #[test]
    fn frames_that_bring_nothing_are_counted_by_the_second() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        assert!(meter.read(&b"\x89\x00".repeat(100), start));
        assert!(meter.read(b"\x81\x01a", start));
        assert_eq!(meter.count, IDLE_FRAMES);
        meter.read(b"\x8a\x00", start + Duration::from_millis(999));
        assert_eq!(meter.count, IDLE_FRAMES + 1);
        meter.read(b"\x00\x00", start + Duration::from_millis(1000));
        assert_eq!(meter.count, 1);
    }

    /// A length of eight octets is no reason to wait for that much at once, or to add up.
    #[test]
    fn the_longest_frame_is_measured_too() {
        let mut meter = Meter::default();
        let mut octets = b"\x82\x7f".to_vec();
        octets.extend([0xff; 8]);
        octets.extend([0; 100]);
        assert!(!meter.read(&octets, Instant::now()) && meter.is_midway());
        assert_eq!(meter.left, u64::MAX - 100);
    }

    /// WSS-004: a message that never ends, in fragments or not, is not waited for; and silence between messages is none.
    #[tokio::test]
    async fn a_message_has_its_time_and_silence_has_none() {
        let patience = Duration::from_millis(50);
        for begun in [&b"\x81"[..], b"\x81\x05SI", b"\x01\x03SIP", b"\x01\x01S\x89\x00", b"\x81\x01a\x81"] {
            let (mut peer, io) = tokio::io::duplex(100);
            let mut metered = Metered::new(io, &begun[..1], patience).unwrap();
            peer.write_all(&begun[1..]).await.unwrap();
            let mut all = Vec::new();
            let error = metered.read_to_end(&mut all).await.unwrap_err();
            let fault = error.get_ref().and_then(|fault| fault.downcast_ref());
            assert_eq!((fault, &*all), (Some(&WebSocketFault::Slow), &begun[1..]));
        }
        let (mut peer, io) = tokio::io::duplex(100);
        let mut metered = Metered::new(io, b"", patience).unwrap();
        peer.write_all(b"\x81\x01a").await.unwrap();
        let mut all = [0; 4];
        let waited = tokio::time::timeout(4 * patience, metered.read_exact(&mut all)).await;
        assert!(waited.is_err(), "{waited:?}");
    }
}
