//! `feedd quality`: how whole the stored bars of each symbol and interval are, and where something is missing.

use crate::commands::{time_text, write_json, write_table};
use crate::{EXIT_TROUBLE, EXIT_USAGE};
use clap::Args;
use feedd_model::UnixNanos;
use feedd_replay::{MissingSpan, Quality, QualityReport, Selection, quality};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Version of the JSON.
const VERSION: u32 = 1;
/// Gaps shown of each symbol and interval; all of them are in the JSON.
const GAPS_SHOWN: usize = 20;

#[derive(Args, Debug)]
pub(crate) struct QualityArgs {
    /// Folder that the Parquet sink wrote to.
    #[arg(long = "from", value_name = "DIR", default_value = "feedd-data")]
    from: PathBuf,
    /// Bars that begin at or after this time, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = crate::cli::rfc3339)]
    since: Option<UnixNanos>,
    /// Bars that begin before this time, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = crate::cli::rfc3339)]
    until: Option<UnixNanos>,
    /// Only these symbols, as their venue writes them.
    #[arg(long, value_name = "SYMBOL,...", value_delimiter = ',')]
    symbols: Vec<String>,
    /// One JSON object with every gap.
    #[arg(long)]
    json: bool,
}

/// Prints the table. Exit code 0, 1 when a file could not be read, 2 when there are no bars.
pub(crate) fn show(args: &QualityArgs) -> ExitCode {
    let selection = Selection { since: args.since, until: args.until, symbols: args.symbols.clone() };
    let report = match quality(&args.from, &selection) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("feedd: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut out = io::stdout().lock();
    let written = if args.json { write_json(&mut out, &as_json(&report)) } else { write_text(&mut out, &report) };
    for bad in &report.bad_files {
        eprintln!("feedd: {bad}");
    }
    let is_whole = report.bad_files.is_empty() && written.is_ok();
    if is_whole { ExitCode::SUCCESS } else { ExitCode::from(EXIT_TROUBLE) }
}

fn as_json(report: &QualityReport) -> Value {
    let gap = |gap: &MissingSpan| {
        json!({
            "reason": gap.reason, "shared": gap.is_shared, "from": gap.from.map(|at| at.0), "to": gap.to.map(|at| at.0),
            "first_missing": gap.numbers.map(|numbers| numbers.0), "last_missing": gap.numbers.map(|numbers| numbers.1),
            "events": gap.events,
        })
    };
    let row = |row: &Quality| {
        json!({
            "venue": row.venue, "symbol": row.symbol, "interval": row.interval.to_string(), "from": row.from.0, "to": row.to.0,
            "bars": row.bars, "complete": row.complete, "partial": row.partial, "synthetic": row.synthetic,
            "revised": row.revised, "truncated": row.truncated, "empty": row.empty, "quality_bp": row.quality_bp,
            "gaps": row.missing.iter().map(gap).collect::<Vec<_>>(),
        })
    };
    let rows = report.rows.iter().map(row).collect::<Vec<_>>();
    json!({ "version": VERSION, "rows": rows, "bad_files": report.bad_files })
}

fn write_text(out: &mut dyn Write, report: &QualityReport) -> io::Result<()> {
    let heads = [
        "venue",
        "symbol",
        "interval",
        "quality",
        "bars",
        "complete",
        "partial",
        "synthetic",
        "revised",
        "truncated",
        "empty",
        "gaps",
        "from",
        "to",
    ];
    let cells = |row: &Quality| {
        let counts = [row.bars, row.complete, row.partial, row.synthetic, row.revised, row.truncated, row.empty];
        let [bars, complete, partial, synthetic, revised, truncated, empty] = counts.map(|count| count.to_string());
        let quality = format!("{}.{:02}%", row.quality_bp / 100, row.quality_bp % 100);
        let (interval, gaps) = (row.interval.to_string(), row.missing.len().to_string());
        let [from, to] = [row.from, row.to].map(time_text);
        [
            row.venue.clone(),
            row.symbol.clone(),
            interval,
            quality,
            bars,
            complete,
            partial,
            synthetic,
            revised,
            truncated,
            empty,
            gaps,
            from,
            to,
        ]
    };
    write_table(out, heads, &report.rows.iter().map(cells).collect::<Vec<_>>())?;
    for row in report.rows.iter().filter(|row| !row.missing.is_empty()) {
        writeln!(out, "\n{} {} {}:", row.venue, row.symbol, row.interval)?;
        for gap in row.missing.iter().take(GAPS_SHOWN) {
            writeln!(out, "  {}", words(gap))?;
        }
        if row.missing.len() > GAPS_SHOWN {
            writeln!(out, "  and {} more (--json shows all)", row.missing.len() - GAPS_SHOWN)?;
        }
    }
    Ok(())
}

/// A gap in one line.
fn words(gap: &MissingSpan) -> String {
    let time = |at: Option<UnixNanos>| at.map_or_else(|| "unknown".to_owned(), time_text);
    let mut text = format!("{} to {}: {}", time(gap.from), time(gap.to), gap.reason);
    if let Some((first, last)) = gap.numbers {
        text = format!("{text}, {first} to {last}");
    }
    if let Some(events) = gap.events {
        text = format!("{text}, {events} missing");
    }
    if gap.is_shared { format!("{text} (the whole connection or recorder)") } else { text }
}
