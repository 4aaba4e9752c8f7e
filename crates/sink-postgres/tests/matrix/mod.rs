//! What tests of cut connections share: a sink behind a proxy, offers as delivery makes them, every boundary of a
//! transaction, and a judge that reads by `psql` alone.
#![allow(clippy::unwrap_used, dead_code, reason = "helpers fail the test that calls them; not every test uses each")]

use crate::common::{Store, read_all};
use feedd_core::contract::sink::{STREAM, batch, canonical};
use feedd_core::{Sink, SinkError, error_text};
use feedd_model::{Epoch, Event, MonoNanos};
use feedd_sink_postgres::{PostgresConfig, PostgresSink, Secret};
use feedd_testkit::postgres::{Options, Server};
use feedd_testkit::promise;
use feedd_testkit::proxy::{At, Cut, Direction, How, Place, Plan, Proxy, Target};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Events of a batch with a fault: every kind of the contract suite's is in it twice, so all such batches have the same messages.
pub(crate) const BATCH: usize = 26;
/// What a silent server costs; a busy machine needs less than half of it for a batch.
pub(crate) const LIMIT: Duration = Duration::from_millis(900);
/// Longest time until one batch is stored; a server that starts again is part of it.
pub(crate) const WORKS_AGAIN: Duration = Duration::from_secs(90);

pub(crate) const EPOCH: Epoch = Epoch(1);

/// The size of an ordinary run, of `FEEDD_SOAK=ci`, and of `FEEDD_SOAK=full`.
pub(crate) fn size(ordinary: usize, ci: usize, full: usize) -> usize {
    match std::env::var("FEEDD_SOAK") {
        Ok(soak) if soak == "ci" => ci,
        _ if promise::full() => full,
        _ => ordinary,
    }
}

pub(crate) fn with_tcp() -> Option<Rc<RefCell<Server>>> {
    let server = Server::start_with(Options { tcp: true, ..Options::default() })?;
    Some(Rc::new(RefCell::new(server)))
}

pub(crate) fn proxy(server: &Rc<RefCell<Server>>) -> Proxy {
    Proxy::start(Target::Tcp(server.borrow().tcp_address().unwrap()), Plan::postgres())
}

pub(crate) fn config_through(store: &Store, proxy: &Proxy) -> PostgresConfig {
    let mut config = store.config();
    config.host = proxy.address().ip().to_string();
    config.port = proxy.address().port();
    config.password = Some(Secret::new(store.server.borrow().password()));
    (config.batch_timeout, config.connect_timeout) = (LIMIT, LIMIT);
    config
}

pub(crate) fn open(store: &Store, proxy: &Proxy) -> PostgresSink {
    PostgresSink::open(config_through(store, proxy), store.instruments.clone()).unwrap()
}

/// Messages of one fault-free batch on a connection that is there, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

/// Every boundary of the transaction, both ways, by FIN and by RST.
pub(crate) fn boundaries(messages: Messages) -> Vec<Cut> {
    let ways = [(Direction::ToServer, messages.to_server), (Direction::ToClient, messages.to_client)];
    let mut cuts = Vec::new();
    for (direction, count) in ways {
        for how in [How::Fin, How::Rst] {
            let at = |nth, place| Cut { at: At::Message { direction, kind: None, nth, place }, how };
            cuts.extend((1..=count).map(|nth| at(nth, Place::Before)));
            cuts.push(at(count, Place::Behind));
        }
    }
    cuts
}

/// What is done after an outcome that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The position is asked for: what delivery does.
    Asks,
    /// The batch is offered again as if nothing had been stored: what a sink without a ledger does.
    Blind,
}

/// Offers ranges as delivery does.
pub(crate) struct Delivery {
    pub(crate) sink: PostgresSink,
    pub(crate) rng: fastrand::Rng,
    pub(crate) retry: Retry,
    /// For [`Retry::Blind`]: makes the ledger forget what it knows above this position.
    pub(crate) forget: Option<Box<dyn Fn(usize) + Send>>,
    /// Events that the sink has called stored.
    pub(crate) stored: usize,
    pub(crate) failed: u64,
    /// Calls whose outcome was unknown and that turned out to be stored.
    pub(crate) committed_unanswered: u64,
}

impl Delivery {
    pub(crate) fn new(sink: PostgresSink, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { sink, rng, retry: Retry::Asks, forget: None, stored: 0, failed: 0, committed_unanswered: 0 }
    }

    /// Offers events until the first `end` are stored; first all in one batch, then cut anew.
    pub(crate) fn store(&mut self, events: &[Event], end: usize) {
        let limit = Instant::now() + WORKS_AGAIN;
        let mut part = self.stored..end;
        while self.stored < end {
            assert!(Instant::now() < limit, "it never works again: {part:?}");
            match self.sink.write(&batch(events, EPOCH, part.clone(), 64), MonoNanos(0)) {
                Ok(()) => {
                    self.stored = part.end;
                    part = self.cut_anew(end);
                }
                // The same range again.
                Err(SinkError::Unavailable { .. }) => self.pause(),
                Err(SinkError::Unknown { .. }) => {
                    self.failed += 1;
                    self.after_unknown(&part, limit);
                    part = self.cut_anew(end);
                }
                Err(error) => panic!("{part:?}: {}", error_text(&error)),
            }
        }
    }

    pub(crate) fn pause(&mut self) {
        self.failed += 1;
        // A server that starts needs the processor, too.
        std::thread::sleep(Duration::from_millis(2));
    }

    pub(crate) fn after_unknown(&mut self, part: &Range<usize>, limit: Instant) {
        if self.retry == Retry::Blind {
            self.forget.as_ref().unwrap()(self.stored);
        }
        let position = self.ask(limit);
        assert!(position >= self.stored, "{} were called stored, {position} are", self.stored);
        self.committed_unanswered += u64::from(position >= part.end);
        self.stored = position;
    }

    pub(crate) fn ask(&mut self, limit: Instant) -> usize {
        loop {
            match self.sink.recover(STREAM, EPOCH) {
                Ok(seq) => return usize::try_from(seq.0).unwrap(),
                Err(SinkError::Unavailable { .. }) => self.pause(),
                Err(error) => panic!("{}", error_text(&error)),
            }
            assert!(Instant::now() < limit, "the position can never be asked for again");
        }
    }

    /// The next range, of any size up to the rest.
    pub(crate) fn cut_anew(&mut self, end: usize) -> Range<usize> {
        let start = self.stored.min(end);
        start..end.min(start + self.rng.usize(1..=BATCH))
    }
}

/// What the tables hold, by `psql` alone.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// Rows that no event of ours is equal to.
    pub(crate) altered: u64,
}

pub(crate) fn judge(store: &Store, events: &[Event]) -> Judged {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let mut altered = 0;
    for (epoch, seq, event) in read_all(store) {
        let wanted = usize::try_from(seq.0).ok().and_then(|at| events.get(at.checked_sub(1)?));
        if epoch == EPOCH && wanted.is_some_and(|wanted| canonical(wanted) == canonical(&event)) {
            *seen.entry(seq.0).or_default() += 1;
        } else {
            altered += 1;
        }
    }
    Judged {
        lost: events.len() as u64 - seen.len() as u64,
        duplicated: seen.values().map(|count| count - 1).sum(),
        altered,
    }
}
