//! What the Parquet sink has stored, replayed: the events that were recorded, in their order, whatever files they are in.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_core::contract::sink::{STREAM, batch, canonical, instruments, sample_events};
use feedd_core::contract::source::{SourceHarness, SourceRan, SourceRun, source_contract};
use feedd_core::pace::Speed;
use feedd_core::playback::Pause;
use feedd_core::{Epoch, Instruments, Sink, Source, SourceError};
use feedd_model::{Event, EventHead, EventKind, InstrumentId, MonoNanos, UnixNanos};
use feedd_replay::{ReplayParts, ReplaySource, Selection, Tally};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const REASONS: [&[&str]; 2] = [&["line"], &["trade"]];

/// Stores each list of events as a start of the recorder, in many small files.
fn store(dir: &Path, starts: &[Vec<Event>], instruments: &Instruments) {
    let config = ParquetConfig { file_bytes_max: 24 << 10, row_group_rows_max: 1_500, ..ParquetConfig::new(dir) };
    let mut sink = ParquetSink::open(config, instruments.clone()).unwrap();
    for (epoch, events) in (1..).map(Epoch).zip(starts) {
        sink.recover(STREAM, epoch).unwrap();
        for start in (0..events.len()).step_by(1_000) {
            let end = (start + 1_000).min(events.len());
            sink.write(&batch(events, epoch, start..end, 300), MonoNanos(0)).unwrap();
        }
        sink.flush(MonoNanos(0)).unwrap();
        assert_eq!(sink.stored_seq().0, events.len() as u64);
    }
}

/// What a replay delivers of what was recorded.
fn expected(starts: &[Vec<Event>]) -> Vec<Event> {
    let is_replayed = |event: &&Event| {
        matches!(event.kind(), EventKind::Trade | EventKind::Quote | EventKind::Gap | EventKind::Status)
    };
    starts.iter().flatten().filter(is_replayed).map(canonical).collect()
}

struct Ran {
    ran: SourceRan,
    tally: Arc<Tally>,
    progress: (u64, u64),
}

fn open(dir: &Path, selection: Selection, instruments: &Instruments) -> Result<ReplaySource, SourceError> {
    let (name, instruments) = ("replay".to_owned(), instruments.clone());
    ReplaySource::stored(ReplayParts { name, instruments, speed: Speed::Max, pause: Pause::new(), selection }, dir)
}

fn replay(dir: &Path, selection: Selection, instruments: &Instruments) -> Ran {
    let source = open(dir, selection, instruments).unwrap();
    let (tally, progress) = (source.tally(), source.progress());
    let ran = SourceRun { ring: 8_192, ..SourceRun::new(REASONS) }.run(Box::new(source));
    Ran { ran, tally, progress: (progress.bytes.get(), progress.total.get()) }
}

/// Every Parquet file below a folder, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "parquet") {
            found.push(entry);
        }
    }
    found.sort();
    found
}

/// Two starts, of all kinds of events, over several venues and days.
fn recorded() -> [Vec<Event>; 2] {
    let with_time = |(at, event): (usize, &Event)| {
        // 4.5 s apart: over a day's end.
        let recv_ts = event.recv_ts().map(|_| UnixNanos(DAY + i64::try_from(at).unwrap() * 4_500_000_000));
        Event::new(EventHead { recv_ts, ..event.head() }, event.body())
    };
    [30_000, 7_000].map(|count| sample_events(count).iter().enumerate().map(with_time).collect())
}

/// 2024-08-08T00:00:00Z.
const DAY: i64 = 1_723_075_200_000_000_000;

#[test]
fn what_was_stored_is_replayed_event_by_event() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded, &book);
    assert!(files(dir.path()).len() > 60, "many files: {}", files(dir.path()).len());
    let ran = replay(dir.path(), Selection::default(), &book);
    assert!(ran.ran.end.is_ok(), "{:?}", ran.ran.end);
    let expected = expected(&recorded);
    assert_eq!(ran.ran.events.len(), expected.len());
    for (at, (found, expected)) in ran.ran.events.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "event {at}");
    }
    assert_eq!((ran.tally.delivered.get(), ran.tally.left_out.get()), (expected.len() as u64, 0));
    assert!(ran.progress.0 == ran.progress.1 && ran.progress.0 > 0, "{:?}", ran.progress);
}

