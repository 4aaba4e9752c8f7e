//! Faults by chance, by seed.

use super::{Fault, FaultKind};
use fastrand::Rng;
use std::time::Duration;

/// Kinds that are chosen among when none are named: what happens to a feed in a bad week.
const KINDS_USUAL: [&str; 9] =
    ["close", "reset", "blackhole", "mute", "duplicate", "reorder", "drop", "bad-checksum", "sequence-reset"];

/// Faults by chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// Faults a minute on average, in thousandths.
    pub per_minute_milli: u64,
    /// Names of the kinds to choose among; empty: the usual ones.
    pub kinds: Vec<String>,
    /// Same seed, same faults at the same times.
    pub seed: u64,
}

impl Chaos {
    /// Checks the names.
    ///
    /// # Errors
    /// Names the first that is no fault.
    pub fn check(&self) -> Result<(), super::FaultError> {
        self.kinds.iter().try_for_each(|name| Fault::parse(&with_value(name, "X")).map(drop))
    }
}

/// The next fault by chance, again and again.
#[derive(Debug)]
pub(crate) struct ChaosClock {
    rng: Rng,
    per_minute_milli: u64,
    kinds: Vec<String>,
    symbols: Vec<String>,
    next: Duration,
}

impl ChaosClock {
    pub(crate) fn new(chaos: &Chaos, symbols: Vec<String>) -> Self {
        let kinds = match chaos.kinds.as_slice() {
            [] => KINDS_USUAL.map(str::to_owned).to_vec(),
            kinds => kinds.to_vec(),
        };
        let rng = Rng::with_seed(chaos.seed);
        let mut clock = Self { rng, per_minute_milli: chaos.per_minute_milli, kinds, symbols, next: Duration::ZERO };
        clock.wind();
        clock
    }

    /// When the next one strikes, from the start on.
    pub(crate) fn next_at(&self) -> Duration {
        self.next
    }

    /// The next one; the clock goes on to the one after it.
    pub(crate) fn take(&mut self) -> Option<Fault> {
        let kind = self.rng.choice(&self.kinds)?.clone();
        let symbol = self.rng.choice(&self.symbols).cloned().unwrap_or_default();
        let mut fault = Fault::parse(&with_value(&kind, &symbol)).ok()?;
        if fault.kind.lasts() {
            fault.lasts = Some(Duration::from_millis(self.rng.u64(500..10_000)));
        }
        if let FaultKind::Drop { count } | FaultKind::Duplicate { count } = &mut fault.kind {
            *count = self.rng.u32(1..=5);
        }
        fault.at = Some(self.next);
        self.wind();
        Some(fault)
    }

    /// Times between faults are exponential: the sum of small independent chances, one for each 10 ms.
    fn wind(&mut self) {
        // A minute has 6000 ticks of 10 ms, so a tick has per_minute_milli chances in 6,000,000.
        let chances = self.per_minute_milli.clamp(1, 6_000_000);
        let mut ticks = 1;
        while self.rng.u64(0..6_000_000) >= chances && ticks < 8_640_000 {
            ticks += 1;
        }
        self.next += Duration::from_millis(10 * ticks);
    }
}

/// A name with the value that it needs.
fn with_value(name: &str, symbol: &str) -> String {
    match name {
        "mute-symbol" => format!("mute-symbol={symbol}"),
        "skew" => "skew=-1500ms".to_owned(),
        "close-frame" => "close-frame=1001".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_at_the_rate_that_was_asked_for() {
        let chaos = Chaos { per_minute_milli: 30_000, kinds: Vec::new(), seed: 3 };
        let faults = |chaos: &Chaos| {
            let mut clock = ChaosClock::new(chaos, vec!["A".to_owned()]);
            let faults: Vec<Fault> = (0..3000).map(|_| clock.take().unwrap()).collect();
            faults
        };
        let all = faults(&chaos);
        assert_eq!(all, faults(&chaos));
        // 3000 faults at 30 a minute take 100 minutes, within 6 % (three standard deviations).
        let minutes = all.last().unwrap().at.unwrap().as_secs() / 60;
        assert!((94..=106).contains(&minutes), "{minutes}");
        for kind in KINDS_USUAL {
            assert!(all.iter().any(|fault| fault.kind.name() == kind), "{kind}");
        }
    }

    #[test]
    fn a_wrong_kind_is_refused() {
        let kinds = |name: &str| Chaos { per_minute_milli: 1, kinds: vec![name.to_owned()], seed: 1 };
        assert!(kinds("mute-symbol").check().is_ok());
        assert!(kinds("fire").check().unwrap_err().to_string().contains("fire is no fault"));
    }
}
