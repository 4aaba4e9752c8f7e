//! Power cuts on a simulated disk: what was durable is there afterwards, unaltered, once; nothing else is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{append, at, config, event, open_sim_with, seed};
use feedd_journal::testing::SimDisk;
use feedd_journal::{Cause, Item, Journal, Sync};
use feedd_model::Position;
use feedd_testkit::promise::Report;
use std::collections::BTreeMap;
use std::path::Path;

/// What a run knows about the truth.
#[derive(Debug, Default)]
struct Truth {
    /// Last sequence appended in each epoch.
    appended: BTreeMap<u32, u64>,
    /// Told as durable, or read by a cursor.
    durable: BTreeMap<u32, u64>,
    trimmed: Position,
}

impl Truth {
    fn note(&mut self, journal: &Journal) {
        let durable = journal.tail().durable();
        let known = self.durable.entry(durable.epoch.0).or_default();
        *known = durable.seq.0.max(*known);
    }

    /// Compares with what a new start reads. `Err` says what is wrong.
    fn check(&mut self, journal: &Journal) -> Result<(), String> {
        let mut cursor = journal.cursor();
        cursor.seek(self.trimmed).map_err(|error| error.to_string())?;
        let mut last = (self.trimmed.epoch.0, self.trimmed.seq.0);
        let mut found: BTreeMap<u32, u64> = BTreeMap::new();
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        while let Some(item) = cursor.next().map_err(|error| error.to_string())? {
            match item {
                Item::Events { epoch, first, events, .. } => {
                    for (seq, read) in (first.0..).zip(events) {
                        if (epoch.0, seq) <= last {
                            return Err(format!("epoch {epoch} seq {seq} again after {last:?}"));
                        }
                        if seq > self.appended.get(&epoch.0).copied().unwrap_or(0) || *read != event(epoch.0, seq) {
                            return Err(format!("epoch {epoch} seq {seq} was never written so"));
                        }
                        last = (epoch.0, seq);
                        found.insert(epoch.0, seq);
                        if seq <= self.durable.get(&epoch.0).copied().unwrap_or(0) {
                            *counts.entry(epoch.0).or_default() += 1;
                        }
                    }
                }
                Item::Missing { epoch, first, cause, .. } => {
                    if cause == Cause::Damaged && first.0 <= self.durable.get(&epoch.0).copied().unwrap_or(0) {
                        return Err(format!("epoch {epoch} seq {first} was durable and is missing"));
                    }
                }
                Item::Epoch { .. } | Item::End { .. } => {}
            }
        }
        for (&epoch, &durable) in self.durable.range(self.trimmed.epoch.0..) {
            let trimmed = if epoch == self.trimmed.epoch.0 { self.trimmed.seq.0 } else { 0 };
            let count = counts.get(&epoch).copied().unwrap_or(0);
            if count != durable.saturating_sub(trimmed) {
                return Err(format!("epoch {epoch}: {count} of {durable} durable events (trimmed {trimmed})"));
            }
        }
        // What was read now has been given to sinks: it must be there ever after. Holes stay holes.
        for (epoch, seq) in found {
            let whole = counts.get(&epoch).copied().unwrap_or(0) > 0;
            if whole && self.durable.get(&epoch).is_none_or(|&known| known < seq) {
                self.raise_if_dense(journal, epoch, seq);
            }
        }
        Ok(())
    }

    /// Raises the watermark of an epoch when everything up to `seq` was read.
    fn raise_if_dense(&mut self, journal: &Journal, epoch: u32, seq: u64) {
        let mut cursor = journal.cursor();
        let from = if epoch == self.trimmed.epoch.0 { self.trimmed.seq.0 } else { 0 };
        let mut next = from + 1;
        if cursor.seek(at(epoch, from)).is_err() {
            return;
        }
        while let Ok(Some(item)) = cursor.next() {
            match item {
                Item::Events { epoch: found, first, events, .. } if found.0 == epoch && first.0 == next => {
                    next += events.len() as u64;
                }
                Item::Epoch { epoch: found, .. } if found.0 == epoch => {}
                _ => break,
            }
        }
        let known = self.durable.entry(epoch).or_default();
        *known = (*known).max(seq.min(next - 1));
    }
}

/// One disk through several lives, each ended by a power cut. `calls`: when the power fails in each life.
fn run(seed: u64, disk: &SimDisk, lives: &[u64]) -> Result<Truth, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut truth = Truth::default();
    let mut epoch = 0;
    for &calls in lives {
        disk.fail_power_after(calls);
        epoch += 1;
        live(&mut random, disk, epoch, &mut truth)?;
        disk.power_cut();
    }
    epoch += 1;
    let config = config(Path::new(common::DIR));
    let (journal, _) = open_sim_with(disk, epoch, config).map_err(|error| format!("start refused: {error}"))?;
    truth.check(&journal)?;
    Ok(truth)
}

