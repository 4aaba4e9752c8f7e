//! What one run of a case did, and what proves that it did it.

use feedd_model::Event;
use std::time::Duration;

/// One run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) events: u64,
    /// Until the last event was where it belongs.
    pub(crate) wall: Duration,
    /// All producers together.
    pub(crate) producer_cpu: Duration,
    /// Whoever takes the events from the producers.
    pub(crate) consumer_cpu: Duration,
    /// Time on a core over wall time, of each producer.
    pub(crate) producer_shares: Vec<f64>,
    pub(crate) consumer_share: f64,
    /// Of each producer.
    pub(crate) producer_walls: Vec<Duration>,
    /// Time that producers waited for room in their rings, all together.
    pub(crate) blocked: Duration,
    /// Blocks that the batching thread handed on.
    pub(crate) blocks: u64,
}

impl Work {
    pub(crate) fn ns_per_event(&self) -> f64 {
        self.wall.as_secs_f64() * 1e9 / self.events as f64
    }

    /// CPU time of the producers and of whoever takes the events from them, in ns.
    pub(crate) fn cpu_ns_per_event(&self) -> f64 {
        (self.producer_cpu + self.consumer_cpu).as_secs_f64() * 1e9 / self.events as f64
    }
}

/// Count of events and the sum that [`feedd_sink_null::NullCounts`] makes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) events: u64,
    pub(crate) checksum: u64,
}

impl Sums {
    /// Of `events` events taken from `ready` again and again.
    pub(crate) fn of(ready: &[Event], events: u64) -> Self {
        let (rounds, rest) = (events / ready.len() as u64, events % ready.len() as u64);
        let sum =
            |events: &mut dyn Iterator<Item = &Event>| events.fold(0_u64, |sum, event| sum.wrapping_add(digest(event)));
        let rest = usize::try_from(rest).unwrap_or(usize::MAX);
        let checksum = sum(&mut ready.iter()).wrapping_mul(rounds).wrapping_add(sum(&mut ready.iter().take(rest)));
        Self { events, checksum }
    }

    /// Of so many producers that sent the same.
    pub(crate) fn times(self, producers: u64) -> Self {
        Self { events: self.events * producers, checksum: self.checksum.wrapping_mul(producers) }
    }

    /// One event more.
    #[inline]
    pub(crate) fn add(&mut self, event: &Event) {
        self.events += 1;
        self.checksum = self.checksum.wrapping_add(digest(event));
    }
}

/// One load of the event's cache line, as the null sink does it.
#[inline]
fn digest(event: &Event) -> u64 {
    let received = event.recv_ts().map_or(0, |time| time.0.cast_unsigned());
    received.wrapping_add(event.instrument().0.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trades::Trades;

    #[test]
    fn sums_are_those_of_the_events_in_turn() {
        let ready = Trades::simulate(7).unwrap().events;
        for events in [0, 1, 6, 7, 8, 20, 21] {
            let mut one_by_one = Sums::default();
            ready.iter().cycle().take(events).for_each(|event| one_by_one.add(event));
            assert_eq!(Sums::of(&ready, events as u64), one_by_one);
        }
    }
}
