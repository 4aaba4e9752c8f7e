//! An order book that lives: levels that change, taker orders that eat them, and the checksum of its top.

use super::fact::{Level, Side};
use fastrand::Rng;
use std::collections::BTreeMap;

/// Percent of the price that it may be away from where it began.
const AWAY_PERCENT_MAX: i64 = 4;
/// Largest distance of neighbouring levels at the far end, in ticks.
const GAP_TICKS_MAX: i64 = 3;

/// Bids and asks of an instrument.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    price_start: i64,
    levels: usize,
    size_max: i64,
}

/// One fill of a taker order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) price: i64,
    pub(crate) size: i64,
}

/// Where the book was touched.
pub(crate) type Touched = Vec<(Side, i64)>;

impl Book {
    /// A full book around a price.
    pub(crate) fn new(price: i64, size_decimals: u32, levels: usize, rng: &mut Rng) -> Self {
        let size_max = if size_decimals >= 2 { 5 * 10i64.pow(size_decimals) } else { 2000 * 10i64.pow(size_decimals) };
        let mut book = Self { bids: BTreeMap::new(), asks: BTreeMap::new(), price_start: price, levels, size_max };
        let mut touched = Touched::new();
        book.bids.insert(price, book.size(rng));
        book.asks.insert(price + 1, book.size(rng));
        book.trim(rng, &mut touched);
        book
    }

