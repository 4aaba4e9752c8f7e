//! The null sink passes the contract of every sink, and counts and sums what it was offered.

use feedd_core::contract::sink::{SinkHarness, Stored, batch, sample_events, sink_contract};
use feedd_core::{Epoch, Sink};
use feedd_model::MonoNanos;
use feedd_sink_null::{NullCounts, NullSink};
use std::sync::Arc;

#[derive(Default)]
struct Harness {
    counts: Vec<Arc<NullCounts>>,
}

impl SinkHarness for Harness {
    fn open(&mut self) -> Box<dyn Sink> {
        let sink = NullSink::new();
        self.counts.push(sink.counts());
        Box::new(sink)
    }

    fn stored(&mut self) -> Stored {
        Stored::Count(self.counts.last().map_or(0, |counts| counts.events()))
    }
}

#[test]
fn null_sink_passes_the_contract() {
    sink_contract(&mut || Box::new(Harness::default()));
}

#[test]
fn the_checksum_does_not_depend_on_the_cut() {
    let events = sample_events(100);
    let expected = events.iter().fold(0u64, |sum, e| {
        sum.wrapping_add(u64::from(e.instrument().0)).wrapping_add(e.recv_ts().map_or(0, |t| t.0.cast_unsigned()))
    });
    let mut sink = NullSink::new();
    for range in [0..30, 10..60, 60..100] {
        sink.write(&batch(&events, Epoch(1), range, 7), MonoNanos(0)).unwrap();
    }
    assert_eq!((sink.counts().events(), sink.counts().checksum()), (100, expected));
}
