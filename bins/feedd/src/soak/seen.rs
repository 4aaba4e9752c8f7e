//! What was seen of a recorder while it ran: nothing is counted here that its status document does not tell.

use feedd_telemetry::status::{LatencyStatus, LogLine, Status};
use std::collections::{BTreeMap, BTreeSet};

/// Beginnings of the warnings that speak of backpressure, and what their kind is called by.
const BACKPRESSURE: [&str; 3] = ["Channel full!", "Processing backpressure detected", "Batch buffer"];
/// As the source design says it.
const CHANNEL_FULL: &str = BACKPRESSURE[0];
/// What a line of the analysis says likewise, somewhere in it.
const OF_THE_ANALYSIS: &str = "[BACKPRESSURE]";
/// What a line says that stands for others, which were left out since the last one of its kind.
const STANDS_FOR_OTHERS: &str = " more like this since the last line)";
/// What the status document calls the calls of a sink, among its latencies.
const INSERT: &str = "sink_insert";

/// One start of the recorder.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// The last look.
    pub(super) last: Status,
    /// Whether every symbol was heard once.
    heard_all: bool,
}

/// Memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Since the first look.
    pub(super) at_ns: u64,
    pub(super) bytes: u64,
}

/// A finding, when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) rule: String,
    pub(super) who: String,
    pub(super) remedy: String,
    /// Wall clock, ns.
    pub(super) first_at: i64,
    pub(super) last_at: i64,
}

/// Everything that was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    symbols: u64,
    interval_ns: u64,
    began: Option<i64>,
    last_at: i64,
    line_at: i64,
    /// By their epoch.
    pub(super) starts: BTreeMap<u32, Start>,
    pub(super) memory: Vec<Memory>,
    /// Warnings that a ring is full.
    pub(super) channel_full: u64,
    /// Health intervals with a warning of backpressure.
    warned: BTreeSet<u64>,
    /// Interval of the last warning, by its kind.
    warned_last: BTreeMap<String, u64>,
    /// Fewest symbols that were fresh after all had been heard.
    pub(super) fresh_min: Option<u64>,
    pub(super) sightings: Vec<Sighting>,
}

impl Seen {
    /// Nothing yet, of so many symbols, with so long a health interval.
    pub(super) fn new(symbols: u64, interval_ns: u64) -> Self {
        Self {
            symbols,
            interval_ns: interval_ns.max(1),
            began: None,
            last_at: 0,
            line_at: i64::MIN,
            starts: BTreeMap::new(),
            memory: Vec::new(),
            channel_full: 0,
            warned: BTreeSet::new(),
            warned_last: BTreeMap::new(),
            fresh_min: None,
            sightings: Vec::new(),
        }
    }

    /// Adds a look.
    pub(super) fn add(&mut self, status: Status) {
        let began = *self.began.get_or_insert(status.at);
        self.last_at = self.last_at.max(status.at);
        self.memory.push(Memory { at_ns: since(began, status.at), bytes: status.program.rss_bytes });
        let line_at = self.line_at;
        for line in status.log.iter().filter(|line| line.at > line_at) {
            warned(line, since(began, line.at) / self.interval_ns, self);
        }
        self.line_at = status.log.last().map_or(self.line_at, |line| line.at.max(self.line_at));
        for finding in &status.findings {
            let known = self.sightings.iter_mut().find(|s| s.rule == finding.rule && s.who == finding.who);
            match known {
                Some(known) => known.last_at = status.at,
                None => self.sightings.push(Sighting {
                    rule: finding.rule.clone(),
                    who: finding.who.clone(),
                    remedy: finding.remedy.clone(),
                    first_at: status.at,
                    last_at: status.at,
                }),
            }
        }
        let (fresh, heard) = (status.verdict.symbols_fresh, status.verdict.symbols >= self.symbols);
        let epoch = status.program.epoch;
        let heard_all = heard || self.starts.get(&epoch).is_some_and(|start| start.heard_all);
        if heard_all {
            self.fresh_min = Some(self.fresh_min.map_or(fresh, |fewest| fewest.min(fresh)));
        }
        self.starts.insert(epoch, Start { last: status, heard_all });
    }

    /// Health intervals that have passed, the last one perhaps not whole, and how many of them saw a warning.
    pub(super) fn intervals(&self) -> (u64, u64) {
        let passed = since(self.began.unwrap_or(self.last_at), self.last_at).div_ceil(self.interval_ns).max(1);
        // A line can be written after the look that was the last.
        let warned = self.warned.len() as u64;
        (warned, passed.max(warned))
    }

    /// Wall time of the last look; 0 before the first.
    pub(super) const fn last_at(&self) -> i64 {
        self.last_at
    }

    /// How long the calls of each sink took, of each start; without those that were given nothing.
    pub(super) fn inserts(&self) -> impl Iterator<Item = &LatencyStatus> {
        let all = self.starts.values().flat_map(|start| &start.last.latency);
        all.filter(|latency| latency.hop == INSERT && latency.count > 0)
    }

    /// The last look at the last start.
    pub(super) fn last(&self) -> Option<&Status> {
        self.starts.values().next_back().map(|start| &start.last)
    }

    /// A number of each start's last status, added up.
    pub(super) fn sum(&self, number: impl Fn(&Status) -> u64) -> u64 {
        self.starts.values().map(|start| number(&start.last)).sum()
    }
}

/// Between two wall times; 0 when the clock went back.
pub(super) fn since(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

/// Takes a log line that was not seen before, of that health interval.
fn warned(line: &LogLine, interval: u64, seen: &mut Seen) {
    if line.level != "WARN" {
        return;
    }
    let beginning = BACKPRESSURE.into_iter().find(|beginning| line.text.starts_with(beginning));
    let kind = beginning.or(line.text.contains(OF_THE_ANALYSIS).then_some(OF_THE_ANALYSIS));
    let Some(kind) = kind else { return };
    seen.channel_full += u64::from(kind == CHANNEL_FULL);
    // Lines are limited in their number: one can stand for all intervals since the last.
    let last = seen.warned_last.insert(kind.to_owned(), interval);
    let from = last.filter(|_| line.text.contains(STANDS_FOR_OTHERS)).unwrap_or(interval);
    seen.warned.extend(from.min(interval)..=interval);
}

#[cfg(test)]
#[path = "seen_tests.rs"]
pub(super) mod tests;
