//! The way of an event from a source to the lanes: rings, batching thread, blocks, links, counters, and the contracts
//! [`Source`] and [`Sink`].
//!
//! The hot path in reading order: [`outlet`] (a source's end of its ring), [`fanin`] (the batching thread),
//! [`block`], [`link`] (the hand-off to a lane). Leaves out on purpose: decoding, storage, formatting.
//!
//! ```
//! use feedd_core::{BlockPool, Seq};
//! let mut pool = BlockPool::new(2);
//! let block = pool.take().expect("both are free");
//! assert!(block.events().is_empty());
//! # let _ = Seq(1);
//! ```

pub mod account_watch;
pub mod accounting;
pub mod affinity;
mod barrier;
pub mod block;
pub mod by_instrument;
pub mod clock;
pub mod contract;
pub mod counters;
pub mod data_dir;
pub mod dead_letters;
mod error_text;
pub mod fanin;
pub mod folder_lock;
pub mod heard;
pub mod histogram;
pub mod instruments;
pub mod link;
pub mod mailbox;
pub mod memory;
pub mod outlet;
pub mod pace;
pub mod peak;
pub mod playback;
pub mod probe;
mod records;
pub mod sink;
pub mod source;
pub mod starts;
pub mod stop;
pub mod sync;
pub mod wait;
pub mod wake;

pub use account_watch::{AccountWatch, Violation};
pub use block::{BLOCK_EVENTS_MAX, Block, BlockPool, Run};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error_text::error_text;
pub use feedd_model::{Epoch, Position, Seq, SourceId, StreamId};
pub use folder_lock::{FolderLock, LockError};
pub use instruments::{Instrument, Instruments, InstrumentsError, STRATEGY_VENUE};
pub use outlet::{Burst, FullPolicy, Outlet};
pub use records::{LONE_SLOT, Record, Records, records};
pub use sink::{Batch, BatchId, BoxError, EpochAudit, Sink, SinkError};
pub use source::{Source, SourceError};
pub use stop::Stop;
