//! Structs for Coinbase's frames: of the Exchange feed, flat, and of Advanced Trade, with a list of events.

use super::frames::Kind;
use super::tally::Tally;
use super::typed::{Reader, number};
use feedd_model::{BookAction, Side};
use feedd_venues::time_text::rfc3339;
use serde::Deserialize;

/// Reads one frame and adds up what it says; `None` when it does not fit.
pub(super) fn read<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => R::read::<TradeFrame<'_>>(frame)?.add_to(tally),
        Kind::Quote => R::read::<QuoteFrame<'_>>(frame)?.add_to(tally),
        Kind::Depth => R::read::<DepthFrame<'_>>(frame)?.add_to(tally),
    }
}

#[derive(Deserialize)]
struct TradeFrame<'a> {
    product_id: Option<&'a str>,
    trade_id: Option<u64>,
    side: Option<&'a str>,
    size: Option<&'a str>,
    price: Option<&'a str>,
    time: Option<&'a str>,
    timestamp: Option<&'a str>,
    #[serde(borrow)]
    events: Option<Vec<TradeEvent<'a>>>,
}

#[derive(Deserialize)]
struct TradeEvent<'a> {
    #[serde(borrow)]
    trades: Vec<TradeText<'a>>,
}

#[derive(Deserialize)]
struct TradeText<'a> {
    product_id: &'a str,
    trade_id: &'a str,
    side: &'a str,
    size: &'a str,
    price: &'a str,
    time: &'a str,
}

impl TradeFrame<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        let Some(events) = &self.events else {
            tally.symbol(self.product_id?);
            tally.id(self.trade_id?);
            tally.side(if self.side? == "sell" { Side::Buy } else { Side::Sell });
            number(self.price?, tally)?;
            number(self.size?, tally)?;
            return time(self.time?, tally);
        };
        for trade in events.iter().flat_map(|event| &event.trades) {
            tally.symbol(trade.product_id);
            tally.id(trade.trade_id.parse().ok()?);
            tally.side(if trade.side == "SELL" { Side::Buy } else { Side::Sell });
            number(trade.price, tally)?;
            number(trade.size, tally)?;
            time(trade.time, tally)?;
            time(self.timestamp?, tally)?;
        }
        Some(())
    }
}

#[derive(Deserialize)]
struct QuoteFrame<'a> {
    product_id: Option<&'a str>,
    best_bid: Option<&'a str>,
    best_bid_size: Option<&'a str>,
    best_ask: Option<&'a str>,
    best_ask_size: Option<&'a str>,
    sequence: Option<u64>,
    time: Option<&'a str>,
    timestamp: Option<&'a str>,
    sequence_num: Option<u64>,
    #[serde(borrow)]
    events: Option<Vec<QuoteEvent<'a>>>,
}

#[derive(Deserialize)]
struct QuoteEvent<'a> {
    #[serde(borrow)]
    tickers: Vec<QuoteText<'a>>,
}

#[derive(Deserialize)]
struct QuoteText<'a> {
    product_id: &'a str,
    best_bid: &'a str,
    best_bid_quantity: &'a str,
    best_ask: &'a str,
    best_ask_quantity: &'a str,
}

impl QuoteFrame<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        let Some(events) = &self.events else {
            tally.symbol(self.product_id?);
            tally.id(self.sequence?);
            number(self.best_bid?, tally)?;
            number(self.best_ask?, tally)?;
            [self.best_bid_size, self.best_ask_size].into_iter().flatten().try_for_each(|size| number(size, tally))?;
            return time(self.time?, tally);
        };
        for quote in events.iter().flat_map(|event| &event.tickers) {
            tally.symbol(quote.product_id);
            tally.id(self.sequence_num?);
            for text in [quote.best_bid, quote.best_bid_quantity, quote.best_ask, quote.best_ask_quantity] {
                number(text, tally)?;
            }
            time(self.timestamp?, tally)?;
        }
        Some(())
    }
}

#[derive(Deserialize)]
struct DepthFrame<'a> {
    r#type: Option<&'a str>,
    product_id: Option<&'a str>,
    time: Option<&'a str>,
    #[serde(borrow)]
    changes: Option<Vec<(&'a str, &'a str, &'a str)>>,
    #[serde(borrow)]
    bids: Option<Vec<(&'a str, &'a str)>>,
    #[serde(borrow)]
    asks: Option<Vec<(&'a str, &'a str)>>,
    timestamp: Option<&'a str>,
    sequence_num: Option<u64>,
    #[serde(borrow)]
    events: Option<Vec<DepthEvent<'a>>>,
}

#[derive(Deserialize)]
struct DepthEvent<'a> {
    r#type: &'a str,
    product_id: &'a str,
    #[serde(borrow)]
    updates: Vec<UpdateText<'a>>,
}

#[derive(Deserialize)]
struct UpdateText<'a> {
    side: &'a str,
    price_level: &'a str,
    new_quantity: &'a str,
}

impl DepthFrame<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        let Some(events) = &self.events else {
            tally.symbol(self.product_id?);
            tally.action(action(self.r#type?)?);
            for (side, price, size) in self.changes.iter().flatten() {
                matches!(*side, "buy" | "sell").then_some(())?;
                number(price, tally)?;
                number(size, tally)?;
            }
            for (price, size) in self.bids.iter().chain(&self.asks).flatten() {
                number(price, tally)?;
                number(size, tally)?;
            }
            return self.time.map_or(Some(()), |text| time(text, tally));
        };
        for event in events {
            tally.symbol(event.product_id);
            tally.action(action(event.r#type)?);
            tally.id(self.sequence_num?);
            for update in &event.updates {
                matches!(update.side, "bid" | "offer").then_some(())?;
                number(update.price_level, tally)?;
                number(update.new_quantity, tally)?;
            }
            time(self.timestamp?, tally)?;
        }
        Some(())
    }
}

fn action(name: &str) -> Option<BookAction> {
    match name {
        "snapshot" => Some(BookAction::Snapshot),
        "update" | "l2update" => Some(BookAction::Delta),
        _ => None,
    }
}

#[inline]
fn time(text: &str, tally: &mut Tally) -> Option<()> {
    tally.time(rfc3339(text.as_bytes())?);
    Some(())
}
