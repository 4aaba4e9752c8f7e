//! What follows from two documents and more: rates of symbols, and how rate and lag went.

use feedd_telemetry::status::Status;
use std::collections::{HashMap, VecDeque};

/// Documents remembered for the charts.
const KEPT: usize = 600;

/// A symbol of a source: source, venue, symbol.
type Key = (String, String, String);

/// Remembers what came.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Which run: when it was started, and its process.
    run: (i64, u32),
    uptime_ns: u64,
    accepted: u64,
    messages: HashMap<Key, u64>,
    rates: HashMap<Key, u64>,
    accepted_per_s: VecDeque<u64>,
    lag_ns: VecDeque<u64>,
}

impl History {
    /// Takes the next document. One of another run begins anew; one that says nothing new changes nothing.
    pub(super) fn take(&mut self, status: &Status) {
        let run = (status.program.started_at, status.program.pid);
        if self.run != run {
            *self = Self { run, ..Self::default() };
        }
        let nanos = status.program.uptime_ns.saturating_sub(self.uptime_ns);
        let is_first = self.uptime_ns == 0;
        if nanos == 0 {
            return;
        }
        let per_s =
            |count: u64| u64::try_from(u128::from(count) * 1_000_000_000 / u128::from(nanos)).unwrap_or(u64::MAX);
        for symbol in &status.symbols {
            let key = (symbol.source.clone(), symbol.venue.clone(), symbol.symbol.clone());
            if let Some(before) = self.messages.insert(key.clone(), symbol.messages) {
                self.rates.insert(key, per_s(symbol.messages.saturating_sub(before)));
            }
        }
        if !is_first {
            push(&mut self.accepted_per_s, per_s(status.totals.accepted.saturating_sub(self.accepted)));
        }
        push(&mut self.lag_ns, status.verdict.lag_ns);
        (self.uptime_ns, self.accepted) = (status.program.uptime_ns, status.totals.accepted);
    }

    /// Messages a second of a symbol, once two documents have told.
    pub(super) fn rate(&self, source: &str, venue: &str, symbol: &str) -> Option<u64> {
        // Ten symbols, once a second: a key of its own costs nothing that matters.
        self.rates.get(&(source.to_owned(), venue.to_owned(), symbol.to_owned())).copied()
    }

    /// Events accepted a second, between each two documents, oldest first.
    pub(super) const fn accepted_per_s(&self) -> &VecDeque<u64> {
        &self.accepted_per_s
    }

    /// Lag at each document, oldest first.
    pub(super) const fn lag_ns(&self) -> &VecDeque<u64> {
        &self.lag_ns
    }
}

fn push(values: &mut VecDeque<u64>, value: u64) {
    if values.len() == KEPT {
        values.pop_front();
    }
    values.push_back(value);
}
