//! What one event costs on this machine, part by part, in one thread each: CPU time, so that waiting for a disk does not
//! count.

use crate::hot_path::pipeline::{self, Setup, Store};
use crate::limits::two_cores;
use crate::meter::thread_cpu;
use crate::trades::{EPOCH, STREAM, Totals, Trades};
use anyhow::{Context, Result, ensure};
use crossbeam_utils::CachePadded;
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::DeadLetters;
use feedd_core::outlet::{FullPolicy, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Clock, Instruments, Outlet, Sink, Stop, SystemClock};
use feedd_journal::{FRAME_EVENTS_MAX, Item, Journal, JournalConfig, Stamp, Start, Sync};
use feedd_model::{Event, MonoNanos, Seq, SourceId, UnixNanos};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use feedd_venues::intake::{FRAME_REASONS, Intake, IntakeParts, TRADE_REASONS};
use feedd_venues::sim::{SYMBOLS_DEFAULT, SimConfig, SimFrame, SimKind, SimMarket};
use feedd_venues::table;
use feedd_venues::validate::ValidationConfig;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Venue of the simulated market.
const VENUE: &str = "sim";
/// 2024-08-08T00:00:00Z, and the time from one frame to the next: all rows are of one day.
const START: UnixNanos = UnixNanos(1_723_075_200_000_000_000);
const STEP_NANOS: i64 = 100_000;
/// Frames that are measured, behind the opening snapshots.
const FRAMES: usize = 100_000;
/// Each source is measured so often; the median counts.
const SOURCE_RUNS: usize = 3;
/// Room for the largest message and a burst: the same thread publishes and takes.
const RING: usize = 1 << 16;
const FRAME_BYTES_MAX: usize = 16 << 20;
/// Events of the run through the batching thread.
const BATCHING_EVENTS: u64 = 2_000_000;
/// Events of a commit: about 1 MiB, as the journal's thread commits at a high rate.
const COMMIT_EVENTS: usize = 16 << 10;
const SEGMENT_BYTES: u64 = 64 << 20;

/// A kind of messages.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Its part of the events of the simulated market.
    pub(crate) share: f64,
    /// Of the source's thread, for one event of this kind.
    pub(crate) ns: f64,
}

/// CPU ns and bytes of one event.
pub(crate) struct Costs {
    pub(crate) kinds: Vec<Kind>,
    /// Of the source's thread, for the mix of the simulated market.
    pub(crate) source_ns: f64,
    /// Of the batching thread, one event a publish: small bursts are what a live feed brings.
    pub(crate) batching_ns: f64,
    pub(crate) journal_ns: f64,
    pub(crate) journal_bytes: f64,
    /// Of the sink's lane, for reading it back.
    pub(crate) read_ns: f64,
}

/// Events of the simulated market's mix, decoded.
pub(crate) struct Rows {
    pub(crate) events: Vec<Event>,
    pub(crate) instruments: Instruments,
}

/// What a store needs for one row.
pub(crate) struct Stored {
    /// Of the sink's lane.
    pub(crate) ns: f64,
    /// Of the server, if there is one.
    pub(crate) server_ns: Option<f64>,
    /// On the disk.
    pub(crate) bytes: f64,
    /// What a row is.
    pub(crate) row: &'static str,
}

