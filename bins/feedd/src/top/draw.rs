//! One frame.

use super::pages::{self, log_line};
use super::state::{Tab, Top};
use super::theme::Theme;
use feedd_telemetry::status::Status;
use feedd_telemetry::{duration, flow_lines, flow_sink, grouped, program_line};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline, Wrap};
use std::collections::VecDeque;

/// Smallest terminal that is drawn in.
const COLUMNS_MIN: u16 = 40;
const ROWS_MIN: u16 = 10;
/// Rows of the verdict, which is long when something is wrong.
const VERDICT_ROWS: u16 = 2;
/// Sources and sinks drawn in the flow of the overview, its head included.
const FLOW_ROWS_MAX: usize = 6;
/// Rows of a chart, with its title.
const CHART_ROWS: u16 = 4;
/// Findings in the overview, and the newest log lines.
const FINDINGS_ROWS_MAX: usize = 4;
const LOG_ROWS: u16 = 3;

/// Draws everything.
pub(super) fn draw(top: &Top, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        let text = format!("this terminal is too small: {COLUMNS_MIN} x {ROWS_MIN} at least");
        return frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
    }
    let heights = [VERDICT_ROWS, 1, 1].map(Constraint::Length).into_iter();
    let heights = heights.chain([Constraint::Min(1), Constraint::Length(1)]);
    let [verdict, program, tabs, body, footer] = Layout::vertical(heights).areas(area);
    draw_verdict(top, theme, verdict, frame);
    if let Some(status) = &top.status {
        frame.render_widget(Line::styled(program_line(&status.program), theme.faint()), program);
        frame.render_widget(tab_line(top, theme), tabs);
        match top.tab {
            Tab::Overview => overview(top, status, theme, body, frame),
            _ => draw_page(top, status, theme, body, frame),
        }
    }
    frame.render_widget(footer_line(top, theme), footer);
    if top.is_helping {
        draw_help(theme, area, frame);
    }
}

fn draw_verdict(top: &Top, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let line = match (&top.trouble, &top.status) {
        (Some(trouble), _) => {
            Line::styled(format!("NO ANSWER no recorder answers, trying again: {trouble}"), theme.wrong())
        }
        (None, None) => Line::raw("asking the recorder"),
        (None, Some(status)) => {
            let v = &status.verdict;
            Line::from(vec![
                Span::styled(format!("{} ", v.level.word()), theme.level(v.level)),
                Span::raw(v.text.clone()),
            ])
        }
    };
    frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), area);
}

fn tab_line(top: &Top, theme: Theme) -> Line<'static> {
    let mut spans = Vec::new();
    for (tab, number) in Tab::ALL.into_iter().zip(1..) {
        let style = if tab == top.tab { theme.chosen() } else { theme.head() };
        spans.push(Span::styled(format!("{number} {}", tab.name()), style));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

fn footer_line(top: &Top, theme: Theme) -> Line<'static> {
    if top.is_typing {
        return Line::styled(format!("/{}_  Enter keeps the filter, Esc clears it", top.filter), theme.chosen());
    }
    let paused = if top.is_paused { "PAUSED  " } else { "" };
    let filter = if top.filter.is_empty() { String::new() } else { format!("filter \"{}\"  ", top.filter) };
    Line::from(vec![
        Span::styled(format!("{paused}{filter}"), theme.chosen()),
        Span::styled("q quit  ? keys  p pause  / filter  s sort  r reverse  Tab next", theme.faint()),
    ])
}

