//! Market facts as lines of the log.

use crate::log::Line;
use crate::market::{Depth, Fact, Instrument, Level, Market, Side, Trade};
use crate::text::{Digits, decimal, push_decimal};
use crate::venues;

/// Appends the lines of `facts`. Trades that wait to be sent together are logged when they are sent.
pub(crate) fn push_facts(out: &mut String, t_ns: i64, market: &Market, names: &venues::Names, facts: &[Fact]) {
    for fact in facts {
        let instrument = &market.instruments()[fact.symbol()];
        let begin =
            |out: &mut String, what| Line::begin(std::mem::take(out), t_ns, what).text("symbol", &instrument.spec.name);
        match fact {
            Fact::Trades(trades) => {
                for trade in &trades.trades {
                    let line = begin(out, "trade");
                    *out = push_trade(line, instrument, names, trades.symbol, trade).end();
                }
            }
            Fact::Quote(quote) => {
                let (price, size) = (instrument.price_digits, instrument.size_digits);
                *out = begin(out, "quote")
                    .number("u", quote.update_id)
                    .text("bid", &decimal(quote.bid.price, price))
                    .text("bid_size", &decimal(quote.bid.size, size))
                    .text("ask", &decimal(quote.ask.price, price))
                    .text("ask_size", &decimal(quote.ask.size, size))
                    .signed("venue_ns", quote.venue_ns)
                    .end();
            }
            Fact::Depth(depth) => {
                let line = begin(out, "depth").text("feed", names.feed(depth.feed));
                *out = push_depth(line, instrument, depth).end();
            }
        }
    }
}

/// The book of an instrument as it is now.
pub(crate) fn push_book(out: &mut String, t_ns: i64, instrument: &Instrument) {
    let (price, size) = (instrument.price_digits, instrument.size_digits);
    let side = |side| instrument.book.top(side, usize::MAX);
    *out = Line::begin(std::mem::take(out), t_ns, "book")
        .text("symbol", &instrument.spec.name)
        .number("u", instrument.update_id)
        .with("bids", |out| push_levels(out, &side(Side::Buy), price, size))
        .with("asks", |out| push_levels(out, &side(Side::Sell), price, size))
        .end();
}

/// The book of a feed, as a client has it that took every message so far.
pub(crate) fn push_shown(out: &mut String, t_ns: i64, market: &Market, names: &venues::Names, depth: &Depth) {
    let instrument = &market.instruments()[depth.symbol];
    let (price, size) = (instrument.price_digits, instrument.size_digits);
    *out = Line::begin(std::mem::take(out), t_ns, "shown")
        .text("symbol", &instrument.spec.name)
        .text("feed", names.feed(depth.feed))
        .with("bids", |out| push_levels(out, &depth.bids, price, size))
        .with("asks", |out| push_levels(out, &depth.asks, price, size))
        .end();
}

fn push_trade(line: Line, instrument: &Instrument, names: &venues::Names, symbol: usize, trade: &Trade) -> Line {
    line.text("id", &names.trade_id(symbol, trade))
        .number("aggregate", trade.aggregate)
        .text("price", &decimal(trade.price, instrument.price_digits))
        .text("size", &decimal(trade.size, instrument.size_digits))
        .text("side", trade.taker.name())
        .number("seq", trade.seq)
        .signed("venue_ns", trade.venue_ns)
}

fn push_depth(line: Line, instrument: &Instrument, depth: &Depth) -> Line {
    let (price, size) = (instrument.price_digits, instrument.size_digits);
    let line = if depth.whole { line.yes("whole") } else { line };
    let line = line.number("first", depth.first).number("last", depth.last);
    let line = match depth.prev {
        Some(prev) => line.number("prev", prev),
        None => line,
    };
    line.number("message", depth.message)
        .number("seq", depth.seq)
        .number("checksum", u64::from(depth.checksum))
        .with("bids", |out| push_levels(out, &depth.bids, price, size))
        .with("asks", |out| push_levels(out, &depth.asks, price, size))
        .signed("venue_ns", depth.venue_ns)
}

/// Appends `[["price","size"],...]`.
fn push_levels(out: &mut String, levels: &[Level], price: Digits, size: Digits) {
    out.push('[');
    for (at, level) in levels.iter().enumerate() {
        out.push_str(if at == 0 { "[\"" } else { ",[\"" });
        push_decimal(out, level.price, price);
        out.push_str("\",\"");
        push_decimal(out, level.size, size);
        out.push_str("\"]");
    }
    out.push(']');
}
