//! Harness of tests: what proves that feedd loses nothing, doubles nothing and alters nothing.
//!
//! - [`postgres`]: a PostgreSQL server of a test's own, that can be killed and started again.
//! - [`proxy`]: a TCP proxy that cuts, stalls and swallows, also at chosen messages of PostgreSQL's protocol.
//! - [`oracle`]: a source that knows what it sent; the binary `oracle-feed` is one as a process of its own.
//! - [`judge`]: compares what is stored with what was sent.
//! - [`promise`]: what a test of a promise found, as a line of a report.
//! - [`disk`]: disks that lose power and disks that are full.
//!
//! For tests and for measuring programs: no part of the recorder depends on it. Leaves out on purpose: clients of a
//! database (`psql` reads back, so that the reader shares nothing with the writer) and an asynchronous runtime. A helper
//! that fails fails the test: it panics with what is wrong.
//!
//! ```
//! use feedd_testkit::oracle::Oracle;
//! let oracle = Oracle::new(7, &["BTCUSDT"]);
//! assert_eq!(oracle.expect(1), Oracle::new(7, &["BTCUSDT"]).expect(1));
//! assert_ne!(oracle.expect(1).price, Oracle::new(8, &["BTCUSDT"]).expect(1).price);
//! ```
#![forbid(unsafe_code)]

pub mod disk;
pub mod judge;
pub mod oracle;
pub mod postgres;
pub mod promise;
pub mod proxy;

use std::time::{Duration, Instant};

/// Pause between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(2);

/// Looks until `done`, at most `most`; whether it came.
pub(crate) fn wait_until(most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > most {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Says why a test is skipped. With `CI` set nothing may be skipped: panics.
///
/// # Panics
/// With the environment variable `CI` set to something.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "must not be skipped in CI: {why}");
    println!("skipped: {why}");
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
