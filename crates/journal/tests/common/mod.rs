//! What the tests of the journal share: events that name themselves, and a log of what a cursor gave.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod raw;

use feedd_core::Instruments;
use feedd_journal::testing::SimDisk;
use feedd_journal::{Cause, Cursor, Item, Journal, JournalConfig, JournalError, Recovered, Start, Sync};
use feedd_model::{
    Decimal, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Position, Seq, Side, SourceId, StreamId, Trade,
    TradeId, UnixNanos,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub const STREAM: StreamId = StreamId(7);
pub const DIR: &str = "/journal";
pub const SEGMENT_BYTES: u64 = 16 * 1024;

/// The event `seq` of `epoch`: no other has the same bytes.
pub fn event(epoch: u32, seq: u64) -> Event {
    let signed = i64::try_from(seq).unwrap();
    let head = EventHead {
        instrument: InstrumentId(1),
        venue_ts: Some(UnixNanos(signed * 1_000)),
        recv_ts: Some(UnixNanos(signed * 1_000 + i64::from(epoch))),
        flags: Flags::NONE,
    };
    let trade = Trade {
        price: Decimal::new(signed.wrapping_mul(0x5851_f42d), 8).unwrap(),
        size: Decimal::new(i64::from(epoch) + 1, 3).unwrap(),
        side: Some(Side::Sell),
        id: TradeId::Number(u128::from(epoch) << 64 | u128::from(seq)),
    };
    Event::new(head, EventBody::Trade(trade))
}

pub fn events(epoch: u32, seqs: std::ops::Range<u64>) -> Vec<Event> {
    seqs.map(|seq| event(epoch, seq)).collect()
}

pub fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq: Seq(seq) }
}

pub fn start(epoch: u32) -> Start {
    Start { stream: STREAM, epoch: Epoch(epoch), at: UnixNanos(i64::from(epoch) * 1_000_000) }
}

pub fn config(dir: &Path) -> JournalConfig {
    JournalConfig {
        dir: dir.to_owned(),
        segment_bytes: SEGMENT_BYTES,
        bytes_max: 64 * SEGMENT_BYTES,
        sync: Sync::Always,
    }
}

pub fn instruments() -> Instruments {
    let instruments = Instruments::in_memory();
    instruments.resolve("alpha", "BTCUSDT").unwrap();
    instruments
}

/// Opens a journal on a simulated disk.
pub fn open_sim(disk: &SimDisk, epoch: u32) -> Result<(Journal, Recovered), JournalError> {
    open_sim_with(disk, epoch, config(Path::new(DIR)))
}

pub fn open_sim_with(disk: &SimDisk, epoch: u32, config: JournalConfig) -> Result<(Journal, Recovered), JournalError> {
    Journal::open_on(Arc::new(disk.clone()), config, start(epoch), instruments())
}

/// Appends the next `count` events; the wall time is the sequence.
pub fn append(journal: &mut Journal, epoch: u32, last: &mut u64, count: u64) {
    let first = *last + 1;
    let wall = UnixNanos(i64::try_from(first).unwrap());
    journal.append(Seq(first), SourceId(3), &events(epoch, first..first + count), wall);
    *last += count;
}

/// What a cursor gave.
#[derive(Debug, Default, PartialEq)]
pub struct Log {
    pub events: BTreeMap<(u32, u64), Event>,
    pub missing: Vec<(u32, u64, u64, Cause)>,
    pub starts: Vec<(u32, i64)>,
    pub ends: Vec<(u32, u64, i64)>,
}

impl Log {
    /// Reads until nothing is left. Fails on an event that stands twice, out of order, or before its epoch.
    pub fn read(cursor: &mut Cursor) -> Self {
        let mut log = Self::default();
        log.read_on(cursor);
        log
    }

    pub fn read_on(&mut self, cursor: &mut Cursor) {
        while let Some(item) = cursor.next().unwrap() {
            match item {
                Item::Epoch { stream, epoch, at } => {
                    assert_eq!(stream, STREAM);
                    self.starts.push((epoch.0, at.0));
                }
                Item::Events { epoch, first, events, .. } => {
                    assert!(!events.is_empty(), "an item holds events");
                    for (seq, event) in (first.0..).zip(events) {
                        let place = (epoch.0, seq);
                        let follows = self.events.last_key_value().is_none_or(|(&last, _)| last < place);
                        assert!(follows, "{place:?} after {:?}", self.events.last_key_value().map(|(last, _)| last));
                        self.events.insert(place, *event);
                    }
                    assert_eq!(self.starts.last().map(|start| start.0), Some(epoch.0), "an epoch is announced");
                }
                Item::Missing { epoch, first, last, cause } => {
                    assert!(first <= last, "a hole has a length");
                    assert_eq!(self.starts.last().map(|start| start.0), Some(epoch.0), "an epoch is announced");
                    self.missing.push((epoch.0, first.0, last.0, cause));
                }
                Item::End { epoch, last, at } => self.ends.push((epoch.0, last.0, at.0)),
            }
        }
    }

    /// Sequences of one epoch.
    pub fn seqs(&self, epoch: u32) -> Vec<u64> {
        self.events.range((epoch, 0)..(epoch + 1, 0)).map(|((_, seq), _)| *seq).collect()
    }

    pub fn is_missing(&self, epoch: u32, seq: u64) -> bool {
        self.missing.iter().any(|&(e, first, last, _)| e == epoch && (first..=last).contains(&seq))
    }

    /// Every event has the contents that were appended under its name.
    pub fn assert_unaltered(&self) {
        for (&(epoch, seq), found) in &self.events {
            assert_eq!(*found, event(epoch, seq), "epoch {epoch} seq {seq}");
        }
    }
}

/// Full sizes on request.
pub fn is_full() -> bool {
    std::env::var("FEEDD_SOAK").is_ok_and(|value| value == "full")
}

/// `FEEDD_SEED`, or the given one; printed.
pub fn seed(default: u64) -> u64 {
    let seed = std::env::var("FEEDD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    println!("FEEDD_SEED={seed}");
    seed
}
