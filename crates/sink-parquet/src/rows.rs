//! Events to columns. Hot path: per event only appends to columns; texts are made for trade ids beyond 64 bits alone.

use crate::dataset::{DECIMAL_SCALE, Dataset};
use crate::encode::{Column, Delta, Dictionary, EncodeColumn, ShortText, Word, Words};
use feedd_model::{
    Book, BookAction, Decimal, Epoch, Event, EventBody, Gap, GapReason, Level, Quote, Seq, Side, Status, StatusCode,
    Trade, TradeId, UnixNanos, VenueSeq,
};
use parquet::schema::types::ColumnDescPtr;

/// The value in units of 10^-18; `None` when it has digits below that.
pub(crate) fn to_fixed(value: Decimal) -> Option<i128> {
    match POW10.get(usize::from(value.scale())) {
        // One multiplication of 64 x 64 bits: below 9.3e36, so it always fits 38 digits.
        Some(&factor) => Some(i128::from(value.mantissa()) * i128::from(factor)),
        None => value.mantissa_at(SCALE),
    }
}

#[allow(clippy::cast_sign_loss, reason = "a positive constant")]
pub(crate) const SCALE: u8 = DECIMAL_SCALE as u8;

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
    event.decimals().into_iter().flatten().all(|value| value.scale() <= SCALE || to_fixed(value).is_some())
}

/// Texts that columns of words refer to.
pub(crate) struct Texts {
    /// The venue's.
    pub(crate) symbols: Words,
    pub(crate) strategies: Words,
}

/// Values that recur.
type Recurring<V> = Column<V, Dictionary<V>>;
/// Numbers that mostly rise by little: stored as differences.
type Rising<V> = Column<V, Delta>;

/// Columns of one dataset, in the order of its schema.
pub(crate) struct Rows {
    len: usize,
    epoch: Recurring<u32>,
    seq: Rising<i64>,
    venue_ts: Rising<i64>,
    recv_ts: Rising<i64>,
    symbol: Recurring<Word>,
    flags: Recurring<u8>,
    own: Own,
}

/// The columns a dataset has for itself.
#[allow(clippy::large_enum_variant, reason = "one for each open file")]
enum Own {
    Trades(Trades),
    Quotes(Quotes),
    Books(Books),
    Levels(Levels),
    Gaps(Gaps),
    Status(Recurring<Word>, Recurring<u64>),
}

struct Trades {
    price: Recurring<i128>,
    size: Recurring<i128>,
    side: Recurring<Word>,
    trade_id: Rising<u64>,
    trade_id_text: Recurring<ShortText>,
}

struct Quotes {
    /// bid, bid_size, ask, ask_size.
    values: [Recurring<i128>; 4],
    venue_seq: Rising<i64>,
}

struct Books {
    action: Recurring<Word>,
    /// seq_first, seq_last, seq_prev.
    seqs: [Rising<i64>; 3],
    checksum: Recurring<u32>,
    bids: Recurring<u32>,
    asks: Recurring<u32>,
}

struct Levels {
    action: Recurring<Word>,
    side: Recurring<Word>,
    price: Recurring<i128>,
    size: Recurring<i128>,
    venue_seq: Rising<i64>,
    level: Recurring<u32>,
}

struct Gaps {
    reason: Recurring<Word>,
    first_missing: Rising<i64>,
    last_missing: Rising<i64>,
    from_ts: Rising<i64>,
    to_ts: Rising<i64>,
    events: Recurring<u64>,
}

impl Rows {
    /// No rows yet; `columns` are those of the dataset's schema.
    pub(crate) fn new(dataset: Dataset, columns: &[ColumnDescPtr]) -> Self {
        let [epoch, seq, venue_ts, recv_ts, symbol, flags, own @ ..] = columns else {
            unreachable!("every dataset has the common columns");
        };
        Self {
            len: 0,
            epoch: Column::new(epoch),
            seq: Column::new(seq),
            venue_ts: Column::new(venue_ts),
            recv_ts: Column::new(recv_ts),
            symbol: Column::new(symbol),
            flags: Column::new(flags),
            own: Own::new(dataset, own),
        }
    }

