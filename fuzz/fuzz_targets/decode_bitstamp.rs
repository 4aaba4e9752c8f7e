//! See `feedd_venues::fuzzing::decode_frame_of`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feedd_venues::fuzzing::decode_frame_of("bitstamp", bytes));
