//! Every recorded session is stored exactly as an independent program reads it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::Array;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt32Type};
use bigdecimal::{BigDecimal, Zero};
use common::stored::{self, Rows};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Recordings of all venues that are decoded, each with its expected summary.
fn recordings() -> Vec<(PathBuf, Value)> {
    let Some(shared) = common::shared() else { return Vec::new() };
    let mut found = Vec::new();
    for folder in feedd_venues::table::names().map(|venue| shared.join("captures").join(venue)) {
        let venue = folder.file_name().unwrap().to_owned();
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".jsonl.zst") else { continue };
            let expected = shared.join("expected").join(&venue).join(format!("{name}.summary.json"));
            let text = std::fs::read(&expected).unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
            found.push((path, serde_json::from_slice(&text).unwrap()));
        }
    }
    assert!(found.len() >= 30, "the folder of recorded data holds sessions of all venues: {}", found.len());
    found
}

#[test]
fn every_recorded_session_is_stored_whole_and_exact() {
    for (capture, expected) in recordings() {
        let case = capture.display().to_string();
        let folder = tempfile::tempdir().unwrap();
        let ended = common::run(folder.path(), &["--source", &format!("capture:{case}")]);
        let account = ended.assert_complete(&case);
        assert_eq!(account.get("frames.received"), expected["frames_in"], "{case}");
        assert!(stored::unfinished(folder.path()).is_empty(), "{case}");
        let rows = stored::read(folder.path());
        stored::assert_dense(&case, &rows, 1, account.get("events.accepted"));
        for (dataset, kind) in [("trades", "trade"), ("quotes", "quote"), ("books", "book")] {
            let count: usize = stored::of(&rows, dataset).map(Rows::len).sum();
            assert_eq!(count as u64, expected["events"][kind].as_u64().unwrap_or(0), "{case}: {dataset}");
        }
        assert_eq!(symbols(&rows), expected["symbols"], "{case}");
    }
}

