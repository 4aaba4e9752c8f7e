//! The sink: the synchronous face of [`Writer`], and what is due by age.

use crate::config::PostgresConfig;
use crate::connect::{Database, runtime};
use crate::error::{Fault, SINK};
use crate::maintenance::Background;
use crate::partitions::places_ahead;
use crate::writer::{Writer, discard};
use feedd_core::{Batch, Clock, EpochAudit, Instruments, Sink, SinkError, SystemClock, error_text};
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How often partitions are made ahead, and how soon after a failure.
const AHEAD_NANOS: u64 = 3_600_000_000_000;
const AHEAD_RETRY_NANOS: u64 = 60_000_000_000;

/// Longest counting of a start.
const AUDIT_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// Stores events in PostgreSQL: see the crate's documentation.
pub struct PostgresSink {
    writer: Writer,
    background: Background,
    clock: Arc<dyn Clock>,
    stored: Seq,
    /// When partitions are to be made ahead next.
    ahead_due: MonoNanos,
    /// Last, so that connections are dropped before it.
    runtime: Runtime,
}

impl PostgresSink {
    /// Makes the sink. No connection is made before [`Sink::recover`], so a server that is away does not stop a start.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] for settings that cannot work.
    pub fn open(config: PostgresConfig, instruments: Instruments) -> Result<Self, SinkError> {
        Self::open_with_clock(config, instruments, Arc::new(SystemClock::new()))
    }

    /// As [`PostgresSink::open`], with the clock that says which day it is.
    ///
    /// # Errors
    /// As [`PostgresSink::open`].
    pub fn open_with_clock(
        config: PostgresConfig,
        instruments: Instruments,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SinkError> {
        let database = Database::new(config)?;
        Ok(Self {
            background: Background::new(database.clone()),
            writer: Writer::new(database, instruments)?,
            clock,
            stored: Seq(0),
            ahead_due: MonoNanos(0),
            runtime: runtime()?,
        })
    }

    /// Makes the partitions of today and the days after it. A failure is told and tried again later: rows whose
    /// partition is missing get it when they are written.
    fn make_ahead(&mut self, now: MonoNanos) {
        let places = places_ahead(&self.writer.database.config, self.clock.wall().unix_day());
        let writer = &mut self.writer;
        let made = self.runtime.block_on(async {
            let client = writer.client().await?;
            let made = writer.make_partitions(&client, places, "looking ahead").await;
            if made.is_err() {
                discard(client).await;
            }
            made
        });
        let wait = match made {
            Ok(()) => AHEAD_NANOS,
            Err(error) => {
                tracing::warn!(error = error_text(&error), "making partitions ahead failed; it is tried again");
                AHEAD_RETRY_NANOS
            }
        };
        self.ahead_due = MonoNanos(now.0.saturating_add(wait));
    }
}

impl Sink for PostgresSink {
    fn name(&self) -> &'static str {
        SINK
    }

    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        self.stored = self.runtime.block_on(self.writer.recover(stream, epoch))?;
        Ok(self.stored)
    }

    /// Stores the batch in one transaction: when this returns, it is stored.
    fn write(&mut self, batch: &Batch, _now: MonoNanos) -> Result<(), SinkError> {
        let Some(id) = batch.id() else { return Ok(()) };
        let written = self.runtime.block_on(self.writer.write(batch, id));
        // Also a failed write can find out that more is stored than was known.
        self.stored = self.writer.current.map_or(self.stored, |current| current.stored);
        written
    }

    fn stored_seq(&self) -> Seq {
        self.stored
    }

    fn tick(&mut self, now: MonoNanos) -> Result<(), SinkError> {
        if self.writer.current.is_none() {
            return Ok(());
        }
        if now >= self.ahead_due {
            self.make_ahead(now);
        }
        self.background.tick(now, self.clock.wall());
        Ok(())
    }

    /// Nothing is held back: what was taken is stored.
    fn flush(&mut self, _now: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }

    /// Measured: below 20,000 rows the transaction costs a tenth and more, above 50,000 nothing is gained.
    fn batch_events_best(&self) -> usize {
        50_000
    }

    fn store_late(&mut self, stream: StreamId, epoch: Epoch, first: Seq, events: &[Event]) -> Result<bool, SinkError> {
        self.runtime.block_on(self.writer.store_late(stream, epoch, first, events))
    }

    fn audit(&mut self, stream: StreamId, epoch: Epoch) -> Result<Option<EpochAudit>, SinkError> {
        let database = &self.writer.database;
        let what = || database.what(&format!("counting stream {stream} epoch {epoch}"));
        // A connection of its own, without the limits of a batch.
        let counting = async {
            let client = database.admin().await.map_err(|fault| fault.not_stored(what()))?;
            crate::migrate::verify(&client, database).await?;
            let counted = crate::ledger::audit(&client, &database.config, stream, epoch).await;
            counted.map(Some).map_err(|fault| fault.not_stored(what()))
        };
        self.runtime.block_on(async {
            let counted = timeout(AUDIT_LIMIT, counting).await;
            counted.unwrap_or_else(|_| Err(Fault::of_time(AUDIT_LIMIT).not_stored(what())))
        })
    }
}
