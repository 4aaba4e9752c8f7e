//! The sink: which row goes to which file, when files close, and up to where everything is stored.
//!
//! One [`Part`] is open for each partition with unstored rows, so `stored_seq` is one below the lowest first row of the
//! open parts. A row is skipped when it is at or below what was taken before, or below the position of its partition.

use crate::audit;
use crate::config::ParquetConfig;
use crate::dataset::Dataset;
use crate::derived::{Keys, Row, TOO_WIDE};
use crate::disk::{Disk, SystemDisk, make_dirs};
use crate::encode::Press;
use crate::error::{SINK, fatal, unknown};
use crate::late;
use crate::part::{Part, PartKey};
use crate::positions::Positions;
use crate::rows::fits;
use crate::venues::{VenueIndex, Venues};
use feedd_core::{Batch, BatchId, EpochAudit, Instruments, LONE_SLOT, Sink, SinkError, records};
use feedd_model::{Derived, Epoch, Event, MonoNanos, Seq, StreamId};

/// Stores events as Parquet files: see the crate's documentation.
pub struct ParquetSink {
    config: ParquetConfig,
    disk: Box<dyn Disk>,
    venues: Venues,
    press: Press,
    stream: Option<Recovered>,
    parts: Vec<Part>,
    /// By venue and dataset: the partition written last.
    routes: Vec<[Route; Dataset::ALL.len()]>,
    /// Highest sequence taken: stored or in a part.
    taken: Seq,
    stored: Seq,
    /// Positions have risen since the checkpoint was saved.
    checkpoint_due: bool,
    /// A part was given up: nothing is taken until [`Sink::recover`] has been called.
    lost: bool,
}

/// The stream and epoch that [`Sink::recover`] named last.
struct Recovered {
    stream: StreamId,
    epoch: Epoch,
    positions: Positions,
}

/// Where rows of one venue and dataset went last: most rows follow a row of the same day.
#[derive(Clone, Copy)]
struct Route {
    day: i64,
    /// Rows up to here are stored in this partition.
    skip_until: Seq,
    part: Option<usize>,
}

impl Route {
    /// Matches no day.
    const NOWHERE: Self = Self { day: i64::MIN, skip_until: Seq(0), part: None };
}

/// Why an event has no place in the columns.
pub(crate) const UNKNOWN_INSTRUMENT: &str = "instrument is not in the dictionary";
pub(crate) const UNKNOWN_STRATEGY: &str = "strategy is not in the dictionary";
pub(crate) const TOO_FINE: &str = "price or size has digits below 10^-18";

