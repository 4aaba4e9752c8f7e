//! Log lines to standard error, as text or JSON, without tearing the live line of a terminal.

use anyhow::{Context, Result};
use feedd_config::{Log, LogFormat};
use indicatif::ProgressBar;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

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

/// Starts logging as configured.
///
/// # Errors
/// When the levels cannot be understood, or logging was started before.
pub(crate) fn start(log: &Log, live: &ProgressBar) -> Result<()> {
    let levels: Targets = log.level.to_string().parse().context("log.level")?;
    let writer = AroundLiveLine(live.clone());
    let registry = tracing_subscriber::registry().with(levels);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match log.format {
        LogFormat::Json => registry.with(layer.json()).try_init(),
        LogFormat::Text => {
            let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            registry.with(layer.with_ansi(coloured).with_target(false)).try_init()
        }
    }
    .context("starting the log")
}
