//! P9: with every sink down for as long as one likes, the recorder holds what its configuration says and no more; then
//! everything is stored.
//!
//! The files are on a disk that is full, the server hangs. Needs the right to mount.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
mod tally;

use common::Feedd;
use common::disk::SmallDisk;
use common::pg::{self, Size};
use feedd_testkit::postgres::Server;
use feedd_testkit::promise::Report;
use feedd_testkit::proxy::{Faults, Plan, Proxy, Sides, Target};
use std::process::Command;
use std::time::{Duration, Instant};
use tally::Tally;

/// Room of the disk for files while it is small, what is taken of it from the start, and the room afterwards. An event
/// takes some eight bytes there.
const DISK_KIB: usize = 1024;
const BALLAST_KIB: usize = 900;
const DISK_AFTER: &str = "4g";
const BLOCK_BYTES: u64 = 4_096 * 64;
const PARQUET_BYTES: u64 = 16 << 20;
/// What one source, the journal and both sinks may hold, in KiB, beside what they hold at rest:
///
/// - ring: 10,000 events of 64 bytes;
/// - 22 blocks of 4,096 events on the way to the journal, and two buffers of about 1 MiB for a commit;
/// - the lane of PostgreSQL: 34 blocks read and 30 gathered for batches of up to 50,000 events, and the batch as rows of
///   at most 256 bytes, twice while the buffer grows;
/// - the lane of the files: 19 and 15 blocks for batches of up to 20,000 events, and `parquet.memory_max`.
const GROWTH_KIB_MAX: u64 =
    (10_000 * 64 + (22 + 34 + 30 + 19 + 15) * BLOCK_BYTES + 2 * (1 << 20) + 2 * 50_000 * 256 + PARQUET_BYTES) / 1024;
/// Most growth in an hour, when the first part of the outage is over.
const SLOPE_KIB_PER_HOUR_MAX: f64 = 1024.0;
/// That part: every buffer has been filled in it.
const WARM_UP_SHARE: u32 = 4;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(500);

/// How long the sinks are down, and events a second.
fn size() -> (Duration, u64) {
    match Size::of_this_run() {
        Size::Day => (Duration::from_secs(4), 20_000),
        Size::Ci => (Duration::from_secs(300), 20_000),
        Size::Full => (Duration::from_secs(3_600), 10_000),
    }
}

/// What a process holds now, in KiB.
fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// KiB an hour: the line through all looks with the least squares of distances.
fn slope(looks: &[(f64, f64)]) -> f64 {
    let count = looks.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(|look| look.0), mean(|look| look.1));
    let both: f64 = looks.iter().map(|look| (look.0 - time) * (look.1 - memory)).sum();
    let times: f64 = looks.iter().map(|look| (look.0 - time).powi(2)).sum();
    both / times * 3_600.0
}

struct Scene {
    disk: SmallDisk,
    server: Server,
    database: String,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Option<Self> {
        let disk = SmallDisk::mount(DISK_KIB)?;
        disk.fill(BALLAST_KIB);
        let server = Server::start()?;
        let database = server.create_database();
        let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
        Some(Self { disk, server, database, proxy })
    }

    fn start(&self, data_dir: &std::path::Path, rate: u64, events: u64) -> Feedd {
        let mut settings = pg::settings("127.0.0.1", self.proxy.address().port(), &self.database);
        let pairs = [
            format!("source.0.rate={rate}"),
            "source.0.channels=trades".to_owned(),
            "source.0.burst_every_frames=0".to_owned(),
            format!("parquet.dir={}", self.disk.path().display()),
            format!("parquet.memory_max={PARQUET_BYTES}B"),
            "parquet.file_age_max=1s".to_owned(),
            "journal.bytes_max=16GiB".to_owned(),
            "health.interval=1s".to_owned(),
        ];
        settings.extend(pairs.into_iter().flat_map(|pair| ["--set".to_owned(), pair]));
        let events = events.to_string();
        let more = ["--source", "sim", "--sink", "parquet", "--sink", "postgres", "--events", &events];
        Feedd::start(&pg::run_args(data_dir, &settings, &more))
    }

