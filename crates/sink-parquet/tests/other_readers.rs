//! pyarrow, DuckDB and Polars read what was written, and the statistics they skip by are right. Skipped, saying so, where
//! Python or a package is missing: `scripts/test` installs them.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, batch, instruments, sample_derived, whole_end};
use feedd_core::{Epoch, Sink};
use feedd_model::{
    Action, Decimal, Derived, Event, EventBody, EventHead, Flags, InstrumentId, Money, MonoNanos, Quote, Side, Sum,
    Trade, TradeId, UnixNanos, VenueSeq,
};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// More distinct prices than a dictionary holds, in row groups of several pages.
const TRADES: i64 = 150_000;
const QUOTES: i64 = 50_000;
const RECORDS: usize = 7_000;
const GROUP_ROWS: usize = 90_000;
/// 2024-08-08T00:00:00Z.
const START: i64 = 1_723_075_200_000_000_000;

fn head(at: i64) -> EventHead {
    EventHead {
        instrument: InstrumentId(1 + u32::from(at % 5 == 0)),
        venue_ts: (at % 3 > 0).then_some(UnixNanos(START - at)),
        recv_ts: Some(UnixNanos(START + at * 1001)),
        flags: Flags::NONE,
    }
}

fn decimal(mantissa: i64, scale: u8) -> Decimal {
    Decimal::new(mantissa, scale).unwrap()
}

fn trade(at: i64) -> Event {
    let price = match at {
        77_000 => decimal(i64::MAX, 0),
        77_001 => decimal(-i64::MAX, 0),
        77_002 => decimal(1, 18),
        77_003 => decimal(-1, 18),
        _ => decimal(at * 13 - 100_000, 2),
    };
    let id = match at % 4 {
        0 => TradeId::None,
        1 => TradeId::Number(u128::from(u64::MAX) + u128::from(at.cast_unsigned() % 100)),
        2 => TradeId::Uuid(u128::from(at.cast_unsigned()) << 64),
        _ => TradeId::Number(u128::from(u64::MAX) - u128::from(at.cast_unsigned())),
    };
    let side = [None, Some(Side::Buy), Some(Side::Sell)][usize::try_from(at / 50 % 3).unwrap()];
    Event::new(head(at), EventBody::Trade(Trade { price, size: decimal(at % 17, 1), side, id }))
}

/// Without any ask: a column of nulls alone.
fn quote(at: i64) -> Event {
    let body = Quote {
        bid: (at % 10 > 0).then(|| decimal(5000 - at % 700, 3)),
        bid_size: Some(decimal(i64::MAX - at, 18)),
        ask: None,
        ask_size: (at > 45_000).then(|| decimal(-at, 0)),
        venue_seq: (at % 1000 < 900).then_some(VenueSeq(at * at)),
    };
    Event::new(head(at), EventBody::Quote(body))
}

/// In units of 10^-18, as a text: such numbers are too long for JSON here.
fn units(value: Option<Decimal>) -> Value {
    value.map_or(Value::Null, |value| value.mantissa_at(18).unwrap().to_string().into())
}

fn column<T: Into<Value>>(events: &[&Event], value: impl Fn(&Event) -> T) -> Value {
    events.iter().map(|event| value(event).into()).collect::<Vec<Value>>().into()
}

/// The columns of trades or quotes that rows differ in.
fn expected(events: &[Event], first: usize) -> Map<String, Value> {
    let rows: Vec<&Event> = events.iter().collect();
    let mut columns = Map::new();
    let mut add = |name: &str, value: Value| columns.insert(name.to_owned(), value);
    let seqs: Vec<usize> = (first..first + rows.len()).collect();
    add("seq", json!(seqs));
    add("venue_ts", column(&rows, |event| event.venue_ts().map(|time| time.0)));
    add("recv_ts", column(&rows, |event| event.recv_ts().map(|time| time.0)));
    add("symbol", column(&rows, |event| ["BTCUSDT", "ETHUSDT"][event.instrument().0 as usize - 1]));
    let trade = |event: &Event| if let EventBody::Trade(trade) = event.body() { Some(trade) } else { None };
    let quote = |event: &Event| if let EventBody::Quote(quote) = event.body() { Some(quote) } else { None };
    if trade(rows[0]).is_some() {
        let small = |id: TradeId| if let TradeId::Number(id) = id { u64::try_from(id).ok() } else { None };
        let text = |id: TradeId| (id != TradeId::None && small(id).is_none()).then(|| id.to_string());
        add("price", column(&rows, |event| units(Some(trade(event).unwrap().price))));
        add("size", column(&rows, |event| units(Some(trade(event).unwrap().size))));
        let side = |side| if side == Side::Buy { "buy" } else { "sell" };
        add("side", column(&rows, |event| trade(event).unwrap().side.map(side)));
        add("trade_id", column(&rows, |event| small(trade(event).unwrap().id)));
        add("trade_id_text", column(&rows, |event| text(trade(event).unwrap().id)));
    } else {
        add("bid", column(&rows, |event| units(quote(event).unwrap().bid)));
        add("bid_size", column(&rows, |event| units(quote(event).unwrap().bid_size)));
        add("ask", column(&rows, |event| units(quote(event).unwrap().ask)));
        add("ask_size", column(&rows, |event| units(quote(event).unwrap().ask_size)));
        add("venue_seq", column(&rows, |event| quote(event).unwrap().venue_seq.map(|seq| seq.0)));
    }
    columns
}

