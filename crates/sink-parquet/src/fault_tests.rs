//! Each call to the file system made to fail, at each place: nothing lost, nothing twice, nothing half visible.

use crate::config::ParquetConfig;
use crate::disk::Disk;
use crate::sink::ParquetSink;
use feedd_core::contract::sink::{STREAM, batch, instruments, sample_events};
use feedd_core::{Epoch, Seq, Sink, SinkError};
use feedd_model::MonoNanos;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Counts of calls that still succeed; below 0 the call fails once, then the count is disarmed.
#[derive(Clone, Default)]
struct Faults {
    sync: Arc<AtomicI64>,
    sync_dir: Arc<AtomicI64>,
    rename: Arc<AtomicI64>,
    /// Bytes that still fit.
    room: Arc<AtomicI64>,
    /// Failures so far.
    fired: Arc<AtomicI64>,
}

const HEALTHY: i64 = i64::MAX / 2;

impl Faults {
    fn none() -> Self {
        let faults = Self::default();
        for count in [&faults.sync, &faults.sync_dir, &faults.rename, &faults.room] {
            count.store(HEALTHY, Ordering::Relaxed);
        }
        faults
    }

    fn due(&self, count: &AtomicI64) -> io::Result<()> {
        if count.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        count.store(HEALTHY, Ordering::Relaxed);
        self.fired.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::other("injected"))
    }
}

impl Disk for Faults {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let room = usize::try_from(self.room.load(Ordering::Relaxed)).unwrap_or(0);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = std::os::unix::fs::FileExt::write_at(file, &bytes[..bytes.len().min(room)], offset)?;
        self.room.fetch_sub(i64::try_from(written).unwrap(), Ordering::Relaxed);
        Ok(written)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        self.due(&self.sync)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.due(&self.rename)?;
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.due(&self.sync_dir)
    }
}

fn open(dir: &Path, faults: &Faults, set: impl FnOnce(&mut ParquetConfig)) -> ParquetSink {
    let mut config = ParquetConfig::new(dir);
    set(&mut config);
    ParquetSink::open_on(Box::new(faults.clone()), config, instruments()).unwrap()
}

/// Sequences of every visible row, sorted. Every visible file opens.
fn stored(dir: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(stored(&path));
        } else if path.extension().is_some_and(|e| e == "parquet") {
            let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
            let seqs = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_long(1).unwrap());
            found.extend(seqs.map(i64::cast_unsigned));
        }
    }
    found.sort_unstable();
    found
}

fn dense(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[test]
fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let mut sink = open(dir.path(), &faults, |config| config.memory_bytes_max = 0);
    sink.recover(STREAM, Epoch(1)).unwrap();
    let events = sample_events(2000);
    faults.room.store(3000, Ordering::Relaxed);
    let (mut at, mut refusals) = (0, 0);
    while at < events.len() {
        match sink.write(&batch(&events, Epoch(1), at..at + 100, 50), MonoNanos(0)) {
            Ok(()) => at += 100,
            Err(error) => {
                assert!(
                    matches!(error, SinkError::Unavailable { .. }) && error.to_string().contains(".tmp"),
                    "{error}"
                );
                refusals += 1;
                assert!(sink.tick(MonoNanos(1)).is_err() && sink.flush(MonoNanos(1)).is_err());
                faults.room.store(2500, Ordering::Relaxed); // some room, until the next time
            }
        }
    }
    assert!(refusals > 3, "{refusals}");
    faults.room.store(HEALTHY, Ordering::Relaxed);
    sink.flush(MonoNanos(2)).unwrap();
    assert_eq!(sink.stored_seq(), Seq(2000));
    assert_eq!(stored(dir.path()), dense(2000));
}

/// A whole recording in which one call fails, as delivery does it: tries again when it may, asks when it must. Returns
/// how often it had to ask.
fn record_with(faults: &Faults, dir: &Path) -> u32 {
    let events = sample_events(300);
    let mut recoveries = 0;
    let mut sink = open(dir, faults, |config| config.open_files_max = 2);
    let mut position = None;
    loop {
        let Some(at) = position else {
            position = sink.recover(STREAM, Epoch(1)).ok().map(|seq| usize::try_from(seq.0).unwrap());
            continue;
        };
        let until = events.len().min(at + 70);
        let result = if at < until {
            sink.write(&batch(&events, Epoch(1), at..until, 50), MonoNanos(0))
        } else {
            sink.flush(MonoNanos(0))
        };
        match result {
            Ok(()) if at == until => break,
            Ok(()) => position = Some(until),
            Err(SinkError::Unavailable { .. }) => {}
            Err(SinkError::Unknown { .. }) => {
                let error = sink.write(&batch(&events, Epoch(1), 0..1, 1), MonoNanos(0)).unwrap_err();
                assert!(matches!(error, SinkError::Unknown { .. }), "{error}");
                recoveries += 1;
                position = None;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sink.stored_seq(), Seq(300));
    recoveries
}

#[test]
fn any_single_failing_call_is_survived_exactly_once() {
    type Pick = fn(&Faults) -> &AtomicI64;
    let calls: [(&str, Pick); 3] = [("sync", |f| &f.sync), ("rename", |f| &f.rename), ("sync_dir", |f| &f.sync_dir)];
    for (name, pick) in calls {
        let (mut recoveries, mut fired) = (0, 0);
        for successes in 1..40 {
            let (dir, faults) = (tempfile::tempdir().unwrap(), Faults::none());
            pick(&faults).store(successes, Ordering::Relaxed);
            recoveries += record_with(&faults, dir.path());
            fired += faults.fired.load(Ordering::Relaxed);
            assert_eq!(stored(dir.path()), dense(300), "{name} fails after {successes}");
        }
        let faults = u64::try_from(fired).unwrap();
        feedd_testkit::promise::Report::new("P20")
            .runs(39)
            .faults(faults)
            .fault_kinds(&format!("failed {name}"))
            .finish();
        assert!(fired > 20, "{name} failed {fired} times");
        // A failed sync gives a file up; a failed rename, or the sync of a new folder's parent, is tried again.
        assert_eq!(recoveries > 0, name != "rename", "{name}: {recoveries} recoveries");
    }
}

/// Dead between two steps of closing files: a new sink goes on from what is on disk.
#[test]
fn a_kill_between_two_renames_is_exactly_once() {
    let events = sample_events(500);
    for stop_after in 0..40 {
        let (dir, faults) = (tempfile::tempdir().unwrap(), Faults::none());
        let mut sink = open(dir.path(), &faults, |config| config.open_files_max = 2);
        sink.recover(STREAM, Epoch(1)).unwrap();
        faults.rename.store(stop_after, Ordering::Relaxed);
        for start in (0..500).step_by(50) {
            if sink.write(&batch(&events, Epoch(1), start..start + 50, 50), MonoNanos(0)).is_err() {
                break;
            }
            if faults.rename.load(Ordering::Relaxed) > stop_after {
                break; // the rename failed inside the write: from here the process is dead
            }
        }
        let told = sink.stored_seq();
        drop(sink);
        let mut sink = open(dir.path(), &Faults::none(), |_| {});
        let position = sink.recover(STREAM, Epoch(1)).unwrap();
        assert!(position >= told, "what was told to be stored is stored");
        let from = usize::try_from(position.0).unwrap();
        if from < 500 {
            sink.write(&batch(&events, Epoch(1), from..500, 500), MonoNanos(0)).unwrap();
        }
        sink.flush(MonoNanos(0)).unwrap();
        assert_eq!(stored(dir.path()), dense(500), "killed at rename {stop_after}");
    }
}
