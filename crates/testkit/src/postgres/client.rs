//! `psql` as a client: shares nothing with the code that is tested.

use super::install::{PASSWORD, USER};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `psql` connects to.
pub(super) struct Client {
    pub(super) program: PathBuf,
    pub(super) host: OsString,
    pub(super) port: u16,
    pub(super) database: String,
}

impl Client {
    /// Reads statements from standard input: each is then a transaction of its own, unlike with `-c`.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Settings of whoever runs the tests must not leak in.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.args(["-X", "-q", "-w", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1", "-U", USER]);
        command.arg("-h").arg(&self.host).arg("-p").arg(self.port.to_string()).arg("-d").arg(&self.database);
        command.env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "10").args(["-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The rows, or what was written to standard error.
    pub(super) fn run(&self, sql: &str) -> Result<String, String> {
        let mut child = self.command().spawn().map_err(|e| format!("{}: {e}", self.program.display()))?;
        let mut input = child.stdin.take().expect("standard input is piped");
        let sql = sql.to_owned();
        // In a thread: `psql` may fill its standard output before it has read everything. It may also end before it has
        // (no connection); what it then writes to standard error is the error, not the pipe.
        let writer = std::thread::spawn(move || input.write_all(sql.as_bytes()).is_ok());
        let output = child.wait_with_output().map_err(|e| format!("psql: {e}"))?;
        let written = writer.join().expect("the writer does not panic");
        if !output.status.success() || !written {
            return Err(format!("{} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status));
        }
        let text =
            String::from_utf8(output.stdout).map_err(|e| format!("psql wrote something else than UTF-8: {e}"))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }
}