    /// Rows that wait to be encoded.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends one event of this dataset's kind that [`fits`]; `symbol` is its key in the venue's list of symbols.
    pub(crate) fn push(&mut self, epoch: Epoch, seq: Seq, symbol: Option<u32>, event: &Event) {
        self.len += 1;
        self.epoch.push(epoch.0);
        // The sink takes no sequence beyond i64.
        self.seq.push(seq.0.cast_signed());
        self.venue_ts.push_option(nanos(event.venue_ts()));
        self.recv_ts.push_option(nanos(event.recv_ts()));
        self.symbol.push_option(symbol.map(Word));
        self.flags.push(event.flags().bits());
        match (&mut self.own, event.body()) {
            (Own::Trades(columns), EventBody::Trade(body)) => columns.push(&body),
            (Own::Quotes(columns), EventBody::Quote(body)) => columns.push(&body),
            (Own::Books(columns), EventBody::Book(body)) => columns.push(&body),
            (Own::Levels(columns), EventBody::Level(body)) => columns.push(&body),
            (Own::Gaps(columns), EventBody::Gap(body)) => columns.push(&body),
            (Own::Status(code, detail), EventBody::Status(Status { code: c, detail: d })) => {
                code.push(place(&StatusCode::ALL, c));
                detail.push(d);
            }
            _ => debug_assert!(false, "a row goes to the dataset of its kind"),
        }
    }

    /// All columns, to encode the rows that wait.
    pub(crate) fn take_waiting(&mut self, texts: &Texts) -> Vec<&mut dyn EncodeColumn> {
        self.len = 0;
        self.symbol.set_words(&texts.symbols);
        self.columns()
    }

    /// All columns, in the order of the schema.
    pub(crate) fn columns(&mut self) -> Vec<&mut dyn EncodeColumn> {
        let mut columns: Vec<&mut dyn EncodeColumn> = vec![
            &mut self.epoch,
            &mut self.seq,
            &mut self.venue_ts,
            &mut self.recv_ts,
            &mut self.symbol,
            &mut self.flags,
        ];
        self.own.add_to(&mut columns);
        columns
    }
}

impl Own {
    fn new(dataset: Dataset, columns: &[ColumnDescPtr]) -> Self {
        match (dataset, columns) {
            (Dataset::Trades, [price, size, side, trade_id, trade_id_text]) => Self::Trades(Trades {
                price: Column::new(price),
                size: Column::new(size),
                side: Column::new(side).with_words(&["buy", "sell"]),
                trade_id: Column::new(trade_id),
                trade_id_text: Column::new(trade_id_text),
            }),
            (Dataset::Quotes, [bid, bid_size, ask, ask_size, venue_seq]) => Self::Quotes(Quotes {
                values: [bid, bid_size, ask, ask_size].map(Column::new),
                venue_seq: Column::new(venue_seq),
            }),
            (Dataset::Books, [action, seq_first, seq_last, seq_prev, checksum, bids, asks]) => Self::Books(Books {
                action: Column::new(action).with_words(&ACTIONS),
                seqs: [seq_first, seq_last, seq_prev].map(Column::new),
                checksum: Column::new(checksum),
                bids: Column::new(bids),
                asks: Column::new(asks),
            }),
            (Dataset::Levels, [action, side, price, size, venue_seq, level]) => Self::Levels(Levels {
                action: Column::new(action).with_words(&ACTIONS),
                side: Column::new(side).with_words(&["bid", "ask"]),
                price: Column::new(price),
                size: Column::new(size),
                venue_seq: Column::new(venue_seq),
                level: Column::new(level),
            }),
            (Dataset::Gaps, [reason, first_missing, last_missing, from_ts, to_ts, events]) => Self::Gaps(Gaps {
                reason: Column::new(reason).with_words(&GapReason::ALL.map(GapReason::name)),
                first_missing: Column::new(first_missing),
                last_missing: Column::new(last_missing),
                from_ts: Column::new(from_ts),
                to_ts: Column::new(to_ts),
                events: Column::new(events),
            }),
            (Dataset::Status, [code, detail]) => {
                Self::Status(Column::new(code).with_words(&StatusCode::ALL.map(StatusCode::name)), Column::new(detail))
            }
            _ => unreachable!("the columns are those of the dataset"),
        }
    }

