// Rate, lag and latency over the last minutes. Drawn by uPlot (uplot/), which is loaded before this.

import { byId, el, keyed, setAttribute, setText } from "./dom.js";
import { duration, grouped } from "./numbers.js";
import { colour } from "./theme.js";

const POINTS_MAX = 900;
// A wider hole between two points is one in the line.
const HOLE_S = 5;
const HEIGHT_PX = 150;
const COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [10, 4], [4, 2]];

/// One chart: a headline, what it reads at the pointer or now, and lines.
export class Chart {
  #title;
  #shown;
  #isLog;
  #names = [];
  #data = [[]];
  #plot = null;
  #canvas;
  #legend;

  /// `shown` turns a value into text; `isLog` for what spans many orders.
  constructor({ title, shown, isLog = false, controls = [] }) {
    this.#title = title;
    this.#shown = shown;
    this.#isLog = isLog;
    this.#canvas = el("div", { class: "plot", role: "img", "aria-label": title });
    this.#legend = el("ul", { class: "legend" });
    const head = el("div", { class: "head" }, el("h3", {}, title), ...controls);
    this.figure = el("figure", { class: "card chart" }, head, this.#legend, this.#canvas);
    new ResizeObserver(() => this.#fit()).observe(this.#canvas);
  }

  /// Replaces everything: `rows` are `[seconds, value, ...]`, one value for each name.
  fill(names, rows) {
    const isSame = names.length === this.#names.length && names.every((name, index) => name === this.#names[index]);
    this.#names = names;
    this.#data = [[], ...names.map(() => [])];
    rows.forEach((row) => this.#append(row));
    if (!isSame || !this.#plot) this.#make();
    this.#draw();
  }

  /// Leaves the lines away, where there are none.
  hide(isHidden) {
    this.#canvas.hidden = isHidden;
    this.#legend.hidden = isHidden;
  }

  /// Adds a row.
  push(row) {
    this.#append(row);
    this.#draw();
  }

  /// Draws again in the colours of now.
  recolour() {
    if (this.#plot) this.#make();
  }

  #append([at, ...values]) {
    const [times] = this.#data;
    if (times.length > 0 && at <= times.at(-1)) return;
    // A hole is drawn as one, where nothing was known: after a restart, or while nobody looked.
    if (times.length > 0 && at - times.at(-1) > HOLE_S) this.#add(times.at(-1) + 1, values.map(() => null));
    this.#add(at, values);
    while (times.length > POINTS_MAX) this.#data.forEach((points) => points.shift());
  }

  #add(at, values) {
    this.#data[0].push(at);
    // A logarithm has no zero.
    values.forEach((value, index) => this.#data[index + 1].push(this.#isLog && !(value > 0) ? null : value));
  }

  #draw() {
    this.#plot?.setData(this.#data);
    this.#read(this.#data[0].length - 1);
  }

  // What the lines are at one point: those of the pointer, or the newest.
  #read(index) {
    const make = () => el("li", {}, el("span", { class: "swatch", "aria-hidden": "true" }), el("span", {}), el("b", {}));
    const values = this.#names.map((name, series) => this.#data[series + 1][index]);
    keyed(this.#legend, this.#names, (name) => name, make, (item, name, series) => {
      const [swatch, label, value] = item.children;
      setAttribute(swatch, "data-line", series % COLOURS.length);
      setText(label, name);
      setText(value, values[series] === null || values[series] === undefined ? "–" : this.#shown(values[series]));
    });
    setAttribute(this.#canvas, "aria-label", `${this.#title}, last minutes`);
  }

  #fit() {
    const width = this.#canvas.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT_PX });
  }

  #make() {
    this.#plot?.destroy();
    const line = (name, index) => ({
      label: name,
      stroke: colour(COLOURS[index % COLOURS.length]),
      width: 1.5,
      dash: DASHES[index % DASHES.length],
      points: { show: false },
    });
    const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: this.#canvas.clientWidth || 300,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: this.#isLog ? { distr: 3 } : { range: (plot, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
      series: [{}, ...this.#names.map(line)],
      axes: [
        { ...axis, size: 24, space: 70, values: (plot, splits) => splits.map((at) => new Date(at * 1e3).toISOString().slice(11, 19)) },
        { ...axis, size: 62, space: 28, values: (plot, splits) => splits.map((value) => (value === null ? "" : this.#shown(value))) },
      ],
      hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx ?? this.#data[0].length - 1)] },
    };
    this.#plot = new window.uPlot(options, this.#data, this.#canvas);
  }
}

const rate = new Chart({ title: "Events a second", shown: (value) => grouped(Math.round(value)) });
const lag = new Chart({ title: "Lag until a sink has it", shown: duration });

/// Puts the charts on the page.
export function setUpCharts(...more) {
  byId("charts").append(rate.figure, lag.figure, ...more);
}

/// Fills in what was before the page was opened: `{points: [{at_ms, accepted_per_s, lag_ns}]}`.
export function fillCharts({ points }) {
  rate.fill(["accepted"], points.map((point) => [Number(point.at_ms) / 1e3, Number(point.accepted_per_s)]));
  lag.fill(["oldest event"], points.map((point) => [Number(point.at_ms) / 1e3, Number(point.lag_ns)]));
}

/// Adds the figures of a document.
export function extendCharts(doc, perSecond) {
  const at = Number(doc.at) / 1e9;
  rate.push([at, perSecond ?? Number(doc.totals.accepted_per_s)]);
  lag.push([at, Number(doc.verdict.lag_ns)]);
}

/// Draws them in the colours of now.
export function recolourCharts() {
  [rate, lag].forEach((chart) => chart.recolour());
}
