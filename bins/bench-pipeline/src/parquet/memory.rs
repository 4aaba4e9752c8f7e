//! How much memory a piece of work takes at most, of this process: Linux only.

use std::fs::{read_to_string, write};

/// Runs `work`; also the MiB by which the process grew at most, where the system tells.
pub(super) fn growth_mib<T>(work: impl FnOnce() -> T) -> (T, Option<f64>) {
    // Makes the peak what is in use now.
    let before = write("/proc/self/clear_refs", "5").ok().and_then(|()| kib("VmRSS:"));
    let result = work();
    let growth = before.and_then(|before| Some(kib("VmHWM:")?.saturating_sub(before)));
    (result, growth.map(|kib| kib as f64 / 1024.0))
}

fn kib(name: &str) -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_counts_too() {
        let ((), before) = growth_mib(|| drop(std::hint::black_box(vec![1_u8; 200 << 20])));
        let ((), after) = growth_mib(|| ());
        // Where the peak cannot be set back there is no figure.
        assert!(before.is_none_or(|mib| mib > 150.0) && after.is_none_or(|mib| mib < 150.0), "{before:?} {after:?}");
    }
}
