//! A database of a test's own, sinks on it, and reading back: by `psql` through the readable views, as text.
#![allow(clippy::unwrap_used, dead_code, reason = "helpers fail the test that calls them; not every test uses each")]

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use feedd_core::contract::sink::{STREAM, batch, instruments};
use feedd_core::{Instruments, STRATEGY_VENUE, Sink, SinkError};
use feedd_model::{
    Action, Bar, BarFlags, Book, BookAction, Decimal, Derived, Epoch, Equity, Event, EventBody, EventHead, Fill, Flags,
    Gap, GapReason, InstrumentId, Level, Money, MonoNanos, Outcome, Quote, Seq, Side, Signal, Status, StatusCode, Sum,
    Trade, TradeId, UnixNanos, VenueSeq,
};
use feedd_sink_postgres::{Layout, PostgresConfig, PostgresSink};
use feedd_testkit::postgres::Server;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

pub(crate) const LAYOUTS: [Layout; 2] = [Layout::Compact, Layout::Readable];

/// A server to be shared by the stores of a test; `None` where there is none.
pub(crate) fn server() -> Option<Rc<RefCell<Server>>> {
    Server::start().map(|server| Rc::new(RefCell::new(server)))
}

/// A new database on a server.
pub(crate) struct Store {
    pub(crate) server: Rc<RefCell<Server>>,
    pub(crate) database: String,
    pub(crate) layout: Layout,
    pub(crate) instruments: Instruments,
}

impl Store {
    pub(crate) fn new(server: &Rc<RefCell<Server>>, layout: Layout) -> Self {
        let database = server.borrow().create_database();
        Self { server: server.clone(), database, layout, instruments: instruments() }
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        let server = self.server.borrow();
        let host = server.socket_dir().to_str().unwrap();
        let mut config = PostgresConfig::new(host, &self.database, server.user());
        (config.port, config.layout) = (server.port(), self.layout);
        // Tests that are about finished days build their indexes themselves.
        config.build_indexes = false;
        config
    }

    pub(crate) fn sink(&self) -> PostgresSink {
        PostgresSink::open(self.config(), self.instruments.clone()).unwrap()
    }

    /// A sink that has asked for its position in epoch 1.
    pub(crate) fn recovered(&self) -> PostgresSink {
        let mut sink = self.sink();
        sink.recover(STREAM, Epoch(1)).unwrap();
        sink
    }

    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.borrow().psql(&self.database, sql)
    }

    /// Counts from now on the transactions that begin, as their guards move the ledger.
    pub(crate) fn count_attempts(&self) {
        // What a sequence gives is not taken back by a rollback.
        self.sql(
            "CREATE SEQUENCE attempts; CREATE FUNCTION count_attempt() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM nextval('attempts'); RETURN NEW; END $$; \
             CREATE TRIGGER attempts BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION count_attempt()",
        );
    }

    /// How many there were.
    pub(crate) fn attempts(&self) -> u64 {
        self.sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempts").parse().unwrap()
    }

    /// The table of trades, in which the layout keeps them.
    pub(crate) fn trades(&self) -> &'static str {
        if self.layout == Layout::Compact { "trade" } else { "trades" }
    }

    /// Every (epoch, seq) of every dataset, sorted, duplicates included.
    pub(crate) fn identities(&self) -> Vec<(u64, u64)> {
        let datasets = ["trades", "quotes", "books", "levels", "gaps", "status", "signals"];
        let whole = ["bars", "fills", "equity"];
        let all = datasets.iter().map(|name| format!("SELECT epoch, seq FROM {name}"));
        // A row stands for the three events of its record.
        let whole =
            whole.iter().map(|name| format!("SELECT epoch, seq + part FROM {name}, generate_series(0, 2) AS part"));
        let all: Vec<String> = all.chain(whole).collect();
        let text = self.sql(&format!("{} ORDER BY 1, 2", all.join(" UNION ALL ")));
        let rows = text.lines().map(|line| line.split_once('|').unwrap());
        rows.map(|(epoch, seq)| (epoch.parse().unwrap(), seq.parse().unwrap())).collect()
    }

    /// Asserts that exactly `wanted` of epoch 1 is stored, each once.
    #[track_caller]
    pub(crate) fn assert_stored(&self, wanted: impl IntoIterator<Item = u64>, why: &str) {
        let wanted: Vec<(u64, u64)> = wanted.into_iter().map(|seq| (1, seq)).collect();
        let found = self.identities();
        if found != wanted {
            let (found_set, wanted_set): (BTreeSet<_>, BTreeSet<_>) =
                (found.iter().copied().collect(), wanted.iter().copied().collect());
            let missing: Vec<_> = wanted_set.difference(&found_set).take(10).collect();
            let extra: Vec<_> = found_set.difference(&wanted_set).take(10).collect();
            let duplicates = found.len() - found_set.len();
            panic!("{why}: missing {missing:?}, extra {extra:?}, duplicates {duplicates}");
        }
    }
}

