//! REST answers: into the intake like frames, and what is left to fetch.

use super::dial::NetError;
use super::driver::{Asking, Driver, Over};
use crate::session::{Pulled, Purpose};
use feedd_venues::capture::Direction;
use feedd_venues::decoder::Outcome;
use std::task::{Context, Poll};

/// Name of the connection on which answers come.
const REST: &str = "rest";

impl Driver<'_> {
    /// Takes answers that are there. True when there were any.
    pub(super) fn take_answers(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let (mut moved, mut index) = (false, 0);
        while let Some(asking) = self.asking.get_mut(index) {
            let Poll::Ready(result) = asking.result.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let asking = self.asking.remove(index);
            moved = true;
            let end = match result {
                Ok(body) => self.answered(&asking, &body)?,
                Err(NetError { status, retry_after, text }) => Pulled::Failed { status, retry_after, text },
            };
            if matches!(end, Pulled::Failed { .. }) {
                self.session_counters().pulls_failed.add(1);
            }
            self.session.pulled(self.outlet.clock().mono(), asking.pull, end);
        }
        Ok(moved)
    }

    fn answered(&mut self, asking: &Asking, body: &str) -> Result<Pulled, Over> {
        // The decoder learns what is answered just before the answer, so that two requests at a time are not confused.
        let (at, _) = self.stamp();
        let request = format!("GET {}", asking.url);
        self.intake.request(REST, &request);
        if let Some(tape) = &mut self.tape {
            tape.line(at, REST, Direction::Out, &request);
            tape.line(at, REST, Direction::In, body);
        }
        let outcome = self.intake.frame_outcome(REST, body, Some(at), self.outlet.counters())?;
        let failed = |text| Pulled::Failed { status: 200, retry_after: None, text };
        Ok(match (outcome, &asking.purpose) {
            (Outcome::Messages(_), Purpose::Snapshot { .. }) => Pulled::Done { still_missing: None },
            (Outcome::Messages(_), Purpose::Trades { symbol, first, last }) => {
                Pulled::Done { still_missing: self.intake.still_missing(symbol, *first, *last) }
            }
            (Outcome::Rejected(reject), _) => failed(format!("{}: the answer is damaged: {reject}", asking.url)),
            (Outcome::Unknown(label), _) => failed(format!("{}: the answer is not known: {label}", asking.url)),
            (Outcome::Control { label, .. }, _) => failed(format!("{}: the venue answers {label}", asking.url)),
        })
    }
}
