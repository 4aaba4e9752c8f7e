//! What is installed: the server's programs, the user it runs as, and an initialised cluster to copy.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The superuser of every cluster, and the system's user that a server of root runs as.
pub(super) const USER: &str = "postgres";
/// Guards nothing: the clusters live in a test and listen on 127.0.0.1 at most.
pub(super) const PASSWORD: &str = "feedd-test";
/// Raised when the cluster to copy is initialised in another way.
const CLUSTER_FORMAT: u32 = 1;
/// Longest folder whose socket's path the system still takes (108 bytes with `/.s.PGSQL.65535`), with some room.
const FOLDER_BYTES_MAX: usize = 80;

/// PostgreSQL as found on this machine.
pub(super) struct Install {
    programs: PathBuf,
    version: String,
    /// User and group of the server; `None`: the ones of this process.
    identity: Option<(u32, u32)>,
    /// Whether a server can be told to end with the process that started it.
    setpriv: bool,
}

impl Install {
    /// Looks where `pg_config` points and where Debian puts it; else why it cannot be used.
    pub(super) fn find() -> Result<Self, String> {
        let programs = program_folders()
            .into_iter()
            .find(|folder| ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).is_file()))
            .ok_or("no PostgreSQL server here: looked where pg_config points and in /usr/lib/postgresql/*/bin")?;
        let version = said(&programs.join("postgres"), &["--version"]).ok_or("`postgres --version` does not run")?;
        let version = version.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
        let identity = if crate::is_root() {
            Some(system_user().ok_or("PostgreSQL refuses to run as root, and there is no system user `postgres`")?)
        } else {
            None
        };
        Ok(Self { programs, version, identity, setpriv: said(Path::new("setpriv"), &["--version"]).is_some() })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(super) const fn identity(&self) -> Option<(u32, u32)> {
        self.identity
    }

    /// A command that runs as the server's user, and ends when the thread that starts it does.
    pub(super) fn guarded(&self, program: &Path) -> Command {
        if !self.setpriv {
            return self.command(program);
        }
        let mut command = Command::new("setpriv");
        if let Some((uid, gid)) = self.identity {
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
        }
        // SIGQUIT: the server ends at once and takes its shared memory with it.
        command.args(["--pdeathsig", "QUIT", "--"]).arg(program).current_dir("/");
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/"); // The server's user may not be allowed into ours.
        if let Some((uid, gid)) = self.identity {
            command.uid(uid).gid(gid); // This also clears the groups of root.
        }
        command
    }

    /// A folder of the server's user, short enough for a socket in it.
    pub(super) fn new_folder(&self) -> TempDir {
        let mut place = std::env::temp_dir();
        if place.as_os_str().len() > FOLDER_BYTES_MAX {
            place = "/tmp".into();
        }
        let folder = tempfile::Builder::new().prefix("feedd-pg-").tempdir_in(&place);
        let folder = folder.unwrap_or_else(|e| panic!("a temporary folder in {}: {e}", place.display()));
        self.give_away(folder.path());
        folder
    }

    /// Copies an initialised cluster to `target`; makes it first when there is none of this version.
    pub(super) fn copy_cluster(&self, target: &Path) {
        let Some(cache) = cache_folder() else { return self.initialise(target) };
        let lock = File::create(cache.join("lock")).expect("the cache is ours");
        lock.lock().expect("waiting for the lock of the cache");
        let cluster = cache.join(format!("postgresql-{}-{CLUSTER_FORMAT}", self.version));
        if !cluster.exists() {
            // Under another name until it is whole: whoever made it may have been killed.
            let unfinished = cache.join("unfinished");
            if unfinished.exists() {
                std::fs::remove_dir_all(&unfinished).expect("removing an unfinished cluster");
            }
            std::fs::create_dir(&unfinished).expect("the cache is ours");
            self.give_away(&unfinished);
            self.initialise(&unfinished.join("data"));
            std::fs::rename(&unfinished, &cluster).expect("renaming within the cache");
        }
        drop(lock);
        run(Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(cluster.join("data")).arg(target));
    }

    fn initialise(&self, target: &Path) {
        let password = target.with_file_name("password");
        std::fs::write(&password, PASSWORD).expect("the folder is ours");
        self.give_away(&password);
        let mut initdb = self.command(&self.program("initdb"));
        initdb.arg("-D").arg(target).arg("--pwfile").arg(&password).args(["-U", USER, "-E", "UTF8", "--locale=C"]);
        run(initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]));
    }

    fn give_away(&self, path: &Path) {
        if let Some((uid, gid)) = self.identity {
            chown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("giving {} away: {e}", path.display()));
        }
    }
}

/// Where clusters are kept between tests and runs. `None` when somebody else owns the name.
fn cache_folder() -> Option<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("feedd-testkit-{own}"));
    // Fails when another test was first; what counts is whose it is.
    let _ = DirBuilder::new().mode(0o755).create(&folder);
    let metadata = std::fs::symlink_metadata(&folder).ok()?;
    (metadata.is_dir() && metadata.uid() == own).then_some(folder)
}

fn program_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(said(Path::new("pg_config"), &["--bindir"]).map(|text| PathBuf::from(text.trim())));
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().parse().unwrap_or(0), entry.path().join("bin")))
        .collect();
    debian.sort();
    folders.extend(debian.into_iter().rev().map(|(_, folder)| folder)); // newest first
    folders
}

/// User and group id of the system's user `postgres`.
fn system_user() -> Option<(u32, u32)> {
    let id = |option| said(Path::new("id"), &[option, USER])?.trim().parse().ok();
    Some((id("-u")?, id("-g")?))
}

/// What a program prints; `None` when it does not run or fails.
fn said<S: AsRef<OsStr>>(program: &Path, args: &[S]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
