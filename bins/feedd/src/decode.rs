//! `feedd decode`: what captures say, normalised. Data to standard output, everything else to standard error.

use crate::cli::DecodeArgs;
use crate::{EXIT_TROUBLE, EXIT_USAGE};
use feedd_core::error_text;
use feedd_venues::capture::expand;
use feedd_venues::listing::{ListingError, Problem, list_events, summarize};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Decodes every file. Exit code 0; 2 when a path or a venue is wrong; 1 when a file ends early or is damaged.
pub(crate) fn decode(args: &DecodeArgs) -> ExitCode {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in &args.files {
        match expand(path) {
            Ok(found) => files.extend(found),
            Err(error) => {
                report(&error);
                return ExitCode::from(EXIT_USAGE);
            }
        }
    }
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut code = 0;
    for file in &files {
        let mut tell = |problem: &Problem<'_>| eprintln!("feedd: {problem}");
        match one(file, args, &mut out, &mut tell) {
            Ok(()) => {}
            // The reader of a pipe has seen enough.
            Err(ListingError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                code = code.max(if matches!(error, ListingError::UnknownVenue { .. }) {
                    EXIT_USAGE
                } else {
                    EXIT_TROUBLE
                });
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("feedd: writing to standard output failed: {error}");
            ExitCode::from(EXIT_TROUBLE)
        }
        _ => ExitCode::from(code),
    }
}

fn one(
    file: &Path,
    args: &DecodeArgs,
    out: &mut impl Write,
    tell: &mut dyn FnMut(&Problem<'_>),
) -> Result<(), ListingError> {
    let venue = args.venue.as_deref();
    if !args.summary {
        return list_events(file, venue, out, tell).map(drop);
    }
    let summary = summarize(file, venue, tell)?;
    serde_json::to_writer_pretty(&mut *out, &summary).map_err(|error| ListingError::Write(error.into()))?;
    out.write_all(b"\n").map_err(ListingError::Write)
}

fn report(error: &(dyn std::error::Error + 'static)) {
    eprintln!("feedd: {}", error_text(error));
}