/// Offers the events `range` (from 0) of epoch 1 as one batch.
pub(crate) fn offer(sink: &mut dyn Sink, events: &[Event], range: Range<usize>) -> Result<(), SinkError> {
    sink.write(&batch(events, Epoch(1), range, 4096), MonoNanos(0))
}

/// As [`deliver_epoch`], in epoch 1.
pub(crate) fn deliver(sink: &mut dyn Sink, events: &[Event], range: Range<usize>) -> (Vec<(Seq, String)>, usize) {
    deliver_epoch(sink, Epoch(1), events, range)
}

/// Offers as delivery does: again after what can be tried again, after asking for the position when it must, around the
/// refused. Returns the refused sequences with their reasons, and how many calls failed otherwise.
pub(crate) fn deliver_epoch(
    sink: &mut dyn Sink,
    epoch: Epoch,
    events: &[Event],
    range: Range<usize>,
) -> (Vec<(Seq, String)>, usize) {
    let (mut refused, mut failed, mut todo) = (Vec::new(), 0, vec![range]);
    while let Some(range) = todo.pop() {
        match sink.write(&batch(events, epoch, range.clone(), 4096), MonoNanos(0)) {
            Ok(()) => {}
            Err(SinkError::Refused { seqs, reason, .. }) => {
                assert_eq!(seqs.len(), 1, "one row is named");
                let at = usize::try_from(seqs[0].0).unwrap() - 1;
                assert!(range.contains(&at), "{at} is in {range:?}");
                refused.push((seqs[0], reason));
                todo.extend([at + 1..range.end, range.start..at].into_iter().filter(|part| !part.is_empty()));
            }
            Err(error @ (SinkError::Unavailable { .. } | SinkError::Unknown { .. })) => {
                failed += 1;
                assert!(failed < 2_000, "it never works again: {}", feedd_core::error_text(&error));
                if matches!(error, SinkError::Unknown { .. }) {
                    // The server may be starting.
                    while let Err(error) = sink.recover(STREAM, epoch) {
                        assert!(matches!(error, SinkError::Unavailable { .. }), "{error}");
                        failed += 1;
                        assert!(failed < 2_000, "it never works again");
                    }
                }
                todo.push(range);
            }
            Err(error) => panic!("{}", feedd_core::error_text(&error)),
        }
    }
    (refused, failed)
}

/// `count` trades on one day with ids 1, 2, ...: every row goes to one partition.
pub(crate) fn trades(count: usize) -> Vec<Event> {
    trades_from(1, count)
}

/// As [`trades`], with ids from `first_id` on.
pub(crate) fn trades_from(first_id: u128, count: usize) -> Vec<Event> {
    (0..count)
        .map(|i| {
            let n = i64::try_from(i).unwrap();
            let time = UnixNanos(1_723_100_000_000_000_000 + n * 1_000_000);
            let head = EventHead {
                instrument: InstrumentId(u32::try_from(i % 4).unwrap() + 1),
                venue_ts: Some(time),
                recv_ts: Some(time),
                flags: Flags::NONE,
            };
            let trade = Trade {
                price: Decimal::new(5_894_201_000_000 + n, 8).unwrap(),
                size: Decimal::new(n + 1, 8).unwrap(),
                side: Some(if i % 2 == 0 { Side::Buy } else { Side::Sell }),
                id: TradeId::Number(first_id + i as u128),
            };
            Event::new(head, EventBody::Trade(trade))
        })
        .collect()
}

