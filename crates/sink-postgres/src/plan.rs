//! What the rows of a batch need before they are stored, and which partition takes which. The rows stay in the batch.

use crate::config::Layout;
use crate::encode::fits;
use crate::encode_records;
use crate::error::SINK;
use crate::instruments::{InstrumentMap, NoRow};
use crate::partitions::{DAY_NANOS, Place};
use crate::schema::Table;
use feedd_core::{LONE_SLOT, Record, SinkError, records};
use feedd_model::{Event, Seq};
use std::ops::RangeInclusive;

/// Rows that go into one partition.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) place: Place,
    /// Its first row.
    first: Seq,
    /// Receive times of the day, in ns; compared instead of dividing for each event. `None`: unknown times.
    times: Option<RangeInclusive<i64>>,
}

impl Group {
    fn new(place: Place, first: Seq) -> Self {
        let starts = |day: i64| day.checked_mul(DAY_NANOS);
        let times = place.day.map(|day| {
            // The first and the last day that a time can name are not whole.
            starts(day).unwrap_or(i64::MIN)..=starts(day + 1).map_or(i64::MAX, |next| next - 1)
        });
        Self { place, first, times }
    }

    /// Whether an event's row goes here.
    #[inline]
    pub(crate) fn holds(&self, event: &Event) -> bool {
        Table::of(event.kind()) == self.place.table
            && match (event.recv_ts(), &self.times) {
                (Some(time), Some(times)) => times.contains(&time.0),
                (time, times) => time.is_none() && times.is_none(),
            }
    }

    /// Whether one of its rows is at or below `until`.
    pub(crate) fn begins_by(&self, until: Seq) -> bool {
        self.first <= until
    }

    /// Its rows among those of the batch, by sequence; of a derived record the first slot.
    pub(crate) fn rows<'a>(
        &self,
        events: impl Iterator<Item = (Seq, &'a Event)>,
    ) -> impl Iterator<Item = (Seq, &'a Event)> {
        events.filter(|(_, event)| self.holds(event))
    }
}

/// What became of looking at a batch.
pub(crate) enum Planned {
    Ready,
    /// Instrument rows have to be made first.
    NeedsRows,
}

/// The groups of one batch.
#[derive(Default)]
pub(crate) struct Plan {
    groups: Vec<Group>,
    /// The group of the event that was looked at last.
    last: usize,
    /// Slots of derived records that were passed over.
    slots: u64,
}

impl Plan {
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.groups.iter().map(|group| group.place)
    }

    /// Groups that have a row at or below `until`, by their first rows.
    pub(crate) fn begun_by(&self, until: Seq) -> Vec<usize> {
        (0..self.groups.len()).filter(|&at| self.groups[at].begins_by(until)).collect()
    }

    /// Plans for the first event of a batch alone: the others are looked at by [`Plan::add`] while they are written. False
    /// when that event needs something before, or is a slot of a derived record.
    pub(crate) fn begin(&mut self, first: Option<(Seq, &Event)>, layout: Layout, map: &mut InstrumentMap) -> bool {
        self.clear();
        first.is_some_and(|(seq, event)| matches!(self.add(seq, event, layout, map), Ok(Some(_))))
    }

    fn clear(&mut self) {
        self.groups.clear();
        (self.last, self.slots) = (0, 0);
    }

    /// The group of one event more; `None` for a slot of a derived record.
    ///
    /// # Errors
    /// Why it cannot be stored as it is; `None` when its instrument row has to be made.
    #[inline]
    pub(crate) fn add(
        &mut self,
        seq: Seq,
        event: &Event,
        layout: Layout,
        map: &mut InstrumentMap,
    ) -> Result<Option<usize>, Option<&'static str>> {
        if event.kind().is_slot() {
            self.slots += 1;
            return Ok(None);
        }
        obstacle(seq, event, layout, map)?;
        if !self.groups.get(self.last).is_some_and(|group| group.holds(event)) {
            self.last = self.group_of(seq, event);
        }
        Ok(Some(self.last))
    }

    /// Looks at the derived records of a batch whose other events have been added, and at slots that are in none.
    ///
    /// # Errors
    /// As [`Plan::build`].
    pub(crate) fn add_records<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        events: &impl Fn() -> I,
        layout: Layout,
        map: &mut InstrumentMap,
    ) -> Result<Planned, SinkError> {
        if self.slots == 0 {
            return Ok(Planned::Ready);
        }
        let mut planned = Planned::Ready;
        let mut refused: Option<(&'static str, Vec<Seq>)> = None;
        for found in records(events()) {
            let (why, seqs) = match found {
                Ok(record) => match record_obstacle(&record, layout, map) {
                    Ok(()) => {
                        self.group_of(record.first, record.head);
                        continue;
                    }
                    Err(None) => {
                        planned = Planned::NeedsRows;
                        continue;
                    }
                    Err(Some(why)) => (why, record.seqs().collect()),
                },
                Err(seq) => (LONE_SLOT, vec![seq]),
            };
            let (first, all) = refused.get_or_insert((why, Vec::new()));
            if *first == why {
                all.extend(seqs);
            }
        }
        match refused {
            None => Ok(planned),
            Some((reason, seqs)) => Err(SinkError::Refused { sink: SINK, seqs, reason: reason.to_owned() }),
        }
    }

    /// Looks at every event of a batch; those that cannot be stored are named before anything is written.
    ///
    /// Nothing is copied, because the server waits meanwhile: everything else happens while it works.
    ///
    /// # Errors
    /// [`SinkError::Refused`] with every event of one reason.
    pub(crate) fn build<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        events: &impl Fn() -> I,
        layout: Layout,
        map: &mut InstrumentMap,
    ) -> Result<Planned, SinkError> {
        self.clear();
        let mut planned = Planned::Ready;
        let (mut refused, mut reason): (Vec<Seq>, Option<&'static str>) = (Vec::new(), None);
        // From within: the blocks of a batch are run through one by one, not asked for the next event.
        events().for_each(|(seq, event)| match self.add(seq, event, layout, map) {
            Ok(_) => {}
            Err(None) => planned = Planned::NeedsRows,
            Err(Some(why)) => {
                if *reason.get_or_insert(why) == why {
                    refused.push(seq);
                }
            }
        });
        match reason {
            None => match self.add_records(events, layout, map)? {
                Planned::Ready => Ok(planned),
                Planned::NeedsRows => Ok(Planned::NeedsRows),
            },
            Some(reason) => Err(SinkError::Refused { sink: SINK, seqs: refused, reason: reason.to_owned() }),
        }
    }

    fn group_of(&mut self, seq: Seq, event: &Event) -> usize {
        self.groups.iter().position(|group| group.holds(event)).unwrap_or_else(|| {
            let day = event.recv_ts().map(|time| time.unix_day());
            self.groups.push(Group::new(Place { table: Table::of(event.kind()), day }, seq));
            self.groups.len() - 1
        })
    }
}

