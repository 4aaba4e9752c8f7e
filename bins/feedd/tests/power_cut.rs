//! P1 and P7: a recorder whose power is cut loses nothing that it called durable, and calls nothing durable that is not.
//!
//! Data and journal are on an ext4 of their own over a loop device; FS_IOC_SHUTDOWN throws away what is not on the disk and
//! lets every later write and sync fail. What feedd said is on another disk. Needs root.
//!
//! A sync that is in flight at that moment may come back as a success although what it was to sync is gone: the kernel says
//! so, seen with strace on Linux 6.18. With the power really gone nobody hears it. So only what was said before the cut
//! counts in those runs. In the other runs the recorder is stopped between two system calls while the power is cut; then
//! all it ever says counts.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use bigdecimal::BigDecimal;
use common::{Feedd, run, run_args, stored};
use feedd_model::UnixNanos;
use feedd_testkit::disk::LoopFs;
use feedd_testkit::promise::{self, Report};
use feedd_venues::sim::{SimConfig, SimMarket};
use std::time::{Duration, Instant, SystemTime};

/// Room of the disk; the file behind it is sparse.
const DISK_MIB: u64 = 512;
/// Longest time from the first durable event to the cut.
const RUN_MS_MAX: u64 = 700;
/// Longest time from the cut to the end of the recorder, before it is asked to end.
const END_MAX: Duration = Duration::from_secs(5);
/// Small segments and files: a cut meets the making of new ones.
const SMALL: [&str; 8] = [
    "--set",
    "journal.segment_bytes=1MiB",
    "--set",
    "journal.bytes_max=256MiB",
    "--set",
    "parquet.file_bytes_max=1MiB",
    "--set",
    "parquet.memory_max=4MiB",
];

/// The number of runs in an ordinary test, with `FEEDD_SOAK=ci`, and with `FEEDD_SOAK=full`.
fn runs(ordinary: u64, ci: u64, full: u64) -> u64 {
    match std::env::var("FEEDD_SOAK") {
        Ok(soak) if soak == "ci" => ci,
        _ if promise::full() => full,
        _ => ordinary,
    }
}

/// In which moment the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Any.
    Any,
    /// No system call of the recorder is under way.
    Between,
}

/// What one cut did.
#[derive(Debug)]
struct Cut {
    moment: Moment,
    /// The recorder did not end before it was asked to.
    waited: bool,
    /// What was said to be durable last before the cut, and last of all.
    durable: u64,
    durable_at_end: u64,
    /// What is there afterwards, from the first event on without a hole.
    kept: u64,
    accepted: u64,
}

impl Cut {
    /// Events that were durable before the cut, and are gone.
    const fn lost(&self) -> u64 {
        self.durable.saturating_sub(self.kept)
    }

    /// Events that were ever called durable, and are not there.
    const fn false_durable(&self) -> u64 {
        self.durable_at_end.saturating_sub(self.kept)
    }
}

/// Records a simulated market until the power is cut, starts again on what is left, and reads everything back.
fn cut(case: &str, sync: &str, moment: Moment, seed: u64, rng: &mut fastrand::Rng) -> Option<Cut> {
    let mut disk = LoopFs::mount(DISK_MIB)?;
    let data = disk.path().join("data");
    let (set_sync, source_seed) = (format!("journal.sync={sync}"), format!("source.0.seed={seed}"));
    let args = ["--source", "sim", "--set", "source.0.rate=max", "--set", &source_seed, "--set", &set_sync];
    let args = [&args[..], &SMALL, &["--set", "health.interval=100ms", "--set", "stop.deadline=1s"]].concat();
    let mut feedd = Feedd::start(&run_args(&data, &args));
    feedd.wait_until("events are durable", |feedd| last_durable(&feedd.said()) > 0);
    std::thread::sleep(Duration::from_millis(rng.u64(0..RUN_MS_MAX)));
    let durable = last_durable(&feedd.said());
    if moment == Moment::Between {
        stop_between_calls(&feedd);
    }
    disk.shutdown();
    feedd.signal("CONT");
    let cut_at = UnixNanos(i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap());
    // It may end by itself, or wait for a disk that never comes back until it is asked to end.
    let limit = Instant::now() + END_MAX;
    while feedd.is_running() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    let waited = feedd.is_running();
    if waited {
        feedd.signal("TERM");
    }
    let ended = feedd.wait();
    let durable_at_end = last_durable(&ended.stderr);
    // It knows that it has not kept everything, and says so.
    assert_eq!(ended.code(), Some(1), "{case}: {}", ended.stderr);
    assert!(ended.stderr.contains("the journal failed; what it does not hold is lost"), "{case}: {}", ended.stderr);
    let verdict = ended.account().verdict;
    assert!(!verdict.starts_with("complete"), "{case}: {verdict}");
    disk.remount();

    // The same command again: no step by hand.
    let ended_again = run(&data, &[&args[..], &["--events", "3000"]].concat());
    let account = ended_again.assert_complete(case);
    let rows = stored::read(&data);
    let seqs = stored::seqs(&rows).remove(&1).unwrap_or_default();
    let kept = seqs.iter().zip(1..).take_while(|&(&seq, wanted)| seq == wanted).count() as u64;
    let accepted = ended.account().get("events.accepted");
    // Without a sync holes are to be expected, and maybe no trace of the first start at all.
    if sync != "os" {
        stored::assert_dense(case, &rows, 1, seqs.last().copied().unwrap_or(0));
        stored::assert_dense(case, &rows, 2, account.get("events.accepted"));
        assert_trades(case, &rows, seed);
        assert_gap(case, &rows, cut_at);
    }
    Some(Cut { moment, waited, durable, durable_at_end, kept, accepted })
}

