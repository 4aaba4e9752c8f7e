//! `feedd replay`: a recording once more, in order, as fast as it was received or faster.

use crate::cli::{ConfigArgs, rfc3339};
use crate::commands::{self, Verdict, time_text};
use crate::replaying::through_the_lane;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use crossbeam_utils::CachePadded;
use feedd_config::Config;
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::DeadLetters;
use feedd_core::histogram::Histogram;
use feedd_core::link::LinkMode;
use feedd_core::outlet::OutletParts;
use feedd_core::pace::Speed;
use feedd_core::playback::Pause;
use feedd_core::wake::Wake;
use feedd_core::{FullPolicy, Instruments, Outlet, Stop, SystemClock, error_text};
use feedd_model::{Decimal, Event, EventKind, UnixNanos};
use feedd_replay::{Selection, Tally};
use feedd_run::recording::{OpenRecording, Recording};
use feedd_telemetry::Performance;
use feedd_venues::sources::SourceParts;
use feedd_venues::validate::ValidationConfig;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which recording.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordingArgs {
    /// What is replayed: a folder that the Parquet sink wrote to; captures; or Binance's public files of trades or
    /// aggTrades (.csv, .csv.zst), which are merged by time. Of the last two folders, too, and more than one.
    #[arg(long = "from", required = true, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// First receive time, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    since: Option<UnixNanos>,
    /// Receive time at which it ends, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    until: Option<UnixNanos>,
    /// Only these symbols, as their venue writes them. Names the symbol of a .csv file whose name does not.
    #[arg(long, value_name = "SYMBOL,...", value_delimiter = ',')]
    symbols: Vec<String>,
    /// Venue of captures, otherwise the name of each file's folder; venue of .csv files, otherwise binance.
    #[arg(long, value_name = "VENUE")]
    venue: Option<String>,
}

impl RecordingArgs {
    /// Where it is.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.from
    }

    /// As it is opened.
    pub(crate) fn recording(&self, speed: Speed) -> Recording {
        let Self { from, since, until, symbols, venue } = self.clone();
        Recording { from, selection: Selection { since, until, symbols }, venue, speed }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) recording: RecordingArgs,
    /// Times the recorded pace: 1 is as it was received, 60 is a minute each second, 0 is as fast as possible.
    #[arg(long, value_name = "FACTOR", default_value = "0", value_parser = speed)]
    pub(crate) speed: Speed,
    /// How the analysis lane is fed: data waits until a stage is done, clock hands on at the pace and counts who is behind.
    #[arg(long, value_name = "MODE", value_parser = ["data", "clock"], default_value = "data")]
    pub(crate) mode: String,
}

fn speed(text: &str) -> Result<Speed, String> {
    let thousandths = Decimal::parse(text.as_bytes()).ok().and_then(|factor| factor.mantissa_at(3));
    match thousandths.map(u32::try_from) {
        Some(Ok(factor)) => Ok(NonZeroU32::new(factor).map_or(Speed::Max, Speed::Thousandths)),
        _ => Err("write a number from 0 to 4000000 with at most three decimals, such as 0, 1 or 60".to_owned()),
    }
}

/// Reads the recording to its end and says what a replay of it delivers. Exit code 1 when a part could not be read.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    commands::run(&args.config, |config, out| {
        if config.is_analysed() {
            return analyse(args, config, out);
        }
        let parts = SourceParts {
            name: "replay".to_owned(),
            validation: ValidationConfig::default(),
            instruments: Instruments::in_memory(),
            dead_letters: DeadLetters::disabled(),
            keep_unknown: config.decode.keep_unknown,
            frame_bytes_max: usize::try_from(config.decode.frame_bytes_max).unwrap_or(usize::MAX),
        };
        let recording = args.recording.recording(args.speed).open(parts, Pause::new())?;
        deliver(recording, config.ring.capacity, out)
    })
}

/// Replays through the analysis lane and stores what that makes.
fn analyse(args: &ReplayArgs, config: &Config, out: &mut dyn Write) -> Result<Verdict> {
    let mode = if args.mode == "clock" { LinkMode::Clock } else { LinkMode::Data };
    let done = through_the_lane(config, &args.recording, (args.speed, mode), None)?;
    let events = done.watched.account().replayed;
    let rate = u128::from(events) * 1_000_000 / done.took.as_micros().max(1);
    writeln!(
        out,
        "{events} events in {} ms, {rate} a second; bars and what follows from them are in {}",
        done.took.as_millis(),
        config.data.dir.display()
    )?;
    told(done.tally.as_deref(), &done.drift, out)?;
    if let Some(performance) = Performance::take(&done.watched) {
        writeln!(out, "\n{}", performance.text())?;
    }
    done.end.troubles.iter().for_each(|trouble| eprintln!("feedd: {trouble}"));
    Ok(Verdict::of(done.end.troubles.is_empty()))
}

