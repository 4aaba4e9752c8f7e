//! `feedd run` and `feedd check`.

use crate::admin::{Admin, Keys, SOCKET};
use crate::alerting::Alerting;
use crate::cli::{ConfigArgs, RunArgs};
use crate::observer::{Observer, RunFacts, settings};
use crate::operator::{Operator, live_line, tell};
use crate::reload::{Reloader, Reloads, Running};
use crate::service::Service;
use crate::tap::Taps;
use crate::views::Views;
use crate::{EXIT_TROUBLE, EXIT_USAGE, logging};
use anyhow::{Context, Result};
use feedd_config::{Config, Loaded, LogFormat, Machine, SinkKind};
use feedd_core::AccountWatch;
use feedd_core::accounting::Account;
use feedd_core::affinity::usable_cores;
use feedd_core::data_dir::STATE_DIR;
use feedd_core::error_text;
use feedd_core::starts::Starts;
use feedd_delivery::Quarantine;
use feedd_run::{Run, RunEnd};
use feedd_telemetry::{Performance, Watched, final_report, started_line};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a signal or a bound is noticed.
const POLL: Duration = Duration::from_millis(20);
/// How long before the stop deadline whoever waits is told to leave, when a journal keeps what is not stored.
const LEAVE: Duration = Duration::from_secs(1);
/// How long before the stop deadline such a run is given up: the account is told and the process gone by then.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Without a journal: how long after the stop deadline the sink may take to come back from its last calls (writing what it was given,
/// closing its files). A disk or server that hangs must not keep the process from ending.
const SINK_RETURN: Duration = Duration::from_secs(5);
/// Exit code of a second signal: the run was given up at once.
const EXIT_GIVEN_UP: i32 = 130;

/// Checks a configuration.
pub(crate) fn check(args: &ConfigArgs) -> ExitCode {
    let (cores, venues) = machine();
    let machine = Machine { cores: &cores, venues: &venues };
    let environment = feedd_config::environment().into_iter();
    let report = feedd_config::check(args.file().as_deref(), environment, &args.overrides(), &machine);
    if report.ok {
        // What only the venues' own rules can tell.
        let environment = feedd_config::environment().into_iter();
        let loaded = feedd_config::load(args.file().as_deref(), environment, &args.overrides(), &machine);
        if let Some(error) = loaded.ok().and_then(|loaded| feedd_run::live::shards(&loaded.config).err()) {
            eprintln!("{error:#}\n1 error");
            return ExitCode::from(EXIT_USAGE);
        }
        println!("{}", report.text);
        ExitCode::SUCCESS
    } else {
        eprintln!("{}", report.text);
        ExitCode::from(EXIT_USAGE)
    }
}

