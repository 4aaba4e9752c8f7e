//! psql's side: one session that is told to copy encoded files.

use super::server::Target;
use super::session::backend_pid;
use crate::meter::{self, ClientCpu, Run};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout};

/// A running psql. Dropping it ends it.
pub(crate) struct Psql {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    backend: u32,
}

impl Psql {
    /// # Errors
    /// When it cannot be run or cannot connect.
    pub(crate) fn start(target: &Target) -> Result<Self> {
        let mut child = target.psql().spawn().context("running psql")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut psql = Self { child, input, output, backend: 0 };
        let answer = psql.tell("SELECT pg_backend_pid();\n")?;
        psql.backend = backend_pid(&answer)?;
        Ok(psql)
    }

    /// Copies each file into a table, one statement a file; or one transaction, which begins with `ledger`.
    ///
    /// # Errors
    /// When a copy fails.
    pub(crate) fn copy(&mut self, table: &str, files: &[PathBuf], rows: u64, ledger: Option<&str>) -> Result<Run> {
        // What stands before `\;` goes with what follows in one message, as the sink sends it.
        let begin = ledger.map_or_else(String::new, |ledger| format!("BEGIN \\; {ledger};\n"));
        let end = if ledger.is_some() { "COMMIT;\n" } else { "" };
        let mut script = String::new();
        for file in files {
            script.push_str(&format!("{begin}\\copy {table} from {} (format binary)\n{end}", quoted(file)?));
        }
        script.push_str("SELECT 'copied';\n");
        let (backend, client) = (self.backend, ClientCpu::Process(self.child.id()));
        meter::run(rows, backend, client, || self.tell(&script).map(drop))
    }

    /// Writes what a query returns into a file, as COPY writes it.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn save(&mut self, query: &str, file: &Path) -> Result<()> {
        self.tell(&format!("\\copy ({query}) to {} (format binary)\nSELECT 'saved';\n", quoted(file)?)).map(drop)
    }

    /// Sends statements of which the last one answers, and waits for its line.
    fn tell(&mut self, script: &str) -> Result<String> {
        let input = self.input.as_mut().context("psql's input is open")?;
        input.write_all(script.as_bytes()).and_then(|()| input.flush()).context("psql has ended; see above")?;
        let mut line = String::new();
        if self.output.read_line(&mut line).context("reading what psql says")? == 0 {
            bail!("psql has ended; see above");
        }
        Ok(line)
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        drop(self.input.take()); // It ends at the end of its input.
        // Ended already, or ended by us: both are what is wanted.
        let _ = self.child.wait();
    }
}

/// A file's name in a statement of psql.
fn quoted(file: &Path) -> Result<String> {
    let name = file.to_str().context("the temporary folder's name is not UTF-8")?;
    Ok(format!("'{}'", name.replace('\'', "''")))
}
