//! Reversion by the relative strength index.

use super::indicators::{Rsi, float};
use super::{Kind, Orders, Parameter, Range, Strategy, Subscription, Values};
use feedd_model::{Bar, Interval};

/// The row of the table.
pub(super) const KIND: Kind = Kind {
    name: "rsi",
    help: "Buys when Wilder's relative strength index falls below the oversold level, sells when it rises above the overbought \
           one; once each time.",
    parameters: &[
        Parameter {
            name: "period",
            help: "Changes of the first average.",
            values: Range::Count { default: 14, min: 2, max: 1_000 },
        },
        Parameter {
            name: "oversold",
            help: "Below it, it buys.",
            values: Range::Number { default: 30.0, min: 0.0, max: 100.0 },
        },
        Parameter {
            name: "overbought",
            help: "Above it, it sells.",
            values: Range::Number { default: 70.0, min: 0.0, max: 100.0 },
        },
    ],
    check: |values| {
        let fits = values.number(1) < values.number(2);
        if fits { Ok(()) } else { Err("oversold must be below overbought; the usual ones are 30 and 70") }
    },
    build: |values, interval| Box::new(Reversion::new(values, interval)),
};

struct Reversion {
    interval: Interval,
    period: usize,
    index: Rsi,
    oversold: f64,
    overbought: f64,
    zone: Zone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    Oversold,
    Between,
    Overbought,
}

impl Reversion {
    fn new(values: &Values, interval: Interval) -> Self {
        let period = values.count(0);
        Self {
            interval,
            period,
            index: Rsi::new(period),
            oversold: values.number(1),
            overbought: values.number(2),
            zone: Zone::Between,
        }
    }
}

impl Strategy for Reversion {
    fn subscription(&self) -> Subscription {
        Subscription {
            intervals: vec![self.interval],
            warm_up: self.period + 1,
            // The index remembers for ever, less each time: what is older than this has a weight below 10^-8.
            history: self.period * 20,
            ..Subscription::default()
        }
    }

    fn reset(&mut self) {
        self.index.reset();
        self.zone = Zone::Between;
    }

    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders) {
        let Some(index) = self.index.push(float(bar.close)) else { return };
        let zone = match index {
            index if index < self.oversold => Zone::Oversold,
            index if index > self.overbought => Zone::Overbought,
            _ => Zone::Between,
        };
        let before = std::mem::replace(&mut self.zone, zone);
        match zone {
            _ if before == zone => {}
            Zone::Oversold => orders.buy(index),
            Zone::Overbought => orders.sell(index),
            Zone::Between => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::signals;

    #[test]
    fn signals_when_it_enters_a_zone() {
        let closes = [10, 9, 8, 9, 10, 11, 11, 8, 4];
        let given = signals("rsi", &[("period", "2")], &closes);
        // The index from place 2 on, by Python's fractions: 0, 50, 75, 87.5, 87.5, 12.5, 3.8.
        assert_eq!(given, [(2, "buy", 0.0), (4, "sell", 75.0), (7, "buy", 12.5)]);
    }
}
