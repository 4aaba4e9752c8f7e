//! The limits of the pipeline: the bare ring, and the same whose reader keeps what it reads.

use super::work::{Sums, Work};
use crate::meter::thread_cpu;
use anyhow::{Context, Result, anyhow, ensure};
use feedd_core::affinity::pin;
use feedd_core::block::BLOCK_EVENTS_MAX;
use feedd_core::wait::pace;
use feedd_model::Event;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// A look that brought less is followed by a pause.
const PACED_BELOW: usize = 64;
/// Events read at most at once.
const READ: usize = 256;

/// What the reader does with the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Sums them where they lie in the ring.
    InPlace,
    /// Copies them into memory of a block's size, and sums them there when it is full: whoever hands events on to others
    /// cannot leave them in the ring.
    Kept,
}

/// Chunks of `write` events through one ring, and nothing else: what the pipeline cannot beat by much.
///
/// # Errors
/// When a thread cannot be pinned, or not every event arrived.
pub(crate) fn ring(
    cores: Option<[usize; 2]>,
    slots: usize,
    write: usize,
    reads: Reads,
    ready: &[Event],
    events: u64,
) -> Result<Work> {
    let (mut writer, mut reader) = rtrb::RingBuffer::<Event>::new(slots);
    let line = Arc::new(Barrier::new(2));
    let (start, ready_events) = (line.clone(), ready.to_vec());
    let producer = std::thread::spawn(move || {
        cores.is_none_or(|[core, _]| pin(core)).then_some(()).context("the producer could not be pinned")?;
        start.wait();
        let (begin, cpu) = (Instant::now(), thread_cpu());
        let (mut left, mut at) = (usize::try_from(events)?, 0);
        while left > 0 {
            let end = ready_events.len().min(at + write.min(left));
            while writer.push_entire_slice(&ready_events[at..end]).is_err() {
                std::hint::spin_loop();
            }
            left -= end - at;
            at = if end == ready_events.len() { 0 } else { end };
        }
        Ok::<_, anyhow::Error>((begin.elapsed(), thread_cpu().saturating_sub(cpu)))
    });
    let consumer = std::thread::spawn(move || {
        cores.is_none_or(|[_, core]| pin(core)).then_some(()).context("the consumer could not be pinned")?;
        line.wait();
        let (begin, cpu) = (Instant::now(), thread_cpu());
        let mut sums = Sums::default();
        let (mut taken, mut kept) = (0, Vec::with_capacity(BLOCK_EVENTS_MAX));
        while taken < events {
            let waiting = reader.slots().min(READ);
            if waiting == 0 {
                std::hint::spin_loop();
                continue;
            }
            let chunk = reader.read_chunk(waiting)?;
            let (first, second) = chunk.as_slices();
            match reads {
                Reads::InPlace => first.iter().chain(second).for_each(|event| sums.add(event)),
                Reads::Kept => [first, second].iter().for_each(|part| kept.extend_from_slice(part)),
            }
            chunk.commit_all();
            taken += waiting as u64;
            if kept.len() > BLOCK_EVENTS_MAX - READ {
                kept.iter().for_each(|event| sums.add(event));
                kept.clear();
            }
            // As the batching thread: a reader that polls in a tight loop slows a writer of single events.
            if waiting < PACED_BELOW {
                pace(waiting);
            }
        }
        kept.iter().for_each(|event| sums.add(event));
        Ok::<_, anyhow::Error>((begin.elapsed(), thread_cpu().saturating_sub(cpu), sums))
    });
    let (producer_wall, producer_cpu) = producer.join().map_err(|_| anyhow!("the producer panicked"))??;
    let (wall, consumer_cpu, sums) = consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
    let expected = Sums::of(ready, events);
    ensure!(sums == expected, "the ring brought {sums:?} instead of {expected:?}");
    let share = |cpu: Duration, wall: Duration| cpu.as_secs_f64() / wall.as_secs_f64();
    Ok(Work {
        events,
        wall,
        producer_cpu,
        consumer_cpu,
        producer_shares: vec![share(producer_cpu, producer_wall)],
        consumer_share: share(consumer_cpu, wall),
        producer_walls: vec![producer_wall],
        ..Work::default()
    })
}