/// Every event of the stream of the contract suite, by the views.
pub(crate) fn read_all(store: &Store) -> Vec<(Epoch, Seq, Event)> {
    if store.sql("SELECT to_regclass('trades') IS NULL") == "t" {
        return Vec::new();
    }
    let own = [
        ("trades", "price, size, side, trade_id"),
        ("quotes", "bid, bid_size, ask, ask_size, venue_seq"),
        ("books", "action, seq_first, seq_last, seq_prev, checksum, bids, asks"),
        ("levels", "action, side, price, size, venue_seq, level"),
        ("gaps", "reason, first_missing, last_missing, from_ts, to_ts, events"),
        ("status", "code, detail"),
    ];
    let mut events = Vec::new();
    for (dataset, columns) in own {
        let text = store.sql(&format!(
            "SELECT epoch, seq, venue_ts, recv_ts, venue, symbol, flags, {columns} FROM {dataset} WHERE stream = {STREAM}"
        ));
        events.extend(text.lines().map(|line| read_line(dataset, line, &store.instruments)));
        // The times for people are those of the ns columns, rounded down to microseconds.
        let wrong = store.sql(&format!(
            "SELECT count(*) FROM {dataset} WHERE \
             extract(epoch FROM venue_time) * 1000000 IS DISTINCT FROM floor(venue_ts / 1000.0) OR \
             extract(epoch FROM recv_time) * 1000000 IS DISTINCT FROM floor(recv_ts / 1000.0)"
        ));
        assert_eq!(wrong, "0", "times of {dataset}");
    }
    events.extend(read_records(store));
    events
}

/// The events of every derived record, by the views.
fn read_records(store: &Store) -> Vec<(Epoch, Seq, Event)> {
    let own = [
        (
            "bars",
            "interval, start_ts, end_ts, closed_ts, open, high, low, close, volume, buy_volume, notional, trades, flags, \
             revision, quality_bp, number, state, vwap",
            vec!["start", "end", "closed"],
        ),
        ("signals", "strategy, at_ts, action, size, price, coalesce(value, 'NaN'), number", vec!["at"]),
        (
            "fills",
            "strategy, signal, at_ts, ordered_ts, side, outcome, price, size, position, fee, realised, cash, cost, number, \
             average_cost",
            vec!["at", "ordered"],
        ),
        ("equity", "strategy, at_ts, price, position, cash, equity, realised, unrealised, number", vec!["at"]),
    ];
    let mut events = Vec::new();
    for (dataset, columns, times) in own {
        let text =
            store.sql(&format!("SELECT epoch, seq, venue, symbol, {columns} FROM {dataset} WHERE stream = {STREAM}"));
        for line in text.lines() {
            let fields: Vec<&str> = line.split('|').collect();
            let record = read_record(dataset, &fields[2..], &store.instruments);
            let (epoch, first): (u32, u64) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            let slots = record.to_events();
            let seqs = (first..).map(Seq);
            events.extend(seqs.zip(slots.events()).map(|(seq, event)| (Epoch(epoch), seq, *event)));
        }
        for time in times {
            let wrong = store.sql(&format!(
                "SELECT count(*) FROM {dataset} \
                 WHERE extract(epoch FROM {time}_time) * 1000000 IS DISTINCT FROM floor({time}_ts / 1000.0)"
            ));
            assert_eq!(wrong, "0", "times of {dataset}");
        }
    }
    events
}

