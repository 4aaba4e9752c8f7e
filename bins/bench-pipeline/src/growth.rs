//! `growth`: whether an event costs the same with ten times the symbols, and after a thousand times the events.

use crate::Interrupt;
use crate::cli::GrowthArgs;
use crate::hot_path::pipeline::{self, Setup, Storage, Store};
use crate::limits::two_cores;
use crate::line::Line;
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::rounds::{Case, NS_PER_EVENT, Plan, Rounds, Sample, Side};
use crate::size::symbol_names;
use crate::spread::Spread;
use crate::trades::Trades;
use anyhow::{Context, Result, ensure};
use feedd_core::dead_letters::DeadLetters;
use feedd_core::outlet::Budget;
use feedd_core::wait::WaitStrategy;
use feedd_core::{Clock, Instruments, Outlet, Stop, SystemClock};
use feedd_model::UnixNanos;
use feedd_sink_null::NullSink;
use feedd_venues::intake::{Intake, IntakeParts};
use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
use feedd_venues::table;
use feedd_venues::validate::ValidationConfig;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Symbols of the simulated market.
const SYMBOLS: [usize; 3] = [10, 100, 1_000];
/// Events of a run of the simulated market; a tenth of the longest run of ready events at most.
const MARKET_EVENTS: u64 = 5_000_000;
/// Events of the runs whose events are ready, as powers of ten.
const POWERS: std::ops::RangeInclusive<u32> = 6..=9;
const QUICK_EVENTS: u64 = 100_000_000;
/// Events made beforehand and sent again and again.
const READY: usize = 1024;
/// As the recorder has them by default.
const RING: usize = 10_000;
const BURST: usize = 64;
const FRAME_BYTES_MAX: usize = 16 << 20;
const VENUE: &str = "sim";
/// The connection of the simulated market's streams.
const CONN: &str = "ws-1";
/// Frames made beforehand and sent again and again: 40 of each of a thousand symbols.
const FRAMES: usize = 40_000;
/// From one frame to the next, and the first one's time.
const STEP_NANOS: i64 = 10_000;
const START: UnixNanos = UnixNanos(1_723_075_200_000_000_000);
/// Frames with one receive time: what a socket brings at once.
const FRAMES_TOGETHER: usize = 16;
/// Rounds that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 5;

const C1: Goal = Goal { name: "C1", what: "cost an event, 1,000 symbols / 10 symbols", target: 1.10, gate: 1.50 };
const C2: Goal = Goal { name: "C2", what: "cost an event, most events / fewest events", target: 1.10, gate: 1.50 };

/// A case and its size.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From text to the sink, with so many symbols.
    Market { symbols: usize },
    /// Events that are ready, so many.
    Ready { events: u64 },
}

impl Way {
    fn case(self) -> Case {
        let (key, name) = match self {
            Self::Market { symbols } => (format!("symbols_{symbols}"), format!("simulated market, {symbols} symbols")),
            Self::Ready { events } => {
                let power = events.ilog10();
                (format!("events_1e{power}"), format!("events that are ready, 1e{power}"))
            }
        };
        Case { key, name, side: Side::Ours }
    }
}

/// # Errors
/// When a run fails, or not every event arrived.
pub(crate) fn measure(args: &GrowthArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("growth", Machine::look(&place));
    let events_max = if args.quick { args.events_max.min(QUICK_EVENTS) } else { args.events_max };
    let ready: Vec<Way> = POWERS
        .map(|power| 10_u64.pow(power))
        .filter(|events| *events <= events_max)
        .map(|events| Way::Ready { events })
        .collect();
    let ways: Vec<Way> =
        SYMBOLS.map(|symbols| Way::Market { symbols }).into_iter().chain(ready.iter().copied()).collect();
    let cores = two_cores();
    if cores.is_none() {
        report.warnings.push("one core: source and batching thread share it, nothing is pinned".to_owned());
    }
    if args.quick || args.rounds < ROUNDS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE}, and no --quick"));
    }
    let market_events = MARKET_EVENTS.min(events_max / 10);
    let trades = Trades::simulate(READY)?;
    let texts = SYMBOLS.into_iter().map(|symbols| Ok((symbols, Arc::new(frames(symbols)?))));
    let texts: HashMap<usize, Arc<Vec<String>>> = texts.collect::<Result<_>>()?;
    let cases: Vec<Case> = ways.iter().map(|way| way.case()).collect();
    let plan = Plan { cases: cases.clone(), unit: NS_PER_EVENT, rounds: args.rounds, cores };
    let rounds = plan.hold(interrupt, &mut |at, _| match ways[at] {
        Way::Market { symbols } => market(&texts[&symbols], market_events, cores, &place),
        Way::Ready { events } => {
            // Spinning: a batching thread that naps first measures for 3 ms what naps cost, which a short run would show.
            let wait = WaitStrategy::Spin;
            let setup = Setup { producers: 1, burst: BURST, ring: RING, wait, cores, store: Store::Null };
            let work = pipeline::run(&setup, &trades, events, &place)?;
            Ok(sample(work.ns_per_event(), work.events))
        }
    })?;
    tell(&mut report, &rounds, &cases, market_events);
    Ok(report)
}

/// Text of the simulated market. Its snapshots are left out: more symbols have more of them, and a level costs less than a
/// trade.
fn frames(symbols: usize) -> Result<Vec<String>> {
    let mut market = SimMarket::new(&SimConfig { symbols: symbol_names(symbols), ..SimConfig::default() })?;
    let (mut frames, mut now) = (Vec::with_capacity(FRAMES), START);
    while frames.len() < FRAMES {
        let mut text = String::new();
        now = UnixNanos(now.0 + STEP_NANOS);
        let frame = market.next_frame(now, &mut text);
        if frame.kind == SimKind::Frame && frame.conn == CONN {
            frames.push(text);
        }
    }
    Ok(frames)
}

