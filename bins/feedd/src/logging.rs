//! Log lines to standard error, as text or JSON, without tearing the live line of a terminal.

use crate::log_lines::LogLines;
use anyhow::{Context, Result};
use feedd_config::{Log, LogFormat, LogLevels};
use indicatif::ProgressBar;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload::{self, Handle};

/// Standard error, with the live line lifted out of the way for each write.
#[derive(Clone)]
struct AroundLiveLine(ProgressBar);

impl Write for AroundLiveLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AroundLiveLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The level of a log that runs.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(Handle<Targets, Registry>);

impl LogLevel {
    /// Another level from now on.
    ///
    /// # Errors
    /// When the log has ended.
    pub(crate) fn set(&self, levels: &LogLevels) -> Result<()> {
        self.0.reload(targets(levels)?).context("log.level")
    }
}

fn targets(levels: &LogLevels) -> Result<Targets> {
    levels.to_string().parse().context("log.level")
}

/// Starts logging as configured, and gives the last lines, and what the level is changed with.
///
/// # Errors
/// When the levels cannot be understood, or logging was started before.
pub(crate) fn start(log: &Log, live: &ProgressBar) -> Result<(LogLines, LogLevel)> {
    let (levels, level) = reload::Layer::new(targets(&log.level)?);
    let lines = LogLines::default();
    let writer = AroundLiveLine(live.clone());
    let registry = tracing_subscriber::registry().with(levels).with(lines.clone());
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match log.format {
        LogFormat::Json => registry.with(layer.json()).try_init(),
        LogFormat::Text => {
            let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            registry.with(layer.with_ansi(coloured).with_target(false)).try_init()
        }
    }
    .context("starting the log")?;
    Ok((lines, LogLevel(level)))
}