/// What was left out, and how late it was.
fn told(tally: Option<&Tally>, drift: &Histogram, out: &mut dyn Write) -> Result<()> {
    if let Some(tally) = tally {
        let [left_out, repeated] = [&tally.left_out, &tally.repeated].map(|count| count.get());
        let [lines, files] = [&tally.lines_bad, &tally.files_bad].map(|count| count.get());
        writeln!(out, "left out {left_out}, repeated {repeated}, bad lines {lines}, bad files {files}")?;
    }
    let late = drift.snapshot();
    if late.count() > 0 {
        let [half, most, max] = [late.at_permille(500), late.at_permille(990), late.max()].map(|ns| ns / 1_000);
        writeln!(out, "late against the pace: p50 {half} us, p99 {most} us, at most {max} us")?;
    }
    Ok(())
}

/// What was delivered.
#[derive(Debug, Default)]
struct Delivered {
    /// By kind, in the order of [`EventKind::ALL`].
    kinds: [u64; EventKind::ALL.len()],
    first: Option<UnixNanos>,
    last: Option<UnixNanos>,
}

impl Delivered {
    fn count(&mut self, event: &Event) {
        self.kinds[event.kind() as usize - 1] += 1;
        let at = event.recv_ts().or(event.venue_ts());
        self.first = self.first.or(at);
        self.last = self.last.max(at);
    }
}

fn deliver(recording: OpenRecording, ring_capacity: usize, out: &mut dyn Write) -> Result<Verdict> {
    let OpenRecording { mut source, drift, tally, reasons, .. } = recording;
    let (ring, mut events) = rtrb::RingBuffer::new(ring_capacity);
    let counters = Arc::new(CachePadded::new(SourceCounters::new(reasons[0], reasons[1])));
    let mut outlet = Outlet::new(OutletParts {
        ring,
        wake: Arc::new(Wake::new(false)),
        counters: counters.clone(),
        policy: FullPolicy::Block,
        stop: Stop::new(),
        clock: Arc::new(SystemClock::new()),
        budget: None,
    });
    let start = Instant::now();
    let run = move || source.run(&mut outlet);
    let thread =
        std::thread::Builder::new().name("replay".into()).spawn(run).context("starting the replay's thread")?;
    let mut delivered = Delivered::default();
    loop {
        // Asked before the ring is: what was put into it before the end is seen.
        let is_over = thread.is_finished();
        let count = events.slots();
        if let Ok(chunk) = events.read_chunk(count) {
            chunk.into_iter().for_each(|event| delivered.count(&event));
        }
        if count == 0 && is_over {
            break;
        }
        if count == 0 {
            std::thread::sleep(NAP);
        }
    }
    let ended = thread.join().map_err(|_| anyhow!("the replay's thread panicked"))?;
    report(&delivered, start.elapsed(), out)?;
    if tally.is_none() {
        let (frames, trades) = (counters.frames_rejected.total(), counters.events_rejected.total());
        writeln!(out, "rejected {frames} frames and {trades} trades")?;
    }
    told(tally.as_deref(), &drift, out)?;
    if let Err(error) = &ended {
        eprintln!("feedd: {}", error_text(error));
    }
    Ok(Verdict::of(ended.is_ok()))
}

/// Pause while the ring is empty.
const NAP: Duration = Duration::from_micros(200);

fn report(delivered: &Delivered, took: Duration, out: &mut dyn Write) -> Result<()> {
    let kinds = EventKind::ALL.iter().zip(delivered.kinds).filter(|(_, count)| *count > 0);
    let kinds: Vec<String> =
        kinds.map(|(kind, count)| format!("{count} {}", format!("{kind:?}").to_lowercase())).collect();
    let total: u64 = delivered.kinds.iter().sum();
    let rate = u128::from(total) * 1_000_000 / took.as_micros().max(1);
    writeln!(out, "{total} events in {} ms, {rate} a second: {}", took.as_millis(), kinds.join(", "))?;
    if let Some((first, last)) = delivered.first.zip(delivered.last) {
        writeln!(out, "from {} to {}", time_text(first), time_text(last))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read() {
        let thousandths = |factor| NonZeroU32::new(factor).map(Speed::Thousandths);
        let cases = [
            ("0", Some(Speed::Max)),
            ("0.000", Some(Speed::Max)),
            ("1", thousandths(1_000)),
            ("60", thousandths(60_000)),
            ("0.5", thousandths(500)),
            ("4000000", thousandths(4_000_000_000)),
            ("5000000", None),
            ("0.0001", None),
            ("-1", None),
            ("fast", None),
        ];
        for (text, expected) in cases {
            assert_eq!(speed(text).ok(), expected, "{text}");
        }
    }
}
