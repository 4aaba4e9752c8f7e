//! Where a soak records: a folder of its own, a schema of its own, and the settings that lead there.

use super::cli::{Fault, SoakArgs};
use crate::cli::ConfigArgs;
use anyhow::{Context, Result, bail, ensure};
use feedd_config::{Config, DEFAULT_SYMBOLS, Machine, SinkKind};
use feedd_core::affinity::usable_cores;
use feedd_run::registry::postgres_config;
use feedd_sink_postgres::{PostgresConfig, discard, migrate};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Health intervals of a run at least, so that a share of them says something.
const INTERVALS_MIN: u32 = 10;
/// Shortest health interval that the configuration takes.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// How long after its time the recorder ends by itself, should whoever started it be gone.
const LEFT_ALONE: Duration = Duration::from_secs(300);
/// Beginning of the names of folders and schemas.
const PREFIX: &str = "feedd_soak_";
/// What the slow strategy takes for each bar.
pub(super) const SLOW: Duration = Duration::from_secs(1);

/// Where a soak records.
#[derive(Debug)]
pub(super) struct Place {
    /// Everything of this soak is below it.
    pub(super) folder: PathBuf,
    /// The settings, for the recorder and for `verify`.
    args: ConfigArgs,
    /// The same, loaded.
    pub(super) config: Config,
    /// How long the recorder runs at most.
    run_max: Duration,
    /// Whether the configured data folder was made for this.
    made: Option<PathBuf>,
}

impl Place {
    /// Makes the folder, and the schema when a database is among the sinks.
    ///
    /// # Errors
    /// When the configuration is wrong, or a soak of it cannot run.
    pub(super) fn make(args: &SoakArgs, run_max: Duration) -> Result<Self> {
        ensure!(args.config.sources_given() == 0, "a soak records the built-in simulator: leave --source out");
        let given = load(&args.config)?;
        let below = &given.data.dir;
        let made = (!below.exists()).then(|| below.clone());
        #[allow(clippy::disallowed_methods, reason = "the name of a folder; nothing is decided by it")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{PREFIX}{}_{}", now.as_secs(), std::process::id());
        let folder = below.join(&name);
        let data = folder.join("data");
        std::fs::create_dir_all(&data).with_context(|| format!("making the folder {}", data.display()))?;
        let sets = settings(args, &given, &name, &data);
        let own = args.config.in_place_of(data, sets);
        let config = load(&own).inspect_err(|_| remove(&folder, made.as_deref()))?;
        let place = Self { folder, args: own, config, run_max, made };
        if let Some(postgres) = place.postgres()? {
            let made = migrate(&postgres).context("making the tables in a schema of their own");
            made.inspect_err(|_| remove(&place.folder, place.made.as_deref()))?;
        }
        Ok(place)
    }

    /// Data folder of the recorder.
    pub(super) fn data_dir(&self) -> &Path {
        &self.config.data.dir
    }

    /// What the recorder writes to standard error.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("feedd.log")
    }

    /// Settings of the PostgreSQL sink, when there is one.
    fn postgres(&self) -> Result<Option<PostgresConfig>> {
        let sink = self.config.sinks.iter().find(|sink| sink.kind == SinkKind::Postgres);
        sink.map(|sink| postgres_config(&self.config, &sink.name)).transpose()
    }

    /// Arguments of `feedd run`, with more settings over these.
    pub(super) fn run_arguments(&self, more: &[String]) -> Vec<std::ffi::OsString> {
        let mut all = vec!["run".into()];
        all.extend(self.args.arguments());
        all.extend(more.iter().flat_map(|set| ["--set".into(), set.into()]));
        all.extend(["--for".into(), format!("{}s", (self.run_max + LEFT_ALONE).as_secs()).into()]);
        all
    }

    /// Arguments of `feedd verify --json`.
    pub(super) fn verify_arguments(&self) -> Vec<std::ffi::OsString> {
        let mut all = vec!["verify".into(), "--json".into()];
        all.extend(self.args.arguments());
        all
    }

    /// Removes everything that was made for this soak.
    ///
    /// # Errors
    /// When something cannot be removed; it is named.
    pub(super) fn discard(&self) -> Result<()> {
        if let Some(postgres) = self.postgres()? {
            // Never a schema of somebody else's.
            ensure!(postgres.schema.starts_with(PREFIX), "schema {} is none of a soak", postgres.schema);
            discard(&postgres).with_context(|| format!("DROP SCHEMA {} CASCADE removes it", postgres.schema))?;
        }
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))?;
        remove(&self.folder, self.made.as_deref());
        Ok(())
    }

    /// Where what was recorded is, in words.
    pub(super) fn left(&self) -> String {
        let schema = self.config.sinks.iter().any(|sink| sink.kind == SinkKind::Postgres);
        let schema = if schema { format!(" and schema {}", self.config.postgres.schema) } else { String::new() };
        format!("kept: {}{schema}; the recorder's log: {}", self.folder.display(), self.log().display())
    }
}