#[test]
fn another_dictionary_gives_its_own_ids_to_the_same_names() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded, &book);
    let other = Instruments::in_memory();
    for _ in 0..7 {
        other.resolve("other", &format!("S{}", other.len())).unwrap();
    }
    let ran = replay(dir.path(), Selection::default(), &other);
    let name = |book: &Instruments, id| book.get(id).map(|one| (one.venue, one.symbol));
    let expected = expected(&recorded);
    assert_eq!(ran.ran.events.len(), expected.len());
    for (found, expected) in ran.ran.events.iter().zip(&expected) {
        assert_eq!(name(&other, found.instrument()), name(&book, expected.instrument()));
        assert_eq!(found.body(), expected.body());
        assert!(found.instrument() == InstrumentId::NONE || found.instrument().0 > 7);
    }
}

#[test]
fn a_range_and_symbols_are_chosen_and_the_whole_connection_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded, &book);
    let (since, until) = (UnixNanos(DAY + 3_600_000_000_000), UnixNanos(DAY + 90_000_000_000_000));
    let ids = ["BTCUSDT", "ETH-USD"]
        .map(|symbol| (1..).map(InstrumentId).find(|id| &*book.get(*id).unwrap().symbol == symbol).unwrap());
    let symbols = vec!["BTCUSDT".to_owned(), "ETH-USD".to_owned(), "NONE".to_owned()];
    let ran = replay(dir.path(), Selection { since: Some(since), until: Some(until), symbols }, &book);
    let is_wanted = |event: &Event| {
        let at = event.recv_ts().or(event.venue_ts());
        let named = event.instrument() == InstrumentId::NONE || ids.contains(&event.instrument());
        named && at.is_some_and(|at| at >= since && at < until)
    };
    let mut expected = expected(&recorded);
    let all = expected.len();
    expected.retain(is_wanted);
    assert!(expected.len() > 1_000 && expected.len() < all / 2, "{} of {all}", expected.len());
    assert_eq!(ran.ran.events, expected);
    assert_eq!(ran.tally.symbols_missing.get(), 1);
    // Nothing of the days around it.
    let after = Some(UnixNanos(DAY + 30 * 86_400_000_000_000));
    let error = open(dir.path(), Selection { since: after, ..Selection::default() }, &book).err().unwrap().to_string();
    assert!(error.contains("check --since and --until"), "{error}");
}

#[test]
fn damaged_foreign_and_doubled_files_are_told_and_the_rest_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded, &book);
    let trades: Vec<PathBuf> =
        files(dir.path()).into_iter().filter(|path| path.starts_with(dir.path().join("trades"))).collect();
    let [first, second, third, ..] = &trades[..] else { panic!("{trades:?}") };
    // Without its footer; with a name that its rows contradict; the same rows twice.
    let damaged = fs::read(first).unwrap();
    fs::write(first, &damaged[..damaged.len() / 2]).unwrap();
    let renamed = second.with_file_name(second.file_name().unwrap().to_str().unwrap().replace("-e00000", "-e90000"));
    fs::rename(second, &renamed).unwrap();
    let doubled = third.parent().unwrap().with_file_name("date=2024-01-01");
    fs::create_dir(&doubled).unwrap();
    fs::copy(third, doubled.join(third.file_name().unwrap())).unwrap();
    fs::write(third.with_file_name("part-0.parquet"), "PAR1").unwrap();
    fs::create_dir(dir.path().join("quotes").join("mine")).unwrap();
    let ran = replay(dir.path(), Selection::default(), &book);
    let error = ran.ran.end.as_ref().unwrap_err().to_string();
    // Folders are looked at before any file is opened.
    assert!(error.contains("part-0.parquet was not written by feedd; move it out of the folder"), "{error}");
    assert!(error.contains("3 further files were not read either"), "{error}");
    assert_eq!(ran.tally.files_bad.get(), 4);
    // All but the trades of the two files.
    let lost = [first, second].map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let numbers: Vec<u64> =
            name.split('-').skip(1).map(|part| part.trim_start_matches('e').parse().unwrap()).collect();
        let venue = path.parent().unwrap().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let day = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        (numbers, venue, day)
    });
    let day_of = |event: &Event| {
        let at = event.recv_ts().or(event.venue_ts()).map_or(0, |at| at.0);
        let days = at.div_euclid(86_400_000_000_000);
        time::Date::from_julian_day(i32::try_from(days + 2_440_588).unwrap()).unwrap().to_string()
    };
    let mut expected = Vec::new();
    for (epoch, events) in (1u64..).zip(&recorded) {
        for (seq, event) in (1u64..).zip(events) {
            let venue = book.get(event.instrument()).map_or("_".to_owned(), |one| one.venue.to_string());
            let is_lost = event.kind() == EventKind::Trade
                && lost.iter().any(|(numbers, lost_venue, lost_day)| {
                    numbers[0] == epoch
                        && (numbers[1]..=numbers[2]).contains(&seq)
                        && *lost_venue == format!("venue={venue}")
                        && *lost_day == format!("date={}", day_of(event))
                });
            if !is_lost {
                expected.push(*event);
            }
        }
    }
    assert_eq!(ran.ran.events, self::expected(&[expected]));
    assert!(ran.tally.repeated.get() > 0);
}

