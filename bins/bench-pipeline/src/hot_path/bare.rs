//! The limits of the machine: a cache line there and back between two cores, events copied in memory, and the bare ring.

use super::work::{Sums, Work};
use crate::meter::thread_cpu;
use anyhow::{Context, Result, anyhow, ensure};
use feedd_core::affinity::pin;
use feedd_model::Event;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Events written at once, as a burst has them, and read at most at once.
const WRITE: usize = 64;
const READ: usize = 256;
const PING_PONGS: u64 = 200_000;
/// More than a core's last level of cache is likely to keep.
const COPY_BYTES: usize = 64 << 20;

/// One way of a cache line from core to core, in ns: half of there and back, spinning.
///
/// # Errors
/// When a thread cannot be pinned.
pub(crate) fn ping_pong(cores: Option<[usize; 2]>) -> Result<f64> {
    let (there, back) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (ball, racket) = (there.clone(), back.clone());
    let core = cores.map(|[_, core]| core);
    let other = std::thread::spawn(move || {
        let is_pinned = core.is_none_or(pin);
        for turn in 1..=PING_PONGS {
            while ball.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
            racket.store(turn, Ordering::Release);
        }
        is_pinned
    });
    let ours = std::thread::spawn(move || {
        let is_pinned = cores.is_none_or(|[core, _]| pin(core));
        let begin = Instant::now();
        for turn in 1..=PING_PONGS {
            there.store(turn, Ordering::Release);
            while back.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
        }
        (is_pinned, begin.elapsed())
    });
    let (is_pinned, took) = ours.join().map_err(|_| anyhow!("a thread panicked"))?;
    let other = other.join().map_err(|_| anyhow!("a thread panicked"))?;
    ensure!(is_pinned && other, "a thread could not be pinned");
    Ok(took.as_secs_f64() * 1e9 / PING_PONGS as f64 / 2.0)
}

/// Bytes a second that one core copies in memory.
pub(crate) fn memcpy_gb_per_s() -> f64 {
    let from = vec![1_u8; COPY_BYTES];
    let mut to = vec![0_u8; COPY_BYTES];
    let begin = Instant::now();
    for _ in 0..4 {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    4.0 * COPY_BYTES as f64 / begin.elapsed().as_secs_f64() / 1e9
}

/// Chunks of events through one ring, and nothing else: what the pipeline cannot beat by much.
///
/// # Errors
/// When a thread cannot be pinned, or not every event arrived.
pub(crate) fn ring(cores: Option<[usize; 2]>, slots: usize, ready: &[Event], events: u64) -> Result<Work> {
    let (mut writer, mut reader) = rtrb::RingBuffer::<Event>::new(slots);
    let line = Arc::new(Barrier::new(2));
    let (start, ready_events) = (line.clone(), ready.to_vec());
    let producer = std::thread::spawn(move || {
        cores.is_none_or(|[core, _]| pin(core)).then_some(()).context("the producer could not be pinned")?;
        start.wait();
        let (begin, cpu) = (Instant::now(), thread_cpu());
        let (mut left, mut at) = (usize::try_from(events)?, 0);
        while left > 0 {
            let end = ready_events.len().min(at + WRITE.min(left));
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
        while sums.events < events {
            let waiting = reader.slots().min(READ);
            if waiting == 0 {
                std::hint::spin_loop();
                continue;
            }
            let chunk = reader.read_chunk(waiting)?;
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(|event| sums.add(event));
            chunk.commit_all();
        }
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
    })
}
