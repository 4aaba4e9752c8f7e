//! Programs whose instructions `scripts/budget` counts: `budget NAME OPERATIONS` does one thing so often, on one thread,
//! and `budget --list` prints the names. The counts vary far less than times do, so they show what times hide.
//!
//! Each program checks what it did, and does the same in every run.

use crossbeam_utils::CachePadded;
use feedd_benches::samples::{EPOCH, QUOTE, START, STREAM, TRADE, TRADE_OTHER_ORDER, batch, decoder, depth, trades};
use feedd_core::clock::ManualClock;
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::outlet::{FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{BlockPool, Burst, Instruments, Sink, Stop};
use feedd_journal::{Journal, JournalConfig, Start, Sync};
use feedd_model::{Decimal, Event, Flags, InstrumentId, MonoNanos, Seq, SourceId};
use feedd_sink_null::NullSink;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use feedd_venues::decoder::Outcome;
use feedd_venues::message::Message;
use feedd_venues::to_events;
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does something so often.
type Program = fn(u32) -> Result<()>;

/// A name, and what runs under it.
const PROGRAMS: [(&str, Program); 11] = [
    ("decimal_parse", decimal_parse),
    ("trade_decode", |operations| decode(TRADE, operations)),
    ("trade_decode_other_order", |operations| decode(TRADE_OTHER_ORDER, operations)),
    ("quote_decode", |operations| decode(QUOTE, operations)),
    ("depth_decode_20_20", |operations| decode(&depth(20), operations)),
    ("trade_to_event", trade_to_event),
    ("event_pack", event_pack),
    ("burst_publish_64", burst_publish_64),
    ("null_batch_4096", null_batch_4096),
    ("journal_commit_64", journal_commit_64),
    ("parquet_rows_4096", parquet_rows_4096),
];

/// Events of one burst.
const BURST: usize = 64;
/// Events of a full block.
const BLOCK: u32 = 4096;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--list"] => {
            PROGRAMS.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        [name, operations] => run(name, operations),
        _ => Err("usage: budget --list | budget NAME OPERATIONS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("budget: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, operations: &str) -> Result<()> {
    let program = PROGRAMS.iter().find(|(known, _)| *known == name);
    let (_, program) = program.ok_or_else(|| format!("no program {name}; --list names them"))?;
    program(operations.parse().map_err(|_| format!("{operations} is no number of operations"))?)
}

fn check(is_right: bool, what: &str) -> Result<()> {
    if is_right { Ok(()) } else { Err(what.into()) }
}

/// A price of eight decimals.
fn decimal_parse(operations: u32) -> Result<()> {
    let mut sum = 0_i64;
    for _ in 0..operations {
        sum = sum.wrapping_add(Decimal::parse(black_box(b"61837.63000000"))?.mantissa());
    }
    check(sum == 6_183_763_000_000_i64.wrapping_mul(operations.into()), "a number was read wrong")
}

fn decode(frame: &str, operations: u32) -> Result<()> {
    let mut decoder = decoder();
    let mut messages = 0;
    for _ in 0..operations {
        let outcome = decoder.decode("ws-1", black_box(frame), &mut |_: &str, message: &Message<'_>| {
            messages += u32::from(!black_box(message).symbol().is_empty());
        });
        check(outcome == Outcome::Messages(1), "a frame was not decoded")?;
    }
    check(messages == operations, "messages are missing")
}

/// From text to the 64 bytes.
fn trade_to_event(operations: u32) -> Result<()> {
    let mut decoder = decoder();
    let mut burst = Burst::with_capacity(1);
    for _ in 0..operations {
        burst.clear();
        decoder.decode("ws-1", black_box(TRADE), &mut |_: &str, message: &Message<'_>| {
            to_events::append(message, InstrumentId(1), Some(START), Flags::NONE, &mut burst);
        });
        check(black_box(burst.events()).len() == 1, "a frame was not decoded")?;
    }
    Ok(())
}

