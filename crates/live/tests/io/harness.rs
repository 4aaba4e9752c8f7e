//! A live source on its thread, its events, and the exchange's log beside them.

use crossbeam_utils::CachePadded;
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::DeadLetters;
use feedd_core::outlet::{FullPolicy, Outlet, OutletParts};
use feedd_core::wake::Wake;
use feedd_core::{Instruments, Source, SourceError, Stop, SystemClock};
use feedd_live::config::LiveConfig;
use feedd_live::io::Resolver;
use feedd_live::plan::plan;
use feedd_live::protocol::Market;
use feedd_live::source::{LiveParts, LiveSource};
use feedd_live::stream::StreamKind;
use feedd_live::tape::{TapeConfig, Tapes};
use feedd_model::{Event, EventBody, Gap, StatusCode, Trade};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::sources::SourceParts;
use feedd_venues::validate::ValidationConfig;
use serde_json::Value;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use venue_sim::{Config, Server, Venue};

/// Far above what anything here takes.
const TIME_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(1);
/// Events that the ring holds; it is read all the time.
const RING: usize = 1 << 16;
/// Longest frame that is taken.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

/// An exchange whose market stands still until [`Server::resume_market`].
pub(crate) fn exchange(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config { paused: true, ..Config::for_tests(Venue::Binance) };
    change(&mut config);
    Server::start(config).unwrap()
}

/// What records it: as Binance, with shorter waits.
pub(crate) fn config(server: &Server) -> LiveConfig {
    let market = Market::Binance;
    let defaults = market.defaults();
    let mut periods = defaults.periods;
    periods.connect = Duration::from_secs(2);
    periods.retry_min = Duration::from_millis(50);
    periods.retry_max = Duration::from_millis(200);
    periods.ping_after = Duration::from_secs(1);
    periods.silence = Duration::from_secs(3);
    LiveConfig {
        market,
        symbols: vec!["BTCUSDT".into(), "ETHUSDT".into()],
        channels: StreamKind::ALL.to_vec(),
        redundancy: 1,
        depth_levels: defaults.depth_levels,
        endpoints: feedd_live::config::Endpoints {
            ws: vec![server.ws_url("")],
            rest: server.rest_url(),
            ca_file: server.ca_path().map(Into::into),
        },
        limits: defaults.limits,
        periods,
    }
}

/// A live source that runs.
pub(crate) struct Recorder {
    ring: rtrb::Consumer<Event>,
    pub(crate) counters: Arc<CachePadded<SourceCounters>>,
    pub(crate) instruments: Instruments,
    pub(crate) events: Vec<Event>,
    stop: Stop,
    thread: JoinHandle<Result<(), SourceError>>,
}

/// What a source is given besides its own configuration.
pub(crate) fn source_parts(name: &str, instruments: &Instruments) -> SourceParts {
    SourceParts {
        name: name.to_owned(),
        validation: ValidationConfig::default(),
        instruments: instruments.clone(),
        dead_letters: DeadLetters::disabled(),
        keep_unknown: false,
        frame_bytes_max: FRAME_BYTES_MAX,
    }
}

impl Recorder {
    pub(crate) fn start(config: &LiveConfig, tape: Option<TapeConfig>) -> Self {
        Self::start_with(config, tape, RING, tracing::Dispatch::none())
    }

    /// One with a ring of so many events; what its thread logs goes to `log`.
    pub(crate) fn start_small(config: &LiveConfig, ring: usize, log: tracing::Dispatch) -> Self {
        Self::start_with(config, None, ring, log)
    }

    /// One for each shard, with one dictionary of instruments.
    pub(crate) fn start_shards(config: &LiveConfig) -> Vec<Self> {
        let instruments = Instruments::in_memory();
        let resolver = Resolver::start().unwrap();
        let start = |shard| {
            let live = LiveParts { resolver: resolver.clone(), tapes: None, seed: 7 };
            let source = LiveSource::new(source_parts("live", &instruments), config.clone(), shard, live).unwrap();
            Self::run(Box::new(source), instruments.clone())
        };
        plan("live", config).unwrap().into_iter().map(start).collect()
    }

    fn start_with(config: &LiveConfig, tape: Option<TapeConfig>, ring: usize, log: tracing::Dispatch) -> Self {
        let mut shards = plan("live", config).unwrap();
        assert_eq!(shards.len(), 1, "all of it on one thread");
        let instruments = Instruments::in_memory();
        let parts = source_parts("live", &instruments);
        let tapes = tape.map(|tape| Arc::new(Tapes::open(tape).unwrap()));
        let live = LiveParts { resolver: Resolver::start().unwrap(), tapes, seed: 7 };
        let source = LiveSource::new(parts, config.clone(), shards.remove(0), live).unwrap();
        Self::run_with(Box::new(source), instruments, ring, log)
    }

    pub(crate) fn run(source: Box<dyn Source>, instruments: Instruments) -> Self {
        Self::run_with(source, instruments, RING, tracing::Dispatch::none())
    }

