//! What an operator sees when something goes wrong: a stalled database, a slow strategy, a mute symbol and a full disk, each
//! provoked for real. Every view has to name the one who is to blame, with what helps: `feedd status --json`, `feedd health`,
//! `feedd top --once`, `/metrics` and `/events`, from which the dashboard lives.
//!
//! How soon each did is printed. With `FEEDD_SOAK=full`, on a machine that does nothing else, five seconds are the limit;
//! otherwise a machine that does other things beside gets more.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{address, get};
use common::disk::{SmallDisk, fill_up};
use common::pg::{self, Size};
use common::{Feedd, command, run_args};
use feedd_testkit::postgres::Server;
use feedd_testkit::promise::Report;
use feedd_testkit::proxy::{Faults, Plan, Proxy, Sides, Target};
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use venue_sim::{Config, FaultKind, Venue};

/// From the first blocked operation until everybody names the culprit.
const NAMED_MAX: Duration = Duration::from_secs(5);
/// The same beside other work.
const NAMED_MAX_BESIDE_OTHERS: Duration = Duration::from_secs(60);
/// Between two looks of one view.
const LOOK: Duration = Duration::from_millis(50);
/// Room of the small disk: one with less than 64 MiB left is full.
const DISK_KIB: usize = 160 << 10;

/// Who is to blame.
struct Culprit {
    /// Rules that may find it, and as whom: one of these pairs.
    findings: Vec<(&'static str, String)>,
    /// A word of the remedy.
    remedy: &'static str,
    /// Series that tell of it: beginning of the line, and the least value that does.
    series: Vec<(String, f64)>,
}

impl Culprit {
    fn is_found(&self, status: &Value) -> bool {
        let findings = status["findings"].as_array().into_iter().flatten();
        findings.into_iter().any(|finding| {
            let is_named =
                self.findings.iter().any(|(rule, who)| finding["rule"] == *rule && finding["who"] == who.as_str());
            is_named && finding["remedy"].as_str().unwrap().contains(self.remedy)
        })
    }

    fn is_told(&self, text: &str) -> bool {
        self.findings.iter().any(|(rule, who)| text.contains(who) && text.contains(rule.trim_start_matches("Feedd")))
    }

    fn is_scraped(&self, page: &str) -> bool {
        let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
        self.series.iter().any(|(begins, least)| {
            page.lines().filter(|line| line.starts_with(begins)).any(|line| value(line) >= Some(*least))
        })
    }
}

fn limit() -> Duration {
    if Size::of_this_run() == Size::Full { NAMED_MAX } else { NAMED_MAX_BESIDE_OTHERS }
}

/// Looks until `named`, and says how long after `begun` that was.
fn until(begun: Instant, mut named: impl FnMut() -> bool) -> Option<Duration> {
    // One look after the limit: whoever is late is told with how late, as far as that is known.
    while begun.elapsed() < limit() + Duration::from_secs(5) {
        let at = begun.elapsed();
        if named() {
            // What a look finds was there when it had ended.
            return Some(begun.elapsed().max(at));
        }
        std::thread::sleep(LOOK);
    }
    None
}

/// A command of feedd: its exit code and what it prints.
fn ask(data_dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = command(&[args, &["--data-dir", data_dir.to_str().unwrap()]].concat()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits at the dashboard's stream for a document that names the culprit.
fn listen(address: &str, begun: Instant, culprit: &Culprit) -> Option<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(limit())).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    // Documents may come cut in chunks, whose heads stand on lines of their own.
    let mut text = String::new();
    let mut lines = BufReader::new(stream);
    while begun.elapsed() < limit() + Duration::from_secs(5) {
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(error) => panic!("{error}"),
        }
        if line.starts_with("data: ") {
            text.clear();
        }
        let line = line.trim_end();
        let is_size = u32::from_str_radix(line, 16).is_ok();
        if !is_size {
            text.push_str(line.trim_start_matches("data: "));
        }
        if let Ok(status) = serde_json::from_str::<Value>(&text)
            && culprit.is_found(&status)
        {
            return Some(begun.elapsed());
        }
    }
    None
}