impl Costs {
    /// Measures all but the store; also the events of the simulated market's mix. `dir`: where the journal is measured.
    ///
    /// # Errors
    /// When something is rejected, lost, or cannot be written.
    pub(crate) fn measure(symbols: usize, dir: &Path) -> Result<(Self, Rows)> {
        let frames = Frames::simulate(symbols)?;
        let (source_ns, _) = frames.source(|_| true)?;
        let (kind_of_frame, rows) = frames.kinds()?;
        let mut kinds = Vec::new();
        for (kind, name) in ["trade", "quote", "depth"].into_iter().enumerate() {
            // The same frames as in the mix: messages of one kind alone would be smaller or larger.
            let (ns, of_kind) = frames.source(|at| kind_of_frame[at] == Some(kind))?;
            let share = of_kind as f64 / rows.events.len() as f64;
            kinds.push(Kind { name, share, ns });
        }
        let setup = Setup {
            producers: 1,
            burst: 1,
            ring: feedd_config::Ring::default().capacity,
            wait: WaitStrategy::Adaptive,
            cores: two_cores(),
            store: Store::Null,
        };
        let work = pipeline::run(&setup, &Trades::simulate(1024)?, BATCHING_EVENTS, dir)?;
        let batching_ns = work.consumer_cpu.as_secs_f64() * 1e9 / work.events as f64;
        let (journal_ns, journal_bytes, read_ns) = journal(&rows, dir)?;
        Ok((Self { kinds, source_ns, batching_ns, journal_ns, journal_bytes, read_ns }, rows))
    }
}

/// So many names that the simulated market takes: its own, then numbered ones.
pub(crate) fn symbol_names(symbols: usize) -> Vec<String> {
    let own = SYMBOLS_DEFAULT.iter().map(|&symbol| symbol.to_owned());
    own.chain((0..).map(|number| format!("S{number}USDT"))).take(symbols).collect()
}

/// 0 trades, 1 quotes, 2 all of depth.
fn kind_of(event: &Event) -> usize {
    match event.kind() {
        feedd_model::EventKind::Trade => 0,
        feedd_model::EventKind::Quote => 1,
        _ => 2,
    }
}

/// Frames of the simulated market.
struct Frames {
    frames: Vec<(SimFrame, String)>,
    /// Requests and snapshots at the beginning: never left out, not measured.
    opening: usize,
}

impl Frames {
    fn simulate(symbols: usize) -> Result<Self> {
        let mut market = SimMarket::new(&SimConfig { symbols: symbol_names(symbols), ..SimConfig::default() })?;
        let opening = 2 * symbols;
        let mut frames = Vec::with_capacity(opening + FRAMES);
        let mut text = String::new();
        for at in 0..opening + FRAMES {
            let frame = market.next_frame(time_of(at)?, &mut text);
            frames.push((frame, text.clone()));
        }
        Ok(Self { frames, opening })
    }

    /// What the events of each frame are, `None` where a frame gives none; and the events behind the opening.
    fn kinds(&self) -> Result<(Vec<Option<usize>>, Rows)> {
        let mut session = Session::new()?;
        let mut kinds = Vec::with_capacity(self.frames.len());
        for (at, frame) in self.frames.iter().enumerate() {
            if at == self.opening {
                session.events.clear();
            }
            let before = session.events.len();
            session.frame(at, frame)?;
            session.publish()?;
            kinds.push((session.events.len() > before).then(|| session.events.last().map(kind_of)).flatten());
        }
        Ok((kinds, session.finish()?))
    }

    /// The source's thread without a socket, for the frames that are wanted: decode, validate, name the instrument, pack,
    /// publish. Its CPU ns an event, the median of some runs; and how many events that were.
    fn source(&self, is_wanted: impl Fn(usize) -> bool) -> Result<(f64, u64)> {
        let mut runs = Vec::new();
        for _ in 0..SOURCE_RUNS {
            runs.push(self.decode(&is_wanted)?);
        }
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
        Ok(runs.swap_remove(SOURCE_RUNS / 2))
    }

    fn decode(&self, is_wanted: impl Fn(usize) -> bool) -> Result<(f64, u64)> {
        let mut session = Session { is_kept: false, ..Session::new()? };
        let (opening, frames) = self.frames.split_at(self.opening);
        for (at, frame) in opening.iter().enumerate() {
            session.frame(at, frame)?;
        }
        session.publish()?;
        let published = |session: &Session| session.outlet.counters().events_published.get();
        let (cpu, before) = (thread_cpu(), published(&session));
        for (at, frame) in (self.opening..).zip(frames).filter(|(at, _)| is_wanted(*at)) {
            session.frame(at, frame)?;
        }
        session.publish()?;
        let cpu = thread_cpu().saturating_sub(cpu);
        let events = published(&session) - before;
        session.finish()?;
        Ok((ns_each(cpu, usize::try_from(events)?), events))
    }
}

