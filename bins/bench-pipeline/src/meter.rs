//! CPU time of processes and threads, and memory: Linux only.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) rows: u64,
    pub(crate) wall: Duration,
    /// Of the server's process.
    pub(crate) server_cpu: Duration,
    /// Of the thread or process that sends the rows.
    pub(crate) client_cpu: Duration,
}

impl Run {
    pub(crate) fn rows_per_s(&self) -> f64 {
        self.rows as f64 / self.wall.as_secs_f64()
    }

    /// How busy the server's process was: 1 is one core.
    pub(crate) fn saturation(&self) -> f64 {
        self.server_cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    pub(crate) fn server_us_per_row(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.rows as f64
    }

    pub(crate) fn client_us_per_row(&self) -> f64 {
        self.client_cpu.as_secs_f64() * 1e6 / self.rows as f64
    }
}

/// Whose CPU time counts as the client's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientCpu {
    ThisThread,
    Process(u32),
}

impl ClientCpu {
    fn read(self) -> Result<Duration> {
        match self {
            Self::ThisThread => Ok(thread_cpu()),
            Self::Process(pid) => process_cpu(pid),
        }
    }
}

/// Runs `work` and measures it. `server`: the process that serves it; it and a client process must be single-threaded.
pub(crate) fn run(rows: u64, server: u32, client: ClientCpu, work: impl FnOnce() -> Result<()>) -> Result<Run> {
    let (server_before, client_before, begin) = (process_cpu(server)?, client.read()?, Instant::now());
    work()?;
    let wall = begin.elapsed();
    let client_cpu = client.read()?.saturating_sub(client_before);
    Ok(Run { rows, wall, server_cpu: process_cpu(server)?.saturating_sub(server_before), client_cpu })
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU time of a process of one thread that waits right now: in ns where the system counts so, else in its ticks.
fn process_cpu(pid: u32) -> Result<Duration> {
    let counted = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
    let nanos = counted.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
    if let Some(nanos) = nanos.filter(|&nanos| nanos > 0) {
        return Ok(Duration::from_nanos(nanos));
    }
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    stat_cpu(&text).with_context(|| format!("{path} is not as expected"))
}

/// User and system time of a line of `/proc/PID/stat`.
fn stat_cpu(text: &str) -> Option<Duration> {
    /// The unit of these times in every Linux ABI.
    const TICK: Duration = Duration::from_millis(10);
    // The name, in brackets, can hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * user.checked_add(system)?)
}

/// Most memory this process has had, in MiB.
pub(crate) fn rss_peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_times() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 1 0 5 0 0";
        assert_eq!(stat_cpu(line), Some(Duration::from_millis(1750)));
        assert_eq!(stat_cpu("7 (a) S 1"), None);
    }

    #[test]
    fn time_of_this_thread_rises_with_work() {
        let before = thread_cpu();
        let mut sum = 0u64;
        while thread_cpu() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(rss_peak_mib().is_some());
    }
}
