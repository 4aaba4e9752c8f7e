//! The accounting, checked while a run goes on: what must hold at every moment, not only at its end.
//!
//! No step has seen more than the one before it: stored <= durable <= accepted for every sink, accepted <= published <=
//! decoded for every source, so that no gauge is ever negative; and nothing that was counted is taken back. [`Account`]
//! is read from the end of the way to its start and every step is counted before its events go on, so that a difference
//! in time is never taken for one. What may go back: `received`, and with it the events in the sink, when a sink gave up
//! what it had taken and reads it again; its position never does. `earlier.found`, which is an upper bound until the sink
//! was asked.

use crate::accounting::{Account, SinkTotals, SourceTotals};
use std::fmt;
use std::sync::Arc;

/// Whose numbers do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The source at this place of the configuration, from 1.
    Source(usize),
    /// The batching thread or the journal.
    Run,
    /// The sink of this name.
    Sink(Arc<str>),
}

/// The accounting does not hold: a defect of feedd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A step has seen more than the one before it.
    #[error("{whose}: {count} {step}, but only {bound} {before}")]
    Ahead {
        /// Whose.
        whose: Whose,
        /// The later step.
        step: &'static str,
        /// Events or frames that it counted.
        count: u64,
        /// The earlier step.
        before: &'static str,
        /// Events or frames that it counted.
        bound: u64,
    },
    /// What was counted was taken back.
    #[error("{whose}: {step} went back from {was} to {is}")]
    Back {
        /// Whose.
        whose: Whose,
        /// The step.
        step: &'static str,
        /// At the look before.
        was: u64,
        /// Now.
        is: u64,
    },
}

/// Looks at the account of one run again and again.
#[derive(Debug, Default)]
pub struct AccountWatch {
    last: Option<Account>,
    looks: u64,
    violations: u64,
    first: Option<Violation>,
}

impl AccountWatch {
    /// Checks an account that was read just now, by itself and against the one before. To be given accounts of one run, in
    /// the order in which they were read; from one thread.
    ///
    /// # Errors
    /// The first [`Violation`] found; it is counted, too.
    pub fn check(&mut self, account: &Account) -> Result<(), Violation> {
        self.looks += 1;
        let last = self.last.replace(account.clone());
        let found = ahead(account).or_else(|| back(&last?, account));
        let Some(violation) = found else { return Ok(()) };
        self.violations += 1;
        self.first.get_or_insert_with(|| violation.clone());
        Err(violation)
    }

    /// Accounts checked.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks
    }

    /// Accounts that did not hold.
    #[must_use]
    pub const fn violations(&self) -> u64 {
        self.violations
    }

    /// What was found first.
    #[must_use]
    pub const fn first(&self) -> Option<&Violation> {
        self.first.as_ref()
    }
}

/// A step that has seen more than the one before it.
fn ahead(account: &Account) -> Option<Violation> {
    let compare = |whose: &dyn Fn() -> Whose, (step, count): Step, (before, bound): Step| {
        (count > bound).then(|| Violation::Ahead { whose: whose(), step, count, before, bound })
    };
    for (index, s) in account.each_source.iter().enumerate() {
        let whose = || Whose::Source(index + 1);
        let outcomes = s.frames_decoded + s.frames_control + s.frames_unknown + s.frames_rejected;
        let gone = s.published + s.duplicate + s.rejected + s.dropped;
        let found = compare(&whose, ("frames decoded, control, unknown or rejected", outcomes), ("received", s.frames))
            .or_else(|| {
                let step = "events published, duplicate, rejected or dropped";
                compare(&whose, (step, gone), ("decoded or own", s.decoded + s.own))
            })
            .or_else(|| compare(&whose, ("events accepted", s.accepted), ("published", s.published)));
        if found.is_some() {
            return found;
        }
    }
    let run = || Whose::Run;
    let safe = account.durable.map_or(("accepted", account.accepted), |durable| ("durable", durable));
    // Replayed events have numbers of their own.
    let taken = ("sequence numbers given", account.accepted + account.replayed);
    compare(&run, taken, ("events accepted", account.sources.accepted))
        .or_else(|| compare(&run, ("events durable", safe.1), ("accepted", account.accepted)))
        .or_else(|| {
            account.sinks.iter().find_map(|sink| {
                let whose = || Whose::Sink(sink.name.clone());
                compare(&whose, ("events stored, quarantined or missed", sink.done), safe)
                    .or_else(|| compare(&whose, ("events taken", sink.received), safe))
            })
        })
}

/// A step that took back what it had counted.
fn back(last: &Account, account: &Account) -> Option<Violation> {
    let fell = |whose: &dyn Fn() -> Whose, was: &[Step], is: &[Step]| {
        let mut pairs = was.iter().zip(is);
        let &(&(step, was), &(_, is)) = pairs.by_ref().find(|(was, is)| is.1 < was.1).as_ref()?;
        Some(Violation::Back { whose: whose(), step, was, is })
    };
    let sources = last.each_source.iter().zip(&account.each_source).enumerate();
    let sinks = last.sinks.iter().zip(&account.sinks);
    let run = |account: &Account| {
        let durable = ("durable", account.durable.unwrap_or(0));
        [("accepted", account.accepted), ("replayed", account.replayed), durable]
    };
    sources
        .map(|(index, (was, is))| fell(&|| Whose::Source(index + 1), &of_source(was), &of_source(is)))
        .chain(std::iter::once_with(|| fell(&|| Whose::Run, &run(last), &run(account))))
        .chain(sinks.map(|(was, is)| fell(&|| Whose::Sink(is.name.clone()), &of_sink(was), &of_sink(is))))
        .flatten()
        .next()
}

