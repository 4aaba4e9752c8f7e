//! A source that knows what it sent: every trade follows from the seed and its number, so that what is stored can be
//! compared with what must have been sent, and not with what else is stored.
//!
//! Trade `n` (from 1, never twice in a run) is a Binance spot trade of one of the symbols. Its price stays within 4 % of the
//! symbol's own, far from what is judged as a jump. All texts are exact decimals; no float is involved.

mod feed;
mod sent;

pub use feed::{Feed, FeedEnd};
pub use sent::{Sent, SentLog, SentLogError};

/// Venue time of trade 0: 2025-01-01 00:00:00 UTC, in milliseconds. Trade `n` happened `n` milliseconds later.
const VENUE_MS_BASE: i64 = 1_735_689_600_000;
/// Decimals of prices and sizes, as Binance prints them.
const SCALE: u32 = 8;
const ONE: u64 = 10u64.pow(SCALE);

/// Which side took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The buyer.
    Buy,
    /// The seller.
    Sell,
}

impl Side {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// One trade, as it must be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The venue's name of the instrument.
    pub symbol: String,
    /// The number of the trade.
    pub trade_id: u64,
    /// Exact decimal, with the zeros that the venue sends.
    pub price: String,
    /// Exact decimal, with the zeros that the venue sends.
    pub size: String,
    /// Who took.
    pub side: Side,
    /// Milliseconds since 1970 UTC by the venue's clock.
    pub venue_ms: i64,
}

/// What is sent, for every number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    seed: u64,
    symbols: Vec<String>,
}

impl Oracle {
    /// Another seed means other trades under the same numbers: a row of an older run is told from one of this.
    ///
    /// # Panics
    /// Without a symbol, or when one is not of capital letters and digits.
    #[must_use]
    pub fn new<S: AsRef<str>>(seed: u64, symbols: &[S]) -> Self {
        let symbols: Vec<String> = symbols.iter().map(|symbol| symbol.as_ref().to_owned()).collect();
        let plain = |symbol: &String| {
            !symbol.is_empty() && symbol.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        assert!(!symbols.is_empty() && symbols.iter().all(plain), "symbols such as BTCUSDT: {symbols:?}");
        Self { seed, symbols }
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The symbols.
    #[must_use]
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// Trade `n`.
    #[must_use]
    pub fn expect(&self, n: u64) -> Expected {
        let [choice, price, size, side] = [1, 2, 3, 4].map(|what| self.hash(n, what));
        let count = self.symbols.len() as u64;
        let index = usize::try_from(choice % count).expect("below the number of symbols");
        // From 0.01 to 100,000 by symbol, and 4 % of that up or down by trade.
        let middle = (ONE / 100) * 10u64.pow(u32::try_from(self.hash(0, 8 + index as u64) % 8).expect("below 8"));
        let spread = middle / 25;
        Expected {
            symbol: self.symbols[index].clone(),
            trade_id: n,
            price: decimal(middle - spread + price % (2 * spread + 1)),
            size: decimal(1 + size % (100 * ONE)),
            side: if side % 2 == 0 { Side::Buy } else { Side::Sell },
            venue_ms: VENUE_MS_BASE.saturating_add(i64::try_from(n).unwrap_or(i64::MAX)),
        }
    }

    /// Trade `n` as Binance sends it on a combined stream.
    #[must_use]
    pub fn frame(&self, n: u64) -> String {
        let Expected { symbol, trade_id, price, size, side, venue_ms } = self.expect(n);
        let stream = symbol.to_ascii_lowercase();
        let buyer_is_maker = side == Side::Sell;
        format!(
            "{{\"stream\":\"{stream}@trade\",\"data\":{{\"e\":\"trade\",\"E\":{venue_ms},\"s\":\"{symbol}\",\
             \"t\":{trade_id},\"p\":\"{price}\",\"q\":\"{size}\",\"T\":{venue_ms},\"m\":{buyer_is_maker},\"M\":true}}}}"
        )
    }

    /// Trade `n` as a line of a capture, received at `recv_ns`; with its line feed.
    #[must_use]
    pub fn capture_line(&self, n: u64, recv_ns: i64) -> String {
        // The frame holds quotation marks and nothing else that must be escaped.
        let frame = self.frame(n).replace('"', "\\\"");
        format!("{{\"recv_ns\": {recv_ns}, \"conn\": \"oracle\", \"dir\": \"in\", \"frame\": \"{frame}\"}}\n")
    }

    /// Bits that follow from the seed, the number and what they are for.
    fn hash(&self, n: u64, what: u64) -> u64 {
        mix(mix(mix(self.seed).wrapping_add(n)).wrapping_add(what))
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
const fn mix(input: u64) -> u64 {
    let z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn decimal(units: u64) -> String {
    format!("{}.{:08}", units / ONE, units % ONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"];

    #[test]
    fn a_frame_says_what_is_expected() {
        let oracle = Oracle::new(7, &SYMBOLS);
        for n in 1..2_000 {
            let expected = oracle.expect(n);
            let line: Value = serde_json::from_str(&oracle.capture_line(n, 42)).unwrap();
            assert_eq!((&line["recv_ns"], &line["dir"], &line["conn"]), (&42.into(), &"in".into(), &"oracle".into()));
            let frame: Value = serde_json::from_str(line["frame"].as_str().unwrap()).unwrap();
            let data = &frame["data"];
            assert_eq!(data["s"], expected.symbol);
            assert_eq!(data["t"], n);
            assert_eq!(data["p"], expected.price);
            assert_eq!(data["q"], expected.size);
            assert_eq!(data["T"], expected.venue_ms);
            assert_eq!(data["m"], expected.side == Side::Sell);
            assert_eq!(frame["stream"], format!("{}@trade", expected.symbol.to_lowercase()));
        }
    }

    #[test]
    fn trades_of_two_runs_differ_and_all_symbols_and_sides_occur() {
        let (one, other) = (Oracle::new(1, &SYMBOLS), Oracle::new(2, &SYMBOLS));
        let trades: Vec<Expected> = (1..1_000).map(|n| one.expect(n)).collect();
        assert_eq!(trades.iter().map(|t| t.symbol.as_str()).collect::<BTreeSet<_>>(), SYMBOLS.into());
        assert!(trades.iter().any(|t| t.side == Side::Buy) && trades.iter().any(|t| t.side == Side::Sell));
        let same = trades.iter().zip(1..).filter(|(trade, n)| other.expect(*n).price == trade.price).count();
        assert_eq!(same, 0);
        let sizes: BTreeSet<&str> = trades.iter().map(|t| t.size.as_str()).collect();
        assert_eq!(sizes.len(), trades.len(), "payloads are unique");
    }

    #[test]
    fn prices_of_a_symbol_stay_within_the_limit_of_a_jump() {
        for seed in 0..50 {
            let oracle = Oracle::new(seed, &["A"]);
            let prices: Vec<u64> = (1..500).map(|n| oracle.expect(n).price.replace('.', "").parse().unwrap()).collect();
            let (low, high) = (prices.iter().min().unwrap(), prices.iter().max().unwrap());
            assert!(*low > 0 && high - low < low / 10, "seed {seed}: {low} to {high}");
        }
    }
}
