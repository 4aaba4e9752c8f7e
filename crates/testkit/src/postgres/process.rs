//! The server's processes: started, signalled and reaped by one thread, which knows the postmaster by its id.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time between two looks at a process that nobody wants to end.
const IDLE_LOOK: Duration = Duration::from_millis(20);
/// How long a dropped server may take to end before it is killed.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(10);

/// How a server is ended.
pub(super) struct Stop {
    pub(super) signal: Signal,
    pub(super) wait_max: Duration,
}

/// A running postmaster.
///
/// A thread of its own starts it, because the system sends the signal of a parent's death when the *thread* that started
/// the process ends. The same thread sends signals: it alone reaps, so the id cannot have become another process's.
pub(super) struct Process {
    pid: u32,
    data_dir: PathBuf,
    signals: SyncSender<Signal>,
    keeper: JoinHandle<()>,
}

impl Process {
    /// Runs `command`, a server of `data_dir`.
    pub(super) fn start(mut command: Command, data_dir: &Path) -> io::Result<Self> {
        let data_dir = data_dir.canonicalize()?; // As the system will show it.
        let (signals, to_send) = sync_channel(4);
        let (started, starting) = sync_channel(1);
        command.stdin(Stdio::null());
        let keeper = std::thread::Builder::new().name("postgres".into()).spawn(move || match command.spawn() {
            Ok(child) => {
                started.send(Ok(child.id())).expect("the starter waits");
                keep(child, &to_send);
            }
            Err(error) => started.send(Err(error)).expect("the starter waits"),
        })?;
        let pid = starting.recv().expect("the keeper answers")?;
        Ok(Self { pid, data_dir, signals, keeper })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        self.keeper.is_finished()
    }

    /// Ends it and waits until the processes it had started are gone too.
    pub(super) fn stop(self, stop: &Stop) {
        self.signal(stop.signal);
        assert!(
            self.is_gone_within(stop.wait_max),
            "the PostgreSQL server {} or a process of it did not end",
            self.pid
        );
    }

    /// Ends it without a panic: for a drop.
    pub(super) fn stop_quietly(self) {
        self.signal(Signal::QUIT);
        if !self.is_gone_within(QUIET_WAIT_MAX) {
            self.signal(Signal::KILL);
            self.is_gone_within(QUIET_WAIT_MAX);
        }
    }

    fn is_gone_within(&self, most: Duration) -> bool {
        crate::wait_until(most, || self.has_ended() && !in_use(&self.data_dir))
    }

    fn signal(&self, signal: Signal) {
        match self.signals.try_send(signal) {
            // Disconnected: it has ended already.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => panic!("the keeper of server {} does not answer", self.pid),
        }
    }
}

fn keep(mut child: Child, to_send: &Receiver<Signal>) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    let mut look = IDLE_LOOK;
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(_)) => return,
            Err(error) => panic!("waiting for PostgreSQL server {pid:?}: {error}"),
        }
        match to_send.recv_timeout(look) {
            Ok(signal) => {
                kill_process(pid, signal).unwrap_or_else(|e| panic!("signal to PostgreSQL server {pid:?}: {e}"));
                look = crate::LOOK;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(look),
        }
    }
}

/// Whether a process has its working folder there: all of a server's have, also those that outlive the postmaster.
fn in_use(folder: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    // A zombie has no folder any more; where nobody reaps orphans it stays for ever.
    processes.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok()).any(|cwd| cwd == folder)
}
