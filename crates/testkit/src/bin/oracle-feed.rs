//! An oracle as a process of its own, so that it outlives whatever is killed: sends trades as a capture into a named pipe or
//! a file and logs what was taken.

use feedd_testkit::oracle::{Feed, Oracle};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const USAGE: &str = "usage: oracle-feed --seed S --rate R --for SECONDS --out FIFO_OR_FILE --log FILE
                   [--symbols A,B] [--from N]

Sends trades N, N+1, ... of seed S at R a second (0: as fast as they are taken) as lines of a Binance capture.
A reader of a pipe may come late, be slow, go away and come back. At the end prints the number that comes next.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let feed = match parse(&args) {
        Ok(feed) => feed,
        Err(why) => {
            eprintln!("oracle-feed: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match feed.run(&AtomicBool::new(false)) {
        Ok(end) => {
            eprintln!("oracle-feed: blocked {:?}, readers gone {}", end.blocked, end.readers_gone);
            println!("{}", end.next);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("oracle-feed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Feed, String> {
    const KNOWN: [&str; 7] = ["--seed", "--rate", "--for", "--out", "--log", "--symbols", "--from"];
    if let Some(unknown) = args.iter().step_by(2).find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("unknown argument {unknown}"));
    }
    let symbols = value::<String>(args, "--symbols", Some("BTCUSDT,ETHUSDT"))?;
    let symbols: Vec<&str> = symbols.split(',').collect();
    if !symbols.iter().all(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())) {
        return Err("--symbols are capital letters and digits, parted by commas".to_owned());
    }
    let seconds = value::<f64>(args, "--for", None)?;
    Ok(Feed {
        oracle: Oracle::new(value(args, "--seed", None)?, &symbols),
        first: value(args, "--from", Some("1"))?,
        rate: value(args, "--rate", None)?,
        duration: Duration::try_from_secs_f64(seconds).map_err(|e| format!("--for: {e}"))?,
        out: value(args, "--out", None)?,
        log: value(args, "--log", None)?,
    })
}

/// The value behind `name`, or the one it has when it is not given.
fn value<T: FromStr>(args: &[String], name: &str, absent: Option<&str>) -> Result<T, String> {
    let text = match args.iter().position(|arg| arg == name) {
        Some(at) => args.get(at + 1).map(String::as_str).ok_or_else(|| format!("{name} needs a value"))?,
        None => absent.ok_or_else(|| format!("{name} is missing"))?,
    };
    text.parse().map_err(|_| format!("{name} {text}: not a usable value"))
}