/// Stops every thread of the recorder; a thread inside a write or a sync stops when that has come back.
fn stop_between_calls(feedd: &Feedd) {
    feedd.signal("STOP");
    let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        // Behind the name, which is in parentheses. A thread that has ended has no file.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    };
    let limit = Instant::now() + END_MAX;
    while !std::fs::read_dir(format!("/proc/{}/task", feedd.pid())).unwrap().all(is_stopped) {
        assert!(Instant::now() < limit, "a thread does not stop");
        std::thread::yield_now();
    }
}

/// The second start tells of the time without a recorder: the cut lies in it, and so does all that is gone, which was
/// received after the last kept event.
fn assert_gap(case: &str, rows: &[stored::Rows], cut_at: UnixNanos) {
    let gaps: Vec<(u32, u64)> = stored::of(rows, "gaps").flat_map(stored::Rows::places).collect();
    assert_eq!(gaps, [(2, 1)], "{case}: one gap, the first event of the second start");
    let gap = stored::of(rows, "gaps").next().unwrap();
    let time = |column| gap.numbers::<TimestampNanosecondType>(column).value(0);
    assert_eq!(gap.texts("reason").value(0), "recorder_down", "{case}");
    assert!(time("from_ts") <= cut_at.0 && cut_at.0 <= time("to_ts"), "{case}: the cut lies in the gap");
    let times = |rows: &stored::Rows| rows.numbers::<TimestampNanosecondType>("recv_ts").clone();
    let kept = rows.iter().filter(|rows| rows.dataset != "gaps").flat_map(|rows| {
        let times = times(rows);
        rows.places().zip(0..).map(move |(place, at)| (place, times.value(at))).collect::<Vec<_>>()
    });
    let (_, last_at) = kept.filter(|((epoch, _), _)| *epoch == 1).max().unwrap();
    // The journal keeps whole milliseconds.
    let early_ns = last_at - time("from_ts");
    assert!((0..=1_000_000).contains(&early_ns), "{case}: the gap begins {early_ns} ns before the last kept event");
}

