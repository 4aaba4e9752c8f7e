//! The PostgreSQL sink.
#![forbid(unsafe_code)]
