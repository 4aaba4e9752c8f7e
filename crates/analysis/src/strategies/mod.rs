//! Strategies: the contract, and the table of those built in. To add one: a file here and a row in [`table`].

mod bollinger;
pub mod indicators;
mod parameters;
mod rsi;
mod slow;
mod sma;
pub mod table;

pub use parameters::{Parameter, Range, Values};
pub use table::{Blueprint, Kind, StrategyError};

use feedd_model::{Action, Bar, Decimal, Fill, InstrumentId, Interval, Quote, Trade, UnixNanos};

/// What a strategy wants to see.
///
/// Bars come in the order in which they close. Partial bars are shown (the strategy can look at their flags), synthetic ones
/// too where the configuration makes them. A bar that the end of the run has cut off is never shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Bars of these intervals.
    pub intervals: Vec<Interval>,
    /// Bars that came out before, too, when a late trade has changed them, and bars of a time before the last one shown. Not
    /// for indicators: each bar counts once in their window.
    pub revisions: bool,
    /// Every trade as it happened; not those that were sent again or fetched later.
    pub trades: bool,
    /// Every quote as it happened.
    pub quotes: bool,
    /// Bars of each interval that must have been seen before signals count.
    pub warm_up: usize,
    /// Bars of each interval that are kept to be shown again, without signals, after a restart or a time left out: at least
    /// `warm_up` are kept. What a strategy remembers of older ones is lost then.
    pub history: usize,
}

/// What a strategy can do while it is called: ask for orders.
#[derive(Debug, Default)]
pub struct Orders {
    wanted: Vec<Wanted>,
}

/// One wish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Buy or sell.
    pub action: Action,
    /// Size in base currency; `None` leaves it to the paper book (all of its cash, the whole position).
    pub size: Option<Decimal>,
    /// What was looked at, for the record; NaN when there is nothing to tell.
    pub value: f64,
}

impl Orders {
    /// Asks to buy as much as the book allows.
    pub fn buy(&mut self, value: f64) {
        self.wanted.push(Wanted { action: Action::Buy, size: None, value });
    }

    /// Asks to sell the whole position.
    pub fn sell(&mut self, value: f64) {
        self.wanted.push(Wanted { action: Action::Sell, size: None, value });
    }

    /// Asks for something else.
    pub fn want(&mut self, wanted: Wanted) {
        self.wanted.push(wanted);
    }

    /// Takes what was asked for.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Wanted> {
        self.wanted.drain(..)
    }
}

/// A strategy for one instrument. One value for each subscribed instrument; the engine calls it, in the order of the record.
///
/// Indicators may use floats; prices, sizes and money never do. It must not ask for the time or for anything outside its
/// arguments: a replay must give the same signals.
pub trait Strategy: Send {
    /// What it wants to see. Asked once.
    fn subscription(&self) -> Subscription;

    /// Its instrument has been met: the first call of all.
    fn on_added(&mut self, instrument: InstrumentId) {
        let _ = instrument;
    }

    /// Forgets all it has seen: after a hole in what it was shown. The warm-up begins anew.
    fn reset(&mut self);

    /// A bar has come out; a revision of an earlier one when `bar.revision` is above 0.
    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders);

    /// A trade. Only when subscribed.
    fn on_trade(&mut self, at: UnixNanos, trade: &Trade, orders: &mut Orders) {
        let _ = (at, trade, orders);
    }

    /// A quote. Only when subscribed.
    fn on_quote(&mut self, at: UnixNanos, quote: &Quote, orders: &mut Orders) {
        let _ = (at, quote, orders);
    }

    /// What became of an order.
    fn on_fill(&mut self, fill: &Fill) {
        let _ = fill;
    }

    /// The data of its instrument have a hole from here on, or are whole again.
    fn on_quality(&mut self, quality_bp: u16) {
        let _ = quality_bp;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use feedd_model::{BarFlags, Sum};

    /// A bar that says nothing but its close.
    pub(crate) fn bar(close: Decimal) -> Bar {
        Bar {
            instrument: InstrumentId(1),
            interval: Interval::Seconds(60),
            start: UnixNanos(0),
            end: UnixNanos(60_000_000_000),
            closed_at: UnixNanos(61_000_000_000),
            open: close,
            high: close,
            low: close,
            close,
            volume: Sum::default(),
            buy_volume: Sum::default(),
            notional: Sum::default(),
            trades: 1,
            flags: BarFlags::COMPLETE,
            revision: 0,
            quality_bp: 10_000,
            number: 1,
        }
    }

    /// What a strategy of the table says to a row of closes: which bar, what, which value.
    pub(super) fn signals(kind: &str, parameters: &[(&str, &str)], closes: &[i64]) -> Vec<(usize, &'static str, f64)> {
        let given: Vec<_> = parameters.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let blueprint = Blueprint::read(kind, Interval::Seconds(60), &given).unwrap();
        let (mut strategy, mut orders, mut all) = (blueprint.make(), Orders::default(), Vec::new());
        for _ in 0..2 {
            all.clear();
            for (at, &close) in closes.iter().enumerate() {
                strategy.on_bar(&bar(Decimal::new(close, 0).unwrap()), &mut orders);
                all.extend(orders.drain().map(|wanted| match wanted.action {
                    Action::Buy => (at, "buy", wanted.value),
                    Action::Sell => (at, "sell", wanted.value),
                }));
            }
            // The second round, after a reset, gives the same.
            strategy.reset();
        }
        all
    }
}
