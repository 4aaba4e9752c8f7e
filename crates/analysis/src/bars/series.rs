//! The bars of one symbol and interval of time: those that are open, and those that a late trade can still revise.

use super::exit::{Exit, Ledger};
use super::grid::Span;
use super::holes::Holes;
use super::plan::{Plan, TimeNode};
use super::slot::Slot;
use feedd_model::{BarFlags, InstrumentId, Trade};
use std::collections::VecDeque;

/// Never.
pub(super) const NEVER: i64 = i64::MAX;

/// By time, each span at most once. Times in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// First the closed ones, then the open ones.
    pub(super) slots: VecDeque<Slot>,
    /// How many are closed.
    pub(super) closed: usize,
    /// Where empty bars are made: what ends by here is closed. `None` before the first bar.
    pub(super) closed_until: Option<i64>,
    /// When the next bar ends, with trades or empty; [`NEVER`] when there is none.
    pub(super) next_end: i64,
    /// Start of the first bar that has changed since it came out; [`NEVER`] when there is none.
    pub(super) changed_from: i64,
    /// What begins before has been given up.
    pub(super) forgotten_until: i64,
}

impl Series {
    pub(super) const fn new() -> Self {
        let (next_end, changed_from) = (NEVER, NEVER);
        let forgotten_until = i64::MIN;
        Self { slots: VecDeque::new(), closed: 0, closed_until: None, next_end, changed_from, forgotten_until }
    }

    /// Adds a trade to its open bar when this is the newest one, as nearly always. False: it is another one.
    #[inline]
    pub(super) fn add_to_newest(&mut self, trade: &Trade, at: i64, limit: i64, flags: BarFlags) -> bool {
        let Some(slot) = self.slots.back_mut() else { return false };
        let is_it = slot.start <= at && at < slot.end && slot.end > limit;
        if is_it {
            // What does not fit makes the bar partial; it is counted where it is told.
            slot.kept_flags = slot.kept_flags.with(flags);
        }
        is_it && slot.add(trade, at)
    }

    /// The slot of a span, made when there is none.
    fn slot_of(&mut self, span: Span, price: feedd_model::Decimal) -> usize {
        match self.slots.binary_search_by_key(&span.start, |slot| slot.start) {
            Ok(place) => place,
            Err(place) => {
                self.slots.insert(place, Slot::empty(span.start, span.end, price));
                place
            }
        }
    }

    /// Adds a trade to a bar that is open.
    pub(super) fn add_open(&mut self, span: Span, trade: &Trade, at: i64, flags: BarFlags) -> bool {
        let place = self.slot_of(span, trade.price);
        self.next_end = self.next_end.min(span.end);
        let slot = &mut self.slots[place];
        slot.kept_flags = slot.kept_flags.with(flags);
        slot.add(trade, at)
    }

    /// Adds a finished bar of a part of the span to its bar, which is open.
    pub(super) fn add_part(&mut self, span: Span, part: &Slot) -> bool {
        let place = self.slot_of(span, part.close);
        self.next_end = self.next_end.min(span.end);
        self.slots[place].add_bar(part)
    }

    /// Whether a late trade can still change its bar of that span.
    pub(super) fn is_revisable(&self, span: Span, ledger: &Ledger, plan: &Plan) -> bool {
        let is_kept = span.start >= self.forgotten_until;
        let place = self.slots.binary_search_by_key(&span.start, |slot| slot.start);
        let has_revisions = place.is_err() || place.is_ok_and(|place| self.slots[place].told < u16::MAX);
        is_kept && has_revisions && span.end.saturating_add(plan.revise) > ledger.limit
    }

    /// Adds a late trade to its bar, open or closed; a closed one comes out again when the clock moves on.
    pub(super) fn add_late(
        &mut self,
        node: &TimeNode,
        span: Span,
        late: (&Trade, i64, BarFlags),
        limit: i64,
        plan: &Plan,
    ) -> bool {
        let (trade, at, flags) = late;
        if span.end > limit {
            return self.add_open(span, trade, at, flags);
        }
        let slots = self.slots.len();
        let place = self.slot_of(span, trade.price);
        if self.slots.len() > slots {
            self.closed += 1;
            if plan.is_synthetic && self.closed_until.is_none() {
                // Empty bars are made from the clock on, not for what lies before it.
                self.close_until(limit, node, plan);
            }
        }
        let slot = &mut self.slots[place];
        slot.kept_flags = slot.kept_flags.with(flags);
        let fits = slot.add(trade, at);
        self.change(place);
        self.restate_after(place);
        fits
    }

    fn change(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        slot.is_changed = true;
        self.changed_from = self.changed_from.min(slot.start);
    }

