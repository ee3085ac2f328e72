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

/// The time from the first octet of a message to its last, fragments and all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Frames a second that bring nothing: pings, pongs, and empty ones.
const IDLE_FRAMES: u32 = 100;

/// The longest head of a frame (RFC 6455 §5.2).
const HEAD: usize = 14;

/// A connection whose frames are measured as they are read.
pub(super) struct Metered<S> {
    io: S,
    meter: Meter,
    /// When the message that is under way has to be complete.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    /// `ahead` has been read already, and is measured too.
    ///
    /// # Errors
    /// The frames among it are too many.
    pub(super) fn new(io: S, ahead: &[u8]) -> io::Result<Metered<S>> {
        let mut metered = Metered { io, meter: Meter::default(), due: None };
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
            self.due = Some(Box::pin(tokio::time::sleep(PATIENCE)));
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
