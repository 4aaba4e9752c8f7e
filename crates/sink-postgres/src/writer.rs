//! One sink's connections and what it knows of the store: positions, partitions, instrument rows. All waiting is here.

use crate::config::Layout;
use crate::connect::Database;
use crate::encode::{Encoder, Start};
use crate::error::{Blame, Fault, SINK, fatal, unavailable, unknown};
use crate::instruments::InstrumentMap;
use crate::ledger::LedgerRow;
use crate::partitions::{Partitions, Place};
use crate::plan::{Plan, Planned};
use crate::transaction::{At, End, Ended, Failure, Scope, Transaction};
use deadpool_postgres::{Object, Pool};
use feedd_core::{Batch, BatchId, Instruments, SinkError};
use feedd_model::{Epoch, Event, Seq, StreamId};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::timeout;

/// How often known parts of a batch are looked for before delivery is asked to cut it anew.
const GUARDED_MAX: u32 = 3;

/// Longest time of a migration, waiting for another program's included.
const MIGRATE_LIMIT: Duration = Duration::from_secs(600);

/// COPY statements kept prepared on a connection: tables of some days. A connection may live for years.
const STATEMENTS_MAX: usize = 64;

pub(crate) struct Writer {
    pub(crate) database: Database,
    pool: Pool,
    pub(crate) map: InstrumentMap,
    pub(crate) partitions: Partitions,
    plan: Plan,
    encoder: Encoder,
    pub(crate) current: Option<Current>,
    /// An outcome is unknown: nothing is written before the ledger was asked.
    is_unsure: bool,
}

/// The start that is being stored, and up to where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    pub(crate) run: i32,
    pub(crate) stored: Seq,
}

impl Current {
    fn start(&self) -> Start {
        Start { run: self.run, stream: self.stream.0, epoch: self.epoch.0 }
    }
}

impl Writer {
    pub(crate) fn new(database: Database, dictionary: Instruments) -> Result<Self, SinkError> {
        let pool = database.pool()?;
        Ok(Self {
            database,
            pool,
            map: InstrumentMap::new(dictionary),
            partitions: Partitions::default(),
            plan: Plan::default(),
            encoder: Encoder::default(),
            current: None,
            is_unsure: false,
        })
    }

    /// A connection whose schema has been looked at.
    pub(crate) async fn client(&mut self) -> Result<Object, SinkError> {
        let connected = self.database.client(&self.pool).await;
        let client = connected.map_err(|fault| fault.not_stored(self.database.what("connecting")))?;
        if Object::metrics(&client).recycle_count > 0 {
            return Ok(client);
        }
        // What was known may be out of date: the server may have been restored from a copy.
        match self.greet(&client).await {
            Ok(()) => Ok(client),
            Err(error) => {
                discard(client).await;
                Err(error)
            }
        }
    }

    async fn greet(&mut self, client: &Object) -> Result<(), SinkError> {
        let limit = self.limit();
        let late = |limit, what: &str| Fault::of_time(limit).not_stored(self.database.what(what));
        let looked = timeout(limit, crate::migrate::look(client, &self.database)).await;
        let missing = looked.unwrap_or_else(|_| Err(late(limit, "reading the schema")))?;
        if self.database.config.migrate && !missing.is_empty() {
            let migrated = timeout(MIGRATE_LIMIT, self.migrate()).await;
            migrated.unwrap_or_else(|_| Err(late(MIGRATE_LIMIT, "migrating the schema")))?;
        } else {
            crate::migrate::demand_nothing(&missing, &self.database)?;
        }
        self.partitions.forget();
        if self.database.config.layout == Layout::Readable {
            return Ok(());
        }
        let loaded = timeout(limit, self.map.load(client, &self.database.config)).await;
        loaded
            .unwrap_or_else(|_| Err(Fault::of_time(limit)))
            .map_err(|fault| fault.not_stored(self.database.what("reading the instruments")))
    }

    async fn migrate(&self) -> Result<(), SinkError> {
        let admin = self.database.admin().await;
        let admin = admin.map_err(|fault| fault.not_stored(self.database.what("connecting")))?;
        crate::migrate::bring_up(&admin, &self.database).await.map(|_| ())
    }

    pub(crate) fn limit(&self) -> Duration {
        self.database.config.batch_timeout
    }

