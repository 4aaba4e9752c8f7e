//! `feedd man` and `feedd completions`: made from the command line itself, so that they never say anything else.

use crate::EXIT_USAGE;
use crate::cli::{Cli, CompletionsArgs, ManArgs};
use anyhow::{Context, Result};
use clap::CommandFactory;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Writes the manual pages.
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    ended(match &args.dir {
        Some(dir) => write_pages(dir),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .context("making the page")
                .and_then(|()| print(&page))
        }
    })
}

/// Prints the completions.
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "feedd", &mut script);
    ended(print(&script))
}

fn write_pages(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(|| format!("writing into {}", dir.display()))
}

fn print(text: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(text) {
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to standard output"),
    }
}

fn ended(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feedd: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
