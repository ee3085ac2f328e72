//! The opening handshake of a WebSocket: whatever comes is read within bounds, and what more comes changes nothing; each side
//! understands what the other writes.

use sipreg::net::upgrade::{self, Declined, LIMIT};
use sipreg::proto::identity::UpgradeFault;

/// The key of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Takes what a peer sends, as a request and as an answer.
pub fn any_octets_are_read_within_bounds(octets: &[u8]) {
    let origins = ["https://a".to_owned()];
    let half = &octets[..octets.len() / 2];
    let whole = upgrade::read_request(octets, &origins);
    match (upgrade::read_request(half, &origins), &whole) {
        (Ok(None), Ok(None)) => assert!(octets.len() < LIMIT),
        (Ok(None), Ok(Some(_)) | Err(_)) => assert!(half.len() < LIMIT),
        (Ok(Some(before)), Ok(Some(after))) => assert_eq!(&before, after, "frames follow"),
        (Err(_), Err(_)) => {}
        (before, after) => panic!("{before:?} was taken back: {after:?}"),
    }
    match whole {
        Ok(Some(welcome)) => {
            assert!(welcome.length <= LIMIT && octets[..welcome.length].ends_with(b"\n"));
            assert_eq!(answer_of(&welcome.answer), "101");
        }
        Ok(None) => {}
        Err(refusal) => {
            assert!(!matches!(refusal.fault, UpgradeFault::Status(_)));
            assert!(["400", "403", "405", "426", "431"].contains(&answer_of(&refusal.answer)));
        }
    }
    let whole = upgrade::read_answer(octets, KEY);
    match (upgrade::read_answer(half, KEY), &whole) {
        (Ok(None), _) => assert!(half.len() < LIMIT),
        (Ok(Some(before)), Ok(Some(after))) => assert_eq!(&before, after, "frames follow"),
        (Err(_), Err(_)) => {}
        (before, after) => panic!("{before:?} was taken back: {after:?}"),
    }
    match whole {
        Ok(Some(length)) => assert!(length <= LIMIT && octets[..length].ends_with(b"\n")),
        Ok(None) => assert!(octets.len() < LIMIT),
        Err(Declined::Fault(UpgradeFault::Status(status))) => assert_ne!(status, 101),
        Err(Declined::Fault(fault)) => assert_ne!(fault, UpgradeFault::Origin),
        Err(Declined::Elsewhere(status, location)) => {
            assert!(
                (300..400).contains(&status) && location.len() <= 512 && !location.contains(['\r', '\n'])
            );
        }
        Err(Declined::Challenged(challenges)) => {
            assert!(challenges.iter().all(|text| !text.contains(['\r', '\n'])));
        }
    }
}

/// The status of an answer, which has one head.
fn answer_of(answer: &[u8]) -> &str {
    let text = std::str::from_utf8(answer).unwrap();
    assert!(text.contains("\r\n\r\n"));
    text.strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap()
}

/// Takes a path, made of what may stand in one.
pub fn each_side_understands_the_other(octets: &[u8]) {
    let path: String = octets
        .iter()
        .filter(|octet| octet.is_ascii_graphic())
        .map(|octet| char::from(*octet))
        .take(1000)
        .collect();
    let request = upgrade::request("munich.de", &path, KEY, Some("Digest a=\"b\""));
    let Ok(Some(welcome)) = upgrade::read_request(&request, &[]) else { panic!("{path} is refused") };
    assert_eq!(welcome.length, request.len());
    assert_eq!(upgrade::read_answer(&welcome.answer, KEY), Ok(Some(welcome.answer.len())));
    let other = upgrade::read_answer(&welcome.answer, "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(other, Err(Declined::Fault(UpgradeFault::NotWebSocket)), "the answer to another");
}