impl ParquetSink {
    /// Opens the sink on its folder, which is made when missing. Nothing is read before [`Sink::recover`].
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when the folder cannot be made; [`SinkError::Fatal`] when a setting is out of range.
    pub fn open(config: ParquetConfig, instruments: Instruments) -> Result<Self, SinkError> {
        Self::open_on(Box::new(SystemDisk), config, instruments)
    }

    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        config: ParquetConfig,
        instruments: Instruments,
    ) -> Result<Self, SinkError> {
        if config.row_group_rows_max == 0 || config.open_files_max == 0 || config.file_bytes_max == 0 {
            return Err(fatal("file size, rows of a row group and open files must be above 0".to_owned(), None));
        }
        let press = Press::new(config.compression_level)
            .map_err(|e| fatal(format!("compression level {}: {e}", config.compression_level), None))?;
        make_dirs(disk.as_ref(), &config.dir)?;
        Ok(Self {
            config,
            disk,
            venues: Venues::new(instruments),
            press,
            stream: None,
            parts: Vec::new(),
            routes: Vec::new(),
            taken: Seq(0),
            stored: Seq(0),
            checkpoint_due: false,
            lost: false,
        })
    }

    fn is_current(&self, stream: StreamId, epoch: Epoch) -> bool {
        self.stream.as_ref().is_some_and(|at| (at.stream, at.epoch) == (stream, epoch))
    }

    /// Names the events that have no place in the columns, before anything of the batch is taken.
    fn check(&mut self, batch: &Batch, id: BatchId) -> Result<(), SinkError> {
        let refused = |seqs, reason: &str| Err(SinkError::Refused { sink: SINK, seqs, reason: reason.to_owned() });
        if i64::try_from(id.last.0).is_err() {
            return refused(vec![id.first, id.last], "sequence beyond 63 bits");
        }
        let (mut unknown, mut too_fine, mut slots) = (Vec::new(), Vec::new(), 0);
        for (seq, event) in batch.events().filter(|(seq, _)| *seq > self.taken) {
            if event.kind().is_slot() {
                slots += 1;
            } else if !self.venues.knows(event.instrument()) {
                unknown.push(seq);
            } else if !fits(event) {
                too_fine.push(seq);
            }
        }
        match (unknown.is_empty(), too_fine.is_empty()) {
            (true, true) if slots > 0 => self.check_records(batch),
            (true, true) => Ok(()),
            (false, _) => refused(unknown, UNKNOWN_INSTRUMENT),
            (true, false) => refused(too_fine, TOO_FINE),
        }
    }

    /// The same for derived records, and for slots that are in none.
    fn check_records(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut refused: Option<(&str, Vec<Seq>)> = None;
        let taken = self.taken;
        for found in records(batch.events().filter(|(seq, _)| *seq > taken)) {
            let (why, seqs) = match found {
                Ok(record) => match row_of(&mut self.venues, &record.record) {
                    Ok(_) => continue,
                    Err(why) => (why, record.seqs().collect()),
                },
                Err(seq) => (LONE_SLOT, vec![seq]),
            };
            // Of one reason at a time: the rest is offered again.
            let (first, all) = refused.get_or_insert((why, Vec::new()));
            if *first == why {
                all.extend(seqs);
            }
        }
        match refused {
            None => Ok(()),
            Some((reason, seqs)) => Err(SinkError::Refused { sink: SINK, seqs, reason: reason.to_owned() }),
        }
    }

    /// Puts the rows of a checked batch into their parts.
    fn append(&mut self, batch: &Batch, id: BatchId, now: MonoNanos) -> Result<(), SinkError> {
        let mut slots = 0;
        for (first, events) in batch.slices() {
            let known = usize::try_from((self.taken.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
            for (i, event) in events.iter().enumerate().skip(known) {
                let seq = Seq(first.0 + i as u64);
                if event.kind().is_slot() {
                    slots += 1;
                    continue;
                }
                let (venue, symbol) = self.venues.place(event.instrument());
                let Some(at) = self.part_for(venue, event, seq, id, now)? else { continue };
                let part = &mut self.parts[at];
                part.push(seq, symbol, event);
                if part.wants_encoding() {
                    part.encode(&self.venues.texts(venue), &mut self.press)?;
                }
            }
        }
        if slots > 0 {
            self.append_records(batch, id, now)?;
        }
        self.taken = self.taken.max(id.last);
        Ok(())
    }

    fn append_records(&mut self, batch: &Batch, id: BatchId, now: MonoNanos) -> Result<(), SinkError> {
        let taken = self.taken;
        for record in records(batch.events().filter(|(seq, _)| *seq > taken)).flatten() {
            let Ok((row, keys)) = row_of(&mut self.venues, &record.record) else { continue };
            let (venue, _) = self.venues.place(record.head.instrument());
            let Some(at) = self.part_for(venue, record.head, record.first, id, now)? else { continue };
            let part = &mut self.parts[at];
            part.push_record(record.first, keys, &row);
            if part.wants_encoding() {
                part.encode(&self.venues.texts(venue), &mut self.press)?;
            }
        }
        Ok(())
    }

    /// The place of the part of a row's partition, opened when it is the first; `None` when the row is stored already.
    fn part_for(
        &mut self,
        venue: VenueIndex,
        event: &Event,
        seq: Seq,
        id: BatchId,
        now: MonoNanos,
    ) -> Result<Option<usize>, SinkError> {
        let Some(dataset) = Dataset::of(event.kind()) else { return Ok(None) };
        let day = day_of(event);
        let (row, column) = (usize::from(venue.0), event.kind() as usize - 1);
        if row >= self.routes.len() {
            self.routes.resize(row + 1, [Route::NOWHERE; Dataset::ALL.len()]);
        }
        let mut route = self.routes[row][column];
        if route.day != day {
            route = self.route(venue, dataset, day);
        }
        if seq <= route.skip_until {
            self.routes[row][column] = route;
            return Ok(None);
        }
        let at = match route.part {
            Some(at) => at,
            None => {
                let key = self.key(venue, dataset, day, id.stream, id.epoch);
                self.parts.push(Part::new(&self.config, key, seq, now)?);
                self.parts.len() - 1
            }
        };
        self.routes[row][column] = Route { part: Some(at), ..route };
        Ok(Some(at))
    }

    /// Looks a partition up, off the hot path.
    fn route(&self, venue: VenueIndex, dataset: Dataset, day: i64) -> Route {
        let is_it = |part: &Part| (part.key.venue, part.key.dataset, part.key.day) == (venue, dataset, day);
        let folder = crate::names::partition(dataset, self.venues.name(venue), day);
        let skip_until = self.stream.as_ref().map_or(Seq(0), |at| at.positions.of(&folder));
        Route { day, skip_until, part: self.parts.iter().position(is_it) }
    }

    fn key(&self, venue: VenueIndex, dataset: Dataset, day: i64, stream: StreamId, epoch: Epoch) -> PartKey {
        PartKey { dataset, venue, venue_name: self.venues.name(venue).to_owned(), day, stream, epoch }
    }

    /// Closes what is large, keeps memory and open files within their limits, and writes out what that encoded.
    fn maintain(&mut self) -> Result<(), SinkError> {
        let bytes_max = self.config.file_bytes_max;
        self.close_where(|part| part.file_bytes() >= bytes_max)?;
        while self.parts.iter().filter(|part| !part.is_closed()).count() > self.config.open_files_max {
            let oldest = self.parts.iter().filter(|part| !part.is_closed()).map(|part| part.first).min();
            self.close_where(|part| Some(part.first) == oldest)?;
        }
        self.settle()?;
        while self.parts.iter().map(Part::memory_bytes).sum::<usize>() > self.config.memory_bytes_max {
            let Some(largest) = self.parts.iter_mut().max_by_key(|part| part.memory_bytes()) else { break };
            largest.end_row_group(&self.venues.texts(largest.key.venue), &mut self.press)?;
            largest.drain(self.disk.as_ref())?;
        }
        Ok(())
    }

    /// Encodes the footers of the parts that `choose` picks.
    fn close_where(&mut self, choose: impl Fn(&Part) -> bool) -> Result<(), SinkError> {
        for part in &mut self.parts {
            if !part.is_closed() && choose(part) {
                part.close(&self.venues.texts(part.key.venue), &mut self.press)?;
            }
        }
        Ok(())
    }

    /// Writes out encoded bytes, publishes closed files, and saves the checkpoint when positions have risen.
    fn settle(&mut self) -> Result<(), SinkError> {
        let mut at = 0;
        while let Some(part) = self.parts.get_mut(at) {
            part.drain(self.disk.as_ref())?;
            if !part.is_closed() {
                at += 1;
                continue;
            }
            part.publish(self.disk.as_ref())?;
            let part = self.parts.swap_remove(at);
            self.routes.clear();
            if let Some(current) = &mut self.stream {
                current.positions.raise(&part.folder, part.last);
            }
            self.checkpoint_due = true;
        }
        if self.checkpoint_due { self.save_positions() } else { Ok(()) }
    }

    /// Saves the checkpoint and only then tells the new `stored_seq`.
    fn save_positions(&mut self) -> Result<(), SinkError> {
        let unstored = self.parts.iter().map(|part| part.first.0).min();
        let reached = unstored.map_or(self.taken, |first| Seq(first - 1));
        let Some(current) = &mut self.stream else { return Ok(()) };
        if self.checkpoint_due || reached > self.stored {
            current.positions.save(self.disk.as_ref(), reached)?;
            self.checkpoint_due = false;
            self.stored = self.stored.max(reached);
        }
        Ok(())
    }

    /// After a part was given up, the position has to be asked for.
    fn refuse_when_lost(&self) -> Result<(), SinkError> {
        if !self.lost {
            return Ok(());
        }
        Err(unknown("going on after a failed sync in", &self.config.dir, "the position was not asked for since"))
    }

    /// Remembers when rows were given up.
    fn note(&mut self, result: Result<(), SinkError>) -> Result<(), SinkError> {
        self.lost |= matches!(result, Err(SinkError::Unknown { .. } | SinkError::Fatal { .. }));
        result
    }

    fn close_and_settle(&mut self, choose: impl Fn(&Part) -> bool) -> Result<(), SinkError> {
        self.refuse_when_lost()?;
        let result = self.close_where(choose).and_then(|()| self.settle()).and_then(|()| self.save_positions());
        self.note(result)
    }
}

/// The row of a record, and what it carries for its ids; or why it has none.
pub(crate) fn row_of(venues: &mut Venues, record: &Derived) -> Result<(Row, Keys), &'static str> {
    let instrument = record.instrument();
    if !venues.knows(instrument) {
        return Err(UNKNOWN_INSTRUMENT);
    }
    let (_, symbol) = venues.place(instrument);
    let row = Row::of(record).ok_or(TOO_WIDE)?;
    let strategy = match row.strategy() {
        Some(id) => venues.strategy(id).ok_or(UNKNOWN_STRATEGY)?,
        None => 0,
    };
    Ok((row, Keys { symbol, strategy }))
}

