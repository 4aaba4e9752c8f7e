//! Public files of trades: core's contract of a source, the order of the merge, and what is done about bad input.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_core::contract::source::{SourceHarness, SourceRan, SourceRun, source_contract};
use feedd_core::pace::Speed;
use feedd_core::playback::Pause;
use feedd_core::{Instruments, Source, SourceError};
use feedd_model::{Decimal, Event, EventBody, EventHead, Flags, InstrumentId, Side, Trade, TradeId, UnixNanos};
use feedd_replay::{LINE_FAULTS, ReplayParts, ReplaySource, Selection, Tally};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const REASONS: [&[&str]; 2] = [&LINE_FAULTS, &[]];
/// 2024-08-08T00:00:00Z in ms.
const START_MS: i64 = 1_723_075_200_000;

fn parts(instruments: &Instruments, selection: Selection) -> ReplayParts {
    let (instruments, pause) = (instruments.clone(), Pause::new());
    ReplayParts { name: "replay".to_owned(), instruments, speed: Speed::Max, pause, selection }
}

/// What came of a replay.
struct Ran {
    ran: SourceRan,
    tally: Arc<Tally>,
    progress: (u64, u64),
    instruments: Instruments,
}

fn open(paths: &[PathBuf], selection: Selection, instruments: &Instruments) -> Result<ReplaySource, SourceError> {
    ReplaySource::csv(parts(instruments, selection), paths, "binance")
}

fn replay(paths: &[PathBuf], selection: Selection) -> Ran {
    let instruments = Instruments::in_memory();
    let source = open(paths, selection, &instruments).unwrap();
    let (tally, progress) = (source.tally(), source.progress());
    let ran = SourceRun { ring: 4_096, ..SourceRun::new(REASONS) }.run(Box::new(source));
    Ran { ran, tally, progress: (progress.bytes.get(), progress.total.get()), instruments }
}

fn write(folder: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.join(name);
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let packed = name.ends_with(".zst");
    std::fs::write(&path, if packed { zstd::encode_all(text.as_bytes(), 1).unwrap() } else { text.into() }).unwrap();
    path
}

fn line(id: u64, price: &str, at_ms: i64) -> String {
    format!("{id},{price},0.5,1,{},True,True", START_MS + at_ms)
}

fn event(instrument: u32, id: u64, price: &str, at_ms: i64) -> Event {
    let at = UnixNanos::from_millis(START_MS + at_ms);
    let head = EventHead { instrument: InstrumentId(instrument), venue_ts: at, recv_ts: at, flags: Flags::NONE };
    let price = price.parse().unwrap();
    let size = Decimal::new(5, 1).unwrap();
    Event::new(head, EventBody::Trade(Trade { price, size, side: Some(Side::Sell), id: TradeId::Number(id.into()) }))
}

struct Csv(PathBuf);

impl SourceHarness for Csv {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        Box::new(open(std::slice::from_ref(&self.0), Selection::default(), instruments).unwrap())
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        REASONS
    }
}

#[test]
fn files_of_trades_keep_the_contract_of_a_source() {
    let folder = tempfile::tempdir().unwrap();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let lines: Vec<String> = (1..=1500).map(|id| line(id, "100.5", id.cast_signed() * 10)).collect();
        write(folder.path(), &format!("{symbol}-trades-2024-08-08.csv"), &lines);
    }
    source_contract(&mut Csv(folder.path().to_owned()));
}

