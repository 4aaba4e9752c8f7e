//! The performance report of the analysis: how long its stages take, and who waits for whom.
//!
//! Counters rise for the life of the process; the report of a session is the difference of two looks
//! ([`Performance::since`]).

use crate::performance_report::{
    Backpressure, EdgeReport, EngineReport, PerformanceReport, ProcessorReport, StrategyReport, SymbolCount, Times,
    hundredths,
};
use crate::verdict::{Edge, Verdict};
use crate::watched::Watched;
use feedd_core::counters::StrategyCounters;
use feedd_core::histogram::HistogramSnapshot;
use feedd_core::link::{LinkMode, LinkTotals, LinkWatch};
use feedd_model::InstrumentId;
use serde_json::Value;

/// What the stages of the analysis did up to one moment, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// How long that was, ns.
    pub elapsed_ns: u64,
    /// Of the thread that makes bars.
    pub processor: ProcessorTotals,
    /// Of the thread that runs the strategies.
    pub engine: EngineTotals,
    /// Each strategy, the slowest first: by the time all its calls took.
    pub strategies: Vec<StrategyTotals>,
    /// The hand-offs, in the order of [`Edge::ALL`].
    pub edges: [EdgeTotals; 2],
}

/// See [`feedd_core::counters::ProcessorCounters`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of ProcessorCounters, where they are explained")]
pub struct ProcessorTotals {
    pub items: u64,
    pub events: u64,
    pub item_ns: HistogramSnapshot,
    pub bars: u64,
    pub revised: u64,
    pub late: u64,
}

/// See [`feedd_core::counters::EngineCounters`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of EngineCounters, where they are explained")]
pub struct EngineTotals {
    pub cycles: u64,
    pub cycle_ns: HistogramSnapshot,
}

/// See [`StrategyCounters`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of StrategyCounters, where they are explained")]
pub struct StrategyTotals {
    pub name: Box<str>,
    pub calls: u64,
    pub call_ns: HistogramSnapshot,
    pub signals: u64,
    pub panics: u64,
    pub overlong: u64,
    /// Now, also in a difference.
    pub suspended: u64,
}

/// A hand-off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeTotals {
    /// Which.
    pub edge: Edge,
    /// How it is delivered.
    pub mode: LinkMode,
    /// Its counters.
    pub totals: LinkTotals,
    /// What was delivered without credit, by instrument: blocks by their events, cycles by their bars. Highest count first.
    pub by_instrument: Vec<(InstrumentId, String, u64)>,
}

impl EdgeTotals {
    fn take(edge: Edge, link: &LinkWatch, watched: &Watched) -> Self {
        let name = |id| watched.instruments.get(id).map_or_else(|| "-".to_owned(), |found| found.symbol.to_string());
        let by_instrument = link.by_instrument().into_iter().map(|(id, count)| (id, name(id), count)).collect();
        Self { edge, mode: link.mode(), totals: link.totals(), by_instrument }
    }

    /// Delivered: blocks, or cycles. An item that is no cycle (the end of a block) holds none.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        match self.edge {
            Edge::Processor => self.totals.items,
            Edge::Engine => self.totals.events,
        }
    }

    /// Of these: without credit.
    #[must_use]
    pub const fn backpressure(&self) -> u64 {
        match self.edge {
            Edge::Processor => self.totals.backpressure_items,
            Edge::Engine => self.totals.backpressure_events,
        }
    }

    /// Not delivered: blocks, or cycles.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        match self.edge {
            Edge::Processor => self.totals.skipped_items,
            Edge::Engine => self.totals.skipped_events,
        }
    }

    /// What that means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.edge.verdict(self.backpressure(), self.delivered())
    }

    fn since(&self, earlier: &Self) -> Self {
        let before =
            |id: InstrumentId| earlier.by_instrument.iter().find(|other| other.0 == id).map_or(0, |other| other.2);
        let by_instrument = self.by_instrument.iter().map(|(id, name, n)| (*id, name.clone(), n - before(*id)));
        let mut by_instrument: Vec<_> = by_instrument.filter(|counted| counted.2 > 0).collect();
        by_instrument.sort_by_key(|counted| (std::cmp::Reverse(counted.2), counted.0.0));
        Self { edge: self.edge, mode: self.mode, totals: self.totals.since(&earlier.totals), by_instrument }
    }
}

impl StrategyTotals {
    fn take(counters: &StrategyCounters) -> Self {
        Self {
            name: counters.name.clone(),
            calls: counters.calls.get(),
            call_ns: counters.call_ns.snapshot(),
            signals: counters.signals.get(),
            panics: counters.panics.get(),
            overlong: counters.overlong.get(),
            suspended: counters.suspended.get(),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            name: self.name.clone(),
            calls: self.calls.saturating_sub(earlier.calls),
            call_ns: self.call_ns.since(&earlier.call_ns),
            signals: self.signals.saturating_sub(earlier.signals),
            panics: self.panics.saturating_sub(earlier.panics),
            overlong: self.overlong.saturating_sub(earlier.overlong),
            suspended: self.suspended,
        }
    }
}

