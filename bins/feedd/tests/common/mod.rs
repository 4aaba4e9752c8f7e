//! feedd as an operator runs it: a process, its standard error, its final accounting line.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

pub(crate) mod disk;
pub(crate) mod held;
pub(crate) mod pg;
pub(crate) mod stored;
pub(crate) mod synthetic;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time anything is waited for; a busy machine is slow, a hanging recorder is slower.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// A running feedd; killed when the test fails before its end.
pub(crate) struct Feedd {
    child: Child,
    /// Holds standard error; the file's folder is the recorder's working folder.
    folder: TempDir,
}

/// A finished feedd.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    pub(crate) stdout: Vec<u8>,
}

/// The final accounting line in numbers: `frames.received`, `events.in ring`, `sink.stored`, `unaccounted`.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) verdict: String,
    numbers: BTreeMap<String, u64>,
}

/// feedd without the settings of whoever runs the tests.
pub(crate) fn command<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FEEDD_") {
            command.env_remove(name);
        }
    }
    command.args(args.iter().map(AsRef::as_ref));
    command
}

/// Arguments of `feedd run` with this data folder.
pub(crate) fn run_args(data_dir: &Path, more: &[&str]) -> Vec<String> {
    let fixed = ["run", "--data-dir", data_dir.to_str().unwrap()];
    fixed.iter().chain(more).map(|&arg| arg.to_owned()).collect()
}

/// Runs feedd to its end.
pub(crate) fn run(data_dir: &Path, more: &[&str]) -> Ended {
    Feedd::start(&run_args(data_dir, more)).wait()
}

impl Feedd {
    pub(crate) fn start(args: &[String]) -> Self {
        Self::start_in(&mut command(args))
    }

    /// Starts a command that the test has prepared, such as with variables of its own.
    pub(crate) fn start_in(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stderr = File::create(folder.path().join("stderr")).unwrap();
        let stdout = File::create(folder.path().join("stdout")).unwrap();
        let child =
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        Self { child, folder }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("stderr")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has said `text`.
    pub(crate) fn wait_until_said(&mut self, text: &str) {
        self.wait_until(text, |feedd| feedd.said().contains(text));
    }

    /// Waits until `reached`, which must be before its end.
    pub(crate) fn wait_until(&mut self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let limit = Instant::now() + WAIT_MAX;
        while !reached(self) {
            let ended = self.child.try_wait().unwrap();
            // What it did last is looked for once more.
            assert!(ended.is_none() || reached(self), "ended ({ended:?}) before: {what}\n{}", self.said());
            assert!(Instant::now() < limit, "still waiting for: {what}\n{}", self.said());
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: no other program has to be there. The child is not reaped yet, so its id is its own.
        let kill = format!("kill -{name} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Ended {
        let limit = Instant::now() + WAIT_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < limit, "feedd does not end\n{}", self.said());
            std::thread::sleep(LOOK);
        };
        let stdout = std::fs::read(self.folder.path().join("stdout")).unwrap();
        Ended { status, stderr: self.said(), stdout }
    }
}

impl Drop for Feedd {
    fn drop(&mut self) {
        // Nothing to do when it has ended, which it mostly has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The final accounting line, which every run prints once; and that it held whenever it was checked.
    pub(crate) fn account(&self) -> Account {
        let mut lines = self.stderr.lines().filter_map(|line| line.strip_prefix("Final accounting ("));
        let line = lines.next().unwrap_or_else(|| panic!("no final accounting line in:\n{}", self.stderr));
        assert!(lines.next().is_none(), "one final accounting line in:\n{}", self.stderr);
        let mut checks = self.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("account checked "));
        let (looks, found) = checks.next().and_then(|line| line.split_once(" times: ")).expect("a line of the check");
        assert_eq!((found, checks.next()), ("no violation", None), "{}", self.stderr);
        assert_ne!(looks, "0", "at least at the end");
        let (verdict, terms) = line.split_once("): ").unwrap();
        let mut numbers = BTreeMap::new();
        for group in terms.split(" | ") {
            let (name, terms) = group.split_once(": ").unwrap();
            for term in
                terms.split([' ', '=', '+']).filter(|word| !word.is_empty()).collect::<Vec<_>>().chunk_by(continues)
            {
                let key = if term.len() == 1 { name.to_owned() } else { format!("{name}.{}", term[1..].join(" ")) };
                numbers.insert(key, term[0].parse().unwrap());
            }
        }
        Account { verdict: verdict.to_owned(), numbers }
    }

    /// Asserts a clean end with everything stored, and gives the account.
    pub(crate) fn assert_complete(&self, case: &str) -> Account {
        assert_eq!(self.code(), Some(0), "{case}:\n{}", self.stderr);
        let account = self.account();
        assert!(account.is_complete(), "{case}:\n{}", self.stderr);
        assert_eq!(account.get("sink.stored"), account.get("events.accepted"), "{case}");
        account
    }
}

impl Account {
    /// Whether nothing is pending or unaccounted; the verdict may add what was rejected or dropped.
    pub(crate) fn is_complete(&self) -> bool {
        self.verdict.starts_with("complete") && self.get("unaccounted") == 0
    }

    /// A term by name; `sink.` stands for the only sink.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let only = name.strip_prefix("sink.").map(|term| format!(".{term}"));
        let is_it = |key: &str| match &only {
            Some(term) => key.starts_with("sink ") && key.ends_with(term.as_str()),
            None => key == name,
        };
        let found: Vec<u64> = self.numbers.iter().filter(|(key, _)| is_it(key)).map(|(_, value)| *value).collect();
        assert_eq!(found.len(), 1, "{name} in {self:?}");
        found[0]
    }
}

/// Whether the second word belongs to the same term as the first: terms begin with a number.
fn continues(_: &&str, word: &&str) -> bool {
    !word.starts_with(|first: char| first.is_ascii_digit())
}

/// The folder of recorded data: `$FEEDD_SHARED`, default `../shared` beside the workspace. `None`, with a printed note,
/// when it is not there; a failure on CI, where it must be.
pub(crate) fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("FEEDD_SHARED").map_or_else(default, PathBuf::from);
    if folder.join("captures").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no recorded data in {}", folder.display());
    println!("skipped: no recorded data in {} (set FEEDD_SHARED)", folder.display());
    None
}
