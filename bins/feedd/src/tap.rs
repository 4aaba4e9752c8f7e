//! `/tap`: samples of what the running recorder records, read from the journal's durable end.
//!
//! Each tap has a reader and a thread of its own. It holds nothing back, works at most a tenth of the time, and where that does
//! not suffice it leaves events unread and says how many. The recording threads know nothing of it.

use crate::admin::{Ask, Page};
use crate::book_page::{heard, unheard};
use crate::commands::first_record;
use crate::observer::Observer;
use crate::query::Query;
use crate::tap_kinds::Kinds;
use anyhow::{Context, Result};
use feedd_core::{Instrument, Instruments, error_text};
use feedd_delivery::event_fields;
use feedd_journal::{Cursor, Item, JournalError, Readers, Tail};
use feedd_live::ask_book::is_of;
use feedd_model::{Event, InstrumentId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Version of the document.
const VERSION: u32 = 1;
/// Taps that may be open at once.
const TAPS_MAX: usize = 4;
/// Events a second, when nobody says how many.
const RATE_USUAL: u32 = 10;
/// Most events a second.
const RATE_MAX: u32 = 1_000;
/// Milliseconds between two documents.
const EVERY_MS: u64 = 250;
/// Longest work, and the shortest pause behind it: a tenth of a core at most.
const WORK: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(90);
/// Longest wait for news of the journal; whoever has gone is noticed within it.
const WAIT: Duration = Duration::from_millis(500);
/// What is read behind the durable end at once is passed over when it is more than so many events.
const BEHIND_EVENTS_MAX: u64 = 1 << 17;
/// And reading goes on so many bytes before the end.
const NEAR_BYTES: u64 = 256 << 10;
/// Events that wait for a client; further ones are passed over.
const WAITING_MAX: usize = 2 * RATE_MAX as usize;

/// Opens taps.
pub(crate) struct Taps {
    readers: Option<Readers>,
    instruments: Instruments,
    /// Names by source id.
    sources: Vec<String>,
    places: Arc<Semaphore>,
}

/// What a tap shows.
struct Wanted {
    symbol: String,
    source: Option<String>,
    kinds: Kinds,
    rate: u32,
}

/// What waits for the client.
#[derive(Default)]
struct Sheet {
    events: Vec<Value>,
    /// Matching events since the last one shown.
    passed: u64,
    /// Events of any kind since then that were not read.
    unread: u64,
    /// Why nothing can be read at the moment.
    error: Option<String>,
}

impl Taps {
    pub(crate) fn new(readers: Option<&Readers>, instruments: Instruments, sources: Vec<String>) -> Self {
        Self { readers: readers.cloned(), instruments, sources, places: Arc::new(Semaphore::new(TAPS_MAX)) }
    }

    /// Answers `?symbol=S&source=S&kind=trades,quotes&rate=N`.
    pub(crate) fn page(&self, ask: &Ask, observer: &Observer) -> Page {
        self.open(ask, observer).unwrap_or_else(|(status, text)| Page::text(status, text))
    }

    fn open(&self, ask: &Ask, observer: &Observer) -> Result<Page, (u16, String)> {
        let bad = |text| (400, text);
        let query = Query::parse(&ask.query, &["symbol", "source", "kind", "rate"]).map_err(bad)?;
        let symbol = query.text("symbol").ok_or_else(|| bad("say which: /tap?symbol=SYMBOL\n".to_owned()))?.to_owned();
        let kinds = Kinds::parse(query.text("kind").unwrap_or_default()).map_err(bad)?;
        let rate = query.number("rate", RATE_USUAL, 1..=RATE_MAX).map_err(bad)?;
        let source = query.text("source").map(str::to_owned);
        let Some(readers) = &self.readers else {
            let text = "this recorder has no journal, which is what a tap reads; set journal.mode = \"on\" and start it \
                        again, or look at what the sinks have stored\n";
            return Err((409, text.to_owned()));
        };
        if let Some(source) = source.as_deref()
            && !self.sources.iter().any(|name| is_of(name, source))
        {
            return Err((404, format!("no source is called {source}; there are {}\n", self.sources.join(", "))));
        }
        let heard = heard(observer);
        if !heard.contains(&symbol) {
            return Err((404, unheard(&symbol, &heard)));
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err((503, format!("{TAPS_MAX} taps are open already; end one of them\n")));
        };
        let sheet = Arc::new(Mutex::new(Sheet::default()));
        let reader = Reader {
            cursor: readers.cursor(),
            tail: readers.tail(),
            wanted: Wanted { symbol, source, kinds, rate },
            names: HashMap::new(),
            instruments: self.instruments.clone(),
            sources: self.sources.clone(),
            sheet: Arc::downgrade(&sheet),
            last: None,
            next_at: Instant::now(),
            _place: place,
        };
        reader.start().map_err(|error| (500, format!("{error:#}\n")))?;
        Ok(Page::Events { every_ms: EVERY_MS, next: Box::new(move || document(&sheet)) })
    }
}

/// What came since the last document.
fn document(sheet: &Mutex<Sheet>) -> String {
    let mut sheet = sheet.lock().unwrap_or_else(PoisonError::into_inner);
    let events = std::mem::take(&mut sheet.events);
    json!({
        "version": VERSION, "events": events, "passed": sheet.passed, "unread": sheet.unread, "error": sheet.error.take(),
    })
    .to_string()
}

/// A tap's thread.
struct Reader {
    cursor: Cursor,
    tail: Arc<Tail>,
    wanted: Wanted,
    /// Instruments met, and which of them are wanted.
    names: HashMap<InstrumentId, Option<Instrument>>,
    instruments: Instruments,
    sources: Vec<String>,
    /// Gone when the client has.
    sheet: Weak<Mutex<Sheet>>,
    /// Last sequence that was read.
    last: Option<u64>,
    /// When the next event may be shown.
    next_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn start(mut self) -> Result<()> {
        // From now on.
        self.cursor.seek_near_end(0)?;
        self.last = Some(self.tail.durable().seq.0);
        std::thread::Builder::new().name("tap".into()).spawn(move || self.run()).context("starting a thread")?;
        Ok(())
    }

    fn run(mut self) {
        let mut seen = self.tail.generation();
        while let Some(sheet) = self.sheet.upgrade() {
            if let Err(error) = self.work(&sheet) {
                sheet.lock().unwrap_or_else(PoisonError::into_inner).error = Some(error_text(&error));
            }
            drop(sheet);
            if self.tail.is_closed() {
                // The last document is taken before the server ends; nothing more will come.
                return;
            }
            seen = self.tail.wait(seen, WAIT);
            std::thread::sleep(PAUSE);
        }
    }

    /// Reads for a moment; what is too much for it is passed over.
    fn work(&mut self, sheet: &Mutex<Sheet>) -> Result<(), JournalError> {
        let until = Instant::now() + WORK;
        loop {
            let Some(item) = self.cursor.next()? else { return Ok(()) };
            // Let go between two frames: a document is never waited for long.
            let mut sheet = sheet.lock().unwrap_or_else(PoisonError::into_inner);
            match item {
                Item::Events { epoch, first, source, at, events, .. } => {
                    let skipped = self.last.map_or(0, |last| first.0.saturating_sub(last + 1));
                    sheet.unread += skipped;
                    self.last = Some(first.0 + events.len() as u64 - 1);
                    let name = self.sources.get(usize::from(source.0)).map_or("-", String::as_str);
                    if self.wanted.source.as_deref().is_none_or(|source| is_of(name, source)) {
                        let place = json!({ "epoch": epoch.0, "source": name, "at": at.0 });
                        let look = Look {
                            wanted: &self.wanted,
                            names: &mut self.names,
                            instruments: &self.instruments,
                            next_at: &mut self.next_at,
                        };
                        look.take(events, first.0, &place, &mut sheet);
                    }
                }
                // They were given back or are damaged; what follows says by its numbers how many.
                Item::Missing { .. } | Item::Epoch { .. } | Item::End { .. } => {}
            }
            drop(sheet);
            if Instant::now() >= until {
                break;
            }
        }
        let behind = self.last.map_or(0, |last| self.tail.durable().seq.0.saturating_sub(last));
        if behind > BEHIND_EVENTS_MAX {
            self.cursor.seek_near_end(NEAR_BYTES)?;
        }
        Ok(())
    }
}

/// What looks at the events of one frame, while the frame is borrowed.
struct Look<'a> {
    wanted: &'a Wanted,
    names: &'a mut HashMap<InstrumentId, Option<Instrument>>,
    instruments: &'a Instruments,
    next_at: &'a mut Instant,
}