    /// The empty bars that follow repeat the close, which may be another one now.
    fn restate_after(&mut self, place: usize) {
        let price = self.slots[place].close;
        for next in place + 1..self.closed {
            if self.slots[next].trades > 0 || !self.slots[next].restate(price) {
                return;
            }
            self.change(next);
        }
    }

    /// Closes the bar that ends at `next_end`. What is to be added to the bars made of this one, when it had trades; `None`
    /// also when only intervals were left out.
    pub(super) fn close_next(
        &mut self,
        node: &TimeNode,
        (instrument, holes): (InstrumentId, &Holes),
        plan: &Plan,
        ledger: &mut Ledger,
        exit: &mut Exit<'_>,
    ) -> Option<Slot> {
        let place = self.closed;
        let has_trades = self.slots.get(place).is_some_and(|slot| slot.end == self.next_end);
        if !has_trades && !self.insert_empty(place, node, plan, ledger) {
            return None;
        }
        self.closed += 1;
        let end = self.slots[place].end;
        let slot = &mut self.slots[place];
        let quality = holes.judge(slot.start, slot.end);
        exit.bar(ledger, instrument, node.interval, slot, quality);
        let part = *slot;
        self.close_until(end, node, plan);
        self.forget(ledger, plan);
        has_trades.then_some(part)
    }

    /// Puts the empty bar that is due in its place. False when too many would follow each other: then all but the last are
    /// left out, and the next end is another one.
    fn insert_empty(&mut self, place: usize, node: &TimeNode, plan: &Plan, ledger: &mut Ledger) -> bool {
        let (Some(after), Some(before)) = (self.closed_until, place.checked_sub(1)) else {
            self.next_end = NEVER;
            return false;
        };
        let until = self.slots.get(place).map_or(ledger.limit, |next| next.start.min(ledger.limit));
        let least = i128::from(plan.synthetic_max) * i128::from(node.grid.rank());
        if i128::from(until) - i128::from(after) > least {
            let (after, skipped) = node.grid.skip(after, until, plan.synthetic_max, plan.calendar());
            if skipped > 0 {
                ledger.counts.empties_skipped += skipped;
                self.close_until(after, node, plan);
                return false;
            }
        }
        let Some(span) = node.grid.next(after, plan.calendar()) else { return false };
        let price = self.slots[before].close;
        self.slots.insert(place, Slot::empty(span.start, span.end, price));
        true
    }

    /// Everything that ends by `until` is closed: what comes next?
    fn close_until(&mut self, until: i64, node: &TimeNode, plan: &Plan) {
        let open_end = self.slots.get(self.closed).map_or(NEVER, |slot| slot.end);
        self.next_end = open_end;
        if plan.is_synthetic {
            self.closed_until = Some(until);
            let empty_end = node.grid.next(until, plan.calendar()).map_or(NEVER, |span| span.end);
            self.next_end = open_end.min(empty_end);
        }
    }

    /// Gives up closed bars that nothing can revise any more; the last one stays, for its close.
    fn forget(&mut self, ledger: &Ledger, plan: &Plan) {
        while self.closed > 1
            && let Some(first) = self.slots.front()
            && (self.slots.len() > plan.kept_max || first.end.saturating_add(plan.revise) <= ledger.limit)
        {
            self.forgotten_until = first.end;
            self.slots.pop_front();
            self.closed -= 1;
        }
    }

    /// What is known of holes in `[from, to]` has changed: the closed bars for which that makes a difference come out again.
    pub(super) fn judge_again(&mut self, from: i64, to: i64, holes: &Holes) {
        for place in (0..self.closed).rev() {
            let slot = &self.slots[place];
            if slot.end <= from {
                return;
            }
            if slot.start <= to && slot.told > 0 && holes.judge(slot.start, slot.end) != slot.told_quality {
                self.change(place);
            }
        }
    }

    /// Lets out what has changed.
    pub(super) fn tell_changed(
        &mut self,
        node: &TimeNode,
        (instrument, holes): (InstrumentId, &Holes),
        ledger: &mut Ledger,
        exit: &mut Exit<'_>,
    ) {
        let from = std::mem::replace(&mut self.changed_from, NEVER);
        let first = self.slots.partition_point(|slot| slot.start < from);
        for slot in self.slots.range_mut(first..self.closed).filter(|slot| slot.is_changed && slot.told < u16::MAX) {
            let quality = holes.judge(slot.start, slot.end);
            exit.bar(ledger, instrument, node.interval, slot, quality);
        }
    }

    /// The open bar of a span has come out unfinished: the next record of it is a revision.
    pub(super) fn told_open(&mut self, told: &Slot) {
        let place = self.slot_of(Span { start: told.start, end: told.end }, told.close);
        self.next_end = self.next_end.min(told.end);
        (self.slots[place].told, self.slots[place].told_quality) = (told.told, told.told_quality);
    }
}
