//! Streams cut and glued at every place give the same frames. `properties` does the same with random streams.

use crate::torture::torture_file;
use sipreg::sip::{Frame, FramingError, StreamFramer};

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

/// Who greets in another protocol, and a method of SIP that begins like a greeting: both whole, and octet by octet.
#[test]
fn a_greeting_is_one_whatever_the_pieces() {
    let message = b"SSH-STER sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    for (stream, expected) in [
        (&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], Err(FramingError::Greeting)),
        (b"SSH-2.0-x\r\n\r\n", Err(FramingError::Greeting)),
        (b"220 mail.example.com ESMTP\r\n250 ok\r\n\r\n", Err(FramingError::Greeting)),
        (message, Ok(vec![Frame::Message(message[..].into())])),
    ] {
        for size in [1, stream.len()] {
            let mut framer = StreamFramer::new();
            let mut frames = Vec::new();
            let error = stream.chunks(size).find_map(|piece| {
                framer.push(piece);
                loop {
                    match framer.next() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => return None,
                        Err(error) => return Some(error),
                    }
                }
            });
            let came = error.map_or(Ok(frames), Err);
            assert_eq!(came, expected, "{} in pieces of {size}", stream.escape_ascii());
        }
    }
}
