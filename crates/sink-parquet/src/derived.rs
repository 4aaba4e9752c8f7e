//! Derived records to columns: rare beside events, so what is simple comes before what is fast.
//!
//! Values are exact or refused. What is made here, volume-weighted and average prices, is rounded half to even at the 18th
//! decimal, and stands beside the exact values it is made of.

use crate::dataset::{DECIMAL_PRECISION, Dataset};
use crate::encode::{Coder, Column, Delta, Dictionary, EncodeColumn, Float, ShortText, Value, Word};
use crate::rows::{SCALE, Texts, place, side_word, to_fixed};
use feedd_model::{
    Action, Bar, BarFlags, Decimal, Derived, Epoch, Equity, Fill, InstrumentId, Money, Outcome, Seq, Signal, Sum,
};
use parquet::schema::types::ColumnDescPtr;

/// Why a record has no place in the columns.
pub(crate) const TOO_WIDE: &str = "a value of the derived record has no exact place in decimal(38,18)";

type Recurring<V> = Column<V, Dictionary<V>>;
type Rising<V> = Column<V, Delta>;

/// Columns of one dataset of derived records, in the order of its schema.
pub(crate) struct DerivedRows {
    len: usize,
    epoch: Recurring<u32>,
    seq: Rising<i64>,
    symbol: Recurring<Word>,
    own: Own,
}

/// The columns a dataset has for itself.
#[allow(clippy::large_enum_variant, reason = "one for each open file")]
enum Own {
    Bars(Bars),
    Signals(Signals),
    Fills(Fills),
    Equity(EquityColumns),
}

struct Bars {
    interval: Recurring<ShortText>,
    /// start_ts, end_ts, closed_ts.
    times: [Rising<i64>; 3],
    /// open, high, low, close, volume, buy_volume, notional.
    values: [Recurring<i128>; 7],
    vwap: Recurring<i128>,
    trades: Recurring<u32>,
    flags: Recurring<u8>,
    state: Recurring<Word>,
    /// revision, quality_bp.
    marks: [Recurring<u32>; 2],
    number: Rising<u64>,
}

struct Signals {
    strategy: Recurring<Word>,
    at: Rising<i64>,
    action: Recurring<Word>,
    size: Recurring<i128>,
    price: Recurring<i128>,
    value: Recurring<Float>,
    number: Rising<u64>,
}

struct Fills {
    strategy: Recurring<Word>,
    signal: Rising<u64>,
    /// at_ts, ordered_ts.
    times: [Rising<i64>; 2],
    side: Recurring<Word>,
    outcome: Recurring<Word>,
    /// price, size, position, fee, realised, cash, cost.
    values: [Recurring<i128>; 7],
    average_cost: Recurring<i128>,
    number: Rising<u64>,
}

struct EquityColumns {
    strategy: Recurring<Word>,
    at: Rising<i64>,
    /// price, position, cash, equity, realised, unrealised.
    values: [Recurring<i128>; 6],
    number: Rising<u64>,
}

/// A record whose values all have a place.
#[derive(Clone, Copy)]
pub(crate) enum Row {
    Bar { bar: Bar, values: [i128; 7], vwap: Option<i128> },
    Signal { signal: Signal, size: Option<i128>, price: i128 },
    Fill { fill: Fill, values: [i128; 7], average_cost: Option<i128> },
    Equity { equity: Equity, values: [i128; 6] },
}

impl Row {
    /// `None` when a value has no exact place.
    pub(crate) fn of(record: &Derived) -> Option<Self> {
        Some(match *record {
            Derived::Bar(bar) => {
                let [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close];
                let [volume, buy_volume, notional] = [bar.volume, bar.buy_volume, bar.notional].map(sum);
                let values = [fixed(open)?, fixed(high)?, fixed(low)?, fixed(close)?, volume?, buy_volume?, notional?];
                let is_empty = bar.volume.mantissa() == 0;
                let vwap = if is_empty { None } else { Some(money(bar.notional.quotient(bar.volume)?)?) };
                Self::Bar { bar, values, vwap }
            }
            Derived::Signal(signal) => {
                let size = match signal.size {
                    Some(size) => Some(fixed(size)?),
                    None => None,
                };
                Self::Signal { signal, size, price: fixed(signal.price)? }
            }
            Derived::Fill(fill) => {
                let [price, size, position] = [fill.price, fill.size, fill.position].map(fixed);
                let [fee, realised, cash, cost] = [fill.fee, fill.realised, fill.cash, fill.cost].map(money);
                let is_flat = fill.position.is_zero();
                let average_cost = if is_flat { None } else { Some(money(fill.average_cost()?)?) };
                Self::Fill { fill, values: [price?, size?, position?, fee?, realised?, cash?, cost?], average_cost }
            }
            Derived::Equity(equity) => {
                let [cash, worth, realised, unrealised] =
                    [equity.cash, equity.equity, equity.realised, equity.unrealised].map(money);
                let values = [fixed(equity.price)?, fixed(equity.position)?, cash?, worth?, realised?, unrealised?];
                Self::Equity { equity, values }
            }
        })
    }

