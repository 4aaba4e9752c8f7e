//! When a line about backpressure within the analysis is due. Pure: it is shown counts and answers with notices.

use crate::levels::{Notice, Severity};
use crate::number::grouped;
use crate::verdict::Edge;
use crate::watched::WatchedAnalysis;
use feedd_core::link::Stall;
use feedd_model::MonoNanos;

/// A sender that waits for a stage longer than this without a break: the stage is named.
const STALL_NANOS: u64 = 5_000_000_000;

/// Looks at the analysis again and again, from one thread.
#[derive(Debug, Default)]
pub struct BackpressureWatch {
    /// Counts at the last look.
    last: [u64; 2],
    /// Beginnings of the stalls told last.
    stalls: [Option<MonoNanos>; 2],
}

impl BackpressureWatch {
    /// What is to be said now.
    pub fn look(&mut self, analysis: &WatchedAnalysis, now: MonoNanos) -> Vec<Notice> {
        let mut notices = self.counted(analysis.backpressure());
        let links = [&analysis.processor_link, &analysis.engine_link];
        notices.extend(self.stalled(links.map(|link| link.stall(now, STALL_NANOS))));
        notices
    }

    /// One line for each edge whose count has passed one or more of its steps, with the number reached.
    fn counted(&mut self, counts: [u64; 2]) -> Vec<Notice> {
        let last = std::mem::replace(&mut self.last, counts);
        let edges = Edge::ALL.into_iter().zip(last.into_iter().zip(counts));
        let due = edges.filter(|(edge, (last, count))| count / edge.log_step() > last / edge.log_step());
        due.map(|(edge, (_, count))| {
            notice(format!(
                "[BACKPRESSURE] {}: {} events ({} falling behind)",
                edge.name(),
                grouped(count),
                edge.consumer()
            ))
        })
        .collect()
    }

    /// One line for each wait that has become too long.
    fn stalled(&mut self, stalls: [Option<Stall>; 2]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (told, stall) in self.stalls.iter_mut().zip(stalls) {
            let Some(stall) = stall else { continue };
            if told.replace(stall.since) != Some(stall.since) {
                notices.push(notice(format!("{stall}; waiting goes on")));
            }
        }
        notices
    }
}

fn notice(text: String) -> Notice {
    Notice { severity: Severity::Warn, who: "analysis".to_owned(), text, suppressed: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(notices: Vec<Notice>) -> Vec<String> {
        notices.into_iter().map(|notice| notice.text).collect()
    }

    #[test]
    fn a_line_is_due_at_each_step_and_says_the_number_reached() {
        let mut watch = BackpressureWatch::default();
        let processor =
            |n: &str| format!("[BACKPRESSURE] Coordinator→Processor: {n} events (DataProcessor falling behind)");
        let engine = |n: &str| format!("[BACKPRESSURE] Processor→Analysis: {n} events (AnalysisEngine falling behind)");
        let steps = [
            ([0, 0], vec![]),
            ([999, 499], vec![]),
            ([1_000, 499], vec![processor("1,000")]),
            ([1_000, 500], vec![engine("500")]),
            ([1_999, 999], vec![]),
            ([2_003, 1_000], vec![processor("2,003"), engine("1,000")]),
            ([2_003, 1_000], vec![]),
            // A jump is told once.
            ([7_003, 6_000], vec![processor("7,003"), engine("6,000")]),
            ([7_999, 6_499], vec![]),
            ([8_000, 1_234_567], vec![processor("8,000"), engine("1,234,567")]),
        ];
        for (counts, expected) in steps {
            assert_eq!(texts(watch.counted(counts)), expected, "{counts:?}");
        }
    }

    #[test]
    fn each_stall_is_told_once() {
        let stall = |since, waited_ns| {
            let since = MonoNanos(since);
            Some(Stall { consumer: "engine", since, waited_ns, items: 1 })
        };
        let mut watch = BackpressureWatch::default();
        let told = ["engine has stalled: waited for 5.1 s, 1 item not finished; waiting goes on"];
        assert_eq!(texts(watch.stalled([None, stall(10, 5_100_000_000)])), told);
        assert_eq!(texts(watch.stalled([None, stall(10, 9_000_000_000)])), [""; 0], "the same wait");
        assert_eq!(texts(watch.stalled([None, None])), [""; 0]);
        assert_eq!(texts(watch.stalled([None, stall(11, 5_100_000_000)])), told, "the next one");
    }
}
