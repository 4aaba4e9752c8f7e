//! Rules for the analysis lane: which stage others wait for, and which strategy takes the time.

use crate::findings::{Evidence, Finding, Level, WAIT_NANOS};
use crate::number::{duration, grouped, percent};
use crate::snapshot::{AnalysisView, StrategyView};
use crate::verdict::{Edge, Verdict};
use feedd_core::link::LinkTotals;

/// Deliveries from which a share of them means something.
const DELIVERIES_MIN: u64 = 20;
/// Share of a strategy's calls above its time from which it is slow, percent.
const OVERLONG_PERCENT: u64 = 10;
/// Calls above its time from which the share means something.
const OVERLONG_MIN: u64 = 3;

/// Everything that is wrong with it, the cause first.
pub(crate) fn findings(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let (Some(now), Some(past)) = (&evidence.now.analysis, &evidence.recent.analysis) else { return };
    for strategy in &now.strategies {
        let before = past.strategies.iter().find(|other| other.name == strategy.name);
        slow(strategy, before.unwrap_or(&StrategyView::default()), evidence, found);
    }
    let links = [(Edge::Processor, &now.processor, &past.processor), (Edge::Engine, &now.engine, &past.engine)];
    for ((edge, totals, before), waiting_ns) in links.into_iter().zip(now.waiting_ns) {
        let totals = totals.since(before);
        let culprit = culprit(edge, now, past);
        without_credit(edge, &totals, (waiting_ns, &culprit), found);
        backpressure(edge, &totals, &culprit, found);
    }
}

fn slow(now: &StrategyView, before: &StrategyView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let calls = now.calls.saturating_sub(before.calls);
    let overlong = now.overlong.saturating_sub(before.overlong);
    let text = if now.running_ns >= evidence.limits.strategy_ns {
        format!("its running call takes {} so far", duration(now.running_ns))
    } else if now.suspended > 0 {
        format!("is suspended or stopped for {} symbols", grouped(now.suspended))
    } else if overlong >= OVERLONG_MIN && percent(overlong, calls) >= OVERLONG_PERCENT {
        format!(
            "{} of its last {} calls took longer than analysis.strategy_time_max",
            grouped(overlong),
            grouped(calls)
        )
    } else {
        return;
    };
    found.push(Finding::new(
        (Level::Warning, "FeeddSlowStrategy"),
        now.name.to_string(),
        text,
        "give it less to do (a longer interval, fewer symbols) or remove it; recording and the other strategies go on",
    ));
}

/// Items that were left out because the queue was full, or a sender that waits.
fn without_credit(edge: Edge, totals: &LinkTotals, (waiting_ns, culprit): (u64, &str), found: &mut Vec<Finding>) {
    let skipped = match edge {
        Edge::Processor => totals.skipped_items,
        Edge::Engine => totals.skipped_events,
    };
    let text = if skipped > 0 {
        format!("its queue was full: {} {} were left out{culprit}", grouped(skipped), edge.unit())
    } else if waiting_ns >= WAIT_NANOS {
        format!("has granted no credit for {}{culprit}", duration(waiting_ns))
    } else {
        return;
    };
    let remedy = edge.advice(Verdict::Critical);
    found.push(Finding::new((Level::Warning, "FeeddNoCredit"), edge.consumer(), text, remedy));
}

fn backpressure(edge: Edge, totals: &LinkTotals, culprit: &str, found: &mut Vec<Finding>) {
    let (count, of) = match edge {
        Edge::Processor => (totals.backpressure_items, totals.items),
        Edge::Engine => (totals.backpressure_events, totals.events),
    };
    let verdict = edge.verdict(count, of);
    if of < DELIVERIES_MIN || verdict < Verdict::Warning {
        return;
    }
    let share = percent(count, of);
    let text = format!("{share}% of the last {} {} came before it was ready{culprit}", grouped(of), edge.unit());
    found.push(Finding::new((Level::Warning, "FeeddBackpressure"), edge.consumer(), text, edge.advice(verdict)));
}

/// Which strategy took most of the engine's time, as the end of a sentence.
fn culprit(edge: Edge, now: &AnalysisView, past: &AnalysisView) -> String {
    if edge == Edge::Processor {
        return String::new();
    }
    let busy = |strategy: &StrategyView| {
        let before = past.strategies.iter().find(|other| other.name == strategy.name);
        strategy.busy_ns.saturating_sub(before.map_or(0, |before| before.busy_ns)) + strategy.running_ns
    };
    let all: u64 = now.strategies.iter().map(busy).sum();
    let most = now.strategies.iter().max_by_key(|strategy| busy(strategy)).filter(|strategy| busy(strategy) > 0);
    most.map_or_else(String::new, |most| {
        format!("; {} took {}% of the time of all strategies", most.name, percent(busy(most), all))
    })
}
