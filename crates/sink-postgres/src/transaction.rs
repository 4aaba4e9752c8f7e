//! One transaction: a guard that only one writer can pass, the rows by COPY, and its end.
//!
//! Steps that do not need each other's answer are sent together: the guard with the first COPY, the end of a COPY with the
//! beginning of the next, the end of the last with COMMIT. A COMMIT after a failed COPY rolls back.

use crate::config::{Layout, PostgresConfig};
use crate::encode::{Encoder, Start, Whose};
use crate::encode_records;
use crate::error::Fault;
use crate::instruments::InstrumentMap;
use crate::plan::Group;
use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use feedd_core::records;
use feedd_model::{Event, Seq};
use futures_util::SinkExt;
use futures_util::future::join;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::pin::Pin;
use tokio_postgres::{CopyInSink, SimpleQueryMessage, Statement};

/// What is to be done.
pub(crate) struct Transaction<'a, F> {
    pub(crate) config: &'a PostgresConfig,
    /// The batch.
    pub(crate) events: &'a F,
    /// The first statement: changes one row when the rows may be stored, none when they are known.
    pub(crate) guard: String,
    pub(crate) start: Start,
    pub(crate) groups: &'a [Group],
    /// One COPY a group.
    pub(crate) copies: &'a [String],
    /// Rows at or below it are copied.
    pub(crate) until: Seq,
    pub(crate) map: &'a InstrumentMap,
    pub(crate) end: End,
}

/// How it ends when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Commit,
    /// Checks what COMMIT would check, and rolls back.
    Try,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All rows passed; stored, when that was asked for.
    Passed,
    /// The guard changed no row: nothing was done.
    Guarded,
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
        &self,
        client: &ClientWrapper,
        encoder: &mut Encoder,
        is_ending: &Cell<bool>,
    ) -> Result<Ended, Failure> {
        let at_begin = |error: tokio_postgres::Error| Failure { at: At::Begin, fault: error.into() };
        let mut todo = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            if group.begins_by(self.until) {
                todo.push((at, client.prepare_cached(&self.copies[at]).await.map_err(at_begin)?));
            }
        }
        let Some((_, first)) = todo.first() else { return Ok(Ended::Passed) };
        let (begun, opened) = join(client.simple_query(&self.guard), open(client, first)).await;
        if rows_changed(&begun.map_err(at_begin)?) == 0 {
            // The caller closes the connection, and the server rolls back.
            return Ok(Ended::Guarded);
        }
        let mut opened = opened;
        for (i, (at, _)) in todo.iter().enumerate() {
            let in_rows = |error: tokio_postgres::Error| Failure { at: At::Rows(*at), fault: error.into() };
            let mut copy = opened.map_err(in_rows)?;
            self.send(&mut copy, encoder, *at).await.map_err(|fault| Failure { at: At::Rows(*at), fault })?;
            let Some((_, next)) = todo.get(i + 1) else {
                return self.finish(client, copy, *at, is_ending).await;
            };
            let (finished, next) = join(copy.as_mut().finish(), open(client, next)).await;
            finished.map_err(in_rows)?;
            opened = next;
        }
        Ok(Ended::Passed)
    }

    async fn send(&self, copy: &mut CopyIn, encoder: &mut Encoder, group: usize) -> Result<(), Fault> {
        encoder.begin();
        let group = &self.groups[group];
        if group.place.table.is_derived() {
            return self.send_records(copy, encoder, group).await;
        }
        let mut rows = group.rows((self.events)()).take_while(|(seq, _)| *seq <= self.until);
        loop {
            // From within, as far as a piece goes: the blocks of a batch are run through one by one.
            let full = rows.try_for_each(|(seq, event)| {
                let Some(whose) = self.whose(event) else {
                    return ControlFlow::Break(Err(Fault::of_connection("an instrument row has vanished")));
                };
                encoder.push(self.start, seq.0, whose, event);
                encoder.piece().map_or(ControlFlow::Continue(()), |piece| ControlFlow::Break(Ok(piece)))
            });
            match full {
                // The server works on the last piece while the next one is encoded.
                ControlFlow::Break(piece) => copy.send(piece?).await?,
                ControlFlow::Continue(()) => break,
            }
        }
        copy.send(encoder.end()).await?;
        Ok(())
    }

    /// The same for derived records: those that begin at or below `until`.
    async fn send_records(&self, copy: &mut CopyIn, encoder: &mut Encoder, group: &Group) -> Result<(), Fault> {
        for record in records((self.events)()).flatten().filter(|record| group.holds(record.head)) {
            if record.first > self.until {
                break;
            }
            let gone = || Fault::of_connection("an instrument row has vanished");
            let whose = self.whose(record.head).ok_or_else(gone)?;
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

    /// What a row carries for its instrument. `None`: the instruments were read anew since the batch was planned.
    #[inline]
    fn whose(&self, event: &Event) -> Option<Whose<'_>> {
        match self.config.layout {
            Layout::Compact => self.map.row(event).map(|row| Whose::Row(row.map(|row| (row.id, row.scales)))),
            Layout::Readable => Some(Whose::Names(self.map.known_names(event.instrument()))),
        }
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
            End::Try => "SET CONSTRAINTS ALL IMMEDIATE",
        };
        let (finished, ended) = join(copy.as_mut().finish(), client.simple_query(end)).await;
        let unless_answered = |at: At, error: tokio_postgres::Error| {
            let is_answered = error.as_db_error().is_some() && at != At::Commit;
            let fault = Fault::from(error);
            let is_known = is_answered || fault.is_session_alive || self.end == End::Try;
            Failure { at: if is_known { at } else { At::Unanswered }, fault }
        };
        finished.map_err(|error| unless_answered(At::Rows(group), error))?;
        let answer = ended.map_err(|error| unless_answered(At::Commit, error))?;
        if answer.is_empty() {
            let fault = Fault::of_connection("the end of the transaction was answered without a word");
            return Err(Failure { at: At::Unanswered, fault });
        }
        if self.end == End::Try {
            let rolled_back = client.batch_execute("ROLLBACK").await;
            rolled_back.map_err(|error| Failure { at: At::Begin, fault: error.into() })?;
        }
        Ok(Ended::Passed)
    }
}

async fn open(client: &ClientWrapper, statement: &Statement) -> Result<CopyIn, tokio_postgres::Error> {
    Ok(Box::pin(client.copy_in(statement).await?))
}

/// Of the last statement of a simple query.
fn rows_changed(messages: &[SimpleQueryMessage]) -> u64 {
    let counts = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    counts.last().unwrap_or(0)
}
