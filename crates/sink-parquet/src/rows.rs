//! Events to columns. Hot path: per event only appends to column buffers; texts are made for trade ids beyond 64 bits
//! alone.

use crate::dataset::{DECIMAL_PRECISION, DECIMAL_SCALE, Dataset};
use arrow_array::builder::{
    Decimal128Builder, Int8Builder, Int32Builder, Int64Builder, StringBuilder, TimestampNanosecondBuilder,
    UInt8Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use feedd_model::{
    Book, BookAction, Decimal, Epoch, Event, EventBody, Gap, GapReason, Level, Quote, Seq, Side, Status, StatusCode,
    Trade, TradeId, UnixNanos, VenueSeq,
};
use std::sync::Arc;

/// The value in units of 10^-18; `None` when it has digits below that.
pub(crate) fn to_fixed(value: Decimal) -> Option<i128> {
    match POW10.get(usize::from(value.scale())) {
        // One multiplication of 64 x 64 bits: below 9.3e36, so it always fits 38 digits.
        Some(&factor) => Some(i128::from(value.mantissa()) * i128::from(factor)),
        None => value.mantissa_at(SCALE),
    }
}

#[allow(clippy::cast_sign_loss, reason = "a positive constant")]
const SCALE: u8 = DECIMAL_SCALE as u8;

/// `10^(18 - scale)` by scale.
const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut scale = 18;
    while scale > 0 {
        table[scale - 1] = table[scale] * 10;
        scale -= 1;
    }
    table
};

/// Whether every decimal of the event has a place in the columns.
pub(crate) fn fits(event: &Event) -> bool {
    let fits = |value: Decimal| value.scale() <= SCALE || to_fixed(value).is_some();
    match event.body() {
        EventBody::Trade(t) => fits(t.price) && fits(t.size),
        EventBody::Quote(q) => [q.bid, q.bid_size, q.ask, q.ask_size].into_iter().flatten().all(fits),
        EventBody::Level(l) => fits(l.price) && fits(l.size),
        EventBody::Book(_) | EventBody::Gap(_) | EventBody::Status(_) => true,
    }
}

/// Column buffers of one dataset.
pub(crate) struct Rows {
    len: usize,
    epoch: UInt32Builder,
    seq: Int64Builder,
    venue_ts: TimestampNanosecondBuilder,
    recv_ts: TimestampNanosecondBuilder,
    symbol: Int32Builder,
    flags: UInt8Builder,
    own: Own,
}

/// The columns a dataset has for itself.
enum Own {
    Trades(Trades),
    Quotes(Quotes),
    Books(Books),
    Levels(Levels),
    Gaps(Gaps),
    Status(Int8Builder, UInt64Builder),
}

struct Trades {
    price: Decimal128Builder,
    size: Decimal128Builder,
    side: Int8Builder,
    trade_id: UInt64Builder,
    trade_id_text: StringBuilder,
}

struct Quotes {
    /// bid, bid_size, ask, ask_size.
    values: [Decimal128Builder; 4],
    venue_seq: Int64Builder,
}

#[derive(Default)]
struct Books {
    action: Int8Builder,
    /// seq_first, seq_last, seq_prev.
    seqs: [Int64Builder; 3],
    checksum: UInt32Builder,
    bids: UInt32Builder,
    asks: UInt32Builder,
}

struct Levels {
    action: Int8Builder,
    side: Int8Builder,
    price: Decimal128Builder,
    size: Decimal128Builder,
    venue_seq: Int64Builder,
    level: UInt32Builder,
}

struct Gaps {
    reason: Int8Builder,
    first_missing: Int64Builder,
    last_missing: Int64Builder,
    from_ts: TimestampNanosecondBuilder,
    to_ts: TimestampNanosecondBuilder,
    events: UInt64Builder,
}

fn decimals() -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE))
}

fn times() -> TimestampNanosecondBuilder {
    TimestampNanosecondBuilder::new().with_timezone("UTC")
}

