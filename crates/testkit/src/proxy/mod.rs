//! A TCP proxy that misbehaves on demand: refuses, cuts, stalls, swallows, delays, splits and slows down.
//!
//! It understands the messages of PostgreSQL's protocol, so that a test can cut at every boundary of a transaction, in
//! both directions, and between a COMMIT and its answer: there the server has committed and the client cannot know.
//!
//! ```no_run
//! use feedd_testkit::proxy::{At, Cut, How, Plan, Proxy, Target};
//! let proxy = Proxy::start(Target::Unix("/tmp/server/.s.PGSQL.5432".into()), Plan::postgres());
//! proxy.arm(Cut { at: At::CommitReply { nth: 1 }, how: How::Rst });
//! // ... the client commits by way of proxy.address() ...
//! assert_eq!(proxy.counters().commits_swallowed, 1);
//! ```

mod connection;
mod plan;
mod socket;
mod wire;

use connection::Connection;
pub use plan::{At, Counters, Cut, Direction, Faults, How, Place, Plan, Protocol, Sides, Target};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::Message;
pub use wire::{ENCRYPTION_ANSWER, STARTUP};

/// Longest time that a switch waits for the proxy's own threads.
const SWITCH_WAIT_MAX: Duration = Duration::from_secs(10);

/// A running proxy. Dropping it resets every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(target: Target, plan: Plan) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State { faults: plan.faults, listening: true, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        for cut in plan.cuts {
            shared.lock().arm(cut);
        }
        let (for_accept, for_schedule) = (shared.clone(), shared.clone());
        let accept = move || for_accept.accept(Some(listener), address, &target, plan.protocol);
        let mut threads = vec![spawn("proxy", accept)];
        if !plan.schedule.is_empty() {
            let schedule = plan.schedule;
            threads.push(spawn("proxy-schedule", move || for_schedule.follow(address, schedule)));
        }
        Self { address, shared, threads }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what is wrong; it holds when this returns, for the bytes that come after.
    pub fn set(&self, faults: Faults) {
        self.shared.set(self.address, faults);
    }

    /// Arms a cut.
    pub fn arm(&self, cut: Cut) {
        self.shared.lock().arm(cut);
    }

    /// Cuts that are armed and have not been met; forgets them.
    pub fn disarm(&self) -> usize {
        std::mem::take(&mut self.shared.lock().armed).len()
    }

    /// Cuts every connection now; returns when they are cut.
    ///
    /// # Panics
    /// When a connection does not end.
    pub fn cut_now(&self, how: How) {
        let generation = {
            let mut state = self.shared.lock();
            state.generation += 1;
            state.cut_all = Some(how);
            state.generation
        };
        let old = |state: &State| state.open.values().any(|&born| born < generation);
        assert!(self.shared.wait(|state| !old(state)), "a connection of the proxy did not end");
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// What has passed.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        wake(self.address);
        for thread in self.threads.drain(..) {
            // It has panicked already, and said so; a second panic here would abort.
            let _ = thread.join();
        }
        self.shared.wait(|state| state.open.is_empty());
    }
}

/// What the threads of a proxy share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    armed: Vec<Armed>,
    counters: Counters,
    /// Raised with every cut of all connections; a connection born before is meant.
    generation: u64,
    cut_all: Option<How>,
    /// Open connections, by number, with the generation they were born in.
    open: BTreeMap<u64, u64>,
    listening: bool,
    closed: bool,
}

#[derive(Debug)]
struct Armed {
    cut: Cut,
    seen: u64,
}

/// What a connection has to do because of what just came.
#[derive(Debug)]
enum Trigger {
    /// Pass on what lies before this offset of the direction, then cut.
    CutAt(u64, How),
    /// Hold the server's answer back, then cut.
    HoldReply(How),
}

/// What a connection is told at every turn.
struct Orders {
    faults: Faults,
    cut: Option<How>,
}

impl State {
    fn arm(&mut self, cut: Cut) {
        self.armed.push(Armed { cut, seen: 0 });
    }

    /// Counts what came and finds the cuts it meets; `from` is the offset of the first of `bytes` bytes.
    fn note(&mut self, direction: Direction, from: u64, bytes: u64, messages: &[Message]) -> Vec<Trigger> {
        *self.counters.bytes.entry(direction).or_default() += bytes;
        for message in messages {
            *self.counters.messages.entry((direction, message.kind)).or_default() += 1;
        }
        let mut met = Vec::new();
        self.armed.retain_mut(|armed| match armed.look(direction, from, bytes, messages) {
            Some(trigger) => {
                met.push(trigger);
                false
            }
            None => true,
        });
        met
    }
}

