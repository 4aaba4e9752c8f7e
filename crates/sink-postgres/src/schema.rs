//! The tables of events and of derived records in both layouts: names, and the columns in the order in which rows are encoded.

use crate::config::Layout;
use feedd_model::EventKind;

/// Tables, one a kind; the later slots of a derived record are in the row of its first.
const TABLES: usize = EventKind::ALL.len() - 1;

/// One table; the index follows [`EventKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Table(u8);

struct Names {
    compact: &'static str,
    readable: &'static str,
    compact_columns: &'static str,
    readable_columns: &'static str,
}

const NAMES: [Names; TABLES] = [
    Names {
        compact: "trade",
        readable: "trades",
        compact_columns: "price, size, side, trade_id, trade_id_text",
        readable_columns: "price, size, side, trade_id",
    },
    Names {
        compact: "quote",
        readable: "quotes",
        compact_columns: "bid, bid_size, ask, ask_size, venue_seq",
        readable_columns: "bid, bid_size, ask, ask_size, venue_seq",
    },
    Names {
        compact: "book",
        readable: "books",
        compact_columns: "action, seq_first, seq_last, seq_prev, checksum, bids, asks",
        readable_columns: "action, seq_first, seq_last, seq_prev, checksum, bids, asks",
    },
    Names {
        compact: "level",
        readable: "levels",
        compact_columns: "action, side, price, size, venue_seq, level",
        readable_columns: "action, side, price, size, venue_seq, level",
    },
    Names {
        compact: "gap",
        readable: "gaps",
        compact_columns: "reason, first_missing, last_missing, from_ts, to_ts, events",
        readable_columns: "reason, first_missing, last_missing, from_ts, to_ts, events",
    },
    Names { compact: "state", readable: "status", compact_columns: "code, detail", readable_columns: "code, detail" },
    Names {
        compact: "bar",
        readable: "bars",
        compact_columns: "interval, start_ts, end_ts, closed_ts, open, high, low, close, volume, buy_volume, notional, \
                          vwap, trades, flags, state, revision, quality_bp, number",
        readable_columns: "interval, start_time, start_ts, end_time, end_ts, closed_time, closed_ts, open, high, low, \
                           close, volume, buy_volume, notional, vwap, trades, flags, state, revision, quality_bp, number",
    },
    Names {
        compact: "signal",
        readable: "signals",
        compact_columns: "strategy, at_ts, action, size, price, value, number",
        readable_columns: "strategy, at_time, at_ts, action, size, price, value, number",
    },
    Names {
        compact: "fill",
        readable: "fills",
        compact_columns: "strategy, signal, at_ts, ordered_ts, side, outcome, price, size, position, fee, realised, cash, \
                          cost, average_cost, number",
        readable_columns: "strategy, signal, at_time, at_ts, ordered_time, ordered_ts, side, outcome, price, size, \
                           position, fee, realised, cash, cost, average_cost, number",
    },
    Names {
        compact: "valuation",
        readable: "equity",
        compact_columns: "strategy, at_ts, price, position, cash, equity, realised, unrealised, number",
        readable_columns: "strategy, at_time, at_ts, price, position, cash, equity, realised, unrealised, number",
    },
];

impl Table {
    /// Where rows that begin with an event of this kind are stored. [`EventKind::More`] is in none: it gives no table of
    /// [`Table::all`].
    pub(crate) const fn of(kind: EventKind) -> Self {
        Self(kind as u8 - 1)
    }

    /// Every table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        EventKind::ALL.into_iter().take(TABLES).map(Self::of)
    }

    /// Whether its rows are derived records.
    pub(crate) fn is_derived(self) -> bool {
        self.kind().is_slot()
    }

    /// Events that each of its rows stands for: `seq` and those right behind it.
    pub(crate) fn slots(self) -> usize {
        self.kind().slots()
    }

    fn kind(self) -> EventKind {
        EventKind::ALL[usize::from(self.0)]
    }

    /// The table's name.
    pub(crate) fn name(self, layout: Layout) -> &'static str {
        let names = &NAMES[usize::from(self.0)];
        match layout {
            Layout::Compact => names.compact,
            Layout::Readable => names.readable,
        }
    }

    /// The columns of a COPY, in the order of [`crate::encode`].
    pub(crate) fn columns(self, layout: Layout) -> String {
        let names = &NAMES[usize::from(self.0)];
        match layout {
            Layout::Compact if self.is_derived() => format!("seq, run, instrument, {}", names.compact_columns),
            Layout::Readable if self.is_derived() => {
                format!("stream, epoch, seq, venue, symbol, {}", names.readable_columns)
            }
            Layout::Compact => format!("recv_ts, venue_ts, seq, run, instrument, flags, {}", names.compact_columns),
            Layout::Readable => format!(
                "stream, epoch, seq, venue_time, venue_ts, recv_time, recv_ts, venue, symbol, flags, {}",
                names.readable_columns
            ),
        }
    }

    /// How many columns that are.
    pub(crate) fn columns_count(self, layout: Layout) -> u16 {
        u16::try_from(self.columns(layout).split(',').count()).unwrap_or(u16::MAX)
    }

    /// The columns of a finished day's index.
    pub(crate) fn index_columns(self, layout: Layout) -> String {
        let whose = match layout {
            Layout::Compact => "instrument",
            Layout::Readable => "symbol",
        };
        // What the table is partitioned by.
        let time = match self.kind() {
            EventKind::Bar => "closed_ts",
            EventKind::Signal | EventKind::Fill | EventKind::Equity => "at_ts",
            _ => "recv_ts",
        };
        format!("{whose}, {time}")
    }
}
