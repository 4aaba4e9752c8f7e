//! What the threads of a server share: the market, the queues of the connections, what lasts, and the totals.

use crate::config::{Config, Pace};
use crate::faults::{Fault, FaultKind};
use crate::log::Log;
use crate::market::{Fact, Market};
use crate::replay::Recording;
use crate::venues::Names;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Facts that were made together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) serial: u64,
    pub(crate) facts: Vec<Fact>,
    bytes: usize,
}

impl Batch {
    pub(crate) fn new(serial: u64, facts: Vec<Fact>) -> Self {
        Self { serial, bytes: facts.iter().map(Fact::bytes).sum(), facts }
    }
}

/// A fault that a connection is to take.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) kind: FaultKind,
    pub(crate) until: Option<Instant>,
}

/// What waits for a connection.
pub(crate) struct Inbox {
    pub(crate) conn: u64,
    state: Mutex<InboxState>,
    /// Readable when something waits.
    pub(crate) wake: OwnedFd,
}

#[derive(Default)]
struct InboxState {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    orders: Vec<Order>,
    /// Facts were thrown away because the connection did not take them.
    overflowed: bool,
}

/// What a connection found in its inbox.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) batches: Vec<Arc<Batch>>,
    pub(crate) orders: Vec<Order>,
    pub(crate) overflowed: bool,
    /// Nothing is left.
    pub(crate) empty: bool,
}

impl Inbox {
    pub(crate) fn new(conn: u64) -> std::io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { conn, state: Mutex::default(), wake })
    }

    /// Adds facts. `false`: there is no room, and the connection will be told.
    fn push(&self, batch: &Arc<Batch>, bytes_max: usize) -> bool {
        let mut state = lock(&self.state);
        let room = state.bytes + batch.bytes <= bytes_max || state.batches.is_empty();
        if room {
            state.bytes += batch.bytes;
            state.batches.push_back(batch.clone());
        } else {
            state.overflowed = true;
        }
        drop(state);
        self.ring();
        room
    }

    pub(crate) fn order(&self, order: Order) {
        lock(&self.state).orders.push(order);
        self.ring();
    }

    /// Takes orders, and at most `batches_max` batches.
    pub(crate) fn take(&self, batches_max: usize) -> Found {
        let mut state = lock(&self.state);
        let count = state.batches.len().min(batches_max);
        let batches: Vec<Arc<Batch>> = state.batches.drain(..count).collect();
        state.bytes -= batches.iter().map(|batch| batch.bytes).sum::<usize>();
        let orders = std::mem::take(&mut state.orders);
        Found { batches, orders, overflowed: state.overflowed, empty: state.batches.is_empty() }
    }

    /// Wakes the connection. A full counter wakes as well as a new one, so there is nothing to do about an error.
    pub(crate) fn ring(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Takes the ring back; without one there is nothing to take.
    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }

    fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }
}

/// Something that holds for whoever connects, for a while.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) kind: FaultKind,
    pub(crate) until: Option<Instant>,
}

/// Totals of a server.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) steps: AtomicU64,
    /// Steps that are due and not made, now.
    pub(crate) steps_late: AtomicU64,
    /// Steps that were due and never will be made.
    pub(crate) steps_skipped: AtomicU64,
    /// Times that a socket did not take everything.
    pub(crate) blocked: AtomicU64,
    pub(crate) trades: AtomicU64,
    pub(crate) quotes: AtomicU64,
    pub(crate) depths: AtomicU64,
    pub(crate) frames_sent: AtomicU64,
    pub(crate) frames_twice: AtomicU64,
    pub(crate) frames_lost: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) rest: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) panics: AtomicU64,
}

/// Counts; the totals are read at the end or to be looked at, so no order is needed.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// What every thread sees.
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) names: Names,
    pub(crate) log: Arc<Log>,
    pub(crate) recording: Option<Recording>,
    pub(crate) totals: Totals,
    pub(crate) started: Instant,
    pub(crate) next_conn: AtomicU64,
    /// The market stands still for good, connections send what they have and end.
    pub(crate) ending: AtomicBool,
    market: Mutex<Market>,
    pace: Mutex<Pace>,
    /// Connections that want the market: the market's own thread lets them first.
    waiting: AtomicUsize,
    paused: AtomicBool,
    inboxes: Mutex<Vec<Arc<Inbox>>>,
    room: Condvar,
    windows: Mutex<Vec<Window>>,
    connects: Mutex<VecDeque<Instant>>,
    scheduled: Mutex<Vec<(Instant, Fault)>>,
    skew_ns: AtomicI64,
    ending_since: OnceLock<Instant>,
}

/// How long connections may take for what is left when the server ends.
const END_MAX: Duration = Duration::from_secs(3);

impl Hub {
    pub(crate) fn new(
        config: Config,
        names: Names,
        log: Arc<Log>,
        market: Market,
        recording: Option<Recording>,
    ) -> Self {
        Self {
            paused: AtomicBool::new(config.paused),
            pace: Mutex::new(config.pace),
            config,
            names,
            log,
            recording,
            totals: Totals::default(),
            started: Instant::now(),
            next_conn: AtomicU64::new(1),
            ending: AtomicBool::new(false),
            market: Mutex::new(market),
            waiting: AtomicUsize::new(0),
            inboxes: Mutex::default(),
            room: Condvar::new(),
            windows: Mutex::default(),
            connects: Mutex::default(),
            scheduled: Mutex::default(),
            skew_ns: AtomicI64::new(0),
            ending_since: OnceLock::new(),
        }
    }

