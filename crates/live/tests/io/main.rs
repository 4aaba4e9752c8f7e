//! A live source against an exchange that is played by another program, with another WebSocket implementation: what is
//! recorded is compared with what the exchange itself says it did.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod certificates;
mod contract;
mod faults;
mod harness;
mod recording;
mod tape;
mod venues;
