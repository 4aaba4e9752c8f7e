//! What the analysis lane makes of events: bars, signals, fills, equity. Their places in 64-byte events: `slots.rs`.

use crate::decimal::Decimal;
use crate::ids::InstrumentId;
use crate::kinds::Side;
use crate::money::Money;
use crate::sum::Sum;
use crate::time::UnixNanos;
use std::fmt;

/// What one bar spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interval {
    /// Seconds: `1s`, `5m`, `1h`, `1d`, `1w` and multiples; aligned to 1970-01-01 UTC (weeks to Monday), or to the
    /// session's opening where a calendar says so.
    Seconds(u32),
    /// A number of trades: `100t`.
    Trades(u32),
    /// An amount of base currency, in 1e-8 units: `2.5v`. The trade that reaches it ends the bar.
    Volume(u64),
}

/// What is to be known about a bar, a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BarFlags(u8);

impl BarFlags {
    /// Nothing missing, nothing made up.
    pub const COMPLETE: Self = Self(0);
    /// Trades may be missing: the recorder started or stopped within it, a gap lies in it, or the lane skipped blocks.
    pub const PARTIAL: Self = Self(1);
    /// No trade: it repeats the last close with volume 0.
    pub const SYNTHETIC: Self = Self(2);
    /// Came out before, and a late trade has changed it since.
    pub const REVISED: Self = Self(4);
    /// The run ended within it.
    pub const TRUNCATED: Self = Self(8);
    /// Holds trades from outside the sessions of the calendar.
    pub const OUTSIDE: Self = Self(16);

    /// Names in the order of the bits, as texts show them.
    pub const NAMES: [&'static str; 5] = ["partial", "synthetic", "revised", "truncated", "outside"];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits, as stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits as stored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl fmt::Display for BarFlags {
    /// `complete`, or the names of what is set: `partial+revised`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| *name);
        f.write_str(names.next().unwrap_or("complete"))?;
        names.try_for_each(|name| write!(f, "+{name}"))
    }
}

/// Open, high, low, close and volume over one interval, half-open: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Whose.
    pub instrument: InstrumentId,
    /// What it spans.
    pub interval: Interval,
    /// First moment. Of a bar of trades or volume: the receive time of its first trade, but later than the start before, so
    /// that (instrument, interval, start, revision) names one record.
    pub start: UnixNanos,
    /// First moment after it. Of a bar of trades or volume: the latest receive time in it.
    pub end: UnixNanos,
    /// The lane's clock when this revision came out: receive time of the stream.
    pub closed_at: UnixNanos,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Sum of sizes, exact.
    pub volume: Sum,
    /// Sum of sizes whose aggressor bought, exact.
    pub buy_volume: Sum,
    /// Sum of price x size, exact; divided by the volume it is the VWAP.
    pub notional: Sum,
    /// Trades in it.
    pub trades: u32,
    /// What is to be known.
    pub flags: BarFlags,
    /// 0 for the first of its interval to come out, then rising by one.
    pub revision: u16,
    /// Share of its span without known gaps, in basis points: 10,000 is all of it.
    pub quality_bp: u16,
    /// Dense number among the bars of a data folder, from 1.
    pub number: u64,
}

/// What a strategy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To buy.
    Buy,
    /// To sell.
    Sell,
}

impl Action {
    /// The name as stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// A strategy's wish, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Of what.
    pub instrument: InstrumentId,
    /// Whose: an entry of the dictionary with venue `strategy`.
    pub strategy: InstrumentId,
    /// Receive time of the event, or end of the bar, it followed.
    pub at: UnixNanos,
    /// Buy or sell.
    pub action: Action,
    /// Size in base currency; `None` leaves it to the paper book.
    pub size: Option<Decimal>,
    /// Last price when it was given.
    pub price: Decimal,
    /// What the strategy looked at (an indicator's value): a statistic, so a float; NaN when there is none.
    pub value: f64,
    /// Dense number among the signals of a data folder, from 1.
    pub number: u64,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Filled whole.
    Filled,
    /// Refused: not enough cash.
    NoCash,
    /// Refused: nothing to sell.
    NoPosition,
    /// Given up: no price came within the order's life, or the run ended.
    Expired,
    /// Refused: an amount left the range of [`Money`] or [`Decimal`].
    OutOfRange,
}

impl Outcome {
    /// Every outcome, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Filled, Self::NoCash, Self::NoPosition, Self::Expired, Self::OutOfRange];

    /// The name as stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::NoCash => "no_cash",
            Self::NoPosition => "no_position",
            Self::Expired => "expired",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// The end of a paper order: filled, or why not. Nothing of this ever goes to a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Of what.
    pub instrument: InstrumentId,
    /// Whose, as in [`Signal::strategy`].
    pub strategy: InstrumentId,
    /// [`Signal::number`] of the order.
    pub signal: u64,
    /// Receive time of the quote or trade it was filled against.
    pub at: UnixNanos,
    /// When it was ordered.
    pub ordered_at: UnixNanos,
    /// Buy or sell.
    pub side: Side,
    /// How it ended.
    pub outcome: Outcome,
    /// Price, slippage included; 0 unless filled.
    pub price: Decimal,
    /// Size in base currency.
    pub size: Decimal,
    /// Position after it, in base currency.
    pub position: Decimal,
    /// Fee paid.
    pub fee: Money,
    /// Profit or loss that it realised, fee included.
    pub realised: Money,
    /// Cash of the book after it.
    pub cash: Money,
    /// What the position after it has cost, fees included; divided by the position it is the average cost.
    pub cost: Money,
    /// Dense number among the fills of a data folder, from 1.
    pub number: u64,
}

impl Fill {
    /// What one unit of the position has cost, rounded half to even at the 18th decimal; `None` without a position.
    #[must_use]
    pub fn average_cost(&self) -> Option<Money> {
        self.cost.part(Decimal::ONE, self.position)
    }
}

/// A paper book at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equity {
    /// Of what.
    pub instrument: InstrumentId,
    /// Whose, as in [`Signal::strategy`].
    pub strategy: InstrumentId,
    /// When: the end of a bar, or a fill.
    pub at: UnixNanos,
    /// Price the position is valued at.
    pub price: Decimal,
    /// Position in base currency.
    pub position: Decimal,
    /// Cash.
    pub cash: Money,
    /// Cash and the value of the position.
    pub equity: Money,
    /// Profit or loss realised since the beginning, fees included.
    pub realised: Money,
    /// Value of the position less its cost.
    pub unrealised: Money,
    /// Dense number among the equity rows of a data folder, from 1.
    pub number: u64,
}

/// Any derived record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Derived {
    /// A bar.
    Bar(Bar),
    /// A signal.
    Signal(Signal),
    /// A fill.
    Fill(Fill),
    /// A book's value.
    Equity(Equity),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_bar_in_words() {
        let (partial, revised) = (BarFlags::PARTIAL, BarFlags::REVISED);
        let cases = [
            (BarFlags::COMPLETE, "complete"),
            (partial, "partial"),
            (partial.with(revised), "partial+revised"),
            (BarFlags::from_bits(15), "partial+synthetic+revised+truncated"),
        ];
        for (flags, text) in cases {
            assert_eq!(flags.to_string(), text);
        }
    }
}
