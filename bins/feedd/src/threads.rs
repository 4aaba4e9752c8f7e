//! A running recorder: what can be watched, how it is stopped, how it ended.

use crate::analysis::AnalysisThreads;
use anyhow::{Context, Result};
use feedd_core::accounting::Account;
use feedd_core::affinity::pin;
use feedd_core::data_dir::DataDir;
use feedd_core::dead_letters::DeadLetterWriter;
use feedd_core::mailbox::Mailboxes;
use feedd_core::{SourceError, Stop, error_text};
use feedd_delivery::{JournalEnd, LaneEnd, ServedEnd};
use feedd_journal::Readers;
use feedd_live::ask_book::BookDesks;
use feedd_live::change::Change;
use feedd_model::Epoch;
use feedd_telemetry::Watched;
use feedd_venues::sources::Progress;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// One source's thread.
pub(crate) struct SourceThread {
    pub(crate) name: String,
    pub(crate) thread: JoinHandle<Result<(), SourceError>>,
}

/// One sink's lane.
pub(crate) struct LaneThread {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) thread: LaneHandle,
}

/// What runs it.
pub(crate) enum LaneHandle {
    /// A thread of its own.
    Own(JoinHandle<LaneEnd>),
    /// The batching thread.
    Served(ServedEnd),
}

impl LaneHandle {
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Own(thread) => thread.is_finished(),
            Self::Served(end) => end.is_set(),
        }
    }

    pub(crate) fn join(self) -> LaneEnd {
        match self {
            Self::Own(thread) => thread.join().unwrap_or(LaneEnd::Panicked),
            Self::Served(end) => end.take(),
        }
    }
}

/// A run. [`Run::join`] waits for its end.
pub struct Run {
    pub(crate) data_dir: DataDir,
    pub(crate) stop: Stop,
    pub(crate) watched: Watched,
    pub(crate) progress: Vec<Arc<Progress>>,
    pub(crate) sources: Vec<SourceThread>,
    pub(crate) batching: JoinHandle<()>,
    pub(crate) journal: Option<JoinHandle<JournalEnd>>,
    pub(crate) keeper: Option<JoinHandle<()>>,
    pub(crate) lanes: Vec<LaneThread>,
    /// And where its state is to be kept for the next start.
    pub(crate) analysis: Option<(AnalysisThreads, Option<PathBuf>)>,
    pub(crate) letter_writer: Option<DeadLetterWriter>,
    pub(crate) readers: Option<Readers>,
    pub(crate) books: BookDesks,
    pub(crate) mailboxes: SourceMailboxes,
}

/// Where sources are told what is to change, by the names of their threads.
#[derive(Clone, Debug, Default)]
pub struct SourceMailboxes {
    /// Of live sources.
    pub live: Mailboxes<Change>,
    /// Of simulated ones: all symbols from then on.
    pub sim: Mailboxes<Vec<String>>,
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

    /// Readers of the journal, if there is one.
    #[must_use]
    pub const fn journal_readers(&self) -> Option<&Readers> {
        self.readers.as_ref()
    }

    /// Where live sources are asked for their books.
    #[must_use]
    pub const fn books(&self) -> &BookDesks {
        &self.books
    }

    /// Where live sources are told what is to change.
    #[must_use]
    pub const fn mailboxes(&self) -> &SourceMailboxes {
        &self.mailboxes
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// The start counter of the recorded stream.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.data_dir.epoch()
    }

    /// Whether a journal keeps what sinks have not stored.
    #[must_use]
    pub const fn is_journalled(&self) -> bool {
        self.journal.is_some()
    }

