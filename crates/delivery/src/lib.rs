//! Delivery without loss: the journal's thread, and a lane for each sink that reads what is durable, forms batches and
//! offers them until they are stored, with breaker, retries, quarantine and an account of all of it.
//!
//! Leaves out on purpose: what a sink does with a batch, and how the journal keeps its frames. Start with [`JournalLane`]
//! and [`StorageLane`].
//!
//! ```
//! use feedd_delivery::{Breaker, BreakerState, Retry};
//! use feedd_model::MonoNanos;
//! let mut breaker = Breaker::new(Retry::default(), 1);
//! assert!(breaker.permit(MonoNanos(0)));
//! breaker.failed(MonoNanos(0));
//! assert_eq!((breaker.state(), breaker.permit(MonoNanos(1))), (BreakerState::Closed, false)); // tried again in 1 s
//! ```
#![forbid(unsafe_code)]

mod breaker;
mod feed;
mod gather;
mod horizon;
mod journal_lane;
mod lane;
mod mark;
mod offer;
mod progress;
mod quarantine;
mod quarantine_file;
mod refused;
mod retry;
mod served;
mod shown;
mod skipped;

pub use breaker::{Breaker, BreakerState};
pub use feed::{Fed, Feed, JournalFeed, LinkFeed, MissingRange, feed_blocks};
pub use gather::{Gather, pool_blocks};
pub use journal_lane::{JournalEnd, JournalLane, JournalLaneParts};
pub use lane::{BatchLimits, LaneEnd, LaneParts, StorageLane};
pub use mark::SinkMark;
pub use quarantine::{Quarantine, QuarantineError, list as list_quarantine};
pub use refused::{Entry, EntryState, Identity, Refused};
pub use retry::Retry;
pub use served::{ServedEnd, ServedLane};
pub use shown::event_fields;
