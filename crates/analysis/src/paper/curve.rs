//! The value of books over time, as a picture that needs nothing else (SVG), in light or dark as the reader has it.

use feedd_model::UnixNanos;
use std::fmt::Write;
use time::OffsetDateTime;

/// Values over time, thinned so that their number is bounded: a picture has fewer pixels.
#[derive(Clone, Debug)]
pub struct Curve {
    points: Vec<(UnixNanos, f64)>,
    /// Each so many values one is kept.
    stride: u64,
    pushed: u64,
    last: Option<(UnixNanos, f64)>,
}

/// Most points that are kept.
const POINTS_MAX: usize = 2_048;

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, pushed: 0, last: None }
    }
}

impl Curve {
    /// The next value.
    pub fn push(&mut self, at: UnixNanos, value: f64) {
        self.last = Some((at, value));
        if self.pushed.is_multiple_of(self.stride) {
            if self.points.len() == POINTS_MAX {
                let mut place = 0;
                self.points.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
            if self.pushed.is_multiple_of(self.stride) {
                self.points.push((at, value));
            }
        }
        self.pushed += 1;
    }

    /// What is kept, and the last value.
    pub fn points(&self) -> impl Iterator<Item = (UnixNanos, f64)> + '_ {
        let behind = self.last.filter(|last| self.points.last() != Some(last));
        self.points.iter().copied().chain(behind)
    }
}

/// One line of the picture.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// As the legend shows it.
    pub name: &'a str,
    /// Its values.
    pub curve: &'a Curve,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 936.0;
const PLOT_HEIGHT: f64 = 320.0;
const TITLE: f64 = 48.0;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_COLUMNS: usize = 2;
const AXIS: f64 = 40.0;

/// Of the lines, in order; legible on white and on black, told apart also by those who do not see all colours (after Okabe
/// and Ito). Lines beyond them are grey.
const COLOURS: [&str; 7] = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a08c00"];
const GREY: &str = "#8a97a5";

const STYLE: &str = "<style>.paper{fill:#fff}.ink{fill:#1c2733}.dim{fill:#5b6b7b}.grid{stroke:#d8dee4}.cash{stroke:#5b6b7b}\
    @media(prefers-color-scheme:dark){.paper{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9aa7b4}.grid{stroke:#2b333d}\
    .cash{stroke:#9aa7b4}}</style>";

/// Where values and times stand in the picture.
struct Frame {
    top: f64,
    from: i64,
    to: i64,
    low: f64,
    high: f64,
}

impl Frame {
    fn x(&self, at: UnixNanos) -> f64 {
        LEFT + (at.0 - self.from) as f64 / (self.to - self.from).max(1) as f64 * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + (self.high - value) / (self.high - self.low) * PLOT_HEIGHT
    }
}

