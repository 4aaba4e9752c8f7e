//! What is shown, and how keys change it. Needs no terminal.

use super::asking::Heard;
use super::history::History;
use super::pages;
use feedd_telemetry::status::Status;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Rows that a page key moves by.
const PAGE_ROWS: usize = 10;

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Overview,
    Sources,
    Symbols,
    Sinks,
    Gaps,
    Findings,
    Log,
    Latency,
}

impl Tab {
    pub(super) const ALL: [Self; 8] = [
        Self::Overview,
        Self::Sources,
        Self::Symbols,
        Self::Sinks,
        Self::Gaps,
        Self::Findings,
        Self::Log,
        Self::Latency,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Sources => "sources",
            Self::Symbols => "symbols",
            Self::Sinks => "sinks",
            Self::Gaps => "gaps",
            Self::Findings => "findings",
            Self::Log => "log",
            Self::Latency => "latency",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0)
    }

    /// The table that keys sort: the overview shows the symbols.
    const fn sorted(self) -> Option<Sorted> {
        match self {
            Self::Sources => Some(Sorted::Sources),
            Self::Overview | Self::Symbols => Some(Sorted::Symbols),
            _ => None,
        }
    }
}

/// A table that is sorted by a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sorted {
    Sources,
    Symbols,
}

impl Sorted {
    /// Heads of its columns.
    pub(super) const fn heads(self) -> &'static [&'static str] {
        match self {
            Self::Sources => &["source", "events", "rate/s", "ring", "max", "waited", "gaps", "dropped", "connections"],
            Self::Symbols => &["symbol", "venue", "source", "rate/s", "messages", "last heard", "usually every"],
        }
    }

    /// How many of them, at the left, are texts.
    pub(super) const fn text_columns(self) -> usize {
        match self {
            Self::Sources => 1,
            Self::Symbols => 3,
        }
    }
}

/// By which column, and which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) is_descending: bool,
}

/// Everything that decides what is drawn.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// The newest document that is shown.
    pub(super) status: Option<Status>,
    pub(super) history: History,
    /// Why there is no newer one.
    pub(super) trouble: Option<String>,
    pub(super) tab: Tab,
    sources: Sort,
    symbols: Sort,
    /// What a row must contain, without regard to case.
    pub(super) filter: String,
    /// Keys go into the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
    /// Rows that have been scrolled away.
    pub(super) scrolled: usize,
    pub(super) is_over: bool,
}

impl Top {
    /// The recorder answered, or did not. While paused, what is shown stays; whether one answers is told all the same.
    pub(super) fn heard(&mut self, heard: Heard) {
        match heard {
            Ok(status) => {
                self.trouble = None;
                if !self.is_paused {
                    self.history.take(&status);
                    self.status = Some(status);
                }
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    /// How a table is sorted.
    pub(super) const fn sort(&self, table: Sorted) -> Sort {
        match table {
            Sorted::Sources => self.sources,
            Sorted::Symbols => self.symbols,
        }
    }

    /// Whether what reads so is shown.
    pub(super) fn is_shown(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    pub(super) fn key(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => self.is_over = true,
            _ if is_control => {}
            code if self.is_typing => self.type_filter(code),
            // Any key closes the help.
            code if self.is_helping => {
                self.is_helping = false;
                self.is_over = code == KeyCode::Char('q');
            }
            code => self.command(code),
        }
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.scrolled = 0;
    }

    fn command(&mut self, code: KeyCode) {
        let (place, count) = (self.tab.place(), Tab::ALL.len());
        match code {
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char('?' | 'h') => self.is_helping = true,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort_next(1),
            KeyCode::Char('S') => self.sort_next(-1),
            KeyCode::Char('r') => self.change_sort(|sort, _| sort.is_descending = !sort.is_descending),
            KeyCode::Tab | KeyCode::Right => self.show((place + 1) % count),
            KeyCode::BackTab | KeyCode::Left => self.show((place + count - 1) % count),
            KeyCode::Char(digit @ '1'..='8') => self.show(digit as usize - '1' as usize),
            KeyCode::Down | KeyCode::Char('j') => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_add(PAGE_ROWS),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(PAGE_ROWS),
            KeyCode::Home => self.scrolled = 0,
            _ => {}
        }
        self.scrolled = self.scrolled.min(pages::rows(self).saturating_sub(1));
    }

    fn show(&mut self, place: usize) {
        self.tab = Tab::ALL.get(place).copied().unwrap_or_default();
        self.scrolled = 0;
    }

    fn sort_next(&mut self, step: isize) {
        self.change_sort(|sort, table| {
            let columns = table.heads().len();
            sort.column = (sort.column + columns).saturating_add_signed(step) % columns;
            // Of numbers the largest are looked for.
            sort.is_descending = sort.column >= table.text_columns();
        });
    }

    fn change_sort(&mut self, change: impl FnOnce(&mut Sort, Sorted)) {
        let Some(table) = self.tab.sorted() else { return };
        let sort = match table {
            Sorted::Sources => &mut self.sources,
            Sorted::Symbols => &mut self.symbols,
        };
        change(sort, table);
        self.scrolled = 0;
    }
}
