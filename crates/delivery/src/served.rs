//! A lane on the batching thread: for a sink that takes less time than handing a block to another thread does.
//!
//! The null sink measures what stands before storage. With a thread of its own it would measure that thread: on two cores
//! it takes one from a producer or from the batching thread.

use crate::lane::{LaneEnd, StorageLane};
use feedd_core::fanin::Served;
use std::sync::{Arc, Mutex, PoisonError};

/// The lane, in the hands of the batching thread.
pub struct ServedLane {
    /// Until it has ended.
    lane: Option<StorageLane>,
    end: ServedEnd,
}

/// How it ended, for whoever waits for that.
#[derive(Clone, Debug, Default)]
pub struct ServedEnd(Arc<Mutex<Option<LaneEnd>>>);

impl ServedLane {
    /// Wraps a lane whose feed is a link; the end is known when the batching thread is through with it.
    #[must_use]
    pub fn new(lane: StorageLane) -> (Self, ServedEnd) {
        let end = ServedEnd::default();
        (Self { lane: Some(lane), end: end.clone() }, end)
    }
}

impl Served for ServedLane {
    fn register(&mut self) {
        if let Some(lane) = &mut self.lane {
            lane.register();
        }
    }

    fn serve(&mut self) {
        if let Some(end) = self.lane.as_mut().and_then(StorageLane::serve) {
            self.lane = None;
            self.end.set(end);
        }
    }

    fn finish(mut self: Box<Self>) {
        self.serve();
    }
}

impl Drop for ServedLane {
    fn drop(&mut self) {
        // The batching thread went without it.
        if self.lane.is_some() {
            self.end.set(LaneEnd::Panicked);
        }
    }
}

impl ServedEnd {
    fn set(&self, end: LaneEnd) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// Whether the lane has ended.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The end; [`LaneEnd::Panicked`] before it has come.
    #[must_use]
    pub fn take(&self) -> LaneEnd {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(LaneEnd::Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchLimits, LaneParts, LinkFeed, Quarantine, Retry, SinkMark};
    use crossbeam_utils::CachePadded;
    use feedd_core::counters::StorageCounters;
    use feedd_core::histogram::Histogram;
    use feedd_core::link::{LinkSender, link};
    use feedd_core::{Batch, Block, Instruments, ManualClock, Sink, SinkError, Stop};
    use feedd_model::{
        Epoch, Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Seq, SourceId, Status, StatusCode,
        StreamId, UnixNanos,
    };
    use std::path::Path;
    use std::time::Duration;

    /// Keeps the details of what it was given, and takes 7 us for a batch.
    struct Keeping(Arc<Mutex<Vec<u64>>>, Arc<ManualClock>);

    impl Sink for Keeping {
        fn name(&self) -> &'static str {
            "keeping"
        }
        fn recover(&mut self, _: StreamId, _: Epoch) -> Result<Seq, SinkError> {
            Ok(Seq(0))
        }
        fn write(&mut self, batch: &Batch, _: MonoNanos) -> Result<(), SinkError> {
            let details = batch.events().filter_map(|(_, event)| match event.body() {
                EventBody::Status(status) => Some(status.detail),
                _ => None,
            });
            self.0.lock().unwrap().extend(details);
            self.1.advance(7_000);
            Ok(())
        }
        fn stored_seq(&self) -> Seq {
            Seq(self.0.lock().unwrap().len() as u64)
        }
        fn tick(&mut self, _: MonoNanos) -> Result<(), SinkError> {
            Ok(())
        }
        fn flush(&mut self, _: MonoNanos) -> Result<(), SinkError> {
            Ok(())
        }
    }

    fn lane(
        kept: &Arc<Mutex<Vec<u64>>>,
        counters: &Arc<CachePadded<StorageCounters>>,
    ) -> (StorageLane, LinkSender<Arc<Block>>) {
        let (sender, blocks) = link(8);
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let parts = LaneParts {
            feed: Box::new(LinkFeed::new(blocks, StreamId(1), Epoch(1))),
            sink: Box::new(Keeping(kept.clone(), clock.clone())),
            mark: Arc::new(SinkMark::new("keeping".into(), true)),
            epoch: Epoch(1),
            earlier: None,
            limits: BatchLimits { events_max: 3, age_max: Duration::from_secs(5) },
            retry: Retry::default(),
            quarantine: Quarantine::open(Path::new("never made"), 0, Instruments::in_memory()).unwrap(),
            counters: counters.clone(),
            clock,
            stop: Stop::new(),
        };
        (StorageLane::new(parts, 1), sender)
    }

    fn block(first: u64, events: u64) -> Arc<Block> {
        let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
        let event = |detail| Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail }));
        let events: Vec<Event> = (first..first + events).map(event).collect();
        Arc::new(Block::of(StreamId(1), Epoch(1), Seq(first), SourceId(0), &events))
    }

    #[test]
    fn a_served_lane_stores_what_is_due_and_at_the_end_the_rest() {
        let (kept, counters) = (Arc::new(Mutex::new(Vec::new())), Arc::default());
        let (lane, mut sender) = lane(&kept, &counters);
        let (mut served, end) = ServedLane::new(lane);
        sender.send(block(1, 4), 4).unwrap();
        served.serve();
        assert_eq!(*kept.lock().unwrap(), [1, 2, 3], "a batch is full, one event is not old");
        sender.send(block(5, 1), 1).unwrap();
        served.serve();
        assert!(!end.is_set() && kept.lock().unwrap().len() == 3);
        drop(sender);
        Box::new(served).finish();
        assert_eq!(*kept.lock().unwrap(), [1, 2, 3, 4, 5]);
        assert!(end.is_set() && matches!(end.take(), LaneEnd::Drained));
        let values = |times: &Histogram| (times.snapshot().count(), times.snapshot().min(), times.snapshot().max());
        assert_eq!(values(&counters.insert_ns), (2, 7_000, 7_000));
        // Measured to the end of the first block, whose last event went with the second batch.
        assert_eq!(values(&counters.stored_ns), (1, 14_000, 14_000));
        assert_eq!((counters.buffered_peak.ever(), counters.buffered.get()), (4, 0));
    }

    #[test]
    fn a_batching_thread_that_goes_without_its_lane_is_told() {
        let (lane, _sender) = lane(&Arc::default(), &Arc::default());
        let (served, end) = ServedLane::new(lane);
        drop(served);
        assert!(end.is_set() && matches!(end.take(), LaneEnd::Panicked));
    }
}
