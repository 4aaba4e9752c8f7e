//! The journal: events appended, and appended and committed, in a temporary folder. Without syncs, which are the disk's.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_benches::samples::{EPOCH, START, STREAM, trades};
use feedd_core::Instruments;
use feedd_journal::{Journal, JournalConfig, Start, Sync};
use feedd_model::{Event, Position, Seq, SourceId};
use std::hint::black_box;
use std::path::Path;

const SEGMENT_BYTES: u64 = 4 << 20;
/// Events that stay readable: half a segment.
const KEPT_EVENTS: u64 = SEGMENT_BYTES / 128;

fn open(dir: &Path) -> Journal {
    let config = JournalConfig {
        dir: dir.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 8 * SEGMENT_BYTES,
        sync: Sync::Os,
    };
    let start = Start { stream: STREAM, epoch: EPOCH, at: START };
    Journal::open(config, start, Instruments::in_memory()).expect("the folder is new").0
}

/// Appends the events and commits them; what is old enough is given back, so that the folder does not grow.
fn commit(journal: &mut Journal, last: &mut Seq, events: &[Event]) {
    journal.append(last.next(), SourceId(0), black_box(events), START);
    journal.commit().expect("the folder has room");
    *last = Seq(last.0 + events.len() as u64);
    let stored = Position { epoch: EPOCH, seq: Seq(last.0.saturating_sub(KEPT_EVENTS)) };
    journal.trim(stored).expect("an old segment can be used again");
}

fn append_and_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal/commit");
    for count in [64_u32, 1024, 8192] {
        let dir = tempfile::tempdir().expect("there is a temporary folder");
        let (mut journal, mut last, events) = (open(dir.path()), Seq(0), trades(count));
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(BenchmarkId::from_parameter(format!("events={count}")), |bencher| {
            bencher.iter(|| commit(&mut journal, &mut last, &events));
        });
        assert_eq!(journal.tail().durable().seq, last, "everything that was committed is there");
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    append_and_commit(&mut criterion);
    criterion.final_summary();
}