#[test]
fn decode_says_the_same_as_an_independent_program() {
    for (capture, expected) in recordings() {
        let case = capture.display().to_string();
        let output = common::command(&["decode", "--summary", &case]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["frames_in", "events", "digest_sha256", "symbols"] {
            assert_eq!(summary[key], expected[key], "{case}: {key}");
        }
        assert_eq!(without_event(&summary), without_event(&expected), "{case}");
    }
}

/// Frames without an event, whatever the reasons are called.
fn without_event(summary: &Value) -> u64 {
    summary["frames_without_event"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// Counts and sums of one kind of event of one symbol.
#[derive(Default)]
struct Tally {
    n: u64,
    first_ts: Option<i64>,
    last_ts: Option<i64>,
    trades: Option<TradeTally>,
    levels: Option<LevelTally>,
}

#[derive(Default)]
struct LevelTally {
    /// Levels that the headers say follow.
    announced: u64,
    n: u64,
    /// Levels of size 0.
    deletes: u64,
}

/// Exact sums over trades.
struct TradeTally {
    sum_size: BigDecimal,
    sum_price_x_size: BigDecimal,
    min_price: BigDecimal,
    max_price: BigDecimal,
    buys: u64,
}

type Tallies = BTreeMap<(String, &'static str), Tally>;

/// The stored rows in the shape of the expected summary's `symbols`.
fn symbols(rows: &[Rows]) -> Value {
    let mut tallies = Tallies::new();
    for rows in rows {
        match rows.dataset.as_str() {
            "trades" => trades(rows, &mut tallies),
            "quotes" => count(rows, |_| "quote", &mut tallies),
            "books" => books(rows, &mut tallies),
            "levels" => levels(rows, &mut tallies),
            _ => {}
        }
    }
    let mut symbols: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for ((symbol, kind), tally) in tallies {
        symbols.entry(symbol).or_default().insert(kind.to_owned(), tally.into_json());
    }
    json!(symbols)
}

/// Counts the rows under the kind that `kind` gives each, with their lowest and highest venue time.
fn count(rows: &Rows, kind: impl Fn(usize) -> &'static str, tallies: &mut Tallies) {
    let (symbols, times) = (rows.texts("symbol"), rows.numbers::<TimestampNanosecondType>("venue_ts"));
    for row in 0..rows.len() {
        let tally = tallies.entry((symbols.value(row).to_owned(), kind(row))).or_default();
        tally.n += 1;
        if times.is_valid(row) {
            let time = times.value(row);
            tally.first_ts = Some(tally.first_ts.map_or(time, |first| first.min(time)));
            tally.last_ts = tally.last_ts.max(Some(time));
        }
    }
}

fn trades(rows: &Rows, tallies: &mut Tallies) {
    // Flag 2: from before the subscription, sent again by the venue.
    let flags = rows.numbers::<UInt8Type>("flags");
    let kind = |row: usize| if flags.value(row) & 2 == 0 { "trade" } else { "trade_replay" };
    count(rows, kind, tallies);
    let (symbols, sides) = (rows.texts("symbol"), rows.texts("side"));
    for (row, (price, size)) in rows.decimals("price").zip(rows.decimals("size")).enumerate() {
        let tally = tallies.entry((symbols.value(row).to_owned(), kind(row))).or_default();
        let trades = tally.trades.get_or_insert_with(|| TradeTally {
            sum_size: BigDecimal::zero(),
            sum_price_x_size: BigDecimal::zero(),
            min_price: price.clone(),
            max_price: price.clone(),
            buys: 0,
        });
        trades.sum_size += &size;
        trades.sum_price_x_size += &price * &size;
        trades.min_price = trades.min_price.clone().min(price.clone());
        trades.max_price = trades.max_price.clone().max(price);
        trades.buys += u64::from(sides.is_valid(row) && sides.value(row) == "buy");
    }
}

fn kind_of(action: &str) -> &'static str {
    if action == "snapshot" { "book_snapshot" } else { "book_delta" }
}

fn books(rows: &Rows, tallies: &mut Tallies) {
    let actions = rows.texts("action");
    count(rows, |row| kind_of(actions.value(row)), tallies);
    let symbols = rows.texts("symbol");
    let (bids, asks) = (rows.numbers::<UInt32Type>("bids"), rows.numbers::<UInt32Type>("asks"));
    for row in 0..rows.len() {
        let key = (symbols.value(row).to_owned(), kind_of(actions.value(row)));
        let levels = tallies.entry(key).or_default().levels.get_or_insert_default();
        levels.announced += u64::from(bids.value(row)) + u64::from(asks.value(row));
    }
}

fn levels(rows: &Rows, tallies: &mut Tallies) {
    let (symbols, actions) = (rows.texts("symbol"), rows.texts("action"));
    for (row, size) in rows.decimals("size").enumerate() {
        let key = (symbols.value(row).to_owned(), kind_of(actions.value(row)));
        let levels = tallies.entry(key).or_default().levels.get_or_insert_default();
        levels.n += 1;
        levels.deletes += u64::from(size.is_zero());
    }
}

impl Tally {
    fn into_json(self) -> Value {
        let mut out = Map::new();
        out.insert("n".into(), self.n.into());
        for (key, time) in [("first_ts", self.first_ts), ("last_ts", self.last_ts)] {
            out.extend(time.map(|time| (key.to_owned(), time.into())));
        }
        if let Some(levels) = self.levels {
            assert_eq!(levels.n, levels.announced, "levels and their headers agree");
            out.insert("levels".into(), levels.n.into());
            out.insert("deletes".into(), levels.deletes.into());
        }
        if let Some(trades) = self.trades {
            let plain = |value: BigDecimal| Value::from(value.normalized().to_plain_string());
            out.insert("sum_size".into(), plain(trades.sum_size));
            out.insert("sum_price_x_size".into(), plain(trades.sum_price_x_size));
            out.insert("min_price".into(), plain(trades.min_price));
            out.insert("max_price".into(), plain(trades.max_price));
            out.insert("buys".into(), trades.buys.into());
        }
        Value::Object(out)
    }
}

#[test]
fn the_book_at_the_end_is_the_one_expected() {
    let mut shown = 0;
    for (capture, expected) in recordings() {
        // Kraken's expected books are not cut to the levels that were subscribed.
        let books = expected["final_books"].as_object().filter(|_| !capture.to_string_lossy().contains("/kraken/"));
        for (symbol, book) in books.into_iter().flatten().filter(|(_, book)| book["snapshots"].as_u64() > Some(0)) {
            let case = format!("{} {symbol}", capture.display());
            let from = capture.to_str().unwrap();
            let output =
                common::command(&["book", symbol, "--from", from, "--levels", "5", "--json"]).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{case}: {}", String::from_utf8_lossy(&output.stderr));
            let got: Value = serde_json::from_slice(&output.stdout).unwrap();
            for (side, levels) in [("bids", "bid_levels"), ("asks", "ask_levels")] {
                assert_eq!(got[levels], book[side], "{case}");
                let top: Vec<_> = book[format!("top_{side}")].as_array().unwrap().iter().take(5).cloned().collect();
                let plain = |levels: &Value| {
                    let number = |text: &Value| text.as_str().unwrap().parse::<BigDecimal>().unwrap().normalized();
                    let level = |level: &Value| (number(&level[0]), number(&level[1]));
                    levels.as_array().unwrap().iter().map(level).collect::<Vec<_>>()
                };
                assert_eq!(plain(&got[side]), plain(&Value::from(top)), "{case}: {side}");
            }
            shown += 1;
        }
    }
    assert!(shown == 0 || shown > 30, "{shown} books");
}

#[test]
fn a_book_that_is_not_there_is_refused_with_the_remedy() {
    let Some(shared) = common::shared() else { return };
    let coinm = shared.join("captures/binance_coinm");
    let cases = [
        // symbol, exit code, what is said
        ("ETHUSD_PERP", 1, "its snapshot is not in the recording"),
        ("NOPE", 2, "has no depth messages of NOPE"),
    ];
    for (symbol, code, text) in cases {
        let output = common::command(&["book", symbol, "--from", coinm.to_str().unwrap()]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{symbol}: {stderr}");
        assert!(stderr.contains(text), "{symbol}: {stderr}");
    }
}