    fn add_to<'a>(&'a mut self, columns: &mut Vec<&'a mut dyn EncodeColumn>) {
        match self {
            Self::Trades(Trades { price, size, side, trade_id, trade_id_text }) => {
                columns.extend([price as &mut dyn EncodeColumn, size, side, trade_id, trade_id_text]);
            }
            Self::Quotes(Quotes { values, venue_seq }) => {
                columns.extend(values.iter_mut().map(|value| value as &mut dyn EncodeColumn));
                columns.push(venue_seq);
            }
            Self::Books(Books { action, seqs, checksum, bids, asks }) => {
                columns.push(action);
                columns.extend(seqs.iter_mut().map(|seq| seq as &mut dyn EncodeColumn));
                columns.extend([checksum as &mut dyn EncodeColumn, bids, asks]);
            }
            Self::Levels(Levels { action, side, price, size, venue_seq, level }) => {
                columns.extend([action as &mut dyn EncodeColumn, side, price, size, venue_seq, level]);
            }
            Self::Gaps(Gaps { reason, first_missing, last_missing, from_ts, to_ts, events }) => {
                columns.extend([reason as &mut dyn EncodeColumn, first_missing, last_missing, from_ts, to_ts, events]);
            }
            Self::Status(code, detail) => columns.extend([code as &mut dyn EncodeColumn, detail]),
        }
    }
}

impl Trades {
    fn push(&mut self, trade: &Trade) {
        self.price.push(fixed(trade.price));
        self.size.push(fixed(trade.size));
        self.side.push_option(trade.side.map(side_word));
        let small = match trade.id {
            TradeId::Number(id) => u64::try_from(id).ok(),
            TradeId::None | TradeId::Uuid(_) => None,
        };
        self.trade_id.push_option(small);
        let is_text = small.is_none() && trade.id != TradeId::None;
        self.trade_id_text.push_option(is_text.then(|| ShortText::of(trade.id).expect("an id has at most 39 bytes")));
    }
}

impl Quotes {
    fn push(&mut self, quote: &Quote) {
        for (column, value) in self.values.iter_mut().zip([quote.bid, quote.bid_size, quote.ask, quote.ask_size]) {
            column.push_option(value.map(fixed));
        }
        self.venue_seq.push_option(number(quote.venue_seq));
    }
}

impl Books {
    fn push(&mut self, book: &Book) {
        self.action.push(action_word(book.action));
        for (column, seq) in self.seqs.iter_mut().zip([book.seq_first, book.seq_last, book.seq_prev]) {
            column.push_option(number(seq));
        }
        self.checksum.push_option(book.checksum);
        self.bids.push(book.bids);
        self.asks.push(book.asks);
    }
}

impl Levels {
    fn push(&mut self, level: &Level) {
        self.action.push(action_word(level.action));
        self.side.push(side_word(level.side));
        self.price.push(fixed(level.price));
        self.size.push(fixed(level.size));
        self.venue_seq.push_option(number(level.venue_seq));
        self.level.push(level.index);
    }
}

impl Gaps {
    fn push(&mut self, gap: &Gap) {
        self.reason.push(place(&GapReason::ALL, gap.reason));
        self.first_missing.push_option(number(gap.first_missing));
        self.last_missing.push_option(number(gap.last_missing));
        self.from_ts.push_option(nanos(gap.from_ts));
        self.to_ts.push_option(nanos(gap.to_ts));
        self.events.push_option(gap.events);
    }
}

/// [`to_fixed`] of a value of an event that [`fits`].
fn fixed(value: Decimal) -> i128 {
    to_fixed(value).expect("the sink refuses events that do not fit")
}

/// Words of the `action` columns, by [`action_word`].
const ACTIONS: [&str; 2] = ["snapshot", "delta"];

fn action_word(action: BookAction) -> Word {
    Word(u32::from(action == BookAction::Delta))
}

/// 0 for buy and bid, 1 for sell and ask.
pub(crate) fn side_word(side: Side) -> Word {
    Word(u32::from(side == Side::Sell))
}

/// The place of a value in the list of all.
pub(crate) fn place<T: PartialEq>(all: &[T], value: T) -> Word {
    let place = (0..).map(Word).zip(all).find(|(_, one)| **one == value);
    place.expect("the list holds all").0
}

fn nanos(time: Option<UnixNanos>) -> Option<i64> {
    time.map(|t| t.0)
}

fn number(seq: Option<VenueSeq>) -> Option<i64> {
    seq.map(|s| s.0)
}
