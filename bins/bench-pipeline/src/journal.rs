//! `sink journal`: group commits against a bare loop of writes and syncs of the same bytes in the same folder.

use crate::Interrupt;
use crate::cli::JournalArgs;
use crate::machine::Machine;
use crate::report::{CaseFigure, Goal, Report, Table};
use crate::rounds::{Case, MB_PER_S, Side};
use crate::spread::{Spread, quantile};
use crate::trades::{EPOCH, STREAM, Trades};
use anyhow::{Context, Result, bail, ensure};
use feedd_core::{Clock, SystemClock};
use feedd_journal::{Cause, Item, Journal, JournalConfig, Start, Sync, inspect};
use feedd_model::{Event, Position, Seq, SourceId};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of events of one commit.
const CHUNKS: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];
/// Bytes of one turn: two commits of the largest size, and many pairs even on a disk of milliseconds.
const TURN_BYTES: usize = 2 << 20;
const PAIRS_MIN: usize = 3;
const EVENT_BYTES: usize = 64;

const G11: Goal = Goal { name: "G11", what: "journal / bare write + fdatasync, 64 KiB", target: 0.95, gate: 0.80 };

/// # Errors
/// When the folder cannot be written to, or what is read back is not what was committed.
pub(crate) fn measure(args: &JournalArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("feedd-bench-").tempdir_in(&place);
    let dir = dir.with_context(|| format!("making a folder in {}", place.display()))?;
    let mut report = Report::new("sink journal", Machine::look(dir.path()));
    let trades = Trades::simulate(CHUNKS[CHUNKS.len() - 1] / EVENT_BYTES)?;
    let mut ours = Ours::open(dir.path(), args.segment_bytes, &trades)?;
    let mut bare = Bare::open(dir.path(), args.segment_bytes, &trades.events)?;
    // Until every segment that is written to is a recycled one.
    while ours.written < 5 * args.segment_bytes {
        interrupt.check()?;
        ours.turn(CHUNKS[2])?;
    }
    let mut sizes = Vec::new();
    for chunk in CHUNKS {
        let mut size = Size { chunk, ours: Vec::new(), bare: Vec::new() };
        let end = Instant::now() + Duration::from_secs_f64(args.seconds / CHUNKS.len() as f64);
        while size.ours.len() < PAIRS_MIN || Instant::now() < end {
            interrupt.check()?;
            size.ours.push(ours.turn(chunk)?);
            size.bare.push(bare.turn(chunk)?);
        }
        sizes.push(size);
    }
    let overhead = ours.bytes_on_disk() as f64 / ours.written as f64;
    let appended = ours.last.0;
    let read_back = ours.check(dir.path())?;
    report.notes = vec![
        format!(
            "turns of {} MiB, one after the other; segments of {} MiB, recycled on both sides; synced at each commit",
            TURN_BYTES >> 20,
            args.segment_bytes >> 20
        ),
        format!("rates count bytes of events; on disk the journal writes {overhead:.3} times as many"),
        format!("{appended} events appended; the newest {read_back} read back, each as it was written"),
    ];
    report.tables = vec![sizes_table(&sizes)];
    report.tables_say_all = true;
    sizes.iter().for_each(|size| size.tell(&mut report));
    report.goals = vec![(G11, sizes[0].ratio().map(|ratio| ratio.median))];
    report.figures.extend([
        ("segment_bytes".to_owned(), json!(args.segment_bytes)),
        ("disk_bytes_per_event_byte".to_owned(), json!(overhead)),
        ("events_appended".to_owned(), json!(appended)),
        ("events_read_back".to_owned(), json!(read_back)),
        ("sizes".to_owned(), sizes.iter().map(Size::json).collect()),
    ]);
    Ok(report)
}

/// [`TURN_BYTES`], written.
struct Turn {
    wall: Duration,
    commits: Vec<Duration>,
}

impl Turn {
    fn mb_per_s(&self) -> f64 {
        TURN_BYTES as f64 / 1e6 / self.wall.as_secs_f64()
    }

    /// Measures the commits of one turn.
    fn of(chunk: usize, mut commit: impl FnMut() -> Result<Duration>) -> Result<Self> {
        let begin = Instant::now();
        let commits = (0..TURN_BYTES / chunk).map(|_| commit()).collect::<Result<Vec<_>>>()?;
        Ok(Self { wall: begin.elapsed(), commits })
    }
}

