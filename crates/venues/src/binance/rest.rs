//! Binance's REST side: books, trades by id, aggregate trades. None says of which symbol it is.
//!
//! Source: binance-spot-api-docs `rest-api.md`, "Old trade lookup", "Recent trades list" and "Compressed/Aggregate trades
//! list", and the same pages of USD-M and COIN-M (read mid 2026).

use super::parse::taker_side;
use crate::answers::{Asked, Shape, Url};
use crate::fields::time;

/// `trades` and `historicalTrades`.
const SINGLE: Shape = Shape {
    list: &[],
    names: ["price", "qty", "id", "time", "isBuyerMaker", ""],
    places: None,
    time,
    side: |_, token| taker_side(token).map(Some),
};

/// `aggTrades`: elements have the names of the stream.
const AGGREGATE: Shape = Shape { names: ["p", "q", "a", "T", "m", ""], ..SINGLE };

/// What an address asks for. The symbol is in upper case, as the venue writes it elsewhere.
pub(super) fn asked(url: Url<'_>) -> Option<Asked> {
    let symbol = || Some(url.parameter("symbol")?.to_ascii_uppercase());
    match url.path.rsplit_once('/')?.1 {
        "depth" => symbol().map(Asked::Book),
        "trades" | "historicalTrades" => Some(Asked::Trades(symbol()?, &SINGLE)),
        "aggTrades" => Some(Asked::Trades(symbol()?, &AGGREGATE)),
        _ => None,
    }
}
