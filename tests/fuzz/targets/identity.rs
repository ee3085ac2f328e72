#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipreg_fuzz::identity::a_certificate_is_for_whom_it_names(
    octets
));
