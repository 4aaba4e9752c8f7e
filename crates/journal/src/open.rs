//! A start: recover the folder, then begin a segment of its own.

use crate::config::{JournalConfig, Start, Sync};
use crate::disk::Disk;
use crate::error::{JournalError, io_error};
use crate::folder::Folder;
use crate::format::{Control, Kind};
use crate::quarantine;
use crate::recovered::Recovered;
use crate::scan::Scanned;
use crate::survey::{Survey, survey};
use crate::tail::Mark;
use crate::writer::{Journal, sync_segment};
use feedd_core::Instruments;
use feedd_model::{Position, Seq};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn open(
    disk: Arc<dyn Disk>,
    config: &JournalConfig,
    start: Start,
    instruments: Instruments,
) -> Result<(Journal, Recovered), JournalError> {
    config.check()?;
    let dir = &config.dir;
    disk.create_dir(dir).map_err(io_error(dir, "making"))?;
    let lock = disk.lock(dir)?;
    let found = survey(&*disk, dir, Some(start.stream))?;
    check_epoch(&found, start)?;
    report(dir, &found.recovered);
    quarantine::keep(&*disk, dir, &found.recovered.damage);
    if let Some(newest) = found.segments.iter().rfind(|segment| !segment.is_blank()).filter(|_| config.sync != Sync::Os)
    {
        sync_segment(&*disk, &newest.path)?;
    }
    let Survey { segments, marks, spares, recovered, last, next_number } = found;
    let mut folder = Folder::new(disk, dir, config.segment_bytes, config.bytes_max, next_number);
    folder.bytes_used = recovered.bytes;
    folder.adopt_spares(spares)?;
    let mut journal = Journal::new(folder, config.sync, start, instruments);
    journal._lock = lock;
    journal.before = last;
    journal.complete_until = recovered.complete_until;
    let control = Control { clean: recovered.clean, ..journal.control(last) };
    journal.pending.push_control(Kind::EpochStart, Seq(0), start.at, control);
    let empty = keep_marks(&journal, &segments, marks);
    if let Err(error) = journal.commit() {
        // A segment without events can make room for the new one; all it knows is in memory here.
        if !error.is_full() || !release(&mut journal, &empty)? {
            return Err(error);
        }
        journal.commit()?;
    } else {
        release(&mut journal, &empty)?;
    }
    Ok((journal, recovered))
}

/// Identities must never be given twice, whatever became of the state file.
fn check_epoch(found: &Survey, start: Start) -> Result<(), JournalError> {
    for segment in &found.segments {
        if let Some((_, epoch)) = segment.identity
            && epoch >= start.epoch
        {
            return Err(JournalError::EpochUsed { path: segment.path.clone(), found: epoch, epoch: start.epoch });
        }
    }
    Ok(())
}

/// Hands the segments that hold something to the readers; returns the others.
fn keep_marks(journal: &Journal, segments: &[Scanned], marks: Vec<Mark>) -> Vec<Mark> {
    let (empty, kept): (Vec<_>, Vec<_>) =
        segments.iter().zip(marks).partition(|(segment, mark)| segment.is_empty() && !mark.has_events());
    let kept = kept.into_iter().zip(0..).map(|((_, mark), id)| Mark { id, ..mark });
    let mut state = journal.tail.state();
    state.marks = kept.collect();
    state.durable = Position { epoch: journal.start.epoch, seq: Seq(0) };
    empty.into_iter().map(|(_, mark)| mark).collect()
}

/// Makes spares of segments without events; tells whether there were any.
fn release(journal: &mut Journal, empty: &[Mark]) -> Result<bool, JournalError> {
    for mark in empty {
        journal.folder.release(&mark.path, mark.bytes)?;
    }
    Ok(!empty.is_empty())
}

fn report(dir: &Path, recovered: &Recovered) {
    for damage in &recovered.damage {
        let file = damage.file.display();
        match damage.lost {
            Some((first, last)) => {
                tracing::error!(%file, damage.offset, damage.bytes, %first, %last, "journal: damaged, events are lost");
            }
            None => {
                tracing::error!(%file, damage.offset, damage.bytes, "journal: damaged, no event is known to be lost")
            }
        }
    }
    for path in &recovered.foreign {
        tracing::error!(path = %path.display(), "journal: a segment of another stream is neither read nor changed; move it away");
    }
    if recovered.torn_bytes > 0 {
        let bytes = recovered.torn_bytes;
        tracing::warn!(dir = %dir.display(), bytes, "journal: an unfinished commit at the end was cut; it was never durable");
    }
}