/// The picture of `lines`, which all began with `cash`.
#[must_use]
pub fn svg(title: &str, cash: f64, lines: &[Line<'_>]) -> String {
    let named = lines.len().min(COLOURS.len());
    let entries = named + usize::from(lines.len() > named);
    let top = TITLE + entries.div_ceil(LEGEND_COLUMNS) as f64 * LEGEND_ROW + 8.0;
    let height = top + PLOT_HEIGHT + AXIS;
    let mut svg = String::new();
    put(
        &mut svg,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">{STYLE}"#
        ),
    );
    put(&mut svg, format_args!(r#"<rect class="paper" width="{WIDTH}" height="{height}"/>"#));
    let title = escape(title);
    put(&mut svg, format_args!(r#"<text class="ink" x="20" y="28" font-size="16" font-weight="600">{title}</text>"#));
    legend(&mut svg, &lines[..named], lines.len() - named);
    match frame(top, cash, lines) {
        Some(frame) => plot(&mut svg, &frame, cash, lines),
        None => put(&mut svg, format_args!(r#"<text class="dim" x="{LEFT}" y="{}">no values</text>"#, top + 20.0)),
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, named: &[Line<'_>], more: usize) {
    let column = (WIDTH - 40.0) / LEGEND_COLUMNS as f64;
    let others = format!("{more} more");
    let entries = named.iter().zip(COLOURS).map(|(line, colour)| (line.name, colour));
    for (place, (name, colour)) in entries.chain((more > 0).then_some((others.as_str(), GREY))).enumerate() {
        let x = 20.0 + (place % LEGEND_COLUMNS) as f64 * column;
        let y = TITLE + (place / LEGEND_COLUMNS) as f64 * LEGEND_ROW;
        put(svg, format_args!(r#"<rect x="{x}" y="{y}" width="18" height="4" rx="2" fill="{colour}"/>"#));
        put(
            svg,
            format_args!(r#"<text class="ink" x="{}" y="{}">{}</text>"#, x + 26.0, y + 6.0, escape(&shortened(name))),
        );
    }
}

/// The span of all values and of the cash, with some room; `None` without a value.
fn frame(top: f64, cash: f64, lines: &[Line<'_>]) -> Option<Frame> {
    let points = || lines.iter().flat_map(|line| line.curve.points());
    let (from, to) = (points().map(|(at, _)| at.0).min()?, points().map(|(at, _)| at.0).max()?);
    let low = points().map(|(_, value)| value).fold(cash, f64::min);
    let high = points().map(|(_, value)| value).fold(cash, f64::max);
    let room = ((high - low) * 0.06).max(cash.abs() * 1e-4).max(f64::MIN_POSITIVE);
    Some(Frame { top, from, to, low: low - room, high: high + room })
}

fn plot(svg: &mut String, frame: &Frame, cash: f64, lines: &[Line<'_>]) {
    let bottom = frame.top + PLOT_HEIGHT;
    let step = nice_step(frame.high - frame.low, 8.0);
    let decimals = if step >= 1.0 { 0 } else { 2 };
    let mut value = (frame.low / step).ceil() * step;
    while value <= frame.high {
        let y = frame.y(value);
        put(svg, format_args!(r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}"/>"#));
        let (x, y) = (LEFT - 8.0, y + 4.0);
        put(svg, format_args!(r#"<text class="dim" x="{x}" y="{y:.1}" text-anchor="end">{value:.decimals$}</text>"#));
        value += step;
    }
    let y = frame.y(cash);
    put(
        svg,
        format_args!(r#"<line class="cash" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke-dasharray="4 4"/>"#),
    );
    times(svg, frame, bottom);
    // The first ones on top.
    for (place, line) in lines.iter().enumerate().rev() {
        let colour = COLOURS.get(place).copied().unwrap_or(GREY);
        let mut path = String::new();
        for (at, value) in line.curve.points() {
            let _ = write!(path, "{:.1},{:.1} ", frame.x(at), frame.y(value));
        }
        let path = path.trim_end();
        put(
            svg,
            format_args!(
                r#"<polyline fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" points="{path}"/>"#
            ),
        );
    }
}

/// Five moments on the axis, in UTC: days for a long span, minutes or seconds for a short one.
fn times(svg: &mut String, frame: &Frame, bottom: f64) {
    const MARKS: i64 = 4;
    let span = frame.to - frame.from;
    let marks = if span == 0 { 0 } else { MARKS };
    for mark in 0..=marks {
        let at = UnixNanos(frame.from + span / MARKS * mark);
        let (x, y) = (frame.x(at), bottom + 18.0);
        let anchor = match mark {
            0 => "start",
            MARKS => "end",
            _ => "middle",
        };
        let text = moment(at, span);
        put(svg, format_args!(r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{bottom}" y2="{}"/>"#, bottom + 5.0));
        put(svg, format_args!(r#"<text class="dim" x="{x:.1}" y="{y}" text-anchor="{anchor}">{text}</text>"#));
    }
    let y = bottom + 34.0;
    put(
        svg,
        format_args!(
            r#"<text class="dim" x="{RIGHT}" y="{y}" text-anchor="end" font-size="10">UTC; dashed: cash at the beginning</text>"#
        ),
    );
}

fn moment(at: UnixNanos, span_ns: i64) -> String {
    const DAY_NS: i64 = 86_400_000_000_000;
    let Ok(time) = OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000_000)) else { return String::new() };
    let date = format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day());
    match span_ns {
        span if span >= 10 * DAY_NS => date,
        span if span >= DAY_NS / 24 => format!("{date} {:02}:{:02}", time.hour(), time.minute()),
        _ => format!("{date} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
    }
}

/// 1, 2 or 5 times a power of ten, so that about `marks` of them span `range`.
fn nice_step(range: f64, marks: f64) -> f64 {
    let rough = range / marks;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

/// As long as a legend's column holds.
fn shortened(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    if name.chars().count() <= CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(CHARS_MAX - 1).chain(['…']).collect()
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Into a string: cannot fail.
    let _ = writeln!(svg, "{text}");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;
    const START: i64 = 1_723_075_200_000_000_000;

    fn curve(values: impl Iterator<Item = f64>) -> Curve {
        let mut curve = Curve::default();
        for (minute, value) in (0i64..).zip(values) {
            curve.push(UnixNanos(START + minute * MINUTE), value);
        }
        curve
    }

    #[test]
    fn long_curves_are_thinned_evenly_and_end_where_they_end() {
        let count = 1_000_003u32;
        let curve = curve((0..count).map(f64::from));
        let points: Vec<_> = curve.points().collect();
        assert!(points.len() > POINTS_MAX / 2 && points.len() <= POINTS_MAX + 1, "{}", points.len());
        assert_eq!((points[0].1, points[points.len() - 1].1), (0.0, f64::from(count - 1)));
        let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        assert!(steps[..steps.len() - 1].iter().all(|step| *step == steps[0]), "evenly");
    }

    #[test]
    fn every_line_is_drawn_inside_the_frame_and_named() {
        let wave = |k: f64| {
            curve(
                (0..3_000)
                    .map(move |at| 10_000.0 + 400.0 * k * (f64::from(at) / 250.0 / k).sin() - f64::from(at) * 0.1 * k),
            )
        };
        let curves: Vec<_> = (1..=9).map(|k| wave(f64::from(k) * 0.4)).collect();
        let names: Vec<_> = (1..=9).map(|k| format!("sma({k},30)@1m on binance <BTC&USDT>")).collect();
        let lines: Vec<_> = names.iter().zip(&curves).map(|(name, curve)| Line { name, curve }).collect();
        let svg = svg("Backtest of 9 books", 10_000.0, &lines);
        assert_eq!(svg.matches("<polyline").count(), 9);
        assert!(
            svg.contains("sma(7,30)@1m on binance &lt;BTC&amp;USDT&gt;")
                && !svg.contains("sma(8,30)")
                && svg.contains("2 more")
        );
        assert!(svg.contains("2024-08-08 00:00") && svg.contains(">10000<"));
        for points in svg.split("points=\"").skip(1) {
            for point in points.split('"').next().unwrap().split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT..=RIGHT).contains(&x) && (TITLE..TITLE + 500.0).contains(&y), "{point}");
            }
        }
    }

    #[test]
    fn a_flat_line_one_value_and_none_are_drawn_too() {
        let flat = curve(std::iter::repeat_n(10_000.0, 10));
        let one = curve(std::iter::once(10_000.0));
        for curve in [&flat, &one] {
            let svg = svg("flat", 10_000.0, &[Line { name: "a", curve }]);
            assert!(svg.contains("<polyline") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert!(svg("none", 10_000.0, &[]).contains("no values"));
    }

    #[test]
    fn steps_are_round() {
        for (range, step) in [(100.0, 20.0), (1.2, 0.2), (7.0, 2.0), (29.0, 5.0), (1_234.0, 500.0)] {
            assert!((nice_step(range, 6.0) / step - 1.0).abs() < 1e-9, "{range}");
        }
    }
}
