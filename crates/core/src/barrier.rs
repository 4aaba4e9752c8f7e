//! The two sides of a full fence between threads that publish all the time and one that rarely goes to sleep.
//!
//! A fence on the publishing side waits until the event's cache line has come from the other core: 60 ns for each publish.
//! Linux can let the sleeping side pay for both: membarrier(2) makes every running thread of the process pass a full fence,
//! so the publishing side only has to keep the compiler from reordering. Where the system has no such call, both sides
//! fence.

use crate::sync::{Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, compiler_fence};

/// Whether the process is registered for expedited barriers. Never taken back.
#[cfg(not(loom))]
static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

/// Asks the system for its barrier; without an answer both sides fence.
#[cfg(not(loom))]
pub(crate) fn register() {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{MembarrierCommand, membarrier};
        // Before anybody relies on it: a side that still fences in between is on the safe side.
        if membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok() {
            IS_REGISTERED.store(true, Ordering::Relaxed);
        }
    }
}

/// The side of those who publish, between publishing and the look at who sleeps.
#[cfg(not(loom))]
#[inline]
pub(crate) fn light() {
    if IS_REGISTERED.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The side of the one who sleeps, between the announcement and the last look for work. False when the system failed to
/// do it: then nobody may rely on being woken.
#[cfg(not(loom))]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    if !IS_REGISTERED.load(Ordering::Relaxed) {
        return true;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{MembarrierCommand, membarrier};
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    true
}

// The system's barrier is, for those who publish, a full fence at some place between their two accesses or outside of them:
// what loom explores with fences on both sides.
#[cfg(loom)]
pub(crate) fn register() {}

#[cfg(loom)]
pub(crate) fn light() {
    fence(Ordering::SeqCst);
}

#[cfg(loom)]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    true
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crossbeam_utils::CachePadded;
    use std::sync::atomic::AtomicU64;

    /// Dekker's test: each side says that it is there, then looks for the other. Without the barrier, or with a fence on one
    /// side only, both miss each other in some of the rounds: tried.
    #[test]
    fn two_sides_never_miss_each_other() {
        const ROUNDS: u64 = 5_000;
        register();
        // Far apart: the two stores must not share a line.
        let [publisher, sleeper, arrived] = [(); 3].map(|()| CachePadded::new(AtomicU64::new(0)));
        // Both leave at the same moment.
        let meet = |at: u64| {
            arrived.fetch_add(1, Ordering::AcqRel);
            while arrived.load(Ordering::Acquire) < 2 * at {
                std::hint::spin_loop();
            }
        };
        let seen = std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let round = |at| {
                    meet(at);
                    publisher.store(at, Ordering::Relaxed);
                    light();
                    sleeper.load(Ordering::Relaxed) == at
                };
                (1..=ROUNDS).map(round).collect::<Vec<_>>()
            });
            let round = |at| {
                meet(at);
                sleeper.store(at, Ordering::Relaxed);
                assert!(heavy(), "the system has its barrier once it was registered");
                publisher.load(Ordering::Relaxed) == at
            };
            let sleeping = (1..=ROUNDS).map(round).collect::<Vec<_>>();
            publishing.join().expect("the publishing side ends").into_iter().zip(sleeping).collect::<Vec<_>>()
        });
        let missed = seen.iter().filter(|(a, b)| !a && !b).count();
        assert_eq!(missed, 0, "of {ROUNDS} rounds");
    }
}