    fn run_with(mut source: Box<dyn Source>, instruments: Instruments, ring: usize, log: tracing::Dispatch) -> Self {
        let (producer, ring) = rtrb::RingBuffer::new(ring);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        let stop = Stop::new();
        let mut outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: Arc::new(Wake::new(false)),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: Arc::new(SystemClock::new()),
            budget: None,
        });
        let run = move || tracing::dispatcher::with_default(&log, || source.run(&mut outlet));
        let thread = std::thread::spawn(run);
        Self { ring, counters, instruments, events: Vec::new(), stop, thread }
    }

    /// Reads events until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let since = Instant::now();
        loop {
            self.read();
            if holds(self) {
                return;
            }
            assert!(!self.thread.is_finished(), "the source ended before: {what}");
            assert!(since.elapsed() < TIME_MAX, "{what}: not within {TIME_MAX:?}; {:?}", self.counters.session);
            std::thread::sleep(LOOK);
        }
    }

    /// Reads events until the source ends by itself.
    pub(crate) fn ended(mut self) -> Vec<Event> {
        let since = Instant::now();
        while !self.thread.is_finished() {
            self.read();
            assert!(since.elapsed() < TIME_MAX, "the source ends");
            std::thread::sleep(LOOK);
        }
        self.read();
        self.thread.join().unwrap().unwrap();
        self.events
    }

    /// Stops it, which takes less than 100 ms plus what a busy machine takes.
    pub(crate) fn stop(self) -> Vec<Event> {
        self.stop.request();
        self.ended()
    }

    /// Reads the events that are there.
    pub(crate) fn read(&mut self) {
        let count = self.ring.slots();
        if let Ok(chunk) = self.ring.read_chunk(count) {
            self.events.extend(chunk);
        }
    }

    /// Whether its thread has not ended.
    pub(crate) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Connections opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.counters.session.connections_opened.get()
    }

    /// Trades as texts, in the order recorded.
    pub(crate) fn trades(&self) -> Vec<String> {
        trades(&self.events, &self.instruments)
    }

    /// Whether the last trade of every symbol in the exchange's log is recorded.
    pub(crate) fn has_last_trades(&self, server: &Server) -> bool {
        let log = server.log();
        let mut last = std::collections::BTreeMap::new();
        for line in log.iter().filter(|line| line["what"] == "trade") {
            last.insert(line["symbol"].as_str().unwrap().to_owned(), trade_text(line));
        }
        let recorded: std::collections::HashSet<String> = self.trades().into_iter().collect();
        last.values().all(|trade| recorded.contains(trade))
    }
}

/// `BTCUSDT 17 61837.63 0.02 buy`.
pub(crate) fn trades(events: &[Event], instruments: &Instruments) -> Vec<String> {
    let text = |event: &Event| match event.body() {
        EventBody::Trade(Trade { price, size, side, id }) => {
            let symbol = instruments.get(event.instrument()).unwrap().symbol.to_string();
            let side = side.map_or("-", |side| if side == feedd_model::Side::Buy { "buy" } else { "sell" });
            Some(format!("{symbol} {id} {} {} {side}", plain(&price.to_string()), plain(&size.to_string())))
        }
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// A trade of the exchange's log in the same words.
pub(crate) fn trade_text(line: &Value) -> String {
    let text = |key: &str| line[key].as_str().unwrap();
    format!("{} {} {} {} {}", text("symbol"), text("id"), plain(text("price")), plain(text("size")), text("side"))
}

/// Without zeros at the end: the exchange's log prints prices as the market has them, its frames as the venue pads them.
pub(crate) fn plain(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Trades of the log, in its order, without those from before the first connection.
pub(crate) fn live_trades(server: &Server) -> Vec<String> {
    let log = server.log();
    let first = log.iter().position(|line| line["what"] == "open").unwrap();
    log[first..].iter().filter(|line| line["what"] == "trade").map(trade_text).collect()
}

/// Whether the exchange has acknowledged a request on so many connections.
pub(crate) fn is_subscribed(server: &Server, connections: usize) -> bool {
    let log = server.log();
    let acknowledged = log.iter().filter(|line| line["what"] == "answer").filter_map(|line| line["conn"].as_u64());
    acknowledged.collect::<std::collections::BTreeSet<_>>().len() >= connections
}

pub(crate) fn gaps(events: &[Event]) -> Vec<Gap> {
    let gap = |event: &Event| match event.body() {
        EventBody::Gap(gap) => Some(gap),
        _ => None,
    };
    events.iter().filter_map(gap).collect()
}

/// Statuses with their details, in order.
pub(crate) fn statuses(events: &[Event]) -> Vec<(StatusCode, u64)> {
    let status = |event: &Event| match event.body() {
        EventBody::Status(status) => Some((status.code, status.detail)),
        _ => None,
    };
    events.iter().filter_map(status).collect()
}

pub(crate) fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}
