//! Twice the octets cost at most twice the memory, all that is ever allocated counted; steps are counted by
//! `tests/bench/instructions`.

use crate::hostile::{SHAPES, filled, read_all_once};
use crate::laws;
use allocation_counter::{AllocationInfo, measure};
use sipreg::sip::{Message, StreamFramer, Uri};

const SIZES: [usize; 4] = [8_000, 16_000, 32_000, 64_000];

/// Doubling doubles at most; vectors that grow by doubling may have to do so once more, and small things are
/// not counted.
fn assert_linear(what: &str, cost: impl Fn(usize)) {
    let costs = SIZES.map(|size| measure(|| cost(size)));
    let fits = |one: u64, two: u64, small: u64| two <= one * 5 / 2 + small;
    for (at, pair) in costs.windows(2).enumerate() {
        let [one, two]: &[AllocationInfo; 2] = pair.try_into().unwrap();
        let sizes = format!("{what}, {} and {} octets: {one:?} {two:?}", SIZES[at], SIZES[at + 1]);
        assert!(fits(one.bytes_total, two.bytes_total, 4096), "{sizes}");
        assert!(fits(one.count_total, two.count_total, 64), "{sizes}");
        assert!(fits(one.bytes_max, two.bytes_max, 4096), "{sizes}");
    }
    assert!(costs[3].bytes_total > 0, "{what} costs nothing");
}

/// DSR-003: messages made to hurt.
#[test]
fn twice_the_message_is_twice_the_memory() {
    for (head, unit) in SHAPES {
        assert_linear(&format!("{head}{unit}"), |size| {
            let message = Message::parse_datagram(filled(head, unit, size).into()).unwrap();
            read_all_once(&message);
            let mut written = Vec::new();
            message.write(&mut written);
        });
    }
}

/// DSR-003, TRN-023: a stream that comes in pieces, and one that is full of small messages.
#[test]
fn twice_the_stream_is_twice_the_memory() {
    for piece in [1, 7, 1000, 64_000] {
        for unit in ["X: a\r\n", "y\r\nl:0\r\n\r\n", "\r\n\r\n", "a"] {
            assert_linear(&format!("{unit:?} in pieces of {piece}"), |size| {
                let mut framer = StreamFramer::accepting();
                for piece in unit.repeat(size / unit.len()).as_bytes().chunks(piece) {
                    framer.push(piece);
                    while let Ok(Some(_)) = framer.next() {}
                }
            });
        }
    }
}

/// DSR-003: comparison with as many parameters and headers as fit.
#[test]
fn twice_the_uri_is_twice_the_memory_to_compare() {
    for unit in [";a=%61", "&a=%61"] {
        assert_linear(unit, |size| {
            let uri =
                Uri::parse(format!("sip:a{}", unit.repeat(size / unit.len()).replacen('&', "?", 1))).unwrap();
            assert!(uri.matches(&uri));
        });
    }
}

/// DSR-003: an endpoint to which a great many useless things come.
#[test]
fn twice_the_traffic_is_twice_the_memory() {
    let plan = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    for (what, event) in [("garbage", &[5u8, 0, 4, 1, 2, 3, 4, 0, 0][..]), ("timeouts before time", &[15])] {
        assert_linear(what, |size| {
            let octets = [&plan[..], &event.repeat(size / event.len() / 8)].concat();
            laws::endpoint::everything_ends(&octets);
        });
    }
}