/// Records until the sources end, a bound is reached or a signal comes.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    // First of all, so that a signal during the start is not lost.
    let signalled = match Signalled::listen() {
        Ok(signalled) => signalled,
        Err(error) => {
            eprintln!("feedd: {error:#}");
            return ExitCode::from(EXIT_TROUBLE);
        }
    };
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match record(&loaded, args, &signalled) {
        Ok(end) if end.troubles.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_TROUBLE),
        Err(error) => {
            eprintln!("feedd: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Reads the configuration; or every mistake in it, in words.
fn load(args: &ConfigArgs) -> Result<Loaded, String> {
    let (cores, venues) = machine();
    let machine = Machine { cores: &cores, venues: &venues };
    let environment = feedd_config::environment().into_iter();
    feedd_config::load(args.file().as_deref(), environment, &args.overrides(), &machine).map_err(|e| e.to_string())
}

/// Cores and venues, as the configuration is checked against them.
fn machine() -> (Vec<usize>, Vec<&'static str>) {
    (usable_cores(), feedd_venues::table::names().collect())
}

fn record(loaded: &Loaded, args: &RunArgs, signalled: &Signalled) -> Result<RunEnd> {
    let live = live_line();
    let (log, log_level) = logging::start(&loaded.config.log, &live)?;
    let mut config = loaded.config.clone();
    if args.paper_trading {
        if config.strategies.is_empty() {
            tracing::warn!("--paper-trading: no [[strategy]] is configured, so nothing trades; recording goes on");
        } else {
            config.analysis.paper = true;
        }
    }
    let config = &config;
    let keys = Keys::read(&config.admin)?;
    let alerting = Alerting::start(config)?;
    let service = Service::start()?;
    tracing::info!("{}", started_line(config.ring.capacity as u64));
    let run = feedd_run::start(config, args.events)?;
    tracing::info!(
        "recording {} source(s) to {}{} below {}{}",
        config.sources.len(),
        config.sinks.iter().map(|sink| sink.name.as_str()).collect::<Vec<_>>().join(" and "),
        if config.is_journalled() { "" } else { ", without a journal," },
        run.data_dir().display(),
        if run.watched().simulated { "; SIMULATED data" } else { "" }
    );
    let started_at = run.watched().clock.wall();
    // Whoever cannot say how often it was started records all the same.
    let starts = Starts::note(run.data_dir(), run.epoch(), started_at).unwrap_or_else(|error| {
        tracing::warn!("when the recorder was started is not remembered: {}", error_text(&error));
        Starts::default()
    });
    let facts = RunFacts {
        started_at,
        started: run.watched().clock.mono(),
        epoch: run.epoch().0,
        starts,
        data_dir: run.data_dir().to_owned(),
        settings: settings(&loaded.settings),
    };
    let observer = Arc::new(Observer::new(run.watched().clone(), facts, log, alerting));
    let socket = run.data_dir().join(STATE_DIR).join(SOCKET);
    let (reloads, asked) = Reloads::new();
    let admin = Admin::start(&config.admin, keys, &socket, Arc::new(views(&run, &observer, reloads)))
        .inspect_err(|_| run.stop().abort())?;
    let operator = Operator::start(
        run.watched().clone(),
        run.progress().to_vec(),
        live,
        config.health.clone(),
        run.stop().clone(),
        observer.clone(),
    )
    .context("starting the telemetry thread")?;
    service.ready(run.watched(), &observer);
    let running = Running {
        loaded: loaded.clone(),
        mailboxes: run.mailboxes().clone(),
        health: operator.other_health(),
        log_level,
        observer: observer.clone(),
    };
    let source = args.config.clone();
    let mut reloader = Reloader::new(running, move || load(&source), asked, signalled.reload.clone())?;
    let over = supervise(&run, &signalled.stop, args.bound_time, config.stop.deadline, (&service, &mut reloader));
    // Whoever still asks is told that it is over.
    drop(reloader);
    let (watched, data_dir) = (run.watched().clone(), run.data_dir().to_owned());
    let mut end = if over { run.join() } else { run.abandon() };
    if let Some(admin) = admin {
        admin.end();
    }
    let watch = last_look(operator.end(), &watched.account(), &mut end.troubles);
    observer.end();
    service.end();
    report(&end, &watched, &watch, config, &data_dir);
    Ok(end)
}

/// What can be asked of the run.
fn views(run: &Run, observer: &Arc<Observer>, reloads: Reloads) -> Views {
    let watched = run.watched();
    let names = watched.sources.iter().map(|source| source.name.clone()).collect();
    let taps = Taps::new(run.journal_readers(), watched.instruments.clone(), names);
    Views { observer: observer.clone(), books: run.books().clone(), taps, reloads }
}

/// Checks the account once more, now that the run is over, and adds what was found in all to the troubles.
fn last_look(watch: Option<AccountWatch>, account: &Account, troubles: &mut Vec<String>) -> AccountWatch {
    if watch.is_none() {
        troubles.push("the telemetry thread panicked; the account was not checked while the run went on".to_owned());
    }
    let mut watch = watch.unwrap_or_default();
    if let Err(violation) = watch.check(account) {
        tell(&violation, watch.violations());
    }
    if let Some(first) = watch.first() {
        troubles.push(format!("the accounting did not hold {} times; first: {first}", watch.violations()));
    }
    watch
}

/// The end of a run: the account, what went wrong, and where to look.
fn report(end: &RunEnd, watched: &Watched, watch: &AccountWatch, config: &Config, data_dir: &Path) {
    if config.log.format == LogFormat::Json {
        // Whoever reads JSON lines reads nothing else.
        tracing::info!("{}", final_report(watched, watch));
        if let Some(report) = Performance::take(watched) {
            tracing::info!(report = %report.json(), "performance of the analysis");
        }
        end.troubles.iter().for_each(|trouble| tracing::error!("{trouble}"));
        return;
    }
    eprintln!("{}", final_report(watched, watch));
    if let Some(report) = Performance::take(watched) {
        eprintln!("\n{}", report.text());
    }
    for trouble in &end.troubles {
        eprintln!("feedd: {trouble}");
    }
    if config.has_sink(SinkKind::Parquet) {
        print_how_to_look(&config.parquet.dir);
    }
    print_kept_aside(config, data_dir);
}

/// What signals have asked for.
struct Signalled {
    /// Set by the first SIGINT or SIGTERM; a second one ends the process at once.
    stop: Arc<AtomicBool>,
    /// Set by SIGHUP: the configuration is to be read again.
    reload: Arc<AtomicBool>,
}

impl Signalled {
    fn listen() -> Result<Self> {
        let signalled = Self { stop: Arc::default(), reload: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set by the first.
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_GIVEN_UP, signalled.stop.clone())
                .and_then(|_| signal_hook::flag::register(signal, signalled.stop.clone()))
                .context("installing the signal handlers")?;
        }
        signal_hook::flag::register(SIGHUP, signalled.reload.clone()).context("installing the handler of SIGHUP")?;
        Ok(signalled)
    }
}

/// Waits until everything is stored, asks to stop when a signal or a bound says so, and gives up at the deadline. False
/// when the sink did not even come back from its call then.
fn supervise(
    run: &Run,
    signalled: &AtomicBool,
    bound: Option<Duration>,
    deadline: Duration,
    (service, reloader): (&Service, &mut Reloader),
) -> bool {
    let start = Instant::now();
    let mut stopping: Option<Instant> = None;
    while !run.is_over() {
        if stopping.is_none() {
            reloader.look(service);
        }
        // Also when storage itself asks for the end, because the journal failed.
        let due = signalled.load(Ordering::Relaxed)
            || bound.is_some_and(|bound| start.elapsed() >= bound)
            || run.stop().is_requested();
        if due && stopping.is_none() {
            tracing::info!("stopping: sources end, rings drain, the sink is flushed (at most {deadline:?})");
            service.stopping(deadline);
            run.stop().request();
            stopping = Some(Instant::now());
        }
        // What a sink lacks is in the journal, so nothing is gained by waiting for one that hangs; without a journal it is.
        let (wait, give_up) = if run.is_journalled() {
            (deadline - (deadline / 10).min(LEAVE), deadline - (deadline / 20).min(LAST_WORDS))
        } else {
            (deadline, deadline + SINK_RETURN)
        };
        if stopping.is_some_and(|since| since.elapsed() >= wait) {
            run.stop().abort();
        }
        if stopping.is_some_and(|since| since.elapsed() >= give_up) {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

fn print_how_to_look(dir: &Path) {
    if !dir.join("trades").is_dir() {
        return;
    }
    let files = format!("{}/trades/**/*.parquet", dir.display());
    eprintln!("\nLook at it with any of:");
    eprintln!(
        "  duckdb -c \"SELECT symbol, count(*) AS trades, min(price), max(price) FROM '{files}' GROUP BY symbol\""
    );
    eprintln!("  python3 -c \"import polars as pl; print(pl.scan_parquet('{files}').head(10).collect())\"");
    eprintln!("More queries: docs/querying.md");
}

/// Says where rejected texts and refused events are, when there are any.
fn print_kept_aside(config: &Config, data_dir: &Path) {
    let refused = config.sinks.iter().map(|sink| Quarantine::path_in(data_dir, &sink.name));
    for path in std::iter::once(data_dir.join(feedd_run::DEAD_LETTERS_FILE)).chain(refused) {
        if path.exists() {
            eprintln!("Kept aside, with reasons: {}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_did_not_hold_is_a_trouble_of_the_run() {
        let (good, bad) = (Account::default(), Account { accepted: 7, ..Account::default() });
        let end = |watch: Option<AccountWatch>, account: &Account| {
            let mut troubles = Vec::new();
            let watch = last_look(watch, account, &mut troubles);
            (watch.looks(), troubles.join("; "))
        };
        let found =
            "the accounting did not hold 1 times; first: run: 7 sequence numbers given, but only 0 events accepted";
        assert_eq!(end(Some(AccountWatch::default()), &good), (1, String::new()));
        assert_eq!(end(Some(AccountWatch::default()), &bad), (1, found.to_owned()), "at the end");
        let mut watch = AccountWatch::default();
        assert!(watch.check(&good).is_ok() && watch.check(&bad).is_err());
        let later =
            Account { sources: feedd_core::accounting::SourceTotals { accepted: 7, ..Default::default() }, ..bad };
        assert_eq!(end(Some(watch), &later), (3, found.to_owned()), "while it went on");
        let panicked = "the telemetry thread panicked; the account was not checked while the run went on";
        assert_eq!(end(None, &good), (1, panicked.to_owned()));
    }
}
