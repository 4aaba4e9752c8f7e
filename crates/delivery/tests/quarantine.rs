//! A refused event stays: whole, exact, once, below a bound, through crashes and full disks. Content is read back by
//! `serde_json` alone.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_core::Instruments;
use feedd_core::contract::sink::sample_derived;
use feedd_delivery::{Entry, EntryState, Identity, Quarantine, QuarantineError, Refused, list_quarantine};
use feedd_model::{
    Bar, BarFlags, Book, BookAction, Decimal, Derived, Epoch, Event, EventBody, EventHead, Flags, Gap, GapReason,
    InstrumentId, Interval, Level, Position, Quote, Seq, Side, Status, StatusCode, StreamId, Sum, Trade, TradeId,
    UnixNanos, VenueSeq,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const AT: UnixNanos = UnixNanos(1_700_000_000_123_456_789);

struct Folder {
    dir: TempDir,
    instruments: Instruments,
}

impl Folder {
    fn new() -> Self {
        let instruments = Instruments::in_memory();
        instruments.resolve("binance", "BTCUSDT").unwrap();
        Self { dir: tempfile::tempdir().unwrap(), instruments }
    }
    fn path(&self) -> PathBuf {
        Quarantine::path_in(self.dir.path(), "postgres")
    }
    fn open(&self) -> Quarantine {
        self.bounded(1 << 20)
    }
    fn bounded(&self, bytes_max: u64) -> Quarantine {
        Quarantine::open(&self.path(), bytes_max, self.instruments.clone()).unwrap()
    }
    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
    fn values(&self) -> Vec<Value> {
        values(&self.path())
    }
    fn add(&self, bytes: &[u8]) {
        std::fs::OpenOptions::new().append(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }
}

fn values(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seqs(values: &[Value]) -> Vec<u64> {
    values.iter().filter_map(|value| value["seq"].as_u64()).collect()
}

fn trade() -> Event {
    let head = EventHead {
        instrument: InstrumentId(1),
        venue_ts: Some(UnixNanos(1_700_000_000_000_000_001)),
        recv_ts: Some(UnixNanos(1_700_000_000_000_000_002)),
        flags: Flags::AFTER_GAP.with(Flags::PRICE_JUMP),
    };
    let (price, size) = (Decimal::parse(b"58942.01000000").unwrap(), Decimal::parse(b"0.00000006").unwrap());
    Event::new(head, EventBody::Trade(Trade { price, size, side: Some(Side::Sell), id: TradeId::Number(u128::MAX) }))
}

fn refused(epoch: u32, seq: u64) -> Refused {
    let reason = "23514: \"größe\"\nviolates check".to_owned();
    Refused { stream: StreamId(7), epoch: Epoch(epoch), seq: Seq(seq), events: vec![trade()], reason }
}

fn many(epoch: u32, seqs: impl IntoIterator<Item = u64>) -> Vec<Refused> {
    seqs.into_iter().map(|seq| refused(epoch, seq)).collect()
}

fn entries(path: &Path) -> Vec<Entry> {
    list_quarantine(path).unwrap().map(Result::unwrap).collect()
}

fn holds(quarantine: &Quarantine, epoch: u32) -> Vec<u64> {
    quarantine.holds(StreamId(7), Epoch(epoch)).into_iter().map(|seq| seq.0).collect()
}

#[test]
fn a_kept_event_is_one_line_of_json_with_identity_reason_and_every_field() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    assert!(!folder.path().exists(), "made at the first refused event");
    assert_eq!(quarantine.keep(&[refused(3, 41)], "postgres", AT).unwrap(), 1);
    let bytes: String = trade().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = json!({
        "version": 1, "sink": "postgres", "stream": 7, "epoch": 3, "seq": 41, "refused_at": 1_700_000_000_123_456_789_i64,
        "reason": "23514: \"größe\"\nviolates check", "venue": "binance", "symbol": "BTCUSDT",
        "event": {
            "instrument": 1, "venue_ts": 1_700_000_000_000_000_001_i64, "recv_ts": 1_700_000_000_000_000_002_i64,
            "flags": ["after_gap", "price_jump"], "kind": "trade", "price": "58942.01000000", "size": "0.00000006",
            "side": "sell", "trade_id": "340282366920938463463374607431768211455",
        },
        "bytes": bytes,
    });
    assert_eq!(folder.values(), [expected]);
    let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    let entry = &entries(&folder.path())[0];
    assert_eq!((entry.events.as_slice(), entry.state, entry.line), ([trade()].as_slice(), EntryState::Pending, 1));
    assert_eq!((entry.venue.as_deref(), entry.symbol.as_deref()), (Some("binance"), Some("BTCUSDT")));
}

#[test]
fn every_kind_shows_its_fields_by_name() {
    let d = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    let seq = |n| Some(VenueSeq(n));
    let cases = [
        (
            EventBody::Quote(Quote {
                bid: Some(d("1.50")),
                bid_size: None,
                ask: None,
                ask_size: Some(d("2")),
                venue_seq: seq(-1),
            }),
            json!({"kind": "quote", "bid": "1.50", "bid_size": null, "ask": null, "ask_size": "2", "venue_seq": -1}),
        ),
        (
            EventBody::Book(Book {
                action: BookAction::Snapshot,
                seq_first: None,
                seq_last: seq(5),
                seq_prev: seq(i64::MAX),
                checksum: Some(u32::MAX),
                bids: 1,
                asks: 2,
            }),
            json!({"kind": "book", "action": "snapshot", "seq_first": null, "seq_last": 5, "seq_prev": i64::MAX, "checksum": u32::MAX, "bids": 1, "asks": 2}),
        ),
        (
            EventBody::Level(Level {
                action: BookAction::Delta,
                side: Side::Sell,
                price: d("0.1"),
                size: d("0.000"),
                venue_seq: None,
                index: 9,
            }),
            json!({"kind": "level", "action": "delta", "side": "ask", "price": "0.1", "size": "0.000", "venue_seq": null, "level": 9}),
        ),
        (
            EventBody::Gap(Gap {
                reason: GapReason::RingFull,
                first_missing: seq(1),
                last_missing: seq(2),
                from_ts: Some(UnixNanos(3)),
                to_ts: None,
                events: Some(u64::MAX - 1),
            }),
            json!({"kind": "gap", "reason": "ring_full", "first_missing": 1, "last_missing": 2, "from_ts": 3, "to_ts": null, "events": u64::MAX - 1}),
        ),
        (
            EventBody::Status(Status { code: StatusCode::Ended, detail: u64::MAX }),
            json!({"kind": "status", "code": "ended", "detail": u64::MAX}),
        ),
    ];
    let folder = Folder::new();
    let mut quarantine = folder.open();
    let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };
    let items: Vec<Refused> = (1..)
        .zip(&cases)
        .map(|(seq, (body, _))| Refused { events: vec![Event::new(head, *body)], ..refused(1, seq) })
        .collect();
    assert_eq!(quarantine.keep(&items, "postgres", AT).unwrap(), 5);
    for (value, (_, fields)) in folder.values().iter().zip(cases) {
        let mut expected = json!({"instrument": 0, "venue_ts": null, "recv_ts": null, "flags": []});
        expected.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(value["event"], expected);
        assert_eq!((&value["venue"], &value["symbol"]), (&Value::Null, &Value::Null), "a whole connection");
    }
}

#[test]
fn a_derived_record_is_one_line_with_its_fields_and_all_its_slots_count() {
    let d = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    let sum = |mantissa, scale| Sum::from_parts(mantissa, scale).unwrap();
    let bar = Bar {
        instrument: InstrumentId(1),
        interval: Interval::Volume(250_000_000),
        start: UnixNanos(1),
        end: UnixNanos(2),
        closed_at: UnixNanos(3),
        open: d("1.50"),
        high: d("2"),
        low: d("1"),
        close: d("1.0"),
        volume: sum(70, 1),
        buy_volume: sum(3, 0),
        notional: sum(i128::MAX, 60),
        trades: 5,
        flags: BarFlags::PARTIAL.with(BarFlags::REVISED),
        revision: 1,
        quality_bp: 9_999,
        number: 8,
    };
    let folder = Folder::new();
    let mut quarantine = folder.open();
    let item = Refused { events: Derived::Bar(bar).to_events().events().to_vec(), ..refused(1, 5) };
    assert_eq!(quarantine.keep(&[item.clone(), item.clone()], "postgres", AT).unwrap(), 3);
    assert_eq!((holds(&quarantine, 1), holds(&folder.open(), 1)), (vec![5, 6, 7], vec![5, 6, 7]));
    let fields = json!({
        "instrument": 1, "venue_ts": 1, "recv_ts": 3, "flags": [], "kind": "bar", "interval": "2.5v", "start_ts": 1,
        "end_ts": 2, "closed_ts": 3, "open": "1.50", "high": "2", "low": "1", "close": "1.0", "volume": "7",
        "buy_volume": "3", "notional": "0.000000000000000000000170141183460469231731687303715884105727", "trades": 5,
        "bar_flags": 5, "state": "partial+revised", "revision": 1, "quality_bp": 9999, "number": 8,
    });
    assert_eq!(folder.values().iter().map(|value| &value["event"]).collect::<Vec<_>>(), [&fields]);
    quarantine.mark_stored(&[item.identity()], AT).unwrap();
    assert_eq!(entries(&folder.path())[0].state, EntryState::Retried { at: AT });
    assert_eq!((quarantine.drop_stored().unwrap(), entries(&folder.path()).len()), (1, 0));
}

#[test]
fn the_same_event_is_kept_once_also_after_a_restart() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    assert_eq!(quarantine.keep(&many(1, [5, 6, 5]), "postgres", AT).unwrap(), 2);
    assert_eq!(quarantine.keep(&many(1, [6, 7]), "postgres", AT).unwrap(), 1);
    let before = folder.bytes();
    let mut again = folder.open();
    assert_eq!(again.keep(&many(1, [5, 6, 7]), "postgres", AT).unwrap(), 0);
    assert_eq!(folder.bytes(), before);
    assert_eq!(again.keep(&many(2, [5]), "postgres", AT).unwrap(), 1, "another start is another event");
    assert_eq!(seqs(&folder.values()), [5, 6, 7, 5]);
    // As after a write whose sync failed and which could not be taken back.
    folder.add(&before);
    assert_eq!(entries(&folder.path()).len(), 4, "listed once");
    assert_eq!((holds(&again, 1), holds(&again, 2), holds(&again, 3)), (vec![5, 6, 7], vec![5], vec![]));
    assert!(again.holds(StreamId(8), Epoch(1)).is_empty(), "another stream");
}