    /// The strategy whose record it is.
    pub(crate) const fn strategy(&self) -> Option<InstrumentId> {
        match self {
            Self::Bar { .. } => None,
            Self::Signal { signal, .. } => Some(signal.strategy),
            Self::Fill { fill, .. } => Some(fill.strategy),
            Self::Equity { equity, .. } => Some(equity.strategy),
        }
    }

    /// Events that it stands for.
    pub(crate) const fn slots(&self) -> u64 {
        let kind = match self {
            Self::Bar { .. } => feedd_model::EventKind::Bar,
            Self::Signal { .. } => feedd_model::EventKind::Signal,
            Self::Fill { .. } => feedd_model::EventKind::Fill,
            Self::Equity { .. } => feedd_model::EventKind::Equity,
        };
        kind.slots() as u64
    }
}

/// What a row carries for the ids in it: keys in the lists of symbols and of strategies.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) symbol: Option<u32>,
    /// 0 for a record without a strategy.
    pub(crate) strategy: u32,
}

impl DerivedRows {
    /// No rows yet; `columns` are those of the dataset's schema.
    pub(crate) fn new(dataset: Dataset, columns: &[ColumnDescPtr]) -> Self {
        let [epoch, seq, symbol, own @ ..] = columns else {
            unreachable!("every dataset of derived records has these columns");
        };
        Self {
            len: 0,
            epoch: Column::new(epoch),
            seq: Column::new(seq),
            symbol: Column::new(symbol),
            own: Own::new(dataset, own),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends one record of this dataset; `seq` is that of its first slot.
    pub(crate) fn push(&mut self, epoch: Epoch, seq: Seq, keys: Keys, row: &Row) {
        self.len += 1;
        self.epoch.push(epoch.0);
        self.seq.push(seq.0.cast_signed());
        self.symbol.push_option(keys.symbol.map(Word));
        let strategy = Word(keys.strategy);
        match (&mut self.own, row) {
            (Own::Bars(columns), Row::Bar { bar, values, vwap }) => columns.push(bar, values, *vwap),
            (Own::Signals(columns), Row::Signal { signal, size, price }) => {
                columns.strategy.push(strategy);
                columns.at.push(signal.at.0);
                columns.action.push(Word(u32::from(signal.action == Action::Sell)));
                columns.size.push_option(*size);
                columns.price.push(*price);
                columns.value.push_option((!signal.value.is_nan()).then_some(Float(signal.value)));
                columns.number.push(signal.number);
            }
            (Own::Fills(columns), Row::Fill { fill, values, average_cost }) => {
                columns.strategy.push(strategy);
                columns.signal.push(fill.signal);
                push_all(&mut columns.times, [fill.at.0, fill.ordered_at.0]);
                columns.side.push(side_word(fill.side));
                columns.outcome.push(place(&Outcome::ALL, fill.outcome));
                push_all(&mut columns.values, *values);
                columns.average_cost.push_option(*average_cost);
                columns.number.push(fill.number);
            }
            (Own::Equity(columns), Row::Equity { equity, values }) => {
                columns.strategy.push(strategy);
                columns.at.push(equity.at.0);
                push_all(&mut columns.values, *values);
                columns.number.push(equity.number);
            }
            _ => debug_assert!(false, "a row goes to the dataset of its kind"),
        }
    }

    /// All columns, to encode the rows that wait.
    pub(crate) fn take_waiting(&mut self, texts: &Texts) -> Vec<&mut dyn EncodeColumn> {
        self.len = 0;
        self.symbol.set_words(&texts.symbols);
        match &mut self.own {
            Own::Bars(_) => {}
            Own::Signals(columns) => columns.strategy.set_words(&texts.strategies),
            Own::Fills(columns) => columns.strategy.set_words(&texts.strategies),
            Own::Equity(columns) => columns.strategy.set_words(&texts.strategies),
        }
        self.columns()
    }

    /// All columns, in the order of the schema.
    pub(crate) fn columns(&mut self) -> Vec<&mut dyn EncodeColumn> {
        let mut columns: Vec<&mut dyn EncodeColumn> = vec![&mut self.epoch, &mut self.seq, &mut self.symbol];
        self.own.add_to(&mut columns);
        columns
    }
}

impl Bars {
    fn push(&mut self, bar: &Bar, values: &[i128; 7], vwap: Option<i128>) {
        self.interval.push(ShortText::of(bar.interval).expect("an interval has at most 22 bytes"));
        push_all(&mut self.times, [bar.start.0, bar.end.0, bar.closed_at.0]);
        push_all(&mut self.values, *values);
        self.vwap.push_option(vwap);
        self.trades.push(bar.trades);
        self.flags.push(bar.flags.bits());
        self.state.push(Word(u32::from(bar.flags.bits()) % STATES));
        push_all(&mut self.marks, [bar.revision.into(), bar.quality_bp.into()]);
        self.number.push(bar.number);
    }
}

impl Own {
    fn new(dataset: Dataset, columns: &[ColumnDescPtr]) -> Self {
        match (dataset, columns) {
            (Dataset::Bars, [interval, rest @ ..]) => {
                let (times, rest) = split(rest);
                let (values, rest) = split(rest);
                let [vwap, trades, flags, state, revision, quality_bp, number] = exactly(rest);
                let states: Vec<String> = (0..=u8::MAX).map(|bits| BarFlags::from_bits(bits).to_string()).collect();
                let states: Vec<&str> = states.iter().take(STATES as usize).map(String::as_str).collect();
                Self::Bars(Bars {
                    interval: Column::new(interval),
                    times: times.map(Column::new),
                    values: values.map(Column::new),
                    vwap: Column::new(vwap),
                    trades: Column::new(trades),
                    flags: Column::new(flags),
                    state: Column::new(state).with_words(&states),
                    marks: [revision, quality_bp].map(Column::new),
                    number: Column::new(number),
                })
            }
            (Dataset::Signals, [strategy, at, action, size, price, value, number]) => Self::Signals(Signals {
                strategy: Column::new(strategy),
                at: Column::new(at),
                action: Column::new(action).with_words(&["buy", "sell"]),
                size: Column::new(size),
                price: Column::new(price),
                value: Column::new(value),
                number: Column::new(number),
            }),
            (Dataset::Fills, [strategy, signal, at, ordered, side, outcome, rest @ ..]) => {
                let (values, rest) = split(rest);
                let [average_cost, number] = exactly(rest);
                Self::Fills(Fills {
                    strategy: Column::new(strategy),
                    signal: Column::new(signal),
                    times: [at, ordered].map(Column::new),
                    side: Column::new(side).with_words(&["buy", "sell"]),
                    outcome: Column::new(outcome).with_words(&Outcome::ALL.map(Outcome::name)),
                    values: values.map(Column::new),
                    average_cost: Column::new(average_cost),
                    number: Column::new(number),
                })
            }
            (Dataset::Equity, [strategy, at, rest @ ..]) => {
                let (values, rest) = split(rest);
                let [number] = exactly(rest);
                Self::Equity(EquityColumns {
                    strategy: Column::new(strategy),
                    at: Column::new(at),
                    values: values.map(Column::new),
                    number: Column::new(number),
                })
            }
            _ => unreachable!("the columns are those of the dataset"),
        }
    }

    fn add_to<'a>(&'a mut self, columns: &mut Vec<&'a mut dyn EncodeColumn>) {
        fn add<'a, V, C>(columns: &mut Vec<&'a mut dyn EncodeColumn>, more: &'a mut [Column<V, C>])
        where
            Column<V, C>: EncodeColumn,
        {
            columns.extend(more.iter_mut().map(|column| column as &mut dyn EncodeColumn));
        }
        match self {
            Self::Bars(Bars { interval, times, values, vwap, trades, flags, state, marks, number }) => {
                columns.push(interval);
                add(columns, times);
                add(columns, values);
                columns.extend([vwap as &mut dyn EncodeColumn, trades, flags, state]);
                add(columns, marks);
                columns.push(number);
            }
            Self::Signals(Signals { strategy, at, action, size, price, value, number }) => {
                columns.extend([strategy as &mut dyn EncodeColumn, at, action, size, price, value, number]);
            }
            Self::Fills(Fills { strategy, signal, times, side, outcome, values, average_cost, number }) => {
                columns.extend([strategy as &mut dyn EncodeColumn, signal]);
                add(columns, times);
                columns.extend([side as &mut dyn EncodeColumn, outcome]);
                add(columns, values);
                columns.extend([average_cost as &mut dyn EncodeColumn, number]);
            }
            Self::Equity(EquityColumns { strategy, at, values, number }) => {
                columns.extend([strategy as &mut dyn EncodeColumn, at]);
                add(columns, values);
                columns.push(number);
            }
        }
    }
}

/// Sets of the flags that have names.
const STATES: u32 = 1 << BarFlags::NAMES.len();

fn push_all<V: Value, C: Coder<V>, const N: usize>(columns: &mut [Column<V, C>; N], values: [V; N]) {
    columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
}

/// The first columns, and the rest.
fn split<const N: usize>(columns: &[ColumnDescPtr]) -> ([&ColumnDescPtr; N], &[ColumnDescPtr]) {
    let (first, rest) = columns.split_at(N);
    (exactly(first), rest)
}

fn exactly<const N: usize>(columns: &[ColumnDescPtr]) -> [&ColumnDescPtr; N] {
    std::array::from_fn(|at| &columns[at])
}

/// Below it a number of units has 38 digits at most.
const UNITS_MAX: u128 = 10u128.pow(DECIMAL_PRECISION as u32);

fn fixed(value: Decimal) -> Option<i128> {
    to_fixed(value)
}

fn sum(value: Sum) -> Option<i128> {
    value.mantissa_at(SCALE.into()).filter(|units| units.unsigned_abs() < UNITS_MAX)
}

fn money(value: Money) -> Option<i128> {
    Some(value.mantissa()).filter(|units| units.unsigned_abs() < UNITS_MAX)
}
