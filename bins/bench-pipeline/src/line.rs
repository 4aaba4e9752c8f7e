//! One source on one core and the batching thread on the other: for measurements that bring their own source.

use crate::hot_path::pipeline::Way;
use crate::meter::thread_cpu;
use crate::trades::{EPOCH, STREAM};
use anyhow::{Context, Result, anyhow, ensure};
use crossbeam_utils::CachePadded;
use feedd_core::affinity::pin;
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::outlet::{Budget, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{BlockPool, Clock, Stop};
use feedd_model::SourceId;
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// What source and batching thread share.
pub(crate) struct Line {
    /// Slots of the ring.
    pub(crate) ring: usize,
    pub(crate) wait: WaitStrategy,
    /// Cores of the source and of the batching thread.
    pub(crate) cores: Option<[usize; 2]>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    /// Events after which the source ends, if it looks.
    pub(crate) budget: Option<Budget>,
}

/// Time of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Busy {
    /// Runs `work` in this thread.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, Self) {
        let (begin, cpu) = (Instant::now(), thread_cpu());
        let done = work();
        (done, Self { wall: begin.elapsed(), cpu: thread_cpu().saturating_sub(cpu) })
    }

    /// Part of a core.
    pub(crate) fn share(self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// A source that has ended, and all of whose events are where the way leads.
pub(crate) struct Ran<T> {
    /// What the source returned.
    pub(crate) told: T,
    pub(crate) source: Busy,
    pub(crate) batching: Busy,
    pub(crate) counters: Arc<CachePadded<SourceCounters>>,
}

impl Line {
    /// Runs a source until it returns, and the batching thread until it has handed everything on.
    ///
    /// # Errors
    /// When the source fails, a thread cannot be pinned, or the batching thread got something else than was published.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        way: Way,
        source: impl FnOnce(&mut Outlet) -> Result<T> + Send + 'static,
    ) -> Result<Ran<T>> {
        let (ring, consumer) = rtrb::RingBuffer::new(self.ring);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        let wake = Arc::new(Wake::new(self.wait.parks()));
        let mut outlet = Outlet::new(OutletParts {
            ring,
            wake: wake.clone(),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: self.stop.clone(),
            clock: self.clock.clone(),
            budget: self.budget.clone(),
        });
        let fan_in = FanIn::new(FanInParts {
            stream: STREAM,
            epoch: EPOCH,
            inputs: vec![Input { source: SourceId(0), ring: consumer, counters: counters.clone() }],
            derived: Vec::new(),
            lanes: vec![way.link],
            analysis: None,
            is_replay: false,
            served: way.served.into_iter().collect(),
            pool: BlockPool::new(way.pool_blocks),
            wait: self.wait,
            wake,
            counters: Arc::new(CachePadded::new(BatchingCounters::default())),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
        });
        let start = Arc::new(Barrier::new(2));
        let (line, [first, second]) = (start.clone(), [0, 1].map(|at| self.cores.map(|cores| cores[at])));
        let producer = std::thread::spawn(move || {
            let is_pinned = first.is_none_or(pin);
            line.wait();
            is_pinned.then_some(()).context("the source's thread could not be pinned")?;
            let (told, busy) = Busy::of(|| source(&mut outlet));
            Ok::<_, anyhow::Error>((told?, busy))
        });
        let batching = std::thread::spawn(move || {
            let is_pinned = second.is_none_or(pin);
            start.wait();
            is_pinned.then_some(()).context("the batching thread could not be pinned")?;
            Ok::<_, anyhow::Error>(Busy::of(|| fan_in.run()).1)
        });
        let told = producer.join().map_err(|_| anyhow!("the source's thread panicked"))?;
        let batching = batching.join().map_err(|_| anyhow!("the batching thread panicked"))??;
        let (told, source) = told?;
        let (published, accepted) = (counters.events_published.get(), counters.events_accepted.get());
        ensure!(published == accepted, "{published} events were published, {accepted} came out of the ring");
        Ok(Ran { told, source, batching, counters })
    }
}
