//! Kraken's checksum of a book: CRC-32 over its ten best asks and bids, printed to the pair's precision.
//!
//! Source: docs.kraken.com, guide "Spot Websockets (v2) book checksum" (read mid 2026): the asks from low to high, then the bids
//! from high to low; of each level price, then size, printed with as many decimals as the pair has, without the point and
//! without leading zeros. Frames drop or keep trailing zeros as they like, so the precision cannot be read from them.

use super::book::OrderBook;
use feedd_model::Decimal;

/// Levels of each side that count.
const LEVELS: usize = 10;
/// Most decimals of a price or a size of any pair.
const SCALE_MAX: u8 = 12;

/// Decimals of a pair's prices and sizes: learned from the first book whose checksum they explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Precision {
    price: u8,
    size: u8,
}

/// The checksum of a book; `None` when a number has more decimals than the pair.
pub(crate) fn checksum(book: &OrderBook, precision: Precision, text: &mut Vec<u8>) -> Option<u32> {
    text.clear();
    for level in book.asks().take(LEVELS).chain(book.bids().take(LEVELS)) {
        push(text, level.price.mantissa_at(precision.price)?);
        push(text, level.size.mantissa_at(precision.size)?);
    }
    Some(crc32fast::hash(text))
}

/// Whole numbers above zero have no leading zeros.
fn push(text: &mut Vec<u8>, value: i128) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(text, "{value}");
}

/// The precision with which the book has this checksum. That a wrong one has it by chance: 1 in 4 billion for each of some
/// hundred tried.
pub(crate) fn learn(book: &OrderBook, expected: u32, text: &mut Vec<u8>) -> Option<Precision> {
    let levels = || book.asks().take(LEVELS).chain(book.bids().take(LEVELS));
    let needed = |value: fn(&super::book::BookLevel) -> Decimal| {
        levels().map(|level| value(level).canonical().scale()).max().unwrap_or(0)
    };
    let (price_min, size_min) = (needed(|level| level.price), needed(|level| level.size));
    for price in price_min..=SCALE_MAX {
        // Most pairs have eight decimals in their sizes.
        let sizes = std::iter::once(8).chain((0..=SCALE_MAX).filter(|size| *size != 8));
        for size in sizes.filter(|size| *size >= size_min) {
            let precision = Precision { price, size };
            if checksum(book, precision, text) == Some(expected) {
                return Some(precision);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::book::BookLevel;
    use feedd_model::Side;

    fn book(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> OrderBook {
        let mut book = OrderBook::default();
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for (price, size) in levels {
                book.set(side, BookLevel { price: price.parse().unwrap(), size: size.parse().unwrap() });
            }
        }
        book
    }

    /// The vector of Kraken's guide to the first protocol's checksum.
    #[test]
    fn the_guides_book_has_the_guides_checksum() {
        let asks: Vec<(String, &str)> = (0..10).map(|n| (format!("0.05{:03}", 5 + 5 * n), "0.00000500")).collect();
        let bids = [
            "0.05000", "0.04995", "0.04990", "0.04980", "0.04975", "0.04970", "0.04965", "0.04960", "0.04955",
            "0.04950",
        ];
        let asks: Vec<(&str, &str)> = asks.iter().map(|(price, size)| (price.as_str(), *size)).collect();
        let bids: Vec<(&str, &str)> = bids.iter().map(|price| (*price, "0.00000500")).collect();
        let book = book(&bids, &asks);
        let mut text = Vec::new();
        assert_eq!(checksum(&book, Precision { price: 5, size: 8 }, &mut text), Some(974_947_235));
        assert_eq!(learn(&book, 974_947_235, &mut text), Some(Precision { price: 5, size: 8 }));
        assert_eq!(learn(&book, 974_947_236, &mut text), None);
        assert_eq!(checksum(&book, Precision { price: 4, size: 8 }, &mut text), None, "0.05005 has five decimals");
    }

    #[test]
    fn trailing_zeros_and_short_sides_do_not_matter() {
        let mut text = Vec::new();
        let precision = Precision { price: 2, size: 3 };
        let (kept, dropped) = (book(&[("1.50", "2.000")], &[]), book(&[("1.5", "2")], &[]));
        assert_eq!(checksum(&kept, precision, &mut text), checksum(&dropped, precision, &mut text));
        assert_eq!(text, b"1502000");
    }
}
