//! A live market, as an operator records it: configured by a file, stored as Parquet, taped, and played again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::Array;
use arrow_array::types::{Int64Type, UInt64Type};
use bigdecimal::BigDecimal;
use common::stored::{self, Rows};
use common::{Ended, Feedd, run, run_args};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use venue_sim::{Config, FaultKind, Server, Venue};

fn exchange(is_tls: bool) -> Server {
    Server::start(Config { paused: true, tls: is_tls, ..Config::for_tests(Venue::Binance) }).unwrap()
}

/// Writes what an operator would write, with shorter waits.
fn configured(folder: &Path, server: &Server) -> String {
    let ca = server.ca_path().map_or_else(String::new, |path| format!("ca_file = {:?}\n", path.to_str().unwrap()));
    let text = format!(
        "[tape]\nenabled = true\n\n[[source]]\nkind = \"venue\"\nvenue = \"binance\"\n\
         symbols = [\"BTCUSDT\", \"ETHUSDT\"]\nchannels = [\"trades\", \"quotes\", \"depth\"]\nurl = {:?}\nrest_url = {:?}\n\
         {ca}[source.periods]\nretry_min = \"50ms\"\nretry_max = \"200ms\"\n",
        server.ws_url(""),
        server.rest_url()
    );
    let path = folder.join("feedd.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Whether a connection has been acknowledged and given so many trades.
fn has_acknowledged(server: &Server, conn: u64) -> bool {
    server.log().iter().any(|line| line["what"] == "answer" && line["conn"] == conn)
}

/// Lets the market make so many trades.
fn trade(server: &Server, trades: u64) {
    let before = server.summary().trades;
    server.resume_market();
    while server.summary().trades < before + trades {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.pause_market();
}

/// Trades as the exchange made them, of those on a connection or after it: symbol and id to price and size.
fn made(server: &Server) -> BTreeMap<(String, u64), (BigDecimal, BigDecimal)> {
    let log = server.log();
    let first = log.iter().position(|line| line["what"] == "open").unwrap();
    let number = |text: &serde_json::Value| BigDecimal::from_str(text.as_str().unwrap()).unwrap().normalized();
    let trades = log[first..].iter().filter(|line| line["what"] == "trade");
    let trade = |line: &serde_json::Value| {
        let id = line["id"].as_str().unwrap().parse().unwrap();
        ((line["symbol"].as_str().unwrap().to_owned(), id), (number(&line["price"]), number(&line["size"])))
    };
    trades.map(trade).collect()
}

/// Trades as they are stored; fails when one is stored twice.
fn stored_trades(rows: &[Rows]) -> BTreeMap<(String, u64), (BigDecimal, BigDecimal)> {
    let mut all = BTreeMap::new();
    for rows in stored::of(rows, "trades") {
        let (symbols, ids) = (rows.texts("symbol"), rows.numbers::<UInt64Type>("trade_id"));
        for (row, value) in rows.decimals("price").zip(rows.decimals("size")).enumerate() {
            let key = (symbols.value(row).to_owned(), ids.value(row));
            assert!(all.insert(key.clone(), value).is_none(), "{key:?} is stored twice");
        }
    }
    all
}

/// Whether the tape holds every trade, as it came by the stream or by REST.
fn is_taped(dir: &Path, trades: &BTreeMap<(String, u64), (BigDecimal, BigDecimal)>) -> bool {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir.join("binance")).into_iter().flatten() {
        // A piece that is being written is no good zstd yet.
        let Ok(plain) = zstd::decode_all(std::fs::File::open(entry.unwrap().path()).unwrap()) else { return false };
        text.push_str(&String::from_utf8(plain).unwrap());
    }
    let ids = text.split(r#"\"t\":"#).chain(text.split(r#"\"id\":"#));
    let ids: std::collections::HashSet<&str> = ids.filter_map(|rest| rest.split([',', '}']).next()).collect();
    trades.keys().all(|(_, id)| ids.contains(id.to_string().as_str()))
}

fn ends_well(feedd: Feedd) -> Ended {
    feedd.signal("TERM");
    feedd.wait()
}

fn is_recorded(is_tls: bool) {
    let (server, folder) = (exchange(is_tls), tempfile::tempdir().unwrap());
    let config = configured(folder.path(), &server);
    let data = folder.path().join("data");
    let mut feedd = Feedd::start(&run_args(&data, &["--config", &config]));
    feedd.wait_until("subscribed", |_| has_acknowledged(&server, 1));
    trade(&server, 200);
    server.inject(FaultKind::Reset);
    feedd.wait_until("subscribed again", |_| has_acknowledged(&server, 2));
    trade(&server, 200);
    let made = made(&server);
    // What is in the socket when the signal comes is not recorded.
    feedd.wait_until("all trades are on the tape", |_| is_taped(&data.join("tape"), &made));
    let ended = ends_well(feedd);
    ended.assert_complete("live");
    let rows = stored::read(&data);
    assert_eq!(stored_trades(&rows), made, "each trade once, to the last digit");
    // The tape gives the same rows, apart from where the new run numbers them.
    let again = folder.path().join("again");
    let tape = format!("capture:{}", data.join("tape").display());
    let played = run(&again, &["--source", &tape]);
    played.assert_complete("played");
    assert_eq!(columns(&stored::read(&again)), columns(&rows));
}

/// Every row of every dataset in the order of its sequence, all columns but `epoch` and `seq`.
fn columns(rows: &[Rows]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for rows in rows {
        let seqs = rows.numbers::<Int64Type>("seq");
        for row in 0..rows.len() {
            let text = rows.others(&["epoch", "seq"]).map(|column| format!("{:?}", column.slice(row, 1)));
            all.entry(rows.dataset.clone()).or_default().push((seqs.value(row), text.collect()));
        }
    }
    let in_order = |mut rows: Vec<(i64, String)>| {
        rows.sort_unstable_by_key(|(seq, _)| *seq);
        rows.into_iter().map(|(_, text)| text).collect()
    };
    all.into_iter().map(|(dataset, rows)| (dataset, in_order(rows))).collect()
}

#[test]
fn a_live_market_is_recorded_and_its_tape_gives_the_same_rows() {
    is_recorded(false);
}

#[test]
fn a_live_market_is_recorded_over_tls() {
    is_recorded(true);
}
