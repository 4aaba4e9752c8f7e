//! A recorder of a live market that is killed, or stopped, and started again: what the venue sends again is known, and what
//! was traded meanwhile is named as missing by its ids and fetched.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::Array;
use arrow_array::types::{Int64Type, UInt8Type, UInt64Type};
use common::stored::{self, Rows};
use common::{Feedd, run_args};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;
use venue_sim::{Config, Server, Venue};

/// `Flags::BACKFILLED` as it is stored.
const BACKFILLED: u8 = 4;

/// What is played, as an operator would configure it, and whether a gap can be told by ids.
struct Case {
    venue: Venue,
    keys: &'static str,
    /// Whether the venue sends old trades again after a subscription.
    repeats: bool,
    /// Whether its REST gives trades by id.
    fills: bool,
}

const BINANCE: Case = Case {
    venue: Venue::Binance,
    keys: "venue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]",
    repeats: false,
    fills: true,
};
const COINBASE: Case = Case {
    venue: Venue::Coinbase,
    keys: "venue = \"coinbase\"\nsymbols = [\"BTC-USD\", \"ETH-USD\"]",
    repeats: true,
    fills: true,
};
const KRAKEN: Case = Case {
    venue: Venue::Kraken,
    keys: "venue = \"kraken\"\nsymbols = [\"BTC/USD\", \"ETH/USD\"]",
    repeats: true,
    fills: false,
};

fn exchange(case: &Case) -> Server {
    Server::start(Config { paused: true, ..Config::for_tests(case.venue) }).unwrap()
}

fn configured(folder: &Path, server: &Server, case: &Case) -> String {
    let (keys, url, rest) = (case.keys, server.ws_url(""), server.rest_url());
    let text = format!(
        "[journal]\nsegment_bytes = \"1MiB\"\n[[source]]\nkind = \"venue\"\n{keys}\nchannels = [\"trades\"]\nurl = {url:?}\nrest_url = {rest:?}\n\
         [source.periods]\nretry_min = \"50ms\"\nretry_max = \"200ms\"\n"
    );
    let path = folder.join("feedd.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
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

/// Symbol to the ids of its trades, in their order.
fn made(server: &Server) -> BTreeMap<String, Vec<u64>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in server.log().iter().filter(|line| line["what"] == "trade") {
        let id = line["id"].as_str().unwrap().parse().unwrap();
        all.entry(line["symbol"].as_str().unwrap().to_owned()).or_default().push(id);
    }
    all
}

/// A stored trade: its flags, and the start that stored it.
type Stored = BTreeMap<(String, u64), (u8, u32)>;

/// Stored trades; fails when one is stored twice.
fn trades(rows: &[Rows]) -> Stored {
    let mut all = BTreeMap::new();
    for rows in stored::of(rows, "trades") {
        let (symbols, ids) = (rows.texts("symbol"), rows.numbers::<UInt64Type>("trade_id"));
        let flags = rows.numbers::<UInt8Type>("flags");
        for (row, (epoch, _)) in rows.places().enumerate() {
            let key = (symbols.value(row).to_owned(), ids.value(row));
            assert!(all.insert(key.clone(), (flags.value(row), epoch)).is_none(), "{key:?} is stored twice");
        }
    }
    all
}

/// Ids that gap rows name.
fn named(rows: &[Rows]) -> BTreeSet<(String, u64)> {
    let mut all = BTreeSet::new();
    for rows in stored::of(rows, "gaps") {
        let [first, last] = ["first_missing", "last_missing"].map(|name| rows.numbers::<Int64Type>(name));
        for row in (0..rows.len()).filter(|row| !first.is_null(*row)) {
            let symbol = rows.texts("symbol").value(row).to_owned();
            let ids = u64::try_from(first.value(row)).unwrap()..=u64::try_from(last.value(row)).unwrap();
            all.extend(ids.map(|id| (symbol.clone(), id)));
        }
    }
    all
}

/// How many connections have been subscribed.
fn acknowledged(server: &Server) -> usize {
    let log = server.log();
    let answers = log.iter().filter(|line| line["what"] == "answer");
    answers.filter_map(|line| line["conn"].as_u64()).collect::<BTreeSet<_>>().len()
}

/// Whether the newest trades of every symbol, `count` of them, are in the journal, which is what a kill leaves: an id stands there as
/// eight bytes.
fn is_durable(data: &Path, server: &Server, count: impl Fn(&str, &[u64]) -> usize) -> bool {
    let mut there = HashSet::new();
    for entry in std::fs::read_dir(data.join("journal")).unwrap() {
        // A segment that is given back meanwhile holds nothing new.
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 8).min(bytes.len()));
        there.extend(bytes[..end].windows(8).map(|window| <[u8; 8]>::try_from(window).unwrap()));
    }
    let newest = |symbol: &str, ids: &[u64]| ids[ids.len() - count(symbol, ids)..].to_vec();
    let mut made = made(server).into_iter();
    made.all(|(symbol, ids)| newest(&symbol, &ids).iter().all(|id| there.contains(&id.to_le_bytes())))
}

