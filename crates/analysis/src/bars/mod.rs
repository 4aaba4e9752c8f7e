//! Bars of trades: by time, by number of trades, by volume.
//!
//! - A bar of time spans `[start, end)`. A trade belongs to the bar that holds its receive time ([`TimeBy`]); what the venue
//!   says to be older (sent again, or fetched to fill a hole) goes by the venue's time.
//! - A bar comes out when the lane's clock has passed its end and the grace period, by whatever moves the clock: a trade, a
//!   quote, a gap, or a recorded tick. A later trade revises it, and every bar above, within the revision window; after that it
//!   is counted as late. Revisions come out when the clock next moves, so that many trades received at one moment make one.
//! - An interval that others can be added up from is built once, the others from its finished bars: a trade costs the same
//!   however many intervals there are.
//! - Holes are known from gap events ([`Quality`]). A gap of a whole connection counts for every instrument.
//! - Bars of trades and volume take trades in the order of the record and are never revised.
//!
//! Start with [`Processor`].

mod calendar;
mod calendar_file;
mod config;
mod counted;
mod exit;
mod grid;
mod holes;
mod plan;
mod processor;
mod series;
mod slot;
mod state;
mod symbol;
mod total;

pub use calendar::Calendar;
pub use calendar_file::CalendarError;
pub use config::{BarsConfig, BarsError, Empty, TimeBy};
pub use exit::Counts;
pub use holes::{Hole, Quality};
pub use processor::Processor;
pub use state::StateError;