impl Look<'_> {
    fn take(self, events: &[Event], first: u64, place: &Value, sheet: &mut Sheet) {
        let Self { wanted, names, instruments, next_at } = self;
        let (mut rest, mut seq) = (events, first);
        while !rest.is_empty() {
            let record = first_record(rest);
            let event = &record[0];
            if wanted.kinds.has(event.kind()) {
                let name = names.entry(event.instrument()).or_insert_with(|| {
                    instruments.get(event.instrument()).filter(|instrument| *instrument.symbol == *wanted.symbol)
                });
                if let Some(name) = name {
                    show(name, record, seq, (place, wanted.rate, next_at), sheet);
                }
            }
            (rest, seq) = (&rest[record.len()..], seq + record.len() as u64);
        }
    }
}

/// Lays a matching event ready when it is time for one, and counts it otherwise.
fn show(
    name: &Instrument,
    record: &[Event],
    seq: u64,
    (place, rate, next_at): (&Value, u32, &mut Instant),
    sheet: &mut Sheet,
) {
    let now = Instant::now();
    let fields = if now < *next_at || sheet.events.len() >= WAITING_MAX { None } else { event_fields(record).ok() };
    let Some(fields) = fields else {
        sheet.passed += 1;
        return;
    };
    let mut shown = place.clone();
    shown["version"] = VERSION.into();
    shown["seq"] = seq.into();
    shown["venue"] = (*name.venue).into();
    shown["symbol"] = (*name.symbol).into();
    shown["passed"] = std::mem::take(&mut sheet.passed).into();
    shown["unread"] = std::mem::take(&mut sheet.unread).into();
    shown["event"] = fields;
    sheet.events.push(shown);
    // What was not used while nothing came, or while this thread paused, may be made up for.
    let saved = now.checked_sub(PAUSE + WORK).unwrap_or(now);
    *next_at = (*next_at).max(saved) + Duration::from_secs(1) / rate;
}