#[test]
fn what_a_sink_has_passed_is_forgotten_in_memory_alone() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    quarantine.keep(&[many(1, [9]), many(2, [3, 4, 5])].concat(), "postgres", AT).unwrap();
    quarantine.forget(StreamId(8), Position { epoch: Epoch(9), seq: Seq(9) });
    quarantine.forget(StreamId(7), Position { epoch: Epoch(2), seq: Seq(4) });
    assert_eq!((holds(&quarantine, 1), holds(&quarantine, 2)), (vec![], vec![5]));
    assert_eq!(seqs(&folder.values()), [9, 3, 4, 5]);
}

#[test]
fn a_torn_last_line_is_cut_at_every_length_and_nothing_else() {
    let folder = Folder::new();
    folder.open().keep(&many(1, [1, 2]), "postgres", AT).unwrap();
    let whole = folder.bytes();
    let second = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for length in second..whole.len() {
        std::fs::write(folder.path(), &whole[..length]).unwrap();
        let listed = entries(&folder.path()).len();
        let mut quarantine = folder.open();
        assert!(folder.bytes().ends_with(b"\n"), "length {length}: what follows is not spoilt");
        // The last length holds the whole line without its line feed: that event is kept.
        let expected: &[u64] = if length == whole.len() - 1 { &[1, 2] } else { &[1] };
        assert_eq!((holds(&quarantine, 1), listed), (expected.to_vec(), expected.len()), "length {length}");
        quarantine.keep(&many(1, [2, 3]), "postgres", AT).unwrap();
        assert_eq!(seqs(&folder.values()), [1, 2, 3], "length {length}");
    }
    println!("n={}", whole.len() - second);
}