    /// Whether storage has ended: by itself after the sources, or because it cannot go on. A sink that stopped does not end
    /// a run with a journal, which keeps everything for it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let ended = |lane: &LaneThread| lane.thread.is_finished();
        match &self.journal {
            Some(journal) => journal.is_finished() && self.lanes.iter().all(ended),
            None => self.lanes.iter().all(ended) || self.lanes.iter().any(|lane| lane.required && ended(lane)),
        }
    }

    /// The end of a run with a thread that does not come back: the threads are left behind, the process is to end now.
    #[must_use]
    pub fn abandon(mut self) -> RunEnd {
        let stuck = self.lanes.iter().filter(|lane| !lane.thread.is_finished());
        let stuck = stuck.map(|lane| lane.name.as_str()).collect::<Vec<_>>().join(", ");
        let lost = lost(&self.watched);
        if self.journal.as_ref().is_some_and(JoinHandle::is_finished) && lost == 0 {
            note_end(&mut self.data_dir);
            tracing::warn!("sink {stuck} did not come back; what it lacks is in the journal for the next start");
            return RunEnd { troubles: Vec::new() };
        }
        let what =
            format!("storage ({stuck}) did not come back after the stop deadline; up to {lost} events are missing");
        RunEnd { troubles: vec![what] }
    }

    /// Waits for every thread. To be called when [`Run::is_over`].
    #[must_use]
    pub fn join(mut self) -> RunEnd {
        let mut troubles = Vec::new();
        let journalled = self.journal.is_some();
        let journal = self.journal.take().map(JoinHandle::join);
        let mut in_order = matches!(journal, None | Some(Ok(JournalEnd::Closed)));
        match journal {
            None | Some(Ok(JournalEnd::Closed | JournalEnd::Deadline)) => {}
            Some(Ok(JournalEnd::Failed(error))) => troubles.push(format!("journal: {}", error_text(&error))),
            Some(Err(_)) => troubles.push("the journal's thread panicked".to_owned()),
        }
        // It ends with the journal.
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            troubles.push("the thread that notes which trades are stored panicked".to_owned());
        }
        // Nobody takes events any more: whoever still produces or waits (after a panic of the batching thread, or a sink
        // that cannot go on) shall end.
        self.stop.abort();
        for lane in std::mem::take(&mut self.lanes) {
            let (name, end) = (lane.name, lane.thread.join());
            // What a sink lacks is in the journal, if there is one.
            in_order &= journalled || matches!(end, LaneEnd::Drained);
            match end {
                // What a deadline costs is told below.
                LaneEnd::Drained | LaneEnd::Deadline => {}
                LaneEnd::Fatal(error) => troubles.push(format!("storage stopped: sink {name}: {}", error_text(&error))),
                LaneEnd::Panicked => troubles.push(format!("the thread of sink {name} panicked")),
            }
        }
        for source in std::mem::take(&mut self.sources) {
            match source.thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => troubles.push(format!("source {}: {}", source.name, error_text(&error))),
                Err(_) => troubles.push(format!("source {} panicked", source.name)),
            }
        }
        let epoch = self.data_dir.epoch().0;
        let lane = self.analysis.take().map(|(lane, path)| (lane.join(epoch), path));
        let lane = lane.map(|(end, path)| {
            troubles.extend(end.troubles);
            (end.saved, path)
        });
        if self.batching.join().is_err() {
            in_order = false;
            troubles.push("the batching thread panicked".to_owned());
        }
        if let Some(writer) = self.letter_writer {
            writer.join();
        }
        let (lost, unaccounted) = (lost(&self.watched), self.watched.account().unaccounted());
        if lost > 0 {
            let place = if journalled { "safe" } else { "stored" };
            troubles.push(format!("the stop deadline passed before everything was {place}: {lost} events are missing"));
        }
        if unaccounted > 0 {
            troubles.push(format!("{unaccounted} events or frames are unaccounted for"));
        }
        if in_order && lost == 0 && unaccounted == 0 {
            if let Some((saved, Some(path))) = lane
                && let Err(error) = saved.write(&path)
            {
                tracing::warn!("{error:#}: bars and paper books will begin anew at the next start");
            }
            note_end(&mut self.data_dir);
        }
        RunEnd { troubles }
    }
}

/// Nothing of this run can be lost any more.
fn note_end(data_dir: &mut DataDir) {
    if let Err(error) = data_dir.end() {
        let error = error_text(&error);
        tracing::warn!(
            error,
            "the end of the run could not be noted; the next start may record a gap although nothing is missing"
        );
    }
}

/// Events that were decoded and are neither in the journal, nor, without one, in every required sink.
fn lost(watched: &Watched) -> u64 {
    let account = watched.account();
    let is_required = |name: &str| watched.sinks.iter().any(|sink| sink.required && *sink.name == *name);
    account.sources.in_ring + not_kept(&account, is_required) + watched.cut_off()
}

/// Accepted events that nothing keeps when the process ends.
fn not_kept(account: &Account, is_required: impl Fn(&str) -> bool) -> u64 {
    if let Some(durable) = account.durable {
        return account.accepted.saturating_sub(durable);
    }
    let pending = account.sinks.iter().filter(|sink| is_required(&sink.name)).map(|sink| sink.in_lane + sink.in_sink);
    pending.max().unwrap_or(0)
}

/// Starts a named thread on its core, if it has one.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    core: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = name.to_owned();
    std::thread::Builder::new()
        // A source's name comes from the configuration; the system takes no NUL.
        .name(name.replace('\0', " "))
        .spawn(move || {
            if let Some(core) = core
                && !pin(core)
            {
                tracing::warn!(thread, core, "the system refused to pin this thread; it runs unpinned");
            }
            body()
        })
        .with_context(|| format!("starting thread {name}"))
}
