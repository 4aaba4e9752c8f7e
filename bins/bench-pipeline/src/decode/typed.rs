//! The usual way to read such frames: structs with serde's derive, texts borrowed from the frame, unknown fields passed
//! over, numbers by the same parser of decimals. They know beforehand what a frame holds; feedd's decoder finds out.

use super::frames::Kind;
use super::tally::Tally;
use feedd_model::{BookAction, Decimal, Side, UnixNanos};
use serde::Deserialize;

/// A library that fills such structs.
pub(super) trait Reader {
    /// `None` when the text does not fit.
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T>;
}

pub(super) struct SerdeJson;

impl Reader for SerdeJson {
    #[inline]
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T> {
        serde_json::from_str(frame).ok()
    }
}

pub(super) struct SonicRs;

impl Reader for SonicRs {
    #[inline]
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T> {
        sonic_rs::from_str(frame).ok()
    }
}

/// Venues whose frames the structs fit.
pub(super) fn fits(venue: &str) -> bool {
    venue.starts_with("binance") || venue == "sim"
}

/// Reads one frame and adds up what it says; `None` when it does not fit.
#[inline]
pub(super) fn read<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
    match kind {
        Kind::Trade => R::read::<Wrapper<TradeText<'_>>>(frame)?.data.add_to(tally),
        Kind::Quote => R::read::<Wrapper<QuoteText<'_>>>(frame)?.data.add_to(tally),
        Kind::Depth => R::read::<Wrapper<DepthText<'_>>>(frame)?.data.add_to(tally),
    }
}

#[derive(Deserialize)]
struct Wrapper<T> {
    data: T,
}

/// `trade` and `aggTrade`.
#[derive(Deserialize)]
struct TradeText<'a> {
    s: &'a str,
    t: Option<u64>,
    a: Option<u64>,
    p: &'a str,
    q: &'a str,
    m: bool,
    #[serde(rename = "T")]
    time: i64,
    #[serde(rename = "E")]
    event_time: i64,
}

#[derive(Deserialize)]
struct QuoteText<'a> {
    s: &'a str,
    u: u64,
    b: &'a str,
    #[serde(rename = "B")]
    bid_size: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_size: &'a str,
    #[serde(rename = "T")]
    time: Option<i64>,
    #[serde(rename = "E")]
    event_time: Option<i64>,
}

#[derive(Deserialize)]
struct DepthText<'a> {
    s: &'a str,
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    pu: Option<u64>,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
    #[serde(rename = "T")]
    time: Option<i64>,
    #[serde(rename = "E")]
    event_time: i64,
}

impl TradeText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.s);
        tally.id(self.t.or(self.a)?);
        tally.side(if self.m { Side::Sell } else { Side::Buy });
        number(self.p, tally)?;
        number(self.q, tally)?;
        time(self.time, tally)?;
        time(self.event_time, tally)
    }
}

impl QuoteText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.s);
        tally.id(self.u);
        for text in [self.b, self.bid_size, self.a, self.ask_size] {
            number(text, tally)?;
        }
        [self.time, self.event_time].into_iter().flatten().try_for_each(|millis| time(millis, tally))
    }
}

impl DepthText<'_> {
    #[inline]
    fn add_to(&self, tally: &mut Tally) -> Option<()> {
        tally.symbol(self.s);
        tally.action(BookAction::Delta);
        [Some(self.first), Some(self.u), self.pu].into_iter().flatten().for_each(|id| tally.id(id));
        for (price, size) in self.b.iter().chain(&self.a) {
            number(price, tally)?;
            number(size, tally)?;
        }
        time(self.time.unwrap_or(self.event_time), tally)?;
        time(self.event_time, tally)
    }
}

#[inline]
fn number(text: &str, tally: &mut Tally) -> Option<()> {
    tally.number(Decimal::parse(text.as_bytes()).ok()?);
    Some(())
}

#[inline]
fn time(millis: i64, tally: &mut Tally) -> Option<()> {
    tally.time(UnixNanos::from_millis(millis)?);
    Some(())
}