/// These frames again and again, decoded, validated, through ring and batching thread to a null sink.
fn market(frames: &Arc<Vec<String>>, events: u64, cores: Option<[usize; 2]>, dir: &Path) -> Result<Sample> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (ring, wait, stop) = (RING, WaitStrategy::Adaptive, Stop::new());
    let line = Line { ring, wait, cores, clock, stop, budget: Some(Budget::new(events)) };
    let dir = tempfile::Builder::new().prefix("growth-").tempdir_in(dir).context("making a folder")?;
    let instruments = Instruments::in_memory();
    let null = NullSink::new();
    let counts = null.counts();
    let (storage, way) =
        Storage::start_with(Store::Null, Box::new(null), &instruments, dir.path(), &line.clock, &line.stop)?;
    let parts = IntakeParts {
        source: VENUE.to_owned(),
        venue: VENUE.to_owned(),
        decoder: table::decoder_for(VENUE).context("there is no decoder for the simulated market")?,
        validation: ValidationConfig::default(),
        instruments,
        dead_letters: DeadLetters::disabled(),
        keep_unknown: false,
        frame_bytes_max: FRAME_BYTES_MAX,
        check: None,
    };
    let frames = frames.clone();
    let begin = Instant::now();
    let ran = line.run(way, move |outlet| deliver(&frames, Intake::new(parts, outlet), outlet))?;
    let wall = storage.drain(begin)?;
    let counters = &ran.counters;
    let lost = counters.frames_rejected.total() + counters.events_rejected.total() + counters.events_dropped.total();
    let published = counters.events_published.get();
    ensure!(lost == 0, "{lost} frames or events of the simulated market were rejected or dropped");
    ensure!(published >= events, "the source ended after {published} of {events} events");
    ensure!(counts.events() == published, "{published} events were published, the sink read {}", counts.events());
    let mut sample = sample(wall.as_secs_f64() * 1e9 / published as f64, published);
    let frames = counters.frames.get();
    let per_event = |cpu: std::time::Duration| json!(cpu.as_secs_f64() * 1e9 / published as f64);
    sample.details.extend([
        ("frames".to_owned(), json!(frames)),
        ("ns_per_frame".to_owned(), json!(wall.as_secs_f64() * 1e9 / frames as f64)),
        ("source_cpu_ns_per_event".to_owned(), per_event(ran.source.cpu)),
        ("batching_cpu_ns_per_event".to_owned(), per_event(ran.batching.cpu)),
    ]);
    Ok(sample)
}

/// As a source that reads several frames at once from its socket, until the bound is reached.
fn deliver(frames: &[String], mut intake: Intake, outlet: &mut Outlet) -> Result<()> {
    let counters = outlet.counters().clone();
    loop {
        for together in frames.chunks(FRAMES_TOGETHER) {
            let received = intake.received(outlet);
            for frame in together {
                intake.frame(CONN, frame, Some(received), &counters)?;
                if intake.is_due(outlet) && intake.publish(outlet).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

fn sample(ns_per_event: f64, events: u64) -> Sample {
    let [rss, rss_peak] = ["VmRSS:", "VmHWM:"].map(memory_mib);
    let details = [("events", json!(events)), ("rss_mib", json!(rss)), ("rss_peak_mib", json!(rss_peak))];
    let details = details.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    Sample { value: ns_per_event, core_share: None, details }
}

/// Memory of this process, by the name of a line in its status.
fn memory_mib(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u32 = status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

fn tell(report: &mut Report, rounds: &Rounds, cases: &[Case], market_events: u64) {
    report.notes = vec![
        format!(
            "simulated market: {market_events} events a run, its text (written before) decoded, validated and through ring \
             and batching thread to a null sink, as the recorder runs it"
        ),
        "events that are ready: as the pipeline of `hot-path`; the shortest runs hold the start of the threads"
            .to_owned(),
        "ratios are costs: 1 is flat, more is growth".to_owned(),
    ];
    rounds.tell(report, &[]);
    let (market, ready) = cases.split_at(SYMBOLS.len());
    let mut growths = vec![(market[2].key.as_str(), market[0].key.as_str(), C1)];
    if let [fewest, .., most] = ready {
        growths.push((most.key.as_str(), fewest.key.as_str(), C2));
    }
    let mut rows = Vec::new();
    for (large, small, goal) in growths {
        // Speed of the small one over that of the large one: cost of the large one over that of the small one.
        let growth = rounds.ratio(small, large);
        let small = small.split_once('_').map_or(small, |(_, number)| number);
        report.ratios.push((format!("{large}_over_{small}"), growth));
        report.goals.push((goal, growth.map(|growth| growth.median)));
        rows.push(vec![goal.what.to_owned(), Spread::text(growth, 3)]);
    }
    let case_rows = cases.iter().map(|case| {
        let detail = |name: &str, digits| Spread::text(rounds.detail(&case.key, name), digits);
        let ns = Spread::text(rounds.spread(&case.key), 2);
        vec![
            case.name.clone(),
            ns,
            detail("source_cpu_ns_per_event", 1),
            detail("rss_mib", 0),
            detail("rss_peak_mib", 0),
        ]
    });
    let heads = vec![
        "case",
        "ns/event: median (p25 to p75)",
        "source's CPU, ns/event",
        "memory after it, MiB",
        "highest so far, MiB",
    ];
    report.tables = vec![
        Table { heads, rows: case_rows.collect() },
        Table { heads: vec!["growth", "cost over cost: median (p25 to p75)"], rows },
    ];
    report.tables_say_all = true;
}
