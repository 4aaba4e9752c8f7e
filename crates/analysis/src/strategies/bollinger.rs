//! Reversion from Bollinger's bands.

use super::indicators::{Deviation, Side, float};
use super::{Kind, Orders, Parameter, Range, Strategy, Subscription, Values};
use feedd_model::{Bar, Interval};

/// The row of the table.
pub(super) const KIND: Kind = Kind {
    name: "bollinger",
    help: "Buys when the close falls below the lower band around its mean, sells when it rises above the upper one; once each \
           time.",
    parameters: &[
        Parameter {
            name: "bars",
            help: "Bars of the mean and the deviation.",
            values: Range::Count { default: 20, min: 2, max: 10_000 },
        },
        Parameter {
            name: "sigmas",
            help: "Standard deviations (of the population) from the mean to a band.",
            values: Range::Number { default: 2.0, min: 0.1, max: 10.0 },
        },
    ],
    check: |values| {
        // The last of n values can be at most (n - 1) / sqrt(n) deviations away from their mean.
        let n = values.number(0);
        let fits = values.number(1) < (n - 1.0) / n.sqrt();
        if fits { Ok(()) } else { Err("no close can ever leave bands that wide; give more bars or fewer sigmas") }
    },
    build: |values, interval| Box::new(Bands::new(values, interval)),
};

struct Bands {
    interval: Interval,
    bars: usize,
    sigmas: f64,
    deviation: Deviation,
    /// Outside of which band the last close was.
    outside: Option<Side>,
}

impl Bands {
    fn new(values: &Values, interval: Interval) -> Self {
        let bars = values.count(0);
        Self { interval, bars, sigmas: values.number(1), deviation: Deviation::new(bars), outside: None }
    }
}

impl Strategy for Bands {
    fn subscription(&self) -> Subscription {
        // One more in its history than in its window, so that it is known whether the bar before was outside.
        Subscription {
            intervals: vec![self.interval],
            warm_up: self.bars,
            history: self.bars + 1,
            ..Subscription::default()
        }
    }

    fn reset(&mut self) {
        self.deviation.reset();
        self.outside = None;
    }

    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders) {
        let close = float(bar.close);
        let Some((mean, sigma)) = self.deviation.push(close) else { return };
        let width = self.sigmas * sigma;
        let outside = match (Side::of(close, mean - width, mean), Side::of(close, mean + width, mean)) {
            (Some(Side::Below), _) => Some(Side::Below),
            (_, Some(Side::Above)) => Some(Side::Above),
            _ => None,
        };
        let before = std::mem::replace(&mut self.outside, outside);
        match outside {
            _ if before == outside => {}
            Some(Side::Below) => orders.buy((close - mean) / sigma),
            Some(Side::Above) => orders.sell((close - mean) / sigma),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::signals;

    #[test]
    fn signals_when_the_close_leaves_a_band() {
        let closes = [10, 10, 10, 10, 5, 5, 10, 10, 10, 10, 10, 10, 15];
        let given = signals("bollinger", &[("bars", "5"), ("sigmas", "1.5")], &closes);
        // Four closes of 10 and one of 5: mean 9, deviation 2, so the close is 2 deviations below; then 4, 2.449...: 1.22.
        assert_eq!(given, [(4, "buy", -2.0), (12, "sell", 2.0)]);
    }

    #[test]
    fn a_flat_market_leaves_no_band() {
        assert_eq!(signals("bollinger", &[("bars", "5"), ("sigmas", "1")], &[7; 30]), []);
    }
}
