//! The values every part of feedd speaks in: exact decimals, identities, times and the 64-byte [`Event`].
//!
//! Leaves out on purpose: I/O, threads, clocks and venue text formats. Start with [`Event`] and [`Decimal`].
//!
//! ```
//! use feedd_model::Decimal;
//! let price = Decimal::parse(b"58942.01000000").unwrap();
//! assert_eq!(price.to_string(), "58942.01000000"); // as printed
//! assert_eq!(price.canonical().to_string(), "58942.01"); // as compared
//! ```
#![forbid(unsafe_code)]

mod decimal;
mod derived;
mod digits;
mod event;
mod ids;
mod interval;
mod kinds;
mod money;
mod slots;
mod sum;
mod time;

pub use decimal::{Decimal, DecimalError, SCALE_MAX};
pub use derived::{Action, Bar, BarFlags, Derived, Equity, Fill, Interval, Outcome, Signal};
pub use digits::{digits_value, front_digits};
pub use event::Event;
pub use ids::{Epoch, InstrumentId, Position, Seq, SourceId, StreamId, VenueSeq};
pub use interval::IntervalError;
pub use kinds::{
    Book, BookAction, EventBody, EventHead, EventKind, Flags, Gap, GapReason, Level, Quote, Side, Status, StatusCode,
    Trade, TradeId,
};
pub use money::Money;
pub use slots::{DerivedReader, SLOTS_MAX, Slot, SlotError, Slots};
pub use sum::{Sum, SumOverflow};
pub use time::{MonoNanos, UnixNanos, duration_nanos};
