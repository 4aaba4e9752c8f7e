//! Where the figures come from: machine, system, version and build.

use serde_json::{Value, json};
use std::fs::read_to_string;
use std::path::Path;
use std::process::{Command, Stdio};

/// A build without optimisation, or with less than figures need.
const DEBUG_WARNING: &str = "a build with debug assertions: these figures say nothing; build with --profile dist";
const RELEASE_WARNING: &str = "built in target/release: unless that was --profile bench, rarely used crates are at opt-level 1; prefer --profile dist";

/// Options that name a file, see `cli.rs`.
const OUTPUTS: [&str; 3] = ["--json", "--markdown", "--svg"];

/// What a figure has to carry.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    load: String,
    commit: String,
    build: String,
    /// Of the compiler.
    toolchain: &'static str,
    /// Folder of the files that are measured, as a kind of file system.
    files: String,
    /// What was asked for, without the names of output files.
    command_line: String,
}

impl Machine {
    /// Looks; what cannot be found is "unknown". `dir`: where the measured files lie.
    pub(crate) fn look(dir: &Path) -> Self {
        let unknown = || "unknown".to_owned();
        let field = |file: &str, name: &str| {
            let text = read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let line = |file: &str| read_to_string(file).map(|text| text.trim().to_owned()).ok();
        let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_mib: memory.unwrap_or(0) / 1024,
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            load: line("/proc/loadavg")
                .and_then(|text| Some(text.split(' ').next()?.to_owned()))
                .unwrap_or_else(unknown),
            commit: commit().unwrap_or_else(unknown),
            build: build(),
            toolchain: env!("BENCH_RUSTC"),
            files: file_system(dir).unwrap_or_else(unknown),
            command_line: command_line(std::env::args().skip(1)),
        }
    }

    /// What makes the figures doubtful.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if cfg!(debug_assertions) {
            warnings.push(DEBUG_WARNING.to_owned());
        } else if self.build == "release" {
            warnings.push(RELEASE_WARNING.to_owned());
        }
        if matches!(self.files.as_str(), "tmpfs" | "ramfs" | "overlay") {
            warnings.push(format!("the measured files lie on {}: a sync there is not a disk's", self.files));
        }
        if self.load.parse::<f64>().is_ok_and(|load| load > 0.5) {
            warnings.push(format!("others used this machine when it began (load {}): trust ratios only", self.load));
        }
        warnings
    }

    /// Of feedd: `-dirty` at its end when files were changed.
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    /// What was asked for.
    pub(crate) fn command_line(&self) -> &str {
        &self.command_line
    }

    /// For people.
    pub(crate) fn lines(&self) -> [String; 2] {
        [
            format!(
                "{}, {} cores, {} MiB; Linux {}, files on {}, load {}",
                self.cpu, self.cores, self.memory_mib, self.kernel, self.files, self.load
            ),
            format!(
                "feedd {} at {}, built as {} by {}",
                env!("CARGO_PKG_VERSION"),
                self.commit,
                self.build,
                self.toolchain
            ),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.cores, "memory_mib": self.memory_mib, "kernel": self.kernel,
            "load_at_start": self.load, "files_on": self.files, "version": env!("CARGO_PKG_VERSION"),
            "commit": self.commit, "build": self.build, "toolchain": self.toolchain,
            "command_line": self.command_line, "debug_assertions": cfg!(debug_assertions),
        })
    }
}

/// The command as somebody else would type it: where its output went is left out.
fn command_line(args: impl Iterator<Item = String>) -> String {
    let mut text = "bench-pipeline".to_owned();
    let mut is_file = false;
    for arg in args {
        let is_output = OUTPUTS.iter().any(|output| arg == *output);
        if !is_file && !is_output && !OUTPUTS.iter().any(|output| arg.starts_with(&format!("{output}="))) {
            text.push(' ');
            text.push_str(&arg);
        }
        is_file = is_output;
    }
    text
}

/// Of the working folder, marked when files differ from it.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let output = git.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The profile's folder, where the program lies. `release` and `bench` share theirs.
fn build() -> String {
    let program = std::env::current_exe().ok();
    let folder = program.as_deref().and_then(Path::parent).and_then(Path::file_name);
    folder.map_or_else(|| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The kind of file system that holds a folder.
fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // The deepest mount point, and of several there the one mounted last.
    let holders = fields.filter(|(point, _)| dir.starts_with(point));
    holders.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_leaves_out_where_output_went() {
        let args = ["hot-path", "--json", "a.json", "--rounds", "7", "--svg=b.svg", "--no-pin", "--markdown", "c"];
        assert_eq!(command_line(args.map(str::to_owned).into_iter()), "bench-pipeline hot-path --rounds 7 --no-pin");
    }
}
