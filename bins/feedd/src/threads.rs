//! A running recorder: what can be watched, how it is stopped, how it ended.

use feedd_core::accounting::Account;
use feedd_core::data_dir::DataDir;
use feedd_core::dead_letters::DeadLetterWriter;
use feedd_core::{SourceError, Stop, error_text};
use feedd_delivery::LaneEnd;
use feedd_telemetry::Watched;
use feedd_venues::sources::Progress;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// One source's thread.
pub(crate) struct SourceThread {
    pub(crate) name: String,
    pub(crate) thread: JoinHandle<Result<(), SourceError>>,
}

/// A run. [`Run::join`] waits for its end.
pub struct Run {
    pub(crate) data_dir: DataDir,
    pub(crate) stop: Stop,
    pub(crate) watched: Watched,
    pub(crate) progress: Vec<Arc<Progress>>,
    pub(crate) sources: Vec<SourceThread>,
    pub(crate) batching: JoinHandle<()>,
    pub(crate) lane: JoinHandle<LaneEnd>,
    pub(crate) letter_writer: Option<DeadLetterWriter>,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// What went wrong, in plain words; empty after a clean end.
    pub troubles: Vec<String>,
}

impl Run {
    /// The request to stop, for signals and bounds.
    #[must_use]
    pub const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Every counter.
    #[must_use]
    pub const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// How far each recording is.
    #[must_use]
    pub fn progress(&self) -> &[Arc<Progress>] {
        &self.progress
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Whether storage has ended: by itself after the sources, or because its sink cannot go on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lane.is_finished()
    }

    /// The end of a run whose sink does not come back: its threads are left behind, the process is to end now.
    #[must_use]
    pub fn abandon(self) -> RunEnd {
        let pending = not_stored(&self.watched.account());
        let what = format!("the sink did not come back after the stop deadline; up to {pending} events are missing");
        RunEnd { troubles: vec![what] }
    }

    /// Waits for every thread. To be called when [`Run::is_over`].
    #[must_use]
    pub fn join(self) -> RunEnd {
        let mut troubles = Vec::new();
        match self.lane.join() {
            Ok(LaneEnd::Drained) => {}
            Ok(LaneEnd::Deadline) => troubles.push("the stop deadline passed before everything was stored".to_owned()),
            Ok(LaneEnd::Fatal(error)) => troubles.push(format!("storage stopped: {}", error_text(&error))),
            Err(_) => troubles.push("the storage thread panicked".to_owned()),
        }
        // Nobody takes events any more: whoever still produces or waits (after a panic of the batching thread, or a sink
        // that cannot go on) shall end.
        self.stop.abort();
        for source in self.sources {
            match source.thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => troubles.push(format!("source {}: {}", source.name, error_text(&error))),
                Err(_) => troubles.push(format!("source {} panicked", source.name)),
            }
        }
        if self.batching.join().is_err() {
            troubles.push("the batching thread panicked".to_owned());
        }
        if let Some(writer) = self.letter_writer {
            writer.join();
        }
        let account = self.watched.account();
        let lost = not_stored(&account) + self.watched.cut_off();
        if lost > 0 && troubles.is_empty() {
            troubles.push(format!("the stop deadline passed before everything was stored: {lost} events are missing"));
        }
        if account.unaccounted() > 0 {
            troubles.push(format!("{} events or frames are unaccounted for", account.unaccounted()));
        }
        RunEnd { troubles }
    }
}

/// Events that were decoded and reached neither the sink nor quarantine.
fn not_stored(account: &Account) -> u64 {
    account.sources.in_ring + account.sink.in_lane + account.sink.in_sink
}
