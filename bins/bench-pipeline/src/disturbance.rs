//! Whether something else had the cores while a round ran. Judged by nothing else than a cache line's way between two
//! cores, time the hypervisor took, and the share of its core that a pinned thread had which never waits.

/// A round's ping-pong may be this many times the median of all, or that part of it.
const PING_PONG_BAND: f64 = 1.5;
/// Largest part of the time that the hypervisor kept the cores.
const STEAL_MAX: f64 = 0.01;
/// Smallest part of its core that a pinned thread that never waits must have had.
const CORE_SHARE_MIN: f64 = 0.9;

/// What tells of others on the machine, of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// One way of a cache line between two cores, ns; `None` on one core.
    pub(crate) ping_pong_ns: Option<f64>,
    /// Part of the time that the hypervisor kept.
    pub(crate) steal: f64,
    /// Smallest part of its core that one of the threads had which never wait, if there was any.
    pub(crate) core_share: Option<f64>,
}

/// Why each round does not count; nothing where it does.
pub(crate) fn judge(rounds: &[Signs]) -> Vec<Vec<String>> {
    let mut times: Vec<f64> = rounds.iter().filter_map(|round| round.ping_pong_ns).collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied();
    let judge = |round: &Signs| {
        let mut reasons = Vec::new();
        if let (Some(ns), Some(median)) = (round.ping_pong_ns, median)
            && (ns > median * PING_PONG_BAND || ns < median / PING_PONG_BAND)
        {
            reasons.push(format!("core to core {ns:.0} ns, {median:.0} ns in the median"));
        }
        if round.steal > STEAL_MAX {
            reasons.push(format!("{:.1} % of the time was taken by the hypervisor", round.steal * 100.0));
        }
        if let Some(share) = round.core_share.filter(|share| *share < CORE_SHARE_MIN) {
            reasons.push(format!("a pinned thread that never waits had {share:.2} of its core"));
        }
        reasons
    };
    rounds.iter().map(judge).collect()
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

    #[test]
    fn a_round_is_disturbed_by_each_sign_alone() {
        let quiet = Signs { ping_pong_ns: Some(100.0), steal: 0.0, core_share: Some(0.99) };
        let cases = [
            ("quiet", quiet, None),
            ("far apart", Signs { ping_pong_ns: Some(151.0), ..quiet }, Some("core to core")),
            ("one core's threads", Signs { ping_pong_ns: Some(20.0), ..quiet }, Some("core to core")),
            ("stolen", Signs { steal: 0.02, ..quiet }, Some("hypervisor")),
            ("preempted", Signs { core_share: Some(0.89), ..quiet }, Some("0.89")),
            ("nothing known", Signs { ping_pong_ns: None, steal: 0.0, core_share: None }, None),
        ];
        let rounds: Vec<Signs> = cases.iter().map(|case| case.1).chain([quiet; 8]).collect();
        for ((name, _, expected), reasons) in cases.iter().zip(judge(&rounds)) {
            assert_eq!(reasons.len(), usize::from(expected.is_some()), "{name}: {reasons:?}");
            assert!(reasons.first().is_none_or(|reason| reason.contains(expected.unwrap())), "{name}: {reasons:?}");
        }
    }
}
