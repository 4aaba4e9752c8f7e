//! A status as people read it in a terminal: the verdict, what is wrong, the pipeline from left to right, and the details.

use crate::findings::{Finding, Level};
use crate::flow_text::flow_lines;
use crate::number::{duration, grouped};
use crate::performance_report::{PerformanceReport, time};
use crate::status::{GapStatus, LatencyStatus, Program, SinkStatus, SourceStatus, Status};
use serde_json::Value;
use std::fmt::Write;

/// Gaps shown.
const GAPS_SHOWN: usize = 5;
/// Silent or all symbols shown when there are more.
const SYMBOLS_SHOWN: usize = 20;
/// Width of a column of names, when they are short.
const NAME_CHARS_MIN: usize = 12;
/// The same of hops.
const LATENCY_CHARS_MIN: usize = 24;

impl Level {
    /// In capitals, for the first word of a line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// The one line of `feedd health`.
#[must_use]
pub fn health_check_line(status: &Status) -> String {
    let v = &status.verdict;
    let performance = format!(
        "lost={} lag_ms={} accepted={} rate={} symbols={}/{}",
        v.lost,
        v.lag_ns / 1_000_000,
        status.totals.accepted,
        status.totals.accepted_per_s,
        v.symbols_fresh,
        v.symbols
    );
    format!("FEEDD {} - {} | {performance}", v.level.word(), v.text.replace(" | ", "; "))
}

/// The whole page of `feedd status`.
#[must_use]
pub fn status_page(status: &Status) -> String {
    let v = &status.verdict;
    let mut out = format!("{:<8} {}\n         {}\n\n", v.level.word(), v.text, program_line(&status.program));
    out.push_str(&wrong(&status.findings));
    for line in flow_lines(status) {
        let _ = writeln!(out, "{line}");
    }
    out.push_str(&sources(status));
    out.push_str(&storage(status));
    out.push_str(&latency_lines(&status.latency));
    out.push_str(&symbols(status));
    out.push_str(&gaps(status));
    out.push_str(&analysis(&status.analysis));
    out
}

/// The program and its run, in one line; the folder last, as the longest is what a narrow terminal cuts off.
#[must_use]
pub fn program_line(p: &Program) -> String {
    let seconds = p.uptime_ns / 1_000_000_000;
    format!(
        "feedd {}, start {}, pid {}, up {}:{:02}:{:02}, {}.{} MB, {}",
        p.version,
        p.epoch,
        p.pid,
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        p.rss_bytes / 1_000_000,
        p.rss_bytes / 100_000 % 10,
        p.data_dir
    )
}

/// What is wrong and, in a second line, what helps.
#[must_use]
pub fn finding_text(f: &Finding) -> String {
    format!("{:<8} {}: {}: {}\n         -> {}", f.level.word(), f.rule, f.who, f.text, f.remedy)
}

fn wrong(findings: &[Finding]) -> String {
    let mut out: String = findings.iter().map(|finding| finding_text(finding) + "\n").collect();
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn sources(status: &Status) -> String {
    let names = status.sources.iter().map(|source| source.name.chars().count());
    let width = names.chain([NAME_CHARS_MIN]).max().unwrap_or(NAME_CHARS_MIN);
    let mut out = format!("\n{:<width$}       events     rate/s     waited   gaps\n", "source");
    status.sources.iter().for_each(|source| out.push_str(&source_line(source, width)));
    out
}

fn source_line(source: &SourceStatus, width: usize) -> String {
    let mut out = format!(
        "{:<width$} {:>12} {:>10} {:>10} {:>6}",
        source.name,
        grouped(source.accepted),
        grouped(source.accepted_per_s),
        duration(source.blocked_ns),
        source.gaps
    );
    if source.streams > 0 {
        let _ = write!(out, "  {} connected, {} streams", source.connections, source.streams);
        if source.streams_mute > 0 {
            let _ = write!(out, " ({} MUTE)", source.streams_mute);
        }
    }
    let counts =
        [(source.reconnects, "reconnects"), (source.dropped, "DROPPED"), (source.frames_rejected, "frames rejected")];
    for (count, what) in counts {
        if count > 0 {
            let _ = write!(out, "  {} {what}", grouped(count));
        }
    }
    if source.ended {
        out.push_str("  ended");
    }
    out.push('\n');
    out
}

/// Batching, journal, sinks.
fn storage(status: &Status) -> String {
    let b = &status.batching;
    let mut out = format!(
        "\nbatching: {} events in {} blocks, waited {} for storage\n",
        grouped(status.totals.accepted),
        grouped(b.blocks),
        duration(b.blocked_ns)
    );
    if let Some(journal) = &status.journal {
        let _ = write!(
            out,
            "journal: durable to seq {}, {} commits of {} each",
            grouped(journal.durable_seq),
            grouped(journal.commits),
            duration(journal.commit_ns_mean)
        );
        if journal.failed_syncs > 0 {
            let _ = write!(out, ", {} FAILED", grouped(journal.failed_syncs));
        }
        out.push('\n');
    }
    status.sinks.iter().for_each(|sink| out.push_str(&sink_lines(sink)));
    out
}

/// A sink: how it stands, and while it fails, how long, when it is tried again, and what it said.
#[must_use]
pub fn sink_lines(sink: &SinkStatus) -> String {
    let mut out = format!(
        "sink {}: breaker {}, stored {} (seq {}), lag {}, backlog {}",
        sink.name,
        sink.state,
        grouped(sink.stored),
        grouped(sink.stored_seq),
        duration(sink.lag_ns),
        grouped(sink.backlog)
    );
    for (count, what) in [(sink.quarantined, "in quarantine"), (sink.missed, "MISSED"), (sink.retries, "retries")] {
        if count > 0 {
            let _ = write!(out, ", {} {what}", grouped(count));
        }
    }
    out.push('\n');
    if sink.failing_ns > 0 {
        let (away, next) = (duration(sink.failing_ns), duration(sink.next_attempt_ns));
        let _ = writeln!(out, "  away for {away}, next attempt in {next}");
        if !sink.last_error.is_empty() {
            let _ = writeln!(out, "  last error: {}", sink.last_error);
        }
    }
    out
}

/// How long events take from hop to hop; nothing while nothing was measured.
#[must_use]
pub fn latency_lines(latency: &[LatencyStatus]) -> String {
    let measured: Vec<_> = latency.iter().filter(|of| of.count > 0).collect();
    if measured.is_empty() {
        return String::new();
    }
    let named: Vec<String> = measured.iter().map(|of| format!("{} {}", of.hop, of.name)).collect();
    let width = named.iter().map(|name| name.chars().count()).chain([LATENCY_CHARS_MIN]).max().unwrap_or(0);
    let mut out = format!("\n{:<width$}     measured        p50        p99      p99.9        max\n", "latency");
    for (of, name) in measured.iter().zip(named) {
        let [p50, p99, p999, max] = [of.p50_ns, of.p99_ns, of.p999_ns, of.max_ns].map(time);
        let _ = writeln!(out, "{name:<width$} {:>12} {p50:>10} {p99:>10} {p999:>10} {max:>10}", grouped(of.count));
    }
    out
}

fn symbols(status: &Status) -> String {
    let mut out = String::new();
    if status.symbols.is_empty() {
        return out;
    }
    out.push_str("\nsymbol                           messages  last heard  usually every\n");
    let mut shown: Vec<_> = status.symbols.iter().collect();
    shown.sort_by_key(|symbol| (!symbol.silent, &symbol.venue, &symbol.symbol));
    for symbol in shown.iter().take(SYMBOLS_SHOWN) {
        let usual = if symbol.usual_ns == 0 { "-".to_owned() } else { duration(symbol.usual_ns) };
        let _ = writeln!(
            out,
            "{:<28} {:>12} {:>11}  {usual:>13}{}",
            format!("{} {}", symbol.venue, symbol.symbol),
            grouped(symbol.messages),
            duration(symbol.quiet_ns),
            if symbol.silent { "  SILENT" } else { "" }
        );
    }
    if shown.len() > SYMBOLS_SHOWN {
        let _ = writeln!(out, "... and {} more", shown.len() - SYMBOLS_SHOWN);
    }
    out
}

fn gaps(status: &Status) -> String {
    let gaps = &status.gaps;
    let mut out = String::new();
    if gaps.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\nlast {} of {} gaps", gaps.len().min(GAPS_SHOWN), grouped(status.totals.gaps));
    for gap in gaps.iter().rev().take(GAPS_SHOWN) {
        let _ = writeln!(out, "  {}: {}", gap_name(gap), gap_text(gap));
    }
    out
}

/// Whose it is.
#[must_use]
pub fn gap_name(gap: &GapStatus) -> &str {
    if gap.symbol.is_empty() { &gap.source } else { &gap.symbol }
}

/// Why, how long, and what is missing.
#[must_use]
pub fn gap_text(gap: &GapStatus) -> String {
    let span = gap.from.zip(gap.to).map_or(0, |(from, to)| to.saturating_sub(from).max(0).unsigned_abs());
    let missing = match (gap.events, gap.first_missing.zip(gap.last_missing)) {
        (Some(events), _) => format!(", {} events", grouped(events)),
        (None, Some((first, last))) => format!(", numbers {first} to {last}"),
        (None, None) => String::new(),
    };
    format!("{} for {}{missing}", gap.reason, duration(span))
}

/// The performance report, when there is an analysis lane.
fn analysis(document: &Value) -> String {
    match serde_json::from_value::<Option<PerformanceReport>>(document.clone()) {
        Ok(None) => String::new(),
        Ok(Some(report)) => format!("\n{}", report.text()),
        Err(error) => format!("\nthe performance report is of another version of feedd: {error}\n"),
    }
}

#[cfg(test)]
#[path = "status_text_tests.rs"]
mod tests;
