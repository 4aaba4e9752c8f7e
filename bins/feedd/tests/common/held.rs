//! One thread of a running recorder, held still from outside.

use super::Feedd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One thread of a process that is held still, until it goes out of scope.
pub(crate) struct Held(Child);

impl Held {
    /// Holds the thread at its next system call. `None`, with a printed note, where that is not allowed.
    pub(crate) fn hold(feedd: &mut Feedd, thread: &str, folder: &Path) -> Option<Self> {
        let tasks = format!("/proc/{}/task", feedd.pid());
        let of_thread = |id: &String| {
            std::fs::read_to_string(format!("{tasks}/{id}/comm")).is_ok_and(|comm| comm.trim_end() == thread)
        };
        let mut ids = std::fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().file_name().into_string().unwrap());
        let id = ids.find(of_thread).expect("a thread of that name");
        let trace = folder.join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-p", &id, "-o", trace.to_str().unwrap(), "-e", "inject=all:delay_enter=3600000000"]);
        let said = std::fs::File::create(folder.join("strace")).unwrap();
        let Ok(child) = strace.stdin(Stdio::null()).stderr(said).spawn() else {
            println!("skipped: strace is not there");
            return None;
        };
        let mut held = Self(child);
        let mut can_trace = true;
        feedd.wait_until("the thread is held", |_| {
            can_trace = held.0.try_wait().unwrap().is_none();
            !can_trace || std::fs::read_to_string(folder.join("strace")).unwrap().contains("attached")
        });
        if !can_trace {
            println!("skipped: strace may not trace here: {}", std::fs::read_to_string(folder.join("strace")).unwrap());
            return None;
        }
        Some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It lets the thread go when it is asked to end, not when it is killed.
        let terminate = format!("kill -TERM {}", self.0.id());
        let _ = Command::new("sh").args(["-c", &terminate]).status();
        let _ = self.0.wait();
    }
}
