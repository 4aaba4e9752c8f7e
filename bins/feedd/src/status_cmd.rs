//! `feedd status` and `feedd health`.

use crate::admin_client::{EXIT_UNKNOWN, Recorder};
use crate::cli::{AskArgs, HealthArgs, StatusPageArgs};
use anyhow::{Context, Result};
use feedd_config::{Config, Machine};
use feedd_core::affinity::usable_cores;
use feedd_telemetry::status::{STATUS_VERSION, Status};
use feedd_telemetry::{Level, health_check_line, status_page};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Shows the status of a running recorder. Exit codes 0, 1, 2 for ok, warning, critical; 3 when it was not reached.
pub(crate) fn status(args: &StatusPageArgs) -> ExitCode {
    loop {
        let code = match shown(args) {
            Ok(level) => ExitCode::from(code(level)),
            Err(error) => {
                eprintln!("feedd: {error:#}");
                ExitCode::from(EXIT_UNKNOWN)
            }
        };
        let Some(every) = args.watch else { return code };
        std::thread::sleep(every);
    }
}

fn shown(args: &StatusPageArgs) -> Result<Level> {
    let body = recorder(&args.ask)?.get("/status")?;
    let status = read(&body)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        out.write_all(&body)?;
        writeln!(out)?;
    } else {
        if args.watch.is_some() && out.is_terminal() {
            // Home and clear: the page stays in its place.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        write!(out, "{}", status_page(&status))?;
    }
    out.flush()?;
    Ok(status.verdict.level)
}

/// One line for monitoring systems, with their exit codes.
pub(crate) fn health(args: &HealthArgs) -> ExitCode {
    let status = recorder(&args.ask).and_then(|recorder| recorder.get("/status")).and_then(|body| read(&body));
    match status {
        Ok(status) => {
            println!("{}", health_check_line(&status));
            ExitCode::from(code(status.verdict.level))
        }
        Err(error) => {
            println!("FEEDD UNKNOWN - {error:#}");
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

pub(crate) const fn code(level: Level) -> u8 {
    match level {
        Level::Ok => 0,
        Level::Warning => 1,
        Level::Critical => 2,
    }
}

/// Reads a status document.
pub(crate) fn read(body: &[u8]) -> Result<Status> {
    let what = || format!("the recorder's status is not of version {STATUS_VERSION}; use the feedd that runs");
    let status: Status = serde_json::from_slice(body).with_context(what)?;
    anyhow::ensure!(status.version == STATUS_VERSION, what());
    Ok(status)
}

/// The recorder that is meant: by URL, or by the data folder of the configuration.
pub(crate) fn recorder(args: &AskArgs) -> Result<Recorder> {
    let config = match (&args.url, &args.data_dir) {
        (None, None) => loaded(args)?,
        _ => Config::default(),
    };
    Recorder::find(args.url.as_deref(), args.data_dir.as_ref().unwrap_or(&config.data.dir))
}

/// The configuration's data folder, whatever else is wrong with it here: the recorder may run under another user.
fn loaded(args: &AskArgs) -> Result<Config> {
    let cores = usable_cores();
    let venues: Vec<&'static str> = feedd_venues::table::names().collect();
    let machine = Machine { cores: &cores, venues: &venues };
    let file = args.config.clone().or_else(|| std::env::var_os("FEEDD_CONFIG").map(Into::into));
    let loaded =
        feedd_config::load(file.as_deref(), feedd_config::environment().into_iter(), &Default::default(), &machine);
    Ok(loaded.map_err(|errors| anyhow::anyhow!("{errors}"))?.config)
}