#[test]
fn a_folder_is_merged_by_time_and_every_line_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let header = "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match".to_owned();
    let day = |id: u64| line(id, "100.50", id.cast_signed() * 100);
    // The month stands in a file of its own beside one of its days; the day's lines come first by name.
    write(
        folder.path(),
        "BTCUSDT-trades-2024-08-08.csv",
        &[format!("\u{feff}{header}\r"), day(1), format!("{}\r", day(2))],
    );
    write(folder.path(), "BTCUSDT-trades-2024-08.csv.zst", &[day(1), day(2), String::new(), day(3), header, day(5)]);
    let bad = ["4,0,0.5,1,1,True,True", "", "x", &"z".repeat(2_000)];
    let mut other: Vec<String> = bad.iter().map(|line| (*line).to_owned()).collect();
    other.extend([line(9, "7", 100), line(10, "8", 90)]);
    other.push("4,7,0.5,1,9,1723075200400,True,True".to_owned());
    other.push(line(11, "9", 350));
    write(folder.path(), "ETHUSDT-trades-2024-08-08.csv", &other);
    std::fs::write(folder.path().join("BTCUSDT-trades-2024-08-08.csv.CHECKSUM"), "0").unwrap();
    std::fs::write(folder.path().join("BTCUSDT-trades-2024-08-08.zip"), "PK").unwrap();
    let ran = replay(&[folder.path().to_owned()], Selection::default());
    assert!(ran.ran.end.is_ok(), "{:?}", ran.ran.end);
    let expected = [
        event(1, 1, "100.50", 100),
        event(2, 9, "7", 100),
        // Its time goes back: the order of its file stays.
        event(2, 10, "8", 90),
        event(1, 2, "100.50", 200),
        event(1, 3, "100.50", 300),
        event(2, 11, "9", 350),
        event(1, 5, "100.50", 500),
    ];
    assert_eq!(ran.ran.events, expected);
    let totals = &ran.ran.totals;
    assert_eq!((totals.frames, totals.frames_decoded, totals.frames_control, totals.frames_rejected), (17, 9, 4, 4));
    assert_eq!((totals.decoded, totals.duplicate), (9, 2), "the two of the day, once more in the month");
    assert_eq!(ran.ran.frames_rejected, [("columns", 1), ("layout", 1), ("price", 1), ("too_long", 1)]);
    let tally = &ran.tally;
    assert_eq!((tally.delivered.get(), tally.repeated.get(), tally.lines_bad.get()), (7, 2, 4));
    assert_eq!((tally.files_bad.get(), ran.progress.0), (0, ran.progress.1), "read to their ends");
    let names = [1, 2].map(|id| ran.instruments.get(InstrumentId(id)).unwrap());
    assert_eq!(names.map(|one| format!("{} {}", one.venue, one.symbol)), ["binance BTCUSDT", "binance ETHUSDT"]);
}

#[test]
fn a_range_and_symbols_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let lines: Vec<String> = (1..=9).map(|id| line(id, "5", id.cast_signed())).collect();
        write(folder.path(), &format!("{symbol}-trades-2024-08-08.csv"), &lines);
    }
    let at = |ms| UnixNanos::from_millis(START_MS + ms);
    let symbols = vec!["ETHUSDT".to_owned(), "XRPUSDT".to_owned()];
    let ran = replay(&[folder.path().to_owned()], Selection { since: at(3), until: at(5), symbols });
    assert_eq!(ran.ran.events, [event(1, 3, "5", 3), event(1, 4, "5", 4)]);
    assert_eq!((ran.tally.left_out.get(), ran.tally.symbols_missing.get()), (7, 1));
    assert_eq!(ran.instruments.len(), 1, "the other symbol gets no id");
}

#[test]
fn a_file_without_a_telling_name_takes_the_one_symbol_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "mine.csv", &[line(1, "5", 1)]);
    let symbols = vec!["BTCUSDT".to_owned()];
    let ran = replay(&[path], Selection { symbols, ..Selection::default() });
    assert_eq!(ran.ran.events, [event(1, 1, "5", 1)]);
}

