//! The one door to atomics and parking, so that `loom` can take their place (`--cfg loom`).

#[cfg(not(loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::thread::{Thread, current};

#[cfg(loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::thread::{Thread, current};

/// Blocks until woken or until `nanos` have passed. Under loom there is no time: only a wake ends it, so that a lost
/// wake-up shows as a deadlock.
pub(crate) fn park_for(nanos: u64) {
    #[cfg(not(loom))]
    std::thread::park_timeout(std::time::Duration::from_nanos(nanos));
    #[cfg(loom)]
    {
        let _ = nanos;
        loom::thread::park();
    }
}

/// Sleeps for `nanos` without having told anybody: nothing is lost when a wake comes, and none is waited for.
pub(crate) fn nap(nanos: u64) {
    #[cfg(not(loom))]
    std::thread::park_timeout(std::time::Duration::from_nanos(nanos));
    #[cfg(loom)]
    {
        let _ = nanos;
        loom::thread::yield_now();
    }
}
