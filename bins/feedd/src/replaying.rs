//! A recording through the analysis lane: what `feedd replay` and `feedd backtest` have in common.

use crate::replay_cmd::RecordingArgs;
use anyhow::{Context, Result, bail};
use feedd_config::Config;
use feedd_core::histogram::Histogram;
use feedd_core::link::LinkMode;
use feedd_core::pace::Speed;
use feedd_core::playback::Pause;
use feedd_replay::Tally;
use feedd_run::{RecordTap, RunEnd};
use feedd_telemetry::Watched;
use feedd_venues::sources::SourceParts;
use feedd_venues::validate::ValidationConfig;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the run and the signals are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What became of it.
pub(crate) struct Replayed {
    pub(crate) end: RunEnd,
    pub(crate) watched: Watched,
    pub(crate) took: Duration,
    pub(crate) drift: Arc<Histogram>,
    pub(crate) tally: Option<Arc<Tally>>,
}

/// Replays to the end, or until a signal. SIGUSR1 pauses, and lets it go on.
///
/// # Errors
/// When it cannot be opened or started, or the data folder is the recording itself.
pub(crate) fn through_the_lane(
    config: &Config,
    recording: &RecordingArgs,
    (speed, mode): (Speed, LinkMode),
    tap: Option<RecordTap>,
) -> Result<Replayed> {
    let data_dir = std::path::absolute(&config.data.dir)?;
    for from in recording.paths() {
        let from = std::path::absolute(from)?;
        let stores = std::path::absolute(&config.parquet.dir)?;
        if from == data_dir || from == stores {
            bail!(
                "{} is the recording itself: its bars stand there already; give the replay a folder of its own with --data-dir",
                from.display()
            );
        }
    }
    let (pause, mut opened) = (Pause::new(), None);
    let recording = recording.recording(speed);
    let start = Instant::now();
    let run = feedd_run::start_replay(config, mode, tap, |instruments, dead_letters| {
        let parts = SourceParts {
            name: "replay".to_owned(),
            validation: ValidationConfig::default(),
            instruments: instruments.clone(),
            dead_letters,
            keep_unknown: config.decode.keep_unknown,
            frame_bytes_max: usize::try_from(config.decode.frame_bytes_max).unwrap_or(usize::MAX),
        };
        let open = recording.open(parts, pause.clone())?;
        opened = Some((open.drift.clone(), open.tally.clone()));
        Ok(open)
    })?;
    let (drift, tally) = opened.context("the recording was not opened")?;
    wait(&run, &pause, config.stop.deadline)?;
    let watched = run.watched().clone();
    let end = run.join();
    Ok(Replayed { end, watched, took: start.elapsed(), drift, tally })
}

/// Until the replay is over, or a signal has asked for its end.
fn wait(run: &feedd_run::Run, pause: &Pause, deadline: Duration) -> Result<()> {
    let (signalled, toggled) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, signalled.clone()).context("installing the signal handlers")?;
    }
    signal_hook::flag::register(SIGUSR1, toggled.clone()).context("installing the signal handlers")?;
    let mut stopping: Option<Instant> = None;
    while !run.is_over() {
        if toggled.swap(false, Ordering::Relaxed) {
            tracing::info!("{}", if pause.toggle() { "paused; SIGUSR1 lets it go on" } else { "goes on" });
        }
        if signalled.load(Ordering::Relaxed) && stopping.is_none() {
            run.stop().request();
            stopping = Some(Instant::now());
        }
        if stopping.is_some_and(|since| since.elapsed() >= deadline) {
            run.stop().abort();
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
