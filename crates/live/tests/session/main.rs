//! The session in virtual time against a venue of the tests' own, which fails as it is told.

#![allow(unreachable_pub, reason = "one binary of several files")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod change;
mod faults;
mod pairs;
mod protocol;
mod quiet;
mod storm;
mod wants;
mod world;
