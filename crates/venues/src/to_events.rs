//! From a normalised message to 64-byte events: the rendering that is recorded.
//!
//! Hot path: copies values that were parsed once; nothing is allocated while the burst has room.

use crate::message::{BookMsg, LevelNum, Message, QuoteMsg, TradeMsg};
use feedd_core::Burst;
use feedd_model::{Book, Event, EventBody, EventHead, Flags, InstrumentId, Level, Quote, Side, Trade, UnixNanos};

/// Number of events of one message.
#[must_use]
pub fn count(message: &Message<'_>) -> u64 {
    match message {
        Message::Trade(_) | Message::Quote(_) => 1,
        Message::Book(book) => 1 + (book.bids.len() + book.asks.len()) as u64,
    }
}

/// Appends the events of one message: a trade, a quote, or a book header with its levels (bids, then asks).
pub fn append(
    message: &Message<'_>,
    instrument: InstrumentId,
    recv_ts: Option<UnixNanos>,
    flags: Flags,
    burst: &mut Burst,
) {
    let (venue_ts, replay) = match message {
        Message::Trade(trade) => (trade.exchange_ts, trade.replay),
        Message::Quote(quote) => (quote.exchange_ts, quote.replay),
        Message::Book(book) => (book.exchange_ts, book.replay),
    };
    let flags = if replay { flags.with(Flags::REPLAYED) } else { flags };
    let head = EventHead { instrument, venue_ts, recv_ts, flags };
    match message {
        Message::Trade(trade) => burst.push(Event::new(head, EventBody::Trade(trade_of(trade)))),
        Message::Quote(quote) => burst.push(Event::new(head, EventBody::Quote(quote_of(quote)))),
        Message::Book(book) => append_book(book, head, burst),
    }
    burst.end_message();
}

fn trade_of(trade: &TradeMsg<'_>) -> Trade {
    Trade { price: trade.price.value, size: trade.size.value, side: trade.side, id: trade.id }
}

fn quote_of(quote: &QuoteMsg<'_>) -> Quote {
    Quote {
        bid: quote.bid.map(|n| n.value),
        bid_size: quote.bid_size.map(|n| n.value),
        ask: quote.ask.map(|n| n.value),
        ask_size: quote.ask_size.map(|n| n.value),
        venue_seq: quote.seq,
    }
}

fn append_book(book: &BookMsg<'_>, head: EventHead, burst: &mut Burst) {
    let count = |levels: &[LevelNum]| u32::try_from(levels.len()).unwrap_or(u32::MAX);
    let header = Book {
        action: book.action,
        seq_first: book.seq_first,
        seq_last: book.seq_last,
        seq_prev: book.seq_prev,
        checksum: book.checksum,
        bids: count(book.bids),
        asks: count(book.asks),
    };
    burst.push(Event::new(head, EventBody::Book(header)));
    for (side, levels) in [(Side::Buy, book.bids), (Side::Sell, book.asks)] {
        for (index, level) in (0u32..).zip(levels) {
            let body = Level {
                action: book.action,
                side,
                price: level.price.value,
                size: level.size.value,
                venue_seq: book.seq_last,
                index,
            };
            burst.push(Event::new(head, EventBody::Level(body)));
        }
    }
}