    /// Both sinks store nothing from here on.
    fn stop_sinks(&self, feedd: &mut Feedd) {
        self.proxy.set(Faults { stall: Sides::BOTH, ..Faults::default() });
        feedd.wait_until_said("No space left on device");
    }

    fn heal(&self) {
        let size = format!("remount,size={DISK_AFTER}");
        let grown = Command::new("mount").args(["-o", &size]).arg(self.disk.path()).status().unwrap();
        assert!(grown.success(), "the disk grows");
        self.proxy.set(Faults::default());
    }
}

/// Looks at the memory for as long as the sinks are down.
fn watch(feedd: &mut Feedd, down: Duration) -> Vec<(f64, f64)> {
    let (begun, mut looks) = (Instant::now(), Vec::new());
    while begun.elapsed() < down {
        assert!(feedd.is_running(), "ended with its sinks down\n{}", feedd.said());
        if begun.elapsed() >= down / WARM_UP_SHARE {
            looks.push((begun.elapsed().as_secs_f64(), memory_kib(feedd.pid()) as f64));
        }
        std::thread::sleep(LOOK);
    }
    looks
}

#[test]
fn with_every_sink_down_memory_stays_within_the_configuration_and_everything_is_stored_later() {
    let (down, rate) = size();
    let Some(scene) = Scene::new() else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let events = rate * (down.as_secs() + 2);
    let mut feedd = scene.start(dir.path(), rate, events);
    let most = Duration::from_secs(120) + 2 * down;
    pg::wait(&mut feedd, most, "rows in the store", |_| pg::confirmed(&scene.server, &scene.database, 1) > 0);
    let at_rest_kib = pg::memory_peak_kib(feedd.pid()).unwrap();
    scene.stop_sinks(&mut feedd);
    let looks = watch(&mut feedd, down);
    let down_kib = pg::memory_peak_kib(feedd.pid()).unwrap();
    let durable = pg::durable(&feedd.said()).unwrap();
    let behind = durable - pg::confirmed(&scene.server, &scene.database, 1);

    scene.heal();
    let (back, mut peak_kib) = (Instant::now(), down_kib);
    while feedd.is_running() {
        peak_kib = pg::memory_peak_kib(feedd.pid()).unwrap_or(peak_kib);
        assert!(back.elapsed() < most, "the sinks are back, and the recorder does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = feedd.wait();
    let account = ended.account();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(account.is_complete(), "{account:?}");
    let accepted = account.get("events.accepted");
    assert!(accepted >= events, "{account:?}");
    let tables = pg::spreads(&scene.server, &scene.database);
    let [table] = tables.as_slice() else { panic!("one start: {tables:?}") };
    let files = Tally::of(scene.disk.path(), 1, |_, _| ());

    let slope_kib = slope(&looks);
    let bound_kib = (at_rest_kib + GROWTH_KIB_MAX) * 11 / 10;
    let note = format!(
        "all sinks down for {down:?} at {rate}/s, {behind} events behind; {at_rest_kib} KiB at rest, {down_kib} most while \
         down, {peak_kib} most until all was stored, {bound_kib} by configuration and 10 %; {slope_kib:.0} KiB/h while down"
    );
    println!("{note}");
    // Within minutes the slope is that of single pages.
    let is_flat = Size::of_this_run() != Size::Full || slope_kib < SLOPE_KIB_PER_HOUR_MAX;
    Report::new("P9")
        .runs(1)
        .faults(2)
        .fault_kinds("a full disk and a hanging server at once")
        .lost(2 * accepted - table.different - files.different())
        .duplicated(table.rows - table.different + files.rows - files.different())
        .demand(behind >= rate * down.as_secs() / 2, "the sinks were not down")
        .demand(peak_kib <= bound_kib, &format!("memory grew: {note}"))
        .demand(is_flat, &format!("memory grows: {note}"))
        .note(&note)
        .finish();
}
