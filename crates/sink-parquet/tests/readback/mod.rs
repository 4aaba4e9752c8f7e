//! Reads a folder back with the Parquet library's own reader and makes events of the rows.
#![allow(clippy::unwrap_used, reason = "a file that does not read back as written fails its test")]

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch};
use feedd_core::{Instruments, STRATEGY_VENUE};
use feedd_model::{
    Action, Bar, BarFlags, Book, BookAction, Decimal, Derived, Epoch, Equity, Event, EventBody, EventHead, Fill, Flags,
    Gap, GapReason, InstrumentId, Level, Money, Outcome, Quote, Seq, Side, Signal, Status, StatusCode, Sum, Trade,
    TradeId, UnixNanos, VenueSeq,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Every visible Parquet file below `dir`, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every row of every visible file, as events.
pub(crate) fn read_all(dir: &Path, instruments: &Instruments) -> Vec<(Epoch, Seq, Event)> {
    files(dir).iter().flat_map(|path| read_file(path, instruments)).collect()
}

fn read_file(path: &Path, instruments: &Instruments) -> Vec<(Epoch, Seq, Event)> {
    let parts: Vec<String> = path.iter().rev().map(|part| part.to_str().unwrap().to_owned()).collect();
    let (venue, dataset) = (parts[2].strip_prefix("venue=").unwrap().to_owned(), parts[3].clone());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let row = Row { batch: &batch, row };
            if let Some(record) = row.record(&dataset, &venue, instruments) {
                let (epoch, first) = row.place();
                let slots = record.to_events();
                rows.extend((first.0..).map(Seq).zip(slots.events()).map(|(seq, event)| (epoch, seq, *event)));
            } else {
                rows.push(row.event(&dataset, &venue, instruments));
            }
        }
    }
    rows
}

struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Row<'_> {
    fn place(&self) -> (Epoch, Seq) {
        let seq = Seq(self.get::<Int64Type>("seq").unwrap().try_into().unwrap());
        (Epoch(self.get::<UInt32Type>("epoch").unwrap()), seq)
    }

    fn instrument(&self, venue: &str, instruments: &Instruments) -> InstrumentId {
        self.text("symbol").map_or(InstrumentId::NONE, |symbol| instruments.resolve(venue, &symbol).unwrap())
    }

    /// `None` for datasets of events.
    fn record(&self, dataset: &str, venue: &str, instruments: &Instruments) -> Option<Derived> {
        let instrument = self.instrument(venue, instruments);
        let number = || self.get::<UInt64Type>("number").unwrap();
        let at = |name| self.time(name).unwrap();
        let known = instruments.len();
        let strategy = || instruments.resolve(STRATEGY_VENUE, &self.text("strategy").unwrap()).unwrap();
        let price = |name| self.decimal(name).unwrap();
        let record = match dataset {
            "bars" => Derived::Bar(self.bar(instrument)),
            "signals" => Derived::Signal(Signal {
                instrument,
                strategy: strategy(),
                at: at("at_ts"),
                action: if self.text("action").unwrap() == "buy" { Action::Buy } else { Action::Sell },
                size: self.decimal("size"),
                price: price("price"),
                value: self.get::<Float64Type>("value").unwrap_or(f64::NAN),
                number: number(),
            }),
            "fills" => Derived::Fill(Fill {
                instrument,
                strategy: strategy(),
                signal: self.get::<UInt64Type>("signal").unwrap(),
                at: at("at_ts"),
                ordered_at: at("ordered_ts"),
                side: if self.text("side").unwrap() == "buy" { Side::Buy } else { Side::Sell },
                outcome: *Outcome::ALL.iter().find(|o| Some(o.name()) == self.text("outcome").as_deref()).unwrap(),
                price: price("price"),
                size: price("size"),
                position: price("position"),
                fee: self.money("fee"),
                realised: self.money("realised"),
                cash: self.money("cash"),
                cost: self.money("cost"),
                number: number(),
            }),
            "equity" => Derived::Equity(Equity {
                instrument,
                strategy: strategy(),
                at: at("at_ts"),
                price: price("price"),
                position: price("position"),
                cash: self.money("cash"),
                equity: self.money("equity"),
                realised: self.money("realised"),
                unrealised: self.money("unrealised"),
                number: number(),
            }),
            _ => return None,
        };
        assert_eq!(instruments.len(), known, "every name was in the dictionary");
        Some(record)
    }

    fn bar(&self, instrument: InstrumentId) -> Bar {
        let flags = BarFlags::from_bits(self.get::<UInt8Type>("flags").unwrap());
        let names = BarFlags::NAMES.iter().enumerate().filter(|(bit, _)| flags.bits() >> bit & 1 == 1);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        let state = if names.is_empty() { "complete".to_owned() } else { names.join("+") };
        assert_eq!(self.text("state").unwrap(), state);
        let mark = |name| u16::try_from(self.get::<UInt32Type>(name).unwrap()).unwrap();
        let price = |name| self.decimal(name).unwrap();
        let sum = |name| Sum::from_parts(self.get::<Decimal128Type>(name).unwrap(), 18).unwrap();
        Bar {
            instrument,
            interval: self.text("interval").unwrap().parse().unwrap(),
            start: self.time("start_ts").unwrap(),
            end: self.time("end_ts").unwrap(),
            closed_at: self.time("closed_ts").unwrap(),
            open: price("open"),
            high: price("high"),
            low: price("low"),
            close: price("close"),
            volume: sum("volume"),
            buy_volume: sum("buy_volume"),
            notional: sum("notional"),
            trades: self.get::<UInt32Type>("trades").unwrap(),
            flags,
            revision: mark("revision"),
            quality_bp: mark("quality_bp"),
            number: self.get::<UInt64Type>("number").unwrap(),
        }
    }

    fn money(&self, name: &str) -> Money {
        Money::from_mantissa(self.get::<Decimal128Type>(name).unwrap())
    }

    fn event(&self, dataset: &str, venue: &str, instruments: &Instruments) -> (Epoch, Seq, Event) {
        let instrument = self.instrument(venue, instruments);
        let bits = self.get::<UInt8Type>("flags").unwrap();
        let all = [Flags::AFTER_GAP, Flags::REPLAYED, Flags::BACKFILLED, Flags::DOUBTFUL_CLOCK, Flags::PRICE_JUMP];
        let set = all.into_iter().filter(|flag| bits & flag.bits() != 0);
        let head = EventHead {
            instrument,
            venue_ts: self.time("venue_ts"),
            recv_ts: self.time("recv_ts"),
            flags: set.fold(Flags::NONE, Flags::with),
        };
        let body = match dataset {
            "trades" => self.trade(),
            "quotes" => self.quote(),
            "books" => self.book(),
            "levels" => self.level(),
            "gaps" => self.gap(),
            "status" => EventBody::Status(Status {
                code: *StatusCode::ALL.iter().find(|c| Some(c.name()) == self.text("code").as_deref()).unwrap(),
                detail: self.get::<UInt64Type>("detail").unwrap(),
            }),
            other => panic!("no dataset {other}"),
        };
        let (epoch, seq) = self.place();
        (epoch, seq, Event::new(head, body))
    }

    fn trade(&self) -> EventBody {
        let id = match (self.get::<UInt64Type>("trade_id"), self.text("trade_id_text")) {
            (None, None) => TradeId::None,
            (Some(id), None) => TradeId::Number(id.into()),
            (None, Some(text)) if text.contains('-') => {
                TradeId::Uuid(u128::from_str_radix(&text.replace('-', ""), 16).unwrap())
            }
            (None, Some(text)) => TradeId::Number(text.parse().unwrap()),
            both => panic!("a trade has one id: {both:?}"),
        };
        let side = self.text("side").map(|s| if s == "buy" { Side::Buy } else { Side::Sell });
        EventBody::Trade(Trade { price: self.decimal("price").unwrap(), size: self.decimal("size").unwrap(), side, id })
    }

    fn quote(&self) -> EventBody {
        EventBody::Quote(Quote {
            bid: self.decimal("bid"),
            bid_size: self.decimal("bid_size"),
            ask: self.decimal("ask"),
            ask_size: self.decimal("ask_size"),
            venue_seq: self.seq("venue_seq"),
        })
    }

    fn book(&self) -> EventBody {
        EventBody::Book(Book {
            action: self.action(),
            seq_first: self.seq("seq_first"),
            seq_last: self.seq("seq_last"),
            seq_prev: self.seq("seq_prev"),
            checksum: self.get::<UInt32Type>("checksum"),
            bids: self.get::<UInt32Type>("bids").unwrap(),
            asks: self.get::<UInt32Type>("asks").unwrap(),
        })
    }

    fn level(&self) -> EventBody {
        EventBody::Level(Level {
            action: self.action(),
            side: if self.text("side").unwrap() == "bid" { Side::Buy } else { Side::Sell },
            price: self.decimal("price").unwrap(),
            size: self.decimal("size").unwrap(),
            venue_seq: self.seq("venue_seq"),
            index: self.get::<UInt32Type>("level").unwrap(),
        })
    }

    fn gap(&self) -> EventBody {
        EventBody::Gap(Gap {
            reason: *GapReason::ALL.iter().find(|r| Some(r.name()) == self.text("reason").as_deref()).unwrap(),
            first_missing: self.seq("first_missing"),
            last_missing: self.seq("last_missing"),
            from_ts: self.time("from_ts"),
            to_ts: self.time("to_ts"),
            events: self.get::<UInt64Type>("events"),
        })
    }

    fn column(&self, name: &str) -> &dyn Array {
        self.batch.column_by_name(name).unwrap_or_else(|| panic!("column {name}"))
    }

    fn get<T: ArrowPrimitiveType>(&self, name: &str) -> Option<T::Native> {
        let column = self.column(name).as_primitive::<T>();
        column.is_valid(self.row).then(|| column.value(self.row))
    }

    fn text(&self, name: &str) -> Option<String> {
        let column = self.column(name).as_string::<i32>();
        column.is_valid(self.row).then(|| column.value(self.row).to_owned())
    }

    fn time(&self, name: &str) -> Option<UnixNanos> {
        self.get::<TimestampNanosecondType>(name).map(UnixNanos)
    }

    fn seq(&self, name: &str) -> Option<VenueSeq> {
        self.get::<Int64Type>(name).map(VenueSeq)
    }

    fn action(&self) -> BookAction {
        if self.text("action").unwrap() == "snapshot" { BookAction::Snapshot } else { BookAction::Delta }
    }

    /// The shortest form of the stored digits.
    fn decimal(&self, name: &str) -> Option<Decimal> {
        let (mut mantissa, mut scale) = (self.get::<Decimal128Type>(name)?, 18);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Some(Decimal::new(mantissa.try_into().unwrap(), scale).unwrap())
    }
}
