//! Rows of derived records in PostgreSQL's binary COPY form. Rare beside events: texts are made for each.
//!
//! Sums and amounts are exact, whatever their digits. What is made here, volume-weighted and average prices, is rounded half
//! to even at the 18th decimal, and stands beside the exact values it is made of.

use crate::config::Layout;
use crate::encode::{Encoder, RowWriter, Start, Whose};
use crate::numeric::Numeric;
use crate::schema::Table;
use bytes::BufMut;
use feedd_model::{Bar, Decimal, Derived, Equity, Fill, InstrumentId, Money, Side, Signal, Sum, UnixNanos};

/// Why a record has no row.
const TOO_LARGE: &str = "a number of the derived record is beyond 63 bits";
const NO_QUOTIENT: &str = "the volume-weighted or average price of the derived record is beyond 20 digits";

/// What stands in the way of a record's row, beside names.
pub(crate) fn obstacle(record: &Derived) -> Option<&'static str> {
    let is_long = |value: u64| i64::try_from(value).is_ok();
    let (numbers, quotient) = match record {
        Derived::Bar(bar) => (is_long(bar.number), bar.volume.mantissa() == 0 || vwap(bar).is_some()),
        Derived::Signal(signal) => (is_long(signal.number), true),
        Derived::Fill(fill) => {
            (is_long(fill.number) && is_long(fill.signal), fill.position.is_zero() || fill.average_cost().is_some())
        }
        Derived::Equity(equity) => (is_long(equity.number), true),
    };
    match (numbers, quotient) {
        (false, _) => Some(TOO_LARGE),
        (true, false) => Some(NO_QUOTIENT),
        (true, true) => None,
    }
}

/// The strategy whose record it is.
pub(crate) const fn strategy(record: &Derived) -> Option<InstrumentId> {
    match record {
        Derived::Bar(_) => None,
        Derived::Signal(signal) => Some(signal.strategy),
        Derived::Fill(fill) => Some(fill.strategy),
        Derived::Equity(equity) => Some(equity.strategy),
    }
}

fn vwap(bar: &Bar) -> Option<Money> {
    bar.notional.quotient(bar.volume)
}

impl Encoder {
    /// Appends the row of one record, in the order of [`Table::columns`]; `seq` is that of its first event.
    pub(crate) fn push_record(&mut self, start: Start, seq: u64, whose: Whose<'_>, strategy: &str, record: &Derived) {
        let mut row = self.row(whose);
        let layout = if row.is_compact() { Layout::Compact } else { Layout::Readable };
        row.out.put_u16(Table::of(record.kind()).columns_count(layout));
        row.record_head(start, seq, whose);
        match record {
            Derived::Bar(bar) => row.bar(bar),
            Derived::Signal(signal) => row.signal(strategy, signal),
            Derived::Fill(fill) => row.fill(strategy, fill),
            Derived::Equity(equity) => row.equity(strategy, equity),
        }
    }
}

impl RowWriter<'_> {
    fn record_head(&mut self, start: Start, seq: u64, whose: Whose<'_>) {
        match whose {
            Whose::Row(row) => {
                self.long(seq.cast_signed());
                self.int(start.run);
                match row {
                    Some((id, _)) => self.int(id),
                    None => self.null(),
                }
            }
            Whose::Names(names) => {
                self.long(start.stream.into());
                self.long(start.epoch.into());
                self.long(seq.cast_signed());
                self.names(names);
            }
        }
    }

    fn bar(&mut self, bar: &Bar) {
        self.text(&bar.interval.to_string());
        [bar.start, bar.end, bar.closed_at].into_iter().for_each(|time| self.moment(time));
        [bar.open, bar.high, bar.low, bar.close].into_iter().for_each(|price| self.exact(price));
        [bar.volume, bar.buy_volume, bar.notional].into_iter().for_each(|sum| self.sum(sum));
        self.money_or_null(vwap(bar));
        self.long(bar.trades.into());
        self.short(bar.flags.bits().into());
        self.text(&bar.flags.to_string());
        self.int(bar.revision.into());
        self.int(bar.quality_bp.into());
        self.long(bar.number.cast_signed());
    }

    fn signal(&mut self, strategy: &str, signal: &Signal) {
        self.text(strategy);
        self.moment(signal.at);
        self.text(signal.action.name());
        match signal.size {
            Some(size) => self.exact(size),
            None => self.null(),
        }
        self.exact(signal.price);
        self.float(signal.value);
        self.long(signal.number.cast_signed());
    }

    fn fill(&mut self, strategy: &str, fill: &Fill) {
        self.text(strategy);
        self.long(fill.signal.cast_signed());
        self.moment(fill.at);
        self.moment(fill.ordered_at);
        self.text(if fill.side == Side::Buy { "buy" } else { "sell" });
        self.text(fill.outcome.name());
        [fill.price, fill.size, fill.position].into_iter().for_each(|amount| self.exact(amount));
        [fill.fee, fill.realised, fill.cash, fill.cost].into_iter().for_each(|money| self.money_or_null(Some(money)));
        self.money_or_null(fill.average_cost());
        self.long(fill.number.cast_signed());
    }

    fn equity(&mut self, strategy: &str, equity: &Equity) {
        self.text(strategy);
        self.moment(equity.at);
        self.exact(equity.price);
        self.exact(equity.position);
        let amounts = [equity.cash, equity.equity, equity.realised, equity.unrealised];
        amounts.into_iter().for_each(|money| self.money_or_null(Some(money)));
        self.long(equity.number.cast_signed());
    }

    /// In the readable layout also as a time of PostgreSQL.
    fn moment(&mut self, time: UnixNanos) {
        if !self.is_compact() {
            self.time_of_people(Some(time));
        }
        self.long(time.0);
    }

    fn exact(&mut self, value: Decimal) {
        self.out.extend_from_slice(Numeric::of_decimal(value).as_bytes());
    }

    fn sum(&mut self, sum: Sum) {
        let sum = sum.canonical();
        // At most 60 decimals.
        let scale = u8::try_from(sum.scale()).unwrap_or(u8::MAX);
        self.out.extend_from_slice(Numeric::of_mantissa(sum.mantissa(), scale).as_bytes());
    }

    fn money_or_null(&mut self, money: Option<Money>) {
        match money.and_then(|money| Sum::from_parts(money.mantissa(), Money::SCALE.into())) {
            Some(sum) => self.sum(sum),
            None => self.null(),
        }
    }

    /// NULL for NaN.
    fn float(&mut self, value: f64) {
        if value.is_nan() {
            return self.null();
        }
        self.out.put_i32(8);
        self.out.put_f64(value);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}
