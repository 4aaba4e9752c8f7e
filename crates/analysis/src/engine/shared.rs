//! The engine between threads: one works, another one watches, and takes its place when a call does not return.
//!
//! A call is made outside of every lock, with the strategy taken out of the engine. Everything else, also the input and the
//! place in the current item, is in shared state. So whoever gives up a call only has to count up the *shift*: the next
//! thread goes on behind that call, and the stuck thread, if it ever returns, finds that its shift is over.

use super::lane::{Engine, Step};
use crate::flow::{Item, Records};
use feedd_core::Clock;
use feedd_core::link::LinkReceiver;
use feedd_model::MonoNanos;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Longest sleep while there is no item; the sender wakes the thread earlier.
const SLEEP_NS: u64 = 100_000_000;

/// Where items come from.
pub trait Input: Send {
    /// Names the calling thread as the one that takes.
    fn register(&mut self);
    /// The next item, if there is one.
    fn take(&mut self) -> Option<Item>;
    /// Everything taken is finished.
    fn finish(&mut self);
    /// Whether nothing more can come.
    fn is_ended(&self) -> bool;
    /// Sleeps until something comes, at most `nanos`.
    fn sleep(&self, nanos: u64);
}

impl Input for LinkReceiver<Item> {
    fn register(&mut self) {
        Self::register(self);
    }

    fn take(&mut self) -> Option<Item> {
        Self::take(self)
    }

    fn finish(&mut self) {
        self.signal_ready();
    }

    fn is_ended(&self) -> bool {
        Self::is_ended(self)
    }

    fn sleep(&self, nanos: u64) {
        Self::sleep(self, nanos);
    }
}

/// The right to work: one thread has the current one.
#[derive(Debug, PartialEq, Eq)]
pub struct Shift(u64);

/// Why a thread's work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No more items can come.
    Finished,
    /// A call of this thread was given up; another one has gone on.
    Replaced,
}

/// An engine, its input, and who works.
pub struct EngineShared<R> {
    state: Mutex<State<R>>,
    input: Mutex<Box<dyn Input>>,
    clock: Arc<dyn Clock>,
    hang_ns: u64,
}

struct State<R> {
    engine: Engine<R>,
    /// Of the thread that works.
    shift: u64,
    running: Option<Running>,
}

/// A call that is being made.
struct Running {
    slot: usize,
    since: MonoNanos,
}

impl<R: Records> EngineShared<R> {
    /// An engine whose calls are given up after `hang_ns`, and the first shift.
    #[must_use]
    pub fn new(engine: Engine<R>, input: Box<dyn Input>, hang_ns: u64) -> (Arc<Self>, Shift) {
        let clock = engine.clock.clone();
        let state = Mutex::new(State { engine, shift: 0, running: None });
        (Arc::new(Self { state, input: Mutex::new(input), clock, hang_ns }), Shift(0))
    }

    /// Works on the calling thread until the input ends, or the shift does.
    pub fn run(&self, shift: &Shift) -> Ended {
        self.input().register();
        let mut state = self.state();
        loop {
            if state.shift != shift.0 {
                return Ended::Replaced;
            }
            let step = state.engine.step();
            for notice in state.engine.take_notices() {
                tracing::warn!("{notice}");
            }
            match step {
                Step::Call(call) => {
                    state.running = Some(Running { slot: call.slot, since: call.since });
                    drop(state);
                    let done = call.run();
                    state = self.state();
                    if state.shift != shift.0 {
                        drop(state);
                        done.discard();
                        return Ended::Replaced;
                    }
                    state.running = None;
                    state.engine.done(done);
                }
                Step::Idle => {
                    drop(state);
                    let Some(item) = self.next() else { return Ended::Finished };
                    // No call runs: nobody can have taken the shift away meanwhile.
                    state = self.state();
                    state.engine.begin(item);
                }
            }
        }
    }

    /// Gives up the call that runs when it has run for too long: the shift of the thread that is to go on. To be asked now
    /// and then by a thread that watches; it never waits.
    ///
    /// The stuck thread cannot be ended from outside: it stays, with the strategy and what that holds, until the process ends.
    pub fn supervise(&self) -> Option<Shift> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The engine itself works: no call runs.
            Err(TryLockError::WouldBlock) => return None,
        };
        let running = state.running.as_ref()?;
        let ran_ns = self.clock.mono().since(running.since);
        if ran_ns < self.hang_ns {
            return None;
        }
        let slot = running.slot;
        state.running = None;
        state.shift += 1;
        state.engine.abandon(slot, ran_ns);
        Some(Shift(state.shift))
    }

    /// Looks at the engine, or does something with it: between two calls. Waits for the engine's own work, never for a call.
    pub fn with<T>(&self, what: impl FnOnce(&mut Engine<R>) -> T) -> T {
        what(&mut self.state().engine)
    }

    fn next(&self) -> Option<Item> {
        self.input().finish();
        loop {
            let mut input = self.input();
            if let Some(item) = input.take() {
                return Some(item);
            }
            if input.is_ended() {
                return None;
            }
            input.sleep(SLEEP_NS);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn input(&self) -> MutexGuard<'_, Box<dyn Input>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
