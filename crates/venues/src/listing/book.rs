//! The book of one symbol at the end of a capture, built and checked as a live session builds it.

use super::{Listener, ListingError, Place, Problem, walk};
use crate::check::book::OrderBook;
use crate::check::{BookRule, Checker, Rules, TradeIds};
use crate::message::Message;
use feedd_core::Burst;
use feedd_model::{InstrumentId, UnixNanos};
use std::path::PathBuf;

/// What a capture says about a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalBook {
    /// The book; `None` when there is none, or when something was missing since its last snapshot.
    pub book: Option<OrderBook>,
    /// Depth messages of the symbol.
    pub messages: u64,
    /// Places where a message did not follow, or a checksum was wrong.
    pub holes: u64,
    /// Receive time of the last depth message.
    pub last_recv: Option<UnixNanos>,
}

/// Reads captures, one after the other as a tape is kept, up to a receive time or to their end. `venue`: `None` takes the
/// name of each one's folder. `symbol` is as the venue writes it; where it names an instrument within a connection only (Bybit), it is
/// `connection/symbol`.
///
/// # Errors
/// [`ListingError`] when the venue is unknown or the capture ends early. Bad lines and rejected frames go to `problems`.
pub fn book_of(
    paths: &[PathBuf],
    venue: Option<&str>,
    symbol: &str,
    until: Option<UnixNanos>,
    problems: &mut dyn FnMut(&Problem<'_>),
) -> Result<FinalBook, ListingError> {
    let mut builder = Builder { symbol, until, depth: None, checker: None, found: FinalBook::default() };
    for path in paths {
        walk(path, venue, &mut builder, problems)?;
    }
    Ok(builder.finish())
}

/// The instrument that is built.
const INSTRUMENT: InstrumentId = InstrumentId(1);
/// Levels a side of Kraken's smallest subscription, which is what it means without a depth.
const KRAKEN_DEPTH: u32 = 10;

struct Builder<'a> {
    symbol: &'a str,
    until: Option<UnixNanos>,
    /// As subscribed, where a request says it.
    depth: Option<u32>,
    /// From the first message on, and what it marks.
    checker: Option<(Checker, Burst)>,
    found: FinalBook,
}

impl Listener for Builder<'_> {
    fn message(&mut self, place: Place<'_>, _: usize, _: &str, message: &Message<'_>) {
        let Message::Book(book) = message else { return };
        let recv_ts = place.recv_ns.map(UnixNanos);
        let is_late = self.until.zip(recv_ts).is_some_and(|(until, recv_ts)| recv_ts > until);
        if is_late || !place.venue.names(place.conn, book.symbol, self.symbol) {
            return;
        }
        let depth = self.depth.unwrap_or(KRAKEN_DEPTH);
        let rules = Rules { book: rule_of(place.venue.name, depth), trades: TradeIds::Opaque, is_global: false };
        let (checker, burst) = self.checker.get_or_insert_with(|| (Checker::new(rules), Burst::with_capacity(16)));
        checker.begin_frame(place.conn);
        checker.message(INSTRUMENT, message, recv_ts, burst);
        checker.end_frame(recv_ts, burst);
        self.found.holes += checker.take_own().gaps;
        checker.wants().for_each(drop);
        burst.clear();
        self.found.messages += 1;
        self.found.last_recv = recv_ts.or(self.found.last_recv);
    }

    fn none(&mut self, _: Place<'_>, _: &dyn std::fmt::Display) {}

    fn sent(&mut self, text: &str) {
        self.depth = depth_in(text).or(self.depth);
    }

    fn check(&mut self) -> Result<(), ListingError> {
        Ok(())
    }
}

impl Builder<'_> {
    fn finish(mut self) -> FinalBook {
        self.found.book = self.checker.and_then(|(checker, _)| checker.book(INSTRUMENT).cloned());
        self.found
    }
}

/// How a venue's recorded depth messages follow each other.
fn rule_of(venue: &str, depth: u32) -> BookRule {
    match venue {
        "binance" | "binance_us" | "sim" => BookRule::JoinFirst,
        "binance_usdm" | "binance_coinm" => BookRule::JoinPrevious,
        "kraken" => BookRule::Checksum { depth },
        "okx" => BookRule::Previous,
        "bybit" | "bybit_spot" | "bybit_linear" => BookRule::Next,
        _ => BookRule::Unchecked,
    }
}

/// The number behind `"depth":` in a subscription.
fn depth_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("\"depth\"")?;
    let digits = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_tells_its_depth() {
        let cases = [
            (r#"{"params":{"channel":"book","depth": 25,"snapshot":true}}"#, Some(25)),
            (r#"{"subscription":{"name":"book","depth":1000}}"#, Some(1000)),
            (r#"{"depth":"10"}"#, None),
            ("{}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(depth_in(text), expected, "{text}");
        }
    }
}