#[test]
fn a_tail_of_zeros_longer_than_a_block_is_cut() {
    let folder = Folder::new();
    folder.open().keep(&many(1, [1]), "postgres", AT).unwrap();
    folder.add(&[0; 20_000]);
    folder.open().keep(&many(1, [2]), "postgres", AT).unwrap();
    assert_eq!(seqs(&folder.values()), [1, 2]);
}

#[test]
fn a_torn_end_that_appears_while_the_file_is_in_use_does_not_spoil_the_next_line() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    quarantine.keep(&many(1, [1]), "postgres", AT).unwrap();
    folder.add(b"{\"version\":1,\"si");
    quarantine.keep(&many(1, [2]), "postgres", AT).unwrap();
    assert_eq!(seqs(&folder.values()), [1, 2]);
}

#[test]
fn a_damaged_line_is_named_and_costs_itself_alone() {
    type Damage = fn(&str) -> String;
    let damages: [(&str, Damage); 4] = [
        ("no JSON", |line| line[..40].to_owned()),
        ("a changed price", |line| line.replace("58942.01", "58943.01")),
        ("a changed byte", |line| line.replace("\"bytes\":\"0", "\"bytes\":\"1")),
        ("a kind that does not exist", |line| line.replacen(&line[line.len() - 130..], &"f".repeat(128), 1) + "\"}"),
    ];
    for (name, damage) in damages {
        let folder = Folder::new();
        folder.open().keep(&many(1, [1, 2, 3]), "postgres", AT).unwrap();
        let text = String::from_utf8(folder.bytes()).unwrap();
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        let damaged = damage(&lines[1]);
        assert_ne!(damaged, lines[1], "{name}");
        lines[1] = damaged;
        std::fs::write(folder.path(), lines.join("\n") + "\n").unwrap();
        let listed: Vec<_> = list_quarantine(&folder.path()).unwrap().collect();
        assert_eq!(listed.len(), 3, "{name}");
        assert!(matches!(&listed[1], Err(QuarantineError::Damaged { line: 2, .. })), "{name}: {:?}", listed[1]);
        assert_eq!(listed.iter().flatten().map(|entry| entry.identity.seq.0).collect::<Vec<_>>(), [1, 3], "{name}");
        let mut quarantine = folder.open();
        assert_eq!(holds(&quarantine, 1), [1, 3], "{name}");
        assert_eq!(quarantine.keep(&many(1, [2]), "postgres", AT).unwrap(), 1, "{name}: refused and kept again");
        assert!(folder.bytes().starts_with((lines.join("\n") + "\n").as_bytes()), "{name}: the damage stays as it is");
    }
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let folder = Folder::new();
    folder.open().keep(&many(1, [1]), "postgres", AT).unwrap();
    folder.add(b"{\"version\":2,\"what\":\"ever\"}\n{\"torn");
    let before = folder.bytes();
    let opened = Quarantine::open(&folder.path(), 1 << 20, folder.instruments.clone());
    assert!(matches!(opened, Err(QuarantineError::Newer { line: 2, version: 2, .. })), "{opened:?}");
    assert!(matches!(list_quarantine(&folder.path()).err(), Some(QuarantineError::Newer { line: 2, .. })));
    assert_eq!(folder.bytes(), before);
}

