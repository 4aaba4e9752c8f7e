//! The table of venues: one row makes a venue known to the whole program.

use crate::binance::BinanceDecoder;
use crate::decoder::Decoder;

/// One venue and market.
#[derive(Clone, Copy, Debug)]
pub struct Venue {
    /// Name in the configuration, in stored data and as the folder of its captures.
    pub name: &'static str,
    /// Number in stored data: never changed, never given to another venue.
    pub id: u16,
    /// Makes a decoder for one source.
    pub decoder: fn() -> Box<dyn Decoder>,
}

/// Every venue.
pub const VENUES: [Venue; 5] = [
    Venue { name: "binance", id: 1, decoder: binance },
    Venue { name: "binance_usdm", id: 2, decoder: binance },
    Venue { name: "binance_coinm", id: 3, decoder: binance },
    Venue { name: "binance_us", id: 4, decoder: binance },
    // The simulated market writes Binance's text.
    Venue { name: "sim", id: 5, decoder: binance },
];

fn binance() -> Box<dyn Decoder> {
    Box::new(BinanceDecoder::default())
}

/// The row of a venue.
#[must_use]
pub fn venue(name: &str) -> Option<&'static Venue> {
    VENUES.iter().find(|venue| venue.name == name)
}

/// A new decoder for a venue; `None` for an unknown name.
#[must_use]
pub fn decoder_for(name: &str) -> Option<Box<dyn Decoder>> {
    venue(name).map(|venue| (venue.decoder)())
}

/// The names of all venues, for messages and suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    VENUES.iter().map(|venue| venue.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_given_once() {
        for (at, row) in VENUES.iter().enumerate() {
            assert!(VENUES[..at].iter().all(|other| other.name != row.name && other.id != row.id), "{}", row.name);
            assert!(decoder_for(row.name).is_some());
        }
        assert!(decoder_for("nowhere").is_none());
    }
}
