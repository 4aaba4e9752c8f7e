//! A PostgreSQL server of a test's own: its own folder, socket and processes, gone with the value.
//!
//! Starting costs the copy of an initialised cluster (about 0.1 s) and the server's start. `fsync` is off unless asked
//! for: killing the server loses nothing then either, because the page cache survives; only a power cut would.

mod client;
mod install;
mod process;

use client::Client;
use install::Install;
use process::{Process, Stop};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time a server may take to start or to stop.
const SERVER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Port in the name of the socket of a server without TCP; the folder is its own, so it clashes with nothing.
const SOCKET_PORT: u16 = 5432;
/// A free port can be taken by somebody else before the server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate and key (PEM) for TLS; they are copied into the server's folder. Implies nothing about `tcp`.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether it listens on 127.0.0.1, with SCRAM ([`Server::password`]); on its Unix socket it trusts everybody.
    pub tcp: bool,
    /// Settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Whether commits are synced to the disk.
    pub fsync: bool,
}

/// A running, or stopped, server. Dropping it ends its processes and removes its folder.
pub struct Server {
    install: Install,
    folder: TempDir,
    options: Options,
    port: u16,
    process: Option<Process>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("folder", &self.folder.path()).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Server {
    /// A server on a Unix socket only. `None`, with a printed note, where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it does not start, and with `CI` set where it is not installed.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(Options::default())
    }

    /// A server with these options; else as [`Server::start`].
    ///
    /// # Panics
    /// When it does not start, and with `CI` set where it is not installed.
    #[must_use]
    pub fn start_with(options: Options) -> Option<Self> {
        let install = match Install::find() {
            Ok(install) => install,
            Err(why) => {
                crate::skipped(&why);
                return None;
            }
        };
        let folder = install.new_folder();
        install.copy_cluster(&folder.path().join("data"));
        let mut server = Self { install, folder, options, port: SOCKET_PORT, process: None };
        server.place_tls_files();
        for attempt in 1..=PORT_ATTEMPTS {
            if server.options.tcp {
                server.port = free_port();
            }
            match server.launch() {
                Ok(()) => break,
                Err(log) if log.contains("Address already in use") && attempt < PORT_ATTEMPTS => {}
                Err(log) => panic!("PostgreSQL did not start:\n{log}"),
            }
        }
        Some(server)
    }

    /// The folder of the Unix socket: a client's "host".
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The Unix socket itself.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// The port: in the socket's name, and on 127.0.0.1 with [`Options::tcp`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens; `None` without [`Options::tcp`].
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.options.tcp.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// The superuser.
    #[must_use]
    pub fn user(&self) -> &str {
        install::USER
    }

    /// The superuser's password, asked for over TCP only.
    #[must_use]
    pub fn password(&self) -> &str {
        install::PASSWORD
    }

