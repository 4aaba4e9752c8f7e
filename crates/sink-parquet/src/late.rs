//! One event or derived record that comes late, out of quarantine: a file of its own, found again by its name.

use crate::config::ParquetConfig;
use crate::dataset::Dataset;
use crate::disk::Disk;
use crate::encode::Press;
use crate::error::{SINK, unavailable};
use crate::names::FileName;
use crate::part::{Part, PartKey};
use crate::positions::{Positions, check_footer};
use crate::rows::fits;
use crate::sink::{TOO_FINE, UNKNOWN_INSTRUMENT, day_of, row_of};
use crate::venues::Venues;
use feedd_core::{LONE_SLOT, SinkError};
use feedd_model::{Derived, Epoch, Event, MonoNanos, Seq, StreamId};

/// Stores the event, or the record whose slots `events` are, in a file whose name holds its sequences alone; false when that
/// file is there already.
///
/// # Errors
/// [`SinkError::Refused`] above the position, where the name would make the sink skip what comes before it, and for
/// what has no place in the columns; else as [`Part::publish`].
pub(crate) fn store(
    config: &ParquetConfig,
    disk: &dyn Disk,
    venues: &mut Venues,
    press: &mut Press,
    (stream, epoch, seq): (StreamId, Epoch, Seq),
    events: &[Event],
) -> Result<bool, SinkError> {
    let seqs = || (seq.0..seq.0 + events.len() as u64).map(Seq).collect();
    let refused = |reason: String| Err(SinkError::Refused { sink: SINK, seqs: seqs(), reason });
    let stored = Positions::peek(&config.dir, stream, epoch)?;
    if seq > stored {
        return refused(format!(
            "above the stored position {stored}: a start of the recorder stores what is before it"
        ));
    }
    let Some((event, dataset)) = events.first().and_then(|event| Some((event, Dataset::of(event.kind())?))) else {
        return refused(LONE_SLOT.to_owned());
    };
    if !venues.knows(event.instrument()) {
        return refused(UNKNOWN_INSTRUMENT.to_owned());
    }
    let record = if dataset.is_derived() {
        match Derived::from_events(events).map(|record| row_of(venues, &record)) {
            Ok(Ok(row)) => Some(row),
            Ok(Err(reason)) => return refused(reason.to_owned()),
            Err(error) => return refused(error.to_string()),
        }
    } else if !fits(event) {
        return refused(TOO_FINE.to_owned());
    } else {
        None
    };
    let (venue, symbol) = venues.place(event.instrument());
    let last = Seq(seq.0 + events.len() as u64 - 1);
    let venue_name = venues.name(venue).to_owned();
    let key = PartKey { dataset, venue, venue_name, day: day_of(event), stream, epoch };
    let folder = config.dir.join(key.folder());
    let path = folder.join(FileName { stream, epoch, first: seq, last }.to_string());
    if path.try_exists().map_err(|error| unavailable("looking for", &path, error))? {
        check_footer(&path)?;
        // A killed writer may have renamed without syncing the folder.
        disk.sync_dir(&folder).map_err(|error| unavailable("syncing folder", &folder, error))?;
        return Ok(false);
    }
    let mut part = Part::new(config, key, seq, MonoNanos(0))?;
    match &record {
        Some((row, keys)) => part.push_record(seq, *keys, row),
        None => part.push(seq, symbol, event),
    }
    part.close(&venues.texts(venue), press)?;
    part.drain(disk)?;
    part.publish(disk)?;
    Ok(true)
}
