//! The performance report as a document: what programs read, and what its text is printed from, here and by who has read it.

use crate::number::grouped;
use crate::verdict::Edge;
use feedd_core::histogram::HistogramSnapshot;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Symbols that the text names for an edge.
const SYMBOLS_TOLD: usize = 5;

/// See [`crate::Performance::report`]. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerformanceReport {
    /// Over how long.
    pub elapsed_ns: u64,
    /// The thread that runs the strategies.
    pub engine: EngineReport,
    /// The thread that makes bars.
    pub processor: ProcessorReport,
    /// Each strategy, the slowest first.
    pub strategies: Vec<StrategyReport>,
    /// The hand-offs.
    pub backpressure: Backpressure,
    /// The worse of both: perfect, good, warning, critical.
    pub verdict: String,
}

/// See [`feedd_core::counters::EngineCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of EngineCounters, where they are explained")]
pub struct EngineReport {
    pub cycles: u64,
    pub cycle_ns: Times,
}

/// See [`feedd_core::counters::ProcessorCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of ProcessorCounters, where they are explained")]
pub struct ProcessorReport {
    pub items: u64,
    pub events: u64,
    pub item_ns: Times,
    pub bars: u64,
    pub revised: u64,
    pub late: u64,
}

/// See [`feedd_core::counters::StrategyCounters`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of StrategyCounters, where they are explained")]
pub struct StrategyReport {
    pub name: String,
    pub calls: u64,
    pub call_ns: Times,
    pub signals: u64,
    pub panics: u64,
    pub overlong: u64,
    pub suspended: u64,
}

/// Times that were measured, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Times {
    pub count: u64,
    pub min: u64,
    pub max: u64,
    pub average: u64,
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
}

/// Both hand-offs, by [`Edge::key`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backpressure {
    /// See [`Edge::Processor`].
    pub coordinator_processor: EdgeReport,
    /// See [`Edge::Engine`].
    pub processor_analysis: EdgeReport,
}

/// A hand-off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// How it is delivered: live, clock, data.
    pub mode: String,
    /// What is delivered: blocks, cycles.
    pub unit: String,
    /// How many of them.
    pub delivered: u64,
    /// Of these: without credit.
    pub backpressure: u64,
    /// The same in percent; none of nothing.
    pub percent: Option<f64>,
    /// What that means: perfect, good, warning, critical.
    pub verdict: String,
    /// What helps.
    pub advice: String,
    /// Events delivered.
    pub events: u64,
    /// Events delivered without credit.
    pub backpressure_events: u64,
    /// Delivered while the one before had not been taken.
    pub overruns: u64,
    /// Not delivered.
    pub skipped: u64,
    /// Events not delivered.
    pub skipped_events: u64,
    /// How often the sender waited.
    pub waits: u64,
    /// For how long.
    pub blocked_ns: u64,
    /// What was delivered without credit, by symbol, highest count first.
    pub by_symbol: Vec<SymbolCount>,
}

/// One of [`EdgeReport::by_symbol`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SymbolCount {
    pub instrument: u32,
    pub symbol: String,
    pub events: u64,
}

impl Times {
    pub(crate) fn of(t: &HistogramSnapshot) -> Self {
        Self {
            count: t.count(),
            min: t.min(),
            max: t.max(),
            average: t.average(),
            p50: t.at_permille(500),
            p99: t.at_permille(990),
            p999: t.at_permille(999),
        }
    }

    fn text(self) -> String {
        let [min, max, average, p50, p99, p999] =
            [self.min, self.max, self.average, self.p50, self.p99, self.p999].map(time);
        format!("min {min} | max {max} | avg {average} | p50 {p50} | p99 {p99} | p99.9 {p999}")
    }
}

impl PerformanceReport {
    /// As people read it.
    #[must_use]
    pub fn text(&self) -> String {
        let (p, e) = (&self.processor, &self.engine);
        let mut out = format!(
            "Performance Report ({}.{} s)\n",
            self.elapsed_ns / 1_000_000_000,
            self.elapsed_ns / 100_000_000 % 10
        );
        let _ = writeln!(out, "  Engine cycles:   {:>12}  {}", grouped(e.cycles), e.cycle_ns.text());
        let _ = writeln!(out, "  Processor items: {:>12}  {}", grouped(p.items), p.item_ns.text());
        let counts = [p.events, p.bars, p.revised, p.late].map(grouped);
        let [events, bars, revised, late] = &counts;
        let _ = writeln!(out, "    {events} events, {bars} bars, {revised} of them revisions, {late} trades too late");
        for s in &self.strategies {
            let _ = writeln!(out, "  Strategy {}: {} calls  {}", s.name, grouped(s.calls), s.call_ns.text());
            let [signals, panics, overlong, suspended] = [s.signals, s.panics, s.overlong, s.suspended].map(grouped);
            let _ = writeln!(
                out,
                "    {signals} signals, {panics} panics, {overlong} overlong, suspended for {suspended} symbols"
            );
        }
        out.push_str("\nPipeline Backpressure (Bottlenecks)\n");
        self.backpressure.coordinator_processor.write(Edge::Processor, &mut out);
        self.backpressure.processor_analysis.write(Edge::Engine, &mut out);
        let verdict = match self.verdict.as_str() {
            "perfect" | "good" => "healthy".to_owned(),
            verdict => verdict.to_uppercase(),
        };
        let _ = writeln!(out, "  Overall: {verdict}");
        out
    }
}

impl EdgeReport {
    fn write(&self, edge: Edge, out: &mut String) {
        let Self { unit, mode, advice, .. } = self;
        let _ = writeln!(
            out,
            "  {} ({mode} mode): {} of {} {unit} ({}): {}",
            edge.name(),
            grouped(self.backpressure),
            grouped(self.delivered),
            percent(self.backpressure, self.delivered),
            self.verdict.to_uppercase(),
        );
        let _ = writeln!(out, "    {advice}");
        let [overruns, skipped, waits] = [self.overruns, self.skipped, self.waits].map(grouped);
        let blocked = time(self.blocked_ns);
        let _ = writeln!(out, "    overruns {overruns}, skipped {unit} {skipped}, waits {waits} ({blocked})");
        if !self.by_symbol.is_empty() {
            let told = self.by_symbol.iter().take(SYMBOLS_TOLD);
            let told = told.map(|counted| format!("{} {}", counted.symbol, grouped(counted.events)));
            let _ = writeln!(out, "    most by symbol: {}", told.collect::<Vec<_>>().join(", "));
        }
    }
}

/// A share in hundredths of a percent, rounded half up; none of nothing.
pub(crate) fn hundredths(count: u64, of: u64) -> Option<u128> {
    let (count, of) = (u128::from(count), u128::from(of));
    (count * 20_000 + of).checked_div(of * 2)
}

/// The same as text, `-` of nothing.
pub(crate) fn percent(count: u64, of: u64) -> String {
    hundredths(count, of).map_or_else(|| "-".to_owned(), |share| format!("{}.{:02}%", share / 100, share % 100))
}

/// A time with three digits or so: stages take from nanoseconds to seconds.
pub(crate) fn time(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{}.{} us", nanos / 1_000, nanos % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} ms", nanos / 1_000_000, nanos % 1_000_000 / 100_000),
        _ => format!("{}.{} s", nanos / 1_000_000_000, nanos % 1_000_000_000 / 100_000_000),
    }
}