fn read_record(dataset: &str, fields: &[&str], instruments: &Instruments) -> Derived {
    let known = instruments.len();
    let instrument = instruments.resolve(fields[0], fields[1]).unwrap();
    let own = &fields[2..];
    let price = |at: usize| decimal(own[at]).unwrap();
    let number = |at: usize| own[at].parse::<u64>().unwrap();
    let at = |at: usize| UnixNanos(own[at].parse().unwrap());
    let strategy = || instruments.resolve(STRATEGY_VENUE, own[0]).unwrap();
    let record = match dataset {
        "bars" => {
            let flags = BarFlags::from_bits(own[12].parse().unwrap());
            assert_eq!(own[16], flags.to_string());
            assert_quotient(own[17], own[10], own[8]);
            Derived::Bar(Bar {
                instrument,
                interval: own[0].parse().unwrap(),
                start: at(1),
                end: at(2),
                closed_at: at(3),
                open: price(4),
                high: price(5),
                low: price(6),
                close: price(7),
                volume: sum(own[8]),
                buy_volume: sum(own[9]),
                notional: sum(own[10]),
                trades: own[11].parse().unwrap(),
                flags,
                revision: own[13].parse().unwrap(),
                quality_bp: own[14].parse().unwrap(),
                number: number(15),
            })
        }
        "signals" => Derived::Signal(Signal {
            instrument,
            strategy: strategy(),
            at: at(1),
            action: if own[2] == "buy" { Action::Buy } else { Action::Sell },
            size: decimal(own[3]),
            price: price(4),
            value: own[5].parse().unwrap(),
            number: number(6),
        }),
        "fills" => {
            assert_quotient(own[14], own[12], own[8]);
            Derived::Fill(Fill {
                instrument,
                strategy: strategy(),
                signal: number(1),
                at: at(2),
                ordered_at: at(3),
                side: if own[4] == "buy" { Side::Buy } else { Side::Sell },
                outcome: *Outcome::ALL.iter().find(|outcome| outcome.name() == own[5]).unwrap(),
                price: price(6),
                size: price(7),
                position: price(8),
                fee: money(own[9]),
                realised: money(own[10]),
                cash: money(own[11]),
                cost: money(own[12]),
                number: number(13),
            })
        }
        _ => Derived::Equity(Equity {
            instrument,
            strategy: strategy(),
            at: at(1),
            price: price(2),
            position: price(3),
            cash: money(own[4]),
            equity: money(own[5]),
            realised: money(own[6]),
            unrealised: money(own[7]),
            number: number(8),
        }),
    };
    assert_eq!(instruments.len(), known, "every name was in the dictionary");
    record
}

/// A column that is the quotient of two others, rounded half to even at the 18th decimal; nothing for a divisor of 0.
fn assert_quotient(quotient: &str, dividend: &str, divisor: &str) {
    let divisor: BigDecimal = divisor.parse().unwrap();
    if divisor.sign() == Sign::NoSign {
        return assert_eq!(quotient, "");
    }
    let dividend: BigDecimal = dividend.parse().unwrap();
    let found: BigDecimal = quotient.parse().unwrap();
    // By the definition: no further away than half a unit, and in the middle the last digit is even.
    let twice = (&found * &divisor - &dividend).abs() * BigDecimal::from(2);
    let unit = divisor.abs() * BigDecimal::new(1.into(), 18);
    let is_even = (&found * BigDecimal::new(5.into(), -17)).is_integer();
    assert!(twice < unit || (twice == unit && is_even), "{dividend} / {divisor} is not {quotient}");
}

fn sum(text: &str) -> Sum {
    let (mantissa, scale) = digits(text);
    Sum::from_parts(mantissa, scale).unwrap()
}

fn money(text: &str) -> Money {
    let (mantissa, scale) = digits(text);
    Money::from_mantissa(mantissa * 10i128.pow(18 - scale))
}

/// The shortest mantissa and its scale.
fn digits(text: &str) -> (i128, u32) {
    let value: BigDecimal = text.parse().unwrap();
    let (mantissa, scale) = value.normalized().into_bigint_and_exponent();
    let mantissa: i128 = mantissa.to_string().parse().unwrap();
    match u32::try_from(scale) {
        Ok(scale) => (mantissa, scale),
        Err(_) => (mantissa * 10i128.pow(u32::try_from(-scale).unwrap()), 0),
    }
}

