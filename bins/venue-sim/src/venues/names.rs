//! What never changes about the instruments: names, digits, and the ids of trades as texts.

use crate::config::Config;
use crate::market::Trade;
use crate::text::{Digits, push_int};
use crate::venue::Venue;

/// Bybit's spot ids are numbers that begin so.
const BYBIT_SPOT_ID: u64 = 2_290_000_000_000_000_000;

/// An instrument, as frames need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// As the configuration and the log have it.
    pub(crate) name: String,
    /// As frames have it: without Bybit's `linear/`.
    pub(crate) printed: String,
    /// In small letters.
    pub(crate) small: String,
    pub(crate) price: Digits,
    pub(crate) size: Digits,
    /// Bybit's linear market, whose frames differ from spot's.
    pub(crate) linear: bool,
}

/// Names of a server's instruments and feeds.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    venue: Venue,
    seed: u64,
    pub(crate) symbols: Vec<Symbol>,
}

impl Names {
    pub(crate) fn new(config: &Config) -> Self {
        let venue = config.venue;
        let symbols = config.symbols.iter().map(|spec| {
            let linear = venue.linear(&spec.name);
            let digits = |scale| Digits { scale, printed: venue.printed(&spec.name, scale) };
            Symbol {
                name: spec.name.clone(),
                printed: linear.unwrap_or(&spec.name).to_owned(),
                small: spec.name.to_ascii_lowercase(),
                price: digits(spec.price_decimals),
                size: digits(spec.size_decimals),
                linear: linear.is_some(),
            }
        });
        Self { venue, seed: config.seed, symbols: symbols.collect() }
    }

    pub(crate) fn feed(&self, feed: usize) -> &'static str {
        self.venue.feeds()[feed].name
    }

    /// The instrument of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.symbols.iter().position(|symbol| symbol.name == name)
    }

    /// The id of a trade as the venue prints it: a number, or on Bybit's linear market a UUID.
    pub(crate) fn trade_id(&self, symbol: usize, trade: &Trade) -> String {
        let mut out = String::new();
        if self.symbols[symbol].linear {
            push_uuid(&mut out, self.seed, symbol, trade.id);
        } else if self.venue == Venue::Bybit {
            push_int(&mut out, BYBIT_SPOT_ID + trade.id);
        } else {
            push_int(&mut out, trade.id);
        }
        out
    }

    /// The id of an order, which nobody asks for again.
    pub(crate) fn order_id(&self, symbol: usize, number: u64) -> String {
        let mut out = String::new();
        push_uuid(&mut out, self.seed.rotate_left(17), symbol, number);
        out
    }
}

/// Appends a UUID (version 4 by its looks) that follows from the numbers, another one for each.
fn push_uuid(out: &mut String, seed: u64, symbol: usize, id: u64) {
    let key = fastrand::Rng::with_seed(seed ^ (symbol as u64).rotate_left(32)).u64(..);
    let mut rng = fastrand::Rng::with_seed(id ^ key);
    let hex = format!("{:016x}{:016x}", rng.u64(..), rng.u64(..));
    let variant = ["8", "9", "a", "b"][usize::from(hex.as_bytes()[16] % 4)];
    for part in [&hex[..8], "-", &hex[8..12], "-4", &hex[13..16], "-", variant, &hex[17..20], "-", &hex[20..32]] {
        out.push_str(part);
    }
}
