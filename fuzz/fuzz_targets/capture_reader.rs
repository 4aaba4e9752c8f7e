//! See `feedd_venues::fuzzing::capture_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feedd_venues::fuzzing::capture_reader(bytes));
