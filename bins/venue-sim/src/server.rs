//! A server: its threads, from the start to the end.

use crate::accept;
use crate::config::{Config, Pace};
use crate::drive;
use crate::facts_log::{push_book, push_facts, push_shown};
use crate::faults::{ChaosClock, Fault, FaultError};
use crate::housekeeping;
use crate::hub::{Hub, count, lock};
use crate::log::Log;
use crate::market::Market;
use crate::replay::Recording;
use crate::tls;
use crate::venues::Names;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration asks for something that cannot be.
    #[error("{0}")]
    Config(String),
    /// A kind of fault that does not exist.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The recording cannot be replayed.
    #[error("{0}")]
    Recording(String),
    /// The address cannot be listened on.
    #[error("listening on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("writing {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error("making a certificate: {0}")]
    Tls(String),
    /// A thread could not be started.
    #[error("starting a thread")]
    Thread(#[source] std::io::Error),
}

/// What a server did, at its end or so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Steps of the market.
    pub steps: u64,
    /// Steps that are due and not made, now: a market that cannot keep its pace.
    pub steps_late: u64,
    /// Steps that were due and never will be made, because they were more than a second late.
    pub steps_skipped: u64,
    /// Times that a socket did not take everything: a client that cannot keep up.
    pub blocked: u64,
    /// Executions.
    pub trades: u64,
    /// Best bids and asks.
    pub quotes: u64,
    /// Depth messages.
    pub depths: u64,
    /// Data frames that were sent, without what was sent a second time.
    pub frames_sent: u64,
    /// Data frames that were sent a second time.
    pub frames_twice: u64,
    /// Data frames that a fault withheld.
    pub frames_lost: u64,
    /// WebSockets that were opened.
    pub connections: u64,
    /// WebSockets that are open.
    pub open: u64,
    /// REST requests.
    pub rest: u64,
    /// Connections and requests that were refused.
    pub refused: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Threads that panicked; known at the end.
    pub panics: u64,
}