/// A run that hears some trades; ended by `signal`, its file of known trades written or not.
fn live_once(data: &Path, config: &str, server: &Server, signal: &str, pause: Duration) {
    let before = acknowledged(server);
    let mut feedd = Feedd::start(&run_args(data, &["--config", config]));
    feedd.wait_until("subscribed", |_| acknowledged(server) > before);
    trade(server, 60);
    feedd.wait_until("durable", |_| is_durable(data, server, |_, _| 1));
    std::thread::sleep(pause);
    feedd.signal(signal);
    let ended = feedd.wait();
    if signal == "TERM" {
        ended.assert_complete("stopped");
    }
}

/// Lives of a recorder that end by `signals`, with trades between them; then everything is stored.
fn is_restarted(case: &Case, signals: &[(&str, Duration)], away: u64) {
    let (server, folder) = (exchange(case), tempfile::tempdir().unwrap());
    let config = configured(folder.path(), &server, case);
    let data = folder.path().join("data");
    let mut heard = BTreeMap::new();
    for (signal, pause) in signals {
        live_once(&data, &config, &server, signal, *pause);
        heard = made(&server);
        trade(&server, away);
    }
    let before = acknowledged(&server);
    let mut feedd = Feedd::start(&run_args(&data, &["--config", &config]));
    feedd.wait_until("subscribed", |_| acknowledged(&server) > before);
    assert!(feedd.said().contains("are known of 2 instrument(s)"), "{}", feedd.said());
    trade(&server, 60);
    // What was traded meanwhile comes by REST, a moment later.
    let new = |symbol: &str, ids: &[u64]| if case.fills { ids.len() - heard[symbol].len() } else { 1 };
    feedd.wait_until("durable", |_| is_durable(&data, &server, new));
    feedd.signal("TERM");
    let ended = feedd.wait();
    ended.assert_complete("the last start");
    let rows = stored::read(&data);
    judge(case, &server, &rows, away);
}

/// Every trade once; from the first heard one on none is missing that can be had, and each that was fetched had been named.
fn judge(case: &Case, server: &Server, rows: &[Rows], away: u64) {
    let (stored, named) = (trades(rows), named(rows));
    let mut fetched = 0;
    for (symbol, ids) in made(server) {
        let is_stored = |id: &u64| stored.get(&(symbol.clone(), *id));
        let first = ids.iter().position(|id| is_stored(id).is_some()).unwrap();
        for id in &ids[first..] {
            let is_named = named.contains(&(symbol.clone(), *id));
            match is_stored(id) {
                Some((flags, _)) if flags & BACKFILLED != 0 => {
                    assert!(is_named, "{symbol} {id} was fetched and never missing");
                    fetched += 1;
                }
                Some(_) => {
                    assert!(!is_named || case.venue != Venue::Binance, "{symbol} {id} came and is named as missing")
                }
                None => assert!(is_named && !case.fills, "{symbol} {id} is missing"),
            }
        }
    }
    println!("{}: {} trades stored once, {fetched} of them fetched, {} named", case.keys, stored.len(), named.len());
    if case.fills && away > 0 {
        assert!(fetched > 0, "what was traded meanwhile was fetched");
    }
    if !case.repeats && away == 0 {
        assert!(named.is_empty(), "nothing was missing: {named:?}");
    }
}

const AT_ONCE: Duration = Duration::ZERO;
/// The file of known trades has been written since.
const LATER: Duration = Duration::from_millis(5_500);

#[test]
fn a_killed_recorder_of_binance_goes_on_where_it_was() {
    is_restarted(&BINANCE, &[("KILL", AT_ONCE), ("KILL", LATER), ("TERM", AT_ONCE), ("KILL", AT_ONCE)], 100);
}

#[test]
fn a_killed_recorder_of_coinbase_goes_on_where_it_was() {
    is_restarted(&COINBASE, &[("KILL", AT_ONCE), ("TERM", AT_ONCE), ("KILL", LATER)], 100);
}

#[test]
fn what_kraken_sends_again_is_known() {
    // Of the fifty trades of its snapshot some are old and some are new.
    is_restarted(&KRAKEN, &[("KILL", AT_ONCE), ("TERM", AT_ONCE), ("KILL", LATER)], 30);
}

#[test]
fn nothing_traded_meanwhile_is_no_hole() {
    is_restarted(&BINANCE, &[("KILL", AT_ONCE), ("TERM", AT_ONCE)], 0);
    is_restarted(&KRAKEN, &[("KILL", AT_ONCE), ("TERM", AT_ONCE)], 0);
}

#[test]
fn a_damaged_file_is_told_and_recording_goes_on() {
    let (server, folder) = (exchange(&BINANCE), tempfile::tempdir().unwrap());
    let config = configured(folder.path(), &server, &BINANCE);
    let data = folder.path().join("data");
    live_once(&data, &config, &server, "TERM", AT_ONCE);
    let file = data.join("_feedd/known-trades.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let before = acknowledged(&server);
    let mut feedd = Feedd::start(&run_args(&data, &["--config", &config]));
    feedd.wait_until_said("known-trades.jsonl is not used (its checksum does not hold)");
    feedd.wait_until("subscribed", |_| acknowledged(&server) > before);
    trade(&server, 60);
    feedd.wait_until("durable", |_| is_durable(&data, &server, |_, _| 1));
    feedd.signal("TERM");
    feedd.wait().assert_complete("without the file");
    trades(&stored::read(&data));
}
