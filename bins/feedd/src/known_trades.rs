//! Keeps which trades are stored from one start to the next, so that a trade that the venue sends again after a restart is
//! known, and a hole across the restart is found by its ids.
//!
//! A thread of its own follows the journal, as a sink does, and writes what it has seen to `_feedd/known-trades.jsonl` every
//! few seconds: a trade stands in the file only when it is durable, and the recording threads know nothing of all this. What
//! is behind the file is read from the journal by the next start, which therefore keeps it until the file is written. That is
//! no condition for recording: where room is short, the journal goes on, and the next start knows less.

use anyhow::{Context, Result};
use feedd_core::data_dir::{DataDir, STATE_DIR, parent_of, sync_folder, write_whole};
use feedd_core::{Clock, Instruments, error_text};
use feedd_delivery::SinkMark;
use feedd_journal::{Cursor, Item, Journal, JournalError, Recovered, Tail};
use feedd_model::{Epoch, Position, Seq};
use feedd_venues::known_trades::{EarlierTrades, KnownFile, SourceRules};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "known-trades.jsonl";
/// Name of the mark that keeps the journal, for the log.
const NAME: &str = "known trades";
/// How often the file is written at most: what the journal has to keep for it.
const SAVE_NANOS: u64 = 5_000_000_000;
/// And so many bytes a second on average: a thousand instruments with ids that are no numbers make tens of megabytes.
const SAVE_BYTES_PER_SECOND: u64 = 256 << 10;
/// Times the journal is read at the start: what cannot be read then counts as damaged, see [`Cursor::next`].
const READ_ATTEMPTS: u32 = 3;
/// Longest wait for news of the journal.
const WAIT: Duration = Duration::from_secs(1);
/// Pause after news, so that one look serves many commits.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the file stands.
fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(STATE_DIR).join(FILE)
}

/// Follows the journal.
pub(crate) struct Keeper {
    path: PathBuf,
    cursor: Cursor,
    tail: Arc<Tail>,
    mark: Arc<SinkMark>,
    clock: Arc<dyn Clock>,
    /// As far as the journal has been read.
    file: KnownFile,
    /// This start, and its sources.
    epoch: Epoch,
    rules: SourceRules,
    /// The start that the file was written by.
    earlier: (Epoch, SourceRules),
    /// When the file may be written again.
    save_at: u64,
    saved: Option<Position>,
    /// The last attempt to read or to write failed, and the operator knows.
    is_told: bool,
}