/// A trade into its 64 bytes.
fn event_pack(operations: u32) -> Result<()> {
    let ready = trades(1);
    let (head, body) = (ready[0].head(), ready[0].body());
    for _ in 0..operations {
        let event = Event::new(black_box(head), black_box(body));
        check(black_box(&event).kind() == ready[0].kind(), "an event was packed wrong")?;
    }
    Ok(())
}

/// 64 events through the outlet, the ring and the batching thread's work into blocks; nobody waits for anybody.
fn burst_publish_64(operations: u32) -> Result<()> {
    let events = u64::from(operations) * BURST as u64;
    let (producer, consumer) = rtrb::RingBuffer::new(usize::try_from(events)?.max(4 * BURST));
    let counters = Arc::new(CachePadded::new(SourceCounters::new(&["rejected"], &["rejected"])));
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let (wake, stop) = (Arc::new(Wake::new(false)), Stop::new());
    let clock = Arc::new(ManualClock::at(START));
    let policy = FullPolicy::Block;
    let mut outlet = Outlet::new(OutletParts {
        ring: producer,
        wake: wake.clone(),
        counters: counters.clone(),
        policy,
        stop: stop.clone(),
        clock: clock.clone(),
        budget: None,
    });
    let ready = trades(u32::try_from(BURST)?);
    let mut burst = Burst::with_capacity(BURST);
    for _ in 0..operations {
        for &event in &ready {
            burst.push(event);
            burst.end_message();
        }
        outlet.publish(&mut burst)?;
    }
    drop(outlet);
    let parts = FanInParts {
        stream: STREAM,
        epoch: EPOCH,
        inputs: vec![Input { source: SourceId(0), ring: consumer, counters }],
        derived: Vec::new(),
        lanes: Vec::new(),
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(2),
        wait: WaitStrategy::Spin,
        wake,
        counters: batching.clone(),
        clock,
        stop,
    };
    FanIn::new(parts).run();
    check(batching.accepted.get() == events, "events are missing")
}

/// A full block, read by a null sink.
fn null_batch_4096(operations: u32) -> Result<()> {
    let batch = batch(&trades(BLOCK), Seq(1));
    for _ in 0..operations {
        let mut sink = NullSink::new();
        sink.write(black_box(&batch), MonoNanos(0))?;
        check(sink.counts().events() == u64::from(BLOCK), "events are missing")?;
    }
    Ok(())
}

/// 64 events appended to the journal and committed; what the kernel does is not counted.
fn journal_commit_64(operations: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config =
        JournalConfig { dir: dir.path().to_owned(), segment_bytes: 64 << 20, bytes_max: 256 << 20, sync: Sync::Os };
    let start = Start { stream: STREAM, epoch: EPOCH, at: START };
    let (mut journal, _) = Journal::open(config, start, Instruments::in_memory())?;
    let events = trades(u32::try_from(BURST)?);
    let mut last = Seq(0);
    for _ in 0..operations {
        journal.append(last.next(), SourceId(0), black_box(&events), START);
        journal.commit()?;
        last = Seq(last.0 + events.len() as u64);
    }
    check(journal.tail().durable().seq == Seq(u64::from(operations) * BURST as u64), "events are missing")
}

/// A block of trades into a Parquet file; encoding and compressing included.
fn parquet_rows_4096(operations: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let instruments = Instruments::in_memory();
    instruments.resolve("binance", "BTCUSDT")?;
    let mut sink = ParquetSink::open(ParquetConfig::new(dir.path()), instruments)?;
    sink.recover(STREAM, EPOCH)?;
    let events = trades(BLOCK);
    let mut last = Seq(0);
    for _ in 0..operations {
        sink.write(&batch(&events, last.next()), MonoNanos(0))?;
        last = Seq(last.0 + u64::from(BLOCK));
    }
    sink.flush(MonoNanos(0))?;
    check(sink.stored_seq() == last, "rows are missing")
}
