//! What the machine can do: a cache line between two cores, and memory copied.

use anyhow::{Result, anyhow, ensure};
use feedd_core::affinity::{pin, usable_cores};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Some 5 ms: before and after each run.
const PING_PONGS: u64 = 50_000;
/// More than a core's last level of cache is likely to keep.
const COPY_BYTES: usize = 64 << 20;

/// The last two cores that this process may use; `None` when there is only one.
pub(crate) fn two_cores() -> Option<[usize; 2]> {
    let usable = usable_cores();
    let [.., a, b] = usable[..] else { return None };
    Some([a, b])
}

/// One way of a cache line from core to core, in ns: half of there and back, spinning. `None` when both threads would
/// have to share a core.
///
/// # Errors
/// When a thread cannot be pinned.
pub(crate) fn ping_pong(cores: Option<[usize; 2]>) -> Result<Option<f64>> {
    if two_cores().is_none() {
        return Ok(None);
    }
    let (there, back) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (ball, racket) = (there.clone(), back.clone());
    let core = cores.map(|[_, core]| core);
    let other = std::thread::spawn(move || {
        let is_pinned = core.is_none_or(pin);
        for turn in 1..=PING_PONGS {
            while ball.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
            racket.store(turn, Ordering::Release);
        }
        is_pinned
    });
    let ours = std::thread::spawn(move || {
        let is_pinned = cores.is_none_or(|[core, _]| pin(core));
        let begin = Instant::now();
        for turn in 1..=PING_PONGS {
            there.store(turn, Ordering::Release);
            while back.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
        }
        (is_pinned, begin.elapsed())
    });
    let (is_pinned, took) = ours.join().map_err(|_| anyhow!("a thread panicked"))?;
    let other = other.join().map_err(|_| anyhow!("a thread panicked"))?;
    ensure!(is_pinned && other, "a thread could not be pinned");
    Ok(Some(took.as_secs_f64() * 1e9 / PING_PONGS as f64 / 2.0))
}

/// GB a second that one core copies in memory.
pub(crate) fn memcpy_gb_per_s() -> f64 {
    let from = vec![1_u8; COPY_BYTES];
    let mut to = vec![0_u8; COPY_BYTES];
    let begin = Instant::now();
    for _ in 0..4 {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    4.0 * COPY_BYTES as f64 / begin.elapsed().as_secs_f64() / 1e9
}
