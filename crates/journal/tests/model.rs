//! Any sequence of calls gives back what was appended, above the trim.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Log, append, at, open_sim};
use feedd_journal::testing::SimDisk;
use feedd_model::{Position, UnixNanos};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u64),
    Commit,
    /// Trim to this share of what is durable, in percent.
    Trim(u64),
    Reopen {
        in_order: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u64..200).prop_map(Step::Append),
        3 => Just(Step::Commit),
        1 => (0u64..=100).prop_map(Step::Trim),
        1 => any::<bool>().prop_map(|in_order| Step::Reopen { in_order }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if common::is_full() { 20_000 } else { 400 },
        // A failing case is printed whole.
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(common::seed(1)),
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_was_appended_comes_back(steps in steps()) {
        let disk = SimDisk::new(1);
        let (mut epoch, mut last) = (1, 0);
        let mut written: Vec<(u32, u64)> = Vec::new();
        let mut committed = 0;
        let mut trimmed = Position::default();
        let mut journal = open_sim(&disk, epoch).unwrap().0;
        for step in steps {
            match step {
                Step::Append(count) => {
                    written.extend((last + 1..=last + count).map(|seq| (epoch, seq)));
                    append(&mut journal, epoch, &mut last, count);
                }
                Step::Commit => {
                    journal.commit().unwrap();
                    committed = written.len();
                }
                Step::Trim(percent) => {
                    let share = committed * usize::try_from(percent).unwrap() / 100;
                    if let Some(&(epoch, seq)) = written[..share].last() {
                        trimmed = trimmed.max(at(epoch, seq));
                        journal.trim(trimmed).unwrap();
                    }
                }
                Step::Reopen { in_order } => {
                    if in_order {
                        journal.close(UnixNanos(1)).unwrap();
                        committed = written.len();
                    }
                    drop(journal);
                    disk.power_cut();
                    // What was not committed may be there in part, or not.
                    written.truncate(committed);
                    epoch += 1;
                    last = 0;
                    let (opened, recovered) = open_sim(&disk, epoch).unwrap();
                    prop_assert_eq!(recovered.clean, in_order);
                    prop_assert!(recovered.damage.is_empty() && recovered.torn_bytes == 0);
                    journal = opened;
                }
            }
            prop_assert!(journal.usage().bytes_used == disk.bytes_used());
        }
        let mut cursor = journal.cursor();
        cursor.seek(trimmed).unwrap();
        let log = Log::read(&mut cursor);
        log.assert_unaltered();
        let expected: Vec<_> =
            written[..committed].iter().copied().filter(|&(epoch, seq)| at(epoch, seq) > trimmed).collect();
        prop_assert_eq!(log.events.keys().copied().collect::<Vec<_>>(), expected);
        prop_assert!(log.missing.is_empty());
    }
}
