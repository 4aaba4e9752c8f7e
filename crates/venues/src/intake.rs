//! What every source does with a frame: decode it, judge its trades, name its instruments, count it, publish it.
//!
//! Hot path: no allocation, lock, log or system call per frame once every instrument has been seen
//! (tests/no_alloc.rs counts). Rejected frames leave it: their text goes to the dead letters.

use crate::check::book::OrderBook;
use crate::check::{Checker, Judgement, KnownTrades, Rules, StreamKind, Want};
use crate::decoder::{Decoder, Outcome, Reject, RejectReason};
use crate::message::{Message, MessageSink};
use crate::table::{self, SymbolScope};
use crate::to_events;
use crate::validate::{TradeReject, ValidationConfig, Validator, Verdict};
use crossbeam_utils::CachePadded;
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::{DeadLetter, DeadLetters};
use feedd_core::heard::Heard;
use feedd_core::outlet::Ended;
use feedd_core::{Burst, Clock, Instruments, Outlet, SourceError, Stop};
use feedd_model::{Event, EventBody, EventHead, Flags, InstrumentId, Status, StatusCode, UnixNanos, VenueSeq};
use rustc_hash::FxHashMap;
use std::sync::Arc;
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
    /// How messages are checked against each other; `None` for recordings, which stay as they are.
    pub check: Option<Rules>,
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
    /// Ids by the names under which the dictionary knows the symbols.
    ids: FxHashMap<Box<str>, Named>,
    /// Where new instruments are listed.
    counters: Arc<CachePadded<SourceCounters>>,
    /// Within what a symbol of this venue names one instrument.
    symbol_scope: SymbolScope,
    /// With [`SymbolScope::Connection`]: `connection/` of the frame at hand, and a symbol behind it.
    name: String,
    /// Bytes of `connection/`.
    connection_bytes: usize,
    validator: Validator,
    check: Option<Checker>,
    burst: Burst,
    recv_ts: Option<UnixNanos>,
    /// Of the recorder's clock, for every event of the frames that it has stamped.
    clock_flags: Flags,
    /// Set by [`MessageSink::message`], looked at after each frame.
    decoded: u64,
    duplicates: u64,
    rejected: Option<TradeReject>,
    unnamed: Option<SourceError>,
    rejected_counts: [u64; TradeReject::ALL.len()],
    stop: Stop,
    clock: Arc<dyn Clock>,
}

/// What a symbol stands for.
struct Named {
    instrument: InstrumentId,
    heard: Arc<CachePadded<Heard>>,
}

