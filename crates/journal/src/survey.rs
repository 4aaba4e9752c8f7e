//! What a whole folder holds: segments in order, what is lost between them, what a new start has to know. Changes nothing.

use crate::disk::Disk;
use crate::error::{JournalError, io_error};
use crate::progress::{Hole, Progress};
use crate::recovered::{Damage, EpochSpan, Recovered};
use crate::scan::{Finish, Scanned, number_segment, read_head, scan_segment};
use crate::segment::{NAME_MAX, Region, is_spare, segment_number, segment_path};
use crate::tail::Mark;
use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use std::path::{Path, PathBuf};

/// A folder, read.
#[derive(Debug)]
pub(crate) struct Survey {
    /// In the order of reading.
    pub(crate) segments: Vec<Scanned>,
    /// For each segment, what readers have to know.
    pub(crate) marks: Vec<Mark>,
    /// Files that wait for their use.
    pub(crate) spares: Vec<PathBuf>,
    pub(crate) recovered: Recovered,
    /// Last event known, present or lost.
    pub(crate) last: Position,
    /// Above every segment number and name.
    pub(crate) next_number: u64,
}

/// Reads a folder. With `stream`, segments of other streams are set apart; without, all are read.
///
/// # Errors
/// [`JournalError::Newer`] before anything else is looked at; [`JournalError::Io`] when a file cannot be opened.
pub(crate) fn survey(disk: &dyn Disk, dir: &Path, stream: Option<StreamId>) -> Result<Survey, JournalError> {
    let files = disk.list(dir).map_err(io_error(dir, "listing"))?;
    let (paths, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| segment_number(path).is_some());
    for path in &paths {
        present(read_head(disk, path))?;
    }
    let mut numbered = Vec::with_capacity(paths.len());
    for path in &paths {
        numbered.extend(present(number_segment(disk, path))?.map(|number| (number, path.clone())));
    }
    numbered.sort();
    let mut segments: Vec<Scanned> = Vec::with_capacity(numbered.len());
    // From the newest: where a segment ends that was given up is told by the next.
    let mut following = None;
    for (number, path) in numbered.iter().rev() {
        let Some(segment) = present(scan_segment(disk, path, *number, following))? else { continue };
        if let (Some((found, _)), Some(before)) = (segment.identity, segment.before())
            && stream.is_none_or(|stream| stream == found)
        {
            following = Some((found, before));
        }
        segments.push(segment);
    }
    segments.reverse();
    let confirmed = segments.iter().filter(|segment| segment.identity.is_some()).map(|segment| segment.number);
    let names = paths.iter().filter_map(|path| segment_number(path)).filter(|&number| number <= NAME_MAX);
    let next_number = confirmed.chain(names).max().map_or(1, |number| number + 1);
    let is_foreign =
        |segment: &mut Scanned| stream.is_some_and(|stream| segment.identity.is_some_and(|(found, _)| found != stream));
    let foreign = segments.extract_if(.., is_foreign).map(|segment| segment.path).collect();
    let spares = others.into_iter().filter(|path| is_spare(path)).collect();
    let walk = Walk::over(dir, &segments);
    let recovered = Recovered { foreign, ..walk.recovered };
    Ok(Survey {
        marks: walk.marks,
        last: walk.progress.0.unwrap_or_default(),
        segments,
        spares,
        recovered,
        next_number,
    })
}