/// Receive time of a frame.
fn time_of(frame: usize) -> Result<UnixNanos> {
    Ok(UnixNanos(START.0 + STEP_NANOS * i64::try_from(frame)?))
}

/// A source's way from frames to the ring, which is emptied by the same thread.
struct Session {
    intake: Intake,
    outlet: Outlet,
    ring: rtrb::Consumer<Event>,
    instruments: Instruments,
    events: Vec<Event>,
    /// Or whether they are only read: memory that is touched for the first time would be what is measured.
    is_kept: bool,
}

impl Session {
    fn new() -> Result<Self> {
        let (producer, ring) = rtrb::RingBuffer::new(RING);
        let outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: Arc::new(Wake::new(true)),
            counters: Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS))),
            policy: FullPolicy::Block,
            stop: Stop::new(),
            clock: Arc::new(SystemClock::new()),
            budget: None,
        });
        let instruments = Instruments::in_memory();
        let parts = IntakeParts {
            source: VENUE.to_owned(),
            venue: VENUE.to_owned(),
            decoder: table::decoder_for(VENUE).context("there is no decoder for the simulated market")?,
            validation: ValidationConfig::default(),
            instruments: instruments.clone(),
            dead_letters: DeadLetters::disabled(),
            keep_unknown: false,
            frame_bytes_max: FRAME_BYTES_MAX,
            check: None,
        };
        let intake = Intake::new(parts, &outlet);
        Ok(Self { intake, outlet, ring, instruments, events: Vec::new(), is_kept: true })
    }

    fn frame(&mut self, at: usize, (frame, text): &(SimFrame, String)) -> Result<()> {
        match frame.kind {
            SimKind::Request => self.intake.request(frame.conn, text),
            SimKind::Frame => self.intake.frame(frame.conn, text, Some(time_of(at)?), self.outlet.counters())?,
        }
        if self.intake.is_due(&self.outlet) { self.publish() } else { Ok(()) }
    }

    fn publish(&mut self) -> Result<()> {
        self.intake.publish(&mut self.outlet)?;
        if !self.is_kept {
            self.events.clear();
        }
        take(&mut self.ring, &mut self.events)
    }

    /// The events since they were cleared.
    fn finish(self) -> Result<Rows> {
        let counters = self.outlet.counters();
        let rejected = counters.frames_rejected.total() + counters.events_rejected.total();
        ensure!(rejected == 0, "{rejected} frames or trades of the simulated market were rejected");
        let (decoded, published) = (counters.events_decoded.get(), counters.events_published.get());
        ensure!(decoded == published, "{decoded} events were decoded, {published} were published");
        Ok(Rows { events: self.events, instruments: self.instruments })
    }
}

fn take(ring: &mut rtrb::Consumer<Event>, events: &mut Vec<Event>) -> Result<()> {
    let chunk = ring.read_chunk(ring.slots())?;
    let (first, second) = chunk.as_slices();
    events.extend_from_slice(first);
    events.extend_from_slice(second);
    chunk.commit_all();
    Ok(())
}