/// Why an event cannot be stored as it is; `None` when its instrument row has to be made.
#[inline]
fn obstacle(seq: Seq, event: &Event, layout: Layout, map: &mut InstrumentMap) -> Result<(), Option<&'static str>> {
    if i64::try_from(seq.0).is_err() {
        return Err(Some("sequence beyond 63 bits"));
    }
    if !fits(event) {
        return Err(Some("a count or level index beyond 31 bits"));
    }
    match layout {
        Layout::Compact => map.find_row(event).map_err(|no_row| no_row.map(NoRow::reason)),
        Layout::Readable => map.names(event.instrument()).map_err(|no_row| Some(no_row.reason())),
    }
}

/// As [`obstacle`].
fn record_obstacle(record: &Record<'_>, layout: Layout, map: &mut InstrumentMap) -> Result<(), Option<&'static str>> {
    let unfit = encode_records::obstacle(&record.record);
    unfit.map_or(Ok(()), |why| Err(Some(why)))?;
    if let Some(id) = encode_records::strategy(&record.record) {
        map.strategy(id).map_err(|no_row| Some(no_row.reason()))?;
    }
    obstacle(record.first, record.head, layout, map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::{EventBody, EventHead, EventKind, Flags, InstrumentId, Status, StatusCode, UnixNanos};
    use proptest::prelude::*;

    fn status(recv_ts: Option<i64>) -> Event {
        let recv_ts = recv_ts.map(UnixNanos);
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts, flags: Flags::NONE };
        Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }))
    }

    proptest! {
        #[test]
        fn a_group_holds_the_times_of_its_day(time in i64::MIN + 1..=i64::MAX, off in -2 * DAY_NANOS..2 * DAY_NANOS) {
            let other = time.saturating_add(off).max(i64::MIN + 1);
            let day = UnixNanos(time).unix_day();
            let group = Group::new(Place { table: Table::of(EventKind::Status), day: Some(day) }, Seq(1));
            prop_assert!(group.holds(&status(Some(time))));
            prop_assert_eq!(group.holds(&status(Some(other))), UnixNanos(other).unix_day() == day);
            prop_assert!(!group.holds(&status(None)));
        }
    }

    #[test]
    fn a_group_of_unknown_times_holds_no_other() {
        let group = Group::new(Place { table: Table::of(EventKind::Status), day: None }, Seq(1));
        assert!(group.holds(&status(None)));
        assert!(!group.holds(&status(Some(0))));
    }
}
