#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipreg_fuzz::framing::any_split_gives_the_same(octets));
