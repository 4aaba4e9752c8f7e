//! One bar while it is made: what the trades of its span have added up to.

use super::total::Total;
use feedd_model::{BarFlags, Decimal, Side, Trade};

/// What a bar holds before it comes out, and what is to be known afterwards to revise it. Times in nanoseconds since 1970.
///
/// The first and last price go by the trades' times, of equal times by their order in the record: so a late trade takes its
/// place among the others, and adding bars up gives what adding their trades up gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Time of the first trade.
    pub(super) first_at: i64,
    /// Time of the last trade.
    pub(super) last_at: i64,
    pub(super) open: Decimal,
    pub(super) high: Decimal,
    pub(super) low: Decimal,
    pub(super) close: Decimal,
    pub(super) volume: Total,
    pub(super) buy_volume: Total,
    pub(super) notional: Total,
    /// 0: no trade, and every price is the close of the bar before.
    pub(super) trades: u32,
    /// Flags that no later knowledge takes back: a trade did not fit, or came from outside the sessions.
    pub(super) kept_flags: BarFlags,
    /// Records of it that came out.
    pub(super) told: u16,
    /// What the last record said of holes: partial or not, and the share without them.
    pub(super) told_quality: (bool, u16),
    /// It has changed since the last record.
    pub(super) is_changed: bool,
}

impl Slot {
    /// Without trades, at a price.
    pub(super) fn empty(start: i64, end: i64, price: Decimal) -> Self {
        Self {
            start,
            end,
            first_at: start,
            last_at: start,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Total::default(),
            buy_volume: Total::default(),
            notional: Total::default(),
            trades: 0,
            kept_flags: BarFlags::COMPLETE,
            told: 0,
            told_quality: (false, 0),
            is_changed: false,
        }
    }

    /// Adds a trade made at `at`. False when a sum would leave 128 bits: then it is left out whole, and the bar is partial.
    #[inline]
    pub(super) fn add(&mut self, trade: &Trade, at: i64) -> bool {
        let (price, size) = (trade.price, trade.size);
        let units = i128::from(size.mantissa());
        // Two factors of 64 bits always fit; the scales are at most 30 each.
        let product = i128::from(price.mantissa()) * units;
        let bought = if trade.side == Some(Side::Buy) { units } else { 0 };
        let (Some(volume), Some(buy_volume), Some(notional), Some(trades)) = (
            self.volume.plus(units, size.scale()),
            self.buy_volume.plus(bought, size.scale()),
            self.notional.plus(product, price.scale() + size.scale()),
            self.trades.checked_add(1),
        ) else {
            return self.refuse();
        };
        let is_first = self.trades == 0;
        (self.volume, self.buy_volume, self.notional, self.trades) = (volume, buy_volume, notional, trades);
        if is_first {
            (self.open, self.high, self.low, self.close) = (price, price, price, price);
            (self.first_at, self.last_at) = (at, at);
            return true;
        }
        if price > self.high {
            self.high = price;
        } else if price < self.low {
            self.low = price;
        }
        if at >= self.last_at {
            (self.close, self.last_at) = (price, at);
        } else if at < self.first_at {
            (self.open, self.first_at) = (price, at);
        }
        true
    }

    /// Adds a finished bar of a part of its span. False as in [`Slot::add`].
    pub(super) fn add_bar(&mut self, part: &Self) -> bool {
        self.kept_flags = self.kept_flags.with(part.kept_flags);
        if part.trades == 0 {
            return true;
        }
        let (Some(volume), Some(buy_volume), Some(notional), Some(trades)) = (
            self.volume.plus_total(part.volume),
            self.buy_volume.plus_total(part.buy_volume),
            self.notional.plus_total(part.notional),
            self.trades.checked_add(part.trades),
        ) else {
            return self.refuse();
        };
        let is_first = self.trades == 0;
        (self.volume, self.buy_volume, self.notional, self.trades) = (volume, buy_volume, notional, trades);
        if is_first {
            (self.open, self.high, self.low, self.close) = (part.open, part.high, part.low, part.close);
            (self.first_at, self.last_at) = (part.first_at, part.last_at);
            return true;
        }
        (self.high, self.low) = (self.high.max(part.high), self.low.min(part.low));
        if part.last_at >= self.last_at {
            (self.close, self.last_at) = (part.close, part.last_at);
        }
        if part.first_at < self.first_at {
            (self.open, self.first_at) = (part.open, part.first_at);
        }
        true
    }

    #[cold]
    fn refuse(&mut self) -> bool {
        self.kept_flags = self.kept_flags.with(BarFlags::PARTIAL);
        false
    }

    /// Sets the price of a bar without trades; whether it is another one.
    pub(super) fn restate(&mut self, price: Decimal) -> bool {
        let is_new = self.close != price;
        (self.open, self.high, self.low, self.close) = (price, price, price, price);
        is_new
    }
}
