//! One transaction: a guard that only one writer can pass, the rows by COPY, and its end.
//!
//! Steps that do not need each other's answer are sent together: the guard with the first COPY, the end of a COPY with the
//! beginning of the next, the end of the last with COMMIT. A COMMIT after a failed COPY rolls back.
//!
//! Looking at a batch takes a twenty-fifth of the time that the server needs for it, and the server does not wait for that: a
//! batch is begun when its first event has been looked at, and the others are while the first group is sent.

use crate::config::{Layout, PostgresConfig};
use crate::encode::{Encoder, Start, Whose};
use crate::encode_records;
use crate::error::Fault;
use crate::instruments::InstrumentMap;
use crate::partitions::Partitions;
use crate::plan::{Group, Plan, Planned};
use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use feedd_core::records;
use feedd_model::{Event, Seq};
use futures_util::SinkExt;
use futures_util::future::join;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::pin::Pin;
use tokio_postgres::{CopyInSink, SimpleQueryMessage};

/// What is to be done.
pub(crate) struct Transaction<'a, F> {
    pub(crate) config: &'a PostgresConfig,
    /// The batch.
    pub(crate) events: &'a F,
    /// The first statement: changes one row when the rows may be stored, none when they are known.
    pub(crate) guard: String,
    pub(crate) start: Start,
    pub(crate) plan: &'a mut Plan,
    pub(crate) planned: Scope,
    pub(crate) partitions: &'a mut Partitions,
    pub(crate) map: &'a mut InstrumentMap,
    pub(crate) end: End,
}

/// What of a batch was looked at before its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Its first event: [`Plan::begin`].
    First,
    /// Every event: [`Plan::build`].
    All,
}

/// How it ends when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    /// Copies the rows at or below `until` alone, checks what COMMIT would check, and rolls back.
    Try {
        until: Seq,
    },
}

impl End {
    /// The rows at or below it are copied.
    const fn until(self) -> Seq {
        match self {
            Self::Commit => Seq(u64::MAX),
            Self::Try { until } => until,
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All rows passed; stored, when that was asked for.
    Passed,
    /// The guard changed no row: nothing was done.
    Guarded,
    /// The batch needs something that [`Scope::First`] did not see. Nothing is stored.
    Unplanned,
}

/// Where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Before any row.
    Begin,
    /// In the rows of one group.
    Rows(usize),
    /// COMMIT was sent; the server refused it.
    Commit,
    /// COMMIT was sent, and no answer came.
    Unanswered,
}

/// Why the rows of a COPY were not sent to their end.
enum Halt {
    Failed(Fault),
    Unplanned,
}

impl<E: Into<Fault>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A failed transaction. Nothing is stored unless it is [`At::Unanswered`].
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) at: At,
    pub(crate) fault: Fault,
}

type CopyIn = Pin<Box<CopyInSink<Bytes>>>;

