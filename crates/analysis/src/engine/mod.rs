//! Runs strategies over bars and events, each apart from the others, and keeps their paper books.
//!
//! [`Engine`] is the work itself, on one thread, a function of the items in their order. Each call of a strategy is taken
//! out of it ([`Engine::step`]), made, and handed back: a panic ends that strategy for that symbol, an overlong call is
//! counted, and what never returns is left behind while another thread goes on at the same place ([`EngineShared`]).
//!
//! What strategies are shown: [`crate::strategies::Subscription`]. What orders are filled against: [`crate::paper::Fill`].

pub(crate) mod bytes;
mod call;
mod guard;
mod lane;
mod market;
mod notice;
mod save;
mod shared;
mod slot;
mod trading;

pub use call::{Call, Done};
pub use guard::Lag;
pub use lane::{Engine, Step};
pub use notice::Notice;
pub use save::StateError;
pub use shared::{Ended, EngineShared, Input, Shift};

use crate::paper;
use crate::strategies::Blueprint;
use feedd_model::InstrumentId;
use std::fmt;

/// How the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Paper books; `None` records signals only.
    pub paper: Option<paper::Settings>,
    /// Longest call of a strategy before it counts as overlong.
    pub call_ns_max: u64,
    /// What happens to a strategy whose calls are overlong, [`OVERLONG_ROW`] in a row.
    pub overlong: Overlong,
    /// How far behind the engine may be before strategies are left out; `None` in a replay, where nothing is late.
    pub lag: Option<Lag>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { paper: None, call_ns_max: 10_000_000, overlong: Overlong::Warn, lag: None }
    }
}

/// What happens to a strategy that is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// It is told.
    Warn,
    /// It is told, and the strategy stopped for that symbol until the next start.
    Suspend,
}

/// Overlong calls in a row that say more than a hiccup of the machine.
pub const OVERLONG_ROW: u32 = 10;

/// A configured strategy.
pub struct Plan {
    /// What to make.
    pub blueprint: Blueprint,
    /// Its entry in the dictionary: venue `strategy`, symbol [`Blueprint::name`].
    pub id: InstrumentId,
    /// Which instruments it trades; asked once for each, when the first bar of it comes (or the first trade or quote, for a
    /// strategy that looks at those).
    pub wants: Box<dyn Fn(InstrumentId) -> bool + Send>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({}, {:?})", self.blueprint.name(), self.id)
    }
}

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Two strategies with the same kind, parameters and interval: their records could not be told apart.
    #[error("strategy {name} is configured twice; leave one out, or name all of its symbols in one")]
    TwoOfOneName {
        /// Which.
        name: String,
    },
    /// The cash of a book is more than an amount holds.
    #[error("paper cash of {cash} is too much; give an amount below 10^20")]
    TooMuchCash {
        /// As configured.
        cash: feedd_model::Decimal,
    },
}

/// Counts of the engine as a whole, since it was made. Those of each strategy: [`feedd_core::counters::AnalysisCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that were left behind because they did not return.
    pub hangs: u64,
    /// Times that the strategies were left out because the engine was behind.
    pub suspensions: u64,
    /// Bars not shown while they were left out.
    pub bars_left_out: u64,
    /// Orders that ended, filled or not.
    pub fills: u64,
    /// Rows of books' values that left the range of an amount and were not recorded.
    pub unvalued: u64,
}

#[cfg(test)]
mod tests;
