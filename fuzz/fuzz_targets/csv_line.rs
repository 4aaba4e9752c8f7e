//! See `feedd_replay::fuzzing::csv_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feedd_replay::fuzzing::csv_line(bytes));
