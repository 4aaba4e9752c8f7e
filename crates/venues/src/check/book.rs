//! The book of one instrument: price levels, kept to check what the venue says and to be looked at.
//!
//! Hot path: a change near the best price moves few levels; nothing is allocated once the sides have grown.

use crate::message::LevelNum;
use feedd_model::{Decimal, Side};

/// A price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLevel {
    /// Price.
    pub price: Decimal,
    /// Total size at the price, above zero.
    pub size: Decimal,
}

/// Bids and asks, each with its best price last: there most changes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderBook {
    bids: Vec<BookLevel>,
    asks: Vec<BookLevel>,
}

impl OrderBook {
    /// Forgets every level, keeps the room.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Sets the total size at a price; zero removes the level, also one that is not there.
    #[inline]
    pub fn set(&mut self, side: Side, level: BookLevel) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let is_worse = |other: &BookLevel| match side {
            Side::Buy => other.price < level.price,
            Side::Sell => other.price > level.price,
        };
        let at = levels.partition_point(is_worse);
        let is_there = levels.get(at).is_some_and(|other| other.price == level.price);
        match (is_there, level.size.is_zero()) {
            (true, false) => levels[at].size = level.size,
            (true, true) => drop(levels.remove(at)),
            (false, false) => levels.insert(at, level),
            (false, true) => {}
        }
    }

    /// Applies the levels of a message, in the order sent.
    pub fn apply(&mut self, bids: &[LevelNum], asks: &[LevelNum]) {
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for level in levels {
                self.set(side, BookLevel { price: level.price.value, size: level.size.value });
            }
        }
    }

    /// Keeps the best `depth` levels of each side: what falls out of a venue's window is not deleted by it.
    pub fn cut(&mut self, depth: usize) {
        for levels in [&mut self.bids, &mut self.asks] {
            let beyond = levels.len().saturating_sub(depth);
            levels.drain(..beyond);
        }
    }

    /// Bids, best first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = &BookLevel> {
        self.bids.iter().rev()
    }

    /// Asks, best first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = &BookLevel> {
        self.asks.iter().rev()
    }

    /// Whether the best bid is not below the best ask, which a whole book never shows.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        matches!((self.bids.last(), self.asks.last()), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn decimal(mantissa: i64, scale: u8) -> Decimal {
        Decimal::new(mantissa, scale).unwrap()
    }

    #[test]
    fn levels_are_set_replaced_removed_and_cut() {
        let mut book = OrderBook::default();
        for (price, size) in [(100, 1), (102, 1), (101, 1), (102, 5), (100, 0), (7, 0)] {
            book.set(Side::Buy, BookLevel { price: decimal(price, 0), size: decimal(size, 0) });
        }
        // Prices are compared by value: 102.0 is 102.
        book.set(Side::Buy, BookLevel { price: decimal(1020, 1), size: decimal(6, 0) });
        book.set(Side::Sell, BookLevel { price: decimal(103, 0), size: decimal(1, 0) });
        let bids: Vec<_> = book.bids().map(|level| (level.price.to_string(), level.size.to_string())).collect();
        assert_eq!(bids, [("102".to_owned(), "6".to_owned()), ("101".to_owned(), "1".to_owned())]);
        assert!(!book.is_crossed());
        book.set(Side::Sell, BookLevel { price: decimal(102, 0), size: decimal(1, 0) });
        assert!(book.is_crossed());
        book.cut(1);
        assert_eq!((book.bids().len(), book.asks().len()), (1, 1));
        assert_eq!(book.asks().next().unwrap().price, decimal(102, 0));
        book.clear();
        assert_eq!(book, OrderBook::default());
    }

    proptest! {
        /// Both sides hold what a map of prices holds, in order.
        #[test]
        fn a_book_is_a_map_of_prices(changes in prop::collection::vec((any::<bool>(), 1_i64..40, 0_i64..4), 0..200)) {
            let mut book = OrderBook::default();
            let mut maps = [BTreeMap::new(), BTreeMap::new()];
            for (is_bid, price, size) in changes {
                let side = if is_bid { Side::Buy } else { Side::Sell };
                book.set(side, BookLevel { price: decimal(price, 2), size: decimal(size, 3) });
                let map = &mut maps[usize::from(is_bid)];
                if size == 0 { map.remove(&price); } else { map.insert(price, size); }
            }
            let shown = |level: &BookLevel| (level.price.mantissa(), level.size.mantissa());
            let bids: Vec<_> = maps[1].iter().rev().map(|(price, size)| (*price, *size)).collect();
            let asks: Vec<_> = maps[0].iter().map(|(price, size)| (*price, *size)).collect();
            prop_assert_eq!(book.bids().map(shown).collect::<Vec<_>>(), bids);
            prop_assert_eq!(book.asks().map(shown).collect::<Vec<_>>(), asks);
        }
    }
}