/// The stored trades of the first start, in the order of their sequence, are the simulator's first ones: no phantom, no hole,
/// nothing altered.
fn assert_trades(case: &str, rows: &[stored::Rows], seed: u64) {
    let mut found: Vec<(u64, Trade)> = Vec::new();
    for rows in stored::of(rows, "trades") {
        let (ids, symbols) = (rows.numbers::<UInt64Type>("trade_id"), rows.texts("symbol"));
        let values = rows.decimals("price").zip(rows.decimals("size"));
        for (((epoch, seq), (price, size)), at) in rows.places().zip(values).zip(0..) {
            if epoch == 1 {
                found.push((seq, Trade { symbol: symbols.value(at).into(), id: ids.value(at), price, size }));
            }
        }
    }
    found.sort_by_key(|(seq, _)| *seq);
    let mut wanted = simulated(seed);
    for (seq, found) in &found {
        assert_eq!(Some(found), wanted.next().as_ref(), "{case}: seq {seq}");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Trade {
    symbol: String,
    id: u64,
    price: BigDecimal,
    size: BigDecimal,
}

/// The simulator's trades from its first, read from its texts by a general parser.
fn simulated(seed: u64) -> impl Iterator<Item = Trade> {
    let mut market = SimMarket::new(&SimConfig { seed, ..SimConfig::default() }).unwrap();
    let mut text = String::new();
    std::iter::from_fn(move || {
        loop {
            market.next_frame(UnixNanos(0), &mut text);
            if text.contains(r#""e":"trade""#) {
                break;
            }
        }
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        let frame = frame.get("data").unwrap_or(&frame);
        let decimal = |name: &str| frame[name].as_str().unwrap().parse::<BigDecimal>().unwrap().normalized();
        let symbol = frame["s"].as_str().unwrap().to_owned();
        Some(Trade { symbol, id: frame["t"].as_u64().unwrap(), price: decimal("p"), size: decimal("q") })
    })
}

/// The last durable sequence that the recorder told of; 0 when it has told of none.
fn last_durable(said: &str) -> u64 {
    last_number(said, "| Durable: ")
}

fn last_number(said: &str, before: &str) -> u64 {
    let Some((_, last)) = said.rsplit_once(before) else { return 0 };
    last.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap_or(0)
}

/// One cut; `None` where there is no such disk. Each has a market of its own.
fn one(run: u64, sync: &str, moment: Moment, rng: &mut fastrand::Rng) -> Option<Cut> {
    let market = rng.u64(..1 << 32);
    let case = format!("run {run}, journal.sync={sync}, market {market}");
    let done = cut(&case, sync, moment, market, rng);
    println!("{case}: {done:?}");
    done
}

#[test]
fn a_power_cut_loses_nothing_durable_and_nothing_is_called_durable_that_is_not() {
    let seed = promise::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let runs = runs(3, 20, 200);
    let each = |run: u64| {
        let sync = if run.is_multiple_of(2) { "10ms" } else { "always" };
        let moment = if matches!(run % 4, 1 | 2) { Moment::Between } else { Moment::Any };
        one(run, sync, moment, &mut rng)
    };
    let Some(done) = (0..runs).map(each).collect::<Option<Vec<Cut>>>() else { return };
    let between: Vec<&Cut> = done.iter().filter(|cut| cut.moment == Moment::Between).collect();
    let sum = |count: fn(&Cut) -> u64| done.iter().map(count).sum::<u64>();
    let in_flight = done.iter().filter(|cut| cut.moment == Moment::Any && cut.false_durable() > 0).count();
    let note = format!(
        "{} events durable before the cuts, {} kept, {} accepted; in {in_flight} run(s) the kernel called a sync a success \
         that was in flight at the cut; no gap begins after the last kept event came; {} run(s) had to be asked to end",
        sum(|cut| cut.durable),
        sum(|cut| cut.kept),
        sum(|cut| cut.accepted),
        done.iter().filter(|cut| cut.waited).count()
    );
    println!("{note}");
    let report = |promise, runs| Report::new(promise).runs(runs).faults(runs).seed(seed).note(&note);
    report("P1", runs)
        .fault_kinds("power cuts of an ext4")
        .lost(sum(Cut::lost))
        .demand(done.iter().all(|cut| cut.durable > 0 && cut.kept <= cut.accepted), "a run without an event")
        .finish();
    report("P7", between.len() as u64)
        .fault_kinds("writes and syncs that fail for good")
        .lost(between.iter().map(|cut| cut.false_durable()).sum())
        .demand(between.iter().all(|cut| cut.durable_at_end < cut.accepted), "all was durable: no sync has failed")
        .finish();
}

#[test]
fn a_journal_that_leaves_syncing_to_the_system_loses_events() {
    let seed = promise::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let runs = runs(1, 10, 50);
    let each = |run| one(run, "os", Moment::Any, &mut rng);
    let Some(done) = (0..runs).map(each).collect::<Option<Vec<Cut>>>() else { return };
    let losing = done.iter().filter(|cut| cut.lost() > 0).count() as u64;
    let lost: u64 = done.iter().map(Cut::lost).sum();
    println!("journal.sync=os: {losing} of {runs} runs lost {lost} events that were said to be written");
    // One run proves nothing either way.
    assert!(runs < 10 || losing * 2 >= runs, "the cuts are blunt: {losing} of {runs} runs lost events");
}
