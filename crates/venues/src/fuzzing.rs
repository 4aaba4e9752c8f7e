//! What the fuzz targets run, and an ordinary test replays over the committed corpus: outside bytes never panic, and what
//! is accepted keeps its promises.

use crate::binance::BinanceDecoder;
use crate::capture::CaptureReader;
use crate::decoder::{Decoder, Outcome};
use crate::message::{Message, Num};
use crate::table;
use feedd_model::Decimal;
use std::path::Path;

/// Decodes one of Binance's frames, with and without a REST request before it.
///
/// # Panics
/// As [`decode_frame_of`].
pub fn decode_frame(bytes: &[u8]) {
    let mut decoder = BinanceDecoder::default();
    decode(&mut decoder, bytes);
    decoder.request("rest", "GET https://host/api/v3/depth?symbol=BTCUSDT");
    decode(&mut decoder, bytes);
}

/// Requests for trades, one a venue; the others take no notice.
const TRADES_REQUESTS: [&str; 6] = [
    "GET https://host/api/v3/historicalTrades?symbol=BTCUSDT",
    "GET https://host/api/v3/aggTrades?symbol=BTCUSDT",
    "GET https://host/products/BTC-USD/trades",
    "GET https://host/0/public/Trades?pair=BTC%2FUSD",
    "GET https://host/api/v5/market/history-trades?instId=BTC-USDT",
    "GET https://host/v5/market/recent-trade?symbol=BTCUSDT",
];

/// Decodes one frame of a venue, twice: what the first time left in the decoder must do no harm. Then as the answer to a
/// request for trades.
///
/// # Panics
/// When a promise is broken: a number's text that does not read back as its value, or an outcome that does not tell what
/// was handed out. When there is no such venue.
pub fn decode_frame_of(venue: &str, bytes: &[u8]) {
    let mut decoder = table::decoder_for(venue).expect("fuzz targets name venues of the table");
    decode(&mut *decoder, bytes);
    decode(&mut *decoder, bytes);
    for request in TRADES_REQUESTS {
        decoder.request("rest", request);
        decode(&mut *decoder, bytes);
    }
}

fn decode(decoder: &mut dyn Decoder, bytes: &[u8]) {
    let mut handed_out = 0;
    let outcome = decoder.decode_bytes("rest", bytes, &mut |frame: &str, message: &Message<'_>| {
        handed_out += 1;
        assert!(!message.symbol().is_empty(), "a message has a symbol");
        for_each_number(message, &mut |num| {
            assert_eq!(Decimal::parse(num.text(frame).as_bytes()), Ok(num.value), "a number's text is its value");
        });
    });
    let told = if let Outcome::Messages(count) = outcome { count } else { 0 };
    assert_eq!(told, handed_out, "the outcome tells what was handed out");
}

/// Reads a plain capture and decodes its frames.
///
/// # Panics
/// When the reader does not come to an end, or as [`decode_frame`].
pub fn capture_reader(bytes: &[u8]) {
    let mut reader = CaptureReader::from_bytes(Path::new("fuzz.jsonl"), bytes.to_vec());
    let mut calls = 0;
    loop {
        calls += 1;
        assert!(calls <= bytes.len() + 2, "every call takes a line or ends");
        match reader.next_line() {
            Ok(Some(line)) => decode_frame(line.frame.as_bytes()),
            Ok(None) => break,
            Err(error) => assert!(error.is_line(), "memory can be read to its end: {error}"),
        }
    }
}

fn for_each_number(message: &Message<'_>, visit: &mut dyn FnMut(Num)) {
    match message {
        Message::Trade(trade) => [trade.price, trade.size].into_iter().for_each(visit),
        Message::Quote(quote) => {
            [quote.bid, quote.bid_size, quote.ask, quote.ask_size].into_iter().flatten().for_each(visit);
        }
        Message::Book(book) => {
            book.bids.iter().chain(book.asks).flat_map(|level| [level.price, level.size]).for_each(visit);
        }
    }
}
