//! Harness of tests.
#![forbid(unsafe_code)]
