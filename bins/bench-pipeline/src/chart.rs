//! A report's cases as bars: one panel a unit.

use crate::report::{CaseFigure, Report};
use crate::rounds::{Side, Unit};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
/// Where names end and bars begin.
const LABELS: f64 = 330.0;
/// Where the longest bar ends; its figure stands behind it.
const BARS_END: f64 = 760.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 64.0;
const PANEL_HEAD: f64 = 34.0;
/// Figures that differ more than this are drawn on a logarithmic scale.
const LINEAR_MAX: f64 = 20.0;

/// The chart, as a document.
pub(crate) fn svg(report: &Report) -> String {
    let panels = panels(&report.cases);
    let rows: usize = panels.iter().map(|(_, figures)| figures.len()).sum();
    let height = HEAD + panels.len() as f64 * PANEL_HEAD + rows as f64 * ROW + 24.0;
    let mut svg = String::new();
    line(
        &mut svg,
        format_args!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" fill="#1c2733">"##
        ),
    );
    line(&mut svg, format_args!(r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##));
    let title = escape(&format!("bench-pipeline {}", report.command));
    line(&mut svg, format_args!(r#"<text x="20" y="28" font-size="17" font-weight="600">{title}</text>"#));
    let [machine, build] = report.machine.lines().map(|text| escape(&text));
    line(&mut svg, format_args!(r##"<text x="20" y="46" font-size="11" fill="#5b6b7b">{machine}</text>"##));
    line(&mut svg, format_args!(r##"<text x="20" y="60" font-size="11" fill="#5b6b7b">{build}</text>"##));
    let mut y = HEAD;
    for (unit, figures) in panels {
        y += PANEL_HEAD;
        panel(&mut svg, unit, &figures, y);
        y += figures.len() as f64 * ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

/// The measured cases of each unit, in order.
fn panels(cases: &[CaseFigure]) -> Vec<(Unit, Vec<&CaseFigure>)> {
    let mut panels: Vec<(Unit, Vec<&CaseFigure>)> = Vec::new();
    for figure in cases.iter().filter(|figure| figure.spread.is_some_and(|spread| spread.median > 0.0)) {
        match panels.iter_mut().find(|(unit, _)| *unit == figure.unit) {
            Some((_, figures)) => figures.push(figure),
            None => panels.push((figure.unit, vec![figure])),
        }
    }
    panels
}

fn panel(svg: &mut String, unit: Unit, figures: &[&CaseFigure], top: f64) {
    let medians = || figures.iter().filter_map(|figure| Some(figure.spread?.median));
    let (low, high) = (medians().fold(f64::MAX, f64::min), medians().fold(f64::MIN, f64::max));
    let is_log = high / low > LINEAR_MAX;
    let better = if unit.is_rate { "more is better" } else { "less is better" };
    let scale = if is_log { ", logarithmic" } else { "" };
    let head = escape(&format!("{} ({better}{scale}), median with quartiles", unit.name));
    line(svg, format_args!(r#"<text x="20" y="{}" font-weight="600">{head}</text>"#, top - 10.0));
    // A logarithmic bar needs a foot: a third of the smallest figure.
    let place = |value: f64| {
        let part = if is_log { (value * 3.0 / low).ln() / (high * 3.0 / low).ln() } else { value / high };
        LABELS + part.clamp(0.0, 1.0) * (BARS_END - LABELS)
    };
    for (row, figure) in figures.iter().enumerate() {
        let Some(spread) = figure.spread else { continue };
        let y = top + row as f64 * ROW;
        let colour = match figure.case.side {
            Side::Ours => "#1f6feb",
            Side::Theirs => "#8a97a5",
            Side::Limit => "#c9a227",
        };
        let name = escape(&figure.case.name);
        let (text_x, text_y, middle) = (LABELS - 10.0, y + 15.0, y + 11.0);
        line(svg, format_args!(r#"<text x="{text_x}" y="{text_y}" text-anchor="end">{name}</text>"#));
        let width = (place(spread.median) - LABELS).max(1.0);
        line(
            svg,
            format_args!(
                r#"<rect x="{LABELS}" y="{}" width="{width:.1}" height="16" rx="2" fill="{colour}"/>"#,
                y + 3.0
            ),
        );
        let (from, to) = (place(spread.p25), place(spread.p75));
        line(
            svg,
            format_args!(
                r##"<line x1="{from:.1}" x2="{to:.1}" y1="{middle}" y2="{middle}" stroke="#1c2733" stroke-width="1.5"/>"##
            ),
        );
        let figure_x = to.max(place(spread.median)) + 8.0;
        line(svg, format_args!(r#"<text x="{figure_x:.1}" y="{text_y}">{}</text>"#, short(spread.median)));
    }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Into a string: cannot fail.
    let _ = writeln!(svg, "{text}");
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::rounds::{Case, NS_PER_EVENT, ROWS_PER_S};
    use crate::spread::Spread;

    #[test]
    fn every_measured_case_has_a_bar_that_stays_inside() {
        let mut report = Report::new("hot-path", Machine::look(std::path::Path::new(".")));
        let mut add = |name: &str, unit, values: &[f64]| {
            let case = Case { key: name.to_owned(), name: name.to_owned(), side: Side::Ours };
            report.cases.push(CaseFigure { case, unit, spread: Spread::of(values.iter().copied()) });
        };
        add("a < b", NS_PER_EVENT, &[3.0, 3.5, 4.0]);
        add("slow", NS_PER_EVENT, &[300.0]);
        add("none", NS_PER_EVENT, &[]);
        add("rows", ROWS_PER_S, &[4.8e6]);
        let svg = svg(&report);
        assert_eq!(svg.matches("rx=\"2\"").count(), 3);
        assert!(svg.contains("a &lt; b") && svg.contains("logarithmic") && svg.contains("4.80 M"));
        for part in svg.split("width=\"").skip(1) {
            let width: f64 = part.split('"').next().unwrap().parse().unwrap_or(0.0);
            assert!(width <= WIDTH, "{width}");
        }
    }
}
