//! The hot path of a session allocates nothing: a frame with messages, and a look at everything while all is well.
//!
//! Counted is the test's own thread: the one that runs the tests allocates when it likes.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![allow(unreachable_pub, dead_code, reason = "the other test binary uses the rest")]

#[path = "session/protocol.rs"]
mod protocol;

use feedd_live::session::{Action, ConnId, Heard, Session, StreamState};
use feedd_model::MonoNanos;
use feedd_venues::check::BookRule;
use feedd_venues::decoder::{CONTROL_ACK, Label, Outcome};
use protocol::{TestProtocol, config, shard, six};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

/// The system's allocator, counted.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every method hands its arguments to `System` unchanged, so that its guarantees are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// Every stream has spoken so often; every book is whole.
struct All(u64);

impl Heard for All {
    fn heard(&self, _: &str) -> [u64; 3] {
        [self.0; 3]
    }

    fn heard_on(&self, _: &str, _: ConnId) -> [u64; 3] {
        [self.0; 3]
    }

    fn is_book_whole(&self, _: &str) -> bool {
        true
    }
}

#[test]
fn frames_and_looks_cost_no_allocation() {
    let before = ALLOCATIONS.get();
    drop(black_box(Box::new(before)));
    assert!(ALLOCATIONS.get() > before, "the counter counts");

    let protocol = TestProtocol { book: BookRule::JoinFirst, text_ping: None };
    let mut session = Session::new(config(2), Box::new(protocol), shard(six()), 1);
    let label = Label { field: "frame", name: None };
    let mut now = 1_000_000_000;
    let mut conns = Vec::new();
    let mut heard = All(0);
    // Opened and subscribed.
    for _ in 0..20 {
        session.tick(MonoNanos(now), &heard);
        for action in session.actions() {
            match action {
                Action::Connect { conn, .. } => {
                    session.connected(MonoNanos(now), conn);
                    conns.push(conn);
                }
                Action::Send { conn, text } => {
                    let answer = format!("ACK {}", text.split(' ').nth(1).unwrap());
                    session.frame(MonoNanos(now), conn, &answer, &Outcome::Control { name: CONTROL_ACK, label });
                }
                other => panic!("{other:?}"),
            }
        }
        now += 200_000_000;
    }
    let mut counted = 0;
    for round in 0..10_000 {
        // Half an hour, with the windows of what is usual.
        let before = ALLOCATIONS.get();
        for i in 0..100 {
            now += 1_900_000;
            session.frame(MonoNanos(now), conns[i % 2], "{\"data\":1}", &Outcome::Messages(3));
        }
        heard.0 += 50;
        now = now.max(session.due().0);
        session.tick(MonoNanos(now), &heard);
        let actions = session.actions();
        if round > 10 {
            counted += ALLOCATIONS.get() - before;
        }
        assert!(actions.is_empty(), "{actions:?}");
    }
    assert_eq!(counted, 0);
    let view = session.view();
    assert_eq!(view.connections_live, 2);
    assert!(view.streams.iter().all(|(_, state)| *state == StreamState::Alive), "{view:?}");
}