/// What cannot be removed here stays: it is small, and its name says whose it is.
fn remove(folder: &Path, made: Option<&Path>) {
    let _ = std::fs::remove_dir_all(folder);
    if let Some(made) = made {
        // Fails when something else is in it by now.
        let _ = std::fs::remove_dir(made);
    }
}

fn load(args: &ConfigArgs) -> Result<Config> {
    let (cores, venues) = (usable_cores(), feedd_venues::table::names().collect::<Vec<_>>());
    let machine = Machine { cores: &cores, venues: &venues };
    let environment = feedd_config::environment().into_iter();
    match feedd_config::load(args.file().as_deref(), environment, &args.overrides(), &machine) {
        Ok(loaded) => Ok(loaded.config),
        Err(errors) => bail!("{errors}"),
    }
}

/// What a soak sets over the configuration that is tried.
fn settings(args: &SoakArgs, given: &Config, name: &str, data: &Path) -> Vec<String> {
    let interval = (args.bound_time / INTERVALS_MIN).clamp(INTERVAL_MIN, given.health.interval.max(INTERVAL_MIN));
    let mut sets = vec![
        format!("source.0.rate={}", args.rate),
        format!("source.0.symbols={}", symbols(args.symbols).join(",")),
        format!("health.interval={}ms", interval.as_millis()),
        format!("journal.dir={}", data.join("journal").display()),
        format!("parquet.dir={}", data.display()),
        format!("tape.dir={}", data.join("tape").display()),
        format!("postgres.schema={name}"),
        "postgres.migrate=true".to_owned(),
        // Asked over its socket; the address may be that of the recorder that is in service here.
        "admin.listen=off".to_owned(),
        "admin.socket=true".to_owned(),
        // Warnings are read.
        "log.level=info".to_owned(),
        "log.format=text".to_owned(),
    ];
    match args.fault {
        Fault::SlowStrategy => sets.extend(slow_strategy(given)),
        Fault::DiskFull => sets.extend(super::disk::SETTINGS.map(str::to_owned)),
        Fault::None | Fault::StalledSink | Fault::Kill => {}
    }
    sets
}

/// One more strategy, which sleeps at each bar of a second.
fn slow_strategy(given: &Config) -> Vec<String> {
    let mut bars: Vec<String> = given.analysis.bars.iter().map(ToString::to_string).collect();
    if !bars.iter().any(|bar| bar == "1s") {
        bars.push("1s".to_owned());
    }
    let number = given.strategies.len();
    vec![
        format!("analysis.bars={}", bars.join(",")),
        format!("strategy.{number}.kind=slow"),
        format!("strategy.{number}.interval=1s"),
        format!("strategy.{number}.parameters=millis={}", SLOW.as_millis()),
    ]
}

/// Names of so many symbols: those that are recorded without a configuration, then numbered ones.
fn symbols(count: u64) -> Vec<String> {
    let named = DEFAULT_SYMBOLS.iter().map(|&symbol| symbol.to_owned());
    let numbered = (1..).map(|number: u64| format!("SIM{number:03}USDT"));
    named.chain(numbered).take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn symbols_are_named_and_different() {
        assert_eq!(symbols(2), ["BTCUSDT", "ETHUSDT"]);
        assert_eq!(symbols(12)[9..], ["DOTUSDT", "SIM001USDT", "SIM002USDT"]);
        let all = symbols(1_000);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 1_000);
        assert!(all.iter().all(|symbol| (3..=20).contains(&symbol.len())));
    }

    #[test]
    fn a_slow_strategy_is_one_more() {
        let sets = slow_strategy(&Config::default());
        assert_eq!(
            sets,
            ["analysis.bars=1s", "strategy.0.kind=slow", "strategy.0.interval=1s", "strategy.0.parameters=millis=1000"]
        );
    }
}