impl<'e, I: Iterator<Item = (Seq, &'e Event)>, F: Fn() -> I> Transaction<'_, F> {
    /// Runs it. `is_ending` is set before COMMIT is sent: whoever drops this future knows what that means.
    ///
    /// # Errors
    /// [`Failure`]; the session may still be inside the transaction and is of no more use.
    pub(crate) async fn run(
        mut self,
        client: &ClientWrapper,
        encoder: &mut Encoder,
        is_ending: &Cell<bool>,
    ) -> Result<Ended, Failure> {
        let at_begin = |error: tokio_postgres::Error| Failure { at: At::Begin, fault: error.into() };
        let mut todo = self.plan.begun_by(self.end.until());
        let Some(&first) = todo.first() else { return Ok(Ended::Passed) };
        for &group in &todo {
            client.prepare_cached(&self.copy(group)).await.map_err(at_begin)?;
        }
        let copy = self.copy(first);
        let (begun, mut opened) = join(client.simple_query(&self.guard), open(client, &copy)).await;
        if rows_changed(&begun.map_err(at_begin)?) == 0 {
            // The caller closes the connection, and the server rolls back.
            return Ok(Ended::Guarded);
        }
        let mut at = 0;
        loop {
            let group = todo[at];
            let in_rows = |fault: Fault| Failure { at: At::Rows(group), fault };
            let mut copy = opened.map_err(|error| in_rows(error.into()))?;
            let sent = match (self.planned, at) {
                (Scope::First, 0) => self.send_and_plan(&mut copy, encoder).await,
                _ => self.send(&mut copy, encoder, group).await,
            };
            match sent {
                Ok(()) => {}
                // As above.
                Err(Halt::Unplanned) => return Ok(Ended::Unplanned),
                Err(Halt::Failed(fault)) => return Err(in_rows(fault)),
            }
            todo = self.plan.begun_by(self.end.until());
            at += 1;
            let Some(&next) = todo.get(at) else { return self.finish(client, copy, group, is_ending).await };
            let (finished, next) = join(copy.as_mut().finish(), open(client, &self.copy(next))).await;
            finished.map_err(|error| in_rows(error.into()))?;
            opened = next;
        }
    }

    fn copy(&mut self, group: usize) -> String {
        let place = self.plan.groups()[group].place;
        let relation = self.partitions.relation(place, self.config);
        format!("COPY {relation} ({}) FROM STDIN (FORMAT binary)", place.table.columns(self.config.layout))
    }

    /// Sends the rows of the first group, and plans all of them on the way.
    async fn send_and_plan(&mut self, copy: &mut CopyIn, encoder: &mut Encoder) -> Result<(), Halt> {
        let (layout, start) = (self.config.layout, self.start);
        let (plan, map) = (&mut *self.plan, &mut *self.map);
        send_rows(copy, encoder, (self.events)(), |encoder, seq, event| {
            match plan.add(seq, event, layout, map) {
                Ok(Some(0)) => encoder.push(start, seq.0, whose(layout, map, event)?, event),
                Ok(_) => {}
                Err(_) => return Err(Halt::Unplanned),
            }
            Ok(())
        })
        .await?;
        let is_ready = matches!(plan.add_records(self.events, layout, map), Ok(Planned::Ready));
        if !is_ready || !plan.places().all(|place| self.partitions.is_ensured(place)) {
            return Err(Halt::Unplanned);
        }
        copy.send(encoder.end()).await?;
        Ok(())
    }

    async fn send(&self, copy: &mut CopyIn, encoder: &mut Encoder, group: usize) -> Result<(), Halt> {
        let group = &self.plan.groups()[group];
        if group.place.table.is_derived() {
            return Ok(self.send_records(copy, encoder, group).await?);
        }
        let rows = group.rows((self.events)()).take_while(|(seq, _)| *seq <= self.end.until());
        send_rows(copy, encoder, rows, |encoder, seq, event| {
            encoder.push(self.start, seq.0, whose(self.config.layout, self.map, event)?, event);
            Ok(())
        })
        .await?;
        copy.send(encoder.end()).await?;
        Ok(())
    }

    /// The same for derived records: those that begin at or below the end's `until`.
    async fn send_records(&self, copy: &mut CopyIn, encoder: &mut Encoder, group: &Group) -> Result<(), Fault> {
        encoder.begin();
        for record in records((self.events)()).flatten().filter(|record| group.holds(record.head)) {
            if record.first > self.end.until() {
                break;
            }
            let whose = whose(self.config.layout, self.map, record.head)?;
            let strategy = encode_records::strategy(&record.record).and_then(|id| self.map.known_names(id));
            let strategy = strategy.map_or("", |(_, name)| name);
            encoder.push_record(self.start, record.first.0, whose, strategy, &record.record);
            if let Some(piece) = encoder.piece() {
                copy.send(piece).await?;
            }
        }
        copy.send(encoder.end()).await?;
        Ok(())
    }

    /// Ends the last COPY and the transaction.
    async fn finish(
        &self,
        client: &ClientWrapper,
        mut copy: CopyIn,
        group: usize,
        is_ending: &Cell<bool>,
    ) -> Result<Ended, Failure> {
        let end = match self.end {
            End::Commit => {
                is_ending.set(true);
                "COMMIT"
            }
            End::Try { .. } => "SET CONSTRAINTS ALL IMMEDIATE",
        };
        let (finished, ended) = join(copy.as_mut().finish(), client.simple_query(end)).await;
        let unless_answered = |at: At, error: tokio_postgres::Error| {
            let is_answered = error.as_db_error().is_some() && at != At::Commit;
            let fault = Fault::from(error);
            let is_known = is_answered || fault.is_session_alive || self.end != End::Commit;
            Failure { at: if is_known { at } else { At::Unanswered }, fault }
        };
        finished.map_err(|error| unless_answered(At::Rows(group), error))?;
        let answer = ended.map_err(|error| unless_answered(At::Commit, error))?;
        if answer.is_empty() {
            let fault = Fault::of_connection("the end of the transaction was answered without a word");
            return Err(Failure { at: At::Unanswered, fault });
        }
        if self.end != End::Commit {
            let rolled_back = client.batch_execute("ROLLBACK").await;
            rolled_back.map_err(|error| Failure { at: At::Begin, fault: error.into() })?;
        }
        Ok(Ended::Passed)
    }
}

async fn open(client: &ClientWrapper, copy: &str) -> Result<CopyIn, tokio_postgres::Error> {
    let statement = client.prepare_cached(copy).await?;
    Ok(Box::pin(client.copy_in(&statement).await?))
}

/// Begins a COPY's rows and sends those that `push` appends, by the piece; the last of them are left in `encoder`.
async fn send_rows<'e>(
    copy: &mut CopyIn,
    encoder: &mut Encoder,
    mut rows: impl Iterator<Item = (Seq, &'e Event)>,
    mut push: impl FnMut(&mut Encoder, Seq, &'e Event) -> Result<(), Halt>,
) -> Result<(), Halt> {
    encoder.begin();
    loop {
        // From within, as far as a piece goes: the blocks of a batch are run through one by one.
        let full = rows.try_for_each(|(seq, event)| {
            if let Err(halt) = push(encoder, seq, event) {
                return ControlFlow::Break(Err(halt));
            }
            encoder.piece().map_or(ControlFlow::Continue(()), |piece| ControlFlow::Break(Ok(piece)))
        });
        match full {
            // The server works on the last piece while the next one is encoded.
            ControlFlow::Break(piece) => copy.send(piece?).await?,
            ControlFlow::Continue(()) => return Ok(()),
        }
    }
}

/// What a row carries for its instrument.
///
/// # Errors
/// When the instruments were read anew since the batch was planned.
#[inline]
fn whose<'a>(layout: Layout, map: &'a InstrumentMap, event: &Event) -> Result<Whose<'a>, Fault> {
    match layout {
        Layout::Compact => {
            let row = map.row(event).ok_or_else(|| Fault::of_connection("an instrument row has vanished"))?;
            Ok(Whose::Row(row.map(|row| (row.id, row.scales))))
        }
        Layout::Readable => Ok(Whose::Names(map.known_names(event.instrument()))),
    }
}

/// Of the last statement of a simple query.
fn rows_changed(messages: &[SimpleQueryMessage]) -> u64 {
    let counts = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    counts.last().unwrap_or(0)
}