impl Performance {
    /// Looks at everything now; `None` when there is no analysis.
    #[must_use]
    pub fn take(watched: &Watched) -> Option<Self> {
        let analysis = watched.analysis.as_ref()?;
        let (processor, engine) = (&analysis.counters.processor, &analysis.counters.engine);
        let links = [(Edge::Processor, &analysis.processor_link), (Edge::Engine, &analysis.engine_link)];
        let mut performance = Self {
            elapsed_ns: watched.clock.mono().0,
            processor: ProcessorTotals {
                items: processor.items.get(),
                events: processor.events.get(),
                item_ns: processor.item_ns.snapshot(),
                bars: processor.bars.get(),
                revised: processor.revised.get(),
                late: processor.late.get(),
            },
            engine: EngineTotals { cycles: engine.cycles.get(), cycle_ns: engine.cycle_ns.snapshot() },
            strategies: engine.strategies.iter().map(|strategy| StrategyTotals::take(strategy)).collect(),
            edges: links.map(|(edge, link)| EdgeTotals::take(edge, link, watched)),
        };
        performance.sort();
        Some(performance)
    }

    /// What was done since `earlier`, an earlier look at the same run.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (p, e) = (&self.processor, &earlier.processor);
        let strategy = |now: &StrategyTotals| {
            let before = earlier.strategies.iter().find(|before| before.name == now.name);
            before.map_or_else(|| now.clone(), |before| now.since(before))
        };
        let mut difference = Self {
            elapsed_ns: self.elapsed_ns.saturating_sub(earlier.elapsed_ns),
            processor: ProcessorTotals {
                items: p.items.saturating_sub(e.items),
                events: p.events.saturating_sub(e.events),
                item_ns: p.item_ns.since(&e.item_ns),
                bars: p.bars.saturating_sub(e.bars),
                revised: p.revised.saturating_sub(e.revised),
                late: p.late.saturating_sub(e.late),
            },
            engine: EngineTotals {
                cycles: self.engine.cycles.saturating_sub(earlier.engine.cycles),
                cycle_ns: self.engine.cycle_ns.since(&earlier.engine.cycle_ns),
            },
            strategies: self.strategies.iter().map(strategy).collect(),
            edges: [0, 1].map(|edge| self.edges[edge].since(&earlier.edges[edge])),
        };
        difference.sort();
        difference
    }

    fn sort(&mut self) {
        self.strategies.sort_by_key(|strategy| std::cmp::Reverse(strategy.call_ns.sum()));
    }

    /// The worse of both edges.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.edges[0].verdict().max(self.edges[1].verdict())
    }

    /// The report, for programs and people.
    #[must_use]
    pub fn report(&self) -> PerformanceReport {
        let (p, e) = (&self.processor, &self.engine);
        let strategy = |s: &StrategyTotals| StrategyReport {
            name: s.name.to_string(),
            calls: s.calls,
            call_ns: Times::of(&s.call_ns),
            signals: s.signals,
            panics: s.panics,
            overlong: s.overlong,
            suspended: s.suspended,
        };
        let [coordinator_processor, processor_analysis] = &self.edges;
        PerformanceReport {
            elapsed_ns: self.elapsed_ns,
            engine: EngineReport { cycles: e.cycles, cycle_ns: Times::of(&e.cycle_ns) },
            processor: ProcessorReport {
                items: p.items,
                events: p.events,
                item_ns: Times::of(&p.item_ns),
                bars: p.bars,
                revised: p.revised,
                late: p.late,
            },
            strategies: self.strategies.iter().map(strategy).collect(),
            backpressure: Backpressure {
                coordinator_processor: coordinator_processor.report(),
                processor_analysis: processor_analysis.report(),
            },
            verdict: self.verdict().name().to_owned(),
        }
    }

    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.report().text()
    }

    /// The report as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        // Numbers and texts only, which JSON has a place for.
        serde_json::to_value(self.report()).unwrap_or(Value::Null)
    }
}

impl EdgeTotals {
    fn report(&self) -> EdgeReport {
        let Self { edge, mode, totals: t, by_instrument } = self;
        let by_symbol = by_instrument.iter().map(|(id, symbol, events)| SymbolCount {
            instrument: id.0,
            symbol: symbol.clone(),
            events: *events,
        });
        let (count, of, verdict) = (self.backpressure(), self.delivered(), self.verdict());
        EdgeReport {
            mode: mode.name().to_owned(),
            unit: edge.unit().to_owned(),
            delivered: of,
            backpressure: count,
            percent: hundredths(count, of).map(|share| share as f64 / 100.0),
            verdict: verdict.name().to_owned(),
            advice: edge.advice(verdict).to_owned(),
            events: t.events,
            backpressure_events: t.backpressure_events,
            overruns: t.overruns,
            skipped: self.skipped(),
            skipped_events: t.skipped_events,
            waits: t.waits,
            blocked_ns: t.blocked_ns,
            by_symbol: by_symbol.collect(),
        }
    }
}

#[cfg(test)]
#[path = "performance_tests.rs"]
mod tests;