#[test]
fn whatever_is_damaged_inside_a_file_ends_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded[1..], &book);
    let kinds = ["trades", "quotes", "gaps", "status"];
    let victims: Vec<PathBuf> = kinds.iter().map(|kind| files(&dir.path().join(kind)).remove(0)).collect();
    let good: Vec<Vec<u8>> = victims.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(5);
    let (mut told, rounds) = (0, 120);
    for _ in 0..rounds {
        for (path, good) in victims.iter().zip(&good) {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] = random.u8(..);
            }
            fs::write(path, bytes).unwrap();
        }
        let ran = replay(dir.path(), Selection::default(), &book);
        let found = ran.tally.files_bad.get();
        assert_eq!(ran.ran.end.is_err(), found > 0, "{:?}", ran.ran.end);
        assert!(ran.tally.delivered.get() <= 7_000 && found <= 4);
        told += found;
    }
    assert!(told > rounds, "most damage is seen: {told} files in {rounds} rounds");
}

#[test]
fn files_of_several_recorders_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (recorded, book) = (recorded(), instruments());
    store(dir.path(), &recorded, &book);
    let other = files(&dir.path().join("trades")).remove(0);
    let name = other.file_name().unwrap().to_str().unwrap().replacen(&format!("s{}-", STREAM.0), "s77-", 1);
    fs::copy(&other, other.with_file_name(name)).unwrap();
    let error = open(dir.path(), Selection::default(), &book).err().unwrap().to_string();
    assert!(error.contains("files of several recorders") && error.contains("s77: 1 files"), "{error}");
    // The folder says whose it is.
    fs::create_dir_all(dir.path().join("_feedd")).unwrap();
    let state = format!(r#"{{"format":1,"stream":{},"epoch":2}}"#, STREAM.0);
    fs::write(dir.path().join("_feedd/stream.json"), state).unwrap();
    let ran = replay(dir.path(), Selection::default(), &book);
    assert!(ran.ran.end.is_ok(), "{:?}", ran.ran.end);
    assert_eq!(ran.ran.events, expected(&recorded));
}

struct Stored(tempfile::TempDir);

impl SourceHarness for Stored {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        Box::new(open(self.0.path(), Selection::default(), instruments).unwrap())
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        REASONS
    }
}

#[test]
fn a_stored_folder_keeps_the_contract_of_a_source() {
    let (dir, book) = (tempfile::tempdir().unwrap(), instruments());
    store(dir.path(), &recorded(), &book);
    source_contract(&mut Stored(dir));
}

#[test]
fn the_command_says_what_a_replay_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "1,2.5,3,7.5,1723075200123,true\nnothing\n2,2.5,3,7.5,1723075260456,false\n";
    fs::write(dir.path().join("BTCUSDT-trades-2024-08-08.csv"), lines).unwrap();
    let replay = |more: &[&str]| {
        let command = &mut std::process::Command::new(env!("CARGO_BIN_EXE_feedd"));
        let ran = command.args(["replay", "--from", "."]).args(more).current_dir(dir.path()).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    let (code, said, told) = replay(&[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(said.starts_with("2 events in ") && said.contains(": 2 trade\nfrom 2024-08-08T00:00:00"), "{said}");
    assert!(said.ends_with("left out 0, repeated 0, bad lines 1, bad files 0\n"), "{said}");
    assert!(told.contains("BTCUSDT-trades-2024-08-08.csv:2: 6 to 8 columns"), "{told}");
    let (code, said, _) = replay(&["--since", "2024-08-08T00:01:00Z", "--speed", "4000000"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("1 events in ") && said.contains("left out 1,") && said.contains("p99"), "{said}");
    let (code, said, told) = replay(&["--symbols", "ETHUSDT"]);
    assert_eq!((code, said.as_str()), (Some(2), ""), "{told}");
    assert!(told.contains("no file is of ETHUSDT"), "{told}");
}
