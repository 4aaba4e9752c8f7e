//! The simulated market and recordings as sources: core's contract, and what each promises beside it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::contract::source::{SourceHarness, SourceRan, SourceRun, source_contract};
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::dead_letters::DeadLetters;
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::link;
use feedd_core::outlet::OutletParts;
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{
    BlockPool, Burst, Clock, Epoch, FullPolicy, Instruments, ManualClock, Outlet, Source, SourceId, Stop, StreamId,
};
use feedd_model::{Event, EventBody, EventHead, Flags, InstrumentId, Status, StatusCode, UnixNanos};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::pace::{Rate, Speed};
use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
use feedd_venues::sources::{CaptureConfig, CaptureSource, SimSource, SourceParts};
use feedd_venues::validate::{JumpAction, ValidationConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const REASONS: [&[&str]; 2] = [&FRAME_REASONS, &TRADE_REASONS];
/// 2024-08-08T00:00:00Z in ns.
const START_TS: i64 = 1_723_075_200_000_000_000;

fn parts(instruments: &Instruments) -> SourceParts {
    SourceParts {
        name: "under-test".to_owned(),
        validation: ValidationConfig::default(),
        instruments: instruments.clone(),
        dead_letters: DeadLetters::disabled(),
        keep_unknown: false,
        frame_bytes_max: 16 << 20,
    }
}

/// A line of a capture: an in-frame, one millisecond after the one before it.
fn line(number: i64, conn: &str, dir: &str, frame: &str) -> String {
    json!({"recv_ns": START_TS + number * 1_000_000, "conn": conn, "dir": dir, "frame": frame}).to_string()
}

/// Writes a capture below a folder that names the venue.
fn capture(folder: &Path, venue: &str, lines: &[String]) -> PathBuf {
    let path = folder.join(venue).join("synthetic.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// A simulated session of `frames` frames, as a recorder writes it down.
fn session(frames: i64) -> Vec<String> {
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    let mut text = String::new();
    (0..frames)
        .map(|number| {
            let frame = market.next_frame(UnixNanos(START_TS + number * 1_000_000), &mut text);
            line(number, frame.conn, if frame.kind == SimKind::Request { "out" } else { "in" }, &text)
        })
        .collect()
}

fn capture_source(parts: SourceParts, path: &Path) -> Box<dyn Source> {
    let config = CaptureConfig { paths: vec![path.to_owned()], venue: None, speed: Speed::Max };
    Box::new(CaptureSource::new(parts, &config).unwrap())
}

/// Replays lines to their end.
fn replay(lines: &[String], adjust: impl FnOnce(&mut SourceParts)) -> SourceRan {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(&Instruments::in_memory());
    adjust(&mut parts);
    let source = capture_source(parts, &capture(folder.path(), "binance", lines));
    let ran = SourceRun::new(REASONS).run(source);
    assert!(ran.end.is_ok(), "{:?}", ran.end);
    ran
}

struct Simulated;

impl SourceHarness for Simulated {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        Box::new(SimSource::new(parts(instruments), &SimConfig::default(), Rate::Max, None).unwrap())
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        REASONS
    }
}

struct Recorded(PathBuf);

impl SourceHarness for Recorded {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        capture_source(parts(instruments), &self.0)
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        REASONS
    }
}

#[test]
fn the_simulated_market_keeps_the_contract() {
    source_contract(&mut Simulated);
}

#[test]
fn a_recording_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    source_contract(&mut Recorded(capture(folder.path(), "binance", &session(3000))));
}

