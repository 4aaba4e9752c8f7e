//! Rows of a dataset as events again. What the columns hold: `crates/sink-parquet/src/rows.rs`.
//!
//! All fields come back, and decimals by value: how many zeros a venue printed behind the point is not stored.

use super::column::{Column, Decimals, Fill, Texts, digits, text};
use super::folder::Dataset;
use feedd_model::{
    Decimal, EventBody, Gap, GapReason, Quote, Side, Status, StatusCode, Trade, TradeId, UnixNanos, VenueSeq,
};
use parquet::data_type::{ByteArray, Int32Type, Int64Type};
use parquet::file::reader::RowGroupReader;

/// The columns of a row group.
pub(crate) struct Rows {
    /// Rows of the batch that were not handed out.
    left: usize,
    epoch: Column<Int32Type>,
    seq: Column<Int64Type>,
    venue_ts: Column<Int64Type>,
    recv_ts: Column<Int64Type>,
    symbol: Texts,
    flags: Column<Int32Type>,
    own: Own,
}

/// What every dataset has.
pub(crate) struct Common<'a> {
    pub(crate) epoch: u32,
    pub(crate) seq: u64,
    pub(crate) venue_ts: Option<UnixNanos>,
    pub(crate) recv_ts: Option<UnixNanos>,
    pub(crate) symbol: Option<&'a ByteArray>,
    pub(crate) flags: u8,
    pub(crate) body: EventBody,
}

#[allow(clippy::large_enum_variant, reason = "one for each open file")]
enum Own {
    Trades {
        price: Decimals,
        size: Decimals,
        side: Texts,
        id: Column<Int64Type>,
        id_text: Texts,
    },
    /// bid, bid_size, ask, ask_size.
    Quotes {
        values: [Decimals; 4],
        venue_seq: Column<Int64Type>,
    },
    /// first_missing, last_missing, from_ts, to_ts, events.
    Gaps {
        reason: Texts,
        numbers: [Column<Int64Type>; 5],
    },
    Status {
        code: Texts,
        detail: Column<Int64Type>,
    },
}

impl Rows {
    /// Opens the columns.
    ///
    /// # Errors
    /// A text: which column is missing or of another type.
    pub(crate) fn open(dataset: Dataset, group: &dyn RowGroupReader) -> Result<Self, String> {
        let own = match dataset {
            Dataset::Trades => Own::Trades {
                price: Column::open(group, "price")?,
                size: Column::open(group, "size")?,
                side: Column::open(group, "side")?,
                id: Column::open(group, "trade_id")?,
                id_text: Column::open(group, "trade_id_text")?,
            },
            Dataset::Quotes => Own::Quotes {
                values: [
                    Column::open(group, "bid")?,
                    Column::open(group, "bid_size")?,
                    Column::open(group, "ask")?,
                    Column::open(group, "ask_size")?,
                ],
                venue_seq: Column::open(group, "venue_seq")?,
            },
            Dataset::Gaps => Own::Gaps {
                reason: Column::open(group, "reason")?,
                numbers: [
                    Column::open(group, "first_missing")?,
                    Column::open(group, "last_missing")?,
                    Column::open(group, "from_ts")?,
                    Column::open(group, "to_ts")?,
                    Column::open(group, "events")?,
                ],
            },
            Dataset::Status => {
                Own::Status { code: Column::open(group, "code")?, detail: Column::open(group, "detail")? }
            }
        };
        Ok(Self {
            left: 0,
            epoch: Column::open(group, "epoch")?,
            seq: Column::open(group, "seq")?,
            venue_ts: Column::open(group, "venue_ts")?,
            recv_ts: Column::open(group, "recv_ts")?,
            symbol: Column::open(group, "symbol")?,
            flags: Column::open(group, "flags")?,
            own,
        })
    }

    /// Rows of the batch that were not handed out.
    pub(crate) const fn left(&self) -> usize {
        self.left
    }

