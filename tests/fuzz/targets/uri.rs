#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipreg_fuzz::uris::comparison_is_an_equivalence(octets));
