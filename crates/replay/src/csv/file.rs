//! One file of trades as a stream of events.

use super::line::{CsvTrade, Layout, Line, LineFault, parse};
use super::lines::{Lines, RawLine};
use crate::context::{Context, Shared};
use crate::merge::{Step, Stream, Waiting};
use feedd_core::SourceError;
use feedd_core::counters::SourceCounters;
use feedd_model::{Event, EventBody, EventHead, Flags, InstrumentId, Trade, TradeId, UnixNanos};
use std::io;
use std::path::{Path, PathBuf};

/// A file that is not open.
pub(super) struct CsvFile {
    path: PathBuf,
    instrument: InstrumentId,
    /// Layout and time of the first trade, when there is one.
    first: Option<(Layout, UnixNanos)>,
    bytes: u64,
}

impl CsvFile {
    /// Looks for the first trade. Lines that are none are told later, when the file is read.
    pub(super) fn look(path: &Path, instrument: InstrumentId) -> io::Result<Self> {
        let bytes = std::fs::metadata(path)?.len();
        let mut lines = Lines::open(path)?;
        let mut first = None;
        while let (None, Some(line)) = (first, lines.next()?) {
            if let RawLine::Line(line) = line
                && let Ok(Line::Trade(trade)) = parse(line)
            {
                first = Some((trade.layout, trade.at));
            }
        }
        Ok(Self { path: path.to_owned(), instrument, first, bytes })
    }

    /// The layout of its first trade.
    pub(super) fn layout(&self) -> Option<Layout> {
        self.first.map(|(layout, _)| layout)
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Waiting for CsvFile {
    type Stream = OpenCsv;

    fn first(&self) -> UnixNanos {
        self.first.map_or(UnixNanos(i64::MIN), |(_, at)| at)
    }

    fn open(self, context: &mut Context<'_>) -> Option<OpenCsv> {
        match Lines::open(&self.path) {
            Ok(lines) => Some(OpenCsv { at: self.first(), file: self, lines, bytes_told: 0, event: None }),
            Err(error) => {
                context.shared.bad_file(format!("{} cannot be opened any more ({error})", self.path.display()));
                context.shared.progress.bytes.add(self.bytes);
                None
            }
        }
    }
}

/// A file that is being read.
pub(super) struct OpenCsv {
    file: CsvFile,
    lines: Lines,
    /// The latest time so far: where times go back, the order of the file stays.
    at: UnixNanos,
    bytes_told: u64,
    event: Option<Event>,
}

/// Lines between two looks at how far the file is, and at whether to stop.
const LINES_PER_LOOK: u64 = 4_096;

impl Stream for OpenCsv {
    type Key = UnixNanos;

    fn advance(&mut self, context: &mut Context<'_>) -> Result<Step<UnixNanos>, SourceError> {
        loop {
            if self.lines.number().is_multiple_of(LINES_PER_LOOK) {
                self.tell_progress(context.shared, self.lines.position());
            }
            let line = match self.lines.next() {
                Ok(Some(RawLine::Line(line))) => parse(line),
                Ok(Some(RawLine::TooLong(_))) => Err(LineFault::TooLong),
                Ok(None) => {
                    self.tell_progress(context.shared, self.file.bytes);
                    return Ok(Step::End);
                }
                Err(error) => {
                    self.tell_cut(&error, context.shared);
                    return Ok(Step::End);
                }
            };
            let line = line.and_then(|line| self.of_layout(line));
            count(line, context.counters);
            match line {
                Ok(Line::Trade(trade)) => {
                    if self.take(&trade, context.shared) {
                        return Ok(Step::Event(self.at));
                    }
                }
                Ok(Line::Header | Line::Empty) => {}
                Err(fault) => {
                    context.shared.bad_line(&self.file.path, self.lines.number(), fault.text());
                }
            }
            if self.lines.number().is_multiple_of(LINES_PER_LOOK) {
                return Ok(Step::Passed);
            }
        }
    }

    fn event(&self) -> Event {
        self.event.expect("asked for behind an event")
    }
}

impl OpenCsv {
    fn of_layout(&self, line: Line) -> Result<Line, LineFault> {
        match (line, self.file.layout()) {
            (Line::Trade(trade), Some(layout)) if trade.layout != layout => Err(LineFault::Layout),
            _ => Ok(line),
        }
    }

    /// Makes an event of a trade; false when it is not wanted.
    fn take(&mut self, trade: &CsvTrade, shared: &Shared) -> bool {
        if !shared.selection.has_time(Some(trade.at)) {
            shared.tally.left_out.add(1);
            return false;
        }
        let at = Some(trade.at);
        let instrument = self.file.instrument;
        let head = EventHead { instrument, venue_ts: at, recv_ts: at, flags: Flags::NONE };
        let id = TradeId::Number(trade.id.into());
        let body = Trade { price: trade.price, size: trade.size, side: Some(trade.side), id };
        self.event = Some(Event::new(head, EventBody::Trade(body)));
        self.at = self.at.max(trade.at);
        true
    }

    fn tell_progress(&mut self, shared: &Shared, position: u64) {
        let position = position.min(self.file.bytes);
        shared.progress.bytes.add(position.saturating_sub(self.bytes_told));
        self.bytes_told = self.bytes_told.max(position);
    }

    fn tell_cut(&mut self, error: &io::Error, shared: &mut Shared) {
        self.tell_progress(shared, self.file.bytes);
        let (path, lines) = (self.file.path.display(), self.lines.number());
        shared.bad_file(format!("{path} cannot be read behind line {lines} ({error}); fetch it anew"));
    }
}

fn count(line: Result<Line, LineFault>, counters: &SourceCounters) {
    counters.frames.add(1);
    match line {
        Ok(Line::Trade(_)) => counters.frames_decoded.add(1),
        Ok(Line::Header | Line::Empty) => counters.frames_control.add(1),
        Err(fault) => counters.frames_rejected.add(fault as usize, 1),
    }
}
