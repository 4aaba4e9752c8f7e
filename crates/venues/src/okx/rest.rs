//! OKX's REST side: trades of an instrument, newest first.
//!
//! Source: okx.com/docs-v5, "Get trades history" and "Get trades" (read mid 2026).

use super::parse::taker_side;
use crate::answers::{Asked, Shape, Url};
use crate::fields::time;

/// `/api/v5/market/history-trades` and `/api/v5/market/trades`.
const TRADES: Shape =
    Shape { list: &["data"], names: ["px", "sz", "tradeId", "ts", "side", ""], places: None, time, side: taker_side };

/// What an address asks for.
pub(super) fn asked(url: Url<'_>) -> Option<Asked> {
    let is_trades = url.path.ends_with("/market/history-trades") || url.path.ends_with("/market/trades");
    let symbol = is_trades.then(|| url.parameter("instId"))?;
    Some(Asked::Trades(symbol?, &TRADES))
}