fn read_line(dataset: &str, line: &str, instruments: &Instruments) -> (Epoch, Seq, Event) {
    let fields: Vec<&str> = line.split('|').collect();
    let (common, own) = fields.split_at(7);
    let instrument = match (common[4], common[5]) {
        ("", "") => InstrumentId::NONE,
        (venue, symbol) => instruments.resolve(venue, symbol).unwrap(),
    };
    let head = EventHead {
        instrument,
        venue_ts: time(common[2]),
        recv_ts: time(common[3]),
        flags: Flags::from_bits(common[6].parse().unwrap()),
    };
    let body = match dataset {
        "trades" => EventBody::Trade(Trade {
            price: decimal(own[0]).unwrap(),
            size: decimal(own[1]).unwrap(),
            side: match own[2] {
                "" => None,
                "buy" => Some(Side::Buy),
                "sell" => Some(Side::Sell),
                other => panic!("side {other}"),
            },
            id: trade_id(own[3]),
        }),
        "quotes" => EventBody::Quote(Quote {
            bid: decimal(own[0]),
            bid_size: decimal(own[1]),
            ask: decimal(own[2]),
            ask_size: decimal(own[3]),
            venue_seq: seq(own[4]),
        }),
        "books" => EventBody::Book(Book {
            action: action(own[0]),
            seq_first: seq(own[1]),
            seq_last: seq(own[2]),
            seq_prev: seq(own[3]),
            checksum: (!own[4].is_empty()).then(|| own[4].parse().unwrap()),
            bids: own[5].parse().unwrap(),
            asks: own[6].parse().unwrap(),
        }),
        "levels" => EventBody::Level(Level {
            action: action(own[0]),
            side: match own[1] {
                "bid" => Side::Buy,
                "ask" => Side::Sell,
                other => panic!("side {other}"),
            },
            price: decimal(own[2]).unwrap(),
            size: decimal(own[3]).unwrap(),
            venue_seq: seq(own[4]),
            index: own[5].parse().unwrap(),
        }),
        "gaps" => EventBody::Gap(Gap {
            reason: *GapReason::ALL.iter().find(|reason| reason.name() == own[0]).unwrap(),
            first_missing: seq(own[1]),
            last_missing: seq(own[2]),
            from_ts: time(own[3]),
            to_ts: time(own[4]),
            events: (!own[5].is_empty()).then(|| own[5].parse().unwrap()),
        }),
        _ => EventBody::Status(Status {
            code: *StatusCode::ALL.iter().find(|code| code.name() == own[0]).unwrap(),
            detail: own[1].parse().unwrap(),
        }),
    };
    (Epoch(common[0].parse().unwrap()), Seq(common[1].parse().unwrap()), Event::new(head, body))
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty()).then(|| text.parse().unwrap())
}

fn time(text: &str) -> Option<UnixNanos> {
    number(text).map(UnixNanos)
}

fn seq(text: &str) -> Option<VenueSeq> {
    number(text).map(VenueSeq)
}

fn action(text: &str) -> BookAction {
    match text {
        "snapshot" => BookAction::Snapshot,
        "delta" => BookAction::Delta,
        other => panic!("action {other}"),
    }
}

fn trade_id(text: &str) -> TradeId {
    match text {
        "" => TradeId::None,
        uuid if uuid.contains('-') => TradeId::Uuid(u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap()),
        number => TradeId::Number(number.parse().unwrap()),
    }
}

/// By a library that shares nothing with the encoder.
fn decimal(text: &str) -> Option<Decimal> {
    if text.is_empty() {
        return None;
    }
    let (mantissa, scale) = digits(text);
    Some(Decimal::new(i64::try_from(mantissa).unwrap(), u8::try_from(scale).unwrap()).unwrap())
}
