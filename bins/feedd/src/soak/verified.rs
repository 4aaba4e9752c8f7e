//! What `feedd verify` says of what was recorded, asked as an operator asks it.

use super::place::Place;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::process::{Command, Stdio};

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Verified {
    pub(super) pass: bool,
    /// One for each sink and start.
    pub(super) lines: Vec<Line>,
}

/// One start of one sink.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Line {
    pub(super) sink: String,
    pub(super) epoch: u32,
    /// None of a sink that keeps nothing.
    pub(super) audit: Option<Audit>,
    /// Events that are in the journal alone.
    pub(super) pending: Option<u64>,
    pub(super) faults: Vec<String>,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Audit {
    pub(super) rows: u64,
}

/// Asks for it.
///
/// # Errors
/// When something could not be looked at.
pub(super) fn verify(place: &Place) -> Result<Verified> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    let output =
        command.args(place.verify_arguments()).stdin(Stdio::null()).output().context("running feedd verify")?;
    let Ok(verified) = serde_json::from_slice(&output.stdout) else {
        bail!("feedd verify ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    };
    Ok(verified)
}