impl Armed {
    fn look(&mut self, direction: Direction, from: u64, bytes: u64, messages: &[Message]) -> Option<Trigger> {
        let how = self.cut.how;
        match self.cut.at {
            At::Bytes { direction: way, count } if way == direction => {
                let before = self.seen;
                self.seen += bytes;
                (self.seen >= count).then(|| Trigger::CutAt(from + (count - before), how))
            }
            At::Message { direction: way, kind, nth, place } if way == direction => {
                let message = self.nth(nth, messages, |m| kind.is_none_or(|kind| kind == m.kind))?;
                Some(Trigger::CutAt(place.of(message), how))
            }
            At::Commit { nth, place } if direction == Direction::ToServer => {
                let message = self.nth(nth, messages, Message::asks_to_commit)?;
                Some(Trigger::CutAt(place.of(message), how))
            }
            At::CommitReply { nth } if direction == Direction::ToServer => {
                self.nth(nth, messages, Message::asks_to_commit).map(|_| Trigger::HoldReply(how))
            }
            _ => None,
        }
    }

    fn nth<'a>(&mut self, nth: u64, messages: &'a [Message], fits: impl Fn(&Message) -> bool) -> Option<&'a Message> {
        messages.iter().filter(|m| fits(m)).find(|_| {
            self.seen += 1;
            self.seen == nth
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked has failed the test already; its state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a state; whether it came.
    fn wait(&self, reached: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), SWITCH_WAIT_MAX, |state| !reached(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn set(&self, address: SocketAddr, faults: Faults) {
        let listen = !faults.refuse;
        self.lock().faults = faults;
        self.changed.notify_all();
        if !listen {
            wake(address);
        }
        assert!(self.wait(|state| state.listening == listen || state.closed), "the proxy did not switch its listener");
    }

    fn orders(&self, connection: u64) -> Orders {
        let state = self.lock();
        let born = state.open.get(&connection).copied().unwrap_or_default();
        let cut = if state.closed { Some(How::Rst) } else { state.cut_all.filter(|_| born < state.generation) };
        Orders { faults: state.faults.clone(), cut }
    }

    fn gone(&self, connection: u64) {
        self.lock().open.remove(&connection);
        self.changed.notify_all();
    }

    fn accept(
        self: &Arc<Self>,
        mut listener: Option<TcpListener>,
        address: SocketAddr,
        target: &Target,
        protocol: Protocol,
    ) {
        let mut number = 0;
        loop {
            let accepted = listener.as_ref().map(TcpListener::accept);
            let mut state = self.lock();
            if state.closed {
                return;
            }
            if state.faults.refuse {
                // Closed for as long as it refuses: only then does the system answer with a reset.
                drop(listener.take());
                state.listening = false;
                self.changed.notify_all();
                let waited = self.changed.wait_while(state, |state| state.faults.refuse && !state.closed);
                if waited.unwrap_or_else(PoisonError::into_inner).closed {
                    return;
                }
                listener = Some(bind_again(address));
                self.lock().listening = true;
                self.changed.notify_all();
                continue;
            }
            let Some(Ok((client, _))) = accepted else { continue };
            number += 1;
            state.counters.connections += 1;
            let born = state.generation;
            state.open.insert(number, born);
            drop(state);
            let (shared, target) = (self.clone(), target.clone());
            spawn("proxy-connection", move || {
                // An error here is the target's, or a client that is gone already; the former is counted.
                if let Ok(connection) = Connection::open(number, client, &target, protocol, shared.clone()) {
                    connection.run();
                }
                shared.gone(number);
            });
        }
    }

    fn follow(&self, address: SocketAddr, schedule: Vec<(Duration, Faults)>) {
        let start = Instant::now();
        for (after, faults) in schedule {
            let rest = after.saturating_sub(start.elapsed());
            let waited = self.changed.wait_timeout_while(self.lock(), rest, |state| !state.closed);
            if waited.unwrap_or_else(PoisonError::into_inner).0.closed {
                return;
            }
            self.set(address, faults);
        }
    }
}

/// Makes a blocked `accept` return. Refused when nobody listens: then nothing is blocked.
fn wake(address: SocketAddr) {
    let _ = TcpStream::connect(address);
}

/// The port is free unless somebody took it meanwhile, which the system avoids for as long as it can.
fn bind_again(address: SocketAddr) -> TcpListener {
    let mut listener = None;
    crate::wait_until(SWITCH_WAIT_MAX, || {
        listener = TcpListener::bind(address).ok();
        listener.is_some()
    });
    listener.unwrap_or_else(|| panic!("the proxy's port {address} was taken while it refused"))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.into()).spawn(body).expect("a thread of the proxy")
}
