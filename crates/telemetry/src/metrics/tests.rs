//! What a scrape says of high-water marks: the highest fill since the scrape before, then no more than what waits now.

use super::*;
use crate::watched::{WatchedAnalysis, WatchedSink};
use crossbeam_utils::CachePadded;
use feedd_core::counters::{AnalysisCounters, BatchingCounters, StorageCounters};
use feedd_core::link::{LinkMode, LinkReceiver, LinkSender, link, stage_link};
use feedd_core::wake::Wake;
use feedd_core::{Instruments, ManualClock};
use feedd_model::UnixNanos;
use std::sync::Arc;
use std::time::Duration;

/// The value of a series on the page of a scrape that is made now.
fn scrape(watched: &Watched, series: &[&str]) -> Vec<String> {
    let page = metrics_page(&MetricsView {
        watched,
        now: &Snapshot::take(watched),
        symbols: &[],
        stages: &[],
        findings: &[],
        alerts: &[],
        told: Told::default(),
        disks: &[],
        violations: 0,
        version: "0",
        started_at: 0,
        rss_bytes: 0,
    });
    let value = |series: &&str| {
        let mut lines = page.lines().filter_map(|line| line.strip_prefix(*series)?.strip_prefix(' '));
        lines.next().unwrap_or_else(|| panic!("{series} in\n{page}")).to_owned()
    };
    series.iter().map(value).collect()
}

/// Delivers so many items and lets the consumer take some of them.
fn deliver(ends: &mut (LinkSender<u32>, LinkReceiver<u32>), items: usize, taken: usize) {
    for _ in 0..items {
        ends.0.send(0, 1).expect("there is room");
    }
    for _ in 0..taken {
        ends.1.take().expect("one waits");
    }
}

#[test]
fn high_water_marks_begin_anew_with_each_scrape() {
    let stage = |name| stage_link::<u32>(name, 16, LinkMode::Live, Arc::new(Wake::new(true)));
    let mut links = [link(16), stage("processor"), stage("engine")];
    let sink = Arc::new(CachePadded::new(StorageCounters::default()));
    let [storage, processor_link, engine_link] = links.each_ref().map(|(sender, _)| sender.watch());
    let watched = Watched {
        sources: Vec::new(),
        batching: Arc::new(CachePadded::new(BatchingCounters::default())),
        journal: None,
        links: vec![storage],
        link_capacity: 16,
        sinks: vec![WatchedSink { name: "parquet".into(), required: true, counters: sink.clone() }],
        analysis: Some(WatchedAnalysis { processor_link, engine_link, counters: Arc::new(AnalysisCounters::new(&[])) }),
        batch_age_max: Duration::ZERO,
        instruments: Instruments::in_memory(),
        simulated: false,
        clock: Arc::new(ManualClock::at(UnixNanos(0))),
    };
    let marks = [
        "feedd_link_depth_max",
        "feedd_delivered_items_waiting_max{stage=\"processor\"}",
        "feedd_delivered_items_waiting_max{stage=\"engine\"}",
        "feedd_sink_batch_events_peak{sink=\"parquet\"}",
    ];
    assert_eq!(scrape(&watched, &marks), ["0", "0", "0", "0"], "there from the start");
    for (ends, (items, taken)) in links.iter_mut().zip([(5, 3), (7, 7), (4, 3)]) {
        deliver(ends, items, taken);
    }
    for buffered in [900, 40] {
        sink.buffered.set(buffered);
        sink.buffered_peak.raise(buffered);
    }
    assert_eq!(scrape(&watched, &marks), ["5", "7", "4", "900"], "the burst, although it is over");
    assert_eq!(scrape(&watched, &marks), ["2", "0", "1", "40"], "what waits now");
    deliver(&mut links[0], 1, 3);
    assert_eq!(scrape(&watched, &marks)[0], "3", "a lower one in a window of its own");
    assert_eq!(scrape(&watched, &marks)[0], "0");
}
