//! Finding the row that a server refuses: by the line it names, else by halving the rows in transactions that are rolled
//! back.

use crate::encode::Start;
use crate::error::{Blame, Fault, SINK, unavailable};
use crate::transaction::{At, End, Ended, Scope};
use crate::writer::Writer;
use feedd_core::SinkError;
use feedd_model::{Event, Seq};

impl Writer {
    /// The row to blame as [`SinkError::Refused`], or why it could not be found.
    ///
    /// The rows up to some place pass and those up to the next do not: that one is to blame. A row that clashes with an
    /// earlier one of the batch is found as well, and the earlier one is kept. At most `log2(rows) + 2` transactions.
    pub(crate) async fn find_row<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        at: At,
        fault: Fault,
        events: &impl Fn() -> I,
        start: Start,
        guard: &str,
        what: &str,
    ) -> SinkError {
        if let Some(seq) = self.row_of(at, &fault, events) {
            return refused(seq, &fault);
        }
        // An error at COMMIT may concern any row, one at the end of a COPY those of its table.
        let rows: Vec<Seq> = match at {
            At::Rows(group) => self.plan().groups()[group].rows(events()).map(|(seq, _)| seq).collect(),
            _ => events().map(|(seq, _)| seq).collect(),
        };
        let (mut passes, mut fails, mut reason) = (0, rows.len(), fault);
        let mut is_confirmed = rows.len() == 1;
        while fails - passes > 1 || !is_confirmed {
            let tried = if fails - passes > 1 { passes + (fails - passes) / 2 } else { fails };
            match self.try_until(rows[tried - 1], events, start, guard, what).await {
                Ok(None) if tried == fails => {
                    return unavailable(what, format!("refused, but not when tried again: {reason}"));
                }
                Ok(None) => passes = tried,
                Ok(Some((at, fault))) => {
                    if let Some(seq) = self.row_of(at, &fault, events) {
                        return refused(seq, &fault);
                    }
                    (fails, reason, is_confirmed) = (tried, fault, true);
                }
                Err(error) => return error,
            }
        }
        refused(rows[fails - 1], &reason)
    }

    /// The row that the server named.
    fn row_of<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &self,
        at: At,
        fault: &Fault,
        events: &impl Fn() -> I,
    ) -> Option<Seq> {
        let At::Rows(group) = at else { return None };
        let row = self.plan().groups().get(group)?.rows(events()).nth(fault.line?.checked_sub(1)?)?;
        Some(row.0)
    }

    /// Tries the rows up to `until`: `None` when they pass, else what the server says of them.
    async fn try_until<'a, I: Iterator<Item = (Seq, &'a Event)>>(
        &mut self,
        until: Seq,
        events: &impl Fn() -> I,
        start: Start,
        guard: &str,
        what: &str,
    ) -> Result<Option<(At, Fault)>, SinkError> {
        let client = self.client().await?;
        match self.attempt(client, events, Scope::All, start, guard, End::Try { until }).await {
            Ok(Ended::Passed) => Ok(None),
            Ok(Ended::Guarded | Ended::Unplanned) => {
                Err(unavailable(what, "the ledger was moved while a refused row was looked for"))
            }
            Err(failure) if failure.fault.blame == Blame::Rows && failure.at != At::Begin => {
                Ok(Some((failure.at, failure.fault)))
            }
            Err(failure) => Err(failure.fault.not_stored(what)),
        }
    }
}

fn refused(seq: Seq, fault: &Fault) -> SinkError {
    SinkError::Refused { sink: SINK, seqs: vec![seq], reason: fault.to_string() }
}
