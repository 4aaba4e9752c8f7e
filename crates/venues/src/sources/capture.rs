//! Captures as a source: the frames of recorded files in order, at any speed, or those that another process writes into a
//! named pipe, as they come; both with the receive times that the capture states.

use super::playing::Playing;
use super::{SLEEP_MAX, SourceParts};
use crate::capture::{CaptureError, CaptureReader, LineFault, expand, venue_of};
use crate::decoder::{Decoder, Reject, RejectReason};
use crate::intake::Intake;
use crate::pace::Speed;
use crate::table::{decoder_for, names};
use feedd_core::outlet::Ended;
use feedd_core::playback::{Pause, Playback};
use feedd_core::source::Progress;
use feedd_core::{Outlet, Source, SourceError, error_text};
use feedd_model::UnixNanos;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is replayed, and how.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// Files, folders and named pipes, in the order given; the files of a folder in the order of their names. A pipe is
    /// read until its last writer is gone.
    pub paths: Vec<PathBuf>,
    /// Venue of all files; otherwise each file's folder names it.
    pub venue: Option<String>,
    /// Pace; [`Speed::Max`] with a pipe, whose writer sets it.
    pub speed: Speed,
}

/// Captures, one file or pipe after the other; each is a session of its own, but the files of one tape are one session.
pub struct CaptureSource {
    parts: SourceParts,
    files: Vec<Session>,
    /// Until it runs.
    playback: Option<Playback>,
    progress: Arc<Progress>,
}

struct Session {
    path: PathBuf,
    venue: String,
    bytes: u64,
    is_pipe: bool,
}

/// Lines between two looks at the progress.
const LINES_PER_LOOK: u64 = 256;
/// How long a stop waits for the rest of a line that a pipe's writer is at. With two [`SLEEP_MAX`] it stays below the
/// 100 ms in which a source ends.
const REST_OF_LINE_MAX: Duration = Duration::from_millis(30);

impl CaptureSource {
    /// Finds the files and their venues.
    ///
    /// # Errors
    /// [`SourceError::Input`] when a path cannot be read, a folder holds no capture, a venue is unknown, or a pipe is to
    /// be read at a speed.
    pub fn new(parts: SourceParts, config: &CaptureConfig) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        for path in &config.paths {
            for file in expand(path).map_err(input)? {
                files.push(session(file, config.venue.as_deref())?);
            }
        }
        let progress = Arc::new(Progress::default());
        match files.iter().find(|file| file.is_pipe) {
            Some(pipe) if config.speed != Speed::Max => return Err(paced_pipe(&pipe.path)),
            Some(_) => {}
            None => progress.total.set(files.iter().map(|file| file.bytes).sum()),
        }
        let playback = Some(Playback::new(config.speed, Pause::new()));
        Ok(Self { parts, files, playback, progress })
    }

    /// The same, held to its pace by `playback`, which can be paused and knows how late frames are. A pipe is not held: its
    /// writer sets the pace.
    #[must_use]
    pub fn held_by(self, playback: Playback) -> Self {
        Self { playback: Some(playback), ..self }
    }

    /// To show how far it is.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Delivers one file. `Some` when the source shall end. Whatever ends it, what was decoded is published. `carried`: the
    /// tape that the file before belongs to, and then the one that this file belongs to.
    fn deliver(
        &self,
        file: &Session,
        before: u64,
        carried: &mut Option<Playing>,
        playback: &mut Playback,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, SourceError> {
        let mut playing = Playing::new(&self.parts, &file.venue, decoder(&file.venue)?, outlet);
        let open = if file.is_pipe { CaptureReader::open_pipe } else { CaptureReader::open };
        let mut reader = open(&file.path).map_err(input)?;
        let result = self.read(file, &mut reader, before, (&mut playing, carried), playback, outlet);
        let ended = if playing.is_tape() {
            let published = playing.intake.publish(outlet);
            *carried = Some(playing);
            published
        } else {
            playing.end(outlet)
        };
        result.map(|early| early.or(ended.err()))
    }

    fn read(
        &self,
        file: &Session,
        reader: &mut CaptureReader,
        before: u64,
        (playing, carried): (&mut Playing, &mut Option<Playing>),
        playback: &mut Playback,
        outlet: &mut Outlet,
    ) -> Result<Option<Ended>, SourceError> {
        let counters = outlet.counters().clone();
        // Each file is a recording of its own: the time between two files is not waited for.
        playback.restart();
        let path = reader.path().to_owned();
        let again = || Ok(self.parts.intake(&file.venue, decoder(&file.venue)?));
        // Of a pipe nothing is taken when a stop came before the first line.
        let mut waiting = file.is_pipe;
        for lines in 1u64.. {
            let look = lines.is_multiple_of(LINES_PER_LOOK) || waiting;
            if look {
                self.progress.bytes.set(before + reader.progress().0);
                outlet.beat();
            }
            // Also where no line gives an event: a stop must be seen.
            if (look || playing.intake.is_due(outlet))
                && let Some(ended) = publish(reader, &mut playing.intake, outlet)
            {
                return Ok(Some(ended));
            }
            if std::mem::take(&mut waiting) {
                reader.wait(SLEEP_MAX).map_err(input)?;
            }
            match reader.next_line() {
                Ok(None) => {
                    if reader.is_ended() {
                        break;
                    }
                    // What is gathered goes out before the writer is waited for.
                    waiting = true;
                }
                Ok(Some(line)) => {
                    let begun = playing.begin(&line, carried, again, outlet)?;
                    let recv_ts = line.recv_ns.map(UnixNanos);
                    playing.last_recv = recv_ts.or(playing.last_recv);
                    let publish = |outlet: &mut Outlet| playing.intake.publish(outlet);
                    if !file.is_pipe
                        && let Err(ended) = playback.hold(recv_ts, outlet, publish)
                    {
                        return Ok(Some(ended));
                    }
                    // What was taken from a pipe is delivered in any case.
                    if let Err(ended) = begun.and(playing.line(&line, &counters, outlet)?)
                        && !file.is_pipe
                    {
                        return Ok(Some(ended));
                    }
                }
                Err(CaptureError::Line { line, fault, raw, .. }) => {
                    let place = format!("{}:{line}", path.display());
                    playing.intake.bad_input(reject_of(fault), &place, &raw, &counters);
                }
                Err(error) => return Err(input(error)),
            }
        }
        Ok(None)
    }
}

