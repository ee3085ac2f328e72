//! Streams: the frames do not depend on the segmentation, and the memory held does not grow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipreg::sip::{Frame, FramingError, StreamFramer};

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FramingError>) {
    let mut framer = StreamFramer::accepting();
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

// The first octet chooses the size of the pieces.
fuzz_target!(|octets: &[u8]| {
    let Some((size, stream)) = octets.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(frames(stream.chunks(size)), frames(std::iter::once(stream)));
});
