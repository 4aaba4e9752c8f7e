//! The way of the events as text, from left to right: how full each queue is, and who waits for whom.

use crate::number::{duration, grouped, percent};
use crate::status::{SinkStatus, SourceStatus, Status};

/// Fill of a queue from which whoever is in front of it waits, or will in a moment; percent.
const FULL_PERCENT: u64 = 90;
/// Stages, each a column.
const STAGES: usize = 5;

/// One line for each source or sink, whichever are more, under a head. Between two stages `->`, and `-|` where the left one
/// waits for the right one.
#[must_use]
pub fn flow_lines(status: &Status) -> Vec<String> {
    let count = status.sources.len().max(status.sinks.len()).max(1);
    let rows: Vec<[Cell; STAGES]> = (0..count).map(|at| row(status, at)).collect();
    let heads = ["source", "ring", "batching", "journal", "sink"];
    let widths: [usize; STAGES] = std::array::from_fn(|stage| {
        let cells = rows.iter().map(|row| row[stage].text.chars().count());
        cells.chain([heads[stage].len()]).max().unwrap_or(0)
    });
    let line = |cells: [(&str, Arrow); STAGES]| {
        let mut line = String::new();
        for (stage, (text, arrow)) in cells.into_iter().enumerate() {
            let arrow = match arrow {
                _ if stage == 0 => "",
                Arrow::None => "    ",
                Arrow::Flows => " -> ",
                Arrow::Waits => " -| ",
            };
            line.push_str(&format!("{arrow}{text:<width$}", width = widths[stage]));
        }
        line.trim_end().to_owned()
    };
    let head = line(heads.map(|head| (head, Arrow::None)));
    let rows = rows.iter().map(|row| line(row.each_ref().map(|cell| (cell.text.as_str(), cell.arrow))));
    std::iter::once(head).chain(rows).collect()
}

/// What stands before a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrow {
    /// Nothing comes from the left.
    None,
    Flows,
    /// What stands to the left waits for room here.
    Waits,
}

#[derive(Debug)]
struct Cell {
    text: String,
    arrow: Arrow,
}

impl Cell {
    fn none() -> Self {
        Self { text: String::new(), arrow: Arrow::None }
    }

    fn new(text: String, waits: bool) -> Self {
        Self { text, arrow: if waits { Arrow::Waits } else { Arrow::Flows } }
    }
}

fn row(status: &Status, at: usize) -> [Cell; STAGES] {
    let source = status.sources.get(at);
    let [batching, journal] = if at == 0 { shared(status) } else { [Cell::none(), Cell::none()] };
    // The journal waits for what a required sink has not stored.
    let journal_waits = status.journal.as_ref().is_some_and(|journal| journal.waiting_ns > 0);
    let to_sink = |sink: &SinkStatus| Cell::new(flow_sink(sink), journal_waits && sink.required && sink.backlog > 0);
    [
        Cell::new(source.map_or_else(String::new, source_text), false),
        source.map_or_else(Cell::none, ring),
        batching,
        journal,
        status.sinks.get(at).map_or_else(Cell::none, to_sink),
    ]
}

fn source_text(source: &SourceStatus) -> String {
    match source.ended {
        true => format!("{} ended", source.name),
        false => format!("{} {}/s", source.name, grouped(source.accepted_per_s)),
    }
}

fn ring(source: &SourceStatus) -> Cell {
    let fill = percent(source.ring_depth, source.ring_capacity);
    let peak = percent(source.ring_peak, source.ring_capacity);
    Cell::new(format!("{fill}% max {peak}%"), fill >= FULL_PERCENT)
}

/// The stages that all events pass.
fn shared(status: &Status) -> [Cell; 2] {
    let batching = Cell::new(format!("{}/s", grouped(status.totals.accepted_per_s)), false);
    let b = &status.batching;
    let fill = percent(b.link_depth, b.link_capacity);
    let link = format!("{}/{} max {}", b.link_depth, b.link_capacity, b.link_peak);
    let is_full = fill >= FULL_PERCENT;
    let journal = match &status.journal {
        None => Cell::new(format!("off, link {link}"), is_full),
        Some(journal) if journal.waiting_ns > 0 => {
            Cell::new(format!("link {link}, WAITS FOR ROOM {}", duration(journal.waiting_ns)), true)
        }
        Some(journal) => {
            let (used, megabytes) = (percent(journal.bytes, journal.bytes_max), journal.bytes_max / 1_000_000);
            Cell::new(format!("link {link}, {used}% of {} MB", grouped(megabytes)), is_full)
        }
    };
    [batching, journal]
}

/// A sink as the flow shows it.
#[must_use]
pub fn flow_sink(sink: &SinkStatus) -> String {
    let state = match sink.state.as_str() {
        "closed" => "ok".to_owned(),
        state if sink.failing_ns > 0 => format!("{} {}", state.to_uppercase(), duration(sink.failing_ns)),
        state => state.to_uppercase(),
    };
    let mut text = format!("{} {state}", sink.name);
    if sink.buffer_limit > 0 {
        let share = |events: u64| percent(events, sink.buffer_limit);
        text.push_str(&format!(", batch {}% max {}%", share(sink.buffered), share(sink.buffered_peak)));
    }
    text.push_str(&format!(", lag {}", duration(sink.lag_ns)));
    if sink.backlog > 0 {
        text.push_str(&format!(", {} wait", grouped(sink.backlog)));
    }
    text
}
