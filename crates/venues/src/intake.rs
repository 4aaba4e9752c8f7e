//! What every source does with a frame: decode it, judge its trades, name its instruments, count it, publish it.
//!
//! Hot path: no allocation, lock, log or system call per frame once every instrument has been seen
//! (tests/no_alloc.rs counts). Rejected frames leave it: their text goes to the dead letters.

use crate::decoder::{Decoder, Outcome, Reject, RejectReason};
use crate::message::{Message, MessageSink};
use crate::to_events;
use crate::validate::{TradeReject, ValidationConfig, Validator, Verdict};
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::{DeadLetter, DeadLetters};
use feedd_core::outlet::Ended;
use feedd_core::{Burst, Instruments, Outlet, SourceError, Stop};
use feedd_model::{Flags, InstrumentId, UnixNanos};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Names of the reasons for rejected frames, in the order of their counters.
pub const FRAME_REASONS: [&str; RejectReason::COUNT] = {
    let mut names = [""; RejectReason::COUNT];
    let mut i = 0;
    while i < names.len() {
        names[i] = RejectReason::ALL[i].name();
        i += 1;
    }
    names
};

/// Names of the reasons for rejected trades, in the order of their counters.
pub const TRADE_REASONS: [&str; TradeReject::ALL.len()] = {
    let mut names = [""; TradeReject::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TradeReject::ALL[i].name();
        i += 1;
    }
    names
};

/// Reason under which frames of unknown type are kept when the configuration asks for it.
const UNKNOWN: &str = "unknown_type";
/// Events a burst has room for without growing: the largest snapshots recorded so far grow it once.
const BURST_EVENTS: usize = 16_384;
/// A burst is published when it has this many events, so that a stream of frames without a pause is not held back.
const PUBLISH_AT_EVENTS: usize = 64;
/// Pause before the instrument dictionary is asked again after a failure.
const DICTIONARY_PAUSE: Duration = Duration::from_millis(200);

/// What an intake is made of; one for each session of a source.
pub struct IntakeParts {
    /// Name of the source.
    pub source: String,
    /// Venue whose instruments these are.
    pub venue: String,
    /// Of that venue.
    pub decoder: Box<dyn Decoder>,
    /// Limits for trades.
    pub validation: ValidationConfig,
    /// The shared dictionary.
    pub instruments: Instruments,
    /// Where rejected texts go.
    pub dead_letters: DeadLetters,
    /// Whether frames of unknown type are kept, too.
    pub keep_unknown: bool,
    /// Longest frame, bytes.
    pub frame_bytes_max: usize,
}

/// The way from a frame to the ring.
pub struct Intake {
    source: String,
    decoder: Box<dyn Decoder>,
    dead_letters: DeadLetters,
    keep_unknown: bool,
    frame_bytes_max: usize,
    collector: Collector,
}

/// Turns messages into events of the burst. Apart from the decoder, so that both can be borrowed at once.
struct Collector {
    venue: String,
    instruments: Instruments,
    ids: FxHashMap<Box<str>, InstrumentId>,
    validator: Validator,
    burst: Burst,
    recv_ts: Option<UnixNanos>,
    /// Of the recorder's clock, for every event of the frames that it has stamped.
    clock_flags: Flags,
    /// Set by [`MessageSink::message`], looked at after each frame.
    decoded: u64,
    rejected: Option<TradeReject>,
    unnamed: Option<SourceError>,
    rejected_counts: [u64; TradeReject::ALL.len()],
    stop: Stop,
}

impl Intake {
    /// Wires an intake for a session that publishes to `outlet`.
    #[must_use]
    pub fn new(parts: IntakeParts, outlet: &Outlet) -> Self {
        Self {
            source: parts.source,
            decoder: parts.decoder,
            dead_letters: parts.dead_letters,
            keep_unknown: parts.keep_unknown,
            frame_bytes_max: parts.frame_bytes_max,
            collector: Collector {
                venue: parts.venue,
                instruments: parts.instruments,
                ids: FxHashMap::default(),
                validator: Validator::new(parts.validation),
                burst: Burst::with_capacity(BURST_EVENTS),
                recv_ts: None,
                clock_flags: Flags::NONE,
                decoded: 0,
                rejected: None,
                unnamed: None,
                rejected_counts: [0; TradeReject::ALL.len()],
                stop: outlet.stop().clone(),
            },
        }
    }

    /// Notes what was sent on a connection.
    pub fn request(&mut self, conn: &str, text: &str) {
        self.decoder.request(conn, text);
    }

    /// Stamps the frames that left the socket just now, once a burst that holds one: their receive time. A step of the recorder's clock is
    /// marked in the data, before them and behind what waits. Only for frames that the recorder itself receives.
    pub fn received(&mut self, outlet: &mut Outlet) -> UnixNanos {
        let received = outlet.received(&mut self.collector.burst);
        self.collector.clock_flags = received.flags;
        self.collector.validator.clock_stepped(received.step_ns);
        received.at
    }

