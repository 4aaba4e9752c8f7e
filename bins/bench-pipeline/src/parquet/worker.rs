//! The Python process that writes the same rows as other libraries do. It lives over all rounds.

use super::Written;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What the process runs.
const SCRIPT: &str = include_str!("worker.py");

/// A running Python. Dropping it ends it.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// By way: its version, or an object that says why it cannot be had.
    versions: Value,
}

impl Worker {
    /// Starts it; each library reads the rows from `source`.
    ///
    /// # Errors
    /// When that Python cannot be run.
    pub(super) fn start(python: &Path, source: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).arg(source).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("running {}", python.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let mut worker = Self { child, input, output, versions: Value::Null };
        worker.versions = worker.answer().with_context(|| format!("running {}", python.display()))?;
        Ok(worker)
    }

    /// Version of the library that a way uses.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) fn version(&self, way: &str) -> Result<&str> {
        match &self.versions[way] {
            Value::String(version) => Ok(version),
            other => bail!("{}", error_in(other)),
        }
    }

    /// Has a file written, synced with its folder.
    ///
    /// # Errors
    /// When the library fails.
    pub(super) fn write(&mut self, way: &str, file: &Path) -> Result<Written> {
        let path = file.to_str().context("the folder's name is not UTF-8")?;
        let input = self.input.as_mut().context("Python's input is open")?;
        writeln!(input, "{}", json!([way, path]))
            .and_then(|()| input.flush())
            .context("Python has ended; see above")?;
        let answer = self.answer()?;
        let seconds = |name: &str| Some(Duration::from_secs_f64(answer[name].as_f64()?));
        match (seconds("wall_s"), seconds("cpu_s")) {
            (Some(wall), Some(cpu)) => Ok(Written { wall, cpu, files: vec![file.to_owned()] }),
            _ => bail!("{}", error_in(&answer)),
        }
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line).context("reading what Python says")? == 0 {
            bail!("Python has ended; see above");
        }
        serde_json::from_str(&line).with_context(|| format!("Python says {line:?}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take()); // It ends at the end of its input.
        // Ended already, or ended by us: both are what is wanted.
        let _ = self.child.wait();
    }
}

fn error_in(answer: &Value) -> String {
    answer["error"].as_str().map_or_else(|| answer.to_string(), str::to_owned)
}
