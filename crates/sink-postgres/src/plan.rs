//! The rows of a batch, grouped by the partition that takes them. Memory is used again from batch to batch.

use crate::config::Layout;
use crate::encode::{Whose, fits};
use crate::error::SINK;
use crate::instruments::{InstrumentMap, Row};
use crate::partitions::Place;
use crate::schema::Table;
use feedd_core::SinkError;
use feedd_model::{Event, Seq};

/// One row to store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedRow {
    pub(crate) seq: Seq,
    /// Compact layout: its instrument row.
    row: Option<Row>,
    pub(crate) event: Event,
}

impl PlannedRow {
    /// What the row carries for its instrument.
    pub(crate) fn whose<'a>(&self, layout: Layout, map: &'a InstrumentMap) -> Whose<'a> {
        match layout {
            Layout::Compact => Whose::Row(self.row.map(|row| (row.id, row.scales))),
            Layout::Readable => Whose::Names(map.known_names(self.event.instrument())),
        }
    }
}

/// Rows of one partition, by sequence.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) place: Place,
    pub(crate) rows: Vec<PlannedRow>,
}

/// What became of planning.
pub(crate) enum Planned {
    Ready,
    /// Instrument rows have to be made first.
    NeedsRows,
}

/// The rows of one batch.
#[derive(Default)]
pub(crate) struct Plan {
    groups: Vec<Group>,
    spare: Vec<Vec<PlannedRow>>,
}

impl Plan {
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.groups.iter().map(|group| group.place)
    }

    /// The sequences of all rows, or those of one group, in order.
    pub(crate) fn seqs(&self, group: Option<usize>) -> Vec<Seq> {
        let groups = group.map_or(&self.groups[..], |at| &self.groups[at..=at]);
        let mut seqs: Vec<Seq> = groups.iter().flat_map(|group| &group.rows).map(|row| row.seq).collect();
        seqs.sort_unstable();
        seqs
    }

    /// Groups the events; those that cannot be stored are named before anything is written.
    ///
    /// # Errors
    /// [`SinkError::Refused`] with every event of one reason.
    pub(crate) fn build<'a>(
        &mut self,
        events: impl Iterator<Item = (Seq, &'a Event)>,
        layout: Layout,
        map: &mut InstrumentMap,
    ) -> Result<Planned, SinkError> {
        self.spare.extend(self.groups.drain(..).map(|mut group| {
            group.rows.clear();
            group.rows
        }));
        let mut planned = Planned::Ready;
        let (mut refused, mut reason): (Vec<Seq>, Option<&'static str>) = (Vec::new(), None);
        let mut last = usize::MAX;
        for (seq, event) in events {
            let row = match place_of(seq, event, layout, map) {
                Ok(row) => row,
                Err(None) => {
                    planned = Planned::NeedsRows;
                    continue;
                }
                Err(Some(why)) => {
                    if *reason.get_or_insert(why) == why {
                        refused.push(seq);
                    }
                    continue;
                }
            };
            let day = event.recv_ts().map(|time| time.unix_day());
            let place = Place { table: Table::of(event.kind()), day };
            if self.groups.get(last).is_none_or(|group| group.place != place) {
                last = self.group_of(place);
            }
            self.groups[last].rows.push(PlannedRow { seq, row, event: *event });
        }
        match reason {
            None => Ok(planned),
            Some(reason) => Err(SinkError::Refused { sink: SINK, seqs: refused, reason: reason.to_owned() }),
        }
    }

    fn group_of(&mut self, place: Place) -> usize {
        self.groups.iter().position(|group| group.place == place).unwrap_or_else(|| {
            self.groups.push(Group { place, rows: self.spare.pop().unwrap_or_default() });
            self.groups.len() - 1
        })
    }
}

/// The instrument row of an event.
///
/// # Errors
/// The reason why it cannot be stored; `None` when its instrument row has to be made.
fn place_of(
    seq: Seq,
    event: &Event,
    layout: Layout,
    map: &mut InstrumentMap,
) -> Result<Option<Row>, Option<&'static str>> {
    if i64::try_from(seq.0).is_err() {
        return Err(Some("sequence beyond 63 bits"));
    }
    if !fits(event) {
        return Err(Some("a count or level index beyond 31 bits"));
    }
    match layout {
        Layout::Compact => map.row(event).map_err(|no_row| no_row.map(crate::instruments::NoRow::reason)),
        Layout::Readable => map.names(event.instrument()).map(|()| None).map_err(|no_row| Some(no_row.reason())),
    }
}
