//! Whether something else had the cores while a case ran. Judged by nothing else than a cache line's way between two cores
//! before and after it, time the hypervisor took, and the share of its core that a pinned thread had which never waits.

/// A ping-pong may take this many times the median of all, or that part of it.
const PING_PONG_BAND: f64 = 1.5;
/// Largest part of the time that the hypervisor may have kept the cores. A virtual machine is never quite without: at this
/// share a ratio moves by less than its quartiles.
const STEAL_MAX: f64 = 0.03;
/// The system counts in ticks: one alone, in a short run, says nothing.
const STEAL_TICKS_MIN: u64 = 2;
/// Smallest part of its core that a pinned thread that never waits must have had.
const CORE_SHARE_MIN: f64 = 0.9;

/// What tells of others on the machine, of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// One way of a cache line between two cores, ns, before and after; `None` on one core.
    pub(crate) ping_pong_ns: Option<[f64; 2]>,
    /// What the hypervisor kept.
    pub(crate) steal: Steal,
    /// Smallest part of its core that one of the threads had which never wait, if there was any.
    pub(crate) core_share: Option<f64>,
}

/// Why each run does not count; nothing where it does.
pub(crate) fn judge(runs: &[Signs]) -> Vec<Vec<String>> {
    let median = ping_pong_median(runs);
    runs.iter().map(|run| reasons(run, median)).collect()
}

/// Whether a run does not count beside those before it. The last word is that of [`judge`], which knows them all.
pub(crate) fn is_disturbed(run: &Signs, before: &[Signs]) -> bool {
    !reasons(run, ping_pong_median(before)).is_empty()
}

fn ping_pong_median(runs: &[Signs]) -> Option<f64> {
    let mut times: Vec<f64> = runs.iter().filter_map(|run| run.ping_pong_ns).flatten().collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn reasons(run: &Signs, median: Option<f64>) -> Vec<String> {
    let mut reasons = Vec::new();
    let is_outside = |ns: &f64| median.is_some_and(|m| *ns > m * PING_PONG_BAND || *ns < m / PING_PONG_BAND);
    if let (Some(median), Some(ns)) = (median, run.ping_pong_ns.into_iter().flatten().find(is_outside)) {
        reasons.push(format!("core to core {ns:.0} ns, {median:.0} ns in the median"));
    }
    if run.steal.stolen >= STEAL_TICKS_MIN && run.steal.share() > STEAL_MAX {
        let percent = run.steal.share() * 100.0;
        reasons.push(format!("{percent:.1} % of the time was taken by the hypervisor"));
    }
    if let Some(share) = run.core_share.filter(|share| *share < CORE_SHARE_MIN) {
        reasons.push(format!("a pinned thread that never waits had {share:.2} of its core"));
    }
    reasons
}

/// Time of all cores, in ticks: since the start of the machine, or between two looks.
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

    /// From then until now.
    pub(crate) fn since(self) -> Self {
        let now = Self::read();
        Self { stolen: now.stolen.saturating_sub(self.stolen), all: now.all.saturating_sub(self.all) }
    }

    /// Part of the time that the hypervisor kept.
    pub(crate) fn share(self) -> f64 {
        self.stolen as f64 / self.all.max(1) as f64
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
    fn a_run_is_disturbed_by_each_sign_alone() {
        let quiet = Signs { ping_pong_ns: Some([100.0; 2]), steal: Steal::default(), core_share: Some(0.99) };
        let stolen = |stolen, all| Signs { steal: Steal { stolen, all }, ..quiet };
        let cases = [
            ("quiet", quiet, None),
            ("far apart before", Signs { ping_pong_ns: Some([151.0, 100.0]), ..quiet }, Some("core to core 151")),
            ("far apart after", Signs { ping_pong_ns: Some([100.0, 151.0]), ..quiet }, Some("core to core 151")),
            ("one core's threads", Signs { ping_pong_ns: Some([20.0; 2]), ..quiet }, Some("core to core")),
            ("stolen", stolen(4, 100), Some("hypervisor")),
            ("a little stolen", stolen(3, 100), None),
            ("one tick of a short run", stolen(1, 10), None),
            ("preempted", Signs { core_share: Some(0.89), ..quiet }, Some("0.89")),
            ("nothing known", Signs { ping_pong_ns: None, core_share: None, ..quiet }, None),
        ];
        let runs: Vec<Signs> = cases.iter().map(|case| case.1).chain([quiet; 8]).collect();
        for ((name, _, expected), reasons) in cases.iter().zip(judge(&runs)) {
            assert_eq!(reasons.len(), usize::from(expected.is_some()), "{name}: {reasons:?}");
            assert!(reasons.first().is_none_or(|reason| reason.contains(expected.unwrap())), "{name}: {reasons:?}");
        }
    }
}
