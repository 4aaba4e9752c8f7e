//! Prints a report of promises as a table and judges it: `promise-table REPORT PROMISE...`.
//!
//! Every named promise must have a line; exit code 1 when one has none, or one was broken.

use feedd_testkit::promise;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(report) = args.next().map(PathBuf::from) else {
        eprintln!("usage: promise-table REPORT PROMISE...");
        return ExitCode::from(2);
    };
    let demanded: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let (table, faults) = promise::judge(&report, &demanded);
    println!("{table}");
    for fault in &faults {
        eprintln!("promise-table: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
