#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sipreg_fuzz::writing::a_built_message_reads_back(octets));