/// The UTC day of an event's partition, counted from 1970-01-01.
pub(crate) fn day_of(event: &Event) -> i64 {
    event.recv_ts().or(event.venue_ts()).map_or(0, |ts| ts.unix_day())
}

impl Sink for ParquetSink {
    fn name(&self) -> &'static str {
        SINK
    }

    /// Rows that were taken but are not stored are given up: they have to be offered again. When another epoch than the
    /// current one is asked for, its rows are stored first.
    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        if !self.lost && !self.is_current(stream, epoch) {
            self.flush(MonoNanos(0))?;
        }
        self.parts.clear();
        self.routes.clear();
        let positions = Positions::recover(self.disk.as_ref(), &self.config.dir, stream, epoch)?;
        self.stored = positions.stored();
        self.taken = self.stored;
        self.checkpoint_due = false;
        self.stream = Some(Recovered { stream, epoch, positions });
        self.lost = false;
        Ok(self.stored)
    }

    /// Rows are taken into memory; a failure to write them out is kept for the next call, which tries again before it
    /// takes more.
    fn write(&mut self, batch: &Batch, now: MonoNanos) -> Result<(), SinkError> {
        let Some(id) = batch.id() else { return Ok(()) };
        self.refuse_when_lost()?;
        if !self.is_current(id.stream, id.epoch) {
            self.recover(id.stream, id.epoch)?;
        }
        if self.checkpoint_due || self.parts.iter().any(Part::has_pending) {
            let settled = self.settle();
            self.note(settled)?;
        }
        self.check(batch, id)?;
        let taken = self.append(batch, id, now).and_then(|()| self.maintain());
        match self.note(taken) {
            Err(SinkError::Unavailable { .. }) => Ok(()),
            other => other,
        }
    }

    fn stored_seq(&self) -> Seq {
        self.stored
    }

    fn tick(&mut self, now: MonoNanos) -> Result<(), SinkError> {
        let age_max = self.config.file_age_ns_max;
        self.close_and_settle(|part| now.since(part.opened) >= age_max)
    }

    fn flush(&mut self, _now: MonoNanos) -> Result<(), SinkError> {
        self.close_and_settle(|_| true)
    }

    /// The event, or the record, becomes a file of its own.
    fn store_late(&mut self, stream: StreamId, epoch: Epoch, first: Seq, events: &[Event]) -> Result<bool, SinkError> {
        late::store(&self.config, self.disk.as_ref(), &mut self.venues, &mut self.press, (stream, epoch, first), events)
    }

    /// Reads every finished file of the start; rows above the position are stored early, by partitions that are ahead.
    fn audit(&mut self, stream: StreamId, epoch: Epoch) -> Result<Option<EpochAudit>, SinkError> {
        audit::audit(&self.config.dir, stream, epoch).map(Some)
    }
}