    /// Whether anybody reads the log.
    pub(crate) fn is_logged(&self) -> bool {
        self.config.log_file.is_some() || self.config.log_lines_max > 0
    }

    /// The market, for anybody but its own thread.
    pub(crate) fn market(&self) -> MutexGuard<'_, Market> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let market = lock(&self.market);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        market
    }

    /// The market, for its own thread: last of all, or at full speed nobody else would get it.
    pub(crate) fn market_to_step(&self) -> MutexGuard<'_, Market> {
        while self.waiting.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        lock(&self.market)
    }

    /// Whether the market stands still. Asked with the market in hand, so that no fact is made after [`Hub::pause`].
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn pause(&self, paused: bool) {
        let market = self.market();
        self.paused.store(paused, Ordering::SeqCst);
        drop(market);
    }

    /// How fast the market moves.
    pub(crate) fn pace(&self) -> Pace {
        *lock(&self.pace)
    }

    pub(crate) fn set_pace(&self, pace: Pace) {
        self.market().set_pace(pace);
        *lock(&self.pace) = pace;
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The market stops, connections send what is left and end.
    pub(crate) fn begin_end(&self) {
        self.ending_since.get_or_init(Instant::now);
        // With the market in hand: nothing is made after it.
        self.pause(true);
        self.ending.store(true, Ordering::SeqCst);
        for inbox in self.inboxes() {
            inbox.ring();
        }
    }

    /// The server should have ended by now.
    pub(crate) fn is_overdue(&self) -> bool {
        self.ending_since.get().is_some_and(|since| since.elapsed() > END_MAX)
    }

    /// What is added to the venue's clock.
    pub(crate) fn skew_ns(&self) -> i64 {
        self.skew_ns.load(Ordering::SeqCst)
    }

    pub(crate) fn set_skew(&self, ns: i64) {
        self.market().skew_ns = ns;
        self.skew_ns.store(ns, Ordering::SeqCst);
    }

    /// Remembers a fault for later.
    pub(crate) fn schedule(&self, at: Instant, fault: Fault) {
        lock(&self.scheduled).push((at, fault));
    }

    /// The faults whose time has come, in the order of their times.
    pub(crate) fn due_faults(&self, now: Instant) -> Vec<Fault> {
        let mut due: Vec<(Instant, Fault)> = lock(&self.scheduled).extract_if(.., |(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, fault)| fault).collect()
    }

    /// Hands facts to every connection. Called with the market in hand, so that a snapshot falls between two batches.
    pub(crate) fn publish(&self, batch: &Arc<Batch>) {
        for inbox in lock(&self.inboxes).iter() {
            inbox.push(batch, self.config.queue_bytes_max);
        }
    }

    /// Adds a connection.
    pub(crate) fn enter(&self, inbox: Arc<Inbox>) {
        lock(&self.inboxes).push(inbox);
        self.room.notify_all();
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, conn: u64) {
        lock(&self.inboxes).retain(|inbox| inbox.conn != conn);
        self.room.notify_all();
    }

    /// A connection took something.
    pub(crate) fn made_room(&self) {
        self.room.notify_all();
    }

    /// Waits until there are connections and each has room; at most `wait_max`.
    pub(crate) fn wait_for_room(&self, wait_max: Duration) -> bool {
        // Half of the room: a batch must fit in what is left.
        let full = |inboxes: &mut Vec<Arc<Inbox>>| {
            inboxes.is_empty()
                || inboxes.iter().any(|inbox| inbox.bytes() > self.config.queue_bytes_max.min(1 << 20) / 2)
        };
        let inboxes = lock(&self.inboxes);
        let (_inboxes, waited) =
            self.room.wait_timeout_while(inboxes, wait_max, full).unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Open connections.
    pub(crate) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        lock(&self.inboxes).clone()
    }

    /// Adds what holds for whoever connects.
    pub(crate) fn add_window(&self, window: Window) {
        lock(&self.windows).push(window);
    }

    /// What holds now.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let mut windows = lock(&self.windows);
        let now = Instant::now();
        windows.retain(|window| window.until.is_none_or(|until| now < until));
        windows.clone()
    }

    /// Whether one more attempt to connect is allowed.
    pub(crate) fn may_connect(&self) -> bool {
        self.config.limits.connects.is_none_or(|rate| is_within(&mut lock(&self.connects), rate))
    }
}

/// Counts one more event; whether it was within the rate.
pub(crate) fn is_within(recent: &mut VecDeque<Instant>, rate: crate::config::Rate) -> bool {
    let now = Instant::now();
    while recent.front().is_some_and(|&first| now.duration_since(first) >= rate.window) {
        recent.pop_front();
    }
    if recent.len() >= usize::try_from(rate.count).unwrap_or(usize::MAX) {
        return false;
    }
    recent.push_back(now);
    true
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked has been counted as one; the rest goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
