//! What each tab says, apart from where it stands.

use super::rows::table;
use super::state::{Sorted, Tab, Top};
use super::theme::Theme;
use crate::commands::time_text;
use feedd_model::UnixNanos;
use feedd_telemetry::alerts::{Alert, State};
use feedd_telemetry::status::{LogLine, Status};
use feedd_telemetry::{Level, PerformanceReport, finding_text, gap_name, gap_text, latency_lines, sink_lines};
use ratatui::style::Style;
use ratatui::text::Line;

/// Rows that a long line may take in a narrow terminal: so far one can scroll.
const ROWS_A_LINE: usize = 4;

/// A page that is longer than the screen, perhaps.
pub(super) struct Page {
    /// Stays where it is.
    pub(super) head: Option<Line<'static>>,
    /// Is scrolled.
    pub(super) lines: Vec<Line<'static>>,
    /// Long lines go on in the next row.
    pub(super) is_wrapped: bool,
}

/// The page of the tab; of the overview the part that is scrolled.
pub(super) fn page(top: &Top, status: &Status, theme: Theme) -> Page {
    let of_table = |sorted| {
        let (head, lines) = table(top, status, sorted, theme);
        Page { head: Some(head), lines, is_wrapped: false }
    };
    match top.tab {
        Tab::Sources => of_table(Sorted::Sources),
        Tab::Overview | Tab::Symbols => of_table(Sorted::Symbols),
        Tab::Sinks => {
            let style = |failing_ns: u64| if failing_ns > 0 { theme.wrong() } else { Style::new() };
            let sinks = status.sinks.iter().map(|sink| (sink_lines(sink), style(sink.failing_ns)));
            texts(top, sinks, "no sinks")
        }
        Tab::Gaps => {
            let text = |at: Option<i64>| at.map_or_else(|| "unknown time".to_owned(), |at| time_text(UnixNanos(at)));
            let gaps = status.gaps.iter().rev();
            let gaps = gaps.map(|gap| {
                (format!("{}  {}: {}", text(gap.to.or(gap.from)), gap_name(gap), gap_text(gap)), Style::new())
            });
            texts(top, gaps, "no gaps: nothing is missing")
        }
        Tab::Findings => {
            let findings = status.findings.iter().map(|finding| (finding_text(finding), theme.level(finding.level)));
            let alerts = status.alerts.iter().map(|alert| (alert_text(alert), theme.faint()));
            texts(top, findings.chain(alerts), "nothing is wrong")
        }
        Tab::Log => texts(top, status.log.iter().rev().map(|line| log_line(line, theme)), "nothing was logged"),
        Tab::Latency => {
            let report = serde_json::from_value::<Option<PerformanceReport>>(status.analysis.clone());
            let text = match report {
                Ok(None) => "no analysis lane".to_owned(),
                Ok(Some(report)) => report.text(),
                Err(error) => format!("the performance report is of another version of feedd: {error}"),
            };
            let text = format!("{}\n{text}", latency_lines(&status.latency));
            texts(top, text.trim_start().lines().map(|line| (line.to_owned(), Style::new())), "")
        }
    }
}

/// Rows of the page, at most.
pub(super) fn rows(top: &Top) -> usize {
    let Some(status) = &top.status else { return 0 };
    let page = page(top, status, Theme::PLAIN);
    page.lines.len() * if page.is_wrapped { ROWS_A_LINE } else { 1 }
}

/// How a finding that lasts stands as an alert.
fn alert_text(alert: &Alert) -> String {
    let clock = |at: i64| time_text(UnixNanos(at)).get(11..19).unwrap_or("-").to_owned();
    let state = match (alert.state, alert.until) {
        (State::Resolved, Some(until)) => format!("resolved at {}", clock(until)),
        (State::Resolved, None) => "resolved".to_owned(),
        (State::Firing, _) => "firing".to_owned(),
        (State::Pending, _) => "pending".to_owned(),
    };
    format!("alert {}: {}: since {}, {state}: {}", alert.rule, alert.who, clock(alert.since), alert.text)
}

/// `12:34:56 WARN  text`.
pub(super) fn log_line(line: &LogLine, theme: Theme) -> (String, Style) {
    let at = time_text(UnixNanos(line.at));
    let style = match line.level.as_str() {
        "ERROR" => theme.level(Level::Critical),
        "WARN" => theme.level(Level::Warning),
        _ => Style::new(),
    };
    (format!("{} {:<5} {}", at.get(11..19).unwrap_or(&at), line.level, line.text), style)
}

/// Texts of one line or several; those that the filter lets through.
fn texts(top: &Top, texts: impl Iterator<Item = (String, Style)>, none: &'static str) -> Page {
    let mut lines = Vec::new();
    let mut has_any = false;
    for (text, style) in texts {
        has_any = true;
        if top.is_shown(&text) {
            lines.extend(text.lines().map(|line| Line::styled(line.to_owned(), style)));
        }
    }
    if !has_any {
        lines.push(Line::raw(none));
    }
    Page { head: None, lines, is_wrapped: true }
}
