//! What others see of a link: its counters, and a consumer that has stalled.

use super::{LinkMode, Shared};
use crate::by_instrument::ByInstrument;
use crate::counters::Counter;
use crate::peak::Peak;
use crate::sync::Ordering;
use feedd_model::{InstrumentId, MonoNanos};
use std::fmt;
use std::sync::Arc;

/// Counters of a link; each has one writer, the sender. They rise for the life of the process.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Items delivered.
    pub items: Counter,
    /// Events in delivered items.
    pub events: Counter,
    /// Items delivered without credit.
    pub backpressure_items: Counter,
    /// Events in items delivered without credit.
    pub backpressure_events: Counter,
    /// Items delivered while the one before had not even been taken.
    pub overruns: Counter,
    /// Most items that were delivered and not taken.
    pub depth_peak: Peak,
    /// Items not delivered because the link was full (live), or its consumer gone.
    pub skipped_items: Counter,
    /// Events in those.
    pub skipped_events: Counter,
    /// Times the sender waited for room or credit.
    pub waits: Counter,
    /// Nanoseconds the sender waited for room or credit.
    pub blocked_ns: Counter,
    /// Monotonic time the running wait began; 0 when the sender does not wait.
    pub waiting_since: Counter,
}

/// The counters of a link at one moment, or what was counted between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of LinkCounters, where they are explained")]
pub struct LinkTotals {
    pub items: u64,
    pub events: u64,
    pub backpressure_items: u64,
    pub backpressure_events: u64,
    pub overruns: u64,
    pub skipped_items: u64,
    pub skipped_events: u64,
    pub waits: u64,
    pub blocked_ns: u64,
}

impl LinkTotals {
    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            items: self.items.saturating_sub(earlier.items),
            events: self.events.saturating_sub(earlier.events),
            backpressure_items: self.backpressure_items.saturating_sub(earlier.backpressure_items),
            backpressure_events: self.backpressure_events.saturating_sub(earlier.backpressure_events),
            overruns: self.overruns.saturating_sub(earlier.overruns),
            skipped_items: self.skipped_items.saturating_sub(earlier.skipped_items),
            skipped_events: self.skipped_events.saturating_sub(earlier.skipped_events),
            waits: self.waits.saturating_sub(earlier.waits),
            blocked_ns: self.blocked_ns.saturating_sub(earlier.blocked_ns),
        }
    }
}

/// A read-only view of a link for telemetry.
#[derive(Clone, Debug)]
pub struct LinkWatch {
    shared: Arc<Shared>,
}

impl LinkWatch {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Whom it leads to.
    #[must_use]
    pub fn consumer(&self) -> &'static str {
        self.shared.consumer
    }

    /// How it is delivered.
    #[must_use]
    pub fn mode(&self) -> LinkMode {
        self.shared.mode
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &LinkCounters {
        &self.shared.counters
    }

    /// The counters at this moment: no count of a part is above the count of the whole.
    #[must_use]
    pub fn totals(&self) -> LinkTotals {
        let c = self.counters();
        // Parts first: they are counted after the whole.
        let overruns = c.overruns.get();
        let (backpressure_events, backpressure_items) = (c.backpressure_events.get(), c.backpressure_items.get());
        LinkTotals {
            backpressure_items,
            backpressure_events,
            overruns,
            events: c.events.get(),
            items: c.items.get(),
            skipped_items: c.skipped_items.get(),
            skipped_events: c.skipped_events.get(),
            waits: c.waits.get(),
            blocked_ns: c.blocked_ns.get(),
        }
    }

    /// Events delivered without credit, by instrument, highest count first; only of links between stages.
    #[must_use]
    pub fn by_instrument(&self) -> Vec<(InstrumentId, u64)> {
        self.shared.by_instrument.as_ref().map_or_else(Vec::new, ByInstrument::counts)
    }

    /// Items delivered and not yet taken, now.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // Taken first: what is delivered in between only makes the difference larger.
        let taken = self.shared.credit.taken.load(Ordering::Acquire);
        self.shared.counters.items.get().saturating_sub(taken)
    }

    /// The consumer, when the sender has waited for it for longer than `limit_ns` without a break.
    #[must_use]
    pub fn stall(&self, now: MonoNanos, limit_ns: u64) -> Option<Stall> {
        let finished = self.shared.credit.finished.load(Ordering::Acquire);
        let since = MonoNanos(self.counters().waiting_since.get());
        let waited_ns = now.since(since);
        let items = self.counters().items.get().saturating_sub(finished);
        (since.0 > 0 && waited_ns > limit_ns).then_some(Stall {
            consumer: self.shared.consumer,
            since,
            waited_ns,
            items,
        })
    }
}

/// A consumer for which the sender has waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Which consumer.
    pub consumer: &'static str,
    /// When the wait began: tells one stall from the next.
    pub since: MonoNanos,
    /// For how long, ns.
    pub waited_ns: u64,
    /// Items delivered and not finished.
    pub items: u64,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consumer, waited_ns, items, .. } = self;
        let (seconds, tenths) = (waited_ns / 1_000_000_000, waited_ns % 1_000_000_000 / 100_000_000);
        let plural = if *items == 1 { "" } else { "s" };
        write!(f, "{consumer} has stalled: waited for {seconds}.{tenths} s, {items} item{plural} not finished")
    }
}
