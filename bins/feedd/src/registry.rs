//! The sinks and the kinds of sources: one row each.

use crate::live::LiveShard;
use crate::wiring::Shared;
use anyhow::{Context, Result};
use feedd_config::{
    Channel, Config, JumpAction, PostgresLayout, PostgresTls, Sink as SinkSettings, SinkKind, Source as SourceConfig,
    SourceKind, Validation,
};
use feedd_core::dead_letters::DeadLetters;
use feedd_core::{Instruments, Sink, Source};
use feedd_live::io::Resolver;
use feedd_live::source::{LiveParts, LiveSource};
use feedd_live::tape::{TapeConfig, Tapes};
use feedd_model::duration_nanos;
use feedd_sink_null::NullSink;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use feedd_sink_postgres::{Layout, PostgresConfig, PostgresSink, Secret, Tls};
use feedd_venues::sim::SimConfig;
use feedd_venues::sources::{CaptureConfig, CaptureSource, Progress, SimSource, SourceParts};
use feedd_venues::{pace, validate};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

type BuildSink = fn(&SinkSettings, &Config, &Instruments) -> Result<Box<dyn Sink>>;

/// Every sink. To add one: its crate, a dependency line, a word in `feedd-config`, and a row here.
const SINKS: [(SinkKind, BuildSink); 3] =
    [(SinkKind::Parquet, parquet), (SinkKind::Postgres, postgres), (SinkKind::Null, null)];

/// A source, and how far a recording is.
pub struct BuiltSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// For recordings.
    pub progress: Option<Arc<Progress>>,
}

/// Builds a sink of the configuration.
///
/// # Errors
/// When a setting is wrong or a folder cannot be made, with the reason and the remedy. A server is not asked yet.
pub fn sink(sink: &SinkSettings, config: &Config, instruments: &Instruments) -> Result<Box<dyn Sink>> {
    let row = SINKS.iter().find(|(kind, _)| *kind == sink.kind);
    let (_, build) = row.context("this build has no such sink")?;
    build(sink, config, instruments).with_context(|| format!("sink {}", sink.name))
}

/// The settings of the PostgreSQL sink, with its password.
///
/// # Errors
/// When the password cannot be read.
pub fn postgres_config(config: &Config, sink_name: &str) -> Result<PostgresConfig> {
    let given = &config.postgres;
    let secret = given.secret(|name| std::env::var(name).ok())?;
    Ok(PostgresConfig {
        port: given.port,
        password: secret.map(|secret| Secret::new(secret.expose().to_owned())),
        schema: given.schema.clone(),
        layout: match given.layout {
            PostgresLayout::Compact => Layout::Compact,
            PostgresLayout::Readable => Layout::Readable,
        },
        tls: match given.tls {
            PostgresTls::Auto => Tls::Auto,
            PostgresTls::VerifyFull => Tls::VerifyFull,
            PostgresTls::Disable => Tls::Disable,
        },
        tls_ca: given.tls_ca.clone(),
        tls_insecure: given.tls_insecure,
        migrate: given.migrate,
        connect_timeout: given.connect_timeout,
        batch_timeout: given.batch_timeout,
        partitions_ahead_days: given.partitions_ahead,
        retain_days: NonZeroU32::new(given.retain_days),
        sink_name: sink_name.to_owned(),
        ..PostgresConfig::new(&given.host, &given.database, &given.user)
    })
}

fn postgres(sink: &SinkSettings, config: &Config, instruments: &Instruments) -> Result<Box<dyn Sink>> {
    Ok(Box::new(PostgresSink::open(postgres_config(config, &sink.name)?, instruments.clone())?))
}

fn parquet(_: &SinkSettings, config: &Config, instruments: &Instruments) -> Result<Box<dyn Sink>> {
    let parquet = ParquetConfig {
        file_bytes_max: config.parquet.file_bytes_max,
        file_age_ns_max: duration_nanos(config.parquet.file_age_max),
        row_group_rows_max: config.parquet.row_group_rows_max,
        memory_bytes_max: usize::try_from(config.parquet.memory_max).unwrap_or(usize::MAX),
        compression_level: config.parquet.compression_level,
        ..ParquetConfig::new(&config.parquet.dir)
    };
    Ok(Box::new(ParquetSink::open(parquet, instruments.clone())?))
}

#[allow(clippy::unnecessary_wraps, reason = "the shape every sink of the table has")]
fn null(_: &SinkSettings, _: &Config, _: &Instruments) -> Result<Box<dyn Sink>> {
    Ok(Box::new(NullSink::new()))
}

