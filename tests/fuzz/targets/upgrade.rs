#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    sipreg_fuzz::upgrade::any_octets_are_read_within_bounds(octets);
    sipreg_fuzz::upgrade::each_side_understands_the_other(octets);
});
