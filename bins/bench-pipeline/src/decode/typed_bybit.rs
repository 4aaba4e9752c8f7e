//! Bybit's frames as structs: see [`super::typed`]. A ticker that says only a part of the best bid and ask does not fit:
//! what it does not say stood in an earlier one.

use super::frames::Kind;
use super::tally::Tally;
use super::typed::{Reader, number, time};
use feedd_model::{BookAction, Side};
use serde::Deserialize;

#[inline]
pub(super) fn read<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => {
            let frame = R::read::<Frame<'_, Vec<TradeText<'_>>>>(frame)?;
            frame.data.iter().try_for_each(|trade| trade.add_to(frame.ts, tally))
        }
        Kind::Quote => {
            let frame = R::read::<Frame<'_, QuoteText<'_>>>(frame)?;
            frame.cs.into_iter().for_each(|seq| tally.id(seq.cast_unsigned()));
            time(frame.ts, tally)?;
            frame.data.add_to(tally)
        }
        Kind::Depth => {
            let frame = R::read::<Frame<'_, DepthText<'_>>>(frame)?;
            tally.action(if frame.kind == "delta" { BookAction::Delta } else { BookAction::Snapshot });
            time(frame.ts, tally)?;
            time(frame.cts.unwrap_or(frame.ts), tally)?;
            frame.data.add_to(tally)
        }
    }
}

#[derive(Deserialize)]
struct Frame<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    ts: i64,
    cts: Option<i64>,
    cs: Option<i64>,
    data: T,
}

#[derive(Deserialize)]
struct TradeText<'a> {
    #[serde(rename = "T")]
    time: i64,
    s: &'a str,
    #[serde(rename = "S")]
    side: &'a str,
    v: &'a str,
    p: &'a str,
    /// A UUID, which nobody adds up, or on spot a number.
    i: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuoteText<'a> {
    symbol: &'a str,
    bid1_price: &'a str,
    bid1_size: &'a str,
    ask1_price: &'a str,
    ask1_size: &'a str,
}

#[derive(Deserialize)]
struct DepthText<'a> {
    s: &'a str,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
    u: i64,
    seq: Option<i64>,
}

impl TradeText<'_> {
    #[inline]
    fn add_to(&self, sent: i64, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.s);
        self.i.parse().into_iter().for_each(|id| tally.id(id));
        tally.side(if self.side == "Sell" { Side::Sell } else { Side::Buy });
        number(self.p, tally)?;
        number(self.v, tally)?;
        time(self.time, tally)?;
        time(sent, tally)
    }
}

impl QuoteText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.symbol);
        let texts = [self.bid1_price, self.bid1_size, self.ask1_price, self.ask1_size];
        texts.into_iter().filter(|text| !text.is_empty()).try_for_each(|text| number(text, tally))
    }
}

impl DepthText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.s);
        [Some(self.u), self.seq].into_iter().flatten().for_each(|seq| tally.id(seq.cast_unsigned()));
        for (price, size) in self.b.iter().chain(&self.a) {
            number(price, tally)?;
            number(size, tally)?;
        }
        Some(())
    }
}