impl Rows {
    pub(crate) fn new(dataset: Dataset) -> Self {
        let own = match dataset {
            Dataset::Trades => Own::Trades(Trades {
                price: decimals(),
                size: decimals(),
                side: Int8Builder::new(),
                trade_id: UInt64Builder::new(),
                trade_id_text: StringBuilder::new(),
            }),
            Dataset::Quotes => Own::Quotes(Quotes {
                values: [decimals(), decimals(), decimals(), decimals()],
                venue_seq: Int64Builder::new(),
            }),
            Dataset::Books => Own::Books(Books::default()),
            Dataset::Levels => Own::Levels(Levels {
                action: Int8Builder::new(),
                side: Int8Builder::new(),
                price: decimals(),
                size: decimals(),
                venue_seq: Int64Builder::new(),
                level: UInt32Builder::new(),
            }),
            Dataset::Gaps => Own::Gaps(Gaps {
                reason: Int8Builder::new(),
                first_missing: Int64Builder::new(),
                last_missing: Int64Builder::new(),
                from_ts: times(),
                to_ts: times(),
                events: UInt64Builder::new(),
            }),
            Dataset::Status => Own::Status(Int8Builder::new(), UInt64Builder::new()),
        };
        Self {
            len: 0,
            epoch: UInt32Builder::new(),
            seq: Int64Builder::new(),
            venue_ts: times(),
            recv_ts: times(),
            symbol: Int32Builder::new(),
            flags: UInt8Builder::new(),
            own,
        }
    }

    /// Rows waiting.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends one event of this dataset's kind that [`fits`]; `symbol` is its key in the venue's list of symbols.
    pub(crate) fn push(&mut self, epoch: Epoch, seq: Seq, symbol: Option<i32>, event: &Event) {
        self.len += 1;
        self.epoch.append_value(epoch.0);
        // The sink takes no sequence beyond i64.
        self.seq.append_value(seq.0.cast_signed());
        self.venue_ts.append_option(nanos(event.venue_ts()));
        self.recv_ts.append_option(nanos(event.recv_ts()));
        self.symbol.append_option(symbol);
        self.flags.append_value(event.flags().bits());
        match (&mut self.own, event.body()) {
            (Own::Trades(columns), EventBody::Trade(body)) => columns.push(&body),
            (Own::Quotes(columns), EventBody::Quote(body)) => columns.push(&body),
            (Own::Books(columns), EventBody::Book(body)) => columns.push(&body),
            (Own::Levels(columns), EventBody::Level(body)) => columns.push(&body),
            (Own::Gaps(columns), EventBody::Gap(body)) => columns.push(&body),
            (Own::Status(code, detail), EventBody::Status(Status { code: c, detail: d })) => {
                code.append_value(key(StatusCode::ALL.iter().position(|&x| x == c)));
                detail.append_value(d);
            }
            _ => debug_assert!(false, "a row goes to the dataset of its kind"),
        }
    }

    /// Takes the rows as a batch; `symbols` are the venue's.
    ///
    /// # Errors
    /// Never for columns of one length; the library checks.
    pub(crate) fn take(&mut self, schema: SchemaRef, symbols: &StringArray) -> Result<RecordBatch, ArrowError> {
        self.len = 0;
        let symbol = DictionaryArray::<Int32Type>::try_new(self.symbol.finish(), Arc::new(symbols.clone()))?;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.epoch.finish()),
            Arc::new(self.seq.finish()),
            Arc::new(self.venue_ts.finish()),
            Arc::new(self.recv_ts.finish()),
            Arc::new(symbol),
            Arc::new(self.flags.finish()),
        ];
        match &mut self.own {
            Own::Trades(rows) => rows.take(&mut columns)?,
            Own::Quotes(rows) => rows.take(&mut columns),
            Own::Books(rows) => rows.take(&mut columns)?,
            Own::Levels(rows) => rows.take(&mut columns)?,
            Own::Gaps(rows) => rows.take(&mut columns)?,
            Own::Status(code, detail) => {
                columns.push(labels(code, &StatusCode::ALL.map(StatusCode::name))?);
                columns.push(Arc::new(detail.finish()));
            }
        }
        RecordBatch::try_new(schema, columns)
    }
}

impl Trades {
    fn push(&mut self, trade: &Trade) {
        self.price.append_option(to_fixed(trade.price));
        self.size.append_option(to_fixed(trade.size));
        self.side.append_option(trade.side.map(side_key));
        let small = match trade.id {
            TradeId::Number(id) => u64::try_from(id).ok(),
            TradeId::None | TradeId::Uuid(_) => None,
        };
        self.trade_id.append_option(small);
        if small.is_some() || trade.id == TradeId::None {
            self.trade_id_text.append_null();
        } else {
            self.trade_id_text.append_value(trade.id.to_string());
        }
    }

