//! Bars against what a plain computation over the same trades gives, and scenes with every value written out.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
mod counted;
mod holes;
mod properties;
mod scenes;
mod sessions;
mod state;