/// CPU ns and bytes of an event that is appended and committed, and CPU ns of one that is read back.
fn journal(rows: &Rows, dir: &Path) -> Result<(f64, f64, f64)> {
    let dir = tempfile::Builder::new().prefix("size-").tempdir_in(dir).context("making a folder")?;
    let clock = SystemClock::new();
    let bytes = rows.events.len() as u64 * size_of::<Event>() as u64;
    let config = JournalConfig {
        dir: dir.path().join("journal"),
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 4 * SEGMENT_BYTES + 2 * bytes,
        sync: Sync::Every(Duration::from_millis(10)),
    };
    let start = Start { stream: STREAM, epoch: EPOCH, at: clock.wall() };
    let (mut journal, _) = Journal::open(config, start, rows.instruments.clone())?;
    let mut cursor = journal.cursor();
    let (cpu, mut next) = (thread_cpu(), Seq(1));
    for commit in rows.events.chunks(COMMIT_EVENTS) {
        for frame in commit.chunks(FRAME_EVENTS_MAX) {
            let at = clock.wall();
            journal.append(next, SourceId(0), frame, Stamp { at, complete_until: at });
            next = Seq(next.0 + frame.len() as u64);
        }
        journal.commit()?;
    }
    let append_ns = ns_each(thread_cpu().saturating_sub(cpu), rows.events.len());
    let bytes = journal.usage().bytes_written as f64 / rows.events.len() as f64;
    let (cpu, mut read) = (thread_cpu(), 0);
    while let Some(item) = cursor.next()? {
        if let Item::Events { first, events, .. } = item {
            ensure!(first == Seq(read as u64 + 1), "the journal gave {first} after {read}");
            read += events.len();
        }
    }
    ensure!(read == rows.events.len(), "{read} of {} events came back", rows.events.len());
    Ok((append_ns, bytes, ns_each(thread_cpu().saturating_sub(cpu), read)))
}

/// Writes the rows with the Parquet sink, as the recorder has it by default.
///
/// # Errors
/// When the files cannot be written, or do not hold every row once.
pub(crate) fn parquet(rows: Rows, dir: &Path) -> Result<Stored> {
    let Rows { events, instruments } = rows;
    let rows = Trades { events, instruments, totals: Totals::default() };
    // The first run touches memory for the first time, which a recorder does once.
    write_parquet(&rows, dir)?;
    write_parquet(&rows, dir)
}

fn write_parquet(rows: &Trades, dir: &Path) -> Result<Stored> {
    let dir = tempfile::Builder::new().prefix("size-").tempdir_in(dir).context("making a folder")?;
    let defaults = feedd_config::Parquet::default();
    let config = ParquetConfig {
        row_group_rows_max: defaults.row_group_rows_max,
        compression_level: defaults.compression_level,
        ..ParquetConfig::new(dir.path())
    };
    let count = rows.events.len();
    let mut sink = ParquetSink::open(config, rows.instruments.clone())?;
    sink.recover(STREAM, EPOCH)?;
    let batches = rows.batches(Seq(1), sink.batch_events_best());
    let cpu = thread_cpu();
    for batch in &batches {
        sink.write(batch, MonoNanos(0))?;
    }
    sink.flush(MonoNanos(0))?;
    let ns = ns_each(thread_cpu().saturating_sub(cpu), count);
    let counted = sink.audit(STREAM, EPOCH)?.context("the Parquet sink counts its rows")?;
    let found = (counted.rows, counted.duplicates, counted.beyond);
    ensure!(found == (count as u64, 0, 0), "the files hold {found:?} instead of {count} rows");
    let bytes = file_bytes(dir.path(), "parquet")? as f64 / count as f64;
    Ok(Stored { ns, server_ns: None, bytes, row: "event" })
}

/// Bytes of all files of a kind below a folder.
fn file_bytes(dir: &Path, extension: &str) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            bytes += file_bytes(&path, extension)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn ns_each(cpu: Duration, events: usize) -> f64 {
    cpu.as_secs_f64() * 1e9 / events.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_as_many_as_asked_for_and_none_twice() {
        for symbols in [1, 10, 11, 2_000] {
            let names = symbol_names(symbols);
            let distinct: std::collections::HashSet<&String> = names.iter().collect();
            assert_eq!((names.len(), distinct.len()), (symbols, symbols));
            SimMarket::new(&SimConfig { symbols: names, ..SimConfig::default() }).unwrap();
        }
    }
}
