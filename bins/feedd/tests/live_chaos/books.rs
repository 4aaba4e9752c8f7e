//! The last book of an instrument, built out of stored rows and nothing else.

use crate::common::stored::{self, Rows};
use arrow_array::Array;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt32Type};
use bigdecimal::{BigDecimal, Zero};
use serde_json::Value;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Levels of one side, by price.
type Side = BTreeMap<BigDecimal, BigDecimal>;
/// Bids and asks, best first.
pub(crate) type Sides = [Vec<(BigDecimal, BigDecimal)>; 2];

/// How depth messages of a venue make a book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The whole book comes by REST, and changes around it are joined by their numbers.
    pub(crate) joins: bool,
    /// Messages have numbers of their own: what is not above the last one is known.
    pub(crate) is_numbered: bool,
    /// Levels of a side that the reader keeps.
    pub(crate) levels_max: usize,
    /// Levels of a side that the venue lets check; what lies behind may be wrong without a sign.
    pub(crate) levels_sure: usize,
}

/// What a row means for a book.
enum Row {
    Head {
        at: i64,
        is_whole: bool,
        first: Option<i64>,
        last: Option<i64>,
        previous: Option<i64>,
        levels: u32,
    },
    Level {
        is_bid: bool,
        price: BigDecimal,
        size: BigDecimal,
    },
    /// From when on something is missing.
    Gap {
        from: Option<i64>,
    },
}

struct Message {
    is_whole: bool,
    first: Option<i64>,
    last: Option<i64>,
    previous: Option<i64>,
    levels: Vec<(bool, BigDecimal, BigDecimal)>,
}

/// The book of an instrument after its last row; `None` when the rows say that something is missing since it was whole.
pub(crate) fn last_book(rows: &[Rows], venue: &str, symbol: &str, rule: Rule) -> Option<Sides> {
    let (mut sides, mut last): (Option<[Side; 2]>, Option<i64>) = (None, None);
    let mut waiting: Vec<Message> = Vec::new();
    let mut open: Option<(Message, u32)> = None;
    let mut heard_at = None;
    for row in rows_of(rows, venue, symbol).into_values() {
        match row {
            // What depth messages were received in is of another connection, which brings the trades. Where whole books come
            // by REST, they come also while the only connection is away.
            Row::Gap { from } if !rule.joins && from.is_some() && heard_at > from => continue,
            Row::Gap { .. } => {
                sides = None;
                waiting.clear();
                continue;
            }
            Row::Head { at, is_whole, first, last, previous, levels } => {
                heard_at = Some(at);
                assert!(open.is_none(), "{venue} {symbol}: a message lacks levels");
                open = Some((Message { is_whole, first, last, previous, levels: Vec::new() }, levels));
            }
            Row::Level { is_bid, price, size } => {
                open.as_mut().expect("a message before its levels").0.levels.push((is_bid, price, size));
            }
        }
        let Some((message, _)) = open.take_if(|(message, levels)| message.levels.len() == *levels as usize) else {
            continue;
        };
        match (message.is_whole, sides.is_some()) {
            (true, true) if rule.joins => {}
            (true, _) if rule.joins => {
                let whole = message.last.expect("a whole book has a number");
                let mut later =
                    std::mem::take(&mut waiting).into_iter().filter(|change| change.last > Some(whole)).peekable();
                if later.peek().is_some_and(|first| first.first > Some(whole + 1)) {
                    waiting.extend(later);
                    continue;
                }
                apply(sides.insert(Default::default()), &message, rule);
                last = Some(whole);
                for change in later {
                    last = change.last;
                    apply(sides.as_mut().unwrap(), &change, rule);
                }
            }
            (true, _) => {
                apply(sides.insert(Default::default()), &message, rule);
                last = message.last;
            }
            (false, false) if rule.joins => waiting.push(message),
            (false, false) => {}
            (false, true) => {
                let follows = message.previous.is_some() && message.previous == last;
                if !rule.is_numbered || follows || message.last > last {
                    last = message.last;
                    apply(sides.as_mut().unwrap(), &message, rule);
                }
            }
        }
    }
    let [bids, asks] = sides?;
    let sure = rule.levels_sure;
    Some([bids.into_iter().rev().take(sure).collect(), asks.into_iter().take(sure).collect()])
}

fn apply(sides: &mut [Side; 2], message: &Message, rule: Rule) {
    for (is_bid, price, size) in &message.levels {
        let side = &mut sides[usize::from(!is_bid)];
        if size.is_zero() {
            side.remove(price);
        } else {
            side.insert(price.clone(), size.clone());
        }
    }
    while sides[0].len() > rule.levels_max {
        sides[0].pop_first();
    }
    while sides[1].len() > rule.levels_max {
        sides[1].pop_last();
    }
}

/// Everything that is stored about the book of an instrument, in its order.
fn rows_of(rows: &[Rows], venue: &str, symbol: &str) -> BTreeMap<(u32, u64), Row> {
    let mut all = BTreeMap::new();
    let of = |dataset| stored::of(rows, dataset).filter(move |rows| rows.venue == venue);
    for rows in of("books") {
        let [first, last, previous] = ["seq_first", "seq_last", "seq_prev"].map(|name| rows.numbers::<Int64Type>(name));
        let [bids, asks] = ["bids", "asks"].map(|name| rows.numbers::<UInt32Type>(name));
        let at = rows.numbers::<TimestampNanosecondType>("recv_ts");
        let number = |column: &arrow_array::Int64Array, row| (!column.is_null(row)).then(|| column.value(row));
        for (row, place) in rows.places().enumerate().filter(|(row, _)| rows.texts("symbol").value(*row) == symbol) {
            let head = Row::Head {
                at: at.value(row),
                is_whole: rows.texts("action").value(row) == "snapshot",
                first: number(first, row),
                last: number(last, row),
                previous: number(previous, row),
                levels: bids.value(row) + asks.value(row),
            };
            all.insert(place, head);
        }
    }
    for rows in of("levels") {
        let values = rows.decimals("price").zip(rows.decimals("size"));
        for ((row, place), (price, size)) in rows.places().enumerate().zip(values) {
            if rows.texts("symbol").value(row) == symbol {
                let side = rows.texts("side").value(row);
                all.insert(place, Row::Level { is_bid: side == "bid" || side == "buy", price, size });
            }
        }
    }
    for rows in of("gaps") {
        let (symbols, reasons) = (rows.texts("symbol"), rows.texts("reason"));
        let from = rows.numbers::<TimestampNanosecondType>("from_ts");
        for (row, place) in rows.places().enumerate() {
            // A hole in the trades of an instrument says nothing about its book; one of a connection does.
            let is_of_book =
                symbols.is_null(row) || symbols.value(row) == symbol && reasons.value(row) != "venue_sequence";
            if is_of_book {
                all.insert(place, Row::Gap { from: (!from.is_null(row)).then(|| from.value(row)) });
            }
        }
    }
    all
}

/// A book as the exchange says it.
pub(crate) fn said(line: &Value, rule: Rule) -> Sides {
    ["bids", "asks"].map(|side| {
        let number = |text: &Value| BigDecimal::from_str(text.as_str().unwrap()).unwrap().normalized();
        let levels = line[side].as_array().unwrap().iter().take(rule.levels_sure);
        levels.map(|level| (number(&level[0]), number(&level[1]))).collect()
    })
}
