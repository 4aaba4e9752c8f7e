//! Which symbols are heard, and which have fallen silent.
//!
//! Judged by when the count of a symbol's messages changed on the telemetry thread's own clock: no venue's clock and no
//! recording's time can mislead it.

use crate::watched::Watched;
use feedd_model::{InstrumentId, MonoNanos, UnixNanos};
use std::collections::HashMap;

/// A symbol is silent when it has not been heard for this long, and for [`QUIET_TIMES`] its usual pause.
const QUIET_MIN_NANOS: u64 = 4_000_000_000;
/// See [`QUIET_MIN_NANOS`]. Trades come in bursts: of ten symbols of a recorded day, none paused so long.
const QUIET_TIMES: u64 = 30;
/// Messages from which a usual pause is known.
const USUAL_FROM: u64 = 20;

/// One symbol at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolView {
    /// Whose ring it comes through.
    pub source: String,
    /// Venue and market.
    pub venue: String,
    /// As the venue spells it.
    pub symbol: String,
    /// Messages of this start.
    pub messages: u64,
    /// Receive time of the last.
    pub last_at: Option<UnixNanos>,
    /// How long it has not been heard, ns.
    pub quiet_ns: u64,
    /// Its usual pause, ns; 0 while it is not known.
    pub usual_ns: u64,
    /// Whether it has been quiet for too long while its source goes on.
    pub is_silent: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    messages: u64,
    first: MonoNanos,
    changed: MonoNanos,
}

/// Remembers when each symbol was last heard.
#[derive(Debug, Default)]
pub struct SymbolWatch {
    seen: HashMap<(usize, InstrumentId), Seen>,
}

impl SymbolWatch {
    /// Looks at every symbol; to be called often, a pause is known as exactly as this is called.
    pub fn look(&mut self, watched: &Watched, now: MonoNanos) -> Vec<SymbolView> {
        let mut views = Vec::new();
        for (index, source) in watched.sources.iter().enumerate() {
            let has_ended = source.counters.ended.get() != 0;
            for heard in source.counters.heard.all() {
                let messages = heard.messages();
                let seen = self.seen.entry((index, heard.instrument()));
                let seen = seen.or_insert(Seen { messages, first: now, changed: now });
                if seen.messages != messages {
                    (seen.messages, seen.changed) = (messages, now);
                }
                let quiet_ns = now.since(seen.changed);
                let usual_ns = usual(seen);
                let named = watched.instruments.get(heard.instrument());
                let (venue, symbol) =
                    named.map_or_else(Default::default, |i| (i.venue.to_string(), i.symbol.to_string()));
                views.push(SymbolView {
                    source: source.name.clone(),
                    venue,
                    symbol,
                    messages,
                    last_at: heard.last_at(),
                    quiet_ns,
                    usual_ns,
                    is_silent: !has_ended && is_silent(quiet_ns, usual_ns),
                });
            }
        }
        views
    }
}

/// The mean pause between two messages, while it was heard.
fn usual(seen: &Seen) -> u64 {
    if seen.messages < USUAL_FROM { 0 } else { seen.changed.since(seen.first) / seen.messages }
}

/// Whether a pause is too long. Of a symbol that was hardly heard yet nothing is usual.
const fn is_silent(quiet_ns: u64, usual_ns: u64) -> bool {
    usual_ns > 0 && quiet_ns > QUIET_MIN_NANOS && quiet_ns > usual_ns.saturating_mul(QUIET_TIMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_against_what_is_usual() {
        let ms = 1_000_000;
        let cases = [
            ("hardly heard yet", 3_600_000 * ms, 0, false),
            ("ten a second, quiet for 4 s", 4_000 * ms, 100 * ms, false),
            ("ten a second, quiet for a little more", 4_001 * ms, 100 * ms, true),
            ("ten a second, quiet for 6 s", 6_000 * ms, 100 * ms, true),
            ("every 10 s, quiet for a minute", 60_000 * ms, 10_000 * ms, false),
            ("every 10 s, quiet for 6 minutes", 360_000 * ms, 10_000 * ms, true),
        ];
        for (name, quiet, usual, expected) in cases {
            assert_eq!(is_silent(quiet, usual), expected, "{name}");
        }
    }
}