#[test]
fn a_simulation_with_a_start_time_repeats_to_the_last_bit() {
    let run = |seed| {
        let config = SimConfig { seed, ..SimConfig::default() };
        let start = Some(UnixNanos(START_TS));
        let source = SimSource::new(parts(&Instruments::in_memory()), &config, Rate::Max, start).unwrap();
        let ran = SourceRun { events_max: Some(20_000), ..SourceRun::new(REASONS) }.run(Box::new(source));
        assert!(ran.end.is_ok(), "{:?}", ran.end);
        ran.events
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert!(first.len() > 20_000 && first[0].recv_ts() == Some(UnixNanos(START_TS)));
    assert!(first == again, "same seed and start: the same events");
    assert!(first != other, "another seed: other events");
}

/// One trade of `BTCUSDT`.
fn trade(id: u64, price: &str) -> String {
    let frame = format!(
        r#"{{"e":"trade","E":{0},"s":"BTCUSDT","t":{id},"p":"{price}","q":"0.50","T":{0},"m":false}}"#,
        START_TS / 1_000_000
    );
    line(i64::try_from(id).unwrap(), "ws-1", "in", &frame)
}

#[test]
fn unknown_frames_are_counted_and_kept_when_asked_for() {
    let unknown = r#"{"e":"kline","E":1,"s":"BTCUSDT"}"#;
    let lines = [trade(1, "100"), line(2, "ws-1", "in", unknown), trade(3, "101")];
    let folder = tempfile::tempdir().unwrap();
    for keep in [false, true] {
        let path = folder.path().join(format!("{keep}.jsonl"));
        let (letters, writer) = DeadLetters::start(&path, 1 << 20).unwrap();
        let ran = replay(&lines, |parts| (parts.dead_letters, parts.keep_unknown) = (letters, keep));
        writer.join();
        assert_eq!((ran.totals.frames, ran.totals.frames_unknown, ran.totals.decoded), (3, 1, 2), "keep {keep}");
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = json!({
            "source": "under-test",
            "reason": "unknown_type",
            "detail": "event kline",
            "recv_ns": START_TS + 2_000_000,
            "text": unknown,
        });
        assert_eq!(kept, if keep { vec![expected] } else { vec![] }, "keep {keep}");
    }
}

#[test]
fn a_price_jump_is_flagged_or_rejected_as_configured() {
    let prices = ["100", "109", "200", "101", "300", "301", "302", "303"];
    let lines: Vec<String> = (1u64..).zip(prices).map(|(id, price)| trade(id, price)).collect();
    let run = |action| {
        let validation =
            ValidationConfig { price_jump_action: action, price_jump_confirm_trades: 3, ..ValidationConfig::default() };
        let ran = replay(&lines, |parts| parts.validation = validation);
        let trades: Vec<(String, bool)> = ran
            .events
            .iter()
            .filter_map(|event| match event.body() {
                EventBody::Trade(trade) => Some((trade.price.to_string(), event.flags().contains(Flags::PRICE_JUMP))),
                _ => None,
            })
            .collect();
        (trades, ran)
    };
    let (flagged, ran) = run(JumpAction::Flag);
    // The third of three prices that agree with each other is the new agreed price; the next is no jump.
    let jumps = ["200", "300", "301", "302"];
    assert_eq!(flagged, prices.map(|price| (price.to_owned(), jumps.contains(&price))));
    assert_eq!((ran.totals.decoded, ran.totals.rejected), (8, 0));
    let (accepted, ran) = run(JumpAction::Reject);
    assert_eq!(accepted, ["100", "109", "101", "303"].map(|price| (price.to_owned(), false)));
    assert_eq!((ran.totals.decoded, ran.totals.rejected), (8, 4));
    assert_eq!(ran.events_rejected, [("price_jump", 4)]);
}

/// After a silence the batching thread sleeps until it is woken; what is published then reaches the lane.
#[test]
fn an_event_after_a_long_silence_reaches_the_lane() {
    for wait in [WaitStrategy::Adaptive, WaitStrategy::Park] {
        let clock = Arc::new(ManualClock::at(UnixNanos(START_TS)));
        let (stop, wake) = (Stop::new(), Arc::new(Wake::new(wait.parks())));
        let counters = Arc::new(CachePadded::new(SourceCounters::new(REASONS[0], REASONS[1])));
        let (producer, ring) = rtrb::RingBuffer::new(64);
        let mut outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: wake.clone(),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        });
        let (sender, mut lane) = link(4);
        let fan_in = FanIn::new(FanInParts {
            stream: StreamId(1),
            epoch: Epoch(1),
            inputs: vec![Input { source: SourceId(0), ring, counters }],
            derived: Vec::new(),
            lanes: vec![sender],
            analysis: None,
            is_replay: false,
            served: Vec::new(),
            pool: BlockPool::new(6),
            wait,
            wake,
            counters: Arc::new(CachePadded::new(BatchingCounters::default())),
            clock: clock.clone(),
            stop,
        });
        let batching = std::thread::spawn(move || fan_in.run());
        lane.register();
        let mut burst = Burst::with_capacity(1);
        for number in 1..=50 {
            // To the waiter, an hour has passed without work: it parks.
            clock.advance(3_600_000_000_000);
            burst.push(status(clock.wall(), number));
            burst.end_message();
            outlet.publish(&mut burst).unwrap();
            let limit = Instant::now() + Duration::from_secs(10);
            let block = loop {
                if let Some(block) = lane.take() {
                    break block;
                }
                assert!(Instant::now() < limit, "{wait:?}: event {number} reaches the lane");
                lane.sleep(1_000_000);
            };
            assert_eq!((block.first_seq().0, block.events()), (number, &[status(clock.wall(), number)][..]));
            lane.signal_ready();
        }
        drop(outlet);
        batching.join().unwrap();
        assert!(lane.is_ended());
    }
}

fn status(at: UnixNanos, detail: u64) -> Event {
    let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: Some(at), flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail }))
}
