//! What every file of a recording shares: which rows are wanted, the dictionary, what was counted, what was told.

use feedd_core::counters::{Counter, SourceCounters};
use feedd_core::source::Progress;
use feedd_core::{Instruments, SourceError};
use feedd_model::{InstrumentId, UnixNanos};
use std::path::Path;
use std::sync::Arc;

/// Which part of a recording is delivered. The default is all of it.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// First receive time (the venue's time of events without one).
    pub since: Option<UnixNanos>,
    /// The first time that is not wanted any more.
    pub until: Option<UnixNanos>,
    /// Symbols as their venues write them; none: all. What concerns a whole connection is delivered in any case.
    pub symbols: Vec<String>,
}

impl Selection {
    /// Whether an event of this time is wanted. One without any time is when no range is given.
    #[must_use]
    pub fn has_time(&self, at: Option<UnixNanos>) -> bool {
        match at {
            Some(at) => self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until),
            None => self.since.is_none() && self.until.is_none(),
        }
    }

    /// Whether a symbol is wanted.
    #[must_use]
    pub fn has_symbol(&self, symbol: &str) -> bool {
        self.symbols.is_empty() || self.symbols.iter().any(|wanted| wanted == symbol)
    }
}

/// What was counted while a recording was read. Written by the source's thread.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events handed on.
    pub delivered: Counter,
    /// Rows or lines outside the selection.
    pub left_out: Counter,
    /// Rows that stand in two files, and trades whose id does not rise: delivered once.
    pub repeated: Counter,
    /// Lines that are no trade; each was told, up to a bound.
    pub lines_bad: Counter,
    /// Files that could not be read to their end, or that feedd has not written; each was told.
    pub files_bad: Counter,
    /// Names under which something is missing; told at the end.
    pub symbols_missing: Counter,
}

/// What the files of a recording share.
pub(crate) struct Shared {
    /// The source's name.
    pub(crate) name: String,
    pub(crate) instruments: Instruments,
    pub(crate) selection: Selection,
    pub(crate) tally: Arc<Tally>,
    pub(crate) progress: Arc<Progress>,
    /// By place in the selection's symbols: whether it was found.
    found: Vec<bool>,
    /// What was told first about a file.
    first_bad_file: Option<String>,
}

/// Bad lines of a recording that are told one by one; the others are counted.
const LINES_TOLD_MAX: u64 = 20;
/// Bad files that are told one by one.
const FILES_TOLD_MAX: u64 = 100;

impl Shared {
    pub(crate) fn new(name: String, instruments: Instruments, selection: Selection) -> Self {
        Self {
            found: vec![false; selection.symbols.len()],
            name,
            instruments,
            selection,
            tally: Arc::default(),
            progress: Arc::default(),
            first_bad_file: None,
        }
    }

    /// The id of a symbol in the running dictionary; `None` when it is not wanted.
    ///
    /// # Errors
    /// [`SourceError::Recorder`] when the dictionary cannot be grown.
    pub(crate) fn resolve(&mut self, venue: &str, symbol: &str) -> Result<Option<InstrumentId>, SourceError> {
        if !self.wants(symbol) {
            return Ok(None);
        }
        let id = self.instruments.resolve(venue, symbol);
        id.map(Some).map_err(|error| SourceError::Recorder {
            what: format!("no instrument id for {symbol} of {venue}"),
            source: Some(error.into()),
        })
    }

    /// Whether a symbol is wanted; it is remembered as found.
    pub(crate) fn wants(&mut self, symbol: &str) -> bool {
        let mut wanted = self.selection.symbols.is_empty();
        for (found, _) in self.found.iter_mut().zip(&self.selection.symbols).filter(|(_, name)| *name == symbol) {
            *found = true;
            wanted = true;
        }
        wanted
    }

    /// Tells of a file that is not read, or not any further; `what` names it and the remedy.
    pub(crate) fn bad_file(&mut self, what: String) {
        self.tally.files_bad.add(1);
        if self.tally.files_bad.get() <= FILES_TOLD_MAX {
            tracing::error!(source = self.name, "{what}; going on with the others");
        }
        self.first_bad_file.get_or_insert(what);
    }

    /// Tells of a line that is not taken.
    pub(crate) fn bad_line(&mut self, path: &Path, line: u64, what: &str) {
        self.tally.lines_bad.add(1);
        if self.tally.lines_bad.get() <= LINES_TOLD_MAX {
            tracing::warn!(source = self.name, "{}:{line}: {what}", path.display());
        }
        if self.tally.lines_bad.get() == LINES_TOLD_MAX {
            tracing::warn!(source = self.name, "further bad lines are counted, not told");
        }
    }

    /// The end of the recording: symbols that were not found, and whether files were.
    ///
    /// # Errors
    /// [`SourceError::Input`] when a file could not be read to its end.
    pub(crate) fn end(&mut self) -> Result<(), SourceError> {
        for (_, symbol) in self.found.iter().zip(&self.selection.symbols).filter(|(found, _)| !**found) {
            self.tally.symbols_missing.add(1);
            tracing::warn!(
                source = self.name,
                "nothing of {symbol} was found; symbols are written as their venue does, such as BTCUSDT or BTC-USD"
            );
        }
        let Some(first) = self.first_bad_file.take() else { return Ok(()) };
        let more = self.tally.files_bad.get() - 1;
        let what = if more == 0 { first } else { format!("{first}; {more} further files were not read either") };
        Err(SourceError::Input { what, source: None })
    }
}

/// What a file has at hand while it is read.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a mut Shared,
    /// Of the source.
    pub(crate) counters: &'a SourceCounters,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A context of which nothing is wanted.
    pub(crate) fn with_context<R>(run: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let mut shared = Shared::new("test".to_owned(), Instruments::in_memory(), Selection::default());
        let counters = SourceCounters::new(&["x"], &["y"]);
        run(&mut Context { shared: &mut shared, counters: &counters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_half_open_and_leaves_out_what_has_no_time() {
        let at = |ns| Some(UnixNanos(ns));
        let range = |since, until| Selection { since, until, symbols: Vec::new() };
        let cases = [
            ("all", range(None, None), [true, true, true, true]),
            ("from 5", range(at(5), None), [false, true, true, false]),
            ("up to 6", range(None, at(6)), [true, true, false, false]),
            ("5 alone", range(at(5), at(6)), [false, true, false, false]),
            ("none", range(at(6), at(6)), [false; 4]),
        ];
        for (name, selection, expected) in cases {
            assert_eq!([at(4), at(5), at(6), None].map(|at| selection.has_time(at)), expected, "{name}");
        }
    }

    #[test]
    fn symbols_that_were_not_found_are_counted() {
        let selection = Selection { symbols: vec!["A".to_owned(), "B".to_owned()], ..Selection::default() };
        let mut shared = Shared::new("test".to_owned(), Instruments::in_memory(), selection);
        assert!(shared.wants("A") && !shared.wants("C"));
        assert_eq!(shared.resolve("v", "C").unwrap(), None);
        shared.end().unwrap();
        assert_eq!(shared.tally.symbols_missing.get(), 1);
        assert!(shared.instruments.is_empty(), "what is not wanted gets no id");
    }
}
