//! feedd: records market data without losing any silently.

mod admin;
mod admin_client;
mod alerting;
mod backtest_cmd;
mod book_cmd;
mod book_page;
mod cli;
mod commands;
mod dashboard;
mod db_cmd;
mod decode;
mod journal_cmd;
mod log_lines;
mod logging;
mod man_cmd;
mod notify;
mod observer;
mod operator;
mod plan_cmd;
mod quality_cmd;
mod quarantine_cmd;
mod query;
mod reload;
mod reload_cmd;
mod replay_cmd;
mod replaying;
mod run;
mod service;
mod soak;
mod status_cmd;
mod tap;
mod tap_cmd;
mod tap_kinds;
mod top;
mod verify;
mod views;
mod webhook;

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
        cli::Command::Status(args) => status_cmd::status(&args),
        cli::Command::Top(args) => top::top(&args),
        cli::Command::Tap(args) => tap_cmd::tap(&args),
        cli::Command::Reload(args) => reload_cmd::reload(&args),
        cli::Command::Health(args) => status_cmd::health(&args),
        cli::Command::Check(args) => run::check(&args),
        cli::Command::Plan(args) => plan_cmd::plan(&args),
        cli::Command::Decode(args) => decode::decode(&args),
        cli::Command::Book(args) => book_cmd::book(&args),
        cli::Command::Backtest(args) => backtest_cmd::backtest(&args),
        cli::Command::Strategies => backtest_cmd::strategies(),
        cli::Command::Replay(args) => replay_cmd::replay(&args),
        cli::Command::Journal(command) => journal_cmd::journal(&command),
        cli::Command::Db(command) => db_cmd::db(&command),
        cli::Command::Quarantine(command) => quarantine_cmd::quarantine(&command),
        cli::Command::Quality(args) => quality_cmd::show(&args),
        cli::Command::Verify(args) => verify::verify(&args),
        cli::Command::Soak(args) => soak::soak(&args),
        cli::Command::Man(args) => man_cmd::man(&args),
        cli::Command::Completions(args) => man_cmd::completions(&args),
    }
}
