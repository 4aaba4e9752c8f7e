//! What a service manager hears of a run, in which order; and that it hears no sign of life while a thread hangs.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use common::held::Held;
use common::{Feedd, command, run_args};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// As `WatchdogSec=8`: a sign of life every 4 s, and so long is a thread waited for.
const WATCHDOG_USEC: &str = "8000000";
/// What `stop.deadline` and what comes back late take.
const STOPPING: &str = "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000";

/// Plays the service manager.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Vec::new() }
    }

    fn at(folder: &Path) -> (Self, String) {
        let path = folder.join("notify");
        (Self::new(UnixDatagram::bind(&path).unwrap()), path.display().to_string())
    }

    /// Takes what has come.
    fn hear(&mut self) -> &[String] {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            self.heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        &self.heard
    }

    fn wait_for(&mut self, feedd: &mut Feedd, message: &str) {
        feedd.wait_until(message, |_| self.hear().iter().any(|heard| heard == message));
    }

    /// All but the state in words.
    fn orders(&mut self) -> Vec<&str> {
        self.hear().iter().map(String::as_str).filter(|message| !message.starts_with("STATUS=")).collect()
    }
}

/// A simulated market, ten symbols, as a service.
fn service(folder: &TempDir, socket: &str, more: &[&str]) -> Command {
    let fixed = ["--source", "sim", "--set", "admin.listen=127.0.0.1:0"];
    let mut command = command(&run_args(&folder.path().join("data"), &[&fixed, more].concat()));
    command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", WATCHDOG_USEC).env_remove("WATCHDOG_PID");
    command
}

#[test]
fn ready_when_it_answers_then_signs_of_life_then_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manager, socket) = Manager::at(folder.path());
    let mut feedd = Feedd::start_in(&mut service(&folder, &socket, &[]));
    manager.wait_for(&mut feedd, "READY=1");
    let address = asking::address(&feedd.said()).expect("the admin server is up by then");
    assert_eq!(asking::get(&address, "/readyz").status, 200);
    assert!(folder.path().join("data/_feedd/feedd.sock").exists());
    manager.wait_for(&mut feedd, "WATCHDOG=1");
    feedd.wait_until("the verdict in words", |_| {
        manager.hear().iter().any(|heard| heard.contains("recording 10/10 symbols, 0 lost, durable to seq "))
    });
    feedd.signal("TERM");
    manager.wait_for(&mut feedd, STOPPING);
    feedd.wait().assert_complete("as a service");
    let mut orders = manager.orders();
    orders.dedup();
    // A start that took more than a moment has asked for time.
    orders.retain(|order| !order.starts_with("EXTEND_TIMEOUT_USEC="));
    assert_eq!(orders, ["READY=1", "WATCHDOG=1", STOPPING]);
    assert_eq!(manager.heard.last().unwrap(), "STATUS=stopping: sources end, rings drain, sinks are flushed");
}

#[test]
fn a_socket_without_a_file_is_heard_and_none_at_all_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("feedd-service-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let mut abstract_name = service(&folder, &format!("@{name}"), &["--events", "1000"]);
    Feedd::start_in(&mut abstract_name).wait().assert_complete("an abstract name");
    assert_eq!(manager.orders()[0], "READY=1");

    let folder = tempfile::tempdir().unwrap();
    let ended = Feedd::start_in(&mut service(&folder, "/no/such/socket", &["--events", "1000"])).wait();
    ended.assert_complete("nobody listens");
    assert!(ended.stderr.contains("NOTIFY_SOCKET=/no/such/socket: No such file or directory"), "{}", ended.stderr);
}

#[test]
fn ready_comes_after_the_journal_is_recovered_and_a_long_start_asks_for_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manager, socket) = Manager::at(folder.path());
    let mut feedd = Feedd::start_in(&mut service(&folder, &socket, &["--set", "health.interval=100ms"]));
    feedd.wait_until("something durable", |feedd| common::pg::durable(&feedd.said()).is_some_and(|seq| seq > 1_000));
    feedd.signal("KILL");
    feedd.wait();
    manager.hear();
    manager.heard.clear();

    // A disk that takes two seconds for a sync: only the main thread's, so only those of the start.
    let plain = service(&folder, &socket, &[]);
    let mut slow = Command::new("strace");
    slow.args(["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=2000000"]);
    slow.arg(plain.get_program()).args(plain.get_args());
    slow.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", WATCHDOG_USEC);
    let mut feedd = Feedd::start_in(&mut slow);
    let mut can_trace = true;
    feedd.wait_until("READY=1", |feedd| {
        can_trace = !feedd.said().contains("strace: ");
        !can_trace || manager.hear().iter().any(|heard| heard == "READY=1")
    });
    if !can_trace {
        println!("skipped: strace may not trace here: {}", feedd.said());
        return;
    }
    let said = feedd.said();
    assert!(said.contains("the last run did not end by itself"), "recovered before it is ready: {said}");
    let ready = manager.heard.iter().position(|heard| heard == "READY=1").unwrap();
    let before = &manager.heard[..ready];
    assert!(before.iter().any(|heard| heard == "EXTEND_TIMEOUT_USEC=30000000"), "{before:?}");
    assert!(before.iter().any(|heard| heard.starts_with("STATUS=starting: the journal is recovered (")), "{before:?}");
    assert!(!before.iter().any(|heard| heard == "WATCHDOG=1"), "{before:?}");
    let status = asking::get(&asking::address(&said).unwrap(), "/status").body;
    assert!(status.contains("recorder_down"), "{status}");
    feedd.signal("TERM");
}

#[test]
fn a_thread_that_hangs_is_named_and_silences_the_watchdog_until_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manager, socket) = Manager::at(folder.path());
    let mut feedd = Feedd::start_in(&mut service(&folder, &socket, &[]));
    manager.wait_for(&mut feedd, "WATCHDOG=1");
    let Some(held) = Held::hold(&mut feedd, "batching", folder.path()) else { return };
    feedd.wait_until_said("thread batching has shown no sign of life for ");
    assert!(feedd.said().contains("ERROR"), "{}", feedd.said());
    manager.hear();
    manager.heard.clear();
    // Twice the time between two signs of life: all others go on.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(manager.orders(), <[&str; 0]>::default());
    assert!(!manager.heard.is_empty(), "the state is told all the while");
    drop(held);
    feedd.wait_until_said("thread batching goes on");
    manager.wait_for(&mut feedd, "WATCHDOG=1");
    assert_eq!(feedd.said().matches("has shown no sign of life").count(), 1, "{}", feedd.said());
    feedd.signal("TERM");
    feedd.wait().assert_complete("a thread was held for a while");
}