impl Named {
    /// The instrument, of which a message was heard.
    #[inline]
    fn heard(&self, at: Option<UnixNanos>) -> InstrumentId {
        self.heard.note(at);
        self.instrument
    }
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
                symbol_scope: table::venue(&parts.venue).map_or(SymbolScope::Venue, |venue| venue.symbol_scope),
                name: String::new(),
                connection_bytes: 0,
                venue: parts.venue,
                instruments: parts.instruments,
                ids: FxHashMap::default(),
                counters: outlet.counters().clone(),
                validator: Validator::new(parts.validation),
                check: parts.check.map(Checker::new),
                burst: Burst::with_capacity(BURST_EVENTS),
                recv_ts: None,
                clock_flags: Flags::NONE,
                decoded: 0,
                duplicates: 0,
                rejected: None,
                unnamed: None,
                rejected_counts: [0; TradeReject::ALL.len()],
                stop: outlet.stop().clone(),
                clock: outlet.clock().clone(),
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
        self.frame_outcome(conn, frame, recv_ts, counters).map(drop)
    }

    /// The same, and says what became of the frame.
    ///
    /// # Errors
    /// As [`Intake::frame`].
    pub fn frame_outcome<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        recv_ts: Option<UnixNanos>,
        counters: &SourceCounters,
    ) -> Result<Outcome<'f>, SourceError> {
        counters.frames.add(1);
        counters.bytes.add(frame.len() as u64);
        if frame.len() > self.frame_bytes_max {
            let reject = Reject::new(RejectReason::TooLarge, "frame");
            self.reject(reject, "", frame.as_bytes(), recv_ts, counters);
            return Ok(Outcome::Rejected(reject));
        }
        self.collector.recv_ts = recv_ts;
        self.collector.connection(conn);
        if let Some(check) = &mut self.collector.check {
            check.begin_frame(conn);
        }
        let outcome = self.decoder.decode(conn, frame, &mut self.collector);
        self.collector.end_frame(self.decoder.connection_sequence(), counters);
        match outcome {
            Outcome::Messages(_) => self.settle(frame, counters)?,
            Outcome::Control { .. } => counters.frames_control.add(1),
            Outcome::Unknown(label) => {
                counters.frames_unknown.add(1);
                if self.keep_unknown {
                    self.keep(UNKNOWN, label.to_string(), frame.as_bytes(), recv_ts, counters);
                }
            }
            Outcome::Rejected(reject) => self.reject(reject, "", frame.as_bytes(), recv_ts, counters),
        }
        Ok(outcome)
    }

    /// Counts and keeps something that never became a frame (a bad line of a recording).
    pub fn bad_input(&mut self, reject: Reject, place: &str, raw: &[u8], counters: &SourceCounters) {
        counters.frames.add(1);
        counters.bytes.add(raw.len() as u64);
        self.reject(reject, place, raw, None, counters);
    }

    /// Earlier starts have stored these trades of a symbol. To be told before its first frame.
    pub fn know(&mut self, symbol: &str, known: KnownTrades) {
        if let Some(check) = &mut self.collector.check {
            check.know(symbol, known);
        }
    }

    /// A connection was opened and subscribed: from here on its trades are new ones.
    pub fn opened(&mut self, conn: &str, at: Option<UnixNanos>, counters: &SourceCounters) {
        self.collector.note(counters, |check, burst| check.opened(conn, at, burst));
    }

    /// A connection ended; `code` is the venue's close code, 0 when there was none.
    pub fn closed(&mut self, conn: &str, code: u16, at: Option<UnixNanos>, counters: &SourceCounters) {
        self.collector.note(counters, |check, burst| check.closed(conn, code, at, burst));
    }

    /// A stream was silent for too long although its connection is open; see [`Checker::silent`].
    pub fn silent(&mut self, symbol: &str, kind: Option<StreamKind>, conn: Option<&str>) {
        if let (Some(check), Some(id)) = (&mut self.collector.check, self.collector.ids.get(symbol)) {
            check.silent(id.instrument, kind, conn);
        }
    }

    /// A symbol is not recorded any more, by order: its last row says so. Of one that was never heard there is nothing to say.
    pub fn left(&mut self, symbol: &str, at: Option<UnixNanos>, counters: &SourceCounters) {
        let Some(Named { instrument, .. }) = self.collector.ids.remove(symbol) else { return };
        if self.collector.check.is_some() {
            self.collector.note(counters, |check, burst| check.left(instrument, at, burst));
        } else {
            let head = EventHead { instrument, venue_ts: None, recv_ts: at, flags: Flags::NONE };
            let body = EventBody::Status(Status { code: StatusCode::Ended, detail: 0 });
            self.collector.burst.push_own(Event::new(head, body));
            counters.events_own.add(1);
        }
        counters.heard.forget(instrument);
    }

    /// The session is over: interruptions that nothing has ended last until now.
    pub fn ended(&mut self, at: Option<UnixNanos>, counters: &SourceCounters) {
        self.collector.note(counters, |check, burst| check.ended(at, burst));
    }

    /// What the venue should be asked for again, since the last call.
    pub fn wants(&mut self) -> impl Iterator<Item = Want> {
        self.collector.check.iter_mut().flat_map(Checker::wants)
    }

    /// The book of a symbol, while it is whole.
    #[must_use]
    pub fn book(&self, symbol: &str) -> Option<&OrderBook> {
        self.collector.check.as_ref()?.book(self.collector.ids.get(symbol)?.instrument)
    }

    /// Receive time of the last depth message of a symbol.
    #[must_use]
    pub fn book_at(&self, symbol: &str) -> Option<UnixNanos> {
        self.collector.check.as_ref()?.book_at(self.collector.ids.get(symbol)?.instrument)
    }

    /// Messages of a symbol that came on connections: trades, quotes, depth messages.
    #[must_use]
    pub fn heard(&self, symbol: &str) -> [u64; 3] {
        let check = self.collector.check.as_ref().zip(self.collector.ids.get(symbol));
        check.map_or([0; 3], |(check, id)| check.heard(id.instrument))
    }

    /// Of these, those that came on one connection since it was opened.
    #[must_use]
    pub fn heard_on(&self, symbol: &str, conn: &str) -> [u64; 3] {
        let check = self.collector.check.as_ref().zip(self.collector.ids.get(symbol));
        check.map_or([0; 3], |(check, id)| check.heard_on(id.instrument, conn))
    }

    /// The first and last trade of a range that are still missing.
    #[must_use]
    pub fn still_missing(&self, symbol: &str, first: u64, last: u64) -> Option<(u64, u64)> {
        self.collector.check.as_ref()?.still_missing(self.collector.ids.get(symbol)?.instrument, first, last)
    }

    /// A recording says that the recorder's clock was set by `step_ns` before the frames that follow (0: it was not): marks
    /// it as [`Intake::received`] did.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end.
    pub fn clock_was_set(&mut self, step_ns: i64, at: Option<UnixNanos>, outlet: &mut Outlet) -> Result<(), Ended> {
        self.collector.clock_flags = if step_ns == 0 { Flags::NONE } else { Flags::DOUBTFUL_CLOCK };
        self.collector.validator.clock_stepped(step_ns);
        if step_ns == 0 {
            return Ok(());
        }
        self.publish(outlet)?;
        let code = if step_ns > 0 { StatusCode::ClockForward } else { StatusCode::ClockBack };
        let (instrument, flags) = (InstrumentId::NONE, Flags::DOUBTFUL_CLOCK);
        let head = EventHead { instrument, venue_ts: None, recv_ts: at, flags };
        let status = Status { code, detail: step_ns.unsigned_abs() };
        outlet.publish_own(Event::new(head, EventBody::Status(status)))
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
        counters.events_duplicate.add(std::mem::take(&mut self.collector.duplicates));
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
        let mut doubts = self.clock_flags;
        if let Some(check) = &mut self.check {
            match check.message(instrument, message, self.recv_ts, &mut self.burst) {
                Judgement::Store(flags) => doubts = doubts.with(flags),
                Judgement::Duplicate => {
                    let events = to_events::count(message);
                    self.decoded += events;
                    self.duplicates += events;
                    return;
                }
            }
        }
        let verdict = match message {
            Message::Trade(t) => {
                self.validator.check(instrument, t.price.value, t.size.value, t.exchange_ts, self.recv_ts)
            }
            _ => Verdict::Accept(Flags::NONE),
        };
        let before = self.burst.events().len();
        match verdict {
            Verdict::Accept(flags) => {
                to_events::append(message, instrument, self.recv_ts, flags.with(doubts), &mut self.burst);
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
    /// What the frame as a whole says.
    #[inline]
    fn end_frame(&mut self, number: Option<VenueSeq>, counters: &SourceCounters) {
        let Some(check) = &mut self.check else { return };
        if let Some(number) = number {
            check.connection_sequence(number, self.recv_ts, &mut self.burst);
        }
        check.end_frame(self.recv_ts, &mut self.burst);
        count_own(check, &self.burst, counters);
    }

    /// Tells the checker something, and counts what it adds to the burst.
    fn note(&mut self, counters: &SourceCounters, tell: impl FnOnce(&mut Checker, &mut Burst)) {
        if let Some(check) = &mut self.check {
            tell(check, &mut self.burst);
            count_own(check, &self.burst, counters);
        }
    }

    /// Notes where the symbols of the next messages come from, when they need it.
    #[inline]
    fn connection(&mut self, conn: &str) {
        if self.symbol_scope == SymbolScope::Connection {
            self.name.clear();
            self.name.push_str(conn);
            self.name.push('/');
            self.connection_bytes = self.name.len();
        }
    }

    #[inline]
    fn instrument(&mut self, symbol: &str) -> Option<InstrumentId> {
        if self.symbol_scope == SymbolScope::Connection {
            return self.instrument_of_connection(symbol);
        }
        match self.ids.get(symbol) {
            Some(named) => Some(named.heard(self.recv_ts)),
            None => self.new_instrument(symbol),
        }
    }

    fn instrument_of_connection(&mut self, symbol: &str) -> Option<InstrumentId> {
        self.name.truncate(self.connection_bytes);
        self.name.push_str(symbol);
        if let Some(named) = self.ids.get(self.name.as_str()) {
            return Some(named.heard(self.recv_ts));
        }
        let name = std::mem::take(&mut self.name);
        let id = self.new_instrument(&name);
        self.name = name;
        id
    }

    /// First sight of a symbol. An id must be durable before it is used, so a dictionary that cannot be written makes
    /// the source wait, as a full ring does, until it can or the run is stopped.
    #[cold]
    fn new_instrument(&mut self, symbol: &str) -> Option<InstrumentId> {
        let mut told = false;
        loop {
            match self.instruments.resolve(&self.venue, symbol) {
                Ok(instrument) => {
                    let named = Named { instrument, heard: self.counters.heard.entry(instrument) };
                    named.heard(self.recv_ts);
                    self.ids.insert(symbol.into(), named);
                    return Some(instrument);
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
                    // A thread that waits for the disk is well.
                    self.counters.beat_at.set(self.clock.mono().0.max(1));
                    std::thread::sleep(DICTIONARY_PAUSE);
                }
            }
        }
    }
}

/// Notes the last holes of a burst for the status.
#[cold]
fn remember(gaps: u64, burst: &Burst, counters: &SourceCounters) {
    let of = |event: &Event| match event.body() {
        EventBody::Gap(gap) => Some((event.instrument(), gap)),
        _ => None,
    };
    let last: Vec<_> = burst.events().iter().rev().filter_map(of).zip(0..gaps).map(|(gap, _)| gap).collect();
    last.into_iter().rev().for_each(|(instrument, gap)| counters.gap_ledger.note(instrument, gap));
}

/// Counts the checker's own events, before they can be published.
#[inline]
fn count_own(check: &mut Checker, burst: &Burst, counters: &SourceCounters) {
    let own = check.take_own();
    if own.events > 0 {
        counters.events_own.add(own.events);
        counters.gaps.add(own.gaps);
        if own.gaps > 0 {
            remember(own.gaps, burst, counters);
        }
        counters.session.resynchronised.add(own.resynchronised);
        counters.session.trades_backfilled.add(own.backfilled);
    }
}