/// The journal that is measured.
struct Ours<'a> {
    journal: Journal,
    clock: SystemClock,
    events: &'a [Event],
    last: Seq,
    /// Bytes of events.
    written: u64,
    /// Events that stay readable: as if a sink were so far behind.
    kept_events: u64,
}

impl<'a> Ours<'a> {
    fn open(dir: &Path, segment_bytes: u64, trades: &'a Trades) -> Result<Self> {
        let config = JournalConfig {
            dir: dir.join("journal"),
            segment_bytes,
            bytes_max: 8 * segment_bytes.max(TURN_BYTES as u64),
            sync: Sync::Always,
        };
        let clock = SystemClock::new();
        let start = Start { stream: STREAM, epoch: EPOCH, at: clock.wall() };
        let (journal, _) = Journal::open(config, start, trades.instruments.clone())?;
        let kept_events = segment_bytes / EVENT_BYTES as u64;
        Ok(Self { journal, clock, events: &trades.events, last: Seq(0), written: 0, kept_events })
    }

    fn turn(&mut self, chunk: usize) -> Result<Turn> {
        Turn::of(chunk, || self.commit(chunk))
    }

    fn commit(&mut self, chunk: usize) -> Result<Duration> {
        let begin = Instant::now();
        let first = place(self.last.next(), self.events.len())?;
        let events = &self.events[first..first + chunk / EVENT_BYTES];
        self.journal.append(self.last.next(), SourceId(0), events, self.clock.wall());
        self.journal.commit()?;
        let took = begin.elapsed();
        self.last = Seq(self.last.0 + events.len() as u64);
        self.written += chunk as u64;
        // Within the turn: whoever commits gives segments back too.
        self.journal.trim(Position { epoch: EPOCH, seq: Seq(self.last.0.saturating_sub(self.kept_events)) })?;
        Ok(took)
    }

    fn bytes_on_disk(&self) -> u64 {
        self.journal.usage().bytes_written
    }

    /// Closes it and reads what was not given back; how many events those are.
    fn check(mut self, dir: &Path) -> Result<u64> {
        self.journal.close(self.clock.wall())?;
        let mut cursor = self.journal.cursor();
        let (mut read, mut last) = (0, Seq(0));
        while let Some(item) = cursor.next()? {
            match item {
                Item::Events { first, events, .. } => {
                    ensure!(last == Seq(0) || first == last.next(), "{first} was read after {last}");
                    for (at, event) in (first.0..).zip(events) {
                        let expected = &self.events[place(Seq(at), self.events.len())?];
                        ensure!(event == expected, "event {at} was read back as {event:?} instead of {expected:?}");
                    }
                    read += events.len() as u64;
                    last = Seq(first.0 + events.len() as u64 - 1);
                }
                Item::Missing { cause: Cause::Trimmed, .. } | Item::Epoch { .. } | Item::End { .. } => {}
                Item::Missing { first, last, cause, .. } => bail!("events {first} to {last} are missing: {cause:?}"),
            }
        }
        ensure!(last == self.last && read >= self.kept_events.min(last.0), "{read} events up to {last} were read back");
        drop(self.journal);
        let found = inspect(&dir.join("journal"))?;
        ensure!(found.damage.is_empty() && found.clean, "the journal is damaged: {:?}", found.damage);
        Ok(read)
    }
}

/// Which of the events stands at a sequence: they repeat.
fn place(seq: Seq, events: usize) -> Result<usize> {
    Ok(usize::try_from((seq.0 - 1) % events as u64)?)
}

/// What a program without a journal's cares would do: write, sync, over and over in one file that has its blocks.
struct Bare {
    file: File,
    bytes: Vec<u8>,
    file_bytes: u64,
    offset: u64,
}

impl Bare {
    fn open(dir: &Path, segment_bytes: u64, events: &[Event]) -> Result<Self> {
        let bytes: Vec<u8> = events.iter().flat_map(Event::to_bytes).collect();
        let file = File::create_new(dir.join("bare"))?;
        // As much as the journal goes around in.
        let file_bytes = 4 * segment_bytes.next_multiple_of(bytes.len() as u64);
        let mut bare = Self { file, bytes, file_bytes, offset: 0 };
        loop {
            bare.write(bare.bytes.len())?;
            if bare.offset == 0 {
                break;
            }
        }
        bare.file.sync_all()?;
        Ok(bare)
    }