/// Flow, charts, symbols, findings, log.
fn overview(top: &Top, status: &Status, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let mut flow = flow_lines(status);
    if flow.iter().any(|line| line.chars().count() > usize::from(area.width)) {
        // The sinks, at the right end, would be cut off.
        flow.truncate(FLOW_ROWS_MAX.saturating_sub(status.sinks.len()).max(2));
        flow.extend(status.sinks.iter().map(|sink| format!("-> {}", flow_sink(sink))));
    }
    let flow: Vec<Line<'_>> = flow.into_iter().take(FLOW_ROWS_MAX).map(Line::raw).collect();
    let findings: Vec<Line<'_>> = status
        .findings
        .iter()
        .flat_map(|finding| {
            let text = feedd_telemetry::finding_text(finding);
            text.lines().map(|line| Line::styled(line.to_owned(), theme.level(finding.level))).collect::<Vec<_>>()
        })
        .take(FINDINGS_ROWS_MAX)
        .collect();
    let length = |lines: usize| Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX));
    // Where room is short, charts go first, then the log.
    let charts = if area.height < 16 { 0 } else { CHART_ROWS };
    let log = if area.height < 10 { 0 } else { LOG_ROWS };
    let heights = [
        length(flow.len()),
        Constraint::Length(charts),
        Constraint::Min(2),
        length(findings.len()),
        Constraint::Length(log),
    ];
    let [flow_area, chart_area, table, findings_area, log_area] = Layout::vertical(heights).areas(area);
    frame.render_widget(Paragraph::new(flow), flow_area);
    draw_charts(top, status, theme, chart_area, frame);
    draw_page(top, status, theme, table, frame);
    frame.render_widget(Paragraph::new(findings), findings_area);
    let newest = status.log.iter().rev().take(usize::from(log)).rev();
    let newest: Vec<Line<'_>> =
        newest.map(|line| log_line(line, theme)).map(|(text, style)| Line::styled(text, style)).collect();
    frame.render_widget(Paragraph::new(newest), log_area);
}

fn draw_charts(top: &Top, status: &Status, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(area);
    let rate = top.history.accepted_per_s();
    let title = format!("rate {}/s", grouped(rate.back().copied().unwrap_or(status.totals.accepted_per_s)));
    draw_chart(title, rate, theme, left, frame);
    draw_chart(format!("lag {}", duration(status.verdict.lag_ns)), top.history.lag_ns(), theme, right, frame);
}

/// The newest value at the right.
fn draw_chart(title: String, values: &VecDeque<u64>, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let width = usize::from(area.width);
    let shown: Vec<u64> = values.iter().copied().skip(values.len().saturating_sub(width)).collect();
    let blank = std::iter::repeat_n(0, width - shown.len());
    let data: Vec<u64> = blank.chain(shown.iter().copied()).collect();
    let most = shown.iter().max().copied().unwrap_or(0);
    let chart = Sparkline::default()
        .block(Block::new().title(Line::styled(title, theme.head())))
        .data(data)
        .max(most.max(1))
        .style(theme.chart());
    frame.render_widget(chart, area);
}

fn draw_page(top: &Top, status: &Status, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let page = pages::page(top, status, theme);
    let head_rows = u16::from(page.head.is_some());
    let [head, body] = Layout::vertical([Constraint::Length(head_rows), Constraint::Min(0)]).areas(area);
    if let Some(line) = page.head {
        frame.render_widget(line, head);
    }
    let scrolled = u16::try_from(top.scrolled).unwrap_or(u16::MAX);
    let text = Paragraph::new(page.lines).scroll((scrolled, 0));
    let text = if page.is_wrapped { text.wrap(Wrap { trim: false }) } else { text };
    frame.render_widget(text, body);
}

const HELP: [(&str, &str); 10] = [
    ("1-8 Tab Left Right", "the tabs"),
    ("Up Down PgUp PgDn Home", "scroll"),
    ("s S", "sort by the next, the previous column"),
    ("r", "the other way round"),
    ("/", "show only rows that contain a text"),
    ("Esc", "show all rows again"),
    ("p Space", "pause: what is shown stays"),
    ("? h", "these keys"),
    ("q Ctrl-C", "quit; the recorder goes on"),
    ("any key", "closes this"),
];

fn draw_help(theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let lines: Vec<Line<'_>> = HELP.iter().map(|(keys, what)| Line::raw(format!("{keys:<23} {what}"))).collect();
    let (columns, rows) = (64.min(area.width), 12.min(area.height));
    let place = Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows);
    frame.render_widget(Clear, place);
    frame
        .render_widget(Paragraph::new(lines).block(Block::bordered().title(Line::styled("keys", theme.head()))), place);
}
