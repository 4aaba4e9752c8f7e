//! Coinbase's REST side: trades of a product, newest first.
//!
//! Source: docs.cdp.coinbase.com/exchange, "Get product trades": `side` is the maker's, as in the feed (read mid 2026).

use super::values::{taker_side, time};
use crate::answers::{Asked, Shape, Url};

/// `/products/BTC-USD/trades`.
const TRADES: Shape =
    Shape { list: &[], names: ["price", "size", "trade_id", "time", "side", ""], places: None, time, side: taker_side };

/// What an address asks for.
pub(super) fn asked(url: Url<'_>) -> Option<Asked> {
    Some(Asked::Trades(url.between("/products/", "/trades")?, &TRADES))
}