    /// Takes one frame, whole or not at all. Its events wait for [`Intake::publish`].
    ///
    /// # Errors
    /// [`SourceError`] when an instrument could not be given an id before the run was stopped.
    pub fn frame(
        &mut self,
        conn: &str,
        frame: &str,
        recv_ts: Option<UnixNanos>,
        counters: &SourceCounters,
    ) -> Result<(), SourceError> {
        counters.frames.add(1);
        counters.bytes.add(frame.len() as u64);
        if frame.len() > self.frame_bytes_max {
            self.reject(Reject::new(RejectReason::TooLarge, "frame"), "", frame.as_bytes(), recv_ts, counters);
            return Ok(());
        }
        self.collector.recv_ts = recv_ts;
        match self.decoder.decode(conn, frame, &mut self.collector) {
            Outcome::Messages(_) => return self.settle(frame, counters),
            Outcome::Control { .. } => counters.frames_control.add(1),
            Outcome::Unknown(label) => {
                counters.frames_unknown.add(1);
                if self.keep_unknown {
                    self.keep(UNKNOWN, label.to_string(), frame.as_bytes(), recv_ts, counters);
                }
            }
            Outcome::Rejected(reject) => self.reject(reject, "", frame.as_bytes(), recv_ts, counters),
        }
        Ok(())
    }

    /// Counts and keeps something that never became a frame (a bad line of a recording).
    pub fn bad_input(&mut self, reject: Reject, place: &str, raw: &[u8], counters: &SourceCounters) {
        counters.frames.add(1);
        counters.bytes.add(raw.len() as u64);
        self.reject(reject, place, raw, None, counters);
    }

    /// Whether enough waits to be published now: a good burst, or what is left of the run's bound.
    #[must_use]
    pub fn is_due(&self, outlet: &Outlet) -> bool {
        let waiting = self.collector.burst.events().len();
        waiting >= PUBLISH_AT_EVENTS || (waiting > 0 && waiting as u64 >= outlet.events_left())
    }

    /// Publishes what waits.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end.
    pub fn publish(&mut self, outlet: &mut Outlet) -> Result<(), Ended> {
        outlet.publish(&mut self.collector.burst)
    }

    /// Counts what a decoded frame gave.
    fn settle(&mut self, frame: &str, counters: &SourceCounters) -> Result<(), SourceError> {
        counters.events_decoded.add(std::mem::take(&mut self.collector.decoded));
        if let Some(error) = self.collector.unnamed.take() {
            let reject = Reject::new(RejectReason::NoSymbol, "instrument dictionary");
            self.reject(reject, "", frame.as_bytes(), self.collector.recv_ts, counters);
            return Err(error);
        }
        counters.frames_decoded.add(1);
        if let Some(reason) = self.collector.rejected.take() {
            for (index, count) in self.collector.rejected_counts.iter_mut().enumerate() {
                counters.events_rejected.add(index, std::mem::take(count));
            }
            let recv_ts = self.collector.recv_ts;
            self.keep(reason.name(), "trade rejected by validation".to_owned(), frame.as_bytes(), recv_ts, counters);
        }
        Ok(())
    }

    #[cold]
    fn reject(&self, reject: Reject, place: &str, raw: &[u8], recv_ts: Option<UnixNanos>, counters: &SourceCounters) {
        counters.frames_rejected.add(reject.reason.index(), 1);
        let detail = if place.is_empty() { reject.field.to_owned() } else { format!("{place}: {}", reject.field) };
        self.keep(reject.reason.name(), detail, raw, recv_ts, counters);
    }

    #[cold]
    fn keep(
        &self,
        reason: &'static str,
        detail: String,
        raw: &[u8],
        recv_ts: Option<UnixNanos>,
        counters: &SourceCounters,
    ) {
        let letter = DeadLetter::new(&self.source, reason, detail, recv_ts.map(|t| t.0), raw);
        if !self.dead_letters.keep(letter) {
            counters.dead_letters_missed.add(1);
        }
    }
}

impl MessageSink for Collector {
    fn message(&mut self, _frame: &str, message: &Message<'_>) {
        let Some(instrument) = self.instrument(message.symbol()) else { return };
        let verdict = match message {
            Message::Trade(t) => {
                self.validator.check(instrument, t.price.value, t.size.value, t.exchange_ts, self.recv_ts)
            }
            _ => Verdict::Accept(Flags::NONE),
        };
        let before = self.burst.events().len();
        match verdict {
            Verdict::Accept(flags) => {
                to_events::append(message, instrument, self.recv_ts, flags.with(self.clock_flags), &mut self.burst);
                self.decoded += (self.burst.events().len() - before) as u64;
            }
            Verdict::Reject(reason) => {
                self.decoded += 1;
                self.rejected_counts[reason.index()] += 1;
                self.rejected = Some(reason);
            }
        }
    }
}

impl Collector {
    #[inline]
    fn instrument(&mut self, symbol: &str) -> Option<InstrumentId> {
        match self.ids.get(symbol) {
            Some(&id) => Some(id),
            None => self.new_instrument(symbol),
        }
    }

    /// First sight of a symbol. An id must be durable before it is used, so a dictionary that cannot be written makes
    /// the source wait, as a full ring does, until it can or the run is stopped.
    #[cold]
    fn new_instrument(&mut self, symbol: &str) -> Option<InstrumentId> {
        let mut told = false;
        loop {
            match self.instruments.resolve(&self.venue, symbol) {
                Ok(id) => {
                    self.ids.insert(symbol.into(), id);
                    return Some(id);
                }
                Err(error) if self.stop.is_requested() => {
                    let what = format!("{symbol} has no id: {error}");
                    self.unnamed = Some(SourceError::Recorder { what, source: Some(error.into()) });
                    return None;
                }
                Err(error) => {
                    if !told {
                        tracing::error!(
                            symbol,
                            error = &error as &dyn std::error::Error,
                            "waiting for the instrument dictionary"
                        );
                        told = true;
                    }
                    std::thread::sleep(DICTIONARY_PAUSE);
                }
            }
        }
    }
}