    fn take(&mut self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        columns.push(Arc::new(self.price.finish()));
        columns.push(Arc::new(self.size.finish()));
        columns.push(labels(&mut self.side, &["buy", "sell"])?);
        columns.push(Arc::new(self.trade_id.finish()));
        columns.push(Arc::new(self.trade_id_text.finish()));
        Ok(())
    }
}

impl Quotes {
    fn push(&mut self, quote: &Quote) {
        let values = [quote.bid, quote.bid_size, quote.ask, quote.ask_size];
        for (column, value) in self.values.iter_mut().zip(values) {
            column.append_option(value.and_then(to_fixed));
        }
        self.venue_seq.append_option(number(quote.venue_seq));
    }

    fn take(&mut self, columns: &mut Vec<ArrayRef>) {
        for column in &mut self.values {
            columns.push(Arc::new(column.finish()));
        }
        columns.push(Arc::new(self.venue_seq.finish()));
    }
}

impl Books {
    fn push(&mut self, book: &Book) {
        self.action.append_value(action_key(book.action));
        for (column, seq) in self.seqs.iter_mut().zip([book.seq_first, book.seq_last, book.seq_prev]) {
            column.append_option(number(seq));
        }
        self.checksum.append_option(book.checksum);
        self.bids.append_value(book.bids);
        self.asks.append_value(book.asks);
    }

    fn take(&mut self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        columns.push(labels(&mut self.action, &ACTIONS)?);
        for column in &mut self.seqs {
            columns.push(Arc::new(column.finish()));
        }
        columns.push(Arc::new(self.checksum.finish()));
        columns.push(Arc::new(self.bids.finish()));
        columns.push(Arc::new(self.asks.finish()));
        Ok(())
    }
}

impl Levels {
    fn push(&mut self, level: &Level) {
        self.action.append_value(action_key(level.action));
        self.side.append_value(side_key(level.side));
        self.price.append_option(to_fixed(level.price));
        self.size.append_option(to_fixed(level.size));
        self.venue_seq.append_option(number(level.venue_seq));
        self.level.append_value(level.index);
    }

    fn take(&mut self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        columns.push(labels(&mut self.action, &ACTIONS)?);
        columns.push(labels(&mut self.side, &["bid", "ask"])?);
        columns.push(Arc::new(self.price.finish()));
        columns.push(Arc::new(self.size.finish()));
        columns.push(Arc::new(self.venue_seq.finish()));
        columns.push(Arc::new(self.level.finish()));
        Ok(())
    }
}

impl Gaps {
    fn push(&mut self, gap: &Gap) {
        self.reason.append_value(key(GapReason::ALL.iter().position(|&x| x == gap.reason)));
        self.first_missing.append_option(number(gap.first_missing));
        self.last_missing.append_option(number(gap.last_missing));
        self.from_ts.append_option(nanos(gap.from_ts));
        self.to_ts.append_option(nanos(gap.to_ts));
        self.events.append_option(gap.events);
    }

    fn take(&mut self, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        columns.push(labels(&mut self.reason, &GapReason::ALL.map(GapReason::name))?);
        columns.push(Arc::new(self.first_missing.finish()));
        columns.push(Arc::new(self.last_missing.finish()));
        columns.push(Arc::new(self.from_ts.finish()));
        columns.push(Arc::new(self.to_ts.finish()));
        columns.push(Arc::new(self.events.finish()));
        Ok(())
    }
}

/// Words of the `action` columns, by [`action_key`].
const ACTIONS: [&str; 2] = ["snapshot", "delta"];

fn action_key(action: BookAction) -> i8 {
    i8::from(action == BookAction::Delta)
}

/// 0 for buy and bid, 1 for sell and ask.
fn side_key(side: Side) -> i8 {
    i8::from(side == Side::Sell)
}

/// A place in a list of a few words.
fn key(position: Option<usize>) -> i8 {
    position.and_then(|at| i8::try_from(at).ok()).unwrap_or(0)
}

fn labels(keys: &mut Int8Builder, words: &[&str]) -> Result<ArrayRef, ArrowError> {
    let words = Arc::new(StringArray::from(words.to_vec()));
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(keys.finish(), words)?))
}

fn nanos(time: Option<UnixNanos>) -> Option<i64> {
    time.map(|t| t.0)
}

fn number(seq: Option<VenueSeq>) -> Option<i64> {
    seq.map(|s| s.0)
}
