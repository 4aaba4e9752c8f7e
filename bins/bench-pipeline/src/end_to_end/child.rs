//! The two processes beside this one, each this program again: what feeds the recorder, and the recorder. They are asked
//! line by line over their standard input, and end when it does.

use crate::cli::RoleArg;
use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Lines, StdinLock, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// What a process says to a request.
#[derive(Debug, Serialize, Deserialize)]
enum Answer<T> {
    Done(T),
    Failed(String),
}

/// A process of this program. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Child {
    role: RoleArg,
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts it on these cores, wherever the system likes when there are none, and tells it what to set up.
    ///
    /// # Errors
    /// When it cannot be started, or says that it cannot set that up.
    pub(super) fn start<T: DeserializeOwned>(
        role: RoleArg,
        cores: &[usize],
        setup: &impl Serialize,
    ) -> Result<(Self, T)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["end-to-end", "--role", role.name()]);
        if !cores.is_empty() {
            let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
            command.args(["--cores", &cores.join(",")]);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("a pipe was asked for")?;
        let input = process.stdin.take();
        let mut child = Self { role, process, input, output: BufReader::new(output) };
        let told = child.ask(setup)?;
        Ok((child, told))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When it failed, or ended.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T> {
        let what = || format!("the process of the {}", self.role.name());
        let input = self.input.as_mut().with_context(what)?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        input.write_all(line.as_bytes()).with_context(what)?;
        line.clear();
        let read = self.output.read_line(&mut line).with_context(what)?;
        ensure!(read > 0, "{} ended before it answered", what());
        match serde_json::from_str(&line).with_context(what)? {
            Answer::Done(told) => Ok(told),
            Answer::Failed(error) => bail!("{}: {error}", what()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its input is what ends it; what it had to say is said.
        self.input = None;
        if let Err(error) = self.process.wait() {
            eprintln!("bench-pipeline: waiting for the process of the {}: {error}", self.role.name());
        }
    }
}

/// The side of such a process: reads the set-up, then requests.
pub(super) struct Asked {
    lines: Lines<StdinLock<'static>>,
}

impl Asked {
    /// Moves this process to its cores; to be called before it has threads.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn on(cores: &[usize]) -> Result<Self> {
        move_to(cores)?;
        Ok(Self { lines: std::io::stdin().lines() })
    }

    /// The next request; `None` when there will be no more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(line) = self.lines.next() else { return Ok(None) };
        Ok(Some(serde_json::from_str(&line?)?))
    }
}

/// Answers a request.
///
/// # Errors
/// When nobody listens.
pub(super) fn answer<T: Serialize>(told: Result<T>) -> Result<()> {
    let answer = match told {
        Ok(told) => Answer::Done(told),
        Err(error) => Answer::Failed(format!("{error:#}")),
    };
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("answering")
}

/// The calling thread, and those that it will start, run on these cores alone; anywhere, when there are none.
///
/// # Errors
/// When the system refuses.
pub(super) fn move_to(cores: &[usize]) -> Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).with_context(|| format!("moving to cores {cores:?}"))
}