    /// Best level of a side. A book is never empty between steps.
    pub(crate) fn best(&self, side: Side) -> Level {
        let best = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        };
        best.map_or(Level { price: self.price_start, size: 0 }, |(&price, &size)| Level { price, size })
    }

    /// The best levels of a side, best first.
    pub(crate) fn top(&self, side: Side, count: usize) -> Vec<Level> {
        let level = |(&price, &size): (&i64, &i64)| Level { price, size };
        match side {
            Side::Buy => self.bids.iter().rev().take(count).map(level).collect(),
            Side::Sell => self.asks.iter().take(count).map(level).collect(),
        }
    }

    /// Size at a price; 0 when there is no level.
    pub(crate) fn size_at(&self, side: Side, price: i64) -> i64 {
        self.side(side).get(&price).copied().unwrap_or(0)
    }

    /// A taker order: eats the other side's best levels, more than one now and then.
    pub(crate) fn take(&mut self, rng: &mut Rng, touched: &mut Touched) -> (Side, Vec<Fill>) {
        let taker = self.taker(rng);
        let maker = taker.other();
        let sweep = rng.u32(0..20) == 0;
        let best = self.best(maker).size;
        let mut wanted = if sweep { best.saturating_mul(3) } else { rng.i64(1..=best.max(1)) };
        let mut fills = Vec::with_capacity(1);
        while wanted > 0 && self.side(maker).len() > self.levels / 2 {
            let level = self.best(maker);
            // A maker's order may be one of several at the level: two executions at one price, now and then.
            let most = if rng.u32(0..4) == 0 { (level.size / 2).max(1) } else { level.size };
            let size = wanted.min(most);
            fills.push(Fill { price: level.price, size });
            self.set(maker, level.price, level.size - size, touched);
            wanted -= size;
        }
        self.trim(rng, touched);
        (taker, fills)
    }

    /// One change of one level.
    pub(crate) fn change(&mut self, rng: &mut Rng, touched: &mut Touched) {
        let side = if rng.bool() { Side::Buy } else { Side::Sell };
        let depth = self.depth_of_change(rng, side);
        let at = match side {
            Side::Buy => self.bids.iter().rev().nth(depth),
            Side::Sell => self.asks.iter().nth(depth),
        };
        let Some(price) = at.map(|(&price, _)| price) else { return };
        match rng.u32(0..10) {
            0 if self.side(side).len() > self.levels / 2 => self.set(side, price, 0, touched),
            1..=3 => self.insert_near(side, price, rng, touched),
            _ => {
                let size = self.size(rng);
                self.set(side, price, size, touched);
            }
        }
        self.trim(rng, touched);
    }

    /// Kraken's rule: ten best asks, then ten best bids, price then size as plain integers at the pair's precision.
    /// Source: docs.kraken.com, "Book checksum (v2)", read mid 2026.
    pub(crate) fn checksum(bids: &[Level], asks: &[Level]) -> u32 {
        let mut text = String::with_capacity(400);
        for level in asks.iter().take(10).chain(bids.iter().take(10)) {
            for number in [level.price, level.size] {
                crate::text::push_int(&mut text, number.unsigned_abs());
            }
        }
        crc32fast::hash(text.as_bytes())
    }

    fn side(&self, side: Side) -> &BTreeMap<i64, i64> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn set(&mut self, side: Side, price: i64, size: i64, touched: &mut Touched) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if size > 0 {
            levels.insert(price, size);
        } else {
            levels.remove(&price);
        }
        touched.push((side, price));
    }

    /// A size: small ones are more frequent.
    fn size(&self, rng: &mut Rng) -> i64 {
        rng.i64(1..=self.size_max).min(rng.i64(1..=self.size_max))
    }

    /// Most changes are near the top; one in ten is anywhere.
    fn depth_of_change(&self, rng: &mut Rng, side: Side) -> usize {
        let count = self.side(side).len().max(1);
        if rng.u32(0..10) == 0 { rng.usize(0..count) } else { rng.usize(0..8).min(rng.usize(0..8)).min(count - 1) }
    }

    /// A new level beside one that is there: inside the spread, or in a hole.
    fn insert_near(&mut self, side: Side, price: i64, rng: &mut Rng, touched: &mut Touched) {
        let ticks = rng.i64(1..=2);
        let better = rng.bool();
        let new = match (side, better) {
            (Side::Buy, true) | (Side::Sell, false) => price + ticks,
            (Side::Buy, false) | (Side::Sell, true) => price - ticks,
        };
        let apart = match side {
            Side::Buy => new < self.best(Side::Sell).price,
            Side::Sell => new > self.best(Side::Buy).price,
        };
        if apart && new > 0 {
            let size = self.size(rng);
            self.set(side, new, size, touched);
        }
    }

    /// Who takes next: the further the price is from where it began, the rather it is driven back.
    fn taker(&self, rng: &mut Rng) -> Side {
        let away = self.best(Side::Buy).price - self.price_start;
        let most = (self.price_start * AWAY_PERCENT_MAX / 100).max(1);
        let percent = (50 - away.saturating_mul(100) / most).clamp(0, 100);
        if rng.i64(0..100) < percent { Side::Buy } else { Side::Sell }
    }

    /// Fills both sides up at the far end, and cuts what is too much.
    fn trim(&mut self, rng: &mut Rng, touched: &mut Touched) {
        for side in [Side::Buy, Side::Sell] {
            while self.side(side).len() < self.levels {
                let gap = rng.i64(1..=GAP_TICKS_MAX);
                let far = match side {
                    Side::Buy => self.bids.first_key_value().map_or(self.price_start, |(&price, _)| price) - gap,
                    Side::Sell => self.asks.last_key_value().map_or(self.price_start + 1, |(&price, _)| price) + gap,
                };
                if far <= 0 {
                    break;
                }
                let size = self.size(rng);
                self.set(side, far, size, touched);
            }
            while self.side(side).len() > self.levels + self.levels / 10 {
                let far = match side {
                    Side::Buy => self.bids.first_key_value(),
                    Side::Sell => self.asks.last_key_value(),
                };
                let Some((&price, _)) = far else { break };
                self.set(side, price, 0, touched);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_venues() {
        // The guide's vector: asks 0.05005 to 0.05050, bids 0.05000 down with one gap, each size 0.00000500.
        let asks: Vec<Level> = (0..10).map(|n| Level { price: 5005 + 5 * n, size: 500 }).collect();
        let bids = [5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950].map(|price| Level { price, size: 500 });
        assert_eq!(Book::checksum(&bids, &asks), 974_947_235);
    }

    #[test]
    fn a_book_stays_apart_full_and_near_its_price() {
        let mut rng = Rng::with_seed(7);
        let mut book = Book::new(100_000, 3, 50, &mut rng);
        let mut touched = Touched::new();
        for _ in 0..20_000 {
            let before = [book.top(Side::Buy, 200), book.top(Side::Sell, 200)];
            touched.clear();
            if rng.u32(0..4) == 0 {
                let (taker, fills) = book.take(&mut rng, &mut touched);
                let best = before[usize::from(taker == Side::Buy)][0];
                assert_eq!(fills[0].price, best.price);
                assert!(fills.iter().all(|fill| fill.size > 0));
            } else {
                book.change(&mut rng, &mut touched);
            }
            let (bids, asks) = (book.top(Side::Buy, 200), book.top(Side::Sell, 200));
            assert!(bids[0].price < asks[0].price);
            assert!((50..=55).contains(&bids.len()) && (50..=55).contains(&asks.len()));
            assert!((bids[0].price - 100_000).abs() < 5_000, "{}", bids[0].price);
            // Whatever differs was named.
            for (side, (old, new)) in [Side::Buy, Side::Sell].into_iter().zip(before.iter().zip([&bids, &asks])) {
                for level in old.iter().filter(|level| !new.contains(level)) {
                    assert!(touched.contains(&(side, level.price)), "{level:?}");
                }
            }
        }
    }
}