/// A life until the power fails, or for a while.
fn live(random: &mut fastrand::Rng, disk: &SimDisk, epoch: u32, truth: &mut Truth) -> Result<(), String> {
    let mut config = config(Path::new(common::DIR));
    config.sync = Sync::Always;
    let Ok((mut journal, _)) = open_sim_with(disk, epoch, config) else { return Ok(()) };
    truth.check(&journal)?;
    let mut last = 0;
    for _ in 0..40 {
        append(&mut journal, epoch, &mut last, random.u64(1..=80));
        truth.appended.insert(epoch, last);
        if random.u8(..4) > 0 {
            let failed = journal.commit().is_err();
            truth.note(&journal);
            if failed {
                return Ok(());
            }
        }
        if random.u8(..8) == 0 {
            let stored = journal.oldest_segment_end().filter(|end| *end <= journal.tail().durable());
            if let Some(stored) = stored {
                truth.trimmed = truth.trimmed.max(stored);
                if journal.trim(truth.trimmed).is_err() {
                    return Ok(());
                }
            }
        }
    }
    if random.bool() && journal.close(feedd_model::UnixNanos(9)).is_ok() {
        truth.note(&journal);
    }
    Ok(())
}

fn random_lives(seed: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x11fe);
    (0..random.usize(1..=4)).map(|_| random.u64(1..160)).collect()
}

#[test]
fn nothing_durable_is_lost_in_random_power_cuts() {
    let first = seed(1);
    let runs = if common::is_full() { 100_000 } else { 2_000 };
    let mut durable = 0;
    for seed in first..first + runs {
        let truth =
            run(seed, &SimDisk::new(seed), &random_lives(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        durable += truth.durable.values().sum::<u64>();
    }
    let kinds = "power cuts: reordered and torn sectors, lost folder entries";
    Report::new("P1")
        .runs(runs)
        .faults(runs)
        .fault_kinds(kinds)
        .seed(first)
        .note(&format!("{durable} durable"))
        .finish();
    assert!(durable > runs * 100, "the runs did something");
}

#[test]
fn nothing_durable_is_lost_whatever_call_was_the_last() {
    let first = seed(1);
    let (mut cuts, mut longest) = (0, 0);
    for seed in first..first + if common::is_full() { 50 } else { 5 } {
        let disk = SimDisk::new(seed);
        run(seed, &disk, &[u64::MAX]).unwrap();
        let calls = disk.calls();
        longest = calls.max(longest);
        for last in 0..=calls {
            // The second life meets what the first left; the third is cut early, inside recovery.
            run(seed, &SimDisk::new(seed ^ last << 8), &[last, last / 2, last % 12])
                .unwrap_or_else(|error| panic!("seed {seed} cut after call {last}: {error}"));
            cuts += 1;
        }
    }
    let kinds = "power cuts after every I/O call of a trace";
    Report::new("P1").runs(cuts).faults(cuts).fault_kinds(kinds).seed(first).finish();
    assert!(longest > 80, "the trace is not trivial: {longest}");
}

/// How many of 200 runs lose something on a disk whose syncs do nothing.
fn failing_percent(of_data: bool, of_names: bool) -> u64 {
    let first = seed(1);
    let runs = 200;
    let is_lost = |seed: &u64| {
        let disk = SimDisk::new(*seed);
        disk.lose_syncs(of_data, of_names);
        run(*seed, &disk, &random_lives(*seed)).is_err()
    };
    let failed = (first..first + runs).filter(is_lost).count() as u64;
    println!("{failed} of {runs} runs without syncs lost durable events");
    failed * 100 / runs
}

#[test]
fn the_test_sees_a_journal_without_fdatasync() {
    assert!(failing_percent(true, false) >= 50);
}

#[test]
fn the_test_sees_a_journal_without_folder_syncs() {
    assert!(failing_percent(false, true) > 0);
}

#[test]
fn a_journal_that_leaves_syncing_to_the_system_can_lose_commits() {
    let disk = SimDisk::new(seed(3));
    let mut lost = 0;
    let mut last = 0;
    for _ in 0..40 {
        let config = feedd_journal::JournalConfig { sync: Sync::Os, ..config(Path::new(common::DIR)) };
        let epoch = last + 1;
        let (mut journal, _) = open_sim_with(&disk, epoch, config).unwrap();
        let mut seq = 0;
        append(&mut journal, epoch, &mut seq, 60);
        journal.commit().unwrap();
        drop(journal);
        disk.power_cut();
        let config = feedd_journal::JournalConfig { sync: Sync::Os, ..common::config(Path::new(common::DIR)) };
        last = epoch + 1;
        let (journal, _) = open_sim_with(&disk, last, config).unwrap();
        lost += u64::from(common::Log::read(&mut journal.cursor()).seqs(epoch).len() < 60);
    }
    assert!(lost > 0, "otherwise the setting would have no cost");
}
