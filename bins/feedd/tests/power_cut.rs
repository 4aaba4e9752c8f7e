//! P1 and P7: a recorder whose power is cut loses nothing that it called durable, and calls nothing durable that is not.
//!
//! Data and journal are on an ext4 of their own over a loop device; FS_IOC_SHUTDOWN throws away what is not on the disk and
//! lets every later write and sync fail. What feedd said is on another disk. Needs root.

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
/// Longest time from the cut to the end of the recorder.
const END_MAX: Duration = Duration::from_secs(30);
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

/// What one cut did.
#[derive(Debug)]
struct Cut {
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
fn cut(case: &str, sync: &str, seed: u64, rng: &mut fastrand::Rng) -> Option<Cut> {
    let mut disk = LoopFs::mount(DISK_MIB)?;
    let data = disk.path().join("data");
    let (sync, source_seed) = (format!("journal.sync={sync}"), format!("source.0.seed={seed}"));
    let args = ["--source", "sim", "--set", "source.0.rate=max", "--set", &source_seed, "--set", &sync];
    let args = [&args[..], &SMALL, &["--set", "health.interval=100ms"]].concat();
    let mut feedd = Feedd::start(&run_args(&data, &args));
    feedd.wait_until("events are durable", |feedd| last_durable(&feedd.said()) > 0);
    std::thread::sleep(Duration::from_millis(rng.u64(0..RUN_MS_MAX)));
    let durable = last_durable(&feedd.said());
    disk.shutdown();
    let cut_at = UnixNanos(i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap());
    // It knows that it cannot keep its promise: it ends, and does not say that all is well.
    let limit = Instant::now() + END_MAX;
    while feedd.is_running() {
        assert!(Instant::now() < limit, "{case}: it goes on without a journal:\n{}", feedd.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = feedd.wait();
    let durable_at_end = last_durable(&ended.stderr);
    assert_eq!(ended.code(), Some(1), "{case}: {}", ended.stderr);
    assert!(ended.stderr.contains("the journal failed; what it does not hold is lost"), "{case}: {}", ended.stderr);
    let verdict = ended.account().verdict;
    assert!(!verdict.starts_with("complete"), "{case}: {verdict}");
    disk.remount();

    // The same command again: no step by hand.
    let ended_again = run(&data, &[&args[..], &["--events", "3000"]].concat());
    let account = ended_again.assert_complete(case);
    let rows = stored::read(&data);
    let kept = stored::seqs(&rows).get(&1).and_then(|seqs| seqs.last().copied()).unwrap_or(0);
    stored::assert_dense(case, &rows, 1, kept);
    stored::assert_dense(case, &rows, 2, account.get("events.accepted"));
    assert_gap(case, &rows, cut_at);
    assert_trades(case, &rows, seed);
    Some(Cut { durable, durable_at_end, kept, accepted: ended.account().get("events.accepted") })
}

/// The second start tells of the time without a recorder, and the cut lies in it.
fn assert_gap(case: &str, rows: &[stored::Rows], cut_at: UnixNanos) {
    let gaps: Vec<(u32, u64)> = stored::of(rows, "gaps").flat_map(stored::Rows::places).collect();
    assert_eq!(gaps, [(2, 1)], "{case}: one gap, the first event of the second start");
    let gap = stored::of(rows, "gaps").next().unwrap();
    let time = |column| gap.numbers::<TimestampNanosecondType>(column).value(0);
    assert_eq!(gap.texts("reason").value(0), "recorder_down", "{case}");
    assert!(time("from_ts") <= cut_at.0 && cut_at.0 <= time("to_ts"), "{case}: the cut lies in the gap");
    // What is above the last kept event is missing, so the gap must not begin after it.
    let kept =
        rows.iter().flat_map(|rows| rows.places().zip(rows.numbers::<TimestampNanosecondType>("recv_ts").values()));
    let last = kept.filter(|((epoch, _), _)| *epoch == 1).max_by_key(|(place, _)| *place);
    println!(
        "{case}: the gap begins {} ns after the last kept event came",
        time("from_ts") - last.map_or(0, |(_, at)| *at)
    );
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

/// Cuts `runs` times; `None` where there is no such disk. A run of the recorder has a market of its own.
fn cuts(runs: u64, sync: &str, seed: u64) -> Option<Vec<Cut>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let one = |run| {
        let market = rng.u64(..1 << 32);
        let case = format!("journal.sync={sync}, run {run}, market {market}");
        let done = cut(&case, sync, market, &mut rng);
        println!("{case}: {done:?}");
        done
    };
    (0..runs).map(one).collect()
}

#[test]
fn a_power_cut_loses_nothing_durable_and_nothing_is_called_durable_that_is_not() {
    let seed = promise::seed();
    let runs = runs(3, 20, 200);
    let Some(timed) = cuts(runs.div_ceil(2), "10ms", seed) else { return };
    let Some(always) = cuts(runs / 2, "always", !seed) else { return };
    let done: Vec<Cut> = timed.into_iter().chain(always).collect();
    let sum = |count: fn(&Cut) -> u64| done.iter().map(count).sum::<u64>();
    let (durable, kept, accepted) = (sum(|cut| cut.durable), sum(|cut| cut.kept), sum(|cut| cut.accepted));
    let note = format!("{durable} events durable before the cuts, {kept} kept, {accepted} accepted");
    println!("{note}");
    let report = |promise| Report::new(promise).runs(runs).faults(runs).seed(seed).note(&note);
    let p1 = report("P1").fault_kinds("power cuts of an ext4").lost(sum(Cut::lost));
    let p7 = report("P7").fault_kinds("writes and syncs that fail for good").lost(sum(Cut::false_durable));
    p1.demand(done.iter().all(|cut| cut.durable > 0 && cut.kept <= cut.accepted), "a run without an event").finish();
    p7.demand(done.iter().all(|cut| cut.durable_at_end < cut.accepted), "all was durable: no sync has failed").finish();
}

#[test]
fn a_journal_that_leaves_syncing_to_the_system_loses_events() {
    let seed = promise::seed();
    let runs = runs(1, 10, 50);
    let Some(done) = cuts(runs, "os", seed) else { return };
    let losing = done.iter().filter(|cut| cut.lost() > 0).count() as u64;
    let lost: u64 = done.iter().map(Cut::lost).sum();
    println!("journal.sync=os: {losing} of {runs} runs lost {lost} events that were said to be written");
    // One run proves nothing either way.
    assert!(runs < 10 || losing * 2 >= runs, "the cuts are blunt: {losing} of {runs} runs lost events");
}
