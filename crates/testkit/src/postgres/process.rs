//! The server's processes: started, signalled and reaped by one thread, which knows them by id and by nothing else.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
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
    signals: SyncSender<Signal>,
    keeper: JoinHandle<()>,
}

impl Process {
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
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
        Ok(Self { pid, signals, keeper })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        self.keeper.is_finished()
    }

    /// Ends it and waits until the processes it had started are gone too.
    pub(super) fn stop(self, stop: &Stop) {
        let children = children_of(self.pid);
        self.signal(stop.signal);
        let gone = crate::wait_until(stop.wait_max, || self.has_ended() && !children.iter().any(Kin::is_alive));
        assert!(gone, "the PostgreSQL server {} or a process of it did not end", self.pid);
    }

    /// Ends it without a panic: for a drop.
    pub(super) fn stop_quietly(self) {
        let children = children_of(self.pid);
        self.signal(Signal::QUIT);
        let ended = || self.has_ended() && !children.iter().any(Kin::is_alive);
        if !crate::wait_until(QUIET_WAIT_MAX, ended) {
            self.signal(Signal::KILL);
            crate::wait_until(QUIET_WAIT_MAX, ended);
        }
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

/// A process, told from a later one with the same id by when it was started.
#[derive(PartialEq, Eq)]
struct Kin {
    pid: u32,
    started: u64,
}

impl Kin {
    fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.kin == *self && !stat.dead)
    }
}

struct Stat {
    kin: Kin,
    parent: u32,
    /// A zombie: where nobody reaps orphans it stays for ever.
    dead: bool,
}

fn children_of(parent: u32) -> Vec<Kin> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(stat).filter(|stat| stat.parent == parent).map(|stat| stat.kin).collect()
}

/// `/proc/PID/stat`: the name stands in brackets and may hold anything; behind it state, parent and, 19 further, the start.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { kin: Kin { pid, started }, parent, dead: matches!(state, "Z" | "X") })
}
