//! Pinning threads to cores. `auto` pins only where the cores suffice, and says what it did.

/// Where a thread is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreChoice {
    /// Decided by [`plan`].
    Auto,
    /// Wherever the system puts it.
    Unpinned,
    /// On this core.
    Core(usize),
}

/// The plan for one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Name of the thread.
    pub thread: String,
    /// The core, `None` for unpinned.
    pub core: Option<usize>,
}

/// Cores this process may use, in ascending order. To be called before any thread is pinned.
#[must_use]
pub fn usable_cores() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
    cores.sort_unstable();
    cores
}

/// Pins the calling thread. False when the system refused.
#[must_use]
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// Places threads on cores: fixed choices first, then the `auto` ones in order, each on a core of its own, when after
/// that at least one core is left for everything else (storage, telemetry, the system). Otherwise no `auto` thread is
/// pinned: two spinning threads on one core stall for whole scheduler slices.
#[must_use]
pub fn plan(threads: &[(String, CoreChoice)], cores: &[usize]) -> Vec<Placement> {
    let fixed = |core: &usize| threads.iter().any(|(_, choice)| *choice == CoreChoice::Core(*core));
    let wanted = threads.iter().filter(|(_, choice)| *choice == CoreChoice::Auto).count();
    let free: Vec<usize> = cores.iter().copied().filter(|core| !fixed(core)).collect();
    let suffices = free.len() > wanted;
    // Core 0 takes most interrupts: it stays with the system as long as there are others.
    let mut free = free.into_iter().rev();
    threads
        .iter()
        .map(|(thread, choice)| {
            let core = match choice {
                CoreChoice::Unpinned => None,
                CoreChoice::Core(core) => Some(*core),
                CoreChoice::Auto => {
                    if suffices {
                        free.next()
                    } else {
                        None
                    }
                }
            };
            Placement { thread: thread.clone(), core }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_pins_only_where_cores_suffice() {
        type Case = (&'static str, Vec<usize>, Vec<Option<usize>>);
        let thread = |name: &str, choice| (name.to_owned(), choice);
        let two = [thread("batching", CoreChoice::Auto), thread("sim", CoreChoice::Auto)];
        let cases: [Case; 3] = [
            ("two cores, two threads: no core would be left", vec![0, 1], vec![None, None]),
            ("three cores", vec![0, 1, 2], vec![Some(2), Some(1)]),
            ("unknown cores", vec![], vec![None, None]),
        ];
        for (name, cores, expected) in cases {
            let got: Vec<_> = plan(&two, &cores).into_iter().map(|p| p.core).collect();
            assert_eq!(got, expected, "{name}");
        }
        let mixed =
            [thread("batching", CoreChoice::Core(1)), thread("a", CoreChoice::Auto), thread("b", CoreChoice::Unpinned)];
        let got: Vec<_> = plan(&mixed, &[0, 1, 2]).into_iter().map(|p| p.core).collect();
        assert_eq!(got, [Some(1), Some(2), None], "fixed choices are kept and not given away twice");
    }
}
