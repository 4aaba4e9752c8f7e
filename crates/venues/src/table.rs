//! The table of venues: one row makes a venue known to the whole program.

use crate::binance::BinanceDecoder;
use crate::bitfinex::BitfinexDecoder;
use crate::bitmex::BitmexDecoder;
use crate::bitstamp::BitstampDecoder;
use crate::bybit::BybitDecoder;
use crate::coinbase::CoinbaseDecoder;
use crate::decoder::Decoder;
use crate::deribit::DeribitDecoder;
use crate::gemini::GeminiDecoder;
use crate::hyperliquid::HyperliquidDecoder;
use crate::kraken::KrakenDecoder;
use crate::okx::OkxDecoder;

/// One venue and market.
#[derive(Clone, Copy, Debug)]
pub struct Venue {
    /// Name in the configuration, in stored data and as the folder of its captures.
    pub name: &'static str,
    /// Number in stored data: never changed, never given to another venue.
    pub id: u16,
    /// Makes a decoder for one source.
    pub decoder: fn() -> Box<dyn Decoder>,
    /// Within what a symbol names one instrument.
    pub symbol_scope: SymbolScope,
    /// How the venue prints the bits of a checksum.
    pub checksum: ChecksumSign,
}

/// Within what a symbol names one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolScope {
    /// Within the venue.
    Venue,
    /// Within a connection: the venue has one for each of its markets and uses the same symbols in them. The instrument is
    /// then known as `connection/symbol`.
    Connection,
}

/// How a checksum of 32 bits is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumSign {
    /// As a number from 0.
    Unsigned,
    /// As a number whose top bit is a sign.
    Signed,
}

impl Venue {
    /// A row for a venue whose symbols are its own and whose checksums, if it has any, are unsigned.
    const fn new(name: &'static str, id: u16, decoder: fn() -> Box<dyn Decoder>) -> Self {
        Self { name, id, decoder, symbol_scope: SymbolScope::Venue, checksum: ChecksumSign::Unsigned }
    }

    /// Whether `name` stands for the instrument that this venue calls `symbol` on a connection.
    #[must_use]
    pub fn names(&self, conn: &str, symbol: &str, name: &str) -> bool {
        match self.symbol_scope {
            SymbolScope::Venue => name == symbol,
            SymbolScope::Connection => name.split_once('/') == Some((conn, symbol)),
        }
    }

    const fn with_scope(self, symbol_scope: SymbolScope) -> Self {
        Self { symbol_scope, ..self }
    }

    const fn with_checksum(self, checksum: ChecksumSign) -> Self {
        Self { checksum, ..self }
    }
}

/// Every venue.
pub const VENUES: [Venue; 17] = [
    Venue::new("binance", 1, binance),
    Venue::new("binance_usdm", 2, binance),
    Venue::new("binance_coinm", 3, binance),
    Venue::new("binance_us", 4, binance),
    // The simulated market writes Binance's text.
    Venue::new("sim", 5, binance),
    Venue::new("coinbase", 6, coinbase),
    Venue::new("kraken", 7, kraken),
    Venue::new("okx", 8, okx).with_checksum(ChecksumSign::Signed),
    // A capture may hold several of Bybit's markets, each on connections of its own.
    Venue::new("bybit", 9, bybit).with_scope(SymbolScope::Connection),
    Venue::new("bybit_spot", 10, bybit),
    Venue::new("bybit_linear", 11, bybit),
    Venue::new("bitfinex", 12, bitfinex),
    Venue::new("bitstamp", 13, bitstamp),
    Venue::new("bitmex", 14, bitmex),
    Venue::new("deribit", 15, deribit),
    Venue::new("gemini", 16, gemini),
    Venue::new("hyperliquid", 17, hyperliquid),
];

fn binance() -> Box<dyn Decoder> {
    Box::new(BinanceDecoder::default())
}

fn coinbase() -> Box<dyn Decoder> {
    Box::new(CoinbaseDecoder::default())
}

fn kraken() -> Box<dyn Decoder> {
    Box::new(KrakenDecoder::default())
}

fn okx() -> Box<dyn Decoder> {
    Box::new(OkxDecoder::default())
}

fn bybit() -> Box<dyn Decoder> {
    Box::new(BybitDecoder::default())
}

fn bitfinex() -> Box<dyn Decoder> {
    Box::new(BitfinexDecoder::default())
}

fn bitstamp() -> Box<dyn Decoder> {
    Box::new(BitstampDecoder::default())
}

fn bitmex() -> Box<dyn Decoder> {
    Box::new(BitmexDecoder::default())
}

fn deribit() -> Box<dyn Decoder> {
    Box::new(DeribitDecoder::default())
}

fn gemini() -> Box<dyn Decoder> {
    Box::new(GeminiDecoder::default())
}

fn hyperliquid() -> Box<dyn Decoder> {
    Box::new(HyperliquidDecoder::default())
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