/// A running server. Dropping it ends it.
pub struct Server {
    hub: Arc<Hub>,
    address: SocketAddr,
    ca: Option<Ca>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct Ca {
    pem: String,
    path: PathBuf,
    /// Removes the file at the end, when nobody chose its place.
    _temporary: Option<tempfile::TempPath>,
}

impl Server {
    /// Starts to listen, and lets the market move.
    ///
    /// # Errors
    /// When the configuration cannot be played, an address, a file or a thread is not to be had.
    pub fn start(config: Config) -> Result<Self, StartError> {
        if let Some(fault) = config.fault() {
            return Err(StartError::Config(fault));
        }
        let address = SocketAddr::new(config.listen, config.port);
        let listening = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let (tls, ca) = match config.tls {
            true => {
                let tls = tls::make(config.listen)?;
                let ca = Ca::write(tls.ca_pem, config.ca_file.as_deref())?;
                (Some(tls.config), Some(ca))
            }
            false => (None, None),
        };
        let recording = config.replay.as_ref().map(Recording::read).transpose().map_err(StartError::Recording)?;
        let chaos = match &config.chaos {
            Some(chaos) => {
                chaos.check()?;
                let symbols = config.symbols.iter().map(|spec| spec.name.clone()).collect();
                Some(ChaosClock::new(chaos, symbols))
            }
            None => None,
        };
        let hub = Arc::new(make_hub(config, recording, address)?);
        let server = Self { hub, address, ca, threads: Mutex::default(), connections: Arc::default() };
        let hub = server.hub.clone();
        server.spawn("market", move || {
            if hub.recording.is_none() {
                drive::run(&hub)
            }
        })?;
        let hub = server.hub.clone();
        server.spawn("housekeeping", move || housekeeping::run(&hub, chaos))?;
        let (hub, connections) = (server.hub.clone(), server.connections.clone());
        server.spawn("accept", move || accept::run(&hub, &listener, tls.as_ref(), &connections))?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, with `ws` or `wss`.
    #[must_use]
    pub fn ws_url(&self, path: &str) -> String {
        let scheme = if self.ca.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The URL of the REST side.
    #[must_use]
    pub fn rest_url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the authority that a client has to trust; `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca.as_ref().map(|ca| ca.pem.as_str())
    }

    /// The file that holds it.
    #[must_use]
    pub fn ca_path(&self) -> Option<&Path> {
        self.ca.as_ref().map(|ca| ca.path.as_path())
    }

    /// Lets a fault strike: now, or so long from now when it has a time.
    pub fn inject(&self, fault: impl Into<Fault>) {
        housekeeping::inject(&self.hub, fault.into());
    }

    /// Stops the market: no fact is made from when this returns until [`Server::resume_market`].
    pub fn pause_market(&self) {
        self.hub.pause(true);
    }

    /// Stops the market and sends what it has collected to be sent later: who takes every message then has the books that
    /// [`Server::books`] says.
    pub fn settle_market(&self) {
        drive::settle(&self.hub);
    }

    /// The book of each feed that somebody has asked for, as a client has it that took every message so far: `symbol`,
    /// `feed`, `bids` and `asks`, best first. The same lines end the log.
    #[must_use]
    pub fn books(&self) -> Vec<serde_json::Value> {
        self.shown().lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    /// Lets the market move at another pace from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.hub.set_pace(pace);
    }

    /// Lets the market go on.
    pub fn resume_market(&self) {
        self.hub.pause(false);
    }

    /// The lines of the log that are kept in memory, in order. Empty unless [`Config::log_lines_max`] allows some; then
    /// the end of the list is missing once it is full, and the last line says how much.
    #[must_use]
    pub fn log(&self) -> Vec<serde_json::Value> {
        self.log_from(0)
    }

    /// The same without the first lines: for who follows it.
    #[must_use]
    pub fn log_from(&self, from: usize) -> Vec<serde_json::Value> {
        let (lines, left_out) = self.hub.log.lines(from);
        let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_default());
        let cut = (left_out > 0).then(|| serde_json::json!({ "what": "left_out", "lines": left_out }));
        parsed.chain(cut).collect()
    }

    /// What it did so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let totals = &self.hub.totals;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            steps: read(&totals.steps),
            steps_late: read(&totals.steps_late),
            steps_skipped: read(&totals.steps_skipped),
            blocked: read(&totals.blocked),
            trades: read(&totals.trades),
            quotes: read(&totals.quotes),
            depths: read(&totals.depths),
            frames_sent: read(&totals.frames_sent),
            frames_twice: read(&totals.frames_twice),
            frames_lost: read(&totals.frames_lost),
            connections: read(&totals.connections),
            open: self.hub.inboxes().len() as u64,
            rest: read(&totals.rest),
            refused: read(&totals.refused),
            faults: read(&totals.faults),
            panics: read(&totals.panics),
        }
    }

    /// Why the log is not whole; `None`: it is.
    #[must_use]
    pub fn log_error(&self) -> Option<String> {
        self.hub.log.error()
    }

    /// Ends it: the market stops, connections get what was made and a close frame, the log its last lines.
    pub fn stop(self) -> Summary {
        self.end();
        self.summary()
    }

    /// The same, for those who want to read [`Server::log`] afterwards. Ending twice is ending once.
    pub fn end(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        if threads.is_empty() {
            return;
        }
        self.hub.begin_end();
        let panicked = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        let connections = std::mem::take(&mut *lock(&self.connections));
        let panicked = panicked + connections.into_iter().filter_map(|thread| thread.join().err()).count();
        count(&self.hub.totals.panics, panicked as u64);
        let mut lines = String::new();
        let now_ns = self.hub.log.now_ns();
        for instrument in self.hub.market().instruments() {
            push_book(&mut lines, now_ns, instrument);
        }
        lines.push_str(&self.shown());
        self.hub.log.put_all(&lines);
        let total = self.summary();
        let line = self.hub.log.line("end").number("steps", total.steps).number("trades", total.trades);
        let line = line.number("quotes", total.quotes).number("depths", total.depths);
        let line = line.number("frames_sent", total.frames_sent).number("frames_twice", total.frames_twice);
        let line = line.number("frames_dropped", total.frames_lost).number("connections", total.connections);
        let line = line.number("rest", total.rest).number("refused", total.refused).number("faults", total.faults);
        self.hub.log.put(line.number("panics", total.panics));
        self.hub.log.flush();
    }

    fn shown(&self) -> String {
        let (mut lines, now_ns, market) = (String::new(), self.hub.log.now_ns(), self.hub.market());
        for depth in market.shown() {
            push_shown(&mut lines, now_ns, &market, &self.hub.names, &depth);
        }
        lines
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = std::thread::Builder::new().name(format!("sim-{name}")).spawn(run).map_err(StartError::Thread)?;
        lock(&self.threads).push(thread);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ca {
    fn write(pem: String, path: Option<&Path>) -> Result<Self, StartError> {
        let fail = |path: &Path, source| StartError::File { path: path.to_owned(), source };
        if let Some(path) = path {
            std::fs::write(path, &pem).map_err(|source| fail(path, source))?;
            return Ok(Self { pem, path: path.to_owned(), _temporary: None });
        }
        let folder = std::env::temp_dir();
        let mut file = tempfile::Builder::new()
            .prefix("venue-sim-ca-")
            .suffix(".pem")
            .tempfile()
            .map_err(|source| fail(&folder, source))?;
        file.write_all(pem.as_bytes()).map_err(|source| fail(file.path(), source))?;
        let temporary = file.into_temp_path();
        Ok(Self { pem, path: temporary.to_path_buf(), _temporary: Some(temporary) })
    }
}

/// Makes the market and the log, with the market's past in it.
fn make_hub(config: Config, recording: Option<Recording>, address: SocketAddr) -> Result<Hub, StartError> {
    let fail = |source| StartError::File { path: config.log_file.clone().unwrap_or_default(), source };
    let log = Log::open(config.log_file.as_deref(), config.log_lines_max).map_err(fail)?;
    let names = Names::new(&config);
    let mut past = Vec::new();
    let now_ns = log.now_ns();
    let market = if recording.is_some() {
        Market::new(&Config { symbols: Vec::new(), ..config.clone() }, now_ns, &mut past)
    } else {
        Market::new(&config, now_ns, &mut past)
    };
    let line = log.line("start").text("venue", config.venue.name()).number("seed", config.seed);
    let line = line.text("address", &address.to_string()).with("symbols", |out| {
        let names: Vec<&str> = names.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        out.push_str(&serde_json::json!(names).to_string());
    });
    log.put(line);
    let mut lines = String::new();
    push_facts(&mut lines, now_ns, &market, &names, &past);
    log.put_all(&lines);
    let hub = Hub::new(config, names, log, market, recording);
    drive::tally(&hub, &past);
    Ok(hub)
}