#[test]
fn a_full_quarantine_takes_nothing_until_its_stored_events_are_dropped() {
    let folder = Folder::new();
    folder.open().keep(&many(1, 1..=10), "postgres", AT).unwrap();
    let before = folder.bytes();
    let mut quarantine = folder.bounded(before.len() as u64 + 5);
    let error = quarantine.keep(&many(1, [11]), "postgres", AT).unwrap_err();
    assert!(
        matches!(&error, QuarantineError::Full { bytes_max, .. } if *bytes_max == before.len() as u64 + 5),
        "{error}"
    );
    assert_eq!((folder.bytes(), holds(&quarantine, 1)), (before, (1..=10).collect()));
    let stored: Vec<Identity> = many(1, 1..=4).iter().map(Refused::identity).collect();
    quarantine.mark_stored(&stored, UnixNanos(AT.0 + 1)).expect("above the bound: it is the way to room");
    let states: Vec<EntryState> = entries(&folder.path()).iter().map(|entry| entry.state).collect();
    assert_eq!(states[..4], [EntryState::Retried { at: UnixNanos(AT.0 + 1) }; 4]);
    assert_eq!(states[4..], [EntryState::Pending; 6]);
    assert_eq!(holds(&folder.open(), 1), (1..=10).collect::<Vec<u64>>(), "stored ones too: not to be offered again");
    assert!(quarantine.keep(&many(1, [11]), "postgres", AT).is_err());
    assert_eq!(quarantine.drop_stored().unwrap(), 4);
    assert_eq!(quarantine.keep(&many(1, [11]), "postgres", AT).unwrap(), 1);
    assert_eq!(seqs(&folder.values()), (5..=11).collect::<Vec<u64>>());
    assert!(folder.values().iter().all(|value| value["stored"].is_null()));
    let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, std::fs::read_dir(folder.path().parent().unwrap()).unwrap().count()), (0o600, 1));
}