#[test]
fn what_cannot_be_replayed_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let nameless = write(folder.path(), "mine.csv", &[line(1, "5", 1)]);
    let trades = write(folder.path(), "BTCUSDT-trades-2024-08-08.csv", &[line(1, "5", 1)]);
    let aggregated = format!("1,5,0.5,1,2,{START_MS},True,True");
    let aggregates = write(folder.path(), "BTCUSDT-aggTrades-2024-08-08.csv", &[aggregated]);
    let other = |symbol: &str| Selection { symbols: vec![symbol.to_owned()], ..Selection::default() };
    let cases: [(&str, Vec<PathBuf>, Selection, &str); 6] = [
        ("an archive", vec![folder.path().join("x.zip")], Selection::default(), "unpack it: unzip "),
        ("packed with gzip", vec![folder.path().join("x.csv.gz")], Selection::default(), "unpack it: gunzip "),
        ("an empty folder", vec![empty], Selection::default(), "no file ends in .csv or .csv.zst"),
        ("no symbol", vec![nameless], Selection::default(), "mine.csv: its name does not tell the symbol"),
        ("both kinds", vec![trades.clone(), aggregates], Selection::default(), "the same executions; give one kind"),
        ("another symbol", vec![trades], other("ETHUSDT"), "no file is of ETHUSDT"),
    ];
    for (name, paths, selection, expected) in cases {
        let error = open(&paths, selection, &Instruments::in_memory()).err().unwrap().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn one_unreadable_file_is_told_at_the_end_and_the_others_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (1..=20_000).map(|id| line(id, "5", id.cast_signed())).collect();
    let cut = write(folder.path(), "ETHUSDT-trades-2024-08-08.csv.zst", &lines);
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 4]).unwrap();
    write(folder.path(), "BTCUSDT-trades-2024-08-08.csv", &[line(1, "6", 1)]);
    let paths = [folder.path().to_owned(), folder.path().join("XRPUSDT-trades-2024-08-08.csv")];
    let ran = replay(&paths, Selection::default());
    let error = ran.ran.end.unwrap_err().to_string();
    assert!(
        error.contains("XRPUSDT-trades-2024-08-08.csv cannot be read") && error.contains("1 further files"),
        "{error}"
    );
    let bitcoin: Vec<&Event> = ran.ran.events.iter().filter(|event| event.instrument() == InstrumentId(1)).collect();
    assert_eq!(bitcoin, [&event(1, 1, "6", 1)]);
    assert_eq!(ran.tally.files_bad.get(), 2);
    let rest = ran.ran.events.iter().filter(|event| event.instrument() == InstrumentId(2));
    assert!(
        rest.eq((1..ran.ran.events.len() as u64)
            .map(|id| event(2, id, "5", id.cast_signed()))
            .collect::<Vec<_>>()
            .iter())
    );
}

#[test]
fn files_of_one_symbol_may_lie_within_each_other() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "BTCUSDT-trades-a.csv", &[1, 5, 6].map(|id| line(id, "5", id.cast_signed())));
    write(folder.path(), "BTCUSDT-trades-b.csv", &[3, 4, 5, 7].map(|id| line(id, "5", id.cast_signed())));
    let ran = replay(&[folder.path().to_owned()], Selection::default());
    assert_eq!(ran.ran.events, [1, 3, 4, 5, 6, 7].map(|id| event(1, id, "5", id.cast_signed())));
    assert_eq!((ran.tally.repeated.get(), ran.ran.totals.duplicate), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Whatever the files are, the events are those of a plain sort: by time, then by file, then by line.
    #[test]
    fn files_are_merged_as_by_a_sort(
        files in prop::collection::vec((prop::collection::vec(0i64..60, 0..40), any::<bool>()), 1..6)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut expected: Vec<(i64, u32, usize, Event)> = Vec::new();
        let mut paths = Vec::new();
        for (number, (times, packed)) in (1u32..).zip(&files) {
            let mut times = times.clone();
            times.sort_unstable();
            let lines: Vec<String> = (1..).zip(&times).map(|(id, at)| line(id, "1.25", *at)).collect();
            let end = if *packed { "csv.zst" } else { "csv" };
            paths.push(write(folder.path(), &format!("S{number}-trades-2024.{end}"), &lines));
            let events = (1..).zip(&times).map(|(id, at)| event(number, id, "1.25", *at));
            expected.extend(events.zip(&times).enumerate().map(|(line, (event, at))| (*at, number, line, event)));
        }
        expected.sort_by_key(|(at, number, line, _)| (*at, *number, *line));
        let ran = replay(&paths, Selection::default());
        prop_assert!(ran.ran.end.is_ok());
        let expected: Vec<Event> = expected.into_iter().map(|(.., event)| event).collect();
        prop_assert_eq!(ran.ran.events, expected);
    }
}
