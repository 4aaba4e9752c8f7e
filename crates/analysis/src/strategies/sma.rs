//! Crossover of two simple moving averages.

use super::indicators::{Mean, Side, float};
use super::{Kind, Orders, Parameter, Range, Strategy, Subscription, Values};
use feedd_model::{Bar, Interval};

/// The row of the table.
pub(super) const KIND: Kind = Kind {
    name: "sma",
    help: "Buys when the fast simple moving average of the closes rises above the slow one, sells when it falls below.",
    parameters: &[
        Parameter {
            name: "fast",
            help: "Bars of the fast average.",
            values: Range::Count { default: 10, min: 1, max: 10_000 },
        },
        Parameter {
            name: "slow",
            help: "Bars of the slow average.",
            values: Range::Count { default: 30, min: 2, max: 10_000 },
        },
    ],
    check: |values| {
        let fits = values.count(0) < values.count(1);
        if fits { Ok(()) } else { Err("fast must be below slow; make fast smaller or slow larger") }
    },
    build: |values, interval| Box::new(Sma::new(values, interval)),
};

struct Sma {
    interval: Interval,
    slow_bars: usize,
    fast: Mean,
    slow: Mean,
    /// Where the fast average was last, seen from the slow one.
    side: Option<Side>,
}

impl Sma {
    fn new(values: &Values, interval: Interval) -> Self {
        let [fast, slow] = [values.count(0), values.count(1)];
        Self { interval, slow_bars: slow, fast: Mean::new(fast), slow: Mean::new(slow), side: None }
    }
}

impl Strategy for Sma {
    fn subscription(&self) -> Subscription {
        // A window more in its history, so that the side is known unless the averages have touched for that long.
        Subscription {
            intervals: vec![self.interval],
            warm_up: self.slow_bars,
            history: self.slow_bars * 2,
            ..Subscription::default()
        }
    }

    fn reset(&mut self) {
        self.fast.reset();
        self.slow.reset();
        self.side = None;
    }

    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders) {
        let close = float(bar.close);
        let (Some(fast), Some(slow)) = (self.fast.push(close), self.slow.push(close)) else { return };
        // Averages that touch have not crossed.
        let Some(side) = Side::of(fast, slow, slow) else { return };
        let before = self.side.replace(side);
        match (before, side) {
            (Some(Side::Below), Side::Above) => orders.buy(fast - slow),
            (Some(Side::Above), Side::Below) => orders.sell(fast - slow),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::signals;

    #[test]
    fn signals_at_each_crossing_once() {
        // Averages of 2 and 4. At the fourth bar the fast one is below for the first time: no crossing yet.
        let closes = [10, 9, 8, 7, 6, 9, 12, 12, 12, 12, 12, 9, 9];
        let given = signals("sma", &[("fast", "2"), ("slow", "4")], &closes);
        assert_eq!(given, [(6, "buy", 2.0), (11, "sell", -0.75)]);
    }

    #[test]
    fn averages_that_only_touch_have_not_crossed() {
        let closes = [10, 9, 8, 7, 10, 7, 7, 7, 7, 7, 6, 6];
        let given = signals("sma", &[("fast", "2"), ("slow", "4")], &closes);
        // At places 4, 8 and 9 both averages are equal: after them one crossing goes on, and one has not happened.
        assert_eq!(given, [(5, "buy", 0.5), (6, "sell", -0.75)]);
    }
}
