//! One event that comes late, out of quarantine: a file of its own, found again by its name.

use crate::config::ParquetConfig;
use crate::dataset::Dataset;
use crate::disk::Disk;
use crate::encode::Press;
use crate::error::{SINK, unavailable};
use crate::names::FileName;
use crate::part::{Part, PartKey};
use crate::positions::{Positions, check_footer};
use crate::rows::fits;
use crate::sink::{TOO_FINE, UNKNOWN_INSTRUMENT, day_of};
use crate::venues::Venues;
use feedd_core::SinkError;
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};

/// Stores the event in a file whose name holds its sequence alone; false when that file is there already.
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
    event: &Event,
) -> Result<bool, SinkError> {
    let refused = |reason: String| Err(SinkError::Refused { sink: SINK, seqs: vec![seq], reason });
    let stored = Positions::peek(&config.dir, stream, epoch)?;
    if seq > stored {
        return refused(format!(
            "above the stored position {stored}: a start of the recorder stores what is before it"
        ));
    }
    if !venues.knows(event.instrument()) {
        return refused(UNKNOWN_INSTRUMENT.to_owned());
    }
    if !fits(event) {
        return refused(TOO_FINE.to_owned());
    }
    let (venue, symbol) = venues.place(event.instrument());
    let dataset = Dataset::of(event.kind());
    let venue_name = venues.name(venue).to_owned();
    let key = PartKey { dataset, venue, venue_name, day: day_of(event), stream, epoch };
    let folder = config.dir.join(key.folder());
    let path = folder.join(FileName { stream, epoch, first: seq, last: seq }.to_string());
    if path.try_exists().map_err(|error| unavailable("looking for", &path, error))? {
        check_footer(&path)?;
        // A killed writer may have renamed without syncing the folder.
        disk.sync_dir(&folder).map_err(|error| unavailable("syncing folder", &folder, error))?;
        return Ok(false);
    }
    let mut part = Part::new(config, key, seq, MonoNanos(0))?;
    part.push(seq, symbol, event);
    part.close(venues.symbols(venue), press)?;
    part.drain(disk)?;
    part.publish(disk)?;
    Ok(true)
}
