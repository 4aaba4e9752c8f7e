//! What really happened, out of the log of the exchange alone.

use super::recorded::TradeKey;
use crate::harness::plain;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use venue_sim::Server;

/// A trade as it was made: `61837.63 0.02 buy`, and when, by the venue's clock.
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) venue_ns: i64,
}

/// Lines of the log after which a fault of some frames is over.
const FOLLOWED_BY: usize = 50;

/// The log so far. Lines about quotes and books that nobody asks for here are left out.
#[derive(Default)]
pub(crate) struct Oracle {
    seen: usize,
    pub(crate) lines: Vec<Value>,
}

impl Oracle {
    /// Reads on.
    pub(crate) fn read(&mut self, server: &Server) {
        let new = server.log_from(self.seen);
        self.seen += new.len();
        let is_kept = |line: &Value| !matches!(line["what"].as_str(), Some("quote" | "depth"));
        self.lines.extend(new.into_iter().filter(is_kept));
    }

    /// Lines from a time on.
    pub(crate) fn since(&self, from_ns: i64) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| time(line) >= from_ns)
    }

    /// The first trade of each symbol that was sent, and every trade from it on.
    pub(crate) fn made(&self) -> BTreeMap<TradeKey, Made> {
        let mut first: BTreeMap<&str, u64> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| is_sent(line) && is_trade(line)) {
            first.entry(symbol(line)).or_insert(ids(line).0);
        }
        let mut made = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line["what"] == "trade") {
            let id = line["id"].as_str().unwrap().parse().unwrap();
            if first.get(symbol(line)).is_some_and(|first| id >= *first) {
                let text = |key: &str| line[key].as_str().unwrap();
                let words = format!("{} {} {}", plain(text("price")), plain(text("size")), text("side"));
                let made_now = Made { text: words, venue_ns: line["venue_ns"].as_i64().unwrap() };
                made.insert((symbol(line).to_owned(), id), made_now);
            }
        }
        made
    }

    /// Trades that came later than one after them, or never: what a reader of the frames in the order sent has to find.
    pub(crate) fn trades_missing(&self) -> BTreeSet<TradeKey> {
        let mut high: BTreeMap<&str, u64> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for line in self.lines.iter().filter(|line| is_sent(line) && is_trade(line)) {
            let (first, last) = ids(line);
            let before = high.entry(symbol(line)).or_insert(first - 1);
            missing.extend((*before + 1..first).map(|id| (symbol(line).to_owned(), id)));
            *before = last.max(*before);
        }
        missing
    }

    /// Frames that a fault withheld, held back or damaged, from a time on.
    pub(crate) fn disturbed(&self, from_ns: i64) -> impl Iterator<Item = &Value> {
        self.since(from_ns).filter(|line| is_disturbed(line))
    }

    /// Whether the frames since then that were disturbed have others behind them, each depth message one of its symbol: of a
    /// stream that ends with a lost one nothing tells.
    pub(crate) fn is_followed(&self, from_ns: i64) -> bool {
        let mut depth: BTreeMap<&str, bool> = BTreeMap::new();
        for line in self.since(from_ns).filter(|line| is_depth(line)) {
            depth.insert(symbol(line), is_disturbed(line));
        }
        let last = self.lines.iter().rev().take(FOLLOWED_BY).take_while(|line| time(line) >= from_ns);
        !depth.into_values().chain(last.map(is_disturbed)).any(|is_disturbed| is_disturbed)
    }

    /// Numbers of the depth frames that were disturbed, by symbol, ascending; ranges that touch are one.
    pub(crate) fn depth_disturbed(&self, from_ns: i64) -> BTreeMap<String, Vec<(u64, u64)>> {
        let mut all: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for line in self.disturbed(from_ns).filter(|line| is_depth(line)) {
            let (first, last) = ids(line);
            // A damaged one claims to begin, or to follow, one later than it does.
            let last = if line["damaged"] == true { first } else { last };
            all.entry(symbol(line).to_owned()).or_default().push((first, last));
        }
        all.values_mut().for_each(merge);
        all
    }
}

/// Sorts ranges, and makes one of those that touch.
pub(crate) fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for &(first, last) in ranges.iter() {
        match merged.last_mut() {
            Some((_, before)) if first <= *before + 1 => *before = last.max(*before),
            _ => merged.push((first, last)),
        }
    }
    *ranges = merged;
}

fn is_disturbed(line: &Value) -> bool {
    line["what"] == "dropped" || line["late"] == true || line["damaged"] == true
}

pub(crate) fn time(line: &Value) -> i64 {
    line["t"].as_i64().unwrap()
}

pub(crate) fn symbol(line: &Value) -> &str {
    line["symbol"].as_str().unwrap_or_default()
}

pub(crate) fn is_sent(line: &Value) -> bool {
    line["what"] == "sent"
}

/// Each venue has a word of its own.
pub(crate) fn is_trade(line: &Value) -> bool {
    matches!(
        line["kind"].as_str(),
        Some("trade" | "match" | "last_match" | "market_trades" | "trades-all" | "publicTrade")
    )
}

pub(crate) fn is_depth(line: &Value) -> bool {
    matches!(line["kind"].as_str(), Some("depth" | "l2update" | "l2_data" | "book" | "books" | "orderbook"))
}

/// First and last id of a frame; Bybit's are texts.
fn ids(line: &Value) -> (u64, u64) {
    let id = |key: &str| line[key].as_u64().unwrap_or_else(|| line[key].as_str().unwrap().parse().unwrap());
    (id("first"), id("last"))
}
