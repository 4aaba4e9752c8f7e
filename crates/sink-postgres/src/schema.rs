//! The six tables of events in both layouts: names, and the columns in the order in which rows are encoded.

use crate::config::Layout;
use feedd_model::EventKind;

/// Tables of events, one a kind.
pub(crate) const TABLES: usize = EventKind::ALL.len();

/// One table of events; the index follows [`EventKind::ALL`].
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
];

impl Table {
    /// Where events of a kind are stored.
    pub(crate) const fn of(kind: EventKind) -> Self {
        Self(kind as u8 - 1)
    }

    /// Every table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        EventKind::ALL.into_iter().map(Self::of)
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
            Layout::Compact => format!("recv_ts, venue_ts, seq, run, instrument, flags, {}", names.compact_columns),
            Layout::Readable => format!(
                "stream, epoch, seq, venue_time, venue_ts, recv_time, recv_ts, venue, symbol, flags, {}",
                names.readable_columns
            ),
        }
    }

    /// The columns of a finished day's index.
    pub(crate) const fn index_columns(layout: Layout) -> &'static str {
        match layout {
            Layout::Compact => "instrument, recv_ts",
            Layout::Readable => "symbol, recv_ts",
        }
    }
}
