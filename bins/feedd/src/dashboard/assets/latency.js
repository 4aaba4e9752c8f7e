// How long each hop takes: a line for each, that of its slowest, and a table of all with their percentiles.

import { Chart } from "./charts.js";
import { el, keyed, setField, setText } from "./dom.js";
import { duration, grouped } from "./numbers.js";

const PERCENTILES = [["p50_ns", "p50"], ["p99_ns", "p99"], ["p999_ns", "p99.9"], ["max_ns", "max"]];
const POINTS_MAX = 900;

const pick = el("select", { onchange: () => redraw() }, ...PERCENTILES.map(([key, name]) => el("option", { value: key, selected: key === "p99_ns" }, name)));
const chart = new Chart({ title: "Latency per hop", shown: duration, isLog: true, controls: [el("label", { class: "pick" }, el("span", { class: "for-readers" }, "Percentile"), pick)] });
const body = el("tbody");
const head = el("tr", {}, el("th", { scope: "col" }, "hop"), ...PERCENTILES.map(([, name]) => el("th", { scope: "col" }, name)), el("th", { scope: "col" }, "count"));
const table = el("div", { class: "scroll hops", tabindex: 0, role: "region", "aria-label": "Latency of each hop" }, el("table", {}, el("thead", {}, head), body));
const none = el("p", { class: "muted" }, "This recorder reports no latencies.");
chart.figure.append(table, none);
chart.figure.classList.add("wide");

/// The figure, to be put on the page.
export const latencyFigure = chart.figure;

// Every percentile is kept, so that another choice has its past, too: `[seconds, hops]`.
let past = [];
let names = [];

/// Adds the figures of a document.
export function extendLatency(doc) {
  const hops = doc.latency ?? [];
  table.hidden = hops.length === 0;
  none.hidden = hops.length > 0;
  chart.hide(hops.length === 0);
  showTable(hops);
  past.push([Number(doc.at) / 1e9, hops]);
  if (past.length > POINTS_MAX) past.shift();
  const now = [...new Set(hops.map(lineOf))];
  const isSame = now.length === names.length && now.every((name, index) => name === names[index]);
  names = now;
  if (isSame && hops.length > 0) chart.push(row(past.at(-1)));
  else redraw();
}

/// Draws it in the colours of now.
export function recolourLatency() {
  chart.recolour();
}

// "socket_to_ring" as "socket → ring".
function lineOf(hop) {
  return hop.hop.replaceAll("_to_", " → ").replaceAll("_", " ");
}

function nameOf(hop) {
  return hop.name ? `${lineOf(hop)}: ${hop.name}` : lineOf(hop);
}

function row([at, hops]) {
  const measured = hops.filter((hop) => Number(hop.count) > 0);
  const slowest = (name) => Math.max(...measured.filter((hop) => lineOf(hop) === name).map((hop) => Number(hop[pick.value])));
  return [at, ...names.map(slowest).map((value) => (Number.isFinite(value) ? value : null))];
}

function redraw() {
  chart.fill(names, past.map(row));
}

function showTable(hops) {
  const make = () => el("tr", {}, el("th", { scope: "row" }), ...PERCENTILES.map(() => el("td")), el("td"));
  keyed(body, hops, nameOf, make, (line, hop, index) => {
    const [name, ...cells] = line.children;
    setText(name, nameOf(hop));
    PERCENTILES.forEach(([key], column) => {
      setField(cells[column], `latency.${index}.${key}`, hop[key], Number(hop.count) > 0 ? duration(hop[key]) : "–");
    });
    setField(cells.at(-1), `latency.${index}.count`, hop.count, grouped(hop.count));
  });
}