    fn turn(&mut self, chunk: usize) -> Result<Turn> {
        Turn::of(chunk, || {
            let begin = Instant::now();
            self.write(chunk)?;
            self.file.sync_data()?;
            Ok(begin.elapsed())
        })
    }

    fn write(&mut self, chunk: usize) -> Result<()> {
        self.file.write_all_at(&self.bytes[..chunk], self.offset)?;
        self.offset = (self.offset + chunk as u64) % self.file_bytes;
        Ok(())
    }
}

/// The turns of one size of commits.
struct Size {
    chunk: usize,
    ours: Vec<Turn>,
    bare: Vec<Turn>,
}

impl Size {
    fn ratio(&self) -> Option<Spread> {
        let pairs = self.ours.iter().zip(&self.bare);
        Spread::of(pairs.map(|(ours, bare)| ours.mb_per_s() / bare.mb_per_s()))
    }

    fn ways(&self) -> [(&'static str, &[Turn]); 2] {
        [("journal", &self.ours), ("bare", &self.bare)]
    }

    /// Adds both ways and their ratio to a report.
    fn tell(&self, report: &mut Report) {
        let kib = self.chunk >> 10;
        for (name, turns) in self.ways() {
            let side = if name == "journal" { Side::Ours } else { Side::Limit };
            let case = Case { key: format!("{name}_{kib}k"), name: format!("{name}, commits of {kib} KiB"), side };
            let spread = Spread::of(turns.iter().map(Turn::mb_per_s));
            report.cases.push(CaseFigure { case, unit: MB_PER_S, spread });
        }
        report.ratios.push((format!("journal_over_bare_{kib}k"), self.ratio()));
    }

    fn json(&self) -> Value {
        let mut all =
            json!({ "commit_bytes": self.chunk, "pairs": self.ours.len(), "ratio": self.ratio().map(Spread::json) });
        for (name, turns) in self.ways() {
            let rate = Spread::of(turns.iter().map(Turn::mb_per_s));
            let [p50, p99, max] = commit_us(turns);
            all[name] = json!({
                "mb_per_s": rate.map(Spread::json), "events_per_s": rate.map(|rate| events_per_s(rate.median)),
                "commit_us_p50": p50, "commit_us_p99": p99, "commit_us_max": max,
            });
        }
        all
    }
}

fn events_per_s(mb_per_s: f64) -> f64 {
    mb_per_s * 1e6 / EVENT_BYTES as f64
}

/// Median, p99 and longest commit of all turns.
fn commit_us(turns: &[Turn]) -> [Option<f64>; 3] {
    let mut sorted: Vec<f64> =
        turns.iter().flat_map(|turn| &turn.commits).map(|took| took.as_secs_f64() * 1e6).collect();
    sorted.sort_by(f64::total_cmp);
    [500, 990, 1000].map(|permille| quantile(&sorted, permille))
}

fn sizes_table(sizes: &[Size]) -> Table {
    let text = |spread: Option<Spread>, digits: usize| {
        spread.map_or_else(
            || "-".to_owned(),
            |s| format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.p25, s.p75),
        )
    };
    let mut rows = Vec::new();
    for size in sizes {
        for (name, turns) in size.ways() {
            let rate = Spread::of(turns.iter().map(Turn::mb_per_s));
            let commits = commit_us(turns).map(|us| us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}")));
            let is_ours = name == "journal";
            rows.push(vec![
                format!("{} KiB", size.chunk >> 10),
                name.to_owned(),
                text(rate, 0),
                rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.2} M", events_per_s(rate.median) / 1e6)),
                commits.join(" / "),
                if is_ours { text(size.ratio(), 2) } else { String::new() },
                if is_ours { size.ours.len().to_string() } else { String::new() },
            ]);
        }
    }
    let heads = vec![
        "commit",
        "way",
        "MB/s: median (p25 to p75)",
        "events/s",
        "commit us: p50 / p99 / max",
        "journal / bare: median (p25 to p75)",
        "pairs",
    ];
    Table { heads, rows }
}
