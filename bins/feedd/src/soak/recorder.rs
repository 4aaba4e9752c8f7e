//! The recorder that is tried: a process of its own, as in service, asked over its socket.

use super::place::Place;
use crate::admin::SOCKET;
use crate::{admin_client, status_cmd};
use anyhow::{Context, Result, bail};
use feedd_core::data_dir::STATE_DIR;
use feedd_telemetry::status::Status;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for its first answer.
const START_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of its log that are shown when it does not start.
const LOG_LINES: usize = 12;

/// A running recorder; killed when it goes out of scope.
pub(super) struct Recorder {
    child: Child,
    asked: admin_client::Recorder,
    log: PathBuf,
}

impl Recorder {
    /// Starts it and waits for its first answer; `again` adds to the log of an earlier start.
    ///
    /// # Errors
    /// When it does not start, or does not answer in time.
    pub(super) fn start(place: &Place, more: &[String], again: bool) -> Result<Self> {
        let log = place.log();
        let stderr = File::options().create(true).append(again).truncate(!again).write(true).open(&log);
        let stderr = stderr.with_context(|| format!("writing {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(place.run_arguments(more)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        // Ctrl-C at the terminal is for whoever watches: it ends the recorder in order.
        let child = command.process_group(0).spawn().context("starting the recorder")?;
        let socket = place.data_dir().join(STATE_DIR).join(SOCKET);
        let mut recorder = Self { child, asked: admin_client::Recorder::Socket(socket), log };
        let begin = Instant::now();
        while let Err(error) = recorder.look() {
            if let Some(status) = recorder.over()? {
                bail!("the recorder did not start ({status}):\n{}", recorder.said());
            }
            if begin.elapsed() > START_MAX {
                return Err(error.context(format!("the recorder does not answer:\n{}", recorder.said())));
            }
            std::thread::sleep(LOOK);
        }
        Ok(recorder)
    }

    /// How it is now.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn look(&self) -> Result<Status> {
        status_cmd::read(&self.asked.get("/status")?)
    }

    /// How it has ended; `None` while it runs.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn over(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the recorder")
    }

    /// Asks it to end.
    pub(super) fn ask_to_end(&self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            // It has not been waited for, so the number is its own; one that has just ended needs no signal.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing the recorder")?;
        self.child.wait().context("waiting for the recorder")?;
        Ok(())
    }

    /// The end of what it wrote to standard error.
    pub(super) fn said(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nothing to do when it has ended, which it mostly has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
