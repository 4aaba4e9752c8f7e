//! The storage lane: gathers blocks into batches, offers them to a sink until it has them, and counts all of it.
//!
//! Leaves out on purpose: what a sink does with a batch. Start with [`StorageLane`].
//!
//! ```
//! use feedd_delivery::Retry;
//! use std::time::Duration;
//! let retry = Retry { attempts: 3, delay: Duration::from_secs(1), delay_max: Duration::from_secs(30) };
//! assert_eq!(retry.delay(1, &mut fastrand::Rng::with_seed(1)), Duration::from_secs(1));
//! ```
#![forbid(unsafe_code)]

mod gather;
mod lane;
mod offer;
mod quarantine;
mod retry;

pub use gather::{Gather, pool_blocks};
pub use lane::{BatchLimits, LaneEnd, LaneParts, StorageLane};
pub use quarantine::Quarantine;
pub use retry::Retry;
