#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipreg_fuzz::written::what_is_built_is_read_back(octets));
