//! Kraken's REST side: the latest trades of a pair, oldest first.
//!
//! Source: docs.kraken.com, "Get Recent Trades": `[price, volume, time, side, type, misc, trade id]` (read mid 2026). The
//! answer calls the pair by another name than the feed, so the request tells.

use super::values::side;
use crate::answers::{Asked, Shape, Url};
use crate::decoder::{Reject, RejectReason};
use crate::scan::Token;
use crate::time_text::unix_seconds;
use feedd_model::UnixNanos;

/// `/0/public/Trades`.
const TRADES: Shape = Shape {
    list: &["result", "*"],
    names: ["price", "volume", "trade_id", "time", "side", ""],
    // There is no sequence number.
    places: Some([0, 1, 6, 2, 3, usize::MAX]),
    time,
    side,
};

/// What an address asks for.
pub(super) fn asked(url: Url<'_>) -> Option<Asked> {
    let pair = url.path.ends_with("/public/Trades").then(|| url.parameter("pair"))?;
    Some(Asked::Trades(pair?, &TRADES))
}

fn time(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    if !token.is_present() {
        return Ok(None);
    }
    let time = token.is_scalar_text().then(|| unix_seconds(token.bytes(frame))).flatten();
    time.map(Some).ok_or(Reject::new(RejectReason::BadTime, field))
}