/// What a keeper is made of.
pub(crate) struct KeeperParts<'a> {
    pub(crate) data_dir: &'a DataDir,
    pub(crate) journal: &'a Journal,
    pub(crate) found: &'a Recovered,
    /// Of the sources of this start.
    pub(crate) rules: SourceRules,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Keeper {
    /// Reads the file and what the journal holds behind it. Nothing of that is needed to record: what is wrong is told, and
    /// the start knows nothing then.
    pub(crate) fn open(parts: KeeperParts<'_>) -> Self {
        let KeeperParts { data_dir, journal, found, rules, clock } = parts;
        let path = path_in(data_dir.path());
        let (stream, epoch) = (data_dir.stream(), data_dir.epoch());
        let fresh = || KnownFile::new(stream, epoch, rules.clone());
        let file = match load(&path) {
            Ok(None) => fresh(),
            Ok(Some(file)) if file.stream == stream && is_continued(&file, found) => file,
            Ok(Some(_)) => {
                tell_unknown(&path, "the journal does not go on where it ends");
                fresh()
            }
            Err(error) => {
                tell_unknown(&path, &format!("{error:#}"));
                fresh()
            }
        };
        let mark = Arc::new(SinkMark::new(NAME.into(), false));
        mark.raise(file.at);
        let mut keeper = Self {
            path,
            cursor: journal.cursor(),
            tail: journal.tail(),
            mark,
            clock,
            epoch,
            rules,
            earlier: (file.at.epoch, file.rules.clone()),
            file,
            save_at: 0,
            saved: None,
            is_told: false,
        };
        keeper.catch_up();
        keeper
    }

    /// What is known before this start records anything.
    fn catch_up(&mut self) {
        let begin = Position { epoch: self.epoch, seq: Seq(0) };
        let mut read = self.cursor.seek(self.file.at).and_then(|()| self.follow());
        for _ in 1..READ_ATTEMPTS {
            read = read.or_else(|_| self.follow());
        }
        if let Err(error) = read {
            self.forget(&error_text(&error));
            // Opens nothing.
            let _ = self.cursor.seek(begin);
        }
        // From here on it is this start's.
        (self.file.at, self.file.is_ended) = (begin, false);
        self.file.rules.clone_from(&self.rules);
        self.save();
    }

    /// What keeps the journal until the file is written.
    pub(crate) fn mark(&self) -> Arc<SinkMark> {
        self.mark.clone()
    }

    /// Lays what is known ready for the checkers.
    pub(crate) fn hand_over(&self, instruments: &Instruments, to: &EarlierTrades) {
        for (id, known) in &self.file.trades {
            if let Some(instrument) = instruments.get(*id) {
                to.put(&instrument.venue, &instrument.symbol, known.clone());
            }
        }
        if !self.file.trades.is_empty() {
            let count = self.file.trades.len();
            tracing::info!("trades that earlier starts have stored are known of {count} instrument(s)");
        }
    }

    /// The thread's body: until the journal is closed and read to its end.
    pub(crate) fn run(mut self) {
        let mut seen = self.tail.generation();
        loop {
            let is_closed = self.tail.is_closed();
            if let Err(error) = self.follow() {
                self.tell(&error_text(&error));
            }
            let is_due = self.clock.mono().0 >= self.save_at || self.mark.is_asked();
            if is_closed || (is_due && self.saved != Some(self.file.at)) {
                self.save();
            }
            if is_closed {
                return;
            }
            seen = self.tail.wait(seen, WAIT);
            std::thread::sleep(PAUSE);
        }
    }

    /// Notes what is durable by now.
    fn follow(&mut self) -> Result<(), JournalError> {
        while let Some(item) = self.cursor.next()? {
            let file = &mut self.file;
            let doubt = match item {
                Item::Events { epoch, first, source, events, .. } => {
                    file.at = Position { epoch, seq: Seq(first.0 + events.len() as u64 - 1) };
                    let start = [(self.epoch, &self.rules), (self.earlier.0, &self.earlier.1)];
                    let start = start.into_iter().find(|(of, _)| *of == epoch);
                    if let Some(rule) = start.and_then(|(_, rules)| *rules.get(usize::from(source.0))?) {
                        events.iter().for_each(|event| file.note(rule, event));
                    }
                    // One that could not write its file.
                    start.is_none().then_some("a start has not noted its sources")
                }
                Item::Missing { epoch, last, .. } => {
                    file.at = Position { epoch, seq: last };
                    Some("the journal lacks events behind it")
                }
                Item::End { epoch, .. } => {
                    file.is_ended = epoch == self.epoch;
                    None
                }
                Item::Epoch { .. } => None,
            };
            if let Some(doubt) = doubt {
                self.forget(doubt);
            }
        }
        Ok(())
    }

    /// From here on nothing is known: what was stored meanwhile would be taken for missing.
    fn forget(&mut self, reason: &str) {
        if !self.file.trades.is_empty() {
            tell_unknown(&self.path, reason);
            self.file.trades.clear();
        }
    }

    /// Writes the file. The journal is let go in any case: a disk without room must not be kept full by it.
    fn save(&mut self) {
        let text = self.file.to_text();
        let pause = (text.len() as u64).saturating_mul(1_000_000_000) / SAVE_BYTES_PER_SECOND;
        self.save_at = self.clock.mono().0.saturating_add(pause.max(SAVE_NANOS));
        match write_whole(&self.path, text.as_bytes()) {
            Ok(()) => self.is_told = false,
            Err(error) => self.tell(&error_text(&error)),
        }
        self.saved = Some(self.file.at);
        self.mark.raise(self.file.at);
        self.mark.answer();
    }

    fn tell(&mut self, error: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            let path = self.path.display();
            tracing::warn!(
                error,
                "{path}: what is stored cannot be noted for the next start; recording goes on, tried again"
            );
        }
    }
}

fn tell_unknown(path: &Path, reason: &str) {
    let path = path.display();
    tracing::warn!(
        "{path} is not used ({reason}): trades that were stored before and that a venue sends again are stored again"
    );
}

/// Whether the journal, or nothing at all, follows what the file knows.
fn is_continued(file: &KnownFile, found: &Recovered) -> bool {
    let holds = |span: &feedd_journal::EpochSpan| span.epoch == file.at.epoch && span.last >= file.at.seq;
    file.is_ended || found.epochs.iter().any(holds)
}

/// `None` when there is no file.
fn load(path: &Path) -> Result<Option<KnownFile>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(KnownFile::parse(&text)?))
}

