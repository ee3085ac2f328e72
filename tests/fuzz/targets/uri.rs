//! URIs and addresses: written as read, equal to themselves, and comparison is symmetric.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipreg::sip::{AnyUri, Host, NameAddr, Uri};

// Two URIs, with a line feed between.
fuzz_target!(|octets: &[u8]| {
    let mut halves = octets.splitn(2, |&octet| octet == b'\n');
    let (one, two) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let _ = (AnyUri::parse(one), NameAddr::parse(one));
    if let Ok(host) = Host::parse(one) {
        assert_eq!(Host::parse(host.to_string()), Ok(host));
    }
    let Ok(one) = Uri::parse(one) else { return };
    assert!(one.matches(&one));
    let again = Uri::parse(one.to_string()).expect("a written URI reads");
    assert_eq!(format!("{again:?}"), format!("{one:?}"));
    let _ = (one.user_decoded(), one.user_octets(), one.transport());
    if let Ok(two) = Uri::parse(two) {
        assert_eq!(one.matches(&two), two.matches(&one));
    }
});
