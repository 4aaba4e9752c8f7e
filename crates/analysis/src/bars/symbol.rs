//! All bars of one symbol.

use super::counted::{self, Counted};
use super::exit::{Exit, Ledger};
use super::grid::Grid;
use super::holes::{Hole, Holes};
use super::plan::Plan;
use super::series::{NEVER, Series};
use feedd_model::{BarFlags, InstrumentId, Trade};

/// The state of one symbol; its series and counted bars stand in the order of the plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Symbol {
    pub(super) instrument: InstrumentId,
    pub(super) holes: Holes,
    pub(super) times: Vec<Series>,
    pub(super) counted: Vec<Counted>,
    /// When its next bar ends.
    pub(super) next_end: i64,
    /// Whether a bar has changed since it came out.
    pub(super) is_changed: bool,
}

impl Symbol {
    pub(super) fn new(instrument: InstrumentId, since: i64, plan: &Plan) -> Self {
        Self {
            instrument,
            holes: Holes::since(since),
            times: plan.times.iter().map(|_| Series::new()).collect(),
            counted: plan.counts.iter().map(|_| Counted::new()).collect(),
            next_end: NEVER,
            is_changed: false,
        }
    }

    /// Adds a trade of time `at`, received at `recv`.
    #[inline]
    pub(super) fn trade(
        &mut self,
        trade: &Trade,
        (at, recv): (i64, i64),
        flags: BarFlags,
        plan: &Plan,
        ledger: &mut Ledger,
        exit: &mut Exit<'_>,
    ) {
        for &root in &plan.time_roots {
            if !self.times[root].add_to_newest(trade, at, ledger.limit, flags) {
                self.trade_elsewhere(root, (trade, at, flags), plan, ledger);
            }
        }
        if !self.counted.is_empty() {
            counted::add_trade(&mut self.counted, (trade, recv), (self.instrument, &self.holes), plan, ledger, exit);
        }
    }

    /// The first trade of a bar, one of another open bar, or a late one.
    fn trade_elsewhere(&mut self, root: usize, of: (&Trade, i64, BarFlags), plan: &Plan, ledger: &mut Ledger) {
        let (trade, at, flags) = of;
        let grid = plan.times[root].grid;
        let Some(span) = grid.span(at, plan.calendar()) else {
            // Days and weeks hold no trades from outside the sessions.
            ledger.counts.untimed += u64::from(matches!(grid, Grid::Even { .. }));
            return;
        };
        let series = &mut self.times[root];
        if span.end > ledger.limit {
            ledger.counts.overflows += u64::from(!series.add_open(span, trade, at, flags));
            self.next_end = self.next_end.min(span.end);
            return;
        }
        if !series.is_revisable(span, ledger, plan) {
            ledger.counts.late += 1;
            return;
        }
        self.trade_late(root, of, plan, ledger);
        self.is_changed = true;
        self.find_next_end();
    }

    /// Adds a late trade to a bar, and to those above that this one has been added to.
    fn trade_late(&mut self, place: usize, of: (&Trade, i64, BarFlags), plan: &Plan, ledger: &mut Ledger) {
        let node = &plan.times[place];
        let Some(span) = node.grid.span(of.1, plan.calendar()) else { return };
        let fits = self.times[place].add_late(node, span, of, ledger.limit, plan);
        ledger.counts.overflows += u64::from(!fits);
        if span.end <= ledger.limit {
            for &above in &node.above {
                self.trade_late(above, of, plan, ledger);
            }
        }
    }

    fn find_next_end(&mut self) {
        self.next_end = self.times.iter().map(|series| series.next_end).min().unwrap_or(NEVER);
    }

    /// Closes every bar that ends at `next_end`, the shorter ones first.
    pub(super) fn close_next(&mut self, plan: &Plan, ledger: &mut Ledger, exit: &mut Exit<'_>) {
        let end = self.next_end;
        for (place, node) in plan.times.iter().enumerate() {
            if self.times[place].next_end != end {
                continue;
            }
            let of = (self.instrument, &self.holes);
            let Some(part) = self.times[place].close_next(node, of, plan, ledger, exit) else { continue };
            for &above in &node.above {
                // What lies outside the sessions is in no trading day.
                let Some(span) = plan.times[above].grid.span(part.start, plan.calendar()) else { continue };
                ledger.counts.overflows += u64::from(!self.times[above].add_part(span, &part));
            }
        }
        self.find_next_end();
    }

    /// Notes a hole, and that closed bars in it are not what they seemed.
    pub(super) fn hole(&mut self, hole: Hole, plan: &Plan) {
        let first = self.times.iter().filter_map(|series| Some(series.slots.front()?.start)).min();
        let horizon = first.unwrap_or(hole.from.0);
        self.holes.note(hole, plan.holes_max, horizon);
        self.judge_again(hole.from.0, hole.to.0);
    }

    /// A trade was fetched that had been missing.
    pub(super) fn fetched(&mut self, id: i64) {
        if let Some((from, to)) = self.holes.fetched(id) {
            self.judge_again(from, to);
        }
    }

    fn judge_again(&mut self, from: i64, to: i64) {
        for series in &mut self.times {
            series.judge_again(from, to, &self.holes);
            self.is_changed |= series.changed_from != NEVER;
        }
    }

    /// Lets out the bars that have changed since they came out.
    pub(super) fn tell_changed(&mut self, plan: &Plan, ledger: &mut Ledger, exit: &mut Exit<'_>) {
        self.is_changed = false;
        for (series, node) in self.times.iter_mut().zip(&plan.times) {
            if series.changed_from != NEVER {
                series.tell_changed(node, (self.instrument, &self.holes), ledger, exit);
            }
        }
    }

    /// Lets out all open bars as they are at the end of a run, each with what its open parts hold.
    pub(super) fn tell_open(&mut self, plan: &Plan, ledger: &mut Ledger, exit: &mut Exit<'_>) {
        let mut whole = self.times.clone();
        for (place, node) in plan.times.iter().enumerate() {
            for at in whole[place].closed..whole[place].slots.len() {
                let slot = &mut whole[place].slots[at];
                if slot.told == u16::MAX {
                    continue;
                }
                let quality = self.holes.judge(slot.start, slot.end);
                exit.bar(ledger, self.instrument, node.interval, slot, quality);
                let told = *slot;
                self.times[place].told_open(&told);
                for &above in &node.above {
                    if let Some(span) = plan.times[above].grid.span(told.start, plan.calendar()) {
                        whole[above].add_part(span, &told);
                    }
                }
            }
        }
        self.find_next_end();
        counted::tell_open(&mut self.counted, (self.instrument, &self.holes), plan, ledger, exit);
    }
}
