//! A segmented append log.
#![forbid(unsafe_code)]
