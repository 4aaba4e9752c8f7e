//! Every metric: its name, kind, help, and where its samples come from. `docs/metrics.md` lists the same rows.

use super::{Kind, MetricsView, Samples};
use crate::alerts::{Alert, State};
use crate::findings::DiskView;
use crate::hops::{StageView, each_hop, wall_of};
use crate::snapshot::{AnalysisView, RingView, SinkView, StrategyView};
use crate::watched::{WatchedAnalysis, WatchedSink, WatchedSource};
use feedd_core::counters::{Counter, JournalCounters, SinkState, SourceCounters, StorageCounters};
use feedd_core::histogram::Histogram;
use feedd_core::link::LinkWatch;
use feedd_core::peak::PeakReader;
use feedd_model::{MonoNanos, UnixNanos};

/// One metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// One line.
    pub help: &'static str,
    /// Writes its samples.
    pub(super) samples: fn(&MetricsView<'_>, &mut Samples),
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&MetricsView<'_>, &mut Samples)) -> Metric {
    Metric { name, kind: Kind::Counter, help, samples }
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&MetricsView<'_>, &mut Samples)) -> Metric {
    Metric { name, kind: Kind::Gauge, help, samples }
}

const fn histogram(name: &'static str, help: &'static str, samples: fn(&MetricsView<'_>, &mut Samples)) -> Metric {
    Metric { name, kind: Kind::Histogram, help, samples }
}

/// Every metric, in the order of the page.
pub const METRICS: &[Metric] = &[
    gauge("feedd_build_info", "Always 1; the version stands in the label.", |v, s| s.add(&[("version", v.version)], 1)),
    gauge("feedd_start_time_seconds", "When this start began, Unix time.", |v, s| {
        s.add(&[], v.started_at.max(0).unsigned_abs());
    }),
    gauge("feedd_resident_memory_bytes", "Memory held (resident set).", |v, s| s.add(&[], v.rss_bytes)),
    gauge("feedd_simulated", "1 while any source is simulated.", |v, s| s.add(&[], u64::from(v.now.simulated))),
    // Frames and events of sources.
    counter("feedd_frames_received_total", "Frames received.", |v, s| each_source(v, s, |c| c.frames.get())),
    counter("feedd_frames_received_bytes_total", "Bytes of frames received.", |v, s| {
        each_source(v, s, |c| c.bytes.get());
    }),
    counter("feedd_frames_decoded_total", "Frames that gave events.", |v, s| {
        each_source(v, s, |c| c.frames_decoded.get());
    }),
    counter("feedd_frames_control_total", "Acknowledgements, pings, notices.", |v, s| {
        each_source(v, s, |c| c.frames_control.get());
    }),
    counter("feedd_frames_unknown_total", "Frames of a kind that is not decoded.", |v, s| {
        each_source(v, s, |c| c.frames_unknown.get());
    }),
    counter("feedd_frames_rejected_total", "Frames that could not be decoded, by reason.", |v, s| {
        for source in &v.watched.sources {
            source.counters.frames_rejected.iter().for_each(|(reason, n)| by_reason(s, source, reason, n));
        }
    }),
    counter("feedd_events_decoded_total", "Events decoded.", |v, s| each_source(v, s, |c| c.events_decoded.get())),
    counter(
        "feedd_events_own_total",
        "Events the recorder added: gaps, states, bars and what strategies did.",
        |v, s| {
            each_source(v, s, |c| c.events_own.get());
        },
    ),
    counter("feedd_events_duplicate_total", "Events that were known already.", |v, s| {
        each_source(v, s, |c| c.events_duplicate.get());
    }),
    counter("feedd_events_rejected_total", "Events refused by validation, by reason.", |v, s| {
        for source in &v.watched.sources {
            source.counters.events_rejected.iter().for_each(|(reason, n)| by_reason(s, source, reason, n));
        }
    }),
    counter("feedd_events_dropped_total", "Events lost by the configured policy, by reason.", |v, s| {
        for source in &v.watched.sources {
            source.counters.events_dropped.iter().for_each(|(reason, n)| by_reason(s, source, reason, n));
        }
    }),
    counter("feedd_events_accepted_total", "Events with a sequence number.", |v, s| {
        for (source, totals) in v.watched.sources.iter().zip(&v.now.account.each_source) {
            s.add(&[("source", &source.name)], totals.accepted);
        }
    }),
    gauge("feedd_events_unaccounted", "Not 0 when the accounting did not hold: a defect.", |v, s| {
        s.add(&[], v.violations)
    }),
    counter("feedd_gaps_total", "Holes marked in the data.", |v, s| each_source(v, s, |c| c.gaps.get())),
    counter("feedd_clock_steps_total", "Steps of the wall clock.", |v, s| s.add(&[], v.now.clock_steps)),
    counter("feedd_dead_letters_missed_total", "Rejected texts that were not kept.", |v, s| {
        each_source(v, s, |c| c.dead_letters_missed.get());
    }),
    // Rings.
    gauge("feedd_ring_depth", "Events in the ring.", |v, s| each_ring(v, s, |ring| ring.depth)),
    gauge("feedd_ring_capacity", "Slots of the ring.", |v, s| each_ring(v, s, |ring| ring.capacity)),
    gauge("feedd_ring_depth_max", "Highest fill since the last scrape.", |v, s| {
        for (source, ring) in v.watched.sources.iter().zip(&v.now.rings) {
            let peak = source.counters.ring_peak.take(PeakReader::Scrape);
            s.add(&[("source", &source.name)], peak.max(ring.depth).min(ring.capacity));
        }
    }),
    gauge("feedd_ring_fill_ratio", "Events in the ring, as a part of its slots.", |v, s| {
        v.now.rings.iter().for_each(|ring| s.add_ratio(&[("source", &ring.source)], ring.depth, ring.capacity));
    }),
    counter("feedd_ring_full_total", "Times a source waited for room.", |v, s| {
        each_source(v, s, |c| c.blocked_times.get());
    }),
    counter("feedd_ring_blocked_seconds_total", "Time a source waited for room.", |v, s| {
        v.now.rings.iter().for_each(|ring| s.add_seconds(&[("source", &ring.source)], ring.blocked_ns));
    }),
    // The batching thread.
    counter("feedd_blocks_total", "Blocks the batching thread handed on.", |v, s| {
        s.add(&[], v.watched.batching.blocks.get())
    }),
    counter("feedd_batching_blocked_seconds_total", "Time the batching thread waited for storage.", |v, s| {
        s.add_seconds(&[], v.watched.batching.blocked_ns.get());
    }),
    gauge("feedd_link_depth", "Blocks that wait in the fullest link to storage.", |v, s| {
        s.add(&[], v.watched.links.iter().map(LinkWatch::waiting).max().unwrap_or(0));
    }),
    gauge(
        "feedd_link_depth_max",
        "Most blocks that have waited in a link to storage since the last scrape.",
        |v, s| {
            s.add(&[], v.watched.links.iter().map(most_waiting).max().unwrap_or(0));
        },
    ),
    gauge("feedd_link_capacity", "Blocks a link to storage holds.", |v, s| s.add(&[], v.watched.link_capacity)),
    // Stages and hops.
    counter("feedd_stage_items_in_total", "What went into a stage: frames of a source, events, cycles.", |v, s| {
        v.stages.iter().for_each(|stage| s.add(&of_stage(stage), stage.items_in));
    }),
    counter("feedd_stage_items_out_total", "What came out of a stage: events, bars, signals.", |v, s| {
        v.stages.iter().for_each(|stage| s.add(&of_stage(stage), stage.items_out));
    }),
    gauge("feedd_stage_last_item_timestamp_seconds", "When something came out of a stage last; 0 before.", |v, s| {
        let at = |stage: &StageView| stage.moved_at.map_or(UnixNanos(0), |at| wall_of(at, &*v.watched.clock));
        v.stages.iter().for_each(|stage| s.add_time(&of_stage(stage), at(stage)));
    }),
    gauge(
        "feedd_stage_last_beat_timestamp_seconds",
        "Last sign of life of a stage's thread, until it ends.",
        |v, s| {
            let living = v.stages.iter().filter(|stage| !stage.ended && stage.stage != ENGINE);
            // A thread that is about to begin is as old as the run.
            let begun = UnixNanos(v.started_at.saturating_mul(1_000_000_000));
            let at = |stage: &StageView| stage.beat_at.map_or(begun, |at| wall_of(at, &*v.watched.clock));
            living.for_each(|stage| s.add_time(&of_stage(stage), at(stage)));
        },
    ),
    counter("feedd_backpressure_seconds_total", "Time a stage waited for the one behind it.", |v, s| {
        for (source, ring) in v.watched.sources.iter().zip(&v.now.rings).filter(|(source, _)| source.has_thread) {
            s.add_seconds(&[("stage", "source"), ("name", &source.name)], ring.blocked_ns);
        }
        s.add_seconds(&[("stage", "batching"), ("name", "batching")], v.watched.batching.blocked_ns.get());
        s.add_seconds(&[("stage", "journal"), ("name", "journal")], of_journal(v, |c| &c.blocked_ns));
    }),
    counter("feedd_delivered_items_total", "Items delivered to a stage of the analysis: blocks, cycles.", |v, s| {
        let of = |analysis: &AnalysisView| [analysis.processor.items, analysis.engine.events];
        by_analysis_stage(s, v.now.analysis.as_ref().map(of));
    }),
    counter(
        "feedd_backpressure_items_total",
        "Of these: delivered before the stage had granted its credit.",
        |v, s| {
            let of =
                |analysis: &AnalysisView| [analysis.processor.backpressure_items, analysis.engine.backpressure_events];
            by_analysis_stage(s, v.now.analysis.as_ref().map(of));
        },
    ),
    gauge(
        "feedd_delivered_items_waiting_max",
        "Most items that have waited for a stage of the analysis since the last scrape.",
        |v, s| {
            let of = |analysis: &WatchedAnalysis| [&analysis.processor_link, &analysis.engine_link].map(most_waiting);
            by_analysis_stage(s, v.watched.analysis.as_ref().map(of));
        },
    ),
    histogram("feedd_hop_duration_seconds", "How long measured events took for a hop of their way.", |v, s| {
        each_hop(v.watched, |hop, name, times| {
            s.add_histogram(&[("hop", hop.name()), ("name", name)], &times.snapshot());
        });
    }),
    // The journal.
    histogram("feedd_journal_fsync_duration_seconds", "Time the disk took to sync a group commit.", |v, s| {
        let none = Histogram::default();
        let times = v.watched.journal.as_ref().map_or(&none, |journal| &journal.counters.sync_ns);
        s.add_histogram(&[], &times.snapshot());
    }),
    gauge("feedd_journal_durable_seq", "Everything up to this sequence survives a power cut.", |v, s| {
        s.add(&[], v.now.journal.map_or(0, |journal| journal.durable_seq));
    }),
    gauge("feedd_journal_bytes", "Bytes of its segments.", |v, s| s.add(&[], v.now.journal.map_or(0, |j| j.bytes))),
    gauge("feedd_journal_capacity_bytes", "Most bytes they may take.", |v, s| {
        s.add(&[], v.now.journal.map_or(0, |journal| journal.bytes_max));
    }),
    gauge("feedd_journal_waiting_seconds", "How long it has waited for room; 0 while it has some.", |v, s| {
        s.add_seconds(&[], v.now.journal.map_or(0, |journal| journal.waiting_ns));
    }),
    counter("feedd_journal_commits_total", "Group commits.", |v, s| s.add(&[], of_journal(v, |c| &c.commits))),
    counter("feedd_journal_commit_seconds_total", "Time in group commits.", |v, s| {
        s.add_seconds(&[], of_journal(v, |c| &c.commit_ns));
    }),
    counter("feedd_journal_written_bytes_total", "Bytes written.", |v, s| {
        s.add(&[], of_journal(v, |c| &c.bytes_written))
    }),
    counter("feedd_journal_failed_syncs_total", "Writes or syncs that failed.", |v, s| {
        s.add(&[], of_journal(v, |c| &c.failed_syncs));
    }),
    gauge("feedd_journal_damaged_places", "Damaged places found at this start.", |v, s| {
        s.add(&[], of_journal(v, |c| &c.damaged))
    }),
    // Sinks.
    counter("feedd_sink_stored_events_total", "Events of this start that are stored.", |v, s| {
        each_sink(v, s, |sink| sink.totals.stored);
    }),
    gauge("feedd_sink_stored_seq", "Everything up to this sequence is stored or kept aside.", |v, s| {
        each_sink(v, s, |sink| sink.totals.position);
    }),
    counter("feedd_sink_quarantined_events_total", "Events refused and kept aside.", |v, s| {
        each_sink(v, s, |sink| sink.totals.quarantined + sink.totals.earlier.quarantined);
    }),
    counter("feedd_sink_missed_events_total", "Events the sink will not get; marked in its data.", |v, s| {
        each_sink(v, s, |sink| sink.totals.missed + sink.totals.earlier.missed);
    }),
    gauge("feedd_sink_lag_events", "Events that wait for the sink in the journal.", |v, s| {
        each_sink(v, s, SinkView::backlog)
    }),
    gauge("feedd_sink_lag_seconds", "Age of the oldest event its lane has read and not given to it.", |v, s| {
        v.now.sinks.iter().for_each(|sink| s.add_seconds(&[("sink", &sink.name)], sink.lag_ns));
    }),
    counter("feedd_sink_batches_total", "Batches the sink took.", |v, s| sink_counter(v, s, |c| &c.batches)),
    counter("feedd_sink_batches_failed_total", "Batches that used up their quick attempts.", |v, s| {
        sink_counter(v, s, |c| &c.batches_failed);
    }),
    counter("feedd_sink_retries_total", "Attempts after the first.", |v, s| sink_counter(v, s, |c| &c.retries)),
    counter("feedd_sink_failures_total", "Attempts that failed.", |v, s| sink_counter(v, s, |c| &c.failures)),
    counter("feedd_sink_busy_seconds_total", "Time spent in the sink.", |v, s| {
        v.watched.sinks.iter().for_each(|sink| s.add_seconds(&[("sink", &sink.name)], sink.counters.sink_ns.get()));
    }),
    histogram("feedd_sink_insert_duration_seconds", "Time the sink took for a batch that it took.", |v, s| {
        for sink in &v.watched.sinks {
            s.add_histogram(&[("sink", &sink.name)], &sink.counters.insert_ns.snapshot());
        }
    }),
    gauge(
        "feedd_sink_oldest_unsent_timestamp_seconds",
        "When the oldest event not given to it was read; 0: none.",
        |v, s| {
            for sink in &v.watched.sinks {
                let oldest = sink.counters.oldest_unwritten.get();
                let at = if oldest == 0 { UnixNanos(0) } else { wall_of(MonoNanos(oldest), &*v.watched.clock) };
                s.add_time(&[("sink", &sink.name)], at);
            }
        },
    ),
    gauge("feedd_sink_batch_events", "Events in the open batch.", |v, s| sink_counter(v, s, |c| &c.buffered)),
    gauge("feedd_sink_batch_events_peak", "Most events of an open batch since the last scrape.", |v, s| {
        for sink in &v.watched.sinks {
            let buffered = &sink.counters.buffered;
            s.add(&[("sink", &sink.name)], sink.counters.buffered_peak.take(PeakReader::Scrape).max(buffered.get()));
        }
    }),
    gauge("feedd_sink_batch_events_max", "Events a batch may hold now.", |v, s| {
        sink_counter(v, s, |c| &c.buffer_limit)
    }),
    gauge("feedd_sink_breaker_state", "1 for the state the sink is in.", |v, s| {
        v.watched.sinks.iter().for_each(|sink| breaker(sink, s));
    }),
    counter("feedd_sink_breaker_transitions_total", "Changes of the breaker's state.", |v, s| {
        sink_counter(v, s, |c| &c.transitions);
    }),
    gauge("feedd_sink_failing_seconds", "How long the sink has failed; 0 while it works.", |v, s| {
        v.now.sinks.iter().for_each(|sink| s.add_seconds(&[("sink", &sink.name)], sink.failing_ns));
    }),
    // Live feeds.
    gauge("feedd_feed_connections", "Connections that are subscribed and heard.", |v, s| {
        each_source(v, s, |c| c.session.connections_live.get());
    }),
    gauge("feedd_feed_last_message_timestamp_seconds", "Receive time of the last message; 0 before.", |v, s| {
        for source in &v.watched.sources {
            let heard = v.symbols.iter().filter(|symbol| symbol.source == source.name);
            let last = heard.filter_map(|symbol| symbol.last_at).max();
            s.add_time(&[("source", &source.name)], last.unwrap_or(UnixNanos(0)));
        }
    }),
    gauge("feedd_feed_streams", "Streams of a live source; 0 for others.", |v, s| {
        each_source(v, s, |c| c.session.streams.get());
    }),
    gauge("feedd_feed_streams_mute", "Streams that are mute.", |v, s| {
        each_source(v, s, |c| c.session.streams_mute.get())
    }),
    counter("feedd_feed_connections_opened_total", "Connections opened.", |v, s| {
        each_source(v, s, |c| c.session.connections_opened.get());
    }),
    counter("feedd_feed_connections_closed_total", "Connections that ended.", |v, s| {
        each_source(v, s, |c| c.session.connections_closed.get());
    }),
    counter("feedd_feed_connections_failed_total", "Attempts to connect that failed.", |v, s| {
        each_source(v, s, |c| c.session.connections_failed.get());
    }),
    counter("feedd_feed_reconnects_total", "Connections opened in place of one that broke.", |v, s| {
        each_source(v, s, |c| c.session.reconnects.get());
    }),
    counter("feedd_feed_books_resynchronised_total", "Books that were whole again after a hole.", |v, s| {
        each_source(v, s, |c| c.session.resynchronised.get());
    }),
    counter("feedd_feed_trades_backfilled_total", "Missing trades that came by REST.", |v, s| {
        each_source(v, s, |c| c.session.trades_backfilled.get());
    }),
    counter("feedd_feed_rest_requests_total", "REST requests.", |v, s| each_source(v, s, |c| c.session.pulls.get())),
    counter("feedd_feed_rest_failures_total", "REST requests that failed or were refused.", |v, s| {
        each_source(v, s, |c| c.session.pulls_failed.get());
    }),
    counter("feedd_tape_lines_dropped_total", "Lines that found no room on the way to the tape.", |v, s| {
        each_source(v, s, |c| c.session.tape_lines_dropped.get());
    }),
    // Symbols.
    counter("feedd_symbol_messages_total", "Messages of a symbol.", |v, s| {
        v.symbols.iter().for_each(|symbol| s.add(&labels(symbol), symbol.messages));
    }),
    gauge("feedd_symbol_quiet_seconds", "How long a symbol has not been heard.", |v, s| {
        v.symbols.iter().for_each(|symbol| s.add_seconds(&labels(symbol), symbol.quiet_ns));
    }),
    gauge("feedd_symbol_silent", "1 while a symbol is quiet for much longer than is usual for it.", |v, s| {
        v.symbols.iter().for_each(|symbol| s.add(&labels(symbol), u64::from(symbol.is_silent)));
    }),
    gauge("feedd_findings", "Rules that find something wrong, by level.", |v, s| {
        for (level, word) in [(crate::Level::Warning, "warning"), (crate::Level::Critical, "critical")] {
            s.add(&[("level", word)], v.findings.iter().filter(|finding| finding.level == level).count() as u64);
        }
    }),
    // Alerts.
    gauge("feedd_alerts_firing", "Alerts that fire, by level.", |v, s| {
        for (level, word) in [(crate::Level::Warning, "warning"), (crate::Level::Critical, "critical")] {
            let fires = |alert: &&Alert| alert.state == State::Firing && alert.level == level;
            s.add(&[("level", word)], v.alerts.iter().filter(fires).count() as u64);
        }
    }),
    counter("feedd_alert_notifications_total", "Alerts that were to be sent to the webhook, by result.", |v, s| {
        for (result, n) in [("sent", v.told.sent), ("failed", v.told.failed), ("dropped", v.told.dropped)] {
            s.add(&[("result", result)], n);
        }
    }),
    // Disks.
    gauge("feedd_disk_free_bytes", "Bytes that may still be written to a disk, by the folder on it.", |v, s| {
        each_disk(v, s, |disk| disk.free_bytes);
    }),
    gauge("feedd_disk_size_bytes", "Size of a disk.", |v, s| each_disk(v, s, |disk| disk.total_bytes)),
    // What hangs, and who is slow.
    gauge("feedd_sink_calling_seconds", "How long the running call of a sink has not come back; 0: none.", |v, s| {
        v.now.sinks.iter().for_each(|sink| s.add_seconds(&[("sink", &sink.name)], sink.calling_ns));
    }),
    counter("feedd_skipped_items_total", "Items a stage of the analysis was not given: blocks, cycles.", |v, s| {
        let of = |analysis: &AnalysisView| [analysis.processor.skipped_items, analysis.engine.skipped_events];
        by_analysis_stage(s, v.now.analysis.as_ref().map(of));
    }),
    counter("feedd_strategy_calls_total", "Calls of a strategy that came back.", |v, s| {
        each_strategy(v, |strategy, labels| s.add(labels, strategy.calls));
    }),
    counter("feedd_strategy_call_seconds_total", "Time they took.", |v, s| {
        each_strategy(v, |strategy, labels| s.add_seconds(labels, strategy.busy_ns));
    }),
    counter("feedd_strategy_overlong_total", "Of these: calls longer than analysis.strategy_time_max.", |v, s| {
        each_strategy(v, |strategy, labels| s.add(labels, strategy.overlong));
    }),
    gauge("feedd_strategy_running_seconds", "How long its running call has run; 0: none.", |v, s| {
        each_strategy(v, |strategy, labels| s.add_seconds(labels, strategy.running_ns));
    }),
    gauge("feedd_strategy_suspended", "Symbols for which it is suspended or stopped.", |v, s| {
        each_strategy(v, |strategy, labels| s.add(labels, strategy.suspended));
    }),
];

/// Most items that have waited in a link since the last scrape.
fn most_waiting(link: &LinkWatch) -> u64 {
    link.counters().depth_peak.take(PeakReader::Scrape).max(link.waiting())
}

fn each_disk(view: &MetricsView<'_>, samples: &mut Samples, value: fn(&DiskView) -> u64) {
    for disk in view.disks {
        samples.add(&[("folder", &disk.folder.to_string_lossy())], value(disk));
    }
}

fn each_strategy(view: &MetricsView<'_>, mut add: impl FnMut(&StrategyView, &[(&str, &str)])) {
    let strategies = view.now.analysis.iter().flat_map(|analysis| &analysis.strategies);
    strategies.for_each(|strategy| add(strategy, &[("strategy", &strategy.name)]));
}

fn each_source(view: &MetricsView<'_>, samples: &mut Samples, value: fn(&SourceCounters) -> u64) {
    for source in &view.watched.sources {
        samples.add(&[("source", &source.name)], value(&source.counters));
    }
}

/// Stage whose thread gives no sign of life: a strategy that hangs is told of by itself.
const ENGINE: &str = "engine";

fn of_stage(stage: &StageView) -> [(&str, &str); 2] {
    [("stage", stage.stage), ("name", &stage.name)]
}

/// Of processor and engine; 0 while the analysis is off.
fn by_analysis_stage(samples: &mut Samples, values: Option<[u64; 2]>) {
    for (stage, value) in ["processor", ENGINE].into_iter().zip(values.unwrap_or_default()) {
        samples.add(&[("stage", stage)], value);
    }
}

fn by_reason(samples: &mut Samples, source: &WatchedSource, reason: &str, count: u64) {
    samples.add(&[("source", &source.name), ("reason", reason)], count);
}

fn each_ring(view: &MetricsView<'_>, samples: &mut Samples, value: fn(&RingView) -> u64) {
    view.now.rings.iter().for_each(|ring| samples.add(&[("source", &ring.source)], value(ring)));
}

fn each_sink(view: &MetricsView<'_>, samples: &mut Samples, value: fn(&SinkView) -> u64) {
    view.now.sinks.iter().for_each(|sink| samples.add(&[("sink", &sink.name)], value(sink)));
}

fn sink_counter(view: &MetricsView<'_>, samples: &mut Samples, value: fn(&StorageCounters) -> &Counter) {
    for sink in &view.watched.sinks {
        samples.add(&[("sink", &sink.name)], value(&sink.counters).get());
    }
}

fn of_journal(view: &MetricsView<'_>, value: fn(&JournalCounters) -> &Counter) -> u64 {
    view.watched.journal.as_ref().map_or(0, |journal| value(&journal.counters).get())
}

fn breaker(sink: &WatchedSink, samples: &mut Samples) {
    let now = sink.counters.sink_state();
    for state in SinkState::ALL {
        samples.add(&[("sink", &sink.name), ("state", state.name())], u64::from(state == now));
    }
}

fn labels(symbol: &crate::SymbolView) -> [(&str, &str); 3] {
    [("source", &symbol.source), ("venue", &symbol.venue), ("symbol", &symbol.symbol)]
}