    /// The server's folder of data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything the server has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_path()).map_or_else(|e| e.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// A new, empty database.
    ///
    /// # Panics
    /// When the server does not make it.
    #[must_use]
    pub fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // Relaxed: the numbers only have to differ.
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs statements, each in a transaction of its own, and returns their rows: columns parted by `|`, NULL empty.
    ///
    /// # Panics
    /// With the server's words when a statement fails.
    #[track_caller]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|error| panic!("psql: {error}\nin: {sql}"))
    }

    /// As [`Server::psql`].
    ///
    /// # Errors
    /// What `psql` wrote to standard error.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let host = self.socket_dir().as_os_str().to_owned();
        self.client(host, self.port, database).run(sql)
    }

    /// As [`Server::try_psql`], over TCP to another address: a proxy's, or the server's own.
    ///
    /// # Errors
    /// What `psql` wrote to standard error.
    pub fn try_psql_at(&self, address: SocketAddr, database: &str, sql: &str) -> Result<String, String> {
        self.client(address.ip().to_string().into(), address.port(), database).run(sql)
    }

    /// A `psql` that is ready to be spawned: statements come from its standard input.
    #[must_use]
    pub fn psql_command(&self, database: &str) -> Command {
        self.client(self.socket_dir().as_os_str().to_owned(), self.port, database).command()
    }

    /// Kills the server as a crash does (SIGKILL to the postmaster) and waits until all of its processes are gone.
    ///
    /// # Panics
    /// When it is not running, or a process of it stays.
    pub fn kill9(&mut self) {
        self.end(Signal::KILL);
    }

    /// Stops it in order, cutting clients off.
    ///
    /// # Panics
    /// When it is not running, or does not stop.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Starts it again at the same place, after [`Server::kill9`] or [`Server::stop`].
    ///
    /// # Panics
    /// When it is running, or does not start.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        self.launch().unwrap_or_else(|log| panic!("PostgreSQL did not start again:\n{log}"));
    }

    /// Stops it without a checkpoint (`pg_ctl restart -m immediate`) and starts it again: clients see a crash, the server
    /// recovers from its log.
    ///
    /// # Panics
    /// When it is not running, does not stop or does not start.
    pub fn restart_immediate(&mut self) {
        self.end(Signal::QUIT);
        self.start_again();
    }

    fn end(&mut self, signal: Signal) {
        let process = self.process.take().expect("the server is running");
        process.stop(&Stop { signal, wait_max: SERVER_WAIT_MAX });
    }

    fn client(&self, host: OsString, port: u16, database: &str) -> Client {
        Client { program: self.install.program("psql"), host, port, database: database.to_owned() }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts the processes and waits until they answer; else the log of this attempt.
    fn launch(&mut self) -> Result<(), String> {
        let log =
            File::options().create(true).append(true).open(self.log_path()).expect("the folder can be written to");
        let log_before = usize::try_from(log.metadata().expect("the log is open").len()).expect("a log of some kB");
        let mut command = self.install.guarded(&self.install.program("postgres"));
        command.arg("-D").arg(self.data_dir()).arg("-k").arg(self.socket_dir());
        command.arg("-p").arg(self.port.to_string());
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(log.try_clone().expect("a second handle of the log")).stderr(log);
        let process = Process::start(command, &self.data_dir())
            .unwrap_or_else(|e| panic!("cannot run the PostgreSQL server: {e}"));
        let pid_file = self.data_dir().join("postmaster.pid");
        let pid = process.pid();
        crate::wait_until(SERVER_WAIT_MAX, || process.has_ended() || is_ready(&pid_file, pid));
        if !process.has_ended() && is_ready(&pid_file, pid) {
            self.process = Some(process);
            return Ok(());
        }
        process.stop_quietly();
        let log = self.log();
        Err(log.get(log_before..).unwrap_or(&log).to_owned())
    }

    fn settings(&self) -> Vec<(String, String)> {
        let on = |yes: bool| if yes { "on" } else { "off" };
        let mut settings = vec![
            ("listen_addresses".into(), if self.options.tcp { "127.0.0.1" } else { "" }.into()),
            ("fsync".into(), on(self.options.fsync).into()),
            // Many servers run side by side in tests; the default is 128 MB each.
            ("shared_buffers".into(), "32MB".into()),
        ];
        if self.options.tls.is_some() {
            settings.push(("ssl".into(), "on".into()));
            settings.push(("ssl_cert_file".into(), self.tls_path("crt").display().to_string()));
            settings.push(("ssl_key_file".into(), self.tls_path("key").display().to_string()));
        }
        settings.extend(self.options.settings.iter().cloned());
        settings
    }

    fn tls_path(&self, extension: &str) -> PathBuf {
        self.folder.path().join("server").with_extension(extension)
    }

    /// The server insists on a key that only its own user can read.
    fn place_tls_files(&self) {
        let Some((certificate, key)) = &self.options.tls else { return };
        for (from, extension) in [(certificate, "crt"), (key, "key")] {
            let to = self.tls_path(extension);
            std::fs::copy(from, &to).unwrap_or_else(|e| panic!("copying {}: {e}", from.display()));
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).expect("the copy is ours");
            if let Some((uid, gid)) = self.install.identity() {
                chown(&to, Some(uid), Some(gid)).expect("root may give files away");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop_quietly();
        }
        // A killed server leaves its segment of shared memory to the next start, which does not come.
        if let Some(id) = shared_memory_of(&self.data_dir().join("postmaster.pid")) {
            // Nothing can be done about a refusal here; the segment has a few bytes.
            let _ = Command::new("ipcrm").arg("-m").arg(id).output();
        }
    }
}

/// Whether the server of this process id says that it answers: first and eighth line of its pid file.
fn is_ready(pid_file: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return false };
    let mut lines = text.lines();
    lines.next() == Some(pid.to_string().as_str()) && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

/// The id of the server's segment of System V shared memory: seventh line, second word.
fn shared_memory_of(pid_file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    text.lines().nth(6)?.split_whitespace().nth(1).map(str::to_owned)
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
    probe.local_addr().expect("a bound socket has an address").port()
}
