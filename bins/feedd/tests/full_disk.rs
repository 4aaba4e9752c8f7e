//! P6: a disk that is filled by somebody else again and again, and freed after a random time: the recorder never ends by
//! itself, goes on when there is room, and loses nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::disk::fill_up;
use common::pg::{self, Size};
use common::{Feedd, run_args, stored};
use feedd_testkit::disk::LoopFs;
use feedd_testkit::promise::{Report, seed};
use std::time::{Duration, Instant};

/// Of the disk; a journal of a few segments and the files of some minutes fit.
const DISK_MIB: u64 = 32;
/// Longest time for which the disk stays full.
const FULL_MS_MAX: u64 = 1_500;
/// What the promise allows until events are durable again.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// What a machine that does other things beside may add, and the distance of health lines.
const MACHINE_SLACK: Duration = Duration::from_secs(3);
/// Longest wait for anything that a busy machine makes slow.
const WAIT_MAX: Duration = Duration::from_secs(120);

fn fills() -> u64 {
    match Size::of_this_run() {
        Size::Day => 3,
        Size::Ci => 50,
        Size::Full => 500,
    }
}

#[test]
fn a_disk_that_is_filled_again_and_again_stops_nothing_and_loses_nothing() {
    let Some(disk) = LoopFs::mount(DISK_MIB) else { return };
    let (seed, fills) = (seed(), fills());
    let mut rng = fastrand::Rng::with_seed(seed);
    let (data_dir, ballast) = (disk.path().join("data"), disk.path().join("ballast"));
    let settings = [
        "source.0.rate=400",
        "journal.segment_bytes=64KiB",
        "journal.bytes_max=512KiB",
        "parquet.file_age_max=5s",
        "retry.delay=100ms",
        "retry.max_delay=500ms",
        "health.interval=100ms",
    ];
    let source = ["--source", "sim"];
    let more: Vec<&str> = source.into_iter().chain(settings.iter().flat_map(|setting| ["--set", setting])).collect();
    let mut feedd = Feedd::start(&run_args(&data_dir, &more));
    pg::wait(&mut feedd, WAIT_MAX, "events", |feedd| pg::durable(&feedd.said()) > Some(100));
    let mut longest = Duration::ZERO;
    for _ in 0..fills {
        fill_up(&ballast);
        std::thread::sleep(Duration::from_millis(rng.u64(..FULL_MS_MAX)));
        let before = pg::durable(&feedd.said());
        std::fs::remove_file(&ballast).unwrap();
        let freed = Instant::now();
        pg::wait(&mut feedd, WAIT_MAX, "events after there is room", |feedd| pg::durable(&feedd.said()) > before);
        longest = longest.max(freed.elapsed());
        std::thread::sleep(Duration::from_millis(rng.u64(..300)));
    }
    let had_no_room = feedd.said().contains("No space left on device");
    feedd.signal("TERM");
    let ended = feedd.wait();
    let account = ended.assert_complete("after the disk was full so often");
    let rows = stored::read(&data_dir);
    stored::assert_dense("after the disk was full so often", &rows, 1, account.get("events.accepted"));
    let note = format!(
        "{} events, longest until events were durable again {:.1} s",
        account.get("events.accepted"),
        longest.as_secs_f64()
    );
    Report::new("P6")
        .runs(fills)
        .faults(fills)
        .fault_kinds("an ext4 filled by another process, freed after up to 1.5 s")
        .demand(longest <= AGAIN_MAX + MACHINE_SLACK, "events were not durable again soon enough")
        .demand(had_no_room, "no write ever found the disk full")
        .seed(seed)
        .note(&note)
        .finish();
}
