//! Where finished bars go, and what is counted on the way.

use super::slot::Slot;
use crate::flow::{Item, Items, Records};
use feedd_core::Block;
use feedd_model::{Bar, BarFlags, Derived, InstrumentId, Interval, UnixNanos};
use std::sync::Arc;

/// What the processor has done since its state began. Each rises only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trades of the instruments that have bars.
    pub trades: u64,
    /// Bars that came out, revisions included.
    pub bars: u64,
    /// Revisions among them.
    pub revised: u64,
    /// Empty bars among them, first revisions only.
    pub synthetic: u64,
    /// Empty intervals left out because the clock had jumped over too many.
    pub empties_skipped: u64,
    /// Trades that came too late for a bar, once for each interval made of trades whose bar they would have changed.
    pub late: u64,
    /// Trades, or smaller bars, left out of a bar because a sum would have left 128 bits.
    pub overflows: u64,
    /// Trades from outside the calendar's sessions.
    pub outside: u64,
    /// Trades without any time, or with one beyond the range of times.
    pub untimed: u64,
    /// Events that the lane was not given.
    pub skipped: u64,
}

/// What is true for the lane as a whole. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Highest receive time seen.
    pub(super) clock: i64,
    /// What ends by here is closed: the clock less the grace period.
    pub(super) limit: i64,
    /// Of the next bar.
    pub(super) number: u64,
    pub(super) counts: Counts,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { clock: i64::MIN, limit: i64::MIN, number: 1, counts: Counts::default() }
    }
}

/// The way out of one block.
pub(super) struct Exit<'a> {
    pub(super) items: &'a mut dyn Items,
    pub(super) records: &'a mut dyn Records,
    pub(super) block: &'a Arc<Block>,
    /// Events of the block before what comes out now.
    pub(super) upto: usize,
    /// The run ends.
    pub(super) is_end: bool,
}

impl Exit<'_> {
    /// Lets a bar out, and notes in the slot what was told.
    pub(super) fn bar(
        &mut self,
        ledger: &mut Ledger,
        instrument: InstrumentId,
        interval: Interval,
        slot: &mut Slot,
        quality: (bool, u16),
    ) {
        let mut flags = slot.kept_flags;
        let set = [
            (quality.0, BarFlags::PARTIAL),
            (slot.trades == 0, BarFlags::SYNTHETIC),
            (slot.told > 0, BarFlags::REVISED),
            (self.is_end, BarFlags::TRUNCATED),
        ];
        for (_, flag) in set.into_iter().filter(|(is_set, _)| *is_set) {
            flags = flags.with(flag);
        }
        let bar = Bar {
            instrument,
            interval,
            start: UnixNanos(slot.start),
            end: UnixNanos(slot.end),
            closed_at: UnixNanos(ledger.clock),
            open: slot.open,
            high: slot.high,
            low: slot.low,
            close: slot.close,
            volume: slot.volume.sum(),
            buy_volume: slot.buy_volume.sum(),
            notional: slot.notional.sum(),
            trades: slot.trades,
            flags,
            revision: slot.told,
            quality_bp: quality.1,
            number: ledger.number,
        };
        ledger.number += 1;
        ledger.counts.bars += 1;
        ledger.counts.revised += u64::from(slot.told > 0);
        ledger.counts.synthetic += u64::from(slot.trades == 0 && slot.told == 0);
        slot.told = slot.told.saturating_add(1);
        slot.told_quality = quality;
        slot.is_changed = false;
        // The record first: what follows from a bar stands behind it in the stream.
        self.records.put(&Derived::Bar(bar));
        let upto = u32::try_from(self.upto).unwrap_or(u32::MAX);
        self.items.put(Item::Bar { bar, block: self.block.clone(), upto });
    }
}
