//! `feedd soak`: tries a host with the configuration that it is to have. A recorder of its own records a simulated market,
//! is asked as operators ask, and what it says is held against bounds, in a table.
//!
//! What was seen: `seen.rs`; the bounds: `judge.rs`; what can go wrong on purpose: `fault.rs`.

mod cli;
mod disk;
mod fault;
mod judge;
mod place;
mod recorder;
mod seen;
mod stall;
mod table;
mod verified;

pub(crate) use cli::SoakArgs;

use crate::{EXIT_TROUBLE, EXIT_USAGE};
use anyhow::{Context, Result};
use cli::Fault;
use fault::{Injector, Schedule, WELL_AGAIN_MAX};
use judge::{Ended, Facts};
use place::Place;
use recorder::Recorder;
use seen::Seen;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use table::Table;

/// Between two looks at the recorder.
const LOOK: Duration = Duration::from_millis(200);
/// Lines about how it goes, over the whole time.
const LINES: u32 = 10;
/// How long after its own deadline an ending recorder is given up.
const END_SLACK: Duration = Duration::from_secs(30);

/// Tries this host. Exit code 0 when every row holds, 1 when one does not, 2 when it could not run.
pub(crate) fn soak(args: &SoakArgs) -> ExitCode {
    match measure(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_TROUBLE),
        Err(error) => {
            eprintln!("feedd: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn measure(args: &SoakArgs) -> Result<bool> {
    let interrupt = Interrupt::new()?;
    let schedule = Schedule::of(args);
    let place = Place::make(args, schedule.whole + WELL_AGAIN_MAX)?;
    let injector = match Injector::prepare(args, &place) {
        Ok(injector) => injector,
        Err(error) => {
            // Nothing was recorded yet.
            place.discard()?;
            return Err(error);
        }
    };
    let table = match record(args, &schedule, &place, injector, &interrupt) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("{}", place.left());
            return Err(error);
        }
    };
    let told = tell(&table, args.json.as_deref());
    if args.keep || !table.passes() || told.is_err() {
        eprintln!("{}", place.left());
        if args.fault == Fault::DiskFull {
            eprintln!("what was on the small disk is gone with it");
        }
    } else {
        place.discard()?;
    }
    told.map(|()| table.passes())
}

/// Records, and judges what was seen.
fn record(
    args: &SoakArgs,
    schedule: &Schedule,
    place: &Place,
    mut injector: Injector,
    interrupt: &Interrupt,
) -> Result<Table> {
    let config = &place.config;
    let sinks: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    eprintln!(
        "recording {} simulated symbols at {} frames/s into {} below {}, for {:?}, fault {}",
        args.symbols,
        args.rate,
        sinks.join(" and "),
        place.folder.display(),
        schedule.whole,
        args.fault.name()
    );
    let recorder = Recorder::start(place, &injector.settings(), false)?;
    let interval_ns = u64::try_from(config.health.interval.as_nanos()).unwrap_or(u64::MAX);
    let mut seen = Seen::new(args.symbols, interval_ns);
    let began = Instant::now();
    let recorder = watch(args, schedule, place, interrupt, (recorder, &mut seen, &mut injector))?;
    let seconds = began.elapsed().as_secs();
    let ended = end(recorder, &mut seen, config.stop.deadline, interrupt)?;
    let verified = verified::verify(place).map_err(|error| format!("{error:#}"));
    let rows = judge::rows(&Facts {
        seen: &seen,
        fault: args.fault,
        times: injector.times,
        named: injector.named(&seen),
        symbols: args.symbols,
        sinks: config.sinks.iter().map(|sink| sink.kind).collect(),
        file_age_max: config.parquet.file_age_max,
        parquet_bytes_max: config.parquet.memory_max,
        ended,
        verified,
    });
    let interrupted = interrupt.has_come();
    Ok(Table { fault: args.fault, rate: args.rate, symbols: args.symbols, seconds, interrupted, rows })
}

