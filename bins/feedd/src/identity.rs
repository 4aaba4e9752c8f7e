//! The identity every store has to satisfy, judged from counts alone.
//!
//! Of one start, up to the sink's position, every sequence number is a row, missing by a marker, in quarantine, or was dropped
//! for its age; each once. Above the position, everything the journal has seen is in it or in quarantine.

use feedd_core::EpochAudit;
use feedd_model::Seq;

/// What is known of one start and one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the store itself says.
    pub audit: EpochAudit,
    /// Rows above the position are stored early, by partitions that are ahead, and no fault.
    pub may_be_early: bool,
    /// Events in quarantine that wait, by sequence.
    pub quarantined: Vec<Seq>,
    /// The journal's part of this start; `None` when it holds nothing of it.
    pub journal: Option<JournalSpan>,
    /// A recorder moves while it is looked at: only what holds at every moment is judged.
    pub moving: bool,
}

/// The journal's part of one start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalSpan {
    /// First event present.
    pub first: Seq,
    /// Last event known, present or lost.
    pub last: Seq,
    /// Ranges that are known to be lost to damage.
    pub lost: Vec<(Seq, Seq)>,
}

/// What follows from the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Events in quarantine at or below the position.
    pub quarantined: u64,
    /// Events that the journal holds for this sink; `None` when it holds nothing of the start.
    pub pending: Option<u64>,
    /// What is wrong; nothing for a pass.
    pub faults: Vec<String>,
}

/// Judges one start of one sink.
#[must_use]
pub fn judge(facts: &Facts) -> Judgement {
    let EpochAudit { stored_seq, rows, duplicates, beyond, markers, missed, dropped_events, .. } = facts.audit;
    let quarantined = facts.quarantined.iter().filter(|seq| **seq <= stored_seq).count() as u64;
    let mut faults = Vec::new();
    let explained = (rows + missed + quarantined).saturating_sub(markers) + dropped_events;
    if explained < stored_seq.0 {
        let events = stored_seq.0 - explained;
        faults.push(format!(
            "{events} of the events up to the position are neither stored nor accounted for; what was moved away by hand, or \
             dropped by retention without a record of it, counts, too"));
    } else if explained > stored_seq.0 && !facts.moving {
        let events = explained - stored_seq.0;
        faults.push(format!(
            "{events} more than the events up to the position are stored or accounted for; if a retry of the quarantine \
             was cut short, repeat it"
        ));
    }
    if duplicates > 0 {
        faults.push(format!("{duplicates} rows stand more than once"));
    }
    if beyond > 0 && !facts.may_be_early {
        faults.push(format!("{beyond} rows stand above the position"));
    }
    let pending = facts.journal.as_ref().map(|journal| {
        let (pending, more) = above(facts, journal);
        faults.extend(more);
        pending
    });
    Judgement { quarantined, pending, faults }
}

