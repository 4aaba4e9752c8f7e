//! Counts and exact sums of one symbol.

use crate::message::{BookMsg, Message, TradeMsg};
use feedd_model::{BookAction, Decimal, Side, Sum, SumOverflow, UnixNanos};
use serde::{Serialize, Serializer};

/// One symbol in numbers; what did not occur is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SymbolSummary {
    /// Trades since the subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trade: Option<TradeSummary>,
    /// Trades from before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trade_replay: Option<TradeSummary>,
    /// Best bid and ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteSummary>,
    /// Whole books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_snapshot: Option<BookSummary>,
    /// Changes of books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_delta: Option<BookSummary>,
}

/// Number and span of events.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct QuoteSummary {
    /// Number of events.
    pub n: u64,
    /// Lowest venue time, ns since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ts: Option<i64>,
    /// Highest venue time, ns since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ts: Option<i64>,
}

/// Depth messages.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct BookSummary {
    /// Number and span.
    #[serde(flatten)]
    pub span: QuoteSummary,
    /// Levels in them.
    pub levels: u64,
    /// Levels with size 0.
    pub deletes: u64,
}

/// Trades.
#[derive(Clone, Debug, Serialize)]
pub struct TradeSummary {
    /// Number and span.
    #[serde(flatten)]
    pub span: QuoteSummary,
    /// Exact sum of sizes; `null` once it left 128 bits.
    #[serde(serialize_with = "sum_text")]
    pub sum_size: Result<Sum, SumOverflow>,
    /// Exact sum of price x size; `null` once it left 128 bits.
    #[serde(serialize_with = "sum_text")]
    pub sum_price_x_size: Result<Sum, SumOverflow>,
    /// Lowest price.
    #[serde(serialize_with = "canonical_text")]
    pub min_price: Decimal,
    /// Highest price.
    #[serde(serialize_with = "canonical_text")]
    pub max_price: Decimal,
    /// Trades whose taker bought.
    pub buys: u64,
}

impl SymbolSummary {
    pub(super) fn add(&mut self, message: &Message<'_>) {
        match message {
            Message::Trade(trade) => {
                let slot = if trade.replay { &mut self.trade_replay } else { &mut self.trade };
                slot.get_or_insert_with(|| TradeSummary::new(trade.price.value)).add(trade);
            }
            Message::Quote(quote) => self.quote.get_or_insert_default().add(quote.exchange_ts),
            Message::Book(book) => {
                let snapshot = book.action == BookAction::Snapshot;
                let slot = if snapshot { &mut self.book_snapshot } else { &mut self.book_delta };
                slot.get_or_insert_default().add(book);
            }
        }
    }
}

impl QuoteSummary {
    fn add(&mut self, time: Option<UnixNanos>) {
        self.n += 1;
        if let Some(UnixNanos(time)) = time {
            self.first_ts = Some(self.first_ts.map_or(time, |first| first.min(time)));
            self.last_ts = Some(self.last_ts.map_or(time, |last| last.max(time)));
        }
    }
}

impl BookSummary {
    fn add(&mut self, book: &BookMsg<'_>) {
        self.span.add(book.exchange_ts);
        for level in book.bids.iter().chain(book.asks) {
            self.levels += 1;
            self.deletes += u64::from(level.size.value.is_zero());
        }
    }
}

impl TradeSummary {
    fn new(price: Decimal) -> Self {
        Self {
            span: QuoteSummary::default(),
            sum_size: Ok(Sum::default()),
            sum_price_x_size: Ok(Sum::default()),
            min_price: price,
            max_price: price,
            buys: 0,
        }
    }

    fn add(&mut self, trade: &TradeMsg<'_>) {
        let (price, size) = (trade.price.value, trade.size.value);
        self.span.add(trade.exchange_ts);
        self.sum_size = self.sum_size.and_then(|mut sum| sum.add(size).map(|()| sum));
        self.sum_price_x_size = self.sum_price_x_size.and_then(|mut sum| sum.add_product(price, size).map(|()| sum));
        self.min_price = self.min_price.min(price);
        self.max_price = self.max_price.max(price);
        self.buys += u64::from(trade.side == Some(Side::Buy));
    }
}

fn sum_text<S: Serializer>(sum: &Result<Sum, SumOverflow>, serializer: S) -> Result<S::Ok, S::Error> {
    match sum {
        Ok(sum) => serializer.collect_str(sum),
        Err(SumOverflow) => serializer.serialize_none(),
    }
}

fn canonical_text<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.canonical())
}