impl Source for CaptureSource {
    fn name(&self) -> &str {
        &self.parts.name
    }

    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
        let mut before = 0;
        let (mut failed, mut carried) = (None, None);
        let mut playback = self.playback.take().unwrap_or_else(|| Playback::new(Speed::Max, Pause::new()));
        for (index, file) in self.files.iter().enumerate() {
            match self.deliver(file, before, &mut carried, &mut playback, outlet) {
                Ok(None) => {}
                Ok(Some(_)) => break,
                // One damaged file does not keep the others from being read.
                Err(error) => {
                    if index + 1 < self.files.len() {
                        tracing::error!(source = self.name(), "not read to its end, going on with the next: {error}");
                    }
                    failed = Some(error);
                }
            }
            before = (before + file.bytes).max(self.progress.bytes.get());
            self.progress.bytes.set(before);
        }
        // Ended anyway, whatever the outlet answers.
        let _ = carried.map(|tape: Playing| tape.end(outlet));
        failed.map_or(Ok(()), Err)
    }
}

/// Publishes what waits. `Some` when the source shall end at once.
fn publish(reader: &mut CaptureReader, intake: &mut Intake, outlet: &mut Outlet) -> Option<Ended> {
    match intake.publish(outlet) {
        // What was taken from a pipe is nowhere else any more: it is delivered first, then the reader ends.
        Err(Ended::Stopped) if reader.is_pipe() => {
            reader.end_after_line(REST_OF_LINE_MAX);
            None
        }
        published => published.err(),
    }
}

fn session(path: PathBuf, venue: Option<&str>) -> Result<Session, SourceError> {
    // Where it cannot be looked at, opening it will say so.
    let metadata = std::fs::metadata(&path).ok();
    let bytes = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    let is_pipe = metadata.is_some_and(|metadata| metadata.file_type().is_fifo());
    let venue = match venue.map(str::to_owned).or_else(|| venue_of(&path)) {
        Some(venue) if decoder_for(&venue).is_some() => venue,
        named => return Err(unknown_venue(&path, named)),
    };
    Ok(Session { path, venue, bytes, is_pipe })
}

fn decoder(venue: &str) -> Result<Box<dyn Decoder>, SourceError> {
    decoder_for(venue)
        .ok_or_else(|| SourceError::Recorder { what: format!("no decoder for venue {venue}"), source: None })
}

fn unknown_venue(path: &Path, named: Option<String>) -> SourceError {
    let named = named.unwrap_or_default();
    let known = names().collect::<Vec<_>>().join(", ");
    let what = format!(
        "{}: the folder's name {named:?} is no venue; give the venue (one of {known}) beside the path",
        path.display()
    );
    SourceError::Input { what, source: None }
}

fn paced_pipe(path: &Path) -> SourceError {
    let what = format!("{}: a named pipe is taken as its writer sends it; leave speed out, or \"max\"", path.display());
    SourceError::Input { what, source: None }
}

fn input(error: CaptureError) -> SourceError {
    SourceError::Input { what: error_text(&error), source: None }
}

/// The counter of a bad line.
fn reject_of(fault: LineFault) -> Reject {
    match fault {
        LineFault::NotJson => Reject::new(RejectReason::NotJson, "capture line"),
        LineFault::NotUtf8 => Reject::new(RejectReason::NotUtf8, "capture line"),
        LineFault::TooLarge => Reject::new(RejectReason::TooLarge, "capture line"),
        LineFault::MissingField(field) => Reject::new(RejectReason::MissingField, field),
        LineFault::BadField(field) => Reject::new(RejectReason::BadField, field),
        LineFault::Incomplete => Reject::new(RejectReason::NotJson, "incomplete capture line"),
    }
}