    /// Reads the position of a start, and makes its ledger row when it is new.
    pub(crate) async fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        let row = self.ledger_row(stream, epoch).await?;
        self.is_unsure = false;
        self.current = Some(Current { stream, epoch, run: row.id, stored: row.stored });
        Ok(row.stored)
    }

    pub(crate) async fn ledger_row(&mut self, stream: StreamId, epoch: Epoch) -> Result<LedgerRow, SinkError> {
        let what = self.database.what(&format!("asking for the position of stream {stream} epoch {epoch}"));
        // A connection that died while it lay idle is found out here; a new one answers.
        for is_last in [false, true] {
            let client = self.client().await?;
            let limit = self.limit();
            let asked = timeout(limit, crate::ledger::row(&client, &self.database.config, stream, epoch)).await;
            match asked.unwrap_or_else(|_| Err(Fault::of_time(limit))) {
                Ok(row) => return Ok(row),
                Err(fault) => {
                    discard(client).await;
                    if is_last || fault.blame != Blame::Moment {
                        return Err(fault.not_stored(what));
                    }
                }
            }
        }
        Err(unavailable(what, "no connection lived long enough"))
    }

    /// Stores a batch from its first unknown event on. At the end everything up to `id.last` is stored.
    pub(crate) async fn write(&mut self, batch: &Batch, id: BatchId) -> Result<(), SinkError> {
        let what = self.database.what(&format!("storing {id}"));
        if self.is_unsure {
            return Err(unknown(what, "the position was not asked for since the last unknown outcome"));
        }
        if self.current.is_none_or(|current| (current.stream, current.epoch) != (id.stream, id.epoch)) {
            self.recover(id.stream, id.epoch).await?;
        }
        for _ in 0..GUARDED_MAX {
            let Some(current) = self.current else { break };
            if id.last <= current.stored {
                return Ok(());
            }
            let guard = crate::ledger::move_guard(&self.database.config, &current, id.last);
            let events = || batch.events().filter(move |(seq, _)| *seq > current.stored);
            if self.store(&events, current.start(), guard, &what).await? {
                self.current = Some(Current { stored: id.last, ..current });
                return Ok(());
            }
            self.look_again(current, &what).await?;
        }
        self.is_unsure = true;
        Err(unknown(what, "another writer moves the position all the time; is the data folder used twice?"))
    }

    /// The ledger did not stand where it was known to: an answer was lost, or there is another writer.
    async fn look_again(&mut self, current: Current, what: &str) -> Result<(), SinkError> {
        let row = self.ledger_row(current.stream, current.epoch).await?;
        tracing::warn!(
            known = current.stored.0,
            found = row.stored.0,
            "the ledger was moved by somebody else: an unanswered transaction of this sink, or another recorder with \
             the same data folder"
        );
        if row.stored < current.stored || row.id != current.run {
            self.is_unsure = true;
            return Err(unknown(what, format!("the ledger fell from {} to {}", current.stored, row.stored)));
        }
        self.current = Some(Current { stored: row.stored, ..current });
        Ok(())
    }

    /// Stores one event, or the record whose slots `events` are, at or below the position. False when it was stored before.
    pub(crate) async fn store_late(
        &mut self,
        stream: StreamId,
        epoch: Epoch,
        seq: Seq,
        events: &[Event],
    ) -> Result<bool, SinkError> {
        let what = self.database.what(&format!("storing stream {stream} epoch {epoch} seq {seq} late"));
        let row = self.ledger_row(stream, epoch).await?;
        if seq > row.stored {
            let reason = format!("above the stored position {}: offer it in its turn", row.stored);
            let seqs = (seq.0..).map(Seq).zip(events).map(|(seq, _)| seq).collect();
            return Err(SinkError::Refused { sink: SINK, seqs, reason });
        }
        let start = Start { run: row.id, stream: stream.0, epoch: epoch.0 };
        let guard = crate::ledger::late_guard(&self.database.config, row.id, seq);
        self.store(&|| (seq.0..).map(Seq).zip(events), start, guard, &what).await
    }

    /// Plans the rows, makes what they need, and runs the transaction. False when its guard changed no row.
    async fn store<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        events: &impl Fn() -> I,
        start: Start,
        guard: String,
        what: &str,
    ) -> Result<bool, SinkError> {
        let (mut scope, mut was_idle) = (Scope::First, false);
        loop {
            let client = self.client().await?;
            if scope == Scope::First && !self.plan.begin(events().next(), self.database.config.layout, &mut self.map) {
                scope = Scope::All;
            }
            let client = if scope == Scope::All { self.plan_all(client, events, what).await? } else { client };
            let client = self.with_partitions(client, what).await?;
            let failure = match self.attempt(client, events, scope, start, &guard, End::Commit).await {
                Ok(Ended::Passed) => return Ok(true),
                Ok(Ended::Guarded) => return Ok(false),
                Ok(Ended::Unplanned) => {
                    scope = Scope::All;
                    continue;
                }
                Err(failure) => failure,
            };
            // The connection had died while it lay idle, and nothing was sent to the end: once more on a new one.
            if failure.at == At::Begin && !failure.fault.is_session_alive && !was_idle {
                was_idle = true;
                continue;
            }
            // The row to blame is looked for among all of them. The groups keep their places when they are planned again.
            if scope == Scope::First
                && failure.at != At::Unanswered
                && failure.fault.blame == Blame::Rows
                && let Planned::NeedsRows = self.plan.build(events, self.database.config.layout, &mut self.map)?
            {
                scope = Scope::All;
                continue;
            }
            return Err(self.judge(failure, events, start, &guard, what).await);
        }
    }

    /// Looks at every event, and makes the instrument rows that are missing.
    async fn plan_all<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        client: Object,
        events: &impl Fn() -> I,
        what: &str,
    ) -> Result<Object, SinkError> {
        let layout = self.database.config.layout;
        if let Planned::Ready = self.plan.build(events, layout, &mut self.map)? {
            return Ok(client);
        }
        let limit = self.limit();
        let made = timeout(limit, self.map.make_rows(&client, &self.database.config, events)).await;
        if let Err(fault) = made.unwrap_or_else(|_| Err(Fault::of_time(limit))) {
            discard(client).await;
            return Err(fault.not_stored(what));
        }
        match self.plan.build(events, layout, &mut self.map)? {
            Planned::Ready => Ok(client),
            Planned::NeedsRows => Err(fatal(format!("{what}: instrument rows that were made are not found"), None)),
        }
    }

    /// Makes the partitions of the planned rows. The connection is given up when that fails: it may stand in the middle.
    async fn with_partitions(&mut self, client: Object, what: &str) -> Result<Object, SinkError> {
        match self.make_partitions(&client, self.plan.places().collect(), what).await {
            Ok(()) => Ok(client),
            Err(error) => {
                discard(client).await;
                Err(error)
            }
        }
    }

    pub(crate) async fn make_partitions(
        &mut self,
        client: &Object,
        places: Vec<Place>,
        what: &str,
    ) -> Result<(), SinkError> {
        let (limit, config) = (self.limit(), &self.database.config);
        let made = timeout(limit, self.partitions.ensure(client, config, places.into_iter())).await;
        made.unwrap_or_else(|_| Err(Fault::of_time(limit)))
            .map_err(|fault| fault.not_stored(format!("{what}: making the day's partitions")))
    }

    /// One transaction over the rows up to `end`, of which `scope` is planned. The connection goes back to the pool only
    /// when all of it passed. The library takes one end of an answer too few into account when a COPY fails before it reads
    /// its first row: on such a connection every later answer, also that to a COMMIT, would be the one before it.
    pub(crate) async fn attempt<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        client: Object,
        events: &impl Fn() -> I,
        scope: Scope,
        start: Start,
        guard: &str,
        end: End,
    ) -> Result<Ended, Failure> {
        let config = &self.database.config;
        if client.statement_cache.size() > STATEMENTS_MAX {
            client.statement_cache.clear();
        }
        let transaction = Transaction {
            config,
            events,
            guard: guard.to_owned(),
            start,
            plan: &mut self.plan,
            planned: scope,
            partitions: &mut self.partitions,
            map: &mut self.map,
            end,
        };
        let is_ending = Cell::new(false);
        let limit = config.batch_timeout;
        let ran = timeout(limit, transaction.run(&client, &mut self.encoder, &is_ending)).await;
        let ended = match ran {
            Ok(Ok(Ended::Passed)) => return Ok(Ended::Passed),
            Ok(ended) => ended,
            Err(_) if is_ending.get() => Err(Failure { at: At::Unanswered, fault: Fault::of_time(limit) }),
            Err(_) => Err(Failure { at: At::Rows(0), fault: Fault::of_time(limit) }),
        };
        discard(client).await;
        ended
    }

    /// What a failed transaction means for the caller; finds the row that is to blame.
    async fn judge<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        failure: Failure,
        events: &impl Fn() -> I,
        start: Start,
        guard: &str,
        what: &str,
    ) -> SinkError {
        let Failure { at, fault } = failure;
        if at == At::Unanswered {
            self.is_unsure = true;
            return unknown(what, fault);
        }
        if fault.is_missing_relation {
            self.partitions.forget();
        }
        // Before the first row only the ledger can have refused.
        if fault.blame == Blame::Rows && at != At::Begin {
            return self.find_row(at, fault, events, start, guard, what).await;
        }
        fault.not_stored(what)
    }

    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Closes a connection instead of giving it back.
pub(crate) async fn discard(client: Object) {
    drop(Object::take(client));
    // Its task ends when the runtime turns next; the socket is closed then.
    tokio::task::yield_now().await;
}
