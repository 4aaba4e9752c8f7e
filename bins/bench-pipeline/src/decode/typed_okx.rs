//! OKX's frames as structs: see [`super::typed`].

use super::frames::Kind;
use super::tally::Tally;
use super::typed::{Reader, number, time};
use feedd_model::{BookAction, Side};
use serde::Deserialize;

#[inline]
pub(super) fn read<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => {
            R::read::<Frame<'_, TradeText<'_>>>(frame)?.data.iter().try_for_each(|trade| trade.add_to(tally))
        }
        Kind::Quote => {
            let frame = R::read::<Frame<'_, QuoteText<'_>>>(frame)?;
            frame.data.iter().try_for_each(|quote| quote.add_to(frame.arg.symbol, tally))
        }
        Kind::Depth => {
            let frame = R::read::<Frame<'_, DepthText<'_>>>(frame)?;
            let is_change = frame.action == Some("update");
            let action = if is_change { BookAction::Delta } else { BookAction::Snapshot };
            frame.data.iter().try_for_each(|depth| depth.add_to(frame.arg.symbol, action, tally))
        }
    }
}

#[derive(Deserialize)]
struct Frame<'a, T> {
    #[serde(borrow)]
    arg: Arg<'a>,
    #[serde(borrow)]
    action: Option<&'a str>,
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Arg<'a> {
    #[serde(rename = "instId")]
    symbol: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TradeText<'a> {
    inst_id: &'a str,
    trade_id: &'a str,
    px: &'a str,
    sz: &'a str,
    side: &'a str,
    ts: &'a str,
}

/// `tickers`, and `bbo-tbt` as a book of one level.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuoteText<'a> {
    bid_px: Option<&'a str>,
    bid_sz: Option<&'a str>,
    ask_px: Option<&'a str>,
    ask_sz: Option<&'a str>,
    #[serde(borrow)]
    bids: Option<Vec<Level<'a>>>,
    #[serde(borrow)]
    asks: Option<Vec<Level<'a>>>,
    ts: &'a str,
    seq_id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DepthText<'a> {
    #[serde(borrow)]
    bids: Vec<Level<'a>>,
    #[serde(borrow)]
    asks: Vec<Level<'a>>,
    ts: &'a str,
    seq_id: Option<i64>,
    prev_seq_id: Option<i64>,
}

/// Price, size, nothing, orders.
type Level<'a> = (&'a str, &'a str, &'a str, &'a str);

impl TradeText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.inst_id);
        tally.id(self.trade_id.parse().ok()?);
        tally.side(if self.side == "sell" { Side::Sell } else { Side::Buy });
        number(self.px, tally)?;
        number(self.sz, tally)?;
        time(self.ts.parse().ok()?, tally)
    }
}

impl QuoteText<'_> {
    #[inline]
    fn add_to(&self, symbol: &str, tally: &mut Tally) -> Option<()> {
        tally.symbol(symbol);
        let texts = [self.bid_px, self.bid_sz, self.ask_px, self.ask_sz];
        texts.into_iter().flatten().filter(|text| !text.is_empty()).try_for_each(|text| number(text, tally))?;
        for (price, size, ..) in [&self.bids, &self.asks].into_iter().flatten().filter_map(|side| side.first()) {
            number(price, tally)?;
            number(size, tally)?;
        }
        self.seq_id.into_iter().for_each(|seq| tally.id(seq.cast_unsigned()));
        time(self.ts.parse().ok()?, tally)
    }
}

impl DepthText<'_> {
    #[inline]
    fn add_to(&self, symbol: &str, action: BookAction, tally: &mut Tally) -> Option<()> {
        tally.symbol(symbol);
        tally.action(action);
        [self.seq_id, self.prev_seq_id].into_iter().flatten().for_each(|seq| tally.id(seq.cast_unsigned()));
        for (price, size, ..) in self.bids.iter().chain(&self.asks) {
            number(price, tally)?;
            number(size, tally)?;
        }
        time(self.ts.parse().ok()?, tally)
    }
}
