//! P8: the other sink is as quick beside a dead one as beside a healthy one.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
mod dead_store;

use common::Feedd;
use common::pg::{self, Size};
use dead_store::{Fault, Store, stored};
use feedd_testkit::promise::Report;
use std::time::{Duration, Instant};

/// Longest wait for anything that a busy machine makes slow: it finds what hangs.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Least speed of the other sink beside a dead one, as a share of that beside a healthy one: it finds a sink that waits,
/// not a machine that is busy. The figure stands in the note.
const SPEED_SHARE_MIN: f64 = 0.5;

/// Events a second that the other sink stores beside this one, from a source without a pause.
fn speed_beside(store: &Store, fault: Option<Fault>, events: u64) -> f64 {
    if let Some(fault) = fault {
        store.spoil(fault);
    }
    let dir = tempfile::tempdir().unwrap();
    // What is stored is told when files are finished.
    let small = ["--set", "parquet.file_age_max=1s", "--set", "postgres.batch_timeout=1s"];
    let source = ["--source", "sim", "--set", "source.0.rate=max", "--sink", "parquet", "--sink", "postgres"];
    let mut feedd = Feedd::start(&pg::run_args(dir.path(), &store.settings(), &[&source[..], &small].concat()));
    let mut reach = |target: u64| {
        pg::wait(&mut feedd, WAIT_MAX, "the other sink", |feedd| stored(&feedd.said(), "parquet") >= target);
        (Instant::now(), stored(&feedd.said(), "parquet"))
    };
    // Behind the start, when every buffer has been filled once.
    let (begin, before) = reach(events / 4);
    let (end, after) = reach(events);
    let speed = (after - before) as f64 / end.duration_since(begin).as_secs_f64();
    feedd.signal("KILL");
    drop(feedd.wait());
    if let Some(fault) = fault {
        store.heal(fault);
    }
    speed
}

#[test]
fn the_other_sink_is_as_quick_beside_a_dead_one_as_beside_a_healthy_one() {
    let is_day = Size::of_this_run() == Size::Day;
    let (events, rounds) = match Size::of_this_run() {
        Size::Day => (200_000, 1),
        Size::Ci => (2_000_000, 3),
        Size::Full => (10_000_000, 10),
    };
    let faults = if is_day { &[Fault::Hang][..] } else { &Fault::ALL };
    let Some(store) = Store::new() else { return };
    // Makes the tables.
    speed_beside(&store, None, 10_000);
    let (mut healthy, mut dead) = (Vec::new(), vec![Vec::new(); faults.len()]);
    for _ in 0..rounds {
        healthy.push(speed_beside(&store, None, events));
        for (fault, speeds) in faults.iter().zip(&mut dead) {
            speeds.push(speed_beside(&store, Some(*fault), events));
        }
    }
    let base = median(healthy);
    let shares: Vec<(&str, f64)> =
        faults.iter().zip(dead).map(|(fault, speeds)| (fault.name(), median(speeds) / base)).collect();
    let texts: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {share:.2}")).collect();
    let note = format!(
        "speed of the files beside it, against {base:.0} events/s beside a healthy store, medians of {rounds}: {}",
        texts.join(", ")
    );
    println!("{note}");
    let runs = rounds * faults.len() as u64;
    // One short run beside all other tests says nothing of speed; it shows that the files go on.
    let is_quick = is_day || shares.iter().all(|(_, share)| *share >= SPEED_SHARE_MIN);
    Report::new("P8")
        .runs(runs)
        .faults(runs)
        .fault_kinds("dead stores beside files at full speed")
        .demand(is_quick, &note)
        .note(&note)
        .finish();
}

fn median(mut speeds: Vec<f64>) -> f64 {
    speeds.sort_by(f64::total_cmp);
    speeds[speeds.len() / 2]
}
