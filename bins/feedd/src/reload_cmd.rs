//! `feedd reload`: the configuration of a running recorder is read again.

use crate::admin_client::{self, Recorder};
use crate::cli::{AskArgs, ReloadArgs};
use crate::reload::Outcome;
use crate::{EXIT_TROUBLE, EXIT_USAGE, status_cmd};
use anyhow::{Context, Result};
use std::io::Write;
use std::process::ExitCode;

/// Asks for it, and says what came of it. Exit codes 0, 1, 2: all in effect, some at the next start, mistakes; 3 when the
/// recorder was not reached.
pub(crate) fn reload(args: &ReloadArgs) -> ExitCode {
    match asked(args) {
        Ok(outcome) if !outcome.is_applied => ExitCode::from(EXIT_USAGE),
        Ok(outcome) if !outcome.at_next_start.is_empty() => ExitCode::from(EXIT_TROUBLE),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feedd: {error:#}");
            admin_client::exit_code(&error)
        }
    }
}

fn asked(args: &ReloadArgs) -> Result<Outcome> {
    let ask = AskArgs { data_dir: args.data_dir.clone(), url: None, config: args.config.clone() };
    let recorder: Recorder = status_cmd::recorder(&ask)?;
    let body = recorder.change("/reload")?;
    let outcome: Outcome = serde_json::from_slice(&body).context("the answer is not known; use the feedd that runs")?;
    let mut out = std::io::stdout().lock();
    if args.json {
        out.write_all(&body)?;
        writeln!(out)?;
    } else if outcome.is_applied {
        writeln!(out, "{outcome}")?;
    } else {
        eprintln!("{outcome}");
    }
    Ok(outcome)
}