/// A step's name and what it counted.
type Step = (&'static str, u64);

/// What a source only ever counts up.
fn of_source(s: &SourceTotals) -> [Step; 13] {
    [
        ("bytes", s.bytes),
        ("frames received", s.frames),
        ("frames decoded", s.frames_decoded),
        ("frames control", s.frames_control),
        ("frames unknown", s.frames_unknown),
        ("frames rejected", s.frames_rejected),
        ("events decoded", s.decoded),
        ("events own", s.own),
        ("events duplicate", s.duplicate),
        ("events rejected", s.rejected),
        ("events dropped", s.dropped),
        ("events published", s.published),
        ("events accepted", s.accepted),
    ]
}

/// What a sink only ever counts up.
fn of_sink(s: &SinkTotals) -> [Step; 6] {
    [
        ("its position", s.position),
        ("events quarantined", s.quarantined),
        ("events missed", s.missed),
        ("events of earlier starts stored", s.earlier.stored),
        ("events of earlier starts quarantined", s.earlier.quarantined),
        ("events of earlier starts missed", s.earlier.missed),
    ]
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(place) => write!(f, "source {place}"),
            Self::Run => f.write_str("run"),
            Self::Sink(name) => write!(f, "sink {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::EarlierTotals;

    /// As full as it may be: every step has seen exactly what the one before it has.
    fn at_the_limit() -> Account {
        let source = |n: u64| SourceTotals {
            bytes: 300 * n,
            frames: 107 * n,
            frames_decoded: 70 * n,
            frames_control: 20 * n,
            frames_unknown: 10 * n,
            frames_rejected: 7 * n,
            decoded: 200 * n,
            own: 30 * n,
            duplicate: 4 * n,
            rejected: 8 * n,
            dropped: n,
            published: 217 * n,
            accepted: 217 * n,
            in_ring: 0,
        };
        let sink = |name: &str| SinkTotals {
            name: name.into(),
            position: 600,
            done: 651,
            received: 651,
            quarantined: 50,
            missed: 1,
            stored: 600,
            earlier: EarlierTotals { found: 60, stored: 50, quarantined: 5, missed: 2, pending: 3 },
            ..SinkTotals::default()
        };
        Account {
            sources: source(3),
            each_source: vec![source(1), source(2)],
            sinks: vec![sink("parquet"), sink("postgres")],
            accepted: 651,
            replayed: 0,
            durable: Some(651),
        }
    }

    /// The same with steps so far apart that one may fall alone.
    fn with_room() -> Account {
        let mut account = at_the_limit();
        for source in &mut account.each_source {
            source.frames += 1_000;
            source.decoded += 1_000;
            source.published += 500;
        }
        (account.sources.accepted, account.accepted, account.durable) = (3_651, 2_651, Some(1_651));
        account
    }

    /// The words of the violation, if there is one.
    fn words(watch: &mut AccountWatch, account: &Account) -> String {
        watch.check(account).map_or_else(|violation| violation.to_string(), |()| String::new())
    }

    #[test]
    fn a_step_that_has_seen_more_than_the_one_before_it_is_found() {
        type Break = fn(&mut Account);
        let gone = "source 2: 461 events published, duplicate, rejected or dropped, but only 460 decoded or own";
        let told = "source 1: 108 frames decoded, control, unknown or rejected, but only 107 received";
        let cases: [(Break, &str); 19] = [
            (|_| (), ""),
            (
                |a| a.each_source[0].frames -= 1,
                "source 1: 107 frames decoded, control, unknown or rejected, but only 106 received",
            ),
            (|a| a.each_source[0].frames_decoded += 1, told),
            (|a| a.each_source[0].frames_control += 1, told),
            (|a| a.each_source[0].frames_unknown += 1, told),
            (|a| a.each_source[0].frames_rejected += 1, told),
            (|a| a.each_source[1].published += 1, gone),
            (|a| a.each_source[1].duplicate += 1, gone),
            (|a| a.each_source[1].rejected += 1, gone),
            (|a| a.each_source[1].dropped += 1, gone),
            (
                |a| a.each_source[1].decoded -= 1,
                "source 2: 460 events published, duplicate, rejected or dropped, but only 459 decoded or own",
            ),
            (
                |a| a.each_source[1].own -= 1,
                "source 2: 460 events published, duplicate, rejected or dropped, but only 459 decoded or own",
            ),
            (|a| a.each_source[1].accepted += 1, "source 2: 435 events accepted, but only 434 published"),
            (|a| a.sources.accepted -= 1, "run: 651 sequence numbers given, but only 650 events accepted"),
            (|a| (a.accepted, a.sources.accepted) = (650, 650), "run: 651 events durable, but only 650 accepted"),
            (|a| a.durable = Some(650), "sink parquet: 651 events stored, quarantined or missed, but only 650 durable"),
            (|a| a.sinks[1].done += 1, "sink postgres: 652 events stored, quarantined or missed, but only 651 durable"),
            (|a| a.sinks[1].received += 1, "sink postgres: 652 events taken, but only 651 durable"),
            (
                |a| (a.durable, a.sinks[0].done) = (None, 652),
                "sink parquet: 652 events stored, quarantined or missed, but only 651 accepted",
            ),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut account = at_the_limit();
            change(&mut account);
            assert_eq!(words(&mut AccountWatch::default(), &account), expected, "case {index}");
        }
    }

    #[test]
    fn what_was_counted_may_not_be_taken_back() {
        type Break = fn(&mut Account);
        let cases: [(Break, &str); 21] = [
            (|a| a.each_source[0].bytes -= 1, "source 1: bytes went back from 300 to 299"),
            (|a| a.each_source[0].frames -= 1, "source 1: frames received went back from 1107 to 1106"),
            (|a| a.each_source[0].frames_decoded -= 1, "source 1: frames decoded went back from 70 to 69"),
            (|a| a.each_source[0].frames_control -= 1, "source 1: frames control went back from 20 to 19"),
            (|a| a.each_source[0].frames_unknown -= 1, "source 1: frames unknown went back from 10 to 9"),
            (|a| a.each_source[0].frames_rejected -= 1, "source 1: frames rejected went back from 7 to 6"),
            (|a| a.each_source[1].decoded -= 1, "source 2: events decoded went back from 1400 to 1399"),
            (|a| a.each_source[1].own -= 1, "source 2: events own went back from 60 to 59"),
            (|a| a.each_source[1].duplicate -= 1, "source 2: events duplicate went back from 8 to 7"),
            (|a| a.each_source[1].rejected -= 1, "source 2: events rejected went back from 16 to 15"),
            (|a| a.each_source[1].dropped -= 1, "source 2: events dropped went back from 2 to 1"),
            (|a| a.each_source[1].published -= 1, "source 2: events published went back from 934 to 933"),
            (|a| a.each_source[1].accepted -= 1, "source 2: events accepted went back from 434 to 433"),
            (|a| a.accepted -= 1, "run: accepted went back from 2651 to 2650"),
            (|a| a.durable = Some(1_650), "run: durable went back from 1651 to 1650"),
            (|a| a.sinks[1].position -= 1, "sink postgres: its position went back from 600 to 599"),
            (|a| a.sinks[1].quarantined -= 1, "sink postgres: events quarantined went back from 50 to 49"),
            (|a| a.sinks[1].missed -= 1, "sink postgres: events missed went back from 1 to 0"),
            (
                |a| a.sinks[1].earlier.stored -= 1,
                "sink postgres: events of earlier starts stored went back from 50 to 49",
            ),
            (
                |a| a.sinks[1].earlier.quarantined -= 1,
                "sink postgres: events of earlier starts quarantined went back from 5 to 4",
            ),
            (
                |a| a.sinks[1].earlier.missed -= 1,
                "sink postgres: events of earlier starts missed went back from 2 to 1",
            ),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut watch = AccountWatch::default();
            assert_eq!(words(&mut watch, &with_room()), "", "case {index}");
            assert_eq!(words(&mut watch, &with_room()), "", "case {index}: nothing happened");
            let mut account = with_room();
            change(&mut account);
            assert_eq!(words(&mut watch, &account), expected, "case {index}");
            assert_eq!(words(&mut watch, &account), "", "case {index}: it is told once");
        }
    }

    #[test]
    fn what_a_sink_gives_up_and_reads_again_is_no_violation() {
        let mut watch = AccountWatch::default();
        let mut account = at_the_limit();
        assert_eq!(words(&mut watch, &account), "");
        // After an unknown outcome the lane goes back to its position; skipped events above it are known as before.
        (account.sinks[0].received, account.sinks[0].in_sink) = (600, 0);
        assert_eq!(words(&mut watch, &account), "");
        // They lie below the position then, and what is found of earlier starts was an upper bound.
        (account.sinks[0].position, account.sinks[0].earlier.found) = (651, 57);
        assert_eq!(words(&mut watch, &account), "");
    }

    #[test]
    fn looks_and_violations_are_counted_and_the_first_is_kept() {
        let mut watch = AccountWatch::default();
        let mut account = at_the_limit();
        assert_eq!((watch.looks(), watch.violations(), watch.first()), (0, 0, None));
        watch.check(&account).unwrap();
        assert_eq!((watch.looks(), watch.violations(), watch.first()), (1, 0, None));
        account.sinks[0].received = 700;
        let first = watch.check(&account).unwrap_err();
        account.durable = Some(650);
        let second = watch.check(&account).unwrap_err();
        assert_ne!(first, second);
        assert_eq!((watch.looks(), watch.violations(), watch.first()), (3, 2, Some(&first)));
    }
}
