//! Whether something else had the cores while a round ran.

use super::{CASES, Round, Way};

/// A round's ping-pong may be this many times the median of all, or that part of it.
const PING_PONG_BAND: f64 = 1.5;
/// Largest part of the time that the hypervisor kept the cores.
const STEAL_MAX: f64 = 0.01;
/// Smallest part of its core that a pinned thread that never waits must have had.
const CORE_SHARE_MIN: f64 = 0.9;

/// Why a round does not count.
#[derive(Debug, Default)]
pub(crate) struct Disturbance {
    steal: f64,
    reasons: Vec<String>,
}

impl Disturbance {
    pub(crate) fn new(steal: f64) -> Self {
        Self { steal, reasons: Vec::new() }
    }

    pub(crate) fn is_disturbed(&self) -> bool {
        !self.reasons.is_empty()
    }

    pub(crate) fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

/// Looks at all rounds together.
pub(crate) fn judge(rounds: &mut [Round]) {
    let mut times: Vec<f64> = rounds.iter().map(|round| round.ping_pong_ns).collect();
    times.sort_by(f64::total_cmp);
    let Some(&median) = times.get(times.len() / 2) else { return };
    for round in rounds {
        let mut reasons = Vec::new();
        if round.ping_pong_ns > median * PING_PONG_BAND || round.ping_pong_ns < median / PING_PONG_BAND {
            reasons.push(format!("core to core {:.0} ns, {median:.0} ns in the median", round.ping_pong_ns));
        }
        if round.disturbance.steal > STEAL_MAX {
            reasons.push(format!("{:.1} % of the time was taken by the hypervisor", round.disturbance.steal * 100.0));
        }
        // Of the bare ring alone: its two threads have nothing to wait for.
        for (case, work) in CASES.iter().zip(&round.works) {
            let smallest = work.producer_shares.iter().copied().fold(work.consumer_share, f64::min);
            if matches!(case.way, Way::Ring) && smallest < CORE_SHARE_MIN {
                reasons.push(format!("{}: a pinned thread had {smallest:.2} of its core", case.name));
            }
        }
        round.disturbance.reasons = reasons;
    }
}

/// Time of all cores since the start of the machine, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steal {
    stolen: u64,
    all: u64,
}

impl Steal {
    /// From `/proc/stat`; nothing where there is none.
    pub(crate) fn read() -> Self {
        std::fs::read_to_string("/proc/stat").ok().and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<u64> =
            text.lines().next()?.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
        // user nice system idle iowait irq softirq steal; guest times are in user and nice.
        Some(Self { stolen: *fields.get(7)?, all: fields.iter().take(8).sum() })
    }

    /// Part of the time since then that the hypervisor kept.
    pub(crate) fn share_since(self) -> f64 {
        let now = Self::read();
        let all = now.all.saturating_sub(self.all).max(1);
        now.stolen.saturating_sub(self.stolen) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_time() {
        let steal = Steal::parse("cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1").unwrap();
        assert_eq!((steal.stolen, steal.all), (80, 360));
        assert!(Steal::parse("cpu 1 2").is_none());
    }
}
