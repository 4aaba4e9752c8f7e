//! feedd: records market data without losing any silently.

mod book_cmd;
mod cli;
mod commands;
mod db_cmd;
mod decode;
mod journal_cmd;
mod logging;
mod operator;
mod plan_cmd;
mod quarantine_cmd;
mod run;
mod verify;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The run ended, but not as it should.
const EXIT_TROUBLE: u8 = 1;
/// The command line, the configuration or an input is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    feedd_core::memory::use_small_pages();
    match cli::Cli::parse().command {
        cli::Command::Run(args) => run::run(&args),
        cli::Command::Check(args) => run::check(&args),
        cli::Command::Plan(args) => plan_cmd::plan(&args),
        cli::Command::Decode(args) => decode::decode(&args),
        cli::Command::Book(args) => book_cmd::book(&args),
        cli::Command::Journal(command) => journal_cmd::journal(&command),
        cli::Command::Db(command) => db_cmd::db(&command),
        cli::Command::Quarantine(command) => quarantine_cmd::quarantine(&command),
        cli::Command::Verify(args) => verify::verify(&args),
    }
}
