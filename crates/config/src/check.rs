//! The answer of `feedd check`: the faults, or what a run would do.

use crate::choice::{PostgresTls, SinkKind};
use crate::journal::JournalSync;
use crate::load::{Loaded, load};
use crate::machine::Machine;
use crate::overlay::Overrides;
use crate::postgres::Postgres;
use crate::schema::Config;
use crate::sinks::Sink;
use crate::source::{Rate, Source, SourceKind, Speed};
use crate::units::{show_bytes, show_duration};
use crate::venue::Venue;
use std::fmt::{self, Write};
use std::path::Path;

/// What there is to say about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether a run could start with it.
    pub ok: bool,
    /// The faults, or `ok` and a summary; lines without a last newline.
    pub text: String,
}

/// Loads a configuration as [`load`] does and reports on it.
#[must_use]
pub fn check(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
    machine: &Machine<'_>,
) -> Report {
    match load(file, env, flags, machine) {
        Ok(loaded) => Report { ok: true, text: format!("ok\n{loaded}") },
        Err(errors) => {
            let count = errors.errors().len();
            let noun = if count == 1 { "error" } else { "errors" };
            Report { ok: false, text: format!("{errors}\n{count} {noun}") }
        }
    }
}

impl fmt::Display for Loaded {
    /// A short summary: what is recorded to where, and every value that is not a default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        let ring_bytes = config.ring.capacity as u64 * size_of::<feedd_model::Event>() as u64;
        let rings = config.sources.len() as u64;
        let is_live = config.sources.iter().any(|source| matches!(source.kind, SourceKind::Venue(_)));
        writeln!(f, "profile  {}", config.profile)?;
        writeln!(f, "data     {}", config.data.dir.display())?;
        for source in &config.sources {
            writeln!(f, "source   {}", describe(source))?;
        }
        writeln!(
            f,
            "rings    {rings} of {} events, {} in all{}",
            config.ring.capacity,
            show_bytes(ring_bytes.saturating_mul(rings)),
            // The connections are known to the venues' own rules, which are not at hand here.
            if is_live { ", or more: one for each connection that `feedd plan` shows" } else { "" }
        )?;
        writeln!(f, "batch    {} events or {}", config.batch.max_events, show_duration(config.batch.max_age))?;
        show_analysis(config, f)?;
        show_tape(config, f)?;
        show_journal(config, f)?;
        show_sinks(config, f)?;
        for setting in &self.settings {
            write!(f, "\nset      {} = {} ({})", setting.key, setting.value, setting.place)?;
        }
        Ok(())
    }
}

fn show_analysis(config: &Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !config.is_analysed() {
        return Ok(());
    }
    let bars: Vec<String> = config.analysis.bars.iter().map(ToString::to_string).collect();
    writeln!(f, "bars     {}", if bars.is_empty() { "those of the strategies".to_owned() } else { bars.join(", ") })?;
    for strategy in &config.strategies {
        let parameters = strategy.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        let paper = if config.analysis.paper { ", on paper" } else { "" };
        writeln!(f, "strategy {} on {} bars{parameters}{paper}", strategy.kind, strategy.interval)?;
    }
    Ok(())
}

fn show_tape(config: &Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let tape = &config.tape;
    if !tape.enabled {
        return Ok(());
    }
    writeln!(f, "tape     {}, at most {}", tape.dir.display(), show_bytes(tape.bytes_max))
}

fn show_journal(config: &Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let journal = &config.journal;
    if !config.is_journalled() {
        let stores = config.sinks.iter().any(|sink| sink.kind != SinkKind::Null);
        let why = if stores { "what a sink has not stored yet is lost in a crash" } else { "no sink stores anything" };
        return writeln!(f, "journal  off: {why}");
    }
    let sync = match journal.sync {
        JournalSync::Every(every) => format!("synced every {}", show_duration(every)),
        JournalSync::Always => "synced at every write".to_owned(),
        JournalSync::Os => "never synced: a crash of the machine loses events".to_owned(),
    };
    writeln!(
        f,
        "journal  {}, at most {} in segments of {}, {sync}",
        journal.dir.display(),
        show_bytes(journal.bytes_max),
        show_bytes(journal.segment_bytes)
    )
}

/// The last line has no newline.
fn show_sinks(config: &Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, Sink { kind, name, required }) in config.sinks.iter().enumerate() {
        let newline = if i == 0 { "" } else { "\n" };
        write!(f, "{newline}sink     {kind}")?;
        if *name != kind.to_string() {
            write!(f, " {name:?}")?;
        }
        match kind {
            SinkKind::Parquet => write!(f, " in {}", config.parquet.dir.display())?,
            SinkKind::Postgres => show_postgres(&config.postgres, f)?,
            SinkKind::Null => {}
        }
        if !required {
            f.write_str(", not required")?;
        }
    }
    if config.sinks.iter().any(|sink| sink.required) {
        return Ok(());
    }
    let meaning = if config.is_journalled() {
        "when the journal is full, the oldest events go, stored or not; what a sink missed is recorded"
    } else {
        "what a sink does not store is not kept for it"
    };
    write!(f, "\nnote     no sink is required: {meaning}")
}

fn show_postgres(postgres: &Postgres, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Postgres { host, port, database, user, schema, layout, .. } = postgres;
    write!(f, " at {host} port {port}, database {database}, user {user}, schema {schema}, {layout}")?;
    let verified = match postgres.tls {
        PostgresTls::Auto => !postgres.is_local(),
        PostgresTls::VerifyFull => true,
        PostgresTls::Disable => false,
    };
    f.write_str(match (verified, postgres.is_local()) {
        (true, _) => ", TLS with a verified name",
        (false, true) => ", without TLS",
        (false, false) => ", NOT ENCRYPTED over the network",
    })?;
    match &postgres.password {
        Some(password) => write!(f, ", password from {password}"),
        None => f.write_str(", no password"),
    }
}

fn describe(source: &Source) -> String {
    let mut text = format!("{}: ", source.name);
    let written = match &source.kind {
        SourceKind::Sim(sim) => {
            let rate = match sim.rate {
                Rate::Max => "as fast as possible".to_owned(),
                Rate::PerSecond(frames) => format!("{frames} frames/s"),
            };
            write!(text, "SIMULATED, {} symbols, {rate}", sim.symbols.len())
        }
        SourceKind::Capture(capture) => {
            let paths = capture.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            let speed = match capture.speed {
                Speed::Max => "as fast as possible".to_owned(),
                Speed::Thousandths(t) => {
                    let factor = feedd_model::Decimal::new(i64::from(t.get()), 3).unwrap_or(feedd_model::Decimal::ZERO);
                    format!("{} times the recorded pace", factor.canonical())
                }
            };
            write!(text, "recording {paths}, {speed}")
        }
        SourceKind::Venue(venue) => describe_venue(venue, &mut text),
    };
    let written = written.and_then(|()| write!(text, ", core {}, full: {}", source.core, source.full));
    written.expect("a string takes any text");
    text
}

fn describe_venue(venue: &Venue, text: &mut String) -> fmt::Result {
    let (market, symbols) = (venue.market.name, venue.symbols.len());
    let noun = if symbols == 1 { "symbol" } else { "symbols" };
    let channels = venue.channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    write!(text, "LIVE {market}, {symbols} {noun}, {channels}")?;
    if venue.redundancy > 1 {
        write!(text, ", {} connections each", venue.redundancy)?;
    }
    if !venue.urls.is_empty() {
        write!(text, ", from {}", venue.urls.join(", "))?;
    }
    if venue.insecure {
        text.push_str(", INSECURE addresses allowed");
    }
    Ok(())
}
