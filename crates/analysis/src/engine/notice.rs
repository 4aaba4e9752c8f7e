//! What the engine has to tell an operator.

use std::fmt;

/// One thing to tell. Rare: each comes when something changes, never once a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A call panicked: the strategy is stopped for that symbol.
    Panicked {
        /// Strategy and symbol.
        who: String,
        /// What the panic said.
        message: String,
    },
    /// Calls take too long.
    Overlong {
        /// Strategy and symbol.
        who: String,
        /// The last one.
        took_ns: u64,
        /// How many in a row.
        row: u32,
        /// How many since the start.
        total: u64,
    },
    /// Too many overlong calls in a row: the strategy is stopped for that symbol.
    TooSlow {
        /// Strategy and symbol.
        who: String,
        /// How many in a row.
        row: u32,
    },
    /// A call did not return: it is left behind, the strategy stopped for that symbol.
    Hung {
        /// Strategy and symbol.
        who: String,
        /// How long it has run.
        ran_ns: u64,
    },
    /// The engine is too far behind: strategies are left out.
    Behind {
        /// How far.
        lag_ns: i64,
    },
    /// It has caught up: they are called again.
    CaughtUp {
        /// Bars that they were not shown.
        bars: u64,
    },
    /// The value of a book left the range of an amount; told once for each book.
    Unvalued {
        /// Strategy and symbol.
        who: String,
    },
    /// A saved book of a strategy or symbol that is not configured any more. It is kept.
    NotConfigured {
        /// Strategy and symbol.
        who: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { who, message } => {
                write!(f, "{who} panicked and is stopped until the next start: {message}")
            }
            Self::Overlong { who, took_ns, row, total } => {
                write!(f, "{who} takes too long: {} in its last call, {row} in a row, {total} in all", millis(*took_ns))
            }
            Self::TooSlow { who, row } => {
                write!(f, "{who} was too slow {row} times in a row and is stopped until the next start")
            }
            Self::Hung { who, ran_ns } => {
                write!(
                    f,
                    "{who} has not returned for {}; the others go on without it until the next start",
                    millis(*ran_ns)
                )
            }
            Self::Behind { lag_ns } => {
                let lag = millis(lag_ns.unsigned_abs());
                write!(
                    f,
                    "strategies are {lag} behind and left out until they have caught up; use fewer, or longer bars"
                )
            }
            Self::CaughtUp { bars } => write!(f, "strategies have caught up; {bars} bars were left out"),
            Self::Unvalued { who } => write!(f, "the book of {who} is worth more than an amount holds; not recorded"),
            Self::NotConfigured { who } => write!(f, "the book of {who} is kept, but the strategy is not configured"),
        }
    }
}

fn millis(ns: u64) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000)
}
