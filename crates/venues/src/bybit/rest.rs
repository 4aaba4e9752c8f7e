//! Bybit's REST side: the latest trades of a symbol, newest first.
//!
//! Source: bybit-exchange/docs, `docs/v5/market/recent-trade.mdx` (read mid 2026).

use super::parse::taker_side;
use crate::answers::{Asked, Shape, Url};
use crate::fields::time;

/// `/v5/market/recent-trade`.
const TRADES: Shape = Shape {
    list: &["result", "list"],
    names: ["price", "size", "execId", "time", "side", "seq"],
    places: None,
    time,
    side: taker_side,
};

/// What an address asks for.
pub(super) fn asked(url: Url<'_>) -> Option<Asked> {
    let symbol = url.path.ends_with("/market/recent-trade").then(|| url.parameter("symbol"))?;
    Some(Asked::Trades(symbol?, &TRADES))
}
