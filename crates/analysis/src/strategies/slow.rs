//! A strategy that takes its time: to see what a slow one does to the others. It never trades.

use super::{Kind, Orders, Parameter, Range, Strategy, Subscription};
use feedd_model::{Bar, Interval};
use std::time::Duration;

/// The row of the table.
pub(super) const KIND: Kind = Kind {
    name: "slow",
    help: "Sleeps at each bar and never trades: for trying out what a slow strategy does to the others.",
    parameters: &[Parameter {
        name: "millis",
        help: "Milliseconds of sleep for each bar.",
        values: Range::Count { default: 20, min: 0, max: 3_600_000 },
    }],
    check: |_| Ok(()),
    build: |values, interval| {
        Box::new(Slow { interval, sleep: Duration::from_millis(values.count(0).try_into().unwrap_or(u64::MAX)) })
    },
};

struct Slow {
    interval: Interval,
    sleep: Duration,
}

impl Strategy for Slow {
    fn subscription(&self) -> Subscription {
        Subscription { intervals: vec![self.interval], ..Subscription::default() }
    }

    fn reset(&mut self) {}

    fn on_bar(&mut self, _: &Bar, _: &mut Orders) {
        std::thread::sleep(self.sleep);
    }
}
