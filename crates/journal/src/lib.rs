//! An append-only, segmented, checksummed log of events, in front of every durable sink.
//!
//! What [`Journal::commit`] has returned for is on disk: a kill, a power cut or a full disk does not lose it, and damage
//! costs exactly the frames it touches, which is said. Reading goes by [`Cursor`], which sees only what is durable. The
//! layout of the files is in `FORMAT.md` beside this crate.
//!
//! Leaves out on purpose: threads, the interval of commits, and what was stored where; the caller drives all of it.
//! Start with [`Journal`]; then `writer.rs`, `roll.rs` (segments), `survey.rs` (recovery), `cursor.rs`.
//!
//! ```
//! use feedd_core::Instruments;
//! use feedd_journal::{Item, Journal, JournalConfig, Start, Sync};
//! use feedd_model::{Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, SourceId, Status, StatusCode};
//! use feedd_model::{StreamId, UnixNanos};
//! let dir = tempfile::tempdir().unwrap();
//! let config = JournalConfig {
//!     dir: dir.path().join("journal"),
//!     segment_bytes: 1 << 20,
//!     bytes_max: 64 << 20,
//!     sync: Sync::Always,
//! };
//! let start = Start { stream: StreamId(1), epoch: Epoch(1), at: UnixNanos(0) };
//! let (mut journal, recovered) = Journal::open(config, start, Instruments::in_memory()).unwrap();
//! assert!(recovered.clean);
//! let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };
//! let event = Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }));
//! journal.append(Seq(1), SourceId(0), &[event], UnixNanos(1));
//! journal.commit().unwrap();
//! let mut cursor = journal.cursor();
//! assert!(matches!(cursor.next().unwrap(), Some(Item::Epoch { epoch: Epoch(1), .. })));
//! assert!(matches!(cursor.next().unwrap(), Some(Item::Events { first: Seq(1), events: [_], .. })));
//! assert!(cursor.next().unwrap().is_none());
//! ```
#![forbid(unsafe_code)]

mod config;
mod cursor;
mod disk;
mod error;
mod folder;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod le;
mod open;
mod pending;
mod progress;
mod quarantine;
mod readers;
mod recovered;
mod roll;
mod scan;
mod segment;
mod survey;
mod tail;
pub mod testing;
mod usage;
mod writer;

pub use config::{JournalConfig, SEGMENT_BYTES_MIN, Stamp, Start, Sync};
pub use cursor::{Cause, Cursor, Item};
pub use disk::{Disk, DiskFile, SystemDisk};
pub use error::JournalError;
pub use format::FRAME_EVENTS_MAX;
pub use inspect::{Dump, DumpFrame, FrameKind, Repair, dump, inspect, repair_plan};
pub use quarantine::QUARANTINE_BYTES_MAX;
pub use readers::Readers;
pub use recovered::{Damage, EpochSpan, Recovered};
pub use tail::Tail;
pub use usage::Usage;
pub use writer::Journal;
