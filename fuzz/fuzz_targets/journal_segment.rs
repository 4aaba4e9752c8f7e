//! See `feedd_journal::fuzzing::fuzz_bytes`. Its seeds are the segments of `crates/journal/golden`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| feedd_journal::fuzzing::fuzz_bytes(bytes));