fn records() -> Vec<Derived> {
    (0..RECORDS).map(sample_derived).collect()
}

/// The columns of one dataset of derived records, those that are made from others left out.
fn expected_records(records: &[(u64, Derived)]) -> Map<String, Value> {
    let mut columns: Map<String, Value> = Map::new();
    for (seq, record) in records {
        let symbol = ["BTCUSDT", "ETHUSDT", "XBT/USD", "ETH-USD"][record.instrument().0 as usize - 1];
        let strategy = |id: InstrumentId| ["sma(10,30)", "rsi(14)"][id.0 as usize - 5];
        let units = |value: Decimal| units(Some(value));
        let sum = |sum: Sum| Value::from(sum.mantissa_at(18).unwrap().to_string());
        let money = |money: Money| Value::from(money.mantissa().to_string());
        let side = |side| if side == Side::Buy { "buy" } else { "sell" };
        let row = match *record {
            Derived::Bar(bar) => json!({
                "interval": bar.interval.to_string(), "start_ts": bar.start.0, "end_ts": bar.end.0,
                "closed_ts": bar.closed_at.0, "open": units(bar.open), "high": units(bar.high), "low": units(bar.low),
                "close": units(bar.close), "volume": sum(bar.volume), "buy_volume": sum(bar.buy_volume),
                "notional": sum(bar.notional), "trades": bar.trades, "flags": bar.flags.bits(),
                "state": bar.flags.to_string(), "revision": bar.revision, "quality_bp": bar.quality_bp,
                "number": bar.number,
            }),
            Derived::Signal(signal) => json!({
                "strategy": strategy(signal.strategy), "at_ts": signal.at.0,
                "action": if signal.action == Action::Buy { "buy" } else { "sell" },
                "size": signal.size.map_or(Value::Null, units), "price": units(signal.price), "number": signal.number,
            }),
            Derived::Fill(fill) => json!({
                "strategy": strategy(fill.strategy), "signal": fill.signal, "at_ts": fill.at.0,
                "ordered_ts": fill.ordered_at.0, "side": side(fill.side), "outcome": fill.outcome.name(),
                "price": units(fill.price), "size": units(fill.size), "position": units(fill.position),
                "fee": money(fill.fee), "realised": money(fill.realised), "cash": money(fill.cash),
                "cost": money(fill.cost), "number": fill.number,
            }),
            Derived::Equity(equity) => json!({
                "strategy": strategy(equity.strategy), "at_ts": equity.at.0, "price": units(equity.price),
                "position": units(equity.position), "cash": money(equity.cash), "equity": money(equity.equity),
                "realised": money(equity.realised), "unrealised": money(equity.unrealised), "number": equity.number,
            }),
        };
        let mut row = row.as_object().unwrap().clone();
        row.extend([("seq".to_owned(), json!(seq)), ("symbol".to_owned(), json!(symbol))]);
        for (name, value) in row {
            columns.entry(name).or_insert_with(|| json!([])).as_array_mut().unwrap().push(value);
        }
    }
    columns
}

#[test]
fn other_libraries_read_every_value_and_skip_by_right_statistics() {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../venv/bin/python");
    if !python.exists() {
        println!("skipped: no Python with pyarrow, duckdb and polars at {}; scripts/test makes it", python.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut config = ParquetConfig::new(dir.path());
    config.row_group_rows_max = GROUP_ROWS;
    let mut sink = ParquetSink::open(config, instruments()).unwrap();
    let trades: Vec<Event> = (0..TRADES).map(trade).collect();
    let quotes: Vec<Event> = (0..QUOTES).map(quote).collect();
    let mut events = [trades.clone(), quotes.clone()].concat();
    let mut datasets: BTreeMap<&str, Vec<(u64, Derived)>> = BTreeMap::new();
    for record in records() {
        let dataset = match record {
            Derived::Bar(_) => "bars",
            Derived::Signal(_) => "signals",
            Derived::Fill(_) => "fills",
            Derived::Equity(_) => "equity",
        };
        datasets.entry(dataset).or_default().push((events.len() as u64 + 1, record));
        events.extend(record.to_events().events());
    }
    sink.recover(STREAM, Epoch(1)).unwrap();
    let mut start = 0;
    while start < events.len() {
        let end = whole_end(&events, events.len().min(start + 5000));
        sink.write(&batch(&events, Epoch(1), start..end, 1000), MonoNanos(0)).unwrap();
        start = end;
    }
    sink.flush(MonoNanos(0)).unwrap();
    let mut written = json!({"trades": expected(&trades, 1), "quotes": expected(&quotes, 1 + trades.len())});
    for (dataset, records) in &datasets {
        written[*dataset] = Value::Object(expected_records(records));
    }
    let json = dir.path().join("expected.json");
    std::fs::write(&json, written.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other_readers.py");
    let done = Command::new(&python).arg(script).arg(dir.path()).arg(&json).output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    if done.status.code() == Some(77) {
        println!("skipped: {error}");
        return;
    }
    assert!(done.status.success() && done.stdout == b"ok\n", "{error}");
}
