//! Authentication headers: what was read is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sipreg::sip::{AuthenticationInfo, Challenge, Credentials};

fuzz_target!(|octets: &[u8]| {
    for challenge in Challenge::parse_all(octets) {
        let _ = (challenge.qops(), challenge.stale(), challenge.userhash(), challenge.realm());
        assert_eq!(Challenge::parse_all(challenge.to_string().as_bytes()), [challenge]);
    }
    if let Ok(credentials) = Credentials::parse(octets) {
        assert_eq!(Credentials::parse(credentials.to_string().as_bytes()), Ok(credentials));
    }
    if let Some(info) = AuthenticationInfo::parse(octets)
        && info != AuthenticationInfo::default()
    {
        assert_eq!(AuthenticationInfo::parse(info.to_string().as_bytes()), Some(info));
    }
});
