//! What the operator's commands share: configuration, log, exit codes, tables and times.
//!
//! Data goes to standard output, everything else to standard error. Exit code 0: good; 1: something is wrong with the data;
//! 2: the command could not do its work (configuration, files, server).

use crate::cli::ConfigArgs;
use crate::{EXIT_TROUBLE, EXIT_USAGE, logging};
use anyhow::{Context, Result};
use feedd_config::{Config, Machine};
use feedd_core::affinity::usable_cores;
use feedd_model::{Derived, Event, UnixNanos};
use indicatif::ProgressBar;
use serde_json::Value;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Something is wrong with the data.
    Wrong,
}

impl Verdict {
    pub(crate) const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Wrong }
    }
}

/// Loads the configuration, does the work, and makes an exit code of what it found.
pub(crate) fn run(args: &ConfigArgs, work: impl FnOnce(&Config, &mut dyn Write) -> Result<Verdict>) -> ExitCode {
    let (cores, venues) = (usable_cores(), feedd_venues::table::names().collect::<Vec<_>>());
    let machine = Machine { cores: &cores, venues: &venues };
    let environment = feedd_config::environment().into_iter();
    let loaded = match feedd_config::load(args.file().as_deref(), environment, &args.overrides(), &machine) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let done = logging::start(&loaded.config.log, &ProgressBar::hidden())
        .and_then(|_| work(&loaded.config, &mut out))
        .and_then(|verdict| out.flush().context("writing to standard output").map(|()| verdict));
    match done {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(EXIT_TROUBLE),
        // The reader of a pipe has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feedd: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == ErrorKind::BrokenPipe)
}

/// Writes one JSON value and a line feed.
pub(crate) fn write_json(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Writes rows under their heads, each column as wide as its widest cell, the last one as it is.
pub(crate) fn write_table<const N: usize>(
    out: &mut dyn Write,
    heads: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|at| {
        rows.iter().map(|row| row[at].chars().count()).chain([heads[at].len()]).max().unwrap_or(0)
    });
    let heads = heads.map(str::to_owned);
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The first event of `events`, which are not empty; of a derived record all its slots.
pub(crate) fn first_record(events: &[Event]) -> &[Event] {
    let slots = events.get(..events[0].kind().slots()).filter(|slots| Derived::from_events(slots).is_ok());
    slots.unwrap_or(&events[..1])
}

/// A wall time as people read it, to the nanosecond, UTC.
pub(crate) fn time_text(at: UnixNanos) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(at.0.into())
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ns", at.0))
}

/// Bytes as people read them, rounded down: `512 B`, `64.0 MiB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(name, shift)| format!("{}.{} {name}", bytes >> shift, ((bytes & ((1 << shift) - 1)) * 10) >> shift),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_for_people() {
        let bytes = [0, 1023, 1024, 1536, 64 << 20, (64 << 20) - 1, 5 << 40, u64::MAX];
        let texts = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "64.0 MiB", "63.9 MiB", "5.0 TiB", "16777215.9 TiB"];
        assert_eq!(bytes.map(bytes_text), texts);
        assert_eq!(time_text(UnixNanos(0)), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(UnixNanos(1_723_075_200_000_000_001)), "2024-08-08T00:00:00.000000001Z");
        assert_eq!(time_text(UnixNanos(i64::MAX)), "2262-04-11T23:47:16.854775807Z");
        let mut out = Vec::new();
        let rows = [["a", "1"], ["long name", "2"]].map(|row| row.map(str::to_owned));
        write_table(&mut out, ["name", "n"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name       n\na          1\nlong name  2\n");
    }
}
