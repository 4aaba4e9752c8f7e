//! The usual way to read such frames: structs with serde's derive, texts borrowed from the frame, unknown fields passed
//! over, numbers by the same parser of decimals. They know beforehand what a frame holds; feedd's decoder finds out.

use super::frames::Kind;
use super::tally::Tally;
use super::{typed_bybit, typed_coinbase, typed_kraken, typed_okx};
use feedd_model::{BookAction, Decimal, Side, UnixNanos};
use serde::Deserialize;
use serde_json::value::RawValue;
use sonic_rs::LazyValue;

/// A library that fills such structs.
pub(super) trait Reader {
    /// A number of JSON as its text: exact decimals cannot be had from a float.
    type Literal<'a>: Deserialize<'a> + Literal;

    /// `None` when the text does not fit.
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T>;
}

pub(super) trait Literal {
    fn text(&self) -> &str;
}

impl Literal for &RawValue {
    #[inline]
    fn text(&self) -> &str {
        self.get()
    }
}

impl Literal for LazyValue<'_> {
    #[inline]
    fn text(&self) -> &str {
        self.as_raw_str()
    }
}

pub(super) struct SerdeJson;

impl Reader for SerdeJson {
    type Literal<'a> = &'a RawValue;

    #[inline]
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T> {
        serde_json::from_str(frame).ok()
    }
}

pub(super) struct SonicRs;

impl Reader for SonicRs {
    type Literal<'a> = LazyValue<'a>;

    #[inline]
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Option<T> {
        sonic_rs::from_str(frame).ok()
    }
}

/// Reads one frame and adds up what it says; `None` when it does not fit.
pub(super) type Read = fn(Kind, &str, &mut Tally) -> Option<()>;

/// The structs of a venue; `None` when there are none.
pub(super) fn structs_of<R: Reader>(venue: &str) -> Option<Read> {
    match venue {
        "coinbase" => Some(typed_coinbase::read::<R>),
        "kraken" => Some(typed_kraken::read::<R>),
        "okx" => Some(typed_okx::read::<R>),
        "sim" => Some(read_binance::<R>),
        _ if venue.starts_with("bybit") => Some(typed_bybit::read::<R>),
        _ if venue.starts_with("binance") => Some(read_binance::<R>),
        _ => None,
    }
}

/// Venues whose frames the structs fit.
pub(super) fn fits(venue: &str) -> bool {
    structs_of::<SerdeJson>(venue).is_some()
}

fn read_binance<R: Reader>(kind: Kind, frame: &str, tally: &mut Tally) -> Option<()> {
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
pub(super) fn number(text: &str, tally: &mut Tally) -> Option<()> {
    tally.number(Decimal::parse(text.as_bytes()).ok()?);
    Some(())
}

#[inline]
pub(super) fn time(millis: i64, tally: &mut Tally) -> Option<()> {
    tally.time(UnixNanos::from_millis(millis)?);
    Some(())
}
