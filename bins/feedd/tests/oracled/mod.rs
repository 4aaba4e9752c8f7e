//! Trades of an oracle through a named pipe, and what both stores hold of them, read without the code that stored them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use super::common::pg;
use super::common::stored::{self, Rows};
use arrow_array::Array;
use arrow_array::types::{Decimal128Type, TimestampNanosecondType, UInt64Type};
use feedd_model::{Epoch, Position, Seq};
use feedd_testkit::judge::StoredRow;
use feedd_testkit::oracle::{Expected, Feed, Oracle, SentLog, Side};
use feedd_testkit::postgres::Server;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for a thread of this process that a busy machine makes slow.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// An oracle that sends, in a thread of the test, into the pipe of a recorder.
pub(crate) struct Sender {
    pipe: PathBuf,
    log: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sender {
    /// Sends `rate` trades a second into a new pipe below `folder`, whenever somebody reads it.
    pub(crate) fn start(folder: &Path, seed: u64, rate: u64) -> Self {
        // The folder's name is the venue.
        let pipe = folder.join("binance").join("feed");
        std::fs::create_dir(pipe.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let log = folder.join("sent.log");
        let feed = Feed {
            oracle: Oracle::new(seed, &["BTCUSDT", "ETHUSDT", "SOLUSDT"]),
            first: 1,
            rate,
            duration: Duration::from_secs(24 * 3600),
            out: pipe.clone(),
            log: log.clone(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let set = stop.clone();
        let thread = std::thread::spawn(move || {
            feed.run(&set).unwrap();
        });
        Self { pipe, log, stop, thread }
    }

    /// The source of the recorder, as its command line names it.
    pub(crate) fn source(&self) -> String {
        format!("capture:{}", self.pipe.display())
    }

    /// Waits until it has seen that its reader is gone: then the pipe is empty, and the next reader begins with a line.
    pub(crate) fn wait_until_alone(&self) {
        let limit = Instant::now() + WAIT_MAX;
        let count = |log: &str, note: &str| log.matches(note).count();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap();
            if count(&log, "\"reader there\"") == count(&log, "\"reader gone\"") {
                return;
            }
            assert!(Instant::now() < limit, "the oracle does not notice that nobody reads");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it, and gives what it has sent. The pipe keeps a writer as long as the file lives: its end is not what ends
    /// the recorder.
    pub(crate) fn end(self) -> (SentLog, File) {
        let held = File::options().write(true).open(&self.pipe).unwrap();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        (SentLog::read(&self.log).unwrap(), held)
    }
}

/// Every row of every finished file.
pub(crate) fn rows_of_files(data_dir: &Path) -> Vec<StoredRow> {
    stored::read(data_dir).iter().flat_map(rows_of_file).collect()
}

/// Every row of one finished file.
pub(crate) fn rows_of_file(rows: &Rows) -> Vec<StoredRow> {
    let places = rows.places().map(|(epoch, seq)| Position { epoch: Epoch(epoch), seq: Seq(seq) });
    if rows.dataset != "trades" {
        return places.map(|at| StoredRow { at, trade_id: None, content: None }).collect();
    }
    let (symbols, sides) = (rows.texts("symbol"), rows.texts("side"));
    let (ids, times) = (rows.numbers::<UInt64Type>("trade_id"), rows.numbers::<TimestampNanosecondType>("venue_ts"));
    let (prices, sizes) = (rows.numbers::<Decimal128Type>("price"), rows.numbers::<Decimal128Type>("size"));
    assert!(ids.null_count() + times.null_count() + sides.null_count() == 0, "a trade of the oracle has all of it");
    let content = |row: usize| Expected {
        symbol: symbols.value(row).to_owned(),
        trade_id: ids.value(row),
        price: exact(prices.value(row)),
        size: exact(sizes.value(row)),
        side: if sides.value(row) == "buy" { Side::Buy } else { Side::Sell },
        venue_ms: times.value(row) / 1_000_000,
    };
    let row = |(row, at)| StoredRow { at, trade_id: Some(ids.value(row)), content: Some(content(row)) };
    places.enumerate().map(row).collect()
}

/// A positive number of units of 10^-18 as an exact decimal.
fn exact(units: i128) -> String {
    const ONE: i128 = 10i128.pow(18);
    format!("{}.{:018}", units / ONE, units % ONE)
}

/// Every row of the database, read by `psql`.
pub(crate) fn rows_of_tables(server: &Server, database: &str) -> Vec<StoredRow> {
    let others = pg::VIEWS[1..]
        .iter()
        .map(|view| format!(" UNION ALL SELECT epoch, seq, NULL, NULL, NULL, NULL, NULL, NULL FROM {view}"));
    let trades = "SELECT epoch, seq, trade_id, symbol, price, size, side, venue_ts / 1000000 FROM trades";
    let text = server.psql(database, &others.fold(trades.to_owned(), |sql, other| sql + &other));
    text.lines().map(|line| StoredRow::parse(line).unwrap()).collect()
}

/// Trades that are missing between the first and the last of a start: the source gave them in a row.
pub(crate) fn holes_within_starts(rows: &[StoredRow]) -> u64 {
    let mut starts: BTreeMap<u32, (u64, u64, u64)> = BTreeMap::new();
    for (epoch, id) in rows.iter().filter_map(|row| Some((row.at.epoch.0, row.trade_id?))) {
        let (count, first, last) = starts.entry(epoch).or_insert((0, id, id));
        (*count, *first, *last) = (*count + 1, id.min(*first), id.max(*last));
    }
    // What is doubled is found by the judge.
    starts.values().map(|(count, first, last)| (last - first + 1).saturating_sub(*count)).sum()
}