/// A start without a journal: nothing says what of it will have been stored, so that nothing is known after it.
///
/// # Errors
/// When the file of an earlier start cannot be removed: a later start would believe it.
pub(crate) fn discard(data_dir: &Path) -> Result<()> {
    let path = path_in(data_dir);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(sync_folder(parent_of(&path))?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::SystemClock;
    use feedd_journal::{JournalConfig, Stamp, Start, Sync};
    use feedd_model::{Decimal, Event, EventBody, EventHead, Flags, InstrumentId, SourceId, Trade, TradeId, UnixNanos};
    use feedd_venues::check::{KnownTrades, TradeIds};
    use tempfile::TempDir;

    /// A data folder, its journal, and the keeper of a start: source 0 is live, source 1 a recording.
    struct Recorder {
        data_dir: DataDir,
        journal: Journal,
        keeper: Keeper,
        next: Seq,
    }

    impl Recorder {
        fn start(folder: &TempDir) -> Self {
            let data_dir = DataDir::open(folder.path()).unwrap();
            let config = JournalConfig {
                dir: folder.path().join("journal"),
                segment_bytes: feedd_journal::SEGMENT_BYTES_MIN,
                bytes_max: 64 << 20,
                sync: Sync::Every(Duration::ZERO),
            };
            let start = Start { stream: data_dir.stream(), epoch: data_dir.epoch(), at: UnixNanos(1) };
            let (journal, found) = Journal::open(config, start, Instruments::in_memory()).unwrap();
            let rules = vec![Some(TradeIds::Dense), None];
            let clock = Arc::new(SystemClock::new());
            let keeper =
                Keeper::open(KeeperParts { data_dir: &data_dir, journal: &journal, found: &found, rules, clock });
            Self { data_dir, journal, keeper, next: Seq(1) }
        }

        /// Stores trades of a source.
        fn store(&mut self, source: u16, ids: std::ops::RangeInclusive<u64>) {
            let events: Vec<Event> = ids.map(trade).collect();
            for events in events.chunks(feedd_journal::FRAME_EVENTS_MAX) {
                let stamp = Stamp { at: UnixNanos(9), complete_until: UnixNanos(9) };
                self.journal.append(self.next, SourceId(source), events, stamp);
                self.next = Seq(self.next.0 + events.len() as u64);
                self.journal.commit().unwrap();
            }
        }

        /// The file is written.
        fn save(&mut self) {
            self.keeper.follow().unwrap();
            self.keeper.save();
        }

        fn known(&self) -> Option<KnownTrades> {
            self.keeper.file.trades.get(&InstrumentId(1)).cloned()
        }
    }

    fn trade(id: u64) -> Event {
        let recv_ts = Some(UnixNanos(i64::try_from(id).unwrap()));
        let head = EventHead { instrument: InstrumentId(1), venue_ts: recv_ts, recv_ts, flags: Flags::NONE };
        let one = Decimal::new(1, 0).unwrap();
        let trade = Trade { price: one, size: one, side: None, id: TradeId::Number(u128::from(id)) };
        Event::new(head, EventBody::Trade(trade))
    }

    /// What is known when these are stored.
    fn of(ids: std::ops::RangeInclusive<u64>) -> Option<KnownTrades> {
        let mut known = KnownTrades::new(TradeIds::Dense);
        for id in ids {
            let at = Some(UnixNanos(i64::try_from(id).unwrap()));
            known.note(TradeId::Number(u128::from(id)), at, at);
        }
        Some(known)
    }

    #[test]
    fn a_start_knows_the_file_and_what_the_journal_holds_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Recorder::start(&folder);
        first.store(0, 10..=200);
        first.save();
        first.store(0, 201..=300);
        // A recording of the same instrument is not what the venue sends.
        first.store(1, 900..=950);
        drop(first);
        let mut second = Recorder::start(&folder);
        assert_eq!(second.known(), of(10..=300), "cut off");
        drop(second);
        second = Recorder::start(&folder);
        assert_eq!(second.known(), of(10..=300), "a start that recorded nothing");
        second.store(0, 301..=310);
        second.journal.close(UnixNanos(9)).unwrap();
        let Recorder { keeper, data_dir, journal, .. } = second;
        keeper.run();
        drop((data_dir, journal));
        // After a clean end the file alone says all.
        std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
        assert_eq!(Recorder::start(&folder).known(), of(10..=310));
    }

    #[test]
    fn what_the_journal_cannot_tell_is_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Recorder::start(&folder);
        first.store(0, 10..=20);
        first.save();
        first.store(0, 21..=30);
        drop(first);
        std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
        assert_eq!(
            Recorder::start(&folder).known(),
            None,
            "21 to 30 are stored somewhere, and would be taken for missing"
        );
    }

    #[test]
    fn events_given_up_before_they_were_read_make_it_begin_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Recorder::start(&folder);
        first.store(0, 10..=20);
        first.save();
        assert_eq!(first.keeper.mark().position().seq, Seq(11), "the journal is kept from here on");
        assert!(!first.keeper.mark().is_required());
        // Several segments.
        first.store(0, 21..=60_000);
        let end = first.journal.oldest_segment_end().unwrap();
        first.journal.trim(end).unwrap();
        first.save();
        let known = first.known().unwrap();
        let first_known = 10 + end.seq.0;
        assert_eq!(Some(known), of(first_known..=60_000));
        drop(first);
        assert_eq!(Recorder::start(&folder).known(), of(first_known..=60_000));
    }

    #[test]
    fn a_file_that_cannot_be_written_holds_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Recorder::start(&folder);
        let tmp = path_in(folder.path()).with_extension("tmp");
        std::fs::create_dir(&tmp).unwrap();
        first.store(0, 10..=20);
        first.save();
        assert_eq!(first.keeper.mark().position().seq, Seq(11));
        drop(first);
        std::fs::remove_dir(&tmp).unwrap();
        assert_eq!(Recorder::start(&folder).known(), of(10..=20), "the journal still had them");
    }

    #[test]
    fn a_start_without_a_journal_leaves_nothing_to_believe() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Recorder::start(&folder);
        first.store(0, 10..=20);
        first.save();
        drop(first);
        discard(folder.path()).unwrap();
        discard(folder.path()).unwrap();
        assert_eq!(Recorder::start(&folder).known(), None);
    }
}
