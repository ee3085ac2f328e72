//! Streams cut and glued at every place give the same frames.

use crate::readers::torture_file;
use proptest::prelude::*;
use sipreg::sip::{Frame, StreamFramer};

fn frames(mut framer: StreamFramer, pieces: &[&[u8]]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        while let Some(frame) = framer.next().unwrap() {
            frames.push(frame);
        }
    }
    assert!(!framer.partial());
    frames
}

/// Messages, pings and pongs in a row, and the frames they are.
fn conversation() -> (Vec<u8>, Vec<Frame>) {
    let message = |name: &str| Frame::Message(torture_file(name));
    let expected = vec![
        message("noreason.sip"),
        Frame::Ping,
        message("wsinv.sip"),
        Frame::Pong,
        message("mpart01.sip"),
        message("unreason.sip"),
        Frame::Ping,
        Frame::Ping,
        message("zeromf.sip"),
    ];
    let mut stream = Vec::new();
    for frame in &expected {
        match frame {
            Frame::Message(message) => stream.extend_from_slice(message),
            Frame::Ping => stream.extend_from_slice(b"\r\n\r\n"),
            Frame::Pong => stream.extend_from_slice(b"\r\n"),
        }
    }
    (stream, expected)
}

/// TRN-023, TRN-024: any segmentation, one octet at a time and everything at once.
#[test]
fn segmentation_does_not_matter() {
    let (stream, expected) = conversation();
    assert_eq!(frames(StreamFramer::accepting(), &[&stream]), expected);
    assert_eq!(frames(StreamFramer::new(), &[&stream]), expected);
    for size in [1, 2, 3, 4, 5, 7, 100, 1000] {
        let pieces: Vec<_> = stream.chunks(size).collect();
        assert_eq!(frames(StreamFramer::accepting(), &pieces), expected, "pieces of {size}");
    }
}

proptest! {
    /// TRN-023: pieces of random sizes.
    #[test]
    fn random_cuts_give_the_same_frames(cuts in prop::collection::vec(1usize..200, 1..200)) {
        let (stream, expected) = conversation();
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        prop_assert_eq!(frames(StreamFramer::accepting(), &pieces), expected);
    }

    /// The side that opened the connection sees the same messages; only a ping in two pieces is two pongs to it.
    #[test]
    fn the_opening_side_sees_the_same_messages(size in 1usize..50) {
        let (stream, expected) = conversation();
        let pieces: Vec<_> = stream.chunks(size).collect();
        let messages = |frames: Vec<Frame>| {
            frames.into_iter().filter(|frame| matches!(frame, Frame::Message(_))).collect::<Vec<_>>()
        };
        prop_assert_eq!(messages(frames(StreamFramer::new(), &pieces)), messages(expected));
    }

    /// Random octets never panic, and an error stays.
    #[test]
    fn random_octets_do_not_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
        let mut framer = StreamFramer::new();
        let mut failed = None;
        for piece in &pieces {
            framer.push(piece);
            while let Some(frame) = match framer.next() {
                Ok(frame) => frame,
                Err(error) => {
                    failed = Some(error);
                    None
                }
            } {
                let _ = frame;
            }
            if let Some(error) = failed {
                prop_assert_eq!(framer.next(), Err(error));
            }
        }
    }
}
