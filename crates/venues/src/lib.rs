//! From venue text to normalised messages: one decode path for live feeds, replays and tests.
//!
//! A [`decoder::Decoder`] turns a frame into borrowed [`message::Message`]s, or says in one countable word why it gives
//! none. Captures of such frames are read by [`capture`], listed by [`listing`]; [`table`] knows every venue. Left out on
//! purpose: sockets, instrument ids, storage. Start with [`decoder`] and `binance/`.
//!
//! ```
//! use feedd_venues::{decoder::Outcome, message::Message, table};
//!
//! let mut decoder = table::decoder_for("binance").unwrap();
//! let frame = r#"{"e":"trade","E":2,"s":"BTCUSDT","t":7,"p":"61837.63000000","q":"0.02","T":1,"m":true}"#;
//! let mut printed = String::new();
//! let outcome = decoder.decode("ws-1", frame, &mut |frame: &str, message: &Message<'_>| {
//!     if let Message::Trade(trade) = message {
//!         printed = format!("{} {} x {}", trade.symbol, trade.price.text(frame), trade.size.value);
//!     }
//! });
//! assert_eq!(outcome, Outcome::Messages(1));
//! assert_eq!(printed, "BTCUSDT 61837.63000000 x 0.02");
//! ```
#![forbid(unsafe_code)]

mod answers;
pub mod binance;
pub mod bitfinex;
pub mod bitmex;
pub mod bitstamp;
pub mod bybit;
pub mod capture;
pub mod check;
pub mod coinbase;
pub mod cursor;
pub mod decoder;
pub mod deribit;
mod fields;
pub mod fuzzing;
pub mod gemini;
pub mod hyperliquid;
pub mod intake;
pub mod known_trades;
pub mod kraken;
mod levels;
pub mod listing;
pub mod message;
mod names;
mod nested;
pub mod okx;
pub mod scan;
pub mod sim;
pub mod sources;
pub mod table;
pub mod time_text;
pub mod to_events;
mod trade_ids;
pub mod validate;

pub use feedd_core::pace;