/// A file that vanished between listing and opening was trimmed by a running writer: it is no longer there.
fn present<T>(result: Result<T, JournalError>) -> Result<Option<T>, JournalError> {
    match result {
        Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The way over all segments.
#[derive(Default)]
struct Walk {
    progress: Progress,
    recovered: Recovered,
    marks: Vec<Mark>,
    identity: Option<(StreamId, Epoch)>,
    started_at: Option<UnixNanos>,
}

impl Walk {
    fn over(dir: &Path, segments: &[Scanned]) -> Self {
        let mut walk = Self::default();
        let newest = segments.iter().rposition(|segment| !segment.is_blank());
        if let Some(first) = segments.first().filter(|first| first.is_blank() && newest.is_some()) {
            // It held something once: only the newest segment can be empty of frames otherwise.
            let file = first.path.clone();
            walk.recovered.damage.push(Damage { segment: first.number, file, offset: 0, bytes: 0, lost: None });
        }
        for (i, segment) in segments.iter().enumerate() {
            // What a segment of nothing but damage was is told by its neighbours.
            let following = segments[i + 1..].iter().find_map(|next| Some((next.identity?.0, next.before()?.epoch)));
            let identity = segment.identity.or(walk.identity).or(following);
            let previous = i.checked_sub(1).map(|i| &segments[i]);
            walk.segment(dir, segment, previous, identity, newest == Some(i));
        }
        walk.recovered.clean = newest.is_none_or(|i| matches!(segments[i].finish, Finish::Stopped(_)));
        walk.recovered.segments = segments.len() as u64;
        walk.recovered.bytes = segments.iter().map(|segment| segment.bytes).sum();
        walk
    }

    fn segment(
        &mut self,
        dir: &Path,
        segment: &Scanned,
        previous: Option<&Scanned>,
        identity: Option<(StreamId, Epoch)>,
        newest: bool,
    ) {
        let (stream, epoch) = identity.unwrap_or_default();
        let before = segment.before().or(self.progress.0);
        if let Some(hole) = before.and_then(|before| self.progress.pass(before)) {
            self.lost_before(dir, segment, previous, hole);
        }
        let head = segment.head.or(segment.start);
        if let Some(at) = head.and_then(|control| control.complete_until) {
            (self.recovered.last_event_at, self.recovered.complete_until) = (Some(at), Some(at));
        }
        if self.identity != identity || self.started_at.is_none() {
            self.started_at = head.map(|control| control.started_at);
        }
        self.identity = identity;
        let events = self.runs(segment, epoch);
        self.recovered.last_event_at = segment.last_event_at.or(self.recovered.last_event_at);
        let is_cut = newest && !matches!(segment.finish, Finish::Stopped(_));
        let until = if is_cut { segment.whole_until } else { segment.complete_until };
        self.recovered.complete_until = until.or(self.recovered.complete_until);
        if let Some(torn) = segment.torn.filter(|_| newest) {
            self.recovered.torn_bytes += torn.bytes;
        }
        let stopped_at = match segment.finish {
            Finish::Stopped(at) => Some(at),
            _ => None,
        };
        if identity.is_some() {
            self.span(stream, epoch, segment, stopped_at);
        }
        let at = self.progress.0.unwrap_or_default();
        let events_before = self.marks.last().map_or(0, |mark| mark.events_before + mark.events);
        self.recovered.events += events;
        self.marks.push(Mark {
            id: self.marks.len() as u64,
            number: segment.number,
            path: segment.path.clone(),
            bytes: segment.bytes,
            stream,
            epoch,
            started_at: self.started_at.unwrap_or(UnixNanos(0)),
            before: before.unwrap_or(Position { epoch, seq: Seq(0) }),
            last: if at.epoch == epoch { at.seq } else { Seq(0) },
            events,
            events_before,
            end: segment.end,
            closed: true,
            stopped_at,
        });
    }

    /// Goes over the runs of a segment; tells how many of their events were new.
    fn runs(&mut self, segment: &Scanned, epoch: Epoch) -> u64 {
        let number = segment.number;
        let from = self.recovered.damage.len();
        let damage = segment.damage.iter().map(|damaged| Damage {
            segment: number,
            file: segment.path.clone(),
            offset: damaged.region.offset,
            bytes: damaged.region.bytes,
            lost: None,
        });
        self.recovered.damage.extend(damage);
        let mut events = 0;
        for (i, run) in segment.runs.iter().enumerate() {
            let (hole, known) = self.progress.run(epoch, run.first, run.last);
            events += run.last.0 + 1 - run.first.0 - known;
            self.attribute(segment, from, i, hole);
        }
        if segment.finish != Finish::Open {
            let hole = self.progress.pass(Position { epoch, seq: segment.finish_last });
            self.attribute(segment, from, segment.runs.len(), hole);
        }
        events
    }

    /// Gives a hole to the damaged bytes before run `i` of the segment.
    fn attribute(&mut self, segment: &Scanned, from: usize, i: usize, hole: Option<Hole>) {
        let Some(hole) = hole else { return };
        let cause = segment.damage.iter().position(|damaged| damaged.runs_before == i);
        match cause {
            Some(cause) => self.recovered.damage[from + cause].lost = Some(hole.ends()),
            None => self.recovered.damage.push(Damage {
                segment: segment.number,
                file: segment.path.clone(),
                offset: segment.end,
                bytes: 0,
                lost: Some(hole.ends()),
            }),
        }
    }

    /// Events are missing between the segment before and this one: its end is damaged, or files are gone.
    fn lost_before(&mut self, dir: &Path, segment: &Scanned, previous: Option<&Scanned>, hole: Hole) {
        let lost = Some(hole.ends());
        let (_, last) = hole.ends();
        if let Some(mark) = self.marks.last_mut().filter(|mark| mark.epoch == last.epoch) {
            mark.last = mark.last.max(last.seq);
        }
        let adjacent = previous.filter(|previous| previous.number.saturating_add(1) >= segment.number);
        let Some(previous) = adjacent else {
            let number = segment.number.saturating_sub(1);
            let file = segment_path(dir, number);
            self.recovered.damage.push(Damage { segment: number, file, offset: 0, bytes: 0, lost });
            return;
        };
        let known = self.recovered.damage.iter_mut().rev().find(|d| d.file == previous.path && d.lost.is_none());
        if let (Some(damage), None) = (known, previous.torn) {
            damage.lost = lost;
            return;
        }
        let Region { offset, bytes } = previous.torn.unwrap_or(Region { offset: previous.end, bytes: 0 });
        let file = previous.path.clone();
        self.recovered.damage.push(Damage { segment: previous.number, file, offset, bytes, lost });
    }

    fn span(&mut self, stream: StreamId, epoch: Epoch, segment: &Scanned, ended: Option<UnixNanos>) {
        let same = |span: &&mut EpochSpan| span.stream == stream && span.epoch == epoch;
        let first = segment.runs.first().map(|run| run.first);
        let last = segment.last_present();
        match self.recovered.epochs.last_mut().filter(same) {
            Some(span) => {
                if span.last < span.first {
                    span.first = first.unwrap_or(span.first);
                }
                span.last = span.last.max(last.unwrap_or_default());
                span.ended = ended.or(span.ended);
            }
            None => {
                let first = first.unwrap_or(Seq(1));
                let last = last.unwrap_or(Seq(first.0 - 1));
                self.recovered.epochs.push(EpochSpan { stream, epoch, first, last, ended });
            }
        }
    }
}