/// Asks all views at once until each has named the culprit; their delays.
fn views(address: &str, data_dir: &Path, begun: Instant, culprit: &Culprit) -> Vec<(&'static str, Option<Duration>)> {
    std::thread::scope(|scope| {
        let status = scope.spawn(|| {
            until(begun, || {
                let (code, text) = ask(data_dir, &["status", "--json"]);
                code != Some(0) && serde_json::from_str(&text).is_ok_and(|status| culprit.is_found(&status))
            })
        });
        let health = scope.spawn(|| {
            until(begun, || {
                let (code, line) = ask(data_dir, &["health"]);
                matches!(code, Some(1 | 2)) && culprit.is_told(&line)
            })
        });
        let top = scope.spawn(|| until(begun, || culprit.is_told(&ask(data_dir, &["top", "--once"]).1)));
        let metrics = scope.spawn(|| until(begun, || culprit.is_scraped(&get(address, "/metrics").body)));
        let events = scope.spawn(|| listen(address, begun, culprit));
        let all = [("status", status), ("health", health), ("top", top), ("/metrics", metrics), ("/events", events)];
        all.map(|(name, thread)| (name, thread.join().unwrap())).into()
    })
}

/// Reports what was seen of one fault; it has to be within the limit.
fn report(fault: &str, delays: &[(&'static str, Option<Duration>)]) {
    let told = delays.iter().map(|(view, delay)| {
        delay.map_or_else(|| format!("{view} never"), |delay| format!("{view} {:.2} s", delay.as_secs_f64()))
    });
    let note = format!("{fault}: {}; at most {:?}", told.collect::<Vec<_>>().join(", "), limit());
    println!("{note}");
    let late: Vec<_> = delays.iter().filter(|(_, delay)| delay.is_none_or(|delay| delay > limit())).collect();
    Report::new("P17")
        .runs(1)
        .faults(1)
        .fault_kinds(fault)
        .demand(late.is_empty(), &format!("the culprit was not named in time: {late:?}"))
        .note(&note)
        .finish();
}

/// A recorder that serves at a free port, and its address.
fn start(args: &[String]) -> (Feedd, String) {
    let mut args = args.to_vec();
    args.extend(["--set", "admin.listen=127.0.0.1:0"].map(str::to_owned));
    let mut feedd = Feedd::start(&args);
    feedd.wait_until("its address", |feedd| address(&feedd.said()).is_some());
    let address = address(&feedd.said()).unwrap();
    (feedd, address)
}

/// Waits until the recorder's status is as it should be.
fn wait(feedd: &mut Feedd, address: &str, what: &str, reached: impl Fn(&Value) -> bool) {
    feedd.wait_until(what, |_| reached(&serde_json::from_str(&get(address, "/status").body).unwrap()));
}

/// Ends it, with everything stored.
fn ends_complete(feedd: Feedd, case: &str) {
    feedd.signal("TERM");
    feedd.wait().assert_complete(case);
}

#[test]
fn a_stalled_database_is_named_by_every_view() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
    let settings = pg::settings("127.0.0.1", proxy.address().port(), &database);
    let dir = tempfile::tempdir().unwrap();
    let (mut feedd, address) = start(&pg::run_args(dir.path(), &settings, &["--sink", "postgres"]));
    wait(&mut feedd, &address, "events stored", |status| status["sinks"][0]["stored"].as_u64() > Some(2_000));
    let culprit = Culprit {
        findings: vec![("FeeddSinkStalled", "postgres".to_owned()), ("FeeddSinkBreakerOpen", "postgres".to_owned())],
        remedy: "database",
        series: ["calling", "failing", "lag"]
            .map(|what| (format!("feedd_sink_{what}_seconds{{sink=\"postgres\""), 1.0))
            .into(),
    };
    proxy.set(Faults { stall: Sides::BOTH, ..Faults::default() });
    report("a stalled database", &views(&address, dir.path(), Instant::now(), &culprit));
    proxy.set(Faults::default());
    wait(&mut feedd, &address, "well again", |status| !culprit.is_found(status));
    ends_complete(feedd, "after a stall");
}

#[test]
fn a_slow_strategy_is_named_by_every_view() {
    let dir = tempfile::tempdir().unwrap();
    let sets =
        ["analysis.bars=1s", "strategy.0.kind=slow", "strategy.0.interval=1s", "strategy.0.parameters=millis=700"];
    let more: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let (mut feedd, address) = start(&run_args(dir.path(), &more));
    let name = "slow(700)@1s".to_owned();
    let culprit = Culprit {
        findings: vec![("FeeddSlowStrategy", name.clone())],
        remedy: "remove it",
        series: vec![
            (format!("feedd_strategy_running_seconds{{strategy=\"{name}\""), 0.3),
            (format!("feedd_strategy_overlong_total{{strategy=\"{name}\""), 1.0),
            (format!("feedd_strategy_overlong_calls_total{{strategy=\"{name}\""), 1.0),
        ],
    };
    // With the first bar comes the first call.
    wait(&mut feedd, &address, "a bar", |status| status["analysis"]["processor"]["bars"].as_u64() > Some(0));
    report("a slow strategy", &views(&address, dir.path(), Instant::now(), &culprit));
    ends_complete(feedd, "beside a slow strategy");
}

#[test]
fn a_mute_symbol_is_named_by_every_view() {
    let config = Config { tls: false, ..Config::for_tests(Venue::Binance) };
    let server = venue_sim::Server::start(config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]\n\
         channels = [\"trades\", \"quotes\", \"depth\"]\nurl = {:?}\nrest_url = {:?}\n",
        server.ws_url(""),
        server.rest_url()
    );
    let file = dir.path().join("feedd.toml");
    std::fs::write(&file, text).unwrap();
    let data_dir = dir.path().join("data");
    let (mut feedd, address) = start(&run_args(&data_dir, &["--config", file.to_str().unwrap()]));
    wait(&mut feedd, &address, "both symbols often enough to know them", |status| {
        let symbols = status["symbols"].as_array().unwrap();
        symbols.len() == 2 && symbols.iter().all(|symbol| symbol["messages"].as_u64() > Some(200))
    });
    server.inject(FaultKind::MuteSymbol { symbol: "ETHUSDT".to_owned() });
    let culprit = Culprit {
        findings: vec![
            ("FeeddFeedStale", "binance:spot ETHUSDT".to_owned()),
            ("FeeddFeedStale", "binance ETHUSDT".to_owned()),
        ],
        remedy: "venue",
        series: vec![
            ("feedd_symbol_silent{source=\"binance\",venue=\"binance\",symbol=\"ETHUSDT\"".to_owned(), 1.0),
            ("feedd_symbol_silent{source=\"binance\",venue=\"binance:spot\",symbol=\"ETHUSDT\"".to_owned(), 1.0),
        ],
    };
    report("a mute symbol", &views(&address, &data_dir, Instant::now(), &culprit));
    ends_complete(feedd, "with a mute symbol");
}

#[test]
fn a_full_disk_is_named_by_every_view() {
    let Some(disk) = SmallDisk::mount(DISK_KIB) else { return };
    let data_dir = disk.path().join("data");
    let sets = ["journal.segment_bytes=64KiB", "journal.bytes_max=8MiB", "retry.delay=100ms", "retry.max_delay=500ms"];
    let more: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let (mut feedd, address) = start(&run_args(&data_dir, &more));
    wait(&mut feedd, &address, "events durable", |status| status["journal"]["durable_seq"].as_u64() > Some(1_000));
    let ballast = disk.path().join("ballast");
    fill_up(&ballast);
    let culprit = Culprit {
        findings: vec![
            ("FeeddDiskFull", data_dir.display().to_string()),
            ("FeeddJournalWaiting", "journal".to_owned()),
            ("FeeddSinkBreakerOpen", "parquet".to_owned()),
        ],
        remedy: "room",
        series: vec![
            ("feedd_journal_waiting_seconds".to_owned(), 0.1),
            ("feedd_sink_failing_seconds{sink=\"parquet\"".to_owned(), 0.1),
        ],
    };
    report("a full disk", &views(&address, &data_dir, Instant::now(), &culprit));
    std::fs::remove_file(&ballast).unwrap();
    wait(&mut feedd, &address, "well again", |status| !culprit.is_found(status));
    ends_complete(feedd, "after a full disk");
}
