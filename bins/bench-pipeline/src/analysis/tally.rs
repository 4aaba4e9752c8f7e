//! What came out of a case: counted where the records end, and compared with what must have come.

use super::market::Market;
use anyhow::{Result, ensure};
use feedd_analysis::flow::Records;
use feedd_model::{Bar, Derived, Interval};

pub(super) const SECOND: Interval = Interval::Seconds(1);
pub(super) const MINUTE: Interval = Interval::Seconds(60);

/// Records that ended here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) seconds: Bars,
    pub(super) minutes: Bars,
    pub(super) signals: u64,
    pub(super) fills: u64,
    pub(super) equity: u64,
}

/// Bars of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bars {
    pub(super) count: u64,
    /// In all of them.
    pub(super) trades: u64,
    pub(super) revisions: u64,
}

impl Bars {
    fn add(&mut self, bar: &Bar) {
        self.count += 1;
        self.trades += u64::from(bar.trades);
        self.revisions += u64::from(bar.revision > 0);
    }
}

impl Records for Tally {
    fn put(&mut self, record: &Derived) {
        match record {
            Derived::Bar(bar) if bar.interval == SECOND => self.seconds.add(bar),
            Derived::Bar(bar) => self.minutes.add(bar),
            Derived::Signal(_) => self.signals += 1,
            Derived::Fill(_) => self.fills += 1,
            Derived::Equity(_) => self.equity += 1,
        }
    }
}

impl Tally {
    /// Checks that every trade is in one bar of each interval, and that each bar came out once.
    ///
    /// # Errors
    /// Tells what is missing.
    pub(super) fn check(&self, market: &Market, has_minutes: bool) -> Result<()> {
        let bars = |count| Bars { count, trades: market.trades, revisions: 0 };
        let wanted = [bars(market.seconds), if has_minutes { bars(market.minutes) } else { Bars::default() }];
        let found = [self.seconds, self.minutes];
        ensure!(found == wanted, "bars of 1s and 1m are {found:?} instead of {wanted:?}");
        Ok(())
    }
}

/// What strategies must give in every run: the first one says it.
#[derive(Debug, Default)]
pub(super) struct Agreed([Option<Strategies>; 2]);

/// What strategies did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strategies {
    pub(super) signals: u64,
    pub(super) fills: u64,
    pub(super) equity: u64,
}

impl Agreed {
    /// Checks that the strategies of this run did what those of the first did.
    ///
    /// # Errors
    /// When they did not.
    pub(super) fn check(&mut self, has_books: bool, found: Strategies) -> Result<()> {
        let wanted = *self.0[usize::from(has_books)].get_or_insert(found);
        ensure!(found == wanted, "strategies did {found:?}, and {wanted:?} in the first run");
        Ok(())
    }
}
