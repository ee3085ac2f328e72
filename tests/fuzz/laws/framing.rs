//! Streams: the frames do not depend on the segmentation, lose nothing, and are messages to the parser, too.

use sipreg::sip::{Frame, FramingError, Message, ParseError, StreamFramer};

/// The frames of a stream and its end.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    frames: Vec<Frame>,
    error: Option<FramingError>,
    partial: bool,
}

impl Course {
    fn of<'a>(mut framer: StreamFramer, pieces: impl Iterator<Item = &'a [u8]>) -> Course {
        let mut frames = Vec::new();
        for piece in pieces {
            framer.push(piece);
            loop {
                match framer.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => {
                        framer.push(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n");
                        assert_eq!(framer.next(), Err(error), "an error stays");
                        return Course { frames, error: Some(error), partial: framer.partial() };
                    }
                }
            }
        }
        Course { frames, error: None, partial: framer.partial() }
    }

    /// The course without keep-alives, which each side reads in its own way.
    fn messages(mut self) -> Course {
        self.frames.retain(|frame| matches!(frame, Frame::Message(_)));
        self
    }
}

/// Takes the number of sizes that follow, the sizes of pieces, used in turn, and the stream.
pub fn any_split_gives_the_same(octets: &[u8]) {
    let Some((&count, rest)) = octets.split_first() else { return };
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = Course::of(StreamFramer::accepting(), std::iter::once(stream));
    assert_eq!(Course::of(StreamFramer::accepting(), split(stream, sizes)), whole);
    nothing_is_lost(&whole, stream);
    let opened = Course::of(StreamFramer::new(), split(stream, sizes));
    let whole = whole.messages();
    assert_eq!(Course::of(StreamFramer::new(), std::iter::once(stream)).messages(), whole);
    assert_eq!(opened.messages(), whole);
}

fn split<'a>(stream: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = stream;
    std::iter::from_fn(move || {
        let size = sizes.next().map_or(1, |&size| usize::from(size).max(1));
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The frames are the stream from its start on, and parser and framer see the same end of each message.
fn nothing_is_lost(course: &Course, stream: &[u8]) {
    let mut rest = stream;
    for frame in &course.frames {
        let octets: &[u8] = match frame {
            Frame::Message(octets) => octets,
            Frame::Ping => b"\r\n\r\n",
            Frame::Pong => b"\r\n",
        };
        rest = rest.strip_prefix(octets).expect("frames are what the stream holds, in order");
        if let Frame::Message(octets) = frame
            && let Err(error) = Message::parse_framed(octets.clone())
        {
            let of_framing = [
                ParseError::Empty,
                ParseError::TooLarge,
                ParseError::Unterminated,
                ParseError::ContentLength,
                ParseError::ContradictoryLength,
                ParseError::BodyLength,
            ];
            assert!(!of_framing.contains(&error), "the parser sees another message: {error}");
        }
    }
    assert!(course.error.is_some() || course.partial || rest.len() < 4, "{} octets are stuck", rest.len());
}
