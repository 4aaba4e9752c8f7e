//! Bars of a number of trades or of an amount. Trades count in the order of the record, whatever their times.

use super::exit::{Exit, Ledger};
use super::holes::Holes;
use super::plan::{CountNode, Plan};
use super::slot::Slot;
use feedd_model::{InstrumentId, Interval, Trade};

/// The bar of one symbol and number or amount that is being filled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) slot: Option<Slot>,
    /// Start of the bar before: no two start at the same moment, so that each has a name.
    pub(super) last_start: Option<i64>,
    /// End of the bar before: a hole since then is this bar's.
    pub(super) last_end: Option<i64>,
}

impl Counted {
    pub(super) const fn new() -> Self {
        Self { slot: None, last_start: None, last_end: None }
    }

    /// The bar that a trade or smaller bar at `[start, end]` goes into.
    fn slot(&mut self, start: i64, price: feedd_model::Decimal) -> &mut Slot {
        // Trades of one frame have one receive time: the next bar starts a nanosecond later than it should.
        let start = self.last_start.map_or(start, |last| start.max(last.saturating_add(1)));
        self.slot.get_or_insert_with(|| Slot::empty(start, start, price))
    }

    fn add(&mut self, trade: &Trade, at: i64) -> bool {
        let slot = self.slot(at, trade.price);
        slot.end = slot.end.max(at);
        // The place in the record, not the time, says which trade is the last.
        let place = i64::from(slot.trades);
        slot.add(trade, place)
    }

    fn add_part(&mut self, part: &Slot) -> bool {
        let slot = self.slot(part.start, part.close);
        slot.end = slot.end.max(part.end);
        let place = i64::from(slot.trades);
        slot.add_bar(&Slot { first_at: place, last_at: place + i64::from(part.trades) - 1, ..*part })
    }

    fn is_full(&self, interval: Interval) -> bool {
        self.slot.is_some_and(|slot| match interval {
            Interval::Trades(trades) => slot.trades >= trades,
            Interval::Volume(units) => slot.volume.reaches(units),
            Interval::Seconds(_) => false,
        })
    }

    /// Whether trades of its bar may be missing, and the share of its span without holes.
    fn judge(&self, slot: &Slot, holes: &Holes) -> (bool, u16) {
        let since = self.last_end.unwrap_or(slot.start).min(slot.start);
        (holes.judge(since, slot.end.saturating_add(1)).0, holes.judge(slot.start, slot.end).1)
    }

    fn tell(
        &mut self,
        node: &CountNode,
        of: (InstrumentId, &Holes),
        ledger: &mut Ledger,
        exit: &mut Exit<'_>,
    ) -> Option<Slot> {
        let mut slot = self.slot.take()?;
        let quality = self.judge(&slot, of.1);
        exit.bar(ledger, of.0, node.interval, &mut slot, quality);
        (self.last_start, self.last_end) = (Some(slot.start), Some(slot.end));
        Some(slot)
    }
}

/// Adds a trade to all bars of numbers and amounts of a symbol, and lets out those that it fills.
pub(super) fn add_trade(
    all: &mut [Counted],
    (trade, at): (&Trade, i64),
    of: (InstrumentId, &Holes),
    plan: &Plan,
    ledger: &mut Ledger,
    exit: &mut Exit<'_>,
) {
    for (place, node) in plan.counts.iter().enumerate() {
        if node.is_root && !all[place].add(trade, at) {
            ledger.counts.overflows += 1;
        }
        if all[place].is_full(node.interval)
            && let Some(part) = all[place].tell(node, of, ledger, exit)
        {
            for &above in &node.above {
                ledger.counts.overflows += u64::from(!all[above].add_part(&part));
            }
        }
    }
}

/// Lets out the bars as they are at the end of a run. A later start can go on with them.
pub(super) fn tell_open(
    all: &mut [Counted],
    of: (InstrumentId, &Holes),
    plan: &Plan,
    ledger: &mut Ledger,
    exit: &mut Exit<'_>,
) {
    let mut whole = all.to_vec();
    for (place, node) in plan.counts.iter().enumerate() {
        let Some(mut slot) = whole[place].slot.filter(|slot| slot.told < u16::MAX) else { continue };
        let quality = whole[place].judge(&slot, of.1);
        exit.bar(ledger, of.0, node.interval, &mut slot, quality);
        let kept = all[place].slot.get_or_insert_with(|| Slot::empty(slot.start, slot.end, slot.close));
        (kept.told, kept.told_quality) = (slot.told, slot.told_quality);
        for &above in &node.above {
            whole[above].add_part(&slot);
        }
    }
}
