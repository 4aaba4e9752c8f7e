//! The usual way: producers as tasks, one bounded tokio channel of 10,000 events for all, batches of 500, clocks and shared
//! counters for each event. Three cases, from what is often written to the best that the channel can do.

use super::work::{Sums, Work};
use anyhow::{Context, Result, ensure};
use feedd_model::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

/// Events the channel holds.
const CAPACITY: usize = 10_000;
/// Events of a batch.
const BATCH: usize = 500;
/// Longest age of a batch.
const BATCH_AGE: Duration = Duration::from_secs(5);

/// How the channel is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A task is spawned for each event, which sends it.
    TaskPerEvent,
    /// `try_send`, and `send().await` when the channel is full; one `recv` at a time; clock and shared counters for each
    /// event.
    AsDocumented,
    /// One clock a burst of 64, `recv_many`, counters once a burst.
    Best,
}

/// Counters that both sides change for each event.
#[derive(Default)]
struct Shared {
    received: AtomicU64,
    blocked: AtomicU64,
    queued: AtomicU64,
    batched: AtomicU64,
}

/// Sends `events` events through the channel into batches whose events are read.
///
/// # Errors
/// When not every event arrived.
pub(crate) fn run(use_: Use, producers: usize, ready: &[Event], events: u64) -> Result<Work> {
    let share = events / producers as u64;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let ready: Arc<[Event]> = ready.into();
    let begin = Instant::now();
    let (wall, sums) = runtime.block_on(async {
        let (sender, receiver) = channel(CAPACITY);
        let shared = Arc::new(Shared::default());
        for _ in 0..producers {
            tokio::spawn(produce(use_, sender.clone(), ready.clone(), share, shared.clone()));
        }
        drop(sender);
        let sums = tokio::spawn(consume(use_, receiver, shared.clone())).await.context("the consumer panicked")?;
        ensure!(shared.batched.load(Ordering::Relaxed) == sums.events, "counters differ from what arrived");
        Ok((begin.elapsed(), sums))
    })?;
    let expected = Sums::of(&ready, share).times(producers as u64);
    ensure!(sums == expected, "the channel brought {sums:?} instead of {expected:?}");
    Ok(Work { events: expected.events, wall, ..Work::default() })
}

async fn produce(use_: Use, sender: Sender<(Event, u64)>, ready: Arc<[Event]>, events: u64, shared: Arc<Shared>) {
    let mut stamp = now();
    let ready = ready.iter().cycle().zip(0..events);
    for (&event, number) in ready {
        match use_ {
            Use::TaskPerEvent => {
                let (sender, shared) = (sender.clone(), shared.clone());
                tokio::spawn(async move { send_one(&sender, event, &shared).await });
                // As the loop of a socket gives way between two messages.
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Use::AsDocumented => send_one(&sender, event, &shared).await,
            Use::Best => {
                if number % 64 == 0 {
                    stamp = now();
                    shared.received.fetch_add(64.min(events - number), Ordering::Relaxed);
                }
                if let Err(TrySendError::Full(item)) = sender.try_send((event, stamp)) {
                    shared.blocked.fetch_add(1, Ordering::Relaxed);
                    // An error means that nobody receives any more: the count that is missing tells.
                    let _ = sender.send(item).await;
                }
            }
        }
    }
}

async fn send_one(sender: &Sender<(Event, u64)>, event: Event, shared: &Shared) {
    shared.received.fetch_add(1, Ordering::Relaxed);
    shared.queued.fetch_add(1, Ordering::Relaxed);
    if let Err(TrySendError::Full(item)) = sender.try_send((event, now())) {
        shared.blocked.fetch_add(1, Ordering::Relaxed);
        // As above.
        let _ = sender.send(item).await;
    }
}

async fn consume(use_: Use, mut receiver: Receiver<(Event, u64)>, shared: Arc<Shared>) -> Sums {
    let (mut sums, mut batch, mut opened) = (Sums::default(), Vec::with_capacity(BATCH), Instant::now());
    loop {
        let is_open = match use_ {
            Use::Best => {
                let room = BATCH - batch.len();
                let count = receiver.recv_many(&mut batch, room).await;
                shared.batched.fetch_add(count as u64, Ordering::Relaxed);
                count > 0
            }
            Use::TaskPerEvent | Use::AsDocumented => match receiver.recv().await {
                Some(item) => {
                    shared.queued.fetch_sub(1, Ordering::Relaxed);
                    shared.batched.fetch_add(1, Ordering::Relaxed);
                    batch.push(item);
                    true
                }
                None => false,
            },
        };
        if !is_open || batch.len() >= BATCH || opened.elapsed() >= BATCH_AGE {
            for (event, stamp) in &batch {
                sums.add(event);
                std::hint::black_box(stamp);
            }
            batch.clear();
            opened = Instant::now();
        }
        if !is_open {
            return sums;
        }
    }
}

/// Wall clock in ns.
#[allow(clippy::disallowed_methods, reason = "the way that is measured asks the system for each event")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
