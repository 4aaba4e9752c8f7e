//! Tables that are sorted and filtered.

use super::state::{Sort, Sorted, Top};
use super::theme::Theme;
use feedd_telemetry::status::{SourceStatus, Status, SymbolStatus};
use feedd_telemetry::{duration, grouped, percent};
use ratatui::style::Style;
use ratatui::text::Line;
use std::cmp::Ordering;

/// A cell, and what it is sorted by.
struct Cell {
    text: String,
    /// Of numbers.
    number: u64,
}

/// A row, and whether it needs a look.
struct Row {
    cells: Vec<Cell>,
    is_wrong: bool,
}

fn text(text: &str) -> Cell {
    Cell { text: text.to_owned(), number: 0 }
}

fn count(number: u64) -> Cell {
    Cell { text: grouped(number), number }
}

fn time(nanos: u64) -> Cell {
    Cell { text: duration(nanos), number: nanos }
}

fn share(part: u64, whole: u64) -> Cell {
    let number = percent(part, whole);
    Cell { text: format!("{number}%"), number }
}

/// What is not known sorts behind what is.
fn unknown() -> Cell {
    Cell { text: "-".to_owned(), number: 0 }
}

/// Head and rows of a table.
pub(super) fn table(top: &Top, status: &Status, table: Sorted, theme: Theme) -> (Line<'static>, Vec<Line<'static>>) {
    let mut rows: Vec<Row> = match table {
        Sorted::Sources => status.sources.iter().map(source).collect(),
        Sorted::Symbols => status.symbols.iter().map(|of| symbol(top, of)).collect(),
    };
    rows.retain(|row| row.cells.iter().any(|cell| top.is_shown(&cell.text)));
    let sort = top.sort(table);
    rows.sort_by(|one, other| order(one, other, sort, table));
    let heads: Vec<String> = table.heads().iter().enumerate().map(|(at, head)| marked(head, at, sort)).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            rows.iter().map(|row| row.cells[at].text.chars().count()).chain([head.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>, style: Style| {
        let mut out = String::new();
        for (at, (cell, width)) in cells.zip(&widths).enumerate() {
            out.push_str(if at == 0 { "" } else { "  " });
            // Texts begin at the left, numbers end at the right.
            out.push_str(&if at < table.text_columns() {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            });
        }
        Line::styled(out, style)
    };
    let head = line(&mut heads.iter().map(String::as_str), theme.head());
    let rows = rows.iter().map(|row| {
        let style = if row.is_wrong { theme.wrong() } else { Style::new() };
        line(&mut row.cells.iter().map(|cell| cell.text.as_str()), style)
    });
    (head, rows.collect())
}

/// With an arrow when rows are sorted by it.
fn marked(head: &str, at: usize, sort: Sort) -> String {
    match (at == sort.column, sort.is_descending) {
        (true, true) => format!("{head}▼"),
        (true, false) => format!("{head}▲"),
        (false, _) => head.to_owned(),
    }
}

fn order(one: &Row, other: &Row, sort: Sort, table: Sorted) -> Ordering {
    let by = |row: &Row| (row.cells[sort.column].number, row.cells[sort.column].text.clone());
    let (one_by, other_by) = (by(one), by(other));
    let ordering = match sort.column < table.text_columns() {
        true => one_by.1.cmp(&other_by.1),
        false => one_by.0.cmp(&other_by.0),
    };
    let ordering = if sort.is_descending { ordering.reverse() } else { ordering };
    // Rows that are equal keep one order from frame to frame.
    let name =
        |row: &Row| row.cells.iter().take(table.text_columns()).map(|cell| cell.text.clone()).collect::<Vec<_>>();
    ordering.then_with(|| name(one).cmp(&name(other)))
}

fn source(of: &SourceStatus) -> Row {
    let connections = match (of.ended, of.streams) {
        (true, _) => text("ended"),
        (false, 0) => unknown(),
        (false, _) => {
            let mute = if of.streams_mute > 0 { format!(", {} mute", of.streams_mute) } else { String::new() };
            Cell { text: format!("{}{mute}", of.connections), number: of.connections }
        }
    };
    let is_away = !of.ended && of.streams > 0 && of.connections == 0;
    Row {
        is_wrong: is_away || of.streams_mute > 0 || of.dropped > 0,
        cells: vec![
            text(&of.name),
            count(of.accepted),
            count(of.accepted_per_s),
            share(of.ring_depth, of.ring_capacity),
            share(of.ring_peak, of.ring_capacity),
            time(of.blocked_ns),
            count(of.gaps),
            count(of.dropped),
            connections,
        ],
    }
}

fn symbol(top: &Top, of: &SymbolStatus) -> Row {
    Row {
        is_wrong: of.silent,
        cells: vec![
            text(&of.symbol),
            text(&of.venue),
            text(&of.source),
            top.history.rate(&of.source, &of.venue, &of.symbol).map_or_else(unknown, count),
            count(of.messages),
            time(of.quiet_ns),
            if of.usual_ns == 0 { unknown() } else { time(of.usual_ns) },
        ],
    }
}
