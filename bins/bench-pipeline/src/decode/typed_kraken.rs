//! Structs for Kraken's frames: lists of the first protocol, objects of the second.

use super::frames::Kind;
use super::tally::Tally;
use super::typed::{Literal, Reader, number};
use feedd_model::{BookAction, Side, UnixNanos};
use feedd_venues::time_text::{rfc3339, unix_seconds};
use serde::Deserialize;

/// Reads one frame and adds up what it says; `None` when it does not fit.
pub(super) fn read<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    // Who reads a connection knows which protocol it speaks.
    if frame.starts_with('[') { read_first::<R>(kind, frame, tally) } else { read_second::<R>(kind, frame, tally) }
}

/// Price, volume, time.
type Row<'a> = (&'a str, &'a str, &'a str);
/// Price, volume, time, side, order type, remark.
type TradeRow<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

fn read_first<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => {
            let (_, trades, _, pair) = R::read::<(u64, Vec<TradeRow<'_>>, &str, &str)>(frame)?;
            for (price, size, time, side, _, _) in trades {
                tally.symbol(pair);
                number(price, tally)?;
                number(size, tally)?;
                tally.side(if side == "b" { Side::Buy } else { Side::Sell });
                tally.time(unix_seconds(time.as_bytes())?);
            }
            Some(())
        }
        Kind::Quote => {
            let (_, ticker, _, pair) = R::read::<(u64, TickerText<'_>, &str, &str)>(frame)?;
            tally.symbol(pair);
            for (price, _, size) in [ticker.a, ticker.b] {
                number(price, tally)?;
                number(size, tally)?;
            }
            Some(())
        }
        Kind::Depth => match R::read::<(u64, BookText<'_>, &str, &str)>(frame) {
            Some((_, book, _, pair)) => add_books(&[book], pair, tally),
            None => {
                let (_, asks, bids, _, pair) = R::read::<(u64, BookText<'_>, BookText<'_>, &str, &str)>(frame)?;
                add_books(&[asks, bids], pair, tally)
            }
        },
    }
}

#[derive(Deserialize)]
struct TickerText<'a> {
    #[serde(borrow)]
    a: (&'a str, u64, &'a str),
    #[serde(borrow)]
    b: (&'a str, u64, &'a str),
}

#[derive(Deserialize)]
struct BookText<'a> {
    #[serde(borrow, rename = "as")]
    all_asks: Option<Vec<Row<'a>>>,
    #[serde(borrow, rename = "bs")]
    all_bids: Option<Vec<Row<'a>>>,
    #[serde(borrow, rename = "a")]
    asks: Option<Vec<Row<'a>>>,
    #[serde(borrow, rename = "b")]
    bids: Option<Vec<Row<'a>>>,
}

#[inline]
fn add_books(books: &[BookText<'_>], pair: &str, tally: &mut Tally) -> Option<()> {
    let is_snapshot = books.iter().any(|book| book.all_asks.is_some() || book.all_bids.is_some());
    tally.symbol(pair);
    tally.action(if is_snapshot { BookAction::Snapshot } else { BookAction::Delta });
    let mut newest: Option<UnixNanos> = None;
    for book in books {
        let sides = [&book.all_asks, &book.all_bids, &book.asks, &book.bids];
        for (price, size, time) in sides.into_iter().flatten().flatten() {
            number(price, tally)?;
            number(size, tally)?;
            newest = newest.max(Some(unix_seconds(time.as_bytes())?));
        }
    }
    newest.into_iter().for_each(|time| tally.time(time));
    Some(())
}

#[derive(Deserialize)]
struct Frame<'a, T> {
    r#type: &'a str,
    data: Vec<T>,
}

#[derive(Deserialize)]
struct TradeElement<'a, N> {
    symbol: &'a str,
    side: &'a str,
    price: N,
    qty: N,
    trade_id: u64,
    timestamp: &'a str,
}

#[derive(Deserialize)]
struct TickerElement<'a, N> {
    symbol: &'a str,
    bid: N,
    bid_qty: N,
    ask: N,
    ask_qty: N,
    timestamp: Option<&'a str>,
}

#[derive(Deserialize)]
struct BookElement<'a, N> {
    symbol: &'a str,
    bids: Vec<LevelElement<N>>,
    asks: Vec<LevelElement<N>>,
    timestamp: Option<&'a str>,
}

#[derive(Deserialize)]
struct LevelElement<N> {
    price: N,
    qty: N,
}

fn read_second<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => {
            for trade in R::read::<Frame<'_, TradeElement<'_, R::Literal<'_>>>>(frame)?.data {
                tally.symbol(trade.symbol);
                tally.id(trade.trade_id);
                tally.side(if trade.side == "buy" { Side::Buy } else { Side::Sell });
                number(trade.price.text(), tally)?;
                number(trade.qty.text(), tally)?;
                time(trade.timestamp, tally)?;
            }
        }
        Kind::Quote => {
            for quote in R::read::<Frame<'_, TickerElement<'_, R::Literal<'_>>>>(frame)?.data {
                tally.symbol(quote.symbol);
                for literal in [quote.bid, quote.bid_qty, quote.ask, quote.ask_qty] {
                    number(literal.text(), tally)?;
                }
                quote.timestamp.map_or(Some(()), |text| time(text, tally))?;
            }
        }
        Kind::Depth => {
            let frame = R::read::<Frame<'_, BookElement<'_, R::Literal<'_>>>>(frame)?;
            for book in frame.data {
                tally.symbol(book.symbol);
                tally.action(if frame.r#type == "snapshot" { BookAction::Snapshot } else { BookAction::Delta });
                for level in book.bids.iter().chain(&book.asks) {
                    number(level.price.text(), tally)?;
                    number(level.qty.text(), tally)?;
                }
                book.timestamp.map_or(Some(()), |text| time(text, tally))?;
            }
        }
    }
    Some(())
}

#[inline]
fn time(text: &str, tally: &mut Tally) -> Option<()> {
    tally.time(rfc3339(text.as_bytes())?);
    Some(())
}