/// Looks at the recorder until its time is over, or somebody wants it to end, and makes and ends the fault meanwhile. With
/// a fault it waits, within limits, until the recorder is well again.
fn watch(
    args: &SoakArgs,
    schedule: &Schedule,
    place: &Place,
    interrupt: &Interrupt,
    (mut recorder, seen, injector): (Recorder, &mut Seen, &mut Injector),
) -> Result<Recorder> {
    let began = Instant::now();
    let every = schedule.whole / LINES;
    let mut line_at = every;
    loop {
        let elapsed = began.elapsed();
        // Its end is for who ends it to tell; until then, an answer that is late is a look less.
        if let Ok(status) = recorder.look() {
            let at = status.at;
            injector.look(&status);
            if elapsed >= line_at {
                eprintln!("{:>5} s: {}", elapsed.as_secs(), status.verdict.text);
                line_at += every;
            }
            seen.add(status);
            let is_due = elapsed >= schedule.begins || args.fault == Fault::SlowStrategy;
            if args.fault != Fault::None && injector.times.begun_at.is_none() && is_due {
                eprintln!("{:>5} s: now comes the fault: {}", elapsed.as_secs(), args.fault.name());
                // What was found before is none of the fault's.
                seen.sightings.clear();
                recorder = injector.begin(at, place, recorder)?;
            }
            if elapsed >= schedule.ends && injector.lasts() && injector.times.over_at.is_none() {
                eprintln!("{:>5} s: the fault is over", elapsed.as_secs());
                injector.end(at)?;
            }
        } else if recorder.over()?.is_some() {
            return Ok(recorder);
        }
        let waits = injector.times.over_at.is_some() && injector.times.well_at.is_none();
        let whole = if waits { schedule.whole + WELL_AGAIN_MAX } else { schedule.whole };
        if elapsed >= whole || interrupt.come() {
            injector.end(seen.last_at())?;
            return Ok(recorder);
        }
        std::thread::sleep(LOOK);
    }
}

/// Asks the recorder to end, and waits for it; a second signal kills it.
fn end(mut recorder: Recorder, seen: &mut Seen, deadline: Duration, interrupt: &Interrupt) -> Result<Ended> {
    let begin = Instant::now();
    recorder.ask_to_end();
    loop {
        if let Some(status) = recorder.over()? {
            let words = || format!("the recorder ended with {status}: {}", recorder.said());
            return Ok(if status.success() { Ended::InOrder } else { Ended::Otherwise(words()) });
        }
        if let Ok(status) = recorder.look() {
            seen.add(status);
        }
        if interrupt.come_again() || begin.elapsed() > deadline + END_SLACK {
            recorder.kill()?;
            return Ok(Ended::Otherwise("the recorder did not end and was killed".to_owned()));
        }
        std::thread::sleep(LOOK / 4);
    }
}

fn tell(table: &Table, json: Option<&Path>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(path) = json {
        let mut text = serde_json::to_vec(&table.json())?;
        text.push(b'\n');
        if path == Path::new("-") {
            return out.write_all(&text).and_then(|()| out.flush()).context("writing to standard output");
        }
        std::fs::write(path, &text).with_context(|| format!("writing {}", path.display()))?;
    }
    table.write_text(&mut out).and_then(|()| out.flush()).context("writing to standard output")
}

/// Whether somebody wants it to end: then the table shows what was measured until then.
struct Interrupt {
    signalled: Arc<AtomicBool>,
    came: std::cell::Cell<bool>,
}

impl Interrupt {
    fn new() -> Result<Self> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, signalled.clone()).context("installing the signal handlers")?;
        }
        Ok(Self { signalled, came: std::cell::Cell::new(false) })
    }

    /// Whether a signal has come.
    fn come(&self) -> bool {
        // Relaxed: nothing else is read because of it.
        if self.signalled.swap(false, Ordering::Relaxed) {
            self.came.set(true);
        }
        self.came.get()
    }

    /// Whether one more has come since the first, or since the end was asked for.
    fn come_again(&self) -> bool {
        let signalled = self.signalled.swap(false, Ordering::Relaxed);
        signalled && self.came.replace(true)
    }

    fn has_come(&self) -> bool {
        self.came.get()
    }
}