#[test]
fn dropping_stored_events_leaves_damaged_lines_and_another_writer_goes_on_in_the_new_file() {
    let folder = Folder::new();
    let mut recorder = folder.open();
    recorder.keep(&many(1, [1]), "postgres", AT).unwrap();
    folder.add(b"not a line\n");
    let command = folder.open();
    command.mark_stored(&[refused(1, 1).identity()], AT).unwrap();
    assert_eq!(command.drop_stored().unwrap(), 1);
    assert_eq!(folder.bytes(), b"not a line\n");
    recorder.keep(&many(1, [2]), "postgres", AT).unwrap();
    let listed: Vec<_> = list_quarantine(&folder.path()).unwrap().collect();
    assert!(matches!(listed[0], Err(QuarantineError::Damaged { line: 1, .. })));
    assert_eq!(listed[1].as_ref().unwrap().identity, refused(1, 2).identity());
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    quarantine.keep(&many(1, [1]), "postgres", AT).unwrap();
    let moved = folder.dir.path().join("moved.jsonl");
    std::fs::rename(folder.path(), &moved).unwrap();
    quarantine.keep(&many(1, [2]), "postgres", AT).unwrap();
    assert_eq!((seqs(&values(&moved)), seqs(&folder.values())), (vec![1], vec![2]));
    assert!(list_quarantine(&folder.dir.path().join("none.jsonl")).unwrap().next().is_none(), "no file, no events");
}

#[test]
fn two_writers_do_not_mix_their_lines() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for epoch in 1..=4 {
            let mut quarantine = folder.open();
            scope.spawn(move || {
                for seq in (1..=50).step_by(5) {
                    quarantine.keep(&many(epoch, seq..seq + 5), "postgres", AT).unwrap();
                }
            });
        }
    });
    let found: BTreeSet<(u64, u64)> = folder
        .values()
        .iter()
        .map(|value| (value["epoch"].as_u64().unwrap(), value["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!((folder.values().len(), found.len()), (200, 200));
}

#[test]
fn a_writer_that_waited_for_the_lock_adds_to_the_file_that_was_put_in_place() {
    let folder = Folder::new();
    let mut quarantine = folder.open();
    quarantine.keep(&many(1, [1]), "postgres", AT).unwrap();
    let locked = std::fs::File::open(folder.path()).unwrap();
    locked.lock().unwrap();
    let inode = locked.metadata().unwrap().ino();
    let writer = std::thread::spawn(move || quarantine.keep(&many(1, [2]), "postgres", AT));
    // "1: -> FLOCK ADVISORY WRITE 4711 00:2b:1234 0 EOF": someone waits.
    let waits = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("->") && line.contains(&format!(":{inode} ")))
    };
    while !waits() {
        assert!(!writer.is_finished(), "it waits for the lock");
        std::thread::yield_now();
    }
    let new = folder.dir.path().join("new.jsonl");
    std::fs::write(&new, b"").unwrap();
    std::fs::rename(&new, folder.path()).unwrap();
    drop(locked);
    assert_eq!(writer.join().unwrap().unwrap(), 1);
    assert_eq!(seqs(&folder.values()), [2], "not into the file without a name");
}

