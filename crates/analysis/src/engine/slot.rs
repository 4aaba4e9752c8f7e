//! One strategy for one instrument: what it was shown, its book, and how it behaved.

use super::call::Runner;
use crate::paper::Book;
use crate::strategies::{Orders, Strategy, Subscription};
use feedd_model::{Bar, BarFlags, InstrumentId, Interval, UnixNanos};
use std::collections::VecDeque;

/// Everything about one (strategy, instrument).
pub(super) struct Slot {
    /// Place among the plans.
    pub(super) plan: usize,
    pub(super) instrument: InstrumentId,
    pub(super) subscription: Subscription,
    /// Taken out for a call, and for good when the call does not come back well.
    pub(super) runner: Option<Runner>,
    /// Stopped until the next start.
    pub(super) is_stopped: bool,
    /// One for each subscribed interval.
    pub(super) shown: Vec<Shown>,
    pub(super) quality_bp: u16,
    pub(super) overlong_row: u32,
    pub(super) overlong: u64,
    pub(super) book: Option<Book>,
    /// End of the bar of the last row of the book's value.
    pub(super) valued_at: Option<UnixNanos>,
    pub(super) is_unvalued_told: bool,
}

/// What was shown of one interval.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) interval: Interval,
    /// The last ones, oldest first, as they were shown.
    pub(super) bars: VecDeque<Bar>,
    /// How many of them are kept.
    pub(super) keep: usize,
    /// How many it has seen since it began or was reset.
    pub(super) seen: usize,
    /// Start of the last one.
    pub(super) last: Option<UnixNanos>,
}

impl Shown {
    fn new(interval: Interval, keep: usize) -> Self {
        Self { interval, bars: VecDeque::new(), keep, seen: 0, last: None }
    }

    /// Whether `bar` is one after the last; else it is, or is like, a revision.
    fn is_next(&self, bar: &Bar) -> bool {
        match bar.interval {
            // Also the first bar of an interval long past, and not the second form of one that the end of a run cut off.
            Interval::Seconds(_) => self.last.is_none_or(|last| bar.start > last),
            Interval::Trades(_) | Interval::Volume(_) => bar.revision == 0,
        }
    }

    pub(super) fn keep(&mut self, bar: &Bar) {
        self.last = Some(bar.start);
        if self.keep == 0 {
            return;
        }
        if self.bars.len() == self.keep {
            self.bars.pop_front();
        }
        self.bars.push_back(*bar);
    }
}

impl Slot {
    pub(super) fn new(plan: usize, instrument: InstrumentId, strategy: Box<dyn Strategy>, book: Option<Book>) -> Self {
        let subscription = strategy.subscription();
        let keep = subscription.history.max(subscription.warm_up);
        let shown = subscription.intervals.iter().map(|&interval| Shown::new(interval, keep)).collect();
        Self {
            plan,
            instrument,
            subscription,
            runner: Some(Runner { strategy, orders: Orders::default() }),
            is_stopped: false,
            shown,
            quality_bp: QUALITY_WHOLE_BP,
            overlong_row: 0,
            overlong: 0,
            book,
            valued_at: None,
            is_unvalued_told: false,
        }
    }

    /// Whether the strategy is to see `bar`; notes that it does. `counts`: it is called, not only kept for later.
    pub(super) fn shows(&mut self, bar: &Bar, counts: bool) -> bool {
        if bar.flags.contains(BarFlags::TRUNCATED) {
            return false;
        }
        let Some(shown) = self.shown.iter_mut().find(|shown| shown.interval == bar.interval) else { return false };
        if !shown.is_next(bar) {
            return self.subscription.revisions;
        }
        shown.keep(bar);
        shown.seen += usize::from(counts);
        true
    }

    /// Whether its signals count.
    pub(super) fn is_warm(&self) -> bool {
        self.shown.iter().all(|shown| shown.seen >= self.subscription.warm_up)
    }

    /// After a hole: nothing that was shown counts any more.
    pub(super) fn forget(&mut self) {
        for shown in &mut self.shown {
            shown.bars.clear();
            shown.seen = 0;
        }
    }

    /// What is kept, to be shown again, in the order of closing.
    pub(super) fn again(&mut self) -> Vec<Bar> {
        for shown in &mut self.shown {
            shown.seen = shown.bars.len();
        }
        let mut bars: Vec<Bar> = self.shown.iter().flat_map(|shown| &shown.bars).copied().collect();
        bars.sort_by_key(|bar| bar.number);
        bars
    }
}

/// The quality of a bar without gaps, which is also what is taken for granted before the first one.
const QUALITY_WHOLE_BP: u16 = 10_000;
