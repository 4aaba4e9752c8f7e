//! The same frames read in several ways.

use super::frames::{CONN, Kind, Set};
use super::tally::Tally;
use super::typed::{self, Reader, SerdeJson, SonicRs};
use crate::meter::thread_cpu;
use crate::rounds::Sample;
use anyhow::{Context, Result, anyhow, ensure};
use feedd_core::Burst;
use feedd_core::affinity::pin;
use feedd_model::{Flags, InstrumentId, UnixNanos};
use feedd_venues::message::Message;
use feedd_venues::to_events;
use serde_json::{Map, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The frames of a venue are read again until so many bytes have been read. Ten frames read once would show how long
/// a core takes to load the code and to learn its branches, not how long a decoder takes.
const SET_BYTES_MIN: usize = 1 << 20;
/// Time at which all frames seem to have arrived.
const RECV_TS: UnixNanos = UnixNanos(1_723_161_255_208_123_456);

/// A way to read frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// feedd's decoder.
    Messages,
    /// The same, and on into 64-byte events.
    Events,
    SerdeJson,
    SonicRs,
}

impl Way {
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Messages => "feedd",
            Self::Events => "feedd_events",
            Self::SerdeJson => "serde_json",
            Self::SonicRs => "sonic_rs",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "feedd",
            Self::Events => "feedd, into events",
            Self::SerdeJson => "serde_json, typed",
            Self::SonicRs => "sonic-rs, typed",
        }
    }

    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Messages | Self::Events)
    }
}

/// A way in a contest, and the key of its case.
pub(super) struct Entry {
    pub(super) way: Way,
    pub(super) key: String,
}

/// Sets of frames, and who reads them.
pub(super) struct Contest {
    pub(super) stem: String,
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    sets: Vec<Arc<Set>>,
}

/// For each kind, one over all venues, as sent and turned round.
///
/// # Errors
/// When a frame cannot be turned round.
pub(super) fn of(sets: &[Arc<Set>]) -> Result<Vec<Contest>> {
    use Way::{Events, Messages, SerdeJson, SonicRs};
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let fits = |set: &&Arc<Set>| set.kind == kind;
        let compared: Vec<Arc<Set>> = sets.iter().filter(fits).cloned().collect();
        if compared.is_empty() {
            continue;
        }
        let turned = compared.iter().map(|set| Ok(Arc::new(set.turned_round()?))).collect::<Result<_>>()?;
        let (stem, name) = (kind.name().to_owned(), format!("{} frames", kind.name()));
        all.push(Contest::new(stem, name, compared, &[Messages, Events, SerdeJson, SonicRs]));
        let (stem, name) = (format!("{}_turned", kind.name()), format!("{} frames, keys turned round", kind.name()));
        all.push(Contest::new(stem, name, turned, &[Messages, SerdeJson, SonicRs]));
    }
    Ok(all)
}

impl Contest {
    fn new(stem: String, name: String, sets: Vec<Arc<Set>>, ways: &[Way]) -> Self {
        let entries = ways.iter().map(|&way| Entry { way, key: format!("{stem}_{}", way.key()) }).collect();
        Self { stem, name, entries, sets }
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter().map(AsRef::as_ref)
    }

    /// The case of a way; `None` when it does not take part.
    pub(super) fn key(&self, way: Way) -> Option<&str> {
        self.entries.iter().find(|entry| entry.way == way).map(|entry| entry.key.as_str())
    }

    /// Reads all frames, on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be pinned, or not everything was read.
    pub(super) fn run(&self, way: Way, core: Option<usize>) -> Result<Sample> {
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                ensure!(core.is_none_or(pin), "the thread could not be pinned");
                self.read_all(way)
            });
            reading.join().map_err(|_| anyhow!("the thread panicked"))?
        })
    }

    fn read_all(&self, way: Way) -> Result<Sample> {
        let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
        // Each venue weighs as much as it has frames, however often they were read.
        let (mut nanos, mut frames) = (0.0, 0);
        let mut details = Map::new();
        for set in self.sets() {
            let (begin, cpu_before) = (Instant::now(), thread_cpu());
            Self::read_set(way, set).with_context(|| format!("frames of {}", set.venue.name))?;
            let took = begin.elapsed();
            cpu += thread_cpu().saturating_sub(cpu_before);
            wall += took;
            let pass = took.as_secs_f64() * 1e9 / passes(set) as f64;
            nanos += pass;
            frames += set.len();
            details.insert(set.venue.name.to_owned(), json!(pass / set.len() as f64));
        }
        let value = nanos / frames as f64;
        Ok(Sample { value, core_share: Some(cpu.as_secs_f64() / wall.as_secs_f64()), details })
    }

    fn read_set(way: Way, set: &Set) -> Result<()> {
        let passes = passes(set);
        if way == Way::Events {
            let events = into_events(set, passes);
            ensure!(events == set.events * passes, "{events} events came, not {passes} times {}", set.events);
            return Ok(());
        }
        let tally = match way {
            Way::SerdeJson => with_library::<SerdeJson>(set, passes),
            Way::SonicRs => with_library::<SonicRs>(set, passes),
            Way::Messages | Way::Events => with_feedd(set, passes),
        };
        let mut expected = Tally::default();
        expected.add_times(&set.tally, passes);
        ensure!(tally == expected, "what was read adds up to {tally:?} instead of {expected:?}");
        Ok(())
    }
}

/// Times that the frames of a set are read in a run.
fn passes(set: &Set) -> u64 {
    SET_BYTES_MIN.div_ceil(set.bytes().max(1)) as u64
}

fn with_feedd(set: &Set, passes: u64) -> Tally {
    let mut tally = Tally::default();
    let mut decoder = (set.venue.decoder)();
    for _ in 0..passes {
        for frame in set.frames() {
            decoder.decode(CONN, frame, &mut |_: &str, message: &Message<'_>| tally.message(message));
        }
    }
    tally
}

fn into_events(set: &Set, passes: u64) -> u64 {
    let mut events = 0;
    let mut burst = Burst::with_capacity(1024);
    let mut decoder = (set.venue.decoder)();
    for _ in 0..passes {
        for frame in set.frames() {
            decoder.decode(CONN, frame, &mut |_: &str, message: &Message<'_>| {
                to_events::append(message, InstrumentId(1), Some(RECV_TS), Flags::NONE, &mut burst);
            });
            events += std::hint::black_box(burst.events()).len() as u64;
            burst.clear();
        }
    }
    events
}

/// A frame that does not fit adds nothing, so that the sums tell.
fn with_library<R: Reader>(set: &Set, passes: u64) -> Tally {
    let mut tally = Tally::default();
    let Some(read) = typed::structs_of::<R>(set.venue.name) else { return tally };
    for _ in 0..passes {
        for frame in set.frames() {
            read(set.kind, frame, &mut tally).unwrap_or_default();
        }
    }
    tally
}