/// A tmpfs of 64 KiB; unmounted when it goes out of scope.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(dir.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: mounting a tmpfs is not allowed here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the folder stays.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_nothing_counts_as_kept_and_it_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = Quarantine::path_in(disk.0.path(), "postgres");
    let mut quarantine = Quarantine::open(&path, 1 << 20, Instruments::in_memory()).unwrap();
    quarantine.keep(&many(1, 1..=3), "postgres", AT).unwrap();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 40 << 10]).unwrap();
    let before = std::fs::read(&path).unwrap();
    // Larger than what is left: the write stops in the middle of a line.
    let error = quarantine.keep(&many(1, 4..=60), "postgres", AT).unwrap_err();
    assert!(matches!(&error, QuarantineError::Io { source, .. } if source.raw_os_error() == Some(28)), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(holds(&quarantine, 1), [1, 2, 3]);
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(quarantine.keep(&many(1, 4..=60), "postgres", AT).unwrap(), 57);
    assert_eq!(seqs(&values(&path)), (1..=60).collect::<Vec<u64>>());
}

/// Names the folder for the process that runs with failing syncs.
const CHILD_FOLDER: &str = "FEEDD_TEST_QUARANTINE";

/// The part of the next test that runs with failing syncs: prints what happened to each call.
fn keep_with_failing_syncs(path: &Path) {
    let mut quarantine = Quarantine::open(path, 1 << 20, Instruments::in_memory()).unwrap();
    for seqs in [1..=2, 3..=5, 3..=5] {
        let before = std::fs::read(path).unwrap_or_default();
        let result = quarantine.keep(&many(1, seqs), "postgres", AT);
        if let Err(error) = result {
            let QuarantineError::Io { source, action, .. } = error else { panic!("{error}") };
            assert_eq!(source.raw_os_error(), Some(5), "{action}");
            assert_eq!(std::fs::read(path).unwrap(), before, "as before");
            println!("failed: {action}, holds {:?}", holds(&quarantine, 1));
        } else {
            println!("kept: {:?}", result.unwrap());
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_counts_as_kept_and_the_next_attempt_writes_it_again() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return keep_with_failing_syncs(&Quarantine::path_in(Path::new(&folder), "postgres"));
    }
    let cases = [
        ("fdatasync:error=EIO:when=2", ["kept: 2", "failed: writing, holds [1, 2]", "kept: 3"]),
        ("fsync:error=EIO:when=1", ["failed: syncing the folder, holds []", "kept: 3", "kept: 0"]),
    ];
    for (fault, expected) in cases {
        let folder = Folder::new();
        let name = "after_a_failed_sync_nothing_counts_as_kept_and_the_next_attempt_writes_it_again";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &format!("inject={fault}")]);
        strace.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
        let output = strace.env(CHILD_FOLDER, folder.dir.path()).output();
        let Some(output) = output.ok().filter(|output| output.status.code() != Some(1)) else {
            println!("skipped: strace is not there or may not trace");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness may print the test's name before the first of them, on the same line.
        let told: Vec<&str> = text
            .lines()
            .filter_map(|line| line.find("kept: ").or_else(|| line.find("failed: ")).map(|at| &line[at..]))
            .collect();
        assert_eq!(told, expected, "{fault}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let expected: &[u64] = if expected[0] == "kept: 2" { &[1, 2, 3, 4, 5] } else { &[3, 4, 5] };
        assert_eq!(seqs(&folder.values()), expected, "{fault}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = Folder::new();
    std::fs::write(folder.dir.path().join("quarantine"), b"a file").unwrap();
    let error = Quarantine::open(&folder.path(), 1 << 20, folder.instruments.clone()).unwrap_err();
    assert!(error.to_string().contains("quarantine"), "{error}");
    assert!(matches!(error, QuarantineError::Io { .. }));
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (-i64::MAX..=i64::MAX, 0u8..=30).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap())
}

fn seq() -> impl Strategy<Value = Option<VenueSeq>> {
    prop::option::of((-1..=i64::MAX).prop_map(VenueSeq))
}

fn time() -> impl Strategy<Value = Option<UnixNanos>> {
    prop::option::of((-i64::MAX..=i64::MAX).prop_map(UnixNanos))
}

fn action() -> impl Strategy<Value = BookAction> {
    prop_oneof![Just(BookAction::Snapshot), Just(BookAction::Delta)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn trade_id() -> impl Strategy<Value = TradeId> {
    prop_oneof![Just(TradeId::None), any::<u128>().prop_map(TradeId::Number), any::<u128>().prop_map(TradeId::Uuid)]
}

fn body() -> impl Strategy<Value = EventBody> {
    let price = || prop::option::of(decimal());
    prop_oneof![
        (decimal(), decimal(), prop::option::of(side()), trade_id())
            .prop_map(|(price, size, side, id)| EventBody::Trade(Trade { price, size, side, id })),
        (price(), price(), price(), price(), seq()).prop_map(|(bid, bid_size, ask, ask_size, venue_seq)| {
            EventBody::Quote(Quote { bid, bid_size, ask, ask_size, venue_seq })
        }),
        (action(), seq(), seq(), seq(), prop::option::of(any::<u32>()), any::<u32>(), any::<u32>()).prop_map(
            |(action, seq_first, seq_last, seq_prev, checksum, bids, asks)| {
                EventBody::Book(Book { action, seq_first, seq_last, seq_prev, checksum, bids, asks })
            }
        ),
        (action(), side(), decimal(), decimal(), seq(), any::<u32>()).prop_map(
            |(action, side, price, size, venue_seq, index)| {
                EventBody::Level(Level { action, side, price, size, venue_seq, index })
            }
        ),
        (0..GapReason::ALL.len(), seq(), seq(), time(), time(), prop::option::of(0..u64::MAX)).prop_map(
            |(reason, first_missing, last_missing, from_ts, to_ts, events)| {
                let reason = GapReason::ALL[reason];
                EventBody::Gap(Gap { reason, first_missing, last_missing, from_ts, to_ts, events })
            }
        ),
        (0..StatusCode::ALL.len(), any::<u64>())
            .prop_map(|(code, detail)| EventBody::Status(Status { code: StatusCode::ALL[code], detail })),
    ]
}

fn any_refused() -> impl Strategy<Value = Refused> {
    let head = (any::<u32>(), time(), time(), any::<u8>()).prop_map(|(instrument, venue_ts, recv_ts, bits)| {
        EventHead { instrument: InstrumentId(instrument), venue_ts, recv_ts, flags: Flags::from_bits(bits) }
    });
    // Far enough apart that the slots of one record are not those of another.
    let place = (0..3u32, 0..3u32, (0..u64::MAX / 8).prop_map(|n| n * 8));
    let events = prop_oneof![
        (head, body()).prop_map(|(head, body)| vec![Event::new(head, body)]),
        (0..500usize).prop_map(|i| sample_derived(i).to_events().events().to_vec()),
        (0..500usize).prop_map(|i| sample_derived(i).to_events().events().last().copied().into_iter().collect()),
    ];
    (events, place, any::<String>()).prop_map(|(events, (stream, epoch, seq), reason)| Refused {
        stream: StreamId(stream),
        epoch: Epoch(epoch),
        seq: Seq(seq),
        events,
        reason,
    })
}

proptest! {
    /// An event of any kind, refused for any reason, comes back to the bit: by the listing, and from the hex text alone.
    #[test]
    fn every_event_comes_back_exactly(items in prop::collection::vec(any_refused(), 1..8)) {
        let folder = Folder::new();
        let kept = folder.open().keep(&items, "postgres", AT).unwrap();
        let mut known = BTreeSet::new();
        let first: Vec<&Refused> = items.iter().filter(|item| known.insert(item.identity())).collect();
        prop_assert_eq!(kept, first.iter().map(|item| item.events.len() as u64).sum::<u64>(), "each slot is an event");
        let (listed, values) = (entries(&folder.path()), folder.values());
        prop_assert_eq!((listed.len(), values.len()), (first.len(), first.len()));
        for ((item, entry), value) in first.into_iter().zip(&listed).zip(&values) {
            prop_assert_eq!(entry.identity, item.identity());
            prop_assert_eq!(&entry.events, &item.events);
            prop_assert!(entry.identities().eq(item.identities()));
            prop_assert_eq!((&entry.reason, entry.refused_at), (&item.reason, AT));
            let text = value["bytes"].as_str().unwrap();
            let bytes = |at| (at..at + 64).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap());
            let events = (0..text.len() / 2).step_by(64).map(|at| bytes(at).collect::<Vec<u8>>().try_into().unwrap());
            prop_assert_eq!(events.map(|bytes| Event::from_bytes(&bytes).unwrap()).collect::<Vec<_>>(), item.events.clone());
        }
    }
}