/// Builds one source of the configuration.
///
/// # Errors
/// When its input cannot be opened.
pub(crate) fn source(source: &SourceConfig, config: &Config, shared: &Shared) -> Result<BuiltSource> {
    let (instruments, dead_letters) = (&shared.instruments, &shared.dead_letters);
    let parts = source_parts(source.name.clone(), source, config, instruments, dead_letters);
    match &source.kind {
        SourceKind::Sim(sim) => sim_source(sim, parts, shared),
        SourceKind::Capture(capture) => {
            let config = CaptureConfig {
                paths: capture.paths.clone(),
                venue: capture.venue.clone(),
                speed: match capture.speed {
                    feedd_config::Speed::Max => pace::Speed::Max,
                    feedd_config::Speed::Thousandths(factor) => pace::Speed::Thousandths(factor),
                },
            };
            let source = CaptureSource::new(parts, &config)?;
            let progress = Some(source.progress());
            Ok(BuiltSource { source: Box::new(source), progress })
        }
        SourceKind::Venue(_) => anyhow::bail!("a live source is built shard by shard"),
    }
}

/// What the live sources of a run share.
pub struct LiveShared {
    resolver: Resolver,
    tapes: Option<Arc<Tapes>>,
}

impl LiveShared {
    /// Starts what looks names up, and opens the folder of the tapes.
    ///
    /// # Errors
    /// When the system starts no thread, or the folder cannot be used.
    pub fn open(config: &Config) -> Result<Self> {
        let tape = &config.tape;
        let tapes = TapeConfig {
            dir: tape.dir.clone(),
            file_bytes_max: tape.file_bytes_max,
            file_age_max: tape.file_age_max,
            compression_level: tape.compression_level,
            bytes_max: tape.bytes_max,
            queue_bytes_max: tape.queue_bytes_max,
        };
        let open = || Tapes::open(tapes).with_context(|| format!("tape.dir {}", tape.dir.display()));
        Ok(Self {
            resolver: Resolver::start().context("starting the thread that looks names up")?,
            tapes: if tape.enabled { Some(Arc::new(open()?)) } else { None },
        })
    }
}

/// Builds one shard of a live source.
///
/// # Errors
/// When certificates cannot be verified or the tape cannot be written.
pub(crate) fn live(
    source: &SourceConfig,
    shard: LiveShard,
    config: &Config,
    live: &LiveShared,
    shared: &Shared,
) -> Result<BuiltSource> {
    let (instruments, dead_letters) = (&shared.instruments, &shared.dead_letters);
    let parts = source_parts(shard.shard.name.clone(), source, config, instruments, dead_letters);
    let live = LiveParts { resolver: live.resolver.clone(), tapes: live.tapes.clone(), seed: fastrand::u64(..) };
    let source = LiveSource::new(parts, shard.config, shard.shard, live)?.after(shared.earlier_trades.clone());
    shared.books.add(source.desk());
    shared.mailboxes.live.add(source.mailbox());
    Ok(BuiltSource { source: Box::new(source), progress: None })
}

fn source_parts(
    name: String,
    source: &SourceConfig,
    config: &Config,
    instruments: &Instruments,
    dead_letters: &DeadLetters,
) -> SourceParts {
    SourceParts {
        name,
        validation: validation(&source.validation),
        instruments: instruments.clone(),
        dead_letters: dead_letters.clone(),
        keep_unknown: config.decode.keep_unknown,
        frame_bytes_max: usize::try_from(config.decode.frame_bytes_max).unwrap_or(usize::MAX),
    }
}

fn sim_source(sim: &feedd_config::Sim, parts: SourceParts, shared: &Shared) -> Result<BuiltSource> {
    let has = |channel| sim.channels.contains(&channel);
    let config = SimConfig {
        symbols: sim.symbols.clone(),
        seed: sim.seed,
        trades: has(Channel::Trades),
        quotes: has(Channel::Quotes),
        depth: has(Channel::Depth),
        burst_every_frames: sim.burst_every_frames,
        burst_trades: sim.burst_trades,
    };
    let rate = match sim.rate {
        feedd_config::Rate::Max => pace::Rate::Max,
        feedd_config::Rate::PerSecond(rate) => NonZeroU64::new(rate).map_or(pace::Rate::Max, pace::Rate::PerSecond),
    };
    let source = SimSource::new(parts, &config, rate, sim.start_time)?;
    shared.mailboxes.sim.add(source.mailbox());
    Ok(BuiltSource { source: Box::new(source), progress: None })
}

fn validation(config: &Validation) -> validate::ValidationConfig {
    validate::ValidationConfig {
        enabled: config.enabled,
        price_jump_bp: config.price_jump.bp(),
        price_jump_action: match config.price_jump_action {
            JumpAction::Flag => validate::JumpAction::Flag,
            JumpAction::Reject => validate::JumpAction::Reject,
        },
        price_jump_confirm_trades: config.price_jump_confirm_trades,
        future_ns_max: duration_nanos(config.future_max),
        past_ns_max: duration_nanos(config.past_max),
    }
}