    /// Reads the next batch of every column; tells its rows, 0 at the end.
    ///
    /// # Errors
    /// A text: what is wrong with the file.
    pub(crate) fn fill(&mut self) -> Result<usize, String> {
        let mut columns: Vec<&mut dyn Fill> = vec![
            &mut self.seq,
            &mut self.epoch,
            &mut self.venue_ts,
            &mut self.recv_ts,
            &mut self.symbol,
            &mut self.flags,
        ];
        match &mut self.own {
            Own::Trades { price, size, side, id, id_text } => {
                columns.extend([price as &mut dyn Fill, size, side, id, id_text]);
            }
            Own::Quotes { values, venue_seq } => {
                columns.extend(values.iter_mut().map(|value| value as &mut dyn Fill));
                columns.push(venue_seq);
            }
            Own::Gaps { reason, numbers } => {
                columns.push(reason);
                columns.extend(numbers.iter_mut().map(|number| number as &mut dyn Fill));
            }
            Own::Status { code, detail } => columns.extend([code as &mut dyn Fill, detail]),
        }
        let mut columns = columns.into_iter();
        self.left = columns.next().map_or(Ok(0), Fill::fill)?;
        for column in columns {
            if column.fill()? != self.left {
                return Err("its columns are not of one length".to_owned());
            }
        }
        Ok(self.left)
    }

    /// The next row of the batch.
    ///
    /// # Errors
    /// A text: what is no value of its column.
    pub(crate) fn next(&mut self) -> Result<Common<'_>, String> {
        self.left = self.left.saturating_sub(1);
        let time = |value: Option<&i64>| value.copied().map(UnixNanos);
        let body = self.own.next()?;
        let flags = self.flags.next().and_then(|flags| u8::try_from(*flags).ok());
        Ok(Common {
            epoch: self.epoch.next().ok_or_else(|| wrong("epoch"))?.cast_unsigned(),
            seq: self.seq.next().and_then(|seq| u64::try_from(*seq).ok()).ok_or_else(|| wrong("seq"))?,
            venue_ts: time(self.venue_ts.next()),
            recv_ts: time(self.recv_ts.next()),
            symbol: self.symbol.next(),
            flags: flags.ok_or_else(|| wrong("flags"))?,
            body,
        })
    }
}

impl Own {
    #[inline]
    fn next(&mut self) -> Result<EventBody, String> {
        Ok(match self {
            Self::Trades { price, size, side, id, id_text } => EventBody::Trade(Trade {
                price: decimal(price, "price")?.ok_or_else(|| wrong("price"))?,
                size: decimal(size, "size")?.ok_or_else(|| wrong("size"))?,
                side: side.next().map(side_of).transpose()?,
                id: match (id.next(), id_text.next()) {
                    (None, None) => TradeId::None,
                    (Some(id), None) => TradeId::Number(id.cast_unsigned().into()),
                    (_, Some(id)) => text(id).and_then(id_of).ok_or_else(|| wrong("trade_id_text"))?,
                },
            }),
            Self::Quotes { values: [bid, bid_size, ask, ask_size], venue_seq } => EventBody::Quote(Quote {
                bid: decimal(bid, "bid")?,
                bid_size: decimal(bid_size, "bid_size")?,
                ask: decimal(ask, "ask")?,
                ask_size: decimal(ask_size, "ask_size")?,
                venue_seq: venue_seq.next().copied().map(VenueSeq),
            }),
            Self::Gaps { reason, numbers } => {
                let [first, last, from_ts, to_ts, events] = numbers.each_mut().map(|number| number.next().copied());
                EventBody::Gap(Gap {
                    reason: named(reason, &GapReason::ALL, GapReason::name, "reason")?,
                    first_missing: first.map(VenueSeq),
                    last_missing: last.map(VenueSeq),
                    from_ts: from_ts.map(UnixNanos),
                    to_ts: to_ts.map(UnixNanos),
                    events: events.map(i64::cast_unsigned),
                })
            }
            Self::Status { code, detail } => EventBody::Status(Status {
                code: named(code, &StatusCode::ALL, StatusCode::name, "code")?,
                detail: detail.next().ok_or_else(|| wrong("detail"))?.cast_unsigned(),
            }),
        })
    }
}

