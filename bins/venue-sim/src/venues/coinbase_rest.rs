//! Coinbase's REST side: past trades by cursor, and the book.

use super::write::{decimal_text, levels, number, side, text, time};
use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::Side;

/// Most trades of an answer, and how many when no limit is named.
const TRADES_MAX: usize = 1000;

/// Answers; `None`: no such path.
pub(super) fn answer(hub: &Hub, request: &Request) -> Option<Answer> {
    let (product, what) = request.path.strip_prefix("/products/")?.split_once('/')?;
    let Some(symbol) = hub.names.find(product) else {
        return Some(Answer::error(404, "{\"message\":\"NotFound\"}"));
    };
    match what {
        "trades" => Some(trades(hub, request, symbol)),
        "book" => Some(book(hub, request, symbol)),
        _ => None,
    }
}

/// Newest first; `after`: only what is older than that id.
fn trades(hub: &Hub, request: &Request, symbol: usize) -> Answer {
    let number_of = |key| request.parameter(key).and_then(|text| text.parse::<u64>().ok());
    let limit = number_of("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TRADES_MAX);
    let market = hub.market();
    let history = &market.instruments()[symbol].history;
    let end = number_of("after").map_or(history.len(), |after| history.partition_point(|trade| trade.id < after));
    let start = number_of("before").map_or(0, |before| history.partition_point(|trade| trade.id <= before));
    let names = &hub.names.symbols[symbol];
    let mut out = String::from("[");
    let mut ids = None;
    for trade in history.range(start.min(end)..end).rev().take(limit.clamp(1, TRADES_MAX)) {
        out.push_str(if out.len() == 1 { "{" } else { ",{" });
        number(&mut out, "trade_id", trade.id);
        text(&mut out, "side", side(trade.taker.other(), "buy", "sell"));
        decimal_text(&mut out, "size", trade.size, names.size);
        decimal_text(&mut out, "price", trade.price, names.price);
        time(&mut out, "time", trade.venue_ns, 6);
        out.push('}');
        ids = Some((ids.map_or(trade.id, |(newest, _)| newest), trade.id));
    }
    out.push(']');
    let mut answer = Answer::json(out);
    if let Some((newest, oldest)) = ids {
        answer.headers = vec![("cb-before", newest.to_string()), ("cb-after", oldest.to_string())];
    }
    answer
}

/// `level=1` is the best, `level=2` everything there is.
fn book(hub: &Hub, request: &Request, symbol: usize) -> Answer {
    let count = if request.parameter("level").as_deref() == Some("2") { usize::MAX } else { 1 };
    let venue_ns = hub.log.now_ns() + hub.skew_ns();
    let market = hub.market();
    let instrument = &market.instruments()[symbol];
    let names = &hub.names.symbols[symbol];
    let mut out = String::from("{");
    for (key, side) in [("bids", Side::Buy), ("asks", Side::Sell)] {
        levels(&mut out, key, &instrument.book.top(side, count), [names.price, names.size], ",1");
    }
    number(&mut out, "sequence", instrument.seq);
    out.push_str(",\"auction_mode\":false,\"auction\":null");
    time(&mut out, "time", venue_ns, 6);
    out.push('}');
    Answer::json(out)
}