/// What the journal holds above the position, and what is wrong there.
fn above(facts: &Facts, journal: &JournalSpan) -> (u64, Option<String>) {
    let stored = facts.audit.stored_seq;
    if stored > journal.last {
        let fault =
            format!("the position is {} above the last event that the journal ever held", stored.0 - journal.last.0);
        return (0, Some(fault));
    }
    let is_above = |seq: &&Seq| **seq > stored && **seq <= journal.last;
    let quarantined = facts.quarantined.iter().filter(is_above).count() as u64;
    // From here on the journal has events; what lies before it and above the position was given up.
    let from = journal.first.max(stored.next());
    let given_up = from.0 - stored.0 - 1;
    let lost = |&(first, last): &(Seq, Seq)| (last.min(journal.last).0 + 1).saturating_sub(first.max(from).0);
    let gone = given_up + journal.lost.iter().map(lost).sum::<u64>();
    let pending = (journal.last.0 - stored.0).saturating_sub(quarantined + gone);
    // A running recorder stores, trims and marks between two looks.
    let fault = (gone > 0 && !facts.moving).then(|| {
        format!(
            "{gone} events above the position are not in the journal any more; the next start marks them as missing"
        )
    });
    (pending, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(stored_seq: u64, rows: u64) -> EpochAudit {
        EpochAudit { stored_seq: Seq(stored_seq), rows, ..EpochAudit::default() }
    }

    fn facts(audit: EpochAudit) -> Facts {
        Facts { audit, ..Facts::default() }
    }

    fn span(first: u64, last: u64, lost: &[(u64, u64)]) -> Option<JournalSpan> {
        let lost = lost.iter().map(|&(first, last)| (Seq(first), Seq(last))).collect();
        Some(JournalSpan { first: Seq(first), last: Seq(last), lost })
    }

    fn seqs(seqs: &[u64]) -> Vec<Seq> {
        seqs.iter().copied().map(Seq).collect()
    }

    #[test]
    fn what_adds_up_passes_and_what_does_not_is_named() {
        let marked = EpochAudit { markers: 2, missed: 30, ..audit(100, 70) };
        let cases = [
            // name, facts, pending, words of the fault
            ("nothing recorded", facts(audit(0, 0)), None, ""),
            ("all stored", facts(audit(100, 100)), None, ""),
            ("one row gone", facts(audit(100, 99)), None, "1 of the events up to the position are neither"),
            ("one row too many", facts(audit(100, 101)), None, "1 more than"),
            ("markers", Facts { quarantined: seqs(&[5, 6]), ..facts(marked) }, None, ""),
            (
                "markers, one less in quarantine",
                Facts { quarantined: seqs(&[5, 101]), ..facts(marked) },
                None,
                "neither",
            ),
            (
                "old days dropped",
                facts(EpochAudit { dropped_rows: 40, dropped_events: 40, ..audit(100, 60) }),
                None,
                "",
            ),
            (
                "one more gone than was dropped",
                facts(EpochAudit { dropped_rows: 40, dropped_events: 40, ..audit(100, 59) }),
                None,
                "1 of the events up to the position are neither",
            ),
            (
                "markers among what was dropped",
                facts(EpochAudit { dropped_rows: 11, dropped_events: 40, ..audit(100, 60) }),
                None,
                "",
            ),
            ("twice", facts(EpochAudit { duplicates: 3, ..audit(100, 100) }), None, "3 rows stand more than once"),
            ("early", facts(EpochAudit { beyond: 3, ..audit(100, 100) }), None, "3 rows stand above"),
            (
                "early where that is in order",
                Facts { may_be_early: true, ..facts(EpochAudit { beyond: 3, ..audit(100, 100) }) },
                None,
                "",
            ),
            ("pending", Facts { journal: span(1, 120, &[]), ..facts(audit(100, 100)) }, Some(20), ""),
            (
                "pending without what is in quarantine",
                Facts { journal: span(50, 120, &[]), quarantined: seqs(&[101, 120, 121]), ..facts(audit(100, 100)) },
                Some(18),
                "",
            ),
            (
                "trimmed up to the position",
                Facts { journal: span(101, 120, &[]), ..facts(audit(100, 100)) },
                Some(20),
                "",
            ),
            (
                "trimmed above the position",
                Facts { journal: span(106, 120, &[]), ..facts(audit(100, 100)) },
                Some(15),
                "5 events above the position are not in the journal",
            ),
            (
                "damage below the position",
                Facts { journal: span(1, 120, &[(90, 100)]), ..facts(audit(100, 100)) },
                Some(20),
                "",
            ),
            (
                "damage above the position",
                Facts { journal: span(1, 120, &[(95, 104), (119, 120)]), ..facts(audit(100, 100)) },
                Some(14),
                "6 events above the position are not in the journal",
            ),
            (
                "damage at the beginning of what is left",
                Facts { journal: span(106, 120, &[(101, 105)]), ..facts(audit(100, 100)) },
                Some(15),
                "5 events above",
            ),
            (
                "ahead of the journal",
                Facts { journal: span(1, 99, &[]), ..facts(audit(100, 100)) },
                Some(0),
                "1 above the last event that the journal ever held",
            ),
        ];
        for (name, facts, pending, words) in cases {
            let judged = judge(&facts);
            assert_eq!(judged.pending, pending, "{name}: {judged:?}");
            assert_eq!(judged.faults.len(), usize::from(!words.is_empty()), "{name}: {judged:?}");
            assert!(judged.faults.iter().all(|fault| fault.contains(words)), "{name}: {judged:?}");
        }
    }

    #[test]
    fn of_a_moving_recorder_only_what_always_holds_is_judged() {
        let moving = |facts: Facts| judge(&Facts { moving: true, ..facts }).faults.len();
        assert_eq!(moving(facts(audit(100, 101))), 0, "an event may be stored late meanwhile");
        assert_eq!(
            moving(Facts { journal: span(106, 120, &[]), ..facts(audit(100, 100)) }),
            0,
            "it was trimmed meanwhile"
        );
        assert_eq!(moving(facts(audit(100, 99))), 1);
        assert_eq!(moving(facts(EpochAudit { duplicates: 1, ..audit(100, 100) })), 1);
        assert_eq!(moving(Facts { journal: span(1, 99, &[]), ..facts(audit(100, 100)) }), 1);
    }

    #[test]
    fn faults_add_up() {
        let audit = EpochAudit { duplicates: 1, beyond: 2, ..audit(100, 90) };
        assert_eq!(judge(&Facts { journal: span(1, 50, &[]), ..facts(audit) }).faults.len(), 4);
    }
}