fn wrong(column: &str) -> String {
    format!("a value of column {column} is not what feedd writes")
}

fn decimal(column: &mut Decimals, name: &str) -> Result<Option<Decimal>, String> {
    let Some(value) = column.next() else { return Ok(None) };
    digits(value).and_then(canonical).map(Some).ok_or_else(|| wrong(name))
}

/// The value of 10^-18 times `fixed`, without zeros at its end; `None` for what feedd has no number for.
fn canonical(fixed: i128) -> Option<Decimal> {
    // Venues print at most nine decimals, nearly always: one division of 128 bits.
    let (mut rest, mut scale) = match (fixed / NINE_DECIMALS, fixed % NINE_DECIMALS) {
        (high, 0) => (high, 9),
        _ => (fixed, 18),
    };
    while let Err(_too_large) = i64::try_from(rest) {
        if rest % 10 != 0 || scale == 0 {
            return None;
        }
        rest /= 10;
        scale -= 1;
    }
    Decimal::new(i64::try_from(rest).ok()?, scale).map(Decimal::canonical)
}

const NINE_DECIMALS: i128 = 1_000_000_000;

fn side_of(side: &ByteArray) -> Result<Side, String> {
    match side.data() {
        b"buy" => Ok(Side::Buy),
        b"sell" => Ok(Side::Sell),
        _ => Err(wrong("side")),
    }
}

/// A UUID, or a number beyond 64 bits.
fn id_of(id: &str) -> Option<TradeId> {
    if !id.contains('-') {
        let is_number = id.bytes().all(|byte| byte.is_ascii_digit());
        return id.parse().ok().filter(|_| is_number).map(TradeId::Number);
    }
    let hex: String = id.split('-').collect();
    let uuid = u128::from_str_radix(&hex, 16).ok().map(TradeId::Uuid);
    // Dashes in other places, or capitals, are not how ids are written.
    uuid.filter(|uuid| uuid.to_string() == id)
}

/// A value of a closed set by its name.
fn named<T: Copy>(column: &mut Texts, all: &[T], name: impl Fn(T) -> &'static str, what: &str) -> Result<T, String> {
    let value = column.next().ok_or_else(|| wrong(what))?;
    let found = all.iter().find(|one| name(**one).as_bytes() == value.data());
    found.copied().ok_or_else(|| {
        let value = String::from_utf8_lossy(value.data()).into_owned();
        format!("{what} {value:?} is not known to this version; use the one that wrote the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What the sink writes for a decimal comes back as the same value, without zeros at its end.
        #[test]
        fn decimals_come_back(mantissa in any::<i64>(), scale in 0u8..=18) {
            prop_assume!(mantissa != i64::MIN);
            let value = Decimal::new(mantissa, scale).unwrap();
            let found = canonical(value.mantissa_at(18).unwrap()).unwrap();
            let expected = value.canonical();
            prop_assert_eq!((found.mantissa(), found.scale()), (expected.mantissa(), expected.scale()));
        }

        /// Whatever stands in a file, there is a number or none.
        #[test]
        fn any_digits_are_a_decimal_or_none(fixed in any::<i128>()) {
            if let Some(value) = canonical(fixed) {
                prop_assert_eq!(value.mantissa_at(18), Some(fixed));
            }
        }

        /// Ids that the sink writes as texts.
        #[test]
        fn ids_come_back(id in any::<u128>()) {
            prop_assert_eq!(id_of(&TradeId::Number(id).to_string()), Some(TradeId::Number(id)));
            prop_assert_eq!(id_of(&TradeId::Uuid(id).to_string()), Some(TradeId::Uuid(id)));
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "x", "-", "1-2", "68624A99-e949-33cd-d7e9-63307cf15cfc", "+1", "1e3"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
